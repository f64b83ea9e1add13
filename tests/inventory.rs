//! What there is of `unsafe`, and of other people's licences: what SECURITY.md and `deny.toml` say is
//! what is there.
//!
//! `BLESS=1 cargo test --test inventory` writes the numbers of SECURITY.md anew.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All sources below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Blocks, functions and implementations that are `unsafe`; types of functions are none of these, and
/// neither are comments.
fn unsafe_in(text: &str) -> [usize; 3] {
    let code: Vec<&str> =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let mut counts = [0; 3];
    for (at, word) in code.match_indices("unsafe") {
        let is_part = |c: char| c == '_' || c.is_alphanumeric();
        let rest = &code[at + word.len()..];
        if code[..at].ends_with(is_part) || rest.starts_with(is_part) {
            continue;
        }
        let rest = rest.trim_start();
        let (kind, rest) = match rest.strip_prefix("extern") {
            // Behind the convention in quotes.
            Some(convention) => (1, convention.splitn(3, '"').nth(2).unwrap_or_default()),
            None if rest.starts_with('{') => (0, "fn a"),
            None if rest.starts_with("impl") => (2, "fn a"),
            None => (1, rest),
        };
        // A function has a name, a function type does not.
        let name = rest.trim_start().strip_prefix("fn").unwrap_or_default();
        if name.trim_start().starts_with(is_part) {
            counts[kind] += 1;
        }
    }
    counts
}

#[test]
fn unsafe_is_counted() {
    let text = "unsafe { } // unsafe { }\nunsafe fn a() unsafe extern \"C\" fn b() { unsafe {} }\n\
        unsafe impl Send for X {} type T = unsafe extern \"C\" fn(); unsafe_op(); deny(unsafe_code)";
    assert_eq!(unsafe_in(text), [2, 2, 1]);
}

#[test]
fn unsafe_is_as_inventoried() {
    let path = root().join("SECURITY.md");
    let text = fs::read_to_string(&path).expect("SECURITY.md");
    let (mut files, mut rows, mut inventory) = (Vec::new(), 0, String::new());
    sources(&root().join("src"), &mut files);
    files.sort();
    let mut counts: Vec<(String, [usize; 3])> = Vec::new();
    for file in &files {
        let name = file.strip_prefix(root().join("src")).expect("below src");
        let found = unsafe_in(&fs::read_to_string(file).expect("a source"));
        if found != [0; 3] {
            counts.push((name.to_str().expect("a name").to_string(), found));
        }
    }
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let file = cells.get(1).and_then(|cell| cell.strip_prefix('`')?.strip_suffix('`'));
        match (file, &cells[..]) {
            (Some(file), [_, _, _, _, _, what, tests, _]) if file.ends_with(".rs") => {
                rows += 1;
                let at = counts.iter().position(|(name, _)| name == file);
                let at = at.unwrap_or_else(|| panic!("{file} has no `unsafe`: take its row out"));
                let (_, [blocks, functions, impls]) = counts.remove(at);
                assert!(!what.is_empty() && !tests.is_empty(), "{line}");
                inventory += &format!(
                    "| `{file}` | {blocks} | {functions} | {impls} | {what} | {tests} |\n"
                );
            }
            _ => inventory += &format!("{line}\n"),
        }
    }
    assert!(counts.is_empty(), "SECURITY.md has no row for {counts:?}");
    assert!(rows > 10, "{rows} rows");
    if env::var_os("BLESS").is_some() {
        fs::write(&path, &inventory).expect("SECURITY.md can be written");
    } else {
        let differs = inventory.lines().zip(text.lines()).find(|(now, then)| now != then);
        assert_eq!(differs, None, "`BLESS=1 cargo test --test inventory` writes the numbers anew");
    }
}

/// The test files that the tables name exist.
#[test]
fn named_tests_exist() {
    let text = fs::read_to_string(root().join("SECURITY.md")).expect("SECURITY.md");
    let mut checked = 0;
    for line in text.lines().filter(|line| line.starts_with('|')) {
        let Some(tests) = line.trim_end_matches('|').rsplit('|').next() else { continue };
        for name in tests.split('`').skip(1).step_by(2) {
            let name = name.trim_end_matches(".rs");
            let is_name = name.chars().all(|c| c == '_' || c.is_ascii_lowercase());
            if !is_name || name == "unsafe" {
                continue;
            }
            let tests = root().join("tests");
            let there = tests.join(format!("{name}.rs")).exists() || tests.join(name).exists();
            assert!(there, "there is no test `{name}`: {line}");
            checked += 1;
        }
    }
    assert!(checked > 30, "{checked} names");
}

/// Each package that a build of everything may contain has a licence that `deny.toml` allows.
#[cfg(feature = "cli")]
#[test]
fn licences_are_allowed() {
    use std::process::Command;

    let deny = fs::read_to_string(root().join("deny.toml")).expect("deny.toml");
    let list = deny.split("allow = [").nth(1).and_then(|rest| rest.split(']').next());
    let allowed: Vec<&str> = list.expect("a list").split('"').skip(1).step_by(2).collect();
    assert!(allowed.len() > 3, "{allowed:?}");

    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--all-features"])
        .args(["--filter-platform=x86_64-unknown-linux-gnu", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    assert!(packages.len() > 50, "{} packages", packages.len());
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let licence = package["license"].as_str().unwrap_or("none");
        assert!(is_allowed(licence, &allowed), "{name}: {licence}");
        let from = package["source"].as_str();
        let registry = from.is_none_or(|source| source.starts_with("registry+"));
        assert!(registry, "{name} is not from the registry: {from:?}");
    }
}

/// Whether one of the alternatives consists of allowed licences only. Knows what licences of packages
/// are written with: `AND` binds more tightly than `OR`, `/` is an old `OR`.
#[cfg(feature = "cli")]
fn is_allowed(licence: &str, allowed: &[&str]) -> bool {
    if let Some((alternatives, rest)) =
        licence.strip_prefix('(').and_then(|rest| rest.split_once(')'))
    {
        let rest = rest.trim_start().trim_start_matches("AND ").trim();
        return is_allowed(alternatives, allowed) && (rest.is_empty() || is_allowed(rest, allowed));
    }
    let licence = licence.replace('/', " OR ");
    licence.split(" OR ").any(|alternative| {
        alternative.split(" AND ").all(|licence| allowed.contains(&licence.trim()))
    })
}

#[cfg(feature = "cli")]
#[test]
fn licence_expressions_are_read() {
    let allowed = ["MIT", "Zlib"];
    for licence in ["MIT", "GPL-3.0 OR MIT", "Unlicense/MIT", "MIT AND Zlib", "(MIT OR X) AND Zlib"]
    {
        assert!(is_allowed(licence, &allowed), "{licence}");
    }
    for licence in ["none", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR X) AND GPL-3.0"] {
        assert!(!is_allowed(licence, &allowed), "{licence}");
    }
}
