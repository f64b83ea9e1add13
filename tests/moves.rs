//! Values that change places all at once: arguments, parameters and results of blocks, values at
//! branches, locals. Swaps, cycles, copies to several places, and more than there are registers.
//!
//! Each function takes values and returns them rearranged; one row says how.

#[path = "common/edges.rs"]
mod edges;
#[path = "common/native.rs"]
mod native;

use std::fmt::Write as _;

use edges::Ty::{self, F32, F64, I32, I64};
use native::engines;
use wasm_mini::{Imports, Instance, Value};

/// Types of four values; positions of the same type can be swapped in registers.
const MIXES: [[Ty; 4]; 5] = [
    [I64, I64, I64, I64],
    [F64, F64, F64, F64],
    [I32, I64, I32, I64],
    [F32, F64, F64, F32],
    [I64, F64, I32, F32],
];

/// A function: the types that it takes, and which of them it returns, in which order.
struct Move {
    what: &'static str,
    types: Vec<Ty>,
    body: String,
    /// Functions that the body calls: `$id` and `$clobber`.
    helpers: String,
    result: Vec<usize>,
}

fn names(types: impl Iterator<Item = Ty>) -> String {
    types.map(Ty::name).collect::<Vec<_>>().join(" ")
}

fn gets(map: &[usize]) -> String {
    map.iter().map(|i| format!("(local.get {i})")).collect()
}

/// Different values, also where only half of a register is looked at.
fn argument(i: usize, ty: Ty) -> u64 {
    let i = i as u64 + 1;
    match ty {
        I32 => 0x1111_1111 * i,
        I64 => 0x0101_0101_1000_0001 * i,
        F32 => u64::from((i as f32 + 0.25).to_bits()),
        F64 => (i as f64 + 0.125).to_bits(),
    }
}

/// All functions from so many positions to as many.
fn maps(count: usize) -> impl Iterator<Item = Vec<usize>> {
    let choices = (count as u32).pow(count as u32) as usize;
    (0..choices).map(move |n| (0..count).map(|i| n / count.pow(i as u32) % count).collect())
}

fn is_permutation(map: &[usize]) -> bool {
    (0..map.len()).all(|i| map.contains(&i))
}

/// How a rearrangement can be written that may change the types of positions.
fn free(types: &[Ty], map: &[usize]) -> Vec<Move> {
    let from = names(types.iter().copied());
    let to = names(map.iter().map(|i| types[*i]));
    let new = |what, body: String, helpers: String, result: &[usize]| Move {
        what,
        types: types.to_vec(),
        body,
        helpers,
        result: result.to_vec(),
    };
    let count = types.len();
    let all: Vec<_> = (0..count).collect();
    let identity = format!(
        "(func $id (param {to}) (result {to}) {})
         (func $clobber (param {from}) (result {from}) {}
            (block (result i64 f64) (i64.const 9) (f64.const 9)) (drop) (drop))",
        gets(&all),
        gets(&all),
    );
    let rearranged = gets(map);
    vec![
        new("results", rearranged.clone(), String::new(), map),
        new("arguments", format!("(call $id {rearranged})"), identity.clone(), map),
        new(
            "results of a call, as arguments",
            format!(
                "(call $clobber {}) {} (call $id {rearranged})",
                gets(&all),
                (0..count).rev().map(|i| format!("(local.set {i})")).collect::<String>(),
            ),
            identity.clone(),
            map,
        ),
        new(
            "spilled across a call, then branched with",
            format!(
                "(block (result {to}) {rearranged} (call $clobber {})
                 {} (br_if 0 (i32.const 1)))",
                gets(&all),
                "(drop) ".repeat(count),
            ),
            identity.clone(),
            map,
        ),
        new(
            "arguments computed on the stack",
            format!(
                "(call $id {})",
                map.iter()
                    .map(|i| match types[*i] {
                        I32 => format!("(i32.xor (local.get {i}) (i32.const 0))"),
                        I64 => format!(
                            "(i64.sub (i64.add (local.get {i}) (i64.const 1)) (i64.const 1))"
                        ),
                        F32 => format!("(f32.neg (f32.neg (local.get {i})))"),
                        F64 => format!("(f64.add (local.get {i}) (f64.const 0))"),
                    })
                    .collect::<String>()
            ),
            identity.clone(),
            map,
        ),
    ]
}

