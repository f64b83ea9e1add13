//! Functions of the host, linked instances, and what instances export besides functions.

#![cfg(all(feature = "cranelift", feature = "wat"))]

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use wasm_mini::{
    Caller, Engine, Error, Extern, ExternRef, FuncType, Imports, Instance, LinkError, Module, Tier,
    Trap, TrapCode, ValType, Value,
};

fn module(wat: &str) -> Module {
    Module::with_engine(&Engine::new(Tier::Cranelift).unwrap(), wat).unwrap()
}

fn instance(wat: &str, imports: &Imports) -> Instance {
    Instance::new(&module(wat), imports).unwrap()
}

#[test]
fn arguments_and_results_cross_in_both_directions() {
    let mut imports = Imports::none();
    imports.func("h", "none", || {});
    imports.func("h", "mixed", |a: i32, b: f64, c: u64, d: f32| {
        f64::from(a) + b + c as f64 + f64::from(d)
    });
    imports.func("h", "six", |a: i64, b: i64, c: i64, d: i64, e: i64, f: i64| {
        a + 10 * b + 100 * c + 1000 * d + 10_000 * e + 100_000 * f
    });
    imports.func("h", "pair", |a: i32, b: f32| (b, a));
    let wat = r#"(module
      (import "h" "none" (func $none))
      (import "h" "mixed" (func $mixed (param i32 f64 i64 f32) (result f64)))
      (import "h" "six" (func $six (param i64 i64 i64 i64 i64 i64) (result i64)))
      (import "h" "pair" (func $pair (param i32 f32) (result f32 i32)))
      (func (export "mixed") (result f64)
        (call $none)
        (call $mixed (i32.const -1) (f64.const 0.5) (i64.const 100) (f32.const 0.25)))
      (func (export "six") (param i64) (result i64)
        (call $six (local.get 0) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5)
          (i64.const 6)))
      (func (export "pair") (result f32 i32) (call $pair (i32.const 7) (f32.const 1.5))))"#;
    let instance = instance(wat, &imports);
    assert_eq!(instance.func::<fn() -> f64>("mixed").unwrap()().unwrap(), 99.75);
    assert_eq!(instance.func::<fn(i64) -> i64>("six").unwrap()(1).unwrap(), 654_321);
    assert_eq!(instance.func::<fn() -> (f32, i32)>("pair").unwrap()().unwrap(), (1.5, 7));
}

#[test]
fn stack_arguments_and_return_areas_cross() {
    let mut imports = Imports::none();
    imports.func(
        "h",
        "many",
        |a: i64, b: i64, c: i64, d: i64, e: i64, f: i64, g: i64, h: i64, i: i64| {
            (i, h, g, f, e, d, c, b, a, 10i64)
        },
    );
    let wat = r#"(module
      (import "h" "many" (func $many (param i64 i64 i64 i64 i64 i64 i64 i64 i64)
        (result i64 i64 i64 i64 i64 i64 i64 i64 i64 i64)))
      (func (export "run") (param i64) (result i64 i64 i64 i64 i64 i64 i64 i64 i64 i64)
        (call $many (local.get 0) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5)
          (i64.const 6) (i64.const 7) (i64.const 8) (i64.const 9))))"#;
    let run = instance(wat, &imports).dyn_func("run").unwrap();
    for first in 0..1000 {
        let results = run.call(&[Value::I64(first)]).unwrap();
        let expected: Vec<Value> = [9, 8, 7, 6, 5, 4, 3, 2, first, 10].map(Value::I64).into();
        assert_eq!(results, expected);
    }
}

