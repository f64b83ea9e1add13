//! Operands of vector instructions: where they come from, and what SSE's two operands take.
//!
//! SSE overwrites its left operand and wants whole vectors in memory aligned, which slots and the
//! guest's memory are not; AVX asks for neither.

use super::super::Compiler;
use super::super::registers::{Operand, slot};
use crate::asm::vector::PCMPEQD;
use crate::asm::{Gpr, Mem, VectorOp, VectorRm, VectorShift, Xmm};
use crate::compile::abi::FLOAT_SCRATCH;
use crate::module::ValType;

/// No second operand.
pub(super) const NONE: Operand = Operand::Const(0);

/// What the rest of this tier inlines, once for all vector operators: they are many, and the program
/// would be 24 KB larger.
impl Compiler {
    #[inline(never)]
    pub(super) fn pop_operand(&mut self) -> Operand {
        self.pop()
    }

    /// [`xmm_for_result`](Compiler::xmm_for_result)
    #[inline(never)]
    pub(super) fn vector_result(&mut self, left: Operand, right: Operand) -> Xmm {
        self.xmm_for_result(left, right)
    }

    #[inline(never)]
    pub(super) fn release_vector(&mut self, register: Xmm) {
        self.release(Operand::Xmm(register));
    }

    /// Releases the operands and pushes the result.
    #[inline(never)]
    pub(super) fn finish_vector(&mut self, dst: Xmm, left: Operand, right: Operand) {
        self.finish_float(ValType::V128, dst, left, right);
    }

    /// The same for operands in registers.
    pub(super) fn finish_registers(&mut self, dst: Xmm, left: Xmm, right: Xmm) {
        self.finish_vector(dst, Operand::Xmm(left), Operand::Xmm(right));
    }
}

/// Moving.
impl Compiler {
    /// Loads a vector. Keeps the flags, like all moves.
    #[inline(never)]
    pub(in super::super) fn load_vector(&mut self, dst: Xmm, src: Operand) {
        match src {
            Operand::Xmm(src) if src == dst => {}
            Operand::Xmm(src) => self.asm.movaps_rr(dst, src),
            Operand::Slot(offset) => self.asm.movups_rm(dst, slot(offset)),
            Operand::Const(0) => self.asm.xorps_rr(dst, dst),
            Operand::Const(number) => match self.constant_place(number) {
                Some(place) => self.asm.movaps_label(dst, place),
                None => self.asm.vector(PCMPEQD, dst, dst, dst),
            },
            Operand::Gpr(_) | Operand::Flags(_) | Operand::Memory => {
                debug_assert!(false, "what is no vector in a vector's place");
            }
        }
    }

    #[inline(never)]
    pub(in super::super) fn store_vector(&mut self, dst: Mem, src: Operand) {
        let src = self.xmm_or_scratch(ValType::V128, src);
        self.asm.movups_mr(dst, src);
    }

    /// The operand as the right one of an instruction: in the scratch register if it is nowhere
    /// else that an instruction takes it from.
    #[inline(never)]
    pub(in super::super) fn vector_rm(&mut self, operand: Operand) -> VectorRm {
        match operand {
            Operand::Slot(offset) if self.asm.avx => return VectorRm::Mem(slot(offset)),
            Operand::Const(number) => {
                if let Some(place) = self.constant_place(number) {
                    return VectorRm::Label(place);
                }
            }
            _ => {}
        }
        VectorRm::Xmm(self.xmm_or_scratch(ValType::V128, operand))
    }

    /// The operand as the left one, in its own register or in that of the result.
    pub(super) fn left_vector(&mut self, dst: Xmm, operand: Operand) -> Xmm {
        match operand {
            Operand::Xmm(register) => register,
            _ => {
                self.load_vector(dst, operand);
                dst
            }
        }
    }

    /// Pops an operand into a register, which is a temporary if it was in none.
    #[inline(never)]
    pub(super) fn pop_vector(&mut self) -> Xmm {
        let operand = self.pop_operand();
        self.vector_in_register(operand)
    }

