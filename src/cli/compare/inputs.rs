//! What the columns are compared on: edge values and seeded random inputs.
//!
//! The sequence depends on the signature, the count and the seed alone, so that the process that
//! checks and the one that reports name an input by its place.

use wasm_mini::{ValType, Value};

/// How many combinations of edge values are tried where there are several parameters.
const MOST_EDGES: usize = 4096;

/// All inputs, in the order in which they are tried.
pub struct Inputs {
    all: Vec<(Kind, Vec<Value>)>,
}

/// Where an input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A candidate for timing.
    Timed,
    Edge,
    Random,
}

impl Inputs {
    /// The inputs for functions with these parameters, which must be numbers.
    pub fn new(params: &[ValType], timed: &[Value], count: usize, seed: u64) -> Inputs {
        let mut all: Vec<(Kind, Vec<Value>)> = Vec::new();
        if timed.is_empty() && !params.is_empty() {
            // Neither trivial nor long for most functions, though some trap; and not all parameters
            // the same.
            const SMALL: [i64; 5] = [10, 7, 2, 1, 0];
            for first in 0..SMALL.len() {
                let number = |i: usize| SMALL[(first + i) % SMALL.len()];
                let values = params.iter().enumerate().map(|(i, ty)| small(*ty, number(i)));
                all.push((Kind::Timed, values.collect()));
            }
        } else {
            all.push((Kind::Timed, timed.to_vec()));
        }
        let mut random = Random(seed);
        let mut edges = edges(params).into_iter();
        let count = if params.is_empty() { 0 } else { count };
        let mut randoms =
            (0..count).map(|_| params.iter().map(|ty| random.value(*ty)).collect::<Vec<_>>());
        // In turn: should time run out, there was some of both.
        loop {
            let (edge, random) = (edges.next(), randoms.next());
            if edge.is_none() && random.is_none() {
                return Inputs { all };
            }
            all.extend(edge.map(|values| (Kind::Edge, values)));
            all.extend(random.map(|values| (Kind::Random, values)));
        }
    }

    pub fn get(&self, index: usize) -> Option<(Kind, &[Value])> {
        self.all.get(index).map(|(kind, values)| (*kind, values.as_slice()))
    }

    /// The place of the last edge value, or 0.
    pub fn last_edge(&self) -> usize {
        self.all.iter().rposition(|(kind, _)| *kind == Kind::Edge).unwrap_or(0)
    }

    pub fn count(&self, kind: Kind) -> usize {
        self.all.iter().filter(|(of, _)| *of == kind).count()
    }
}

/// Combinations of edge values, those of small magnitude first.
fn edges(params: &[ValType]) -> Vec<Vec<Value>> {
    let Ok(arity) = u32::try_from(params.len()) else { return Vec::new() };
    if arity == 0 {
        return Vec::new();
    }
    let lists: Vec<Vec<Value>> = params.iter().map(|ty| edge_values(*ty)).collect();
    // As many values of each parameter as keep the product in bounds, but two at least.
    let mut most = lists.iter().map(Vec::len).max().unwrap_or(0);
    while most > 2 && most.checked_pow(arity).is_none_or(|product| product > MOST_EDGES) {
        most -= 1;
    }
    let mut combinations = Vec::new();
    let mut digits = vec![0; params.len()];
    while combinations.len() < MOST_EDGES {
        combinations.push(digits.iter().zip(&lists).map(|(i, list)| list[*i].clone()).collect());
        // Counts up, one digit a parameter.
        let Some(at) = (0..digits.len()).find(|i| digits[*i] + 1 < most.min(lists[*i].len()))
        else {
            break;
        };
        digits[at] += 1;
        digits[..at].fill(0);
    }
    combinations
}

