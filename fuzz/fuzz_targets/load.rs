//! Any bytes: what validation says and what loading on each tier says must be the same, and nothing may
//! panic.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wasm_mini::{Engine, LoadError, Module, Tier, validate};

static ENGINES: LazyLock<Vec<Engine>> = LazyLock::new(|| {
    let build = |tier: &Tier| Engine::builder().tier(*tier).compile_threads(1).build();
    Tier::available().iter().map(|tier| build(tier).expect("an engine")).collect()
});

fuzz_target!(|bytes: &[u8]| {
    let valid = validate(bytes);
    for engine in ENGINES.iter() {
        match (Module::with_engine(engine, bytes), &valid) {
            (Ok(_), Ok(())) | (Err(LoadError::Limit { .. }), _) => {}
            (Err(loaded), Err(valid)) => assert_eq!(loaded.to_string(), valid.to_string()),
            (loaded, valid) => panic!("{:?} loads it as {loaded:?}, {valid:?}", engine.tier()),
        }
    }
});
