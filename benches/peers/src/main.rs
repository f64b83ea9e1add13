//! wasm-mini beside its peers: wasmtime with both of its compilers, wasmi, and wasmparser's
//! validation, which is the least that any of them does; and where code is compiled by the megabyte or
//! runs for milliseconds, the single-pass compilers of wasmer and V8, too.
//!
//! ```text
//! peers measure [PART...] [--quick] [--write]    times; all parts, or the named ones
//! peers footprint [--quick] [--write]            processes, sizes of programs, numbers of crates
//! ```
//!
//! The parts, and about how long they take when nothing else is running:
//!
//! ```text
//! calls      15 s    from the host to the guest, and the other way
//! compile    15 s    small modules and generated ones
//! linear     60 s    bodies from 1 KB to the largest that there may be
//! kernels    40 s    the fixtures and `benches/kernels`
//! traps       5 s    errors of the guest
//! checks     90 s    fuel, polls, deadlines
//! instances   5 s    made, called, reset, dropped
//! modules    10 min  what `benches/fetch-modules.sh` has brought
//! ```
//!
//! Prints Markdown, and on stderr what is going on; `--write` keeps each part in its own place of
//! `benches/RESULTS.md`. `--quick` makes fewer rounds, and leaves out modules of more than 1 MiB.
//! V8 takes part if `benches/fetch-node.sh` has brought it.

mod engines;
mod footprint;
mod host;
mod liftoff;
mod measure;
mod programs;
mod race;
mod report;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use engines::Engines;
use report::Section;

const USAGE: &str = "peers measure [calls|compile|linear|kernels|traps|checks|instances|modules ...] \
                     [--quick] [--write]\npeers footprint [--quick] [--write]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mut quick, mut write, mut words) = (false, false, Vec::new());
    for argument in &arguments {
        match argument.as_str() {
            "--quick" => quick = true,
            "--write" => write = true,
            word => words.push(word),
        }
    }
    let done = match words[..] {
        ["measure", ref parts @ ..] if parts.iter().all(|part| measure::PARTS.contains(part)) => {
            let all = parts.is_empty();
            run_parts(if all { &measure::PARTS } else { parts }, quick, write)
        }
        ["footprint"] => footprint(quick, write),
        // A child of `measure modules`.
        ["peak", engine, what, module] => measure::modules::peak(engine, what, module.as_ref()),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// One after the other. Each is kept when it is done, so that an error loses no other.
fn run_parts(parts: &[&str], quick: bool, write: bool) -> io::Result<()> {
    let node = liftoff::Node::find(crate_dir());
    let description = host::description(host::pin(), node.map(|node| node.version()));
    println!("{description}");
    let engines = Engines::new();
    engines.warm_up();
    let mut failed = Ok(());
    for part in parts {
        host::progress(format_args!("{part}"));
        match measure::part(part, crate_dir(), &engines, quick) {
            Ok(sections) => print(part, &description, &sections, write)?,
            Err(error) => {
                eprintln!("{part}: {error}");
                failed = Err(io::Error::other("not everything was measured"));
            }
        }
    }
    host::progress("done");
    failed
}

fn footprint(quick: bool, write: bool) -> io::Result<()> {
    print("footprint", "", &footprint::all(crate_dir(), quick)?, write)
}

/// Prints the sections of a part, and keeps them in the report.
fn print(part: &str, description: &str, sections: &[Section], write: bool) -> io::Result<()> {
    let texts: Vec<String> = sections.iter().map(Section::text).collect();
    let text = texts.join("\n");
    println!("{text}");
    if write {
        let content = format!("{description}\n{text}");
        report::write(&crate_dir().join("../RESULTS.md"), part, content.trim())?;
    }
    Ok(())
}
