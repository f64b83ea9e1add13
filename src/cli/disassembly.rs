//! Machine code as text, in NASM's syntax.
//!
//! Code is decoded from its first byte to its last: constants between instructions, as a compiler
//! may put them behind the last one, show up as instructions that nobody runs.

use iced_x86::{Decoder, DecoderOptions, FlowControl, Formatter, NasmFormatter};

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Bytes from the start of the code.
    pub offset: usize,
    pub bytes: Vec<u8>,
    pub text: String,
}

/// The instructions of `code`. Branch targets are offsets from its start.
pub fn disassemble(code: &[u8]) -> Vec<Line> {
    let mut formatter = NasmFormatter::new();
    let options = formatter.options_mut();
    options.set_branch_leading_zeros(false);
    options.set_space_after_operand_separator(true);
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_uppercase_hex(false);
    let mut lines = Vec::new();
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    while decoder.can_decode() {
        let offset = decoder.position();
        let instruction = decoder.decode();
        let mut text = String::new();
        formatter.format(&instruction, &mut text);
        lines.push(Line { offset, bytes: code[offset..decoder.position()].to_vec(), text });
    }
    lines
}

/// Whether some instruction ends the function or leaves it: without one, the processor would run
/// on into whatever lies behind the code.
pub fn ends(code: &[u8]) -> bool {
    Decoder::with_ip(64, code, 0, DecoderOptions::NONE).iter().any(|instruction| {
        matches!(
            instruction.flow_control(),
            FlowControl::Return
                | FlowControl::UnconditionalBranch
                | FlowControl::IndirectBranch
                | FlowControl::Exception
        ) && !instruction.is_invalid()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn add4_reads_as_it_was_written() {
        let code = [0x48, 0x89, 0xf8, 0x48, 0x83, 0xc0, 0x04, 0xc3];
        let lines = disassemble(&code);
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["mov rax, rdi", "add rax, 4", "ret"]);
        assert_eq!(lines[1].offset, 3);
        assert_eq!(lines[1].bytes, code[3..7]);
        assert!(ends(&code));
        assert!(!ends(&code[..7]));
        assert!(!ends(&[0x06]));
    }
}
