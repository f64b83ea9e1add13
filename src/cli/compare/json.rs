//! The comparison for tools. The keys are stable: they may become more, and none goes away.

use std::io::{self, Write as _};

use serde_json::{Map, Value as Json, json};

use super::disassembly::Line;
use super::{Column, Comparison, Kind};
use crate::cli::arguments;

/// The section of `compare --help` on `--json`.
pub const KEYS: &str = "\
Keys of --json (times in nanoseconds; a value that does not exist is null):
  file, function, index, signature
  agreement      null if the columns do not agree, or
    edge_values, random    inputs that all columns answered alike
    edge_values_total, random_total, seed, complete
    trapped                how many of them trapped, all columns alike
    stack_exhausted        inputs on which only some columns ran out of stack
    not_returned           [{input, column}] calls that were given up
  disagreement   null, or {input, said: [{column, outcome}]}
  call           null, or {input, via: \"typed\" or \"dynamic\", rounds}
  columns        [{name, bytes, byte_count, instruction_count, instructions, compile_ns,
                 call_ns, phases_ns}]
    bytes                  hexadecimal digits
    instructions           [{offset, bytes, text}]
    compile_ns             {min, median, runs}
    phases_ns              {parse, validate, compile, link, publish, call}, minima
An input is an array of texts, as `run` takes them.";

pub fn print(comparison: &Comparison) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{:#}", document(comparison))?;
    stdout.flush()
}

fn document(comparison: &Comparison) -> Json {
    let input = |place: usize| -> Json {
        let values = comparison.inputs.get(place).map_or(&[][..], |(_, values)| values);
        values.iter().map(arguments::print).collect()
    };
    let agreement = comparison.verdict.as_ref().ok().map(|agreement| {
        let stuck = agreement.stuck.iter().map(|(place, column)| {
            json!({ "input": input(*place), "column": comparison.columns[*column].name })
        });
        json!({
            "edge_values": agreement.edges,
            "edge_values_total": comparison.inputs.count(Kind::Edge),
            "random": agreement.random,
            "random_total": comparison.inputs.count(Kind::Random),
            "seed": comparison.seed,
            "complete": agreement.complete,
            "trapped": agreement.trapped,
            "stack_exhausted": agreement.exhausted,
            "not_returned": stuck.collect::<Json>(),
        })
    });
    let disagreement = comparison.verdict.as_ref().err().map(|difference| {
        let said = difference.said.iter();
        let said = said.map(|(column, said)| json!({ "column": column, "outcome": said }));
        json!({ "input": input(difference.input), "said": said.collect::<Json>() })
    });
    let call = comparison.calls.as_ref().map(|(place, calls)| {
        let via = if calls.typed { "typed" } else { "dynamic" };
        json!({ "input": input(*place), "via": via, "rounds": calls.rounds })
    });
    let calls = |i: usize| comparison.calls.as_ref().map(|(_, calls)| calls.nanoseconds[i]);
    let columns = comparison.columns.iter().enumerate().map(|(i, c)| column(c, calls(i)));
    json!({
        "file": comparison.file,
        "function": comparison.target.name,
        "index": comparison.target.index,
        "signature": comparison.target.ty.to_string(),
        "agreement": agreement,
        "disagreement": disagreement,
        "call": call,
        "columns": columns.collect::<Json>(),
    })
}

fn column(column: &Column, call: Option<f64>) -> Json {
    let nanoseconds = |duration: std::time::Duration| duration.as_nanos() as u64;
    let compile = column.loading.as_ref().map(|loading| {
        json!({
            "min": nanoseconds(loading.compile),
            "median": nanoseconds(loading.compile_median),
            "runs": loading.runs,
        })
    });
    let phases = column.loading.as_ref().map(|loading| {
        let mut phases = Map::new();
        for (name, duration) in loading.phases() {
            phases.insert(name.to_string(), json!(nanoseconds(duration)));
        }
        phases.insert("call".to_string(), json!(call));
        phases
    });
    let instruction = |line: &Line| json!({ "offset": line.offset, "bytes": hex(&line.bytes), "text": line.text });
    json!({
        "name": column.name,
        "bytes": hex(&column.code),
        "byte_count": column.code.len(),
        "instruction_count": column.lines.len(),
        "instructions": column.lines.iter().map(instruction).collect::<Json>(),
        "compile_ns": compile,
        "call_ns": call,
        "phases_ns": phases,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
