//! Memory that code lives in: reserved once, written through one view, run through another.
//!
//! Owns the address space of compiled code and its life. **No page is ever writable and executable
//! through the same mapping**: a [`CodeRegion`] maps the same pages twice, readable and writable
//! at one address and readable and executable at another, so that publishing needs no system call;
//! where the system refuses that, and for modules of many megabytes of code, pages are writable until
//! they are published and executable from then on. Code is [`Draft`] while it is written and
//! [`CodeMemory`] once it may run; the types allow neither running the one nor writing the other.
//!
//! Processes that fork: both sides of a fork share the doubly mapped pages, so whatever region
//! exists at that moment is never written again by either; see [`CodeRegion::is_frozen`].

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};

use super::memory_file::MemoryFile;
#[cfg(miri)]
use super::miri as libc;
use super::regions;

/// Allocations are multiples of this, so that no two modules share a cache line.
const GRANULE: usize = 64;
/// The filler of memory without code: `int3`.
const INT3: u8 = 0xcc;
/// Freed blocks from this size on give their pages back to the system.
const GIVE_BACK: usize = 4 << 20;
/// Blocks from this size on are for a region of huge pages: a page of a memory file takes the system
/// longer to make than the compiler takes to fill it.
pub(super) const LARGE: usize = 8 << 20;
/// A huge page.
const HUGE: usize = 2 << 20;
/// The least that a region is shrunk to where address space is scarce.
const MIN_RESERVATION: usize = 1 << 20;

/// How often this process has forked, counted just before each fork.
static FORKS: AtomicU64 = AtomicU64::new(0);

extern "C" fn before_fork() {
    FORKS.fetch_add(1, Ordering::SeqCst);
}

/// One reservation of address space for code.
pub(super) struct CodeRegion {
    /// Where code is executed, and where it is written: equal unless the pages are mapped twice.
    executable: NonNull<u8>,
    writable: NonNull<u8>,
    len: usize,
    /// Pages are given back in multiples of this, and where they are mapped once change their
    /// protection in multiples of this.
    page: usize,
    /// The memory behind both views; `None` where they are one.
    file: Option<MemoryFile>,
    /// The value of [`FORKS`] when the region was made.
    forks: u64,
    free: Mutex<FreeList>,
}

// SAFETY: the region owns its mappings, and hands out disjoint ranges of them, each to one owner;
// the free list is behind a mutex and the other fields never change.
unsafe impl Send for CodeRegion {}
// SAFETY: as above.
unsafe impl Sync for CodeRegion {}

impl CodeRegion {
    /// A small region for code that is not a guest's: faults in it are none of ours.
    pub fn for_trampolines() -> io::Result<Arc<CodeRegion>> {
        let page = page_size();
        Ok(Arc::new(Self::map_once(2 * page, page)?))
    }

    /// Reserves `len` bytes of address space for guests' code, or as much as the system gives down
    /// to 1 MiB; in huge pages if it is for large blocks.
    pub fn reserve(len: usize, is_large: bool) -> io::Result<Arc<CodeRegion>> {
        static COUNT_FORKS: Once = Once::new();
        COUNT_FORKS.call_once(|| {
            // SAFETY: registers a function that lives as long as the process and only touches an
            // atomic. A failure (no memory) would leave forks uncounted: see `is_frozen`.
            unsafe { libc::pthread_atfork(Some(before_fork), None, None) };
        });
        let page = page_size();
        let mut len = len.max(MIN_RESERVATION).next_multiple_of(page);
        loop {
            let region = match is_large {
                true => Self::map_huge(len),
                false => Self::map_twice(len, page).or_else(|_| Self::map_once(len, page)),
            };
            match region {
                Ok(region) => {
                    regions::GUESTS.add(region.executable_range());
                    return Ok(Arc::new(region));
                }
                Err(error) if len <= MIN_RESERVATION => return Err(error),
                Err(_) => len = (len / 2).max(MIN_RESERVATION).next_multiple_of(page),
            }
        }
    }

    fn map_huge(len: usize) -> io::Result<CodeRegion> {
        let region = Self::map_once(len.next_multiple_of(HUGE), HUGE)?;
        // A system that has none takes small ones.
        // SAFETY: the advice concerns the region's own mapping, and no content changes by it.
        unsafe {
            libc::madvise(region.executable.as_ptr().cast(), region.len, libc::MADV_HUGEPAGE);
        }
        Ok(region)
    }

