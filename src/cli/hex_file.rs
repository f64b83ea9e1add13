//! Bytes as people write them: two hexadecimal digits each, and comments.
//!
//! ```text
//! 48 89 f8     ; mov rax, rdi
//! 4883c004     # the space between bytes may be left out
//! ```

/// The bytes, or what is wrong: `line:column: message`, both counted from 1.
pub fn parse(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        let half = |column: usize| {
            Err(format!("{line}:{column}: half a byte: a byte has two hexadecimal digits"))
        };
        let code = content.split([';', '#']).next().unwrap_or("");
        // The first digit of a byte whose second one is still to come, with its column.
        let mut high = None;
        for (column, c) in (1..).zip(code.chars()) {
            match (c.to_digit(16), high) {
                (Some(digit), None) => high = Some((digit as u8, column)),
                (Some(digit), Some((first, _))) => {
                    bytes.push(first << 4 | digit as u8);
                    high = None;
                }
                (None, Some((_, column))) if c.is_whitespace() => return half(column),
                (None, None) if c.is_whitespace() => {}
                (None, _) => {
                    let what = c.escape_debug();
                    return Err(format!(
                        "{line}:{column}: `{what}` is no hexadecimal digit; a comment starts with \
                         `;` or `#`"
                    ));
                }
            }
        }
        if let Some((_, column)) = high {
            return half(column);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn comments_and_spaces_are_free() {
        assert_eq!(parse("48 89 f8 ; mov\n# all\n\n4883C004#add\r\n c3"), {
            Ok(vec![0x48, 0x89, 0xf8, 0x48, 0x83, 0xc0, 0x04, 0xc3])
        });
        assert_eq!(parse(""), Ok(vec![]));
    }

    #[test]
    fn errors_say_where() {
        for (text, place) in [
            ("48\n 8 z", "2:2: half"),
            ("0x48", "1:2: `x`"),
            ("c3\nc", "2:1: half"),
            ("é3", "1:1: `é`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(place), "{text:?}: {error}");
        }
    }
}
