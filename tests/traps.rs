//! Traps: the right code, at the right operator, with the right backtrace, and life goes on.

mod common;

use std::thread;

use common::binary::{mark, offset_of_mark};
use common::{Random, assemble, instance, instantiate, module, on_each_tier, results, trap};
use wasm_mini::{Error, Frame, Func, Instance, Module, Tier, Trap, TrapCode, Value};

/// The export `f` of a module.
fn function(tier: Tier, binary: &[u8]) -> Func {
    instance(tier, binary).dyn_func("f").expect("f")
}

/// What the frames are of, innermost first.
fn names(trap: &Trap) -> Vec<&str> {
    trap.backtrace().iter().map(|frame| frame.name().unwrap_or("?")).collect()
}

/// A division: its operator, and operands that trap.
struct Division {
    operator: &'static str,
    ty: &'static str,
    dividend: i64,
    divisor: i64,
    code: TrapCode,
}

fn divisions_that_trap() -> Vec<Division> {
    let mut divisions = Vec::new();
    for (ty, least) in [("i32", i64::from(i32::MIN)), ("i64", i64::MIN)] {
        for operator in ["div_s", "div_u", "rem_s", "rem_u"] {
            for dividend in [0, 1, -1, 12345, least, least + 1, -(least + 1)] {
                let code = TrapCode::IntegerDivideByZero;
                divisions.push(Division { operator, ty, dividend, divisor: 0, code });
            }
        }
        let code = TrapCode::IntegerOverflow;
        divisions.push(Division { operator: "div_s", ty, dividend: least, divisor: -1, code });
    }
    divisions
}

/// As a value of the type.
fn value(ty: &str, bits: i64) -> Value {
    if ty == "i32" { Value::I32(bits as i32) } else { Value::I64(bits) }
}

/// Divides what it is given, both ways: operands in parameters and in constants.
fn divisions_trap_where_they_stand(tier: Tier) {
    for Division { operator, ty, dividend, divisor, code } in divisions_that_trap() {
        for (x, y) in [
            ("local.get 0".to_string(), "local.get 1".to_string()),
            ("local.get 0".to_string(), format!("{ty}.const {divisor}")),
            (format!("{ty}.const {dividend}"), "local.get 1".to_string()),
            (format!("{ty}.const {dividend}"), format!("{ty}.const {divisor}")),
        ] {
            let text = format!(
                "(module (func $f (export \"f\") (param {ty} {ty}) (result {ty})
                    {x} {y} {mark} {ty}.{operator}))",
                mark = mark(1)
            );
            let binary = assemble(&text);
            let trap = trap(&function(tier, &binary), &[value(ty, dividend), value(ty, divisor)]);
            assert_eq!(trap.code(), code, "{text} {dividend} {divisor}");
            assert_eq!(trap.offset(), Some(offset_of_mark(&binary, 1)), "{text} {dividend}");
            assert_eq!(names(&trap), ["f"], "{text}");
            assert!(!trap.is_backtrace_cut());
        }
    }
}

/// The neighbours of what traps do not.
fn divisions_that_just_fit(tier: Tier) {
    for (ty, least) in [("i32", i64::from(i32::MIN)), ("i64", i64::MIN)] {
        let ops = ["div_s", "div_u", "rem_s", "rem_u"];
        let functions: String = ops
            .iter()
            .map(|op| {
                format!(
                    "(func (export \"{op}\") (param {ty} {ty}) (result {ty})
                        (local.get 0) (local.get 1) ({ty}.{op}))"
                )
            })
            .collect();
        let instance = instance(tier, format!("(module {functions})"));
        let call = |op: &str, x: i64, y: i64| {
            let f = instance.dyn_func(op).expect(op);
            let result = results(&f, &[value(ty, x), value(ty, y)]);
            assert_eq!(result.len(), 1);
            result.into_iter().next().expect("a result")
        };
        assert_eq!(call("rem_s", least, -1), value(ty, 0));
        assert_eq!(call("div_u", least, -1), value(ty, 0));
        assert_eq!(call("rem_u", least, -1), value(ty, least));
        assert_eq!(call("div_s", least + 1, -1), value(ty, -(least + 1)));
        assert_eq!(call("div_s", least, 1), value(ty, least));
        assert_eq!(call("div_s", -7, 2), value(ty, -3));
        assert_eq!(call("rem_s", -7, 2), value(ty, -1));
    }
}