#[test]
fn callers_exports_are_within_reach() {
    let mut imports = Imports::none();
    imports.func("h", "sum", |caller: &mut Caller<'_>, at: u32, len: u32| -> Result<u32, Error> {
        let memory = caller.memory("memory")?;
        let mut bytes = vec![0; len as usize];
        memory.read(at, &mut bytes).map_err(|_| trap())?;
        // Back into the guest, while it is on the stack.
        let add = caller.instance().func::<fn(u32, u32) -> u32>("add")?;
        bytes.iter().try_fold(0, |sum, byte| Ok(add(sum, u32::from(*byte))?))
    });
    fn trap() -> Error {
        // Any trap of any guest serves as an error to pass on.
        let module = module(r#"(module (func (export "t") unreachable))"#);
        let instance = Instance::new(&module, &Imports::none()).unwrap();
        instance.func::<fn()>("t").unwrap()().unwrap_err().into()
    }
    let wat = r#"(module
      (import "h" "sum" (func $sum (param i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 8) "\01\02\03\fa")
      (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
      (func (export "run") (param i32 i32) (result i32) (call $sum (local.get 0) (local.get 1))))"#;
    let instance = instance(wat, &imports);
    let run = instance.func::<fn(u32, u32) -> u32>("run").unwrap();
    assert_eq!(run(8, 4).unwrap(), 256);
    let error = run(65_530, 100).unwrap_err();
    assert_eq!(error.code(), TrapCode::Unreachable, "a trap that is passed on stays one");
    assert_eq!(run(8, 3).unwrap(), 6, "the instance lives on");
}

#[derive(Debug)]
struct Refused(u32);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "refused {}", self.0)
    }
}

impl std::error::Error for Refused {}

#[test]
fn errors_of_the_host_end_the_guest() {
    let mut imports = Imports::none();
    imports.func("h", "check", |x: u32| if x < 10 { Ok(x) } else { Err(Refused(x)) });
    let wat = r#"(module
      (import "h" "check" (func $check (param i32) (result i32)))
      (func $inner (param i32) (result i32) (call $check (local.get 0)))
      (func (export "run") (param i32) (result i32)
        (i32.add (call $inner (local.get 0)) (i32.const 1))))"#;
    let run = instance(wat, &imports).func::<fn(u32) -> u32>("run").unwrap();
    for _ in 0..100 {
        assert_eq!(run(9).unwrap(), 10);
        let trap = run(10).unwrap_err();
        assert_eq!(trap.code(), TrapCode::HostError);
        assert_eq!(trap.host_error().unwrap().downcast_ref::<Refused>().unwrap().0, 10);
        assert!(trap.to_string().contains("refused 10"), "{trap}");
        let names: Vec<_> = trap.backtrace().iter().map(|frame| frame.name().unwrap()).collect();
        assert_eq!(names, ["inner", "run"]);
    }
}

#[test]
fn a_trap_that_the_host_passes_on_stays_what_it_is() {
    let inner = instance(r#"(module (func (export "t") unreachable))"#, &Imports::none());
    let inner = inner.func::<fn()>("t").unwrap();
    let mut imports = Imports::none();
    imports.func("h", "f", move || -> Result<(), Trap> { inner() });
    let wat = r#"(module (import "h" "f" (func $f)) (func (export "run") (call $f)))"#;
    let run = instance(wat, &imports).func::<fn()>("run").unwrap();
    assert_eq!(run().unwrap_err().code(), TrapCode::Unreachable);
}

#[test]
fn panics_go_on_behind_the_guest() {
    let depth = Rc::new(Cell::new(0));
    let mut imports = Imports::none();
    let at = depth.clone();
    imports.func("h", "f", move |caller: &mut Caller<'_>, levels: u32| -> Result<(), Trap> {
        at.set(at.get() + 1);
        if levels == 0 {
            panic!("at the bottom");
        }
        let run = caller.instance().func::<fn(u32)>("run").expect("an export");
        let result = run(levels - 1);
        at.set(1000);
        result
    });
    let wat = r#"(module (import "h" "f" (func $f (param i32)))
      (func (export "run") (param i32) (call $f (local.get 0))))"#;
    let instance = instance(wat, &imports);
    let run = instance.func::<fn(u32)>("run").unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| run(5))).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"at the bottom"));
    assert_eq!(depth.get(), 6, "no host function went on after the panic");
    // The thread's state is as before: entries nest and traps land.
    depth.set(0);
    assert!(catch_unwind(AssertUnwindSafe(|| run(0))).is_err());
}

