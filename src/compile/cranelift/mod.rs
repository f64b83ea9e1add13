//! The optimising tier: wasm operators to Cranelift's IR, and from there to machine code.
//!
//! This file owns the driver ([`Compiler`]), the state of one translation ([`Translator`]) and the
//! operator table: what each operator becomes, one line each where one instruction does it. It
//! refuses, with [`LoadError::Unsupported`], every operator that has no line. Nothing here can run:
//! addresses of functions are left as [`Relocation`](super::Relocation)s.
//!
//! Names follow the other tier: `control.rs`, `calls.rs`, `memory.rs`, `table.rs`, `integer.rs`,
//! `float.rs`, `fuel.rs`, `poll.rs`, `simd.rs`. Only this tier has `locals.rs` (variables to SSA),
//! `inline.rs` (bodies in the place of calls), `origins.rs` (where instructions come from) and `machine.rs`
//! (flags in, machine code out).

mod calls;
mod control;
mod float;
mod fuel;
mod inline;
mod integer;
mod locals;
mod machine;
mod memory;
mod origins;
mod poll;
mod simd;
mod table;
#[cfg(test)]
mod tests;

use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32, F64, I8, I8X16, I16, I32, I64};
use cranelift_codegen::ir::{
    self, AliasRegion, AliasRegionData, BlockArg, InstBuilder, Opcode, SourceLoc, Type, Value,
};
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::{Context, ir::UserFuncName};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use wasmparser::{VisitOperator, VisitSimdOperator};

use super::abi::Layout;
use super::{CompileOptions, CompiledCode, Unit};
use crate::error::LoadError;
use crate::module::{
    Facts, ModuleInfo, SmallFunctions, ValType, ValidBody, Validation, invalid, operator_name,
};
use calls::Callees;
use control::Frame;
use fuel::Fuel;
use locals::Local;
use memory::Accessed;
use origins::Origins;

pub(crate) use machine::isa;

/// Turns validated bodies into machine code, and keeps its allocations from one to the next.
pub(crate) struct Compiler {
    isa: OwnedTargetIsa,
    options: CompileOptions,
    context: Context,
    builder: FunctionBuilderContext,
    state: State,
}

/// What a translation fills and the next one can fill again.
#[derive(Default)]
struct State {
    /// The operands, as the specification's stack has them.
    values: Vec<Value>,
    /// The open blocks, outermost first; those opened in unreachable code are not here.
    frames: Vec<Frame>,
    /// Where each local lives.
    locals: Vec<Local>,
    /// The functions that were called so far.
    callees: Callees,
    /// Where the instructions come from.
    origins: Origins,
    /// What was accessed last, with which trap codes, and first by whom.
    accessed: [Option<(Accessed, ir::TrapCode, SourceLoc)>; 4],
    /// For finding out which functions are small.
    scratch: Validation,
    /// The arguments of the branch that is being made.
    args: Vec<BlockArg>,
}

impl State {
    fn clear(&mut self) {
        self.values.clear();
        self.frames.clear();
        self.locals.clear();
        self.callees.clear();
        self.origins.clear();
        self.accessed = Default::default();
    }
}

impl Compiler {
    pub fn new(isa: OwnedTargetIsa, options: CompileOptions) -> Compiler {
        Compiler {
            isa,
            options,
            context: Context::new(),
            builder: FunctionBuilderContext::new(),
            state: State::default(),
        }
    }

    /// Compiles one function and appends it to `out`.
    pub fn compile(
        &mut self,
        unit: &Unit<'_>,
        body: &ValidBody<'_>,
        facts: &Facts,
        out: &mut CompiledCode,
    ) -> Result<(), LoadError> {
        self.translate(unit, body, facts)?;
        let compiled = self
            .context
            .compile(&*self.isa, &mut ControlPlane::default())
            // The error's `Debug` form has the verifier's findings, and no address of ours.
            .map_err(|error| format!("{:?}", error.inner));
        let appended = match compiled {
            Ok(_) => {
                self.state.origins.forget_dropped(&self.context.func);
                let (record, origins) = (self.options.record_operators, &self.state.origins);
                machine::append(body, facts, unit, &self.context, origins, record, out)
            }
            Err(message) => Err(message),
        };
        appended.map_err(|message| LoadError::Compile { function: body.function, message })
    }

