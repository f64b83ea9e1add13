//! What can be said of this tier's output without running it.

mod simd;

use cranelift_codegen::ir;

use super::machine::{from_clif, to_clif};
use super::{Compiler, isa};
use crate::compile::abi::Layout;
use crate::compile::{CompileOptions, CompiledCode, CpuFeatures, TrapSite, Unit};
use crate::error::{LoadError, NotPlain, TrapCode};
use crate::module::{self, Limits, SmallFunctions, Validation};

fn compiler(cpu: CpuFeatures) -> Compiler {
    let options = CompileOptions { cpu, record_operators: true, ..CompileOptions::PLAIN };
    Compiler::new(isa(cpu).expect("a target"), options)
}

/// Has `each` look at every body of a module in the text format, after validation.
fn with_bodies(
    text: &str,
    mut each: impl FnMut(&Unit<'_>, &module::ValidBody<'_>, &module::Facts) -> Result<(), LoadError>,
) -> Result<(), LoadError> {
    let binary = wat::parse_str(text).expect("a module");
    let (info, bodies) = module::load_whole(&binary, &Limits::default()).expect("a module");
    let (info, layout) = (&info, &Layout::of(&info));
    // As if every type were interned in its order.
    let type_ids = &(1..=info.types.len() as u32).collect::<Vec<_>>();
    let small = SmallFunctions::default();
    let unit = Unit { info, type_ids, layout, small, in_segments: info.functions_in_segments() };
    let mut validation = Validation::default();
    for function in bodies.functions() {
        let body = bodies.validate(function, &mut validation).expect("a valid body");
        each(&unit, &body, &validation.facts)?;
    }
    Ok(())
}

fn compile_for(cpu: CpuFeatures, text: &str) -> Result<CompiledCode, LoadError> {
    let (mut compiler, mut code) = (compiler(cpu), CompiledCode::default());
    with_bodies(text, |unit, body, facts| compiler.compile(unit, body, facts, &mut code))?;
    Ok(code)
}

/// The direct calls that are left of a module whose small functions take the place of calls.
fn calls_left(text: &str) -> usize {
    let binary = wat::parse_str(text).expect("a module");
    let (info, bodies) = module::load_whole(&binary, &Limits::default()).expect("a module");
    let (info, layout) = (&info, &Layout::of(&info));
    let small = SmallFunctions::among(&bodies, None, false);
    let in_segments = info.functions_in_segments();
    let unit = Unit { info, type_ids: &[], layout, small, in_segments };
    let (mut validation, mut code) = (Validation::default(), CompiledCode::default());
    let mut compiler = compiler(CpuFeatures::FLOOR);
    for function in bodies.functions() {
        let body = bodies.validate(function, &mut validation).expect("a valid body");
        compiler.compile(&unit, &body, &validation.facts, &mut code).expect("code");
    }
    code.relocations.len()
}

#[test]
fn small_functions_take_the_place_of_calls() {
    let add = "(func $add (param i32 i32) (result i32)
        (i32.add (i32.add (local.get 0) (local.get 1)) (i32.const 0x7fffffff)))";
    let call = "(local.set 0 (call $add (local.get 0) (i32.const 3)))";
    let module = |calls: usize| {
        let calls = call.repeat(calls);
        format!("(module {add} (func (param i32) (result i32) {calls} (local.get 0)))")
    };
    assert_eq!(calls_left(&module(3)), 0);
    // A caller takes in no more than it has itself.
    let taken = 1000 - calls_left(&module(1000));
    assert!((500..900).contains(&taken), "{taken}");
    let branches = "(func $add (param i32 i32) (result i32) (return (local.get 1)))";
    assert_eq!(calls_left(&module(3).replace(add, branches)), 3);
}

fn compile(text: &str) -> CompiledCode {
    compile_for(CpuFeatures::detect(), text).expect("code")
}

