//! Modules of deep expressions, above all of vectors: what wasm-smith hardly makes, because it takes
//! what the stack happens to have operands for, and that is seldom two vectors.
//!
//! Operands are made for each operator instead. NaNs of arithmetic are made canonical; loops are
//! counted; of the functions, none calls another.

use std::fmt::Write as _;

use crate::random::Random;

/// A type, and how many locals of it a function has.
const TYPES: [(&str, usize); 5] = [("i32", 4), ("i64", 3), ("f32", 3), ("f64", 3), ("v128", 9)];
const V128: usize = 4;
const PAGE: u32 = 65536;

/// An operator: its text, operands and result, as places in [`TYPES`].
struct Operator {
    name: String,
    operands: Vec<usize>,
    result: usize,
}

/// The place of a type, by a letter.
fn ty(letter: char) -> usize {
    "ijfdv".find(letter).expect("a letter of a type")
}

/// Operators by signature: operands, result, names. `?` stands for each shape of the list before it.
fn operators() -> Vec<Operator> {
    let rows: &[(&str, char, &[&str], &str)] = &[
        ("v", 'v', &["i8x16", "i16x8", "i32x4", "i64x2", "f32x4", "f64x2"], "?.abs ?.neg"),
        ("v", 'v', &["f32x4", "f64x2"], "?.ceil ?.floor ?.trunc ?.nearest ?.sqrt"),
        ("v", 'i', &["i8x16", "i16x8", "i32x4", "i64x2"], "?.all_true ?.bitmask v128.any_true"),
        ("vi", 'v', &["i8x16", "i16x8", "i32x4", "i64x2"], "?.shl ?.shr_s ?.shr_u"),
        (
            "vv",
            'v',
            &["i8x16", "i16x8", "i32x4", "i64x2"],
            "?.add ?.sub ?.eq ?.ne ?.lt_s ?.gt_s ?.le_s ?.ge_s",
        ),
        (
            "vv",
            'v',
            &["i8x16", "i16x8", "i32x4"],
            "?.lt_u ?.gt_u ?.le_u ?.ge_u ?.min_s ?.min_u ?.max_s ?.max_u",
        ),
        (
            "vv",
            'v',
            &["i8x16", "i16x8"],
            "?.add_sat_s ?.add_sat_u ?.sub_sat_s ?.sub_sat_u ?.avgr_u",
        ),
        ("vv", 'v', &["i16x8", "i32x4", "i64x2"], "?.mul"),
        ("vv", 'v', &["f32x4", "f64x2"], "?.add ?.sub ?.mul ?.div ?.min ?.max ?.pmin ?.pmax"),
        ("vv", 'v', &["f32x4", "f64x2"], "?.eq ?.ne ?.lt ?.gt ?.le ?.ge"),
        ("vv", 'v', &[], "v128.and v128.andnot v128.or v128.xor i8x16.swizzle"),
        ("vv", 'v', &[], "i16x8.q15mulr_sat_s i32x4.dot_i16x8_s"),
        ("vv", 'v', &[], "i8x16.narrow_i16x8_s i8x16.narrow_i16x8_u"),
        ("vv", 'v', &[], "i16x8.narrow_i32x4_s i16x8.narrow_i32x4_u"),
        (
            "vv",
            'v',
            &["low_i8x16_s", "low_i8x16_u", "high_i8x16_s", "high_i8x16_u"],
            "i16x8.extmul_?",
        ),
        (
            "vv",
            'v',
            &["low_i16x8_s", "low_i16x8_u", "high_i16x8_s", "high_i16x8_u"],
            "i32x4.extmul_?",
        ),
        (
            "vv",
            'v',
            &["low_i32x4_s", "low_i32x4_u", "high_i32x4_s", "high_i32x4_u"],
            "i64x2.extmul_?",
        ),
        (
            "v",
            'v',
            &["low_i8x16_s", "low_i8x16_u", "high_i8x16_s", "high_i8x16_u"],
            "i16x8.extend_?",
        ),
        (
            "v",
            'v',
            &["low_i16x8_s", "low_i16x8_u", "high_i16x8_s", "high_i16x8_u"],
            "i32x4.extend_?",
        ),
        (
            "v",
            'v',
            &["low_i32x4_s", "low_i32x4_u", "high_i32x4_s", "high_i32x4_u"],
            "i64x2.extend_?",
        ),
        ("v", 'v', &["s", "u"], "i16x8.extadd_pairwise_i8x16_? i32x4.extadd_pairwise_i16x8_?"),
        (
            "v",
            'v',
            &["s", "u"],
            "i32x4.trunc_sat_f32x4_? f32x4.convert_i32x4_? f64x2.convert_low_i32x4_?",
        ),
        ("v", 'v', &["s", "u"], "i32x4.trunc_sat_f64x2_?_zero"),
        ("v", 'v', &[], "v128.not i8x16.popcnt f32x4.demote_f64x2_zero f64x2.promote_low_f32x4"),
        ("vvv", 'v', &[], "v128.bitselect v128.bitselect v128.bitselect"),
        ("i", 'v', &[], "i8x16.splat i16x8.splat i32x4.splat"),
        ("j", 'v', &[], "i64x2.splat"),
        ("f", 'v', &[], "f32x4.splat"),
        ("d", 'v', &[], "f64x2.splat"),
        ("v", 'i', &["i8x16", "i16x8"], "?.extract_lane_s# ?.extract_lane_u#"),
        ("v", 'i', &[], "i32x4.extract_lane#"),
        ("v", 'j', &[], "i64x2.extract_lane# i64x2.extract_lane# i64x2.extract_lane#"),
        ("v", 'f', &[], "f32x4.extract_lane#"),
        ("v", 'd', &[], "f64x2.extract_lane#"),
        ("vi", 'v', &["i8x16", "i16x8", "i32x4"], "?.replace_lane#"),
        ("vj", 'v', &[], "i64x2.replace_lane#"),
        ("vf", 'v', &[], "f32x4.replace_lane#"),
        ("vd", 'v', &[], "f64x2.replace_lane#"),
        (
            "ii",
            'i',
            &["add", "sub", "mul", "and", "or", "xor", "shl", "shr_s", "shr_u", "rotl", "rotr"],
            "i32.?",
        ),
        (
            "jj",
            'j',
            &["add", "sub", "mul", "and", "or", "xor", "shl", "shr_s", "shr_u", "rotl", "rotr"],
            "i64.?",
        ),
        (
            "ii",
            'i',
            &["eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"],
            "i32.?",
        ),
        (
            "jj",
            'i',
            &["eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"],
            "i64.?",
        ),
        ("i", 'i', &["clz", "ctz", "popcnt", "eqz", "extend8_s", "extend16_s"], "i32.?"),
        ("j", 'j', &["clz", "ctz", "popcnt", "extend8_s", "extend16_s", "extend32_s"], "i64.?"),
        ("j", 'i', &[], "i64.eqz i32.wrap_i64"),
        ("i", 'j', &[], "i64.extend_i32_s i64.extend_i32_u"),
        ("ff", 'f', &["add", "sub", "mul", "div", "min", "max", "copysign"], "f32.?"),
        ("dd", 'd', &["add", "sub", "mul", "div", "min", "max", "copysign"], "f64.?"),
        ("f", 'f', &["abs", "neg", "sqrt", "ceil", "floor", "trunc", "nearest"], "f32.?"),
        ("d", 'd', &["abs", "neg", "sqrt", "ceil", "floor", "trunc", "nearest"], "f64.?"),
        ("ff", 'i', &["eq", "ne", "lt", "gt", "le", "ge"], "f32.?"),
        ("dd", 'i', &["eq", "ne", "lt", "gt", "le", "ge"], "f64.?"),
        ("f", 'i', &["s", "u"], "i32.trunc_sat_f32_? i32.reinterpret_f32"),
        ("d", 'j', &["s", "u"], "i64.trunc_sat_f64_? i64.reinterpret_f64"),
        ("j", 'f', &["s", "u"], "f32.convert_i64_?"),
        ("i", 'd', &["s", "u"], "f64.convert_i32_?"),
        ("i", 'f', &[], "f32.reinterpret_i32"),
        ("j", 'd', &[], "f64.reinterpret_i64"),
        ("d", 'f', &[], "f32.demote_f64"),
        ("f", 'd', &[], "f64.promote_f32"),
        ("vvi", 'v', &[], "select"),
        ("iii", 'i', &[], "select"),
        ("jji", 'j', &[], "select"),
        ("ffi", 'f', &[], "select"),
        ("ddi", 'd', &[], "select"),
    ];
    let mut operators = Vec::new();
    for (operands, result, list, names) in rows {
        for name in names.split(' ') {
            let each = if name.contains('?') { *list } else { &[""] };
            operators.extend(each.iter().map(|one| Operator {
                name: name.replace('?', one),
                operands: operands.chars().map(ty).collect(),
                result: ty(*result),
            }));
        }
    }
    operators
}

