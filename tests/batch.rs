//! Batches: a function over columns of arguments, with the rows told apart when something goes wrong.

mod common;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use common::{module, on_each_tier};
use wasm_mini::{BatchError, BatchFunc, ExportError, Imports, Instance, Tier, TrapCode, WasmFn};

fn batch<F: WasmFn>(tier: Tier, text: &str) -> BatchFunc<F> {
    common::instance(tier, text).batch_func("f").expect("the export")
}

/// `a / b`, unless `a` is 13.
const DIV: &str = r#"(module (func (export "f") (param i64 i64) (result i64)
    (if (i64.eq (local.get 0) (i64.const 13)) (then unreachable))
    (i64.div_s (local.get 0) (local.get 1))))"#;

/// The row and the code of a trap.
fn trap_of(result: Result<(), BatchError>) -> (usize, TrapCode) {
    match result {
        Err(BatchError::Trap { row, trap }) => {
            assert!(trap.backtrace()[0].offset().is_some(), "{trap:?}");
            (row, trap.code())
        }
        other => panic!("{other:?} is no trap"),
    }
}

fn rows_are_computed_in_order(tier: Tier) {
    let f = batch::<fn(i64, i64) -> i64>(tier, DIV);
    let a: Vec<i64> = (0..1000).map(|i| i * 7919 - 3_000_000).collect();
    let b: Vec<i64> = (1..=1000).collect();
    let mut out = vec![0; 1000];
    f.call((&a, &b), &mut out).expect("no trap");
    for i in 0..1000 {
        assert_eq!(out[i], a[i] / b[i], "row {i}");
    }

    // The order shows where a row depends on the one before.
    let f = batch::<fn(i64) -> i64>(
        tier,
        r#"(module (global $sum (mut i64) (i64.const 0)) (func (export "f") (param i64) (result i64)
             (global.set $sum (i64.add (global.get $sum) (local.get 0))) (global.get $sum)))"#,
    );
    let mut out = [0; 5];
    f.call((&[1, 10, 100, 1000, 10000],), &mut out).expect("no trap");
    assert_eq!(out, [1, 11, 111, 1111, 11111]);
    // The instance is the same in the next batch.
    f.call((&[1],), &mut out[..1]).expect("no trap");
    assert_eq!(out[0], 11112);
}

fn a_trap_tells_its_row_and_leaves_the_rest(tier: Tier) {
    let f = batch::<fn(i64, i64) -> i64>(tier, DIV);
    let a = [100; 5];
    for bad in 0..5 {
        let mut b = [10; 5];
        b[bad] = 0;
        let mut out = [-1; 5];
        let found = trap_of(f.call((&a, &b), &mut out));
        assert_eq!(found, (bad, TrapCode::IntegerDivideByZero));
        let expected: Vec<i64> = (0..5).map(|i| if i < bad { 10 } else { -1 }).collect();
        assert_eq!(out[..], expected, "row {bad}");
    }
    // The first of two, and another code; what comes next is not disturbed.
    let mut out = [0; 4];
    let found = trap_of(f.call((&[1, 13, 1, 13], &[1, 1, 0, 1]), &mut out));
    assert_eq!(found, (1, TrapCode::Unreachable));
    f.call((&[8, 6, 4, 2], &[2, 2, 2, 2]), &mut out).expect("no trap");
    assert_eq!(out, [4, 3, 2, 1]);
    let error = f.call((&[1], &[0]), &mut [0]).expect_err("a trap");
    let shown = error.to_string();
    assert!(shown.starts_with("in row 0: wasm trap: integer divide by zero"), "{shown}");
}

fn faults_end_a_batch_too(tier: Tier) {
    let text = r#"(module (memory 1)
        (func $deep (param i32) (result i32)
          (if (result i32) (local.get 0)
            (then (i32.add (call $deep (local.get 0)) (i32.const 1))) (else (i32.const 0))))
        (func (export "f") (param i32 i32) (result i32)
          (i32.add (i32.load (local.get 0)) (call $deep (local.get 1)))))"#;
    let f = batch::<fn(u32, i32) -> i32>(tier, text);
    let mut out = [7; 3];
    let found = trap_of(f.call((&[0, 65536 - 3, 0], &[0, 0, 0]), &mut out));
    assert_eq!((found, out), ((1, TrapCode::MemoryOutOfBounds), [0, 7, 7]));
    let found = trap_of(f.call((&[0, 0, 0], &[0, 0, 1]), &mut out));
    assert_eq!((found, out), ((2, TrapCode::StackOverflow), [0, 0, 7]));
}

