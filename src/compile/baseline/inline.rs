//! Small functions in the place of their calls.
//!
//! Owns where the locals of such a function are while its operators are emitted like any others. It never
//! writes them, so that they are what the arguments are: constants, locals of the caller, or registers
//! that are *pinned* for so long, which makes them homes like those of the caller's locals. Where too few
//! registers would be left, it is called.

use std::mem;

use super::Compiler;
use super::registers::{Operand, size_of};
use super::value::{Entry, PINNED};
use crate::asm::{Gpr, GprSet, Size, Xmm, XmmSet};
use crate::compile::{InlinedSite, TrapSite, Unit};
use crate::module::{SmallFunction, ValType};

/// What may be pinned of the general registers: none that an instruction insists on, and all that a
/// function which calls may have for homes, so that enough others are left.
const PINNABLE: GprSet = GprSet::of(&[Gpr::Rsi, Gpr::Rdi, Gpr::R8, Gpr::R9, Gpr::R10]);
/// Of those, one is left for temporaries at least, and so many of the others.
const LEAST_XMMS: usize = 4;

/// What is there of functions in the place of their calls.
#[derive(Debug, Default)]
pub(super) struct Inline {
    /// What stands for each of its locals; while it is emitted, for each of the caller's.
    pub locals: Vec<Entry>,
    /// What stands for each register that is pinned, by the number above [`PINNED`].
    pub pins: Vec<Entry>,
    pub is_active: bool,
    taken: Vec<Taken>,
    /// How many bytes of operators these are.
    bytes: u32,
}

/// A function in the place of a call.
#[derive(Clone, Copy, Debug)]
struct Taken {
    /// Where the call stands in the binary module.
    call: u32,
    function: u32,
    /// Where the function's first operator stands there.
    offset: u32,
}

/// This bit stands before operators in the place of calls: then comes which of [`Inline::taken`] it is in,
/// and in the lowest bits how far from its first operator.
const MARK: u32 = 1 << 31;
const LOW_BITS: u32 = SmallFunction::MAX_LEN.ilog2();

impl Inline {
    pub fn clear(&mut self) {
        self.taken.clear();
        self.bytes = 0;
    }

    /// Notes what takes the place of the call at this offset. Returns what is to be told of its first
    /// operator.
    fn take(&mut self, call: u32, small: &SmallFunction) -> u32 {
        self.bytes += small.len();
        let offset = small.offset as u32;
        self.taken.push(Taken { call, function: small.function, offset });
        MARK | (self.taken.len() as u32 - 1) << LOW_BITS
    }

    /// The function that an operator in the place of a call is in.
    fn callee_of(&self, operator: u32) -> Option<&Taken> {
        let number = (operator & MARK != 0).then_some((operator & !MARK) >> LOW_BITS)?;
        self.taken.get(number as usize)
    }

    /// The function's own operator: the call, of one in its place.
    pub fn own_operator(&self, operator: u32) -> u32 {
        self.callee_of(operator).map_or(operator, |taken| taken.call)
    }

    /// Gives trap sites their offsets in the module, and tells which are in the place of calls.
    pub fn locate(&self, traps: &mut [TrapSite], inlined: &mut Vec<InlinedSite>) {
        if self.taken.is_empty() {
            return;
        }
        for trap in traps {
            if let Some(Taken { call, function, offset }) =
                self.callee_of(trap.wasm_offset).copied()
            {
                let wasm_offset = offset + (trap.wasm_offset & !(u32::MAX << LOW_BITS));
                inlined.push(InlinedSite { offset: trap.offset, function, wasm_offset });
                trap.wasm_offset = call;
            }
        }
    }
}

impl Compiler {
    /// Emits the function's operators in the place of its call, if it may. Returns whether it did.
    // Out of the loop over the operators, which it calls in turn.
    #[inline(never)]
    pub(super) fn inline(&mut self, function: u32, unit: &Unit<'_>) -> bool {
        let Some(small) = unit.small.get(function, &mut self.scratch) else { return false };
        let params = unit.info.function_type(function).params();
        let base = self.stack.len() - params.len();
        // Of a function with vectors, operands find no room in slots of 8 bytes.
        if small.writes_locals
            || small.has_vectors && !self.frame.has_wide_slots()
            || !small.is_admitted(self.inline.bytes, self.body_len)
            || self.body_start as usize + self.body_len > MARK as usize
        {
            return false;
        }
        self.stop_lingering();
        if !self.can_pin(base) {
            return false;
        }
        let start = self.inline.take(self.operator, small);
        self.operator = start;
        self.charge(small.units);
        self.pin_arguments(base);
        self.stack.truncate(base);
        let others = small.locals[params.len()..].iter();
        self.inline.locals.extend(others.map(|ty| Entry::constant(*ty, 0)));
        self.emit_inline(small, start, unit);
        self.unpin();
        true
    }

