//! The crossings between host and wasm, emitted once per engine and shared by both tiers.
//!
//! There are as few as the convention allows, and none per function or per signature: an entry
//! for each number of integer parameters and each register class of the result, one entry that
//! takes everything from memory, and the way out of a trap. All entries push the same frame, so
//! that one landing pad serves them all:
//!
//! ```text
//! return address of the host
//! rbp                                  rbp points here
//! rbx r12 r13 r14 r15                  a trap skips the epilogues that would restore them
//! the context
//! the entry's number
//! the entry before this one, or 0      ThreadState::entry_sp points here: an EntryRecord
//! ```

use std::mem::offset_of;

use super::abi::{
    CALLS, ENTRY_SP, FLOAT_PARAMS, FLOAT_RESULTS, INT_PARAMS, INT_RESULTS, RAISE_TRAP_LEN,
    RECORD_TRAP, SHIM, THREAD, VMCTX,
};
use crate::asm::{Alu, Assembler, Cond, Gpr, Label, Mem, Scale, Size};

/// What an entry pushes below rbp, in this order.
const SAVED: [Gpr; 5] = [Gpr::Rbx, Gpr::R12, Gpr::R13, Gpr::R14, Gpr::R15];

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
    /// in [`VMCTX`], where the parameters travel in registers and there is at most one result.
    pub host_direct: DirectEntries,
    /// The same for all other signatures: the shim gets a [`RegisterFile`].
    pub host_indirect: u32,
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
        let (raise_trap, host_failed, landing_pad) = raise_trap(&mut asm);
        let host_direct = std::array::from_fn(|ints| {
            CLASSES.map(|class| host_direct(&mut asm, ints, class, &host_failed))
        });
        let host_indirect = host_indirect(&mut asm, host_failed.framed);
        let bytes = asm.buf.bytes().to_vec();
        Trampolines { bytes, direct, indirect, host_direct, host_indirect, raise_trap, landing_pad }
    }
}

fn start(asm: &mut Assembler) -> u32 {
    asm.buf.align(16, 0xcc);
    asm.offset()
}

pub(super) fn push_frame(asm: &mut Assembler) {
    asm.push_r(Gpr::Rbp);
    asm.mov_rr(Size::S64, Gpr::Rbp, Gpr::Rsp);
    for saved in SAVED {
        asm.push_r(saved);
    }
}

/// The way out that restores everything.
pub(super) fn pop_frame_and_return(asm: &mut Assembler) {
    for saved in SAVED.into_iter().rev() {
        asm.pop_r(saved);
    }
    asm.pop_r(Gpr::Rbp);
    asm.ret();
}

/// The way out behind a call that returned: the callee has kept all but [`VMCTX`], which is the
/// entry's own doing. Loading the others, too, would make each call wait for the one before.
fn leave_frame_and_return(asm: &mut Assembler) {
    const { assert!(matches!(SAVED[SAVED.len() - 1], VMCTX)) };
    asm.mov_rm(Size::S64, VMCTX, Mem::base(Gpr::Rbp, -8 * SAVED.len() as i32));
    asm.mov_rr(Size::S64, Gpr::Rsp, Gpr::Rbp);
    asm.pop_r(Gpr::Rbp);
    asm.ret();
}

