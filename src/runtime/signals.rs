//! Faults in compiled code become traps; all other faults go where they went before.
//!
//! Owns the process's handlers for SIGSEGV, SIGBUS, SIGILL and SIGFPE, installed when the first
//! instance is made. A fault is ours if its program counter lies in a region of compiled code and,
//! in the module that [`VMCTX`](crate::compile::abi::VMCTX) leads to, at a known trap site.
//! Everything else is passed to the handler that was there before, so that other libraries and the
//! debugger keep their signals.
//!
//! SIGURG is what the watcher sends to a thread whose guest is to end. It stops the guest at any
//! instruction, so that nothing may be assumed of a frame but that the stack is mapped from rsp to the
//! entry. What a guest does in several instructions may be left half done: see `table_set` of the tiers.
//!
//! Everything here that runs in a handler is async-signal-safe: it takes no lock, allocates nothing
//! and calls nothing that might.

use std::io;
use std::mem::{self, MaybeUninit};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::SeqCst;

use super::code_map::CodeMap;
#[cfg(miri)]
use super::miri as libc;
use super::regions;
use super::thread::Thread;
use super::{trampolines, trap};
use crate::compile::abi::VmContext;
use crate::error::TrapCode;

const SIGNALS: [libc::c_int; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

/// What was installed before, in the order of [`SIGNALS`].
static PREVIOUS: OnceLock<Result<[libc::sigaction; 4], i32>> = OnceLock::new();

type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

/// Installs the handlers if they are not there yet.
pub(super) fn install() -> io::Result<()> {
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| {
        // What was there is known before the first handler runs, for faults of other threads.
        PREVIOUS.get_or_init(look_up_all).as_ref().map_err(|error| *error)?;
        // On the alternate stack, for the guest may have used up its own. Not masked while it runs,
        // so that a fault in a previous handler is seen by that library as before.
        let flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        // Zeros from the start: some libraries make only the part empty that the kernel knows.
        let mut none = MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: the set is initialised, as a set and before that as integers.
        let none = unsafe {
            libc::sigemptyset(none.as_mut_ptr());
            none.assume_init()
        };
        SIGNALS.into_iter().try_for_each(|signal| install_one(signal, handle, flags, &none))
    });
    installed.map_err(io::Error::from_raw_os_error)
}

fn last_error() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// The actions that are installed now.
fn look_up_all() -> Result<[libc::sigaction; 4], i32> {
    let [a, b, c, d] = SIGNALS.map(look_up);
    Ok([a?, b?, c?, d?])
}

/// The action that is installed now for a signal.
fn look_up(signal: libc::c_int) -> Result<libc::sigaction, i32> {
    // SAFETY: all-zero is a valid `sigaction`; without a new action, `sigaction` only writes the
    // present one.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        match libc::sigaction(signal, ptr::null(), &mut action) {
            0 => Ok(action),
            _ => Err(last_error()),
        }
    }
}

fn install_one(
    signal: libc::c_int,
    handler: Handler,
    flags: libc::c_int,
    mask: &libc::sigset_t,
) -> Result<(), i32> {
    // SAFETY: all-zero is a valid `sigaction`, and the handler has the signature that SA_SIGINFO,
    // which is among the flags, asks for.
    let result = unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = handler as usize;
        action.sa_flags = flags;
        action.sa_mask = *mask;
        libc::sigaction(signal, &action, ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(last_error()) }
}

/// Lets the calling thread receive the faults' signals: the kernel ends a process whose thread faults
/// while it blocks the fault's signal. They are sent to nobody in particular only by mistake, so that a
/// thread which blocks all signals for good reasons means others.
pub(super) fn unblock() -> io::Result<()> {
    unblock_all(&SIGNALS)
}

/// Lets the calling thread receive the signal that interrupts guests. Only where one may be sent:
/// other libraries may have blocked it for threads that wait for it.
pub(super) fn unblock_poke() {
    let unblocked = unblock_all(&[libc::SIGURG]);
    debug_assert!(unblocked.is_ok(), "the only error is an argument that does not exist");
}

fn unblock_all(signals: &[libc::c_int]) -> io::Result<()> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the set, which the other calls then read.
    let error = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), *signal);
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
    // SAFETY: these are the registers of the calling thread.
    let Some(guest) = (unsafe { Guest::at(context) }) else { return false };
    let code = match (guest.map.trap_at(guest.offset), fault) {
        // A builtin has failed, not by what its operator can fail by.
        (Some(_), _) if guest.thread.interrupted.take() => TrapCode::Interrupted,
        (Some(site), _) => site.code,
        // A frame that reached past the end of the stack before its check, or without one.
        (None, Some(address)) if guest.thread.is_past_stack_limit(address) => {
            TrapCode::StackOverflow
        }
        (None, _) if guest.map.is_foreign(guest.offset) => TrapCode::MachineFault,
        (None, _) => return false,
    };
    // SAFETY: the fault is the guest's.
    unsafe { guest.end(code, context) };
    true
}

