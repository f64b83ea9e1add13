//! Integer operators: arithmetic, comparisons, bit counting, conversions among integers.
//!
//! Owns the choice of instructions. Division, and multiplication with shifts, have files of their own.
//!
//! Each operator comes down to: fold if everything is known, order the operands so that the right
//! one can be an immediate or in memory, find a register for the result, emit.

use super::Compiler;
use super::registers::{Operand, imm32, int_type, slot};
use crate::asm::{Alu, Cond, Gpr, Mem, Scale, Shift, Size};
use crate::compile::abi::SCRATCH;
use crate::module::ValType;

/// The operators that count bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    LeadingZeros,
    TrailingZeros,
    Ones,
}

/// The instruction that last set the zero flag by the value of a register, while nothing has been
/// emitted since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ZeroFlag {
    register: Gpr,
    size: Size,
    /// The end of the instruction.
    offset: u32,
}

/// The low bits that an integer of this width has.
pub(super) fn truncate(size: Size, bits: u64) -> u64 {
    if size == Size::S32 { u64::from(bits as u32) } else { bits }
}

/// The integer as a signed number.
pub(super) fn signed(size: Size, bits: u64) -> i64 {
    if size == Size::S32 { i64::from(bits as i32) } else { bits.cast_signed() }
}

/// Addition, subtraction and logic.
impl Compiler {
    pub(super) fn alu(&mut self, mut op: Alu, size: Size) {
        let mut right = self.pop();
        let mut left = self.pop();
        if let (Operand::Const(a), Operand::Const(b)) = (left, right) {
            return self.push_const(int_type(size), truncate(size, fold_alu(op, a, b)));
        }
        if op == Alu::Sub {
            // Adding has more forms, and its operands can be swapped.
            if let Operand::Const(bits) = right {
                right = Operand::Const(truncate(size, bits.wrapping_neg()));
                op = Alu::Add;
            }
        }
        if op != Alu::Sub && self.had_better_swap(left, right) {
            (left, right) = (right, left);
        }
        if op == Alu::And && self.wants_zero_flag(size) {
            return self.test_bits(size, left, right);
        }
        if let Some(offset) = self.hinted_slot(left)
            && !matches!(right, Operand::Slot(_))
        {
            self.alu_memory(op, size, slot(offset), right);
            self.release(right);
            return self.push_hinted(int_type(size));
        }
        if (op, left) == (Alu::Sub, Operand::Const(0)) {
            let dst = self.gpr_for_result(right, Operand::Const(0));
            self.load_gpr(size, dst, right);
            self.asm.neg_r(size, dst);
            return self.finish_unary(int_type(size), dst, right);
        }
        let dst = self.gpr_for_result(left, right);
        if op == Alu::Add && self.lea_sum(size, dst, left, right) {
            // Done in one instruction that leaves both operands alone.
        } else if op == Alu::And
            && size == Size::S64
            && right == Operand::Const(0xFFFF_FFFF)
            && !matches!(left, Operand::Memory)
        {
            self.load_zero_extended(dst, left);
        } else if op == Alu::And && self.low_bits(dst, left, right) {
            // In one instruction that has no immediate of four bytes.
        } else {
            self.load_gpr(size, dst, left);
            self.alu_register(op, size, dst, right);
            self.note_zero_flag(size, dst);
        }
        self.finish_binary(int_type(size), dst, left, right);
    }

    /// Whether a commutative operator should have its operands the other way round: constants and
    /// memory belong on the right, a register that can be overwritten on the left.
    pub(super) fn had_better_swap(&self, left: Operand, right: Operand) -> bool {
        let rank = |operand| match operand {
            Operand::Const(_) => 0,
            Operand::Slot(_) | Operand::Memory => 1,
            _ if self.is_hinted_home(operand) => 4,
            _ if self.is_temporary(operand) => 3,
            _ => 2,
        };
        rank(right) > rank(left)
    }

    /// `dst = left + right` as an address, if the sum goes to a third place.
    fn lea_sum(&mut self, size: Size, dst: Gpr, left: Operand, right: Operand) -> bool {
        let Operand::Gpr(base) = left else { return false };
        if base == dst {
            return false;
        }
        let sum = match right {
            Operand::Gpr(index) => Mem::indexed(base, index, Scale::X1, 0),
            Operand::Const(bits) => match imm32(size, bits) {
                Some(imm) => Mem::base(base, imm),
                None => return false,
            },
            _ => return false,
        };
        self.asm.lea(size, dst, sum);
        true
    }

