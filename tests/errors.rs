//! What does not load: malformed, invalid, unsupported and hostile input, each with a clear error
//! and none with a panic.

mod common;

use arbitrary::Unstructured;
use common::binary::{self, Body, I32, I64, mark, offset_of, offset_of_mark, signed, unsigned};
use common::{
    FIXTURES, Random, assemble, engine, instance, instantiate, load_error, module, on_each_tier,
};
use wasm_mini::{Imports, Instance, LoadError, Module, Tier, validate};

/// How many damaged copies of the fixtures each tier gets.
const DAMAGED: usize = 5_000;

/// Loads, and must say the same as validation alone does.
fn load(tier: Tier, binary: &[u8]) -> Result<Module, LoadError> {
    let valid = validate(binary);
    let loaded = Module::with_engine(engine(tier), binary);
    match (&valid, &loaded) {
        (Ok(()), Ok(_) | Err(LoadError::Unsupported { .. } | LoadError::Limit { .. })) => {}
        (Err(valid), Err(loaded)) => {
            // The tier may refuse an earlier function before a later one is found to be invalid.
            let differs = valid.to_string() != loaded.to_string();
            let unsupported = matches!(loaded, LoadError::Unsupported { .. });
            assert!(!differs || unsupported, "{valid} / {loaded} for {binary:02x?}");
        }
        _ => panic!("validation says {valid:?}, and loading {loaded:?} for {binary:02x?}"),
    }
    loaded
}

/// Has a message, and a place that lies in the input.
fn check_message(error: &LoadError, binary: &[u8]) {
    let text = error.to_string();
    assert!(!text.trim().is_empty() && text.len() < 2_000, "{text}");
    if let LoadError::Invalid { message, offset }
    | LoadError::Unsupported { what: message, offset, .. } = error
    {
        assert!(*offset <= binary.len() as u64, "{error:?} for {binary:02x?}");
        assert!(!message.is_empty());
        assert!(text.contains(&format!("0x{offset:x}")), "{text}");
    }
}

fn truncated_modules_are_refused(tier: Tier) {
    for (name, text) in FIXTURES {
        let binary = assemble(text);
        assert!(load(tier, &binary).is_ok());
        for len in 0..binary.len() {
            match load(tier, &binary[..len]) {
                Err(error) => {
                    check_message(&error, &binary);
                    let is_text =
                        matches!(error, LoadError::Text { .. } | LoadError::NotAModule { .. });
                    assert_eq!(is_text, len < 4, "{name} cut at {len}: {error}");
                }
                // Cut between sections, which leaves a module without code or names; or nothing at
                // all, which is a module in the text format.
                Ok(module) => assert!(
                    len == 0 || module.code(0).is_none() || len > binary.len() / 2,
                    "{name} cut at {len}"
                ),
            }
        }
    }
}

fn damaged_modules_do_no_harm(tier: Tier) {
    let binaries: Vec<_> = FIXTURES.iter().map(|(_, text)| assemble(text)).collect();
    let mut random = Random::new(2026);
    let mut refused = 0;
    for round in 0..DAMAGED {
        let mut binary = binaries[round % binaries.len()].clone();
        for _ in 0..1 + random.below(3) {
            // Behind the magic number, without which it would be text.
            let at = 4 + random.below(binary.len() - 4);
            match random.below(5) {
                0 => binary[at] = random.bits() as u8,
                1 => binary[at] = *random.pick(&[0, 0x7f, 0x80, 0xff, 0x0b, 0x41]),
                2 => binary.insert(at, random.bits() as u8),
                3 if binary.len() > 20 => _ = binary.remove(at),
                _ => binary[at] ^= 1 << random.below(8),
            }
        }
        if let Err(error) = load(tier, &binary) {
            check_message(&error, &binary);
            refused += 1;
        }
    }
    // Some damage does no harm; most does.
    assert!(refused > DAMAGED / 3 && refused < DAMAGED, "{refused} of {DAMAGED}");
}

