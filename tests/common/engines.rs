//! One module on everything that can run it: the baseline tier with all that the machine offers and
//! with portable code only, the Cranelift tier, and wasmi, an interpreter.
//!
//! [`compare`] makes the same calls everywhere and looks at all that can be seen from outside after
//! each: results bit for bit, the trap and its backtrace, exported globals, tables (numbers of the
//! host's references; whether a function is there) and whole memories.
//!
//! `tests/common/interpreter.rs` has wasmi's part.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use wasm_mini::{
    Engine, Error, Extern, ExternRef, FuncType, Imports, Instance, LinkError, Module, Tier, Trap,
    TrapCode, ValType, Value,
};

use crate::interpreter::Reference;
use crate::random::Random;
use crate::smith::{self, PROVIDER};

const CRANELIFT: &str = "cranelift";
/// The baseline tier with every other function from Cranelift.
pub const MIXED: &str = "mixed";
/// How often each function is called.
const CALLS: usize = 3;

/// A function of the host, for all engines: the name, parameters, results.
pub const HOST: &[(&str, &[ValType], &[ValType])] = {
    use ValType::*;
    &[
        ("nothing", &[], &[]),
        ("fail", &[I32], &[]),
        ("mix", &[I32, I64, F32, F64], &[I64]),
        ("swap", &[I64, I32], &[I32, I64]),
        ("keep", &[FuncRef, ExternRef, I32], &[ExternRef]),
        ("vectors", &[V128, F32, V128], &[V128, I32]),
        (
            "many",
            &[
                F64, F64, F64, F64, F64, F64, F64, F64, F64, F64, I32, I32, I32, I32, I32, I32,
                I32, I32,
            ],
            &[F64, I32, F32],
        ),
    ]
};

/// What the host's function returns for arguments as bits; `None` if it fails.
pub fn host(name: &str, arguments: &[u128]) -> Option<Vec<u128>> {
    Some(match (name, arguments) {
        ("nothing", []) => vec![],
        ("fail", [a]) if a & 7 == 0 => return None,
        ("fail", [_]) => vec![],
        ("mix", [a, b, c, d]) => vec![u128::from((a ^ b.rotate_left(9) ^ c << 3 ^ d) as u64)],
        ("swap", [a, b]) => vec![*b, *a],
        ("keep", [_, reference, _]) => vec![*reference],
        ("vectors", [a, b, c]) => vec![a ^ b ^ c.rotate_left(32), u128::from((a >> 64) as u32)],
        ("many", all) => {
            let sum = all.iter().fold(0u64, |sum, bits| sum.rotate_left(5) ^ *bits as u64);
            // No NaNs: their bits would be the module's to change.
            let float = sum as u32 as f64;
            vec![u128::from(float.to_bits()), u128::from(sum as u32), all[17] & 0xffff]
        }
        _ => panic!("{name} takes no {arguments:?}"),
    })
}

pub fn unknown(ty: ValType) -> ! {
    panic!("{ty} is no type of WebAssembly 2.0")
}

/// A value as bits, of which a reference to a function has one.
fn bits(value: &Value) -> u128 {
    match value {
        Value::I32(value) => u128::from(*value as u32),
        Value::I64(value) => u128::from(*value as u64),
        Value::F32(value) => u128::from(value.to_bits()),
        Value::F64(value) => u128::from(value.to_bits()),
        Value::V128(value) => *value,
        Value::FuncRef(func) => u128::from(func.is_some()),
        Value::ExternRef(reference) => reference.map_or(0, |it| u128::from(it.number()) + 1),
        other => panic!("{other:?} is of no type of WebAssembly 2.0"),
    }
}

/// The inverse, for everything but functions.
fn value(ty: ValType, bits: u128) -> Value {
    match ty {
        ValType::I32 => Value::I32(bits as i32),
        ValType::I64 => Value::I64(bits as i64),
        ValType::F32 => Value::F32(f32::from_bits(bits as u32)),
        ValType::F64 => Value::F64(f64::from_bits(bits as u64)),
        ValType::V128 => Value::V128(bits),
        ValType::FuncRef => Value::FuncRef(None),
        ValType::ExternRef => {
            Value::ExternRef((bits != 0).then(|| ExternRef::new(bits as u64 - 1)).flatten())
        }
        other => unknown(other),
    }
}

