//! The tiers against each other and against wasmi on modules of wasm-smith's that use all of
//! WebAssembly 2.0, and on deep expressions of vectors. `examples/fuzz.rs` does the same for as long as it is asked to.

#[path = "common/engines.rs"]
mod engines;
#[path = "common/expressions.rs"]
mod expressions;
#[path = "common/interpreter.rs"]
mod interpreter;
#[path = "common/random.rs"]
mod random;
#[path = "common/smith.rs"]
mod smith;

use std::env;
use std::fs;
use std::thread;

use engines::{Engines, Tally};
use wasm_mini::TrapCode;

/// How many modules the test suite tries. `WASM_MINI_SEEDS` asks for more.
const SEEDS: u64 = 2_000;
/// How many modules of vector expressions.
const EXPRESSION_SEEDS: u64 = 250;
/// Generated functions may recurse as deep as their fuel lasts.
const STACK: usize = 256 << 20;

fn compare_all(seeds: u64, module: fn(u64) -> Option<Vec<u8>>) -> Tally {
    let asked = env::var("WASM_MINI_SEEDS").ok().and_then(|text| text.parse().ok());
    let engines = Engines::new();
    let mut tally = Tally::default();
    for seed in 0..asked.unwrap_or(seeds) {
        let Some(binary) = module(seed) else { continue };
        if let Err(difference) = engines.compare(&binary, seed, &mut tally) {
            let path = format!("{}/smith-{seed}.wasm", env!("CARGO_TARGET_TMPDIR"));
            fs::write(&path, &binary).expect("a file for the module");
            panic!("seed {seed}: {difference}\n{path}");
        }
    }
    tally
}

/// How often an operator stands in what was compared, and no less than that.
fn assert_operators(tally: &Tally, operators: &[&str], least: u64) {
    for operator in operators {
        let there = tally.operators.get(operator).copied().unwrap_or(0);
        assert!(there >= least, "{operator}: {there}");
    }
}

#[test]
fn expressions_agree() {
    let tally = compare_all(EXPRESSION_SEEDS, |seed| Some(expressions::module(seed)));
    assert!(tally.returns > 8 * EXPRESSION_SEEDS, "{tally:?}");
    assert!(tally.trapped() > EXPRESSION_SEEDS / 4, "{tally:?}");
    assert!(tally.memories > tally.returns, "{tally:?}");
    let vectors = ["F64x2PMax", "I32x4MinU", "I16x8ExtMulHighI8x16U", "I8x16NarrowI16x8U"];
    assert_operators(&tally, &vectors, 50);
    assert_operators(&tally, &["I8x16Shuffle", "V128Load16Lane", "V128Load", "I64Rotr"], 100);
}

#[test]
fn modules_of_everything_agree() {
    let compare = || compare_all(SEEDS, smith::module);
    let compared = thread::Builder::new().stack_size(STACK).spawn(compare);
    let tally = match compared.expect("a thread").join() {
        Ok(tally) => tally,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    // All of this is worth nothing if the modules do nothing, or always the same.
    let (modules, calls) = (tally.modules, tally.returns + tally.trapped());
    assert!(modules > SEEDS / 2 && calls > 10 * modules, "{tally:?}");
    assert!(tally.returns > calls / 3 && tally.trapped() > calls / 10, "{tally:?}");
    assert!(tally.not_instantiated < modules / 5 && tally.overflows < calls / 1000, "{tally:?}");
    assert!(tally.resets > modules, "{tally:?}");
    assert!(tally.offsets < tally.trapped() / 200, "{tally:?}");
    for compared in [tally.memories, tally.tables, tally.globals] {
        assert!(compared > calls / 4, "{tally:?}");
    }
    for code in [
        TrapCode::Unreachable,
        TrapCode::IntegerDivideByZero,
        TrapCode::IntegerOverflow,
        TrapCode::InvalidConversionToInteger,
        TrapCode::MemoryOutOfBounds,
        TrapCode::TableOutOfBounds,
        TrapCode::UndefinedElement,
        TrapCode::UninitializedElement,
        TrapCode::IndirectCallTypeMismatch,
        TrapCode::HostError,
    ] {
        assert!(tally.traps.get(&(code as u8)).is_some_and(|traps| *traps > 10), "{tally:?}");
    }
    // WebAssembly 2.0 has 437 operators.
    assert!(tally.operators.len() > 400, "{tally:?}");
    for (operators, least) in [
        (&["CallIndirect", "Call", "BrTable", "BrIf", "MemoryGrow", "TableGet"][..], 1_000),
        (&["I64Load", "I32Store8", "F64Store", "I32TruncSatF64U", "F32Nearest", "I64DivS"], 100),
        (&["V128Load", "I16x8Bitmask", "TableSet", "TableGrow"], 100),
        // Those of several operands are rare, as wasm-smith chooses what the stack has operands for.
        (
            &[
                "I8x16Swizzle",
                "I8x16Shuffle",
                "F64x2Add",
                "V128Bitselect",
                "TableFill",
                "TableCopy",
                "TableInit",
            ],
            5,
        ),
        (&["MemoryFill", "MemoryCopy", "MemoryInit"], 1),
    ] {
        assert_operators(&tally, operators, least);
    }
}
