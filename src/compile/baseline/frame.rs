//! Frames: what the frame holds, how a function is entered and left.
//!
//! Owns the layout of the frame, and prologue and epilogue. Which locals are in registers instead is
//! decided in `homes.rs`.
//!
//! Every local that is used has **one home for the whole function**, a register or a slot, so that
//! no branch ever moves a local; parameters with a slot are in a register, too, for a while (`homes.rs`).
//! Downwards from rbp the frame holds:
//!
//! ```text
//! rbp + 16 ..   stack parameters, at home where they arrived
//! rbp + 8       return address
//! rbp           the caller's rbp
//! rbp - 8 ..    callee-saved registers that are homes, of the memory base too, pushed
//!               the return area's address, if the function has one
//!               parameters with a slot for a home
//!               other locals with a slot for a home, zeroed on entry
//!               homes in registers that calls overwrite, while a call runs
//!               the canonical slots of the value stack, by height
//! ```
//!
//! All of these are known when the body's first byte is emitted, except how many operand slots
//! there will be, and so whether the function needs a frame at all. Therefore the body comes
//! first and the prologue is chosen after it.

use std::mem;

use super::Compiler;
use super::registers::{Operand, slot};
use super::value::Entry;
use crate::asm::{Alu, Cond, Gpr, GprSet, Mem, Size};
use crate::compile::abi::{
    CALLEE_SAVED, FLOAT_SCRATCH, Location, SCRATCH, STACK_LIMIT, UNCHECKED_FRAME, VMCTX,
};
use crate::error::LoadError;
use crate::module::{Facts, ValType, check_code, check_limit};

/// The largest frame that is compiled, in bytes: room for all the locals that wasm allows and as
/// many operands, and still a fraction of any thread's stack.
const MAX_FRAME: u32 = 1 << 20;

/// How far below rsp a leaf function may write: the red zone, which no signal handler touches.
const RED_ZONE: u32 = 128;

/// What calls may push below a frame without its being checked for.
const UNCHECKED_OUTGOING: u32 = 256;

/// The home of a local that is never used, and so never asked for.
pub(super) const NOWHERE: Operand = Operand::Const(0);

/// A register that is a home although calls overwrite it, and where it is kept meanwhile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub ty: ValType,
    pub register: Operand,
    pub slot: isize,
}

/// What is known so far of the function's frame.
#[derive(Debug, Default)]
pub(super) struct Frame {
    /// Callee-saved registers that are homes.
    saved: GprSet,
    /// From rbp down to the first operand slot.
    fixed_bytes: u32,
    /// How many operand slots have been asked for.
    operand_slots: u32,
    /// Whether operand slots are 16 bytes, because vectors may be among the operands, and not 8.
    wide_slots: bool,
    /// Whether anything is found through rbp.
    uses_rbp: bool,
    makes_calls: bool,
    /// The homes that are saved before each call and restored behind it.
    pub kept: Vec<Kept>,
    /// The most that any call puts below the frame.
    pub outgoing_bytes: u32,
    /// The slot that holds the return area's address.
    pub return_area: isize,
    /// What of the function has become too large, if anything has.
    excess: Option<Excess>,
}

/// What a function can have too much of while it is compiled.
#[derive(Clone, Copy, Debug)]
enum Excess {
    Code,
    /// The types of open blocks.
    Types,
}

/// How many types the open blocks of a function may have, each counted as often as it is open: no
/// program that people write comes near it.
const MAX_OPEN_TYPES: usize = 1 << 24;

impl Frame {
    /// The canonical slot of the operand at this height: its distance from rbp.
    #[inline]
    pub fn operand_slot(&mut self, height: usize) -> isize {
        self.operand_slots = self.operand_slots.max(height as u32 + 1);
        self.place_of(height)
    }

    /// Where the canonical slot of that height is, whether there is one or not.
    #[inline]
    pub fn place_of(&self, height: usize) -> isize {
        -((self.fixed_bytes + self.slot_bytes() * (height as u32 + 1)) as isize)
    }

    /// Whether a vector finds room in the slot of an operand.
    pub fn has_wide_slots(&self) -> bool {
        self.wide_slots
    }

