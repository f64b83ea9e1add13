//! Modules of the world: how long compiling them takes, how much memory, and what comes out.

use std::io;
use std::path::Path;
use std::process::Command;

use crate::engines::{
    self, BASELINE, CRANELIFT, Engines, LIFTOFF, SINGLEPASS, Threads, VALIDATION, WASMI, WASMTIME,
    WINCH,
};
use crate::host::{self, process_time, progress, thread_time, wall_time};
use crate::liftoff::Node;
use crate::programs::{self, Real};
use crate::race::{Attempt, Race, geometric_mean, long_race};
use crate::report::{Goal, Section, digits, duration, megabytes, times};

/// The columns of engines.
const ENGINES: [&str; 5] = [BASELINE, CRANELIFT, WINCH, WASMTIME, WASMI];
/// The same on one thread.
const ONE_THREAD: [&str; 7] = [BASELINE, CRANELIFT, WINCH, SINGLEPASS, LIFTOFF, WASMTIME, WASMI];
/// What takes part where the others have all processors: the baseline tier with one thread.
const ALONE: &str = "baseline on one thread";
/// What a quick run leaves out.
const QUICK: usize = 1 << 20;

const ROUNDS: &str = "Least time, of 100 rounds for what takes less than 50 ms, 15 below a second, 3 \
                      below ten, otherwise 2.";

