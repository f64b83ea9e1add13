//! The functions that apply an operator: where each gets its operands from, and what it does with the
//! result.

use std::fmt::Write as _;

use crate::edges::Ty::{self, F32, F64, I32, I64};
use crate::{Operator, SCRATCH};

/// How a function that applies an operator gets its operands and what it does with the result.
///
/// The functions take the operands and a zero, which only they know to be one.
fn shapes(operator: &Operator) -> Vec<(String, String)> {
    let types = &operator.operands;
    let count = types.len();
    let get = |i: usize| format!("(local.get {i})");
    let gets: Vec<_> = (0..count).map(get).collect();
    let plain = operator.apply(&gets);
    let result = operator.result.map_or("", Ty::name);
    let each = |f: &dyn Fn(usize, Ty) -> String| -> Vec<String> {
        types.iter().enumerate().map(|(i, ty)| f(i, *ty)).collect()
    };
    let at = |i: usize| SCRATCH + 8 * i as u64;
    let store = |i: usize| {
        let ty = types[i].name();
        format!("({ty}.store offset={} (local.get {count}) (local.get {i})) ", at(i))
    };
    let load =
        |i: usize, ty: Ty| format!("({}.load offset={} (local.get {count}))", ty.name(), at(i));
    // The same bits, by a way that no compiler sees through.
    let computed = |i: usize, ty: Ty| {
        let (zero, zero64) = (get(count), format!("(i64.extend_i32_u (local.get {count}))"));
        match ty {
            I32 => format!("(i32.add (local.get {i}) {zero})"),
            I64 => format!("(i64.add (local.get {i}) {zero64})"),
            F32 => format!(
                "(f32.reinterpret_i32 (i32.or (i32.reinterpret_f32 (local.get {i})) {zero}))"
            ),
            F64 => format!(
                "(f64.reinterpret_i64 (i64.or (i64.reinterpret_f64 (local.get {i})) {zero64}))"
            ),
        }
    };
    let mut shapes = vec![("locals".to_string(), plain.clone())];
    // Where a compiler may or may not put it in the place of the call.
    shapes.push(("in a function".to_string(), format!("(call $operator {})", gets.join(" "))));
    let mut shape = |name: &str, body: String| shapes.push((name.to_string(), body));

    shape("computed", operator.apply(&each(&computed)));
    let stores: String = (0..count).map(store).collect();
    shape("loaded", stores.clone() + &operator.apply(&each(&load)));
    shape("called", operator.apply(&each(&|i, ty| format!("(call ${} {})", ty.name(), get(i)))));
    shape(
        "through blocks",
        operator.apply(&each(&|i, ty| {
            format!("(block (result {}) (br_if 0 {} {}) )", ty.name(), get(i), get(count))
        })),
    );
    for other in 0..count {
        let one = |f: &dyn Fn(usize, Ty) -> String| {
            each(&|i, ty| if i == other { f(i, ty) } else { get(i) })
        };
        shape(&format!("operand {other} computed"), operator.apply(&one(&computed)));
        shape(&format!("operand {other} loaded"), store(other) + &operator.apply(&one(&load)));
        let call = |i: usize, ty: Ty| format!("(call ${} {})", ty.name(), get(i));
        shape(&format!("operand {other} called"), operator.apply(&one(&call)));
        // Those before it were read before it overwrites their locals.
        let overwriting = |i: usize, ty: Ty| {
            let mut text = format!("(block (result {}) {} ", ty.name(), get(i));
            for (local, ty) in types.iter().enumerate().take(i + 1) {
                let _ = write!(text, "(local.set {local} ({}.const 77)) ", ty.name());
            }
            text + ")"
        };
        let all = each(&|i, ty| if i == other { overwriting(i, ty) } else { computed(i, ty) });
        shape(&format!("operand {other} overwrites, others computed"), operator.apply(&all));
        shape(&format!("operand {other} overwrites"), operator.apply(&one(&overwriting)));
    }
    if let Some(ty) = operator.result {
        shape("to a local", format!("(local.set $result {plain}) (local.get $result)"));
        shape("to a local and on", format!("(local.tee $result {plain})"));
        shape(
            "stored",
            format!(
                "({result}.store offset={SCRATCH} (local.get {count}) {plain})
                 ({result}.load offset={SCRATCH} (local.get {count}))"
            ),
        );
        shape("to a global", format!("(global.set ${result} {plain}) (global.get ${result})"));
        for (own, _) in types.iter().enumerate().filter(|(_, own)| **own == ty) {
            shape(
                &format!("over operand {own}"),
                format!("(local.set {own} {plain}) (local.get {own})"),
            );
        }
        shape("branched with", format!("(block (result {result}) (br 0 {plain}))"));
        let id = ty.name();
        shape("passed on", format!("(call ${id} {plain})"));
        if ty == I32 {
            shape("negated", format!("(i32.eqz (i32.eqz {plain}))"));
            shape(
                "if",
                format!("(if (result i32) {plain} (then (i32.const 1)) (else (i32.const 0)))"),
            );
            shape("select", format!("(select (i32.const 1) (local.get {count}) {plain})"));
            shape(
                "select of floats",
                format!("(i32.trunc_f64_s (select (f64.const 1) (f64.const 0) {plain}))"),
            );
            shape(
                "br_if",
                format!("(block (br_if 0 {plain}) (return (i32.const 0))) (i32.const 1)"),
            );
            shape(
                "br_if with a value",
                format!(
                    "(block (result i32) (br_if 0 (i32.const 1) {plain}) (drop) (i32.const 0))"
                ),
            );
            shape(
                "br_if not",
                format!("(block (br_if 0 (i32.eqz {plain})) (return (i32.const 1))) (i32.const 0)"),
            );
            shape(
                "br_table",
                format!(
                    "(block (block (br_table 0 1 {plain})) (return (i32.const 0))) (i32.const 1)"
                ),
            );
        }
    }
    shapes
}

