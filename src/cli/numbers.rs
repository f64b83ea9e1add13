//! Numbers as text: what the text format of WebAssembly writes, read and printed.
//!
//! Integers take their full unsigned range too. Floats are handled as bits, so that the sign and
//! payload of a NaN survive. Nothing here knows arguments or functions.

use std::fmt::Write as _;

/// Why a text is no number of the wanted type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It does not read as one.
    Malformed,
    /// It reads as one, and the type cannot hold it.
    OutOfRange,
}

/// The two IEEE 754 formats: how many bits a number's fraction and exponent have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    fraction: u32,
    exponent: u32,
}

pub const F32: Format = Format { fraction: 23, exponent: 8 };
pub const F64: Format = Format { fraction: 52, exponent: 11 };

impl Format {
    fn sign(self) -> u64 {
        1 << (self.fraction + self.exponent)
    }

    fn infinity(self) -> u64 {
        ((1 << self.exponent) - 1) << self.fraction
    }

    /// The payload of the canonical NaN: the top bit of the fraction.
    pub fn canonical(self) -> u64 {
        1 << (self.fraction - 1)
    }

    fn bias(self) -> i64 {
        (1 << (self.exponent - 1)) - 1
    }

    /// The payload, if these bits are a NaN.
    pub fn nan_payload(self, bits: u64) -> Option<u64> {
        let payload = bits & ((1 << self.fraction) - 1);
        (bits & self.infinity() == self.infinity() && payload != 0).then_some(payload)
    }
}

/// Whether a command-line argument is a negative number rather than options.
pub fn looks_negative(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('-') else { return false };
    rest.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        || matches!(rest, "inf" | "nan")
        || rest.starts_with("nan:")
}

/// Reads an integer of that many bits, signed or unsigned, into the low bits.
pub fn parse_integer(text: &str, bits: u32) -> Result<u64, Problem> {
    let (negative, magnitude) = split_sign(text);
    let (radix, digits) = match magnitude.strip_prefix("0x").or(magnitude.strip_prefix("0X")) {
        Some(digits) => (16, digits),
        None => (10, magnitude),
    };
    let digits = plain_digits(digits, radix)?;
    // Only too many digits are left to go wrong.
    let magnitude = u64::from_str_radix(&digits, radix).map_err(|_| Problem::OutOfRange)?;
    let max = u64::MAX >> (64 - bits);
    let limit = if negative { max / 2 + 1 } else { max };
    match magnitude {
        magnitude if magnitude > limit => Err(Problem::OutOfRange),
        magnitude if negative => Ok(magnitude.wrapping_neg() & max),
        magnitude => Ok(magnitude),
    }
}

/// Reads a float into its bits: decimal, hexadecimal, `inf`, `nan` or `nan:0x…`.
pub fn parse_float(text: &str, format: Format) -> Result<u64, Problem> {
    let (negative, magnitude) = split_sign(text);
    let bits = if magnitude == "inf" {
        format.infinity()
    } else if magnitude == "nan" {
        format.infinity() | format.canonical()
    } else if let Some(payload) = magnitude.strip_prefix("nan:0x") {
        let payload = u64::from_str_radix(&plain_digits(payload, 16)?, 16);
        match payload {
            Ok(payload) if payload != 0 && payload < 1 << format.fraction => {
                format.infinity() | payload
            }
            _ => return Err(Problem::OutOfRange),
        }
    } else if let Some(number) = magnitude.strip_prefix("0x").or(magnitude.strip_prefix("0X")) {
        hexadecimal(number, format)?
    } else {
        decimal(magnitude, format)?
    };
    Ok(if negative { bits | format.sign() } else { bits })
}

/// Prints a float so that [`parse_float`] gives the same bits again.
pub fn print_float(bits: u64, format: Format) -> String {
    let mut text = String::new();
    if bits & format.sign() != 0 {
        text.push('-');
    }
    let magnitude = bits & !format.sign();
    match format.nan_payload(magnitude) {
        Some(payload) if payload == format.canonical() => text.push_str("nan"),
        Some(payload) => {
            let _ = write!(text, "nan:0x{payload:x}");
        }
        None => {
            // `Debug` is the shortest text that reads back, with an exponent where that is shorter.
            let number = match format {
                F32 => format!("{:?}", f32::from_bits(magnitude as u32)),
                _ => format!("{:?}", f64::from_bits(magnitude)),
            };
            text.push_str(number.strip_suffix(".0").unwrap_or(&number));
        }
    }
    text
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Digits without their separators: `_` may stand between two digits and nowhere else.
fn plain_digits(text: &str, radix: u32) -> Result<String, Problem> {
    let mut digits = String::with_capacity(text.len());
    let mut after_digit = false;
    for c in text.chars() {
        if c.is_digit(radix) {
            digits.push(c);
        } else if c != '_' || !after_digit {
            return Err(Problem::Malformed);
        }
        after_digit = c != '_';
    }
    if after_digit { Ok(digits) } else { Err(Problem::Malformed) }
}

/// Splits `12.5e3` at its exponent (`marker` in either case), then at its point.
fn float_parts(text: &str, marker: char) -> (&str, Option<&str>, Option<&str>) {
    let (mantissa, exponent) = match text.split_once([marker, marker.to_ascii_uppercase()]) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction), exponent),
        None => (mantissa, None, exponent),
    }
}

