//! What other threads know of a thread with guests, and the thread that reminds it.
//!
//! One thread for the process, started when it is first needed, *pokes* threads whose guests have to
//! end: it sets [`ThreadState::stop`], and sends SIGURG where guests do not look there by themselves.
//! It repeats that until the thread has seen to it, because a signal that arrives in the host's code
//! changes nothing. When nothing is to be done it sleeps for good.
//!
//! Everything here is behind one lock, which a thread takes too when it ends: no signal goes to a
//! thread that is no more. A process that forks leaves watcher and lock behind; its child makes
//! others.

use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use super::interrupt::Request;
#[cfg(miri)]
use super::miri as libc;
use super::signals;
use super::thread::Thread;
use crate::compile::abi::ThreadState;

/// Of a deadline that there is not, and of a look that is never taken, in nanoseconds.
pub(super) const NEVER: u64 = u64::MAX;
/// How long the watcher waits before it pokes again, in nanoseconds: at first, and at most.
const FIRST_PAUSE: u64 = 50_000;
const LONGEST_PAUSE: u64 = 5_000_000;
/// The same while the thread is known to be where a moment later it is not.
const SHORT_PAUSE: u64 = 2_000;

/// A thread with guests, as other threads see it. Outlives the thread.
pub(super) struct Target {
    /// Part of the thread's state, which lives while `process` is this one.
    state: NonNull<ThreadState>,
    /// By which it gets signals; in a child it is another one.
    thread: AtomicI32,
    /// The number of the process in which the thread runs; 0 when it has ended.
    process: AtomicU64,
    /// Whether guests must be reached by signals.
    signals: AtomicBool,
    /// How often a guest was asked to end which a signal must tell.
    pub asked: AtomicU64,
    /// What of that the thread has seen to: it is told again and again until it has.
    pub settled: AtomicU64,
    /// The last signal came when it could change nothing, but the next may.
    pub soon: AtomicBool,
    /// The earliest of the deadlines of the thread's calls; [`NEVER`] if there is none.
    pub due: AtomicU64,
    /// When the watcher will look at the thread next; [`NEVER`] if it will not.
    pub watched: AtomicU64,
}

// SAFETY: everything changes atomically, and the state is touched only under the watcher's lock, while
// its thread, which takes that lock when it ends, is alive.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

/// The number of this process: 1, and one more in each child.
static PROCESS: AtomicU64 = AtomicU64::new(1);
/// This process's watcher; null until it is needed. Never freed.
static WATCHER: AtomicPtr<Watcher> = AtomicPtr::new(ptr::null_mut());

#[derive(Default)]
struct Watcher {
    list: Mutex<List>,
    changed: Condvar,
}

#[derive(Default)]
struct List {
    /// The watcher's thread runs.
    started: bool,
    watched: Vec<Watched>,
}

struct Watched {
    target: Arc<Target>,
    /// When to look at it next.
    at: u64,
    pause: u64,
}

/// Nanoseconds on a clock that never goes back. Async-signal-safe.
pub(super) fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock exists on every Linux, and the place is a `timespec`.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The clock's reading after so many nanoseconds.
pub(super) fn after(nanoseconds: u64) -> u64 {
    now().saturating_add(nanoseconds)
}

/// Runs in a forked child, on the thread that has forked: the only one that there is.
extern "C" fn in_child() {
    let process = PROCESS.fetch_add(1, SeqCst) + 1;
    // The one of before may have been locked by a thread that is no more.
    WATCHER.store(ptr::null_mut(), SeqCst);
    if let Some(thread) = Thread::here() {
        let target = thread.target();
        target.process.store(process, SeqCst);
        target.watched.store(NEVER, SeqCst);
        target.thread.store(signals::own_thread(), SeqCst);
        // What was to be watched is seen to when the host returns to a guest.
        target.state().stop.store(1, SeqCst);
    }
}

impl Target {
    /// The calling thread, whose state this is.
    pub fn here(state: NonNull<ThreadState>) -> Arc<Target> {
        static COUNT_PROCESSES: Once = Once::new();
        COUNT_PROCESSES.call_once(|| {
            // SAFETY: registers a function that lives as long as the process, and that only touches
            // atomics. Where there is no memory for that, children interrupt nothing.
            unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        });
        Arc::new(Target {
            state,
            thread: AtomicI32::new(signals::own_thread()),
            process: AtomicU64::new(PROCESS.load(SeqCst)),
            signals: AtomicBool::new(false),
            asked: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            soon: AtomicBool::new(false),
            due: AtomicU64::new(NEVER),
            watched: AtomicU64::new(NEVER),
        })
    }

    /// The part of the thread's state that others see. Only for the thread itself, and under the
    /// watcher's lock while it is alive.
    fn state(&self) -> &ThreadState {
        // SAFETY: the state lives as long as the thread, which runs this or cannot end meanwhile.
        unsafe { self.state.as_ref() }
    }

    /// Says that guests of this thread, which is the calling one, must be reached by signals.
    pub fn expect_signals(&self) {
        if !self.signals.load(SeqCst) {
            signals::unblock_poke();
            self.signals.store(true, SeqCst);
        }
    }

