//! Values of the dynamic interface: [`Value`], and how each travels in a register.

use std::fmt;

use crate::module::ValType;

/// A WebAssembly value with its type, for calls whose signature is not known at compile time.
///
/// Equality is of bits: a NaN equals itself, and 0.0 differs from -0.0.
#[derive(Clone, Copy, Debug)]
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
}

impl Value {
    /// The value's type.
    #[must_use]
    pub fn ty(self) -> ValType {
        match self {
            Value::I32(_) => ValType::I32,
            Value::I64(_) => ValType::I64,
            Value::F32(_) => ValType::F32,
            Value::F64(_) => ValType::F64,
        }
    }

    /// The value as it lies in a register or in a stack word.
    pub(super) fn to_raw(self) -> u64 {
        match self {
            Value::I32(value) => u64::from(value as u32),
            Value::I64(value) => value as u64,
            Value::F32(value) => u64::from(value.to_bits()),
            Value::F64(value) => value.to_bits(),
        }
    }

    /// The inverse of [`Value::to_raw`]: bits beyond the type's width are ignored. `None` for a
    /// type that this interface does not carry.
    pub(super) fn from_raw(ty: ValType, raw: u64) -> Option<Value> {
        Some(match ty {
            ValType::I32 => Value::I32(raw as i32),
            ValType::I64 => Value::I64(raw as i64),
            ValType::F32 => Value::F32(f32::from_bits(raw as u32)),
            ValType::F64 => Value::F64(f64::from_bits(raw)),
            ValType::V128 | ValType::FuncRef | ValType::ExternRef => return None,
        })
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        self.ty() == other.ty() && self.to_raw() == other.to_raw()
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
            let dirty = match value.ty() {
                ValType::I32 | ValType::F32 => value.to_raw() | 0xdead_beef << 32,
                _ => value.to_raw(),
            };
            assert_eq!(Value::from_raw(value.ty(), dirty), Some(value));
        }
        assert_eq!(Value::from(u64::MAX), Value::I64(-1));
    }
}
