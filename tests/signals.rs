//! Signals: the guest's faults become traps, and everybody else's signals go where they went
//! without the engine. Each scenario has a process of its own.

mod common;

use std::env;
use std::mem;
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use common::process::{scenario, succeeds};
use common::{instance, instantiate, module, on_each_tier};
use wasm_mini::{Module, Tier, TrapCode};

/// Traps in each way that a tier may turn into a signal, and computes.
const GUEST: &str = r#"(module
    (func (export "div") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
    (func (export "stop") (unreachable))
    (func $forever (export "forever") (param i32) (result i32)
        (i32.add (i32.const 1) (call $forever (local.get 0)))))"#;

/// Calls and traps in every way, on an instance of its own.
fn exercise(tier: Tier) {
    exercise_module(&module(tier, GUEST));
}

fn exercise_module(module: &Module) {
    let instance = instantiate(module);
    let div = instance.func::<fn(i32, i32) -> i32>("div").expect("div");
    let stop = instance.func::<fn()>("stop").expect("stop");
    let forever = instance.func::<fn(i32) -> i32>("forever").expect("forever");
    for _ in 0..3 {
        assert_eq!(div(7, 0).expect_err("a trap").code(), TrapCode::IntegerDivideByZero);
        assert_eq!(div(i32::MIN, -1).expect_err("a trap").code(), TrapCode::IntegerOverflow);
        assert_eq!(stop().expect_err("a trap").code(), TrapCode::Unreachable);
        assert_eq!(forever(0).expect_err("a trap").code(), TrapCode::StackOverflow);
        assert_eq!(div(-9, 2).expect("no trap"), -4);
    }
}

const SIGNALS: [libc::c_int; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

// ---- Another library's faults, and its handler, which repairs what it faulted at. ----

/// A page that cannot be accessed until a handler repairs it.
static PAGE: AtomicUsize = AtomicUsize::new(0);
/// Code that faults until a handler overwrites it: `ud2; ret`.
static CODE: AtomicUsize = AtomicUsize::new(0);
/// A divisor, zero until a handler repairs it.
static DIVISOR: AtomicI32 = AtomicI32::new(0);
/// How many faults the library's handler repaired, by signal.
static REPAIRED: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];
/// What was installed when the library's handler was, in the order of [`SIGNALS`].
static mut BEFORE: [mem::MaybeUninit<libc::sigaction>; 4] =
    [const { mem::MaybeUninit::uninit() }; 4];

fn map_page(protection: libc::c_int) -> usize {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a fresh mapping touches nothing that exists.
    let page = unsafe { libc::mmap(ptr::null_mut(), 4096, protection, flags, -1, 0) };
    assert_ne!(page, libc::MAP_FAILED);
    page as usize
}

fn protect(page: usize, protection: libc::c_int) {
    // SAFETY: the page was mapped by `map_page` and is used by nothing but this library.
    assert_eq!(unsafe { libc::mprotect(page as *mut libc::c_void, 4096, protection) }, 0);
}

/// Repairs what the library's own fault of this kind is about. Whether there was anything to.
fn repair(signal: libc::c_int) -> bool {
    let index = SIGNALS.iter().position(|known| *known == signal).expect("one of the four");
    let waiting = match signal {
        libc::SIGSEGV if PAGE.load(Ordering::SeqCst) != 0 => {
            protect(PAGE.swap(0, Ordering::SeqCst), libc::PROT_READ | libc::PROT_WRITE);
            true
        }
        libc::SIGILL if CODE.load(Ordering::SeqCst) != 0 => {
            let code = CODE.swap(0, Ordering::SeqCst);
            protect(code, libc::PROT_READ | libc::PROT_WRITE);
            // SAFETY: the page is writable now, and its code stands still at its first byte.
            unsafe { (code as *mut [u8; 2]).write([0x90, 0x90]) };
            protect(code, libc::PROT_READ | libc::PROT_EXEC);
            true
        }
        libc::SIGFPE if DIVISOR.load(Ordering::SeqCst) == 0 => {
            DIVISOR.store(5, Ordering::SeqCst);
            true
        }
        _ => false,
    };
    REPAIRED[index].fetch_add(usize::from(waiting), Ordering::SeqCst);
    waiting
}

