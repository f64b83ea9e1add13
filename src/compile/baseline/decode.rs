//! Reading a valid body's operators: which method of the compiler emits which operator.
//!
//! Owns the operators of one byte that real programs are made of. The body is valid, so nothing is
//! checked here again: that would take longer than emitting. Whatever is not here, and everything
//! that cannot be executed, is left to `operators.rs`.

use wasmparser::BinaryReader;

use super::calls::Callee;
use super::convert::Truncation;
use super::divide::Division;
use super::float::{FloatCompare, FloatOp};
use super::integer::Count;
use super::memory::Access;
use super::{Compiler, hints};
use crate::asm::{Alu, Cond, FloatSize, Rounding, Shift, Size};
use crate::compile::Unit;
use crate::compile::abi::VMCTX;
use crate::module::{ModuleInfo, ValType};

/// The bytes of a body, and how far they have been read. Behind the last there are only zeros.
#[derive(Clone, Copy)]
pub(super) struct Code<'a> {
    bytes: &'a [u8],
    /// Where the next byte to be read is.
    at: usize,
}

impl<'a> Code<'a> {
    /// What the reader is about to read, of which so many bytes have been read.
    pub fn new(reader: &BinaryReader<'a>, at: usize) -> Self {
        let bytes = reader.clone().read_bytes(reader.bytes_remaining()).unwrap_or_default();
        Code { bytes, at }
    }

    /// How many bytes have been read.
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    /// The opcode that has not been read yet, or its prefix; `None` at the end.
    #[inline]
    pub fn opcode(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Reads the next operator by wasmparser's reader of the same bytes.
    #[inline(always)]
    pub fn read<T>(
        &mut self,
        reader: &BinaryReader<'a>,
        read: impl FnOnce(&mut BinaryReader<'a>) -> T,
    ) -> T {
        let mut reader = reader.clone();
        let _ = reader.read_bytes(self.at);
        let result = read(&mut reader);
        self.at = self.bytes.len() - reader.bytes_remaining();
        result
    }

    /// The bytes from `at` on.
    #[inline(always)]
    pub fn from(self, at: usize) -> &'a [u8] {
        self.bytes.get(at..).unwrap_or_default()
    }

    /// The eight bytes from `at` on, lowest first.
    #[inline(always)]
    pub fn ahead(self, at: usize) -> u64 {
        let rest = self.from(at);
        match rest.first_chunk() {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => last_word(rest),
        }
    }

    #[inline(always)]
    fn byte(&mut self) -> u8 {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        byte
    }

    /// An unsigned number.
    #[inline(always)]
    fn unsigned(&mut self) -> u64 {
        match self.bytes.get(self.at) {
            Some(byte @ ..0x80) => {
                self.at += 1;
                u64::from(*byte)
            }
            _ => self.number().0,
        }
    }

    #[inline(always)]
    pub fn index(&mut self) -> u32 {
        self.unsigned() as u32
    }

    /// A signed number.
    #[inline(always)]
    fn signed(&mut self) -> i64 {
        let (bits, len) = self.number();
        let unused = 64_u32.saturating_sub(len);
        bits.cast_signed() << unused >> unused
    }

    /// A number, and how many bits it has.
    // Without a branch for each byte: their number is hard to foresee.
    #[inline(always)]
    fn number(&mut self) -> (u64, u32) {
        let word = self.ahead(self.at);
        let ends = !word & 0x8080_8080_8080_8080;
        let (bits, len) = match ends {
            0 => long_number(self.from(self.at)),
            _ => {
                let len = ends.trailing_zeros() / 8 + 1;
                (sevens(word & u64::MAX >> (64 - 8 * len)), len)
            }
        };
        self.at += len as usize;
        (bits, 7 * len)
    }

    /// `N` bytes as they are.
    #[inline(always)]
    fn fixed<const N: usize>(&mut self) -> [u8; N] {
        let bytes = self.from(self.at).first_chunk().copied().unwrap_or([0; N]);
        self.at += N;
        bytes
    }

    #[inline(always)]
    fn access(&mut self) -> Access {
        /// In the byte of the alignment: a memory's index follows.
        const WITH_MEMORY: u64 = 0x40;
        let memory = if self.unsigned() & WITH_MEMORY == 0 { 0 } else { self.index() };
        Access { memory, offset: self.unsigned() }
    }

    /// The types of a block's parameters and results.
    #[inline(always)]
    fn block_type<'m>(&mut self, module: &'m ModuleInfo) -> (&'m [ValType], &'m [ValType]) {
        let results: &[ValType] = match self.bytes.get(self.at) {
            Some(0x40) => &[],
            Some(0x7F) => &[ValType::I32],
            Some(0x7E) => &[ValType::I64],
            Some(0x7D) => &[ValType::F32],
            Some(0x7C) => &[ValType::F64],
            Some(0x7B) => &[ValType::V128],
            Some(0x70) => &[ValType::FuncRef],
            Some(0x6F) => &[ValType::ExternRef],
            _ => {
                let ty = &module.types[self.index() as usize];
                return (ty.params(), ty.results());
            }
        };
        self.at += 1;
        (&[], results)
    }
}

