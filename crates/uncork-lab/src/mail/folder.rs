//! Generated mails on disk, as a Maildir or as a folder of `.eml` files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use super::{GeneratedMail, MailGenerator};

/// The process that the Maildir names claim to come from.
const NAMED_PROCESS: u32 = 1_234;

/// The host that they claim to come from.
const NAMED_HOST: &str = "lab.example";

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MaildirSummary {
    /// All mails, those in `new` among them.
    pub messages: usize,
    /// Mails left in `new`.
    pub in_new: usize,
    /// The sum of all file sizes.
    pub bytes: u64,
    /// The longest file.
    pub longest_bytes: u64,
}

/// Writes the first `count` mails of `seed` as a Maildir: `cur`, `new` and `tmp` beneath `root`,
/// LF line ends, flags in the names, each file's mtime its internal date. Every other mail
/// without flags stays in `new`, so there are some of both. Names and bytes are the same
/// each time.
///
/// # Errors
/// Where a folder or file can't be written, or a file of that name is already there.
pub fn write_maildir(root: &Path, seed: u64, count: usize) -> io::Result<MaildirSummary> {
    for folder in ["cur", "new", "tmp"] {
        fs::create_dir_all(root.join(folder))?;
    }
    let (cur, new) = (root.join("cur"), root.join("new"));
    let mut summary = MaildirSummary::default();
    let mut unflagged = 0;
    for (n, mail) in MailGenerator::new(seed).take(count).enumerate() {
        let name = maildir_name(&mail, n);
        unflagged += usize::from(mail.flags.is_empty());
        let path = if mail.flags.is_empty() && unflagged % 2 == 1 {
            summary.in_new += 1;
            new.join(name)
        } else {
            cur.join(format!("{name}:2,{}", mail.flags.maildir_letters()))
        };
        write_file(&path, &mail, &mail.bytes, &mut summary)?;
    }
    Ok(summary)
}

/// Writes the first `count` mails of `seed` as files `000001.eml` and so on into `folder`, with
/// CRLF line ends as mail programs export them, each file's mtime its internal date. The flags
/// are lost, as they are in an export.
///
/// # Errors
/// Where the folder or a file can't be written, or a file of that name is already there.
pub fn write_eml_folder(folder: &Path, seed: u64, count: usize) -> io::Result<MaildirSummary> {
    fs::create_dir_all(folder)?;
    let mut summary = MaildirSummary::default();
    for (n, mail) in MailGenerator::new(seed).take(count).enumerate() {
        let path = folder.join(format!("{:06}.eml", n + 1));
        write_file(&path, &mail, &mail.bytes_crlf(), &mut summary)?;
    }
    Ok(summary)
}

/// `<secs>.M<usec>P<pid>_<n>.<host>`, unique by its `n`.
fn maildir_name(mail: &GeneratedMail, n: usize) -> String {
    let seconds = mail.internal_date.as_second();
    // Any microsecond would do; a prime's multiples look as arbitrary as real ones.
    let microsecond = n * 7_919 % 1_000_000;
    format!("{seconds}.M{microsecond}P{NAMED_PROCESS}_{n}.{NAMED_HOST}")
}

fn write_file(
    path: &Path,
    mail: &GeneratedMail,
    bytes: &[u8],
    summary: &mut MaildirSummary,
) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.set_modified(SystemTime::from(mail.internal_date))?;
    let length = bytes.len() as u64;
    summary.messages += 1;
    summary.bytes += length;
    summary.longest_bytes = summary.longest_bytes.max(length);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const SEED: u64 = 11;
    const COUNT: usize = 200;

    fn files(folder: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
        fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let modified = entry.metadata().unwrap().modified().unwrap();
                let bytes = fs::read(entry.path()).unwrap();
                (entry.file_name().into_string().unwrap(), (bytes, modified))
            })
            .collect()
    }

    #[test]
    fn a_maildir_holds_what_was_generated() {
        let root = tempfile::tempdir().unwrap();
        let summary = write_maildir(root.path(), SEED, COUNT).unwrap();
        let cur = files(&root.path().join("cur"));
        let new = files(&root.path().join("new"));
        assert!(files(&root.path().join("tmp")).is_empty());
        assert_eq!(summary.messages, COUNT);
        assert_eq!(summary.in_new, new.len());
        assert_eq!(cur.len() + new.len(), COUNT);
        assert!(!new.is_empty());
        assert!(cur.keys().any(|name| name.ends_with(":2,")));
        assert!(new.keys().all(|name| !name.contains(':')));

        let mut bytes = 0;
        for (n, mail) in MailGenerator::new(SEED).take(COUNT).enumerate() {
            let name = maildir_name(&mail, n);
            let flagged = format!("{name}:2,{}", mail.flags.maildir_letters());
            let (written, modified) = new.get(&name).or_else(|| cur.get(&flagged)).unwrap();
            assert_eq!(*written, mail.bytes);
            assert_eq!(*modified, SystemTime::from(mail.internal_date));
            bytes += mail.bytes.len() as u64;
        }
        assert_eq!(summary.bytes, bytes);

        let again = write_maildir(root.path(), SEED, 1).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn an_eml_folder_has_crlf() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("export");
        let summary = write_eml_folder(&folder, SEED, 10).unwrap();
        assert_eq!((summary.messages, summary.in_new), (10, 0));
        let files = files(&folder);
        let first = MailGenerator::new(SEED).next().unwrap();
        assert_eq!(files["000001.eml"].0, first.bytes_crlf());
        assert_eq!(files["000001.eml"].1, SystemTime::from(first.internal_date));
        assert_eq!(files.len(), 10);
    }
}
