//! The crossings between host and wasm, emitted once per engine and shared by both tiers.
//!
//! There are as few as the convention allows, and none per function or per signature: an entry
//! for each number of integer parameters and each register class of the result, one entry that
//! takes everything from memory, and the way out of a trap. All entries push the same frame, so
//! that one landing pad serves them all:
//!
//! ```text
//! return address of the host
//! rbp rbx r12 r13 r14 r15              a trap skips the epilogues that would restore them
//! the context
//! the thread's requests so far
//! the entry before this one, or 0      ThreadState::entry_sp points here: an EntryRecord
//! ```
//!
//! What calls do one after the other must not become a chain: an entry reads nothing that the entry
//! before it has written, but the one register that it restores, and its stack pointer comes from
//! additions only.

use std::mem::offset_of;

use super::abi::{
    ENTRY_SP, EntryRecord, FLOAT_PARAMS, FLOAT_RESULTS, HOST_RETURN, INT_PARAMS, INT_RESULTS,
    RAISE_TRAP_LEN, RECORD_TRAP, REQUESTS, SHIM, THREAD, VMCTX,
};
use crate::asm::{Alu, Assembler, Cond, Gpr, Label, Mem, Scale, Size};

/// What an entry pushes, in this order.
const SAVED: [Gpr; 6] = [Gpr::Rbp, Gpr::Rbx, Gpr::R12, Gpr::R13, Gpr::R14, VMCTX];
/// The size of what it pushes behind that: an [`EntryRecord`].
const RECORD: i32 = size_of::<EntryRecord>() as i32;
/// The size of all of it.
const FRAME: i32 = 8 * SAVED.len() as i32 + RECORD;

/// Everything that [`RegisterFile`]-entries move between memory and registers.
///
/// The caller fills `ints`, `floats` and the stack arguments as [`Slots`](super::abi::Slots) places
/// them; the entry fills in the results. What a signature does not use may hold anything.
#[repr(C)]
pub(crate) struct RegisterFile {
    pub ints: [u64; 6],
    pub floats: [u128; 8],
    /// The stack arguments, in 8-byte words.
    pub stack: *const u64,
    /// Their number, even. A shim fills it in for the crossing, which pops them.
    pub stack_words: usize,
    pub int_results: [u64; 8],
    pub float_results: [u128; 8],
}

impl Default for RegisterFile {
    fn default() -> RegisterFile {
        RegisterFile {
            ints: [0; 6],
            floats: [0; 8],
            stack: std::ptr::null(),
            stack_words: 0,
            int_results: [0; 8],
            float_results: [0; 8],
        }
    }
}

/// The class of register that a direct entry leaves the result in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResultClass {
    /// The result in rax, the status in rdx.
    Int,
    /// The result in xmm0 or none, the status in rax.
    FloatOrNone,
}

/// The most integer parameters that a direct entry takes.
pub(crate) const MAX_DIRECT_INTS: usize = INT_PARAMS.len();
/// The most float parameters that a direct entry takes.
pub(crate) const MAX_DIRECT_FLOATS: usize = FLOAT_PARAMS.len();

/// Offsets of direct entries, by number of integer parameters, then by [`ResultClass`].
pub(crate) type DirectEntries = [[u32; 2]; MAX_DIRECT_INTS + 1];

/// The trampolines' code, and where each starts in it.
pub(crate) struct Trampolines {
    pub bytes: Vec<u8>,
    /// `extern "sysv64" fn(parameters…, *mut VmContext, code) -> { result, status: u64 }`. A status
    /// other than 0 means a trap.
    pub direct: DirectEntries,
    /// `extern "sysv64" fn(*mut RegisterFile, *mut VmContext, code) -> u64`, the status.
    pub indirect: u32,
    /// What wasm calls for a function of the host, with its [`HostContext`](super::abi::HostContext)
    /// in [`VMCTX`], where the parameters travel in registers and there is at most one result: by
    /// number of integer parameters.
    pub host_direct: [u32; MAX_DIRECT_INTS + 1],
    /// The same for all other signatures: the shim gets a [`RegisterFile`].
    pub host_indirect: u32,
    /// What a shim returns to that has failed.
    pub host_failed: u32,
    /// What [`RAISE_TRAP`](super::abi::RAISE_TRAP) holds the address of.
    pub raise_trap: u32,
    /// Where a signal handler resumes, with [`VMCTX`] as the guest had it.
    pub landing_pad: u32,
}

