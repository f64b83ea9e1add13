//! Linear memories: address space that is reserved once and becomes accessible as it grows.
//!
//! A memory reserves everything that a 32-bit index plus a 32-bit offset can reach, and a guard
//! behind it. So compiled code checks no bounds: an access past the end faults, and the signal
//! handler makes a trap of it. The base never moves.

use std::io;

use super::pool::{Pool, Reservation};
use crate::module::MemoryType;

/// The size of a WebAssembly page.
pub(super) const PAGE: usize = 64 << 10;
/// The most pages of a memory with 32-bit indices.
pub(super) const MAX_PAGES: u32 = 1 << 16;

/// The pages of one memory.
pub(super) struct LinearMemory {
    reservation: Reservation,
    pages: u32,
    max: u32,
}

impl LinearMemory {
    /// A memory with its first pages, all zero. It grows to at most `limit` pages, or to the type's
    /// own maximum if that is less.
    pub fn new(ty: MemoryType, limit: u32, pool: &Pool) -> io::Result<LinearMemory> {
        let max = ty.max.unwrap_or(MAX_PAGES).min(MAX_PAGES).min(limit);
        if ty.min > max {
            let asked = ty.min;
            let message = format!(
                "a memory of {asked} pages; this engine allows {limit} (`Limits::memory_pages`)"
            );
            return Err(io::Error::new(io::ErrorKind::OutOfMemory, message));
        }
        let reservation = pool.take(ty.min as usize * PAGE)?;
        Ok(LinearMemory { reservation, pages: ty.min, max })
    }

    /// Lets the next memory have its address space.
    pub fn recycle(self, pool: &Pool) {
        pool.put(self.reservation);
    }

    /// Adds pages; returns how many there were, or `None` if the maximum or the system forbids it.
    pub fn grow(&mut self, delta: u32) -> Option<u32> {
        let before = self.pages;
        let after = before.checked_add(delta).filter(|pages| *pages <= self.max)?;
        if delta == 0 {
            // No system call, after which alone signals would find a guest that does only this: such
            // a guest could not be interrupted.
            return Some(before);
        }
        self.reservation.resize(after as usize * PAGE).ok()?;
        self.pages = after;
        Some(before)
    }

    pub fn base(&self) -> *mut u8 {
        self.reservation.base().as_ptr()
    }

    pub fn pages(&self) -> u32 {
        self.pages
    }

    pub fn len(&self) -> usize {
        self.pages as usize * PAGE
    }

    /// The most pages that it can have.
    pub fn max(&self) -> u32 {
        self.max
    }
}
