//! The machine that the measurements are made on: its clock, its processor, its names.

use std::fmt::Write as _;
use std::io;
use std::mem;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The calling thread's CPU time.
pub fn thread_time() -> Duration {
    clock_time(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// The CPU time of all threads of this process.
pub fn process_time() -> Duration {
    clock_time(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn clock_time(clock: libc::clockid_t) -> Duration {
    // SAFETY: `timespec` is plain data, and the call writes it.
    let time = unsafe {
        let mut time: libc::timespec = mem::zeroed();
        assert_eq!(libc::clock_gettime(clock, &mut time), 0);
        time
    };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The time that a clock on the wall shows.
pub fn wall_time() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// The CPU time, user and system, of all children that have been waited for.
pub fn children_time() -> Duration {
    // SAFETY: `rusage` is plain data, and the call writes it.
    let usage = unsafe {
        let mut usage: libc::rusage = mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage), 0);
        usage
    };
    [usage.ru_utime, usage.ru_stime]
        .map(|time| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000))
        .iter()
        .sum()
}

/// Keeps the calling thread, and the children it starts, on the processor that it is on.
pub fn pin() -> bool {
    // SAFETY: the set is plain data of the size that is passed.
    unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(libc::sched_getcpu().max(0) as usize, &mut set);
        libc::sched_setaffinity(0, mem::size_of_val(&set), &set) == 0
    }
}

/// Does something on all processors that the thread may use when it is not kept on one; threads
/// that are started meanwhile may use them, too.
pub fn with_all_processors<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: the sets are plain data of the size that is passed.
    unsafe {
        let (mut before, mut all): (libc::cpu_set_t, libc::cpu_set_t) = mem::zeroed();
        let len = mem::size_of::<libc::cpu_set_t>();
        assert_eq!(libc::sched_getaffinity(0, len, &mut before), 0);
        // The system leaves out what does not exist or is not allowed.
        (0..libc::CPU_SETSIZE as usize).for_each(|cpu| libc::CPU_SET(cpu, &mut all));
        assert_eq!(libc::sched_setaffinity(0, len, &all), 0);
        let result = work();
        assert_eq!(libc::sched_setaffinity(0, len, &before), 0);
        result
    }
}

/// The most memory that this process has had in use at one time, in bytes.
pub fn peak_memory() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.map(|kilobytes| kilobytes << 10).ok_or_else(|| io::Error::other("no VmHWM"))
}

/// Says on stderr what is going on.
pub fn progress(what: impl std::fmt::Display) {
    eprintln!("[{:4} s] {what}", wall_time().as_secs());
}

/// What a program prints, trimmed; empty if it cannot be run.
pub fn output_of(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_string()).unwrap_or_default()
}

/// The processor's name and how many the system sees.
fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(": ")).map_or("?", |(_, value)| value).to_string()
    };
    let count = info.lines().filter(|line| line.starts_with("processor")).count();
    format!(
        "{} (family {}, model {}), {count} seen",
        field("model name"),
        field("cpu family"),
        field("model\t")
    )
}

/// The version of a package, from this crate's lock file; all of them if there are several.
fn version(package: &str) -> String {
    let lock = include_str!("../Cargo.lock");
    let wanted = format!("name = \"{package}\"\nversion = \"");
    let versions = lock.match_indices(&wanted).map(|(at, _)| {
        let rest = &lock[at + wanted.len()..];
        rest.split('"').next().unwrap_or("?")
    });
    versions.collect::<Vec<_>>().join(" and ")
}

/// A paragraph that names everything that the numbers depend on; `other` is a version that is in no lock
/// file.
pub fn description(pinned: bool, other: Option<String>) -> String {
    let mut text = String::new();
    let date = output_of("date", &["+%F"]);
    let rustc = output_of("rustc", &["--version"]);
    let kernel = output_of("uname", &["-sr"]);
    let kernel = kernel.split('-').next().unwrap_or_default();
    let _ = writeln!(text, "{date}, {}, {kernel}, {rustc}.", processor());
    let packages = ["wasm-mini", "wasmtime", "cranelift-codegen", "wasmi", "wasmer", "wasmparser"];
    let versions = packages.map(|package| format!("{package} {}", version(package)));
    let versions: Vec<String> = versions.into_iter().chain(other).collect();
    let _ = writeln!(text, "Versions: {}.", versions.join(", "));
    let place = if pinned { "on one processor" } else { "not kept on one processor" };
    let _ = writeln!(text, "One thread, {place}, its CPU time.");
    text
}
