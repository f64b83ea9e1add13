//! How fast compiled programs run that do a piece of real work.

use std::hint::black_box;

use crate::engines::{self, BASELINE, CRANELIFT, Engines, WASMTIME, WINCH};
use crate::host::progress;
use crate::programs::{self, KERNELS, Kernel};
use crate::race::{Contender, Plan, Race, geometric_mean, race};
use crate::report::{Goal, Section, digits, duration, times};

struct Row {
    kernel: &'static Kernel,
    /// Of how many functions the baseline tier was relieved, of how many.
    stand_ins: (usize, u32),
    race: Race,
}

pub fn measure(engines: &Engines, plan: Plan) -> Section {
    let rows: Vec<Row> = KERNELS.iter().map(|kernel| compare(engines, plan, kernel)).collect();

    let note = "The programs of `benches/kernels`, one call of each, least time; all engines return \
                the same checksum. Ratios are to wasmtime Cranelift, except in the last column but \
                one. The last column tells in how many of a program's functions Cranelift stood in \
                for the baseline tier; goals of that tier count only programs in which it did not.";
    let ours = format!("× {CRANELIFT}");
    let header = ["", "n", WASMTIME, CRANELIFT, WINCH, BASELINE, &ours, "Cranelift stood in"];
    let mut section = Section::new("Kernels", note, &header);
    for Row { kernel, stand_ins: (relieved, functions), race } in &rows {
        section.rows.push(vec![
            kernel.name.to_string(),
            kernel.n.to_string(),
            duration(race.least(WASMTIME)),
            times(race.ratio(CRANELIFT, WASMTIME)),
            times(race.ratio(WINCH, WASMTIME)),
            times(race.ratio(BASELINE, WASMTIME)),
            times(race.ratio(BASELINE, CRANELIFT)),
            match relieved {
                0 => String::new(),
                _ => format!("{relieved} of {functions}"),
            },
        ]);
    }
    let own: Vec<&Row> = rows.iter().filter(|row| row.stand_ins.0 == 0).collect();
    let all: Vec<&Row> = rows.iter().collect();
    let mean = |rows: &[&Row], name, than| {
        geometric_mean(rows.iter().map(|row| row.race.ratio(name, than)))
    };
    section.rows.push(vec![
        "geometric mean".to_string(),
        String::new(),
        String::new(),
        digits(mean(&all, CRANELIFT, WASMTIME)),
        digits(mean(&all, WINCH, WASMTIME)),
        digits(mean(&all, BASELINE, WASMTIME)),
        digits(mean(&all, BASELINE, CRANELIFT)),
        String::new(),
    ]);

    let section = section
        .goal(Goal::at_most(
            "cranelift, geometric mean, at most 1.00 × wasmtime Cranelift",
            mean(&all, CRANELIFT, WASMTIME),
            1.0,
        ))
        .goal(worst(&all, "cranelift", CRANELIFT, WASMTIME, 1.05));
    if own.is_empty() {
        return section;
    }
    let what = format!("baseline, {} programs", own.len());
    section
        .goal(Goal::at_most(
            format!("{what}, geometric mean, at most 1.40 × cranelift"),
            mean(&own, BASELINE, CRANELIFT),
            1.4,
        ))
        .goal(worst(&own, &what, BASELINE, CRANELIFT, 2.5))
        .goal(worst(&own, &what, BASELINE, WINCH, 1.0))
}

/// That none of the programs takes longer than so many times as long.
fn worst(rows: &[&Row], what: &str, name: &str, than: &str, limit: f64) -> Goal {
    let ratio = |row: &&Row| row.race.ratio(name, than);
    let worst = rows.iter().copied().max_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    let worst = worst.expect("there are programs");
    let measured = worst.race.ratio(name, than);
    let over = rows.iter().filter(|row| ratio(row) > limit).count();
    let text = match over {
        0 => format!("{} ({})", times(measured), worst.kernel.name),
        _ => format!("{} ({}), {over} over", times(measured), worst.kernel.name),
    };
    Goal::plain(format!("{what}, each at most {limit:.2} × {than}"), text, over == 0)
}

fn compare(engines: &Engines, plan: Plan, kernel: &'static Kernel) -> Row {
    progress(kernel.name);
    let binary = programs::binary(kernel.text);
    let n = kernel.n;
    let mut checksums = Vec::new();
    let mut contenders = Vec::new();
    for (name, engine) in &engines.wasmtime {
        let (mut store, instance) = engines::wasmtime(engine, &binary);
        let run = instance.get_typed_func::<i32, i64>(&mut store, "run").expect("the export");
        checksums.push((*name, run.call(&mut store, n).expect("no trap")));
        contenders.push(Contender::new(*name, move || {
            run.call(&mut store, black_box(n)).expect("no trap")
        }));
    }
    let mut stand_ins = (0, 0);
    for (name, engine) in &engines.mini {
        let instance = engines::mini(engine, &binary);
        if *name == BASELINE {
            stand_ins = engines::stand_ins(instance.module(), &binary);
        }
        let run = instance.typed_func::<fn(i32) -> i64>("run").expect("the export");
        checksums.push((*name, run.call(n).expect("no trap")));
        contenders.push(Contender::new(*name, move || run.call(black_box(n)).expect("no trap")));
    }
    let expected = checksums[0].1;
    for (name, checksum) in checksums {
        assert_eq!(checksum, expected, "{}'s checksum in {name}", kernel.name);
    }
    Row { kernel, stand_ins, race: race(plan, contenders) }
}
