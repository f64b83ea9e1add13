//! What a tier makes of each operator: the text that the golden tests keep. Feature `listing`.
//!
//! Owns presentation only: the code that it shows is compiled as for running, and never run.

use std::fmt;
use std::fmt::Write as _;
use std::ops::Range;

use iced_x86::{Decoder, DecoderOptions, Formatter, NasmFormatter};
use wasmparser::Operator;

use super::abi::Layout;
use super::{Backend, CompileOptions, CompiledCode, OperatorStart, Tier, Unit, Worker};
use crate::error::LoadError;
#[cfg(feature = "cranelift")]
use crate::module::Validation;
use crate::module::{self, Limits, ModuleInfo, operator_name};

/// What one tier makes of a module's functions.
///
/// Displays as a table: operators on the left, code on the right.
#[derive(Clone, Debug)]
pub struct Listing {
    functions: Vec<FunctionListing>,
}

/// What a tier makes of one function.
#[derive(Clone, Debug)]
pub struct FunctionListing {
    /// The function's index, imports counted.
    pub index: u32,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its code in order, cut where the operator changes.
    pub rows: Vec<Row>,
}

/// A stretch of code that belongs to one operator, or to none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The operators, in the text format: more than one where earlier ones emitted nothing. Empty
    /// for prologues, epilogues and what lies behind the body.
    pub operators: Vec<String>,
    /// The instructions.
    pub instructions: Vec<Instruction>,
}

/// One machine instruction, or a line of data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Bytes from the function's start.
    pub offset: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its text in NASM's syntax. Jump targets are offsets from the function's start. For jump tables
    /// and constants, `data`.
    pub text: String,
}

/// Compiles a module with a tier, for the least of the supported processors so that every machine
/// lists the same, and lists what came out.
///
/// # Errors
///
/// As for [`Module::new`](crate::Module::new); also if the build lacks the tier.
///
/// ```
/// # if wasm_mini::Tier::available().contains(&wasm_mini::Tier::Baseline) {
/// let wat = "(module (func (param i64) (result i64) (i64.add (local.get 0) (i64.const 4))))";
/// let listing = wasm_mini::listing::list(wat, wasm_mini::Tier::Baseline)?;
/// assert!(listing.to_string().contains("i64.add"));
/// # }
/// # Ok::<(), wasm_mini::LoadError>(())
/// ```
pub fn list(input: impl AsRef<[u8]>, tier: Tier) -> Result<Listing, LoadError> {
    let options = CompileOptions { record_operators: true, ..CompileOptions::PLAIN };
    let backend = Backend::new(tier, options)
        .map_err(|message| LoadError::Compile { function: 0, message })?;
    let mut worker = Worker::default();
    let binary = module::binary(input.as_ref())?;
    let (info, bodies) = module::load_whole(&binary, &Limits::default())?;
    let (type_ids, layout) = (type_ids(&info), Layout::of(&info));
    let unit = unit(&info, &type_ids, &layout);
    let mut functions = Vec::new();
    for function in bodies.functions() {
        let body = bodies.validate(function, &mut worker.validation)?;
        let mut code = CompiledCode { operators: Some(Vec::new()), ..CompiledCode::default() };
        worker.compile_with(tier, &backend, &unit, &body, &mut code)?;
        let mut operators = Vec::new();
        let mut reader = body.operators();
        while !reader.eof() {
            let offset = reader.original_position();
            let operator = reader.read().map_err(module::invalid)?;
            operators.push((offset as u32, operator_text(&operator)));
        }
        functions.push(FunctionListing {
            index: body.function,
            name: info.function_name(body.function).map(|name| name.to_string()),
            rows: rows(&info, &code, &operators),
        });
    }
    Ok(Listing { functions })
}

/// The Cranelift IR of a module's functions as translation leaves it, before any optimisation.
///
/// # Errors
///
/// As for [`Module::new`](crate::Module::new).
#[cfg(feature = "cranelift")]
pub fn clif(input: impl AsRef<[u8]>) -> Result<String, LoadError> {
    let options = CompileOptions::PLAIN;
    let isa = super::cranelift::isa(options.cpu)
        .map_err(|message| LoadError::Compile { function: 0, message })?;
    let mut compiler = super::cranelift::Compiler::new(isa, options);
    let binary = module::binary(input.as_ref())?;
    let (info, bodies) = module::load_whole(&binary, &Limits::default())?;
    let (type_ids, layout) = (type_ids(&info), Layout::of(&info));
    let unit = unit(&info, &type_ids, &layout);
    let mut validation = Validation::default();
    let mut text = String::new();
    for function in bodies.functions() {
        let body = bodies.validate(function, &mut validation)?;
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&compiler.clif(&unit, &body, &validation.facts)?);
    }
    Ok(text)
}

/// Any numbers do: nothing that is listed runs.
fn type_ids(info: &ModuleInfo) -> Vec<u32> {
    (1..).take(info.types.len()).collect()
}

/// Each operator is shown where it stands: no function takes the place of its calls.
fn unit<'m>(info: &'m ModuleInfo, type_ids: &'m [u32], layout: &'m Layout) -> Unit<'m> {
    let (small, in_segments) = Default::default();
    Unit { info, type_ids, layout, small, in_segments }
}

impl Listing {
    /// The module's functions, in order.
    #[must_use]
    pub fn functions(&self) -> &[FunctionListing] {
        &self.functions
    }
}

