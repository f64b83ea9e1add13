//! Limits: each holds exactly, and the error of each names it.

mod common;

use common::process::in_own_process;
use common::{assemble, engine, on_each_tier};
use wasm_mini::{Engine, Imports, Instance, Limits, LinkError, LoadError, Module, Tier, Value};

fn with(tier: Tier, change: impl FnOnce(&mut Limits)) -> Engine {
    let mut limits = Limits::default();
    change(&mut limits);
    Engine::builder().tier(tier).limits(limits).build().expect("an engine")
}

/// The module loads with the limit at `actual` and not with one less, and the error says so.
fn holds(tier: Tier, name: &str, actual: u32, text: &str, set: fn(&mut Limits, u32)) {
    let binary = assemble(text);
    Module::with_engine(&with(tier, |limits| set(limits, actual)), &binary)
        .unwrap_or_else(|error| panic!("{name} = {actual}: {error}"));
    let error = Module::with_engine(&with(tier, |limits| set(limits, actual - 1)), &binary)
        .expect_err("one too many");
    let LoadError::Limit { what, actual: found, limit } = error else { panic!("{error}") };
    assert_eq!((found, limit), (u64::from(actual), u64::from(actual) - 1), "{what}");
    assert!(what.contains(&format!("`Limits::{name}`")), "{what} should name {name}");
}

fn limits_of_a_module(tier: Tier) {
    let check = |name, actual, text, set| holds(tier, name, actual, text, set);
    check("types", 2, "(module (type (func)) (type (func (param i32))))", |l, n| l.types = n);
    let imports = r#"(module (import "" "a" (func)) (import "" "b" (global i32)))"#;
    check("imports", 2, imports, |l, n| l.imports = n);
    let functions = r#"(module (import "" "a" (func)) (func) (func))"#;
    check("functions", 3, functions, |l, n| l.functions = n);
    let imported = r#"(module (import "" "a" (func)) (import "" "b" (func)))"#;
    check("functions", 2, imported, |l, n| l.functions = n);
    let tables = r#"(module (import "" "t" (table 1 funcref)) (table 1 externref))"#;
    check("tables", 2, tables, |l, n| l.tables = n);
    check("memories", 1, "(module (memory 1))", |l, n| l.memories = n);
    let globals = r#"(module (import "" "g" (global i32)) (global i64 (i64.const 1)))"#;
    check("globals", 2, globals, |l, n| l.globals = n);
    let exports = r#"(module (func (export "a") (export "b")))"#;
    check("exports", 2, exports, |l, n| l.exports = n);
    let elements = "(module (func $f) (elem func $f) (elem func $f) (elem func))";
    check("element_segments", 3, elements, |l, n| l.element_segments = n);
    let data = r#"(module (memory 1) (data "a") (data (i32.const 0) "b"))"#;
    check("data_segments", 2, data, |l, n| l.data_segments = n);
    // No local declarations, two operators, `end`.
    check("function_bytes", 4, "(module (func nop nop))", |l, n| l.function_bytes = n);
    let locals = "(module (func (param i32 i64) (local f32 f64)))";
    check("function_locals", 4, locals, |l, n| l.function_locals = n);
    let size = assemble("(module (func nop))").len() as u32;
    check("module_bytes", size, "(module (func nop))", |l, n| l.module_bytes = u64::from(n));
}

/// No field is without a test here: of each, one sets it.
#[test]
fn no_field_is_left_out() {
    let shown = format!("{:?}", Limits::default());
    let fields = shown.trim_start_matches("Limits { ").trim_end_matches(" }").split(", ");
    let names: Vec<_> = fields.filter_map(|field| field.split(": ").next()).collect();
    assert!(names.len() >= 19 && names.contains(&"stack_bytes"), "{names:?}");
    let source = include_str!("limits.rs");
    for name in names {
        let set = [format!("limits.{name} = "), format!("l.{name} = ")];
        assert!(set.iter().any(|set| source.contains(set)), "nothing sets `{name}`");
    }
}

