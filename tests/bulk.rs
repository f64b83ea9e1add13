//! Operators that work on millions of bytes or elements: a guest ends in the middle of one, and what is
//! done by then is done in whole elements, in the order that the operator says.

mod common;
#[path = "common/patience.rs"]
mod patience;

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use common::{Random, alone, assemble, on_each_tier};
use patience::{KINDS, is_interrupted, patiently};
use wasm_mini::{
    Engine, Imports, Instance, InterruptHandle, Interruption, Limits, Module, Tier, TrapCode, Value,
};

/// How many elements a table has: many times what is moved at a time.
const ELEMENTS: usize = 20 << 14;
/// The same for the bytes of a memory.
const BYTES: usize = 12 << 20;

/// Functions that never return by themselves, in one operator, and one that fails by itself.
fn endless() -> String {
    format!(
        r#"(module
    (memory (export "memory") 16384)
    (table $t {ELEMENTS} funcref)
    (table $u {ELEMENTS} funcref)
    (table $e {ELEMENTS} externref)
    (elem $many func {functions})
    (data $d "{bytes}")
    (func $f)
    (func (export "fill") (loop (memory.fill (i32.const 0) (i32.const 7) (i32.const 0x40000000)) (br 0)))
    (func (export "up") (loop (memory.copy (i32.const 1) (i32.const 0) (i32.const 0x3fffffff)) (br 0)))
    (func (export "down") (loop (memory.copy (i32.const 0) (i32.const 1) (i32.const 0x3fffffff)) (br 0)))
    (func (export "init") (loop
        (memory.init $d (i32.const 5) (i32.const 0) (i32.const {BYTES})) (br 0)))
    (func (export "table.fill") (loop
        (table.fill $t (i32.const 0) (ref.func $f) (i32.const {ELEMENTS})) (br 0)))
    (func (export "externs.fill") (loop
        (table.fill $e (i32.const 0) (ref.null extern) (i32.const {ELEMENTS})) (br 0)))
    (func (export "table.up") (loop
        (table.copy $t $t (i32.const 1) (i32.const 0) (i32.const {most})) (br 0)))
    (func (export "table.down") (loop
        (table.copy $t $t (i32.const 0) (i32.const 1) (i32.const {most})) (br 0)))
    (func (export "table.across") (loop
        (table.copy $t $u (i32.const 0) (i32.const 0) (i32.const {ELEMENTS})) (br 0)))
    (func (export "table.init") (loop
        (table.init $t $many (i32.const 0) (i32.const 0) (i32.const {ELEMENTS})) (br 0)))
    (func (export "table.grow") (loop
        (drop (table.grow $u (ref.func $f) (i32.const 1000000))) (br 0)))
    (func (export "externs.grow") (loop
        (drop (table.grow $e (ref.null extern) (i32.const 1000000))) (br 0)))
    (func (export "wrong") (memory.fill (i32.const 1) (i32.const 7) (i32.const 0x40000000))))"#,
        functions = "$f ".repeat(ELEMENTS),
        bytes = "x".repeat(BYTES),
        most = ELEMENTS - 1,
    )
}

const ENDLESS: &[&str] = &[
    "fill",
    "up",
    "down",
    "init",
    "table.fill",
    "externs.fill",
    "table.up",
    "table.down",
    "table.across",
    "table.init",
    "table.grow",
    "externs.grow",
];

fn long_operators_end(tier: Tier) {
    let _alone = alone();
    let binary = assemble(&endless());
    patiently(|| {
        for kind in KINDS {
            let engine = patience::engine(tier, *kind);
            let module = Module::with_engine(&engine, &binary).expect("a module");
            let instance = Instance::new(&module, &Imports::none()).expect("an instance");
            for name in ENDLESS {
                let function = instance.typed_func::<fn()>(name).expect(name);
                is_interrupted(function.call_with_deadline(Duration::from_millis(2)));
                let trap = function.call_with_deadline(Duration::ZERO).expect_err("a trap");
                // The operator that was interrupted is known.
                assert_eq!((trap.code(), trap.backtrace().len()), (TrapCode::Interrupted, 1));
            }
            // What fails by itself fails by that.
            let wrong = instance.func::<fn()>("wrong").expect("wrong");
            assert_eq!(wrong().expect_err("a trap").code(), TrapCode::MemoryOutOfBounds);
        }
    });
}

