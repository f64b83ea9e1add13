//! What is done with a module that nobody trusts: validated, loaded, linked with whatever is at hand
//! and run, on an engine with a [`Bound`]. Nothing may come of it but a value or an error.
//!
//! Shared by `tests/hostile.rs` and the targets in `fuzz/`.

use std::collections::BTreeMap;
use std::time::Duration;

use wasm_mini::{
    Engine, EngineBuilder, Error, ExternRef, FuncType, Imports, Instance, LinkError, LoadError,
    Module, TrapCode, ValType, Value, validate,
};
use wasmparser::{Parser, Payload, TypeRef};

use crate::random::Random;

/// What became of modules.
#[derive(Debug, Default)]
pub struct Outcomes {
    pub refused: u64,
    pub loaded: u64,
    pub linked: u64,
    pub not_linked: u64,
    pub start_trapped: u64,
    pub returned: u64,
    /// By the number of the code.
    pub traps: BTreeMap<u8, u64>,
}

/// How a guest is made to end.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    Fuel,
    Deadline,
}

/// The fuel of a call, and the time.
const FUEL: u64 = 100_000;
const DEADLINE: Duration = Duration::from_millis(2);

impl Bound {
    pub fn set(self, builder: EngineBuilder) -> EngineBuilder {
        match self {
            Bound::Fuel => builder.fuel(FUEL),
            Bound::Deadline => builder.deadline(DEADLINE),
        }
    }
}

/// How many of a module's functions are called.
const FUNCTIONS: usize = 40;

fn zero(ty: ValType) -> Value {
    match ty {
        ValType::I32 => Value::I32(0),
        ValType::I64 => Value::I64(0),
        ValType::F32 => Value::F32(0.0),
        ValType::F64 => Value::F64(0.0),
        ValType::V128 => Value::V128(0),
        ValType::FuncRef => Value::FuncRef(None),
        ValType::ExternRef => Value::ExternRef(None),
        other => panic!("{other} is no type of WebAssembly 2.0"),
    }
}

fn argument(random: &mut Random, ty: ValType) -> Value {
    match ty {
        ValType::I32 => Value::I32(random.integer() as i32),
        ValType::I64 => Value::I64(random.integer() as i64),
        ValType::F32 => Value::F32(f32::from_bits(random.integer() as u32)),
        ValType::F64 => Value::F64(f64::from_bits(random.integer())),
        ValType::V128 => Value::V128(u128::from(random.bits()) << 64 | u128::from(random.bits())),
        ValType::ExternRef if random.one_in(2) => {
            Value::ExternRef(ExternRef::new(random.below(1 << 20) as u64))
        }
        other => zero(other),
    }
}

/// Something of roughly the right kind for each import: of the right type, mostly.
fn garbage(engine: &Engine, binary: &[u8], random: &mut Random) -> Imports {
    let mut imports = Imports::none();
    let mut types = Vec::new();
    for payload in Parser::new(0).parse_all(binary) {
        match payload.expect("a valid module") {
            Payload::TypeSection(reader) => {
                for ty in reader.into_iter_err_on_gc_types() {
                    let ty = ty.expect("a function type");
                    let all = |types: &[wasmparser::ValType]| -> Vec<ValType> {
                        types.iter().map(|ty| val_type(*ty)).collect()
                    };
                    types.push(FuncType::new(all(ty.params()), all(ty.results())));
                }
            }
            Payload::ImportSection(reader) => {
                for import in reader.into_imports() {
                    let import = import.expect("an import");
                    let (module, name) = (import.module, import.name);
                    match import.ty {
                        _ if random.one_in(10) => {
                            imports.func(module, name, |a: i32| a);
                        }
                        TypeRef::Func(ty) => {
                            let ty = types[ty as usize].clone();
                            let results: Vec<_> = ty.results().iter().map(|ty| zero(*ty)).collect();
                            let fails = random.one_in(6);
                            imports.func_dyn(module, name, ty, move |_, _| {
                                if fails { Err("no".into()) } else { Ok(results.clone()) }
                            });
                        }
                        ty => provide(engine, ty, random, |given| {
                            imports.define(module, name, given);
                        }),
                    }
                }
            }
            _ => {}
        }
    }
    imports
}

fn val_type(ty: wasmparser::ValType) -> ValType {
    match ty {
        wasmparser::ValType::I32 => ValType::I32,
        wasmparser::ValType::I64 => ValType::I64,
        wasmparser::ValType::F32 => ValType::F32,
        wasmparser::ValType::F64 => ValType::F64,
        wasmparser::ValType::V128 => ValType::V128,
        wasmparser::ValType::Ref(reference) if reference.is_func_ref() => ValType::FuncRef,
        wasmparser::ValType::Ref(_) => ValType::ExternRef,
    }
}

