//! What the emitted code looks like, and that compiling stays linear. What it *does* is tested
//! where code can run, by the runtime's suites.

use std::time::{Duration, Instant};

use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, NasmFormatter};

use super::super::abi::Layout;
use super::super::{CompileOptions, CompiledCode, CpuFeatures, Unit};
use super::Compiler;
use crate::error::{LoadError, NotPlain, TrapCode};
use crate::module::{Limits, SmallFunctions, Validation, load_whole};

/// What this tier makes of a processor that has everything.
const MODERN: CpuFeatures =
    CpuFeatures { popcnt: true, lzcnt: true, bmi1: true, bmi2: true, avx: true, avx2: true };

fn try_compile(wat: &str, cpu: CpuFeatures) -> Result<CompiledCode, LoadError> {
    try_compile_and(wat, cpu, false)
}

/// With small functions in the place of calls, or without.
fn try_compile_and(wat: &str, cpu: CpuFeatures, inlines: bool) -> Result<CompiledCode, LoadError> {
    let binary = wat::parse_str(wat).expect("the test's text is well-formed");
    let (info, bodies) = load_whole(&binary, &Limits::default())?;
    let type_ids = &(1..).take(info.types.len()).collect::<Vec<_>>();
    let layout = Layout::of(&info);
    let mut compiler =
        Compiler::new(CompileOptions { cpu, record_operators: true, ..CompileOptions::PLAIN });
    let mut validation = Validation::default();
    let mut code = CompiledCode::default();
    let small = match inlines {
        true => SmallFunctions::among(&bodies, None, false),
        false => SmallFunctions::default(),
    };
    let in_segments = Default::default();
    let unit = Unit { info: &info, type_ids, layout: &layout, small, in_segments };
    for function in bodies.functions() {
        let valid = bodies.validate(function, &mut validation)?;
        compiler.compile(&unit, &valid, &validation.facts, &mut code)?;
    }
    Ok(code)
}

fn compile(wat: &str) -> CompiledCode {
    try_compile(wat, MODERN).expect("the test's module is supported")
}

/// The instructions of the module's last function. Nothing in Miri, which the disassembler would keep busy
/// for hours.
fn assembly(wat: &str, cpu: CpuFeatures) -> Option<Vec<String>> {
    let code = try_compile(wat, cpu).expect("the test's module is supported");
    if cfg!(miri) {
        return None;
    }
    let range = &code.functions.last().expect("a function").code;
    let bytes = &code.bytes[range.start as usize..range.end as usize];
    let mut formatter = NasmFormatter::new();
    let text = |instruction: Instruction| {
        assert!(!instruction.is_invalid());
        let mut text = String::new();
        formatter.format(&instruction, &mut text);
        text
    };
    Some(Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE).iter().map(text).collect())
}

#[track_caller]
fn assert_assembly(wat: &str, cpu: CpuFeatures, expected: &[&str]) {
    if let Some(code) = assembly(wat, cpu) {
        assert_eq!(code, expected, "{wat}");
    }
}

#[track_caller]
fn check(function: &str, expected: &[&str]) {
    assert_assembly(&format!("(module (func {function}))"), MODERN, expected);
}

#[test]
fn add4_is_five_bytes() {
    let code =
        compile("(module (func (param i64) (result i64) (i64.add (local.get 0) (i64.const 4))))");
    assert_eq!(code.bytes, [0x48, 0x8D, 0x47, 0x04, 0xC3]);
    assert!(code.functions[0].frameless);
}

#[test]
fn results_go_straight_into_the_home_of_the_local_that_is_set() {
    check("(param i32) (local.set 0 (i32.add (local.get 0) (i32.const 1)))", &["add edi,1", "ret"]);
    check(
        "(param i32 i32) (local.set 0 (i32.sub (local.get 1) (i32.const 8)))",
        &["lea edi,[rsi-8]", "ret"],
    );
    // The right operand would be overwritten before it is used.
    check(
        "(param i32 i32) (local.set 1 (i32.sub (local.get 0) (local.get 1)))",
        &["mov eax,edi", "sub eax,esi", "mov esi,eax", "ret"],
    );
}

