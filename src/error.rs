//! Everything that can go wrong, as data: loading, linking, finding an export, and trapping.
//!
//! This file owns the one table of trap codes with their messages. It imports nothing of the
//! crate, so that every room may use it; types and names arrive here as text.

use std::fmt::{self, Write as _};
use std::sync::Arc;

/// One row a trap: the variant, its message. The message is the specification's wording where
/// the specification has one, so that scripts which expect it can compare.
macro_rules! trap_codes {
    ($( $(#[$doc:meta])* $variant:ident = $code:literal, $message:literal; )*) => {
        /// Why a guest stopped.
        ///
        /// The numbers are stable inside one build only: they travel from generated code to the
        /// runtime and are never stored.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum TrapCode {
            $( $(#[$doc])* $variant = $code, )*
        }

        impl TrapCode {
            /// Every code, in the order of its number.
            pub const ALL: &'static [TrapCode] = &[$(TrapCode::$variant),*];

            /// The message, in the specification's words where it has some.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self { $( TrapCode::$variant => $message, )* }
            }

            /// The inverse of `self as u8`; `None` for a number that is no code.
            #[must_use]
            pub const fn from_u8(code: u8) -> Option<TrapCode> {
                match code { $( $code => Some(TrapCode::$variant), )* _ => None }
            }
        }
    };
}

trap_codes! {
    /// The `unreachable` operator was executed.
    Unreachable = 1, "unreachable";
    /// Integer division or remainder by zero.
    IntegerDivideByZero = 2, "integer divide by zero";
    /// The quotient of a signed division, or a float converted to an integer, does not fit.
    IntegerOverflow = 3, "integer overflow";
    /// A NaN was converted to an integer.
    InvalidConversionToInteger = 4, "invalid conversion to integer";
    /// The guest used up its stack, usually by endless recursion.
    StackOverflow = 5, "call stack exhausted";
    /// A load, a store or a bulk operation reached past the end of a memory.
    MemoryOutOfBounds = 6, "out of bounds memory access";
    /// An access reached past the end of a table.
    TableOutOfBounds = 7, "out of bounds table access";
    /// An indirect call named an element past the end of its table.
    UndefinedElement = 8, "undefined element";
    /// An indirect call met a null reference.
    UninitializedElement = 9, "uninitialized element";
    /// An indirect call met a function of another type.
    IndirectCallTypeMismatch = 10, "indirect call type mismatch";
    /// Machine code that was given to the engine, and that no tier compiled, faulted.
    MachineFault = 11, "fault in hand-written machine code";
    /// A function of the host returned an error: [`Trap::host_error`] has it.
    HostError = 12, "host function failed";
    /// The host asked the guest to end, or the call's deadline passed. Calls that take long in
    /// themselves, such as `memory.fill`, may have done a part of their work.
    Interrupted = 13, "interrupted";
    /// The fuel that was left did not pay for what was to come next.
    OutOfFuel = 14, "out of fuel";
}

impl fmt::Display for TrapCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

/// A name that a module has chosen, as messages show it: no more of it than one can read, and nothing
/// in it that a terminal or a log would obey.
struct Shown<'n>(&'n str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 200;
        for c in self.0.chars().take(MOST) {
            if c.is_control() { write!(f, "{}", c.escape_unicode())? } else { f.write_char(c)? }
        }
        if self.0.chars().nth(MOST).is_some() { f.write_char('…') } else { Ok(()) }
    }
}

/// One function activation in a wasm backtrace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub(crate) function: u32,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) offset: Option<u32>,
}

impl Frame {
    /// The function's index in its module, imports counted.
    #[must_use]
    pub fn function(&self) -> u32 {
        self.function
    }

    /// The function's name from the name section, or else its first export name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where in the binary module the operator stands that trapped or called: a byte offset from
    /// the start of the module. For a text module it is the offset in the binary form of it.
    #[must_use]
    pub fn offset(&self) -> Option<u32> {
        self.offset
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} (function {})", Shown(name), self.function)?,
            None => write!(f, "function {}", self.function)?,
        }
        match self.offset {
            Some(offset) => write!(f, " at 0x{offset:x}"),
            None => Ok(()),
        }
    }
}

/// A guest stopped instead of returning. The instance stays usable.
///
/// Its `Display` is one line; [`Trap::backtrace`] has the activations. Clones share both.
#[derive(Clone)]
pub struct Trap(Arc<TrapInner>);

