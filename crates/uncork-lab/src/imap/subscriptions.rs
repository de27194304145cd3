//! The folders that the user has subscribed to: a file with one name a line.

use std::collections::BTreeSet;
use std::io;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};

use super::folder_name::FolderName;

/// The file's name beneath the root. It is made by the first SUBSCRIBE.
const FILE: &str = "uncork-lab-subscriptions";
const NEW_FILE: &str = "uncork-lab-subscriptions.new";

/// A larger file is not read.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The names subscribed to. There need be no such folder (RFC 3501, 6.3.6).
#[derive(Debug, Default)]
pub(crate) struct Subscriptions(BTreeSet<FolderName>);

impl Subscriptions {
    pub(crate) fn open(root: &OwnedFd) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = match rustix::fs::openat(root, FILE, flags, Mode::empty()) {
            Ok(file) => std::fs::File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(Self::default()),
            Err(error) => return Err(error.into()),
        };
        let mut text = String::new();
        io::Read::read_to_string(&mut io::Read::take(file, FILE_BYTES_MAX), &mut text)?;
        let names = text
            .lines()
            .map(|line| FolderName::from_wire(line.as_bytes()));
        Ok(Self(names.filter_map(Result::ok).collect()))
    }

    pub(crate) fn has(&self, name: &FolderName) -> bool {
        self.0.contains(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &FolderName> {
        self.0.iter()
    }

    pub(crate) fn add(&mut self, root: &OwnedFd, name: FolderName) -> io::Result<()> {
        if self.0.insert(name) {
            self.write(root)?;
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, root: &OwnedFd, name: &FolderName) -> io::Result<()> {
        if self.0.remove(name) {
            self.write(root)?;
        }
        Ok(())
    }

    /// Writes a new file and puts it in the place of the old one.
    fn write(&self, root: &OwnedFd) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::openat(root, NEW_FILE, flags | OFlags::NOFOLLOW, mode)?;
        let lines: String = self
            .0
            .iter()
            .flat_map(|name| [name.as_wire(), "\n"])
            .collect();
        io::Write::write_all(&mut std::fs::File::from(file), lines.as_bytes())?;
        Ok(rustix::fs::renameat(root, NEW_FILE, root, FILE)?)
    }
}
