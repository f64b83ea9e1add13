//! Linear memories: address space that is reserved once and becomes accessible as it grows.
//!
//! A memory reserves everything that a 32-bit index plus a 32-bit offset can reach, and a guard
//! behind it. So compiled code checks no bounds: an access past the end faults, and the signal
//! handler makes a trap of it. The base never moves.

use std::io;
use std::ptr::{self, NonNull};

use crate::module::MemoryType;

/// The size of a WebAssembly page.
pub(super) const PAGE: usize = 64 << 10;
/// The most pages of a memory with 32-bit indices.
pub(super) const MAX_PAGES: u32 = 1 << 16;
/// An index, an offset, and the widest access.
const RESERVATION: usize = (4 << 30) + (4 << 30) + PAGE;

/// The pages of one memory.
pub(super) struct LinearMemory {
    base: NonNull<u8>,
    pages: u32,
    max: u32,
}

impl LinearMemory {
    /// Reserves a memory and makes its first pages accessible, all zero. It grows to at most
    /// `limit` pages, or to the type's own maximum if that is less.
    pub fn new(ty: MemoryType, limit: u32) -> io::Result<LinearMemory> {
        let max = ty.max.unwrap_or(MAX_PAGES).min(MAX_PAGES).min(limit);
        if ty.min > max {
            let asked = ty.min;
            let message = format!(
                "a memory of {asked} pages; this engine allows {limit} (`Limits::memory_pages`)"
            );
            return Err(io::Error::new(io::ErrorKind::OutOfMemory, message));
        }
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a fresh mapping at an address of the system's choice touches nothing that exists.
        let base =
            unsafe { libc::mmap(ptr::null_mut(), RESERVATION, libc::PROT_NONE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).expect("the system maps nothing at address 0");
        let mut memory = LinearMemory { base, pages: 0, max };
        match memory.grow(ty.min) {
            Some(_) => Ok(memory),
            None => Err(io::Error::last_os_error()),
        }
    }

    /// Adds pages; returns how many there were, or `None` if the maximum or the system forbids it.
    pub fn grow(&mut self, delta: u32) -> Option<u32> {
        let before = self.pages;
        let after = before.checked_add(delta).filter(|pages| *pages <= self.max)?;
        if delta > 0 {
            let start = before as usize * PAGE;
            // SAFETY: the range lies in the reservation, which is this memory's alone.
            let result = unsafe {
                libc::mprotect(
                    self.base.as_ptr().add(start).cast(),
                    delta as usize * PAGE,
                    libc::PROT_READ | libc::PROT_WRITE,
                )
            };
            if result != 0 {
                return None;
            }
        }
        self.pages = after;
        Some(before)
    }

    pub fn base(&self) -> *mut u8 {
        self.base.as_ptr()
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

impl Drop for LinearMemory {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this size, and whoever could reach it held the
        // instance that owns this.
        unsafe { libc::munmap(self.base.as_ptr().cast(), RESERVATION) };
    }
}
