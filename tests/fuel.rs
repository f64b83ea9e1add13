//! Fuel: what programs consume, exactly and the same on every tier; what happens when there is too
//! little; what hosts can do with it.

mod common;
#[allow(dead_code)]
#[path = "common/engines.rs"]
mod engines;
#[path = "common/expressions.rs"]
mod expressions;
#[allow(dead_code)]
#[path = "common/interpreter.rs"]
mod interpreter;
#[path = "common/metered.rs"]
mod metered;
#[path = "common/smith.rs"]
mod smith;

use std::thread;

use common::{on_each_tier, random};
use metered::{Metered, Tally};
use wasm_mini::{Engine, Error, Fuel, Imports, Instance, LinkError, Module, Tier, TrapCode, Value};

/// A module on a new engine whose instances start with so much fuel.
fn module(tier: Tier, initial: u64, text: &str) -> Module {
    let engine = Engine::builder().tier(tier).fuel(initial).build().expect("an engine");
    Module::with_engine(&engine, text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn instance(tier: Tier, initial: u64, text: &str) -> Instance {
    Instance::new(&module(tier, initial, text), &Imports::none()).expect("an instance")
}

fn fuel(instance: &Instance) -> Fuel {
    instance.fuel().expect("an engine with fuel")
}

/// Calls `f` with these arguments: the results or the trap, and what it took.
fn call(instance: &Instance, arguments: &[Value]) -> (Result<Vec<Value>, TrapCode>, u64) {
    let before = fuel(instance).left();
    let outcome = match instance.dyn_func("f").expect("f").call(arguments) {
        Ok(results) => Ok(results),
        Err(Error::Trap(trap)) => Err(trap.code()),
        Err(other) => panic!("{other}"),
    };
    (outcome, before - fuel(instance).left())
}

/// What a call of `f` takes that returns.
fn cost(tier: Tier, text: &str, arguments: &[Value]) -> u64 {
    let instance = instance(tier, 1 << 40, text);
    let (outcome, taken) = call(&instance, arguments);
    assert!(outcome.is_ok(), "{outcome:?}\n{text}");
    taken
}

fn programs_cost_what_their_operators_cost(tier: Tier) {
    let cases: &[(&str, &[i32], u64)] = &[
        // One for the function.
        ("(func (export \"f\"))", &[], 1),
        ("(func (export \"f\") (nop) (drop (i32.const 1)) (block (nop)) (loop) (return))", &[], 2),
        ("(func (export \"f\") (result i32) (i32.add (i32.const 1) (i32.const 2)))", &[], 4),
        // Arms cost what they cost, and `if` one.
        ("(func (export \"f\") (param i32) (if (local.get 0) (then (global.set 0 (i32.const 1)))))", &[0], 3),
        ("(func (export \"f\") (param i32) (if (local.get 0) (then (global.set 0 (i32.const 1)))))", &[1], 5),
        ("(func (export \"f\") (param i32) (if (local.get 0) (then) (else (global.set 0 (i32.const 1)))))", &[0], 5),
        ("(func (export \"f\") (param i32) (if (local.get 0) (then) (else (global.set 0 (i32.const 1)))))", &[7], 3),
        // 6 in each iteration.
        ("(func (export \"f\") (param i32)
            (loop (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if 0 (local.get 0))))", &[10], 61),
        // 3 for each test, the last one too, and 5 for each iteration.
        ("(func (export \"f\") (param i32)
            (block (loop (br_if 1 (i32.eqz (local.get 0)))
                (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br 0))))", &[10], 1 + 11 * 3 + 10 * 5),
        // What follows a branch costs only if it is not taken.
        ("(func (export \"f\") (param i32) (block (br_if 0 (local.get 0)) (global.set 0 (i32.const 1))))", &[1], 3),
        ("(func (export \"f\") (param i32) (block (br_if 0 (local.get 0)) (global.set 0 (i32.const 1))))", &[0], 5),
        ("(func (export \"f\") (param i32)
            (block (block (block (br_table 0 1 2 (local.get 0))) (global.set 0 (i32.const 1)))
                (global.set 0 (i32.const 2))))", &[0], 7),
        ("(func (export \"f\") (param i32)
            (block (block (block (br_table 0 1 2 (local.get 0))) (global.set 0 (i32.const 1)))
                (global.set 0 (i32.const 2))))", &[1], 5),
        ("(func (export \"f\") (param i32)
            (block (block (block (br_table 0 1 2 (local.get 0))) (global.set 0 (i32.const 1)))
                (global.set 0 (i32.const 2))))", &[9], 3),
        // A call costs one, and what the callee costs.
        ("(func (export \"f\") (call $g) (call $g)) (func $g (nop) (global.set 0 (i32.const 1)))", &[], 1 + 2 * (1 + 3)),
        ("(table funcref (elem $g)) (func $g) (func (export \"f\") (call_indirect (i32.const 0)))", &[], 1 + 2 + 1),
        // Operators of bulk cost one for each whole 64 bytes, and one for each two elements.
        ("(memory 1) (func (export \"f\") (param i32) (memory.fill (i32.const 0) (i32.const 1) (local.get 0)))", &[63], 5),
        ("(memory 1) (func (export \"f\") (param i32) (memory.fill (i32.const 0) (i32.const 1) (local.get 0)))", &[64], 6),
        ("(memory 1) (func (export \"f\") (param i32) (memory.fill (i32.const 0) (i32.const 1) (local.get 0)))", &[65536], 5 + 1024),
        ("(memory 1) (func (export \"f\") (memory.fill (i32.const 0) (i32.const 1) (i32.const 64)))", &[], 6),
        ("(memory 1) (func (export \"f\") (memory.copy (i32.const 0) (i32.const 1) (i32.const 63)))", &[], 5),
        ("(memory 1) (func (export \"f\") (memory.copy (i32.const 0) (i32.const 1) (i32.const 64)))", &[], 6),
        ("(memory 1) (func (export \"f\") (memory.copy (i32.const 0) (i32.const 1) (i32.const 1000)))", &[], 5 + 15),
        ("(memory 1) (func (export \"f\") (param i32) (memory.copy (i32.const 0) (i32.const 1) (local.get 0)))", &[1000], 5 + 15),
        ("(memory 1) (data $d \"0123456789012345678901234567890123456789012345678901234567890123456789\")
          (func (export \"f\") (param i32) (memory.init $d (i32.const 0) (i32.const 0) (local.get 0)))", &[70], 6),
        ("(table $t 20 funcref) (func (export \"f\") (param i32)
            (table.fill $t (i32.const 0) (ref.null func) (local.get 0)))", &[19], 5 + 9),
        ("(table $t 20 funcref) (func (export \"f\") (param i32)
            (table.copy $t $t (i32.const 0) (i32.const 1) (local.get 0)))", &[19], 5 + 9),
        ("(table $t 20 funcref) (elem $e func $g $g $g) (func $g) (func (export \"f\") (param i32)
            (table.init $t $e (i32.const 0) (i32.const 0) (local.get 0)))", &[3], 5 + 1),
        ("(table $t 1 funcref) (func (export \"f\") (param i32) (result i32)
            (table.grow $t (ref.null func) (local.get 0)))", &[9], 4 + 4),
        ("(memory 1) (func (export \"f\") (result i32) (memory.grow (i32.const 1)))", &[], 3),
        // Vectors are like all other operators.
        ("(func (export \"f\") (result v128) (i8x16.add (v128.const i64x2 1 2) (i8x16.splat (i32.const 1))))", &[], 5),
    ];
    for (text, arguments, expected) in cases {
        let text = format!("(module (global (mut i32) (i32.const 0)) {text})");
        let arguments: Vec<_> = arguments.iter().map(|number| Value::I32(*number)).collect();
        assert_eq!(cost(tier, &text, &arguments), *expected, "{arguments:?}\n{text}");
    }
}

/// Programs with everything that fuel is charged at, and arguments.
const PROGRAMS: &[(&str, &[i32])] = &[
    ("(module (global $g (export \"g\") (mut i32) (i32.const 0))
        (func (export \"f\") (param i32) (result i32) (local i32 i32)
            (loop $outer
                (global.set $g (i32.add (global.get $g) (i32.const 1)))
                (local.set 1 (i32.const 3))
                (block $done
                    (loop $inner
                        (br_if $done (i32.eqz (local.get 1)))
                        (local.set 1 (i32.sub (local.get 1) (i32.const 1)))
                        (if (i32.and (local.get 1) (i32.const 1))
                            (then (local.set 2 (i32.add (local.get 2) (local.get 0))) (br $inner))
                            (else (local.set 2 (i32.xor (local.get 2) (i32.const 5)))))
                        (br $inner)))
                (br_if $outer (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
            (i32.add (local.get 2) (global.get $g))))", &[3]),
    ("(module (global $g (export \"g\") (mut i32) (i32.const 0))
        (func $fib (export \"f\") (param i32) (result i32)
            (global.set $g (i32.add (global.get $g) (i32.const 1)))
            (if (result i32) (i32.lt_s (local.get 0) (i32.const 2))
                (then (local.get 0))
                (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                               (call $fib (i32.sub (local.get 0) (i32.const 2))))))))", &[5]),
    // Calls in a loop, and more locals than there are registers.
    ("(module (global $g (export \"g\") (mut i32) (i32.const 0))
        (func $step (param i32) (result i32)
            (global.set $g (i32.add (global.get $g) (local.get 0)))
            (i32.mul (local.get 0) (i32.const 3)))
        (func (export \"f\") (param i32) (result i32) (local i32 i32 i32 i32 i32 i32 i32 i32)
            (loop
                (local.set 1 (call $step (local.get 0)))
                (local.set 2 (i32.add (local.get 1) (local.get 2)))
                (local.set 3 (i32.add (local.get 2) (local.get 3)))
                (local.set 4 (i32.add (local.get 3) (local.get 4)))
                (local.set 5 (i32.add (local.get 4) (local.get 5)))
                (local.set 6 (i32.add (local.get 5) (local.get 6)))
                (local.set 7 (i32.add (local.get 6) (call $step (local.get 7))))
                (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
            (i32.add (local.get 7) (local.get 2))))", &[4]),
    // Functions so small that a tier may put them where they are called: each pays on its own, after
    // what happened before.
    ("(module (global $g (export \"g\") (mut i32) (i32.const 0))
        (func $square (param i32) (result i32) (i32.mul (local.get 0) (local.get 0)))
        (func $mark (param i32 i32) (result i32 i32) (local.get 1) (local.get 0))
        (func $nothing)
        (func (export \"f\") (param i32) (result i32)
            (global.set $g (call $square (i32.const 7)))
            (loop
                (call $nothing)
                (global.set $g (call $square (call $square (i32.add (global.get $g) (i32.const 1)))))
                (call $mark (local.get 0) (global.get $g))
                (global.set $g (i32.sub))
                (if (i32.and (local.get 0) (i32.const 1))
                    (then (global.set $g (i32.xor (global.get $g) (call $square (local.get 0))))))
                (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
            (call $square (global.get $g))))", &[4]),
    // Tables of targets, early returns, values carried by branches, code that cannot be reached.
    ("(module (global $g (export \"g\") (mut i32) (i32.const 0))
        (func (export \"f\") (param i32) (result i32) (local i32)
            (loop $again (result i32)
                (block $out (result i32)
                    (block $b2 (block $b1 (block $b0
                        (br_table $b0 $b1 $b2 $b1 $b0 $b1 $b2 (local.tee 1 (i32.rem_u (local.get 0) (i32.const 8)))))
                        (global.set $g (i32.add (global.get $g) (i32.const 1)))
                        (local.set 0 (i32.add (local.get 0) (i32.const 1)))
                        (br $again))
                        (local.set 0 (i32.add (local.get 0) (i32.const 3)))
                        (drop (br_if $out (i32.const 77) (i32.gt_u (local.get 0) (i32.const 30))))
                        (br $again)
                        (global.set $g (i32.const 99)))
                    (if (i32.gt_u (local.get 0) (i32.const 20)) (then (return (local.get 0))))
                    (local.set 0 (i32.add (local.get 0) (i32.const 2)))
                    (br $again)))))", &[0]),
    // Operators of bulk, by constant lengths and others.
    ("(module (memory (export \"m\") 1) (table $t (export \"t\") 4 40 funcref)
        (func (export \"f\") (param i32) (result i32)
            (loop
                (memory.fill (local.get 0) (local.get 0) (i32.mul (local.get 0) (i32.const 70)))
                (memory.copy (i32.const 5) (local.get 0) (i32.const 64))
                (memory.copy (i32.const 500) (local.get 0) (i32.const 200))
                (drop (table.grow $t (ref.null func) (local.get 0)))
                (table.fill $t (i32.const 0) (ref.func 0) (local.get 0))
                (drop (memory.grow (i32.const 1)))
                (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
            (i32.add (memory.size) (table.size $t))))", &[3]),
    // A trap in the middle.
    ("(module (memory (export \"m\") 1) (global $g (export \"g\") (mut i32) (i32.const 0))
        (func (export \"f\") (param i32) (result i32)
            (loop
                (global.set $g (i32.add (global.get $g) (i32.const 1)))
                (i32.store (i32.mul (local.get 0) (i32.const 9000)) (i32.const -1))
                (local.set 0 (i32.add (local.get 0) (i32.const 1)))
                (br 0))
            (unreachable)))", &[0]),
];

fn exported(instance: &Instance) -> engines::State {
    engines::state(instance)
}

/// At every amount of fuel, each tier ends alike, with as much left and with the same state.
#[test]
fn every_amount_of_fuel_ends_alike() {
    for (text, arguments) in PROGRAMS {
        let arguments: Vec<_> = arguments.iter().map(|number| Value::I32(*number)).collect();
        let modules: Vec<_> = Tier::available().iter().map(|tier| module(*tier, 0, text)).collect();
        let run = |module: &Module, units: u64| {
            let instance = Instance::new(module, &Imports::none()).expect("an instance");
            fuel(&instance).set(units);
            let (outcome, taken) = call(&instance, &arguments);
            assert!(taken <= units);
            (outcome, taken, exported(&instance))
        };
        let (outcome, needed, _) = run(&modules[0], 1 << 40);
        assert_ne!(outcome, Err(TrapCode::OutOfFuel));
        assert!(needed > 50 && needed < 5000, "{needed}\n{text}");
        for units in 0..=needed {
            let (first, taken, state) = run(&modules[0], units);
            assert_eq!(
                first,
                if units < needed { Err(TrapCode::OutOfFuel) } else { outcome.clone() }
            );
            for module in &modules[1..] {
                let (outcome, same_taken, same_state) = run(module, units);
                assert_eq!((outcome, same_taken), (first.clone(), taken), "{units} units\n{text}");
                assert_eq!(same_state.difference(&state), None, "{units} units\n{text}");
            }
        }
    }
}

fn a_call_can_be_made_again_with_more(tier: Tier) {
    let text = "(module (func (export \"f\") (param i32) (result i32) (local i32)
        (loop
            (local.set 1 (i32.add (local.get 1) (local.get 0)))
            (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (local.get 1)))";
    let needed = cost(tier, text, &[Value::I32(100)]);
    let instance = instance(tier, 0, text);
    let mut attempts = 0;
    let results = loop {
        match call(&instance, &[Value::I32(100)]) {
            (Ok(results), taken) => {
                assert_eq!(taken, needed);
                break results;
            }
            (Err(code), taken) => {
                assert_eq!(code, TrapCode::OutOfFuel);
                assert!(taken < needed);
                // From scratch: what the last attempt took is gone.
                attempts += 1;
                fuel(&instance).add(200 * attempts);
            }
        }
    };
    assert_eq!(results, [Value::I32(5050)]);
    assert!(attempts > 1);
    fuel(&instance).set(u64::MAX);
    fuel(&instance).add(1);
    assert_eq!(fuel(&instance).left(), u64::MAX);
    assert_eq!(call(&instance, &[Value::I32(100)]).1, needed);
    fuel(&instance).set(needed - 1);
    let (outcome, _) = call(&instance, &[Value::I32(100)]);
    assert_eq!(outcome, Err(TrapCode::OutOfFuel));
}

fn what_never_ends_runs_out(tier: Tier) {
    for text in [
        "(module (func (export \"f\") (loop (br 0))))",
        "(module (func (export \"f\") (loop (loop (br 1)))))",
        "(module (func (export \"f\") (param i32) (loop (if (local.get 0) (then (br 1)) (else (br 1))))))",
        "(module (func (export \"f\") (loop (block (br_table 0 1 1 (i32.const 1))) (br 0))))",
        "(module (func $g (loop (br_if 0 (i32.const 1)))) (func (export \"f\") (loop (call $g) (br 0))))",
        "(module (memory 1) (func (export \"f\")
            (loop (memory.fill (i32.const 0) (i32.const 0) (i32.const 65536)) (br 0))))",
    ] {
        let instance = instance(tier, 20_000, text);
        let arguments: Vec<_> = if text.contains("param") { vec![Value::I32(1)] } else { vec![] };
        let (outcome, taken) = call(&instance, &arguments);
        assert_eq!(outcome, Err(TrapCode::OutOfFuel), "{text}");
        assert!((18_000..=20_000).contains(&taken), "{taken}\n{text}");
    }
}

fn endless_recursion_runs_out(tier: Tier) {
    for text in [
        "(module (func $f (export \"f\") (call $f)))",
        "(module (func $f (export \"f\") (call $g)) (func $g (call $f)))",
        "(module (table funcref (elem $f)) (func $f (export \"f\") (call_indirect (i32.const 0))))",
    ] {
        let instance = instance(tier, 1_000, text);
        let (outcome, taken) = call(&instance, &[]);
        assert_eq!(outcome, Err(TrapCode::OutOfFuel), "{text}");
        assert!(taken > 990, "{taken}");
        // With more than the stack allows, it is the stack that ends.
        fuel(&instance).set(u64::MAX);
        assert_eq!(call(&instance, &[]).0, Err(TrapCode::StackOverflow), "{text}");
    }
}

fn hosts_read_and_change_it(tier: Tier) {
    let text = "(module (import \"host\" \"h\" (func $h (param i32) (result i64)))
        (func (export \"f\") (param i32) (result i64) (local i64)
            (loop
                (local.set 1 (i64.add (local.get 1) (call $h (local.get 0))))
                (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
            (local.get 1)))";
    let module = module(tier, 1_000, text);
    let mut imports = Imports::none();
    imports.func("host", "h", |caller: &mut wasm_mini::Caller<'_>, what: i32| -> i64 {
        let fuel = caller.instance().fuel().expect("an engine with fuel");
        match what {
            3 => fuel.add(5_000),
            2 => fuel.set(fuel.left() - 70),
            1 => fuel.set(6),
            _ => {}
        }
        fuel.left() as i64
    });
    let instance = Instance::new(&module, &imports).expect("an instance");
    let f = instance.typed_func::<fn(i32) -> i64>("f").expect("f");
    // Two before the loop and behind it; ten in each iteration, of which the host sees all.
    fuel(&instance).set(12);
    assert_eq!(f.call(4).unwrap_err().code(), TrapCode::OutOfFuel);
    assert_eq!(fuel(&instance).left(), 0);
    fuel(&instance).set(1_000);
    // What the host sees in turn: what was set, added, taken is what the guest goes on with.
    assert_eq!(f.call(4).expect("no trap"), 988 + (978 + 5_000) + (5_968 - 70) + 6);
    assert_eq!(fuel(&instance).left(), 6);
}

fn start_functions_pay(tier: Tier) {
    let text = "(module (global $g (export \"g\") (mut i32) (i32.const 0))
        (func $start (loop (global.set $g (i32.add (global.get $g) (i32.const 1)))
            (br_if 0 (i32.lt_u (global.get $g) (i32.const 10)))))
        (start $start))";
    let enough = 1 + 10 * 8;
    let instance = instance(tier, enough, text);
    assert_eq!(fuel(&instance).left(), 0);
    match Instance::new(&module(tier, enough - 1, text), &Imports::none()) {
        Err(LinkError::Start(trap)) => assert_eq!(trap.code(), TrapCode::OutOfFuel),
        other => panic!("{other:?}"),
    }
}

/// A reset instance has as much as a new one, and its start function pays again.
fn a_reset_refuels(tier: Tier) {
    let text = "(module (func $start (nop)) (start $start) (func (export \"f\")))";
    let instance = instance(tier, 10, text);
    assert_eq!(fuel(&instance).left(), 9);
    assert_eq!(call(&instance, &[]), (Ok(vec![]), 1));
    instance.reset().expect("no guest runs");
    assert_eq!(fuel(&instance).left(), 9);
    fuel(&instance).set(0);
    instance.reset().expect("there is enough again");
}

fn each_instance_pays_for_its_functions(tier: Tier) {
    let engine = Engine::builder().tier(tier).fuel(1_000).build().expect("an engine");
    let library = Module::with_engine(
        &engine,
        "(module (func (export \"work\") (param i32)
        (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))",
    )
    .expect("a module");
    let library = Instance::new(&library, &Imports::none()).expect("an instance");
    let user = Module::with_engine(
        &engine,
        "(module (import \"lib\" \"work\" (func $work (param i32)))
        (func (export \"f\") (param i32)
            (loop (call $work (i32.const 10))
                (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))",
    )
    .expect("a module");
    let mut imports = Imports::none();
    imports.instance("lib", &library);
    let user = Instance::new(&user, &imports).expect("an instance");
    let (outcome, taken) = call(&user, &[Value::I32(5)]);
    assert_eq!(outcome, Ok(vec![]));
    assert_eq!(taken, 1 + 5 * 7);
    assert_eq!(1_000 - fuel(&library).left(), 5 * (1 + 10 * 5));
    // Whoever runs out, the call ends, and what the others had is still theirs.
    fuel(&library).set(60);
    let before = fuel(&user).left();
    assert_eq!(call(&user, &[Value::I32(5)]).0, Err(TrapCode::OutOfFuel));
    assert_eq!(before - fuel(&user).left(), 1 + 2 * 7);
    assert_eq!(fuel(&library).left(), 60 - 51 - 1 - 5);
}

fn nested_calls_pay_from_the_same(tier: Tier) {
    let text = "(module (import \"host\" \"again\" (func $again (param i32)))
        (func (export \"f\") (param i32)
            (loop
                (if (local.get 0) (then (call $again (i32.sub (local.get 0) (i32.const 1)))))
                (br_if 0 (i32.const 0)))))";
    let module = module(tier, 10_000, text);
    let mut imports = Imports::none();
    imports.func("host", "again", |caller: &mut wasm_mini::Caller<'_>, n: i32| {
        caller.instance().typed_func::<fn(i32)>("f")?.call(n)?;
        Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    });
    let instance = Instance::new(&module, &imports).expect("an instance");
    let f = instance.typed_func::<fn(i32)>("f").expect("f");
    f.call(3).expect("no trap");
    assert_eq!(10_000 - fuel(&instance).left(), 4 * 5 + 3 * 4);
    fuel(&instance).set(20);
    assert_eq!(f.call(3).unwrap_err().code(), TrapCode::OutOfFuel);
    assert!(fuel(&instance).left() < 9);
}

fn lengths_are_paid_for_before_anything_is_done(tier: Tier) {
    let text = "(module (memory (export \"m\") 1) (func (export \"f\") (param i32)
        (memory.fill (i32.const 0) (i32.const 7) (local.get 0))))";
    let instance = instance(tier, 0, text);
    fuel(&instance).set(5 + 15);
    assert_eq!(call(&instance, &[Value::I32(1024)]), (Err(TrapCode::OutOfFuel), 5));
    let mut byte = [1];
    instance.memory("m").expect("the memory").read(0, &mut byte).expect("a byte");
    assert_eq!(byte, [0]);
    fuel(&instance).set(5 + 16);
    assert_eq!(call(&instance, &[Value::I32(1024)]), (Ok(vec![]), 21));
    // A length is unsigned, and out of bounds only if it could be paid.
    fuel(&instance).set(1 << 20);
    assert_eq!(call(&instance, &[Value::I32(-1)]).0, Err(TrapCode::OutOfFuel));
    fuel(&instance).set(1 << 40);
    let taken = 5 + u64::from(u32::MAX >> 6);
    assert_eq!(call(&instance, &[Value::I32(-1)]), (Err(TrapCode::MemoryOutOfBounds), taken));
}

fn without_the_option_there_is_none(tier: Tier) {
    let module = Module::with_engine(common::engine(tier), "(module (func (export \"f\")))");
    let instance =
        Instance::new(&module.expect("a module"), &Imports::none()).expect("an instance");
    assert!(instance.fuel().is_none());
}

on_each_tier!(
    programs_cost_what_their_operators_cost,
    a_call_can_be_made_again_with_more,
    what_never_ends_runs_out,
    endless_recursion_runs_out,
    hosts_read_and_change_it,
    start_functions_pay,
    a_reset_refuels,
    each_instance_pays_for_its_functions,
    nested_calls_pay_from_the_same,
    lengths_are_paid_for_before_anything_is_done,
    without_the_option_there_is_none,
);

/// How many generated modules are tried, and how many of vector expressions.
const SEEDS: u64 = 400;
const EXPRESSION_SEEDS: u64 = 60;
/// Generated functions may recurse deep.
const STACK: usize = 256 << 20;

#[test]
fn generated_modules_consume_alike() {
    let compare = || {
        let metered = Metered::new();
        let mut tally = Tally::default();
        let modules = (0..SEEDS).map(|seed| (seed, smith::module(seed)));
        let expressions = (0..EXPRESSION_SEEDS).map(|seed| (seed, Some(expressions::module(seed))));
        for (seed, binary) in modules.chain(expressions) {
            let Some(binary) = binary else { continue };
            if let Err(difference) = metered.compare(&binary, seed, &mut tally) {
                let path = format!("{}/fuel-{seed}.wasm", env!("CARGO_TARGET_TMPDIR"));
                std::fs::write(&path, &binary).expect("a file for the module");
                panic!("seed {seed}: {difference}\n{path}");
            }
        }
        tally
    };
    let compared = thread::Builder::new().stack_size(STACK).spawn(compare).expect("a thread");
    let tally = match compared.join() {
        Ok(tally) => tally,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    assert!(tally.modules > SEEDS / 2 && tally.returns > SEEDS, "{tally:?}");
    assert!(tally.exhaustions > SEEDS && tally.other_traps > SEEDS / 4, "{tally:?}");
    assert!(tally.overflows < SEEDS / 10, "{tally:?}");
}
