//! Control flow: blocks, loops, ifs and branches.
//!
//! Owns the control frames and the convention at their labels.
//!
//! # At a label
//!
//! What lies below the block is settled, locals are at home, so a branch moves only the block's
//! own operands:
//!
//! - to the end of a block or if: the first integer result is in rax, the first float result in
//!   the function's merge register, the others are in their canonical slots;
//! - to the head of a loop: all operands are in their canonical slots;
//! - to the end of the function: results are where the calling convention has them.
//!
//! A block to whose end nobody branches has no label, and its results stay where they are.

use super::Compiler;
use super::registers::{MERGE_GPR, Operand, size_of, slot};
use crate::asm::{Cond, FloatSize, Label, Mem, Size, Xmm};
use crate::compile::abi::{FLOAT_SCRATCH, Location, SCRATCH};
use crate::module::ValType;

/// What a control frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Function,
    Block,
    Loop,
    /// Until its `else`.
    If,
    Else,
}

/// One open block.
#[derive(Clone, Copy, Debug)]
pub(super) struct ControlFrame {
    kind: Kind,
    /// Where branches go: a loop's head, the end of anything else.
    pub label: Label,
    /// Where an `if` goes if its condition does not hold.
    otherwise: Label,
    /// How many operands are below the block.
    height: usize,
    /// Where its parameters' types start in `types`; its results' types follow.
    types: usize,
    params: usize,
    results: usize,
    /// Whether anything goes to `label`.
    pub is_target: bool,
    /// The stub that the current `br_table` made for this target, and which `br_table` that is.
    pub table_stub: Option<(u32, Label)>,
}

impl ControlFrame {
    /// How many operands a branch takes along.
    pub fn arity(&self) -> usize {
        if self.kind == Kind::Loop { self.params } else { self.results }
    }

    /// Where the types of these operands are in `types`.
    fn arity_types(&self) -> usize {
        if self.kind == Kind::Loop { self.types } else { self.types + self.params }
    }
}

/// A condition off the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Always,
    Never,
    On(Cond),
}

/// Opening and closing.
impl Compiler {
    /// Opens a control frame whose parameters are on the stack.
    fn open(&mut self, kind: Kind, params: &[ValType], results: &[ValType]) {
        let label = self.asm.new_label();
        let types = self.types.len();
        self.types.extend_from_slice(params);
        self.types.extend_from_slice(results);
        self.control.push(ControlFrame {
            kind,
            label,
            otherwise: label,
            height: self.stack.len() - params.len(),
            types,
            params: params.len(),
            results: results.len(),
            is_target: false,
            table_stub: None,
        });
    }

    pub(super) fn open_function(&mut self, results: &[ValType]) {
        self.open(Kind::Function, &[], results);
    }

    pub(super) fn block(&mut self, params: &[ValType], results: &[ValType]) {
        if self.is_too_large() {
            return self.give_up_block();
        }
        self.settle(self.stack.len() - params.len());
        self.open(Kind::Block, params, results);
    }

    pub(super) fn loop_(&mut self, params: &[ValType], results: &[ValType]) {
        if self.is_too_large() {
            return self.give_up_block();
        }
        self.settle(self.stack.len() - params.len());
        self.spill_from(self.stack.len() - params.len());
        self.stop_lingering();
        self.open(Kind::Loop, params, results);
        let head = self.top_frame().label;
        self.bind(head);
        self.poll();
    }

    pub(super) fn if_(&mut self, params: &[ValType], results: &[ValType]) {
        if self.is_too_large() {
            return self.give_up_block();
        }
        let condition = self.pop_condition();
        // These are only moves: the flags survive.
        self.settle(self.stack.len() - params.len());
        self.spill_from(self.stack.len() - params.len());
        self.open(Kind::If, params, results);
        let otherwise = self.asm.new_label();
        self.top_frame().otherwise = otherwise;
        match condition {
            Condition::Always => {}
            Condition::Never => self.asm.jmp(otherwise),
            Condition::On(cond) => self.asm.jcc(cond.invert(), otherwise),
        }
    }

