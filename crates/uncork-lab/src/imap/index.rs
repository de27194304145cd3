//! The index file of a folder: UIDVALIDITY, UIDs, dates and keywords.
//!
//! A text file that only grows: one header line, then one line a message in the order of
//! the UIDs. A later line for the same UID replaces the earlier one. Each commit is one
//! write of all its lines, and where there are several, a line `+n` before them says how
//! many. A commit whose lines are not all there, as a crash leaves it, is cut off when the
//! file is opened: all of a command's messages are in the index, or none.
//!
//! What this costs: some 60 bytes a message on disk, all of them in memory while the server
//! runs, and one line more at each change of keywords. Lines of vanished messages stay, for
//! they are what keeps a UID from being used twice.

use std::borrow::Borrow;
use std::fmt::Write as _;
use std::io;
use std::ops::Range;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags};

use super::date::Seconds;
use super::flags::{Flags, SystemFlags};

/// The file's name in its folder. Not in `cur`, `new` or `tmp`, so no Maildir reader minds.
const FILE: &str = "uncork-lab-index";

/// What the header line begins with; the number is the format's.
const MAGIC: &str = "uncork-lab-index 1 ";

/// A larger file is not read. It stands for some 8 million messages.
const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// What the index knows of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) uid: u32,
    pub(crate) bytes: u64,
    pub(crate) date: Seconds,
    /// The file's name without flags: `base` of `base:2,FS`. Graphic ASCII.
    pub(crate) base: String,
    /// Only keywords are written to the index; system flags stand in the file's name.
    pub(crate) flags: Flags,
}

/// An open index.
#[derive(Debug)]
pub(crate) struct Index {
    file: OwnedFd,
    /// Up to here all lines are whole.
    length: u64,
    pub(crate) uid_validity: u32,
    pub(crate) uid_next: u32,
}

impl Index {
    /// Opens the index beneath this folder, or begins a new one with this UIDVALIDITY where
    /// there is none or its header can't be read.
    pub(crate) fn open(folder: &OwnedFd, fresh_validity: u32) -> io::Result<(Self, Vec<Entry>)> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(folder, FILE, flags, Mode::RUSR | Mode::WUSR)?;
        let size = u64::try_from(rustix::fs::fstat(&file)?.st_size).unwrap_or(0);
        if size > FILE_BYTES_MAX {
            return Err(io::Error::other("the folder's index file is too large"));
        }
        let content = read_all(&file, size)?;
        let whole = memchr::memrchr(b'\n', &content).map_or(0, |at| at + 1);
        let text = whole_commits(std::str::from_utf8(&content[..whole]).unwrap_or(""));
        let mut index = Self {
            file,
            length: text.len() as u64,
            uid_validity: fresh_validity,
            uid_next: 1,
        };
        let mut lines = text.lines();
        let Some(uid_validity) = lines.next().and_then(header) else {
            index.length = 0;
            rustix::fs::ftruncate(&index.file, 0)?;
            index.append(&format!("{MAGIC}{fresh_validity}\n"))?;
            return Ok((index, Vec::new()));
        };
        index.uid_validity = uid_validity;
        if index.length < size {
            rustix::fs::ftruncate(&index.file, index.length)?;
        }
        let entries = collect(lines.filter_map(entry));
        index.uid_next = entries
            .last()
            .map_or(1, |entry| entry.uid.saturating_add(1));
        Ok((index, entries))
    }

    /// Removes the index of this folder, so that the next opening begins a new one.
    pub(crate) fn remove(folder: &OwnedFd) -> io::Result<()> {
        match rustix::fs::unlinkat(folder, FILE, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The UIDs of the next so many messages.
    pub(crate) fn next_uids(&self, count: usize) -> io::Result<Range<u32>> {
        u32::try_from(count)
            .ok()
            .and_then(|count| self.uid_next.checked_add(count))
            .map(|end| self.uid_next..end)
            .ok_or_else(|| io::Error::other("the folder is out of UIDs"))
    }

    /// Writes the entries of one commit, all or none, and tells the length before, to which
    /// [`Index::cut`] goes back.
    pub(crate) fn commit<E: Borrow<Entry>>(&mut self, entries: &[E]) -> io::Result<u64> {
        let before = self.length;
        let mut lines = String::with_capacity(entries.len() * 80);
        if entries.len() > 1 {
            let _ = writeln!(lines, "+{}", entries.len());
        }
        for entry in entries {
            entry.borrow().push_line(&mut lines);
        }
        if !lines.is_empty() {
            self.append(&lines)?;
        }
        if let Some(last) = entries.last() {
            self.uid_next = self.uid_next.max(last.borrow().uid.saturating_add(1));
        }
        Ok(before)
    }

    /// Takes back what was committed last. Its UIDs stay used.
    pub(crate) fn cut(&mut self, length: u64) {
        if rustix::fs::ftruncate(&self.file, length).is_ok() {
            self.length = length;
        }
    }

    /// Appends whole lines with one write. Where that fails nothing of them stays.
    fn append(&mut self, lines: &str) -> io::Result<()> {
        let mut written = 0;
        while written < lines.len() {
            let rest = &lines.as_bytes()[written..];
            match rustix::io::pwrite(&self.file, rest, self.length + written as u64) {
                Ok(count) => written += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    // A torn line that can't be cut now is cut at the next opening.
                    let _ = rustix::fs::ftruncate(&self.file, self.length);
                    return Err(error.into());
                }
            }
        }
        self.length += written as u64;
        Ok(())
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        rustix::fs::fdatasync(&self.file).map_err(Into::into)
    }
}

