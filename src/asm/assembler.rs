//! The assembler itself: labels, jumps, calls, the stack and padding.
//!
//! Owns the state that every instruction family writes to, and the
//! instructions that move the program counter or the stack pointer.

use super::buffer::CodeBuffer;
use super::cond::Cond;
use super::encode::{Imm, Op};
use super::labels::{FixupKind, Label, Labels};
use super::mem::Mem;
use super::reg::{Gpr, Size};

/// Appends x86-64 instructions to a [`CodeBuffer`].
///
/// Operands that an instruction cannot encode are a bug of the caller; debug
/// builds assert, release builds emit something else.
#[derive(Debug)]
pub struct Assembler {
    /// The code so far.
    pub buf: CodeBuffer,
    /// Whether vector instructions are to take the forms of AVX.
    pub avx: bool,
    labels: Labels,
}

impl Default for Assembler {
    fn default() -> Self {
        Self::new()
    }
}

impl Assembler {
    /// An assembler without code or labels.
    pub const fn new() -> Self {
        Self { buf: CodeBuffer::new(), avx: false, labels: Labels::new() }
    }

    /// Drops the code and the labels but keeps the allocations.
    pub fn clear(&mut self) {
        self.buf.clear();
        self.labels.clear();
    }

    /// Where the next instruction goes.
    #[inline]
    pub const fn offset(&self) -> u32 {
        self.buf.offset()
    }

    /// A fresh label, not bound yet.
    #[inline]
    pub fn new_label(&mut self) -> Label {
        self.labels.new_label()
    }

    /// Binds `label` here and completes whatever referred to it.
    ///
    /// # Panics
    ///
    /// If a [`jmp_short`](Self::jmp_short) or [`jcc_short`](Self::jcc_short)
    /// cannot reach this far. In debug builds, if `label` is bound already.
    #[inline]
    pub fn bind(&mut self, label: Label) {
        self.labels.bind(label, &mut self.buf);
    }

    /// Whether `label` has its place.
    #[inline]
    pub fn is_bound(&self, label: Label) -> bool {
        self.labels.offset(label).is_some()
    }

    /// The offset `label` is bound to, if it is.
    #[inline]
    pub fn label_offset(&self, label: Label) -> Option<u32> {
        self.labels.offset(label)
    }

    /// Jumps. Backward, the short form is used where it reaches; forward, the
    /// long form always.
    #[inline]
    pub fn jmp(&mut self, label: Label) {
        self.jump(label, 0xEB, Op::one(0xE9));
    }

    /// Jumps if `cond` holds. Backward, the short form is used where it
    /// reaches; forward, the long form always.
    #[inline]
    pub fn jcc(&mut self, cond: Cond, label: Label) {
        let cond = cond.index();
        self.jump(label, 0x70 | cond, Op::of_0f(0x80 | cond));
    }

    /// Jumps in two bytes, to a label at most 127 bytes after the jump or 128
    /// before its end.
    ///
    /// # Panics
    ///
    /// If the label is out of reach: here when it is bound already, otherwise
    /// once it is bound.
    #[inline]
    pub fn jmp_short(&mut self, label: Label) {
        self.jump_short(label, 0xEB);
    }

    /// Jumps in two bytes if `cond` holds; reach and panics are those of
    /// [`jmp_short`](Self::jmp_short).
    #[inline]
    pub fn jcc_short(&mut self, cond: Cond, label: Label) {
        self.jump_short(label, 0x70 | cond.index());
    }

    #[inline]
    fn jump(&mut self, label: Label, short: u8, long: Op) {
        match self.labels.offset(label) {
            Some(target) => {
                let distance = target.wrapping_sub(self.offset() + 2).cast_signed();
                if let Ok(rel8) = i8::try_from(distance) {
                    self.bare_imm(Op::one(short), Imm::byte(rel8.cast_unsigned()));
                } else {
                    self.bare_rel32(long, label);
                }
            }
            None => self.bare_rel32(long, label),
        }
    }

    #[inline]
    fn jump_short(&mut self, label: Label, opcode: u8) {
        self.bare_imm(Op::one(opcode), Imm::byte(0));
        let at = self.offset() - 1;
        self.labels.resolve(label, &mut self.buf, at, FixupKind::Rel8);
    }

    /// An opcode and the distance to `label`.
    #[inline]
    fn bare_rel32(&mut self, op: Op, label: Label) {
        self.bare_imm(op, Imm::long(0));
        self.resolve_rel32(label);
    }

    /// Makes the four bytes just emitted the distance to `label`.
    #[inline]
    pub(super) fn resolve_rel32(&mut self, label: Label) {
        let at = self.offset() - 4;
        self.labels.resolve(label, &mut self.buf, at, FixupKind::Rel32);
    }

