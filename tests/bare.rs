//! Functions of guests as bare function pointers: which they are, and that they are functions of C.

mod common;

use std::arch::asm;

use common::{instance, module, on_each_tier};
use wasm_mini::{Imports, Instance, NotPlain, Tier, WasmFn};

fn leak(tier: Tier, text: &str, name: &str) -> Result<extern "C" fn(i64, i64) -> i64, NotPlain> {
    let func = instance(tier, text).typed_func::<fn(i64, i64) -> i64>(name);
    func.expect("the export").leak_extern_c()
}

fn pointers_outlive_everything(tier: Tier) {
    let text = r#"(module
        (func (export "add4") (param i64) (result i64) (i64.add (local.get 0) (i64.const 4)))
        (func (export "mix") (param i32 f64 i64 f32) (result f64)
          (f64.add (f64.add (f64.convert_i32_s (local.get 0)) (local.get 1))
            (f64.add (f64.convert_i64_s (local.get 2)) (f64.promote_f32 (local.get 3)))))
        (func (export "third") (param i32 f32) (result f32) (f32.div (local.get 1) (f32.const 3)))
        (func (export "constant") (result f64) (f64.const 6.25))
        (func (export "nothing") (param i32)))"#;
    let module = module(tier, text);
    let instance = Instance::new(&module, &Imports::none()).expect("an instance");
    fn get<F: WasmFn>(instance: &Instance, name: &str) -> wasm_mini::TypedFunc<F> {
        instance.typed_func::<F>(name).expect("the export")
    }
    let add4 = get::<fn(i64) -> i64>(&instance, "add4").leak_extern_c().expect("plain");
    let again = get::<fn(i64) -> i64>(&instance, "add4").leak_extern_c().expect("plain");
    assert_eq!(add4 as usize, again as usize);
    let mix = get::<fn(i32, f64, i64, f32) -> f64>(&instance, "mix");
    let mix = mix.leak_extern_c().expect("plain");
    let third = get::<fn(i32, f32) -> f32>(&instance, "third").leak_extern_c().expect("plain");
    let constant = get::<fn() -> f64>(&instance, "constant").leak_extern_c().expect("plain");
    let nothing = get::<fn(i32)>(&instance, "nothing").leak_extern_c().expect("plain");
    drop((instance, module));
    // What is freed now would be filled with other code.
    for i in 0..20 {
        let text = format!(r#"(module (func (export "f") (result i64) (i64.const {i})))"#);
        drop(common::instance(tier, text));
    }
    let check = move || {
        assert_eq!(add4(-5), -1);
        assert_eq!(mix(1, 0.5, 1 << 40, 0.25), 1.75 + (1u64 << 40) as f64);
        assert_eq!(third(7, 1.0), 1.0 / 3.0);
        assert_eq!(constant(), 6.25);
        nothing(1);
    };
    check();
    // On a thread that has never had an instance, too.
    std::thread::spawn(check).join().expect("the same there");
}

fn others_say_why_not(tier: Tier) {
    let text = r#"(module
        (import "" "host" (func $host (param i64 i64) (result i64)))
        (memory 1) (global $g (mut i64) (i64.const 0)) (table 1 funcref)
        (func $own (export "plain") (param i64 i64) (result i64) (i64.add (local.get 0) (local.get 1)))
        (func (export "calls") (param i64 i64) (result i64) (call $own (local.get 0) (local.get 1)))
        (func (export "grows") (param i64 i64) (result i64)
          (i64.extend_i32_s (memory.grow (i32.wrap_i64 (local.get 0)))))
        (func (export "loops") (param i64 i64) (result i64)
          (loop (br_if 0 (i64.eqz (local.get 0)))) (local.get 0))
        (func (export "traps") (param i64 i64) (result i64) (i64.div_u (local.get 0) (local.get 1)))
        (func (export "loads") (param i64 i64) (result i64) (i64.load (i32.wrap_i64 (local.get 0))))
        (func (export "reads") (param i64 i64) (result i64) (global.get $g))
        (func (export "sizes") (param i64 i64) (result i64) (i64.extend_i32_u (memory.size)))
        (func (export "large") (param i64 i64) (result i64) (local.get 0) MANY)
        (func (export "wide") (param i64 i64 i64 i64 i64 i64 i64) (result i64) (local.get 6))
        (export "host" (func $host)))"#;
    let text = text.replace("MANY", &"(i64.add (local.get 1))".repeat(200));
    let mut imports = Imports::none();
    imports.func("", "host", |a: i64, b: i64| a - b);
    let instance = Instance::new(&module(tier, &text), &imports).expect("an instance");
    let why = |name: &str| {
        let func = instance.typed_func::<fn(i64, i64) -> i64>(name).expect("the export");
        func.leak_extern_c().err()
    };
    assert_eq!(why("plain"), None);
    assert_eq!(why("calls"), Some(NotPlain::Calls));
    assert_eq!(why("grows"), Some(NotPlain::Calls));
    assert_eq!(why("loops"), Some(NotPlain::Loops));
    assert_eq!(why("traps"), Some(NotPlain::Traps));
    assert_eq!(why("loads"), Some(NotPlain::Traps));
    assert_eq!(why("reads"), Some(NotPlain::Instance));
    assert_eq!(why("sizes"), Some(NotPlain::Instance));
    assert_eq!(why("large"), Some(NotPlain::Large));
    assert_eq!(why("host"), Some(NotPlain::Host));
    type Seven = fn(i64, i64, i64, i64, i64, i64, i64) -> i64;
    let wide = instance.typed_func::<Seven>("wide").expect("the export");
    assert_eq!(wide.leak_extern_c().err(), Some(NotPlain::Signature));
    assert_eq!(
        NotPlain::Loops.to_string(),
        "the function cannot be a bare function pointer, because it has a loop: call it as it is"
    );
}