#[derive(Clone, Debug)]
struct TrapInner {
    code: TrapCode,
    frames: Vec<Frame>,
    omitted: bool,
    host_error: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Trap {
    #[cold]
    pub(crate) fn new(code: TrapCode, frames: Vec<Frame>, omitted: bool) -> Trap {
        Trap(Arc::new(TrapInner { code, frames, omitted, host_error: None }))
    }

    /// The trap that a host function's error becomes. A trap that it passes on stays what it is.
    #[cold]
    pub(crate) fn from_host(
        error: Box<dyn std::error::Error + Send + Sync>,
        frames: Vec<Frame>,
        omitted: bool,
    ) -> Trap {
        let error = match error.downcast::<Trap>() {
            Ok(trap) => return *trap,
            Err(error) => error,
        };
        // What a call of unknown signature returns.
        let error = match error.downcast::<Error>().map(|error| *error) {
            Ok(Error::Trap(trap)) => return trap,
            Ok(other) => Box::new(other),
            Err(error) => error,
        };
        let host_error = Some(Arc::from(error));
        Trap(Arc::new(TrapInner { code: TrapCode::HostError, frames, omitted, host_error }))
    }

    /// The error that a function of the host returned, if that is what ended the guest.
    #[must_use]
    pub fn host_error(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.0.host_error.as_deref()
    }

    /// Why the guest stopped.
    #[must_use]
    pub fn code(&self) -> TrapCode {
        self.0.code
    }

    /// The wasm functions that were active, innermost first.
    #[must_use]
    pub fn backtrace(&self) -> &[Frame] {
        &self.0.frames
    }

    /// Whether more functions were active than [`Trap::backtrace`] holds, as after endless
    /// recursion.
    #[must_use]
    pub fn is_backtrace_cut(&self) -> bool {
        self.0.omitted
    }

    /// The byte offset in the binary module of the operator that trapped.
    #[must_use]
    pub fn offset(&self) -> Option<u32> {
        self.0.frames.first().and_then(Frame::offset)
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wasm trap: {}", self.0.code)?;
        if let Some(error) = &self.0.host_error {
            write!(f, ": {error}")?;
        }
        match self.0.frames.first() {
            Some(frame) => write!(f, " in {frame}"),
            None => Ok(()),
        }
    }
}

/// Equal if code and backtrace are, and the host's error, if there is one, is the same.
impl PartialEq for Trap {
    fn eq(&self, other: &Trap) -> bool {
        let (a, b) = (&*self.0, &*other.0);
        let same_error = match (&a.host_error, &b.host_error) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        a.code == b.code && a.frames == b.frames && a.omitted == b.omitted && same_error
    }
}

impl Eq for Trap {}

impl fmt::Debug for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trap")
            .field("code", &self.0.code)
            .field("backtrace", &self.0.frames)
            .field("cut", &self.0.omitted)
            .field("host_error", &self.0.host_error)
            .finish()
    }
}

impl std::error::Error for Trap {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.host_error {
            Some(error) => Some(&**error),
            None => None,
        }
    }
}

/// A module could not be loaded.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// The text format did not parse. The message has line, column and an excerpt.
    Text {
        /// The whole message, over several lines.
        message: String,
    },
    /// The input is neither a binary module nor acceptable text.
    NotAModule {
        /// What was found instead.
        message: String,
    },
    /// The binary is malformed, or well-formed and invalid.
    Invalid {
        /// What is wrong.
        message: String,
        /// Byte offset from the start of the binary module.
        offset: u64,
    },
    /// The module is valid but uses what this engine or tier does not do.
    Unsupported {
        /// What it uses: an operator such as `` operator `v128.load` ``, or a section.
        what: String,
        /// The function's index, if it is inside one.
        function: Option<u32>,
        /// Byte offset from the start of the binary module.
        offset: u64,
    },
    /// The module is larger than the engine allows.
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much the module asks for.
        actual: u64,
        /// How much is allowed.
        limit: u64,
    },
    /// A function could not be compiled, through no fault of the module.
    Compile {
        /// The function's index.
        function: u32,
        /// What the compiler said.
        message: String,
    },
    /// The operating system gave no memory for the code.
    CodeMemory(std::io::Error),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Text { message } | LoadError::NotAModule { message } => f.write_str(message),
            LoadError::Invalid { message, offset } => {
                write!(f, "invalid module: {message} (at byte offset 0x{offset:x})")
            }
            LoadError::Unsupported { what, function, offset } => {
                write!(f, "not supported: {what}")?;
                if let Some(index) = function {
                    write!(f, " in function {index}")?;
                }
                write!(f, " (at byte offset 0x{offset:x})")
            }
            LoadError::Limit { what, actual, limit } => {
                write!(f, "too large: {what} is {actual}, and this engine allows {limit}")
            }
            LoadError::Compile { function, message } => {
                write!(f, "function {function} could not be compiled: {message}")
            }
            LoadError::CodeMemory(error) => {
                write!(f, "no memory for the module's code: {error}")
            }
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LoadError::CodeMemory(error) => Some(error),
            _ => None,
        }
    }
}

