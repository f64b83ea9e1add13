//! The value stack: for every operand of the wasm stack, where its value is right now.
//!
//! Owns the descriptors and the order among them. Emits nothing and allocates no register: that
//! is `registers.rs`, the only other file that touches the entries.
//!
//! # Rules
//!
//! 1. An entry says where the value *is*; pushing a constant or a local emits nothing.
//! 2. Each height has one **canonical slot** in the frame, used by [`Value::Spilled`] and nobody
//!    else. So any entry can be spilled at any time, without asking what else is in the frame.
//! 3. A temporary register backs exactly one entry.
//! 4. [`Value::Local`] stands for the local's *current* content: before a local is written, the
//!    entries that stand for it are copied.
//! 5. [`Value::Flags`] and [`Value::Memory`] are only ever on top, and only if the very next operator takes them.
//! 6. Entries below the *settled* mark are constants or spilled. Everything else is in the
//!    **window** above it, which never holds more than [`WINDOW`] entries: whoever must search the
//!    stack searches the window, and so every operator takes constant time.
//! 7. Of an i32 only the lower half counts, wherever it is. What is above it is known to be zero
//!    if it is in a register that `registers.rs` lists as zero-extended, and never taken to be
//!    otherwise: `i32.wrap_i64` emits nothing, and callers and callees leave there what they like.
//! 8. What lies below an open block is settled, so a branch has nothing to do for it.

use crate::asm::{Cond, Gpr, Xmm};
use crate::module::ValType;

/// Where an operand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Known: these bits, zero-extended. A vector's are among the function's constants, and this is
    /// the number there: 0 is zero.
    Const(u64),
    /// Whatever this local holds.
    Local(u32),
    Gpr(Gpr),
    Xmm(Xmm),
    /// In the canonical slot of its height.
    Spilled,
    /// An i32: 1 if the condition holds on the flags, else 0.
    Flags(Cond),
    /// In a linear memory, still to be loaded: see `memory.rs`, which knows from where.
    Memory,
}

/// One operand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub ty: ValType,
    pub value: Value,
}

/// The most entries that may be unsettled.
pub(super) const WINDOW: usize = 32;

/// The operands of the function that is being compiled, bottom first.
#[derive(Debug, Default)]
pub(super) struct ValueStack {
    entries: Vec<Entry>,
    settled: usize,
}

impl ValueStack {
    pub fn clear(&mut self) {
        self.entries.clear();
        self.settled = 0;
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[inline]
    pub fn push(&mut self, ty: ValType, value: Value) {
        self.entries.push(Entry { ty, value });
    }

    /// Takes the top off. Validation has seen that there is one.
    #[inline]
    pub fn pop(&mut self) -> Entry {
        let entry = self.entries.pop().expect("an operand");
        self.settled = self.settled.min(self.entries.len());
        entry
    }

    #[inline]
    pub fn truncate(&mut self, len: usize) {
        self.entries.truncate(len);
        self.settled = self.settled.min(len);
    }

    #[inline]
    pub fn top(&mut self) -> &mut Entry {
        self.entries.last_mut().expect("an operand")
    }

    #[inline]
    pub fn get(&self, height: usize) -> Entry {
        self.entries[height]
    }

    #[inline]
    pub fn set(&mut self, height: usize, value: Value) {
        self.entries[height].value = value;
    }

    /// The height of the lowest entry that is not settled.
    #[inline]
    pub fn settled(&self) -> usize {
        self.settled
    }

    /// Moves the mark up: the entries below it are constants or spilled now.
    #[inline]
    pub fn set_settled(&mut self, height: usize) {
        debug_assert!(height >= self.settled && height <= self.entries.len());
        self.settled = height;
    }

    /// The entry of the window whose value this is.
    #[inline]
    pub fn find(&self, value: Value) -> Option<usize> {
        let window = &self.entries[self.settled..];
        window.iter().position(|entry| entry.value == value).map(|at| at + self.settled)
    }

    /// The lowest entry of the window whose value meets the condition.
    #[inline]
    pub fn find_where(&self, condition: impl Fn(Value) -> bool) -> Option<usize> {
        let window = &self.entries[self.settled..];
        window.iter().position(|entry| condition(entry.value)).map(|at| at + self.settled)
    }
}
