//! `wasm-mini compare`: one function as hand-written bytes, by the baseline tier and by Cranelift.
//!
//! First the columns must agree ([`agreement`]), then they are measured ([`measure`]), then shown
//! ([`table`] for people, [`json`] for tools). [`subject`] is what a column is made of.

mod agreement;
mod checker;
mod inputs;
mod json;
mod measure;
mod subject;
mod table;

use std::path::PathBuf;

use clap::Args;
use wasm_mini::{Engine, ValType, Value};

use super::disassembly::{self, Line};
use super::exit::{EXIT_CODES, Exit, Failure};
use super::input::{self, Target};
use super::{arguments, hand_written};
use agreement::{Agreement, Difference, Job};
pub use checker::Check;
use inputs::{Inputs, Kind};
use measure::{Calls, Loading};

/// Show one function's machine code side by side: hand-written, baseline, Cranelift
///
/// Before anything is timed, all columns are called with edge values and random inputs and must
/// agree. This happens in a process of its own: a call that crashes, or does not return within
/// 100 ms, ends that process only. After 2 s no input is started, unless all calls returned so far
/// and edge values are left. The call that is timed has the arguments behind FILE, which may take
/// 10 s, or else small numbers.
#[derive(Args)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{}\n\n{EXIT_CODES}", json::KEYS))]
pub struct Compare {
    /// The module: text or binary, `-` for stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The arguments of the call that is timed
    #[arg(value_name = "ARGS", value_parser = super::unshield)]
    args: Vec<String>,

    /// The exported function; not needed if there is only one
    #[arg(short, long, value_name = "NAME", value_parser = super::unshield)]
    function: Option<String>,

    /// Hand-written machine code: hexadecimal digits, `;` or `#` starts a comment. Without it, the
    /// module's neighbour with the extension .hex is used if there is one. The bytes are run
    #[arg(long, value_name = "FILE")]
    bytes: Option<PathBuf>,

    /// How many random inputs to compare on
    #[arg(long, value_name = "N", default_value_t = 4096)]
    inputs: usize,

    /// The seed of the random inputs
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,

    /// Print JSON instead of a table; `--help` has the keys
    #[arg(long)]
    json: bool,
}

/// All that is shown.
struct Comparison {
    file: String,
    target: Target,
    seed: u64,
    inputs: Inputs,
    columns: Vec<Column>,
    verdict: Result<Agreement, Difference>,
    /// The place of the timed input, and the times. Missing where no input returned.
    calls: Option<(usize, Calls)>,
}

/// One column of code with its times.
struct Column {
    name: String,
    code: Vec<u8>,
    lines: Vec<Line>,
    loading: Option<Loading>,
}

impl Compare {
    pub fn run(self) -> Result<Exit, Failure> {
        let path = super::unshield_path(self.file);
        let wasm = input::read(&path)?;
        let engine = input::engine(Engine::builder().build())?;
        let module = input::load(&engine, &path, &wasm)?;
        let target = input::target(&module, &path, self.function.as_deref(), "--function")?;
        let timed = arguments::parse_some(&target, &self.args)?;
        only_numbers(&target)?;
        let code = match hand_written::file(&path, self.bytes.as_deref()) {
            Some(file) => Some(hand_written::read(&file)?),
            None => None,
        };
        let code = code.as_deref();
        let export =
            module.exported_functions().position(|function| function.name() == target.name);
        let subjects = subject::all(&wasm, &target, code)?;
        let mut columns = Vec::new();
        for subject in &subjects {
            let Some(code) = subject.module.code(target.index) else {
                let message = format!("`{}` is imported: there is no code of it", target.name);
                return Err(Failure::new(Exit::Link, message));
            };
            let (name, code) = (subject.name.clone(), code.to_vec());
            columns.push(Column {
                name,
                lines: disassembly::disassemble(&code),
                code,
                loading: None,
            });
        }

        let inputs = Inputs::new(target.ty.params(), &timed, self.inputs, self.seed);
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let verdict = agreement::check(&Job {
            wasm: &wasm,
            code,
            export: export.unwrap_or(0),
            columns: &names,
            inputs: &inputs,
            timed: &timed,
            count: self.inputs,
            seed: self.seed,
        })?;
        let mut calls = None;
        if let Ok(agreement) = &verdict {
            nothing_compared(agreement, &inputs, &names, &target)?;
            for (column, loading) in columns.iter_mut().zip(measure::loading(&wasm, &subjects)?) {
                column.loading = loading;
            }
            if let Some((place, (_, values))) =
                agreement.timed.and_then(|place| Some((place, inputs.get(place)?)))
            {
                calls = Some((place, measure::calls(&target, values, &subjects)?));
            }
        }

        let file = input::shown(&path).into_owned();
        let seed = self.seed;
        let comparison = Comparison { file, target, seed, inputs, columns, verdict, calls };
        let printed = if self.json { json::print(&comparison) } else { table::print(&comparison) };
        printed.map_err(|error| Failure::output(&error))?;
        match &comparison.verdict {
            Ok(_) => Ok(Exit::Success),
            Err(difference) => Err(comparison.failure(difference)),
        }
    }
}

impl Comparison {
    /// A call as it would be written: `gcd(12, -8)`.
    fn call(&self, input: usize) -> String {
        let values = self.inputs.get(input).map_or(&[][..], |(_, values)| values);
        call(&self.target, values)
    }

    fn failure(&self, difference: &Difference) -> Failure {
        let call = self.call(difference.input);
        let mut failure =
            Failure::new(Exit::Disagreement, format!("the columns do not agree on {call}"));
        for (column, said) in &difference.said {
            failure = failure.note(format!("{column:<12}  {said}"));
        }
        failure
    }
}

fn call(target: &Target, values: &[Value]) -> String {
    let values: Vec<String> = values.iter().map(arguments::print).collect();
    format!("{}({})", target.name, values.join(", "))
}

/// Refuses parameters that have no edge values here.
fn only_numbers(target: &Target) -> Result<(), Failure> {
    let number =
        |ty: &ValType| matches!(ty, ValType::I32 | ValType::I64 | ValType::F32 | ValType::F64);
    match target.ty.params().iter().position(|ty| !number(ty)) {
        None => Ok(()),
        Some(i) => Err(Failure::new(
            Exit::Module,
            format!(
                "parameter {} of `{}` is of type {}, and only numbers can be compared on",
                i + 1,
                target.name,
                target.ty.params()[i]
            ),
        )),
    }
}

/// Refuses to go on where each and every call had to be given up.
fn nothing_compared(
    agreement: &Agreement,
    inputs: &Inputs,
    columns: &[String],
    target: &Target,
) -> Result<(), Failure> {
    match (agreement.is_empty(), agreement.stuck.first()) {
        (true, Some((input, column))) => {
            let values = inputs.get(*input).map_or(&[][..], |(_, values)| values);
            Err(Failure::new(
                Exit::Disagreement,
                format!(
                    "nothing could be compared: {} did not return in column {}, nor did other calls",
                    call(target, values),
                    columns[*column]
                ),
            ))
        }
        _ => Ok(()),
    }
}
