//! Which calls are to end before their guests come to an end, and where that is decided.
//!
//! The requests to end guests of a thread are counted, and every entry from the host notes the count. A
//! request names an instance and has a number: it concerns the calls into that instance whose entries
//! have not counted it, and so never one that comes later. A deadline lies on the stack between the
//! entry that it is for and the one around that. Whoever finds on a guest's thread that one of the live
//! entries has to end, ends the innermost: a signal handler that interrupts compiled code
//! (`signals.rs`), a function of the host that returns (`host.rs`), a long copy (`builtins.rs`), a poll.
//! The host's functions in between see that as an error, and when they return, the next entry is looked
//! at.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering::SeqCst};

use super::engine::Interruption;
use super::instance::Inner;
use super::thread::{Failure, Thread};
use super::trap::thread_of;
use super::watcher::{self, NEVER, Target};
use crate::compile::abi::{EntryRecord, VmContext};
use crate::error::TrapCode;

/// Ends calls of an instance, from any thread: see
/// [`Instance::interrupt_handle`](crate::Instance::interrupt_handle).
///
/// Clones are the same handle. It does not keep the instance alive.
#[derive(Clone)]
pub struct InterruptHandle {
    target: Arc<Target>,
    request: Arc<Request>,
}

impl InterruptHandle {
    /// Makes the calls into the instance that are running now end with
    /// [`TrapCode::Interrupted`], the calls that they have made through
    /// functions of the host among them.
    ///
    /// Returns at once. If no call is running this does nothing: not to calls that come later either.
    /// Where a guest is inside a function of the host, it ends when that returns. A call that a guest
    /// of another instance made, without the host between them, belongs to that other instance.
    ///
    /// Not to be called in a signal handler.
    pub fn interrupt(&self) {
        watcher::interrupt(&self.target, &self.request);
    }
}

impl fmt::Debug for InterruptHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InterruptHandle").finish_non_exhaustive()
    }
}

/// What was asked of one instance.
#[derive(Default)]
pub(super) struct Request {
    /// The number behind that of the newest request; 0 if there was none.
    counted: AtomicU64,
}

impl Request {
    /// Asks again. `number` is how many requests there have been on the thread before.
    pub fn is_number(&self, number: u64) {
        self.counted.fetch_max(number + 1, SeqCst);
    }
}

/// An instance's [`Request`], made when somebody wants a handle. Signal handlers read it.
#[derive(Default)]
pub(super) struct RequestCell(AtomicPtr<Request>);

impl RequestCell {
    /// The handle to the instance that has this, and that belongs to the calling thread.
    pub fn handle(&self, thread: &Thread, interruption: Interruption) -> InterruptHandle {
        if interruption == Interruption::Signal {
            thread.target().expect_signals();
        }
        let mut request = self.0.load(SeqCst).cast_const();
        if request.is_null() {
            // The instance is this thread's: nobody else makes one meanwhile.
            request = Arc::into_raw(Arc::<Request>::default());
            self.0.store(request.cast_mut(), SeqCst);
        }
        // SAFETY: the pointer came from `Arc::into_raw`, and the cell keeps its own count.
        let request = unsafe {
            Arc::increment_strong_count(request);
            Arc::from_raw(request)
        };
        InterruptHandle { target: thread.target().clone(), request }
    }

    /// Whether the call is to end whose entry has counted so many requests. Async-signal-safe.
    fn concerns(&self, requests: u64) -> bool {
        // SAFETY: the request lives as long as the cell.
        unsafe { self.0.load(SeqCst).as_ref() }
            .is_some_and(|request| requests < request.counted.load(SeqCst))
    }
}

impl Drop for RequestCell {
    fn drop(&mut self) {
        let request = *self.0.get_mut();
        if !request.is_null() {
            // SAFETY: this is the count that `handle` left here.
            drop(unsafe { Arc::from_raw(request) });
        }
    }
}

/// The deadline of a call, on the host's stack while the call runs: what is entered meanwhile lies
/// below it.
pub(super) struct Deadline {
    due: u64,
    /// That of the call around this one.
    before: *const Deadline,
}

/// What is to end on a thread, as it was when it was [looked](Thread::look) at.
#[derive(Clone, Copy)]
pub(super) struct Look {
    /// What had been asked for by then: [`Target::asked`].
    asked: u64,
    /// The innermost entry is to end.
    pub ends: bool,
    /// The one around it is, or one further out.
    outer_ends: bool,
}

