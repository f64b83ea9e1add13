//! Stand-in for the operators of linear memory: only what vector operators need to address it.

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, TrapCode, Value};
use wasmparser::MemArg;

use super::Translator;
use crate::compile::abi::{Layout, Place};

impl Translator<'_> {
    /// Pops an index and gives the address of what a memory operator accesses there, the offset to
    /// access it at, and the flags for it, which say that it may trap.
    pub(super) fn heap_access(&mut self, memarg: &MemArg) -> (Value, i32, MemFlagsData) {
        let index = self.pop();
        let index = self.builder.ins().uextend(I64, index);
        let context = self.vmctx();
        let trusted = MemFlagsData::trusted();
        let base = match Layout::of(self.info).memory(0) {
            Place::Here(at) => self.builder.ins().load(I64, trusted, context, at),
            Place::Behind(at) => {
                let memory = self.builder.ins().load(I64, trusted, context, at);
                self.builder.ins().load(I64, trusted, memory, 0)
            }
        };
        let address = self.builder.ins().iadd(base, index);
        let flags = MemFlagsData::new().with_trap_code(Some(TrapCode::HEAP_OUT_OF_BOUNDS));
        match i32::try_from(memarg.offset) {
            Ok(offset) => (address, offset, flags),
            Err(_) => {
                let offset = self.builder.ins().iconst(I64, memarg.offset as i64);
                (self.builder.ins().iadd(address, offset), 0, flags)
            }
        }
    }
}
