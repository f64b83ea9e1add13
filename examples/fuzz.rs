//! Compares the tiers with each other and with wasmi on generated modules, and with each other when
//! fuel is short, for as long as asked.
//!
//! ```text
//! cargo run --release --example fuzz -- --minutes 30      on all processors
//!     --seed N        the first seed; by default, one that the clock gives
//!     --threads N     how many processes work at a time
//! cargo run --release --example fuzz -- --module M.wasm --seed N     one module, found earlier
//! cargo run --release --example fuzz -- --print M.wasm               its operators, with offsets
//! ```
//!
//! Modules come from wasm-smith and use all of WebAssembly 2.0, or are deep expressions of vectors. Each is compared in a process that
//! does that for one seed after the other, so that crashes and endless loops are findings like any
//! other. A finding is written to the current directory as a module and a text, made smaller as far
//! as that goes by itself; the command ends with status 1 then.

#[path = "../tests/common/engines.rs"]
mod engines;
#[path = "../tests/common/expressions.rs"]
mod expressions;
#[path = "../tests/common/interpreter.rs"]
mod interpreter;
#[path = "../tests/common/metered.rs"]
mod metered;
#[path = "../tests/common/random.rs"]
mod random;
#[path = "../tests/common/reduce.rs"]
mod reduce;
#[path = "../tests/common/smith.rs"]
mod smith;

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs};

use engines::{Engines, Tally};
use metered::Metered;

/// A module that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a finding may be made smaller.
const REDUCTION: Duration = Duration::from_secs(120);
/// Generated functions may recurse as deep as their fuel lasts.
const STACK: usize = 256 << 20;

type Failure = Box<dyn std::error::Error>;

/// What the command line asks for.
#[derive(Default)]
struct Options {
    minutes: Option<f64>,
    seed: Option<u64>,
    threads: Option<u64>,
    module: Option<String>,
    print: Option<String>,
    /// What a process that this one started is to do: compare every so manieth seed.
    step: Option<u64>,
}