#[test]
fn traps_at_every_depth_end_at_their_own_entry() {
    let mut imports = Imports::none();
    imports.func("h", "f", |caller: &mut Caller<'_>, levels: u32| -> Result<u32, Trap> {
        let run = caller.instance().func::<fn(u32) -> u32>("run").expect("an export");
        match run(levels) {
            Ok(depth) => Ok(depth + 1),
            // Ended there; this level goes on.
            Err(trap) if trap.code() == TrapCode::Unreachable => Ok(0),
            Err(trap) => Err(trap),
        }
    });
    let wat = r#"(module (import "h" "f" (func $f (param i32) (result i32)))
      (func (export "run") (param i32) (result i32)
        (if (i32.eqz (local.get 0)) (then unreachable))
        (call $f (i32.sub (local.get 0) (i32.const 1)))))"#;
    let run = instance(wat, &imports).func::<fn(u32) -> u32>("run").unwrap();
    assert_eq!(run(50).unwrap(), 49);
    assert_eq!(run(0).unwrap_err().code(), TrapCode::Unreachable);
    assert_eq!(run(1).unwrap(), 0);
}

#[test]
fn endless_recursion_through_the_host_overflows() {
    let mut imports = Imports::none();
    imports.func("h", "f", |caller: &mut Caller<'_>| -> Result<(), Trap> {
        caller.instance().func::<fn()>("run").expect("an export")()
    });
    let wat = r#"(module (import "h" "f" (func $f)) (func (export "run") (call $f)))"#;
    let instance = instance(wat, &imports);
    let run = instance.func::<fn()>("run").unwrap();
    assert_eq!(run().unwrap_err().code(), TrapCode::StackOverflow);
    assert_eq!(run().unwrap_err().code(), TrapCode::StackOverflow);
}

#[test]
fn dynamic_host_functions_are_checked() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = seen.clone();
    let mut imports = Imports::none();
    let ty = FuncType::new(
        [ValType::V128, ValType::ExternRef, ValType::I32],
        [ValType::F64, ValType::V128],
    );
    imports.func_dyn("h", "f", ty.clone(), move |_, arguments| {
        log.borrow_mut().push(arguments.to_vec());
        Ok(vec![Value::F64(2.5), arguments[0].clone()])
    });
    imports.func_dyn("h", "wrong", ty, |_, _| Ok(vec![Value::I32(1)]));
    let wat = r#"(module
      (import "h" "f" (func $f (param v128 externref i32) (result f64 v128)))
      (import "h" "wrong" (func $wrong (param v128 externref i32) (result f64 v128)))
      (func (export "f") (param v128 externref i32) (result f64 v128)
        (call $f (local.get 0) (local.get 1) (local.get 2)))
      (func (export "wrong") (param v128 externref i32) (result f64 v128)
        (call $wrong (local.get 0) (local.get 1) (local.get 2))))"#;
    let instance = instance(wat, &imports);
    let arguments =
        [Value::V128(3 << 100 | 5), Value::ExternRef(ExternRef::new(77)), Value::I32(-4)];
    let results = instance.dyn_func("f").unwrap().call(&arguments).unwrap();
    assert_eq!(results, [Value::F64(2.5), Value::V128(3 << 100 | 5)]);
    assert_eq!(*seen.borrow(), [arguments.to_vec()]);
    let error = instance.dyn_func("wrong").unwrap().call(&arguments).unwrap_err();
    assert!(error.to_string().contains("returned [I32]"), "{error}");
}

