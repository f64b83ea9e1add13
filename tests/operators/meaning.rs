//! What each operator means, by Rust's own arithmetic where that is the same.

use wasm_mini::TrapCode::{
    self, IntegerDivideByZero, IntegerOverflow, InvalidConversionToInteger, MemoryOutOfBounds,
};

use crate::edges::Ty::{self, F32, F64, I32, I64};
use crate::{Bits, Expected, Nan, Operator, PAGE, Stored, Trap, is_nan, pattern};

/// A machine type that stands for a scalar type.
trait Scalar: Copy + 'static {
    const TY: Ty;
    fn from_bits(bits: u64) -> Self;
    fn to_bits(self) -> u64;
}

macro_rules! scalars {
    ($($rust:ty: $ty:ident, $from:expr, $to:expr;)*) => {
        $(impl Scalar for $rust {
            const TY: Ty = $ty;
            fn from_bits(bits: u64) -> $rust {
                $from(bits)
            }
            fn to_bits(self) -> u64 {
                $to(self)
            }
        }
        impl Meaning for $rust {
            const TY: Ty = $ty;
            fn expected(self, _: &[(Ty, u64)]) -> Expected {
                Bits($to(self))
            }
        }
        impl Meaning for Result<$rust, TrapCode> {
            const TY: Ty = $ty;
            fn expected(self, _: &[(Ty, u64)]) -> Expected {
                self.map_or_else(Trap, |value| Bits($to(value)))
            }
        })*
    };
}

scalars! {
    u32: I32, |bits| bits as u32, u64::from;
    i32: I32, |bits| bits as i32, |value| u64::from(value as u32);
    u64: I64, |bits| bits, |value| value;
    i64: I64, |bits| bits as i64, |value| value as u64;
    f32: F32, |bits| f32::from_bits(bits as u32), |value| u64::from(f32::to_bits(value));
    f64: F64, f64::from_bits, f64::to_bits;
    bool: I32, |bits| bits != 0, u64::from;
}

/// What an operator's meaning may return.
trait Meaning: 'static {
    const TY: Ty;
    fn expected(self, operands: &[(Ty, u64)]) -> Expected;
}

/// The result of arithmetic, which may be any of several NaNs.
struct Arithmetic<T>(T);

impl<T: Scalar> Meaning for Arithmetic<T> {
    const TY: Ty = T::TY;
    fn expected(self, operands: &[(Ty, u64)]) -> Expected {
        let bits = self.0.to_bits();
        let nan = |ty: Ty, bits: u64| match ty {
            F32 => f32::from_bits(bits as u32).is_nan(),
            F64 => f64::from_bits(bits).is_nan(),
            _ => false,
        };
        match nan(T::TY, bits) {
            false => Bits(bits),
            true => {
                let odd = |(ty, bits): &(Ty, u64)| nan(*ty, *bits) && !is_nan(*ty, *bits, true);
                Nan { canonical: !operands.iter().any(odd) }
            }
        }
    }
}

fn unary<A: Scalar, R: Meaning>(name: impl AsRef<str>, meaning: fn(A) -> R) -> Operator {
    Operator::new(name.as_ref(), &[A::TY], R::TY, move |bits| {
        meaning(A::from_bits(bits[0])).expected(&[(A::TY, bits[0])])
    })
}

fn binary<A: Scalar, R: Meaning>(name: impl AsRef<str>, meaning: fn(A, A) -> R) -> Operator {
    Operator::new(name.as_ref(), &[A::TY, A::TY], R::TY, move |bits| {
        let (a, b) = (A::from_bits(bits[0]), A::from_bits(bits[1]));
        meaning(a, b).expected(&[(A::TY, bits[0]), (A::TY, bits[1])])
    })
}

