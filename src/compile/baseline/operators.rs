//! The table of operators: which method of the compiler emits which operator.
//!
//! Owns the visitor. What is not in the table is refused by name, unless it cannot be executed.

use wasmparser::{BlockType, FrameKind, FrameStack, VisitOperator, VisitSimdOperator};

use super::calls::Callee;
use super::convert::Truncation;
use super::divide::Division;
use super::float::{FloatCompare, FloatOp};
use super::integer::Count;
use super::{Compiler, Refusal};
use crate::asm::{Alu, Cond, FloatSize, Rounding, Shift, Size};
use crate::compile::abi::{Builtin, VMCTX};
use crate::error::TrapCode;
use crate::module::{FuncType, ModuleInfo, TableType, ValType};

/// Visits the operators.
pub(super) struct Emit<'c, 'm> {
    pub c: &'c mut Compiler,
    pub module: &'m ModuleInfo,
}

impl<'m> Emit<'_, 'm> {
    /// Opens a block by one of the compiler's methods.
    fn block(
        &mut self,
        open: impl FnOnce(&mut Compiler, &[ValType], &[ValType]),
        ty: BlockType,
    ) -> Result<(), Box<Refusal>> {
        let single;
        let (params, results): (&[ValType], &[ValType]) = match ty {
            BlockType::Empty => (&[], &[]),
            BlockType::Type(ty) => {
                single = value_type(ty);
                (&[], std::slice::from_ref(&single))
            }
            BlockType::FuncType(index) => {
                let ty = &self.module.types[index as usize];
                (ty.params(), ty.results())
            }
        };
        open(self.c, params, results);
        Ok(())
    }

    fn call(&mut self, function: u32) -> Result<(), Box<Refusal>> {
        let ty: &'m FuncType = self.module.function_type(function);
        let callee = match function < self.module.imported_functions {
            true => Callee::At(VMCTX, self.c.layout.imported_function(function)),
            false => Callee::Defined(function),
        };
        self.c.call(callee, ty);
        Ok(())
    }

    fn call_indirect(&mut self, ty: u32, table: u32) -> Result<(), Box<Refusal>> {
        let type_id = self.module.type_ids[ty as usize];
        let ty: &'m FuncType = &self.module.types[ty as usize];
        self.c.call_indirect(ty, type_id, table, self.table(table));
        Ok(())
    }

    fn global_get(&mut self, global: u32) -> Result<(), Box<Refusal>> {
        let ty = self.module.globals[global as usize].content;
        self.c.global_get(global, ty);
        Ok(())
    }

    fn global_set(&mut self, global: u32) -> Result<(), Box<Refusal>> {
        let ty = self.module.globals[global as usize].content;
        self.c.global_set(global, ty);
        Ok(())
    }

    fn table(&self, table: u32) -> &'m TableType {
        &self.module.tables[table as usize]
    }

    fn table_get(&mut self, table: u32) -> Result<(), Box<Refusal>> {
        self.c.table_get(table, self.table(table));
        Ok(())
    }

    fn table_set(&mut self, table: u32) -> Result<(), Box<Refusal>> {
        self.c.table_set(table, self.table(table));
        Ok(())
    }

    fn ref_null(&mut self, ty: wasmparser::HeapType) -> Result<(), Box<Refusal>> {
        let ty = match ty {
            wasmparser::HeapType::FUNC => ValType::FuncRef,
            _ => ValType::ExternRef,
        };
        self.c.push_const(ty, 0);
        Ok(())
    }

    fn ref_func(&mut self, function: u32) -> Result<(), Box<Refusal>> {
        let escaping = self.module.escaping_index(function).expect("a declared function");
        self.c.ref_func(escaping);
        Ok(())
    }
}

fn value_type(ty: wasmparser::ValType) -> ValType {
    ValType::from_wasmparser(ty).expect("a type of WebAssembly 2.0")
}

/// Refuses the operator that this method visits: out of line, because there are hundreds.
#[cold]
#[inline(never)]
pub(super) fn unsupported(visit: &'static str) -> Result<(), Box<Refusal>> {
    Err(Box::new(Refusal::Operator(visit)))
}

// The operands' widths and types, as the table names them.
const I32: Size = Size::S32;
const I64: Size = Size::S64;
const F32: ValType = ValType::F32;
const F64: ValType = ValType::F64;
// How much of memory they access.
const M8: Size = Size::S8;
const M16: Size = Size::S16;
const M32: Size = Size::S32;
const M64: Size = Size::S64;

