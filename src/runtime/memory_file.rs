//! Files that are only memory: pages that can be mapped more than once.
//!
//! Owns the descriptor. What is mapped where, and who may write, is its user's affair.

use std::ffi::CStr;
use std::io;
use std::ops::Range;

#[cfg(miri)]
use super::miri as libc;

/// What the pages of a file are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// They may be executed.
    Code,
    Data,
}

/// An anonymous file, which is gone when this and all mappings of it are.
pub(super) struct MemoryFile(libc::c_int);

impl MemoryFile {
    /// A file of zeros of that length.
    pub fn new(name: &CStr, content: Content, len: usize) -> io::Result<MemoryFile> {
        const MFD_EXEC: libc::c_uint = 0x10;
        const MFD_NOEXEC_SEAL: libc::c_uint = 0x8;
        let purpose = match content {
            Content::Code => MFD_EXEC,
            Content::Data => MFD_NOEXEC_SEAL,
        };
        // SAFETY: the name is a C string.
        let mut fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | purpose) };
        if fd < 0 {
            // Kernels before 6.3 do not know the flags, and need none.
            // SAFETY: as above.
            fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
        }
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let file = MemoryFile(fd);
        // Growing a file past this limit would end the process by a signal.
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the place is one for a limit.
        let known = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) } == 0;
        if !known || limit.rlim_cur < len as libc::rlim_t {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        // SAFETY: the descriptor is open.
        if unsafe { libc::ftruncate(fd, len as libc::off_t) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(file)
    }

    /// For `mmap`.
    pub fn descriptor(&self) -> libc::c_int {
        self.0
    }

    /// Gives the pages of that range back; reads as zeros then. Returns whether it did.
    pub fn punch_hole(&self, range: Range<usize>) -> bool {
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        let (start, len) = (range.start as libc::off_t, range.len() as libc::off_t);
        // SAFETY: the descriptor is open; the range belongs to the caller.
        !range.is_empty() && unsafe { libc::fallocate(self.0, mode, start, len) } == 0
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        // SAFETY: the descriptor is open and this is its only owner.
        unsafe { libc::close(self.0) };
    }
}
