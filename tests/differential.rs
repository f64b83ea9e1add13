//! The tiers against each other and against an interpreter, wasmi, on generated modules.
//!
//! The interpreter is wasmi 1: version 2.0.0 gives wrong results with fuel on, and its translator
//! fails its own assertions, for modules that are generated here.
//!
//! Results are compared bit for bit, traps by their code, and between the tiers by their backtrace
//! too; in the end, what is left in memories and globals. A module is made from a seed, which a failure names along with the module's text.

mod common;
#[path = "common/native.rs"]
mod native;

use std::env;
use std::ops::Range;
use std::sync::OnceLock;

use arbitrary::Unstructured;
use common::generate::{self, Generated};
use common::{Random, assert_compiled_by, engine};
use wasm_mini::{
    Engine, Error, Frame, Imports, Instance, Module, Tier, Trap, TrapCode, ValType, Value,
};
use wasm_smith::{Config, InstructionKind, InstructionKinds};

/// How many generated modules the test suite tries. `WASM_MINI_SEEDS` asks for more.
const SEEDS: u64 = 1_500;
/// How many modules of wasm-smith's.
const SMITH_SEEDS: u64 = 900;
/// How many of each that are tried as for many kinds of processors.
const LEVEL_SEEDS: u64 = 150;
/// How often each function is called.
const CALLS: usize = 6;
/// What wasmi may spend on a call. What it cannot finish, nobody is asked to.
const FUEL: u64 = 200_000;

/// How a call ended: with results, or with a trap.
type Outcome = Result<Vec<Value>, TrapCode>;

/// A call on a tier, with all that can be known of it.
fn call(instance: &Instance, name: &str, arguments: &[Value]) -> Result<Vec<Value>, Trap> {
    match instance.dyn_func(name).expect(name).call(arguments) {
        Ok(results) => Ok(results),
        Err(Error::Trap(trap)) => Err(trap),
        Err(other) => panic!("{name} {arguments:?}: {other}"),
    }
}

/// The functions and operators that a backtrace names.
type Places = Vec<(u32, Option<u32>)>;

fn places(trap: &Trap) -> Places {
    let place = |frame: &Frame| (frame.function(), frame.offset());
    trap.backtrace().iter().map(place).collect()
}

/// The tiers, and the baseline tier once more with no instruction that a processor may lack.
fn engines() -> &'static [(String, Engine)] {
    static ENGINES: OnceLock<Vec<(String, Engine)>> = OnceLock::new();
    ENGINES.get_or_init(native::engines)
}

/// The tiers, and each of them as for all kinds of processors.
fn engines_of_levels() -> &'static [(String, Engine)] {
    static ENGINES: OnceLock<Vec<(String, Engine)>> = OnceLock::new();
    ENGINES
        .get_or_init(|| native::engines().into_iter().chain(native::engines_of_levels()).collect())
}

/// The interpreter, with fuel.
struct Reference {
    store: wasmi::Store<()>,
    instance: wasmi::Instance,
}

impl Reference {
    /// `None` if the module's segments do not fit.
    fn new(binary: &[u8]) -> Option<Reference> {
        let mut config = wasmi::Config::default();
        config.consume_fuel(true);
        config.compilation_mode(wasmi::CompilationMode::Eager);
        let engine = wasmi::Engine::new(&config);
        let module = wasmi::Module::new(&engine, binary).expect("wasmi takes the module");
        let mut store = wasmi::Store::new(&engine, ());
        store.set_fuel(FUEL).expect("fuel is on");
        let instance = wasmi::Linker::new(&engine).instantiate_and_start(&mut store, &module);
        instance.ok().map(|instance| Reference { store, instance })
    }

