//! Damage to modules, seeded: bits and bytes, cuts, pieces of other modules, sections and operators
//! that stand where others stood.
//!
//! Random damage mostly ends in the decoder. So most of what is done here keeps the sizes of sections
//! and bodies true, or puts an operator in the place of one of the same type, and comes as far as the
//! validator and the compilers.

use std::ops::Range;

use wasmparser::{Parser, Payload};

use crate::common::Random;
use crate::common::binary::unsigned;

/// Operators of one byte and of one type: each may stand for another of its row.
const SAME_TYPE: &[(u8, u8)] = &[
    (0x2c, 0x2f), // i32.load8_s to i32.load16_u
    (0x30, 0x35), // i64.load8_s to i64.load32_u
    (0x3a, 0x3b), // i32.store8, i32.store16
    (0x3c, 0x3e), // i64.store8 to i64.store32
    (0x46, 0x4f), // comparisons of i32
    (0x51, 0x5a), // of i64
    (0x5b, 0x60), // of f32
    (0x61, 0x66), // of f64
    (0x67, 0x69), // i32.clz to i32.popcnt
    (0x6a, 0x78), // i32.add to i32.rotr
    (0x79, 0x7b), // i64.clz to i64.popcnt
    (0x7c, 0x8a), // i64.add to i64.rotr
    (0x8b, 0x91), // f32.abs to f32.sqrt
    (0x92, 0x98), // f32.add to f32.copysign
    (0x99, 0x9f), // f64.abs to f64.sqrt
    (0xa0, 0xa6), // f64.add to f64.copysign
    (0x20, 0x22), // local.get, local.set, local.tee
    (0x0c, 0x0d), // br, br_if
    (0x02, 0x03), // block, loop
];

/// Bytes with a meaning in many places: counts, ends of numbers, types, `end`, `else`.
const TELLING: &[u8] = &[
    0, 1, 2, 0x7f, 0x80, 0xff, 0x0b, 0x05, 0x40, 0x7e, 0x7d, 0x7c, 0x7b, 0x70, 0x6f, 0x41, 0x10,
    0x11, 0x20, 0xfc, 0xfd,
];

/// Whether it begins like a module in the binary format.
pub fn is_binary(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0asm")
}

/// One or two pieces of damage to a module, some of it with parts of another.
pub fn mutate(random: &mut Random, module: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = module.to_vec();
    for _ in 0..1 + random.below(6) / 3 {
        // What has no header any more is text to the loader.
        if bytes.len() < 9 || !is_binary(&bytes) {
            break;
        }
        match random.below(14) {
            0..=5 => swap_operators(random, &mut bytes),
            6 => flip_bits(random, &mut bytes),
            7 => replace_bytes(random, &mut bytes),
            8 => splice(random, &mut bytes, other),
            9 => truncate(random, &mut bytes),
            10 => sections(random, &mut bytes, other),
            11 => bodies(random, &mut bytes, other),
            12 => edit_body(random, &mut bytes),
            _ => immediates(random, &mut bytes),
        }
    }
    bytes
}

/// A place behind the header.
fn place(random: &mut Random, bytes: &[u8]) -> usize {
    8 + random.below(bytes.len() - 8)
}

fn flip_bits(random: &mut Random, bytes: &mut [u8]) {
    for _ in 0..1 + random.below(3) {
        let at = place(random, bytes);
        bytes[at] ^= 1 << random.below(8);
    }
}

fn replace_bytes(random: &mut Random, bytes: &mut Vec<u8>) {
    let at = place(random, bytes);
    match random.below(4) {
        0 => bytes[at] = random.bits() as u8,
        1 => bytes[at] = *random.pick(TELLING),
        2 => bytes.insert(at, *random.pick(TELLING)),
        _ => _ = bytes.remove(at),
    }
}

/// Some bytes of another module instead of, or between, those of this one.
fn splice(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    // The suite has a module of no bytes.
    if other.is_empty() {
        return;
    }
    let from = random.below(other.len());
    let len = random.below(64).min(other.len() - from);
    let at = place(random, bytes);
    let replaced = if random.one_in(2) { len.min(bytes.len() - at) } else { 0 };
    bytes.splice(at..at + replaced, other[from..from + len].iter().copied());
}

fn truncate(random: &mut Random, bytes: &mut Vec<u8>) {
    let end = place(random, bytes);
    bytes.truncate(end);
}

/// A section: its number, and where it and its content are.
struct Section {
    id: u8,
    whole: Range<usize>,
    content: Range<usize>,
}

/// The sections, as far as they can be told.
fn sections_of(bytes: &[u8]) -> Vec<Section> {
    let (mut found, mut at) = (Vec::new(), 8);
    while let Some(id) = bytes.get(at) {
        let Some((size, start)) = read_unsigned(bytes, at + 1) else { break };
        let Some(end) = start.checked_add(size).filter(|end| *end <= bytes.len()) else { break };
        found.push(Section { id: *id, whole: at..end, content: start..end });
        at = end;
    }
    found
}

/// A number in LEB128 of at most five bytes, and where it ends.
fn read_unsigned(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut value = 0;
    for (i, byte) in bytes.get(at..)?.iter().take(5).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((value, at + i + 1));
        }
    }
    None
}