/// Which of several operators it was, in a function where all could trap.
fn each_site_has_its_own_offset(tier: Tier) {
    const SITES: u8 = 12;
    let sites: String = (0..SITES)
        .map(|site| {
            let operator = ["div_s", "rem_u", "div_u", "rem_s"][site as usize % 4];
            format!(
                "(if (i32.eq (local.get 0) (i32.const {site})) (then (local.set 1 (i32.const 0))))
                 i32.const 7 local.get 1 {} i32.{operator} drop\n",
                mark(site),
            )
        })
        .collect();
    let text = format!(
        "(module (func $f (export \"f\") (param i32) (local i32)
            (local.set 1 (i32.const 3))
            {sites}))"
    );
    let binary = assemble(&text);
    let f = function(tier, &binary);
    for site in 0..SITES {
        let trap = trap(&f, &[Value::I32(i32::from(site))]);
        assert_eq!(trap.code(), TrapCode::IntegerDivideByZero);
        assert_eq!(trap.offset(), Some(offset_of_mark(&binary, site)), "site {site}");
    }
    assert_eq!(results(&f, &[Value::I32(99)]), []);
}

/// Which of several accesses it was: loads that are parts of other instructions, loads and stores of one
/// address, one behind the other and in other arms.
fn each_access_has_its_own_offset(tier: Tier) {
    const END: i32 = 0x10000;
    let text = r#"(module (memory 1)
        (func (export "f") (param $which i32) (param $p i32) (param $q i32) (result i32)
            (if (i32.eq (local.get $which) (i32.const 0))
                (then (return (i32.load offset=4 (local.get $p))))
                (else (if (i32.eq (local.get $which) (i32.const 1))
                    (then (i32.store offset=4 (local.get $p)
                        (i32.add (local.get $q) (i32.const 1)))))))
            (if (i32.eq (local.get $which) (i32.const 2))
                (then (i32.store (local.get $p)
                    (i32.add (i32.load (local.get $p)) (i32.load (local.get $q))))))
            (if (i32.eq (local.get $which) (i32.const 3))
                (then (i32.store (local.get $q)
                    (i32.sub (i32.load (local.get $p)) (i32.const 1)))))
            (if (i32.eq (local.get $which) (i32.const 4))
                (then (i64.store (local.get $p)
                    (i64.extend_i32_u (i32.load (local.get $p))))))
            (i32.const 1)))"#;
    let binary = assemble(text);
    let f = function(tier, &binary);
    let (load, store, store_64) = (0x28, 0x36, 0x37);
    // Which, the addresses, and the opcode that traps; the how manieth of that opcode it is.
    let rows = [
        (0, END, 0, load, 0),
        (1, END, 0, store, 0),
        (2, END, 0, load, 1),
        (2, 0, END, load, 2),
        (3, END, 0, load, 3),
        (3, 0, END, store, 2),
        (4, END, 0, load, 4),
        (4, END - 4, 0, store_64, 0),
    ];
    for (which, p, q, opcode, number) in rows {
        let trap = trap(&f, &[Value::I32(which), Value::I32(p), Value::I32(q)]);
        assert_eq!(trap.code(), TrapCode::MemoryOutOfBounds);
        // An alignment of 4 or 8 bytes follows, and an offset of 0 or 4. The function is the module's end.
        let is_access = |at: &usize| {
            binary[*at] == opcode
                && matches!(binary[at + 1..at + 3], [2 | 3, 0 | 4])
                && *at > binary.len() - 120
        };
        let at = (0..binary.len() - 2).filter(is_access).nth(number).expect("the access");
        assert_eq!(trap.offset(), Some(at as u32), "{which} {p:#x} {q:#x}");
    }
}

/// A compiler may make one conditional trap of the branch and the `unreachable` behind it.
fn unreachable_in_an_arm_has_its_own_offset(tier: Tier) {
    let text = format!(
        "(module (func (export \"f\") (param i32)
            (if (i32.eq (local.get 0) (i32.const 1)) (then {} unreachable))
            (if (i32.eq (local.get 0) (i32.const 2)) (then) (else {} unreachable))))",
        mark(1),
        mark(2),
    );
    let binary = assemble(&text);
    let f = function(tier, &binary);
    for (argument, number) in [(1, 1), (0, 2)] {
        let trap = trap(&f, &[Value::I32(argument)]);
        assert_eq!(trap.code(), TrapCode::Unreachable);
        assert_eq!(trap.offset(), Some(offset_of_mark(&binary, number)), "mark {number}");
    }
    assert_eq!(results(&f, &[Value::I32(2)]), []);
}

