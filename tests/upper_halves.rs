//! An i32 is 32 bits of a register of 64, and what is above them is anything where the i32 comes from
//! elsewhere. None of it may become a part of an address, an index or a length.

mod common;

use common::{engine, on_each_tier};
use wasm_mini::{Engine, Imports, Instance, Module, Tier};

/// Each function takes an i64 whose lower half is `AT`, and gives the i32 that lies there.
const FUNCTIONS: &[(&str, &str)] = &[
    ("wrapped", "(i32.load (i32.wrap_i64 (local.get 0)))"),
    ("wrapped_sum", "(i32.load (i32.wrap_i64 (i64.add (local.get 0) (i64.const 0))))"),
    ("with_offset", "(i32.load offset=4 (i32.sub (i32.wrap_i64 (local.get 0)) (i32.const 4)))"),
    ("unchanged", "(i32.load (i32.shl (i32.wrap_i64 (i64.or (local.get 0) (local.get 0))) (i32.const 0)))"),
    (
        "rotated_by_nothing",
        "(i32.load (i32.rotl (i32.wrap_i64 (i64.mul (local.get 0) (i64.const 1))) (local.get 1)))",
    ),
    (
        "shifted_by_nothing",
        "(i32.load (i32.shr_u (i32.wrap_i64 (i64.mul (local.get 0) (i64.const 1))) (local.get 1)))",
    ),
    ("parameter", "(call $load (i32.wrap_i64 (local.get 0)))"),
    ("only_parameter", "(call $load_once (i32.wrap_i64 (local.get 0)))"),
    ("late_parameter", "(call $load_last (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)
       (i64.const 5) (i64.const 6) (i32.wrap_i64 (local.get 0)))"),
    ("result", "(i32.load (call $narrow (local.get 0)))"),
    ("host_result", "(i32.load (call $host (local.get 0)))"),
    ("indirect_result", "(i32.load (call_indirect (param i64) (result i32) (local.get 0) (i32.const 0)))"),
    ("index_of_table", "(i32.load (call_indirect (param i64) (result i32) (local.get 0)
       (i32.wrap_i64 (i64.and (local.get 0) (i64.const 0xffffffff00000000)))))"),
    ("selected", "(i32.load (select (i32.wrap_i64 (local.get 0)) (i32.wrap_i64 (i64.const -1))
       (i32.wrap_i64 (local.get 0))))"),
    ("chosen", "(i32.load (if (result i32) (i32.wrap_i64 (local.get 0))
       (then (call $narrow (local.get 0))) (else (i32.const -1))))"),
    ("broken_out", "(i32.load (block (result i32)
       (br_if 0 (i32.wrap_i64 (i64.xor (local.get 0) (i64.const 0))) (i32.const 1)) (drop) (i32.const -1)))"),
    ("spilled", "(i32.wrap_i64 (i64.mul (local.get 0) (i64.const 1))) (call $nothing) (i32.load)"),
    ("moved", "(i32.wrap_i64 (i64.mul (local.get 0) (i64.const 1)))
       (i32.div_u (i32.const 7) (i32.wrap_i64 (local.get 0))) (drop) (i32.load)"),
    ("local", "(local.set 1 (i32.wrap_i64 (local.get 0))) (i32.load (local.get 1))"),
    ("local_teed", "(i32.load (local.tee 1 (i32.wrap_i64 (i64.mul (local.get 0) (i64.const 1)))))"),
    ("local_of_loop", "(local.set 1 (call $narrow (local.get 0)))
       (loop (local.set 2 (i32.load (local.get 1)))
         (br_if 0 (i32.lt_u (local.tee 3 (i32.add (local.get 3) (i32.const 1))) (i32.const 3))))
       (local.get 2)"),
    ("operand", "(i32.sub (i32.const 0) (i32.sub (i32.const 0)
       (i32.load (i32.wrap_i64 (i64.mul (local.get 0) (i64.const 1))))))"),
    ("global", "(global.set 0 (i32.wrap_i64 (local.get 0))) (i32.load (global.get 0))"),
    ("truncated", "(i32.load (i32.add (i32.wrap_i64 (local.get 0))
       (i32.sub (i32.trunc_f64_s (f64.const -16)) (i32.const -16))))"),
    ("negative", "(i32.load (i32.add (i32.trunc_f64_s (f64.neg (f64.convert_i32_u
       (i32.wrap_i64 (local.get 0))))) (i32.shl (i32.wrap_i64 (local.get 0)) (i32.const 1))))"),
    ("stored", "(i32.store (i32.wrap_i64 (local.get 0)) (i32.const 77))
       (i32.load (i32.const 40))"),
    ("filled", "(memory.fill (i32.wrap_i64 (local.get 0)) (i32.const 0)
       (i32.wrap_i64 (i64.and (local.get 0) (i64.const 0xffffffff00000003))))
       (i32.load (i32.const 40))"),
    ("filled_briefly", "(memory.fill (i32.wrap_i64 (i64.mul (local.get 0) (i64.const 1)))
       (i32.const 0) (i32.const 0)) (i32.load (i32.const 40))"),
    ("copied", "(memory.copy (i32.const 400) (i32.wrap_i64 (local.get 0))
       (i32.wrap_i64 (i64.shr_u (i64.shl (local.get 0) (i64.const 32)) (i64.const 32))))
       (i32.load (i32.const 400))"),
    ("copied_briefly", "(memory.copy (i32.const 400)
       (i32.wrap_i64 (i64.mul (local.get 0) (i64.const 1))) (i32.const 4))
       (i32.load (i32.const 400))"),
    ("initialised", "(memory.init 0 (i32.wrap_i64 (local.get 0)) (i32.const 0) (i32.const 4))
       (i32.load (i32.const 40))"),
    ("grown", "(drop (memory.grow (i32.wrap_i64 (i64.and (local.get 0) (i64.const 0xffffffff00000000)))))
       (i32.load (i32.wrap_i64 (local.get 0)))"),
    ("failed_to_grow", "(i32.load (i32.add (memory.grow (i32.const 10)) (i32.const 41)))"),
    ("element", "(if (ref.is_null (table.get 0
       (i32.wrap_i64 (i64.and (local.get 0) (i64.const 0xffffffff00000000))))) (then (unreachable)))
       (table.set 0 (i32.wrap_i64 (i64.and (local.get 0) (i64.const 0xffffffff00000001)))
         (ref.func $narrow))
       (i32.load (i32.wrap_i64 (local.get 0)))"),
];