impl Thread {
    /// Whether a live entry is to end, and so the innermost one first. `innermost` is the one to begin
    /// with. Async-signal-safe.
    fn is_interrupted(&self, innermost: *const EntryRecord) -> bool {
        let mut deadline = self.deadlines.load(SeqCst).cast_const();
        let mut entry = innermost;
        // SAFETY: entries and deadlines are on this thread's stack as long as the lists have them, and
        // while an entry is there its callee's instance, which its context names, is kept alive.
        unsafe {
            while let Some(EntryRecord { before, requests, vmctx, .. }) = entry.as_ref() {
                let instance = (**vmctx).instance.cast::<Inner>();
                if (*instance).request.concerns(*requests) {
                    return true;
                }
                // Both lists go up the stack. A call with a deadline may have no entry yet, or none
                // any more.
                while !deadline.is_null() && deadline.addr() < entry.addr() {
                    deadline = (*deadline).before;
                }
                while !deadline.is_null() && (before.is_null() || deadline.addr() < before.addr()) {
                    if (*deadline).due <= watcher::now() {
                        return true;
                    }
                    deadline = (*deadline).before;
                }
                entry = *before;
            }
        }
        false
    }

    fn innermost(&self) -> *const EntryRecord {
        // SAFETY: the state's fields change atomically.
        unsafe { (*self.state()).entry_sp.load(SeqCst) as *const EntryRecord }
    }

    /// Sets or clears the hint that a guest may have to end. Async-signal-safe.
    fn hint(&self, stop: bool) {
        // SAFETY: as in `innermost`.
        unsafe { (*self.state()).stop.store(u32::from(stop), SeqCst) };
    }

    /// Whether the hint is set that a guest may have to end.
    #[inline]
    pub fn is_told_to_stop(&self) -> bool {
        // SAFETY: as in `innermost`.
        unsafe { (*self.state()).stop.load(std::sync::atomic::Ordering::Relaxed) != 0 }
    }

    /// Looks which entries are to end, and clears the hint. What was seen is then either
    /// [settled](Thread::settle), or somebody must look [again](Thread::look_again).
    /// Async-signal-safe.
    pub fn look(&self) -> Look {
        // First, so that what is asked for from now on is not forgotten.
        let asked = self.target().asked.load(SeqCst);
        self.hint(false);
        let innermost = self.innermost();
        let ends = self.is_interrupted(innermost);
        // SAFETY: an interrupted entry is there, and stays while this runs.
        let outer_ends = ends && self.is_interrupted(unsafe { (*innermost).before });
        Look { asked, ends, outer_ends }
    }

    /// Says that the innermost entry has been ended, if it was to end, or that its guest is about to
    /// be. Async-signal-safe.
    pub fn settle(&self, look: Look) {
        if look.outer_ends {
            self.hint(true);
        } else {
            self.target().settled.fetch_max(look.asked, SeqCst);
        }
    }

    /// Says that what was seen does not hold, or could not be done. Async-signal-safe.
    pub fn look_again(&self) {
        self.hint(true);
    }

    /// Whether the innermost entry is to end, which the caller then sees to. Asked where the hint is
    /// set, and not in signal handlers: it may take a lock.
    #[cold]
    pub fn sees_stop(&self) -> bool {
        let target = self.target();
        // A deadline that a fork has left unwatched. If there can be no watcher, the deadline is seen
        // at least whenever the host returns.
        let unwatched = target.watched.load(SeqCst) == NEVER && target.due.load(SeqCst) != NEVER;
        let unwatched = unwatched && watcher::watch(target).is_err();
        let look = self.look();
        self.settle(look);
        if unwatched {
            self.look_again();
        }
        look.ends
    }

    /// Makes a call with a deadline: the thread's next entry is to end at that time.
    fn call_until<R>(&self, due: u64, signals: bool, call: impl FnOnce() -> R) -> io::Result<R> {
        struct Restore<'t>(&'t Thread, *const Deadline, u64);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                self.0.deadlines.store(self.1.cast_mut(), SeqCst);
                self.0.target().due.store(self.2, SeqCst);
            }
        }
        let target = self.target();
        if signals {
            target.expect_signals();
        }
        let before = self.deadlines.load(SeqCst).cast_const();
        let outer = target.due.load(SeqCst);
        let deadline = Deadline { due, before };
        let _restore = Restore(self, before, outer);
        self.deadlines.store((&raw const deadline).cast_mut(), SeqCst);
        let earliest = due.min(outer);
        target.due.store(earliest, SeqCst);
        // Where the watcher looks before that anyway, it need not be told.
        if earliest < target.watched.load(SeqCst) {
            watcher::watch(target)?;
        }
        Ok(call())
    }
}

