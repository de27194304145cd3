//! Bytes of a peer within a line of the log: whatever they are, they stay within their field.

const HEX: &[u8; 16] = b"0123456789ABCDEF";
const CHUNK: usize = 16;

/// As nginx writes it: `"`, `\`, control bytes and what is not ASCII as `\xHH`.
pub(super) fn quoted(out: &mut Vec<u8>, bytes: &[u8]) {
    hexed::<b' '>(out, bytes);
}

/// As [`quoted`], and a space is escaped as well: for the parts of a request line, which spaces
/// separate. A valid request has none in them, one that was refused may.
pub(super) fn word(out: &mut Vec<u8>, bytes: &[u8]) {
    hexed::<b'!'>(out, bytes);
}

fn hexed<const LEAST: u8>(out: &mut Vec<u8>, bytes: &[u8]) {
    for &byte in copy_clean::<LEAST>(out, bytes) {
        if is_dirty::<LEAST>(byte) {
            hex(out, byte);
        } else {
            out.push(byte);
        }
    }
}

/// Within a JSON string. What is no UTF-8 becomes U+FFFD.
pub(super) fn json(out: &mut Vec<u8>, bytes: &[u8]) {
    // What is copied is ASCII, so that the rest begins at a character.
    let rest = copy_clean::<b' '>(out, bytes);
    for chunk in rest.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\\' => out.extend_from_slice(&[b'\\', character as u8]),
                character if is_hidden(character) => {
                    let [_, _, high, low] = u32::from(character).to_be_bytes();
                    out.extend_from_slice(b"\\u");
                    nibbles(out, high);
                    nibbles(out, low);
                }
                character => {
                    let mut bytes = [0; 4];
                    out.extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
                }
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// What may stand in JSON, but not on a terminal: controls, which could be commands to it, and what
/// breaks a line or turns the direction of the text behind it, so that it is read as another one. None
/// is beyond U+FFFF.
const fn is_hidden(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

/// Copies what needs no escape from the front, in chunks; gives back the rest.
fn copy_clean<'b, const LEAST: u8>(out: &mut Vec<u8>, bytes: &'b [u8]) -> &'b [u8] {
    // Without a branch a byte, the compiler makes vector instructions of the chunk.
    let is_clean = |chunk: &[u8; CHUNK]| {
        !chunk
            .iter()
            .fold(false, |dirty, &byte| dirty | is_dirty::<LEAST>(byte))
    };
    let mut end = 0;
    while bytes[end..].first_chunk::<CHUNK>().is_some_and(is_clean) {
        end += CHUNK;
    }
    let tail = bytes[end..].iter().take(CHUNK);
    end += tail.take_while(|&&byte| !is_dirty::<LEAST>(byte)).count();
    let (clean, rest) = bytes.split_at(end);
    out.extend_from_slice(clean);
    rest
}

/// Clean is what is printable ASCII, from `LEAST` on.
const fn is_dirty<const LEAST: u8>(byte: u8) -> bool {
    (byte < LEAST) | (byte > 0x7e) | (byte == b'"') | (byte == b'\\')
}

fn hex(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(b"\\x");
    nibbles(out, byte);
}

fn nibbles(out: &mut Vec<u8>, byte: u8) {
    out.push(HEX[usize::from(byte >> 4)]);
    out.push(HEX[usize::from(byte & 15)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(escape: fn(&mut Vec<u8>, &[u8]), bytes: &[u8], expected: &str) {
        let mut out = Vec::new();
        escape(&mut out, bytes);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn known_answers() {
        check(quoted, b"", "");
        check(quoted, b"a b\"c\\d\n\x7f\xff", r"a b\x22c\x5Cd\x0A\x7F\xFF");
        check(
            quoted,
            b"0123456789abcdef0123456789\"abcdef",
            r"0123456789abcdef0123456789\x22abcdef",
        );
        check(word, b" a b ", r"\x20a\x20b\x20");
        check(json, "ä\"\\\r\u{7f}".as_bytes(), r#"ä\"\\\u000D\u007F"#);
        check(
            json,
            "a\u{9b}2J\u{80}\u{9f}\u{a0}\u{2027}\u{2028}\u{202e}\u{202f}\u{2066}\u{2069}\u{206a}"
                .as_bytes(),
            "a\\u009B2J\\u0080\\u009F\u{a0}\u{2027}\\u2028\\u202E\u{202f}\\u2066\\u2069\u{206a}",
        );
        check(quoted, "\u{9b}\u{202e}".as_bytes(), r"\xC2\x9B\xE2\x80\xAE");
        check(
            json,
            b"0123456789abcde\xc3\xa4\xff\xc3",
            "0123456789abcdeä\u{fffd}\u{fffd}",
        );
    }
}
