//! How wide the output may be.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::process::Command;

/// Where there is no terminal to fit.
const FALLBACK: usize = 120;

/// The columns of the terminal that stdout is.
pub fn width() -> usize {
    if !io::stdout().is_terminal() {
        return FALLBACK;
    }
    size().filter(|columns| *columns > 0).unwrap_or(FALLBACK)
}

/// Asks `stty`: the system call behind it has no safe form in std. Only `compare` asks, and once.
fn size() -> Option<usize> {
    let output = Command::new("stty").arg("size").stdin(File::open("/dev/tty").ok()?).output();
    let text = String::from_utf8(output.ok()?.stdout).ok()?;
    text.split_whitespace().nth(1)?.parse().ok()
}
