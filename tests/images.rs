//! Memories whose data segments are large: instances share the pages until they write, and nobody may
//! notice. Every test makes several instances, because the first of a module copies its segments.

mod common;

use common::process::{fork, succeeds, wait_for};
use common::{assemble, on_each_tier};
use wasm_mini::{Engine, Extern, Imports, Instance, LinkError, Module, Tier, Value};

/// More than the least that is shared.
const LARGE: usize = 300_000;

/// `LARGE` bytes that differ from their neighbours, as a string of the text format.
fn data() -> String {
    (0..LARGE).map(byte).map(char::from).collect()
}

fn byte(at: usize) -> u8 {
    b'a' + (at * 7 % 26) as u8
}

/// What a memory of so many pages holds with the data at that offset.
fn expected(pages: usize, offset: usize) -> Vec<u8> {
    let mut bytes = vec![0; pages << 16];
    for at in 0..LARGE {
        bytes[offset + at] = byte(at);
    }
    bytes
}

fn engine(tier: Tier) -> Engine {
    Engine::new(tier).expect("an engine")
}

fn module(engine: &Engine, text: &str) -> Module {
    Module::with_engine(engine, assemble(text)).expect("a module")
}

fn instance(module: &Module) -> Instance {
    Instance::new(module, &Imports::none()).expect("an instance")
}

fn content(instance: &Instance) -> Vec<u8> {
    let memory = instance.memory("memory").expect("a memory");
    let mut bytes = vec![0; memory.size()];
    memory.read(0, &mut bytes).expect("all of it");
    bytes
}

/// Writes to the first, the last and some pages in between, and to one behind the data.
fn spoil(instance: &Instance) {
    let memory = instance.memory("memory").expect("a memory");
    for at in [0, 1000, 4095, 4096, 100_000, LARGE as u32, memory.size() as u32 - 2] {
        memory.write(at, b"!!").expect("in bounds");
    }
}

fn each_instance_is_new(tier: Tier) {
    // Neither end of the data is that of a page.
    let text = format!(
        r#"(module (memory (export "memory") 6) (data (i32.const 5001) "{}")
            (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
            (func (export "store") (param i32) (i32.store8 (local.get 0) (i32.const 1))))"#,
        data()
    );
    let module = module(&engine(tier), &text);
    let expected = expected(6, 5001);
    for round in 0..300 {
        let instance = instance(&module);
        let load = instance.func::<fn(u32) -> u32>("load").expect("load");
        let store = instance.func::<fn(u32)>("store").expect("store");
        for at in [0, 5000, 5001, 6000, 5000 + LARGE, 5001 + LARGE, (6 << 16) - 1] {
            assert_eq!(
                load(at as u32).expect("in bounds"),
                u32::from(expected[at]),
                "{round}, {at}"
            );
            store(at as u32).expect("in bounds");
            assert_eq!(load(at as u32).expect("in bounds"), 1);
        }
        assert!(load(6 << 16).is_err());
        if round % 50 < 3 {
            drop((load, store));
            spoil(&instance);
            let memory = instance.memory("memory").expect("a memory");
            memory.grow(3).expect("more pages");
            memory.write(8 << 16, b"behind").expect("in bounds");
            instance.reset().expect("a reset");
            assert!(content(&instance) == expected, "{round}");
        }
    }
    // Instances that live at the same time.
    let instances: Vec<_> = (0..20).map(|_| instance(&module)).collect();
    instances.iter().step_by(2).for_each(spoil);
    for instance in instances.iter().skip(1).step_by(2) {
        assert!(content(instance) == expected);
    }
}

