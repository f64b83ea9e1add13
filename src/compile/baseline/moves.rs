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
    /// Those of them that get what is in another register.
    from_registers: u32,
    /// The registers that are read for them.
    read: u32,
}

impl Default for Moves {
    fn default() -> Moves {
        Moves {
            sources: [(ValType::I32, Operand::Const(0)); REGISTERS],
            pending: 0,
            from_registers: 0,
            read: 0,
        }
    }
}

impl Moves {
    pub fn clear(&mut self) {
        self.pending = 0;
        self.from_registers = 0;
        self.read = 0;
    }

    #[inline]
    pub fn set_gpr(&mut self, dst: Gpr, ty: ValType, src: Operand) {
        self.add(usize::from(dst.index()), ty, src);
    }

    #[inline]
    pub fn set_xmm(&mut self, dst: Xmm, ty: ValType, src: Operand) {
        self.add(XMM + usize::from(dst.index()), ty, src);
    }

    #[inline]
    fn add(&mut self, dst: usize, ty: ValType, src: Operand) {
        debug_assert!(self.pending & 1 << dst == 0, "two values for one register");
        match register(src) {
            // It is there already.
            Some(src) if src == dst => return,
            Some(src) => {
                self.from_registers |= 1 << dst;
                self.read |= 1 << src;
            }
            None => {}
        }
        self.sources[dst] = (ty, src);
        self.pending |= 1 << dst;
    }
}

/// The number of the register that an operand is in.
#[inline]
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
        let Moves { pending, from_registers, read, .. } = self.moves;
        if read & from_registers == 0 {
            for dst in bits(from_registers) {
                self.move_to(dst);
            }
        } else {
            self.emit_entangled_moves();
        }
        // Constants and slots depend on no register that a move could have overwritten.
        for dst in bits(pending & !from_registers) {
            self.move_to(dst);
        }
        self.moves.clear();
    }

    /// Emits the moves between registers of which one writes what another reads: it can be emitted
    /// once nobody reads its destination.
    fn emit_entangled_moves(&mut self) {
        let mut waiting = self.moves.from_registers;
        let mut readers = [0u8; REGISTERS];
        for dst in bits(waiting) {
            if let Some(src) = register(self.moves.sources[dst].1) {
                readers[src] += 1;
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