macro_rules! integers {
    ($name:literal, $u:ident, $s:ident) => {
        vec![
            unary(concat!($name, ".clz"), |a: $u| a.leading_zeros() as $u),
            unary(concat!($name, ".ctz"), |a: $u| a.trailing_zeros() as $u),
            unary(concat!($name, ".popcnt"), |a: $u| a.count_ones() as $u),
            unary(concat!($name, ".eqz"), |a: $u| a == 0),
            unary(concat!($name, ".extend8_s"), |a: $u| a as i8 as $s),
            unary(concat!($name, ".extend16_s"), |a: $u| a as i16 as $s),
            binary(concat!($name, ".add"), |a: $u, b| a.wrapping_add(b)),
            binary(concat!($name, ".sub"), |a: $u, b| a.wrapping_sub(b)),
            binary(concat!($name, ".mul"), |a: $u, b| a.wrapping_mul(b)),
            binary(concat!($name, ".and"), |a: $u, b| a & b),
            binary(concat!($name, ".or"), |a: $u, b| a | b),
            binary(concat!($name, ".xor"), |a: $u, b| a ^ b),
            binary(concat!($name, ".shl"), |a: $u, b| a.wrapping_shl(b as u32)),
            binary(concat!($name, ".shr_s"), |a: $s, b| a.wrapping_shr(b as u32)),
            binary(concat!($name, ".shr_u"), |a: $u, b| a.wrapping_shr(b as u32)),
            binary(concat!($name, ".rotl"), |a: $u, b| a.rotate_left(b as u32 % $u::BITS)),
            binary(concat!($name, ".rotr"), |a: $u, b| a.rotate_right(b as u32 % $u::BITS)),
            binary(concat!($name, ".div_s"), |a: $s, b| match b {
                0 => Err(IntegerDivideByZero),
                _ => a.checked_div(b).ok_or(IntegerOverflow),
            }),
            binary(concat!($name, ".div_u"), |a: $u, b| {
                a.checked_div(b).ok_or(IntegerDivideByZero)
            }),
            binary(concat!($name, ".rem_s"), |a: $s, b| match b {
                0 => Err(IntegerDivideByZero),
                _ => Ok(a.wrapping_rem(b)),
            }),
            binary(concat!($name, ".rem_u"), |a: $u, b| {
                a.checked_rem(b).ok_or(IntegerDivideByZero)
            }),
            binary(concat!($name, ".eq"), |a: $u, b| a == b),
            binary(concat!($name, ".ne"), |a: $u, b| a != b),
            binary(concat!($name, ".lt_s"), |a: $s, b| a < b),
            binary(concat!($name, ".lt_u"), |a: $u, b| a < b),
            binary(concat!($name, ".gt_s"), |a: $s, b| a > b),
            binary(concat!($name, ".gt_u"), |a: $u, b| a > b),
            binary(concat!($name, ".le_s"), |a: $s, b| a <= b),
            binary(concat!($name, ".le_u"), |a: $u, b| a <= b),
            binary(concat!($name, ".ge_s"), |a: $s, b| a >= b),
            binary(concat!($name, ".ge_u"), |a: $u, b| a >= b),
        ]
    };
}

macro_rules! floats {
    ($name:literal, $f:ident) => {
        vec![
            unary(concat!($name, ".abs"), |a: $f| a.abs()),
            unary(concat!($name, ".neg"), |a: $f| -a),
            unary(concat!($name, ".ceil"), |a: $f| Arithmetic(a.ceil())),
            unary(concat!($name, ".floor"), |a: $f| Arithmetic(a.floor())),
            unary(concat!($name, ".trunc"), |a: $f| Arithmetic(a.trunc())),
            unary(concat!($name, ".nearest"), |a: $f| Arithmetic(a.round_ties_even())),
            unary(concat!($name, ".sqrt"), |a: $f| Arithmetic(a.sqrt())),
            binary(concat!($name, ".copysign"), |a: $f, b| a.copysign(b)),
            binary(concat!($name, ".add"), |a: $f, b| Arithmetic(a + b)),
            binary(concat!($name, ".sub"), |a: $f, b| Arithmetic(a - b)),
            binary(concat!($name, ".mul"), |a: $f, b| Arithmetic(a * b)),
            binary(concat!($name, ".div"), |a: $f, b| Arithmetic(a / b)),
            binary(concat!($name, ".min"), |a: $f, b| {
                // Of the zeros, the negative one is less.
                let less = a < b || a == b && a.is_sign_negative();
                Arithmetic(if a.is_nan() || less { a } else { b })
            }),
            binary(concat!($name, ".max"), |a: $f, b| {
                let more = a > b || a == b && a.is_sign_positive();
                Arithmetic(if a.is_nan() || more { a } else { b })
            }),
            binary(concat!($name, ".eq"), |a: $f, b| a == b),
            binary(concat!($name, ".ne"), |a: $f, b| a != b),
            binary(concat!($name, ".lt"), |a: $f, b| a < b),
            binary(concat!($name, ".gt"), |a: $f, b| a > b),
            binary(concat!($name, ".le"), |a: $f, b| a <= b),
            binary(concat!($name, ".ge"), |a: $f, b| a >= b),
        ]
    };
}

