//! The binary format by hand: modules too large for the text format, and offsets of operators.

/// An unsigned number in LEB128.
pub fn unsigned(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

/// A signed number in LEB128.
pub fn signed(mut value: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 && byte & 0x40 == 0 || value == -1 && byte & 0x40 != 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

/// A section: its number, its size, its content.
fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], unsigned(content.len() as u64).as_slice(), content].concat()
}

/// A vector: the number of its items, and they.
fn vector(items: &[Vec<u8>]) -> Vec<u8> {
    [unsigned(items.len() as u64), items.concat()].concat()
}

pub const I32: u8 = 0x7f;
pub const I64: u8 = 0x7e;

/// A module of functions of one type, of which function 0 is exported as `f`. Each body is its
/// local declarations and its operators, without size and without the final `end`.
pub fn module(params: &[u8], results: &[u8], bodies: &[Body]) -> Vec<u8> {
    let types = |types: &[u8]| [unsigned(types.len() as u64), types.to_vec()].concat();
    let ty = [vec![0x60], types(params), types(results)].concat();
    let functions: Vec<_> = bodies.iter().map(|_| vec![0]).collect();
    let bodies: Vec<_> = bodies.iter().map(Body::encode).collect();
    [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &vector(&[ty])),
        section(3, &vector(&functions)),
        section(7, &vector(&[b"\x01f\x00\x00".to_vec()])),
        section(10, &vector(&bodies)),
    ]
    .concat()
}

/// One function's locals (how many of which type) and operators.
#[derive(Clone, Default)]
pub struct Body {
    pub locals: Vec<(u32, u8)>,
    pub operators: Vec<u8>,
}

impl Body {
    pub fn new(operators: Vec<u8>) -> Body {
        Body { locals: Vec::new(), operators }
    }

    fn encode(&self) -> Vec<u8> {
        let declare = |(count, ty): &(u32, u8)| [unsigned(u64::from(*count)), vec![*ty]].concat();
        let locals: Vec<_> = self.locals.iter().map(declare).collect();
        let body = [vector(&locals), self.operators.clone(), vec![0x0b]].concat();
        [unsigned(body.len() as u64), body].concat()
    }
}

/// Text that does nothing and can be found again in the binary form: put it before an operator
/// whose offset is asked for. `number` tells several marks of a module apart.
pub fn mark(number: u8) -> String {
    format!("i64.const {} drop ", marked(number))
}

fn marked(number: u8) -> i64 {
    0x5eed_5eed_5eed_0000 | i64::from(number)
}

/// Where the operator behind the mark stands in the binary.
pub fn offset_of_mark(binary: &[u8], number: u8) -> u32 {
    let mark = [vec![0x42], signed(marked(number)), vec![0x1a]].concat();
    let found: Vec<_> =
        binary.windows(mark.len()).enumerate().filter(|(_, w)| *w == mark).collect();
    assert_eq!(found.len(), 1, "mark {number} stands once in the module");
    (found[0].0 + mark.len()) as u32
}

/// Where the needle stands in the binary, which must have it once.
pub fn offset_of(binary: &[u8], needle: &[u8]) -> u32 {
    let found: Vec<_> =
        binary.windows(needle.len()).enumerate().filter(|(_, w)| *w == needle).collect();
    assert_eq!(found.len(), 1, "{needle:02x?} stands once in the module");
    found[0].0 as u32
}
