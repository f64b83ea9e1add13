//! What a program counter means: the runtime's read-only index of one module's code.
//!
//! Read by signal handlers, so nothing here takes a lock, allocates or panics.

use std::ops::Range;

use super::code::CodeMemory;
use crate::compile::{CallSite, CompiledFunction, InlinedSite, TrapSite};
use crate::error::NotPlain;

/// The published code of one module, and what its addresses stand for.
pub(super) struct CodeMap {
    pub code: CodeMemory,
    /// The defined functions by index; their code ranges ascend.
    pub functions: Vec<CompiledFunction>,
    /// By offset.
    pub traps: Vec<TrapSite>,
    /// By offset.
    pub inlined: Vec<InlinedSite>,
    /// By offset.
    pub calls: Vec<CallSite>,
    /// Code that no tier compiled.
    pub foreign: Range<u32>,
}

impl CodeMap {
    /// The offset of an address in the module's code, if it is in there.
    pub fn offset_of(&self, address: usize) -> Option<u32> {
        let offset = address.checked_sub(self.code.address())?;
        // Code is smaller than 4 GiB, or there would be no offsets.
        (offset < self.code.bytes().len()).then_some(offset as u32)
    }

    /// The address of a function's first instruction.
    pub fn address_of(&self, defined: usize) -> usize {
        self.code.address() + self.functions[defined].code.start as usize
    }

    pub fn trap_at(&self, offset: u32) -> Option<&TrapSite> {
        let at = self.traps.binary_search_by_key(&offset, |site| site.offset).ok()?;
        self.traps.get(at)
    }

    pub fn inlined_at(&self, offset: u32) -> Option<&InlinedSite> {
        let at = self.inlined.binary_search_by_key(&offset, |site| site.offset).ok()?;
        self.inlined.get(at)
    }

    pub fn call_before(&self, return_offset: u32) -> Option<&CallSite> {
        let at = self.calls.binary_search_by_key(&return_offset, |site| site.return_offset).ok()?;
        self.calls.get(at)
    }

    /// The function whose code holds the offset.
    pub fn function_at(&self, offset: u32) -> Option<&CompiledFunction> {
        let after = self.functions.partition_point(|function| function.code.start <= offset);
        let function = self.functions.get(after.checked_sub(1)?)?;
        function.code.contains(&offset).then_some(function)
    }

    /// Whether the offset lies in a function that can be called without an entry.
    pub fn plain_at(&self, offset: u32) -> Result<(), NotPlain> {
        self.function_at(offset).map_or(Err(NotPlain::Host), |function| function.plain)
    }

    /// Whether the offset lies in code that no tier compiled.
    pub fn is_foreign(&self, offset: u32) -> bool {
        self.foreign.contains(&offset)
    }
}
