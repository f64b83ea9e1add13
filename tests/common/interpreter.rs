//! wasmi's part of the comparison: its instances, and its values and errors in our words.
//!
//! It is version 1, with its `simd` feature: see `tests/differential.rs` for why not 2. It calls by one
//! name, out of bounds, what the tiers tell apart: elements of tables and indirect calls.

use wasm_mini::{FuncType, TrapCode, ValType};

use crate::engines::{Argument, Ending, HOST, State, host, unknown};

/// An instance of wasmi's, in a store of its own.
pub struct Reference {
    store: wasmi::Store<()>,
    instance: wasmi::Instance,
}

/// The error of a host function that fails.
#[derive(Debug)]
struct AsAsked;

impl std::fmt::Display for AsAsked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("as asked")
    }
}

impl wasmi::errors::HostError for AsAsked {}

fn wasmi_type(ty: &ValType) -> wasmi::ValType {
    match ty {
        ValType::I32 => wasmi::ValType::I32,
        ValType::I64 => wasmi::ValType::I64,
        ValType::F32 => wasmi::ValType::F32,
        ValType::F64 => wasmi::ValType::F64,
        ValType::V128 => wasmi::ValType::V128,
        ValType::FuncRef => wasmi::ValType::FuncRef,
        ValType::ExternRef => wasmi::ValType::ExternRef,
        other => unknown(*other),
    }
}

fn wasmi_bits(context: impl wasmi::AsContext, value: &wasmi::Val) -> u128 {
    match value {
        wasmi::Val::I32(value) => u128::from(*value as u32),
        wasmi::Val::I64(value) => u128::from(*value as u64),
        wasmi::Val::F32(value) => u128::from(value.to_bits()),
        wasmi::Val::F64(value) => u128::from(value.to_bits()),
        wasmi::Val::V128(value) => value.as_u128(),
        wasmi::Val::FuncRef(func) => u128::from(!func.is_null()),
        wasmi::Val::ExternRef(wasmi::Ref::Null) => 0,
        wasmi::Val::ExternRef(wasmi::Ref::Val(reference)) => {
            let number = reference.data(&context).downcast_ref::<u64>();
            u128::from(*number.expect("a number of ours")) + 1
        }
    }
}

fn wasmi_value(context: impl wasmi::AsContextMut, ty: ValType, bits: u128) -> wasmi::Val {
    match ty {
        ValType::I32 => wasmi::Val::I32(bits as i32),
        ValType::I64 => wasmi::Val::I64(bits as i64),
        ValType::F32 => wasmi::Val::F32(wasmi::F32::from_bits(bits as u32)),
        ValType::F64 => wasmi::Val::F64(wasmi::F64::from_bits(bits as u64)),
        ValType::V128 => wasmi::Val::V128(wasmi::V128::from(bits)),
        ValType::ExternRef if bits != 0 => {
            wasmi::Val::from(wasmi::ExternRef::new(context, bits as u64 - 1))
        }
        ValType::FuncRef | ValType::ExternRef => wasmi::Val::default(wasmi_type(&ty)),
        other => unknown(other),
    }
}

fn wasmi_ending(error: &wasmi::Error) -> Ending {
    use wasmi::TrapCode as Theirs;
    let code = match error.as_trap_code() {
        Some(Theirs::UnreachableCodeReached) => TrapCode::Unreachable,
        Some(Theirs::IntegerDivisionByZero) => TrapCode::IntegerDivideByZero,
        Some(Theirs::IntegerOverflow) => TrapCode::IntegerOverflow,
        Some(Theirs::BadConversionToInteger) => TrapCode::InvalidConversionToInteger,
        Some(Theirs::StackOverflow) => TrapCode::StackOverflow,
        Some(Theirs::MemoryOutOfBounds) => TrapCode::MemoryOutOfBounds,
        Some(Theirs::TableOutOfBounds) => TrapCode::TableOutOfBounds,
        Some(Theirs::IndirectCallToNull) => TrapCode::UninitializedElement,
        Some(Theirs::BadSignature) => TrapCode::IndirectCallTypeMismatch,
        None if error.downcast_ref::<AsAsked>().is_some() => TrapCode::HostError,
        _ => return Ending::Refused(error.to_string()),
    };
    Ending::Trapped(code, vec![])
}

impl Reference {
    pub fn new(module: &wasmi::Module, provider: &wasmi::Module) -> Result<Reference, Ending> {
        let mut store = wasmi::Store::new(module.engine(), ());
        let mut linker = wasmi::Linker::new(module.engine());
        let given = linker.instantiate_and_start(&mut store, provider).expect("the provider links");
        let exports: Vec<_> =
            given.exports(&store).map(|it| (it.name().to_string(), it.into_extern())).collect();
        for (name, export) in exports {
            linker.define("wasm", &name, export).expect("a new name");
        }
        for (name, params, results) in HOST {
            let ty =
                wasmi::FuncType::new(params.iter().map(wasmi_type), results.iter().map(wasmi_type));
            let function = |mut caller: wasmi::Caller<'_, ()>,
                            arguments: &[wasmi::Val],
                            into: &mut [wasmi::Val]| {
                let arguments: Vec<_> =
                    arguments.iter().map(|value| wasmi_bits(&caller, value)).collect();
                let returned = host(name, &arguments).ok_or_else(|| wasmi::Error::host(AsAsked))?;
                for ((into, ty), bits) in into.iter_mut().zip(*results).zip(returned) {
                    *into = wasmi_value(&mut caller, *ty, bits);
                }
                Ok(())
            };
            linker.func_new("host", name, ty, function).expect("a new name");
        }
        match linker.instantiate_and_start(&mut store, module) {
            Ok(instance) => Ok(Reference { store, instance }),
            Err(error) => Err(wasmi_ending(&error)),
        }
    }

    pub fn call(&mut self, name: &str, arguments: &[Argument], ty: &FuncType) -> Ending {
        let Reference { store, instance } = self;
        let mut given = Vec::new();
        for argument in arguments {
            given.push(match argument {
                Argument::Bits(ty, bits) => wasmi_value(&mut *store, *ty, *bits),
                Argument::Function(name) => {
                    instance.get_func(&*store, name).expect("an export").into()
                }
            });
        }
        let mut results = vec![wasmi::Val::I32(0); ty.results().len()];
        let func = instance.get_func(&*store, name).expect("an export");
        match func.call(&mut *store, &given, &mut results) {
            Ok(()) => {
                Ending::Returned(results.iter().map(|value| wasmi_bits(&*store, value)).collect())
            }
            Err(error) => wasmi_ending(&error),
        }
    }

    pub fn state(&self) -> State {
        let Reference { store, instance } = self;
        let mut state = State { globals: vec![], tables: vec![], memories: vec![] };
        for export in instance.exports(store) {
            let name = export.name().to_string();
            match export.into_extern() {
                wasmi::Extern::Global(global) => {
                    state.globals.push((name, wasmi_bits(store, &global.get(store))));
                }
                wasmi::Extern::Table(table) => {
                    let elements =
                        (0..table.size(store)).filter_map(|index| table.get(store, index));
                    let elements = elements.map(|element| wasmi_bits(store, &element));
                    state.tables.push((name, elements.collect()));
                }
                wasmi::Extern::Memory(memory) => {
                    state.memories.push((name, memory.data(store).to_vec()));
                }
                wasmi::Extern::Func(_) => {}
            }
        }
        // In the order of the names; the tiers have the module's.
        state.globals.sort();
        state.tables.sort();
        state.memories.sort();
        state
    }
}