/// Modules with all that WebAssembly has: what is of version 2.0 loads.
fn modules_of_all_kinds_load_or_say_why(tier: Tier) {
    let mut loaded = 0;
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let bytes: Vec<u8> = (0..200 + random.below(1500)).map(|_| random.bits() as u8).collect();
        let later = seed % 4 == 0;
        let config = wasm_smith::Config {
            // Beyond 2.0, and not valid here.
            exceptions_enabled: later,
            extended_const_enabled: later,
            gc_enabled: later,
            relaxed_simd_enabled: later,
            tail_call_enabled: later,
            threads_enabled: later,
            wide_arithmetic_enabled: later,
            max_imports: if seed % 2 == 0 { 0 } else { 4 },
            max_memories: usize::from(seed % 3 == 0),
            max_tables: usize::from(seed % 3 == 0),
            max_globals: 2 * usize::from(seed % 3 == 0),
            simd_enabled: seed % 5 == 0,
            min_funcs: 1,
            ..wasm_smith::Config::default()
        };
        let made = wasm_smith::Module::new(config, &mut Unstructured::new(&bytes));
        let Ok(made) = made else { continue };
        let binary = made.to_bytes();
        match load(tier, &binary) {
            Ok(_) => loaded += 1,
            Err(error) => {
                check_message(&error, &binary);
                assert!(!matches!(error, LoadError::Unsupported { .. }), "{error}");
            }
        }
    }
    assert!(loaded > 120, "{loaded} loaded");
}

fn noise_is_no_module(tier: Tier) {
    let mut random = Random::new(3);
    for round in 0..500 {
        let mut bytes: Vec<u8> = (0..random.below(200)).map(|_| random.bits() as u8).collect();
        if round % 2 == 0 {
            bytes.splice(0..0, *b"\0asm\x01\0\0\0");
        }
        if let Err(error) = load(tier, &bytes) {
            check_message(&error, &bytes);
        }
    }
}

fn text_errors_show_the_place(tier: Tier) {
    let text = "(module\n  (func (result i32)\n    i32.cnst 7))";
    let error = load_error(tier, text);
    assert!(matches!(error, LoadError::Text { .. }), "{error:?}");
    let message = error.to_string();
    // Line and column, the line itself, and a mark below it.
    for part in ["3:5", "i32.cnst 7))", "^"] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
    for text in [
        "(",
        "(module (func $f) (func $f))",
        "(module (func call $nowhere))",
        "module",
        "(module) x",
    ] {
        let error = load_error(tier, text);
        assert!(matches!(error, LoadError::Text { .. }), "{text}: {error:?}");
        assert!(error.to_string().contains("1:"), "{text}: {error}");
    }
}