fn unreachable_traps_where_it_stands(tier: Tier) {
    for (before, after) in [("", ""), ("i32.const 1 ", " drop"), ("nop ", " i32.add drop")] {
        let text = format!(
            "(module (func) (func $f (export \"f\") {before} {mark} unreachable {after}))",
            mark = mark(9)
        );
        let binary = assemble(&text);
        let trap = trap(&function(tier, &binary), &[]);
        assert_eq!(trap.code(), TrapCode::Unreachable);
        assert_eq!(trap.offset(), Some(offset_of_mark(&binary, 9)), "{text}");
        assert_eq!((names(&trap), trap.backtrace()[0].function()), (vec!["f"], 1));
    }
}

fn messages_name_what_where(tier: Tier) {
    let text = format!(
        r#"(module (func $inner {} unreachable) (func $outer (export "f") call $inner))"#,
        mark(1)
    );
    let binary = assemble(&text);
    let trap = trap(&function(tier, &binary), &[]);
    let offset = offset_of_mark(&binary, 1);
    let expected = format!("wasm trap: unreachable in inner (function 0) at 0x{offset:x}");
    assert_eq!(trap.to_string(), expected);
    assert_eq!(Error::from(trap.clone()).to_string(), expected);
    let debug = format!("{trap:?}");
    assert!(debug.contains("Unreachable") && debug.contains("outer"), "{debug}");
    let frames: Vec<String> = trap.backtrace().iter().map(Frame::to_string).collect();
    assert_eq!(frames[0], format!("inner (function 0) at 0x{offset:x}"));
    assert_eq!(frames.len(), 2);
}

/// Three functions deep, each with its own kind of frame, and calls from different places.
fn backtraces_have_each_call(tier: Tier) {
    let text = format!(
        "(module
            (func $leaf (param i32) (result i32) i32.const 8 local.get 0 {m0} i32.div_u)
            (func $middle (param i32 i32) (result i32) (local i64 i64 i64)
                local.get 1
                if (result i32) local.get 0 {m1} call $leaf
                else local.get 0 {m2} call $leaf i32.const 1 i32.add end)
            (func $top (export \"f\") (param i32 i32) (result i32)
                local.get 0 local.get 1 {m3} call $middle))",
        m0 = mark(0),
        m1 = mark(1),
        m2 = mark(2),
        m3 = mark(3),
    );
    let binary = assemble(&text);
    let f = function(tier, &binary);
    for (which, call) in [(1, 1), (0, 2)] {
        let trap = trap(&f, &[Value::I32(0), Value::I32(which)]);
        assert_eq!(names(&trap), ["leaf", "middle", "top"]);
        let offsets: Vec<_> = trap.backtrace().iter().map(Frame::offset).collect();
        let expected = [0, call, 3].map(|number| Some(offset_of_mark(&binary, number)));
        assert_eq!(offsets, expected);
        let functions: Vec<_> = trap.backtrace().iter().map(Frame::function).collect();
        assert_eq!(functions, [0, 1, 2]);
        assert!(!trap.is_backtrace_cut());
    }
    assert_eq!(results(&f, &[Value::I32(2), Value::I32(0)]), [Value::I32(5)]);
}