/// An instance could not be made from a module.
#[derive(Debug)]
#[non_exhaustive]
pub enum LinkError {
    /// The module imports something that was not provided.
    MissingImport {
        /// The import's module name.
        module: String,
        /// The import's field name.
        name: String,
        /// The type that it must have.
        expected: String,
    },
    /// An import was provided, but not of the type that the module asks for.
    IncompatibleImport {
        /// The import's module name.
        module: String,
        /// The import's field name.
        name: String,
        /// The type that it must have.
        expected: String,
        /// The type that was provided.
        actual: String,
    },
    /// A segment did not fit its table or memory, or the start function trapped.
    Start(Trap),
    /// The instance would have more than the engine allows, or all of its instances together.
    Limit {
        /// What there is too much of, with the limit's name.
        what: &'static str,
        /// How much there would be.
        actual: u64,
        /// How much is allowed.
        limit: u64,
    },
    /// The instance's limiter refused a memory or a table.
    Refused {
        /// `memory` or `table`.
        what: String,
        /// The bytes of the memory, or the elements of the table.
        desired: u64,
    },
    /// The instance cannot be reset now: a guest runs on its thread, or there is a view of one of
    /// its memories.
    InUse {
        /// What uses it.
        by: &'static str,
    },
    /// The operating system refused something that an instance needs.
    Resources(std::io::Error),
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkError::MissingImport { module, name, expected } => {
                let (module, name) = (Shown(module), Shown(name));
                write!(f, "missing import: `{module}` `{name}` ({expected}) was not provided")
            }
            LinkError::IncompatibleImport { module, name, expected, actual } => {
                let (module, name) = (Shown(module), Shown(name));
                write!(
                    f,
                    "incompatible import type: `{module}` `{name}` must be {expected}, and is {actual}"
                )
            }
            LinkError::Start(trap) => write!(f, "instantiation failed: {trap}"),
            LinkError::Limit { what, actual, limit } => {
                write!(f, "too much: {what} would be {actual}, and this engine allows {limit}")
            }
            LinkError::Refused { what, desired } => {
                let unit = if what == "memory" { "bytes" } else { "elements" };
                write!(f, "the instance's limiter refused a {what} of {desired} {unit}")
            }
            LinkError::InUse { by } => {
                write!(f, "an instance cannot be reset while it is in use by {by}")
            }
            LinkError::Resources(error) => write!(f, "no resources for an instance: {error}"),
        }
    }
}

impl std::error::Error for LinkError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LinkError::Start(trap) => Some(trap),
            LinkError::Resources(error) => Some(error),
            _ => None,
        }
    }
}

/// An export is not there, or is not what the caller takes it for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExportError {
    /// Nothing is exported under that name.
    Unknown {
        /// The name that was asked for.
        name: String,
        /// What was asked for: a function, a memory, a table or a global.
        kind: &'static str,
        /// The names of the exports of that kind, in the module's order.
        known: Vec<String>,
    },
    /// The export exists but is something else.
    Kind {
        /// The name that was asked for.
        name: String,
        /// What was asked for.
        expected: &'static str,
        /// What it is.
        actual: &'static str,
    },
    /// The function has another signature.
    Signature {
        /// The name that was asked for.
        name: String,
        /// The signature that the caller gave.
        expected: String,
        /// The signature that the function has.
        actual: String,
    },
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExportError::Unknown { name, kind, known } if known.is_empty() => {
                write!(f, "no export `{}`: the module exports no {kind}", Shown(name))
            }
            ExportError::Unknown { name, kind, known } => {
                // A module may export thousands: name a few, count the rest.
                const SHOWN: usize = 12;
                write!(f, "no export `{}`; the exported {kind}s are ", Shown(name))?;
                for (i, known) in known.iter().take(SHOWN).enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    write!(f, "{comma}`{}`", Shown(known))?;
                }
                match known.len().checked_sub(SHOWN) {
                    Some(more) if more > 0 => write!(f, " and {more} more"),
                    _ => Ok(()),
                }
            }
            ExportError::Kind { name, expected, actual } => {
                write!(f, "export `{}` is a {actual}, not a {expected}", Shown(name))
            }
            ExportError::Signature { name, expected, actual } => {
                write!(f, "export `{}` has the signature {actual}, not {expected}", Shown(name))
            }
        }
    }
}

