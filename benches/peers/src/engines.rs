//! The engines that are compared, each made once. Liftoff, which runs elsewhere, is in `liftoff.rs`.

use std::num::NonZero;
use std::time::Duration;

use wasmi::CompilationMode;
use wasmtime::Strategy;

/// All of them, with default settings but for what [`Engines::with`] says.
pub struct Engines {
    /// This crate's tiers, by the name they have in the tables.
    pub mini: Vec<(&'static str, wasm_mini::Engine)>,
    /// wasmtime's compilers.
    pub wasmtime: Vec<(&'static str, wasmtime::Engine)>,
    pub wasmi: wasmi::Engine,
}

pub const BASELINE: &str = "wasm-mini baseline";
pub const CRANELIFT: &str = "wasm-mini cranelift";
pub const WASMTIME: &str = "wasmtime Cranelift";
pub const WINCH: &str = "wasmtime Winch";
pub const WASMI: &str = "wasmi";
pub const SINGLEPASS: &str = "wasmer singlepass";
pub const LIFTOFF: &str = "V8 Liftoff";
pub const VALIDATION: &str = "wasmparser validation";
/// wasmparser's, and what this crate notes for its compilers on the way.
pub const OWN_VALIDATION: &str = "wasm-mini validation";

/// How many threads a compiler may use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    One,
    /// As many as there are processors.
    All,
}

impl Engines {
    /// Engines that compile on the thread that asks.
    pub fn new() -> Engines {
        Engines::with(Threads::One)
    }

    /// Lets each of them compile something: what an engine does once, and a heap that has just been
    /// made, shall be in no measurement.
    pub fn warm_up(&self) {
        let binary = crate::programs::large(100);
        for mut loader in loaders(self, &binary) {
            loader.run(3);
        }
    }

    /// Engines with default settings but for the number of threads that compile.
    pub fn with(threads: Threads) -> Engines {
        // wasmer's signal handlers come first, so that they are the last to be asked: it shall not be
        // between a fault and another engine.
        drop(wasmer::Store::new(singlepass()));
        let mini = [(BASELINE, wasm_mini::Tier::Baseline), (CRANELIFT, wasm_mini::Tier::Cranelift)];
        let mini = mini.map(|(name, tier)| {
            let count = match threads {
                Threads::One => 1,
                Threads::All => 0,
            };
            let engine = wasm_mini::Engine::builder().tier(tier).compile_threads(count).build();
            (name, engine.expect("the tier is there"))
        });
        let wasmtime = [(WASMTIME, Strategy::Cranelift), (WINCH, Strategy::Winch)];
        let wasmtime = wasmtime.map(|(name, strategy)| {
            let mut config = wasmtime::Config::new();
            config.strategy(strategy).parallel_compilation(threads == Threads::All);
            (name, wasmtime::Engine::new(&config).expect("the compiler is there"))
        });
        let mut config = wasmi::Config::default();
        config.compilation_mode(CompilationMode::Eager);
        Engines { mini: mini.into(), wasmtime: wasmtime.into(), wasmi: wasmi::Engine::new(&config) }
    }
}

/// An instance in wasm-mini.
pub fn mini(engine: &wasm_mini::Engine, binary: &[u8]) -> wasm_mini::Instance {
    let module = wasm_mini::Module::with_engine(engine, binary).expect("a valid module");
    wasm_mini::Instance::new(&module, &wasm_mini::Imports::none()).expect("nothing to import")
}

/// A store with an instance in wasmtime.
pub fn wasmtime(
    engine: &wasmtime::Engine,
    binary: &[u8],
) -> (wasmtime::Store<()>, wasmtime::Instance) {
    wasmtime_instance(&wasmtime::Module::new(engine, binary).expect("a valid module"))
}

/// The same from a module that is compiled already.
pub fn wasmtime_instance(module: &wasmtime::Module) -> (wasmtime::Store<()>, wasmtime::Instance) {
    let mut store = wasmtime::Store::new(module.engine(), ());
    let instance = wasmtime::Instance::new(&mut store, module, &[]).expect("nothing to import");
    (store, instance)
}

/// A store with an instance in wasmi.
pub fn wasmi(engine: &wasmi::Engine, binary: &[u8]) -> (wasmi::Store<()>, wasmi::Instance) {
    let module = wasmi::Module::new(engine, binary).expect("a valid module");
    let mut store = wasmi::Store::new(engine, ());
    let instance = wasmi::Instance::new(&mut store, &module, &[]).expect("nothing to import");
    (store, instance)
}

/// wasmer with its single-pass compiler, and default settings but for one: it does not make every NaN
/// the same, for nobody else does. A new engine each time, because it keeps the code of all modules.
pub fn singlepass() -> wasmer::Engine {
    let mut compiler = wasmer::sys::Singlepass::new();
    compiler.canonicalize_nans(false).num_threads(NonZero::<usize>::MIN);
    compiler.into()
}

/// A store with an instance in wasmer.
pub fn wasmer_instance(
    engine: &wasmer::Engine,
    module: &wasmer::Module,
) -> (wasmer::Store, wasmer::Instance) {
    let mut store = wasmer::Store::new(engine.clone());
    let instance = wasmer::Instance::new(&mut store, module, &wasmer::Imports::new());
    (store, instance.expect("nothing to import"))
}

/// What every validating engine must do: the floor of making a module.
pub fn validate(binary: &[u8]) {
    let features = wasmparser::WasmFeatures::WASM2;
    let mut validator = wasmparser::Validator::new_with_features(features);
    validator.validate_all(binary).expect("a valid module");
}

/// Contenders that make a module of the binary: validation alone, and each engine.
pub fn loaders<'a>(engines: &'a Engines, binary: &'a [u8]) -> Vec<crate::race::Contender<'a>> {
    use crate::race::Contender;
    let mut contenders = vec![
        Contender::new(VALIDATION, move || validate(binary)),
        Contender::new(OWN_VALIDATION, move || wasm_mini::validate(binary).expect("valid")),
    ];
    for (name, engine) in &engines.mini {
        contenders.push(Contender::new(*name, move || {
            wasm_mini::Module::with_engine(engine, binary).expect("a valid module")
        }));
    }
    for (name, engine) in &engines.wasmtime {
        contenders.push(Contender::new(*name, move || {
            wasmtime::Module::new(engine, binary).expect("a valid module")
        }));
    }
    contenders.push(Contender::new(WASMI, move || {
        wasmi::Module::new(&engines.wasmi, binary).expect("a valid module")
    }));
    contenders
}

/// The same for modules that not every engine may accept, on a clock of this thread or of all.
pub fn attempts<'a>(
    engines: &'a Engines,
    binary: &'a [u8],
    clock: fn() -> Duration,
) -> Vec<crate::race::Attempt<'a>> {
    use crate::race::Attempt;
    let mut attempts = Vec::new();
    for (name, engine) in &engines.mini {
        let once = move || wasm_mini::Module::with_engine(engine, binary);
        attempts.push(Attempt::new(*name, clock, once));
    }
    for (name, engine) in &engines.wasmtime {
        let once = move || wasmtime::Module::new(engine, binary);
        attempts.push(Attempt::new(*name, clock, once));
    }
    let once = move || wasmi::Module::new(&engines.wasmi, binary);
    attempts.push(Attempt::new(WASMI, clock, once));
    attempts
}
