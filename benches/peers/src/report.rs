//! Tables, goals, and the file that they are kept in.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use crate::race::Race;

/// One measurement: what was done, what it took, and what was hoped for.
pub struct Section {
    pub title: &'static str,
    /// What exactly is measured.
    pub note: String,
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
    pub goals: Vec<Goal>,
}

/// A number that was promised, beside the one that was measured.
pub struct Goal {
    what: String,
    measured: String,
    reached: bool,
}

impl Goal {
    /// That a ratio is no larger than `limit`.
    pub fn at_most(what: impl Into<String>, measured: f64, limit: f64) -> Goal {
        Goal { what: what.into(), measured: times(measured), reached: measured <= limit }
    }

    /// That a ratio is no smaller than `limit`.
    pub fn at_least(what: impl Into<String>, measured: f64, limit: f64) -> Goal {
        Goal { what: what.into(), measured: times(measured), reached: measured >= limit }
    }

    /// A goal that is not a ratio.
    pub fn plain(what: impl Into<String>, measured: impl Into<String>, reached: bool) -> Goal {
        Goal { what: what.into(), measured: measured.into(), reached }
    }
}

impl Section {
    pub fn new(title: &'static str, note: impl Into<String>, header: &[&str]) -> Section {
        let header = header.iter().map(|name| name.to_string()).collect();
        Section { title, note: note.into(), header, rows: Vec::new(), goals: Vec::new() }
    }

    /// A table of a race: times, and how many times as long as `reference` each took.
    pub fn of_race(
        title: &'static str,
        note: impl Into<String>,
        race: &Race,
        reference: &str,
    ) -> Section {
        let relative = format!("× {reference}");
        let mut section = Section::new(title, note, &["", "least", "median", &relative]);
        for result in &race.0 {
            section.rows.push(vec![
                result.name.clone(),
                duration(result.least),
                duration(result.median),
                times(race.ratio(&result.name, reference)),
            ]);
        }
        section
    }

    pub fn goal(self, goal: Goal) -> Section {
        self.maybe_goal(Some(goal))
    }

    /// For a goal that can be told only if somebody else took part.
    pub fn maybe_goal(mut self, goal: Option<Goal>) -> Section {
        self.goals.extend(goal);
        self
    }

    /// As Markdown.
    pub fn text(&self) -> String {
        let mut text = format!("### {}\n\n{}\n\n", self.title, self.note.trim());
        table(&mut text, &self.header, &self.rows);
        if !self.goals.is_empty() {
            text.push('\n');
            let header = ["goal", "measured", ""].map(str::to_string);
            let rows = self.goals.iter().map(|goal| {
                let verdict = if goal.reached { "reached" } else { "**missed**" };
                vec![goal.what.clone(), goal.measured.clone(), verdict.to_string()]
            });
            table(&mut text, &header, &rows.collect::<Vec<_>>());
        }
        text
    }
}

/// A table whose source can be read, too: columns are padded, numbers stand to the right.
fn table(text: &mut String, header: &[String], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| &row[column]).chain([&header[column]]);
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut line = |cells: &[String]| {
        for (i, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let _ = match i {
                0 => write!(text, "| {cell:width$} "),
                _ => write!(text, "| {cell:>width$} "),
            };
        }
        text.push_str("|\n");
    };
    line(header);
    let rule = widths.iter().enumerate().map(|(i, width)| match i {
        0 => "-".repeat(*width),
        _ => "-".repeat(width - 1) + ":",
    });
    line(&rule.collect::<Vec<_>>());
    rows.iter().for_each(|row| line(row));
}

/// A duration, given in nanoseconds, with three digits.
pub fn duration(nanos: f64) -> String {
    let (value, unit) = match nanos {
        n if n < 1e3 => (n, "ns"),
        n if n < 1e6 => (n / 1e3, "µs"),
        n if n < 1e9 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    format!("{} {unit}", digits(value))
}

/// An amount of memory.
pub fn megabytes(bytes: f64) -> String {
    match bytes {
        b if b < 1e6 => format!("{} kB", digits(b / 1e3)),
        b => format!("{} MB", digits(b / 1e6)),
    }
}

/// A ratio.
pub fn times(ratio: f64) -> String {
    digits(ratio)
}

/// Three significant digits, or the whole number if it has more.
pub fn digits(value: f64) -> String {
    match value {
        v if v < 10.0 => format!("{v:.2}"),
        v if v < 100.0 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

/// Replaces what stands between the markers of `part` in the file.
pub fn write(path: &Path, part: &str, content: &str) -> io::Result<()> {
    let (begin, end) = (format!("<!-- {part}: begin -->\n"), format!("<!-- {part}: end -->"));
    let file = std::fs::read_to_string(path)?;
    let split = file.split_once(&begin).and_then(|(head, rest)| {
        let (_, tail) = rest.split_once(&end)?;
        Some((head, tail))
    });
    let (head, tail) = split.ok_or_else(|| io::Error::other(format!("no {part} markers")))?;
    std::fs::write(path, format!("{head}{begin}\n{content}\n{end}{tail}"))
}
