//! The crossings between host and wasm, emitted once per process and shared by both tiers.
//!
//! There are as few as the convention allows, and none per function or per signature. The way in is
//! `runtime/enter.rs`, in the host's code; here is what stands behind it for arguments that do not all
//! travel in registers, the ways to functions of the host, and the way out of a trap.

use std::mem::offset_of;

use super::abi::{
    ENTRY_SP, EntryRecord, FLOAT_PARAMS, FLOAT_RESULTS, HOST_RETURN, INT_PARAMS, INT_RESULTS,
    RAISE_TRAP_LEN, RECORD_TRAP, SHIM, THREAD, VMCTX,
};
use crate::asm::{Alu, Assembler, Cond, Gpr, Label, Mem, Scale, Size};

/// Everything that crossings move between memory and registers, where not all of it is in registers.
///
/// The caller fills `ints`, `floats` and the stack arguments as [`Slots`](super::abi::Slots) places
/// them; the crossing fills in the results. What a signature does not use may hold anything.
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

/// The trampolines' code, and where each starts in it.
pub(crate) struct Trampolines {
    pub bytes: Vec<u8>,
    /// `fn(*mut RegisterFile, code)`, in wasm's convention: calls the code with what the file holds.
    pub spread: u32,
    /// What wasm calls for a function of the host, with its [`HostContext`](super::abi::HostContext)
    /// in [`VMCTX`], where the parameters travel in registers and there is at most one result: by
    /// number of integer parameters.
    pub host_direct: [u32; INT_PARAMS.len() + 1],
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
        let spread = spread(&mut asm);
        let ending = ending(&mut asm);
        let host_direct = std::array::from_fn(|ints| host_direct(&mut asm, ints));
        let host_indirect = host_indirect(&mut asm, ending.record);
        Trampolines {
            bytes: asm.buf.bytes().to_vec(),
            spread,
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

/// What calls with the contents of a [`RegisterFile`], and fills its results in.
fn spread(asm: &mut Assembler) -> u32 {
    const FILE: Gpr = Gpr::Rdi;
    let field = |base: Gpr, offset: usize| Mem::base(base, offset as i32);
    let at = start(asm);
    asm.mov_rr(Size::S64, Gpr::R11, Gpr::Rsi);
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
    for (i, gpr) in INT_RESULTS.into_iter().enumerate() {
        let slot = field(Gpr::R11, offset_of!(RegisterFile, int_results) + 8 * i);
        asm.mov_mr(Size::S64, slot, gpr);
    }
    for (i, xmm) in FLOAT_RESULTS.into_iter().enumerate() {
        asm.movups_mr(field(Gpr::R11, offset_of!(RegisterFile, float_results) + 16 * i), xmm);
    }
    asm.ret();
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
    // The fields of the `EntryRecord` in their order. Once its second one is popped, the entry before
    // it is the innermost, for a signal handler too.
    const { assert!(size_of::<EntryRecord>() == 6 * 8) };
    asm.pop_r(Gpr::Rcx);
    asm.pop_m(Mem::base(Gpr::R11, ENTRY_SP));
    asm.pop_r(Gpr::Rcx);
    asm.pop_r(Gpr::Rcx);
    asm.pop_r(Gpr::Rbp);
    asm.pop_r(Gpr::Rbx);
    asm.mov_ri(Size::S32, Gpr::R11, 1);
    asm.jmp_r(Gpr::Rcx);
    Ending { record, host_failed, raise_trap, landing_pad }
}
