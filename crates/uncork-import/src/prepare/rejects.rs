//! The folder for mails that were repaired or refused, as they were.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::OFlags;

use super::spool::{STEP_BYTES, Spool};
use crate::mail::{Mail, Position, Text};

/// Most characters of a source's name that a file's name takes over.
const NAME_CHARS_MAX: usize = 80;

/// Most characters of a reason in the index: servers can be talkative.
const REASON_CHARS_MAX: usize = 1000;

/// How many numbers that another process took first are passed over.
const TAKEN_MAX: u32 = 1000;

/// The list of what is in the folder.
const INDEX: &str = "index.tsv";

/// The folder can't be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "the folder for repaired and refused mails, {}, can't be used; name one that you can write \
     to", dir.display()
)]
pub struct RejectsError {
    dir: PathBuf,
    source: io::Error,
}

/// What became of a mail that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It went on, after repairs.
    Repaired,
    /// It went nowhere.
    Refused,
}

/// The folder. Its files are numbered through all runs, so that none is ever written over, and
/// nobody but the user can read them.
#[derive(Debug)]
pub(crate) struct Rejects {
    dir: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: u64,
    index: File,
    trouble: Option<String>,
}

impl Rejects {
    /// Makes the folder where it is missing.
    ///
    /// # Errors
    /// It can't be made, read, or written to.
    pub(crate) fn open(dir: &Path) -> Result<Self, RejectsError> {
        let state = State::open(dir).map_err(|source| RejectsError {
            dir: dir.to_owned(),
            source,
        })?;
        Ok(Self {
            dir: dir.to_owned(),
            state: Mutex::new(state),
        })
    }

    /// Keeps a mail as the source has it. If that fails the import goes on, since the source
    /// still has the mail; see [`trouble`](Self::trouble).
    pub(crate) fn keep(&self, original: &Original, at: &Position, outcome: Outcome, why: &str) {
        let kept = match &original.lost {
            None => self.write(at, outcome, why, |file| {
                if let Some(spooled) = &original.text.file {
                    copy(spooled, file)?;
                }
                file.write_all(&original.text.memory)
            }),
            Some(lost) => Err(io::Error::other(lost.clone())),
        };
        self.note_trouble(kept, at);
    }

    /// Keeps a mail that the server refused, as it was sent.
    pub(crate) fn keep_refused(&self, mail: &Mail, reason: &str) {
        let outcome = Outcome::Refused;
        let kept = self.write(&mail.position, outcome, reason, |file| match &mail.text {
            Text::Memory(text) => file.write_all(text),
            Text::Spool(spooled) => copy(spooled, file),
        });
        self.note_trouble(kept, &mail.position);
    }

    /// The first mail that could not be kept, and why.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.state().trouble.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_trouble(&self, kept: io::Result<()>, position: &Position) {
        if let Err(error) = kept {
            self.state().trouble.get_or_insert_with(|| {
                format!(
                    "{position} could not be kept in {}: {error}",
                    self.dir.display()
                )
            });
        }
    }

    fn write(
        &self,
        position: &Position,
        outcome: Outcome,
        why: &str,
        write_text: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut state = self.state();
        let (mut file, name) = state.create(&self.dir, &safe_name(position))?;
        // Half a mail would be taken for a whole one.
        write_text(&mut file).inspect_err(|_| {
            let _ = fs::remove_file(self.dir.join(&name));
        })?;
        let outcome = match outcome {
            Outcome::Repaired => "repaired",
            Outcome::Refused => "refused",
        };
        let position = one_line(&position.to_string(), usize::MAX);
        let why = one_line(why, REASON_CHARS_MAX);
        // One write, so that the lines of two processes do not mix.
        let line = format!("{name}\t{position}\t{outcome}\t{why}\n");
        state.index.write_all(line.as_bytes())
    }
}

impl State {
    fn open(dir: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let mut next = 1;
        for entry in fs::read_dir(dir)? {
            let number = number_of(entry?.file_name().as_encoded_bytes());
            next = next.max(number.map_or(0, |number| number.saturating_add(1)));
        }
        let flags = i32::try_from(OFlags::NOFOLLOW.bits()).map_err(io::Error::other)?;
        let mut index = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(flags)
            .open(dir.join(INDEX))?;
        if index.metadata()?.len() == 0 {
            index.write_all(b"file\tposition\toutcome\treason\n")?;
        }
        Ok(Self {
            next,
            index,
            trouble: None,
        })
    }

