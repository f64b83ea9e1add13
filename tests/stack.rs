//! Endless recursion in every way that a guest has, or brings its host to: each ends in
//! [`TrapCode::StackOverflow`], on stacks of all sizes and on the main thread, and the instance can be
//! called again.
//!
//! Each scenario has a process of its own, whose main thread it gets: the usual harness runs tests on
//! others. So this has a harness of its own, below. `tests/traps.rs` has the backtraces of overflows.

mod common;

use std::env;
use std::fmt::Write as _;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::process::{Command, ExitCode, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::{instantiate, module, trap};
use wasm_mini::{
    Caller, Error, FuncType, Imports, Instance, LinkError, Module, Tier, Trap, TrapCode, ValType,
    Value,
};

/// The stacks that threads are given. The largest is beyond what guests ever use of one.
const STACKS: &[usize] = &[64 << 10, 100 << 10, 256 << 10, 1 << 20, 8 << 20, 80 << 20];

/// What a scenario does on the thread that it is given, once all is compiled.
type Run = Box<dyn Fn() + Send + Sync>;

fn assert_overflow(trap: Trap) {
    assert_eq!(trap.code(), TrapCode::StackOverflow, "{trap:?}");
}

/// Calls `f` with zeros but for the first parameter, several times; after each, the instance's `ok`
/// answers.
fn overflows(instance: &Instance) {
    let f = instance.dyn_func("f").expect("f");
    let ok = instance.func::<fn(i32) -> i32>("ok").expect("ok");
    let arguments: Vec<Value> = f
        .ty()
        .params()
        .iter()
        .map(|ty| match ty {
            ValType::I32 => Value::I32(-1),
            ValType::I64 => Value::I64(-1),
            ValType::F64 => Value::F64(-1.0),
            ValType::V128 => Value::V128(u128::MAX),
            other => panic!("no argument of type {other}"),
        })
        .collect();
    for round in 0..3 {
        assert_overflow(trap(&f, &arguments));
        assert_eq!(ok(round).expect("no trap"), round + 42);
    }
}

/// `ok`, which every module has.
const OK: &str = r#"(func (export "ok") (param i32) (result i32)
    (i32.add (local.get 0) (i32.const 42)))"#;

fn of_modules(modules: Vec<Module>) -> Run {
    Box::new(move || modules.iter().for_each(|module| overflows(&instantiate(module))))
}

/// A function that calls itself and has so many locals of that type, all of which it needs later.
fn with_locals(ty: &str, count: usize) -> String {
    let mut text = format!("(module {OK} (func $f (export \"f\") (param i64) (result i64)");
    let splat = if ty == "v128" { "i64x2.splat " } else { "" };
    let (mul, xor) = if ty == "v128" { ("i64x2.mul", "v128.xor") } else { ("i64.mul", "i64.xor") };
    write!(text, "(local {})", format!("{ty} ").repeat(count)).unwrap();
    for i in 1..=count {
        let factor = 2 * i + 1;
        write!(text, " local.get 0 {splat} i64.const {factor} {splat} {mul} local.set {i}")
            .unwrap();
    }
    text += " local.get 0 i64.const 1 i64.add call $f ";
    text += splat;
    for i in 1..=count {
        write!(text, " local.get {i} {xor}").unwrap();
    }
    text += if ty == "v128" { " i64x2.extract_lane 0 ))" } else { "))" };
    text
}

fn many_locals(tier: Tier) -> Run {
    let text = |ty: &str, count| module(tier, with_locals(ty, count));
    let modules =
        vec![text("i64", 10), text("i64", 1_000), text("v128", 1_000), text("i64", 5_000)];
    of_modules(modules)
}

/// Frames beyond what every limit leaves, so that one frame reaches past the end of the stack.
fn frames_larger_than_the_reserve(tier: Tier) -> Run {
    // All but one are zero, which the baseline tier stores none the less.
    let sparse = |count: usize| {
        let locals = "v128 ".repeat(count);
        format!(
            "(module {OK} (func $f (export \"f\") (param i64) (result i64) (local {locals})
                (local.set {count} (i64x2.splat (local.get 0)))
                (call $f (i64x2.extract_lane 1 (local.get {count})))
                (i64x2.extract_lane 0 (local.get {count})) i64.add))"
        )
    };
    let modules = [20_000, 49_999].map(|count| module(tier, sparse(count)));
    of_modules(modules.into())
}

