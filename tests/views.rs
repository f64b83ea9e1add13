//! What safe code can do with views of guest memory and with handles: programs in `tests/views/` that
//! must not compile, and what a view shows when the memory under it grows.
//!
//! `TRYBUILD=overwrite cargo test --test views` writes the expected messages anew, which differ from
//! one compiler to the next: with another than they are from, the programs are left out.

mod common;

use common::{instance, module, on_each_tier};
use wasm_mini::{Caller, Imports, Instance, Tier};

/// The compiler whose messages `tests/views/` holds.
const MESSAGES_OF: &str = "rustc 1.95.";

#[test]
fn unsound_programs_do_not_compile() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = std::process::Command::new(rustc).arg("--version").output().expect("rustc runs");
    if !version.stdout.starts_with(MESSAGES_OF.as_bytes()) {
        eprintln!("left out: the messages to compare with are those of {MESSAGES_OF}*");
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/views/*.rs");
}

/// A memory and what changes it, without the module around them.
const GROWING: &str = r#"(memory (export "memory") 1 20000)
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "poke") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))"#;

/// A memory does not move, so a view stays what it was, however the memory grows and is written to
/// meanwhile.
fn views_survive_growth(tier: Tier) {
    let instance = instance(tier, format!("(module {GROWING})"));
    let memory = instance.memory("memory").expect("a memory");
    let grow = instance.func::<fn(u32) -> u32>("grow").expect("grow");
    let poke = instance.func::<fn(u32, u32)>("poke").expect("poke");
    let before = memory.cells();
    before[100].set(1);
    assert_eq!(grow(10_000).expect("no trap"), 1);
    assert_eq!(memory.grow(9_000), Ok(10_001));
    poke(101, 2).expect("no trap");
    poke(19_001 * 65_536 - 1, 3).expect("no trap");
    assert_eq!((before.len(), before[100].get(), before[101].get()), (65_536, 1, 2));
    let after = memory.cells();
    assert!(std::ptr::eq(&before[0], &after[0]));
    assert_eq!((after.len(), after.last().map(|last| last.get())), (19_001 * 65_536, Some(3)));
    // The handles are gone, and the borrow keeps all alive.
    drop((grow, poke, instance));
    before[0].set(9);
    assert_eq!(after[0].get(), 9);
}

/// The same in a host function that calls back the guest which grows the memory.
fn views_survive_calls_back(tier: Tier) {
    let text =
        format!(r#"(module (import "h" "f" (func $f)) {GROWING} (func (export "run") (call $f)))"#);
    let module = module(tier, text);
    let mut imports = Imports::none();
    imports.func("h", "f", |caller: &mut Caller<'_>| {
        let memory = caller.memory("memory").expect("a memory");
        let view = memory.cells();
        let grow = caller.instance().func::<fn(u32) -> u32>("grow").expect("grow");
        let poke = caller.instance().func::<fn(u32, u32)>("poke").expect("poke");
        assert_ne!(grow(500).expect("no trap"), u32::MAX);
        poke(7, 8).expect("no trap");
        assert_eq!(view[7].get(), 8);
        view[8].set(9);
        let mut read = [0; 2];
        memory.read(7, &mut read).expect("inside");
        assert_eq!(read, [8, 9]);
    });
    let instance = Instance::new(&module, &imports).expect("an instance");
    let run = instance.func::<fn()>("run").expect("run");
    run().expect("no trap");
    run().expect("no trap");
    assert_eq!(instance.memory("memory").expect("a memory").pages(), 1_001);
}

on_each_tier!(views_survive_growth, views_survive_calls_back);
