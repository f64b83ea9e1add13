//! Calls: direct ones, of imports, and of what a table's element refers to.
//!
//! Owns the caller's side of the calling convention. Below the frame a call has
//!
//! ```text
//! return area          results that find no register; popped here
//! stack arguments      popped by the callee
//! return address
//! ```
//!
//! Locals survive: their homes are slots or callee-saved registers, or they are kept in a slot meanwhile;
//! parameters that are in a register besides are in their slots alone behind it. Temporaries do not: those
//! that are no arguments are spilled first.
//!
//! A callee that may belong to another instance gets its own context, and the caller's waits in the
//! frame, in the canonical slot above all operands.

use std::mem::offset_of;

use super::frame::Kept;
use super::registers::{Operand, size_of, slot};
use super::{CALLEES, Compiler};
use crate::asm::{Alu, Gpr, Mem, Size};
use crate::compile::abi::{
    CALLEE_SAVED, FLOAT_SCRATCH, Location, SCRATCH, Signature, VMCTX, VmFunction,
};
use crate::compile::{CallSite, Relocation};
use crate::module::{FuncType, ValType};

/// What is called.
#[derive(Clone, Copy, Debug)]
pub(super) enum Callee {
    /// The function with this index, which the module defines.
    Defined(u32),
    /// What the [`VmFunction`] says that is this far from the address in a register, in which no
    /// argument travels.
    At(Gpr, i32),
}

impl Compiler {
    pub(super) fn call(&mut self, callee: Callee, ty: &FuncType) {
        if self.is_too_large() {
            return self.set_unreachable();
        }
        self.remember_callee(ty);
        let base = self.stack.len() - ty.params().len();
        self.spill_temporaries_below(base);
        self.save_kept_homes();

        let stack_bytes = self.callee().stack_bytes;
        let outgoing = stack_bytes + self.callee().return_area_bytes;
        self.frame.outgoing_bytes = self.frame.outgoing_bytes.max(outgoing);
        if outgoing > 0 {
            self.asm.alu_ri(Alu::Sub, Size::S64, Gpr::Rsp, outgoing as i32);
        }
        self.pass_arguments(base, ty.params());
        self.pass_return_area(stack_bytes);
        match callee {
            Callee::Defined(function) => {
                let field = self.asm.call_rel32_placeholder();
                self.relocations.push(Relocation { offset: field, function });
                self.note_call();
            }
            Callee::At(register, offset) => self.call_with_context(register, offset),
        }

        self.stack.truncate(base);
        self.stop_lingering();
        self.registers.free_all();
        self.take_results(ty.results());
        let area = self.callee().return_area_bytes;
        if area > 0 {
            self.asm.alu_ri(Alu::Add, Size::S64, Gpr::Rsp, area as i32);
        }
    }

    /// Makes this the type of what is being called.
    fn remember_callee(&mut self, ty: &FuncType) {
        self.callee = ty.address() / 16 % CALLEES;
        let (known, signature) = &mut self.callees[self.callee];
        if known.as_ref().is_none_or(|known| known.address() != ty.address()) {
            signature.assign(ty);
            *known = Some(ty.clone());
        }
    }

    /// The signature of what is being called.
    #[inline]
    fn callee(&self) -> &Signature {
        &self.callees[self.callee].1
    }

    fn note_call(&mut self) {
        self.calls.push(CallSite { return_offset: self.asm.offset(), wasm_offset: self.operator });
    }

    /// Calls what the [`VmFunction`] at this address says. Only then are the arguments' entries
    /// popped, so that nobody has the slot above them.
    fn call_with_context(&mut self, register: Gpr, offset: i32) {
        let own = slot(self.frame.operand_slot(self.stack.len()));
        self.asm.mov_mr(Size::S64, own, VMCTX);
        let [code, vmctx] = [offset_of!(VmFunction, code), offset_of!(VmFunction, vmctx)]
            .map(|field| Mem::base(register, offset + field as i32));
        if register == VMCTX {
            self.asm.mov_rm(Size::S64, SCRATCH, code);
            self.asm.mov_rm(Size::S64, VMCTX, vmctx);
            self.asm.call_r(SCRATCH);
        } else {
            self.asm.mov_rm(Size::S64, VMCTX, vmctx);
            self.asm.call_m(code);
        }
        self.note_call();
        self.asm.mov_rm(Size::S64, VMCTX, own);
    }

