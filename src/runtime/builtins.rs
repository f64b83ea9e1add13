//! What compiled code calls back for: growing, filling, copying and initialising memories and
//! tables. See [`Builtin`] for the arguments.

use std::ops::Range;

use super::growth::Refusal;
use super::instance::Inner;
use super::thread::{Failure, Thread};
use super::trap::thread_of;
use super::{polls, table};
use crate::compile::abi::{Builtin, RAISE_TRAP, VmContext, VmMemory};

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

/// How many bytes are moved at a time: some tenths of a millisecond where each page is new.
const PIECE: u64 = 1 << 20;
/// How many elements of a table are moved at a time.
const ELEMENTS: u64 = table::PIECE as u64;

/// Whether the guest is to end, whose builtin has come to a point where it can: the failure that the
/// builtin then returns is told as what it is. Without asking at the end of each, a guest that does
/// little else would hardly ever be found in its own code.
///
/// # Safety
///
/// `vmctx` is the context of a live instance.
#[inline]
unsafe fn is_interrupted(vmctx: *mut VmContext) -> bool {
    #[cold]
    #[inline(never)]
    fn ask(thread: &Thread) -> bool {
        let stops = thread.sees_stop();
        if stops {
            thread.interrupted.set(true);
        }
        stops
    }
    // SAFETY: the caller vouches for the context.
    let thread = unsafe { thread_of(vmctx) };
    thread.is_told_to_stop() && ask(thread)
}

/// Does something piece by piece, from `0..len`, the last piece first if `backwards`. `None` if the guest
/// is to end, be it before everything is done.
///
/// # Safety
///
/// `vmctx` is the context of a live instance.
unsafe fn in_pieces(
    vmctx: *mut VmContext,
    len: u64,
    piece: u64,
    backwards: bool,
    mut work: impl FnMut(Range<u64>) -> Option<()>,
) -> Option<()> {
    let mut done = 0;
    loop {
        let next = (len - done).min(piece);
        let start = if backwards { len - done - next } else { done };
        work(start..start + next)?;
        done += next;
        // SAFETY: the caller vouches for the context.
        if unsafe { is_interrupted(vmctx) } {
            return None;
        }
        if done == len {
            return Some(());
        }
    }
}

/// Success or failure, as compiled code tests it.
fn status(done: Option<()>) -> u64 {
    u64::from(done.is_none())
}

// Each of these is called by compiled code only, with the context that it runs on and with operands
// of an operator that validation has accepted: indices name things that exist.

/// What one returns that cannot fail by itself: for a growth the size before, or −1, and whether the
/// guest must end.
#[repr(C)]
struct Ended {
    value: u64,
    failed: u64,
}

/// Parks a limiter's panic like a host function's, and ends a guest that is interrupted.
///
/// # Safety
///
/// As for [`instance`].
unsafe fn grown(vmctx: *mut VmContext, grown: Result<u32, Refusal>) -> Ended {
    let before = match grown {
        Ok(before) => before.into(),
        Err(Refusal::Panic(payload)) => {
            // SAFETY: the caller vouches for it.
            let thread = unsafe { thread_of(vmctx) };
            thread.failure.set(Some(Failure::Panic(payload)));
            return Ended { value: u64::MAX, failed: 1 };
        }
        // Seen by `is_interrupted`, which asks only once.
        Err(Refusal::Interrupted) => return Ended { value: u64::MAX, failed: 1 },
        Err(_) => u64::MAX,
    };
    // SAFETY: as above.
    Ended { value: before, failed: unsafe { is_interrupted(vmctx) }.into() }
}

/// Makes a builtin of a function that returns an [`Ended`]: raises a trap if it failed, from a frame
/// of its own, whose caller is the guest. The arguments stay where they are.
macro_rules! ending {
    ($name:ident => $function:ident) => {
        #[unsafe(naked)]
        unsafe extern "sysv64" fn $name() {
            std::arch::naked_asm!(
                "push rbp",
                "mov rbp, rsp",
                "call {function}",
                "test edx, edx",
                "jne 2f",
                "pop rbp",
                "ret",
                "2:",
                "call [r15 + {raise_trap}]",
                function = sym $function,
                raise_trap = const RAISE_TRAP,
            )
        }
    };
}