/// A chain of functions, each with stack arguments and values that live across its call.
fn traps_under_stack_arguments(tier: Tier) {
    const DEPTH: usize = 20;
    let params = "i64 f64 i32 ".repeat(7);
    let mut text = format!(
        "(module (func $f0 (param {params}) (result i64)
            (i64.div_s (local.get 18) (i64.extend_i32_s (local.get 20))))"
    );
    for i in 1..DEPTH {
        let gets: String = (0..21).map(|k| format!("local.get {k} ")).collect();
        text += &format!(
            "(func $f{i} {export} (param {params}) (result i64)
                local.get 0 local.get 15 {gets} call $f{} i64.add i64.add)",
            i - 1,
            export = if i == DEPTH - 1 { "(export \"f\")" } else { "" },
        );
    }
    let f = function(tier, &assemble(&(text + ")")));
    let arguments = |divisor: i32| -> Vec<Value> {
        let triple = |k: i64| {
            let last = if k == 6 { divisor } else { k as i32 };
            [Value::I64(k * 1000 + 7), Value::F64(k as f64), Value::I32(last)]
        };
        (0..7).flat_map(triple).collect()
    };
    for _ in 0..3 {
        let sum = 6007 / 5 + (DEPTH as i64 - 1) * (7 + 5007);
        assert_eq!(results(&f, &arguments(5)), [Value::I64(sum)]);
        let trap = trap(&f, &arguments(0));
        let expected: Vec<String> = (0..DEPTH).map(|i| format!("f{i}")).collect();
        assert_eq!(names(&trap), expected);
        assert_eq!(trap.code(), TrapCode::IntegerDivideByZero);
        assert!(!trap.is_backtrace_cut());
    }
}

/// Calls itself, or its partners, until the stack is used up; returns at depth 0 otherwise.
struct Recursion {
    text: String,
    arguments: Vec<Value>,
    /// The functions that are active, in the order of a backtrace from any of them on.
    cycle: &'static [&'static str],
}

fn recursions(depth: i32) -> Vec<Recursion> {
    let direct = r#"(module (func $f (export "f") (param i32) (result i32)
        (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 0))
            (else (i32.add (i32.const 1) (call $f (i32.sub (local.get 0) (i32.const 1))))))))"#;
    let step = |next: &str| {
        format!(
            "(if (result i32) (i32.eqz (local.get 0)) (then (i32.const 0))
                (else (i32.add (i32.const 1) (call ${next} (i32.sub (local.get 0) (i32.const 1))))))"
        )
    };
    let mutual = format!(
        "(module (func $a (export \"f\") (param i32) (result i32) {})
            (func $b (param i32) (result i32) {})
            (func $c (param i32) (result i32) {}))",
        step("b"),
        step("c"),
        step("a"),
    );
    // Sixty parameters and as many locals, all of them alive across the call.
    let params = "i64 ".repeat(60);
    let pass: String = (0..60).map(|i| format!("local.get {i} ")).collect();
    let locals: String = (0..60)
        .map(|i| format!("(local.set {} (i64.mul (local.get {i}) (i64.const {i})))", 61 + i))
        .collect();
    let keep: String = (0..60).map(|i| format!("(local.get {}) i64.xor ", 61 + i)).collect();
    let big = format!(
        "(module (func $f (export \"f\") (param {params} i32) (result i32) (local {params})
            {locals}
            (if (i32.eqz (local.get 60)) (then (return (i32.const 0))))
            {pass} (i32.sub (local.get 60) (i32.const 1)) call $f
            i32.const 1 i32.add
            i64.const 0 {keep} i64.const 63 i64.shr_u i64.const 1 i64.shr_u
            i32.wrap_i64 i32.add))"
    );
    let zeros = vec![Value::I64(1); 60];
    vec![
        Recursion { text: direct.to_string(), arguments: vec![Value::I32(depth)], cycle: &["f"] },
        Recursion { text: mutual, arguments: vec![Value::I32(depth)], cycle: &["a", "c", "b"] },
        Recursion {
            text: big,
            arguments: [zeros, vec![Value::I32(depth)]].concat(),
            cycle: &["f"],
        },
    ]
}

fn check_overflow(f: &Func, recursion: &Recursion) {
    let trap = trap(f, &recursion.arguments);
    assert_eq!(trap.code(), TrapCode::StackOverflow, "{}", recursion.text);
    assert_eq!(trap.code().message(), "call stack exhausted");
    let names = names(&trap);
    // On the smallest stack, the largest frames may all fit into the backtrace.
    assert!(trap.is_backtrace_cut() || names.len() < 64, "{trap:?}");
    assert!(names.len() > 5, "{names:?}");
    let start =
        recursion.cycle.iter().position(|name| *name == names[0]).expect("a function of it");
    let expected = recursion.cycle.iter().cycle().skip(start);
    assert!(names.iter().zip(expected).all(|(name, expected)| name == expected), "{names:?}");
    // All but the innermost stand at a call.
    let calls = trap.backtrace()[1..].iter();
    assert!(calls.map(Frame::offset).all(|offset| offset.is_some()), "{trap:?}");
}