/// Whether an operator's NaNs are any that the specification allows.
fn makes_nans(name: &str) -> bool {
    let Some((shape, name)) = name.split_once('.') else { return false };
    let names =
        ["add", "sub", "mul", "div", "min", "max", "sqrt", "ceil", "floor", "trunc", "nearest"];
    shape.starts_with('f')
        && (names.contains(&name) || name.starts_with("demote") || name.starts_with("promote"))
}

/// Loads of each type, and the bytes that they access.
const LOADS: [&[(&str, u32)]; 5] = [
    &[
        ("i32.load", 4),
        ("i32.load8_s", 1),
        ("i32.load8_u", 1),
        ("i32.load16_s", 2),
        ("i32.load16_u", 2),
    ],
    &[
        ("i64.load", 8),
        ("i64.load8_u", 1),
        ("i64.load16_s", 2),
        ("i64.load32_s", 4),
        ("i64.load32_u", 4),
    ],
    &[("f32.load", 4)],
    &[("f64.load", 8)],
    &[
        ("v128.load", 16),
        ("v128.load", 16),
        ("v128.load", 16),
        ("v128.load8x8_s", 8),
        ("v128.load8x8_u", 8),
        ("v128.load16x4_s", 8),
        ("v128.load16x4_u", 8),
        ("v128.load32x2_s", 8),
        ("v128.load32x2_u", 8),
        ("v128.load8_splat", 1),
        ("v128.load16_splat", 2),
        ("v128.load32_splat", 4),
        ("v128.load64_splat", 8),
        ("v128.load32_zero", 4),
        ("v128.load64_zero", 8),
    ],
];

