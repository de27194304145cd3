//! One Maildir folder: messages staged in `tmp`, committed to `cur`.
//!
//! A message is written to `tmp` under the name it keeps, and a commit renames all messages
//! of one command to `cur` and then appends their lines to the index. To other connections
//! the commit is one step, for they see what the list in memory holds. On disk it is not: a
//! process that dies between the renames leaves the messages renamed so far, and the next
//! opening takes them in under new UIDs as it does mail delivered by others. A message
//! costs five system calls: openat, write, close, renameat, and utimensat where it has a
//! date of its own.

use std::fmt::Write as _;
use std::io;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, Timespec, Timestamps};

use super::date::Seconds;
use super::flags::{Flags, SystemFlags};
use super::house::lock;
use super::index::{Entry, Index, is_base};
use super::personality::Durability;

/// Messages a folder may hold. All are known in memory, with some 200 bytes each.
const MESSAGES_MAX: usize = 4_000_000;

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
    /// In the order of their UIDs. Nothing is ever taken out, so a message's sequence
    /// number is its place here plus one, in every session and for good.
    pub(crate) messages: Vec<Arc<Entry>>,
    /// Messages from this UID on have not been seen by a SELECT.
    pub(crate) recent_from: u32,
}

impl State {
    pub(crate) fn uid_validity(&self) -> u32 {
        self.index.uid_validity
    }

