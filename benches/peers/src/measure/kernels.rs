//! How fast compiled programs run that do a piece of real work.

use std::hint::black_box;
use std::io;
use std::path::Path;

use wasm_mini::{Imports, Instance};

use crate::engines::{self, BASELINE, CRANELIFT, Engines, LIFTOFF, SINGLEPASS, WASMTIME, WINCH};
use crate::host::progress;
use crate::liftoff::Node;
use crate::programs::{self, KERNELS, Kernel};
use crate::race::{Contender, Plan, Race, geometric_mean, race};
use crate::report::{Goal, Section, digits, duration, times};

struct Row {
    kernel: &'static Kernel,
    race: Race,
}

/// The columns of ratios: who, and to whom.
const RATIOS: [(&str, &str); 6] = [
    (CRANELIFT, WASMTIME),
    (WINCH, WASMTIME),
    (SINGLEPASS, WASMTIME),
    (LIFTOFF, WASMTIME),
    (BASELINE, WASMTIME),
    (BASELINE, CRANELIFT),
];

pub fn measure(crate_dir: &Path, engines: &Engines, plan: Plan) -> io::Result<Section> {
    let node = Node::expect(crate_dir);
    let rows = KERNELS.iter().map(|kernel| compare(engines, node.as_ref(), plan, kernel));
    let rows: Vec<Row> = rows.collect::<io::Result<_>>()?;

    let note = "The programs of `benches/kernels`, one call of each, least time over several \
                instances; all engines return the same checksum. Ratios are to wasmtime Cranelift, \
                except in the last column. wasmer's compiler leaves NaNs as they are, like the \
                others. V8 runs in a process of its own, on the same processor and in turns with \
                the others; its time is that process's CPU time. It compiles everything with \
                Liftoff, in the module's constructor, and notes nothing for its optimising compiler.";
    let ours = format!("× {CRANELIFT}");
    let mut header = vec!["", "n", WASMTIME];
    header.extend(RATIOS[..5].iter().map(|(name, _)| *name));
    header.push(&ours);
    let mut section = Section::new("Kernels", note, &header);
    let absent = |name| match name {
        LIFTOFF if node.is_none() => "not installed".to_string(),
        _ => "refused".to_string(),
    };
    for Row { kernel, race } in &rows {
        let mut row = vec![kernel.name.to_string(), kernel.n.to_string()];
        row.push(duration(race.least(WASMTIME)));
        row.extend(RATIOS.map(|(name, than)| {
            race.ratio_of_both(name, than).map_or_else(|| absent(name), times)
        }));
        section.rows.push(row);
    }
    let mean = |name, than| {
        geometric_mean(rows.iter().filter_map(|row| row.race.ratio_of_both(name, than)))
    };
    let mut row = vec!["geometric mean".to_string(), String::new(), String::new()];
    row.extend(RATIOS.map(|(name, than)| {
        match rows.iter().filter(|row| row.race.find(name).is_some()).count() {
            0 => absent(name),
            all if all == rows.len() => digits(mean(name, than)),
            some => format!("{} (of {some})", digits(mean(name, than))),
        }
    }));
    section.rows.push(row);

    Ok(section
        .goal(Goal::at_most(
            "cranelift, geometric mean, at most 1.00 × wasmtime Cranelift",
            mean(CRANELIFT, WASMTIME),
            1.0,
        ))
        .maybe_goal(worst(&rows, "cranelift", CRANELIFT, WASMTIME, 1.05))
        .goal(Goal::at_most(
            "baseline, geometric mean, at most 1.40 × cranelift",
            mean(BASELINE, CRANELIFT),
            1.4,
        ))
        .maybe_goal(worst(&rows, "baseline", BASELINE, CRANELIFT, 2.5))
        .maybe_goal(worst(&rows, "baseline", BASELINE, WINCH, 1.0))
        .maybe_goal(worst(&rows, "baseline", BASELINE, SINGLEPASS, 1.0))
        .maybe_goal(worst(&rows, "baseline", BASELINE, LIFTOFF, 1.0)))
}