    /// `dst = left & right`, if that is the lowest byte or the lowest two.
    fn low_bits(&mut self, dst: Gpr, left: Operand, right: Operand) -> bool {
        let width = match right {
            Operand::Const(0xFF) => Size::S8,
            Operand::Const(0xFFFF) => Size::S16,
            _ => return false,
        };
        match left {
            Operand::Gpr(left) => self.asm.movzx_rr(dst, left, width),
            Operand::Slot(offset) => self.asm.movzx_rm(dst, slot(offset), width),
            // A load has to reach all that its operator reads.
            _ => return false,
        }
        true
    }

    /// Releases the operand and pushes the result.
    #[inline]
    pub(super) fn finish_unary(&mut self, ty: ValType, dst: Gpr, operand: Operand) {
        if operand != Operand::Gpr(dst) {
            self.release(operand);
        }
        self.push_gpr(ty, dst);
    }

    /// Releases the operands and pushes the result.
    #[inline]
    pub(super) fn finish_binary(&mut self, ty: ValType, dst: Gpr, left: Operand, right: Operand) {
        for operand in [left, right] {
            if operand != Operand::Gpr(dst) {
                self.release(operand);
            }
        }
        self.push_gpr(ty, dst);
    }

    /// `op dst, right`
    fn alu_register(&mut self, op: Alu, size: Size, dst: Gpr, right: Operand) {
        match right {
            Operand::Slot(offset) => self.asm.alu_rm(op, size, dst, slot(offset)),
            Operand::Memory => {
                let mem = self.fused_load();
                self.asm.alu_rm(op, size, dst, mem);
            }
            Operand::Const(bits) if imm32(size, bits).is_some() => {
                self.asm.alu_ri(op, size, dst, bits as i32);
            }
            _ => {
                let right = self.gpr_or_scratch(size, right);
                self.asm.alu_rr(op, size, dst, right);
            }
        }
    }

    /// `op [dst], right`
    fn alu_memory(&mut self, op: Alu, size: Size, dst: Mem, right: Operand) {
        match right {
            Operand::Const(bits) if imm32(size, bits).is_some() => {
                self.asm.alu_mi(op, size, dst, bits as i32);
            }
            _ => {
                let right = self.gpr_or_scratch(size, right);
                self.asm.alu_mr(op, size, dst, right);
            }
        }
    }

    /// `left & right`, of which only the zero flag is wanted.
    fn test_bits(&mut self, size: Size, left: Operand, right: Operand) {
        match (left, right) {
            (Operand::Gpr(left), Operand::Const(bits)) if bits < 0x80 => {
                self.asm.test_ri(Size::S8, left, bits as i32);
            }
            (Operand::Slot(offset), Operand::Const(bits)) if bits < 0x80 => {
                self.asm.test_mi(Size::S8, slot(offset), bits as i32);
            }
            (Operand::Gpr(left), Operand::Const(bits)) if imm32(size, bits).is_some() => {
                self.asm.test_ri(size, left, bits as i32);
            }
            (Operand::Gpr(left), _) => {
                let right = self.gpr_or_scratch(size, right);
                self.asm.test_rr(size, left, right);
            }
            _ => {
                // The right one first: as a constant it may need the scratch register itself.
                self.load_gpr(size, SCRATCH, right);
                self.alu_register(Alu::And, size, SCRATCH, left);
            }
        }
        self.release(left);
        self.release(right);
        self.push(int_type(size), Operand::Flags(Cond::Ne));
    }
}

/// The zero flag.
impl Compiler {
    /// The instruction just emitted set the zero flag by this register's new value.
    #[inline]
    fn note_zero_flag(&mut self, size: Size, register: Gpr) {
        self.zero_flag = Some(ZeroFlag { register, size, offset: self.asm.offset() });
    }

    /// Sets the zero flag if the operand is zero.
    pub(super) fn test_zero(&mut self, size: Size, operand: Operand) {
        match operand {
            Operand::Gpr(register) => {
                let known = ZeroFlag { register, size, offset: self.asm.offset() };
                if self.zero_flag != Some(known) {
                    self.asm.test_rr(size, register, register);
                }
            }
            Operand::Slot(_) | Operand::Memory => {
                if let Some(operand) = self.in_memory(operand) {
                    self.asm.alu_mi(Alu::Cmp, size, operand, 0);
                }
            }
            _ => {
                let register = self.gpr_or_scratch(size, operand);
                self.asm.test_rr(size, register, register);
            }
        }
    }
}

