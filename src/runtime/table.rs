//! Tables: elements of functions, copied for indirect calls, or of external references.

use std::mem;

use crate::compile::abi::{VmFuncRef, VmFunction, VmTable, VmTableFunction};
use crate::module::{TableType, ValType};

/// The null element of a table of functions.
const NULL: VmTableFunction = VmTableFunction {
    function: VmFunction { code: std::ptr::null(), vmctx: std::ptr::null_mut() },
    type_id: 0,
    func_ref: std::ptr::null(),
};

/// The elements of one table.
pub(super) struct Table {
    elements: Elements,
    max: u32,
}

enum Elements {
    Functions(Vec<VmTableFunction>),
    /// As compiled code has them: see [`super::value::ExternRef`].
    Externs(Vec<u64>),
}

/// An element as it travels in a register: the address of a [`VmFuncRef`], or an external
/// reference; 0 is null.
pub(super) type RawRef = u64;

/// The element of a table of functions that refers to this.
///
/// # Safety
///
/// `reference` is 0 or the address of a live [`VmFuncRef`].
unsafe fn element(reference: RawRef) -> VmTableFunction {
    let func_ref = reference as *const VmFuncRef;
    // SAFETY: the caller vouches for it.
    match unsafe { func_ref.as_ref() } {
        Some(VmFuncRef { function, type_id }) => {
            VmTableFunction { function: *function, type_id: *type_id, func_ref }
        }
        None => NULL,
    }
}

impl Table {
    /// A table of nulls; `None` if it is larger than `limit` allows, or than memory.
    pub fn new(ty: TableType, limit: u32) -> Option<Table> {
        let elements = match ty.element {
            ValType::FuncRef => Elements::Functions(Vec::new()),
            _ => Elements::Externs(Vec::new()),
        };
        let mut table = Table { elements, max: ty.max.unwrap_or(u32::MAX).min(limit) };
        // SAFETY: null is a reference of every kind.
        unsafe { table.grow(ty.min, 0) }?;
        Some(table)
    }

    pub fn len(&self) -> u32 {
        let len = match &self.elements {
            Elements::Functions(elements) => elements.len(),
            Elements::Externs(elements) => elements.len(),
        };
        len as u32
    }

    /// The most elements that it can have.
    pub fn max(&self) -> u32 {
        self.max
    }

    /// What compiled code must know of the table now.
    pub fn vm(&mut self) -> VmTable {
        let len = self.len() as usize;
        let base = match &mut self.elements {
            Elements::Functions(elements) => elements.as_mut_ptr().cast(),
            Elements::Externs(elements) => elements.as_mut_ptr().cast(),
        };
        VmTable { base, len }
    }

    pub fn get(&self, index: u32) -> Option<RawRef> {
        match &self.elements {
            Elements::Functions(elements) => {
                elements.get(index as usize).map(|element| element.func_ref as u64)
            }
            Elements::Externs(elements) => elements.get(index as usize).copied(),
        }
    }

    /// Adds elements; returns how many there were, or `None` if there would be too many.
    ///
    /// # Safety
    ///
    /// `reference` is null or a live reference of the table's type.
    pub unsafe fn grow(&mut self, delta: u32, reference: RawRef) -> Option<u32> {
        let before = self.len();
        let after = before.checked_add(delta).filter(|len| *len <= self.max)? as usize;
        match &mut self.elements {
            Elements::Functions(elements) => {
                elements.try_reserve(delta as usize).ok()?;
                // SAFETY: the caller vouches for the reference.
                elements.resize(after, unsafe { element(reference) });
            }
            Elements::Externs(elements) => {
                elements.try_reserve(delta as usize).ok()?;
                elements.resize(after, reference);
            }
        }
        Some(before)
    }

    /// Writes the references from `start` on, all or none: `None` if they do not fit.
    ///
    /// # Safety
    ///
    /// They are null or live references of the table's type.
    pub unsafe fn write(
        &mut self,
        start: u32,
        references: impl ExactSizeIterator<Item = RawRef>,
    ) -> Option<()> {
        let start = start as usize;
        let end = start.checked_add(references.len())?;
        match &mut self.elements {
            Elements::Functions(elements) => {
                for (slot, reference) in elements.get_mut(start..end)?.iter_mut().zip(references) {
                    // SAFETY: the caller vouches for the references.
                    *slot = unsafe { element(reference) };
                }
            }
            Elements::Externs(elements) => {
                for (slot, reference) in elements.get_mut(start..end)?.iter_mut().zip(references) {
                    *slot = reference;
                }
            }
        }
        Some(())
    }

    /// The references in a range, `None` if it reaches past the end.
    pub fn read(&self, start: u32, len: u32) -> Option<Vec<RawRef>> {
        let end = start.checked_add(len).filter(|end| *end <= self.len())?;
        Some((start..end).map(|index| self.get(index).unwrap_or(0)).collect())
    }
}

// Elements are read by compiled code at a fixed distance from each other.
const _: () = assert!(mem::size_of::<VmTableFunction>() == 32);
