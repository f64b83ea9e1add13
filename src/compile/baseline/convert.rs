//! Conversions between floats and integers, and among floats.
//!
//! The hardware truncates to signed integers, and answers what does not fit with the lowest one.
//! Everything else that wasm asks for is made of that.

use super::Compiler;
use super::cold::BadTruncation;
use super::float::FloatOp;
use super::registers::{Operand, float_size_of, int_type, size_of, slot};
use crate::asm::{Alu, Cond, FloatSize, Gpr, Shift, Size, Xmm};
use crate::compile::abi::{FLOAT_SCRATCH, SCRATCH};
use crate::module::ValType;

/// Truncation of a float to an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Truncation {
    from: ValType,
    to: Size,
    is_signed: bool,
    /// Gives the nearest integer, and 0 for a NaN, instead of trapping.
    saturates: bool,
}

impl Truncation {
    pub const fn signed(from: ValType, to: Size) -> Truncation {
        Truncation { from, to, is_signed: true, saturates: false }
    }

    pub const fn unsigned(from: ValType, to: Size) -> Truncation {
        Truncation { from, to, is_signed: false, saturates: false }
    }

    pub const fn saturating(self) -> Truncation {
        Truncation { saturates: true, ..self }
    }
}

/// Among floats, and their bits.
impl Compiler {
    pub(super) fn demote(&mut self) {
        let operand = self.pop();
        let dst = self.xmm_for_result(operand, Operand::Const(0));
        let source = self.xmm_or_scratch(ValType::F64, operand);
        self.asm.cvtsd2ss_rr(dst, source);
        self.finish_float(ValType::F32, dst, operand, Operand::Const(0));
    }

    pub(super) fn promote(&mut self) {
        let operand = self.pop();
        let dst = self.xmm_for_result(operand, Operand::Const(0));
        let source = self.xmm_or_scratch(ValType::F32, operand);
        self.asm.cvtss2sd_rr(dst, source);
        self.finish_float(ValType::F64, dst, operand, Operand::Const(0));
    }

    /// The bits of a float as an integer.
    pub(super) fn float_bits(&mut self, from: ValType) {
        let size = size_of(from);
        match self.pop() {
            Operand::Const(bits) => self.push_const(int_type(size), bits),
            operand => {
                let dst = self.gpr_for_any_result();
                match operand {
                    Operand::Xmm(source) => self.asm.movd_rx(size, dst, source),
                    _ => self.load_gpr(size, dst, operand),
                }
                self.release(operand);
                self.push_gpr(int_type(size), dst);
            }
        }
    }

    /// An integer as the bits of a float.
    pub(super) fn float_from_bits(&mut self, to: ValType) {
        let size = size_of(to);
        match self.pop() {
            Operand::Const(bits) => self.push_const(to, bits),
            operand => {
                let dst = self.xmm_for_result(Operand::Const(0), Operand::Const(0));
                match operand {
                    Operand::Gpr(source) => self.asm.movd_xr(size, dst, source),
                    _ => self.load_xmm(to, dst, operand),
                }
                self.release(operand);
                self.push_xmm(to, dst);
            }
        }
    }
}

/// Integers to floats.
impl Compiler {
    pub(super) fn convert_signed(&mut self, from: Size, to: ValType) {
        let operand = self.pop();
        let dst = self.xmm_for_result(Operand::Const(0), Operand::Const(0));
        // The conversion writes only a part of the register: do not wait for the rest.
        self.asm.xorps_rr(dst, dst);
        match operand {
            Operand::Slot(offset) => {
                self.asm.cvtsi2s_rm(float_size_of(to), from, dst, slot(offset));
            }
            _ => {
                let source = self.gpr_or_scratch(from, operand);
                self.asm.cvtsi2s_rr(float_size_of(to), from, dst, source);
            }
        }
        self.release(operand);
        self.push_xmm(to, dst);
    }

    pub(super) fn convert_unsigned(&mut self, from: Size, to: ValType) {
        let size = float_size_of(to);
        let operand = self.pop();
        let dst = self.xmm_for_result(Operand::Const(0), Operand::Const(0));
        self.asm.xorps_rr(dst, dst);
        self.load_gpr(from, SCRATCH, operand);
        if from == Size::S32 {
            // Loading has cleared the upper half: a signed integer of 64 bits.
            self.asm.cvtsi2s_rr(size, Size::S64, dst, SCRATCH);
        } else {
            self.convert_unsigned_64(size, dst);
        }
        self.release(operand);
        self.push_xmm(to, dst);
    }

    /// The scratch register as an unsigned integer. From 2^63 on it is halved, keeping the lowest
    /// bit so that rounding comes out the same, and the result doubled.
    fn convert_unsigned_64(&mut self, size: FloatSize, dst: Xmm) {
        let [large, done] = [(); 2].map(|()| self.asm.new_label());
        // Taken on both paths, because taking a register may spill.
        let lowest_bit = self.take_gpr();
        self.asm.test_rr(Size::S64, SCRATCH, SCRATCH);
        self.asm.jcc_short(Cond::S, large);
        self.asm.cvtsi2s_rr(size, Size::S64, dst, SCRATCH);
        self.asm.jmp_short(done);
        self.asm.bind(large);
        self.asm.mov_rr(Size::S32, lowest_bit, SCRATCH);
        self.asm.alu_ri(Alu::And, Size::S32, lowest_bit, 1);
        self.asm.shift_ri(Shift::Shr, Size::S64, SCRATCH, 1);
        self.asm.alu_rr(Alu::Or, Size::S64, SCRATCH, lowest_bit);
        self.asm.cvtsi2s_rr(size, Size::S64, dst, SCRATCH);
        self.asm.vector(FloatOp::Add.instruction(size), dst, dst, dst);
        self.release(Operand::Gpr(lowest_bit));
        self.bind_inside(done);
    }
}

