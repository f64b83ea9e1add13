//! Bounds of the baseline tier: code grows with the body, and where it grows with types too, a limit
//! holds before the code has been made.
#![cfg(feature = "baseline")]

mod common;

use common::assemble;
use wasm_mini::{Engine, Limits, LoadError, Module, Tier};

/// Bytes of code for each byte of a body, as [`Limits::code_bytes`] documents it.
const CODE_PER_BYTE: usize = 100;
/// Bytes of code for each value that an operator takes from one place to another.
const CODE_PER_VALUE: usize = 32;
/// Bytes of code of a function beyond that.
const CODE_PER_FUNCTION: usize = 512;

/// The function that is measured has this index.
const FUNCTION: u32 = 4;

/// Engines for this machine, and for the least that is supported: operators which that one lacks are
/// made of others.
fn engines() -> [(&'static str, Engine); 2] {
    let builder = || Engine::builder().tier(Tier::Baseline);
    let build = |builder: wasm_mini::EngineBuilder| builder.build().expect("an engine");
    [("this machine", build(builder())), ("SSE4.1", build(builder().portable_code()))]
}

/// A module whose function has this body.
fn module(body: &str) -> Vec<u8> {
    assemble(&format!(
        r#"(module
        (type $void (func)) (type $one (func (param i32) (result i32)))
        (import "" "" (func $import)) (import "" "one" (func $one (type $one)))
        (memory 1) (table 1 funcref) (elem declare func $defined) (data "a")
        (func $defined) (func $identity (type $one) (local.get 0))
        (func $f (result i32)
            (local $i32 i32) (local $i32b i32) (local $i64 i64) (local $i64b i64)
            (local $f32 f32) (local $f64 f64) (local $v128 v128) (local $v128b v128)
            {body} (i32.const 0)))"#
    ))
}

/// `unit` so many times, on an operand of this type, which it consumes and leaves again.
fn chain(ty: &str, unit: &str, count: usize) -> Vec<u8> {
    let units = format!("{unit} ").repeat(count);
    module(&format!("(block (result {ty}) (local.get ${ty}) {units}) (local.set ${ty})"))
}

/// The worst of each family of operators: a type, and what is done to an operand of it.
const CHAINS: &[(&str, &str)] = &[
    // Bit counting without an instruction for it is the worst of all.
    ("i64", "i64.popcnt"),
    ("i32", "i32.popcnt"),
    ("v128", "i8x16.popcnt"),
    ("i64", "i64.clz"),
    ("f64", "i64.trunc_f64_u f64.convert_i64_u"),
    ("f32", "i64.trunc_f32_u f32.convert_i64_u"),
    ("f64", "i64.trunc_sat_f64_u f64.convert_i64_u"),
    ("f64", "i32.trunc_f64_u f64.convert_i32_u"),
    ("f32", "f32.abs f32.nearest f32.neg"),
    ("f32", "local.get $f32 f32.min local.get $f32 f32.copysign"),
    ("i64", "local.get $i64b i64.div_s local.get $i64 i64.rem_s local.get $i64 i64.div_u"),
    ("i32", "local.get $i32b i32.rotl local.get $i32b i32.shr_s"),
    ("i64", "i64.eqz i64.extend_i32_u"),
    ("f64", "local.get $f64 f64.eq f64.convert_i32_u"),
    ("v128", "i32x4.trunc_sat_f64x2_u_zero f64x2.convert_low_i32x4_u"),
    ("v128", "i32x4.trunc_sat_f32x4_u f32x4.convert_i32x4_u"),
    ("v128", "local.get $i32 i8x16.shr_s local.get $i32 i64x2.shr_s"),
    ("v128", "local.get $v128b i64x2.mul local.get $v128b i64x2.lt_s"),
    ("v128", "local.get $v128b f32x4.max local.get $v128b i8x16.swizzle"),
    ("v128", "local.get $v128b i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 20 21 22 23 24 25"),
    ("v128", "v128.any_true i8x16.splat"),
    ("i32", "memory.grow"),
    ("i32", "i32.load offset=0xffffffff"),
    ("i32", "local.get $i32b i32.const 63 memory.copy local.get $i32"),
    ("i32", "local.get $i32b i32.const 63 memory.fill local.get $i32"),
    ("i32", "local.get $i32 local.get $i32 memory.init 0 memory.size"),
    ("i32", "call $identity"),
    ("i32", "call $one"),
    ("i32", "i32.const 0 call_indirect (type $one)"),
    ("i32", "call $import call $import"),
    ("i32", "local.get $i32 br_if 1"),
    ("v128", "local.get $i32 br_if 0"),
    ("f64", "local.get $f64 local.get $i32 select"),
    ("i32", "if (result i32) local.get $i32 else i32.const -1 end"),
    ("i32", "loop (param i32) (result i32) end"),
    ("i32", "br_table 0 0 0 0 0 0 0 0 unreachable"),
    ("i32", "block block local.get $i32 br_table 0 1 0 1 0 1 0 1 0 1 end end"),
    ("i32", "block block local.get $i32 br_table 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 end end"),
    ("i64", "local.tee $i64b local.get $i64 i64.const 0x123456789abcdef i64.add i64.xor"),
];

