//! Integer moves, arithmetic and logic.
//!
//! Every method is one instruction, of 32 or 64 bits unless it says otherwise:
//! wasm computes with no others, and narrower ones are for memory and for the
//! bytes that `setcc` writes. Immediates narrower than their parameter type use
//! its low bits.

use super::assembler::Assembler;
use super::cond::Cond;
use super::encode::{Imm, Op};
use super::mem::Mem;
use super::reg::{Gpr, Size};

/// The two-operand operations that share one encoding scheme, numbered as the
/// hardware does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Alu {
    /// Addition.
    Add = 0,
    /// Bitwise or.
    Or = 1,
    /// Addition with carry.
    Adc = 2,
    /// Subtraction with borrow.
    Sbb = 3,
    /// Bitwise and.
    And = 4,
    /// Subtraction.
    Sub = 5,
    /// Bitwise exclusive or.
    Xor = 6,
    /// Subtraction that only sets the flags.
    Cmp = 7,
}

/// `imm`, if it fits a byte that is sign-extended.
#[inline]
fn short_imm(imm: i32) -> Option<Imm> {
    i8::try_from(imm).ok().map(|imm8| Imm::byte(imm8.cast_unsigned()))
}

/// Shapes that many instructions share: an opcode for 32 or 64 bits.
impl Assembler {
    #[inline]
    pub(super) fn long_rr(&mut self, op: Op, size: Size, reg: Gpr, rm: Gpr) {
        self.rr(op.long(size), reg.index(), rm.index());
    }

    #[inline]
    pub(super) fn long_rm(&mut self, op: Op, size: Size, reg: Gpr, mem: Mem) {
        self.rm(op.long(size), reg.index(), mem);
    }

    #[inline]
    pub(super) fn long_r(&mut self, opcode: u8, digit: u8, size: Size, rm: Gpr) {
        self.rr(Op::one(opcode).long(size), digit, rm.index());
    }

    #[inline]
    pub(super) fn long_r_imm(&mut self, opcode: u8, digit: u8, size: Size, rm: Gpr, imm: Imm) {
        self.rr_imm(Op::one(opcode).long(size), digit, rm.index(), imm);
    }
}

/// Arithmetic and comparison.
impl Assembler {
    /// `op dst, src`
    #[inline]
    pub fn alu_rr(&mut self, op: Alu, size: Size, dst: Gpr, src: Gpr) {
        self.long_rr(Op::one((op as u8) << 3 | 1), size, src, dst);
    }

    /// `op dst, src` on bytes, such as `setcc` writes.
    #[inline]
    pub fn alu8_rr(&mut self, op: Alu, dst: Gpr, src: Gpr) {
        let op = Op::one((op as u8) << 3).operand(Size::S8, src).operand(Size::S8, dst);
        self.rr(op, src.index(), dst.index());
    }

    /// `op dst, imm`, in the shortest form.
    #[inline]
    pub fn alu_ri(&mut self, op: Alu, size: Size, dst: Gpr, imm: i32) {
        if let Some(imm8) = short_imm(imm) {
            self.long_r_imm(0x83, op as u8, size, dst, imm8);
        } else if dst == Gpr::Rax {
            self.bare_imm(Op::one((op as u8) << 3 | 5).long(size), Imm::long(imm));
        } else {
            self.long_r_imm(0x81, op as u8, size, dst, Imm::long(imm));
        }
    }

    /// `op dst, [src]`
    #[inline]
    pub fn alu_rm(&mut self, op: Alu, size: Size, dst: Gpr, src: Mem) {
        self.long_rm(Op::one((op as u8) << 3 | 3), size, dst, src);
    }

    /// `op [dst], src`
    #[inline]
    pub fn alu_mr(&mut self, op: Alu, size: Size, dst: Mem, src: Gpr) {
        self.long_rm(Op::one((op as u8) << 3 | 1), size, src, dst);
    }

    /// `op [dst], imm`, in the shortest form.
    #[inline]
    pub fn alu_mi(&mut self, op: Alu, size: Size, dst: Mem, imm: i32) {
        let (opcode, imm) = match short_imm(imm) {
            Some(imm8) => (0x83, imm8),
            None => (0x81, Imm::long(imm)),
        };
        self.rm_imm(Op::one(opcode).long(size), op as u8, dst, imm);
    }

    /// Sets the flags of `left & right`.
    #[inline]
    pub fn test_rr(&mut self, size: Size, left: Gpr, right: Gpr) {
        self.long_rr(Op::one(0x85), size, right, left);
    }

