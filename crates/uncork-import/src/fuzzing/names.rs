//! Names of folders.

use super::Input;
use crate::folder_map::listing::parse_list;
use crate::folder_map::mailbox::{MailboxEncoding, decode_modified_utf7, modified_utf7};
use crate::mail::FolderPath;
use crate::options::Labels;
use crate::source::takeout;

/// Modified UTF-7: there is one spelling a name, and each name comes back from a server.
pub fn utf7(data: &[u8]) {
    if let Some(name) = decode_modified_utf7(data) {
        assert_eq!(modified_utf7(&name).as_bytes(), data);
    }
    let units = data.chunks_exact(2);
    let units: Vec<_> = units
        .map(|unit| u16::from_be_bytes([unit[0], unit[1]]))
        .collect();
    for name in [
        String::from_utf8_lossy(data).into_owned(),
        String::from_utf16_lossy(&units),
    ] {
        let spelled = modified_utf7(&name);
        assert!(spelled.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        assert_eq!(decode_modified_utf7(spelled.as_bytes()), Some(name.clone()));
        for encoding in [MailboxEncoding::ModifiedUtf7, MailboxEncoding::Utf8] {
            comes_back(encoding, &name);
        }
    }
}

/// A server that repeats a name as it was told makes the same name of it.
fn comes_back(encoding: MailboxEncoding, name: &str) {
    let Some(quoted) = encoding.quote(name) else {
        assert!(name.contains(['\r', '\n', '\0']));
        return;
    };
    assert!(!quoted.contains(['\r', '\n', '\0']));
    let listed = parse_list(&format!(r#"LIST () "/" {quoted}"#), &[]).map(|listed| listed.name);
    let decoded = listed.and_then(|listed| encoding.decode(&listed));
    assert_eq!(decoded.as_deref(), Some(name));
}

/// X-Gmail-Labels: a mail is filed somewhere, and nowhere twice.
pub fn labels(data: &[u8]) {
    let mut input = Input(data);
    let labels = match input.byte() % 2 {
        0 => Labels::Each,
        _ => Labels::Once,
    };
    let filed = takeout::file(input.0, labels);
    assert!(!filed.folders.is_empty());
    assert!(labels == Labels::Each || filed.folders.len() == 1);
    for (n, FolderPath(levels)) in filed.folders.iter().enumerate() {
        assert!(!levels.is_empty() && levels.iter().all(|level| !level.is_empty()));
        assert!(filed.folders[..n].iter().all(|other| &other.0 != levels));
    }
    for flag in &filed.flags {
        assert!(is_flag(flag), "{flag:?}");
    }
}

/// Whether this can stand in the flags of an APPEND (RFC 9051, section 9).
pub(crate) fn is_flag(flag: &str) -> bool {
    let atom = flag.strip_prefix('\\').unwrap_or(flag);
    !atom.is_empty()
        && atom
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"(){%*\"\\]".contains(&byte))
}