fn lengths_must_agree(tier: Tier) {
    let f = batch::<fn(i64, i64) -> i64>(tier, DIV);
    let mut out = [5; 3];
    let wrong = f.call((&[1, 2, 3], &[1, 0]), &mut out);
    assert_eq!(wrong, Err(BatchError::Length { column: 1, len: 2, rows: 3 }));
    let wrong = f.call((&[1], &[1, 0, 3]), &mut out);
    assert_eq!(wrong, Err(BatchError::Length { column: 0, len: 1, rows: 3 }));
    let wrong = f.call((&[1], &[1]), &mut out).expect_err("three results");
    assert_eq!(out, [5; 3]);
    assert_eq!(
        wrong.to_string(),
        "column 0 has 1 rows, but there is room for 3 results: all columns and the results must be \
         equally long"
    );
    f.call((&[], &[]), &mut []).expect("nothing to do");
    let plain =
        batch::<fn(i64) -> i64>(tier, common::fixture("add4").replace("add4", "f").as_str());
    plain.call((&[],), &mut []).expect("nothing to do");
    plain.call((&[],), &mut [1]).expect_err("one result");
}

/// One function for each type of parameter and result, which returns its argument, once as plain code
/// and once with something that may trap.
fn every_type_travels_unchanged(tier: Tier) {
    macro_rules! check {
        ($ty:ty, $wasm:literal, $values:expr) => {
            for guard in ["", "(if (i32.eqz (memory.size)) (then unreachable))"] {
                let text = format!(
                    r#"(module (memory 1) (func (export "f") (param {0}) (result {0}) {guard}
                        (local.get 0)))"#,
                    $wasm
                );
                let f = batch::<fn($ty) -> $ty>(tier, &text);
                let values: Vec<$ty> = $values;
                // One more on each side: nothing is written there.
                let mut out = vec![<$ty>::default(); values.len() + 2];
                let end = values.len() + 1;
                f.call((&values,), &mut out[1..end]).expect("no trap");
                let bits = |value: &$ty| value.to_ne_bytes();
                assert!(out[1..end].iter().map(bits).eq(values.iter().map(bits)), "{}", $wasm);
                assert_eq!(bits(&out[0]), bits(&<$ty>::default()));
                assert_eq!(bits(&out[end]), bits(&<$ty>::default()));
            }
        };
    }
    check!(i32, "i32", vec![0, 1, -1, i32::MIN, i32::MAX]);
    check!(u32, "i32", vec![0, 1, u32::MAX]);
    check!(i64, "i64", vec![0, 1, -1, i64::MIN, i64::MAX, 1 << 32]);
    check!(u64, "i64", vec![0, 1, u64::MAX]);
    check!(f32, "f32", vec![0.0, -0.0, 1.5, f32::MIN, f32::INFINITY, f32::from_bits(0x7fa0_1234)]);
    check!(f64, "f64", vec![-0.0, 1.5, f64::NEG_INFINITY, f64::from_bits(0x7ff4_0000_0000_1234)]);
}

/// What lies above a narrow argument in its column or a narrow result in its register is no part of it.
fn upper_halves_do_not_matter(tier: Tier) {
    let text = r#"(module (memory 1)
        (data (i32.const 40) "\4d")
        (func (export "f") (param i32 i64) (result i32)
          (if (i32.eqz (memory.size)) (then unreachable))
          (i32.add (i32.load (local.get 0)) (i32.wrap_i64 (local.get 1)))))"#;
    let f = batch::<fn(i32, i64) -> i32>(tier, text);
    let mut out = [0x1111_1111; 4];
    f.call((&[40, 40, 40], &[-1, 1 << 40, -1 << 32]), &mut out[..3]).expect("no trap");
    assert_eq!(out, [0x4c, 0x4d, 0x4d, 0x1111_1111]);
}

