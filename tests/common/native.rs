//! Every compiler that is built in, the baseline tier twice: with all that the machine offers, and
//! with portable code.

use wasm_mini::{Engine, Module, Tier};

pub fn engines() -> Vec<(&'static str, Engine)> {
    let mut engines = Vec::new();
    if Tier::available().contains(&Tier::Baseline) {
        let portable = Engine::builder().tier(Tier::Baseline).portable_code().build();
        engines.push(("baseline", Engine::new(Tier::Baseline).expect("an engine")));
        engines.push(("portable baseline", portable.expect("an engine")));
    }
    if Tier::available().contains(&Tier::Cranelift) {
        engines.push(("Cranelift", Engine::new(Tier::Cranelift).expect("an engine")));
    }
    engines
}

/// A module of which the engine compiles every function itself.
pub fn load(engine: &Engine, binary: &[u8]) -> Module {
    let module = Module::with_engine(engine, binary).expect("a valid module");
    assert!((0..).map_while(|function| module.tier(function)).all(|tier| tier == engine.tier()));
    module
}
