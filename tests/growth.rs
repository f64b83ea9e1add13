//! The limiter of an instance: what it is asked, what its answers do, and what it may do itself.

mod common;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use common::{engine, on_each_tier};
use wasm_mini::{
    Caller, Engine, Growth, Imports, Instance, Limits, LinkError, Module, Resource, Tier,
    TypedFunc, Value,
};

const PAGE: u64 = 65_536;

/// A memory of 1 to 5 pages, tables of 2 to 6 functions and of 3 or more external references.
const TEXT: &str = r#"(module
    (memory (export "memory") 1 5)
    (table $f (export "functions") 2 6 funcref)
    (table $e (export "externs") 3 externref)
    (func (export "memory.grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "memory.size") (result i32) memory.size)
    (func (export "functions.grow") (param i32) (result i32)
        (table.grow $f (ref.null func) (local.get 0)))
    (func (export "functions.size") (result i32) (table.size $f))
    (func (export "externs.grow") (param i32) (result i32)
        (table.grow $e (ref.null extern) (local.get 0))))"#;

fn module(tier: Tier, text: &str) -> Module {
    Module::with_engine(engine(tier), text).expect("a module")
}

fn limited(module: &Module, limiter: impl Fn(&Growth) -> bool + 'static) -> Instance {
    Instance::with_limiter(module, &Imports::none(), limiter).expect("an instance")
}

type Grow = TypedFunc<fn(i32) -> i32>;

fn grow(instance: &Instance, what: &str) -> Grow {
    instance.typed_func(&format!("{what}.grow")).expect("the export")
}

/// What was asked: kind, index, current, desired, maximum.
type Asked = (Resource, u32, u64, u64, u64);

fn what_is_asked(tier: Tier) {
    let mut limits = Limits::default();
    limits.table_elements = 100;
    let engine = Engine::builder().tier(tier).limits(limits).build().expect("an engine");
    let module = Module::with_engine(&engine, TEXT).expect("a module");
    let log = Rc::new(RefCell::new(Vec::<Asked>::new()));
    let taken = || log.take();
    let noting = log.clone();
    let instance = limited(&module, move |g| {
        noting.borrow_mut().push((g.resource, g.index, g.current, g.desired, g.maximum));
        true
    });
    let memory = |from, to| (Resource::Memory, 0, from * PAGE, to * PAGE, 5 * PAGE);
    let functions = |from, to| (Resource::Table, 0, from, to, 6);
    let externs = |from, to| (Resource::Table, 1, from, to, 100);
    assert_eq!(taken(), [memory(0, 1), functions(0, 2), externs(0, 3)]);

    assert_eq!(grow(&instance, "memory").call(2).expect("no trap"), 1);
    assert_eq!(grow(&instance, "functions").call(3).expect("no trap"), 2);
    assert_eq!(grow(&instance, "externs").call(97).expect("no trap"), 3);
    assert_eq!(taken(), [memory(1, 3), functions(2, 5), externs(3, 100)]);
    instance.memory("memory").expect("memory").grow(1).expect("approved");
    let table = instance.table("functions").expect("table");
    table.grow(1, &Value::FuncRef(None)).expect("approved");
    assert_eq!(taken(), [memory(3, 4), functions(5, 6)]);

    // Nothing, and what is forbidden anyway.
    for (what, by) in [("memory", 0), ("memory", 2), ("functions", 0), ("functions", 1)] {
        grow(&instance, what).call(by).expect("no trap");
    }
    assert_eq!(grow(&instance, "externs").call(1).expect("no trap"), -1);
    assert_eq!(grow(&instance, "memory").call(-1).expect("no trap"), -1);
    assert!(table.grow(1, &Value::FuncRef(None)).is_err());
    instance.reset().expect("a reset");
    assert_eq!(taken(), []);
    assert_eq!(grow(&instance, "memory").call(1).expect("no trap"), 1);
    assert_eq!(taken(), [memory(1, 2)]);
}

fn refusals(tier: Tier) {
    let module = module(tier, TEXT);
    let strict = Rc::new(Cell::new(false));
    let refusing = strict.clone();
    let instance = limited(&module, move |_| !refusing.get());
    strict.set(true);
    for what in ["memory", "functions", "externs"] {
        assert_eq!(grow(&instance, what).call(1).expect("no trap"), -1, "{what}");
    }
    let memory = instance.memory("memory").expect("memory");
    let error = memory.grow(1).expect_err("refused").to_string();
    assert!(error.contains("limiter") && error.contains("grow by 1"), "{error}");
    let table = instance.table("functions").expect("table");
    let error = table.grow(1, &Value::FuncRef(None)).expect_err("refused").to_string();
    assert!(error.contains("limiter"), "{error}");
    assert_eq!((memory.pages(), table.size()), (1, 2));
    strict.set(false);
    assert_eq!(grow(&instance, "memory").call(1).expect("no trap"), 1);
    assert_eq!((memory.pages(), memory.size() as u64), (2, 2 * PAGE));

    // Neither is made.
    for (resource, first) in [(Resource::Memory, PAGE), (Resource::Table, 2)] {
        let limiter = move |growth: &Growth| growth.resource != resource;
        let error = Instance::with_limiter(&module, &Imports::none(), limiter);
        match error.expect_err("refused") {
            LinkError::Refused { what, desired } => {
                assert_eq!((what, desired), (resource.to_string(), first));
            }
            other => panic!("{other}"),
        }
    }
}

fn message(panic: Box<dyn std::any::Any + Send>) -> String {
    panic.downcast_ref::<&str>().expect("a text").to_string()
}

/// A panic ends the guest and goes on in the host, through all hosts and guests between.
fn panics(tier: Tier) {
    // The guest called the host, which called the guest, which grows.
    let text = r#"(module (import "h" "again" (func $again (param i32) (result i32)))
        (memory (export "memory") 1) (table $t 1 externref) (global (export "g") (mut i32) (i32.const 0))
        (func (export "outer") (param i32) (result i32)
            (i32.add (call $again (local.get 0)) (i32.const 1)))
        (func $deep (param i32 i32) (result i32)
            (if (result i32) (i32.eqz (local.get 1))
                (then (if (result i32) (local.get 0)
                    (then (memory.grow (i32.const 1)))
                    (else (table.grow $t (ref.null extern) (i32.const 1)))))
                (else (i32.add (i32.const 1)
                    (call $deep (local.get 0) (i32.sub (local.get 1) (i32.const 1)))))))
        (func (export "inner") (param i32) (result i32)
            (global.set 0 (i32.const 1))
            (drop (call $deep (local.get 0) (i32.const 9)))
            (global.set 0 (i32.const 2))
            (i32.const 5)))"#;
    let module = module(tier, text);
    let mut imports = Imports::none();
    imports.func("h", "again", |caller: &mut Caller<'_>, memory: i32| {
        let inner = caller.instance().typed_func::<fn(i32) -> i32>("inner").expect("inner");
        inner.call(memory)
    });
    let explosive = Rc::new(Cell::new(false));
    let armed = explosive.clone();
    let limiter = move |_: &Growth| {
        assert!(!armed.get(), "the limiter's panic");
        true
    };
    let instance = Instance::with_limiter(&module, &imports, limiter).expect("an instance");
    let outer = instance.typed_func::<fn(i32) -> i32>("outer").expect("outer");
    let global = instance.global("g").expect("g");
    let memory = instance.memory("memory").expect("memory");
    let mut pages = 1;
    for _ in 0..20 {
        for grows_memory in [1, 0] {
            explosive.set(true);
            let ended = catch_unwind(AssertUnwindSafe(|| outer.call(grows_memory)));
            assert_eq!(message(ended.expect_err("a panic")), "the limiter's panic");
            assert_eq!(global.get(), Value::I32(1), "the guest did not go on");
            assert_eq!(memory.pages(), pages);
            let ended = catch_unwind(AssertUnwindSafe(|| memory.grow(1)));
            assert_eq!(message(ended.expect_err("a panic")), "the limiter's panic");
            assert_eq!(memory.pages(), pages);
            // And all goes on.
            explosive.set(false);
            assert_eq!(outer.call(grows_memory).expect("no trap"), 6);
            assert_eq!(global.get(), Value::I32(2));
            pages += grows_memory as u32;
        }
    }
    explosive.set(true);
    let armed = explosive.clone();
    let made = catch_unwind(AssertUnwindSafe(|| {
        let limiter = move |_: &Growth| {
            assert!(!armed.get(), "the limiter's panic");
            true
        };
        Instance::with_limiter(&module, &imports, limiter)
    }));
    assert_eq!(message(made.expect_err("a panic")), "the limiter's panic");
}

