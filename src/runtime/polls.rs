//! The way from compiled code that polls to the question whether its guest is to end.

use std::arch::naked_asm;
use std::mem::offset_of;

use crate::compile::abi::{ThreadState, VmContext};

/// Asks [`poll`](super::builtins::poll) about the context in r15, leaves the answer in the thread's
/// state, and preserves all registers: it is called from where a function has anything anywhere.
/// Compiled code uses no more of the vector registers than the 16 bytes that are saved here.
#[unsafe(naked)]
pub(super) unsafe extern "sysv64" fn poll_keeping_all() {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "push rax",
        "push rcx",
        "push rdx",
        "push rsi",
        "push rdi",
        "push r8",
        "push r9",
        "push r10",
        "push r11",
        "sub rsp, 264",
        "and rsp, -16",
        "movaps [rsp], xmm0",
        "movaps [rsp + 16], xmm1",
        "movaps [rsp + 32], xmm2",
        "movaps [rsp + 48], xmm3",
        "movaps [rsp + 64], xmm4",
        "movaps [rsp + 80], xmm5",
        "movaps [rsp + 96], xmm6",
        "movaps [rsp + 112], xmm7",
        "movaps [rsp + 128], xmm8",
        "movaps [rsp + 144], xmm9",
        "movaps [rsp + 160], xmm10",
        "movaps [rsp + 176], xmm11",
        "movaps [rsp + 192], xmm12",
        "movaps [rsp + 208], xmm13",
        "movaps [rsp + 224], xmm14",
        "movaps [rsp + 240], xmm15",
        "mov rdi, r15",
        "call {poll}",
        "mov rcx, [r15 + {thread}]",
        "mov [rcx + {verdict}], eax",
        "movaps xmm0, [rsp]",
        "movaps xmm1, [rsp + 16]",
        "movaps xmm2, [rsp + 32]",
        "movaps xmm3, [rsp + 48]",
        "movaps xmm4, [rsp + 64]",
        "movaps xmm5, [rsp + 80]",
        "movaps xmm6, [rsp + 96]",
        "movaps xmm7, [rsp + 112]",
        "movaps xmm8, [rsp + 128]",
        "movaps xmm9, [rsp + 144]",
        "movaps xmm10, [rsp + 160]",
        "movaps xmm11, [rsp + 176]",
        "movaps xmm12, [rsp + 192]",
        "movaps xmm13, [rsp + 208]",
        "movaps xmm14, [rsp + 224]",
        "movaps xmm15, [rsp + 240]",
        // rbx and r12 to r15 are the Rust function's to preserve.
        "lea rsp, [rbp - 72]",
        "pop r11",
        "pop r10",
        "pop r9",
        "pop r8",
        "pop rdi",
        "pop rsi",
        "pop rdx",
        "pop rcx",
        "pop rax",
        "pop rbp",
        "ret",
        poll = sym super::builtins::poll,
        thread = const offset_of!(VmContext, thread),
        verdict = const offset_of!(ThreadState, verdict),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use crate::compile::Tier;
    use crate::runtime::{Engine, Imports, Instance, Interruption, Module};

    /// How much each program does: little, and yet many polls.
    const N: i32 = 6;

    fn run(tier: Tier, interruption: Interruption, text: &str) -> (Instance, i64) {
        let builder = Engine::builder().tier(tier).interruption(interruption);
        let engine = builder.build().expect("an engine");
        let module = Module::with_engine(&engine, text).expect("a program");
        let instance = Instance::new(&module, &Imports::none()).expect("an instance");
        let checksum = instance.typed_func::<fn(i32) -> i64>("run").expect("run").call(N);
        (instance, checksum.expect("no trap"))
    }

    /// A flag that is set again and again, and never meant for this guest, changes nothing but time.
    #[test]
    #[cfg_attr(miri, ignore = "Miri runs no machine code")]
    fn polls_disturb_nothing() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/kernels");
        let mut programs = 0;
        for entry in std::fs::read_dir(folder).expect("the programs") {
            let path = entry.expect("an entry").path();
            let text = std::fs::read_to_string(&path).expect("a program");
            for tier in Tier::available() {
                let (_, expected) = run(*tier, Interruption::Signal, &text);
                let (instance, checksum) = run(*tier, Interruption::Polled, &text);
                assert_eq!(checksum, expected, "{}", path.display());
                // SAFETY: the thread's state lives as long as the instance; the flag is atomic.
                let stop = unsafe { &(*instance.0.thread.state()).stop };
                let again = instance.typed_func::<fn(i32) -> i64>("run").expect("run");
                stop.store(1, Ordering::SeqCst);
                let once = again.call(N).expect("no trap");
                assert_eq!(stop.load(Ordering::SeqCst), 0, "{} does not poll", path.display());
                let done = AtomicBool::new(false);
                let pestered = thread::scope(|scope| {
                    scope.spawn(|| {
                        while !done.load(Ordering::SeqCst) {
                            stop.store(1, Ordering::SeqCst);
                        }
                    });
                    let pestered = [(); 3].map(|()| again.call(N));
                    done.store(true, Ordering::SeqCst);
                    pestered.map(|checksum| checksum.expect("no trap"))
                });
                stop.store(0, Ordering::SeqCst);
                // Some programs go on with what their memory has.
                let (unpestered, _) = run(*tier, Interruption::Signal, &text);
                let again = unpestered.typed_func::<fn(i32) -> i64>("run").expect("run");
                assert_eq!(once, again.call(N).expect("no trap"), "{}", path.display());
                let expected = [(); 3].map(|()| again.call(N).expect("no trap"));
                assert_eq!(pestered, expected, "{}", path.display());
            }
            programs += 1;
        }
        assert!(programs > 20);
    }
}
