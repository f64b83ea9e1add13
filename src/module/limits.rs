//! How large a module may be, and how much its guests may ask for: the one table of limits.
//!
//! Owns the numbers and how an excess is named. Each is checked where it is met first: those of a
//! module while its sections are read, before anything is allocated for them.

use crate::error::LoadError;

/// How large a module may be, and how much a guest may ask for.
///
/// The defaults of a module's are those of the [JavaScript interface's implementation limits][js],
/// which web engines and wasmtime share.
///
/// | Field | Limits | Default | Checked | Beyond it |
/// | --- | --- | --: | --- | --- |
/// | [`module_bytes`](Limits::module_bytes) | the binary module, in bytes | 1 GiB | at load | [`LoadError::Limit`] |
/// | [`types`](Limits::types) | types of a module | 1,000,000 | at load | [`LoadError::Limit`] |
/// | [`imports`](Limits::imports) | imports of a module | 1,000,000 | at load | [`LoadError::Limit`] |
/// | [`functions`](Limits::functions) | functions of a module | 1,000,000 | at load | [`LoadError::Limit`] |
/// | [`tables`](Limits::tables) | tables of a module | 100 | at load | [`LoadError::Limit`] |
/// | [`memories`](Limits::memories) | memories of a module | 100 | at load | [`LoadError::Limit`] |
/// | [`globals`](Limits::globals) | globals of a module | 1,000,000 | at load | [`LoadError::Limit`] |
/// | [`exports`](Limits::exports) | exports of a module | 1,000,000 | at load | [`LoadError::Limit`] |
/// | [`element_segments`](Limits::element_segments) | element segments of a module | 100,000 | at load | [`LoadError::Limit`] |
/// | [`data_segments`](Limits::data_segments) | data segments of a module | 100,000 | at load | [`LoadError::Limit`] |
/// | [`function_bytes`](Limits::function_bytes) | a function's body, in bytes | 7,654,321 | at load | [`LoadError::Limit`] |
/// | [`function_locals`](Limits::function_locals) | a function's locals | 50,000 | at load | [`LoadError::Limit`] |
/// | [`code_bytes`](Limits::code_bytes) | a module's machine code, in bytes | 1 GiB | at load | [`LoadError::Limit`] |
/// | [`memory_pages`](Limits::memory_pages) | a memory, in pages of 64 KiB | 65,536 | when made, when it grows | [`LinkError::Limit`]; −1 |
/// | [`table_elements`](Limits::table_elements) | a table's elements | 10,000,000 | when made, when it grows | [`LinkError::Limit`]; −1 |
/// | [`instances`](Limits::instances) | an engine's live instances | none | when made | [`LinkError::Limit`] |
/// | [`total_memory_bytes`](Limits::total_memory_bytes) | all their memories, in bytes | none | when made, when one grows | [`LinkError::Limit`]; −1 |
/// | [`total_table_elements`](Limits::total_table_elements) | all their tables' elements | none | when made, when one grows | [`LinkError::Limit`]; −1 |
/// | [`stack_bytes`](Limits::stack_bytes) | stack that guests use on a thread, in bytes | 64 MiB | at calls | [`TrapCode::StackOverflow`] |
///
/// A growth that a limit forbids gives a guest −1, and the host an [`AccessError`](crate::AccessError)
/// that names it. What no number can say, [`Instance::with_limiter`](crate::Instance::with_limiter)
/// decides for each growth.
///
/// The numbers of a module's sections cannot be raised: a higher one than the default has no effect,
/// but for `tables`, of which there can be 100,000; nor can the pages of a memory, which the
/// specification limits, or `code_bytes`. A module has at most one memory, and a type 1,000 parameters
/// and 1,000 results, which is no setting.
///
/// [`LinkError::Limit`]: crate::LinkError::Limit
/// [`TrapCode::StackOverflow`]: crate::TrapCode::StackOverflow
///
/// ```
/// use wasm_mini::{Engine, Limits, LoadError, Module};
///
/// # fn main() -> std::io::Result<()> {
/// let mut limits = Limits::default();
/// limits.functions = 1;
/// let engine = Engine::builder().limits(limits).build()?;
/// let refused = Module::with_engine(&engine, "(module (func) (func))").unwrap_err();
/// assert!(matches!(refused, LoadError::Limit { actual: 2, limit: 1, .. }));
/// # Ok(())
/// # }
/// ```
///
/// [js]: https://webassembly.github.io/spec/js-api/#limits
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The size of a module in the binary format, in bytes; 1 GiB by default. Beyond 4 GiB nothing is loaded
    /// whatever is set: positions in a module are noted in 32 bits.
    pub module_bytes: u64,
    /// The types of a module; 1,000,000 by default. Each has at most 1,000 parameters and 1,000
    /// results, which is no setting.
    pub types: u32,
    /// The imports of a module; 1,000,000 by default.
    pub imports: u32,
    /// The functions of a module, imported ones counted; 1,000,000 by default.
    pub functions: u32,
    /// The tables of a module, imported ones counted; 100 by default.
    pub tables: u32,
    /// The memories of a module, imported ones counted; 100 by default, though WebAssembly 2.0 knows
    /// only one.
    pub memories: u32,
    /// The globals of a module, imported ones counted; 1,000,000 by default.
    pub globals: u32,
    /// The exports of a module; 1,000,000 by default.
    pub exports: u32,
    /// The element segments of a module; 100,000 by default.
    pub element_segments: u32,
    /// The data segments of a module; 100,000 by default.
    pub data_segments: u32,
    /// The size of a function's body in the binary format, in bytes; 7,654,321 by default.
    pub function_bytes: u32,
    /// The locals of a function, parameters counted; 50,000 by default.
    pub function_locals: u32,
    /// The machine code of a module, in bytes; 1 GiB by default, and never more.
    ///
    /// On the baseline tier a function becomes at most 100 bytes of code for each byte of its body
    /// and 512 bytes besides, and 32 bytes for each value that branches, calls and returns take from
    /// one place to another. The worst of what takes one byte is `i64.popcnt` on a processor that
    /// cannot count bits; programs are at 2 to 3 bytes for each. A type has up to 1,000 parameters
    /// and results, so that what is taken along can be much more than the body: a function is given
    /// up as soon as it alone is beyond this limit.
    pub code_bytes: u32,
    /// The pages of a memory, 64 KiB each; 65,536 by default, the specification's limit. A memory
    /// that grows to it grows no further.
    pub memory_pages: u32,
    /// The elements of a table; 10,000,000 by default. A table that grows to it grows no further.
    pub table_elements: u32,
    /// The live instances of an engine, on all threads; by default [`u64::MAX`], which is no limit
    /// and costs no counting.
    pub instances: u64,
    /// The size of the memories of all live instances of an engine, in bytes; by default
    /// [`u64::MAX`], which is no limit. What is counted is what guests can access, touched or not.
    pub total_memory_bytes: u64,
    /// The elements of the tables of all live instances of an engine; by default [`u64::MAX`], which
    /// is no limit. An element takes 32 bytes in a table of functions and 8 in one of external
    /// references.
    pub total_table_elements: u64,
    /// The stack of a thread that guests may use, in bytes from its beginning, frames of the host
    /// counted; 64 MiB by default. Of a smaller stack, guests leave 256 KiB to the host, or half of
    /// it if that is less.
    pub stack_bytes: u64,
}

