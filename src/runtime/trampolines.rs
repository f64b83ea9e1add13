//! The trampolines of [`crate::compile::trampoline`] in executable memory: one set per process.

use std::io;
use std::sync::OnceLock;

use super::code::{CodeMemory, CodeRegion};
use crate::compile::trampoline::Trampolines;

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

/// Whether an address is in there.
#[cfg(all(test, not(miri)))]
pub(super) fn contain(address: usize) -> bool {
    let code = PUBLISHED.get().and_then(|published| published.as_ref().ok());
    code.is_some_and(|published| {
        published.code.bytes().as_ptr_range().contains(&(address as *const u8))
    })
}

/// The address of what calls a function with everything that a register file holds.
pub(super) fn spread() -> *const u8 {
    address(|t| t.spread) as *const u8
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

/// The address that each context has as its `raise_trap`.
pub(super) fn raise_trap() -> usize {
    address(|t| t.raise_trap)
}

/// Where a signal handler resumes after a trap. Async-signal-safe once an instance exists.
pub(super) fn landing_pad() -> usize {
    address(|t| t.landing_pad)
}
