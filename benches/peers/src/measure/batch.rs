//! What a row of a column costs.

use std::hint::black_box;

use crate::engines::{self, BASELINE, CRANELIFT, Engines, WASMTIME};
use crate::programs;
use crate::race::{Contender, Plan, race};
use crate::report::{Goal, Section};

const NATIVE: &str = "native Rust, inlined";
const BARE: &str = "native Rust, bare indirect call";

/// How many rows a batch has: three columns of them stay in the nearest cache.
const ROWS: usize = 1024;

/// A sum that refuses negative numbers, and the same loop over columns in the guest's own memory.
const TEXT: &str = r#"(module (memory 1)
    (func $sum (export "sum") (param i64 i64) (result i64)
        (if (i64.lt_s (local.get 0) (i64.const 0)) (then (unreachable)))
        (i64.add (local.get 0) (local.get 1)))
    (func (export "run") (param $n i32) (local $at i32)
        (loop $next
            (i64.store offset=16384 (local.get $at)
                (call $sum (i64.load (local.get $at)) (i64.load offset=8192 (local.get $at))))
            (local.set $at (i32.and (i32.add (local.get $at) (i32.const 8)) (i32.const 8191)))
            (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))"#;

#[inline(always)]
fn inlined(a: i64, b: i64) -> i64 {
    if a < 0 {
        std::process::abort();
    }
    a.wrapping_add(b)
}

#[inline(never)]
extern "C" fn sum(a: i64, b: i64) -> i64 {
    inlined(a, b)
}

/// Does something with n rows, in batches: two columns and one of results, equally long.
fn rows<'a>(
    name: impl Into<String>,
    mut batch: impl FnMut(&[i64], &[i64], &mut [i64]) + 'a,
) -> Contender<'a> {
    let a: Vec<i64> = (0..ROWS as i64).collect();
    let b: Vec<i64> = (0..ROWS as i64).map(|i| i * i).collect();
    let mut out = vec![0; ROWS];
    Contender::looping(name, move |n| {
        let mut left = n as usize;
        while left > 0 {
            let now = left.min(ROWS);
            batch(&a[..now], &b[..now], &mut out[..now]);
            black_box(&mut out);
            left -= now;
        }
    })
}

/// A loop in Rust, with a call for each row.
fn each<'a>(name: impl Into<String>, mut call: impl FnMut(i64, i64) -> i64 + 'a) -> Contender<'a> {
    rows(name, move |a, b, out| {
        for ((a, b), out) in a.iter().zip(b).zip(out) {
            *out = call(*a, *b);
        }
    })
}

pub fn measure(engines: &Engines, plan: Plan) -> Section {
    let binary = &programs::binary(TEXT);
    let bare: extern "C" fn(i64, i64) -> i64 = black_box(sum);
    let mut contenders = vec![each(NATIVE, inlined), each(BARE, move |a, b| bare(a, b))];
    for (name, engine) in &engines.mini {
        let instance = engines::mini(engine, binary);
        let batch = instance.batch_func::<fn(i64, i64) -> i64>("sum").expect("the export");
        contenders.push(rows(format!("{name}, batch"), move |a, b, out| {
            batch.call((a, b), out).expect("no trap");
        }));
        let typed = instance.typed_func::<fn(i64, i64) -> i64>("sum").expect("the export");
        contenders.push(each(format!("{name}, TypedFunc in a loop"), move |a, b| {
            typed.call(a, b).expect("no trap")
        }));
        let closure = instance.func::<fn(i64, i64) -> i64>("sum").expect("the export");
        contenders.push(each(format!("{name}, closure in a loop"), move |a, b| {
            closure(a, b).expect("no trap")
        }));
        let run = instance.typed_func::<fn(i32)>("run").expect("the export");
        contenders.push(Contender::looping(format!("{name}, the loop in the guest"), move |n| {
            run.call(n as i32).expect("no trap");
        }));
    }
    for (name, engine) in &engines.wasmtime {
        let (mut store, instance) = engines::wasmtime(engine, binary);
        let typed = instance.get_typed_func::<(i64, i64), i64>(&mut store, "sum");
        let typed = typed.expect("the export");
        contenders.push(each(format!("{name}, TypedFunc in a loop"), move |a, b| {
            typed.call(&mut store, (a, b)).expect("no trap")
        }));
    }
    let race = race(plan, contenders);
    let note = "`out[i] = sum(a[i], b[i])` over columns of 1024 rows; the function traps if `a[i]` is \
                negative. The time is that of one row. The loop in the guest is compiled with the \
                function and works on columns in the guest's memory.";
    let mut section = Section::of_race("The cost of a row", note, &race, BARE);
    for name in [BASELINE, CRANELIFT] {
        let batch = format!("{name}, batch");
        section = section
            .goal(Goal::at_most(
                format!("{batch}, at most as long as the loop in the guest"),
                race.ratio(&batch, &format!("{name}, the loop in the guest")),
                1.0,
            ))
            .goal(Goal::at_least(
                format!("{batch}, at least 3 × faster than {WASMTIME}, TypedFunc in a loop"),
                race.ratio(&format!("{WASMTIME}, TypedFunc in a loop"), &batch),
                3.0,
            ));
    }
    section
}
