//! The state that an instance's module defines, memories, tables and globals: made, shown to compiled
//! code, filled from segments, and brought back to how it was when it was made.

use std::cell::RefCell;

use super::growth::{Growth, Refusal, Resource};
use super::instance::{Inner, Instance};
use super::memory::{LinearMemory, PAGE, check_pages, max_bytes};
use super::table::{RawRef, Table as Elements, check_elements, max_elements};
use crate::compile::abi::{VmGlobal, VmMemory};
use crate::error::{LinkError, Trap, TrapCode};
use crate::module::{ConstExpr, Limits, SegmentMode};

impl Instance {
    /// Makes the instance as a new one with the same imports would be, for less than dropping it and
    /// making one costs. Everything taken from it stays valid: functions, memories, tables, globals.
    ///
    /// - Memories, tables and globals that the module defines get back their first sizes and values.
    ///   Nothing that the guest wrote is left in them.
    /// - Segments that were dropped are there again. Active ones are copied, also into memories and
    ///   tables that the module imports.
    /// - It has as much [fuel](crate::EngineBuilder::fuel) as a new one, and the start function runs.
    /// - What the module imports stays as it is: another instance's memories, tables and globals, and
    ///   the state of host functions. References to functions of this instance that others hold stay
    ///   valid.
    /// - The limiter, if there is one, is not asked: no size is larger than the first.
    ///
    /// # Errors
    ///
    /// [`LinkError::InUse`] while a guest runs on this thread, be it this instance's or another's
    /// (this was called by a host function or by a limiter), and while there is a view of one of the
    /// instance's memories ([`Memory::cells`](crate::Memory::cells)): nothing is changed then.
    ///
    /// [`LinkError::Start`] if a segment does not fit what was imported, or the start function
    /// traps, and [`LinkError::Resources`] if the system refuses to empty a memory. The instance can
    /// be used and reset again, but what its state is depends on how far it came.
    ///
    /// # Panics
    ///
    /// If a function of the host that the start function calls panics, with its payload.
    ///
    /// ```
    /// use wasm_mini::{Imports, Instance, Module};
    ///
    /// let module = Module::new(r#"(module (global $n (mut i32) (i32.const 0))
    ///     (func (export "next") (result i32)
    ///         (global.set $n (i32.add (global.get $n) (i32.const 1)))
    ///         (global.get $n)))"#)?;
    /// let instance = Instance::new(&module, &Imports::none())?;
    /// let next = instance.func::<fn() -> i32>("next")?;
    /// assert_eq!((next()?, next()?), (1, 2));
    /// instance.reset()?;
    /// assert_eq!(next()?, 1);
    /// # Ok::<(), wasm_mini::Error>(())
    /// ```
    pub fn reset(&self) -> Result<(), LinkError> {
        if self.0.thread.runs_guest() {
            return Err(LinkError::InUse { by: "a guest that runs on this thread" });
        }
        if self.0.views.get() > 0 {
            return Err(LinkError::InUse { by: "a view of one of its memories" });
        }
        let emptied = self.0.reset_places();
        // Also after an error: what compiled code is told must be so.
        self.0.show_places();
        emptied?;
        self.0.dropped_data.borrow_mut().fill(false);
        self.0.dropped_elements.borrow_mut().fill(false);
        // SAFETY: no guest runs on the thread, as was just seen.
        unsafe { self.0.refuel() };
        self.start()
    }
}

impl Inner {
    /// Makes the memories that the module defines, of their first sizes.
    pub fn make_memories(&mut self) -> Result<(), LinkError> {
        let Inner { module, limiter, memories, .. } = self;
        let (info, engine) = (&module.0.info, module.engine());
        let (limit, accounts) = (engine.limits().memory_pages, engine.accounts());
        let own = info.memories.iter().enumerate().skip(info.imported_memories as usize);
        memories.reserve_exact(own.len());
        for (index, ty) in own {
            let desired = u64::from(ty.min) * PAGE as u64;
            let growth = Growth {
                resource: Resource::Memory,
                index: index as u32,
                current: 0,
                desired,
                maximum: max_bytes(*ty, limit),
            };
            let made = check_pages(*ty, u64::from(ty.min), limit).and_then(|pages| {
                accounts.approve(&growth, limiter.as_ref())?;
                let image = module.0.image.for_next(info);
                LinearMemory::new(pages, image, engine.pool())
                    .inspect_err(|_| accounts.take_back(&growth))
                    .map_err(Refusal::System)
            });
            let memory = made.map_err(|why| why.into_link_error(Resource::Memory, desired))?;
            memories.push(RefCell::new(memory));
        }
        Ok(())
    }

