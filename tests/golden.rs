//! Golden files: for each `tests/golden/<topic>/<name>.wat`, what the baseline tier emits
//! (`.baseline`) and what the Cranelift tier translates it to (`.clif`).
//!
//! `BLESS=1 cargo test --test golden` rewrites them; read the difference before it is committed.

#![cfg(all(feature = "baseline", feature = "cranelift", feature = "listing"))]

use std::fs;
use std::path::{Path, PathBuf};

use wasm_mini::{Engine, Module, Tier, listing};

fn modules() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut found = Vec::new();
    for topic in fs::read_dir(root).unwrap() {
        for entry in fs::read_dir(topic.unwrap().path()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "wat") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no golden modules were found");
    found
}

/// Compares with the golden file, or rewrites it.
fn check(path: &Path, actual: &str) -> Result<(), String> {
    if std::env::var_os("BLESS").is_some_and(|value| value == "1") {
        // Continuous integration must compare, never accept.
        assert!(std::env::var_os("CI").is_none(), "golden files are not blessed in CI");
        fs::write(path, actual).unwrap();
        return Ok(());
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected == actual {
        return Ok(());
    }
    let line = expected.lines().zip(actual.lines()).take_while(|(a, b)| a == b).count();
    Err(format!(
        "{}:{}: expected\n    {}\n  got\n    {}",
        path.display(),
        line + 1,
        expected.lines().nth(line).unwrap_or("(nothing)"),
        actual.lines().nth(line).unwrap_or("(nothing)"),
    ))
}

fn check_all(extension: &str, produce: impl Fn(&str) -> String) {
    let failures: Vec<String> = modules()
        .iter()
        .filter_map(|path| {
            let actual = produce(&fs::read_to_string(path).unwrap());
            check(&path.with_extension(extension), &actual).err()
        })
        .collect();
    assert!(failures.is_empty(), "{}\n(BLESS=1 rewrites golden files)", failures.join("\n"));
}

#[test]
fn baseline_code() {
    check_all("baseline", |wat| listing::list(wat, Tier::Baseline).unwrap().to_string());
}

#[test]
fn cranelift_ir() {
    check_all("clif", |wat| listing::clif(wat).unwrap());
}

/// The one function whose bytes are kept for every tier, because a person wrote it by hand first.
#[test]
fn add4_byte_by_byte() {
    let wat = include_str!("../fixtures/add4.wat");
    let code = |tier| {
        let module = Module::with_engine(&Engine::new(tier).unwrap(), wat).unwrap();
        module.code(0).unwrap().to_vec()
    };
    for tier in Tier::available() {
        assert_eq!(code(*tier), [0x48, 0x8d, 0x47, 0x04, 0xc3], "{tier}");
    }
}