    fn slot_bytes(&self) -> u32 {
        if self.wide_slots { 16 } else { 8 }
    }

    /// Adds a slot to the fixed part.
    fn fixed_slot(&mut self, ty: ValType) -> isize {
        self.uses_rbp = true;
        self.fixed_bytes += if ty == ValType::V128 { 16 } else { 8 };
        -(self.fixed_bytes as isize)
    }

    fn frameless(&self) -> bool {
        !self.makes_calls && !self.uses_rbp && self.operand_slots == 0 && self.saved.is_empty()
    }

    fn pushed_bytes(&self) -> u32 {
        8 * self.saved.len() as u32
    }

    /// Everything from rbp down, aligned if it must be.
    fn bytes(&self) -> u32 {
        let bytes = self.fixed_bytes + self.slot_bytes() * self.operand_slots;
        if self.makes_calls { bytes.next_multiple_of(16) } else { bytes }
    }

    /// What the prologue subtracts from rsp.
    fn reserved_bytes(&self) -> u32 {
        let below = self.bytes() - self.pushed_bytes();
        if self.makes_calls || below > RED_ZONE { below } else { 0 }
    }

    fn is_checked(&self) -> bool {
        self.makes_calls || self.bytes() > UNCHECKED_FRAME
    }
}

/// The layout of the fixed part.
impl Compiler {
    /// Starts the frame of the function whose signature is in `self.signature`.
    pub(super) fn open_frame(&mut self, facts: &Facts, has_vectors: bool) {
        // A call into the runtime is no less of a call than any other.
        let makes_calls = facts.makes_calls || facts.calls_runtime;
        let mut kept = mem::take(&mut self.frame.kept);
        kept.clear();
        self.frame = Frame { makes_calls, wide_slots: has_vectors, kept, ..Frame::default() };
        self.frame.saved = self.assign_homes(facts, makes_calls).intersect(CALLEE_SAVED);
        self.frame.fixed_bytes = self.frame.pushed_bytes();
        self.assign_slots(facts);
        self.keep_homes();
    }

    /// Where a parameter arrives; nothing for other locals.
    pub(super) fn arrival(&self, local: u32) -> Option<Location> {
        self.signature.params.get(local as usize).copied()
    }

    /// Slots for the homes that calls overwrite. The memory's base needs none: it can be read again.
    fn keep_homes(&mut self) {
        if !self.frame.makes_calls {
            return;
        }
        for Entry { ty, operand: home, .. } in &self.locals {
            let is_overwritten = match *home {
                Operand::Gpr(home) => !CALLEE_SAVED.contains(home),
                home => matches!(home, Operand::Xmm(_)),
            };
            if is_overwritten {
                let slot = self.frame.fixed_slot(*ty);
                self.frame.kept.push(Kept { ty: *ty, register: *home, slot });
            }
        }
    }

    /// Slots for the locals that found no register, and for the return area's address.
    fn assign_slots(&mut self, facts: &Facts) {
        if let Some(location) = self.signature.return_area {
            self.frame.uses_rbp = true;
            self.frame.return_area = match location {
                Location::Memory(offset) => stack_parameter(offset),
                _ => self.frame.fixed_slot(ValType::I64),
            };
        }
        for (local, uses) in facts.uses.iter().enumerate() {
            if *uses == 0 {
                continue;
            }
            let on_stack = match self.arrival(local as u32) {
                Some(Location::Memory(offset)) => Some(stack_parameter(offset)),
                _ => None,
            };
            self.frame.uses_rbp |= on_stack.is_some();
            if self.locals[local].operand == NOWHERE {
                let ty = facts.locals[local];
                let home = on_stack.unwrap_or_else(|| self.frame.fixed_slot(ty));
                self.locals[local].operand = Operand::Slot(home);
            }
        }
    }
}

/// A stack parameter's distance from rbp: above the caller's rbp and the return address.
fn stack_parameter(offset: u32) -> isize {
    16 + offset as isize
}

