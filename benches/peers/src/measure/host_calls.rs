//! What a call from the guest to the host costs.

use std::hint::black_box;

use crate::engines::{BASELINE, CRANELIFT, Engines, WASMTIME};
use crate::programs;
use crate::race::{Contender, Plan, race};
use crate::report::{Goal, Section};

const BARE: &str = "bare indirect call, in Rust";

/// Calls its import n times, each with the result of the call before.
const TEXT: &str = r#"(module
    (import "host" "next" (func $next (param i32) (result i32)))
    (func (export "run") (param $n i32) (result i32) (local $x i32)
        (loop $again
            (local.set $x (call $next (local.get $x)))
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $x)))"#;

#[inline(never)]
extern "C" fn next(x: i32) -> i32 {
    x.wrapping_add(1)
}

pub fn measure(engines: &Engines, plan: Plan) -> Section {
    let binary = &programs::binary(TEXT);
    let bare: extern "C" fn(i32) -> i32 = black_box(next);
    let mut contenders = vec![Contender::looping(BARE, move |n| {
        let bare = black_box(bare);
        black_box((0..n).fold(0, |x, _| bare(x)));
    })];
    for (name, engine) in &engines.mini {
        let module = wasm_mini::Module::with_engine(engine, binary).expect("a valid module");
        let (mut plain, mut with_caller) = (wasm_mini::Imports::none(), wasm_mini::Imports::none());
        plain.func("host", "next", |x: i32| x.wrapping_add(1));
        with_caller.func("host", "next", |_: &mut wasm_mini::Caller<'_>, x: i32| x.wrapping_add(1));
        for (kind, imports) in [("", plain), (", with its caller", with_caller)] {
            let instance =
                wasm_mini::Instance::new(&module, &imports).expect("the import is there");
            let run = instance.typed_func::<fn(i32) -> i32>("run").expect("the export");
            contenders.push(Contender::looping(format!("{name}{kind}"), move |n| {
                black_box(run.call(n as i32).expect("no trap"));
            }));
        }
    }
    for (name, engine) in &engines.wasmtime {
        let module = wasmtime::Module::new(engine, binary).expect("a valid module");
        for (kind, has_caller) in [("", false), (", with its caller", true)] {
            let mut store = wasmtime::Store::new(engine, ());
            let next = match has_caller {
                false => wasmtime::Func::wrap(&mut store, |x: i32| x.wrapping_add(1)),
                true => wasmtime::Func::wrap(&mut store, |_: wasmtime::Caller<'_, ()>, x: i32| {
                    x.wrapping_add(1)
                }),
            };
            let instance = wasmtime::Instance::new(&mut store, &module, &[next.into()]);
            let instance = instance.expect("the import is there");
            let run = instance.get_typed_func::<i32, i32>(&mut store, "run").expect("the export");
            contenders.push(Contender::looping(format!("{name}{kind}"), move |n| {
                black_box(run.call(&mut store, n as i32).expect("no trap"));
            }));
        }
    }
    let race = race(plan, contenders);

    let note = "A loop in the guest, in which each call gets the result of the one before. The host\'s \
                function is a closure that adds one.";
    let mut section = Section::of_race("The cost of a call of the host", note, &race, BARE);
    for name in [BASELINE, CRANELIFT] {
        section = section
            .goal(Goal::at_most(
                format!("{name} at most as long as {WASMTIME}"),
                race.ratio(name, WASMTIME),
                1.0,
            ))
            .goal(Goal::at_most(format!("{name} at most 2.2 × bare"), race.ratio(name, BARE), 2.2));
    }
    section
}