    /// Skips a block of a function that will be refused, as if it could not be executed.
    fn give_up_block(&mut self) {
        self.set_unreachable();
        self.skipped_blocks += 1;
    }

    /// Closes the first arm of an `if` and starts the second with the same operands.
    pub(super) fn else_(&mut self) {
        let frame = *self.top_frame();
        if self.reachable {
            let target = self.control.len() - 1;
            self.prepare_transfer(target);
            self.transfer(target);
            self.top_frame().is_target = true;
            self.pending_jump = Some(frame.label);
        }
        self.top_frame().kind = Kind::Else;
        self.bind(frame.otherwise);
        self.start_with_params(&frame);
    }

    /// The operands at the start of either arm of an `if`.
    fn start_with_params(&mut self, frame: &ControlFrame) {
        self.stack.truncate(frame.height);
        self.registers.free_all();
        for at in 0..frame.params {
            let place = self.frame.operand_slot(frame.height + at);
            self.push(self.types[frame.types + at], Operand::Slot(place));
        }
        self.reachable = true;
    }

    pub(super) fn end(&mut self) {
        if self.top_frame().kind == Kind::If {
            self.end_without_else();
        }
        let target = self.control.len() - 1;
        let frame = *self.top_frame();
        match frame.kind {
            // The caller emits the epilogue.
            Kind::Function => {
                if self.reachable {
                    self.transfer(target);
                }
                if frame.is_target {
                    self.bind(frame.label);
                    self.reachable = true;
                } else if let Some(elsewhere) = self.pending_jump.take() {
                    self.asm.jmp(elsewhere);
                }
                self.stack.truncate(0);
                self.registers.free_all();
            }
            _ if frame.is_target && frame.kind != Kind::Loop => {
                if self.reachable {
                    self.prepare_transfer(target);
                    self.transfer(target);
                }
                self.bind(frame.label);
                self.start_with_results(&frame);
            }
            _ if self.reachable => {}
            _ => {
                self.stack.truncate(frame.height);
                self.registers.free_all();
            }
        }
        self.types.truncate(frame.types);
        self.control.pop();
    }

    /// An `if` without `else` hands its parameters on as its results.
    fn end_without_else(&mut self) {
        let frame = *self.top_frame();
        if frame.results > 0 {
            return self.else_();
        }
        // Nothing to hand on: the jump over the first arm is one to the end.
        self.top_frame().kind = Kind::Else;
        self.bind(frame.otherwise);
        self.start_with_params(&frame);
    }

    /// The operands behind a label.
    fn start_with_results(&mut self, frame: &ControlFrame) {
        self.stack.truncate(frame.height);
        self.registers.free_all();
        let (mut gpr, mut xmm) = (Some(MERGE_GPR), Some(self.registers.merge_xmm));
        for at in 0..frame.results {
            let ty = self.types[frame.types + frame.params + at];
            let operand = if ty.is_vector_class() {
                xmm.take().map(|register| {
                    self.registers.free_xmms.remove(register);
                    Operand::Xmm(register)
                })
            } else {
                gpr.take().map(|register| {
                    self.registers.free_gprs.remove(register);
                    Operand::Gpr(register)
                })
            };
            let place = || Operand::Slot(self.frame.operand_slot(frame.height + at));
            let operand = operand.unwrap_or_else(place);
            self.push(ty, operand);
        }
        self.reachable = true;
    }

    pub(super) fn top_frame(&mut self) -> &mut ControlFrame {
        self.control.last_mut().expect("an open block")
    }

    /// The index of the control frame at this depth.
    pub(super) fn frame_at(&self, depth: u32) -> usize {
        self.control.len() - 1 - depth as usize
    }
}

/// Jumps and labels.
impl Compiler {
    /// Binds a label of a control frame. A jump that is waiting to be emitted is needed only if it
    /// goes elsewhere.
    pub(super) fn bind(&mut self, label: Label) {
        if let Some(target) = self.pending_jump.take()
            && target != label
        {
            self.asm.jmp(target);
        }
        self.bind_inside(label);
    }

    /// Binds a label inside an operator. What was known of the flags is no longer.
    pub(super) fn bind_inside(&mut self, label: Label) {
        self.asm.bind(label);
        self.zero_flag = None;
    }

