//! Structured control: blocks, branches, and where they meet.
//!
//! A continuation gets a block of its own only when something branches to it, and every block is
//! sealed as soon as its last branch is there. No nesting of the program is recursion here: that is a
//! vector.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, BlockArg, InstBuilder, JumpTableData, Value};
use wasmparser::{BlockType, BrTable};

use super::{Translator, ValType, clif_type, machine};
use crate::compile::runs::find_runs;
use crate::error::{LoadError, TrapCode};

/// One open block.
pub(super) struct Frame {
    kind: Kind,
    ty: BlockType,
    /// How many operands lie below the block's parameters.
    height: usize,
    /// Where control goes on after the block's end; made by the first branch to it.
    exit: Option<Block>,
    /// While a `br_table` is made: where its entries for this label lead.
    entry: Option<Block>,
}

#[derive(Clone, Copy)]
enum Kind {
    Function,
    /// A block, or an `if` that is past its `else`.
    Block,
    Loop {
        header: Block,
    },
    /// Its parameters are on the stack twice until the `else` or the `end`: both arms take them.
    If {
        otherwise: Block,
    },
}

impl Frame {
    /// The body itself: a branch to it returns.
    pub(super) fn function() -> Frame {
        Frame::new(Kind::Function, BlockType::Empty, 0)
    }

    fn new(kind: Kind, ty: BlockType, height: usize) -> Frame {
        Frame { kind, ty, height, exit: None, entry: None }
    }
}