    /// What is exported besides functions and tables must be the same in an instance.
    fn compare_state(&self, tier: &str, instance: &Instance, what: &str) {
        for export in self.instance.exports(&self.store) {
            let name = export.name();
            if let Some(expected) = export.clone().into_memory() {
                let memory = instance.memory(name).expect(name);
                let mut bytes = vec![0; memory.size()];
                memory.read(0, &mut bytes).expect("all of it");
                let expected = expected.data(&self.store);
                let differs = bytes.iter().zip(expected).position(|(a, b)| a != b);
                assert_eq!(differs, None, "{tier} {name}\n{what}");
                assert_eq!(bytes.len(), expected.len(), "{tier} {name}\n{what}");
            } else if let Some(expected) = export.into_global() {
                let expected = expected.get(&self.store);
                if !matches!(expected, wasmi::Val::FuncRef(_) | wasmi::Val::ExternRef(_)) {
                    let found = instance.global(name).expect(name).get();
                    assert_eq!(found, from_wasmi(&expected), "{tier} {name}\n{what}");
                }
            }
        }
    }

    /// `None` if the call costs too much.
    fn call(&mut self, name: &str, arguments: &[Value], results: &[ValType]) -> Option<Outcome> {
        let Reference { store, instance } = self;
        let f = instance.get_func(&*store, name).expect(name);
        store.set_fuel(FUEL).expect("fuel is on");
        let arguments: Vec<_> = arguments.iter().map(|value| to_wasmi(value.clone())).collect();
        let mut out = vec![wasmi::Val::I32(0); results.len()];
        match f.call(store, &arguments, &mut out) {
            Ok(()) => Some(Ok(out.iter().map(from_wasmi).collect())),
            Err(error) => trap_code(&error).map(Err),
        }
    }
}

fn to_wasmi(value: Value) -> wasmi::Val {
    match value {
        Value::I32(value) => wasmi::Val::I32(value),
        Value::I64(value) => wasmi::Val::I64(value),
        Value::F32(value) => wasmi::Val::F32(wasmi::F32::from_bits(value.to_bits())),
        Value::F64(value) => wasmi::Val::F64(wasmi::F64::from_bits(value.to_bits())),
        Value::V128(value) => wasmi::Val::V128(value.into()),
        other => panic!("{other:?} is of no type that is generated"),
    }
}

fn from_wasmi(value: &wasmi::Val) -> Value {
    match value {
        wasmi::Val::I32(value) => Value::I32(*value),
        wasmi::Val::I64(value) => Value::I64(*value),
        wasmi::Val::F32(value) => Value::F32(f32::from_bits(value.to_bits())),
        wasmi::Val::F64(value) => Value::F64(f64::from_bits(value.to_bits())),
        wasmi::Val::V128(value) => Value::V128(value.as_u128()),
        other => panic!("{other:?} is of no type that is generated"),
    }
}

/// `None` where fuel or wasmi's own stack ran out, whose size is its own.
fn trap_code(error: &wasmi::Error) -> Option<TrapCode> {
    match error.as_trap_code() {
        Some(wasmi::TrapCode::UnreachableCodeReached) => Some(TrapCode::Unreachable),
        Some(wasmi::TrapCode::IntegerDivisionByZero) => Some(TrapCode::IntegerDivideByZero),
        Some(wasmi::TrapCode::IntegerOverflow) => Some(TrapCode::IntegerOverflow),
        Some(wasmi::TrapCode::BadConversionToInteger) => Some(TrapCode::InvalidConversionToInteger),
        Some(wasmi::TrapCode::MemoryOutOfBounds) => Some(TrapCode::MemoryOutOfBounds),
        Some(wasmi::TrapCode::TableOutOfBounds) => Some(TrapCode::TableOutOfBounds),
        Some(wasmi::TrapCode::IndirectCallToNull) => Some(TrapCode::UninitializedElement),
        Some(wasmi::TrapCode::BadSignature) => Some(TrapCode::IndirectCallTypeMismatch),
        // Of operators on tables, it has the text only.
        None if error.to_string().starts_with("out of bounds table access") => {
            Some(TrapCode::TableOutOfBounds)
        }
        Some(wasmi::TrapCode::OutOfFuel | wasmi::TrapCode::StackOverflow) => None,
        other => panic!("{other:?} cannot come from what is generated: {error}"),
    }
}