fn columns_of_both_classes_keep_their_places(tier: Tier) {
    let text = r#"(module (memory 1) (func (export "f")
        (param i32 f64 i64 f32 i32 f64 i64 f32 i32 i64) (result f64)
        (if (i32.eqz (memory.size)) (then unreachable))
        (f64.convert_i32_s (local.get 0)) (f64.add (local.get 1))
        (f64.add (f64.convert_i64_s (local.get 2))) (f64.add (f64.promote_f32 (local.get 3)))
        (f64.add (f64.convert_i32_s (local.get 4))) (f64.add (local.get 5))
        (f64.add (f64.convert_i64_s (local.get 6))) (f64.add (f64.promote_f32 (local.get 7)))
        (f64.add (f64.convert_i32_s (local.get 8))) (f64.add (f64.convert_i64_s (local.get 9)))))"#;
    type Ten = fn(i32, f64, i64, f32, i32, f64, i64, f32, i32, i64) -> f64;
    let f = batch::<Ten>(tier, text);
    let mut out = [0.0; 2];
    f.call(
        (
            &[1, -1],
            &[0.5, 0.25],
            &[10, -10],
            &[2.0, 4.0],
            &[100, -100],
            &[0.125, 0.0],
            &[1000, -1000],
            &[8.0, 16.0],
            &[10_000, -10_000],
            &[100_000, -100_000],
        ),
        &mut out,
    )
    .expect("no trap");
    assert_eq!(out, [111_121.625, -111_090.75]);
}

/// Signatures without a loop of their own: too many parameters, several results.
fn other_signatures_work_as_well(tier: Tier) {
    let text = r#"(module (func (export "f") (param i64 i64 i64 i64 i64 i64 i64) (result i64)
        (i64.div_s (local.get 0) (local.get 6))))"#;
    type Seven = fn(i64, i64, i64, i64, i64, i64, i64) -> i64;
    let f = batch::<Seven>(tier, text);
    let some = [12, 15, 18];
    let mut out = [0; 3];
    f.call((&some, &some, &some, &some, &some, &some, &[3, 3, 3]), &mut out).expect("no trap");
    assert_eq!(out, [4, 5, 6]);
    let error = f.call((&some, &some, &some, &some, &some, &some, &[2, 0, 2]), &mut out);
    assert_eq!(trap_of(error), (1, TrapCode::IntegerDivideByZero));
    assert_eq!(out, [6, 5, 6]);

    let text = r#"(module (func (export "f") (param i32 i32) (result i32 i32)
        (i32.div_u (local.get 0) (local.get 1)) (i32.rem_u (local.get 0) (local.get 1))))"#;
    let f = batch::<fn(u32, u32) -> (u32, u32)>(tier, text);
    let mut out = [(0, 0); 2];
    f.call((&[17, 9], &[5, 3]), &mut out).expect("no trap");
    assert_eq!(out, [(3, 2), (3, 0)]);
}

fn parameters_and_results_may_be_none(tier: Tier) {
    let text = r#"(module (global $n (export "n") (mut i32) (i32.const 0))
        (func (export "f") (result i32)
          (global.set $n (i32.add (global.get $n) (i32.const 1)))
          (if (i32.eq (global.get $n) (i32.const 5)) (then unreachable)) (global.get $n))
        (func (export "add") (param i32)
          (if (i32.eqz (local.get 0)) (then unreachable))
          (global.set $n (i32.add (global.get $n) (local.get 0))))
        (func (export "nothing")))"#;
    let instance = common::instance(tier, text);
    let f = instance.batch_func::<fn() -> i32>("f").expect("f");
    let mut out = [0; 3];
    f.call((), &mut out).expect("no trap");
    assert_eq!(out, [1, 2, 3]);
    assert_eq!(trap_of(f.call((), &mut out)), (1, TrapCode::Unreachable));
    assert_eq!(out, [4, 2, 3]);
    let add = instance.batch_func::<fn(i32)>("add").expect("add");
    add.call((&[10, 20],), &mut [(), ()]).expect("no trap");
    assert_eq!(trap_of(add.call((&[10, 20, 0],), &mut [(); 3])), (2, TrapCode::Unreachable));
    f.call((), &mut out[..1]).expect("no trap");
    assert_eq!(out[0], 66);
    let nothing = instance.batch_func::<fn()>("nothing").expect("nothing");
    nothing.call((), &mut [(); 100]).expect("no trap");
}

