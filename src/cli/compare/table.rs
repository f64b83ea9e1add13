//! The comparison for people: a head, and the columns side by side.

use std::io::{self, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::agreement::{BUDGET, PATIENCE};
use super::{Column, Comparison, Kind};
use crate::cli::terminal;

/// Narrower columns are put one below the other.
const NARROWEST: usize = 34;
/// Between two columns.
const GAP: usize = 3;

const TITLE: Style = AnsiColor::Cyan.on_default().bold();
const QUIET: Style = Style::new().dimmed();
const PLAIN: Style = Style::new();

/// Text with one style: what a column has on one line.
type Row = Vec<(Style, String)>;

/// Prints all of it. Styles reach terminals only.
pub fn print(comparison: &Comparison) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    head(comparison, &mut out)?;
    let count = comparison.columns.len().max(1);
    let available = terminal::width().saturating_sub(GAP * (count - 1)) / count;
    let is_side_by_side = available >= NARROWEST;
    let width = if is_side_by_side { available } else { terminal::width() };
    let listings: Vec<Vec<Row>> =
        comparison.columns.iter().map(|column| listing(column, width)).collect();
    let numbers: Vec<Vec<Row>> = (0..comparison.columns.len())
        .map(|i| {
            let calls = comparison.calls.as_ref();
            let call = calls.map(|(_, calls)| calls.nanoseconds[i]);
            numbers(&comparison.columns[i], call)
        })
        .collect();
    if is_side_by_side {
        writeln!(out)?;
        beside(&listings, width, &mut out)?;
        writeln!(out)?;
        beside(&numbers, width, &mut out)?;
    } else {
        for (listing, numbers) in listings.into_iter().zip(numbers) {
            writeln!(out)?;
            beside(&[listing], width, &mut out)?;
            beside(&[numbers], width, &mut out)?;
        }
    }
    out.flush()
}

fn head(comparison: &Comparison, out: &mut impl Write) -> io::Result<()> {
    let target = &comparison.target;
    writeln!(out, "{}: {TITLE}{}{TITLE:#} {}", comparison.file, target.name, target.ty)?;
    if cfg!(debug_assertions) {
        writeln!(out, "this is an unoptimised build of wasm-mini: its times mean little")?;
    }
    let Ok(agreement) = &comparison.verdict else {
        return writeln!(out, "the columns do not agree, so nothing was timed");
    };
    if comparison.columns.len() == 1 {
        writeln!(out, "there is one column only: nothing to agree with")?;
    } else {
        let edges = comparison.inputs.count(Kind::Edge);
        let randoms = comparison.inputs.count(Kind::Random);
        writeln!(
            out,
            "all columns agree on {} of {edges} edge values and {} of {randoms} random inputs \
             (seed {}); {} trapped alike",
            agreement.edges, agreement.random, comparison.seed, agreement.trapped
        )?;
        if !agreement.complete {
            writeln!(out, "the rest was left out: {} s were over", BUDGET.as_secs())?;
        }
        if agreement.exhausted > 0 {
            let count = agreement.exhausted;
            writeln!(out, "not comparable: on {count} inputs only some columns ran out of stack")?;
        }
    }
    if let Some((input, column)) = agreement.stuck.first() {
        writeln!(
            out,
            "given up as they did not return within {} ms: {} inputs, the first {} in column {}",
            PATIENCE.as_millis(),
            agreement.stuck.len(),
            comparison.call(*input),
            comparison.columns[*column].name
        )?;
    }
    match &comparison.calls {
        Some((input, calls)) => writeln!(
            out,
            "timed: {}, through the {} call, least of {} interleaved rounds",
            comparison.call(*input),
            if calls.typed { "typed" } else { "dynamic" },
            calls.rounds
        ),
        None => writeln!(
            out,
            "no call was timed: none of the inputs meant for it returned; give some behind FILE"
        ),
    }
}

