//! Every operator on vectors, by itself: the baseline tier, with the instructions of this machine and
//! with no more than SSE4.1, against Cranelift, on values at the edges of everything.
//!
//! Each operator is compiled with its operands in several places, because what an instruction can
//! take from where is what the baseline tier decides. Results are compared bit for bit; of NaNs that
//! arithmetic makes, any is as good as another.

#![cfg(all(feature = "baseline", feature = "cranelift"))]

mod common;

use std::fmt::Write as _;

use common::{assemble, assert_compiled_by, engine, instantiate};
use iced_x86::{Decoder, DecoderOptions, Mnemonic};
use wasm_mini::{Engine, Error, Func, Instance, Module, Tier, TrapCode, Value};

/// What an operator takes and gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Unary,
    Binary,
    Ternary,
    Shift,
    /// An i32 out of a vector.
    Question,
    /// A vector out of a number of this type.
    Splat(&'static str),
    Extract(&'static str),
    Replace(&'static str),
}

#[derive(Clone, Debug)]
struct Operator {
    /// With its immediate, if it has one.
    name: String,
    shape: Shape,
    /// The width of lanes whose NaNs may differ.
    floats: Option<u32>,
}

const INTEGERS: [&str; 4] = ["i8x16", "i16x8", "i32x4", "i64x2"];

/// All operators that access no memory, except for constants: lanes are spelled out. Returns how many
/// there are without that, too.
fn operators() -> (Vec<Operator>, usize) {
    let mut operators = Vec::new();
    let mut count = 0;
    let mut add = |name: String, shape: Shape, immediates: &[String]| {
        count += 1;
        let arithmetic = ["add", "sub", "mul", "div", "sqrt", "min", "max"];
        let rounding = ["ceil", "floor", "trunc", "nearest"];
        let rest = name.split_once('.').map_or("", |(_, rest)| rest);
        let makes_nans = arithmetic.contains(&rest) || rounding.contains(&rest);
        let floats = match &name[..5] {
            "f32x4" if makes_nans || rest.starts_with("demote") => Some(32),
            "f64x2" if makes_nans || rest.starts_with("promote") => Some(64),
            _ => None,
        };
        for immediate in immediates {
            operators.push(Operator { name: format!("{name}{immediate}"), shape, floats });
        }
        if immediates.is_empty() {
            operators.push(Operator { name, shape, floats });
        }
    };
    let lanes = |count: usize| (0..count).map(|lane| format!(" {lane}")).collect::<Vec<_>>();

    for name in ["v128.and", "v128.andnot", "v128.or", "v128.xor", "i8x16.swizzle"] {
        add(name.to_string(), Shape::Binary, &[]);
    }
    add("v128.not".to_string(), Shape::Unary, &[]);
    add("v128.bitselect".to_string(), Shape::Ternary, &[]);
    add("v128.any_true".to_string(), Shape::Question, &[]);
    add("i8x16.popcnt".to_string(), Shape::Unary, &[]);
    for (i, ty) in INTEGERS.into_iter().enumerate() {
        for name in ["abs", "neg"] {
            add(format!("{ty}.{name}"), Shape::Unary, &[]);
        }
        for name in ["all_true", "bitmask"] {
            add(format!("{ty}.{name}"), Shape::Question, &[]);
        }
        for name in ["shl", "shr_s", "shr_u"] {
            add(format!("{ty}.{name}"), Shape::Shift, &[]);
        }
        for name in ["add", "sub", "eq", "ne", "lt_s", "gt_s", "le_s", "ge_s"] {
            add(format!("{ty}.{name}"), Shape::Binary, &[]);
        }
        if i < 3 {
            for name in ["lt_u", "gt_u", "le_u", "ge_u", "min_s", "min_u", "max_s", "max_u"] {
                add(format!("{ty}.{name}"), Shape::Binary, &[]);
            }
        }
        if i < 2 {
            for name in ["add_sat_s", "add_sat_u", "sub_sat_s", "sub_sat_u", "avgr_u"] {
                add(format!("{ty}.{name}"), Shape::Binary, &[]);
            }
        }
        if i > 0 {
            add(format!("{ty}.mul"), Shape::Binary, &[]);
            let narrow = INTEGERS[i - 1];
            for half in ["low", "high"] {
                for sign in ["s", "u"] {
                    add(format!("{ty}.extend_{half}_{narrow}_{sign}"), Shape::Unary, &[]);
                    add(format!("{ty}.extmul_{half}_{narrow}_{sign}"), Shape::Binary, &[]);
                }
            }
        }
        for sign in ["s", "u"] {
            if i == 1 || i == 2 {
                let narrow = INTEGERS[i - 1];
                add(format!("{ty}.extadd_pairwise_{narrow}_{sign}"), Shape::Unary, &[]);
                add(format!("{narrow}.narrow_{ty}_{sign}"), Shape::Binary, &[]);
            }
        }
    }
    add("i16x8.q15mulr_sat_s".to_string(), Shape::Binary, &[]);
    add("i32x4.dot_i16x8_s".to_string(), Shape::Binary, &[]);
    for ty in ["f32x4", "f64x2"] {
        for name in ["abs", "neg", "sqrt", "ceil", "floor", "trunc", "nearest"] {
            add(format!("{ty}.{name}"), Shape::Unary, &[]);
        }
        let binary =
            "add sub mul div min max pmin pmax eq ne lt gt le ge".split(' ').collect::<Vec<_>>();
        for name in binary {
            add(format!("{ty}.{name}"), Shape::Binary, &[]);
        }
    }
    for name in [
        "i32x4.trunc_sat_f32x4_s",
        "i32x4.trunc_sat_f32x4_u",
        "i32x4.trunc_sat_f64x2_s_zero",
        "i32x4.trunc_sat_f64x2_u_zero",
        "f32x4.convert_i32x4_s",
        "f32x4.convert_i32x4_u",
        "f64x2.convert_low_i32x4_s",
        "f64x2.convert_low_i32x4_u",
        "f32x4.demote_f64x2_zero",
        "f64x2.promote_low_f32x4",
    ] {
        add(name.to_string(), Shape::Unary, &[]);
    }
    for (ty, lane, count) in [
        ("i8x16", "i32", 16),
        ("i16x8", "i32", 8),
        ("i32x4", "i32", 4),
        ("i64x2", "i64", 2),
        ("f32x4", "f32", 4),
        ("f64x2", "f64", 2),
    ] {
        add(format!("{ty}.splat"), Shape::Splat(lane), &[]);
        add(format!("{ty}.replace_lane"), Shape::Replace(lane), &lanes(count));
        let signs: &[&str] = if count > 4 { &["_s", "_u"] } else { &[""] };
        for sign in signs {
            add(format!("{ty}.extract_lane{sign}"), Shape::Extract(lane), &lanes(count));
        }
    }
    add("i8x16.shuffle".to_string(), Shape::Binary, &shuffles());
    (operators, count)
}

/// Every pattern that one instruction makes, some that none does, and all of them with the operands
/// the other way round.
fn shuffles() -> Vec<String> {
    let mut orders: Vec<[u8; 16]> = Vec::new();
    for start in 0..32 {
        orders.push(std::array::from_fn(|i| (start + i as u8) % 32));
    }
    for width in [1, 2, 4, 8] {
        for start in [0, 8] {
            orders.push(std::array::from_fn(|i| {
                let lane = i as u8 / width;
                16 * (lane % 2) + start + lane / 2 * width + i as u8 % width
            }));
        }
    }
    for quarters in
        [[3, 2, 1, 0], [0, 0, 0, 0], [1, 1, 6, 7], [0, 2, 4, 6], [5, 4, 3, 2], [0, 5, 1, 7]]
    {
        orders.push(std::array::from_fn(|i| 4 * quarters[i / 4] + i as u8 % 4));
    }
    for (factor, offset) in [(7, 3), (1, 2), (15, 15), (31, 31), (2, 0), (2, 1), (0, 9), (0, 25)] {
        orders.push(std::array::from_fn(|i| {
            (i as u8).wrapping_mul(factor).wrapping_add(offset) % 32
        }));
    }
    let swapped: Vec<_> = orders.iter().map(|order| order.map(|lane| lane ^ 16)).collect();
    let text =
        |order: &[u8; 16]| order.iter().fold(String::new(), |t, lane| t + &format!(" {lane}"));
    orders.iter().chain(&swapped).map(text).collect()
}

impl Operator {
    /// The types of the operands and of the result.
    fn signature(&self) -> (Vec<&'static str>, &'static str) {
        match self.shape {
            Shape::Unary => (vec!["v128"], "v128"),
            Shape::Binary => (vec!["v128", "v128"], "v128"),
            Shape::Ternary => (vec!["v128", "v128", "v128"], "v128"),
            Shape::Shift => (vec!["v128", "i32"], "v128"),
            Shape::Question => (vec!["v128"], "i32"),
            Shape::Splat(from) => (vec![from], "v128"),
            Shape::Extract(to) => (vec!["v128"], to),
            Shape::Replace(with) => (vec!["v128", with], "v128"),
        }
    }

    /// The operator in a function, its operands where the place says.
    fn function(&self, index: usize, place: Place) -> String {
        let (params, result) = self.signature();
        let mut text = format!("(func (export \"f{index}\") (param");
        params.iter().for_each(|ty| write!(text, " {ty}").unwrap());
        writeln!(text, ") (result {result}) (local $r {result})").unwrap();
        // A call takes the registers from the locals.
        if place == Place::Slots {
            text.push_str("call $nothing ");
        }
        for (i, ty) in params.iter().enumerate() {
            let through_memory = match *ty {
                "v128" => "v128.load",
                "i32" => "i32.load",
                "i64" => "i64.load",
                "f32" => "f32.load",
                _ => "f64.load",
            };
            match place {
                Place::Temporaries => {
                    let store = through_memory.replace("load", "store");
                    write!(text, "({store} (i32.const {0}) (local.get {i})) ({through_memory} (i32.const {0})) ", 16 * i)
                }
                _ => write!(text, "local.get {i} "),
            }
            .unwrap();
        }
        // Blocks with results have them in fixed places.
        if place == Place::Spilled {
            let inner = |kind| params.iter().fold(format!("({kind}"), |t, ty| t + " " + ty) + ")";
            write!(text, "loop {} {} end ", inner("param"), inner("result")).unwrap();
        }
        text.push_str(&self.name);
        if place == Place::IntoLocal {
            text.push_str(" local.set $r local.get $r");
        }
        text.push_str(")\n");
        text
    }
}

/// Where the operands are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the homes of locals.
    Registers,
    /// And the result goes to another one.
    IntoLocal,
    Temporaries,
    Slots,
    Spilled,
}

const PLACES: [Place; 5] =
    [Place::Registers, Place::IntoLocal, Place::Temporaries, Place::Slots, Place::Spilled];

fn module_of(operators: &[Operator], place: Place) -> Vec<u8> {
    let mut text = "(module (memory 1) (func $nothing)\n".to_string();
    for (index, operator) in operators.iter().enumerate() {
        text.push_str(&operator.function(index, place));
    }
    assemble(&(text + ")"))
}

/// This machine's instructions, and those of any that is supported.
fn baseline_engines() -> [Engine; 2] {
    let portable = Engine::builder().tier(Tier::Baseline).portable_code().build().unwrap();
    [engine(Tier::Baseline).clone(), portable]
}

fn compiled(engine: &Engine, binary: &[u8]) -> Instance {
    let module = Module::with_engine(engine, binary).unwrap();
    assert_compiled_by(engine.tier(), &module);
    instantiate(&module)
}

/// Vectors of all kinds of lanes at once.
fn vectors() -> Vec<u128> {
    let f32x4 = |lanes: [f32; 4]| {
        lanes.iter().rev().fold(0, |v, lane| v << 32 | u128::from(lane.to_bits()))
    };
    let f64x2 =
        |lanes: [f64; 2]| u128::from(lanes[1].to_bits()) << 64 | u128::from(lanes[0].to_bits());
    let i32x4 = |lanes: [u32; 4]| lanes.iter().rev().fold(0, |v, lane| v << 32 | u128::from(*lane));
    let bytes = |byte: fn(u8) -> u8| u128::from_le_bytes(std::array::from_fn(|i| byte(i as u8)));
    let signalling = f32::from_bits(0x7F80_0001);
    vec![
        0,
        u128::MAX,
        bytes(|_| 0x80),
        bytes(|_| 0x7F),
        bytes(|i| i),
        bytes(|i| 31 - 2 * i),
        bytes(|i| i.wrapping_mul(37)),
        0x8000_0000_0000_0000_7FFF_FFFF_FFFF_FFFF,
        0x8000_7FFF_0001_FFFF_8000_8000_7FFF_0000,
        0x0000_0001_8000_0000_0000_0001_7FFF_FFFF,
        i32x4([0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x0100_0001]),
        i32x4([0xFFFF_FF7F, 0xFFFF_FF80, 0xFFFF_FF81, 0x0100_0003]),
        f32x4([0.0, -0.0, 1.5, -2.5]),
        f32x4([-0.0, 0.0, f32::NAN, signalling]),
        f32x4([f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE / 2.0, f32::MAX]),
        f32x4([2_147_483_648.0, -2_147_483_648.0, 4_294_967_296.0, -2_147_483_904.0]),
        f32x4([2_147_483_520.0, 4_294_967_040.0, -1.0, 0.99]),
        f64x2([0.0, -0.0]),
        f64x2([f64::NAN, -1.5]),
        f64x2([2_147_483_647.5, -2_147_483_649.0]),
        f64x2([4_294_967_295.9, 4_294_967_296.0]),
        f64x2([-0.999_999, f64::INFINITY]),
        f64x2([f64::NEG_INFINITY, 3e38 * 2.0]),
    ]
}

/// Numbers for splats, lanes and distances.
fn numbers(ty: &str) -> Vec<Value> {
    match ty {
        "i32" => [0, 1, 7, 8, 31, 33, 63, 100, -1, i32::MIN, 0x1234_5678].map(Value::I32).to_vec(),
        "i64" => [0, -1, i64::MIN, 0x1234_5678_9ABC_DEF0].map(Value::I64).to_vec(),
        "f32" => [0.0, -0.0, 1.5, f32::NAN].map(Value::F32).to_vec(),
        _ => [0.0, -0.0, 1.5, f64::NAN].map(Value::F64).to_vec(),
    }
}

/// The operands to try.
fn arguments(operator: &Operator) -> Vec<Vec<Value>> {
    let vectors: Vec<Value> = vectors().into_iter().map(Value::V128).collect();
    let mut all: Vec<Vec<Value>> = vec![Vec::new()];
    for (i, ty) in operator.signature().0.iter().enumerate() {
        let values = if *ty == "v128" { vectors.clone() } else { numbers(ty) };
        // Orders do not mind what the lanes are.
        let values = match operator.name.starts_with("i8x16.shuffle") {
            true => values[4 + i..6 + i].to_vec(),
            false => values,
        };
        // Every third operand is enough for the one operator that has three.
        let values: Vec<Value> =
            if i == 2 { values.into_iter().step_by(3).collect() } else { values };
        let extend = |known: &Vec<Value>| {
            values
                .iter()
                .map(|value| [&known[..], std::slice::from_ref(value)].concat())
                .collect::<Vec<_>>()
        };
        all = all.iter().flat_map(extend).collect();
    }
    all
}

/// The bits of the result; one NaN for all where they may differ.
fn result(function: &Func, operator: &Operator, arguments: &[Value]) -> u128 {
    let results = function.call(arguments).unwrap();
    let bits = match results[0] {
        Value::V128(bits) => bits,
        Value::I32(value) => u128::from(value.cast_unsigned()),
        Value::I64(value) => u128::from(value.cast_unsigned()),
        Value::F32(value) => u128::from(value.to_bits()),
        Value::F64(value) => u128::from(value.to_bits()),
        ref other => panic!("{other:?}"),
    };
    match operator.floats {
        None => bits,
        Some(width) => (0..128 / width).fold(0, |all, i| {
            let lane = (bits >> (i * width)) as u64;
            let lane = match width {
                32 if f32::from_bits(lane as u32).is_nan() => u64::from(f32::NAN.to_bits()),
                32 => u64::from(lane as u32),
                _ if f64::from_bits(lane).is_nan() => f64::NAN.to_bits(),
                _ => lane,
            };
            all | u128::from(lane) << (i * width)
        }),
    }
}

#[test]
fn every_operator_agrees_with_cranelift() {
    let (operators, count) = operators();
    // And 22 that access memory, and `v128.const`.
    assert_eq!(count, 236 - 22 - 1);
    let reference = compiled(engine(Tier::Cranelift), &module_of(&operators, Place::Registers));
    let known = |(index, operator): (usize, &Operator)| -> Vec<(Vec<Value>, u128)> {
        let function = reference.dyn_func(&format!("f{index}")).unwrap();
        let known = |arguments: Vec<Value>| {
            let bits = result(&function, operator, &arguments);
            (arguments, bits)
        };
        arguments(operator).into_iter().map(known).collect()
    };
    let expected: Vec<_> = operators.iter().enumerate().map(known).collect();
    for engine in baseline_engines() {
        for place in PLACES {
            let instance = compiled(&engine, &module_of(&operators, place));
            for (index, operator) in operators.iter().enumerate() {
                let function = instance.dyn_func(&format!("f{index}")).unwrap();
                // All values in one place, and a spread of them in the others.
                let step = if place == Place::Registers { 1 } else { 7 };
                for (arguments, expected) in expected[index].iter().step_by(step) {
                    let actual = result(&function, operator, arguments);
                    check(operator, arguments, actual, *expected);
                }
            }
        }
    }
}

fn check(operator: &Operator, arguments: &[Value], actual: u128, expected: u128) {
    let name = &operator.name;
    assert_eq!(actual, expected, "{name} of {arguments:x?}\n{actual:032x}\n{expected:032x}");
}

/// With no more than SSE4.1 asked for, there is no instruction beyond it, whatever this machine has.
#[test]
fn the_floor_suffices() {
    use iced_x86::CpuidFeature::*;
    let (operators, _) = operators();
    let [_, portable] = baseline_engines();
    for place in [Place::Registers, Place::Temporaries] {
        let binary = module_of(&operators, place);
        let module = Module::with_engine(&portable, &binary).unwrap();
        for (index, operator) in operators.iter().enumerate() {
            // The first function is the one that is called.
            let code = module.code(index as u32 + 1).unwrap();
            // Behind the return there may be constants.
            for instruction in Decoder::new(64, code, DecoderOptions::NONE)
                .iter()
                .take_while(|i| i.mnemonic() != Mnemonic::Ret)
            {
                assert!(!instruction.is_invalid(), "{}", operator.name);
                for feature in instruction.cpuid_features() {
                    let known = [INTEL8086, INTEL386, X64, CMOV, SSE, SSE2, SSE3, SSSE3, SSE4_1];
                    let name = &operator.name;
                    assert!(known.contains(feature), "{name}: {instruction} needs {feature:?}");
                }
            }
        }
    }
}

/// Distances that are constants, and operands that are.
#[test]
fn constants_are_operands_like_any_other() {
    let (operators, _) = operators();
    let number = |value: &Value| match value {
        Value::V128(bits) => {
            format!("(v128.const i64x2 {} {})", *bits as i64, (*bits >> 64) as i64)
        }
        Value::I32(value) => format!("(i32.const {value})"),
        Value::I64(value) => format!("(i64.const {value})"),
        Value::F32(value) => format!("(f32.reinterpret_i32 (i32.const {}))", value.to_bits()),
        Value::F64(value) => format!("(f64.reinterpret_i64 (i64.const {}))", value.to_bits()),
        other => panic!("{other:?}"),
    };
    let reference = compiled(engine(Tier::Cranelift), &module_of(&operators, Place::Registers));
    let engines = baseline_engines();
    for (index, operator) in operators.iter().enumerate() {
        let reference = reference.dyn_func(&format!("f{index}")).unwrap();
        let all = arguments(operator);
        let step = match operator.shape {
            Shape::Shift => 1,
            // An odd step: every value of each operand has its turn.
            _ => all.len().div_ceil(23) | 1,
        };
        let mut text = "(module\n".to_string();
        let mut functions = Vec::new();
        for arguments in all.into_iter().step_by(step) {
            let last = arguments.len() - 1;
            for constants in [1 << last, (1 << arguments.len()) - 1, 1] {
                let (params, result) = operator.signature();
                write!(text, "(func (export \"f{}\")", functions.len()).unwrap();
                params.iter().for_each(|ty| write!(text, " (param {ty})").unwrap());
                write!(text, " (result {result})").unwrap();
                for (i, argument) in arguments.iter().enumerate() {
                    let is_constant = constants >> i & 1 != 0;
                    let get = format!("(local.get {i})");
                    text += &if is_constant { number(argument) } else { get };
                }
                writeln!(text, " {})", operator.name).unwrap();
                functions.push(arguments.clone());
            }
        }
        let binary = assemble(&(text + ")"));
        let instances = engines.each_ref().map(|engine| compiled(engine, &binary));
        for (index, arguments) in functions.iter().enumerate() {
            let expected = result(&reference, operator, arguments);
            for instance in &instances {
                let function = instance.dyn_func(&format!("f{index}")).unwrap();
                check(operator, arguments, result(&function, operator, arguments), expected);
            }
        }
    }
}

/// Loads and stores reach the last byte of a memory, and not one further.
#[test]
fn accesses_are_as_wide_as_they_say() {
    let mut accesses: Vec<(String, u32, bool)> = Vec::new();
    for (name, bytes) in [("v128.load", 16), ("v128.load32_zero", 4), ("v128.load64_zero", 8)] {
        accesses.push((name.to_string(), bytes, true));
    }
    for name in ["8x8_s", "8x8_u", "16x4_s", "16x4_u", "32x2_s", "32x2_u"] {
        accesses.push((format!("v128.load{name}"), 8, true));
    }
    for bits in [8, 16, 32, 64] {
        accesses.push((format!("v128.load{bits}_splat"), bits / 8, true));
    }
    let mut functions = String::new();
    let mut widths = Vec::new();
    let mut export = |access: &str, bytes: u32, is_load: bool, takes_vector: bool| {
        let vector = if takes_vector { "(local.get 1)" } else { "" };
        let after = if is_load { "" } else { "(local.get 1)" };
        writeln!(
            functions,
            "(func (export \"f{0}\") (param i32 v128) (result v128) ({access} (local.get 0) {vector}) {after})
             (func (export \"o{0}\") (param i32 v128) (result v128)
                ({1} (i32.sub (local.get 0) (i32.const 1000)) {vector}) {after})",
            widths.len(),
            with_offset(access),
        )
        .unwrap();
        widths.push((access.to_string(), bytes, is_load));
    };
    for (name, bytes, is_load) in &accesses {
        export(name, *bytes, *is_load, false);
    }
    export("v128.store", 16, false, true);
    for bits in [8, 16, 32, 64] {
        for lane in 0..128 / bits {
            export(&format!("v128.load{bits}_lane {lane}"), bits / 8, true, true);
            export(&format!("v128.store{bits}_lane {lane}"), bits / 8, false, true);
        }
    }
    let text = format!(
        "(module (memory (export \"memory\") 1)
            (func (export \"fill\")
                (local $i i32)
                (loop $again
                    (i64.store (local.get $i)
                        (i64.mul (i64.extend_i32_u (i32.add (local.get $i) (i32.const 9))) (i64.const 0x9E3779B97F4A7C15)))
                    (local.set $i (i32.add (local.get $i) (i32.const 8)))
                    (br_if $again (i32.lt_u (local.get $i) (i32.const 65536)))))
            (func (export \"end\") (result v128) (v128.load (i32.const 65520)))
            {functions})"
    );
    let binary = assemble(&text);
    let instances = [
        compiled(engine(Tier::Cranelift), &binary),
        compiled(&baseline_engines()[0], &binary),
        compiled(&baseline_engines()[1], &binary),
    ];
    let vector = Value::V128(0x0F1E_2D3C_4B5A_6978_8796_A5B4_C3D2_E1F0);
    for (index, (name, bytes, _)) in widths.iter().enumerate() {
        for kind in ["f", "o"] {
            let mut seen: Option<(Value, Value)> = None;
            for instance in &instances {
                let call = |name: &str, arguments: &[Value]| {
                    instance.dyn_func(name).unwrap().call(arguments)
                };
                call("fill", &[]).unwrap();
                let access = format!("{kind}{index}");
                let last = (65_536 - bytes).cast_signed();
                let result = call(&access, &[Value::I32(last), vector.clone()]);
                let result = result.unwrap_or_else(|error| panic!("{name}: {error}"))[0].clone();
                let end = call("end", &[]).unwrap()[0].clone();
                let seen = seen.get_or_insert_with(|| (result.clone(), end.clone()));
                assert_eq!((&result, &end), (&seen.0, &seen.1), "{name}");
                match call(&access, &[Value::I32(last + 1), vector.clone()]) {
                    Err(Error::Trap(trap)) => assert_eq!(trap.code(), TrapCode::MemoryOutOfBounds),
                    other => panic!("{name}: {other:?}"),
                }
                assert_eq!(call("end", &[]).unwrap()[0], end, "{name}");
            }
        }
    }
}

/// The access with an offset that makes up for a lower index.
fn with_offset(access: &str) -> String {
    match access.split_once(' ') {
        Some((name, lane)) => format!("{name} offset=1000 {lane}"),
        None => format!("{access} offset=1000"),
    }
}

/// Vectors through blocks, calls, results in memory and globals, next to values of other sizes.
#[test]
fn vectors_go_where_other_values_go() {
    let text = r#"(module
        (global $g (mut v128) (v128.const i64x2 11 12))
        (func $many (param v128 i64 v128 v128 v128 v128 v128 v128 v128 v128 v128 f32)
            (result v128 i64 v128 f32 v128 v128 v128 v128 v128 v128 v128 v128)
            (local.get 10) (local.get 1) (local.get 9) (local.get 11) (local.get 8) (local.get 7)
            (local.get 6) (local.get 5) (local.get 4) (local.get 3) (local.get 2) (local.get 0))
        (func (export "calls") (param v128 v128) (result v128 i64 v128 f32)
            (call $many (local.get 0) (i64.const 5) (local.get 1) (v128.const i64x2 1 2)
                (v128.const i64x2 0 0) (v128.const i64x2 -1 -1) (i8x16.add (local.get 0) (local.get 1))
                (local.get 0) (local.get 1) (global.get $g) (i8x16.splat (i32.const 3)) (f32.const 2.5))
            (i64x2.add) (i64x2.shl (i32.const 1)) (i64x2.add) (i64x2.shl (i32.const 1)) (i64x2.add)
            (i64x2.shl (i32.const 1)) (i64x2.sub) (i64x2.add) (i8x16.sub) (i16x8.sub) (global.set $g))
        (func (export "global") (result v128) (global.get $g))
        (func (export "branches") (param v128 i32) (result v128 v128)
            (local $a v128) (local $b i32) (local $c v128)
            (local.set $a (local.get 0))
            (block $two (result v128 v128)
                (block $one (result v128 v128)
                    (block $zero (result v128 v128)
                        (i32x4.add (local.get 0) (local.get 0))
                        (i32x4.sub (local.get $c) (local.get $a))
                        (br_table $zero $one $two $zero $one $two $one (local.get 1)))
                    (i32x4.add (v128.const i32x4 1 2 3 4)))
                (i32x4.mul (v128.const i32x4 5 6 7 8)))
            (loop $again (param v128 v128) (result v128 v128)
                (i32x4.add (local.get $a))
                (local.set $b (i32.add (local.get $b) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $b) (i32.const 5))))
            (local.set $c)
            (select (local.get $c) (local.get $a) (i32.and (local.get 1) (i32.const 1))))
        (func (export "deep") (param v128 i32) (result v128)
            (local i64 v128 f64 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128)
            (local.set 3 (i64x2.splat (local.get 2)))
            (local.get 0)
            (i8x16.add (local.get 0) (local.get 3)) (i8x16.add (local.get 0) (local.get 5))
            (i8x16.add (local.get 0) (local.get 6)) (i8x16.add (local.get 0) (local.get 7))
            (i8x16.add (local.get 0) (local.get 8)) (i8x16.add (local.get 0) (local.get 9))
            (i8x16.add (local.get 0) (local.get 10)) (i8x16.add (local.get 0) (local.get 11))
            (i8x16.add (local.get 0) (local.get 12)) (i8x16.add (local.get 0) (local.get 13))
            (i8x16.sub (local.get 14) (local.get 0))
            (local.set 0 (i8x16.splat (local.get 1)))
            (i64x2.mul) (i8x16.swizzle) (i8x16.sub) (i16x8.max_s) (i64x2.mul) (i8x16.popcnt) (i8x16.sub)
            (i8x16.add) (i8x16.sub) (i64x2.mul) (v128.bitselect (local.get 0)) (i64x2.add)))"#;
    let binary = assemble(text);
    let reference = compiled(engine(Tier::Cranelift), &binary);
    let instances = baseline_engines().map(|engine| compiled(&engine, &binary));
    for (i, first) in vectors().into_iter().enumerate() {
        let second = vectors()[(i * 5 + 3) % vectors().len()];
        let index = Value::I32(i as i32);
        let (first, second) = (Value::V128(first), Value::V128(second));
        for (name, arguments) in [
            ("calls", vec![first.clone(), second]),
            ("global", vec![]),
            ("branches", vec![first.clone(), index.clone()]),
            ("deep", vec![first, index]),
        ] {
            let call =
                |instance: &Instance| instance.dyn_func(name).unwrap().call(&arguments).unwrap();
            let expected = call(&reference);
            for instance in &instances {
                assert_eq!(call(instance), expected, "{name} {arguments:x?}");
            }
        }
    }
}