/// In the register of flags: whether string instructions go down.
const DIRECTION_FLAG: i64 = 1 << 10;

/// A guest that stands still, inside an entry: at the landing pad it ends.
struct Guest {
    thread: &'static Thread,
    map: &'static CodeMap,
    /// Where in the map's code the program counter is.
    offset: u32,
}

impl Guest {
    /// The guest that a signal has stopped, if these are a guest's registers.
    ///
    /// # Safety
    ///
    /// `context` is the calling thread's. What this returns is not used when the handler has returned.
    unsafe fn at(context: &libc::ucontext_t) -> Option<Guest> {
        let register = |index: libc::c_int| context.uc_mcontext.gregs[index as usize] as usize;
        let pc = register(libc::REG_RIP);
        if !regions::GUESTS.contain(pc) {
            return None;
        }
        // Most code in these regions runs with the context of a live instance in r15. Functions that
        // need none are also called straight from the host, and then r15 may hold anything.
        let vmctx = register(libc::REG_R15) as *const VmContext;
        let thread = Thread::here()?;
        if !thread.has_context(vmctx) {
            return None;
        }
        // SAFETY: the context is one of a live instance, which keeps the module's code map alive.
        let map = unsafe { (*vmctx).module.cast::<CodeMap>().as_ref() }?;
        let offset = map.offset_of(pc)?;
        let guest = Guest { thread, map, offset };
        let (frame_pointer, stack_pointer) = (register(libc::REG_RBP), register(libc::REG_RSP));
        // SAFETY: these are the registers at `offset`.
        let is_guest = map.plain_at(offset).is_err()
            || unsafe { guest.was_called_by_guest(frame_pointer, stack_pointer) };
        is_guest.then_some(guest)
    }

    /// Whether it was a guest, or the loop of a batch, that called the plain function that is stopped
    /// here, and not the host. A
    /// guest that does little else than call one would hardly ever be found in its own code.
    ///
    /// # Safety
    ///
    /// The guest was stopped at `offset` with these values in rbp and rsp.
    unsafe fn was_called_by_guest(&self, frame_pointer: usize, stack_pointer: usize) -> bool {
        /// `push rbp; mov rbp, rsp`.
        const FRAME: [u8; 4] = [0x55, 0x48, 0x89, 0xe5];
        /// Those of `ret`, before which rbp is the caller's again.
        const RETURNS: [u8; 2] = [0xc3, 0xc2];
        let Some(function) = self.map.function_at(self.offset) else { return false };
        let (start, end) = (function.code.start as usize, function.code.end as usize);
        let code = &self.map.code.bytes()[start..end];
        let (done, left) = code.split_at(self.offset as usize - start);
        let has_frame = done.starts_with(&FRAME) && !RETURNS.contains(&left[0]);
        let place = match function.frameless {
            true => stack_pointer,
            false if has_frame => frame_pointer.wrapping_add(8),
            // A moment before or after it has.
            false => return false,
        };
        // SAFETY: a plain function calls nobody and moves neither register but as it was just looked
        // at, so that this is where its return address lies.
        self.thread.is_on_stack(place)
            && regions::GUESTS.contain(unsafe { *(place as *const usize) })
    }

    /// Records the trap and makes the guest resume at the landing pad.
    ///
    /// # Safety
    ///
    /// `context` is the one that the guest was found in.
    unsafe fn end(self, code: TrapCode, context: &mut libc::ucontext_t) {
        let registers = &mut context.uc_mcontext.gregs;
        let register = |index: libc::c_int| registers[index as usize] as usize;
        let function = self.map.function_at(self.offset);
        let frameless = function.is_some_and(|function| function.frameless);
        let pc = register(libc::REG_RIP);
        let (frame_pointer, stack_pointer) = (register(libc::REG_RBP), register(libc::REG_RSP));
        // SAFETY: the guest is stopped at `pc` with these registers, on this thread.
        unsafe { trap::record(self.thread, code, pc, frameless, frame_pointer, stack_pointer) };
        // A builtin may just have returned that was interrupted, too.
        self.thread.interrupted.set(false);
        registers[libc::REG_RIP as usize] = trampolines::landing_pad() as i64;
        // The host's code needs it clear. Only code that no tier has made may have set it.
        registers[libc::REG_EFL as usize] &= !DIRECTION_FLAG;
    }
}

/// What was installed for SIGURG before [`install_poke`].
static PREVIOUS_POKE: OnceLock<Result<libc::sigaction, i32>> = OnceLock::new();

/// Installs the handler for the signal that interrupts guests, if it is not there yet. A signal that
/// is ignored by default, so that one which comes late does no harm.
pub(super) fn install_poke() -> io::Result<()> {
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| {
        // What was there is known before the handler runs, for signals that are not ours.
        let previous = PREVIOUS_POKE.get_or_init(|| look_up(libc::SIGURG));
        let previous = previous.as_ref().map_err(|error| *error)?;
        // System calls of host functions go on, where the kernel does that, unless somebody has
        // a handler so that they do not.
        let mut flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        if has_handler(previous) {
            flags &= !libc::SA_RESTART | previous.sa_flags;
        }
        // What must not interrupt the other handler does not interrupt ours, which calls it.
        install_one(libc::SIGURG, handle_poke, flags, &previous.sa_mask)
    });
    installed.map_err(io::Error::from_raw_os_error)
}

