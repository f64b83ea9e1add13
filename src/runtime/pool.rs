//! Address space of memories whose instance is gone, made as new and kept for the next.
//!
//! Reserving address space, changing its protection and above all the first touch of each page cost
//! microseconds, so a memory that is dropped is emptied and kept. **Nothing that a guest wrote is left
//! in it**: the system is asked which pages hold anything of its own, those few are overwritten, and
//! where there are many, or the system cannot tell, all are given back.
//!
//! Empty is what a new memory is: zeros, but for the module's [`Image`] if it has one. That stays in
//! its place, for the next instance of the module.

use std::io;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::image::Image;
#[cfg(miri)]
use super::miri as libc;

/// What one memory reserves: an index, an offset, and a guard for the widest access.
const RESERVATION: usize = (4 << 30) + (4 << 30) + (64 << 10);
/// How many idle reservations are kept.
const MAX_IDLE: usize = 64;
/// The most bytes of one idle reservation that stay in memory, and of all together.
const KEEP: usize = 1 << 20;
const KEEP_ALL: usize = 16 << 20;
/// After so many times all pages that were kept are given back, to see which of them guests still
/// write: to a page that is in memory anyway, nobody sees it. Where they are few it does not matter.
const RENEWAL: u32 = 256;
const FEW: usize = 64 << 10;

/// The address space of one memory. What is accessible starts at its base.
pub(super) struct Reservation {
    base: NonNull<u8>,
    accessible: usize,
    /// About how many bytes of it are in memory; known while it is idle.
    resident: usize,
    /// How often it was cleared.
    cleared: u32,
    /// What it holds where a new memory is not zero. All of that is accessible.
    image: Option<Arc<Image>>,
}

// SAFETY: it owns its mapping, which any thread may use and unmap.
unsafe impl Send for Reservation {}

impl Reservation {
    fn new() -> io::Result<Reservation> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a fresh mapping at an address of the system's choice touches nothing that exists.
        let base =
            unsafe { libc::mmap(ptr::null_mut(), RESERVATION, libc::PROT_NONE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            let error = io::Error::last_os_error();
            let message =
                format!("no address space for a memory, which takes 8 GiB of it: {error}");
            return Err(io::Error::new(error.kind(), message));
        }
        let base = NonNull::new(base.cast()).expect("the system maps nothing at address 0");
        Ok(Reservation { base, accessible: 0, resident: 0, cleared: 0, image: None })
    }

    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub fn image(&self) -> Option<&Arc<Image>> {
        self.image.as_ref()
    }

    pub fn has_image(&self, image: Option<&Arc<Image>>) -> bool {
        self.image.as_ref().map(Arc::as_ptr) == image.map(Arc::as_ptr)
    }

    /// Makes an empty one what a memory of that size with that image, which is no larger, is at first.
    /// After an error it can only be dropped.
    fn become_new(&mut self, bytes: usize, image: Option<&Arc<Image>>) -> io::Result<()> {
        if self.has_image(image) {
            return self.resize(bytes);
        }
        if let Some(old) = self.image.take() {
            self.map_zeros(old.range())?;
        }
        self.resize(bytes)?;
        if let Some(new) = image {
            debug_assert!(new.range().end <= bytes);
            // SAFETY: the range lies in the reservation, of which nobody holds a reference.
            unsafe { new.map(self.base)? };
            self.image = Some(new.clone());
        }
        Ok(())
    }

    /// Puts zeros in the place of an image, which is accessible.
    fn map_zeros(&self, range: Range<usize>) -> io::Result<()> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
        let place = self.at(range.start).cast();
        // SAFETY: the range lies in the reservation, of which nobody holds a reference.
        let mapped = unsafe { libc::mmap(place, range.len(), protection, flags, -1, 0) };
        if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Makes so many bytes accessible, a multiple of the system's page size and at most 4 GiB, and no
    /// fewer than the image has; what is added is zero if nothing was ever written there.
    pub fn resize(&mut self, bytes: usize) -> io::Result<()> {
        let (range, protection) = if bytes > self.accessible {
            (self.accessible..bytes, libc::PROT_READ | libc::PROT_WRITE)
        } else {
            (bytes..self.accessible, libc::PROT_NONE)
        };
        if !range.is_empty() {
            // SAFETY: the range lies in the reservation, of which nobody holds a reference.
            let result =
                unsafe { libc::mprotect(self.at(range.start).cast(), range.len(), protection) };
            if result != 0 {
                let error = io::Error::last_os_error();
                let message = format!(
                    "the system gives no memory of {bytes} bytes, for which it needs a mapping of \
                     its own (`vm.max_map_count`): {error}"
                );
                return Err(io::Error::new(error.kind(), message));
            }
        }
        self.accessible = bytes;
        Ok(())
    }

