//! The way into a guest: the one call instruction behind which guests run, in the host's own code, and
//! what the thread must know while one does.
//!
//! It is inlined where the call is made, because a call of a guest that does little takes as long as
//! its branches do: a trampoline in between would be two more of them. What stays of an entry is its
//! frame:
//!
//! ```text
//! rbx rbp                 the two registers that no `asm!` may declare as lost
//! the landing             where a guest goes on that does not return
//! the context
//! the entry before this one, or 0
//! the thread's requests so far        ThreadState::entry_sp points here: an EntryRecord
//! return address, in the host
//! ```
//!
//! A guest that returns has kept rbx, rbp and r14. One that does not comes by way of the landing pad
//! (`compile::trampoline`), which undoes the frame; all other registers are lost either way.
//!
//! What calls do one after the other must not become a chain: an entry reads nothing that the entry
//! before it has written, but for the branch that tells an outermost one.
//!
//! **Nobody sees an entry half made.** It is there from its last instruction but one on, for deadlines, but
//! no request concerns it. The last one reads how many requests there have been and writes that down at
//! once: a signal comes before it or after it. So a request either comes before an entry and does not
//! concern it, or finds it.

use std::arch::asm;
use std::hint::black_box;
use std::mem::{MaybeUninit, offset_of};
use std::sync::atomic::Ordering::Relaxed;

use crate::compile::abi::{
    ENTRY_SP, EntryRecord, FLOAT_PARAMS, INT_PARAMS, REQUESTS, Slot, UNCOUNTED, VmFunction,
};

/// The most integers among the parameters that [`enter`] takes.
pub(super) const MAX_INTS: usize = INT_PARAMS.len();
/// The most floats.
pub(super) const MAX_FLOATS: usize = FLOAT_PARAMS.len();

/// The registers that parameters travel in. Those that a signature does not use hold anything, and
/// nothing is done to load them.
#[derive(Clone, Copy)]
pub(super) struct Arguments {
    ints: [MaybeUninit<u64>; MAX_INTS],
    floats: [MaybeUninit<f64>; MAX_FLOATS],
}

impl Arguments {
    #[inline(always)]
    pub fn new() -> Arguments {
        Arguments {
            ints: [MaybeUninit::uninit(); MAX_INTS],
            floats: [MaybeUninit::uninit(); MAX_FLOATS],
        }
    }

    /// Places an argument's bits.
    ///
    /// # Panics
    ///
    /// The place is in memory.
    #[inline(always)]
    pub fn set(&mut self, slot: Slot, raw: u64) {
        match slot {
            Slot::Int(number) => self.ints[number] = MaybeUninit::new(raw),
            Slot::Float(number) => self.floats[number] = MaybeUninit::new(f64::from_bits(raw)),
            Slot::Memory(_) => unreachable!("the arguments travel in registers"),
        }
    }
}

/// The bits of a result: in one of these, by its class, or in none.
#[derive(Clone, Copy)]
pub(super) struct Returned {
    pub int: u64,
    pub float: u64,
}

// What the code below writes.
const _: () = {
    assert!(offset_of!(EntryRecord, requests) == 0);
    assert!(offset_of!(EntryRecord, before) == 8);
    assert!(offset_of!(EntryRecord, vmctx) == 16);
    assert!(offset_of!(EntryRecord, landing) == 24);
    assert!(offset_of!(EntryRecord, rbp) == 32);
    assert!(offset_of!(EntryRecord, rbx) == 40);
    assert!(size_of::<EntryRecord>() == 48);
};

/// An entry: `$before` pushes the one before it, `$leave` makes that the innermost again, with the
/// record's first word still on the stack, and takes the rest of the frame away.
macro_rules! enter {
    ($function:ident, $arguments:ident, $before:literal, [$($leave:literal),*]) => {{
        let VmFunction { code, vmctx } = $function;
        let (int, float, trapped): (u64, f64, u32);
        let Arguments { ints, floats } = $arguments;
        asm!(
            "push rbx",
            "push rbp",
            "lea r11, [rip + 2f]",
            "push r11",
            "push r15",
            $before,
            "mov qword ptr [rsp - 8], {UNCOUNTED}",
            "lea r11, [rsp - 8]",
            "mov qword ptr [r14 + {ENTRY_SP}], r11",
            "push qword ptr [r14 + {REQUESTS}]",
            "call r10",
            $($leave,)*
            "xor r11d, r11d",
            "2:",
            ENTRY_SP = const ENTRY_SP,
            REQUESTS = const REQUESTS,
            UNCOUNTED = const UNCOUNTED as i64,
            inout("r15") vmctx => _,
            inout("r14") (*vmctx).thread => _,
            in("r10") code,
            in("rdi") ints[0],
            in("rsi") ints[1],
            in("rdx") ints[2],
            in("rcx") ints[3],
            in("r8") ints[4],
            in("r9") ints[5],
            inlateout("xmm0") floats[0] => float,
            in("xmm1") floats[1],
            in("xmm2") floats[2],
            in("xmm3") floats[3],
            in("xmm4") floats[4],
            in("xmm5") floats[5],
            in("xmm6") floats[6],
            in("xmm7") floats[7],
            lateout("rax") int,
            lateout("r11d") trapped,
            out("r12") _,
            out("r13") _,
            clobber_abi("sysv64"),
        );
        (trapped == 0).then_some(Returned { int, float: float.to_bits() })
    }};
}

/// Calls code that follows the convention of wasm functions, with arguments that all travel in
/// registers; returns what it returns, or `None` after a trap.
///
/// # Safety
///
/// The arguments are of the code's signature: all of them travel in registers, and the one result that
/// there may be; none is a vector. The context is the one that the code expects, of a live instance of
/// the calling thread or of a host function bound to one.
#[inline(always)]
pub(super) unsafe fn enter(function: VmFunction, arguments: Arguments) -> Option<Returned> {
    // SAFETY: the caller vouches for code, arguments and context, which names its thread's state. The
    // frame is below all that the compiler keeps on the stack, and gone behind the block; the
    // registers that the guest changes are declared, but for rbx and rbp: it keeps them if it returns,
    // and the landing pad restores them otherwise. Nothing unwinds through here: functions of the host
    // catch their panics.
    unsafe {
        if (*(*function.vmctx).thread).entry_sp.load(Relaxed) != 0 {
            // Arguments whose address is known would be in memory in every call. It is that of a copy.
            return enter_nested(function, black_box(arguments));
        }
        enter!(
            function,
            arguments,
            "push 0",
            ["mov qword ptr [r14 + {ENTRY_SP}], 0", "add rsp, 48"]
        )
    }
}

/// The entry from a function of the host that a guest has called.
///
/// # Safety
///
/// As for [`enter`].
#[cold]
#[inline(never)]
unsafe fn enter_nested(function: VmFunction, arguments: Arguments) -> Option<Returned> {
    // SAFETY: as in `enter`.
    unsafe {
        enter!(
            function,
            arguments,
            "push qword ptr [r14 + {ENTRY_SP}]",
            ["add rsp, 8", "pop qword ptr [r14 + {ENTRY_SP}]", "add rsp, 32"]
        )
    }
}