/// Entry.
impl Compiler {
    /// Brings parameters home and zeroes the other locals: the start of the body.
    pub(super) fn bring_locals_home(&mut self, facts: &Facts) {
        self.moves.clear();
        for local in 0..self.signature.params.len() {
            let ty = facts.locals[local];
            let arrival = match self.signature.params[local] {
                Location::Gpr(register) => Operand::Gpr(register),
                Location::Xmm(register) => Operand::Xmm(register),
                Location::Memory(offset) => Operand::Slot(stack_parameter(offset)),
            };
            match self.locals[local].operand {
                Operand::Gpr(home) => self.moves.set_gpr(home, ty, arrival),
                Operand::Xmm(home) => self.moves.set_xmm(home, ty, arrival),
                home @ Operand::Slot(_) if arrival == home => {}
                Operand::Slot(home) => self.store(ty, slot(home), arrival),
                _ => {}
            }
        }
        if let Some(Location::Gpr(register)) = self.signature.return_area {
            let home = slot(self.frame.return_area);
            self.asm.mov_mr(Size::S64, home, register);
        }
        self.emit_moves();
        self.zero_extend_homes(facts);
        if let Some(home) = self.memory_base {
            self.load_memory_base(0, home);
        }
        self.reload_fuel();

        // Slots of locals that are no parameters lie together, the first one highest. A vector's
        // counts for two.
        let mut highest = None;
        let mut count = 0;
        let params = self.signature.params.len();
        for Entry { ty, operand: home, .. } in &self.locals[params..] {
            let slots = if *ty == ValType::V128 { 2 } else { 1 };
            match *home {
                Operand::Gpr(home) => self.asm.zero(home),
                Operand::Xmm(home) => self.asm.xorps_rr(home, home),
                Operand::Slot(offset) => {
                    highest = highest.or(Some(offset + 8 * (slots - 1)));
                    count += slots;
                }
                _ => {}
            }
        }
        if let Some(highest) = highest {
            self.zero_slots(highest, count);
        }
    }

    /// Notes which homes hold an i32 with zeros above it, now and whenever the local is set. A
    /// parameter that is at home where it arrived has anything there: that is worth an instruction
    /// if it may become an address.
    fn zero_extend_homes(&mut self, facts: &Facts) {
        for (local, entry) in self.locals.iter().enumerate() {
            let Operand::Gpr(home) = entry.operand else { continue };
            if entry.ty != ValType::I32 {
                continue;
            }
            if self.signature.params.get(local) == Some(&Location::Gpr(home)) {
                if facts.memory_accesses == 0 {
                    continue;
                }
                self.asm.mov_rr(Size::S32, home, home);
            }
            self.registers.zero_extended.insert(home);
        }
    }

    /// Zeroes this many slots from `highest` downwards. Parameters may still be in their
    /// registers, so only scratch registers are used.
    fn zero_slots(&mut self, highest: isize, count: isize) {
        const MOST_UNROLLED: isize = 16;
        let lowest = highest - 8 * (count - 1);
        if count == 1 {
            self.asm.mov_mi(Size::S64, slot(highest), 0);
            return;
        }
        self.asm.xorps_rr(FLOAT_SCRATCH, FLOAT_SCRATCH);
        if count % 2 == 1 {
            self.asm.movs_mr(crate::asm::FloatSize::F64, slot(highest), FLOAT_SCRATCH);
        }
        let pairs = count / 2;
        if count <= MOST_UNROLLED {
            for pair in 0..pairs {
                self.asm.movups_mr(slot(lowest + 16 * pair), FLOAT_SCRATCH);
            }
            return;
        }
        // r11 runs from minus the size up to zero.
        let bytes = 16 * pairs;
        self.asm.mov_ri(Size::S64, SCRATCH, -bytes as i64);
        let again = self.asm.new_label();
        self.asm.bind(again);
        let pair = Mem::indexed(Gpr::Rbp, SCRATCH, crate::asm::Scale::X1, (lowest + bytes) as i32);
        self.asm.movups_mr(pair, FLOAT_SCRATCH);
        self.asm.alu_ri(Alu::Add, Size::S64, SCRATCH, 16);
        self.asm.jcc(Cond::Ne, again);
    }
}

/// The prologue of a function whose body is finished.
pub(super) struct Prologue {
    pub frameless: bool,
    /// Where the check's distance to its stub stands, counted from the prologue's start.
    pub check: Option<u32>,
}