    /// The function in Cranelift's text form, as translated and before any optimisation.
    #[cfg(any(test, feature = "listing"))]
    pub fn clif(
        &mut self,
        unit: &Unit<'_>,
        body: &ValidBody<'_>,
        facts: &Facts,
    ) -> Result<String, LoadError> {
        self.translate(unit, body, facts)?;
        Ok(self.context.func.display().to_string())
    }

    /// Leaves the function's IR in the context.
    fn translate(
        &mut self,
        unit: &Unit<'_>,
        body: &ValidBody<'_>,
        facts: &Facts,
    ) -> Result<(), LoadError> {
        self.context.clear();
        self.state.clear();
        self.context.func.name = UserFuncName::user(0, body.function);
        let mut operators = body.operators();
        let mut translator = Translator {
            info: unit.info,
            type_ids: unit.type_ids,
            layout: unit.layout,
            function: body.function,
            facts,
            small: &unit.small,
            own_bytes: body.len(),
            builder: FunctionBuilder::new(&mut self.context.func, &mut self.builder),
            state: &mut self.state,
            reachable: true,
            skipped: 0,
            offset: operators.original_position(),
            entry: ir::Block::from_u32(0),
            vmctx: None,
            stack_checked: false,
            return_area: None,
            fuel: Fuel::default(),
            polls: self.options.polls,
        };
        translator.enter(body);
        let mut translated = Ok(());
        while translated.is_ok() && !operators.eof() {
            translator.at(operators.original_position());
            translator.charge_at(operators.original_position());
            translated =
                operators.visit_operator(&mut translator).unwrap_or_else(|e| Err(invalid(e)));
        }
        match translated {
            Ok(()) => translator.builder.finalize(self.isa.frontend_config()),
            // A builder that is given up leaves its traces in the context.
            Err(_) => self.builder = FunctionBuilderContext::new(),
        }
        translated
    }
}

/// The function of one body's translation, half done.
struct Translator<'t> {
    info: &'t ModuleInfo,
    type_ids: &'t [u32],
    layout: &'t Layout,
    function: u32,
    facts: &'t Facts,
    /// What may take the place of calls.
    small: &'t SmallFunctions<'t>,
    /// How many bytes of operators the function itself has.
    own_bytes: usize,
    builder: FunctionBuilder<'t>,
    state: &'t mut State,
    /// Whether the operator at hand can be reached. What cannot is skipped, but for the nesting.
    reachable: bool,
    /// How many blocks are open that were opened in unreachable code.
    skipped: u32,
    /// Where the operator at hand stands in the module.
    offset: u64,
    entry: ir::Block,
    /// The instance's context, if it was asked for: see [`Translator::vmctx`].
    vmctx: Option<Value>,
    /// Whether the function compares its stack pointer with the limit.
    stack_checked: bool,
    /// The address that results without a register are stored at.
    return_area: Option<Value>,
    fuel: Fuel<'t>,
    /// Whether it tests for interruption.
    polls: bool,
}

