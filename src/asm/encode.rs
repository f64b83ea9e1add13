//! The instruction encoder: prefixes, REX or VEX, opcode, ModRM, immediate.
//!
//! Owns the layout of an instruction, which the files named for instruction
//! families fill in. An instruction is put together in two 64-bit halves that
//! never overflow: the head, from the prefix to the SIB byte, is at most 7
//! bytes long and the tail, displacement and immediate, at most 8.

use super::assembler::Assembler;
use super::mem::Mem;
use super::reg::{Gpr, Size};

/// REX.W: the operation is 64 bits wide.
const REX_W: u8 = 0b1000;
/// The fixed bits of REX. Alone, it turns ah..bh into spl..dil.
const REX: u8 = 0x40;

/// An opcode with its prefixes: all that comes before ModRM except the register
/// bits of REX.
#[derive(Clone, Copy)]
pub(super) struct Op {
    /// Escape bytes and opcode, first byte lowest.
    opcode: u32,
    opcode_bits: u8,
    /// 66, F2 or F3, or zero for none.
    prefix: u8,
    /// REX bits already known; `REX` itself if one is needed regardless.
    rex: u8,
}

impl Op {
    const fn with(opcode: u32, opcode_bits: u8) -> Self {
        Self { opcode, opcode_bits, prefix: 0, rex: 0 }
    }

    /// A one-byte opcode.
    #[inline]
    pub(super) const fn one(opcode: u8) -> Self {
        Self::with(opcode as u32, 8)
    }

    /// `0F opcode`.
    #[inline]
    pub(super) const fn of_0f(opcode: u8) -> Self {
        Self::with(0x0F | (opcode as u32) << 8, 16)
    }

    /// `0F 3A opcode`.
    #[inline]
    pub(super) const fn of_0f3a(opcode: u8) -> Self {
        Self::with(0x3A0F | (opcode as u32) << 16, 24)
    }

    /// A one-byte opcode whose lowest bit is clear for bytes and set for wider
    /// operands. `opcode` is the byte form.
    #[inline]
    pub(super) const fn sized(opcode: u8, size: Size) -> Self {
        Self::one(opcode | !matches!(size, Size::S8) as u8).size(size)
    }

    /// Adds what `size` needs: the operand-size prefix or REX.W. Without branches, because the
    /// compilers' sizes come in no order that a processor could foresee; so are the next ones.
    #[inline]
    const fn size(mut self, size: Size) -> Self {
        self.prefix |= 0x66 * matches!(size, Size::S16) as u8;
        self.rex |= REX_W * matches!(size, Size::S64) as u8;
        self
    }

    /// The same for an operation of 32 or 64 bits.
    #[inline]
    pub(super) const fn long(mut self, size: Size) -> Self {
        debug_assert!(matches!(size, Size::S32 | Size::S64), "no narrower form");
        self.rex |= REX_W * matches!(size, Size::S64) as u8;
        self
    }

    /// Adds a mandatory prefix; zero is none.
    #[inline]
    pub(super) const fn prefix(mut self, prefix: u8) -> Self {
        self.prefix = prefix;
        self
    }

    /// Asks for REX where `register`, used at `size`, is not reachable without.
    #[inline]
    pub(super) const fn operand(mut self, size: Size, register: Gpr) -> Self {
        use Gpr::{Rbp, Rdi, Rsi, Rsp};
        let renamed = matches!(size, Size::S8) & matches!(register, Rsp | Rbp | Rsi | Rdi);
        self.rex |= REX * renamed as u8;
        self
    }

    /// Prefix, REX and opcode, and how many bits they take.
    #[inline]
    fn head(self, register_bits: u8) -> (u64, u32) {
        let rex = self.rex | register_bits;
        let mut bits = u64::from(self.prefix);
        let mut len = if self.prefix == 0 { 0 } else { 8 };
        if rex != 0 {
            bits |= u64::from(REX | rex) << len;
            len += 8;
        }
        bits |= u64::from(self.opcode) << len;
        (bits, len + u32::from(self.opcode_bits))
    }