    /// Sets the flags of `left & imm`, of any size.
    #[inline]
    pub fn test_ri(&mut self, size: Size, left: Gpr, imm: i32) {
        if left == Gpr::Rax {
            self.bare_imm(Op::sized(0xA8, size), Imm::sized(size, imm));
        } else {
            let op = Op::sized(0xF6, size).operand(size, left);
            self.rr_imm(op, 0, left.index(), Imm::sized(size, imm));
        }
    }

    /// Sets the flags of `[left] & imm`, of any size.
    #[inline]
    pub fn test_mi(&mut self, size: Size, left: Mem, imm: i32) {
        self.rm_imm(Op::sized(0xF6, size), 0, left, Imm::sized(size, imm));
    }

    /// `dst *= src`
    #[inline]
    pub fn imul_rr(&mut self, size: Size, dst: Gpr, src: Gpr) {
        self.long_rr(Op::of_0f(0xAF), size, dst, src);
    }

    /// `dst *= [src]`
    #[inline]
    pub fn imul_rm(&mut self, size: Size, dst: Gpr, src: Mem) {
        self.long_rm(Op::of_0f(0xAF), size, dst, src);
    }

    /// `dst = src * imm`, in the shortest form.
    #[inline]
    pub fn imul_rri(&mut self, size: Size, dst: Gpr, src: Gpr, imm: i32) {
        let (opcode, imm) = match short_imm(imm) {
            Some(imm8) => (0x6B, imm8),
            None => (0x69, Imm::long(imm)),
        };
        self.rr_imm(Op::one(opcode).long(size), dst.index(), src.index(), imm);
    }

    /// `rdx:rax = rax * src`, unsigned.
    #[inline]
    pub fn mul_r(&mut self, size: Size, src: Gpr) {
        self.long_r(0xF7, 4, size, src);
    }

    /// Divides `rdx:rax` by `src`, unsigned, into `rax` with the remainder in
    /// `rdx`.
    #[inline]
    pub fn div_r(&mut self, size: Size, src: Gpr) {
        self.long_r(0xF7, 6, size, src);
    }

    /// Like [`div_r`](Self::div_r), signed.
    #[inline]
    pub fn idiv_r(&mut self, size: Size, src: Gpr) {
        self.long_r(0xF7, 7, size, src);
    }

    /// `dst = -dst`
    #[inline]
    pub fn neg_r(&mut self, size: Size, dst: Gpr) {
        self.long_r(0xF7, 3, size, dst);
    }

    /// `dst = !dst`; the flags survive.
    #[inline]
    pub fn not_r(&mut self, size: Size, dst: Gpr) {
        self.long_r(0xF7, 2, size, dst);
    }

    /// Fills `rdx` with the sign of `rax` (`cdq`, `cqo`), as a signed division
    /// expects.
    #[inline]
    pub fn sign_extend_acc(&mut self, size: Size) {
        self.bare(Op::one(0x99).long(size));
    }
}

/// Moves. None of them but [`zero`](Assembler::zero) touches the flags.
impl Assembler {
    /// `mov dst, src`
    #[inline]
    pub fn mov_rr(&mut self, size: Size, dst: Gpr, src: Gpr) {
        self.long_rr(Op::one(0x89), size, src, dst);
    }

    /// `mov dst, imm`, in the shortest form that leaves the flags alone.
    #[inline]
    pub fn mov_ri(&mut self, size: Size, dst: Gpr, imm: i64) {
        debug_assert!(size >= Size::S32, "no narrower form");
        let narrow = imm as i32;
        // Writing the low half clears the upper one.
        if size == Size::S32 || u32::try_from(imm).is_ok() {
            self.plus_r_imm(Op::one(0xB8), dst, Imm::long(narrow));
        } else if i64::from(narrow) == imm {
            self.long_r_imm(0xC7, 0, size, dst, Imm::long(narrow));
        } else {
            self.plus_r_imm(Op::one(0xB8).long(size), dst, Imm::quad(imm));
        }
    }

    /// `xor dst, dst`: zero in all 64 bits. Clobbers the flags.
    #[inline]
    pub fn zero(&mut self, dst: Gpr) {
        self.alu_rr(Alu::Xor, Size::S32, dst, dst);
    }

    /// `mov dst, [src]`
    #[inline]
    pub fn mov_rm(&mut self, size: Size, dst: Gpr, src: Mem) {
        self.long_rm(Op::one(0x8B), size, dst, src);
    }

