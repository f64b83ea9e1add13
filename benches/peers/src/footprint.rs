//! What the crate weighs: processes, programs, dependencies. Builds what it measures, with cargo.

mod process;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::host::{children_time, output_of};
use crate::report::{Goal, Section, digits, duration};

/// All sections. Builds go to `target/footprint` of this crate.
pub fn all(crate_dir: &Path, quick: bool) -> io::Result<Vec<Section>> {
    let root = crate_dir.join("../..");
    let target = crate_dir.join("target/footprint");
    let command = build(&root, &target, &["--bin", "wasm-mini"])?.join("wasm-mini");

    let sections = vec![
        process::measure(&command, &root.join("fixtures/add4.wat"), if quick { 40 } else { 400 })?,
        sizes(&command, &crate_dir.join("../minimal"), &target)?,
        crates(&root),
        clean_build(&root, &target)?,
    ];
    Ok(sections)
}

/// Builds a crate in release mode and returns where its programs are.
fn build(dir: &Path, target: &Path, arguments: &[&str]) -> io::Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["build", "--release", "--quiet", "--target-dir"]).arg(target).args(arguments);
    run(cargo.current_dir(dir))?;
    Ok(target.join("release"))
}

/// The sizes of programs, symbols stripped.
fn sizes(command: &Path, minimal: &Path, target: &Path) -> io::Result<Section> {
    let size = |path: &Path| std::fs::metadata(path).map(|data| data.len());
    let note = "Stripped programs. The minimal embedding is `benches/minimal`: the baseline tier \
                only, link-time optimisation; unwinding kept, except where it says otherwise. The \
                empty program is built in the same way.";
    let mut section = Section::new("Size of programs", note, &["", "bytes"]);
    let stripped = target.join("wasm-mini.stripped");
    run(Command::new("strip").arg("-o").arg(&stripped).arg(command))?;
    let command_size = size(&stripped)?;
    let mut sizes = vec![("the `wasm-mini` command, all features".to_string(), command_size)];
    for level in ["3", "\"s\"", "\"z\""] {
        let setting = format!("profile.release.opt-level={level}");
        let program = build(minimal, target, &["--config", &setting])?.join("minimal");
        sizes.push((format!("a minimal embedding, `opt-level = {level}`"), size(&program)?));
    }
    // A folder of its own, because the flags are for everything that is built.
    let folder = target.join("small");
    let script = minimal.join("small.ld").canonicalize()?;
    let flags = format!(
        "build.rustflags=['-Crelocation-model=static', '-Clink-arg=-Wl,-T,{}', \
         '-Clink-arg=-Wl,--no-eh-frame-hdr']",
        script.display()
    );
    let level = "profile.release.opt-level=\"z\"";
    let panic = "profile.release.panic=\"abort\"";
    let options = ["--config", level, "--config", panic, "--config", &flags];
    let embedding = size(&build(minimal, &folder, &options)?.join("minimal"))?;
    let name = "the same, abort at a panic, a fixed address, no unwinding tables (`small.ld`)";
    sizes.push((name.to_string(), embedding));
    let (source, empty) = (target.join("empty.rs"), target.join("empty"));
    std::fs::write(&source, "fn main() { println!(\"6\") }")?;
    let flags = ["--edition=2024", "-Copt-level=3", "-Clto=fat", "-Ccodegen-units=1"];
    let strip = ["-Cstrip=symbols", "-o"];
    run(Command::new("rustc").args(flags).args(strip).arg(&empty).arg(&source))?;
    sizes.push(("an empty program, `opt-level = 3`".to_string(), size(&empty)?));

    section.rows = sizes.into_iter().map(|(name, size)| vec![name, size.to_string()]).collect();
    let megabytes = |bytes: u64| format!("{} MB", digits(bytes as f64 / 1e6));
    Ok(section
        .goal(Goal::plain(
            "the command at most 8 MB",
            megabytes(command_size),
            command_size <= 8_000_000,
        ))
        .goal(Goal::plain(
            "a minimal embedding, built for size, at most 900 KB",
            megabytes(embedding),
            embedding <= 900_000,
        )))
}

fn run(command: &mut Command) -> io::Result<()> {
    match command.status()?.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("{} failed", command.get_program().display()))),
    }
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

/// What it costs to build the library from nothing.
fn clean_build(root: &Path, target: &Path) -> io::Result<Section> {
    let note = "CPU time, user and system, of a release build of the library and all that it needs \
                into an empty folder. wasmi: a crate that depends on it, and its default features.";
    let mut section = Section::new("A clean build", note, &["", "CPU time"]);
    let folder = target.join("clean");
    let mut time = |name: &str, dir: &Path, arguments: &[&str]| {
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        let before = children_time();
        build(dir, &folder, arguments)?;
        let took = (children_time() - before).as_secs_f64();
        std::fs::remove_dir_all(&folder)?;
        section.rows.push(vec![name.to_string(), duration(took * 1e9)]);
        Ok::<f64, io::Error>(took)
    };
    let baseline = ["--lib", "--no-default-features", "--features", "baseline"];
    let ours = time("`baseline`", root, &baseline)?;
    time("default features", root, &["--lib"])?;
    let peer = target.join("wasmi");
    std::fs::create_dir_all(peer.join("src"))?;
    std::fs::write(peer.join("src/lib.rs"), "")?;
    let manifest = "[workspace]\n[package]\nname = \"peer\"\nedition = \"2024\"\n\
                    [dependencies]\nwasmi = \"2\"\n\
                    [profile.release]\nlto = \"thin\"\ncodegen-units = 1\n";
    std::fs::write(peer.join("Cargo.toml"), manifest)?;
    let theirs = time("wasmi", &peer, &[])?;
    Ok(section.goal(Goal::at_most("`baseline` at most as long as wasmi", ours / theirs, 1.0)))
}
