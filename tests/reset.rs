//! Resetting an instance: it is as a new one, everything taken from it stays valid, and it is refused
//! while the instance is in use.

mod common;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use common::{engine, instance, on_each_tier, trap};
use wasm_mini::{Caller, ExternRef, Imports, Instance, LinkError, Module, Tier, TrapCode, Value};

fn module(tier: Tier, text: &str) -> Module {
    Module::with_engine(engine(tier), text).expect("a module")
}

/// Everything that an instance can have, and functions that change it.
const TEXT: &str = r#"(module
    (memory (export "memory") 1 4)
    (table $f (export "functions") 3 9 funcref)
    (table $e (export "externs") 2 9 externref)
    (global (export "i32") (mut i32) (i32.const 7))
    (global (export "v128") (mut v128) (v128.const i64x2 1 2))
    (global (export "func") (mut funcref) (ref.func $one))
    (global $starts (export "starts") (mut i32) (i32.const 10))
    (data (i32.const 10) "active")
    (data $d "passive")
    (elem (table $f) (i32.const 1) func $one $two)
    (elem $s func $two $one)
    (start $start)
    (func $start
        (global.set $starts (i32.add (global.get $starts) (i32.const 1)))
        (i32.store (i32.const 1000) (i32.load8_u (i32.const 10))))
    (func $one (export "one") (result i32) (i32.const 1))
    (func $two (result i32) (i32.const 2))
    (func (export "call") (param i32) (result i32)
        (call_indirect $f (result i32) (local.get 0)))
    (func (export "change") (param externref)
        (memory.fill (i32.const 0) (i32.const 0xee) (i32.const 65536))
        (drop (memory.grow (i32.const 2)))
        (memory.init $d (i32.const 190000) (i32.const 0) (i32.const 7))
        (data.drop $d)
        (table.init $f $s (i32.const 0) (i32.const 0) (i32.const 2))
        (elem.drop $s)
        (drop (table.grow $f (ref.func $two) (i32.const 4)))
        (drop (table.grow $e (local.get 0) (i32.const 5)))
        (table.fill $e (i32.const 0) (local.get 0) (i32.const 2))
        (global.set 0 (i32.const -1))
        (global.set 1 (v128.const i64x2 -1 -2))
        (global.set 2 (ref.null func)))
    (func (export "init") (memory.init $d (i32.const 0) (i32.const 0) (i32.const 7)))
    (func (export "elem") (table.init $f $s (i32.const 0) (i32.const 0) (i32.const 2)))
    (func (export "last") (result i32) (i32.load8_u (i32.const 65535)))
    (func (export "beyond") (result i32) (i32.load8_u (i32.const 65536))))"#;

/// All that can be seen from outside.
fn state(instance: &Instance) -> (Vec<u8>, Vec<Vec<bool>>, Vec<String>) {
    let memory = instance.memory("memory").expect("memory");
    let mut bytes = vec![0; memory.size()];
    memory.read(0, &mut bytes).expect("all of it");
    let tables = ["functions", "externs"].map(|name| {
        let table = instance.table(name).expect("table");
        let is_null = |index| match table.get(index).expect("inside") {
            Value::FuncRef(reference) => reference.is_none(),
            Value::ExternRef(reference) => reference.is_none(),
            other => panic!("{other}"),
        };
        (0..table.size()).map(is_null).collect()
    });
    let globals = ["i32", "v128", "func", "starts"]
        .map(|name| instance.global(name).expect("global").get().to_string());
    (bytes, tables.into(), globals.into())
}

