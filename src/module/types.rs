//! Value and function types, as the specification has them (§2.3 Types).

use std::fmt;
use std::sync::Arc;

/// The type of a WebAssembly value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValType {
    /// A 32-bit integer.
    I32,
    /// A 64-bit integer.
    I64,
    /// An IEEE 754 binary32 number.
    F32,
    /// An IEEE 754 binary64 number.
    F64,
    /// A 128-bit vector.
    V128,
    /// A nullable reference to a function.
    FuncRef,
    /// A nullable reference to something of the host.
    ExternRef,
}

impl ValType {
    /// The type's name in the text format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ValType::I32 => "i32",
            ValType::I64 => "i64",
            ValType::F32 => "f32",
            ValType::F64 => "f64",
            ValType::V128 => "v128",
            ValType::FuncRef => "funcref",
            ValType::ExternRef => "externref",
        }
    }

    /// Whether a value of this type lives in a vector register.
    pub(crate) const fn is_vector_class(self) -> bool {
        matches!(self, ValType::F32 | ValType::F64 | ValType::V128)
    }

    /// The type of wasmparser's that means the same; `None` for one outside WebAssembly 2.0.
    pub(crate) fn from_wasmparser(ty: wasmparser::ValType) -> Option<ValType> {
        Some(match ty {
            wasmparser::ValType::I32 => ValType::I32,
            wasmparser::ValType::I64 => ValType::I64,
            wasmparser::ValType::F32 => ValType::F32,
            wasmparser::ValType::F64 => ValType::F64,
            wasmparser::ValType::V128 => ValType::V128,
            wasmparser::ValType::Ref(r) if r == wasmparser::RefType::FUNCREF => ValType::FuncRef,
            wasmparser::ValType::Ref(r) if r == wasmparser::RefType::EXTERNREF => {
                ValType::ExternRef
            }
            wasmparser::ValType::Ref(_) => return None,
        })
    }
}

impl fmt::Display for ValType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A function's signature. Displays as `(i32, i64) -> f64`.
///
/// Cheap to clone: clones share the types.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FuncType(Arc<Types>);

#[derive(PartialEq, Eq, Hash)]
struct Types {
    /// The parameters', then the results'.
    all: Box<[ValType]>,
    params: usize,
}

impl FuncType {
    /// The signature with these parameters and results.
    pub fn new(
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> FuncType {
        let (params, results) = (params.into_iter(), results.into_iter());
        let mut all = Vec::with_capacity(params.size_hint().0 + results.size_hint().0);
        all.extend(params);
        let params = all.len();
        all.extend(results);
        FuncType(Arc::new(Types { all: all.into(), params }))
    }

    /// An address that this and its clones alone have, as long as one of them lives.
    #[cfg(feature = "baseline")]
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    /// The parameters' types.
    #[must_use]
    pub fn params(&self) -> &[ValType] {
        &self.0.all[..self.0.params]
    }

    /// The results' types.
    #[must_use]
    pub fn results(&self) -> &[ValType] {
        &self.0.all[self.0.params..]
    }
}

impl fmt::Debug for FuncType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("FuncType");
        shown.field("params", &self.params()).field("results", &self.results()).finish()
    }
}

impl fmt::Display for FuncType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, types: &[ValType]| {
            f.write_str("(")?;
            for (i, ty) in types.iter().enumerate() {
                if i > 0 {
                    f.write_str(", ")?;
                }
                f.write_str(ty.name())?;
            }
            f.write_str(")")
        };
        list(f, self.params())?;
        f.write_str(" -> ")?;
        match self.results() {
            [one] => f.write_str(one.name()),
            many => list(f, many),
        }
    }
}

/// The type of a table: what it holds and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableType {
    /// The elements' type: [`ValType::FuncRef`] or [`ValType::ExternRef`].
    pub element: ValType,
    /// The number of elements at the beginning, and the least that an import must have.
    pub min: u32,
    /// The most elements it may grow to.
    pub max: Option<u32>,
}

/// The type of a linear memory, in pages of 64 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryType {
    /// The number of pages at the beginning, and the least that an import must have.
    pub min: u32,
    /// The most pages it may grow to.
    pub max: Option<u32>,
}

/// The type of a global.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GlobalType {
    /// The value's type.
    pub content: ValType,
    /// Whether it can be written.
    pub mutable: bool,
}

/// `min..max` as in the text format.
fn limits(f: &mut fmt::Formatter<'_>, min: u32, max: Option<u32>) -> fmt::Result {
    match max {
        Some(max) => write!(f, "{min} {max}"),
        None => write!(f, "{min}"),
    }
}

impl fmt::Display for TableType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("table ")?;
        limits(f, self.min, self.max)?;
        write!(f, " {}", self.element)
    }
}

impl fmt::Display for MemoryType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory ")?;
        limits(f, self.min, self.max)
    }
}

impl fmt::Display for GlobalType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mutable {
            write!(f, "global (mut {})", self.content)
        } else {
            write!(f, "global {}", self.content)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_read_like_rust() {
        use ValType::*;
        assert_eq!(FuncType::new([I64], [I64]).to_string(), "(i64) -> i64");
        assert_eq!(FuncType::new([], []).to_string(), "() -> ()");
        assert_eq!(FuncType::new([I32, F32], [I32, F64]).to_string(), "(i32, f32) -> (i32, f64)");
    }
}