/// Values that wait on the operand stack while the function calls itself.
fn deep_operand_stacks(tier: Tier) -> Run {
    let text = |count: usize| {
        let mut text = format!("(module {OK} (func $f (export \"f\") (param i64) (result i64)");
        for i in 1..=count {
            write!(text, " local.get 0 i64.const {} i64.mul", 2 * i + 1).unwrap();
        }
        text += " local.get 0 i64.const 1 i64.sub call $f";
        text += &" i64.xor".repeat(count);
        text + "))"
    };
    let modules = [500, 4_000].map(|count| module(tier, text(count)));
    of_modules(modules.into())
}

/// Parameters and results on the stack, as many as there may be, from guests and from the host.
fn many_parameters_and_results(tier: Tier) -> Run {
    let text = |params: &[&str], results: &[&str]| {
        let gets: String = (0..params.len()).map(|i| format!("local.get {i} ")).collect();
        let (params, results) = (params.join(" "), results.join(" "));
        format!(
            "(module {OK} (table 1 funcref) (elem (i32.const 0) $g)
                (type $t (func (param {params}) (result {results})))
                (func $f (export \"f\") (type $t) {gets} call $g)
                (func $g (type $t) {gets} i32.const 0 call_indirect (type $t)))"
        )
    };
    let modules = vec![
        module(tier, text(&["i64"; 1_000], &["i64"])),
        module(tier, text(&["v128"; 1_000], &[])),
        module(tier, text(&["i32"], &["i64"; 1_000])),
        module(tier, text(&["i64", "f64", "v128"].repeat(300), &["v128"; 1_000])),
    ];
    of_modules(modules)
}

fn through_tables_and_instances(tier: Tier) -> Run {
    let table = module(
        tier,
        format!(
            r#"(module {OK} (type $t (func (param i32) (result i32)))
                (table (export "table") 4 funcref) (elem (i32.const 1) $f)
                (func $f (export "f") (type $t)
                    (i32.add (i32.const 1) (call_indirect (type $t) (local.get 0) (i32.const 1)))))"#
        ),
    );
    // Puts its own function in the place of the first one's, which then calls it: each level is in
    // the other instance.
    let other = module(
        tier,
        format!(
            r#"(module (type $t (func (param i32) (result i32)))
                (import "one" "table" (table 4 funcref)) (import "one" "f" (func $one (type $t)))
                (elem (i32.const 1) $f) {OK}
                (func $f (export "f") (type $t)
                    (i32.add (i32.const 1) (call $one (local.get 0)))))"#
        ),
    );
    let run = move || {
        let one = instantiate(&table);
        overflows(&one);
        let mut imports = Imports::none();
        imports.instance("one", &one);
        let two = Instance::new(&other, &imports).expect("an instance");
        overflows(&two);
        overflows(&one);
    };
    Box::new(run)
}

/// A start function that never ends, of its own or through another instance.
fn start_functions(tier: Tier) -> Run {
    let alone = module(tier, "(module (func $f (call $f)) (start $f))");
    let callee = module(
        tier,
        format!("(module {OK} (func $f (export \"f\") (param i32) (call $f (local.get 0))))"),
    );
    let caller = module(
        tier,
        r#"(module (import "m" "f" (func $f (param i32)))
            (func $start (call $f (i32.const 1))) (start $start))"#,
    );
    let started = |result: Result<Instance, LinkError>| match result {
        Err(LinkError::Start(trap)) => assert_overflow(trap),
        other => panic!("{other:?}"),
    };
    let run = move || {
        for _ in 0..3 {
            started(Instance::new(&alone, &Imports::none()));
            let callee = instantiate(&callee);
            let mut imports = Imports::none();
            imports.instance("m", &callee);
            started(Instance::new(&caller, &imports));
            overflows(&callee);
        }
    };
    Box::new(run)
}

