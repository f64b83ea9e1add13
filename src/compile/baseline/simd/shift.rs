//! Shifts of lanes. The distance counts modulo the lanes' width; the hardware shifts everything out.

use super::super::Compiler;
use super::super::registers::Operand;
use super::operands::NONE;
use crate::asm::vector::*;
use crate::asm::{Alu, Size, VectorOp, VectorShift, Xmm};
use crate::compile::abi::{FLOAT_SCRATCH, SCRATCH};
use crate::module::ValType;

/// A shift by a register and the same by a constant.
pub(super) type VectorShiftOp = (VectorOp, VectorShift);

/// Left, right signed and right unsigned, for lanes of each width.
pub(super) const SHIFT_16: (VectorShiftOp, VectorShiftOp, VectorShiftOp) =
    ((PSLLW, PSLLW_IMM), (PSRAW, PSRAW_IMM), (PSRLW, PSRLW_IMM));
pub(super) const SHIFT_32: (VectorShiftOp, VectorShiftOp, VectorShiftOp) =
    ((PSLLD, PSLLD_IMM), (PSRAD, PSRAD_IMM), (PSRLD, PSRLD_IMM));
/// Without the signed one, which the hardware lacks.
pub(super) const SHIFT_64: (VectorShiftOp, (), VectorShiftOp) =
    ((PSLLQ, PSLLQ_IMM), (), (PSRLQ, PSRLQ_IMM));

/// How far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Distance {
    /// Less than the width of a lane.
    Known(u8),
    /// In the scratch register.
    Scratch,
}

/// The byte in every byte.
fn every_byte(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

impl Compiler {
    /// Pops the distance; adds this to it where a constant is not known.
    fn pop_distance(&mut self, width: u32, more: u8) -> Distance {
        let operand = self.pop_operand();
        if let Operand::Const(distance) = operand {
            return Distance::Known((distance as u32 & (width - 1)) as u8);
        }
        self.load_gpr(Size::S32, SCRATCH, operand);
        self.asm.alu_ri(Alu::And, Size::S32, SCRATCH, width as i32 - 1);
        if more > 0 {
            self.asm.alu_ri(Alu::Add, Size::S32, SCRATCH, i32::from(more));
        }
        self.asm.movd_xr(Size::S32, FLOAT_SCRATCH, SCRATCH);
        self.release(operand);
        Distance::Scratch
    }

    fn shift_vector(&mut self, shift: VectorShiftOp, dst: Xmm, src: Xmm, distance: Distance) {
        match distance {
            Distance::Known(distance) => self.v_shift(shift.1, dst, src, distance),
            Distance::Scratch => self.v(shift.0, dst, src, FLOAT_SCRATCH),
        }
    }

    /// The operand, and where the result goes. A distance of zero is nothing to do.
    fn start_shift(&mut self, distance: Distance) -> Option<(Operand, Xmm, Xmm)> {
        if distance == Distance::Known(0) {
            return None;
        }
        let operand = self.pop_operand();
        let dst = self.vector_result(operand, NONE);
        let src = self.left_vector(dst, operand);
        Some((operand, dst, src))
    }

    pub(super) fn vector_shift(&mut self, shift: VectorShiftOp, width: u32) {
        let distance = self.pop_distance(width, 0);
        let Some((operand, dst, src)) = self.start_shift(distance) else { return };
        self.shift_vector(shift, dst, src, distance);
        self.finish_vector(dst, operand, NONE);
    }

    /// By way of 16-bit lanes, from which the bits go that would end up in the neighbour.
    pub(super) fn shift_left_8(&mut self) {
        let distance = self.pop_distance(8, 0);
        let Some((operand, dst, src)) = self.start_shift(distance) else { return };
        match distance {
            Distance::Known(distance) => {
                self.v_shift(PSLLW_IMM, dst, src, distance);
                let mask = self.both_halves(every_byte(0xFF << distance));
                self.v(PAND, dst, dst, mask);
            }
            Distance::Scratch => {
                let mask = self.remaining_bits();
                self.v(PAND, dst, src, mask);
                self.v(PSLLW, dst, dst, FLOAT_SCRATCH);
                self.release_vector(mask);
            }
        }
        self.finish_vector(dst, operand, NONE);
    }

    pub(super) fn shift_right_8(&mut self) {
        let distance = self.pop_distance(8, 0);
        let Some((operand, dst, src)) = self.start_shift(distance) else { return };
        match distance {
            Distance::Known(distance) => {
                self.v_shift(PSRLW_IMM, dst, src, distance);
                let mask = self.both_halves(every_byte(0xFF >> distance));
                self.v(PAND, dst, dst, mask);
            }
            Distance::Scratch => {
                let mask = self.remaining_bits();
                self.v(PSRLW, dst, src, FLOAT_SCRATCH);
                self.v(PAND, dst, dst, mask);
                self.release_vector(mask);
            }
        }
        self.finish_vector(dst, operand, NONE);
    }

    /// A register with `0xFF >> distance` in every byte. The distance is in the scratch register.
    fn remaining_bits(&mut self) -> Xmm {
        let mask = self.take_xmm();
        self.asm.vector(PCMPEQD, mask, mask, mask);
        self.v_shift(PSRLW_IMM, mask, mask, 8);
        self.v(PSRLW, mask, mask, FLOAT_SCRATCH);
        self.v(PACKUSWB, mask, mask, mask);
        mask
    }

    /// Each byte in the upper half of a 16-bit lane.
    pub(super) fn shift_right_signed_8(&mut self) {
        let distance = self.pop_distance(8, 8);
        let Some((operand, dst, src)) = self.start_shift(distance) else { return };
        let distance = match distance {
            Distance::Known(distance) => Distance::Known(distance + 8),
            Distance::Scratch => distance,
        };
        let high = self.take_xmm();
        self.v(PUNPCKHBW, high, src, src);
        self.v(PUNPCKLBW, dst, src, src);
        self.shift_vector(SHIFT_16.1, high, high, distance);
        self.shift_vector(SHIFT_16.1, dst, dst, distance);
        self.v(PACKSSWB, dst, dst, high);
        self.release_vector(high);
        self.finish_vector(dst, operand, NONE);
    }

    /// Shifted without sign; then the sign, now further down, is extended by flipping it and
    /// subtracting it.
    pub(super) fn shift_right_signed_64(&mut self) {
        const SIGN: u64 = 1 << 63;
        let distance = self.pop_distance(64, 0);
        let Some((operand, dst, src)) = self.start_shift(distance) else { return };
        self.shift_vector(SHIFT_64.2, dst, src, distance);
        match distance {
            Distance::Known(distance) => {
                let sign = self.both_halves(SIGN >> distance);
                self.v(PXOR, dst, dst, sign);
                self.v(PSUBQ, dst, dst, sign);
            }
            Distance::Scratch => {
                let sign = self.take_xmm();
                let number = self.constant(u128::from(SIGN) << 64 | u128::from(SIGN));
                self.load_xmm(ValType::V128, sign, Operand::Const(number));
                self.v(PSRLQ, sign, sign, FLOAT_SCRATCH);
                self.v(PXOR, dst, dst, sign);
                self.v(PSUBQ, dst, dst, sign);
                self.release_vector(sign);
            }
        }
        self.finish_vector(dst, operand, NONE);
    }
}
