//! Globals.

use super::Compiler;
use super::registers::{Operand, float_size_of, imm32, size_of};
use crate::compile::abi::{Place, SCRATCH};
use crate::module::ValType;

impl Compiler {
    pub(super) fn global_get(&mut self, global: u32, ty: ValType) {
        let place = self.layout.global(global);
        if ty.is_vector_class() {
            let dst = self.xmm_for_result(Operand::Const(0), Operand::Const(0));
            let value = self.field(place, 0, SCRATCH);
            match ty {
                ValType::V128 => self.asm.movups_rm(dst, value),
                _ => self.asm.movs_rm(float_size_of(ty), dst, value),
            }
            self.push_xmm(ty, dst);
        } else {
            let dst = self.gpr_for_any_result();
            let value = self.field(place, 0, dst);
            self.asm.mov_rm(size_of(ty), dst, value);
            self.push_gpr(ty, dst);
        }
    }

    pub(super) fn global_set(&mut self, global: u32, ty: ValType) {
        let operand = self.pop();
        let place = self.layout.global(global);
        // The scratch register is for the value, if it takes two moves.
        let takes_one_move = match operand {
            // A vector's value goes through its own scratch register.
            _ if ty == ValType::V128 => true,
            Operand::Const(bits) => imm32(size_of(ty), bits).is_some(),
            Operand::Gpr(_) | Operand::Xmm(_) => true,
            Operand::Slot(_) | Operand::Flags(_) | Operand::Memory => false,
        };
        let pointer = match place {
            Place::Behind(_) if !takes_one_move => self.take_gpr(),
            _ => SCRATCH,
        };
        let value = self.field(place, 0, pointer);
        self.store(ty, value, operand);
        self.release(Operand::Gpr(pointer));
        self.release(operand);
    }
}
