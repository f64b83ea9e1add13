//! Images: what a memory holds when an instance of its module is new, as pages of a file that the
//! memories of all instances map, each with its own copy of a page from when it first writes there.
//!
//! Owns the file, and the decision whether a module has an image: that takes active data segments which
//! are large, fit, and do not depend on imports. All others are copied, segment by segment.

use std::io;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::memory::PAGE;
use super::memory_file::MemoryFile;
#[cfg(miri)]
use super::miri as libc;
use crate::module::{ConstExpr, ModuleInfo, SegmentMode};

/// Fewer bytes of data are copied in less time than mapping them takes.
const LEAST: usize = 128 << 10;
/// The system's page.
const SYSTEM_PAGE: usize = 4096;
/// How many images there may be in the process: each is an open file, of which the system allows a
/// program 1,024 if it asks for no more, and the program has other uses for them.
const MOST: usize = 128;

/// The first content of a memory.
pub(super) struct Image {
    /// Where in the memory it is: whole pages of the system.
    range: Range<usize>,
    file: MemoryFile,
    /// The whole file, which nobody can write.
    bytes: NonNull<u8>,
    /// For each data segment of the module whether an instance whose memory has this content has
    /// used it up.
    used_up: Box<[bool]>,
    _place: Place,
}

/// One of [`MOST`] places.
struct Place;

static PLACES_TAKEN: AtomicUsize = AtomicUsize::new(0);

impl Place {
    fn take() -> Option<Place> {
        let more = |taken| (taken < MOST).then_some(taken + 1);
        let result = PLACES_TAKEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        result.ok().map(|_| Place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        PLACES_TAKEN.fetch_sub(1, Ordering::Relaxed);
    }
}

// SAFETY: nobody can write the file, and any thread may map and unmap it.
unsafe impl Send for Image {}
// SAFETY: as above.
unsafe impl Sync for Image {}

/// The image of a module, which is made when it is wanted for the second time: the pages of a file cost
/// more than a memory's own, so that it does not pay for what is instantiated once.
#[derive(Default)]
pub(super) struct LazyImage {
    /// How often it was wanted before it was there.
    wanted: AtomicUsize,
    made: OnceLock<Option<Arc<Image>>>,
}

impl LazyImage {
    /// The image for the next new memory of this module: always the same one, once it is made.
    pub fn for_next(&self, info: &ModuleInfo) -> Option<&Arc<Image>> {
        if let Some(made) = self.made.get() {
            return made.as_ref();
        }
        // Nobody waits for it, neither a thread nor the child of a fork in which no thread makes it.
        if self.wanted.fetch_add(1, Ordering::Relaxed) != 1 {
            return None;
        }
        let image = Image::new(info).map(Arc::new);
        self.made.get_or_init(|| image).as_ref()
    }

    /// The image, if there is one by now.
    pub fn get(&self) -> Option<&Arc<Image>> {
        self.made.get()?.as_ref()
    }
}

impl Image {
    /// `None` if the module's segments had better be copied, or if the system does not give such a file.
    fn new(info: &ModuleInfo) -> Option<Image> {
        let segments = segments(info)?;
        let range = range(&segments)?;
        let place = Place::take()?;
        let mut content = vec![0; range.len()];
        for (to, segment) in segments.into_iter().filter(|(_, segment)| !segment.is_empty()) {
            let to = to - range.start;
            content[to..to + segment.len()].copy_from_slice(segment);
        }
        let file = MemoryFile::of_bytes(&content).ok()?;
        let (protection, flags) = (libc::PROT_READ, libc::MAP_SHARED);
        // SAFETY: a fresh mapping at an address of the system's choice touches nothing that exists.
        let bytes = unsafe {
            libc::mmap(ptr::null_mut(), range.len(), protection, flags, file.descriptor(), 0)
        };
        if bytes == libc::MAP_FAILED {
            return None;
        }
        let bytes = NonNull::new(bytes.cast()).expect("the system maps nothing at address 0");
        let modes = info.late.data.iter().map(|segment| segment.mode);
        let used_up = modes.map(|mode| matches!(mode, SegmentMode::Active { .. })).collect();
        Some(Image { range, file, bytes, used_up, _place: place })
    }

    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// What the memory holds there at first.
    ///
    /// # Panics
    ///
    /// If the range, of offsets in the memory, is not the image's.
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        // SAFETY: the mapping lives as long as this, has this length, and is of a file that is never
        // written.
        let all = unsafe { std::slice::from_raw_parts(self.bytes.as_ptr(), self.range.len()) };
        &all[range.start - self.range.start..range.end - self.range.start]
    }

    /// See [`Image::used_up`].
    pub fn used_up(&self) -> &[bool] {
        &self.used_up
    }

    /// Puts the image in its place of the memory with this base, where it can be read and written.
    ///
    /// # Safety
    ///
    /// The place is part of a mapping of the caller's, and nobody refers to what is there.
    pub unsafe fn map(&self, base: NonNull<u8>) -> io::Result<()> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_FIXED | libc::MAP_NORESERVE;
        // SAFETY: the caller vouches for the place. What is written there, the file does not see.
        let mapped = unsafe {
            let place = base.add(self.range.start).as_ptr().cast();
            libc::mmap(place, self.range.len(), protection, flags, self.file.descriptor(), 0)
        };
        if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: the mapping has this length, and whoever referred to it held the image.
        unsafe { libc::munmap(self.bytes.as_ptr().cast(), self.range.len()) };
    }
}

/// The active data segments of a module and where they go, if that is always the same, and if there is
/// no way to see a memory into which they have not been copied.
fn segments(info: &ModuleInfo) -> Option<Vec<(usize, &[u8])>> {
    if info.imported_memories > 0 || info.late.data_bytes.len() < LEAST {
        return None;
    }
    // An element segment that does not fit an imported table ends an instantiation before any data is
    // copied, and those before it have made functions of the instance known to others.
    let reaches_others =
        |mode| matches!(mode, SegmentMode::Active { index, .. } if index < info.imported_tables);
    if info.elements.iter().any(|segment| reaches_others(segment.mode)) {
        return None;
    }
    let len = info.memories.first()?.min as usize * PAGE;
    let mut segments = Vec::new();
    for segment in &info.late.data {
        let SegmentMode::Active { offset, .. } = segment.mode else { continue };
        let ConstExpr::Bits(to) = offset else { return None };
        let (to, bytes) = (to as u32 as usize, &info.late.data_bytes[segment.bytes.clone()]);
        if to + bytes.len() > len {
            return None;
        }
        segments.push((to, bytes));
    }
    Some(segments)
}

/// The pages that hold all of the segments; `None` if most of it would be holes, or too little.
fn range(segments: &[(usize, &[u8])]) -> Option<Range<usize>> {
    let segments = segments.iter().filter(|(_, bytes)| !bytes.is_empty());
    let (mut start, mut end, mut sum) = (usize::MAX, 0, 0);
    for (to, bytes) in segments {
        start = start.min(*to);
        end = end.max(to + bytes.len());
        sum += bytes.len();
    }
    if sum < LEAST || (end - start) / 2 > sum {
        return None;
    }
    Some(start / SYSTEM_PAGE * SYSTEM_PAGE..end.next_multiple_of(SYSTEM_PAGE))
}