/// What an operator does that cannot be executed: only the nesting of blocks counts.
macro_rules! skip_operator {
    ($v:ident Block) => {
        $v.c.skipped_blocks += 1
    };
    ($v:ident Loop) => {
        $v.c.skipped_blocks += 1
    };
    ($v:ident If) => {
        $v.c.skipped_blocks += 1
    };
    ($v:ident Else) => {
        if $v.c.skipped_blocks == 0 {
            $v.c.else_()
        }
    };
    ($v:ident End) => {
        match $v.c.skipped_blocks.checked_sub(1) {
            Some(left) => $v.c.skipped_blocks = left,
            None => $v.c.end(),
        }
    };
    ($v:ident $op:ident) => {};
}

/// The table of operators. Its arms take the visitor or the compiler, the operator's name as
/// wasmparser has it, and in parentheses the visit method's name and the immediates.
macro_rules! emit_operator {
    // The generator: one visit method for each operator that exists.
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident $ann:tt)*) => {
        $(
            #[inline]
            fn $visit(&mut self $($(, $arg: $argty)*)?) -> Self::Output {
                if !self.c.reachable {
                    skip_operator!(self $op);
                    return Ok(());
                }
                emit_operator!(@typed self $op ($visit $($($arg)*)?))
            }
        )*
    };

    // Operators that need the module, or may be refused for the types they name.
    (@typed $v:ident Block ($visit:ident $ty:ident)) => { $v.block(Compiler::block, $ty) };
    (@typed $v:ident Loop ($visit:ident $ty:ident)) => { $v.block(Compiler::loop_, $ty) };
    (@typed $v:ident If ($visit:ident $ty:ident)) => { $v.block(Compiler::if_, $ty) };
    (@typed $v:ident Call ($visit:ident $function:ident)) => { $v.call($function) };
    (@typed $v:ident CallIndirect ($visit:ident $ty:ident $table:ident)) => { $v.call_indirect($ty, $table) };
    (@typed $v:ident GlobalGet ($visit:ident $global:ident)) => { $v.global_get($global) };
    (@typed $v:ident GlobalSet ($visit:ident $global:ident)) => { $v.global_set($global) };
    (@typed $v:ident TableGet ($visit:ident $table:ident)) => { $v.table_get($table) };
    (@typed $v:ident TableSet ($visit:ident $table:ident)) => { $v.table_set($table) };
    (@typed $v:ident RefNull ($visit:ident $ty:ident)) => { $v.ref_null($ty) };
    (@typed $v:ident RefFunc ($visit:ident $function:ident)) => { $v.ref_func($function) };
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
    (@plain $c:ident TypedSelect ($visit:ident $ty:ident)) => {{ let _ = $ty; $c.select() }};

    (@plain $c:ident LocalGet ($visit:ident $local:ident)) => { $c.local_get($local) };
    (@plain $c:ident LocalSet ($visit:ident $local:ident)) => { $c.local_set($local) };
    (@plain $c:ident LocalTee ($visit:ident $local:ident)) => { $c.local_tee($local) };
    (@plain $c:ident I32Const ($visit:ident $v:ident)) => { $c.push_const(ValType::I32, u64::from($v.cast_unsigned())) };
    (@plain $c:ident I64Const ($visit:ident $v:ident)) => { $c.push_const(ValType::I64, $v.cast_unsigned()) };
    (@plain $c:ident F32Const ($visit:ident $v:ident)) => { $c.push_const(ValType::F32, u64::from($v.bits())) };
    (@plain $c:ident F64Const ($visit:ident $v:ident)) => { $c.push_const(ValType::F64, $v.bits()) };

    (@plain $c:ident I32Load ($visit:ident $m:ident)) => { $c.load_zeros(I32, M32, $m) };
    (@plain $c:ident I64Load ($visit:ident $m:ident)) => { $c.load_zeros(I64, M64, $m) };
    (@plain $c:ident I32Load8U ($visit:ident $m:ident)) => { $c.load_zeros(I32, M8, $m) };
    (@plain $c:ident I32Load16U ($visit:ident $m:ident)) => { $c.load_zeros(I32, M16, $m) };
    (@plain $c:ident I64Load8U ($visit:ident $m:ident)) => { $c.load_zeros(I64, M8, $m) };
    (@plain $c:ident I64Load16U ($visit:ident $m:ident)) => { $c.load_zeros(I64, M16, $m) };
    (@plain $c:ident I64Load32U ($visit:ident $m:ident)) => { $c.load_zeros(I64, M32, $m) };
    (@plain $c:ident I32Load8S ($visit:ident $m:ident)) => { $c.load_sign(I32, M8, $m) };
    (@plain $c:ident I32Load16S ($visit:ident $m:ident)) => { $c.load_sign(I32, M16, $m) };
    (@plain $c:ident I64Load8S ($visit:ident $m:ident)) => { $c.load_sign(I64, M8, $m) };
    (@plain $c:ident I64Load16S ($visit:ident $m:ident)) => { $c.load_sign(I64, M16, $m) };
    (@plain $c:ident I64Load32S ($visit:ident $m:ident)) => { $c.load_sign(I64, M32, $m) };
    (@plain $c:ident F32Load ($visit:ident $m:ident)) => { $c.load_float(FloatSize::F32, $m) };
    (@plain $c:ident F64Load ($visit:ident $m:ident)) => { $c.load_float(FloatSize::F64, $m) };
    (@plain $c:ident I32Store ($visit:ident $m:ident)) => { $c.store_low(M32, $m) };
    (@plain $c:ident I64Store ($visit:ident $m:ident)) => { $c.store_low(M64, $m) };
    (@plain $c:ident F32Store ($visit:ident $m:ident)) => { $c.store_low(M32, $m) };
    (@plain $c:ident F64Store ($visit:ident $m:ident)) => { $c.store_low(M64, $m) };
    (@plain $c:ident I32Store8 ($visit:ident $m:ident)) => { $c.store_low(M8, $m) };
    (@plain $c:ident I32Store16 ($visit:ident $m:ident)) => { $c.store_low(M16, $m) };
    (@plain $c:ident I64Store8 ($visit:ident $m:ident)) => { $c.store_low(M8, $m) };
    (@plain $c:ident I64Store16 ($visit:ident $m:ident)) => { $c.store_low(M16, $m) };
    (@plain $c:ident I64Store32 ($visit:ident $m:ident)) => { $c.store_low(M32, $m) };
    (@plain $c:ident MemorySize ($visit:ident $memory:ident)) => { $c.memory_size($memory) };
    (@plain $c:ident MemoryGrow ($visit:ident $memory:ident)) => { $c.call_grow(Builtin::MemoryGrow, $memory, 1) };
    (@plain $c:ident MemoryFill ($visit:ident $memory:ident)) => { $c.memory_fill($memory) };
    (@plain $c:ident MemoryCopy ($visit:ident $to:ident $from:ident)) => { $c.memory_copy($to, $from) };
    (@plain $c:ident MemoryInit ($visit:ident $segment:ident $memory:ident)) => { $c.call_fallible(Builtin::MemoryInit, &[$memory, $segment], TrapCode::MemoryOutOfBounds) };
    (@plain $c:ident DataDrop ($visit:ident $segment:ident)) => { $c.call_drop(Builtin::DataDrop, $segment) };

    (@plain $c:ident TableSize ($visit:ident $table:ident)) => { $c.table_size($table) };
    (@plain $c:ident TableGrow ($visit:ident $table:ident)) => { $c.call_grow(Builtin::TableGrow, $table, 2) };
    (@plain $c:ident TableFill ($visit:ident $table:ident)) => { $c.call_fallible(Builtin::TableFill, &[$table], TrapCode::TableOutOfBounds) };
    (@plain $c:ident TableCopy ($visit:ident $to:ident $from:ident)) => { $c.call_fallible(Builtin::TableCopy, &[$to, $from], TrapCode::TableOutOfBounds) };
    (@plain $c:ident TableInit ($visit:ident $segment:ident $table:ident)) => { $c.call_fallible(Builtin::TableInit, &[$table, $segment], TrapCode::TableOutOfBounds) };
    (@plain $c:ident ElemDrop ($visit:ident $segment:ident)) => { $c.call_drop(Builtin::ElemDrop, $segment) };
    (@plain $c:ident RefIsNull $i:tt) => { $c.equals_zero(I64) };

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
        unsupported(stringify!($visit))?;
    };
}

/// Validation has seen that blocks are closed and that each `else` has its `if`.
impl FrameStack for Emit<'_, '_> {
    fn current_frame(&self) -> Option<FrameKind> {
        Some(FrameKind::If)
    }
}

impl<'a> VisitOperator<'a> for Emit<'_, '_> {
    // A box, so that what nearly every operator returns, nothing, travels in registers.
    type Output = Result<(), Box<Refusal>>;

    fn simd_visitor(&mut self) -> Option<&mut dyn VisitSimdOperator<'a, Output = Self::Output>> {
        Some(self)
    }

    // Operators arrive one by one, never as this type, whose printing alone takes 20 KB of program.
    fn visit_operator(&mut self, _: &wasmparser::Operator<'a>) -> Self::Output {
        Ok(())
    }

    wasmparser::for_each_visit_operator!(emit_operator);
}
