//! Parameters keep their values, wherever a compiler keeps them: where they arrive, in a slot, or for a
//! while in both, until something overwrites the registers on one path and not on another.
//!
//! Owns functions that read and write their parameters before, in and behind all that. Most are random
//! ones, compared with wasmi; those that are written out each say what they are about.

#[path = "common/engines.rs"]
mod engines;
#[path = "common/interpreter.rs"]
mod interpreter;
#[path = "common/native.rs"]
mod native;
#[path = "common/random.rs"]
mod random;
// For the module that `engines` gives to all others; random modules are made here.
#[allow(dead_code)]
#[path = "common/smith.rs"]
mod smith;

use std::env;

use engines::{Engines, Tally};
use random::Random;
use wasm_mini::{Engine, Imports, Instance, Interruption, Tier, Value};

/// How many random modules the test suite tries. `WASM_MINI_SEEDS` asks for more.
const SEEDS: u64 = 250;
/// How many functions each of them has.
const FUNCTIONS: usize = 4;

/// The letters of the types stand for them in templates.
const TYPES: [(char, &str); 5] =
    [('i', "i32"), ('j', "i64"), ('f', "f32"), ('d', "f64"), ('v', "v128")];

/// What functions call. The small ones may take the place of their calls, and want registers that their
/// callers have not been told of: for divisions and rotations.
const HELPERS: &str = r#"
    (import "host" "mix" (func $mix (param i32 i64 f32 f64) (result i64)))
    (memory (export "memory") 1 2)
    (data $data "some bytes for a memory")
    (table $functions (export "functions") 4 funcref)
    (table $externs (export "externs") 3 6 externref)
    (elem (table $functions) (i32.const 0) func $other $other $other $other)
    (global $global (export "global") (mut i64) (i64.const 5))
    (type $unary (func (param i64) (result i64)))
    (func $div (param i32 i32) (result i32)
        (i32.div_u (local.get 0) (i32.or (local.get 1) (i32.const 1))))
    (func $rotate (param i64 i64) (result i64) (i64.rotl (local.get 1) (local.get 0)))
    (func $least (param f64 f64) (result f64) (f64.min (local.get 1) (local.get 0)))
    (func $lanes (param v128 i32) (result v128) (i32x4.shl (local.get 0) (local.get 1)))
    (func $other (type $unary) (call $spoil) (i64.rotr (i64.const 77) (local.get 0)))
    (func $many (result i64 i64 i64 i64 i64 i64 i64 i64 f64 f64 f64 f64 f64 f64 f64 f64)
        (i64.const -1) (i64.const -2) (i64.const -3) (i64.const -4)
        (i64.const -5) (i64.const -6) (i64.const -7) (i64.const -8)
        (f64.const -1) (f64.const -2) (f64.const -3) (f64.const -4)
        (f64.const -5) (f64.const -6) (f64.const -7) (f64.const -8))
    (func $spoil (call $many) (drop) (drop) (drop) (drop) (drop) (drop) (drop) (drop)
        (drop) (drop) (drop) (drop) (drop) (drop) (drop) (drop))
"#;

/// Expressions of every type. In templates a letter in braces is an expression of its type, `T` one of the
/// type that is wanted; `t` is that type's name, `=` before a letter a local of it. `<` opens a label
/// that takes such a value, `>` closes it, `^` is one that is open. `s` is statements, `k` a number.
const ANY: &str = "
    (local.tee {=T} {T})
    (local.tee {=T} {T})
    (block {<} {s} {T}{>})
    (block {<} (br_if {^} {T} {i}){>})
    (br_if {^} {T} {i})
    (block {<} (drop (br_if {^} {T} {i})) {s} {T}{>})
    (block {<} (block {<} (br_table {^} {^} {^} {T} {i}){>}) (local.set {=T}) {T}{>})
    (if (result {t}) {i} (then {s} {T}) (else {T}))
    (if (result {t}) {i} (then {T}) (else {s} {T}))
    {T} {i} (if (param {t}) (result {t}) (then (local.set {=T}) {s} {T}) (else {s}))
    (select {T} {T} {i})
    (select (local.get {=T}) (local.tee {=T} {T}) {i})
";