/// An exported import belongs to the module that defines it.
fn a_pointer_keeps_the_module_that_has_the_code(tier: Tier) {
    let owner = instance(
        tier,
        r#"(module (func (export "f") (param i64 i64) (result i64) (i64.sub (local.get 0) (local.get 1))))"#,
    );
    let mut imports = Imports::none();
    imports.define("", "f", owner.export("f").expect("the export"));
    let text = r#"(module (import "" "f" (func $f (param i64 i64) (result i64)))
        (export "f" (func $f)))"#;
    let passes_on = Instance::new(&module(tier, text), &imports).expect("an instance");
    drop((imports, owner));
    let f = passes_on.typed_func::<fn(i64, i64) -> i64>("f").expect("the export");
    let f = f.leak_extern_c().expect("plain");
    drop(passes_on);
    for i in 0..20 {
        let text = format!(r#"(module (func (export "f") (result i64) (i64.const {i})))"#);
        drop(instance(tier, text));
    }
    assert_eq!(f(50, 8), 42);
}

/// What a caller of C code relies on: registers that are kept, flags and control words as they were,
/// arguments whose upper halves hold anything.
fn pointers_keep_what_functions_of_c_keep(tier: Tier) {
    // Many values at a time, so that a tier uses all the registers that it likes.
    let mut sum = String::from("(i64.const 0)");
    let mut values = String::new();
    for i in 1..=14 {
        values += &format!(
            "(local.set {} (i64.mul (i64.add (local.get 0) (i64.const {i})) (i64.extend_i32_u (local.get 1))))",
            i + 1
        );
        sum = format!("(i64.xor (i64.rotl {sum} (i64.const 3)) (local.get {}))", i + 1);
    }
    let text = format!(
        r#"(module (func (export "f") (param i64 i32) (result i64) (local {}) {values} {sum}))"#,
        "i64 ".repeat(14)
    );
    let f = instance(tier, &text).typed_func::<fn(i64, i32) -> i64>("f").expect("the export");
    let expected = f.call(77, 5).expect("no trap");
    let f = f.leak_extern_c().expect("plain");
    assert_eq!(f(77, 5), expected);

    let (mut kept, mut mxcsr, mut x87) = ([0u64; 2], 0u32, 0u16);
    let (result, r12, r13, r15, flags): (i64, u64, u64, u64, u64);
    // SAFETY: the function is one of C; what it may change is named, and what it must keep but
    // cannot be named is kept by hand.
    unsafe {
        asm!(
            "push rbx", "push rbp",
            "mov rbx, 0x1111", "mov rbp, 0x2222", "mov r12, 0x3333", "mov r13, 0x4444",
            "mov r15, 0x6666",
            "call rax",
            "mov [r14], rbx", "mov [r14 + 8], rbp",
            "pop rbp", "pop rbx",
            in("r14") kept.as_mut_ptr(),
            inout("rdi") 77i64 => _,
            inout("rsi") 0xdead_beef_0000_0005u64 => _,
            inout("rax") f as usize => result,
            out("r12") r12, out("r13") r13, out("r15") r15,
            clobber_abi("C"),
        );
        asm!("pushfq", "pop {}", out(reg) flags);
        asm!("stmxcsr [{}]", in(reg) &mut mxcsr);
        asm!("fnstcw [{}]", in(reg) &mut x87);
    }
    assert_eq!(result, expected);
    assert_eq!((kept, r12, r13, r15), ([0x1111, 0x2222], 0x3333, 0x4444, 0x6666));
    assert_eq!(flags & 1 << 10, 0, "the direction flag");
    assert_eq!((mxcsr & !0x3f, x87), (0x1f80, 0x37f));
}

/// A function that traps in one tier and cannot in another is told apart by what the tier made.
fn what_is_plain_is_called_without_an_entry(tier: Tier) {
    let text = r#"(module
        (func (export "f") (param i64 i64) (result i64)
          (i64.div_u (local.get 0) (i64.const 10))))"#;
    match leak(tier, text, "f") {
        Ok(f) => assert_eq!(f(1234, 0), 123),
        Err(why) => assert_eq!(why, NotPlain::Traps),
    }
}

on_each_tier!(
    pointers_outlive_everything,
    others_say_why_not,
    a_pointer_keeps_the_module_that_has_the_code,
    pointers_keep_what_functions_of_c_keep,
    what_is_plain_is_called_without_an_entry,
);
