//! Requests at each instruction of a call. A thread makes calls one instruction at a time, with the
//! processor's trap flag; at one instruction of an entry, a crossing or a guest it stands still, as if
//! the system had taken its processor away, while another thread asks for its end.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use std::{mem, process, ptr};

use super::{regions, signals, trampolines};
use crate::compile::Tier;
use crate::compile::abi::{EntryRecord, ThreadState, UNCOUNTED};
use crate::error::{BatchError, Error, Trap, TrapCode};
use crate::runtime::{Caller, Engine, Imports, Instance, InterruptHandle, Interruption, Module};

const KINDS: [Interruption; 2] = [Interruption::Signal, Interruption::Polled];

/// Steps so far, those of the host's code not counted.
static STEPS: AtomicUsize = AtomicUsize::new(0);
/// At which step to ask for the end, and from which on the thread may learn of it by a signal.
static ASK: AtomicUsize = AtomicUsize::new(0);
static DELIVER: AtomicUsize = AtomicUsize::new(0);
/// The thread stands still, and may go on.
static STANDS: AtomicBool = AtomicBool::new(false);
static GOES_ON: AtomicBool = AtomicBool::new(false);

/// The instruction before, and the call instructions by which the host has entered guests so far.
static LAST: AtomicUsize = AtomicUsize::new(0);
static CALLS: [AtomicUsize; 16] = [const { AtomicUsize::new(0) }; 16];

/// The step at which a guest was entered first.
static ENTERED: AtomicUsize = AtomicUsize::new(0);

/// Whether the instruction is one of those that matter.
fn is_near_guest(pc: usize) -> bool {
    /// `call r10`, and how much of `enter` lies before it and from there on.
    const CALL: [u8; 3] = [0x41, 0xff, 0xd2];
    const BEFORE: usize = 40;
    const AFTER: usize = 20;
    let last = LAST.swap(pc, SeqCst);
    if trampolines::contain(pc) || regions::GUESTS.contain(pc) {
        // SAFETY: there was an instruction, and there is more behind it.
        let is_call = last != 0 && unsafe { *(last as *const [u8; 3]) } == CALL;
        let known = |call: &AtomicUsize| call.load(SeqCst) == last;
        let empty = |call: &&AtomicUsize| call.load(SeqCst) == 0;
        if is_call && !CALLS.iter().any(known) {
            CALLS.iter().find(empty).expect("room for one more").store(last, SeqCst);
        }
        return true;
    }
    let calls = CALLS.iter().map(|call| call.load(SeqCst));
    calls.into_iter().any(|call| (call.saturating_sub(BEFORE)..call + AFTER).contains(&pc))
}

/// What happens after each instruction.
extern "C" fn step(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    const TRAP_FLAG: i64 = 1 << 8;
    // SAFETY: the kernel passes a valid context, which nobody else uses meanwhile.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let registers = &mut context.uc_mcontext.gregs;
    let pc = registers[libc::REG_RIP as usize] as usize;
    if !is_near_guest(pc) {
        return;
    }
    let number = STEPS.fetch_add(1, SeqCst) + 1;
    if regions::GUESTS.contain(pc) {
        let _ = ENTERED.compare_exchange(0, number, SeqCst, SeqCst);
    }
    if number == ASK.load(SeqCst) {
        STANDS.store(true, SeqCst);
        while !GOES_ON.load(SeqCst) {
            // SAFETY: no preconditions.
            unsafe { libc::sched_yield() };
        }
        // SAFETY: the set is a valid one.
        unsafe { libc::sigaddset(&mut context.uc_sigmask, libc::SIGURG) };
    }
    if number >= DELIVER.load(SeqCst) {
        registers[libc::REG_EFL as usize] &= !TRAP_FLAG;
        // SAFETY: as above. Blocked while this runs, it arrives at the instruction that comes next.
        unsafe { libc::sigdelset(&mut context.uc_sigmask, libc::SIGURG) };
    }
}

/// Lets one test of the process step at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: all-zero is a valid `sigaction`, whose set is then filled in; the handler has the
    // signature that SA_SIGINFO asks for.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = step as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigaddset(&mut action.sa_mask, libc::SIGURG);
        assert_eq!(libc::sigaction(libc::SIGTRAP, &action, ptr::null_mut()), 0);
    }
    guard
}