/// A type's edge values, the most telling and the smallest first.
fn edge_values(ty: ValType) -> Vec<Value> {
    match ty {
        ValType::I32 | ValType::I64 => {
            let bits = if ty == ValType::I32 { 32 } else { 64 };
            let min = 1_u64 << (bits - 1);
            let mut values = vec![0, 1, u64::MAX, min, min - 1, 2, 3, min + 1, u64::MAX - 1];
            for power in 2..bits {
                let power = 1_u64 << power;
                values.extend([power - 1, power, power + 1]);
            }
            let values: Vec<Value> = values.into_iter().map(|bits| integer(ty, bits)).collect();
            without_repetition(values)
        }
        ValType::F32 => {
            let rest = [0x7fc0_0001, 0x7f80_0001, 0xffc0_0000].map(f32::from_bits);
            let values = FLOATS.iter().map(|number| *number as f32);
            let own = [f32::MAX, f32::MIN, f32::MIN_POSITIVE, f32::EPSILON];
            let subnormal = [1, 0x007f_ffff, 0x8000_0001].map(f32::from_bits);
            let all = values.chain(own).chain(subnormal).chain(rest);
            without_repetition(all.map(Value::F32).collect())
        }
        _ => {
            let rest = [0x7ff8 << 48 | 1, 0x7ff0 << 48 | 1, 0xfff8 << 48].map(f64::from_bits);
            let own = [f64::MAX, f64::MIN, f64::MIN_POSITIVE, f64::EPSILON];
            let subnormal = [1, (1 << 52) - 1, 1 << 63 | 1].map(f64::from_bits);
            let all = FLOATS.iter().copied().chain(own).chain(subnormal).chain(rest);
            without_repetition(all.map(Value::F64).collect())
        }
    }
}

/// Edge values that both float types have: zeros, ties of rounding, and the ends of the integers.
#[rustfmt::skip]
const FLOATS: &[f64] = &[
    0.0, -0.0, 1.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY,
    0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 2.0, 0.1, 3.999_999_9, -0.999_999_9,
    2_147_483_647.0, 2_147_483_648.0, -2_147_483_648.0, -2_147_483_649.0,
    4_294_967_295.0, 4_294_967_296.0, 8_388_607.5, 9_007_199_254_740_991.0,
    9_223_372_036_854_774_784.0, 9_223_372_036_854_775_808.0, -9_223_372_036_854_775_808.0,
    18_446_744_073_709_551_616.0, 1e30, -1e-30,
];

fn without_repetition(values: Vec<Value>) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::with_capacity(values.len());
    for value in values {
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    kept
}

/// The low bits as a value of an integer type.
fn integer(ty: ValType, bits: u64) -> Value {
    if ty == ValType::I32 { Value::I32(bits as i32) } else { Value::I64(bits as i64) }
}

/// A small integer as a value of any number type.
fn small(ty: ValType, number: i64) -> Value {
    match ty {
        ValType::I32 | ValType::I64 => integer(ty, number as u64),
        ValType::F32 => Value::F32(number as f32),
        _ => Value::F64(number as f64),
    }
}

/// SplitMix64: every seed is good, and the state is one number.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A value that is small as often as not: full-range values alone would nearly all be huge.
    fn value(&mut self, ty: ValType) -> Value {
        let (choice, bits) = (self.next() % 4, self.next());
        match (ty, choice) {
            (_, 0) => small(ty, (bits % 32) as i64),
            (_, 1) => small(ty, (bits % 256) as i64 - 128),
            // Any number of bits is as likely as any other.
            (ValType::I32 | ValType::I64, 2) => integer(ty, bits >> (self.next() % 64)),
            (ValType::I32 | ValType::I64, _) => integer(ty, bits),
            (ValType::F32, 2) => Value::F32((bits >> 40) as f32 / 64.0 - 131_072.0),
            (ValType::F32, _) => Value::F32(f32::from_bits(bits as u32)),
            (_, 2) => Value::F64((bits >> 11) as f64 / 4_294_967_296.0 - 1_048_576.0),
            (_, _) => Value::F64(f64::from_bits(bits)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_the_seed_s() {
        let params = [ValType::I64, ValType::F32];
        let [a, b] = [0; 2].map(|_| Inputs::new(&params, &[], 100, 7));
        assert_eq!(a.all, b.all);
        assert_eq!(a.count(Kind::Random), 100);
        assert_ne!(a.all, Inputs::new(&params, &[], 100, 8).all);
    }

    #[test]
    fn edges_are_capped_and_hold_the_extremes() {
        let one = edges(&[ValType::I32]);
        for value in [0, 1, -1, i32::MIN, i32::MAX, 127, 128, 129] {
            assert!(one.contains(&vec![Value::I32(value)]), "{value}");
        }
        for arity in [2, 3, 12, 40] {
            let all = edges(&vec![ValType::I64; arity]);
            assert!(all.len() <= MOST_EDGES && all.len() > 1000, "{arity}: {}", all.len());
        }
        assert!(edges(&[]).is_empty());
    }

    #[test]
    fn a_function_without_parameters_has_one_input() {
        let inputs = Inputs::new(&[], &[], 100, 1);
        assert_eq!(inputs.all, [(Kind::Timed, vec![])]);
    }
}
