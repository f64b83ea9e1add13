//! The rarer operators, and those that cannot be executed, as wasmparser reads them.
//!
//! Owns the visitor. What is neither here nor in `decode.rs` is refused, unless it cannot be executed.

use wasmparser::{FrameKind, FrameStack, VisitOperator, VisitSimdOperator};

use super::convert::Truncation;
use super::{Compiler, Refusal};
use crate::asm::Size;
use crate::compile::abi::Builtin;
use crate::error::TrapCode;
use crate::module::{ModuleInfo, TableType, ValType};

/// Visits what `decode.rs` leaves over.
pub(super) struct Emit<'c, 'm> {
    pub c: &'c mut Compiler,
    pub module: &'m ModuleInfo,
}

impl<'m> Emit<'_, 'm> {
    fn table(&self, table: u32) -> &'m TableType {
        &self.module.tables[table as usize]
    }

    fn table_get(&mut self, table: u32) -> Result<(), Refusal> {
        self.c.table_get(table, self.table(table));
        Ok(())
    }

    fn table_set(&mut self, table: u32) -> Result<(), Refusal> {
        self.c.table_set(table, self.table(table));
        Ok(())
    }

    fn ref_null(&mut self, ty: wasmparser::HeapType) -> Result<(), Refusal> {
        let ty = match ty {
            wasmparser::HeapType::FUNC => ValType::FuncRef,
            _ => ValType::ExternRef,
        };
        self.c.push_const(ty, 0);
        Ok(())
    }

    fn ref_func(&mut self, function: u32) -> Result<(), Refusal> {
        let escaping = self.module.escaping_index(function).expect("a declared function");
        self.c.ref_func(escaping);
        Ok(())
    }
}

/// Refuses an operator: out of line and without its name, because there are hundreds, and none that
/// passes validation is refused.
#[cold]
#[inline(never)]
pub(super) fn unsupported() -> Result<(), Refusal> {
    Err(Refusal)
}

// The operands' widths and types, as the table names them.
const I32: Size = Size::S32;
const I64: Size = Size::S64;
const F32: ValType = ValType::F32;
const F64: ValType = ValType::F64;

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

/// The table of these operators. Its arms take the visitor or the compiler, the operator's name as
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
    (@typed $v:ident TableGet ($visit:ident $table:ident)) => { $v.table_get($table) };
    (@typed $v:ident TableSet ($visit:ident $table:ident)) => { $v.table_set($table) };
    (@typed $v:ident RefNull ($visit:ident $ty:ident)) => { $v.ref_null($ty) };
    (@typed $v:ident RefFunc ($visit:ident $function:ident)) => { $v.ref_func($function) };
    (@typed $v:ident $op:ident $i:tt) => {{
        let c = &mut *$v.c;
        emit_operator!(@plain c $op $i);
        Ok(())
    }};

    (@plain $c:ident BrTable ($visit:ident $table:ident)) => { $c.br_table(&$table) };
    (@plain $c:ident TypedSelect ($visit:ident $ty:ident)) => {{ let _ = $ty; $c.select() }};

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
        unsupported()?;
    };
}

/// Validation has seen that blocks are closed and that each `else` has its `if`.
impl FrameStack for Emit<'_, '_> {
    fn current_frame(&self) -> Option<FrameKind> {
        Some(FrameKind::If)
    }
}

impl<'a> VisitOperator<'a> for Emit<'_, '_> {
    type Output = Result<(), Refusal>;

    fn simd_visitor(&mut self) -> Option<&mut dyn VisitSimdOperator<'a, Output = Self::Output>> {
        Some(self)
    }

    // Operators arrive one by one, never as this type, whose printing alone takes 20 KB of program.
    fn visit_operator(&mut self, _: &wasmparser::Operator<'a>) -> Self::Output {
        Ok(())
    }

    wasmparser::for_each_visit_operator!(emit_operator);
}
