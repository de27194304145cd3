//! Modified UTF-7, in which folders' names travel (RFC 3501, 5.1.3).

use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

const BASE64: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

/// Decodes a name: `&-` is `&`, and between `&` and `-` stands base64, with `,` for `/`, of
/// UTF-16 that is sound and could not have stood for itself. `None` for anything else.
pub(crate) fn decode(name: &str) -> Option<String> {
    let mut decoded = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find('&') {
        decoded.push_str(plain(&rest[..at])?);
        let (shifted, after) = rest[at + 1..].split_once('-')?;
        if shifted.is_empty() {
            decoded.push('&');
        } else {
            push_utf16(&mut decoded, &BASE64.decode(shifted).ok()?)?;
        }
        rest = after;
    }
    decoded.push_str(plain(rest)?);
    Some(decoded)
}

/// Encodes a name.
pub(crate) fn encode(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let plain = is_printable(first);
        let end = rest
            .find(|character| is_printable(character) != plain)
            .unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        if plain {
            encoded.push_str(&run.replace('&', "&-"));
        } else {
            let utf16: Vec<u8> = run.encode_utf16().flat_map(u16::to_be_bytes).collect();
            encoded.push('&');
            BASE64.encode_string(&utf16, &mut encoded);
            encoded.push('-');
        }
        rest = after;
    }
    encoded
}

fn push_utf16(decoded: &mut String, bytes: &[u8]) -> Option<()> {
    let units = bytes.chunks_exact(2);
    if !units.remainder().is_empty() {
        return None;
    }
    let units = units.map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    for character in char::decode_utf16(units) {
        let character = character.ok()?;
        if character <= '\x7e' {
            return None;
        }
        decoded.push(character);
    }
    Some(())
}

/// Text that stands for itself.
fn plain(text: &str) -> Option<&str> {
    text.chars().all(is_printable).then_some(text)
}

fn is_printable(character: char) -> bool {
    matches!(character, ' '..='~')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_names() {
        let check = |encoded: &str, decoded: &str| {
            assert_eq!(decode(encoded).as_deref(), Some(decoded));
            assert_eq!(encode(decoded), encoded);
        };
        check("INBOX", "INBOX");
        check("Entw&APw-rfe", "Entwürfe");
        check("a&-b", "a&b");
        check("~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語");
        check("&2D3eAA-", "😀");
    }

    #[test]
    fn what_is_no_name() {
        for name in [
            "a&b", "a&AGE-", "a&2AA-", "a&ABC", "a&AP/8-", "ü", "a\x01", "ü&-",
        ] {
            assert_eq!(decode(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_name_comes_back(name in "[ -~äß台😀]{0,20}") {
            let encoded = encode(&name);
            prop_assert!(plain(&encoded).is_some());
            prop_assert_eq!(decode(&encoded), Some(name));
        }
    }
}