/// Leaves a section out, has it twice, or takes another module's of the same kind.
fn sections(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    let own = sections_of(bytes);
    if own.is_empty() {
        return;
    }
    let Section { id, whole, .. } = random.pick(&own);
    let replacement = match random.below(3) {
        0 => Vec::new(),
        1 => [&bytes[whole.clone()], &bytes[whole.clone()]].concat(),
        _ => {
            let others = sections_of(other);
            let Some(same) = others.iter().find(|section| section.id == *id) else { return };
            other[same.whole.clone()].to_vec()
        }
    };
    bytes.splice(whole.clone(), replacement);
}

/// Where the function bodies are, without their sizes.
pub fn bodies_of(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let Some(code) = sections_of(bytes).into_iter().find(|section| section.id == 10) else {
        return found;
    };
    let Some((_, mut at)) = read_unsigned(bytes, code.content.start) else { return found };
    while at < code.content.end {
        let Some((size, start)) = read_unsigned(bytes, at) else { break };
        let Some(end) = start.checked_add(size).filter(|end| *end <= code.content.end) else {
            break;
        };
        found.push(start..end);
        at = end;
    }
    found
}

/// The module with other bodies in the place of some: `body` gives one, or `None` for what is there.
pub fn with_bodies(bytes: &[u8], mut body: impl FnMut(usize) -> Option<Vec<u8>>) -> Vec<u8> {
    let bodies = bodies_of(bytes);
    let Some(code) = sections_of(bytes).into_iter().find(|section| section.id == 10) else {
        return bytes.to_vec();
    };
    let mut content = unsigned(bodies.len() as u64);
    for (i, range) in bodies.into_iter().enumerate() {
        let new = body(i);
        let bytes = new.as_deref().unwrap_or(&bytes[range]);
        content.extend(unsigned(bytes.len() as u64));
        content.extend(bytes);
    }
    let (before, after) = (&bytes[..code.whole.start], &bytes[code.whole.end..]);
    [before, &[10], &unsigned(content.len() as u64), &content, after].concat()
}

/// Gives a function the body of another, of this module or of another module.
fn bodies(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    let from = if random.one_in(2) { bytes.as_slice() } else { other };
    let (own, others) = (bodies_of(bytes), bodies_of(from));
    if own.is_empty() || others.is_empty() {
        return;
    }
    let (target, source) = (random.below(own.len()), random.pick(&others).clone());
    let body = from[source].to_vec();
    *bytes = with_bodies(bytes, |i| (i == target).then(|| body.clone()));
}

/// Adds, removes or replaces bytes of a body, and makes the sizes true again.
fn edit_body(random: &mut Random, bytes: &mut Vec<u8>) {
    let own = bodies_of(bytes);
    if own.is_empty() {
        return;
    }
    let target = random.below(own.len());
    let mut body = bytes[own[target].clone()].to_vec();
    for _ in 0..1 + random.below(3) {
        if body.is_empty() {
            break;
        }
        let at = random.below(body.len());
        match random.below(5) {
            // What takes nothing and leaves nothing: `nop`, a block, a branch that is not taken,
            // an unused constant.
            0 => _ = body.splice(at..at, *random.pick(&[[1, 1, 1, 1], [2, 0x40, 1, 0x0b]])),
            1 => {
                _ = body.splice(at..at, *random.pick(&[[0x41, 0, 0x0d, 0], [0x41, 0x7f, 0x1a, 1]]))
            }
            2 => _ = body.splice(at..at, [0]),
            3 => _ = body.remove(at),
            _ => {
                let end = (at + random.below(16)).min(body.len());
                let again = body[at..end].to_vec();
                body.splice(at..at, again);
            }
        }
    }
    *bytes = with_bodies(bytes, |i| (i == target).then(|| body.clone()));
}

/// Where the operators of each body begin; up to the first that is none.
fn operators_of(bytes: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        let Ok(payload) = payload else { break };
        let Payload::CodeSectionEntry(body) = payload else { continue };
        let Ok(mut reader) = body.get_operators_reader() else { continue };
        while !reader.eof() {
            found.push(reader.original_position() as usize);
            if reader.read().is_err() {
                break;
            }
        }
    }
    found
}

/// Puts operators in the place of others of the same type.
fn swap_operators(random: &mut Random, bytes: &mut [u8]) {
    let operators = operators_of(bytes);
    if operators.is_empty() {
        return;
    }
    for _ in 0..1 + random.below(8) {
        let at = *random.pick(&operators);
        let Some(byte) = bytes.get_mut(at) else { continue };
        let row = SAME_TYPE.iter().find(|(first, last)| (first..=last).contains(&&*byte));
        if let Some((first, last)) = row {
            *byte = first + random.below(usize::from(last - first) + 1) as u8;
        } else if *byte == 0xfd {
            // Vector operators: many have a neighbour of their type.
            if let Some(number) = bytes.get_mut(at + 1) {
                *number = (*number & 0x80) | (number.wrapping_add(random.below(9) as u8) & 0x7f);
            }
        }
    }
}

/// Changes the byte behind an operator: an index, a depth, a constant.
fn immediates(random: &mut Random, bytes: &mut [u8]) {
    let operators = operators_of(bytes);
    if operators.is_empty() {
        return;
    }
    for _ in 0..1 + random.below(4) {
        let at = *random.pick(&operators) + 1;
        if let Some(byte) = bytes.get_mut(at) {
            *byte = match random.below(3) {
                0 => *random.pick(TELLING),
                1 => byte.wrapping_add(1),
                // Stays a number of as many bytes.
                _ => (*byte & 0x80) | (random.bits() as u8 & 0x7f),
            };
        }
    }
}
