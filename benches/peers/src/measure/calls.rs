//! What a call from the host costs.

use std::hint::black_box;

use wasm_mini::Value;

use crate::engines::{self, BASELINE, CRANELIFT, Engines, WASMI, WASMTIME, WINCH};
use crate::programs;
use crate::race::{Contender, Plan, Race, race};
use crate::report::{Goal, Section, duration};

const BARE: &str = "bare indirect call";
const FAR: &str = "bare indirect call, of the C library";

type Add4 = extern "C" fn(i64) -> i64;

#[inline(never)]
extern "C" fn add4(x: i64) -> i64 {
    x.wrapping_add(4)
}

/// add4 that refuses negative numbers, so that an engine must be ready for a trap.
const CHECKED: &str = r#"(module (func (export "add4") (param i64) (result i64)
    (if (i64.lt_s (local.get 0) (i64.const 0)) (then (unreachable)))
    (i64.add (local.get 0) (i64.const 4))))"#;

#[inline(never)]
extern "C" fn checked_add4(x: i64) -> i64 {
    if x < 0 {
        std::process::abort();
    }
    x.wrapping_add(4)
}

/// `n` calls, each with the result of the one before.
#[inline(always)]
fn chain(n: u64, mut call: impl FnMut(i64) -> i64) {
    let mut x = 0;
    for _ in 0..n {
        x = call(x);
    }
    black_box(x);
}

fn looping<'a, F: 'a>(
    name: impl Into<String>,
    callee: F,
    call: impl Fn(&F, i64) -> i64 + 'a,
) -> Contender<'a> {
    Contender::looping(name, move |n| {
        // Nothing about the callee is known to the compiler.
        let callee = black_box(&callee);
        chain(n, |x| call(callee, x));
    })
}

unsafe extern "C" {
    /// The C library's, which is about as short as add4 and as far away as compiled code is.
    safe fn labs(x: i64) -> i64;
}

pub fn measure(engines: &Engines, plan: Plan) -> Vec<Section> {
    let note = "add4, called in a loop with the result of the call before. The bare call is of an \
                `extern \"C\" fn` that does the same, through a pointer that the compiler does \
                not know; `labs` of the C library, called likewise, lies in other pages than its \
                caller, as compiled code does. The dynamic call into a slice writes its results to \
                one; wasmtime's always does.";
    let plain = compare(engines, plan, &programs::fixture("add4"), add4);
    let mut section =
        with_goals(Section::of_race("The cost of a call", note, &plain, BARE), &plain);
    for name in [BASELINE, CRANELIFT] {
        section = section.goal(Goal::at_most(
            format!("{name}, extern \"C\" at most 1.1 × the C library's"),
            plain.ratio(&format!("{name}, extern \"C\""), FAR),
            1.1,
        ));
    }
    let note = "The same with a function that traps if its argument is negative: an engine that \
                enters functions without traps in a shorter way cannot do so here.";
    let checked = compare(engines, plan, &programs::binary(CHECKED), checked_add4);
    let title = "The cost of a call of a function that can trap";
    let checked = with_goals(Section::of_race(title, note, &checked, BARE), &checked);
    vec![section, checked]
}