#[test]
fn code_for_each_byte_of_a_body() {
    const COUNT: usize = 500;
    for (name, engine) in engines() {
        for (ty, unit) in CHAINS {
            // Not a chain: there is no going on behind it.
            let unit = &match unit.strip_suffix(" unreachable") {
                Some(unit) => format!("block (param i32) {unit} end local.get $i32"),
                None => unit.to_string(),
            };
            let measure = |count| {
                let binary = chain(ty, unit, count);
                let module = Module::with_engine(&engine, &binary);
                let module = module.unwrap_or_else(|error| panic!("{unit}: {error}"));
                (binary.len(), module.code(FUNCTION).expect("its code").len())
            };
            let ((few_bytes, few_code), (bytes, code)) = (measure(0), measure(COUNT));
            assert!(few_code <= CODE_PER_FUNCTION, "{name}: {few_code} bytes of an empty one");
            let (bytes, code) = (bytes - few_bytes, code - few_code);
            assert!(code <= CODE_PER_BYTE * bytes, "{name}, {unit}: {code} of {bytes} bytes");
        }
    }
}

/// The bound is what the largest body can become, and that is allowed.
#[test]
fn the_largest_body_has_room() {
    let limits = Limits::default();
    let most = CODE_PER_BYTE as u64 * u64::from(limits.function_bytes);
    assert!(most <= u64::from(limits.code_bytes));
}

/// As many as a type can have.
const VALUES: usize = 1000;

/// Functions that take 1,000 values along with few bytes: what is done once, and again and again.
fn carriers() -> Vec<(&'static str, String, &'static str)> {
    let push = "(i32.load (i32.const 0)) ".repeat(VALUES);
    let under = format!("(local.get 0) {push}");
    vec![
        ("br_if to a block", format!("(block (result {{}}) {under}"), "(br_if 0 (local.get 0))"),
        ("br_if to the end", under.clone(), "(br_if 0 (local.get 0))"),
        ("call", push.clone(), "(call $same)"),
        ("call_indirect", push, "(call_indirect (type $same) (local.get 0))"),
        ("results", "(block".to_string(), "(block (call $many) (br 0))"),
        (
            "br_table",
            format!("(block (result {{}}) {under}"),
            "(block (type $same) (br_table 0 1 1 1 1 2 (local.get 0)))",
        ),
    ]
}

/// A module with such a function. What it leaves on the stack is nobody's.
fn carrier(start: &str, unit: &str, count: usize) -> Vec<u8> {
    let types = "i32 ".repeat(VALUES);
    let start = start.replace("{}", &types);
    let units = format!("{unit} ").repeat(count);
    let opened = start.starts_with("(block");
    let close = if opened { "unreachable)" } else { "" };
    assemble(&format!(
        "(module (type $same (func (param {types}) (result {types})))
        (memory 1) (table 1 funcref)
        (func $same (type $same) unreachable) (func $many (result {types}) unreachable)
        (func (param i32) (result {types}) {start} {units} {close} unreachable))"
    ))
}

