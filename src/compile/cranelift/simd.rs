//! Vector operators: what each of them becomes, one line each.
//!
//! A vector has the type I8X16 on the operand stack and wherever values meet. Inside an operator it
//! has the type of its lanes: `lanes.rs` casts, which costs no instruction, and has the operators
//! that compute; `memory.rs` has those that load and store. What relaxed SIMD adds is refused.

mod lanes;
mod memory;

use cranelift_codegen::ir::Opcode;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32X4, F64X2, I8X16, I16X8, I32X4, I64X2};
use wasmparser::VisitSimdOperator;

use super::Translator;

/// What each operator becomes: a call on the translator.
#[rustfmt::skip]
macro_rules! operator {
    // Memory (§4.4.7).
    ($t:ident visit_v128_load $memarg:ident) => { $t.vector_load(&$memarg) };
    ($t:ident visit_v128_load8x8_s $memarg:ident) => { $t.load_extend(&$memarg, Opcode::Sload8x8) };
    ($t:ident visit_v128_load8x8_u $memarg:ident) => { $t.load_extend(&$memarg, Opcode::Uload8x8) };
    ($t:ident visit_v128_load16x4_s $memarg:ident) => { $t.load_extend(&$memarg, Opcode::Sload16x4) };
    ($t:ident visit_v128_load16x4_u $memarg:ident) => { $t.load_extend(&$memarg, Opcode::Uload16x4) };
    ($t:ident visit_v128_load32x2_s $memarg:ident) => { $t.load_extend(&$memarg, Opcode::Sload32x2) };
    ($t:ident visit_v128_load32x2_u $memarg:ident) => { $t.load_extend(&$memarg, Opcode::Uload32x2) };
    ($t:ident visit_v128_load8_splat $memarg:ident) => { $t.load_splat(&$memarg, I8X16) };
    ($t:ident visit_v128_load16_splat $memarg:ident) => { $t.load_splat(&$memarg, I16X8) };
    ($t:ident visit_v128_load32_splat $memarg:ident) => { $t.load_splat(&$memarg, I32X4) };
    ($t:ident visit_v128_load64_splat $memarg:ident) => { $t.load_splat(&$memarg, I64X2) };
    ($t:ident visit_v128_load32_zero $memarg:ident) => { $t.load_zero(&$memarg, I32X4) };
    ($t:ident visit_v128_load64_zero $memarg:ident) => { $t.load_zero(&$memarg, I64X2) };
    ($t:ident visit_v128_load8_lane $memarg:ident $lane:ident) => { $t.load_lane(&$memarg, I8X16, $lane) };
    ($t:ident visit_v128_load16_lane $memarg:ident $lane:ident) => { $t.load_lane(&$memarg, I16X8, $lane) };
    ($t:ident visit_v128_load32_lane $memarg:ident $lane:ident) => { $t.load_lane(&$memarg, I32X4, $lane) };
    ($t:ident visit_v128_load64_lane $memarg:ident $lane:ident) => { $t.load_lane(&$memarg, I64X2, $lane) };
    ($t:ident visit_v128_store $memarg:ident) => { $t.vector_store(&$memarg) };
    ($t:ident visit_v128_store8_lane $memarg:ident $lane:ident) => { $t.store_lane(&$memarg, I8X16, $lane) };
    ($t:ident visit_v128_store16_lane $memarg:ident $lane:ident) => { $t.store_lane(&$memarg, I16X8, $lane) };
    ($t:ident visit_v128_store32_lane $memarg:ident $lane:ident) => { $t.store_lane(&$memarg, I32X4, $lane) };
    ($t:ident visit_v128_store64_lane $memarg:ident $lane:ident) => { $t.store_lane(&$memarg, I64X2, $lane) };

    // Vectors (§4.4.3): constants and lanes.
    ($t:ident visit_v128_const $value:ident) => { $t.v128_const($value) };
    ($t:ident visit_i8x16_splat) => { $t.splat(I8X16) };
    ($t:ident visit_i16x8_splat) => { $t.splat(I16X8) };
    ($t:ident visit_i32x4_splat) => { $t.splat(I32X4) };
    ($t:ident visit_i64x2_splat) => { $t.splat(I64X2) };
    ($t:ident visit_f32x4_splat) => { $t.splat(F32X4) };
    ($t:ident visit_f64x2_splat) => { $t.splat(F64X2) };
    ($t:ident visit_i8x16_extract_lane_s $lane:ident) => { $t.extract_small_lane(I8X16, $lane, Opcode::Sextend) };
    ($t:ident visit_i8x16_extract_lane_u $lane:ident) => { $t.extract_small_lane(I8X16, $lane, Opcode::Uextend) };
    ($t:ident visit_i16x8_extract_lane_s $lane:ident) => { $t.extract_small_lane(I16X8, $lane, Opcode::Sextend) };
    ($t:ident visit_i16x8_extract_lane_u $lane:ident) => { $t.extract_small_lane(I16X8, $lane, Opcode::Uextend) };
    ($t:ident visit_i32x4_extract_lane $lane:ident) => { $t.extract_lane(I32X4, $lane) };
    ($t:ident visit_i64x2_extract_lane $lane:ident) => { $t.extract_lane(I64X2, $lane) };
    ($t:ident visit_f32x4_extract_lane $lane:ident) => { $t.extract_lane(F32X4, $lane) };
    ($t:ident visit_f64x2_extract_lane $lane:ident) => { $t.extract_lane(F64X2, $lane) };
    ($t:ident visit_i8x16_replace_lane $lane:ident) => { $t.replace_lane(I8X16, $lane) };
    ($t:ident visit_i16x8_replace_lane $lane:ident) => { $t.replace_lane(I16X8, $lane) };
    ($t:ident visit_i32x4_replace_lane $lane:ident) => { $t.replace_lane(I32X4, $lane) };
    ($t:ident visit_i64x2_replace_lane $lane:ident) => { $t.replace_lane(I64X2, $lane) };
    ($t:ident visit_f32x4_replace_lane $lane:ident) => { $t.replace_lane(F32X4, $lane) };
    ($t:ident visit_f64x2_replace_lane $lane:ident) => { $t.replace_lane(F64X2, $lane) };
    ($t:ident visit_i8x16_shuffle $lanes:ident) => { $t.shuffle($lanes) };
    // The IR, too, makes 0 of an index that is too large.
    ($t:ident visit_i8x16_swizzle) => { $t.vector_binary(I8X16, Opcode::Swizzle) };

    // Bits.
    ($t:ident visit_v128_not) => { $t.vector_unary(I8X16, Opcode::Bnot) };
    ($t:ident visit_v128_and) => { $t.vector_binary(I8X16, Opcode::Band) };
    ($t:ident visit_v128_or) => { $t.vector_binary(I8X16, Opcode::Bor) };
    ($t:ident visit_v128_xor) => { $t.vector_binary(I8X16, Opcode::Bxor) };
    ($t:ident visit_v128_andnot) => { $t.vector_andnot() };
    ($t:ident visit_v128_bitselect) => { $t.bitselect() };
    ($t:ident visit_v128_any_true) => { $t.vector_test(I8X16, Opcode::VanyTrue) };
    ($t:ident visit_i8x16_all_true) => { $t.vector_test(I8X16, Opcode::VallTrue) };
    ($t:ident visit_i16x8_all_true) => { $t.vector_test(I16X8, Opcode::VallTrue) };
    ($t:ident visit_i32x4_all_true) => { $t.vector_test(I32X4, Opcode::VallTrue) };
    ($t:ident visit_i64x2_all_true) => { $t.vector_test(I64X2, Opcode::VallTrue) };
    ($t:ident visit_i8x16_bitmask) => { $t.bitmask(I8X16) };
    ($t:ident visit_i16x8_bitmask) => { $t.bitmask(I16X8) };
    ($t:ident visit_i32x4_bitmask) => { $t.bitmask(I32X4) };
    ($t:ident visit_i64x2_bitmask) => { $t.bitmask(I64X2) };

    // Integers.
    ($t:ident visit_i8x16_abs) => { $t.vector_unary(I8X16, Opcode::Iabs) };
    ($t:ident visit_i16x8_abs) => { $t.vector_unary(I16X8, Opcode::Iabs) };
    ($t:ident visit_i32x4_abs) => { $t.vector_unary(I32X4, Opcode::Iabs) };
    ($t:ident visit_i64x2_abs) => { $t.vector_unary(I64X2, Opcode::Iabs) };
    ($t:ident visit_i8x16_neg) => { $t.vector_unary(I8X16, Opcode::Ineg) };
    ($t:ident visit_i16x8_neg) => { $t.vector_unary(I16X8, Opcode::Ineg) };
    ($t:ident visit_i32x4_neg) => { $t.vector_unary(I32X4, Opcode::Ineg) };
    ($t:ident visit_i64x2_neg) => { $t.vector_unary(I64X2, Opcode::Ineg) };
    ($t:ident visit_i8x16_popcnt) => { $t.vector_unary(I8X16, Opcode::Popcnt) };
    ($t:ident visit_i8x16_add) => { $t.vector_binary(I8X16, Opcode::Iadd) };
    ($t:ident visit_i16x8_add) => { $t.vector_binary(I16X8, Opcode::Iadd) };
    ($t:ident visit_i32x4_add) => { $t.vector_binary(I32X4, Opcode::Iadd) };
    ($t:ident visit_i64x2_add) => { $t.vector_binary(I64X2, Opcode::Iadd) };
    ($t:ident visit_i8x16_sub) => { $t.vector_binary(I8X16, Opcode::Isub) };
    ($t:ident visit_i16x8_sub) => { $t.vector_binary(I16X8, Opcode::Isub) };
    ($t:ident visit_i32x4_sub) => { $t.vector_binary(I32X4, Opcode::Isub) };
    ($t:ident visit_i64x2_sub) => { $t.vector_binary(I64X2, Opcode::Isub) };
    ($t:ident visit_i16x8_mul) => { $t.vector_binary(I16X8, Opcode::Imul) };
    ($t:ident visit_i32x4_mul) => { $t.vector_binary(I32X4, Opcode::Imul) };
    ($t:ident visit_i64x2_mul) => { $t.vector_binary(I64X2, Opcode::Imul) };
    ($t:ident visit_i8x16_add_sat_s) => { $t.vector_binary(I8X16, Opcode::SaddSat) };
    ($t:ident visit_i16x8_add_sat_s) => { $t.vector_binary(I16X8, Opcode::SaddSat) };
    ($t:ident visit_i8x16_add_sat_u) => { $t.vector_binary(I8X16, Opcode::UaddSat) };
    ($t:ident visit_i16x8_add_sat_u) => { $t.vector_binary(I16X8, Opcode::UaddSat) };
    ($t:ident visit_i8x16_sub_sat_s) => { $t.vector_binary(I8X16, Opcode::SsubSat) };
    ($t:ident visit_i16x8_sub_sat_s) => { $t.vector_binary(I16X8, Opcode::SsubSat) };
    ($t:ident visit_i8x16_sub_sat_u) => { $t.vector_binary(I8X16, Opcode::UsubSat) };
    ($t:ident visit_i16x8_sub_sat_u) => { $t.vector_binary(I16X8, Opcode::UsubSat) };
    ($t:ident visit_i8x16_min_s) => { $t.vector_binary(I8X16, Opcode::Smin) };
    ($t:ident visit_i16x8_min_s) => { $t.vector_binary(I16X8, Opcode::Smin) };
    ($t:ident visit_i32x4_min_s) => { $t.vector_binary(I32X4, Opcode::Smin) };
    ($t:ident visit_i8x16_min_u) => { $t.vector_binary(I8X16, Opcode::Umin) };
    ($t:ident visit_i16x8_min_u) => { $t.vector_binary(I16X8, Opcode::Umin) };
    ($t:ident visit_i32x4_min_u) => { $t.vector_binary(I32X4, Opcode::Umin) };
    ($t:ident visit_i8x16_max_s) => { $t.vector_binary(I8X16, Opcode::Smax) };
    ($t:ident visit_i16x8_max_s) => { $t.vector_binary(I16X8, Opcode::Smax) };
    ($t:ident visit_i32x4_max_s) => { $t.vector_binary(I32X4, Opcode::Smax) };
    ($t:ident visit_i8x16_max_u) => { $t.vector_binary(I8X16, Opcode::Umax) };
    ($t:ident visit_i16x8_max_u) => { $t.vector_binary(I16X8, Opcode::Umax) };
    ($t:ident visit_i32x4_max_u) => { $t.vector_binary(I32X4, Opcode::Umax) };
    ($t:ident visit_i8x16_avgr_u) => { $t.vector_binary(I8X16, Opcode::AvgRound) };
    ($t:ident visit_i16x8_avgr_u) => { $t.vector_binary(I16X8, Opcode::AvgRound) };
    ($t:ident visit_i16x8_q15mulr_sat_s) => { $t.vector_binary(I16X8, Opcode::SqmulRoundSat) };
    ($t:ident visit_i32x4_dot_i16x8_s) => { $t.dot() };
    // The IR takes the distance modulo the width of a lane, like the specification.
    ($t:ident visit_i8x16_shl) => { $t.vector_shift(I8X16, Opcode::Ishl) };
    ($t:ident visit_i16x8_shl) => { $t.vector_shift(I16X8, Opcode::Ishl) };
    ($t:ident visit_i32x4_shl) => { $t.vector_shift(I32X4, Opcode::Ishl) };
    ($t:ident visit_i64x2_shl) => { $t.vector_shift(I64X2, Opcode::Ishl) };
    ($t:ident visit_i8x16_shr_s) => { $t.vector_shift(I8X16, Opcode::Sshr) };
    ($t:ident visit_i16x8_shr_s) => { $t.vector_shift(I16X8, Opcode::Sshr) };
    ($t:ident visit_i32x4_shr_s) => { $t.vector_shift(I32X4, Opcode::Sshr) };
    ($t:ident visit_i64x2_shr_s) => { $t.vector_shift(I64X2, Opcode::Sshr) };
    ($t:ident visit_i8x16_shr_u) => { $t.vector_shift(I8X16, Opcode::Ushr) };
    ($t:ident visit_i16x8_shr_u) => { $t.vector_shift(I16X8, Opcode::Ushr) };
    ($t:ident visit_i32x4_shr_u) => { $t.vector_shift(I32X4, Opcode::Ushr) };
    ($t:ident visit_i64x2_shr_u) => { $t.vector_shift(I64X2, Opcode::Ushr) };
    ($t:ident visit_i8x16_eq) => { $t.vector_compare(I8X16, IntCC::Equal) };
    ($t:ident visit_i16x8_eq) => { $t.vector_compare(I16X8, IntCC::Equal) };
    ($t:ident visit_i32x4_eq) => { $t.vector_compare(I32X4, IntCC::Equal) };
    ($t:ident visit_i64x2_eq) => { $t.vector_compare(I64X2, IntCC::Equal) };
    ($t:ident visit_i8x16_ne) => { $t.vector_compare(I8X16, IntCC::NotEqual) };
    ($t:ident visit_i16x8_ne) => { $t.vector_compare(I16X8, IntCC::NotEqual) };
    ($t:ident visit_i32x4_ne) => { $t.vector_compare(I32X4, IntCC::NotEqual) };
    ($t:ident visit_i64x2_ne) => { $t.vector_compare(I64X2, IntCC::NotEqual) };
    ($t:ident visit_i8x16_lt_s) => { $t.vector_compare(I8X16, IntCC::SignedLessThan) };
    ($t:ident visit_i16x8_lt_s) => { $t.vector_compare(I16X8, IntCC::SignedLessThan) };
    ($t:ident visit_i32x4_lt_s) => { $t.vector_compare(I32X4, IntCC::SignedLessThan) };
    ($t:ident visit_i64x2_lt_s) => { $t.vector_compare(I64X2, IntCC::SignedLessThan) };
    ($t:ident visit_i8x16_lt_u) => { $t.vector_compare(I8X16, IntCC::UnsignedLessThan) };
    ($t:ident visit_i16x8_lt_u) => { $t.vector_compare(I16X8, IntCC::UnsignedLessThan) };
    ($t:ident visit_i32x4_lt_u) => { $t.vector_compare(I32X4, IntCC::UnsignedLessThan) };
    ($t:ident visit_i8x16_gt_s) => { $t.vector_compare(I8X16, IntCC::SignedGreaterThan) };
    ($t:ident visit_i16x8_gt_s) => { $t.vector_compare(I16X8, IntCC::SignedGreaterThan) };
    ($t:ident visit_i32x4_gt_s) => { $t.vector_compare(I32X4, IntCC::SignedGreaterThan) };
    ($t:ident visit_i64x2_gt_s) => { $t.vector_compare(I64X2, IntCC::SignedGreaterThan) };
    ($t:ident visit_i8x16_gt_u) => { $t.vector_compare(I8X16, IntCC::UnsignedGreaterThan) };
    ($t:ident visit_i16x8_gt_u) => { $t.vector_compare(I16X8, IntCC::UnsignedGreaterThan) };
    ($t:ident visit_i32x4_gt_u) => { $t.vector_compare(I32X4, IntCC::UnsignedGreaterThan) };
    ($t:ident visit_i8x16_le_s) => { $t.vector_compare(I8X16, IntCC::SignedLessThanOrEqual) };
    ($t:ident visit_i16x8_le_s) => { $t.vector_compare(I16X8, IntCC::SignedLessThanOrEqual) };
    ($t:ident visit_i32x4_le_s) => { $t.vector_compare(I32X4, IntCC::SignedLessThanOrEqual) };
    ($t:ident visit_i64x2_le_s) => { $t.vector_compare(I64X2, IntCC::SignedLessThanOrEqual) };
    ($t:ident visit_i8x16_le_u) => { $t.vector_compare(I8X16, IntCC::UnsignedLessThanOrEqual) };
    ($t:ident visit_i16x8_le_u) => { $t.vector_compare(I16X8, IntCC::UnsignedLessThanOrEqual) };
    ($t:ident visit_i32x4_le_u) => { $t.vector_compare(I32X4, IntCC::UnsignedLessThanOrEqual) };
    ($t:ident visit_i8x16_ge_s) => { $t.vector_compare(I8X16, IntCC::SignedGreaterThanOrEqual) };
    ($t:ident visit_i16x8_ge_s) => { $t.vector_compare(I16X8, IntCC::SignedGreaterThanOrEqual) };
    ($t:ident visit_i32x4_ge_s) => { $t.vector_compare(I32X4, IntCC::SignedGreaterThanOrEqual) };
    ($t:ident visit_i64x2_ge_s) => { $t.vector_compare(I64X2, IntCC::SignedGreaterThanOrEqual) };
    ($t:ident visit_i8x16_ge_u) => { $t.vector_compare(I8X16, IntCC::UnsignedGreaterThanOrEqual) };
    ($t:ident visit_i16x8_ge_u) => { $t.vector_compare(I16X8, IntCC::UnsignedGreaterThanOrEqual) };
    ($t:ident visit_i32x4_ge_u) => { $t.vector_compare(I32X4, IntCC::UnsignedGreaterThanOrEqual) };

    // Integers of different widths.
    ($t:ident visit_i8x16_narrow_i16x8_s) => { $t.vector_binary(I16X8, Opcode::Snarrow) };
    ($t:ident visit_i8x16_narrow_i16x8_u) => { $t.vector_binary(I16X8, Opcode::Unarrow) };
    ($t:ident visit_i16x8_narrow_i32x4_s) => { $t.vector_binary(I32X4, Opcode::Snarrow) };
    ($t:ident visit_i16x8_narrow_i32x4_u) => { $t.vector_binary(I32X4, Opcode::Unarrow) };
    ($t:ident visit_i16x8_extend_low_i8x16_s) => { $t.vector_unary(I8X16, Opcode::SwidenLow) };
    ($t:ident visit_i16x8_extend_low_i8x16_u) => { $t.vector_unary(I8X16, Opcode::UwidenLow) };
    ($t:ident visit_i16x8_extend_high_i8x16_s) => { $t.vector_unary(I8X16, Opcode::SwidenHigh) };
    ($t:ident visit_i16x8_extend_high_i8x16_u) => { $t.vector_unary(I8X16, Opcode::UwidenHigh) };
    ($t:ident visit_i32x4_extend_low_i16x8_s) => { $t.vector_unary(I16X8, Opcode::SwidenLow) };
    ($t:ident visit_i32x4_extend_low_i16x8_u) => { $t.vector_unary(I16X8, Opcode::UwidenLow) };
    ($t:ident visit_i32x4_extend_high_i16x8_s) => { $t.vector_unary(I16X8, Opcode::SwidenHigh) };
    ($t:ident visit_i32x4_extend_high_i16x8_u) => { $t.vector_unary(I16X8, Opcode::UwidenHigh) };
    ($t:ident visit_i64x2_extend_low_i32x4_s) => { $t.vector_unary(I32X4, Opcode::SwidenLow) };
    ($t:ident visit_i64x2_extend_low_i32x4_u) => { $t.vector_unary(I32X4, Opcode::UwidenLow) };
    ($t:ident visit_i64x2_extend_high_i32x4_s) => { $t.vector_unary(I32X4, Opcode::SwidenHigh) };
    ($t:ident visit_i64x2_extend_high_i32x4_u) => { $t.vector_unary(I32X4, Opcode::UwidenHigh) };
    ($t:ident visit_i16x8_extmul_low_i8x16_s) => { $t.extended_product(I8X16, Opcode::SwidenLow) };
    ($t:ident visit_i16x8_extmul_low_i8x16_u) => { $t.extended_product(I8X16, Opcode::UwidenLow) };
    ($t:ident visit_i16x8_extmul_high_i8x16_s) => { $t.extended_product(I8X16, Opcode::SwidenHigh) };
    ($t:ident visit_i16x8_extmul_high_i8x16_u) => { $t.extended_product(I8X16, Opcode::UwidenHigh) };
    ($t:ident visit_i32x4_extmul_low_i16x8_s) => { $t.extended_product(I16X8, Opcode::SwidenLow) };
    ($t:ident visit_i32x4_extmul_low_i16x8_u) => { $t.extended_product(I16X8, Opcode::UwidenLow) };
    ($t:ident visit_i32x4_extmul_high_i16x8_s) => { $t.extended_product(I16X8, Opcode::SwidenHigh) };
    ($t:ident visit_i32x4_extmul_high_i16x8_u) => { $t.extended_product(I16X8, Opcode::UwidenHigh) };
    ($t:ident visit_i64x2_extmul_low_i32x4_s) => { $t.extended_product(I32X4, Opcode::SwidenLow) };
    ($t:ident visit_i64x2_extmul_low_i32x4_u) => { $t.extended_product(I32X4, Opcode::UwidenLow) };
    ($t:ident visit_i64x2_extmul_high_i32x4_s) => { $t.extended_product(I32X4, Opcode::SwidenHigh) };
    ($t:ident visit_i64x2_extmul_high_i32x4_u) => { $t.extended_product(I32X4, Opcode::UwidenHigh) };
    ($t:ident visit_i16x8_extadd_pairwise_i8x16_s) => { $t.extended_pairwise_sum(I8X16, Opcode::SwidenLow, Opcode::SwidenHigh) };
    ($t:ident visit_i16x8_extadd_pairwise_i8x16_u) => { $t.extended_pairwise_sum(I8X16, Opcode::UwidenLow, Opcode::UwidenHigh) };
    ($t:ident visit_i32x4_extadd_pairwise_i16x8_s) => { $t.extended_pairwise_sum(I16X8, Opcode::SwidenLow, Opcode::SwidenHigh) };
    ($t:ident visit_i32x4_extadd_pairwise_i16x8_u) => { $t.extended_pairwise_sum(I16X8, Opcode::UwidenLow, Opcode::UwidenHigh) };

    // Floats.
    ($t:ident visit_f32x4_abs) => { $t.vector_unary(F32X4, Opcode::Fabs) };
    ($t:ident visit_f64x2_abs) => { $t.vector_unary(F64X2, Opcode::Fabs) };
    ($t:ident visit_f32x4_neg) => { $t.vector_unary(F32X4, Opcode::Fneg) };
    ($t:ident visit_f64x2_neg) => { $t.vector_unary(F64X2, Opcode::Fneg) };
    ($t:ident visit_f32x4_sqrt) => { $t.vector_unary(F32X4, Opcode::Sqrt) };
    ($t:ident visit_f64x2_sqrt) => { $t.vector_unary(F64X2, Opcode::Sqrt) };
    ($t:ident visit_f32x4_ceil) => { $t.vector_unary(F32X4, Opcode::Ceil) };
    ($t:ident visit_f64x2_ceil) => { $t.vector_unary(F64X2, Opcode::Ceil) };
    ($t:ident visit_f32x4_floor) => { $t.vector_unary(F32X4, Opcode::Floor) };
    ($t:ident visit_f64x2_floor) => { $t.vector_unary(F64X2, Opcode::Floor) };
    ($t:ident visit_f32x4_trunc) => { $t.vector_unary(F32X4, Opcode::Trunc) };
    ($t:ident visit_f64x2_trunc) => { $t.vector_unary(F64X2, Opcode::Trunc) };
    ($t:ident visit_f32x4_nearest) => { $t.vector_unary(F32X4, Opcode::Nearest) };
    ($t:ident visit_f64x2_nearest) => { $t.vector_unary(F64X2, Opcode::Nearest) };
    ($t:ident visit_f32x4_add) => { $t.vector_binary(F32X4, Opcode::Fadd) };
    ($t:ident visit_f64x2_add) => { $t.vector_binary(F64X2, Opcode::Fadd) };
    ($t:ident visit_f32x4_sub) => { $t.vector_binary(F32X4, Opcode::Fsub) };
    ($t:ident visit_f64x2_sub) => { $t.vector_binary(F64X2, Opcode::Fsub) };
    ($t:ident visit_f32x4_mul) => { $t.vector_binary(F32X4, Opcode::Fmul) };
    ($t:ident visit_f64x2_mul) => { $t.vector_binary(F64X2, Opcode::Fmul) };
    ($t:ident visit_f32x4_div) => { $t.vector_binary(F32X4, Opcode::Fdiv) };
    ($t:ident visit_f64x2_div) => { $t.vector_binary(F64X2, Opcode::Fdiv) };
    ($t:ident visit_f32x4_min) => { $t.vector_binary(F32X4, Opcode::Fmin) };
    ($t:ident visit_f64x2_min) => { $t.vector_binary(F64X2, Opcode::Fmin) };
    ($t:ident visit_f32x4_max) => { $t.vector_binary(F32X4, Opcode::Fmax) };
    ($t:ident visit_f64x2_max) => { $t.vector_binary(F64X2, Opcode::Fmax) };
    ($t:ident visit_f32x4_pmin) => { $t.pmin(F32X4) };
    ($t:ident visit_f64x2_pmin) => { $t.pmin(F64X2) };
    ($t:ident visit_f32x4_pmax) => { $t.pmax(F32X4) };
    ($t:ident visit_f64x2_pmax) => { $t.pmax(F64X2) };
    ($t:ident visit_f32x4_eq) => { $t.vector_float_compare(F32X4, FloatCC::Equal) };
    ($t:ident visit_f64x2_eq) => { $t.vector_float_compare(F64X2, FloatCC::Equal) };
    ($t:ident visit_f32x4_ne) => { $t.vector_float_compare(F32X4, FloatCC::NotEqual) };
    ($t:ident visit_f64x2_ne) => { $t.vector_float_compare(F64X2, FloatCC::NotEqual) };
    ($t:ident visit_f32x4_lt) => { $t.vector_float_compare(F32X4, FloatCC::LessThan) };
    ($t:ident visit_f64x2_lt) => { $t.vector_float_compare(F64X2, FloatCC::LessThan) };
    ($t:ident visit_f32x4_gt) => { $t.vector_float_compare(F32X4, FloatCC::GreaterThan) };
    ($t:ident visit_f64x2_gt) => { $t.vector_float_compare(F64X2, FloatCC::GreaterThan) };
    ($t:ident visit_f32x4_le) => { $t.vector_float_compare(F32X4, FloatCC::LessThanOrEqual) };
    ($t:ident visit_f64x2_le) => { $t.vector_float_compare(F64X2, FloatCC::LessThanOrEqual) };
    ($t:ident visit_f32x4_ge) => { $t.vector_float_compare(F32X4, FloatCC::GreaterThanOrEqual) };
    ($t:ident visit_f64x2_ge) => { $t.vector_float_compare(F64X2, FloatCC::GreaterThanOrEqual) };

    // Between integers and floats. The conversions to integers saturate.
    ($t:ident visit_i32x4_trunc_sat_f32x4_s) => { $t.vector_convert(F32X4, Opcode::FcvtToSintSat, I32X4) };
    ($t:ident visit_i32x4_trunc_sat_f32x4_u) => { $t.vector_convert(F32X4, Opcode::FcvtToUintSat, I32X4) };
    ($t:ident visit_i32x4_trunc_sat_f64x2_s_zero) => { $t.trunc_sat_zero(Opcode::FcvtToSintSat, Opcode::Snarrow) };
    ($t:ident visit_i32x4_trunc_sat_f64x2_u_zero) => { $t.trunc_sat_zero(Opcode::FcvtToUintSat, Opcode::Uunarrow) };
    ($t:ident visit_f32x4_convert_i32x4_s) => { $t.vector_convert(I32X4, Opcode::FcvtFromSint, F32X4) };
    ($t:ident visit_f32x4_convert_i32x4_u) => { $t.vector_convert(I32X4, Opcode::FcvtFromUint, F32X4) };
    ($t:ident visit_f64x2_convert_low_i32x4_s) => { $t.convert_low(Opcode::SwidenLow, Opcode::FcvtFromSint) };
    ($t:ident visit_f64x2_convert_low_i32x4_u) => { $t.convert_low(Opcode::UwidenLow, Opcode::FcvtFromUint) };
    ($t:ident visit_f32x4_demote_f64x2_zero) => { $t.vector_unary(F64X2, Opcode::Fvdemote) };
    ($t:ident visit_f64x2_promote_low_f32x4) => { $t.vector_unary(F32X4, Opcode::FvpromoteLow) };

    ($t:ident $visit:ident $($arg:ident)*) => { { let _ = ($($arg,)*); Err($t.unsupported_operator(stringify!($visit))) } };
}

macro_rules! visit_operators {
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident $ann:tt)*) => {
        $(
            fn $visit(&mut self $($(, $arg: $argty)*)?) -> Self::Output {
                if !self.reachable {
                    return Ok(());
                }
                operator!(self $visit $($($arg)*)?)
            }
        )*
    };
}

impl<'a> VisitSimdOperator<'a> for Translator<'_> {
    wasmparser::for_each_visit_simd_operator!(visit_operators);
}