/// What is refused for more than can be allowed: the format's own bounds, whatever the limits say.
fn raised_numbers_of_sections(tier: Tier) {
    let engine = with(tier, |limits| {
        limits.tables = u32::MAX;
        limits.data_segments = u32::MAX;
        limits.element_segments = u32::MAX;
    });
    // Tables have a higher one than their default.
    let tables = |count: usize| format!("(module {})", "(table 0 funcref)".repeat(count));
    Module::with_engine(&engine, tables(100_000)).expect("more than the default is allowed");
    let error = Module::with_engine(&engine, tables(100_001)).expect_err("one too many");
    assert!(error.to_string().contains("100000"), "{error}");
    let segments = |count: usize| format!("(module {})", "(data)".repeat(count));
    Module::with_engine(&engine, segments(100_000)).expect("the default is allowed");
    let error = Module::with_engine(&engine, segments(100_001)).expect_err("one too many");
    assert!(error.to_string().contains("100000"), "{error}");
}

/// Totals are exact for several memories and tables at once, and for several threads.
fn totals_of_threads(tier: Tier) {
    const THREADS: usize = 3;
    let engine = with(tier, |limits| limits.instances = THREADS as u64 * 2);
    let module = Module::with_engine(&engine, "(module)").expect("a module");
    // As many as there may be, whoever makes them.
    let barrier = std::sync::Barrier::new(THREADS);
    let made: usize = std::thread::scope(|scope| {
        let make = || {
            let mut kept = Vec::new();
            barrier.wait();
            for _ in 0..THREADS * 2 {
                kept.extend(Instance::new(&module, &Imports::none()).ok());
            }
            // All have made what they could before any is dropped.
            barrier.wait();
            kept.len()
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(make)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(made, THREADS * 2);
    let all: Vec<_> = (0..THREADS * 2).map(|_| new(&module).expect("all are free again")).collect();
    new(&module).expect_err("one too many");
    drop(all);
}

fn machine_code(tier: Tier) {
    let text = "(module (func (param i32) (result i32) (i32.mul (local.get 0) (i32.const 77))))";
    let module = Module::with_engine(engine(tier), text).expect("a module");
    let bytes = module.code(0).expect("code").len() as u32;
    holds(tier, "code_bytes", bytes, text, |limits, bytes| limits.code_bytes = bytes);
}

fn raised_beyond_what_there_is(tier: Tier) {
    // The specification's bound of a memory stays, whatever the limit says.
    let engine = with(tier, |limits| {
        limits.memory_pages = u32::MAX;
        limits.function_locals = u32::MAX;
        limits.code_bytes = u32::MAX;
    });
    let module = Module::with_engine(
        &engine,
        r#"(module (memory (export "m") 0) (func (export "grow") (param i32) (result i32)
            (memory.grow (local.get 0))))"#,
    );
    let instance =
        Instance::new(&module.expect("a module"), &Imports::none()).expect("an instance");
    let grow = instance.func::<fn(u32) -> i32>("grow").expect("grow");
    assert_eq!(grow(65_537).expect("no trap"), -1);
    assert_eq!(grow(u32::MAX).expect("no trap"), -1);
    assert_eq!(grow(1).expect("no trap"), 0);
}

fn growth_ends_at_the_limit(tier: Tier) {
    let engine = with(tier, |limits| {
        limits.memory_pages = 5;
        limits.table_elements = 7;
    });
    let module = Module::with_engine(
        &engine,
        r#"(module (memory (export "memory") 1 6) (table (export "table") 2 9 externref)
            (func (export "memory.grow") (param i32) (result i32) (memory.grow (local.get 0)))
            (func (export "memory.size") (result i32) memory.size)
            (func (export "table.grow") (param i32) (result i32)
                (table.grow (ref.null extern) (local.get 0)))
            (func (export "table.size") (result i32) table.size))"#,
    );
    let instance =
        Instance::new(&module.expect("a module"), &Imports::none()).expect("an instance");
    for (kind, first, limit) in [("memory", 1, 5), ("table", 2, 7)] {
        let grow = instance.func::<fn(i32) -> i32>(&format!("{kind}.grow")).expect("grow");
        let size = instance.func::<fn() -> i32>(&format!("{kind}.size")).expect("size");
        assert_eq!(grow(limit).expect("no trap"), -1, "{kind} past the limit at once");
        assert_eq!(grow(-1).expect("no trap"), -1, "{kind} by 4 Gi");
        assert_eq!(grow(limit - first).expect("no trap"), first, "{kind} to the limit");
        assert_eq!(grow(0).expect("no trap"), limit, "{kind} by nothing");
        assert_eq!(grow(1).expect("no trap"), -1, "{kind} by one more");
        assert_eq!(size().expect("no trap"), limit);
    }
    let memory = instance.memory("memory").expect("memory");
    let table = instance.table("table").expect("table");
    let error = memory.grow(1).expect_err("too large").to_string();
    assert!(error.contains("`Limits::memory_pages`") && error.contains("allows 5"), "{error}");
    let error = table.grow(1, &Value::ExternRef(None)).expect_err("too large").to_string();
    assert!(error.contains("`Limits::table_elements`") && error.contains("allows 7"), "{error}");
    // The type's own maximum is told from the limit.
    let error = memory.grow(6).expect_err("too large").to_string();
    assert!(error.contains("its maximum is 6"), "{error}");
    let error = table.grow(3, &Value::ExternRef(None)).expect_err("too large").to_string();
    assert!(error.contains("its maximum is 9"), "{error}");
    assert_eq!((memory.pages(), table.size()), (5, 7));
}

