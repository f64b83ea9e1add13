//! Calls of functions so small that a compiler may put them where they are called: nobody can tell.

mod common;

use std::fmt::Write as _;

use common::on_each_tier;
use wasm_mini::{Engine, Frame, Imports, Instance, Module, Tier, TrapCode, Value};

/// Parameters that the function overwrites, locals of its own, several results, operands below.
fn locals_are_the_functions_own(tier: Tier) {
    let text = r#"(module
        (func $swap (param i32 i32) (result i32 i32) (local i32)
            (local.set 2 (local.get 0)) (local.set 0 (local.get 1))
            (local.get 0) (local.get 2))
        (func $fresh (result i64) (local i64)
            (i64.add (local.get 0) (local.tee 0 (i64.const 5))))
        (func $nothing (param f64))
        (func (export "f") (param $a i32) (param $b i32) (result i64) (local $c i32) (local $d i32)
            (i64.const 1000000)
            (call $swap (local.get $a) (local.get $b))
            (local.set $d) (local.set $c)
            (call $nothing (f64.const 1))
            (i64.add (call $fresh) (call $fresh))
            (i64.add (i64.extend_i32_s (i32.sub
                (i32.mul (local.get $c) (i32.const 100))
                (i32.add (local.get $d) (i32.mul (local.get $a) (i32.const 10))))))
            (i64.add)))"#;
    let f = common::instance(tier, text).func::<fn(i32, i32) -> i64>("f").expect("the export");
    // c = b, d = a.
    assert_eq!(f(3, 7).expect("no trap"), 1_000_000 + 10 + 7 * 100 - 3 - 30);
    assert_eq!(f(-1, 2).expect("no trap"), 1_000_000 + 10 + 200 + 1 + 10);
}

fn traps_around_it_are_where_they_were(tier: Tier) {
    let text = r#"(module
        (func $add (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
        (func $inner (param i32) (result i32)
            (i32.div_u (i32.const 100) (call $add (local.get 0) (i32.const -3))))
        (func (export "f") (param i32) (result i32) (call $add (call $inner (local.get 0)) (i32.const 1))))"#;
    let binary = common::assemble(text);
    let f = common::instance(tier, &binary).func::<fn(i32) -> i32>("f").expect("the export");
    assert_eq!(f(13).expect("no trap"), 11);
    let trap = f(3).expect_err("a division by zero");
    assert_eq!(trap.code(), TrapCode::IntegerDivideByZero);
    let functions: Vec<_> = trap.backtrace().iter().map(|frame| frame.function()).collect();
    assert_eq!(functions, [1, 2]);
    let at = trap.backtrace()[0].offset().expect("an offset") as usize;
    const I32_DIV_U: u8 = 0x6e;
    assert_eq!(binary[at], I32_DIV_U);
}

/// Where functions trap that may stand in the place of their calls: by themselves, one behind the other,
/// between accesses of the caller, and where a load is part of another instruction.
fn traps_inside_have_their_own_frames(tier: Tier) {
    let text = r#"(module
        (memory 1)
        (global $g (mut i32) (i32.const 0))
        (func $div (param i32) (result i32) (i32.div_u (i32.const 100) (local.get 0)))
        (func $load (param i32) (result i32) (i32.load offset=4 (local.get 0)))
        (func $store (param i32) (i32.store16 (local.get 0) (i32.const 7)))
        (func $sum (param i32) (result i32)
            (i32.add (i32.load8_u (local.get 0)) (i32.load offset=3 (local.get 0))))
        (func $trunc (param f32) (result i32) (i32.trunc_f32_s (local.get 0)))
        (func (export "div") (param i32) (result i32) (i32.add (call $div (local.get 0)) (i32.const 1)))
        (func (export "load") (param i32) (result i32)
            (i32.store (i32.const 0) (local.get 0))
            (i32.xor (call $load (i32.const 0)) (call $load (local.get 0))))
        (func (export "store") (param i32) (result i32)
            (call $store (i32.const 8))
            (call $store (local.get 0))
            (i32.load (local.get 0)))
        (func (export "sum") (param i32) (result i32)
            (i32.sub (call $sum (local.get 0)) (i32.load (local.get 0))))
        (func (export "own") (param i32) (result i32)
            (i32.add
                (i32.add (call $load (i32.const 0)) (call $load (i32.const 16)))
                (i32.add (i32.load offset=8 (local.get 0)) (call $load (i32.const 32)))))
        (func (export "trunc") (param i32) (result i32)
            (call $trunc (f32.reinterpret_i32 (local.get 0)))))"#;
    let (i32_div_u, i32_load, i32_load8_u, i32_store16, i32_trunc_f32_s) =
        (0x6e, 0x28, 0x2d, 0x3b, 0xa8);
    let call = 0x10;
    let end = 0x10000;
    use TrapCode::*;
    /// The function, its argument, and the trap: functions and opcodes, innermost first.
    type Row<'r> = (&'r str, i32, TrapCode, &'r [(u32, u8)]);
    let rows: &[Row] = &[
        ("div", 0, IntegerDivideByZero, &[(0, i32_div_u), (5, call)]),
        ("load", end - 4, MemoryOutOfBounds, &[(1, i32_load), (6, call)]),
        ("store", end - 1, MemoryOutOfBounds, &[(2, i32_store16), (7, call)]),
        ("store", end - 2, MemoryOutOfBounds, &[(7, i32_load)]),
        ("sum", end, MemoryOutOfBounds, &[(3, i32_load8_u), (8, call)]),
        ("sum", end - 4, MemoryOutOfBounds, &[(3, i32_load), (8, call)]),
        ("own", end - 8, MemoryOutOfBounds, &[(9, i32_load)]),
        ("trunc", 0x7fc0_0000, InvalidConversionToInteger, &[(4, i32_trunc_f32_s), (10, call)]),
        ("trunc", 0x4f00_0000, IntegerOverflow, &[(4, i32_trunc_f32_s), (10, call)]),
    ];
    let binary = common::assemble(text);
    let instance = common::instance(tier, &binary);
    for (name, argument, code, expected) in rows {
        let f = instance.func::<fn(i32) -> i32>(name).expect("the export");
        // Twice: a trap that comes again is told from memory.
        for _ in 0..2 {
            let trap = f(*argument).expect_err("a trap");
            assert_eq!(trap.code(), *code, "{name}");
            let place = |frame: &Frame| {
                (frame.function(), binary[frame.offset().expect("an offset") as usize])
            };
            let frames: Vec<_> = trap.backtrace().iter().map(place).collect();
            assert_eq!(frames, *expected, "{name}({argument:#x}): {trap}");
        }
        assert!(f(16).is_ok(), "{name}");
    }
    // Both calls of one function are told from each other.
    let load = instance.func::<fn(i32) -> i32>("load").expect("the export");
    let trap = load(end).expect_err("a trap");
    let at = trap.backtrace()[1].offset().expect("an offset") as usize;
    // It is the last operator but one: `call $load`, `i32.xor`, `end`.
    assert_eq!(binary[at..at + 4], [call, 1, 0x73, 0x0b]);
}

