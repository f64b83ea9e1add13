//! Scalar floating point and SSE moves.
//!
//! Instructions that exist alike for single and double precision are one method
//! with a [`FloatSize`]. They are SSE2 except `rounds`, which is SSE4.1. What has
//! two operands and a result, of vectors and of scalars, is in `vector`.

use super::assembler::Assembler;
use super::encode::{Imm, Op};
use super::mem::Mem;
use super::reg::{Gpr, Size, Xmm};

/// The precision of a floating-point operation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum FloatSize {
    /// Single precision, 32 bits.
    F32,
    /// Double precision, 64 bits.
    F64,
}

/// How `rounds` rounds, numbered as the hardware does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Rounding {
    /// To nearest, ties to even.
    Nearest = 0,
    /// Towards negative infinity.
    Down = 1,
    /// Towards positive infinity.
    Up = 2,
    /// Towards zero.
    Zero = 3,
}

/// Rounding control bit that keeps the inexact exception from being signalled.
const NO_INEXACT: u8 = 8;

impl FloatSize {
    /// The mandatory prefix that selects scalars of this precision.
    #[inline]
    const fn scalar(self) -> u8 {
        match self {
            Self::F32 => 0xF3,
            Self::F64 => 0xF2,
        }
    }

    /// The mandatory prefix that selects vectors of this precision; a few
    /// scalar instructions use it too.
    #[inline]
    const fn packed(self) -> u8 {
        match self {
            Self::F32 => 0,
            Self::F64 => 0x66,
        }
    }
}

/// One row per instruction `name.. dst, src`: the prefix as a function of the
/// precision, the opcode after `0F`, and the names of the two forms.
macro_rules! float_table {
    ($($prefix:ident $opcode:literal $rr:ident $rm:ident $doc:literal)*) => {
        /// Arithmetic that comes in both precisions.
        impl Assembler {
            $(
                #[doc = $doc]
                #[inline]
                pub fn $rr(&mut self, size: FloatSize, dst: Xmm, src: Xmm) {
                    self.rr(Op::of_0f($opcode).prefix(size.$prefix()), dst.index(), src.index());
                }

                #[doc = $doc]
                #[doc = ""]
                #[doc = "The source is in memory."]
                #[inline]
                pub fn $rm(&mut self, size: FloatSize, dst: Xmm, src: Mem) {
                    self.rm(Op::of_0f($opcode).prefix(size.$prefix()), dst.index(), src);
                }
            )*
        }
    };
}

float_table! {
    scalar 0x51 sqrts_rr  sqrts_rm  "`dst` = square root of `src`."
    packed 0x2E ucomis_rr ucomis_rm "Compares as unsigned integers do; a NaN sets carry, zero and parity."
}

/// One row per instruction `name dst, src` between SSE registers, or from
/// memory to one: the prefix, the opcode after `0F`, and the names of the two
/// forms.
macro_rules! fixed_table {
    ($($prefix:literal $opcode:literal $rr:ident $rm:ident $doc:literal)*) => {
        /// Instructions without a choice of precision.
        impl Assembler {
            $(
                #[doc = $doc]
                #[inline]
                pub fn $rr(&mut self, dst: Xmm, src: Xmm) {
                    self.rr(Op::of_0f($opcode).prefix($prefix), dst.index(), src.index());
                }

                #[doc = $doc]
                #[doc = ""]
                #[doc = "The source is in memory; a whole register must be aligned to 16 bytes."]
                #[inline]
                pub fn $rm(&mut self, dst: Xmm, src: Mem) {
                    self.rm(Op::of_0f($opcode).prefix($prefix), dst.index(), src);
                }
            )*
        }
    };
}

fixed_table! {
    0x00 0x28 movaps_rr   movaps_rm   "`dst = src`, the whole register."
    0x00 0x54 andps_rr    andps_rm    "`dst &= src`, the whole register."
    0x00 0x55 andnps_rr   andnps_rm   "`dst = !dst & src`, the whole register."
    0x00 0x56 orps_rr     orps_rm     "`dst |= src`, the whole register."
    0x00 0x57 xorps_rr    xorps_rm    "`dst ^= src`, the whole register."
    0xF3 0x5A cvtss2sd_rr cvtss2sd_rm "`dst` = `src` as double precision."
    0xF2 0x5A cvtsd2ss_rr cvtsd2ss_rm "`dst` = `src` as single precision."
}

