//! Handles to what instances export besides functions: memories, tables and globals.

use std::cell::Cell;
use std::fmt;
use std::ops::Deref;

use super::func::Func;
use super::instance::{Instance, read_global};
use super::value::Value;
use crate::compile::abi::VmGlobal;
use crate::module::{FuncType, GlobalType, MemoryType, TableType};

/// Something that an instance exports and another can import.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Extern {
    /// A function.
    Func(Func),
    /// A linear memory.
    Memory(Memory),
    /// A table.
    Table(Table),
    /// A global.
    Global(Global),
}

impl Extern {
    /// The type, in the words of the text format.
    pub(super) fn describe(&self) -> String {
        match self {
            Extern::Func(func) => format!("function {}", func.ty()),
            Extern::Memory(memory) => memory.ty().to_string(),
            Extern::Table(table) => table.ty().to_string(),
            Extern::Global(global) => global.ty().to_string(),
        }
    }
}

macro_rules! extern_from {
    ($($ty:ident),*) => {
        $(impl From<$ty> for Extern {
            fn from(value: $ty) -> Extern {
                Extern::$ty(value)
            }
        })*
    };
}

extern_from!(Func, Memory, Table, Global);

/// A place that is not in a memory, a table, or not of its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessError {
    message: String,
}

impl AccessError {
    fn new(message: String) -> AccessError {
        AccessError { message }
    }
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for AccessError {}

/// An instance's linear memory. Owns its instance.
///
/// A memory moves and shrinks only in [`Instance::reset`], so a view of it stays valid when the guest
/// grows it; it just does not show what was added. Guests write into memory that a view shows, which is
/// why views are of [`Cell`]s.
///
/// ```
/// use wasm_mini::{Imports, Instance, Module};
///
/// let module = Module::new(r#"(module (memory (export "memory") 1)
///     (func (export "get") (param i32) (result i32) (i32.load8_u (local.get 0))))"#)?;
/// let instance = Instance::new(&module, &Imports::none())?;
/// let memory = instance.memory("memory")?;
/// # if wasm_mini::Engine::shared().unwrap().tier() == wasm_mini::Tier::Cranelift {
/// memory.write(10, b"hi").expect("inside the first page");
/// assert_eq!(instance.func::<fn(u32) -> u32>("get")?(11)?, u32::from(b'i'));
/// assert_eq!(memory.cells()[10].get(), b'h');
/// assert!(memory.write(65535, b"hi").is_err());
/// # }
/// # Ok::<(), wasm_mini::Error>(())
/// ```
#[derive(Clone)]
pub struct Memory {
    pub(super) instance: Instance,
    pub(super) index: u32,
}

impl Memory {
    /// The type, with the present size as the least.
    #[must_use]
    pub fn ty(&self) -> MemoryType {
        MemoryType { min: self.pages(), max: self.instance.0.memory(self.index).ty().max }
    }

    /// The size in pages of 64 KiB.
    #[must_use]
    pub fn pages(&self) -> u32 {
        self.instance.0.memory(self.index).pages()
    }

    /// The size in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.instance.0.memory(self.index).len()
    }

    /// Adds pages; returns how many there were.
    ///
    /// # Errors
    ///
    /// The memory's maximum, a limit of the engine, the limiter of the instance that defines the
    /// memory, or the system forbids it.
    ///
    /// # Panics
    ///
    /// If that limiter panics, with its payload.
    pub fn grow(&self, pages: u32) -> Result<u32, AccessError> {
        let memory = self.instance.0.memory(self.index);
        memory.grow(pages).map_err(|refusal| {
            let (now, reason) = (memory.pages(), refusal.reason());
            AccessError::new(format!("a memory of {now} pages cannot grow by {pages}: {reason}"))
        })
    }