/// Pushes the [`EntryRecord`](super::abi::EntryRecord) and notes it as the thread's innermost. Clobbers
/// rax and r10; needs [`VMCTX`]. The caller emits what this returns behind its own return.
pub(super) fn enter(asm: &mut Assembler) -> Nested {
    let (nested, entered) = (asm.new_label(), asm.new_label());
    let entry_sp = Mem::base(Gpr::Rax, ENTRY_SP);
    asm.mov_rm(Size::S64, Gpr::Rax, Mem::base(VMCTX, THREAD));
    let calls = Mem::base(Gpr::Rax, CALLS);
    asm.mov_rm(Size::S64, Gpr::R10, calls);
    asm.alu_ri(Alu::Add, Size::S64, Gpr::R10, 1);
    asm.mov_mr(Size::S64, calls, Gpr::R10);
    asm.push_r(VMCTX);
    asm.push_r(Gpr::R10);
    // The branch, instead of pushing whatever is there, keeps a chain of loads and stores through
    // this word from linking each call to the one before.
    asm.alu_mi(Alu::Cmp, Size::S64, entry_sp, 0);
    asm.jcc(Cond::Ne, nested);
    asm.push_imm32(0);
    asm.bind(entered);
    asm.mov_mr(Size::S64, entry_sp, Gpr::Rsp);
    Nested { nested, entered }
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

/// Makes the entry before this one the innermost again. Clobbers r11; needs [`VMCTX`].
pub(super) fn leave(asm: &mut Assembler) {
    asm.mov_rm(Size::S64, Gpr::R11, Mem::base(VMCTX, THREAD));
    pop_record(asm);
}

/// Takes the innermost entry's record off the stack, with the thread's state in r11. From the first
/// instruction on the entry before it is the innermost, for a signal handler too.
fn pop_record(asm: &mut Assembler) {
    asm.pop_m(Mem::base(Gpr::R11, ENTRY_SP));
    asm.alu_ri(Alu::Add, Size::S64, Gpr::Rsp, 16);
}

/// The entry for functions whose parameters all travel in registers, with at most one result.
///
/// The parameters are already where wasm code wants them. The context and the code follow them as
/// two more integer parameters.
fn direct(asm: &mut Assembler, ints: usize, class: ResultClass) -> u32 {
    let at = start(asm);
    push_frame(asm);
    // Behind rbp and the return address lie the arguments that found no register.
    let argument = |asm: &mut Assembler, index: usize, into: Gpr| match INT_PARAMS.get(index) {
        Some(register) => asm.mov_rr(Size::S64, into, *register),
        None => {
            let offset = 16 + 8 * (index - INT_PARAMS.len()) as i32;
            asm.mov_rm(Size::S64, into, Mem::base(Gpr::Rbp, offset));
        }
    };
    argument(asm, ints, VMCTX);
    argument(asm, ints + 1, Gpr::R11);
    let nested = enter(asm);
    asm.call_r(Gpr::R11);
    leave(asm);
    asm.zero(status_register(class));
    leave_frame_and_return(asm);
    nested.emit(asm);
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
    push_frame(asm);
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
    leave(asm);
    asm.zero(Gpr::Rax);
    leave_frame_and_return(asm);
    nested.emit(asm);
    at
}

/// The crossing to a function of the host whose parameters are already where a System V function
/// wants them: the context follows them.
fn host_direct(asm: &mut Assembler, ints: usize, class: ResultClass, failed: &Failed) -> u32 {
    let at = start(asm);
    let Some(context) = INT_PARAMS.get(ints) else {
        // The context goes on the stack; twice, to keep that aligned.
        asm.push_r(Gpr::Rbp);
        asm.mov_rr(Size::S64, Gpr::Rbp, Gpr::Rsp);
        asm.push_r(VMCTX);
        asm.push_r(VMCTX);
        asm.call_m(Mem::base(VMCTX, SHIM));
        let status = status_register(class);
        asm.test_rr(Size::S32, status, status);
        asm.jcc(Cond::Ne, failed.framed);
        asm.mov_rr(Size::S64, Gpr::Rsp, Gpr::Rbp);
        asm.pop_r(Gpr::Rbp);
        asm.ret();
        return at;
    };
    // No frame: saving rbp and restoring it would make each call wait for the one before.
    asm.alu_ri(Alu::Sub, Size::S64, Gpr::Rsp, 8);
    asm.mov_rr(Size::S64, *context, VMCTX);
    asm.call_m(Mem::base(VMCTX, SHIM));
    let status = status_register(class);
    asm.test_rr(Size::S32, status, status);
    asm.jcc(Cond::Ne, failed.frameless);
    asm.alu_ri(Alu::Add, Size::S64, Gpr::Rsp, 8);
    asm.ret();
    at
}

/// Where a crossing goes on whose host function failed.
struct Failed {
    /// From a crossing with a frame of its own.
    framed: Label,
    /// From one that has 8 bytes below its return address, and the guest's frame pointer.
    frameless: Label,
}

/// The crossing to a function of the host for every other signature.
fn host_indirect(asm: &mut Assembler, failed: Label) -> u32 {
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
    at
}

/// The routine that trap sites call, the way out of a failed host function, and behind both the
/// landing pad: the offsets of the first and the last, and labels for the second.
fn raise_trap(asm: &mut Assembler) -> (u32, Failed, u32) {
    let host_failed = Failed { framed: asm.new_label(), frameless: asm.new_label() };
    let landing = asm.new_label();

    asm.buf.align(16, 0xcc);
    asm.bind(host_failed.frameless);
    // Makes it one with a frame.
    asm.mov_mr(Size::S64, Mem::base(Gpr::Rsp, 0), Gpr::Rbp);
    asm.mov_rr(Size::S64, Gpr::Rbp, Gpr::Rsp);
    asm.bind(host_failed.framed);
    // The frame is the crossing's: its caller is the guest.
    asm.mov_rr(Size::S64, Gpr::Rdi, VMCTX);
    asm.mov_rm(Size::S64, Gpr::Rsi, Mem::base(Gpr::Rbp, 8));
    asm.mov_rm(Size::S64, Gpr::Rdx, Mem::base(Gpr::Rbp, 0));
    asm.lea(Size::S64, Gpr::Rcx, Mem::base(Gpr::Rbp, 16));
    asm.alu_ri(Alu::And, Size::S64, Gpr::Rsp, -16);
    asm.call_m(Mem::base(VMCTX, RECORD_TRAP));
    asm.jmp(landing);

    let raise = start(asm);
    // record_trap(vmctx, address of the trap site, frame pointer, stack pointer there)
    asm.mov_rr(Size::S64, Gpr::Rdi, VMCTX);
    asm.pop_r(Gpr::Rsi);
    asm.alu_ri(Alu::Sub, Size::S64, Gpr::Rsi, RAISE_TRAP_LEN as i32);
    asm.mov_rr(Size::S64, Gpr::Rdx, Gpr::Rbp);
    asm.mov_rr(Size::S64, Gpr::Rcx, Gpr::Rsp);
    asm.alu_ri(Alu::And, Size::S64, Gpr::Rsp, -16);
    asm.call_m(Mem::base(VMCTX, RECORD_TRAP));

    let landing_pad = asm.offset();
    asm.bind(landing);
    asm.mov_rm(Size::S64, Gpr::R11, Mem::base(VMCTX, THREAD));
    asm.mov_rm(Size::S64, Gpr::Rsp, Mem::base(Gpr::R11, ENTRY_SP));
    pop_record(asm);
    // The status, wherever the entry's caller looks for it.
    asm.mov_ri(Size::S32, Gpr::Rax, 1);
    asm.mov_ri(Size::S32, Gpr::Rdx, 1);
    pop_frame_and_return(asm);
    (raise, host_failed, landing_pad)
}