/// An argument: bits, or for a function reference the name of an export.
#[derive(Clone, Debug)]
pub enum Argument {
    Bits(ValType, u128),
    Function(String),
}

pub fn argument(random: &mut Random, ty: ValType, functions: &[(String, FuncType)]) -> Argument {
    let float = random.one_in(2);
    let any = random.bits();
    let bits = match ty {
        ValType::I32 => u128::from(random.integer() as u32),
        ValType::I64 => u128::from(random.integer()),
        ValType::F32 if float => u128::from((random.integer() as i32 as f32).to_bits()),
        ValType::F32 => u128::from(*random.pick(&[
            0,
            0x8000_0000,
            1,
            0x7f80_0000,
            0xff80_0000,
            0x7fc0_0000,
            0x7fa0_0001,
            0x3f00_0000,
            0x4f00_0000,
            0xcf00_0000,
            0x5f00_0000,
            0x7f7f_ffff,
            any as u32,
        ])),
        ValType::F64 if float => u128::from((random.integer() as i64 as f64).to_bits()),
        ValType::F64 => u128::from(*random.pick(&[
            0,
            1 << 63,
            1,
            0x7ff0 << 48,
            0xfff0 << 48,
            0x7ff8 << 48,
            (0x7ff4 << 48) + 1,
            0x3fe0 << 48,
            0x41e0 << 48,
            0xc1e0 << 48,
            0x43e0 << 48,
            0x43f0 << 48,
            any,
        ])),
        ValType::V128 => u128::from(random.integer()) << 64 | u128::from(random.integer()),
        ValType::FuncRef if random.one_in(2) => {
            return Argument::Function(random.pick(functions).0.clone());
        }
        ValType::FuncRef => 0,
        ValType::ExternRef => random.below(4) as u128,
        other => unknown(other),
    };
    Argument::Bits(ty, bits)
}

/// How a call or an instantiation ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    Returned(Vec<u128>),
    /// The backtrace is the tiers' alone.
    Trapped(TrapCode, Vec<(u32, Option<u32>)>),
    /// wasmi does not instantiate for a reason that it has no trap code for.
    Refused(String),
}

impl Ending {
    fn of(trap: &Trap) -> Ending {
        let frames = trap.backtrace().iter().map(|frame| (frame.function(), frame.offset()));
        Ending::Trapped(trap.code(), frames.collect())
    }

    /// Whether a tier did what the first did. Cranelift may name other operators in the same
    /// functions: where it makes one instruction of several, it cannot always tell.
    pub fn is_like(&self, other: &Ending, tier: &str) -> bool {
        match (self, other) {
            (Ending::Trapped(one, frames), Ending::Trapped(other, others))
                if tier == CRANELIFT || tier == MIXED =>
            {
                let functions = frames.iter().map(|(function, _)| function);
                one == other && functions.eq(others.iter().map(|(function, _)| function))
            }
            (one, other) => one == other,
        }
    }

    /// Whether wasmi, which ended with `self`, agrees with a tier.
    fn agrees(&self, tier: &Ending) -> bool {
        match (self, tier) {
            (Ending::Trapped(one, _), Ending::Trapped(other, _)) => {
                let other = match other {
                    TrapCode::UndefinedElement => TrapCode::TableOutOfBounds,
                    other => *other,
                };
                *one == other
            }
            (Ending::Refused(_), Ending::Trapped(code, _)) => {
                matches!(code, TrapCode::MemoryOutOfBounds | TrapCode::TableOutOfBounds)
            }
            (one, other) => one == other,
        }
    }

    pub fn is_overflow(&self) -> bool {
        matches!(self, Ending::Trapped(TrapCode::StackOverflow, _))
    }
}

/// All exported state.
#[derive(Clone, PartialEq)]
pub struct State {
    pub globals: Vec<(String, u128)>,
    pub tables: Vec<(String, Vec<u128>)>,
    pub memories: Vec<(String, Vec<u8>)>,
}