    /// All bytes, as they are now and as the guest changes them.
    ///
    /// While there is such a view, [`Instance::reset`] refuses to take away what it shows.
    #[must_use]
    pub fn cells(&self) -> MemoryCells<'_> {
        let memory = self.instance.0.memory(self.index);
        let len = memory.len();
        let cells = match memory.range(0, len as u64) {
            // SAFETY: the range is the memory, which stays where it is and accessible as long as
            // there is a view; nobody holds references to it that are not to cells, and guests run
            // on this thread only.
            Some(start) => unsafe { std::slice::from_raw_parts(start.cast::<Cell<u8>>(), len) },
            None => &[],
        };
        let views = &memory.owner.views;
        views.set(views.get() + 1);
        MemoryCells { cells, views }
    }

    /// Copies from the memory.
    ///
    /// # Errors
    ///
    /// The range reaches past the end of the memory; nothing is copied then.
    pub fn read(&self, offset: u32, into: &mut [u8]) -> Result<(), AccessError> {
        let start = self.range(offset, into.len())?;
        // SAFETY: the range lies in the memory, and `into` is none of it: cells are the only way to
        // borrow from there.
        unsafe { into.as_mut_ptr().copy_from_nonoverlapping(start, into.len()) };
        Ok(())
    }

    /// Copies into the memory.
    ///
    /// # Errors
    ///
    /// The range reaches past the end of the memory; nothing is copied then.
    pub fn write(&self, offset: u32, bytes: &[u8]) -> Result<(), AccessError> {
        let start = self.range(offset, bytes.len())?;
        // SAFETY: as for `read`.
        unsafe { start.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    fn range(&self, offset: u32, len: usize) -> Result<*mut u8, AccessError> {
        let memory = self.instance.0.memory(self.index);
        memory.range(u64::from(offset), len as u64).ok_or_else(|| {
            AccessError::new(format!(
                "{len} bytes at offset {offset} reach past the end of a memory of {} bytes",
                memory.len()
            ))
        })
    }
}

/// A view of a [`Memory`]: a slice of its bytes, as cells. Made by [`Memory::cells`].
pub struct MemoryCells<'m> {
    cells: &'m [Cell<u8>],
    /// How many views there are of the memories of the instance that defines this one.
    views: &'m Cell<usize>,
}

impl Deref for MemoryCells<'_> {
    type Target = [Cell<u8>];

    fn deref(&self) -> &[Cell<u8>] {
        self.cells
    }
}

impl Drop for MemoryCells<'_> {
    fn drop(&mut self) {
        self.views.set(self.views.get() - 1);
    }
}

impl fmt::Debug for MemoryCells<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryCells({} bytes)", self.cells.len())
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({})", self.ty())
    }
}

/// An instance's table. Owns its instance.
#[derive(Clone)]
pub struct Table {
    pub(super) instance: Instance,
    pub(super) index: u32,
}

impl Table {
    /// The type, with the present size as the least.
    #[must_use]
    pub fn ty(&self) -> TableType {
        TableType { min: self.size(), ..self.instance.0.table(self.index).ty() }
    }

    /// The number of elements.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.instance.0.table(self.index).len()
    }

    /// An element; `None` past the end.
    #[must_use]
    pub fn get(&self, index: u32) -> Option<Value> {
        let raw = self.instance.0.table(self.index).get(index)?;
        // SAFETY: a table's elements refer to functions of its group.
        Some(unsafe { Value::from_raw(self.ty().element, u128::from(raw)) })
    }

    /// Writes an element.
    ///
    /// # Errors
    ///
    /// There is no such element, or the value is of another type.
    pub fn set(&self, index: u32, value: &Value) -> Result<(), AccessError> {
        let raw = self.reference(value)?;
        // SAFETY: `reference` has checked the type and linked the instances.
        let written =
            unsafe { self.instance.0.table(self.index).write(index, std::iter::once(raw)) };
        written.ok_or_else(|| {
            let size = self.size();
            AccessError::new(format!("element {index} is past the end of a table of {size}"))
        })
    }

    /// Adds elements, all with that value; returns how many there were.
    ///
    /// # Errors
    ///
    /// The table's maximum, a limit of the engine, the limiter of the instance that defines the
    /// table, or the system forbids it, or the value is of another type.
    ///
    /// # Panics
    ///
    /// If that limiter panics, with its payload.
    pub fn grow(&self, delta: u32, value: &Value) -> Result<u32, AccessError> {
        let raw = self.reference(value)?;
        let table = self.instance.0.table(self.index);
        // SAFETY: as for `set`.
        let before = unsafe { table.grow(delta, raw, || true) };
        before.map_err(|refusal| {
            let (now, reason) = (table.len(), refusal.reason());
            AccessError::new(format!("a table of {now} elements cannot grow by {delta}: {reason}"))
        })
    }

    /// The value as an element of this table.
    fn reference(&self, value: &Value) -> Result<u64, AccessError> {
        let element = self.ty().element;
        if value.ty() != element {
            let actual = value.ty();
            let message = format!("a table of {element} cannot hold a value of type {actual}");
            return Err(AccessError::new(message));
        }
        if let Value::FuncRef(Some(func)) = value {
            self.instance.0.link(&func.instance.0);
        }
        Ok(value.to_raw() as u64)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({})", self.ty())
    }
}