/// Tables that grow, of both kinds; with the size that each has in the guest's view.
const GROWING: &str = r#"(module
    (table $f (export "functions") 3 funcref) (table $e (export "externs") 3 externref)
    (elem declare func $one)
    (func $one (result i32) (i32.const 1))
    (func (export "functions.grow") (param i32) (result i32)
        (table.grow $f (ref.func $one) (local.get 0)))
    (func (export "externs.grow") (param i32) (result i32)
        (table.grow $e (ref.null extern) (local.get 0)))
    (func (export "functions.size") (result i32) (table.size $f))
    (func (export "externs.size") (result i32) (table.size $e))
    (func (export "call") (param i32) (result i32) (call_indirect $f (result i32) (local.get 0))))"#;

fn with_large_tables(tier: Tier, kind: Interruption) -> Engine {
    let mut limits = Limits::default();
    limits.table_elements = u32::MAX;
    limits.total_table_elements = 1 << 30;
    let builder = Engine::builder().tier(tier).interruption(kind).limits(limits);
    builder.build().expect("an engine")
}

/// A request that is there when the growth begins: the table stays as it was, wherever one looks.
fn a_growth_happens_or_does_not(tier: Tier) {
    const MANY: i32 = 100_000;
    for kind in KINDS {
        let engine = with_large_tables(tier, *kind);
        let module = Module::with_engine(&engine, GROWING).expect("a module");
        let handle = Rc::new(RefCell::new(None::<InterruptHandle>));
        let asked = handle.clone();
        let limiter = move |_: &wasm_mini::Growth| {
            if let Some(handle) = &*asked.borrow() {
                handle.interrupt();
            }
            true
        };
        let instance = Instance::with_limiter(&module, &Imports::none(), limiter);
        let instance = instance.expect("an instance");
        let mut size = 3;
        for name in ["functions", "externs"] {
            let grow = instance.func::<fn(i32) -> i32>(&format!("{name}.grow")).expect("grow");
            let guest = instance.func::<fn() -> i32>(&format!("{name}.size")).expect("size");
            let table = instance.table(name).expect(name);
            size = 3;
            for round in 0..4 {
                handle.replace(Some(instance.interrupt_handle()));
                is_interrupted(grow(MANY));
                assert_eq!((guest().expect("no trap"), table.size()), (size, size as u32));
                assert_eq!(table.get(size as u32), None);
                assert!(matches!(
                    table.get(0),
                    Some(Value::FuncRef(None) | Value::ExternRef(None))
                ));
                handle.replace(None);
                // Nothing is left of it; now it has room, and now it has not.
                assert_eq!(grow(MANY).expect("no trap"), size, "round {round}");
                size += MANY;
                assert_eq!((guest().expect("no trap"), table.size()), (size, size as u32));
            }
        }
        let call = instance.func::<fn(i32) -> i32>("call").expect("call");
        assert_eq!(call(2).expect_err("null").code(), TrapCode::UninitializedElement);
        assert!((3..size).step_by(1000).all(|index| call(index).expect("no trap") == 1));
        assert_eq!(call(size).expect_err("none").code(), TrapCode::UndefinedElement);
    }
}

/// What was counted for a growth that did not happen is not counted.
fn a_growth_that_was_given_up_is_not_counted(tier: Tier) {
    let mut limits = Limits::default();
    limits.total_table_elements = 50_000;
    let engine = Engine::builder().tier(tier).limits(limits).build().expect("an engine");
    let module = Module::with_engine(&engine, GROWING).expect("a module");
    let handle = Rc::new(RefCell::new(None::<InterruptHandle>));
    let asked = handle.clone();
    let limiter = move |_: &wasm_mini::Growth| {
        if let Some(handle) = &*asked.borrow() {
            handle.interrupt();
        }
        true
    };
    let instance = Instance::with_limiter(&module, &Imports::none(), limiter).expect("an instance");
    let grow = instance.func::<fn(i32) -> i32>("externs.grow").expect("grow");
    handle.replace(Some(instance.interrupt_handle()));
    for _ in 0..5 {
        is_interrupted(grow(40_000));
    }
    handle.replace(None);
    assert_eq!(grow(49_995).expect("no trap"), -1, "one too many");
    assert_eq!(grow(49_994).expect("no trap"), 3);
}

