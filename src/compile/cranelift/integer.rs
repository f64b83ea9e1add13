//! Integer operators that are more than one instruction: comparisons, whose result is an i32 here
//! and 8 bits in the IR, and sign extension.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I32;
use cranelift_codegen::ir::{InstBuilder, Type, Value};

use super::Translator;
use crate::error::LoadError;

impl Translator<'_> {
    pub(super) fn int_const(&mut self, ty: Type, value: i64) -> Result<(), LoadError> {
        let value = self.builder.ins().iconst(ty, value);
        self.push(value);
        Ok(())
    }

    pub(super) fn compare(&mut self, condition: IntCC) -> Result<(), LoadError> {
        let (right, left) = (self.pop(), self.pop());
        let holds = self.builder.ins().icmp(condition, left, right);
        self.push_bool(holds)
    }

    pub(super) fn eqz(&mut self) -> Result<(), LoadError> {
        let value = self.pop();
        let is_zero = self.builder.ins().icmp_imm_u(IntCC::Equal, value, 0);
        self.push_bool(is_zero)
    }

    /// Pushes an 8-bit truth value as an i32. Where it only steers a branch or a select, the
    /// extension disappears again.
    pub(super) fn push_bool(&mut self, holds: Value) -> Result<(), LoadError> {
        let wide = self.builder.ins().uextend(I32, holds);
        self.push(wide);
        Ok(())
    }

    /// Extends the low bits of an integer, as many as `from` has, to its own type.
    pub(super) fn sign_extend_low(&mut self, from: Type) -> Result<(), LoadError> {
        let value = self.pop();
        let ty = self.builder.func.dfg.value_type(value);
        let low = self.builder.ins().ireduce(from, value);
        let wide = self.builder.ins().sextend(ty, low);
        self.push(wide);
        Ok(())
    }
}
