//! Interruption: guests end wherever they are when they are told to, or when their time is over, and
//! nothing else ends.

mod common;
#[path = "common/patience.rs"]
mod patience;

use std::cell::Cell;
use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use common::process::{fork, wait_for};
use common::{Random, on_each_tier};
use patience::{KINDS, instance, interrupt_until_dropped, is_interrupted, patiently, with_imports};
use wasm_mini::{
    Caller, Engine, Error, Imports, Instance, InterruptHandle, Interruption, LinkError, Module,
    Tier, TrapCode, Value,
};

/// Ways to run for ever, and one to come to an end.
const GUEST: &str = r#"(module
    (memory (export "memory") 1)
    (table $t 4 funcref)
    (elem (table $t) (i32.const 0) func $one)
    (elem declare func $two)
    (type $pair (func (param i32) (result i64)))
    (global $count (mut i64) (i64.const 0))
    (func (export "loop") (loop (br 0)))
    (func (export "count") (result i64)
        (loop (global.set $count (i64.add (global.get $count) (i64.const 1))) (br 0))
        (unreachable))
    (func (export "nested") (loop (loop (loop (br_if 0 (i32.const 0)) (br 1))) (br 0)))
    (func (export "memory_loop")
        (loop (i64.store (i32.const 8) (i64.add (i64.load (i32.const 8)) (i64.const 1))) (br 0)))
    (func $leaf (param i64) (result i64) (i64.add (local.get 0) (i64.const 1)))
    (func (export "leaves") (local i64)
        (loop (local.set 0 (call $leaf (local.get 0))) (br 0)))
    (func $roots (export "slow") (param f64) (result f64)
        local.get 0 f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt
        f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt
        f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt)
    (func (export "roots") (local f64) (loop (local.set 0 (call $roots (local.get 0))) (br 0)))
    (func $down (param i32) (result i32)
        (if (result i32) (i32.eqz (local.get 0))
            (then (i32.const 1))
            (else (i32.add (call $down (i32.sub (local.get 0) (i32.const 1)))
                           (call $down (i32.sub (local.get 0) (i32.const 1)))))))
    (func (export "recursion") (result i32) (call $down (i32.const 62)))
    (func $one (result i64) (i64.const 1))
    (func $two (param i32) (result i64) (i64.const 2))
    (func (export "table") (loop
        (table.set $t (i32.const 0) (ref.func $one)) (table.set $t (i32.const 0) (ref.func $two))
        (br 0)))
    (func (export "call_as_two") (result i64)
        (call_indirect $t (type $pair) (i32.const 7) (i32.const 0)))
    (func (export "grow") (loop (drop (memory.grow (i32.const 0))) (br 0)))
    (func (export "drops") (loop (data.drop $bytes) (elem.drop $null) (br 0)))
    (data $bytes "bytes")
    (elem $null funcref (ref.null func))
    (func (export "add4") (param i64) (result i64) (i64.add (local.get 0) (i64.const 4)))
    (func (export "sum") (param i32) (result i64) (local i64)
        (loop
            (local.set 1 (i64.add (local.get 1) (i64.extend_i32_u (local.get 0))))
            (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (local.get 1)))"#;

const ENDLESS: &[&str] = &[
    "loop",
    "count",
    "nested",
    "memory_loop",
    "leaves",
    "roots",
    "recursion",
    "table",
    "grow",
    "drops",
];

/// The instance computes as ever.
fn is_usable(instance: &Instance) {
    assert_eq!(instance.func::<fn(i64) -> i64>("add4").unwrap()(38).unwrap(), 42);
    let sum = instance.func::<fn(i32) -> i64>("sum").unwrap();
    assert_eq!(sum(100_000).expect("no interruption"), 5_000_050_000);
    assert_eq!(sum(1).expect("no interruption"), 1);
}

fn endless_guests_end(tier: Tier) {
    patiently(|| {
        for kind in KINDS {
            let instance = instance(tier, *kind, GUEST);
            for name in ENDLESS {
                let function = instance.dyn_func(name).unwrap();
                {
                    let _interrupter = interrupt_until_dropped(instance.interrupt_handle());
                    let trap = common::trap(&function, &[]);
                    assert_eq!(trap.code(), TrapCode::Interrupted, "{name}");
                    assert!(trap.backtrace().iter().all(|frame| frame.function() < 18), "{trap:?}");
                }
                is_usable(&instance);
            }
        }
    });
}

fn deadlines_end_guests(tier: Tier) {
    patiently(|| {
        for kind in KINDS {
            let instance = instance(tier, *kind, GUEST);
            for name in ENDLESS {
                let function = instance.dyn_func(name).unwrap();
                for deadline in [0, 1, 3_000] {
                    match function.call_with_deadline(Duration::from_micros(deadline), &[]) {
                        Err(Error::Trap(trap)) => assert_eq!(trap.code(), TrapCode::Interrupted),
                        other => panic!("{name}: {other:?}"),
                    }
                }
            }
            let forever = instance.typed_func::<fn()>("loop").unwrap();
            is_interrupted(forever.call_with_deadline(Duration::from_millis(2)));
            // A deadline is that of one call, and one that is not met costs nothing.
            let sum = instance.typed_func::<fn(i32) -> i64>("sum").unwrap();
            for _ in 0..10_000 {
                assert_eq!(sum.call_with_deadline(Duration::from_secs(1000), 3).unwrap(), 6);
            }
            assert_eq!(sum.call_with_deadline(Duration::MAX, 3).unwrap(), 6);
            let add4 = instance.typed_func::<fn(i64) -> i64>("add4").unwrap();
            assert_eq!(add4.call_with_deadline(Duration::from_secs(1000), 3).unwrap(), 7);
            is_usable(&instance);
        }
    });
}

fn an_engine_has_a_deadline(tier: Tier) {
    patiently(|| {
        for kind in KINDS {
            let engine = Engine::builder().tier(tier).interruption(*kind);
            let engine = engine.deadline(Duration::from_millis(20)).build().unwrap();
            let module = Module::with_engine(&engine, GUEST).unwrap();
            let instance = Instance::new(&module, &Imports::none()).unwrap();
            is_interrupted(instance.func::<fn()>("loop").unwrap()());
            assert_eq!(
                common::trap(&instance.dyn_func("nested").unwrap(), &[]).code(),
                TrapCode::Interrupted
            );
            assert_eq!(instance.func::<fn(i64) -> i64>("add4").unwrap()(38).unwrap(), 42);
            // The deadline is the call's own, so that many calls may take longer together; and
            // another deadline takes its place.
            let sum = instance.typed_func::<fn(i32) -> i64>("sum").unwrap();
            let long = Duration::from_secs(1000);
            assert_eq!(sum.call_with_deadline(long, 30_000_000).unwrap(), 450_000_015_000_000);

            let start = "(module (func $start (loop (br 0))) (start $start))";
            let module = Module::with_engine(&engine, start).unwrap();
            match Instance::new(&module, &Imports::none()) {
                Err(LinkError::Start(trap)) => assert_eq!(trap.code(), TrapCode::Interrupted),
                other => panic!("{other:?}"),
            }
        }
    });
}

fn the_host_is_not_interrupted(tier: Tier) {
    patiently(|| {
        for kind in KINDS {
            // The host function interrupts its own caller, and works on; the guest ends after it.
            let (worked, after) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
            let mut imports = Imports::none();
            let worked_in_host = worked.clone();
            imports.func("host", "work", move |caller: &mut Caller<'_>| -> i32 {
                let handle = caller.instance().interrupt_handle();
                handle.interrupt();
                thread::sleep(Duration::from_millis(3));
                worked_in_host.set(worked_in_host.get() + 1);
                5
            });
            let after_host = after.clone();
            imports.func("host", "after", move || after_host.set(after_host.get() + 1));
            let text = r#"(module
                (import "host" "work" (func $work (result i32)))
                (import "host" "after" (func $after))
                (func (export "f") (drop (call $work)) (call $after))
                (func (export "g") (call $after)))"#;
            let instance = with_imports(tier, *kind, text, &imports);
            let (f, g) = (instance.func::<fn()>("f").unwrap(), instance.func::<fn()>("g").unwrap());
            for round in 1..=20 {
                is_interrupted(f());
                assert_eq!((worked.get(), after.get()), (round, round - 1));
                g().expect("the next call is not interrupted");
            }
        }
    });
}