#[test]
fn instances_share_functions_memories_tables_and_globals() {
    let exporter = instance(
        r#"(module
          (memory (export "memory") 1 4)
          (table (export "table") 2 funcref)
          (global $count (export "count") (mut i32) (i32.const 0))
          (func (export "bump") (result i32)
            (global.set $count (i32.add (global.get $count) (i32.const 1)))
            (global.get $count))
          (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
          (func (export "call") (param i32) (result i32)
            (call_indirect (result i32) (local.get 0)))
          (func (export "size") (result i32) (memory.size)))"#,
        &Imports::none(),
    );
    let mut imports = Imports::none();
    imports.instance("e", &exporter);
    let importer = instance(
        r#"(module
          (import "e" "memory" (memory 1))
          (import "e" "table" (table 2 funcref))
          (import "e" "count" (global $count (mut i32)))
          (import "e" "bump" (func $bump (result i32)))
          (elem (i32.const 1) $seven)
          (func $seven (result i32) (i32.const 7))
          (func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
          (func (export "grow") (result i32) (memory.grow (i32.const 1)))
          (func (export "bump_twice") (result i32)
            (drop (call $bump))
            (global.set $count (i32.add (global.get $count) (i32.const 10)))
            (call $bump)))"#,
        &imports,
    );
    importer.func::<fn(u32, u32)>("store").unwrap()(100, 42).unwrap();
    let load = exporter.func::<fn(u32) -> u32>("load").unwrap();
    assert_eq!(load(100).unwrap(), 42);
    assert_eq!(load(70_000).unwrap_err().code(), TrapCode::MemoryOutOfBounds);
    assert_eq!(importer.func::<fn() -> u32>("grow").unwrap()().unwrap(), 1);
    assert_eq!(load(70_000).unwrap(), 0);
    assert_eq!(exporter.func::<fn() -> u32>("size").unwrap()().unwrap(), 2);
    assert_eq!(importer.func::<fn() -> i32>("bump_twice").unwrap()().unwrap(), 12);
    assert_eq!(exporter.global("count").unwrap().get(), Value::I32(12));

    // A function that the importer has put into the exporter's table lives as long as the table.
    let call = exporter.func::<fn(u32) -> u32>("call").unwrap();
    drop((importer, imports, exporter));
    assert_eq!(call(1).unwrap(), 7);
    assert_eq!(call(0).unwrap_err().code(), TrapCode::UninitializedElement);
    assert_eq!(call(2).unwrap_err().code(), TrapCode::UndefinedElement);
}

