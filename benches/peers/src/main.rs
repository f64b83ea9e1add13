//! wasm-mini beside its peers: wasmtime with both of its compilers, wasmi, and wasmparser's
//! validation, which is the least that any of them does.
//!
//! ```text
//! peers measure [--quick] [--write]      times, in one process
//! peers footprint [--quick] [--write]    processes, sizes of programs, numbers of crates
//! ```
//!
//! Prints Markdown; `--write` keeps it in `benches/RESULTS.md`, each command in its own part.

mod engines;
mod footprint;
mod host;
mod measure;
mod programs;
mod race;
mod report;

use std::path::Path;
use std::process::ExitCode;

use engines::Engines;
use report::Section;

const USAGE: &str = "peers measure|footprint [--quick] [--write]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mut quick, mut write, mut commands) = (false, false, Vec::new());
    for argument in &arguments {
        match argument.as_str() {
            "--quick" => quick = true,
            "--write" => write = true,
            command => commands.push(command),
        }
    }
    let part = match commands[..] {
        [part @ ("measure" | "footprint")] => part,
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut description = String::new();
    let sections: Vec<Section> = if part == "measure" {
        let pinned = host::pin();
        description = host::description(pinned);
        println!("{description}");
        measure::all(&Engines::new(), quick)
    } else {
        match footprint::all(crate_dir, quick) {
            Ok(sections) => sections,
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        }
    };
    if write {
        let texts: Vec<String> = sections.iter().map(Section::text).collect();
        let content = format!("{description}\n{}", texts.join("\n"));
        let file = crate_dir.join("../RESULTS.md");
        if let Err(error) = report::write(&file, part, content.trim()) {
            eprintln!("{}: {error}", file.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