fn everything_is_as_new(tier: Tier) {
    let module = module(tier, TEXT);
    let fresh = common::instantiate(&module);
    let instance = common::instantiate(&module);
    // Taken before, and used throughout.
    let memory = instance.memory("memory").expect("memory");
    let table = instance.table("functions").expect("table");
    let global = instance.global("i32").expect("global");
    let call = instance.typed_func::<fn(i32) -> i32>("call").expect("call");
    let change = instance.dyn_func("change").expect("change");
    let one = instance.dyn_func("one").expect("one");
    let first = memory.cells().as_ptr();
    for _ in 0..5 {
        assert_eq!(state(&instance), state(&fresh));
        assert_eq!((memory.pages(), table.size(), global.get()), (1, 3, Value::I32(7)));
        assert_eq!(table.get(1), Some(Value::FuncRef(Some(one.clone()))));
        assert_eq!((call.call(1).expect("one"), call.call(2).expect("two")), (1, 2));
        let null = call.call(0).expect_err("null").code();
        assert_eq!(null, TrapCode::UninitializedElement);
        assert_eq!(call.call(3).expect_err("three").code(), TrapCode::UndefinedElement);
        let get = |name: &str| instance.func::<fn() -> i32>(name).expect("the export")();
        assert_eq!(get("last").expect("inside"), 0);
        assert_eq!(get("beyond").expect_err("outside").code(), TrapCode::MemoryOutOfBounds);

        change.call(&[Value::ExternRef(ExternRef::new(5))]).expect("no trap");
        assert_ne!(state(&instance), state(&fresh));
        assert_eq!((memory.pages(), table.size(), global.get()), (3, 7, Value::I32(-1)));
        assert_eq!((call.call(0).expect("two"), get("beyond").expect("inside")), (2, 0));
        for (name, code) in
            [("init", TrapCode::MemoryOutOfBounds), ("elem", TrapCode::TableOutOfBounds)]
        {
            assert_eq!(trap(&instance.dyn_func(name).expect("it"), &[]).code(), code);
        }
        instance.reset().expect("a reset");
        assert_eq!(memory.cells().as_ptr(), first, "a memory with little data does not move");
        // Segments are there again.
        instance.dyn_func("init").expect("init").call(&[]).expect("no trap");
        instance.dyn_func("elem").expect("elem").call(&[]).expect("no trap");
        assert_eq!((call.call(0).expect("two"), call.call(1).expect("one")), (2, 1));
        instance.reset().expect("a reset");
    }
}

/// What is imported stays, but for active segments, which are copied again.
fn imports_stay(tier: Tier) {
    let definer = instance(tier, TEXT);
    let calls = Rc::new(Cell::new(0));
    let mut imports = Imports::none();
    imports.instance("d", &definer);
    let counter = calls.clone();
    imports.func("h", "count", move || {
        counter.set(counter.get() + 1);
        counter.get()
    });
    let text = r#"(module (import "d" "memory" (memory 1)) (import "d" "functions" (table 3 funcref))
        (import "d" "i32" (global $i (mut i32))) (import "h" "count" (func $count (result i32)))
        (global $own (export "own") (mut i32) (i32.const 1))
        (data (i32.const 20) "copied") (elem (i32.const 0) $three)
        (start $start)
        (func $start (drop (call $count)))
        (func $three (export "three") (result i32) (i32.const 3))
        (func (export "change")
            (i64.store (i32.const 20) (i64.const 0)) (i64.store (i32.const 40) (i64.const -1))
            (global.set $i (i32.const 99)) (global.set $own (i32.const 99))))"#;
    let importer = Instance::new(&module(tier, text), &imports).expect("an instance");
    let memory = definer.memory("memory").expect("memory");
    let bytes = |at| {
        let mut bytes = [0; 6];
        memory.read(at, &mut bytes).expect("inside");
        bytes
    };
    let own = importer.global("own").expect("own");
    let call = definer.func::<fn(i32) -> i32>("call").expect("call");
    importer.func::<fn()>("change").expect("change")().expect("no trap");
    assert_eq!((bytes(20), bytes(40), own.get()), ([0; 6], [255; 6], Value::I32(99)));
    importer.reset().expect("a reset");
    assert_eq!((&bytes(20), bytes(40), own.get()), (b"copied", [255; 6], Value::I32(1)));
    assert_eq!(definer.global("i32").expect("i32").get(), Value::I32(99));
    assert_eq!((call(0).expect("three"), calls.get()), (3, 2));
    // The definer forgets what was put into its table; the importer's function lives on.
    definer.reset().expect("a reset");
    assert_eq!(call(0).expect_err("null").code(), TrapCode::UninitializedElement);
    assert_eq!((bytes(40), definer.global("i32").expect("i32").get()), ([0; 6], Value::I32(7)));
    let three = Value::FuncRef(Some(importer.dyn_func("three").expect("three")));
    definer.table("functions").expect("table").set(0, &three).expect("inside");
    importer.reset().expect("a reset");
    drop((importer, imports, three));
    assert_eq!(call(0).expect("three"), 3);
}

