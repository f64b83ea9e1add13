//! Integer moves, arithmetic and logic.
//!
//! Every method is one instruction. Immediates narrower than their parameter
//! type use its low bits.

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

/// The low `size` bits of `imm`, sign-extended, if they fit a byte and `size`
/// is wider than that.
#[inline]
fn short_imm(size: Size, imm: i32) -> Option<Imm> {
    let imm = match size {
        Size::S8 => return None,
        Size::S16 => i32::from(imm as i16),
        Size::S32 | Size::S64 => imm,
    };
    i8::try_from(imm).ok().map(|imm8| Imm::byte(imm8.cast_unsigned()))
}

/// Shapes that many integer instructions share: a one-byte opcode whose lowest
/// bit tells bytes from wider operands.
impl Assembler {
    #[inline]
    pub(super) fn sized_rr(&mut self, opcode: u8, size: Size, reg: Gpr, rm: Gpr) {
        let op = Op::sized(opcode, size).operand(size, reg).operand(size, rm);
        self.rr(op, reg.index(), rm.index());
    }

    #[inline]
    pub(super) fn sized_rm(&mut self, opcode: u8, size: Size, reg: Gpr, mem: Mem) {
        let op = Op::sized(opcode, size).operand(size, reg);
        self.rm(op, reg.index(), mem);
    }

    #[inline]
    pub(super) fn sized_r(&mut self, opcode: u8, digit: u8, size: Size, rm: Gpr) {
        let op = Op::sized(opcode, size).operand(size, rm);
        self.rr(op, digit, rm.index());
    }

    #[inline]
    pub(super) fn sized_r_imm(&mut self, opcode: u8, digit: u8, size: Size, rm: Gpr, imm: Imm) {
        let op = Op::sized(opcode, size).operand(size, rm);
        self.rr_imm(op, digit, rm.index(), imm);
    }

    /// An opcode without a byte form.
    #[inline]
    pub(super) fn wide_rr(&mut self, op: Op, size: Size, reg: Gpr, rm: Gpr) {
        debug_assert!(size != Size::S8, "no byte form");
        self.rr(op.size(size), reg.index(), rm.index());
    }

    /// An opcode without a byte form.
    #[inline]
    pub(super) fn wide_rm(&mut self, op: Op, size: Size, reg: Gpr, mem: Mem) {
        debug_assert!(size != Size::S8, "no byte form");
        self.rm(op.size(size), reg.index(), mem);
    }
}

/// Arithmetic and comparison.
impl Assembler {
    /// `op dst, src`
    #[inline]
    pub fn alu_rr(&mut self, op: Alu, size: Size, dst: Gpr, src: Gpr) {
        self.sized_rr((op as u8) << 3, size, src, dst);
    }

    /// `op dst, imm`, in the shortest form.
    #[inline]
    pub fn alu_ri(&mut self, op: Alu, size: Size, dst: Gpr, imm: i32) {
        if let Some(imm8) = short_imm(size, imm) {
            self.rr_imm(Op::one(0x83).size(size), op as u8, dst.index(), imm8);
        } else if dst == Gpr::Rax {
            self.bare_imm(Op::sized((op as u8) << 3 | 4, size), Imm::sized(size, imm));
        } else {
            self.sized_r_imm(0x80, op as u8, size, dst, Imm::sized(size, imm));
        }
    }

    /// `op dst, [src]`
    #[inline]
    pub fn alu_rm(&mut self, op: Alu, size: Size, dst: Gpr, src: Mem) {
        self.sized_rm((op as u8) << 3 | 2, size, dst, src);
    }

    /// `op [dst], src`
    #[inline]
    pub fn alu_mr(&mut self, op: Alu, size: Size, dst: Mem, src: Gpr) {
        self.sized_rm((op as u8) << 3, size, src, dst);
    }

    /// `op [dst], imm`, in the shortest form.
    #[inline]
    pub fn alu_mi(&mut self, op: Alu, size: Size, dst: Mem, imm: i32) {
        if let Some(imm8) = short_imm(size, imm) {
            self.rm_imm(Op::one(0x83).size(size), op as u8, dst, imm8);
        } else {
            self.rm_imm(Op::sized(0x80, size), op as u8, dst, Imm::sized(size, imm));
        }
    }

    /// Sets the flags of `left & right`.
    #[inline]
    pub fn test_rr(&mut self, size: Size, left: Gpr, right: Gpr) {
        self.sized_rr(0x84, size, right, left);
    }

    /// Sets the flags of `left & imm`.
    #[inline]
    pub fn test_ri(&mut self, size: Size, left: Gpr, imm: i32) {
        if left == Gpr::Rax {
            self.bare_imm(Op::sized(0xA8, size), Imm::sized(size, imm));
        } else {
            self.sized_r_imm(0xF6, 0, size, left, Imm::sized(size, imm));
        }
    }

    /// Sets the flags of `[left] & imm`.
    #[inline]
    pub fn test_mi(&mut self, size: Size, left: Mem, imm: i32) {
        self.rm_imm(Op::sized(0xF6, size), 0, left, Imm::sized(size, imm));
    }

    /// `dst *= src`, not for bytes.
    #[inline]
    pub fn imul_rr(&mut self, size: Size, dst: Gpr, src: Gpr) {
        self.wide_rr(Op::of_0f(0xAF), size, dst, src);
    }

