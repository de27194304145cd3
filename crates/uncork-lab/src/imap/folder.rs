//! One Maildir folder: messages staged in `tmp`, committed to `cur`.
//!
//! A message is written to `tmp` under the name it keeps. A commit writes the lines of all
//! messages of one command to the index with one write, which is the moment from which they are
//! stored, and then renames their files to `cur`. To other connections the commit is one step,
//! for they see what the list in memory holds; and so it is on disk: whoever opens the folder of
//! a server that died in between renames what is left. A message costs five system calls:
//! openat, write, close, renameat, and utimensat where it has a date of its own.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps};

use super::date::Seconds;
use super::flags::{Flags, SystemFlags};
use super::house::lock;
use super::index::{Entry, Index};
use super::maildir::{self, MESSAGES_MAX};
use super::personality::Durability;
use super::set::Ranges;

/// One folder, shared by all connections.
#[derive(Debug)]
pub(crate) struct Folder {
    directory: OwnedFd,
    durability: Durability,
    state: Mutex<State>,
}

/// What is known of a folder's messages.
#[derive(Debug)]
pub(crate) struct State {
    index: Index,
    /// In the order of their UIDs.
    pub(crate) messages: Vec<Arc<Entry>>,
    /// Messages from this UID on have not been seen by a SELECT.
    pub(crate) recent_from: u32,
    /// How often messages were expunged, so that a session sees by one number whether any were.
    pub(crate) expunges: u64,
    /// Deleted, replaced, or the server has crashed: nothing is written to it any more.
    pub(crate) is_gone: bool,
}

impl State {
    pub(crate) fn uid_validity(&self) -> u32 {
        self.index.uid_validity
    }

    pub(crate) fn uid_next(&self) -> u32 {
        self.index.uid_next
    }

    /// The place of the first message with this UID or a larger one.
    pub(crate) fn place(&self, uid: u32) -> usize {
        self.messages.partition_point(|entry| entry.uid < uid)
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.is_gone {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the folder was deleted meanwhile",
            ));
        }
        Ok(())
    }
}

/// A message in `tmp`.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) base: String,
    pub(crate) bytes: u64,
    pub(crate) flags: Flags,
    pub(crate) date: Option<Seconds>,
}

/// What a commit did: the UIDs that the messages got, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) uid_validity: u32,
    /// First and last of each run of UIDs.
    pub(crate) uids: Vec<(u32, u32)>,
}

/// How far a commit gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Whole,
    /// The server dies once the index is written.
    Index,
}

