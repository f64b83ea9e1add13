//! The contract between compiled code, the two tiers that produce it, and the runtime.
//!
//! Owns the calling convention of wasm functions, the layout of [`VmContext`], and how code
//! raises a trap. The *life* of a `VmContext` is the runtime's.
//!
//! # Calling convention
//!
//! Cranelift's `tail` convention, with the instance's [`VmContext`] in [`VMCTX`] (Cranelift's
//! pinned register), from entry to exit and over every call:
//!
//! - integer and reference parameters in [`INT_PARAMS`], floats and vectors in [`FLOAT_PARAMS`],
//!   the rest on the stack in order, 8 bytes each (16 for `v128`, aligned), the whole rounded up
//!   to 16; **the callee pops them**;
//! - results in [`INT_RESULTS`] and [`FLOAT_RESULTS`]. Results that find no register are stored
//!   in the *return area*, whose address the caller passes as one more integer parameter after
//!   all others;
//! - [`CALLEE_SAVED`] and rbp are preserved. A function that calls, or that can trap, keeps rbp as
//!   a frame pointer (`push rbp; mov rbp, rsp` first), except where it is marked
//!   [`frameless`](super::CompiledFunction::frameless). What the runtime itself calls guests by has no
//!   frame, so that rbp may hold anything there: a backtrace ends where it leaves the entry's stack;
//! - rsp is a multiple of 16 before a call instruction;
//! - **the upper half of a register or slot that holds an i32 or f32 is undefined** at calls and
//!   returns.
//!
//! For up to six integer and eight float parameters and one result this is the System V
//! convention, so that a function can be compared with one that a C compiler made.

use std::mem::offset_of;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};

#[cfg(feature = "baseline")]
use crate::asm::GprSet;
use crate::asm::{Gpr, Xmm};
use crate::module::{FuncType, ModuleInfo, ValType};

/// Holds the instance's [`VmContext`] while wasm code runs.
pub(crate) const VMCTX: Gpr = Gpr::R15;
/// Free for the emitter at any point; never live across an operator.
#[cfg(feature = "baseline")]
pub(crate) const SCRATCH: Gpr = Gpr::R11;
/// The same for floats and vectors.
#[cfg(feature = "baseline")]
pub(crate) const FLOAT_SCRATCH: Xmm = Xmm::Xmm15;
/// Parameters of integer class, in order.
pub(crate) const INT_PARAMS: [Gpr; 6] = [Gpr::Rdi, Gpr::Rsi, Gpr::Rdx, Gpr::Rcx, Gpr::R8, Gpr::R9];
/// Parameters of float and vector class, in order.
pub(crate) const FLOAT_PARAMS: [Xmm; 8] = FIRST_EIGHT_XMM;
/// Results of integer class, in order.
pub(crate) const INT_RESULTS: [Gpr; 8] =
    [Gpr::Rax, Gpr::Rcx, Gpr::Rdx, Gpr::Rsi, Gpr::Rdi, Gpr::R8, Gpr::R9, Gpr::R10];
/// Results of float and vector class, in order.
pub(crate) const FLOAT_RESULTS: [Xmm; 8] = FIRST_EIGHT_XMM;
/// What a callee gives back unchanged, besides rbp, rsp and [`VMCTX`].
#[cfg(feature = "baseline")]
pub(crate) const CALLEE_SAVED: GprSet = GprSet::of(&[Gpr::Rbx, Gpr::R12, Gpr::R13, Gpr::R14]);

const FIRST_EIGHT_XMM: [Xmm; 8] =
    [Xmm::Xmm0, Xmm::Xmm1, Xmm::Xmm2, Xmm::Xmm3, Xmm::Xmm4, Xmm::Xmm5, Xmm::Xmm6, Xmm::Xmm7];

/// Where a parameter or a result travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    Gpr(Gpr),
    Xmm(Xmm),
    /// For a parameter: bytes above the return address, at the callee's entry. For a result:
    /// bytes from the start of the return area.
    Memory(u32),
}

/// Where everything of one signature travels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signature {
    pub params: Vec<Location>,
    pub results: Vec<Location>,
    /// Where the return area's address travels, for signatures that need one.
    pub return_area: Option<Location>,
    /// The size of the stack parameters, a multiple of 16: what the callee pops.
    pub stack_bytes: u32,
    /// The size of the return area, a multiple of 16.
    pub return_area_bytes: u32,
}

impl Signature {
    /// The locations for a function of this type.
    #[cfg(any(feature = "cranelift", test))]
    pub fn of(ty: &FuncType) -> Signature {
        let mut signature = Signature::default();
        signature.assign(ty);
        signature
    }

