//! Modules of wasm-smith's on every tier and on an interpreter: same results, traps and state.
#![no_main]

#[path = "../../tests/common/engines.rs"]
#[allow(dead_code)]
mod engines;
#[path = "../../tests/common/interpreter.rs"]
#[allow(dead_code)]
mod interpreter;
#[path = "../../tests/common/random.rs"]
#[allow(dead_code)]
mod random;
#[path = "../../tests/common/smith.rs"]
#[allow(dead_code)]
mod smith;

use engines::{Engines, Tally};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u64, &[u8])| {
    // Its instances belong to a thread.
    thread_local!(static ENGINES: Engines = Engines::new());
    let (seed, bytes) = input;
    if let Some(binary) = smith::module_of_bytes(seed, bytes) {
        let compared = ENGINES.with(|engines| engines.compare(&binary, seed, &mut Tally::default()));
        compared.unwrap_or_else(|difference| panic!("{difference}"));
    }
});
