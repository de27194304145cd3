//! The messages of one APPEND: in `tmp` until their commit.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::content::{Filter, Verdict};
use super::flags::Flags;
use super::folder::{Committed, Folder, Reach, Staged};
use super::house::House;
use super::message_head::MessageHead;
use super::session::{End, Session};
use super::wire::CONTIGUOUS_BYTES_MAX;

/// Messages and bytes in one command.
const MESSAGES_MAX: usize = 10_000;
const BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Messages in `tmp` for one command. Dropped before its commit it removes them, unless the
/// server has crashed.
#[derive(Debug)]
pub(crate) struct Batch {
    folder: Arc<Folder>,
    staged: Vec<Staged>,
    messages: usize,
    bytes: u64,
    committed: Option<Committed>,
}

impl Drop for Batch {
    fn drop(&mut self) {
        for message in &self.staged {
            self.folder.forget(message);
        }
    }
}

impl Batch {
    pub(crate) fn new(folder: Arc<Folder>) -> Self {
        Self {
            folder,
            staged: Vec::new(),
            messages: 0,
            bytes: 0,
            committed: None,
        }
    }

    /// Stores one message as it is, and tells its UID.
    pub(crate) fn deliver(house: &House, folder: Arc<Folder>, message: &[u8]) -> io::Result<u32> {
        let mut batch = Self::new(folder);
        let bytes = message.len() as u64;
        let staged = Staged {
            base: house.store.file_name(bytes),
            bytes,
            flags: Flags::default(),
            date: None,
        };
        let file = batch.folder.create(&staged.base, staged.flags.system)?;
        batch.staged.push(staged);
        write_all(&file, message)?;
        batch.folder.finish(&file, None)?;
        let committed = batch.folder.commit(&mut batch.staged, Reach::Whole)?;
        Ok(committed.uids.first().map_or(0, |run| run.0))
    }

    /// Whether so many bytes are too many on top.
    pub(crate) fn is_full(&self, bytes: u64) -> bool {
        self.messages >= MESSAGES_MAX || self.bytes.saturating_add(bytes) > BYTES_MAX
    }

    /// Reads a literal into a file in `tmp`. The outer result is the connection's, the inner
    /// one the disk's: where that fails the literal has been read nevertheless.
    pub(crate) fn stage(
        &mut self,
        session: &mut Session,
        head: MessageHead,
    ) -> Result<io::Result<(Verdict, &'static str)>, End> {
        let house = Arc::clone(&session.house);
        let personality = &house.personality;
        let mut filter = Filter::new(
            personality.strictness,
            &personality.alterations,
            head.octets,
        );
        let bytes = head.literal.bytes + filter.prefix().len() as u64;
        self.messages += 1;
        self.bytes += bytes;
        // Noted before there is a file, so that it is removed whatever happens on the way.
        let message = Staged {
            base: house.store.file_name(bytes),
            bytes,
            flags: head.flags,
            date: head.date,
        };
        let file = self.folder.create(&message.base, message.flags.system);
        self.staged.push(message);
        let written = spool(session, file, head.literal.bytes, &mut filter)?;
        let finished = written.and_then(|file| self.folder.finish(&file, head.date));
        let delay = house.faults.disk_delay();
        if !delay.is_zero() {
            house.pause(delay);
        }
        Ok(finished.map(|()| filter.verdict()))
    }

    /// Removes the message that was staged last.
    pub(crate) fn unstage(&mut self) {
        if let Some(message) = self.staged.pop() {
            self.folder.forget(&message);
        }
    }

    /// Stores what is staged.
    pub(crate) fn commit(&mut self, session: &Session, reach: Reach) -> io::Result<()> {
        let count = self.staged.len() as u64;
        if count == 0 {
            return Ok(());
        }
        let committed = self.folder.commit(&mut self.staged, reach)?;
        session.house.stored.fetch_add(count, Ordering::AcqRel);
        match &mut self.committed {
            None => self.committed = Some(committed),
            Some(before) => {
                for (first, last) in committed.uids {
                    match before.uids.last_mut() {
                        Some(run) if run.1.checked_add(1) == Some(first) => run.1 = last,
                        _ => before.uids.push((first, last)),
                    }
                }
            }
        }
        Ok(())
    }

    /// Leaves the files in `tmp`, as a server that dies does.
    pub(crate) fn abandon(&mut self) {
        self.folder.close();
        self.staged.clear();
    }

    /// The APPENDUID code with the space after it (RFC 4315).
    pub(crate) fn appenduid(&self) -> String {
        let Some(committed) = &self.committed else {
            return String::new();
        };
        let runs: Vec<String> = committed
            .uids
            .iter()
            .map(|(first, last)| {
                if first == last {
                    first.to_string()
                } else {
                    format!("{first}:{last}")
                }
            })
            .collect();
        format!("[APPENDUID {} {}] ", committed.uid_validity, runs.join(","))
    }
}

type File = rustix::fd::OwnedFd;

/// Writes a literal to its file: in one piece where it is small, else as it comes.
fn spool(
    session: &mut Session,
    file: io::Result<File>,
    bytes: u64,
    filter: &mut Filter<'_>,
) -> Result<io::Result<File>, End> {
    let mut file = file.and_then(|file| write_all(&file, filter.prefix()).map(|()| file));
    let mut left = bytes;
    while left > 0 {
        let piece = match usize::try_from(bytes) {
            Ok(length) if length <= CONTIGUOUS_BYTES_MAX => session.wire.contiguous(length)?,
            _ => session.wire.chunk(left)?,
        };
        left -= piece.len() as u64;
        file = file.and_then(|file| write_all(&file, &filter.pass(piece)).map(|()| file));
    }
    Ok(file)
}

fn write_all(file: &File, content: &[u8]) -> io::Result<()> {
    let mut rest = content;
    while !rest.is_empty() {
        match rustix::io::write(file, rest) {
            Ok(count) => rest = &rest[count..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
