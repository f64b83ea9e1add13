//! Files that are only memory: pages that can be mapped more than once.
//!
//! Owns the descriptor. What is mapped where is its user's affair.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::FileExt;

#[cfg(miri)]
use super::miri as libc;

/// What the pages of a file are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// They may be executed.
    Code,
    /// They can be kept from being written.
    Data,
}

/// An anonymous file, which is gone when this and all mappings of it are.
pub(super) struct MemoryFile(File);

impl MemoryFile {
    /// A file of that many zeros, whose pages may be executed.
    pub fn for_code(len: usize) -> io::Result<MemoryFile> {
        MemoryFile::new(c"wasm-mini-code", Content::Code, len)
    }

    /// A file that holds these bytes for ever: neither this process nor a child can write to it, nor
    /// change its length.
    pub fn of_bytes(bytes: &[u8]) -> io::Result<MemoryFile> {
        let file = MemoryFile::new(c"wasm-mini-data", Content::Data, bytes.len())?;
        // So that the system finds now whether it has the pages, and not when they are first read.
        file.0.write_all_at(bytes, 0)?;
        let seals =
            libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: the descriptor is open.
        match unsafe { libc::fcntl(file.descriptor(), libc::F_ADD_SEALS, seals) } {
            0 => Ok(file),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn new(name: &CStr, content: Content, len: usize) -> io::Result<MemoryFile> {
        const MFD_EXEC: libc::c_uint = 0x10;
        const MFD_NOEXEC_SEAL: libc::c_uint = 0x8;
        let (flags, purpose) = match content {
            Content::Code => (libc::MFD_CLOEXEC, MFD_EXEC),
            Content::Data => (libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING, MFD_NOEXEC_SEAL),
        };
        // SAFETY: the name is a C string.
        let mut descriptor = unsafe { libc::memfd_create(name.as_ptr(), flags | purpose) };
        if descriptor < 0 {
            // Kernels before 6.3 do not know the flags for the purpose, and need none.
            // SAFETY: as above.
            descriptor = unsafe { libc::memfd_create(name.as_ptr(), flags) };
        }
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made, for nobody else.
        let file = unsafe { File::from_raw_fd(descriptor) };
        // Growing a file past this limit would end the process by a signal.
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the place is one for a limit.
        let known = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) } == 0;
        if !known || limit.rlim_cur < len as libc::rlim_t {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        file.set_len(len as u64)?;
        Ok(MemoryFile(file))
    }

    /// For `mmap`.
    pub fn descriptor(&self) -> libc::c_int {
        self.0.as_raw_fd()
    }

    /// Gives the pages of that range back; reads as zeros then. Returns whether it did.
    pub fn punch_hole(&self, range: Range<usize>) -> bool {
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        let (start, len) = (range.start as libc::off_t, range.len() as libc::off_t);
        // SAFETY: the descriptor is open; the range belongs to the caller.
        !range.is_empty() && unsafe { libc::fallocate(self.descriptor(), mode, start, len) } == 0
    }
}