    fn emit_inline(&mut self, small: &SmallFunction, start: u32, unit: &Unit<'_>) {
        let body_start = mem::replace(&mut self.body_start, start);
        mem::swap(&mut self.locals, &mut self.inline.locals);
        self.inline.is_active = true;
        let operators = small.operators();
        let emitted = self.walk_to(operators.bytes_remaining(), 0, &operators, unit);
        // What is refused here is refused in its own turn, and the module with it.
        debug_assert!(emitted.is_ok());
        self.inline.is_active = false;
        mem::swap(&mut self.locals, &mut self.inline.locals);
        self.body_start = body_start;
    }

    /// Whether there are registers for the arguments from this height on.
    fn can_pin(&self, base: usize) -> bool {
        let (mut gprs, mut xmms, mut moved) = (0, 0, 0);
        for height in base..self.stack.len() {
            let entry = self.stack.get(height);
            if entry.local().is_some() || matches!(entry.operand, Operand::Const(_)) {
                continue;
            }
            if entry.ty.is_vector_class() {
                xmms += 1;
                moved += usize::from(!self.is_pinnable(entry.operand));
            } else {
                gprs += 1;
            }
        }
        let free_xmms = self.registers.free_xmms.minus(self.unpinnable_xmms());
        gprs == 0 && xmms == 0
            || gprs < PINNABLE.intersect(self.registers.gprs).len()
                && xmms + LEAST_XMMS <= self.registers.xmms.len()
                && moved <= free_xmms.len()
    }

    /// The register that blocks leave results in, and the one that instructions insist on.
    fn unpinnable_xmms(&self) -> XmmSet {
        XmmSet::of(&[self.registers.merge_xmm, Xmm::Xmm0])
    }

    fn is_pinnable(&self, operand: Operand) -> bool {
        match operand {
            Operand::Gpr(register) => PINNABLE.contains(register),
            Operand::Xmm(register) => !self.unpinnable_xmms().contains(register),
            _ => false,
        }
    }

    /// Makes the entries from this height on the locals of the function to be emitted.
    fn pin_arguments(&mut self, base: usize) {
        self.inline.locals.clear();
        self.inline.pins.clear();
        // First those that stay where they are, so that nobody else takes their place.
        for height in base..self.stack.len() {
            let entry = self.stack.get(height);
            if entry.is_temporary() && self.is_pinnable(entry.operand) {
                self.registers.set_aside(entry.operand);
            }
        }
        for height in base..self.stack.len() {
            let mut entry = self.stack.get(height);
            if entry.local().is_none() && !matches!(entry.operand, Operand::Const(_)) {
                if !entry.is_temporary() || !self.is_pinnable(entry.operand) {
                    entry.operand = self.move_to_pinnable(entry.ty, height);
                    self.registers.set_aside(entry.operand);
                }
                let number = self.inline.pins.len() as u32;
                entry = Entry::of_local(entry.ty, PINNED + number, entry.operand);
                self.inline.pins.push(entry);
            }
            self.inline.locals.push(entry);
        }
    }

    /// Moves the argument at this height to a register that may be pinned, and releases where it was.
    fn move_to_pinnable(&mut self, ty: ValType, height: usize) -> Operand {
        let place = if ty.is_vector_class() {
            let free = self.registers.free_xmms.minus(self.unpinnable_xmms());
            let place = free.first().expect("a register, which there is to be for each");
            self.registers.free_xmms.remove(place);
            self.load_xmm(ty, place, self.operand_at(height));
            Operand::Xmm(place)
        } else {
            let pinnable = PINNABLE.intersect(self.registers.gprs);
            let free = pinnable.intersect(self.registers.free_gprs).first();
            let place =
                free.or(pinnable.first()).expect("a register, which there is to be for each");
            self.take_this_gpr(place, GprSet::EMPTY);
            self.load_gpr_keeping_flags(size_of(ty), place, self.operand_at(height));
            if size_of(ty) == Size::S32 {
                self.registers.zero_extended.insert(place);
            }
            Operand::Gpr(place)
        };
        self.release(self.operand_at(height));
        place
    }

    /// The registers are temporaries again: of the first result that stands for one, or free.
    fn unpin(&mut self) {
        for number in 0..self.inline.pins.len() {
            let Entry { operand, .. } = self.inline.pins[number];
            let local = PINNED + number as u32;
            let first = self.stack.find_local(local);
            if let Some(first) = first {
                self.stack.set(first, operand);
                // While it is none for temporaries: the copies release what they were copied from.
                self.detach_local(local);
            }
            self.registers.take_back(operand);
            if first.is_none() {
                self.release(operand);
            }
        }
        self.inline.pins.clear();
    }
}
