//! Sources whose mails are hard to tell apart, and what a server must have of them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::Scale;
use super::folders::Folders;
use crate::mail::MailGenerator;

/// The lines of a long mail, and how long each is: well above 1 MiB together.
const LONG_LINES: u32 = 20_000;
const LINE: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1";

/// A source on disk.
#[derive(Debug)]
pub(super) struct CrashSource {
    pub(super) path: PathBuf,
    /// The folder of the target that it is for.
    pub(super) base: Option<&'static str>,
    /// By folder on the server, what it must have: each mail with CRLF, as often as it is there.
    pub(super) folders: Folders,
    pub(super) mails: u32,
    /// Of all mails, as they are sent.
    pub(super) bytes: u64,
}

#[derive(Clone, Copy)]
enum Form {
    Maildir,
    Mbox,
}

impl CrashSource {
    /// Writes the source of a seed.
    pub(super) fn write(seed: u64, scale: &Scale, path: &Path) -> io::Result<Self> {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let form = if dice.random_ratio(1, 2) {
            Form::Maildir
        } else {
            Form::Mbox
        };
        let count = dice.random_range(1..=3);
        let (names, base): (&[&str], _) = match (form, count) {
            (Form::Maildir, count) => (&["INBOX", "Work", "Old mail"][..count], None),
            (Form::Mbox, 1) => (&["INBOX"], Some("INBOX")),
            (Form::Mbox, count) => (&["Home", "Work", "Old mail"][..count], None),
        };
        let mails = mails(seed, scale, &mut dice);
        let mut by_folder: BTreeMap<&str, Vec<&[u8]>> = BTreeMap::new();
        for mail in &mails {
            let name = names[dice.random_range(0..names.len())];
            by_folder.entry(name).or_default().push(mail);
        }
        for (name, mails) in &by_folder {
            match form {
                Form::Maildir => write_maildir(&maildir_folder(path, name), mails)?,
                Form::Mbox if base.is_some() => fs::write(path, mbox(mails))?,
                Form::Mbox => {
                    fs::create_dir_all(path)?;
                    fs::write(path.join(name), mbox(mails))?;
                }
            }
        }
        let mut folders = Folders::default();
        for (name, mails) in by_folder {
            for mail in mails {
                folders.add(name, crlf(mail));
            }
        }
        Ok(Self {
            path: path.to_owned(),
            base,
            bytes: folders.bytes(),
            folders,
            mails: u32::try_from(mails.len()).unwrap_or(u32::MAX),
        })
    }
}

/// Generated mails; among them some that are there twice, some of the same identity and size
/// that differ in one byte, some without a Message-ID, some tiny ones, and a long one now and
/// then.
fn mails(seed: u64, scale: &Scale, dice: &mut ChaCha8Rng) -> Vec<Vec<u8>> {
    let count = dice.random_range(scale.mails.clone()) as usize;
    let mut mails: Vec<Vec<u8>> = Vec::with_capacity(count);
    if dice.random_ratio(1, 4) {
        mails.push(long_mail(seed));
    }
    for mail in MailGenerator::new(seed) {
        let known = mails.len();
        match dice.random_range(0..20) {
            0 if known > 0 => mails.push(mails[dice.random_range(0..known)].clone()),
            1 | 2 if known > 0 => mails.push(twin(&mails[dice.random_range(0..known)])),
            3 | 4 => mails.push(without_message_id(&mail.bytes)),
            5 => mails.push(format!("Subject: {known:06}\n\nA tiny one.\n").into_bytes()),
            6 => mails.push(b"Subject: reminder\n\nThe same each week.\n".to_vec()),
            _ => mails.push(mail.bytes),
        }
        if mails.len() >= count {
            break;
        }
    }
    mails
}

