//! Growing, filling, copying and initialising memories and tables.
//!
//! The runtime does it, except for fills and copies of a small constant length.

use super::Compiler;
use super::memory::Access;
use super::registers::Operand;
use crate::asm::{Cond, FloatSize, Gpr, Mem, Size, Xmm};
use crate::compile::abi::{BUILTINS, Builtin, FLOAT_SCRATCH, INT_PARAMS, Place, SCRATCH, VMCTX};
use crate::error::TrapCode;
use crate::module::{BYTES_LOG, ELEMENTS_LOG, ValType};

/// The longest copy or fill of constant length that is made of loads and stores.
const MAX_INLINE: u64 = 64;

/// What a builtin works on.
#[derive(Clone, Copy)]
enum Subject {
    Index(u32),
    /// The address of this memory's [`VmMemory`](crate::compile::abi::VmMemory).
    Memory(u32),
}

/// Calls.
impl Compiler {
    /// Calls a function of the runtime with these subjects and the topmost operands, which it
    /// consumes.
    fn call_builtin(&mut self, builtin: Builtin, subjects: &[Subject], operands: usize) {
        let base = self.stack.len() - operands;
        self.spill_temporaries_below(base);
        self.save_kept_homes();
        self.moves.clear();
        let mut params = INT_PARAMS.into_iter();
        let mut next = || params.next().expect("a builtin takes six at most");
        self.moves.set_gpr(next(), ValType::I64, Operand::Gpr(VMCTX));
        for subject in subjects {
            let register = next();
            // Addresses come when all registers have been read.
            if let Subject::Index(index) = *subject {
                self.moves.set_gpr(register, ValType::I64, Operand::Const(u64::from(index)));
            }
        }
        for at in base..self.stack.len() {
            let ty = self.stack.get(at).ty;
            let operand = self.operand_at(at);
            let param = next();
            // What is where it should be is not moved, which would have cleared the upper half. A
            // home that is there has been saved.
            if let (ValType::I32, Operand::Gpr(register)) = (ty, operand)
                && (self.is_temporary(operand) || register == param)
            {
                self.load_zero_extended(register, operand);
            }
            self.moves.set_gpr(param, ty, operand);
        }
        self.emit_moves();
        for (subject, register) in subjects.iter().zip(&INT_PARAMS[1..]) {
            if let Subject::Memory(memory) = *subject {
                match self.layout.memory(memory) {
                    Place::Here(at) => {
                        self.asm.lea(Size::S64, *register, Mem::base(VMCTX, at));
                    }
                    Place::Behind(at) => {
                        self.asm.mov_rm(Size::S64, *register, Mem::base(VMCTX, at));
                    }
                }
            }
        }
        self.reads_context = true;
        self.asm.mov_rm(Size::S64, SCRATCH, Mem::base(VMCTX, BUILTINS));
        self.asm.call_m(Mem::base(SCRATCH, builtin.offset()));
        self.stack.truncate(base);
        self.stop_lingering();
        self.registers.free_all();
        self.restore_kept_homes();
    }

    /// Calls one that returns an i32.
    pub(super) fn call_grow(&mut self, builtin: Builtin, index: u32, operands: usize) {
        if builtin == Builtin::TableGrow {
            self.charge_length(ELEMENTS_LOG);
        }
        self.call_builtin(builtin, &[Subject::Index(index)], operands);
        self.registers.free_gprs.remove(Gpr::Rax);
        self.push(ValType::I32, Operand::Gpr(Gpr::Rax));
    }

    /// Calls one that takes three operands and can fail.
    pub(super) fn call_fallible(&mut self, builtin: Builtin, indices: &[u32], code: TrapCode) {
        self.charge_length(if builtin == Builtin::MemoryInit { BYTES_LOG } else { ELEMENTS_LOG });
        let mut subjects = [Subject::Index(0); 2];
        for (subject, index) in subjects.iter_mut().zip(indices) {
            *subject = Subject::Index(*index);
        }
        self.call_builtin(builtin, &subjects[..indices.len()], 3);
        self.asm.test_rr(Size::S32, Gpr::Rax, Gpr::Rax);
        self.trap_if(Cond::Ne, code);
    }

