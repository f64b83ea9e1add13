//! The process that calls the columns and compares what they say.
//!
//! It is a process of its own because a call can neither be interrupted nor, where the code is
//! hand-written, be trusted: one that does not return, or crashes, ends with this process, and
//! [`agreement`](super::agreement) starts another one behind that input. Its stdin is the module
//! and then the hand-written bytes; its stdout is one [`Event`] a line.

use std::fmt;
use std::io::{self, Read, Write};

use clap::Args;
use wasm_mini::{Error, TrapCode, Value};

use super::inputs::Inputs;
use super::subject;
use crate::cli::exit::{Exit, Failure};
use crate::cli::{arguments, input};

/// Internal: the part of `compare` that runs in a process of its own
#[derive(Args)]
pub struct Check {
    /// How many bytes of stdin are the module
    #[arg(long)]
    module_length: usize,
    /// The function's place among the exported functions
    #[arg(long)]
    export: usize,
    /// The place of the first input
    #[arg(long)]
    from: usize,
    #[arg(long)]
    inputs: usize,
    #[arg(long)]
    seed: u64,
    #[arg(value_parser = crate::cli::unshield)]
    args: Vec<String>,
}

/// What the checking process says. Inputs and columns are named by their places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Everything is loaded.
    Ready,
    /// A column is called with an input, from now on.
    Call { input: usize, column: usize },
    /// All columns returned the same.
    Same { input: usize },
    /// All columns trapped alike.
    Trapped { input: usize },
    /// Some columns ran out of stack, which is no difference: how much a call takes is theirs.
    Exhausted { input: usize },
    /// They did not agree; what each said.
    Different { input: usize, said: Vec<String> },
    /// There are no more inputs.
    Done,
}

impl Event {
    /// The line, without its end.
    fn line(&self) -> String {
        match self {
            Event::Ready => "ready".to_string(),
            Event::Call { input, column } => format!("call {input} {column}"),
            Event::Same { input } => format!("same {input}"),
            Event::Trapped { input } => format!("trapped {input}"),
            Event::Exhausted { input } => format!("exhausted {input}"),
            Event::Different { input, said } => format!("different {input} {}", said.join("\t")),
            Event::Done => "done".to_string(),
        }
    }

    /// The event of a line; `None` for what is no event.
    pub fn parse(line: &str) -> Option<Event> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match word {
            "ready" => Event::Ready,
            "call" => {
                let (input, column) = rest.split_once(' ')?;
                Event::Call { input: input.parse().ok()?, column: column.parse().ok()? }
            }
            "same" => Event::Same { input: rest.parse().ok()? },
            "trapped" => Event::Trapped { input: rest.parse().ok()? },
            "exhausted" => Event::Exhausted { input: rest.parse().ok()? },
            "different" => {
                let (input, said) = rest.split_once(' ')?;
                let said = said.split('\t').map(str::to_string).collect();
                Event::Different { input: input.parse().ok()?, said }
            }
            "done" => Event::Done,
            _ => return None,
        })
    }
}

impl Check {
    pub fn run(self) -> Result<Exit, Failure> {
        let mut wasm = Vec::new();
        let failed = |error: io::Error| Failure::new(Exit::File, error.to_string());
        io::stdin().lock().read_to_end(&mut wasm).map_err(failed)?;
        let code = wasm.split_off(self.module_length.min(wasm.len()));
        let code = (!code.is_empty()).then_some(code);

        let module = wasm_mini::Module::new(&wasm)?;
        let function = module.exported_functions().nth(self.export);
        let Some(function) = function else {
            return Err(Failure::new(Exit::Usage, "there is no such export"));
        };
        let target = input::Target::of(&function);
        let timed = arguments::parse_some(&target, &self.args)?;
        let inputs = Inputs::new(target.ty.params(), &timed, self.inputs, self.seed);
        let subjects = subject::all(&wasm, &target, code.as_deref())?;

        say(&Event::Ready)?;
        for input in self.from.. {
            let Some((_, values)) = inputs.get(input) else { break };
            let mut outcomes = Vec::with_capacity(subjects.len());
            for (column, subject) in subjects.iter().enumerate() {
                say(&Event::Call { input, column })?;
                outcomes.push(Outcome::of(subject.function.call(values)));
            }
            say(&judge(input, &outcomes))?;
        }
        say(&Event::Done)?;
        Ok(Exit::Success)
    }
}