impl Translator<'_> {
    fn frame(&mut self) -> &mut Frame {
        self.state.frames.last_mut().expect("an open block")
    }

    /// How many operands a block takes.
    fn param_count(&self, ty: BlockType) -> usize {
        match ty {
            BlockType::Empty | BlockType::Type(_) => 0,
            BlockType::FuncType(index) => self.info.types[index as usize].params().len(),
        }
    }

    /// Makes `block` take the values that a block of this type takes.
    fn append_params(&mut self, block: Block, ty: BlockType) {
        let info = self.info;
        match ty {
            BlockType::Empty | BlockType::Type(_) => {}
            BlockType::FuncType(index) => {
                self.append_types(block, info.types[index as usize].params());
            }
        }
    }

    /// Makes `block` take the values that a block of this type leaves.
    fn append_results(&mut self, block: Block, kind: Kind, ty: BlockType) {
        let info = self.info;
        if let Kind::Function = kind {
            return self.append_types(block, info.function_type(self.function).results());
        }
        match ty {
            BlockType::Empty => {}
            BlockType::Type(ty) => {
                let ty = ValType::from_wasmparser(ty).expect("a type of WebAssembly 2.0");
                self.append_types(block, &[ty]);
            }
            BlockType::FuncType(index) => {
                self.append_types(block, info.types[index as usize].results());
            }
        }
    }

    fn append_types(&mut self, block: Block, types: &[ValType]) {
        for ty in types {
            self.builder.append_block_param(block, clif_type(*ty));
        }
    }

    /// Goes on in `block`, whose branches are all there unless it is a loop's.
    fn continue_in(&mut self, block: Block) {
        self.builder.switch_to_block(block);
        let values = &mut self.state.values;
        values.extend_from_slice(self.builder.block_params(block));
        self.reachable = true;
    }

    /// Jumps with the topmost `count` operands, which stay on the stack.
    fn jump(&mut self, block: Block, count: usize) {
        self.collect_args(count);
        self.builder.ins().jump(block, &self.state.args);
    }

    fn collect_args(&mut self, count: usize) {
        let state = &mut *self.state;
        let args = &state.values[state.values.len() - count..];
        state.args.clear();
        state.args.extend(args.iter().map(|value| BlockArg::Value(*value)));
    }

    /// The block behind the end of the frame at this index of the frames.
    fn exit_of(&mut self, index: usize) -> Block {
        let Frame { kind, ty, exit, .. } = self.state.frames[index];
        if let Some(exit) = exit {
            return exit;
        }
        let exit = self.builder.create_block();
        self.append_results(exit, kind, ty);
        self.state.frames[index].exit = Some(exit);
        exit
    }

    /// The frame's index for a label.
    fn label(&self, depth: u32) -> usize {
        self.state.frames.len() - 1 - depth as usize
    }

    /// Where a branch to this frame leads, and with how many operands.
    fn target(&mut self, index: usize) -> (Block, usize) {
        let block = match self.state.frames[index].kind {
            Kind::Loop { header } => header,
            _ => self.exit_of(index),
        };
        // What the instance of a loop that is open at its header takes besides are variables,
        // which the builder adds to the branch; so count the frame's own.
        let Frame { kind, ty, .. } = self.state.frames[index];
        let count = match (kind, ty) {
            (Kind::Loop { .. }, _) => self.param_count(ty),
            (Kind::Function, _) => self.info.function_type(self.function).results().len(),
            (_, BlockType::Empty) => 0,
            (_, BlockType::Type(_)) => 1,
            (_, BlockType::FuncType(index)) => self.info.types[index as usize].results().len(),
        };
        (block, count)
    }

    pub(super) fn block(&mut self, ty: BlockType) -> Result<(), LoadError> {
        if !self.reachable {
            self.skipped += 1;
            return Ok(());
        }
        let height = self.state.values.len() - self.param_count(ty);
        self.state.frames.push(Frame::new(Kind::Block, ty, height));
        Ok(())
    }

    pub(super) fn loop_(&mut self, ty: BlockType) -> Result<(), LoadError> {
        self.settle_fuel();
        if !self.reachable {
            self.skipped += 1;
            return Ok(());
        }
        let params = self.param_count(ty);
        let header = self.builder.create_block();
        self.append_params(header, ty);
        self.jump(header, params);
        let height = self.state.values.len() - params;
        self.state.values.truncate(height);
        self.state.frames.push(Frame::new(Kind::Loop { header }, ty, height));
        self.continue_in(header);
        self.poll();
        Ok(())
    }

    pub(super) fn if_(&mut self, ty: BlockType) -> Result<(), LoadError> {
        self.settle_fuel();
        if !self.reachable {
            self.skipped += 1;
            return Ok(());
        }
        let condition = self.pop();
        let (then, otherwise) = (self.builder.create_block(), self.builder.create_block());
        self.builder.ins().brif(condition, then, &[], otherwise, &[]);
        let height = self.state.values.len() - self.param_count(ty);
        self.state.values.extend_from_within(height..);
        self.state.frames.push(Frame::new(Kind::If { otherwise }, ty, height));
        self.builder.seal_block(then);
        self.continue_in(then);
        Ok(())
    }

    pub(super) fn else_(&mut self) -> Result<(), LoadError> {
        self.settle_fuel();
        if self.skipped > 0 {
            return Ok(());
        }
        let index = self.label(0);
        let Frame { kind, ty, height, .. } = self.state.frames[index];
        if self.reachable {
            let (exit, results) = self.target(index);
            self.jump(exit, results);
        }
        let Kind::If { otherwise } = kind else { unreachable!("a validated `else`") };
        self.state.values.truncate(height + self.param_count(ty));
        self.frame().kind = Kind::Block;
        self.builder.seal_block(otherwise);
        self.continue_in(otherwise);
        Ok(())
    }

    pub(super) fn end(&mut self) -> Result<(), LoadError> {
        self.settle_fuel();
        if self.skipped > 0 {
            self.skipped -= 1;
            return Ok(());
        }
        let index = self.label(0);
        let Frame { kind, ty, height, exit, .. } = self.state.frames[index];
        match kind {
            Kind::Loop { header } => self.builder.seal_block(header),
            Kind::If { otherwise } if exit.is_none() && self.param_count(ty) == 0 => {
                // Without `else`, and thus without results: the other arm is what follows.
                self.frame().exit = Some(otherwise);
            }
            Kind::If { otherwise } => {
                let (exit, results) = self.target(index);
                if self.reachable {
                    self.jump(exit, results);
                }
                // The other arm is empty and passes the parameters on.
                self.state.values.truncate(height + results);
                self.builder.seal_block(otherwise);
                self.continue_in(otherwise);
            }
            Kind::Function | Kind::Block => {}
        }
        if let Some(exit) = self.frame().exit {
            if self.reachable {
                let (_, results) = self.target(index);
                self.jump(exit, results);
            }
            self.builder.seal_block(exit);
            self.state.values.truncate(height);
            self.continue_in(exit);
        }
        if !self.reachable {
            self.state.values.truncate(height);
        }
        if let Kind::Function = kind
            && self.reachable
        {
            self.emit_return();
        }
        self.state.frames.pop();
        Ok(())
    }

    pub(super) fn br(&mut self, depth: u32) -> Result<(), LoadError> {
        self.settle_fuel();
        let index = self.label(depth);
        if let Kind::Function = self.state.frames[index].kind {
            return self.return_();
        }
        let (block, count) = self.target(index);
        self.jump(block, count);
        self.reachable = false;
        Ok(())
    }

    pub(super) fn br_if(&mut self, depth: u32) -> Result<(), LoadError> {
        self.settle_fuel();
        let condition = self.pop();
        let (block, count) = self.target(self.label(depth));
        self.collect_args(count);
        let next = self.builder.create_block();
        self.builder.ins().brif(condition, block, &self.state.args, next, &[]);
        self.builder.seal_block(next);
        self.continue_in(next);
        Ok(())
    }

    /// Every label of the table gets one block in between, without parameters. Otherwise each
    /// variable that a label's block takes would be added to each entry, which is quadratic.
    pub(super) fn br_table(&mut self, targets: &BrTable<'_>) -> Result<(), LoadError> {
        self.settle_fuel();
        let selector = self.pop();
        let mut labels = Vec::new();
        let mut entries = Vec::with_capacity(targets.len() as usize);
        for depth in targets.targets() {
            let depth = depth.expect("a validated table");
            entries.push(self.table_entry(depth, &mut labels));
        }
        let default = self.table_entry(targets.default(), &mut labels);
        let mut runs = Vec::new();
        if find_runs(entries.iter().copied().chain([default]), &mut runs) {
            self.search(selector, &runs);
        } else {
            let pool = &mut self.builder.func.dfg.value_lists;
            let mut call = |block: &Block| cranelift_codegen::ir::BlockCall::new(*block, [], pool);
            let table =
                JumpTableData::new(call(&default), &entries.iter().map(call).collect::<Vec<_>>());
            let table = self.builder.create_jump_table(table);
            self.builder.ins().br_table(selector, table);
        }
        for index in labels {
            let entry = self.state.frames[index].entry.take().expect("set by `table_entry`");
            self.builder.switch_to_block(entry);
            self.builder.seal_block(entry);
            let (block, count) = self.target(index);
            self.jump(block, count);
        }
        self.reachable = false;
        Ok(())
    }

    /// Jumps to the block of the run that the selector is in, each being from its start to the next one's.
    fn search(&mut self, selector: Value, runs: &[(u32, Block)]) {
        if let [(_, only)] = runs {
            self.builder.ins().jump(*only, &[]);
            return;
        }
        let (below, beyond) = runs.split_at(runs.len() / 2);
        let start = i64::from(beyond[0].0);
        let is_below = self.builder.ins().icmp_imm_u(IntCC::UnsignedLessThan, selector, start);
        let mut side = |runs: &[(u32, Block)]| match runs {
            [(_, only)] => *only,
            _ => self.builder.create_block(),
        };
        let (to_below, to_beyond) = (side(below), side(beyond));
        self.builder.ins().brif(is_below, to_below, &[], to_beyond, &[]);
        for (block, runs) in [(to_below, below), (to_beyond, beyond)] {
            if runs.len() > 1 {
                self.builder.switch_to_block(block);
                self.builder.seal_block(block);
                self.search(selector, runs);
            }
        }
    }

    /// The block for the table's entries with this label. `labels` lists the frames that have one.
    fn table_entry(&mut self, depth: u32, labels: &mut Vec<usize>) -> Block {
        let index = self.label(depth);
        if let Some(entry) = self.state.frames[index].entry {
            return entry;
        }
        let entry = self.builder.create_block();
        self.state.frames[index].entry = Some(entry);
        labels.push(index);
        entry
    }

    pub(super) fn return_(&mut self) -> Result<(), LoadError> {
        self.emit_return();
        self.reachable = false;
        Ok(())
    }

    pub(super) fn unreachable(&mut self) -> Result<(), LoadError> {
        // Cranelift makes a conditional trap of a branch to a block that only traps, and gives it
        // the branch's place in the module. The no-op keeps this operator's own.
        self.builder.ins().nop();
        if let Some(block) = self.builder.current_block().filter(|block| *block != self.entry) {
            self.builder.set_cold_block(block);
        }
        self.builder.ins().trap(machine::to_clif(TrapCode::Unreachable));
        self.reachable = false;
        Ok(())
    }
}