impl Translator<'_> {
    /// Everything until the next call comes from the operator at this offset.
    fn at(&mut self, offset: u64) {
        self.offset = offset;
        self.set_position(self.position(offset));
    }

    fn set_position(&mut self, position: u32) {
        self.builder.set_srcloc(SourceLoc::new(position));
    }

    /// The position of an operator of the function's own: see [`Origins`].
    fn position(&self, offset: u64) -> u32 {
        // Engines refuse modules of 4 GiB long before.
        offset as u32 + self.state.origins.bytes()
    }

    /// Starts the function: parameters, locals, the stack check.
    fn enter(&mut self, body: &ValidBody<'_>) {
        self.at(self.offset);
        self.entry = self.builder.create_block();
        self.builder.switch_to_block(self.entry);
        self.builder.seal_block(self.entry);
        self.receive_params();
        // From here on, the context can be read at the block's start.
        self.builder.ensure_inserted_block();
        self.declare_locals(body);
        if self.facts.makes_calls {
            self.poll();
        }
        self.begin_fuel();
        self.state.frames.push(Frame::function());
    }

    fn push(&mut self, value: Value) {
        self.state.values.push(value);
    }

    /// Validation has seen that the operands are there.
    fn pop(&mut self) -> Value {
        self.state.values.pop().expect("a validated operand")
    }

    #[cold]
    fn unsupported(&self, what: String) -> LoadError {
        LoadError::Unsupported {
            what: what + " on the Cranelift tier",
            function: Some(self.function),
            offset: self.offset,
        }
    }

    #[cold]
    fn unsupported_operator(&self, visit: &str) -> LoadError {
        self.unsupported(format!("operator `{}`", operator_name(visit)))
    }

    fn region(&mut self, region: Region) -> AliasRegion {
        let (user_id, description) = match region {
            Region::Heap => (0, "heap"),
            Region::Header => (1, "header"),
            Region::Elements => (2, "elements"),
            Region::ImportedGlobals => (3, "imported globals"),
            Region::Globals(class) => (4 + u32::from(class), "globals"),
            Region::Fuel => (4 + u32::from(Region::GLOBALS), "fuel"),
        };
        let description = description.into();
        self.builder.func.dfg.alias_regions.insert(AliasRegionData { user_id, description })
    }

    fn unary(&mut self, opcode: Opcode) -> Result<(), LoadError> {
        let value = self.pop();
        let ty = self.builder.func.dfg.value_type(value);
        let (inst, dfg) = self.builder.ins().Unary(opcode, ty, value);
        let result = dfg.first_result(inst);
        self.push(result);
        Ok(())
    }

    fn binary(&mut self, opcode: Opcode) -> Result<(), LoadError> {
        let (right, left) = (self.pop(), self.pop());
        let ty = self.builder.func.dfg.value_type(left);
        let (inst, dfg) = self.builder.ins().Binary(opcode, ty, left, right);
        let result = dfg.first_result(inst);
        self.push(result);
        Ok(())
    }

    /// A conversion whose one instruction says all but the type that it makes.
    fn convert(&mut self, opcode: Opcode, to: Type) -> Result<(), LoadError> {
        let value = self.pop();
        let (inst, dfg) = self.builder.ins().Unary(opcode, to, value);
        let result = dfg.first_result(inst);
        self.push(result);
        Ok(())
    }

    fn select(&mut self) -> Result<(), LoadError> {
        let (condition, other, one) = (self.pop(), self.pop(), self.pop());
        let result = self.builder.ins().select(condition, one, other);
        self.push(result);
        Ok(())
    }
}

/// The type that values of this type have in the IR.
fn clif_type(ty: ValType) -> Type {
    match ty {
        ValType::I32 => I32,
        ValType::F32 => F32,
        ValType::F64 => F64,
        // The type of all vectors outside the operators that look inside.
        ValType::V128 => I8X16,
        ValType::I64 | ValType::FuncRef | ValType::ExternRef => I64,
    }
}

/// Parts of the store that never overlap: what is written in one cannot be seen in another.
#[derive(Clone, Copy)]
enum Region {
    /// The bytes of all memories. Two imported ones may be the same.
    Heap,
    /// Where memories and tables are and how large: only the runtime writes it.
    Header,
    /// The elements of all tables.
    Elements,
    /// Where the values of globals are that may be imported twice.
    ImportedGlobals,
    /// One of [`Region::GLOBALS`] classes of those that are defined here.
    Globals(u8),
    /// The fuel that is left.
    Fuel,
}

impl Region {
    /// Few: Cranelift keeps a list of the regions for each block.
    const GLOBALS: u8 = 8;
}

