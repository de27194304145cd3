//! The mail root: its folders, and the names of new files.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use thiserror::Error;

use super::folder::Folder;
use super::folder_name::FolderName;
use super::house::lock;
use super::personality::Durability;
use super::subscriptions::Subscriptions;

/// Folders of one root. Each open one holds two file descriptors.
const FOLDERS_MAX: usize = 400;

/// Counts the stores of this process, so that two of them never name a file alike.
static STORES: AtomicU64 = AtomicU64::new(0);

/// The folders beneath one root.
#[derive(Debug)]
pub(crate) struct Store {
    /// Holds the lock on the root.
    root: OwnedFd,
    durability: Durability,
    /// What is known of a folder: its name alone, or the open folder.
    folders: Mutex<HashMap<FolderName, Option<Arc<Folder>>>>,
    subscriptions: Mutex<Subscriptions>,
    /// The last UIDVALIDITY given out: a folder that takes the name of another differs from it.
    validity: AtomicU32,
    /// `seconds.MmicrosecondsPprocessVstore`; the message's number follows.
    prefix: String,
    named: AtomicU64,
}

/// Why the root or a folder can't be used.
#[derive(Debug, Error)]
pub(crate) enum StoreError {
    #[error("no such folder")]
    NoFolder,
    #[error("the folder exists already")]
    Exists,
    #[error("too many folders")]
    TooMany,
    #[error("in use by another server")]
    InUse,
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        if let StoreError::Io(error) = error {
            error
        } else {
            Self::other(error)
        }
    }
}

impl Store {
    /// Opens a root, makes it where it is missing, and locks it against other servers.
    pub(crate) fn open(path: &Path, durability: Durability) -> Result<Self, StoreError> {
        std::fs::create_dir_all(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from)?;
        match rustix::fs::flock(&root, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(StoreError::InUse),
            Err(error) => return Err(io::Error::from(error).into()),
        }
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let number = STORES.fetch_add(1, Ordering::Relaxed);
        let prefix = format!(
            "{}.M{:06}P{}V{number}",
            since.as_secs(),
            since.subsec_micros(),
            std::process::id()
        );
        let mut folders = HashMap::from([(FolderName::inbox(), None)]);
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name().to_str().and_then(FolderName::from_disk);
            if let Some(name) = name.filter(|_| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                && folders.len() < FOLDERS_MAX
            {
                folders.insert(name, None);
            }
        }
        let store = Self {
            subscriptions: Mutex::new(Subscriptions::open(&root)?),
            validity: AtomicU32::new(0),
            root,
            durability,
            folders: Mutex::new(folders),
            prefix,
            named: AtomicU64::new(0),
        };
        store.folder(&FolderName::inbox())?;
        Ok(store)
    }

    /// The folder of this name, opened at its first use.
    pub(crate) fn folder(&self, name: &FolderName) -> Result<Arc<Folder>, StoreError> {
        let mut folders = lock(&self.folders);
        match folders.get(name) {
            None => Err(StoreError::NoFolder),
            Some(Some(folder)) => Ok(Arc::clone(folder)),
            Some(None) => self.open_folder(&mut folders, name),
        }
    }

    /// Makes a folder, and those above it.
    pub(crate) fn create(&self, name: &FolderName) -> Result<(), StoreError> {
        let mut folders = lock(&self.folders);
        if folders.contains_key(name) {
            return Err(StoreError::Exists);
        }
        let missing: Vec<FolderName> = name
            .parents()
            .chain([name.clone()])
            .filter(|part| !folders.contains_key(part))
            .collect();
        if folders.len() + missing.len() > FOLDERS_MAX {
            return Err(StoreError::TooMany);
        }
        for part in missing {
            self.open_folder(&mut folders, &part)?;
        }
        Ok(())
    }

    fn open_folder(
        &self,
        folders: &mut HashMap<FolderName, Option<Arc<Folder>>>,
        name: &FolderName,
    ) -> Result<Arc<Folder>, StoreError> {
        let validity = self.next_validity();
        let folder = Arc::new(Folder::open(
            &self.root,
            &name.to_disk(),
            self.durability,
            validity,
        )?);
        folders.insert(name.clone(), Some(Arc::clone(&folder)));
        Ok(folder)
    }

