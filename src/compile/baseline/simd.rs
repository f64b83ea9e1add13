//! Operators on vectors: their table, and those that are one instruction.
//!
//! Owns the visitor of vector operators. Each is a line here: a kind, and the instructions that it
//! takes. The kinds that take more than one instruction are in the files below this one.

mod compare;
mod convert;
mod float;
mod integer;
mod lanes;
mod memory;
mod operands;
mod shift;
mod widen;

use wasmparser::{MemArg, V128, VisitSimdOperator};

use self::lanes::Lanes;
use self::memory::VectorLoad;
use self::operands::NONE;
use self::shift::{SHIFT_16, SHIFT_32, SHIFT_64, VectorShiftOp};
use super::Compiler;
use super::operators::{Emit, unsupported};
use super::registers::Operand;
use crate::asm::vector::*;
use crate::asm::{FloatSize, Rounding, VectorOp};
use crate::compile::abi::FLOAT_SCRATCH;

/// What a vector operator takes.
#[derive(Clone, Copy, Debug)]
enum Simd<'a> {
    /// One instruction with two operands.
    Binary(VectorOp),
    /// The same for operands that may trade places.
    Commutative(VectorOp),
    /// One instruction with the operands the other way round.
    Swapped(VectorOp),
    /// One instruction with an operand and a constant, whose halves are these bits.
    With(VectorOp, u64),
    /// One instruction with one operand.
    Unary(VectorOp),
    Round(VectorOp, Rounding),
    /// The operand subtracted from zero.
    Neg(VectorOp),
    Not,
    Bitselect,

    /// Equality, inverted.
    NotEqual(VectorOp),
    /// One operand is the extreme of both: an order that includes equality.
    IsExtreme(VectorOp, VectorOp),
    /// The opposite order.
    IsNotExtreme(VectorOp, VectorOp),
    /// Signed 64-bit lanes: the left one is greater.
    Greater64 {
        swapped: bool,
        inverted: bool,
    },
    FloatCompare(VectorOp, Predicate),

    Shift(VectorShiftOp, u32),
    Shl8,
    Shr8S,
    Shr8U,
    Shr64S,

    Abs64,
    Mul64,
    Popcount,
    Q15MulRound,
    /// A comparison of lanes with zero, for all of them.
    AllTrue(VectorOp),
    AnyTrue,
    Bitmask(Lanes),

    /// Half of the lanes, twice as wide.
    Extend(VectorOp, Half),
    Product16(VectorOp, Half),
    Product32(VectorOp, VectorOp),
    Product64(VectorOp, Half),
    PairwiseSum8S,
    PairwiseSum16U,

    /// `min` or `max`, what makes one of two zeros, a comparison, and what leaves the bits that a
    /// canonical NaN does not have.
    FloatExtreme(VectorOp, VectorOp, VectorOp, VectorShift, u8),
    TruncF32S,
    TruncF32U,
    TruncF64S,
    TruncF64U,
    ConvertU32ToF32,
    ConvertU32ToF64,

    Const(&'a V128),
    Shuffle(&'a [u8; 16]),
    Swizzle,
    Splat(Lanes),
    Extract(Lanes, u8),
    ExtractSigned(Lanes, u8),
    Replace(Lanes, u8),

    Load(VectorLoad, &'a MemArg),
    Store(&'a MemArg),
    LoadLane(VectorOp, &'a MemArg, u8),
    StoreLane(VectorOp, &'a MemArg, u8),
}

/// Half of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Low,
    High,
}

/// What a comparison of floats asks, numbered as the hardware does. "Less" in either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Predicate {
    Equal = 0,
    Less = 1,
    LessOrEqual = 2,
    Unordered = 3,
    NotEqual = 4,
    Greater,
    GreaterOrEqual,
}

const SIGN_32: u64 = 0x8000_0000_8000_0000;
const SIGN_64: u64 = 1 << 63;
const ONES_8: u64 = 0x0101_0101_0101_0101;
const ONES_16: u64 = 0x0001_0001_0001_0001;

const F32_MIN: Simd<'_> = Simd::FloatExtreme(MINPS, ORPS, CMPPS, PSRLD_IMM, 10);
const F64_MIN: Simd<'_> = Simd::FloatExtreme(MINPD, ORPS, CMPPD, PSRLQ_IMM, 13);
const F32_MAX: Simd<'_> = Simd::FloatExtreme(MAXPS, ANDPS, CMPPS, PSRLD_IMM, 10);
const F64_MAX: Simd<'_> = Simd::FloatExtreme(MAXPD, ANDPS, CMPPD, PSRLQ_IMM, 13);

/// The table of vector operators. Its arms take the operator's name as wasmparser has it and its
/// immediates.
#[rustfmt::skip]
macro_rules! vector_operator {
    (V128Load $memarg:ident) => { Simd::Load(VectorLoad::Full, &$memarg) };
    (V128Load8x8S $memarg:ident) => { Simd::Load(VectorLoad::Extend(PMOVSXBW), &$memarg) };
    (V128Load8x8U $memarg:ident) => { Simd::Load(VectorLoad::Extend(PMOVZXBW), &$memarg) };
    (V128Load16x4S $memarg:ident) => { Simd::Load(VectorLoad::Extend(PMOVSXWD), &$memarg) };
    (V128Load16x4U $memarg:ident) => { Simd::Load(VectorLoad::Extend(PMOVZXWD), &$memarg) };
    (V128Load32x2S $memarg:ident) => { Simd::Load(VectorLoad::Extend(PMOVSXDQ), &$memarg) };
    (V128Load32x2U $memarg:ident) => { Simd::Load(VectorLoad::Extend(PMOVZXDQ), &$memarg) };
    (V128Load8Splat $memarg:ident) => { Simd::Load(VectorLoad::Splat(Lanes::I8), &$memarg) };
    (V128Load16Splat $memarg:ident) => { Simd::Load(VectorLoad::Splat(Lanes::I16), &$memarg) };
    (V128Load32Splat $memarg:ident) => { Simd::Load(VectorLoad::Splat(Lanes::I32), &$memarg) };
    (V128Load64Splat $memarg:ident) => { Simd::Load(VectorLoad::Splat(Lanes::I64), &$memarg) };
    (V128Load32Zero $memarg:ident) => { Simd::Load(VectorLoad::Zero(FloatSize::F32), &$memarg) };
    (V128Load64Zero $memarg:ident) => { Simd::Load(VectorLoad::Zero(FloatSize::F64), &$memarg) };
    (V128Store $memarg:ident) => { Simd::Store(&$memarg) };
    (V128Load8Lane $memarg:ident $lane:ident) => { Simd::LoadLane(PINSRB, &$memarg, $lane) };
    (V128Load16Lane $memarg:ident $lane:ident) => { Simd::LoadLane(PINSRW, &$memarg, $lane) };
    (V128Load32Lane $memarg:ident $lane:ident) => { Simd::LoadLane(PINSRD, &$memarg, $lane) };
    (V128Load64Lane $memarg:ident $lane:ident) => { Simd::LoadLane(PINSRQ, &$memarg, $lane) };
    (V128Store8Lane $memarg:ident $lane:ident) => { Simd::StoreLane(PEXTRB, &$memarg, $lane) };
    (V128Store16Lane $memarg:ident $lane:ident) => { Simd::StoreLane(PEXTRW, &$memarg, $lane) };
    (V128Store32Lane $memarg:ident $lane:ident) => { Simd::StoreLane(PEXTRD, &$memarg, $lane) };
    (V128Store64Lane $memarg:ident $lane:ident) => { Simd::StoreLane(PEXTRQ, &$memarg, $lane) };

    // Lanes.
    (V128Const $value:ident) => { Simd::Const(&$value) };
    (I8x16Shuffle $lanes:ident) => { Simd::Shuffle(&$lanes) };
    (I8x16Swizzle) => { Simd::Swizzle };
    (I8x16Splat) => { Simd::Splat(Lanes::I8) };
    (I16x8Splat) => { Simd::Splat(Lanes::I16) };
    (I32x4Splat) => { Simd::Splat(Lanes::I32) };
    (I64x2Splat) => { Simd::Splat(Lanes::I64) };
    (F32x4Splat) => { Simd::Splat(Lanes::F32) };
    (F64x2Splat) => { Simd::Splat(Lanes::F64) };
    (I8x16ExtractLaneS $lane:ident) => { Simd::ExtractSigned(Lanes::I8, $lane) };
    (I8x16ExtractLaneU $lane:ident) => { Simd::Extract(Lanes::I8, $lane) };
    (I16x8ExtractLaneS $lane:ident) => { Simd::ExtractSigned(Lanes::I16, $lane) };
    (I16x8ExtractLaneU $lane:ident) => { Simd::Extract(Lanes::I16, $lane) };
    (I32x4ExtractLane $lane:ident) => { Simd::Extract(Lanes::I32, $lane) };
    (I64x2ExtractLane $lane:ident) => { Simd::Extract(Lanes::I64, $lane) };
    (F32x4ExtractLane $lane:ident) => { Simd::Extract(Lanes::F32, $lane) };
    (F64x2ExtractLane $lane:ident) => { Simd::Extract(Lanes::F64, $lane) };
    (I8x16ReplaceLane $lane:ident) => { Simd::Replace(Lanes::I8, $lane) };
    (I16x8ReplaceLane $lane:ident) => { Simd::Replace(Lanes::I16, $lane) };
    (I32x4ReplaceLane $lane:ident) => { Simd::Replace(Lanes::I32, $lane) };
    (I64x2ReplaceLane $lane:ident) => { Simd::Replace(Lanes::I64, $lane) };
    (F32x4ReplaceLane $lane:ident) => { Simd::Replace(Lanes::F32, $lane) };
    (F64x2ReplaceLane $lane:ident) => { Simd::Replace(Lanes::F64, $lane) };

    // Bits.
    (V128Not) => { Simd::Not };
    (V128And) => { Simd::Commutative(PAND) };
    (V128AndNot) => { Simd::Swapped(PANDN) };
    (V128Or) => { Simd::Commutative(POR) };
    (V128Xor) => { Simd::Commutative(PXOR) };
    (V128Bitselect) => { Simd::Bitselect };
    (V128AnyTrue) => { Simd::AnyTrue };
    (I8x16AllTrue) => { Simd::AllTrue(PCMPEQB) };
    (I16x8AllTrue) => { Simd::AllTrue(PCMPEQW) };
    (I32x4AllTrue) => { Simd::AllTrue(PCMPEQD) };
    (I64x2AllTrue) => { Simd::AllTrue(PCMPEQQ) };
    (I8x16Bitmask) => { Simd::Bitmask(Lanes::I8) };
    (I16x8Bitmask) => { Simd::Bitmask(Lanes::I16) };
    (I32x4Bitmask) => { Simd::Bitmask(Lanes::I32) };
    (I64x2Bitmask) => { Simd::Bitmask(Lanes::I64) };

    // Comparisons of integers.
    (I8x16Eq) => { Simd::Commutative(PCMPEQB) };
    (I8x16Ne) => { Simd::NotEqual(PCMPEQB) };
    (I8x16LtS) => { Simd::Swapped(PCMPGTB) };
    (I8x16LtU) => { Simd::IsNotExtreme(PMAXUB, PCMPEQB) };
    (I8x16GtS) => { Simd::Binary(PCMPGTB) };
    (I8x16GtU) => { Simd::IsNotExtreme(PMINUB, PCMPEQB) };
    (I8x16LeS) => { Simd::IsExtreme(PMINSB, PCMPEQB) };
    (I8x16LeU) => { Simd::IsExtreme(PMINUB, PCMPEQB) };
    (I8x16GeS) => { Simd::IsExtreme(PMAXSB, PCMPEQB) };
    (I8x16GeU) => { Simd::IsExtreme(PMAXUB, PCMPEQB) };
    (I16x8Eq) => { Simd::Commutative(PCMPEQW) };
    (I16x8Ne) => { Simd::NotEqual(PCMPEQW) };
    (I16x8LtS) => { Simd::Swapped(PCMPGTW) };
    (I16x8LtU) => { Simd::IsNotExtreme(PMAXUW, PCMPEQW) };
    (I16x8GtS) => { Simd::Binary(PCMPGTW) };
    (I16x8GtU) => { Simd::IsNotExtreme(PMINUW, PCMPEQW) };
    (I16x8LeS) => { Simd::IsExtreme(PMINSW, PCMPEQW) };
    (I16x8LeU) => { Simd::IsExtreme(PMINUW, PCMPEQW) };
    (I16x8GeS) => { Simd::IsExtreme(PMAXSW, PCMPEQW) };
    (I16x8GeU) => { Simd::IsExtreme(PMAXUW, PCMPEQW) };
    (I32x4Eq) => { Simd::Commutative(PCMPEQD) };
    (I32x4Ne) => { Simd::NotEqual(PCMPEQD) };
    (I32x4LtS) => { Simd::Swapped(PCMPGTD) };
    (I32x4LtU) => { Simd::IsNotExtreme(PMAXUD, PCMPEQD) };
    (I32x4GtS) => { Simd::Binary(PCMPGTD) };
    (I32x4GtU) => { Simd::IsNotExtreme(PMINUD, PCMPEQD) };
    (I32x4LeS) => { Simd::IsExtreme(PMINSD, PCMPEQD) };
    (I32x4LeU) => { Simd::IsExtreme(PMINUD, PCMPEQD) };
    (I32x4GeS) => { Simd::IsExtreme(PMAXSD, PCMPEQD) };
    (I32x4GeU) => { Simd::IsExtreme(PMAXUD, PCMPEQD) };
    (I64x2Eq) => { Simd::Commutative(PCMPEQQ) };
    (I64x2Ne) => { Simd::NotEqual(PCMPEQQ) };
    (I64x2LtS) => { Simd::Greater64 { swapped: true, inverted: false } };
    (I64x2GtS) => { Simd::Greater64 { swapped: false, inverted: false } };
    (I64x2LeS) => { Simd::Greater64 { swapped: false, inverted: true } };
    (I64x2GeS) => { Simd::Greater64 { swapped: true, inverted: true } };

    // Integers.
    (I8x16Abs) => { Simd::Unary(PABSB) };
    (I16x8Abs) => { Simd::Unary(PABSW) };
    (I32x4Abs) => { Simd::Unary(PABSD) };
    (I64x2Abs) => { Simd::Abs64 };
    (I8x16Neg) => { Simd::Neg(PSUBB) };
    (I16x8Neg) => { Simd::Neg(PSUBW) };
    (I32x4Neg) => { Simd::Neg(PSUBD) };
    (I64x2Neg) => { Simd::Neg(PSUBQ) };
    (I8x16Popcnt) => { Simd::Popcount };
    (I8x16Shl) => { Simd::Shl8 };
    (I8x16ShrS) => { Simd::Shr8S };
    (I8x16ShrU) => { Simd::Shr8U };
    (I16x8Shl) => { Simd::Shift(SHIFT_16.0, 16) };
    (I16x8ShrS) => { Simd::Shift(SHIFT_16.1, 16) };
    (I16x8ShrU) => { Simd::Shift(SHIFT_16.2, 16) };
    (I32x4Shl) => { Simd::Shift(SHIFT_32.0, 32) };
    (I32x4ShrS) => { Simd::Shift(SHIFT_32.1, 32) };
    (I32x4ShrU) => { Simd::Shift(SHIFT_32.2, 32) };
    (I64x2Shl) => { Simd::Shift(SHIFT_64.0, 64) };
    (I64x2ShrS) => { Simd::Shr64S };
    (I64x2ShrU) => { Simd::Shift(SHIFT_64.2, 64) };
    (I8x16Add) => { Simd::Commutative(PADDB) };
    (I8x16Sub) => { Simd::Binary(PSUBB) };
    (I16x8Add) => { Simd::Commutative(PADDW) };
    (I16x8Sub) => { Simd::Binary(PSUBW) };
    (I32x4Add) => { Simd::Commutative(PADDD) };
    (I32x4Sub) => { Simd::Binary(PSUBD) };
    (I64x2Add) => { Simd::Commutative(PADDQ) };
    (I64x2Sub) => { Simd::Binary(PSUBQ) };
    (I8x16AddSatS) => { Simd::Commutative(PADDSB) };
    (I8x16AddSatU) => { Simd::Commutative(PADDUSB) };
    (I8x16SubSatS) => { Simd::Binary(PSUBSB) };
    (I8x16SubSatU) => { Simd::Binary(PSUBUSB) };
    (I8x16AvgrU) => { Simd::Commutative(PAVGB) };
    (I16x8AddSatS) => { Simd::Commutative(PADDSW) };
    (I16x8AddSatU) => { Simd::Commutative(PADDUSW) };
    (I16x8SubSatS) => { Simd::Binary(PSUBSW) };
    (I16x8SubSatU) => { Simd::Binary(PSUBUSW) };
    (I16x8AvgrU) => { Simd::Commutative(PAVGW) };
    (I8x16MinS) => { Simd::Commutative(PMINSB) };
    (I8x16MinU) => { Simd::Commutative(PMINUB) };
    (I8x16MaxS) => { Simd::Commutative(PMAXSB) };
    (I8x16MaxU) => { Simd::Commutative(PMAXUB) };
    (I16x8MinS) => { Simd::Commutative(PMINSW) };
    (I16x8MinU) => { Simd::Commutative(PMINUW) };
    (I16x8MaxS) => { Simd::Commutative(PMAXSW) };
    (I16x8MaxU) => { Simd::Commutative(PMAXUW) };
    (I32x4MinS) => { Simd::Commutative(PMINSD) };
    (I32x4MinU) => { Simd::Commutative(PMINUD) };
    (I32x4MaxS) => { Simd::Commutative(PMAXSD) };
    (I32x4MaxU) => { Simd::Commutative(PMAXUD) };
    (I16x8Mul) => { Simd::Commutative(PMULLW) };
    (I32x4Mul) => { Simd::Commutative(PMULLD) };
    (I64x2Mul) => { Simd::Mul64 };
    (I16x8Q15MulrSatS) => { Simd::Q15MulRound };
    (I32x4DotI16x8S) => { Simd::Commutative(PMADDWD) };

    // Integers of different widths.
    (I8x16NarrowI16x8S) => { Simd::Binary(PACKSSWB) };
    (I8x16NarrowI16x8U) => { Simd::Binary(PACKUSWB) };
    (I16x8NarrowI32x4S) => { Simd::Binary(PACKSSDW) };
    (I16x8NarrowI32x4U) => { Simd::Binary(PACKUSDW) };
    (I16x8ExtendLowI8x16S) => { Simd::Extend(PMOVSXBW, Half::Low) };
    (I16x8ExtendLowI8x16U) => { Simd::Extend(PMOVZXBW, Half::Low) };
    (I16x8ExtendHighI8x16S) => { Simd::Extend(PMOVSXBW, Half::High) };
    (I16x8ExtendHighI8x16U) => { Simd::Extend(PMOVZXBW, Half::High) };
    (I32x4ExtendLowI16x8S) => { Simd::Extend(PMOVSXWD, Half::Low) };
    (I32x4ExtendLowI16x8U) => { Simd::Extend(PMOVZXWD, Half::Low) };
    (I32x4ExtendHighI16x8S) => { Simd::Extend(PMOVSXWD, Half::High) };
    (I32x4ExtendHighI16x8U) => { Simd::Extend(PMOVZXWD, Half::High) };
    (I64x2ExtendLowI32x4S) => { Simd::Extend(PMOVSXDQ, Half::Low) };
    (I64x2ExtendLowI32x4U) => { Simd::Extend(PMOVZXDQ, Half::Low) };
    (I64x2ExtendHighI32x4S) => { Simd::Extend(PMOVSXDQ, Half::High) };
    (I64x2ExtendHighI32x4U) => { Simd::Extend(PMOVZXDQ, Half::High) };
    (I16x8ExtMulLowI8x16S) => { Simd::Product16(PMOVSXBW, Half::Low) };
    (I16x8ExtMulLowI8x16U) => { Simd::Product16(PMOVZXBW, Half::Low) };
    (I16x8ExtMulHighI8x16S) => { Simd::Product16(PMOVSXBW, Half::High) };
    (I16x8ExtMulHighI8x16U) => { Simd::Product16(PMOVZXBW, Half::High) };
    (I32x4ExtMulLowI16x8S) => { Simd::Product32(PMULHW, PUNPCKLWD) };
    (I32x4ExtMulLowI16x8U) => { Simd::Product32(PMULHUW, PUNPCKLWD) };
    (I32x4ExtMulHighI16x8S) => { Simd::Product32(PMULHW, PUNPCKHWD) };
    (I32x4ExtMulHighI16x8U) => { Simd::Product32(PMULHUW, PUNPCKHWD) };
    (I64x2ExtMulLowI32x4S) => { Simd::Product64(PMULDQ, Half::Low) };
    (I64x2ExtMulLowI32x4U) => { Simd::Product64(PMULUDQ, Half::Low) };
    (I64x2ExtMulHighI32x4S) => { Simd::Product64(PMULDQ, Half::High) };
    (I64x2ExtMulHighI32x4U) => { Simd::Product64(PMULUDQ, Half::High) };
    (I16x8ExtAddPairwiseI8x16S) => { Simd::PairwiseSum8S };
    (I16x8ExtAddPairwiseI8x16U) => { Simd::With(PMADDUBSW, ONES_8) };
    (I32x4ExtAddPairwiseI16x8S) => { Simd::With(PMADDWD, ONES_16) };
    (I32x4ExtAddPairwiseI16x8U) => { Simd::PairwiseSum16U };

    // Floats.
    (F32x4Abs) => { Simd::With(ANDPS, !SIGN_32) };
    (F32x4Neg) => { Simd::With(XORPS, SIGN_32) };
    (F32x4Sqrt) => { Simd::Unary(SQRTPS) };
    (F32x4Ceil) => { Simd::Round(ROUNDPS, Rounding::Up) };
    (F32x4Floor) => { Simd::Round(ROUNDPS, Rounding::Down) };
    (F32x4Trunc) => { Simd::Round(ROUNDPS, Rounding::Zero) };
    (F32x4Nearest) => { Simd::Round(ROUNDPS, Rounding::Nearest) };
    (F32x4Add) => { Simd::Commutative(ADDPS) };
    (F32x4Sub) => { Simd::Binary(SUBPS) };
    (F32x4Mul) => { Simd::Commutative(MULPS) };
    (F32x4Div) => { Simd::Binary(DIVPS) };
    (F32x4Min) => { F32_MIN };
    (F32x4Max) => { F32_MAX };
    (F32x4PMin) => { Simd::Swapped(MINPS) };
    (F32x4PMax) => { Simd::Swapped(MAXPS) };
    (F32x4Eq) => { Simd::FloatCompare(CMPPS, Predicate::Equal) };
    (F32x4Ne) => { Simd::FloatCompare(CMPPS, Predicate::NotEqual) };
    (F32x4Lt) => { Simd::FloatCompare(CMPPS, Predicate::Less) };
    (F32x4Gt) => { Simd::FloatCompare(CMPPS, Predicate::Greater) };
    (F32x4Le) => { Simd::FloatCompare(CMPPS, Predicate::LessOrEqual) };
    (F32x4Ge) => { Simd::FloatCompare(CMPPS, Predicate::GreaterOrEqual) };
    (F64x2Abs) => { Simd::With(ANDPS, !SIGN_64) };
    (F64x2Neg) => { Simd::With(XORPS, SIGN_64) };
    (F64x2Sqrt) => { Simd::Unary(SQRTPD) };
    (F64x2Ceil) => { Simd::Round(ROUNDPD, Rounding::Up) };
    (F64x2Floor) => { Simd::Round(ROUNDPD, Rounding::Down) };
    (F64x2Trunc) => { Simd::Round(ROUNDPD, Rounding::Zero) };
    (F64x2Nearest) => { Simd::Round(ROUNDPD, Rounding::Nearest) };
    (F64x2Add) => { Simd::Commutative(ADDPD) };
    (F64x2Sub) => { Simd::Binary(SUBPD) };
    (F64x2Mul) => { Simd::Commutative(MULPD) };
    (F64x2Div) => { Simd::Binary(DIVPD) };
    (F64x2Min) => { F64_MIN };
    (F64x2Max) => { F64_MAX };
    (F64x2PMin) => { Simd::Swapped(MINPD) };
    (F64x2PMax) => { Simd::Swapped(MAXPD) };
    (F64x2Eq) => { Simd::FloatCompare(CMPPD, Predicate::Equal) };
    (F64x2Ne) => { Simd::FloatCompare(CMPPD, Predicate::NotEqual) };
    (F64x2Lt) => { Simd::FloatCompare(CMPPD, Predicate::Less) };
    (F64x2Gt) => { Simd::FloatCompare(CMPPD, Predicate::Greater) };
    (F64x2Le) => { Simd::FloatCompare(CMPPD, Predicate::LessOrEqual) };
    (F64x2Ge) => { Simd::FloatCompare(CMPPD, Predicate::GreaterOrEqual) };

    // Conversions.
    (I32x4TruncSatF32x4S) => { Simd::TruncF32S };
    (I32x4TruncSatF32x4U) => { Simd::TruncF32U };
    (I32x4TruncSatF64x2SZero) => { Simd::TruncF64S };
    (I32x4TruncSatF64x2UZero) => { Simd::TruncF64U };
    (F32x4ConvertI32x4S) => { Simd::Unary(CVTDQ2PS) };
    (F32x4ConvertI32x4U) => { Simd::ConvertU32ToF32 };
    (F64x2ConvertLowI32x4S) => { Simd::Unary(CVTDQ2PD) };
    (F64x2ConvertLowI32x4U) => { Simd::ConvertU32ToF64 };
    (F32x4DemoteF64x2Zero) => { Simd::Unary(CVTPD2PS) };
    (F64x2PromoteLowF32x4) => { Simd::Unary(CVTPS2PD) };
}

/// One visit method for each vector operator. Those of later versions do not pass validation.
macro_rules! visit_vector_operators {
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident $ann:tt)*) => {
        $(visit_vector_operators!{ @$proposal $op ($($($arg: $argty),*)?) $visit })*
    };
    (@simd $op:ident ($($arg:ident: $argty:ty),*) $visit:ident) => {
        fn $visit(&mut self $(, $arg: $argty)*) -> Self::Output {
            self.c.vector_operator(&vector_operator!($op $($arg)*));
            Ok(())
        }
    };
    (@$proposal:ident $op:ident ($($arg:ident: $argty:ty),*) $visit:ident) => {
        fn $visit(&mut self $(, $arg: $argty)*) -> Self::Output {
            let _ = ($($arg,)*);
            unsupported()
        }
    };
}

impl VisitSimdOperator<'_> for Emit<'_, '_> {
    wasmparser::for_each_visit_simd_operator!(visit_vector_operators);
}