impl std::error::Error for ExportError {}

/// Arguments of a dynamic call do not fit the function's parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgumentError {
    pub(crate) message: String,
}

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ArgumentError {}

/// A batch of calls did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BatchError {
    /// A column is not as long as the results. Nothing was called.
    Length {
        /// Which column, counted from 0.
        column: usize,
        /// How long it is.
        len: usize,
        /// How long the results are.
        rows: usize,
    },
    /// The guest trapped.
    Trap {
        /// In which row, counted from 0. All before it are done, none behind it was begun.
        row: usize,
        /// Why, and where in the guest.
        trap: Trap,
    },
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BatchError::Length { column, len, rows } => {
                write!(
                    f,
                    "column {column} has {len} rows, but there is room for {rows} results: "
                )?;
                f.write_str("all columns and the results must be equally long")
            }
            BatchError::Trap { row, trap } => write!(f, "in row {row}: {trap}"),
        }
    }
}

impl std::error::Error for BatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BatchError::Length { .. } => None,
            BatchError::Trap { trap, .. } => Some(trap),
        }
    }
}

/// Why a function cannot be a bare function pointer: it is not plain. Each is what was found first.
///
/// A function may be plain in one tier and not in the other, where one of them sees that an operator
/// cannot trap, or needs no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotPlain {
    /// It calls functions, or an operator of it calls the runtime.
    Calls,
    /// It has a loop, so that it may run for long.
    Loops,
    /// It may trap.
    Traps,
    /// It uses its instance: a memory, a table, a global, or a reference to a function.
    Instance,
    /// It is large, or has many locals.
    Large,
    /// Its parameters do not all travel in registers: at most six integers and eight floats do.
    Signature,
    /// It is hand-written machine code, of which nothing is known.
    MachineCode,
    /// It is a function of the host.
    Host,
}

impl fmt::Display for NotPlain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self {
            NotPlain::Calls => "it calls functions or the runtime",
            NotPlain::Loops => "it has a loop",
            NotPlain::Traps => "it may trap",
            NotPlain::Instance => {
                "it uses a memory, a table, a global or a reference to a function"
            }
            NotPlain::Large => "it is too large",
            NotPlain::Signature => "its parameters do not all travel in registers",
            NotPlain::MachineCode => "it is hand-written machine code",
            NotPlain::Host => "it is a function of the host",
        };
        write!(f, "the function cannot be a bare function pointer, because {why}: call it as it is")
    }
}

impl std::error::Error for NotPlain {}

/// Any error of this crate, for callers that pass them all on with `?`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A module could not be loaded.
    Load(LoadError),
    /// An instance could not be made.
    Link(LinkError),
    /// An export is not there or has another type.
    Export(ExportError),
    /// The arguments of a dynamic call do not fit.
    Arguments(ArgumentError),
    /// The guest trapped.
    Trap(Trap),
    /// A batch of calls did not come to its end.
    Batch(BatchError),
    /// A function cannot be a bare function pointer.
    NotPlain(NotPlain),
}

macro_rules! error_from {
    ($($variant:ident($ty:ty)),*) => {
        $(impl From<$ty> for Error {
            fn from(error: $ty) -> Error {
                Error::$variant(error)
            }
        })*

        impl fmt::Display for Error {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $(Error::$variant(error) => error.fmt(f)),* }
            }
        }

        impl std::error::Error for Error {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                match self { $(Error::$variant(error) => error.source()),* }
            }
        }
    };
}

error_from!(
    Load(LoadError),
    Link(LinkError),
    Export(ExportError),
    Arguments(ArgumentError),
    Trap(Trap),
    Batch(BatchError),
    NotPlain(NotPlain)
);
