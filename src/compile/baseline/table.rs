//! Tables and references.
//!
//! A reference is 64 bits, null is 0. A table of functions has [`VmTableFunction`]s, copies of what
//! the references in it point to; any other table has the references themselves.

use std::mem::offset_of;

use super::Compiler;
use super::calls::Callee;
use super::registers::Operand;
use crate::asm::{Alu, Cond, Gpr, GprSet, Mem, Scale, Shift, Size};
use crate::compile::abi::{
    FLOAT_SCRATCH, SCRATCH, VMCTX, VmFuncRef, VmFunction, VmTable, VmTableFunction,
};
use crate::error::TrapCode;
use crate::module::{FuncType, TableType, ValType};

const BASE: i32 = offset_of!(VmTable, base) as i32;
const LEN: i32 = offset_of!(VmTable, len) as i32;

const FUNCTION: i32 = offset_of!(VmTableFunction, function) as i32;
pub(super) const TYPE_ID: i32 = offset_of!(VmTableFunction, type_id) as i32;
const FUNC_REF: i32 = offset_of!(VmTableFunction, func_ref) as i32;

/// The binary logarithm of an element's size.
const LOG_SIZE: u8 = size_of::<VmTableFunction>().trailing_zeros() as u8;

const _: () = assert!(size_of::<VmTableFunction>() == 1 << LOG_SIZE);
// Moved as a whole: see `table_set`.
const _: () = assert!(size_of::<VmFunction>() == 16);

/// Registers that no argument travels in, so that what is called can be found through them.
const NO_ARGUMENTS: [Gpr; 2] = [Gpr::Rax, Gpr::R10];

/// Elements.
impl Compiler {
    /// Traps with `code` unless the table has an element of this index, which is in a register,
    /// zero-extended.
    fn check_index(&mut self, index: Gpr, table: u32, ty: &TableType, code: TrapCode) {
        match ty.max {
            // It can neither grow nor be imported with another size.
            Some(max) if max == ty.min && i32::try_from(max).is_ok() => {
                self.asm.alu_ri(Alu::Cmp, Size::S32, index, max as i32);
            }
            _ => {
                // The number of elements is less than 2^32.
                let len = self.field(self.layout.table(table), LEN, SCRATCH);
                self.asm.alu_rm(Alu::Cmp, Size::S32, index, len);
            }
        }
        self.trap_if(Cond::Ae, code);
    }

    /// Makes an index, which is in this register, zero-extended, the address of an element of a
    /// table of functions.
    fn element(&mut self, index: Gpr, table: u32, ty: &TableType, code: TrapCode) {
        self.check_index(index, table, ty, code);
        self.asm.shift_ri(Shift::Shl, Size::S64, index, LOG_SIZE);
        let base = self.field(self.layout.table(table), BASE, SCRATCH);
        self.asm.alu_rm(Alu::Add, Size::S64, index, base);
    }

    /// The index in a register of its own, zero-extended.
    fn own_index(&mut self, index: Operand) -> Gpr {
        let own = match index {
            Operand::Gpr(register) if self.is_temporary(index) => register,
            _ => self.take_gpr(),
        };
        self.load_zero_extended(own, index);
        own
    }

    pub(super) fn table_get(&mut self, table: u32, ty: &TableType) {
        let index = self.pop();
        let index = self.own_index(index);
        if ty.element == ValType::FuncRef {
            self.element(index, table, ty, TrapCode::TableOutOfBounds);
            self.asm.mov_rm(Size::S64, index, Mem::base(index, FUNC_REF));
        } else {
            self.check_index(index, table, ty, TrapCode::TableOutOfBounds);
            let base = self.field(self.layout.table(table), BASE, SCRATCH);
            self.asm.mov_rm(Size::S64, SCRATCH, base);
            self.asm.mov_rm(Size::S64, index, Mem::indexed(SCRATCH, index, Scale::X8, 0));
        }
        self.push_gpr(ty.element, index);
    }