/// What a signal of ours has with it: an address, which nobody else uses.
fn mark() -> *mut libc::c_void {
    ptr::from_ref(&PREVIOUS_POKE).cast_mut().cast()
}

/// The calling thread's number, by which it gets signals.
pub(super) fn own_thread() -> libc::pid_t {
    if cfg!(miri) {
        return 0;
    }
    // SAFETY: no preconditions.
    unsafe { libc::syscall(libc::SYS_gettid) as libc::pid_t }
}

/// Sends a thread of this process the signal that interrupts guests. It says itself that it is ours: what
/// is noted beside it could be read by the handler of the signal before.
pub(super) fn send_poke(thread: libc::pid_t) {
    /// The kernel's `siginfo_t`, of 128 bytes, of a signal that somebody has queued.
    #[repr(C)]
    struct Queued {
        signal: libc::c_int,
        error: libc::c_int,
        code: libc::c_int,
        padding: libc::c_int,
        process: libc::pid_t,
        user: libc::uid_t,
        value: *mut libc::c_void,
        rest: [u64; 12],
    }
    const { assert!(size_of::<Queued>() == size_of::<libc::siginfo_t>()) };
    if cfg!(miri) {
        return;
    }
    // SAFETY: the system call reads the `siginfo_t`, which is all there. A thread that does not exist is an
    // error, which changes nothing, as any other: who sends a signal, sends it again.
    unsafe {
        let process = libc::getpid();
        let info = Queued {
            signal: libc::SIGURG,
            error: 0,
            code: libc::SI_QUEUE,
            padding: 0,
            process,
            user: libc::getuid(),
            value: mark(),
            rest: [0; 12],
        };
        let number = libc::SYS_rt_tgsigqueueinfo;
        libc::syscall(number, process, thread, libc::SIGURG, ptr::from_ref(&info));
    }
}

extern "C" fn handle_poke(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: with SA_SIGINFO the kernel passes a valid siginfo and a valid ucontext, which live until
    // the handler returns and which nobody else uses meanwhile; errno is the thread's own, and what
    // it interrupts finds it as it was.
    unsafe {
        let errno = *libc::__errno_location();
        // Before anything else: a thread that knows nothing of guests may have no thread-local values yet.
        if (*info).si_code == libc::SI_QUEUE && (*info).si_value().sival_ptr == mark() {
            if let Some(thread) = Thread::here() {
                see_poke(thread, &mut *context.cast::<libc::ucontext_t>());
            }
        } else if let Some(Ok(previous)) = PREVIOUS_POKE.get() {
            call_previous(previous, signal, info, context);
        }
        *libc::__errno_location() = errno;
    }
}

/// Ends the guest that the signal has stopped, if it is to end and can be ended here.
///
/// # Safety
///
/// `context` is that of the signal on the calling thread, which is `thread`.
unsafe fn see_poke(thread: &Thread, context: &mut libc::ucontext_t) {
    let look = thread.look();
    let guest = if look.ends {
        // SAFETY: the context is the calling thread's.
        unsafe { Guest::at(context) }
    } else {
        None
    };
    match guest {
        Some(guest) => {
            // SAFETY: as above.
            unsafe { guest.end(TrapCode::Interrupted, context) };
            thread.settle(look);
        }
        None if look.ends => {
            thread.look_again();
            let pc = context.uc_mcontext.gregs[libc::REG_RIP as usize] as usize;
            thread.target().soon.store(regions::GUESTS.contain(pc), SeqCst);
        }
        None => thread.settle(look),
    }
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
            Some(action) if call_previous(action, signal, info, context) => {}
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

/// Whether an action is a function, and neither of the two that are none.
fn has_handler(action: &libc::sigaction) -> bool {
    action.sa_sigaction != libc::SIG_DFL && action.sa_sigaction != libc::SIG_IGN
}

/// Calls the handler that was there before; whether there was one.
///
/// # Safety
///
/// The action was installed for this signal, and the other arguments are those that the kernel passed.
unsafe fn call_previous(
    action: &libc::sigaction,
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) -> bool {
    if !has_handler(action) {
        return false;
    }
    // SAFETY: the function may be called with what the kernel passed, in the form that its flags name.
    unsafe {
        if action.sa_flags & libc::SA_SIGINFO != 0 {
            mem::transmute::<usize, Handler>(action.sa_sigaction)(signal, info, context);
        } else {
            type Simple = extern "C" fn(libc::c_int);
            mem::transmute::<usize, Simple>(action.sa_sigaction)(signal);
        }
    }
    true
}
