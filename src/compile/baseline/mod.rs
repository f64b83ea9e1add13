//! The baseline tier: one pass over the operators, machine code out.
//!
//! The first walk over a body, validation, has left [`Facts`]; this is the second. There is no
//! intermediate representation. What an operator leaves on the wasm stack is a *descriptor* that
//! says where the value is, so `local.get` and constants emit nothing, and the operator that
//! finally uses them picks an instruction that takes them where they are.
//!
//! Reading order:
//!
//! - [`value`]: the value stack and its rules;
//! - [`frame`]: where locals live, prologue and epilogue;
//! - [`registers`]: temporaries, and moving operands about;
//! - [`hints`]: what the next operator would like;
//! - [`locals`], [`integer`], [`divide`], [`float`], [`convert`]: operators;
//! - [`control`]: blocks and branches; [`calls`]; [`moves`]: many registers at once;
//! - [`cold`]: traps.
//!
//! This file owns the driver and the table of operators. Everything that is not in the table is
//! refused by name. Every allocation is kept from one function to the next.

mod calls;
mod cold;
mod control;
mod convert;
mod divide;
mod float;
mod frame;
mod hints;
mod integer;
mod locals;
mod moves;
mod registers;
mod value;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use wasmparser::{BlockType, OperatorsReader, VisitOperator, VisitSimdOperator};

use self::cold::Cold;
use self::control::ControlFrame;
use self::convert::Truncation;
use self::divide::Division;
use self::float::{FloatCompare, FloatOp};
use self::frame::{Frame, Home, is_supported};
use self::hints::Lookahead;
use self::integer::{Count, ZeroFlag};
use self::moves::Moves;
use self::registers::Registers;
use self::value::{Value, ValueStack};
use super::abi::Signature;
use super::{
    CallSite, CompileOptions, CompiledCode, CompiledFunction, FUNCTION_ALIGNMENT, OperatorStart,
    Relocation, TrapSite,
};
use crate::asm::{Alu, Assembler, Cond, GprSet, Label, Rounding, Shift, Size, XmmSet};
use crate::error::LoadError;
use crate::module::{Facts, FuncType, ModuleInfo, ValType, ValidBody, operator_name};

/// More code than most operators emit: the assembler is asked for room once per operator.
const OPERATOR_ROOM: usize = 256;

/// Compiles functions, one after the other.
pub(crate) struct Compiler {
    options: CompileOptions,

    // The function's surroundings.
    signature: Signature,
    /// The signature of the function that is being called.
    callee: Signature,
    /// Where the first operator stands in the binary module.
    body_start: u32,

    // What is known at the current operator.
    /// Where it stands in the binary module.
    operator: u32,
    /// The bytes of the one behind it: see [`hints`].
    lookahead: u64,
    /// Whether it can be executed.
    reachable: bool,
    /// In code that is not reachable: how many blocks have been opened there.
    skipped_blocks: u32,
    /// A jump that is not emitted unless the next label is another one.
    pending_jump: Option<Label>,
    zero_flag: Option<ZeroFlag>,

    // The abstract state.
    stack: ValueStack,
    registers: Registers,
    local_types: Vec<ValType>,
    homes: Vec<Home>,
    frame: Frame,
    control: Vec<ControlFrame>,
    /// The types of the open blocks' parameters and results.
    types: Vec<ValType>,

    // The code. Offsets are counted from the start of the body, without the prologue.
    asm: Assembler,
    moves: Moves,
    cold: Vec<Cold>,
    relocations: Vec<Relocation>,
    traps: Vec<TrapSite>,
    calls: Vec<CallSite>,
    operators: Vec<OperatorStart>,

    // Jump tables.
    /// For each table its label and where its entries start in `table_labels`.
    tables: Vec<(Label, usize)>,
    table_labels: Vec<Label>,
    /// The stubs of the current `br_table`, with the index of the frame they jump to.
    stubs: Vec<(Label, usize)>,
    /// The depths that the current `br_table` names.
    depths: Vec<u32>,
    tables_made: u32,
}

