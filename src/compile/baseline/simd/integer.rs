//! Arithmetic of integer lanes that the hardware has no instruction for.

use super::super::Compiler;
use super::super::registers::Operand;
use super::compare::UPPER_HALVES;
use super::operands::NONE;
use crate::asm::vector::*;
use crate::compile::abi::FLOAT_SCRATCH;

impl Compiler {
    /// Flips all bits of what is negative and subtracts -1.
    pub(super) fn abs_64(&mut self) {
        let operand = self.pop_vector();
        self.asm.vector_unary_imm(PSHUFD, FLOAT_SCRATCH, operand, UPPER_HALVES);
        self.v_shift(PSRAD_IMM, FLOAT_SCRATCH, FLOAT_SCRATCH, 31);
        let dst = self.vector_result(Operand::Xmm(operand), NONE);
        self.v(PXOR, dst, operand, FLOAT_SCRATCH);
        self.v(PSUBQ, dst, dst, FLOAT_SCRATCH);
        self.finish_vector(dst, Operand::Xmm(operand), NONE);
    }

    /// The product of the lower halves, and above it the two mixed products.
    pub(super) fn multiply_64(&mut self) {
        let right = self.pop_vector();
        let left = self.pop_vector();
        let upper = self.take_xmm();
        self.v_shift(PSRLQ_IMM, upper, left, 32);
        self.v(PMULUDQ, upper, upper, right);
        self.v_shift(PSRLQ_IMM, FLOAT_SCRATCH, right, 32);
        self.v(PMULUDQ, FLOAT_SCRATCH, FLOAT_SCRATCH, left);
        self.v(PADDQ, upper, upper, FLOAT_SCRATCH);
        self.v_shift(PSLLQ_IMM, upper, upper, 32);
        let dst = self.vector_result(Operand::Xmm(left), Operand::Xmm(right));
        self.v(PMULUDQ, dst, left, right);
        self.v(PADDQ, dst, dst, upper);
        self.release_vector(upper);
        self.finish_registers(dst, left, right);
    }

    /// Looks the nibbles up in a table.
    pub(super) fn popcount_8(&mut self) {
        const NIBBLES: u64 = 0x0F0F_0F0F_0F0F_0F0F;
        let table = u128::from_le_bytes([0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4]);
        let table = Operand::Const(self.constant(table));
        let operand = self.pop_vector();
        let low = self.take_xmm();
        let high = self.take_xmm();
        let nibbles = self.both_halves(NIBBLES);
        self.v(PAND, FLOAT_SCRATCH, operand, nibbles);
        self.load_vector(low, table);
        self.v(PSHUFB, low, low, FLOAT_SCRATCH);
        self.v_shift(PSRLW_IMM, FLOAT_SCRATCH, operand, 4);
        self.v(PAND, FLOAT_SCRATCH, FLOAT_SCRATCH, nibbles);
        self.load_vector(high, table);
        self.v(PSHUFB, high, high, FLOAT_SCRATCH);
        let dst = self.vector_result(Operand::Xmm(low), Operand::Xmm(high));
        self.v(PADDB, dst, low, high);
        self.release_vector(operand);
        self.finish_registers(dst, low, high);
    }

    /// The one product that does not fit, of -1 with itself, comes out as -1.
    pub(super) fn q15_multiply(&mut self) {
        const MINUS_ONE: u64 = 0x8000_8000_8000_8000;
        let right = self.pop_operand();
        let left = self.pop_operand();
        let dst = self.vector_result(left, right);
        let a = self.left_vector(dst, left);
        let b = self.vector_rm(right);
        self.v(PMULHRSW, dst, a, b);
        let minus_one = self.both_halves(MINUS_ONE);
        self.v(PCMPEQW, FLOAT_SCRATCH, dst, minus_one);
        self.v(PXOR, dst, dst, FLOAT_SCRATCH);
        self.finish_vector(dst, left, right);
    }
}
