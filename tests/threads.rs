//! Threads: one module for all of them, instances for each, traps on each at the same time.

mod common;

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use common::{Random, engine, instantiate, module, on_each_tier};
use wasm_mini::{Engine, Module, Tier, TrapCode};

const THREADS: usize = 8;

/// Computes, traps in each way, and recurses.
const WORK: &str = r#"(module
    (func $gcd (export "gcd") (param $a i64) (param $b i64) (result i64)
        (if (result i64) (i64.eqz (local.get $b)) (then (local.get $a))
            (else (call $gcd (local.get $b) (i64.rem_u (local.get $a) (local.get $b))))))
    (func $div (export "div") (param i64 i64) (result i64) (i64.div_s (local.get 0) (local.get 1)))
    (func $stop (export "stop") unreachable)
    (func $forever (export "forever") (param i32) (result i32)
        (i32.add (i32.const 1) (call $forever (local.get 0)))))"#;

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Runs the closure on so many threads at once, and waits for all.
fn on_threads(count: usize, work: impl Fn(usize) + Sync) {
    let barrier = Barrier::new(count);
    thread::scope(|scope| {
        for i in 0..count {
            let (work, barrier) = (&work, &barrier);
            scope.spawn(move || {
                barrier.wait();
                work(i);
            });
        }
    });
}

/// Calls and traps, with results checked.
fn work_hard(module: &Module, seed: u64, rounds: usize) {
    let instance = instantiate(module);
    let gcd_of = instance.func::<fn(u64, u64) -> u64>("gcd").expect("gcd");
    let div = instance.func::<fn(i64, i64) -> i64>("div").expect("div");
    let stop = instance.func::<fn()>("stop").expect("stop");
    let forever = instance.func::<fn(i32) -> i32>("forever").expect("forever");
    let mut random = Random::new(seed);
    for round in 0..rounds {
        let (a, b) = (random.integer(), random.integer());
        assert_eq!(gcd_of(a, b).expect("no trap"), gcd(a, b));
        let trap = div(a as i64, 0).expect_err("a trap");
        assert_eq!(trap.code(), TrapCode::IntegerDivideByZero);
        assert_eq!(trap.backtrace()[0].name(), Some("div"));
        assert_eq!(div(i64::MIN, -1).expect_err("a trap").code(), TrapCode::IntegerOverflow);
        assert_eq!(stop().expect_err("a trap").code(), TrapCode::Unreachable);
        if round % 100 == 0 {
            assert_eq!(forever(1).expect_err("a trap").code(), TrapCode::StackOverflow);
        }
    }
}

fn one_module_on_all_threads(tier: Tier) {
    let module = module(tier, WORK);
    on_threads(THREADS, |i| work_hard(&module, i as u64, 2000));
}

fn a_module_moves_to_the_thread_that_uses_it(tier: Tier) {
    let module = module(tier, WORK);
    let threads: Vec<_> = (0..THREADS)
        .map(|i| {
            let module = module.clone();
            thread::spawn(move || work_hard(&module, i as u64, 50))
        })
        .collect();
    drop(module);
    for thread in threads {
        thread.join().expect("no panic");
    }
}