/// The pages of a memory go from module to module.
fn modules_share_a_pool(tier: Tier) {
    let engine = engine(tier);
    let plain = module(&engine, r#"(module (memory (export "memory") 7))"#);
    let small =
        module(&engine, r#"(module (memory (export "memory") 1) (data (i32.const 0) "small"))"#);
    let image = |offset: usize, pages: usize| {
        let data = data();
        let text = format!(
            r#"(module (memory (export "memory") {pages}) (data (i32.const {offset}) "{data}"))"#
        );
        (module(&engine, &text), expected(pages, offset))
    };
    let (low, at_low) = image(0, 5);
    let (high, at_high) = image((8 << 16) - LARGE, 8);
    for round in 0..40 {
        for (module, expected) in [(&low, &at_low), (&high, &at_high)] {
            let instance = instance(module);
            assert!(content(&instance) == *expected, "{round}");
            spoil(&instance);
        }
        let empty = instance(&plain);
        assert!(content(&empty).iter().all(|byte| *byte == 0), "{round}");
        spoil(&empty);
        let instance = instance(&small);
        let bytes = content(&instance);
        assert!(bytes.starts_with(b"small\0") && bytes[5..].iter().all(|byte| *byte == 0));
    }
    // A module that is gone takes its pages along; others get address space that was its.
    drop((low, high));
    assert!(content(&instance(&plain)).iter().all(|byte| *byte == 0));
}

fn segments_overlap_and_are_dropped(tier: Tier) {
    let text = format!(
        r#"(module (memory (export "memory") 6)
            (data (i32.const 0) "{}")
            (data $passive "passive")
            (data $over (i32.const 10) "over")
            (data $empty (i32.const 393216) "")
            (func (export "passive") (memory.init $passive (i32.const 3) (i32.const 0) (i32.const 7)))
            (func (export "drop") (data.drop $passive))
            (func (export "over") (memory.init $over (i32.const 3) (i32.const 0) (i32.const 4))))"#,
        data()
    );
    let module = module(&engine(tier), &text);
    let mut expected = expected(6, 0);
    expected[10..14].copy_from_slice(b"over");
    for _ in 0..5 {
        let instance = instance(&module);
        let call = |name| instance.func::<fn()>(name).expect("a function")();
        for _ in 0..2 {
            assert!(content(&instance) == expected);
            call("passive").expect("it is there");
            assert_eq!(&content(&instance)[..11], b"ahopassiveo");
            assert!(call("over").is_err(), "active segments are dropped");
            call("drop").expect("no trap");
            assert!(call("passive").is_err());
            instance.reset().expect("a reset");
        }
    }
}

/// What decides whether pages are shared must not be seen either.
fn others_are_copied(tier: Tier) {
    let engine = engine(tier);
    let data = data();
    // Depending on an import.
    let text = format!(
        r#"(module (import "m" "at" (global $at i32)) (memory (export "memory") 6)
            (data (global.get $at) "{data}"))"#
    );
    let placed = module(&engine, &text);
    let place = |at: i32| {
        let text = format!(r#"(module (global (export "at") i32 (i32.const {at})))"#);
        let global = instance(&module(&engine, &text)).global("at").expect("a global");
        let mut imports = Imports::none();
        imports.define("m", "at", Extern::Global(global));
        Instance::new(&placed, &imports)
    };
    for at in [0, 17, 65536, 0] {
        assert!(content(&place(at).expect("it fits")) == expected(6, at as usize));
    }
    assert!(matches!(place(393_216 - 100), Err(LinkError::Start(_))));
    // Too large: a trap each time.
    let text = format!(r#"(module (memory 4) (data (i32.const 0) "{data}"))"#);
    let too_large = module(&engine, &text);
    for _ in 0..3 {
        assert!(matches!(Instance::new(&too_large, &Imports::none()), Err(LinkError::Start(_))));
    }
    // Far apart.
    let text = format!(
        r#"(module (memory (export "memory") 5000)
            (data (i32.const 0) "{data}") (data (i32.const 327679999) "x")
            (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0))))"#
    );
    let sparse = module(&engine, &text);
    for _ in 0..3 {
        let load = instance(&sparse).func::<fn(u32) -> u32>("load").expect("load");
        let loaded = [0, 299_999, 300_000, 327_679_999].map(|at| load(at).expect("in bounds"));
        assert_eq!(loaded, [97, u32::from(byte(LARGE - 1)), 0, 120]);
    }
    // Into a memory that is another's.
    let owner = instance(&module(&engine, r#"(module (memory (export "memory") 6))"#));
    let mut imports = Imports::none();
    imports.define("m", "memory", Extern::Memory(owner.memory("memory").expect("a memory")));
    let text =
        format!(r#"(module (import "m" "memory" (memory 6)) (data (i32.const 9) "{data}"))"#);
    let borrower = module(&engine, &text);
    for _ in 0..3 {
        spoil(&owner);
        let _borrower = Instance::new(&borrower, &imports).expect("an instance");
        assert_eq!(content(&owner)[9..9 + LARGE], expected(6, 9)[9..9 + LARGE]);
        assert_eq!(&content(&owner)[..2], b"!!");
    }
}

/// An instantiation that ends before its data is copied can leave functions in another's table.
fn a_failed_instance_has_no_data(tier: Tier) {
    let engine = engine(tier);
    let text = r#"(module (table (export "table") 3 funcref)
        (type $load (func (param i32) (result i32)))
        (func (export "load") (param i32) (result i32)
            (call_indirect (type $load) (local.get 0) (i32.const 0))))"#;
    let owner = instance(&module(&engine, text));
    let mut imports = Imports::none();
    imports.define("m", "table", Extern::Table(owner.table("table").expect("a table")));
    let text = format!(
        r#"(module (import "m" "table" (table 3 funcref)) (memory 6) (data (i32.const 0) "{}")
            (func $load (param i32) (result i32) (i32.load8_u (local.get 0)))
            (elem (i32.const 0) $load) (elem (i32.const 3) $load))"#,
        data()
    );
    let failing = module(&engine, &text);
    for _ in 0..3 {
        assert!(matches!(Instance::new(&failing, &imports), Err(LinkError::Start(_))));
        let load = owner.dyn_func("load").expect("load");
        assert_eq!(load.call(&[Value::I32(5)]).expect("no trap"), [Value::I32(0)]);
    }
}

