//! An instance: a module with the state that it runs on.
//!
//! Owns the context that compiled code sees, the memories and tables that the module defines, and
//! the way from imports, segments and the start function to a running instance.

use std::alloc::{self, Layout as Allocation};
use std::cell::{Cell, OnceCell, RefCell, UnsafeCell};
use std::fmt;
use std::mem;
use std::ptr::NonNull;
use std::rc::Rc;

use super::builtins::BUILTINS;
use super::engine::Interruption;
use super::externs::{Extern, Global, Memory, Table};
use super::func::Func;
use super::group::{Group, Handle};
use super::host::HostFunc;
use super::imports::{Definition, Imports};
use super::interrupt::{InterruptHandle, RequestCell};
use super::memory::LinearMemory;
use super::module::Module;
use super::places::{MemoryOf, TableOf};
use super::table::{RawRef, Table as Elements};
use super::thread::Thread;
use super::typed::{TypedFunc, WasmFn};
use super::{signals, trampolines, trap};
use crate::compile::abi::{
    HostContext, Place, VmContext, VmFuncRef, VmFunction, VmGlobal, VmMemory, VmTable,
};
use crate::error::{ExportError, LinkError, Trap, TrapCode};
use crate::module::{ConstExpr, Export, ExportKind, FuncType, SegmentMode};

/// A module that can be called.
///
/// Cheap to make and to clone; clones are the same instance. It belongs to the thread that made it
/// (it is neither `Send` nor `Sync`), so that no call takes a lock; threads share the [`Module`]
/// and make an instance each. It lives as long as anything taken from it, and instances that are
/// linked live as long as anything taken from one of them.
#[derive(Clone)]
pub struct Instance(pub(super) Handle);

/// An instance, without its count.
pub(super) struct Inner {
    pub group: Cell<Option<NonNull<Group>>>,
    pub module: Module,
    pub thread: Rc<Thread>,
    /// What signal handlers look at to see whether calls into the instance are to end.
    pub request: RequestCell,
    context: Context,
    /// The memories and tables that the module defines.
    memories: Box<[RefCell<LinearMemory>]>,
    tables: Box<[RefCell<Elements>]>,
    /// For each imported memory and table, whose it is and which one there.
    imported_memories: Box<[(NonNull<Inner>, u32)]>,
    imported_tables: Box<[(NonNull<Inner>, u32)]>,
    imported_globals: Box<[(NonNull<Inner>, u32)]>,
    /// Set once, when the instance has its address.
    host_contexts: OnceCell<Box<[UnsafeCell<HostContext>]>>,
    /// What `host_contexts` points to.
    _host_functions: Vec<Rc<HostFunc>>,
    /// Segments that have been dropped, or used up by instantiation.
    dropped_data: RefCell<Box<[bool]>>,
    dropped_elements: RefCell<Box<[bool]>>,
}

/// The memory that compiled code reaches through r15: a [`VmContext`] and what follows it.
struct Context {
    start: NonNull<VmContext>,
    allocation: Allocation,
}

impl Context {
    fn new(size: usize) -> Context {
        let allocation = Allocation::from_size_align(size, align_of::<VmGlobal>())
            .expect("a context is smaller than the address space");
        // SAFETY: the size is not zero, for a context begins with a `VmContext`.
        let start = unsafe { alloc::alloc_zeroed(allocation) };
        match NonNull::new(start.cast()) {
            Some(start) => Context { start, allocation },
            None => alloc::handle_alloc_error(allocation),
        }
    }

    /// What lies at that offset of the context.
    fn at<T>(&self, offset: i32) -> *mut T {
        debug_assert!(offset as usize + size_of::<T>() <= self.allocation.size());
        // SAFETY: offsets come from the module's layout, whose size this allocation has.
        unsafe { self.start.as_ptr().byte_add(offset as usize).cast() }
    }

