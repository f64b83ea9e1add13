//! Making and dropping instances: of a module without memory, of one with, of one with much data,
//! and of one with a table.

use std::hint::black_box;

use wasmtime::{InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::engines::{BASELINE, CRANELIFT, Engines, WASMI, WASMTIME};
use crate::programs;
use crate::race::{Contender, Plan, Race, race};
use crate::report::{Goal, Section, duration};

/// 17 pages and a segment of 1 KiB, as a small program of C has them; `touch` reads what the segment
/// put there and writes to another page.
const WITH_MEMORY: &str = r#"(module
    (memory (export "memory") 17)
    (data (i32.const 1024) "SEGMENT")
    (func (export "touch") (param $at i64) (result i64)
        (i64.store (i32.wrap_i64 (local.get $at)) (i64.load (i32.const 1032)))
        (i64.load (i32.wrap_i64 (local.get $at)))))"#;

const POOLING: &str = "wasmtime Cranelift, pooling";

pub fn measure(engines: &Engines, plan: Plan) -> Vec<Section> {
    let pooling = pooling();
    vec![
        without_memory(engines, plan),
        with_a_call(engines, &pooling, plan),
        with_memory(engines, &pooling, plan),
        with_much_data(engines, &pooling, plan),
        with_functions(engines, &pooling, plan),
    ]
}

/// wasmtime with room for what is made here and no more; everything else as it is by default, so
/// that no part of a memory stays resident.
fn pooling() -> wasmtime::Engine {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(8).total_memories(8).total_tables(8).max_memory_size(17 << 16);
    let mut config = wasmtime::Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    wasmtime::Engine::new(&config).expect("the pool is there")
}

/// What the contender is called that keeps its instance and resets it.
fn reset(name: &str) -> String {
    format!("{name}, reset")
}

/// Contenders that make an instance, call its export with a number, and drop it; and ours that call
/// it and reset it.
fn calling<'a>(
    engines: &'a Engines,
    pooling: &'a wasmtime::Engine,
    binary: &'a [u8],
    export: &'static str,
    argument: i64,
) -> Vec<Contender<'a>> {
    let mut contenders = Vec::new();
    let imports = wasm_mini::Imports::none;
    for (name, engine) in &engines.mini {
        let module = wasm_mini::Module::with_engine(engine, binary).expect("a valid module");
        contenders.push(Contender::new(*name, move || {
            let instance = wasm_mini::Instance::new(&module, &imports()).expect("no imports");
            let f = instance.typed_func::<fn(i64) -> i64>(export).expect("the export");
            assert_ne!(f.call(black_box(argument)).expect("no trap"), 0);
        }));
    }
    for (name, engine) in &engines.mini {
        let instance = crate::engines::mini(engine, binary);
        let f = instance.typed_func::<fn(i64) -> i64>(export).expect("the export");
        contenders.push(Contender::new(reset(name), move || {
            assert_ne!(f.call(black_box(argument)).expect("no trap"), 0);
            instance.reset().expect("nobody uses it");
        }));
    }
    let on_demand = engines.wasmtime.iter().map(|(name, engine)| (*name, engine));
    for (name, engine) in on_demand.chain([(POOLING, pooling)]) {
        let module = wasmtime::Module::new(engine, binary).expect("a valid module");
        contenders.push(Contender::new(name, move || {
            let mut store = wasmtime::Store::new(engine, ());
            let instance = wasmtime::Instance::new(&mut store, &module, &[]).expect("no imports");
            let f = instance.get_typed_func::<i64, i64>(&mut store, export).expect("the export");
            assert_ne!(f.call(&mut store, black_box(argument)).expect("no trap"), 0);
        }));
    }
    let module = wasmi::Module::new(&engines.wasmi, binary).expect("a valid module");
    contenders.push(Contender::new(WASMI, move || {
        let mut store = wasmi::Store::new(&engines.wasmi, ());
        let instance = wasmi::Instance::new(&mut store, &module, &[]).expect("no imports");
        let f = instance.get_typed_func::<i64, i64>(&store, export).expect("the export");
        assert_ne!(f.call(&mut store, black_box(argument)).expect("no trap"), 0);
    }));
    contenders
}

/// What is asked of both races: beside wasmtime's pool, and of resetting.
fn goals(mut section: Section, race: &Race, most: f64) -> Section {
    for name in [BASELINE, CRANELIFT] {
        let ours = race.least(name);
        section = section
            .goal(Goal::plain(
                format!("{name} at most {}", duration(most)),
                duration(ours),
                ours <= most,
            ))
            .goal(Goal::at_most(
                format!("{name} at most 1/3 of {POOLING}"),
                race.ratio(name, POOLING),
                1.0 / 3.0,
            ))
            .goal(Goal::at_most(
                format!("{name}: a reset at most a new one"),
                race.ratio(&reset(name), name),
                1.0,
            ));
    }
    section
}