/// What each operator becomes: a call on the translator. The order is the specification's.
#[rustfmt::skip]
macro_rules! operator {
    // Control (§4.4.8).
    ($t:ident visit_unreachable) => { $t.unreachable() };
    ($t:ident visit_nop) => { Ok(()) };
    ($t:ident visit_block $ty:ident) => { $t.block($ty) };
    ($t:ident visit_loop $ty:ident) => { $t.loop_($ty) };
    ($t:ident visit_if $ty:ident) => { $t.if_($ty) };
    ($t:ident visit_else) => { $t.else_() };
    ($t:ident visit_end) => { $t.end() };
    ($t:ident visit_br $depth:ident) => { $t.br($depth) };
    ($t:ident visit_br_if $depth:ident) => { $t.br_if($depth) };
    ($t:ident visit_br_table $targets:ident) => { $t.br_table(&$targets) };
    ($t:ident visit_return) => { $t.return_() };
    ($t:ident visit_call $function:ident) => { $t.call($function) };
    ($t:ident visit_call_indirect $ty:ident $table:ident) => { $t.call_indirect($ty, $table) };

    // References (§4.4.2).
    ($t:ident visit_ref_null $ty:ident) => { { let _: wasmparser::HeapType = $ty; $t.int_const(I64, 0) } };
    ($t:ident visit_ref_is_null) => { $t.eqz() };
    ($t:ident visit_ref_func $function:ident) => { $t.ref_func($function) };

    // Parametric and variable (§4.4.4, §4.4.5).
    ($t:ident visit_drop) => { { $t.pop(); Ok(()) } };
    ($t:ident visit_select) => { $t.select() };
    ($t:ident visit_typed_select $ty:ident) => { { let _: wasmparser::ValType = $ty; $t.select() } };
    ($t:ident visit_local_get $local:ident) => { $t.local_get($local) };
    ($t:ident visit_local_set $local:ident) => { $t.local_set($local) };
    ($t:ident visit_local_tee $local:ident) => { $t.local_tee($local) };
    ($t:ident visit_global_get $global:ident) => { $t.global_get($global) };
    ($t:ident visit_global_set $global:ident) => { $t.global_set($global) };

    // Tables (§4.4.6).
    ($t:ident visit_table_get $table:ident) => { $t.table_get($table) };
    ($t:ident visit_table_set $table:ident) => { $t.table_set($table) };
    ($t:ident visit_table_size $table:ident) => { $t.table_size($table) };
    ($t:ident visit_table_grow $table:ident) => { $t.table_grow($table) };
    ($t:ident visit_table_fill $table:ident) => { $t.table_fill($table) };
    ($t:ident visit_table_copy $to:ident $from:ident) => { $t.table_copy($to, $from) };
    ($t:ident visit_table_init $segment:ident $table:ident) => { $t.table_init($segment, $table) };
    ($t:ident visit_elem_drop $segment:ident) => { $t.elem_drop($segment) };

    // Memories (§4.4.7).
    ($t:ident visit_i32_load $memarg:ident) => { $t.load(Opcode::Load, I32, $memarg) };
    ($t:ident visit_i64_load $memarg:ident) => { $t.load(Opcode::Load, I64, $memarg) };
    ($t:ident visit_f32_load $memarg:ident) => { $t.load(Opcode::Load, F32, $memarg) };
    ($t:ident visit_f64_load $memarg:ident) => { $t.load(Opcode::Load, F64, $memarg) };
    ($t:ident visit_i32_load8_s $memarg:ident) => { $t.load(Opcode::Sload8, I32, $memarg) };
    ($t:ident visit_i32_load8_u $memarg:ident) => { $t.load(Opcode::Uload8, I32, $memarg) };
    ($t:ident visit_i32_load16_s $memarg:ident) => { $t.load(Opcode::Sload16, I32, $memarg) };
    ($t:ident visit_i32_load16_u $memarg:ident) => { $t.load(Opcode::Uload16, I32, $memarg) };
    ($t:ident visit_i64_load8_s $memarg:ident) => { $t.load(Opcode::Sload8, I64, $memarg) };
    ($t:ident visit_i64_load8_u $memarg:ident) => { $t.load(Opcode::Uload8, I64, $memarg) };
    ($t:ident visit_i64_load16_s $memarg:ident) => { $t.load(Opcode::Sload16, I64, $memarg) };
    ($t:ident visit_i64_load16_u $memarg:ident) => { $t.load(Opcode::Uload16, I64, $memarg) };
    ($t:ident visit_i64_load32_s $memarg:ident) => { $t.load(Opcode::Sload32, I64, $memarg) };
    ($t:ident visit_i64_load32_u $memarg:ident) => { $t.load(Opcode::Uload32, I64, $memarg) };
    ($t:ident visit_i32_store $memarg:ident) => { $t.store(Opcode::Store, $memarg) };
    ($t:ident visit_i64_store $memarg:ident) => { $t.store(Opcode::Store, $memarg) };
    ($t:ident visit_f32_store $memarg:ident) => { $t.store(Opcode::Store, $memarg) };
    ($t:ident visit_f64_store $memarg:ident) => { $t.store(Opcode::Store, $memarg) };
    ($t:ident visit_i32_store8 $memarg:ident) => { $t.store(Opcode::Istore8, $memarg) };
    ($t:ident visit_i32_store16 $memarg:ident) => { $t.store(Opcode::Istore16, $memarg) };
    ($t:ident visit_i64_store8 $memarg:ident) => { $t.store(Opcode::Istore8, $memarg) };
    ($t:ident visit_i64_store16 $memarg:ident) => { $t.store(Opcode::Istore16, $memarg) };
    ($t:ident visit_i64_store32 $memarg:ident) => { $t.store(Opcode::Istore32, $memarg) };
    ($t:ident visit_memory_size $memory:ident) => { $t.memory_size($memory) };
    ($t:ident visit_memory_grow $memory:ident) => { $t.memory_grow($memory) };
    ($t:ident visit_memory_fill $memory:ident) => { $t.memory_fill($memory) };
    ($t:ident visit_memory_copy $to:ident $from:ident) => { $t.memory_copy($to, $from) };
    ($t:ident visit_memory_init $segment:ident $memory:ident) => { $t.memory_init($segment, $memory) };
    ($t:ident visit_data_drop $segment:ident) => { $t.data_drop($segment) };

    // Numeric (§4.4.1): constants.
    ($t:ident visit_i32_const $value:ident) => { $t.int_const(I32, i64::from($value as u32)) };
    ($t:ident visit_i64_const $value:ident) => { $t.int_const(I64, $value) };
    ($t:ident visit_f32_const $value:ident) => { $t.f32_const($value) };
    ($t:ident visit_f64_const $value:ident) => { $t.f64_const($value) };

    // Integers.
    ($t:ident visit_i32_clz) => { $t.unary(Opcode::Clz) };
    ($t:ident visit_i64_clz) => { $t.unary(Opcode::Clz) };
    ($t:ident visit_i32_ctz) => { $t.unary(Opcode::Ctz) };
    ($t:ident visit_i64_ctz) => { $t.unary(Opcode::Ctz) };
    ($t:ident visit_i32_popcnt) => { $t.unary(Opcode::Popcnt) };
    ($t:ident visit_i64_popcnt) => { $t.unary(Opcode::Popcnt) };
    ($t:ident visit_i32_add) => { $t.binary(Opcode::Iadd) };
    ($t:ident visit_i64_add) => { $t.binary(Opcode::Iadd) };
    ($t:ident visit_i32_sub) => { $t.binary(Opcode::Isub) };
    ($t:ident visit_i64_sub) => { $t.binary(Opcode::Isub) };
    ($t:ident visit_i32_mul) => { $t.binary(Opcode::Imul) };
    ($t:ident visit_i64_mul) => { $t.binary(Opcode::Imul) };
    // The IR's divisions trap as the specification's do, and `srem` of the least number by -1 is 0.
    // `sdiv` makes the check of its divisor itself.
    ($t:ident visit_i32_div_s) => { $t.binary(Opcode::Sdiv) };
    ($t:ident visit_i64_div_s) => { $t.binary(Opcode::Sdiv) };
    ($t:ident visit_i32_div_u) => { $t.divide(Opcode::Udiv) };
    ($t:ident visit_i64_div_u) => { $t.divide(Opcode::Udiv) };
    ($t:ident visit_i32_rem_s) => { $t.divide(Opcode::Srem) };
    ($t:ident visit_i64_rem_s) => { $t.divide(Opcode::Srem) };
    ($t:ident visit_i32_rem_u) => { $t.divide(Opcode::Urem) };
    ($t:ident visit_i64_rem_u) => { $t.divide(Opcode::Urem) };
    ($t:ident visit_i32_and) => { $t.binary(Opcode::Band) };
    ($t:ident visit_i64_and) => { $t.binary(Opcode::Band) };
    ($t:ident visit_i32_or) => { $t.binary(Opcode::Bor) };
    ($t:ident visit_i64_or) => { $t.binary(Opcode::Bor) };
    ($t:ident visit_i32_xor) => { $t.binary(Opcode::Bxor) };
    ($t:ident visit_i64_xor) => { $t.binary(Opcode::Bxor) };
    // The IR takes the distance modulo the width, like the specification.
    ($t:ident visit_i32_shl) => { $t.binary(Opcode::Ishl) };
    ($t:ident visit_i64_shl) => { $t.binary(Opcode::Ishl) };
    ($t:ident visit_i32_shr_s) => { $t.binary(Opcode::Sshr) };
    ($t:ident visit_i64_shr_s) => { $t.binary(Opcode::Sshr) };
    ($t:ident visit_i32_shr_u) => { $t.binary(Opcode::Ushr) };
    ($t:ident visit_i64_shr_u) => { $t.binary(Opcode::Ushr) };
    ($t:ident visit_i32_rotl) => { $t.binary(Opcode::Rotl) };
    ($t:ident visit_i64_rotl) => { $t.binary(Opcode::Rotl) };
    ($t:ident visit_i32_rotr) => { $t.binary(Opcode::Rotr) };
    ($t:ident visit_i64_rotr) => { $t.binary(Opcode::Rotr) };
    ($t:ident visit_i32_eqz) => { $t.eqz() };
    ($t:ident visit_i64_eqz) => { $t.eqz() };
    ($t:ident visit_i32_eq) => { $t.compare(IntCC::Equal) };
    ($t:ident visit_i64_eq) => { $t.compare(IntCC::Equal) };
    ($t:ident visit_i32_ne) => { $t.compare(IntCC::NotEqual) };
    ($t:ident visit_i64_ne) => { $t.compare(IntCC::NotEqual) };
    ($t:ident visit_i32_lt_s) => { $t.compare(IntCC::SignedLessThan) };
    ($t:ident visit_i64_lt_s) => { $t.compare(IntCC::SignedLessThan) };
    ($t:ident visit_i32_lt_u) => { $t.compare(IntCC::UnsignedLessThan) };
    ($t:ident visit_i64_lt_u) => { $t.compare(IntCC::UnsignedLessThan) };
    ($t:ident visit_i32_gt_s) => { $t.compare(IntCC::SignedGreaterThan) };
    ($t:ident visit_i64_gt_s) => { $t.compare(IntCC::SignedGreaterThan) };
    ($t:ident visit_i32_gt_u) => { $t.compare(IntCC::UnsignedGreaterThan) };
    ($t:ident visit_i64_gt_u) => { $t.compare(IntCC::UnsignedGreaterThan) };
    ($t:ident visit_i32_le_s) => { $t.compare(IntCC::SignedLessThanOrEqual) };
    ($t:ident visit_i64_le_s) => { $t.compare(IntCC::SignedLessThanOrEqual) };
    ($t:ident visit_i32_le_u) => { $t.compare(IntCC::UnsignedLessThanOrEqual) };
    ($t:ident visit_i64_le_u) => { $t.compare(IntCC::UnsignedLessThanOrEqual) };
    ($t:ident visit_i32_ge_s) => { $t.compare(IntCC::SignedGreaterThanOrEqual) };
    ($t:ident visit_i64_ge_s) => { $t.compare(IntCC::SignedGreaterThanOrEqual) };
    ($t:ident visit_i32_ge_u) => { $t.compare(IntCC::UnsignedGreaterThanOrEqual) };
    ($t:ident visit_i64_ge_u) => { $t.compare(IntCC::UnsignedGreaterThanOrEqual) };
    ($t:ident visit_i32_extend8_s) => { $t.sign_extend_low(I8) };
    ($t:ident visit_i32_extend16_s) => { $t.sign_extend_low(I16) };
    ($t:ident visit_i64_extend8_s) => { $t.sign_extend_low(I8) };
    ($t:ident visit_i64_extend16_s) => { $t.sign_extend_low(I16) };
    ($t:ident visit_i64_extend32_s) => { $t.sign_extend_low(I32) };
    ($t:ident visit_i32_wrap_i64) => { $t.convert(Opcode::Ireduce, I32) };
    ($t:ident visit_i64_extend_i32_s) => { $t.convert(Opcode::Sextend, I64) };
    ($t:ident visit_i64_extend_i32_u) => { $t.convert(Opcode::Uextend, I64) };

    // Floats.
    ($t:ident visit_f32_abs) => { $t.unary(Opcode::Fabs) };
    ($t:ident visit_f64_abs) => { $t.unary(Opcode::Fabs) };
    ($t:ident visit_f32_neg) => { $t.unary(Opcode::Fneg) };
    ($t:ident visit_f64_neg) => { $t.unary(Opcode::Fneg) };
    ($t:ident visit_f32_ceil) => { $t.unary(Opcode::Ceil) };
    ($t:ident visit_f64_ceil) => { $t.unary(Opcode::Ceil) };
    ($t:ident visit_f32_floor) => { $t.unary(Opcode::Floor) };
    ($t:ident visit_f64_floor) => { $t.unary(Opcode::Floor) };
    ($t:ident visit_f32_trunc) => { $t.unary(Opcode::Trunc) };
    ($t:ident visit_f64_trunc) => { $t.unary(Opcode::Trunc) };
    ($t:ident visit_f32_nearest) => { $t.unary(Opcode::Nearest) };
    ($t:ident visit_f64_nearest) => { $t.unary(Opcode::Nearest) };
    ($t:ident visit_f32_sqrt) => { $t.unary(Opcode::Sqrt) };
    ($t:ident visit_f64_sqrt) => { $t.unary(Opcode::Sqrt) };
    ($t:ident visit_f32_add) => { $t.binary(Opcode::Fadd) };
    ($t:ident visit_f64_add) => { $t.binary(Opcode::Fadd) };
    ($t:ident visit_f32_sub) => { $t.binary(Opcode::Fsub) };
    ($t:ident visit_f64_sub) => { $t.binary(Opcode::Fsub) };
    ($t:ident visit_f32_mul) => { $t.binary(Opcode::Fmul) };
    ($t:ident visit_f64_mul) => { $t.binary(Opcode::Fmul) };
    ($t:ident visit_f32_div) => { $t.binary(Opcode::Fdiv) };
    ($t:ident visit_f64_div) => { $t.binary(Opcode::Fdiv) };
    ($t:ident visit_f32_min) => { $t.binary(Opcode::Fmin) };
    ($t:ident visit_f64_min) => { $t.binary(Opcode::Fmin) };
    ($t:ident visit_f32_max) => { $t.binary(Opcode::Fmax) };
    ($t:ident visit_f64_max) => { $t.binary(Opcode::Fmax) };
    ($t:ident visit_f32_copysign) => { $t.binary(Opcode::Fcopysign) };
    ($t:ident visit_f64_copysign) => { $t.binary(Opcode::Fcopysign) };
    ($t:ident visit_f32_eq) => { $t.float_compare(FloatCC::Equal) };
    ($t:ident visit_f64_eq) => { $t.float_compare(FloatCC::Equal) };
    ($t:ident visit_f32_ne) => { $t.float_compare(FloatCC::NotEqual) };
    ($t:ident visit_f64_ne) => { $t.float_compare(FloatCC::NotEqual) };
    ($t:ident visit_f32_lt) => { $t.float_compare(FloatCC::LessThan) };
    ($t:ident visit_f64_lt) => { $t.float_compare(FloatCC::LessThan) };
    ($t:ident visit_f32_gt) => { $t.float_compare(FloatCC::GreaterThan) };
    ($t:ident visit_f64_gt) => { $t.float_compare(FloatCC::GreaterThan) };
    ($t:ident visit_f32_le) => { $t.float_compare(FloatCC::LessThanOrEqual) };
    ($t:ident visit_f64_le) => { $t.float_compare(FloatCC::LessThanOrEqual) };
    ($t:ident visit_f32_ge) => { $t.float_compare(FloatCC::GreaterThanOrEqual) };
    ($t:ident visit_f64_ge) => { $t.float_compare(FloatCC::GreaterThanOrEqual) };

    // Between integers and floats. A NaN and what does not fit trap with a code each.
    ($t:ident visit_i32_trunc_f32_s) => { $t.convert(Opcode::FcvtToSint, I32) };
    ($t:ident visit_i32_trunc_f64_s) => { $t.convert(Opcode::FcvtToSint, I32) };
    ($t:ident visit_i64_trunc_f32_s) => { $t.convert(Opcode::FcvtToSint, I64) };
    ($t:ident visit_i64_trunc_f64_s) => { $t.convert(Opcode::FcvtToSint, I64) };
    ($t:ident visit_i32_trunc_f32_u) => { $t.convert(Opcode::FcvtToUint, I32) };
    ($t:ident visit_i32_trunc_f64_u) => { $t.convert(Opcode::FcvtToUint, I32) };
    ($t:ident visit_i64_trunc_f32_u) => { $t.convert(Opcode::FcvtToUint, I64) };
    ($t:ident visit_i64_trunc_f64_u) => { $t.convert(Opcode::FcvtToUint, I64) };
    ($t:ident visit_i32_trunc_sat_f32_s) => { $t.convert(Opcode::FcvtToSintSat, I32) };
    ($t:ident visit_i32_trunc_sat_f64_s) => { $t.convert(Opcode::FcvtToSintSat, I32) };
    ($t:ident visit_i64_trunc_sat_f32_s) => { $t.convert(Opcode::FcvtToSintSat, I64) };
    ($t:ident visit_i64_trunc_sat_f64_s) => { $t.convert(Opcode::FcvtToSintSat, I64) };
    ($t:ident visit_i32_trunc_sat_f32_u) => { $t.convert(Opcode::FcvtToUintSat, I32) };
    ($t:ident visit_i32_trunc_sat_f64_u) => { $t.convert(Opcode::FcvtToUintSat, I32) };
    ($t:ident visit_i64_trunc_sat_f32_u) => { $t.convert(Opcode::FcvtToUintSat, I64) };
    ($t:ident visit_i64_trunc_sat_f64_u) => { $t.convert(Opcode::FcvtToUintSat, I64) };
    ($t:ident visit_f32_convert_i32_s) => { $t.convert(Opcode::FcvtFromSint, F32) };
    ($t:ident visit_f32_convert_i64_s) => { $t.convert(Opcode::FcvtFromSint, F32) };
    ($t:ident visit_f64_convert_i32_s) => { $t.convert(Opcode::FcvtFromSint, F64) };
    ($t:ident visit_f64_convert_i64_s) => { $t.convert(Opcode::FcvtFromSint, F64) };
    ($t:ident visit_f32_convert_i32_u) => { $t.convert(Opcode::FcvtFromUint, F32) };
    ($t:ident visit_f32_convert_i64_u) => { $t.convert(Opcode::FcvtFromUint, F32) };
    ($t:ident visit_f64_convert_i32_u) => { $t.convert(Opcode::FcvtFromUint, F64) };
    ($t:ident visit_f64_convert_i64_u) => { $t.convert(Opcode::FcvtFromUint, F64) };
    ($t:ident visit_f32_demote_f64) => { $t.convert(Opcode::Fdemote, F32) };
    ($t:ident visit_f64_promote_f32) => { $t.convert(Opcode::Fpromote, F64) };
    ($t:ident visit_i32_reinterpret_f32) => { $t.reinterpret(I32) };
    ($t:ident visit_i64_reinterpret_f64) => { $t.reinterpret(I64) };
    ($t:ident visit_f32_reinterpret_i32) => { $t.reinterpret(F32) };
    ($t:ident visit_f64_reinterpret_i64) => { $t.reinterpret(F64) };

    ($t:ident $visit:ident $($arg:ident)*) => { { let _ = ($($arg,)*); Err($t.unsupported_operator(stringify!($visit))) } };
}

/// Lets only the operators that make the nesting through to unreachable code.
macro_rules! skip_unreachable {
    ($t:ident visit_block) => {};
    ($t:ident visit_loop) => {};
    ($t:ident visit_if) => {};
    ($t:ident visit_else) => {};
    ($t:ident visit_end) => {};
    ($t:ident $visit:ident) => {
        if !$t.reachable {
            return Ok(());
        }
    };
}

macro_rules! visit_operators {
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident $ann:tt)*) => {
        $(
            fn $visit(&mut self $($(, $arg: $argty)*)?) -> Self::Output {
                skip_unreachable!(self $visit);
                operator!(self $visit $($($arg)*)?)
            }
        )*
    };
}

impl<'a> VisitOperator<'a> for Translator<'_> {
    type Output = Result<(), LoadError>;

    fn simd_visitor(&mut self) -> Option<&mut dyn VisitSimdOperator<'a, Output = Self::Output>> {
        Some(self)
    }

    wasmparser::for_each_visit_operator!(visit_operators);
}