/// Leaving, and the prologue.
impl Compiler {
    /// Whether the prologue will compare rsp with the stack limit.
    pub(super) fn has_stack_check(&self) -> bool {
        self.frame.is_checked()
    }

    /// Whether the function is larger than any may be, so that it will be refused. Asked before
    /// everything whose size does not depend on the size of the body but on that of a type, which
    /// then emits nothing: a function whose two-byte operators move 1,000 values each must not become
    /// gigabytes of code before it is refused.
    pub(super) fn is_too_large(&mut self) -> bool {
        if self.asm.offset() > self.options.max_code {
            self.frame.excess = Some(Excess::Code);
        } else if self.types.len() > MAX_OPEN_TYPES {
            self.frame.excess = Some(Excess::Types);
        }
        self.frame.excess.is_some()
    }

    /// Refuses a function whose frame, or anything else, is larger than this engine allows.
    pub(super) fn check_size(&self) -> Result<(), LoadError> {
        match self.frame.excess {
            None => {}
            Some(Excess::Code) => {
                let bytes = self.asm.offset().max(self.options.max_code + 1);
                check_code(u64::from(bytes), self.options.max_code)?;
            }
            Some(Excess::Types) => {
                let what = "the number of the types of nested blocks";
                check_limit(what, MAX_OPEN_TYPES as u64 + 1, MAX_OPEN_TYPES as u64)?;
            }
        }
        let bytes = self.frame.bytes();
        if bytes > MAX_FRAME {
            let (actual, limit) = (u64::from(bytes), u64::from(MAX_FRAME));
            return Err(LoadError::Limit {
                what: "a function's stack frame in bytes",
                actual,
                limit,
            });
        }
        Ok(())
    }

    /// Gives everything back and returns.
    pub(super) fn emit_epilogue(&mut self) {
        if !self.frame.frameless() {
            // Never from rbp, though that is shorter: a callee's `pop rbp` would have to be done
            // before, and so one return would wait for the other (1.4 times as long for `fib`).
            let reserved = self.frame.reserved_bytes();
            if reserved > 0 {
                self.asm.alu_ri(Alu::Add, Size::S64, Gpr::Rsp, reserved as i32);
            }
            for register in [Gpr::R14, Gpr::R13, Gpr::R12, Gpr::Rbx] {
                if self.frame.saved.contains(register) {
                    self.asm.pop_r(register);
                }
            }
            self.asm.pop_r(Gpr::Rbp);
        }
        match self.signature.stack_bytes {
            0 => self.asm.ret(),
            bytes => self.asm.ret_imm16(bytes as u16),
        }
    }

    /// Emits the prologue, behind all other code; its place is in front.
    ///
    /// The callee-saved registers are pushed before the check: those few bytes are within the
    /// reserve that every stack limit leaves.
    pub(super) fn emit_prologue(&mut self) -> Prologue {
        if self.frame.frameless() {
            return Prologue { frameless: true, check: None };
        }
        let start = self.asm.offset();
        self.asm.push_r(Gpr::Rbp);
        self.asm.mov_rr(Size::S64, Gpr::Rbp, Gpr::Rsp);
        for register in self.frame.saved {
            self.asm.push_r(register);
        }
        let reserved = self.frame.reserved_bytes();
        match reserved {
            0 => {}
            // Three bytes shorter.
            8 => self.asm.push_r(Gpr::Rax),
            _ => self.asm.alu_ri(Alu::Sub, Size::S64, Gpr::Rsp, reserved as i32),
        }
        if !self.frame.is_checked() {
            return Prologue { frameless: false, check: None };
        }
        let lowest = if self.frame.outgoing_bytes > UNCHECKED_OUTGOING {
            let outgoing = -(self.frame.outgoing_bytes as i32);
            self.asm.lea(Size::S64, SCRATCH, Mem::base(Gpr::Rsp, outgoing));
            SCRATCH
        } else {
            Gpr::Rsp
        };
        self.asm.alu_rm(Alu::Cmp, Size::S64, lowest, Mem::base(VMCTX, STACK_LIMIT));
        // Never bound: the driver knows the distance.
        let overflow = self.asm.new_label();
        self.asm.jcc(Cond::B, overflow);
        Prologue { frameless: false, check: Some(self.asm.offset() - 4 - start) }
    }
}