/// That none of the programs takes longer than so many times as long, if the other runs any.
fn worst(rows: &[Row], what: &str, name: &str, than: &str, limit: f64) -> Option<Goal> {
    let ratios = rows.iter().filter_map(|row| Some((row.race.ratio_of_both(name, than)?, row)));
    let ratios: Vec<(f64, &Row)> = ratios.collect();
    let (measured, worst) = ratios.iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
    let over = ratios.iter().filter(|(ratio, _)| *ratio > limit).count();
    let text = match over {
        0 => format!("{} ({})", times(*measured), worst.kernel.name),
        _ => format!("{} ({}), {over} over", times(*measured), worst.kernel.name),
    };
    Some(Goal::plain(format!("{what}, each at most {limit:.2} × {than}"), text, over == 0))
}

/// How many instances of a program each engine has, each of a module of its own. Which physical pages a
/// memory gets decides how it fits the second-level cache, and makes one instance of a program with
/// random accesses a fifth slower than the next; where code lies decides which branches share a
/// predictor's entry. So each gets several tries.
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

fn compare(
    engines: &Engines,
    node: Option<&Node>,
    plan: Plan,
    kernel: &'static Kernel,
) -> io::Result<Row> {
    progress(kernel.name);
    let binary = programs::binary(kernel.text);
    let n = kernel.n;
    let mut checksums = Vec::new();
    let mut contenders = Vec::new();
    for (name, engine) in &engines.wasmtime {
        let instances = (0..INSTANCES).map(|_| {
            let module = wasmtime::Module::new(engine, &binary).expect("a valid module");
            let (mut store, instance) = engines::wasmtime_instance(&module);
            let run = instance.get_typed_func::<i32, i64>(&mut store, "run").expect("the export");
            checksums.push((*name, run.call(&mut store, n).expect("no trap")));
            move || run.call(&mut store, black_box(n)).expect("no trap")
        });
        contenders.push(in_turn(name, instances.collect()));
    }
    for (name, engine) in &engines.mini {
        let instances = (0..INSTANCES).map(|_| {
            let module = wasm_mini::Module::with_engine(engine, &binary).expect("a valid module");
            let instance = Instance::new(&module, &Imports::none()).expect("no imports");
            let run = instance.typed_func::<fn(i32) -> i64>("run").expect("the export");
            checksums.push((*name, run.call(n).expect("no trap")));
            move || run.call(black_box(n)).expect("no trap")
        });
        contenders.push(in_turn(name, instances.collect()));
    }
    let engine = engines::singlepass();
    match wasmer::Module::new(&engine, &binary) {
        Ok(_) => {
            let instances = (0..INSTANCES).map(|_| {
                let module = wasmer::Module::new(&engine, &binary).expect("it did before");
                let (mut store, instance) = engines::wasmer_instance(&engine, &module);
                let run = instance.exports.get_typed_function::<i32, i64>(&store, "run");
                let run = run.expect("the export");
                checksums.push((SINGLEPASS, run.call(&mut store, n).expect("no trap")));
                move || run.call(&mut store, black_box(n)).expect("no trap")
            });
            contenders.push(in_turn(SINGLEPASS, instances.collect()));
        }
        Err(error) => progress(format_args!("{}: {SINGLEPASS}: {error}", kernel.name)),
    }
    if let Some(node) = node {
        let mut liftoff = node.start(&binary)?;
        match liftoff.instances(INSTANCES, n) {
            Ok(results) => {
                checksums.extend(results.into_iter().map(|result| (LIFTOFF, result)));
                contenders.push(Contender::timed(LIFTOFF, move |times| {
                    liftoff.run(times, n).expect("it did before")
                }));
            }
            Err(error) => progress(format_args!("{}: {LIFTOFF}: {error}", kernel.name)),
        }
    }
    let expected = checksums[0].1;
    for (name, checksum) in checksums {
        assert_eq!(checksum, expected, "{}'s checksum in {name}", kernel.name);
    }
    Ok(Row { kernel, race: race(plan, contenders) })
}