impl Compiler {
    fn vector_operator(&mut self, operator: &Simd<'_>) {
        if !self.reachable {
            return;
        }
        match *operator {
            Simd::Binary(op) => self.vector_binary(op, false, false),
            Simd::Commutative(op) => self.vector_binary(op, true, false),
            Simd::Swapped(op) => self.vector_binary(op, false, true),
            Simd::With(op, bits) => self.vector_with(op, bits),
            Simd::Unary(op) => self.vector_unary(op, None),
            Simd::Round(op, rounding) => self.vector_round(op, rounding),
            Simd::Neg(op) => self.vector_neg(op),
            Simd::Not => self.vector_not(),
            Simd::Bitselect => self.bitselect(),

            Simd::NotEqual(op) => self.lanes_differ(op),
            Simd::IsExtreme(extreme, equal) => self.compare_with_extreme(extreme, equal, false),
            Simd::IsNotExtreme(extreme, equal) => self.compare_with_extreme(extreme, equal, true),
            Simd::Greater64 { swapped, inverted } => self.greater_64(swapped, inverted),
            Simd::FloatCompare(op, predicate) => self.compare_floats(op, predicate),

            Simd::Shift(shift, width) => self.vector_shift(shift, width),
            Simd::Shl8 => self.shift_left_8(),
            Simd::Shr8S => self.shift_right_signed_8(),
            Simd::Shr8U => self.shift_right_8(),
            Simd::Shr64S => self.shift_right_signed_64(),

            Simd::Abs64 => self.abs_64(),
            Simd::Mul64 => self.multiply_64(),
            Simd::Popcount => self.popcount_8(),
            Simd::Q15MulRound => self.q15_multiply(),
            Simd::AllTrue(op) => self.all_true(op),
            Simd::AnyTrue => self.any_true(),
            Simd::Bitmask(lanes) => self.bitmask(lanes),

            Simd::Extend(op, half) => self.extend_half(op, half),
            Simd::Product16(op, half) => self.extended_product_16(op, half),
            Simd::Product32(high, merge) => self.extended_product_32(high, merge),
            Simd::Product64(op, half) => self.extended_product_64(op, half),
            Simd::PairwiseSum8S => self.pairwise_sum_8_signed(),
            Simd::PairwiseSum16U => self.pairwise_sum_16_unsigned(),

            Simd::FloatExtreme(op, zeros, compare, shift, count) => {
                self.vector_extreme(op, zeros, compare, shift, count);
            }
            Simd::TruncF32S => self.truncate_f32_signed(),
            Simd::TruncF32U => self.truncate_f32_unsigned(),
            Simd::TruncF64S => self.truncate_f64_signed(),
            Simd::TruncF64U => self.truncate_f64_unsigned(),
            Simd::ConvertU32ToF32 => self.convert_u32_to_f32(),
            Simd::ConvertU32ToF64 => self.convert_u32_to_f64(),

            Simd::Const(value) => self.push_vector_const(value.i128().cast_unsigned()),
            Simd::Shuffle(lanes) => self.shuffle(*lanes),
            Simd::Swizzle => self.swizzle(),
            Simd::Splat(lanes) => self.splat_lanes(lanes),
            Simd::Extract(lanes, lane) => self.extract_lane(lanes, lane, false),
            Simd::ExtractSigned(lanes, lane) => self.extract_lane(lanes, lane, true),
            Simd::Replace(lanes, lane) => self.replace_lane(lanes, lane),

            Simd::Load(load, memarg) => self.vector_load(load, memarg),
            Simd::Store(memarg) => self.vector_store(memarg),
            Simd::LoadLane(op, memarg, lane) => self.load_lane(op, memarg, lane),
            Simd::StoreLane(op, memarg, lane) => self.store_lane(op, memarg, lane),
        }
    }

