//! `wasm-mini wast`: runs scripts of the WebAssembly test suite and says what failed.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use wasm_mini::{Engine, Tier, wast};

use super::exit::{EXIT_CODES, Exit, Failure};
use super::input;

/// Run test-suite scripts (.wast) and print each failure and a summary
#[derive(Args)]
#[command(after_help = EXIT_CODES)]
pub struct Scripts {
    /// The scripts
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// The compiler to use: baseline or cranelift (the default)
    #[arg(long, value_name = "TIER", value_parser = super::tier)]
    tier: Option<Tier>,

    /// Print each skipped directive with its reason, and a line per file
    #[arg(short, long)]
    verbose: bool,
}

impl Scripts {
    pub fn run(self) -> Result<Exit, Failure> {
        let mut builder = Engine::builder();
        if let Some(tier) = self.tier {
            builder = builder.tier(tier);
        }
        let engine = input::engine(builder.build())?;
        let mut out = anstream::stdout().lock();
        let (mut passed, mut failed, mut skipped) = (0, 0, 0);
        for path in &self.files {
            let bytes = input::read(path)?;
            let file = path.display();
            let Ok(script) = std::str::from_utf8(&bytes) else {
                let message = format!("{file} is not text: scripts are UTF-8");
                return Err(Failure::new(Exit::Module, message));
            };
            let report = wast::run(script, &engine);
            let mut text = String::new();
            for note in &report.failed {
                text.push_str(&format!("{file}:{note}\n"));
            }
            if self.verbose {
                for note in &report.skipped {
                    text.push_str(&format!("{file}:{note} (skipped)\n"));
                }
                let counts = (report.passed, report.failed.len(), report.skipped.len());
                text.push_str(&format!(
                    "{file}: {} passed, {} failed, {} skipped\n",
                    counts.0, counts.1, counts.2
                ));
            }
            out.write_all(text.as_bytes()).map_err(|error| Failure::output(&error))?;
            passed += report.passed;
            failed += report.failed.len();
            skipped += report.skipped.len();
        }
        let summary = match skipped {
            0 => format!("{passed} passed, {failed} failed\n"),
            _ => format!("{passed} passed, {failed} failed, {skipped} skipped\n"),
        };
        out.write_all(summary.as_bytes()).map_err(|error| Failure::output(&error))?;
        Ok(if failed == 0 { Exit::Success } else { Exit::Scripts })
    }
}
