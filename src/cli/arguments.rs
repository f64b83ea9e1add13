//! A function's arguments and results as text, by its signature.
//!
//! Owns the messages about arguments. How a number is written is the business of [`numbers`].

use wasm_mini::{ValType, Value};

use super::exit::{Exit, Failure};
use super::input::Target;
use super::numbers::{self, F32, F64, Problem};

/// The arguments for a call of that function, or what is wrong with which.
pub fn parse(target: &Target, texts: &[String]) -> Result<Vec<Value>, Failure> {
    let params = target.ty.params();
    let usage = |message| Err(Failure::new(Exit::Usage, message));
    if texts.len() != params.len() {
        let plural = if params.len() == 1 { "" } else { "s" };
        let verb = if texts.len() == 1 { "was" } else { "were" };
        return usage(format!(
            "`{}` has the signature {}: it takes {} argument{plural}, and {} {verb} given",
            target.name,
            target.ty,
            params.len(),
            texts.len()
        ));
    }
    let mut values = Vec::with_capacity(params.len());
    for (i, (text, ty)) in texts.iter().zip(params).enumerate() {
        let which = format!("argument {} of `{}`", i + 1, target.name);
        match value(text, *ty) {
            None => {
                return usage(format!(
                    "{which} is of type {ty}, which cannot be given on the command line"
                ));
            }
            Some(Ok(value)) => values.push(value),
            Some(Err(problem)) => {
                let why = match problem {
                    Problem::Malformed => "is not one",
                    Problem::OutOfRange => "is out of its range",
                };
                return usage(format!("{which} must be {}; `{text}` {why}", expected(*ty)));
            }
        }
    }
    Ok(values)
}

/// Like [`parse`], for a command that can do without arguments: none are given, or all.
pub fn parse_some(target: &Target, texts: &[String]) -> Result<Vec<Value>, Failure> {
    if texts.is_empty() { Ok(Vec::new()) } else { parse(target, texts) }
}

/// The value of that type which the text writes; `None` for a type that has no text here.
fn value(text: &str, ty: ValType) -> Option<Result<Value, Problem>> {
    Some(match ty {
        ValType::I32 => numbers::parse_integer(text, 32).map(|bits| Value::I32(bits as i32)),
        ValType::I64 => numbers::parse_integer(text, 64).map(|bits| Value::I64(bits as i64)),
        ValType::F32 => {
            numbers::parse_float(text, F32).map(|bits| Value::F32(f32::from_bits(bits as u32)))
        }
        ValType::F64 => {
            numbers::parse_float(text, F64).map(|bits| Value::F64(f64::from_bits(bits)))
        }
        _ => return None,
    })
}

/// What a type's values look like, for a message.
fn expected(ty: ValType) -> &'static str {
    match ty {
        ValType::I32 => "an i32 (an integer from -2147483648 to 4294967295, such as 42 or 0xff)",
        ValType::I64 => {
            "an i64 (an integer from -9223372036854775808 to 18446744073709551615, such as 42 or \
             0xff)"
        }
        ValType::F32 => "an f32 (a number such as 0.5, 1e9, 0x1.8p3, inf, nan or nan:0x200000)",
        _ => "an f64 (a number such as 0.5, 1e9, 0x1.8p3, inf, nan or nan:0x4000000000000)",
    }
}

/// One value as text that [`parse`] reads back.
pub fn print(value: &Value) -> String {
    match value {
        Value::F32(number) => numbers::print_float(u64::from(number.to_bits()), F32),
        Value::F64(number) => numbers::print_float(number.to_bits(), F64),
        other => other.to_string(),
    }
}
