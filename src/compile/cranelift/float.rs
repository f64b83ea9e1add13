//! Float operators that are more than one instruction, and reinterpretation.
//!
//! NaNs keep the payloads that the machine gives them, as the specification allows.

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::immediates;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type};
use wasmparser::{Ieee32, Ieee64};

use super::Translator;
use crate::error::LoadError;

impl Translator<'_> {
    pub(super) fn f32_const(&mut self, value: Ieee32) -> Result<(), LoadError> {
        let value = self.builder.ins().f32const(immediates::Ieee32::with_bits(value.bits()));
        self.push(value);
        Ok(())
    }

    pub(super) fn f64_const(&mut self, value: Ieee64) -> Result<(), LoadError> {
        let value = self.builder.ins().f64const(immediates::Ieee64::with_bits(value.bits()));
        self.push(value);
        Ok(())
    }

    pub(super) fn float_compare(&mut self, condition: FloatCC) -> Result<(), LoadError> {
        let (right, left) = (self.pop(), self.pop());
        let holds = self.builder.ins().fcmp(condition, left, right);
        self.push_bool(holds)
    }

    /// The same bits as a value of another type.
    pub(super) fn reinterpret(&mut self, to: Type) -> Result<(), LoadError> {
        let value = self.pop();
        let same = self.builder.ins().bitcast(to, MemFlagsData::new(), value);
        self.push(same);
        Ok(())
    }
}