fn modules_are_compiled_on_all_threads(tier: Tier) {
    let engine = Engine::new(tier).expect("an engine");
    on_threads(THREADS, |i| {
        let mut kept = Vec::new();
        for round in 0..40 {
            let number = i * 1000 + round;
            let text = format!(
                "(module (func $g (param i32) (result i32) (i32.add (local.get 0) (i32.const {number})))
                    (func (export \"f\") (param i32) (result i32) (call $g (call $g (local.get 0)))))"
            );
            let module = Module::with_engine(&engine, text).expect("a module");
            let f = instantiate(&module).func::<fn(i32) -> i32>("f").expect("f");
            kept.push((number, f));
            if round % 7 == 3 {
                drop(kept.swap_remove(round % kept.len()));
            }
            for (number, f) in &kept {
                assert_eq!(f(1).expect("no trap"), 1 + 2 * *number as i32);
            }
        }
    });
}

/// Invalid modules and valid ones at the same time, on the engine that all share.
fn errors_on_one_thread_harm_no_other(tier: Tier) {
    on_threads(4, |i| {
        for _ in 0..50 {
            if i % 2 == 0 {
                let text = "(module (func (result i32) i64.const 0))";
                Module::with_engine(engine(tier), text).expect_err("an invalid module");
            } else {
                work_hard(&module(tier, WORK), 1, 2);
            }
        }
    });
}

/// A thread's state goes with it, and the next thread makes its own.
fn threads_come_and_go(tier: Tier) {
    let module = module(tier, WORK);
    for i in 0..300 {
        let module = module.clone();
        thread::spawn(move || work_hard(&module, i, 1)).join().expect("no panic");
    }
}

fn threads_with_small_stacks(tier: Tier) {
    let module = module(tier, WORK);
    for size in [64 << 10, 128 << 10, 256 << 10, 512 << 10] {
        let module = module.clone();
        let run = move || work_hard(&module, size as u64, 101);
        let thread = thread::Builder::new().stack_size(size).spawn(run).expect("a thread");
        thread.join().unwrap_or_else(|_| panic!("with a stack of {size} bytes"));
    }
}

/// Instances that live in thread-local variables go while the thread does, before or after the
/// engine's own state of the thread.
fn instances_in_thread_locals(tier: Tier) {
    type Div = Box<dyn Fn(i64, i64) -> Result<i64, wasm_mini::Trap>>;

    struct LastCall(Option<(Div, Arc<AtomicUsize>)>);

    impl Drop for LastCall {
        fn drop(&mut self) {
            let Some((div, done)) = &self.0 else { return };
            let fits = matches!(div(42, 2), Ok(21))
                && div(1, 0).is_err_and(|trap| trap.code() == TrapCode::IntegerDivideByZero);
            done.fetch_add(usize::from(fits), Ordering::SeqCst);
        }
    }

    thread_local! {
        static EARLY: RefCell<LastCall> = const { RefCell::new(LastCall(None)) };
        static LATE: RefCell<LastCall> = const { RefCell::new(LastCall(None)) };
    }

    let module = module(tier, WORK);
    let done = Arc::new(AtomicUsize::new(0));
    for _ in 0..20 {
        let (module, done) = (module.clone(), done.clone());
        let run = move || {
            let div = || instantiate(&module).func::<fn(i64, i64) -> i64>("div").expect("div");
            // One is registered before the engine meets the thread, the other one after.
            EARLY.with(|_| ());
            let first = div();
            EARLY.with(|last| last.borrow_mut().0 = Some((first, done.clone())));
            LATE.with(|last| last.borrow_mut().0 = Some((div(), done.clone())));
        };
        thread::spawn(run).join().expect("no panic");
    }
    assert_eq!(done.load(Ordering::SeqCst), 40);
}

/// The instance is the last owner of its module, and its thread the last user of its engine.
fn the_last_owner_may_be_any_thread(tier: Tier) {
    for i in 0..20 {
        let engine = Engine::new(tier).expect("an engine");
        let module = Module::with_engine(&engine, WORK).expect("a module");
        drop(engine);
        thread::spawn(move || work_hard(&module, i, 3)).join().expect("no panic");
    }
}

/// Memories pass from thread to thread through their engine, and no thread sees another's bytes.
fn memories_on_many_threads(tier: Tier) {
    let module = module(
        tier,
        r#"(module (memory (export "memory") 2)
            (func (export "fill") (param i32) (result i32) (local $at i32)
                (drop (memory.grow (i32.const 1)))
                (loop
                    (if (i32.load (local.get $at)) (then unreachable))
                    (i32.store (local.get $at) (local.get 0))
                    (br_if 0 (i32.lt_u
                        (local.tee $at (i32.add (local.get $at) (i32.const 1020)))
                        (i32.const 196600))))
                (i32.load (i32.const 1020))))"#,
    );
    on_threads(THREADS, |thread| {
        for round in 0..100 {
            let instance = instantiate(&module);
            let fill = instance.func::<fn(i32) -> i32>("fill").expect("fill");
            let mark = (thread * 1000 + round + 1) as i32;
            assert_eq!(fill(mark).expect("all was zero"), mark);
            let end = instance.func::<fn(i32) -> i32>("fill").expect("fill")(1);
            assert_eq!(end.expect_err("not zero").code(), TrapCode::Unreachable);
        }
    });
}

/// Many functions of very different sizes, some of which call others.
fn large_module() -> String {
    let mut random = Random::new(11);
    let mut text = String::from("(module");
    for function in 0..1000 {
        text += &format!("(func $f{function} (param i64) (result i64) (local.get 0)");
        for _ in 0..random.below(if function % 500 == 0 { 4000 } else { 60 }) {
            text += &format!("(i64.add (i64.const {}))", random.integer() as i64);
        }
        if function > 0 && random.below(4) == 0 {
            text += &format!("(call $f{})", random.below(function));
        }
        text += ")";
    }
    text + r#"(func (export "f") (param i64) (result i64) (call $f999 (local.get 0))))"#
}

fn code_does_not_depend_on_the_number_of_threads(tier: Tier) {
    let binary = common::assemble(&large_module());
    let [one, four] = [1, 4].map(|threads| {
        let engine = Engine::builder().tier(tier).compile_threads(threads).build();
        Module::with_engine(&engine.expect("an engine"), &binary).expect("a module")
    });
    for function in 0..=1000 {
        assert_eq!(one.code(function), four.code(function), "function {function}");
    }
    let call = |module| instantiate(module).func::<fn(i64) -> i64>("f").expect("f")(5);
    assert_eq!(call(&one).expect("no trap"), call(&four).expect("no trap"));
}

fn the_first_error_is_reported(tier: Tier) {
    // Several functions are invalid; the first of them is in the middle of the module.
    let text = large_module();
    let (valid, rest) = text.split_at(text.find("(func $f500 ").expect("the function"));
    let invalid = common::assemble(&[valid, &rest.replace("i64.add", "i32.add")].concat());
    let engine = |threads| {
        let engine = Engine::builder().tier(tier).compile_threads(threads).build();
        engine.expect("an engine")
    };
    let error = |threads| Module::with_engine(&engine(threads), &invalid).unwrap_err().to_string();
    let expected = error(1);
    assert!(expected.contains("type mismatch"), "{expected}");
    for _ in 0..5 {
        assert_eq!(error(4), expected);
    }
    // What stands behind the bodies is reported before them.
    let truncated = [&*invalid, &[11, 2, 1]].concat();
    let no_memory = [&*invalid, &[11, 7, 1, 0, 0x41, 0, 0x0b, 1, b'x']].concat();
    let twice = [&*invalid, &invalid[8..]].concat();
    for (binary, expected) in
        [(truncated, "unexpected end"), (no_memory, "unknown memory"), (twice, "out of order")]
    {
        for threads in [1, 2, 4] {
            let error = Module::with_engine(&engine(threads), &binary).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} on {threads} threads");
        }
    }
}

