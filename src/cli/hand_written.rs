//! Machine code that the user wrote: read, checked as far as that goes, and put into a module.
//!
//! The only unsafe block of the command is here. What can be checked is small: that there are
//! bytes, that they are few, and that some instruction leaves the function.

use std::path::{Path, PathBuf};

use wasm_mini::{Engine, Module};

use super::exit::{Exit, Failure};
use super::input::{self, Target};
use super::{disassembly, hex_file};

/// More than any function that somebody writes by hand.
const MOST_BYTES: usize = 64 * 1024;

/// The file with the bytes for a module: the one that was given, or the module's neighbour.
pub fn file(module: &Path, given: Option<&Path>) -> Option<PathBuf> {
    match given {
        Some(given) => Some(given.to_path_buf()),
        None if module == Path::new("-") => None,
        None => Some(module.with_extension("hex")).filter(|path| path.exists()),
    }
}

/// Reads the bytes, and refuses what cannot be a function.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let file = input::shown(path);
    let refuse = |what: String| Err(Failure::new(Exit::Module, what));
    let Ok(text) = String::from_utf8(input::read(path)?) else {
        return refuse(format!("{file}: not text; write the bytes as hexadecimal digits"));
    };
    let code = match hex_file::parse(&text) {
        Ok(code) => code,
        Err(error) => return refuse(format!("{file}:{error}")),
    };
    if code.is_empty() {
        return refuse(format!("{file}: there are no bytes in it, and a function needs some"));
    }
    if code.len() > MOST_BYTES {
        return refuse(format!("{file}: {} bytes, and {MOST_BYTES} is the most", code.len()));
    }
    if !disassembly::ends(&code) {
        return refuse(format!(
            "{file}: no instruction ends the function; it needs `c3` (ret) or a jump"
        ));
    }
    Ok(code)
}

/// The module with `code` in the place of the target's own.
pub fn load(engine: &Engine, wasm: &[u8], target: &Target, code: &[u8]) -> Result<Module, Failure> {
    // SAFETY: nothing can show that bytes which somebody wrote keep the calling convention. They
    // run because the user asked for just that, by writing the file and comparing with it; a
    // process of its own runs them first, over all inputs that this process may give them later.
    let module = unsafe { Module::with_machine_code(engine, wasm, target.index, code) };
    module.map_err(Failure::from)
}
