//! Comparisons of lanes, and questions about all lanes at once.
//!
//! The hardware has "equal" and "greater" of signed integers. Unsigned orders and those that include
//! equality are made of minima and maxima: the greater of two is one of them if that one is not less.

use super::super::Compiler;
use super::super::registers::Operand;
use super::Predicate;
use super::lanes::Lanes;
use crate::asm::vector::*;
use crate::asm::{Cond, FloatSize, Size, VectorOp, Xmm};
use crate::compile::abi::FLOAT_SCRATCH;
use crate::module::ValType;

impl Compiler {
    /// Inverts every bit.
    fn invert(&mut self, vector: Xmm) {
        let ones = self.ones_scratch();
        self.v(PXOR, vector, vector, ones);
    }

    pub(super) fn lanes_differ(&mut self, equal: VectorOp) {
        let right = self.pop_operand();
        let left = self.pop_operand();
        let dst = self.vector_result(left, right);
        let a = self.left_vector(dst, left);
        let b = self.vector_rm(right);
        self.v(equal, dst, a, b);
        self.invert(dst);
        self.finish_vector(dst, left, right);
    }

    /// Where the left operand is the extreme of both; or where it is not.
    pub(super) fn compare_with_extreme(
        &mut self,
        extreme: VectorOp,
        equal: VectorOp,
        inverted: bool,
    ) {
        let right = self.pop_vector();
        let left = self.pop_vector();
        let dst = self.vector_result(Operand::Xmm(left), Operand::Xmm(right));
        let found = if dst == left { FLOAT_SCRATCH } else { dst };
        self.v(extreme, found, left, right);
        let other = if dst == left { found } else { left };
        self.v(equal, dst, dst, other);
        if inverted {
            self.invert(dst);
        }
        self.finish_registers(dst, left, right);
    }

    pub(super) fn greater_64(&mut self, swapped: bool, inverted: bool) {
        let mut right = self.pop_vector();
        let mut left = self.pop_vector();
        if swapped {
            (left, right) = (right, left);
        }
        let dst = if self.asm.avx {
            let dst = self.vector_result(Operand::Xmm(left), Operand::Xmm(right));
            self.v(PCMPGTQ, dst, left, right);
            dst
        } else {
            // The upper halves decide, as signed; if they are equal, whether subtracting the lower
            // ones borrows, which fills the upper half of the difference.
            let greater = self.take_xmm();
            self.v(PSUBQ, greater, right, left);
            self.v(PCMPEQD, FLOAT_SCRATCH, right, left);
            self.v(PAND, greater, greater, FLOAT_SCRATCH);
            self.v(PCMPGTD, FLOAT_SCRATCH, left, right);
            self.v(POR, greater, greater, FLOAT_SCRATCH);
            let dst = self.vector_result(Operand::Xmm(left), Operand::Xmm(right));
            self.asm.vector_unary_imm(PSHUFD, dst, greater, UPPER_HALVES);
            self.release_vector(greater);
            dst
        };
        if inverted {
            self.invert(dst);
        }
        self.finish_registers(dst, left, right);
    }

    pub(super) fn compare_floats(&mut self, op: VectorOp, predicate: Predicate) {
        let mut right = self.pop_operand();
        let mut left = self.pop_operand();
        let predicate = match predicate {
            Predicate::Greater | Predicate::GreaterOrEqual => {
                (left, right) = (right, left);
                if predicate == Predicate::Greater {
                    Predicate::Less
                } else {
                    Predicate::LessOrEqual
                }
            }
            _ => predicate,
        };
        let dst = self.vector_result(left, right);
        let a = self.left_vector(dst, left);
        let b = self.vector_rm(right);
        self.v_imm(op, dst, a, b, predicate as u8);
        self.finish_vector(dst, left, right);
    }

    /// Whether no lane is zero.
    pub(super) fn all_true(&mut self, equal: VectorOp) {
        let operand = self.pop_vector();
        let zeros = self.zero_scratch();
        self.v(equal, zeros, zeros, operand);
        self.asm.vector_unary(PTEST, zeros, zeros);
        self.release_vector(operand);
        self.push_condition(Cond::E);
    }

    /// Whether any bit is set.
    pub(super) fn any_true(&mut self) {
        let operand = self.pop_vector();
        self.asm.vector_unary(PTEST, operand, operand);
        self.release_vector(operand);
        self.push_condition(Cond::Ne);
    }

    /// The sign bits of the lanes.
    pub(super) fn bitmask(&mut self, lanes: Lanes) {
        let operand = self.pop_vector();
        let dst = self.gpr_for_any_result();
        match lanes {
            Lanes::I8 => self.asm.pmovmskb(dst, operand),
            Lanes::I16 => {
                // Narrowing keeps signs.
                self.v(PACKSSWB, FLOAT_SCRATCH, operand, operand);
                self.asm.pmovmskb(dst, FLOAT_SCRATCH);
                self.asm.movzx_rr(dst, dst, Size::S8);
            }
            Lanes::I32 | Lanes::F32 => self.asm.movmskp(FloatSize::F32, dst, operand),
            Lanes::I64 | Lanes::F64 => self.asm.movmskp(FloatSize::F64, dst, operand),
        }
        self.release_vector(operand);
        self.push_gpr(ValType::I32, dst);
    }
}

/// `pshufd`: the upper half of each 64-bit lane, twice.
pub(super) const UPPER_HALVES: u8 = 0b11_11_01_01;
