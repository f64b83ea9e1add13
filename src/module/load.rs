//! From bytes to [`ModuleInfo`] and [`Body`]s: the sections of a module, text or binary.
//!
//! Refuses what is malformed, invalid, or valid but beyond this engine, each with its offset.

use std::borrow::Cow;
use std::sync::Arc;

use wasmparser::{
    ExternalKind, FuncToValidate, FunctionBody, Parser, Payload, TypeRef, ValidPayload, Validator,
    ValidatorResources, WasmFeatures,
};

use super::{Export, ExportKind, FuncType, Import, ModuleInfo, ValType};
use crate::error::LoadError;

/// What this engine accepts: WebAssembly 2.0, and nothing that wasmparser happens to turn on.
pub(crate) const FEATURES: WasmFeatures = WasmFeatures::WASM2;

/// A function body that is parsed into locals and operators, and not yet validated.
pub(crate) struct Body<'a> {
    /// The function's index, imports counted.
    pub function: u32,
    pub(super) to_validate: FuncToValidate<ValidatorResources>,
    pub(super) body: FunctionBody<'a>,
}

/// A module whose sections are validated and whose bodies wait.
pub(crate) struct Loaded<'a> {
    pub info: ModuleInfo,
    pub bodies: Vec<Body<'a>>,
}

/// The binary form of a module: text is translated if the crate has the `wat` feature.
pub(crate) fn binary(input: &[u8]) -> Result<Cow<'_, [u8]>, LoadError> {
    if input.starts_with(b"\0asm") {
        return Ok(Cow::Borrowed(input));
    }
    text(input)
}

#[cfg(feature = "wat")]
fn text(input: &[u8]) -> Result<Cow<'_, [u8]>, LoadError> {
    if std::str::from_utf8(input).is_err() {
        return Err(not_a_module(input));
    }
    wat::parse_bytes(input).map_err(|error| LoadError::Text { message: error.to_string() })
}

#[cfg(not(feature = "wat"))]
fn text(input: &[u8]) -> Result<Cow<'_, [u8]>, LoadError> {
    Err(not_a_module(input))
}

fn not_a_module(input: &[u8]) -> LoadError {
    let found = match input {
        [] => "it is empty".to_string(),
        _ => format!("it starts with {:02x?}", &input[..input.len().min(4)]),
    };
    let text = if cfg!(feature = "wat") {
        ", and it is not text"
    } else {
        ", and this build does not read text (feature `wat`)"
    };
    LoadError::NotAModule {
        message: format!(
            "not a WebAssembly module: {found}; a binary module starts with [00, 61, 73, 6d]{text}"
        ),
    }
}

/// Parses and validates everything but the function bodies.
pub(crate) fn load(binary: &[u8]) -> Result<Loaded<'_>, LoadError> {
    let mut validator = Validator::new_with_features(FEATURES);
    let mut info = ModuleInfo::default();
    let mut bodies = Vec::new();
    for payload in Parser::new(0).parse_all(binary) {
        let payload = payload.map_err(invalid)?;
        if let ValidPayload::Func(to_validate, body) =
            validator.payload(&payload).map_err(invalid)?
        {
            let function = info.imported_functions + bodies.len() as u32;
            bodies.push(Body { function, to_validate, body });
            continue;
        }
        section(payload, &mut info)?;
    }
    Ok(Loaded { info, bodies })
}

/// Takes from one validated section what the rest of the crate needs.
fn section(payload: Payload<'_>, info: &mut ModuleInfo) -> Result<(), LoadError> {
    match payload {
        Payload::TypeSection(reader) => {
            for group in reader {
                for ty in group.map_err(invalid)?.types() {
                    info.types.push(func_type(ty.unwrap_func()));
                }
            }
        }
        Payload::ImportSection(reader) => {
            for import in reader.into_imports() {
                let import = import.map_err(invalid)?;
                let ty = match import.ty {
                    TypeRef::Func(index) | TypeRef::FuncExact(index) => {
                        info.functions.push(index);
                        info.imported_functions += 1;
                        format!("function {}", info.types[index as usize])
                    }
                    TypeRef::Table(_) => "table".to_string(),
                    TypeRef::Memory(_) => "memory".to_string(),
                    TypeRef::Global(_) => "global".to_string(),
                    TypeRef::Tag(_) => "tag".to_string(),
                };
                let (module, name) = (import.module.to_string(), import.name.to_string());
                info.imports.push(Import { module, name, ty });
            }
        }
        Payload::FunctionSection(reader) => {
            info.functions.reserve(reader.count() as usize);
            for index in reader {
                info.functions.push(index.map_err(invalid)?);
            }
        }
        Payload::ExportSection(reader) => {
            for export in reader {
                let export = export.map_err(invalid)?;
                let kind = match export.kind {
                    ExternalKind::Func | ExternalKind::FuncExact => ExportKind::Function,
                    ExternalKind::Table => ExportKind::Table,
                    ExternalKind::Memory => ExportKind::Memory,
                    ExternalKind::Global => ExportKind::Global,
                    ExternalKind::Tag => ExportKind::Tag,
                };
                info.exports.push(Export { name: export.name.into(), kind, index: export.index });
            }
        }
        Payload::StartSection { func, .. } => info.start = Some(func),
        Payload::MemorySection(reader) if reader.count() > 0 => {
            return Err(unsupported("linear memories", reader.range().start));
        }
        Payload::TableSection(reader) if reader.count() > 0 => {
            return Err(unsupported("tables", reader.range().start));
        }
        Payload::GlobalSection(reader) if reader.count() > 0 => {
            return Err(unsupported("globals", reader.range().start));
        }
        Payload::CustomSection(reader) => {
            if let wasmparser::KnownCustom::Name(names) = reader.as_known() {
                info.names = function_names(names, info.functions.len());
            }
        }
        _ => {}
    }
    Ok(())
}

/// The function names of the name section. It is a custom section, so what is malformed in it is
/// left out and never an error (specification §7.6, Custom Sections).
fn function_names(reader: wasmparser::NameSectionReader<'_>, count: usize) -> Vec<(u32, Arc<str>)> {
    let mut names = Vec::new();
    for subsection in reader {
        let Ok(wasmparser::Name::Function(map)) = subsection else { continue };
        for naming in map {
            let Ok(naming) = naming else { break };
            if (naming.index as usize) < count {
                names.push((naming.index, naming.name.into()));
            }
        }
    }
    names.sort_by_key(|(index, _)| *index);
    names.dedup_by_key(|(index, _)| *index);
    names
}

fn func_type(ty: &wasmparser::FuncType) -> FuncType {
    let convert = |types: &[wasmparser::ValType]| {
        types
            .iter()
            .map(|ty| ValType::from_wasmparser(*ty).expect("a type of WebAssembly 2.0"))
            .collect::<Vec<_>>()
    };
    FuncType::new(convert(ty.params()), convert(ty.results()))
}

pub(crate) fn invalid(error: wasmparser::BinaryReaderError) -> LoadError {
    LoadError::Invalid { message: error.message().to_string(), offset: error.offset() }
}

fn unsupported(what: &str, offset: impl Into<u64>) -> LoadError {
    LoadError::Unsupported { what: what.to_string(), function: None, offset: offset.into() }
}