impl Trampolines {
    /// Emits them all.
    pub fn emit() -> Trampolines {
        let mut asm = Assembler::new();
        const CLASSES: [ResultClass; 2] = [ResultClass::Int, ResultClass::FloatOrNone];
        let direct = std::array::from_fn(|ints| CLASSES.map(|class| direct(&mut asm, ints, class)));
        let indirect = indirect(&mut asm);
        let ending = ending(&mut asm);
        let host_direct = std::array::from_fn(|ints| host_direct(&mut asm, ints));
        let host_indirect = host_indirect(&mut asm, ending.record);
        Trampolines {
            bytes: asm.buf.bytes().to_vec(),
            direct,
            indirect,
            host_direct,
            host_indirect,
            host_failed: ending.host_failed,
            raise_trap: ending.raise_trap,
            landing_pad: ending.landing_pad,
        }
    }
}

fn start(asm: &mut Assembler) -> u32 {
    asm.buf.align(16, 0xcc);
    asm.offset()
}

pub(super) fn push_saved(asm: &mut Assembler) {
    for saved in SAVED {
        asm.push_r(saved);
    }
}

/// The way out that restores everything.
pub(super) fn pop_saved_and_return(asm: &mut Assembler) {
    for saved in SAVED.into_iter().rev() {
        asm.pop_r(saved);
    }
    asm.ret();
}

/// Pushes the [`EntryRecord`] and notes it as the thread's innermost. Clobbers rax; needs [`VMCTX`].
/// The caller emits what this returns behind its own return.
pub(super) fn enter(asm: &mut Assembler) -> Nested {
    let nested = push_outermost(asm);
    let entered = asm.new_label();
    asm.bind(entered);
    asm.mov_mr(Size::S64, Mem::base(Gpr::Rax, ENTRY_SP), Gpr::Rsp);
    Nested { nested, entered }
}

/// Pushes the record of an entry that no other is around; branches to the label this returns, with
/// the thread's state in rax and the last word left to push, if there is one.
fn push_outermost(asm: &mut Assembler) -> Label {
    let nested = asm.new_label();
    asm.mov_rm(Size::S64, Gpr::Rax, Mem::base(VMCTX, THREAD));
    asm.push_r(VMCTX);
    asm.push_m(Mem::base(Gpr::Rax, REQUESTS));
    // The branch, instead of pushing whatever is there, keeps a chain of loads and stores through
    // this word from linking each call to the one before.
    asm.alu_mi(Alu::Cmp, Size::S64, Mem::base(Gpr::Rax, ENTRY_SP), 0);
    asm.jcc(Cond::Ne, nested);
    asm.push_imm32(0);
    nested
}

/// The part of [`enter`] for entries from a host function that wasm called: out of the way.
pub(super) struct Nested {
    nested: Label,
    entered: Label,
}

impl Nested {
    pub(super) fn emit(self, asm: &mut Assembler) {
        asm.bind(self.nested);
        asm.push_m(Mem::base(Gpr::Rax, ENTRY_SP));
        asm.jmp(self.entered);
    }
}

/// Makes the entry before this one the innermost again, and takes the record off the stack. Clobbers
/// r11; needs [`VMCTX`].
pub(super) fn leave(asm: &mut Assembler) {
    make_outer_innermost(asm);
    asm.alu_ri(Alu::Add, Size::S64, Gpr::Rsp, RECORD - 8);
}

/// Pops the innermost entry's first word. From the next instruction on the entry before it is the
/// innermost, for a signal handler too.
fn make_outer_innermost(asm: &mut Assembler) {
    asm.mov_rm(Size::S64, Gpr::R11, Mem::base(VMCTX, THREAD));
    asm.pop_m(Mem::base(Gpr::R11, ENTRY_SP));
}

/// The way out behind a call that returned: the callee has kept all but [`VMCTX`], which is the
/// entry's own doing. Loading the others, too, would make each call wait for the one before.
fn leave_and_return(asm: &mut Assembler) {
    const { assert!(matches!(SAVED[SAVED.len() - 1], VMCTX)) };
    make_outer_innermost(asm);
    drop_frame_and_return(asm, 8);
}