/// What they change is changed, in their order.
fn effects_are_the_functions_own(tier: Tier) {
    let text = r#"(module
        (import "m" "g" (global $imported (mut i64)))
        (memory 2) (global $g (mut i32) (i32.const 5))
        (func $next (result i32)
            (global.set $g (i32.add (global.get $g) (i32.const 1))) (global.get $g))
        (func $put (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
        (func $get (param i32) (result i32) (i32.load8_u (local.get 0)))
        (func $pages (result i32) (memory.size))
        (func $count (global.set $imported (i64.add (global.get $imported) (i64.const 1))))
        (func $lanes (param i32) (result v128)
            (i8x16.replace_lane 3 (v128.load (local.get 0)) (i32.const 9)))
        (func $sat (param f32) (result i32) (i32.trunc_sat_f32_u (local.get 0)))
        (func (export "f") (param i32) (result i32)
            (call $put (local.get 0) (call $next))
            (call $put (i32.const 1) (i32.const 77))
            (call $count) (call $count)
            ;; 6 * 77 + 7, 2 pages before and 3 after
            (i32.add (i32.mul (call $get (i32.const 0)) (call $get (i32.const 1))) (call $next))
            (i32.mul (i32.const 100))
            (i32.add (call $pages))
            (drop (memory.grow (i32.const 1)))
            (i32.mul (i32.const 100))
            (i32.add (call $pages))
            (i32.add (i8x16.extract_lane_u 3 (call $lanes (i32.const 0))))
            (i32.add (call $sat (f32.const -1)))))"#;
    let engine = common::engine(tier);
    let exporter = r#"(module (global (export "g") (mut i64) (i64.const 40)))"#;
    let exporter = common::instantiate(&Module::with_engine(engine, exporter).expect("a module"));
    let module = Module::with_engine(engine, text).expect("a module");
    let mut imports = Imports::none();
    imports.instance("m", &exporter);
    let instance = Instance::new(&module, &imports).expect("an instance");
    let f = instance.func::<fn(i32) -> i32>("f").expect("the export");
    assert_eq!(f(0).expect("no trap"), ((6 * 77 + 7) * 100 + 2) * 100 + 3 + 9);
    assert_eq!(exporter.global("g").expect("the export").get(), Value::I64(42));
}

/// Temporaries as arguments and back as results, once, twice, in another order, or not at all; constants and
/// locals among them, and operands below that want registers, too.
fn arguments_come_back(tier: Tier) {
    let text = r#"(module
        (func $second (param i64 i64) (result i64) (local.get 1))
        (func $both (param f64 i32) (result i32 f64 i32)
            (local.get 1) (local.get 0) (local.get 1))
        (func $widen (param i32) (result i64) (i64.extend_i32_u (local.get 0)))
        (func $drop (param i64 f32 i32))
        (func $four (param i64 i64 i64 i64) (result i64)
            (i64.xor (i64.add (local.get 0) (local.get 1)) (i64.mul (local.get 2) (local.get 3))))
        (func (export "f") (param $a i64) (param $b i64) (result i64) (local $c i64)
            (local.get $a)
            (i64.add (local.get $a) (i64.const 1))
            (i64.add (local.get $b) (i64.const 2))
            (call $second)
            (i64.mul)
            (call $both (f64.convert_i64_s (i64.add (local.get $a) (i64.const 3)))
                (i32.wrap_i64 (i64.sub (local.get $b) (i64.const 4))))
            (i64.extend_i32_s) (local.set $c)
            (i64.trunc_sat_f64_s) (i64.add (local.get $c)) (local.set $c)
            (i64.extend_i32_s) (i64.add (local.get $c)) (i64.add)
            (call $widen (i32.add (i32.wrap_i64 (local.get $a)) (i32.const -1)))
            (i64.add)
            (call $drop (i64.add (local.get $a) (local.get $b))
                (f32.convert_i64_s (local.get $b)) (i32.wrap_i64 (local.get $a)))
            (call $four (local.get $a) (i64.const 9) (i64.add (local.get $a) (local.get $b))
                (call $four (i64.shl (local.get $a) (i64.const 3)) (local.get $b)
                    (i64.sub (local.get $a) (local.get $b))
                    (call $four (i64.rotl (local.get $a) (i64.const 7))
                        (i64.rotl (local.get $b) (i64.const 9))
                        (i64.rotl (local.get $a) (i64.const 11))
                        (i64.rotl (local.get $b) (i64.const 13)))))
            (i64.xor)))"#;
    let f = common::instance(tier, text).func::<fn(i64, i64) -> i64>("f").expect("the export");
    let four = |a: i64, b: i64, c: i64, d: i64| a.wrapping_add(b) ^ c.wrapping_mul(d);
    for (a, b) in [(1_i64, 2_i64), (-5, 7), (1 << 40, -(1 << 33)), (0, 0x7fff_ffff)] {
        let both = i64::from(b.wrapping_sub(4) as i32);
        let sum = a.wrapping_mul(b + 2).wrapping_add(both).wrapping_add(a + 3).wrapping_add(both);
        let sum = sum.wrapping_add(i64::from((a - 1) as u32));
        let inner = four(a.rotate_left(7), b.rotate_left(9), a.rotate_left(11), b.rotate_left(13));
        let expected = sum ^ four(a, 9, a + b, four(a << 3, b, a - b, inner));
        assert_eq!(f(a, b).expect("no trap"), expected, "{a} {b}");
    }
}

