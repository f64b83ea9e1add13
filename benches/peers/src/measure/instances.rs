//! Making and dropping an instance of a module without memory.

use crate::engines::{BASELINE, Engines, WASMI, WASMTIME};
use crate::programs;
use crate::race::{Contender, Plan, race};
use crate::report::{Goal, Section, duration};

pub fn measure(engines: &Engines, plan: Plan) -> Section {
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
}