    pub(crate) fn uid_next(&self) -> u32 {
        self.index.uid_next
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
    pub(crate) uids: RangeInclusive<u32>,
}

impl Folder {
    /// Opens the Maildir at `path` beneath the root and makes what is missing of it.
    pub(crate) fn open(
        root: &OwnedFd,
        path: &str,
        durability: Durability,
        fresh_validity: u32,
    ) -> io::Result<Self> {
        make_directory(root, path)?;
        let directory = open_directory(root, path)?;
        for part in ["cur", "new", "tmp"] {
            make_directory(&directory, part)?;
        }
        let (index, entries) = Index::open(&directory, fresh_validity)?;
        let mut state = State {
            recent_from: index.uid_next,
            index,
            messages: Vec::new(),
        };
        load(&directory, &mut state, entries)?;
        Ok(Self {
            directory,
            durability,
            state: Mutex::new(state),
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Begins a file in `tmp`.
    pub(crate) fn create(&self, base: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(
            &self.directory,
            format!("tmp/{base}"),
            flags,
            Mode::RUSR | Mode::WUSR,
        )?;
        Ok(file)
    }

    /// Ends a file in `tmp`: gives it its date and, where asked for, waits for the disk.
    pub(crate) fn finish(&self, file: &OwnedFd, date: Option<Seconds>) -> io::Result<()> {
        if let Some(date) = date {
            let time = Timespec {
                tv_sec: date,
                tv_nsec: 0,
            };
            rustix::fs::futimens(
                file,
                &Timestamps {
                    last_access: time,
                    last_modification: time,
                },
            )?;
        }
        if self.durability == Durability::Fsync {
            rustix::fs::fsync(file)?;
        }
        Ok(())
    }

    /// Removes a message that is not to be committed.
    pub(crate) fn forget(&self, base: &str) {
        // What can't be removed stays in tmp, where readers don't look.
        let _ = rustix::fs::unlinkat(&self.directory, format!("tmp/{base}"), AtFlags::empty());
    }

    /// Commits all messages or none.
    pub(crate) fn commit(&self, staged: &mut Vec<Staged>) -> io::Result<Committed> {
        let mut paths: Vec<String> = Vec::with_capacity(staged.len());
        for message in staged.iter() {
            let path = current_path(&message.base, message.flags.system);
            let renamed = rustix::fs::renameat(
                &self.directory,
                format!("tmp/{}", message.base),
                &self.directory,
                &path,
            );
            if let Err(error) = renamed {
                self.take_back(&paths);
                return Err(error.into());
            }
            paths.push(path);
        }
        match self.record(staged) {
            Ok(committed) => {
                staged.clear();
                Ok(committed)
            }
            Err(error) => {
                self.take_back(&paths);
                Err(error)
            }
        }
    }

    fn take_back(&self, paths: &[String]) {
        for path in paths {
            let _ = rustix::fs::unlinkat(&self.directory, path, AtFlags::empty());
        }
    }

    /// Gives UIDs to messages that are in `cur`, and writes their lines.
    fn record(&self, staged: &[Staged]) -> io::Result<Committed> {
        let now = now();
        let mut state = self.state();
        let first = state.index.uid_next;
        let full = || io::Error::other("the folder is full");
        let next = u32::try_from(staged.len())
            .ok()
            .and_then(|count| first.checked_add(count))
            .ok_or_else(full)?;
        if state.messages.len() + staged.len() > MESSAGES_MAX {
            return Err(full());
        }
        let entries: Vec<Arc<Entry>> = (first..next)
            .zip(staged)
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
        self.append(&mut state, &entries)?;
        state.index.uid_next = next;
        state.messages.extend(entries);
        Ok(Committed {
            uid_validity: state.uid_validity(),
            uids: first..=next.saturating_sub(1),
        })
    }

    fn append(&self, state: &mut State, entries: &[Arc<Entry>]) -> io::Result<()> {
        let mut lines = String::with_capacity(entries.len() * 80);
        for entry in entries {
            entry.push_line(&mut lines);
        }
        state.index.append(&lines)?;
        if self.durability == Durability::Fsync {
            rustix::fs::fsync(&open_directory(&self.directory, "cur")?)?;
            state.index.sync()?;
        }
        Ok(())
    }

    /// Opens a message's file for reading.
    pub(crate) fn read(&self, entry: &Entry) -> io::Result<OwnedFd> {
        let path = current_path(&entry.base, entry.flags.system);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(rustix::fs::openat(
            &self.directory,
            path,
            flags,
            Mode::empty(),
        )?)
    }

    /// Changes the flags of the message at this place, on disk and in memory.
    pub(crate) fn change_flags(
        &self,
        place: usize,
        change: impl FnOnce(&mut Flags),
    ) -> io::Result<Arc<Entry>> {
        let mut state = self.state();
        let Some(old) = state.messages.get(place).cloned() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut entry = (*old).clone();
        change(&mut entry.flags);
        if entry.flags.system != old.flags.system {
            let from = current_path(&old.base, old.flags.system);
            let to = current_path(&old.base, entry.flags.system);
            rustix::fs::renameat(&self.directory, from, &self.directory, to)?;
        }
        let entry = Arc::new(entry);
        if entry.flags.keywords != old.flags.keywords {
            self.append(&mut state, std::slice::from_ref(&entry))?;
        }
        state.messages[place] = Arc::clone(&entry);
        Ok(entry)
    }
}

fn current_path(base: &str, flags: SystemFlags) -> String {
    let mut path = String::with_capacity(base.len() + 16);
    let _ = write!(path, "cur/{base}:2,");
    flags.push_letters(&mut path);
    path
}

fn make_directory(parent: &OwnedFd, name: &str) -> io::Result<()> {
    match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn open_directory(parent: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
}

/// Brings together what the index says and what lies in `new` and `cur`: an entry without
/// file is not shown, a file without entry gets the next UID. Names that are not graphic
/// ASCII are passed over; no delivery agent writes such.
fn load(directory: &OwnedFd, state: &mut State, entries: Vec<Entry>) -> io::Result<()> {
    for name in names(directory, "new")?.iter().filter(|name| is_base(name)) {
        rustix::fs::renameat_with(
            directory,
            format!("new/{name}"),
            directory,
            format!("cur/{name}:2,"),
            RenameFlags::NOREPLACE,
        )?;
    }
    let mut files: std::collections::HashMap<String, SystemFlags> =
        std::collections::HashMap::new();
    for name in names(directory, "cur")? {
        let (base, flags) = name.split_once(":2,").unwrap_or((&name, ""));
        if is_base(base) && name.contains(":2,") {
            files.insert(base.to_owned(), SystemFlags::from_letters(flags));
        }
    }
    for mut entry in entries {
        if let Some(flags) = files.remove(&entry.base) {
            entry.flags.system = flags;
            state.messages.push(Arc::new(entry));
        }
    }
    let mut strangers: Vec<(String, SystemFlags)> = files.into_iter().collect();
    strangers.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    adopt(directory, state, strangers)
}

fn adopt(
    directory: &OwnedFd,
    state: &mut State,
    strangers: Vec<(String, SystemFlags)>,
) -> io::Result<()> {
    let mut lines = String::new();
    for (base, system) in strangers
        .into_iter()
        .take(MESSAGES_MAX.saturating_sub(state.messages.len()))
    {
        let status = rustix::fs::statat(
            directory,
            current_path(&base, system),
            AtFlags::SYMLINK_NOFOLLOW,
        );
        let Ok(status) = status else { continue };
        let bytes = u64::try_from(status.st_size).unwrap_or(0);
        let flags = Flags {
            system,
            keywords: Vec::new(),
        };
        let entry = Entry {
            uid: state.index.uid_next,
            bytes,
            date: status.st_mtime,
            base,
            flags,
        };
        state.index.uid_next = state
            .index
            .uid_next
            .checked_add(1)
            .ok_or_else(|| io::Error::other("out of UIDs"))?;
        entry.push_line(&mut lines);
        state.messages.push(Arc::new(entry));
    }
    if lines.is_empty() {
        Ok(())
    } else {
        state.index.append(&lines)
    }
}

fn names(directory: &OwnedFd, part: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for file in rustix::fs::Dir::new(open_directory(directory, part)?)? {
        if let Ok(name) = file?.file_name().to_str() {
            if !name.starts_with('.') && names.len() < MESSAGES_MAX {
                names.push(name.to_owned());
            }
        }
    }
    Ok(names)
}

pub(crate) fn now() -> Seconds {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(0)
}