/// A column's name and instructions: offset, bytes, text.
fn listing(column: &Column, width: usize) -> Vec<Row> {
    let mut rows = vec![vec![(TITLE, column.name.clone())]];
    let offset_width = format!("{:x}", column.code.len()).len().max(2);
    // Long instructions continue on the next line, as objdump does it.
    let bytes_per_row = match width {
        ..44 => 4,
        44..60 => 7,
        _ => 10,
    };
    let bytes_width = bytes_per_row * 3 - 1;
    let text_width = width.saturating_sub(offset_width + bytes_width + 4).max(8);
    for line in &column.lines {
        let mut bytes = line.bytes.chunks(bytes_per_row);
        let mut texts = wrap(&line.text, text_width).into_iter();
        let mut first = true;
        loop {
            let (bytes, text) = (bytes.next(), texts.next());
            if bytes.is_none() && text.is_none() {
                break;
            }
            let offset = match first {
                true => format!("{:0offset_width$x}", line.offset),
                false => " ".repeat(offset_width),
            };
            first = false;
            let bytes: Vec<String> =
                bytes.unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect();
            rows.push(vec![
                (QUIET, format!("{offset}  {:bytes_width$}  ", bytes.join(" "))),
                (PLAIN, text.unwrap_or_default()),
            ]);
        }
    }
    rows
}

/// Cuts text into lines of at most `width`, after a space or comma if there is one.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    // Disassembly is ASCII, so that bytes are characters.
    while rest.len() > width && rest.is_ascii() {
        let cut = rest[..width].rfind([' ', ',', '+']).map_or(width, |at| at + 1);
        lines.push(rest[..cut].trim_end().to_string());
        rest = &rest[cut..];
    }
    lines.push(rest.to_string());
    lines
}

/// A column's sizes and times.
fn numbers(column: &Column, call: Option<f64>) -> Vec<Row> {
    let row = |name: &str, text: String| vec![(QUIET, format!("{name:<13}")), (PLAIN, text)];
    let mut rows = vec![
        row("bytes", format!("{:>8}", column.code.len())),
        row("instructions", format!("{:>8}", column.lines.len())),
        row("call", call.map_or("       -".to_string(), time)),
    ];
    let Some(loading) = &column.loading else { return rows };
    rows.push(row("compile", time(nanoseconds(loading.compile))));
    rows.push(row("  median", time(nanoseconds(loading.compile_median))));
    rows.push(vec![(QUIET, "share of one load and one call".to_string())]);
    let mut phases: Vec<(&str, f64)> =
        loading.phases().map(|(name, duration)| (name, nanoseconds(duration))).to_vec();
    phases.extend(call.map(|nanos| ("call", nanos)));
    let sum: f64 = phases.iter().map(|(_, nanos)| nanos).sum();
    for (name, nanos) in phases {
        let share = if sum > 0.0 { nanos / sum * 100.0 } else { 0.0 };
        rows.push(row(&format!("  {name}"), format!("{} {share:>5.1} %", time(nanos))));
    }
    rows
}

fn nanoseconds(duration: Duration) -> f64 {
    duration.as_nanos() as f64
}

/// Four digits and a unit.
fn time(nanos: f64) -> String {
    let (number, unit) = match nanos {
        ..1e3 => (nanos, "ns"),
        ..1e6 => (nanos / 1e3, "us"),
        ..1e9 => (nanos / 1e6, "ms"),
        _ => (nanos / 1e9, "s "),
    };
    format!("{number:>8.2} {unit}")
}

/// Prints columns of rows beside each other. Nothing is cut: a column that is too wide pushes.
fn beside(columns: &[Vec<Row>], width: usize, out: &mut impl Write) -> io::Result<()> {
    let height = columns.iter().map(Vec::len).max().unwrap_or(0);
    for y in 0..height {
        // Spaces that are due before the next text: none trail at the end of a line.
        let mut due = 0;
        for column in columns {
            let mut used = 0;
            for (style, text) in column.get(y).map_or(&[][..], Vec::as_slice) {
                let trimmed = text.trim_end();
                let length = text.chars().count();
                if trimmed.is_empty() {
                    due += length;
                } else {
                    write!(out, "{:due$}{style}{trimmed}{style:#}", "")?;
                    due = length - trimmed.chars().count();
                }
                used += length;
            }
            due += (width + GAP).saturating_sub(used);
        }
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_where_it_may_be() {
        assert_eq!(wrap("mov rax, rdi", 20), ["mov rax, rdi"]);
        assert_eq!(wrap("mov rax, rdi", 9), ["mov rax,", "rdi"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
    }

    #[test]
    fn lines_have_no_spaces_at_their_ends() {
        let row = |text: &str| vec![(PLAIN, text.to_string())];
        let mut out = Vec::new();
        beside(&[vec![row("a "), row("b")], vec![row("c")]], 4, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a      c\nb\n");
    }
}