fn stack_overflow_traps(tier: Tier) {
    for recursion in recursions(i32::MAX) {
        let instance = instance(tier, &recursion.text);
        let f = instance.dyn_func("f").expect("f");
        for _ in 0..3 {
            check_overflow(&f, &recursion);
            assert!(trap(&f, &recursion.arguments).is_backtrace_cut());
            let mut shallow = recursion.arguments.clone();
            *shallow.last_mut().expect("an argument") = Value::I32(30);
            assert_eq!(results(&f, &shallow), [Value::I32(30)]);
        }
    }
}

/// The frames behind the innermost one name the call; the innermost one is in its function.
fn stack_overflow_names_the_call(tier: Tier) {
    let text = format!(
        "(module (func $f (export \"f\") (param i32) (result i32)
            local.get 0 {} call $f i32.const 1 i32.add))",
        mark(1)
    );
    let binary = assemble(&text);
    let trap = trap(&function(tier, &binary), &[Value::I32(0)]);
    let call = offset_of_mark(&binary, 1);
    assert!(trap.backtrace()[1..].iter().all(|frame| frame.offset() == Some(call)), "{trap:?}");
    // The body lies between its `local.get` and the end of the module.
    let innermost = trap.offset().expect("an offset");
    assert!(innermost < binary.len() as u32 && innermost > call - 20, "{innermost} {call}");
}

/// Threads with stacks of these sizes, so small that the reserve for the host is half of each.
fn small_stacks_overflow_too(tier: Tier) {
    for size in [64 << 10, 256 << 10, 1 << 20] {
        for index in 0..recursions(i32::MAX).len() {
            let module = module(tier, &recursions(i32::MAX)[index].text);
            let run = move || {
                // Values belong to a thread, because some of them are functions.
                let recursion = recursions(i32::MAX).swap_remove(index);
                let f = instantiate(&module).dyn_func("f").expect("f");
                check_overflow(&f, &recursion);
                let mut shallow = recursion.arguments.clone();
                *shallow.last_mut().expect("an argument") = Value::I32(2);
                assert_eq!(results(&f, &shallow), [Value::I32(2)]);
                check_overflow(&f, &recursion);
            };
            let thread = thread::Builder::new().stack_size(size).spawn(run).expect("a thread");
            thread.join().unwrap_or_else(|_| panic!("with a stack of {size} bytes"));
        }
    }
}

/// A function that calls nothing, with a frame larger than a small stack: more than four times as large,
/// because the system may lend a thread the stack of another.
fn large_leaf_frames_overflow(tier: Tier) {
    const VALUES: usize = 10_000;
    let mut text = "(module (func $leaf (param i64) (result i64) ".to_string();
    // All values are computed before the first is used, in the opposite order.
    for i in 0..VALUES {
        text += &format!("local.get 0 i64.const {} i64.mul local.get 0 i64.xor ", 2 * i + 3);
    }
    text += &"i64.sub ".repeat(VALUES - 1);
    text += ") (func $f (export \"f\") (param i64) (result i64) local.get 0 call $leaf))";
    let expected = |x: i64| {
        let value = |i: usize| x.wrapping_mul(2 * i as i64 + 3) ^ x;
        (0..VALUES).rev().map(value).reduce(|sum, value| value.wrapping_sub(sum)).expect("some")
    };
    let module = module(tier, text);
    let f = instantiate(&module).dyn_func("f").expect("f");
    assert_eq!(results(&f, &[Value::I64(77)]), [Value::I64(expected(77))]);
    let run = move || {
        let f = instantiate(&module).dyn_func("f").expect("f");
        for _ in 0..2 {
            let trap = trap(&f, &[Value::I64(78)]);
            assert_eq!(trap.code(), TrapCode::StackOverflow);
            assert_eq!(names(&trap), ["leaf", "f"]);
        }
    };
    let thread = thread::Builder::new().stack_size(16 << 10).spawn(run).expect("a thread");
    thread.join().expect("no panic");
}

