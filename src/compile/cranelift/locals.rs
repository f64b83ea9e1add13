//! Local variables, as variables of the IR builder, which turns them into SSA form.
//!
//! That form costs memory and time for each pair of a variable and a block, for each loop the square
//! of the variables that are live around it, and in the register allocator that square once more.
//! For nearly all functions this is nothing. Where it would be too much, only the most used locals
//! become variables; the others live in the stack frame.

use std::cmp::Reverse;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, F64, I8X16, I64};
use cranelift_codegen::ir::{
    BlockArg, InstBuilder, MemFlagsData, StackSlot, StackSlotData, StackSlotKind, Type, Value,
    immediates,
};
use cranelift_frontend::Variable;
use wasmparser::Operator;

use super::{Translator, clif_type};
use crate::error::LoadError;
use crate::module::{Facts, ValidBody};

/// Where a local lives.
#[derive(Clone, Copy)]
pub(super) enum Local {
    Variable(Variable),
    /// At this offset from the address of all locals of the frame.
    Frame {
        base: Value,
        offset: i32,
        ty: Type,
    },
    /// Nowhere: what it is now is known. Only in code that never branches.
    Known(Value),
}

/// For locals in the frame: always there, but vectors may be aligned to 8 bytes only.
const FRAME: MemFlagsData = MemFlagsData::new().with_notrap();

/// The most variables. The register allocator compares all that live at the same time.
const MAX_VARIABLES: u64 = 1 << 12;
/// The most pairs of a variable and a block. The builder spends four bytes on each.
const MAX_DEFINITIONS: u64 = 1 << 25;
/// The most that the loops' number times the square of the variables' may be: about a second.
const MAX_LOOP_WORK: u64 = 1 << 29;

/// How many of the `used` locals may be variables in this body.
fn most_variables(body: &ValidBody<'_>, used: u64) -> u64 {
    let used = used.min(MAX_VARIABLES);
    let operators = body.operators();
    // A block costs two bytes at least, so that most bodies need not be walked.
    let blocks = operators.get_binary_reader().bytes_remaining() as u64 / 2 + 1;
    let most = |blocks: u64, loops: u64| {
        used.min(MAX_DEFINITIONS / blocks).min((MAX_LOOP_WORK / loops).isqrt())
    };
    if most(blocks, blocks) == used {
        return used;
    }
    let (mut blocks, mut loops) = (1_u64, 1_u64);
    for operator in operators {
        match operator {
            Ok(Operator::Loop { .. }) => (blocks, loops) = (blocks + 1, loops + 1),
            Ok(Operator::If { .. }) => blocks += 2,
            Ok(Operator::End | Operator::BrIf { .. }) => blocks += 1,
            Ok(Operator::BrTable { targets }) => blocks += u64::from(targets.len()) + 1,
            _ => {}
        }
    }
    most(blocks, loops)
}

/// Says of one local after the other, by its weighted uses, whether it becomes a variable.
struct Choice {
    /// Who has more uses becomes one.
    least: u32,
    /// How many of those with exactly `least` uses become one too.
    left: usize,
}

impl Choice {
    fn new(body: &ValidBody<'_>, facts: &Facts) -> Choice {
        let used = facts.uses.iter().filter(|uses| **uses > 0).count();
        let most = most_variables(body, used as u64) as usize;
        if used <= most {
            return Choice { least: 0, left: usize::MAX };
        }
        let mut uses = facts.uses.clone();
        // In this order, the local at `most` is the first that must stay out.
        let (before, least, _) = uses.select_nth_unstable_by_key(most, |uses| Reverse(*uses));
        let left = before.iter().filter(|uses| **uses == *least).count();
        Choice { least: *least, left }
    }

    fn is_variable(&mut self, uses: u32) -> bool {
        if uses == self.least && self.left > 0 {
            self.left -= 1;
            return true;
        }
        // Locals that nothing uses cost nothing as variables.
        uses > self.least || uses == 0
    }
}

