//! Functions seen from outside: signatures, parameters and results, direct calls, the stack check.
//!
//! The IR's signatures have the parameters and the results that travel in registers, so that
//! Cranelift assigns the same locations as [`abi::Signature`]. Results beyond them are stored in the
//! return area, whose address is a last parameter of its own.

use std::collections::HashMap;

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{
    AbiParam, ExtFuncData, ExternalName, FuncRef, InstBuilder, MemFlagsData, Signature, StackSlot,
    StackSlotData, StackSlotKind, UserExternalName, Value,
};
use cranelift_codegen::isa::CallConv;

use super::{Translator, machine};
use crate::compile::abi::{self, Location};
use crate::error::{LoadError, TrapCode};
use crate::module::FuncType;

/// The callees that a function's IR has declared so far, and what its calls share.
#[derive(Default)]
pub(super) struct Callees {
    /// By function index.
    functions: HashMap<u32, FuncRef>,
    /// Where the callees' return areas are: one slot, as large as the largest. What a call left
    /// there is loaded before the next.
    return_area: Option<StackSlot>,
    /// The operands of the call that is being made.
    operands: Vec<Value>,
}

impl Callees {
    pub(super) fn clear(&mut self) {
        self.functions.clear();
        self.return_area = None;
    }
}

impl Translator<'_> {
    /// The IR's signature for functions of this type.
    fn signature(&self, ty: &FuncType, abi: &abi::Signature) -> Result<Signature, LoadError> {
        let mut signature = Signature::new(CallConv::Tail);
        for param in ty.params() {
            signature.params.push(AbiParam::new(self.clif_type(*param)?));
        }
        if abi.return_area.is_some() {
            signature.params.push(AbiParam::new(I64));
        }
        for (result, location) in ty.results().iter().zip(&abi.results) {
            let result = self.clif_type(*result)?;
            match location {
                Location::Gpr(_) | Location::Xmm(_) => {
                    signature.returns.push(AbiParam::new(result))
                }
                Location::Memory(_) => {}
            }
        }
        Ok(signature)
    }

    /// Declares this function's signature and takes its parameters.
    pub(super) fn receive_params(&mut self) -> Result<(), LoadError> {
        let ty = self.info.function_type(self.function);
        let abi = abi::Signature::of(ty);
        self.builder.func.signature = self.signature(ty, &abi)?;
        self.builder.append_block_params_for_function_params(self.entry);
        if abi.return_area.is_some() {
            self.return_area = self.builder.block_params(self.entry).last().copied();
        }
        Ok(())
    }

    /// Traps if the frame reaches below the stack's limit. A function that calls nothing needs no
    /// check: if its frame is large, the prologue touches every page of it, and the stack ends in
    /// pages that fault.
    pub(super) fn check_stack(&mut self) {
        let vmctx = self.vmctx();
        let stack = self.builder.ins().get_stack_pointer(I64);
        let limit = self.builder.ins().load(I64, MemFlagsData::trusted(), vmctx, abi::STACK_LIMIT);
        let over = self.builder.ins().icmp(IntCC::UnsignedLessThan, stack, limit);
        self.builder.ins().trapnz(over, machine::to_clif(TrapCode::StackOverflow));
    }

    /// The instance's context: read at most once, at the start of the entry block, because Cranelift
    /// makes each read a move of its own.
    pub(super) fn vmctx(&mut self) -> Value {
        *self.vmctx.get_or_insert_with(|| {
            FuncCursor::new(self.builder.func)
                .at_first_insertion_point(self.entry)
                .ins()
                .get_pinned_reg(I64)
        })
    }

    /// Returns with the topmost operands.
    pub(super) fn emit_return(&mut self) {
        let ty = self.info.function_type(self.function);
        let first = self.state.values.len() - ty.results().len();
        let Some(area) = self.return_area else {
            self.builder.ins().return_(&self.state.values[first..]);
            return;
        };
        let abi = abi::Signature::of(ty);
        let mut in_registers = Vec::with_capacity(abi.results.len());
        for (value, location) in self.state.values[first..].iter().zip(&abi.results) {
            match location {
                Location::Gpr(_) | Location::Xmm(_) => in_registers.push(*value),
                Location::Memory(offset) => {
                    let flags = MemFlagsData::trusted();
                    self.builder.ins().store(flags, *value, area, *offset as i32);
                }
            }
        }
        self.builder.ins().return_(&in_registers);
    }

    pub(super) fn call(&mut self, function: u32) -> Result<(), LoadError> {
        if function < self.info.imported_functions {
            return Err(self.unsupported("calls to imported functions".to_string()));
        }
        let ty = self.info.function_type(function);
        // Fewer results than either kind of register always travel in registers.
        let abi = match ty.results().len() {
            0..=8 => None,
            _ => Some(abi::Signature::of(ty)).filter(|abi| abi.return_area.is_some()),
        };
        let callee = self.callee(function, ty)?;
        let first = self.state.values.len() - ty.params().len();
        let mut operands = std::mem::take(&mut self.state.callees.operands);
        operands.clear();
        operands.extend(self.state.values.drain(first..));
        let area = abi.as_ref().map(|abi| self.return_area_of_callees(abi.return_area_bytes));
        operands.extend(area);
        let call = self.builder.ins().call(callee, &operands);
        self.state.callees.operands = operands;

        let results = self.builder.func.dfg.inst_results(call);
        let (Some(abi), Some(area)) = (abi, area) else {
            self.state.values.extend_from_slice(results);
            return Ok(());
        };
        let mut in_registers = 0;
        for (result, location) in ty.results().iter().zip(&abi.results) {
            let value = match location {
                Location::Gpr(_) | Location::Xmm(_) => {
                    in_registers += 1;
                    self.builder.func.dfg.inst_results(call)[in_registers - 1]
                }
                Location::Memory(offset) => {
                    let (ty, flags) = (self.clif_type(*result)?, MemFlagsData::trusted());
                    self.builder.ins().load(ty, flags, area, *offset as i32)
                }
            };
            self.push(value);
        }
        Ok(())
    }

    /// The reference to a defined function, near enough for a direct call.
    fn callee(&mut self, function: u32, ty: &FuncType) -> Result<FuncRef, LoadError> {
        if let Some(callee) = self.state.callees.functions.get(&function) {
            return Ok(*callee);
        }
        let signature = self.signature(ty, &abi::Signature::of(ty))?;
        let signature = self.builder.import_signature(signature);
        let name = UserExternalName::new(0, function);
        let name = self.builder.func.declare_imported_user_function(name);
        let callee = self.builder.import_function(ExtFuncData {
            name: ExternalName::user(name),
            signature,
            colocated: true,
            patchable: false,
        });
        self.state.callees.functions.insert(function, callee);
        Ok(callee)
    }

    /// The address of room for a callee's results.
    fn return_area_of_callees(&mut self, bytes: u32) -> Value {
        let slot = match self.state.callees.return_area {
            Some(slot) => slot,
            None => self.builder.create_sized_stack_slot(StackSlotData::new(
                StackSlotKind::ExplicitSlot,
                bytes,
                4,
            )),
        };
        self.state.callees.return_area = Some(slot);
        let size = &mut self.builder.func.sized_stack_slots[slot].size;
        *size = bytes.max(*size);
        self.builder.ins().stack_addr(I64, slot, 0)
    }
}