ending!(memory_grow => grow_memory);
ending!(table_grow => grow_table);
ending!(data_drop => drop_data);
ending!(elem_drop => drop_elements);

unsafe extern "sysv64" fn grow_memory(vmctx: *mut VmContext, memory: u64, pages: u64) -> Ended {
    // SAFETY: see above.
    unsafe { grown(vmctx, instance(vmctx).memory(memory as u32).grow(pages as u32)) }
}

unsafe extern "sysv64" fn memory_fill(
    vmctx: *mut VmContext,
    memory: *const VmMemory,
    to: u64,
    value: u64,
    len: u64,
) -> u64 {
    // SAFETY: see above; compiled code passes the place of a memory that its instance reaches.
    let Some(start) = (unsafe { range(memory, to, len) }) else { return 1 };
    // SAFETY: the range was just seen to lie in the memory; guests and hosts only reach it through raw
    // pointers and cells.
    unsafe {
        if len > PIECE {
            return fill_in_pieces(vmctx, start, value as u8, len);
        }
        start.write_bytes(value as u8, len as usize);
        u64::from(is_interrupted(vmctx))
    }
}

/// The rest of [`memory_fill`]; apart, so that short fills save no registers for it.
///
/// # Safety
///
/// The range lies in a memory, and `vmctx` is the context of a live instance.
#[cold]
#[inline(never)]
unsafe fn fill_in_pieces(vmctx: *mut VmContext, start: *mut u8, value: u8, len: u64) -> u64 {
    // SAFETY: the caller vouches for everything.
    let fill = |at: Range<u64>| unsafe {
        start.add(at.start as usize).write_bytes(value, (at.end - at.start) as usize);
        Some(())
    };
    // SAFETY: as above.
    status(unsafe { in_pieces(vmctx, len, PIECE, false, fill) })
}

unsafe extern "sysv64" fn memory_copy(
    vmctx: *mut VmContext,
    to_memory: *const VmMemory,
    from_memory: *const VmMemory,
    to: u64,
    from: u64,
    len: u64,
) -> u64 {
    // SAFETY: as for `memory_fill`.
    let (to, from) = unsafe { (range(to_memory, to, len), range(from_memory, from, len)) };
    let (Some(to), Some(from)) = (to, from) else { return 1 };
    // SAFETY: both ranges were just seen to lie in their memories; they may overlap.
    unsafe {
        if len > PIECE {
            return copy_in_pieces(vmctx, to, from, len);
        }
        to.copy_from(from, len as usize);
        u64::from(is_interrupted(vmctx))
    }
}

/// The rest of [`memory_copy`]; see [`fill_in_pieces`].
///
/// # Safety
///
/// Both ranges lie in memories, and `vmctx` is the context of a live instance.
#[cold]
#[inline(never)]
unsafe fn copy_in_pieces(vmctx: *mut VmContext, to: *mut u8, from: *const u8, len: u64) -> u64 {
    // SAFETY: the caller vouches for everything.
    let copy = |at: Range<u64>| unsafe {
        let (start, len) = (at.start as usize, (at.end - at.start) as usize);
        to.add(start).copy_from(from.add(start), len);
        Some(())
    };
    // No piece overwrites what a later one reads.
    // SAFETY: as above.
    status(unsafe { in_pieces(vmctx, len, PIECE, to.cast_const() > from, copy) })
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
    let (memory, segment) = (memory as u32, segment as usize);
    // Everything fits, or nothing is copied.
    let fits = instance.init_memory(memory, segment, to + len, from + len, 0);
    let copy = |at: Range<u64>| {
        let len = at.end - at.start;
        instance.init_memory(memory, segment, to + at.start, from + at.start, len)
    };
    // SAFETY: see above.
    status(fits.and_then(|()| unsafe { in_pieces(vmctx, len, PIECE, false, copy) }))
}