/// The end of that, where so many bytes of the frame are gone already.
fn drop_frame_and_return(asm: &mut Assembler, gone: i32) {
    asm.mov_rm(Size::S64, VMCTX, Mem::base(Gpr::Rsp, RECORD - gone));
    asm.alu_ri(Alu::Add, Size::S64, Gpr::Rsp, FRAME - gone);
    asm.ret();
}

/// The entry for functions whose parameters all travel in registers, with at most one result.
///
/// The parameters are already where wasm code wants them. The context and the code follow them as
/// two more integer parameters.
fn direct(asm: &mut Assembler, ints: usize, class: ResultClass) -> u32 {
    let at = start(asm);
    push_saved(asm);
    // Behind what was pushed and the return address lie the arguments that found no register.
    let argument = |index: usize| {
        let stacked = index.checked_sub(INT_PARAMS.len())? as i32;
        Some(Mem::base(Gpr::Rsp, 8 * (SAVED.len() as i32 + 1 + stacked)))
    };
    match argument(ints) {
        None => asm.mov_rr(Size::S64, VMCTX, INT_PARAMS[ints]),
        Some(place) => asm.mov_rm(Size::S64, VMCTX, place),
    }
    let code = match argument(ints + 1) {
        None => INT_PARAMS[ints + 1],
        Some(place) => {
            asm.mov_rm(Size::S64, Gpr::R11, place);
            Gpr::R11
        }
    };
    // Twice, because leaving an outermost entry takes no load.
    let nested = push_outermost(asm);
    let entry_sp = |base: Gpr| Mem::base(base, ENTRY_SP);
    asm.mov_mr(Size::S64, entry_sp(Gpr::Rax), Gpr::Rsp);
    asm.call_r(code);
    asm.mov_rm(Size::S64, Gpr::R11, Mem::base(VMCTX, THREAD));
    asm.mov_mi(Size::S64, entry_sp(Gpr::R11), 0);
    asm.zero(status_register(class));
    drop_frame_and_return(asm, 0);

    asm.bind(nested);
    asm.push_m(entry_sp(Gpr::Rax));
    asm.mov_mr(Size::S64, entry_sp(Gpr::Rax), Gpr::Rsp);
    asm.call_r(code);
    asm.zero(status_register(class));
    leave_and_return(asm);
    at
}

fn status_register(class: ResultClass) -> Gpr {
    match class {
        ResultClass::Int => Gpr::Rdx,
        ResultClass::FloatOrNone => Gpr::Rax,
    }
}

/// The entry for everything else: arguments come from a [`RegisterFile`], results go there.
fn indirect(asm: &mut Assembler) -> u32 {
    const FILE: Gpr = Gpr::Rdi;
    let field = |base: Gpr, offset: usize| Mem::base(base, offset as i32);
    let at = start(asm);
    push_saved(asm);
    asm.mov_rr(Size::S64, VMCTX, Gpr::Rsi);
    asm.mov_rr(Size::S64, Gpr::R11, Gpr::Rdx);
    let nested = enter(asm);
    // Twice, to keep the stack aligned.
    asm.push_r(FILE);
    asm.push_r(FILE);
    asm.mov_rm(Size::S64, Gpr::Rax, field(FILE, offset_of!(RegisterFile, stack)));
    asm.mov_rm(Size::S64, Gpr::Rcx, field(FILE, offset_of!(RegisterFile, stack_words)));
    let (next, done) = (asm.new_label(), asm.new_label());
    asm.bind(next);
    asm.test_rr(Size::S64, Gpr::Rcx, Gpr::Rcx);
    asm.jcc_short(Cond::E, done);
    asm.push_m(Mem::indexed(Gpr::Rax, Gpr::Rcx, Scale::X8, -8));
    asm.alu_ri(Alu::Sub, Size::S64, Gpr::Rcx, 1);
    asm.jmp(next);
    asm.bind(done);
    for (i, xmm) in FLOAT_PARAMS.into_iter().enumerate() {
        asm.movups_rm(xmm, field(FILE, offset_of!(RegisterFile, floats) + 16 * i));
    }
    // The file's own register last.
    for (i, gpr) in INT_PARAMS.into_iter().enumerate().rev() {
        asm.mov_rm(Size::S64, gpr, field(FILE, offset_of!(RegisterFile, ints) + 8 * i));
    }
    const _: () = assert!(INT_PARAMS[0] as u8 == FILE as u8);
    asm.call_r(Gpr::R11);
    // The callee has popped the stack arguments.
    asm.pop_r(Gpr::R11);
    asm.pop_r(Gpr::R11);
    for (i, gpr) in INT_RESULTS.into_iter().enumerate() {
        let slot = field(Gpr::R11, offset_of!(RegisterFile, int_results) + 8 * i);
        asm.mov_mr(Size::S64, slot, gpr);
    }
    for (i, xmm) in FLOAT_RESULTS.into_iter().enumerate() {
        asm.movups_mr(field(Gpr::R11, offset_of!(RegisterFile, float_results) + 16 * i), xmm);
    }
    asm.zero(Gpr::Rax);
    leave_and_return(asm);
    nested.emit(asm);
    at
}