/// 2 GiB of elements in one operator.
fn a_huge_growth_ends(tier: Tier) {
    let _alone = alone();
    patiently(|| {
        for kind in KINDS {
            let module = Module::with_engine(&with_large_tables(tier, *kind), GROWING);
            let module = module.expect("a module");
            let instance = Instance::new(&module, &Imports::none()).expect("an instance");
            let grow = instance.typed_func::<fn(i32) -> i32>("externs.grow").expect("grow");
            let table = instance.table("externs").expect("externs");
            match grow.call_with_deadline(Duration::from_millis(1), 1 << 28) {
                // A machine without so much address space for one allocation.
                Ok(grown) => assert_eq!((grown, table.size()), (-1, 3)),
                Err(trap) => {
                    assert_eq!((trap.code(), table.size()), (TrapCode::Interrupted, 3));
                }
            }
            assert_eq!(grow.call(5).expect("no trap"), 3);
        }
    });
}

/// Bytes and elements that differ from their neighbours, operators on them, and what is found.
fn contents() -> String {
    let mut random = Random::new(5);
    let bytes: String = (0..BYTES).map(|_| char::from(b'a' + random.below(26) as u8)).collect();
    let functions: Vec<String> =
        (0..ELEMENTS).map(|_| format!("$f{}", 5 + random.below(4))).collect();
    let definitions: String =
        (1..9).map(|n| format!("(func $f{n} (result i32) (i32.const {n}))")).collect();
    format!(
        r#"(module
    (memory (export "memory") {pages})
    (table $t {ELEMENTS} funcref) (table $u {ELEMENTS} funcref) (table $some 4 funcref)
    (elem (table $some) (i32.const 0) func $f1 $f2 $f3 $f4)
    (elem $many func {functions})
    (data $d "{bytes}")
    {definitions}
    (func $hash (param i32) (result i32)
        (i32.shr_u (i32.mul (local.get 0) (i32.const 0x9e3779b1)) (i32.const 13)))
    (func (export "memory.prepare") (param $i i32)
        (loop
            (i32.store (local.get $i) (call $hash (local.get $i)))
            (br_if 0 (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4)))
                (i32.const {BYTES})))))
    (func (export "table.prepare") (param $i i32)
        (loop
            (table.set $t (local.get $i)
                (table.get $some (i32.and (call $hash (local.get $i)) (i32.const 3))))
            (table.set $u (local.get $i)
                (table.get $some (i32.and (call $hash (i32.add (local.get $i) (i32.const 99)))
                    (i32.const 3))))
            (br_if 0 (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                (i32.const {ELEMENTS})))))
    (func (export "memory.show") (param i32))
    (func (export "table.show") (param $i i32)
        (loop
            (i32.store8 (local.get $i) (call_indirect $t (result i32) (local.get $i)))
            (br_if 0 (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                (i32.const {ELEMENTS})))))
    (func (export "memory.fill") (memory.fill (i32.const 3) (i32.const 7) (i32.const {bytes_3})))
    (func (export "memory.up") (memory.copy (i32.const 3) (i32.const 0) (i32.const {bytes_3})))
    (func (export "memory.down") (memory.copy (i32.const 0) (i32.const 3) (i32.const {bytes_3})))
    (func (export "memory.init") (memory.init $d (i32.const 3) (i32.const 0) (i32.const {bytes_3})))
    (func (export "table.fill") (table.fill $t (i32.const 3) (ref.func $f7) (i32.const {elements_3})))
    (func (export "table.up") (table.copy $t $t (i32.const 3) (i32.const 0) (i32.const {elements_3})))
    (func (export "table.down") (table.copy $t $t (i32.const 0) (i32.const 3) (i32.const {elements_3})))
    (func (export "table.across")
        (table.copy $t $u (i32.const 3) (i32.const 0) (i32.const {elements_3})))
    (func (export "table.init")
        (table.init $t $many (i32.const 3) (i32.const 0) (i32.const {elements_3}))))"#,
        pages = BYTES >> 16,
        functions = functions.join(" "),
        bytes_3 = BYTES - 3,
        elements_3 = ELEMENTS - 3,
    )
}

