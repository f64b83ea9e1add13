//! Any bytes as a module, linked with garbage on each tier and run on a bounded amount of fuel.
#![no_main]

#[path = "../../tests/common/exercise.rs"]
#[allow(dead_code)]
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
    let build = |tier: &Tier| {
        let builder = Engine::builder().tier(*tier).limits(limits).compile_threads(1);
        exercise::Bound::Fuel.set(builder).build().expect("an engine")
    };
    Tier::available().iter().map(build).collect()
});

fuzz_target!(|bytes: &[u8]| {
    // So that files that are modules can be seeds.
    let seed = bytes.len() as u64;
    for engine in ENGINES.iter() {
        exercise::exercise(engine, bytes, seed, &mut exercise::Outcomes::default());
    }
});