fn minimum_beyond_the_limit(tier: Tier) {
    let engine = with(tier, |limits| {
        limits.memory_pages = 16;
        limits.table_elements = 100;
    });
    let refused = |text| {
        let module = Module::with_engine(&engine, text).expect("a module");
        Instance::new(&module, &Imports::none()).expect_err("too much")
    };
    for text in ["(module (memory 16))", "(module (table 100 funcref))"] {
        let module = Module::with_engine(&engine, text).expect("a module");
        Instance::new(&module, &Imports::none()).expect("just as much as is allowed");
    }
    let error = refused("(module (memory 17))");
    assert!(matches!(error, LinkError::Limit { actual: 17, limit: 16, .. }), "{error:?}");
    assert!(error.to_string().contains("`Limits::memory_pages`"), "{error}");
    let error = refused("(module (table 101 funcref))");
    assert!(matches!(error, LinkError::Limit { actual: 101, limit: 100, .. }), "{error:?}");
    assert!(error.to_string().contains("`Limits::table_elements`"), "{error}");
}

fn new(module: &Module) -> Result<Instance, LinkError> {
    Instance::new(module, &Imports::none())
}

/// What all instances of an engine have together; with `at` as the limit, so much less is too much.
fn totals(tier: Tier) {
    let refused = |result: Result<Instance, LinkError>, name, now, most| match result {
        Err(LinkError::Limit { what, actual, limit }) => {
            assert!(what.contains(&format!("`Limits::{name}`")), "{what} should name {name}");
            assert_eq!((actual, limit), (now, most), "{name}");
        }
        other => panic!("{name}: {other:?}"),
    };

    let engine = with(tier, |limits| limits.instances = 3);
    let module = Module::with_engine(&engine, "(module)").expect("a module");
    let mut live: Vec<_> = (0..3).map(|_| new(&module).expect("an instance")).collect();
    for _ in 0..3 {
        refused(new(&module), "instances", 4, 3);
    }
    // Another thread's are counted, and clones are not.
    let elsewhere = std::thread::spawn({
        let module = module.clone();
        move || new(&module).is_err()
    });
    assert!(elsewhere.join().expect("no panic"));
    let clone = live[0].clone();
    live.remove(0);
    refused(new(&module), "instances", 4, 3);
    drop(clone);
    new(&module).expect("an instance");

    const PAGE: u64 = 65_536;
    let engine = with(tier, |limits| limits.total_memory_bytes = 5 * PAGE);
    let text = r#"(module (memory (export "m") 2) (func (export "grow") (param i32) (result i32)
        (memory.grow (local.get 0))))"#;
    let module = Module::with_engine(&engine, text).expect("a module");
    let (one, two) = (new(&module).expect("an instance"), new(&module).expect("an instance"));
    refused(new(&module), "total_memory_bytes", 6 * PAGE, 5 * PAGE);
    let grow = one.func::<fn(u32) -> i32>("grow").expect("grow");
    assert_eq!((grow(2).expect("no trap"), grow(0).expect("no trap")), (-1, 2));
    assert_eq!((grow(1).expect("no trap"), grow(1).expect("no trap")), (2, -1));
    let error = two.memory("m").expect("memory").grow(1).expect_err("too much").to_string();
    assert!(error.contains("`Limits::total_memory_bytes`"), "{error}");
    // What a reset takes away is free again, and what is dropped.
    one.reset().expect("a reset");
    assert_eq!(two.memory("m").expect("memory").grow(1).expect("room"), 2);
    drop(two);
    assert_eq!(grow(3).expect("no trap"), 2);
    drop((one, grow));
    let (_one, _two) = (new(&module).expect("an instance"), new(&module).expect("an instance"));
    refused(new(&module), "total_memory_bytes", 6 * PAGE, 5 * PAGE);

    let engine = with(tier, |limits| {
        limits.total_table_elements = 10;
        limits.total_memory_bytes = PAGE;
        limits.instances = 2;
    });
    let text = r#"(module (memory 1) (table 3 funcref) (table $t (export "t") 4 externref)
        (func (export "grow") (param i32) (result i32)
            (table.grow $t (ref.null extern) (local.get 0))))"#;
    let module = Module::with_engine(&engine, text).expect("a module");
    let instance = new(&module).expect("an instance");
    let grow = instance.func::<fn(u32) -> i32>("grow").expect("grow");
    assert_eq!((grow(4).expect("no trap"), grow(3).expect("no trap")), (-1, 4));
    let table = instance.table("t").expect("table");
    let error = table.grow(1, &Value::ExternRef(None)).expect_err("too much").to_string();
    assert!(error.contains("`Limits::total_table_elements`"), "{error}");
    // Whatever makes an instantiation fail, what was counted for it is free again.
    refused(new(&module), "total_memory_bytes", 2 * PAGE, PAGE);
    drop((instance, grow, table));
    let tables =
        Module::with_engine(&engine, "(module (memory 1) (table 6 funcref) (table 5 funcref))");
    let tables = tables.expect("a module");
    for _ in 0..3 {
        refused(new(&tables), "total_table_elements", 11, 10);
    }
    let traps = Module::with_engine(&engine, "(module (memory 1) (func unreachable) (start 0))");
    let traps = traps.expect("a module");
    for _ in 0..3 {
        assert!(matches!(new(&traps), Err(LinkError::Start(_))));
    }
    new(&module).expect("an instance");
}

