//! Faults in compiled code become traps; all other faults go where they went before.
//!
//! Owns the process's handlers for SIGSEGV, SIGBUS, SIGILL and SIGFPE, installed when the first
//! instance is made. A fault is ours if its program counter lies in a region of compiled code and,
//! in the module that [`VMCTX`](crate::compile::abi::VMCTX) leads to, at a known trap site.
//! Everything else is passed to the handler that was there before, so that other libraries and the
//! debugger keep their signals.
//!
//! Everything here that runs in a handler is async-signal-safe: it takes no lock, allocates nothing
//! and calls nothing that might.

use std::io;
use std::mem::{self, MaybeUninit};
use std::ptr;
use std::sync::OnceLock;

use super::code_map::CodeMap;
use super::regions;
use super::thread::Thread;
use super::{trampolines, trap};
use crate::compile::abi::VmContext;
use crate::error::TrapCode;

const SIGNALS: [libc::c_int; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

/// What was installed before, in the order of [`SIGNALS`].
static PREVIOUS: OnceLock<Result<[libc::sigaction; 4], i32>> = OnceLock::new();

/// Installs the handlers if they are not there yet.
pub(super) fn install() -> io::Result<()> {
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| {
        // What was there is known before the first handler runs, for faults of other threads.
        PREVIOUS.get_or_init(look_up).as_ref().map_err(|error| *error)?;
        SIGNALS.into_iter().try_for_each(install_one)
    });
    installed.map_err(io::Error::from_raw_os_error)
}

fn last_error() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// The actions that are installed now.
fn look_up() -> Result<[libc::sigaction; 4], i32> {
    // SAFETY: all-zero is a valid `sigaction`; without a new action, `sigaction` only writes the
    // present one.
    let mut actions: [libc::sigaction; 4] = unsafe { mem::zeroed() };
    for (signal, action) in SIGNALS.into_iter().zip(&mut actions) {
        // SAFETY: as above.
        if unsafe { libc::sigaction(signal, ptr::null(), action) } != 0 {
            return Err(last_error());
        }
    }
    Ok(actions)
}

fn install_one(signal: libc::c_int) -> Result<(), i32> {
    // SAFETY: all-zero is a valid `sigaction`, and the handler has the signature that SA_SIGINFO
    // asks for.
    let result = unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = handle as *const () as usize;
        // On the alternate stack, for the guest may have used up its own. Not masked while it runs,
        // so that a fault in a previous handler is seen by that library as before.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(signal, &action, ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(last_error()) }
}

/// Lets the calling thread receive the signals: the kernel ends a process whose thread faults while it
/// blocks the fault's signal. They are sent to nobody in particular only by mistake, so that a thread
/// which blocks all signals for good reasons means others.
pub(super) fn unblock() -> io::Result<()> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the set, which the other calls then read.
    let error = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in SIGNALS {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), ptr::null_mut())
    };
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a valid siginfo and a valid ucontext, which live
    // until the handler returns and which nobody else uses meanwhile.
    let handled = unsafe {
        let fault = if matches!(signal, libc::SIGSEGV | libc::SIGBUS) {
            Some((*info).si_addr() as usize)
        } else {
            None
        };
        // A signal that somebody sent is no fault, wherever it arrives.
        (*info).si_code > 0 && raise(fault, &mut *context.cast::<libc::ucontext_t>())
    };
    if !handled {
        // SAFETY: these are the arguments that the kernel passed.
        unsafe { pass_on(signal, info, context) };
    }
}

/// If the fault is a guest's, records the trap and makes the context resume at the landing pad.
///
/// `fault` is the address that could not be accessed, for signals that have one.
///
/// # Safety
///
/// `context` is that of a fault on the calling thread.
unsafe fn raise(fault: Option<usize>, context: &mut libc::ucontext_t) -> bool {
    let registers = &mut context.uc_mcontext.gregs;
    let register = |index: libc::c_int| registers[index as usize] as usize;
    let pc = register(libc::REG_RIP);
    if !regions::contain(pc) {
        return false;
    }
    // Most code in these regions runs with the context of a live instance in r15. Functions that need
    // none are also called straight from the host, and then r15 may hold anything.
    let vmctx = register(libc::REG_R15) as *const VmContext;
    let Some(thread) = Thread::here() else { return false };
    if !thread.has_context(vmctx) {
        return false;
    }
    // SAFETY: the context is one of a live instance, which keeps the module's code map alive.
    let Some(map) = (unsafe { (*vmctx).module.cast::<CodeMap>().as_ref() }) else { return false };
    let Some(offset) = map.offset_of(pc) else { return false };
    // Such a function faults only where the stack ends, and for a guest there is always some left:
    // this is the host's own overflow.
    if map.plain_at(offset).is_ok() {
        return false;
    }
    let code = match (map.trap_at(offset), fault) {
        (Some(site), _) => site.code,
        // A frame that reached past the end of the stack before its check, or without one.
        (None, Some(address)) if thread.is_past_stack_limit(address) => TrapCode::StackOverflow,
        (None, _) if map.is_foreign(offset) => TrapCode::MachineFault,
        (None, _) => return false,
    };
    let frameless = map.function_at(offset).is_some_and(|function| function.frameless);
    let (frame_pointer, stack_pointer) = (register(libc::REG_RBP), register(libc::REG_RSP));
    // SAFETY: the guest is stopped at `pc` with these registers, on this thread.
    unsafe { trap::record(thread, code, pc, frameless, frame_pointer, stack_pointer) };
    registers[libc::REG_RIP as usize] = trampolines::landing_pad() as i64;
    true
}

/// Does what would have happened without our handler.
///
/// # Safety
///
/// The arguments are those that the kernel passed to the handler.
unsafe fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let previous =
        PREVIOUS.get().and_then(|previous| previous.as_ref().ok()).and_then(|previous| {
            let index = SIGNALS.iter().position(|known| *known == signal)?;
            Some(&previous[index])
        });
    // SAFETY: the previous action was installed by someone for this signal, so its function may be
    // called with what the kernel passed, in the form that its flags name.
    unsafe {
        // A fault of this thread, as opposed to a signal that somebody sent.
        let is_fault = (*info).si_code > 0;
        match previous {
            // The kernel lets nobody ignore a fault.
            Some(action) if action.sa_sigaction == libc::SIG_IGN && !is_fault => {}
            Some(action)
                if action.sa_sigaction != libc::SIG_DFL && action.sa_sigaction != libc::SIG_IGN =>
            {
                if action.sa_flags & libc::SA_SIGINFO != 0 {
                    type Handler =
                        extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
                    mem::transmute::<usize, Handler>(action.sa_sigaction)(signal, info, context);
                } else {
                    type Handler = extern "C" fn(libc::c_int);
                    mem::transmute::<usize, Handler>(action.sa_sigaction)(signal);
                }
            }
            _ => {
                let mut default: libc::sigaction = mem::zeroed();
                default.sa_sigaction = libc::SIG_DFL;
                libc::sigaction(signal, &default, ptr::null_mut());
                // Returning repeats a fault, and the default action then ends the process. A signal
                // that was sent must be sent again.
                if !is_fault {
                    libc::raise(signal);
                }
            }
        }
    }
}