    /// Makes all that is accessible what it was at first.
    pub fn clear(&mut self) -> io::Result<()> {
        self.cleared = self.cleared.wrapping_add(1);
        if self.cleared.is_multiple_of(RENEWAL) && self.resident > FEW {
            self.resident = 0;
            return self.give_back(0..self.accessible);
        }
        let image = self.image.as_ref().map_or(0..0, |image| image.range());
        let mut pages = PopulatedPages::default();
        let rest = pages.find(self.base.as_ptr() as usize, self.accessible, self.image.is_some());
        self.resident = 0;
        for (range, is_zero) in pages.ranges() {
            // A page of zeros is as it was at first, except in an image: the system merges pages.
            let range = match is_zero {
                true => range.start.max(image.start)..range.end.min(image.end),
                false => range,
            };
            if !range.is_empty() {
                self.resident += range.len();
                self.overwrite(range);
            }
        }
        self.give_back(rest..self.accessible)
    }

    /// Writes what these pages, which are accessible, held at first.
    fn overwrite(&self, pages: Range<usize>) {
        let image = self.image.as_ref().map_or(0..0, |image| image.range());
        let start = image.start.clamp(pages.start, pages.end);
        let end = image.end.clamp(start, pages.end);
        // SAFETY: the pages are accessible, and nobody holds a reference to them. What of them is the
        // image's is copied from another mapping of its file.
        unsafe {
            self.at(pages.start).write_bytes(0, start - pages.start);
            if let Some(image) = self.image.as_ref().filter(|_| start < end) {
                let bytes = image.bytes(start..end);
                self.at(start).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            }
            self.at(end).write_bytes(0, pages.end - end);
        }
    }

    /// Gives pages back to the system: they hold what they held at first from now on.
    fn give_back(&self, range: Range<usize>) -> io::Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        // SAFETY: the range lies in the reservation, of which nobody holds a reference.
        let result =
            unsafe { libc::madvise(self.at(range.start).cast(), range.len(), libc::MADV_DONTNEED) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    fn at(&self, offset: usize) -> *mut u8 {
        debug_assert!(offset <= RESERVATION);
        // SAFETY: offsets are in the mapping, or at its end.
        unsafe { self.base.as_ptr().add(offset) }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this size, and whoever could reach it held the
        // memory that owned this.
        unsafe { libc::munmap(self.base.as_ptr().cast(), RESERVATION) };
    }
}

/// The idle reservations of an engine.
#[derive(Default)]
pub(super) struct Pool(Mutex<Idle>);

#[derive(Default)]
struct Idle {
    /// All empty; the one that has been idle longest first.
    reservations: Vec<Reservation>,
    /// The sum of theirs.
    resident: usize,
}

impl Pool {
    /// A reservation with so many accessible bytes: the image, which is no larger, if the system maps
    /// it, and zeros.
    pub fn take(&self, bytes: usize, image: Option<&Arc<Image>>) -> io::Result<Reservation> {
        if image.is_some()
            && let Ok(reservation) = self.make(bytes, image)
        {
            return Ok(reservation);
        }
        self.make(bytes, None)
    }

    fn make(&self, bytes: usize, image: Option<&Arc<Image>>) -> io::Result<Reservation> {
        let mut reservation = match self.take_idle(bytes, image) {
            Some(reservation) => reservation,
            None => Reservation::new()?,
        };
        reservation.become_new(bytes, image)?;
        Ok(reservation)
    }