/// Shapes whose result is 0 for 0 and 1 for all else.
pub const CONDITIONS: &[&str] = &[
    "negated",
    "if",
    "select",
    "select of floats",
    "br_if",
    "br_if with a value",
    "br_if not",
    "br_table",
];

/// How many integers and floats are alive around an operator under pressure.
const LIVE: usize = 17;

/// A function with many live values around the operator, which it returns the sum of too.
fn under_pressure(operator: &Operator) -> String {
    let count = operator.operands.len();
    let zero = format!("(local.get {count})");
    let mut text = String::new();
    for i in 0..LIVE {
        let _ =
            writeln!(text, "(i64.add (i64.extend_i32_u {zero}) (i64.const {}))", 1u64 << (i + 20));
        let _ = writeln!(text, "(f64.add (f64.convert_i32_u {zero}) (f64.const {}))", 1u64 << i);
    }
    let gets: Vec<_> = (0..count).map(|i| format!("(local.get {i})")).collect();
    let _ = writeln!(text, "{}", operator.apply(&gets));
    if operator.result.is_some() {
        text.push_str("(local.set $result)\n");
    }
    for _ in 0..LIVE {
        text.push_str("(local.set $float (f64.add (local.get $float))) ");
        text.push_str("(local.set $int (i64.add (local.get $int)))\n");
    }
    if operator.result.is_some() {
        text.push_str("(local.get $result) ");
    }
    text + "(i64.add (local.get $int) (i64.trunc_f64_u (local.get $float)))"
}

pub const PRESSURE_SUM: u64 = (((1 << LIVE) - 1) << 20) + (1 << LIVE) - 1;

/// One function of a module and the operands that it is for.
pub struct Function {
    pub name: String,
    pub body: String,
    /// What each operand is, if not a parameter's value.
    pub fixed: Vec<Option<u64>>,
    /// All operands are the first parameter.
    pub twice: bool,
}

