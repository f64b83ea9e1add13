//! What generated functions share, and the operators on it: a memory, globals, tables, and floats,
//! which need care to be comparable.
//!
//! - Addresses are mostly inside the memory, often at its end, now and then anywhere. Many have
//!   rubbish in the upper half of their register.
//! - Slot *i* of the table of callees never holds a function with a higher index, so that indirect
//!   calls of lower slots do not recurse.
//! - What arithmetic makes of NaNs is up to the machine: each result that is one is replaced.

use wasm_mini::ValType;

use super::{Function, MAX_COST};
use crate::common::Random;

/// An i64 of which these bits remain is an address in the first half page, with rubbish above it.
const NARROW: i64 = 0xffff_ffff_0000_7fff_u64 as i64;

/// The definitions that the functions of a module use, besides each other.
pub fn definitions(random: &mut Random, functions: usize) -> String {
    let names: String = (0..functions).map(|index| format!("$f{index} ")).collect();
    let slots = functions + 2;
    let limits = if random.one_in(2) { format!("{slots} {slots}") } else { slots.to_string() };
    let max = 1 + random.below(3);
    format!(
        r#"(memory (export "memory") 1 {max})
(data (i32.const 3) "a\00b\ffcdefgh\80\81")
(data (i32.const 65530) "\01\02\03\04\05\06")
(data $passive "0123456789abcdef")
(global $g_i32 (export "g_i32") (mut i32) (i32.const -5))
(global $g_i64 (export "g_i64") (mut i64) (i64.const 0x123456789abcdef))
(global $g_f32 (export "g_f32") (mut f32) (f32.const 1.5))
(global $g_f64 (export "g_f64") (mut f64) (f64.const -0.25))
(table $callees {limits} funcref)
(elem (table $callees) (i32.const 0) func {names})
(table $others 3 9 funcref)
(elem $segment func $f0 $f0)
(func $narrow (param i64) (result i32)
  (i32.wrap_i64 (i64.and (local.get 0) (i64.const {NARROW}))))
(func $peek (param i32) (result i32)
  (i32.add (i32.load8_s offset=3 (local.get 0)) (i32.load (local.get 0))))
"#
    )
}

