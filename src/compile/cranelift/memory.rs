//! Memories and globals: loads, stores, and the bulk operators.
//!
//! No access is checked. A memory's reservation covers every address that an i32 index and a 32-bit
//! offset can make, and what lies past the memory's end faults: so each access to the heap carries
//! the trap code that the fault means, and none may be dropped or moved over another effect.

use std::mem::offset_of;

use cranelift_codegen::ir::types::{I8, I8X16, I16, I32, I64};
use cranelift_codegen::ir::{
    Block, Endianness, InstBuilder, InstructionData, MemFlagsData, Opcode,
    TrapCode as ClifTrapCode, Type, Value,
};
use wasmparser::{MemArg, MemArgTarget};

use super::{Region, Translator, clif_type};
use crate::compile::abi::{Builtin, Place, VmMemory};
use crate::error::{LoadError, TrapCode};
use crate::module::BYTES_LOG;

/// The longest copy or fill of constant length that is made of loads and stores.
const MAX_INLINE: u64 = 64;

const BASE: i32 = offset_of!(VmMemory, base) as i32;
const LEN: i32 = offset_of!(VmMemory, len) as i32;

/// A place that an operator accesses: so many bytes as its alignment may be at most.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Accessed {
    block: Block,
    index: Value,
    memory: u32,
    offset: u64,
    max_align: u8,
}

