//! From the bytes of a module to the result of its function.

use std::hint::black_box;

use crate::engines::{
    self, BASELINE, CRANELIFT, Engines, VALIDATION, WASMI, WASMTIME, WINCH, validate,
};
use crate::programs;
use crate::race::{Contender, Plan, race};
use crate::report::{Goal, Section};

pub fn measure(engines: &Engines, plan: Plan) -> Section {
    let binary = &programs::fixture("add4");
    let mut contenders = vec![Contender::new(VALIDATION, || validate(binary))];
    for (name, engine) in &engines.mini {
        contenders.push(Contender::new(*name, || {
            let add4 = engines::mini(engine, binary).typed_func::<fn(i64) -> i64>("add4");
            add4.expect("the export").call(black_box(2)).expect("no trap")
        }));
    }
    for (name, engine) in &engines.wasmtime {
        contenders.push(Contender::new(*name, || {
            let (mut store, instance) = engines::wasmtime(engine, binary);
            let add4 = instance.get_typed_func::<i64, i64>(&mut store, "add4");
            add4.expect("the export").call(&mut store, black_box(2)).expect("no trap")
        }));
    }
    contenders.push(Contender::new(WASMI, || {
        let (mut store, instance) = engines::wasmi(&engines.wasmi, binary);
        let add4 = instance.get_typed_func::<i64, i64>(&store, "add4");
        add4.expect("the export").call(&mut store, black_box(2)).expect("no trap")
    }));
    let race = race(plan, contenders);

    let note = format!(
        "add4, {} bytes, to the number 6: compiled, instantiated, looked up, called, and dropped. \
         The engines are warm.",
        binary.len()
    );
    Section::of_race("From bytes to the first result", note, &race, VALIDATION)
        .goal(Goal::at_most(
            "baseline at most 2 × validation",
            race.ratio(BASELINE, VALIDATION),
            2.0,
        ))
        .goal(Goal::at_least(
            "cranelift at least 6 × faster than wasmtime Cranelift",
            race.ratio(WASMTIME, CRANELIFT),
            6.0,
        ))
        .goal(Goal::at_least(
            "baseline at least 50 × faster than wasmtime Winch",
            race.ratio(WINCH, BASELINE),
            50.0,
        ))
        .goal(Goal::at_least("baseline faster than wasmi", race.ratio(WASMI, BASELINE), 1.0))
}
