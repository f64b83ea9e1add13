//! Liftoff, V8's baseline compiler, in a process of node's. It takes turns with the other engines: one
//! process keeps one module, is told through a pipe what to do, and answers with the CPU time that this
//! took it. Without node, which `benches/fetch-node.sh` brings, nobody else is measured less.

use std::fmt::Display;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::host;

const FLAGS: [&str; 6] = [
    // Never the optimising compiler, and so no counting of when to call it.
    "--liftoff-only",
    // All functions when the module is made.
    "--no-wasm-lazy-compilation",
    // No thread but the one that asks.
    "--single-threaded",
    // The same bytes again are compiled again.
    "--no-wasm-native-module-cache",
    // Liftoff's code would note whom it calls, for the optimising compiler: it is slower then.
    "--no-wasm-inlining",
    // The driver collects the garbage between its turns.
    "--expose-gc",
];

/// The program, if it is there.
#[derive(Clone)]
pub struct Node(PathBuf);

impl Node {
    pub fn find(crate_dir: &Path) -> Option<Node> {
        let path = crate_dir.join("../node/node");
        path.exists().then_some(Node(path))
    }

    /// The same, with a word on stderr if it is not.
    pub fn expect(crate_dir: &Path) -> Option<Node> {
        let node = Node::find(crate_dir);
        if node.is_none() {
            host::progress("V8 Liftoff is not installed: run benches/fetch-node.sh");
        }
        node
    }

    /// What it is called among the versions.
    pub fn version(&self) -> String {
        let expression = "`node ${process.versions.node} (V8 ${process.versions.v8})`";
        host::output_of(&self.0.to_string_lossy(), &["-p", expression])
    }

    /// A process for a module.
    pub fn start(&self, binary: &[u8]) -> io::Result<Liftoff> {
        let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/liftoff.js");
        let mut command = Command::new(&self.0);
        command.args(FLAGS).arg(driver).arg(binary.len().to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (mut input, output) = pipes.expect("they were asked for");
        input.write_all(binary)?;
        Ok(Liftoff { child, input, output: BufReader::new(output) })
    }
}

/// A process of node's with a module.
pub struct Liftoff {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Liftoff {
    /// Compiles the module.
    pub fn compile(&mut self) -> Result<Duration, String> {
        self.ask("compile").and_then(|nanos| duration(&nanos))
    }

    /// Makes instances, and returns what their `run` returns for n.
    pub fn instances(&mut self, count: usize, n: i32) -> Result<Vec<i64>, String> {
        let answer = self.ask(format_args!("instances {count} {n}"))?;
        let results = answer.split(' ').map(|result| result.parse().map_err(|_| answer.clone()));
        results.collect()
    }

    /// Calls one of the instances so many times.
    pub fn run(&mut self, times: u64, n: i32) -> Result<Duration, String> {
        self.ask(format_args!("run {times} {n}")).and_then(|nanos| duration(&nanos))
    }

    fn ask(&mut self, command: impl Display) -> Result<String, String> {
        let mut answer = String::new();
        // In one piece: the driver takes what it reads for a line.
        let sent = self.input.write_all(format!("{command}\n").as_bytes());
        let read = sent.and_then(|()| self.output.read_line(&mut answer));
        read.map_err(|error| format!("node: {error}"))?;
        match answer.trim_end().split_once(' ') {
            Some(("ok", answer)) => Ok(answer.to_string()),
            Some(("error", error)) => Err(error.to_string()),
            _ => Err(format!("node has ended, or says {answer:?}")),
        }
    }
}

fn duration(nanos: &str) -> Result<Duration, String> {
    nanos.parse().map(Duration::from_nanos).map_err(|_| format!("node: {nanos} is no time"))
}

impl Drop for Liftoff {
    fn drop(&mut self) {
        // It has nothing left to do, and is waited for so that nothing of it is left.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
