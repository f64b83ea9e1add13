//! Tests of the assembler, judged by an independent disassembler.
//!
//! `golden` pins the exact bytes and the reading of every instruction form,
//! `sweeps` runs registers, addresses and immediates through all of them for
//! `round_trip` to judge, and `labels` covers labels, fixups, the buffer and the
//! plain data types.

mod golden;
mod labels;
mod round_trip;
mod sweeps;
mod vector;

use super::*;
use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, NasmFormatter};

/// The bytes `emit` appends to an empty assembler.
fn assemble(emit: impl FnOnce(&mut Assembler)) -> Vec<u8> {
    let mut asm = Assembler::new();
    emit(&mut asm);
    asm.buf.bytes().to_vec()
}

/// The instruction that `bytes` hold, which must be exactly one. Nothing in Miri, which is asked about the
/// assembler and not about the disassembler: that would keep it busy for hours.
fn decode(bytes: &[u8]) -> Option<Instruction> {
    if cfg!(miri) {
        return None;
    }
    let mut decoder = Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE);
    let instruction = decoder.decode();
    assert!(!instruction.is_invalid(), "invalid instruction {}", hex(bytes));
    assert_eq!(instruction.len(), bytes.len(), "length of {}", hex(bytes));
    Some(instruction)
}

/// What `bytes` say in NASM's notation, instructions separated by `; `.
fn disassemble(bytes: &[u8]) -> String {
    let mut formatter = NasmFormatter::new();
    let mut text = String::new();
    for instruction in &mut Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE) {
        if !text.is_empty() {
            text.push_str("; ");
        }
        formatter.format(&instruction, &mut text);
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ")
}

/// How often to do something that is done `times` times: less often in Miri, which is thousands of times
/// slower and looks for something else.
const fn times(times: usize) -> usize {
    if cfg!(miri) { times.div_ceil(20) } else { times }
}

/// All of these, or in Miri some.
fn some_of<T>(all: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
    all.into_iter().step_by(if cfg!(miri) { 7 } else { 1 })
}

/// A reproducible stream of numbers, by xorshift.
struct Random(u64);

impl Random {
    const fn new() -> Self {
        Self(0x1234_5678_9ABC_DEF0)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 16) as usize % bound
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}
