//! Condition codes: what `jcc`, `setcc` and `cmovcc` test in the flags.

/// A condition on the flags, numbered as the hardware does.
///
/// Named for `cmp left, right`: `B` and `A` order unsigned integers (and the
/// outcome of `ucomiss`), `L` and `G` signed ones. A whole word, like registers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u64)]
pub enum Cond {
    /// Overflow.
    O = 0,
    /// No overflow.
    No = 1,
    /// Below (carry).
    B = 2,
    /// Above or equal (no carry).
    Ae = 3,
    /// Equal (zero).
    E = 4,
    /// Not equal (not zero).
    Ne = 5,
    /// Below or equal.
    Be = 6,
    /// Above.
    A = 7,
    /// Sign set.
    S = 8,
    /// Sign clear.
    Ns = 9,
    /// Parity even; after `ucomiss`/`ucomisd`, unordered.
    P = 10,
    /// Parity odd; after `ucomiss`/`ucomisd`, ordered.
    Np = 11,
    /// Less.
    L = 12,
    /// Greater or equal.
    Ge = 13,
    /// Less or equal.
    Le = 14,
    /// Greater.
    G = 15,
}

impl Cond {
    /// Every condition, in hardware order.
    pub const ALL: [Self; 16] = [
        Self::O,
        Self::No,
        Self::B,
        Self::Ae,
        Self::E,
        Self::Ne,
        Self::Be,
        Self::A,
        Self::S,
        Self::Ns,
        Self::P,
        Self::Np,
        Self::L,
        Self::Ge,
        Self::Le,
        Self::G,
    ];

    /// The hardware number, 0 to 15.
    #[inline]
    pub const fn index(self) -> u8 {
        self as u8
    }

    /// The condition that holds exactly when this one does not.
    #[inline]
    pub const fn invert(self) -> Self {
        // The lowest bit of a condition number negates it, so this match
        // compiles to an exclusive or.
        match self {
            Self::O => Self::No,
            Self::No => Self::O,
            Self::B => Self::Ae,
            Self::Ae => Self::B,
            Self::E => Self::Ne,
            Self::Ne => Self::E,
            Self::Be => Self::A,
            Self::A => Self::Be,
            Self::S => Self::Ns,
            Self::Ns => Self::S,
            Self::P => Self::Np,
            Self::Np => Self::P,
            Self::L => Self::Ge,
            Self::Ge => Self::L,
            Self::Le => Self::G,
            Self::G => Self::Le,
        }
    }

    /// The condition to test after `cmp right, left` instead of
    /// `cmp left, right`.
    ///
    /// # Panics
    ///
    /// On `O`, `No`, `S` and `Ns`: those describe the difference itself, and no
    /// single condition on the opposite difference says the same.
    #[inline]
    pub const fn swap_operands(self) -> Self {
        match self {
            Self::B => Self::A,
            Self::A => Self::B,
            Self::Ae => Self::Be,
            Self::Be => Self::Ae,
            Self::L => Self::G,
            Self::G => Self::L,
            Self::Ge => Self::Le,
            Self::Le => Self::Ge,
            Self::E | Self::Ne | Self::P | Self::Np => self,
            Self::O | Self::No | Self::S | Self::Ns => {
                panic!("condition has no counterpart with swapped operands")
            }
        }
    }
}