#[test]
fn entries_that_stand_for_a_local_are_copied_before_it_is_written() {
    check(
        "(param i32) (result i32) local.get 0 i32.const 7 local.set 0 local.get 0 i32.sub",
        &["mov eax,edi", "mov edi,7", "sub eax,edi", "ret"],
    );
    check(
        "(param i64 i64) local.get 0 local.get 1 local.set 0 local.set 1",
        &["mov rax,rdi", "mov rdi,rsi", "mov rsi,rax", "ret"],
    );
}

#[test]
fn comparisons_are_fused_with_their_consumer() {
    check(
        "(param i32 i32) (result i32)
         (select (local.get 0) (local.get 1) (i32.lt_s (local.get 0) (local.get 1)))",
        &["cmp edi,esi", "mov eax,edi", "cmovge eax,esi", "ret"],
    );
    check(
        "(param i64) (loop (br_if 0 (i32.eqz (i64.eqz (local.tee 0 (i64.sub (local.get 0) (i64.const 1)))))))",
        &["add rdi,0FFFFFFFFFFFFFFFFh", "jne short 0", "ret"],
    );
    check(
        "(param i64) (block (br_if 0 (i64.eqz (i64.and (local.get 0) (i64.const 1)))) (local.set 0 (i64.const 5)))",
        &["test dil,1", "je near 000000000000000Fh", "mov edi,5", "ret"],
    );
}

#[test]
fn constants_are_folded_and_prove_checks_unnecessary() {
    check(
        "(result i32) (i32.div_s (i32.const 100) (i32.const -7))",
        &["mov eax,0FFFFFFF2h", "ret"],
    );
    check(
        "(param i32) (result i32) (i32.div_s (local.get 0) (i32.const 10))",
        &["mov r11d,0Ah", "mov eax,edi", "cdq", "idiv r11d", "ret"],
    );
    check(
        "(param i32) (result i32) (i32.rem_u (local.get 0) (i32.const 16))",
        &["mov eax,edi", "and eax,0Fh", "ret"],
    );
    check(
        "(param i64) (result i64) (i64.mul (local.get 0) (i64.const 9))",
        &["lea rax,[rdi+rdi*8]", "ret"],
    );
}

#[test]
fn shifts_without_bmi2_go_through_cl() {
    let shift =
        "(module (func (param i64 i64) (result i64) (i64.shl (local.get 0) (local.get 1))))";
    assert_assembly(shift, MODERN, &["shlx rax,rdi,rsi", "ret"]);
    let expected = ["mov rcx,rsi", "mov rax,rdi", "shl rax,cl", "ret"];
    assert_assembly(shift, CpuFeatures::FLOOR, &expected);
}

#[test]
fn a_return_swaps_what_must_be_swapped() {
    check(
        "(param i32 i32 i32 i32) (result i32 i32 i32)
         (local.get 3) (local.get 2) (local.get 3)",
        &["mov eax,ecx", "mov r11,rcx", "mov ecx,edx", "mov edx,r11d", "ret"],
    );
}

#[test]
fn jumps_to_the_next_instruction_vanish() {
    check("(block (br 0)) (return)", &["ret"]);
    check("(loop (br 0))", &["jmp short 0"]);
}

#[test]
fn traps_are_behind_the_function() {
    let code = compile(
        "(module (func (param i32 i32) (result i32) (i32.div_u (local.get 0) (local.get 1)))
                 (func (unreachable)))",
    );
    let codes = code.traps.iter().map(|site| site.code).collect::<Vec<_>>();
    assert_eq!(codes, [TrapCode::IntegerDivideByZero, TrapCode::Unreachable]);
    for (site, function) in code.traps.iter().zip(&code.functions) {
        assert_eq!(site.offset + 4, function.code.end);
        assert!(function.frameless);
        let call = &code.bytes[site.offset as usize..][..4];
        assert_eq!(call, [0x41, 0xFF, 0x57, 0x08], "call [r15+8]");
    }
}

