//! What is dropped is given back, what is in use stays, and no page is both written and executed.

mod common;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::process::in_own_process;
use common::{Random, alone, engine, instantiate, module, on_each_tier};
use wasm_mini::{Engine, Imports, Instance, LinkError, Module, Tier};

/// What the process's memory may grow by in the course of a test: the allocator's own slack.
const SLACK: usize = 4 << 20;

/// The process's resident memory in bytes.
fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").expect("statm");
    let pages: usize = statm.split(' ').nth(1).expect("a field").parse().expect("a number");
    pages * 4096
}

/// The process's address space in bytes.
fn address_space() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").expect("statm");
    let pages: usize = statm.split(' ').next().expect("a field").parse().expect("a number");
    pages * 4096
}

/// How many lines `/proc/self/maps` has: mappings.
fn mappings() -> usize {
    fs::read_to_string("/proc/self/maps").expect("maps").lines().count()
}

/// How many files the process has open.
fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").expect("the open files").count()
}

/// A module whose function adds `number`, in binary form: no two have the same code.
fn adder(number: i32) -> Vec<u8> {
    use common::binary::{Body, I32, module, signed};
    let operators = [vec![0x20, 0, 0x41], signed(i64::from(number)), vec![0x6a]].concat();
    module(&[I32], &[I32], &[Body::new(operators)])
}

fn add(instance: &Instance, x: i32) -> i32 {
    instance.func::<fn(i32) -> i32>("f").expect("f")(x).expect("no trap")
}

fn dropped_modules_leave_nothing(tier: Tier) {
    const WARM_UP: i32 = 1_000;
    const MODULES: i32 = 10_000;
    let _alone = alone();
    let live = |from: i32, to: i32| {
        for number in from..to {
            let module = Module::with_engine(engine(tier), adder(number)).expect("a module");
            assert_eq!(add(&instantiate(&module), 1), number + 1);
        }
    };
    live(0, WARM_UP);
    let before = (resident(), mappings(), open_files());
    live(WARM_UP, WARM_UP + MODULES);
    let after = (resident(), mappings(), open_files());
    assert!(after.0 < before.0 + SLACK, "resident memory went from {} to {}", before.0, after.0);
    assert!(after.1 < before.1 + 50, "mappings went from {} to {}", before.1, after.1);
    assert_eq!(after.2, before.2, "open files");
}

/// The code of small modules is too small to be missed: these have much of it.
fn dropped_code_leaves_nothing(tier: Tier) {
    let _alone = alone();
    let text = r#"(module (func (export "f") (param i32) (result i32) local.get 0))"#;
    for (len, warm_up, count) in [(20 << 10, 50, 1000), (100 << 10, 10, 200)] {
        // mov rax, rdi; ret; and what never runs.
        let mut code = vec![0x48, 0x89, 0xf8, 0xc3];
        code.resize(len, 0x90);
        let live = |count: i32| {
            for x in 0..count {
                // SAFETY: the code takes and returns an integer in the convention, and touches no
                // memory.
                let module = unsafe { Module::with_machine_code(engine(tier), text, 0, &code) };
                assert_eq!(add(&instantiate(&module.expect("a module")), x), x);
            }
        };
        live(warm_up);
        let before = resident();
        live(count);
        let after = resident();
        assert!(after < before + SLACK, "resident memory went from {before} to {after}");
    }
}

/// As many as there is time for.
const INSTANCES: i32 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };

fn dropped_instances_leave_nothing(tier: Tier) {
    let _alone = alone();
    let module = module(tier, adder(5));
    let live = |count: i32| {
        for x in 0..count {
            let instance = instantiate(&module);
            if x % 64 == 0 {
                assert_eq!(add(&instance, x), x + 5);
            }
        }
    };
    live(INSTANCES / 10);
    let before = resident();
    live(INSTANCES);
    let after = resident();
    assert!(after < before + SLACK, "resident memory went from {before} to {after}");
}

