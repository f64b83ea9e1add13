//! Integer division and remainder.
//!
//! The instruction wants its dividend in rdx:rax and raises a signal for the two cases that wasm
//! defines: a divisor of zero, and the one quotient that does not fit. Both are checked first,
//! unless the operands are known well enough. Functions that divide have no local at home in rax
//! or rdx.

use super::Compiler;
use super::integer::{signed, truncate};
use super::registers::{Operand, int_type};
use crate::asm::{Alu, Cond, Gpr, GprSet, Shift, Size};
use crate::compile::abi::SCRATCH;
use crate::error::TrapCode;

/// The four operators of each width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Division {
    pub is_signed: bool,
    /// The remainder is wanted, not the quotient.
    pub remainder: bool,
}

impl Division {
    pub const DIV_S: Division = Division { is_signed: true, remainder: false };
    pub const DIV_U: Division = Division { is_signed: false, remainder: false };
    pub const REM_S: Division = Division { is_signed: true, remainder: true };
    pub const REM_U: Division = Division { is_signed: false, remainder: true };
}

/// Where the instruction leaves quotient and remainder.
const RESULTS: GprSet = GprSet::of(&[Gpr::Rax, Gpr::Rdx]);

impl Compiler {
    pub(super) fn divide(&mut self, division: Division, size: Size) {
        let right = self.pop();
        let left = self.pop();
        if let Operand::Const(divisor) = right {
            if let Operand::Const(dividend) = left
                && let Some(result) = fold(division, size, dividend, divisor)
            {
                return self.push_const(int_type(size), result);
            }
            if self.divide_by(division, size, left, divisor) {
                return;
            }
        }
        self.divide_by_instruction(division, size, left, right);
    }

    fn divide_by_instruction(
        &mut self,
        division: Division,
        size: Size,
        left: Operand,
        right: Operand,
    ) {
        // The divisor goes where the dividend and the results are not. In a slot it may stay, but
        // it is looked at up to three times.
        let in_the_way = matches!(right, Operand::Gpr(Gpr::Rax | Gpr::Rdx));
        let divisor = match right {
            Operand::Gpr(register) if !in_the_way => register,
            _ => {
                self.load_gpr(size, SCRATCH, right);
                self.release(right);
                SCRATCH
            }
        };
        // The dividend may be in rdx: it is popped, so that nobody moves it, and read before rdx
        // is written.
        if left != Operand::Gpr(Gpr::Rax) {
            self.take_this_gpr(Gpr::Rax, RESULTS);
        }
        if left != Operand::Gpr(Gpr::Rdx) {
            self.take_this_gpr(Gpr::Rdx, RESULTS);
        }
        self.load_gpr(size, Gpr::Rax, left);
        if !matches!(left, Operand::Gpr(Gpr::Rax | Gpr::Rdx)) {
            self.release(left);
        }

        let known = match right {
            Operand::Const(bits) => Some(signed(size, bits)),
            _ => None,
        };
        if known.is_none_or(|divisor| divisor == 0) {
            self.asm.test_rr(size, divisor, divisor);
            self.trap_if(Cond::E, TrapCode::IntegerDivideByZero);
        }
        if division.is_signed {
            let may_overflow = known.is_none_or(|divisor| divisor == -1)
                && match left {
                    Operand::Const(bits) => signed(size, bits) == lowest(size),
                    _ => true,
                };
            let back = may_overflow.then(|| {
                self.asm.alu_ri(Alu::Cmp, size, divisor, -1);
                self.divide_by_minus_one(Cond::E, size, division.remainder)
            });
            self.asm.sign_extend_acc(size);
            self.asm.idiv_r(size, divisor);
            if let Some(back) = back {
                self.bind_inside(back);
            }
        } else {
            self.asm.zero(Gpr::Rdx);
            self.asm.div_r(size, divisor);
        }
        if divisor != SCRATCH {
            self.release(right);
        }
        let (result, other) =
            if division.remainder { (Gpr::Rdx, Gpr::Rax) } else { (Gpr::Rax, Gpr::Rdx) };
        self.release(Operand::Gpr(other));
        self.push_gpr(int_type(size), result);
    }

