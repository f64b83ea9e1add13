//! Arithmetic of float lanes, beyond what is one instruction with two operands.

use super::super::Compiler;
use super::super::registers::Operand;
use super::Predicate;
use crate::asm::vector::{ORPS, XORPS};
use crate::asm::{Rounding, VectorOp, VectorShift};
use crate::compile::abi::FLOAT_SCRATCH;

/// The bit that keeps the inexact exception from being signalled.
const NO_INEXACT: u8 = 8;

impl Compiler {
    pub(super) fn vector_round(&mut self, op: VectorOp, rounding: Rounding) {
        self.vector_unary(op, Some(rounding as u8 | NO_INEXACT));
    }

    /// `min` and `max`. The hardware's give the right operand if either is NaN or both are zeros, so
    /// both orders are tried: what they disagree on are zeros, which bits decide, and NaNs, for which
    /// a canonical one is put.
    pub(super) fn vector_extreme(
        &mut self,
        op: VectorOp,
        zeros: VectorOp,
        compare: VectorOp,
        shift: VectorShift,
        count: u8,
    ) {
        let right = self.pop_vector();
        let left = self.pop_vector();
        let nan = self.take_xmm();
        self.v_imm(compare, nan, left, right, Predicate::Unordered as u8);
        self.v(op, FLOAT_SCRATCH, right, left);
        let dst = self.vector_result(Operand::Xmm(left), Operand::Xmm(right));
        self.v(op, dst, left, right);
        self.v(zeros, dst, dst, FLOAT_SCRATCH);
        // All ones, and of these the bits below the highest one of the fraction are cleared.
        self.v(ORPS, dst, dst, nan);
        self.v_shift(shift, nan, nan, count);
        self.v(XORPS, dst, dst, nan);
        self.release_vector(nan);
        self.finish_registers(dst, left, right);
    }
}