    /// Spills what the call would destroy and is not an argument.
    pub(super) fn spill_temporaries_below(&mut self, base: usize) {
        for at in self.stack.settled()..base {
            if self.stack.get(at).is_temporary() {
                self.spill(at);
            }
        }
    }

    /// Saves the homes that a call overwrites.
    pub(super) fn save_kept_homes(&mut self) {
        for at in 0..self.frame.kept.len() {
            let Kept { ty, register, slot: offset } = self.frame.kept[at];
            self.store(ty, slot(offset), register);
        }
    }

    /// Restores them, the memory's base and the fuel that is left. None of the instructions touches the flags.
    pub(super) fn restore_kept_homes(&mut self) {
        for at in 0..self.frame.kept.len() {
            let Kept { ty, register, slot: offset } = self.frame.kept[at];
            match register {
                Operand::Xmm(home) => self.load_xmm(ty, home, Operand::Slot(offset)),
                Operand::Gpr(home) => {
                    self.load_gpr_keeping_flags(size_of(ty), home, Operand::Slot(offset));
                }
                _ => debug_assert!(false, "a home in {register:?}"),
            }
        }
        if let Some(home) = self.memory_base
            && !CALLEE_SAVED.contains(home)
        {
            self.load_memory_base(0, home);
        }
        // That has changed anyway.
        self.reload_fuel();
    }

    fn pass_arguments(&mut self, base: usize, params: &[ValType]) {
        self.moves.clear();
        for (at, ty) in params.iter().enumerate() {
            let operand = self.operand_at(base + at);
            match self.callee().params[at] {
                Location::Gpr(register) => self.moves.set_gpr(register, *ty, operand),
                Location::Xmm(register) => self.moves.set_xmm(register, *ty, operand),
                Location::Memory(offset) => {
                    self.store(*ty, Mem::base(Gpr::Rsp, offset as i32), operand);
                }
            }
        }
    }

    /// Emits the moves of the arguments, and then the address of the return area, which may go
    /// where an argument was.
    fn pass_return_area(&mut self, stack_bytes: u32) {
        let area = Mem::base(Gpr::Rsp, stack_bytes as i32);
        if let Some(Location::Memory(offset)) = self.callee().return_area {
            self.asm.lea(Size::S64, SCRATCH, area);
            self.asm.mov_mr(Size::S64, Mem::base(Gpr::Rsp, offset as i32), SCRATCH);
        }
        self.emit_moves();
        if let Some(Location::Gpr(register)) = self.callee().return_area {
            self.asm.lea(Size::S64, register, area);
        }
    }

    /// Results in registers stay there, except in registers that are homes: those, and what is in the
    /// return area, move to their canonical slots.
    fn take_results(&mut self, results: &[ValType]) {
        // First all registers, before pushing anything can ask for one.
        for (at, ty) in results.iter().enumerate() {
            let result = match self.callee().results[at] {
                Location::Gpr(register) => Operand::Gpr(register),
                Location::Xmm(register) => Operand::Xmm(register),
                Location::Memory(_) => continue,
            };
            if !self.is_temporary(result) {
                let place = self.frame.operand_slot(self.stack.len() + at);
                self.store(*ty, slot(place), result);
                continue;
            }
            match result {
                Operand::Gpr(register) => self.registers.free_gprs.remove(register),
                Operand::Xmm(register) => self.registers.free_xmms.remove(register),
                _ => {}
            }
        }
        // Pushing may spill what stands for a local.
        self.restore_kept_homes();
        for (at, ty) in results.iter().enumerate() {
            let operand = match self.callee().results[at] {
                Location::Gpr(register) if self.registers.gprs.contains(register) => {
                    Operand::Gpr(register)
                }
                Location::Xmm(register) if self.registers.xmms.contains(register) => {
                    Operand::Xmm(register)
                }
                Location::Gpr(_) | Location::Xmm(_) => {
                    Operand::Slot(self.frame.operand_slot(self.stack.len()))
                }
                Location::Memory(offset) => {
                    let place = self.frame.operand_slot(self.stack.len());
                    let source = Mem::base(Gpr::Rsp, offset as i32);
                    if *ty == ValType::V128 {
                        self.asm.movups_rm(FLOAT_SCRATCH, source);
                        self.asm.movups_mr(slot(place), FLOAT_SCRATCH);
                    } else {
                        self.asm.mov_rm(Size::S64, SCRATCH, source);
                        self.asm.mov_mr(Size::S64, slot(place), SCRATCH);
                    }
                    Operand::Slot(place)
                }
            };
            self.push(*ty, operand);
        }
    }
}