    /// `lea dst, [rip + label]`: the run-time address of `label`.
    #[inline]
    pub fn lea_label(&mut self, dst: Gpr, label: Label) {
        // ModRM `mod` 0 with `rm` 5 is relative to the program counter: a
        // baseless operand without SIB, which `Mem` has no need to express.
        let rex = 0x48 | (dst.index() >> 3) << 2;
        let modrm = (dst.index() & 7) << 3 | 0b101;
        let bytes = u32::from_le_bytes([rex, 0x8D, modrm, 0]);
        self.buf.put(u128::from(bytes), 7);
        self.resolve_rel32(label);
    }

    /// Appends the four bytes `label - base`, an entry of a jump table.
    ///
    /// Either label may be bound later. The run-time address of the target is
    /// that of `base` plus the sign-extended entry.
    pub fn emit_table_entry(&mut self, label: Label, base: Label) {
        let at = self.offset();
        self.buf.put(0, 4);
        self.labels.resolve(label, &mut self.buf, at, FixupKind::Add32);
        self.labels.resolve(base, &mut self.buf, at, FixupKind::Sub32);
    }

    /// Calls the code at `label`.
    #[inline]
    pub fn call_label(&mut self, label: Label) {
        self.bare_rel32(Op::one(0xE8), label);
    }

    /// Calls the address in `target`.
    #[inline]
    pub fn call_r(&mut self, target: Gpr) {
        self.rr(Op::one(0xFF), 2, target.index());
    }

    /// Calls the address stored at `target`.
    #[inline]
    pub fn call_m(&mut self, target: Mem) {
        self.rm(Op::one(0xFF), 2, target);
    }

    /// A call whose target is filled in by a linker. Returns the offset of the
    /// 32-bit field, which is relative to its own end.
    #[inline]
    pub fn call_rel32_placeholder(&mut self) -> u32 {
        self.bare_imm(Op::one(0xE8), Imm::long(0));
        self.offset() - 4
    }

    /// Jumps to the address in `target`.
    #[inline]
    pub fn jmp_r(&mut self, target: Gpr) {
        self.rr(Op::one(0xFF), 4, target.index());
    }

    /// Jumps to the address stored at `target`.
    #[inline]
    pub fn jmp_m(&mut self, target: Mem) {
        self.rm(Op::one(0xFF), 4, target);
    }

    /// Returns.
    #[inline]
    pub fn ret(&mut self) {
        self.bare(Op::one(0xC3));
    }

    /// Returns and drops `bytes` of arguments.
    #[inline]
    pub fn ret_imm16(&mut self, bytes: u16) {
        self.bare_imm(Op::one(0xC2), Imm::sized(Size::S16, i32::from(bytes)));
    }

    /// Pushes 64 bits.
    #[inline]
    pub fn push_r(&mut self, src: Gpr) {
        self.plus_r(Op::one(0x50), src);
    }

    /// Pops 64 bits.
    #[inline]
    pub fn pop_r(&mut self, dst: Gpr) {
        self.plus_r(Op::one(0x58), dst);
    }

    /// Pushes 64 bits from memory.
    #[inline]
    pub fn push_m(&mut self, src: Mem) {
        self.rm(Op::one(0xFF), 6, src);
    }

    /// Pops 64 bits to memory. An address based on `Rsp` is computed after the
    /// pop has moved it.
    #[inline]
    pub fn pop_m(&mut self, dst: Mem) {
        self.rm(Op::one(0x8F), 0, dst);
    }

    /// Pushes `imm` sign-extended to 64 bits.
    #[inline]
    pub fn push_imm32(&mut self, imm: i32) {
        if let Ok(imm8) = i8::try_from(imm) {
            self.bare_imm(Op::one(0x6A), Imm::byte(imm8.cast_unsigned()));
        } else {
            self.bare_imm(Op::one(0x68), Imm::long(imm));
        }
    }

    /// Raises the invalid-opcode exception.
    #[inline]
    pub fn ud2(&mut self) {
        self.bare(Op::of_0f(0x0B));
    }

    /// Raises the breakpoint exception.
    #[inline]
    pub fn int3(&mut self) {
        self.bare(Op::one(0xCC));
    }

    /// Appends `count` bytes of padding that execute as few instructions.
    pub fn nop(&mut self, mut count: usize) {
        // The sequences that the processor manuals recommend, by length.
        const NOPS: [u128; 9] = [
            0x90,
            0x9066,
            0x00_1F0F,
            0x0040_1F0F,
            0x00_0044_1F0F,
            0x0000_441F_0F66,
            0x00_0000_0080_1F0F,
            0x0000_0000_0084_1F0F,
            0x00_0000_0000_841F_0F66,
        ];
        while count > 0 {
            let len = count.min(NOPS.len());
            self.buf.put(NOPS[len - 1], len);
            count -= len;
        }
    }
}
