//! Hostile modules: damaged ones by the hundred thousand are validated, compiled, linked with whatever
//! is at hand and run, with fuel or with deadlines in turn. Nothing may come of it but a value or an
//! error: no panic, no crash, no hang, and no more memory than the limits say.
//!
//! A short run is part of the test suite. The long one is
//!
//! ```text
//! WASM_MINI_MUTANTS=200000 cargo test --release --test hostile -- --nocapture
//! ```
//!
//! which tells at its end what it did and what took longest. Real programs take part if
//! `benches/fetch-modules.sh` has fetched them. If the process dies, the mutant that killed it is in
//! `target/tmp/hostile-<test>-<tier>.wasm`.

mod common;
#[path = "common/corpus.rs"]
mod corpus;
#[path = "common/counting.rs"]
mod counting;
#[path = "common/exercise.rs"]
mod exercise;
#[path = "common/mutate.rs"]
mod mutate;
#[allow(dead_code)]
#[path = "common/smith.rs"]
mod smith;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::time::Duration;

use common::{Random, on_each_tier, random};
use corpus::{Corpus, Origin};
use counting::heap_of;
use exercise::{Bound, Outcomes, exercise};
use wasm_mini::{Engine, Limits, LoadError, Tier};

/// How many mutants each tier gets in the test suite.
const MUTANTS: u64 = if cfg!(debug_assertions) { 1_000 } else { 10_000 };
/// More processor time than this for one mutant is a hang, with all that may slow down a test.
const HANG: Duration = Duration::from_secs(if cfg!(debug_assertions) { 60 } else { 10 });
/// And so is more than this, if it takes that each time.
const PATIENCE: Duration = Duration::from_secs(if cfg!(debug_assertions) { 60 } else { 1 });
/// How often what took too long is tried again: a busy machine slows a mutant down once, a hang stays.
const ATTEMPTS: u32 = 4;
/// The most heap that one mutant may take: so much, and so much for each byte of it.
const HEAP: i64 = 64 << 20;
const HEAP_PER_BYTE: i64 = 4_000;
/// What guests may have.
const PAGES: u32 = 256;
const ELEMENTS: u32 = 100_000;

/// The processor time of the calling thread.
fn processor_time() -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the call fills in the time, which is read if it did.
    let time = unsafe {
        assert_eq!(libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, time.as_mut_ptr()), 0);
        time.assume_init()
    };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What a run did.
#[derive(Debug, Default)]
struct Tally {
    origins: BTreeMap<Origin, u64>,
    outcomes: Outcomes,
    /// The longest times, each with the number of the mutant, its origin and its size.
    slowest: Vec<(Duration, u64, Origin, usize)>,
    /// The most heap for one mutant, its number and its size.
    most_heap: (i64, u64, usize),
}

fn corpus() -> &'static Corpus {
    static CORPUS: OnceLock<Corpus> = OnceLock::new();
    CORPUS.get_or_init(Corpus::load)
}

/// Engines whose guests end, one for each way to make them.
fn engines(tier: Tier) -> [Engine; 2] {
    let mut limits = Limits::default();
    limits.memory_pages = PAGES;
    limits.table_elements = ELEMENTS;
    // One thread does it all, so that its time and its heap are all that there are.
    let builder = || Engine::builder().tier(tier).limits(limits).compile_threads(1);
    [Bound::Fuel, Bound::Deadline].map(|bound| bound.set(builder()).build().expect("an engine"))
}

/// The mutant with that number: the same on every tier and in every run with the same corpus.
fn mutant(corpus: &Corpus, number: u64) -> (Origin, Vec<u8>) {
    let mut random = Random::new(number);
    let (origin, module) = corpus.pick(&mut random);
    // Some stay as they are: invalid ones of the suite, valid ones of everywhere.
    if random.one_in(12) {
        return (origin, module);
    }
    let (_, other) = corpus.pick(&mut random);
    (origin, mutate::mutate(&mut random, &module, &other))
}

/// The most memory that the process had at one time, in bytes.
fn peak_of_process() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("the status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    let number = line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
    number.expect("a number") << 10
}

