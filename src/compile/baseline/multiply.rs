//! Integer multiplication and shifts.
//!
//! Owns the choice of instructions: a multiplication by a constant may be a shift or an address, and a
//! count that is not known must be in cl where there is no BMI2.

use super::Compiler;
use super::integer::{signed, truncate};
use super::registers::{Operand, imm32, int_type};
use crate::asm::{Alu, Gpr, GprSet, Mem, Scale, Shift, Size};
use crate::compile::abi::SCRATCH;

impl Compiler {
    pub(super) fn multiply(&mut self, size: Size) {
        let mut right = self.pop();
        let mut left = self.pop();
        if let (Operand::Const(a), Operand::Const(b)) = (left, right) {
            return self.push_const(int_type(size), truncate(size, a.wrapping_mul(b)));
        }
        if self.had_better_swap(left, right) {
            (left, right) = (right, left);
        }
        let dst = self.gpr_for_result(left, right);
        match right {
            Operand::Const(1) => self.load_unchanged(size, dst, left),
            Operand::Const(bits) => self.multiply_by(size, dst, left, bits),
            Operand::Slot(_) | Operand::Memory => {
                self.load_gpr(size, dst, left);
                if let Some(right) = self.in_memory(right) {
                    self.asm.imul_rm(size, dst, right);
                }
            }
            _ => {
                self.load_gpr(size, dst, left);
                let right = self.gpr_or_scratch(size, right);
                self.asm.imul_rr(size, dst, right);
            }
        }
        self.finish_binary(int_type(size), dst, left, right);
    }

    fn multiply_by(&mut self, size: Size, dst: Gpr, left: Operand, factor: u64) {
        let scale = match factor {
            3 => Some(Scale::X2),
            5 => Some(Scale::X4),
            9 => Some(Scale::X8),
            _ => None,
        };
        if factor.is_power_of_two() {
            self.load_gpr(size, dst, left);
            self.shift_by(Shift::Shl, size, dst, factor.trailing_zeros());
        } else if let Some(scale) = scale {
            let left = self.gpr_or_scratch(size, left);
            self.asm.lea(size, dst, Mem::indexed(left, left, scale, 0));
        } else if let Some(imm) = imm32(size, factor) {
            let left = self.gpr_or_scratch(size, left);
            self.asm.imul_rri(size, dst, left, imm);
        } else {
            self.load_gpr(size, dst, left);
            self.asm.mov_ri(size, SCRATCH, factor.cast_signed());
            self.asm.imul_rr(size, dst, SCRATCH);
        }
    }

    /// Shifts `dst` in place by a constant.
    fn shift_by(&mut self, shift: Shift, size: Size, dst: Gpr, count: u32) {
        match (shift, count) {
            // As short, and more ports of the processor can do it.
            (Shift::Shl, 1) => self.asm.alu_rr(Alu::Add, size, dst, dst),
            _ => self.asm.shift_ri(shift, size, dst, count as u8),
        }
    }

    pub(super) fn shift(&mut self, shift: Shift, size: Size) {
        let count = self.pop();
        let left = self.pop();
        match (left, count) {
            (Operand::Const(a), Operand::Const(b)) => {
                let count = (b as u32) & (size.bits() - 1);
                self.push_const(int_type(size), fold_shift(shift, size, a, count));
            }
            (_, Operand::Const(count)) => {
                let count = (count as u32) & (size.bits() - 1);
                let dst = self.gpr_for_result(left, Operand::Const(0));
                match (shift, count, left) {
                    (Shift::Shl, 1, Operand::Gpr(left)) if left != dst => {
                        self.asm.lea(size, dst, Mem::indexed(left, left, Scale::X1, 0));
                    }
                    (Shift::Shl, 2 | 3, Operand::Gpr(left)) if left != dst => {
                        let scale = if count == 2 { Scale::X4 } else { Scale::X8 };
                        // Without a base the address takes four more bytes, still less than two
                        // instructions with a dependency.
                        self.asm.lea(size, dst, Mem::index_only(left, scale, 0));
                    }
                    (_, 0, _) => self.load_unchanged(size, dst, left),
                    _ => {
                        self.load_gpr(size, dst, left);
                        self.shift_by(shift, size, dst, count);
                    }
                }
                self.finish_unary(int_type(size), dst, left);
            }
            _ if self.options.cpu.bmi2 && !matches!(shift, Shift::Rol | Shift::Ror) => {
                self.shift_three_operands(shift, size, left, count);
            }
            _ => self.shift_by_cl(shift, size, left, count),
        }
    }

    /// By BMI2's instructions, which take the count anywhere and spare the left operand.
    fn shift_three_operands(&mut self, shift: Shift, size: Size, left: Operand, count: Operand) {
        let dst = match (left, count) {
            // The count may be overwritten by the result, the scratch register holds one operand.
            (Operand::Gpr(_), _) | (_, Operand::Gpr(_)) => {
                self.gpr_for_result(left, Operand::Const(0))
            }
            // Both in memory.
            _ => self.gpr_for_result(left, count),
        };
        let (source, amount) = match (left, count) {
            (Operand::Gpr(left), _) => (left, self.gpr_or_scratch(size, count)),
            (_, Operand::Gpr(count)) => (self.gpr_or_scratch(size, left), count),
            _ => {
                self.load_gpr(size, dst, left);
                (dst, self.gpr_or_scratch(size, count))
            }
        };
        match shift {
            Shift::Shl => self.asm.shlx(size, dst, source, amount),
            Shift::Shr => self.asm.shrx(size, dst, source, amount),
            _ => self.asm.sarx(size, dst, source, amount),
        }
        self.finish_binary(int_type(size), dst, left, count);
    }

    /// By the instructions that take the count in cl. Functions with such operators have no local
    /// at home in rcx.
    fn shift_by_cl(&mut self, shift: Shift, size: Size, left: Operand, count: Operand) {
        let mut left = left;
        if left == Operand::Gpr(Gpr::Rcx) && count != left {
            let other = self.take_gpr();
            self.asm.mov_rr(size, other, Gpr::Rcx);
            self.release(left);
            left = Operand::Gpr(other);
        }
        if count != Operand::Gpr(Gpr::Rcx) {
            self.take_this_gpr(Gpr::Rcx, GprSet::EMPTY);
            self.load_gpr(size, Gpr::Rcx, count);
            self.release(count);
        }
        let dst = self.gpr_for_result(left, Operand::Gpr(Gpr::Rcx));
        self.load_gpr(size, dst, left);
        self.asm.shift_cl(shift, size, dst);
        self.finish_binary(int_type(size), dst, left, Operand::Gpr(Gpr::Rcx));
    }
}

fn fold_shift(shift: Shift, size: Size, bits: u64, count: u32) -> u64 {
    let narrow = bits as u32;
    match (shift, size) {
        (Shift::Shl, _) => truncate(size, bits << count),
        (Shift::Shr, _) => bits >> count,
        (Shift::Sar, _) => truncate(size, (signed(size, bits) >> count).cast_unsigned()),
        (Shift::Rol, Size::S64) => bits.rotate_left(count),
        (Shift::Ror, Size::S64) => bits.rotate_right(count),
        (Shift::Rol, _) => u64::from(narrow.rotate_left(count)),
        (Shift::Ror, _) => u64::from(narrow.rotate_right(count)),
    }
}
