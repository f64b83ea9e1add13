//! `select` and `drop`.

use super::Compiler;
use super::control::Condition;
use super::registers::{Operand, size_of, slot};
use crate::asm::Cond;
use crate::module::ValType;

impl Compiler {
    pub(super) fn select(&mut self) {
        let condition = self.pop_condition();
        let ty = self.stack.get(self.stack.len() - 1).ty;
        let second = self.pop();
        let first = self.pop();
        let cond = match condition {
            Condition::On(cond) => cond,
            Condition::Always => return self.keep(ty, first, second),
            Condition::Never => return self.keep(ty, second, first),
        };
        if ty.is_vector_class() {
            return self.select_float(ty, cond, first, second);
        }
        let size = size_of(ty);
        let dst = self.gpr_for_result(first, second);
        self.load_gpr_keeping_flags(size, dst, first);
        match second {
            Operand::Slot(offset) => self.asm.cmov_rm(cond.invert(), size, dst, slot(offset)),
            _ => {
                let second = self.gpr_or_scratch(size, second);
                self.asm.cmov_rr(cond.invert(), size, dst, second);
            }
        }
        self.finish_binary(ty, dst, first, second);
    }

    fn select_float(&mut self, ty: ValType, cond: Cond, first: Operand, second: Operand) {
        let dst = self.xmm_for_result(first, second);
        self.load_xmm(ty, dst, first);
        let keep = self.asm.new_label();
        self.asm.jcc_short(cond, keep);
        self.load_xmm(ty, dst, second);
        self.bind_inside(keep);
        self.finish_float(ty, dst, first, second);
    }

    /// Pushes one operand, drops the other.
    fn keep(&mut self, ty: ValType, kept: Operand, dropped: Operand) {
        self.release(dropped);
        if let Operand::Const(bits) = kept {
            self.push_const(ty, bits);
        } else if ty.is_vector_class() {
            let dst = self.xmm_for_result(kept, Operand::Const(0));
            self.load_xmm(ty, dst, kept);
            self.finish_float(ty, dst, kept, Operand::Const(0));
        } else {
            let dst = self.gpr_for_result(kept, Operand::Const(0));
            self.load_unchanged(size_of(ty), dst, kept);
            self.finish_unary(ty, dst, kept);
        }
    }

    pub(super) fn drop(&mut self) {
        let operand = self.pop();
        self.release(operand);
    }
}
