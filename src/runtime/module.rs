//! A compiled module: from bytes through both compilers' common road to code that runs.

use std::fmt;
use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::batch::Loops;
use super::bodies::{self, Code, Compiled, Foreign, Sources};
use super::code::CodeMemory;
use super::code_map::CodeMap;
use super::engine::Engine;
use super::image::LazyImage;
use super::type_ids::TypeIds;
use crate::compile::abi::Layout;
use crate::compile::{CompiledFunction, Tier};
use crate::error::LoadError;
use crate::module::{self, FuncType, Limits, Loaded, ModuleInfo};

/// A validated and compiled module.
///
/// `Send + Sync` and cheap to clone: clones are the same module. Its code lives as long as the
/// module, an instance of it, or a function taken from one.
///
/// ```
/// let module = wasm_mini::Module::new(
///     r#"(module (func (export "twice") (param i32) (result i32)
///          (i32.mul (local.get 0) (i32.const 2))))"#,
/// )?;
/// let twice = module.exported_functions().next().expect("one export");
/// assert_eq!((twice.name(), twice.ty().to_string()), ("twice", "(i32) -> i32".to_string()));
/// # Ok::<(), wasm_mini::LoadError>(())
/// ```
#[derive(Clone)]
pub struct Module(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub info: ModuleInfo,
    pub layout: Layout,
    pub map: CodeMap,
    /// The numbers of `info.types`, in use as long as the code that compares them.
    pub type_ids: TypeIds,
    engine: Engine,
    timings: Option<Timings>,
    pub loops: Loops,
    pub image: LazyImage,
    /// Something of the module stays for ever: see [`Module::leak`].
    leaked: AtomicBool,
}

/// How long the phases of making a module took. Where several threads compiled it, the times of
/// `validate` and `compile` are the sums of theirs, and part of `parse` was at the same time.
///
/// Operating-system noise included: take the least of several runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timings {
    /// Text to binary, and the sections other than code.
    pub parse: Duration,
    /// Validating the function bodies.
    pub validate: Duration,
    /// Operators to machine code.
    pub compile: Duration,
    /// Placing the code, and connecting its calls.
    pub link: Duration,
    /// Making it executable.
    pub publish: Duration,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(image) = self.image.get() {
            self.engine.pool().forget(image);
        }
    }
}

impl Timings {
    /// Adds what was counted elsewhere before linking.
    pub(super) fn add(&mut self, other: Timings) {
        self.parse += other.parse;
        self.validate += other.validate;
        self.compile += other.compile;
    }
}

impl Module {
    /// Loads a module in the binary or (with the feature `wat`) the text format: parses, validates
    /// and compiles it, with the engine that all such modules share.
    ///
    /// # Errors
    ///
    /// The input is malformed, invalid, or beyond what the engine does; see [`LoadError`].
    pub fn new(input: impl AsRef<[u8]>) -> Result<Module, LoadError> {
        Module::with_engine(Engine::shared().map_err(LoadError::CodeMemory)?, input)
    }

    /// Like [`Module::new`], with an engine of the caller's choice.
    ///
    /// # Errors
    ///
    /// As for [`Module::new`].
    pub fn with_engine(engine: &Engine, input: impl AsRef<[u8]>) -> Result<Module, LoadError> {
        Module::load(engine, input.as_ref(), None)
    }

    /// Like [`Module::with_engine`], except that the function with this index (imports counted)
    /// runs `code` instead of what the engine's tier makes of its body. For comparing hand-written
    /// machine code with a compiler's.
    ///
    /// The function's parameters and results travel as in the System V convention for up to six
    /// integers, eight floats and one result; r15 holds a pointer of the engine's and must not be
    /// changed, nor may rbx, rbp and r12 to r14. The state of x87 and MMX and the modes of
    /// floating-point arithmetic stay as they are.
    ///
    /// # Safety
    ///
    /// `code` must be a complete function that follows that convention, touches no memory but its
    /// own stack below rsp, and returns. A fault inside it usually surfaces as a trap with
    /// [`TrapCode::MachineFault`](crate::TrapCode::MachineFault), but nothing else is checked.
    ///
    /// # Errors
    ///
    /// As for [`Module::new`]; also if the module defines no function with that index.
    pub unsafe fn with_machine_code(
        engine: &Engine,
        input: impl AsRef<[u8]>,
        function: u32,
        code: &[u8],
    ) -> Result<Module, LoadError> {
        Module::load(engine, input.as_ref(), Some(Foreign { function, code }))
    }

    fn load(
        engine: &Engine,
        input: &[u8],
        foreign: Option<Foreign<'_>>,
    ) -> Result<Module, LoadError> {
        let mut clock = Clock::new(engine.collects_timings());
        let binary = module::binary(input)?;
        let mut info = ModuleInfo::default();
        let Loaded { bodies, tail } = module::load(&binary, engine.limits(), &mut info)?;
        let type_ids = TypeIds::intern(&info.types);
        let layout = Layout::new(&info, engine.fuel().is_some());
        if let Some(Foreign { function, .. }) = foreign
            && !(info.imported_functions..info.functions.len() as u32).contains(&function)
        {
            return Err(LoadError::NotAModule {
                message: format!("the module defines no function {function} to replace"),
            });
        }
        clock.lap(|timings| &mut timings.parse);

        let sources = Sources { bodies, foreign, tail };
        let (mut code, late) =
            bodies::compile(engine, &info, type_ids.ids(), &layout, sources, &mut clock)?;
        info.late = late;
        let memory = link(engine, &info, &mut code, &mut clock)?;
        let map = CodeMap {
            code: memory,
            functions: code.functions,
            traps: code.traps,
            inlined: code.inlined,
            calls: code.calls,
            foreign: code.foreign,
        };
        Ok(Module(Arc::new(Inner {
            info,
            layout,
            map,
            type_ids,
            engine: engine.clone(),
            timings: clock.timings,
            loops: Loops::default(),
            image: LazyImage::default(),
            leaked: AtomicBool::new(false),
        })))
    }

