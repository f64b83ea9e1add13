//! Linear memories at their edges: every access at every width around the end, lengths of zero, and
//! memories that come after others.

mod common;

use std::fmt::Write as _;

use common::process::{fork, succeeds, wait_for};
use common::{Random, engine, on_each_tier};
use wasm_mini::{Engine, Func, Imports, Instance, Module, Tier, Trap, TrapCode, Value};

const PAGE: u64 = 65536;
/// The pages of a memory that ends where 32-bit indices do.
const MOST: u64 = 65536;

fn new(tier: Tier, text: &str) -> Instance {
    let module = Module::with_engine(engine(tier), text).expect("a module");
    Instance::new(&module, &Imports::none()).expect("an instance")
}

/// Loads and stores: name, bytes accessed, what is stored or done with the result.
const LOADS: &[(&str, u64)] = &[
    ("i32.load", 4),
    ("i32.load8_s", 1),
    ("i32.load8_u", 1),
    ("i32.load16_s", 2),
    ("i32.load16_u", 2),
    ("i64.load", 8),
    ("i64.load8_s", 1),
    ("i64.load8_u", 1),
    ("i64.load16_s", 2),
    ("i64.load16_u", 2),
    ("i64.load32_s", 4),
    ("i64.load32_u", 4),
    ("f32.load", 4),
    ("f64.load", 8),
    ("v128.load", 16),
    ("v128.load8x8_s", 8),
    ("v128.load8x8_u", 8),
    ("v128.load16x4_s", 8),
    ("v128.load16x4_u", 8),
    ("v128.load32x2_s", 8),
    ("v128.load32x2_u", 8),
    ("v128.load8_splat", 1),
    ("v128.load16_splat", 2),
    ("v128.load32_splat", 4),
    ("v128.load64_splat", 8),
    ("v128.load32_zero", 4),
    ("v128.load64_zero", 8),
];

const LANE_LOADS: &[(&str, u64)] = &[
    ("v128.load8_lane", 1),
    ("v128.load16_lane", 2),
    ("v128.load32_lane", 4),
    ("v128.load64_lane", 8),
];

const STORES: &[(&str, u64, &str)] = &[
    ("i32.store", 4, "(i32.const -1)"),
    ("i32.store8", 1, "(i32.const -1)"),
    ("i32.store16", 2, "(i32.const -1)"),
    ("i64.store", 8, "(i64.const -1)"),
    ("i64.store8", 1, "(i64.const -1)"),
    ("i64.store16", 2, "(i64.const -1)"),
    ("i64.store32", 4, "(i64.const -1)"),
    ("f32.store", 4, "(f32.const -nan:0x7fffff)"),
    ("f64.store", 8, "(f64.const -nan:0xfffffffffffff)"),
    ("v128.store", 16, "(v128.const i64x2 -1 -1)"),
];

const LANE_STORES: &[(&str, u64)] = &[
    ("v128.store8_lane", 1),
    ("v128.store16_lane", 2),
    ("v128.store32_lane", 4),
    ("v128.store64_lane", 8),
];

const OFFSETS: &[u64] = &[
    0,
    1,
    3,
    PAGE - 16,
    PAGE - 1,
    PAGE,
    2 * PAGE,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - PAGE,
    (1 << 32) - 1,
];

/// The type of a load's result.
fn result(name: &str) -> &str {
    name.split('.').next().expect("a prefix")
}

