//! Tables and references.
//!
//! A reference is 64 bits, null is 0. A table of functions has [`VmTableFunction`]s, copies of what
//! the references in it point to; any other table has the references themselves.

use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};

use super::{Region, Translator, machine};
use crate::compile::abi::{Builtin, VmContext, VmFuncRef, VmFunction, VmTable, VmTableFunction};
use crate::error::{LoadError, TrapCode};
use crate::module::{ELEMENTS_LOG, ValType};

const BASE: i32 = offset_of!(VmTable, base) as i32;
const LEN: i32 = offset_of!(VmTable, len) as i32;

// Where a [`VmTableFunction`] and a [`VmFuncRef`] have the same.
const CODE: (i32, i32) = {
    let code = offset_of!(VmFunction, code);
    ((TABLE_FUNCTION + code) as i32, (offset_of!(VmFuncRef, function) + code) as i32)
};
const VMCTX: (i32, i32) = {
    let vmctx = offset_of!(VmFunction, vmctx);
    ((TABLE_FUNCTION + vmctx) as i32, (offset_of!(VmFuncRef, function) + vmctx) as i32)
};
const TYPE_ID: (i32, i32) =
    (offset_of!(VmTableFunction, type_id) as i32, offset_of!(VmFuncRef, type_id) as i32);

const TABLE_FUNCTION: usize = offset_of!(VmTableFunction, function);
const FUNC_REF: i32 = offset_of!(VmTableFunction, func_ref) as i32;

const _: () = assert!(size_of::<VmTableFunction>().is_power_of_two());