    /// Whether it is for large blocks.
    pub fn is_huge(&self) -> bool {
        self.page == HUGE
    }

    fn map_twice(len: usize, page: usize) -> io::Result<CodeRegion> {
        let file = MemoryFile::for_code(len)?;
        let writable = map(len, libc::PROT_READ | libc::PROT_WRITE, Some(&file))?;
        let executable = match map(len, libc::PROT_READ | libc::PROT_EXEC, Some(&file)) {
            Ok(executable) => executable,
            Err(error) => {
                // SAFETY: the mapping was made just above and nothing points into it.
                unsafe { libc::munmap(writable.as_ptr().cast(), len) };
                return Err(error);
            }
        };
        Ok(Self::new(executable, writable, len, page, Some(file)))
    }

    fn map_once(len: usize, page: usize) -> io::Result<CodeRegion> {
        let both = map(len, libc::PROT_NONE, None)?;
        Ok(Self::new(both, both, len, page, None))
    }

    fn new(
        executable: NonNull<u8>,
        writable: NonNull<u8>,
        len: usize,
        page: usize,
        file: Option<MemoryFile>,
    ) -> CodeRegion {
        let forks = FORKS.load(Ordering::SeqCst);
        let free = Mutex::new(FreeList::of(len));
        CodeRegion { executable, writable, len, page, file, forks, free }
    }

    /// Whether the process has forked since the region was made. Its pages are shared with the
    /// other side then, which may be running any code in them, so nobody writes here any more:
    /// new code goes to a new region, and what is freed stays as it is until the region goes.
    pub fn is_frozen(&self) -> bool {
        self.file.is_some() && self.forks != FORKS.load(Ordering::SeqCst)
    }

    fn executable_range(&self) -> Range<usize> {
        let start = self.executable.as_ptr() as usize;
        start..start + self.len
    }

    /// Allocates room for `len` bytes of code, `None` if there is no room that large.
    pub fn allocate(self: &Arc<Self>, len: usize) -> Option<io::Result<Draft>> {
        // Where pages change their protection, no two allocations may share one.
        let granule = if self.file.is_some() { GRANULE } else { self.page };
        let size = len.max(1).checked_next_multiple_of(granule)?;
        let start = self.free.lock().unwrap_or_else(PoisonError::into_inner).take(size)?;
        let block = Block { region: self.clone(), range: start..start + size };
        if self.file.is_none()
            && let Err(error) = block.protect(libc::PROT_READ | libc::PROT_WRITE)
        {
            return Some(Err(error));
        }
        Some(Ok(Draft { block, len }))
    }
}

impl Drop for CodeRegion {
    fn drop(&mut self) {
        regions::GUESTS.remove(self.executable_range());
        // SAFETY: both mappings were made by this region with this length, and every block that
        // pointed into them held the region alive.
        unsafe {
            libc::munmap(self.executable.as_ptr().cast(), self.len);
            if self.file.is_some() {
                libc::munmap(self.writable.as_ptr().cast(), self.len);
            }
        }
    }
}

/// A range of a region with one owner, who gives it back by dropping it.
struct Block {
    region: Arc<CodeRegion>,
    range: Range<usize>,
}