/// Where the i32 lies.
const AT: u64 = 40;

fn module(engine: &Engine) -> Module {
    let mut text = r#"(module
        (import "host" "narrow" (func $host (param i64) (result i32)))
        (memory 1 2)
        (data "\4d\00\00\00")
        (table 2 funcref)
        (elem (i32.const 0) $narrow $narrow)
        (global (mut i32) (i32.const 0))
        (func $nothing)
        (func $narrow (param i64) (result i32) (i32.wrap_i64 (local.get 0)))
        (func $load (param i32) (result i32)
          (i32.and (i32.load (local.get 0)) (i32.load (local.get 0))))
        (func $load_once (param i32) (result i32) (i32.load (local.get 0)))
        (func $load_last (param i64 i64 i64 i64 i64 i64 i32) (result i32) (i32.load (local.get 6)))
        (func (export "prepare") (i32.store (i32.const 40) (i32.const 77)))"#
        .to_string();
    for (name, body) in FUNCTIONS {
        text += &format!(
            "(func (export \"{name}\") (param i64) (result i32) (local i32 i32 i32) {body})\n"
        );
    }
    Module::with_engine(engine, text + ")").expect("a valid module")
}

fn none_becomes_an_address(tier: Tier) {
    let module = module(engine(tier));
    let mut imports = Imports::none();
    imports.func("host", "narrow", |x: i64| x as i32);
    for (name, _) in FUNCTIONS {
        for upper in [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
            let instance = Instance::new(&module, &imports).expect("an instance");
            instance.func::<fn()>("prepare").expect("it")().expect("no trap");
            let load = instance.func::<fn(u64) -> i32>(name).expect(name);
            assert_eq!(load(upper << 32 | AT).ok(), Some(77), "{name} {upper:#x}");
        }
    }
}

on_each_tier!(none_becomes_an_address);
