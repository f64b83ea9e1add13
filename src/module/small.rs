//! Functions so small that a compiler may put them in the place of a call.
//!
//! Owns the rule which those are: a few operators one after the other, each of which only computes.
//! Such a function cannot trap, branch, call, or reach anything but its parameters, so that nobody can
//! tell whether it was called. Refuses everything else, validity included: an invalid function is
//! simply none of these.

use super::{Body, Facts, SmallFunction, SmallFunctions, ValidBody, Validation};

/// The most bytes that a body may have, its locals included.
const MAX_LEN: usize = 32;
/// The most locals, parameters included.
const MAX_LOCALS: usize = 8;

/// Those among the bodies, but for one whose function will have other code. They are validated for it,
/// and will be once more in their turn. What they cost is asked for where there is fuel.
pub(crate) fn small_functions<'a>(
    bodies: &[Body<'a>],
    other: Option<u32>,
    has_fuel: bool,
) -> SmallFunctions<'a> {
    let mut validation = Validation::default();
    let is_short = |body: &&Body<'a>| body.len() <= MAX_LEN && Some(body.function) != other;
    let small = bodies.iter().filter(is_short).filter_map(|body| {
        let body = body.again().validate(&mut validation).ok()?;
        if validation.facts.locals.len() > MAX_LOCALS || !only_computes(&body) {
            return None;
        }
        if has_fuel {
            validation.plan_fuel(&body);
        }
        let Facts { locals, charges, .. } = &mut validation.facts;
        // All of it is one stretch.
        let units = charges.drain(..).map(|charge| charge.units).sum();
        Some((body.function, SmallFunction { body, locals: locals.clone(), units }))
    });
    small.collect()
}

/// Whether each operator but the last, the function's `end`, only computes.
fn only_computes(body: &ValidBody<'_>) -> bool {
    let mut operators = body.operators();
    let Ok(bytes) = body.reader().read_bytes(body.len()) else { return false };
    let start = operators.original_position();
    loop {
        let at = (operators.original_position() - start) as usize;
        let Some(opcode) = bytes.get(at) else { return false };
        if operators.read().is_err() {
            return false;
        }
        if operators.eof() {
            return true;
        }
        if !computes(*opcode) {
            return false;
        }
    }
}

/// Whether an operator with this first byte does nothing but compute: specification, "Binary Format",
/// "Numeric Instructions". Divisions, remainders and conversions that trap do more.
fn computes(opcode: u8) -> bool {
    matches!(
        opcode,
        // drop, select; local.get, local.set, local.tee; constants.
        0x1a..=0x1b | 0x20..=0x22 | 0x41..=0x44
        // Comparisons; i32.clz to i32.mul, i32.and to i64.mul, i64.and to f64.copysign.
        | 0x45..=0x6c | 0x71..=0x7e | 0x83..=0xa6
        // i32.wrap_i64; i64.extend_i32_s and _u; conversions to floats, reinterpretations, sign extension.
        | 0xa7 | 0xac..=0xad | 0xb2..=0xc4
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::{Limits, load_whole};

    /// The small functions of a module in the text format.
    fn small(text: &str) -> Vec<u32> {
        let binary = wat::parse_str(text).expect("a module");
        let (_, bodies) = load_whole(&binary, &Limits::default()).expect("a module");
        let mut small: Vec<u32> = small_functions(&bodies, None, false).into_keys().collect();
        small.sort_unstable();
        small
    }

    #[test]
    fn what_only_computes_is_small() {
        let text = r#"(module
            (import "m" "f" (func))
            (memory 1) (global $g (mut i32) (i32.const 0))
            (func (param i32) (result i32) (i32.add (local.get 0) (i32.const 4)))
            (func (param i64) (result i64) (local i64)
                (local.set 1 (i64.const 0x123456789)) (i64.xor (local.get 0) (local.get 1)))
            (func (result f64) (f64.sqrt (f64.const 2)))
            (func)
            (func (param i32) (result i32) (i32.div_u (local.get 0) (i32.const 4)))
            (func (param f32) (result i32) (i32.trunc_f32_s (local.get 0)))
            (func (param i32) (result i32) (i32.load (local.get 0)))
            (func (result i32) (global.get $g))
            (func (param i32) (result i32) (return (local.get 0)))
            (func (result i32) (block (result i32) (i32.const 1)))
            (func (call 0))
            (func unreachable)
            (func (result i64) (i64.add (i64.add (i64.const 0x123456789abcdef) (i64.const 0x123456789abcdef))
                (i64.add (i64.const 0x123456789abcdef) (i64.const 0x123456789abcdef)))))"#;
        assert_eq!(small(text), [1, 2, 3, 4]);
    }

    #[test]
    fn opcodes_that_trap_do_not_only_compute() {
        for opcode in (0x6d..=0x70).chain(0x7f..=0x82).chain(0xa8..=0xab).chain(0xae..=0xb1) {
            assert!(!computes(opcode), "{opcode:#x}");
        }
        let others = (0..=0x19).chain(0x1c..=0x1f).chain(0x23..=0x40).chain(0xc5..=0xff);
        for opcode in others {
            assert!(!computes(opcode), "{opcode:#x}");
        }
    }
}
