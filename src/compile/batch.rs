//! The loop behind a batch call, emitted for each function that is called in batches: a call of the
//! function for each row of some columns.
//!
//! It runs as a guest does, inside one entry for all rows, and calls as guests do: with a call
//! instruction that names its target. Through a register that takes half as long again, if the target
//! is in another page. Which row trapped is in the [`BatchFile`].

use std::mem::offset_of;

use super::abi::{
    BUILTINS, Builtin, FLOAT_PARAMS, FLOAT_RESULTS, INT_PARAMS, INT_RESULTS, RAISE_TRAP, STOP,
    Slot, Slots, THREAD, VERDICT, VMCTX,
};
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

/// The size of the largest loop, and more: where the loop lies is known before it is emitted.
pub(crate) const MAX_LOOP: usize = 1024;

/// How many rows there are for each jump back. Where the function does little, jumps are what takes
/// time.
const UNROLLED: usize = 4;

// What the callee preserves.
const ROW: Gpr = Gpr::Rbx;
const FILE: Gpr = Gpr::R12;
const ROWS: Gpr = Gpr::R13;
/// Neither a parameter nor a result.
const FREE: Gpr = Gpr::R11;

/// Emits `fn(*mut BatchFile)`, in wasm's convention, to lie at the address `at`. It calls the function
/// at the address `callee`.
///
/// All of that function's parameters travel in registers, as does its result, if there is one; none is
/// a vector. Values lie in their columns as they lie in a guest's memory.
pub(crate) fn emit(
    params: &[ValType],
    result: Option<ValType>,
    callee: usize,
    at: usize,
) -> Vec<u8> {
    let mut asm = Assembler::new();
    for saved in [ROW, FILE, ROWS] {
        asm.push_r(saved);
    }
    asm.mov_rr(Size::S64, FILE, INT_PARAMS[0]);
    asm.mov_rm(Size::S64, ROW, field(offset_of!(BatchFile, row)));
    asm.mov_rm(Size::S64, ROWS, field(offset_of!(BatchFile, rows)));

    let (next, done) = (asm.new_label(), asm.new_label());
    asm.bind(next);
    for _ in 0..UNROLLED {
        load_arguments(&mut asm, params);
        call(&mut asm, callee, at);
        store_result(&mut asm, result);
        asm.alu_ri(Alu::Add, Size::S64, ROW, 1);
        asm.mov_mr(Size::S64, field(offset_of!(BatchFile, row)), ROW);
        asm.alu_rr(Alu::Cmp, Size::S64, ROW, ROWS);
        asm.jcc(Cond::Ae, done);
    }
    // A signal that finds the loop itself ends nothing, for it is in no module's map; and where there
    // are no signals, nobody else looks between two rows of a function that does not.
    asm.mov_rm(Size::S64, FREE, Mem::base(VMCTX, THREAD));
    asm.alu_mi(Alu::Cmp, Size::S32, Mem::base(FREE, STOP), 0);
    asm.jcc(Cond::E, next);
    asm.mov_rm(Size::S64, FREE, Mem::base(VMCTX, BUILTINS));
    asm.call_m(Mem::base(FREE, Builtin::Poll.offset()));
    asm.mov_rm(Size::S64, FREE, Mem::base(VMCTX, THREAD));
    asm.alu_mi(Alu::Cmp, Size::S32, Mem::base(FREE, VERDICT), 0);
    asm.jcc(Cond::E, next);
    asm.call_m(Mem::base(VMCTX, RAISE_TRAP));
    asm.bind(done);
    for saved in [ROWS, FILE, ROW] {
        asm.pop_r(saved);
    }
    asm.ret();
    assert!(asm.buf.len() <= MAX_LOOP, "a loop of {} bytes", asm.buf.len());
    asm.buf.bytes().to_vec()
}

fn field(offset: usize) -> Mem {
    Mem::base(FILE, offset as i32)
}

fn load_arguments(asm: &mut Assembler, params: &[ValType]) {
    let mut slots = Slots::params();
    for (i, ty) in params.iter().enumerate() {
        asm.mov_rm(Size::S64, FREE, field(offset_of!(BatchFile, columns) + 8 * i));
        let (cell, size, float) = cell(FREE, ROW, *ty);
        match slots.next(*ty) {
            Slot::Int(number) => asm.mov_rm(size, INT_PARAMS[number], cell),
            Slot::Float(number) => asm.movs_rm(float, FLOAT_PARAMS[number], cell),
            Slot::Memory(_) => unreachable!("the parameters travel in registers"),
        }
    }
}

fn call(asm: &mut Assembler, callee: usize, at: usize) {
    if callee.abs_diff(at) < i32::MAX as usize - MAX_LOOP {
        let field = asm.call_rel32_placeholder();
        let end = at + field as usize + 4;
        asm.buf.patch_u32(field, callee.wrapping_sub(end) as u32);
    } else {
        asm.mov_ri(Size::S64, FREE, callee as i64);
        asm.call_r(FREE);
    }
}

fn store_result(asm: &mut Assembler, result: Option<ValType>) {
    let Some(ty) = result else { return };
    asm.mov_rm(Size::S64, FREE, field(offset_of!(BatchFile, results)));
    let (cell, size, float) = cell(FREE, ROW, ty);
    if ty.is_vector_class() {
        asm.movs_mr(float, cell, FLOAT_RESULTS[0]);
    } else {
        asm.mov_mr(size, cell, INT_RESULTS[0]);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Near and far, with as many columns as there can be.
    #[test]
    fn loops_are_as_small_as_they_must_be() {
        use ValType::{F64, I64};
        // Floats take the longer instructions.
        let columns = [I64, I64, I64, I64, F64, F64, F64, F64, F64, F64, F64, F64];
        assert_eq!(columns.len(), MAX_COLUMNS);
        let near = emit(&columns, Some(F64), 0x7000_0000_1000, 0x7000_0000_0000);
        let far = emit(&columns, Some(F64), 0x7000_0000_1000, 0x1000_0000_0000);
        assert!(near.len() < far.len() && far.len() <= MAX_LOOP, "{} bytes", far.len());
        // `call rel32`, for each row, all to the same place.
        let targets: Vec<usize> = (0..near.len() - 5)
            .filter(|at| near[*at] == 0xe8)
            .map(|at| {
                let distance = i32::from_le_bytes(near[at + 1..at + 5].try_into().expect("four"));
                (0x7000_0000_0000 + at + 5).wrapping_add_signed(distance as isize)
            })
            .collect();
        assert_eq!(targets, [0x7000_0000_1000; UNROLLED]);
    }
}
