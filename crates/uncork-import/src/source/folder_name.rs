//! Folders of a source by the names that the disk, or an archive, has for them.

use crate::folder_map::mailbox::decode_modified_utf7_loosely;
use crate::mail::FolderPath;

/// Most bytes of one name: what file systems take, and servers rarely more.
pub(super) const NAME_BYTES_MAX: usize = 255;

/// Most levels of a folder; deeper ones fall into the last.
pub(super) const LEVELS_MAX: usize = 64;

/// Collects the levels of a folder.
#[derive(Debug, Default)]
pub(super) struct Levels(Vec<String>);

impl Levels {
    pub(super) fn into_path(self) -> FolderPath {
        FolderPath(self.0)
    }

    /// Adds a name that a person can read. `.` and `..` are steps of a path, not names; what
    /// nobody can see is replaced, for it would break the server's command line.
    fn push(&mut self, name: &str) {
        if matches!(name, "" | "." | "..") || self.0.len() == LEVELS_MAX {
            return;
        }
        let mut clean = String::with_capacity(name.len());
        for char in name.chars() {
            let char = if char.is_control() { '_' } else { char };
            if clean.len() + char.len_utf8() > NAME_BYTES_MAX {
                break;
            }
            clean.push(char);
        }
        self.0.push(clean);
    }

    /// Adds a directory by the name that it has on disk.
    pub(super) fn push_plain(&mut self, name: &[u8]) {
        self.push(&String::from_utf8_lossy(name));
    }

    /// Adds a directory of Maildirs. In Maildir++ one directory is several levels:
    /// `.Sub.Folder`. A level called `Maildir` is where servers keep a user's mail, and no
    /// folder that the user made.
    pub(super) fn push_maildir(&mut self, name: &[u8]) {
        match name.strip_prefix(b".") {
            Some(levels) => {
                for level in levels.split(|&byte| byte == b'.') {
                    self.push_encoded(level);
                }
            }
            None if name == b"Maildir" => {}
            // Thunderbird keeps the folders within `Name` in `Name.sbd`.
            None => self.push_encoded(name.strip_suffix(b".sbd").unwrap_or(name)),
        }
    }

    /// Adds a directory, or at the end the file itself, of a tree of mbox files.
    pub(super) fn push_mbox(&mut self, name: &[u8]) {
        let suffix = [&b".sbd"[..], b".mbox", b".mbx", b".mbox.gz", b".mbox.zst"]
            .into_iter()
            .find(|suffix| ends_with_ignore_case(name, suffix));
        let kept = suffix.map_or(name, |suffix| &name[..name.len() - suffix.len()]);
        self.push_plain(kept);
    }

    /// Adds a name in modified UTF-7, or as it stands where it is none: servers that are set to
    /// UTF-8 write that instead.
    fn push_encoded(&mut self, name: &[u8]) {
        match decode_modified_utf7_loosely(name) {
            Some(decoded) => self.push(&decoded),
            None => self.push_plain(name),
        }
    }
}

pub(super) fn ends_with_ignore_case(name: &[u8], suffix: &[u8]) -> bool {
    name.len() > suffix.len() && name[name.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(push: impl Fn(&mut Levels, &[u8]), names: &[&[u8]], expected: &[&str]) {
        let mut levels = Levels::default();
        for name in names {
            push(&mut levels, name);
        }
        assert_eq!(levels.into_path().0, expected);
    }

    #[test]
    fn maildir_levels() {
        for (name, expected) in [
            (&b".Sent"[..], &["Sent"][..]),
            (b".Sub.Folder", &["Sub", "Folder"]),
            (b".Entw&APw-rfe.A&-B", &["Entwürfe", "A&B"]),
            (b".&U,BTFw-", &["台北"]),
            (".Entwürfe".as_bytes(), &["Entwürfe"]),
            // No modified UTF-7: kept as it is.
            (b".R&D", &["R&D"]),
            (b".&AB-", &["&AB-"]),
            (b".&2D0-", &["&2D0-"]),
            // A control character in disguise.
            (b".a&AAo-b", &["a_b"]),
            (b"..Sent..x.", &["Sent", "x"]),
            (b".\xff", &["\u{fffd}"]),
            (b"Work", &["Work"]),
            (b"Work.2", &["Work.2"]),
            (b"Inbox.sbd", &["Inbox"]),
            (b"Maildir", &[]),
            (b"..", &[]),
        ] {
            check(Levels::push_maildir, &[name], expected);
        }
    }

    #[test]
    fn mbox_levels() {
        for (name, expected) in [
            (&b"Inbox"[..], "Inbox"),
            (b"Inbox.sbd", "Inbox"),
            (b"Work.MBOX", "Work"),
            (b"Old.mbox.gz", "Old"),
            (b".mbox", ".mbox"),
            (b"a\x00b\x1b", "a_b_"),
        ] {
            check(Levels::push_mbox, &[name], &[expected]);
        }
        check(
            Levels::push_mbox,
            &[b"..", b"Inbox.sbd", b".", b"", b"Sub"],
            &["Inbox", "Sub"],
        );
    }

    proptest! {
        #[test]
        fn any_names_make_folders_that_can_be_named(
            names in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..80),
        ) {
            for push in [Levels::push_plain, Levels::push_maildir, Levels::push_mbox] {
                let mut levels = Levels::default();
                for name in &names {
                    push(&mut levels, name);
                }
                let FolderPath(levels) = levels.into_path();
                prop_assert!(levels.len() <= LEVELS_MAX);
                for level in levels {
                    prop_assert!(!level.is_empty() && level != "." && level != "..");
                    prop_assert!(level.len() <= NAME_BYTES_MAX);
                    prop_assert!(!level.contains(char::is_control));
                }
            }
        }
    }
}
