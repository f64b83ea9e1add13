//! Operators on the lanes of vectors, and the casts between vector types.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F64X2, I8, I8X16, I16, I16X8, I32, I32X4, I64X2};
use cranelift_codegen::ir::{
    Endianness, InstBuilder, InstructionData, MemFlagsData, Opcode, Type, Value,
};
use wasmparser::V128;

use super::super::Translator;
use crate::error::LoadError;

/// For casts: lane 0 is the lowest in memory, whatever the width.
const LANE_ORDER: MemFlagsData = MemFlagsData::new().with_endianness(Endianness::Little);

impl Translator<'_> {
    /// The same bits as a vector of this type.
    ///
    /// A cast of a cast is one of the original: operators that follow each other with the same type
    /// have nothing between them that an optimisation would have to look through.
    fn cast(&mut self, vector: Value, to: Type) -> Value {
        let dfg = &self.builder.func.dfg;
        let origin = dfg.value_def(vector).inst().map(|inst| dfg.insts[inst]);
        let vector = match origin {
            Some(InstructionData::LoadNoOffset { opcode: Opcode::Bitcast, arg, .. }) => arg,
            _ => vector,
        };
        if dfg.value_type(vector) == to {
            return vector;
        }
        match origin {
            Some(InstructionData::UnaryConst { opcode: Opcode::Vconst, constant_handle }) => {
                self.builder.ins().vconst(to, constant_handle)
            }
            _ => self.builder.ins().bitcast(to, LANE_ORDER, vector),
        }
    }

    pub(super) fn pop_vector(&mut self, lanes: Type) -> Value {
        let vector = self.pop();
        self.cast(vector, lanes)
    }

    pub(super) fn push_vector(&mut self, vector: Value) -> Result<(), LoadError> {
        let vector = self.cast(vector, I8X16);
        self.push(vector);
        Ok(())
    }

    /// The result of an instruction with one operand. Its type variable is the operand's type, or
    /// the result's for those that leave that open.
    fn unary_of(&mut self, opcode: Opcode, ty: Type, value: Value) -> Value {
        let (inst, dfg) = self.builder.ins().Unary(opcode, ty, value);
        dfg.first_result(inst)
    }

    /// The same for two operands, of this type.
    fn binary_of(&mut self, opcode: Opcode, ty: Type, left: Value, right: Value) -> Value {
        let (inst, dfg) = self.builder.ins().Binary(opcode, ty, left, right);
        dfg.first_result(inst)
    }

    pub(super) fn v128_const(&mut self, value: V128) -> Result<(), LoadError> {
        let constant = self.builder.func.dfg.constants.insert(value.bytes()[..].into());
        let vector = self.builder.ins().vconst(I8X16, constant);
        self.push(vector);
        Ok(())
    }

    pub(super) fn vector_unary(&mut self, lanes: Type, opcode: Opcode) -> Result<(), LoadError> {
        let vector = self.pop_vector(lanes);
        let result = self.unary_of(opcode, lanes, vector);
        self.push_vector(result)
    }

    pub(super) fn vector_binary(&mut self, lanes: Type, opcode: Opcode) -> Result<(), LoadError> {
        let (right, left) = (self.pop_vector(lanes), self.pop_vector(lanes));
        let result = self.binary_of(opcode, lanes, left, right);
        self.push_vector(result)
    }

    /// A conversion, whose one instruction leaves the type open that it makes.
    pub(super) fn vector_convert(
        &mut self,
        from: Type,
        opcode: Opcode,
        to: Type,
    ) -> Result<(), LoadError> {
        let vector = self.pop_vector(from);
        let result = self.unary_of(opcode, to, vector);
        self.push_vector(result)
    }

    pub(super) fn vector_shift(&mut self, lanes: Type, opcode: Opcode) -> Result<(), LoadError> {
        let (distance, vector) = (self.pop(), self.pop_vector(lanes));
        let result = self.binary_of(opcode, lanes, vector, distance);
        self.push_vector(result)
    }

    /// Compares lanes: all bits of those for which it holds are 1.
    pub(super) fn vector_compare(&mut self, lanes: Type, holds: IntCC) -> Result<(), LoadError> {
        let (right, left) = (self.pop_vector(lanes), self.pop_vector(lanes));
        let mask = self.builder.ins().icmp(holds, left, right);
        self.push_vector(mask)
    }

    pub(super) fn vector_float_compare(
        &mut self,
        lanes: Type,
        holds: FloatCC,
    ) -> Result<(), LoadError> {
        let (right, left) = (self.pop_vector(lanes), self.pop_vector(lanes));
        let mask = self.builder.ins().fcmp(holds, left, right);
        self.push_vector(mask)
    }

    /// Whether any or all of the lanes are not 0.
    pub(super) fn vector_test(&mut self, lanes: Type, opcode: Opcode) -> Result<(), LoadError> {
        let vector = self.pop_vector(lanes);
        let holds = self.unary_of(opcode, lanes, vector);
        self.push_bool(holds)
    }

    /// The sign bits of the lanes.
    pub(super) fn bitmask(&mut self, lanes: Type) -> Result<(), LoadError> {
        let vector = self.pop_vector(lanes);
        let bits = self.builder.ins().vhigh_bits(I32, vector);
        self.push(bits);
        Ok(())
    }

    /// The bits of the left operand that the right one does not have.
    pub(super) fn vector_andnot(&mut self) -> Result<(), LoadError> {
        let (right, left) = (self.pop_vector(I8X16), self.pop_vector(I8X16));
        let result = self.builder.ins().band_not(left, right);
        self.push_vector(result)
    }

    pub(super) fn bitselect(&mut self) -> Result<(), LoadError> {
        let mask = self.pop_vector(I8X16);
        let (other, one) = (self.pop_vector(I8X16), self.pop_vector(I8X16));
        let result = self.builder.ins().bitselect(mask, one, other);
        self.push_vector(result)
    }

    /// What an operand becomes as a lane: there are lanes narrower than an i32.
    fn narrow_to_lane(&mut self, lanes: Type, value: Value) -> Value {
        match lanes.lane_type() {
            narrow @ (I8 | I16) => self.builder.ins().ireduce(narrow, value),
            _ => value,
        }
    }

    pub(super) fn splat(&mut self, lanes: Type) -> Result<(), LoadError> {
        let value = self.pop();
        let value = self.narrow_to_lane(lanes, value);
        let vector = self.builder.ins().splat(lanes, value);
        self.push_vector(vector)
    }

    pub(super) fn extract_lane(&mut self, lanes: Type, lane: u8) -> Result<(), LoadError> {
        let vector = self.pop_vector(lanes);
        let value = self.builder.ins().extractlane(vector, lane);
        self.push(value);
        Ok(())
    }

    /// The same for a lane narrower than an i32, which `extension` makes it one.
    pub(super) fn extract_small_lane(
        &mut self,
        lanes: Type,
        lane: u8,
        extension: Opcode,
    ) -> Result<(), LoadError> {
        let vector = self.pop_vector(lanes);
        let value = self.builder.ins().extractlane(vector, lane);
        let wide = self.unary_of(extension, I32, value);
        self.push(wide);
        Ok(())
    }

    pub(super) fn replace_lane(&mut self, lanes: Type, lane: u8) -> Result<(), LoadError> {
        let (value, vector) = (self.pop(), self.pop_vector(lanes));
        let value = self.narrow_to_lane(lanes, value);
        let result = self.builder.ins().insertlane(vector, value, lane);
        self.push_vector(result)
    }

    /// Sixteen bytes out of the thirty-two that two vectors have.
    pub(super) fn shuffle(&mut self, lanes: [u8; 16]) -> Result<(), LoadError> {
        let (second, first) = (self.pop_vector(I8X16), self.pop_vector(I8X16));
        let lanes = self.builder.func.dfg.immediates.push(lanes[..].into());
        let result = self.builder.ins().shuffle(first, second, lanes);
        self.push_vector(result)
    }

    /// The products of one half's lanes, in twice their width.
    pub(super) fn extended_product(&mut self, lanes: Type, half: Opcode) -> Result<(), LoadError> {
        let (right, left) = (self.pop_vector(lanes), self.pop_vector(lanes));
        let product = self.product_of_halves(lanes, half, left, right);
        self.push_vector(product)
    }

    fn product_of_halves(&mut self, lanes: Type, half: Opcode, left: Value, right: Value) -> Value {
        let left = self.unary_of(half, lanes, left);
        let right = self.unary_of(half, lanes, right);
        self.builder.ins().imul(left, right)
    }

    /// The sums of neighbours, in twice their width.
    pub(super) fn extended_pairwise_sum(
        &mut self,
        lanes: Type,
        low: Opcode,
        high: Opcode,
    ) -> Result<(), LoadError> {
        let vector = self.pop_vector(lanes);
        let low = self.unary_of(low, lanes, vector);
        let high = self.unary_of(high, lanes, vector);
        let sums = self.builder.ins().iadd_pairwise(low, high);
        self.push_vector(sums)
    }

    /// The sums of neighbouring products. Only that of four times the least i16 wraps.
    pub(super) fn dot(&mut self) -> Result<(), LoadError> {
        let (right, left) = (self.pop_vector(I16X8), self.pop_vector(I16X8));
        let low = self.product_of_halves(I16X8, Opcode::SwidenLow, left, right);
        let high = self.product_of_halves(I16X8, Opcode::SwidenHigh, left, right);
        let sums = self.builder.ins().iadd_pairwise(low, high);
        self.push_vector(sums)
    }

    /// The right operand where it is less, else the left one: also where either is a NaN, and for
    /// zeros of either sign. Cranelift knows this as the machine's own minimum.
    pub(super) fn pmin(&mut self, lanes: Type) -> Result<(), LoadError> {
        let (right, left) = (self.pop_vector(lanes), self.pop_vector(lanes));
        let less = self.builder.ins().fcmp(FloatCC::LessThan, right, left);
        self.right_if(lanes, less, left, right)
    }

    /// The right operand where it is greater, else the left one, as for the minimum.
    pub(super) fn pmax(&mut self, lanes: Type) -> Result<(), LoadError> {
        let (right, left) = (self.pop_vector(lanes), self.pop_vector(lanes));
        let greater = self.builder.ins().fcmp(FloatCC::LessThan, left, right);
        self.right_if(lanes, greater, left, right)
    }

    fn right_if(
        &mut self,
        lanes: Type,
        mask: Value,
        left: Value,
        right: Value,
    ) -> Result<(), LoadError> {
        let mask = self.cast(mask, lanes);
        let result = self.builder.ins().bitselect(mask, right, left);
        self.push_vector(result)
    }

    /// Two f64 to two i32, above which there are zeros. No machine instruction does this; Cranelift
    /// knows the way through i64 only if it is written like this.
    pub(super) fn trunc_sat_zero(
        &mut self,
        truncate: Opcode,
        narrow: Opcode,
    ) -> Result<(), LoadError> {
        let vector = self.pop_vector(F64X2);
        let wide = self.unary_of(truncate, I64X2, vector);
        let zeros = self.builder.func.dfg.constants.insert([0; 16][..].into());
        let zeros = self.builder.ins().vconst(I64X2, zeros);
        let result = self.binary_of(narrow, I64X2, wide, zeros);
        self.push_vector(result)
    }

    /// The lower two i32 to f64.
    pub(super) fn convert_low(&mut self, extend: Opcode, convert: Opcode) -> Result<(), LoadError> {
        let vector = self.pop_vector(I32X4);
        let wide = self.unary_of(extend, I32X4, vector);
        let result = self.unary_of(convert, F64X2, wide);
        self.push_vector(result)
    }
}
