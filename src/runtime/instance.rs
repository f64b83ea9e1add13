//! An instance: a module with the state that it runs on.

use std::cell::UnsafeCell;
use std::fmt;
use std::rc::Rc;

use super::func::Func;
use super::module::Module;
use super::thread::Thread;
use super::typed::{TypedFunc, WasmFn};
use super::{signals, trampolines, trap};
use crate::compile::abi::VmContext;
use crate::error::{ExportError, LinkError, Trap};
use crate::module::{ExportKind, FuncType};

/// What a module's imports are bound to.
///
/// ```
/// use wasm_mini::{Imports, Instance, LinkError, Module};
///
/// let module = Module::new(r#"(module (import "env" "log" (func (param i32))))"#)?;
/// let error = Instance::new(&module, &Imports::none()).unwrap_err();
/// assert!(matches!(&error, LinkError::MissingImport { module, .. } if module == "env"));
/// # Ok::<(), wasm_mini::LoadError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Imports(());

impl Imports {
    /// Nothing: enough for a module that imports nothing.
    #[must_use]
    pub fn none() -> Imports {
        Imports::default()
    }
}

/// A module that can be called.
///
/// Cheap to make and to clone; clones are the same instance. It belongs to the thread that made it
/// (it is neither `Send` nor `Sync`), so that no call takes a lock; threads share the [`Module`]
/// and make an instance each. It lives as long as any function taken from it.
#[derive(Clone)]
pub struct Instance(pub(super) Rc<Inner>);

pub(super) struct Inner {
    /// Compiled code reads it through r15 while Rust holds no reference into it.
    vmctx: UnsafeCell<VmContext>,
    pub module: Module,
    thread: Rc<Thread>,
}

/// An exported function, found: what both kinds of handle are made of.
pub(super) struct Export {
    pub instance: Instance,
    pub code: *const u8,
    pub function: u32,
    /// It needs no landing pad.
    pub plain: bool,
}

impl Instance {
    /// Binds the module's imports and runs its start function.
    ///
    /// # Errors
    ///
    /// An import is missing, the start function trapped, or the system refused a stack for signal
    /// handlers.
    pub fn new(module: &Module, _imports: &Imports) -> Result<Instance, LinkError> {
        let info = &module.0.info;
        if let Some(import) = info.imports.first() {
            return Err(LinkError::MissingImport {
                module: import.module.clone(),
                name: import.name.clone(),
                expected: import.ty.clone(),
            });
        }
        signals::install().map_err(LinkError::Resources)?;
        let thread = Thread::current().map_err(LinkError::Resources)?;
        let vmctx = UnsafeCell::new(VmContext {
            stack_limit: thread.stack_limit,
            raise_trap: trampolines::raise_trap(),
            thread: Rc::as_ptr(&thread).cast_mut().cast(),
            record_trap: trap::record_trap as *const () as usize,
            module: (&raw const module.0.map).cast(),
        });
        let instance = Instance(Rc::new(Inner { vmctx, module: module.clone(), thread }));
        if let Some(start) = info.start {
            Func::new(instance.function(start)).call(&[]).map_err(|error| match error {
                crate::Error::Trap(trap) => LinkError::Start(trap),
                other => unreachable!("a start function takes nothing: {other}"),
            })?;
        }
        Ok(instance)
    }

    /// The module that this is an instance of.
    #[must_use]
    pub fn module(&self) -> &Module {
        &self.0.module
    }

    /// An exported function as a Rust closure: `'static`, owning its instance.
    ///
    /// `F` is the signature as a function type; parameters and results are `i32`, `u32`, `i64`,
    /// `u64`, `f32` and `f64`, up to twelve of each, several results as a tuple. The signature is
    /// checked here, once.
    ///
    /// # Errors
    ///
    /// There is no such export, it is not a function, or it has another signature.
    ///
    /// ```
    /// use wasm_mini::{Imports, Instance, Module};
    ///
    /// let module = Module::new(
    ///     r#"(module (func (export "divmod") (param i32 i32) (result i32 i32)
    ///          (i32.div_u (local.get 0) (local.get 1))
    ///          (i32.rem_u (local.get 0) (local.get 1))))"#,
    /// )?;
    /// let instance = Instance::new(&module, &Imports::none())?;
    /// let divmod = instance.func::<fn(u32, u32) -> (u32, u32)>("divmod")?;
    /// assert_eq!(divmod(17, 5)?, (3, 2));
    /// assert!(divmod(1, 0).is_err());
    /// # Ok::<(), wasm_mini::Error>(())
    /// ```
    pub fn func<F: WasmFn>(&self, name: &str) -> Result<F::Closure, ExportError> {
        self.typed_func::<F>(name).map(F::into_closure)
    }

    /// Like [`Instance::func`], as a [`TypedFunc`]: saves the closure's indirect call.
    ///
    /// # Errors
    ///
    /// As for [`Instance::func`].
    pub fn typed_func<F: WasmFn>(&self, name: &str) -> Result<TypedFunc<F>, ExportError> {
        let export = self.exported_function(name)?;
        let ty = export.instance.0.module.0.info.function_type(export.function);
        if ty.params() != F::PARAMS || ty.results() != F::RESULTS {
            let asked = FuncType::new(F::PARAMS.iter().copied(), F::RESULTS.iter().copied());
            return Err(ExportError::Signature {
                name: name.to_string(),
                expected: asked.to_string(),
                actual: ty.to_string(),
            });
        }
        Ok(TypedFunc::new(export))
    }

    /// An exported function to be called with [`Value`](crate::Value)s, whatever its signature.
    ///
    /// # Errors
    ///
    /// There is no such export, or it is not a function.
    pub fn dyn_func(&self, name: &str) -> Result<Func, ExportError> {
        self.exported_function(name).map(Func::new)
    }

    fn exported_function(&self, name: &str) -> Result<Export, ExportError> {
        let info = &self.0.module.0.info;
        match info.export(name) {
            Some(export) if export.kind == ExportKind::Function => Ok(self.function(export.index)),
            Some(export) => {
                Err(ExportError::NotAFunction { name: name.to_string(), kind: export.kind.name() })
            }
            None => Err(ExportError::Unknown {
                name: name.to_string(),
                functions: info.exported_functions().map(|(name, _)| name.to_string()).collect(),
            }),
        }
    }

    fn function(&self, function: u32) -> Export {
        let module = &self.0.module.0;
        let defined = (function - module.info.imported_functions) as usize;
        Export {
            instance: self.clone(),
            code: module.map.address_of(defined) as *const u8,
            function,
            plain: module.map.plain[defined],
        }
    }

    /// What compiled code gets in r15.
    pub(super) fn vmctx(&self) -> *mut VmContext {
        self.0.vmctx.get()
    }

    /// The trap that has just ended a call into this instance.
    #[cold]
    pub(super) fn take_trap(&self) -> Trap {
        trap::take(&self.0.thread, &self.0.module.0.map, &self.0.module.0.info)
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("module", &self.0.module).finish_non_exhaustive()
    }
}
