//! What the integration tests share: a run on every tier, modules from text, seeded randomness.
//!
//! Each test binary uses a part of this.
#![allow(dead_code, unused_macros, unused_imports)]

pub mod binary;
pub mod generate;
pub mod process;
pub mod random;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use wasm_mini::{Engine, Error, Func, Imports, Instance, LoadError, Module, Tier, Trap, Value};

pub use random::Random;

/// Makes a `#[test]` of each function for each tier that is built in: `baseline::name` and
/// `cranelift::name`. A function takes the tier. One that is not listed is dead code, and the
/// compiler says so.
macro_rules! on_each_tier {
    ($($name:ident),* $(,)?) => {
        #[cfg(feature = "baseline")]
        mod baseline {
            $(#[test] fn $name() { super::$name(wasm_mini::Tier::Baseline); })*
        }

        #[cfg(feature = "cranelift")]
        mod cranelift {
            $(#[test] fn $name() { super::$name(wasm_mini::Tier::Cranelift); })*
        }

        /// The two modules above are all tiers that there are.
        #[test]
        fn no_tier_is_left_out() {
            let tested = [
                (cfg!(feature = "baseline"), wasm_mini::Tier::Baseline),
                (cfg!(feature = "cranelift"), wasm_mini::Tier::Cranelift),
            ];
            let tested: Vec<_> = tested.iter().filter(|(on, _)| *on).map(|(_, tier)| *tier).collect();
            assert_eq!(wasm_mini::Tier::available(), tested);
        }
    };
}
pub(crate) use on_each_tier;

/// The fixtures that come with the crate: name and text.
pub const FIXTURES: &[(&str, &str)] = &[
    ("add4", include_str!("../../fixtures/add4.wat")),
    ("collatz", include_str!("../../fixtures/collatz.wat")),
    ("fac", include_str!("../../fixtures/fac.wat")),
    ("fib", include_str!("../../fixtures/fib.wat")),
    ("gcd", include_str!("../../fixtures/gcd.wat")),
    ("is_prime", include_str!("../../fixtures/is_prime.wat")),
];

/// The text of a fixture.
pub fn fixture(name: &str) -> &'static str {
    FIXTURES.iter().find(|(known, _)| *known == name).expect("a fixture of that name").1
}

/// The tier's engine that the tests of one binary share.
pub fn engine(tier: Tier) -> &'static Engine {
    static ENGINES: OnceLock<Vec<Engine>> = OnceLock::new();
    ENGINES
        .get_or_init(|| {
            let make = |tier: &Tier| Engine::new(*tier).expect("an engine");
            Tier::available().iter().map(make).collect()
        })
        .iter()
        .find(|engine| engine.tier() == tier)
        .expect("an engine for each tier")
}

/// The binary form of a text.
pub fn assemble(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A module that must load, without help from the other tier.
pub fn module(tier: Tier, input: impl AsRef<[u8]>) -> Module {
    let input = input.as_ref();
    let module = Module::with_engine(engine(tier), input).unwrap_or_else(|error| {
        panic!("the {tier} tier does not load this: {error}\n{}", String::from_utf8_lossy(input))
    });
    assert_compiled_by(tier, &module);
    module
}

/// No other tier stood in where this one lacks an operator.
pub fn assert_compiled_by(tier: Tier, module: &Module) {
    for (function, by) in tiers_of(module).enumerate() {
        assert_eq!(by, tier, "function {function}");
    }
}

/// Which tier compiled each function of a module that imports none.
pub fn tiers_of(module: &Module) -> impl Iterator<Item = Tier> {
    (0..).map_while(|function| module.tier(function))
}

/// An instance of a module that must load and link.
pub fn instance(tier: Tier, input: impl AsRef<[u8]>) -> Instance {
    instantiate(&module(tier, input))
}

/// An instance of a module that must link.
pub fn instantiate(module: &Module) -> Instance {
    Instance::new(module, &Imports::none()).expect("an instance")
}

/// Why a module does not load.
pub fn load_error(tier: Tier, input: impl AsRef<[u8]>) -> LoadError {
    Module::with_engine(engine(tier), input).expect_err("a module that must not load")
}

/// The results of a call that must not fail.
pub fn results(func: &Func, arguments: &[Value]) -> Vec<Value> {
    func.call(arguments).unwrap_or_else(|error| panic!("{func:?} {arguments:?}: {error}"))
}

/// The trap that a call must end in.
pub fn trap(func: &Func, arguments: &[Value]) -> Trap {
    match func.call(arguments) {
        Err(Error::Trap(trap)) => trap,
        other => panic!("{func:?} {arguments:?} should trap, and gave {other:?}"),
    }
}

/// Lets one test of the process run at a time, for those that look at the whole process.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