    /// Like [`Signature::of`], in place: keeps the allocations.
    pub fn assign(&mut self, ty: &FuncType) {
        self.results.clear();
        let mut results = Slots::results();
        self.results.extend(ty.results().iter().map(|ty| result(results.next(*ty))));
        self.return_area_bytes = results.memory_bytes();

        self.params.clear();
        let mut params = Slots::params();
        self.params.extend(ty.params().iter().map(|ty| param(params.next(*ty))));
        self.return_area = (self.return_area_bytes > 0).then(|| param(params.next(ValType::I64)));
        self.stack_bytes = params.memory_bytes();
    }
}

/// The same as [`Location`], with registers as numbers in their list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Int(usize),
    Float(usize),
    /// Bytes, as in [`Location::Memory`].
    Memory(u32),
}

/// Hands out where the values of a signature travel, one after the other: registers as long as there
/// are some of the class, then memory. The one place that knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots {
    max: (usize, usize),
    ints: usize,
    floats: usize,
    memory: u32,
}

impl Slots {
    /// Those of parameters.
    pub const fn params() -> Slots {
        Slots { max: (INT_PARAMS.len(), FLOAT_PARAMS.len()), ints: 0, floats: 0, memory: 0 }
    }

    /// Those of results.
    pub const fn results() -> Slots {
        Slots { max: (INT_RESULTS.len(), FLOAT_RESULTS.len()), ints: 0, floats: 0, memory: 0 }
    }

    /// Where the next value, which is of that type, travels.
    pub const fn next(&mut self, ty: ValType) -> Slot {
        if ty.is_vector_class() {
            if self.floats < self.max.1 {
                self.floats += 1;
                return Slot::Float(self.floats - 1);
            }
        } else if self.ints < self.max.0 {
            self.ints += 1;
            return Slot::Int(self.ints - 1);
        }
        let size = if matches!(ty, ValType::V128) { 16 } else { 8 };
        let offset = self.memory.next_multiple_of(size);
        self.memory = offset + size;
        Slot::Memory(offset)
    }

    /// The size of what has been handed out in memory, a multiple of 16.
    pub const fn memory_bytes(&self) -> u32 {
        self.memory.next_multiple_of(16)
    }
}

/// The location of the parameter that has this slot.
fn param(slot: Slot) -> Location {
    located(slot, &INT_PARAMS, &FLOAT_PARAMS)
}

/// The location of the result that has this slot.
fn result(slot: Slot) -> Location {
    located(slot, &INT_RESULTS, &FLOAT_RESULTS)
}

fn located(slot: Slot, gprs: &[Gpr], xmms: &[Xmm]) -> Location {
    match slot {
        Slot::Int(number) => Location::Gpr(gprs[number]),
        Slot::Float(number) => Location::Xmm(xmms[number]),
        Slot::Memory(offset) => Location::Memory(offset),
    }
}

/// What compiled code finds at [`VMCTX`]: one per instance, and the beginning of a [`HostContext`].
///
/// In an instance, the parts that differ from module to module follow it: see [`Layout`].
/// Everything but globals, memories and tables is written by the runtime and only read by compiled
/// code.
#[repr(C)]
pub(crate) struct VmContext {
    /// A function that needs stack traps when rsp is below this. First, so that the check in
    /// prologues is the shortest. In a [`HostContext`] it is the host function's limit.
    pub stack_limit: usize,
    /// The address of the code that a trap site calls: see [`RAISE_TRAP`].
    pub raise_trap: usize,
    /// The state of the thread that the instance belongs to.
    pub thread: *mut ThreadState,
    /// `extern "sysv64" fn(vmctx, pc, frame pointer, stack pointer)`: notes a trap for the entry.
    pub record_trap: usize,
    /// The runtime's description of the module's code, for the signal handler; null in a
    /// [`HostContext`].
    pub module: *const (),
    /// The functions of [`Builtin`], in its order.
    pub builtins: *const [usize; Builtin::COUNT],
    /// The runtime's own part of the instance; in a [`HostContext`], of the one that imports.
    pub instance: *const (),
}

/// What a function of the host finds at [`VMCTX`] when wasm calls it: one per import that is bound
/// to the host, inside the importing instance.
#[repr(C)]
pub(crate) struct HostContext {
    pub vm: VmContext,
    /// `extern "sysv64" fn(parameters…, *mut HostContext, *mut usize) -> result` for functions with a
    /// direct crossing. The last parameter is where the address lies that the crossing returns to,
    /// which a shim that fails exchanges: see [`ThreadState::host_return`]. All others have
    /// `extern "sysv64" fn(*mut RegisterFile, *mut HostContext) -> u64`, which returns a status: other
    /// than 0 if it failed.
    pub shim: usize,
    /// What the shim is for.
    pub function: *const (),
}

