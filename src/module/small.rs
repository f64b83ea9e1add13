//! Functions so small that a compiler may put them in the place of a call.
//!
//! Owns the rule which those are: a few operators one after the other, each of which computes, reads or
//! writes, and may trap, but makes no call, be it of the runtime, and no branch. Refuses everything else,
//! validity included: an invalid function is simply none of these.

use std::sync::OnceLock;

use wasmparser::BinaryReader;

use super::load::reader;
use super::{Bodies, Facts, ValType, Validation};

/// The most locals, parameters included.
const MAX_LOCALS: usize = 8;

/// A function that can be put in the place of a call.
pub(crate) struct SmallFunction {
    /// The function's index, imports counted.
    pub function: u32,
    /// Its operators, but for the last, the function's `end`.
    operators: Box<[u8]>,
    /// Where they stand in the module.
    pub offset: u64,
    /// The types of the locals, parameters first.
    pub locals: Vec<ValType>,
    /// Whether it writes any of them.
    #[cfg_attr(not(feature = "baseline"), expect(dead_code))]
    pub writes_locals: bool,
    /// Whether it has anything to do with vectors.
    #[cfg_attr(not(feature = "baseline"), expect(dead_code))]
    pub has_vectors: bool,
    /// What a call takes of the fuel, where there is fuel.
    pub units: u32,
}

impl SmallFunction {
    /// The most bytes that a body may have, its locals included.
    pub const MAX_LEN: usize = 32;

    /// The operators up to the function's `end`. Offsets are those of the module.
    pub fn operators(&self) -> BinaryReader<'_> {
        reader(&self.operators, self.offset)
    }

    /// Their size in bytes, less than [`SmallFunction::MAX_LEN`].
    pub fn len(&self) -> u32 {
        self.operators.len() as u32
    }

    /// Whether a function of `own_bytes` may take this one in that has taken in `bytes` already: no more than
    /// it has itself, since calls take two bytes, and compilation shall stay linear.
    pub fn is_admitted(&self, bytes: u32, own_bytes: usize) -> bool {
        /// So many bytes are always taken in.
        const ALWAYS: usize = 256;
        (bytes + self.len()) as usize <= own_bytes.max(ALWAYS)
    }
}

/// The small functions of a module. Which they are is found out when they are called: until then only
/// short bodies are noted.
#[derive(Default)]
pub(crate) struct SmallFunctions<'a> {
    /// The module's; `None` if none of them is short.
    bodies: Option<&'a Bodies<'a>>,
    /// By function index.
    short: Vec<OnceLock<Option<Box<SmallFunction>>>>,
    /// Of each 64 functions, which are there, and how many come before them.
    words: Vec<(u64, u32)>,
    has_fuel: bool,
}