impl Function<'_> {
    /// Pushes the index of an access.
    fn address(&mut self, depth: usize) {
        match self.random.below(14) {
            0..=3 => {
                self.value(ValType::I32, depth + 1);
                self.op("i32.const 0x7fff\ni32.and");
            }
            4 | 5 => self.wrapped_address(depth),
            6 | 7 => {
                self.value(ValType::I64, depth + 1);
                self.op("call $narrow");
            }
            8 => {
                let distance = self.distance();
                self.op(format!("i32.const {}", 65_536 - distance));
            }
            9 => {
                let distance = self.distance();
                self.op(format!(
                    "memory.size\ni32.const 16\ni32.shl\ni32.const {distance}\ni32.sub"
                ));
            }
            10 => {
                self.value(ValType::I32, depth + 1);
                self.op("if (result i32)");
                self.labels.push(super::Label::plain(&[ValType::I32]));
                self.wrapped_address(depth);
                self.op("else");
                self.value(ValType::I64, depth + 1);
                self.op("call $narrow");
                self.labels.pop();
                self.op("end");
            }
            11 => {
                self.wrapped_address(depth);
                self.wrapped_address(depth);
                self.value(ValType::I32, depth + 1);
                self.op("select");
            }
            12 => {
                let address = self.random.below(65_000);
                self.op(format!("i32.const {address}"));
            }
            _ => {
                self.value(ValType::I32, depth + 1);
                if !self.random.one_in(12) {
                    self.op("i32.const 0x1fff\ni32.and");
                }
            }
        }
    }

    fn wrapped_address(&mut self, depth: usize) {
        self.value(ValType::I64, depth + 1);
        self.op(format!("i64.const {NARROW}\ni64.and\ni32.wrap_i64"));
    }

    /// How far from the memory's end. With 8, everything fits.
    fn distance(&mut self) -> usize {
        let least = if self.random.one_in(5) { 0 } else { 8 };
        least + self.random.below(8)
    }

    fn offset(&mut self) -> u32 {
        match self.random.below(100) {
            0 => 65_528,
            1 => *self.random.pick(&[0x7fff_ffff, 0x8000_0000, 0xffff_ffff]),
            _ => *self.random.pick(&[0, 0, 0, 0, 0, 0, 0, 0, 1, 4, 8, 120, 130, 1000]),
        }
    }

    /// Pushes something that comes from what functions share.
    pub(super) fn shared_value(&mut self, ty: ValType, depth: usize) {
        let name = ty.name();
        match self.random.below(8) {
            0 | 1 => self.op(format!("global.get $g_{name}")),
            2 if ty == ValType::I32 => {
                let operators = ["memory.size", "table.size $callees", "table.size $others"];
                let operator = *self.random.pick(&operators);
                self.op(operator);
            }
            3 if ty == ValType::I32 => {
                self.wrapped_address(depth);
                self.op("call $peek");
            }
            4 if ty == ValType::I32 => {
                let slot = self.random.below(3);
                self.op(format!("i32.const {slot}\ntable.get $others\nref.is_null"));
            }
            _ => {
                self.address(depth);
                let offset = self.offset();
                let operators: &[&str] = match ty {
                    ValType::I32 => &["load", "load", "load8_s", "load8_u", "load16_s", "load16_u"],
                    ValType::I64 => &[
                        "load", "load", "load8_s", "load8_u", "load16_s", "load16_u", "load32_s",
                        "load32_u",
                    ],
                    _ => &["load"],
                };
                let operator = *self.random.pick(operators);
                self.op(format!("{name}.{operator} offset={offset}"));
            }
        }
    }

    /// Changes what functions share.
    pub(super) fn shared_statement(&mut self, depth: usize) {
        let ty = super::any_type(self.random);
        let name = ty.name();
        match self.random.below(16) {
            0..=3 => {
                self.value(ty, depth + 1);
                self.op(format!("global.set $g_{name}"));
            }
            4 => {
                self.value(ValType::I32, depth + 1);
                self.op("i32.const 1\ni32.and\nmemory.grow\ndrop");
            }
            5 | 6 => self.bulk(depth),
            7 => self.table_statement(depth),
            _ => {
                self.address(depth);
                self.value(ty, depth + 1);
                let offset = self.offset();
                let operators: &[&str] = match ty {
                    ValType::I32 => &["store", "store", "store8", "store16"],
                    ValType::I64 => &["store", "store", "store8", "store16", "store32"],
                    _ => &["store"],
                };
                let operator = *self.random.pick(operators);
                self.op(format!("{name}.{operator} offset={offset}"));
            }
        }
    }

    /// Pushes a length: a constant for which the operator may be made of loads and stores, or not.
    fn length(&mut self, depth: usize) {
        if self.random.one_in(3) {
            self.value(ValType::I64, depth + 1);
            self.op("call $narrow\ni32.const 0xff\ni32.and");
        } else {
            let length = if self.random.one_in(2) { 20 } else { 70 };
            let length = self.random.below(length);
            self.op(format!("i32.const {length}"));
        }
    }

    fn bulk(&mut self, depth: usize) {
        self.address(depth);
        match self.random.below(7) {
            0..=2 => {
                self.value(ValType::I32, depth + 1);
                self.length(depth);
                self.op("memory.fill");
            }
            3..=5 => {
                self.address(depth);
                self.length(depth);
                self.op("memory.copy");
            }
            _ => {
                let (from, length) = (self.random.below(11), self.random.below(6));
                self.op(format!("i32.const {from}\ni32.const {length}\nmemory.init $passive"));
                if self.random.one_in(40) {
                    self.op("data.drop $passive");
                }
            }
        }
    }

    fn table_statement(&mut self, depth: usize) {
        let (to, from) = (self.random.below(3), self.random.below(3));
        match self.random.below(7) {
            0 => {
                self.value(ValType::I32, depth + 1);
                self.op(format!("i32.const 1\ni32.and\ni32.const {from}\ntable.get $callees"));
                self.op("table.set $others");
            }
            1 => self.op("ref.null func\ni32.const 1\ntable.grow $others\ndrop"),
            2 => self.op(format!("i32.const {to}\nref.func $f0\ni32.const 1\ntable.fill $others")),
            3 => self.op(format!(
                "i32.const {to}\ni32.const {from}\ni32.const 1\ntable.copy $others $callees"
            )),
            4 => self.op(format!(
                "i32.const {to}\ni32.const 0\ni32.const 1\ntable.init $others $segment"
            )),
            5 if !self.callees.is_empty() => {
                let function = self.random.below(self.callees.len());
                let slot = function + self.random.below(self.callees.len() - function);
                self.op(format!("i32.const {slot}\nref.func $f{function}\ntable.set $callees"));
            }
            _ => self.op(format!("i32.const {to}\nref.null func\ntable.set $others")),
        }
    }

    /// Calls through the table; the results are on the stack. Returns the callee that it should be.
    pub(super) fn indirect_call(&mut self, depth: usize) -> Option<usize> {
        let expected = self.callee()?;
        let costs: u64 = self.callees.iter().map(|callee| callee.cost + 1).sum();
        if self.cost + self.times * costs > MAX_COST {
            return None;
        }
        let super::Signature { params, results, .. } = self.callees[expected].clone();
        self.values(&params, depth + 1);
        match self.random.below(100) {
            0 => self.op("i32.const 1000"),
            1..=4 => {
                let count = self.callees.len();
                self.value(ValType::I32, depth + 1);
                self.op(format!("i32.const {count}\ni32.rem_u"));
            }
            5..=50 => {
                let rubbish = self.random.integer() << 32;
                let index = (rubbish | expected as u64) as i64;
                self.op(format!("i64.const {index}\ncall $narrow"));
            }
            _ => self.op(format!("i32.const {expected}")),
        }
        let (params, results) = (super::list(&params), super::list(&results));
        self.op(format!("call_indirect $callees (param {params}) (result {results})"));
        self.cost += self.times * costs;
        Some(expected)
    }

    /// Floats computed with floats, or with integers.
    pub(super) fn float_arithmetic(&mut self, ty: ValType, depth: usize) {
        const BINARY: [&str; 7] = ["add", "sub", "mul", "div", "min", "max", "copysign"];
        const UNARY: [&str; 7] = ["abs", "neg", "ceil", "floor", "trunc", "nearest", "sqrt"];
        let name = ty.name();
        match self.random.below(8) {
            0 => {
                let from = if self.random.one_in(2) { ValType::I32 } else { ValType::I64 };
                let sign = *self.random.pick(&["s", "u"]);
                self.value(from, depth + 1);
                self.op(format!("{name}.convert_{}_{sign}", from.name()));
            }
            1 if ty == ValType::F32 => {
                self.value(ValType::F64, depth + 1);
                self.op("f32.demote_f64");
            }
            1 => {
                self.value(ValType::F32, depth + 1);
                self.op("f64.promote_f32");
            }
            2 | 3 => {
                self.value(ty, depth + 1);
                let operator = *self.random.pick(&UNARY);
                self.op(format!("{name}.{operator}"));
            }
            _ => {
                self.value(ty, depth + 1);
                self.value(ty, depth + 1);
                let operator = *self.random.pick(&BINARY);
                self.op(format!("{name}.{operator}"));
            }
        }
        let copy = self.copies[usize::from(ty == ValType::F64)];
        self.op(format!("local.tee {copy}\n{name}.const nan"));
        self.op(format!("local.get {copy}\nlocal.get {copy}\n{name}.eq\nselect"));
    }

    /// An integer that says something of a float.
    pub(super) fn of_float(&mut self, ty: ValType, depth: usize) {
        let from = if self.random.one_in(2) { ValType::F32 } else { ValType::F64 };
        let (name, from_name) = (ty.name(), from.name());
        self.value(from, depth + 1);
        match self.random.below(12) {
            0 if (ty, from) == (ValType::I32, ValType::F32) => self.op("i32.reinterpret_f32"),
            0 if (ty, from) == (ValType::I64, ValType::F64) => self.op("i64.reinterpret_f64"),
            1 | 2 if ty == ValType::I32 => {
                self.value(from, depth + 1);
                let operator = *self.random.pick(&["eq", "ne", "lt", "gt", "le", "ge"]);
                self.op(format!("{from_name}.{operator}"));
            }
            operator => {
                let sign = *self.random.pick(&["s", "u"]);
                let saturating = if operator == 3 { "" } else { "sat_" };
                self.op(format!("{name}.trunc_{saturating}{from_name}_{sign}"));
            }
        }
    }
}