impl Translator<'_> {
    /// Flags for an access to what is always there.
    pub(super) fn trusted(&mut self, region: Region) -> MemFlagsData {
        let region = self.region(region);
        MemFlagsData::trusted().with_alias_region(Some(region))
    }

    /// Flags for reading what stays as it is while the function runs.
    pub(super) fn constant() -> MemFlagsData {
        MemFlagsData::trusted().with_readonly().with_can_move()
    }

    /// The trap code of an access to this place. What the block has accessed already traps no more: it has
    /// the same code again, without which Cranelift would not make one instruction of a load and a store,
    /// and would not drop a store that another overwrites.
    fn access(&mut self, place: Accessed) -> ClifTrapCode {
        let position = self.builder.srcloc();
        let known = self.state.accessed.iter().flatten().find(|(other, ..)| *other == place);
        if let Some((_, code, first)) = known.copied() {
            self.state.origins.share(position, first);
            return code;
        }
        let code = self.state.origins.access(position);
        self.state.accessed.rotate_right(1);
        self.state.accessed[0] = Some((place, code, position));
        code
    }

    /// Flags for accesses to a memory that trap with this code.
    fn heap(&mut self, code: ClifTrapCode) -> MemFlagsData {
        let region = self.region(Region::Heap);
        MemFlagsData::new()
            .with_endianness(Endianness::Little)
            .with_trap_code(Some(code))
            .with_alias_region(Some(region))
    }

    /// The address that a part of the context is at, as a value and an offset from it.
    pub(super) fn place(&mut self, place: Place) -> (Value, i32) {
        let vmctx = self.vmctx();
        match place {
            Place::Here(offset) => (vmctx, offset),
            Place::Behind(offset) => {
                (self.builder.ins().load(I64, Self::constant(), vmctx, offset), 0)
            }
        }
    }

    /// A field of 64 bits that changes, of a memory or a table.
    pub(super) fn load_header(&mut self, place: Place, field: i32) -> Value {
        let (at, offset) = self.place(place);
        let flags = self.trusted(Region::Header);
        self.builder.ins().load(I64, flags, at, offset + field)
    }

    /// The address of a memory's [`VmMemory`].
    fn memory_place(&mut self, memory: u32) -> Value {
        let (at, offset) = self.place(self.layout.memory(memory));
        self.builder.ins().iadd_imm_s(at, i64::from(offset))
    }

    /// Where byte `index` of a memory is.
    fn heap_address(&mut self, memory: u32, index: Value) -> Value {
        let (at, offset) = self.place(self.layout.memory(memory));
        let base = self.builder.ins().load(I64, Self::constant(), at, offset + BASE);
        let index = self.builder.ins().uextend(I64, index);
        self.builder.ins().iadd(base, index)
    }

    /// Pops the index of an access. Returns its address, the offset that the access itself adds, and
    /// its flags.
    pub(super) fn heap_access(&mut self, memarg: &MemArg) -> (Value, i32, MemFlagsData) {
        let index = self.pop();
        let MemArgTarget::Memory(memory) = memarg.target else {
            unreachable!("validation knows no arrays");
        };
        let code = match self.builder.current_block() {
            Some(block) => {
                let (offset, max_align) = (memarg.offset, memarg.max_align);
                self.access(Accessed { block, index, memory, offset, max_align })
            }
            None => self.state.origins.access(self.builder.srcloc()),
        };
        let mut address = self.heap_address(memory, index);
        let offset = i32::try_from(memarg.offset).unwrap_or_else(|_| {
            // The machine would extend its sign.
            let offset = self.builder.ins().iconst(I64, memarg.offset as i64);
            address = self.builder.ins().iadd(address, offset);
            0
        });
        (address, offset, self.heap(code))
    }

    pub(super) fn load(
        &mut self,
        opcode: Opcode,
        ty: Type,
        memarg: MemArg,
    ) -> Result<(), LoadError> {
        let (address, offset, flags) = self.heap_access(&memarg);
        let flags = self.builder.func.dfg.mem_flags.insert_unchecked(flags);
        let (inst, dfg) = self.builder.ins().Load(opcode, ty, flags, offset.into(), address);
        let result = dfg.first_result(inst);
        self.push(result);
        Ok(())
    }

    pub(super) fn store(&mut self, opcode: Opcode, memarg: MemArg) -> Result<(), LoadError> {
        let value = self.pop();
        let (address, offset, flags) = self.heap_access(&memarg);
        let flags = self.builder.func.dfg.mem_flags.insert_unchecked(flags);
        let ty = self.builder.func.dfg.value_type(value);
        self.builder.ins().Store(opcode, ty, flags, offset.into(), value, address);
        Ok(())
    }

    pub(super) fn memory_size(&mut self, memory: u32) -> Result<(), LoadError> {
        let bytes = self.load_header(self.layout.memory(memory), LEN);
        let pages = self.builder.ins().ushr_imm_u(bytes, 16);
        let pages = self.builder.ins().ireduce(I32, pages);
        self.push(pages);
        Ok(())
    }

    pub(super) fn memory_grow(&mut self, memory: u32) -> Result<(), LoadError> {
        let pages = self.pop_u64();
        let memory = self.index(memory);
        let before = self.call_builtin(Builtin::MemoryGrow, &[memory, pages]);
        let before = self.builder.ins().ireduce(I32, before);
        self.push(before);
        Ok(())
    }

    pub(super) fn memory_fill(&mut self, memory: u32) -> Result<(), LoadError> {
        self.charge_length(BYTES_LOG);
        if let Some(length) = self.inline_length() {
            self.pop();
            return self.fill_inline(memory, length);
        }
        let (length, value, start) = (self.pop_u64(), self.pop_u64(), self.pop_u64());
        let memory = self.memory_place(memory);
        let failed = self.call_builtin(Builtin::MemoryFill, &[memory, start, value, length]);
        self.trap_if(failed, TrapCode::MemoryOutOfBounds);
        Ok(())
    }

    pub(super) fn memory_copy(&mut self, to: u32, from: u32) -> Result<(), LoadError> {
        self.charge_length(BYTES_LOG);
        if let Some(length) = self.inline_length() {
            self.pop();
            return self.copy_inline(to, from, length);
        }
        let (length, source, destination) = (self.pop_u64(), self.pop_u64(), self.pop_u64());
        let (to, from) = (self.memory_place(to), self.memory_place(from));
        let args = [to, from, destination, source, length];
        let failed = self.call_builtin(Builtin::MemoryCopy, &args);
        self.trap_if(failed, TrapCode::MemoryOutOfBounds);
        Ok(())
    }

    pub(super) fn memory_init(&mut self, segment: u32, memory: u32) -> Result<(), LoadError> {
        self.charge_length(BYTES_LOG);
        let (length, source, destination) = (self.pop_u64(), self.pop_u64(), self.pop_u64());
        let (memory, segment) = (self.index(memory), self.index(segment));
        let args = [memory, segment, destination, source, length];
        let failed = self.call_builtin(Builtin::MemoryInit, &args);
        self.trap_if(failed, TrapCode::MemoryOutOfBounds);
        Ok(())
    }

    pub(super) fn data_drop(&mut self, segment: u32) -> Result<(), LoadError> {
        let segment = self.index(segment);
        self.call_builtin(Builtin::DataDrop, &[segment]);
        Ok(())
    }

    /// The topmost operand, if it is a constant for which loads and stores are worth it. Not 0, at
    /// which the places must still be inside their memories.
    fn inline_length(&self) -> Option<u64> {
        self.constant_length().filter(|length| (1..=MAX_INLINE).contains(length))
    }

    /// The topmost operand, if it is a constant.
    pub(super) fn constant_length(&self) -> Option<u64> {
        let dfg = &self.builder.func.dfg;
        let inst = dfg.value_def(*self.state.values.last()?).inst()?;
        match dfg.insts[inst] {
            InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => {
                Some(u64::from(imm.bits() as u32))
            }
            _ => None,
        }
    }

    /// Stores the last piece first: if that is in the memory, all are, and otherwise nothing may be
    /// written.
    fn fill_inline(&mut self, memory: u32, length: u64) -> Result<(), LoadError> {
        let (value, start) = (self.pop(), self.pop());
        let address = self.heap_address(memory, start);
        let code = self.state.origins.access(self.builder.srcloc());
        let flags = self.heap(code);
        let byte = self.builder.ins().ireduce(I8, value);
        let (whole, pieces) = pieces(length);
        let value = match whole {
            I8 => byte,
            I8X16 => self.builder.ins().splat(I8X16, byte),
            _ => {
                let wide = self.builder.ins().uextend(whole, byte);
                let ones = 0x0101_0101_0101_0101_u64 >> (64 - whole.bits());
                self.builder.ins().imul_imm_u(wide, ones as i64)
            }
        };
        for offset in pieces.rev() {
            self.builder.ins().store(flags, value, address, offset);
        }
        Ok(())
    }

    /// Loads everything before it stores anything, because the places may overlap; see
    /// [`Translator::fill_inline`] for the order of the stores.
    fn copy_inline(&mut self, to: u32, from: u32, length: u64) -> Result<(), LoadError> {
        let (source, destination) = (self.pop(), self.pop());
        let source = self.heap_address(from, source);
        let destination = self.heap_address(to, destination);
        let code = self.state.origins.access(self.builder.srcloc());
        let flags = self.heap(code);
        let pieces: Vec<_> = copied_pieces(length)
            .into_iter()
            .map(|(ty, offset)| (offset, self.builder.ins().load(ty, flags, source, offset)))
            .collect();
        for (offset, value) in pieces.into_iter().rev() {
            self.builder.ins().store(flags, value, destination, offset);
        }
        Ok(())
    }

    pub(super) fn global_get(&mut self, global: u32) -> Result<(), LoadError> {
        let ty = self.info.globals[global as usize];
        let (at, offset) = self.place(self.layout.global(global));
        let flags = match ty.mutable {
            true => self.trusted(self.region_of_global(global)),
            false => Self::constant(),
        };
        let value = self.builder.ins().load(clif_type(ty.content), flags, at, offset);
        self.push(value);
        Ok(())
    }

    pub(super) fn global_set(&mut self, global: u32) -> Result<(), LoadError> {
        let value = self.pop();
        let (at, offset) = self.place(self.layout.global(global));
        let flags = self.trusted(self.region_of_global(global));
        self.builder.ins().store(flags, value, at, offset);
        Ok(())
    }

    /// Two imported globals may be the same one. Those that are defined here are told apart as far
    /// as the few regions reach.
    fn region_of_global(&self, global: u32) -> Region {
        match global.checked_sub(self.info.imported_globals) {
            None => Region::ImportedGlobals,
            Some(own) => Region::Globals((own % u32::from(Region::GLOBALS)) as u8),
        }
    }
}

/// How to make up a length, not 0, of pieces of one type: the type, and their offsets. The last piece
/// may overlap the one before.
fn pieces(length: u64) -> (Type, impl DoubleEndedIterator<Item = i32>) {
    let ty = match length {
        1 => I8,
        2..4 => I16,
        4..8 => I32,
        8..16 => I64,
        _ => I8X16,
    };
    let (size, length) = (ty.bytes() as i32, length as i32);
    (ty, (0..length - size).step_by(size as usize).chain([length - size]))
}

/// How to make up the length of a copy. What is likely to be a structure, to be read or copied again
/// soon, is made up of pieces that do not overlap: a processor waits when a load takes bytes of two
/// stores that are still on their way.
fn copied_pieces(length: u64) -> Vec<(Type, i32)> {
    if !length.is_multiple_of(4) {
        let (ty, pieces) = pieces(length);
        return pieces.map(|offset| (ty, offset)).collect();
    }
    let (mut copied, mut offset) = (Vec::new(), 0);
    for ty in [I8X16, I64, I32] {
        while offset + ty.bytes() as i32 <= length as i32 {
            copied.push((ty, offset));
            offset += ty.bytes() as i32;
        }
    }
    copied
}