impl<'a> SmallFunctions<'a> {
    /// Those among the bodies, but for one whose function will have other code. They will be validated for
    /// it, and once more in their turn. What they cost is asked for where there is fuel.
    pub fn among(bodies: &'a Bodies<'a>, other: Option<u32>, has_fuel: bool) -> SmallFunctions<'a> {
        let mut small = SmallFunctions { has_fuel, ..SmallFunctions::default() };
        // A function that calls nobody but itself has no end.
        let functions = bodies.functions();
        if functions.len() < 2 {
            return small;
        }
        for function in functions.clone() {
            if bodies.len(function) > SmallFunction::MAX_LEN || Some(function) == other {
                continue;
            }
            if small.short.is_empty() {
                small.bodies = Some(bodies);
                small.words.resize(functions.end as usize / 64 + 1, (0, 0));
            }
            let (bits, before) = &mut small.words[function as usize / 64];
            if *bits == 0 {
                *before = small.short.len() as u32;
            }
            *bits |= 1 << (function % 64);
            small.short.push(OnceLock::new());
        }
        small
    }

    /// Whether this function's body is short.
    #[inline]
    pub fn is_short(&self, function: u32) -> bool {
        let word = self.words.get(function as usize / 64);
        word.is_some_and(|(bits, _)| bits >> (function % 64) & 1 != 0)
    }

    /// What can be put in the place of a call of this function. `scratch` is used to find out.
    pub fn get(&self, function: u32, scratch: &mut Validation) -> Option<&SmallFunction> {
        if !self.is_short(function) {
            return None;
        }
        let (bits, before) = self.words[function as usize / 64];
        let lower = bits & ((1 << (function % 64)) - 1);
        let short = &self.short[before as usize + lower.count_ones() as usize];
        let examine = || self.examine(function, scratch).map(Box::new);
        short.get_or_init(examine).as_deref()
    }

    fn examine(&self, function: u32, scratch: &mut Validation) -> Option<SmallFunction> {
        let body = self.bodies?.validate(function, scratch).ok()?;
        let Facts { makes_calls, calls_runtime, branches, .. } = scratch.facts;
        if makes_calls || calls_runtime || branches || scratch.facts.locals.len() > MAX_LOCALS {
            return None;
        }
        if self.has_fuel {
            scratch.plan_fuel(&body);
        }
        let mut reader = body.reader();
        let offset = reader.original_position();
        let operators = reader.read_bytes(body.len() - 1).ok()?.into();
        let Facts { locals, charges, writes_locals, has_vectors, .. } = &scratch.facts;
        Some(SmallFunction {
            function,
            operators,
            offset,
            locals: locals.clone(),
            writes_locals: *writes_locals,
            has_vectors: *has_vectors,
            // All of it is one stretch.
            units: charges.iter().map(|charge| charge.units).sum(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::{Limits, load_whole};

    /// The small functions of a module in the text format.
    fn small(text: &str) -> Vec<u32> {
        let binary = wat::parse_str(text).expect("a module");
        let (_, bodies) = load_whole(&binary, &Limits::default()).expect("a module");
        let small = SmallFunctions::among(&bodies, None, false);
        let mut scratch = Validation::default();
        bodies.functions().filter(|function| small.get(*function, &mut scratch).is_some()).collect()
    }

    #[test]
    fn what_goes_straight_on_is_small() {
        let text = r#"(module
            (import "m" "f" (func))
            (memory 1) (global $g (mut i32) (i32.const 0)) (table 1 funcref)
            (func (param i32) (result i32) (i32.add (local.get 0) (i32.const 4)))
            (func (param i64) (result i64) (local i64)
                (local.set 1 (i64.const 0x123456789)) (i64.xor (local.get 0) (local.get 1)))
            (func (result f64) (f64.sqrt (f64.const 2)))
            (func)
            (func (param i32) (result i32) (i32.div_u (local.get 0) (i32.const 4)))
            (func (param f32) (result i32) (i32.trunc_f32_s (local.get 0)))
            (func (param i32) (result i32) (i32.load (local.get 0)))
            (func (param i32) (v128.store (local.get 0) (i32x4.splat (i32.trunc_sat_f32_u (f32.const 2)))))
            (func (result i32) (global.set $g (memory.size)) (global.get $g))
            (func (result funcref) (table.get (table.size)))
            (func (param i32) (result i32) (return (local.get 0)))
            (func (result i32) (block (result i32) (i32.const 1)))
            (func (param i32) (br_if 0 (local.get 0)))
            (func (param i32) (br_table 0 0 (local.get 0)))
            (func (br 0))
            (func loop end)
            (func (if (i32.const 1) (then)))
            (func (call 0))
            (func (call_indirect (i32.const 0)))
            (func unreachable)
            (func (result i32) (memory.grow (i32.const 1)))
            (func (memory.fill (i32.const 1) (i32.const 1) (i32.const 1)))
            (func (result i64) (i64.add (i64.add (i64.const 0x123456789abcdef) (i64.const 0x123456789abcdef))
                (i64.add (i64.const 0x123456789abcdef) (i64.const 0x123456789abcdef)))))"#;
        assert_eq!(small(text), (1..=10).collect::<Vec<_>>());
    }
}