/// The operators that both widths of integers have.
pub fn integers(ty: Ty) -> Vec<Operator> {
    match ty {
        I32 => integers!("i32", u32, i32),
        _ => integers!("i64", u64, i64),
    }
}

/// The operators that both widths of floats have.
pub fn floats(ty: Ty) -> Vec<Operator> {
    match ty {
        F32 => floats!("f32", f32),
        _ => floats!("f64", f64),
    }
}

/// A truncation and its saturating form. Rust's casts saturate, and give 0 for a NaN; f64 has every
/// value of f32, and the bounds that no value in range reaches.
macro_rules! truncations {
    ($($name:literal: $f:ident => $i:ident, above $low:expr, below $high:expr;)*) => {
        vec![$(
            unary($name.replace("SAT", ""), |a: $f| match f64::from(a) {
                a if a.is_nan() => Err(InvalidConversionToInteger),
                a if a.trunc() >= $low && a < $high => Ok(a as $i),
                _ => Err(IntegerOverflow),
            }),
            unary($name.replace("SAT", "_sat"), |a: $f| a as $i),
        )*]
    };
}

pub fn conversions() -> Vec<Operator> {
    const TWO_31: f64 = 2_147_483_648.0;
    const TWO_63: f64 = 9_223_372_036_854_775_808.0;
    let mut operators = truncations! {
        "i32.truncSAT_f32_s": f32 => i32, above -TWO_31, below TWO_31;
        "i32.truncSAT_f32_u": f32 => u32, above 0.0, below 2.0 * TWO_31;
        "i32.truncSAT_f64_s": f64 => i32, above -TWO_31, below TWO_31;
        "i32.truncSAT_f64_u": f64 => u32, above 0.0, below 2.0 * TWO_31;
        "i64.truncSAT_f32_s": f32 => i64, above -TWO_63, below TWO_63;
        "i64.truncSAT_f32_u": f32 => u64, above 0.0, below 2.0 * TWO_63;
        "i64.truncSAT_f64_s": f64 => i64, above -TWO_63, below TWO_63;
        "i64.truncSAT_f64_u": f64 => u64, above 0.0, below 2.0 * TWO_63;
    };
    operators.extend([
        unary("i32.wrap_i64", |a: u64| a as u32),
        unary("i64.extend_i32_s", |a: i32| i64::from(a)),
        unary("i64.extend_i32_u", |a: u32| u64::from(a)),
        unary("i64.extend32_s", |a: i64| i64::from(a as i32)),
        unary("f32.convert_i32_s", |a: i32| a as f32),
        unary("f32.convert_i32_u", |a: u32| a as f32),
        unary("f32.convert_i64_s", |a: i64| a as f32),
        unary("f32.convert_i64_u", |a: u64| a as f32),
        unary("f64.convert_i32_s", |a: i32| f64::from(a)),
        unary("f64.convert_i32_u", |a: u32| f64::from(a)),
        unary("f64.convert_i64_s", |a: i64| a as f64),
        unary("f64.convert_i64_u", |a: u64| a as f64),
        unary("f32.demote_f64", |a: f64| Arithmetic(a as f32)),
        unary("f64.promote_f32", |a: f32| Arithmetic(f64::from(a))),
        unary("i32.reinterpret_f32", |a: f32| a.to_bits()),
        unary("i64.reinterpret_f64", |a: f64| a.to_bits()),
        unary("f32.reinterpret_i32", |a: u32| f32::from_bits(a)),
        unary("f64.reinterpret_i64", |a: u64| f64::from_bits(a)),
    ]);
    operators
}

