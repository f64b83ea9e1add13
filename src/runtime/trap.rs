//! From a trap site to an `Err`: recording what happened while the guest's frames still stand, and
//! telling it once they are gone.

use std::sync::atomic::Ordering;

use super::code_map::CodeMap;
use super::group::Handle;
use super::regions;
use super::thread::{Failure, Thread, TrapRecord};
use crate::compile::abi::VmContext;
use crate::error::{Frame, Trap, TrapCode};

/// A trap of an instance's group that may come again: a guest that refuses its arguments does so in
/// the same place each time, and telling where that is takes longer than the call.
///
/// Program counters mean the same as long as the group lives, for no member leaves it before. The loop
/// of a batch has one too, and stays as long as its function.
pub(super) struct LastTrap {
    pcs: [usize; LAST_PCS],
    trap: Trap,
}

/// The most activations of a trap that is kept, the loop of a batch among them.
const LAST_PCS: usize = 5;

impl LastTrap {
    /// What to keep of a trap, if it is one to keep.
    fn of(record: &TrapRecord, trap: &Trap) -> Option<LastTrap> {
        let mut pcs = [0; LAST_PCS];
        pcs.get_mut(..record.pcs().len())?.copy_from_slice(record.pcs());
        Some(LastTrap { pcs, trap: trap.clone() })
    }

    fn is(&self, record: &TrapRecord) -> bool {
        let pcs = record.pcs();
        let (kept, rest) = self.pcs.split_at(pcs.len().min(LAST_PCS));
        // No activation is at address 0.
        kept == pcs && rest.first().is_none_or(|pc| *pc == 0) && self.trap.code() == record.code
    }
}

/// Notes a trap and the activations that lead to it. Async-signal-safe.
///
/// # Safety
///
/// The calling thread is `thread`, and its guest stands still at `pc`, with those values in rbp and
/// rsp. `frameless` says that the return address of the function there is at rsp. Nobody else uses
/// the thread's trap record.
pub(super) unsafe fn record(
    thread: &Thread,
    code: TrapCode,
    pc: usize,
    frameless: bool,
    frame_pointer: usize,
    stack_pointer: usize,
) {
    // SAFETY: the caller vouches for having the record alone; the state is a word that only
    // entries on this thread write.
    let (trap, entry_sp) =
        unsafe { (&mut *thread.trap(), (*thread.state()).entry_sp.load(Ordering::Relaxed)) };
    // Reads a word of the guest's part of the stack, if the address is in it.
    // A frame that overflowed the stack has left rsp beyond it, and rbp at its top.
    let low = if thread.is_on_stack(stack_pointer) { stack_pointer } else { frame_pointer };
    let on_stack = thread.is_on_stack(low);
    let word = |address: usize| {
        let inside = on_stack && address >= low && address < entry_sp && address.is_multiple_of(8);
        // SAFETY: between rsp and the entry's stack pointer lie the frames of the stopped guest,
        // mapped and initialised.
        inside.then(|| unsafe { *(address as *const usize) })
    };

    trap.start(code);
    trap.push(pc);
    if frameless {
        match word(stack_pointer) {
            Some(caller) if regions::GUESTS.contain(caller) => trap.push(caller),
            _ => return,
        };
    }
    let mut frame = frame_pointer;
    while let (Some(next), Some(caller)) = (word(frame), word(frame.wrapping_add(8))) {
        // Code outside the regions is where the host has entered.
        if !regions::GUESTS.contain(caller) || !trap.push(caller) || next <= frame {
            return;
        }
        frame = next;
    }
}

/// The thread's state behind a context's pointer.
///
/// # Safety
///
/// `vmctx` is the context of a live instance, or of a host function bound to one.
pub(super) unsafe fn thread_of<'t>(vmctx: *const VmContext) -> &'t Thread {
    // SAFETY: the state is the first field of the thread, which the instance keeps alive.
    unsafe { &*(*vmctx).thread.cast::<Thread>() }
}

