//! Bodies of growing size, one shape each: whether the time of the baseline tier, and its code, grow
//! with the body and no faster.

use crate::host::{progress, wall_time};
use crate::report::{Goal, Section, digits, times};

/// The sizes of bodies in bytes; the last is the largest that an engine takes, nearly.
const SIZES: [(&str, usize); 6] = [
    ("1 KB", 1 << 10),
    ("8 KB", 8 << 10),
    ("64 KB", 64 << 10),
    ("512 KB", 512 << 10),
    ("4 MB", 4 << 20),
    ("7.5 MB", 7_500_000),
];
/// The size that the largest is compared with.
const REFERENCE: usize = 2;
/// What `Limits::code_bytes` promises.
const CODE_PER_BYTE: f64 = 100.0;

/// Writes the operators of a body of about so many bytes, without its `end`.
type Shape = fn(&mut Vec<u8>, usize);

const SHAPES: &[(&str, Shape)] = &[
    ("one block of arithmetic", arithmetic),
    ("nested blocks", |body, size| nested(body, size, &[BLOCK, VOID], &[])),
    ("nested loops", |body, size| nested(body, size, &[LOOP, VOID], &[])),
    ("nested ifs", |body, size| nested(body, size, &[LOCAL_GET, 0, IF, VOID], &[])),
    ("nested blocks, each left by `br_if`", |body, size| {
        nested(body, size, &[BLOCK, VOID, LOCAL_GET, 0, BR_IF, 0], &[]);
    }),
    ("`br_if` to the outermost of nested blocks", to_the_outermost),
    ("50,000 locals", many_locals),
    ("one `br_table`", one_table),
    ("`br_table`s of 10 entries", |body, size| {
        let unit = [BLOCK, VOID, LOCAL_GET, 0, BR_TABLE, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, END];
        repeat(body, size, &unit);
    }),
    ("calls", |body, size| repeat(body, size, &[LOCAL_GET, 0, CALL, 0, LOCAL_SET, 1])),
    ("100,000 operands", many_operands),
    ("loads and stores", |body, size| {
        let unit = [LOCAL_GET, 0, LOCAL_GET, 1, I32_LOAD, 2, 4, I32_STORE, 2, 8];
        repeat(body, size, &unit);
    }),
    ("ifs with values", |body, size| {
        let unit = [LOCAL_GET, 0, IF, I32, I32_CONST, 1, ELSE, LOCAL_GET, 1, END, LOCAL_SET, 1];
        repeat(body, size, &unit);
    }),
    ("divisions, each with its traps", |body, size| {
        repeat(body, size, &[LOCAL_GET, 0, LOCAL_GET, 1, I32_DIV_S, LOCAL_SET, 1]);
    }),
    ("one local on the stack, set again and again", |body, size| {
        repeat(
            body,
            size,
            &[[LOCAL_GET, 0].repeat(40), vec![LOCAL_SET, 0], vec![DROP; 39]].concat(),
        );
    }),
];

const BLOCK: u8 = 0x02;
const LOOP: u8 = 0x03;
const IF: u8 = 0x04;
const ELSE: u8 = 0x05;
const END: u8 = 0x0b;
const BR_IF: u8 = 0x0d;
const BR_TABLE: u8 = 0x0e;
const CALL: u8 = 0x10;
const DROP: u8 = 0x1a;
const LOCAL_GET: u8 = 0x20;
const LOCAL_SET: u8 = 0x21;
const LOCAL_TEE: u8 = 0x22;
const I32_LOAD: u8 = 0x28;
const I32_STORE: u8 = 0x36;
const I32_CONST: u8 = 0x41;
const I32_DIV_S: u8 = 0x6d;
/// `i32.add` and what follows it up to `i32.shr_u`, but for divisions.
const ARITHMETIC: [u8; 9] = [0x6a, 0x6b, 0x6c, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76];
const VOID: u8 = 0x40;
const I32: u8 = 0x7f;

/// How many locals a body has beside its parameter.
const LOCALS: u64 = 49_000;

fn repeat(body: &mut Vec<u8>, size: usize, unit: &[u8]) {
    while body.len() + unit.len() <= size {
        body.extend_from_slice(unit);
    }
}

fn arithmetic(body: &mut Vec<u8>, size: usize) {
    for operator in ARITHMETIC.into_iter().cycle() {
        if body.len() + 8 > size {
            break;
        }
        body.extend_from_slice(&[LOCAL_GET, 0, LOCAL_GET, 1, operator, LOCAL_SET, operator & 1]);
    }
}

fn nested(body: &mut Vec<u8>, size: usize, open: &[u8], close: &[u8]) {
    let count = size / (open.len() + close.len() + 1);
    body.extend(open.repeat(count));
    body.extend([close, &[END]].concat().repeat(count));
}

fn to_the_outermost(body: &mut Vec<u8>, size: usize) {
    let mut depth = 0;
    while body.len() + depth + 16 < size {
        body.extend([BLOCK, VOID, LOCAL_GET, 0, BR_IF]);
        unsigned(body, depth as u64);
        depth += 1;
    }
    body.extend(vec![END; depth]);
}

fn many_locals(body: &mut Vec<u8>, size: usize) {
    for local in (1..LOCALS).cycle() {
        if body.len() + 12 > size {
            break;
        }
        body.push(LOCAL_GET);
        unsigned(body, local);
        body.push(LOCAL_SET);
        unsigned(body, local * 7 % LOCALS);
    }
}

