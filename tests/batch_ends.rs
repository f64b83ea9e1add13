//! Batches that are ended: whatever ends a call ends a batch as a whole, at whichever row it is or
//! between two of them. The rows before are written, those behind are not.

mod common;
#[path = "common/patience.rs"]
mod patience;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use common::{Random, on_each_tier};
use patience::{KINDS, patiently};
use wasm_mini::{BatchError, Caller, Engine, Imports, Instance, LinkError, Module, Tier, TrapCode};

/// Rows of positive numbers are multiplied by three, at once. The host gets the others; one of them
/// then goes on for ever. By its signature `one` has a loop of machine code, and `two` has none.
const GUEST: &str = r#"(module (import "h" "row" (func $row (param i64)))
    (func $f (param i64) (result i64)
        (if (i64.lt_s (local.get 0) (i64.const 0)) (then
            (call $row (local.get 0))
            (loop (br_if 0 (i64.eq (local.get 0) (i64.const -4))))))
        (i64.mul (local.get 0) (i64.const 3)))
    (func (export "one") (param i64) (result i64) (call $f (local.get 0)))
    (func (export "two") (param i64) (result i64 i64) (call $f (local.get 0)) (i64.const 1)))"#;

/// What a row can be, besides a number: the host does what the test says, or the guest hangs.
const FIRST: i64 = -1;
const LAST: i64 = -2;
const ENDLESS: i64 = -4;

/// Not a result of any row.
const UNTOUCHED: i64 = i64::MIN;

type Batch = Box<dyn Fn(Option<Duration>, &[i64]) -> (Result<(), BatchError>, Vec<i64>)>;

/// The same batch in both ways, which return what they have written.
fn batches(instance: &Instance) -> [Batch; 2] {
    macro_rules! batch {
        ($ty:ty, $name:literal, $untouched:expr, $first:expr) => {{
            let batch = instance.batch_func::<$ty>($name).expect($name);
            Box::new(move |deadline: Option<Duration>, column: &[i64]| {
                let mut results = vec![$untouched; column.len()];
                let done = match deadline {
                    Some(time) => batch.call_with_deadline(time, (column,), &mut results),
                    None => batch.call((column,), &mut results),
                };
                (done, results.into_iter().map($first).collect::<Vec<i64>>())
            })
        }};
    }
    [
        batch!(fn(i64) -> i64, "one", UNTOUCHED, |x| x),
        batch!(fn(i64) -> (i64, i64), "two", (UNTOUCHED, 0), |(x, _)| x),
    ]
}

/// The row at which a batch was interrupted, with what it has written.
fn interrupted(column: &[i64], (done, results): (Result<(), BatchError>, Vec<i64>)) -> usize {
    let BatchError::Trap { row, trap } = done.expect_err("an interrupted batch") else {
        panic!("the columns fit");
    };
    assert_eq!(trap.code(), TrapCode::Interrupted);
    let expected = |i: usize| if i < row { 3 * column[i] } else { UNTOUCHED };
    let wrong = results.iter().enumerate().position(|(i, result)| *result != expected(i));
    assert_eq!(wrong, None, "interrupted in row {row}");
    row
}

fn completed(column: &[i64], (done, results): (Result<(), BatchError>, Vec<i64>)) {
    done.expect("no trap");
    assert!(results.iter().zip(column).all(|(result, x)| *result == 3 * x));
}

