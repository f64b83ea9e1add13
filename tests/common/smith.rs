//! Modules of wasm-smith's with everything that WebAssembly 2.0 has, and nothing more.
//!
//! A module is made from a seed. All of its calls end: loops and functions consume fuel, which is a
//! global of the module. All of its NaNs are canonical, so that results have one value. What it may
//! import is what [`PROVIDER`] exports, and the functions of the host in [`IMPORTS`].

use arbitrary::Unstructured;
use wasm_smith::{Config, InstructionKind, InstructionKinds};
use wasmparser::{Operator, Parser, Payload};

use crate::random::Random;

/// How many calls and iterations an instance may make.
const FUEL: u32 = 2_000;
/// What memories and tables may grow to, so that everyone can give it to them.
const MEMORY_BYTES: u64 = 4 << 16;
const TABLE_ELEMENTS: u64 = 30;

/// A module whose exports generated modules import: state that lies elsewhere, and functions with a
/// context of their own. Only so many of its calls return, because it may call its callers.
pub const PROVIDER: &str = r#"(module
    (global $left (mut i32) (i32.const 300))
    (global (export "i32") (mut i32) (i32.const 7))
    (global (export "i64") (mut i64) (i64.const -7))
    (global (export "f32") (mut f32) (f32.const 1.5))
    (global (export "f64") (mut f64) (f64.const -0.0))
    (global (export "v128") (mut v128) (v128.const i32x4 1 2 3 4))
    (global (export "func") (mut funcref) (ref.func $divide))
    (global (export "extern") (mut externref) (ref.null extern))
    (global (export "const") i32 (i32.const 12))
    (memory (export "memory") 1 4)
    (data (i32.const 65500) "the last bytes of the first page")
    (table $funcs (export "funcs") 6 12 funcref)
    (table (export "externs") 3 9 externref)
    (elem (table $funcs) (i32.const 1) func $divide $poke $permute)
    (func $spend
        (if (i32.eqz (global.get $left)) (then (unreachable)))
        (global.set $left (i32.sub (global.get $left) (i32.const 1))))
    (func $divide (export "divide") (param i32 i32) (result i32)
        (i32.div_s (local.get 0) (local.get 1)))
    (func $poke (export "poke") (param i32 i64)
        (i64.store offset=3 (local.get 0) (local.get 1)))
    (func $permute (export "permute") (param i32 i64 f32 f64 v128) (result v128 f64 f32 i64 i32)
        (call $spend)
        (local.get 4) (local.get 3) (local.get 2) (local.get 1) (local.get 0))
    (func (export "many")
        (param i32 i64 i32 i64 i32 i64 i32 i64 f32 f64 f32 f64 f32 f64 f32 f64 f32 f64) (result i64)
        (call $spend)
        (i64.add (local.get 7) (i64.add
            (i64.sub (i64.extend_i32_s (local.get 6)) (local.get 5))
            (i64.xor (i64.reinterpret_f64 (local.get 17))
                     (i64.extend_i32_u (i32.reinterpret_f32 (local.get 16)))))))
    (func (export "indirect") (param i32)
        (call $spend)
        (call_indirect $funcs (local.get 0)))
    (func (export "indirect2") (param i32 i32 i32) (result i32)
        (call $spend)
        (call_indirect $funcs (param i32 i32) (result i32)
            (local.get 0) (local.get 1) (local.get 2)))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#;

/// All that may be imported.
const IMPORTS: &str = r#"(module
    (import "wasm" "i32" (global (mut i32)))
    (import "wasm" "i64" (global (mut i64)))
    (import "wasm" "f32" (global (mut f32)))
    (import "wasm" "f64" (global (mut f64)))
    (import "wasm" "v128" (global (mut v128)))
    (import "wasm" "func" (global (mut funcref)))
    (import "wasm" "extern" (global (mut externref)))
    (import "wasm" "const" (global i32))
    (import "wasm" "memory" (memory 1 4))
    (import "wasm" "funcs" (table 6 12 funcref))
    (import "wasm" "externs" (table 3 9 externref))
    (import "wasm" "divide" (func (param i32 i32) (result i32)))
    (import "wasm" "poke" (func (param i32 i64)))
    (import "wasm" "permute" (func (param i32 i64 f32 f64 v128) (result v128 f64 f32 i64 i32)))
    (import "wasm" "many" (func
        (param i32 i64 i32 i64 i32 i64 i32 i64 f32 f64 f32 f64 f32 f64 f32 f64 f32 f64)
        (result i64)))
    (import "wasm" "indirect" (func (param i32)))
    (import "wasm" "indirect2" (func (param i32 i32 i32) (result i32)))
    (import "wasm" "grow" (func (param i32) (result i32)))
    (import "host" "nothing" (func))
    (import "host" "fail" (func (param i32)))
    (import "host" "mix" (func (param i32 i64 f32 f64) (result i64)))
    (import "host" "swap" (func (param i64 i32) (result i32 i64)))
    (import "host" "keep" (func (param funcref externref i32) (result externref)))
    (import "host" "vectors" (func (param v128 f32 v128) (result v128 i32)))
    (import "host" "many" (func
        (param f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 i32 i32 i32 i32 i32 i32 i32 i32)
        (result f64 i32 f32))))"#;

