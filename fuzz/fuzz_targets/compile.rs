//! Valid modules of wasm-smith's: each tier must compile each.
#![no_main]

#[path = "../../tests/common/random.rs"]
#[allow(dead_code)]
mod random;
#[path = "../../tests/common/smith.rs"]
#[allow(dead_code)]
mod smith;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wasm_mini::{Engine, Module, Tier};

static ENGINES: LazyLock<Vec<Engine>> = LazyLock::new(|| {
    let engine = |tier: &Tier| Engine::builder().tier(*tier).compile_threads(1).build();
    Tier::available().iter().map(|tier| engine(tier).expect("an engine")).collect()
});

fuzz_target!(|input: (u64, &[u8])| {
    let (seed, bytes) = input;
    if let Some(binary) = smith::module_of_bytes(seed, bytes) {
        for engine in &*ENGINES {
            Module::with_engine(engine, &binary).expect("a valid module");
        }
    }
});