/// Each `test` keeps the module at hand in a file of its own, for whoever looks why it took the process down.
fn run(test: &str, tier: Tier, mutants: impl Iterator<Item = (u64, Origin, Vec<u8>)>) -> Tally {
    let engines = engines(tier);
    let path = format!("{}/hostile-{test}-{tier}.wasm", env!("CARGO_TARGET_TMPDIR"));
    let mut tally = Tally::default();
    for (number, origin, binary) in mutants {
        fs::write(&path, &binary).expect("a file for the mutant");
        *tally.origins.entry(origin).or_default() += 1;
        let engine = &engines[number as usize % engines.len()];
        let start = processor_time();
        let (_, heap, done) = heap_of(|| {
            catch_unwind(AssertUnwindSafe(|| {
                exercise(engine, &binary, number, &mut tally.outcomes)
            }))
        });
        let mut took = processor_time() - start;
        if done.is_err() {
            let kept = format!("{path}.{number}");
            fs::write(&kept, &binary).expect("a file for the mutant");
            panic!("mutant {number} of {origin:?} on the {tier} tier: see above, and {kept}");
        }
        for _ in 0..ATTEMPTS {
            assert!(took < HANG, "mutant {number} of {origin:?} took {took:?}: {path}");
            if took < PATIENCE {
                break;
            }
            let start = processor_time();
            exercise(engine, &binary, number, &mut Outcomes::default());
            took = processor_time() - start;
        }
        assert!(took < PATIENCE, "mutant {number} of {origin:?} took {took:?}: {path}");
        let allowed = HEAP + HEAP_PER_BYTE * binary.len() as i64;
        assert!(heap < allowed, "mutant {number} of {origin:?} took {heap} bytes of heap: {path}");
        tally.slowest.push((took, number, origin, binary.len()));
        tally.slowest.sort_by(|a, b| b.cmp(a));
        tally.slowest.truncate(5);
        tally.most_heap = tally.most_heap.max((heap, number, binary.len()));
    }
    fs::remove_file(&path).expect("the file of the last mutant");
    tally
}

fn damaged_modules_do_no_harm(tier: Tier) {
    let asked = env::var("WASM_MINI_MUTANTS").ok().map(|text| text.parse().expect("a number"));
    let count = asked.unwrap_or(MUTANTS);
    let first = env::var("WASM_MINI_FIRST").map_or(0, |text| text.parse().expect("a number"));
    let mutants = (first..first + count).map(|number| {
        let (origin, binary) = mutant(corpus(), number);
        (number, origin, binary)
    });
    let tally = run("damaged", tier, mutants);
    let outcomes = &tally.outcomes;
    let peak = peak_of_process() >> 20;
    println!("{tier}: {count} mutants of {:?}, {peak} MiB at most\n{tally:#?}", corpus().counts());
    if count < MUTANTS {
        return;
    }
    // All of this is worth nothing if everything is refused, or nothing runs.
    assert!(tally.outcomes.loaded > count / 10 && tally.outcomes.refused > count / 4, "{tally:?}");
    assert!(outcomes.linked > count / 20 && outcomes.not_linked > 0, "{tally:?}");
    assert!(outcomes.returned > count / 10 && outcomes.traps.len() > 3, "{tally:?}");
}

/// All modules of the specification's suite as they are, those that must not load among them.
#[cfg(feature = "wast")]
fn modules_of_the_suite_do_no_harm(tier: Tier) {
    let modules = corpus().suite();
    let every = if cfg!(debug_assertions) { 4 } else { 1 };
    let numbered = modules.iter().enumerate().step_by(every);
    let numbered = numbered.map(|(i, module)| (i as u64, Origin::Suite, module.clone()));
    let tally = run("suite", tier, numbered);
    println!("{tier}: the suite: {tally:#?}");
    assert!(modules.len() > 2_000, "{}", modules.len());
    assert!(tally.outcomes.loaded > 100 && tally.outcomes.refused > 300, "{tally:?}");
}

/// What is accepted is what wasmparser's own loop over a module accepts.
#[test]
fn verdicts_are_those_of_wasmparser() {
    let features = wasmparser::WasmFeatures::WASM2;
    let mut valid = 0;
    for number in 0..2 * MUTANTS {
        let (origin, binary) = mutant(corpus(), number);
        if !binary.starts_with(b"\0asm") {
            continue;
        }
        let mut validator = wasmparser::Validator::new_with_features(features);
        let theirs = validator.validate_all(&binary).map(drop);
        match (wasm_mini::validate(&binary), theirs) {
            // Beyond this engine.
            (Err(LoadError::Limit { .. } | LoadError::Unsupported { .. }), _) => {}
            (ours, theirs) => {
                valid += u64::from(ours.is_ok());
                let agree = ours.is_ok() == theirs.is_ok();
                assert!(agree, "mutant {number} of {origin:?}: {ours:?}, wasmparser: {theirs:?}");
            }
        }
    }
    assert!((MUTANTS / 5..MUTANTS).contains(&valid), "{valid} are valid");
}

/// Where `fuzz/` begins: see its README.
#[test]
#[ignore = "writes to fuzz/corpus"]
fn seeds_for_the_fuzz_targets() {
    for target in ["load", "instantiate"] {
        let folder = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        fs::create_dir_all(&folder).expect("a folder for seeds");
        for (number, module) in corpus().texts().iter().chain(corpus().suite()).enumerate() {
            fs::write(format!("{folder}/seed-{number}"), module).expect("a file for the seed");
        }
    }
}

#[cfg(feature = "wast")]
on_each_tier!(damaged_modules_do_no_harm, modules_of_the_suite_do_no_harm);
#[cfg(not(feature = "wast"))]
on_each_tier!(damaged_modules_do_no_harm);