impl Translator<'_> {
    /// The index of something, as an argument.
    pub(super) fn index(&mut self, index: u32) -> Value {
        self.builder.ins().iconst(I64, i64::from(index))
    }

    /// Pops an i32, as an argument.
    pub(super) fn pop_u64(&mut self) -> Value {
        let value = self.pop();
        self.builder.ins().uextend(I64, value)
    }

    pub(super) fn trap_if(&mut self, condition: Value, code: TrapCode) {
        self.builder.ins().trapnz(condition, machine::to_clif(code));
    }

    fn holds_functions(&self, table: u32) -> bool {
        self.info.tables[table as usize].element == ValType::FuncRef
    }

    /// Pops an index. Returns the element's address; traps with `code` if there is none.
    fn element(&mut self, table: u32, code: TrapCode) -> Value {
        let index = self.pop_u64();
        let place = self.layout.table(table);
        let len = self.load_header(place, LEN);
        let outside = self.builder.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, index, len);
        self.trap_if(outside, code);
        let base = self.load_header(place, BASE);
        let size = match self.holds_functions(table) {
            true => size_of::<VmTableFunction>(),
            false => size_of::<u64>(),
        };
        let offset = self.builder.ins().ishl_imm_u(index, i64::from(size.trailing_zeros()));
        self.builder.ins().iadd(base, offset)
    }

    pub(super) fn table_get(&mut self, table: u32) -> Result<(), LoadError> {
        let element = self.element(table, TrapCode::TableOutOfBounds);
        let flags = self.trusted(Region::Elements);
        let offset = if self.holds_functions(table) { FUNC_REF } else { 0 };
        let reference = self.builder.ins().load(I64, flags, element, offset);
        self.push(reference);
        Ok(())
    }

    pub(super) fn table_set(&mut self, table: u32) -> Result<(), LoadError> {
        let reference = self.pop();
        let element = self.element(table, TrapCode::TableOutOfBounds);
        let flags = self.trusted(Region::Elements);
        if !self.holds_functions(table) {
            self.builder.ins().store(flags, reference, element, 0);
            return Ok(());
        }
        let [code, vmctx, type_id] = self.fields_of(reference);
        // Null in between: a guest can be interrupted at each instruction, and nobody may then call
        // the new function as one of the old type.
        let null = self.builder.ins().iconst(I64, 0);
        self.builder.ins().istore32(flags, null, element, TYPE_ID.0);
        self.builder.ins().store(flags, code, element, CODE.0);
        self.builder.ins().store(flags, vmctx, element, VMCTX.0);
        self.builder.ins().istore32(flags, type_id, element, TYPE_ID.0);
        self.builder.ins().store(flags, reference, element, FUNC_REF);
        Ok(())
    }

    /// What the reference to a function points to, field by field; zeros for the null reference.
    ///
    /// Without a branch, which would cost the register allocator more than the machine: for the null
    /// reference, something that is there in any case is read and masked out.
    fn fields_of(&mut self, reference: Value) -> [Value; 3] {
        const _: () = assert!(size_of::<VmContext>() >= size_of::<VmFuncRef>());
        let other = self.vmctx();
        let from = self.builder.ins().select(reference, reference, other);
        let mask = self.builder.ins().bmask(I64, reference);
        let flags = MemFlagsData::trusted();
        let code = self.builder.ins().load(I64, flags, from, CODE.1);
        let vmctx = self.builder.ins().load(I64, flags, from, VMCTX.1);
        let type_id = self.builder.ins().uload32(flags, from, TYPE_ID.1);
        [code, vmctx, type_id].map(|field| self.builder.ins().band(field, mask))
    }

    pub(super) fn table_size(&mut self, table: u32) -> Result<(), LoadError> {
        let len = self.load_header(self.layout.table(table), LEN);
        let len = self.builder.ins().ireduce(I32, len);
        self.push(len);
        Ok(())
    }

    pub(super) fn table_grow(&mut self, table: u32) -> Result<(), LoadError> {
        self.charge_length(ELEMENTS_LOG);
        let (count, reference) = (self.pop_u64(), self.pop());
        let table = self.index(table);
        let before = self.call_builtin(Builtin::TableGrow, &[table, reference, count]);
        let before = self.builder.ins().ireduce(I32, before);
        self.push(before);
        Ok(())
    }

    pub(super) fn table_fill(&mut self, table: u32) -> Result<(), LoadError> {
        self.charge_length(ELEMENTS_LOG);
        let (count, reference, start) = (self.pop_u64(), self.pop(), self.pop_u64());
        let table = self.index(table);
        let failed = self.call_builtin(Builtin::TableFill, &[table, start, reference, count]);
        self.trap_if(failed, TrapCode::TableOutOfBounds);
        Ok(())
    }

    pub(super) fn table_copy(&mut self, to: u32, from: u32) -> Result<(), LoadError> {
        self.charge_length(ELEMENTS_LOG);
        let (length, source, destination) = (self.pop_u64(), self.pop_u64(), self.pop_u64());
        let (to, from) = (self.index(to), self.index(from));
        let args = [to, from, destination, source, length];
        let failed = self.call_builtin(Builtin::TableCopy, &args);
        self.trap_if(failed, TrapCode::TableOutOfBounds);
        Ok(())
    }

    pub(super) fn table_init(&mut self, segment: u32, table: u32) -> Result<(), LoadError> {
        self.charge_length(ELEMENTS_LOG);
        let (length, source, destination) = (self.pop_u64(), self.pop_u64(), self.pop_u64());
        let (table, segment) = (self.index(table), self.index(segment));
        let args = [table, segment, destination, source, length];
        let failed = self.call_builtin(Builtin::TableInit, &args);
        self.trap_if(failed, TrapCode::TableOutOfBounds);
        Ok(())
    }

    pub(super) fn elem_drop(&mut self, segment: u32) -> Result<(), LoadError> {
        let segment = self.index(segment);
        self.call_builtin(Builtin::ElemDrop, &[segment]);
        Ok(())
    }

    pub(super) fn ref_func(&mut self, function: u32) -> Result<(), LoadError> {
        let index = self.info.escaping_index(function).expect("a declared function");
        let vmctx = self.vmctx();
        let offset = i64::from(self.layout.func_ref(index));
        let reference = self.builder.ins().iadd_imm_s(vmctx, offset);
        self.push(reference);
        Ok(())
    }

    pub(super) fn call_indirect(&mut self, ty: u32, table: u32) -> Result<(), LoadError> {
        let element = self.element(table, TrapCode::UndefinedElement);
        self.check_type(element, ty);
        let flags = self.trusted(Region::Elements);
        self.call_at(ty, element, TABLE_FUNCTION as i32, flags);
        Ok(())
    }

    /// Traps unless the element of a table is a function of this type. What kind of trap it is
    /// matters only once it is clear that there is one.
    fn check_type(&mut self, element: Value, ty: u32) {
        let flags = self.trusted(Region::Elements);
        let found = self.builder.ins().load(I32, flags, element, TYPE_ID.0);
        let wanted = i64::from(self.type_ids[ty as usize]);
        let fits = self.builder.ins().icmp_imm_u(IntCC::Equal, found, wanted);
        let (next, differs) = (self.builder.create_block(), self.builder.create_block());
        self.builder.set_cold_block(differs);
        self.builder.ins().brif(fits, next, &[], differs, &[]);
        self.builder.seal_block(differs);
        self.builder.switch_to_block(differs);
        self.builder.ins().trapz(found, machine::to_clif(TrapCode::UninitializedElement));
        self.builder.ins().trap(machine::to_clif(TrapCode::IndirectCallTypeMismatch));
        self.builder.seal_block(next);
        self.builder.switch_to_block(next);
    }
}
