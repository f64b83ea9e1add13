//! Taking fuel: where the plan says so, and by the length of bulk operators.
//!
//! The context always has what is left, so that whoever stops the function sees it. A function with
//! loops keeps it in a register besides, because a loop that reads what the iteration before has
//! written waits for the memory; it is read again after every call.

use super::Compiler;
use super::cold::What;
use super::registers::Operand;
use crate::asm::{Alu, Cond, Mem, Shift, Size};
use crate::compile::abi::{SCRATCH, VMCTX};
use crate::error::TrapCode;

impl Compiler {
    /// The place of the fuel that is left.
    fn fuel(&mut self) -> Option<Mem> {
        let offset = self.layout.fuel?;
        self.reads_context = true;
        Some(Mem::base(VMCTX, offset))
    }

    /// Takes so much fuel, or traps and takes nothing. Clobbers the flags.
    pub(super) fn charge(&mut self, units: u32) {
        let Some(fuel) = self.fuel() else { return };
        self.zero_flag = None;
        let units = units as i32;
        match self.fuel_home {
            Some(home) => {
                self.asm.alu_ri(Alu::Add, Size::S64, home, units);
                self.trap_if(Cond::B, TrapCode::OutOfFuel);
                self.asm.mov_mr(Size::S64, fuel, home);
            }
            None => {
                self.asm.alu_mi(Alu::Add, Size::S64, fuel, units);
                self.jump_to_cold(Cond::B, What::OutOfFuel { units });
            }
        }
    }

    /// Gives back what a charge took that was too much.
    pub(super) fn give_back(&mut self, units: i32) {
        if let Some(fuel) = self.fuel() {
            self.asm.alu_mi(Alu::Sub, Size::S64, fuel, units);
        }
    }

    /// Takes one unit for each two to the power of `log` that a bulk operator works on: the topmost
    /// operand says how many that is.
    pub(super) fn charge_length(&mut self, log: u8) {
        let Some(fuel) = self.fuel() else { return };
        let length = self.operand_at(self.stack.len() - 1);
        if let Operand::Const(length) = length {
            let units = length as u32 >> log;
            if units > 0 {
                self.charge(units);
            }
            return;
        }
        self.zero_flag = None;
        self.load_zero_extended(SCRATCH, length);
        self.asm.shift_ri(Shift::Shr, Size::S32, SCRATCH, log);
        match self.fuel_home {
            Some(home) => self.asm.alu_rr(Alu::Add, Size::S64, SCRATCH, home),
            None => self.asm.alu_rm(Alu::Add, Size::S64, SCRATCH, fuel),
        }
        self.trap_if(Cond::B, TrapCode::OutOfFuel);
        self.asm.mov_mr(Size::S64, fuel, SCRATCH);
        if let Some(home) = self.fuel_home {
            self.asm.mov_rr(Size::S64, home, SCRATCH);
        }
    }

    /// Reads what is left after anything that may have taken of it. Keeps the flags.
    pub(super) fn reload_fuel(&mut self) {
        if let Some(home) = self.fuel_home
            && let Some(fuel) = self.fuel()
        {
            self.asm.mov_rm(Size::S64, home, fuel);
        }
    }
}