    fn place<T>(&self, place: Place) -> *mut T {
        match place {
            Place::Here(offset) => self.at(offset),
            // SAFETY: the pointer is within the context and was set when the import was bound.
            Place::Behind(offset) => unsafe { *self.at::<*mut T>(offset) },
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout.
        unsafe { alloc::dealloc(self.start.as_ptr().cast(), self.allocation) };
    }
}

impl Instance {
    /// Binds the module's imports, initialises its memories and tables, and runs its start function.
    ///
    /// # Errors
    ///
    /// An import is missing or of the wrong type, a segment does not fit, the start function
    /// trapped, or the system refused memory. In the second and third case, other instances' tables
    /// may already refer to functions of the one that failed, which therefore lives as long as they.
    pub fn new(module: &Module, imports: &Imports) -> Result<Instance, LinkError> {
        signals::install().map_err(LinkError::Resources)?;
        if module.engine().interruption() == Interruption::Signal {
            signals::install_poke().map_err(LinkError::Resources)?;
        }
        let thread = Thread::current().map_err(LinkError::Resources)?;
        let definitions = imports.resolve(&module.0.info)?;
        let instance = Instance(Handle::new(Inner::new(module, thread, &definitions)?));
        for definition in &definitions {
            if let Definition::Extern(Extern::Func(Func { instance: other, .. }))
            | Definition::Extern(Extern::Memory(Memory { instance: other, .. }))
            | Definition::Extern(Extern::Table(Table { instance: other, .. }))
            | Definition::Extern(Extern::Global(Global { instance: other, .. })) = definition
            {
                instance.0.link(&other.0);
            }
        }
        instance.0.initialise(&definitions);
        instance.0.apply_segments().map_err(LinkError::Start)?;
        if let Some(start) = module.0.info.start {
            let start = instance.function(start);
            start.call(&[]).map_err(|error| match error {
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
            Some(defined) => self.0.module.0.map.plain[defined as usize],
            None => false,
        };
        Ok(TypedFunc::new(self.clone(), self.0.func_ref(function), plain))
    }

    /// An exported function to be called with [`Value`](crate::Value)s, whatever its signature.
    ///
    /// # Errors
    ///
    /// There is no such export, or it is not a function.
    pub fn dyn_func(&self, name: &str) -> Result<Func, ExportError> {
        Ok(self.function(self.find(name, ExportKind::Function)?.index))
    }

    /// What ends the calls into this instance from any other thread, and from functions of the host.
    ///
    /// The guest ends with [`TrapCode::Interrupted`] and the instance stays usable; memory, tables and
    /// globals are as the guest left them. Compiled code does nothing for this by default: see
    /// [`Interruption`](crate::Interruption). Functions of the host are not interrupted, but system
    /// calls that block in them may return early with `EINTR`, as with any signal.
    ///
    /// ```
    /// use wasm_mini::{Imports, Instance, Module, TrapCode};
    ///
    /// let module = Module::new(r#"(module (func (export "forever") (loop (br 0))))"#)?;
    /// let instance = Instance::new(&module, &Imports::none())?;
    /// let forever = instance.func::<fn()>("forever")?;
    /// let handle = instance.interrupt_handle();
    /// handle.interrupt(); // Nothing is running: nothing happens.
    /// let (done, is_done) = std::sync::mpsc::channel::<()>();
    /// let other = std::thread::spawn(move || {
    ///     // The call may not have begun when it is interrupted for the first time.
    ///     while is_done.recv_timeout(std::time::Duration::from_millis(1)).is_err() {
    ///         handle.interrupt();
    ///     }
    /// });
    /// assert_eq!(forever().unwrap_err().code(), TrapCode::Interrupted);
    /// done.send(()).unwrap();
    /// # other.join().unwrap();
    /// # Ok::<(), wasm_mini::Error>(())
    /// ```
    #[must_use]
    pub fn interrupt_handle(&self) -> InterruptHandle {
        self.0.request.handle(&self.0.thread, self.0.module.engine().interruption())
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

    /// A function that may be referred to: exported, in a segment, or the start function.
    fn function(&self, function: u32) -> Func {
        let func_ref = self.0.func_ref(function);
        // SAFETY: the reference is one of this instance, which the handle keeps alive.
        let VmFuncRef { function: code, .. } = unsafe { *func_ref };
        let ty = self.0.module.0.info.function_type(function).clone();
        Func::new(self.clone(), code, func_ref, ty)
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("module", &self.0.module).finish_non_exhaustive()
    }
}

impl Inner {
    /// Allocates everything; nothing is initialised but the memories' and tables' sizes.
    fn new(
        module: &Module,
        thread: Rc<Thread>,
        definitions: &[Definition],
    ) -> Result<Box<Inner>, LinkError> {
        let info = &module.0.info;
        let limits = module.engine().limits();
        let own_memories = &info.memories[info.imported_memories as usize..];
        let memories = own_memories.iter().map(|ty| {
            let memory = LinearMemory::new(*ty, limits.memory_pages, module.engine().pool());
            memory.map(RefCell::new).map_err(LinkError::Resources)
        });
        let own_tables = &info.tables[info.imported_tables as usize..];
        let tables = own_tables.iter().map(|ty| {
            let limit = limits.table_elements;
            let table = Elements::new(*ty, limit).map(RefCell::new);
            table.ok_or(LinkError::Table { elements: ty.min, limit })
        });
        let (mut imported_memories, mut imported_tables) = (Vec::new(), Vec::new());
        let (mut imported_globals, mut host_functions) = (Vec::new(), Vec::new());
        for definition in definitions {
            match definition {
                Definition::Host(host) => host_functions.push(host.clone()),
                Definition::Extern(Extern::Func(_)) => {}
                Definition::Extern(Extern::Memory(memory)) => {
                    imported_memories.push(memory.instance.0.memory_owner(memory.index));
                }
                Definition::Extern(Extern::Table(table)) => {
                    imported_tables.push(table.instance.0.table_owner(table.index));
                }
                Definition::Extern(Extern::Global(global)) => {
                    imported_globals.push(global.instance.0.global_owner(global.index));
                }
            }
        }
        Ok(Box::new(Inner {
            group: Cell::new(None),
            request: RequestCell::default(),
            context: Context::new(module.0.layout.size),
            memories: memories.collect::<Result<_, _>>()?,
            tables: tables.collect::<Result<_, _>>()?,
            imported_memories: imported_memories.into(),
            imported_tables: imported_tables.into(),
            imported_globals: imported_globals.into(),
            host_contexts: OnceCell::new(),
            _host_functions: host_functions,
            dropped_data: RefCell::new(vec![false; info.data.len()].into()),
            dropped_elements: RefCell::new(vec![false; info.elements.len()].into()),
            module: module.clone(),
            thread,
        }))
    }

    /// The part of a context that is the same for the instance and for its host functions.
    fn vm_context(&self, map: *const ()) -> VmContext {
        VmContext {
            stack_limit: self.thread.stack_limit,
            raise_trap: trampolines::raise_trap(),
            thread: self.thread.state(),
            record_trap: trap::record_trap as *const () as usize,
            module: map,
            builtins: (&raw const BUILTINS).cast(),
            instance: std::ptr::from_ref(self).cast(),
        }
    }

    /// Fills in the context. The instance has its final address and is linked with what it imports.
    fn initialise(&self, definitions: &[Definition]) {
        let (layout, info) = (&self.module.0.layout, &self.module.0.info);
        let vmctx = self.vmctx();
        // SAFETY: all writes go to places of this instance's own context, given by its layout, while
        // no code runs on it.
        unsafe {
            vmctx.write(self.vm_context((&raw const self.module.0.map).cast()));
            self.thread.add_context(vmctx);

            let hosts = definitions.iter().filter_map(|definition| match definition {
                Definition::Host(host) => Some(host),
                Definition::Extern(_) => None,
            });
            let contexts = hosts.map(|host| {
                let vm = self.vm_context(std::ptr::null());
                UnsafeCell::new(HostContext { vm, shim: host.shim, function: host.function() })
            });
            let mut contexts = self.host_contexts.get_or_init(|| contexts.collect()).iter();

            let (mut functions, mut memories, mut tables, mut globals) = (0, 0, 0, 0);
            for definition in definitions {
                let function = match definition {
                    Definition::Host(host) => {
                        let context = contexts.next().expect("one context per host function");
                        VmFunction { code: host.crossing(), vmctx: context.get().cast() }
                    }
                    Definition::Extern(Extern::Func(func)) => func.function,
                    Definition::Extern(Extern::Memory(memory)) => {
                        let place = memory.instance.0.vm_memory(memory.index);
                        self.bind(layout.memory(memories), place);
                        memories += 1;
                        continue;
                    }
                    Definition::Extern(Extern::Table(table)) => {
                        let place = table.instance.0.vm_table(table.index);
                        self.bind(layout.table(tables), place);
                        tables += 1;
                        continue;
                    }
                    Definition::Extern(Extern::Global(global)) => {
                        let place = global.instance.0.vm_global(global.index);
                        self.bind(layout.global(globals), place);
                        globals += 1;
                        continue;
                    }
                };
                self.context.at::<VmFunction>(layout.imported_function(functions)).write(function);
                functions += 1;
            }

            for (i, memory) in self.memories.iter().enumerate() {
                let memory = memory.borrow();
                let place = self.vm_memory(info.imported_memories + i as u32);
                place.write(VmMemory { base: memory.base(), len: memory.len() });
            }
            for (i, table) in self.tables.iter().enumerate() {
                let place = self.vm_table(info.imported_tables + i as u32);
                place.write(table.borrow_mut().vm());
            }
            for (i, function) in info.escaping.iter().enumerate() {
                let type_id = info.type_ids[info.functions[*function as usize] as usize];
                let function = match function.checked_sub(info.imported_functions) {
                    Some(defined) => {
                        let code = self.module.0.map.address_of(defined as usize) as *const u8;
                        VmFunction { code, vmctx }
                    }
                    None => *self.context.at::<VmFunction>(layout.imported_function(*function)),
                };
                let place = self.context.at::<VmFuncRef>(layout.func_ref(i));
                place.write(VmFuncRef { function, type_id });
            }
            for (i, init) in info.global_inits.iter().enumerate() {
                let value = self.evaluate(*init);
                let place = self.vm_global(info.imported_globals + i as u32);
                place.write(VmGlobal([value as u64, (value >> 64) as u64]));
            }
        }
    }

    /// Sets the pointer to an imported memory, table or global.
    ///
    /// # Safety
    ///
    /// The place is that of an import of the kind that `target` points to.
    unsafe fn bind<T>(&self, place: Place, target: *mut T) {
        match place {
            // SAFETY: the caller vouches for the place, which lies in the context.
            Place::Behind(offset) => unsafe { self.context.at::<*mut T>(offset).write(target) },
            Place::Here(_) => unreachable!("imports are reached through pointers"),
        }
    }

    /// Copies active segments where they belong, in order: those of tables first.
    fn apply_segments(&self) -> Result<(), Trap> {
        let info = &self.module.0.info;
        let trap = |code| Trap::new(code, Vec::new(), false);
        for (i, segment) in info.elements.iter().enumerate() {
            if let SegmentMode::Active { index, offset } = segment.mode {
                let (to, len) = (self.evaluate(offset) as u32, segment.items.len() as u32);
                self.init_table(index, i, to, 0, len)
                    .ok_or_else(|| trap(TrapCode::TableOutOfBounds))?;
            }
            if !matches!(segment.mode, SegmentMode::Passive) {
                self.drop_elements(i);
            }
        }
        for (i, segment) in info.data.iter().enumerate() {
            if let SegmentMode::Active { index, offset } = segment.mode {
                let (to, len) = (self.evaluate(offset) as u32, segment.bytes.len() as u64);
                self.init_memory(index, i, u64::from(to), 0, len)
                    .ok_or_else(|| trap(TrapCode::MemoryOutOfBounds))?;
                self.drop_data(i);
            }
        }
        Ok(())
    }

    /// The value of a constant expression.
    fn evaluate(&self, expr: ConstExpr) -> u128 {
        match expr {
            ConstExpr::Bits(bits) => bits,
            ConstExpr::RefFunc(function) => self.func_ref(function) as u128,
            // SAFETY: validation lets constant expressions read imported globals only, which are
            // bound before anything is evaluated; no code of this thread runs meanwhile.
            ConstExpr::GlobalGet(global) => unsafe { read_global(self.vm_global(global)) },
        }
    }

    /// What compiled code gets in r15.
    pub fn vmctx(&self) -> *mut VmContext {
        self.context.start.as_ptr()
    }

    /// The reference to a function that may be referred to.
    pub fn func_ref(&self, function: u32) -> *const VmFuncRef {
        let at = self.module.0.info.escaping_index(function);
        let at = at.expect("exported and referred functions have references");
        self.context.at(self.module.0.layout.func_ref(at))
    }

    pub fn vm_memory(&self, memory: u32) -> *mut VmMemory {
        self.context.place(self.module.0.layout.memory(memory))
    }

    pub fn vm_table(&self, table: u32) -> *mut VmTable {
        self.context.place(self.module.0.layout.table(table))
    }

    pub fn vm_global(&self, global: u32) -> *mut VmGlobal {
        self.context.place(self.module.0.layout.global(global))
    }

    /// The instance that defines a memory, and its index there.
    fn memory_owner(&self, memory: u32) -> (NonNull<Inner>, u32) {
        let own = || (NonNull::from(self), memory);
        self.imported_memories.get(memory as usize).copied().unwrap_or_else(own)
    }

    fn table_owner(&self, table: u32) -> (NonNull<Inner>, u32) {
        let own = || (NonNull::from(self), table);
        self.imported_tables.get(table as usize).copied().unwrap_or_else(own)
    }

    fn global_owner(&self, global: u32) -> (NonNull<Inner>, u32) {
        let own = || (NonNull::from(self), global);
        self.imported_globals.get(global as usize).copied().unwrap_or_else(own)
    }

    /// The memory with this index.
    pub fn memory(&self, memory: u32) -> MemoryOf<'_> {
        let (owner, index) = self.memory_owner(memory);
        // SAFETY: owners of imports are in the same group, and live as long as this instance.
        let owner = unsafe { owner.as_ref() };
        let own = index - owner.module.0.info.imported_memories;
        let ty = owner.module.0.info.memories[index as usize];
        MemoryOf { pages: &owner.memories[own as usize], vm: owner.vm_memory(index), ty }
    }

    /// The table with this index.
    pub fn table(&self, table: u32) -> TableOf<'_> {
        let (owner, index) = self.table_owner(table);
        // SAFETY: as for `memory`.
        let owner = unsafe { owner.as_ref() };
        let own = index - owner.module.0.info.imported_tables;
        let ty = owner.module.0.info.tables[index as usize];
        TableOf { elements: &owner.tables[own as usize], vm: owner.vm_table(index), ty }
    }

    /// Copies part of a data segment into a memory; `None` if it does not fit.
    pub fn init_memory(
        &self,
        memory: u32,
        segment: usize,
        to: u64,
        from: u64,
        len: u64,
    ) -> Option<()> {
        let dropped = self.dropped_data.borrow()[segment];
        let bytes: &[u8] = if dropped { &[] } else { &self.module.0.info.data[segment].bytes };
        let bytes = bytes.get(from as usize..from.checked_add(len)? as usize)?;
        let to = self.memory(memory).range(to, len)?;
        // SAFETY: the range was just seen to lie in the memory, which is not part of the module.
        unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Some(())
    }

    pub fn drop_data(&self, segment: usize) {
        self.dropped_data.borrow_mut()[segment] = true;
    }

    /// Copies part of an element segment into a table; `None` if it does not fit.
    pub fn init_table(
        &self,
        table: u32,
        segment: usize,
        to: u32,
        from: u32,
        len: u32,
    ) -> Option<()> {
        let dropped = self.dropped_elements.borrow()[segment];
        let items: &[ConstExpr] =
            if dropped { &[] } else { &self.module.0.info.elements[segment].items };
        let items = items.get(from as usize..from.checked_add(len)? as usize)?;
        let references = items.iter().map(|item| self.evaluate(*item) as RawRef);
        // SAFETY: the segment's references are of the table's type, to functions of this instance
        // and of those that it is linked with, as is the table's owner.
        unsafe { self.table(table).write(to, references) }
    }

    pub fn drop_elements(&self, segment: usize) {
        self.dropped_elements.borrow_mut()[segment] = true;
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.thread.remove_context(self.vmctx());
        for memory in mem::take(&mut self.memories) {
            memory.into_inner().recycle(self.module.engine().pool());
        }
    }
}

/// Reads all bits of a global.
///
/// # Safety
///
/// The global is alive, and no other thread runs on it.
pub(super) unsafe fn read_global(global: *const VmGlobal) -> u128 {
    // SAFETY: the caller vouches for it.
    let VmGlobal([low, high]) = unsafe { *global };
    u128::from(low) | u128::from(high) << 64
}