/// Memory, tables, a global, segments of both kinds, an import; `f` uses all of it.
const STATEFUL: &str = r#"(module
    (import "host" "f" (func $host (param i32) (result i32)))
    (memory (export "memory") 2) (table $t 2 40 externref) (table $f 3 funcref)
    (global $g (export "g") (mut i32) (i32.const 0))
    (data (i32.const 100) "active") (data $passive "passive") (elem (table $f) (i32.const 0) func $own)
    (func $own (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2)))
    (func (export "f") (param i32) (result i32)
        (if (i32.eqz (global.get $g)) (then
            (memory.init $passive (i32.const 70000) (i32.const 0) (i32.const 7))
            (data.drop $passive)))
        (drop (table.grow $t (ref.null extern) (i32.const 7)))
        (drop (memory.grow (i32.const 1)))
        (i32.store (i32.const 150000) (local.get 0))
        (global.set $g (i32.add (global.get $g) (i32.const 1)))
        (i32.add (global.get $g) (call $host (call_indirect $f (param i32) (result i32)
            (i32.load (i32.const 150000)) (i32.const 0))))))"#;

fn stateful(module: &Module) -> Instance {
    let mut imports = Imports::none();
    imports.func("host", "f", |x: i32| x + 1);
    Instance::new(module, &imports).expect("an instance")
}

fn f(instance: &Instance, x: i32) -> i32 {
    instance.func::<fn(i32) -> i32>("f").expect("f")(x).expect("no trap")
}

/// Used each time, dropped or reset.
fn instances_with_state_leave_nothing(tier: Tier) {
    let _alone = alone();
    let module = module(tier, STATEFUL);
    let live = |count: i32| {
        for x in 0..count {
            assert_eq!(f(&stateful(&module), x), 2 * x + 2);
        }
        let instance = stateful(&module);
        for x in 0..count {
            assert_eq!(f(&instance, x), 2 * x + 2);
            instance.reset().expect("a reset");
        }
    };
    live(INSTANCES / 100);
    let before = (resident(), address_space(), mappings(), open_files());
    live(INSTANCES / 10);
    let after = (resident(), address_space(), mappings(), open_files());
    assert!(after.0 < before.0 + SLACK, "resident memory went from {} to {}", before.0, after.0);
    assert!(after.1 < before.1 + SLACK, "address space from {} to {}", before.1, after.1);
    assert!(after.2 < before.2 + 50, "mappings went from {} to {}", before.2, after.2);
    assert_eq!(after.3, before.3, "open files");
}

/// All alive, each with its own state, and dropped in order and at random.
fn ten_thousand_instances_at_once(tier: Tier) {
    const LIVE: usize = 10_000;
    // Other tests look at this process's open files.
    let _alone = alone();
    let test = format!("{tier}::ten_thousand_instances_at_once");
    let scenario = || {
        let module = module(tier, STATEFUL);
        let mut random = Random::new(80);
        for in_order in [true, false] {
            let before = mappings();
            let mut live: Vec<_> = (0..LIVE).map(|_| stateful(&module)).collect();
            for (x, instance) in live.iter().enumerate() {
                assert_eq!(f(instance, x as i32), 2 * x as i32 + 2);
            }
            // What can be accessed of a memory, and what cannot.
            let each = (mappings() - before) as f64 / LIVE as f64;
            assert!(each <= 2.1, "{each} mappings for an instance");
            for (x, instance) in live.iter().enumerate().step_by(7) {
                assert_eq!(f(instance, x as i32), 2 * x as i32 + 3);
                let memory = instance.memory("memory").expect("memory");
                let mut bytes = [0; 4];
                memory.read(150_000, &mut bytes).expect("inside");
                assert_eq!(u32::from_le_bytes(bytes), x as u32);
            }
            if in_order {
                drop(live);
            } else {
                while !live.is_empty() {
                    live.swap_remove(random.below(live.len()));
                }
            }
            let left = mappings() - before;
            assert!(left < 200, "{left} mappings are left");
        }
    };
    if let Some(ending) = in_own_process(&test, &test, scenario) {
        ending.expect_success();
    }
}

