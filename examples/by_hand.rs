//! The whole idea of a JIT, by hand: bytes become a function.
//!
//! ```text
//! cargo run --example by_hand               two functions, written as bytes, are called
//! cargo run --example by_hand unpublished   what happens if the memory never becomes executable
//! cargo run --example by_hand BYTES         the same as the first, with room for so many bytes
//! ```
//!
//! Memory is first writable and then executable, never both at once ("W^X"): who can write to
//! memory that runs can run anything. The two phases are two types, so that the compiler refuses a
//! call into memory that is still a draft:
//!
//! ```text
//! Draft::new ──► Draft: emit, patch ──publish──► Published: function ──► call
//!                readable, writable              readable, executable
//! ```
//!
//! This file uses nothing of `wasm_mini`; the library does the same with more care for speed.

use std::fmt;
use std::io;
use std::process::ExitCode;
use std::ptr::{self, NonNull};

/// `add4(x) = x + 4`. In the System V calling convention of x86-64, the first argument arrives in
/// rdi and the result leaves in rax.
const ADD4: &[u8] = &[
    0x48, 0x89, 0xf8, //       mov rax, rdi
    0x48, 0x83, 0xc0, 0x04, // add rax, 4
    0xc3, //                   ret
];

/// `addN(x) = x + N`, where N is known when the program runs and not before.
const ADD_N: &[u8] = &[
    0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, // mov rax, N
    0x48, 0x01, 0xf8, //                   add rax, rdi
    0xc3, //                               ret
];
/// Where in [`ADD_N`] the eight bytes of N stand.
const ADD_N_HOLE: usize = 2;