    /// `mov [dst], src`, of any size.
    #[inline]
    pub fn mov_mr(&mut self, size: Size, dst: Mem, src: Gpr) {
        let op = Op::sized(0x88, size).operand(size, src);
        self.rm(op, src.index(), dst);
    }

    /// `mov [dst], imm`, of any size; 64 bits store `imm` sign-extended.
    #[inline]
    pub fn mov_mi(&mut self, size: Size, dst: Mem, imm: i32) {
        self.rm_imm(Op::sized(0xC6, size), 0, dst, Imm::sized(size, imm));
    }

    /// `dst` = the low `from` bits of `src`, zero-extended to 64 bits. From
    /// `S32` and `S64` that is a plain move.
    #[inline]
    pub fn movzx_rr(&mut self, dst: Gpr, src: Gpr, from: Size) {
        match from {
            Size::S8 => self.rr(Op::of_0f(0xB6).operand(from, src), dst.index(), src.index()),
            Size::S16 => self.rr(Op::of_0f(0xB7), dst.index(), src.index()),
            Size::S32 | Size::S64 => self.mov_rr(from, dst, src),
        }
    }

    /// `dst` = `from` bits at `src`, zero-extended to 64 bits. From `S32` and
    /// `S64` that is a plain load.
    #[inline]
    pub fn movzx_rm(&mut self, dst: Gpr, src: Mem, from: Size) {
        if from < Size::S32 {
            self.rm(Op::of_0f(0xB6 | (from == Size::S16) as u8), dst.index(), src);
        } else {
            self.mov_rm(from, dst, src);
        }
    }

    /// `dst`, at size `to`, = the low `from` bits of `src`, sign-extended.
    /// `from` must be narrower than `to`.
    #[inline]
    pub fn movsx_rr(&mut self, to: Size, dst: Gpr, src: Gpr, from: Size) {
        let op = movsx_op(to, from).operand(from, src);
        self.rr(op, dst.index(), src.index());
    }

    /// `dst`, at size `to`, = `from` bits at `src`, sign-extended. `from` must
    /// be narrower than `to`.
    #[inline]
    pub fn movsx_rm(&mut self, to: Size, dst: Gpr, src: Mem, from: Size) {
        self.rm(movsx_op(to, from), dst.index(), src);
    }

    /// `dst` = the address `src`, truncated to `size`.
    #[inline]
    pub fn lea(&mut self, size: Size, dst: Gpr, src: Mem) {
        self.long_rm(Op::one(0x8D), size, dst, src);
    }

    /// Exchanges two registers.
    #[inline]
    pub fn xchg_rr(&mut self, size: Size, left: Gpr, right: Gpr) {
        // The one-byte form exchanges with the accumulator. Exchanging that
        // with itself would be `nop`, which at 32 bits leaves the upper half
        // where `xchg` clears it.
        let other = match (left, right) {
            (Gpr::Rax, Gpr::Rax) => None,
            (Gpr::Rax, other) | (other, Gpr::Rax) => Some(other),
            _ => None,
        };
        match other {
            Some(other) => self.plus_r(Op::one(0x90).long(size), other),
            None => self.long_rr(Op::one(0x87), size, right, left),
        }
    }

    /// `dst` = 1 if `cond` holds, else 0; only the low byte is written.
    #[inline]
    pub fn setcc(&mut self, cond: Cond, dst: Gpr) {
        let op = Op::of_0f(0x90 | cond.index()).operand(Size::S8, dst);
        self.rr(op, 0, dst.index());
    }

    /// `dst = src` if `cond` holds. At 32 bits the upper half of `dst` is
    /// cleared either way.
    #[inline]
    pub fn cmov_rr(&mut self, cond: Cond, size: Size, dst: Gpr, src: Gpr) {
        self.long_rr(Op::of_0f(0x40 | cond.index()), size, dst, src);
    }

    /// Like [`cmov_rr`](Self::cmov_rr), from memory, which is read whether
    /// `cond` holds or not.
    #[inline]
    pub fn cmov_rm(&mut self, cond: Cond, size: Size, dst: Gpr, src: Mem) {
        self.long_rm(Op::of_0f(0x40 | cond.index()), size, dst, src);
    }
}

#[inline]
fn movsx_op(to: Size, from: Size) -> Op {
    debug_assert!(from < to, "sign extension must widen");
    match from {
        Size::S8 => Op::of_0f(0xBE),
        Size::S16 => Op::of_0f(0xBF),
        Size::S32 | Size::S64 => Op::one(0x63),
    }
    .long(to)
}
