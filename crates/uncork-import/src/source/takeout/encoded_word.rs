//! Encoded words: text in a header field that is not ASCII (RFC 2047).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;

/// Decodes the encoded words in a field's value and joins its lines. Gmail cuts characters in
/// two between words, so the bytes are joined first.
pub(super) fn decode(value: &[u8]) -> String {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value;
    // The white space between two encoded words does not count (RFC 2047, section 6.2).
    let mut is_after_word = false;
    while let Some(at) = memmem::find(rest, b"=?") {
        let (before, from) = rest.split_at(at);
        if !(is_after_word && before.trim_ascii().is_empty()) {
            push_unfolded(&mut decoded, before);
        }
        if let Some(word_bytes) = decode_word(&mut decoded, from) {
            rest = &from[word_bytes..];
            is_after_word = true;
        } else {
            decoded.extend_from_slice(b"=?");
            rest = &from[2..];
            is_after_word = false;
        }
    }
    push_unfolded(&mut decoded, rest);
    match String::from_utf8(decoded) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

fn push_unfolded(decoded: &mut Vec<u8>, text: &[u8]) {
    decoded.extend(text.iter().filter(|&&byte| byte != b'\r' && byte != b'\n'));
}

/// Decodes the encoded word at the start of `from`, and says how long it is.
fn decode_word(decoded: &mut Vec<u8>, from: &[u8]) -> Option<usize> {
    /// Twice what RFC 2047 allows.
    const WORD_BYTES_MAX: usize = 150;
    let word = &from[..from.len().min(WORD_BYTES_MAX)];
    let mut parts = word.get(2..)?.splitn(3, |&byte| byte == b'?');
    let (charset, encoding, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let text_bytes = memmem::find(rest, b"?=")?;
    let text = &rest[..text_bytes];
    let bytes = match encoding {
        b"B" | b"b" => STANDARD.decode(text).ok()?,
        b"Q" | b"q" => decode_q(text),
        _ => return None,
    };
    // The language of RFC 2231 is of no use here.
    let charset = charset.split(|&byte| byte == b'*').next()?;
    if charset.eq_ignore_ascii_case(b"iso-8859-1") {
        let text: String = bytes.into_iter().map(char::from).collect();
        decoded.extend_from_slice(text.as_bytes());
    } else {
        decoded.extend_from_slice(&bytes);
    }
    Some(word.len() - rest.len() + text_bytes + 2)
}

/// The Q encoding (RFC 2047, section 4.2); what is none is left as it is.
fn decode_q(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'_', _) => bytes.push(b' '),
            (b'=', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = after;
                }
                _ => bytes.push(b'='),
            },
            _ => bytes.push(*first),
        }
    }
    bytes
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words() {
        for (value, expected) in [
            (
                "=?UTF-8?Q?Bo=C3=AEte_de_r=C3=A9ception,Non_lus?=",
                "Boîte de réception,Non lus",
            ),
            (
                "=?UTF-8?Q?Cat=C3=A9gorie=C2=A0:_E-mails_?=\r\n =?UTF-8?Q?personnels,\"Culture,_x\"?=",
                "Catégorie\u{a0}: E-mails personnels,\"Culture, x\"",
            ),
            ("=?UTF-8?Q?Soci=C3?= =?utf-8?q?=A1ln=c3=ad?=", "Sociální"),
            ("=?UTF-8?B?w7w=?=,a", "ü,a"),
            ("=?iso-8859-1*en?Q?Caf=E9?=", "Café"),
            ("a,\r\n b", "a, b"),
            ("=?UTF-8?X?a?= =?", "=?UTF-8?X?a?= =?"),
            ("=?UTF-8?B?!?=", "=?UTF-8?B?!?="),
            ("=?UTF-8?Q?=ff=?=", "\u{fffd}="),
            ("=?UTF-8?Q?a=3=?= b", "a=3= b"),
        ] {
            assert_eq!(decode(value.as_bytes()), expected, "{value:?}");
        }
    }
}
