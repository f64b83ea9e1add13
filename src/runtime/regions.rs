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

static FIRST: AtomicPtr<Entry> = AtomicPtr::new(ptr::null_mut());
static WRITERS: Mutex<()> = Mutex::new(());

fn entries() -> impl Iterator<Item = &'static Entry> {
    let first = FIRST.load(Ordering::Acquire);
    // SAFETY: the pointer is null or came from a leaked box, which nobody mutates except through
    // its atomics.
    let first: Option<&'static Entry> = unsafe { first.as_ref() };
    std::iter::successors(first, |entry| entry.next)
}

/// Adds a range of addresses that holds compiled code.
pub(super) fn add(range: Range<usize>) {
    let _guard = WRITERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(unused) = entries().find(|entry| entry.end.load(Ordering::Relaxed) == 0) {
        unused.start.store(range.start, Ordering::Release);
        unused.end.store(range.end, Ordering::Release);
        return;
    }
    let entry = Box::leak(Box::new(Entry {
        start: AtomicUsize::new(range.start),
        end: AtomicUsize::new(range.end),
        next: entries().next(),
    }));
    FIRST.store(entry, Ordering::Release);
}

/// Removes a range that was added.
pub(super) fn remove(range: Range<usize>) {
    let _guard = WRITERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(entry) = entries().find(|entry| {
        entry.start.load(Ordering::Relaxed) == range.start
            && entry.end.load(Ordering::Relaxed) == range.end
    }) {
        entry.end.store(0, Ordering::Release);
    }
}

/// Whether the address lies in a region of compiled code. Async-signal-safe.
pub(super) fn contain(address: usize) -> bool {
    entries().any(|entry| {
        let end = entry.end.load(Ordering::Acquire);
        address < end && address >= entry.start.load(Ordering::Acquire)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_come_and_go() {
        assert!(!contain(0x10));
        add(0x10..0x20);
        assert!(contain(0x10) && contain(0x1f) && !contain(0x20) && !contain(0xf));
        remove(0x10..0x20);
        assert!(!contain(0x10));
    }
}