/// What a limiter's panic or refusal leaves is not counted.
fn refused_growth_is_not_counted(tier: Tier) {
    let mut limits = Limits::default();
    limits.total_memory_bytes = 3 * PAGE;
    limits.total_table_elements = 8;
    limits.instances = 1;
    let engine = Engine::builder().tier(tier).limits(limits).build().expect("an engine");
    let module = Module::with_engine(&engine, TEXT).expect("a module");
    for resource in [Resource::Memory, Resource::Table] {
        for panics in [false, true] {
            let limiter = move |growth: &Growth| {
                assert!(!panics || growth.resource != resource, "no");
                growth.resource != resource
            };
            let make = || Instance::with_limiter(&module, &Imports::none(), limiter).is_err();
            assert!(catch_unwind(AssertUnwindSafe(make)).unwrap_or(panics), "{resource} {panics}");
        }
    }
    let answer = Rc::new(Cell::new(Some(true)));
    let given = answer.clone();
    let instance = limited(&module, move |_| given.get().expect("no panic"));
    for refused in [Some(false), None] {
        answer.set(refused);
        for what in ["memory", "functions", "externs"] {
            let grow = grow(&instance, what);
            let grown = catch_unwind(AssertUnwindSafe(|| grow.call(1).expect("no trap")));
            assert_eq!(grown.unwrap_or(-1), -1);
        }
    }
    answer.set(Some(true));
    assert_eq!(grow(&instance, "memory").call(2).expect("no trap"), 1);
    assert_eq!(grow(&instance, "functions").call(3).expect("no trap"), 2);
    assert_eq!(grow(&instance, "externs").call(1).expect("no trap"), -1);
}

