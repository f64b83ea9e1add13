//! Calls of functions so small that a compiler may put them where they are called: nobody can tell.

mod common;

use std::fmt::Write as _;

use common::on_each_tier;
use wasm_mini::{Engine, Tier, TrapCode};

/// Parameters that the function overwrites, locals of its own, several results, operands below.
fn locals_are_the_functions_own(tier: Tier) {
    let text = r#"(module
        (func $swap (param i32 i32) (result i32 i32) (local i32)
            (local.set 2 (local.get 0)) (local.set 0 (local.get 1))
            (local.get 0) (local.get 2))
        (func $fresh (result i64) (local i64)
            (i64.add (local.get 0) (local.tee 0 (i64.const 5))))
        (func $nothing (param f64))
        (func (export "f") (param $a i32) (param $b i32) (result i64) (local $c i32) (local $d i32)
            (i64.const 1000000)
            (call $swap (local.get $a) (local.get $b))
            (local.set $d) (local.set $c)
            (call $nothing (f64.const 1))
            (i64.add (call $fresh) (call $fresh))
            (i64.add (i64.extend_i32_s (i32.sub
                (i32.mul (local.get $c) (i32.const 100))
                (i32.add (local.get $d) (i32.mul (local.get $a) (i32.const 10))))))
            (i64.add)))"#;
    let f = common::instance(tier, text).func::<fn(i32, i32) -> i64>("f").expect("the export");
    // c = b, d = a.
    assert_eq!(f(3, 7).expect("no trap"), 1_000_000 + 10 + 7 * 100 - 3 - 30);
    assert_eq!(f(-1, 2).expect("no trap"), 1_000_000 + 10 + 200 + 1 + 10);
}

fn traps_around_it_are_where_they_were(tier: Tier) {
    let text = r#"(module
        (func $add (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
        (func $inner (param i32) (result i32)
            (i32.div_u (i32.const 100) (call $add (local.get 0) (i32.const -3))))
        (func (export "f") (param i32) (result i32) (call $add (call $inner (local.get 0)) (i32.const 1))))"#;
    let binary = common::assemble(text);
    let f = common::instance(tier, &binary).func::<fn(i32) -> i32>("f").expect("the export");
    assert_eq!(f(13).expect("no trap"), 11);
    let trap = f(3).expect_err("a division by zero");
    assert_eq!(trap.code(), TrapCode::IntegerDivideByZero);
    let functions: Vec<_> = trap.backtrace().iter().map(|frame| frame.function()).collect();
    assert_eq!(functions, [1, 2]);
    let at = trap.backtrace()[0].offset().expect("an offset") as usize;
    const I32_DIV_U: u8 = 0x6e;
    assert_eq!(binary[at], I32_DIV_U);
}

/// A recursion that does little but call small functions still ends before the stack does.
fn recursion_overflows(tier: Tier) {
    let text = r#"(module
        (func $inc (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
        (func $f (export "f") (param i32) (result i32)
            (call $inc (call $f (call $inc (local.get 0))))))"#;
    let f = common::instance(tier, text).func::<fn(i32) -> i32>("f").expect("the export");
    assert_eq!(f(0).expect_err("no end").code(), TrapCode::StackOverflow);
}

/// More calls than a caller takes in, in a chain that mistakes in any of them would break.
fn many_calls_are_all_made(tier: Tier) {
    const CALLS: u64 = 5000;
    let mut text = String::from(
        r#"(module
        (func $mix (param i64 i64) (result i64)
            (i64.add (i64.mul (local.get 0) (i64.const 31)) (local.get 1)))
        (func (export "f") (param i64) (result i64) (local.get 0)"#,
    );
    for call in 0..CALLS {
        let _ = write!(text, "(call $mix (i64.const {call}))");
    }
    text += "))";
    let f = common::instance(tier, text).func::<fn(i64) -> i64>("f").expect("the export");
    let mix = |x: i64, call: u64| x.wrapping_mul(31).wrapping_add(call as i64);
    assert_eq!(f(1).expect("no trap"), (0..CALLS).fold(1, mix));
}

/// What a call takes of the fuel does not depend on where the callee is.
#[test]
fn fuel_is_the_same_on_each_tier() {
    let text = r#"(module
        (func $add (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
        (func (export "f") (param i32) (result i32)
            (call $add (call $add (local.get 0) (i32.const 1)) (i32.const 2))))"#;
    let left = Tier::available().iter().map(|tier| {
        let engine = Engine::builder().tier(*tier).fuel(1000).build().expect("an engine");
        let module = wasm_mini::Module::with_engine(&engine, text).expect("a module");
        let instance = common::instantiate(&module);
        let f = instance.func::<fn(i32) -> i32>("f").expect("the export");
        assert_eq!(f(4).expect("no trap"), 7);
        instance.fuel().expect("an engine with fuel").left()
    });
    let left: Vec<_> = left.collect();
    assert!(left.iter().all(|units| *units == left[0] && *units < 1000), "{left:?}");
}

on_each_tier!(
    locals_are_the_functions_own,
    traps_around_it_are_where_they_were,
    recursion_overflows,
    many_calls_are_all_made,
);
