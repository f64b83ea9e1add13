//! `local.get`, `local.set` and `local.tee`.

use super::Compiler;
use super::frame::Home;
use super::registers::{Operand, size_of, slot};
use super::value::Value;

impl Compiler {
    pub(super) fn local_get(&mut self, local: u32) {
        self.push(self.local_types[local as usize], Value::Local(local));
    }

    pub(super) fn local_set(&mut self, local: u32) {
        let operand = self.pop();
        self.write_local(local, operand);
        self.release(operand);
    }

    /// What stays on the stack is whatever is cheapest to use afterwards.
    pub(super) fn local_tee(&mut self, local: u32) {
        let entry = self.stack.pop();
        let operand = self.locate(entry.value, self.stack.len());
        self.write_local(local, operand);
        let in_register = !matches!(self.homes[local as usize], Home::Slot(_));
        let value = match entry.value {
            Value::Gpr(_) | Value::Xmm(_) if in_register => {
                self.release(operand);
                Value::Local(local)
            }
            Value::Spilled => Value::Local(local),
            value => value,
        };
        self.push(entry.ty, value);
    }

    fn write_local(&mut self, local: u32, operand: Operand) {
        self.detach_local(local);
        let ty = self.local_types[local as usize];
        match self.homes[local as usize] {
            Home::Gpr(home) => self.load_gpr(size_of(ty), home, operand),
            Home::Xmm(home) => self.load_xmm(ty, home, operand),
            Home::Slot(offset) if operand == Operand::Slot(offset) => {}
            Home::Slot(offset) => self.store(ty, slot(offset), operand),
            // Only of locals that nothing uses.
            Home::Nowhere => {}
        }
    }
}