/// An instance's global variable. Owns its instance.
#[derive(Clone)]
pub struct Global {
    pub(super) instance: Instance,
    pub(super) index: u32,
}

impl Global {
    /// The type.
    #[must_use]
    pub fn ty(&self) -> GlobalType {
        self.instance.0.module.0.info.globals[self.index as usize]
    }

    /// The present value.
    #[must_use]
    pub fn get(&self) -> Value {
        // SAFETY: the global lives as long as the handle, and only this thread runs on it; a
        // function reference in it is to a function of its group.
        unsafe {
            let raw = read_global(self.instance.0.vm_global(self.index));
            Value::from_raw(self.ty().content, raw)
        }
    }

    /// Writes the value.
    ///
    /// # Errors
    ///
    /// The global is immutable, or the value is of another type.
    pub fn set(&self, value: &Value) -> Result<(), AccessError> {
        let ty = self.ty();
        if !ty.mutable {
            return Err(AccessError::new("the global is immutable".to_string()));
        }
        if value.ty() != ty.content {
            let (expected, actual) = (ty.content, value.ty());
            let message =
                format!("a global of type {expected} cannot hold a value of type {actual}");
            return Err(AccessError::new(message));
        }
        if let Value::FuncRef(Some(func)) = value {
            self.instance.0.link(&func.instance.0);
        }
        let raw = value.to_raw();
        // SAFETY: as for `get`.
        unsafe {
            *self.instance.0.vm_global(self.index) = VmGlobal([raw as u64, (raw >> 64) as u64]);
        }
        Ok(())
    }
}

impl fmt::Debug for Global {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Global({} = {})", self.ty(), self.get())
    }
}

/// Whether what is given may be imported as what is asked for (specification §4.5.4, import
/// matching): sizes at least as large, maxima at most.
pub(super) fn limits_match(given: (u32, Option<u32>), asked: (u32, Option<u32>)) -> bool {
    let max_fits = match (given.1, asked.1) {
        (_, None) => true,
        (Some(given), Some(asked)) => given <= asked,
        (None, Some(_)) => false,
    };
    given.0 >= asked.0 && max_fits
}

/// Whether an extern may be bound to an import of a function of that type.
pub(super) fn is_function(given: &Extern, ty: &FuncType) -> bool {
    matches!(given, Extern::Func(func) if func.ty() == ty)
}

/// Whether an extern may be bound to an import of that table.
pub(super) fn is_table(given: &Extern, ty: TableType) -> bool {
    matches!(given, Extern::Table(table) if table.ty().element == ty.element
        && limits_match((table.ty().min, table.ty().max), (ty.min, ty.max)))
}

/// Whether an extern may be bound to an import of that memory.
pub(super) fn is_memory(given: &Extern, ty: MemoryType) -> bool {
    matches!(given, Extern::Memory(memory)
        if limits_match((memory.ty().min, memory.ty().max), (ty.min, ty.max)))
}

/// Whether an extern may be bound to an import of that global.
pub(super) fn is_global(given: &Extern, ty: GlobalType) -> bool {
    matches!(given, Extern::Global(global) if global.ty() == ty)
}

#[cfg(test)]
mod tests {
    use super::limits_match;

    #[test]
    fn limits_match_as_the_specification_says() {
        assert!(limits_match((2, Some(3)), (1, Some(3))));
        assert!(limits_match((2, None), (2, None)));
        assert!(!limits_match((1, None), (2, None)));
        assert!(!limits_match((2, None), (1, Some(9))));
        assert!(!limits_match((2, Some(4)), (1, Some(3))));
    }
}