/// The crossing to a function of the host whose parameters are already where a System V function
/// wants them: the context follows them, and the place of the return address.
fn host_direct(asm: &mut Assembler, ints: usize) -> u32 {
    let at = start(asm);
    if let [context, place, ..] = INT_PARAMS[ints..] {
        // The shim takes over: it returns to the guest, or where it wants.
        asm.mov_rr(Size::S64, context, VMCTX);
        asm.mov_rr(Size::S64, place, Gpr::Rsp);
        asm.jmp_m(Mem::base(VMCTX, SHIM));
        return at;
    }
    // What finds no register goes on the stack, which stays aligned.
    asm.push_r(Gpr::Rbp);
    asm.mov_rr(Size::S64, Gpr::Rbp, Gpr::Rsp);
    asm.lea(Size::S64, Gpr::Rax, Mem::base(Gpr::Rbp, 8));
    match INT_PARAMS[ints..] {
        [context, ..] => {
            asm.push_r(Gpr::Rax);
            asm.push_r(Gpr::Rax);
            asm.mov_rr(Size::S64, context, VMCTX);
        }
        [] => {
            asm.push_r(Gpr::Rax);
            asm.push_r(VMCTX);
        }
    }
    asm.call_m(Mem::base(VMCTX, SHIM));
    asm.mov_rr(Size::S64, Gpr::Rsp, Gpr::Rbp);
    asm.pop_r(Gpr::Rbp);
    asm.ret();
    at
}

