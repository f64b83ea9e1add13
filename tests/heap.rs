//! The heap: how much of it compiling takes beyond what comes out, and that calls take none but for errors.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use common::{assemble, on_each_tier};
use wasm_mini::{Engine, Imports, Instance, Module, Tier};

/// The system's allocator, counting what each thread does.
struct Counting;

#[derive(Clone, Copy, Default)]
struct Counts {
    allocations: u64,
    /// Bytes in use; less than nothing if other threads' were freed.
    live: i64,
    /// The most that were.
    peak: i64,
}

thread_local! {
    static COUNTS: Cell<Counts> = const { Cell::new(Counts { allocations: 0, live: 0, peak: 0 }) };
}

fn count(allocated: usize, freed: usize) {
    let mut counts = COUNTS.get();
    counts.allocations += u64::from(allocated > 0);
    // What grows by moving is there twice for a while.
    counts.peak = counts.peak.max(counts.live + allocated as i64);
    counts.live += allocated as i64 - freed as i64;
    COUNTS.set(counts);
}

// SAFETY: everything is the system's allocator's; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What this thread's heap went through while something was done: the number of allocations, and by
/// how many bytes more were in use than before at most.
fn heap_of<T>(work: impl FnOnce() -> T) -> (u64, i64, T) {
    let before = COUNTS.get();
    COUNTS.set(Counts { peak: before.live, ..before });
    let done = work();
    let after = COUNTS.get();
    (after.allocations - before.allocations, after.peak - before.live, done)
}

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

/// How many allocations 1,000 calls make.
fn thousand(mut call: impl FnMut()) -> u64 {
    // The first may be the thread's first.
    call();
    heap_of(|| (0..1000).for_each(|_| call())).0
}

fn calls_allocate_only_errors(tier: Tier) {
    let engine = Engine::new(tier).expect("an engine");
    let text = r#"(module
        (import "" "host" (func $host (param i32) (result i32)))
        (func (export "plain") (param i32 i32) (result i32)
            (i32.add (local.get 0) (local.get 1)))
        (func (export "host") (param i32) (result i32) (call $host (local.get 0)))
        (func (export "divide") (param i32 i32) (result i32)
            (i32.div_s (local.get 0) (local.get 1))))"#;
    let module = Module::with_engine(&engine, text).expect("a module");
    let mut imports = Imports::none();
    imports.func("", "host", |x: i32| x + 1);
    let instance = Instance::new(&module, &imports).expect("an instance");

    let plain = instance.func::<fn(i32, i32) -> i32>("plain").expect("plain");
    assert_eq!(thousand(|| assert_eq!(plain(black_box(3), 4).expect("no trap"), 7)), 0);
    let plain = instance.typed_func::<fn(i32, i32) -> i32>("plain").expect("plain");
    assert_eq!(thousand(|| assert_eq!(plain.call(black_box(3), 4).expect("no trap"), 7)), 0);
    let host = instance.func::<fn(i32) -> i32>("host").expect("host");
    assert_eq!(thousand(|| assert_eq!(host(black_box(3)).expect("no trap"), 4)), 0);
    let divide = instance.func::<fn(i32, i32) -> i32>("divide").expect("divide");
    assert_eq!(thousand(|| assert_eq!(divide(black_box(6), 3).expect("no trap"), 2)), 0);
    // The error and its backtrace, and nothing on the way.
    assert_eq!(thousand(|| assert!(divide(black_box(6), 0).is_err())), 2 * 1000);
}

on_each_tier!(calls_allocate_only_errors);
