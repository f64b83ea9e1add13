//! The heap: how much of it compiling takes beyond what comes out. What calls take is in `allocations`.

mod common;
#[path = "common/counting.rs"]
mod counting;

use std::hint::black_box;

#[cfg(feature = "baseline")]
use common::assemble;
use counting::heap_of;
#[cfg(feature = "baseline")]
use wasm_mini::{Engine, Module, Tier};

#[test]
fn the_heap_is_counted() {
    let (allocations, peak, _) = heap_of(|| {
        drop(black_box(vec![1u8; 1000]));
        black_box(vec![1u8; 500])
    });
    assert_eq!((allocations, peak), (2, 1000));
    assert_eq!(heap_of(|| ()), (0, 0, ()));
}

/// 10,000 operators of all the usual kinds, in one function: arithmetic, locals, memory, branches,
/// calls. Which of them comes next is random, but always the same.
#[cfg(feature = "baseline")]
fn ten_thousand_operators() -> String {
    const STATEMENTS: [(&str, usize); 8] = [
        ("local.get 0 local.get 1 i32.add local.set 2", 4),
        ("local.get 2 i32.const 77 i32.mul local.get 1 i32.xor local.set 0", 6),
        ("local.get 0 i32.load offset=8 local.set 1", 3),
        ("local.get 2 local.get 0 i32.store offset=4", 3),
        ("block local.get 0 br_if 0 local.get 3 i64.const 1 i64.add local.set 3 end", 8),
        ("local.get 0 if i32.const 3 local.set 1 else i32.const 4 local.set 1 end", 8),
        ("loop local.get 1 local.get 2 i32.lt_s br_if 0 end", 6),
        ("local.get 0 call $f local.set 2", 3),
    ];
    let mut random = common::Random::new(7);
    let (mut body, mut operators) = (String::new(), 0);
    while operators < 10_000 {
        let (statement, count) = *random.pick(&STATEMENTS);
        body += statement;
        body.push('\n');
        operators += count;
    }
    format!(
        "(module (memory 1) (func $f (param i32) (result i32) local.get 0)
        (func (param i32 i32) (local i32 i64) {body}))"
    )
}

/// The bound is on what loading such a module has on the heap at most, less what validating it has at
/// most, less the size of the code. That includes the lists of trap and call sites that the module
/// keeps, and every buffer twice while it grows; the code that will run is not on the heap. The engine
/// has made a small module before.
#[cfg(feature = "baseline")]
#[test]
fn compiling_takes_little_more_than_the_code() {
    const MOST: i64 = 256 << 10;
    let engine = Engine::builder().tier(Tier::Baseline).compile_threads(1);
    let engine = engine.build().expect("an engine");
    let small = assemble("(module (func (export \"f\")))");
    let _kept = Module::with_engine(&engine, &small).expect("a module");
    wasm_mini::validate(&small).expect("a valid module");

    let binary = assemble(&ten_thousand_operators());
    let (_, validating, valid) = heap_of(|| wasm_mini::validate(&binary));
    valid.expect("a valid module");
    let (_, loading, module) = heap_of(|| Module::with_engine(&engine, &binary));
    let code = module.expect("a module").code(1).expect("its code").len() as i64;
    let added = loading - validating;
    assert!(added - code <= MOST, "{added} bytes for {code} of code");

    // The next module finds all that it needs.
    let (_, again, _module) = heap_of(|| Module::with_engine(&engine, &binary));
    assert!(again <= loading, "{again} bytes, {loading} the first time");
}