/// Code offsets and distances stay within 31 bits.
const MAX_CODE: u32 = 1 << 30;

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            module_bytes: 1 << 30,
            types: 1_000_000,
            imports: 1_000_000,
            functions: 1_000_000,
            tables: 100,
            memories: 100,
            globals: 1_000_000,
            exports: 1_000_000,
            element_segments: 100_000,
            data_segments: 100_000,
            function_bytes: 7_654_321,
            function_locals: 50_000,
            code_bytes: MAX_CODE,
            memory_pages: 1 << 16,
            table_elements: 10_000_000,
            instances: u64::MAX,
            total_memory_bytes: u64::MAX,
            total_table_elements: u64::MAX,
            stack_bytes: 64 << 20,
        }
    }
}

impl Limits {
    /// How much machine code is allowed, in bytes.
    pub(crate) fn max_code(&self) -> u32 {
        self.code_bytes.min(MAX_CODE)
    }
}

/// Refuses more machine code than is allowed.
pub(crate) fn check_code(bytes: u64, max_code: u32) -> Result<(), LoadError> {
    check("the size of the machine code in bytes (`Limits::code_bytes`)", bytes, max_code)
}

/// Refuses what there is more of than the limit.
pub(crate) fn check(
    what: &'static str,
    actual: impl Into<u64>,
    limit: impl Into<u64>,
) -> Result<(), LoadError> {
    let (actual, limit) = (actual.into(), limit.into());
    if actual > limit { Err(LoadError::Limit { what, actual, limit }) } else { Ok(()) }
}
