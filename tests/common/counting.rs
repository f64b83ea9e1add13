//! An allocator that counts, for test binaries that say `#[path = "common/counting.rs"] mod counting`:
//! it is the whole binary's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counting what each thread does.
struct Counting;

#[derive(Clone, Copy, Default)]
struct Counts {
    allocations: u64,
    /// Bytes in use; less than nothing if other threads' were freed.
    live: i64,
    /// The most that were.
    peak: i64,
}

thread_local! {
    static COUNTS: Cell<Counts> = const { Cell::new(Counts { allocations: 0, live: 0, peak: 0 }) };
}

fn count(allocated: usize, freed: usize) {
    let mut counts = COUNTS.get();
    counts.allocations += u64::from(allocated > 0);
    // What grows by moving is there twice for a while.
    counts.peak = counts.peak.max(counts.live + allocated as i64);
    counts.live += allocated as i64 - freed as i64;
    COUNTS.set(counts);
}

// SAFETY: everything is the system's allocator's; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What this thread's heap went through while something was done: the number of allocations, and by
/// how many bytes more were in use than before at most.
pub fn heap_of<T>(work: impl FnOnce() -> T) -> (u64, i64, T) {
    let before = COUNTS.get();
    COUNTS.set(Counts { peak: before.live, ..before });
    let done = work();
    let after = COUNTS.get();
    (after.allocations - before.allocations, after.peak - before.live, done)
}