    /// Calls one that takes three operands and can leave its memories' bounds.
    fn call_on_memories(&mut self, builtin: Builtin, memories: &[Subject]) {
        self.call_builtin(builtin, memories, 3);
        self.asm.test_rr(Size::S32, Gpr::Rax, Gpr::Rax);
        self.trap_if(Cond::Ne, TrapCode::MemoryOutOfBounds);
    }

    /// Calls one that drops a segment.
    pub(super) fn call_drop(&mut self, builtin: Builtin, segment: u32) {
        self.call_builtin(builtin, &[Subject::Index(segment)], 0);
    }

    pub(super) fn memory_fill(&mut self, memory: u32) {
        self.charge_length(BYTES_LOG);
        match self.inline_length() {
            Some(length) => self.fill_inline(memory, length),
            None => self.call_on_memories(Builtin::MemoryFill, &[Subject::Memory(memory)]),
        }
    }

    pub(super) fn memory_copy(&mut self, to: u32, from: u32) {
        self.charge_length(BYTES_LOG);
        match self.inline_length() {
            Some(length) => self.copy_inline(to, from, length),
            None => {
                let memories = [Subject::Memory(to), Subject::Memory(from)];
                self.call_on_memories(Builtin::MemoryCopy, &memories);
            }
        }
    }
}

/// Loads and stores instead.
impl Compiler {
    /// The topmost operand, if it is a constant for which loads and stores are worth it. Not 0, at
    /// which the places must still be inside their memories.
    fn inline_length(&mut self) -> Option<u64> {
        match self.stack.top().operand {
            Operand::Const(length) if (1..=MAX_INLINE).contains(&length) => Some(length),
            _ => None,
        }
    }

    /// An index that several accesses use: a constant, or in a register, zero-extended.
    fn shared_index(&mut self, index: Operand) -> Operand {
        let register = match index {
            Operand::Const(_) => return index,
            Operand::Gpr(own) if self.is_temporary(index) => own,
            Operand::Gpr(home) if self.registers.zero_extended.contains(home) => return index,
            _ => self.take_gpr(),
        };
        self.load_zero_extended(register, index);
        self.registers.zero_extended.insert(register);
        Operand::Gpr(register)
    }

    /// Stores the last piece first: if that is in the memory, all are, and otherwise nothing may be
    /// written.
    fn fill_inline(&mut self, memory: u32, length: u64) {
        self.pop();
        let value = self.pop();
        let start = self.pop();
        let start = self.shared_index(start);
        let piece = (length + 1).next_power_of_two().min(16) / 2;
        let width = width(piece);
        let filling = match value {
            Operand::Const(byte) => {
                let bits = u64::from_le_bytes([byte as u8; 8]);
                Operand::Const(if width == Size::S64 { bits } else { u64::from(bits as u32) })
            }
            Operand::Gpr(_) if width == Size::S8 => value,
            _ => self.splat(value),
        };
        // As an immediate where that is possible, else in a register for all of the stores.
        let filling = match filling {
            Operand::Const(bits) if width == Size::S64 && i32::try_from(bits).is_err() => {
                let register = self.take_gpr();
                self.asm.mov_ri(Size::S64, register, bits.cast_signed());
                Operand::Gpr(register)
            }
            _ => filling,
        };
        for offset in pieces(length, piece).rev() {
            let address = self.address(Access { memory, offset }, start, None);
            self.store_at(width, address, filling);
            self.release_address(address);
        }
        self.release(start);
        self.release(filling);
        self.release(value);
    }