/// Memories end where the address space does, with an error, and go on when there is some again.
fn as_many_memories_as_there_is_room_for(tier: Tier) {
    /// 47 bits of addresses have room for fewer.
    const MORE: usize = 20_000;
    // Other tests look at this process's open files.
    let _alone = alone();
    let test = format!("{tier}::as_many_memories_as_there_is_room_for");
    let scenario = || {
        let module = module(tier, r#"(module (memory (export "memory") 1) (func (export "f")))"#);
        let new = || Instance::new(&module, &Imports::none());
        let mut live = Vec::new();
        let error = loop {
            match new() {
                Ok(instance) => live.push(instance),
                Err(error) => break error,
            }
            assert!(live.len() < MORE, "there should be no room for so many");
        };
        assert!(live.len() > 10_000, "{} and then {error}", live.len());
        let text = error.to_string();
        assert!(matches!(error, LinkError::Resources(_)) && text.contains("8 GiB"), "{text}");
        for _ in 0..3 {
            new().expect_err("there is no more");
            live.pop();
            live.push(new().expect("one was dropped"));
        }
        for instance in &live {
            instance.memory("memory").expect("memory").write(65_535, &[1]).expect("inside");
        }
        live.truncate(5_000);
        live.extend((0..1_000).map(|_| new().expect("there is room")));
        for instance in &live {
            instance.func::<fn()>("f").expect("f")().expect("no trap");
        }
    };
    if let Some(ending) = in_own_process(&test, &test, scenario) {
        ending.expect_success();
    }
}

fn dropped_engines_leave_nothing(tier: Tier) {
    let _alone = alone();
    let live = |count: i32| {
        for number in 0..count {
            let engine = Engine::new(tier).expect("an engine");
            let module = Module::with_engine(&engine, adder(number)).expect("a module");
            assert_eq!(add(&instantiate(&module), 2), number + 2);
        }
    };
    live(20);
    let before = (resident(), address_space(), mappings(), open_files());
    live(200);
    let after = (resident(), address_space(), mappings(), open_files());
    assert!(after.0 < before.0 + SLACK, "resident memory went from {} to {}", before.0, after.0);
    assert!(after.1 < before.1 + (512 << 20), "address space from {} to {}", before.1, after.1);
    assert!(after.2 < before.2 + 50, "mappings went from {} to {}", before.2, after.2);
    assert_eq!(after.3, before.3, "open files");
}

fn failed_modules_leave_nothing(tier: Tier) {
    let _alone = alone();
    // Two functions are compiled before the third is found to be invalid.
    let late = "(module (func (result i32) i32.const 1) (func call 0 drop) (func (result i32)))";
    let invalid = ["(module (func (result i32)))", late].map(common::assemble);
    let live = |count: usize| {
        for _ in 0..count {
            for binary in &invalid {
                Module::with_engine(engine(tier), binary).expect_err("an invalid module");
            }
        }
    };
    live(1_000);
    let before = resident();
    live(5_000);
    let after = resident();
    assert!(after < before + SLACK, "resident memory went from {before} to {after}");
}

/// Traps make a backtrace, threads a stack for signals: both must go.
fn traps_and_threads_leave_nothing(tier: Tier) {
    let _alone = alone();
    let module = module(
        tier,
        r#"(module (func $f (export "f") (param i32) call $f2 (drop (i32.div_u
        (i32.const 1) (local.get 0)))) (func $f2 (nop)))"#,
    );
    let live = |threads: usize| {
        for _ in 0..threads {
            let module = module.clone();
            let run = move || {
                let f = instantiate(&module).func::<fn(i32)>("f").expect("f");
                for _ in 0..100 {
                    f(0).expect_err("a trap");
                }
            };
            thread::spawn(run).join().expect("no panic");
        }
    };
    live(50);
    let before = (resident(), mappings());
    live(500);
    let after = (resident(), mappings());
    assert!(after.0 < before.0 + SLACK, "resident memory went from {} to {}", before.0, after.0);
    assert!(after.1 < before.1 + 50, "mappings went from {} to {}", before.1, after.1);
}

/// A module of random size, which sums its argument and as many numbers as it has operators.
fn summer(random: &mut Random) -> (Vec<u8>, i32) {
    use common::binary::{Body, I32, module, signed};
    let count = [1, 3, 40, 600, 4000][random.below(5)] + random.below(30);
    let mut sum = 0i32;
    // A product with a parameter between them keeps any tier from folding the constants.
    let mut operators = vec![0x41, 0];
    for _ in 0..count {
        let number = random.bits() as i32;
        sum = sum.wrapping_add(number);
        operators
            .extend([vec![0x41], signed(i64::from(number)), vec![0x20, 0, 0x6c, 0x6a]].concat());
    }
    (module(&[I32], &[I32], &[Body::new(operators)]), sum)
}

