//! Vector instructions, 128 bits wide, and those on scalars with two operands and a result.
//!
//! An instruction is a [`VectorOp`] of the tables below and the method for its
//! operands. With [`Assembler::avx`] each takes its VEX form, whose destination
//! is an operand of its own; without, the form of SSE, which overwrites its left
//! operand. What goes beyond SSE4.1 says so.

use super::assembler::Assembler;
use super::labels::Label;
use super::mem::Mem;
use super::reg::{Gpr, Xmm};

/// A vector instruction without its operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VectorOp {
    prefix: Prefix,
    map: Map,
    opcode: u8,
    /// VEX.W or REX.W.
    wide: bool,
}

/// The mandatory prefix, numbered as VEX does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Prefix {
    None = 0,
    P66 = 1,
    PF3 = 2,
    PF2 = 3,
}

/// The opcode map, numbered as VEX does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Map {
    M0F = 1,
    M0F38 = 2,
    M0F3A = 3,
}

/// A vector shift by a constant: an opcode and the digit in ModRM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VectorShift {
    op: VectorOp,
    digit: u8,
}

/// The last operand of a vector instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VectorRm {
    /// A register.
    Xmm(Xmm),
    /// Memory. SSE wants whole vectors aligned to 16 bytes, AVX does not.
    Mem(Mem),
    /// What stands at a label, for instructions without an immediate.
    Label(Label),
}

impl From<Xmm> for VectorRm {
    #[inline]
    fn from(register: Xmm) -> Self {
        Self::Xmm(register)
    }
}

impl From<Mem> for VectorRm {
    #[inline]
    fn from(mem: Mem) -> Self {
        Self::Mem(mem)
    }
}

/// The operand in ModRM's `rm`, of either register file.
#[derive(Clone, Copy)]
enum Rm {
    Register(u8),
    Mem(Mem),
    Label(Label),
}

impl From<VectorRm> for Rm {
    #[inline]
    fn from(operand: VectorRm) -> Self {
        match operand {
            VectorRm::Xmm(register) => Self::Register(register.index()),
            VectorRm::Mem(mem) => Self::Mem(mem),
            VectorRm::Label(label) => Self::Label(label),
        }
    }
}

impl VectorOp {
    const fn new(prefix: Prefix, map: Map, opcode: u8) -> Self {
        Self { prefix, map, opcode, wide: false }
    }

    const fn wide(self) -> Self {
        Self { wide: true, ..self }
    }
}

