//! How the command ends: every exit code, and which error leads to which.
//!
//! This file owns the one list of exit codes; `--help` prints it from here.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::process::ExitCode;

use wasm_mini::{Error, ExportError, LinkError, LoadError, Trap};

/// One row an exit code: the variant, its number, its line in `--help`.
macro_rules! exits {
    ($( $variant:ident = $code:literal, $meaning:literal; )*) => {
        /// What the process tells its caller.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Exit {
            $( #[doc = $meaning] $variant = $code, )*
        }

        /// The section of `--help` on exit codes.
        pub const EXIT_CODES: &str =
            concat!("Exit codes:", $( "\n  ", $code, "  ", $meaning, )*);
    };
}

exits! {
    Success = 0, "success";
    Trap = 1, "the function trapped";
    Usage = 2, "wrong options, or wrong number or type of the function's arguments";
    File = 3, "a file cannot be read, or the output cannot be written";
    Module = 4, "the module, or the file of hand-written bytes, is malformed, invalid or not supported";
    Link = 5, "an import is missing, or there is no such exported function";
    Disagreement = 6, "compare: the columns do not agree";
    System = 7, "the system refused something, such as memory for code";
    Scripts = 8, "wast: a directive failed";
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// An error on its way to stderr. The message has no `error:` and no final newline.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into() }
    }

    /// Puts what was attempted in front.
    pub fn context(self, what: impl fmt::Display) -> Failure {
        Failure { message: format!("{what}: {}", self.message), ..self }
    }

    /// Adds a line with more about it.
    pub fn note(mut self, note: impl fmt::Display) -> Failure {
        let _ = write!(self.message, "\n  {note}");
        self
    }

    /// Prints the message, and says how the process ends.
    pub fn report(self) -> Exit {
        if self.exit != Exit::Success {
            let red = anstyle::AnsiColor::Red.on_default().bold();
            // A stderr that is gone leaves nobody to tell; the exit code still says it.
            let _ = writeln!(anstream::stderr(), "{red}error:{red:#} {}", self.message);
        }
        self.exit
    }

    /// The end of a write to stdout that failed.
    ///
    /// A reader that has seen enough, as in `… | head -1`, is not an error.
    pub fn output(error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::new(Exit::Success, ""),
            _ => Failure::new(Exit::File, format!("the output cannot be written: {error}")),
        }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Failure {
        let exit = match &error {
            LoadError::Compile { .. } | LoadError::CodeMemory(_) => Exit::System,
            _ => Exit::Module,
        };
        Failure::new(exit, error.to_string())
    }
}

impl From<LinkError> for Failure {
    fn from(error: LinkError) -> Failure {
        match error {
            LinkError::Start(trap) => Failure::from(trap).context("the start function failed"),
            LinkError::Resources(_) => Failure::new(Exit::System, error.to_string()),
            _ => Failure::new(Exit::Link, error.to_string()),
        }
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Failure {
        Failure::new(Exit::Link, error.to_string())
    }
}

impl From<Trap> for Failure {
    fn from(trap: Trap) -> Failure {
        let mut message = format!("wasm trap: {} ({:?})", trap.code(), trap.code());
        if !trap.backtrace().is_empty() {
            message.push_str("\n  wasm backtrace, innermost first:");
        }
        for (depth, frame) in trap.backtrace().iter().enumerate() {
            let _ = write!(message, "\n  {depth:>4}: {frame}");
        }
        if trap.is_backtrace_cut() {
            message.push_str("\n        and more, which were not recorded");
        }
        Failure::new(Exit::Trap, message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error {
            Error::Load(error) => error.into(),
            Error::Link(error) => error.into(),
            Error::Export(error) => error.into(),
            Error::Trap(trap) => trap.into(),
            // Arguments, and whatever the library adds: the arguments are what the user chose.
            other => Failure::new(Exit::Usage, other.to_string()),
        }
    }
}
