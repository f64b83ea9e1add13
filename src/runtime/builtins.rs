//! What compiled code calls back for: growing, filling, copying and initialising memories and
//! tables. See [`Builtin`] for the arguments.

use std::sync::atomic::Ordering;

use super::instance::Inner;
use super::polls;
use crate::compile::abi::{Builtin, VmContext, VmMemory};

/// The addresses that [`VmContext::builtins`] points to.
pub(super) static BUILTINS: [fn_address::Address; Builtin::COUNT] = {
    use fn_address::Address;
    let mut table = [Address::of(memory_grow as *const ()); Builtin::COUNT];
    table[Builtin::MemoryFill as usize] = Address::of(memory_fill as *const ());
    table[Builtin::MemoryCopy as usize] = Address::of(memory_copy as *const ());
    table[Builtin::MemoryInit as usize] = Address::of(memory_init as *const ());
    table[Builtin::DataDrop as usize] = Address::of(data_drop as *const ());
    table[Builtin::TableGrow as usize] = Address::of(table_grow as *const ());
    table[Builtin::TableFill as usize] = Address::of(table_fill as *const ());
    table[Builtin::TableCopy as usize] = Address::of(table_copy as *const ());
    table[Builtin::TableInit as usize] = Address::of(table_init as *const ());
    table[Builtin::ElemDrop as usize] = Address::of(elem_drop as *const ());
    table[Builtin::Poll as usize] = Address::of(polls::poll_keeping_all as *const ());
    table
};

mod fn_address {
    /// The address of a function, in a table that threads share.
    #[derive(Clone, Copy)]
    #[repr(transparent)]
    pub struct Address(*const ());

    impl Address {
        pub const fn of(function: *const ()) -> Address {
            Address(function)
        }
    }

    // SAFETY: it is an address of code, which is the same for all threads.
    unsafe impl Sync for Address {}
}

/// The instance that a context belongs to.
///
/// # Safety
///
/// `vmctx` is the context of a live instance.
unsafe fn instance<'i>(vmctx: *mut VmContext) -> &'i Inner {
    // SAFETY: the runtime set the field when it made the context, and the instance owns the context.
    unsafe { &*(*vmctx).instance.cast::<Inner>() }
}

/// Success or failure, as compiled code tests it.
fn status(done: Option<()>) -> u64 {
    u64::from(done.is_none())
}

// Each of these is called by compiled code only, with the context that it runs on and with operands
// of an operator that validation has accepted: indices name things that exist.

unsafe extern "sysv64" fn memory_grow(vmctx: *mut VmContext, memory: u64, pages: u64) -> u64 {
    // SAFETY: see above.
    let memory = unsafe { instance(vmctx) }.memory(memory as u32);
    memory.grow(pages as u32).map_or(u64::MAX, u64::from)
}

unsafe extern "sysv64" fn memory_fill(
    _: *mut VmContext,
    memory: *const VmMemory,
    to: u64,
    value: u64,
    len: u64,
) -> u64 {
    // SAFETY: see above; compiled code passes the place of a memory that its instance reaches.
    status(unsafe { range(memory, to, len) }.map(|start| {
        // SAFETY: the range was just seen to lie in the memory; guests and hosts only reach it
        // through raw pointers and cells.
        unsafe { start.write_bytes(value as u8, len as usize) };
    }))
}

unsafe extern "sysv64" fn memory_copy(
    _: *mut VmContext,
    to_memory: *const VmMemory,
    from_memory: *const VmMemory,
    to: u64,
    from: u64,
    len: u64,
) -> u64 {
    // SAFETY: as for `memory_fill`.
    let (to, from) = unsafe { (range(to_memory, to, len), range(from_memory, from, len)) };
    status(to.zip(from).map(|(to, from)| {
        // SAFETY: both ranges were just seen to lie in their memories; they may overlap.
        unsafe { to.copy_from(from, len as usize) };
    }))
}

/// The address of a range; `None` if it reaches past the end.
///
/// # Safety
///
/// The place is that of a live memory.
unsafe fn range(memory: *const VmMemory, start: u64, len: u64) -> Option<*mut u8> {
    // SAFETY: the caller vouches for it.
    let VmMemory { base, len: size } = unsafe { *memory };
    let end = start.checked_add(len)?;
    // SAFETY: the offset is within the memory.
    (end <= size as u64).then(|| unsafe { base.add(start as usize) })
}

unsafe extern "sysv64" fn memory_init(
    vmctx: *mut VmContext,
    memory: u64,
    segment: u64,
    to: u64,
    from: u64,
    len: u64,
) -> u64 {
    // SAFETY: see above.
    let instance = unsafe { instance(vmctx) };
    status(instance.init_memory(memory as u32, segment as usize, to, from, len))
}

unsafe extern "sysv64" fn data_drop(vmctx: *mut VmContext, segment: u64) -> u64 {
    // SAFETY: see above.
    unsafe { instance(vmctx) }.drop_data(segment as usize);
    0
}

unsafe extern "sysv64" fn table_grow(
    vmctx: *mut VmContext,
    table: u64,
    reference: u64,
    count: u64,
) -> u64 {
    // SAFETY: see above; the reference is of the table's type, and its instance is linked with this
    // one, or it could not have come here.
    let before = unsafe { instance(vmctx).table(table as u32).grow(count as u32, reference) };
    before.map_or(u64::MAX, u64::from)
}

unsafe extern "sysv64" fn table_fill(
    vmctx: *mut VmContext,
    table: u64,
    start: u64,
    reference: u64,
    count: u64,
) -> u64 {
    // SAFETY: as for `table_grow`.
    let table = unsafe { instance(vmctx) }.table(table as u32);
    let (start, count) = (start as u32, count as u32);
    if start.checked_add(count).is_none_or(|end| end > table.len()) {
        return status(None);
    }
    let references = (0..count).map(|_| reference);
    // SAFETY: as for `table_grow`.
    status(unsafe { table.write(start, references) })
}

unsafe extern "sysv64" fn table_copy(
    vmctx: *mut VmContext,
    to_table: u64,
    from_table: u64,
    to: u64,
    from: u64,
    len: u64,
) -> u64 {
    // SAFETY: as for `table_grow`.
    let instance = unsafe { instance(vmctx) };
    let references = instance.table(from_table as u32).read(from as u32, len as u32);
    status(references.and_then(|references| {
        let to_table = instance.table(to_table as u32);
        // SAFETY: as for `table_grow`.
        unsafe { to_table.write(to as u32, references.into_iter()) }
    }))
}

unsafe extern "sysv64" fn table_init(
    vmctx: *mut VmContext,
    table: u64,
    segment: u64,
    to: u64,
    from: u64,
    len: u64,
) -> u64 {
    // SAFETY: see above.
    let instance = unsafe { instance(vmctx) };
    let (to, from, len) = (to as u32, from as u32, len as u32);
    status(instance.init_table(table as u32, segment as usize, to, from, len))
}

unsafe extern "sysv64" fn elem_drop(vmctx: *mut VmContext, segment: u64) -> u64 {
    // SAFETY: see above.
    unsafe { instance(vmctx) }.drop_elements(segment as usize);
    0
}

/// Whether the guest of this context is to end.
pub(super) unsafe extern "sysv64" fn poll(vmctx: *mut VmContext) -> u64 {
    // SAFETY: see above; the thread's state outlives its instances.
    unsafe { (*(*vmctx).thread).stop.store(0, Ordering::SeqCst) };
    0
}
