//! What the crate weighs: processes, programs, dependencies. Builds what it measures, with cargo.

mod process;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::host::output_of;
use crate::report::{Goal, Section, digits};

/// All sections. Builds go to `target/footprint` of this crate.
pub fn all(crate_dir: &Path, quick: bool) -> io::Result<Vec<Section>> {
    let root = crate_dir.join("../..");
    let target = crate_dir.join("target/footprint");
    let command = build(&root, &target, &["--bin", "wasm-mini"])?.join("wasm-mini");
    let minimal = build(&crate_dir.join("../minimal"), &target, &[])?.join("minimal");

    let sections = vec![
        process::measure(&command, &root.join("fixtures/add4.wat"), if quick { 40 } else { 400 })?,
        sizes(&command, &minimal, &target)?,
        crates(&root),
    ];
    sections.iter().for_each(|section| println!("{}", section.text()));
    Ok(sections)
}

/// Builds a crate in release mode and returns where its programs are.
fn build(dir: &Path, target: &Path, arguments: &[&str]) -> io::Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["build", "--release", "--quiet", "--target-dir"]).arg(target).args(arguments);
    match cargo.current_dir(dir).status()?.success() {
        true => Ok(target.join("release")),
        false => Err(io::Error::other(format!("{} does not build", dir.display()))),
    }
}

/// The sizes of programs, symbols stripped.
fn sizes(command: &Path, minimal: &Path, target: &Path) -> io::Result<Section> {
    let stripped = target.join("wasm-mini.stripped");
    let (from, to) = (command.to_string_lossy(), stripped.to_string_lossy());
    if !Command::new("strip").args(["-o", &to, &from]).status()?.success() {
        return Err(io::Error::other("strip failed"));
    }
    let size = |path: &Path| std::fs::metadata(path).map(|data| data.len());
    let (command, minimal) = (size(&stripped)?, size(minimal)?);
    let note = "Stripped programs. The minimal embedding is `benches/minimal`: the baseline tier \
                only, link-time optimisation, unwinding kept.";
    let mut section = Section::new("Size of programs", note, &["", "bytes"]);
    section.rows.push(vec!["the `wasm-mini` command, all features".into(), command.to_string()]);
    section.rows.push(vec!["a minimal embedding".into(), minimal.to_string()]);
    let megabytes = format!("{} MB", digits(minimal as f64 / 1e6));
    Ok(section.goal(Goal::plain(
        "a minimal embedding of at most 1 MB",
        megabytes,
        minimal <= 1_000_000,
    )))
}

/// How many crates each feature set is built of, build-time-only ones not counted.
fn crates(root: &Path) -> Section {
    let note = "Crates in `cargo tree -e normal`, wasm-mini itself not counted.";
    let mut section = Section::new("Dependencies", note, &["features", "crates"]);
    let manifest = root.join("Cargo.toml");
    let sets = [
        "baseline",
        "baseline,wat",
        "cranelift",
        "baseline,cranelift,wat",
        "cli,baseline,cranelift",
    ];
    for features in sets {
        let list = output_of(
            "cargo",
            &[
                "tree",
                "--manifest-path",
                &manifest.to_string_lossy(),
                "-e",
                "normal",
                "--prefix",
                "none",
                "--no-dedupe",
                "--no-default-features",
                "--features",
                features,
            ],
        );
        // `name vX.Y.Z`, sometimes with more behind it.
        let key = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let mut names: Vec<String> = list.lines().map(key).collect();
        names.sort();
        names.dedup();
        section.rows.push(vec![format!("`{features}`"), names.len().saturating_sub(1).to_string()]);
    }
    section
}