struct Subject {
    real: Real,
    one_thread: Race,
    all_threads: Race,
    code_section: usize,
    /// Machine code of all functions, by engine.
    code_sizes: Vec<(&'static str, usize)>,
    /// Above an idle process, by engine.
    peaks: Vec<(&'static str, u64)>,
}

/// All sections; an error if no module has been fetched, or a child fails.
pub fn measure(crate_dir: &Path, engines: &Engines, quick: bool) -> io::Result<Vec<Section>> {
    let mut modules = programs::real(crate_dir).map_err(|error| {
        io::Error::new(error.kind(), format!("{error}: run benches/fetch-modules.sh first"))
    })?;
    if quick {
        modules.retain(|real| real.binary.len() <= QUICK);
    }
    let (modules, newer): (Vec<Real>, Vec<Real>) =
        modules.into_iter().partition(|real| match wasm_mini::validate(&real.binary) {
            Ok(()) => true,
            Err(error) => {
                progress(format_args!("left out: {}: {error}", real.name));
                false
            }
        });
    if modules.is_empty() {
        return Err(io::Error::other("no module: run benches/fetch-modules.sh first"));
    }
    let parallel = Engines::with(Threads::All);
    let node = Node::expect(crate_dir);
    let subjects =
        modules.into_iter().map(|real| subject(real, engines, &parallel, node.as_ref(), quick));
    let subjects: Vec<Subject> = subjects.collect::<io::Result<_>>()?;

    let mut note = format!(
        "Bytes to a module whose functions can be called, and drop it; one thread, its CPU time. \
         In parentheses: × wasmparser's validation. wasmer compiles on a thread of its own, which \
         it makes each time: its time is that of both. V8 runs in a process of its own, on the same \
         processor and in turns with the others: `new WebAssembly.Module`, that process's CPU time; \
         it compiles everything with Liftoff, in the constructor, on its only thread, never the \
         same bytes twice, and collects the garbage afterwards, for which it is not charged. {ROUNDS} \
         The last row: bytes of all code sections that the engine takes, by the sum of the least \
         times."
    );
    if !newer.is_empty() {
        let names: Vec<&str> = newer.iter().map(|real| real.name.as_str()).collect();
        note += &format!(" Left out, because not of WebAssembly 2.0: {}.", names.join(", "));
    }
    Ok(vec![
        one_thread(&subjects, note, node.is_some()),
        all_threads(&subjects),
        memory(&subjects),
        code_size(&subjects),
    ])
}

fn subject(
    real: Real,
    engines: &Engines,
    parallel: &Engines,
    node: Option<&Node>,
    quick: bool,
) -> io::Result<Subject> {
    let binary = &real.binary;
    progress(format_args!("{}: one thread", real.name));
    let validation = Attempt::new(VALIDATION, thread_time, || {
        engines::validate(binary);
        Ok::<_, io::Error>(())
    });
    let mut attempts = vec![validation];
    attempts.extend(engines::attempts(engines, binary, thread_time));
    attempts.push(Attempt::new(SINGLEPASS, process_time, || {
        wasmer::Module::new(&engines::singlepass(), binary)
    }));
    if let Some(node) = node {
        let mut liftoff = node.start(binary)?;
        attempts.push(Attempt::timed(LIFTOFF, move || liftoff.compile()));
    }
    let one_thread = long_race(quick, attempts);
    progress(format_args!("{}: all processors", real.name));
    let all_threads = host::with_all_processors(|| {
        let mut attempts = engines::attempts(parallel, binary, wall_time);
        attempts.retain(|attempt| attempt.name != WASMI);
        let baseline = &engines.mini.iter().find(|(name, _)| *name == BASELINE).expect("a tier").1;
        let once = move || wasm_mini::Module::with_engine(baseline, binary);
        attempts.push(Attempt::new(ALONE, thread_time, once));
        long_race(quick, attempts)
    });
    progress(format_args!("{}: code size and memory", real.name));
    let code_sizes = code_sizes(engines, binary);
    let mut peaks = Vec::new();
    for name in ENGINES.into_iter().filter(|name| one_thread.find(name).is_some()) {
        let (peak, idle) = (child(name, "compile", &real.path)?, child(name, "idle", &real.path)?);
        peaks.push((name, peak.saturating_sub(idle)));
    }
    let code_section = programs::code_section_len(binary);
    Ok(Subject { one_thread, all_threads, code_section, code_sizes, peaks, real })
}

/// The machine code of every engine that tells.
fn code_sizes(engines: &Engines, binary: &[u8]) -> Vec<(&'static str, usize)> {
    let (imported, defined) = programs::function_counts(binary);
    let mut sizes = Vec::new();
    for (name, engine) in &engines.mini {
        let Ok(module) = wasm_mini::Module::with_engine(engine, binary) else { continue };
        let functions = imported..imported + defined;
        sizes.push((*name, functions.filter_map(|i| module.code(i)).map(<[u8]>::len).sum()));
    }
    for (name, engine) in &engines.wasmtime {
        let Ok(module) = wasmtime::Module::new(engine, binary) else { continue };
        sizes.push((*name, module.functions().map(|function| function.len).sum()));
    }
    sizes
}

fn header(
    first: &[&'static str],
    names: &[&'static str],
    last: &[&'static str],
) -> Vec<&'static str> {
    [first, names, last].concat()
}

fn one_thread(subjects: &[Subject], note: String, node: bool) -> Section {
    let header = header(&["", "code section", VALIDATION], &ONE_THREAD, &[]);
    let mut section = Section::new("Compiling real modules on one thread", note, &header);
    let absent = |name| match name {
        LIFTOFF if !node => "not installed".to_string(),
        _ => "refused".to_string(),
    };
    for subject in subjects {
        let race = &subject.one_thread;
        let unit = race.least(VALIDATION);
        let mut row =
            vec![subject.real.name.clone(), megabytes(subject.code_section as f64), duration(unit)];
        row.extend(ONE_THREAD.map(|name| match race.find(name) {
            Some(result) => format!("{} ({})", duration(result.least), times(result.least / unit)),
            None => absent(name),
        }));
        section.rows.push(row);
    }
    let all = subjects.iter().map(|subject| subject.code_section as f64).sum();
    let mut row = vec!["all".to_string(), megabytes(all)];
    row.extend([VALIDATION].into_iter().chain(ONE_THREAD).map(|name| {
        match together(subjects, &[name]) {
            Some(sums) => format!("{} MB/s", digits(sums.code / sums.nanos[0] * 1e3)),
            None => absent(name),
        }
    }));
    section.rows.push(row);
    let time = |name: &'static str| {
        move |subject: &Subject| subject.one_thread.find(name).map(|result| result.least)
    };
    let validations =
        |subject: &Subject| Some(time(BASELINE)(subject)? / time(VALIDATION)(subject)?);
    section
        .goal(each(subjects, "cranelift at most as long as wasmtime Cranelift", 1.0, |subject| {
            Some(time(CRANELIFT)(subject)? / time(WASMTIME)(subject)?)
        }))
        .goal(each(subjects, "baseline at most as long as wasmtime Winch", 1.0, |subject| {
            Some(time(BASELINE)(subject)? / time(WINCH)(subject)?)
        }))
        .goal(each(subjects, "baseline at most 3 × validation", 3.0, validations))
        .goal(Goal::at_most(
            "baseline, geometric mean, at most 3 × validation",
            geometric_mean(subjects.iter().filter_map(validations)),
            3.0,
        ))
        .maybe_goal(throughput(subjects, WINCH, 6.0))
        .maybe_goal(throughput(subjects, SINGLEPASS, 6.0))
        .maybe_goal(throughput(subjects, LIFTOFF, 1.3))
        .maybe_goal(throughput(subjects, WASMTIME, 60.0))
        .maybe_goal(throughput(subjects, WASMI, 1.0))
}

/// Of the modules that all of some engines take: how many, their code, and the sums of the engines'
/// least times.
struct Together<const N: usize> {
    modules: usize,
    code: f64,
    nanos: [f64; N],
}

/// Nothing if there is no such module.
fn together<const N: usize>(subjects: &[Subject], names: &[&str; N]) -> Option<Together<N>> {
    let mut sums = Together { modules: 0, code: 0.0, nanos: [0.0; N] };
    for subject in subjects {
        if names.iter().all(|name| subject.one_thread.find(name).is_some()) {
            sums.modules += 1;
            sums.code += subject.code_section as f64;
            for (nanos, name) in sums.nanos.iter_mut().zip(names) {
                *nanos += subject.one_thread.least(name);
            }
        }
    }
    (sums.modules > 0).then_some(sums)
}

/// That the baseline tier compiles all modules so many times as fast, if the other takes any.
fn throughput(subjects: &[Subject], than: &str, least: f64) -> Option<Goal> {
    let sums = together(subjects, &[BASELINE, than])?;
    let ratio = sums.nanos[1] / sums.nanos[0];
    let text = match sums.modules {
        all if all == subjects.len() => times(ratio),
        some => format!("{} (the {some} that both take)", times(ratio)),
    };
    let what = format!("baseline, throughput over all modules, at least {least} × {than}");
    Some(Goal::plain(what, text, ratio >= least))
}

fn all_threads(subjects: &[Subject]) -> Section {
    const NAMES: [&str; 4] = [BASELINE, CRANELIFT, WINCH, WASMTIME];
    let processors = host::with_all_processors(std::thread::available_parallelism);
    let note = format!(
        "The same with as many threads as there are processors, {}; time on the wall. In \
         parentheses: × the time on one thread above. For the last goal, one thread takes turns with \
         all of them here. {ROUNDS}",
        processors.map_or(1, std::num::NonZero::get)
    );
    let title = "Compiling real modules on all processors";
    let mut section = Section::new(title, note, &header(&[""], &NAMES, &[]));
    for subject in subjects {
        let mut row = vec![subject.real.name.clone()];
        row.extend(NAMES.map(|name| {
            let (all, one) = (subject.all_threads.find(name), subject.one_thread.find(name));
            match (all, one) {
                (Some(all), Some(one)) => {
                    format!("{} ({})", duration(all.least), times(all.least / one.least))
                }
                _ => "refused".to_string(),
            }
        }));
        section.rows.push(row);
    }
    let ratio = |ours: &'static str, theirs: &'static str| {
        move |subject: &Subject| {
            let time = |name| subject.all_threads.find(name).map(|result| result.least);
            Some(time(ours)? / time(theirs)?)
        }
    };
    section
        .goal(each(
            subjects,
            "cranelift at most as long as wasmtime Cranelift",
            1.0,
            ratio(CRANELIFT, WASMTIME),
        ))
        .goal(each(
            subjects,
            "baseline at most as long as wasmtime Winch",
            1.0,
            ratio(BASELINE, WINCH),
        ))
        .goal(speed_up(subjects))
}

/// What a code section must have for more than one thread to be worth its start.
const WORTH_THREADS: usize = 256 << 10;

/// That two threads are worth it for the baseline tier, of one race. On one, time is the thread's CPU
/// time, so that what else runs on the machine counts against the threads.
fn speed_up(subjects: &[Subject]) -> Goal {
    let large = subjects.iter().filter(|subject| subject.code_section >= WORTH_THREADS);
    let numbers = large.filter_map(|subject| {
        let one = subject.all_threads.find(ALONE)?.least;
        Some((one / subject.all_threads.find(BASELINE)?.least, subject))
    });
    let numbers: Vec<(f64, &Subject)> = numbers.collect();
    let mean = geometric_mean(numbers.iter().map(|(number, _)| *number));
    let worst = numbers.iter().min_by(|a, b| a.0.total_cmp(&b.0));
    let what = "baseline at least 1.7 × as fast as on one thread, each of 256 KiB of code or more";
    match worst {
        Some((worst, subject)) => {
            let text = format!("{} ({}), mean {}", times(*worst), subject.real.name, times(mean));
            Goal::plain(what, text, *worst >= 1.7)
        }
        None => Goal::plain(what, "no such module", false),
    }
}

fn memory(subjects: &[Subject]) -> Section {
    let note = "The most memory (VmHWM) that a process had in use which made the engine, read the \
                module and compiled it on one thread, above that of one which did all but compile. \
                The compiler's own pages count, too. In parentheses: × the module's size.";
    let header = header(&["", "module"], &ENGINES, &[]);
    let mut section = Section::new("Peak memory of compiling real modules", note, &header);
    let peak = |subject: &Subject, name: &str| {
        let found = subject.peaks.iter().find(|(of, _)| *of == name);
        found.map(|(_, bytes)| *bytes as f64)
    };
    for subject in subjects {
        let size = subject.real.binary.len() as f64;
        let mut row = vec![subject.real.name.clone(), megabytes(size)];
        row.extend(ENGINES.map(|name| match peak(subject, name) {
            Some(bytes) => format!("{} ({})", megabytes(bytes), times(bytes / size)),
            None => "refused".to_string(),
        }));
        section.rows.push(row);
    }
    section
        .goal(each(subjects, "cranelift at most as much as wasmtime Cranelift", 1.0, |subject| {
            Some(peak(subject, CRANELIFT)? / peak(subject, WASMTIME)?)
        }))
        .goal(each(subjects, "baseline at most as much as wasmtime Winch", 1.0, |subject| {
            Some(peak(subject, BASELINE)? / peak(subject, WINCH)?)
        }))
}

fn code_size(subjects: &[Subject]) -> Section {
    const NAMES: [&str; 4] = [BASELINE, CRANELIFT, WINCH, WASMTIME];
    let note = "Bytes of machine code of all functions, without trampolines, for each byte of the \
                code section.";
    let header = header(&["", "code section"], &NAMES, &[]);
    let mut section = Section::new("Code size of real modules", note, &header);
    let size = |subject: &Subject, name: &str| {
        let found = subject.code_sizes.iter().find(|(of, _)| *of == name);
        found.map(|(_, bytes)| *bytes as f64 / subject.code_section as f64)
    };
    for subject in subjects {
        let mut row = vec![subject.real.name.clone(), megabytes(subject.code_section as f64)];
        row.extend(NAMES.map(|name| size(subject, name).map_or("refused".to_string(), digits)));
        section.rows.push(row);
    }
    section
        .goal(each(subjects, "cranelift at most as much as wasmtime Cranelift", 1.0, |subject| {
            Some(size(subject, CRANELIFT)? / size(subject, WASMTIME)?)
        }))
        .goal(each(subjects, "baseline at most as much as wasmtime Winch", 1.0, |subject| {
            Some(size(subject, BASELINE)? / size(subject, WINCH)?)
        }))
}

/// That a number is no larger than `limit` for any of the modules that have it.
fn each(
    subjects: &[Subject],
    what: &str,
    limit: f64,
    number: impl Fn(&Subject) -> Option<f64>,
) -> Goal {
    let numbers = subjects.iter().filter_map(|subject| Some((number(subject)?, subject)));
    let numbers: Vec<(f64, &Subject)> = numbers.collect();
    let mean = geometric_mean(numbers.iter().map(|(number, _)| *number));
    let worst = numbers.iter().max_by(|a, b| a.0.total_cmp(&b.0));
    let (text, reached) = match worst {
        Some((worst, subject)) => {
            let name = &subject.real.name;
            let text = format!("{} ({name}), mean {}", times(*worst), times(mean));
            (text, *worst <= limit)
        }
        None => ("refused".to_string(), false),
    };
    Goal::plain(format!("{what}, each"), text, reached)
}

/// The peak of a process of its own.
fn child(engine: &str, what: &str, module: &Path) -> io::Result<u64> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.args(["peak", engine, what]).arg(module).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| {
        let error = String::from_utf8_lossy(&output.stderr);
        io::Error::other(format!("{engine}, {what} {}: {error}", module.display()))
    })
}

/// What the child does: prints its peak.
pub fn peak(engine: &str, what: &str, module: &Path) -> io::Result<()> {
    let engines = Engines::new();
    let binary = std::fs::read(module)?;
    if what == "compile" {
        let attempt = engines::attempts(&engines, &binary, thread_time);
        let attempt = attempt.into_iter().find(|attempt| attempt.name == engine);
        attempt.ok_or(io::ErrorKind::NotFound)?.once().map_err(io::Error::other)?;
    }
    println!("{}", host::peak_memory()?);
    Ok(())
}
