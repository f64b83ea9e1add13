//! The part of the system that Miri does not know, as far as the runtime asks for it: in Miri's builds
//! this stands where `libc` does elsewhere.
//!
//! Owns no behaviour that a test may rely on. Mappings are allocations of the heap, of which only the
//! first mebibytes are there; protections change nothing, signals never come, a thread's stack has no
//! end. What is refused here, the runtime does without, as on systems that refuse it. Compiled code
//! cannot run: whoever calls it ends the interpreter.

// SAFETY (of every `unsafe fn` here): each is called as the function of the system that has its name.
#![allow(clippy::missing_safety_doc, unused_variables)]

use std::alloc::{self, Layout};

pub use ::libc::*;

/// How much of a mapping is there. What lies behind is only an address: using it is an error that Miri
/// tells.
const MOST: size_t = 4 << 20;

/// The allocation that stands for a mapping of so many bytes.
fn allocation(len: size_t) -> Layout {
    Layout::from_size_align(len.min(MOST), 4096).expect("the size of a mapping")
}

pub unsafe fn mmap(
    address: *mut c_void,
    len: size_t,
    protection: c_int,
    flags: c_int,
    file: c_int,
    offset: off_t,
) -> *mut c_void {
    // SAFETY: nobody maps nothing.
    unsafe { alloc::alloc_zeroed(allocation(len)).cast() }
}

pub unsafe fn munmap(address: *mut c_void, len: size_t) -> c_int {
    // SAFETY: `mmap` made it of this length.
    unsafe { alloc::dealloc(address.cast(), allocation(len)) };
    0
}

pub unsafe fn mprotect(address: *mut c_void, len: size_t, protection: c_int) -> c_int {
    0
}

pub unsafe fn madvise(address: *mut c_void, len: size_t, advice: c_int) -> c_int {
    if advice == MADV_DONTNEED {
        // SAFETY: the caller gives the content of the range up.
        unsafe { address.cast::<u8>().write_bytes(0, len) };
    }
    0
}

/// There are no files that are memory: pages are mapped once.
pub unsafe fn memfd_create(name: *const c_char, flags: c_uint) -> c_int {
    -1
}

/// Nor does the system tell which pages hold something.
pub unsafe fn open(path: *const c_char, flags: c_int) -> c_int {
    -1
}

/// Processes do not fork.
pub unsafe fn pthread_atfork(
    prepare: Option<unsafe extern "C" fn()>,
    parent: Option<unsafe extern "C" fn()>,
    child: Option<unsafe extern "C" fn()>,
) -> c_int {
    0
}

pub unsafe fn pthread_getattr_np(thread: pthread_t, attributes: *mut pthread_attr_t) -> c_int {
    0
}

/// A stack so far down that nobody comes to its end.
pub unsafe fn pthread_attr_getstack(
    attributes: *const pthread_attr_t,
    start: *mut *mut c_void,
    size: *mut size_t,
) -> c_int {
    // SAFETY: the caller has places for both.
    unsafe {
        start.write(std::ptr::without_provenance_mut(4096));
        size.write(4096);
    }
    0
}

pub unsafe fn pthread_attr_getguardsize(
    attributes: *const pthread_attr_t,
    size: *mut size_t,
) -> c_int {
    // SAFETY: the caller has a place for it.
    unsafe { size.write(0) };
    0
}

pub unsafe fn pthread_attr_destroy(attributes: *mut pthread_attr_t) -> c_int {
    0
}

pub unsafe fn pthread_self() -> pthread_t {
    0
}

pub unsafe fn pthread_sigmask(how: c_int, set: *const sigset_t, before: *mut sigset_t) -> c_int {
    0
}

pub unsafe fn sigemptyset(set: *mut sigset_t) -> c_int {
    0
}

pub unsafe fn sigfillset(set: *mut sigset_t) -> c_int {
    0
}

pub unsafe fn sigaddset(set: *mut sigset_t, signal: c_int) -> c_int {
    0
}

/// Nobody had a handler before.
pub unsafe fn sigaction(signal: c_int, new: *const sigaction, before: *mut sigaction) -> c_int {
    0
}

/// Nobody had a stack for signals before.
pub unsafe fn sigaltstack(new: *const stack_t, before: *mut stack_t) -> c_int {
    if !before.is_null() {
        let none = stack_t { ss_sp: std::ptr::null_mut(), ss_flags: SS_DISABLE, ss_size: 0 };
        // SAFETY: the caller has a place for it.
        unsafe { before.write(none) };
    }
    0
}
