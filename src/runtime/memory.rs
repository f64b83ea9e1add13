//! Linear memories: address space that is reserved once and becomes accessible as it grows.
//!
//! A memory reserves everything that a 32-bit index plus a 32-bit offset can reach, and a guard
//! behind it. So compiled code checks no bounds: an access past the end faults, and the signal
//! handler makes a trap of it. The base does not move when a memory grows.

use std::io;
use std::mem;
use std::sync::Arc;

use super::growth::Refusal;
use super::image::Image;
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
}

/// Refuses a size beyond what the type and `limit`, the engine's, allow.
pub(super) fn check_pages(ty: MemoryType, pages: u64, limit: u32) -> Result<u32, Refusal> {
    let most = ty.max.unwrap_or(MAX_PAGES).min(MAX_PAGES);
    match u32::try_from(pages) {
        Ok(pages) if pages <= most.min(limit) => Ok(pages),
        Ok(pages) if pages <= most => {
            let what = "the number of pages of a memory (`Limits::memory_pages`)";
            Err(Refusal::Limit { what, actual: u64::from(pages), limit: u64::from(limit) })
        }
        _ => Err(Refusal::Type(u64::from(most))),
    }
}

/// The most bytes that a memory can have.
pub(super) fn max_bytes(ty: MemoryType, limit: u32) -> u64 {
    let pages = ty.max.unwrap_or(MAX_PAGES).min(MAX_PAGES).min(limit);
    u64::from(pages) * PAGE as u64
}

impl LinearMemory {
    /// A memory with that many pages: the image, which fits, if the system allows, and zeros.
    pub fn new(pages: u32, image: Option<&Arc<Image>>, pool: &Pool) -> io::Result<LinearMemory> {
        let reservation = pool.take(pages as usize * PAGE, image)?;
        Ok(LinearMemory { reservation, pages })
    }

    /// Lets the next memory have its address space.
    pub fn recycle(self, pool: &Pool) {
        pool.put(self.reservation);
    }

    /// Makes it larger: what is added is zero.
    pub fn grow_to(&mut self, pages: u32) -> io::Result<()> {
        debug_assert!(pages >= self.pages);
        if pages == self.pages {
            return Ok(());
        }
        self.reservation.resize(pages as usize * PAGE)?;
        self.pages = pages;
        Ok(())
    }

    /// Makes it what [`LinearMemory::new`] would make. **Its base may move** if it did not have the
    /// image.
    pub fn reset(&mut self, pages: u32, image: Option<&Arc<Image>>, pool: &Pool) -> io::Result<()> {
        debug_assert!(pages <= self.pages);
        let bytes = pages as usize * PAGE;
        let other = (!self.reservation.has_image(image)).then(|| pool.take(bytes, image));
        match other {
            Some(Ok(other)) => pool.put(mem::replace(&mut self.reservation, other)),
            // It needs no image: then its data is copied.
            Some(Err(_)) | None => {
                self.reservation.clear()?;
                self.reservation.resize(bytes)?;
            }
        }
        self.pages = pages;
        Ok(())
    }

    /// What it holds at first besides zeros.
    pub fn image(&self) -> Option<&Arc<Image>> {
        self.reservation.image()
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
}
