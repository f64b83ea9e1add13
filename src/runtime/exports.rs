//! What an instance exports, by name: functions of known and unknown signature, memories, tables and
//! globals.

use super::batch::BatchFunc;
use super::externs::{Extern, Global, Memory, Table};
use super::func::Func;
use super::instance::Instance;
use super::typed::{TypedFunc, WasmFn};
use crate::error::ExportError;
use crate::module::{Export, ExportKind, FuncType};

impl Instance {
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
        let function = self.find(name, ExportKind::Function)?.index;
        let info = &self.0.module.0.info;
        let ty = info.function_type(function);
        if ty.params() != F::PARAMS || ty.results() != F::RESULTS {
            let asked = FuncType::new(F::PARAMS.iter().copied(), F::RESULTS.iter().copied());
            return Err(ExportError::Signature {
                name: name.to_string(),
                expected: asked.to_string(),
                actual: ty.to_string(),
            });
        }
        let plain = match function.checked_sub(info.imported_functions) {
            Some(defined) => self.0.module.0.map.functions[defined as usize].plain.is_ok(),
            None => false,
        };
        Ok(TypedFunc::new(self.clone(), self.0.func_ref(function), plain))
    }

    /// Like [`Instance::func`], as a [`BatchFunc`]: calls the function for each row of some columns.
    ///
    /// # Errors
    ///
    /// As for [`Instance::func`].
    pub fn batch_func<F: WasmFn>(&self, name: &str) -> Result<BatchFunc<F>, ExportError> {
        self.typed_func::<F>(name).map(BatchFunc::from)
    }

    /// An exported function to be called with [`Value`](crate::Value)s, whatever its signature.
    ///
    /// # Errors
    ///
    /// There is no such export, or it is not a function.
    pub fn dyn_func(&self, name: &str) -> Result<Func, ExportError> {
        Ok(self.function(self.find(name, ExportKind::Function)?.index))
    }

    /// An exported memory.
    ///
    /// # Errors
    ///
    /// There is no such export, or it is not a memory.
    pub fn memory(&self, name: &str) -> Result<Memory, ExportError> {
        let index = self.find(name, ExportKind::Memory)?.index;
        Ok(Memory { instance: self.clone(), index })
    }

    /// An exported table.
    ///
    /// # Errors
    ///
    /// There is no such export, or it is not a table.
    pub fn table(&self, name: &str) -> Result<Table, ExportError> {
        let index = self.find(name, ExportKind::Table)?.index;
        Ok(Table { instance: self.clone(), index })
    }

    /// An exported global.
    ///
    /// # Errors
    ///
    /// There is no such export, or it is not a global.
    pub fn global(&self, name: &str) -> Result<Global, ExportError> {
        let index = self.find(name, ExportKind::Global)?.index;
        Ok(Global { instance: self.clone(), index })
    }

    /// An export, whatever it is.
    #[must_use]
    pub fn export(&self, name: &str) -> Option<Extern> {
        self.0.module.0.info.export(name).and_then(|export| self.extern_of(export))
    }

    /// All exports, in the module's order.
    pub fn exports(&self) -> impl Iterator<Item = (&str, Extern)> {
        let exports = self.0.module.0.info.exports.iter();
        exports.filter_map(|export| Some((&*export.name, self.extern_of(export)?)))
    }

    fn extern_of(&self, export: &Export) -> Option<Extern> {
        let (instance, index) = (self.clone(), export.index);
        Some(match export.kind {
            ExportKind::Function => Extern::Func(self.function(index)),
            ExportKind::Memory => Extern::Memory(Memory { instance, index }),
            ExportKind::Table => Extern::Table(Table { instance, index }),
            ExportKind::Global => Extern::Global(Global { instance, index }),
            ExportKind::Tag => return None,
        })
    }

    fn find(&self, name: &str, kind: ExportKind) -> Result<&Export, ExportError> {
        let info = &self.0.module.0.info;
        match info.export(name) {
            Some(export) if export.kind == kind => Ok(export),
            Some(export) => Err(ExportError::Kind {
                name: name.to_string(),
                expected: kind.name(),
                actual: export.kind.name(),
            }),
            None => {
                let of_kind = info.exports.iter().filter(|export| export.kind == kind);
                Err(ExportError::Unknown {
                    name: name.to_string(),
                    kind: kind.name(),
                    known: of_kind.map(|export| export.name.to_string()).collect(),
                })
            }
        }
    }
}
