//! The operator table: what each operator becomes, one line each where one instruction does it.
//!
//! Refuses, with [`LoadError::Unsupported`], every operator that has no line. Those on vectors are in
//! `simd.rs`.

use cranelift_codegen::ir::Opcode;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32, F64, I8, I16, I32, I64};
use wasmparser::{VisitOperator, VisitSimdOperator};

use super::Translator;
use crate::error::LoadError;

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