/// A handler of the simple kind. A signal that it has nothing to repair for is not its own.
extern "C" fn simple_handler(signal: libc::c_int) {
    if !repair(signal) {
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(99) };
    }
}

/// A handler of the other kind, which checks what it is told about the fault.
extern "C" fn informed_handler(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    let page = PAGE.load(Ordering::SeqCst);
    // SAFETY: the kernel, or who passes its signal on, gives a valid siginfo.
    let (told, address) = unsafe { ((*info).si_signo, (*info).si_addr() as usize) };
    let fits = told == signal
        && !context.is_null()
        && (signal != libc::SIGSEGV || (page..page + 4096).contains(&address));
    if !fits || !repair(signal) {
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(98) };
    }
}

/// A handler that comes after the engine's: repairs what is its own, and passes the rest on.
extern "C" fn chaining_handler(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    type Next = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
    // SAFETY: the kernel gives a valid siginfo.
    let address = unsafe { (*info).si_addr() as usize };
    let own = |page: &AtomicUsize| {
        let page = page.load(Ordering::SeqCst);
        page != 0 && (page..page + 4096).contains(&address)
    };
    let is_own = match signal {
        libc::SIGSEGV => own(&PAGE),
        libc::SIGILL => own(&CODE),
        _ => false,
    };
    if is_own {
        repair(signal);
        return;
    }
    let index = SIGNALS.iter().position(|known| *known == signal).expect("one of the four");
    // SAFETY: `install` filled the entry before it installed this handler; the engine's handler is
    // of the kind that takes three arguments, which is checked.
    unsafe {
        let before = (*ptr::addr_of!(BEFORE[index])).assume_init_ref();
        if before.sa_flags & libc::SA_SIGINFO == 0 {
            libc::_exit(97);
        }
        mem::transmute::<usize, Next>(before.sa_sigaction)(signal, info, context);
    }
}

/// What to do at a signal.
fn action(handler: usize, flags: libc::c_int) -> libc::sigaction {
    // SAFETY: all-zero is a valid `sigaction`, and `sigemptyset` writes into it.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        libc::sigemptyset(&mut action.sa_mask);
        action
    }
}

/// Installs an action for all four signals and keeps what was there in [`BEFORE`].
fn install(action: &libc::sigaction) {
    for (index, signal) in SIGNALS.into_iter().enumerate() {
        // SAFETY: the handlers of this file have the signature that their flags ask for; the
        // process has one thread that does this.
        unsafe {
            let before = ptr::addr_of_mut!(BEFORE[index]).cast::<libc::sigaction>();
            assert_eq!(libc::sigaction(signal, ptr::null(), before), 0);
            assert_eq!(libc::sigaction(signal, action, ptr::null_mut()), 0);
        }
    }
}

/// Writes to a page that cannot be written until SIGSEGV's handler repairs it.
fn fault_at_a_page() {
    let page = map_page(libc::PROT_NONE);
    PAGE.store(page, Ordering::SeqCst);
    // SAFETY: the page is this function's own; the handler makes it writable, and the write is
    // done again.
    unsafe {
        ptr::write_volatile(page as *mut u32, 7);
        assert_eq!(ptr::read_volatile(page as *const u32), 7);
    }
    assert_eq!(PAGE.load(Ordering::SeqCst), 0, "the handler ran");
}

/// Runs an invalid instruction until SIGILL's handler repairs it.
fn fault_at_an_instruction() {
    let page = map_page(libc::PROT_READ | libc::PROT_WRITE);
    // SAFETY: the page is writable and this function's own; the code is a complete function once
    // the handler has overwritten its first instruction.
    unsafe {
        (page as *mut [u8; 3]).write([0x0f, 0x0b, 0xc3]);
        protect(page, libc::PROT_READ | libc::PROT_EXEC);
        CODE.store(page, Ordering::SeqCst);
        mem::transmute::<usize, extern "C" fn()>(page)();
    }
    assert_eq!(CODE.load(Ordering::SeqCst), 0, "the handler ran");
}

