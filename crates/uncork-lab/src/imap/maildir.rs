//! The files of one Maildir: its directories, the names in them, and what a crash left there.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};

use super::flags::{Flags, SystemFlags};
use super::index::{Entry, Index, is_base};

/// Messages a folder may hold. All are known in memory, with some 200 bytes each.
pub(crate) const MESSAGES_MAX: usize = 4_000_000;

/// What the base of each file's name has that a lab server gave.
pub(crate) const OWN: &str = ".lab,S=";

/// The directories of a Maildir.
const PARTS: [&str; 3] = ["cur", "new", "tmp"];

/// Opens the Maildir at `path` beneath the root and makes what is missing of it.
pub(crate) fn open(root: &OwnedFd, path: &str) -> io::Result<OwnedFd> {
    make_directory(root, path)?;
    let directory = open_directory(root, path)?;
    for part in PARTS {
        make_directory(&directory, part)?;
    }
    Ok(directory)
}

/// The place of a message in this part: `cur/base:2,FS`. In `tmp` it has its flags already, so
/// that a commit that was cut short can be ended by whoever finds the file.
pub(crate) fn path(part: &str, base: &str, flags: SystemFlags) -> String {
    let mut path = String::with_capacity(base.len() + 16);
    let _ = write!(path, "{part}/{base}:2,");
    flags.push_letters(&mut path);
    path
}

/// Brings together what the index says and what lies on disk. An entry whose file is still in
/// `tmp` was committed by a server that died before it could move it: that is done now. An entry
/// without file is not shown; a file without entry gets the next UID. Names that are not graphic
/// ASCII are passed over; no delivery agent writes such.
pub(crate) fn load(
    directory: &OwnedFd,
    index: &mut Index,
    entries: Vec<Entry>,
) -> io::Result<Vec<std::sync::Arc<Entry>>> {
    finish_commits(directory, &entries)?;
    for name in names(directory, "new")?.iter().filter(|name| is_base(name)) {
        rustix::fs::renameat_with(
            directory,
            format!("new/{name}"),
            directory,
            format!("cur/{name}:2,"),
            RenameFlags::NOREPLACE,
        )?;
    }
    let mut files: HashMap<String, SystemFlags> = HashMap::new();
    for name in names(directory, "cur")? {
        if let Some((base, flags)) = split(&name) {
            files.insert(base.to_owned(), flags);
        }
    }
    let mut messages = Vec::with_capacity(files.len());
    for mut entry in entries {
        if let Some(flags) = files.remove(&entry.base) {
            entry.flags.system = flags;
            messages.push(std::sync::Arc::new(entry));
        }
    }
    let mut strangers: Vec<(String, SystemFlags)> = files.into_iter().collect();
    strangers.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    strangers.truncate(MESSAGES_MAX.saturating_sub(messages.len()));
    let adopted = adopt(directory, index, strangers)?;
    messages.extend(adopted.into_iter().map(std::sync::Arc::new));
    Ok(messages)
}

/// Removes all messages, committed or not.
pub(crate) fn empty(directory: &OwnedFd) -> io::Result<()> {
    for part in PARTS {
        for name in names(directory, part)? {
            rustix::fs::unlinkat(directory, format!("{part}/{name}"), AtFlags::empty())?;
        }
    }
    Ok(())
}

/// Removes the directories of an empty Maildir.
pub(crate) fn remove_parts(directory: &OwnedFd) -> io::Result<()> {
    for part in PARTS {
        rustix::fs::unlinkat(directory, part, AtFlags::REMOVEDIR)?;
    }
    Ok(())
}

pub(crate) fn open_directory(parent: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
}

