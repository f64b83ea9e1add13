//! Functions seen from outside: signatures, parameters and results, calls, the stack check.
//!
//! The IR's signatures have the parameters and the results that travel in registers, so that
//! Cranelift assigns the same locations as [`abi::Signature`]. Results beyond them are stored in the
//! return area, whose address is a last parameter of its own.

use std::collections::HashMap;
use std::mem::offset_of;

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{
    AbiParam, ExtFuncData, ExternalName, FuncRef, InstBuilder, MemFlagsData, SigRef, Signature,
    StackSlot, StackSlotData, StackSlotKind, UserExternalName, Value,
};
use cranelift_codegen::isa::CallConv;

use super::{Translator, clif_type, machine};
use crate::compile::abi::{self, Builtin, Location, VmFunction};
use crate::error::{LoadError, TrapCode};
use crate::module::FuncType;

/// The callees that a function's IR has declared so far, and what its calls share.
#[derive(Default)]
pub(super) struct Callees {
    /// By function index.
    functions: HashMap<u32, FuncRef>,
    /// By type index.
    signatures: HashMap<u32, SigRef>,
    /// Those of the runtime's functions, by the number of parameters.
    builtins: [Option<SigRef>; MAX_BUILTIN_PARAMS + 1],
    /// That of [`Builtin::Poll`].
    pub(super) poll: Option<SigRef>,
    /// Where the callees' return areas are: one slot, as large as the largest. What a call left
    /// there is loaded before the next.
    return_area: Option<StackSlot>,
    /// The operands of the call that is being made.
    operands: Vec<Value>,
}

/// As many as System V passes in registers.
const MAX_BUILTIN_PARAMS: usize = 6;

impl Callees {
    pub(super) fn clear(&mut self) {
        self.functions.clear();
        self.signatures.clear();
        self.builtins = Default::default();
        self.poll = None;
        self.return_area = None;
    }
}

/// What a call instruction calls.
enum Callee {
    Defined(FuncRef),
    /// What the [`VmFunction`] at this address and offset says.
    At(SigRef, Value, i32, MemFlagsData),
}

/// The IR's signature for functions of this type.
fn signature(ty: &FuncType, abi: &abi::Signature) -> Signature {
    let mut signature = Signature::new(CallConv::Tail);
    signature.params.extend(ty.params().iter().map(|param| AbiParam::new(clif_type(*param))));
    signature.params.extend(abi.return_area.map(|_| AbiParam::new(I64)));
    for (result, location) in ty.results().iter().zip(&abi.results) {
        match location {
            Location::Gpr(_) | Location::Xmm(_) => {
                signature.returns.push(AbiParam::new(clif_type(*result)));
            }
            Location::Memory(_) => {}
        }
    }
    signature
}