const HOSTED: &str = r#"(module (import "" "host" (func $host (param i32) (result i32)))
    (func (export "f") (param i32) (result i32) (i32.mul (call $host (local.get 0)) (i32.const 2))))"#;

fn hosted(tier: Tier, imports: &Imports) -> Instance {
    Instance::new(&module(tier, HOSTED), imports).expect("an instance")
}

fn functions_of_the_host_are_called_for_each_row(tier: Tier) {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let mut imports = Imports::none();
    let log = seen.clone();
    imports.func("", "host", move |x: i32| -> Result<i32, String> {
        log.borrow_mut().push(x);
        if x == 3 { Err("three".into()) } else { Ok(x + 1) }
    });
    let f = hosted(tier, &imports).batch_func::<fn(i32) -> i32>("f").expect("f");
    let mut out = [0; 4];
    f.call((&[1, 2, 4, 5],), &mut out).expect("no trap");
    assert_eq!(out, [4, 6, 10, 12]);
    match f.call((&[9, 3, 9, 9],), &mut out) {
        Err(BatchError::Trap { row: 1, trap }) => {
            assert_eq!(trap.host_error().expect("the host's").to_string(), "three");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(out, [20, 6, 10, 12]);
    assert_eq!(*seen.borrow(), [1, 2, 4, 5, 9, 3]);
}

fn panics_of_the_host_go_through(tier: Tier) {
    let mut imports = Imports::none();
    imports.func("", "host", |x: i32| {
        assert!(x != 3, "three");
        x
    });
    let f = hosted(tier, &imports).batch_func::<fn(i32) -> i32>("f").expect("f");
    let mut out = [0; 3];
    let payload = catch_unwind(AssertUnwindSafe(|| f.call((&[1, 3, 5],), &mut out)));
    let payload = payload.expect_err("a panic");
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"three"));
    assert_eq!(out, [2, 0, 0]);
    f.call((&[1, 2, 5],), &mut out).expect("no trap");
    assert_eq!(out, [2, 4, 10]);
}

/// A host function in one batch makes another of the same function, which may trap.
fn batches_nest(tier: Tier) {
    type Inner = RefCell<Option<BatchFunc<fn(i32) -> i32>>>;
    let inner: Rc<Inner> = Rc::default();
    let depth = Rc::new(Cell::new(0));
    let mut imports = Imports::none();
    let (callee, level) = (inner.clone(), depth.clone());
    imports.func("", "host", move |x: i32| -> i32 {
        if level.get() == 2 {
            return x;
        }
        level.set(level.get() + 1);
        let f = callee.borrow().clone().expect("set below");
        let mut out = [0; 3];
        let result = f.call((&[x, x + 1, x + 2],), &mut out);
        level.set(level.get() - 1);
        result.expect("no trap");
        out.iter().sum()
    });
    let f = hosted(tier, &imports).batch_func::<fn(i32) -> i32>("f").expect("f");
    *inner.borrow_mut() = Some(f.clone());
    let mut out = [0; 2];
    f.call((&[1, 10],), &mut out).expect("no trap");
    // Each level sums its three rows and doubles the sum.
    let level = |x: i32, f: &dyn Fn(i32) -> i32| 2 * (f(x) + f(x + 1) + f(x + 2));
    let expected = |x| level(x, &|x| level(x, &|x| 2 * x));
    assert_eq!(out, [expected(1), expected(10)]);

    // A trap inside ends the inner batch only.
    let div = batch::<fn(i64, i64) -> i64>(tier, DIV);
    let mut imports = Imports::none();
    imports.func("", "host", move |x: i32| {
        let mut out = [0; 2];
        let result = div.call((&[4, 4], &[2, i64::from(x)]), &mut out);
        result.map_or_else(|error| -(trap_of(Err(error)).0 as i32), |()| out[1] as i32)
    });
    let f = hosted(tier, &imports).batch_func::<fn(i32) -> i32>("f").expect("f");
    let mut out = [7; 3];
    f.call((&[1, 0, 4],), &mut out).expect("no trap");
    assert_eq!(out, [8, -2, 2]);
    *inner.borrow_mut() = None;
}

