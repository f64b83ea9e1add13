//! Which addresses hold compiled code: a list that a signal handler can read.
//!
//! Owns nothing but ranges. Reading takes no lock and allocates nothing; entries are never freed,
//! only reused, so there are as many as the largest number of regions that lived at one time.

use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

struct Entry {
    /// The range; empty while the entry is unused. `end` is written last and cleared first.
    start: AtomicUsize,
    end: AtomicUsize,
    next: Option<&'static Entry>,
}

/// Ranges of addresses.
pub(super) struct Regions {
    first: AtomicPtr<Entry>,
    writers: Mutex<()>,
}

/// Where guests' code is, and the loops that call it for batches.
pub(super) static GUESTS: Regions = Regions::new();

impl Regions {
    const fn new() -> Regions {
        Regions { first: AtomicPtr::new(ptr::null_mut()), writers: Mutex::new(()) }
    }

    fn entries(&self) -> impl Iterator<Item = &'static Entry> {
        let first = self.first.load(Ordering::Acquire);
        // SAFETY: the pointer is null or came from a leaked box, which nobody mutates except through
        // its atomics.
        let first: Option<&'static Entry> = unsafe { first.as_ref() };
        std::iter::successors(first, |entry| entry.next)
    }

    /// Adds a range of addresses that holds compiled code.
    pub fn add(&self, range: Range<usize>) {
        let _guard = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        let unused = self.entries().find(|entry| entry.end.load(Ordering::Relaxed) == 0);
        if let Some(unused) = unused {
            unused.start.store(range.start, Ordering::Release);
            unused.end.store(range.end, Ordering::Release);
            return;
        }
        let entry = Box::leak(Box::new(Entry {
            start: AtomicUsize::new(range.start),
            end: AtomicUsize::new(range.end),
            next: self.entries().next(),
        }));
        self.first.store(entry, Ordering::Release);
    }

    /// Removes a range, if it was added.
    pub fn remove(&self, range: Range<usize>) {
        let _guard = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = self.entries().find(|entry| {
            entry.start.load(Ordering::Relaxed) == range.start
                && entry.end.load(Ordering::Relaxed) == range.end
        }) {
            entry.end.store(0, Ordering::Release);
        }
    }

    /// Whether the address lies in one of the ranges. Async-signal-safe.
    pub fn contain(&self, address: usize) -> bool {
        self.entries().any(|entry| {
            let end = entry.end.load(Ordering::Acquire);
            address < end && address >= entry.start.load(Ordering::Acquire)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_come_and_go() {
        // Their entries are never freed.
        static REGIONS: [Regions; 2] = [Regions::new(), Regions::new()];
        let [some, others] = &REGIONS;
        assert!(!some.contain(0x10));
        some.add(0x10..0x20);
        assert!(some.contain(0x10) && some.contain(0x1f));
        assert!(!some.contain(0x20) && !some.contain(0xf) && !others.contain(0x10));
        others.remove(0x10..0x20);
        assert!(some.contain(0x10));
        some.remove(0x10..0x20);
        assert!(!some.contain(0x10));
    }
}
