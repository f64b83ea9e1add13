//! `local.get`, `local.set` and `local.tee`.

use super::Compiler;
use super::registers::{Operand, size_of, slot};
use super::value::Entry;

impl Compiler {
    // Into the loop over the operators: one in three is this.
    #[inline(always)]
    pub(super) fn local_get(&mut self, local: u32) {
        self.push_local(local);
    }

    pub(super) fn local_set(&mut self, local: u32) {
        let operand = self.pop();
        self.write_local(local, operand);
        self.release(operand);
    }

    /// What stays on the stack is whatever is cheapest to use afterwards.
    pub(super) fn local_tee(&mut self, local: u32) {
        let entry = self.stack.pop();
        self.write_local(local, entry.operand);
        let in_register = !matches!(self.locals[local as usize].operand, Operand::Slot(_));
        if entry.is_temporary() && in_register {
            self.release(entry.operand);
            self.push_local(local);
        } else if entry.is_spilled() {
            self.push_local(local);
        } else {
            self.stack.push_entry(&entry);
        }
    }

    fn write_local(&mut self, local: u32, operand: Operand) {
        self.detach_local(local);
        let Entry { ty, operand: home, .. } = self.locals[local as usize];
        match home {
            Operand::Gpr(home) => self.load_gpr(size_of(ty), home, operand),
            Operand::Xmm(home) => self.load_xmm(ty, home, operand),
            home @ Operand::Slot(_) if operand == home => {}
            Operand::Slot(offset) => self.store(ty, slot(offset), operand),
            // Only of locals that nothing uses.
            _ => {}
        }
        if !self.lingering.is_empty() {
            self.write_through(local);
        }
    }
}