/// Divides by zero until SIGFPE's handler repairs the divisor.
fn fault_at_a_division() {
    DIVISOR.store(0, Ordering::SeqCst);
    let quotient: u32;
    // SAFETY: divides eax by what is in memory, which the handler makes 5.
    unsafe {
        std::arch::asm!(
            "div dword ptr [{divisor}]",
            divisor = in(reg) DIVISOR.as_ptr(),
            inlateout("eax") 35u32 => quotient,
            inlateout("edx") 0u32 => _,
        );
    }
    assert_eq!(quotient, 7);
}

fn repaired() -> [usize; 4] {
    [0, 1, 2, 3].map(|index| REPAIRED[index].load(Ordering::SeqCst))
}

fn own_faults_and_guests_traps(tier: Tier) {
    let module = module(tier, GUEST);
    for round in 1..=5 {
        exercise_module(&module);
        fault_at_a_page();
        fault_at_an_instruction();
        fault_at_a_division();
        assert_eq!(repaired(), [round, 0, round, round]);
    }
    exercise_module(&module);
}

fn handlers_from_before_get_their_signals(tier: Tier) {
    let kinds: [(&str, usize, libc::c_int); 4] = [
        ("simple", simple_handler as *const () as usize, 0),
        ("simple on its stack", simple_handler as *const () as usize, libc::SA_ONSTACK),
        ("informed", informed_handler as *const () as usize, libc::SA_SIGINFO),
        (
            "informed, all flags",
            informed_handler as *const () as usize,
            libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER | libc::SA_RESTART,
        ),
    ];
    for (role, handler, flags) in kinds {
        succeeds(tier, "handlers_from_before_get_their_signals", role, || {
            install(&action(handler, flags));
            own_faults_and_guests_traps(tier);
        });
    }
}

fn handlers_from_after_pass_the_guests_signals_on(tier: Tier) {
    succeeds(tier, "handlers_from_after_pass_the_guests_signals_on", "chain", || {
        exercise(tier);
        let flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        install(&action(chaining_handler as *const () as usize, flags));
        for round in 1..=5 {
            exercise(tier);
            fault_at_a_page();
            fault_at_an_instruction();
            assert_eq!(repaired(), [round, 0, round, 0]);
        }
    });
}

// ---- Signals that are nobody's end the process as they do without the engine. ----

/// Reads at address 0, in the host.
fn dereference_null() {
    let null = std::hint::black_box(ptr::null::<u8>());
    // SAFETY: none; the read faults, which is what this is for.
    unsafe { std::arch::asm!("mov al, [{}]", in(reg) null, out("al") _) };
}

/// An invalid instruction, in the host.
fn illegal_instruction() {
    // SAFETY: faults, which is what this is for.
    unsafe { std::arch::asm!("ud2") };
}

/// A division by zero, in the host.
fn divide_by_zero() {
    // SAFETY: faults, which is what this is for.
    unsafe { std::arch::asm!("div {0:e}", in(reg) 0, inout("eax") 1 => _, inout("edx") 0 => _) };
}

fn end_in(fault: fn(), name: &str) -> (fn(), String) {
    (fault, name.to_string())
}

/// Faults of the host's with each action that may have been there before the engine.
fn faults_of_the_host_end_the_process(tier: Tier) {
    let faults = [
        (end_in(dereference_null, "segv"), libc::SIGSEGV),
        (end_in(illegal_instruction, "ill"), libc::SIGILL),
        (end_in(divide_by_zero, "fpe"), libc::SIGFPE),
    ];
    for ((fault, name), signal) in faults {
        // As Rust's runtime leaves it; the default; ignored, which the kernel overrides for faults.
        for before in [None, Some(libc::SIG_DFL), Some(libc::SIG_IGN)] {
            let role = format!("{name} after {before:?}");
            let ending = scenario(tier, "faults_of_the_host_end_the_process", &role, || {
                if let Some(before) = before {
                    install(&action(before, 0));
                }
                exercise(tier);
                fault();
            });
            if let Some(ending) = ending {
                ending.expect_signal(signal);
            }
        }
    }
}