/// Who names things so wants a terminal to obey, or a log to have lines that nobody wrote.
fn messages_are_short_and_obey_nobody(tier: Tier) {
    let is_shown = |message: &str, part: &str| {
        assert!(message.chars().count() < 1_500, "{message}");
        assert!(!message.contains(|c: char| c.is_control() && c != '\n'), "{message:?}");
        assert!(message.contains(part), "{part} is not in: {message}");
    };
    // A line of text, quoted.
    let line = format!("(module \u{1b}[31m {})", "x".repeat(10_000));
    is_shown(&load_error(tier, line.as_str()).to_string(), "1:9");
    is_shown(&load_error(tier, "\u{1}\0".repeat(4_500).as_str()).to_string(), "1:1");

    // Names of imports, exports and functions.
    let engine = engine(tier);
    let name = format!(r"a\1b[31m\0a{}", "z".repeat(10_000));
    let shown = r"a\u{1b}[31m\u{a}zzz";
    let text = format!(r#"(module (import "{name}" "{name}" (func)))"#);
    let module = Module::with_engine(engine, text).expect("a module");
    let error = Instance::new(&module, &Imports::none()).expect_err("nothing is there to import");
    is_shown(&error.to_string(), shown);
    let mut imports = Imports::none();
    let name_as_it_is = format!("a\u{1b}[31m\n{}", "z".repeat(10_000));
    imports.func(&name_as_it_is, &name_as_it_is, |_: i32| ());
    let error = Instance::new(&module, &imports).expect_err("another function is needed");
    is_shown(&error.to_string(), shown);

    let text = format!(r#"(module (func (export "{name}") unreachable) (memory (export "m") 1))"#);
    let module = Module::with_engine(engine, text).expect("a module");
    let instance = Instance::new(&module, &Imports::none()).expect("an instance");
    is_shown(&instance.func::<fn()>("b").err().expect("no export").to_string(), shown);
    is_shown(
        &instance.func::<fn()>(&format!("{name_as_it_is}b")).err().expect("no export").to_string(),
        shown,
    );
    is_shown(&instance.memory(&name_as_it_is).expect_err("no memory").to_string(), shown);
    let error = instance.func::<fn(i32)>(&name_as_it_is).err().expect("another signature");
    is_shown(&error.to_string(), shown);
    let trap = instance.func::<fn()>(&name_as_it_is).expect("the function")().expect_err("a trap");
    is_shown(&trap.to_string(), shown);
    is_shown(&trap.backtrace()[0].to_string(), shown);
}

fn what_is_neither_text_nor_binary_is_told(tier: Tier) {
    for bytes in [&b"\x7fELF\x02\x01"[..], b"\xff\xfe(\0m\0", b"PK\x03\x04\x80\x81", b"\0as\xff"] {
        match load_error(tier, bytes) {
            LoadError::NotAModule { message } => {
                assert!(message.contains(&format!("{:02x?}", &bytes[..4])), "{message}");
            }
            LoadError::Text { message } => assert!(std::str::from_utf8(bytes).is_ok(), "{message}"),
            other => panic!("{other:?}"),
        }
    }
    let error = load_error(tier, b"\0asm\x02\0\0\0");
    assert!(matches!(error, LoadError::Invalid { offset: 4, .. }), "{error:?}");
    // A component has the magic number too.
    let error = load_error(tier, b"\0asm\x0d\0\x01\0");
    assert!(matches!(error, LoadError::Invalid { .. }), "{error:?}");
}

fn invalid_modules_name_the_offset(tier: Tier) {
    let bodies = [
        ("(func (result i32) MARK)", "type mismatch"),
        ("(func (param i64) (result i32) local.get 0 i32.const 1 MARK i32.add)", "type mismatch"),
        ("(func MARK local.get 3)", "unknown local"),
        ("(func MARK br 7)", "unknown label"),
        ("(func MARK call 9)", "unknown function"),
        ("(func i32.const 0 i64.const 0 i32.const 0 MARK select drop)", "type mismatch"),
    ];
    for (body, expected) in bodies {
        let binary = assemble(&format!("(module {})", body.replace("MARK", &mark(1))));
        match load_error(tier, &binary) {
            LoadError::Invalid { message, offset } => {
                assert!(message.contains(expected), "{body}: {message}");
                assert_eq!(offset, u64::from(offset_of_mark(&binary, 1)), "{body}: {message}");
            }
            other => panic!("{body}: {other:?}"),
        }
    }
    for text in [
        r#"(module (func) (export "a" (func 0)) (export "a" (func 0)))"#,
        "(module (func (param i32)) (start 0))",
        r#"(module (export "a" (func 1)))"#,
    ] {
        let error = load_error(tier, text);
        assert!(matches!(error, LoadError::Invalid { .. }), "{text}: {error:?}");
    }
}

/// Beyond WebAssembly 2.0, so not valid here.
fn later_proposals_are_invalid(tier: Tier) {
    for text in [
        "(module (func $f return_call $f))",
        "(module (tag))",
        "(module (memory i64 1))",
        "(module (memory 1) (memory 1))",
        "(module (type (struct)))",
        "(module (memory 1 1 shared))",
        "(module (func (result i64 i64) (i64.add128 (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0))))",
        "(module (func (drop (i8x16.relaxed_swizzle (v128.const i64x2 0 0) (v128.const i64x2 0 0)))))",
    ] {
        let binary = assemble(text);
        let error = load_error(tier, &binary);
        assert!(matches!(error, LoadError::Invalid { .. }), "{text}: {error:?}");
        check_message(&error, &binary);
    }
}

/// The name section is not part of the module proper: whatever is in it, the module loads.
fn a_broken_name_section_is_ignored(tier: Tier) {
    let text = r#"(module (func $a (export "f") (result i32) i32.const 4) (func $b))"#;
    let binary = assemble(text);
    let start = offset_of(&binary, b"\x04name") as usize;
    let mut random = Random::new(8);
    for _ in 0..300 {
        let mut damaged = binary.clone();
        for _ in 0..1 + random.below(3) {
            let at = start + 5 + random.below(binary.len() - start - 5);
            damaged[at] = random.bits() as u8;
        }
        let module = module(tier, &damaged);
        let f = instantiate(&module).func::<fn() -> i32>("f").expect("f");
        assert_eq!(f().expect("no trap"), 4);
    }
}

fn custom_sections_are_ignored(tier: Tier) {
    let text = r#"(module (@custom "name" (before func) "\ff\ff") (@custom "any" "\00\01")
        (func (export "f") (result i32) i32.const 6) (@custom "any" "x"))"#;
    let f = instance(tier, text).func::<fn() -> i32>("f").expect("f");
    assert_eq!(f().expect("no trap"), 6);
}

// ---- Sizes that nobody writes by hand. Nothing is said of time but that it ends. ----

/// Calls function `f` of a large module, or checks that the error says what is too large.
fn large(tier: Tier, binary: &[u8], check: impl FnOnce(&dyn Fn(i32) -> i32)) {
    match Module::with_engine(engine(tier), binary) {
        Ok(module) => {
            let f = instantiate(&module).func::<fn(i32) -> i32>("f").expect("f");
            check(&|x| f(x).expect("no trap"));
        }
        Err(
            error @ (LoadError::Limit { .. }
            | LoadError::Compile { .. }
            | LoadError::Unsupported { .. }),
        ) => {
            let text = error.to_string();
            assert!(text.len() < 500 && text.contains(|c: char| c.is_ascii_digit()), "{text}");
        }
        Err(other) => panic!("{other}"),
    }
}

fn one_function(locals: Vec<(u32, u8)>, operators: Vec<u8>) -> Vec<u8> {
    binary::module(&[I32], &[I32], &[Body { locals, operators }])
}

fn get(local: u64) -> Vec<u8> {
    [vec![0x20], unsigned(local)].concat()
}

fn set(local: u64) -> Vec<u8> {
    [vec![0x21], unsigned(local)].concat()
}

fn constant(value: i64) -> Vec<u8> {
    [vec![0x41], signed(value)].concat()
}

fn fifty_thousand_locals(tier: Tier) {
    // The most that validation allows, parameter included.
    const LOCALS: u64 = 49_999;
    let few = [get(0), set(LOCALS), get(LOCALS), get(1), vec![0x6a], get(LOCALS / 2), vec![0x6a]];
    large(tier, &one_function(vec![(LOCALS as u32, I32)], few.concat()), |f| assert_eq!(f(9), 9));
    // All written, then all read; one in two of another type.
    let (mut all, mut sum) = (Vec::new(), get(0));
    for local in (1..LOCALS).step_by(5) {
        all.extend([get(0), constant(local as i64), vec![0x6c], set(local)].concat());
        sum.extend([get(local), vec![0x73]].concat());
    }
    all.extend(sum);
    let expected = |x: i32| (1..LOCALS).step_by(5).fold(x, |sum, l| sum ^ x.wrapping_mul(l as i32));
    let binary = one_function(vec![(LOCALS as u32 - 1, I32), (1, I64)], all);
    large(tier, &binary, |f| assert_eq!(f(-3), expected(-3)));

    let too_many = one_function(vec![(u32::MAX, I32)], get(0));
    assert!(matches!(load_error(tier, &too_many), LoadError::Invalid { .. }));
    let too_many = one_function(vec![(u32::MAX, I32), (u32::MAX, I64)], get(0));
    assert!(matches!(load_error(tier, &too_many), LoadError::Invalid { .. }));
}

fn a_table_of_a_hundred_thousand_branches(tier: Tier) {
    const ENTRIES: u64 = 100_000;
    // Three blocks; entry k leaves the (k % 3)-th; past the end is the outermost.
    let mut operators = vec![0x02, 0x40, 0x02, 0x40, 0x02, 0x40];
    operators.extend(get(0));
    operators.push(0x0e);
    operators.extend(unsigned(ENTRIES));
    operators.extend((0..ENTRIES).map(|k| (k % 3) as u8));
    operators.push(2);
    for block in 0..3 {
        operators.push(0x0b);
        operators.extend([constant(10 + block), vec![0x0f]].concat());
    }
    operators.push(0x00);
    large(tier, &one_function(Vec::new(), operators), |f| {
        for k in [0, 1, 2, 3, 4, 50_000, 99_998, 99_999] {
            assert_eq!(f(k), 10 + k % 3, "entry {k}");
        }
        for k in [100_000, i32::MAX, -1, i32::MIN] {
            assert_eq!(f(k), 12, "entry {k}");
        }
    });
}

fn a_hundred_thousand_nested_blocks(tier: Tier) {
    const DEPTH: usize = 100_000;
    // The innermost branches out of half of them, if the argument is not 0.
    let mut operators = [0x02, 0x40].repeat(DEPTH);
    operators.extend([get(0), vec![0x0d], unsigned(DEPTH as u64 / 2)].concat());
    operators.extend([0x0b].repeat(DEPTH));
    operators.extend([get(0), constant(1), vec![0x6a]].concat());
    large(tier, &one_function(Vec::new(), operators), |f| assert_eq!((f(0), f(7)), (1, 8)));
}

fn ten_megabytes_of_nested_blocks(tier: Tier) {
    const DEPTH: usize = 10 << 20;
    let operators = [[0x02, 0x40].repeat(DEPTH), [0x0b].repeat(DEPTH), get(0)].concat();
    let error = load_error(tier, one_function(Vec::new(), operators));
    assert!(matches!(error, LoadError::Limit { actual: 30_000_000.., .. }), "{error}");
    assert!(error.to_string().contains("Limits::function_bytes"), "{error}");
}

/// Cranelift's time grows with the cube of the depth, so the other tier gets them.
fn ten_thousand_nested_loops(tier: Tier) {
    const DEPTH: usize = 10_000;
    let mut operators = [0x03, 0x40].repeat(DEPTH);
    operators.extend([get(0), vec![0x1a]].concat());
    operators.extend([0x0b].repeat(DEPTH));
    operators.extend([get(0), constant(1), vec![0x6a]].concat());
    let binary = one_function(Vec::new(), operators);
    large(tier, &binary, |f| assert_eq!((f(0), f(7)), (1, 8)));
    if cfg!(feature = "baseline") {
        let module = Module::with_engine(engine(tier), &binary).expect("a module");
        assert_eq!(module.tier(0), Some(Tier::Baseline));
    }
}

fn nested_ifs_and_values(tier: Tier) {
    const DEPTH: usize = 8_000;
    let mut operators = [get(0), vec![0x04, I32]].concat().repeat(DEPTH);
    operators.extend(constant(5));
    operators.extend([vec![0x05], constant(6), vec![0x0b]].concat().repeat(DEPTH));
    large(tier, &one_function(Vec::new(), operators), |f| assert_eq!((f(1), f(0)), (5, 6)));
}

fn ten_thousand_functions(tier: Tier) {
    const COUNT: u64 = 10_000;
    // Each calls the one ten times as far on, so that no chain is long.
    let body = |i: u64| {
        let next = 10 * i + 1;
        let call = if next < COUNT { [vec![0x10], unsigned(next)].concat() } else { Vec::new() };
        Body::new([get(0), call, constant(i as i64), vec![0x6a]].concat())
    };
    let bodies: Vec<_> = (0..COUNT).map(body).collect();
    let binary = binary::module(&[I32], &[I32], &bodies);
    let sum = std::iter::successors(Some(0), |i| Some(10 * i + 1))
        .take_while(|i| *i < COUNT)
        .sum::<u64>();
    large(tier, &binary, |f| assert_eq!(f(3), 3 + sum as i32));
}

fn a_megabyte_of_straight_line_code(tier: Tier) {
    let step = |k: i32| [constant(i64::from(k)), vec![0x6c], get(0), vec![0x6a]].concat();
    let (mut operators, mut steps) = (get(0), Vec::new());
    while operators.len() < 1 << 20 {
        let k = (steps.len() as i32 * 2 + 3) % 1009;
        operators.extend(step(k));
        steps.push(k);
    }
    let expected = |x: i32| steps.iter().fold(x, |sum, k| sum.wrapping_mul(*k).wrapping_add(x));
    large(tier, &one_function(Vec::new(), operators), |f| {
        assert_eq!((f(1), f(-77)), (expected(1), expected(-77)));
    });
}

/// Values that are all on the stack at one time.
fn deep_operand_stacks(tier: Tier) {
    const DEPTH: i32 = 3_000;
    let mut operators = Vec::new();
    for k in 0..DEPTH {
        operators.extend([get(0), constant(i64::from(k)), vec![0x6c]].concat());
    }
    operators.extend([0x6a].repeat(DEPTH as usize - 1));
    let expected = |x: i32| (0..DEPTH).fold(0i32, |sum, k| sum.wrapping_add(x.wrapping_mul(k)));
    large(tier, &one_function(Vec::new(), operators), |f| assert_eq!(f(5), expected(5)));
}

/// A function type of a thousand parameters and a thousand results.
fn long_signatures(tier: Tier) {
    const COUNT: usize = 1000;
    let gets: Vec<u8> = (0..COUNT as u64).rev().flat_map(get).collect();
    let reverse = Body::new(gets);
    let forward = Body::new((0..COUNT as u64).flat_map(get).chain([0x10, 0]).collect());
    let types = [I64].repeat(COUNT);
    let mut binary = binary::module(&types, &types, &[reverse, forward]);
    // Exports the second function: the index is the last byte of the export section.
    let at = offset_of(&binary, b"\x01f\x00\x00") as usize + 3;
    binary[at] = 1;
    match Module::with_engine(engine(tier), &binary) {
        Ok(module) => {
            let f = instantiate(&module).dyn_func("f").expect("f");
            let arguments: Vec<_> =
                (0..COUNT as i64).map(|k| wasm_mini::Value::I64(k * 0x1_0000_0001)).collect();
            let mut expected = arguments.clone();
            expected.reverse();
            assert_eq!(common::results(&f, &arguments), expected);
        }
        Err(error) => check_message(&error, &binary),
    }
}

/// Sizes and counts that the input only claims.
fn claimed_sizes_cost_nothing(tier: Tier) {
    let most = unsigned(u64::from(u32::MAX));
    for id in 0..=12u8 {
        for content in [vec![], most.clone(), [most.clone(), most.clone()].concat()] {
            // A section that claims to hold 4 GiB, and one that claims as many items.
            let claims_size =
                [b"\0asm\x01\0\0\0".to_vec(), vec![id], most.clone(), content.clone()];
            let size = unsigned(content.len() as u64);
            let claims_items = [b"\0asm\x01\0\0\0".to_vec(), vec![id], size, content];
            for binary in [claims_size.concat(), claims_items.concat()] {
                if let Err(error) = load(tier, &binary) {
                    check_message(&error, &binary);
                }
            }
        }
    }
}

/// Nesting in the text format is bounded, and the bound is an error.
fn deeply_nested_text_is_refused_or_loads(tier: Tier) {
    for depth in [50, 1_000, 100_000] {
        let folded = format!(
            "(module (func (export \"f\") (param i32) (result i32) {}(local.get 0){}))",
            "(i32.eqz ".repeat(depth),
            ")".repeat(depth)
        );
        match Module::with_engine(engine(tier), &folded) {
            Ok(module) => {
                let f = instantiate(&module).func::<fn(i32) -> i32>("f").expect("f");
                assert_eq!(f(5).expect("no trap"), i32::from(depth % 2 == 0));
            }
            Err(error) => assert!(matches!(error, LoadError::Text { .. }) && depth > 50, "{error}"),
        }
        let open = "(".repeat(depth);
        assert!(matches!(load_error(tier, open), LoadError::Text { .. }));
    }
}

on_each_tier!(
    truncated_modules_are_refused,
    damaged_modules_do_no_harm,
    modules_of_all_kinds_load_or_say_why,
    noise_is_no_module,
    text_errors_show_the_place,
    messages_are_short_and_obey_nobody,
    what_is_neither_text_nor_binary_is_told,
    invalid_modules_name_the_offset,
    later_proposals_are_invalid,
    a_broken_name_section_is_ignored,
    custom_sections_are_ignored,
    fifty_thousand_locals,
    a_table_of_a_hundred_thousand_branches,
    a_hundred_thousand_nested_blocks,
    ten_megabytes_of_nested_blocks,
    ten_thousand_nested_loops,
    nested_ifs_and_values,
    ten_thousand_functions,
    a_megabyte_of_straight_line_code,
    deep_operand_stacks,
    long_signatures,
    claimed_sizes_cost_nothing,
    deeply_nested_text_is_refused_or_loads,
);

#[test]
fn errors_have_sources() {
    use std::error::Error as _;
    let error = LoadError::CodeMemory(std::io::ErrorKind::OutOfMemory.into());
    assert!(error.source().is_some() && error.to_string().starts_with("no memory"));
    let error = wasm_mini::Error::from(error);
    assert!(error.source().is_some());
    let limit = LoadError::Limit { what: "a thing", actual: 7, limit: 5 };
    assert_eq!(limit.to_string(), "too large: a thing is 7, and this engine allows 5");
}