/// The lower seven bits of each of the eight bytes, side by side.
#[inline(always)]
fn sevens(bytes: u64) -> u64 {
    let pairs = bytes & 0x007F_007F_007F_007F | (bytes & 0x7F00_7F00_7F00_7F00) >> 1;
    let fours = pairs & 0x0000_3FFF_0000_3FFF | (pairs & 0x3FFF_0000_3FFF_0000) >> 2;
    fours & 0x0FFF_FFFF | (fours & 0x0FFF_FFFF_0000_0000) >> 4
}

/// A number of more than eight bytes, and how many it has: ten at most.
#[cold]
fn long_number(bytes: &[u8]) -> (u64, u32) {
    let len = 1 + bytes.iter().take(9).take_while(|byte| **byte >= 0x80).count();
    let sevens = bytes.iter().take(len).zip((0..).step_by(7));
    (sevens.fold(0, |bits, (byte, at)| bits | u64::from(byte & 0x7F) << at), len as u32)
}

/// Fewer than eight bytes, lowest first.
#[cold]
fn last_word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
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

impl Compiler {
    /// Emits the next operator, which can be executed; `false` if this leaves it to wasmparser's
    /// reader, and has read nothing.
    // Into the loop that is its only caller, where what has been read stays in registers. Ranges would cost
    // comparisons in front of the jump.
    #[inline(always)]
    #[rustfmt::skip]
    #[expect(clippy::manual_range_patterns)]
    pub(super) fn operator(
        &mut self,
        code: &mut Code<'_>,
        module: &ModuleInfo,
        unit: &Unit<'_>,
    ) -> bool {
        let c = self;
        let start = code.at;
        /// Emits one that has been read, knowing the next.
        macro_rules! compute {
            ($emit:expr) => {{
                c.look_ahead_from(code.bytes, code.at, module);
                $emit;
                c.look_away();
            }};
        }
        match code.byte() {
            0x00 => c.unreachable(),
            0x01 => {} // nop
            opcode @ (0x02 | 0x03 | 0x04) => {
                let (params, results) = code.block_type(module);
                match opcode {
                    0x02 => c.block(params, results),
                    0x03 => c.loop_(params, results),
                    _ => c.if_(params, results),
                }
            }
            0x05 => c.else_(),
            0x0B => c.end(),
            0x0C => c.br(code.index()),
            0x0D => c.br_if(code.index()),
            0x0F => c.return_(),
            0x10 => c.call_function(code.index(), unit),
            0x11 => {
                let (ty, table) = (code.index(), code.index());
                let type_id = unit.type_ids[ty as usize];
                c.call_indirect(
                    &module.types[ty as usize],
                    type_id,
                    table,
                    &module.tables[table as usize],
                );
            }
            0x1A => c.drop(),
            0x1B => compute!(c.select()), // select
            hints::LOCAL_GET => c.local_get(code.index()),
            hints::LOCAL_SET => c.local_set(code.index()),
            hints::LOCAL_TEE => c.local_tee(code.index()),
            0x23 => {
                let global = code.index();
                compute!(c.global_get(global, module.globals[global as usize].content));
            }
            0x24 => {
                let global = code.index();
                c.global_set(global, module.globals[global as usize].content);
            }
            opcode @ (0x28 | 0x29 | 0x2A | 0x2B | 0x2C | 0x2D | 0x2E | 0x2F | 0x30 | 0x31
            | 0x32 | 0x33 | 0x34 | 0x35) => {
                let access = code.access();
                compute!(c.load(opcode, access));
            }
            opcode @ (0x36 | 0x37 | 0x38 | 0x39 | 0x3A | 0x3B | 0x3C | 0x3D | 0x3E) => {
                c.store_number(opcode, code.access())
            }
            0x41 => {
                let number = code.signed() as i32;
                c.push_const(ValType::I32, u64::from(number.cast_unsigned()));
            }
            0x42 => c.push_const(ValType::I64, code.signed().cast_unsigned()),
            0x43 => c.push_const(F32, u64::from(u32::from_le_bytes(code.fixed()))),
            0x44 => c.push_const(F64, u64::from_le_bytes(code.fixed())),
            0x45 => compute!(c.equals_zero(I32)), // i32.eqz
            0x46 => compute!(c.compare(Cond::E, I32)), // i32.eq
            0x47 => compute!(c.compare(Cond::Ne, I32)), // i32.ne
            0x48 => compute!(c.compare(Cond::L, I32)), // i32.lt_s
            0x49 => compute!(c.compare(Cond::B, I32)), // i32.lt_u
            0x4A => compute!(c.compare(Cond::G, I32)), // i32.gt_s
            0x4B => compute!(c.compare(Cond::A, I32)), // i32.gt_u
            0x4C => compute!(c.compare(Cond::Le, I32)), // i32.le_s
            0x4D => compute!(c.compare(Cond::Be, I32)), // i32.le_u
            0x4E => compute!(c.compare(Cond::Ge, I32)), // i32.ge_s
            0x4F => compute!(c.compare(Cond::Ae, I32)), // i32.ge_u
            0x50 => compute!(c.equals_zero(I64)), // i64.eqz
            0x51 => compute!(c.compare(Cond::E, I64)), // i64.eq
            0x52 => compute!(c.compare(Cond::Ne, I64)), // i64.ne
            0x53 => compute!(c.compare(Cond::L, I64)), // i64.lt_s
            0x54 => compute!(c.compare(Cond::B, I64)), // i64.lt_u
            0x55 => compute!(c.compare(Cond::G, I64)), // i64.gt_s
            0x56 => compute!(c.compare(Cond::A, I64)), // i64.gt_u
            0x57 => compute!(c.compare(Cond::Le, I64)), // i64.le_s
            0x58 => compute!(c.compare(Cond::Be, I64)), // i64.le_u
            0x59 => compute!(c.compare(Cond::Ge, I64)), // i64.ge_s
            0x5A => compute!(c.compare(Cond::Ae, I64)), // i64.ge_u
            0x5B => compute!(c.float_compare(FloatCompare::Eq, F32)), // f32.eq
            0x5C => compute!(c.float_compare(FloatCompare::Ne, F32)), // f32.ne
            0x5D => compute!(c.float_compare(FloatCompare::Lt, F32)), // f32.lt
            0x5E => compute!(c.float_compare(FloatCompare::Gt, F32)), // f32.gt
            0x5F => compute!(c.float_compare(FloatCompare::Le, F32)), // f32.le
            0x60 => compute!(c.float_compare(FloatCompare::Ge, F32)), // f32.ge
            0x61 => compute!(c.float_compare(FloatCompare::Eq, F64)), // f64.eq
            0x62 => compute!(c.float_compare(FloatCompare::Ne, F64)), // f64.ne
            0x63 => compute!(c.float_compare(FloatCompare::Lt, F64)), // f64.lt
            0x64 => compute!(c.float_compare(FloatCompare::Gt, F64)), // f64.gt
            0x65 => compute!(c.float_compare(FloatCompare::Le, F64)), // f64.le
            0x66 => compute!(c.float_compare(FloatCompare::Ge, F64)), // f64.ge
            0x67 => compute!(c.count(Count::LeadingZeros, I32)), // i32.clz
            0x68 => compute!(c.count(Count::TrailingZeros, I32)), // i32.ctz
            0x69 => compute!(c.count(Count::Ones, I32)), // i32.popcnt
            0x6A => compute!(c.alu(Alu::Add, I32)), // i32.add
            0x6B => compute!(c.alu(Alu::Sub, I32)), // i32.sub
            0x6C => compute!(c.multiply(I32)), // i32.mul
            0x6D => compute!(c.divide(Division::DIV_S, I32)), // i32.div_s
            0x6E => compute!(c.divide(Division::DIV_U, I32)), // i32.div_u
            0x6F => compute!(c.divide(Division::REM_S, I32)), // i32.rem_s
            0x70 => compute!(c.divide(Division::REM_U, I32)), // i32.rem_u
            0x71 => compute!(c.alu(Alu::And, I32)), // i32.and
            0x72 => compute!(c.alu(Alu::Or, I32)), // i32.or
            0x73 => compute!(c.alu(Alu::Xor, I32)), // i32.xor
            0x74 => compute!(c.shift(Shift::Shl, I32)), // i32.shl
            0x75 => compute!(c.shift(Shift::Sar, I32)), // i32.shr_s
            0x76 => compute!(c.shift(Shift::Shr, I32)), // i32.shr_u
            0x77 => compute!(c.shift(Shift::Rol, I32)), // i32.rotl
            0x78 => compute!(c.shift(Shift::Ror, I32)), // i32.rotr
            0x79 => compute!(c.count(Count::LeadingZeros, I64)), // i64.clz
            0x7A => compute!(c.count(Count::TrailingZeros, I64)), // i64.ctz
            0x7B => compute!(c.count(Count::Ones, I64)), // i64.popcnt
            0x7C => compute!(c.alu(Alu::Add, I64)), // i64.add
            0x7D => compute!(c.alu(Alu::Sub, I64)), // i64.sub
            0x7E => compute!(c.multiply(I64)), // i64.mul
            0x7F => compute!(c.divide(Division::DIV_S, I64)), // i64.div_s
            0x80 => compute!(c.divide(Division::DIV_U, I64)), // i64.div_u
            0x81 => compute!(c.divide(Division::REM_S, I64)), // i64.rem_s
            0x82 => compute!(c.divide(Division::REM_U, I64)), // i64.rem_u
            0x83 => compute!(c.alu(Alu::And, I64)), // i64.and
            0x84 => compute!(c.alu(Alu::Or, I64)), // i64.or
            0x85 => compute!(c.alu(Alu::Xor, I64)), // i64.xor
            0x86 => compute!(c.shift(Shift::Shl, I64)), // i64.shl
            0x87 => compute!(c.shift(Shift::Sar, I64)), // i64.shr_s
            0x88 => compute!(c.shift(Shift::Shr, I64)), // i64.shr_u
            0x89 => compute!(c.shift(Shift::Rol, I64)), // i64.rotl
            0x8A => compute!(c.shift(Shift::Ror, I64)), // i64.rotr
            0x8B => compute!(c.float_abs(F32)), // f32.abs
            0x8C => compute!(c.float_neg(F32)), // f32.neg
            0x8D => compute!(c.float_round(Rounding::Up, F32)), // f32.ceil
            0x8E => compute!(c.float_round(Rounding::Down, F32)), // f32.floor
            0x8F => compute!(c.float_round(Rounding::Zero, F32)), // f32.trunc
            0x90 => compute!(c.float_round(Rounding::Nearest, F32)), // f32.nearest
            0x91 => compute!(c.float_sqrt(F32)), // f32.sqrt
            0x92 => compute!(c.float_binary(FloatOp::Add, F32)), // f32.add
            0x93 => compute!(c.float_binary(FloatOp::Sub, F32)), // f32.sub
            0x94 => compute!(c.float_binary(FloatOp::Mul, F32)), // f32.mul
            0x95 => compute!(c.float_binary(FloatOp::Div, F32)), // f32.div
            0x96 => compute!(c.float_extreme(FloatOp::Min, F32)), // f32.min
            0x97 => compute!(c.float_extreme(FloatOp::Max, F32)), // f32.max
            0x98 => compute!(c.float_copysign(F32)), // f32.copysign
            0x99 => compute!(c.float_abs(F64)), // f64.abs
            0x9A => compute!(c.float_neg(F64)), // f64.neg
            0x9B => compute!(c.float_round(Rounding::Up, F64)), // f64.ceil
            0x9C => compute!(c.float_round(Rounding::Down, F64)), // f64.floor
            0x9D => compute!(c.float_round(Rounding::Zero, F64)), // f64.trunc
            0x9E => compute!(c.float_round(Rounding::Nearest, F64)), // f64.nearest
            0x9F => compute!(c.float_sqrt(F64)), // f64.sqrt
            0xA0 => compute!(c.float_binary(FloatOp::Add, F64)), // f64.add
            0xA1 => compute!(c.float_binary(FloatOp::Sub, F64)), // f64.sub
            0xA2 => compute!(c.float_binary(FloatOp::Mul, F64)), // f64.mul
            0xA3 => compute!(c.float_binary(FloatOp::Div, F64)), // f64.div
            0xA4 => compute!(c.float_extreme(FloatOp::Min, F64)), // f64.min
            0xA5 => compute!(c.float_extreme(FloatOp::Max, F64)), // f64.max
            0xA6 => compute!(c.float_copysign(F64)), // f64.copysign
            0xA7 => compute!(c.wrap()), // i32.wrap_i64
            0xA8 => compute!(c.truncate_float(Truncation::signed(F32, I32))), // i32.trunc_f32_s
            0xA9 => compute!(c.truncate_float(Truncation::unsigned(F32, I32))), // i32.trunc_f32_u
            0xAA => compute!(c.truncate_float(Truncation::signed(F64, I32))), // i32.trunc_f64_s
            0xAB => compute!(c.truncate_float(Truncation::unsigned(F64, I32))), // i32.trunc_f64_u
            0xAC => compute!(c.sign_extend(I32, I64)), // i64.extend_i32_s
            0xAD => compute!(c.zero_extend()), // i64.extend_i32_u
            0xAE => compute!(c.truncate_float(Truncation::signed(F32, I64))), // i64.trunc_f32_s
            0xAF => compute!(c.truncate_float(Truncation::unsigned(F32, I64))), // i64.trunc_f32_u
            0xB0 => compute!(c.truncate_float(Truncation::signed(F64, I64))), // i64.trunc_f64_s
            0xB1 => compute!(c.truncate_float(Truncation::unsigned(F64, I64))), // i64.trunc_f64_u
            0xB2 => compute!(c.convert_signed(I32, F32)), // f32.convert_i32_s
            0xB3 => compute!(c.convert_unsigned(I32, F32)), // f32.convert_i32_u
            0xB4 => compute!(c.convert_signed(I64, F32)), // f32.convert_i64_s
            0xB5 => compute!(c.convert_unsigned(I64, F32)), // f32.convert_i64_u
            0xB6 => compute!(c.demote()), // f32.demote_f64
            0xB7 => compute!(c.convert_signed(I32, F64)), // f64.convert_i32_s
            0xB8 => compute!(c.convert_unsigned(I32, F64)), // f64.convert_i32_u
            0xB9 => compute!(c.convert_signed(I64, F64)), // f64.convert_i64_s
            0xBA => compute!(c.convert_unsigned(I64, F64)), // f64.convert_i64_u
            0xBB => compute!(c.promote()), // f64.promote_f32
            0xBC => compute!(c.float_bits(F32)), // i32.reinterpret_f32
            0xBD => compute!(c.float_bits(F64)), // i64.reinterpret_f64
            0xBE => compute!(c.float_from_bits(F32)), // f32.reinterpret_i32
            0xBF => compute!(c.float_from_bits(F64)), // f64.reinterpret_i64
            0xC0 => compute!(c.sign_extend(Size::S8, I32)), // i32.extend8_s
            0xC1 => compute!(c.sign_extend(Size::S16, I32)), // i32.extend16_s
            0xC2 => compute!(c.sign_extend(Size::S8, I64)), // i64.extend8_s
            0xC3 => compute!(c.sign_extend(Size::S16, I64)), // i64.extend16_s
            0xC4 => compute!(c.sign_extend(I32, I64)), // i64.extend32_s
            _ => {
                code.at = start;
                return false;
            }
        }
        true
    }

