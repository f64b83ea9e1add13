//! `wasm-mini run`: calls one exported function and prints its results.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use wasm_mini::{Engine, Imports, Instance, Module, Tier};

use super::exit::{EXIT_CODES, Exit, Failure};
use super::{arguments, input};

/// Call an exported function and print its results, one a line
#[derive(Args)]
#[command(after_help = EXIT_CODES)]
pub struct Run {
    /// The module: text or binary, `-` for stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The function's arguments, by its signature: 42, -1, 0xff, 1_000, 0.5, -inf, nan:0x1, 0x1.8p3
    #[arg(value_name = "ARGS", value_parser = super::unshield)]
    args: Vec<String>,

    /// The exported function to call; not needed if there is only one
    #[arg(short, long, value_name = "NAME", value_parser = super::unshield)]
    invoke: Option<String>,

    /// The compiler to use: baseline (starts fast) or cranelift (runs fast; the default)
    #[arg(long, value_name = "TIER", value_parser = super::tier)]
    tier: Option<Tier>,

    /// How much fuel the program may consume, about one unit for each operator; without this, as
    /// much as it likes
    #[arg(long, value_name = "UNITS", value_parser = units)]
    fuel: Option<u64>,

    /// End the call, and the start function, after so long: 1.5s, 200ms, 50us
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,

    /// Print to stderr how long each phase took
    #[arg(long)]
    time: bool,
}

impl Run {
    pub fn run(self) -> Result<Exit, Failure> {
        let path = super::unshield_path(self.file);
        let bytes = input::read(&path)?;
        let mut builder = Engine::builder().timings(self.time);
        if let Some(tier) = self.tier {
            builder = builder.tier(tier);
        }
        if let Some(units) = self.fuel {
            builder = builder.fuel(units);
        }
        if let Some(timeout) = self.timeout {
            builder = builder.deadline(timeout);
        }
        let engine = input::engine(builder.build())?;
        let module = input::load(&engine, &path, &bytes)?;
        let target = input::target(&module, &path, self.invoke.as_deref(), "--invoke")?;
        let values = arguments::parse(&target, &self.args)?;

        let start = Instant::now();
        let instance = Instance::new(&module, &Imports::none())?;
        let function = instance.dyn_func(&target.name)?;
        let instantiated = start.elapsed();

        let start = Instant::now();
        let outcome = function.call(&values);
        let called = start.elapsed();

        if self.time {
            // A stderr that is gone is not a reason to lose the result.
            let table = times(engine.tier(), &module, instantiated, called);
            let _ = std::io::stderr().write_all(table.as_bytes());
        }
        let mut text = String::new();
        for value in outcome? {
            text.push_str(&arguments::print(&value));
            text.push('\n');
        }
        let mut stdout = std::io::stdout().lock();
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
            .map_err(|error| Failure::output(&error))?;
        Ok(Exit::Success)
    }
}

/// For clap: an amount of fuel.
fn units(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "a whole number of units, such as 1000000".to_string())
}

/// For clap: a number with its unit.
fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1e-3), ("us", 1e-6), ("s", 1.0)];
    let seconds = units.into_iter().find_map(|(unit, factor)| {
        let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(number * factor)
    });
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "a number and its unit, such as 1.5s, 200ms or 50us".to_string())
}

/// One line a phase, in microseconds.
fn times(tier: Tier, module: &Module, instantiated: Duration, called: Duration) -> String {
    let mut phases = Vec::new();
    if let Some(timings) = module.timings() {
        phases.extend([
            ("parse", timings.parse),
            ("validate", timings.validate),
            ("compile", timings.compile),
            ("link", timings.link),
            ("publish", timings.publish),
        ]);
    }
    phases.extend([("instantiate", instantiated), ("call", called)]);
    let mut text = format!("tier         {tier:>12}\n");
    for (name, duration) in phases {
        let micros = duration.as_secs_f64() * 1e6;
        let _ = writeln!(text, "{name:<12} {micros:>9.1} us");
    }
    text
}