fn clif(text: &str) -> String {
    let (mut compiler, mut all) = (compiler(CpuFeatures::FLOOR), String::new());
    with_bodies(text, |unit, body, facts| {
        all += &compiler.clif(unit, body, facts)?;
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

/// Traps that are instructions of their own call the trap routine, as far as a short jump reaches it.
#[test]
fn traps_call_the_routine() {
    const RAISE: [u8; 4] = [0x41, 0xff, 0x57, 0x08];
    const HALT: [u8; 2] = [0xf4, 0xf4];
    let raising = |code: &CompiledCode, trap: &TrapSite| {
        assert!(code.functions[0].code.contains(&trap.offset), "{trap:?}");
        let site = &code.bytes[trap.offset as usize..];
        site.starts_with(&RAISE)
    };
    let div = |i| {
        let divisor = format!("(i32.add (local.get 1) (i32.const {i}))");
        format!("(local.set 0 (i32.div_u (local.get 0) {divisor}))")
    };
    let divisions = |count: usize| {
        let text =
            format!("(module (func (param i32 i32) {}))", (0..count).map(div).collect::<String>());
        let code = compile(&text);
        // The divisions themselves, which never trap, are known too.
        assert_eq!(traps(&code), vec![TrapCode::IntegerDivideByZero; 2 * count]);
        code
    };
    let code = divisions(3);
    // Where they come from is known of each.
    let calls: Vec<_> = code.traps.iter().filter(|trap| raising(&code, trap)).collect();
    assert!(calls.len() == 3 && calls.is_sorted_by(|a, b| a.wasm_offset < b.wasm_offset));
    assert_eq!(code.functions[0].plain, Err(NotPlain::Traps));
    let code = divisions(200);
    let near = code.traps.iter().filter(|trap| raising(&code, trap)).count();
    assert!((10..100).contains(&near), "{near}");
    // There may be no stack for the routine.
    let code = compile("(module (func (call 0)))");
    assert_eq!(traps(&code), [TrapCode::StackOverflow]);
    assert!(code.bytes[code.traps[0].offset as usize..].starts_with(&HALT));
}

const ADD4: &str = "(module (func (param i64) (result i64) (i64.add (local.get 0) (i64.const 4))))";

/// Cranelift's own code for it has a frame around, and thirteen bytes.
#[test]
fn add4_is_five_bytes() {
    assert_eq!(compile(ADD4).bytes, [0x48, 0x8d, 0x47, 0x04, 0xc3]);
}

#[test]
fn frames_stay_where_something_needs_them() {
    let frameless = |text: &str| compile(text).functions[0].frameless;
    assert!(frameless("(module (func))"));
    assert!(frameless(
        "(module (func (param f64 f64) (result f64) (f64.max (local.get 0) (local.get 1))))"
    ));
    assert!(frameless(
        "(module (global (mut i32) (i32.const 0)) (func (global.set 0 (i32.const 1))))"
    ));
    for needs in [
        // Arguments on the stack.
        "(func (param i64 i64 i64 i64 i64 i64 i64) (result i64) (local.get 6))",
        // Traps, whose backtraces follow the frames.
        "(func (param i32 i32) (result i32) (i32.div_u (local.get 0) (local.get 1)))",
        "(func (unreachable))",
        // Indirect calls, which are foreseen worse without.
        "(func) (table 1 funcref) (elem (i32.const 0) 0)",
        // Calls.
        "(func (call 1)) (func (loop (br 0)))",
        // More than one way through.
        "(func (param i32) (result i32) (if (result i32) (local.get 0) (then (i32.const 2)) (else (i32.const 3))))",
    ] {
        assert!(!frameless(&format!("(module {needs})")), "{needs}");
    }
    // More values than registers, all of them needed at the end.
    let computed = (1..40).map(|i| format!("(i64.mul (local.get 0) (i64.const {i}))"));
    let computed = computed.collect::<String>() + &"(i64.rotl)".repeat(38);
    assert!(!frameless(&format!("(module (func (param i64) (result i64) {computed}))")));
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
    assert!(!code.functions[2].frameless);
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
        // The check and the instruction.
        ("i64", "i64", "div_u", &[IntegerDivideByZero, IntegerDivideByZero]),
        ("i32", "i32", "rem_s", &[IntegerDivideByZero, IntegerDivideByZero]),
        ("i64", "i64", "rem_u", &[IntegerDivideByZero, IntegerDivideByZero]),
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
    assert_eq!(from_clif(ir::TrapCode::unwrap_user(63)), None);
}

#[test]
fn operators_are_where_their_code_starts() {
    let code = compile(ADD4);
    let operators = code.operators.expect("on request");
    let offsets: Vec<_> = operators.iter().map(|op| (op.offset, op.wasm_offset)).collect();
    // The constant becomes part of the addition.
    assert_eq!(offsets, [(0, 0x1d), (4, 0x1e)]);
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

/// One site for each access to a memory, with the operator's own offset, also where a load became the
/// operand of another instruction.
#[test]
fn each_memory_access_is_one_trap_site() {
    let address = "(local.get 0)";
    let load = |operator: &str| format!("(drop ({operator} {address}))");
    let store = |operator: &str, ty: &str| format!("({operator} {address} ({ty}.const 0))");
    let add = |ty: &str| {
        format!("({ty}.store {address} ({ty}.add ({ty}.load {address}) ({ty}.const 7)))")
    };
    for (body, sites, last) in [
        (load("i32.load8_s"), 1, [0x2c, 0, 0]),
        (load("i64.load32_u"), 1, [0x35, 2, 0]),
        (load("f64.load offset=0x80000000"), 1, [0x2b, 3, 0x80]),
        (store("i64.store16", "i64"), 1, [0x3d, 1, 0]),
        (store("f32.store offset=4", "f32"), 1, [0x38, 2, 4]),
        // One instruction that reads and writes: where it faults, it reads.
        (add("i32"), 1, [0x28, 2, 0]),
        // Two, of which the store never faults: it is taken for the load.
        (add("f64"), 2, [0x2b, 3, 0]),
        // The second store overwrites the first: where it traps, the first would have.
        (store("i32.store", "i32") + &store("i32.store align=1", "i32"), 1, [0x36, 2, 0]),
        (format!("(global.set 0 (i32.sub (global.get 0) (i32.load {address})))"), 1, [0x28, 2, 0]),
    ] {
        let text = format!(
            "(module (memory 1) (global (mut i32) (i32.const 0)) (func (param i32) {body}))"
        );
        let (binary, code) = (wat::parse_str(&text).expect("a module"), compile(&text));
        assert_eq!(traps(&code), vec![TrapCode::MemoryOutOfBounds; sites], "{body}");
        let at = code.traps[sites - 1].wasm_offset as usize;
        assert_eq!(binary[at..at + 3], last, "{body}");
    }
}

/// The codes of the traps in the IR, sorted.
fn trap_sites(body: &str) -> Vec<TrapCode> {
    let text = format!(
        "(module (type $t (func)) (import \"m\" \"f\" (func (type $t))) (memory 1)
         (table $t 1 funcref) (table $x 1 externref) (data $d \"d\") (elem $e func 0)
         (func (param i32) {body}))"
    );
    let mut codes = traps(&compile(&text));
    codes.sort_by_key(|code| *code as u8);
    codes
}

#[test]
fn tables_and_bulk_operators_trap_with_their_codes() {
    use TrapCode::*;
    let three = "(local.get 0) (local.get 0) (local.get 0)";
    let rows: &[(&str, &[TrapCode])] = &[
        (
            "(call_indirect $t (type $t) (local.get 0))",
            &[StackOverflow, UndefinedElement, UninitializedElement, IndirectCallTypeMismatch],
        ),
        ("(call 0)", &[StackOverflow]),
        ("(drop (table.get $t (local.get 0)))", &[TableOutOfBounds]),
        ("(table.set $t (local.get 0) (ref.func 0))", &[TableOutOfBounds]),
        ("(table.set $x (local.get 0) (ref.null extern))", &[TableOutOfBounds]),
        ("(drop (table.size $t))", &[]),
        ("(drop (memory.size))", &[]),
        // Calls into the runtime need stack as well.
        ("(drop (memory.grow (local.get 0)))", &[StackOverflow]),
        ("(drop (table.grow $x (ref.null extern) (local.get 0)))", &[StackOverflow]),
        ("(data.drop $d) (elem.drop $e)", &[StackOverflow]),
        (&format!("(memory.copy {three})"), &[StackOverflow, MemoryOutOfBounds]),
        (&format!("(memory.fill {three})"), &[StackOverflow, MemoryOutOfBounds]),
        (&format!("(memory.init $d {three})"), &[StackOverflow, MemoryOutOfBounds]),
        (&format!("(table.copy $t $t {three})"), &[StackOverflow, TableOutOfBounds]),
        (&format!("(table.init $t $e {three})"), &[StackOverflow, TableOutOfBounds]),
        (
            "(table.fill $t (local.get 0) (ref.null func) (local.get 0))",
            &[StackOverflow, TableOutOfBounds],
        ),
    ];
    for (body, expected) in rows {
        assert_eq!(trap_sites(body), *expected, "{body}");
    }
}

/// The callee's context is there for the call only.
#[test]
fn calls_through_pointers_change_the_context_and_restore_it() {
    for body in ["(call 0)", "(call_indirect (type 0) (local.get 0))"] {
        let ir = clif(&format!(
            "(module (type (func)) (import \"m\" \"f\" (func (type 0))) (table 1 funcref)
             (func (param i32) {body}))"
        ));
        let order: Vec<_> = ["get_pinned_reg", "set_pinned_reg", "call_indirect"]
            .into_iter()
            .flat_map(|what| ir.match_indices(what))
            .collect();
        let [get, callee, own, call] = order[..] else { panic!("{ir}") };
        assert!(get.0 < callee.0 && callee.0 < call.0 && call.0 < own.0, "{ir}");
    }
}

#[test]
fn a_table_is_written_without_a_branch() {
    let text = "(module (table 1 funcref) (func (param i32 funcref)
        (table.set (local.get 0) (local.get 1))))";
    assert_eq!(clif(text).matches("block").count(), 1, "{}", clif(text));
}

/// A copy or a fill of constant length is loads, then stores from the last piece to the first.
#[test]
fn short_bulk_operators_are_made_of_moves() {
    use TrapCode::MemoryOutOfBounds;
    let address = "(local.get 0)";
    for (length, pieces) in [(1, 1), (3, 2), (8, 1), (13, 2), (16, 1), (64, 4)] {
        let fill = format!("(memory.fill {address} {address} (i32.const {length}))");
        assert_eq!(trap_sites(&fill), vec![MemoryOutOfBounds; pieces]);
        let copy = format!("(memory.copy {address} (i32.const 9) (i32.const {length}))");
        assert_eq!(trap_sites(&copy), vec![MemoryOutOfBounds; 2 * pieces]);
    }
    for length in [0, 65] {
        let fill = format!("(memory.fill {address} {address} (i32.const {length}))");
        assert_eq!(trap_sites(&fill), [TrapCode::StackOverflow, MemoryOutOfBounds]);
    }
}

/// What never changes is read once, before the loop, and each access is one instruction.
#[test]
fn the_base_of_a_memory_is_read_outside_of_loops() {
    let code = compile(
        "(module (memory 1) (func (param i32) (loop
            (i32.store offset=16 (local.get 0) (i32.load offset=8 (local.get 0)))
            (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 4)))))))",
    );
    let mut decoder = iced_x86::Decoder::new(64, &code.bytes, 0);
    let instructions: Vec<_> = decoder.iter().collect();
    let of_memory = |at: &&iced_x86::Instruction| {
        let mnemonic = at.mnemonic();
        at.op_count() == 2
            && (at.op0_kind() == iced_x86::OpKind::Memory
                || at.op1_kind() == iced_x86::OpKind::Memory)
            && mnemonic != iced_x86::Mnemonic::Lea
    };
    let back = instructions.iter().find(|at| at.is_jcc_short_or_near()).expect("a loop");
    let inside: Vec<_> = instructions
        .iter()
        .filter(|at| (back.near_branch_target()..back.ip()).contains(&at.ip()))
        .filter(of_memory)
        .map(|at| at.ip() as u32)
        .collect();
    let sites: Vec<_> = code.traps.iter().map(|trap| trap.offset).collect();
    assert_eq!(inside, sites);
    assert_eq!(instructions.iter().filter(of_memory).count(), 3);
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