    fn create(&mut self, dir: &Path, safe_name: &str) -> io::Result<(File, String)> {
        let mut taken = 0;
        loop {
            let name = format!("{:06}-{safe_name}.eml", self.next);
            self.next = self.next.saturating_add(1);
            let created = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(dir.join(&name));
            match created {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    taken += 1;
                    if taken > TAKEN_MAX {
                        return Err(error);
                    }
                }
                created => return created.map(|file| (file, name)),
            }
        }
    }
}

/// The number that a file's name begins with.
fn number_of(name: &[u8]) -> Option<u64> {
    let digits = name.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&name[..digits]).ok()?.parse().ok()
}

/// The last names of a position, in letters that every system takes and no shell minds.
fn safe_name(position: &Position) -> String {
    let file = position.file.file_name().unwrap_or_default();
    let mut name = file.to_string_lossy().into_owned();
    if let Some(entry) = &position.entry {
        let last = entry.rsplit('/').next().unwrap_or_default();
        let _ = write!(name, "-{last}");
    }
    let name = name.strip_suffix(".eml").unwrap_or(&name);
    let mut safe: String = name
        .chars()
        .map(|char| match char {
            '.' | '_' | '-' => char,
            _ if char.is_ascii_alphanumeric() => char,
            _ => '_',
        })
        .take(NAME_CHARS_MAX)
        .collect();
    if let Some(offset) = position.offset {
        let _ = write!(safe, "-{offset}");
    }
    safe
}

/// Without what would end a line or a column, and no longer than that.
fn one_line(text: &str, chars_max: usize) -> String {
    let mut line = String::with_capacity(text.len().min(chars_max));
    for char in text.chars().take(chars_max) {
        if char.is_control() || char == '\\' {
            line.extend(char.escape_default());
        } else {
            line.push(char);
        }
    }
    line
}

