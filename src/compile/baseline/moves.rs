//! Parallel moves: many values to many registers at once, none overwriting one still wanted.
//!
//! Owns the order of such moves. Who goes where is decided by calls, returns and function entry.

use super::Compiler;
use super::registers::{Operand, size_of};
use crate::asm::{Gpr, Size, Xmm};
use crate::compile::abi::{FLOAT_SCRATCH, SCRATCH};
use crate::module::ValType;

/// Registers of both classes under one number: xmm registers follow the general ones.
const XMM: usize = 16;
const REGISTERS: usize = 32;

/// A set of moves that are to happen at the same time, each register written at most once.
#[derive(Debug)]
pub(super) struct Moves {
    /// For each destination in `pending`: what it gets.
    sources: [(ValType, Operand); REGISTERS],
    /// The destinations, a bit each.
    pending: u32,
}

impl Default for Moves {
    fn default() -> Moves {
        Moves { sources: [(ValType::I32, Operand::Const(0)); REGISTERS], pending: 0 }
    }
}

impl Moves {
    pub fn clear(&mut self) {
        self.pending = 0;
    }

    pub fn set_gpr(&mut self, dst: Gpr, ty: ValType, src: Operand) {
        self.add(usize::from(dst.index()), ty, src);
    }

    pub fn set_xmm(&mut self, dst: Xmm, ty: ValType, src: Operand) {
        self.add(XMM + usize::from(dst.index()), ty, src);
    }

    fn add(&mut self, dst: usize, ty: ValType, src: Operand) {
        debug_assert!(self.pending & 1 << dst == 0, "two values for one register");
        self.sources[dst] = (ty, src);
        self.pending |= 1 << dst;
    }
}

/// The number of the register that an operand is in.
fn register(operand: Operand) -> Option<usize> {
    match operand {
        Operand::Gpr(register) => Some(usize::from(register.index())),
        Operand::Xmm(register) => Some(XMM + usize::from(register.index())),
        _ => None,
    }
}

impl Compiler {
    /// Emits the moves that have been gathered. Clobbers the flags and the scratch registers.
    pub(super) fn emit_moves(&mut self) {
        // Of the moves between registers, one can be emitted once nobody reads its destination.
        let mut waiting = 0u32;
        let mut readers = [0u8; REGISTERS];
        for dst in bits(self.moves.pending) {
            match register(self.moves.sources[dst].1) {
                Some(src) if src == dst => self.moves.pending &= !(1 << dst),
                Some(src) => {
                    waiting |= 1 << dst;
                    readers[src] += 1;
                }
                None => {}
            }
        }
        let mut ready =
            bits(waiting).filter(|dst| readers[*dst] == 0).fold(0, |s, dst| s | 1 << dst);
        while waiting != 0 {
            while let Some(dst) = bits(ready).next() {
                ready &= !(1 << dst);
                waiting &= !(1 << dst);
                self.move_to(dst);
                if let Some(src) = register(self.moves.sources[dst].1) {
                    readers[src] -= 1;
                    if readers[src] == 0 && waiting & 1 << src != 0 {
                        ready |= 1 << src;
                    }
                }
            }
            // What waits now are cycles. Saving one register opens its cycle: the only one who
            // reads it reads the copy instead.
            if let Some(saved) = bits(waiting).next() {
                let copy = self.copy_to_scratch(saved);
                let reader =
                    bits(waiting).find(|dst| register(self.moves.sources[*dst].1) == Some(saved));
                debug_assert!(reader.is_some(), "a cycle goes round");
                if let (Some(reader), Some(scratch)) = (reader, register(copy)) {
                    self.moves.sources[reader].1 = copy;
                    readers[scratch] += 1;
                }
                readers[saved] = 0;
                ready |= 1 << saved;
            }
        }
        // Constants and slots depend on no register that a move could have overwritten.
        for dst in bits(self.moves.pending) {
            if register(self.moves.sources[dst].1).is_none() {
                self.move_to(dst);
            }
        }
        self.moves.pending = 0;
    }

    fn move_to(&mut self, dst: usize) {
        let (ty, src) = self.moves.sources[dst];
        if dst < XMM {
            self.load_gpr(size_of(ty), Gpr::from_index(dst as u8), src);
        } else {
            self.load_xmm(ty, Xmm::from_index((dst - XMM) as u8), src);
        }
    }

    fn copy_to_scratch(&mut self, register: usize) -> Operand {
        if register < XMM {
            self.asm.mov_rr(Size::S64, SCRATCH, Gpr::from_index(register as u8));
            Operand::Gpr(SCRATCH)
        } else {
            self.asm.movaps_rr(FLOAT_SCRATCH, Xmm::from_index((register - XMM) as u8));
            Operand::Xmm(FLOAT_SCRATCH)
        }
    }
}

/// The numbers of the bits that are set, lowest first.
fn bits(mut set: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = set.trailing_zeros();
        (set != 0).then(|| {
            set &= set - 1;
            bit as usize
        })
    })
}
