//! What the runtime does while no guest runs: instances that are made, linked, looked into, reset and
//! dropped in every order; what compiled code calls back for, called as compiled code does; functions
//! of the host behind their crossings; requests to end a call, without the signals. All of it can run
//! in Miri, which is why it is here and not in `tests/`: see SECURITY.md.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;

use super::builtins::BUILTINS;
use super::registers::InMemory;
use super::*;
use crate::compile::Tier;
use crate::compile::abi::{Builtin, EntryRecord, HostContext, VmContext, VmFunction, VmMemory};
use crate::compile::trampoline::RegisterFile;
use crate::error::{Error, LinkError};
use crate::module::ValType;

fn engines() -> impl Iterator<Item = Engine> {
    let build = |tier: &Tier| Engine::builder().tier(*tier).interruption(Interruption::Polled);
    Tier::available().iter().map(move |tier| build(tier).build().expect("an engine"))
}

fn module(engine: &Engine, text: &str) -> Module {
    Module::with_engine(engine, wat::parse_str(text).expect("a text")).expect("a module")
}

fn instance(engine: &Engine, text: &str, imports: &Imports) -> Instance {
    Instance::new(&module(engine, text), imports).expect("an instance")
}

/// All orders of so many things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else { return vec![Vec::new()] };
    let shorter = orders(last);
    shorter
        .iter()
        .flat_map(|order| {
            (0..=last).map(|at| {
                let mut order = order.clone();
                order.insert(at, last);
                order
            })
        })
        .collect()
}

const EXPORTER: &str = r#"(module
    (memory (export "memory") 1 3)
    (table (export "table") 4 8 funcref)
    (table (export "externs") 2 externref)
    (global (export "global") (mut i64) (i64.const 5))
    (global (export "vector") (mut v128) (v128.const i64x2 1 2))
    (func $f (export "f") (param i32) (result i32) (local.get 0))
    (elem (i32.const 1) func $f)
    (data (i32.const 10) "hello"))"#;

const IMPORTER: &str = r#"(module
    (import "x" "memory" (memory 1))
    (import "x" "table" (table 4 funcref))
    (import "x" "global" (global (mut i64)))
    (import "x" "f" (func $f (param i32) (result i32)))
    (import "host" "g" (func $g (param i32 i64 f32) (result i64)))
    (table (export "own") 3 funcref)
    (global (export "reference") (mut funcref) (ref.func $h))
    (func $h (export "h") (result i32) (i32.const 7))
    (export "f" (func $f))
    (export "g" (func $g))
    (export "memory" (memory 0))
    (elem (table 0) (i32.const 2) func $h $g)
    (elem (table 1) (i32.const 0) func $f $g $h)
    (data (i32.const 20) "there"))"#;

/// A host function that holds what tells whether it is alive.
fn host(imports: &mut Imports, alive: &Rc<()>) {
    let alive = alive.clone();
    imports.func("host", "g", move |a: i32, b: i64, c: f32| -> i64 {
        let _ = &alive;
        i64::from(a) + b + c as i64
    });
}

/// Linked instances die when the last handle to any of them goes, whichever it is, and are whole until
/// then.
#[test]
fn groups_live_as_long_as_anything_of_them() {
    for engine in engines() {
        let (exports, imports_it) = (module(&engine, EXPORTER), module(&engine, IMPORTER));
        for order in orders(4).into_iter().step_by(if cfg!(miri) { 5 } else { 1 }) {
            let alive = Rc::new(());
            let exporter = Instance::new(&exports, &Imports::none()).expect("an instance");
            let mut imports = Imports::none();
            imports.instance("x", &exporter);
            host(&mut imports, &alive);
            let one = Instance::new(&imports_it, &imports).expect("an instance");
            let other = Instance::new(&imports_it, &imports).expect("an instance");
            drop(imports);
            let table = exporter.table("table").expect("a table");
            let mut handles = [
                Some(Extern::from(table)),
                Some(Extern::from(one.dyn_func("h").expect("a function"))),
                Some(Extern::from(other.memory("memory").expect("a memory"))),
                Some(Extern::from(one.global("reference").expect("a global"))),
            ];
            drop((exporter, one, other));
            for (at, dropped) in order.iter().enumerate() {
                for handle in handles.iter().flatten() {
                    look(handle);
                }
                handles[*dropped] = None;
                assert_eq!(Rc::strong_count(&alive) > 1, at < 3, "{order:?}");
            }
        }
    }
}