    /// The idle one that was used last, preferably with that image and of the right size.
    fn take_idle(&self, bytes: usize, image: Option<&Arc<Image>>) -> Option<Reservation> {
        let mut idle = self.idle();
        let last = |fits: &dyn Fn(&Reservation) -> bool| idle.reservations.iter().rposition(fits);
        let index = last(&|idle| idle.has_image(image) && idle.accessible == bytes)
            .or_else(|| last(&|idle| idle.has_image(image)))
            .or_else(|| last(&|idle| idle.has_image(None)))
            .or(idle.reservations.len().checked_sub(1))?;
        let reservation = idle.reservations.remove(index);
        idle.resident -= reservation.resident;
        Some(reservation)
    }

    /// Takes back a reservation that nobody uses any more. Those that have been idle longest make room
    /// for it: what a program used last it is likely to want next.
    pub fn put(&self, mut reservation: Reservation) {
        // One that cannot be emptied is not kept.
        if reservation.clear().is_err() {
            return;
        }
        // Unmapped when nobody waits for the lock any more.
        let mut too_many = Vec::new();
        let mut idle = self.idle();
        while idle.reservations.len() >= MAX_IDLE
            || idle.resident + reservation.resident > KEEP_ALL && !idle.reservations.is_empty()
        {
            let oldest = idle.reservations.remove(0);
            idle.resident -= oldest.resident;
            too_many.push(oldest);
        }
        idle.resident += reservation.resident;
        idle.reservations.push(reservation);
    }

    /// Unmaps the idle reservations with this image, which no memory will have any more.
    pub fn forget(&self, image: &Arc<Image>) {
        let with_image = |reservation: &mut Reservation| reservation.has_image(Some(image));
        let mut idle = self.idle();
        let useless: Vec<_> = idle.reservations.extract_if(.., with_image).collect();
        idle.resident -= useless.iter().map(|reservation| reservation.resident).sum::<usize>();
        // They are unmapped when nobody waits for the lock any more.
        drop(idle);
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ranges of pages that hold something: `page_region` of the kernel's `PAGEMAP_SCAN`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct PageRegion {
    start: u64,
    end: u64,
    categories: u64,
}

/// The argument of `PAGEMAP_SCAN` (Linux 6.7, `include/uapi/linux/fs.h`).
#[repr(C)]
struct ScanArgument {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    regions: u64,
    regions_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

const PAGE_IS_PRESENT: u64 = 1 << 3;
const PAGE_IS_SWAPPED: u64 = 1 << 4;
/// A page of a file that nobody has written to here.
const PAGE_IS_FILE: u64 = 1 << 2;
/// The page of zeros that all unwritten pages share once they are read.
const PAGE_IS_PFNZERO: u64 = 1 << 5;

/// `_IOWR('f', 16, struct pm_scan_arg)`.
const PAGEMAP_SCAN: libc::c_ulong = 3 << 30
    | (size_of::<ScanArgument>() as libc::c_ulong) << 16
    | (b'f' as libc::c_ulong) << 8
    | 16;

/// The pages of a stretch of memory that hold something of its own.
#[derive(Default)]
struct PopulatedPages {
    base: usize,
    regions: [PageRegion; 32],
    count: usize,
}

impl PopulatedPages {
    /// Finds those in `len` bytes from the base. Returns up to which offset they are all known:
    /// 0 where the system cannot tell. Pages of zeros are among them only if they are asked for.
    fn find(&mut self, base: usize, len: usize, with_zeros: bool) -> usize {
        self.base = base;
        let Some(file) = pagemap().filter(|_| len > 0) else { return 0 };
        let without = if with_zeros { PAGE_IS_FILE } else { PAGE_IS_FILE | PAGE_IS_PFNZERO };
        let mut argument = ScanArgument {
            size: size_of::<ScanArgument>() as u64,
            flags: 0,
            start: base as u64,
            end: (base + len) as u64,
            walk_end: 0,
            regions: self.regions.as_mut_ptr() as u64,
            regions_len: self.regions.len() as u64,
            max_pages: (KEEP / 4096) as u64,
            category_inverted: without,
            category_mask: without,
            category_anyof_mask: PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
            return_mask: PAGE_IS_PFNZERO,
        };
        // SAFETY: the kernel writes at most `regions_len` regions and `walk_end`, which are alive.
        let count = unsafe { libc::ioctl(file, PAGEMAP_SCAN, &raw mut argument) };
        let Ok(count) = usize::try_from(count) else { return 0 };
        self.count = count;
        argument.walk_end as usize - base
    }