    /// `dst *= [src]`, not for bytes.
    #[inline]
    pub fn imul_rm(&mut self, size: Size, dst: Gpr, src: Mem) {
        self.wide_rm(Op::of_0f(0xAF), size, dst, src);
    }

    /// `dst = src * imm` in the shortest form, not for bytes.
    #[inline]
    pub fn imul_rri(&mut self, size: Size, dst: Gpr, src: Gpr, imm: i32) {
        debug_assert!(size != Size::S8, "no byte form");
        let (opcode, imm) = match short_imm(size, imm) {
            Some(imm8) => (0x6B, imm8),
            None => (0x69, Imm::sized(size, imm)),
        };
        self.rr_imm(Op::one(opcode).size(size), dst.index(), src.index(), imm);
    }

    /// `rdx:rax = rax * src`, unsigned; bytes give `ax = al * src`.
    #[inline]
    pub fn mul_r(&mut self, size: Size, src: Gpr) {
        self.sized_r(0xF6, 4, size, src);
    }

    /// Divides `rdx:rax` by `src`, unsigned, into `rax` with the remainder in
    /// `rdx`; bytes divide `ax` into `al` and `ah`.
    #[inline]
    pub fn div_r(&mut self, size: Size, src: Gpr) {
        self.sized_r(0xF6, 6, size, src);
    }

    /// Like [`div_r`](Self::div_r), signed.
    #[inline]
    pub fn idiv_r(&mut self, size: Size, src: Gpr) {
        self.sized_r(0xF6, 7, size, src);
    }

    /// `dst = -dst`
    #[inline]
    pub fn neg_r(&mut self, size: Size, dst: Gpr) {
        self.sized_r(0xF6, 3, size, dst);
    }

    /// `dst = !dst`; the flags survive.
    #[inline]
    pub fn not_r(&mut self, size: Size, dst: Gpr) {
        self.sized_r(0xF6, 2, size, dst);
    }

    /// Fills `rdx` with the sign of `rax` (`cwd`, `cdq`, `cqo`), as a signed
    /// division expects; not for bytes.
    #[inline]
    pub fn sign_extend_acc(&mut self, size: Size) {
        debug_assert!(size != Size::S8, "no byte form");
        self.bare(Op::one(0x99).size(size));
    }
}

/// Moves. None of them but [`zero`](Assembler::zero) touches the flags.
impl Assembler {
    /// `mov dst, src`
    #[inline]
    pub fn mov_rr(&mut self, size: Size, dst: Gpr, src: Gpr) {
        self.sized_rr(0x88, size, src, dst);
    }

    /// `mov dst, imm`, in the shortest form that leaves the flags alone.
    #[inline]
    pub fn mov_ri(&mut self, size: Size, dst: Gpr, imm: i64) {
        let narrow = imm as i32;
        match size {
            Size::S8 => {
                let op = Op::one(0xB0).operand(size, dst);
                self.plus_r_imm(op, dst, Imm::sized(size, narrow));
            }
            Size::S16 | Size::S32 => {
                self.plus_r_imm(Op::one(0xB8).size(size), dst, Imm::sized(size, narrow));
            }
            // Writing the low half clears the upper one.
            Size::S64 if u32::try_from(imm).is_ok() => {
                self.plus_r_imm(Op::one(0xB8), dst, Imm::sized(size, narrow));
            }
            Size::S64 if i64::from(narrow) == imm => {
                self.sized_r_imm(0xC6, 0, size, dst, Imm::sized(size, narrow));
            }
            Size::S64 => self.plus_r_imm(Op::one(0xB8).size(size), dst, Imm::quad(imm)),
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
        self.sized_rm(0x8A, size, dst, src);
    }

    /// `mov [dst], src`
    #[inline]
    pub fn mov_mr(&mut self, size: Size, dst: Mem, src: Gpr) {
        self.sized_rm(0x88, size, src, dst);
    }

    /// `mov [dst], imm`; 64 bits store `imm` sign-extended.
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

    /// `dst` = the address `src`, truncated to `size`; not for bytes.
    #[inline]
    pub fn lea(&mut self, size: Size, dst: Gpr, src: Mem) {
        self.wide_rm(Op::one(0x8D), size, dst, src);
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
            Some(other) if size != Size::S8 => self.plus_r(Op::one(0x90).size(size), other),
            _ => self.sized_rr(0x86, size, right, left),
        }
    }

    /// `dst` = 1 if `cond` holds, else 0; only the low byte is written.
    #[inline]
    pub fn setcc(&mut self, cond: Cond, dst: Gpr) {
        let op = Op::of_0f(0x90 | cond.index()).operand(Size::S8, dst);
        self.rr(op, 0, dst.index());
    }

    /// `dst = src` if `cond` holds, not for bytes. At 32 bits the upper half of
    /// `dst` is cleared either way.
    #[inline]
    pub fn cmov_rr(&mut self, cond: Cond, size: Size, dst: Gpr, src: Gpr) {
        self.wide_rr(Op::of_0f(0x40 | cond.index()), size, dst, src);
    }

    /// Like [`cmov_rr`](Self::cmov_rr), from memory, which is read whether
    /// `cond` holds or not.
    #[inline]
    pub fn cmov_rm(&mut self, cond: Cond, size: Size, dst: Gpr, src: Mem) {
        self.wide_rm(Op::of_0f(0x40 | cond.index()), size, dst, src);
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
    .size(to)
}
