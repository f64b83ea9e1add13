//! From a trap site to an `Err`: recording what happened while the guest's frames still stand, and
//! telling it once they are gone.

use super::code_map::CodeMap;
use super::thread::Thread;
use crate::compile::abi::VmContext;
use crate::error::{Frame, Trap, TrapCode};
use crate::module::ModuleInfo;

/// Notes a trap and the activations that lead to it. Async-signal-safe.
///
/// # Safety
///
/// The calling thread is `thread`, and its guest stands still at `pc`, in the code that `map`
/// describes, with those values in rbp and rsp. Nobody else uses the thread's trap record.
pub(super) unsafe fn record(
    thread: *mut Thread,
    map: &CodeMap,
    code: TrapCode,
    pc: usize,
    frame_pointer: usize,
    stack_pointer: usize,
) {
    // SAFETY: the caller vouches for the pointer and for having it alone.
    let thread = unsafe { &mut *thread };
    let entry_sp = thread.state.entry_sp;
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

    let trap = &mut thread.trap;
    trap.start(code);
    trap.push(pc);
    let frameless = map
        .offset_of(pc)
        .and_then(|offset| map.function_at(offset))
        .is_some_and(|function| function.frameless);
    if frameless {
        match word(stack_pointer) {
            Some(caller) if map.offset_of(caller).is_some() => trap.push(caller),
            _ => return,
        };
    }
    let mut frame = frame_pointer;
    while let (Some(next), Some(caller)) = (word(frame), word(frame.wrapping_add(8))) {
        // Code outside the module is the entry trampoline: the host lies behind it.
        if map.offset_of(caller).is_none() || !trap.push(caller) || next <= frame {
            return;
        }
        frame = next;
    }
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
    // called stands still.
    unsafe {
        let map = &*(*vmctx).module.cast::<CodeMap>();
        let site = map.offset_of(pc).and_then(|offset| map.trap_at(offset));
        // Every call of the trap routine is a trap site: the tiers record each one they emit.
        let code = site.map_or(TrapCode::Unreachable, |site| site.code);
        record((*vmctx).thread.cast(), map, code, pc, frame_pointer, stack_pointer);
    }
}

/// Makes the error of the trap that the thread has recorded.
#[cold]
pub(super) fn take(thread: &Thread, map: &CodeMap, info: &ModuleInfo) -> Trap {
    let mut frames = Vec::with_capacity(thread.trap.pcs().len());
    for (i, pc) in thread.trap.pcs().iter().enumerate() {
        let Some(offset) = map.offset_of(*pc) else { continue };
        // A return address may be the end of its function: the call before it is inside.
        let inside = if i == 0 { offset } else { offset - 1 };
        let Some(function) = map.function_at(inside) else { continue };
        let wasm_offset = match i {
            0 => map.trap_at(offset).map(|site| site.wasm_offset),
            _ => map.call_before(offset).map(|site| site.wasm_offset),
        };
        frames.push(Frame {
            function: function.function,
            name: info.function_name(function.function),
            offset: wasm_offset,
        });
    }
    Trap::new(thread.trap.code, frames, thread.trap.cut)
}