    fn vector_binary(&mut self, op: VectorOp, commutes: bool, swapped: bool) {
        let mut right = self.pop_operand();
        let mut left = self.pop_operand();
        if swapped || commutes && self.is_better_left(right, left) {
            (left, right) = (right, left);
        }
        let dst = self.vector_result(left, right);
        let a = self.left_vector(dst, left);
        let b = self.vector_rm(right);
        self.v(op, dst, a, b);
        self.finish_vector(dst, left, right);
    }

    /// Whether the one operand had better be the left one, as the result may go where it is and what
    /// is in no register may stay there on the right.
    fn is_better_left(&self, operand: Operand, other: Operand) -> bool {
        let rank = |operand: Operand| match operand {
            _ if self.is_hinted_home(operand) => 3,
            _ if self.is_temporary(operand) => 2,
            Operand::Xmm(_) => 1,
            _ => 0,
        };
        rank(operand) > rank(other)
    }

    fn vector_with(&mut self, op: VectorOp, bits: u64) {
        let operand = self.pop_operand();
        let dst = self.vector_result(operand, NONE);
        let a = self.left_vector(dst, operand);
        let b = self.both_halves(bits);
        self.v(op, dst, a, b);
        self.finish_vector(dst, operand, NONE);
    }

    fn vector_unary(&mut self, op: VectorOp, imm: Option<u8>) {
        let operand = self.pop_operand();
        let dst = self.vector_result(operand, NONE);
        self.v_unary(op, dst, operand, imm);
        self.finish_vector(dst, operand, NONE);
    }