/// Its entries go to two blocks in turn.
fn one_table(body: &mut Vec<u8>, size: usize) {
    let count = size - 20;
    body.extend([BLOCK, VOID, BLOCK, VOID, LOCAL_GET, 0, BR_TABLE]);
    unsigned(body, count as u64);
    body.extend([0, 1].into_iter().cycle().take(count));
    body.extend([0, END, END]);
}

fn many_operands(body: &mut Vec<u8>, size: usize) {
    while body.len() + 16 < size {
        let count = ((size - body.len()) / 3).min(100_000);
        body.extend([LOCAL_GET, 0].repeat(count));
        body.extend(vec![DROP; count]);
    }
    body.extend([LOCAL_GET, 0, LOCAL_TEE, 1, DROP]);
}

/// What one body took, of which size it was.
#[derive(Clone, Copy)]
struct Measured {
    bytes: f64,
    /// In nanoseconds.
    validating: f64,
    /// All of loading but validating.
    compiling: f64,
    code: f64,
}

pub fn measure(quick: bool) -> Section {
    let engine = wasm_mini::Engine::builder()
        .tier(wasm_mini::Tier::Baseline)
        .compile_threads(1)
        .timings(true)
        .build()
        .expect("the tier is there");
    let sizes = if quick { &SIZES[..5] } else { &SIZES[..] };
    let note = "One function of that size with 49,000 locals: bytes to a module whose function can \
                be called, on one thread, per byte of the body; time on the wall, least of 5 to 200 \
                rounds. In each cell: ns for compiling (all but validating the body) + ns for \
                validating it. Code is in bytes for each byte of the largest body.";
    let names = sizes.iter().map(|(name, _)| *name);
    let header: Vec<&str> = [""].into_iter().chain(names).chain(["code"]).collect();
    let mut section = Section::new("Bodies of growing size", note, &header);
    let (mut slowest, mut slowest_validation) = ((0.0, ""), (0.0, ""));
    let mut largest_code = (0.0, "");
    for (name, shape) in SHAPES {
        progress(name);
        let results: Vec<Measured> =
            sizes.iter().map(|(_, size)| one(&engine, *shape, *size)).collect();
        let (reference, last) = (results[REFERENCE], results[results.len() - 1]);
        let mut row = vec![name.to_string()];
        row.extend(results.iter().map(|of| {
            format!("{} + {}", digits(of.compiling / of.bytes), digits(of.validating / of.bytes))
        }));
        row.push(digits(last.code / last.bytes));
        section.rows.push(row);
        let growth = |time: fn(&Measured) -> f64| {
            (time(&last) / last.bytes) / (time(&reference) / reference.bytes)
        };
        let worse = |than: &mut (f64, &'static str), value: f64| {
            if value > than.0 {
                *than = (value, name);
            }
        };
        worse(&mut slowest, growth(|of| of.compiling));
        worse(&mut slowest_validation, growth(|of| of.validating));
        worse(&mut largest_code, last.code / last.bytes);
    }
    let largest = sizes[sizes.len() - 1].0;
    let worst = |(value, name): (f64, &str)| format!("{} ({name})", times(value));
    section
        .goal(Goal::plain(
            format!("compiling a byte of {largest} takes at most 2 × one of 64 KB, each"),
            worst(slowest),
            slowest.0 <= 2.0,
        ))
        .goal(Goal::plain(
            format!("validating a byte of {largest} takes at most 2 × one of 64 KB, each"),
            worst(slowest_validation),
            slowest_validation.0 <= 2.0,
        ))
        .goal(Goal::plain(
            format!("code at most {CODE_PER_BYTE} × the body, each"),
            worst(largest_code),
            largest_code.0 <= CODE_PER_BYTE,
        ))
}

fn one(engine: &wasm_mini::Engine, shape: Shape, size: usize) -> Measured {
    let mut operators = Vec::new();
    shape(&mut operators, size);
    let binary = module(&operators);
    let rounds = (2 << 20) / size;
    let mut measured = Measured {
        bytes: operators.len() as f64,
        validating: f64::INFINITY,
        compiling: f64::INFINITY,
        code: 0.0,
    };
    for _ in 0..rounds.clamp(5, 200) {
        let start = wall_time();
        let module = wasm_mini::Module::with_engine(engine, &binary).expect("a valid module");
        let all = (wall_time() - start).as_nanos() as f64;
        let timings = module.timings().expect("the engine collects them");
        let validating = timings.validate.as_nanos() as f64;
        measured.validating = measured.validating.min(validating);
        measured.compiling = measured.compiling.min(all - validating);
        measured.code = module.code(0).map_or(0.0, |code| code.len() as f64);
    }
    measured
}

/// A module of one function `(param i32) (result i32)` with many i32 locals and a memory.
fn module(operators: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.push(1);
    unsigned(&mut body, LOCALS);
    body.push(I32);
    body.extend_from_slice(operators);
    body.extend([LOCAL_GET, 0, END]);
    let mut code = vec![1];
    unsigned(&mut code, body.len() as u64);
    code.extend(body);
    let mut binary = b"\0asm\x01\0\0\0".to_vec();
    binary.extend(b"\x01\x06\x01\x60\x01\x7f\x01\x7f");
    binary.extend(b"\x03\x02\x01\x00");
    binary.extend(b"\x05\x03\x01\x00\x01");
    binary.push(10);
    unsigned(&mut binary, code.len() as u64);
    binary.extend(code);
    binary
}

/// A number in LEB128.
fn unsigned(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