    /// Powers of two. Returns false, having done nothing, for other divisors.
    fn divide_by(&mut self, division: Division, size: Size, left: Operand, divisor: u64) -> bool {
        let log = divisor.trailing_zeros();
        let is_power =
            divisor.is_power_of_two() && !(division.is_signed && signed(size, divisor) < 0);
        if !is_power {
            return false;
        }
        let mask = divisor - 1;
        match division {
            _ if divisor == 1 && division.remainder => {
                self.release(left);
                self.push_const(int_type(size), 0);
            }
            Division::REM_U => {
                let dst = self.gpr_for_result(left, Operand::Const(0));
                match i32::try_from(mask) {
                    Ok(mask) => {
                        self.load_gpr(size, dst, left);
                        self.asm.alu_ri(Alu::And, size, dst, mask);
                    }
                    Err(_) => {
                        self.asm.mov_ri(size, SCRATCH, mask.cast_signed());
                        self.load_gpr(size, dst, left);
                        self.asm.alu_rr(Alu::And, size, dst, SCRATCH);
                    }
                }
                self.finish_unary(int_type(size), dst, left);
            }
            Division::DIV_U => {
                let dst = self.gpr_for_result(left, Operand::Const(0));
                if log == 0 {
                    self.load_unchanged(size, dst, left);
                } else {
                    self.load_gpr(size, dst, left);
                    self.asm.shift_ri(Shift::Shr, size, dst, log as u8);
                }
                self.finish_unary(int_type(size), dst, left);
            }
            // Signed: rounding is towards zero, so a negative dividend is first raised by
            // `mask`, which is what the sign shifted right without sign leaves.
            _ if log > 0 => {
                let source = self.gpr_or_scratch(size, left);
                let dst = self.take_gpr();
                self.asm.mov_rr(size, dst, source);
                if log > 1 {
                    self.asm.shift_ri(Shift::Sar, size, dst, size.bits() as u8 - 1);
                }
                self.asm.shift_ri(Shift::Shr, size, dst, (size.bits() - log) as u8);
                if division.remainder {
                    // left - (left + bias & !mask)
                    self.asm.alu_rr(Alu::Add, size, dst, source);
                    self.asm.shift_ri(Shift::Shr, size, dst, log as u8);
                    self.asm.shift_ri(Shift::Shl, size, dst, log as u8);
                    self.asm.neg_r(size, dst);
                    self.asm.alu_rr(Alu::Add, size, dst, source);
                } else {
                    self.asm.alu_rr(Alu::Add, size, dst, source);
                    self.asm.shift_ri(Shift::Sar, size, dst, log as u8);
                }
                self.finish_unary(int_type(size), dst, left);
            }
            _ => {
                // By one.
                let dst = self.gpr_for_result(left, Operand::Const(0));
                self.load_unchanged(size, dst, left);
                self.finish_unary(int_type(size), dst, left);
            }
        }
        true
    }
}

/// The lowest signed integer of the width, which has no counterpart.
fn lowest(size: Size) -> i64 {
    if size == Size::S32 { i64::from(i32::MIN) } else { i64::MIN }
}

/// The result, if it does not trap.
fn fold(division: Division, size: Size, a: u64, b: u64) -> Option<u64> {
    let (x, y) = (signed(size, a), signed(size, b));
    match division {
        Division::DIV_U => a.checked_div(b),
        Division::REM_U => a.checked_rem(b),
        _ if y == 0 => None,
        Division::REM_S => Some(truncate(size, x.wrapping_rem(y).cast_unsigned())),
        _ if y == -1 && x == lowest(size) => None,
        _ => Some(truncate(size, x.wrapping_div(y).cast_unsigned())),
    }
}