/// Expressions of one type each. Floats stay so small that there are no NaNs, whose bits are anybody's.
const OF_TYPE: [&str; 5] = [
    "
    (i32.add {i} {i})
    (i32.sub {i} {i})
    (i32.xor (local.get {=i}) (local.tee {=i} {i}))
    (i32.mul (i32.add {i} {i}) (i32.sub {i} {i}))
    (i32.div_s {i} (i32.or {i} (i32.const 1)))
    (i32.rem_u {i} (i32.or {i} (i32.const 1)))
    (i32.rotl {i} {i})
    (i32.shr_s {i} {i})
    (i32.load (local.get {=i}))
    (i32.load16_s offset=4 (i32.and {i} (i32.const 0x7ff8)))
    (i32.lt_s {i} {i})
    (i32.eqz {i})
    (f64.lt {d} {d})
    (i32.popcnt {i})
    (i32.clz {i})
    (i32.wrap_i64 {j})
    (i32.trunc_sat_f64_s {d})
    (i32x4.extract_lane 2 {v})
    (call $div {i} {i})
    (memory.grow (i32.and {i} (i32.const 1)))
    (table.grow $externs (ref.null extern) (i32.and {i} (i32.const 1)))
    (ref.is_null (table.get $externs (i32.and {i} (i32.const 1))))
    ",
    "
    (i64.add {j} {j})
    (i64.sub {j} {j})
    (i64.xor (local.get {=j}) (local.tee {=j} {j}))
    (i64.mul (i64.add {j} {j}) (i64.sub {j} {j}))
    (i64.div_u {j} (i64.or {j} (i64.const 1)))
    (i64.rem_s {j} (i64.or {j} (i64.const 1)))
    (i64.rotr {j} {j})
    (i64.shl {j} {j})
    (i64.load (local.get {=i}))
    (i64.extend_i32_u {i})
    (i64.extend_i32_s {i})
    (i64.reinterpret_f64 {d})
    (i64x2.extract_lane 1 {v})
    (call $rotate {j} {j})
    (call $mix {i} {j} {f} {d})
    (call_indirect $functions (type $unary) {j} (i32.and {i} (i32.const 3)))
    ",
    "
    (f32.mul (f32.const 0.5) (f32.add {f} {f}))
    (f32.mul (f32.sub {f} {f}) (f32.const 0.5))
    (f32.min {f} {f})
    (f32.neg {f})
    (f32.copysign (local.get {=f}) (local.tee {=f} {f}))
    (f32.convert_i32_s (i32.shr_s {i} (i32.const 12)))
    ",
    "
    (f64.add {d} {d})
    (f64.sub {d} {d})
    (f64.sub (f64.sub {d} {d}) (f64.sub {d} {d}))
    (f64.max {d} {d})
    (f64.add (local.get {=d}) (local.tee {=d} {d}))
    (f64.promote_f32 {f})
    (f64.convert_i32_u {i})
    (call $least {d} {d})
    ",
    "
    (i32x4.add {v} {v})
    (i64x2.sub {v} {v})
    (v128.xor (local.get {=v}) (local.tee {=v} {v}))
    (v128.andnot (i64x2.sub {v} {v}) (i16x8.min_u {v} {v}))
    (i8x16.popcnt {v})
    (i16x8.shr_s {v} {i})
    (i32x4.splat {i})
    (i64x2.replace_lane 0 {v} {j})
    (f64x2.replace_lane 1 {v} {d})
    (v128.load offset=3 (i32.and {i} (i32.const 0x7ff8)))
    (call $lanes {v} {i})
    ",
];