/// What this tier does not do.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    /// The operator that is visited by this method.
    Operator(&'static str),
    Feature(&'static str),
}

impl Compiler {
    pub(crate) fn new(options: CompileOptions) -> Compiler {
        Compiler {
            options,
            signature: Signature::default(),
            callee: Signature::default(),
            body_start: 0,
            operator: 0,
            lookahead: 0,
            reachable: true,
            skipped_blocks: 0,
            pending_jump: None,
            zero_flag: None,
            stack: ValueStack::default(),
            registers: Registers::new(GprSet::of(&[registers::MERGE_GPR]), XmmSet::EMPTY),
            local_types: Vec::new(),
            homes: Vec::new(),
            frame: Frame::default(),
            control: Vec::new(),
            types: Vec::new(),
            asm: Assembler::new(),
            moves: Moves::default(),
            cold: Vec::new(),
            relocations: Vec::new(),
            traps: Vec::new(),
            calls: Vec::new(),
            operators: Vec::new(),
            tables: Vec::new(),
            table_labels: Vec::new(),
            stubs: Vec::new(),
            depths: Vec::new(),
            tables_made: 0,
        }
    }

    /// Appends the function's code and what belongs to it. On an error, nothing is appended.
    pub(crate) fn compile(
        &mut self,
        info: &ModuleInfo,
        body: &ValidBody<'_>,
        facts: &Facts,
        out: &mut CompiledCode,
    ) -> Result<(), LoadError> {
        let ty = info.function_type(body.function);
        let mut operators = body.operators();
        self.body_start = operators.original_position() as u32;
        self.operator = self.body_start;
        let refused = |refusal, offset| refused(info, body.function, refusal, offset);

        let types = facts.locals.iter().chain(ty.results());
        if !types.copied().all(is_supported) {
            let refusal = Refusal::Feature("values that are no numbers");
            return Err(refused(refusal, self.body_start));
        }
        self.begin(ty, facts);
        self.walk(info, &mut operators).map_err(|refusal| refused(refusal, self.operator))?;
        self.check_frame_size()?;
        self.finish(body.function, out);
        Ok(())
    }

    /// Forgets the last function, starts this one.
    fn begin(&mut self, ty: &FuncType, facts: &Facts) {
        self.reachable = true;
        self.skipped_blocks = 0;
        self.pending_jump = None;
        self.zero_flag = None;
        self.stack.clear();
        self.control.clear();
        self.types.clear();
        self.asm.clear();
        self.cold.clear();
        self.relocations.clear();
        self.traps.clear();
        self.calls.clear();
        self.operators.clear();
        self.tables.clear();
        self.table_labels.clear();
        self.tables_made = 0;

        self.signature.assign(ty);
        self.local_types.clear();
        self.local_types.extend_from_slice(&facts.locals);
        self.assign_homes(facts);
        self.bring_locals_home(facts);
        self.open_function(ty.results());
    }

    /// Emits the body, to the function's `end`.
    fn walk(
        &mut self,
        module: &ModuleInfo,
        operators: &mut OperatorsReader<'_>,
    ) -> Result<(), Refusal> {
        let mut rest = operators.get_binary_reader();
        let start = rest.original_position();
        let code = rest.read_bytes(rest.bytes_remaining()).unwrap_or_default();
        let lookahead = Lookahead::new(code);
        while !operators.eof() {
            let at = operators.original_position();
            self.operator = at as u32;
            self.lookahead = lookahead.behind((at - start) as usize);
            self.asm.buf.reserve(OPERATOR_ROOM);
            let offset = self.asm.offset();
            // The body is valid, so reading it again cannot fail.
            if self.reachable {
                operators.visit_operator(&mut Emit { c: self, module }).unwrap_or(Ok(()))?;
            } else {
                operators.visit_operator(&mut Skip { c: self }).unwrap_or(());
            }
            if self.options.record_operators && self.asm.offset() != offset {
                self.operators.push(OperatorStart { offset, wasm_offset: self.operator });
            }
            self.check();
        }
        Ok(())
    }

    /// Emits what stands around the body, and hands everything over.
    fn finish(&mut self, function: u32, out: &mut CompiledCode) {
        if self.reachable {
            self.emit_epilogue();
        }
        self.emit_cold();
        let overflow = self.has_stack_check().then(|| self.emit_stack_overflow());
        self.emit_tables();
        let body_len = self.asm.buf.len();
        let prologue = self.emit_prologue();
        let prologue_len = (self.asm.buf.len() - body_len) as u32;
        if let (Some(field), Some(overflow)) = (prologue.check, overflow) {
            // The jump is the last instruction before the body.
            debug_assert_eq!(field + 4, prologue_len);
            self.asm.buf.patch_u32(body_len as u32 + field, overflow);
        }

        let padded = out.bytes.len().next_multiple_of(FUNCTION_ALIGNMENT);
        out.bytes.resize(padded, 0xCC);
        let start = out.bytes.len() as u32;
        let (body, before_it) = self.asm.buf.bytes().split_at(body_len);
        out.bytes.extend_from_slice(before_it);
        out.bytes.extend_from_slice(body);
        let end = out.bytes.len() as u32;
        out.functions.push(CompiledFunction {
            function,
            code: start..end,
            frameless: prologue.frameless,
        });

        let shift = start + prologue_len;
        let traps = self.traps.iter();
        out.traps.extend(traps.map(|site| TrapSite { offset: site.offset + shift, ..*site }));
        let calls = self.calls.iter();
        out.calls.extend(
            calls.map(|site| CallSite { return_offset: site.return_offset + shift, ..*site }),
        );
        let relocations = self.relocations.iter();
        out.relocations
            .extend(relocations.map(|site| Relocation { offset: site.offset + shift, ..*site }));
        if self.options.record_operators {
            let operators = self.operators.iter();
            out.operators.get_or_insert_default().extend(
                operators.map(|site| OperatorStart { offset: site.offset + shift, ..*site }),
            );
        }
    }

    /// Checks the rules of `value.rs` and that every temporary is either free or in use.
    fn check(&self) {
        if !cfg!(debug_assertions) || !self.reachable {
            return;
        }
        let (mut gprs, mut xmms) = (self.registers.free_gprs, self.registers.free_xmms);
        let len = self.stack.len();
        assert!(self.stack.settled() <= len && len - self.stack.settled() <= value::WINDOW);
        for height in 0..len {
            let is_settled = height < self.stack.settled();
            match self.stack.get(height).value {
                Value::Const(_) | Value::Spilled => {}
                _ if is_settled => panic!("entry {height} is not settled"),
                Value::Gpr(register) if self.registers.gprs.contains(register) => {
                    assert!(!gprs.contains(register), "{register:?} is free or used twice");
                    gprs.insert(register);
                }
                Value::Xmm(register) if self.registers.xmms.contains(register) => {
                    assert!(!xmms.contains(register), "{register:?} is free or used twice");
                    xmms.insert(register);
                }
                Value::Local(local) => assert!(self.homes[local as usize] != Home::Nowhere),
                _ => assert_eq!(height + 1, len, "only the top is for the next operator"),
            }
        }
        assert_eq!(gprs, self.registers.gprs, "a register is lost");
        assert_eq!(xmms, self.registers.xmms, "a register is lost");
    }
}

#[cold]
fn refused(info: &ModuleInfo, function: u32, refusal: Refusal, offset: u32) -> LoadError {
    let what = match refusal {
        Refusal::Operator(visit) => format!("operator `{}`", operator_name(visit)),
        Refusal::Feature(feature) => feature.to_string(),
    };
    let name: Option<Arc<str>> = info.function_name(function);
    LoadError::Unsupported {
        what: what + " on the baseline tier",
        function: Some((function, name)),
        offset: u64::from(offset),
    }
}

/// Visits the operators that can be executed.
struct Emit<'c, 'm> {
    c: &'c mut Compiler,
    module: &'m ModuleInfo,
}

impl<'m> Emit<'_, 'm> {
    /// Opens a block by one of the compiler's methods.
    fn block(
        &mut self,
        open: impl FnOnce(&mut Compiler, &[ValType], &[ValType]),
        ty: BlockType,
    ) -> Result<(), Refusal> {
        let single;
        let (params, results): (&[ValType], &[ValType]) = match ty {
            BlockType::Empty => (&[], &[]),
            BlockType::Type(ty) => {
                single = number(ty)?;
                (&[], std::slice::from_ref(&single))
            }
            BlockType::FuncType(index) => {
                let ty = &self.module.types[index as usize];
                (ty.params(), ty.results())
            }
        };
        numbers(params)?;
        numbers(results)?;
        open(self.c, params, results);
        Ok(())
    }

    fn call(&mut self, function: u32) -> Result<(), Refusal> {
        if function < self.module.imported_functions {
            return Err(Refusal::Feature("calls to imported functions"));
        }
        let ty: &'m FuncType = self.module.function_type(function);
        numbers(ty.params())?;
        numbers(ty.results())?;
        self.c.call(function, ty);
        Ok(())
    }

    fn typed_select(&mut self, ty: wasmparser::ValType) -> Result<(), Refusal> {
        number(ty)?;
        self.c.select();
        Ok(())
    }
}