/// Variables, `drop` and `select`: no bit changes.
pub fn variables() -> Vec<Operator> {
    let mut operators = Vec::new();
    for ty in Ty::ALL {
        let name = ty.name();
        for text in [
            "{}".to_string(),
            "(local.tee $spare {})".to_string(),
            "(local.set $spare {}) (local.get $spare)".to_string(),
            format!("(global.set ${name} {{}}) (global.get ${name})"),
        ] {
            let mut operator = Operator::new("", &[ty], ty, |bits| Bits(bits[0]));
            operator.text = text;
            operators.push(operator);
        }
        let mut drop = Operator::new("", &[ty, ty], ty, |bits| Bits(bits[0]));
        drop.text = "{} (drop)".to_string();
        operators.push(drop);
        for select in ["select".to_string(), format!("select (result {name})")] {
            operators.push(Operator::new(&select, &[ty, ty, I32], ty, |bits| {
                Bits(if bits[2] != 0 { bits[0] } else { bits[1] })
            }));
        }
    }
    operators
}

/// Constant offsets of accesses, and indices that make addresses on both sides of the page's end.
const OFFSETS: [u64; 5] = [0, 3, 65_528, 0x8000_0000, 0xffff_ffff];
const INDICES: [u64; 14] = [
    0,
    1,
    5,
    8,
    12,
    4_000,
    65_527,
    65_528,
    65_532,
    65_534,
    65_535,
    65_536,
    0x8000_0000,
    0xffff_ffff,
];

pub fn loads() -> Vec<Operator> {
    type Extend = fn(u64) -> u64;
    let rows: [(&str, Ty, u64, Extend); 14] = [
        ("i32.load", I32, 4, |a| a),
        ("i32.load8_s", I32, 1, |a| u64::from(a as i8 as u32)),
        ("i32.load8_u", I32, 1, |a| a),
        ("i32.load16_s", I32, 2, |a| u64::from(a as i16 as u32)),
        ("i32.load16_u", I32, 2, |a| a),
        ("i64.load", I64, 8, |a| a),
        ("i64.load8_s", I64, 1, |a| a as i8 as u64),
        ("i64.load8_u", I64, 1, |a| a),
        ("i64.load16_s", I64, 2, |a| a as i16 as u64),
        ("i64.load16_u", I64, 2, |a| a),
        ("i64.load32_s", I64, 4, |a| a as i32 as u64),
        ("i64.load32_u", I64, 4, |a| a),
        ("f32.load", F32, 4, |a| a),
        ("f64.load", F64, 8, |a| a),
    ];
    let mut operators = Vec::new();
    for (name, ty, width, extend) in rows {
        for offset in OFFSETS {
            let name = format!("{name} offset={offset}");
            let mut operator = Operator::new(&name, &[I32], ty, move |bits| {
                let at = bits[0] + offset;
                if at + width > PAGE {
                    return Trap(MemoryOutOfBounds);
                }
                let bytes = (0..width).rev().map(|i| u64::from(pattern(at + i)));
                Bits(extend(bytes.fold(0, |word, byte| word << 8 | byte)))
            });
            operator.values = vec![INDICES.to_vec()];
            operators.push(operator);
        }
    }
    operators
}

pub fn stores() -> Vec<Operator> {
    let rows = [
        ("i32.store", I32, 4),
        ("i32.store8", I32, 1),
        ("i32.store16", I32, 2),
        ("i64.store", I64, 8),
        ("i64.store8", I64, 1),
        ("i64.store16", I64, 2),
        ("i64.store32", I64, 4),
        ("f32.store", F32, 4),
        ("f64.store", F64, 8),
    ];
    let mut operators = Vec::new();
    for (name, ty, width) in rows {
        for offset in OFFSETS {
            let name = format!("{name} offset={offset}");
            let mut operator = Operator::new(&name, &[I32, ty], ty, move |bits| {
                let at = bits[0] + offset;
                if at + width > PAGE {
                    return Trap(MemoryOutOfBounds);
                }
                Stored(at, bits[1].to_le_bytes()[..width as usize].to_vec())
            });
            operator.result = None;
            operator.values =
                vec![INDICES.to_vec(), ty.edges().iter().step_by(5).copied().collect()];
            operators.push(operator);
        }
    }
    operators
}
