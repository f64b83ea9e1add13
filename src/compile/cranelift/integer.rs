//! Integer operators that are more than one instruction: comparisons, whose result is an i32 here
//! and 8 bits in the IR, and sign extension.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I32;
use cranelift_codegen::ir::{InstBuilder, Opcode, Type, Value};

use super::{Translator, machine};
use crate::error::{LoadError, TrapCode};

impl Translator<'_> {
    pub(super) fn int_const(&mut self, ty: Type, value: i64) -> Result<(), LoadError> {
        let value = self.builder.ins().iconst(ty, value);
        self.push(value);
        Ok(())
    }

    /// A division that looks at its divisor itself. The processor's own check is a signal, which takes
    /// eighty times as long to become an error.
    pub(super) fn divide(&mut self, opcode: Opcode) -> Result<(), LoadError> {
        let divisor = *self.state.values.last().expect("a validated operand");
        let dfg = &self.builder.func.dfg;
        let maker = dfg.value_def(divisor).inst();
        if maker.is_none_or(|inst| dfg.insts[inst].opcode() != Opcode::Iconst) {
            let code = machine::to_clif(TrapCode::IntegerDivideByZero);
            self.builder.ins().trapz(divisor, code);
        }
        self.binary(opcode)
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