const STORES: [&[(&str, u32)]; 5] = [
    &[("i32.store", 4), ("i32.store8", 1), ("i32.store16", 2)],
    &[("i64.store", 8), ("i64.store32", 4), ("i64.store8", 1)],
    &[("f32.store", 4)],
    &[("f64.store", 8)],
    &[("v128.store", 16)],
];

/// Accesses to a lane of so many bytes.
const LANES: [(u32, usize); 4] = [(8, 16), (16, 8), (32, 4), (64, 2)];

struct Generator {
    random: Random,
    operators: Vec<Operator>,
    text: String,
}

impl Generator {
    fn local(&mut self, ty: usize) -> String {
        let (name, count) = TYPES[ty];
        format!("${name}_{}", self.random.below(count))
    }

    fn constant(&mut self, ty: usize) {
        let integer = self.random.integer();
        let _ = match TYPES[ty].0 {
            "i32" => write!(self.text, "(i32.const {})", integer as i32),
            "i64" => write!(self.text, "(i64.const {})", integer as i64),
            "v128" => {
                // Vectors that compilers know: zero, all ones, a splat.
                let (low, high) = match self.random.below(4) {
                    0 => (integer, self.random.integer()),
                    1 => (0, 0),
                    2 => (u64::MAX, u64::MAX),
                    _ => (integer, integer),
                };
                write!(self.text, "(v128.const i64x2 {} {})", low as i64, high as i64)
            }
            name => {
                let value =
                    *self.random.pick(&["0", "-0", "1", "-1.5", "inf", "nan", "1e30", "0x1p31"]);
                write!(self.text, "({name}.const {value})")
            }
        };
    }

