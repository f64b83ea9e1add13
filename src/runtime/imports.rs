//! What modules import: functions of the host, and exports of other instances.

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use super::externs::{Extern, is_function, is_global, is_memory, is_table};
use super::host::{Caller, HostFunc, IntoHostFunc};
use super::instance::Instance;
use super::value::Value;
use crate::error::LinkError;
use crate::module::{FuncType, Import, ImportType, ModuleInfo};

/// What a module's imports are bound to, by module and field name.
///
/// ```
/// use std::cell::RefCell;
/// use std::rc::Rc;
/// use wasm_mini::{Caller, Imports, Instance, Module};
///
/// let module = Module::new(r#"(module
///     (import "env" "log" (func $log (param i32)))
///     (func (export "main") (call $log (i32.const 42))))"#)?;
///
/// let seen = Rc::new(RefCell::new(Vec::new()));
/// let mut imports = Imports::none();
/// let log = seen.clone();
/// imports.func("env", "log", move |value: i32| log.borrow_mut().push(value));
/// # if wasm_mini::Engine::shared().unwrap().tier() == wasm_mini::Tier::Cranelift {
/// Instance::new(&module, &imports)?.func::<fn()>("main")?()?;
/// assert_eq!(*seen.borrow(), [42]);
/// # }
/// # Ok::<(), wasm_mini::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Imports {
    definitions: HashMap<String, HashMap<String, Definition>>,
}

/// What one name stands for.
#[derive(Clone)]
pub(super) enum Definition {
    Host(Rc<HostFunc>),
    Extern(Extern),
}

impl Definition {
    fn describe(&self) -> String {
        match self {
            Definition::Host(host) => format!("function {}", host.ty),
            Definition::Extern(given) => given.describe(),
        }
    }

    fn matches(&self, info: &ModuleInfo, asked: ImportType) -> bool {
        match (self, asked) {
            (Definition::Host(host), ImportType::Function(ty)) => {
                host.ty == info.types[ty as usize]
            }
            (Definition::Host(_), _) => false,
            (Definition::Extern(given), asked) => match asked {
                ImportType::Function(ty) => is_function(given, &info.types[ty as usize]),
                ImportType::Table(ty) => is_table(given, ty),
                ImportType::Memory(ty) => is_memory(given, ty),
                ImportType::Global(ty) => is_global(given, ty),
            },
        }
    }
}

impl Imports {
    /// Nothing: enough for a module that imports nothing, and the start for one that does.
    #[must_use]
    pub fn none() -> Imports {
        Imports::default()
    }

    /// Defines a function of the host.
    ///
    /// `function` is a closure over the types that [`Instance::func`] knows; it may take
    /// `&mut Caller` first, and may return a `Result`, whose error ends the guest with
    /// [`TrapCode::HostError`](crate::TrapCode::HostError). It may call guests. If it panics, the
    /// panic goes on in the host function or the program that called the guest.
    ///
    /// A later definition of the same name replaces an earlier one.
    ///
    /// A closure that holds a handle to an instance which imports it keeps that instance alive for
    /// ever; [`Caller::instance`] gives such a closure its instance without one.
    pub fn func<Kind>(
        &mut self,
        module: &str,
        name: &str,
        function: impl IntoHostFunc<Kind>,
    ) -> &mut Imports {
        self.insert(module, name, Definition::Host(Rc::new(function.into_host_func())))
    }

    /// Defines a function of the host whose signature is known only at run time. It gets the
    /// arguments and must return as many results as the signature has, of its types.
    pub fn func_dyn(
        &mut self,
        module: &str,
        name: &str,
        ty: FuncType,
        function: impl Fn(
            &mut Caller<'_>,
            &[Value],
        ) -> Result<Vec<Value>, Box<dyn std::error::Error + Send + Sync>>
        + 'static,
    ) -> &mut Imports {
        self.insert(module, name, Definition::Host(Rc::new(HostFunc::dynamic(ty, function))))
    }

    /// Defines something that an instance exports.
    pub fn define(&mut self, module: &str, name: &str, given: impl Into<Extern>) -> &mut Imports {
        self.insert(module, name, Definition::Extern(given.into()))
    }

    /// Defines everything that an instance exports, under its own names.
    pub fn instance(&mut self, module: &str, instance: &Instance) -> &mut Imports {
        for (name, given) in instance.exports() {
            self.define(module, name, given);
        }
        self
    }

    fn insert(&mut self, module: &str, name: &str, definition: Definition) -> &mut Imports {
        // Looked up first, because most definitions share a module name.
        if !self.definitions.contains_key(module) {
            self.definitions.insert(module.to_string(), HashMap::new());
        }
        if let Some(names) = self.definitions.get_mut(module) {
            names.insert(name.to_string(), definition);
        }
        self
    }

    /// The definitions that a module asks for, in its order.
    pub(super) fn resolve(&self, info: &ModuleInfo) -> Result<Vec<&Definition>, LinkError> {
        // Most imports come from the module that the one before came from.
        let mut last: (&str, Option<&HashMap<String, Definition>>) = ("", None);
        let resolved = info.imports.iter().map(|import| {
            if last.1.is_none() || last.0 != import.module {
                last = (&import.module, self.definitions.get(&import.module));
            }
            match last.1.and_then(|names| names.get(&import.name)) {
                Some(given) if given.matches(info, import.ty) => Ok(given),
                given => Err(misfit(info, import, given)),
            }
        });
        resolved.collect()
    }
}

/// Why an import is not bound to what is given.
fn misfit(info: &ModuleInfo, import: &Import, given: Option<&Definition>) -> LinkError {
    let (module, name) = (import.module.clone(), import.name.clone());
    let expected = match import.ty {
        ImportType::Function(ty) => format!("function {}", info.types[ty as usize]),
        ImportType::Table(ty) => ty.to_string(),
        ImportType::Memory(ty) => ty.to_string(),
        ImportType::Global(ty) => ty.to_string(),
    };
    match given.map(Definition::describe) {
        None => LinkError::MissingImport { module, name, expected },
        Some(actual) => LinkError::IncompatibleImport { module, name, expected, actual },
    }
}

impl fmt::Debug for Imports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (module, names) in &self.definitions {
            for (name, definition) in names {
                map.entry(&format_args!("{module} {name}"), &definition.describe());
            }
        }
        map.finish()
    }
}