impl Entry {
    /// Writes the entry's line.
    pub(crate) fn push_line(&self, lines: &mut String) {
        let _ = write!(
            lines,
            "{} {} {} {}",
            self.uid, self.bytes, self.date, self.base
        );
        for keyword in &self.flags.keywords {
            lines.push(' ');
            lines.push_str(keyword);
        }
        lines.push('\n');
    }
}

fn read_all(file: &OwnedFd, size: u64) -> io::Result<Vec<u8>> {
    let mut content = vec![0; usize::try_from(size).unwrap_or(0)];
    let mut length = 0;
    while length < content.len() {
        match rustix::io::pread(file, &mut content[length..], length as u64) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    content.truncate(length);
    Ok(content)
}

/// What of these lines belongs to whole commits.
fn whole_commits(text: &str) -> &str {
    let (mut at, mut commit_at, mut left) = (0, 0, 0u64);
    for line in text.split_inclusive('\n') {
        if left > 0 {
            left -= 1;
        } else if let Some(count) = line.trim_end().strip_prefix('+') {
            commit_at = at;
            left = count.parse().unwrap_or(0);
        }
        at += line.len();
    }
    if left > 0 { &text[..commit_at] } else { text }
}

fn header(line: &str) -> Option<u32> {
    line.strip_prefix(MAGIC)?
        .parse()
        .ok()
        .filter(|validity| *validity > 0)
}

fn entry(line: &str) -> Option<Entry> {
    let mut words = line.split(' ');
    let uid = words.next()?.parse().ok().filter(|uid| *uid > 0)?;
    let bytes = words.next()?.parse().ok()?;
    let date = words.next()?.parse().ok()?;
    let base = words.next().filter(|base| is_base(base))?.to_owned();
    let flags = Flags::from_words(SystemFlags::default(), words);
    Some(Entry {
        uid,
        bytes,
        date,
        base,
        flags,
    })
}

/// Whether a file's name can stand in a line, and is no way out of the folder.
pub(crate) fn is_base(base: &str) -> bool {
    !base.is_empty()
        && base
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b':')
        && !base.starts_with('.')
}

