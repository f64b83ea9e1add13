//! Vector constants: 16 bytes each, behind the function.
//!
//! Owns their numbers and their places. They are aligned, so that every instruction may have one as
//! its memory operand.

use super::Compiler;
use super::registers::Operand;
use crate::asm::{Label, VectorRm};
use crate::compile::CODE_ALIGNMENT;

/// How many of the latest constants are looked through for one that is wanted again.
const REMEMBERED: usize = 16;

/// Zero is number 0, and in no list.
const ZERO: u128 = 0;
/// It takes no memory either.
const ONES: u128 = u128::MAX;

/// The constants of the function that is being compiled.
#[derive(Debug, Default)]
pub(super) struct Constants {
    /// From number 1, with their places if an instruction refers to them.
    values: Vec<(u128, Option<Label>)>,
}

impl Constants {
    pub fn clear(&mut self) {
        self.values.clear();
    }

    /// Whether an instruction refers to one.
    pub fn are_placed(&self) -> bool {
        self.values.iter().any(|(_, place)| place.is_some())
    }
}

impl Compiler {
    /// The constant's number, for an operand.
    pub(super) fn constant(&mut self, value: u128) -> u64 {
        if value == ZERO {
            return 0;
        }
        let values = &mut self.constants.values;
        let latest = values.len().saturating_sub(REMEMBERED);
        let known = values[latest..].iter().position(|known| known.0 == value);
        let at = known.map_or(values.len(), |at| latest + at);
        if known.is_none() {
            values.push((value, None));
        }
        at as u64 + 1
    }

    /// The value of the constant with this number.
    pub(super) fn constant_value(&self, number: u64) -> u128 {
        number.checked_sub(1).map_or(ZERO, |at| self.constants.values[at as usize].0)
    }

    /// The constant with this number in memory; nothing for those that are made in a register.
    pub(super) fn constant_place(&mut self, number: u64) -> Option<Label> {
        let at = number.checked_sub(1)?;
        let (value, place) = &mut self.constants.values[at as usize];
        if *value == ONES {
            return None;
        }
        Some(*place.get_or_insert_with(|| self.asm.new_label()))
    }

    /// A constant with these bits in both halves, as the right operand of an instruction.
    #[inline(never)]
    pub(super) fn both_halves(&mut self, bits: u64) -> VectorRm {
        let number = self.constant(u128::from(bits) << 64 | u128::from(bits));
        self.vector_rm(Operand::Const(number))
    }

    /// Emits the constants that instructions refer to, behind everything else but the prologue,
    /// whose place is in front.
    pub(super) fn emit_constants(&mut self) {
        if !self.constants.are_placed() {
            return;
        }
        let end = self.asm.offset();
        self.emit_prologue();
        let offset_in_function = self.asm.offset();
        self.asm.buf.truncate(end);
        let padding = offset_in_function.wrapping_neg() % CODE_ALIGNMENT as u32;
        self.asm.buf.put_bytes(&[0xCC; CODE_ALIGNMENT][..padding as usize]);
        for at in 0..self.constants.values.len() {
            if let (value, Some(place)) = self.constants.values[at] {
                self.asm.bind(place);
                self.asm.buf.put(value, 16);
            }
        }
    }
}
