//! Scalar types as tests write them, and the values of each at which mistakes are likely.
//!
//! Each test binary uses a part of this.
#![allow(dead_code)]

use wasm_mini::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ty {
    I32,
    I64,
    F32,
    F64,
}

impl Ty {
    pub const ALL: [Ty; 4] = [Ty::I32, Ty::I64, Ty::F32, Ty::F64];

    pub fn name(self) -> &'static str {
        match self {
            Ty::I32 => "i32",
            Ty::I64 => "i64",
            Ty::F32 => "f32",
            Ty::F64 => "f64",
        }
    }

    pub fn value(self, bits: u64) -> Value {
        match self {
            Ty::I32 => Value::I32(bits as i32),
            Ty::I64 => Value::I64(bits as i64),
            Ty::F32 => Value::F32(f32::from_bits(bits as u32)),
            Ty::F64 => Value::F64(f64::from_bits(bits)),
        }
    }

    /// A constant operator; those of floats say every bit.
    pub fn constant(self, bits: u64) -> String {
        match self {
            Ty::I32 => format!("(i32.const {})", bits as i32),
            Ty::I64 => format!("(i64.const {})", bits as i64),
            Ty::F32 => {
                let sign = if bits >> 31 == 1 { "-" } else { "" };
                let value = f32::from_bits(bits as u32 & !(1 << 31));
                match value.is_nan() {
                    true => format!("(f32.const {sign}nan:{:#x})", bits & 0x007f_ffff),
                    false => format!("(f32.const {sign}{value:e})"),
                }
            }
            Ty::F64 => {
                let sign = if bits >> 63 == 1 { "-" } else { "" };
                let value = f64::from_bits(bits & !(1 << 63));
                match value.is_nan() {
                    true => format!("(f64.const {sign}nan:{:#x})", bits & ((1 << 52) - 1)),
                    false => format!("(f64.const {sign}{value:e})"),
                }
            }
        }
    }

    /// Limits, powers of two and their neighbours, shift counts, and NaNs of every kind.
    pub fn edges(self) -> &'static [u64] {
        match self {
            Ty::I32 => &I32,
            Ty::I64 => &I64,
            Ty::F32 => &F32,
            Ty::F64 => &F64,
        }
    }
}

/// A scalar's bits.
pub fn bits(value: &Value) -> u64 {
    match value {
        Value::I32(value) => u64::from(*value as u32),
        Value::I64(value) => *value as u64,
        Value::F32(value) => u64::from(value.to_bits()),
        Value::F64(value) => value.to_bits(),
        other => panic!("{other:?} is no scalar"),
    }
}

const I32: [u64; 24] = [
    0,
    1,
    0xffff_ffff,
    2,
    0xffff_fffe,
    7,
    31,
    32,
    33,
    64,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x1_0000,
    0x5555_5555,
    0xdead_beef,
    0x4000_0000,
    0x8000_0000,
    0x7fff_ffff,
    0x8000_0001,
    0x7fff_fffe,
];

const I64: [u64; 28] = [
    0,
    1,
    u64::MAX,
    2,
    u64::MAX - 1,
    7,
    31,
    32,
    63,
    64,
    65,
    0x80,
    0xff,
    0x8000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0xffff_ffff_8000_0000,
    0xffff_ffff_7fff_ffff,
    0x0123_4567_89ab_cdef,
    0xfedc_ba98_7654_3210,
    1 << 53,
    (1 << 53) + 1,
    i64::MAX as u64,
    1 << 63,
    (1 << 63) + 1,
    (1 << 62) - 1,
];