/// The same header and size, and another body.
fn twin(mail: &[u8]) -> Vec<u8> {
    let mut twin = mail.to_vec();
    let body = memchr::memmem::find(mail, b"\n\n").unwrap_or(0);
    let letters = twin[body..].iter_mut().rev();
    if let Some(letter) = letters
        .into_iter()
        .find(|byte| byte.is_ascii_alphanumeric())
    {
        *letter = if *letter == b'x' { b'y' } else { b'x' };
    }
    twin
}

fn without_message_id(mail: &[u8]) -> Vec<u8> {
    let Some(start) = memchr::memmem::find(mail, b"\nMessage-ID:") else {
        return mail.to_vec();
    };
    let rest = &mail[start + 1..];
    let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    [&mail[..start], &rest[end..]].concat()
}

fn long_mail(seed: u64) -> Vec<u8> {
    let mut mail = format!("Message-ID: <long.{seed}@lab.example>\nSubject: long\n\n");
    for _ in 0..LONG_LINES {
        mail.push_str(LINE);
        mail.push('\n');
    }
    mail.into_bytes()
}

/// A folder of a Maildir++ tree.
fn maildir_folder(root: &Path, name: &str) -> PathBuf {
    match name {
        "INBOX" => root.to_owned(),
        name => root.join(format!(".{name}")),
    }
}

fn write_maildir(folder: &Path, mails: &[&[u8]]) -> io::Result<()> {
    for part in ["cur", "new", "tmp"] {
        fs::create_dir_all(folder.join(part))?;
    }
    for (n, mail) in mails.iter().enumerate() {
        let name = format!("{}.{n}.lab:2,S", 1_500_000_000 + n);
        fs::write(folder.join("cur").join(name), mail)?;
    }
    Ok(())
}

/// As mboxrd: lines that begin with `From `, whatever number of `>` before it, get one more.
fn mbox(mails: &[&[u8]]) -> Vec<u8> {
    let mut text = Vec::new();
    for mail in mails {
        text.extend_from_slice(b"From lab@lab.example Sat Jul 15 12:00:00 2017\n");
        for line in mail.split_inclusive(|&byte| byte == b'\n') {
            let quotes = line.iter().take_while(|&&byte| byte == b'>').count();
            if line[quotes..].starts_with(b"From ") {
                text.push(b'>');
            }
            text.extend_from_slice(line);
        }
        text.push(b'\n');
    }
    text
}

/// With CRLF, as on the wire.
fn crlf(mail: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(mail.len() + mail.len() / 32);
    for line in mail.split_inclusive(|&byte| byte == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(line) => text.extend([line, b"\r\n"].concat()),
            None => text.extend_from_slice(line),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twin_has_the_same_header_and_size() {
        let mail = b"Subject: x\n\nbody\n";
        assert_eq!(twin(mail), b"Subject: x\n\nbodx\n");
        assert_eq!(twin(&twin(mail)), b"Subject: x\n\nbody\n");
    }

    #[test]
    fn a_message_id_goes_without_a_trace() {
        let check = |mail: &str, expected: &str| {
            assert_eq!(without_message_id(mail.as_bytes()), expected.as_bytes());
        };
        check("A: b\nMessage-ID: <c>\nD: e\n\n", "A: b\nD: e\n\n");
        check("A: b\n\n", "A: b\n\n");
    }

    #[test]
    fn separators_within_an_mbox_are_quoted() {
        let text = mbox(&[b"A: b\n\nFrom c\n>From d\n"]);
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(
            text.ends_with("2017\nA: b\n\n>From c\n>>From d\n\n"),
            "{text}"
        );
    }

    #[test]
    fn a_seed_decides_the_source() {
        let root = tempfile::tempdir().unwrap();
        let write = |seed, name: &str| {
            CrashSource::write(seed, &Scale::SMALL, &root.path().join(name)).unwrap()
        };
        let (first, again, other) = (write(1, "a"), write(1, "b"), write(2, "c"));
        assert_eq!(first.folders, again.folders);
        assert_ne!(first.folders, other.folders);
        assert!(Scale::SMALL.mails.contains(&first.mails));
    }
}