/// Puts the lines' entries in the order of their UIDs, the later line for a UID winning.
fn collect(lines: impl Iterator<Item = Entry>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for entry in lines {
        if entries.last().is_none_or(|last| last.uid < entry.uid) {
            entries.push(entry);
            continue;
        }
        match entries.binary_search_by_key(&entry.uid, |known| known.uid) {
            Ok(at) => entries[at] = entry,
            Err(at) => entries.insert(at, entry),
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::fd::OwnedFd as StdFd;
    use std::path::Path;

    fn open(path: &Path) -> (Index, Vec<Entry>) {
        let folder: StdFd = fs::File::open(path).unwrap().into();
        Index::open(&folder, 77).unwrap()
    }

    fn sample(uid: u32, keyword: &str) -> Entry {
        Entry {
            uid,
            bytes: 7,
            date: -5,
            base: format!("1.M2P3Q{uid}.lab,S=7"),
            flags: Flags::from_words(SystemFlags::default(), keyword.split_whitespace()),
        }
    }

    fn append(index: &mut Index, entries: &[Entry]) {
        index.commit(entries).unwrap();
    }

    #[test]
    fn what_was_appended_is_read_again() {
        let root = tempfile::tempdir().unwrap();
        let (mut index, entries) = open(root.path());
        assert_eq!(
            (index.uid_validity, index.uid_next, entries.len()),
            (77, 1, 0)
        );
        append(
            &mut index,
            &[sample(1, ""), sample(2, "$a b"), sample(1, "c")],
        );
        drop(index);
        let (index, entries) = open(root.path());
        assert_eq!((index.uid_validity, index.uid_next), (77, 3));
        assert_eq!(entries, [sample(1, "c"), sample(2, "$a b")]);
    }

    #[test]
    fn a_torn_line_is_cut_off_and_written_over() {
        let root = tempfile::tempdir().unwrap();
        let (mut index, _) = open(root.path());
        append(&mut index, &[sample(1, "")]);
        let path = root.path().join(FILE);
        let mut content = fs::read(&path).unwrap();
        content.extend_from_slice(b"2 1000 17000000 1.M2P3Q2.lab with a very long torn li");
        fs::write(&path, content).unwrap();
        let (mut index, entries) = open(root.path());
        assert_eq!(entries, [sample(1, "")]);
        append(&mut index, &[sample(2, "")]);
        assert_eq!(open(root.path()).1, [sample(1, ""), sample(2, "")]);
    }

    #[test]
    fn a_commit_is_read_whole_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let (mut index, _) = open(root.path());
        append(&mut index, &[sample(1, "")]);
        let path = root.path().join(FILE);
        let before = fs::read(&path).unwrap().len();
        append(&mut index, &[sample(2, ""), sample(3, "k"), sample(4, "")]);
        let whole = fs::read(&path).unwrap();
        for length in before..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let (index, entries) = open(root.path());
            assert_eq!((index.uid_next, entries.len()), (2, 1), "{length}");
        }
        fs::write(&path, &whole).unwrap();
        assert_eq!(open(root.path()).1.len(), 4);
    }

    #[test]
    fn garbage_is_passed_over() {
        let check = |content: &[u8], expected: (u32, usize)| {
            let root = tempfile::tempdir().unwrap();
            fs::write(root.path().join(FILE), content).unwrap();
            let (index, entries) = open(root.path());
            assert_eq!(
                (index.uid_validity, entries.len()),
                expected,
                "{:?}",
                String::from_utf8_lossy(content)
            );
        };
        check(b"", (77, 0));
        check(b"\xff\xff\n", (77, 0));
        check(b"something else\n1 2 3 a\n", (77, 0));
        check(b"uncork-lab-index 1 5", (77, 0));
        check(
            b"uncork-lab-index 1 5\nx\n0 1 1 a\n1 1 1 ../a\n1 1 1 .a\n1 1\n2 1 1 ok\n",
            (5, 1),
        );
    }
}