/// Each is followed by its neighbours where a conversion or a rounding changes there.
const F32: [u64; 46] = [
    0x0000_0000, // 0
    0x8000_0000, // -0
    0x3f80_0000, // 1
    0xbf80_0000, // -1
    0xbf7f_ffff, // -1 + 1 ulp
    0x3f7f_ffff, // 1 - 1 ulp
    0x3f00_0000, // 0.5
    0xbf00_0000, // -0.5
    0x3eff_ffff, // 0.5 - 1 ulp
    0x3fc0_0000, // 1.5
    0xbfc0_0000, // -1.5
    0x4020_0000, // 2.5
    0xc060_0000, // -3.5
    0x4049_0fdb, // π
    0x4b00_0000, // 2^23
    0x4aff_ffff, // 2^23 - 0.5
    0xcaff_ffff, // -2^23 + 0.5
    0x4b80_0001, // 2^24 + 2
    0x4f00_0000, // 2^31
    0x4eff_ffff,
    0x4f00_0001,
    0xcf00_0000, // -2^31
    0xceff_ffff,
    0xcf00_0001,
    0x4f80_0000, // 2^32
    0x4f7f_ffff,
    0x5f00_0000, // 2^63
    0x5eff_ffff,
    0xdf00_0000, // -2^63
    0xdf00_0001,
    0x5f80_0000, // 2^64
    0x5f7f_ffff,
    0x0000_0001, // the least subnormal
    0x8000_0001,
    0x007f_ffff, // the largest subnormal
    0x0080_0000, // the least normal
    0x7f7f_ffff, // the largest
    0xff7f_ffff,
    0x7f80_0000, // ∞
    0xff80_0000, // -∞
    0x7fc0_0000, // canonical NaN
    0xffc0_0000,
    0x7fa0_0001, // signalling
    0xff80_0001,
    0x7fc0_dead, // quiet with a payload
    0xffff_ffff,
];

const F64: [u64; 52] = [
    0x0000_0000_0000_0000, // 0
    0x8000_0000_0000_0000, // -0
    0x3ff0_0000_0000_0000, // 1
    0xbff0_0000_0000_0000, // -1
    0xbfef_ffff_ffff_ffff, // -1 + 1 ulp
    0x3fef_ffff_ffff_ffff, // 1 - 1 ulp
    0x3fe0_0000_0000_0000, // 0.5
    0xbfe0_0000_0000_0000, // -0.5
    0x3fdf_ffff_ffff_ffff, // 0.5 - 1 ulp
    0x3ff8_0000_0000_0000, // 1.5
    0xbff8_0000_0000_0000, // -1.5
    0x4004_0000_0000_0000, // 2.5
    0xc00c_0000_0000_0000, // -3.5
    0x4009_21fb_5444_2d18, // π
    0x4330_0000_0000_0000, // 2^52
    0x432f_ffff_ffff_ffff, // 2^52 - 0.5
    0xc32f_ffff_ffff_ffff, // -2^52 + 0.5
    0x4340_0000_0000_0001, // 2^53 + 2
    0x41e0_0000_0000_0000, // 2^31
    0x41df_ffff_ffff_ffff,
    0x41df_ffff_ffc0_0000, // 2^31 - 1
    0xc1e0_0000_0000_0000, // -2^31
    0xc1e0_0000_001f_ffff, // -2^31 - 1 + 1 ulp
    0xc1e0_0000_0020_0000, // -2^31 - 1
    0x41f0_0000_0000_0000, // 2^32
    0x41ef_ffff_ffff_ffff,
    0x43e0_0000_0000_0000, // 2^63
    0x43df_ffff_ffff_ffff,
    0xc3e0_0000_0000_0000, // -2^63
    0xc3e0_0000_0000_0001,
    0x43f0_0000_0000_0000, // 2^64
    0x43ef_ffff_ffff_ffff,
    0x47ef_ffff_e000_0000, // the largest f32
    0x47ef_ffff_f000_0000, // halfway to the next, which there is none of
    0x47ef_ffff_efff_ffff,
    0x36a0_0000_0000_0000, // the least subnormal f32
    0x3690_0000_0000_0000, // half of it
    0x3690_0000_0000_0001,
    0x3810_0000_0000_0000, // the least normal f32
    0x380f_ffff_c000_0000, // the largest subnormal f32
    0x0000_0000_0000_0001, // the least subnormal
    0x000f_ffff_ffff_ffff, // the largest subnormal
    0x0010_0000_0000_0000, // the least normal
    0x7fef_ffff_ffff_ffff, // the largest
    0x7ff0_0000_0000_0000, // ∞
    0xfff0_0000_0000_0000, // -∞
    0x7ff8_0000_0000_0000, // canonical NaN
    0xfff8_0000_0000_0000,
    0x7ff4_0000_0000_0001, // signalling
    0xfff0_0000_0000_0001,
    0x7ff8_0000_dead_beef, // quiet with a payload
    0xffff_ffff_ffff_ffff,
];
