//! An instance: a module with the state that it runs on.
//!
//! Owns the context that compiled code sees, the memories and tables that the module defines, and
//! the way from imports, segments and the start function to a running instance.

use std::alloc::{self, Layout as Allocation};
use std::cell::{Cell, OnceCell, RefCell, UnsafeCell};
use std::fmt;
use std::ptr::NonNull;
use std::rc::Rc;

use super::builtins::BUILTINS;
use super::engine::Interruption;
use super::externs::{Extern, Global, Memory, Table};
use super::fuel::Fuel;
use super::func::Func;
use super::group::{Handle, Membership};
use super::growth::{Growth, Limiter, Refusal, Resource};
use super::host::{self, HostFunc};
use super::imports::{Definition, Imports};
use super::interrupt::{InterruptHandle, RequestCell};
use super::memory::LinearMemory;
use super::module::Module;
use super::places::{MemoryOf, TableOf};
use super::table::Table as Elements;
use super::thread::Thread;
use super::trap::LastTrap;
use super::{signals, trampolines, trap};
use crate::compile::abi::{
    HostContext, Place, VmContext, VmFuncRef, VmFunction, VmGlobal, VmMemory, VmTable,
};
use crate::error::LinkError;
use crate::module::ConstExpr;

/// A module that can be called.
///
/// Cheap to make and to clone; clones are the same instance. It belongs to the thread that made it
/// (it is neither `Send` nor `Sync`), so that no call takes a lock; threads share the [`Module`]
/// and make an instance each. It lives as long as anything taken from it, and instances that are
/// linked live as long as anything taken from one of them.
#[derive(Clone)]
pub struct Instance(pub(super) Handle);

/// An instance, without its count. Lies in one allocation with the context behind it.
pub(super) struct Inner {
    pub membership: Membership,
    pub module: Module,
    pub thread: Rc<Thread>,
    /// What signal handlers look at to see whether calls into the instance are to end.
    pub request: RequestCell,
    context: Context,
    pub limiter: Option<Limiter>,
    /// How many views of its memories there are.
    pub views: Cell<usize>,
    /// The memories and tables that the module defines.
    pub memories: Vec<RefCell<LinearMemory>>,
    pub tables: Vec<RefCell<Elements>>,
    /// For each imported memory and table, whose it is and which one there.
    imported_memories: Box<[(NonNull<Inner>, u32)]>,
    imported_tables: Box<[(NonNull<Inner>, u32)]>,
    imported_globals: Box<[(NonNull<Inner>, u32)]>,
    /// Set once, when the instance has its address.
    host_contexts: OnceCell<Box<[UnsafeCell<HostContext>]>>,
    /// What `host_contexts` points to.
    _host_functions: Vec<Rc<HostFunc>>,
    /// Segments that have been dropped, or used up by instantiation.
    pub dropped_data: RefCell<Box<[bool]>>,
    pub dropped_elements: RefCell<Box<[bool]>>,
    /// What ended a call of this instance last, as it may end the next.
    pub last_trap: RefCell<Option<LastTrap>>,
}

/// The memory that compiled code reaches through r15: a [`VmContext`] and what follows it.
struct Context {
    start: NonNull<VmContext>,
    size: usize,
}

impl Context {
    /// Where a context begins in the allocation that the instance begins.
    const OFFSET: usize = size_of::<Inner>().next_multiple_of(align_of::<VmGlobal>());

    /// The allocation of an instance with a context of that size.
    fn allocation(size: usize) -> Allocation {
        let align = align_of::<Inner>().max(align_of::<VmGlobal>());
        Allocation::from_size_align(Context::OFFSET + size, align)
            .expect("a context is smaller than the address space")
    }

