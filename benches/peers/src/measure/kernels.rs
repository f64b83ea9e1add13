//! How fast compiled programs run that do a piece of real work.

use std::hint::black_box;

use wasm_mini::{Imports, Instance};

use crate::engines::{self, BASELINE, CRANELIFT, Engines, WASMTIME, WINCH};
use crate::host::progress;
use crate::programs::{self, KERNELS, Kernel};
use crate::race::{Contender, Plan, Race, geometric_mean, race};
use crate::report::{Goal, Section, digits, duration, times};

struct Row {
    kernel: &'static Kernel,
    race: Race,
}

pub fn measure(engines: &Engines, plan: Plan) -> Section {
    let rows: Vec<Row> = KERNELS.iter().map(|kernel| compare(engines, plan, kernel)).collect();

    let note = "The programs of `benches/kernels`, one call of each, least time over several \
                instances; all engines return the same checksum. Ratios are to wasmtime Cranelift, \
                except in the last column.";
    let ours = format!("× {CRANELIFT}");
    let header = ["", "n", WASMTIME, CRANELIFT, WINCH, BASELINE, &ours];
    let mut section = Section::new("Kernels", note, &header);
    for Row { kernel, race } in &rows {
        section.rows.push(vec![
            kernel.name.to_string(),
            kernel.n.to_string(),
            duration(race.least(WASMTIME)),
            times(race.ratio(CRANELIFT, WASMTIME)),
            times(race.ratio(WINCH, WASMTIME)),
            times(race.ratio(BASELINE, WASMTIME)),
            times(race.ratio(BASELINE, CRANELIFT)),
        ]);
    }
    let mean = |name, than| geometric_mean(rows.iter().map(|row| row.race.ratio(name, than)));
    section.rows.push(vec![
        "geometric mean".to_string(),
        String::new(),
        String::new(),
        digits(mean(CRANELIFT, WASMTIME)),
        digits(mean(WINCH, WASMTIME)),
        digits(mean(BASELINE, WASMTIME)),
        digits(mean(BASELINE, CRANELIFT)),
    ]);

    section
        .goal(Goal::at_most(
            "cranelift, geometric mean, at most 1.00 × wasmtime Cranelift",
            mean(CRANELIFT, WASMTIME),
            1.0,
        ))
        .goal(worst(&rows, "cranelift", CRANELIFT, WASMTIME, 1.05))
        .goal(Goal::at_most(
            "baseline, geometric mean, at most 1.40 × cranelift",
            mean(BASELINE, CRANELIFT),
            1.4,
        ))
        .goal(worst(&rows, "baseline", BASELINE, CRANELIFT, 2.5))
        .goal(worst(&rows, "baseline", BASELINE, WINCH, 1.0))
}

/// That none of the programs takes longer than so many times as long.
fn worst(rows: &[Row], what: &str, name: &str, than: &str, limit: f64) -> Goal {
    let ratio = |row: &Row| row.race.ratio(name, than);
    let worst = rows.iter().max_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    let worst = worst.expect("there are programs");
    let measured = worst.race.ratio(name, than);
    let over = rows.iter().filter(|row| ratio(row) > limit).count();
    let text = match over {
        0 => format!("{} ({})", times(measured), worst.kernel.name),
        _ => format!("{} ({}), {over} over", times(measured), worst.kernel.name),
    };
    Goal::plain(format!("{what}, each at most {limit:.2} × {than}"), text, over == 0)
}

/// How many instances of a program each engine has. Which physical pages a memory gets decides how
/// it fits the second-level cache, and makes one instance of a program with random accesses a fifth
/// slower than the next; so each gets several tries.
const INSTANCES: usize = 6;

/// The instances of an engine take turns, one in each batch.
fn in_turn<'a>(name: &str, mut instances: Vec<impl FnMut() -> i64 + 'a>) -> Contender<'a> {
    let mut turn = 0;
    Contender::looping(name, move |n| {
        turn = (turn + 1) % instances.len();
        let run = &mut instances[turn];
        for _ in 0..n {
            black_box(run());
        }
    })
}

fn compare(engines: &Engines, plan: Plan, kernel: &'static Kernel) -> Row {
    progress(kernel.name);
    let binary = programs::binary(kernel.text);
    let n = kernel.n;
    let mut checksums = Vec::new();
    let mut contenders = Vec::new();
    for (name, engine) in &engines.wasmtime {
        let module = wasmtime::Module::new(engine, &binary).expect("a valid module");
        let instances = (0..INSTANCES).map(|_| {
            let (mut store, instance) = engines::wasmtime_instance(&module);
            let run = instance.get_typed_func::<i32, i64>(&mut store, "run").expect("the export");
            checksums.push((*name, run.call(&mut store, n).expect("no trap")));
            move || run.call(&mut store, black_box(n)).expect("no trap")
        });
        contenders.push(in_turn(name, instances.collect()));
    }
    for (name, engine) in &engines.mini {
        let module = wasm_mini::Module::with_engine(engine, &binary).expect("a valid module");
        let instances = (0..INSTANCES).map(|_| {
            let instance = Instance::new(&module, &Imports::none()).expect("no imports");
            let run = instance.typed_func::<fn(i32) -> i64>("run").expect("the export");
            checksums.push((*name, run.call(n).expect("no trap")));
            move || run.call(black_box(n)).expect("no trap")
        });
        contenders.push(in_turn(name, instances.collect()));
    }
    let expected = checksums[0].1;
    for (name, checksum) in checksums {
        assert_eq!(checksum, expected, "{}'s checksum in {name}", kernel.name);
    }
    Row { kernel, race: race(plan, contenders) }
}
