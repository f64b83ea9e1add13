//! Making and dropping instances: of a module without memory, and of one with.

use std::hint::black_box;

use wasmtime::{InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::engines::{BASELINE, CRANELIFT, Engines, WASMI, WASMTIME};
use crate::programs;
use crate::race::{Contender, Plan, race};
use crate::report::{Goal, Section, duration};

/// 17 pages and a segment of 1 KiB, as a small program of C has them; `touch` reads what the segment
/// put there and writes to another page.
const WITH_MEMORY: &str = r#"(module
    (memory (export "memory") 17)
    (data (i32.const 1024) "SEGMENT")
    (func (export "touch") (param $at i32) (result i32)
        (i32.store (local.get $at) (i32.load (i32.const 1032)))
        (i32.load (local.get $at))))"#;

const POOLING: &str = "wasmtime Cranelift, pooling";

pub fn measure(engines: &Engines, plan: Plan) -> Vec<Section> {
    vec![without_memory(engines, plan), with_memory(engines, plan)]
}

fn with_memory(engines: &Engines, plan: Plan) -> Section {
    let segment: String = (0..1024).map(|i| format!("\\{:02x}", (i * 7 + 1) as u8)).collect();
    let binary = &programs::binary(&WITH_MEMORY.replace("SEGMENT", &segment));
    let at = 16 << 16;
    let mut config = wasmtime::Config::new();
    // Room for what is made here and no more; everything else as it is by default, so that no part
    // of a memory stays resident.
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(8).total_memories(8).total_tables(8).max_memory_size(17 << 16);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    let pooling = wasmtime::Engine::new(&config).expect("the pool is there");

    let mut contenders = Vec::new();
    for (name, engine) in &engines.mini {
        let module = wasm_mini::Module::with_engine(engine, binary).expect("a valid module");
        contenders.push(Contender::new(*name, move || {
            let imports = wasm_mini::Imports::none();
            let instance = wasm_mini::Instance::new(&module, &imports).expect("no imports");
            let touch = instance.typed_func::<fn(i32) -> i32>("touch").expect("the export");
            assert_ne!(touch.call(black_box(at)).expect("no trap"), 0);
        }));
    }
    let on_demand = engines.wasmtime.iter().map(|(name, engine)| (*name, engine));
    for (name, engine) in on_demand.chain([(POOLING, &pooling)]) {
        let module = wasmtime::Module::new(engine, binary).expect("a valid module");
        contenders.push(Contender::new(name, move || {
            let mut store = wasmtime::Store::new(engine, ());
            let instance = wasmtime::Instance::new(&mut store, &module, &[]).expect("no imports");
            let touch = instance.get_typed_func::<i32, i32>(&mut store, "touch");
            let touch = touch.expect("the export");
            assert_ne!(touch.call(&mut store, black_box(at)).expect("no trap"), 0);
        }));
    }
    let module = wasmi::Module::new(&engines.wasmi, binary).expect("a valid module");
    contenders.push(Contender::new(WASMI, move || {
        let mut store = wasmi::Store::new(&engines.wasmi, ());
        let instance = wasmi::Instance::new(&mut store, &module, &[]).expect("no imports");
        let touch = instance.get_typed_func::<i32, i32>(&store, "touch").expect("the export");
        assert_ne!(touch.call(&mut store, black_box(at)).expect("no trap"), 0);
    }));
    let race = race(plan, contenders);
    let note = "A module with 17 pages of memory and a data segment of 1 KiB: made, called once to \
                write one page, and dropped. wasmtime makes memories on demand, or keeps a pool of \
                8 of 17 pages, with its other settings at their defaults (`linear_memory_keep_resident` \
                of 0).";
    let mut section =
        Section::of_race("Making and dropping an instance with memory", note, &race, POOLING);
    for name in [BASELINE, CRANELIFT] {
        let goal = format!("{name} at most 1/3 of {POOLING}");
        section = section.goal(Goal::at_most(goal, race.ratio(name, POOLING), 1.0 / 3.0));
    }
    section
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