fn refused_while_in_use(tier: Tier) {
    let others = Rc::new(RefCell::new(Vec::new()));
    let (inside, errors) = (others.clone(), Rc::new(RefCell::new(Vec::new())));
    let noted = errors.clone();
    let mut imports = Imports::none();
    imports.func("h", "f", move |caller: &mut Caller<'_>| {
        for instance in inside.borrow().iter().chain([caller.instance()]) {
            let instance: &Instance = instance;
            noted.borrow_mut().push(instance.reset().expect_err("a guest runs").to_string());
        }
    });
    let text = r#"(module (import "h" "f" (func $f)) (memory (export "memory") 1)
        (global (export "g") (mut i32) (i32.const 0))
        (func (export "run") (result i32)
            (global.set 0 (i32.const 5)) (i32.store8 (i32.const 0) (i32.const 9))
            (call $f)
            (i32.add (global.get 0) (i32.load8_u (i32.const 0)))))"#;
    let module = module(tier, text);
    let instance = Instance::new(&module, &imports).expect("an instance");
    others.borrow_mut().push(Instance::new(&module, &imports).expect("another"));
    let run = instance.func::<fn() -> i32>("run").expect("run");
    assert_eq!(run().expect("no trap"), 14, "nothing was reset");
    assert_eq!(errors.borrow().len(), 2);
    assert!(errors.borrow().iter().all(|error| error.contains("guest")), "{errors:?}");

    let memory = instance.memory("memory").expect("memory");
    let view = memory.cells();
    let second = memory.cells();
    drop(view);
    let error = instance.reset().expect_err("there is a view");
    assert!(matches!(error, LinkError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("view"), "{error}");
    assert_eq!((second[0].get(), instance.global("g").expect("g").get()), (9, Value::I32(5)));
    drop(second);
    instance.reset().expect("a reset");
    assert_eq!(
        (memory.cells()[0].get(), instance.global("g").expect("g").get()),
        (0, Value::I32(0))
    );
    others.borrow_mut().clear();
}

/// A start function that fails the second time: an error or a panic, and all goes on.
fn start_functions_that_fail(tier: Tier) {
    let todo = Rc::new(Cell::new("nothing"));
    let mode = todo.clone();
    let mut imports = Imports::none();
    imports.func("h", "f", move || match mode.get() {
        "panic" => panic!("the host's panic"),
        "fail" => Err("the host's error"),
        _ => Ok(()),
    });
    let text = r#"(module (import "h" "f" (func $f)) (memory (export "memory") 1 2)
        (global (export "g") (mut i32) (i32.const 0)) (start $start)
        (func $start (global.set 0 (i32.const 1)) (call $f) (global.set 0 (i32.const 2)))
        (func (export "change")
            (global.set 0 (i32.const 3)) (drop (memory.grow (i32.const 1)))
            (i32.store (i32.const 70000) (i32.const 1))))"#;
    let instance = Instance::new(&module(tier, text), &imports).expect("an instance");
    let (global, memory) =
        (instance.global("g").expect("g"), instance.memory("memory").expect("it"));
    let change = instance.func::<fn()>("change").expect("change");
    for failure in ["panic", "fail", "panic"] {
        change().expect("no trap");
        todo.set(failure);
        match catch_unwind(AssertUnwindSafe(|| instance.reset())) {
            Ok(Err(LinkError::Start(trap))) if failure == "fail" => {
                assert_eq!(trap.code(), TrapCode::HostError);
            }
            Err(panic) if failure == "panic" => {
                assert_eq!(panic.downcast_ref(), Some(&"the host's panic"));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!((global.get(), memory.pages()), (Value::I32(1), 1));
        change().expect("no trap");
        assert_eq!((global.get(), memory.pages()), (Value::I32(3), 2));
        todo.set("nothing");
        instance.reset().expect("a reset");
        assert_eq!((global.get(), memory.pages()), (Value::I32(2), 1));
    }
}

/// After traps of every kind, also with the stack used up.
fn after_traps(tier: Tier) {
    let text = r#"(module (memory 1) (global (export "g") (mut i32) (i32.const 0))
        (func $deep (export "deep")
            (global.set 0 (i32.add (global.get 0) (i32.const 1))) (call $deep))
        (func (export "store") (global.set 0 (i32.const 4)) (i32.store (i32.const -1) (i32.const 0)))
        (func (export "unreachable") (global.set 0 (i32.const 5)) unreachable)
        (func (export "get") (result i32) (global.get 0)))"#;
    let instance = instance(tier, text);
    let get = instance.func::<fn() -> i32>("get").expect("get");
    for name in ["deep", "store", "unreachable", "deep"] {
        instance.func::<fn()>(name).expect("the export")().expect_err("a trap");
        assert!(get().expect("no trap") > 0, "{name}");
        instance.reset().expect("a reset");
        assert_eq!(get().expect("no trap"), 0, "{name}");
    }
}

on_each_tier!(
    everything_is_as_new,
    imports_stay,
    refused_while_in_use,
    start_functions_that_fail,
    after_traps,
);