/// Other instances go on with a memory that moves when it is reset for the first time.
fn a_reset_memory_is_still_shared(tier: Tier) {
    let engine = engine(tier);
    let text =
        format!(r#"(module (memory (export "memory") 6) (data (i32.const 0) "{}"))"#, data());
    let owner = instance(&module(&engine, &text));
    let memory = owner.memory("memory").expect("a memory");
    let mut imports = Imports::none();
    imports.define("m", "memory", Extern::Memory(memory.clone()));
    let text = r#"(module (import "m" "memory" (memory 6))
        (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
        (func (export "store") (param i32) (i32.store8 (local.get 0) (i32.const 1))))"#;
    let user = Instance::new(&module(&engine, text), &imports).expect("an instance");
    let load = user.func::<fn(u32) -> u32>("load").expect("load");
    let store = user.func::<fn(u32)>("store").expect("store");
    for _ in 0..3 {
        assert_eq!(load(7).expect("in bounds"), u32::from(byte(7)));
        store(7).expect("in bounds");
        assert_eq!(load(7).expect("in bounds"), 1);
        assert_eq!(memory.cells()[7].get(), 1);
        let cells = memory.cells();
        assert!(matches!(owner.reset(), Err(LinkError::InUse { .. })));
        drop(cells);
        owner.reset().expect("a reset");
        assert_eq!(memory.cells()[7].get(), byte(7));
    }
}

/// More modules than may have a file each.
fn many_modules(tier: Tier) {
    succeeds(tier, "many_modules", "many", || {
        let engine = engine(tier);
        let open_files = || std::fs::read_dir("/proc/self/fd").expect("a list").count();
        let data = data();
        let modules: Vec<_> = (0..200)
            .map(|n| {
                let text = format!(
                    r#"(module (memory (export "memory") 6)
                        (data (i32.const {n}) "{data}") (data (i32.const {n}) "{n}#"))"#
                );
                let module = module(&engine, &text);
                drop(instance(&module));
                module
            })
            .collect();
        let before = open_files();
        for (n, module) in modules.iter().enumerate() {
            let bytes = content(&instance(module));
            assert!(bytes[n..].starts_with(format!("{n}#").as_bytes()));
            assert_eq!(bytes[n + LARGE - 1], byte(LARGE - 1));
        }
        let after = open_files();
        assert!((before + 1..before + 150).contains(&after), "{before} before, {after} after");
        drop(modules);
        assert!(open_files() < before + 3, "{before} before, {} in the end", open_files());
    });
}