/// Functions that need no entry run in the host's own activation there, and are the host's.
fn plain_functions_are_the_callers(tier: Tier) {
    const CALLS: u32 = 200_000;
    patiently(|| {
        for kind in KINDS {
            let plain = instance(tier, *kind, GUEST);
            let roots = plain.typed_func::<fn(f64) -> f64>("slow").unwrap();
            let expected = roots.call(7.0).unwrap();
            let (begun, done) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
            let (has_begun, is_done) = (begun.clone(), done.clone());
            let mut imports = Imports::none();
            imports.func("h", "work", move || {
                has_begun.set(has_begun.get() + 1);
                for _ in 0..CALLS {
                    assert_eq!(roots.call(7.0).unwrap().to_bits(), expected.to_bits());
                }
                is_done.set(is_done.get() + 1);
            });
            let text = r#"(module (import "h" "work" (func $work))
                (func (export "run") (loop (call $work) (br 0))))"#;
            let guest = with_imports(tier, *kind, text, &imports);
            let run = guest.typed_func::<fn()>("run").unwrap();
            // A call may end before it has come to the host.
            let mut rounds = 0;
            while rounds < 3 || begun.get() == 0 {
                let _interrupter = interrupt_until_dropped(guest.interrupt_handle());
                is_interrupted(run.call());
                assert_eq!(begun.get(), done.get(), "an activation of the host's was cut short");
                rounds += 1;
            }
        }
    });
}

