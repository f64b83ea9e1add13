//! What tests of interruption share. No test measures time. Where something never happens, a test would
//! hang, which the watch in [`patiently`] turns into a failure.
#![allow(dead_code)]

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use wasm_mini::{
    Engine, Imports, Instance, InterruptHandle, Interruption, Module, Tier, Trap, TrapCode,
};

pub const KINDS: &[Interruption] = &[Interruption::Signal, Interruption::Polled];

/// Ends the process if the work takes so long that it will never end.
pub fn patiently<T>(work: impl FnOnce() -> T) -> T {
    let (done, is_done) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        if let Err(mpsc::RecvTimeoutError::Timeout) = is_done.recv_timeout(Duration::from_secs(120))
        {
            eprintln!("something that should have been interrupted runs for ever");
            std::process::abort();
        }
    });
    let result = work();
    drop(done);
    watch.join().expect("the watch");
    result
}

pub fn engine(tier: Tier, kind: Interruption) -> Engine {
    Engine::builder().tier(tier).interruption(kind).build().expect("an engine")
}

pub fn with_imports(tier: Tier, kind: Interruption, text: &str, imports: &Imports) -> Instance {
    let module = Module::with_engine(&engine(tier, kind), text).expect("a module");
    Instance::new(&module, imports).expect("an instance")
}

pub fn instance(tier: Tier, kind: Interruption, text: &str) -> Instance {
    with_imports(tier, kind, text, &Imports::none())
}

/// Interrupts until what this returns is dropped.
pub struct Interrupter(Option<(mpsc::Sender<()>, thread::JoinHandle<()>)>);

pub fn interrupt_until_dropped(handle: InterruptHandle) -> Interrupter {
    let (done, is_done) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        let pause = Duration::from_millis(1);
        while let Err(mpsc::RecvTimeoutError::Timeout) = is_done.recv_timeout(pause) {
            handle.interrupt();
        }
    });
    Interrupter(Some((done, thread)))
}

impl Drop for Interrupter {
    fn drop(&mut self) {
        let (done, thread) = self.0.take().expect("dropped once");
        drop(done);
        thread.join().expect("the interrupter");
    }
}

pub fn is_interrupted<T: std::fmt::Debug>(result: Result<T, Trap>) {
    assert_eq!(result.expect_err("an interrupted guest").code(), TrapCode::Interrupted);
}