/// The whole image is written to, or every other page of it: more than is overwritten one by one.
fn all_is_written(tier: Tier) {
    let data = data().repeat(8);
    let text = format!(
        r#"(module (memory (export "memory") 40) (data (i32.const 70000) "{data}")
            (func (export "fill") (param $from i32) (param $step i32)
                (loop $next
                    (i32.store8 (local.get $from) (i32.const 0))
                    (local.set $from (i32.add (local.get $from) (local.get $step)))
                    (br_if $next (i32.lt_u (local.get $from) (i32.const 2621440))))))"#
    );
    let module = module(&engine(tier), &text);
    let expected = content(&instance(&module));
    assert_eq!(expected[70_000..70_000 + LARGE], expected[70_000 + LARGE..][..LARGE]);
    for (from, step) in [(0, 1), (0, 4096), (70_000, 8192), (5, 4096 * 65), (2_400_000, 4096)] {
        let instance = instance(&module);
        assert!(content(&instance) == expected, "{from}, {step}");
        let fill = instance.func::<fn(u32, u32)>("fill").expect("fill");
        fill(from, step).expect("in bounds");
        instance.reset().expect("a reset");
        assert!(content(&instance) == expected, "{from}, {step}");
        fill(from, step).expect("in bounds");
    }
}

fn both_sides_of_a_fork_have_the_image(tier: Tier) {
    succeeds(tier, "both_sides_of_a_fork_have_the_image", "fork", || {
        let text =
            format!(r#"(module (memory (export "memory") 6) (data (i32.const 5) "{}"))"#, data());
        let module = module(&engine(tier), &text);
        let expected = expected(6, 5);
        let use_some = || {
            for _ in 0..20 {
                let instance = instance(&module);
                assert!(content(&instance) == expected);
                spoil(&instance);
            }
        };
        // With an idle memory of the image, and with one in use.
        let idle = fork(use_some);
        use_some();
        let used = instance(&module);
        spoil(&used);
        let child = fork(|| {
            use_some();
            used.reset().expect("a reset");
            assert!(content(&used) == expected);
        });
        assert!(content(&used) != expected);
        use_some();
        wait_for(idle);
        wait_for(child);
    });
}

/// Where there is no room for another memory, the one that there is goes on without an image.
fn a_reset_needs_no_address_space(tier: Tier) {
    succeeds(tier, "a_reset_needs_no_address_space", "limit", || {
        let text =
            format!(r#"(module (memory (export "memory") 6) (data (i32.const 5) "{}"))"#, data());
        let module = module(&engine(tier), &text);
        let first = instance(&module);
        let statm = std::fs::read_to_string("/proc/self/statm").expect("statm");
        let pages: u64 = statm.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
        let most = pages * 4096 + (1 << 30);
        // SAFETY: a limit of the process, which ends with the scenario.
        let limited = unsafe {
            libc::setrlimit(libc::RLIMIT_AS, &libc::rlimit { rlim_cur: most, rlim_max: most })
        };
        assert_eq!(limited, 0);
        assert!(matches!(Instance::new(&module, &Imports::none()), Err(LinkError::Resources(_))));
        for _ in 0..3 {
            spoil(&first);
            first.reset().expect("a reset");
            assert!(content(&first) == expected(6, 5));
        }
    });
}

fn threads_share_an_image(tier: Tier) {
    let text =
        format!(r#"(module (memory (export "memory") 6) (data (i32.const 4) "{}"))"#, data());
    let module = module(&engine(tier), &text);
    let expected = expected(6, 4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let instance = instance(&module);
                    assert!(content(&instance) == expected);
                    spoil(&instance);
                }
            });
        }
    });
}

on_each_tier!(
    each_instance_is_new,
    modules_share_a_pool,
    segments_overlap_and_are_dropped,
    others_are_copied,
    a_failed_instance_has_no_data,
    a_reset_memory_is_still_shared,
    all_is_written,
    both_sides_of_a_fork_have_the_image,
    a_reset_needs_no_address_space,
    many_modules,
    threads_share_an_image,
);