/// The type, if this tier can handle its values.
fn number(ty: wasmparser::ValType) -> Result<ValType, Refusal> {
    ValType::from_wasmparser(ty)
        .filter(|ty| is_supported(*ty))
        .ok_or(Refusal::Feature("values that are no numbers"))
}

fn numbers(types: &[ValType]) -> Result<(), Refusal> {
    match types.iter().copied().all(is_supported) {
        true => Ok(()),
        false => Err(Refusal::Feature("values that are no numbers")),
    }
}

// The operands' widths and types, as the table names them.
const I32: Size = Size::S32;
const I64: Size = Size::S64;
const F32: ValType = ValType::F32;
const F64: ValType = ValType::F64;

/// The table of operators. Its arms take the visitor or the compiler, the operator's name as
/// wasmparser has it, and in parentheses the visit method's name and the immediates.
macro_rules! emit_operator {
    // The generator: one visit method for each operator that exists.
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident $ann:tt)*) => {
        $(
            #[inline]
            fn $visit(&mut self $($(, $arg: $argty)*)?) -> Self::Output {
                emit_operator!(@typed self $op ($visit $($($arg)*)?))
            }
        )*
    };

    // Operators that need the module, or may be refused for the types they name.
    (@typed $v:ident Block ($visit:ident $ty:ident)) => { $v.block(Compiler::block, $ty) };
    (@typed $v:ident Loop ($visit:ident $ty:ident)) => { $v.block(Compiler::loop_, $ty) };
    (@typed $v:ident If ($visit:ident $ty:ident)) => { $v.block(Compiler::if_, $ty) };
    (@typed $v:ident Call ($visit:ident $function:ident)) => { $v.call($function) };
    (@typed $v:ident TypedSelect ($visit:ident $ty:ident)) => { $v.typed_select($ty) };
    (@typed $v:ident $op:ident $i:tt) => {{
        let c = &mut *$v.c;
        emit_operator!(@plain c $op $i);
        Ok(())
    }};

    (@plain $c:ident Nop $i:tt) => { let _ = $c; };
    (@plain $c:ident Unreachable $i:tt) => { $c.unreachable() };
    (@plain $c:ident Else $i:tt) => { $c.else_() };
    (@plain $c:ident End $i:tt) => { $c.end() };
    (@plain $c:ident Br ($visit:ident $depth:ident)) => { $c.br($depth) };
    (@plain $c:ident BrIf ($visit:ident $depth:ident)) => { $c.br_if($depth) };
    (@plain $c:ident BrTable ($visit:ident $table:ident)) => { $c.br_table(&$table) };
    (@plain $c:ident Return $i:tt) => { $c.return_() };
    (@plain $c:ident Drop $i:tt) => { $c.drop() };
    (@plain $c:ident Select $i:tt) => { $c.select() };

    (@plain $c:ident LocalGet ($visit:ident $local:ident)) => { $c.local_get($local) };
    (@plain $c:ident LocalSet ($visit:ident $local:ident)) => { $c.local_set($local) };
    (@plain $c:ident LocalTee ($visit:ident $local:ident)) => { $c.local_tee($local) };
    (@plain $c:ident I32Const ($visit:ident $v:ident)) => { $c.push_const(ValType::I32, u64::from($v.cast_unsigned())) };
    (@plain $c:ident I64Const ($visit:ident $v:ident)) => { $c.push_const(ValType::I64, $v.cast_unsigned()) };
    (@plain $c:ident F32Const ($visit:ident $v:ident)) => { $c.push_const(ValType::F32, u64::from($v.bits())) };
    (@plain $c:ident F64Const ($visit:ident $v:ident)) => { $c.push_const(ValType::F64, $v.bits()) };

    (@plain $c:ident I32Add $i:tt) => { $c.alu(Alu::Add, I32) };
    (@plain $c:ident I64Add $i:tt) => { $c.alu(Alu::Add, I64) };
    (@plain $c:ident I32Sub $i:tt) => { $c.alu(Alu::Sub, I32) };
    (@plain $c:ident I64Sub $i:tt) => { $c.alu(Alu::Sub, I64) };
    (@plain $c:ident I32And $i:tt) => { $c.alu(Alu::And, I32) };
    (@plain $c:ident I64And $i:tt) => { $c.alu(Alu::And, I64) };
    (@plain $c:ident I32Or $i:tt) => { $c.alu(Alu::Or, I32) };
    (@plain $c:ident I64Or $i:tt) => { $c.alu(Alu::Or, I64) };
    (@plain $c:ident I32Xor $i:tt) => { $c.alu(Alu::Xor, I32) };
    (@plain $c:ident I64Xor $i:tt) => { $c.alu(Alu::Xor, I64) };
    (@plain $c:ident I32Mul $i:tt) => { $c.multiply(I32) };
    (@plain $c:ident I64Mul $i:tt) => { $c.multiply(I64) };
    (@plain $c:ident I32DivS $i:tt) => { $c.divide(Division::DIV_S, I32) };
    (@plain $c:ident I64DivS $i:tt) => { $c.divide(Division::DIV_S, I64) };
    (@plain $c:ident I32DivU $i:tt) => { $c.divide(Division::DIV_U, I32) };
    (@plain $c:ident I64DivU $i:tt) => { $c.divide(Division::DIV_U, I64) };
    (@plain $c:ident I32RemS $i:tt) => { $c.divide(Division::REM_S, I32) };
    (@plain $c:ident I64RemS $i:tt) => { $c.divide(Division::REM_S, I64) };
    (@plain $c:ident I32RemU $i:tt) => { $c.divide(Division::REM_U, I32) };
    (@plain $c:ident I64RemU $i:tt) => { $c.divide(Division::REM_U, I64) };
    (@plain $c:ident I32Shl $i:tt) => { $c.shift(Shift::Shl, I32) };
    (@plain $c:ident I64Shl $i:tt) => { $c.shift(Shift::Shl, I64) };
    (@plain $c:ident I32ShrS $i:tt) => { $c.shift(Shift::Sar, I32) };
    (@plain $c:ident I64ShrS $i:tt) => { $c.shift(Shift::Sar, I64) };
    (@plain $c:ident I32ShrU $i:tt) => { $c.shift(Shift::Shr, I32) };
    (@plain $c:ident I64ShrU $i:tt) => { $c.shift(Shift::Shr, I64) };
    (@plain $c:ident I32Rotl $i:tt) => { $c.shift(Shift::Rol, I32) };
    (@plain $c:ident I64Rotl $i:tt) => { $c.shift(Shift::Rol, I64) };
    (@plain $c:ident I32Rotr $i:tt) => { $c.shift(Shift::Ror, I32) };
    (@plain $c:ident I64Rotr $i:tt) => { $c.shift(Shift::Ror, I64) };

    (@plain $c:ident I32Eqz $i:tt) => { $c.equals_zero(I32) };
    (@plain $c:ident I64Eqz $i:tt) => { $c.equals_zero(I64) };
    (@plain $c:ident I32Eq $i:tt) => { $c.compare(Cond::E, I32) };
    (@plain $c:ident I64Eq $i:tt) => { $c.compare(Cond::E, I64) };
    (@plain $c:ident I32Ne $i:tt) => { $c.compare(Cond::Ne, I32) };
    (@plain $c:ident I64Ne $i:tt) => { $c.compare(Cond::Ne, I64) };
    (@plain $c:ident I32LtS $i:tt) => { $c.compare(Cond::L, I32) };
    (@plain $c:ident I64LtS $i:tt) => { $c.compare(Cond::L, I64) };
    (@plain $c:ident I32LtU $i:tt) => { $c.compare(Cond::B, I32) };
    (@plain $c:ident I64LtU $i:tt) => { $c.compare(Cond::B, I64) };
    (@plain $c:ident I32GtS $i:tt) => { $c.compare(Cond::G, I32) };
    (@plain $c:ident I64GtS $i:tt) => { $c.compare(Cond::G, I64) };
    (@plain $c:ident I32GtU $i:tt) => { $c.compare(Cond::A, I32) };
    (@plain $c:ident I64GtU $i:tt) => { $c.compare(Cond::A, I64) };
    (@plain $c:ident I32LeS $i:tt) => { $c.compare(Cond::Le, I32) };
    (@plain $c:ident I64LeS $i:tt) => { $c.compare(Cond::Le, I64) };
    (@plain $c:ident I32LeU $i:tt) => { $c.compare(Cond::Be, I32) };
    (@plain $c:ident I64LeU $i:tt) => { $c.compare(Cond::Be, I64) };
    (@plain $c:ident I32GeS $i:tt) => { $c.compare(Cond::Ge, I32) };
    (@plain $c:ident I64GeS $i:tt) => { $c.compare(Cond::Ge, I64) };
    (@plain $c:ident I32GeU $i:tt) => { $c.compare(Cond::Ae, I32) };
    (@plain $c:ident I64GeU $i:tt) => { $c.compare(Cond::Ae, I64) };

    (@plain $c:ident I32Clz $i:tt) => { $c.count(Count::LeadingZeros, I32) };
    (@plain $c:ident I64Clz $i:tt) => { $c.count(Count::LeadingZeros, I64) };
    (@plain $c:ident I32Ctz $i:tt) => { $c.count(Count::TrailingZeros, I32) };
    (@plain $c:ident I64Ctz $i:tt) => { $c.count(Count::TrailingZeros, I64) };
    (@plain $c:ident I32Popcnt $i:tt) => { $c.count(Count::Ones, I32) };
    (@plain $c:ident I64Popcnt $i:tt) => { $c.count(Count::Ones, I64) };
    (@plain $c:ident I32Extend8S $i:tt) => { $c.sign_extend(Size::S8, I32) };
    (@plain $c:ident I32Extend16S $i:tt) => { $c.sign_extend(Size::S16, I32) };
    (@plain $c:ident I64Extend8S $i:tt) => { $c.sign_extend(Size::S8, I64) };
    (@plain $c:ident I64Extend16S $i:tt) => { $c.sign_extend(Size::S16, I64) };
    (@plain $c:ident I64Extend32S $i:tt) => { $c.sign_extend(I32, I64) };
    (@plain $c:ident I64ExtendI32S $i:tt) => { $c.sign_extend(I32, I64) };
    (@plain $c:ident I64ExtendI32U $i:tt) => { $c.zero_extend() };
    (@plain $c:ident I32WrapI64 $i:tt) => { $c.wrap() };

    (@plain $c:ident I32ReinterpretF32 $i:tt) => { $c.float_bits(F32) };
    (@plain $c:ident I64ReinterpretF64 $i:tt) => { $c.float_bits(F64) };
    (@plain $c:ident F32ReinterpretI32 $i:tt) => { $c.float_from_bits(F32) };
    (@plain $c:ident F64ReinterpretI64 $i:tt) => { $c.float_from_bits(F64) };

    (@plain $c:ident F32Add $i:tt) => { $c.float_binary(FloatOp::Add, F32) };
    (@plain $c:ident F64Add $i:tt) => { $c.float_binary(FloatOp::Add, F64) };
    (@plain $c:ident F32Sub $i:tt) => { $c.float_binary(FloatOp::Sub, F32) };
    (@plain $c:ident F64Sub $i:tt) => { $c.float_binary(FloatOp::Sub, F64) };
    (@plain $c:ident F32Mul $i:tt) => { $c.float_binary(FloatOp::Mul, F32) };
    (@plain $c:ident F64Mul $i:tt) => { $c.float_binary(FloatOp::Mul, F64) };
    (@plain $c:ident F32Div $i:tt) => { $c.float_binary(FloatOp::Div, F32) };
    (@plain $c:ident F64Div $i:tt) => { $c.float_binary(FloatOp::Div, F64) };
    (@plain $c:ident F32Min $i:tt) => { $c.float_extreme(FloatOp::Min, F32) };
    (@plain $c:ident F64Min $i:tt) => { $c.float_extreme(FloatOp::Min, F64) };
    (@plain $c:ident F32Max $i:tt) => { $c.float_extreme(FloatOp::Max, F32) };
    (@plain $c:ident F64Max $i:tt) => { $c.float_extreme(FloatOp::Max, F64) };
    (@plain $c:ident F32Copysign $i:tt) => { $c.float_copysign(F32) };
    (@plain $c:ident F64Copysign $i:tt) => { $c.float_copysign(F64) };
    (@plain $c:ident F32Neg $i:tt) => { $c.float_neg(F32) };
    (@plain $c:ident F64Neg $i:tt) => { $c.float_neg(F64) };
    (@plain $c:ident F32Abs $i:tt) => { $c.float_abs(F32) };
    (@plain $c:ident F64Abs $i:tt) => { $c.float_abs(F64) };
    (@plain $c:ident F32Sqrt $i:tt) => { $c.float_sqrt(F32) };
    (@plain $c:ident F64Sqrt $i:tt) => { $c.float_sqrt(F64) };
    (@plain $c:ident F32Ceil $i:tt) => { $c.float_round(Rounding::Up, F32) };
    (@plain $c:ident F64Ceil $i:tt) => { $c.float_round(Rounding::Up, F64) };
    (@plain $c:ident F32Floor $i:tt) => { $c.float_round(Rounding::Down, F32) };
    (@plain $c:ident F64Floor $i:tt) => { $c.float_round(Rounding::Down, F64) };
    (@plain $c:ident F32Trunc $i:tt) => { $c.float_round(Rounding::Zero, F32) };
    (@plain $c:ident F64Trunc $i:tt) => { $c.float_round(Rounding::Zero, F64) };
    (@plain $c:ident F32Nearest $i:tt) => { $c.float_round(Rounding::Nearest, F32) };
    (@plain $c:ident F64Nearest $i:tt) => { $c.float_round(Rounding::Nearest, F64) };

    (@plain $c:ident F32Eq $i:tt) => { $c.float_compare(FloatCompare::Eq, F32) };
    (@plain $c:ident F64Eq $i:tt) => { $c.float_compare(FloatCompare::Eq, F64) };
    (@plain $c:ident F32Ne $i:tt) => { $c.float_compare(FloatCompare::Ne, F32) };
    (@plain $c:ident F64Ne $i:tt) => { $c.float_compare(FloatCompare::Ne, F64) };
    (@plain $c:ident F32Lt $i:tt) => { $c.float_compare(FloatCompare::Lt, F32) };
    (@plain $c:ident F64Lt $i:tt) => { $c.float_compare(FloatCompare::Lt, F64) };
    (@plain $c:ident F32Gt $i:tt) => { $c.float_compare(FloatCompare::Gt, F32) };
    (@plain $c:ident F64Gt $i:tt) => { $c.float_compare(FloatCompare::Gt, F64) };
    (@plain $c:ident F32Le $i:tt) => { $c.float_compare(FloatCompare::Le, F32) };
    (@plain $c:ident F64Le $i:tt) => { $c.float_compare(FloatCompare::Le, F64) };
    (@plain $c:ident F32Ge $i:tt) => { $c.float_compare(FloatCompare::Ge, F32) };
    (@plain $c:ident F64Ge $i:tt) => { $c.float_compare(FloatCompare::Ge, F64) };

    (@plain $c:ident F32DemoteF64 $i:tt) => { $c.demote() };
    (@plain $c:ident F64PromoteF32 $i:tt) => { $c.promote() };
    (@plain $c:ident F32ConvertI32S $i:tt) => { $c.convert_signed(I32, F32) };
    (@plain $c:ident F32ConvertI64S $i:tt) => { $c.convert_signed(I64, F32) };
    (@plain $c:ident F64ConvertI32S $i:tt) => { $c.convert_signed(I32, F64) };
    (@plain $c:ident F64ConvertI64S $i:tt) => { $c.convert_signed(I64, F64) };
    (@plain $c:ident F32ConvertI32U $i:tt) => { $c.convert_unsigned(I32, F32) };
    (@plain $c:ident F32ConvertI64U $i:tt) => { $c.convert_unsigned(I64, F32) };
    (@plain $c:ident F64ConvertI32U $i:tt) => { $c.convert_unsigned(I32, F64) };
    (@plain $c:ident F64ConvertI64U $i:tt) => { $c.convert_unsigned(I64, F64) };
    (@plain $c:ident I32TruncF32S $i:tt) => { $c.truncate_float(Truncation::signed(F32, I32)) };
    (@plain $c:ident I32TruncF64S $i:tt) => { $c.truncate_float(Truncation::signed(F64, I32)) };
    (@plain $c:ident I64TruncF32S $i:tt) => { $c.truncate_float(Truncation::signed(F32, I64)) };
    (@plain $c:ident I64TruncF64S $i:tt) => { $c.truncate_float(Truncation::signed(F64, I64)) };
    (@plain $c:ident I32TruncF32U $i:tt) => { $c.truncate_float(Truncation::unsigned(F32, I32)) };
    (@plain $c:ident I32TruncF64U $i:tt) => { $c.truncate_float(Truncation::unsigned(F64, I32)) };
    (@plain $c:ident I64TruncF32U $i:tt) => { $c.truncate_float(Truncation::unsigned(F32, I64)) };
    (@plain $c:ident I64TruncF64U $i:tt) => { $c.truncate_float(Truncation::unsigned(F64, I64)) };
    (@plain $c:ident I32TruncSatF32S $i:tt) => { $c.truncate_float(Truncation::signed(F32, I32).saturating()) };
    (@plain $c:ident I32TruncSatF64S $i:tt) => { $c.truncate_float(Truncation::signed(F64, I32).saturating()) };
    (@plain $c:ident I64TruncSatF32S $i:tt) => { $c.truncate_float(Truncation::signed(F32, I64).saturating()) };
    (@plain $c:ident I64TruncSatF64S $i:tt) => { $c.truncate_float(Truncation::signed(F64, I64).saturating()) };
    (@plain $c:ident I32TruncSatF32U $i:tt) => { $c.truncate_float(Truncation::unsigned(F32, I32).saturating()) };
    (@plain $c:ident I32TruncSatF64U $i:tt) => { $c.truncate_float(Truncation::unsigned(F64, I32).saturating()) };
    (@plain $c:ident I64TruncSatF32U $i:tt) => { $c.truncate_float(Truncation::unsigned(F32, I64).saturating()) };
    (@plain $c:ident I64TruncSatF64U $i:tt) => { $c.truncate_float(Truncation::unsigned(F64, I64).saturating()) };

    // Everything else.
    (@plain $c:ident $op:ident ($visit:ident $($arg:ident)*)) => {
        let _ = ($c, $(&$arg),*);
        Err(Refusal::Operator(stringify!($visit)))?;
    };
}