/// A function for each access and offset; each takes the index.
fn accesses(pages: u64) -> (String, Vec<(String, u64, u64, bool)>) {
    let mut text = format!("(module (memory (export \"memory\") {pages})");
    let mut functions = Vec::new();
    for offset in OFFSETS {
        let mut add = |name: &str, width: u64, is_store: bool, result: &str, body: String| {
            let export = format!("{name} offset={offset}");
            let result = if is_store { String::new() } else { format!("(result {result})") };
            write!(text, r#"(func (export "{export}") (param i32) {result} ({body}))"#).unwrap();
            functions.push((export, *offset, width, is_store));
        };
        let index = "(local.get 0)";
        for (name, width) in LOADS {
            let body = format!("{name} offset={offset} {index}");
            add(name, *width, false, result(name), body);
        }
        for (name, width) in LANE_LOADS {
            let vector = "(v128.const i64x2 0 0)";
            let body = format!("{name} offset={offset} 0 {index} {vector}");
            add(name, *width, false, "v128", body);
        }
        for (name, width, value) in STORES {
            add(name, *width, true, "", format!("{name} offset={offset} {index} {value}"));
        }
        for (name, width) in LANE_STORES {
            let vector = "(v128.const i64x2 -1 -1)";
            add(name, *width, true, "", format!("{name} offset={offset} 0 {index} {vector}"));
        }
    }
    text.push(')');
    (text, functions)
}

/// What the call should do; `Err` for anything but a result or this trap.
fn call(f: &Func, index: u64) -> Result<(), TrapCode> {
    match f.call(&[Value::I32(index as u32 as i32)]) {
        Ok(_) => Ok(()),
        Err(wasm_mini::Error::Trap(trap)) => Err(trap.code()),
        Err(other) => panic!("{other}"),
    }
}

fn every_access_around_the_end(tier: Tier) {
    for pages in [0, 1, 3, MOST] {
        let size = pages * PAGE;
        let (text, functions) = accesses(pages);
        let instance = new(tier, &text);
        let memory = instance.memory("memory").expect("memory");
        for (name, offset, width, is_store) in &functions {
            let f = instance.dyn_func(name).expect("a function");
            let last = size as i64 - *offset as i64 - *width as i64;
            let around = (-1..=1).map(|by| last + by).chain([last + *width as i64]);
            let edges = [0, (1 << 31) - 1, 1 << 31, (1 << 32) - 1];
            for index in around.chain(edges) {
                let Ok(index) = u32::try_from(index) else { continue };
                let index = u64::from(index);
                let fits = index + offset + width <= size;
                let expected = if fits { Ok(()) } else { Err(TrapCode::MemoryOutOfBounds) };
                assert_eq!(call(&f, index), expected, "{name} at {index} of {pages} pages");
                if !is_store || !fits {
                    continue;
                }
                // Just these bytes were written.
                let (start, end) = (index + offset, index + offset + width);
                let (from, to) = (start.saturating_sub(16), (end + 16).min(size));
                for at in from..to {
                    let byte = memory.cells()[at as usize].replace(0);
                    let expected = if (start..end).contains(&at) { 0xff } else { 0 };
                    assert_eq!(byte, expected, "{name} at {index}: byte {at}");
                }
            }
        }
        // And a store that trapped wrote nothing; to look through 4 GiB takes too long.
        assert!(
            pages == MOST || memory.cells().iter().all(|cell| cell.get() == 0),
            "{pages} pages"
        );
    }
}

fn constant_indices_around_the_end(tier: Tier) {
    let mut text = String::from("(module (memory 1)");
    let mut expected = Vec::new();
    for offset in [0_u64, 1, PAGE - 4, (1 << 31) - 1, 1 << 31, (1 << 32) - 1] {
        for index in [0_u64, 1, PAGE - 5, PAGE - 4, PAGE - 3, (1 << 31) - 1, 1 << 31, 0xffff_ffff] {
            let name = format!("{index}+{offset}");
            write!(
                text,
                r#"(func (export "load {name}") (result i32)
                    (i32.load offset={offset} (i32.const {index})))
                (func (export "store {name}") (i32.store offset={offset} (i32.const {index})
                    (i32.const 0)))"#
            )
            .unwrap();
            expected.push((name, index + offset + 4 <= PAGE));
        }
    }
    let instance = new(tier, &(text + ")"));
    for (name, fits) in expected {
        for kind in ["load", "store"] {
            let f = instance.dyn_func(&format!("{kind} {name}")).expect("a function");
            assert_eq!(f.call(&[]).is_ok(), fits, "{kind} {name}");
        }
    }
}