#[test]
fn a_call_has_its_sites() {
    let code = compile("(module (func $f (param i32) (call $f (i32.const 3))))");
    let [call] = code.calls[..] else { panic!("one call") };
    let [relocation] = code.relocations[..] else { panic!("one relocation") };
    assert_eq!((relocation.offset + 4, relocation.function), (call.return_offset, 0));
    assert_eq!(code.bytes[relocation.offset as usize - 1], 0xE8);
    assert!(!code.functions[0].frameless);
    assert_eq!(code.traps.last().map(|site| site.code), Some(TrapCode::StackOverflow));
}

#[test]
fn small_functions_take_the_place_of_calls() {
    let calls_left = |add: &str, calls: usize| {
        let calls = "(local.set 0 (call $add (local.get 0) (i32.const 3)))".repeat(calls);
        let text = format!("(module {add} (func (param i32) (result i32) {calls} (local.get 0)))");
        let code = try_compile_and(&text, MODERN, true).expect("code");
        assert_eq!(code.calls.len(), code.relocations.len());
        code.calls.len()
    };
    let add = "(func $add (param i32 i32) (result i32)
        (i32.add (i32.add (local.get 0) (local.get 1)) (i32.const 0x7fffffff)))";
    assert_eq!(calls_left(add, 3), 0);
    // A caller takes in no more than it has itself.
    let calls = if cfg!(miri) { 100 } else { 1000 };
    let taken = calls - calls_left(add, calls);
    assert!((calls / 2..calls * 9 / 10).contains(&taken), "{taken}");
    let writes = "(func $add (param i32 i32) (result i32)
        (i32.add (local.tee 0 (local.get 1)) (local.get 0)))";
    assert_eq!(calls_left(writes, 3), 3);
}

/// The last function of a module with a memory.
#[track_caller]
fn check_with_memory(function: &str, expected: &[&str]) {
    assert_assembly(&format!("(module (memory 1) (func {function}))"), MODERN, expected);
}

#[test]
fn accesses_are_single_instructions() {
    check_with_memory(
        "(param i32) (i64.store offset=8 (local.get 0) (i64.load (local.get 0)))",
        &["mov edi,edi", "mov rsi,[r15+38h]", "mov rax,[rsi+rdi]", "mov [rsi+rdi+8],rax", "ret"],
    );
    check_with_memory(
        "(param i32 f64) (f64.store (local.get 0)
           (f64.mul (local.get 1) (f64.load offset=8 (local.get 0)))) ",
        &[
            "mov edi,edi",
            "mov rsi,[r15+38h]",
            "vmulsd xmm1,xmm0,[rsi+rdi+8]",
            "movsd [rsi+rdi],xmm1",
            "ret",
        ],
    );
}

#[test]
fn only_a_zero_extended_integer_is_an_index() {
    // 64 bits in a local's home, in a temporary, and in what an operator leaves as it is.
    let load = ["mov r11,[r15+38h]", "mov eax,[r11+rax]", "ret"];
    let index = |value: &str| {
        format!("(module (memory 1) (func (param i64) (result i32) (i32.load {value})))")
    };
    let check = |value: &str, first: &[&'static str]| {
        assert_assembly(&index(value), MODERN, &[first, &load].concat());
    };
    check("(i32.wrap_i64 (local.get 0))", &["mov eax,edi"]);
    let sum = "(i32.wrap_i64 (i64.add (local.get 0) (local.get 0)))";
    check(sum, &["lea rax,[rdi+rdi]", "mov eax,eax"]);
    for (operator, constant) in [("shl", 32), ("mul", 1), ("div_u", 1)] {
        let unchanged = format!("(i32.{operator} {sum} (i32.const {constant}))");
        check(&unchanged, &["lea rax,[rdi+rdi]", "mov eax,eax"]);
    }
    // An instruction of 32 bits has cleared the upper half.
    check("(i32.and (i32.wrap_i64 (local.get 0)) (i32.const 7))", &["mov eax,edi", "and eax,7"]);
}