impl Options {
    fn parse() -> Result<Options, Failure> {
        let mut options = Options::default();
        let mut words = env::args().skip(1);
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            match word.as_str() {
                "--minutes" => options.minutes = Some(value.parse()?),
                "--seed" => options.seed = Some(value.parse()?),
                "--threads" => options.threads = Some(value.parse()?),
                "--module" => options.module = Some(value),
                "--print" => options.print = Some(value),
                "--step" => options.step = Some(value.parse()?),
                _ => return Err(format!("there is no option {word}").into()),
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    let run = || -> Result<ExitCode, Failure> {
        let options = Options::parse()?;
        let seed = options.seed.unwrap_or_else(|| {
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
        });
        if let Some(path) = options.print {
            print!("{}", reduce::print(&fs::read(path)?)?);
            return Ok(ExitCode::SUCCESS);
        }
        let work = move || match (options.module, options.step) {
            (Some(path), _) => compare_one(&path, seed),
            (None, Some(step)) => compare_seeds(seed, step),
            (None, None) => watch(seed, options.threads, options.minutes),
        };
        let worked = thread::Builder::new()
            .stack_size(STACK)
            .spawn(move || work().map_err(|error| error.to_string()))?;
        // The status of a panic, which has been reported, and is a finding if it is an engine's.
        Ok(worked.join().unwrap_or(Ok(ExitCode::from(101)))?)
    };
    run().unwrap_or_else(|error| {
        eprintln!("fuzz: {error}");
        ExitCode::from(2)
    })
}

/// The module that a seed stands for: every fourth is of vector expressions.
fn module(seed: u64) -> Option<Vec<u8>> {
    if seed.is_multiple_of(4) { Some(expressions::module(seed)) } else { smith::module(seed) }
}

/// Compares the module of a file; prints how it differs, and fails then.
fn compare_one(path: &str, seed: u64) -> Result<ExitCode, Failure> {
    let binary = fs::read(path)?;
    let compared = Engines::new().compare(&binary, seed, &mut Tally::default());
    match compared.and_then(|()| Metered::new().compare(&binary, seed, &mut Default::default())) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(difference) => {
            println!("{difference}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Compares one seed's module after the other until it is killed; says on stdout what it does:
/// `seed N`, then `done MODULES RETURNS TRAPS` or `found` and the difference in one line.
fn compare_seeds(first: u64, step: u64) -> Result<ExitCode, Failure> {
    let (engines, metered) = (Engines::new(), Metered::new());
    let mut out = io::stdout();
    for seed in (first..).step_by(step as usize) {
        writeln!(out, "seed {seed}")?;
        let mut tally = Tally::default();
        if let Some(binary) = module(seed)
            && let Err(difference) = engines
                .compare(&binary, seed, &mut tally)
                .and_then(|()| metered.compare(&binary, seed, &mut Default::default()))
        {
            writeln!(out, "found {}", difference.replace('\n', "\t"))?;
            return Ok(ExitCode::FAILURE);
        }
        writeln!(out, "done {} {} {}", tally.modules, tally.returns, tally.trapped())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What all processes have done, and whether they shall go on.
#[derive(Default)]
struct Progress {
    modules: AtomicU64,
    returns: AtomicU64,
    traps: AtomicU64,
    stop: AtomicBool,
    findings: Mutex<Vec<(u64, String)>>,
}

/// Starts processes that compare, and watches over them.
fn watch(seed: u64, threads: Option<u64>, minutes: Option<f64>) -> Result<ExitCode, Failure> {
    let processors = thread::available_parallelism().map_or(1, |number| number.get() as u64);
    let threads = threads.unwrap_or(processors).max(1);
    let limit = minutes.map(|minutes| Duration::from_secs_f64(minutes * 60.0));
    let start = Instant::now();
    let progress = Progress::default();
    eprintln!("fuzz: from seed {seed} on, in {threads} processes");
    thread::scope(|scope| {
        for thread in 0..threads {
            let progress = &progress;
            scope.spawn(move || {
                let mut next = seed + thread;
                while !progress.stop.load(Ordering::Relaxed) {
                    match attend(next, threads, progress) {
                        Ok(None) => return,
                        Ok(Some((at, why))) => {
                            progress.findings.lock().unwrap().push((at, why));
                            progress.stop.store(true, Ordering::Relaxed);
                            next = at + threads;
                        }
                        Err(error) => {
                            eprintln!("\nfuzz: {error}");
                            progress.stop.store(true, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
        while !progress.stop.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_secs(1));
            let [modules, returns, traps] = [&progress.modules, &progress.returns, &progress.traps]
                .map(|count| count.load(Ordering::Relaxed));
            let seconds = start.elapsed().as_secs();
            eprint!(
                "\r{modules} modules, {} calls, {traps} of them trapped, {seconds} s ",
                returns + traps
            );
            if limit.is_some_and(|limit| start.elapsed() >= limit) {
                progress.stop.store(true, Ordering::Relaxed);
            }
        }
        eprintln!();
    });
    let findings = progress.findings.into_inner().unwrap();
    for (seed, why) in &findings {
        report(*seed, why)?;
    }
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn start(arguments: &[&str], output: fn() -> Stdio) -> io::Result<Child> {
    Command::new(env::current_exe()?)
        .args(arguments)
        .stdout(output())
        .stderr(output())
        .env_remove("RUST_BACKTRACE")
        .spawn()
}

/// Runs one process until it finds something or work is over.
fn attend(first: u64, step: u64, progress: &Progress) -> Result<Option<(u64, String)>, Failure> {
    let mut child =
        start(&["--seed", &first.to_string(), "--step", &step.to_string()], Stdio::piped)?;
    let (said, lines) = mpsc::channel();
    let stdout = BufReader::new(child.stdout.take().ok_or("no stdout")?);
    thread::spawn(move || {
        stdout.lines().map_while(Result::ok).try_for_each(|line| said.send(line))
    });
    let mut seed = first;
    let mut since = Instant::now();
    let finding = loop {
        if progress.stop.load(Ordering::Relaxed) {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        let line = match lines.recv_timeout(Duration::from_millis(200)) {
            Ok(line) => line,
            Err(mpsc::RecvTimeoutError::Timeout) if since.elapsed() > PATIENCE => {
                child.kill()?;
                break format!("it takes more than {PATIENCE:?}");
            }
            Err(mpsc::RecvTimeoutError::Timeout) => continue,
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let output = child.wait_with_output()?;
                let stderr = String::from_utf8_lossy(&output.stderr);
                return Ok(Some((seed, format!("{}\n{stderr}", output.status))));
            }
        };
        since = Instant::now();
        let mut words = line.split(' ');
        match words.next() {
            Some("seed") => seed = words.next().unwrap_or_default().parse()?,
            Some("done") => {
                for count in [&progress.modules, &progress.returns, &progress.traps] {
                    let more = words.next().unwrap_or_default().parse::<u64>()?;
                    count.fetch_add(more, Ordering::Relaxed);
                }
            }
            _ => break line.trim_start_matches("found ").replace('\t', "\n"),
        }
    };
    child.wait()?;
    Ok(Some((seed, finding)))
}

/// Writes a finding down, smaller if possible.
fn report(seed: u64, why: &str) -> Result<(), Failure> {
    println!("seed {seed}: {why}");
    let Some(binary) = module(seed) else { return Ok(()) };
    let name = format!("fuzz-{seed}");
    fs::write(format!("{name}.wasm"), &binary)?;
    fs::write(format!("{name}.txt"), format!("seed {seed}: {why}\n"))?;
    println!("{name}.wasm has the module, {name}.txt has this text");
    if !fails(&format!("{name}.wasm"), seed)? {
        println!("it hangs, or does not happen again: it is not made smaller");
        return Ok(());
    }
    let smaller = format!("{name}-small.wasm");
    let deadline = Instant::now() + REDUCTION;
    let reduced = reduce::reduce(&binary, &mut |candidate| {
        Instant::now() < deadline
            && wasm_mini::validate(candidate).is_ok()
            && fs::write(&smaller, candidate).is_ok()
            && fails(&smaller, seed).unwrap_or(false)
    });
    fs::write(&smaller, &reduced)?;
    let text = reduce::print(&reduced)?;
    fs::write(format!("{name}-small.txt"), &text)?;
    println!("{smaller}: {} bytes of {}", reduced.len(), binary.len());
    if text.lines().count() < 100 {
        println!("{text}");
    }
    Ok(())
}

/// Whether a module is a finding, in a process of its own. One that hangs is none: without the code
/// that consumes fuel, any would.
fn fails(path: &str, seed: u64) -> Result<bool, Failure> {
    let mut child = start(&["--module", path, "--seed", &seed.to_string()], Stdio::null)?;
    let since = Instant::now();
    loop {
        match child.try_wait()? {
            // 2 is for what is no finding: a file that cannot be read, say.
            Some(status) => return Ok(!status.success() && status.code() != Some(2)),
            None if since.elapsed() > PATIENCE => {
                child.kill()?;
                child.wait()?;
                return Ok(false);
            }
            None => thread::sleep(Duration::from_millis(2)),
        }
    }
}
