//! Functions of the host that fail, for each number of parameters: each number has its own way across,
//! and a failure goes another way back.

mod common;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use common::on_each_tier;
use wasm_mini::{Imports, Instance, Tier, TrapCode};

#[derive(Clone, Copy, Debug)]
enum Mode {
    Succeed,
    Fail,
    Panic,
}

thread_local! {
    static MODE: Cell<Mode> = const { Cell::new(Mode::Succeed) };
}

fn act(sum: i64) -> Result<i64, String> {
    match MODE.get() {
        Mode::Succeed => Ok(sum),
        Mode::Fail => Err(format!("refused at {sum}")),
        Mode::Panic => panic!("fell over at {sum}"),
    }
}

/// A program that calls its import in the depths of an expression, with values around it that must
/// survive: the arguments are the numbers from 1 on, and then as many floats.
fn program(ints: usize, floats: usize) -> String {
    let types = " i64".repeat(ints) + &" f64".repeat(floats);
    let ints = (1..=ints).map(|i| format!("(i64.const {i})")).collect::<String>();
    let floats = (1..=floats).map(|i| format!("(f64.const {i})")).collect::<String>();
    format!(
        r#"(module
            (import "h" "f" (func $f (param {types}) (result i64)))
            (func $inner (param i64 f64) (result i64)
                (local $kept i64)
                (local.set $kept (i64.mul (local.get 0) (i64.const 3)))
                (i64.add
                    (i64.add (local.get $kept) (call $f {ints} {floats}))
                    (i64.trunc_f64_s (local.get 1))))
            (func (export "run") (param i64) (result i64)
                (i64.add (call $inner (local.get 0) (f64.const 100)) (local.get 0))))"#
    )
}

fn check(tier: Tier, ints: usize, floats: usize, imports: &Imports) {
    let sum = (1..=ints as i64).sum::<i64>() + (1..=floats as i64).sum::<i64>();
    let module = common::module(tier, program(ints, floats));
    let instance = Instance::new(&module, imports).expect("the import is there");
    let run = instance.func::<fn(i64) -> i64>("run").expect("the export");
    let modes = [
        Mode::Succeed,
        Mode::Fail,
        Mode::Succeed,
        Mode::Panic,
        Mode::Fail,
        Mode::Panic,
        Mode::Succeed,
    ];
    for mode in modes {
        MODE.set(mode);
        let case = format!("{ints} integers, {floats} floats: {mode:?}");
        let called = catch_unwind(AssertUnwindSafe(|| run(7)));
        match (mode, called) {
            (Mode::Succeed, Ok(Ok(result))) => assert_eq!(result, 7 * 3 + sum + 100 + 7, "{case}"),
            (Mode::Fail, Ok(Err(trap))) => {
                assert_eq!(trap.code(), TrapCode::HostError, "{case}");
                let error = trap.host_error().expect("the host's error").to_string();
                assert_eq!(error, format!("refused at {sum}"), "{case}");
                let functions: Vec<_> = trap.backtrace().iter().map(|f| f.function()).collect();
                assert_eq!(functions, [1, 2], "{case}");
                assert!(trap.backtrace().iter().all(|f| f.offset().is_some()), "{case}: {trap:?}");
            }
            (Mode::Panic, Err(payload)) => {
                let message = payload.downcast_ref::<String>().expect("a message");
                assert_eq!(*message, format!("fell over at {sum}"), "{case}");
            }
            (_, other) => panic!("{case}: {other:?}"),
        }
    }
}

macro_rules! cases {
    ($tier:ident: $(($($int:ident)*; $($float:ident)*))*) => {$(
        let mut imports = Imports::none();
        imports.func("h", "f", |$($int: i64,)* $($float: f64,)*| -> Result<i64, String> {
            act(0 $(+ $int)* $(+ $float as i64)*)
        });
        let ints = 0 $(+ { let _ = stringify!($int); 1 })*;
        let floats = 0 $(+ { let _ = stringify!($float); 1 })*;
        check($tier, ints, floats, &imports);
    )*};
}

fn each_number_of_parameters(tier: Tier) {
    cases! { tier:
        (;) (a;) (a b;) (a b c;) (a b c d;) (a b c d e;) (a b c d e f;) (a b c d e f g;)
        (a b c d e f g h;) (a b c d e f g h i j k l;)
        (; u) (a; u v) (a b c d; u v w) (a b c d e; u) (a b c d e f; u v)
        (; p q r s t u v w) (; p q r s t u v w x) (a b c; p q r s t u v w x)
    }
}

on_each_tier!(each_number_of_parameters);
