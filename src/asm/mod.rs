//! An x86-64 assembler: method calls in, machine code bytes out.
//!
//! This module owns instruction encoding, the code buffer, and labels with
//! their fixups. It refuses to know anything about who calls it: there is no
//! register allocation, no instruction selection, no executable memory and no
//! relocation against symbols outside the buffer here.
//!
//! Method names say their operand shape after the mnemonic: `r` is a general
//! register, `x` an SSE register, `m` memory and `i` an immediate, destination
//! first. SSE methods whose operands are both SSE registers use `rr` and those
//! that load from memory use `rm`, like their integer counterparts.

mod assembler;
mod bits;
mod buffer;
mod cond;
mod encode;
mod int;
mod labels;
mod mem;
mod reg;
mod sse;
pub mod vector;

#[cfg(test)]
mod tests;

pub use assembler::Assembler;
pub use bits::Shift;
pub use buffer::CodeBuffer;
pub use cond::Cond;
pub use int::Alu;
pub use labels::Label;
pub use mem::{Mem, Scale};
pub use reg::{Gpr, GprSet, Size, Xmm, XmmSet};
pub use sse::{FloatSize, Rounding};
pub use vector::{VectorOp, VectorRm, VectorShift};