#[test]
fn code_for_each_value_that_is_carried() {
    const COUNT: usize = 20;
    for (name, engine) in engines() {
        for (what, start, unit) in carriers() {
            let measure = |count| {
                let binary = carrier(&start, unit, count);
                let module = Module::with_engine(&engine, &binary);
                let module = module.unwrap_or_else(|error| panic!("{what}: {error}"));
                module.code(2).expect("its code").len()
            };
            let code = measure(COUNT) - measure(0);
            // To the callee and back.
            let values = 2 * VALUES * COUNT;
            let most = CODE_PER_VALUE * values + CODE_PER_BYTE * COUNT * 8;
            assert!(code <= most, "{name}, {what}: {code} bytes for {values} values");
        }
    }
}

/// Thousands of operators of some bytes that would become a hundred megabytes of code.
#[test]
fn a_limit_of_code_holds_before_it_is_made() {
    let mut limits = Limits::default();
    limits.code_bytes = 1 << 20;
    let engine = Engine::builder().tier(Tier::Baseline).limits(limits).build().expect("an engine");
    for (what, start, unit) in carriers() {
        let binary = carrier(&start, unit, 5_000);
        let error = Module::with_engine(&engine, &binary).expect_err("too much code");
        let LoadError::Limit { what: limit, actual, limit: most } = error else {
            panic!("{what}: {error}")
        };
        assert!(limit.contains("`Limits::code_bytes`"), "{what}: {limit}");
        assert_eq!(most, 1 << 20);
        // One operator's more, and what there was to emit for the others.
        let small = CODE_PER_BYTE * binary.len() / 4 + 2 * CODE_PER_VALUE * VALUES;
        assert!(actual <= most + small as u64, "{what}: {actual} bytes");
        // And all goes on.
        Module::with_engine(&engine, carrier(&start, unit, 2)).expect("a module");
    }
}

/// The same of functions none of which is beyond the limit, in few bytes of bodies.
#[test]
fn a_limit_of_code_holds_for_functions_together() {
    let types = "i32 ".repeat(VALUES);
    let values = "(i32.load (i32.const 0)) ".repeat(VALUES);
    let calls = "(call $same) ".repeat(20);
    let function = format!("(func (result {types}) {values} {calls} unreachable)");
    let module = |count| {
        assemble(&format!(
            "(module (memory 1) (func $same (param {types}) (result {types}) unreachable) {})",
            function.repeat(count)
        ))
    };
    let engine = |limits, threads| {
        let engine = Engine::builder().tier(Tier::Baseline).limits(limits).compile_threads(threads);
        engine.build().expect("an engine")
    };
    let one = Module::with_engine(&engine(Limits::default(), 1), module(1)).expect("a module");
    let one = one.code(1).expect("its code").len() as u64;
    let mut limits = Limits::default();
    limits.code_bytes = 1 << 20;
    assert!((100_000..1 << 20).contains(&one), "{one} bytes");
    for (count, threads) in [(9, 1), (200, 1), (200, 2)] {
        let error = Module::with_engine(&engine(limits, threads), module(count)).unwrap_err();
        let LoadError::Limit { actual, limit: most, .. } = error else { panic!("{error}") };
        assert_eq!(most, 1 << 20);
        let more = threads as u64 * (one + 100);
        assert!(actual <= most + more, "{count} functions: {actual} bytes");
    }
}

/// Blocks that each have 2,000 types.
#[test]
fn types_of_nested_blocks() {
    let engine = Engine::new(Tier::Baseline).expect("an engine");
    let nested = |count: usize| {
        let types = "i32 ".repeat(VALUES);
        let (open, close) = ("block (type $same) ".repeat(count), "end ".repeat(count));
        let text = format!(
            "(module (type $same (func (param {types}) (result {types})))
            (func (type $same) {} {open} {close}))",
            (0..VALUES).map(|local| format!("local.get {local} ")).collect::<String>()
        );
        Module::with_engine(&engine, assemble(&text))
    };
    nested(8_000).expect("a module");
    let error = nested(20_000).expect_err("too many types");
    assert!(matches!(error, LoadError::Limit { actual: 16_777_217, .. }), "{error:?}");
}