impl State {
    /// Where two states differ first.
    pub fn difference(&self, other: &State) -> Option<String> {
        for (one, other) in self.globals.iter().zip(&other.globals) {
            if one != other {
                return Some(format!("global {one:x?} here, {other:x?} there"));
            }
        }
        for (one, other) in self.tables.iter().zip(&other.tables) {
            if one != other {
                return Some(format!("table {one:?} here, {other:?} there"));
            }
        }
        for ((name, one), (_, other)) in self.memories.iter().zip(&other.memories) {
            if one.len() != other.len() {
                let (one, other) = (one.len(), other.len());
                return Some(format!("memory {name} of {one} bytes here, of {other} there"));
            }
            if one != other {
                let at = one.iter().zip(other).position(|(one, other)| one != other).unwrap_or(0);
                return Some(format!(
                    "memory {name} at {at:#x}: {:02x} here, {:02x} there",
                    one[at], other[at]
                ));
            }
        }
        (self != other).then(|| "different exports".to_string())
    }
}

/// An engine of ours with the module that others import from.
pub struct Native {
    pub name: &'static str,
    pub engine: Engine,
    provider: Module,
}

impl Native {
    pub fn new(name: &'static str, engine: Engine) -> Native {
        let provider = wat::parse_str(PROVIDER).expect("the provider's text");
        let provider = Module::with_engine(&engine, provider).expect("the provider loads");
        Native { name, engine, provider }
    }

    /// An instance, and the one that it may import from.
    pub fn instantiate(&self, module: &Module) -> Result<[Instance; 2], Ending> {
        let mut imports = Imports::none();
        let provider = Instance::new(&self.provider, &imports).expect("the provider links");
        imports.instance("wasm", &provider);
        for (name, params, results) in HOST {
            let ty = FuncType::new(params.iter().copied(), results.iter().copied());
            imports.func_dyn("host", name, ty, |_, arguments| {
                let arguments: Vec<_> = arguments.iter().map(bits).collect();
                let returned = host(name, &arguments).ok_or("as asked")?;
                Ok(results.iter().zip(returned).map(|(ty, bits)| value(*ty, bits)).collect())
            });
        }
        Instance::new(module, &imports).map(|instance| [instance, provider]).map_err(not_made)
    }
}

/// How an instantiation ended that failed.
fn not_made(error: LinkError) -> Ending {
    match error {
        LinkError::Start(trap) => Ending::of(&trap),
        other => Ending::Refused(other.to_string()),
    }
}

pub fn call(instance: &Instance, name: &str, arguments: &[Argument]) -> Ending {
    let arguments: Vec<_> = arguments
        .iter()
        .map(|argument| match argument {
            Argument::Bits(ty, bits) => value(*ty, *bits),
            Argument::Function(name) => Value::FuncRef(instance.dyn_func(name).ok()),
        })
        .collect();
    match instance.dyn_func(name).expect("an export").call(&arguments) {
        Ok(results) => Ending::Returned(results.iter().map(bits).collect()),
        Err(Error::Trap(trap)) => Ending::of(&trap),
        Err(other) => panic!("{name}: {other}"),
    }
}

pub fn state(instance: &Instance) -> State {
    let mut state = State { globals: vec![], tables: vec![], memories: vec![] };
    for (name, export) in instance.exports() {
        let name = name.to_string();
        match export {
            Extern::Global(global) => state.globals.push((name, bits(&global.get()))),
            Extern::Table(table) => {
                let elements = (0..table.size()).filter_map(|index| table.get(index));
                state.tables.push((name, elements.map(|element| bits(&element)).collect()));
            }
            Extern::Memory(memory) => {
                let mut bytes = vec![0; memory.size()];
                memory.read(0, &mut bytes).expect("all of it");
                state.memories.push((name, bytes));
            }
            _ => {}
        }
    }
    state
}

