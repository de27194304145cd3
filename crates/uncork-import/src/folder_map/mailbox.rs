//! Folder names on the wire: modified UTF-7 (RFC 3501, section 5.1.3) or UTF-8 (RFC 6855), quoted.

use base64::Engine;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::NO_PAD;

/// How a session spells folder names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum MailboxEncoding {
    #[default]
    ModifiedUtf7,
    /// After `ENABLE UTF8=ACCEPT`.
    Utf8,
}

impl MailboxEncoding {
    /// A folder name as an IMAP quoted string; `None` for what none can hold: CR, LF and NUL.
    /// (Modified UTF-7 could spell them, but no server takes them.)
    pub(crate) fn quote(self, name: &str) -> Option<String> {
        if name.contains(['\r', '\n', '\0']) {
            return None;
        }
        Some(match self {
            MailboxEncoding::ModifiedUtf7 => quoted_mailbox(name),
            MailboxEncoding::Utf8 => quoted(name),
        })
    }

    /// What a name on the wire (not quoted any more) says; `None` where it is misspelled.
    pub(crate) fn decode(self, spelled: &str) -> Option<String> {
        match self {
            MailboxEncoding::ModifiedUtf7 => decode_modified_utf7(spelled.as_bytes()),
            MailboxEncoding::Utf8 => Some(spelled.to_owned()),
        }
    }
}

/// A folder name as an IMAP quoted string.
pub(crate) fn quoted_mailbox(name: &str) -> String {
    quoted(&modified_utf7(name))
}

