//! The command `wasm-mini`. All of it is in [`cli`], which uses nothing but the crate's public API.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