fn compare(engines: &Engines, plan: Plan, binary: &[u8], bare: Add4) -> Race {
    let far: Add4 = labs;
    let mut contenders = vec![
        looping(BARE, black_box(bare), |bare, x| bare(x)),
        looping(FAR, black_box(far), |far, x| far(x)),
    ];
    for (name, engine) in &engines.mini {
        let instance = engines::mini(engine, binary);
        let typed = instance.typed_func::<fn(i64) -> i64>("add4").expect("the export");
        contenders.push(looping(format!("{name}, TypedFunc"), typed, |typed, x| {
            typed.call(x).expect("no trap")
        }));
        let typed = instance.typed_func::<fn(i64) -> i64>("add4").expect("the export");
        if let Ok(pointer) = typed.leak_extern_c() {
            contenders.push(looping(format!("{name}, extern \"C\""), pointer, |it, x| it(x)));
        }
        let closure = instance.func::<fn(i64) -> i64>("add4").expect("the export");
        contenders.push(looping(format!("{name}, closure"), closure, |closure, x| {
            closure(x).expect("no trap")
        }));
        let dynamic = instance.dyn_func("add4").expect("the export");
        contenders.push(looping(format!("{name}, dynamic"), dynamic, |dynamic, x| {
            match dynamic.call(&[Value::I64(x)]).expect("no trap")[..] {
                [Value::I64(result)] => result,
                _ => unreachable!("add4 returns one i64"),
            }
        }));
    }
    for (name, engine) in &engines.mini {
        let dynamic = engines::mini(engine, binary).dyn_func("add4").expect("the export");
        contenders.push(looping(
            format!("{name}, dynamic, into a slice"),
            dynamic,
            |dynamic, x| {
                let mut results = [Value::I64(0)];
                dynamic.call_into(&[Value::I64(x)], &mut results).expect("no trap");
                match results {
                    [Value::I64(result)] => result,
                    _ => unreachable!("add4 returns one i64"),
                }
            },
        ));
    }
    for (name, engine) in &engines.wasmtime {
        let (mut store, instance) = engines::wasmtime(engine, binary);
        let typed = instance.get_typed_func::<i64, i64>(&mut store, "add4").expect("the export");
        contenders.push(Contender::looping(format!("{name}, TypedFunc"), move |n| {
            let typed = black_box(&typed);
            chain(n, |x| typed.call(&mut store, x).expect("no trap"));
        }));
        let (mut store, instance) = engines::wasmtime(engine, binary);
        let func = instance.get_func(&mut store, "add4").expect("the export");
        contenders.push(Contender::looping(format!("{name}, dynamic"), move |n| {
            let func = black_box(&func);
            chain(n, |x| {
                let mut results = [wasmtime::Val::I64(0)];
                let arguments = [wasmtime::Val::I64(x)];
                func.call(&mut store, &arguments, &mut results).expect("no trap");
                results[0].unwrap_i64()
            });
        }));
    }
    let (mut store, instance) = engines::wasmi(&engines.wasmi, binary);
    let typed = instance.get_typed_func::<i64, i64>(&store, "add4").expect("the export");
    contenders.push(Contender::looping(format!("{WASMI}, TypedFunc"), move |n| {
        let typed = black_box(&typed);
        chain(n, |x| typed.call(&mut store, x).expect("no trap"));
    }));
    race(plan, contenders)
}

fn with_goals(mut section: Section, race: &Race) -> Section {
    let typed = |name: &str| format!("{name}, TypedFunc");
    let closure = |name: &str| format!("{name}, closure");
    for name in [BASELINE, CRANELIFT] {
        let more = race.least(&closure(name)) - race.least(&typed(name));
        section = section
            .goal(Goal::at_most(
                format!("{} at most 2.5 × bare", typed(name)),
                race.ratio(&typed(name), BARE),
                2.5,
            ))
            .goal(Goal::plain(
                format!("{} at most a bare call more than TypedFunc", closure(name)),
                duration(more.max(0.0)),
                more <= race.least(BARE),
            ));
    }
    for name in [BASELINE, CRANELIFT] {
        for form in ["dynamic", "dynamic, into a slice"] {
            let ours = format!("{name}, {form}");
            section = section.goal(Goal::at_least(
                format!("{ours}, at least 5 × faster than {WASMTIME}, dynamic"),
                race.ratio(&format!("{WASMTIME}, dynamic"), &ours),
                5.0,
            ));
        }
    }
    for (ours, theirs) in [(BASELINE, WINCH), (BASELINE, WASMTIME), (CRANELIFT, WASMTIME)] {
        let slower = race.least(&typed(ours)).max(race.least(&closure(ours)));
        section = section
            .goal(Goal::at_least(
                format!("{ours}, TypedFunc, at least 3.5 × faster than {theirs}, TypedFunc"),
                race.ratio(&typed(theirs), &typed(ours)),
                3.5,
            ))
            .goal(Goal::at_least(
                format!("{ours}, both, at least 3 × faster than {theirs}, TypedFunc"),
                race.least(&typed(theirs)) / slower,
                3.0,
            ));
    }
    section
}