fn make_directory(parent: &OwnedFd, name: &str) -> io::Result<()> {
    match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Deals with what lies in `tmp`: what the index knows is moved to `cur`, other files of ours
/// belong to commands that never ended.
fn finish_commits(directory: &OwnedFd, entries: &[Entry]) -> io::Result<()> {
    let left = names(directory, "tmp")?;
    if left.is_empty() {
        return Ok(());
    }
    let known: std::collections::HashSet<&str> =
        entries.iter().map(|entry| entry.base.as_str()).collect();
    for name in left {
        let Some((base, _)) = split(&name).filter(|(base, _)| base.contains(OWN)) else {
            continue;
        };
        let from = format!("tmp/{name}");
        if known.contains(base) {
            rustix::fs::renameat(directory, from, directory, format!("cur/{name}"))?;
        } else {
            rustix::fs::unlinkat(directory, from, AtFlags::empty())?;
        }
    }
    Ok(())
}

/// Gives UIDs to files that the index does not know.
fn adopt(
    directory: &OwnedFd,
    index: &mut Index,
    strangers: Vec<(String, SystemFlags)>,
) -> io::Result<Vec<Entry>> {
    let mut adopted = Vec::with_capacity(strangers.len());
    for (base, system) in strangers {
        let path = path("cur", &base, system);
        let Ok(status) = rustix::fs::statat(directory, path, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        adopted.push(Entry {
            uid: index.next_uids(adopted.len() + 1)?.end - 1,
            bytes: u64::try_from(status.st_size).unwrap_or(0),
            date: status.st_mtime,
            base,
            flags: Flags {
                system,
                keywords: Vec::new(),
            },
        });
    }
    index.commit(&adopted)?;
    Ok(adopted)
}

/// Base and flags of a name in `cur`, or in `tmp` if it is ours.
fn split(name: &str) -> Option<(&str, SystemFlags)> {
    let (base, letters) = name.split_once(":2,")?;
    is_base(base).then(|| (base, SystemFlags::from_letters(letters)))
}

fn names(directory: &OwnedFd, part: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for file in rustix::fs::Dir::new(open_directory(directory, part)?)? {
        if let Ok(name) = file?.file_name().to_str()
            && !name.starts_with('.')
            && names.len() < MESSAGES_MAX
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn entry(uid: u32, base: &str) -> Entry {
        Entry {
            uid,
            bytes: 1,
            date: 9,
            base: base.to_owned(),
            flags: Flags::default(),
        }
    }

    #[test]
    fn what_a_dead_server_committed_is_moved_and_the_rest_removed() {
        let root = tempfile::tempdir().unwrap();
        let above: OwnedFd = fs::File::open(root.path()).unwrap().into();
        let directory = open(&above, "box").unwrap();
        let files = root.path().join("box");
        let (mut index, _) = Index::open(&directory, 7).unwrap();
        index
            .commit(&[entry(1, "1.lab,S=1"), entry(2, "2.lab,S=1")])
            .unwrap();
        for name in ["cur/1.lab,S=1:2,S", "tmp/2.lab,S=1:2,FS"] {
            fs::write(files.join(name), b"x").unwrap();
        }
        for name in ["tmp/3.lab,S=1:2,", "tmp/stranger", "cur/5.other:2,T"] {
            fs::write(files.join(name), b"x").unwrap();
        }
        let (mut index, entries) = Index::open(&directory, 8).unwrap();
        let messages = load(&directory, &mut index, entries).unwrap();
        let found: Vec<(u32, &str, String)> = messages
            .iter()
            .map(|entry| {
                let mut letters = String::new();
                entry.flags.system.push_letters(&mut letters);
                (entry.uid, entry.base.as_str(), letters)
            })
            .collect();
        assert_eq!(
            found,
            [
                (1, "1.lab,S=1", "S".to_owned()),
                (2, "2.lab,S=1", "FS".to_owned()),
                (3, "5.other", "T".to_owned()),
            ]
        );
        assert_eq!(names(&directory, "tmp").unwrap(), ["stranger"]);
        assert!(files.join("cur/2.lab,S=1:2,FS").exists());
    }
}