/// Statements. `#` counts the open loops, `[` opens one and `]` closes it; `R` are results; `u` is a
/// number of the statement's own.
const STATEMENTS: &str = "
    (local.set {=i} (i32.and {i} (i32.const 0x7ff8)))
    (local.set {=i} {i})
    (local.set {=j} {j})
    (local.set {=f} {f})
    (local.set {=d} {d})
    (local.set {=v} {v})
    (i32.store (i32.and {i} (i32.const 0x7ff8)) {i})
    (f64.store offset=8 (local.get {=i}) {d})
    (global.set $global {j})
    (if {i} (then {s}) (else {s}))
    (if {i} (then {s} (call $spoil)) (else {s}))
    (if {i} (then {s}) (else (call $spoil) {s}))
    (if {i} (then (local.set {=j} {j}) (return {R})))
    (block {<} {s} (br_if {^} {i}) {s}{>})
    (block $b{u} (block {<} {s} (br_table $b{u} {^} {^} $b{u} {i}){>}) {s})
    (block $b{u} (result i64 f64) {j} {d} (br_if $b{u} {i}) (local.set {=d}) (local.set {=j}) {j} {d})
        (local.set {=d}) (local.set {=j})
    (block $b{u} (result f32 i32 v128) {f} {i} {v} (br_if $b{u} {i}) {s})
        (local.set {=v}) (local.set {=i}) (local.set {=f})
    (local.set $n{#} (i32.const 2)) (loop $l{#} {[}{s}{]} (br_if $l{#}
        (local.tee $n{#} (i32.sub (local.get $n{#}) (i32.const 1)))))
    {j} (local.set $n{#} (i32.const 2)) (loop $l{#} (param i64) (local.set {=j}) {[}{s} {j}{]}
        (br_if $l{#} (local.tee $n{#} (i32.sub (local.get $n{#}) (i32.const 1)))) (local.set {=j}))
    {i} {j} {d} {f} {v} (call $spoil) (local.set {=v}) (local.set {=f}) (local.set {=d})
        (local.set {=j}) (local.set {=i})
    (memory.fill (i32.and {i} (i32.const 0x7ff8)) {i} (i32.and {i} (i32.const 0xff)))
    (memory.fill (local.get {=i}) {i} (i32.const 13))
    (memory.copy (i32.and {i} (i32.const 0x7ff8)) (local.get {=i}) (i32.and {i} (i32.const 0xff)))
    (memory.copy (local.get {=i}) (i32.and {i} (i32.const 0x7ff8)) (i32.const 60))
    (memory.copy (local.get {=i}) (local.get {=i}) (i32.const 3))
    (memory.init $data (i32.and {i} (i32.const 0x7ff8)) (i32.const 2) (i32.const 9))
    (table.fill $externs (i32.and {i} (i32.const 1)) (ref.null extern) (i32.const 2))
    (table.set $functions (i32.and {i} (i32.const 3)) (ref.func $other))
";

/// Locals that are used so often that no parameter has a register of those that calls preserve, and more
/// that are kept over calls in others, so that few are left for parameters and operands.
const HOT_LOCALS: &str = "(local $h0 i64) (local $h1 i64) (local $h2 i64) (local $turns i32)
    (local $x0 f64) (local $x1 f64) (local $x2 f64) (local $x3 f64) (local $x4 f64) (local $x5 f64)
    (local $y0 i64) (local $y1 i64) (local $y2 i64)";
const HOTTER: &str = "(loop (local.set $h0 (i64.add (local.get $h0) (local.get $h1)))
    (local.set $h1 (i64.add (local.get $h1) (local.get $h2)))
    (local.set $h2 (i64.add (local.get $h2) (local.get $h0)))
    (br_if 0 (i32.lt_u (local.tee $turns (i32.add (local.get $turns) (i32.const 1))) (i32.const 3))))";
const STILL_HOTTER: &str = "(local.set $turns (i32.const 0)) (loop (loop
    (local.set $x0 (f64.add (local.get $x0) (local.get $x1)))
    (local.set $x1 (f64.add (local.get $x1) (local.get $x2)))
    (local.set $x2 (f64.add (local.get $x2) (local.get $x3)))
    (local.set $x3 (f64.add (local.get $x3) (local.get $x4)))
    (local.set $x4 (f64.add (local.get $x4) (local.get $x5)))
    (local.set $x5 (f64.add (local.get $x5) (local.get $x0)))
    (local.set $y0 (i64.add (local.get $y0) (local.get $y1)))
    (local.set $y1 (i64.add (local.get $y1) (local.get $y2)))
    (local.set $y2 (i64.add (local.get $y2) (local.get $y0)))
    (br_if 0 (i32.lt_u (local.tee $turns (i32.add (local.get $turns) (i32.const 1))) (i32.const 3)))))";

/// The rows of a table of templates: what is further indented continues the row before it.
fn rows(table: &str) -> Vec<String> {
    table.trim().replace("\n        ", " ").lines().map(|row| row.trim().to_string()).collect()
}

/// Writes functions by the templates.
struct Writer {
    random: Random,
    statements: Vec<String>,
    expressions: [Vec<String>; 5],
    /// The types of the current function's locals, parameters first, and of its results.
    locals: Vec<usize>,
    results: Vec<usize>,
    /// The open labels' numbers, and the types of the values that they take.
    labels: Vec<(usize, Option<usize>)>,
    loops: usize,
    /// How many numbers have been given to labels.
    numbers: usize,
    /// How many more templates may be filled in.
    left: usize,
}

impl Writer {
    fn new(seed: u64) -> Writer {
        // Those of one type are more than those of all.
        let expressions = OF_TYPE.map(|own| [rows(own), rows(own), rows(ANY)].concat());
        Writer {
            random: Random::new(seed),
            statements: rows(STATEMENTS),
            expressions,
            locals: vec![],
            results: vec![],
            labels: vec![],
            loops: 0,
            numbers: 0,
            left: 0,
        }
    }

    fn local(&mut self, ty: usize) -> String {
        let those: Vec<usize> = (0..self.locals.len()).filter(|i| self.locals[*i] == ty).collect();
        // The last one is no parameter.
        let params = those.len() - usize::from(those.len() > 1 && !self.random.one_in(4));
        self.random.pick(&those[..params]).to_string()
    }

    fn leaf(&mut self, ty: usize) -> String {
        let name = TYPES[ty].1;
        let number = self.random.integer();
        match ty {
            _ if !self.random.one_in(5) => format!("(local.get {})", self.local(ty)),
            0 => format!("(i32.const {})", number as i32),
            1 => format!("(i64.const {})", number as i64),
            4 => format!("(v128.const i64x2 {} {})", number as i64, self.random.bits() as i64),
            _ => format!("({name}.const {})", number as i8),
        }
    }

    fn expression(&mut self, ty: usize, depth: usize) -> String {
        let row = self.random.pick(&self.expressions[ty]).clone();
        let has_label = self.labels.iter().any(|label| label.1 == Some(ty));
        let lacks_label = row.starts_with("(br_if") && !has_label;
        if depth == 0 || self.left == 0 || lacks_label || self.random.one_in(4) {
            return self.leaf(ty);
        }
        self.fill_in(&row, Some(ty), depth - 1)
    }

    fn some_statements(&mut self, depth: usize) -> String {
        let mut text = String::new();
        for _ in 0..self.random.below(3) {
            let row = self.random.pick(&self.statements).clone();
            if depth > 0 && self.left > 0 && !(row.contains("{[}") && self.loops == 2) {
                text += &self.fill_in(&row, None, depth - 1);
            }
        }
        text
    }

    fn results(&mut self, depth: usize) -> String {
        self.results.clone().into_iter().map(|ty| self.expression(ty, depth)).collect()
    }

    fn fill_in(&mut self, template: &str, wanted: Option<usize>, depth: usize) -> String {
        self.left = self.left.saturating_sub(1);
        self.numbers += 1;
        let own_number = self.numbers;
        let mut text = String::new();
        let mut rest = template;
        while let Some((before, (place, behind))) = rest
            .split_once('{')
            .map(|(before, behind)| (before, behind.split_once('}').expect("a closing brace")))
        {
            text += before;
            rest = behind;
            let type_of = |letter: &str| match letter {
                "T" => wanted.expect("a template of an expression"),
                _ => TYPES.iter().position(|ty| letter.starts_with(ty.0)).expect("a type"),
            };
            text += &match place {
                "t" => TYPES[type_of("T")].1.to_string(),
                "s" => self.some_statements(depth),
                "R" => self.results(0),
                "u" => own_number.to_string(),
                "#" => self.loops.to_string(),
                "[" => {
                    self.loops += 1;
                    String::new()
                }
                "]" => {
                    self.loops -= 1;
                    String::new()
                }
                "<" => {
                    self.numbers += 1;
                    self.labels.push((self.numbers, wanted));
                    let result = wanted.map(|ty| format!(" (result {})", TYPES[ty].1));
                    format!("$x{}{}", self.numbers, result.unwrap_or_default())
                }
                ">" => {
                    self.labels.pop();
                    String::new()
                }
                "^" => {
                    let those = self.labels.iter().filter(|label| label.1 == wanted);
                    let those: Vec<_> = those.map(|label| label.0).collect();
                    format!("$x{}", self.random.pick(&those))
                }
                local if local.starts_with('=') => self.local(type_of(&local[1..])),
                letter => self.expression(type_of(letter), depth),
            };
        }
        text + rest
    }

    /// A function, and one that is exported and calls it. That one takes integers, and makes of them floats
    /// that are no NaNs and addresses, with whatever above them.
    fn function(&mut self, number: usize) -> String {
        let count = [1 + self.random.below(9), 1 + self.random.below(4), 14][self.random.below(3)];
        let kind = self.random.below(4);
        let params: Vec<usize> = (0..count)
            .map(|_| match kind {
                0 => self.random.below(2),
                1 => 2 + self.random.below(3),
                _ => self.random.below(5),
            })
            .collect();
        // One of each type besides.
        self.locals = params.iter().copied().chain(0..5).collect();
        self.results = match self.random.below(2) {
            0 => params.clone(),
            _ => (0..1 + self.random.below(2)).map(|_| self.random.below(5)).collect(),
        };
        self.left = 60;
        let mut body = String::new();
        for _ in 0..3 {
            body += &self.some_statements(4);
        }
        self.left += 8;
        let depth = self.random.below(4);
        let results = self.results(depth);
        // Late, so that they stop nothing: functions that call have few registers for their locals.
        let mut late = String::new();
        if !self.random.one_in(3) {
            late += &format!("(if {} (then (call $spoil)))", self.expression(0, 1));
        }
        if !self.random.one_in(3) {
            late += HOTTER;
        }
        if self.random.one_in(3) {
            late += STILL_HOTTER;
        }
        body += &match self.random.below(3) {
            0 => late + &results,
            1 => results + &late,
            // What is never executed counts as well.
            _ => results + "(return)" + &late,
        };

        let names =
            |types: &[usize]| types.iter().map(|ty| TYPES[*ty].1).collect::<Vec<_>>().join(" ");
        let (list, results) = (names(&params), names(&self.results));
        let integers = "i64 ".repeat(count);
        let masked = (0..count).filter(|i| params[*i] == 0).map(|i| {
            format!("(local.set {i} (i64.and (local.get {i}) (i64.const 0xffffffff00007ff8)))")
        });
        let arguments = params.iter().enumerate().map(|(i, ty)| match ty {
            0 => format!("(i32.wrap_i64 (local.get {i}))"),
            1 => format!("(local.get {i})"),
            2 | 3 => format!(
                "({}.convert_i32_s (i32.shr_s (i32.wrap_i64 (local.get {i})) (i32.const 12)))",
                TYPES[*ty].1
            ),
            _ => format!("(i64x2.splat (local.get {i}))"),
        });
        format!(
            "(func $f{number} (param {list}) (result {results})
                (local i32 i64 f32 f64 v128) (local $n0 i32) (local $n1 i32) {HOT_LOCALS} {body})
             (func (export \"f{number}\") (param {integers}) (result {results})
                {} (call $f{number} {}))\n",
            masked.collect::<String>(),
            arguments.collect::<String>(),
        )
    }
}

fn random_module(seed: u64) -> String {
    let mut writer = Writer::new(seed);
    let functions: String = (0..FUNCTIONS).map(|number| writer.function(number)).collect();
    format!("(module {HELPERS} {functions})")
}

#[test]
fn random_functions_agree() {
    let engines = Engines::new();
    let mut tally = Tally::default();
    let asked = env::var("WASM_MINI_SEEDS").ok().and_then(|text| text.parse().ok());
    let seeds = asked.unwrap_or(SEEDS);
    for seed in 0..seeds {
        let text = random_module(seed);
        let binary = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        if let Err(difference) = engines.compare(&binary, seed, &mut tally) {
            panic!("seed {seed}: {difference}\n{text}");
        }
    }
    assert!(tally.returns > 2 * tally.trapped(), "{tally:?}");
    assert!(tally.trapped() > seeds / 10, "{tally:?}");
}

/// Functions of five integers, whose upper halves are not zero, and of eight floats, of which each gives
/// one number.
const WRITTEN: &[(&str, &str, i64)] = &[
    (
        "one arm calls, the other has the registers still",
        "(if (result i64) (call $true (i64.const 1)) (then (i64.sub (local.get $a) (local.get $b)))
            (else (i64.sub (local.get $b) (local.get $a))))
         (if (result i64) (i64.eqz (local.get $c))
            (then (call $spoil) (local.get $d)) (else (i64.sub (local.get $d) (local.get $c))))
         (i64.add)",
        A - B + D - C,
    ),
    (
        "written while in both places, read where only the slot is left",
        "(if (i64.eqz (local.get $a)) (then (local.set $b (i64.const 5)))
            (else (local.set $b (i64.sub (local.get $b) (local.get $a))) (call $spoil)))
         (local.get $b)",
        B - A,
    ),
    (
        "in their registers to the end, for no call is reached; the function behind knows nothing of it",
        "(return (i64.sub (local.get $d) (local.get $b))) (call $spoil)",
        D - B,
    ),
    (
        "written in the arm behind a call, which is not the one that is taken",
        "(if (i64.eqz (local.get $a)) (then (call $spoil) (local.set $b (i64.const 5)))
            (else (local.set $c (i64.const 6))))
         (i64.add (local.get $b) (local.get $c))",
        B + 6,
    ),
    (
        "on the stack with its old value, and over a call with its new one",
        "(local.get $a) (local.set $a (i64.add (local.get $a) (local.get $b)))
         (local.get $a) (call $spoil) (local.get $a) (i64.mul) (i64.sub)",
        A.wrapping_sub((A + B).wrapping_mul(A + B)),
    ),
    (
        "on the stack, while a runtime call wants its lower half where it is",
        "(local.get $c) (memory.fill (i32.wrap_i64 (local.get $c)) (i32.const 1) (i32.const 100))
         (i64.add (local.get $c))",
        2 * C,
    ),
    (
        "given to an i32 parameter, which arrives with anything above it and is an address",
        "(i64.store offset=80 (i32.const 7) (i64.const 99)) (call $load (i32.wrap_i64 (local.get $a)))",
        99,
    ),
    (
        "addresses by lower halves alone, and as many temporaries as an operator may need",
        "(i64.store (i32.wrap_i64 (local.get $e)) (local.get $a))
         (memory.copy (i32.wrap_i64 (local.get $d)) (i32.wrap_i64 (local.get $e)) (i32.const 3))
         (i64.sub (i64.add (i64.load (i32.wrap_i64 (local.get $d))) (local.get $b)) (local.get $c))
         (call $spoil)",
        A % (1 << 24) + B - C,
    ),
    (
        "a loop that calls, whose every turn reads what the one before wrote",
        "(local.set $b (i64.sub (local.get $a) (local.get $b)))
         (loop (local.set $c (i64.add (local.get $c) (local.get $b))) (call $spoil)
            (local.set $d (i64.sub (local.get $d) (i64.const 1)))
            (br_if 0 (i64.gt_s (local.get $d) (i64.const DM3))))
         (local.get $c)",
        C + 3 * (A - B),
    ),
    (
        "a loop that calls at its end, and reads first what was in a register before it",
        "(loop (local.set $e (i64.sub (local.get $e) (local.get $a)))
            (local.set $d (i64.sub (local.get $d) (i64.const 1)))
            (if (i64.gt_s (local.get $d) (i64.const DM3)) (then (call $spoil) (br 1))))
         (local.get $e)",
        E - 3 * A,
    ),
    (
        "a small function in the place of a call, which divides and rotates",
        "(i64.add (local.get $d) (call $divide (i64.rotl (local.get $a) (i64.const 1)) (local.get $b)))
         (i64.add (local.get $c)) (i64.sub (local.get $d))",
        2 * A / B + C,
    ),
    (
        "a division among operands in the register that it takes",
        "(i64.sub (i64.rem_u (local.get $a) (local.get $c)) (i64.sub (i64.div_u (local.get $b) (local.get $c))
            (local.get $c))) (call $spoil)",
        A % C - (B / C - C),
    ),
    (
        "more operands than there are registers beside the parameters",
        "(i64.sub (i64.add (local.get $a) (local.get $b)) (i64.sub (i64.add (local.get $c) (local.get $d))
         (i64.sub (i64.add (local.get $e) (local.get $a)) (i64.sub (i64.add (local.get $b) (local.get $c))
         (i64.sub (i64.add (local.get $d) (local.get $e)) (i64.sub (i64.add (local.get $a) (local.get $c))
            (i64.add (local.get $b) (local.get $d)))))))) (call $spoil)",
        (A + B) - ((C + D) - ((E + A) - ((B + C) - ((D + E) - ((A + C) - (B + D)))))),
    ),
    (
        "a block's float among eight in their registers",
        "(f64.sub (local.get $s) (block (result f64)
            (br_if 0 (f64.add (local.get $p) (local.get $q)) (i64.eqz (local.get $a)))
            (drop) (f64.add (local.get $r) (local.get $w))))
         (f64.add (f64.mul (f64.const 10) (local.get $p))) (f64.sub (local.get $q)) (i64.trunc_f64_s)
         (call $spoil)",
        4 - (3 + 8) + 10 - 2,
    ),
    (
        "more floats than there are registers beside the parameters",
        "(f64.sub (f64.add (local.get $p) (local.get $q)) (f64.sub (f64.add (local.get $q) (local.get $r))
         (f64.sub (f64.add (local.get $r) (local.get $s)) (f64.sub (f64.add (local.get $s) (local.get $t))
         (f64.sub (f64.add (local.get $t) (local.get $u)) (f64.sub (f64.add (local.get $u) (local.get $v))
         (f64.sub (f64.add (local.get $v) (local.get $w)) (f64.sub (f64.add (local.get $w) (local.get $p))
            (local.get $q))))))))) (i64.trunc_f64_s) (call $spoil)",
        3 - (5 - (7 - (9 - (11 - (13 - (15 - (9 - 2))))))),
    ),
];

