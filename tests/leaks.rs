//! Instances by the hundred thousand, one after the other: the process grows no further. Each scenario
//! has a process of its own.
//!
//! The test suite makes fewer where nothing is optimised. The whole million:
//!
//! ```text
//! WASM_MINI_INSTANCES=1000000 cargo test --release --test leaks
//! ```
//!
//! which is also what an optimised test suite makes.

mod common;

use std::env;
use std::fs;

use common::on_each_tier;
use common::process::succeeds;
use wasm_mini::{Engine, Imports, Instance, Module, Tier, Value};

/// How many are made after the first ones.
const INSTANCES: u64 = if cfg!(debug_assertions) { 30_000 } else { 1_000_000 };
/// By how much the process may grow. What is lost for each instance would be more: a byte of each of
/// a million, an allocation of each of thirty thousand.
const MOST: u64 = 256 << 10;

fn instances() -> u64 {
    env::var("WASM_MINI_INSTANCES").map_or(INSTANCES, |text| text.parse().expect("a number"))
}

/// The memory that the process has of its own, in bytes.
fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").expect("statm");
    let pages = |column| statm.split(' ').nth(column).and_then(|text| text.parse::<u64>().ok());
    // Less what it shares with files.
    (pages(1).expect("a number") - pages(2).expect("a number")) * 4096
}

/// What may be left behind, one thing after the other. `LARGE` stands for many bytes.
const GUESTS: &[(&str, &str)] = &[
    (
        "without memory",
        r#"(module (func (export "f") (param i64) (result i64)
            (i64.add (local.get 0) (i64.const 4))))"#,
    ),
    (
        "with memory",
        r#"(module (memory (export "m") 1) (data (i32.const 8) "some bytes")
            (func (export "f") (param i64) (result i64)
                (i64.store (i32.const 60000) (local.get 0))
                (i64.add (i64.load (i32.const 60000)) (i64.const 4))))"#,
    ),
    (
        "with much data",
        r#"(module (memory (export "m") 5) (data (i32.const 8) "LARGE")
            (func (export "f") (param i64) (result i64)
                (i64.store (i32.const 60000) (local.get 0))
                (i64.add (i64.load (i32.const 60000)) (i64.const 4))))"#,
    ),
    (
        "with all there is",
        r#"(module (import "h" "f" (func $h (param i64) (result i64)))
            (memory 1 5) (table $t 3 funcref) (table $e 2 externref)
            (global $g (mut i64) (i64.const 0))
            (elem (table $t) (i32.const 0) func $own $h)
            (func $own (param i64) (result i64) (i64.add (local.get 0) (i64.const 1)))
            (func (export "f") (param i64) (result i64)
                (drop (memory.grow (i32.const 1)))
                (drop (table.grow $e (ref.null extern) (i32.const 10)))
                (i64.store (i32.const 100000) (local.get 0))
                (global.set $g (call_indirect $t (param i64) (result i64)
                    (i64.load (i32.const 100000)) (i32.const 1)))
                (call $own (global.get $g))))"#,
    ),
    (
        "that traps",
        r#"(module (memory 1) (func (export "f") (param i64) (result i64) (unreachable)))"#,
    ),
];

/// Makes an instance, uses it, and drops it.
fn make_and_drop(module: &Module, imports: &Imports, number: u64) {
    let instance = Instance::new(module, imports).expect("an instance");
    let _handle = number.is_multiple_of(3).then(|| instance.interrupt_handle());
    if number.is_multiple_of(5) {
        let f = instance.dyn_func("f").expect("f");
        let _ = f.call(&[Value::I64(38)]);
    } else {
        let f = instance.typed_func::<fn(i64) -> i64>("f").expect("f");
        if let Ok(result) = f.call(38) {
            assert_eq!(result, 42);
        }
    }
}

fn instances_leave_nothing(tier: Tier) {
    for (what, text) in GUESTS {
        succeeds(tier, "instances_leave_nothing", what, || {
            // SAFETY: no preconditions. The whole million takes longer than other scenarios may.
            unsafe { libc::alarm(600) };
            let engine = Engine::new(tier).expect("an engine");
            let text = text.replace("LARGE", &"x".repeat(200_000));
            let module = Module::with_engine(&engine, text).expect("a module");
            let mut imports = Imports::none();
            imports.func("h", "f", |x: i64| x + 3);
            let count = instances();
            let make = |count| (0..count).for_each(|n| make_and_drop(&module, &imports, n));
            make(count / 10);
            let before = resident();
            make(count);
            let grown = resident().saturating_sub(before);
            println!("{what}: {} KiB more after {count} instances", grown >> 10);
            assert!(grown <= MOST, "{what}: {grown} bytes more after {count} instances");
        });
    }
}

/// The same for instances that refer to each other, which die together.
fn linked_instances_leave_nothing(tier: Tier) {
    succeeds(tier, "linked_instances_leave_nothing", "linked", || {
        // SAFETY: as above.
        unsafe { libc::alarm(600) };
        let engine = Engine::new(tier).expect("an engine");
        let load = |text| Module::with_engine(&engine, text).expect("a module");
        let first = load(
            r#"(module (memory (export "m") 1) (table (export "t") 2 funcref)
                (func (export "f") (result i32) (call_indirect (result i32) (i32.const 0))))"#,
        );
        let second = load(
            r#"(module (import "a" "m" (memory 1)) (import "a" "t" (table 2 funcref))
                (elem (i32.const 0) func $seven) (func $seven (result i32) (i32.const 7)))"#,
        );
        let count = instances() / 2;
        let make = |count| {
            for _ in 0..count {
                let one = Instance::new(&first, &Imports::none()).expect("an instance");
                let mut imports = Imports::none();
                imports.instance("a", &one);
                Instance::new(&second, &imports).expect("an instance");
                assert_eq!(one.func::<fn() -> i32>("f").expect("f")().expect("no trap"), 7);
            }
        };
        make(count / 10);
        let before = resident();
        make(count);
        let grown = resident().saturating_sub(before);
        println!("linked: {} KiB more after {count} pairs", grown >> 10);
        assert!(grown <= MOST, "{grown} bytes more after {count} pairs of instances");
    });
}

on_each_tier!(instances_leave_nothing, linked_instances_leave_nothing);
