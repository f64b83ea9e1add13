//! Any bytes as a module, linked with garbage on each tier and run where that is sure to end.
#![no_main]

#[path = "../../tests/common/exercise.rs"]
mod exercise;
#[path = "../../tests/common/random.rs"]
#[allow(dead_code)]
mod random;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wasm_mini::{Engine, Limits, Tier};

static ENGINES: LazyLock<Vec<Engine>> = LazyLock::new(|| {
    let mut limits = Limits::default();
    limits.memory_pages = 256;
    limits.table_elements = 100_000;
    let build = |tier: &Tier| Engine::builder().tier(*tier).limits(limits).compile_threads(1).build();
    Tier::available().iter().map(|tier| build(tier).expect("an engine")).collect()
});

fuzz_target!(|input: (u64, &[u8])| {
    let (seed, bytes) = input;
    for engine in ENGINES.iter() {
        exercise::exercise(engine, bytes, seed, &mut exercise::Outcomes::default());
    }
});