/// The crossing to a function of the host for every other signature. A shim that fails is behind
/// `record`.
fn host_indirect(asm: &mut Assembler, record: Label) -> u32 {
    const FILE_SIZE: i32 = size_of::<RegisterFile>().next_multiple_of(16) as i32;
    let field = |offset: usize| Mem::base(Gpr::Rsp, offset as i32);
    let at = start(asm);
    asm.push_r(Gpr::Rbp);
    asm.mov_rr(Size::S64, Gpr::Rbp, Gpr::Rsp);
    asm.alu_ri(Alu::Sub, Size::S64, Gpr::Rsp, FILE_SIZE);
    for (i, gpr) in INT_PARAMS.into_iter().enumerate() {
        asm.mov_mr(Size::S64, field(offset_of!(RegisterFile, ints) + 8 * i), gpr);
    }
    for (i, xmm) in FLOAT_PARAMS.into_iter().enumerate() {
        asm.movups_mr(field(offset_of!(RegisterFile, floats) + 16 * i), xmm);
    }
    // The stack arguments lie behind rbp and the return address.
    asm.lea(Size::S64, Gpr::Rax, Mem::base(Gpr::Rbp, 16));
    asm.mov_mr(Size::S64, field(offset_of!(RegisterFile, stack)), Gpr::Rax);
    asm.mov_rr(Size::S64, Gpr::Rdi, Gpr::Rsp);
    asm.mov_rr(Size::S64, Gpr::Rsi, VMCTX);
    asm.call_m(Mem::base(VMCTX, SHIM));
    let failed = asm.new_label();
    asm.test_rr(Size::S32, Gpr::Rax, Gpr::Rax);
    asm.jcc(Cond::Ne, failed);
    // How many bytes of stack arguments to pop, which is ours to do; r11 is no result register.
    asm.mov_rm(Size::S64, Gpr::R11, field(offset_of!(RegisterFile, stack_words)));
    for (i, xmm) in FLOAT_RESULTS.into_iter().enumerate() {
        asm.movups_rm(xmm, field(offset_of!(RegisterFile, float_results) + 16 * i));
    }
    for (i, gpr) in INT_RESULTS.into_iter().enumerate() {
        asm.mov_rm(Size::S64, gpr, field(offset_of!(RegisterFile, int_results) + 8 * i));
    }
    // Move the return address and the caller's rbp to the far end of the stack arguments. rbx is the
    // caller's, so it is kept in the file's place meanwhile.
    asm.mov_mr(Size::S64, field(0), Gpr::Rbx);
    asm.lea(Size::S64, Gpr::R11, Mem::indexed(Gpr::Rbp, Gpr::R11, Scale::X8, 0));
    asm.mov_rm(Size::S64, Gpr::Rbx, Mem::base(Gpr::Rbp, 8));
    asm.mov_mr(Size::S64, Mem::base(Gpr::R11, 8), Gpr::Rbx);
    asm.mov_rm(Size::S64, Gpr::Rbx, Mem::base(Gpr::Rbp, 0));
    asm.mov_mr(Size::S64, Mem::base(Gpr::R11, 0), Gpr::Rbx);
    asm.mov_rm(Size::S64, Gpr::Rbx, field(0));
    asm.mov_rr(Size::S64, Gpr::Rsp, Gpr::R11);
    asm.pop_r(Gpr::Rbp);
    asm.ret();
    asm.bind(failed);
    asm.mov_rr(Size::S64, Gpr::Rsp, Gpr::Rbp);
    asm.pop_r(Gpr::Rbp);
    asm.pop_r(Gpr::Rsi);
    asm.jmp(record);
    at
}

/// How guests end that do not return.
struct Ending {
    /// Takes the place where the guest stands in rsi, and its stack as it is there.
    record: Label,
    host_failed: u32,
    raise_trap: u32,
    landing_pad: u32,
}

/// What a failed host function returns to, the routine that trap sites call, and behind both the
/// landing pad.
fn ending(asm: &mut Assembler) -> Ending {
    let record = asm.new_label();
    let host_failed = start(asm);
    asm.mov_rm(Size::S64, Gpr::Rax, Mem::base(VMCTX, THREAD));
    asm.mov_rm(Size::S64, Gpr::Rsi, Mem::base(Gpr::Rax, HOST_RETURN));
    asm.jmp(record);

    let raise_trap = start(asm);
    asm.pop_r(Gpr::Rsi);
    asm.alu_ri(Alu::Sub, Size::S64, Gpr::Rsi, RAISE_TRAP_LEN as i32);
    asm.bind(record);
    // record_trap(vmctx, address of the trap site, frame pointer, stack pointer there)
    asm.mov_rr(Size::S64, Gpr::Rdi, VMCTX);
    asm.mov_rr(Size::S64, Gpr::Rdx, Gpr::Rbp);
    asm.mov_rr(Size::S64, Gpr::Rcx, Gpr::Rsp);
    asm.alu_ri(Alu::And, Size::S64, Gpr::Rsp, -16);
    asm.call_m(Mem::base(VMCTX, RECORD_TRAP));

    let landing_pad = asm.offset();
    asm.mov_rm(Size::S64, Gpr::R11, Mem::base(VMCTX, THREAD));
    asm.mov_rm(Size::S64, Gpr::Rsp, Mem::base(Gpr::R11, ENTRY_SP));
    asm.pop_m(Mem::base(Gpr::R11, ENTRY_SP));
    asm.alu_ri(Alu::Add, Size::S64, Gpr::Rsp, RECORD - 8);
    // The status, wherever the entry's caller looks for it.
    asm.mov_ri(Size::S32, Gpr::Rax, 1);
    asm.mov_ri(Size::S32, Gpr::Rdx, 1);
    pop_saved_and_return(asm);
    Ending { record, host_failed, raise_trap, landing_pad }
}
