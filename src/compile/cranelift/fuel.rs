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
    /// Whether anything may have taken of it since the variable was set.
    is_stale: bool,
    charges: std::slice::Iter<'t, Charge>,
}

impl Translator<'_> {
    /// Starts to follow the plan.
    pub(super) fn begin_fuel(&mut self) {
        let facts = self.facts;
        if self.layout.fuel.is_none() {
            return;
        }
        // Whoever takes fuel reads the context, and is known by doing so in the entry block.
        self.vmctx();
        self.fuel.charges = facts.charges.iter();
        if facts.has_loops && !facts.charges.is_empty() {
            self.fuel.variable = Some(self.builder.declare_var(I64));
            self.fuel.is_stale = true;
        }
    }

    /// Takes what is planned to be taken before the operator at this offset.
    pub(super) fn charge_at(&mut self, offset: u64) {
        while let Some(Charge { at, units }) = self.fuel.charges.as_slice().first().copied()
            && u64::from(at) <= offset
        {
            self.fuel.charges.next();
            if self.reachable {
                self.charge_units(units);
            }
        }
    }

    /// Takes so much fuel, if there is fuel, or traps and takes nothing.
    pub(super) fn charge_units(&mut self, units: u32) {
        if self.layout.fuel.is_some() {
            let units = self.builder.ins().iconst(I64, i64::from(units));
            self.charge(units);
        }
    }

    /// Takes so much fuel, or traps and takes nothing.
    fn charge(&mut self, units: Value) {
        let Some(offset) = self.layout.fuel else { return };
        self.settle_fuel();
        let (vmctx, flags) = (self.own_context(), self.trusted(Region::Fuel));
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

    /// Notes that something may have taken fuel.
    pub(super) fn fuel_was_taken(&mut self) {
        self.fuel.is_stale = true;
    }

    /// Reads what is left if anything may have taken of it: before it is used, and before the paths
    /// through the function meet or part.
    pub(super) fn settle_fuel(&mut self) {
        if !std::mem::take(&mut self.fuel.is_stale) || !self.reachable {
            return;
        }
        if let (Some(variable), Some(offset)) = (self.fuel.variable, self.layout.fuel) {
            let (vmctx, flags) = (self.own_context(), self.trusted(Region::Fuel));
            let fuel = self.builder.ins().load(I64, flags, vmctx, offset);
            self.builder.def_var(variable, fuel);
        }
    }

    /// The context, from its own register: it is so little work that it need not be kept in another.
    fn own_context(&mut self) -> Value {
        match self.builder.current_block() {
            Some(block) if block == self.entry => self.vmctx(),
            _ => self.builder.ins().get_pinned_reg(I64),
        }
    }
}
