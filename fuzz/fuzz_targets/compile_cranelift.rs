//! Valid modules of wasm-smith's: the cranelift tier must compile each.
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

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let builder = Engine::builder().tier(Tier::Cranelift).compile_threads(1);
    builder.build().expect("an engine")
});

fuzz_target!(|input: (u64, &[u8])| {
    let (seed, bytes) = input;
    if let Some(binary) = smith::module_of_bytes(seed, bytes) {
        Module::with_engine(&ENGINE, binary).expect("a valid module");
    }
});