/// Does something step by step, until it is interrupted.
fn stepping<R>(run: impl FnOnce() -> R) -> R {
    // SAFETY: sets the trap flag, and nothing else that the compiler knows of; pushes and pops.
    unsafe { std::arch::asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq") };
    let result = run();
    // SAFETY: as above.
    unsafe { std::arch::asm!("pushfq", "and qword ptr [rsp], -0x101", "popfq") };
    result
}

/// How many steps there are in a call that ends. Its entries are known from then on.
fn count(call: &Call) -> usize {
    ASK.store(0, SeqCst);
    DELIVER.store(usize::MAX, SeqCst);
    for _ in 0..2 {
        STEPS.store(0, SeqCst);
        ENTERED.store(0, SeqCst);
        stepping(|| call().expect("no trap"));
    }
    STEPS.load(SeqCst)
}

/// Who asks.
struct Asker {
    handle: InterruptHandle,
    /// The address of the state of the thread that steps.
    state: usize,
}

impl Asker {
    fn new(instance: &Instance) -> Asker {
        Asker { handle: instance.interrupt_handle(), state: instance.0.thread.state() as usize }
    }

    /// Whether there is an entry that a request concerns: one that has counted those before it.
    fn has_entered(&self) -> bool {
        // SAFETY: the state lives as long as the thread, which waits for whoever has this. An entry is
        // on its stack, which stays as long; what is read there of one that is over is a word.
        unsafe {
            let entry = (*(self.state as *const ThreadState)).entry_sp.load(SeqCst);
            let record = (entry as *const EntryRecord).cast::<AtomicU64>();
            entry != 0 && (*record).load(SeqCst) != UNCOUNTED
        }
    }

    /// Makes one request while `run` is at a step, and lets it know by a signal from another one on. If
    /// `run` is endless and there was no entry yet, which the request may have been too early for,
    /// others are made later. Returns what `run` does, and whether there was one request only.
    fn during<R>(&self, at: [usize; 2], endless: bool, run: impl FnOnce() -> R) -> (R, bool) {
        STEPS.store(0, SeqCst);
        ASK.store(at[0], SeqCst);
        DELIVER.store(at[1], SeqCst);
        STANDS.store(false, SeqCst);
        GOES_ON.store(false, SeqCst);
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            let asker = scope.spawn(|| {
                self.wait(&ended, || STANDS.load(SeqCst));
                let has_entered = self.has_entered();
                self.handle.interrupt();
                // The watcher looks several times at a thread that stands still.
                thread::sleep(Duration::from_micros(500));
                GOES_ON.store(true, SeqCst);
                if has_entered || !endless {
                    self.wait(&ended, || ended.load(SeqCst));
                    return true;
                }
                self.wait(&ended, || self.has_entered());
                while !ended.load(SeqCst) {
                    self.handle.interrupt();
                    thread::sleep(Duration::from_micros(100));
                }
                false
            });
            let result = stepping(run);
            // It may have ended before the step at which it was to receive the signal.
            signals::unblock_poke();
            ended.store(true, SeqCst);
            (result, asker.join().expect("no panic"))
        })
    }

    /// Waits for what must come; nothing else ends a guest that goes on for ever.
    fn wait(&self, ended: &AtomicBool, until: impl Fn() -> bool) {
        for _ in 0..600_000 {
            if until() || ended.load(SeqCst) {
                return;
            }
            thread::sleep(Duration::from_micros(100));
        }
        let [asked, steps] = [&ASK, &STEPS].map(|number| number.load(SeqCst));
        eprintln!("a request at step {asked} was lost; there were {steps} steps");
        process::abort();
    }
}

const GUEST: &str = r#"(module (import "h" "f" (func $host (param i64) (result i64)))
    (memory 1)
    (func (export "direct") (param i64) (result i64) (loop (br 0)) (unreachable))
    (func (export "indirect") (param i64) (result i64 i64) (loop (br 0)) (unreachable))
    (func (export "fill") (param i64) (result i64)
        (loop (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)) (br 0)) (unreachable))
    (func (export "short") (param i64) (result i64)
        (if (i64.eqz (local.get 0)) (then (unreachable)))
        (i64.add (local.get 0) (i64.const 4)))
    (func (export "short_indirect") (param i64) (result i64 i64) (local.get 0) (local.get 0))
    (func (export "through_host") (param i64) (result i64)
        (i64.add (call $host (local.get 0)) (i64.const 1))))"#;

fn guest(tier: Tier, kind: Interruption) -> Instance {
    let engine = Engine::builder().tier(tier).interruption(kind).build().expect("an engine");
    let module = Module::with_engine(&engine, GUEST).expect("a module");
    let mut imports = Imports::none();
    // Goes on as it is called, or calls back.
    imports.func("h", "f", |caller: &mut Caller<'_>, x: i64| {
        let short = caller.instance().typed_func::<fn(i64) -> i64>("short").expect("short");
        short.call(x)
    });
    Instance::new(&module, &imports).expect("an instance")
}

/// Ways to make a call.
type Call = Box<dyn Fn() -> Result<(), Trap>>;

fn typed(instance: &Instance, name: &str) -> Call {
    let func = instance.typed_func::<fn(i64) -> i64>(name).expect("a function");
    Box::new(move || func.call(5).map(drop))
}