fn a_blocked_host_function_is_waited_for(tier: Tier) {
    patiently(|| {
        for kind in KINDS {
            let (entered, has_entered) = mpsc::channel::<()>();
            let (go_on, may_go_on) = mpsc::channel::<()>();
            let mut imports = Imports::none();
            imports.func("host", "block", move || {
                entered.send(()).unwrap();
                may_go_on.recv().unwrap();
            });
            let text = r#"(module (import "host" "block" (func $block))
                (func (export "f") (call $block) (loop (br 0))))"#;
            let instance = with_imports(tier, *kind, text, &imports);
            let handle = instance.interrupt_handle();
            let other = thread::spawn(move || {
                has_entered.recv().unwrap();
                // Once, while the host blocks.
                handle.interrupt();
                thread::sleep(Duration::from_millis(10));
                go_on.send(()).unwrap();
            });
            is_interrupted(instance.func::<fn()>("f").unwrap()());
            other.join().unwrap();
        }
    });
}

/// `outer` calls the host, which calls `inner` of another instance, which calls the host, which does
/// what the test says.
fn nested(
    tier: Tier,
    kind: Interruption,
    innermost: impl Fn() + 'static,
) -> (Instance, Instance, Rc<Cell<u32>>) {
    let text = r#"(module (import "host" "call" (func $call))
        (global $after (mut i32) (i32.const 0))
        (func (export "f") (call $call))
        (func (export "then_loop") (call $call) (loop (br 0))))"#;
    let mut imports = Imports::none();
    imports.func("host", "call", innermost);
    let inner = with_imports(tier, kind, text, &imports);
    let seen = Rc::new(Cell::new(0));
    let (seen_by_host, f) = (seen.clone(), inner.func::<fn()>("then_loop").unwrap());
    let mut imports = Imports::none();
    imports.func("host", "call", move || {
        is_interrupted(f());
        seen_by_host.set(seen_by_host.get() + 1);
    });
    (with_imports(tier, kind, text, &imports), inner, seen)
}

fn an_inner_call_ends_alone(tier: Tier) {
    patiently(|| {
        for kind in KINDS {
            let handle: Rc<Cell<Option<InterruptHandle>>> = Rc::default();
            let of_inner = handle.clone();
            let interrupt = move || {
                let handle = of_inner.take().expect("it is there");
                handle.interrupt();
                of_inner.set(Some(handle));
            };
            let (outer, inner, seen) = nested(tier, *kind, interrupt);
            handle.set(Some(inner.interrupt_handle()));
            for round in 1..=10 {
                outer.func::<fn()>("f").unwrap()().expect("only the inner call ends");
                assert_eq!(seen.get(), round);
            }
        }
    });
}

fn an_outer_call_ends_with_all_inside(tier: Tier) {
    patiently(|| {
        for kind in KINDS {
            let handle: Rc<Cell<Option<InterruptHandle>>> = Rc::default();
            let of_outer = handle.clone();
            let interrupt = move || {
                let handle = of_outer.take().expect("it is there");
                handle.interrupt();
                of_outer.set(Some(handle));
            };
            let (outer, _inner, seen) = nested(tier, *kind, interrupt);
            handle.set(Some(outer.interrupt_handle()));
            for round in 1..=10 {
                is_interrupted(outer.func::<fn()>("f").unwrap()());
                assert_eq!(seen.get(), round);
            }
        }
    });
}