/// A function that another instance or the host defines, as its importer calls it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct VmFunction {
    pub code: *const u8,
    /// What [`VMCTX`] must hold in the callee.
    pub vmctx: *mut VmContext,
}

/// What a `funcref` points to; the null reference is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct VmFuncRef {
    pub function: VmFunction,
    /// The interned number of the function's type.
    pub type_id: u32,
}

/// An element of a table of functions: what it refers to, copied, so that an indirect call reads one
/// cache line. All zero for the null reference.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct VmTableFunction {
    pub function: VmFunction,
    /// 0 is no type's number, so that one comparison finds both a null reference and a wrong type.
    pub type_id: u32,
    pub func_ref: *const VmFuncRef,
}

/// A linear memory.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct VmMemory {
    /// Does not change while code runs, so code may keep it.
    pub base: *mut u8,
    /// The size in bytes, a multiple of the page size.
    pub len: usize,
}

/// A table: [`VmTableFunction`]s, or 8-byte external references.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct VmTable {
    /// Changes when the table grows.
    pub base: *mut u8,
    /// The number of elements.
    pub len: usize,
}

/// A global's value: the low bytes of it for types narrower than this.
#[repr(C, align(16))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct VmGlobal(pub [u64; 2]);

/// Where the parts of an instance's context lie that its module determines, in bytes from
/// [`VMCTX`].
///
/// Memories, tables and globals that the module defines lie in the context itself; for imported
/// ones there is a pointer to where they lie.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    imported_functions: i32,
    func_refs: i32,
    imported: [i32; 3],
    defined: [i32; 3],
    imported_counts: [u32; 3],
    /// Where the fuel that is left is kept, in an engine with fuel: 64 bits, all of them inverted, so
    /// that taking more than there is carries out of an addition.
    pub fuel: Option<i32>,
    /// The size of the whole context.
    pub size: usize,
}

/// A place in the context or behind a pointer there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At this offset in the context.
    Here(i32),
    /// Where the pointer at this offset in the context points.
    Behind(i32),
}

impl Layout {
    /// The layout for a module. Its index spaces are bounded by the engine's limits, far below what
    /// an offset can express.
    #[cfg(any(test, feature = "listing"))]
    pub fn of(info: &ModuleInfo) -> Layout {
        Layout::new(info, false)
    }

    /// The same, with room for fuel if there is to be fuel.
    pub fn new(info: &ModuleInfo, has_fuel: bool) -> Layout {
        let mut end = size_of::<VmContext>();
        let mut part = |size: usize, align: usize, count: usize| {
            let start = end.next_multiple_of(align);
            end = start + size * count;
            start as i32
        };
        let counts = [
            (info.imported_memories, info.memories.len()),
            (info.imported_tables, info.tables.len()),
            (info.imported_globals, info.globals.len()),
        ];
        let sizes = [size_of::<VmMemory>(), size_of::<VmTable>(), size_of::<VmGlobal>()];
        // What calls and memory accesses read comes first, where displacements are short.
        let fuel = has_fuel.then(|| part(8, 8, 1));
        let mut defined = [0; 3];
        for i in 0..3 {
            let own = counts[i].1 - counts[i].0 as usize;
            defined[i] = part(sizes[i], if i == 2 { 16 } else { 8 }, own);
        }
        let imported = counts.map(|(imported, _)| part(8, 8, imported as usize));
        let imported_functions = part(size_of::<VmFunction>(), 8, info.imported_functions as usize);
        let func_refs = part(size_of::<VmFuncRef>(), 8, info.escaping.len());
        let imported_counts = counts.map(|(imported, _)| imported);
        let size = end.next_multiple_of(16);
        Layout { imported_functions, func_refs, imported, defined, imported_counts, fuel, size }
    }

    /// The [`VmFunction`] of an imported function.
    pub fn imported_function(&self, function: u32) -> i32 {
        self.imported_functions + function as i32 * size_of::<VmFunction>() as i32
    }

    /// The [`VmFuncRef`] of the function at this place of [`ModuleInfo::escaping`].
    pub fn func_ref(&self, escaping: usize) -> i32 {
        self.func_refs + (escaping * size_of::<VmFuncRef>()) as i32
    }