fn main() -> ExitCode {
    let argument = std::env::args().nth(1);
    let result = match argument.as_deref() {
        None => call_by_hand(4096),
        Some("unpublished") => call_unpublished(),
        Some(text) => match text.parse() {
            Ok(capacity) => call_by_hand(capacity),
            Err(_) => {
                eprintln!("usage: by_hand [unpublished | BYTES]; `{text}` is neither");
                return ExitCode::from(2);
            }
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes both functions, publishes them, calls them.
fn call_by_hand(capacity: usize) -> Result<(), Error> {
    let mut draft = Draft::new(capacity)?;
    let add4 = draft.emit(ADD4)?;
    let n = 1_000_000_007_i64;
    let add_n = draft.emit(ADD_N)?;
    draft.patch(add_n, ADD_N_HOLE, &n.to_le_bytes())?;
    // Would not compile: a `Draft` has no `function`.
    let published = draft.publish()?;

    // SAFETY: the bytes at `add4` are ADD4, a complete System V function of this type.
    let add4 = unsafe { published.function(add4) };
    // SAFETY: the bytes at `add_n` are ADD_N with its hole filled, a function of the same type.
    let add_n = unsafe { published.function(add_n) };
    println!("result = {}", add4(2));
    for x in [0, 2, -n] {
        println!("addN({x}) with N = {n}: {}", add_n(x));
    }
    Ok(())
}

/// Jumps into memory that is writable and not executable, in a process that may die of it.
fn call_unpublished() -> Result<(), Error> {
    let mut draft = Draft::new(4096)?;
    draft.emit(ADD4)?;

    // SAFETY: this process has one thread, so the child finds no lock held by a thread that it
    // does not have.
    match unsafe { libc::fork() } {
        -1 => Err(Error::os(format_args!("fork"))),
        0 => {
            // SAFETY: the types refuse this call, so the pointer is made by hand. That the bytes
            // are right does not help: the processor reads the permissions of the page first. The
            // child leaves by `_exit` at the latest, and runs nothing of the parent's.
            unsafe {
                let add4 = draft.memory.start.as_ptr();
                let add4 = std::mem::transmute::<*mut u8, extern "sysv64" fn(i64) -> i64>(add4);
                add4(2);
                libc::_exit(0)
            }
        }
        child => {
            let mut status = 0;
            // SAFETY: `status` is a place for the one integer that waitpid writes.
            if unsafe { libc::waitpid(child, &raw mut status, 0) } == -1 {
                return Err(Error::os(format_args!("waitpid")));
            }
            if libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV {
                println!("the call into unpublished memory was killed by SIGSEGV, as it should be");
                Ok(())
            } else {
                let attempt = format!("a call into unpublished memory (wait status {status})");
                Err(Error { attempt, source: io::Error::other("it was not killed by SIGSEGV") })
            }
        }
    }
}

/// Memory from the operating system, given back when this goes.
struct Memory {
    start: NonNull<u8>,
    length: usize,
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: this is exactly what mmap gave. Nobody points into it any more: what borrows
        // from a `Draft` or `Published` cannot outlive it. An error would only mean a leak.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// Memory that is being written: nothing in it can be called.
struct Draft {
    memory: Memory,
    used: usize,
}

/// Where a function starts.
#[derive(Clone, Copy)]
struct Entry(usize);

impl Draft {
    /// Fresh memory, readable and writable. The kernel rounds up to whole pages.
    fn new(capacity: usize) -> Result<Draft, Error> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at an address of the kernel's choice touches no other memory.
        let start = unsafe { libc::mmap(ptr::null_mut(), capacity, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(Error::os(format_args!("mmap of {capacity} bytes, readable and writable")));
        }
        let start = NonNull::new(start.cast()).expect("the kernel keeps address 0 free");
        Ok(Draft { memory: Memory { start, length: capacity }, used: 0 })
    }

    /// Appends a function's bytes.
    fn emit(&mut self, bytes: &[u8]) -> Result<Entry, Error> {
        let entry = Entry(self.used);
        self.write(self.used, bytes)?;
        self.used += bytes.len();
        Ok(entry)
    }

    /// Overwrites some bytes of a function that was emitted.
    fn patch(&mut self, entry: Entry, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        self.write(entry.0 + offset, bytes)
    }

    fn write(&mut self, at: usize, bytes: &[u8]) -> Result<(), Error> {
        if bytes.len() > self.memory.length.saturating_sub(at) {
            let attempt = format!("writing {} bytes at offset {at}", bytes.len());
            let source = format!("the draft has room for {} bytes", self.memory.length);
            return Err(Error { attempt, source: io::Error::other(source) });
        }
        // SAFETY: the range is inside the mapping, as was just checked; it is writable, since it
        // is not published; and `bytes` cannot overlap it, since nobody borrows from a draft.
        unsafe {
            let to = self.memory.start.as_ptr().add(at);
            ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
        Ok(())
    }

    /// Takes the permission to write and gives that to execute. From here on, nothing changes.
    ///
    /// x86-64 needs no more than this; on other machines the instruction cache must be told too.
    fn publish(self) -> Result<Published, Error> {
        let Memory { start, length } = self.memory;
        let protection = libc::PROT_READ | libc::PROT_EXEC;
        // SAFETY: the range is one mapping of ours, and no reference into it exists.
        if unsafe { libc::mprotect(start.as_ptr().cast(), length, protection) } == -1 {
            return Err(Error::os(format_args!(
                "mprotect of {length} bytes to readable and executable"
            )));
        }
        Ok(Published { memory: self.memory })
    }
}

/// Memory that is executable and no longer writable.
struct Published {
    memory: Memory,
}

impl Published {
    /// The function at `entry`. It borrows the memory, which thus stays while it can be called.
    ///
    /// # Safety
    /// At `entry` of this memory, the bytes must be a complete System V function from one i64 to
    /// one i64. No type can know that: it is what a compiler has to get right.
    unsafe fn function(&self, entry: Entry) -> impl Fn(i64) -> i64 {
        // SAFETY: the caller vouches for the bytes, the borrow for the memory, and this type for
        // the permission.
        let function = unsafe {
            let code = self.memory.start.as_ptr().add(entry.0);
            std::mem::transmute::<*mut u8, extern "sysv64" fn(i64) -> i64>(code)
        };
        move |x| function(x)
    }
}

/// What was attempted, and why it failed in the operating system's words.
#[derive(Debug)]
struct Error {
    attempt: String,
    source: io::Error,
}

impl Error {
    /// Takes arguments and not a text: formatting one may overwrite the system's last error.
    fn os(attempt: fmt::Arguments<'_>) -> Error {
        let source = io::Error::last_os_error();
        Error { attempt: attempt.to_string(), source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.attempt, self.source)
    }
}
