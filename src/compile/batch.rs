//! The loop behind a batch call, emitted for each signature that is called in batches: one entry
//! from the host, and then a call of the function for each row of some columns.
//!
//! Refuses to know the function: code and context are the caller's, as for any other entry. The
//! frame is that of the entries in `trampoline`, so that traps end a batch as they end a call; which
//! row trapped is in the [`BatchFile`].

use std::mem::offset_of;

use super::abi::{
    BUILTINS, Builtin, FLOAT_PARAMS, FLOAT_RESULTS, INT_PARAMS, INT_RESULTS, RAISE_TRAP, STOP,
    Slot, Slots, THREAD, VERDICT, VMCTX,
};
use super::trampoline::{enter, leave, pop_saved_and_return, push_saved};
use crate::asm::{Alu, Assembler, Cond, FloatSize, Gpr, Mem, Scale, Size};
use crate::module::ValType;

/// The most columns that a batch has.
pub(crate) const MAX_COLUMNS: usize = 12;

/// What the loop works on. Its caller fills it in.
#[repr(C)]
pub(crate) struct BatchFile {
    /// Where each parameter's values start.
    pub columns: [*const u8; MAX_COLUMNS],
    /// Where the results go.
    pub results: *mut u8,
    /// How many rows there are, at least one more than `row`.
    pub rows: usize,
    /// The first row to compute. The loop writes the row that it is at: all before it are done.
    pub row: usize,
}

/// Emits `extern "sysv64" fn(*mut BatchFile, *mut VmContext, code) -> u64`, which returns a status:
/// other than 0 means a trap.
///
/// All parameters travel in registers, as does the result, if there is one; none is a vector.
/// Values lie in their columns as they lie in a guest's memory.
pub(crate) fn emit(params: &[ValType], result: Option<ValType>) -> Vec<u8> {
    // What the callee preserves.
    const ROW: Gpr = Gpr::Rbx;
    const FILE: Gpr = Gpr::R12;
    const CODE: Gpr = Gpr::R13;
    const ROWS: Gpr = Gpr::R14;
    /// Neither a parameter nor a result.
    const COLUMN: Gpr = Gpr::R11;
    let field = |offset: usize| Mem::base(FILE, offset as i32);

    let mut asm = Assembler::new();
    push_saved(&mut asm);
    asm.mov_rr(Size::S64, VMCTX, Gpr::Rsi);
    asm.mov_rr(Size::S64, FILE, Gpr::Rdi);
    asm.mov_rr(Size::S64, CODE, Gpr::Rdx);
    asm.mov_rm(Size::S64, ROW, field(offset_of!(BatchFile, row)));
    asm.mov_rm(Size::S64, ROWS, field(offset_of!(BatchFile, rows)));
    let nested = enter(&mut asm);

    let next = asm.new_label();
    asm.bind(next);
    let mut slots = Slots::params();
    for (i, ty) in params.iter().enumerate() {
        asm.mov_rm(Size::S64, COLUMN, field(offset_of!(BatchFile, columns) + 8 * i));
        let (cell, size, float) = cell(COLUMN, ROW, *ty);
        match slots.next(*ty) {
            Slot::Int(number) => asm.mov_rm(size, INT_PARAMS[number], cell),
            Slot::Float(number) => asm.movs_rm(float, FLOAT_PARAMS[number], cell),
            Slot::Memory(_) => unreachable!("the parameters travel in registers"),
        }
    }
    asm.call_r(CODE);
    if let Some(ty) = result {
        asm.mov_rm(Size::S64, COLUMN, field(offset_of!(BatchFile, results)));
        let (cell, size, float) = cell(COLUMN, ROW, ty);
        if ty.is_vector_class() {
            asm.movs_mr(float, cell, FLOAT_RESULTS[0]);
        } else {
            asm.mov_mr(size, cell, INT_RESULTS[0]);
        }
    }
    asm.alu_ri(Alu::Add, Size::S64, ROW, 1);
    asm.mov_mr(Size::S64, field(offset_of!(BatchFile, row)), ROW);
    asm.alu_rr(Alu::Cmp, Size::S64, ROW, ROWS);
    let done = asm.new_label();
    asm.jcc(Cond::Ae, done);
    // A plain function is over before a signal finds it, so that the loop looks by itself.
    asm.mov_rm(Size::S64, COLUMN, Mem::base(VMCTX, THREAD));
    asm.alu_mi(Alu::Cmp, Size::S32, Mem::base(COLUMN, STOP), 0);
    asm.jcc(Cond::E, next);
    asm.mov_rm(Size::S64, COLUMN, Mem::base(VMCTX, BUILTINS));
    asm.call_m(Mem::base(COLUMN, Builtin::Poll.offset()));
    asm.mov_rm(Size::S64, COLUMN, Mem::base(VMCTX, THREAD));
    asm.alu_mi(Alu::Cmp, Size::S32, Mem::base(COLUMN, VERDICT), 0);
    asm.jcc(Cond::E, next);
    asm.call_m(Mem::base(VMCTX, RAISE_TRAP));
    asm.bind(done);

    leave(&mut asm);
    asm.zero(Gpr::Rax);
    pop_saved_and_return(&mut asm);
    nested.emit(&mut asm);
    asm.buf.bytes().to_vec()
}

/// A row of a column of that type, and how wide it is in either class of register.
fn cell(column: Gpr, row: Gpr, ty: ValType) -> (Mem, Size, FloatSize) {
    let at = |scale| Mem::indexed(column, row, scale, 0);
    match ty {
        ValType::I32 | ValType::F32 => (at(Scale::X4), Size::S32, FloatSize::F32),
        ValType::I64 | ValType::F64 => (at(Scale::X8), Size::S64, FloatSize::F64),
        _ => unreachable!("columns are of numbers"),
    }
}