#[test]
fn every_access_is_a_trap_site_of_its_operator() {
    let code = compile(
        "(module (memory 1) (func (param i32) (result i32)
           (i32.store8 (local.get 0) (i32.const 1))
           (i32.add (i32.load (local.get 0)) (i32.load offset=4 (local.get 0)))))",
    );
    assert!(code.functions[0].plain == Err(NotPlain::Traps) && code.functions[0].frameless);
    let operators = code.operators.as_deref().expect("recorded");
    let codes = code.traps.iter().map(|site| site.code).collect::<Vec<_>>();
    assert_eq!(codes, [TrapCode::MemoryOutOfBounds; 3]);
    // The last load is made by the addition, and traps as itself.
    let addition = operators.last().expect("some");
    let last = code.traps[2];
    assert!(last.offset >= addition.offset && last.wasm_offset < addition.wasm_offset);
    if cfg!(miri) {
        return; // The disassembler has the last word.
    }
    for site in &code.traps {
        let instruction =
            Decoder::with_ip(64, &code.bytes[site.offset as usize..], 0, DecoderOptions::NONE)
                .decode();
        assert!(instruction.memory_base() != iced_x86::Register::R15);
        assert!(instruction.memory_index() == iced_x86::Register::RDI);
    }
}

#[test]
fn what_reads_the_context_says_so() {
    for function in [
        "(result i32) global.get 0",
        "(global.set 0 (i32.const 1))",
        "(result i32) memory.size",
        "(result i32) table.size",
        "(result funcref) (ref.func 0)",
    ] {
        let code = compile(&format!(
            "(module (memory 1) (data \"a\") (table 1 funcref) (elem declare func 0)
               (global (mut i32) (i32.const 0)) (func {function}))"
        ));
        assert_eq!(code.functions[0].plain, Err(NotPlain::Instance), "{function}");
    }
    let code = compile("(module (func (result funcref) (ref.null func)))");
    assert_eq!(code.functions[0].plain, Ok(()));
    let code = compile("(module (data \"a\") (func data.drop 0))");
    assert_eq!(code.functions[0].plain, Err(NotPlain::Calls));
}

#[test]
fn vectors_take_three_operands_where_there_is_avx() {
    let function = "(param v128 v128) (result v128)
        (i32x4.mul (i32x4.add (local.get 0) (local.get 1)) (v128.const i32x4 1 2 3 4))";
    let module = format!("(module (func {function}))");
    let with = ["vpaddd xmm2,xmm0,xmm1", "vpmulld xmm0,xmm2,[rel 10h]", "ret"];
    let without =
        ["movaps xmm2,xmm0", "paddd xmm2,xmm1", "movaps xmm0,xmm2", "pmulld xmm0,[rel 20h]", "ret"];
    // Behind the code is the constant.
    for (cpu, expected) in [(MODERN, &with[..]), (CpuFeatures::FLOOR, &without)] {
        if let Some(code) = assembly(&module, cpu) {
            assert_eq!(code[..expected.len()], *expected);
        }
    }
}

/// AVX alone has broadcasts from memory only, and none of bytes.
#[test]
fn avx_is_not_taken_for_avx2() {
    let avx = CpuFeatures { avx: true, ..CpuFeatures::FLOOR };
    for lanes in ["i8x16", "i16x8", "i32x4"] {
        let bits = lanes[1..].split('x').next().unwrap();
        let text = format!(
            "(module (memory 1) (func (param i32 f32) (result v128)
                (v128.or (f32x4.splat (local.get 1))
                    (v128.or ({lanes}.splat (local.get 0)) (v128.load{bits}_splat (local.get 0))))))"
        );
        for (cpu, expected) in [(avx, 0), (MODERN, if lanes == "i32x4" { 0 } else { 2 })] {
            if let Some(code) = assembly(&text, cpu) {
                let broadcasts = code.iter().filter(|text| text.starts_with("vpbroadcast"));
                assert_eq!(broadcasts.count(), expected, "{lanes}");
            }
        }
    }
}

#[test]
fn few_targets_take_no_table() {
    let up_to = |last: u32| (0..=last).map(|target| format!("{target} ")).collect::<String>();
    for (targets, has_table) in [
        (up_to(0), false),
        (up_to(11), false),
        (up_to(12), true),
        ("3 ".repeat(100) + &"4 ".repeat(100), false),
        ("3 4 ".repeat(7), true),
    ] {
        let blocks = "(block ".repeat(13);
        let ends = ")".repeat(13);
        let code = compile(&format!(
            "(module (func (param i32) {blocks} (br_table {targets} (local.get 0)) {ends}))"
        ));
        assert_eq!(!code.data[0].is_empty(), has_table, "{targets}");
    }
}