/// Comparison.
impl Compiler {
    pub(super) fn compare(&mut self, cond: Cond, size: Size) {
        let right = self.pop();
        let left = self.pop();
        if let (Operand::Const(a), Operand::Const(b)) = (left, right) {
            return self.push_const(ValType::I32, u64::from(fold_compare(cond, size, a, b)));
        }
        let (left, right, cond) = match left {
            Operand::Const(_) => (right, left, cond.swap_operands()),
            _ => (left, right, cond),
        };
        if right == Operand::Const(0) && matches!(cond, Cond::E | Cond::Ne) {
            self.test_zero(size, left);
        } else {
            self.emit_compare(size, left, right);
        }
        self.release(left);
        self.release(right);
        self.push_condition(cond);
    }

    fn emit_compare(&mut self, size: Size, left: Operand, right: Operand) {
        match (left, right) {
            (Operand::Gpr(left), Operand::Const(0)) => self.asm.test_rr(size, left, left),
            (Operand::Gpr(left), _) => self.alu_register(Alu::Cmp, size, left, right),
            (Operand::Slot(offset), Operand::Gpr(_) | Operand::Const(_)) => {
                self.alu_memory(Alu::Cmp, size, slot(offset), right);
            }
            (Operand::Memory, Operand::Const(bits)) => match imm32(size, bits) {
                Some(imm) => {
                    let mem = self.fused_load();
                    self.asm.alu_mi(Alu::Cmp, size, mem, imm);
                }
                None => {
                    self.asm.mov_ri(size, SCRATCH, bits.cast_signed());
                    let mem = self.fused_load();
                    self.asm.alu_mr(Alu::Cmp, size, mem, SCRATCH);
                }
            },
            _ => {
                let left = self.gpr_or_scratch(size, left);
                self.alu_register(Alu::Cmp, size, left, right);
            }
        }
    }

    pub(super) fn equals_zero(&mut self, size: Size) {
        match self.pop() {
            Operand::Const(bits) => self.push_const(ValType::I32, u64::from(bits == 0)),
            Operand::Flags(cond) => self.push_condition(cond.invert()),
            operand => {
                self.test_zero(size, operand);
                self.release(operand);
                self.push_condition(Cond::E);
            }
        }
    }
}

/// Operators with one operand.
impl Compiler {
    /// Counts bits, by fallbacks where the processor has no instruction for it.
    pub(super) fn count(&mut self, count: Count, size: Size) {
        let operand = self.pop();
        if let Operand::Const(bits) = operand {
            return self.push_const(int_type(size), fold_count(count, size, bits));
        }
        let cpu = self.options.cpu;
        let source = self.gpr_or_scratch(size, operand);
        match count {
            Count::LeadingZeros if cpu.lzcnt => {
                let dst = self.gpr_for_result(operand, Operand::Const(0));
                self.asm.lzcnt(size, dst, source);
                self.finish_unary(int_type(size), dst, operand);
            }
            Count::TrailingZeros if cpu.bmi1 => {
                let dst = self.gpr_for_result(operand, Operand::Const(0));
                self.asm.tzcnt(size, dst, source);
                self.finish_unary(int_type(size), dst, operand);
            }
            Count::Ones if cpu.popcnt => {
                let dst = self.gpr_for_result(operand, Operand::Const(0));
                self.asm.popcnt(size, dst, source);
                self.finish_unary(int_type(size), dst, operand);
            }
            Count::LeadingZeros => {
                // 63 - index of the highest one; of zero, the index is taken to be -1.
                let dst = self.take_gpr();
                self.asm.bsr(size, dst, source);
                self.asm.mov_ri(size, SCRATCH, -1);
                self.asm.cmov_rr(Cond::E, size, dst, SCRATCH);
                self.asm.neg_r(size, dst);
                self.asm.alu_ri(Alu::Add, size, dst, size.bits() as i32 - 1);
                self.finish_unary(int_type(size), dst, operand);
            }
            Count::TrailingZeros => {
                let dst = self.take_gpr();
                self.asm.bsf(size, dst, source);
                self.asm.mov_ri(size, SCRATCH, i64::from(size.bits()));
                self.asm.cmov_rr(Cond::E, size, dst, SCRATCH);
                self.finish_unary(int_type(size), dst, operand);
            }
            Count::Ones => {
                let dst = self.take_gpr();
                self.count_ones(size, dst, source);
                self.finish_unary(int_type(size), dst, operand);
            }
        }
    }