/// What generated modules may consist of.
fn config(random: &mut Random) -> Config {
    use InstructionKind as Kind;
    // An operator is chosen if the stack has operands for it. So those of two operands are rare where
    // there are many types.
    let (vectors, mut kinds) = match random.below(5) {
        0 | 1 => (false, vec![Kind::Numeric, Kind::Control]),
        2 => (false, vec![Kind::NumericInt, Kind::Control]),
        3 => (true, vec![Kind::Vector]),
        _ => (true, vec![Kind::Vector, Kind::Numeric, Kind::Control]),
    };
    kinds.extend([Kind::Parametric, Kind::Variable]);
    // In some modules most accesses, which often trap, are left out.
    if !random.one_in(4) {
        kinds.extend([Kind::Memory, Kind::Table, Kind::Reference, Kind::Aggregate]);
    }
    let imports = random.one_in(2);
    Config {
        // Without this, anything may be imported.
        available_imports: imports.then(|| wat::parse_str(IMPORTS).expect("a module")),
        allowed_instructions: InstructionKinds::new(&kinds),
        allow_start_export: random.one_in(4),
        canonicalize_nans: true,
        compact_imports_enabled: false,
        // Checks before all that could trap: more of what follows is reached.
        disallow_traps: random.one_in(2),
        exceptions_enabled: false,
        export_everything: true,
        extended_const_enabled: false,
        gc_enabled: false,
        max_data_segments: 4,
        max_element_segments: 4,
        max_elements: 10,
        max_funcs: 20 + random.below(10),
        max_globals: 12,
        max_imports: if imports { 12 } else { 0 },
        max_instructions: *random.pick(&[30, 100, 300, 800]),
        max_memories: 1,
        max_memory32_bytes: MEMORY_BYTES,
        max_nesting_depth: 3 + random.below(8),
        max_table_elements: TABLE_ELEMENTS,
        max_tables: 3,
        max_types: 12,
        min_types: 3,
        memory64_enabled: false,
        memory_max_size_required: true,
        memory_offset_choices: wasm_smith::MemoryOffsetChoices(97, 2, 1),
        min_funcs: 1 + random.below(6),
        min_memories: random.below(2) as u32,
        min_tables: random.below(2) as u32,
        relaxed_simd_enabled: false,
        simd_enabled: vectors,
        table_max_size_required: true,
        tail_call_enabled: false,
        threads_enabled: false,
        wide_arithmetic_enabled: false,
        ..Config::default()
    }
}

/// A module in the binary format; `None` where the seed's bytes do not suffice for one.
pub fn module(seed: u64) -> Option<Vec<u8>> {
    let mut random = Random::new(seed);
    let config = config(&mut random);
    let length = 1_000 + random.below(20_000);
    let bytes: Vec<u8> =
        (0..length.div_ceil(8)).flat_map(|_| random.bits().to_le_bytes()).collect();
    from_bytes(config, &bytes)
}

/// The module that these bytes stand for, with what the seed allows it to have: for `fuzz/`.
#[allow(dead_code)]
pub fn module_of_bytes(seed: u64, bytes: &[u8]) -> Option<Vec<u8>> {
    from_bytes(config(&mut Random::new(seed)), bytes)
}

fn from_bytes(config: Config, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut module = wasm_smith::Module::new(config, &mut Unstructured::new(bytes)).ok()?;
    module.ensure_termination(FUEL).expect("all bodies are generated");
    Some(module.to_bytes())
}

/// Calls `note` with the name of each operator of a module, as wasmparser has it: `I32Add`.
pub fn operators(binary: &[u8], mut note: impl FnMut(&'static str)) {
    for payload in Parser::new(0).parse_all(binary) {
        if let Ok(Payload::CodeSectionEntry(body)) = payload {
            let mut reader = body.get_operators_reader().expect("a valid body");
            while !reader.eof() {
                note(name(&reader.read().expect("a valid operator")));
            }
        }
    }
}

macro_rules! define_name {
    ($( @$proposal:ident $op:ident $({ $($field:ident: $ty:ty),* })? => $visit:ident ($($arity:tt)*))*) => {
        fn name(operator: &Operator<'_>) -> &'static str {
            match operator {
                $(Operator::$op { .. } => stringify!($op),)*
                _ => "unknown",
            }
        }
    };
}
wasmparser::for_each_operator!(define_name);
