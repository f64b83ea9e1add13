//! Registers, sets of registers, and operand sizes.
//!
//! Owns the mapping from register names to hardware numbers. Which registers
//! are scratch, pinned or preserved is a calling convention and lives with the
//! callers.

macro_rules! register_file {
    (
        $(#[$reg_doc:meta])* $reg:ident,
        $(#[$set_doc:meta])* $set:ident,
        $(#[$iter_doc:meta])* $iter:ident,
        [$($name:ident = $number:literal),* $(,)?]
    ) => {
        $(#[$reg_doc])*
        ///
        /// A whole word, so that what is either a register or a number travels in registers.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u64)]
        pub enum $reg {
            $(
                #[doc = concat!("Hardware register number ", stringify!($number), ".")]
                $name = $number,
            )*
        }

        impl $reg {
            /// Every register, in hardware order.
            pub const ALL: [Self; 16] = [$(Self::$name),*];

            /// The hardware number, 0 to 15.
            #[inline]
            pub const fn index(self) -> u8 {
                self as u8
            }

            /// The register with hardware number `index`.
            ///
            /// # Panics
            ///
            /// If `index` is above 15.
            #[inline]
            pub const fn from_index(index: u8) -> Self {
                match index {
                    $($number => Self::$name,)*
                    _ => panic!("register index above 15"),
                }
            }
        }

        $(#[$set_doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $set(u16);

        impl $set {
            /// The set with no register.
            pub const EMPTY: Self = Self(0);

            /// The set holding exactly `registers`.
            pub const fn of(registers: &[$reg]) -> Self {
                let mut set = Self::EMPTY;
                let mut i = 0;
                while i < registers.len() {
                    set = set.with(registers[i]);
                    i += 1;
                }
                set
            }

            /// This set and `register`.
            #[inline]
            pub const fn with(self, register: $reg) -> Self {
                Self(self.0 | 1 << register.index())
            }

            /// This set except `register`.
            #[inline]
            pub const fn without(self, register: $reg) -> Self {
                Self(self.0 & !(1 << register.index()))
            }

            /// Whether `register` is in the set.
            #[inline]
            pub const fn contains(self, register: $reg) -> bool {
                self.0 & 1 << register.index() != 0
            }

            /// Adds `register`.
            #[inline]
            pub const fn insert(&mut self, register: $reg) {
                *self = self.with(register);
            }

            /// Takes `register` out.
            #[inline]
            pub const fn remove(&mut self, register: $reg) {
                *self = self.without(register);
            }

            /// Whether the set holds no register.
            #[inline]
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// How many registers the set holds.
            #[inline]
            pub const fn len(self) -> usize {
                self.0.count_ones() as usize
            }

            /// The register with the lowest hardware number.
            #[inline]
            pub const fn first(self) -> Option<$reg> {
                if self.is_empty() {
                    None
                } else {
                    Some($reg::from_index(self.0.trailing_zeros() as u8))
                }
            }

            /// The registers in either set.
            #[inline]
            pub const fn union(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// The registers in both sets.
            #[inline]
            pub const fn intersect(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }

            /// The registers in this set but not in `other`.
            #[inline]
            pub const fn minus(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }

            /// The registers from the lowest hardware number to the highest.
            #[inline]
            pub const fn iter(self) -> $iter {
                $iter(self)
            }
        }

        impl IntoIterator for $set {
            type Item = $reg;
            type IntoIter = $iter;

            #[inline]
            fn into_iter(self) -> $iter {
                self.iter()
            }
        }

        impl core::fmt::Debug for $set {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_set().entries(self.iter()).finish()
            }
        }

        $(#[$iter_doc])*
        #[derive(Clone, Debug)]
        pub struct $iter($set);

        impl Iterator for $iter {
            type Item = $reg;

            #[inline]
            fn next(&mut self) -> Option<$reg> {
                let register = self.0.first()?;
                self.0.remove(register);
                Some(register)
            }

            #[inline]
            fn size_hint(&self) -> (usize, Option<usize>) {
                (self.0.len(), Some(self.0.len()))
            }
        }

        impl ExactSizeIterator for $iter {}
    };
}

register_file! {
    /// A general-purpose register. The [`Size`] of an operation says how much
    /// of it is used; the legacy high-byte registers are not modelled.
    Gpr,
    /// A set of general-purpose registers.
    GprSet,
    /// Iterates over a [`GprSet`].
    GprSetIter,
    [
        Rax = 0, Rcx = 1, Rdx = 2, Rbx = 3, Rsp = 4, Rbp = 5, Rsi = 6, Rdi = 7,
        R8 = 8, R9 = 9, R10 = 10, R11 = 11, R12 = 12, R13 = 13, R14 = 14, R15 = 15,
    ]
}

register_file! {
    /// An SSE register.
    Xmm,
    /// A set of SSE registers.
    XmmSet,
    /// Iterates over an [`XmmSet`].
    XmmSetIter,
    [
        Xmm0 = 0, Xmm1 = 1, Xmm2 = 2, Xmm3 = 3, Xmm4 = 4, Xmm5 = 5, Xmm6 = 6, Xmm7 = 7,
        Xmm8 = 8, Xmm9 = 9, Xmm10 = 10, Xmm11 = 11, Xmm12 = 12, Xmm13 = 13, Xmm14 = 14,
        Xmm15 = 15,
    ]
}

/// The width of an integer operation.
///
/// Writing a register at `S32` clears its upper half; at `S8` and `S16` the
/// untouched bits keep their value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Size {
    /// 8 bits.
    S8,
    /// 16 bits.
    S16,
    /// 32 bits.
    S32,
    /// 64 bits.
    S64,
}

impl Size {
    /// The width in bytes.
    #[inline]
    pub const fn bytes(self) -> u32 {
        1 << self as u32
    }

    /// The width in bits.
    #[inline]
    pub const fn bits(self) -> u32 {
        8 << self as u32
    }
}
