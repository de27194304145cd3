//! What must hold for any names that a source has; see [`crate::fuzzing`].

use super::entry::{eml_folder, guess, maildir_folder, mbox_folder};
use super::folder_name::{LEVELS_MAX, NAME_BYTES_MAX};
use super::maildir::{Keywords, delivery_seconds, split_name};
use crate::folder_map::mailbox::{decode_modified_utf7, modified_utf7};
use crate::fuzzing::{Input, is_flag};
use crate::mail::FolderPath;

/// Names of mails and folders, and the keywords beside them.
pub(crate) fn names(mut input: Input<'_>) {
    let letters_len = usize::from(input.byte() % 32);
    let text = input.0;
    name_of_mail(text, &text[..letters_len.min(text.len())]);
    let path: Vec<_> = text.split(|&byte| byte == b'/').collect();
    let _ = guess(&path);
    let name = path.last().copied().unwrap_or_default();
    for folder in [
        eml_folder(&path),
        maildir_folder(&path),
        mbox_folder(&path, name, text),
    ] {
        can_be_named(&folder);
    }
    path.iter().for_each(|name| name_of_folder(name));
}

/// The text as a name, and as the keywords to which its letters point.
fn name_of_mail(text: &[u8], letters: &[u8]) {
    let (base, letters_told) = split_name(text);
    assert!(text.starts_with(base) && text.ends_with(letters_told));
    let mark_bytes = text.len() - base.len() - letters_told.len();
    assert!(matches!(mark_bytes, 0 | 3 | 5) && (mark_bytes > 0 || letters_told.is_empty()));
    let _ = delivery_seconds(text);

    let keywords = Keywords::parse(text);
    for letters in [letters, letters_told] {
        let flags = keywords.flags(letters);
        for (n, flag) in flags.iter().enumerate() {
            assert!(is_flag(flag), "{flag:?}");
            assert!(!flags[..n].contains(flag), "{flag:?} twice");
        }
    }
    // A mail keeps its name while its flags change.
    if letters.iter().all(u8::is_ascii_alphabetic) {
        let marked = [base, b":2,", letters].concat();
        assert_eq!(split_name(&marked), (base, letters));
    }
}

/// Each level is a name that a person can read and a file system could have.
fn can_be_named(folder: &FolderPath) {
    assert!(folder.0.len() <= LEVELS_MAX);
    for level in &folder.0 {
        assert!(!matches!(level.as_str(), "" | "." | ".."));
        assert!(
            level.len() <= NAME_BYTES_MAX && !level.contains(char::is_control),
            "{level:?}"
        );
    }
}

/// A folder's name comes out of Maildir++, and is read as a server would read it.
fn name_of_folder(name: &[u8]) {
    let spelled = modified_utf7(&String::from_utf8_lossy(name));
    for spelled in [spelled.as_bytes(), name] {
        let Some(decoded) = decode_modified_utf7(spelled) else {
            continue;
        };
        let is_one_level = !spelled.is_empty() && !spelled.contains(&b'.');
        let is_kept = decoded.len() <= NAME_BYTES_MAX && !decoded.contains(char::is_control);
        if is_one_level && is_kept && !matches!(decoded.as_str(), "." | "..") {
            let FolderPath(levels) = maildir_folder(&[&[b".", spelled].concat()]);
            assert_eq!(levels, [decoded]);
        }
    }
}