    #[inline(never)]
    pub(super) fn vector_in_register(&mut self, operand: Operand) -> Xmm {
        match operand {
            Operand::Xmm(register) => register,
            _ => {
                let register = self.take_xmm();
                self.load_vector(register, operand);
                register
            }
        }
    }

    /// Pushes a constant.
    pub(super) fn push_vector_const(&mut self, value: u128) {
        let number = self.constant(value);
        self.push_const(ValType::V128, number);
    }

    /// The scratch register: zero.
    #[inline(never)]
    pub(super) fn zero_scratch(&mut self) -> Xmm {
        self.asm.xorps_rr(FLOAT_SCRATCH, FLOAT_SCRATCH);
        FLOAT_SCRATCH
    }

    /// The scratch register: all ones.
    #[inline(never)]
    pub(super) fn ones_scratch(&mut self) -> Xmm {
        self.asm.vector(PCMPEQD, FLOAT_SCRATCH, FLOAT_SCRATCH, FLOAT_SCRATCH);
        FLOAT_SCRATCH
    }
}

/// Instructions with a destination of their own, which SSE makes of two. There, `dst` may not be
/// the right operand unless it is the left one too.
impl Compiler {
    pub(super) fn v(&mut self, op: VectorOp, dst: Xmm, left: Xmm, right: impl Into<VectorRm>) {
        self.v_rm(op, dst, left, right.into());
    }

    #[inline(never)]
    fn v_rm(&mut self, op: VectorOp, dst: Xmm, left: Xmm, right: VectorRm) {
        let left = self.left_in_place(dst, left, right);
        self.asm.vector(op, dst, left, right);
    }

    pub(super) fn v_imm(
        &mut self,
        op: VectorOp,
        dst: Xmm,
        left: Xmm,
        right: impl Into<VectorRm>,
        imm: u8,
    ) {
        self.v_rm_imm(op, dst, left, right.into(), imm);
    }

    #[inline(never)]
    fn v_rm_imm(&mut self, op: VectorOp, dst: Xmm, left: Xmm, right: VectorRm, imm: u8) {
        let right = self.without_label(right);
        let left = self.left_in_place(dst, left, right);
        self.asm.vector_imm(op, dst, left, right, imm);
    }

    #[inline(never)]
    pub(super) fn v_insert(&mut self, op: VectorOp, dst: Xmm, left: Xmm, src: Gpr, lane: u8) {
        let left = self.left_in_place(dst, left, VectorRm::Xmm(left));
        self.asm.vector_insert(op, dst, left, src, lane);
    }

    #[inline(never)]
    pub(super) fn v_shift(&mut self, shift: VectorShift, dst: Xmm, src: Xmm, count: u8) {
        let src = self.left_in_place(dst, src, VectorRm::Xmm(src));
        self.asm.vector_shift(shift, dst, src, count);
    }

    /// `dst = op src`
    #[inline(never)]
    pub(super) fn v_unary(&mut self, op: VectorOp, dst: Xmm, src: Operand, imm: Option<u8>) {
        let src = self.vector_rm(src);
        match imm {
            None => self.asm.vector_unary(op, dst, src),
            Some(imm) => {
                let src = self.without_label(src);
                self.asm.vector_unary_imm(op, dst, src, imm);
            }
        }
    }

    fn left_in_place(&mut self, dst: Xmm, left: Xmm, right: VectorRm) -> Xmm {
        if self.asm.avx || dst == left {
            return left;
        }
        debug_assert!(right != VectorRm::Xmm(dst), "the right operand is lost");
        self.asm.movaps_rr(dst, left);
        dst
    }

    /// Constants are no operands of instructions with an immediate.
    fn without_label(&mut self, operand: VectorRm) -> VectorRm {
        match operand {
            VectorRm::Label(place) => {
                self.asm.movaps_label(FLOAT_SCRATCH, place);
                VectorRm::Xmm(FLOAT_SCRATCH)
            }
            _ => operand,
        }
    }
}
