//! Which room may import which: read from the `use` lines and paths of the sources.
//!
//! ARCHITECTURE.md draws the same picture. A rule that no longer fits is changed there and here,
//! with the reason.

use std::fs;
use std::path::{Path, PathBuf};

/// A room (a path below `src`) and the rooms of the crate that it may name.
const RULES: &[(&str, &[&str])] = &[
    ("error.rs", &[]),
    ("asm", &["asm"]),
    ("module", &["module", "error"]),
    ("compile/abi.rs", &["asm", "module"]),
    ("compile/trampoline.rs", &["asm", "compile"]),
    ("compile/baseline", &["asm", "module", "error", "compile"]),
    ("compile/cranelift", &["asm", "module", "error", "compile"]),
    ("compile", &["asm", "module", "error", "compile"]),
    ("runtime", &["compile", "module", "error", "runtime"]),
];

/// Inside `compile`, what each tier must not name.
const TIERS: &[(&str, &str)] =
    &[("compile/baseline", "cranelift"), ("compile/cranelift", "baseline")];

/// Where `unsafe` may stand: the rooms that ARCHITECTURE.md names.
const UNSAFE_ROOMS: &[&str] = &["runtime", "cli/hand_written.rs"];

fn sources(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The file's code, without comments: what is left of `//` on each line.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// The first segments of all `crate::…` paths; `{` for a list at the crate's root, which names public
/// items.
fn crate_paths(code: &str) -> Vec<&str> {
    code.match_indices("crate::")
        .filter(|(at, _)| {
            !code[..*at].ends_with(|c: char| c == '_' || c == '$' || c.is_alphanumeric())
        })
        .map(|(at, found)| {
            let rest = &code[at + found.len()..];
            if rest.starts_with('{') {
                return "{";
            }
            let end = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
            &rest[..end]
        })
        .collect()
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn rooms_import_only_what_lies_below_them() {
    let root = src();
    let mut checked = 0;
    for path in sources(&root) {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
        let Some((_, allowed)) = RULES.iter().find(|(room, _)| name.starts_with(room)) else {
            assert!(
                matches!(name, "lib.rs" | "main.rs" | "wast.rs") || name.starts_with("cli"),
                "{name} belongs to no room: add it to the rules"
            );
            continue;
        };
        checked += 1;
        let code = code(&path);
        for used in crate_paths(&code) {
            // The public errors are re-exported at the top.
            let used = if used == "Error" { "error" } else { used };
            assert!(allowed.contains(&used), "{name} names `crate::{used}`");
        }
    }
    assert!(checked > 20, "only {checked} files were found");
}

#[test]
fn the_tiers_do_not_know_each_other() {
    let root = src();
    for path in sources(&root) {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
        for (tier, other) in TIERS {
            if name.starts_with(tier) {
                let code = code(&path);
                for form in [format!("compile::{other}"), format!("super::{other}")] {
                    assert!(!code.contains(&form), "{name} names `{form}`");
                }
            }
        }
    }
}

#[test]
fn what_stands_above_uses_only_the_public_api() {
    let root = src();
    for path in sources(&root) {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
        let code = code(&path);
        let used = crate_paths(&code);
        if name == "main.rs" || name.starts_with("cli") {
            assert!(used.iter().all(|used| *used == "cli"), "{name} names {used:?}");
        }
        if name == "wast.rs" {
            // Part of the library, but above its rooms: it names what users can name.
            assert_eq!(used, ["{"], "{name} names {used:?}");
        }
    }
}

#[test]
fn unsafe_stays_in_its_rooms() {
    let root = src();
    for path in sources(&root) {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
        if UNSAFE_ROOMS.iter().any(|room| name.starts_with(room)) {
            continue;
        }
        let code = code(&path).replace("unsafe_op_in_unsafe_fn", "");
        // `unsafe_code` lints and the like are one word.
        let found =
            code.split(|c: char| c != '_' && !c.is_alphanumeric()).any(|word| word == "unsafe");
        assert!(!found, "{name} has `unsafe`");
    }
}

#[test]
fn files_say_what_they_own() {
    for path in sources(&src()) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//!"), "{} has no header", path.display());
    }
}