/// Reads what there is to read, and writes some of it.
fn look(what: &Extern) {
    assert!(!format!("{what:?}").is_empty());
    match what {
        Extern::Func(func) => assert!(func.is_same(func)),
        Extern::Memory(memory) => {
            let mut bytes = [0; 5];
            memory.read(20, &mut bytes).expect("inside");
            assert_eq!(&bytes, b"there");
            let cells = memory.cells();
            cells[100].set(cells[100].get().wrapping_add(1));
            memory.write(100, &[cells[100].get()]).expect("inside");
            assert!(memory.write(memory.size() as u32 - 1, &[0; 2]).is_err());
        }
        Extern::Table(table) => {
            let elements: Vec<_> = (0..table.size()).filter_map(|at| table.get(at)).collect();
            let of = |value: &Value| match value {
                Value::FuncRef(Some(func)) => func.ty().to_string(),
                other => other.to_string(),
            };
            let types: Vec<_> = elements.iter().map(of).collect();
            assert_eq!(types, ["null", "(i32) -> i32", "() -> i32", "(i32, i64, f32) -> i64"]);
            for (at, element) in elements.iter().enumerate() {
                table.set(at as u32, element).expect("an element");
            }
        }
        Extern::Global(global) => {
            let value = global.get();
            global.set(&value).expect("mutable");
            assert_eq!(global.get(), value);
        }
    }
}

/// A reference that the host carries from one group to another makes them one.
#[test]
fn references_carry_their_instances_along() {
    for engine in engines() {
        let tables = instance(&engine, EXPORTER, &Imports::none());
        let table = tables.table("table").expect("a table");
        drop(tables);
        for at in 0..4 {
            let other = instance(&engine, EXPORTER, &Imports::none());
            let f = other.dyn_func("f").expect("a function");
            table.set(at, &Value::FuncRef(Some(f))).expect("an element");
        }
        let alone = instance(&engine, EXPORTER, &Imports::none());
        let (f, global) = (alone.dyn_func("f"), alone.global("global"));
        assert_eq!(table.grow(2, &Value::FuncRef(f.ok())).expect("room"), 4);
        drop(alone);
        let elements: Vec<_> = (0..6).map(|at| table.get(at).expect("an element")).collect();
        drop(table);
        assert_eq!(elements[4], elements[5]);
        assert_ne!(elements[0], elements[1]);
        for element in elements {
            let Value::FuncRef(Some(func)) = element else { panic!("{element:?}") };
            assert_eq!(func.ty().to_string(), "(i32) -> i32");
        }
        assert_eq!(global.expect("a global").get(), Value::I64(5));
    }
}

#[test]
fn what_grew_and_was_written_is_as_new_after_a_reset() {
    for engine in engines() {
        let asked = Rc::new(Cell::new(0));
        let counts = asked.clone();
        let limiter = move |growth: &Growth| {
            counts.set(counts.get() + 1);
            growth.desired < 3 << 16
        };
        let module = module(&engine, EXPORTER);
        let instance = Instance::with_limiter(&module, &Imports::none(), limiter);
        let instance = instance.expect("an instance");
        let memory = instance.memory("memory").expect("a memory");
        let (table, externs) = (instance.table("table"), instance.table("externs"));
        let (table, externs) = (table.expect("a table"), externs.expect("a table"));
        let vector = instance.global("vector").expect("a global");
        for round in 0..2 {
            assert_eq!(memory.grow(1).expect("room"), 1);
            assert!(memory.grow(1).is_err(), "the limiter refuses");
            memory.write(65_530, b"some of each").expect("inside");
            let reference = Value::ExternRef(ExternRef::new(round));
            assert_eq!(externs.grow(100, &reference).expect("room"), 2);
            externs.set(0, &reference).expect("an element");
            assert_eq!(externs.get(101), Some(reference));
            vector.set(&Value::V128(u128::MAX)).expect("mutable");
            table.set(1, &Value::FuncRef(None)).expect("an element");
            let cells = memory.cells();
            assert!(matches!(instance.reset(), Err(LinkError::InUse { .. })));
            assert_eq!(cells[65_530].get(), b's');
            drop(cells);
            instance.reset().expect("a reset");
            assert_eq!((memory.pages(), externs.size(), table.size()), (1, 2, 4));
            assert!(memory.cells()[65_530..].iter().all(|cell| cell.get() == 0));
            assert_eq!(vector.get(), Value::V128(1 | 2 << 64));
            assert_eq!(externs.get(0), Some(Value::ExternRef(None)));
            assert!(matches!(table.get(1), Some(Value::FuncRef(Some(_)))));
        }
        assert_eq!(asked.get(), 3 + 2 * 3, "asked for each that was made or grew");
    }
}