/// An operator that was given up has done a part of its work: what it begins with, and no more. Whether
/// it was some, and not all.
fn is_a_part(name: &str, before: &[u8], after: &[u8], found: &[u8], backwards: bool) -> bool {
    let (same, unchanged): (usize, Range<usize>) = if backwards {
        let same = after.iter().zip(found).rev().take_while(|(a, b)| a == b).count();
        (same, 0..found.len() - same)
    } else {
        let same = after.iter().zip(found).take_while(|(a, b)| a == b).count();
        (same, same..found.len())
    };
    let torn = found[unchanged.clone()] != before[unchanged];
    assert!(!torn, "{name} has done {same} of {}, and not only those", found.len());
    found != before && found != after
}

fn what_is_done_by_halves(tier: Tier) {
    let _alone = alone();
    let binary = assemble(&contents());
    patiently(|| {
        for kind in KINDS {
            let engine = patience::engine(tier, *kind);
            let module = Module::with_engine(&engine, &binary).expect("a module");
            let instance = Instance::new(&module, &Imports::none()).expect("an instance");
            let memory = instance.memory("memory").expect("memory");
            let mut random = Random::new(7);
            let operators: &[(&str, usize, &[&str])] = &[
                ("memory", BYTES, &["fill", "up", "down", "init"]),
                ("table", ELEMENTS, &["fill", "up", "down", "across", "init"]),
            ];
            for (what, len, operators) in operators {
                let prepare = instance.func::<fn(i32)>(&format!("{what}.prepare")).unwrap();
                let show = instance.func::<fn(i32)>(&format!("{what}.show")).unwrap();
                let look = || {
                    show(0).expect("no trap");
                    let mut found = vec![0; *len];
                    memory.read(0, &mut found).expect("inside");
                    found
                };
                prepare(0).expect("no trap");
                let before = look();
                for operator in *operators {
                    let name = format!("{what}.{operator}");
                    let function = instance.typed_func::<fn()>(&name).expect("an operator");
                    prepare(0).expect("no trap");
                    function.call().expect("no trap");
                    let after = look();
                    match *operator {
                        "up" => {
                            assert!(after[3..] == before[..len - 3] && after[..3] == before[..3])
                        }
                        "down" => {
                            assert!(after[..len - 3] == before[3..]);
                            assert!(after[len - 3..] == before[len - 3..]);
                        }
                        _ => assert!(after[..3] == before[..3] && after[3..] != before[3..]),
                    }
                    if *operator == "fill" {
                        assert!(after[3..].iter().all(|value| *value == 7));
                    }
                    // Until one is found half done: some come to an end before the watcher wakes.
                    loop {
                        prepare(0).expect("no trap");
                        let deadline = Duration::from_micros(random.below(2000) as u64);
                        let ended = function.call_with_deadline(deadline);
                        let found = look();
                        let Err(trap) = ended else {
                            assert!(found == after, "{name} has come to its end");
                            continue;
                        };
                        assert_eq!(trap.code(), TrapCode::Interrupted);
                        // Of a fill, the first elements are not written.
                        let skip = if *operator == "down" { 0 } else { 3 };
                        assert!(found[..skip] == before[..skip]);
                        // The higher the destination, as if all tables were one.
                        let backwards = matches!(*operator, "up" | "across");
                        let parts = (&before[skip..], &after[skip..], &found[skip..]);
                        if is_a_part(&name, parts.0, parts.1, parts.2, backwards) {
                            break;
                        }
                    }
                }
            }
        }
    });
}

on_each_tier!(
    long_operators_end,
    a_growth_happens_or_does_not,
    a_growth_that_was_given_up_is_not_counted,
    a_huge_growth_ends,
    what_is_done_by_halves,
);