#[test]
fn backtraces_cross_instances() {
    let callee = instance(r#"(module (func $deep (export "f") unreachable))"#, &Imports::none());
    let mut imports = Imports::none();
    imports.instance("m", &callee);
    let wat = r#"(module (import "m" "f" (func $f)) (func $outer (export "run") (call $f)))"#;
    let trap = instance(wat, &imports).func::<fn()>("run").unwrap()().unwrap_err();
    let names: Vec<_> = trap.backtrace().iter().map(|frame| frame.name().unwrap()).collect();
    assert_eq!(names, ["deep", "outer"]);
}

#[test]
fn imports_are_checked_and_named() {
    let fails = |wat: &str, imports: &Imports| {
        Instance::new(&module(wat), imports).unwrap_err().to_string()
    };
    let wat = r#"(module (import "env" "f" (func (param i32) (result i64))))"#;
    let message = fails(wat, &Imports::none());
    assert!(message.contains("`env` `f`") && message.contains("(i32) -> i64"), "{message}");
    let mut imports = Imports::none();
    imports.func("env", "f", |_: i32| 1.5f64);
    let message = fails(wat, &imports);
    assert!(message.contains("(i32) -> i64") && message.contains("(i32) -> f64"), "{message}");

    let memory = instance(r#"(module (memory (export "m") 1 2))"#, &Imports::none());
    let mut imports = Imports::none();
    imports.instance("env", &memory);
    for (wanted, fits) in [("1", true), ("1 2", true), ("1 3", true), ("2", false), ("1 1", false)]
    {
        let wat = format!(r#"(module (import "env" "m" (memory {wanted})))"#);
        assert_eq!(Instance::new(&module(&wat), &imports).is_ok(), fits, "memory {wanted}");
    }
    let wat = r#"(module (import "env" "m" (global i32)))"#;
    assert!(matches!(
        Instance::new(&module(wat), &imports),
        Err(LinkError::IncompatibleImport { .. })
    ));
}

#[test]
fn host_objects_are_checked() {
    let instance = instance(
        r#"(module
          (memory (export "memory") 1 2)
          (table (export "table") 1 3 funcref)
          (table (export "externs") 1 externref)
          (global (export "fixed") i64 (i64.const 5))
          (global (export "var") (mut f32) (f32.const 1))
          (func (export "f") (result i32) (i32.const 3))
          (func (export "call") (result i32) (call_indirect (result i32) (i32.const 0))))"#,
        &Imports::none(),
    );
    let memory = instance.memory("memory").unwrap();
    assert_eq!((memory.pages(), memory.size()), (1, 65_536));
    memory.write(65_534, b"ab").unwrap();
    assert!(memory.write(65_535, b"ab").is_err());
    let view = memory.cells();
    assert_eq!(memory.grow(1).unwrap(), 1);
    assert!(memory.grow(1).is_err());
    assert_eq!(view[65_534].get(), b'a', "a view stays valid");
    assert_eq!(memory.cells().len(), 131_072);

    let table = instance.table("table").unwrap();
    let Some(Extern::Func(f)) = instance.export("f") else { panic!("a function") };
    table.set(0, &Value::FuncRef(Some(f.clone()))).unwrap();
    assert_eq!(instance.func::<fn() -> i32>("call").unwrap()().unwrap(), 3);
    assert_eq!(table.get(0), Some(Value::FuncRef(Some(f))));
    assert!(table.set(0, &Value::I32(0)).is_err() && table.set(1, &Value::FuncRef(None)).is_err());
    assert_eq!(table.grow(2, &Value::FuncRef(None)).unwrap(), 1);
    assert!(table.grow(1, &Value::FuncRef(None)).is_err());
    let externs = instance.table("externs").unwrap();
    externs.set(0, &Value::ExternRef(ExternRef::new(9))).unwrap();
    assert_eq!(externs.get(0), Some(Value::ExternRef(ExternRef::new(9))));

    assert!(instance.global("fixed").unwrap().set(&Value::I64(1)).is_err());
    let var = instance.global("var").unwrap();
    assert!(var.set(&Value::F64(1.0)).is_err());
    var.set(&Value::F32(2.5)).unwrap();
    assert_eq!(var.get(), Value::F32(2.5));
    let error = instance.memory("f").unwrap_err().to_string();
    assert_eq!(error, "export `f` is a function, not a memory");
}

#[test]
fn closures_of_the_host_die_with_their_instances() {
    let token = Rc::new(());
    let mut imports = Imports::none();
    let held = token.clone();
    imports.func("h", "f", move || {
        let _ = &held;
    });
    let wat = r#"(module (import "h" "f" (func $f)) (func (export "run") (call $f)))"#;
    let a = instance(wat, &imports);
    let run = a.func::<fn()>("run").unwrap();
    drop((imports, a));
    assert_eq!(Rc::strong_count(&token), 2);
    run().unwrap();
    drop(run);
    assert_eq!(Rc::strong_count(&token), 1);
}

#[test]
fn re_exports_keep_the_type_and_the_identity_of_what_they_pass_on() {
    let definer = instance(
        r#"(module (memory (export "m") 1 2) (table (export "t") 1 2 funcref)
          (func (export "f")))"#,
        &Imports::none(),
    );
    let mut imports = Imports::none();
    imports.instance("a", &definer);
    // Imported as less than it is, and passed on as what it is.
    let middle = instance(
        r#"(module (import "a" "m" (memory 1)) (import "a" "t" (table 1 funcref))
          (import "a" "f" (func $f))
          (export "m" (memory 0)) (export "t" (table 0)) (export "f" (func $f)))"#,
        &imports,
    );
    let mut imports = Imports::none();
    imports.instance("b", &middle);
    instance(
        r#"(module (import "b" "m" (memory 1 2)) (import "b" "t" (table 1 2 funcref)))"#,
        &imports,
    );
    let f = |instance: &Instance| Value::FuncRef(Some(instance.dyn_func("f").unwrap()));
    assert_eq!(f(&definer), f(&middle));
    let other = instance(r#"(module (func (export "f")))"#, &Imports::none());
    assert_ne!(f(&definer), f(&other));
}
