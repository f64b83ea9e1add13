//! Whether the columns agree, found out by a [`checker`](super::checker) process under a clock.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use wasm_mini::Value;

use super::checker::Event;
use super::inputs::{Inputs, Kind};
use crate::cli::arguments;
use crate::cli::exit::{Exit, Failure};

/// When no more inputs are started: once all edge values had their turn, or one did not return.
pub const BUDGET: Duration = Duration::from_secs(2);
/// How long one call may take.
pub const PATIENCE: Duration = Duration::from_millis(100);
/// How long a call may take whose arguments the user gave.
const MORE_PATIENCE: Duration = Duration::from_secs(10);

/// What is to be checked.
pub struct Job<'a> {
    pub wasm: &'a [u8],
    pub code: Option<&'a [u8]>,
    /// The function's place among the exported functions.
    pub export: usize,
    pub columns: &'a [String],
    pub inputs: &'a Inputs,
    /// What `inputs` was made from.
    pub timed: &'a [Value],
    pub count: usize,
    pub seed: u64,
}

impl Job<'_> {
    fn patience(&self, input: usize) -> Duration {
        match self.inputs.get(input) {
            Some((Kind::Timed, _)) if !self.timed.is_empty() => MORE_PATIENCE,
            _ => PATIENCE,
        }
    }
}

/// What was compared, if nothing differed.
#[derive(Debug, Default)]
pub struct Agreement {
    /// How many inputs of each kind all columns answered alike.
    pub edges: usize,
    pub random: usize,
    /// How many of all of them trapped.
    pub trapped: usize,
    /// Inputs for which only some columns ran out of stack.
    pub exhausted: usize,
    /// Inputs that had to be given up, with the column that was called.
    pub stuck: Vec<(usize, usize)>,
    /// Whether all inputs had their turn.
    pub complete: bool,
    /// The first input meant for timing that returned in all columns.
    pub timed: Option<usize>,
}

/// The first input that the columns disagree on.
#[derive(Debug)]
pub struct Difference {
    pub input: usize,
    /// Columns with what they said.
    pub said: Vec<(String, String)>,
}

/// Compares on all inputs, as far as time allows.
pub fn check(job: &Job<'_>) -> Result<Result<Agreement, Difference>, Failure> {
    let deadline = Instant::now() + BUDGET;
    let mut agreement = Agreement::default();
    let mut from = 0;
    loop {
        let mut process = Process::start(job, from)?;
        match follow(job, &mut process, deadline, &mut agreement) {
            End::Done => return Ok(Ok(agreement)),
            End::Different(difference) => return Ok(Err(difference)),
            End::Stuck { input, column } => {
                agreement.stuck.push((input, column));
                if Instant::now() >= deadline {
                    return Ok(Ok(agreement));
                }
                from = input + 1;
            }
            End::Gone { during } => {
                let status = process.wait();
                let Some((input, column)) = during else {
                    let message = format!("the process that compares ended early: {status}");
                    return Err(Failure::new(Exit::System, message));
                };
                let said = vec![(job.columns[column].clone(), death(status))];
                return Ok(Err(Difference { input, said }));
            }
        }
    }
}

/// How one process's run ended.
enum End {
    /// There is nothing more to compare, or no time.
    Done,
    Different(Difference),
    /// A call took too long.
    Stuck {
        input: usize,
        column: usize,
    },
    /// The process is no more: input and column of the call that it was in.
    Gone {
        during: Option<(usize, usize)>,
    },
}

/// Reads one process's events and counts.
fn follow(job: &Job<'_>, process: &mut Process, deadline: Instant, total: &mut Agreement) -> End {
    let mut during = None;
    loop {
        // Loading may take any time; a call may not.
        let event = match during {
            None => process.events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some((input, _)) => process.events.recv_timeout(job.patience(input)),
        };
        let input = match (event, during) {
            (Err(RecvTimeoutError::Timeout), Some((input, column))) => {
                return End::Stuck { input, column };
            }
            (Err(_), during) => return End::Gone { during },
            (Ok(Event::Ready), _) => continue,
            (Ok(Event::Call { input, column }), _) => {
                during = Some((input, column));
                continue;
            }
            (Ok(Event::Done), _) => {
                total.complete = true;
                return End::Done;
            }
            (Ok(Event::Different { input, said }), _) => {
                let said = job.columns.iter().cloned().zip(said).collect();
                return End::Different(Difference { input, said });
            }
            (Ok(Event::Exhausted { input }), _) => {
                total.exhausted += 1;
                input
            }
            (Ok(Event::Same { input }), _) => {
                total.count(job.inputs, input, true);
                input
            }
            (Ok(Event::Trapped { input }), _) => {
                total.trapped += 1;
                total.count(job.inputs, input, false);
                input
            }
        };
        let edges_are_done = input >= job.inputs.last_edge();
        if Instant::now() >= deadline && (edges_are_done || !total.stuck.is_empty()) {
            return End::Done;
        }
    }
}

impl Agreement {
    /// Whether anything was compared at all.
    pub fn is_empty(&self) -> bool {
        self.edges + self.random + self.trapped == 0 && self.timed.is_none()
    }

    fn count(&mut self, inputs: &Inputs, input: usize, returned: bool) {
        match inputs.get(input) {
            Some((Kind::Edge, _)) => self.edges += 1,
            Some((Kind::Random, _)) => self.random += 1,
            Some((Kind::Timed, _)) if returned && self.timed.is_none() => {
                self.timed = Some(input);
            }
            _ => {}
        }
    }
}

/// A checking process, killed when this goes.
struct Process {
    child: Child,
    events: Receiver<Event>,
}

impl Process {
    fn start(job: &Job<'_>, from: usize) -> Result<Process, Failure> {
        let failed = |error: std::io::Error| {
            let message = format!("the process that compares cannot be started: {error}");
            Failure::new(Exit::System, message)
        };
        let mut child = Command::new(std::env::current_exe().map_err(failed)?)
            .arg("check")
            .arg(format!("--module-length={}", job.wasm.len()))
            .arg(format!("--export={}", job.export))
            .arg(format!("--from={from}"))
            .arg(format!("--inputs={}", job.count))
            .arg(format!("--seed={}", job.seed))
            .args(job.timed.iter().map(arguments::print))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let (sender, events) = mpsc::channel();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let process = Process { child, events };
        if let Some(mut stdin) = stdin {
            // It reads all of it before it says anything, so that neither waits for the other. One
            // that is already gone is noticed below.
            let _ =
                stdin.write_all(job.wasm).and_then(|()| stdin.write_all(job.code.unwrap_or(&[])));
        }
        if let Some(stdout) = stdout {
            // A thread, because a pipe has no timeout. It ends when the process does.
            std::thread::spawn(move || {
                let lines = BufReader::new(stdout).lines().map_while(Result::ok);
                for event in lines.map_while(|line| Event::parse(&line)) {
                    if sender.send(event).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(process)
    }

    fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a process died, for people.
fn death(status: ExitStatus) -> String {
    let name = match status.signal() {
        Some(4) => "SIGILL: an instruction that does not exist",
        Some(5) => "SIGTRAP: a breakpoint instruction",
        Some(6) => "SIGABRT",
        Some(7) => "SIGBUS",
        Some(8) => "SIGFPE: a division that has no result",
        Some(11) => "SIGSEGV: an address that is not there",
        _ => return format!("the process ended: {status}"),
    };
    format!("crashed with {name}")
}