/// How a rearrangement can be written that leaves each position its type.
fn typed(types: &[Ty], map: &[usize]) -> Vec<Move> {
    let all: Vec<_> = (0..types.len()).collect();
    let list = names(types.iter().copied());
    let (gets_all, rearranged) = (gets(&all), gets(map));
    let sets: String = all.iter().rev().map(|i| format!("(local.set {i})")).collect();
    let new = |what, body: String, result: &[usize]| Move {
        what,
        types: types.to_vec(),
        body,
        helpers: String::new(),
        result: result.to_vec(),
    };
    let twice: Vec<_> = map.iter().map(|i| map[*i]).collect();
    let thrice: Vec<_> = twice.iter().map(|i| map[*i]).collect();
    let signature = format!("(param {list}) (result {list})");
    vec![
        new("locals", format!("{rearranged} {sets} {gets_all}"), map),
        new("locals, twice", format!("{rearranged} {sets} {rearranged} {sets} {gets_all}"), &twice),
        new(
            "a loop's parameters",
            format!(
                "{gets_all} (loop $again {signature} {sets} {rearranged}
                    (local.set $left (i32.add (local.get $left) (i32.const 1)))
                    (br_if $again (i32.lt_u (local.get $left) (i32.const 3))))"
            ),
            &thrice,
        ),
        new(
            "a block's parameters and a branch's values",
            format!("{rearranged} (block {signature} {sets} {rearranged} (br 0))"),
            &twice,
        ),
        new(
            "branches of a table",
            format!(
                "(block $a (result {list}) (block $b (result {list}) (block $c (result {list})
                    {rearranged} (br_table $c $a $b (local.get $left)))
                 {sets} {rearranged} (br_table $b $b $a (i32.const 1)))
                 {sets} {rearranged})"
            ),
            &thrice,
        ),
        new(
            "both arms",
            format!(
                "{rearranged} (i32.eqz (local.get $left))
                 (if {signature} (then {sets} {rearranged}) (else {sets} {gets_all}))"
            ),
            &twice,
        ),
        new(
            "unreachable after a branch",
            format!(
                "(block (result {list}) {rearranged} (br 0) {rearranged}
                    (br_table 0 0 (i32.const 0)))"
            ),
            map,
        ),
    ]
}

/// Runs all moves on all tiers.
fn check(moves: &[Move]) {
    let mut text = String::from("(module\n");
    for (i, Move { types, body, helpers, result, .. }) in moves.iter().enumerate() {
        // Their names are each module's only ones.
        let number = |text: &str| {
            text.replace("$id", &format!("$id{i}")).replace("$clobber", &format!("$clobber{i}"))
        };
        let (helpers, body) = (number(helpers), number(body));
        let _ = writeln!(
            text,
            "{helpers} (func (export \"{i}\") (param {}) (result {}) (local $left i32) {body})",
            names(types.iter().copied()),
            names(result.iter().map(|i| types[*i])),
        );
    }
    text.push(')');
    let binary = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"));
    for (name, engine) in engines() {
        let module = native::load(&engine, &binary);
        let instance = Instance::new(&module, &Imports::none()).expect("an instance");
        for (number, Move { what, types, body, result, .. }) in moves.iter().enumerate() {
            let arguments: Vec<Value> =
                types.iter().enumerate().map(|(i, ty)| ty.value(argument(i, *ty))).collect();
            let expected: Vec<Value> = result.iter().map(|i| arguments[*i].clone()).collect();
            let func = instance.dyn_func(&number.to_string()).expect("an export");
            let results = func.call(&arguments).expect("no traps");
            assert_eq!(results, expected, "{name}, {what}, {types:?} to {result:?}\n{body}");
        }
    }
}

#[test]
fn four_values_in_every_order() {
    let mut moves = Vec::new();
    for (n, types) in MIXES.iter().enumerate() {
        for (m, map) in maps(4).enumerate() {
            // Copies to several places are many; every third of them will do.
            if !is_permutation(&map) && m % 3 != n % 3 {
                continue;
            }
            moves.extend(free(types, &map));
            if map.iter().zip(types).all(|(from, ty)| types[*from] == *ty) {
                moves.extend(typed(types, &map));
            }
        }
    }
    assert!(moves.len() > 2_000, "{} moves", moves.len());
    check(&moves);
}

#[test]
fn more_values_than_registers() {
    let mut moves = Vec::new();
    let mut random = 1u32;
    for count in [3, 7, 9, 12, 17, 20, 34] {
        for round in 0..12 {
            let pick = |i: usize| match round % 4 {
                0 => I64,
                1 => F64,
                2 => [I32, F32][i % 2],
                _ => Ty::ALL[i * 7 / 3 % 4],
            };
            let types: Vec<_> = (0..count).map(pick).collect();
            let map: Vec<_> = match round / 4 {
                // Rotations, reversal, anything.
                0 => (0..count).map(|i| (i + 1 + round) % count).collect(),
                1 => (0..count).rev().collect(),
                _ => (0..count)
                    .map(|_| {
                        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        (random >> 8) as usize % count
                    })
                    .collect(),
            };
            moves.extend(free(&types, &map));
            if map.iter().zip(&types).all(|(from, ty)| types[*from] == *ty) {
                moves.extend(typed(&types, &map));
            }
        }
    }
    assert!(moves.len() > 400, "{} moves", moves.len());
    check(&moves);
}
