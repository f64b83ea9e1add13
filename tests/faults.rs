//! Accesses of memories and tables that are out of bounds: each traps as the operator that it is, in
//! all kinds of functions, and has changed nothing.

mod common;

use common::binary::{mark, offset_of_mark};
use common::{assemble, instance, on_each_tier, trap};
use wasm_mini::{Tier, TrapCode, Value};

/// What comes before the operator, it, and what comes behind. Local 0 is an index out of bounds.
const ACCESSES: &[(TrapCode, &str, &str, &str)] = {
    use TrapCode::{MemoryOutOfBounds as M, TableOutOfBounds as T};
    &[
        (M, "local.get 0", "i32.load", "drop"),
        (M, "i32.const -1", "i64.load8_s", "drop"),
        (M, "i32.const 65535", "i32.load16_u", "drop"),
        (M, "i32.const 0", "f64.load offset=65529", "drop"),
        (M, "i32.const 1", "i32.load offset=0xffffffff", "drop"),
        (M, "local.get 0", "i32.load offset=0xffffffff", "drop"),
        (M, "i32.const 0", "i64.load offset=0x80000000", "drop"),
        (M, "local.get 0 i32.const 5", "i32.store", ""),
        (M, "local.get 0 local.get 0", "i32.store8 offset=200", ""),
        (M, "local.get 0 f64.const 1.5", "f64.store", ""),
        (M, "local.get 0 local.get 1", "f32.store", ""),
        (M, "i32.const 65533 i32.const -1", "i32.store", ""),
        (M, "i32.const 65529 i64.const -1", "i64.store", ""),
        (M, "i32.const 65535 i32.const -1", "i32.store16", ""),
        // Left to the operator behind them.
        (M, "i32.const 7 local.get 0", "i32.load", "i32.sub drop"),
        (M, "i64.const 7 local.get 0", "i64.load", "i64.lt_u drop"),
        (M, "local.get 1 local.get 0", "f32.load", "f32.mul drop"),
        (M, "local.get 0", "i32.load", "i32.eqz drop"),
        // The lower half of this would be in bounds.
        (M, "i32.const 65532", "i64.load", "i64.const 0xffffffff i64.and drop"),
        (M, "i32.const 65532", "i64.load", "i32.wrap_i64 drop"),
        (M, "i32.const 65530 i32.const 9 i32.const 7", "memory.fill", ""),
        (M, "i32.const 65530 i32.const 9 i32.const 100", "memory.fill", ""),
        (M, "local.get 0 i32.const 9 i32.const 0", "memory.fill", ""),
        (M, "i32.const 65500 i32.const 0 i32.const 60", "memory.copy", ""),
        (M, "i32.const 0 i32.const 65500 i32.const 60", "memory.copy", ""),
        (M, "i32.const 65000 i32.const 0 i32.const 600", "memory.copy", ""),
        (M, "i32.const 65535 i32.const 0 i32.const 2", "memory.init 0", ""),
        (M, "i32.const 0 i32.const 3 i32.const 2", "memory.init 0", ""),
        (T, "local.get 0", "table.get 0", "drop"),
        (T, "local.get 0 ref.null func", "table.set 0", ""),
        (T, "i32.const 4", "table.get 1", "drop"),
        (T, "i32.const 4 ref.null extern", "table.set 1", ""),
        (T, "i32.const 3 ref.null func i32.const 2", "table.fill 0", ""),
        (TrapCode::UndefinedElement, "local.get 0", "call_indirect 0", ""),
        (TrapCode::UninitializedElement, "i32.const 1", "call_indirect 0", ""),
        (TrapCode::IndirectCallTypeMismatch, "i32.const 0", "call_indirect 0 (param i32)", ""),
    ]
};

/// The function around the access: it alone, one with a frame, one that calls.
const AROUND: &[(&str, &str)] = &[
    ("", ""),
    (
        "(local i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64)
      (local.set 5 (i64.const 1)) (local.set 13 (i64.extend_i32_u (local.get 0)))",
        "(local.set 5 (i64.add (local.get 13) (local.get 5)))",
    ),
    ("(call $nothing)", "(call $nothing)"),
];

