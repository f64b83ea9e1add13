//! Forks: both sides go on with the code that there was, and each makes its own. Each scenario has a
//! process of its own.

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;

use common::process::{fork, succeeds, wait_for};
use common::{instantiate, on_each_tier};
use wasm_mini::{Engine, Instance, Module, Tier, TrapCode};

/// Traps in each way that a tier may turn into a signal.
const GUEST: &str = r#"(module
    (func (export "div") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
    (func $forever (export "forever") (param i32) (result i32)
        (i32.add (i32.const 1) (call $forever (local.get 0)))))"#;

/// Calls and traps, on an instance of its own.
fn exercise(module: &Module) {
    let instance = instantiate(module);
    let div = instance.func::<fn(i32, i32) -> i32>("div").expect("div");
    let forever = instance.func::<fn(i32) -> i32>("forever").expect("forever");
    for _ in 0..3 {
        assert_eq!(div(7, 0).expect_err("a trap").code(), TrapCode::IntegerDivideByZero);
        assert_eq!(forever(0).expect_err("a trap").code(), TrapCode::StackOverflow);
        assert_eq!(div(-9, 2).expect("no trap"), -4);
    }
}

fn pipe() -> (File, File) {
    let mut ends = [0; 2];
    // SAFETY: `pipe` writes two descriptors, which nobody else owns.
    unsafe {
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1]))
    }
}

/// Modules whose function adds its number, made and dropped: overwrites what was freed.
fn churn(engine: &Engine, salt: i32) {
    let mut kept = Vec::new();
    for number in 0..60 {
        let number = number * 7 + salt;
        let pad = "i32.const 1 i32.xor i32.const 1 i32.xor ".repeat(number as usize % 50);
        let text = format!(
            "(module (func (export \"f\") (param i32) (result i32)
                local.get 0 {pad} i32.const {number} i32.add))"
        );
        let module = Module::with_engine(engine, text).expect("a module");
        let f = instantiate(&module).func::<fn(i32) -> i32>("f").expect("f");
        assert_eq!(f(1).expect("no trap"), number + 1);
        if number % 3 == 0 {
            kept.push((number, f));
        }
        for (number, f) in &kept {
            assert_eq!(f(2).expect("no trap"), number + 2);
        }
    }
}

fn both_sides_of_a_fork_go_on(tier: Tier) {
    succeeds(tier, "both_sides_of_a_fork_go_on", "fork", || {
        let engine = Engine::new(tier).expect("an engine");
        let module = Module::with_engine(&engine, GUEST).expect("a module");
        let text = common::fixture("fib");
        let fib_module = Module::with_engine(&engine, text).expect("a module");
        let fib = instantiate(&fib_module).func::<fn(i32) -> i32>("fib").expect("fib");
        churn(&engine, 0);
        // One that both sides use, and one that each makes for code that neither may write beside.
        let div = |instance: &Instance| {
            let div = instance.batch_func::<fn(i32, i32) -> i32>("div").expect("div");
            let mut results = [0; 5];
            div.call((&[9, 8, 7, 6, 5], &[1, 2, 3, 4, 5]), &mut results).expect("no trap");
            assert_eq!(results, [9, 4, 2, 1, 1]);
        };
        let (one, other) = (
            instantiate(&module),
            instantiate(&Module::with_engine(&engine, GUEST).expect("a module")),
        );
        div(&one);
        let child = fork(|| {
            for salt in 0..3 {
                div(&one);
                div(&other);
                assert_eq!(fib(15).expect("no trap"), 610);
                exercise(&module);
                churn(&engine, salt);
            }
        });
        for salt in 3..6 {
            div(&one);
            div(&other);
            assert_eq!(fib(15).expect("no trap"), 610);
            exercise(&module);
            churn(&engine, salt);
        }
        wait_for(child);
        exercise(&module);
    });
}

/// The parent drops everything and writes over it, while the child runs what it has.
fn the_child_keeps_what_the_parent_drops(tier: Tier) {
    succeeds(tier, "the_child_keeps_what_the_parent_drops", "drop", || {
        let engine = Engine::new(tier).expect("an engine");
        let module = Module::with_engine(&engine, GUEST).expect("a module");
        let fib_module = Module::with_engine(&engine, common::fixture("fib")).expect("a module");
        let fib = instantiate(&fib_module).func::<fn(i32) -> i32>("fib").expect("fib");
        let ((mut wait, mut signal), (mut heard, mut tell)) = (pipe(), pipe());
        let child = fork(|| {
            assert_eq!(fib(10).expect("no trap"), 55);
            tell.write_all(b"x").expect("the parent listens");
            wait.read_exact(&mut [0]).expect("the parent tells");
            for _ in 0..20 {
                assert_eq!(fib(15).expect("no trap"), 610);
                exercise(&module);
            }
        });
        heard.read_exact(&mut [0]).expect("the child tells");
        drop((fib, fib_module, module));
        churn(&engine, 1);
        signal.write_all(b"x").expect("the child listens");
        churn(&engine, 2);
        wait_for(child);
    });
}

/// And the other way round.
fn the_parent_keeps_what_the_child_drops(tier: Tier) {
    succeeds(tier, "the_parent_keeps_what_the_child_drops", "drop", || {
        let engine = Engine::new(tier).expect("an engine");
        let module = Module::with_engine(&engine, GUEST).expect("a module");
        let mut handles = Some((engine.clone(), module.clone()));
        for _ in 0..3 {
            let child = fork(|| {
                let (engine, module) = handles.take().expect("not dropped yet");
                drop(module);
                churn(&engine, 5);
                drop(engine);
            });
            exercise(&module);
            churn(&engine, 6);
            wait_for(child);
            exercise(&module);
        }
    });
}

/// A child of a child, and many forks: each makes a region of its own.
fn forks_of_forks(tier: Tier) {
    succeeds(tier, "forks_of_forks", "fork", || {
        let engine = Engine::new(tier).expect("an engine");
        for salt in 0..4 {
            churn(&engine, salt);
            let child = fork(|| {
                churn(&engine, 10 + salt);
                let grandchild = fork(|| churn(&engine, 20 + salt));
                churn(&engine, 30 + salt);
                wait_for(grandchild);
            });
            wait_for(child);
        }
    });
}

on_each_tier!(
    both_sides_of_a_fork_go_on,
    the_child_keeps_what_the_parent_drops,
    the_parent_keeps_what_the_child_drops,
    forks_of_forks,
);