    pub(super) fn pop_condition(&mut self) -> Condition {
        match self.pop() {
            Operand::Flags(cond) => Condition::On(cond),
            Operand::Const(0) => Condition::Never,
            Operand::Const(_) => Condition::Always,
            operand => {
                self.test_zero(Size::S32, operand);
                self.release(operand);
                Condition::On(Cond::Ne)
            }
        }
    }

    /// From here to the next label, nothing is executed.
    pub(super) fn set_unreachable(&mut self) {
        self.reachable = false;
    }

    pub(super) fn unreachable(&mut self) {
        self.trap(crate::error::TrapCode::Unreachable);
        self.set_unreachable();
    }

    pub(super) fn return_(&mut self) {
        self.branch(0);
    }

    pub(super) fn br(&mut self, depth: u32) {
        self.branch(self.frame_at(depth));
    }

    fn branch(&mut self, target: usize) {
        self.prepare_transfer(target);
        self.transfer(target);
        self.control[target].is_target = true;
        self.pending_jump = Some(self.control[target].label);
        self.set_unreachable();
    }

    pub(super) fn br_if(&mut self, depth: u32) {
        let target = self.frame_at(depth);
        let cond = match self.pop_condition() {
            Condition::Always => return self.branch(target),
            Condition::Never => return,
            Condition::On(cond) => cond,
        };
        // Only moves, so that the flags survive.
        self.prepare_transfer(target);
        let frame = &mut self.control[target];
        frame.is_target = true;
        let label = frame.label;
        if self.transfer_is_empty(target) || self.transfer_ahead(target) {
            self.asm.jcc(cond, label);
        } else {
            let skip = self.asm.new_label();
            self.asm.jcc(cond.invert(), skip);
            self.transfer(target);
            self.asm.jmp(label);
            self.bind_inside(skip);
        }
    }
}

/// Taking operands along.
impl Compiler {
    /// Makes the registers that the transfer to this target writes free of operands that it has
    /// yet to read. Keeps the flags.
    pub(super) fn prepare_transfer(&mut self, target: usize) {
        if !self.prepares(target) {
            return;
        }
        let frame = self.control[target];
        let arity = frame.arity();
        let base = self.stack.len() - arity;
        let (gpr, xmm) = self.first_of_each_class(&frame);
        for at in 0..arity {
            let in_the_way = match self.operand_at(base + at) {
                Operand::Gpr(register) => register == MERGE_GPR && Some(at) != gpr,
                Operand::Xmm(register) => register == self.registers.merge_xmm && Some(at) != xmm,
                _ => false,
            };
            if in_the_way {
                self.spill(base + at);
            }
        }
    }

    /// Whether there may be something to prepare.
    pub(super) fn prepares(&self, target: usize) -> bool {
        let frame = &self.control[target];
        frame.arity() > 1 && !matches!(frame.kind, Kind::Function | Kind::Loop)
    }

    /// Which results travel in registers.
    fn first_of_each_class(&self, frame: &ControlFrame) -> (Option<usize>, Option<usize>) {
        if frame.kind == Kind::Loop {
            return (None, None);
        }
        let types = &self.types[frame.arity_types()..][..frame.arity()];
        let first = |class: bool| types.iter().position(|ty| ty.is_vector_class() == class);
        (first(false), first(true))
    }

    /// Emits what brings the topmost operands to where the target wants them. Changes no entry,
    /// as the code behind a conditional branch finds them as they were. Clobbers the flags.
    pub(super) fn transfer(&mut self, target: usize) {
        let frame = self.control[target];
        let arity = frame.arity();
        if arity == 0 || self.is_too_large() {
            return;
        }
        if frame.kind == Kind::Function {
            return self.transfer_to_caller(&frame);
        }
        let base = self.stack.len() - arity;
        let (gpr, xmm) = self.first_of_each_class(&frame);
        // Upwards, because an operand is never below its place, so that no slot is written that
        // is yet to be read.
        for at in 0..arity {
            let ty = self.types[frame.arity_types() + at];
            let operand = self.operand_at(base + at);
            if Some(at) == gpr {
                self.load_gpr(size_of(ty), MERGE_GPR, operand);
            } else if Some(at) == xmm {
                self.load_xmm(ty, self.registers.merge_xmm, operand);
            } else {
                let place = self.frame.operand_slot(frame.height + at);
                if operand != Operand::Slot(place) {
                    self.store(ty, slot(place), operand);
                }
            }
        }
    }

