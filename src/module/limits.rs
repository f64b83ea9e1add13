//! How large a module may be, and how much its guests may ask for: the one table of limits.
//!
//! Owns the numbers and how an excess is named. Each is checked where it is met first: those of a
//! module while its sections are read, before anything is allocated for them.

use crate::error::LoadError;

/// How large a module may be, and how much a guest may ask for.
///
/// The defaults are those of the [JavaScript interface's implementation limits][js], which web
/// engines and wasmtime share. Those of a module's sections cannot be raised: a higher number than
/// the default has no effect.
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
    /// The size of a module in the binary format, in bytes; 1 GiB by default.
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