    fn vector_neg(&mut self, op: VectorOp) {
        let operand = self.pop_operand();
        // Never the operand's register, which is needed after the result's is zero.
        let dst = self.vector_result(NONE, operand);
        let b = self.vector_rm(operand);
        self.asm.xorps_rr(dst, dst);
        self.v(op, dst, dst, b);
        self.finish_vector(dst, NONE, operand);
    }

    fn vector_not(&mut self) {
        let operand = self.pop_operand();
        let dst = self.vector_result(operand, NONE);
        let a = self.left_vector(dst, operand);
        let ones = self.ones_scratch();
        self.v(PXOR, dst, a, ones);
        self.finish_vector(dst, operand, NONE);
    }

    /// `first & mask | second & !mask`
    fn bitselect(&mut self) {
        let mask = self.pop_vector();
        let second = self.pop_vector();
        let first = self.pop_operand();
        self.v(PANDN, FLOAT_SCRATCH, mask, second);
        let dst = self.vector_result(first, Operand::Xmm(mask));
        let a = self.left_vector(dst, first);
        self.v(PAND, dst, a, mask);
        self.v(POR, dst, dst, FLOAT_SCRATCH);
        self.release_vector(second);
        self.finish_vector(dst, first, Operand::Xmm(mask));
    }
}