/// Writes one event. Stdout is flushed at the end of each line, which must be out before a call.
fn say(event: &Event) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", event.line())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::output(&error))
}

/// How a call ended.
#[derive(Debug)]
enum Outcome {
    Returned(Vec<Value>),
    Trapped(TrapCode),
    Refused(String),
}

impl Outcome {
    fn of(result: Result<Vec<Value>, Error>) -> Outcome {
        match result {
            Ok(values) => Outcome::Returned(values),
            Err(Error::Trap(trap)) => Outcome::Trapped(trap.code()),
            Err(other) => Outcome::Refused(other.to_string()),
        }
    }

    fn agrees(&self, other: &Outcome) -> bool {
        match (self, other) {
            (Outcome::Returned(a), Outcome::Returned(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
            }
            (Outcome::Trapped(a), Outcome::Trapped(b)) => a == b,
            (Outcome::Refused(a), Outcome::Refused(b)) => a == b,
            _ => false,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Returned(values) if values.is_empty() => f.write_str("returned"),
            Outcome::Returned(values) => {
                let values: Vec<String> = values.iter().map(arguments::print).collect();
                f.write_str(&values.join(", "))
            }
            Outcome::Trapped(code) => write!(f, "trap: {code}"),
            Outcome::Refused(message) => f.write_str(&message.replace(['\n', '\t'], " ")),
        }
    }
}

/// Whether two results are the same: bit for bit, but for what the specification leaves open.
///
/// It does not fix the sign and payload of a NaN that arithmetic makes (§4.3.3, NaN Propagation),
/// only that it is a quiet one.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::F32(a), Value::F32(b)) => {
            let quiet = |x: &f32| x.is_nan() && x.to_bits() & 1 << 22 != 0;
            a.to_bits() == b.to_bits() || quiet(a) && quiet(b)
        }
        (Value::F64(a), Value::F64(b)) => {
            let quiet = |x: &f64| x.is_nan() && x.to_bits() & 1 << 51 != 0;
            a.to_bits() == b.to_bits() || quiet(a) && quiet(b)
        }
        _ => a == b,
    }
}

fn judge(input: usize, outcomes: &[Outcome]) -> Event {
    let exhausted =
        |outcome: &Outcome| matches!(outcome, Outcome::Trapped(TrapCode::StackOverflow));
    if outcomes.iter().any(exhausted) && !outcomes.iter().all(exhausted) {
        return Event::Exhausted { input };
    }
    if outcomes.windows(2).any(|pair| !pair[0].agrees(&pair[1])) {
        let said = outcomes.iter().map(Outcome::to_string).collect();
        return Event::Different { input, said };
    }
    match outcomes.first() {
        Some(Outcome::Trapped(_)) => Event::Trapped { input },
        _ => Event::Same { input },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive_their_lines() {
        for event in [
            Event::Ready,
            Event::Call { input: 3, column: 1 },
            Event::Same { input: 0 },
            Event::Trapped { input: 9 },
            Event::Exhausted { input: 9 },
            Event::Different { input: 4, said: vec!["6".into(), "trap: unreachable".into()] },
            Event::Done,
        ] {
            assert_eq!(Event::parse(&event.line()), Some(event));
        }
        assert_eq!(Event::parse("call 3"), None);
    }

    #[test]
    fn only_what_the_specification_leaves_open_may_differ() {
        let of = |bits| Outcome::Returned(vec![Value::F64(f64::from_bits(bits))]);
        let judge = |a, b| judge(0, &[a, b]);
        let same = Event::Same { input: 0 };
        assert_eq!(judge(of(0x7ff8 << 48), of(0xfff8 << 48 | 5)), same);
        assert_ne!(judge(of(0x7ff8 << 48), of(0x7ff0 << 48 | 5)), same);
        assert_ne!(judge(of(0), of(1 << 63)), same);
        let trap = Outcome::Trapped;
        assert_eq!(judge(trap(TrapCode::StackOverflow), of(0)), Event::Exhausted { input: 0 },);
        assert_eq!(
            judge(trap(TrapCode::Unreachable), trap(TrapCode::Unreachable)),
            Event::Trapped { input: 0 },
        );
        assert_eq!(
            judge(trap(TrapCode::Unreachable), trap(TrapCode::IntegerOverflow)),
            Event::Different {
                input: 0,
                said: vec!["trap: unreachable".into(), "trap: integer overflow".into()],
            },
        );
    }
}
