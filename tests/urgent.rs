//! SIGURG, by which guests are interrupted: others who use it go on to get theirs. Each scenario has a
//! process of its own.

mod common;
#[path = "common/patience.rs"]
mod patience;

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::mem::{self, MaybeUninit};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use common::on_each_tier;
use common::process::{fork, succeeds, wait_for};
use patience::{instance, is_interrupted, with_imports};
use wasm_mini::{Caller, Imports, Instance, Interruption, Tier};

/// How often the program's own handler ran.
static SEEN: AtomicUsize = AtomicUsize::new(0);
/// What was installed when the program's handler was, if that passes on what it gets.
static mut BEFORE: MaybeUninit<libc::sigaction> = MaybeUninit::uninit();

extern "C" fn simple(signal: libc::c_int) {
    assert_eq!(signal, libc::SIGURG);
    SEEN.fetch_add(1, SeqCst);
}

extern "C" fn informed(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: the kernel, or who passes its signal on, gives a valid siginfo.
    let told = unsafe { (*info).si_signo };
    if told != signal || context.is_null() {
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(98) };
    }
    SEEN.fetch_add(1, SeqCst);
}

extern "C" fn passing_on(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    type Next = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
    SEEN.fetch_add(1, SeqCst);
    // SAFETY: `install` filled it in before it installed this; the engine's handler takes three
    // arguments, which is checked.
    unsafe {
        let before = (*ptr::addr_of!(BEFORE)).assume_init_ref();
        if before.sa_flags & libc::SA_SIGINFO == 0 {
            libc::_exit(97);
        }
        mem::transmute::<usize, Next>(before.sa_sigaction)(signal, info, context);
    }
}

/// Installs a handler, and keeps what was there.
fn install(handler: usize, flags: libc::c_int) {
    // SAFETY: all-zero is a valid `sigaction`; the handlers of this file have the signatures that their
    // flags ask for, and one thread of the process does this.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        let before = ptr::addr_of_mut!(BEFORE).cast::<libc::sigaction>();
        assert_eq!(libc::sigaction(libc::SIGURG, ptr::null(), before), 0);
        assert_eq!(libc::sigaction(libc::SIGURG, &action, ptr::null_mut()), 0);
    }
}

/// What is installed now.
fn installed() -> usize {
    // SAFETY: all-zero is a valid `sigaction`, which is written.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        assert_eq!(libc::sigaction(libc::SIGURG, ptr::null(), &mut action), 0);
        action.sa_sigaction
    }
}

/// Blocks the signal on this thread, or no longer.
fn block(how: libc::c_int) {
    // SAFETY: changes this thread's mask by a set of one.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigaddset(&mut set, libc::SIGURG);
        assert_eq!(libc::pthread_sigmask(how, &set, ptr::null_mut()), 0);
    }
}

fn is_blocked() -> bool {
    // SAFETY: reads this thread's mask.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &mut set), 0);
        libc::sigismember(&set, libc::SIGURG) == 1
    }
}

fn raise() {
    // SAFETY: no preconditions.
    assert_eq!(unsafe { libc::raise(libc::SIGURG) }, 0);
}

/// Waits for what must come; the scenario's alarm ends one in which it does not.
fn wait_until(done: impl Fn() -> bool) {
    while !done() {
        thread::sleep(Duration::from_micros(200));
    }
}

/// Calls the host again and again, and never; and what does little else than one long operator.
const GUEST: &str = r#"(module (import "h" "f" (func $f (result i32)))
    (memory 1)
    (func (export "calls") (loop (br_if 0 (call $f))))
    (func (export "fills") (loop
        (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br 0)))
    (func (export "loop") (loop (br 0))))"#;

fn guest(
    tier: Tier,
    kind: Interruption,
    host: impl Fn(&mut Caller<'_>) -> i32 + 'static,
) -> Instance {
    let mut imports = Imports::none();
    imports.func("h", "f", host);
    with_imports(tier, kind, GUEST, &imports)
}

/// The guest's endless functions end, by deadlines and by a handle.
fn ends(instance: &Instance, names: &[&str]) {
    for name in names {
        let function = instance.typed_func::<fn()>(name).expect("a function");
        for deadline in [0, 300, 2000] {
            is_interrupted(function.call_with_deadline(Duration::from_micros(deadline)));
        }
        let _interrupter = patience::interrupt_until_dropped(instance.interrupt_handle());
        is_interrupted(function.call());
    }
}

/// Two ends of a connection whose first gives a signal when urgent data comes.
fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let there = TcpStream::connect(address).expect("a connection");
    let (here, _) = listener.accept().expect("a connection");
    // SAFETY: sets whom the kernel tells; the descriptor is open.
    assert_eq!(unsafe { libc::fcntl(here.as_raw_fd(), libc::F_SETOWN, libc::getpid()) }, 0);
    (here, there)
}

