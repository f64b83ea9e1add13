//! The command line: what it accepts, and which file does the work.
//!
//! Reading order: [`exit`] (how it ends), [`input`] (what is run), [`numbers`] and [`arguments`]
//! (text to values and back), [`run`], then [`compare`]. Nothing here reaches behind the crate's
//! public API, and nothing panics on what a user can give.

mod arguments;
mod compare;
mod disassembly;
mod exit;
mod hand_written;
mod hex_file;
mod input;
mod numbers;
mod run;
mod terminal;
mod wast;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use wasm_mini::Tier;

use exit::Failure;

/// Runs WebAssembly functions, and shows the machine code they become.
#[derive(Parser)]
#[command(name = "wasm-mini", version, after_help = exit::EXIT_CODES)]
#[command(disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Run),
    Compare(compare::Compare),
    Wast(wast::Scripts),
    #[command(hide = true)]
    Check(compare::Check),
}

/// Parses the command line and does what it says.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse_from(std::env::args_os().map(shield)) {
        Ok(cli) => cli,
        // Prints help to stdout with code 0, and a usage error to stderr with code 2.
        Err(error) => error.exit(),
    };
    let result = match cli.command {
        Command::Run(run) => run.run(),
        Command::Compare(compare) => compare.run(),
        Command::Wast(scripts) => scripts.run(),
        Command::Check(check) => check.run(),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => Failure::report(failure).into(),
    }
}

/// Puts a space in front of a negative number, so that clap takes it for a value.
///
/// Options may stand behind a function's arguments, so clap must keep looking for them there; it
/// would then take `-0x10` for unknown options, and `-inf` for `-i nf`. [`unshield`] is the inverse.
fn shield(argument: OsString) -> OsString {
    match argument.to_str() {
        Some(text) if numbers::looks_negative(text) => OsString::from(format!(" {text}")),
        _ => argument,
    }
}

/// Takes away what [`shield`] added. For clap, as the parser of every value that may be meant.
fn unshield(value: &str) -> Result<String, std::convert::Infallible> {
    Ok(match value.strip_prefix(' ') {
        Some(text) if numbers::looks_negative(text) => text.to_string(),
        _ => value.to_string(),
    })
}

/// As [`unshield`], for a file's name, which need not be text.
fn unshield_path(path: PathBuf) -> PathBuf {
    match path.to_str().map(unshield) {
        Some(Ok(text)) => PathBuf::from(text),
        None => path,
    }
}

/// For clap: a tier that is compiled into this build.
fn tier(value: &str) -> Result<Tier, String> {
    let known = Tier::available();
    known.iter().copied().find(|tier| tier.to_string() == value).ok_or_else(|| {
        let known: Vec<String> = known.iter().map(|tier| format!("`{tier}`")).collect();
        format!("this build has {}", known.join(" and "))
    })
}