fn an_inner_deadline_ends_the_inner_call(tier: Tier) {
    patiently(|| {
        for kind in KINDS {
            let inner = instance(tier, *kind, GUEST);
            let forever = inner.typed_func::<fn()>("loop").unwrap();
            let mut imports = Imports::none();
            imports.func("host", "call", move || {
                is_interrupted(forever.call_with_deadline(Duration::from_millis(1)));
            });
            let text = r#"(module (import "host" "call" (func $call))
                (func (export "once") (call $call))
                (func (export "forever") (loop (call $call) (br 0))))"#;
            let outer = with_imports(tier, *kind, text, &imports);
            let once = outer.typed_func::<fn()>("once").unwrap();
            once.call().expect("the inner call ends");
            once.call_with_deadline(Duration::from_secs(1000)).expect("the inner call ends");
            let forever = outer.typed_func::<fn()>("forever").unwrap();
            is_interrupted(forever.call_with_deadline(Duration::from_millis(10)));
        }
    });
}

fn nothing_else_ends(tier: Tier) {
    patiently(|| {
        for kind in KINDS {
            let one = instance(tier, *kind, GUEST);
            let other = instance(tier, *kind, GUEST);
            // Before the call; another instance's; and one that is gone.
            let gone = instance(tier, *kind, GUEST).interrupt_handle();
            for _ in 0..1000 {
                one.interrupt_handle().interrupt();
                other.interrupt_handle().interrupt();
                gone.interrupt();
                assert_eq!(one.func::<fn(i32) -> i64>("sum").unwrap()(10).unwrap(), 55);
            }
            let _interrupter = interrupt_until_dropped(other.interrupt_handle());
            for _ in 0..20 {
                let sum = one.func::<fn(i32) -> i64>("sum").unwrap();
                assert_eq!(sum(1_000_000).unwrap(), 500_000_500_000);
            }
            let gone = thread::spawn(move || instance(tier, *kind, GUEST).interrupt_handle());
            let gone = gone.join().unwrap();
            gone.interrupt();
        }
    });
}

fn a_table_element_is_never_half_written(tier: Tier) {
    patiently(|| {
        for kind in KINDS {
            let instance = instance(tier, *kind, GUEST);
            let table = instance.typed_func::<fn()>("table").unwrap();
            let call = instance.func::<fn() -> i64>("call_as_two").unwrap();
            for round in 0..300 {
                is_interrupted(table.call_with_deadline(Duration::from_micros(round % 50)));
                match call() {
                    Ok(value) => assert_eq!(value, 2),
                    Err(trap) => assert!(matches!(
                        trap.code(),
                        TrapCode::IndirectCallTypeMismatch | TrapCode::UninitializedElement
                    )),
                }
            }
        }
    });
}

/// What the threads of the stress test do in turn: calls that come to an end by themselves, and calls
/// that only an interruption ends, through a host function or not.
fn random_interruptions(tier: Tier) {
    const THREADS: u64 = 3;
    const CALLS: u64 = 1500;
    patiently(|| {
        for kind in KINDS {
            let (handles, all) = mpsc::channel::<(u64, InterruptHandle, Arc<AtomicU64>)>();
            let interrupted = Arc::new(AtomicU64::new(0));
            let workers: Vec<_> = (0..THREADS)
                .map(|seed| {
                    let (handles, interrupted) = (handles.clone(), interrupted.clone());
                    thread::spawn(move || {
                        let wanted = Arc::new(AtomicU64::new(0));
                        let instance = stressed(tier, *kind);
                        handles.send((seed, instance.interrupt_handle(), wanted.clone())).unwrap();
                        drop(handles);
                        let mut random = Random::new(seed);
                        let sum = instance.func::<fn(i32) -> i64>("sum").unwrap();
                        let through_host = instance.func::<fn(i32) -> i64>("through_host").unwrap();
                        let forever = instance.func::<fn()>("forever").unwrap();
                        for _ in 0..CALLS {
                            let n = 1 + random.below(3000) as i32;
                            let expected = i64::from(n) * i64::from(n + 1) / 2;
                            let result = match random.below(8) {
                                0..=3 => sum(n),
                                4..=6 => through_host(n),
                                _ => {
                                    // Only this may count on being interrupted.
                                    wanted.fetch_add(1, SeqCst);
                                    let result = forever().map(|()| unreachable!());
                                    wanted.fetch_sub(1, SeqCst);
                                    result
                                }
                            };
                            match result {
                                Ok(value) => assert_eq!(value, expected),
                                Err(trap) => {
                                    assert_eq!(trap.code(), TrapCode::Interrupted);
                                    interrupted.fetch_add(1, SeqCst);
                                }
                            }
                        }
                    })
                })
                .collect();
            drop(handles);
            let targets: Vec<_> = all.iter().collect();
            let done = Arc::new(AtomicBool::new(false));
            let is_done = done.clone();
            let interrupter = thread::spawn(move || {
                let mut random = Random::new(99);
                let mut sent = 0u64;
                while !is_done.load(SeqCst) {
                    let (_, handle, wanted) = random.pick(&targets);
                    // Often whatever happens to be running; always when somebody waits for it.
                    if random.one_in(4) || wanted.load(SeqCst) > 0 {
                        handle.interrupt();
                        sent += 1;
                    }
                    for _ in 0..random.below(2000) {
                        std::hint::spin_loop();
                    }
                }
                sent
            });
            for worker in workers {
                worker.join().expect("a worker");
            }
            done.store(true, SeqCst);
            assert!(interrupter.join().expect("the interrupter") >= interrupted.load(SeqCst));
            // Those that wait for it, at least.
            assert!(interrupted.load(SeqCst) > THREADS * CALLS / 16, "{interrupted:?}");
        }
    });
}

