//! The value stack: for every operand of the wasm stack, where its value is right now.
//!
//! Owns the descriptors and the order among them. Emits nothing and allocates no register: that
//! is `registers.rs`, the only other file that touches the entries.
//!
//! # Rules
//!
//! 1. An entry says where the value *is*; pushing a constant or a local emits nothing.
//! 2. Each height has one **canonical slot** in the frame, used by the entry there and nobody else.
//!    So any entry can be spilled at any time, without asking what else is in the frame.
//! 3. A temporary register backs exactly one entry.
//! 4. An entry may stand for a local: it is wherever the local's home is, and means the local's
//!    *current* content. Before a local is written, the entries that stand for it are copied. The locals
//!    of a function in the place of a call are such, too, until it ends (`inline.rs`).
//! 5. [`Operand::Flags`] and [`Operand::Memory`] are only ever on top, and only if the very next
//!    operator takes them.
//! 6. Entries below the *settled* mark are constants or spilled. Everything else is in the
//!    **window** above it, which never holds more than [`WINDOW`] entries: whoever must search the
//!    stack searches the window, and so every operator takes constant time.
//! 7. Of an i32 only the lower half counts, wherever it is. What is above it is known to be zero
//!    if it is in a register that `registers.rs` lists as zero-extended, and never taken to be
//!    otherwise: `i32.wrap_i64` emits nothing, and callers and callees leave there what they like.
//! 8. What lies below an open block is settled, so a branch has nothing to do for it.

use crate::asm::{Cond, Gpr, Xmm};
use crate::module::ValType;

/// Where an operand is, on the stack or off it.
///
/// Whatever it is, it is one word and a tag, which rustc passes in two registers, as it does not if
/// the variants differ in width. The home of a local is an operand as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    /// Known: these bits, zero-extended. A vector's are among the function's constants, and this is
    /// the number there: 0 is zero.
    Const(u64),
    /// A temporary, or the home of a local.
    Gpr(Gpr),
    Xmm(Xmm),
    /// In the frame, so many bytes from rbp: the canonical slot of the operand's height, or the home
    /// of a local.
    Slot(isize),
    /// An i32: 1 if the condition holds on the flags, else 0.
    Flags(Cond),
    /// In a linear memory, still to be loaded: whoever reads it asks just before, by
    /// [`fused_load`](super::Compiler::fused_load), where it is, and reads all of it.
    Memory,
}

/// One operand on the stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub ty: ValType,
    /// The local that it stands for, or [`NO_LOCAL`].
    local: u32,
    pub operand: Operand,
}

/// No function has so many locals.
const NO_LOCAL: u32 = u32::MAX;
/// Nor so many. From here on stand registers that are the homes of a small function's locals: see
/// `inline.rs`.
pub(super) const PINNED: u32 = 1 << 31;

impl Entry {
    /// What stands for this local, whose home this is.
    #[inline]
    pub fn of_local(ty: ValType, local: u32, home: Operand) -> Entry {
        Entry { ty, local, operand: home }
    }

    /// A constant.
    pub fn constant(ty: ValType, bits: u64) -> Entry {
        Entry { ty, local: NO_LOCAL, operand: Operand::Const(bits) }
    }

    /// Whether this is in a register of its own.
    #[inline]
    pub fn is_temporary(&self) -> bool {
        self.local == NO_LOCAL && matches!(self.operand, Operand::Gpr(_) | Operand::Xmm(_))
    }

    /// Whether this is in its canonical slot.
    #[inline]
    pub fn is_spilled(&self) -> bool {
        self.local == NO_LOCAL && matches!(self.operand, Operand::Slot(_))
    }

    /// The local that this stands for.
    #[inline]
    pub fn local(&self) -> Option<u32> {
        (self.local != NO_LOCAL).then_some(self.local)
    }
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

    /// Pushes what stands for no local.
    #[inline]
    pub fn push(&mut self, ty: ValType, operand: Operand) {
        self.entries.push(Entry { ty, local: NO_LOCAL, operand });
    }

    /// Pushes what stands for a local, or what has been popped.
    // Where there is room nothing is called before it is copied, so that it is copied once.
    #[inline(always)]
    pub fn push_entry(&mut self, entry: &Entry) {
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve(1);
            return self.entries.push(*entry);
        }
        self.entries.push(*entry);
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

    /// Moves the entry at this height: if it stood for a local, it does no longer.
    #[inline]
    pub fn set(&mut self, height: usize, operand: Operand) {
        let entry = &mut self.entries[height];
        entry.local = NO_LOCAL;
        entry.operand = operand;
    }

    /// The local that the entry at this height stands for has moved.
    #[inline]
    pub fn move_local(&mut self, height: usize, home: Operand) {
        self.entries[height].operand = home;
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

    /// The lowest entry of the window that meets the condition.
    #[inline]
    pub fn find(&self, condition: impl Fn(&Entry) -> bool) -> Option<usize> {
        let window = &self.entries[self.settled..];
        window.iter().position(condition).map(|at| at + self.settled)
    }

    /// The lowest entry of the window that stands for this local.
    #[inline]
    pub fn find_local(&self, local: u32) -> Option<usize> {
        self.find(|entry| entry.local == local)
    }
}