fn guest(engine: &Engine, row: impl Fn(&mut Caller<'_>, i64) + 'static) -> Instance {
    let mut imports = Imports::none();
    imports.func("h", "row", row);
    let module = Module::with_engine(engine, GUEST).expect("a module");
    Instance::new(&module, &imports).expect("an instance")
}

/// Numbers, with something else at one place.
fn column(rows: usize, at: usize, what: i64) -> Vec<i64> {
    (0..rows).map(|row| if row == at { what } else { row as i64 }).collect()
}

fn a_row_ends_its_batch(tier: Tier) {
    for kind in KINDS {
        let instance = guest(&patience::engine(tier, *kind), |caller, _| {
            caller.instance().interrupt_handle().interrupt();
        });
        for batch in batches(&instance) {
            for at in [0, 1, 5, 98, 99] {
                let rows = column(100, at, FIRST);
                assert_eq!(interrupted(&rows, batch(None, &rows)), at);
                // And no batch that comes later.
                let rows: Vec<i64> = (0..100).collect();
                completed(&rows, batch(None, &rows));
            }
        }
    }
}

/// One request, made while the first row is done and the last is not: most come between two rows. The
/// last row waits for it, so that no time decides.
fn no_request_is_lost_between_rows(tier: Tier) {
    const ROWS: usize = 4000;
    const ROUNDS: u32 = 100;
    patiently(|| {
        for kind in KINDS {
            // The round whose batch has begun, and the one whose request was made.
            let (begun, asked) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
            let (has_begun, was_asked) = (begun.clone(), asked.clone());
            let instance = guest(&patience::engine(tier, *kind), move |_, row| match row {
                FIRST => _ = has_begun.fetch_add(1, SeqCst),
                _ => {
                    while was_asked.load(SeqCst) < has_begun.load(SeqCst) {
                        thread::yield_now();
                    }
                }
            });
            let handle = instance.interrupt_handle();
            let batches = batches(&instance);
            let interrupter = thread::spawn(move || {
                let mut random = Random::new(3);
                for round in 1..=2 * ROUNDS {
                    while begun.load(SeqCst) < round {
                        thread::yield_now();
                    }
                    for _ in 0..random.below(20_000) {
                        std::hint::spin_loop();
                    }
                    handle.interrupt();
                    asked.store(round, SeqCst);
                }
            });
            let mut rows = column(ROWS, 0, FIRST);
            rows[ROWS - 1] = LAST;
            let mut inside = 0;
            for batch in batches {
                for _ in 0..ROUNDS {
                    inside += u32::from(interrupted(&rows, batch(None, &rows)) < ROWS - 1);
                }
            }
            interrupter.join().expect("the interrupter");
            println!("{kind:?}: {inside} of {} before the last row", 2 * ROUNDS);
        }
    });
}

fn a_deadline_is_that_of_all_rows(tier: Tier) {
    patiently(|| {
        for kind in KINDS {
            let instance = guest(&patience::engine(tier, *kind), |_, _| ());
            for batch in batches(&instance) {
                for at in [0, 1, 3000] {
                    let rows = column(3001, at, ENDLESS);
                    for deadline in [0, 500] {
                        let deadline = Duration::from_micros(deadline);
                        assert!(interrupted(&rows, batch(Some(deadline), &rows)) <= at);
                    }
                }
                let rows: Vec<i64> = (0..100).collect();
                completed(&rows, batch(Some(Duration::from_secs(1000)), &rows));
            }
        }
    });
}

fn an_engines_deadline_is_that_of_all_rows(tier: Tier) {
    patiently(|| {
        for kind in KINDS {
            let engine = Engine::builder().tier(tier).interruption(*kind);
            let engine = engine.deadline(Duration::from_millis(100)).build().expect("an engine");
            let instance = guest(&engine, |_, _| thread::sleep(Duration::from_millis(5)));
            // No row takes long.
            let rows = vec![LAST; 60];
            for batch in batches(&instance) {
                let stuck = column(10, 9, ENDLESS);
                assert!(interrupted(&stuck, batch(None, &stuck)) <= 9);
                // A batch may come to its end before the watcher wakes.
                while let (Ok(()), _) = batch(None, &rows) {}
                interrupted(&stuck, batch(None, &stuck));
            }
        }
    });
}

/// A panic leaves nothing of the batch behind: the next one is not ended, and its instance is not in
/// use.
fn panics_leave_no_entry(tier: Tier) {
    for kind in KINDS {
        let instance = guest(&patience::engine(tier, *kind), |caller, row| {
            assert!(matches!(caller.instance().reset(), Err(LinkError::InUse { .. })));
            if row == FIRST {
                std::panic::resume_unwind(Box::new("the host's own"));
            }
        });
        for batch in batches(&instance) {
            let rows = column(10, 7, FIRST);
            let panic = catch_unwind(AssertUnwindSafe(|| batch(None, &rows)));
            let payload = panic.expect_err("a panic");
            assert_eq!(payload.downcast_ref(), Some(&"the host's own"));
            instance.interrupt_handle().interrupt();
            instance.reset().expect("nothing runs");
            let rows = column(10, 7, LAST);
            completed(&rows, batch(None, &rows));
            instance.reset().expect("nothing runs");
        }
    }
}

/// A row whose host function makes a batch of another instance: who is interrupted ends, with all that
/// it has called.
fn nested_batches_end(tier: Tier) {
    for kind in KINDS {
        for inner_ends in [true, false] {
            for (outer_kind, inner_kind) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let handle = Rc::new(RefCell::new(None));
                let asked = handle.clone();
                let engine = patience::engine(tier, *kind);
                let inner = guest(&engine, move |_, _| {
                    let handle: &Option<wasm_mini::InterruptHandle> = &asked.borrow();
                    handle.as_ref().expect("set below").interrupt();
                });
                let call = batches(&inner);
                let seen = Rc::new(Cell::new(0));
                let count = seen.clone();
                let outer = guest(&engine, move |_, _| {
                    let rows = column(6, 4, FIRST);
                    assert_eq!(interrupted(&rows, call[inner_kind](None, &rows)), 4);
                    count.set(count.get() + 1);
                });
                let of = if inner_ends { &inner } else { &outer };
                handle.replace(Some(of.interrupt_handle()));
                let rows = column(9, 5, FIRST);
                for round in 1..5 {
                    let called = batches(&outer)[outer_kind](None, &rows);
                    match inner_ends {
                        true => completed(&rows, called),
                        false => assert_eq!(interrupted(&rows, called), 5),
                    }
                    assert_eq!(seen.get(), round);
                }
            }
        }
    }
}