/// A guest that calls the host at every level, which calls it back.
const CALLS_BACK: &str = r#"
    (import "h" "typed" (func $typed (param i32) (result i32)))
    (import "h" "dynamic" (func $dynamic (param i32) (result i32)))
    (import "h" "reference" (func $reference (param funcref i32) (result i32)))
    (import "h" "large" (func $large (param i32) (result i32)))
    (import "h" "element" (func $element (param i32) (result i32)))
    (table (export "table") 8 funcref) (elem (i32.const 1) $with_typed $element)
    (func $with_typed (export "typed") (param i32) (result i32) (call $typed (local.get 0)))
    (func (export "dynamic") (param i32) (result i32) (call $dynamic (local.get 0)))
    (func $with_reference (export "reference") (param i32) (result i32)
        (call $reference (ref.func $with_reference) (local.get 0)))
    (func (export "large") (param i32) (result i32) (call $large (local.get 0)))
    (func (export "element") (param i32) (result i32) (call $element (local.get 0)))
    (export "host" (func $element))"#;

/// The functions of the host for it. What ends the guest that they call, ends them.
fn callbacks() -> Imports {
    type Callee = fn(i32) -> i32;
    let mut imports = Imports::none();
    imports.func("h", "typed", |caller: &mut Caller<'_>, a: i32| {
        caller.instance().func::<Callee>("typed").expect("an export")(a)
    });
    let ty = FuncType::new([ValType::I32], [ValType::I32]);
    imports.func_dyn("h", "dynamic", ty, |caller, arguments| {
        Ok(caller.instance().dyn_func("dynamic")?.call(arguments)?)
    });
    let ty = FuncType::new([ValType::FuncRef, ValType::I32], [ValType::I32]);
    imports.func_dyn("h", "reference", ty, |_, arguments| match arguments {
        [Value::FuncRef(Some(func)), argument] => Ok(func.call(std::slice::from_ref(argument))?),
        other => panic!("{other:?}"),
    });
    imports.func("h", "large", |caller: &mut Caller<'_>, a: i32| {
        let room = black_box([a as u8; 8 << 10]);
        let result = caller.instance().func::<Callee>("large").expect("an export")(a);
        black_box(room);
        result
    });
    // Calls what the guest says: this function, perhaps.
    imports.func("h", "element", |caller: &mut Caller<'_>, a: i32| -> Result<i32, Error> {
        let table = caller.instance().table("table").expect("a table");
        match table.get(2) {
            Some(Value::FuncRef(Some(func))) => match func.call(&[Value::I32(a)])?[..] {
                [Value::I32(result)] => Ok(result),
                ref other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    });
    imports
}

fn through_the_host(tier: Tier) -> Run {
    let module = module(tier, format!("(module {CALLS_BACK} {OK})"));
    let run = move || {
        let instance = Instance::new(&module, &callbacks()).expect("an instance");
        let ok = instance.func::<fn(i32) -> i32>("ok").expect("ok");
        for name in ["typed", "dynamic", "reference", "large"] {
            let f = instance.dyn_func(name).expect("an export");
            for round in 0..3 {
                assert_overflow(trap(&f, &[Value::I32(7)]));
                assert_eq!(ok(round).expect("no trap"), round + 42);
            }
        }
    };
    Box::new(run)
}

/// A guest makes a function of the host call itself, without a guest in between: in a table, and as an
/// export.
fn host_functions_that_guests_make_recursive(tier: Tier) -> Run {
    let module = module(tier, format!("(module {CALLS_BACK} {OK})"));
    let run = move || {
        let instance = Instance::new(&module, &callbacks()).expect("an instance");
        let ok = instance.func::<fn(i32) -> i32>("ok").expect("ok");
        for name in ["element", "host"] {
            for round in 0..3 {
                let f = instance.dyn_func(name).expect("an export");
                assert_overflow(trap(&f, &[Value::I32(7)]));
                let f = instance.func::<fn(i32) -> i32>(name).expect("an export");
                assert_overflow(f(7).expect_err("an overflow"));
                assert_eq!(ok(round).expect("no trap"), round + 42);
            }
        }
    };
    Box::new(run)
}