/// How much was compared.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub modules: u64,
    /// How often instances were reset, and compared with new ones.
    pub resets: u64,
    /// Modules that trap or are refused when they are instantiated.
    pub not_instantiated: u64,
    pub returns: u64,
    pub traps: BTreeMap<u8, u64>,
    /// Calls after which a comparison ended, because a stack was too small for one of the engines.
    pub overflows: u64,
    /// Traps at which Cranelift names another operator than the baseline tier.
    pub offsets: u64,
    /// Calls after which memories, tables and globals were compared, by kind.
    pub memories: u64,
    pub tables: u64,
    pub globals: u64,
    /// How often each operator stands in a module.
    pub operators: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub fn trapped(&self) -> u64 {
        self.traps.values().sum()
    }
}

/// Everything that modules are compared on.
pub struct Engines {
    natives: Vec<Native>,
    wasmi: wasmi::Engine,
    wasmi_provider: wasmi::Module,
}

impl Engines {
    pub fn new() -> Engines {
        let mut natives = Vec::new();
        if Tier::available().contains(&Tier::Baseline) {
            let portable = Engine::builder().tier(Tier::Baseline).portable_code();
            let engine = Engine::new(Tier::Baseline).expect("an engine");
            natives.push(Native::new("baseline", engine));
            natives.push(Native::new("baseline, portable", portable.build().expect("an engine")));
        }
        if Tier::available().contains(&Tier::Cranelift) {
            let engine = Engine::new(Tier::Cranelift).expect("an engine");
            natives.push(Native::new(CRANELIFT, engine));
        }
        let mut config = wasmi::Config::default();
        config.set_max_recursion_depth(100_000);
        config.set_max_stack_height(1 << 28);
        let wasmi = wasmi::Engine::new(&config);
        let provider = wat::parse_str(PROVIDER).expect("the provider's text");
        let wasmi_provider = wasmi::Module::new(&wasmi, provider).expect("the provider loads");
        Engines { natives, wasmi, wasmi_provider }
    }

    /// Calls all exported functions of a module everywhere.
    ///
    /// # Errors
    ///
    /// What was seen to differ, in words.
    pub fn compare(&self, binary: &[u8], seed: u64, tally: &mut Tally) -> Result<(), String> {
        let mut modules = Vec::new();
        for native in &self.natives {
            let module = Module::with_engine(&native.engine, binary)
                .map_err(|error| format!("{} refuses the module: {error}", native.name))?;
            modules.push(module);
        }
        let theirs = wasmi::Module::new(&self.wasmi, binary)
            .map_err(|error| format!("wasmi refuses the module: {error}"))?;
        tally.modules += 1;
        smith::operators(binary, |name| *tally.operators.entry(name).or_default() += 1);
        for (native, module) in self.natives.iter().zip(&modules) {
            // Imported functions come first, and are compiled by nobody.
            let mut compiled = (0..100).filter_map(|function| module.tier(function));
            if native.engine.tier() == Tier::Baseline && compiled.any(|by| by != Tier::Baseline) {
                return Err(format!("{} leaves functions to another tier", native.name));
            }
        }
        let functions: Vec<_> = modules[0]
            .exported_functions()
            .map(|export| (export.name().to_string(), export.ty().clone()))
            .collect();
        let mut random = Random::new(!seed);
        let Some(mut run) = self.instantiate(&modules, &theirs, tally)? else { return Ok(()) };
        for (name, ty) in &functions {
            for _ in 0..CALLS {
                let arguments: Vec<_> =
                    ty.params().iter().map(|ty| argument(&mut random, *ty, &functions)).collect();
                match run.call(name, ty, &arguments, tally)? {
                    Ending::Returned(_) => tally.returns += 1,
                    Ending::Refused(_) => {}
                    Ending::Trapped(TrapCode::StackOverflow, _) => {
                        tally.overflows += 1;
                        return Ok(());
                    }
                    Ending::Trapped(code, _) => {
                        *tally.traps.entry(code as u8).or_default() += 1;
                        // Perhaps for want of fuel, and then the next calls would trap at once.
                        if code == TrapCode::Unreachable {
                            run.reset(self, &theirs, tally)?;
                        }
                    }
                }
            }
        }
        run.reset(self, &theirs, tally)
    }