fn indirect(instance: &Instance, name: &str) -> Call {
    let func = instance.typed_func::<fn(i64) -> (i64, i64)>(name).expect("a function");
    Box::new(move || func.call(5).map(drop))
}

fn dynamic(instance: &Instance, name: &str) -> Call {
    let func = instance.dyn_func(name).expect("a function");
    Box::new(move || match func.call(&[crate::runtime::Value::I64(5)]) {
        Err(Error::Trap(trap)) => Err(trap),
        other => other.map(drop).map_err(|error| panic!("{error}")),
    })
}

fn batch(instance: &Instance, name: &str) -> Call {
    let func = instance.batch_func::<fn(i64) -> i64>(name).expect("a function");
    Box::new(move || match func.call((&[5, 6],), &mut [0; 2]) {
        Err(BatchError::Trap { trap, .. }) => Err(trap),
        other => other.map_err(|error| panic!("{error}")),
    })
}

/// From its first moment on, a call that does not end by itself is ended by one request.
#[test]
fn no_request_is_lost() {
    let _alone = alone();
    for (tier, kind) in Tier::available().iter().flat_map(|tier| KINDS.map(|kind| (*tier, kind))) {
        let instance = guest(tier, kind);
        let asker = Asker::new(&instance);
        let calls = [
            typed(&instance, "direct"),
            indirect(&instance, "indirect"),
            dynamic(&instance, "direct"),
            batch(&instance, "direct"),
        ];
        let next = typed(&instance, "short");
        let short = [
            typed(&instance, "short"),
            indirect(&instance, "short_indirect"),
            dynamic(&instance, "short"),
            batch(&instance, "short"),
        ];
        assert!(short.iter().all(|call| count(call) > 15));
        for (i, call) in calls.iter().enumerate() {
            let mut sufficed = 0;
            // Long enough to be in the guest's loop.
            const STEPS: usize = 50;
            for at in 1..=STEPS {
                let (ended, once) = asker.during([at; 2], true, call);
                let code = ended.expect_err("an endless guest").code();
                assert_eq!(code, TrapCode::Interrupted, "{tier} {kind:?} {i}, step {at}");
                next().unwrap_or_else(|trap| panic!("{tier} {kind:?} {i}, step {at}: {trap}"));
                assert!(once || sufficed == 0, "a later request is not lost: step {at}");
                sufficed += usize::from(once);
            }
            assert!((STEPS / 2..STEPS).contains(&sufficed), "{sufficed} of {STEPS}");
        }
    }
}

/// A call that comes to an end by itself does so, or is ended; the next one is not.
#[test]
fn no_request_comes_late() {
    let _alone = alone();
    let engines = Tier::available().iter().flat_map(|tier| KINDS.map(|kind| (*tier, kind)));
    for (first, (tier, kind)) in engines.enumerate() {
        let instance = guest(tier, kind);
        let asker = Asker::new(&instance);
        let calls = [
            typed(&instance, "short"),
            indirect(&instance, "short_indirect"),
            dynamic(&instance, "short"),
            batch(&instance, "short"),
            typed(&instance, "through_host"),
            batch(&instance, "through_host"),
        ];
        for (i, call) in calls.iter().enumerate() {
            let steps = count(call);
            assert!(steps > 15, "{steps} steps");
            let mut interrupted = 0;
            // Each of them on some engine.
            for at in (1 + first % 3..=steps).step_by(3) {
                let (ended, _) = asker.during([at; 2], false, call);
                if let Err(trap) = ended {
                    assert_eq!(trap.code(), TrapCode::Interrupted);
                    interrupted += 1;
                }
                for next in &calls {
                    next().unwrap_or_else(|trap| panic!("{tier} {kind:?} {i}, step {at}: {trap}"));
                }
            }
            println!("{tier} {kind:?} {i}: {interrupted} of {steps}");
        }
    }
}

/// A builtin that gives up and a signal: the guest ends once, whichever is first.
#[test]
fn nothing_is_left_of_a_request() {
    let _alone = alone();
    for tier in Tier::available() {
        let instance = guest(*tier, Interruption::Signal);
        let asker = Asker::new(&instance);
        let fill = typed(&instance, "fill");
        count(&typed(&instance, "short"));
        // Once around the loop, and the signal at each step from there to where the guest has ended.
        let entered = ENTERED.load(SeqCst);
        for (ask, deliver) in
            (entered + 24..entered + 38).flat_map(|ask| (ask..ask + 24).map(move |at| (ask, at)))
        {
            let (ended, once) = asker.during([ask, deliver], true, &fill);
            assert_eq!(ended.expect_err("a trap").code(), TrapCode::Interrupted);
            assert!(once);
            assert!(!instance.0.thread.interrupted.get(), "{tier}: {ask}, {deliver}");
        }
    }
}
