//! What a source is.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::mbox::{Variant, looks_like_mbox};
use super::packing::Packing;

/// What a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(into = "String")]
#[non_exhaustive]
pub enum Format {
    /// A Maildir (a folder with `cur` and `new` in it), or a tree of them, such as Maildir++.
    Maildir,
    /// Files of one mail each, `*.eml` or Apple Mail's `*.emlx`: one, or folders of them.
    Eml,
    /// An mbox, or a tree of them; how `From ` is quoted in it is found out.
    Mbox,
    /// An mbox that quotes `From ` only, and so loses one `>` of each `>From `.
    Mboxo,
    /// An mbox that quotes `From ` and what was quoted already.
    Mboxrd,
    /// An mbox that has Content-Length and quotes `From `.
    Mboxcl,
    /// An mbox that has Content-Length and quotes nothing.
    Mboxcl2,
    /// A folder with several of these in it.
    Folder,
    /// An mbox packed with gzip.
    MboxGz,
    /// An mbox packed with zstd.
    MboxZst,
    /// A .zip archive with any of these in it.
    Zip,
    /// A .tar archive.
    Tar,
    /// A .tar archive packed with gzip.
    TarGz,
    /// A .tar archive packed with zstd.
    TarZst,
}

impl Format {
    /// All of them, by the names that [`FromStr`] takes.
    pub const NAMES: [(&'static str, Self); 14] = [
        ("maildir", Self::Maildir),
        ("eml", Self::Eml),
        ("mbox", Self::Mbox),
        ("mboxo", Self::Mboxo),
        ("mboxrd", Self::Mboxrd),
        ("mboxcl", Self::Mboxcl),
        ("mboxcl2", Self::Mboxcl2),
        ("folder", Self::Folder),
        ("mbox.gz", Self::MboxGz),
        ("mbox.zst", Self::MboxZst),
        ("zip", Self::Zip),
        ("tar", Self::Tar),
        ("tar.gz", Self::TarGz),
        ("tar.zst", Self::TarZst),
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        let found = Self::NAMES.iter().find(|(_, format)| *format == self);
        found.map_or("", |(name, _)| name)
    }

    /// Whether a folder can be this.
    pub(super) fn is_of_folders(self) -> bool {
        self.is_plain_mbox() || matches!(self, Self::Maildir | Self::Eml | Self::Folder)
    }

    /// Whether a file, or a stream, can be this.
    pub(super) fn is_of_files(self) -> bool {
        !matches!(self, Self::Maildir | Self::Folder)
    }

    pub(super) fn is_plain_mbox(self) -> bool {
        matches!(
            self,
            Self::Mbox | Self::Mboxo | Self::Mboxrd | Self::Mboxcl | Self::Mboxcl2
        )
    }

    pub(super) fn packing(self) -> Packing {
        match self {
            Self::MboxGz | Self::TarGz => Packing::Gzip,
            Self::MboxZst | Self::TarZst => Packing::Zstd,
            _ => Packing::Plain,
        }
    }

    pub(super) fn variant(self) -> Variant {
        match self {
            Self::Mboxo => Variant::Mboxo,
            Self::Mboxrd => Variant::Mboxrd,
            Self::Mboxcl => Variant::Mboxcl,
            Self::Mboxcl2 => Variant::Mboxcl2,
            _ => Variant::Auto,
        }
    }

    /// A file that is this, in words.
    pub(super) fn file_words(self) -> &'static str {
        match self {
            Self::Maildir => "a Maildir",
            Self::Folder => "a folder",
            Self::Eml => "a single mail",
            Self::Mbox | Self::Mboxo | Self::Mboxrd | Self::Mboxcl | Self::Mboxcl2 => "an mbox",
            Self::MboxGz => "an mbox packed with gzip",
            Self::MboxZst => "an mbox packed with zstd",
            Self::Zip => "a .zip archive",
            Self::Tar => "a .tar archive",
            Self::TarGz => "a .tar archive packed with gzip",
            Self::TarZst => "a .tar archive packed with zstd",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl From<Format> for String {
    fn from(format: Format) -> Self {
        format.name().to_owned()
    }
}

/// A word that is no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is no format of mail; they are {}", Format::NAMES.map(|(name, _)| name).join(", "))]
pub struct UnknownFormat {
    /// The word.
    pub word: String,
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Self, UnknownFormat> {
        let lower = word.to_ascii_lowercase();
        let name = match lower.trim_start_matches('.') {
            "tgz" => "tar.gz",
            "gz" => "mbox.gz",
            "zst" => "mbox.zst",
            "emlx" => "eml",
            "maildir++" => "maildir",
            name => name,
        };
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found
            .map(|(_, format)| *format)
            .ok_or_else(|| UnknownFormat {
                word: word.to_owned(),
            })
    }
}

/// How many bytes of a file tell what it is: a tar header, and enough of a mail.
pub(super) const HEAD_BYTES: usize = 4096;

/// What a file is by its first bytes, as far as they tell; `unpacked` is what is in it if it is
/// packed.
pub(super) fn of_head(head: &[u8], unpacked: &[u8]) -> Option<Format> {
    match Packing::of(head) {
        Packing::Gzip if is_tar(unpacked) => Some(Format::TarGz),
        Packing::Gzip if looks_like_mbox(unpacked) => Some(Format::MboxGz),
        Packing::Zstd if is_tar(unpacked) => Some(Format::TarZst),
        Packing::Zstd if looks_like_mbox(unpacked) => Some(Format::MboxZst),
        // The first entry of an archive, or the end of an empty one.
        Packing::Plain if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") => {
            Some(Format::Zip)
        }
        Packing::Plain if is_tar(head) => Some(Format::Tar),
        Packing::Plain if looks_like_mbox(head) => Some(Format::Mbox),
        Packing::Plain if looks_like_mail(head) => Some(Format::Eml),
        _ => None,
    }
}

fn is_tar(head: &[u8]) -> bool {
    head.get(..super::tar::BLOCK_BYTES)
        .is_some_and(super::tar::is_header)
}

/// Whether a mail without a name that says so begins here: with a field that mails have.
fn looks_like_mail(head: &[u8]) -> bool {
    const FIELDS: [&[u8]; 10] = [
        b"received:",
        b"return-path:",
        b"from:",
        b"to:",
        b"date:",
        b"subject:",
        b"message-id:",
        b"mime-version:",
        b"delivered-to:",
        b"dkim-signature:",
    ];
    FIELDS.iter().any(|field| {
        head.get(..field.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(field))
    })
}

/// What to do about a file that is mail, but in a form that is not read here.
pub(super) fn hint(head: &[u8]) -> &'static str {
    match head {
        [b'!', b'B', b'D', b'N', ..] => {
            "; it is an Outlook .pst file: `readpst -D` makes folders of .eml files of it"
        }
        [0xcf, 0xad, 0x12, 0xfe, ..] => {
            "; it is an Outlook Express .dbx file: `readdbx` makes an mbox of it"
        }
        [0xd0, 0xcf, 0x11, 0xe0, ..] => {
            "; it is an Outlook .msg file: `msgconvert` makes an .eml file of it"
        }
        [b'B', b'Z', b'h', ..] => "; it is packed with bzip2: unpack it first",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "; it is packed with xz: unpack it first",
        [b'7', b'z', 0xbc, 0xaf, ..] => "; it is a .7z archive: unpack it first",
        [b'R', b'a', b'r', b'!', ..] => "; it is a .rar archive: unpack it first",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_back() {
        for (name, format) in Format::NAMES {
            assert_eq!(name.parse(), Ok(format));
            assert_eq!(format.to_string(), name);
        }
        for (word, format) in [("TGZ", Format::TarGz), (".eml", Format::Eml)] {
            assert_eq!(word.parse(), Ok(format));
        }
        let error = "pst".parse::<Format>().unwrap_err().to_string();
        assert!(
            error.contains("`pst`") && error.contains("mboxrd"),
            "{error}"
        );
    }

    #[test]
    fn heads() {
        for (head, expected) in [
            (
                &b"From a@b Thu Jan  1 00:00:00 1970\n"[..],
                Some(Format::Mbox),
            ),
            (b"From: a@b\n", Some(Format::Eml)),
            (b"RECEIVED: x", Some(Format::Eml)),
            (b"PK\x03\x04", Some(Format::Zip)),
            (b"PK\x05\x06", Some(Format::Zip)),
            (b"\x1f\x8b\x08", None),
            (b"\xff\xd8", None),
            (b"", None),
        ] {
            assert_eq!(of_head(head, b""), expected, "{head:?}");
        }
        let mbox = b"From a@b Thu Jan  1 00:00:00 1970\n";
        assert_eq!(of_head(b"\x1f\x8b\x08", mbox), Some(Format::MboxGz));
        assert_eq!(of_head(b"\x28\xb5\x2f\xfd", mbox), Some(Format::MboxZst));
    }
}