    /// The low byte, in all bytes of a register of its own.
    fn splat(&mut self, value: Operand) -> Operand {
        let register = self.take_gpr();
        self.load_gpr(Size::S32, register, value);
        self.asm.movzx_rr(register, register, Size::S8);
        self.asm.mov_ri(Size::S64, SCRATCH, u64::from_le_bytes([1; 8]).cast_signed());
        self.asm.imul_rr(Size::S64, register, SCRATCH);
        Operand::Gpr(register)
    }

    /// Loads everything before it stores anything, because the places may overlap; see
    /// [`fill_inline`](Compiler::fill_inline) for the order of the stores.
    fn copy_inline(&mut self, to: u32, from: u32, length: u64) {
        self.pop();
        let source = self.pop();
        let destination = self.pop();
        let source = self.shared_index(source);
        let destination = self.shared_index(destination);
        let mut held = [Operand::Const(0); MAX_COPIED];
        let (pieces, count) = copied_pieces(length);
        for (at, ((offset, piece), held)) in
            pieces[..count].iter().copied().zip(&mut held).enumerate()
        {
            *held = match piece {
                1 | 2 => Operand::Gpr(self.take_gpr()),
                // Addresses need no float: so four others are enough.
                _ if at + 1 == count => Operand::Xmm(FLOAT_SCRATCH),
                _ => Operand::Xmm(self.take_xmm()),
            };
            let address = self.address(Access { memory: from, offset }, source, None);
            self.note_access();
            match *held {
                Operand::Xmm(register) => self.load_piece(piece, register, address.mem),
                Operand::Gpr(register) => self.asm.movzx_rm(register, address.mem, width(piece)),
                _ => {}
            }
            self.release_address(address);
        }
        for ((offset, piece), held) in pieces[..count].iter().copied().zip(held).rev() {
            let address = self.address(Access { memory: to, offset }, destination, None);
            match held {
                Operand::Xmm(register) if piece == 16 => {
                    self.note_access();
                    self.asm.movups_mr(address.mem, register);
                }
                _ => self.store_at(width(piece), address, held),
            }
            self.release_address(address);
            self.release(held);
        }
        self.release(source);
        self.release(destination);
    }

    fn load_piece(&mut self, piece: u64, dst: Xmm, src: Mem) {
        match piece {
            4 => self.asm.movs_rm(FloatSize::F32, dst, src),
            8 => self.asm.movs_rm(FloatSize::F64, dst, src),
            _ => self.asm.movups_rm(dst, src),
        }
    }
}

fn width(bytes: u64) -> Size {
    match bytes {
        1 => Size::S8,
        2 => Size::S16,
        4 => Size::S32,
        _ => Size::S64,
    }
}

/// How to make up a length of pieces: their offsets. The last one may overlap the one before.
fn pieces(
    length: u64,
    piece: u64,
) -> impl DoubleEndedIterator<Item = u64> + ExactSizeIterator + Clone {
    (0..length.div_ceil(piece) as usize).map(move |at| (at as u64 * piece).min(length - piece))
}

/// The most pieces of a copy.
const MAX_COPIED: usize = 5;

/// How to make up the length of a copy: offsets and sizes, and how many there are. What is likely to be
/// a structure, to be read or copied again soon, is made up of pieces that do not overlap: a processor
/// waits when a load takes bytes of two stores that are still on their way.
fn copied_pieces(length: u64) -> ([(u64, u64); MAX_COPIED], usize) {
    let mut copied = [(0, 0); MAX_COPIED];
    let mut count = 0;
    let mut add = |offset, piece| {
        copied[count] = (offset, piece);
        count += 1;
    };
    if length.is_multiple_of(4) {
        let mut offset = 0;
        for piece in [16, 8, 4] {
            while offset + piece <= length {
                add(offset, piece);
                offset += piece;
            }
        }
    } else {
        let piece = (length + 1).next_power_of_two().min(32) / 2;
        pieces(length, piece).for_each(|offset| add(offset, piece));
    }
    (copied, count)
}