    /// Where a memory's [`VmMemory`] is.
    pub fn memory(&self, memory: u32) -> Place {
        self.place(0, memory, size_of::<VmMemory>())
    }

    /// Where a table's [`VmTable`] is.
    pub fn table(&self, table: u32) -> Place {
        self.place(1, table, size_of::<VmTable>())
    }

    /// Where a global's [`VmGlobal`] is.
    pub fn global(&self, global: u32) -> Place {
        self.place(2, global, size_of::<VmGlobal>())
    }

    fn place(&self, kind: usize, index: u32, size: usize) -> Place {
        match index.checked_sub(self.imported_counts[kind]) {
            Some(own) => Place::Here(self.defined[kind] + (own as usize * size) as i32),
            None => Place::Behind(self.imported[kind] + 8 * index as i32),
        }
    }
}

/// The functions of the runtime that compiled code calls, in the System V convention, with the
/// context as the first argument; all other arguments and the results are 64-bit. Indices are those
/// of the module that calls.
///
/// Those that can fail return 0 for success and 1 for failure, which has one trap code each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Builtin {
    /// (memory, pages) -> the size before in pages, or -1.
    MemoryGrow,
    /// (address of the [`VmMemory`], destination, value, length) -> failed: out-of-bounds memory
    /// access.
    MemoryFill,
    /// (address of the destination's [`VmMemory`], of the source's, destination, source, length) ->
    /// failed: out-of-bounds memory access.
    MemoryCopy,
    /// (memory, segment, destination, source, length) -> failed: out-of-bounds memory access.
    MemoryInit,
    /// (segment) -> 0.
    DataDrop,
    /// (table, reference, count) -> the size before, or -1.
    TableGrow,
    /// (table, start, reference, count) -> failed: out-of-bounds table access.
    TableFill,
    /// (destination table, source table, destination, source, length) -> failed: out-of-bounds
    /// table access.
    TableCopy,
    /// (table, segment, destination, source, length) -> failed: out-of-bounds table access.
    TableInit,
    /// (segment) -> 0.
    ElemDrop,
    /// What compiled code calls when it finds [`STOP`] set, where it polls: leaves in [`VERDICT`]
    /// whether the guest is to end. Unlike the others it takes nothing but [`VMCTX`], preserves every
    /// register but the flags, and rsp need not be aligned.
    Poll,
}

impl Builtin {
    /// How many there are.
    pub const COUNT: usize = Builtin::Poll as usize + 1;

    /// Offset of its address in the table that [`BUILTINS`] points to.
    pub const fn offset(self) -> i32 {
        self as i32 * 8
    }
}

/// The part of a thread's state that compiled code, entries and crossings touch. The runtime keeps more
/// behind it. Atomic, because other threads and signal handlers read it; compiled code uses plain
/// instructions.
#[derive(Default)]
#[repr(C)]
pub(crate) struct ThreadState {
    /// Where the [`EntryRecord`] of the innermost entry from the host lies, which the landing pad
    /// undoes; 0 while no wasm runs on the thread.
    pub entry_sp: AtomicUsize,
    /// How many requests there have been to end guests of the thread, from whatever thread.
    pub requests: AtomicU64,
    /// Not 0 if a guest of the thread may have to end: whoever sees that asks [`Builtin::Poll`], which
    /// knows. Nothing but a hint, which other threads set.
    pub stop: AtomicU32,
    /// What [`Builtin::Poll`] found out: not 0 if the guest is to end. The thread's own.
    pub verdict: AtomicU32,
    /// Where a function of the host that has failed would have returned to. It returns to
    /// the trampolines' `host_failed` instead, so that those that do not fail need not say so. The
    /// thread's own.
    pub host_return: AtomicUsize,
}

/// What [`ThreadState::entry_sp`] points to, on the stack: the frame of an entry, as it is pushed.
#[repr(C)]
pub(crate) struct EntryRecord {
    /// What [`ThreadState::requests`] was: the first request that may concern the entry. Before it has
    /// been read, [`UNCOUNTED`].
    pub requests: u64,
    /// The entry before this one on the thread, from a host function that its guest called.
    pub before: *const EntryRecord,
    /// The context that was entered: an instance's, or that of a function of the host.
    pub vmctx: *const VmContext,
    /// Where a guest goes on that does not return, with rsp behind this record, the host's rbp and rbx,
    /// and 1 in r11.
    pub landing: usize,
    pub rbp: usize,
    pub rbx: usize,
}

/// The number of a request that never comes.
pub(crate) const UNCOUNTED: u64 = u64::MAX;