/// What is not made is freed, and what was counted for it is given back.
#[test]
fn instances_that_are_not_made_leave_nothing() {
    let mut limits = crate::module::Limits::default();
    (limits.instances, limits.total_memory_bytes, limits.total_table_elements) = (2, 1 << 16, 6);
    for tier in Tier::available() {
        let engine = Engine::builder().tier(*tier).limits(limits).build().expect("an engine");
        let module = module(&engine, EXPORTER);
        for round in 0..3 {
            let instance =
                Instance::new(&module, &Imports::none()).expect("what there is room for");
            let refused = Instance::new(&module, &Imports::none());
            assert!(matches!(refused, Err(LinkError::Limit { limit: 65_536, .. })));
            drop(instance);
            let limiter = move |growth: &Growth| match (growth.resource, round) {
                (Resource::Table, 0) => false,
                (Resource::Table, 1) => panic!("no"),
                _ => true,
            };
            let limited = std::panic::AssertUnwindSafe(|| {
                Instance::with_limiter(&module, &Imports::none(), limiter)
            });
            match std::panic::catch_unwind(limited) {
                Ok(refused) => assert_eq!(refused.is_err(), round == 0),
                Err(_) => assert_eq!(round, 1),
            }
        }
    }
}

/// A builtin as compiled code finds it, of a type with so many integers behind the context.
macro_rules! builtin {
    ($vmctx:expr, $which:ident, $($argument:expr),+) => {{
        // SAFETY: the table has a function of that type there, which the arguments are for: those of
        // an operator that validation would accept, on an instance that is alive.
        unsafe {
            let address = *BUILTINS.as_ptr().add(Builtin::$which as usize).cast::<*const ()>();
            let function: unsafe extern "sysv64" fn(*mut VmContext, $(builtin!(@ty $argument)),+) -> u64 =
                std::mem::transmute(address);
            function($vmctx, $($argument),+)
        }
    }};
    (@ty $argument:expr) => { u64 };
}