fn send_urgently(to: &TcpStream) {
    // SAFETY: one byte is read from a place of its own.
    let sent = unsafe { libc::send(to.as_raw_fd(), [1u8].as_ptr().cast(), 1, libc::MSG_OOB) };
    assert_eq!(sent, 1, "{}", std::io::Error::last_os_error());
}

fn a_handler_from_before_gets_its_signals(tier: Tier) {
    let kinds: [(&str, usize, libc::c_int); 3] = [
        ("simple", simple as *const () as usize, 0),
        ("simple, on its stack", simple as *const () as usize, libc::SA_ONSTACK | libc::SA_RESTART),
        ("informed", informed as *const () as usize, libc::SA_SIGINFO),
    ];
    for (role, handler, flags) in kinds {
        succeeds(tier, "a_handler_from_before_gets_its_signals", role, || {
            install(handler, flags);
            let raises = guest(tier, Interruption::Signal, |_| {
                raise();
                (!SEEN.load(SeqCst).is_multiple_of(10)).into()
            });
            assert_ne!(installed(), handler, "ours");
            let calls = raises.func::<fn()>("calls").expect("calls");
            let (_here, there) = connection();
            for _ in 0..3 {
                // The host's, on the guest's thread and on one that knows of none.
                let seen = SEEN.load(SeqCst);
                raise();
                thread::spawn(raise).join().expect("no panic");
                assert_eq!(SEEN.load(SeqCst), seen + 2);
                // Data that no read has fetched, in the middle of a guest.
                for times in 1..=2 {
                    send_urgently(&there);
                    wait_until(|| SEEN.load(SeqCst) == seen + 2 + times);
                }
                // A host function's, which a guest calls; to the next multiple of ten.
                calls().expect("no trap");
                assert_eq!(SEEN.load(SeqCst), (seen + 4) / 10 * 10 + 10);
                ends(&raises, &["loop", "fills"]);
            }
        });
    }
}

/// Signals of others while the guest runs do not end it, and get to their handler.
fn a_running_guest_is_not_disturbed(tier: Tier) {
    static DONE: AtomicBool = AtomicBool::new(false);
    succeeds(tier, "a_running_guest_is_not_disturbed", "run", || {
        install(informed as *const () as usize, libc::SA_SIGINFO);
        let asked = Rc::new(Cell::new(0));
        let count = asked.clone();
        let instance = guest(tier, Interruption::Signal, move |_| {
            count.set(count.get() + 1);
            i32::from(!DONE.load(SeqCst))
        });
        let _handle = instance.interrupt_handle();
        // SAFETY: no preconditions.
        let guests = unsafe { libc::pthread_self() };
        let sender = thread::spawn(move || {
            for sent in 1..=50 {
                // SAFETY: that thread lives until this one has ended.
                assert_eq!(unsafe { libc::pthread_kill(guests, libc::SIGURG) }, 0);
                // The kernel merges those that come too fast.
                wait_until(|| SEEN.load(SeqCst) == sent);
            }
            DONE.store(true, SeqCst);
        });
        instance.func::<fn()>("calls").expect("calls")().expect("nobody interrupts it");
        sender.join().expect("no panic");
        assert!(asked.get() > 0);
        assert_eq!(SEEN.load(SeqCst), 50);
    });
}

fn a_handler_from_after_passes_on(tier: Tier) {
    succeeds(tier, "a_handler_from_after_passes_on", "chain", || {
        let first = guest(tier, Interruption::Signal, |_| 1);
        ends(&first, &["loop"]);
        let flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        install(passing_on as *const () as usize, flags);
        ends(&first, &["loop", "fills", "calls"]);
        assert!(SEEN.load(SeqCst) > 0);
        let second = guest(tier, Interruption::Signal, |_| 1);
        ends(&second, &["loop", "fills", "calls"]);
        assert_eq!(installed(), passing_on as *const () as usize, "it stays");
    });
}

/// As SECURITY.md says: guests still end where they meet the runtime, and everywhere if they poll.
fn a_handler_from_after_keeps_all(tier: Tier) {
    succeeds(tier, "a_handler_from_after_keeps_all", "keep", || {
        let signalled = guest(tier, Interruption::Signal, |_| 1);
        ends(&signalled, &["loop"]);
        install(simple as *const () as usize, 0);
        ends(&signalled, &["fills", "calls"]);
        assert!(SEEN.load(SeqCst) > 0, "signals were sent");
        let polled = guest(tier, Interruption::Polled, |_| 1);
        ends(&polled, &["loop", "fills", "calls"]);
    });
}