impl Block {
    fn protect(&self, protection: libc::c_int) -> io::Result<()> {
        // SAFETY: the range is page-aligned where pages change protection, lies inside the
        // region's mapping and belongs to this block alone.
        let result = unsafe {
            let start = self.region.executable.as_ptr().add(self.range.start);
            libc::mprotect(start.cast(), self.range.len(), protection)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Makes the memory unfit to run, and gives pages back where that pays.
    fn clear(&self) {
        let (region, len) = (&self.region, self.range.len());
        let Some(file) = &region.file else {
            // SAFETY: the pages belong to this block alone, and nobody runs or reads them now.
            unsafe {
                let start = region.executable.as_ptr().add(self.range.start);
                libc::madvise(start.cast(), len, libc::MADV_DONTNEED);
            }
            // A failure leaves readable zeros, which is no harm.
            let _ = self.protect(libc::PROT_NONE);
            return;
        };
        let mut fill = self.range.clone();
        if len >= GIVE_BACK {
            let pages = fill.start.next_multiple_of(region.page)..fill.end & !(region.page - 1);
            if file.punch_hole(pages.clone()) {
                self.fill(fill.start..pages.start);
                fill.start = pages.end;
            }
        }
        self.fill(fill);
    }

    fn fill(&self, range: Range<usize>) {
        // SAFETY: the range is part of this block, so inside the writable view and nobody else's.
        unsafe {
            ptr::write_bytes(self.region.writable.as_ptr().add(range.start), INT3, range.len());
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.region.is_frozen() {
            return;
        }
        self.clear();
        let mut free = self.region.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.give(self.range.clone());
    }
}

/// Code that is being written and cannot run.
pub(super) struct Draft {
    block: Block,
    len: usize,
}

impl Draft {
    /// The bytes to write, as many as were asked for.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the block is this draft's alone, its pages are readable and writable through
        // this view, and nothing runs or reads them through the other one until `publish`.
        unsafe {
            let start = self.block.region.writable.as_ptr().add(self.block.range.start);
            std::slice::from_raw_parts_mut(start, self.len)
        }
    }

    /// Where the code will run.
    pub fn address(&self) -> usize {
        self.block.region.executable.as_ptr() as usize + self.block.range.start
    }

    /// Gives back what lies behind the first `len` bytes and was never written.
    pub fn truncate(&mut self, len: usize) {
        let region = self.block.region.clone();
        let granule = if region.file.is_some() { GRANULE } else { region.page };
        let end = self.block.range.start + len.max(1).next_multiple_of(granule);
        assert!(end <= self.block.range.end, "there is no more than was allocated");
        let tail = end..self.block.range.end;
        self.len = len;
        if tail.is_empty() {
            return;
        }
        self.block.range.end = end;
        if region.file.is_some() {
            region.free.lock().unwrap_or_else(PoisonError::into_inner).give(tail);
        } else {
            // Takes the access away, too.
            drop(Block { region, range: tail });
        }
    }

    /// Makes the code executable and takes write access away.
    pub fn publish(self) -> io::Result<CodeMemory> {
        if self.block.region.file.is_none() {
            self.block.protect(libc::PROT_READ | libc::PROT_EXEC)?;
        }
        // x86-64 keeps instruction fetch coherent with stores by physical address, so no cache
        // needs flushing; other threads learn the address through a synchronising operation.
        Ok(CodeMemory { block: self.block, len: self.len })
    }
}

/// Code that can run, until this is dropped.
pub(super) struct CodeMemory {
    block: Block,
    len: usize,
}

impl CodeMemory {
    /// The address of the first byte.
    pub fn address(&self) -> usize {
        self.block.region.executable.as_ptr() as usize + self.block.range.start
    }

    /// The code, as it runs.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the pages are readable, and nobody writes them while this lives.
        unsafe { std::slice::from_raw_parts(self.address() as *const u8, self.len) }
    }
}

fn page_size() -> usize {
    // SAFETY: no preconditions.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

fn map(len: usize, protection: libc::c_int, file: Option<&MemoryFile>) -> io::Result<NonNull<u8>> {
    let (sharing, fd) = match file {
        Some(file) => (libc::MAP_SHARED, file.descriptor()),
        None => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1),
    };
    // SAFETY: a fresh mapping at an address of the system's choice touches nothing that exists.
    let start = unsafe {
        libc::mmap(ptr::null_mut(), len, protection, sharing | libc::MAP_NORESERVE, fd, 0)
    };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(NonNull::new(start.cast()).expect("the system maps nothing at address 0"))
}

/// Free ranges, kept apart by at least one used granule: neighbours are merged.
#[derive(Default)]
struct FreeList {
    /// (start, size)
    by_start: BTreeSet<(usize, usize)>,
    /// (size, start)
    by_size: BTreeSet<(usize, usize)>,
}

impl FreeList {
    fn of(len: usize) -> FreeList {
        let mut list = FreeList::default();
        list.insert(0, len);
        list
    }

    fn insert(&mut self, start: usize, size: usize) {
        self.by_start.insert((start, size));
        self.by_size.insert((size, start));
    }

    fn remove(&mut self, start: usize, size: usize) {
        self.by_start.remove(&(start, size));
        self.by_size.remove(&(size, start));
    }