    /// The head of an instruction with a memory operand, up to the SIB byte.
    #[inline]
    fn head_rm(self, reg: u8, mem: Mem) -> (u64, u32) {
        let (head, len) = self.head((reg >> 3) << 2 | mem.rex);
        let modrm = u64::from(mem.modrm) | u64::from((reg & 7) << 3);
        (head | modrm << len, len + u32::from(mem.modrm_bits))
    }
}

/// An immediate operand.
#[derive(Clone, Copy)]
pub(super) struct Imm {
    /// Zero-extended from `len`.
    bits: u64,
    len: u32,
}

impl Imm {
    /// One byte.
    #[inline]
    pub(super) const fn byte(value: u8) -> Self {
        Self { bits: value as u64, len: 8 }
    }

    /// The low bits of `value`, in the form an operation on `size` takes: at 64
    /// bits, that is 32 bits to be sign-extended.
    #[inline]
    pub(super) const fn sized(size: Size, value: i32) -> Self {
        let value = value as u32 as u64;
        match size {
            Size::S8 => Self::byte(value as u8),
            Size::S16 => Self { bits: value & 0xFFFF, len: 16 },
            Size::S32 | Size::S64 => Self { bits: value, len: 32 },
        }
    }

    /// What an operation on 32 or 64 bits takes, at 64 to be sign-extended.
    #[inline]
    pub(super) const fn long(value: i32) -> Self {
        Self { bits: value as u32 as u64, len: 32 }
    }

    /// Eight bytes, which only `mov` takes.
    #[inline]
    pub(super) const fn quad(value: i64) -> Self {
        Self { bits: value as u64, len: 64 }
    }
}

/// The VEX opcode maps in use.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum VexMap {
    /// `0F 38`
    M0f38 = 2,
    /// `0F 3A`
    M0f3a = 3,
}

/// The mandatory prefix that VEX implies.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum VexPrefix {
    None = 0,
    P66 = 1,
    Pf3 = 2,
    Pf2 = 3,
}

/// Everything of a VEX instruction that is not an operand.
#[derive(Clone, Copy)]
pub(super) struct VexOp {
    pub(super) map: VexMap,
    pub(super) prefix: VexPrefix,
    pub(super) opcode: u8,
}

const fn modrm_rr(reg: u8, rm: u8) -> u64 {
    (0xC0 | (reg & 7) << 3 | rm & 7) as u64
}

impl Assembler {
    /// Emits a head of `head_len` bits, at least 8, and a tail of `tail_len`.
    #[inline]
    pub(super) fn put_halves(&mut self, head: u64, head_len: u32, tail: u64, tail_len: u32) {
        // Two 64-bit shifts are cheaper than one of 128 bits by a variable
        // amount.
        let low = head | tail << head_len;
        let high = tail >> (64 - head_len);
        self.buf
            .put(u128::from(high) << 64 | u128::from(low), ((head_len + tail_len) / 8) as usize);
    }

    /// An instruction that is just an opcode.
    #[inline]
    pub(super) fn bare(&mut self, op: Op) {
        let (head, len) = op.head(0);
        self.buf.put(u128::from(head), (len / 8) as usize);
    }

    /// An opcode and an immediate.
    #[inline]
    pub(super) fn bare_imm(&mut self, op: Op, imm: Imm) {
        let (head, len) = op.head(0);
        self.put_halves(head, len, imm.bits, imm.len);
    }

    /// An opcode that holds `register` in its low three bits.
    #[inline]
    pub(super) fn plus_r(&mut self, mut op: Op, register: Gpr) {
        op.add_to_opcode(register);
        let (head, len) = op.head(register.index() >> 3);
        self.buf.put(u128::from(head), (len / 8) as usize);
    }