/// A copy, fill or init of nothing is within bounds up to the very end, and not beyond.
fn lengths_of_zero(tier: Tier) {
    let instance = new(
        tier,
        r#"(module (memory 1) (data $d "abc")
            (func (export "fill") (param i32 i32 i32)
                (memory.fill (local.get 0) (local.get 1) (local.get 2)))
            (func (export "copy") (param i32 i32 i32)
                (memory.copy (local.get 0) (local.get 1) (local.get 2)))
            (func (export "init") (param i32 i32 i32)
                (memory.init $d (local.get 0) (local.get 1) (local.get 2)))
            (func (export "copy 0") (param i32 i32)
                (memory.copy (local.get 0) (local.get 1) (i32.const 0)))
            (func (export "copy 8") (param i32 i32)
                (memory.copy (local.get 0) (local.get 1) (i32.const 8)))
            (func (export "fill 0") (param i32) (memory.fill (local.get 0) (i32.const 1) (i32.const 0)))
            (func (export "fill 8") (param i32) (memory.fill (local.get 0) (i32.const 1) (i32.const 8)))
            (func (export "drop") (data.drop $d)))"#,
    );
    let three = |name| instance.func::<fn(u32, u32, u32)>(name).expect("a function");
    let two = |name| instance.func::<fn(u32, u32)>(name).expect("a function");
    let one = |name| instance.func::<fn(u32)>(name).expect("a function");
    let out = |result: Result<(), Trap>| match result {
        Ok(()) => false,
        Err(trap) => trap.code() == TrapCode::MemoryOutOfBounds || panic!("{trap}"),
    };
    let (fill, copy, init) = (three("fill"), three("copy"), three("init"));
    for (start, length, fits) in [
        (65536, 0, true),
        (65537, 0, false),
        (u32::MAX, 0, false),
        (65535, 1, true),
        (65535, 2, false),
        (65536, 1, false),
        (1, u32::MAX, false),
        (u32::MAX, u32::MAX, false),
    ] {
        assert_eq!(out(fill(start, 1, length)), !fits, "fill {start} {length}");
        assert_eq!(out(copy(start, 0, length)), !fits, "copy to {start} {length}");
        assert_eq!(out(copy(0, start, length)), !fits, "copy from {start} {length}");
        assert_eq!(out(init(start, 0, length)), !(fits && length <= 3), "init {start} {length}");
    }
    for start in [65536, 65537, u32::MAX] {
        assert_eq!(out(two("copy 0")(start, 0)), start > 65536);
        assert_eq!(out(two("copy 0")(0, start)), start > 65536);
        assert_eq!(out(one("fill 0")(start)), start > 65536);
    }
    for start in [65528, 65529, 65535, 65536, u32::MAX - 7, u32::MAX] {
        assert_eq!(out(two("copy 8")(start, 0)), start > 65528);
        assert_eq!(out(two("copy 8")(0, start)), start > 65528);
        assert_eq!(out(one("fill 8")(start)), start > 65528);
    }
    assert!(!out(init(0, 3, 0)) && out(init(0, 4, 0)) && !out(init(65536, 3, 0)));
    one_call(&instance, "drop");
    assert!(!out(init(0, 0, 0)) && out(init(0, 1, 0)) && out(init(0, 0, 1)));
}

/// Short copies are made of several loads before the first store: also where as many locals as can be are
/// in registers, and where the places overlap.
fn short_copies_beside_many_locals(tier: Tier) {
    const LONGEST: usize = 70;
    const FLOATS: usize = 12;
    let locals = 3..3 + FLOATS;
    let counted: String = locals
        .clone()
        .map(|local| format!("(local.set {local} (f64.add (local.get {local}) (f64.const 1)))"))
        .collect();
    let sum = locals.map(|local| format!("(f64.add (local.get {local}))")).collect::<String>();
    let mut text = "(module (memory (export \"memory\") 1)".to_string();
    for length in 1..=LONGEST {
        let _ = write!(
            text,
            "(func (export \"{length}\") (param i32 i32) (result f64) (local $turns i32) (local {})
                (memory.copy (local.get 0) (local.get 1) (i32.const {length}))
                (loop {counted} (br_if 0
                    (local.tee $turns (i32.lt_u (local.get $turns) (i32.const 1)))))
                (f64.const 0) {sum})",
            "f64 ".repeat(FLOATS),
        );
    }
    let instance = new(tier, &(text + ")"));
    let memory = instance.memory("memory").expect("the memory");
    let before: Vec<u8> = (0..=255).collect();
    for length in 1..=LONGEST {
        let copy = instance.func::<fn(u32, u32) -> f64>(&length.to_string()).expect("the function");
        for (to, from) in [(0, 100), (103, 100), (100, 103), (100, 101), (60, 60)] {
            memory.write(0, &before).expect("room");
            let mut expected = before.clone();
            expected.copy_within(from as usize..from as usize + length, to as usize);
            assert_eq!(copy(to, from), Ok(2.0 * FLOATS as f64), "{length} bytes");
            let mut found = vec![0; before.len()];
            memory.read(0, &mut found).expect("the bytes");
            assert_eq!(found, expected, "{length} bytes from {from} to {to}");
        }
    }
}

