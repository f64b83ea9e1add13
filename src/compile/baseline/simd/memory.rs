//! Loads and stores of vectors and of their lanes. None reads more than the operator names: what
//! lies behind it may be past the memory's end.

use wasmparser::MemArg;

use super::super::Compiler;
use super::super::memory::Access;
use super::lanes::Lanes;
use super::operands::NONE;
use crate::asm::vector::{PEXTRD, PEXTRQ};
use crate::asm::{FloatSize, VectorOp, VectorRm};
use crate::module::ValType;

/// What becomes of the bytes that are loaded.
#[derive(Clone, Copy, Debug)]
pub(super) enum VectorLoad {
    /// They are the vector.
    Full,
    /// Each lane is extended to twice its width.
    Extend(VectorOp),
    /// They are every lane.
    Splat(Lanes),
    /// They are the lowest lane, the others are zero.
    Zero(FloatSize),
}

impl Compiler {
    pub(super) fn vector_load(&mut self, load: VectorLoad, memarg: &MemArg) {
        let index = self.pop_operand();
        let dst = self.vector_result(NONE, NONE);
        let address = self.address(Access::of(memarg), index, None);
        self.note_access();
        match load {
            VectorLoad::Full => self.asm.movups_rm(dst, address.mem),
            VectorLoad::Extend(op) => self.asm.vector_unary(op, dst, VectorRm::Mem(address.mem)),
            VectorLoad::Splat(lanes) => self.load_splat(lanes, dst, address.mem),
            VectorLoad::Zero(size) => self.asm.movs_rm(size, dst, address.mem),
        }
        self.release_address(address);
        self.release(index);
        self.push_xmm(ValType::V128, dst);
    }

    pub(super) fn vector_store(&mut self, memarg: &MemArg) {
        let value = self.pop_operand();
        let index = self.pop_operand();
        let address = self.address(Access::of(memarg), index, None);
        let source = self.xmm_or_scratch(ValType::V128, value);
        self.note_access();
        self.asm.movups_mr(address.mem, source);
        self.release_address(address);
        self.release(index);
        self.release(value);
    }

    pub(super) fn load_lane(&mut self, op: VectorOp, memarg: &MemArg, lane: u8) {
        let vector = self.pop_operand();
        let index = self.pop_operand();
        let dst = self.vector_result(vector, NONE);
        self.load_vector(dst, vector);
        let address = self.address(Access::of(memarg), index, None);
        self.note_access();
        self.asm.vector_imm(op, dst, dst, VectorRm::Mem(address.mem), lane);
        self.release_address(address);
        self.release(index);
        self.finish_vector(dst, vector, NONE);
    }

    pub(super) fn store_lane(&mut self, op: VectorOp, memarg: &MemArg, lane: u8) {
        let vector = self.pop_operand();
        let index = self.pop_operand();
        let address = self.address(Access::of(memarg), index, None);
        let source = self.xmm_or_scratch(ValType::V128, vector);
        self.note_access();
        match (lane, op) {
            (0, PEXTRD) => self.asm.movs_mr(FloatSize::F32, address.mem, source),
            (0, PEXTRQ) => self.asm.movs_mr(FloatSize::F64, address.mem, source),
            _ => self.asm.vector_extract_to(op, address.mem, source, lane),
        }
        self.release_address(address);
        self.release(index);
        self.release(vector);
    }
}