    /// A UIDVALIDITY that no folder has had: the time, or more where that is too coarse.
    fn next_validity(&self) -> u32 {
        let now = u32::try_from(super::folder::now()).unwrap_or(u32::MAX);
        let next = |last: u32| Some(now.max(last.saturating_add(1)));
        let last = self
            .validity
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        now.max(last.unwrap_or(0).saturating_add(1))
    }

    /// Removes a folder with its messages. Those below it stay.
    pub(crate) fn delete(&self, name: &FolderName) -> Result<(), StoreError> {
        let folder = self.folder(name)?;
        let mut folders = lock(&self.folders);
        folders.insert(name.clone(), None);
        folder.erase()?;
        folder.remove_parts()?;
        rustix::fs::unlinkat(&self.root, name.to_disk(), AtFlags::REMOVEDIR)
            .map_err(io::Error::from)?;
        folders.remove(name);
        Ok(())
    }

    /// Puts an empty folder with another UIDVALIDITY in the place of this one.
    pub(crate) fn replace(&self, name: &FolderName) -> Result<(), StoreError> {
        self.renew(name, |folder, _| folder.erase())
    }

    /// Gives the messages of a folder new UIDs under another UIDVALIDITY.
    pub(crate) fn renumber(&self, name: &FolderName) -> Result<(), StoreError> {
        self.renew(name, Folder::renumber)
    }

    fn renew(
        &self,
        name: &FolderName,
        change: impl FnOnce(&Folder, u32) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        let old = self.folder(name)?;
        let mut folders = lock(&self.folders);
        let had = old.state().uid_validity();
        self.validity.fetch_max(had, Ordering::Relaxed);
        change(&old, self.next_validity())?;
        self.open_folder(&mut folders, name).map(drop)
    }

    /// Knows of the folders no more than their names, as after a start.
    pub(crate) fn forget(&self) {
        for folder in lock(&self.folders).values_mut() {
            *folder = None;
        }
    }

    pub(crate) fn subscribe(&self, name: FolderName) -> io::Result<()> {
        lock(&self.subscriptions).add(&self.root, name)
    }

    pub(crate) fn unsubscribe(&self, name: &FolderName) -> io::Result<()> {
        lock(&self.subscriptions).remove(&self.root, name)
    }

    pub(crate) fn is_subscribed(&self, name: &FolderName) -> bool {
        lock(&self.subscriptions).has(name)
    }

    pub(crate) fn subscribed(&self) -> Vec<FolderName> {
        lock(&self.subscriptions).names().cloned().collect()
    }

    /// The names of all folders, in order.
    pub(crate) fn names(&self) -> Vec<FolderName> {
        let mut names: Vec<FolderName> = lock(&self.folders).keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// A file's name that nothing beneath the root has. Its size stands in it as Dovecot
    /// writes it, which spares Maildir readers a stat.
    pub(crate) fn file_name(&self, bytes: u64) -> String {
        let number = self.named.fetch_add(1, Ordering::Relaxed);
        format!("{}Q{number}.lab,S={bytes}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_made_with_those_above_and_found_again() {
        let root = tempfile::tempdir().unwrap();
        let name = FolderName::from_wire(b"a/b/c").unwrap();
        {
            let store = Store::open(root.path(), Durability::PageCache).unwrap();
            assert!(matches!(store.folder(&name), Err(StoreError::NoFolder)));
            store.create(&name).unwrap();
            assert!(matches!(store.create(&name), Err(StoreError::Exists)));
            assert!(root.path().join(".a.b.c/cur").is_dir());
            assert!(matches!(
                Store::open(root.path(), Durability::PageCache),
                Err(StoreError::InUse)
            ));
        }
        let store = Store::open(root.path(), Durability::PageCache).unwrap();
        let names: Vec<String> = store
            .names()
            .iter()
            .map(|name| name.as_wire().to_owned())
            .collect();
        assert_eq!(names, ["INBOX", "a", "a/b", "a/b/c"]);
        store.folder(&name).unwrap();
    }

    #[test]
    fn the_number_of_folders_is_bounded() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path(), Durability::PageCache).unwrap();
        let mut made = 1;
        let refused = loop {
            let name = FolderName::from_wire(format!("f{made}").as_bytes()).unwrap();
            match store.create(&name) {
                Ok(()) => made += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, StoreError::TooMany));
        assert_eq!(made, FOLDERS_MAX);
    }
}