/// Floats to integers.
impl Compiler {
    pub(super) fn truncate_float(&mut self, truncation: Truncation) {
        let Truncation { from, to, is_signed, saturates } = truncation;
        let operand = self.pop();
        // A copy where it is needed twice: the scratch register takes constants.
        let source = match operand {
            Operand::Xmm(source) => source,
            _ => {
                let source = self.take_xmm();
                self.load_xmm(from, source, operand);
                source
            }
        };
        let dst = self.take_gpr();
        match (to, is_signed) {
            (Size::S64, false) => self.truncate_unsigned_64(truncation, dst, source),
            (Size::S64, true) => {
                self.asm.cvtts2si_rr(float_size_of(from), to, dst, source);
                // Overflows for the lowest integer only.
                self.asm.alu_ri(Alu::Cmp, to, dst, 1);
                if saturates {
                    self.saturate(truncation, Cond::No, dst, source);
                } else {
                    self.bad_truncation(Cond::O, from, source, BadTruncation::UnlessLowest);
                }
            }
            _ => {
                // By way of 64 bits, of which the upper half must be what the lower half says.
                self.asm.cvtts2si_rr(float_size_of(from), Size::S64, dst, source);
                if is_signed {
                    self.asm.movsx_rr(Size::S64, SCRATCH, dst, Size::S32);
                } else {
                    self.asm.mov_rr(Size::S32, SCRATCH, dst);
                }
                self.asm.alu_rr(Alu::Cmp, Size::S64, SCRATCH, dst);
                if saturates {
                    self.saturate(truncation, Cond::E, dst, source);
                } else {
                    self.bad_truncation(Cond::Ne, from, source, BadTruncation::Always);
                }
            }
        }
        self.release(Operand::Xmm(source));
        self.push_gpr(int_type(to), dst);
        if is_signed {
            // By way of 64 bits: the sign is in the upper half too.
            self.registers.zero_extended.remove(dst);
        }
    }

    /// Replaces `dst` by the nearest integer unless the condition holds.
    fn saturate(&mut self, truncation: Truncation, unless: Cond, dst: Gpr, source: Xmm) {
        let Truncation { from, to, is_signed, .. } = truncation;
        let size = float_size_of(from);
        let done = self.asm.new_label();
        self.asm.jcc_short(unless, done);
        self.asm.zero(dst);
        self.asm.ucomis_rr(size, source, source);
        self.asm.jcc_short(Cond::P, done);
        self.asm.xorps_rr(FLOAT_SCRATCH, FLOAT_SCRATCH);
        self.asm.ucomis_rr(size, source, FLOAT_SCRATCH);
        let (lowest, highest) = match (is_signed, to) {
            (true, Size::S32) => (i64::from(i32::MIN), i64::from(i32::MAX)),
            (true, _) => (i64::MIN, i64::MAX),
            (false, _) => (0, -1),
        };
        self.asm.mov_ri(to, dst, lowest);
        self.asm.jcc_short(Cond::B, done);
        self.asm.mov_ri(to, dst, highest);
        self.bind_inside(done);
    }

    /// Below 2^63 as a signed integer; from there on, as the distance to it.
    fn truncate_unsigned_64(&mut self, truncation: Truncation, dst: Gpr, source: Xmm) {
        let Truncation { from, saturates, .. } = truncation;
        let size = float_size_of(from);
        let [large, done] = [(); 2].map(|()| self.asm.new_label());
        // Taken on both paths, because taking a register may spill.
        let distance = self.take_xmm();
        self.load_power_63(from);
        self.asm.ucomis_rr(size, source, FLOAT_SCRATCH);
        self.asm.jcc(Cond::Ae, large);
        self.asm.cvtts2si_rr(size, Size::S64, dst, source);
        self.asm.test_rr(Size::S64, dst, dst);
        if saturates {
            // Negative, or a NaN.
            self.asm.jcc(Cond::Ns, done);
            self.asm.zero(dst);
        } else {
            self.bad_truncation(Cond::S, from, source, BadTruncation::Always);
        }
        self.asm.jmp(done);

        self.asm.bind(large);
        self.asm.movaps_rr(distance, source);
        self.asm.vector(FloatOp::Sub.instruction(size), distance, distance, FLOAT_SCRATCH);
        self.asm.cvtts2si_rr(size, Size::S64, dst, distance);
        self.release(Operand::Xmm(distance));
        self.asm.mov_ri(Size::S64, SCRATCH, i64::MIN);
        self.asm.test_rr(Size::S64, dst, dst);
        if saturates {
            let fits = self.asm.new_label();
            self.asm.jcc_short(Cond::Ns, fits);
            // All ones, once the highest bit is added.
            self.asm.mov_ri(Size::S64, dst, i64::MAX);
            self.asm.bind(fits);
        } else {
            self.bad_truncation(Cond::S, from, source, BadTruncation::Always);
        }
        self.asm.alu_rr(Alu::Or, Size::S64, dst, SCRATCH);
        self.bind_inside(done);
    }

    /// The scratch register: 2^63.
    fn load_power_63(&mut self, ty: ValType) {
        let bits = match ty {
            ValType::F32 => i64::from((9_223_372_036_854_775_808.0_f32).to_bits()),
            _ => (9_223_372_036_854_775_808.0_f64).to_bits().cast_signed(),
        };
        self.asm.mov_ri(size_of(ty), SCRATCH, bits);
        self.asm.movd_xr(size_of(ty), FLOAT_SCRATCH, SCRATCH);
    }
}
