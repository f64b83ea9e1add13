//! What can be said of this tier's output without running it.

mod simd;

use cranelift_codegen::ir;

use super::machine::{from_clif, to_clif};
use super::{Compiler, isa};
use crate::compile::{CompileOptions, CompiledCode, CpuFeatures};
use crate::error::{LoadError, TrapCode};
use crate::module::{self, ModuleInfo, Validation};

fn compiler(cpu: CpuFeatures) -> Compiler {
    let options = CompileOptions { cpu, record_operators: true };
    Compiler::new(isa(cpu).expect("a target"), options)
}

/// Has `each` look at every body of a module in the text format, after validation.
fn with_bodies(
    text: &str,
    mut each: impl FnMut(&ModuleInfo, &module::ValidBody<'_>, &module::Facts) -> Result<(), LoadError>,
) -> Result<(), LoadError> {
    let binary = wat::parse_str(text).expect("a module");
    let loaded = module::load(&binary).expect("a module");
    let mut validation = Validation::default();
    for body in loaded.bodies {
        let body = body.validate(&mut validation).expect("a valid body");
        each(&loaded.info, &body, &validation.facts)?;
    }
    Ok(())
}

fn compile_for(cpu: CpuFeatures, text: &str) -> Result<CompiledCode, LoadError> {
    let (mut compiler, mut code) = (compiler(cpu), CompiledCode::default());
    with_bodies(text, |info, body, facts| compiler.compile(info, body, facts, &mut code))?;
    Ok(code)
}

fn compile(text: &str) -> CompiledCode {
    compile_for(CpuFeatures::detect(), text).expect("code")
}

fn refusal(text: &str) -> String {
    compile_for(CpuFeatures::detect(), text).expect_err("a refusal").to_string()
}

fn clif(text: &str) -> String {
    let (mut compiler, mut all) = (compiler(CpuFeatures::FLOOR), String::new());
    with_bodies(text, |info, body, facts| {
        all += &compiler.clif(info, body, facts)?;
        Ok(())
    })
    .expect("IR");
    all
}

/// The codes of the trap sites, in the order of their offsets.
fn traps(code: &CompiledCode) -> Vec<TrapCode> {
    assert!(code.traps.is_sorted_by(|a, b| a.offset < b.offset), "one code each: {:?}", code.traps);
    code.traps.iter().map(|trap| trap.code).collect()
}

const ADD4: &str = "(module (func (param i64) (result i64) (i64.add (local.get 0) (i64.const 4))))";

#[test]
fn add4_is_thirteen_bytes() {
    let expected = [0x55, 0x48, 0x89, 0xe5, 0x48, 0x8d, 0x47, 0x04, 0x48, 0x89, 0xec, 0x5d, 0xc3];
    assert_eq!(compile(ADD4).bytes, expected);
}

#[test]
fn ir_is_that_of_the_translation() {
    let expected = "
function u0:0(i64) -> i64 tail {
block0(v0: i64):
@001b v1 = iconst.i64 4
@001d v2 = iadd v0, v1  ; v1 = 4
@001e return v2
}";
    let lines: Vec<_> = clif(ADD4)
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let expected: Vec<_> = expected
        .trim()
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(lines, expected);
}

#[test]
fn functions_are_aligned_and_kept_apart_by_int3() {
    let code = compile("(module (func) (func) (func (call 0)))");
    let starts: Vec<_> = code.functions.iter().map(|f| (f.function, f.code.start % 16)).collect();
    assert_eq!(starts, [(0, 0), (1, 0), (2, 0)]);
    let between = code.functions[0].code.end as usize..code.functions[1].code.start as usize;
    assert!(!between.is_empty() && code.bytes[between].iter().all(|byte| *byte == 0xcc));
    assert!(code.functions.iter().all(|function| !function.frameless));
}

/// Imports are counted in the indices but have no code here.
#[test]
fn calls_have_a_relocation_and_a_call_site() {
    let code = compile(r#"(module (import "m" "f" (func)) (func) (func (call 1) (call 1)))"#);
    assert_eq!(code.functions.iter().map(|f| f.function).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(code.relocations.len(), 2);
    assert_eq!(code.calls.len(), 2);
    for (relocation, call) in code.relocations.iter().zip(&code.calls) {
        assert_eq!(relocation.function, 1);
        assert_eq!(relocation.offset + 4, call.return_offset);
        assert_eq!(code.bytes[relocation.offset as usize - 1], 0xe8);
    }
    assert_eq!(code.calls[1].wasm_offset - code.calls[0].wasm_offset, 2);
}

/// Only a function that calls compares its stack pointer with the limit.
#[test]
fn the_stack_is_checked_by_callers() {
    assert_eq!(traps(&compile(ADD4)), []);
    assert_eq!(traps(&compile("(module (func (call 0)))")), [TrapCode::StackOverflow]);
}

#[test]
fn each_trap_site_has_the_operators_code() {
    use TrapCode::*;
    let rows: &[(&str, &str, &str, &[TrapCode])] = &[
        ("i32", "i32", "div_s", &[IntegerOverflow, IntegerDivideByZero]),
        ("i64", "i64", "div_u", &[IntegerDivideByZero]),
        ("i32", "i32", "rem_s", &[IntegerDivideByZero]),
        ("i64", "i64", "rem_u", &[IntegerDivideByZero]),
        (
            "f64",
            "i32",
            "trunc_f64_s",
            &[InvalidConversionToInteger, IntegerOverflow, IntegerOverflow],
        ),
        (
            "f32",
            "i64",
            "trunc_f32_u",
            &[IntegerOverflow, InvalidConversionToInteger, IntegerOverflow],
        ),
        ("f32", "i64", "trunc_sat_f32_u", &[]),
    ];
    for (from, to, operator, expected) in rows {
        let operands = match operator.contains('f') {
            true => "(local.get 0)",
            false => "(local.get 0) (local.get 0)",
        };
        let text = format!(
            "(module (func (param {from}) (result {to}) (nop) ({to}.{operator} {operands})))"
        );
        let code = compile(&text);
        assert_eq!(traps(&code), *expected, "{operator}");
        // The operator stands right before the body's `end`, which is the module's last byte.
        let length = if operator.contains("sat") { 2 } else { 1 };
        let at = wat::parse_str(&text).expect("a module").len() as u32 - 1 - length;
        assert!(code.traps.iter().all(|trap| trap.wasm_offset == at), "{operator}");
    }
    assert_eq!(traps(&compile("(module (func (unreachable)))")), [Unreachable]);
}

#[test]
fn trap_codes_survive_the_way_through() {
    for code in TrapCode::ALL {
        assert_eq!(from_clif(to_clif(*code)), Some(*code));
    }
    assert_eq!(from_clif(ir::TrapCode::unwrap_user(99)), None);
}

#[test]
fn what_is_not_done_is_named() {
    let imported = refusal(r#"(module (import "m" "f" (func)) (func $caller (call 0)))"#);
    assert_eq!(
        imported,
        "not supported: calls to imported functions on the Cranelift tier in function 1 (caller) \
         (at byte offset 0x20)"
    );
    for (body, what) in [
        ("(drop (ref.null func))", "operator `ref.null` on the Cranelift tier"),
        ("(local externref)", "type `externref` on the Cranelift tier"),
    ] {
        let refusal = refusal(&format!("(module (func {body}))"));
        assert!(refusal.contains(what), "{refusal}");
    }
    // What cannot be reached is no reason.
    compile("(module (func (unreachable) (drop (ref.null func))))");
}

/// A refusal in the middle of a body leaves nothing behind that the next body would trip over.
#[test]
fn a_compiler_outlives_its_refusals() {
    let (mut compiler, mut code) = (compiler(CpuFeatures::detect()), CompiledCode::default());
    let mut refused = 0;
    let text =
        "(module (func (block (block (drop (ref.null func))))) (func (param i64) (result i64)
        (i64.add (local.get 0) (i64.const 4))))";
    with_bodies(text, |info, body, facts| {
        refused += usize::from(compiler.compile(info, body, facts, &mut code).is_err());
        Ok(())
    })
    .expect("every body");
    assert_eq!((refused, code.functions.len()), (1, 1));
    assert_eq!(code.bytes, compile(ADD4).bytes);
}

#[test]
fn operators_are_where_their_code_starts() {
    let code = compile(ADD4);
    let operators = code.operators.expect("on request");
    let offsets: Vec<_> = operators.iter().map(|op| (op.offset, op.wasm_offset)).collect();
    // The constant becomes part of the addition.
    assert_eq!(offsets, [(4, 0x1d), (8, 0x1e)]);
}

/// No instruction that a machine with nothing but SSE4.1 lacks.
#[test]
fn features_can_be_masked() {
    let text = "(module
        (func (param i64) (result i64) (i64.popcnt (local.get 0)))
        (func (param i64) (result i64) (i64.clz (local.get 0)))
        (func (param f64 f64) (result f64) (f64.add (local.get 0) (local.get 1)))
        (func (param f64) (result f64) (f64.nearest (local.get 0))))";
    let code = compile_for(CpuFeatures::FLOOR, text).expect("code");
    let mut decoder = iced_x86::Decoder::new(64, &code.bytes, 0);
    while decoder.can_decode() {
        let instruction = decoder.decode();
        for feature in instruction.cpuid_features() {
            use iced_x86::CpuidFeature::*;
            assert!(
                matches!(feature, INTEL8086 | INTEL386 | X64 | CMOV | SSE | SSE2 | SSE4_1),
                "{instruction} needs {feature:?}"
            );
        }
    }
}

/// Sizes at which anything quadratic would be seen.
#[test]
fn large_bodies_are_no_problem() {
    let blocks = 20_000;
    for text in [
        format!("(local {})", "i32 ".repeat(49_999)),
        format!("{} {}", "block ".repeat(blocks), "end ".repeat(blocks)),
        format!("{} {}", "loop ".repeat(2_000), "end ".repeat(2_000)),
        format!(
            "(block (block (br_table {} 1 (i32.div_u (i32.const 1) (i32.const 1)))))",
            "0 ".repeat(20_000)
        ),
    ] {
        compile(&format!("(module (func {text}))"));
    }
}