/// As many operands below as there are registers, and arguments that want some of their own.
fn registers_are_enough(tier: Tier) {
    let (int, float) =
        ("(i64.add (local.get 0) (i64.const 3))", "(f64.convert_i64_s (local.get 0))");
    for operands in [1, 4, 9, 13, 14, 15, 16, 20, 40] {
        let text = format!(
            r#"(module
            (func $ints (param i64 i64 i64 i64) (result i64)
                (i64.div_s (i64.mul (local.get 0) (local.get 1))
                    (i64.rotl (local.get 2) (local.get 3))))
            (func $floats (param f64 f64 f64) (result f64)
                (f64.sub (f64.mul (local.get 0) (local.get 1)) (local.get 2)))
            (func $twice (param i64) (result i64 i64) (local.get 0) (local.get 0))
            (func $thrice (param f64) (result f64 f64 f64)
                (local.get 0) (local.get 0) (local.get 0))
            (func (export "f") (param i64) (result i64)
                {ints} (call $ints {int} {int} {int} {int}) {int_sums}
                {floats} (call $floats {float} {float} {float}) {float_sums}
                (i64.trunc_f64_s) (i64.add)
                {ints} (call $twice {int}) (i64.mul) {int_sums}
                {floats} (call $thrice {float}) (f64.mul) (f64.sub) {float_sums}
                (i64.trunc_f64_s) (i64.mul) (i64.add)))"#,
            ints = int.repeat(operands),
            floats = float.repeat(operands),
            int_sums = "(i64.add)".repeat(operands),
            float_sums = "(f64.add)".repeat(operands),
        );
        let f = common::instance(tier, &text).func::<fn(i64) -> i64>("f").expect("the export");
        for x in [5_i64, 11, -4] {
            let (y, n) = (x + 3, operands as i64);
            let ints = y.wrapping_mul(y) / y.rotate_left(y as u32 % 64);
            let products = (n * y + y * y) * (n * x + (x - x * x));
            let expected = n * y + ints + n * x + (x * x - x) + products;
            assert_eq!(f(x).expect("no trap"), expected, "{operands} {x}");
        }
    }
}

