//! Shifts, rotates, bit counting and byte swapping, of 32 or 64 bits.
//!
//! `shlx`, `shrx`, `sarx`, `rorx`, `andn` and `tzcnt` need BMI1 and BMI2,
//! `lzcnt` and `popcnt` their own CPU features. Whether the processor has them
//! is for callers to find out: without, some of these silently execute as other
//! instructions.

use super::assembler::Assembler;
use super::encode::{Imm, Op, VexMap, VexOp, VexPrefix};
use super::mem::Mem;
use super::reg::{Gpr, Size};

/// Shifts and rotates, numbered as the hardware does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Shift {
    /// Rotate left.
    Rol = 0,
    /// Rotate right.
    Ror = 1,
    /// Shift left.
    Shl = 4,
    /// Shift right, filling with zeros.
    Shr = 5,
    /// Shift right, filling with the sign.
    Sar = 7,
}

const SHLX: VexOp = vex(VexMap::M0f38, VexPrefix::P66, 0xF7);
const SARX: VexOp = vex(VexMap::M0f38, VexPrefix::Pf3, 0xF7);
const SHRX: VexOp = vex(VexMap::M0f38, VexPrefix::Pf2, 0xF7);
const ANDN: VexOp = vex(VexMap::M0f38, VexPrefix::None, 0xF2);
const RORX: VexOp = vex(VexMap::M0f3a, VexPrefix::Pf2, 0xF0);

const LZCNT: Op = Op::of_0f(0xBD).prefix(0xF3);
const TZCNT: Op = Op::of_0f(0xBC).prefix(0xF3);
const POPCNT: Op = Op::of_0f(0xB8).prefix(0xF3);

const fn vex(map: VexMap, prefix: VexPrefix, opcode: u8) -> VexOp {
    VexOp { map, prefix, opcode }
}

impl Assembler {
    /// Shifts `dst` by a constant, in the shortest form. The hardware takes
    /// `count` modulo the size.
    #[inline]
    pub fn shift_ri(&mut self, shift: Shift, size: Size, dst: Gpr, count: u8) {
        if count == 1 {
            self.long_r(0xD1, shift as u8, size, dst);
        } else {
            self.long_r_imm(0xC1, shift as u8, size, dst, Imm::byte(count));
        }
    }

    /// Shifts `dst` by `cl`.
    #[inline]
    pub fn shift_cl(&mut self, shift: Shift, size: Size, dst: Gpr) {
        self.long_r(0xD3, shift as u8, size, dst);
    }

    /// `dst = src << count`, leaving the flags alone.
    #[inline]
    pub fn shlx(&mut self, size: Size, dst: Gpr, src: Gpr, count: Gpr) {
        self.vex_rrr(SHLX, size, dst.index(), count.index(), src.index());
    }

    /// `dst = src >> count`, unsigned, leaving the flags alone.
    #[inline]
    pub fn shrx(&mut self, size: Size, dst: Gpr, src: Gpr, count: Gpr) {
        self.vex_rrr(SHRX, size, dst.index(), count.index(), src.index());
    }

    /// `dst = src >> count`, signed, leaving the flags alone.
    #[inline]
    pub fn sarx(&mut self, size: Size, dst: Gpr, src: Gpr, count: Gpr) {
        self.vex_rrr(SARX, size, dst.index(), count.index(), src.index());
    }

    /// `dst` = `src` rotated right, leaving the flags alone.
    #[inline]
    pub fn rorx(&mut self, size: Size, dst: Gpr, src: Gpr, count: u8) {
        self.vex_rr_imm8(RORX, size, dst.index(), src.index(), count);
    }

    /// `dst = !inverted & src`.
    #[inline]
    pub fn andn(&mut self, size: Size, dst: Gpr, inverted: Gpr, src: Gpr) {
        self.vex_rrr(ANDN, size, dst.index(), inverted.index(), src.index());
    }

    /// `dst` = number of leading zeros of `src`.
    #[inline]
    pub fn lzcnt(&mut self, size: Size, dst: Gpr, src: Gpr) {
        self.long_rr(LZCNT, size, dst, src);
    }

    /// `dst` = number of leading zeros of `[src]`.
    #[inline]
    pub fn lzcnt_rm(&mut self, size: Size, dst: Gpr, src: Mem) {
        self.long_rm(LZCNT, size, dst, src);
    }

    /// `dst` = number of trailing zeros of `src`.
    #[inline]
    pub fn tzcnt(&mut self, size: Size, dst: Gpr, src: Gpr) {
        self.long_rr(TZCNT, size, dst, src);
    }

    /// `dst` = number of trailing zeros of `[src]`.
    #[inline]
    pub fn tzcnt_rm(&mut self, size: Size, dst: Gpr, src: Mem) {
        self.long_rm(TZCNT, size, dst, src);
    }

    /// `dst` = number of ones in `src`.
    #[inline]
    pub fn popcnt(&mut self, size: Size, dst: Gpr, src: Gpr) {
        self.long_rr(POPCNT, size, dst, src);
    }

    /// `dst` = number of ones in `[src]`.
    #[inline]
    pub fn popcnt_rm(&mut self, size: Size, dst: Gpr, src: Mem) {
        self.long_rm(POPCNT, size, dst, src);
    }

    /// `dst` = index of the highest one in `src`. Of zero, sets the zero flag and leaves `dst` undefined.
    #[inline]
    pub fn bsr(&mut self, size: Size, dst: Gpr, src: Gpr) {
        self.long_rr(Op::of_0f(0xBD), size, dst, src);
    }

    /// `dst` = index of the lowest one in `src`. Of zero, sets the zero flag and leaves `dst` undefined.
    #[inline]
    pub fn bsf(&mut self, size: Size, dst: Gpr, src: Gpr) {
        self.long_rr(Op::of_0f(0xBC), size, dst, src);
    }

    /// Reverses the bytes of `dst`.
    #[inline]
    pub fn bswap(&mut self, size: Size, dst: Gpr) {
        self.plus_r(Op::of_0f(0xC8).long(size), dst);
    }
}
