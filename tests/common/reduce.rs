//! Makes modules smaller that show something, and prints them.
//!
//! Only bodies are changed: imports, exports and state stay, so that calls are what they were.

use std::fmt::Write as _;
use std::ops::Range;

use wasmparser::{BinaryReaderError, Parser, Payload};

/// A body: the bytes of its locals, and those of each operator but the last `end`.
#[derive(Clone)]
struct Body {
    locals: Vec<u8>,
    operators: Vec<Vec<u8>>,
}

impl Body {
    fn bytes(&self) -> Vec<u8> {
        [&self.locals[..], &self.operators.concat(), &[0x0b]].concat()
    }
}

/// The code section of a module, and what surrounds it.
struct Parts<'b> {
    before: &'b [u8],
    bodies: Vec<Body>,
    after: &'b [u8],
}

fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

impl Parts<'_> {
    fn read(binary: &[u8]) -> Result<Parts<'_>, BinaryReaderError> {
        let mut bodies = Vec::new();
        let mut code = binary.len()..binary.len();
        for payload in Parser::new(0).parse_all(binary) {
            match payload? {
                Payload::CodeSectionStart { unchecked_range: range, .. } => {
                    let (start, end) = (range.start as usize, range.end as usize);
                    // Before it stand its number and its size, which wasm-smith writes short.
                    code = start - leb(end - start).len() - 1..end;
                }
                Payload::CodeSectionEntry(body) => {
                    let mut reader = body.get_operators_reader()?;
                    let first = reader.original_position() as usize;
                    let mut operators = Vec::new();
                    while !reader.eof() {
                        let start = reader.original_position() as usize;
                        reader.read()?;
                        operators.push(binary[start..reader.original_position() as usize].to_vec());
                    }
                    operators.pop();
                    let locals = binary[body.range().start as usize..first].to_vec();
                    bodies.push(Body { locals, operators });
                }
                _ => {}
            }
        }
        Ok(Parts { before: &binary[..code.start], bodies, after: &binary[code.end..] })
    }

    fn write(&self, bodies: &[Body]) -> Vec<u8> {
        let mut section = leb(bodies.len());
        for body in bodies {
            let bytes = body.bytes();
            section.extend(leb(bytes.len()));
            section.extend(bytes);
        }
        [self.before, &[10], &leb(section.len()), &section, self.after].concat()
    }
}

/// The smallest of the modules tried for which `shows` is true. It is asked about invalid modules too.
pub fn reduce(binary: &[u8], shows: &mut dyn FnMut(&[u8]) -> bool) -> Vec<u8> {
    let Ok(parts) = Parts::read(binary) else { return binary.to_vec() };
    let mut bodies = parts.bodies.clone();
    let mut keep = |bodies: &mut Vec<Body>, function: usize, operators: Vec<Vec<u8>>| {
        let before = std::mem::replace(&mut bodies[function].operators, operators);
        let better = shows(&parts.write(bodies));
        if !better {
            bodies[function].operators = before;
        }
        better
    };
    // `unreachable` instead of a whole body, or of all from some operator on.
    for function in 0..bodies.len() {
        if keep(&mut bodies, function, vec![vec![0x00]]) {
            continue;
        }
        let without = |operators: &[Vec<u8>], range: Range<usize>| {
            [&operators[..range.start], &operators[range.end..]].concat()
        };
        loop {
            let before = bodies[function].operators.len();
            let mut size = before;
            while size > 0 {
                let mut at = bodies[function].operators.len().saturating_sub(size);
                loop {
                    let now = &bodies[function].operators;
                    let range = at..(at + size).min(now.len());
                    let shorter = without(now, range.clone());
                    if !range.is_empty() && !keep(&mut bodies, function, shorter) && size > 1 {
                        // The stack may have what others need only if nothing comes after.
                        let now = &bodies[function].operators;
                        let mut cut = without(now, range.clone());
                        cut.insert(range.start, vec![0x00]);
                        keep(&mut bodies, function, cut);
                    }
                    if at == 0 {
                        break;
                    }
                    at = at.saturating_sub(size.div_ceil(2));
                }
                size /= 2;
            }
            if bodies[function].operators.len() == before {
                break;
            }
        }
    }
    parts.write(&bodies)
}

/// The parts of a module that matter for reading a finding: types, state, operators with offsets.
///
/// # Errors
///
/// The module is malformed.
pub fn print(binary: &[u8]) -> Result<String, BinaryReaderError> {
    let mut text = String::new();
    let mut list = |what: &str, item: &dyn std::fmt::Debug| {
        let _ = writeln!(text, "{what} {item:x?}");
    };
    for payload in Parser::new(0).parse_all(binary) {
        match payload? {
            Payload::TypeSection(all) => {
                all.into_iter().flatten().for_each(|item| list("type", &item));
            }
            Payload::ImportSection(all) => {
                all.into_iter().flatten().for_each(|item| list("import", &item));
            }
            Payload::FunctionSection(all) => {
                all.into_iter().flatten().for_each(|item| list("function of type", &item));
            }
            Payload::TableSection(all) => {
                all.into_iter().flatten().for_each(|item| list("table", &item.ty));
            }
            Payload::MemorySection(all) => {
                all.into_iter().flatten().for_each(|item| list("memory", &item));
            }
            Payload::GlobalSection(all) => {
                all.into_iter().flatten().for_each(|item| list("global", &item.ty));
            }
            Payload::ExportSection(all) => {
                all.into_iter().flatten().for_each(|item| list("export", &item));
            }
            Payload::StartSection { func, .. } => list("start", &func),
            Payload::CodeSectionEntry(body) => {
                let locals: Vec<_> = body.get_locals_reader()?.into_iter().flatten().collect();
                list("body with locals", &locals);
                let mut reader = body.get_operators_reader()?;
                while !reader.eof() {
                    let at = reader.original_position();
                    list(&format!("  {at:#x}"), &reader.read()?);
                }
            }
            _ => {}
        }
    }
    Ok(text)
}