    /// Makes the tables that the module defines, of their first sizes, all null.
    pub fn make_tables(&mut self) -> Result<(), LinkError> {
        let Inner { module, limiter, tables, .. } = self;
        let (info, engine) = (&module.0.info, module.engine());
        let (limit, accounts) = (engine.limits().table_elements, engine.accounts());
        let own = info.tables.iter().enumerate().skip(info.imported_tables as usize);
        tables.reserve_exact(own.len());
        for (index, ty) in own {
            let desired = u64::from(ty.min);
            let growth = Growth {
                resource: Resource::Table,
                index: index as u32,
                current: 0,
                desired,
                maximum: max_elements(*ty, limit),
            };
            let made = check_elements(*ty, desired, limit).and_then(|len| {
                accounts.approve(&growth, limiter.as_ref())?;
                let mut table = Elements::new(*ty);
                // SAFETY: null is a reference of every kind.
                unsafe { table.grow_to(len, 0, || true) }
                    .inspect_err(|_| accounts.take_back(&growth))
                    .map_err(Refusal::System)?;
                Ok(table)
            });
            let table = made.map_err(|why| why.into_link_error(Resource::Table, desired))?;
            tables.push(RefCell::new(table));
        }
        Ok(())
    }

    /// The limits of its engine.
    pub fn limits(&self) -> &Limits {
        self.module.engine().limits()
    }

    /// Counts a growth of one of its own memories or tables, if nobody objects.
    pub fn approve(&self, growth: &Growth) -> Result<(), Refusal> {
        self.module.engine().accounts().approve(growth, self.limiter.as_ref())
    }

    /// Says that an approved growth did not happen.
    pub fn take_back(&self, growth: &Growth) {
        self.module.engine().accounts().take_back(growth);
    }

    /// Tells compiled code where the module's own memories and tables are and how large, and gives
    /// its globals their first values. What they may name is bound.
    pub fn show_places(&self) {
        let info = &self.module.0.info;
        // SAFETY: all writes go to places of this instance's own context, given by its layout, while
        // no code runs on it.
        unsafe {
            for (i, memory) in self.memories.iter().enumerate() {
                let memory = memory.borrow();
                let place = self.vm_memory(info.imported_memories + i as u32);
                place.write(VmMemory { base: memory.base(), len: memory.len() });
            }
            for (i, table) in self.tables.iter().enumerate() {
                let place = self.vm_table(info.imported_tables + i as u32);
                place.write(table.borrow_mut().vm());
            }
            for (i, init) in info.global_inits.iter().enumerate() {
                let value = self.evaluate(*init);
                let place = self.vm_global(info.imported_globals + i as u32);
                place.write(VmGlobal([value as u64, (value >> 64) as u64]));
            }
        }
    }

    /// Makes the module's own memories and tables empty, and as large as at first.
    fn reset_places(&self) -> Result<(), LinkError> {
        let info = &self.module.0.info;
        let own = info.memories.iter().enumerate().skip(info.imported_memories as usize);
        for ((index, ty), memory) in own.zip(&self.memories) {
            let mut memory = memory.borrow_mut();
            let before = memory.len();
            let image = self.module.0.image.for_next(info);
            let pool = self.module.engine().pool();
            memory.reset(ty.min, image, pool).map_err(LinkError::Resources)?;
            let first = ty.min as usize * PAGE;
            self.give_back(Resource::Memory, index, first as u64, before as u64);
        }
        let own = info.tables.iter().enumerate().skip(info.imported_tables as usize);
        for ((index, ty), table) in own.zip(&self.tables) {
            let mut table = table.borrow_mut();
            let before = table.len();
            table.reset(ty.min);
            self.give_back(Resource::Table, index, u64::from(ty.min), u64::from(before));
        }
        Ok(())
    }

    /// Counts what had grown no longer.
    fn give_back(&self, resource: Resource, index: usize, current: u64, desired: u64) {
        let index = index as u32;
        self.take_back(&Growth { resource, index, current, desired, maximum: desired });
    }
}

/// Segments.
impl Inner {
    /// Copies active segments where they belong, in order: those of tables first. A memory with an image
    /// has its data already.
    pub fn apply_segments(&self) -> Result<(), Trap> {
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
        if let Some(image) =
            self.memories.first().and_then(|memory| memory.borrow().image().cloned())
        {
            self.dropped_data.borrow_mut().copy_from_slice(image.used_up());
            return Ok(());
        }
        for (i, segment) in info.late.data.iter().enumerate() {
            if let SegmentMode::Active { index, offset } = segment.mode {
                let (to, len) = (self.evaluate(offset) as u32, segment.bytes.len() as u64);
                self.init_memory(index, i, u64::from(to), 0, len)
                    .ok_or_else(|| trap(TrapCode::MemoryOutOfBounds))?;
                self.drop_data(i);
            }
        }
        Ok(())
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
        let info = &self.module.0.info;
        let bytes: &[u8] = if dropped {
            &[]
        } else {
            &info.late.data_bytes[info.late.data[segment].bytes.clone()]
        };
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