#[test]
fn builtins_do_what_their_operators_say() {
    let text = r#"(module
        (memory (export "memory") 1 2)
        (table $t (export "table") 6 funcref)
        (table $e (export "externs") 4 externref)
        (func $f (export "f"))
        (func $g (export "g") (result i32) (i32.const 1))
        (elem $s func $f $g $f)
        (data $d "0123456789"))"#;
    for engine in engines() {
        let instance = instance(&engine, text, &Imports::none());
        let vmctx = instance.0.vmctx();
        let memory = instance.memory("memory").expect("a memory");
        let read = |at: u32, len: usize| {
            let mut bytes = vec![0; len];
            memory.read(at, &mut bytes).expect("inside");
            String::from_utf8(bytes).expect("text")
        };
        assert_eq!(builtin!(vmctx, MemoryInit, 0, 0, 5, 2, 6), 0);
        assert_eq!(read(5, 6), "234567");
        assert_eq!(builtin!(vmctx, MemoryInit, 0, 0, 65_530, 0, 7), 1, "past the memory's end");
        assert_eq!(builtin!(vmctx, MemoryInit, 0, 0, 0, 5, 6), 1, "past the segment's end");
        let place = instance.0.vm_memory(0);
        // SAFETY: these are the functions of the builtins' types, on a live instance's memory.
        unsafe {
            type Fill =
                unsafe extern "sysv64" fn(*mut VmContext, *const VmMemory, u64, u64, u64) -> u64;
            type Copy = unsafe extern "sysv64" fn(
                *mut VmContext,
                *const VmMemory,
                *const VmMemory,
                u64,
                u64,
                u64,
            ) -> u64;
            let address =
                |which: Builtin| *BUILTINS.as_ptr().add(which as usize).cast::<*const ()>();
            let fill = std::mem::transmute::<*const (), Fill>(address(Builtin::MemoryFill));
            let copy = std::mem::transmute::<*const (), Copy>(address(Builtin::MemoryCopy));
            assert_eq!(fill(vmctx, place, 20, 0x1_41, 4), 0);
            assert_eq!(read(20, 4), "AAAA");
            assert_eq!(fill(vmctx, place, 65_533, 1, 4), 1);
            assert_eq!(fill(vmctx, place, 65_536, 1, 0), 0);
            assert_eq!(copy(vmctx, place, place, 7, 5, 6), 0);
            assert_eq!(read(5, 8), "23234567");
            assert_eq!(copy(vmctx, place, place, 6, 7, 6), 0);
            assert_eq!(read(5, 8), "22345677");
            assert_eq!(copy(vmctx, place, place, 0, 65_536, 1), 1);
        }
        instance.0.drop_data(0);
        assert_eq!(builtin!(vmctx, MemoryInit, 0, 0, 0, 0, 1), 1, "the segment is gone");

        let table = instance.table("table").expect("a table");
        let types = || {
            let elements = (0..table.size()).map(|at| match table.get(at) {
                Some(Value::FuncRef(Some(func))) => {
                    if func.ty().results().is_empty() {
                        'f'
                    } else {
                        'g'
                    }
                }
                _ => '-',
            });
            elements.collect::<String>()
        };
        let g = instance.0.func_ref(1) as u64;
        assert_eq!(builtin!(vmctx, TableInit, 0, 0, 1, 0, 3), 0);
        assert_eq!(types(), "-fgf--");
        assert_eq!(builtin!(vmctx, TableInit, 0, 0, 4, 0, 3), 1);
        assert_eq!(builtin!(vmctx, TableFill, 0, 4, g, 2), 0);
        assert_eq!(builtin!(vmctx, TableFill, 0, 5, g, 2), 1);
        assert_eq!(types(), "-fgfgg");
        assert_eq!(builtin!(vmctx, TableCopy, 0, 0, 0, 1, 4), 0);
        assert_eq!(types(), "fgfggg");
        assert_eq!(builtin!(vmctx, TableCopy, 0, 0, 1, 0, 5), 0);
        assert_eq!(types(), "ffgfgg");
        instance.0.drop_elements(0);
        assert_eq!(builtin!(vmctx, TableInit, 0, 0, 0, 0, 1), 1);
        assert_eq!(builtin!(vmctx, TableFill, 1, 0, 77, 4), 0);
        let externs = instance.table("externs").expect("a table");
        assert_eq!(externs.get(3), Some(Value::ExternRef(ExternRef::new(76))));
        assert_eq!(builtin!(vmctx, TableCopy, 1, 1, 1, 0, 3), 0);
    }
}

