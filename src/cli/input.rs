//! What is run: the module's file, and the function of it that is meant.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use wasm_mini::{Engine, ExportedFunction, FuncType, LoadError, Module};

use super::exit::{Exit, Failure};

/// How many exported functions a message lists before it only counts the rest.
const LISTED: usize = 12;

/// Reads the whole file; `-` is stdin.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let result = if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    result.map_err(|error| {
        Failure::new(Exit::File, format!("{} cannot be read: {error}", shown(path)))
    })
}

/// The file's name for messages.
pub fn shown(path: &Path) -> Cow<'_, str> {
    if path == Path::new("-") { "<stdin>".into() } else { path.to_string_lossy() }
}

/// Loads a module; its errors name the file.
pub fn load(engine: &Engine, path: &Path, bytes: &[u8]) -> Result<Module, Failure> {
    Module::with_engine(engine, bytes).map_err(|error| explain(error, path, bytes))
}

/// A load error as a failure that names the file.
pub fn explain(error: LoadError, path: &Path, bytes: &[u8]) -> Failure {
    let file = shown(path);
    if let LoadError::Text { message } = &error {
        // The parser does not know the file; `file:line:column` is what editors can jump to.
        let message = message.replacen("--> <anon>:", &format!("--> {file}:"), 1);
        return Failure::new(Exit::Module, format!("{file}: {message}"));
    }
    let has_offset = matches!(error, LoadError::Invalid { .. } | LoadError::Unsupported { .. });
    let failure = Failure::from(error).context(&file);
    if has_offset && !bytes.starts_with(b"\0asm") {
        return failure.note("the byte offset is one in the binary form of this text");
    }
    failure
}

/// An engine, or why there is none.
pub fn engine(result: std::io::Result<Engine>) -> Result<Engine, Failure> {
    result.map_err(|error| Failure::new(Exit::System, format!("no engine can be made: {error}")))
}

/// An exported function of a module.
pub struct Target {
    pub name: String,
    pub index: u32,
    pub ty: FuncType,
}

impl Target {
    pub fn of(function: &ExportedFunction<'_>) -> Target {
        Target {
            name: function.name().to_string(),
            index: function.index(),
            ty: function.ty().clone(),
        }
    }
}

/// The exported function of that name or, without a name, the sole one.
///
/// `option` is how a user says which.
pub fn target(
    module: &Module,
    path: &Path,
    name: Option<&str>,
    option: &str,
) -> Result<Target, Failure> {
    let file = shown(path);
    let mut functions = module.exported_functions();
    let found = match name {
        Some(name) => functions.find(|function| function.name() == name),
        None => {
            let first = functions.next();
            if first.is_some() && functions.next().is_some() {
                let message = format!(
                    "{file} exports several functions; say which with `{option} NAME`:{}",
                    list(module)
                );
                return Err(Failure::new(Exit::Usage, message));
            }
            first
        }
    };
    match (found, name) {
        (Some(function), _) => Ok(Target::of(&function)),
        (None, Some(name)) if module.exported_functions().next().is_some() => {
            let message =
                format!("{file} exports no function `{name}`; it exports:{}", list(module));
            Err(Failure::new(Exit::Link, message))
        }
        (None, _) => Err(Failure::new(
            Exit::Link,
            format!("{file} exports no function; a function is exported with `(export \"name\")`"),
        )),
    }
}

/// The exported functions with their signatures, one a line.
fn list(module: &Module) -> String {
    let mut text = String::new();
    for function in module.exported_functions().take(LISTED) {
        // A name may be any text, and this one goes to a terminal.
        let _ = write!(text, "\n  {} {}", function.name().escape_debug(), function.ty());
    }
    match module.exported_functions().count() {
        count if count > LISTED => {
            let _ = write!(text, "\n  and {} more", count - LISTED);
        }
        _ => {}
    }
    text
}
