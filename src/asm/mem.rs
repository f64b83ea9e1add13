//! Memory operands and how they become ModRM, SIB and displacement bytes.
//!
//! Addresses within the code itself are the business of labels, not of this
//! file.

use super::reg::Gpr;

/// What an index register is multiplied by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Scale {
    /// Times 1.
    X1 = 0,
    /// Times 2.
    X2 = 1,
    /// Times 4.
    X4 = 2,
    /// Times 8.
    X8 = 3,
}

/// In ModRM's `rm`: a SIB byte follows. In SIB's `index`: no index.
const SIB: u8 = 0b100;
/// In SIB's `base` with `mod` 0: no base, but a 32-bit displacement.
const NO_BASE: u8 = 0b101;

/// The address `base + index * scale + displacement`.
///
/// The constructors pick, among the operands that denote the same address, the
/// one with the shortest encoding.
///
/// What is stored are the instruction fields: callers mostly know the base
/// register when they are compiled, and inlined constructors then fold to a
/// test of the displacement.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Mem {
    /// The displacement, of which only `disp_bits` are encoded.
    pub(super) disp: i32,
    /// ModRM with its `reg` field zero, then SIB if there is one.
    pub(super) modrm: u16,
    /// Width of `modrm`.
    pub(super) modrm_bits: u8,
    /// Width of the encoded displacement: 0, 8 or 32.
    pub(super) disp_bits: u8,
    /// REX.X and REX.B.
    pub(super) rex: u8,
}

impl Mem {
    /// `[base + disp]`
    #[inline]
    pub const fn base(base: Gpr, disp: i32) -> Self {
        let rm = base.index() & 7;
        let (mode, disp_bits) = displacement(base, disp);
        // The bit pattern of rsp and r12 in ModRM means `SIB`.
        let (sib, modrm_bits) = if rm == SIB { (SIB << 3 | rm, 16) } else { (0, 8) };
        Self {
            disp,
            modrm: (sib as u16) << 8 | (mode | rm) as u16,
            modrm_bits,
            disp_bits,
            rex: base.index() >> 3,
        }
    }

    /// `[base + index * scale + disp]`; `index` must not be `Rsp`, which the
    /// hardware cannot scale.
    #[inline]
    pub const fn indexed(base: Gpr, index: Gpr, scale: Scale, disp: i32) -> Self {
        debug_assert!(!matches!(index, Gpr::Rsp), "rsp cannot be an index");
        // As a base, rbp and r13 always cost a displacement byte, so the two
        // registers trade places where that makes no difference.
        let swap = matches!(scale, Scale::X1) && disp == 0 && matches!(base, Gpr::Rbp | Gpr::R13);
        let (base, index) = if swap { (index, base) } else { (base, index) };
        let (mode, disp_bits) = displacement(base, disp);
        Self::with_sib(base.index(), index, scale, mode, disp, disp_bits)
    }

    /// `[index * scale + disp]`; `index` must not be `Rsp` unless `scale` is
    /// `X1`.
    #[inline]
    pub const fn index_only(index: Gpr, scale: Scale, disp: i32) -> Self {
        // An address without a base always takes a 32-bit displacement, so the
        // small scales are respelled with one.
        match scale {
            Scale::X1 => Self::base(index, disp),
            Scale::X2 => Self::indexed(index, index, Scale::X1, disp),
            Scale::X4 | Scale::X8 => {
                debug_assert!(!matches!(index, Gpr::Rsp), "rsp cannot be an index");
                Self::with_sib(NO_BASE, index, scale, 0, disp, 32)
            }
        }
    }

    #[inline]
    const fn with_sib(
        base: u8,
        index: Gpr,
        scale: Scale,
        mode: u8,
        disp: i32,
        disp_bits: u8,
    ) -> Self {
        let index = index.index();
        let sib = (scale as u8) << 6 | (index & 7) << 3 | base & 7;
        Self {
            disp,
            modrm: (sib as u16) << 8 | (mode | SIB) as u16,
            modrm_bits: 16,
            disp_bits,
            rex: (index >> 3) << 1 | base >> 3,
        }
    }
}

/// ModRM's `mod`, in place, and the width of the displacement it announces.
#[inline]
const fn displacement(base: Gpr, disp: i32) -> (u8, u8) {
    // With `mod` 0, the bit pattern of rbp and r13 means `NO_BASE`.
    if disp == 0 && base.index() & 7 != NO_BASE {
        (0, 0)
    } else if disp == disp as i8 as i32 {
        (1 << 6, 8)
    } else {
        (2 << 6, 32)
    }
}
