//! Conversions between lanes of integers and of floats.
//!
//! The hardware converts signed integers of 32 bits, and answers what does not fit with the lowest
//! one. Everything else is made of that.

use super::super::Compiler;
use super::super::registers::Operand;
use super::operands::NONE;
use super::{Predicate, VectorOp};
use crate::asm::Xmm;
use crate::asm::vector::*;
use crate::compile::abi::FLOAT_SCRATCH;

/// 2^31 as f32, twice.
const TWO_31_F32: u64 = 0x4F00_0000_4F00_0000;
/// 2^16 as f32, twice.
const TWO_16_F32: u64 = 0x4780_0000_4780_0000;
/// 2^52: the lowest bits of a f64 from there on are an integer.
const TWO_52_F64: u64 = 0x4330_0000_0000_0000;

impl Compiler {
    /// Loads a constant with these bits in both halves.
    fn load_constant(&mut self, register: Xmm, bits: u64) {
        let number = self.constant(u128::from(bits) << 64 | u128::from(bits));
        self.load_vector(register, Operand::Const(number));
    }

    /// NaNs become zero, which the hardware would not; what is too large is inverted, from the lowest
    /// to the highest integer.
    pub(super) fn truncate_f32_signed(&mut self) {
        let operand = self.pop_vector();
        let number = self.take_xmm();
        self.v_imm(CMPPS, FLOAT_SCRATCH, operand, operand, Predicate::Equal as u8);
        self.v(ANDPS, number, operand, FLOAT_SCRATCH);
        self.load_constant(FLOAT_SCRATCH, TWO_31_F32);
        self.v_imm(CMPPS, FLOAT_SCRATCH, FLOAT_SCRATCH, number, Predicate::LessOrEqual as u8);
        let dst = self.vector_result(Operand::Xmm(operand), NONE);
        self.asm.vector_unary(CVTTPS2DQ, dst, number);
        self.v(PXOR, dst, dst, FLOAT_SCRATCH);
        self.release_vector(number);
        self.finish_vector(dst, Operand::Xmm(operand), NONE);
    }

    /// What lies above 2^31 is converted apart and added: up to there it is nothing, and the lower
    /// part comes out as 2^31 from there on.
    pub(super) fn truncate_f32_unsigned(&mut self) {
        let operand = self.pop_vector();
        let above = self.take_xmm();
        let dst = self.vector_result(Operand::Xmm(operand), NONE);
        // The right operand if either is NaN.
        let zero = self.zero_scratch();
        self.v(MAXPS, dst, operand, zero);
        let two_31 = self.both_halves(TWO_31_F32);
        self.v(SUBPS, above, dst, two_31);
        self.load_constant(FLOAT_SCRATCH, TWO_31_F32);
        self.v_imm(CMPPS, FLOAT_SCRATCH, FLOAT_SCRATCH, above, Predicate::LessOrEqual as u8);
        self.asm.vector_unary(CVTTPS2DQ, above, above);
        self.v(PXOR, above, above, FLOAT_SCRATCH);
        let zero = self.zero_scratch();
        self.v(PMAXSD, above, above, zero);
        self.asm.vector_unary(CVTTPS2DQ, dst, dst);
        self.v(PADDD, dst, dst, above);
        self.release_vector(above);
        self.finish_vector(dst, Operand::Xmm(operand), NONE);
    }

    /// The upper bound is zero for NaNs, which the minimum takes where either is NaN.
    pub(super) fn truncate_f64_signed(&mut self) {
        let highest = f64::from(i32::MAX).to_bits();
        let operand = self.pop_vector();
        self.v_imm(CMPPD, FLOAT_SCRATCH, operand, operand, Predicate::Equal as u8);
        let highest = self.both_halves(highest);
        self.v(ANDPS, FLOAT_SCRATCH, FLOAT_SCRATCH, highest);
        let dst = self.vector_result(Operand::Xmm(operand), NONE);
        self.v(MINPD, dst, operand, FLOAT_SCRATCH);
        self.asm.vector_unary(CVTTPD2DQ, dst, dst);
        self.finish_vector(dst, Operand::Xmm(operand), NONE);
    }

    /// Clamped and rounded; then the integer is in the lower half of 2^52 more.
    pub(super) fn truncate_f64_unsigned(&mut self) {
        const TOWARDS_ZERO: u8 = 11;
        const LOWER_HALVES: u8 = 0b10_00_10_00;
        let highest = f64::from(u32::MAX).to_bits();
        let operand = self.pop_vector();
        let dst = self.vector_result(Operand::Xmm(operand), NONE);
        let zero = self.zero_scratch();
        self.v(MAXPD, dst, operand, zero);
        let highest = self.both_halves(highest);
        self.v(MINPD, dst, dst, highest);
        self.asm.vector_unary_imm(ROUNDPD, dst, dst, TOWARDS_ZERO);
        let two_52 = self.both_halves(TWO_52_F64);
        self.v(ADDPD, dst, dst, two_52);
        self.v_imm(SHUFPS, dst, dst, zero, LOWER_HALVES);
        self.finish_vector(dst, Operand::Xmm(operand), NONE);
    }

    /// By halves of 16 bits: only their sum is rounded.
    pub(super) fn convert_u32_to_f32(&mut self) {
        const LOWER: u64 = 0x0000_FFFF_0000_FFFF;
        let operand = self.pop_vector();
        let lower = self.both_halves(LOWER);
        self.v(PAND, FLOAT_SCRATCH, operand, lower);
        self.asm.vector_unary(CVTDQ2PS, FLOAT_SCRATCH, FLOAT_SCRATCH);
        let dst = self.vector_result(Operand::Xmm(operand), NONE);
        self.v_shift(PSRLD_IMM, dst, operand, 16);
        self.asm.vector_unary(CVTDQ2PS, dst, dst);
        let two_16 = self.both_halves(TWO_16_F32);
        self.v(MULPS, dst, dst, two_16);
        self.v(ADDPS, dst, dst, FLOAT_SCRATCH);
        self.finish_vector(dst, Operand::Xmm(operand), NONE);
    }

    /// The integers as the lower halves of 2^52 more.
    pub(super) fn convert_u32_to_f64(&mut self) {
        const UPPER: u64 = (TWO_52_F64 >> 32) | TWO_52_F64;
        self.merge_and(UNPCKLPS, UPPER, SUBPD, TWO_52_F64);
    }

    /// Two instructions, each with a constant on the right.
    fn merge_and(&mut self, first: VectorOp, with: u64, second: VectorOp, and: u64) {
        let operand = self.pop_operand();
        let dst = self.vector_result(operand, NONE);
        let a = self.left_vector(dst, operand);
        let with = self.both_halves(with);
        self.v(first, dst, a, with);
        let and = self.both_halves(and);
        self.v(second, dst, dst, and);
        self.finish_vector(dst, operand, NONE);
    }
}