/// Recursion as deep as half of the main stack allows must not trap.
fn deep_recursion_is_no_overflow(tier: Tier) {
    let text = recursions(0).swap_remove(0).text;
    let module = module(tier, text);
    let run = move || {
        let f = instantiate(&module).func::<fn(i32) -> i32>("f").expect("f");
        assert_eq!(f(10_000).expect("no trap"), 10_000);
    };
    thread::Builder::new()
        .stack_size(4 << 20)
        .spawn(run)
        .expect("a thread")
        .join()
        .expect("no panic");
}

fn traps_and_calls_alternate(tier: Tier) {
    let text = r#"(module
        (func $div (export "div") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
        (func $loop (export "loop") (param i32) (result i32)
            (if (result i32) (i32.eqz (local.get 0)) (then (unreachable))
                (else (call $loop (i32.sub (local.get 0) (i32.const 1))))))
        (func $forever (export "forever") call $forever))"#;
    let instance = instance(tier, text);
    let div = instance.func::<fn(i32, i32) -> i32>("div").expect("div");
    let deep = instance.func::<fn(i32) -> i32>("loop").expect("loop");
    let forever = instance.func::<fn()>("forever").expect("forever");
    let mut random = Random::new(1);
    for i in 0..1000 {
        let (x, y) = (random.bits() as i32, random.bits() as i32 | 1);
        assert_eq!(div(x, y).expect("no trap"), x.wrapping_div(y));
        let code = |result: Result<i32, Trap>| result.expect_err("a trap").code();
        match i % 3 {
            0 => assert_eq!(code(div(x, 0)), TrapCode::IntegerDivideByZero),
            1 => assert_eq!(code(div(i32::MIN, -1)), TrapCode::IntegerOverflow),
            _ => assert_eq!(code(deep(i % 50)), TrapCode::Unreachable),
        }
        if i % 100 == 0 {
            assert_eq!(forever().expect_err("a trap").code(), TrapCode::StackOverflow);
        }
    }
}

/// Two instances of two modules on one thread, whose traps do not mix.
fn instances_on_one_thread_do_not_mix(tier: Tier) {
    let make = |name: &str, divisor: i32| -> Instance {
        instance(
            tier,
            format!(
                "(module (func ${name} (export \"f\") (param i32) (result i32)
                    (i32.div_s (i32.const {divisor}) (local.get 0))))"
            ),
        )
    };
    let outer = make("outer", 1000).func::<fn(i32) -> i32>("f").expect("f");
    let inner = make("inner", 2000).func::<fn(i32) -> i32>("f").expect("f");
    // The inner one traps while the outer one's frame in Rust is open, and its trap is kept.
    let through = |x: i32| -> (i32, Option<Trap>) {
        let (result, trap) = match inner(x) {
            Ok(result) => (result, None),
            Err(trap) => (1, Some(trap)),
        };
        (outer(result).expect("no trap"), trap)
    };
    for _ in 0..100 {
        assert_eq!(through(20), (10, None));
        let (result, kept) = through(0);
        let other = outer(0).expect_err("a trap");
        assert_eq!(result, 1000);
        assert_eq!(names(&kept.expect("a trap")), ["inner"]);
        assert_eq!(names(&other), ["outer"]);
    }
}

fn traps_outlive_their_module(tier: Tier) {
    let trap = {
        let text = r#"(module (func $gone (export "f") unreachable))"#;
        trap(&function(tier, text.as_bytes()), &[])
    };
    for _ in 0..20 {
        instance(tier, "(module (func $other))");
    }
    assert_eq!(names(&trap), ["gone"]);
    let moved = thread::spawn(move || trap.to_string()).join().expect("no panic");
    assert!(moved.contains("gone"), "{moved}");
}