fn one_call(instance: &Instance, name: &str) {
    instance.func::<fn()>(name).expect("a function")().expect("no trap");
}

const GROWING: &str = r#"(module (memory (export "memory") 3)
    (data (i32.const 70000) "seventy")
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#;

/// Nothing is in the memory but the segment.
fn assert_new(instance: &Instance, when: &str) {
    let memory = instance.memory("memory").expect("memory");
    let mut bytes = vec![0; memory.size()];
    memory.read(0, &mut bytes).expect("all of it");
    let data = &mut bytes[70000..70007];
    assert_eq!(data, b"seventy");
    data.fill(0);
    if bytes != vec![0; bytes.len()] {
        panic!("{when}: dirty at {:?}", bytes.iter().position(|byte| *byte != 0));
    }
}

/// Makes and drops instances of these modules, and resets some; all of their memories are as new,
/// also where they have grown.
fn come_and_go(modules: &[Module], rounds: usize, seed: u64) {
    let mut random = Random::new(seed);
    for round in 0..rounds {
        let modules = [random.pick(modules), random.pick(modules)];
        let instances =
            modules.map(|module| Instance::new(module, &Imports::none()).expect("an instance"));
        for instance in &instances {
            for life in 0..1 + random.below(3) {
                let memory = instance.memory("memory").expect("memory");
                let grow = instance.func::<fn(u32) -> i32>("grow").expect("grow");
                if life > 0 {
                    instance.reset().expect("a reset");
                    assert_new(instance, &format!("round {round}, life {life}"));
                }
                grow(random.below(4) as u32).expect("no trap");
                assert_new(instance, &format!("round {round}, life {life}, grown"));
                let cells = memory.cells();
                // A few pages, every other page, all of a stretch, or none.
                let pages = cells.len() / 4096;
                let stride = 1 + random.below(3);
                let (from, count) = (random.below(pages), random.pick(&[0, 1, 5, 40, 700]));
                for page in (from..pages).step_by(stride).take(*count) {
                    cells[page * 4096 + random.below(4096)].set(1 + random.below(255) as u8);
                }
            }
        }
    }
}

/// Modules with memories of several sizes, of an engine of their own: no other test's memories come
/// between.
fn of_several_sizes(tier: Tier) -> Vec<Module> {
    let engine = Engine::new(tier).expect("an engine");
    let texts = [3, 2, 40].map(|pages| GROWING.replace(" 3)", &format!(" {pages})")));
    texts.iter().map(|text| Module::with_engine(&engine, text).expect("a module")).collect()
}

/// Nothing of a memory is seen by those that come after it, however it was used.
fn nothing_is_left_in_memories(tier: Tier) {
    come_and_go(&of_several_sizes(tier), 200, 5);
}

/// Nor by those of other threads, which use the same address space.
fn nothing_is_left_for_other_threads(tier: Tier) {
    let modules = of_several_sizes(tier);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let modules = &modules;
            scope.spawn(move || come_and_go(modules, 60, 100 + thread));
        }
    });
}

/// Every byte was written, of sizes around what stays in memory for the next; so was what grew.
fn nothing_is_left_of_full_memories(tier: Tier) {
    let engine = Engine::new(tier).expect("an engine");
    let sizes = [2, 15, 16, 17, 40];
    let modules = sizes.map(|pages| {
        let text = GROWING.replace(" 3)", &format!(" {pages})"));
        Module::with_engine(&engine, text).expect("a module")
    });
    for before in &modules {
        for after in &modules {
            let fill = |instance: &Instance, pages: u32| {
                let memory = instance.memory("memory").expect("memory");
                memory.grow(pages).expect("room");
                assert_new(instance, "grown");
                memory.write(0, &vec![0xa5; memory.size()]).expect("all of it");
            };
            let instance = Instance::new(before, &Imports::none()).expect("an instance");
            assert_new(&instance, "made");
            fill(&instance, 3);
            instance.reset().expect("a reset");
            assert_new(&instance, "reset");
            fill(&instance, 20);
            drop(instance);
            let instance = Instance::new(after, &Imports::none()).expect("an instance");
            assert_new(&instance, "the next");
            fill(&instance, 40);
        }
    }
}

