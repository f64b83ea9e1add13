//! What calls take from the heap: nothing, with every kind of signature, in both directions, whether
//! they return or trap. The exceptions are here, too.

mod common;
#[path = "common/counting.rs"]
mod counting;

use std::hint::black_box;

use common::{instance, module, on_each_tier};
use counting::heap_of;
use wasm_mini::{ExternRef, FuncType, Imports, Instance, Tier, TrapCode, ValType, Value};

/// How many allocations 1,000 calls make, after the first.
fn thousand(mut call: impl FnMut()) -> u64 {
    call();
    heap_of(|| (0..1000).for_each(|_| call())).0
}

const TYPED: &str = r#"(module
    (import "" "direct" (func $direct (param i32 f64) (result i32)))
    (import "" "nothing" (func $nothing))
    (import "" "pair" (func $pair (param i32 f32) (result f32 i32)))
    (import "" "many" (func $many (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64)
      (result i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64)))
    (func (export "plain") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
    (func (export "divide") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
    (func (export "divmod") (param i32 i32) (result i32 i32)
      (i32.div_u (local.get 0) (local.get 1)) (i32.rem_u (local.get 0) (local.get 1)))
    (func (export "float") (param f32 f64) (result f64)
      (call $nothing) (f64.add (f64.promote_f32 (local.get 0)) (local.get 1)))
    (func (export "host") (param i32) (result i32) (call $direct (local.get 0) (f64.const 1)))
    (func (export "pair") (param i32 f32) (result f32 i32) (call $pair (local.get 0) (local.get 1)))
    (func (export "many") (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64)
      (result i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64)
      (call $many (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5)
        (local.get 6) (local.get 7) (local.get 8) (local.get 9) (local.get 10) (local.get 11))))"#;

type Twelve = (i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64);
type Many = fn(i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64) -> Twelve;

fn typed(tier: Tier) -> Instance {
    let mut imports = Imports::none();
    imports.func("", "direct", |a: i32, b: f64| a + b as i32);
    imports.func("", "nothing", || {});
    imports.func("", "pair", |a: i32, b: f32| (b, a));
    imports.func(
        "",
        "many",
        |a: i64,
         b: i64,
         c: i64,
         d: i64,
         e: i64,
         f: i64,
         g: i64,
         h: i64,
         i: i64,
         j: i64,
         k: i64,
         l: i64| { (l, k, j, i, h, g, f, e, d, c, b, a) },
    );
    Instance::new(&module(tier, TYPED), &imports).expect("an instance")
}

fn typed_calls_take_nothing(tier: Tier) {
    let instance = typed(tier);
    let plain = instance.func::<fn(i32, i32) -> i32>("plain").expect("plain");
    assert_eq!(thousand(|| assert_eq!(plain(black_box(3), 4), Ok(7))), 0);
    let plain = instance.typed_func::<fn(i32, i32) -> i32>("plain").expect("plain");
    assert_eq!(thousand(|| assert_eq!(plain.call(black_box(3), 4), Ok(7))), 0);
    let divide = instance.func::<fn(i32, i32) -> i32>("divide").expect("divide");
    assert_eq!(thousand(|| assert_eq!(divide(black_box(6), 3), Ok(2))), 0);
    let divmod = instance.typed_func::<fn(u32, u32) -> (u32, u32)>("divmod").expect("divmod");
    assert_eq!(thousand(|| assert_eq!(divmod.call(black_box(17), 5), Ok((3, 2)))), 0);
    let float = instance.func::<fn(f32, f64) -> f64>("float").expect("float");
    assert_eq!(thousand(|| assert_eq!(float(black_box(0.5), 2.0), Ok(2.5))), 0);
}

fn functions_of_the_host_take_nothing(tier: Tier) {
    let instance = typed(tier);
    let host = instance.func::<fn(i32) -> i32>("host").expect("host");
    assert_eq!(thousand(|| assert_eq!(host(black_box(3)), Ok(4))), 0);
    let pair = instance.func::<fn(i32, f32) -> (f32, i32)>("pair").expect("pair");
    assert_eq!(thousand(|| assert_eq!(pair(black_box(3), 1.5), Ok((1.5, 3)))), 0);
    // Stack arguments and a return area, in both directions.
    let many = instance.typed_func::<Many>("many").expect("many");
    let reversed = (12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1);
    let call =
        || assert_eq!(many.call(black_box(1), 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12), Ok(reversed));
    assert_eq!(thousand(call), 0);
}

fn batches_take_nothing(tier: Tier) {
    let instance = typed(tier);
    let (a, b, mut out) = ([6; 10], [3; 10], [0; 10]);
    let divide = instance.batch_func::<fn(i32, i32) -> i32>("divide").expect("divide");
    assert_eq!(thousand(|| divide.call((&a, &b), black_box(&mut out)).expect("no trap")), 0);
    let plain = instance.batch_func::<fn(i32, i32) -> i32>("plain").expect("plain");
    assert_eq!(thousand(|| plain.call((&a, &b), black_box(&mut out)).expect("no trap")), 0);
}

/// A trap that comes from the same place again is not made again.
fn only_the_first_of_equal_traps_is_made(tier: Tier) {
    let text = r#"(module (memory 1)
        (func $divide (export "divide") (param i32 i32) (result i32)
          (i32.div_s (local.get 0) (local.get 1)))
        (func (export "three") (param i32 i32) (result i32)
          (i32.add (call $outer (local.get 0) (local.get 1)) (i32.const 1)))
        (func $outer (param i32 i32) (result i32)
          (i32.add (call $divide (local.get 0) (local.get 1)) (i32.const 1)))
        (func (export "load") (param i32 i32) (result i32) (i32.load (local.get 0))))"#;
    let instance = instance(tier, text);
    let codes = [
        ("divide", TrapCode::IntegerDivideByZero, 1),
        ("three", TrapCode::IntegerDivideByZero, 3),
        ("load", TrapCode::MemoryOutOfBounds, 1),
    ];
    let mut traps = Vec::new();
    for (name, code, frames) in codes {
        let func = instance.func::<fn(i32, i32) -> i32>(name).expect("the export");
        let call = || {
            let trap = func(black_box(-8), 0).expect_err("a trap");
            assert_eq!((trap.code(), trap.backtrace().len()), (code, frames));
            trap
        };
        assert_eq!(thousand(|| drop(call())), 0, "{name}");
        traps.push(call());
    }
    // Each is told from the ones before, whichever came last.
    for (i, (name, ..)) in codes.iter().enumerate().chain(codes.iter().enumerate().rev()) {
        let func = instance.func::<fn(i32, i32) -> i32>(name).expect("the export");
        let trap = func(-8, 0).expect_err("a trap");
        assert_eq!(traps.iter().position(|known| *known == trap), Some(i), "{name}");
    }
    // The same place for another reason: the quotient is too large.
    let divide = instance.func::<fn(i32, i32) -> i32>("divide").expect("divide");
    let (zero, large) = (divide(1, 0), divide(i32::MIN, -1));
    assert_eq!(zero.expect_err("a trap").code(), TrapCode::IntegerDivideByZero);
    assert_eq!(large.expect_err("a trap").code(), TrapCode::IntegerOverflow);
    // Deep ones are made each time: an error, a backtrace.
    let deep = r#"(module (func $f (export "f") (param i32) (result i32)
        (if (i32.eqz (local.get 0)) (then unreachable))
        (i32.add (call $f (i32.sub (local.get 0) (i32.const 1))) (i32.const 1))))"#;
    let deep = common::instance(tier, deep).func::<fn(i32) -> i32>("f").expect("f");
    assert_eq!(thousand(|| assert_eq!(deep(20).expect_err("a trap").backtrace().len(), 21)), 2000);
}

