//! A module of many small functions: what a function costs that has almost no code.

use crate::engines::{BASELINE, Engines, VALIDATION, WASMTIME, WINCH, loaders};
use crate::programs;
use crate::race::{Plan, race};
use crate::report::{Goal, Section};

pub fn measure(engines: &Engines, plan: Plan) -> Section {
    let binary = &programs::hundred();
    let race = race(plan, loaders(engines, binary));
    let note = format!(
        "100 exported functions that each add a constant, {} bytes, to a module whose functions \
         can be called.",
        binary.len()
    );
    Section::of_race("A module of 100 small functions", note, &race, VALIDATION)
        .goal(Goal::at_most(
            "baseline at most 3 × validation",
            race.ratio(BASELINE, VALIDATION),
            3.0,
        ))
        .goal(Goal::at_least(
            "baseline at least 50 × faster than wasmtime Winch",
            race.ratio(WINCH, BASELINE),
            50.0,
        ))
        .goal(Goal::at_least(
            "baseline at least 50 × faster than wasmtime Cranelift",
            race.ratio(WASMTIME, BASELINE),
            50.0,
        ))
}
