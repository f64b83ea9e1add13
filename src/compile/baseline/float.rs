//! Float operators: arithmetic, sign manipulation, rounding, comparison.
//!
//! NaNs: what the hardware makes of them is within what wasm allows, except for `min` and `max`
//! and for comparisons, where the hardware reports them in the parity flag.

use super::Compiler;
use super::registers::{Operand, float_size_of, size_of};
use crate::asm::vector::*;
use crate::asm::{Alu, Cond, FloatSize, Rounding, VectorOp, Xmm};
use crate::compile::abi::{FLOAT_SCRATCH, SCRATCH};
use crate::module::ValType;

/// Operators with two float operands and a float result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FloatOp {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
}

impl FloatOp {
    pub fn instruction(self, size: FloatSize) -> VectorOp {
        let [single, double] = match self {
            FloatOp::Add => [ADDSS, ADDSD],
            FloatOp::Sub => [SUBSS, SUBSD],
            FloatOp::Mul => [MULSS, MULSD],
            FloatOp::Div => [DIVSS, DIVSD],
            FloatOp::Min => [MINSS, MINSD],
            FloatOp::Max => [MAXSS, MAXSD],
        };
        match size {
            FloatSize::F32 => single,
            FloatSize::F64 => double,
        }
    }
}

/// Comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FloatCompare {
    Eq,
    Ne,
    Lt,
    Gt,
    Le,
    Ge,
}

/// Pushing results.
impl Compiler {
    /// Pushes what an operator left in this register: a temporary, or where the next operator
    /// wants it.
    #[inline]
    pub(super) fn push_xmm(&mut self, ty: ValType, register: Xmm) {
        if self.registers.xmms.contains(register) {
            debug_assert!(!self.registers.free_xmms.contains(register));
            self.push(ty, Operand::Xmm(register));
        } else {
            self.push_hinted(ty);
        }
    }

    /// Releases the operands and pushes the result.
    #[inline]
    pub(super) fn finish_float(&mut self, ty: ValType, dst: Xmm, left: Operand, right: Operand) {
        for operand in [left, right] {
            if operand != Operand::Xmm(dst) {
                self.release(operand);
            }
        }
        self.push_xmm(ty, dst);
    }
}

/// Arithmetic.
impl Compiler {
    pub(super) fn float_binary(&mut self, op: FloatOp, ty: ValType) {
        let mut right = self.pop();
        let mut left = self.pop();
        let commutes = matches!(op, FloatOp::Add | FloatOp::Mul);
        let swaps =
            self.is_hinted_home(right) || self.is_temporary(right) && !self.is_hinted_home(left);
        if commutes && swaps {
            (left, right) = (right, left);
        }
        let dst = self.xmm_for_result(left, right);
        let first = match left {
            Operand::Xmm(left) if self.options.cpu.avx => left,
            _ => {
                self.load_xmm(ty, dst, left);
                dst
            }
        };
        self.emit_float(op, ty, dst, first, right);
        self.finish_float(ty, dst, left, right);
    }

    /// `dst = left op right`. Without AVX, `left` must be `dst`.
    fn emit_float(&mut self, op: FloatOp, ty: ValType, dst: Xmm, left: Xmm, right: Operand) {
        let op = op.instruction(float_size_of(ty));
        if let Some(right) = self.in_memory(right) {
            return self.asm.vector(op, dst, left, right);
        }
        let right = self.xmm_or_scratch(ty, right);
        self.asm.vector(op, dst, left, right);
    }

    /// `min` and `max`. The hardware's give the right operand where wasm wants a NaN or minds the
    /// sign of a zero.
    pub(super) fn float_extreme(&mut self, op: FloatOp, ty: ValType) {
        let size = float_size_of(ty);
        let right = self.pop();
        let left = self.pop();
        let dst = self.xmm_for_result(left, right);
        self.load_xmm(ty, dst, left);
        let other = self.xmm_or_scratch(ty, right);
        let [differ, unordered, done] = [(); 3].map(|()| self.asm.new_label());
        self.asm.ucomis_rr(size, dst, other);
        self.asm.jcc_short(Cond::Ne, differ);
        self.asm.jcc_short(Cond::P, unordered);
        // Equal, so the same bits but for the sign of zeros.
        match op {
            FloatOp::Min => self.asm.orps_rr(dst, other),
            _ => self.asm.andps_rr(dst, other),
        }
        self.asm.jmp_short(done);
        // A sum with a NaN is a quiet NaN.
        self.asm.bind(unordered);
        self.emit_float(FloatOp::Add, ty, dst, dst, Operand::Xmm(other));
        self.asm.jmp_short(done);
        self.asm.bind(differ);
        self.emit_float(op, ty, dst, dst, Operand::Xmm(other));
        self.bind_inside(done);
        self.finish_float(ty, dst, left, right);
    }

    pub(super) fn float_sqrt(&mut self, ty: ValType) {
        let size = float_size_of(ty);
        let operand = self.pop();
        let dst = self.xmm_for_result(operand, Operand::Const(0));
        let source = self.xmm_or_scratch(ty, operand);
        self.asm.sqrts_rr(size, dst, source);
        self.finish_float(ty, dst, operand, Operand::Const(0));
    }