    fn transfer_is_empty(&mut self, target: usize) -> bool {
        let frame = self.control[target];
        let arity = frame.arity();
        let base = self.stack.len() - arity;
        match (frame.kind, arity) {
            (_, 0) => true,
            (Kind::Function, 1) => {
                let operand = self.operand_at(base);
                match self.signature.results[0] {
                    Location::Gpr(register) => operand == Operand::Gpr(register),
                    Location::Xmm(register) => operand == Operand::Xmm(register),
                    Location::Memory(_) => false,
                }
            }
            (Kind::Function, _) => false,
            (Kind::Loop, _) => {
                base == frame.height
                    && (base..base + arity).all(|at| self.stack.get(at).is_spilled())
            }
            (_, 1) => match self.operand_at(base) {
                Operand::Gpr(register) => register == MERGE_GPR,
                Operand::Xmm(register) => register == self.registers.merge_xmm,
                _ => false,
            },
            _ => false,
        }
    }

    /// If the transfer is one load of a register that is free, emits it, without harm even if the
    /// branch is not taken. Keeps the flags.
    fn transfer_ahead(&mut self, target: usize) -> bool {
        let frame = self.control[target];
        if frame.arity() != 1 || frame.kind == Kind::Loop {
            return false;
        }
        let ty = self.types[frame.arity_types()];
        let operand = self.operand_at(self.stack.len() - 1);
        if ty.is_vector_class() {
            let register =
                if frame.kind == Kind::Function { Xmm::Xmm0 } else { self.registers.merge_xmm };
            let is_free = self.registers.free_xmms.contains(register);
            if is_free {
                self.load_xmm(ty, register, operand);
            }
            is_free
        } else {
            let is_free = self.registers.free_gprs.contains(MERGE_GPR);
            if is_free {
                self.load_gpr_keeping_flags(size_of(ty), MERGE_GPR, operand);
            }
            is_free
        }
    }

    /// Brings the function's results where the caller expects them.
    fn transfer_to_caller(&mut self, frame: &ControlFrame) {
        let base = self.stack.len() - frame.results;
        let mut has_area = false;
        for at in 0..frame.results {
            let ty = self.types[frame.arity_types() + at];
            let operand = self.operand_at(base + at);
            match self.signature.results[at] {
                Location::Gpr(register) => self.moves.set_gpr(register, ty, operand),
                Location::Xmm(register) => self.moves.set_xmm(register, ty, operand),
                Location::Memory(offset) => {
                    if !has_area {
                        self.asm.mov_rm(Size::S64, SCRATCH, slot(self.frame.return_area));
                        has_area = true;
                    }
                    self.store_to_area(ty, offset, operand);
                }
            }
        }
        self.emit_moves();
    }

    /// Stores to the return area, whose address is in the scratch register. Takes no register:
    /// this may be the taken side of a conditional branch.
    fn store_to_area(&mut self, ty: ValType, offset: u32, operand: Operand) {
        let place = |at: u32| Mem::base(SCRATCH, at as i32);
        if ty == ValType::V128 {
            return self.store_vector(place(offset), operand);
        }
        match operand {
            Operand::Const(bits) => {
                self.asm.mov_mi(Size::S32, place(offset), bits as i32);
                if size_of(ty) == Size::S64 {
                    self.asm.mov_mi(Size::S32, place(offset + 4), (bits >> 32) as i32);
                }
            }
            Operand::Slot(source) => {
                let size = match size_of(ty) {
                    Size::S64 => FloatSize::F64,
                    _ => FloatSize::F32,
                };
                self.asm.movs_rm(size, FLOAT_SCRATCH, slot(source));
                self.asm.movs_mr(size, place(offset), FLOAT_SCRATCH);
            }
            _ => self.store(ty, place(offset), operand),
        }
    }
}
