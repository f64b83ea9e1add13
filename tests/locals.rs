//! Locals keep their values over calls of every kind, wherever a compiler keeps them.
//!
//! Each function counts its locals up in a loop, which makes them worth a register, calls something,
//! counts on, and returns them all.

#[path = "common/native.rs"]
mod native;

use std::fmt::Write as _;

use native::engines;
use wasm_mini::{Imports, Instance, ValType, Value};

const TYPES: [ValType; 5] = [ValType::I64, ValType::I32, ValType::F64, ValType::F32, ValType::V128];
/// How often a loop counts.
const TURNS: u32 = 3;

/// What is called, in terms of the first local, an i64 whose upper half is not zero.
const CALLS: [(&str, &str); 10] = [
    ("nothing", ""),
    ("a function", "(call $one (local.get 0)) (drop)"),
    ("one with results in all registers", "(call $many (local.get 0)) (call $take)"),
    ("an import", "(call $host (i32.wrap_i64 (local.get 0))) (drop)"),
    (
        "an element",
        "(call_indirect (param i64) (result i64) (local.get 0) (i32.wrap_i64 (local.get 0))) (drop)",
    ),
    ("growth", "(memory.grow (i32.const 1)) (drop)"),
    (
        "a fill",
        "(memory.fill (i32.wrap_i64 (local.get 0)) (i32.wrap_i64 (local.get 0)) (i32.wrap_i64 (local.get 0)))",
    ),
    (
        "a copy",
        "(memory.copy (i32.wrap_i64 (local.get 0)) (i32.wrap_i64 (local.get 0)) (i32.wrap_i64 (local.get 0)))",
    ),
    (
        "a fill of a table",
        "(table.fill 1 (i32.wrap_i64 (local.get 0)) (ref.null extern) (i32.wrap_i64 (local.get 0)))",
    ),
    (
        "two calls with values between",
        "(call $one (local.get 0)) (call $one (local.get 0)) (drop) (drop)",
    ),
];

/// Functions that spoil every register that they may, and what the calls need.
const HELPERS: &str = r#"
    (import "host" "spoil" (func $host (param i32) (result i32)))
    (memory 1 4)
    (table 8 funcref)
    (table 8 externref)
    (elem (i32.const 0) $one $one $one $one $one $one $one $one)
    (type $results (func (param i64)
        (result i64 i64 i64 i64 i64 i64 i64 i64 i64 f64 f64 f64 f64 f64 f64 f64 f64 f64 v128)))
    (func $many (type $results)
        (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5) (i64.const 6)
        (i64.const 7) (i64.const 8) (i64.const 9)
        (f64.const 1) (f64.const 2) (f64.const 3) (f64.const 4) (f64.const 5) (f64.const 6)
        (f64.const 7) (f64.const 8) (f64.const 9) (v128.const i64x2 10 11))
    (func $take
        (param i64 i64 i64 i64 i64 i64 i64 i64 i64 f64 f64 f64 f64 f64 f64 f64 f64 f64 v128)
        (if (i64.ne (i64.const 123456789)
                (i64.add (local.get 8) (i64.mul (i64.const 10)
                (i64.add (local.get 7) (i64.mul (i64.const 10)
                (i64.add (local.get 6) (i64.mul (i64.const 10)
                (i64.add (local.get 5) (i64.mul (i64.const 10)
                (i64.add (local.get 4) (i64.mul (i64.const 10)
                (i64.add (local.get 3) (i64.mul (i64.const 10)
                (i64.add (local.get 2) (i64.mul (i64.const 10)
                (i64.add (local.get 1) (i64.mul (i64.const 10) (local.get 0))))))))))))))))))
            (then (unreachable)))
        (if (f64.ne (f64.const 45)
                (f64.add (local.get 9) (f64.add (local.get 10) (f64.add (local.get 11)
                (f64.add (local.get 12) (f64.add (local.get 13) (f64.add (local.get 14)
                (f64.add (local.get 15) (f64.add (local.get 16) (local.get 17))))))))))
            (then (unreachable))))
    (func $one (param $x i64) (result i64) (local $a i64) (local $b i64) (local $c i64)
        (local $d i64) (local $e f64) (local $f f64)
        (local.set $a (i64.const -1)) (local.set $b (i64.const -2)) (local.set $c (i64.const -3))
        (local.set $d (i64.const -4)) (local.set $e (f64.const -5)) (local.set $f (f64.const -6))
        (loop $again
            (local.set $a (i64.add (local.get $a) (local.get $b)))
            (local.set $b (i64.add (local.get $b) (local.get $c)))
            (local.set $c (i64.add (local.get $c) (local.get $d)))
            (local.set $e (f64.add (local.get $e) (local.get $f)))
            (local.set $f (f64.add (local.get $f) (f64.const -1)))
            (br_if $again (i64.gt_s (local.get $a) (i64.const -100))))
        (local.get $x))