    /// Looks ahead at the operator that starts there. In parts, because `Code` would be lent; not inlined,
    /// because so many operators do this.
    #[inline(never)]
    fn look_ahead_from(&mut self, bytes: &[u8], at: usize, module: &ModuleInfo) {
        self.look_ahead(Code { bytes, at }.ahead(at), module);
    }

    // Not inlined, for what is left in the loop over the operators.
    #[inline(never)]
    fn call_function(&mut self, function: u32, unit: &Unit<'_>) {
        let callee = match function < unit.info.imported_functions {
            true => Callee::At(VMCTX, self.layout.imported_function(function)),
            false if unit.small.is_short(function) && self.inline(function, unit) => return,
            false => Callee::Defined(function),
        };
        self.call(callee, unit.info.function_type(function));
    }

    #[rustfmt::skip]
    fn load(&mut self, opcode: u8, access: Access) {
        let c = self;
        match opcode {
            0x28 => c.load_zeros(I32, M32, access), // i32.load
            0x29 => c.load_zeros(I64, M64, access), // i64.load
            0x2A => c.load_float(FloatSize::F32, access), // f32.load
            0x2B => c.load_float(FloatSize::F64, access), // f64.load
            0x2C => c.load_sign(I32, M8, access), // i32.load8_s
            0x2D => c.load_zeros(I32, M8, access), // i32.load8_u
            0x2E => c.load_sign(I32, M16, access), // i32.load16_s
            0x2F => c.load_zeros(I32, M16, access), // i32.load16_u
            0x30 => c.load_sign(I64, M8, access), // i64.load8_s
            0x31 => c.load_zeros(I64, M8, access), // i64.load8_u
            0x32 => c.load_sign(I64, M16, access), // i64.load16_s
            0x33 => c.load_zeros(I64, M16, access), // i64.load16_u
            0x34 => c.load_sign(I64, M32, access), // i64.load32_s
            0x35 => c.load_zeros(I64, M32, access), // i64.load32_u
            _ => {}
        }
    }

    #[rustfmt::skip]
    fn store_number(&mut self, opcode: u8, access: Access) {
        let width = match opcode {
            0x3A | 0x3C => M8,  // i32.store8, i64.store8
            0x3B | 0x3D => M16, // i32.store16, i64.store16
            0x36 | 0x38 | 0x3E => M32, // i32.store, f32.store, i64.store32
            _ => M64, // i64.store, f64.store
        };
        self.store_low(width, access);
    }
}
