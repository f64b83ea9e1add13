//! The harness: contenders take turns in one process, so that a change of the machine's pace meets
//! all of them.
//!
//! Each round runs a short batch of each contender, starting with another one every time, on the
//! thread's CPU clock. What is kept of a contender is the least and the median of its batches.

use std::time::Duration;

use crate::host::thread_time;

/// Something to be measured: `run(n)` does it n times.
pub struct Contender<'a> {
    pub name: String,
    run: Box<dyn FnMut(u64) + 'a>,
}

impl<'a> Contender<'a> {
    /// For what takes nanoseconds: the loop is the contender's own, and inlined.
    pub fn looping(name: impl Into<String>, run: impl FnMut(u64) + 'a) -> Contender<'a> {
        Contender { name: name.into(), run: Box::new(run) }
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
            let took = time(&mut contenders[index], counts[index]);
            times[index].push(took.as_nanos() as f64 / counts[index] as f64);
        }
    }
    let results = contenders.into_iter().zip(times).map(|(contender, mut times)| {
        times.sort_by(f64::total_cmp);
        Result { name: contender.name, least: times[0], median: times[times.len() / 2] }
    });
    Race(results.collect())
}

fn time(contender: &mut Contender<'_>, n: u64) -> Duration {
    let start = thread_time();
    (contender.run)(n);
    thread_time() - start
}

/// How often the contender runs in a batch. Warms it up, too.
fn calibrate(contender: &mut Contender<'_>, batch: Duration) -> u64 {
    let mut n = 1;
    loop {
        let took = time(contender, n);
        if took >= batch / 4 || n >= 1 << 30 {
            let exact = n as f64 * batch.as_secs_f64() / took.as_secs_f64().max(1e-9);
            return (exact as u64).max(1);
        }
        n *= 4;
    }
}

/// The results of one race, in the order of the contenders.
pub struct Race(pub Vec<Result>);

impl Race {
    /// The least time of the contender with that name.
    pub fn least(&self, name: &str) -> f64 {
        let found = self.0.iter().find(|result| result.name == name);
        found.unwrap_or_else(|| panic!("{name} took part")).least
    }

    /// How many times as long as `than` it took.
    pub fn ratio(&self, name: &str, than: &str) -> f64 {
        self.least(name) / self.least(than)
    }
}