/// All functions for an operator.
pub fn functions(operator: &Operator) -> Vec<Function> {
    let types = &operator.operands;
    let unfixed = vec![None; types.len()];
    let mut functions: Vec<_> = shapes(operator)
        .into_iter()
        .map(|(name, body)| Function { name, body, fixed: unfixed.clone(), twice: false })
        .collect();
    functions.push(Function {
        name: "pressure".to_string(),
        body: under_pressure(operator),
        fixed: unfixed.clone(),
        twice: false,
    });
    if types.len() > 1 && types.iter().all(|ty| *ty == types[0]) {
        let body = operator.apply(&vec!["(local.get 0)".to_string(); types.len()]);
        functions.push(Function {
            name: "twice".into(),
            body,
            fixed: unfixed.clone(),
            twice: true,
        });
    }
    let mut with_constants = |fixed: Vec<Option<u64>>| {
        let operands: Vec<_> = fixed
            .iter()
            .zip(types)
            .enumerate()
            .map(|(i, (fixed, ty))| match fixed {
                Some(bits) => ty.constant(*bits),
                None => format!("(local.get {i})"),
            })
            .collect();
        let body = operator.apply(&operands);
        // As a value and as a condition: constants and comparisons are joined with what follows.
        if operator.result == Some(I32) && types.len() > 1 {
            let name = format!("if {fixed:x?}");
            let body =
                format!("(if (result i32) {body} (then (i32.const 1)) (else (i32.const 0)))");
            functions.push(Function { name, body, fixed: fixed.clone(), twice: false });
        }
        functions.push(Function { name: format!("{fixed:x?}"), body, fixed, twice: false });
    };
    for (i, values) in operator.values.iter().enumerate() {
        for bits in values {
            let mut fixed = unfixed.clone();
            fixed[i] = Some(*bits);
            with_constants(fixed);
        }
    }
    if let [one, other] = &operator.values[..] {
        for a in one.iter().step_by(3) {
            for b in other.iter().step_by(4) {
                with_constants(vec![Some(*a), Some(*b)]);
            }
        }
    }
    functions
}

/// The module with all functions for an operator.
pub fn module(operator: &Operator, functions: &[Function]) -> String {
    let mut text = String::from("(module (memory (export \"memory\") 1)\n");
    for ty in [I32, I64, F32, F64] {
        let ty = ty.name();
        let _ = writeln!(text, "(global ${ty} (mut {ty}) ({ty}.const 0))");
        // With a `return`, so that no compiler puts it in the place of a call.
        let _ = writeln!(text, "(func ${ty} (param {ty}) (result {ty}) (return (local.get 0)))");
    }
    let own: Vec<_> = (0..operator.operands.len()).map(|i| format!("(local.get {i})")).collect();
    let types: Vec<_> = operator.operands.iter().map(|ty| ty.name()).collect();
    let result_type = operator.result.map(|ty| format!("(result {})", ty.name()));
    let _ = writeln!(
        text,
        "(func $operator (param {}) {} (local $spare {}) {})",
        types.join(" "),
        result_type.unwrap_or_default(),
        operator.operands[0].name(),
        operator.apply(&own)
    );
    let params: Vec<_> = operator.operands.iter().map(|ty| ty.name()).collect();
    let params = format!("(param {} i32)", params.join(" "));
    let result = operator.result.map(|ty| format!("(result {})", ty.name())).unwrap_or_default();
    let operand = operator.operands[0].name();
    let local = operator.result.map_or("i32", Ty::name);
    for function in functions {
        let Function { name, body, .. } = function;
        let sum = if name == "pressure" { "(result i64)" } else { "" };
        let _ = writeln!(
            text,
            "(func (export \"{name}\") {params} {result} {sum}
               (local $spare {operand}) (local $result {local}) (local $int i64) (local $float f64) {body})"
        );
    }
    // Unreachable code, with operands of its own and without.
    let gets: Vec<_> = (0..operator.operands.len()).map(|i| format!("(local.get {i})")).collect();
    for (name, operands) in [("dead", vec![]), ("dead with operands", gets)] {
        let _ = writeln!(
            text,
            "(func (export \"{name}\") {params} {result}
               (local $spare {operand}) (unreachable) {})",
            operator.apply(&operands)
        );
    }
    text + ")"
}
