//! What was changed, written down so that it can be undone: a line of JSON for each socket, in a folder
//! that is the user's alone. It is about one run of the machine, so it is where that run's files are.

mod entry;
mod place;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use uncork_sockets::Socket;

pub(crate) use self::entry::Entry;
use self::place::Place;

/// More than this is not kept: the oldest changes go first, being those whose sockets are most likely
/// gone.
const ENTRIES_MAX: usize = 65_536;

/// The file is not read any further: it is of somebody else's making, or broken.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// How long another uncork may have the record for itself: it does so for milliseconds, unless it is
/// stopped.
const LOCK_WAIT: Duration = Duration::from_secs(3);

/// Between two tries to get it.
const LOCK_INTERVAL: Duration = Duration::from_millis(5);

/// A file this long is looked through for what can be dropped before it grows: about [`ENTRIES_MAX`]
/// lines.
const TIDY_BYTES: u64 = 10 << 20;

/// Why there is no record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Nothing there that could hold it.
    #[error("no folder for the record of changes: {0}")]
    Place(String),
    /// It is there, and can't be used.
    #[error("the record of changes in {} can't be used ({call}: {reason})", path.display())]
    File {
        /// Where it is.
        path: PathBuf,
        /// Which system call failed.
        call: &'static str,
        /// What the kernel said.
        reason: io::Error,
    },
}

/// The record of changes.
#[derive(Debug)]
pub struct Record {
    file: File,
    path: PathBuf,
    /// Of this start of the machine: cookies begin anew with each.
    boot: String,
    /// What there is in other places of the user: nothing is added to it.
    others: Vec<Self>,
}

impl Record {
    /// Opens the user's record, and makes it where it is missing: in `/run/uncork` for root, in a folder
    /// in `/tmp` that belongs to the user for others, or else in `/run/user/UID/uncork` or
    /// `$XDG_RUNTIME_DIR/uncork`. What the others of these have belongs to it, too.
    ///
    /// # Errors
    /// Where none of them is to be had, or belongs to somebody else.
    pub fn open() -> Result<Self, RecordError> {
        Self::open_among(&Place::candidates())
    }

    fn open_among(folders: &[PathBuf]) -> Result<Self, RecordError> {
        let (place, others) = Place::among(folders)?;
        let mut record = Self::within(&place)?;
        for other in others {
            // Most often it has none.
            if let Ok(file) = other.open_existing() {
                record.others.push(Self {
                    file,
                    path: other.file(),
                    boot: record.boot.clone(),
                    others: Vec::new(),
                });
            }
        }
        Ok(record)
    }

    /// Opens a record in a folder that belongs to the user and that nobody else may enter; the folder
    /// is made where it is missing.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(folder: &Path) -> Result<Self, RecordError> {
        Self::within(&Place::at(folder).map_err(RecordError::Place)?)
    }

    fn within(place: &Place) -> Result<Self, RecordError> {
        let path = place.file();
        let file = place.open();
        let file = file.map_err(|(call, reason)| RecordError::File {
            path: path.clone(),
            call,
            reason,
        })?;
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        let boot = boot.map_or_else(|_| String::new(), |boot| boot.trim().to_owned());
        Ok(Self {
            file,
            path,
            boot,
            others: Vec::new(),
        })
    }

    /// Where it is written.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is to be written down of a socket.
    pub(crate) fn entry(&self, pid: u32, socket: &Socket, nodelay: bool) -> Entry {
        Entry::new(&self.boot, pid, socket, nodelay)
    }

    /// Writes down how a socket is, before it is changed: what is not written can't be undone.
    pub(crate) fn add(&mut self, entry: &Entry) -> Result<(), RecordError> {
        let line = entry.line();
        self.locked(|record| {
            let end = record.file.seek(SeekFrom::End(0));
            let end = record.failed("lseek", end)?;
            if end > TIDY_BYTES {
                let entries = record.read()?;
                record.write(&drop_what_is_over(entries, is_running))?;
            }
            // A line that a crash has cut off must not take the next one with it: an empty line is none.
            let text = format!("\n{line}");
            let written = record.file.write_all(text.as_bytes());
            record.failed("write", written)
        })
    }

    /// The changes of this start of the machine, of each place the eldest first.
    pub(crate) fn entries(&mut self) -> Result<Vec<Entry>, RecordError> {
        let mut entries = Vec::new();
        for other in &mut self.others {
            entries.extend(other.locked(Self::read)?);
        }
        entries.extend(self.locked(Self::read)?);
        Ok(entries)
    }

    /// Drops all entries that `is_done` says, and nothing that was added meanwhile.
    pub(crate) fn remove(&mut self, is_done: impl Fn(&Entry) -> bool) -> Result<(), RecordError> {
        for other in &mut self.others {
            other.remove_here(&is_done)?;
        }
        self.remove_here(&is_done)
    }

    fn remove_here(&mut self, is_done: &impl Fn(&Entry) -> bool) -> Result<(), RecordError> {
        self.locked(|record| {
            let mut entries = record.read()?;
            entries.retain(|entry| !is_done(entry));
            record.write(&entries)
        })
    }

    /// Other processes of the user may be at it, too.
    fn locked<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, RecordError>,
    ) -> Result<T, RecordError> {
        let until = Instant::now() + LOCK_WAIT;
        let lock = loop {
            match flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if Instant::now() < until => sleep(LOCK_INTERVAL),
                lock => break lock,
            }
        };
        self.failed("flock", lock.map_err(io::Error::from))?;
        let result = work(self);
        let unlock = flock(&self.file, FlockOperation::Unlock);
        self.failed("flock", unlock.map_err(io::Error::from))?;
        result
    }

    /// Lines that are none, cut off or of another start, are passed over.
    fn read(&mut self) -> Result<Vec<Entry>, RecordError> {
        let mut bytes = Vec::new();
        let read = self.file.rewind().and_then(|()| {
            let mut bounded = (&self.file).take(FILE_BYTES_MAX);
            bounded.read_to_end(&mut bytes)
        });
        self.failed("read", read)?;
        let lines = bytes.split(|byte| *byte == b'\n');
        let entries = lines.filter_map(Entry::parse);
        Ok(entries.filter(|entry| entry.is_of(&self.boot)).collect())
    }

    /// What is kept is never longer than what was there. So it is written over it, then cut: a crash in
    /// between leaves lines twice or broken, which does no harm, and no moment without any.
    fn write(&mut self, entries: &[Entry]) -> Result<(), RecordError> {
        let text: String = entries
            .iter()
            .map(|entry| format!("\n{}", entry.line()))
            .collect();
        let text = if text.is_empty() { text } else { text + "\n" };
        let written = self.file.rewind().and_then(|()| {
            self.file.write_all(text.as_bytes())?;
            self.file.set_len(text.len() as u64)
        });
        self.failed("write", written)
    }

    fn failed<T>(&self, call: &'static str, result: io::Result<T>) -> Result<T, RecordError> {
        let path = &self.path;
        result.map_err(|reason| RecordError::File {
            path: path.clone(),
            call,
            reason,
        })
    }
}

/// Makes room: changes to sockets of processes that are gone, then the eldest.
fn drop_what_is_over(mut entries: Vec<Entry>, is_running: impl Fn(u32) -> bool) -> Vec<Entry> {
    entries.retain(|entry| is_running(entry.pid));
    let over = entries.len().saturating_sub(ENTRIES_MAX / 2);
    entries.split_off(over)
}

fn is_running(pid: u32) -> bool {
    std::fs::exists(format!("/proc/{pid}")).unwrap_or(true)
}

#[cfg(test)]
mod tests;