/// Text as an IMAP quoted string. The caller's text has no CR, LF or NUL.
pub(crate) fn quoted(text: &str) -> String {
    debug_assert!(!text.contains(['\r', '\n', '\0']));
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

/// Printable ASCII stands for itself, `&` is `&-`, and each run of anything else is the
/// base64 of its UTF-16 between `&` and `-`.
pub(crate) fn modified_utf7(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    let mut run: Vec<u8> = Vec::new();
    let end_run = |run: &mut Vec<u8>, encoded: &mut String| {
        if !run.is_empty() {
            encoded.push('&');
            BASE64.encode_string(&*run, encoded);
            encoded.push('-');
            run.clear();
        }
    };
    for char in name.chars() {
        match char {
            ' '..='~' => {
                end_run(&mut run, &mut encoded);
                encoded.push(char);
                if char == '&' {
                    encoded.push('-');
                }
            }
            other => {
                let mut units = [0; 2];
                for unit in other.encode_utf16(&mut units) {
                    run.extend_from_slice(&unit.to_be_bytes());
                }
            }
        }
    }
    end_run(&mut run, &mut encoded);
    encoded
}

/// The inverse of [`modified_utf7`]; `None` for anything that it would spell differently, as two
/// spellings of one name are two folders to a server.
pub(crate) fn decode_modified_utf7(spelled: &[u8]) -> Option<String> {
    let name = decode_modified_utf7_loosely(spelled)?;
    (modified_utf7(&name).as_bytes() == spelled).then_some(name)
}

/// What modified UTF-7 says, in another spelling than [`modified_utf7`]'s too; `None` where it is
/// none.
pub(crate) fn decode_modified_utf7_loosely(spelled: &[u8]) -> Option<String> {
    let mut rest = std::str::from_utf8(spelled).ok()?;
    if !rest.is_ascii() {
        return None;
    }
    let mut name = String::with_capacity(rest.len());
    while let Some((plain, shifted)) = rest.split_once('&') {
        let (run, after) = shifted.split_once('-')?;
        name.push_str(plain);
        if run.is_empty() {
            name.push('&');
        } else {
            push_utf16(&mut name, &BASE64.decode(run).ok()?)?;
        }
        rest = after;
    }
    name.push_str(rest);
    Some(name)
}

/// Appends big-endian UTF-16.
fn push_utf16(name: &mut String, bytes: &[u8]) -> Option<()> {
    let pairs = bytes.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    let units = pairs.map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    for char in char::decode_utf16(units) {
        name.push(char.ok()?);
    }
    Some(())
}

static BASE64: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names() {
        for (name, expected) in [
            ("INBOX", "\"INBOX\""),
            ("Sent Mail", "\"Sent Mail\""),
            // The examples of RFC 3501.
            (
                "~peter/mail/台北/日本語",
                "\"~peter/mail/&U,BTFw-/&ZeVnLIqe-\"",
            ),
            ("A&B", "\"A&-B\""),
            ("Entwürfe", "\"Entw&APw-rfe\""),
            ("😀", "\"&2D3eAA-\""),
            ("a\"b\\c", "\"a\\\"b\\\\c\""),
        ] {
            assert_eq!(quoted_mailbox(name), expected, "{name}");
            let spelled = modified_utf7(name);
            assert_eq!(
                decode_modified_utf7(spelled.as_bytes()).as_deref(),
                Some(name)
            );
        }
    }

    #[test]
    fn utf8_names() {
        let quote = |name| MailboxEncoding::Utf8.quote(name);
        assert_eq!(quote("Entwürfe & \"x\"").unwrap(), r#""Entwürfe & \"x\"""#);
        for encoding in [MailboxEncoding::Utf8, MailboxEncoding::ModifiedUtf7] {
            for name in ["a\rb", "a\n", "\0"] {
                assert_eq!(encoding.quote(name), None, "{name:?}");
            }
        }
        assert_eq!(MailboxEncoding::Utf8.decode("A&B").as_deref(), Some("A&B"));
    }

    #[test]
    fn misspelled_names() {
        for (spelled, why) in [
            ("A&B", "the run has no end"),
            ("&", "likewise"),
            ("&U,BTFw", "likewise"),
            ("&AGE-", "an `a` needs no run"),
            ("&U,A-&U,A-", "two runs that are one"),
            ("&U,BT-", "half a UTF-16 unit"),
            ("&U,BTF-", "half a unit, and bits that are not zero"),
            ("&2D0-", "half a surrogate pair"),
            ("&U/BTFw-", "the `/` of ordinary base64"),
            ("Entwürfe", "bytes of UTF-8"),
            ("a\tb", "a control character as it is"),
        ] {
            assert_eq!(
                decode_modified_utf7(spelled.as_bytes()),
                None,
                "{spelled}: {why}"
            );
        }
        assert_eq!(decode_modified_utf7(b"a\xff"), None);
        assert_eq!(decode_modified_utf7(b"a&-b").as_deref(), Some("a&b"));
    }

    #[test]
    fn other_spellings() {
        for (spelled, expected) in [
            ("&AGE-", Some("a")),
            ("&U,A-&U,A-", Some("\u{53f0}\u{53f0}")),
            ("a\tb", Some("a\tb")),
            ("A&B", None),
            ("&2D0-", None),
            ("Entwürfe", None),
        ] {
            let decoded = decode_modified_utf7_loosely(spelled.as_bytes());
            assert_eq!(decoded.as_deref(), expected, "{spelled}");
        }
    }

    proptest! {
        #[test]
        fn any_name_comes_back(name in any::<String>()) {
            let spelled = modified_utf7(&name);
            prop_assert!(spelled.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            prop_assert_eq!(decode_modified_utf7(spelled.as_bytes()), Some(name));
        }

        /// There is one spelling a name, whatever bytes come.
        #[test]
        fn any_bytes(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..60),
                "[&A-Z,/+a-z0-9ü-]{0,40}".prop_map(String::into_bytes),
                "(&[A-Z,a-z0-9]{0,8}-?){0,4}".prop_map(String::into_bytes),
            ],
        ) {
            if let Some(name) = decode_modified_utf7(&bytes) {
                prop_assert_eq!(modified_utf7(&name).into_bytes(), bytes);
            }
        }

        #[test]
        fn any_text_is_decoded_or_left(text in "[&A-Za-z0-9+,. -]{0,40}") {
            if let Some(decoded) = decode_modified_utf7_loosely(text.as_bytes()) {
                prop_assert_eq!(text.contains('&'), decoded != text || text.contains("&-"));
            }
        }
    }
}
