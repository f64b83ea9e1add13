//! Traps, and what else is executed so rarely that it stands behind the function.
//!
//! Owns trap sites and the stubs at the end of the function. The hot path pays one conditional
//! jump that is not taken.

use super::Compiler;
use super::registers::{float_size_of, size_of};
use super::table::TYPE_ID;
use crate::asm::{Alu, Cond, Gpr, Label, Mem, Size, Xmm};
use crate::compile::TrapSite;
use crate::compile::abi::{FLOAT_SCRATCH, RAISE_TRAP, SCRATCH, VMCTX};
use crate::error::TrapCode;
use crate::module::ValType;

/// Code to be emitted behind the function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cold {
    /// Where the jump to it goes.
    label: Label,
    /// The operator that it belongs to.
    wasm_offset: u32,
    what: What,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Trap(TrapCode),
    /// More fuel was taken from the context than there was.
    OutOfFuel {
        units: i32,
    },
    /// A guest of the thread may have to end.
    Poll {
        back: Label,
    },
    /// A table's element, whose address is in this register, is not what is to be called.
    WrongCallee(Gpr),
    /// The dividend in rax is divided by -1.
    DivideByMinusOne {
        size: Size,
        remainder: bool,
        back: Label,
    },
    /// A float has no integer of the wanted type. Back if it is the lowest one after all.
    BadTruncation {
        ty: ValType,
        source: Xmm,
        back: Option<Label>,
    },
}

/// What the hardware's answer to a truncation means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadTruncation {
    /// The float does not fit.
    Always,
    /// The float does not fit, or it is the lowest 64-bit integer.
    UnlessLowest,
}

impl Compiler {
    /// Traps here.
    pub(super) fn trap(&mut self, code: TrapCode) {
        self.emit_trap(code, self.operator);
    }

    /// Traps if the condition holds.
    pub(super) fn trap_if(&mut self, cond: Cond, code: TrapCode) {
        self.jump_to_cold(cond, What::Trap(code));
    }

    /// Traps, if the condition holds, because of the element at this address.
    pub(super) fn wrong_callee(&mut self, cond: Cond, element: Gpr) {
        self.jump_to_cold(cond, What::WrongCallee(element));
    }

    /// Divides by -1 out of line if the condition holds. Returns the label to bind behind the
    /// division.
    pub(super) fn divide_by_minus_one(&mut self, cond: Cond, size: Size, remainder: bool) -> Label {
        let back = self.asm.new_label();
        self.jump_to_cold(cond, What::DivideByMinusOne { size, remainder, back });
        back
    }

    /// Traps, if the condition holds, because a float has no integer.
    pub(super) fn bad_truncation(
        &mut self,
        cond: Cond,
        ty: ValType,
        source: Xmm,
        bad: BadTruncation,
    ) {
        let back = (bad == BadTruncation::UnlessLowest).then(|| self.asm.new_label());
        self.jump_to_cold(cond, What::BadTruncation { ty, source, back });
        if let Some(back) = back {
            self.bind_inside(back);
        }
    }

    pub(super) fn jump_to_cold(&mut self, cond: Cond, what: What) {
        let label = self.asm.new_label();
        self.asm.jcc(cond, label);
        self.cold.push(Cold { label, wasm_offset: self.operator, what });
    }

    /// Emits all stubs.
    pub(super) fn emit_cold(&mut self) {
        for at in 0..self.cold.len() {
            let Cold { label, wasm_offset, what } = self.cold[at];
            self.asm.bind(label);
            match what {
                What::Trap(code) => self.emit_trap(code, wasm_offset),
                What::OutOfFuel { units } => {
                    self.give_back(units);
                    self.emit_trap(TrapCode::OutOfFuel, wasm_offset);
                }
                What::Poll { back } => self.emit_poll(back, wasm_offset),
                What::WrongCallee(element) => {
                    let is_there = self.asm.new_label();
                    self.asm.alu_mi(Alu::Cmp, Size::S32, Mem::base(element, TYPE_ID), 0);
                    self.asm.jcc_short(Cond::Ne, is_there);
                    self.emit_trap(TrapCode::UninitializedElement, wasm_offset);
                    self.asm.bind(is_there);
                    self.emit_trap(TrapCode::IndirectCallTypeMismatch, wasm_offset);
                }
                What::DivideByMinusOne { remainder: true, back, .. } => {
                    self.asm.zero(Gpr::Rdx);
                    self.asm.jmp(back);
                }
                What::DivideByMinusOne { size, back, .. } => {
                    self.asm.neg_r(size, Gpr::Rax);
                    self.asm.jcc(Cond::No, back);
                    self.emit_trap(TrapCode::IntegerOverflow, wasm_offset);
                }
                What::BadTruncation { ty, source, back } => {
                    self.emit_bad_truncation(ty, source, back, wasm_offset);
                }
            }
        }
        self.cold.clear();
    }

    fn emit_bad_truncation(
        &mut self,
        ty: ValType,
        source: Xmm,
        back: Option<Label>,
        wasm_offset: u32,
    ) {
        let size = float_size_of(ty);
        let not_a_number = self.asm.new_label();
        self.asm.ucomis_rr(size, source, source);
        self.asm.jcc(Cond::P, not_a_number);
        if let Some(back) = back {
            let lowest = match ty {
                ValType::F32 => i64::from((-9_223_372_036_854_775_808.0_f32).to_bits()),
                _ => (-9_223_372_036_854_775_808.0_f64).to_bits().cast_signed(),
            };
            self.asm.mov_ri(size_of(ty), SCRATCH, lowest);
            self.asm.movd_xr(size_of(ty), FLOAT_SCRATCH, SCRATCH);
            self.asm.ucomis_rr(size, source, FLOAT_SCRATCH);
            self.asm.jcc(Cond::E, back);
        }
        self.emit_trap(TrapCode::IntegerOverflow, wasm_offset);
        self.asm.bind(not_a_number);
        self.emit_trap(TrapCode::InvalidConversionToInteger, wasm_offset);
    }

    /// The stub that the prologue's check jumps to; returns its offset. The frame may lie beyond
    /// the end of the stack, and raising the trap pushes: so rsp goes back to the frame's top.
    pub(super) fn emit_stack_overflow(&mut self) -> u32 {
        let offset = self.asm.offset();
        self.asm.mov_rr(Size::S64, Gpr::Rsp, Gpr::Rbp);
        self.emit_trap(TrapCode::StackOverflow, self.body_start);
        offset
    }

    pub(super) fn emit_trap(&mut self, code: TrapCode, wasm_offset: u32) {
        self.traps.push(TrapSite { offset: self.asm.offset(), code, wasm_offset });
        self.asm.call_m(Mem::base(VMCTX, RAISE_TRAP));
    }
}