fn sections_behind_the_bodies_are_read_meanwhile(tier: Tier) {
    let data = "(memory (export \"memory\") 1) (data (i32.const 3) \"abc\") (data \"passive\")
        (func (export \"init\") (memory.init 1 (i32.const 70) (i32.const 1) (i32.const 3)))
        (func $named (export \"trap\") unreachable)";
    let text = large_module();
    let module =
        common::assemble(&(text.strip_suffix(')').expect("a module").to_owned() + data + ")"));
    for threads in [1, 2, 4] {
        let engine = Engine::builder().tier(tier).compile_threads(threads).build();
        let module = Module::with_engine(&engine.expect("an engine"), &module).expect("a module");
        let instance = instantiate(&module);
        instance.func::<fn()>("init").expect("init")().expect("no trap");
        let memory = instance.memory("memory").expect("the memory");
        let mut bytes = [0; 76];
        memory.read(0, &mut bytes).expect("in bounds");
        assert_eq!((&bytes[2..7], &bytes[69..75]), (&b"\0abc\0"[..], &b"\0ass\0\0"[..]));
        let trap = instance.func::<fn()>("trap").expect("trap")().expect_err("unreachable");
        assert_eq!(trap.backtrace()[0].name(), Some("named"));
    }
}

on_each_tier!(
    memories_on_many_threads,
    code_does_not_depend_on_the_number_of_threads,
    the_first_error_is_reported,
    sections_behind_the_bodies_are_read_meanwhile,
    one_module_on_all_threads,
    a_module_moves_to_the_thread_that_uses_it,
    modules_are_compiled_on_all_threads,
    errors_on_one_thread_harm_no_other,
    threads_come_and_go,
    threads_with_small_stacks,
    instances_in_thread_locals,
    the_last_owner_may_be_any_thread,
);