    /// Takes the smallest range that fits, lowest first: the one most likely to be warm.
    fn take(&mut self, size: usize) -> Option<usize> {
        let (found, start) = *self.by_size.range((size, 0)..).next()?;
        self.remove(start, found);
        if found > size {
            self.insert(start + size, found - size);
        }
        Some(start)
    }

    fn give(&mut self, mut range: Range<usize>) {
        if let Some(&(start, size)) = self.by_start.range(..(range.start, 0)).next_back()
            && start + size == range.start
        {
            self.remove(start, size);
            range.start = start;
        }
        if let Some(&(start, size)) = self.by_start.range((range.end, 0)..).next()
            && start == range.end
        {
            self.remove(start, size);
            range.end += size;
        }
        self.insert(range.start, range.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: usize = if cfg!(miri) { 2 << 20 } else { 16 << 20 };

    /// A region of each kind; Miri maps nothing twice, and knows no huge pages.
    fn regions() -> Vec<Arc<CodeRegion>> {
        let page = page_size();
        let mut regions = vec![CodeRegion::map_once(LEN, page).expect("a region mapped once")];
        if !cfg!(miri) {
            regions.push(CodeRegion::map_huge(LEN).expect("a region of huge pages"));
            regions.push(CodeRegion::map_twice(LEN, page).expect("a region mapped twice"));
        }
        regions.into_iter().map(Arc::new).collect()
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri runs no machine code")]
    fn what_is_written_is_what_runs() {
        for region in regions() {
            let mut draft = region.allocate(6).expect("room").expect("memory");
            draft.bytes_mut().copy_from_slice(&[0xb8, 42, 0, 0, 0, 0xc3]); // mov eax, 42; ret
            let code = draft.publish().expect("publish");
            // SAFETY: the bytes are a complete function of that type.
            let function: extern "sysv64" fn() -> i32 =
                unsafe { std::mem::transmute(code.address()) };
            assert_eq!(function(), 42);
            assert_eq!(code.bytes().len(), 6);
        }
    }

    #[test]
    fn freed_memory_is_used_again_and_merged() {
        for region in regions() {
            let take =
                |len| region.allocate(len).expect("room").expect("memory").publish().unwrap();
            let (a, b, c) = (take(100), take(100), take(100));
            let first = a.address();
            drop((a, c));
            drop(b);
            assert_eq!(take(LEN).address(), first, "the free ranges are one again");
            assert!(region.allocate(LEN + 1).is_none());
        }
    }

    #[test]
    fn what_a_draft_does_not_need_is_there_for_others() {
        for region in regions() {
            let mut draft = region.allocate(LEN - 4096).unwrap().unwrap();
            draft.bytes_mut()[..5000].fill(0xc3);
            draft.truncate(5000);
            assert_eq!(draft.bytes_mut(), [0xc3; 5000]);
            let mut other = region.allocate(LEN - HUGE).unwrap().unwrap();
            other.bytes_mut().fill(0x90);
            let code = draft.publish().unwrap();
            assert_eq!(code.bytes(), [0xc3; 5000]);
            drop((code, other));
            assert!(region.allocate(LEN).is_some(), "all is free again");
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri maps nothing twice")]
    fn freed_code_cannot_run_by_accident() {
        let region = regions().pop().expect("the one that is mapped twice");
        for len in [64, 2 * GIVE_BACK + 64] {
            let mut draft = region.allocate(len).unwrap().unwrap();
            draft.bytes_mut().fill(0x90);
            let code = draft.publish().unwrap();
            let address = code.address() as *const u8;
            drop(code);
            // SAFETY: the region is alive, and so is its mapping.
            assert!((0..len).all(|i| unsafe { *address.add(i) } != 0x90));
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri's mappings are on the heap")]
    fn no_mapping_is_writable_and_executable() {
        let check = || {
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            for line in maps.lines() {
                let permissions = line.split_whitespace().nth(1).unwrap();
                assert!(!(permissions.contains('w') && permissions.contains('x')), "{line}");
            }
        };
        for region in regions() {
            let mut draft = region.allocate(64).unwrap().unwrap();
            draft.bytes_mut().fill(0xc3);
            check();
            let _code = draft.publish().unwrap();
            check();
        }
    }
}