/// Functions of the host and of the runtime that are called where the guest's stack ends have the rest:
/// this much on a thread with a stack of 64 KiB.
fn what_is_left_for_the_host(tier: Tier) -> Run {
    let host = module(
        tier,
        format!(
            r#"(module (import "h" "use" (func $use (param i32) (result i32))) {OK}
                (func $f (export "f") (param i32) (result i32)
                    (i32.add (call $use (local.get 0)) (call $f (i32.add (local.get 0) (i32.const 1))))))"#
        ),
    );
    let runtime = module(
        tier,
        format!(
            r#"(module {OK} (memory 1) (table $t 1 funcref) (data $d "abcdefgh") (elem $e func $f)
                (func $f (export "f") (param i32) (result i32)
                    (drop (memory.grow (i32.const 0)))
                    (memory.fill (i32.const 0) (i32.const 7) (i32.const 99))
                    (memory.copy (i32.const 8) (i32.const 0) (i32.const 99))
                    (memory.init $d (i32.const 0) (i32.const 0) (i32.const 8))
                    (drop (table.grow $t (ref.null func) (i32.const 0)))
                    (table.fill $t (i32.const 0) (ref.func $f) (i32.const 1))
                    (table.copy $t $t (i32.const 0) (i32.const 0) (i32.const 1))
                    (table.init $t $e (i32.const 0) (i32.const 0) (i32.const 1))
                    (i32.add (i32.const 1) (call $f (local.get 0)))))"#
        ),
    );
    let run = move || {
        let mut imports = Imports::none();
        imports.func("h", "use", |a: i32| {
            // Near half of what is left on the smallest stack; touched at its far end.
            let mut room = MaybeUninit::<[i32; 3 << 10]>::uninit();
            let room = black_box(room.as_mut_ptr().cast::<i32>());
            // SAFETY: the first element is inside, and initialised when it is read.
            unsafe {
                room.write_volatile(a);
                room.read_volatile()
            }
        });
        overflows(&Instance::new(&host, &imports).expect("an instance"));
        overflows(&instantiate(&runtime));
    };
    Box::new(run)
}

/// At every depth there is a leaf with a large frame, which has no check of its own on one tier.
fn large_leaves(tier: Tier) -> Run {
    let text = |values: usize| {
        let mut text = format!("(module {OK} (memory 1) (func $leaf (param i64) (result i64)");
        for i in 0..values {
            write!(text, " (i64.mul (local.get 0) (i64.const {}))", 2 * i + 3).unwrap();
        }
        text += &" i64.xor".repeat(values - 1);
        text += " (i64.load (i32.const 0)) i64.xor)";
        // What it passes on makes its own frames so large that they are soon at the end.
        let (params, pass) = ("i64 ".repeat(300), " (local.get 1)".repeat(299));
        write!(
            text,
            "(func $f (export \"f\") (param {params}) (result i64)
                (i64.add (call $leaf (local.get 0))
                    (call $f (i64.add (local.get 0) (i64.const 1)) {pass}))))"
        )
        .unwrap();
        text
    };
    let modules = [100, 1_000, 4_000, 8_000].map(|values| module(tier, text(values)));
    of_modules(modules.into())
}

/// At the deepest level that there is, all other traps are still what they are.
fn traps_at_the_deepest_level(tier: Tier) -> Run {
    let text = format!(
        r#"(module {OK} (memory 1)
            (func $leaf (param i32 i32) (result i32)
                (if (i32.eq (local.get 1) (i32.const 1)) (then (unreachable)))
                (if (i32.eq (local.get 1) (i32.const 2))
                    (then (drop (i32.div_u (i32.const 1) (local.get 0)))))
                (if (i32.eq (local.get 1) (i32.const 3))
                    (then (drop (i32.load offset=65536 (local.get 0)))))
                (local.get 1))
            (func $f (export "f") (param i32 i32) (result i32)
                (if (result i32) (i32.eqz (local.get 0))
                    (then (call $leaf (local.get 0) (local.get 1)))
                    (else (i32.add (i32.const 1)
                        (call $f (i32.sub (local.get 0) (i32.const 1)) (local.get 1)))))))"#
    );
    let module = module(tier, text);
    let run = move || {
        let f = instantiate(&module).func::<fn(i32, i32) -> i32>("f").expect("f");
        let (mut fits, mut overflows) = (0, 1 << 24);
        assert_overflow(f(overflows, 0).expect_err("an overflow"));
        while overflows - fits > 1 {
            let middle = fits + (overflows - fits) / 2;
            match f(middle, 0) {
                Ok(depth) => {
                    assert_eq!(depth, middle);
                    fits = middle;
                }
                Err(trap) => {
                    assert_overflow(trap);
                    overflows = middle;
                }
            }
        }
        assert!(fits > 100, "{fits}");
        let codes =
            [TrapCode::Unreachable, TrapCode::IntegerDivideByZero, TrapCode::MemoryOutOfBounds];
        for (what, code) in (1..).zip(codes) {
            for _ in 0..2 {
                assert_eq!(f(fits, what).expect_err("a trap").code(), code);
                assert_overflow(f(overflows, what).expect_err("an overflow"));
            }
        }
    };
    Box::new(run)
}

