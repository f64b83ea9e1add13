//! `br_table`: a jump by index, through a table or a search among few targets.
//!
//! Owns the jump tables behind the function and the stubs that take operands along. Each target
//! gets at most one stub, so the work is linear in the number of targets.

use super::Compiler;
use super::registers::Operand;
use crate::asm::{Alu, Cond, Gpr, Label, Mem, Scale, Size};
use crate::compile::abi::SCRATCH;
use crate::compile::runs::find_runs;

impl Compiler {
    pub(super) fn br_table(&mut self, table: &wasmparser::BrTable<'_>) {
        let mut depths = std::mem::take(&mut self.depths);
        depths.clear();
        // The table is valid, so reading it again cannot fail.
        depths.extend(table.targets().filter_map(Result::ok));
        self.branch_by_table(&depths, table.default());
        self.depths = depths;
    }

    fn branch_by_table(&mut self, depths: &[u32], default: u32) {
        let index = self.pop();
        // What is prepared for one block is prepared for all: they have the same types.
        let prepared = depths.iter().chain([&default]);
        if let Some(depth) = prepared.copied().find(|depth| self.prepares(self.frame_at(*depth))) {
            self.prepare_transfer(self.frame_at(depth));
        }
        self.tables_made += 1;
        self.stubs.clear();
        let otherwise = self.table_label(default);
        let mut runs = std::mem::take(&mut self.runs);
        let all = depths.iter().copied().chain([default]);
        if find_runs(all.map(|depth| self.table_label(depth)), &mut runs) {
            let register = self.gpr_or_scratch(Size::S32, index);
            self.pending_jump = Some(self.search(register, &runs));
            self.release(index);
        } else {
            let table = self.asm.new_label();
            let start = self.table_labels.len();
            for depth in depths {
                let label = self.table_label(*depth);
                self.table_labels.push(label);
            }
            self.tables.push((table, start));
            let register = match index {
                Operand::Gpr(register) if self.registers.gprs.contains(register) => register,
                _ => self.take_gpr(),
            };
            let index = match index {
                Operand::Gpr(index) if self.registers.zero_extended.contains(index) => index,
                _ => {
                    self.load_zero_extended(register, index);
                    register
                }
            };
            self.asm.alu_ri(Alu::Cmp, Size::S32, index, depths.len() as i32);
            self.asm.jcc(Cond::Ae, otherwise);
            self.asm.lea_label(SCRATCH, table);
            let entry = Mem::indexed(SCRATCH, index, Scale::X4, 0);
            self.asm.movsx_rm(Size::S64, register, entry, Size::S32);
            self.asm.alu_rr(Alu::Add, Size::S64, register, SCRATCH);
            self.asm.jmp_r(register);
            self.release(Operand::Gpr(register));
        }
        self.runs = runs;
        for at in 0..self.stubs.len() {
            let (stub, target) = self.stubs[at];
            self.bind(stub);
            self.transfer(target);
            self.pending_jump = Some(self.control[target].label);
        }
        self.set_unreachable();
    }

    /// Jumps to the label of the run that the index is in, each being from its start to the next one's.
    /// Falls through if that is the last, whose label it returns.
    fn search(&mut self, index: Gpr, runs: &[(u32, Label)]) -> Label {
        match *runs {
            [] => unreachable!("the default is always there"),
            [(_, only)] => only,
            [(_, first), (start, last)] => {
                self.compare_index(index, start);
                self.asm.jcc(Cond::B, first);
                last
            }
            [(_, first), (start, middle), (end, last)] if start + 1 == end => {
                self.compare_index(index, start);
                self.asm.jcc(Cond::B, first);
                self.asm.jcc(Cond::E, middle);
                last
            }
            _ => {
                let (below, above) = runs.split_at(runs.len() / 2);
                let beyond = self.asm.new_label();
                self.compare_index(index, above[0].0);
                self.asm.jcc_short(Cond::Ae, beyond);
                let last = self.search(index, below);
                self.asm.jmp(last);
                self.asm.bind(beyond);
                self.search(index, above)
            }
        }
    }

    fn compare_index(&mut self, index: Gpr, start: u32) {
        self.asm.alu_ri(Alu::Cmp, Size::S32, index, start.cast_signed());
    }

    /// Where a `br_table` jumps for this depth: to the target itself, or to a stub that takes the
    /// operands along, one for each target.
    fn table_label(&mut self, depth: u32) -> Label {
        let target = self.frame_at(depth);
        let frame = &mut self.control[target];
        frame.is_target = true;
        if frame.arity() == 0 {
            return frame.label;
        }
        match frame.table_stub {
            Some((table, stub)) if table == self.tables_made => stub,
            _ => {
                let stub = self.asm.new_label();
                frame.table_stub = Some((self.tables_made, stub));
                self.stubs.push((stub, target));
                stub
            }
        }
    }

    /// Emits the jump tables, behind all code that is executed.
    pub(super) fn emit_tables(&mut self) {
        for at in 0..self.tables.len() {
            let (table, start) = self.tables[at];
            let end = self.tables.get(at + 1).map_or(self.table_labels.len(), |next| next.1);
            self.asm.buf.reserve(4 * (end - start));
            self.asm.bind(table);
            for label in &self.table_labels[start..end] {
                self.asm.emit_table_entry(*label, table);
            }
        }
    }
}