fn dynamic_calls_into_a_slice_take_nothing(tier: Tier) {
    let instance = typed(tier);
    let divide = instance.dyn_func("divide").expect("divide");
    let mut out = [Value::I32(0)];
    let call = || {
        divide.call_into(black_box(&[Value::I32(6), Value::I32(3)]), &mut out).expect("no trap");
        assert_eq!(out, [Value::I32(2)]);
    };
    assert_eq!(thousand(call), 0);
    // The convenient form makes the list of results.
    assert_eq!(
        thousand(|| drop(divide.call(&[Value::I32(6), Value::I32(3)]).expect("no trap"))),
        1000
    );

    let many = instance.dyn_func("many").expect("many");
    let arguments: Vec<Value> = (0..12).map(Value::I64).collect();
    let mut out = vec![Value::I64(0); 12];
    assert_eq!(thousand(|| many.call_into(black_box(&arguments), &mut out).expect("no trap")), 0);
    assert!(out.iter().rev().eq(&arguments));

    let text = r#"(module (func (export "f") (param v128 externref f32) (result f32 externref v128)
        (local.get 2) (local.get 1) (local.get 0)))"#;
    let swap = common::instance(tier, text).dyn_func("f").expect("f");
    let arguments =
        [Value::V128(1 << 100 | 7), Value::ExternRef(ExternRef::new(5)), Value::F32(1.5)];
    let mut out = [const { Value::I32(0) }; 3];
    assert_eq!(thousand(|| swap.call_into(black_box(&arguments), &mut out).expect("no trap")), 0);
    assert!(out.iter().rev().eq(&arguments));
}