/// Faults of the host's on the thread on which an instance has just trapped.
fn faults_of_the_host_on_other_threads_end_the_process(tier: Tier) {
    let test = "faults_of_the_host_on_other_threads_end_the_process";
    let ending = scenario(tier, test, "thread", || {
        thread::spawn(move || {
            exercise(tier);
            dereference_null();
        })
        .join()
        .expect("no panic");
    });
    if let Some(ending) = ending {
        ending.expect_signal(libc::SIGSEGV);
    }
}

#[expect(unconditional_recursion, reason = "to use up the stack")]
fn use_up_the_stack(depth: u64) -> u64 {
    let local = std::hint::black_box([depth; 64]);
    local[depth as usize % 64] + std::hint::black_box(use_up_the_stack(depth + 1))
}

fn rust_still_reports_the_hosts_stack_overflow(tier: Tier) {
    let test = "rust_still_reports_the_hosts_stack_overflow";
    for with_trap in [true, false] {
        let ending = scenario(tier, test, &format!("with a trap: {with_trap}"), || {
            let run = move || {
                let add4 = instance(tier, common::fixture("add4"));
                assert_eq!(
                    add4.func::<fn(i64) -> i64>("add4").expect("add4")(1).expect("no trap"),
                    5
                );
                if with_trap {
                    exercise(tier);
                }
                use_up_the_stack(0)
            };
            let thread = thread::Builder::new().name("deep".to_string()).spawn(run);
            thread.expect("a thread").join().expect("no panic");
        });
        if let Some(ending) = ending {
            ending.expect_signal(libc::SIGABRT);
            assert!(ending.stderr.contains("'deep'"), "{}", ending.stderr);
            assert!(ending.stderr.contains("has overflowed its stack"), "{}", ending.stderr);
        }
    }
}

/// Signals that are sent instead of caused: with the engine they do what they do without.
fn sent_signals_do_what_they_do_without_the_engine(tier: Tier) {
    let test = "sent_signals_do_what_they_do_without_the_engine";
    type Send = fn(libc::c_int);
    let ways: [(&str, Send); 2] = [
        // SAFETY (both): no preconditions.
        ("raise", |signal| _ = unsafe { libc::raise(signal) }),
        ("kill", |signal| _ = unsafe { libc::kill(libc::getpid(), signal) }),
    ];
    for signal in SIGNALS {
        for before in [libc::SIG_DFL, libc::SIG_IGN] {
            for (way, send) in ways {
                let endings = [false, true].map(|with_engine| {
                    let role = format!("{way} {signal} before {before} engine {with_engine}");
                    scenario(tier, test, &role, || {
                        install(&action(before, 0));
                        if with_engine {
                            exercise(tier);
                        }
                        send(signal);
                        // Another thread may have got it.
                        thread::sleep(Duration::from_millis(100));
                    })
                });
                let [Some(without), Some(with)] = endings else { continue };
                assert_eq!(
                    with.signal(),
                    without.signal(),
                    "{way} {signal} after {before}: {with:#?}"
                );
                assert_eq!(with.done, without.done, "{way} {signal} after {before}: {with:#?}");
                let ends = (before == libc::SIG_DFL).then_some(signal);
                assert_eq!(without.signal(), ends, "{way} {signal} after {before}: {without:#?}");
            }
        }
    }
}

// ---- What a trap leaves as it was. ----

fn signal_mask() -> Vec<bool> {
    // SAFETY: reads the thread's mask into a set of its own.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &mut set), 0);
        (1..64).map(|signal| libc::sigismember(&set, signal) == 1).collect()
    }
}

fn alternate_stack() -> (usize, libc::c_int, usize) {
    // SAFETY: reads the thread's alternate stack into a value of its own.
    unsafe {
        let mut stack: libc::stack_t = mem::zeroed();
        assert_eq!(libc::sigaltstack(ptr::null(), &mut stack), 0);
        (stack.ss_sp as usize, stack.ss_flags, stack.ss_size)
    }
}

fn traps_change_neither_mask_nor_stack(tier: Tier) {
    succeeds(tier, "traps_change_neither_mask_nor_stack", "mask", || {
        // SAFETY: blocks a signal that nobody sends.
        unsafe {
            let mut set: libc::sigset_t = mem::zeroed();
            libc::sigaddset(&mut set, libc::SIGUSR2);
            assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, &set, ptr::null_mut()), 0);
        }
        let mask = signal_mask();
        assert!(mask[libc::SIGUSR2 as usize - 1]);
        let _kept = instance(tier, GUEST);
        let stack = alternate_stack();
        assert_eq!(stack.1, 0, "the thread has an alternate stack, and is not on it");
        for _ in 0..10 {
            exercise(tier);
            assert_eq!(signal_mask(), mask);
            assert_eq!(alternate_stack(), stack);
        }
    });
}

