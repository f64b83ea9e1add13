//! The trampolines of [`crate::compile::trampoline`] in executable memory: one set per process.

use std::io;
use std::sync::OnceLock;

use super::code::{CodeMemory, CodeRegion};
use crate::compile::abi::VmContext;
use crate::compile::trampoline::{RegisterFile, ResultClass, Trampolines};

struct Published {
    code: CodeMemory,
    offsets: Trampolines,
}

static PUBLISHED: OnceLock<Result<Published, i32>> = OnceLock::new();

/// Emits and publishes the trampolines if they are not there yet.
pub(super) fn ensure() -> io::Result<()> {
    match PUBLISHED.get_or_init(|| publish().map_err(|e| e.raw_os_error().unwrap_or(0))) {
        Ok(_) => Ok(()),
        Err(error) => Err(io::Error::from_raw_os_error(*error)),
    }
}

fn publish() -> io::Result<Published> {
    let offsets = Trampolines::emit();
    let region = CodeRegion::for_trampolines()?;
    let mut draft = region.allocate(offsets.bytes.len()).ok_or(io::ErrorKind::OutOfMemory)??;
    draft.bytes_mut().copy_from_slice(&offsets.bytes);
    Ok(Published { code: draft.publish()?, offsets })
}

/// The address of something in the published trampolines. Takes no lock once they are there.
fn address(offset: impl FnOnce(&Trampolines) -> u32) -> usize {
    match PUBLISHED.get() {
        Some(Ok(published)) => published.code.address() + offset(&published.offsets) as usize,
        // Nothing runs before `ensure` has succeeded: every instance is made behind it.
        _ => unreachable!("trampolines are published before the first instance"),
    }
}

/// Calls code whose arguments a [`RegisterFile`] holds; returns the status, 0 unless it trapped.
pub(super) type Indirect =
    unsafe extern "sysv64" fn(*mut RegisterFile, *mut VmContext, *const u8) -> u64;

/// The entry that takes everything from memory.
pub(super) fn indirect() -> Indirect {
    // SAFETY: the code at that address has this signature.
    unsafe { std::mem::transmute::<usize, Indirect>(address(|t| t.indirect)) }
}

/// The address of the entry for so many integer parameters and that class of result.
pub(super) fn direct(ints: usize, result: ResultClass) -> *const u8 {
    address(|t| t.direct[ints][result as usize]) as *const u8
}

/// The address of the crossing to host functions with so many integer parameters, whose parameters and
/// result are all in registers.
pub(super) fn host_direct(ints: usize) -> *const u8 {
    address(|t| t.host_direct[ints]) as *const u8
}

/// What the shim behind such a crossing returns to if it has failed.
pub(super) fn host_failed() -> usize {
    address(|t| t.host_failed)
}

/// The address of the crossing to all other host functions.
pub(super) fn host_indirect() -> *const u8 {
    address(|t| t.host_indirect) as *const u8
}

/// The address for [`VmContext::raise_trap`].
pub(super) fn raise_trap() -> usize {
    address(|t| t.raise_trap)
}

/// Where a signal handler resumes after a trap. Async-signal-safe once an instance exists.
pub(super) fn landing_pad() -> usize {
    address(|t| t.landing_pad)
}