    /// Adds neighbouring groups of bits: pairs, nibbles, bytes, and then all bytes by one
    /// multiplication.
    fn count_ones(&mut self, size: Size, dst: Gpr, source: Gpr) {
        let spread = |byte: u8| {
            let bits = u64::from_le_bytes([byte; 8]);
            if size == Size::S32 { i64::from(bits as u32) } else { bits.cast_signed() }
        };
        let other = self.take_gpr();
        // dst = x - (x >> 1 & 0x55..)
        self.asm.mov_rr(size, other, source);
        self.asm.mov_rr(size, dst, source);
        self.asm.shift_ri(Shift::Shr, size, other, 1);
        self.asm.mov_ri(size, SCRATCH, spread(0x55));
        self.asm.alu_rr(Alu::And, size, other, SCRATCH);
        self.asm.alu_rr(Alu::Sub, size, dst, other);
        // dst = (dst & 0x33..) + (dst >> 2 & 0x33..)
        self.asm.mov_ri(size, SCRATCH, spread(0x33));
        self.asm.mov_rr(size, other, dst);
        self.asm.shift_ri(Shift::Shr, size, other, 2);
        self.asm.alu_rr(Alu::And, size, other, SCRATCH);
        self.asm.alu_rr(Alu::And, size, dst, SCRATCH);
        self.asm.alu_rr(Alu::Add, size, dst, other);
        // dst = dst + (dst >> 4) & 0x0f..
        self.asm.mov_rr(size, other, dst);
        self.asm.shift_ri(Shift::Shr, size, other, 4);
        self.asm.alu_rr(Alu::Add, size, dst, other);
        self.asm.mov_ri(size, SCRATCH, spread(0x0F));
        self.asm.alu_rr(Alu::And, size, dst, SCRATCH);
        // The highest byte of the product is the sum of all bytes.
        self.asm.mov_ri(size, SCRATCH, spread(0x01));
        self.asm.imul_rr(size, dst, SCRATCH);
        self.asm.shift_ri(Shift::Shr, size, dst, size.bits() as u8 - 8);
        self.release(Operand::Gpr(other));
    }

    /// Sign-extends the low `from` bits to `to`, for the operators of both widths.
    pub(super) fn sign_extend(&mut self, from: Size, to: Size) {
        let operand = self.pop();
        if let Operand::Const(bits) = operand {
            let unused = 64 - from.bits();
            let extended = (bits << unused).cast_signed() >> unused;
            return self.push_const(int_type(to), truncate(to, extended.cast_unsigned()));
        }
        let dst = self.gpr_for_result(operand, Operand::Const(0));
        match operand {
            Operand::Slot(offset) => self.asm.movsx_rm(to, dst, slot(offset), from),
            _ => {
                let source = self.gpr_or_scratch(to, operand);
                self.asm.movsx_rr(to, dst, source, from);
            }
        }
        self.finish_unary(int_type(to), dst, operand);
    }

    /// `i64.extend_i32_u`.
    pub(super) fn zero_extend(&mut self) {
        let operand = self.pop();
        if let Operand::Const(bits) = operand {
            return self.push_const(ValType::I64, bits);
        }
        let dst = self.gpr_for_result(operand, Operand::Const(0));
        self.load_zero_extended(dst, operand);
        self.finish_unary(ValType::I64, dst, operand);
    }

    /// `i32.wrap_i64` takes no instruction: nobody looks at the upper half of an i32.
    pub(super) fn wrap(&mut self) {
        let top = self.stack.top();
        top.ty = ValType::I32;
        if let Operand::Const(bits) = top.operand {
            top.operand = Operand::Const(truncate(Size::S32, bits));
        }
    }
}

/// What `op` makes of two constants, not yet truncated.
fn fold_alu(op: Alu, a: u64, b: u64) -> u64 {
    match op {
        Alu::Add => a.wrapping_add(b),
        Alu::Sub => a.wrapping_sub(b),
        Alu::And => a & b,
        Alu::Or => a | b,
        Alu::Xor => a ^ b,
        Alu::Adc | Alu::Sbb | Alu::Cmp => unreachable!("no wasm operator is made of {op:?}"),
    }
}

fn fold_compare(cond: Cond, size: Size, a: u64, b: u64) -> bool {
    let (x, y) = (signed(size, a), signed(size, b));
    match cond {
        Cond::E => a == b,
        Cond::Ne => a != b,
        Cond::B => a < b,
        Cond::Be => a <= b,
        Cond::A => a > b,
        Cond::Ae => a >= b,
        Cond::L => x < y,
        Cond::Le => x <= y,
        Cond::G => x > y,
        Cond::Ge => x >= y,
        _ => unreachable!("no wasm operator compares by {cond:?}"),
    }
}

fn fold_count(count: Count, size: Size, bits: u64) -> u64 {
    u64::from(match count {
        Count::LeadingZeros => bits.leading_zeros() - (64 - size.bits()),
        Count::TrailingZeros => bits.trailing_zeros().min(size.bits()),
        Count::Ones => bits.count_ones(),
    })
}