/// What the crossings to the host call, called as they do.
#[test]
fn functions_of_the_host_answer_behind_their_crossings() {
    let text = r#"(module
        (import "h" "few" (func (param i32 i64) (result i64)))
        (import "h" "many" (func (param i32 i32 i32 i32 i32 i32 i64 f64) (result i64)))
        (import "h" "any" (func (param i64 v128 funcref) (result v128 i32 i64)))
        (import "h" "fails" (func (result i32)))
        (import "h" "panics" (func))
        (func (export "own"))
        (table (export "table") 0 funcref)
        (memory (export "memory") 1))"#;
    type Few =
        unsafe extern "sysv64" fn(i32, i64, *mut HostContext, *mut usize) -> MaybeUninit<i64>;
    type Fails = unsafe extern "sysv64" fn(*mut HostContext, *mut usize) -> MaybeUninit<i32>;
    type Panics = unsafe extern "sysv64" fn(*mut HostContext, *mut usize) -> MaybeUninit<()>;
    type File = unsafe extern "sysv64" fn(*mut RegisterFile, *mut HostContext) -> u64;
    for engine in engines() {
        let mut imports = Imports::none();
        imports.func("h", "few", |caller: &mut Caller<'_>, a: i32, b: i64| -> Result<i64, Error> {
            caller.memory("memory")?.cells()[3].set(a as u8);
            assert!(matches!(caller.export("own"), Some(Extern::Func(_))));
            Ok(i64::from(a) * b)
        });
        imports.func(
            "h",
            "many",
            |a: i32, b: i32, c: i32, d: i32, e: i32, f: i32, g: i64, h: f64| -> i64 {
                [a, b, c, d, e, f].into_iter().map(i64::from).sum::<i64>() + g + h as i64
            },
        );
        let types = (
            [ValType::I64, ValType::V128, ValType::FuncRef],
            [ValType::V128, ValType::I32, ValType::I64],
        );
        let ty = crate::module::FuncType::new(types.0, types.1);
        imports.func_dyn("h", "any", ty, |caller, arguments| {
            let [number, vector, Value::FuncRef(Some(func))] = arguments else { panic!() };
            // The guest's function becomes an element of the guest's table.
            let Some(Extern::Table(table)) = caller.export("table") else { panic!() };
            table.grow(1, &Value::FuncRef(Some(func.clone())))?;
            Ok(vec![vector.clone(), Value::I32(9), number.clone()])
        });
        imports.func("h", "fails", || -> Result<i32, &'static str> { Err("no") });
        imports.func("h", "panics", || -> () { panic!("never") });
        let instance = instance(&engine, text, &imports);
        drop(imports);
        let context = |import: u32| -> *mut HostContext {
            let layout = &instance.0.module.0.layout;
            // SAFETY: an imported function's place in the context, which has been filled in.
            let function = unsafe {
                let place = instance.0.vmctx().byte_add(layout.imported_function(import) as usize);
                *place.cast::<VmFunction>()
            };
            assert!(!function.code.is_null());
            function.vmctx.cast()
        };
        let thread = &instance.0.thread;
        // SAFETY: the shims are of these types, for the contexts that they get; the files have what the
        // signatures say.
        unsafe {
            let shim = |import| (*context(import)).shim as *const ();
            let few: Few = std::mem::transmute(shim(0));
            // Where the shims return to, and where they do not if they fail.
            const GUEST: usize = 0x1234;
            let mut place = GUEST;
            assert_eq!(few(6, 7, context(0), &raw mut place).assume_init(), 42);
            assert_eq!(place, GUEST);
            assert_eq!(instance.memory("memory").expect("a memory").cells()[3].get(), 6);

            let many: File = std::mem::transmute(shim(1));
            let stack = [60_u64, 0xdead];
            let mut file = RegisterFile {
                ints: [1, 2, 3, 4, 5, 6],
                floats: [u128::from(7.5_f64.to_bits()); 8],
                stack: stack.as_ptr(),
                stack_words: 0,
                ..RegisterFile::default()
            };
            assert_eq!(many(&raw mut file, context(1)), 0);
            assert_eq!((file.int_results[0], file.stack_words), (21 + 60 + 7, 2));

            let any: File = std::mem::transmute(shim(2));
            assert_eq!(InMemory::of(&types.0, &types.1), InMemory { stack: 0, area: 0 });
            let own = instance.0.func_ref(5) as u64;
            file.ints = [11, own, 0, 0, 0, 0];
            file.floats[0] = 0x1234 << 100;
            assert_eq!(any(&raw mut file, context(2)), 0);
            assert_eq!(file.int_results[..2], [9, 11]);
            assert_eq!(file.float_results[0], 0x1234 << 100);
            let table = instance.table("table").expect("a table");
            assert!(matches!(table.get(0), Some(Value::FuncRef(Some(_)))));

            let has_failed = |place| {
                let came_from = (*thread.state()).host_return.swap(0, SeqCst);
                place == trampolines::host_failed() && came_from == GUEST
            };
            let fails: Fails = std::mem::transmute(shim(3));
            let mut place = GUEST;
            fails(context(3), &raw mut place);
            assert!(has_failed(place));
            assert!(matches!(thread.failure.take(), Some(thread::Failure::Error(_))));
            let panics: Panics = std::mem::transmute(shim(4));
            place = GUEST;
            panics(context(4), &raw mut place);
            assert!(has_failed(place));
            assert!(matches!(thread.failure.take(), Some(thread::Failure::Panic(_))));
        }
    }
}

/// What an entry notes of a call from the host, as long as something is done.
fn within_entry<R>(instance: &Instance, work: impl FnOnce() -> R) -> R {
    // SAFETY: the state's fields change atomically.
    let state = unsafe { &*instance.0.thread.state() };
    let before = state.entry_sp.load(SeqCst);
    let record = EntryRecord {
        requests: state.requests.load(SeqCst),
        before: before as *const EntryRecord,
        vmctx: instance.0.vmctx(),
        landing: 0,
        rbp: 0,
        rbx: 0,
    };
    state.entry_sp.store(&raw const record as usize, SeqCst);
    let done = work();
    state.entry_sp.store(before, SeqCst);
    done
}

