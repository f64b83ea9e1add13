//! Every scalar operator of WebAssembly 2.0 on edge values, in every shape that its operands and its
//! result may come in: compilers treat a constant, a local, a load and a result still in a register
//! each in a way of its own.
//!
//! What is expected is computed here from the specification's words. All tiers must give it, with what
//! the machine offers and as for processors that lack some of it. Where a NaN is the result
//! of arithmetic, any that the specification allows will do.

#[path = "../common/edges.rs"]
mod edges;
mod meaning;
#[path = "../common/native.rs"]
mod native;
mod shapes;

use std::cell::Cell;

use edges::Ty;
use native::{engines, engines_of_levels};
use wasm_mini::{Error, Func, Imports, Instance, Memory, TrapCode, Value};

use Expected::{Bits, Nan, Stored, Trap};
use TrapCode::Unreachable;
use Ty::{F32, F64, I32, I64};
use shapes::{CONDITIONS, Function, PRESSURE_SUM, functions, module};

/// What an operator must do.
#[derive(Clone, Debug, PartialEq)]
enum Expected {
    Bits(u64),
    /// A NaN of arithmetic; a canonical one if no operand is a NaN of another kind.
    Nan {
        canonical: bool,
    },
    Trap(TrapCode),
    /// These bytes are in memory from there on.
    Stored(u64, Vec<u8>),
}

/// What an operator does, on the bits of its operands.
type OnBits = dyn Fn(&[u64]) -> Expected;

/// An operator: how it is written around its operands, its types, and its meaning on bits.
struct Operator {
    /// `{}` stands for the operands.
    text: String,
    operands: Vec<Ty>,
    /// What each operand is tried with.
    values: Vec<Vec<u64>>,
    result: Option<Ty>,
    meaning: Box<OnBits>,
}

impl Operator {
    fn new(
        name: &str,
        operands: &[Ty],
        result: Ty,
        meaning: impl Fn(&[u64]) -> Expected + 'static,
    ) -> Operator {
        Operator {
            text: format!("({name} {{}})"),
            operands: operands.to_vec(),
            values: operands.iter().map(|ty| ty.edges().to_vec()).collect(),
            result: Some(result),
            meaning: Box::new(meaning),
        }
    }

    fn apply(&self, operands: &[String]) -> String {
        self.text.replace("{}", &operands.join(" "))
    }
}

/// Where loads read and stores write: a page of bytes that are all different from their neighbours.
fn pattern(at: u64) -> u8 {
    (at.wrapping_mul(167) ^ (at >> 8).wrapping_mul(29)) as u8
}

/// Where shapes keep operands and results; no address of an access is near.
const SCRATCH: u64 = 2048;
const PAGE: u64 = 65536;

/// Whether these bits are one of the NaNs of that type: the canonical ones, or all of arithmetic.
fn is_nan(ty: Ty, bits: u64, canonical: bool) -> bool {
    let (quiet, payload) = match ty {
        F32 => (0x7fc0_0000, 0x003f_ffff),
        _ => (0x7ff8 << 48, (1 << 51) - 1),
    };
    bits & quiet == quiet && (!canonical || bits & payload == 0)
}

/// Calls with all operands that are asked for.
struct Call<'c> {
    operator: &'c Operator,
    function: &'c Function,
    func: Func,
    memory: &'c Memory,
    what: &'c str,
    returned: &'c Cell<usize>,
    trapped: &'c Cell<usize>,
}