/// Functions of the host that are exported again: there is one way to all of them with as many integers.
fn what_the_host_defines_can_be_a_batch(tier: Tier) {
    let mut imports = Imports::none();
    imports.func("h", "wide", |x: i64| x + 1);
    imports.func("h", "narrow", |x: i32| {
        if x == 0 { Err("no such row") } else { Ok(1000.0 / f64::from(x)) }
    });
    imports.func("h", "panics", |x: i64| {
        assert!(x < 3, "{x} rows are enough");
        x
    });
    let text = r#"(module
        (import "h" "wide" (func $wide (param i64) (result i64)))
        (import "h" "narrow" (func $narrow (param i32) (result f64)))
        (import "h" "panics" (func $panics (param i64) (result i64)))
        (export "wide" (func $wide)) (export "narrow" (func $narrow))
        (export "panics" (func $panics)))"#;
    let instance = Instance::new(&module(tier, text), &imports).expect("an instance");
    let wide = instance.batch_func::<fn(i64) -> i64>("wide").expect("wide");
    let narrow = instance.batch_func::<fn(i32) -> f64>("narrow").expect("narrow");
    let panics = instance.batch_func::<fn(i64) -> i64>("panics").expect("panics");
    for _ in 0..2 {
        let mut out = [0; 5];
        wide.call((&[1 << 40, -1, 2, 3, 4],), &mut out).expect("no error");
        assert_eq!(out, [(1 << 40) + 1, 0, 3, 4, 5]);
        let mut out = [0.5; 6];
        match narrow.call((&[1, 2, 4, 5, 0, 8],), &mut out) {
            Err(BatchError::Trap { row: 4, trap }) => {
                assert_eq!(trap.code(), TrapCode::HostError);
                assert_eq!(trap.host_error().expect("an error").to_string(), "no such row");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(out, [1000.0, 500.0, 250.0, 200.0, 0.5, 0.5]);
        let mut out = [9; 5];
        let call = AssertUnwindSafe(|| panics.call((&[0, 1, 2, 3, 4],), &mut out));
        let payload = catch_unwind(call).expect_err("the host's panic");
        assert_eq!(payload.downcast_ref::<String>().expect("a message"), "3 rows are enough");
        assert_eq!(out, [0, 1, 2, 9, 9]);
    }
}

fn a_batch_owns_its_instance(tier: Tier) {
    let f = batch::<fn(i64, i64) -> i64>(tier, DIV);
    let other = f.clone();
    drop(f);
    let mut out = [0];
    other.call((&[6], &[3]), &mut out).expect("no trap");
    assert_eq!(out, [2]);
    assert_eq!(format!("{other:?}"), "BatchTypedFunc((i64, i64) -> i64)");
    let error = common::instance(tier, DIV).batch_func::<fn(i64) -> i64>("f").expect_err("two");
    assert!(matches!(error, ExportError::Signature { .. }), "{error}");
    // The other way to make one.
    let typed = common::instance(tier, DIV).typed_func::<fn(u64, u64) -> u64>("f").expect("f");
    let mut out = [0];
    BatchFunc::from(typed).call((&[6], &[2]), &mut out).expect("no trap");
    assert_eq!(out, [3]);
}

on_each_tier!(
    rows_are_computed_in_order,
    a_trap_tells_its_row_and_leaves_the_rest,
    faults_end_a_batch_too,
    lengths_must_agree,
    every_type_travels_unchanged,
    upper_halves_do_not_matter,
    columns_of_both_classes_keep_their_places,
    other_signatures_work_as_well,
    parameters_and_results_may_be_none,
    functions_of_the_host_are_called_for_each_row,
    panics_of_the_host_go_through,
    batches_nest,
    what_the_host_defines_can_be_a_batch,
    a_batch_owns_its_instance,
);
