//! A guest's error, from the operator that traps to the host's `Err`.

use std::hint::black_box;

use crate::engines::{self, BASELINE, CRANELIFT, Engines, WASMI, WASMTIME};
use crate::programs;
use crate::race::{Contender, Plan, race};
use crate::report::{Goal, Section};

const TEXT: &str = r#"(module
    (func (export "div") (param i32 i32) (result i32)
        (i32.div_s (local.get 0) (local.get 1)))
    (func (export "unreachable") (param i32 i32) (result i32) unreachable)
    (memory 1)
    (func (export "load") (param i32 i32) (result i32)
        (i32.load (i32.xor (local.get 1) (i32.const 0x7fffff00)))))"#;

/// Division by zero is a check in some compilers and a signal in others; `unreachable` likewise. A
/// load far outside the memory is a signal wherever bounds are not checked.
pub fn measure(engines: &Engines, plan: Plan) -> Section {
    let binary = &programs::binary(TEXT);
    let mut contenders = Vec::new();
    for export in ["div", "unreachable", "load"] {
        for (name, engine) in &engines.mini {
            let instance = engines::mini(engine, binary);
            let func = instance.typed_func::<fn(i32, i32) -> i32>(export).expect("the export");
            contenders.push(Contender::new(format!("{export}, {name}"), move || {
                func.call(1, black_box(0)).expect_err("a trap")
            }));
        }
        for (name, engine) in &engines.wasmtime {
            let (mut store, instance) = engines::wasmtime(engine, binary);
            let func = instance.get_typed_func::<(i32, i32), i32>(&mut store, export);
            let func = func.expect("the export");
            contenders.push(Contender::new(format!("{export}, {name}"), move || {
                func.call(&mut store, (1, black_box(0))).expect_err("a trap")
            }));
        }
        let (mut store, instance) = engines::wasmi(&engines.wasmi, binary);
        let func = instance.get_typed_func::<(i32, i32), i32>(&store, export).expect("the export");
        contenders.push(Contender::new(format!("{export}, {WASMI}"), move || {
            func.call(&mut store, (1, black_box(0))).expect_err("a trap")
        }));
    }
    let race = race(plan, contenders);
    let reference = format!("div, {BASELINE}");
    let note = "`i32.div_s` by zero, `unreachable`, and `i32.load` out of bounds, to an `Err` with its \
                backtrace, and dropped.";
    let load = |name: &str| race.least(&format!("load, {name}"));
    let out_of_bounds = [BASELINE, CRANELIFT].map(|name| {
        let goal = format!("load out of bounds, {name}, at most as long as {WASMTIME}");
        Goal::at_most(goal, load(name) / load(WASMTIME), 1.0)
    });
    let of = |name: &str| race.least(&format!("div, {name}"));
    let (baseline, cranelift, theirs) = (of(BASELINE), of(CRANELIFT), of(WASMTIME));
    let section = Section::of_race("A trap returned as an error", note, &race, &reference)
        .goal(Goal::plain(
            "baseline in at most 50 ns",
            crate::report::duration(baseline),
            baseline <= 50.0,
        ))
        .goal(Goal::plain(
            "cranelift in at most 50 ns",
            crate::report::duration(cranelift),
            cranelift <= 50.0,
        ))
        .goal(Goal::at_least("baseline faster than wasmtime Cranelift", theirs / baseline, 1.0))
        .goal(Goal::at_least("cranelift faster than wasmtime Cranelift", theirs / cranelift, 1.0));
    out_of_bounds.into_iter().fold(section, Section::goal)
}