/// Each further KiB of stack lets a recursion go on for just as many frames as fit.
fn stack_bytes(tier: Tier) {
    let depth = move |bytes: u64| {
        let engine = with(tier, |limits| limits.stack_bytes = bytes);
        let text = r#"(module (global $depth (mut i64) (i64.const 0))
            (func $f (export "f") (param i64) (result i64)
                (global.set $depth (i64.add (global.get $depth) (i64.const 1)))
                (i64.add (local.get 0) (call $f (i64.mul (local.get 0) (i64.const 3)))))
            (func (export "depth") (result i64) (global.get $depth)))"#;
        let instance =
            new(&Module::with_engine(&engine, text).expect("a module")).expect("an instance");
        let f = instance.func::<fn(i64) -> i64>("f").expect("f");
        let trap = f(1).expect_err("a recursion without end");
        assert_eq!(trap.code(), wasm_mini::TrapCode::StackOverflow);
        instance.func::<fn() -> i64>("depth").expect("depth")().expect("no trap")
    };
    const KIB: u64 = 1 << 10;
    let run = move || {
        // All from the same depth of the host's own frames.
        [0, 256 * KIB, 512 * KIB, 768 * KIB, 768 * KIB + 1, 1 << 40, u64::MAX].map(depth)
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(run);
    let [none, one, two, three, same, all, most] =
        thread.expect("a thread").join().expect("no panic");
    assert_eq!(none, 0);
    assert!(one > 256, "{one}");
    assert!(((two - one) - (three - two)).abs() <= 1, "{one} {two} {three}");
    assert!((0..=1).contains(&(same - three)), "{three} {same}");
    // No more than the thread has, less what the host keeps.
    let frames_of_a_kib = (two - one) as f64 / 256.0;
    let expected = one as f64 + (2048.0 - 256.0 - 256.0) * frames_of_a_kib;
    assert!((all as f64) < expected + 1.0 && all as f64 > expected * 0.98, "{all} {expected}");
    assert_eq!(all, most);
}