impl Translator<'_> {
    /// Declares this function's signature and takes its parameters.
    pub(super) fn receive_params(&mut self) {
        let ty = self.info.function_type(self.function);
        let abi = abi::Signature::of(ty);
        self.builder.func.signature = signature(ty, &abi);
        self.builder.append_block_params_for_function_params(self.entry);
        if abi.return_area.is_some() {
            self.return_area = self.builder.block_params(self.entry).last().copied();
        }
    }

    /// Makes the function trap at its start if the frame reaches below the stack's limit; before its
    /// first call, whatever that is. One that calls nothing needs no check: if its frame is large, the
    /// prologue touches every page of it, and the stack ends in pages that fault.
    pub(super) fn check_stack(&mut self) {
        if std::mem::replace(&mut self.stack_checked, true) {
            return;
        }
        let vmctx = self.vmctx();
        let read = self.builder.func.dfg.value_def(vmctx).unwrap_inst();
        let mut cursor = FuncCursor::new(self.builder.func).after_inst(read);
        let stack = cursor.ins().get_stack_pointer(I64);
        let limit = cursor.ins().load(I64, MemFlagsData::trusted(), vmctx, abi::STACK_LIMIT);
        let over = cursor.ins().icmp(IntCC::UnsignedLessThan, stack, limit);
        cursor.ins().trapnz(over, machine::to_clif(TrapCode::StackOverflow));
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
        let ty = self.info.functions[function as usize];
        if function < self.info.imported_functions {
            let vmctx = self.vmctx();
            let offset = self.layout.imported_function(function);
            self.call_at(ty, vmctx, offset, Self::constant());
            return Ok(());
        }
        if let Some(small) = self.small_callee(function) {
            return self.inline(small);
        }
        let callee = self.callee(function, ty);
        self.call_callee(ty, Callee::Defined(callee));
        Ok(())
    }

    /// Calls what the [`VmFunction`] at this address and offset says, a function of this type.
    pub(super) fn call_at(&mut self, ty: u32, address: Value, offset: i32, flags: MemFlagsData) {
        let signature = self.signature(ty);
        self.call_callee(ty, Callee::At(signature, address, offset, flags));
    }

    fn call_callee(&mut self, ty: u32, callee: Callee) {
        self.check_stack();
        let ty = &self.info.types[ty as usize];
        // Fewer results than either kind of register always travel in registers.
        let abi = match ty.results().len() {
            0..=8 => None,
            _ => Some(abi::Signature::of(ty)).filter(|abi| abi.return_area.is_some()),
        };
        let first = self.state.values.len() - ty.params().len();
        let mut operands = std::mem::take(&mut self.state.callees.operands);
        operands.clear();
        operands.extend(self.state.values.drain(first..));
        let area = abi.as_ref().map(|abi| self.return_area_of_callees(abi.return_area_bytes));
        operands.extend(area);
        let call = match callee {
            Callee::Defined(callee) => self.builder.ins().call(callee, &operands),
            Callee::At(signature, address, offset, flags) => {
                let field = |field: usize| offset + field as i32;
                let (code, vmctx) = (offset_of!(VmFunction, code), offset_of!(VmFunction, vmctx));
                let own = self.vmctx();
                let ins = &mut self.builder;
                let code = ins.ins().load(I64, flags, address, field(code));
                let vmctx = ins.ins().load(I64, flags, address, field(vmctx));
                ins.ins().set_pinned_reg(vmctx);
                let call = ins.ins().call_indirect(signature, code, &operands);
                ins.ins().set_pinned_reg(own);
                call
            }
        };
        self.state.callees.operands = operands;
        self.fuel_was_taken();

        let results = self.builder.func.dfg.inst_results(call);
        let (Some(abi), Some(area)) = (abi, area) else {
            self.state.values.extend_from_slice(results);
            return;
        };
        let mut in_registers = 0;
        for (result, location) in ty.results().iter().zip(&abi.results) {
            let value = match location {
                Location::Gpr(_) | Location::Xmm(_) => {
                    in_registers += 1;
                    self.builder.func.dfg.inst_results(call)[in_registers - 1]
                }
                Location::Memory(offset) => {
                    let (ty, flags) = (clif_type(*result), MemFlagsData::trusted());
                    self.builder.ins().load(ty, flags, area, *offset as i32)
                }
            };
            self.push(value);
        }
    }

    /// Calls a function of the runtime with the context and these arguments, all of 64 bits.
    pub(super) fn call_builtin(&mut self, builtin: Builtin, args: &[Value]) -> Value {
        // It is no less of a call than any other.
        self.check_stack();
        let vmctx = self.vmctx();
        let known = self.state.callees.builtins[args.len() + 1];
        let signature = known.unwrap_or_else(|| {
            let mut signature = Signature::new(CallConv::SystemV);
            signature.params.resize(args.len() + 1, AbiParam::new(I64));
            signature.returns.push(AbiParam::new(I64));
            self.builder.import_signature(signature)
        });
        self.state.callees.builtins[args.len() + 1] = Some(signature);
        let builtins = self.builder.ins().load(I64, Self::constant(), vmctx, abi::BUILTINS);
        let code = self.builder.ins().load(I64, Self::constant(), builtins, builtin.offset());
        let mut operands = [vmctx; MAX_BUILTIN_PARAMS];
        operands[1..=args.len()].copy_from_slice(args);
        let operands = &operands[..=args.len()];
        let call = self.builder.ins().call_indirect(signature, code, operands);
        self.fuel_was_taken();
        self.builder.func.dfg.first_result(call)
    }

    /// The signature of functions of the type with this index.
    fn signature(&mut self, ty: u32) -> SigRef {
        let info = self.info;
        *self.state.callees.signatures.entry(ty).or_insert_with(|| {
            let ty = &info.types[ty as usize];
            self.builder.import_signature(signature(ty, &abi::Signature::of(ty)))
        })
    }

    /// The reference to a defined function, near enough for a direct call.
    fn callee(&mut self, function: u32, ty: u32) -> FuncRef {
        if let Some(callee) = self.state.callees.functions.get(&function) {
            return *callee;
        }
        let signature = self.signature(ty);
        let name = UserExternalName::new(0, function);
        let name = self.builder.func.declare_imported_user_function(name);
        let callee = self.builder.import_function(ExtFuncData {
            name: ExternalName::user(name),
            signature,
            colocated: true,
            patchable: false,
        });
        self.state.callees.functions.insert(function, callee);
        callee
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