    fn is_alive(&self) -> bool {
        self.process.load(SeqCst) == PROCESS.load(SeqCst)
    }

    /// Makes a living thread look whether a guest of it is to end. The caller holds the lock.
    fn poke(&self) {
        self.state().stop.store(1, SeqCst);
        if self.signals.load(SeqCst) {
            signals::send_poke(self.thread.load(SeqCst));
        }
    }
}

/// A thread's promise to tell when it ends.
pub(super) struct Registration(pub Arc<Target>);

impl Drop for Registration {
    fn drop(&mut self) {
        let mut list = current().lock();
        self.0.process.store(0, SeqCst);
        list.watched.retain(|watched| !Arc::ptr_eq(&watched.target, &self.0));
    }
}

/// Asks for the end of the calls into an instance that are on the thread's stack now.
pub(super) fn interrupt(target: &Arc<Target>, request: &Request) {
    let watcher = current();
    let mut list = watcher.lock();
    if !target.is_alive() {
        return;
    }
    request.is_number(target.state().requests.fetch_add(1, SeqCst));
    let signals = target.signals.load(SeqCst);
    if signals {
        target.asked.fetch_add(1, SeqCst);
    }
    target.poke();
    if signals {
        // Without a watcher, this was the only signal.
        let _ = list.watch(watcher, target, after(FIRST_PAUSE));
    }
}

/// Makes the watcher look at the calling thread when its earliest deadline is over.
pub(super) fn watch(target: &Arc<Target>) -> io::Result<()> {
    let watcher = current();
    watcher.lock().watch(watcher, target, target.due.load(SeqCst))
}

fn current() -> &'static Watcher {
    let mut watcher = WATCHER.load(SeqCst);
    if watcher.is_null() {
        let new = Box::into_raw(Box::<Watcher>::default());
        watcher = match WATCHER.compare_exchange(watcher, new, SeqCst, SeqCst) {
            Ok(_) => new,
            Err(other) => {
                // SAFETY: it was made just above, and nobody has seen it.
                drop(unsafe { Box::from_raw(new) });
                other
            }
        };
    }
    // SAFETY: watchers are never freed once they are in the static.
    unsafe { &*watcher }
}

impl Watcher {
    fn lock(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the watcher's thread does.
    fn run(&self) {
        let mut list = self.lock();
        loop {
            let now = now();
            let mut next = NEVER;
            list.watched.retain_mut(|watched| {
                let stays = watched.at > now || watched.look(now);
                if stays {
                    next = next.min(watched.at);
                }
                stays
            });
            let guard = &self.changed;
            list = if next == NEVER {
                guard.wait(list).unwrap_or_else(PoisonError::into_inner)
            } else {
                let pause = Duration::from_nanos(next.saturating_sub(now));
                guard.wait_timeout(list, pause).unwrap_or_else(PoisonError::into_inner).0
            };
        }
    }
}

impl Watched {
    /// Pokes the thread if there is need, and decides when to look again; whether ever.
    fn look(&mut self, now: u64) -> bool {
        let target = &*self.target;
        if !target.is_alive() {
            return false;
        }
        // Only the thread itself knows when it has seen to what was asked: without an entry it may be
        // about to make the one that was meant.
        let is_asked = target.asked.load(SeqCst) != target.settled.load(SeqCst);
        let due = target.due.load(SeqCst);
        if is_asked || due <= now {
            let soon = target.soon.swap(false, SeqCst);
            self.pause =
                if soon { SHORT_PAUSE } else { (2 * self.pause).clamp(FIRST_PAUSE, LONGEST_PAUSE) };
            target.poke();
            self.at = now + self.pause;
            target.watched.store(self.at, SeqCst);
            return true;
        }
        self.pause = 0;
        self.at = due;
        // A call that begins now either sees what is stored here, or its deadline is seen.
        target.watched.store(self.at, SeqCst);
        self.at = self.at.min(target.due.load(SeqCst));
        target.watched.store(self.at, SeqCst);
        self.at != NEVER
    }
}

impl List {
    /// Has the watcher look at a thread at that time, or before.
    fn watch(
        &mut self,
        watcher: &'static Watcher,
        target: &Arc<Target>,
        at: u64,
    ) -> io::Result<()> {
        if !self.started {
            start(watcher)?;
            self.started = true;
        }
        let known = self.watched.iter_mut().find(|known| Arc::ptr_eq(&known.target, target));
        let at = match known {
            Some(known) => {
                known.at = known.at.min(at);
                known.pause = 0;
                known.at
            }
            None => {
                self.watched.push(Watched { target: target.clone(), at, pause: 0 });
                at
            }
        };
        target.watched.store(at, SeqCst);
        watcher.changed.notify_one();
        Ok(())
    }
}

/// Starts the watcher's thread. It blocks all signals, so that none that is meant for the process
/// ends up there.
fn start(watcher: &'static Watcher) -> io::Result<()> {
    // SAFETY: `sigfillset` makes the first set a valid one, `pthread_sigmask` the second.
    unsafe {
        let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let name = "wasm-mini watch".to_string();
        let started = std::thread::Builder::new().name(name).spawn(|| watcher.run());
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, ptr::null_mut());
        started.map(drop)
    }
}