/// A name, and what makes its modules with a tier.
type Scenario = (&'static str, fn(Tier) -> Run);

const SCENARIOS: &[Scenario] = &[
    ("many_locals", many_locals),
    ("frames_larger_than_the_reserve", frames_larger_than_the_reserve),
    ("deep_operand_stacks", deep_operand_stacks),
    ("many_parameters_and_results", many_parameters_and_results),
    ("through_tables_and_instances", through_tables_and_instances),
    ("start_functions", start_functions),
    ("through_the_host", through_the_host),
    ("host_functions_that_guests_make_recursive", host_functions_that_guests_make_recursive),
    ("what_is_left_for_the_host", what_is_left_for_the_host),
    ("large_leaves", large_leaves),
    ("traps_at_the_deepest_level", traps_at_the_deepest_level),
];

/// Tells a process which scenario it is for.
const ASKED: &str = "WASM_MINI_STACK_SCENARIO";
/// A scenario that hangs is ended by SIGALRM after so many seconds.
const PATIENCE: u32 = 300;

/// Runs every scenario whose name contains the first argument, in processes of their own.
fn main() -> ExitCode {
    let all = Tier::available().iter().flat_map(|tier| {
        SCENARIOS.iter().map(move |(name, make)| (format!("{tier}::{name}"), *tier, *make))
    });
    if let Ok(asked) = env::var(ASKED) {
        let mut all = all;
        let (_, tier, make) = all.find(|(name, ..)| *name == asked).expect("a scenario");
        everywhere(make(tier));
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<String> = env::args().skip(1).collect();
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let names: Vec<String> = all.map(|(name, ..)| name).collect();
    let chosen: Vec<_> =
        names.iter().filter(|name| filter.is_none_or(|filter| name.contains(filter))).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        chosen.iter().for_each(|name| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", chosen.len());
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(name) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
            let output = in_own_process(name);
            let well = output.status.success();
            println!("test {name} ... {}", if well { "ok" } else { "FAILED" });
            if !well {
                failed.lock().expect("no panic").push((name, output));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
        work();
    });
    let failed = failed.into_inner().expect("no panic");
    for (name, Output { status, stderr, .. }) in &failed {
        println!("\n---- {name} ----\n{status}\n{}", String::from_utf8_lossy(stderr));
    }
    println!("\ntest result: {} passed; {} failed\n", chosen.len() - failed.len(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn in_own_process(scenario: &str) -> Output {
    let mut command = Command::new(env::current_exe().expect("the path of the test binary"));
    // No backtraces: they need more stack than there is on some threads.
    command.env(ASKED, scenario).env_remove("RUST_BACKTRACE");
    command.output().expect("the test binary runs again")
}

/// On the main thread, and on threads with stacks of all sizes.
fn everywhere(run: Run) {
    // SAFETY: no preconditions; the default action of SIGALRM ends the process.
    let (thread, process) = unsafe {
        libc::alarm(PATIENCE);
        (libc::gettid(), libc::getpid())
    };
    assert_eq!(thread, process, "this is not the main thread");
    run();
    for size in STACKS {
        let run = &run;
        thread::scope(|scope| {
            let thread = thread::Builder::new().stack_size(*size).spawn_scoped(scope, run);
            let ended = thread.expect("a thread").join();
            ended.unwrap_or_else(|_| panic!("with a stack of {size} bytes"));
        });
    }
}