    /// The pages that were found, as ranges of offsets, and whether they are the system's page of zeros.
    fn ranges(&self) -> impl Iterator<Item = (Range<usize>, bool)> {
        let regions = self.regions[..self.count].iter();
        regions.map(|region| {
            let range = region.start as usize - self.base..region.end as usize - self.base;
            (range, region.categories & PAGE_IS_PFNZERO != 0)
        })
    }
}

/// The open `/proc/self/pagemap`, which shows the memory of the process that opened it. `None` if
/// there is none.
///
/// What is noted of it lies in a page that the kernel empties when the process forks, so that a child
/// opens its own.
fn pagemap() -> Option<libc::c_int> {
    static NOTE: OnceLock<Option<&'static AtomicI32>> = OnceLock::new();
    const UNKNOWN: i32 = 0;
    const NONE: i32 = -1;
    let note = (*NOTE.get_or_init(note_for_this_process))?;
    match note.load(Ordering::Relaxed) {
        NONE => None,
        UNKNOWN => {
            let flags = libc::O_RDONLY | libc::O_CLOEXEC;
            // SAFETY: the path is a C string.
            let file = unsafe { libc::open(c"/proc/self/pagemap".as_ptr(), flags) };
            // File descriptors count from 0, which stands for a file that is not open yet.
            let noted = if file < 0 { NONE } else { file + 1 };
            match note.compare_exchange(UNKNOWN, noted, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => (file >= 0).then_some(file),
                Err(other) => {
                    if file >= 0 {
                        // SAFETY: the file was opened here, and nobody else knows of it.
                        unsafe { libc::close(file) };
                    }
                    (other > 0).then(|| other - 1)
                }
            }
        }
        file => Some(file - 1),
    }
}

/// A word that is 0 until it is written, also in each process that is forked.
fn note_for_this_process() -> Option<&'static AtomicI32> {
    const SIZE: usize = 4096;
    let (protection, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a fresh mapping, which is never unmapped.
    let page = unsafe { libc::mmap(ptr::null_mut(), SIZE, protection, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the page was just mapped.
    if unsafe { libc::madvise(page, SIZE, libc::MADV_WIPEONFORK) } != 0 {
        return None;
    }
    // SAFETY: the page is alive for good, aligned and zero, and only used as this atomic.
    Some(unsafe { &*page.cast() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes the first bytes of so many pages, and clears.
    fn use_pages(reservation: &mut Reservation, pages: usize) {
        for page in 0..pages {
            // SAFETY: the pages are accessible, and nobody else has the reservation.
            unsafe { reservation.at(page * 4096).write(1) };
        }
        reservation.clear().expect("pages that can be cleared");
        for page in 0..pages {
            // SAFETY: as above.
            assert_eq!(unsafe { reservation.at(page * 4096).read() }, 0);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "the system's pages")]
    fn what_one_guest_has_written_is_not_cleared_for_ever() {
        const PAGES: usize = 200;
        let mut reservation = Reservation::new().expect("address space");
        reservation.resize(PAGES * 4096).expect("memory");
        use_pages(&mut reservation, PAGES);
        if reservation.resident == 0 {
            // The system cannot tell which pages there are: all are given back each time.
            return;
        }
        assert_eq!(reservation.resident, PAGES * 4096);
        use_pages(&mut reservation, 1);
        assert_eq!(reservation.resident, PAGES * 4096, "they are kept for the next");
        (0..RENEWAL).for_each(|_| use_pages(&mut reservation, 1));
        // Reading them, to see that they are zero, has brought none back but the first.
        assert_eq!(reservation.resident, 4096);
    }
}
