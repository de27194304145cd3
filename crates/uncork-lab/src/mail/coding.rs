//! How text becomes bytes of a mail: charsets, encoded words (RFC 2047), quoted-printable and
//! base64 (RFC 2045).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The longest encoded word, RFC 2047 section 2.
const ENCODED_WORD_COLUMNS: usize = 75;

/// The longest line of quoted-printable and base64, RFC 2045 section 6.
const ENCODED_LINE_COLUMNS: usize = 76;

/// What one line of base64 carries.
const BASE64_LINE_BYTES: usize = ENCODED_LINE_COLUMNS / 4 * 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    Ascii,
    Latin1,
    Utf8,
}

impl Charset {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ascii => "us-ascii",
            Self::Latin1 => "iso-8859-1",
            Self::Utf8 => "utf-8",
        }
    }

    /// Appends the text's bytes; what the charset does not have becomes a question mark.
    pub(super) fn encode(self, text: &str, out: &mut Vec<u8>) {
        let last = match self {
            Self::Utf8 => return out.extend_from_slice(text.as_bytes()),
            Self::Ascii => 0x7f,
            Self::Latin1 => 0xff,
        };
        out.extend(text.chars().map(|char| match u8::try_from(char) {
            Ok(byte) if byte <= last => byte,
            _ => b'?',
        }));
    }
}

/// The two encodings of encoded words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WordEncoding {
    B,
    Q,
}

/// The text as encoded words, each within its length and none cutting a character apart.
pub(super) fn encoded_words(text: &str, charset: Charset, encoding: WordEncoding) -> Vec<String> {
    let letter = match encoding {
        WordEncoding::B => 'B',
        WordEncoding::Q => 'Q',
    };
    let prefix = format!("=?{}?{letter}?", charset.name());
    let most = ENCODED_WORD_COLUMNS - prefix.len() - "?=".len();
    let mut words = Vec::new();
    let mut bytes = Vec::new();
    let mut word = String::new();
    for char in text.chars() {
        let before = bytes.len();
        charset.encode(char.encode_utf8(&mut [0; 4]), &mut bytes);
        let longer = encode_word(&bytes, encoding);
        if longer.len() > most {
            words.push(format!("{prefix}{word}?="));
            bytes.drain(..before);
            word = encode_word(&bytes, encoding);
        } else {
            word = longer;
        }
    }
    words.push(format!("{prefix}{word}?="));
    words
}

fn encode_word(bytes: &[u8], encoding: WordEncoding) -> String {
    match encoding {
        WordEncoding::B => STANDARD.encode(bytes),
        WordEncoding::Q => bytes.iter().fold(String::new(), |mut word, byte| {
            match byte {
                b' ' => word.push('_'),
                // What RFC 2047 section 5 (3) allows even in a display name.
                b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'!' | b'*' | b'+' | b'-' | b'/' => {
                    word.push(char::from(*byte));
                }
                _ => word.push_str(&format!("={byte:02X}")),
            }
            word
        }),
    }
}

/// Appends one line of text as quoted-printable, with its line end, in as many lines as needed.
pub(super) fn quoted_printable(line: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut column = 0;
    for (n, byte) in line.iter().enumerate() {
        let is_last = n + 1 == line.len();
        let literal = match byte {
            b'=' => false,
            b' ' | b'\t' => !is_last,
            byte => byte.is_ascii_graphic(),
        };
        let columns = if literal { 1 } else { 3 };
        // A soft line break takes a column itself.
        if column + columns > ENCODED_LINE_COLUMNS - 1 {
            out.extend_from_slice(b"=\n");
            column = 0;
        }
        if literal {
            out.push(*byte);
        } else {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            out.extend([b'=', HEX[high], HEX[low]]);
        }
        column += columns;
    }
    out.push(b'\n');
}

/// Appends bytes as lines of base64.
pub(super) fn base64_lines(bytes: &[u8], out: &mut Vec<u8>) {
    let mut line = String::with_capacity(ENCODED_LINE_COLUMNS);
    for chunk in bytes.chunks(BASE64_LINE_BYTES) {
        line.clear();
        STANDARD.encode_string(chunk, &mut line);
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
}

/// How many bytes fit into so many bytes of base64 lines.
pub(super) fn base64_fits(encoded_bytes: usize) -> usize {
    encoded_bytes / (ENCODED_LINE_COLUMNS + 1) * BASE64_LINE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charsets_have_what_they_have() {
        for (charset, expected) in [
            (Charset::Ascii, &b"gr?n ?"[..]),
            (Charset::Latin1, b"gr\xfcn ?"),
            (Charset::Utf8, "grün \u{0416}".as_bytes()),
        ] {
            let mut out = Vec::new();
            charset.encode("grün \u{0416}", &mut out);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn encoded_words_are_those_of_the_rfc() {
        use WordEncoding::{B, Q};
        for (text, charset, encoding, expected) in [
            (
                "Keld Jørn Simonsen",
                Charset::Latin1,
                Q,
                &["=?iso-8859-1?Q?Keld_J=F8rn_Simonsen?="][..],
            ),
            ("café", Charset::Utf8, B, &["=?utf-8?B?Y2Fmw6k=?="]),
            (
                &"é".repeat(12),
                Charset::Utf8,
                Q,
                &[
                    "=?utf-8?Q?=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9?=",
                    "=?utf-8?Q?=C3=A9=C3=A9?=",
                ],
            ),
        ] {
            let words = encoded_words(text, charset, encoding);
            assert_eq!(words, expected);
            assert!(words.iter().all(|word| word.len() <= ENCODED_WORD_COLUMNS));
        }
    }

    #[test]
    fn quoted_printable_keeps_lines_short_and_ends_visible() {
        for (line, expected) in [
            ("", "\n".to_owned()),
            ("a = b ", "a =3D b=20\n".to_owned()),
            ("grün", "gr=C3=BCn\n".to_owned()),
            (&"x".repeat(75), format!("{}\n", "x".repeat(75))),
            (&"x".repeat(76), format!("{}=\nx\n", "x".repeat(75))),
            (
                &format!("{}=", "x".repeat(73)),
                format!("{}=\n=3D\n", "x".repeat(73)),
            ),
        ] {
            let mut out = Vec::new();
            quoted_printable(line.as_bytes(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn base64_fills_its_lines() {
        for encoded_bytes in [0, 76, 77, 154, 1000] {
            let mut out = Vec::new();
            base64_lines(&vec![0; base64_fits(encoded_bytes)], &mut out);
            assert!(out.len() <= encoded_bytes);
            assert!(encoded_bytes - out.len() < 77);
        }
    }
}