impl Call<'_> {
    fn check(&self, operands: &[u64]) {
        let Call { operator, function, func, .. } = self;
        let mut arguments: Vec<_> =
            operator.operands.iter().zip(operands).map(|(ty, bits)| ty.value(*bits)).collect();
        arguments.push(Value::I32(0));
        let mut meant: Vec<_> = operands
            .iter()
            .zip(&function.fixed)
            .map(|(given, fixed)| fixed.unwrap_or(*given))
            .collect();
        if function.twice {
            let first = meant[0];
            meant.fill(first);
        }
        let expected = (operator.meaning)(&meant);
        let outcome = match func.call(&arguments) {
            Ok(results) => Ok(results),
            Err(Error::Trap(trap)) => Err(trap.code()),
            Err(other) => panic!("{other}"),
        };
        let count = if outcome.is_ok() { self.returned } else { self.trapped };
        count.set(count.get() + 1);
        let name = &function.name;
        let fits = match (&expected, &outcome) {
            (Trap(code), Err(actual)) => code == actual,
            (Stored(at, bytes), Ok(_)) => self.stored(*at, bytes),
            (Bits(bits), Ok(results)) => {
                let is_condition = CONDITIONS.contains(&&**name) || name.starts_with("if [");
                let bits = if is_condition { u64::from(*bits != 0) } else { *bits };
                edges::bits(&results[0]) == bits
            }
            (Nan { canonical }, Ok(results)) => {
                let ty = operator.result.expect("a result");
                is_nan(ty, edges::bits(&results[0]), *canonical)
            }
            _ => false,
        };
        let intact = match &outcome {
            Ok(results) if name == "pressure" => {
                results.last() == Some(&Value::I64(PRESSURE_SUM as i64))
            }
            _ => true,
        };
        assert!(
            fits && intact,
            "{} {}, {name} {meant:x?}: {outcome:x?} instead of {expected:x?}\n{}",
            self.what,
            operator.text,
            function.body
        );
    }

    /// Whether exactly these bytes were written there; and puts the pattern back.
    fn stored(&self, at: u64, bytes: &[u8]) -> bool {
        let start = at.saturating_sub(8);
        let end = (at + bytes.len() as u64 + 8).min(PAGE);
        let mut expected: Vec<_> = (start..end).map(pattern).collect();
        let unwritten = expected.clone();
        let from = (at - start) as usize;
        expected[from..from + bytes.len()].copy_from_slice(bytes);
        let mut actual = vec![0; expected.len()];
        self.memory.read(start as u32, &mut actual).expect("in bounds");
        self.memory.write(start as u32, &unwritten).expect("in bounds");
        actual == expected
    }
}

/// All operands that a function is called with: the values of each that is a parameter.
fn for_all_operands(operator: &Operator, function: &Function, mut call: impl FnMut(&[u64])) {
    // The fewer, the more operands there are; all for the first shape.
    let step = match (function.name.as_str(), operator.operands.len()) {
        (_, 1) | ("locals", 2) => 1,
        (_, 2) => 2,
        _ => 6,
    };
    let list = |(i, values): (usize, &Vec<u64>)| match function.fixed[i] {
        Some(_) => vec![0],
        None if function.twice && i > 0 => vec![0],
        None if function.twice => values.clone(),
        None => values.iter().copied().skip(i % step).step_by(step).collect(),
    };
    let lists: Vec<Vec<u64>> = operator.values.iter().enumerate().map(list).collect();
    let mut chosen = vec![0; lists.len()];
    loop {
        let operands: Vec<_> = chosen.iter().zip(&lists).map(|(at, list)| list[*at]).collect();
        call(&operands);
        let Some(next) = (0..lists.len()).find(|i| chosen[*i] + 1 < lists[*i].len()) else {
            return;
        };
        chosen[..next].fill(0);
        chosen[next] += 1;
    }
}

/// Parts of the names of operators that trap for some operands.
const TRAPPING: &[&str] = &[".div_", ".rem_", ".trunc_f", ".load", ".store"];