const A: i64 = 0x1_0000_0000_0007;
const B: i64 = 0x5_0000_0003;
const C: i64 = 0x3_0000_0020;
const D: i64 = 0x2_0000_0100;
const E: i64 = 0x7_0000_0300;

/// Engines with all that puts code between operators, besides those of all processors.
fn engines() -> Vec<(String, Engine)> {
    let mut engines = [native::engines(), native::engines_of_levels()].concat();
    for tier in Tier::available() {
        let busy = Engine::builder().tier(*tier).interruption(Interruption::Polled).fuel(1 << 40);
        engines.push((format!("{tier}, polls and fuel"), busy.build().expect("an engine")));
    }
    engines
}

#[test]
fn written_functions_give_what_they_say() {
    let mut text = format!(
        "(module {HELPERS}
            (func $true (param i64) (result i32) (i32.wrap_i64 (local.get 0)))
            (func $divide (param i64 i64) (result i64) (i64.div_s (local.get 0) (local.get 1)))
            (func $load (param i32) (result i64) {HOT_LOCALS}
                (i64.load offset=80 (local.get 0)) (call $spoil) {HOTTER})"
    );
    for (i, (_, body, _)) in WRITTEN.iter().enumerate() {
        let body = body.replace("DM3", &(D - 3).to_string());
        text += &format!(
            "(func (export \"{i}\") (param $a i64) (param $b i64) (param $c i64) (param $d i64)
                (param $e i64) (param $p f64) (param $q f64) (param $r f64) (param $s f64)
                (param $t f64) (param $u f64) (param $v f64) (param $w f64) (result i64)
                {HOT_LOCALS} {body} {HOTTER})\n"
        );
    }
    let binary = wat::parse_str(text + ")").unwrap_or_else(|error| panic!("{error}"));
    let mut imports = Imports::none();
    imports.func("host", "mix", |a: i32, b: i64, _: f32, _: f64| b ^ i64::from(a));
    let integers = [A, B, C, D, E].map(Value::I64);
    let floats = (1..9).map(|float| Value::F64(f64::from(float)));
    let arguments: Vec<Value> = integers.into_iter().chain(floats).collect();
    for (name, engine) in engines() {
        let module = native::load(&engine, &binary);
        let instance = Instance::new(&module, &imports).expect("an instance");
        for (i, (what, _, expected)) in WRITTEN.iter().enumerate() {
            let results = instance.dyn_func(&i.to_string()).expect("an export").call(&arguments);
            assert_eq!(results.ok(), Some(vec![Value::I64(*expected)]), "{name}: {what}");
        }
    }
}