impl Folder {
    /// Opens the Maildir at `path` beneath the root and makes what is missing of it.
    pub(crate) fn open(
        root: &OwnedFd,
        path: &str,
        durability: Durability,
        fresh_validity: u32,
    ) -> io::Result<Self> {
        let directory = maildir::open(root, path)?;
        let (mut index, entries) = Index::open(&directory, fresh_validity)?;
        let recent_from = index.uid_next;
        let messages = maildir::load(&directory, &mut index, entries)?;
        Ok(Self {
            directory,
            durability,
            state: Mutex::new(State {
                index,
                messages,
                recent_from,
                expunges: 0,
                is_gone: false,
            }),
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Begins a message's file in `tmp`.
    pub(crate) fn create(&self, base: &str, flags: SystemFlags) -> io::Result<OwnedFd> {
        let path = maildir::path("tmp", base, flags);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(rustix::fs::openat(&self.directory, path, flags, mode)?)
    }

    /// Ends a file in `tmp`: gives it its date and, where asked for, waits for the disk.
    pub(crate) fn finish(&self, file: &OwnedFd, date: Option<Seconds>) -> io::Result<()> {
        if let Some(date) = date {
            let time = Timespec {
                tv_sec: date,
                tv_nsec: 0,
            };
            let times = Timestamps {
                last_access: time,
                last_modification: time,
            };
            rustix::fs::futimens(file, &times)?;
        }
        if self.durability == Durability::Fsync {
            rustix::fs::fsync(file)?;
        }
        Ok(())
    }

    /// Removes a message that is not to be committed.
    pub(crate) fn forget(&self, message: &Staged) {
        let path = maildir::path("tmp", &message.base, message.flags.system);
        // What can't be removed stays in tmp, where readers don't look.
        let _ = rustix::fs::unlinkat(&self.directory, path, AtFlags::empty());
    }

    /// Commits all messages or none.
    pub(crate) fn commit(&self, staged: &mut Vec<Staged>, reach: Reach) -> io::Result<Committed> {
        let now = now();
        let mut state = self.state();
        state.check_writable()?;
        if state.messages.len() + staged.len() > MESSAGES_MAX {
            return Err(io::Error::other("the folder is full"));
        }
        let uids = state.index.next_uids(staged.len())?;
        let committed = Committed {
            uid_validity: state.uid_validity(),
            uids: vec![(uids.start, uids.end.saturating_sub(1))],
        };
        let entries: Vec<Arc<Entry>> = uids
            .zip(staged.iter())
            .map(|(uid, message)| {
                Arc::new(Entry {
                    uid,
                    bytes: message.bytes,
                    date: message.date.unwrap_or(now),
                    base: message.base.clone(),
                    flags: message.flags.clone(),
                })
            })
            .collect();
        if self.durability == Durability::Fsync {
            // The index must not name files that a power cut could still take.
            rustix::fs::fsync(&maildir::open_directory(&self.directory, "tmp")?)?;
        }
        let before = state.index.commit(&entries)?;
        if self.durability == Durability::Fsync {
            state.index.sync()?;
        }
        if reach == Reach::Index {
            state.is_gone = true;
            staged.clear();
            return Ok(committed);
        }
        if let Err(error) = self.show(&entries) {
            state.index.cut(before);
            return Err(error);
        }
        staged.clear();
        state.messages.extend(entries);
        Ok(committed)
    }

    /// Renames the files of a commit from `tmp` to `cur`, all or none.
    fn show(&self, entries: &[Arc<Entry>]) -> io::Result<()> {
        let rename = |entry: &Entry, from: &str, to: &str| {
            let (base, flags) = (&entry.base, entry.flags.system);
            let (from, to) = (
                maildir::path(from, base, flags),
                maildir::path(to, base, flags),
            );
            rustix::fs::renameat(&self.directory, from, &self.directory, to)
        };
        for (place, entry) in entries.iter().enumerate() {
            if let Err(error) = rename(entry, "tmp", "cur") {
                for renamed in &entries[..place] {
                    let _ = rename(renamed, "cur", "tmp");
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// The message with this UID as it is now.
    pub(crate) fn find(&self, uid: u32) -> Option<Arc<Entry>> {
        let state = self.state();
        let found = state.messages.get(state.place(uid));
        found.filter(|entry| entry.uid == uid).cloned()
    }

    /// Opens a message's file for reading.
    pub(crate) fn read(&self, entry: &Entry) -> io::Result<OwnedFd> {
        let path = maildir::path("cur", &entry.base, entry.flags.system);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let opened = rustix::fs::openat(&self.directory, path, flags, Mode::empty());
        Ok(opened?)
    }

    /// Changes the flags of the message with this UID, on disk and in memory.
    pub(crate) fn change_flags(
        &self,
        uid: u32,
        change: impl FnOnce(&mut Flags),
    ) -> io::Result<Arc<Entry>> {
        let mut state = self.state();
        state.check_writable()?;
        let place = state.place(uid);
        let Some(old) = state.messages.get(place).filter(|old| old.uid == uid) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let old = Arc::clone(old);
        let mut entry = (*old).clone();
        change(&mut entry.flags);
        if entry.flags.system != old.flags.system {
            let from = maildir::path("cur", &old.base, old.flags.system);
            let to = maildir::path("cur", &old.base, entry.flags.system);
            rustix::fs::renameat(&self.directory, from, &self.directory, to)?;
        }
        let entry = Arc::new(entry);
        if entry.flags.keywords != old.flags.keywords {
            state.index.commit(std::slice::from_ref(&entry))?;
        }
        state.messages[place] = Arc::clone(&entry);
        Ok(entry)
    }

    /// Removes the messages with `\Deleted`, of these UIDs or of all.
    pub(crate) fn expunge(&self, among: Option<&Ranges>) -> io::Result<()> {
        let mut state = self.state();
        state.check_writable()?;
        let is_due = |entry: &Entry| {
            entry.flags.system.contains(SystemFlags::DELETED)
                && among.is_none_or(|ranges| ranges.contains(entry.uid))
        };
        let before = state.messages.len();
        let mut result = Ok(());
        state.messages.retain(|entry| {
            if result.is_err() || !is_due(entry) {
                return true;
            }
            let path = maildir::path("cur", &entry.base, entry.flags.system);
            result = rustix::fs::unlinkat(&self.directory, path, AtFlags::empty());
            result.is_err()
        });
        if state.messages.len() < before {
            state.expunges += 1;
        }
        Ok(result?)
    }

    /// Ends this folder's life in memory. What is under way in it fails.
    pub(crate) fn close(&self) {
        self.state().is_gone = true;
    }

    /// Removes all that the folder has on disk but the folder itself. Its UIDVALIDITY is gone
    /// with it.
    pub(crate) fn erase(&self) -> io::Result<()> {
        self.close();
        maildir::empty(&self.directory)?;
        Index::remove(&self.directory)
    }

    /// Removes the directories of an erased folder.
    pub(crate) fn remove_parts(&self) -> io::Result<()> {
        maildir::remove_parts(&self.directory)
    }

    /// Gives all messages new UIDs, from 1 on and in their order, under this UIDVALIDITY. The
    /// folder has to be opened anew.
    pub(crate) fn renumber(&self, validity: u32) -> io::Result<()> {
        let mut state = self.state();
        state.check_writable()?;
        state.is_gone = true;
        Index::remove(&self.directory)?;
        let (mut index, _) = Index::open(&self.directory, validity)?;
        let uids = index.next_uids(state.messages.len())?;
        let entries: Vec<Entry> = uids
            .zip(&state.messages)
            .map(|(uid, entry)| Entry {
                uid,
                ..(**entry).clone()
            })
            .collect();
        index.commit(&entries).map(drop)
    }
}

pub(crate) fn now() -> Seconds {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(0)
}