/// Offset of the stack limit in the [`VmContext`].
pub(crate) const STACK_LIMIT: i32 = offset_of!(VmContext, stack_limit) as i32;
/// Offset of the trap routine's address in the [`VmContext`].
///
/// To trap, code executes `call [r15 + RAISE_TRAP]`, which never returns; the trap site's offset is
/// that of the call instruction, [`RAISE_TRAP_LEN`] bytes before the return address that it pushes. rsp
/// need not be aligned. A stack overflow is raised with rsp back at the frame's top, because the
/// frame itself may lie beyond the end of the stack.
pub(crate) const RAISE_TRAP: i32 = offset_of!(VmContext, raise_trap) as i32;
/// The length of `call [r15 + RAISE_TRAP]`: REX, opcode, ModRM, disp8.
pub(crate) const RAISE_TRAP_LEN: u32 = 4;
/// Offset of the thread pointer in the [`VmContext`].
pub(crate) const THREAD: i32 = offset_of!(VmContext, thread) as i32;
/// Offset of the recorder's address in the [`VmContext`].
pub(crate) const RECORD_TRAP: i32 = offset_of!(VmContext, record_trap) as i32;
/// Offset of the pointer to the builtins' addresses in the [`VmContext`].
pub(crate) const BUILTINS: i32 = offset_of!(VmContext, builtins) as i32;
/// Offset of the shim's address in the [`HostContext`].
pub(crate) const SHIM: i32 = offset_of!(HostContext, shim) as i32;
/// Offset of the innermost entry's stack pointer in the [`ThreadState`].
pub(crate) const ENTRY_SP: i32 = offset_of!(ThreadState, entry_sp) as i32;
/// Offset of the number of requests in the [`ThreadState`].
pub(crate) const REQUESTS: i32 = offset_of!(ThreadState, requests) as i32;
/// Offset of the hint that a guest may have to end in the [`ThreadState`]: 4 bytes, 0 if not.
pub(crate) const STOP: i32 = offset_of!(ThreadState, stop) as i32;
/// Offset of a failed host function's return address in the [`ThreadState`].
pub(crate) const HOST_RETURN: i32 = offset_of!(ThreadState, host_return) as i32;
/// Offset of what [`Builtin::Poll`] found out in the [`ThreadState`]: 4 bytes.
pub(crate) const VERDICT: i32 = offset_of!(ThreadState, verdict) as i32;

// The trap sites are counted back from the return address: the displacement must fit a byte.
const _: () = assert!(RAISE_TRAP > 0 && RAISE_TRAP < 128);

/// The largest frame of a leaf function that needs no stack check: well within the reserve that
/// every stack limit leaves.
#[cfg(feature = "baseline")]
pub(crate) const UNCHECKED_FRAME: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use ValType::*;

    #[test]
    fn registers_then_stack() {
        let s = Signature::of(&FuncType::new([I64; 8], [I64]));
        assert_eq!(s.params[5], Location::Gpr(Gpr::R9));
        assert_eq!(s.params[6..], [Location::Memory(0), Location::Memory(8)]);
        assert_eq!((s.stack_bytes, s.return_area), (16, None));
        assert_eq!(s.results, [Location::Gpr(Gpr::Rax)]);
    }

    #[test]
    fn classes_are_counted_apart() {
        let s = Signature::of(&FuncType::new([F32, I32, F64, I64], [F64, I32]));
        let expected = [
            Location::Xmm(Xmm::Xmm0),
            Location::Gpr(Gpr::Rdi),
            Location::Xmm(Xmm::Xmm1),
            Location::Gpr(Gpr::Rsi),
        ];
        assert_eq!(s.params, expected);
        assert_eq!(s.results, [Location::Xmm(Xmm::Xmm0), Location::Gpr(Gpr::Rax)]);
    }

    #[test]
    fn results_without_register_go_to_the_return_area() {
        let s = Signature::of(&FuncType::new([I32], [I64; 10]));
        assert_eq!(s.results[8..], [Location::Memory(0), Location::Memory(8)]);
        assert_eq!((s.return_area, s.return_area_bytes), (Some(Location::Gpr(Gpr::Rsi)), 16));
    }

    #[test]
    fn vectors_on_the_stack_are_aligned() {
        let s = Signature::of(&FuncType::new([F64; 9].into_iter().chain([V128]), []));
        assert_eq!(s.params[8..], [Location::Memory(0), Location::Memory(16)]);
        assert_eq!(s.stack_bytes, 32);
    }
}