    /// An address for so many bytes, nearly always in bounds, and the offset before it.
    fn address(&mut self, bytes: u32, depth: usize, before: &str) {
        let offset = [0, 16, 40_000][self.random.below(3)];
        let _ = write!(self.text, "({before} offset={offset}");
        self.text.push(' ');
        match self.random.below(24) {
            0 => self.expression(0, depth.saturating_sub(1)),
            1..4 => {
                let at = self.random.below((PAGE - 40_000 - bytes) as usize + 1);
                let _ = write!(self.text, "(i32.const {at})");
            }
            _ => {
                self.text.push_str("(i32.and (i32.const 0x5fff) ");
                self.expression(0, depth.saturating_sub(2));
                self.text.push(')');
            }
        }
        self.text.push(' ');
    }

    /// A lane's immediate, for a shape like `i16x8` or a lane's width.
    fn lane(&mut self, lanes: usize) -> usize {
        self.random.below(lanes)
    }

    fn expression(&mut self, ty: usize, depth: usize) {
        if depth == 0 || self.random.one_in(8) {
            if self.random.one_in(4) {
                return self.constant(ty);
            }
            let local = self.local(ty);
            let _ = write!(self.text, "(local.get {local})");
            return;
        }
        match self.random.below(12) {
            0 => {
                let (load, bytes) = *self.random.pick(LOADS[ty]);
                self.address(bytes, depth, load);
                self.text.push(')');
            }
            1 => {
                let local = self.local(ty);
                let _ = write!(self.text, "(local.tee {local} ");
                self.expression(ty, depth - 1);
                self.text.push(')');
            }
            2 if ty == V128 => {
                let (width, lanes) = *self.random.pick(&LANES);
                let lane = self.lane(lanes);
                // The lane's number comes after the offset.
                let start = self.text.len();
                self.address(width / 8, depth, &format!("v128.load{width}_lane"));
                let at = start + self.text[start..].find("offset=").expect("an offset");
                let end = at + self.text[at..].find(' ').expect("a space");
                self.text.insert_str(end, &format!(" {lane}"));
                self.expression(V128, depth - 1);
                self.text.push(')');
            }
            3 if ty == V128 => {
                self.text.push_str("(i8x16.shuffle");
                // Some are of whole lanes, which have instructions of their own.
                let unit = 1 << self.random.below(4);
                for _ in 0..16 / unit {
                    let first = self.random.below(32 / unit) * unit;
                    (0..unit).for_each(|i| {
                        let _ = write!(self.text, " {}", first + i);
                    });
                }
                self.expression(V128, depth - 1);
                self.expression(V128, depth - 1);
                self.text.push(')');
            }
            _ => self.operator(ty, depth),
        }
    }

    fn operator(&mut self, ty: usize, depth: usize) {
        let (name, operands) = loop {
            let at = self.random.below(self.operators.len());
            let operator = &self.operators[at];
            if operator.result == ty {
                break (operator.name.clone(), operator.operands.clone());
            }
        };
        let lanes = name.split(['x', '.']).nth(1).and_then(|lanes| lanes.parse().ok());
        let name = match (name.strip_suffix('#'), lanes) {
            (Some(name), Some(lanes)) => format!("{name} {}", self.lane(lanes)),
            _ => name,
        };
        let canonical = makes_nans(&name);
        let shape = &name[..name.find('.').unwrap_or(0)];
        if canonical {
            let select = if ty == V128 { "v128.bitselect" } else { "select" };
            let _ = write!(self.text, "({select} (local.tee $nan_{} ", TYPES[ty].0);
        }
        let _ = write!(self.text, "({name} ");
        for operand in operands {
            self.expression(operand, depth - 1);
        }
        self.text.push(')');
        if canonical {
            let nan = match shape {
                "f32x4" => "(v128.const f32x4 nan nan nan nan)".to_string(),
                "f64x2" => "(v128.const f64x2 nan nan)".to_string(),
                shape => format!("({shape}.const nan)"),
            };
            let get = format!("(local.get $nan_{})", TYPES[ty].0);
            let _ = write!(self.text, ") {nan} ({shape}.eq {get} {get}))");
        }
        self.text.push('\n');
    }