fn copy(from: &File, to: &mut File) -> io::Result<()> {
    let mut step = vec![0; STEP_BYTES];
    let mut offset = 0;
    loop {
        // The file's own position is for whoever sends it.
        match from.read_at(&mut step, offset) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                to.write_all(&step[..read])?;
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A mail as the source has it, kept until it is known whether it is wanted.
#[derive(Debug, Default)]
pub(crate) struct Original {
    text: Spool,
    bytes: u64,
    /// Why it is not whole.
    lost: Option<String>,
}

impl Original {
    /// Appends the next piece; beyond `bytes_max` nothing is kept.
    pub(crate) fn push(&mut self, piece: &[u8], bytes_max: u64) {
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        if self.bytes > bytes_max {
            self.lose(format!("is longer than {bytes_max} bytes"));
        }
        for step in piece.chunks(STEP_BYTES) {
            if self.lost.is_some() {
                return;
            }
            self.text.memory.extend_from_slice(step);
            if self.text.is_due()
                && let Err(error) = self.text.flush()
            {
                self.lose(format!("could not be kept meanwhile: {error}"));
            }
        }
    }

    /// Forgets it, for the next one. Memory is kept as far as mails usually need it.
    pub(crate) fn clear(&mut self) {
        let mut memory = std::mem::take(&mut self.text.memory);
        memory.clear();
        memory.shrink_to(STEP_BYTES);
        *self = Self::default();
        self.text.memory = memory;
    }

    fn lose(&mut self, reason: String) {
        if self.lost.is_none() {
            self.text = Spool::default();
            self.lost = Some(reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Identity;
    use crate::prepare::spool::MEMORY_BYTES_MAX;
    use bytes::Bytes;
    use std::os::unix::fs::PermissionsExt;

    fn position(file: &str, entry: Option<&str>, offset: Option<u64>) -> Position {
        Position {
            file: Path::new(file).into(),
            entry: entry.map(Into::into),
            offset,
        }
    }

    fn original(text: &[u8]) -> Original {
        let mut original = Original::default();
        original.push(text, u64::MAX);
        original
    }

    fn index_of(dir: &Path) -> String {
        fs::read_to_string(dir.join(INDEX)).unwrap()
    }

    #[test]
    fn names() {
        for (position, expected) in [
            (position("/a/b c.eml", None, None), "b_c"),
            (position("/a/box", None, Some(7)), "box-7"),
            (position("t.zip", Some("x/../y\tz"), None), "t.zip-y_z"),
            (position("/", None, None), ""),
            (position("/a/Entwürfe\n", None, None), "Entw_rfe_"),
        ] {
            assert_eq!(safe_name(&position), expected);
        }
        let long = position(&"x".repeat(300), None, Some(u64::MAX));
        assert!(safe_name(&long).len() < 120);
    }

    #[test]
    fn lines_stay_lines() {
        assert_eq!(one_line("a\tb\nc\\\u{7f}ü", 99), "a\\tb\\nc\\\\\\u{7f}ü");
        assert_eq!(one_line("abc", 2), "ab");
    }

    #[test]
    fn a_second_run_goes_on_where_the_first_ended() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("some/rejects");
        let at = position("/mail/box", None, Some(7));
        let rejects = Rejects::open(&dir).unwrap();
        rejects.keep(&original(b"one"), &at, Outcome::Repaired, "NUL");
        let rejects = Rejects::open(&dir).unwrap();
        // Somebody else takes the next number for the same mail.
        fs::write(dir.join("000002-box-7.eml"), "theirs").unwrap();
        rejects.keep(&original(b"two"), &at, Outcome::Refused, "a\tb");
        assert_eq!(rejects.trouble(), None);
        let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
        assert_eq!(read("000001-box-7.eml"), "one");
        assert_eq!(read("000002-box-7.eml"), "theirs");
        assert_eq!(read("000003-box-7.eml"), "two");
        assert_eq!(
            index_of(&dir),
            "file\tposition\toutcome\treason\n\
             000001-box-7.eml\t/mail/box at byte 7\trepaired\tNUL\n\
             000003-box-7.eml\t/mail/box at byte 7\trefused\ta\\tb\n"
        );
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(dir.clone()), 0o700);
        assert_eq!(mode(dir.join(INDEX)), 0o600);
        assert_eq!(mode(dir.join("000001-box-7.eml")), 0o600);
    }

    #[test]
    fn long_mails_are_kept_whole() {
        let dir = tempfile::tempdir().unwrap();
        let rejects = Rejects::open(dir.path()).unwrap();
        let text: Vec<u8> = (0..=250).cycle().take(3 * MEMORY_BYTES_MAX).collect();
        let kept = original(&text);
        assert!(kept.text.file.is_some());
        let at = position("big.eml", None, None);
        rejects.keep(&kept, &at, Outcome::Repaired, "");
        assert!(fs::read(dir.path().join("000001-big.eml")).unwrap() == text);
    }

    #[test]
    fn what_a_server_refused() {
        let dir = tempfile::tempdir().unwrap();
        let rejects = Rejects::open(dir.path()).unwrap();
        let mut spooled = Spool::default();
        spooled.memory.extend_from_slice(b"spooled");
        spooled.flush().unwrap();
        let texts = [
            Text::Memory(Bytes::from_static(b"in memory")),
            Text::Spool(spooled.file.unwrap().into()),
        ];
        for text in texts {
            let mail = Mail {
                position: position("a", None, None),
                flags: Vec::new(),
                internal_date: None,
                len: 0,
                text,
                digest: [0; 32],
                identity: Identity::of_header(b""),
                has_nul: false,
            };
            rejects.keep_refused(&mail, "too big");
        }
        let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
        assert_eq!(read("000001-a.eml"), b"in memory");
        assert_eq!(read("000002-a.eml"), b"spooled");
    }

    #[test]
    fn what_can_not_be_kept_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let rejects = Rejects::open(dir.path()).unwrap();
        let mut long = Original::default();
        long.push(b"too long", 3);
        let at = position("a", None, None);
        rejects.keep(&long, &at, Outcome::Refused, "");
        let trouble = rejects.trouble().unwrap();
        assert!(trouble.contains("longer than 3 bytes"), "{trouble}");
        // The next one is kept again.
        long.clear();
        long.push(b"ok", 3);
        rejects.keep(&long, &at, Outcome::Refused, "");
        assert_eq!(index_of(dir.path()).lines().count(), 2);

        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Rejects::open(&file).unwrap_err();
        assert!(error.to_string().contains("can't be used"), "{error}");
    }
}
