//! The harness: contenders take turns in one process, so that a change of the machine's pace meets
//! all of them.
//!
//! Each round runs a short batch of each contender, starting with another one every time, on the
//! thread's CPU clock, or on that of the process where the contender works. What is kept of a
//! contender is the least and the median of its batches.

use std::time::Duration;

use crate::host::{progress, thread_time};

/// Something to be measured: `time(n)` does it n times, and tells what that took.
pub struct Contender<'a> {
    pub name: String,
    time: Box<dyn FnMut(u64) -> Duration + 'a>,
}

impl<'a> Contender<'a> {
    /// For what happens elsewhere, and has a clock of its own.
    pub fn timed(name: impl Into<String>, time: impl FnMut(u64) -> Duration + 'a) -> Contender<'a> {
        Contender { name: name.into(), time: Box::new(time) }
    }

    /// For what takes nanoseconds: the loop is the contender's own, and inlined.
    pub fn looping(name: impl Into<String>, mut run: impl FnMut(u64) + 'a) -> Contender<'a> {
        Contender::timed(name, move |n| {
            let start = thread_time();
            run(n);
            thread_time() - start
        })
    }

    /// Does it n times.
    pub fn run(&mut self, n: u64) {
        (self.time)(n);
    }

    /// For what takes longer than the loop around it.
    pub fn new<T>(name: impl Into<String>, mut once: impl FnMut() -> T + 'a) -> Contender<'a> {
        Contender::looping(name, move |n| {
            for _ in 0..n {
                std::hint::black_box(once());
            }
        })
    }
}

/// How long to measure.
#[derive(Clone, Copy)]
pub struct Plan {
    pub rounds: usize,
    /// About how long one batch takes; slower contenders run once.
    pub batch: Duration,
}

/// What a contender took, in nanoseconds for one time.
pub struct Result {
    pub name: String,
    pub least: f64,
    pub median: f64,
}

/// Runs them against each other.
pub fn race(plan: Plan, mut contenders: Vec<Contender<'_>>) -> Race {
    let counts: Vec<u64> = contenders.iter_mut().map(|c| calibrate(c, plan.batch)).collect();
    let mut times = vec![Vec::with_capacity(plan.rounds); contenders.len()];
    for round in 0..plan.rounds {
        for turn in 0..contenders.len() {
            let index = (round + turn) % contenders.len();
            let took = (contenders[index].time)(counts[index]);
            times[index].push(took.as_nanos() as f64 / counts[index] as f64);
        }
    }
    let results = contenders.into_iter().zip(times).map(|(contender, mut times)| {
        times.sort_by(f64::total_cmp);
        Result { name: contender.name, least: times[0], median: times[times.len() / 2] }
    });
    Race(results.collect())
}

/// How often the contender runs in a batch. Warms it up, too.
fn calibrate(contender: &mut Contender<'_>, batch: Duration) -> u64 {
    let mut n = 1;
    loop {
        let took = (contender.time)(n);
        if took >= batch / 4 || n >= 1 << 30 {
            let exact = n as f64 * batch.as_secs_f64() / took.as_secs_f64().max(1e-9);
            return (exact as u64).max(1);
        }
        n *= 4;
    }
}

/// Something that takes long, and may be refused: `time()` does it and tells what that took.
pub struct Attempt<'a> {
    pub name: String,
    time: Box<dyn FnMut() -> std::result::Result<Duration, String> + 'a>,
}

impl<'a> Attempt<'a> {
    /// For what has a clock of its own.
    pub fn timed(
        name: impl Into<String>,
        time: impl FnMut() -> std::result::Result<Duration, String> + 'a,
    ) -> Attempt<'a> {
        Attempt { name: name.into(), time: Box::new(time) }
    }

    pub fn new<T, E: std::fmt::Display>(
        name: impl Into<String>,
        clock: fn() -> Duration,
        mut once: impl FnMut() -> std::result::Result<T, E> + 'a,
    ) -> Attempt<'a> {
        Attempt::timed(name, move || {
            let start = clock();
            drop(std::hint::black_box(once().map_err(|error| error.to_string())?));
            Ok(clock() - start)
        })
    }

    pub fn once(mut self) -> std::result::Result<(), String> {
        (self.time)().map(drop)
    }
}

/// How many rounds something gets that takes so long.
fn rounds_of(once: Duration, quick: bool) -> usize {
    match once.as_secs_f64() {
        _ if quick => 2,
        t if t < 0.05 => 100,
        t if t < 1.0 => 15,
        t if t < 10.0 => 3,
        _ => 2,
    }
}

/// Runs attempts against each other, the shorter ones more often, each of them all the time until the last
/// is done. What is refused is left out, with a word on stderr.
pub fn long_race(quick: bool, attempts: Vec<Attempt<'_>>) -> Race {
    let mut runners = Vec::new();
    for mut attempt in attempts {
        match (attempt.time)() {
            Ok(took) => runners.push((attempt, vec![took])),
            Err(error) => progress(format_args!("{}: {error}", attempt.name)),
        }
    }
    let count = runners.len();
    let rounds = |times: &[Duration]| rounds_of(times[0], quick);
    let most = runners.iter().map(|(_, times)| rounds(times)).max().unwrap_or(0);
    for round in 1..most {
        for turn in 0..count {
            let (attempt, times) = &mut runners[(round + turn) % count];
            let due = |round: usize| round * rounds(times) / most;
            if due(round) > due(round - 1) {
                times.push((attempt.time)().expect("it was not refused before"));
            }
        }
    }
    let results = runners.into_iter().map(|(attempt, mut times)| {
        times.sort();
        let nanos = |time: Duration| time.as_nanos() as f64;
        let (least, median) = (nanos(times[0]), nanos(times[times.len() / 2]));
        Result { name: attempt.name, least, median }
    });
    Race(results.collect())
}

/// The geometric mean; 1 of nothing.
pub fn geometric_mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0f64);
    for value in values {
        sum += value.ln();
        count += 1.0;
    }
    (sum / count.max(1.0)).exp()
}

/// The results of one race, in the order of the contenders.
pub struct Race(pub Vec<Result>);

impl Race {
    /// The least time of the contender with that name.
    pub fn least(&self, name: &str) -> f64 {
        self.find(name).unwrap_or_else(|| panic!("{name} took part")).least
    }

    /// The result of the contender with that name, if it took part.
    pub fn find(&self, name: &str) -> Option<&Result> {
        self.0.iter().find(|result| result.name == name)
    }

    /// How many times as long as `than` it took.
    pub fn ratio(&self, name: &str, than: &str) -> f64 {
        self.least(name) / self.least(than)
    }

    /// The same, if both took part.
    pub fn ratio_of_both(&self, name: &str, than: &str) -> Option<f64> {
        Some(self.find(name)?.least / self.find(than)?.least)
    }
}