fn check_all(operators: &[Operator]) {
    let (returned, trapped) = (Cell::new(0), Cell::new(0));
    let page: Vec<_> = (0..PAGE).map(pattern).collect();
    let binaries: Vec<_> = operators
        .iter()
        .map(|operator| {
            let functions = functions(operator);
            let text = module(operator, &functions);
            let binary = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"));
            (operator, functions, binary)
        })
        .collect();
    // The code that has been tried, of each operator.
    let mut tried = vec![Vec::new(); operators.len()];
    for (what, engine) in engines().into_iter().chain(engines_of_levels()) {
        for ((operator, functions, binary), tried) in binaries.iter().zip(&mut tried) {
            let operator = *operator;
            let module = native::load(&engine, binary);
            let code: Vec<_> = (0..).map_while(|function| module.code(function)).collect();
            let code = code.concat();
            if tried.contains(&code) {
                continue;
            }
            tried.push(code);
            let instance = Instance::new(&module, &Imports::none()).expect("an instance");
            let memory = instance.memory("memory").expect("an export");
            memory.write(0, &page).expect("in bounds");
            for function in functions {
                let func = instance.dyn_func(&function.name).expect("an export");
                let call = Call {
                    operator,
                    function,
                    func,
                    memory: &memory,
                    what: &what,
                    returned: &returned,
                    trapped: &trapped,
                };
                for_all_operands(operator, function, |operands| call.check(operands));
            }
            for name in ["dead", "dead with operands"] {
                let mut arguments: Vec<_> =
                    operator.operands.iter().map(|ty| ty.value(0)).collect();
                arguments.push(Value::I32(0));
                match instance.dyn_func(name).expect("an export").call(&arguments) {
                    Err(Error::Trap(trap)) => assert_eq!(trap.code(), Unreachable),
                    other => panic!("{what} {} {name}: {other:?}", operator.text),
                }
            }
        }
    }
    let (returned, trapped) = (returned.get(), trapped.get());
    assert!(returned > operators.len() * 100, "{returned} calls returned");
    let can_trap = |operator: &Operator| TRAPPING.iter().any(|part| operator.text.contains(part));
    let trapping = operators.iter().filter(|operator| can_trap(operator)).count();
    assert!(trapped >= trapping * 20, "{trapped} calls trapped");
}

#[test]
fn integers_of_32_bits() {
    check_all(&meaning::integers(I32));
}

#[test]
fn integers_of_64_bits() {
    check_all(&meaning::integers(I64));
}

#[test]
fn floats_of_32_bits() {
    check_all(&meaning::floats(F32));
}

#[test]
fn floats_of_64_bits() {
    check_all(&meaning::floats(F64));
}

#[test]
fn conversions_of_scalars() {
    check_all(&meaning::conversions());
}

#[test]
fn variables_and_selections() {
    check_all(&meaning::variables());
}

#[test]
fn accesses() {
    check_all(&meaning::loads());
    check_all(&meaning::stores());
}

/// What a processor may lack makes a difference, so that the code for each kind is tried.
#[test]
fn code_depends_on_the_processor() {
    const USERS: &[(&str, &str)] = &[
        ("POPCNT", "(i32.popcnt (local.get 0))"),
        ("LZCNT", "(i32.clz (local.get 0))"),
        ("BMI1", "(i32.ctz (local.get 0))"),
        ("BMI2", "(i32.shl (local.get 0) (local.get 1))"),
        ("AVX2", "(i8x16.extract_lane_s 3 (i8x16.splat (local.get 0)))"),
        (
            "AVX",
            "(i32x4.extract_lane 1 (i32x4.add (v128.load (i32.const 0)) (v128.load (local.get 0))))",
        ),
    ];
    for (feature, user) in USERS {
        let text = format!("(module (memory 1) (func (param i32 i32) (result i32) {user}))");
        let binary = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"));
        let code = |engine: &wasm_mini::Engine| {
            native::load(engine, &binary).code(0).expect("its code").to_vec()
        };
        for (what, lacking) in engines_of_levels() {
            let Some((tier, _)) = what
                .split_once(", ")
                .filter(|(_, level)| level.strip_prefix("no ") == Some(*feature))
            else {
                continue;
            };
            let (_, all) = engines().into_iter().find(|(name, _)| name == tier).expect("the tier");
            assert_ne!(code(&lacking), code(&all), "{what}");
        }
    }
}
