//! Vector operators that load and store: whole vectors, half a vector that is extended, and lanes.

use cranelift_codegen::ir::types::{I8X16, I64};
use cranelift_codegen::ir::{InstBuilder, Opcode, Type, Value};
use wasmparser::MemArg;

use super::super::Translator;
use crate::error::LoadError;

impl Translator<'_> {
    /// What is in memory at the popped index.
    fn heap_load(&mut self, memarg: &MemArg, ty: Type) -> Value {
        let (address, offset, flags) = self.heap_access(memarg);
        self.builder.ins().load(ty, flags, address, offset)
    }

    pub(super) fn vector_load(&mut self, memarg: &MemArg) -> Result<(), LoadError> {
        let vector = self.heap_load(memarg, I8X16);
        self.push(vector);
        Ok(())
    }

    pub(super) fn vector_store(&mut self, memarg: &MemArg) -> Result<(), LoadError> {
        let vector = self.pop();
        let (address, offset, flags) = self.heap_access(memarg);
        self.builder.ins().store(flags, vector, address, offset);
        Ok(())
    }

    /// Loads 8 bytes as lanes of half the width that they get. The instruction says how.
    pub(super) fn load_extend(&mut self, memarg: &MemArg, opcode: Opcode) -> Result<(), LoadError> {
        let (address, offset, flags) = self.heap_access(memarg);
        let flags = self.builder.func.dfg.mem_flags.insert_unchecked(flags);
        let (inst, dfg) = self.builder.ins().Load(opcode, I64, flags, offset.into(), address);
        let vector = dfg.first_result(inst);
        self.push_vector(vector)
    }

    pub(super) fn load_splat(&mut self, memarg: &MemArg, lanes: Type) -> Result<(), LoadError> {
        let value = self.heap_load(memarg, lanes.lane_type());
        let vector = self.builder.ins().splat(lanes, value);
        self.push_vector(vector)
    }

    /// Loads lane 0; the others are 0.
    pub(super) fn load_zero(&mut self, memarg: &MemArg, lanes: Type) -> Result<(), LoadError> {
        let value = self.heap_load(memarg, lanes.lane_type());
        let vector = self.builder.ins().scalar_to_vector(lanes, value);
        self.push_vector(vector)
    }

    pub(super) fn load_lane(
        &mut self,
        memarg: &MemArg,
        lanes: Type,
        lane: u8,
    ) -> Result<(), LoadError> {
        let vector = self.pop_vector(lanes);
        let value = self.heap_load(memarg, lanes.lane_type());
        let result = self.builder.ins().insertlane(vector, value, lane);
        self.push_vector(result)
    }

    pub(super) fn store_lane(
        &mut self,
        memarg: &MemArg,
        lanes: Type,
        lane: u8,
    ) -> Result<(), LoadError> {
        let vector = self.pop_vector(lanes);
        let (address, offset, flags) = self.heap_access(memarg);
        let value = self.builder.ins().extractlane(vector, lane);
        self.builder.ins().store(flags, value, address, offset);
        Ok(())
    }
}
