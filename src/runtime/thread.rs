//! What the runtime keeps for each thread: the bounds of its stack, the innermost entry into wasm,
//! the trap on its way out, and a stack for signal handlers.

use std::cell::{Cell, OnceCell, UnsafeCell};
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::interrupt::Deadline;
#[cfg(miri)]
use super::miri as libc;
use super::signals;
use super::watcher::{Registration, Target};
use crate::compile::abi::{ThreadState, VmContext};
use crate::error::TrapCode;

/// What is left of a thread's stack for host functions and for the runtime when wasm has used up
/// its share; half of the stack where that is less.
const HOST_RESERVE: usize = 256 << 10;
/// The size of the stack for signal handlers, and the least that is accepted from others.
const SIGNAL_STACK: usize = 64 << 10;
/// How many activations a backtrace holds.
const MAX_FRAMES: usize = 64;

thread_local! {
    /// The calling thread's state, for signal handlers: constant at the beginning and without a
    /// destructor, so that reading it does nothing else.
    static HERE: Cell<*const Thread> = const { Cell::new(ptr::null()) };
}

/// A thread's state. Compiled code sees the first field.
#[repr(C)]
pub(super) struct Thread {
    /// Written by entries (`enter.rs`), behind Rust's back.
    state: UnsafeCell<ThreadState>,
    /// The lowest address that wasm code may move its stack pointer to, whatever its engine allows.
    lowest: usize,
    /// The thread's whole stack.
    stack: Range<usize>,
    /// Written by signal handlers, behind Rust's back.
    trap: UnsafeCell<TrapRecord>,
    /// The contexts of the thread's live instances: what r15 may hold in a guest.
    contexts: UnsafeCell<HashSet<usize, BuildHasherDefault<AddressHasher>>>,
    /// The deadlines of calls that are being made, innermost first.
    pub deadlines: AtomicPtr<Deadline>,
    /// A builtin has failed because its guest is to end.
    pub interrupted: Cell<bool>,
    /// The thread, as others see it. Made with the state's address, which is then final.
    target: OnceCell<Arc<Target>>,
    /// What a host function left when it failed, on its way out through the guest.
    pub failure: Cell<Option<Failure>>,
}

/// Hashes addresses that the allocator chose, by multiplication: what differs may be in any bits.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, address: usize) {
        let product = u128::from(self.0 ^ address as u64) * 0x9e37_79b9_7f4a_7c15;
        // Tables look at both ends of a hash.
        self.0 = product as u64 ^ (product >> 64) as u64;
    }
}

/// How a host function failed.
pub(super) enum Failure {
    Error(Box<dyn std::error::Error + Send + Sync>),
    Panic(Box<dyn std::any::Any + Send>),
    /// It was not called, for want of stack.
    StackOverflow,
    /// It did not fail, but when it returned its guest was to end.
    Interrupted,
}

/// A trap between its site and the host's frame that returns it.
pub(super) struct TrapRecord {
    pub code: TrapCode,
    /// The address of the trap site, then return addresses, innermost first.
    pcs: [usize; MAX_FRAMES],
    count: usize,
    /// There were more than fit.
    pub cut: bool,
}

impl TrapRecord {
    /// Starts a record. Async-signal-safe, as is [`TrapRecord::push`].
    pub fn start(&mut self, code: TrapCode) {
        self.code = code;
        self.count = 0;
        self.cut = false;
    }

    /// Adds an activation; returns whether there is room for another.
    pub fn push(&mut self, pc: usize) -> bool {
        match self.pcs.get_mut(self.count) {
            Some(slot) => {
                *slot = pc;
                self.count += 1;
                true
            }
            None => {
                self.cut = true;
                false
            }
        }
    }

    pub fn pcs(&self) -> &[usize] {
        &self.pcs[..self.count]
    }
}

