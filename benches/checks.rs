//! What the checks cost that an engine can compile into guests: the programs of `benches/kernels` with
//! and without them, on each tier, in turns in one process.
//!
//! `cargo bench --bench checks [-- NAME…]` prints how many times as long each program takes.

use std::hint::black_box;
use std::time::Duration;

use wasm_mini::{Engine, Imports, Instance, Interruption, Module, Tier, TypedFunc};

/// A program and how much it shall do: a few milliseconds.
macro_rules! kernels {
    ($($name:literal $n:literal)*) => {
        const KERNELS: &[(&str, i32, &str)] =
            &[$(($name, $n, include_str!(concat!("kernels/", $name, ".wat")))),*];
    };
}

kernels! {
    "fib" 25
    "sieve" 1_000_000
    "matmul" 100
    "nbody" 30_000
    "call_indirect" 1_000_000
    "interpreter" 150_000
    "sha256" 5_000
    "copy_loop" 600
    "copy_small" 200_000
    "copy_large" 20_000
    "simd_saxpy" 1_000
    "simd_text" 1_000
    "quicksort" 50_000
    "heapsort" 30_000
    "hashmap" 6
    "tree" 20_000
    "lz" 300_000
    "crc32" 1_000_000
    "base64" 900_000
    "search" 900_000
    "levenshtein" 1_000
    "tokenizer" 6_000
    "life" 15
    "queens" 8
    "twister" 500_000
    "xorshift" 1_500_000
    "bigint" 800
    "mandelbrot" 100
    "lu" 150
    "fft" 14
    "blur" 6
}

const ROUNDS: usize = 60;

/// The CPU time that this thread has taken.
fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a `timespec`.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

struct Contender {
    name: &'static str,
    run: TypedFunc<fn(i32) -> i64>,
    least: Duration,
}

fn main() {
    let asked: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let mut means = Vec::new();
    for tier in Tier::available() {
        let builder = || Engine::builder().tier(*tier);
        let engines = [
            ("none", builder().build().expect("an engine")),
            ("fuel", builder().fuel(u64::MAX).build().expect("an engine")),
            ("polls", builder().interruption(Interruption::Polled).build().expect("an engine")),
        ];
        println!("\n{tier:<16}{:>12}{:>9}{:>9}", "none", "fuel", "polls");
        let mut logs = vec![(0.0, 0); engines.len()];
        for (name, n, text) in KERNELS {
            if !asked.is_empty() && !asked.iter().any(|asked| asked == name) {
                continue;
            }
            let mut contenders: Vec<_> = engines
                .iter()
                .map(|(name, engine)| {
                    let module = Module::with_engine(engine, text).expect("a kernel");
                    let instance = Instance::new(&module, &Imports::none()).expect("an instance");
                    let run = instance.typed_func("run").expect("the export");
                    Contender { name, run, least: Duration::MAX }
                })
                .collect();
            let expected = contenders[0].run.call(*n).expect("no trap");
            for round in 0..ROUNDS {
                for turn in 0..contenders.len() {
                    let at = (round + turn) % contenders.len();
                    let contender = &mut contenders[at];
                    let start = thread_time();
                    let checksum = contender.run.call(black_box(*n)).expect("no trap");
                    contender.least = contender.least.min(thread_time() - start);
                    assert_eq!(checksum, expected, "{name} with {}", contender.name);
                }
            }
            let without = contenders[0].least.as_secs_f64();
            print!("{name:<16}{:>9.0} us", without * 1e6);
            for (contender, log) in contenders.iter().zip(&mut logs).skip(1) {
                let ratio = contender.least.as_secs_f64() / without;
                *log = (log.0 + ratio.ln(), log.1 + 1);
                print!("{ratio:>9.3}");
            }
            println!();
        }
        let mean = |log: &(f64, i32)| (log.0 / f64::from(log.1.max(1))).exp();
        means.push((tier, logs.iter().skip(1).map(mean).collect::<Vec<_>>()));
    }
    println!("\ngeometric means");
    for (tier, means) in means {
        print!("{tier:<16}{:>12}", "");
        means.iter().for_each(|mean| print!("{mean:>9.3}"));
        println!();
    }
}