/// The largest that the specification and the limits allow: made, or refused with an error.
fn largest_minimums(tier: Tier) {
    let make = |text: &str| {
        let module = Module::with_engine(engine(tier), text).expect("a module");
        Instance::new(&module, &Imports::none())
    };
    // 4 GiB, of which two pages are touched.
    let memory = r#"(module (memory (export "memory") 65536)
        (func (export "last") (result i32)
            (i32.store8 (i32.const -1) (i32.const 7)) (i32.load8_u (i32.const -1))))"#;
    match make(memory) {
        Ok(instance) => {
            let last = instance.func::<fn() -> i32>("last").expect("last");
            assert_eq!(last().expect("no trap"), 7);
            assert_eq!(instance.memory("memory").expect("memory").size(), 4 << 30);
        }
        Err(error) => assert!(matches!(error, LinkError::Resources(_)), "{error:?}"),
    }
    let table = r#"(module (table $t (export "table") 10000000 funcref) (elem declare func $f)
        (func $f (export "f") (result i32)
            (table.set $t (i32.const 9999999) (ref.func $f))
            (ref.is_null (table.get $t (i32.const 9999998)))))"#;
    match make(table) {
        Ok(instance) => {
            let f = instance.func::<fn() -> i32>("f").expect("f");
            assert_eq!(f().expect("no trap"), 1);
            assert_eq!(instance.table("table").expect("table").size(), 10_000_000);
        }
        Err(error) => assert!(matches!(error, LinkError::Resources(_)), "{error:?}"),
    }
}

/// With little address space: errors, and afterwards all goes on.
fn no_address_space(tier: Tier) {
    let test = format!("{tier}::no_address_space");
    let scenario = || {
        let small = Module::with_engine(engine(tier), r#"(module (func (export "f")))"#);
        let small = small.expect("a module");
        let large = Module::with_engine(engine(tier), "(module (memory 1))").expect("a module");
        let table = "(module (table 10000000 funcref) (table 10000000 externref))";
        let table = Module::with_engine(engine(tier), table).expect("a module");
        let grows = r#"(module (memory (export "m") 0) (func (export "grow") (param i32) (result i32)
            (memory.grow (local.get 0))))"#;
        let grows = Module::with_engine(engine(tier), grows).expect("a module");
        let grows = Instance::new(&grows, &Imports::none()).expect("an instance");
        // 64 MiB more than there is.
        let status = std::fs::read_to_string("/proc/self/statm").expect("statm");
        let pages: u64 = status.split(' ').next().expect("a size").parse().expect("a number");
        let limit = pages * 4096 + (64 << 20);
        let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
        // SAFETY: the structure is alive, and only this process is concerned.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);

        for _ in 0..3 {
            let error = Instance::new(&large, &Imports::none()).expect_err("8 GiB are not there");
            assert!(matches!(error, LinkError::Resources(_)), "{error:?}");
            assert!(error.to_string().contains("emory"), "{error}");
            let error = Instance::new(&table, &Imports::none()).expect_err("nor are 320 MB");
            assert!(error.to_string().contains("10000000"), "{error}");
            let instance = Instance::new(&small, &Imports::none()).expect("an instance");
            instance.func::<fn()>("f").expect("f")().expect("no trap");
        }
        // What was reserved before is still there.
        let grow = grows.func::<fn(i32) -> i32>("grow").expect("grow");
        assert_eq!(grow(16).expect("no trap"), 0);
    };
    if let Some(ending) = in_own_process(&test, &test, scenario) {
        ending.expect_success();
    }
}

on_each_tier!(
    limits_of_a_module,
    machine_code,
    raised_numbers_of_sections,
    totals_of_threads,
    raised_beyond_what_there_is,
    growth_ends_at_the_limit,
    minimum_beyond_the_limit,
    totals,
    stack_bytes,
    largest_minimums,
    no_address_space,
);