/// One row per instruction: name, prefix, map, opcode, and how many bytes its
/// memory form accesses, 0 if it has none. Each table is a list for the tests.
macro_rules! vector_ops {
    ($table:ident: $($name:ident $prefix:ident $map:ident $opcode:literal $bytes:literal $($wide:ident)?;)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`")]
            pub const $name: VectorOp = VectorOp::new(Prefix::$prefix, Map::$map, $opcode)$(.$wide())?;
        )*

        #[cfg(test)]
        pub(super) const $table: &[(&str, VectorOp, usize)] = &[$((stringify!($name), $name, $bytes)),*];
    };
}

// `dst = left op right`: `vector`.
vector_ops! { BINARY:
    PADDB      P66  M0F   0xFC 16;
    PADDW      P66  M0F   0xFD 16;
    PADDD      P66  M0F   0xFE 16;
    PADDQ      P66  M0F   0xD4 16;
    PSUBB      P66  M0F   0xF8 16;
    PSUBW      P66  M0F   0xF9 16;
    PSUBD      P66  M0F   0xFA 16;
    PSUBQ      P66  M0F   0xFB 16;
    PADDSB     P66  M0F   0xEC 16;
    PADDSW     P66  M0F   0xED 16;
    PADDUSB    P66  M0F   0xDC 16;
    PADDUSW    P66  M0F   0xDD 16;
    PSUBSB     P66  M0F   0xE8 16;
    PSUBSW     P66  M0F   0xE9 16;
    PSUBUSB    P66  M0F   0xD8 16;
    PSUBUSW    P66  M0F   0xD9 16;
    PMINSB     P66  M0F38 0x38 16;
    PMINSW     P66  M0F   0xEA 16;
    PMINSD     P66  M0F38 0x39 16;
    PMINUB     P66  M0F   0xDA 16;
    PMINUW     P66  M0F38 0x3A 16;
    PMINUD     P66  M0F38 0x3B 16;
    PMAXSB     P66  M0F38 0x3C 16;
    PMAXSW     P66  M0F   0xEE 16;
    PMAXSD     P66  M0F38 0x3D 16;
    PMAXUB     P66  M0F   0xDE 16;
    PMAXUW     P66  M0F38 0x3E 16;
    PMAXUD     P66  M0F38 0x3F 16;
    PAVGB      P66  M0F   0xE0 16;
    PAVGW      P66  M0F   0xE3 16;
    PMULLW     P66  M0F   0xD5 16;
    PMULHW     P66  M0F   0xE5 16;
    PMULHUW    P66  M0F   0xE4 16;
    PMULLD     P66  M0F38 0x40 16;
    PMULUDQ    P66  M0F   0xF4 16;
    PMULDQ     P66  M0F38 0x28 16;
    PMULHRSW   P66  M0F38 0x0B 16;
    PMADDWD    P66  M0F   0xF5 16;
    PMADDUBSW  P66  M0F38 0x04 16;
    PACKSSWB   P66  M0F   0x63 16;
    PACKUSWB   P66  M0F   0x67 16;
    PACKSSDW   P66  M0F   0x6B 16;
    PACKUSDW   P66  M0F38 0x2B 16;
    PCMPEQB    P66  M0F   0x74 16;
    PCMPEQW    P66  M0F   0x75 16;
    PCMPEQD    P66  M0F   0x76 16;
    PCMPEQQ    P66  M0F38 0x29 16;
    PCMPGTB    P66  M0F   0x64 16;
    PCMPGTW    P66  M0F   0x65 16;
    PCMPGTD    P66  M0F   0x66 16;
    // SSE4.2, and so where there is AVX.
    PCMPGTQ    P66  M0F38 0x37 16;
    PAND       P66  M0F   0xDB 16;
    // The left operand is inverted.
    PANDN      P66  M0F   0xDF 16;
    POR        P66  M0F   0xEB 16;
    PXOR       P66  M0F   0xEF 16;
    PSHUFB     P66  M0F38 0x00 16;
    PUNPCKLBW  P66  M0F   0x60 16;
    PUNPCKLWD  P66  M0F   0x61 16;
    PUNPCKLDQ  P66  M0F   0x62 16;
    PUNPCKLQDQ P66  M0F   0x6C 16;
    PUNPCKHBW  P66  M0F   0x68 16;
    PUNPCKHWD  P66  M0F   0x69 16;
    PUNPCKHDQ  P66  M0F   0x6A 16;
    PUNPCKHQDQ P66  M0F   0x6D 16;
    PSLLW      P66  M0F   0xF1 16;
    PSLLD      P66  M0F   0xF2 16;
    PSLLQ      P66  M0F   0xF3 16;
    PSRLW      P66  M0F   0xD1 16;
    PSRLD      P66  M0F   0xD2 16;
    PSRLQ      P66  M0F   0xD3 16;
    PSRAW      P66  M0F   0xE1 16;
    PSRAD      P66  M0F   0xE2 16;
    ANDPS      None M0F   0x54 16;
    ORPS       None M0F   0x56 16;
    XORPS      None M0F   0x57 16;
    ADDPS      None M0F   0x58 16;
    ADDPD      P66  M0F   0x58 16;
    MULPS      None M0F   0x59 16;
    MULPD      P66  M0F   0x59 16;
    SUBPS      None M0F   0x5C 16;
    SUBPD      P66  M0F   0x5C 16;
    MINPS      None M0F   0x5D 16;
    MINPD      P66  M0F   0x5D 16;
    DIVPS      None M0F   0x5E 16;
    DIVPD      P66  M0F   0x5E 16;
    MAXPS      None M0F   0x5F 16;
    MAXPD      P66  M0F   0x5F 16;
    UNPCKLPS   None M0F   0x14 16;
    MOVSD      PF2  M0F   0x10 0;
    ADDSS      PF3  M0F   0x58 4;
    ADDSD      PF2  M0F   0x58 8;
    MULSS      PF3  M0F   0x59 4;
    MULSD      PF2  M0F   0x59 8;
    SUBSS      PF3  M0F   0x5C 4;
    SUBSD      PF2  M0F   0x5C 8;
    MINSS      PF3  M0F   0x5D 4;
    MINSD      PF2  M0F   0x5D 8;
    DIVSS      PF3  M0F   0x5E 4;
    DIVSD      PF2  M0F   0x5E 8;
    MAXSS      PF3  M0F   0x5F 4;
    MAXSD      PF2  M0F   0x5F 8;
}

// The same with an immediate: `vector_imm`.
vector_ops! { BINARY_IMM:
    CMPPS      None M0F   0xC2 16;
    CMPPD      P66  M0F   0xC2 16;
    SHUFPS     None M0F   0xC6 16;
    PALIGNR    P66  M0F3A 0x0F 16;
    INSERTPS   P66  M0F3A 0x21 4;
}

// `dst = op src`: `vector_unary`.
vector_ops! { UNARY:
    PABSB      P66  M0F38 0x1C 16;
    PABSW      P66  M0F38 0x1D 16;
    PABSD      P66  M0F38 0x1E 16;
    SQRTPS     None M0F   0x51 16;
    SQRTPD     P66  M0F   0x51 16;
    CVTDQ2PS   None M0F   0x5B 16;
    CVTTPS2DQ  PF3  M0F   0x5B 16;
    CVTPD2PS   P66  M0F   0x5A 16;
    CVTTPD2DQ  P66  M0F   0xE6 16;
    CVTDQ2PD   PF3  M0F   0xE6 8;
    CVTPS2PD   None M0F   0x5A 8;
    PMOVSXBW   P66  M0F38 0x20 8;
    PMOVSXWD   P66  M0F38 0x23 8;
    PMOVSXDQ   P66  M0F38 0x25 8;
    PMOVZXBW   P66  M0F38 0x30 8;
    PMOVZXWD   P66  M0F38 0x33 8;
    PMOVZXDQ   P66  M0F38 0x35 8;
    MOVDDUP    PF2  M0F   0x12 8;
    // Sets the zero flag if the operands have no bit in common.
    PTEST      P66  M0F38 0x17 16;
}

// The same with an immediate: `vector_unary_imm`.
vector_ops! { UNARY_IMM:
    PSHUFD     P66  M0F   0x70 16;
    PSHUFLW    PF2  M0F   0x70 16;
    ROUNDPS    P66  M0F3A 0x08 16;
    ROUNDPD    P66  M0F3A 0x09 16;
}

// Unary, and without a form for SSE: AVX for memory, AVX2 for registers.
vector_ops! { BROADCAST:
    VBROADCASTSS P66  M0F38 0x18 4;
    VPBROADCASTB P66  M0F38 0x78 1;
    VPBROADCASTW P66  M0F38 0x79 2;
}

// `dst` = a lane of `src`: `vector_extract` and `vector_extract_to`.
vector_ops! { EXTRACT:
    PEXTRB     P66  M0F3A 0x14 1;
    PEXTRW     P66  M0F3A 0x15 2;
    PEXTRD     P66  M0F3A 0x16 4;
    PEXTRQ     P66  M0F3A 0x16 8 wide;
}

// `dst = left` with a lane replaced: `vector_insert`, and from memory `vector_imm`.
vector_ops! { INSERT:
    PINSRB     P66  M0F3A 0x20 1;
    PINSRW     P66  M0F   0xC4 2;
    PINSRD     P66  M0F3A 0x22 4;
    PINSRQ     P66  M0F3A 0x22 8 wide;
}

/// One row per shift by a constant: name, opcode, digit.
macro_rules! vector_shifts {
    ($($name:ident $by:ident $opcode:literal $digit:literal;)*) => {
        $(
            #[doc = concat!("`", stringify!($by), "` by a constant: `vector_shift`.")]
            pub const $name: VectorShift = VectorShift {
                op: VectorOp::new(Prefix::P66, Map::M0F, $opcode),
                digit: $digit,
            };
        )*

        #[cfg(test)]
        pub(super) const VECTOR_SHIFTS: &[(&str, VectorShift)] = &[$((stringify!($by), $name)),*];
    };
}

vector_shifts! {
    PSLLW_IMM PSLLW 0x71 6;
    PSLLD_IMM PSLLD 0x72 6;
    PSLLQ_IMM PSLLQ 0x73 6;
    PSRLW_IMM PSRLW 0x71 2;
    PSRLD_IMM PSRLD 0x72 2;
    PSRLQ_IMM PSRLQ 0x73 2;
    PSRAW_IMM PSRAW 0x71 4;
    PSRAD_IMM PSRAD 0x72 4;
}

const PMOVMSKB: VectorOp = VectorOp::new(Prefix::P66, Map::M0F, 0xD7);

impl Assembler {
    /// `dst = left op right`. Without AVX, `left` must be `dst`.
    #[inline]
    pub fn vector(&mut self, op: VectorOp, dst: Xmm, left: Xmm, right: impl Into<VectorRm>) {
        self.put_binary(op, dst, left, right.into().into(), None);
    }

    /// The same with an immediate.
    #[inline]
    pub fn vector_imm(
        &mut self,
        op: VectorOp,
        dst: Xmm,
        left: Xmm,
        right: impl Into<VectorRm>,
        imm: u8,
    ) {
        self.put_binary(op, dst, left, right.into().into(), Some(imm));
    }

    /// `dst = left` with the lane `imm` replaced by `src`. Without AVX, `left`
    /// must be `dst`.
    #[inline]
    pub fn vector_insert(&mut self, op: VectorOp, dst: Xmm, left: Xmm, src: Gpr, imm: u8) {
        self.put_binary(op, dst, left, Rm::Register(src.index()), Some(imm));
    }

    /// `dst = op src`
    #[inline]
    pub fn vector_unary(&mut self, op: VectorOp, dst: Xmm, src: impl Into<VectorRm>) {
        self.put_vector(op, dst.index(), 0, src.into().into(), None);
    }

    /// The same with an immediate.
    #[inline]
    pub fn vector_unary_imm(&mut self, op: VectorOp, dst: Xmm, src: impl Into<VectorRm>, imm: u8) {
        self.put_vector(op, dst.index(), 0, src.into().into(), Some(imm));
    }

    /// `dst = src` shifted by a constant. Without AVX, `src` must be `dst`.
    #[inline]
    pub fn vector_shift(&mut self, shift: VectorShift, dst: Xmm, src: Xmm, count: u8) {
        debug_assert!(self.avx || dst == src, "SSE has no third operand");
        let src = Rm::Register(src.index());
        self.put_vector(shift.op, shift.digit, dst.index(), src, Some(count));
    }

    /// `dst` = the lane `imm` of `src`, zero-extended.
    #[inline]
    pub fn vector_extract(&mut self, op: VectorOp, dst: Gpr, src: Xmm, imm: u8) {
        self.put_vector(op, src.index(), 0, Rm::Register(dst.index()), Some(imm));
    }

    /// Stores the lane `imm` of `src`.
    #[inline]
    pub fn vector_extract_to(&mut self, op: VectorOp, dst: Mem, src: Xmm, imm: u8) {
        self.put_vector(op, src.index(), 0, Rm::Mem(dst), Some(imm));
    }

    /// `dst` = the sign bits of the sixteen bytes of `src`.
    #[inline]
    pub fn pmovmskb(&mut self, dst: Gpr, src: Xmm) {
        self.put_vector(PMOVMSKB, dst.index(), 0, Rm::Register(src.index()), None);
    }

    /// Loads the sixteen bytes at a label, which must be aligned.
    #[inline]
    pub fn movaps_label(&mut self, dst: Xmm, src: Label) {
        const MOVAPS: VectorOp = VectorOp::new(Prefix::None, Map::M0F, 0x28);
        self.put_vector(MOVAPS, dst.index(), 0, Rm::Label(src), None);
    }

    fn put_binary(&mut self, op: VectorOp, dst: Xmm, left: Xmm, right: Rm, imm: Option<u8>) {
        debug_assert!(self.avx || dst == left, "SSE has no third operand");
        self.put_vector(op, dst.index(), left.index(), right, imm);
    }

    /// Emits an instruction: ModRM's `reg`, VEX's `vvvv`, ModRM's `rm`.
    #[inline(never)]
    fn put_vector(&mut self, op: VectorOp, reg: u8, vvvv: u8, rm: Rm, imm: Option<u8>) {
        let (modrm, modrm_bits, disp, disp_bits, rex) = match rm {
            Rm::Register(rm) => (u16::from(0xC0 | rm & 7), 8, 0, 0, rm >> 3),
            Rm::Mem(mem) => (mem.modrm, mem.modrm_bits, mem.disp, mem.disp_bits, mem.rex),
            // `mod` 0 with `rm` 5 is relative to the program counter.
            Rm::Label(_) => (0b101, 8, 0, 32, 0),
        };
        let rex = u8::from(op.wide) << 3 | (reg >> 3) << 2 | rex;
        let (head, len) = if self.avx { op.vex_head(rex, vvvv) } else { op.sse_head(rex) };
        let modrm = u64::from(modrm) | u64::from((reg & 7) << 3);
        let disp = u64::from(disp.cast_unsigned()) & ((1 << disp_bits) - 1);
        let (imm, imm_bits) = imm.map_or((0, 0), |imm| (u64::from(imm), 8));
        self.put_halves(
            head | modrm << len,
            len + u32::from(modrm_bits),
            disp | imm << disp_bits,
            u32::from(disp_bits) + imm_bits,
        );
        if let Rm::Label(label) = rm {
            debug_assert!(imm_bits == 0, "the distance counts from the end of its field");
            self.resolve_rel32(label);
        }
    }
}

impl VectorOp {
    /// Prefix, REX and opcode, and how many bits they take.
    fn sse_head(self, rex: u8) -> (u64, u32) {
        let (mut head, mut len) = match self.prefix {
            Prefix::None => (0, 0),
            Prefix::P66 => (0x66, 8),
            Prefix::PF3 => (0xF3, 8),
            Prefix::PF2 => (0xF2, 8),
        };
        if rex != 0 {
            head |= u64::from(0x40 | rex) << len;
            len += 8;
        }
        let opcode = u64::from(self.opcode);
        let (opcode, opcode_bits) = match self.map {
            Map::M0F => (0x0F | opcode << 8, 16),
            Map::M0F38 => (0x380F | opcode << 16, 24),
            Map::M0F3A => (0x3A0F | opcode << 16, 24),
        };
        (head | opcode << len, len + opcode_bits)
    }

    /// The shortest VEX prefix and the opcode, and how many bits they take.
    fn vex_head(self, rex: u8, vvvv: u8) -> (u64, u32) {
        // VEX holds the REX bits and vvvv inverted. The two-byte prefix has
        // neither X, B nor W, and no map but one.
        let last = (!vvvv & 15) << 3 | self.prefix as u8;
        let opcode = u64::from(self.opcode);
        if rex & 0b1011 == 0 && self.map == Map::M0F {
            let byte = (!rex & 4) << 5 | last;
            (0xC5 | u64::from(byte) << 8 | opcode << 16, 24)
        } else {
            let byte1 = (!rex & 7) << 5 | self.map as u8;
            let byte2 = (rex & 8) << 4 | last;
            (0xC4 | u64::from(byte1) << 8 | u64::from(byte2) << 16 | opcode << 24, 32)
        }
    }
}