/// The whole part and the fraction, without separators. One of the two may be empty.
fn mantissa_digits(
    whole: &str,
    fraction: Option<&str>,
    radix: u32,
) -> Result<(String, String), Problem> {
    let digits = |text: &str| match text {
        "" => Ok(String::new()),
        text => plain_digits(text, radix),
    };
    let (whole, fraction) = (digits(whole)?, digits(fraction.unwrap_or(""))?);
    if whole.is_empty() && fraction.is_empty() {
        return Err(Problem::Malformed);
    }
    Ok((whole, fraction))
}

/// The exponent, kept far from where sums with it could overflow.
fn exponent(text: Option<&str>) -> Result<i64, Problem> {
    const FAR: i64 = i64::MAX / 4;
    let Some(text) = text else { return Ok(0) };
    let (negative, digits) = split_sign(text);
    let magnitude = plain_digits(digits, 10)?.parse().unwrap_or(FAR).min(FAR);
    Ok(if negative { -magnitude } else { magnitude })
}

fn decimal(text: &str, format: Format) -> Result<u64, Problem> {
    let (whole, fraction, exp) = float_parts(text, 'e');
    let (whole, fraction) = mantissa_digits(whole, fraction, 10)?;
    let plain = format!("{whole}.{fraction}e{}", exponent(exp)?);
    let bits = match format {
        F32 => u64::from(plain.parse::<f32>().map_err(|_| Problem::Malformed)?.to_bits()),
        _ => plain.parse::<f64>().map_err(|_| Problem::Malformed)?.to_bits(),
    };
    if bits == format.infinity() { Err(Problem::OutOfRange) } else { Ok(bits) }
}

