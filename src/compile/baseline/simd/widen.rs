//! Integers of one width made of narrower ones: extended lanes, products and sums of pairs.

use super::super::Compiler;
use super::super::registers::{Operand, slot};
use super::operands::NONE;
use super::{Half, ONES_8, ONES_16};
use crate::asm::vector::*;
use crate::asm::{VectorOp, VectorRm, Xmm};
use crate::compile::abi::FLOAT_SCRATCH;

/// `pshufd`: the upper half of the vector, where the lower one was.
const UPPER_HALF: u8 = 0b11_10_11_10;

impl Compiler {
    pub(super) fn extend_half(&mut self, op: VectorOp, half: Half) {
        let operand = self.pop_operand();
        let dst = self.vector_result(operand, NONE);
        match operand {
            // These instructions read half a vector, from anywhere.
            Operand::Slot(offset) => {
                let offset = offset + if half == Half::High { 8 } else { 0 };
                let source = VectorRm::Mem(slot(offset));
                self.asm.vector_unary(op, dst, source);
            }
            _ => {
                let source = self.left_vector(dst, operand);
                self.extend_lanes(op, half, dst, source);
            }
        }
        self.finish_vector(dst, operand, NONE);
    }

    fn extend_lanes(&mut self, op: VectorOp, half: Half, dst: Xmm, source: Xmm) {
        match half {
            Half::Low => self.asm.vector_unary(op, dst, source),
            Half::High => {
                self.asm.vector_unary_imm(PSHUFD, dst, source, UPPER_HALF);
                self.asm.vector_unary(op, dst, dst);
            }
        }
    }

    pub(super) fn extended_product_16(&mut self, extend: VectorOp, half: Half) {
        let right = self.pop_vector();
        let left = self.pop_vector();
        self.extend_lanes(extend, half, FLOAT_SCRATCH, right);
        let dst = self.vector_result(Operand::Xmm(left), Operand::Xmm(right));
        self.extend_lanes(extend, half, dst, left);
        self.v(PMULLW, dst, dst, FLOAT_SCRATCH);
        self.finish_registers(dst, left, right);
    }

    /// The lower and the upper halves of the products, put together.
    pub(super) fn extended_product_32(&mut self, upper: VectorOp, merge: VectorOp) {
        let right = self.pop_vector();
        let left = self.pop_vector();
        self.v(upper, FLOAT_SCRATCH, left, right);
        let dst = self.vector_result(Operand::Xmm(left), Operand::Xmm(right));
        self.v(PMULLW, dst, left, right);
        self.v(merge, dst, dst, FLOAT_SCRATCH);
        self.finish_registers(dst, left, right);
    }

    /// The instruction multiplies the lower halves of 64-bit lanes.
    pub(super) fn extended_product_64(&mut self, multiply: VectorOp, half: Half) {
        let order = if half == Half::Low { 0b01_01_00_00 } else { 0b11_11_10_10 };
        let right = self.pop_vector();
        let left = self.pop_vector();
        self.asm.vector_unary_imm(PSHUFD, FLOAT_SCRATCH, right, order);
        let dst = self.vector_result(Operand::Xmm(left), Operand::Xmm(right));
        self.asm.vector_unary_imm(PSHUFD, dst, left, order);
        self.v(multiply, dst, dst, FLOAT_SCRATCH);
        self.finish_registers(dst, left, right);
    }

    /// The instruction multiplies unsigned bytes, the ones, by signed ones and adds pairs.
    pub(super) fn pairwise_sum_8_signed(&mut self) {
        let operand = self.pop_operand();
        let dst = self.vector_result(NONE, operand);
        let ones = self.constant(u128::from(ONES_8) << 64 | u128::from(ONES_8));
        self.load_vector(dst, Operand::Const(ones));
        let b = self.vector_rm(operand);
        self.v(PMADDUBSW, dst, dst, b);
        self.finish_vector(dst, NONE, operand);
    }

    /// Lowers the lanes to signed ones and raises the sums again.
    pub(super) fn pairwise_sum_16_unsigned(&mut self) {
        const LOWEST: u64 = 0x8000_8000_8000_8000;
        const TWICE: u64 = 0x0001_0000_0001_0000;
        let operand = self.pop_operand();
        let dst = self.vector_result(operand, NONE);
        let a = self.left_vector(dst, operand);
        let lowest = self.both_halves(LOWEST);
        self.v(PXOR, dst, a, lowest);
        let ones = self.both_halves(ONES_16);
        self.v(PMADDWD, dst, dst, ones);
        let twice = self.both_halves(TWICE);
        self.v(PADDD, dst, dst, twice);
        self.finish_vector(dst, operand, NONE);
    }
}
