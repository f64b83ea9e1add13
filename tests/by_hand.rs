//! The example `by_hand`, run as a user would: its output, and its end when memory is refused.
//!
//! Owns the claims that the example makes: the result comes first, unpublished memory does not
//! run, and an error of the system is a message and not a crash.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output};

/// The built example. `cargo test` builds examples, and puts them beside the tests' directory.
fn by_hand() -> Command {
    let test = std::env::current_exe().expect("a test has a path");
    let target: PathBuf = test.ancestors().nth(2).expect("tests are in deps/").into();
    let example = target.join("examples").join("by_hand");
    assert!(
        example.exists(),
        "{} is not there: `cargo test` builds it, and so does `cargo build --example by_hand`",
        example.display()
    );
    Command::new(example)
}

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the example starts");
    let text = |bytes| String::from_utf8(bytes).expect("the example prints text");
    (status.code(), text(stdout), text(stderr))
}

/// Gives the process no more address space than that.
fn limit_address_space(command: &mut Command, bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: setrlimit is async-signal-safe, and the closure does nothing else but look at errno.
    unsafe {
        command.pre_exec(move || match libc::setrlimit(libc::RLIMIT_AS, &raw const limit) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
}

#[test]
fn the_result_comes_first() {
    let (code, stdout, stderr) = run(&mut by_hand());
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(
        lines,
        [
            "result = 6",
            "addN(0) with N = 1000000007: 1000000007",
            "addN(2) with N = 1000000007: 1000000009",
            "addN(-1000000007) with N = 1000000007: 0",
        ]
    );
}

#[test]
fn unpublished_memory_does_not_run() {
    let (code, stdout, stderr) = run(by_hand().arg("unpublished"));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains("killed by SIGSEGV"), "{stdout}");
}

#[test]
fn refused_memory_is_a_message() {
    let mut command = by_hand();
    limit_address_space(command.arg("1073741824"), 256 << 20);
    let (code, stdout, stderr) = run(&mut command);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert_eq!(
        stderr,
        "error: mmap of 1073741824 bytes, readable and writable failed: Cannot allocate memory \
         (os error 12)\n"
    );
}

#[test]
fn no_memory_at_all_is_a_message() {
    let (code, stdout, stderr) = run(by_hand().arg("0"));
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.starts_with("error: mmap of 0 bytes") && stderr.contains("Invalid argument"));
}

#[test]
fn too_little_room_is_a_message() {
    // The kernel gives a whole page; the draft keeps to what was asked for.
    let (code, _, stderr) = run(by_hand().arg("10"));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("the draft has room for 10 bytes"), "{stderr}");
}

#[test]
fn another_word_is_a_usage_error() {
    let (code, _, stderr) = run(by_hand().arg("published"));
    assert_eq!(code, Some(2));
    assert!(stderr.contains("usage: by_hand"), "{stderr}");
}