/// The code as the interpreter tells traps apart.
fn as_wasmi_tells(code: TrapCode) -> TrapCode {
    match code {
        TrapCode::UndefinedElement => TrapCode::TableOutOfBounds,
        other => other,
    }
}

/// How much was compared.
#[derive(Debug, Default)]
struct Tally {
    results: usize,
    traps: usize,
    too_long: usize,
}

/// One function of a module, as it is called.
struct Callee {
    name: String,
    params: Vec<ValType>,
    results: Vec<ValType>,
}

/// Calls every function on every engine and on wasmi.
fn compare(
    engines: &'static [(String, Engine)],
    what: &str,
    binary: &[u8],
    callees: &[Callee],
    random: &mut Random,
    tally: &mut Tally,
) {
    let mut reference = Reference::new(binary);
    let mut instances: Vec<(&str, Instance)> = Vec::new();
    for (tier, engine) in engines {
        let module = Module::with_engine(engine, binary)
            .unwrap_or_else(|error| panic!("the {tier} tier refuses it: {error}\n{what}"));
        assert_compiled_by(engine.tier(), &module);
        let instance = Instance::new(&module, &Imports::none());
        assert_eq!(instance.is_ok(), reference.is_some(), "{tier} {instance:?}\n{what}");
        instances.extend(instance.ok().map(|instance| (tier.as_str(), instance)));
    }
    let Some(reference) = &mut reference else { return };
    for Callee { name, params, results } in callees {
        for _ in 0..CALLS {
            let arguments = generate::arguments(random, params);
            let Some(expected) = reference.call(name, &arguments, results) else {
                // What it has left behind in globals, nobody else has.
                tally.too_long += 1;
                return;
            };
            match expected {
                Ok(_) => tally.results += 1,
                Err(_) => tally.traps += 1,
            }
            let mut seen: Option<(TrapCode, Places)> = None;
            for (tier, instance) in &instances {
                let outcome = call(instance, name, &arguments);
                let codes = outcome.clone().map_err(|trap| as_wasmi_tells(trap.code()));
                assert_eq!(codes, expected, "{tier} {name} {arguments:?}\n{what}");
                let Err(trap) = outcome else { continue };
                let places = (trap.code(), places(&trap));
                assert!(
                    places.1.iter().all(|(_, offset)| offset.is_some()),
                    "{tier} {trap:?}\n{what}"
                );
                let other = seen.get_or_insert_with(|| places.clone());
                assert_eq!(&places, other, "{tier} {name} {arguments:?}\n{what}");
            }
        }
    }
    for (tier, instance) in &instances {
        reference.compare_state(tier, instance, what);
    }
}

fn seeds(usual: u64) -> Range<u64> {
    let asked = env::var("WASM_MINI_SEEDS").ok().and_then(|text| text.parse().ok());
    0..asked.unwrap_or(usual)
}

fn generated_modules(engines: &'static [(String, Engine)], seeds: Range<u64>) {
    let mut tally = Tally::default();
    for seed in seeds {
        let Generated { text, functions } = generate::module(seed);
        let binary = common::assemble(&text);
        let callees: Vec<_> = functions
            .into_iter()
            .enumerate()
            .map(|(index, signature)| Callee {
                name: format!("f{index}"),
                params: signature.params,
                results: signature.results,
            })
            .collect();
        let what = format!("seed {seed}\n{text}");
        compare(engines, &what, &binary, &callees, &mut Random::new(!seed), &mut tally);
    }
    // The generator is worth nothing if all it makes traps at once, or never.
    assert!(tally.results > tally.traps, "{tally:?}");
    assert!(tally.traps * 20 > tally.results, "{tally:?}");
    assert!(tally.too_long * 20 < tally.results, "{tally:?}");
}

#[test]
fn generated_modules_agree() {
    generated_modules(engines(), seeds(SEEDS));
}

