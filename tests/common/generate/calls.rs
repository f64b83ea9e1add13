//! Calls, of functions that were generated before.

use wasm_mini::ValType;

use super::{Function, MAX_COST, Signature};

impl Function<'_> {
    /// A callee that the bound on the cost allows.
    pub(super) fn callee(&mut self) -> Option<usize> {
        if self.callees.is_empty() {
            return None;
        }
        let index = self.random.below(self.callees.len());
        let cost = self.times * (self.callees[index].cost + 1);
        (self.cost + cost < MAX_COST).then_some(index)
    }

    /// Calls; the results are on the stack.
    pub(super) fn call(&mut self, index: usize, depth: usize) {
        let Signature { params, cost, .. } = self.callees[index].clone();
        self.values(&params, depth + 1);
        self.op(format!("call $f{index}"));
        self.cost += self.times * cost;
    }

    /// Calls, in one way or another. Returns what.
    pub(super) fn any_call(&mut self, depth: usize) -> Option<usize> {
        if self.random.one_in(3) {
            return self.indirect_call(depth);
        }
        let index = self.callee()?;
        self.call(index, depth);
        Some(index)
    }

    /// A value that a call returns, or any.
    pub(super) fn call_for(&mut self, ty: ValType, depth: usize) {
        let is_integer = matches!(ty, ValType::I32 | ValType::I64);
        if !is_integer || !self.random.one_in(3) {
            return self.call_for_one(ty, depth);
        }
        // Over operands that want all registers.
        let operands = 4 + self.random.below(12);
        let name = ty.name();
        for number in 0..operands {
            match self.local_of(ty) {
                Some(local) => self.op(format!("local.get {local}")),
                None => self.op(format!("global.get $g_{name}")),
            }
            self.op(format!("{name}.const {number}\n{name}.add"));
        }
        self.call_for_one(ty, depth);
        for _ in 0..operands {
            self.op(format!("{name}.xor"));
        }
    }

    pub(super) fn call_for_one(&mut self, ty: ValType, depth: usize) {
        let Some(index) = self.any_call(depth) else { return self.value(ty, depth + 1) };
        let results = self.callees[index].results.clone();
        match results.iter().position(|result| *result == ty) {
            // The last one of that type may stay, if it is the first.
            Some(0) => self.consume(&results[1..]),
            _ => {
                self.consume(&results);
                self.value(ty, depth + 1);
            }
        }
    }
}