/// Cuts one function's code where the operator changes.
fn rows(info: &ModuleInfo, code: &CompiledCode, operators: &[(u32, String)]) -> Vec<Row> {
    let starts: &[OperatorStart] = code.operators.as_deref().unwrap_or_default();
    let Range { start, end } = code.functions[0].code.clone();
    let data = code.data.first().cloned().unwrap_or(end..end);
    let end = data.start;
    let mut rows = Vec::new();
    let mut push = |operators: Vec<String>, range: Range<u32>| {
        let instructions = instructions(info, code, start, range);
        if !operators.is_empty() || !instructions.is_empty() {
            rows.push(Row { operators, instructions });
        }
    };
    push(Vec::new(), start..starts.first().map_or(end, |first| first.offset));
    // Operators that emitted nothing are shown with the next one that did.
    let mut waiting = operators.iter().peekable();
    for (i, row) in starts.iter().enumerate() {
        let row_end = starts.get(i + 1).map_or(end, |next| next.offset);
        let mut texts = Vec::new();
        while let Some((_, text)) = waiting.next_if(|(offset, _)| *offset <= row.wasm_offset) {
            texts.push(text.clone());
        }
        push(texts, row.offset..row_end);
    }
    push(waiting.map(|(_, text)| text.clone()).collect(), end..end);
    let data = data_lines(code, start, data);
    if !data.is_empty() {
        rows.push(Row { operators: Vec::new(), instructions: data });
    }
    rows
}

/// Jump tables and constants, up to the next 16 bytes in each line.
fn data_lines(code: &CompiledCode, start: u32, range: Range<u32>) -> Vec<Instruction> {
    let mut lines = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let end = ((at - start) / 16 * 16 + 16 + start).min(range.end);
        let bytes = code.bytes[at as usize..end as usize].to_vec();
        lines.push(Instruction { offset: at - start, bytes, text: "data".to_string() });
        at = end;
    }
    lines
}

/// Disassembles part of a function.
fn instructions(
    info: &ModuleInfo,
    code: &CompiledCode,
    start: u32,
    range: Range<u32>,
) -> Vec<Instruction> {
    let bytes = &code.bytes[range.start as usize..range.end as usize];
    let address = u64::from(range.start - start);
    let mut decoder = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE);
    let mut formatter = NasmFormatter::new();
    formatter.options_mut().set_branch_leading_zeros(false);
    formatter.options_mut().set_space_after_operand_separator(true);
    let mut instructions = Vec::new();
    while decoder.can_decode() {
        let instruction = decoder.decode();
        let offset = instruction.ip() as u32;
        let mut text = String::new();
        formatter.format(&instruction, &mut text);
        // Calls are connected when the module is linked; until then their targets are known here.
        let bytes_range = offset + start..offset + start + instruction.len() as u32;
        let relocation = code.relocations.iter().find(|r| bytes_range.contains(&r.offset));
        if let Some(relocation) = relocation {
            text = match info.function_name(relocation.function) {
                Some(name) => format!("call {name}"),
                None => format!("call function {}", relocation.function),
            };
        }
        let bytes = code.bytes[bytes_range.start as usize..bytes_range.end as usize].to_vec();
        instructions.push(Instruction { offset, bytes, text });
    }
    instructions
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, function) in self.functions.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            function.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for FunctionListing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: usize =
            self.rows.iter().flat_map(|row| &row.instructions).map(|i| i.bytes.len()).sum();
        let name = self.name.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
        writeln!(f, "function {}{name}: {bytes} bytes", self.index)?;
        for row in &self.rows {
            let lines = row.operators.len().max(row.instructions.len());
            // The last operator stands beside the first instruction: it is the one that emitted.
            let lead = if row.instructions.is_empty() { 0 } else { row.operators.len().max(1) - 1 };
            for line in 0..lines.max(lead + row.instructions.len()) {
                let operator = row.operators.get(line).map_or("", String::as_str);
                let mut text = format!("{operator:<24}");
                let instruction = line.checked_sub(lead).and_then(|at| row.instructions.get(at));
                if let Some(instruction) = instruction {
                    let mut hex = String::new();
                    for byte in &instruction.bytes {
                        write!(hex, "{byte:02x} ")?;
                    }
                    write!(text, "{:>5x}  {hex:<30} {}", instruction.offset, instruction.text)?;
                }
                writeln!(f, "  {}", text.trim_end())?;
            }
        }
        Ok(())
    }
}

/// The operator in the text format, or close to it.
fn operator_text(operator: &Operator<'_>) -> String {
    macro_rules! text {
        ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident $ann:tt)*) => {
            match operator {
                $(Operator::$op $({ $($arg),* })? => {
                    #[allow(unused_mut)]
                    let mut text = operator_name(stringify!($visit));
                    $($(push_immediate(&mut text, &format!("{:?}", $arg));)*)?
                    text
                })*
                other => format!("{other:?}"),
            }
        };
    }
    wasmparser::for_each_operator!(text)
}

/// Adds an immediate, given in Rust's debug form.
fn push_immediate(text: &mut String, debug: &str) {
    let inner = debug.find('(').map(|at| debug[at + 1..].trim_end_matches(')'));
    match (debug, inner) {
        ("Empty", _) => {}
        (_, Some(ty)) if debug.starts_with("Type(") => {
            let _ = write!(text, " (result {})", ty.to_lowercase());
        }
        (_, Some(index)) if debug.starts_with("FuncType(") => {
            let _ = write!(text, " (type {index})");
        }
        _ => {
            let _ = write!(text, " {debug}");
        }
    }
}