    fn statement(&mut self, depth: usize, nesting: usize) {
        let ty = if self.random.one_in(2) { V128 } else { self.random.below(5) };
        match self.random.below(10) {
            0 => {
                let (store, bytes) = *self.random.pick(STORES[ty]);
                self.address(bytes, depth, store);
                self.expression(ty, depth);
                self.text.push(')');
            }
            1 if nesting > 0 => {
                self.text.push_str("(if ");
                self.expression(0, depth);
                self.text.push_str("(then ");
                self.statement(depth, nesting - 1);
                self.text.push_str(") (else ");
                self.statement(depth, nesting - 1);
                self.text.push_str("))");
            }
            2 if nesting > 0 => {
                self.text.push_str("(block ");
                self.statement(depth, nesting - 1);
                self.text.push_str("(br_if 0 ");
                self.expression(0, depth);
                self.text.push(')');
                self.statement(depth, nesting - 1);
                self.text.push(')');
            }
            3 if nesting > 0 => {
                let _ = write!(self.text, "(local.set $count_{nesting} (i32.const 3)) (loop ");
                self.statement(depth, nesting - 1);
                self.statement(depth, nesting - 1);
                let _ = write!(
                    self.text,
                    "(br_if 0 (local.tee $count_{nesting}
                        (i32.sub (local.get $count_{nesting}) (i32.const 1)))))"
                );
            }
            4 => {
                let _ = write!(self.text, "(global.set ${} ", TYPES[ty].0);
                self.expression(ty, depth);
                self.text.push(')');
            }
            _ => {
                let local = self.local(ty);
                let _ = write!(self.text, "(local.set {local} ");
                self.expression(ty, depth);
                self.text.push(')');
            }
        }
        self.text.push('\n');
    }

    fn function(&mut self, index: usize) {
        const NESTING: usize = 3;
        let _ = write!(self.text, "(func (export \"{index}\")");
        for (name, count) in TYPES {
            let params = count.div_ceil(2);
            (0..params).for_each(|i| {
                let _ = write!(self.text, " (param ${name}_{i} {name})");
            });
        }
        self.text.push_str(" (result v128 v128 v128 i32 i64 f32 f64)\n");
        for (name, count) in TYPES {
            (count.div_ceil(2)..count).for_each(|i| {
                let _ = write!(self.text, " (local ${name}_{i} {name})");
            });
            let _ = write!(self.text, " (local $nan_{name} {name})");
        }
        (0..=NESTING).for_each(|i| {
            let _ = write!(self.text, " (local $count_{i} i32)");
        });
        self.text.push('\n');
        let depth = 1 + self.random.below(5);
        for _ in 0..2 + self.random.below(8) {
            self.statement(depth, NESTING);
        }
        // Values that stay on the stack while others are made.
        for ty in [V128, V128, V128, 0, 1, 2, 3] {
            self.expression(ty, depth);
        }
        self.text.push_str(")\n");
    }
}

/// A module in the binary format.
pub fn module(seed: u64) -> Vec<u8> {
    let random = Random::new(seed.rotate_left(32) ^ 0x5eed);
    let mut generator = Generator { random, operators: operators(), text: String::new() };
    generator.text.push_str("(module (memory (export \"memory\") 1)\n");
    for (name, _) in TYPES {
        let zero = if name == "v128" { "i64x2 0 0" } else { "0" };
        let text =
            format!("(global ${name} (export \"{name}\") (mut {name}) ({name}.const {zero}))\n");
        generator.text.push_str(&text);
    }
    let data: String =
        (0..1024).map(|_| format!("\\{:02x}", generator.random.bits() as u8)).collect();
    for at in [0, 20_000, 40_000, 60_000] {
        let _ = writeln!(generator.text, "(data (i32.const {at}) \"{data}\")");
    }
    for index in 0..4 {
        generator.function(index);
    }
    generator.text.push(')');
    wat::parse_str(&generator.text).unwrap_or_else(|error| panic!("seed {seed}: {error}"))
}