/// Traps with every number of parameters and with results that need a return area.
fn traps_leave_any_signature(tier: Tier) {
    for params in [0usize, 1, 6, 7, 8, 9, 15] {
        for results in [0usize, 1, 8, 9, 20] {
            for ty in ["i64", "f64"] {
                let text = format!(
                    "(module (func $f (export \"f\") (param {p}) (result {r}) unreachable)
                        (func (export \"g\") (param {p}) (result {r}) {gets} call $f))",
                    p = format!("{ty} ").repeat(params),
                    r = format!("{ty} ").repeat(results),
                    gets = (0..params).map(|i| format!("local.get {i} ")).collect::<String>(),
                );
                let instance = instance(tier, text);
                let arguments =
                    vec![if ty == "i64" { Value::I64(1) } else { Value::F64(1.0) }; params];
                for (name, depth) in [("f", 1), ("g", 2)] {
                    let trap = trap(&instance.dyn_func(name).expect(name), &arguments);
                    assert_eq!(trap.code(), TrapCode::Unreachable);
                    assert_eq!(trap.backtrace().len(), depth);
                }
            }
        }
    }
}

/// Code that stands where nothing gets may trap all it wants.
fn unreachable_code_does_not_trap(tier: Tier) {
    let text = r#"(module (func (export "f") (param i32) (result i32)
        (block $out (result i32)
            (br $out (i32.const 5))
            (unreachable)
            (i32.div_s (i32.const 1) (i32.const 0))
            (drop)
            (loop (br 0))
            (drop (i32.rem_u (i32.const 1) (i32.const 0))))
        (return)
        (unreachable)))"#;
    let f = instance(tier, text).func::<fn(i32) -> i32>("f").expect("f");
    assert_eq!(f(0).expect("no trap"), 5);
}

/// A result that nobody uses is still computed: the trap is an effect.
fn unused_divisions_trap(tier: Tier) {
    for operator in ["i32.div_s", "i32.rem_s", "i32.div_u", "i32.rem_u"] {
        let text = format!(
            "(module (func (export \"f\") (param i32) (drop ({operator} (i32.const 1) (local.get 0)))))"
        );
        let f = instance(tier, text).func::<fn(i32)>("f").expect("f");
        assert_eq!(f(0).expect_err("a trap").code(), TrapCode::IntegerDivideByZero, "{operator}");
        f(1).expect("no trap");
    }
}

/// Code that no tier made: what it faults at is a trap of its own kind.
fn faults_in_machine_code_are_traps(tier: Tier) {
    let text = r#"(module (func $by_hand (export "f") (param i64) (result i64) local.get 0)
        (func (export "g") (param i64) (result i64) local.get 0 call $by_hand))"#;
    // test rdi, rdi; jz over the next; mov rax, rdi; ret; ud2
    let code = [0x48, 0x85, 0xff, 0x74, 0x04, 0x48, 0x89, 0xf8, 0xc3, 0x0f, 0x0b];
    // SAFETY: the code takes and returns an integer in the convention, and touches no memory.
    let module = unsafe { Module::with_machine_code(common::engine(tier), text, 0, &code) };
    let instance = instantiate(&module.expect("a module"));
    for (name, expected) in [("f", vec!["by_hand"]), ("g", vec!["by_hand", "g"])] {
        let f = instance.dyn_func(name).expect(name);
        assert_eq!(results(&f, &[Value::I64(5)]), [Value::I64(5)]);
        let trap = trap(&f, &[Value::I64(0)]);
        assert_eq!(trap.code(), TrapCode::MachineFault);
        assert_eq!(names(&trap), expected);
        assert_eq!(results(&f, &[Value::I64(-1)]), [Value::I64(-1)]);
    }
}

on_each_tier!(
    divisions_trap_where_they_stand,
    divisions_that_just_fit,
    each_site_has_its_own_offset,
    each_access_has_its_own_offset,
    unreachable_traps_where_it_stands,
    unreachable_in_an_arm_has_its_own_offset,
    messages_name_what_where,
    backtraces_have_each_call,
    traps_under_stack_arguments,
    stack_overflow_traps,
    stack_overflow_names_the_call,
    small_stacks_overflow_too,
    large_leaf_frames_overflow,
    deep_recursion_is_no_overflow,
    traps_and_calls_alternate,
    instances_on_one_thread_do_not_mix,
    traps_outlive_their_module,
    traps_leave_any_signature,
    unreachable_code_does_not_trap,
    unused_divisions_trap,
    faults_in_machine_code_are_traps,
);

#[test]
fn codes_and_messages() {
    for code in TrapCode::ALL {
        assert_eq!(TrapCode::from_u8(*code as u8), Some(*code));
        assert_eq!(code.to_string(), code.message());
    }
    assert_eq!((TrapCode::from_u8(0), TrapCode::from_u8(255)), (None, None));
    let mut messages: Vec<_> = TrapCode::ALL.iter().map(|code| code.message()).collect();
    messages.sort_unstable();
    messages.dedup();
    assert_eq!(messages.len(), TrapCode::ALL.len());
}