/// In a module so large that it is compiled in parts, which are laid behind each other.
fn traps_are_found_in_large_modules(tier: Tier) {
    const FUNCTIONS: i32 = 3000;
    let mut text = String::from(
        "(module (memory 1) (func $get (param i32) (result i32) (i32.load (local.get 0)))",
    );
    for number in 0..FUNCTIONS {
        let _ = write!(
            text,
            r#"(func (export "f{number}") (param i32) (result i32)
            (i32.mul (i32.const {number}) (i32.add (call $get (local.get 0))
                (i32.mul (i32.const {number}) (i32.add (call $get (i32.const 8)) (local.get 0))))))"#
        );
    }
    text += ")";
    let instance = common::instance(tier, &text);
    for number in (0..FUNCTIONS).step_by(100) {
        let f = instance.func::<fn(i32) -> i32>(&format!("f{number}")).expect("the export");
        let trap = f(-1).expect_err("a trap");
        let functions: Vec<_> = trap.backtrace().iter().map(Frame::function).collect();
        assert_eq!(functions, [0, 1 + number as u32]);
    }
}

/// More accesses than Cranelift can tell from each other by themselves: behind many, a load that becomes part of
/// an instruction of Cranelift's own, and one that many follow which it drops.
fn accesses_are_told_from_many(tier: Tier) {
    let stores: String = (0..150)
        .map(|at| format!("(i32.store offset={} (local.get 0) (local.get 1))", 8 * at))
        .collect();
    let loads = "(drop (i32.load (local.get 1)))".repeat(130);
    let text = format!(
        r#"(module (memory 1)
        (func $differ (param i32 i32) (result i32)
            (i32.eqz (i32.eq (local.get 0) (i32.load (local.get 1)))))
        (func $get (param i32) (result i32) (i32.load (local.get 0)))
        (func (export "parts") (param i32 i32) (result i32)
            {stores} (call $differ (local.get 0) (local.get 1)))
        (func (export "dropped") (param i32 i32) (result i32) (local i32)
            (drop (i32.load (local.get 1)))
            (local.set 2 (call $get (local.get 0)))
            {loads}
            (i32.add (local.get 1) (local.get 2)))
        (func (export "overwritten") (param i32 i32) (result i32)
            {stores}
            (i32.store (local.get 1) (local.get 0))
            (i32.store (local.get 1) (i32.add (call $get (local.get 1)) (i32.const 5)))
            (i32.load (local.get 1))))"#
    );
    let binary = common::assemble(&text);
    let instance = common::instance(tier, &binary);
    for (name, arguments, functions, opcode) in [
        ("parts", (0, -1), &[0, 2][..], 0x28),
        ("dropped", (-1, 0), &[1, 3], 0x28),
        ("overwritten", (0, -1), &[4], 0x36),
    ] {
        let f = instance.func::<fn(i32, i32) -> i32>(name).expect("the export");
        let trap = f(arguments.0, arguments.1).expect_err("a trap");
        let found: Vec<_> = trap.backtrace().iter().map(Frame::function).collect();
        assert_eq!(found, functions, "{name}: {trap}");
        assert_eq!(binary[trap.offset().expect("an offset") as usize], opcode, "{name}");
        assert!(f(8, 8).is_ok());
    }
}

