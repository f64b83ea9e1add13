//! No mapping of the process is ever writable and executable, while threads compile, publish, run and
//! free code; not where the system refuses to map code twice either. What may run cannot be written,
//! and what guests write cannot run.

mod common;

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::process::in_own_process;
use common::{assemble, instance, instantiate, module, on_each_tier};
use wasm_mini::{Engine, Module, Tier};

/// How many modules each thread compiles and runs.
const MODULES: usize = 60;
const THREADS: usize = 3;
/// The memory file that code is in, as `/proc/self/maps` names it.
const CODE_FILE: &str = "wasm-mini-code";

/// The mappings of the process; none may be writable and executable. Returns how many are executable
/// and how many are those of code that is mapped twice.
fn check_mappings() -> (usize, usize) {
    let maps = fs::read_to_string("/proc/self/maps").expect("the mappings");
    let (mut executable, mut twice) = (0, 0);
    for line in maps.lines() {
        let permissions = line.split_whitespace().nth(1).expect("permissions");
        let (write, execute) = (permissions.contains('w'), permissions.contains('x'));
        assert!(!(write && execute), "{line}");
        executable += usize::from(execute);
        twice += usize::from(line.contains(CODE_FILE));
    }
    (executable, twice)
}

/// A module of enough functions to be compiled in batches and linked.
fn text(number: usize) -> String {
    let functions: String = (0..40)
        .map(|i| {
            let next = (i + 1) % 40;
            format!(
                "(func $f{i} (param i32) (result i32)
                    (if (result i32) (i32.eqz (local.get 0)) (then (i32.const {number}))
                        (else (call $f{next} (i32.sub (local.get 0) (i32.const 1))))))"
            )
        })
        .collect();
    format!("(module {functions} (export \"f\" (func $f0)))")
}

/// Compiles and runs on several threads, while this one looks at the mappings. Returns how often it
/// did, and the most that [`check_mappings`] found.
fn compile_and_watch(tier: Tier) -> (usize, usize, usize) {
    let engine = Engine::builder().tier(tier).compile_threads(2).build().expect("an engine");
    let running = AtomicUsize::new(THREADS);
    thread::scope(|scope| {
        for i in 0..THREADS {
            let (engine, running) = (&engine, &running);
            scope.spawn(move || {
                let mut kept = Vec::new();
                for round in 0..MODULES {
                    let number = i * MODULES + round;
                    let binary = assemble(&text(number));
                    let module = Module::with_engine(engine, binary).expect("a module");
                    let f = instantiate(&module).func::<fn(u32) -> u32>("f").expect("f");
                    assert_eq!(f(100).expect("no trap"), number as u32);
                    kept.push(f);
                    if round % 3 == 0 {
                        // Frees code between other code.
                        drop(kept.swap_remove(kept.len() / 2));
                    }
                }
                running.fetch_sub(1, Ordering::SeqCst);
            });
        }
        let (mut looks, mut executable, mut twice) = (0, 0, 0);
        while running.load(Ordering::SeqCst) > 0 {
            let found = check_mappings();
            executable = executable.max(found.0);
            twice = twice.max(found.1);
            looks += 1;
        }
        check_mappings();
        (looks, executable, twice)
    })
}

fn no_mapping_is_writable_and_executable(tier: Tier) {
    let test = format!("{tier}::no_mapping_is_writable_and_executable");
    let ending = in_own_process(&test, "mapped twice", || {
        let (before, _) = check_mappings();
        let (looks, executable, twice) = compile_and_watch(tier);
        assert!(looks > 5, "{looks} looks");
        // The trampolines, and the code.
        assert!(executable >= before + 2, "{before} executable mappings, then {executable}");
        assert_eq!(twice, 2, "code is mapped once to be written, once to run");
    });
    if let Some(ending) = ending {
        ending.expect_success();
    }
}

/// Where files may not be large enough, code cannot be mapped twice: its pages change from writable to
/// executable.
fn nor_where_code_is_mapped_once(tier: Tier) {
    let test = format!("{tier}::nor_where_code_is_mapped_once");
    let ending = in_own_process(&test, "mapped once", || {
        let limit = libc::rlimit { rlim_cur: 1 << 20, rlim_max: 1 << 20 };
        // SAFETY: the limit is alive; it holds for this process, which is the scenario's own.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) }, 0);
        let (before, _) = check_mappings();
        let (looks, executable, twice) = compile_and_watch(tier);
        assert!(looks > 5, "{looks} looks");
        assert!(executable > before + 2, "{before} executable mappings, then {executable}");
        assert_eq!(twice, 0, "code is in a memory file in spite of the limit");
    });
    if let Some(ending) = ending {
        ending.expect_success();
    }
}

fn code_cannot_be_written(tier: Tier) {
    let test = format!("{tier}::code_cannot_be_written");
    for limited in [false, true] {
        let role = if limited { "mapped once" } else { "mapped twice" };
        let ending = in_own_process(&test, role, || {
            if limited {
                let limit = libc::rlimit { rlim_cur: 1 << 20, rlim_max: 1 << 20 };
                // SAFETY: as above.
                assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) }, 0);
            }
            let module = module(tier, "(module (func (export \"f\") (result i32) (i32.const 1)))");
            let instance = instantiate(&module);
            assert_eq!(instance.func::<fn() -> i32>("f").expect("f")().expect("no trap"), 1);
            let code = module.code(0).expect("code").as_ptr().cast_mut();
            // SAFETY: it is not: this is the fault that the test is about, in a process of its own.
            unsafe { code.write_volatile(0xc3) };
        });
        if let Some(ending) = ending {
            ending.expect_signal(libc::SIGSEGV);
        }
    }
}

fn what_guests_write_cannot_run(tier: Tier) {
    let test = format!("{tier}::what_guests_write_cannot_run");
    let ending = in_own_process(&test, "run", || {
        let instance =
            instance(tier, "(module (memory (export \"m\") 1) (data (i32.const 0) \"\\c3\"))");
        let memory = instance.memory("m").expect("a memory");
        assert_eq!(memory.cells()[0].get(), 0xc3);
        // SAFETY: as above: the memory holds a `ret`, which would be a function that does nothing.
        unsafe {
            std::mem::transmute::<*const (), extern "C" fn()>(memory.cells().as_ptr().cast())()
        };
    });
    if let Some(ending) = ending {
        ending.expect_signal(libc::SIGSEGV);
    }
}

on_each_tier!(
    no_mapping_is_writable_and_executable,
    nor_where_code_is_mapped_once,
    code_cannot_be_written,
    what_guests_write_cannot_run,
);
