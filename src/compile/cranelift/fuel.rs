//! Taking fuel: where the plan says so, and by the length of bulk operators.
//!
//! The context always has what is left, so that whoever stops the function sees it. A function with
//! loops keeps it in a variable besides, because a loop that reads what the iteration before has
//! written waits for the memory; it is read again after every call.

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::Variable;

use super::{Region, Translator, machine};
use crate::error::TrapCode;
use crate::module::Charge;

/// The plan, as far as it has not been followed yet.
#[derive(Default)]
pub(super) struct Fuel<'t> {
    /// What is left, in a function with loops.
    variable: Option<Variable>,
    charges: std::slice::Iter<'t, Charge>,
}

impl Translator<'_> {
    /// Starts to follow the plan.
    pub(super) fn begin_fuel(&mut self) {
        let facts = self.facts;
        if self.layout.fuel.is_none() {
            return;
        }
        self.fuel.charges = facts.charges.iter();
        if facts.has_loops && !facts.charges.is_empty() {
            self.fuel.variable = Some(self.builder.declare_var(I64));
            self.reload_fuel();
        }
    }

    /// Takes what is planned to be taken before the operator at this offset.
    pub(super) fn charge_at(&mut self, offset: u64) {
        while let Some(Charge { at, units }) = self.fuel.charges.as_slice().first().copied()
            && u64::from(at) <= offset
        {
            self.fuel.charges.next();
            if self.reachable {
                let units = self.builder.ins().iconst(I64, i64::from(units));
                self.charge(units);
            }
        }
    }

    /// Takes so much fuel, or traps and takes nothing.
    fn charge(&mut self, units: Value) {
        let Some(offset) = self.layout.fuel else { return };
        let (vmctx, flags) = (self.vmctx(), self.trusted(Region::Fuel));
        let fuel = match self.fuel.variable {
            Some(variable) => self.builder.use_var(variable),
            None => self.builder.ins().load(I64, flags, vmctx, offset),
        };
        let code = machine::to_clif(TrapCode::OutOfFuel);
        let left = self.builder.ins().uadd_overflow_trap(fuel, units, code);
        self.builder.ins().store(flags, left, vmctx, offset);
        if let Some(variable) = self.fuel.variable {
            self.builder.def_var(variable, left);
        }
    }

    /// Takes one unit for each two to the power of `log` that a bulk operator works on: the topmost
    /// operand says how many that is.
    pub(super) fn charge_length(&mut self, log: u8) {
        if self.layout.fuel.is_none() {
            return;
        }
        let units = match self.constant_length() {
            Some(length) if length >> log == 0 => return,
            Some(length) => self.builder.ins().iconst(I64, (length >> log) as i64),
            None => {
                let length = *self.state.values.last().expect("a validated operand");
                let length = self.builder.ins().uextend(I64, length);
                self.builder.ins().ushr_imm_u(length, i64::from(log))
            }
        };
        self.charge(units);
    }

    /// Reads what is left after anything that may have taken of it.
    pub(super) fn reload_fuel(&mut self) {
        if let (Some(variable), Some(offset)) = (self.fuel.variable, self.layout.fuel) {
            let (vmctx, flags) = (self.vmctx(), self.trusted(Region::Fuel));
            let fuel = self.builder.ins().load(I64, flags, vmctx, offset);
            self.builder.def_var(variable, fuel);
        }
    }
}