/// An alternate stack that is large enough stays in place, and another one is put in its place.
fn a_large_alternate_stack_stays(tier: Tier) {
    succeeds(tier, "a_large_alternate_stack_stays", "stack", || {
        const SIZE: usize = 1 << 20;
        let memory = Box::leak(vec![0u8; SIZE].into_boxed_slice());
        let stack = libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: SIZE };
        // SAFETY: the memory is never freed.
        assert_eq!(unsafe { libc::sigaltstack(&stack, ptr::null_mut()) }, 0);
        exercise(tier);
        assert_eq!(alternate_stack().0, memory.as_ptr() as usize);
    });
}

/// Workers of many programs block all signals.
fn guests_trap_where_all_signals_are_blocked(tier: Tier) {
    succeeds(tier, "guests_trap_where_all_signals_are_blocked", "blocked", || {
        // SAFETY: blocks signals in this thread only.
        unsafe {
            let mut set: libc::sigset_t = mem::zeroed();
            libc::sigfillset(&mut set);
            assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, &set, ptr::null_mut()), 0);
        }
        exercise(tier);
    });
}

/// Other signals that arrive while the guest runs: their handlers run on the guest's stack.
fn timers_do_not_disturb_the_guest(tier: Tier) {
    static TICKS: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn tick(_: libc::c_int) {
        // As a handler that uses some stack would.
        std::hint::black_box([1u8; 2000]);
        TICKS.fetch_add(1, Ordering::SeqCst);
    }
    succeeds(tier, "timers_do_not_disturb_the_guest", "timer", || {
        let fib =
            instance(tier, common::fixture("fib")).func::<fn(i32) -> i32>("fib").expect("fib");
        let time = libc::timeval { tv_sec: 0, tv_usec: 500 };
        let timer = libc::itimerval { it_interval: time, it_value: time };
        let tick = action(tick as *const () as usize, libc::SA_RESTART);
        // SAFETY: the handler only touches its stack and an atomic.
        unsafe {
            assert_eq!(libc::sigaction(libc::SIGPROF, &tick, ptr::null_mut()), 0);
            assert_eq!(libc::setitimer(libc::ITIMER_PROF, &timer, ptr::null_mut()), 0);
        }
        while TICKS.load(Ordering::SeqCst) < 50 {
            assert_eq!(fib(20).expect("no trap"), 6765);
            exercise(tier);
        }
    });
}

// ---- Threads that Rust did not make, and the main thread. ----

/// Runs the closure on a thread of the C library's with that stack size, 0 for its default.
fn on_foreign_thread(stack_size: usize, mut run: impl FnMut() + Send) {
    extern "C" fn start<F: FnMut()>(run: *mut libc::c_void) -> *mut libc::c_void {
        // SAFETY: the creating thread keeps the closure until this one is joined.
        unsafe { (*run.cast::<F>())() };
        ptr::null_mut()
    }
    fn start_of<F: FnMut()>(_: &F) -> extern "C" fn(*mut libc::c_void) -> *mut libc::c_void {
        start::<F>
    }
    // SAFETY: the attributes are initialised before they are used; the closure outlives the
    // thread, which is joined here, and no one else uses it meanwhile.
    unsafe {
        let mut attributes: libc::pthread_attr_t = mem::zeroed();
        assert_eq!(libc::pthread_attr_init(&mut attributes), 0);
        if stack_size > 0 {
            assert_eq!(libc::pthread_attr_setstacksize(&mut attributes, stack_size), 0);
        }
        let mut thread: libc::pthread_t = mem::zeroed();
        let start = start_of(&run);
        let argument = ptr::addr_of_mut!(run).cast();
        assert_eq!(libc::pthread_create(&mut thread, &attributes, start, argument), 0);
        assert_eq!(libc::pthread_join(thread, ptr::null_mut()), 0);
        libc::pthread_attr_destroy(&mut attributes);
    }
}

