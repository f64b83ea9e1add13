//! Values of the dynamic interface: [`Value`], and how each travels in a register.

use std::fmt;
use std::num::NonZeroU64;

use super::func::Func;
use super::table::RawRef;
use crate::module::ValType;

/// A WebAssembly value with its type, for calls whose signature is not known at compile time.
///
/// Equality is of bits: a NaN equals itself, and 0.0 differs from -0.0. Function references are equal
/// if they refer to the same function of the same instance.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Value {
    /// A 32-bit integer.
    I32(i32),
    /// A 64-bit integer.
    I64(i64),
    /// A binary32 number.
    F32(f32),
    /// A binary64 number.
    F64(f64),
    /// A 128-bit vector; the first lane lies in the lowest bits.
    V128(u128),
    /// A reference to a function, or null.
    FuncRef(Option<Func>),
    /// A reference to something of the host, or null.
    ExternRef(Option<ExternRef>),
}

/// A reference to something of the host: a number of the host's choice, which guests can store, pass
/// around and give back, but neither look into nor make up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExternRef(NonZeroU64);

impl ExternRef {
    /// A reference that stands for this number; `None` for [`u64::MAX`], which there is no room for.
    #[must_use]
    pub fn new(number: u64) -> Option<ExternRef> {
        NonZeroU64::new(number.wrapping_add(1)).map(ExternRef)
    }

    /// The number that it was made from.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0.get() - 1
    }

    pub(super) fn to_raw(reference: Option<ExternRef>) -> RawRef {
        reference.map_or(0, |reference| reference.0.get())
    }

    pub(super) fn from_raw(raw: RawRef) -> Option<ExternRef> {
        NonZeroU64::new(raw).map(ExternRef)
    }
}

impl Value {
    /// The value's type.
    #[must_use]
    pub fn ty(&self) -> ValType {
        match self {
            Value::I32(_) => ValType::I32,
            Value::I64(_) => ValType::I64,
            Value::F32(_) => ValType::F32,
            Value::F64(_) => ValType::F64,
            Value::V128(_) => ValType::V128,
            Value::FuncRef(_) => ValType::FuncRef,
            Value::ExternRef(_) => ValType::ExternRef,
        }
    }

    /// The first value of a local of that type.
    #[must_use]
    pub fn zero(ty: ValType) -> Value {
        // SAFETY: zeros are a value of every type, and the null of every reference type.
        unsafe { Value::from_raw(ty, 0) }
    }

    /// The value as it lies in a register or in a stack slot.
    pub(super) fn to_raw(&self) -> u128 {
        match self {
            Value::I32(value) => u128::from(*value as u32),
            Value::I64(value) => u128::from(*value as u64),
            Value::F32(value) => u128::from(value.to_bits()),
            Value::F64(value) => u128::from(value.to_bits()),
            Value::V128(value) => *value,
            Value::FuncRef(func) => u128::from(func.as_ref().map_or(0, Func::to_raw)),
            Value::ExternRef(reference) => u128::from(ExternRef::to_raw(*reference)),
        }
    }

    /// The inverse of [`Value::to_raw`]: bits beyond the type's width are ignored.
    ///
    /// # Safety
    ///
    /// For a function reference, the bits are null or come from a live instance of this thread.
    pub(super) unsafe fn from_raw(ty: ValType, raw: u128) -> Value {
        match ty {
            ValType::I32 => Value::I32(raw as i32),
            ValType::I64 => Value::I64(raw as i64),
            ValType::F32 => Value::F32(f32::from_bits(raw as u32)),
            ValType::F64 => Value::F64(f64::from_bits(raw as u64)),
            ValType::V128 => Value::V128(raw),
            // SAFETY: the caller vouches for it.
            ValType::FuncRef => Value::FuncRef(unsafe { Func::from_raw(raw as u64) }),
            ValType::ExternRef => Value::ExternRef(ExternRef::from_raw(raw as u64)),
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::FuncRef(Some(one)), Value::FuncRef(Some(other))) => one.is_same(other),
            _ => self.ty() == other.ty() && self.to_raw() == other.to_raw(),
        }
    }
}

impl Eq for Value {}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::I32(value) => value.fmt(f),
            Value::I64(value) => value.fmt(f),
            Value::F32(value) => value.fmt(f),
            Value::F64(value) => value.fmt(f),
            Value::V128(value) => write!(f, "0x{value:032x}"),
            Value::FuncRef(None) | Value::ExternRef(None) => f.write_str("null"),
            Value::FuncRef(Some(func)) => write!(f, "function of type {}", func.ty()),
            Value::ExternRef(Some(reference)) => write!(f, "extern {}", reference.number()),
        }
    }
}

macro_rules! value_from {
    ($($ty:ty => $variant:ident),*) => {
        $(impl From<$ty> for Value {
            fn from(value: $ty) -> Value {
                Value::$variant(value as _)
            }
        })*
    };
}

value_from!(i32 => I32, u32 => I32, i64 => I64, u64 => I64, f32 => F32, f64 => F64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equality_is_of_bits() {
        assert_eq!(Value::F32(f32::NAN), Value::F32(f32::NAN));
        assert_ne!(Value::F64(0.0), Value::F64(-0.0));
        assert_ne!(Value::I32(1), Value::I64(1));
    }

    #[test]
    fn raw_bits_round_trip() {
        for value in [Value::I32(-1), Value::I64(i64::MIN), Value::F32(-0.0), Value::F64(1.5)] {
            // What lies above the type's width must not matter.
            let width = if matches!(value.ty(), ValType::I32 | ValType::F32) { 32 } else { 64 };
            let dirty = value.to_raw() | 0xdead_beef << width;
            // SAFETY: no function reference is among them.
            assert_eq!(unsafe { Value::from_raw(value.ty(), dirty) }, value);
        }
        assert_eq!(Value::from(u64::MAX), Value::I64(-1));
        assert_eq!(ExternRef::new(0).map(ExternRef::number), Some(0));
        assert_eq!(ExternRef::new(u64::MAX), None);
    }
}