    /// Makes the module, its code included, stay as long as the process.
    pub(super) fn leak(&self) {
        if !self.0.leaked.swap(true, Ordering::Relaxed) {
            mem::forget(self.clone());
        }
    }

    /// The engine that compiled the module.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// The functions that the module exports, in its order.
    pub fn exported_functions(&self) -> impl Iterator<Item = ExportedFunction<'_>> {
        let info = &self.0.info;
        info.exported_functions().map(move |(name, index)| ExportedFunction {
            name,
            index,
            ty: info.function_type(index),
        })
    }

    /// The machine code of the function with this index (imports counted); `None` for an imported
    /// function and for an index past the last.
    #[must_use]
    pub fn code(&self, function: u32) -> Option<&[u8]> {
        let defined = function.checked_sub(self.0.info.imported_functions)?;
        let CompiledFunction { code: Range { start, end }, .. } =
            self.0.map.functions.get(defined as usize)?;
        self.0.map.code.bytes().get(*start as usize..*end as usize)
    }

    /// Which tier compiled the function with this index (imports counted): the engine's, or the
    /// baseline tier where Cranelift would have taken too long. `None` for a function that no tier
    /// compiled.
    #[must_use]
    pub fn tier(&self, function: u32) -> Option<Tier> {
        let defined = function.checked_sub(self.0.info.imported_functions)?;
        self.0.map.functions.get(defined as usize)?.tier
    }

    /// How long making the module took, if its engine collects timings.
    #[must_use]
    pub fn timings(&self) -> Option<Timings> {
        self.0.timings
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module")
            .field("functions", &self.0.info.functions.len())
            .field("code_bytes", &self.0.map.code.bytes().len())
            .finish_non_exhaustive()
    }
}

/// A function that a module exports.
#[derive(Clone, Copy, Debug)]
pub struct ExportedFunction<'m> {
    name: &'m str,
    index: u32,
    ty: &'m FuncType,
}

impl<'m> ExportedFunction<'m> {
    /// The name it is exported under.
    #[must_use]
    pub fn name(&self) -> &'m str {
        self.name
    }

    /// Its index in the module, imports counted.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Its signature.
    #[must_use]
    pub fn ty(&self) -> &'m FuncType {
        self.ty
    }
}

/// Checks that the input is a valid module that this engine could compile, without compiling it.
///
/// # Errors
///
/// As for [`Module::new`], except that operators which a tier does not support are not found.
///
/// ```
/// assert!(wasm_mini::validate(b"\0asm\x01\0\0\0").is_ok());
/// assert!(wasm_mini::validate(b"\0asm\x02\0\0\0").is_err());
/// ```
pub fn validate(input: impl AsRef<[u8]>) -> Result<(), LoadError> {
    let binary = module::binary(input.as_ref())?;
    let mut validation = module::Validation::default();
    let (_, bodies) = module::load_whole(&binary, &Limits::default())?;
    for function in bodies.functions() {
        bodies.validate(function, &mut validation)?;
    }
    Ok(())
}

/// Places the code in executable memory and connects its calls.
fn link(
    engine: &Engine,
    info: &ModuleInfo,
    code: &mut Compiled,
    clock: &mut Clock,
) -> Result<CodeMemory, LoadError> {
    let allocate = |len| engine.allocate_code(len).map_err(LoadError::CodeMemory);
    let draft = match mem::take(&mut code.code) {
        Code::Placed(draft) => {
            let mut draft = draft.map_or_else(|| allocate(0), Ok)?;
            let bytes = draft.bytes_mut();
            for relocation in &code.relocations {
                let defined = (relocation.function - info.imported_functions) as usize;
                let at = relocation.offset as usize;
                // Distances in one module fit: its code is smaller than 2 GiB.
                let distance = code.functions[defined].code.start as i64 - (at as i64 + 4);
                bytes[at..at + 4].copy_from_slice(&(distance as i32).to_le_bytes());
            }
            draft
        }
        #[cfg(feature = "cranelift")]
        Code::Chunks(chunks) => {
            let draft = allocate(code.len())?;
            super::jit::link(engine.backend().isa()?, info, code, chunks, draft)?
        }
        #[cfg(not(feature = "cranelift"))]
        Code::Chunks(_) => unreachable!("the baseline tier's code is placed at once"),
    };
    clock.lap(|timings| &mut timings.link);
    let memory = draft.publish().map_err(LoadError::CodeMemory)?;
    clock.lap(|timings| &mut timings.publish);
    Ok(memory)
}

/// Adds up the time of each phase, or does nothing.
pub(super) struct Clock {
    last: Option<Instant>,
    timings: Option<Timings>,
}

impl Clock {
    pub fn new(on: bool) -> Clock {
        Clock { last: on.then(Instant::now), timings: on.then(Timings::default) }
    }

    /// Counts the time since the last lap for a phase.
    pub fn lap(&mut self, phase: impl FnOnce(&mut Timings) -> &mut Duration) {
        if let (Some(last), Some(timings)) = (&mut self.last, &mut self.timings) {
            let now = Instant::now();
            *phase(timings) += now - *last;
            *last = now;
        }
    }

    /// Counts what another clock has counted, and nothing for the time since the last lap.
    pub fn add(&mut self, other: Option<Timings>) {
        if let (Some(last), Some(timings), Some(other)) = (&mut self.last, &mut self.timings, other)
        {
            timings.add(other);
            *last = Instant::now();
        }
    }

    pub fn timings(&self) -> Option<Timings> {
        self.timings
    }
}