fn guests_trap_on_foreign_threads(tier: Tier) {
    succeeds(tier, "guests_trap_on_foreign_threads", "pthread", || {
        let module = module(tier, GUEST);
        for stack_size in [0, 128 << 10, 1 << 20] {
            for _ in 0..5 {
                let done = AtomicBool::new(false);
                on_foreign_thread(stack_size, || {
                    exercise_module(&module);
                    done.store(true, Ordering::SeqCst);
                });
                assert!(done.load(Ordering::SeqCst));
            }
        }
        exercise_module(&module);
    });
}

/// Runs before `main`, on the main thread: the test harness runs tests on other threads.
extern "C" fn before_main() {
    let Ok(role) = env::var("WASM_MINI_TEST_MAIN_THREAD") else { return };
    let (how, tier) = role.split_once(' ').expect("how, and on which tier");
    let tier: Tier = tier.parse().expect("a tier");
    // SAFETY: no preconditions; a scenario that hangs must not live on.
    let is_main = unsafe {
        libc::alarm(60);
        libc::getpid() == libc::gettid()
    };
    assert!(is_main);
    if how == "unlimited" {
        // Deep enough to grow the stack by megabytes, far from endless.
        let text = r#"(module (func $f (export "f") (param i32) (result i32)
            (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 0))
            (else (i32.add (i32.const 1) (call $f (i32.sub (local.get 0) (i32.const 1))))))))"#;
        let f = instance(tier, text).func::<fn(i32) -> i32>("f").expect("f");
        assert_eq!(f(100_000).expect("no trap"), 100_000);
        let guest = instance(tier, GUEST);
        let div = guest.func::<fn(i32, i32) -> i32>("div").expect("div");
        assert_eq!(div(7, 0).expect_err("a trap").code(), TrapCode::IntegerDivideByZero);
    } else {
        exercise(tier);
    }
    std::process::exit(42);
}

#[used]
// SAFETY: the C library calls the functions of this section once, before `main`.
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

/// Starts this binary by way of a shell, to run `before_main` as that says.
fn on_the_main_thread(how: &str, tier: Tier, shell: &str) {
    let output = Command::new("sh")
        .args(["-c", &format!("{shell} exec \"$0\"")])
        .arg(env::current_exe().expect("the path of the test binary"))
        .env("WASM_MINI_TEST_MAIN_THREAD", format!("{how} {tier}"))
        .output()
        .expect("a shell");
    match output.status.code() {
        Some(77) => eprintln!("not tested: the system's hard limit is too low for `{shell}`"),
        code => assert_eq!(code, Some(42), "{output:#?}"),
    }
}

fn guests_trap_on_the_main_thread(tier: Tier) {
    on_the_main_thread("usual", tier, "");
}

/// Its stack grows on demand, to a limit that is not its size.
fn guests_trap_on_main_stacks_of_other_sizes(tier: Tier) {
    on_the_main_thread("small", tier, "ulimit -s 512 || exit 77;");
    on_the_main_thread("large", tier, "ulimit -s 65536 2>/dev/null || exit 77;");
}

/// A stack without limit: its bounds are whatever the kernel says.
fn guests_trap_on_an_unlimited_main_stack(tier: Tier) {
    on_the_main_thread("unlimited", tier, "ulimit -s unlimited 2>/dev/null || exit 77;");
}

on_each_tier!(
    handlers_from_before_get_their_signals,
    handlers_from_after_pass_the_guests_signals_on,
    faults_of_the_host_end_the_process,
    faults_of_the_host_on_other_threads_end_the_process,
    rust_still_reports_the_hosts_stack_overflow,
    sent_signals_do_what_they_do_without_the_engine,
    traps_change_neither_mask_nor_stack,
    a_large_alternate_stack_stays,
    guests_trap_where_all_signals_are_blocked,
    timers_do_not_disturb_the_guest,
    guests_trap_on_foreign_threads,
    guests_trap_on_the_main_thread,
    guests_trap_on_main_stacks_of_other_sizes,
    guests_trap_on_an_unlimited_main_stack,
);