#[test]
fn generated_modules_agree_on_processors_that_lack_something() {
    generated_modules(engines_of_levels(), seeds(LEVEL_SEEDS));
}

/// What wasm-smith may make so that every tier takes it.
fn smith_config() -> Config {
    Config {
        allowed_instructions: InstructionKinds::new(&[
            InstructionKind::Numeric,
            InstructionKind::Control,
            InstructionKind::Parametric,
            InstructionKind::Variable,
            InstructionKind::Memory,
            InstructionKind::Table,
            InstructionKind::Reference,
        ]),
        allow_start_export: false,
        canonicalize_nans: true,
        extended_const_enabled: false,
        exceptions_enabled: false,
        export_everything: true,
        gc_enabled: false,
        custom_descriptors_enabled: false,
        max_data_segments: 3,
        max_element_segments: 3,
        max_elements: 8,
        max_globals: 6,
        max_imports: 0,
        max_instructions: 300,
        max_memory32_bytes: 4 << 16,
        max_tables: 2,
        max_table_elements: 20,
        max_tags: 0,
        max_funcs: 6,
        memory64_enabled: false,
        min_funcs: 1,
        relaxed_simd_enabled: false,
        simd_enabled: false,
        tail_call_enabled: false,
        threads_enabled: false,
        wide_arithmetic_enabled: false,
        ..Config::default()
    }
}

/// A module of wasm-smith's; `None` where the seed's bytes do not suffice for one.
fn smith_module(seed: u64, config: Config) -> Option<Vec<u8>> {
    let mut random = Random::new(seed);
    let length = 400 + random.below(2000);
    let bytes: Vec<u8> = (0..length).map(|_| random.bits() as u8).collect();
    let module = wasm_smith::Module::new(config, &mut Unstructured::new(&bytes));
    module.ok().map(|module| module.to_bytes())
}

/// Its loops may be endless: wasmi's fuel tells, and only what came to an end there is called.
#[test]
fn modules_of_wasm_smith_agree() {
    smith_modules(engines(), smith_config, seeds(SMITH_SEEDS));
}

#[test]
fn modules_with_vectors_agree() {
    smith_modules(engines(), vector_config, seeds(SMITH_SEEDS));
}

#[test]
fn modules_with_vectors_agree_on_processors_that_lack_something() {
    smith_modules(engines_of_levels(), vector_config, seeds(LEVEL_SEEDS));
}

fn vector_config() -> Config {
    Config {
        allowed_instructions: InstructionKinds::new(&[
            InstructionKind::Vector,
            InstructionKind::Numeric,
            InstructionKind::Control,
            InstructionKind::Parametric,
            InstructionKind::Variable,
            InstructionKind::Memory,
        ]),
        simd_enabled: true,
        ..smith_config()
    }
}

fn smith_modules(engines: &'static [(String, Engine)], config: fn() -> Config, seeds: Range<u64>) {
    let count = seeds.end as usize;
    let mut tally = Tally::default();
    let is_number = |ty: &ValType| !matches!(ty, ValType::FuncRef | ValType::ExternRef);
    for seed in seeds {
        let Some(binary) = smith_module(seed, config()) else { continue };
        let module = Module::with_engine(engine(Tier::available()[0]), &binary)
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let callees: Vec<_> = module
            .exported_functions()
            .filter(|export| {
                let ty = export.ty();
                ty.params().iter().chain(ty.results()).all(is_number)
            })
            .map(|export| Callee {
                name: export.name().to_string(),
                params: export.ty().params().to_vec(),
                results: export.ty().results().to_vec(),
            })
            .collect();
        let what = format!("wasm-smith, seed {seed}: {binary:02x?}");
        compare(engines, &what, &binary, &callees, &mut Random::new(!seed), &mut tally);
    }
    assert!(tally.results > count / 3 && tally.traps > count / 30, "{tally:?}");
}

#[test]
fn seeds_say_what_is_generated() {
    assert_eq!(generate::module(7).text, generate::module(7).text);
    assert_ne!(generate::module(7).text, generate::module(8).text);
}