/// A function that the host has replaced is called.
#[test]
fn machine_code_is_called() {
    let text = r#"(module
        (func $one (result i32) (i32.const 1))
        (func (export "f") (result i32) (i32.add (call $one) (i32.const 40))))"#;
    // mov eax, 2; ret
    const TWO: [u8; 6] = [0xb8, 2, 0, 0, 0, 0xc3];
    for tier in Tier::available() {
        let engine = common::engine(*tier);
        // SAFETY: it is a function of that type, which touches nothing.
        let module = unsafe { Module::with_machine_code(engine, text, 0, &TWO) }.expect("a module");
        let f = common::instantiate(&module).func::<fn() -> i32>("f").expect("the export");
        assert_eq!(f().expect("no trap"), 42);
    }
}

/// A recursion that does little but call small functions still ends before the stack does.
fn recursion_overflows(tier: Tier) {
    let text = r#"(module
        (func $inc (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
        (func $f (export "f") (param i32) (result i32)
            (call $inc (call $f (call $inc (local.get 0))))))"#;
    let f = common::instance(tier, text).func::<fn(i32) -> i32>("f").expect("the export");
    assert_eq!(f(0).expect_err("no end").code(), TrapCode::StackOverflow);
}

/// More calls than a caller takes in, in a chain that mistakes in any of them would break.
fn many_calls_are_all_made(tier: Tier) {
    const CALLS: u64 = 5000;
    let mut text = String::from(
        r#"(module
        (func $mix (param i64 i64) (result i64)
            (i64.add (i64.mul (local.get 0) (i64.const 31)) (local.get 1)))
        (func (export "f") (param i64) (result i64) (local.get 0)"#,
    );
    for call in 0..CALLS {
        let _ = write!(text, "(call $mix (i64.const {call}))");
    }
    text += "))";
    let f = common::instance(tier, text).func::<fn(i64) -> i64>("f").expect("the export");
    let mix = |x: i64, call: u64| x.wrapping_mul(31).wrapping_add(call as i64);
    assert_eq!(f(1).expect("no trap"), (0..CALLS).fold(1, mix));
}

/// What a call takes of the fuel does not depend on where the callee is.
#[test]
fn fuel_is_the_same_on_each_tier() {
    let text = r#"(module
        (func $add (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
        (func (export "f") (param i32) (result i32)
            (call $add (call $add (local.get 0) (i32.const 1)) (i32.const 2))))"#;
    let left = Tier::available().iter().map(|tier| {
        let engine = Engine::builder().tier(*tier).fuel(1000).build().expect("an engine");
        let module = Module::with_engine(&engine, text).expect("a module");
        let instance = common::instantiate(&module);
        let f = instance.func::<fn(i32) -> i32>("f").expect("the export");
        assert_eq!(f(4).expect("no trap"), 7);
        instance.fuel().expect("an engine with fuel").left()
    });
    let left: Vec<_> = left.collect();
    assert!(left.iter().all(|units| *units == left[0] && *units < 1000), "{left:?}");
}

/// Nor does where it runs out.
#[test]
fn fuel_runs_out_in_the_same_place_on_each_tier() {
    let text = r#"(module
        (func $add (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
        (func $nothing)
        (func (export "f") (param i32) (result i32)
            (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
            (call $nothing)
            (call $add (call $add (local.get 0) (i32.const 1)) (i32.const 2))))"#;
    let ends = |fuel: u64| {
        let backtraces = Tier::available().iter().map(|tier| {
            let engine = Engine::builder().tier(*tier).fuel(fuel).build().expect("an engine");
            let instance =
                common::instantiate(&Module::with_engine(&engine, text).expect("a module"));
            let trap = instance.func::<fn(i32) -> i32>("f").expect("the export")(2).err()?;
            assert_eq!(trap.code(), TrapCode::OutOfFuel);
            Some(
                trap.backtrace()
                    .iter()
                    .map(|frame| (frame.function(), frame.offset()))
                    .collect::<Vec<_>>(),
            )
        });
        let backtraces: Vec<_> = backtraces.collect();
        assert!(
            backtraces.iter().all(|backtrace| *backtrace == backtraces[0]),
            "{fuel}: {backtraces:?}"
        );
        backtraces.into_iter().next().expect("a tier")
    };
    let ends: Vec<_> = (0..100).map_while(ends).map(|frames| frames.len()).collect();
    assert!(ends.contains(&1) && ends.contains(&2) && ends.len() < 50, "{ends:?}");
}

on_each_tier!(
    locals_are_the_functions_own,
    traps_around_it_are_where_they_were,
    traps_inside_have_their_own_frames,
    effects_are_the_functions_own,
    arguments_come_back,
    registers_are_enough,
    accesses_are_told_from_many,
    traps_are_found_in_large_modules,
    recursion_overflows,
    many_calls_are_all_made,
);