unsafe extern "sysv64" fn drop_data(vmctx: *mut VmContext, segment: u64) -> Ended {
    // SAFETY: see above.
    unsafe {
        instance(vmctx).drop_data(segment as usize);
        Ended { value: 0, failed: is_interrupted(vmctx).into() }
    }
}

unsafe extern "sysv64" fn grow_table(
    vmctx: *mut VmContext,
    table: u64,
    reference: u64,
    count: u64,
) -> Ended {
    // SAFETY: see above; the reference is of the table's type, and its instance is linked with this
    // one, or it could not have come here.
    unsafe {
        let go_on = || !is_interrupted(vmctx);
        grown(vmctx, instance(vmctx).table(table as u32).grow(count as u32, reference, go_on))
    }
}

unsafe extern "sysv64" fn table_fill(
    vmctx: *mut VmContext,
    table: u64,
    start: u64,
    reference: u64,
    count: u64,
) -> u64 {
    // SAFETY: as for `grow_table`.
    let table = unsafe { instance(vmctx) }.table(table as u32);
    let (start, count) = (start as u32, count as u32);
    if start.checked_add(count).is_none_or(|end| end > table.len()) {
        return status(None);
    }
    let fill = |at: Range<u64>| {
        let references = (at.start as u32..at.end as u32).map(|_| reference);
        // SAFETY: as for `table_grow`.
        unsafe { table.write(start + at.start as u32, references) }
    };
    // SAFETY: see above.
    status(unsafe { in_pieces(vmctx, count.into(), ELEMENTS, false, fill) })
}

unsafe extern "sysv64" fn table_copy(
    vmctx: *mut VmContext,
    to_table: u64,
    from_table: u64,
    to: u64,
    from: u64,
    len: u64,
) -> u64 {
    // SAFETY: as for `grow_table`.
    let instance = unsafe { instance(vmctx) };
    let (to_table, from_table) =
        (instance.table(to_table as u32), instance.table(from_table as u32));
    let (to, from, len) = (to as u32, from as u32, len as u32);
    let inside = |start: u32, size: u32| start.checked_add(len).is_some_and(|end| end <= size);
    if !inside(to, to_table.len()) || !inside(from, from_table.len()) {
        return status(None);
    }
    let copy = |at: Range<u64>| {
        let (start, len) = (at.start as u32, (at.end - at.start) as u32);
        let references = from_table.read(from + start, len)?;
        // SAFETY: as for `table_grow`.
        unsafe { to_table.write(to + start, references.into_iter()) }
    };
    // No piece overwrites what a later one reads.
    // SAFETY: see above.
    status(unsafe { in_pieces(vmctx, len.into(), ELEMENTS, to > from, copy) })
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
    let (table, segment) = (table as u32, segment as usize);
    // Everything fits, or nothing is copied.
    let ends = to.checked_add(len).zip(from.checked_add(len));
    let fits = ends.and_then(|(to, from)| instance.init_table(table, segment, to, from, 0));
    let copy = |at: Range<u64>| {
        let (start, len) = (at.start as u32, (at.end - at.start) as u32);
        instance.init_table(table, segment, to + start, from + start, len)
    };
    // SAFETY: see above.
    status(fits.and_then(|()| unsafe { in_pieces(vmctx, len.into(), ELEMENTS, false, copy) }))
}

unsafe extern "sysv64" fn drop_elements(vmctx: *mut VmContext, segment: u64) -> Ended {
    // SAFETY: see above.
    unsafe {
        instance(vmctx).drop_elements(segment as usize);
        Ended { value: 0, failed: is_interrupted(vmctx).into() }
    }
}

/// Whether the guest of this context is to end.
pub(super) unsafe extern "sysv64" fn poll(vmctx: *mut VmContext) -> u64 {
    // SAFETY: see above.
    u64::from(unsafe { thread_of(vmctx) }.sees_stop())
}