impl Thread {
    /// The state of the calling thread, made at the first call.
    pub fn current() -> io::Result<Rc<Thread>> {
        /// In this order they go: others must not reach for a thread that is no more.
        type Current = (Registration, Rc<Thread>, Option<SignalStack>);
        thread_local! {
            static CURRENT: OnceCell<Current> = const { OnceCell::new() };
        }
        let current = CURRENT.try_with(|current| {
            if let Some((_, thread, _)) = current.get() {
                return Ok(thread.clone());
            }
            let signal_stack = SignalStack::install()?;
            signals::unblock()?;
            let stack = stack_bounds()?;
            let reserve = HOST_RESERVE.min(stack.len() / 2);
            let lowest = stack.start + reserve;
            let thread = Rc::new(Thread {
                state: UnsafeCell::new(ThreadState::default()),
                lowest,
                stack,
                trap: UnsafeCell::new(TrapRecord {
                    code: TrapCode::Unreachable,
                    pcs: [0; MAX_FRAMES],
                    count: 0,
                    cut: false,
                }),
                contexts: UnsafeCell::default(),
                deadlines: AtomicPtr::default(),
                interrupted: Cell::new(false),
                target: OnceCell::new(),
                failure: Cell::new(None),
            });
            let state = NonNull::from(&thread.state).cast::<ThreadState>();
            let target = thread.target.get_or_init(|| Target::here(state));
            let registration = Registration(target.clone());
            HERE.set(Rc::as_ptr(&thread));
            Ok(current.get_or_init(|| (registration, thread, signal_stack)).1.clone())
        });
        // Thread-local values are gone while a thread ends.
        current.unwrap_or_else(|_| Err(io::Error::other("the thread is ending")))
    }

    /// The state of the calling thread, if it has one. Async-signal-safe.
    pub fn here<'t>() -> Option<&'t Thread> {
        // SAFETY: the pointer is reset before the thread's state goes, and only this thread sees it.
        HERE.try_with(|here| unsafe { here.get().as_ref() }).ok().flatten()
    }

    /// The lowest address that wasm code may move its stack pointer to if it may use so many bytes.
    pub fn stack_limit(&self, bytes: u64) -> usize {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.lowest.max(self.stack.end.saturating_sub(bytes))
    }

    /// Whether a guest runs on this thread: it has called whoever asks.
    pub fn runs_guest(&self) -> bool {
        // SAFETY: the state is a word that only entries on this thread write.
        unsafe { (*self.state.get()).entry_sp.load(Ordering::Relaxed) != 0 }
    }

    /// Says that a context of this thread is in use.
    pub fn add_context(&self, vmctx: *const VmContext) {
        // SAFETY: only this thread changes the set, nowhere else but in `remove_context`, and its
        // signal handler only looks into it when a guest has faulted, which these two are not.
        let contexts = unsafe { &mut *self.contexts.get() };
        contexts.insert(vmctx as usize);
    }

    /// Says that a context is no longer in use.
    pub fn remove_context(&self, vmctx: *const VmContext) {
        // SAFETY: as for `add_context`.
        let contexts = unsafe { &mut *self.contexts.get() };
        contexts.remove(&(vmctx as usize));
    }

    /// Whether that is the address of a context in use. Async-signal-safe after a guest's fault.
    pub fn has_context(&self, vmctx: *const VmContext) -> bool {
        // SAFETY: as for `add_context`; looking up allocates nothing.
        let contexts = unsafe { &*self.contexts.get() };
        contexts.contains(&(vmctx as usize))
    }

    /// Whether a function of the host has failed, and its guest is about to end.
    pub fn has_failed(&self) -> bool {
        let failure = self.failure.take();
        let has = failure.is_some();
        self.failure.set(failure);
        has
    }

    /// The thread, as others see it. Async-signal-safe.
    pub fn target(&self) -> &Arc<Target> {
        self.target.get().expect("a thread's state has it from the beginning")
    }

    /// What compiled code reaches through its context. It is the whole thread's pointer, for the way back
    /// from there: see [`thread_of`](super::trap::thread_of).
    pub fn state(&self) -> *mut ThreadState {
        ptr::from_ref(self).cast_mut().cast()
    }

