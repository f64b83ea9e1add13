//! Functions of a few operators, one after the other, which compilers may put in the place of calls: what
//! they read, write and trap on is to be seen no less.

use wasm_mini::ValType;

use super::{Function, Signature, any_type, types};
use crate::common::Random;

/// The signature of such a function.
pub fn signature(random: &mut Random) -> Signature {
    let params = types(random, 5, 0);
    let least = usize::from(!random.one_in(4));
    let results = match params.last() {
        // What can be left as it came, several times.
        Some(ty) if random.one_in(5) => vec![*ty; 1 + random.below(3)],
        _ => types(random, 3, least),
    };
    Signature { params, results, cost: 0 }
}

impl Function<'_> {
    /// What it does first, now and then, and its results.
    pub(super) fn straight_body(&mut self) {
        if self.random.one_in(4) {
            self.straight_write();
        }
        let Signature { params, results, .. } = self.signature.clone();
        if let Some(ty) = params.last()
            && results.len() > 1
            && results.iter().all(|result| result == ty)
        {
            for _ in results {
                self.op(format!("local.get {}", params.len() - 1));
            }
            return;
        }
        for ty in results {
            self.straight_value(ty, 0);
        }
    }

    fn straight_write(&mut self) {
        let ty = any_type(self.random);
        let local = self.local_of(ty);
        match (self.random.below(4), local) {
            (0, Some(local)) => {
                self.straight_value(ty, 1);
                self.op(format!("local.set {local}"));
            }
            (1, _) => {
                self.straight_value(ty, 1);
                self.op(format!("global.set $g_{}", ty.name()));
            }
            _ => {
                self.straight_address();
                self.straight_value(ty, 1);
                self.op(format!("{}.store offset=5", ty.name()));
            }
        }
    }

    /// Mostly inside the memory, often at its end.
    fn straight_address(&mut self) {
        match self.random.below(4) {
            0 => self.op("i32.const 65530"),
            1 => self.straight_value(ValType::I32, 1),
            _ => {
                self.straight_value(ValType::I32, 1);
                self.op("i32.const 1023\ni32.and");
            }
        }
    }

    fn straight_value(&mut self, ty: ValType, depth: usize) {
        let name = ty.name();
        let choice = if depth > 2 { self.random.below(4) } else { self.random.below(12) };
        match choice {
            0 => {
                let number = self.random.below(64);
                self.op(format!("{name}.const {number}"));
            }
            1..=3 => match self.local_of(ty) {
                Some(local) => self.op(format!("local.get {local}")),
                None => self.op(format!("global.get $g_{name}")),
            },
            4 => {
                self.straight_address();
                self.op(format!("{name}.load"));
            }
            5 => {
                let other = any_type(self.random);
                self.straight_value(other, depth + 1);
                self.straight_conversion(other, ty);
            }
            6 => {
                self.straight_value(ty, depth + 1);
                self.straight_value(ty, depth + 1);
                self.straight_value(ValType::I32, depth + 1);
                self.op("select");
            }
            _ => {
                let integer =
                    ["add", "sub", "mul", "and", "xor", "shl", "shr_u", "rotl", "div_u", "rem_s"];
                // Whose NaNs have no bits of the machine's choice.
                let float = ["copysign"];
                let is_integer = matches!(ty, ValType::I32 | ValType::I64);
                self.straight_value(ty, depth + 1);
                self.straight_value(ty, depth + 1);
                let operator = self.random.pick(if is_integer { &integer[..] } else { &float });
                self.op(format!("{name}.{operator}"));
            }
        }
    }

    /// Makes a value of one type another's.
    fn straight_conversion(&mut self, from: ValType, to: ValType) {
        use ValType::{F32, F64, I32, I64};
        let operators: &[&str] = match (from, to) {
            (I32, I32) => &["i32.clz", "i32.extend8_s", "i32.eqz"],
            (I64, I64) => &["i64.popcnt", "i64.extend32_s"],
            (I64, I32) => &["i32.wrap_i64", "i64.eqz"],
            (I32, I64) => &["i64.extend_i32_s", "i64.extend_i32_u"],
            (F32, I32) => &["i32.trunc_f32_s", "i32.trunc_sat_f32_u", "i32.reinterpret_f32"],
            (F64, I32) => &["i32.trunc_f64_u", "i32.trunc_sat_f64_s"],
            (F32, I64) => &["i64.trunc_f32_u", "i64.trunc_sat_f32_s"],
            (F64, I64) => &["i64.trunc_f64_s", "i64.reinterpret_f64"],
            (I32, F32) => &["f32.convert_i32_s", "f32.reinterpret_i32"],
            (I64, F32) => &["f32.convert_i64_u"],
            (I32, F64) => &["f64.convert_i32_u"],
            (I64, F64) => &["f64.convert_i64_s", "f64.reinterpret_i64"],
            (F32, F32) => &["f32.neg", "f32.abs"],
            (F64, F64) => &["f64.neg", "f64.abs"],
            _ => {
                self.op("drop");
                return self.op(format!("{}.const 1", to.name()));
            }
        };
        let operator = *self.random.pick(operators);
        self.op(operator);
    }
}