/// A function that needs no entry, and one that is the same and needs one.
const PLAIN: &str = r#"(module
    (func $roots (export "roots") (param f64) (result f64)
        local.get 0 f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt
        f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt
        f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt f64.sqrt)
    (func (export "roots_or_not") (param f64) (result f64)
        (if (f64.lt (local.get 0) (f64.const 0)) (then (unreachable)))
        (call $roots (local.get 0))))"#;

/// A batch ends at a row, also of a function that is over at once and needs no entry.
fn plain_rows_end(tier: Tier) {
    const ROWS: usize = 1 << 16;
    patiently(|| {
        for kind in KINDS {
            let instance = patience::instance(tier, *kind, PLAIN);
            for name in ["roots", "roots_or_not"] {
                let batch = instance.batch_func::<fn(f64) -> f64>(name).unwrap();
                let column = vec![7.0; ROWS];
                let expected = instance.func::<fn(f64) -> f64>(name).unwrap()(7.0).unwrap();
                loop {
                    let mut results = vec![-1.0; ROWS];
                    let called = batch.call_with_deadline(
                        Duration::from_millis(1),
                        (&column,),
                        &mut results,
                    );
                    // It may be done before the watcher wakes.
                    let Err(error) = called else { continue };
                    let BatchError::Trap { row, trap } = error else { panic!("{error}") };
                    assert_eq!(trap.code(), TrapCode::Interrupted);
                    assert!(results[..row].iter().all(|result| *result == expected));
                    assert!(results[row..].iter().all(|result| *result == -1.0));
                    break;
                }
            }
        }
    });
}

on_each_tier!(
    a_row_ends_its_batch,
    no_request_is_lost_between_rows,
    a_deadline_is_that_of_all_rows,
    an_engines_deadline_is_that_of_all_rows,
    panics_leave_no_entry,
    nested_batches_end,
    plain_rows_end,
);