/// What needs more than 64 words of memory goes through the heap once.
fn a_hundred_arguments_take_one_allocation(tier: Tier) {
    let text = format!(
        r#"(module (func (export "f") (param {0}) (result {0}) {1}))"#,
        "i64 ".repeat(100),
        (0..100).rev().map(|i| format!("(local.get {i})")).collect::<String>()
    );
    let reverse = instance(tier, text).dyn_func("f").expect("f");
    let arguments: Vec<Value> = (0..100).map(Value::I64).collect();
    let mut out = vec![Value::I32(0); 100];
    assert_eq!(
        thousand(|| reverse.call_into(black_box(&arguments), &mut out).expect("no trap")),
        1000
    );
    assert!(out.iter().rev().eq(&arguments));
}

/// Functions as values: passing them on takes nothing but a count.
fn references_to_functions_take_nothing(tier: Tier) {
    let text = r#"(module (elem declare func $f)
        (func $f (export "f") (param funcref) (result funcref) (local.get 0)))"#;
    let f = instance(tier, text).dyn_func("f").expect("f");
    let arguments = [Value::FuncRef(Some(f.clone()))];
    let mut out = [Value::FuncRef(None)];
    assert_eq!(thousand(|| f.call_into(black_box(&arguments), &mut out).expect("no trap")), 0);
    assert_eq!(out, arguments);
}

/// Functions of the host of dynamic signature get a list of arguments and return one of results.
fn dynamic_functions_of_the_host_take_two_lists(tier: Tier) {
    let text = r#"(module (import "" "host" (func $host (param i32) (result i32)))
        (func (export "f") (param i32) (result i32) (call $host (local.get 0))))"#;
    let mut imports = Imports::none();
    let ty = FuncType::new([ValType::I32], [ValType::I32]);
    imports.func_dyn("", "host", ty, |_, arguments| Ok(arguments.to_vec()));
    let instance = Instance::new(&module(tier, text), &imports).expect("an instance");
    let f = instance.func::<fn(i32) -> i32>("f").expect("f");
    assert_eq!(thousand(|| assert_eq!(f(black_box(3)), Ok(3))), 2000);
}

on_each_tier!(
    typed_calls_take_nothing,
    functions_of_the_host_take_nothing,
    batches_take_nothing,
    only_the_first_of_equal_traps_is_made,
    dynamic_calls_into_a_slice_take_nothing,
    a_hundred_arguments_take_one_allocation,
    references_to_functions_take_nothing,
    dynamic_functions_of_the_host_take_two_lists,
);
