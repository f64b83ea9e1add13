//! How long the columns take: loading, phase by phase, and calling.
//!
//! All columns are measured in turn, round after round, so that whatever else the machine does
//! meets them alike; the minimum over the rounds is what the code itself takes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use wasm_mini::{Engine, ExportError, Instance, Module, Timings, ValType, Value};

use super::subject::Subject;
use crate::cli::exit::Failure;
use crate::cli::input::Target;

/// How often a module is loaded, unless that takes longer than `LOADING`.
const LOADS: usize = 101;
const LOADING: Duration = Duration::from_millis(800);
/// How often each column's calls are timed. Slow functions get the lesser number.
const ROUNDS: usize = 31;
const FEWEST_ROUNDS: usize = 9;
/// How long the calls of one round and column take, at least.
const ROUND: Duration = Duration::from_millis(1);
/// From here on, a call is slow.
const SLOW: Duration = Duration::from_millis(10);

/// How long the phases of loading took: the least of each, and compilation's median.
#[derive(Clone, Debug)]
pub struct Loading {
    pub runs: usize,
    pub parse: Duration,
    pub validate: Duration,
    pub compile: Duration,
    pub compile_median: Duration,
    pub link: Duration,
    pub publish: Duration,
}

impl Loading {
    /// The phases in their order.
    pub fn phases(&self) -> [(&'static str, Duration); 5] {
        [
            ("parse", self.parse),
            ("validate", self.validate),
            ("compile", self.compile),
            ("link", self.link),
            ("publish", self.publish),
        ]
    }
}

/// Loads the module with each engine in turn; `None` stays `None`.
pub fn loading(wasm: &[u8], subjects: &[Subject]) -> Result<Vec<Option<Loading>>, Failure> {
    let mut timings: Vec<Vec<Timings>> = subjects.iter().map(|_| Vec::new()).collect();
    let start = Instant::now();
    for _ in 0..LOADS {
        for (subject, timings) in subjects.iter().zip(&mut timings) {
            let Some(engine) = &subject.engine else { continue };
            timings.extend(load(engine, wasm)?);
        }
        if start.elapsed() > LOADING {
            break;
        }
    }
    Ok(timings.iter().map(|timings| summary(timings)).collect())
}

fn load(engine: &Engine, wasm: &[u8]) -> Result<Option<Timings>, Failure> {
    Ok(Module::with_engine(engine, wasm)?.timings())
}

fn summary(timings: &[Timings]) -> Option<Loading> {
    let min = |phase: fn(&Timings) -> Duration| timings.iter().map(phase).min();
    let mut compile: Vec<Duration> = timings.iter().map(|timings| timings.compile).collect();
    compile.sort_unstable();
    Some(Loading {
        runs: timings.len(),
        parse: min(|timings| timings.parse)?,
        validate: min(|timings| timings.validate)?,
        compile: min(|timings| timings.compile)?,
        compile_median: *compile.get(compile.len() / 2)?,
        link: min(|timings| timings.link)?,
        publish: min(|timings| timings.publish)?,
    })
}

/// Calls a function that many times, and says how long that took.
type Timer = Box<dyn Fn(u64) -> Duration>;

/// What calls cost.
#[derive(Debug)]
pub struct Calls {
    /// Whether through `typed_func`; else through the dynamic call, whose cost is in the times.
    pub typed: bool,
    pub rounds: usize,
    /// Nanoseconds per call, the least of all rounds, column by column.
    pub nanoseconds: Vec<f64>,
}

/// Times calls with these arguments, which must not trap.
pub fn calls(target: &Target, arguments: &[Value], subjects: &[Subject]) -> Result<Calls, Failure> {
    let mut typed = true;
    let mut timers: Vec<Timer> = Vec::new();
    for subject in subjects {
        timers.push(match typed_timer(target, arguments, &subject.instance)? {
            Some(timer) => timer,
            None => {
                typed = false;
                let function = subject.instance.dyn_func(&target.name)?;
                let arguments = arguments.to_vec();
                Box::new(move |count| {
                    time(count, || drop(black_box(function.call(black_box(&arguments)))))
                })
            }
        });
    }
    let counts: Vec<u64> = timers.iter().map(calibrate).collect();
    let slow = timers.iter().any(|timer| timer(1) > SLOW);
    let rounds = if slow { FEWEST_ROUNDS } else { ROUNDS };
    let mut least = vec![f64::INFINITY; timers.len()];
    for _ in 0..rounds {
        for ((timer, count), least) in timers.iter().zip(&counts).zip(&mut least) {
            *least = least.min(timer(*count).as_secs_f64() * 1e9 / *count as f64);
        }
    }
    Ok(Calls { typed, rounds, nanoseconds: least })
}

/// How many calls fill a round.
fn calibrate(timer: &Timer) -> u64 {
    let mut count = 1;
    // Doubling from one call on warms up, too.
    while timer(count) < ROUND && count < 1 << 30 {
        count *= 2;
    }
    count
}

fn time(count: u64, call: impl Fn()) -> Duration {
    let start = Instant::now();
    for _ in 0..count {
        call();
    }
    start.elapsed()
}

/// The typed call, for the signatures that most functions to compare have: one type throughout,
/// one result, and three parameters at most.
fn typed_timer(
    target: &Target,
    arguments: &[Value],
    instance: &Instance,
) -> Result<Option<Timer>, ExportError> {
    let [result] = target.ty.results() else { return Ok(None) };
    macro_rules! timer {
        ($result:ty $(, $argument:ident: $ty:ty)*) => {{
            let function = instance.typed_func::<fn($($ty),*) -> $result>(&target.name)?;
            $( let $argument = *$argument; )*
            Box::new(move |count| {
                time(count, || {
                    let _ = black_box(function.call($( black_box($argument) ),*));
                })
            })
        }};
    }
    macro_rules! timers {
        ($( $variant:ident: $ty:ty ),*) => {
            match (*result, arguments) {
                $(
                    (ValType::$variant, []) => timer!($ty),
                    (ValType::$variant, [Value::$variant(a)]) => timer!($ty, a: $ty),
                    (ValType::$variant, [Value::$variant(a), Value::$variant(b)]) => {
                        timer!($ty, a: $ty, b: $ty)
                    }
                    (
                        ValType::$variant,
                        [Value::$variant(a), Value::$variant(b), Value::$variant(c)],
                    ) => timer!($ty, a: $ty, b: $ty, c: $ty),
                )*
                _ => return Ok(None),
            }
        };
    }
    let timer: Timer = timers!(I32: i32, I64: i64, F32: f32, F64: f64);
    Ok(Some(timer))
}