    /// An opcode that holds `register` in its low three bits, and an immediate.
    #[inline]
    pub(super) fn plus_r_imm(&mut self, mut op: Op, register: Gpr, imm: Imm) {
        op.add_to_opcode(register);
        let (head, len) = op.head(register.index() >> 3);
        self.put_halves(head, len, imm.bits, imm.len);
    }

    /// ModRM with two registers; `reg` may be an opcode digit.
    #[inline]
    pub(super) fn rr(&mut self, op: Op, reg: u8, rm: u8) {
        let (head, len) = op.head((reg >> 3) << 2 | rm >> 3);
        self.buf.put(u128::from(head | modrm_rr(reg, rm) << len), (len / 8 + 1) as usize);
    }

    /// ModRM with two registers, and an immediate.
    #[inline]
    pub(super) fn rr_imm(&mut self, op: Op, reg: u8, rm: u8, imm: Imm) {
        let (head, len) = op.head((reg >> 3) << 2 | rm >> 3);
        self.put_halves(head | modrm_rr(reg, rm) << len, len + 8, imm.bits, imm.len);
    }

    /// ModRM with a register, or an opcode digit, and memory.
    #[inline]
    pub(super) fn rm(&mut self, op: Op, reg: u8, mem: Mem) {
        let (head, len) = op.head_rm(reg, mem);
        // Where the displacement is short, its upper bits are scratch.
        self.put_halves(head, len, u64::from(mem.disp.cast_unsigned()), u32::from(mem.disp_bits));
    }

    /// ModRM with a register, or an opcode digit, and memory; and an immediate.
    #[inline]
    pub(super) fn rm_imm(&mut self, op: Op, reg: u8, mem: Mem, imm: Imm) {
        let (head, len) = op.head_rm(reg, mem);
        let disp_bits = u32::from(mem.disp_bits);
        let disp = u64::from(mem.disp.cast_unsigned()) & ((1 << disp_bits) - 1);
        self.put_halves(head, len, disp | imm.bits << disp_bits, disp_bits + imm.len);
    }

    /// VEX, 128 bits or scalar, with three registers.
    #[inline]
    pub(super) fn vex_rrr(&mut self, op: VexOp, size: Size, reg: u8, vvvv: u8, rm: u8) {
        let (head, len) = op.head(size, reg, vvvv, rm);
        self.buf.put(u128::from(head), (len / 8) as usize);
    }

    /// VEX with two registers and an immediate byte.
    #[inline]
    pub(super) fn vex_rr_imm8(&mut self, op: VexOp, size: Size, reg: u8, rm: u8, imm: u8) {
        let (head, len) = op.head(size, reg, 0, rm);
        self.put_halves(head, len, u64::from(imm), 8);
    }
}

impl VexOp {
    /// The three-byte VEX prefix, the opcode and ModRM. The two-byte prefix
    /// cannot name the maps in use here.
    #[inline]
    fn head(self, size: Size, reg: u8, vvvv: u8, rm: u8) -> (u64, u32) {
        debug_assert!(size >= Size::S32, "only 32 and 64-bit forms exist");
        // VEX holds the REX bits and vvvv inverted; X is not used.
        let byte1 = (!reg >> 3 & 1) << 7 | 1 << 6 | (!rm >> 3 & 1) << 5 | self.map as u8;
        let byte2 = u8::from(size == Size::S64) << 7 | (!vvvv & 15) << 3 | self.prefix as u8;
        let head = 0xC4
            | u64::from(byte1) << 8
            | u64::from(byte2) << 16
            | u64::from(self.opcode) << 24
            | modrm_rr(reg, rm) << 32;
        (head, 40)
    }
}

impl Op {
    /// Puts the low bits of `register` into the last opcode byte.
    #[inline]
    fn add_to_opcode(&mut self, register: Gpr) {
        self.opcode |= u32::from(register.index() & 7) << (self.opcode_bits - 8);
    }
}