/// A process that forks shares no idle memory with its child.
fn memories_after_a_fork(tier: Tier) {
    succeeds(tier, "memories_after_a_fork", "fork", || {
        let engine = Engine::new(tier).expect("an engine");
        let module = Module::with_engine(&engine, GROWING).expect("a module");
        let new = || Instance::new(&module, &Imports::none()).expect("an instance");
        let use_one = |first: usize| {
            let instance = new();
            for _ in 0..2 {
                assert_new(&instance, "after the fork");
                let memory = instance.memory("memory").expect("memory");
                for cell in memory.cells().iter().skip(first).step_by(4096 * 3) {
                    cell.set(1);
                }
                instance.reset().expect("a reset");
            }
            let memory = instance.memory("memory").expect("memory");
            memory.cells().iter().skip(first).step_by(4096 * 3).for_each(|cell| cell.set(1));
        };
        for _ in 0..3 {
            use_one(0);
        }
        // Each uses pages that the other does not.
        let child = fork(|| (0..20).for_each(|_| use_one(4096)));
        (0..20).for_each(|_| use_one(8192));
        wait_for(child);
    });
}

/// The trap is the access's, whatever stands before it and is done later.
fn a_cast_is_no_access(tier: Tier) {
    const LOAD: &[u8] = &[0x28, 0x02, 0x40];
    for cast in [
        "(i32.reinterpret_f32 (f32.demote_f64 (local.get 1)))",
        "(i32x4.extract_lane 1 (f32x4.splat (f32.demote_f64 (local.get 1))))",
    ] {
        let binary = common::assemble(&format!(
            r#"(module (memory 0) (func (export "f") (param i32 f64) (result i32 i32)
                {cast} (i32.load offset=64 (local.get 0))))"#
        ));
        let load = binary.windows(LOAD.len()).position(|bytes| bytes == LOAD).expect("the load");
        let module = Module::with_engine(engine(tier), &binary).expect("a module");
        let f = common::instantiate(&module).dyn_func("f").expect("f");
        let trap = common::trap(&f, &[Value::I32(0), Value::F64(1.0)]);
        assert_eq!(trap.offset(), Some(load as u32), "{cast}");
    }
}

/// How many pages the calling thread has had to ask the system for.
fn page_faults() -> i64 {
    // SAFETY: all-zero is a valid `rusage`, which the call fills in.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, &mut usage), 0);
        usage.ru_minflt
    }
}

/// Many memories that were used once do not keep the one that comes and goes from being ready.
fn what_was_used_last_is_ready(tier: Tier) {
    let engine = Engine::new(tier).expect("an engine");
    let fill = |pages: u32| {
        let text = format!(
            r#"(module (memory {pages}) (func (export "fill")
                (memory.fill (i32.const 0) (i32.const 1) (i32.const {}))))"#,
            65536 * pages
        );
        Module::with_engine(&engine, text).expect("a module")
    };
    let use_once = |module: &Module| {
        let instance = Instance::new(module, &Imports::none()).expect("an instance");
        instance.func::<fn()>("fill").expect("the export")().expect("no trap");
        instance
    };
    let (large, small) = (fill(15), fill(2));
    drop((0..100).map(|_| use_once(&large)).collect::<Vec<_>>());
    (0..5).for_each(|_| drop(use_once(&small)));
    let before = page_faults();
    (0..200).for_each(|_| drop(use_once(&small)));
    let faults = page_faults() - before;
    // One use touches 32 pages.
    assert!(faults < 200, "{faults} page faults");
}

on_each_tier!(
    a_cast_is_no_access,
    what_was_used_last_is_ready,
    every_access_around_the_end,
    constant_indices_around_the_end,
    lengths_of_zero,
    short_copies_beside_many_locals,
    nothing_is_left_in_memories,
    nothing_is_left_for_other_threads,
    nothing_is_left_of_full_memories,
    memories_after_a_fork,
);