impl<'a> VisitOperator<'a> for Emit<'_, '_> {
    type Output = Result<(), Refusal>;

    fn simd_visitor(&mut self) -> Option<&mut dyn VisitSimdOperator<'a, Output = Self::Output>> {
        Some(self)
    }

    wasmparser::for_each_visit_operator!(emit_operator);
}

impl VisitSimdOperator<'_> for Emit<'_, '_> {
    wasmparser::for_each_visit_simd_operator!(emit_operator);
}

/// Visits the operators that cannot be executed: only the nesting of blocks counts.
struct Skip<'c> {
    c: &'c mut Compiler,
}

macro_rules! skip_operator {
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident $ann:tt)*) => {
        $(
            #[inline]
            fn $visit(&mut self $($(, $arg: $argty)*)?) {
                $($( let _ = $arg; )*)?
                skip_operator!(@ self $op)
            }
        )*
    };
    (@ $v:ident Block) => { $v.c.skipped_blocks += 1 };
    (@ $v:ident Loop) => { $v.c.skipped_blocks += 1 };
    (@ $v:ident If) => { $v.c.skipped_blocks += 1 };
    (@ $v:ident Else) => { if $v.c.skipped_blocks == 0 { $v.c.else_() } };
    (@ $v:ident End) => {
        match $v.c.skipped_blocks.checked_sub(1) {
            Some(left) => $v.c.skipped_blocks = left,
            None => $v.c.end(),
        }
    };
    (@ $v:ident $op:ident) => {{}};
}

impl<'a> VisitOperator<'a> for Skip<'_> {
    type Output = ();

    fn simd_visitor(&mut self) -> Option<&mut dyn VisitSimdOperator<'a, Output = Self::Output>> {
        Some(self)
    }

    wasmparser::for_each_visit_operator!(skip_operator);
}

impl VisitSimdOperator<'_> for Skip<'_> {
    wasmparser::for_each_visit_simd_operator!(skip_operator);
}
