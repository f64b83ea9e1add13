//! What a program *is*: parsed, validated, inert.
//!
//! This room turns bytes into [`ModuleInfo`] (what the rest of the crate needs to know about a
//! module) and [`Body`]s (what a compiler reads). It knows no machine and runs nothing.
//! Validation is wasmparser's and happens once: a compiler gets a [`ValidBody`], which only
//! [`Body::validate`] makes.

mod facts;
mod load;
mod names;
mod types;

use std::sync::Arc;

pub(crate) use facts::{Facts, ValidBody, Validation};
#[cfg(feature = "listing")]
pub(crate) use load::invalid;
pub(crate) use load::{binary, load};
pub(crate) use names::operator_name;
pub use types::{FuncType, ValType};

/// A module's view of itself, without its code: shared by all that stays alive after compilation.
#[derive(Debug, Default)]
pub(crate) struct ModuleInfo {
    /// The function types of the type section.
    pub types: Vec<FuncType>,
    /// For each function of the index space, imports first: its index in `types`.
    pub functions: Vec<u32>,
    /// The imports, in the module's order.
    pub imports: Vec<Import>,
    /// How many of `functions` are imported.
    pub imported_functions: u32,
    /// The exports, in the module's order.
    pub exports: Vec<Export>,
    /// The start function.
    pub start: Option<u32>,
    /// `(function, name)` from the name section, by function.
    names: Vec<(u32, Arc<str>)>,
}

/// One import.
#[derive(Debug)]
pub(crate) struct Import {
    pub module: String,
    pub name: String,
    /// The type it must have, for people.
    pub ty: String,
}

/// One export.
#[derive(Debug)]
pub(crate) struct Export {
    pub name: Arc<str>,
    pub kind: ExportKind,
    pub index: u32,
}

/// What an export is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExportKind {
    Function,
    Table,
    Memory,
    Global,
    Tag,
}

impl ExportKind {
    pub fn name(self) -> &'static str {
        match self {
            ExportKind::Function => "function",
            ExportKind::Table => "table",
            ExportKind::Memory => "memory",
            ExportKind::Global => "global",
            ExportKind::Tag => "tag",
        }
    }
}

impl ModuleInfo {
    /// The type of the function with this index, which validation has seen to exist.
    pub fn function_type(&self, function: u32) -> &FuncType {
        &self.types[self.functions[function as usize] as usize]
    }

    /// The function's name from the name section, or else its first export name.
    pub fn function_name(&self, function: u32) -> Option<Arc<str>> {
        if let Ok(at) = self.names.binary_search_by_key(&function, |(index, _)| *index) {
            return Some(self.names[at].1.clone());
        }
        self.exports
            .iter()
            .find(|export| export.kind == ExportKind::Function && export.index == function)
            .map(|export| export.name.clone())
    }

    /// The export of that name.
    pub fn export(&self, name: &str) -> Option<&Export> {
        // A scan: most modules export a handful, and an index would cost every load.
        self.exports.iter().find(|export| &*export.name == name)
    }

    /// The names of the exported functions, in the module's order.
    pub fn exported_functions(&self) -> impl Iterator<Item = (&str, u32)> {
        self.exports
            .iter()
            .filter(|export| export.kind == ExportKind::Function)
            .map(|export| (&*export.name, export.index))
    }
}
