//! Folder names on the wire: modified UTF-7 (RFC 3501, section 5.1.3), quoted.

use base64::Engine;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::NO_PAD;

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
fn modified_utf7(name: &str) -> String {
    let engine = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);
    let mut encoded = String::with_capacity(name.len());
    let mut run: Vec<u8> = Vec::new();
    let end_run = |run: &mut Vec<u8>, encoded: &mut String| {
        if !run.is_empty() {
            encoded.push('&');
            engine.encode_string(&*run, encoded);
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

#[cfg(test)]
mod tests {
    use super::*;

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
        }
    }
}