    pub(super) fn float_round(&mut self, rounding: Rounding, ty: ValType) {
        let size = float_size_of(ty);
        let operand = self.pop();
        let dst = self.xmm_for_result(operand, Operand::Const(0));
        let source = self.xmm_or_scratch(ty, operand);
        self.asm.rounds_rr(size, rounding, dst, source);
        self.finish_float(ty, dst, operand, Operand::Const(0));
    }
}

/// Signs.
impl Compiler {
    pub(super) fn float_neg(&mut self, ty: ValType) {
        let operand = self.pop();
        let dst = self.xmm_for_result(operand, Operand::Const(0));
        self.load_xmm(ty, dst, operand);
        self.load_sign_mask(ty, false);
        self.asm.xorps_rr(dst, FLOAT_SCRATCH);
        self.finish_float(ty, dst, operand, Operand::Const(0));
    }

    pub(super) fn float_abs(&mut self, ty: ValType) {
        let operand = self.pop();
        let dst = self.xmm_for_result(operand, Operand::Const(0));
        self.load_xmm(ty, dst, operand);
        self.load_sign_mask(ty, true);
        self.asm.andps_rr(dst, FLOAT_SCRATCH);
        self.finish_float(ty, dst, operand, Operand::Const(0));
    }

    pub(super) fn float_copysign(&mut self, ty: ValType) {
        let right = self.pop();
        let left = self.pop();
        let dst = self.take_xmm();
        self.load_xmm(ty, dst, left);
        let sign = self.take_xmm();
        self.load_xmm(ty, sign, right);
        self.load_sign_mask(ty, false);
        self.asm.andps_rr(sign, FLOAT_SCRATCH);
        self.asm.andnps_rr(FLOAT_SCRATCH, dst);
        self.asm.movaps_rr(dst, FLOAT_SCRATCH);
        self.asm.orps_rr(dst, sign);
        self.release(Operand::Xmm(sign));
        self.finish_float(ty, dst, left, right);
    }

    /// The scratch register: a mask of the sign bit, or of all other bits.
    fn load_sign_mask(&mut self, ty: ValType, inverted: bool) {
        let sign = match ty {
            ValType::F32 => i64::from(i32::MIN),
            _ => i64::MIN,
        };
        let mask = if inverted { !sign } else { sign };
        self.asm.mov_ri(size_of(ty), SCRATCH, mask);
        self.asm.movd_xr(size_of(ty), FLOAT_SCRATCH, SCRATCH);
    }
}

/// Comparison.
impl Compiler {
    /// A NaN sets the same flags as "below or equal", so orders are asked as "above": true only
    /// if there is an order.
    pub(super) fn float_compare(&mut self, compare: FloatCompare, ty: ValType) {
        let right = self.pop();
        let left = self.pop();
        match compare {
            FloatCompare::Gt => self.float_order(ty, left, right, Cond::A),
            FloatCompare::Ge => self.float_order(ty, left, right, Cond::Ae),
            FloatCompare::Lt => self.float_order(ty, right, left, Cond::A),
            FloatCompare::Le => self.float_order(ty, right, left, Cond::Ae),
            FloatCompare::Eq => self.float_equal(ty, left, right, Cond::Np, Cond::E, Alu::And),
            FloatCompare::Ne => self.float_equal(ty, left, right, Cond::P, Cond::Ne, Alu::Or),
        }
    }

    fn float_order(&mut self, ty: ValType, left: Operand, right: Operand, cond: Cond) {
        self.emit_float_compare(ty, left, right);
        self.release(left);
        self.release(right);
        self.push_condition(cond);
    }

    /// Equality takes two flags: whether there is an order, and whether it is equality.
    fn float_equal(
        &mut self,
        ty: ValType,
        left: Operand,
        right: Operand,
        ordered: Cond,
        equal: Cond,
        both: Alu,
    ) {
        self.emit_float_compare(ty, left, right);
        self.release(left);
        self.release(right);
        let other = self.take_gpr();
        self.asm.setcc(ordered, other);
        self.asm.setcc(equal, SCRATCH);
        self.asm.alu8_rr(both, other, SCRATCH);
        self.release(Operand::Gpr(other));
        self.push_condition(Cond::Ne);
    }

    fn emit_float_compare(&mut self, ty: ValType, left: Operand, right: Operand) {
        let size = float_size_of(ty);
        // One operand may be in the scratch register: the left one, as the right may be memory.
        // A constant on the right takes a register.
        match right {
            Operand::Slot(_) | Operand::Memory => {
                let left = self.xmm_or_scratch(ty, left);
                if let Some(right) = self.in_memory(right) {
                    self.asm.ucomis_rm(size, left, right);
                }
            }
            Operand::Const(_) => {
                let spare = self.take_xmm();
                self.load_xmm(ty, spare, right);
                let left = self.xmm_or_scratch(ty, left);
                self.asm.ucomis_rr(size, left, spare);
                self.release(Operand::Xmm(spare));
            }
            _ => {
                let left = self.xmm_or_scratch(ty, left);
                let right = self.xmm_or_scratch(ty, right);
                self.asm.ucomis_rr(size, left, right);
            }
        }
    }
}
