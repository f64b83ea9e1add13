//! Tests that need a process of their own: the test binary runs itself again for one test.

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use wasm_mini::Tier;

/// Says which part of a test a process is to play.
const ROLE: &str = "WASM_MINI_TEST_ROLE";
/// Printed when a scenario has run to its end.
const DONE: &str = "scenario done";
/// A scenario that hangs is ended by SIGALRM after so many seconds.
const PATIENCE: u32 = 20;

/// How a scenario's process ended.
#[derive(Debug)]
pub struct Ending {
    pub status: ExitStatus,
    /// The scenario ran to its end.
    pub done: bool,
    pub stderr: String,
}

impl Ending {
    /// The signal that ended the process.
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// The scenario ran to its end and failed in nothing.
    pub fn expect_success(&self) {
        assert!(self.status.success() && self.done, "{self:#?}");
    }

    /// The process was ended by that signal.
    pub fn expect_signal(&self, signal: i32) {
        assert_eq!(self.signal(), Some(signal), "{self:#?}");
        assert!(!self.done, "{self:#?}");
    }
}

/// Runs `scenario` in a process of its own, and returns how that ended; `None` in that process
/// itself, which must do nothing more. `test` is the path of the calling test, `role` tells
/// several scenarios of a test apart.
///
/// The new process runs one test on one thread.
pub fn in_own_process(test: &str, role: &str, scenario: impl FnOnce()) -> Option<Ending> {
    match env::var(ROLE) {
        Ok(asked) if asked == role => {
            // SAFETY: no preconditions; the default action of SIGALRM ends the process.
            unsafe { libc::alarm(PATIENCE) };
            scenario();
            eprintln!("{DONE}");
            None
        }
        Ok(_) => None,
        Err(_) => Some(start(test, role)),
    }
}

fn start(test: &str, role: &str) -> Ending {
    let binary = env::current_exe().expect("the path of the test binary");
    let output = Command::new(binary)
        .args(["--exact", test, "--test-threads=1", "--nocapture"])
        .env(ROLE, role)
        // No core dumps, no backtraces: some scenarios are meant to crash.
        .env_remove("RUST_BACKTRACE")
        .output()
        .expect("the test binary runs again");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Ending { status: output.status, done: stderr.contains(DONE), stderr }
}

/// Runs the scenario in a process of its own; `None` in that process. Takes the name of the
/// function that is listed in `on_each_tier!` below.
pub fn scenario(tier: Tier, test: &str, role: &str, run: impl FnOnce()) -> Option<Ending> {
    in_own_process(&format!("{tier}::{test}"), role, run)
}

/// The scenario must run to its end.
pub fn succeeds(tier: Tier, test: &str, role: &str, run: impl FnOnce()) {
    if let Some(ending) = scenario(tier, test, role, run) {
        ending.expect_success();
    }
}

/// Forks; the child runs the closure and never returns. Returns the child.
pub fn fork(child: impl FnOnce()) -> libc::pid_t {
    // SAFETY: the process has one thread that matters here; the child leaves by `_exit`, whatever
    // happens in the closure.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // SAFETY: no preconditions; a child that hangs must not live on.
        unsafe { libc::alarm(30) };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
        // SAFETY: ends the child without running what belongs to the parent.
        unsafe { libc::_exit(if result.is_ok() { 0 } else { 1 }) };
    }
    pid
}

/// The child has ended well.
pub fn wait_for(child: libc::pid_t) {
    let mut status = 0;
    // SAFETY: the status is written to a place of its own.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "status {status:#x}");
}