fn accesses_trap_as_the_operators_that_they_are(tier: Tier) {
    for (code, before, operator, after) in ACCESSES {
        // What the index of a type mismatch finds must be there, and take what is given.
        let given = if operator.contains("param") { "i32.const 0" } else { "" };
        for (first, last) in AROUND {
            let text = format!(
                r#"(module (memory (export "memory") 1) (data "abcd")
                  (table 4 funcref) (table 4 externref) (elem (i32.const 0) $nothing)
                  (func $nothing)
                  (func $culprit (param i32 f32) {first} {given} {before} {} {operator} {after} {last})
                  (func $caller (export "f") (param i32 f32)
                    (call $culprit (local.get 0) (local.get 1))))"#,
                mark(1)
            );
            let binary = assemble(&text);
            let instance = instance(tier, &binary);
            let caller = instance.dyn_func("f").expect("f");
            for _ in 0..2 {
                let trap = trap(&caller, &[Value::I32(-16), Value::F32(1.0)]);
                let frames: Vec<_> =
                    trap.backtrace().iter().map(|frame| (frame.name(), frame.offset())).collect();
                assert_eq!(trap.code(), *code, "{text}");
                assert_eq!(
                    frames[0],
                    (Some("culprit"), Some(offset_of_mark(&binary, 1))),
                    "{text}"
                );
                assert_eq!((frames.len(), frames[1].0), (2, Some("caller")), "{text}");
            }
            let memory = instance.memory("memory").expect("it");
            assert!(memory.cells().iter().all(|byte| byte.get() == 0), "{text}");
        }
    }
}

/// A function may end with the call that traps, where the next one begins with what faults.
fn functions_that_meet_keep_their_traps(tier: Tier) {
    let instance = instance(
        tier,
        r#"(module (memory 1)
          (func $none (export "none") unreachable)
          (func $load (export "load") (param i32) (result i32) (i32.load (local.get 0)))
          (func $after (export "after") (param i32) (drop (call $load (i32.const 0))) unreachable)
          (func $store (export "store") (param i32) (i32.store (local.get 0) (i32.const 1)))
          (func $divide (export "divide") (param i32) (result i32)
            (i32.div_u (i32.const 1) (i32.add (local.get 0) (i32.const 16))))
          (func $both (export "both") (param i32) (result i32)
            (i32.div_u (i32.load (local.get 0)) (i32.const 0)))
          (func $through (export "through") (param i32) (call $store (local.get 0)) unreachable)
          (func $last (export "last") unreachable))"#,
    );
    let mut before = 0;
    for (name, parameter, code, frames) in [
        ("none", false, TrapCode::Unreachable, &["none"] as &[_]),
        ("load", true, TrapCode::MemoryOutOfBounds, &["load"]),
        ("after", true, TrapCode::Unreachable, &["after"]),
        ("store", true, TrapCode::MemoryOutOfBounds, &["store"]),
        ("divide", true, TrapCode::IntegerDivideByZero, &["divide"]),
        ("both", true, TrapCode::MemoryOutOfBounds, &["both"]),
        ("through", true, TrapCode::MemoryOutOfBounds, &["store", "through"]),
        ("last", false, TrapCode::Unreachable, &["last"]),
    ] {
        let function = instance.dyn_func(name).expect("it is exported");
        let trap = trap(&function, if parameter { &[Value::I32(-16)] } else { &[] });
        let names: Vec<_> = trap.backtrace().iter().filter_map(|frame| frame.name()).collect();
        assert_eq!((trap.code(), &names[..]), (code, frames), "{name}");
        let at = trap.backtrace().last().and_then(|frame| frame.offset()).expect("an operator");
        assert!(before < at, "{name}: {at:#x} is not behind {before:#x}");
        before = at;
    }
}

/// Loops too deep for Cranelift make the other tier stand in, whose functions are not aligned like
/// Cranelift's.
#[cfg(all(feature = "baseline", feature = "cranelift"))]
#[test]
fn tiers_lie_beside_each_other() {
    use common::{engine, instantiate};
    use wasm_mini::Module;

    let deep = format!("{}{}", "(loop ".repeat(501), ")".repeat(501));
    let deep_add = |name: &str, n: u32| {
        format!(
            "(func ${name} (param i32) (result i32) {deep} (i32.add (local.get 0) (i32.const {n})))"
        )
    };
    let module = Module::with_engine(
        engine(Tier::Cranelift),
        format!(
            r#"(module (memory 1)
              (func $short (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
              {} {}
              (func $load (param i32) (result i32) (i32.load (local.get 0)))
              {}
              (func $f (export "f") (param i32) (result i32)
                (call $second (call $first (call $third (call $short (local.get 0))))))
              (func (export "g") (param i32) (result i32) (call $load (call $third (local.get 0)))))"#,
            deep_add("first", 10),
            deep_add("second", 100),
            deep_add("third", 1000),
        ),
    );
    let instance = instantiate(&module.expect("both tiers' code is linked"));
    let tiers: Vec<_> = (0..7).map(|index| instance.module().tier(index)).collect();
    let [here, other] = [Tier::Cranelift, Tier::Baseline].map(Some);
    assert_eq!(tiers, [here, other, other, here, other, here, here]);
    let f = instance.func::<fn(i32) -> i32>("f").expect("f");
    assert_eq!(f(5).expect("a sum"), 1116);
    let trap = trap(&instance.dyn_func("g").expect("g"), &[Value::I32(-2000)]);
    assert_eq!(trap.code(), TrapCode::MemoryOutOfBounds);
}

on_each_tier!(accesses_trap_as_the_operators_that_they_are, functions_that_meet_keep_their_traps);