fn stressed(tier: Tier, kind: Interruption) -> Instance {
    let inner = instance(tier, kind, GUEST);
    let sum = inner.func::<fn(i32) -> i64>("sum").unwrap();
    let mut imports = Imports::none();
    // Its own instance is nobody's to interrupt: what ends it is what ends its caller.
    imports.func("host", "sum", move |n: i32| sum(n));
    let text = r#"(module
        (import "host" "sum" (func $sum (param i32) (result i64)))
        (func (export "sum") (param i32) (result i64) (local i64)
            (loop
                (local.set 1 (i64.add (local.get 1) (i64.extend_i32_u (local.get 0))))
                (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
            (local.get 1))
        (func (export "through_host") (param i32) (result i64) (call $sum (local.get 0)))
        (func (export "forever") (loop (br 0))))"#;
    with_imports(tier, kind, text, &imports)
}

fn a_panic_of_the_host_goes_first(tier: Tier) {
    patiently(|| {
        for kind in KINDS {
            let mut imports = Imports::none();
            imports.func("host", "panic", |caller: &mut Caller<'_>| -> () {
                caller.instance().interrupt_handle().interrupt();
                std::panic::resume_unwind(Box::new("the host's own"));
            });
            imports.func("host", "fail", |caller: &mut Caller<'_>| {
                caller.instance().interrupt_handle().interrupt();
                Err::<(), _>(std::io::Error::from(ErrorKind::NotFound))
            });
            let text = r#"(module
                (import "host" "panic" (func $panic)) (import "host" "fail" (func $fail))
                (func (export "panic") (call $panic)) (func (export "fail") (call $fail))
                (func (export "ok") (param i64) (result i64)
                    (i64.div_u (local.get 0) (i64.const 2))))"#;
            let instance = with_imports(tier, *kind, text, &imports);
            for _ in 0..20 {
                let panic = instance.func::<fn()>("panic").unwrap();
                let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(panic));
                let payload = caught.expect_err("a panic");
                assert_eq!(payload.downcast_ref(), Some(&"the host's own"));
                let trap = instance.func::<fn()>("fail").unwrap()().expect_err("a trap");
                assert_eq!(trap.code(), TrapCode::HostError);
                let ok = instance.dyn_func("ok").unwrap();
                assert_eq!(ok.call(&[Value::I64(8)]).unwrap(), [Value::I64(4)]);
            }
        }
    });
}

fn a_forked_child_has_a_watcher_of_its_own(tier: Tier) {
    patiently(|| {
        let instance = instance(tier, Interruption::Signal, GUEST);
        let forever = instance.typed_func::<fn()>("loop").unwrap();
        is_interrupted(forever.call_with_deadline(Duration::from_millis(1)));
        wait_for(fork(|| {
            is_interrupted(forever.call_with_deadline(Duration::from_millis(1)));
        }));
    });
}

#[test]
fn handles_go_to_other_threads() {
    fn is_shared<T: Send + Sync + Clone>() {}
    is_shared::<InterruptHandle>();
}

on_each_tier!(
    endless_guests_end,
    deadlines_end_guests,
    an_engine_has_a_deadline,
    the_host_is_not_interrupted,
    a_blocked_host_function_is_waited_for,
    plain_functions_are_the_callers,
    an_inner_call_ends_alone,
    an_outer_call_ends_with_all_inside,
    an_inner_deadline_ends_the_inner_call,
    nothing_else_ends,
    a_table_element_is_never_half_written,
    random_interruptions,
    a_panic_of_the_host_goes_first,
    a_forked_child_has_a_watcher_of_its_own,
);
