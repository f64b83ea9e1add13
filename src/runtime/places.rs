//! An instance's memories and tables, each with the place where compiled code finds it: whatever
//! changes the one keeps the other up to date.

use std::cell::RefCell;

use super::memory::LinearMemory;
use super::table::{RawRef, Table as Elements};
use crate::compile::abi::{VmMemory, VmTable};
use crate::module::{MemoryType, TableType};

/// A memory, and the place where compiled code finds it.
pub(super) struct MemoryOf<'i> {
    pub pages: &'i RefCell<LinearMemory>,
    pub vm: *mut VmMemory,
    pub ty: MemoryType,
}

impl MemoryOf<'_> {
    /// The type that its module declares.
    pub fn ty(&self) -> MemoryType {
        self.ty
    }

    /// As the operator `memory.grow`, except that failure is `None`.
    pub fn grow(&self, delta: u32) -> Option<u32> {
        let mut pages = self.pages.borrow_mut();
        let before = pages.grow(delta)?;
        // SAFETY: the place is the owner's, which is alive; compiled code reads it only while it
        // runs, and this thread is here.
        unsafe { (*self.vm).len = pages.len() };
        Some(before)
    }

    /// The address of a range; `None` if it reaches past the end.
    pub fn range(&self, start: u64, len: u64) -> Option<*mut u8> {
        let pages = self.pages.borrow();
        let end = start.checked_add(len)?;
        // SAFETY: the offset is within the memory.
        (end <= pages.len() as u64).then(|| unsafe { pages.base().add(start as usize) })
    }

    pub fn pages(&self) -> u32 {
        self.pages.borrow().pages()
    }

    pub fn max(&self) -> u32 {
        self.pages.borrow().max()
    }

    pub fn len(&self) -> usize {
        self.pages.borrow().len()
    }
}

/// A table, and the place where compiled code finds it.
pub(super) struct TableOf<'i> {
    pub elements: &'i RefCell<Elements>,
    pub vm: *mut VmTable,
    pub ty: TableType,
}

impl TableOf<'_> {
    /// The type that its module declares.
    pub fn ty(&self) -> TableType {
        self.ty
    }

    /// As the operator `table.grow`, except that failure is `None`.
    ///
    /// # Safety
    ///
    /// As for [`Elements::grow`]; a function's instance is linked with the table's.
    pub unsafe fn grow(&self, delta: u32, reference: RawRef) -> Option<u32> {
        let mut elements = self.elements.borrow_mut();
        // SAFETY: the caller vouches for the reference.
        let before = unsafe { elements.grow(delta, reference) };
        // SAFETY: as in `MemoryOf::grow`. Elements may have moved even where there was no room.
        unsafe { *self.vm = elements.vm() };
        before
    }

    /// As [`Elements::write`].
    ///
    /// # Safety
    ///
    /// As for [`TableOf::grow`].
    pub unsafe fn write(
        &self,
        start: u32,
        references: impl ExactSizeIterator<Item = RawRef>,
    ) -> Option<()> {
        // SAFETY: the caller vouches for the references.
        unsafe { self.elements.borrow_mut().write(start, references) }
    }

    pub fn read(&self, start: u32, len: u32) -> Option<Vec<RawRef>> {
        self.elements.borrow().read(start, len)
    }

    pub fn get(&self, index: u32) -> Option<RawRef> {
        self.elements.borrow().get(index)
    }

    pub fn len(&self) -> u32 {
        self.elements.borrow().len()
    }

    pub fn max(&self) -> u32 {
        self.elements.borrow().max()
    }
}