/// Makes a call of a context's function with a deadline of so many nanoseconds; `Err` if the system
/// has no thread to watch it.
///
/// # Safety
///
/// `vmctx` is the context of a live instance of the calling thread, or of a host function bound to one.
pub(super) unsafe fn call_with_deadline<R>(
    vmctx: *const VmContext,
    nanoseconds: u64,
    call: impl FnOnce() -> R,
) -> io::Result<R> {
    // SAFETY: the caller vouches for the context; a context names its instance and its thread.
    let (thread, instance) = unsafe { (thread_of(vmctx), &*(*vmctx).instance.cast::<Inner>()) };
    let signals = instance.module.engine().interruption() == Interruption::Signal;
    thread.call_until(watcher::after(nanoseconds), signals, call)
}

/// Makes calls of a context's function that are one call to whoever ends it: with an entry around
/// theirs, in which itself no guest runs, so that none lands there. They ask the thread between them whether they are to end.
///
/// # Safety
///
/// As for [`call_with_deadline`].
// Entries and deadlines are told apart by where they lie: this one in a frame of its own.
#[inline(never)]
pub(super) unsafe fn call_as_one<R>(
    vmctx: *const VmContext,
    calls: impl FnOnce(&Thread) -> R,
) -> R {
    struct Leave<'t>(&'t Thread, *const EntryRecord);
    impl Drop for Leave<'_> {
        fn drop(&mut self) {
            // SAFETY: as in `Thread::innermost`.
            unsafe { (*self.0.state()).entry_sp.store(self.1 as usize, SeqCst) };
        }
    }
    // SAFETY: the caller vouches for the context, which names its thread.
    let thread = unsafe { thread_of(vmctx) };
    let before = thread.innermost();
    // SAFETY: as in `Thread::innermost`.
    let state = unsafe { &*thread.state() };
    let requests = state.requests.load(SeqCst);
    let record = EntryRecord { requests, before, vmctx, landing: 0, rbp: 0, rbx: 0 };
    // Also if a function of the host panics.
    let _leave = Leave(thread, before);
    // No guest runs in this entry itself, so that none traps in it; the record stays where it is until
    // `_leave` takes it out of the list.
    state.entry_sp.store((&raw const record) as usize, SeqCst);
    // A request that came before the entry could be seen concerns it.
    if state.requests.load(SeqCst) != requests {
        thread.look_again();
    }
    calls(thread)
}

/// Makes a call of a context's function with its engine's deadline, if it has one, the call is an
/// outermost one and has no other deadline; `None` if that cannot be watched, which is then noted like
/// a host function's error.
///
/// # Safety
///
/// As for [`call_with_deadline`].
pub(super) unsafe fn call_with_default<R>(
    vmctx: *const VmContext,
    call: impl FnOnce() -> R,
) -> Option<R> {
    // SAFETY: as above.
    let (thread, instance) = unsafe { (thread_of(vmctx), &*(*vmctx).instance.cast::<Inner>()) };
    let nanoseconds = instance.module.engine().deadline();
    if nanoseconds == 0 || !thread.innermost().is_null() || thread.has_deadline() {
        return Some(call());
    }
    // SAFETY: as above.
    match unsafe { call_with_deadline(vmctx, nanoseconds, call) } {
        Ok(done) => Some(done),
        Err(error) => {
            // SAFETY: no guest runs on the thread.
            unsafe { (*thread.trap()).start(TrapCode::HostError) };
            thread.failure.set(Some(Failure::Error(Box::new(error))));
            None
        }
    }
}

impl Thread {
    /// Whether the next entry has a deadline already.
    fn has_deadline(&self) -> bool {
        let deadline = self.deadlines.load(SeqCst);
        let innermost = self.innermost();
        !deadline.is_null() && (innermost.is_null() || deadline.addr() < innermost.addr())
    }
}