impl Translator<'_> {
    /// Gives every local a place and its first value. The parameters are the entry block's.
    pub(super) fn declare_locals(&mut self, body: &ValidBody<'_>) {
        let facts = self.facts;
        let params = self.info.function_type(self.function).params().len();
        let mut choice = Choice::new(body, facts);
        let mut frame_bytes = 0_u32;
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, 0, 4);
        let mut frame: Option<(StackSlot, Value)> = None;
        for (local, uses) in facts.locals.iter().zip(&facts.uses) {
            let ty = clif_type(*local);
            let place = if choice.is_variable(*uses) {
                Local::Variable(self.builder.declare_var(ty))
            } else {
                let (_, base) = *frame.get_or_insert_with(|| {
                    let slot = self.builder.create_sized_stack_slot(data.clone());
                    (slot, self.builder.ins().stack_addr(I64, slot, 0))
                });
                // Vectors are aligned to 8 bytes only; the access does not promise more.
                let offset = frame_bytes as i32;
                frame_bytes += ty.bytes().max(8);
                Local::Frame { base, offset, ty }
            };
            self.state.locals.push(place);
        }
        if let Some((slot, base)) = frame {
            let size = frame_bytes.next_multiple_of(16);
            self.builder.func.sized_stack_slots[slot].size = size;
            self.clear_frame(base, size);
        }
        for param in 0..params {
            let value = self.builder.block_params(self.entry)[param];
            self.define(param, value);
        }
        let mut zeros: Vec<(Type, Value)> = Vec::new();
        for (index, uses) in facts.uses.iter().enumerate().skip(params) {
            let Local::Variable(variable) = self.state.locals[index] else { continue };
            if *uses > 0 {
                let ty = clif_type(facts.locals[index]);
                let known = zeros.iter().find(|(of, _)| *of == ty).map(|(_, zero)| *zero);
                let zero = known.unwrap_or_else(|| {
                    let zero = self.zero(ty);
                    zeros.push((ty, zero));
                    zero
                });
                self.builder.def_var(variable, zero);
            }
        }
    }

    pub(super) fn zero(&mut self, ty: Type) -> Value {
        match ty {
            F32 => self.builder.ins().f32const(immediates::Ieee32::with_bits(0)),
            F64 => self.builder.ins().f64const(immediates::Ieee64::with_bits(0)),
            I8X16 => {
                let zero = self.builder.func.dfg.constants.insert(vec![0; 16].into());
                self.builder.ins().vconst(I8X16, zero)
            }
            _ => self.builder.ins().iconst(ty, 0),
        }
    }

    /// Clears this many bytes from `base` on, a multiple of 16, in a loop: it is large.
    fn clear_frame(&mut self, base: Value, size: u32) {
        let (clear, done) = (self.builder.create_block(), self.builder.create_block());
        let offset = self.builder.append_block_param(clear, I64);
        let zero = self.zero(I8X16);
        let first = self.builder.ins().iconst(I64, 0);
        self.builder.ins().jump(clear, &[BlockArg::Value(first)]);
        self.builder.switch_to_block(clear);
        let at = self.builder.ins().iadd(base, offset);
        self.builder.ins().store(MemFlagsData::trusted(), zero, at, 0);
        let next = self.builder.ins().iadd_imm_s(offset, 16);
        let more = self.builder.ins().icmp_imm_u(IntCC::UnsignedLessThan, next, i64::from(size));
        self.builder.ins().brif(more, clear, &[BlockArg::Value(next)], done, &[]);
        self.builder.seal_block(clear);
        self.builder.seal_block(done);
        self.builder.switch_to_block(done);
    }

    fn define(&mut self, index: usize, value: Value) {
        match &mut self.state.locals[index] {
            Local::Variable(variable) => self.builder.def_var(*variable, value),
            Local::Frame { base, offset, .. } => {
                self.builder.ins().store(FRAME, value, *base, *offset);
            }
            Local::Known(known) => *known = value,
        }
    }

    pub(super) fn local_get(&mut self, index: u32) -> Result<(), LoadError> {
        let value = match self.state.locals[index as usize] {
            Local::Variable(variable) => self.builder.use_var(variable),
            Local::Frame { base, offset, ty } => self.builder.ins().load(ty, FRAME, base, offset),
            Local::Known(value) => value,
        };
        self.push(value);
        Ok(())
    }

    pub(super) fn local_set(&mut self, index: u32) -> Result<(), LoadError> {
        let value = self.pop();
        self.define(index as usize, value);
        Ok(())
    }

    pub(super) fn local_tee(&mut self, index: u32) -> Result<(), LoadError> {
        let value = *self.state.values.last().expect("a validated operand");
        self.define(index as usize, value);
        Ok(())
    }
}