fn live_code_stays_while_others_come_and_go(tier: Tier) {
    let _alone = alone();
    let engine = Engine::new(tier).expect("an engine");
    let mut random = Random::new(77);
    let mut live: Vec<(Instance, i32)> = Vec::new();
    for _ in 0..400 {
        if live.len() > 40 || !live.is_empty() && random.one_in(3) {
            live.swap_remove(random.below(live.len()));
        } else {
            let (binary, sum) = summer(&mut random);
            let module = Module::with_engine(&engine, binary).expect("a module");
            live.push((instantiate(&module), sum));
        }
        let x = random.bits() as i32;
        for _ in 0..live.len().min(5) {
            let (instance, sum) = random.pick(&live);
            assert_eq!(add(instance, x), sum.wrapping_mul(x));
        }
    }
    assert!(live.iter().all(|(instance, sum)| add(instance, 1) == *sum));
}

/// The code of a live module is where it was, byte for byte.
fn live_code_does_not_change(tier: Tier) {
    let _alone = alone();
    let kept = module(tier, common::fixture("fib"));
    let before = kept.code(0).expect("code").to_vec();
    let mut random = Random::new(78);
    for _ in 0..100 {
        let (binary, _) = summer(&mut random);
        module(tier, binary);
    }
    assert_eq!(kept.code(0).expect("code"), before);
    let fib = instantiate(&kept).func::<fn(i32) -> i32>("fib").expect("fib");
    assert_eq!(fib(12).expect("no trap"), 144);
}

/// The mappings that can be written and executed, as `/proc/self/maps` lists them.
fn writable_and_executable() -> Vec<String> {
    let maps = fs::read_to_string("/proc/self/maps").expect("maps");
    let permissions = |line: &str| line.split(' ').nth(1).expect("permissions").to_string();
    let both = |line: &&str| permissions(line).contains('w') && permissions(line).contains('x');
    maps.lines().filter(both).map(str::to_string).collect()
}

fn no_page_is_writable_and_executable(tier: Tier) {
    let _alone = alone();
    assert_eq!(writable_and_executable(), [] as [&str; 0]);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let produce = scope.spawn(|| {
            let mut random = Random::new(79);
            let engine = Engine::new(tier).expect("an engine");
            while !stop.load(Ordering::Relaxed) {
                let (binary, sum) = summer(&mut random);
                let module = Module::with_engine(&engine, binary).expect("a module");
                assert_eq!(add(&instantiate(&module), 1), sum);
            }
        });
        for _ in 0..200 {
            let found = writable_and_executable();
            if !found.is_empty() || produce.is_finished() {
                stop.store(true, Ordering::Relaxed);
                panic!("writable and executable: {found:#?}");
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// Where code is executed it cannot be written, in the view that runs.
fn code_lies_in_pages_that_only_run(tier: Tier) {
    let _alone = alone();
    let module = module(tier, common::fixture("fib"));
    let address = module.code(0).expect("code").as_ptr() as usize;
    let maps = fs::read_to_string("/proc/self/maps").expect("maps");
    let holds = |line: &&str| {
        let (start, end) =
            line.split(' ').next().expect("a range").split_once('-').expect("a range");
        let number = |text: &str| usize::from_str_radix(text, 16).expect("a number");
        (number(start)..number(end)).contains(&address)
    };
    let line = maps.lines().find(holds).expect("the mapping of the code");
    assert!(line.contains("r-x"), "{line}");
}

on_each_tier!(
    dropped_modules_leave_nothing,
    dropped_code_leaves_nothing,
    dropped_instances_leave_nothing,
    instances_with_state_leave_nothing,
    ten_thousand_instances_at_once,
    as_many_memories_as_there_is_room_for,
    dropped_engines_leave_nothing,
    failed_modules_leave_nothing,
    traps_and_threads_leave_nothing,
    live_code_stays_while_others_come_and_go,
    live_code_does_not_change,
    no_page_is_writable_and_executable,
    code_lies_in_pages_that_only_run,
);