/// Who has a handler so that a system call ends has one that ends it.
fn system_calls_end_as_before(tier: Tier) {
    for (role, flags) in [("ends", 0), ("goes on", libc::SA_RESTART)] {
        succeeds(tier, "system_calls_end_as_before", role, || {
            install(simple as *const () as usize, flags);
            let instance = guest(tier, Interruption::Signal, |_| 0);
            ends(&instance, &["loop"]);
            let (mut here, mut there) = connection();
            let (reads, reader) = mpsc::channel();
            let reading = thread::spawn(move || {
                // SAFETY: no preconditions.
                reads.send(unsafe { libc::pthread_self() }).expect("somebody waits");
                here.read(&mut [0; 1])
            });
            let reader = reader.recv().expect("a thread");
            let seen = SEEN.load(SeqCst);
            while SEEN.load(SeqCst) < seen + 20 && !reading.is_finished() {
                // SAFETY: the thread is not joined yet.
                assert_eq!(unsafe { libc::pthread_kill(reader, libc::SIGURG) }, 0);
                thread::sleep(Duration::from_millis(10));
            }
            if flags == 0 {
                let error = reading.join().expect("no panic").expect_err("an interrupted read");
                assert_eq!(error.kind(), ErrorKind::Interrupted);
            } else {
                there.write_all(&[7]).expect("it is read");
                assert_eq!(reading.join().expect("no panic").expect("a byte"), 1);
            }
        });
    }
}

/// Nothing is changed for who does not need it: the mask only where a guest may be interrupted by a
/// signal, the handler not at all where guests poll.
fn only_what_is_needed_is_changed(tier: Tier) {
    succeeds(tier, "only_what_is_needed_is_changed", "mask", || {
        block(libc::SIG_BLOCK);
        let polled = guest(tier, Interruption::Polled, |_| 1);
        ends(&polled, &["loop", "fills", "calls"]);
        assert!(is_blocked());
        assert_eq!(installed(), libc::SIG_DFL);

        let by_deadline = instance(tier, Interruption::Signal, "(module (func (export \"f\")))");
        let f = by_deadline.typed_func::<fn()>("f").expect("f");
        f.call().expect("no trap");
        assert!(is_blocked());
        f.call_with_deadline(Duration::from_secs(1000)).expect("no trap");
        assert!(!is_blocked());
        let by_handle = thread::spawn(move || {
            block(libc::SIG_BLOCK);
            let signalled = guest(tier, Interruption::Signal, |_| 1);
            assert!(is_blocked());
            let _handle = signalled.interrupt_handle();
            assert!(!is_blocked());
            ends(&signalled, &["loop"]);
        });
        by_handle.join().expect("no panic");
    });
}

/// A signal of ours that the parent has not got yet is not taken for one of the child's.
fn a_child_has_no_signal_on_its_way(tier: Tier) {
    succeeds(tier, "a_child_has_no_signal_on_its_way", "fork", || {
        install(simple as *const () as usize, 0);
        let instance = guest(tier, Interruption::Signal, |caller| {
            let handle = caller.instance().interrupt_handle();
            block(libc::SIG_BLOCK);
            handle.interrupt();
            let child = fork(|| {
                block(libc::SIG_UNBLOCK);
                raise();
                assert_eq!(SEEN.load(SeqCst), 1);
            });
            wait_for(child);
            block(libc::SIG_UNBLOCK);
            1
        });
        is_interrupted(instance.func::<fn()>("calls").expect("calls")());
        assert_eq!(SEEN.load(SeqCst), 0);
    });
}

/// A signal of ours that is sent while the one before arrives is still ours.
fn signals_that_overtake_are_known(tier: Tier) {
    succeeds(tier, "signals_that_overtake_are_known", "busy", || {
        install(simple as *const () as usize, 0);
        let done = Arc::new(AtomicBool::new(false));
        // Who sends them is to be stopped between noting and sending.
        for _ in 0..8 {
            let done = done.clone();
            thread::spawn(move || while !done.load(SeqCst) {});
        }
        let instance = guest(tier, Interruption::Signal, |caller| {
            block(libc::SIG_BLOCK);
            caller.instance().interrupt_handle().interrupt();
            thread::sleep(Duration::from_micros(100));
            block(libc::SIG_UNBLOCK);
            1
        });
        let calls = instance.func::<fn()>("calls").expect("calls");
        for _ in 0..1500 {
            is_interrupted(calls());
        }
        done.store(true, SeqCst);
        assert_eq!(SEEN.load(SeqCst), 0);
    });
}

on_each_tier!(
    a_handler_from_before_gets_its_signals,
    signals_that_overtake_are_known,
    a_running_guest_is_not_disturbed,
    a_handler_from_after_passes_on,
    a_handler_from_after_keeps_all,
    system_calls_end_as_before,
    only_what_is_needed_is_changed,
    a_child_has_no_signal_on_its_way,
);