"#;

/// Counts each local up by one, in every lane of a vector by one.
fn count(locals: &[ValType], text: &mut String) {
    let _ = write!(text, "(local.set $turns (i32.const {TURNS})) (loop");
    for (i, ty) in locals.iter().enumerate() {
        let one = match ty {
            ValType::V128 => "i32x4.add (v128.const i32x4 1 1 1 1)".to_string(),
            ty => format!("{ty}.add ({ty}.const 1)"),
        };
        let _ = write!(text, "(local.set {i} ({one} (local.get {i})))");
    }
    text.push_str("(br_if 0 (local.tee $turns (i32.sub (local.get $turns) (i32.const 1)))))");
}

fn argument(i: u32, ty: ValType) -> Value {
    match ty {
        // Low bits that are an index and a length, and high ones that would not be.
        ValType::I64 => Value::I64(0x7654_3210_0000_0000 + i64::from(i) * 0x1_0000_0000),
        ValType::I32 => Value::I32(-5 - i as i32),
        ValType::F64 => Value::F64(f64::from(i) + 0.5),
        ValType::F32 => Value::F32(i as f32 + 0.25),
        _ => Value::V128(u128::from(i) << 96 | 0x1234_0000_5678_0000_9abc),
    }
}

/// What counting has made of it.
fn counted(value: &Value) -> Value {
    let turns = 2 * TURNS;
    match *value {
        Value::I64(value) => Value::I64(value + i64::from(turns)),
        Value::I32(value) => Value::I32(value + turns as i32),
        Value::F64(value) => Value::F64(value + f64::from(turns)),
        Value::F32(value) => Value::F32(value + turns as f32),
        Value::V128(value) => {
            let step = u128::from(turns);
            Value::V128(value + (step << 96 | step << 64 | step << 32 | step))
        }
        _ => unreachable!("numbers and vectors only"),
    }
}

#[test]
fn locals_survive_every_call() {
    let mut mixes: Vec<Vec<ValType>> = Vec::new();
    for count in [1, 4, 6, 9, 16] {
        // An i64 first, for the calls.
        mixes.push(vec![ValType::I64; count]);
        mixes.push((0..count).map(|i| TYPES[i % TYPES.len()]).collect());
        mixes.extend([ValType::F64, ValType::I32, ValType::V128].map(|ty| {
            let mut mix = vec![ty; count];
            mix[0] = ValType::I64;
            mix
        }));
    }
    let mut text = format!("(module {HELPERS}");
    for (m, mix) in mixes.iter().enumerate() {
        for (c, (_, call)) in CALLS.iter().enumerate() {
            let types: Vec<String> = mix.iter().map(ToString::to_string).collect();
            let types = types.join(" ");
            let _ = write!(
                text,
                "(func (export \"{m}.{c}\") (param {types}) (result {types}) (local $turns i32)"
            );
            count(mix, &mut text);
            text.push_str(call);
            count(mix, &mut text);
            for i in 0..mix.len() {
                let _ = write!(text, "(local.get {i})");
            }
            text.push_str(")\n");
        }
    }
    text.push(')');
    let binary = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"));
    let mut imports = Imports::none();
    imports.func("host", "spoil", |x: i32| x.wrapping_mul(3));
    for (name, engine) in engines() {
        let module = native::load(&engine, &binary);
        for (m, mix) in mixes.iter().enumerate() {
            for (c, (call, _)) in CALLS.iter().enumerate() {
                let instance = Instance::new(&module, &imports).expect("an instance");
                let func = instance.dyn_func(&format!("{m}.{c}")).expect("an export");
                let arguments: Vec<Value> =
                    mix.iter().zip(0..).map(|(ty, i)| argument(i, *ty)).collect();
                let expected: Vec<Value> = arguments.iter().map(counted).collect();
                let results =
                    func.call(&arguments).unwrap_or_else(|e| panic!("{name}, {call}: {e}"));
                assert_eq!(results, expected, "{name}, {mix:?} over {call}");
            }
        }
    }
}