    /// What lies at that offset of the context.
    fn at<T>(&self, offset: i32) -> *mut T {
        debug_assert!(offset as usize + size_of::<T>() <= self.size);
        // SAFETY: offsets come from the module's layout, whose size this context has.
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

impl Instance {
    /// Binds the module's imports, initialises its memories and tables, and runs its start function.
    ///
    /// # Errors
    ///
    /// An import is missing or of the wrong type, a segment does not fit, the start function
    /// trapped, or the system refused memory. In the second and third case, other instances' tables
    /// may already refer to functions of the one that failed, which therefore lives as long as they.
    pub fn new(module: &Module, imports: &Imports) -> Result<Instance, LinkError> {
        Instance::make(module, imports, None)
    }

    /// Like [`Instance::new`], with a limiter: a function that decides how large the memories and
    /// tables may become which the module defines.
    ///
    /// It is asked before each is made, and before each growth, by the guest (`memory.grow`,
    /// `table.grow`; −1 if it refuses) and by the host. It is asked last: only for what the type and the
    /// engine's [`Limits`](crate::Limits) allow. The system may still refuse what it has
    /// approved. It is not asked about a growth by nothing, nor when [`Instance::reset`] brings
    /// memories and tables back to the sizes that it has approved first.
    ///
    /// If it panics while a guest asks, the guest ends there, and the panic goes on in the program that
    /// called the guest, as that of a host function does. It may use the instance, but what it makes
    /// grow itself does not grow again when it returns.
    ///
    /// # Errors
    ///
    /// As for [`Instance::new`], and [`LinkError::Refused`] if the limiter refuses a memory or a table.
    ///
    /// ```
    /// use std::cell::Cell;
    /// use std::rc::Rc;
    /// use wasm_mini::{Imports, Instance, Module};
    ///
    /// let module = Module::new(r#"(module (memory (export "memory") 1))"#)?;
    /// // What all guests of one customer have together, in bytes and elements.
    /// let used = Rc::new(Cell::new(0));
    /// let limiter = move |growth: &wasm_mini::Growth| {
    ///     let after = used.get() + growth.desired - growth.current;
    ///     let fits = after <= 3 << 16;
    ///     if fits {
    ///         used.set(after);
    ///     }
    ///     fits
    /// };
    /// let instance = Instance::with_limiter(&module, &Imports::none(), limiter)?;
    /// let memory = instance.memory("memory")?;
    /// assert!(memory.grow(3).is_err());
    /// assert!(memory.grow(2).is_ok());
    /// # Ok::<(), wasm_mini::Error>(())
    /// ```
    pub fn with_limiter(
        module: &Module,
        imports: &Imports,
        limiter: impl Fn(&Growth) -> bool + 'static,
    ) -> Result<Instance, LinkError> {
        Instance::make(module, imports, Some(Box::new(limiter)))
    }

    fn make(
        module: &Module,
        imports: &Imports,
        limiter: Option<Limiter>,
    ) -> Result<Instance, LinkError> {
        signals::install().map_err(LinkError::Resources)?;
        if module.engine().interruption() == Interruption::Signal {
            signals::install_poke().map_err(LinkError::Resources)?;
        }
        let thread = Thread::current().map_err(LinkError::Resources)?;
        let definitions = imports.resolve(&module.0.info)?;
        let instance = Instance(Inner::allocate(module, thread, &definitions, limiter)?);
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
        instance.start()?;
        Ok(instance)
    }

    /// What instantiation does last: copies the segments and runs the start function.
    pub(super) fn start(&self) -> Result<(), LinkError> {
        self.0.apply_segments().map_err(LinkError::Start)?;
        let Some(start) = self.0.module.0.info.start else { return Ok(()) };
        self.function(start).call(&[]).map(drop).map_err(|error| match error {
            crate::Error::Trap(trap) => LinkError::Start(trap),
            other => unreachable!("a start function takes nothing: {other}"),
        })
    }

    /// The module that this is an instance of.
    #[must_use]
    pub fn module(&self) -> &Module {
        &self.0.module
    }

    /// What ends the calls into this instance from any other thread, and from functions of the host.
    ///
    /// The guest ends with [`TrapCode::Interrupted`](crate::TrapCode::Interrupted) and the instance stays usable; memory, tables and
    /// globals are as the guest left them. Compiled code does nothing for this by default: see
    /// [`Interruption`]. Functions of the host are not interrupted, but system
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

    /// The fuel that the instance has left; `None` if its engine was built without
    /// [fuel](crate::EngineBuilder::fuel).
    #[must_use]
    pub fn fuel(&self) -> Option<Fuel> {
        self.0.fuel().map(|_| Fuel::new(self.clone()))
    }

    /// A function that may be referred to: exported, in a segment, or the start function.
    pub(super) fn function(&self, function: u32) -> Func {
        let ty = self.0.module.0.info.function_type(function).clone();
        Func::new(self.clone(), self.0.func_ref(function), ty)
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("module", &self.0.module).finish_non_exhaustive()
    }
}

impl Inner {
    /// Allocates everything; nothing is initialised but the memories' and tables' sizes.
    fn allocate(
        module: &Module,
        thread: Rc<Thread>,
        definitions: &[&Definition],
        limiter: Option<Limiter>,
    ) -> Result<Handle, LinkError> {
        let info = &module.0.info;
        let refused = |refusal: Refusal| refusal.into_link_error(Resource::Memory, 0);
        module.engine().accounts().instances.take(1).map_err(refused)?;
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
        let size = module.0.layout.size;
        let allocation = Context::allocation(size);
        // SAFETY: the size is not zero.
        let start = unsafe { alloc::alloc(allocation) };
        let Some(start) = NonNull::new(start) else { alloc::handle_alloc_error(allocation) };
        // SAFETY: the context lies within the allocation, to its end. (Asking the allocator for zeros
        // is slower for so few of them.)
        let context = unsafe {
            let context = start.add(Context::OFFSET);
            context.write_bytes(0, size);
            Context { start: context.cast(), size }
        };
        let mut inner = start.cast::<Inner>();
        // SAFETY: the allocation begins with room for this, and nobody else knows of it until there
        // is a handle; whoever has that frees it.
        unsafe {
            inner.write(Inner {
                membership: Membership::alone(),
                request: RequestCell::default(),
                context,
                limiter,
                views: Cell::new(0),
                memories: Vec::new(),
                tables: Vec::new(),
                imported_memories: imported_memories.into(),
                imported_tables: imported_tables.into(),
                imported_globals: imported_globals.into(),
                host_contexts: OnceCell::new(),
                _host_functions: host_functions,
                dropped_data: RefCell::new(vec![false; info.late.data.len()].into()),
                dropped_elements: RefCell::new(vec![false; info.elements.len()].into()),
                last_trap: RefCell::new(None),
                module: module.clone(),
                thread,
            });
            // From here on it is freed with all that it has, whatever comes.
            let handle = Handle::first(inner);
            inner.as_mut().make_memories()?;
            inner.as_mut().make_tables()?;
            Ok(handle)
        }
    }

    /// Frees an instance.
    ///
    /// # Safety
    ///
    /// It was made by [`Inner::allocate`], and nobody reaches it any more.
    pub unsafe fn free(inner: NonNull<Inner>) {
        // SAFETY: the caller vouches for it; the allocation was made with this layout.
        unsafe {
            let allocation = Context::allocation(inner.as_ref().context.size);
            inner.drop_in_place();
            alloc::dealloc(inner.as_ptr().cast(), allocation);
        }
    }

    /// The part of a context that is the same for the instance and for its host functions.
    fn vm_context(&self, map: *const ()) -> VmContext {
        VmContext {
            stack_limit: self.thread.stack_limit(self.limits().stack_bytes),
            raise_trap: trampolines::raise_trap(),
            thread: self.thread.state(),
            record_trap: trap::record_trap as *const () as usize,
            module: map,
            builtins: (&raw const BUILTINS).cast(),
            instance: std::ptr::from_ref(self).cast(),
        }
    }

    /// Fills in the context. The instance has its final address and is linked with what it imports.
    fn initialise(&self, definitions: &[&Definition]) {
        let (layout, info) = (&self.module.0.layout, &self.module.0.info);
        let vmctx = self.vmctx();
        // SAFETY: all writes go to places of this instance's own context, given by its layout, while
        // no code runs on it.
        unsafe {
            vmctx.write(self.vm_context((&raw const self.module.0.map).cast()));
            self.thread.add_context(vmctx);
            self.refuel();

            let hosts = definitions.iter().filter_map(|definition| match definition {
                Definition::Host(host) => Some(host),
                Definition::Extern(_) => None,
            });
            let contexts = hosts.map(|host| {
                let mut vm = self.vm_context(std::ptr::null());
                vm.stack_limit = host::stack_limit(vm.stack_limit);
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
                    Definition::Extern(Extern::Func(func)) => func.function(),
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

            for (i, function) in info.escaping.iter().enumerate() {
                let type_id =
                    self.module.0.type_ids.ids()[info.functions[*function as usize] as usize];
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
        }
        self.show_places();
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

    /// The value of a constant expression.
    // Into the loop over a segment: some have 10,000 elements.
    #[inline]
    pub fn evaluate(&self, expr: ConstExpr) -> u128 {
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

    /// Gives the instance what a new one has of fuel, if its engine meters.
    ///
    /// # Safety
    ///
    /// No guest runs on it.
    pub unsafe fn refuel(&self) {
        if let Some((fuel, initial)) = self.fuel().zip(self.module.engine().fuel()) {
            // SAFETY: the place is one of the context's own, and the caller says that nobody uses it.
            unsafe { fuel.write(!initial) };
        }
    }

    /// Where the fuel that is left is kept, inverted: see [`Layout`](crate::compile::abi::Layout).
    pub fn fuel(&self) -> Option<*mut u64> {
        self.module.0.layout.fuel.map(|offset| self.context.at(offset))
    }

    /// The reference to a function that may be referred to.
    #[inline]
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
        let pages = &owner.memories[own as usize];
        MemoryOf { owner, index, pages, vm: owner.vm_memory(index), ty }
    }

    /// The table with this index.
    pub fn table(&self, table: u32) -> TableOf<'_> {
        let (owner, index) = self.table_owner(table);
        // SAFETY: as for `memory`.
        let owner = unsafe { owner.as_ref() };
        let own = index - owner.module.0.info.imported_tables;
        let ty = owner.module.0.info.tables[index as usize];
        let elements = &owner.tables[own as usize];
        TableOf { owner, index, elements, vm: owner.vm_table(index), ty }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.thread.remove_context(self.vmctx());
        let engine = self.module.engine();
        let accounts = engine.accounts();
        accounts.instances.give_back(1);
        for memory in self.memories.drain(..) {
            let memory = memory.into_inner();
            accounts.memory_bytes.give_back(memory.len() as u64);
            memory.recycle(engine.pool());
        }
        for table in &self.tables {
            accounts.table_elements.give_back(u64::from(table.borrow().len()));
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
