//! An instance's memories and tables, each with the place where compiled code finds it: whatever
//! changes the one keeps the other up to date.

use std::cell::RefCell;

use super::growth::{Growth, Refusal, Resource};
use super::instance::Inner;
use super::memory::{LinearMemory, PAGE, check_pages, max_bytes};
use super::table::{RawRef, Table as Elements, check_elements, max_elements};
use crate::compile::abi::{VmMemory, VmTable};
use crate::module::{MemoryType, TableType};

/// A memory, and the place where compiled code finds it.
pub(super) struct MemoryOf<'i> {
    /// The instance that defines it.
    pub owner: &'i Inner,
    /// The index there.
    pub index: u32,
    pub pages: &'i RefCell<LinearMemory>,
    pub vm: *mut VmMemory,
    pub ty: MemoryType,
}

impl MemoryOf<'_> {
    /// The type that its module declares.
    pub fn ty(&self) -> MemoryType {
        self.ty
    }

    /// As the operator `memory.grow`, except that a failure says why.
    pub fn grow(&self, delta: u32) -> Result<u32, Refusal> {
        let before = self.pages();
        let limit = self.owner.limits().memory_pages;
        let after = check_pages(self.ty, u64::from(before) + u64::from(delta), limit)?;
        let growth = Growth {
            resource: Resource::Memory,
            index: self.index,
            current: u64::from(before) * PAGE as u64,
            desired: u64::from(after) * PAGE as u64,
            maximum: max_bytes(self.ty, limit),
        };
        self.owner.approve(&growth)?;
        let mut pages = self.pages.borrow_mut();
        // The limiter may have done anything that a host may.
        let grown = if pages.pages() == before {
            pages.grow_to(after).map_err(Refusal::System)
        } else {
            Err(Refusal::Limiter)
        };
        if grown.is_err() {
            self.owner.take_back(&growth);
        }
        grown?;
        // SAFETY: the place is the owner's, which is alive; compiled code reads it only while it
        // runs, and this thread is here.
        unsafe { (*self.vm).len = pages.len() };
        Ok(before)
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

    pub fn len(&self) -> usize {
        self.pages.borrow().len()
    }
}

/// A table, and the place where compiled code finds it.
pub(super) struct TableOf<'i> {
    /// The instance that defines it.
    pub owner: &'i Inner,
    /// The index there.
    pub index: u32,
    pub elements: &'i RefCell<Elements>,
    pub vm: *mut VmTable,
    pub ty: TableType,
}

impl TableOf<'_> {
    /// The type that its module declares.
    pub fn ty(&self) -> TableType {
        self.ty
    }

    /// As the operator `table.grow`, except that a failure says why. It is given up as soon as `go_on`
    /// says so.
    ///
    /// # Safety
    ///
    /// As for [`Elements::grow_to`]; a function's instance is linked with the table's.
    pub unsafe fn grow(
        &self,
        delta: u32,
        reference: RawRef,
        go_on: impl FnMut() -> bool,
    ) -> Result<u32, Refusal> {
        let before = self.len();
        let limit = self.owner.limits().table_elements;
        let after = check_elements(self.ty, u64::from(before) + u64::from(delta), limit)?;
        let growth = Growth {
            resource: Resource::Table,
            index: self.index,
            current: u64::from(before),
            desired: u64::from(after),
            maximum: max_elements(self.ty, limit),
        };
        self.owner.approve(&growth)?;
        let mut elements = self.elements.borrow_mut();
        let grown = if elements.len() == before {
            // SAFETY: the caller vouches for the reference.
            match unsafe { elements.grow_to(after, reference, go_on) } {
                Ok(true) => Ok(()),
                Ok(false) => Err(Refusal::Interrupted),
                Err(error) => Err(Refusal::System(error)),
            }
        } else {
            Err(Refusal::Limiter)
        };
        // SAFETY: as in `MemoryOf::grow`. Elements may have moved even where there are no more.
        unsafe { *self.vm = elements.vm() };
        if grown.is_err() {
            self.owner.take_back(&growth);
        }
        grown?;
        Ok(before)
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
}
