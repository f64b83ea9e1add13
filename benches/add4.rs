//! `x + 4` from its 41 bytes of wasm to a result, and per call: machine code written by hand, the
//! baseline tier and the Cranelift tier, each against doing the same without this crate.
//!
//! `cargo bench --bench add4`. Comparisons with other engines are in `benches/peers`.

use std::hint::black_box;
use std::ptr::{self, NonNull};

use criterion::{Criterion, criterion_group, criterion_main};
use wasm_mini::{Engine, Imports, Instance, Module, Tier, Value};

/// `mov rax, rdi; add rax, 4; ret`.
const BY_HAND: [u8; 8] = [0x48, 0x89, 0xf8, 0x48, 0x83, 0xc0, 0x04, 0xc3];

type Add4 = extern "C" fn(i64) -> i64;

#[inline(never)]
extern "C" fn plain(x: i64) -> i64 {
    x.wrapping_add(4)
}

/// Machine code in a page of its own: the least that any JIT must do. Writable first, executable
/// then, never both.
struct Page {
    start: NonNull<libc::c_void>,
}

impl Page {
    const LEN: usize = 4096;

    fn with(code: &[u8]) -> Page {
        assert!(code.len() <= Page::LEN);
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh mapping touches nothing that exists; the copy fits into it, and nobody
        // else knows of it; its protection changes after the last write.
        unsafe {
            let start = libc::mmap(ptr::null_mut(), Page::LEN, protection, flags, -1, 0);
            assert_ne!(start, libc::MAP_FAILED);
            ptr::copy_nonoverlapping(code.as_ptr(), start.cast(), code.len());
            let executable = libc::PROT_READ | libc::PROT_EXEC;
            assert_eq!(libc::mprotect(start, Page::LEN, executable), 0);
            Page { start: NonNull::new(start).expect("nothing is mapped at 0") }
        }
    }

    /// # Safety
    ///
    /// The page holds a System V function of this type, and outlives every call.
    unsafe fn function(&self) -> Add4 {
        // SAFETY: the caller vouches for it.
        unsafe { std::mem::transmute::<NonNull<libc::c_void>, Add4>(self.start) }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: mapped in `with`, with this length, and used by nobody any more.
        unsafe { libc::munmap(self.start.as_ptr(), Page::LEN) };
    }
}

fn binary() -> Vec<u8> {
    wat::parse_str(include_str!("../fixtures/add4.wat")).expect("the fixture is text")
}

fn engines() -> Vec<(Tier, Engine)> {
    let engine = |tier| Engine::new(tier).expect("an engine");
    Tier::available().iter().map(|tier| (*tier, engine(*tier))).collect()
}

fn by_hand(engine: &Engine, binary: &[u8]) -> Module {
    // SAFETY: the code is a whole function of add4's signature and touches only rax and rdi.
    unsafe { Module::with_machine_code(engine, binary, 0, &BY_HAND) }.expect("a valid module")
}

fn instance(module: &Module) -> Instance {
    Instance::new(module, &Imports::none()).expect("nothing to import")
}

fn first_result(module: &Module) -> i64 {
    let add4 = instance(module).typed_func::<fn(i64) -> i64>("add4").expect("the export");
    add4.call(black_box(2)).expect("no trap")
}

/// From the module's bytes to 6.
fn bytes_to_first_result(c: &mut Criterion) {
    let mut group = c.benchmark_group("bytes to first result");
    let binary = binary();
    group.bench_function("by hand, mmap and mprotect", |b| {
        b.iter(|| {
            let page = Page::with(black_box(&BY_HAND));
            // SAFETY: the page holds add4 and lives until after the call.
            let add4 = unsafe { page.function() };
            add4(black_box(2))
        });
    });
    let engines = engines();
    let (_, engine) = &engines[0];
    group.bench_function("by hand, in an engine", |b| {
        b.iter(|| first_result(&by_hand(engine, black_box(&binary))));
    });
    for (tier, engine) in &engines {
        group.bench_function(tier.to_string(), |b| {
            b.iter(|| {
                let module = Module::with_engine(engine, black_box(&binary));
                first_result(&module.expect("a valid module"))
            });
        });
    }
    group.finish();
}

/// From the module's bytes to code that can run.
fn compile(c: &mut Criterion) {
    let mut group = c.benchmark_group("compile");
    let binary = binary();
    group.bench_function("validate only", |b| {
        b.iter(|| wasm_mini::validate(black_box(&binary)).is_ok());
    });
    let engines = engines();
    let (_, engine) = &engines[0];
    group.bench_function("by hand, in an engine", |b| {
        b.iter(|| by_hand(engine, black_box(&binary)));
    });
    for (tier, engine) in &engines {
        group.bench_function(tier.to_string(), |b| {
            b.iter(|| Module::with_engine(engine, black_box(&binary)).expect("a valid module"));
        });
    }
    group.finish();
}

/// How many calls one iteration makes, each with the result of the one before, so that nothing but
/// calls is in the time: **divide by this for the cost of one**.
const CALLS: u32 = 1000;

fn chain(mut call: impl FnMut(i64) -> i64) -> i64 {
    let mut x = 0;
    for _ in 0..CALLS {
        x = call(x);
    }
    x
}

fn call(c: &mut Criterion) {
    let mut group = c.benchmark_group("1000 calls");
    let plain = black_box(plain as Add4);
    group.bench_function("plain function pointer", |b| b.iter(|| chain(|x| plain(x))));

    let page = Page::with(&BY_HAND);
    // SAFETY: the page holds add4 and outlives the calls.
    let bare = black_box(unsafe { page.function() });
    group.bench_function("by hand, mmap and mprotect", |b| b.iter(|| chain(|x| bare(x))));

    let binary = binary();
    let mut modules = Vec::new();
    for (tier, engine) in engines() {
        if modules.is_empty() {
            modules.push(("by hand, in an engine".to_string(), by_hand(&engine, &binary)));
        }
        let module = Module::with_engine(&engine, &binary).expect("a valid module");
        modules.push((tier.to_string(), module));
    }
    for (name, module) in &modules {
        let instance = instance(module);
        let typed = black_box(instance.typed_func::<fn(i64) -> i64>("add4").expect("the export"));
        group.bench_function(format!("{name}, TypedFunc"), |b| {
            b.iter(|| chain(|x| typed.call(x).expect("no trap")));
        });
        let boxed = black_box(instance.func::<fn(i64) -> i64>("add4").expect("the export"));
        group.bench_function(format!("{name}, closure"), |b| {
            b.iter(|| chain(|x| boxed(x).expect("no trap")));
        });
    }
    let (name, module) = modules.last().expect("a tier");
    let dynamic = instance(module).dyn_func("add4").expect("the export");
    group.bench_function(format!("{name}, dynamic"), |b| {
        b.iter(|| {
            chain(|x| match dynamic.call(&[Value::I64(x)]).expect("no trap")[..] {
                [Value::I64(result)] => result,
                _ => unreachable!("add4 returns one i64"),
            })
        });
    });
    group.finish();
}

criterion_group!(benches, bytes_to_first_result, compile, call);
criterion_main!(benches);