/// A memory, a table or a global of that type, or nearly, from an instance of its own.
fn provide(
    engine: &Engine,
    ty: TypeRef,
    random: &mut Random,
    give: impl FnOnce(wasm_mini::Extern),
) {
    // More than is asked for is as good; less is not.
    let size = |asked: u64, random: &mut Random| match random.below(8) {
        0 => asked.saturating_sub(1),
        1 => asked + 1,
        _ => asked,
    };
    let limits = |initial: u64, maximum: Option<u64>, random: &mut Random| {
        let maximum = maximum.map(|maximum| maximum.to_string()).unwrap_or_default();
        format!("{} {maximum}", size(initial, random))
    };
    let field = match ty {
        TypeRef::Memory(ty) => {
            format!("memory (export \"x\") {}", limits(ty.initial, ty.maximum, random))
        }
        TypeRef::Table(ty) => {
            let element = val_type(wasmparser::ValType::Ref(ty.element_type));
            format!("table (export \"x\") {} {element}", limits(ty.initial, ty.maximum, random))
        }
        TypeRef::Global(ty) => {
            let content = val_type(ty.content_type);
            let value = match content {
                ValType::FuncRef => "ref.null func".to_string(),
                ValType::ExternRef => "ref.null extern".to_string(),
                ValType::V128 => "v128.const i64x2 5 6".to_string(),
                number => format!("{number}.const 7"),
            };
            let ty = if ty.mutable { format!("(mut {content})") } else { content.to_string() };
            format!("global (export \"x\") {ty} ({value})")
        }
        _ => return,
    };
    // Some are too large, or have a maximum below their size.
    let Ok(module) = Module::with_engine(engine, format!("(module ({field}))")) else { return };
    let Ok(instance) = Instance::new(&module, &Imports::none()) else { return };
    if let Some(given) = instance.export("x") {
        give(given);
    }
}

/// Loads, links and runs a module; `number` is the seed of its imports and arguments. Panics where the
/// engine does what it must not.
pub fn exercise(engine: &Engine, binary: &[u8], number: u64, outcomes: &mut Outcomes) {
    let valid = validate(binary);
    let module = match (Module::with_engine(engine, binary), valid) {
        (Ok(module), Ok(())) => module,
        (Err(error), valid) => {
            let text = error.to_string();
            assert!(!text.trim().is_empty() && text.len() < 5_000, "{text}");
            match error {
                LoadError::Invalid { offset, .. } => {
                    assert!(offset <= binary.len() as u64, "{text}");
                    assert!(valid.is_err(), "validation accepts it: {text}");
                }
                LoadError::Text { .. } | LoadError::NotAModule { .. } => {
                    assert!(!is_binary(binary) || valid.is_err(), "{text}");
                }
                LoadError::Limit { .. } => {}
                other => panic!("a module is no reason for this: {other:?}"),
            }
            outcomes.refused += 1;
            return;
        }
        (Ok(_), Err(error)) => panic!("validation refuses what was loaded: {error}"),
    };
    outcomes.loaded += 1;
    // The text format is for people; what it makes is not looked into here.
    if !is_binary(binary) {
        return;
    }
    let mut random = Random::new(!number);
    let imports = garbage(engine, binary, &mut random);
    let instance = match Instance::new(&module, &imports) {
        Ok(instance) => instance,
        Err(error) => {
            assert!(!error.to_string().trim().is_empty());
            match error {
                LinkError::Start(_) => outcomes.start_trapped += 1,
                _ => outcomes.not_linked += 1,
            }
            return;
        }
    };
    outcomes.linked += 1;
    for (_, export) in instance.exports() {
        let _ = format!("{export:?}");
    }
    for function in module.exported_functions().take(FUNCTIONS) {
        let func = instance.dyn_func(function.name()).expect("an exported function");
        for _ in 0..2 {
            let arguments: Vec<_> =
                function.ty().params().iter().map(|ty| argument(&mut random, *ty)).collect();
            if let Some(fuel) = instance.fuel() {
                fuel.set(FUEL);
            }
            match func.call(&arguments) {
                Ok(results) => {
                    assert!(
                        results.iter().map(Value::ty).eq(function.ty().results().iter().copied())
                    );
                    outcomes.returned += 1;
                }
                Err(Error::Trap(trap)) => {
                    assert_ne!(trap.code(), TrapCode::MachineFault, "{trap}");
                    *outcomes.traps.entry(trap.code() as u8).or_default() += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
}

fn is_binary(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0asm")
}