/// Whether a guest that looks now is told to end.
fn is_to_end(instance: &Instance) -> bool {
    let thread = &instance.0.thread;
    thread.is_told_to_stop() && thread.sees_stop()
}

#[test]
fn requests_end_the_calls_that_they_are_for() {
    for engine in engines() {
        let (one, other) = (
            instance(&engine, EXPORTER, &Imports::none()),
            instance(&engine, EXPORTER, &Imports::none()),
        );
        let handle = one.interrupt_handle();
        let interrupt = || {
            let handle = handle.clone();
            std::thread::spawn(move || handle.interrupt()).join().expect("no panic");
        };
        interrupt();
        within_entry(&one, || assert!(!is_to_end(&one), "it came later"));
        within_entry(&one, || {
            interrupt();
            assert!(is_to_end(&one));
            assert!(!one.0.thread.is_told_to_stop(), "nobody else is to end");
        });
        // The innermost ends first, and then the one that is meant.
        within_entry(&one, || {
            within_entry(&other, || {
                interrupt();
                assert!(is_to_end(&other));
            });
            assert!(is_to_end(&one));
        });
        within_entry(&other, || {
            within_entry(&one, || {
                interrupt();
                assert!(is_to_end(&one));
            });
            assert!(!is_to_end(&other));
        });
        // Of an instance that is no more, and of a thread that is no more.
        drop(one);
        handle.interrupt();
        let engine = engine.clone();
        let ended = std::thread::spawn(move || {
            let one = instance(&engine, EXPORTER, &Imports::none());
            one.interrupt_handle()
        });
        ended.join().expect("no panic").interrupt();
    }
}

/// Requests race with the calls that they may be for, and with the end of the thread.
#[test]
fn requests_race_with_calls() {
    for engine in engines() {
        let (give, take) = std::sync::mpsc::channel();
        let guest = std::thread::spawn(move || {
            let one = instance(&engine, EXPORTER, &Imports::none());
            give.send(one.interrupt_handle()).expect("a receiver");
            let ended = || (0..20).any(|_| is_to_end(&one));
            (0..20).filter(|_| within_entry(&one, ended)).count()
        });
        let handle = take.recv().expect("a handle");
        let others: Vec<_> = (0..2)
            .map(|_| {
                let handle = handle.clone();
                std::thread::spawn(move || (0..20).for_each(|_| handle.interrupt()))
            })
            .collect();
        assert!(guest.join().expect("no panic") <= 20);
        others.into_iter().for_each(|other| other.join().expect("no panic"));
    }
}

#[test]
#[cfg_attr(miri, ignore = "Miri's stack has no order, which tells whose deadline is whose")]
fn deadlines_end_the_calls_that_they_are_for() {
    const LONG: u64 = 1_000_000_000_000;
    for engine in engines() {
        let one = instance(&engine, EXPORTER, &Imports::none());
        let (thread, vmctx) = (&one.0.thread, one.0.vmctx());
        // As if the watcher were about to look anyway: none is started.
        thread.target().watched.store(0, SeqCst);
        let call = |nanoseconds: u64, work: &dyn Fn()| {
            // SAFETY: the context is that of a live instance of this thread.
            let called = unsafe { interrupt::call_with_deadline(vmctx, nanoseconds, work) };
            called.expect("a watcher");
        };
        let must_stop = || one.0.thread.look().ends;
        call(0, &|| {
            assert!(!must_stop(), "its entry is not there yet");
            within_entry(&one, || {
                assert!(must_stop());
                // A call without a deadline inside of one that is over.
                within_entry(&one, || assert!(must_stop()));
            });
            assert!(!must_stop());
        });
        call(LONG, &|| {
            within_entry(&one, || {
                assert!(!must_stop());
                call(0, &|| within_entry(&one, || assert!(must_stop())));
                call(LONG, &|| within_entry(&one, || assert!(!must_stop())));
                assert!(!must_stop());
            });
        });
        assert_eq!(thread.target().due.load(SeqCst), watcher::NEVER);
        assert!(thread.deadlines.load(SeqCst).is_null());
    }
}