/// The limiter of the instance that defines it, whoever lets it grow.
fn of_the_definer(tier: Tier) {
    let asked = Rc::new(Cell::new(0));
    let counter = asked.clone();
    let definer = limited(&module(tier, TEXT), move |_| {
        counter.set(counter.get() + 1);
        true
    });
    let mut imports = Imports::none();
    imports.instance("d", &definer);
    let text = r#"(module (import "d" "memory" (memory 1)) (import "d" "externs" (table 1 externref))
        (table $own 1 externref)
        (func (export "memory.grow") (param i32) (result i32) (memory.grow (local.get 0)))
        (func (export "externs.grow") (param i32) (result i32)
            (table.grow 0 (ref.null extern) (local.get 0)))
        (func (export "own.grow") (param i32) (result i32)
            (table.grow $own (ref.null extern) (local.get 0))))"#;
    let limiter = |growth: &Growth| {
        assert_eq!((growth.resource, growth.index), (Resource::Table, 1));
        growth.desired < 3
    };
    let importer = Instance::with_limiter(&module(tier, text), &imports, limiter);
    let importer = importer.expect("an instance");
    asked.set(0);
    assert_eq!(grow(&importer, "memory").call(1).expect("no trap"), 1);
    assert_eq!(grow(&importer, "externs").call(1).expect("no trap"), 3);
    assert_eq!(asked.get(), 2);
    assert_eq!(grow(&importer, "own").call(1).expect("no trap"), 1);
    assert_eq!(grow(&importer, "own").call(1).expect("no trap"), -1);
    assert_eq!(asked.get(), 2);
}

/// A limiter reads, writes, calls and grows like any host; what it grew itself does not grow again.
fn limiters_use_their_instance(tier: Tier) {
    let module = module(tier, TEXT);
    let slot = Rc::new(RefCell::new(None::<Instance>));
    let (seen, action) = (Rc::new(Cell::new(0)), Rc::new(Cell::new("read")));
    let (inside, note, act) = (slot.clone(), seen.clone(), action.clone());
    let instance = limited(&module, move |growth| {
        let Some(instance) = inside.borrow().clone() else { return true };
        let memory = instance.memory("memory").expect("memory");
        let size = instance.func::<fn() -> i32>("memory.size").expect("size");
        note.set(size().expect("no trap"));
        memory.write(8, &growth.desired.to_le_bytes()).expect("inside");
        assert!(instance.reset().is_err() || act.get() == "reset");
        match act.get() {
            // Approves its own.
            "grow" if growth.desired == 3 * PAGE => memory.grow(1).is_ok(),
            "guest" if growth.desired == 3 * PAGE => grow(&instance, "memory").call(1).is_ok(),
            _ => true,
        }
    });
    slot.replace(Some(instance.clone()));
    let (memory, outer) = (instance.memory("memory").expect("memory"), grow(&instance, "memory"));
    assert_eq!(outer.call(1).expect("no trap"), 1);
    let mut bytes = [0; 8];
    memory.read(8, &mut bytes).expect("inside");
    assert_eq!((u64::from_le_bytes(bytes), seen.get()), (2 * PAGE, 1));
    for nested in ["grow", "guest"] {
        instance.reset().expect("a reset");
        action.set(nested);
        assert_eq!(outer.call(2).expect("no trap"), -1, "{nested}");
        assert_eq!(memory.pages(), 2, "{nested}");
        let size = instance.func::<fn() -> i32>("memory.size").expect("size");
        assert_eq!(size().expect("no trap"), 2);
    }
    // No guest runs while the host lets it grow.
    action.set("reset");
    assert!(memory.grow(1).is_err(), "it was larger when the limiter was asked");
    assert_eq!(memory.pages(), 1);
    assert_eq!(memory.grow(1).expect("approved"), 1);
    assert_eq!(memory.pages(), 2);
    slot.replace(None);
}

on_each_tier!(
    what_is_asked,
    refusals,
    panics,
    refused_growth_is_not_counted,
    of_the_definer,
    limiters_use_their_instance,
);