    pub(super) fn table_set(&mut self, table: u32, ty: &TableType) {
        let reference = self.pop();
        let index = self.pop();
        let index = self.own_index(index);
        if ty.element == ValType::FuncRef {
            self.element(index, table, ty, TrapCode::TableOutOfBounds);
            self.set_function(index, reference);
        } else {
            self.check_index(index, table, ty, TrapCode::TableOutOfBounds);
            let base = self.field(self.layout.table(table), BASE, SCRATCH);
            self.asm.mov_rm(Size::S64, SCRATCH, base);
            self.asm.lea(Size::S64, index, Mem::indexed(SCRATCH, index, Scale::X8, 0));
            self.store(ValType::I64, Mem::base(index, 0), reference);
        }
        self.release(Operand::Gpr(index));
        self.release(reference);
    }

    /// Copies what the reference points to into an element: zeros for the null reference.
    fn set_function(&mut self, element: Gpr, reference: Operand) {
        let reference = match reference {
            Operand::Gpr(register) => register,
            _ => {
                let register = self.take_gpr();
                self.load_gpr(Size::S64, register, reference);
                register
            }
        };
        let null = self.asm.new_label();
        self.asm.mov_mr(Size::S64, Mem::base(element, FUNC_REF), reference);
        self.asm.xorps_rr(FLOAT_SCRATCH, FLOAT_SCRATCH);
        self.asm.zero(SCRATCH);
        self.asm.test_rr(Size::S64, reference, reference);
        self.asm.jcc_short(Cond::E, null);
        let function = offset_of!(VmFuncRef, function) as i32;
        let type_id = offset_of!(VmFuncRef, type_id) as i32;
        self.asm.movups_rm(FLOAT_SCRATCH, Mem::base(reference, function));
        self.asm.mov_rm(Size::S32, SCRATCH, Mem::base(reference, type_id));
        self.bind_inside(null);
        // Null in between: a guest can be interrupted at each instruction, and nobody may then call
        // the new function as one of the old type.
        self.asm.mov_mi(Size::S32, Mem::base(element, TYPE_ID), 0);
        self.asm.movups_mr(Mem::base(element, FUNCTION), FLOAT_SCRATCH);
        self.asm.mov_mr(Size::S32, Mem::base(element, TYPE_ID), SCRATCH);
        self.release(Operand::Gpr(reference));
    }

    pub(super) fn table_size(&mut self, table: u32) {
        let dst = self.gpr_for_any_result();
        let len = self.field(self.layout.table(table), LEN, dst);
        self.asm.mov_rm(Size::S32, dst, len);
        self.push_gpr(ValType::I32, dst);
    }
}

/// Functions.
impl Compiler {
    /// The reference to the function at this place of
    /// [`escaping`](crate::module::ModuleInfo::escaping).
    pub(super) fn ref_func(&mut self, escaping: usize) {
        self.reads_context = true;
        let dst = self.gpr_for_any_result();
        self.asm.lea(Size::S64, dst, Mem::base(VMCTX, self.layout.func_ref(escaping)));
        self.push_gpr(ValType::FuncRef, dst);
    }

    pub(super) fn call_indirect(
        &mut self,
        ty: &FuncType,
        type_id: u32,
        table: u32,
        table_type: &TableType,
    ) {
        let index = self.pop();
        let element = match index {
            Operand::Gpr(register) if NO_ARGUMENTS.contains(&register) => register,
            _ => {
                let free = self.registers.free_gprs;
                let register = NO_ARGUMENTS.into_iter().find(|register| free.contains(*register));
                let register = register.unwrap_or(Gpr::R10);
                self.take_this_gpr(register, GprSet::EMPTY);
                register
            }
        };
        self.load_zero_extended(element, index);
        if index != Operand::Gpr(element) {
            self.release(index);
        }
        self.element(element, table, table_type, TrapCode::UndefinedElement);
        let found = Mem::base(element, TYPE_ID);
        self.asm.alu_mi(Alu::Cmp, Size::S32, found, type_id.cast_signed());
        self.wrong_callee(Cond::Ne, element);
        self.call(Callee::At(element, FUNCTION), ty);
    }
}