/// What compiled code calls to note a trap: [`RECORD_TRAP`](crate::compile::abi::RECORD_TRAP).
///
/// # Safety
///
/// Only the trampoline calls this, with the context of the running instance, the address of the
/// trap site, and rbp and rsp as they are there.
pub(super) unsafe extern "sysv64" fn record_trap(
    vmctx: *const VmContext,
    pc: usize,
    frame_pointer: usize,
    stack_pointer: usize,
) {
    // SAFETY: the instance that runs keeps its map and its thread's state alive, and the guest that
    // called stands still. A host function's context has no map.
    unsafe {
        let map = (*vmctx).module.cast::<CodeMap>().as_ref();
        let offset = map.and_then(|map| map.offset_of(pc));
        let known = map.zip(offset);
        let site = known.and_then(|(map, offset)| map.trap_at(offset));
        let frameless = known
            .and_then(|(map, offset)| map.function_at(offset))
            .is_some_and(|function| function.frameless);
        // Every call of the trap routine in wasm code is a trap site: the tiers record each one
        // that they emit. The other callers are the crossing to a host function that failed, and the
        // loop of a batch that is to end.
        let thread = thread_of(vmctx);
        let code = match site {
            // The builtin did not fail by what the operator can fail by.
            _ if thread.interrupted.take() => TrapCode::Interrupted,
            Some(site) => site.code,
            None if thread.has_failed() => TrapCode::HostError,
            None => TrapCode::Interrupted,
        };
        record(thread, code, pc, frameless, frame_pointer, stack_pointer);
    }
}

/// Makes the error of the trap that the thread has recorded, or goes on with a host function's
/// panic.
#[cold]
pub(super) fn take(thread: &Thread, instance: &Handle) -> Trap {
    let failure = thread.failure.take();
    if let Some(Failure::Panic(payload)) = failure {
        std::panic::resume_unwind(payload);
    }
    // SAFETY: the guest has ended, so nobody writes the record.
    let record = unsafe { &*thread.trap() };
    if failure.is_none()
        && let Some(last) = &*instance.last_trap.borrow()
        && last.is(record)
    {
        return last.trap.clone();
    }
    let mut frames = Vec::with_capacity(record.pcs().len());
    for (i, pc) in record.pcs().iter().enumerate() {
        instance.find_member(|member| {
            let module = &member.module.0;
            let offset = module.map.offset_of(*pc)?;
            let site = if i == 0 { module.map.trap_at(offset) } else { None };
            // A return address may be the end of its function: the call before it is inside. A guest
            // that was interrupted stood still anywhere.
            let exact = site.is_some() || i == 0 && record.code == TrapCode::Interrupted;
            let inside = if exact { offset } else { offset.saturating_sub(1) };
            let function = module.map.function_at(inside)?.function;
            let wasm_offset = match site {
                Some(site) => Some(site.wasm_offset),
                None => module.map.call_before(offset).map(|call| call.wasm_offset),
            };
            let mut push = |function, offset| {
                frames.push(Frame { function, name: module.info.function_name(function), offset });
            };
            // A function in the place of its call has no activation of its own.
            if let Some(inlined) = site.and_then(|site| module.map.inlined_at(site.offset)) {
                push(inlined.function, Some(inlined.wasm_offset));
            }
            push(function, wasm_offset);
            Some(())
        });
    }
    match failure {
        Some(Failure::Error(error)) => Trap::from_host(error, frames, record.cut),
        Some(Failure::Interrupted) => Trap::new(TrapCode::Interrupted, frames, record.cut),
        Some(Failure::StackOverflow) => Trap::new(TrapCode::StackOverflow, frames, record.cut),
        _ => {
            let trap = Trap::new(record.code, frames, record.cut);
            *instance.last_trap.borrow_mut() = LastTrap::of(record, &trap);
            trap
        }
    }
}
