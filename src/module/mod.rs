//! What a program *is*: parsed, validated, inert.
//!
//! This room turns bytes into [`ModuleInfo`] (what the rest of the crate needs to know about a
//! module) and [bodies](Bodies) (what a compiler reads). It knows no machine and runs nothing.
//! Validation is wasmparser's and happens once: a compiler gets a [`ValidBody`], which only
//! [`Bodies::validate`] makes.

mod bodies;
mod facts;
mod fuel;
mod limits;
mod load;
#[cfg(any(feature = "cranelift", feature = "listing"))]
mod names;
mod short;
mod small;
mod types;

#[cfg(feature = "cranelift")]
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

pub(crate) use bodies::Bodies;
pub(crate) use facts::{Facts, ValidBody, Validation};
pub(crate) use fuel::{BYTES_LOG, Charge, ELEMENTS_LOG};
pub use limits::Limits;
pub(crate) use limits::{check as check_limit, check_code};
#[cfg(any(feature = "cranelift", feature = "listing"))]
pub(crate) use load::invalid;
pub(crate) use load::{Loaded, Tail, binary, load, load_whole};
#[cfg(any(feature = "cranelift", feature = "listing"))]
pub(crate) use names::operator_name;
pub(crate) use small::{SmallFunction, SmallFunctions};
pub use types::{FuncType, GlobalType, MemoryType, TableType, ValType};

/// A module's view of itself, without its code: shared by all that stays alive after compilation.
///
/// Each index space has the imports first.
#[derive(Debug, Default)]
pub(crate) struct ModuleInfo {
    /// The function types of the type section.
    pub types: Vec<FuncType>,
    /// For each function: its index in `types`.
    pub functions: Vec<u32>,
    pub tables: Vec<TableType>,
    pub memories: Vec<MemoryType>,
    pub globals: Vec<GlobalType>,
    /// The imports, in the module's order.
    pub imports: Vec<Import>,
    /// How many of each index space are imported.
    pub imported_functions: u32,
    pub imported_tables: u32,
    pub imported_memories: u32,
    pub imported_globals: u32,
    /// Whether a function's type or a global's names `v128`.
    pub has_vectors: bool,
    /// The first values of the globals that are defined here.
    pub global_inits: Vec<ConstExpr>,
    pub elements: Vec<ElementSegment>,
    /// The exports, in the module's order.
    pub exports: Vec<Export>,
    /// The start function.
    pub start: Option<u32>,
    /// The functions that a reference may be made to: exported, in an element segment, the initial
    /// value of a global, or the start function. Ascending, without repetition.
    pub escaping: Vec<u32>,
    /// For each function its place in `escaping`, or [`NOWHERE`](load::NOWHERE).
    escaping_places: Vec<u32>,
    pub late: Late,
}

/// What no compiler needs to know: sections that stand behind the bodies, or may.
#[derive(Debug, Default)]
pub(crate) struct Late {
    pub data: Vec<DataSegment>,
    /// The bytes of all data segments.
    pub data_bytes: Vec<u8>,
    /// `(function, name)` from the name section, by function.
    names: Vec<(u32, Arc<str>)>,
}

/// One import.
#[derive(Debug)]
pub(crate) struct Import {
    pub module: String,
    pub name: String,
    pub ty: ImportType,
}

/// What an import must be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ImportType {
    /// A function of the type with this index.
    Function(u32),
    Table(TableType),
    Memory(MemoryType),
    Global(GlobalType),
}

/// A constant expression: what initialises globals and places segments.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ConstExpr {
    /// A number or a vector, as its bits; also a null reference, which is 0.
    Bits(u128),
    /// A reference to this function.
    RefFunc(u32),
    /// The value of this global, which is imported.
    GlobalGet(u32),
}

/// Where a segment goes when the module is instantiated.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SegmentMode {
    /// Copied there at once.
    Active { index: u32, offset: ConstExpr },
    /// Kept for the `init` operators.
    Passive,
    /// Only declares functions that are referred to.
    Declared,
}

/// An element segment: references for a table.
#[derive(Debug)]
pub(crate) struct ElementSegment {
    pub mode: SegmentMode,
    pub items: Vec<ConstExpr>,
}

/// A data segment: bytes for a memory.
#[derive(Debug)]
pub(crate) struct DataSegment {
    pub mode: SegmentMode,
    /// Where its bytes are in [`Late::data_bytes`].
    pub bytes: Range<usize>,
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

    /// Where the function stands among those that may be referred to.
    pub fn escaping_index(&self, function: u32) -> Option<usize> {
        let place = self.escaping_places[function as usize];
        (place != load::NOWHERE).then_some(place as usize)
    }

    /// The functions that element segments name, which tables are filled from.
    #[cfg(feature = "cranelift")]
    pub fn functions_in_segments(&self) -> HashSet<u32> {
        let items = self.elements.iter().flat_map(|segment| &segment.items);
        let functions = items.filter_map(|item| match item {
            ConstExpr::RefFunc(function) => Some(*function),
            _ => None,
        });
        functions.collect()
    }

    /// The function's name from the name section, or else its first export name.
    pub fn function_name(&self, function: u32) -> Option<Arc<str>> {
        let names = &self.late.names;
        if let Ok(at) = names.binary_search_by_key(&function, |(index, _)| *index) {
            return Some(names[at].1.clone());
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