    /// Instances everywhere; `None` if there are none anywhere.
    fn instantiate<'e>(
        &'e self,
        modules: &[Module],
        theirs: &wasmi::Module,
        tally: &mut Tally,
    ) -> Result<Option<Run<'e>>, String> {
        let reference = Reference::new(theirs, &self.wasmi_provider);
        let mut natives = Vec::new();
        let mut first: Option<Ending> = None;
        for (native, module) in self.natives.iter().zip(modules) {
            let ending = match native.instantiate(module) {
                Ok(instances) => {
                    natives.push((native.name, instances));
                    Ending::Returned(vec![])
                }
                Err(ending) => ending,
            };
            let expected = match &reference {
                Ok(_) => Ending::Returned(vec![]),
                Err(ending) => ending.clone(),
            };
            if ending.is_overflow() || expected.is_overflow() {
                return Ok(None);
            }
            let same = first.get_or_insert_with(|| ending.clone());
            if !expected.agrees(&ending) || !same.is_like(&ending, native.name) {
                return Err(format!(
                    "instantiated:\n  {}: {ending:?}\n  {}: {same:?}\n  wasmi: {expected:?}",
                    native.name, self.natives[0].name
                ));
            }
        }
        match reference {
            Ok(reference) => {
                let run = Run { reference, natives };
                run.compare_state("instantiated", tally)?;
                Ok(Some(run))
            }
            Err(_) => {
                tally.not_instantiated += 1;
                Ok(None)
            }
        }
    }
}

/// Instances of one module, which have all done the same.
struct Run<'e> {
    reference: Reference,
    /// Each with the one that it may import from.
    natives: Vec<(&'e str, [Instance; 2])>,
}

impl Run<'_> {
    /// Resets all instances, and compares them with a new one of wasmi's.
    fn reset(
        &mut self,
        engines: &Engines,
        theirs: &wasmi::Module,
        tally: &mut Tally,
    ) -> Result<(), String> {
        // It was made before, and this one is no different.
        self.reference = Reference::new(theirs, &engines.wasmi_provider)
            .map_err(|ending| format!("instantiated again: {ending:?}"))?;
        for (name, [instance, provider]) in &self.natives {
            // The provider first: segments are copied into its memory and tables.
            provider
                .reset()
                .and_then(|()| instance.reset())
                .map_err(|error| format!("{name} is not reset: {:?}", not_made(error)))?;
        }
        tally.resets += 1;
        self.compare_state("reset", tally)
    }

    /// Makes a call everywhere and compares.
    fn call(
        &mut self,
        name: &str,
        ty: &FuncType,
        arguments: &[Argument],
        tally: &mut Tally,
    ) -> Result<Ending, String> {
        let expected = self.reference.call(name, arguments, ty);
        let endings: Vec<_> =
            self.natives.iter().map(|(_, [instance, _])| call(instance, name, arguments)).collect();
        let what = || {
            let mut what = format!("{name:?} {arguments:x?}:\n  wasmi: {expected:x?}");
            for ((tier, _), ending) in self.natives.iter().zip(&endings) {
                let _ = write!(what, "\n  {tier}: {ending:x?}");
            }
            what
        };
        if let Some(overflow) =
            endings.iter().chain([&expected]).find(|ending| ending.is_overflow())
        {
            return Ok(overflow.clone());
        }
        for (ending, (tier, _)) in endings.iter().zip(&self.natives) {
            if !ending.is_like(&endings[0], tier) || !expected.agrees(ending) {
                return Err(what());
            }
            tally.offsets += u64::from(*ending != endings[0]);
        }
        self.compare_state("after that", tally).map_err(|why| format!("{}\n{why}", what()))?;
        Ok(endings[0].clone())
    }

    fn compare_state(&self, when: &str, tally: &mut Tally) -> Result<(), String> {
        let expected = self.reference.state();
        tally.memories += u64::from(!expected.memories.is_empty());
        tally.tables += u64::from(!expected.tables.is_empty());
        tally.globals += u64::from(!expected.globals.is_empty());
        for (name, [instance, _]) in &self.natives {
            let mut state = state(instance);
            state.globals.sort();
            state.tables.sort();
            state.memories.sort();
            if let Some(difference) = state.difference(&expected) {
                return Err(format!("{when}, {name} (here) and wasmi (there): {difference}"));
            }
        }
        Ok(())
    }
}