/// Reads what stands behind `0x`, rounding to nearest, ties to even.
fn hexadecimal(text: &str, format: Format) -> Result<u64, Problem> {
    let (whole, fraction, exp) = float_parts(text, 'p');
    let (whole, fraction) = mantissa_digits(whole, fraction, 16)?;
    // The value is `mantissa * 2^scale`, and a little more if `more` is set.
    let mut mantissa = 0_u64;
    let mut scale = exponent(exp)?;
    let mut more = false;
    for (digits, is_fraction) in [(&whole, false), (&fraction, true)] {
        for digit in digits.chars().filter_map(|c| c.to_digit(16)) {
            if mantissa >> 60 == 0 {
                mantissa = mantissa << 4 | u64::from(digit);
                scale -= if is_fraction { 4 } else { 0 };
            } else {
                more |= digit != 0;
                scale += if is_fraction { 0 } else { 4 };
            }
        }
    }
    if mantissa == 0 {
        return Ok(0);
    }
    let leading = scale + i64::from(63 - mantissa.leading_zeros());
    if leading > format.bias() {
        return Err(Problem::OutOfRange);
    }
    // Below this exponent a number is subnormal: it has fewer bits, not a smaller exponent.
    let exponent = leading.max(1 - format.bias());
    let dropped = exponent - i64::from(format.fraction) - scale;
    let kept = if dropped <= 0 {
        mantissa << -dropped
    } else {
        // 127 bits are more than the mantissa has: nothing is kept of it, nor rounded up.
        let dropped = dropped.min(127) as u32;
        let wide = u128::from(mantissa);
        let (kept, rest) = (wide >> dropped, wide & ((1 << dropped) - 1));
        let half = 1 << (dropped - 1);
        let up = rest > half || rest == half && (more || kept & 1 == 1);
        kept as u64 + u64::from(up)
    };
    // `kept` holds the leading bit of a normal number, which adds the 1 that is left out here.
    let bits = (((exponent + format.bias() - 1) as u64) << format.fraction) + kept;
    if bits >= format.infinity() { Err(Problem::OutOfRange) } else { Ok(bits) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_take_both_ranges() {
        for (text, bits, expected) in [
            ("0", 32, Ok(0)),
            ("+7", 32, Ok(7)),
            ("-1", 32, Ok(0xffff_ffff)),
            ("0xffffffff", 32, Ok(0xffff_ffff)),
            ("-0x8000_0000", 32, Ok(0x8000_0000)),
            ("4294967296", 32, Err(Problem::OutOfRange)),
            ("-2147483649", 32, Err(Problem::OutOfRange)),
            ("18446744073709551615", 64, Ok(u64::MAX)),
            ("18446744073709551616", 64, Err(Problem::OutOfRange)),
            ("-9223372036854775808", 64, Ok(1 << 63)),
            ("-9223372036854775809", 64, Err(Problem::OutOfRange)),
            ("1_000", 64, Ok(1000)),
            ("_1", 64, Err(Problem::Malformed)),
            ("1_", 64, Err(Problem::Malformed)),
            ("1__0", 64, Err(Problem::Malformed)),
            ("", 64, Err(Problem::Malformed)),
            ("-", 64, Err(Problem::Malformed)),
            ("--1", 64, Err(Problem::Malformed)),
            ("0x", 64, Err(Problem::Malformed)),
            ("2.5", 64, Err(Problem::Malformed)),
            ("٣", 64, Err(Problem::Malformed)),
        ] {
            assert_eq!(parse_integer(text, bits), expected, "{text}");
        }
    }

    #[test]
    fn floats_are_what_the_text_format_writes() {
        for (text, expected) in [
            ("0x1.8p3", 12.0),
            ("0x1p-1074", f64::from_bits(1)),
            ("0x1p-1075", 0.0),
            ("0x1.1p-1075", f64::from_bits(1)),
            ("0x1.fffffffffffffp1023", f64::MAX),
            ("0x1.00000000000008p0", 1.0),
            ("0x1.000000000000080000000001p0", 1.0 + f64::EPSILON),
            ("0x1.00000000000018p0", 1.0 + 2.0 * f64::EPSILON),
            ("0x.8", 0.5),
            ("0x8.", 8.0),
            ("-0x0p9999999999999999999999", -0.0),
            ("0x123456789abcdef0123456789", 0x0012_3456_789a_bcdf_u64 as f64 * 2f64.powi(44)),
            ("1_0.2_5e1_0", 10.25e10),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e-99999999999999999999", 0.0),
            ("-inf", f64::NEG_INFINITY),
        ] {
            let bits = parse_float(text, F64).unwrap();
            assert_eq!(f64::from_bits(bits).to_bits(), expected.to_bits(), "{text}");
        }
        assert_eq!(parse_float("0x1.fffffep127", F32), Ok(u64::from(f32::MAX.to_bits())));
        assert_eq!(parse_float("-nan:0x1", F32), Ok(0xff80_0001));
        for (text, problem) in [
            ("1e999", Problem::OutOfRange),
            ("0x1p1024", Problem::OutOfRange),
            ("0x1.fffffffffffff8p1023", Problem::OutOfRange),
            ("0x1p99999999999999999999999", Problem::OutOfRange),
            ("nan:0x0", Problem::OutOfRange),
            ("nan:0x10000000000000", Problem::OutOfRange),
            ("", Problem::Malformed),
            (".", Problem::Malformed),
            ("0x", Problem::Malformed),
            ("0x.p1", Problem::Malformed),
            ("1e", Problem::Malformed),
            ("1e1.5", Problem::Malformed),
            ("infinity", Problem::Malformed),
            ("NaN", Problem::Malformed),
            ("1._5", Problem::Malformed),
        ] {
            assert_eq!(parse_float(text, F64), Err(problem), "{text}");
        }
    }

    #[test]
    fn printed_floats_read_back() {
        let mut bits = 1_u64;
        for _ in 0..20_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
            assert_eq!(parse_float(&print_float(bits, F64), F64), Ok(bits));
            let narrow = bits >> 32;
            assert_eq!(parse_float(&print_float(narrow, F32), F32), Ok(narrow));
        }
        for (number, text) in [(4.0, "4"), (-0.0, "-0"), (0.1, "0.1"), (1e300, "1e300")] {
            assert_eq!(print_float(f64::to_bits(number), F64), text);
        }
        assert_eq!(print_float(0x7fc0_0000, F32), "nan");
        assert_eq!(print_float(0xffc0_0001, F32), "-nan:0x400001");
    }

    #[test]
    fn options_are_not_negative_numbers() {
        for text in ["-1", "-.5", "-0x10", "-inf", "-nan", "-nan:0x1"] {
            assert!(looks_negative(text), "{text}");
        }
        for text in ["-i", "-info", "--tier", "-", "1", "-nano"] {
            assert!(!looks_negative(text), "{text}");
        }
    }
}
