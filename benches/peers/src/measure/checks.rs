//! What it costs to keep a guest in bounds of time: code that counts or looks, and how late a deadline
//! that needs no code ends one.

use std::hint::black_box;
use std::time::{Duration, Instant};

use wasm_mini::{Engine, Imports, Instance, Interruption, Module, Tier, TrapCode};

use crate::host::{self, progress};
use crate::programs::{self, KERNELS, Kernel};
use crate::race::{Contender, Plan, Race, geometric_mean, race};
use crate::report::{Goal, Section, digits, duration, times};

/// The engines with such code, each with the one without that it is compared with.
const COLUMNS: [(&str, &str); 6] = [
    ("baseline, fuel", "baseline"),
    ("baseline, polls", "baseline"),
    ("cranelift, fuel", "cranelift"),
    ("cranelift, polls", "cranelift"),
    ("wasmtime, fuel", "wasmtime"),
    ("wasmtime, epochs", "wasmtime"),
];

/// Fuel and polls on the kernels, and deadlines by signal.
pub fn measure(plan: Plan, quick: bool) -> Vec<Section> {
    vec![costs(plan), latencies(if quick { 20 } else { 200 })]
}

fn costs(plan: Plan) -> Section {
    let note = "The programs of `benches/kernels`, one call of each, least time: × the same program on \
                the same compiler without. Fuel counts what is executed; polls and epochs look whether \
                somebody has asked for an end. Interruption by signal needs no code in the guest.";
    let mut header = vec![""];
    header.extend(COLUMNS.map(|(name, _)| name));
    let mut section = Section::new("The cost of counting and looking", note, &header);
    let races: Vec<(&Kernel, Race)> = KERNELS.iter().map(|it| (it, compare(plan, it))).collect();
    for (kernel, race) in &races {
        let mut row = vec![kernel.name.to_string()];
        row.extend(COLUMNS.map(|(with, without)| times(race.ratio(with, without))));
        section.rows.push(row);
    }
    let mean = |column: usize| {
        let (with, without) = COLUMNS[column];
        geometric_mean(races.iter().map(|(_, race)| race.ratio(with, without)))
    };
    let mut row = vec!["geometric mean".to_string()];
    row.extend((0..COLUMNS.len()).map(|column| digits(mean(column))));
    section.rows.push(row);
    section
        .goal(Goal::at_most("baseline, fuel, at most 1.12 × without", mean(0), 1.12))
        .goal(Goal::at_most("cranelift, fuel, at most 1.12 × without", mean(2), 1.12))
}

fn compare(plan: Plan, kernel: &Kernel) -> Race {
    progress(kernel.name);
    let binary = programs::binary(kernel.text);
    let n = kernel.n;
    let mut contenders = Vec::new();
    for tier in [Tier::Baseline, Tier::Cranelift] {
        let builder = || Engine::builder().tier(tier);
        for (kind, builder) in [
            ("", builder()),
            (", fuel", builder().fuel(u64::MAX)),
            (", polls", builder().interruption(Interruption::Polled)),
        ] {
            let engine = builder.build().expect("the tier is there");
            let instance = crate::engines::mini(&engine, &binary);
            let run = instance.typed_func::<fn(i32) -> i64>("run").expect("the export");
            contenders.push(Contender::new(format!("{tier}{kind}"), move || {
                run.call(black_box(n)).expect("no trap")
            }));
        }
    }
    for kind in ["", ", fuel", ", epochs"] {
        let mut config = wasmtime::Config::new();
        config.consume_fuel(kind == ", fuel").epoch_interruption(kind == ", epochs");
        let engine = wasmtime::Engine::new(&config).expect("the compiler is there");
        let module = wasmtime::Module::new(&engine, &binary).expect("a valid module");
        let mut store = wasmtime::Store::new(&engine, ());
        if kind == ", fuel" {
            store.set_fuel(u64::MAX).expect("it consumes fuel");
        }
        store.set_epoch_deadline(1);
        let instance = wasmtime::Instance::new(&mut store, &module, &[]).expect("no imports");
        let run = instance.get_typed_func::<i32, i64>(&mut store, "run").expect("the export");
        contenders.push(Contender::new(format!("wasmtime{kind}"), move || {
            run.call(&mut store, black_box(n)).expect("no trap")
        }));
    }
    race(plan, contenders)
}

/// Guests that never end by themselves.
const ENDLESS: [(&str, &str); 7] = [
    ("a loop of one branch", "(loop (br 0))"),
    ("calls, deeper and deeper and back", "(loop (drop (call $fib (i32.const 30))) (br 0))"),
    (
        "memory.fill of 1 GiB",
        "(loop (memory.fill (i32.const 0) (i32.const 7) (i32.const 0x40000000)) (br 0))",
    ),
    (
        "memory.fill of 16 bytes",
        "(local $n i32) (local.set $n (i32.const 16)) (loop (memory.fill (i32.const 0) (i32.const 7) (local.get $n)) (br 0))",
    ),
    ("memory.grow by nothing", "(loop (drop (memory.grow (i32.const 0))) (br 0))"),
    ("calls of the host", "(loop (call $host) (br 0))"),
    (
        "calls of a slow leaf",
        "(local $x f64) (loop (local.set $x (call $slow (local.get $x))) (br 0))",
    ),
];

fn latencies(calls: u32) -> Section {
    const DEADLINE: Duration = Duration::from_millis(2);
    let note = format!(
        "Guests that never end, called with a deadline of 2 ms, {calls} times each on either tier: how \
         much later than that the call has returned. No code in the guest looks at anything."
    );
    let header = ["", "baseline, median", "most", "cranelift, median", "most"];
    let mut section = Section::new("A deadline by signal", note, &header);
    let mut worst = Duration::ZERO;
    for (what, body) in ENDLESS {
        let slow = "f64.sqrt ".repeat(30);
        let text = format!(
            r#"(module (import "h" "nothing" (func $host)) (memory 16384)
                (func $fib (param i32) (result i32)
                    (if (i32.lt_u (local.get 0) (i32.const 2)) (then (return (local.get 0))))
                    (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                        (call $fib (i32.sub (local.get 0) (i32.const 2)))))
                (func $slow (param f64) (result f64) local.get 0 {slow})
                (func (export "run") {body}))"#
        );
        let binary = programs::binary(&text);
        let mut row = vec![what.to_string()];
        for tier in [Tier::Baseline, Tier::Cranelift] {
            let engine = Engine::new(tier).expect("the tier is there");
            let module = Module::with_engine(&engine, &binary).expect("a valid module");
            let mut imports = Imports::none();
            imports.func("h", "nothing", || ());
            let instance = Instance::new(&module, &imports).expect("the import is there");
            let run = instance.typed_func::<fn()>("run").expect("the export");
            let mut late: Vec<Duration> = host::with_all_processors(|| {
                (0..calls)
                    .map(|_| {
                        let start = Instant::now();
                        let trap = run.call_with_deadline(DEADLINE).expect_err("it never ends");
                        assert_eq!(trap.code(), TrapCode::Interrupted);
                        start.elapsed().saturating_sub(DEADLINE)
                    })
                    .collect()
            });
            late.sort();
            let most = late[late.len() - 1];
            worst = worst.max(most);
            let nanos = |time: Duration| duration(time.as_nanos() as f64);
            row.extend([nanos(late[late.len() / 2]), nanos(most)]);
        }
        section.rows.push(row);
    }
    section.goal(Goal::plain(
        "each within 10 ms",
        duration(worst.as_nanos() as f64),
        worst <= Duration::from_millis(10),
    ))
}