fn with_a_call(engines: &Engines, pooling: &wasmtime::Engine, plan: Plan) -> Section {
    let binary = &programs::fixture("add4");
    let race = race(plan, calling(engines, pooling, binary, "add4", 2));
    let note = "add4's module: made, called once, and dropped. *reset*: an instance that is called \
                and reset.";
    let section =
        Section::of_race("Making, calling and dropping an instance", note, &race, POOLING);
    goals(section, &race, 150.0)
}

fn with_memory(engines: &Engines, pooling: &wasmtime::Engine, plan: Plan) -> Section {
    let race = race(plan, with_data(engines, pooling, &with_segment(1 << 10)));
    let note = "A module with 17 pages of memory and a data segment of 1 KiB: made, called once to \
                write one page, and dropped. *reset*: an instance that is called and reset. wasmtime \
                makes memories on demand, or keeps a pool of 8 of 17 pages, with its other settings \
                at their defaults (`linear_memory_keep_resident` of 0).";
    let section =
        Section::of_race("Making and dropping an instance with memory", note, &race, POOLING);
    goals(section, &race, 1500.0)
}

fn with_much_data(engines: &Engines, pooling: &wasmtime::Engine, plan: Plan) -> Section {
    let race = race(plan, with_data(engines, pooling, &with_segment(1 << 20)));
    let note = "The same with a data segment of 1 MiB, into which the call writes.";
    let section =
        Section::of_race("Making and dropping an instance with much data", note, &race, POOLING);
    goals(section, &race, 4000.0)
}

fn with_functions(engines: &Engines, pooling: &wasmtime::Engine, plan: Plan) -> Section {
    const FUNCTIONS: usize = 1000;
    let functions: String = (0..FUNCTIONS)
        .map(|i| {
            format!("(func $f{i} (param i64) (result i64) (i64.add (local.get 0) (i64.const {i})))")
        })
        .collect();
    let elements: String = (0..FUNCTIONS).map(|i| format!(" $f{i}")).collect();
    let binary = &programs::binary(&format!(
        r#"(module (memory 17) (table {FUNCTIONS} funcref) {functions}
            (elem (i32.const 0) func{elements})
            (func (export "call") (param i64) (result i64)
                (call_indirect (param i64) (result i64) (local.get 0) (i32.const 500))))"#
    ));
    let race = race(plan, calling(engines, pooling, binary, "call", 7));
    let note =
        "A module with 17 pages of memory and a table of 1,000 functions, one of which is called.";
    let title = "Making and dropping an instance with a table of functions";
    let section = Section::of_race(title, note, &race, POOLING);
    [BASELINE, CRANELIFT].iter().fold(section, |section, name| {
        let goal = format!("{name} at most {POOLING}");
        section.goal(Goal::at_most(goal, race.ratio(name, POOLING), 1.0))
    })
}

/// [`WITH_MEMORY`] with a segment of so many bytes.
fn with_segment(bytes: usize) -> Vec<u8> {
    let segment: String = (0..bytes).map(|i| format!("\\{:02x}", (i * 7 + 1) as u8)).collect();
    programs::binary(&WITH_MEMORY.replace("SEGMENT", &segment))
}

fn with_data<'a>(
    engines: &'a Engines,
    pooling: &'a wasmtime::Engine,
    binary: &'a [u8],
) -> Vec<Contender<'a>> {
    calling(engines, pooling, binary, "touch", 16 << 16)
}

fn without_memory(engines: &Engines, plan: Plan) -> Section {
    let binary = &programs::fixture("add4");
    let mut contenders = Vec::new();
    for (name, engine) in &engines.mini {
        let module = wasm_mini::Module::with_engine(engine, binary).expect("a valid module");
        contenders.push(Contender::new(*name, move || {
            wasm_mini::Instance::new(&module, &wasm_mini::Imports::none()).expect("no imports")
        }));
    }
    for (name, engine) in &engines.wasmtime {
        let module = wasmtime::Module::new(engine, binary).expect("a valid module");
        contenders.push(Contender::new(*name, move || {
            let mut store = wasmtime::Store::new(engine, ());
            wasmtime::Instance::new(&mut store, &module, &[]).expect("no imports");
            store
        }));
    }
    let module = wasmi::Module::new(&engines.wasmi, binary).expect("a valid module");
    contenders.push(Contender::new(WASMI, move || {
        let mut store = wasmi::Store::new(&engines.wasmi, ());
        wasmi::Instance::new(&mut store, &module, &[]).expect("no imports");
        store
    }));
    let race = race(plan, contenders);
    let note = "add4's module. In wasmtime and wasmi with the store, which holds the instance.";
    let ours = race.least(BASELINE);
    Section::of_race("Making and dropping an instance", note, &race, BASELINE)
        .goal(Goal::plain("at most 150 ns", duration(ours), ours <= 150.0))
        .goal(Goal::at_least("at least 3 × faster than wasmi", race.ratio(WASMI, BASELINE), 3.0))
        .goal(Goal::at_least(
            "at least 5 × faster than wasmtime",
            race.ratio(WASMTIME, BASELINE),
            5.0,
        ))
        .goal(Goal::at_most(
            "cranelift at most 1/4 of wasmtime, on demand",
            race.ratio(CRANELIFT, WASMTIME),
            0.25,
        ))
}
