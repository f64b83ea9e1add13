//! Every compiler that is built in, with all that the machine offers, and as for processors that lack
//! some of it.
#![allow(dead_code)]

use wasm_mini::{Engine, Module, Tier};

/// What processors may lack of the features that compilers ask for: one by one, and together as in
/// some that were built.
pub const LEVELS: &[(&str, &[&str])] = &[
    ("no POPCNT", &["popcnt"]),
    ("no LZCNT", &["lzcnt"]),
    ("no BMI1", &["bmi1"]),
    ("no BMI2", &["bmi2"]),
    ("no AVX2", &["avx2"]),
    ("no AVX", &["avx"]),
    // Sandy Bridge; before it; Piledriver.
    ("AVX alone", &["avx2", "bmi1", "bmi2", "lzcnt"]),
    ("POPCNT alone", &["avx", "bmi1", "bmi2", "lzcnt"]),
];

/// An engine for each tier that is built in, the baseline tier twice: with all that the machine offers,
/// and with portable code.
pub fn engines() -> Vec<(String, Engine)> {
    let mut engines = Vec::new();
    if Tier::available().contains(&Tier::Baseline) {
        let portable = Engine::builder().tier(Tier::Baseline).portable_code().build();
        engines.push(("portable baseline".to_string(), portable.expect("an engine")));
    }
    let make = |tier: &Tier| (tier.to_string(), Engine::new(*tier).expect("an engine"));
    engines.extend(Tier::available().iter().map(make));
    engines
}

/// An engine for each tier and each of [`LEVELS`].
pub fn engines_of_levels() -> Vec<(String, Engine)> {
    let mut engines = Vec::new();
    for (level, lacks) in LEVELS {
        for tier in Tier::available() {
            let engine = Engine::builder().tier(*tier).without_cpu_features(lacks).build();
            engines.push((format!("{tier}, {level}"), engine.expect("an engine")));
        }
    }
    engines
}

/// A module of which the engine compiles every function itself.
pub fn load(engine: &Engine, binary: &[u8]) -> Module {
    let module = Module::with_engine(engine, binary).expect("a valid module");
    assert!((0..).map_while(|function| module.tier(function)).all(|tier| tier == engine.tier()));
    module
}
