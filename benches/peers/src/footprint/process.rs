//! A whole process: what `wasm-mini run` costs above a program that does nothing.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::host::{self, children_time};
use crate::report::{Goal, Section, duration};

/// How many processes one measurement starts: `getrusage` counts coarsely for short ones.
const BATCH: usize = 10;

/// Starts `runs` processes of each kind, in turns.
pub fn measure(command: &Path, fixture: &Path, runs: usize) -> io::Result<Section> {
    host::pin();
    let run = |tier| {
        let words = ["run".as_ref(), fixture.as_os_str(), "2".as_ref(), "--tier".as_ref(), tier];
        (command.as_os_str(), words.to_vec())
    };
    let kinds: [(&str, (&OsStr, Vec<&OsStr>)); 4] = [
        ("/bin/true", ("/bin/true".as_ref(), vec![])),
        ("wasm-mini --version", (command.as_os_str(), vec!["--version".as_ref()])),
        ("wasm-mini run add4.wat 2 --tier baseline", run("baseline".as_ref())),
        ("wasm-mini run add4.wat 2 --tier cranelift", run("cranelift".as_ref())),
    ];
    let mut times = kinds.each_ref().map(|_| Vec::new());
    for round in 0..runs.div_ceil(BATCH) {
        for turn in 0..kinds.len() {
            let index = (round + turn) % kinds.len();
            let (_, (program, arguments)) = &kinds[index];
            times[index].push(batch(program, arguments)?);
        }
    }
    let [floor, ..] = times.each_mut().map(|times| {
        times.sort();
        (times[0], times[times.len() / 2])
    });

    let note = format!(
        "User and system time of a process, {runs} of each kind in turns of {BATCH}; also above \
         `/bin/true`."
    );
    let header = ["", "least", "median", "least, above /bin/true"];
    let mut section = Section::new("A whole process", note, &header);
    let above = |least: Duration| least.saturating_sub(floor.0).as_nanos() as f64;
    for ((name, _), times) in kinds.iter().zip(&times) {
        let (least, median) = (times[0], times[times.len() / 2]);
        section.rows.push(vec![
            format!("`{name}`"),
            duration(least.as_nanos() as f64),
            duration(median.as_nanos() as f64),
            duration(above(least)),
        ]);
    }
    let baseline = above(times[2][0]);
    Ok(section.goal(Goal::plain(
        "`run --tier baseline` at most 1 ms above `/bin/true`",
        duration(baseline),
        baseline <= 1e6,
    )))
}

/// The CPU time of one of `BATCH` processes that run one after the other.
fn batch(program: &OsStr, arguments: &[&OsStr]) -> io::Result<Duration> {
    let start = children_time();
    for _ in 0..BATCH {
        let mut command = Command::new(program);
        let status = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).status()?;
        if !status.success() {
            return Err(io::Error::other(format!("{} failed", program.display())));
        }
    }
    Ok((children_time() - start) / BATCH as u32)
}