/// Moves and conversions across register files, and rounding.
impl Assembler {
    /// Loads a scalar and clears the rest of `dst`.
    #[inline]
    pub fn movs_rm(&mut self, size: FloatSize, dst: Xmm, src: Mem) {
        self.rm(Op::of_0f(0x10).prefix(size.scalar()), dst.index(), src);
    }

    /// Stores a scalar.
    #[inline]
    pub fn movs_mr(&mut self, size: FloatSize, dst: Mem, src: Xmm) {
        self.rm(Op::of_0f(0x11).prefix(size.scalar()), src.index(), dst);
    }

    /// Loads a whole register from any address.
    #[inline]
    pub fn movups_rm(&mut self, dst: Xmm, src: Mem) {
        self.rm(Op::of_0f(0x10), dst.index(), src);
    }

    /// Stores a whole register to any address.
    #[inline]
    pub fn movups_mr(&mut self, dst: Mem, src: Xmm) {
        self.rm(Op::of_0f(0x11), src.index(), dst);
    }

    /// `dst` = the bits of `src`, 32 or 64 of them; the rest is cleared.
    #[inline]
    pub fn movd_xr(&mut self, size: Size, dst: Xmm, src: Gpr) {
        self.rr(gpr_op(0x6E, 0x66, size), dst.index(), src.index());
    }

    /// `dst` = the low bits of `src`, 32 or 64 of them.
    #[inline]
    pub fn movd_rx(&mut self, size: Size, dst: Gpr, src: Xmm) {
        self.rr(gpr_op(0x7E, 0x66, size), src.index(), dst.index());
    }

    /// `dst` = the signed integer `src`, of 32 or 64 bits. Merges into `dst`,
    /// so it depends on its earlier value.
    #[inline]
    pub fn cvtsi2s_rr(&mut self, float: FloatSize, int: Size, dst: Xmm, src: Gpr) {
        self.rr(gpr_op(0x2A, float.scalar(), int), dst.index(), src.index());
    }

    /// Like [`cvtsi2s_rr`](Self::cvtsi2s_rr), from memory.
    #[inline]
    pub fn cvtsi2s_rm(&mut self, float: FloatSize, int: Size, dst: Xmm, src: Mem) {
        self.rm(gpr_op(0x2A, float.scalar(), int), dst.index(), src);
    }

    /// `dst` = `src` truncated to a signed integer of 32 or 64 bits; the lowest
    /// one if that does not fit or `src` is NaN.
    #[inline]
    pub fn cvtts2si_rr(&mut self, float: FloatSize, int: Size, dst: Gpr, src: Xmm) {
        self.rr(gpr_op(0x2C, float.scalar(), int), dst.index(), src.index());
    }

    /// Like [`cvtts2si_rr`](Self::cvtts2si_rr), from memory.
    #[inline]
    pub fn cvtts2si_rm(&mut self, float: FloatSize, int: Size, dst: Gpr, src: Mem) {
        self.rm(gpr_op(0x2C, float.scalar(), int), dst.index(), src);
    }

    /// `dst` = `src` rounded to an integral value, without signalling inexact.
    #[inline]
    pub fn rounds_rr(&mut self, size: FloatSize, rounding: Rounding, dst: Xmm, src: Xmm) {
        let imm = Imm::byte(rounding as u8 | NO_INEXACT);
        self.rr_imm(rounds_op(size), dst.index(), src.index(), imm);
    }

    /// Like [`rounds_rr`](Self::rounds_rr), from memory.
    #[inline]
    pub fn rounds_rm(&mut self, size: FloatSize, rounding: Rounding, dst: Xmm, src: Mem) {
        let imm = Imm::byte(rounding as u8 | NO_INEXACT);
        self.rm_imm(rounds_op(size), dst.index(), src, imm);
    }

    /// `dst` = the sign bits of the four (`F32`) or two (`F64`) lanes of `src`.
    #[inline]
    pub fn movmskp(&mut self, size: FloatSize, dst: Gpr, src: Xmm) {
        let op = Op::of_0f(0x50).prefix(size.packed());
        self.rr(op, dst.index(), src.index());
    }
}

/// An SSE opcode with a general-purpose operand of 32 or 64 bits.
#[inline]
fn gpr_op(opcode: u8, prefix: u8, size: Size) -> Op {
    Op::of_0f(opcode).prefix(prefix).long(size)
}

#[inline]
fn rounds_op(size: FloatSize) -> Op {
    Op::of_0f3a(0x0A | size as u8).prefix(0x66)
}