    /// The trap on its way out. Whoever dereferences this makes sure that no guest of the thread runs
    /// meanwhile, or that it stands still in a signal handler.
    pub fn trap(&self) -> *mut TrapRecord {
        self.trap.get()
    }

    /// Whether the address is where the thread's stack ends: in its guard, or below the limit.
    pub fn is_past_stack_limit(&self, address: usize) -> bool {
        /// The kernel keeps this much below the main thread's stack; other threads' guards are
        /// smaller.
        const GUARD: usize = 1 << 20;
        (self.stack.start.saturating_sub(GUARD)..self.lowest).contains(&address)
    }

    /// Whether the address lies on the thread's stack.
    pub fn is_on_stack(&self, address: usize) -> bool {
        self.stack.contains(&address)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // Fails only where thread-local values cannot be reached any more, by handlers either.
        let _ = HERE.try_with(|here| {
            if std::ptr::eq(here.get(), self) {
                here.set(ptr::null());
            }
        });
    }
}

/// The calling thread's stack, guard pages not counted.
fn stack_bounds() -> io::Result<Range<usize>> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut start, mut size, mut guard) = (ptr::null_mut(), 0, 0);
    // SAFETY: `pthread_getattr_np` initialises the attributes, which the getters then read into
    // places of the right type; they are destroyed once, afterwards.
    let error = unsafe {
        let error = libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr());
        if error == 0 {
            libc::pthread_attr_getstack(attributes.as_ptr(), &mut start, &mut size);
            libc::pthread_attr_getguardsize(attributes.as_ptr(), &mut guard);
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
        }
        error
    };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    // Some C libraries count the guard as part of the stack: leaving it out twice is no harm.
    let start = start as usize;
    Ok(start + guard.min(size / 4)..start + size)
}

/// An alternate stack for signal handlers: a guest that has used up its stack cannot lend it.
struct SignalStack {
    memory: *mut libc::c_void,
}

impl SignalStack {
    /// Gives the calling thread one, unless it has one that is large enough.
    fn install() -> io::Result<Option<SignalStack>> {
        let mut present = MaybeUninit::<libc::stack_t>::uninit();
        // SAFETY: without a new stack, `sigaltstack` only writes the present one.
        let present = unsafe {
            if libc::sigaltstack(ptr::null(), present.as_mut_ptr()) != 0 {
                return Err(io::Error::last_os_error());
            }
            present.assume_init()
        };
        if present.ss_flags & libc::SS_DISABLE == 0 && present.ss_size >= SIGNAL_STACK {
            return Ok(None);
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a fresh mapping touches nothing that exists.
        let memory = unsafe { libc::mmap(ptr::null_mut(), SIGNAL_STACK, protection, flags, -1, 0) };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = SignalStack { memory };
        let new = libc::stack_t { ss_sp: memory, ss_flags: 0, ss_size: SIGNAL_STACK };
        // SAFETY: the memory is ours and lives until `drop` takes it out of use.
        if unsafe { libc::sigaltstack(&new, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Some(stack))
    }
}

impl Drop for SignalStack {
    fn drop(&mut self) {
        let mut present = MaybeUninit::<libc::stack_t>::uninit();
        // SAFETY: this runs on the thread that installed the stack, when the thread ends; no
        // handler runs on it then. If someone has put another one in place, that one stays.
        unsafe {
            if libc::sigaltstack(ptr::null(), present.as_mut_ptr()) == 0
                && present.assume_init().ss_sp == self.memory
            {
                let none = libc::stack_t {
                    ss_sp: ptr::null_mut(),
                    ss_flags: libc::SS_DISABLE,
                    ss_size: SIGNAL_STACK,
                };
                libc::sigaltstack(&none, ptr::null_mut());
            }
            libc::munmap(self.memory, SIGNAL_STACK);
        }
    }
}
