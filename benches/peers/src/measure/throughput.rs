//! How fast code is compiled.

use crate::engines::{BASELINE, CRANELIFT, Engines, VALIDATION, WASMTIME, WINCH, loaders};
use crate::programs;
use crate::race::{Plan, race};
use crate::report::{Goal, Section, digits, times};

const FUNCTIONS: u32 = 400;

pub fn measure(engines: &Engines, plan: Plan) -> Section {
    let binary = &programs::large(FUNCTIONS);
    let code = programs::code_section_len(binary) as f64;
    let race = race(plan, loaders(engines, binary));
    let note = format!(
        "A generated module of {FUNCTIONS} functions of integer code (loops, branches, arithmetic \
         on locals, calls), {code} bytes of code section, to a module whose functions can be \
         called. MB are of code section.",
    );
    let header = ["", "MB/s, best", "MB/s, median", "time, × wasmparser validation"];
    let mut section = Section::new("Compile throughput", note, &header);
    for result in &race.0 {
        section.rows.push(vec![
            result.name.clone(),
            digits(code / result.least * 1e3),
            digits(code / result.median * 1e3),
            times(race.ratio(&result.name, VALIDATION)),
        ]);
    }
    section
        .goal(Goal::at_most(
            "baseline at most 3 × validation",
            race.ratio(BASELINE, VALIDATION),
            3.0,
        ))
        .goal(Goal::at_least(
            "baseline at least 10 × faster than wasmtime Winch",
            race.ratio(WINCH, BASELINE),
            10.0,
        ))
        .goal(Goal::at_least(
            "cranelift no slower than wasmtime Cranelift",
            race.ratio(WASMTIME, CRANELIFT),
            1.0,
        ))
}