#[test]
fn functions_lie_end_to_end() {
    let code = compile(
        "(module (func (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
            (func (param i32) (result i32) (i32.xor (local.get 0) (i32.const -1))) (func))",
    );
    let [first, second, third] = &code.functions[..] else { panic!("{:?}", code.functions) };
    assert_eq!([first.code.end, second.code.end], [second.code.start, third.code.start]);
    assert_ne!(second.code.start % 16, 0);
    assert_eq!(third.code.end as usize, code.bytes.len());
}

/// SSE faults on vectors in memory that are not aligned.
#[test]
fn constants_are_aligned_whatever_stands_before_them() {
    for calls in (0..20).step_by(if cfg!(miri) { 7 } else { 1 }) {
        let calls = "(drop (call $f (local.get 0)))".repeat(calls);
        let code = compile(&format!(
            "(module (func) (func $f (param v128) (result v128) {calls}
                (i8x16.add (local.get 0) (v128.const i64x2 0x1234567812345678 3))))"
        ));
        let constant = 0x1234_5678_1234_5678_u64.to_le_bytes();
        let at = code.bytes.windows(8).position(|bytes| bytes == constant);
        assert!(at.is_some_and(|at| at % 16 == 0), "{at:?}");
    }
}

#[test]
fn a_constant_is_kept_once() {
    let add = "(local.set 0 (i8x16.add (local.get 0) (v128.const i64x2 0x1234567812345678 3)))";
    let code = compile(&format!("(module (func (param v128) {}))", add.repeat(10)));
    let constant = 0x1234_5678_1234_5678_u64.to_le_bytes();
    assert_eq!(code.bytes.windows(8).filter(|bytes| *bytes == constant).count(), 1);
}

/// A body that this function repeats must not take more than linear time: the longest of these
/// takes a few milliseconds, and minutes if it were quadratic.
#[track_caller]
fn compiles_quickly(wat: &str) -> CompiledCode {
    let start = Instant::now();
    let code = compile(wat);
    let patience = if cfg!(miri) { 20 * 60 } else { 20 };
    assert!(start.elapsed() < Duration::from_secs(patience));
    code
}

#[test]
fn many_locals_and_targets_and_operands() {
    // What takes Miri long needs to be no longer than it takes to be encoded differently.
    let many = |count: usize| if cfg!(miri) { count.div_ceil(250) } else { count };
    let locals = "i64 ".repeat(many(50_000));
    let sets =
        (0..many(50_000)).map(|i| format!("(local.set {i} (i64.const {i}))")).collect::<String>();
    let code = compiles_quickly(&format!("(module (func (local {locals}) {sets}))"));
    assert!(!code.functions[0].frameless);

    let targets = "0 1 ".repeat(many(50_000));
    compiles_quickly(&format!(
        "(module (func (param i32) (result i32)
           (block (result i32) (block (result i32)
             (br_table {targets} 0 (i32.const 1) (local.get 0))))))"
    ));

    let pushes = "local.get 0 ".repeat(many(20_000));
    let pops = "i32.add ".repeat(many(20_000) - 1);
    compiles_quickly(&format!(
        "(module (func (param i32) (result i32) {pushes} i32.const 1 local.set 0 {pops}))"
    ));

    let open = "(block (result i64) (local.get 0) ".repeat(many(400));
    compiles_quickly(&format!(
        "(module (func (param i64) (result i64) {open} {}))",
        "i64.const 1 i64.add br 0)".repeat(many(400))
    ));
}

#[test]
#[cfg_attr(miri, ignore = "takes a function of megabytes")]
fn frames_have_a_limit() {
    let pushes = "(i32.add (local.get 0) (i32.const 1))".repeat(200_000);
    let drops = "drop ".repeat(200_000);
    let error = try_compile(&format!("(module (func (param i32) {pushes} {drops}))"), MODERN);
    assert!(
        matches!(error, Err(LoadError::Limit { actual: 1_500_000..1_700_000, .. })),
        "{error:?}"
    );
}
