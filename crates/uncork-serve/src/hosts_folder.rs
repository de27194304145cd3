//! Sites out of folders that are named like hosts, and how a new one is noticed.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify;

use crate::host::HostPattern;
use crate::witness::Witness;

/// What a folder of sites holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// Each host, and its folder, in the order of the folders' names.
    pub hosts: Vec<(HostPattern, PathBuf)>,
    /// Folders that are no site, with the reason.
    pub skipped: Vec<(PathBuf, &'static str)>,
    /// Something could not be looked at, and may be a site a moment later. Nothing tells of that: what
    /// a link leads to stands elsewhere.
    pub is_uncertain: bool,
}

/// Reads a folder of sites. What begins with a dot is passed over silently, as are files, and links
/// that lead nowhere for now.
///
/// # Errors
/// Where the folder can't be read.
pub(crate) fn scan(folder: &Path) -> io::Result<Scan> {
    let mut names = Vec::new();
    let mut is_uncertain = false;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_folder = match entry.file_type() {
            // Links are followed: who may write here says which folders are sites.
            Ok(kind) if kind.is_symlink() => {
                let target = fs::metadata(entry.path());
                is_uncertain |= target.is_err();
                target.is_ok_and(|target| target.is_dir())
            }
            Ok(kind) => kind.is_dir(),
            // It is there, and can't be looked at for now: no reason to take a site away.
            Err(error) => {
                is_uncertain = true;
                error.kind() != io::ErrorKind::NotFound
            }
        };
        if is_folder {
            names.push(entry.file_name());
        }
    }
    names.sort();
    let mut scan = Scan {
        is_uncertain,
        ..Scan::default()
    };
    let mut seen = std::collections::HashSet::new();
    for name in names {
        let path = folder.join(&name);
        let Some(name) = name.to_str() else {
            scan.skipped.push((path, "its name is no text"));
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        match HostPattern::parse(name) {
            None => scan.skipped.push((path, "its name is no host name")),
            Some(host) if !seen.insert(host.clone()) => {
                scan.skipped.push((path, "another folder is the same host"));
            }
            Some(host) => scan.hosts.push((host, path)),
        }
    }
    Ok(scan)
}

/// Notices that folders come and go: by inotify, and where that is not to be had by the folder's time.
#[derive(Debug)]
pub(crate) struct Watch {
    path: PathBuf,
    inotify: Option<OwnedFd>,
    folder: Witness,
}

impl Watch {
    /// Begins to watch a folder.
    #[must_use]
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            inotify: inotify_of(path).ok(),
            folder: witness(path),
        }
    }

    /// What is readable when something has come or gone, where there is inotify.
    #[must_use]
    pub(crate) fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// Whether something has come or gone since the last question.
    pub(crate) fn has_changed(&mut self) -> bool {
        let mut has_changed = false;
        if let Some(inotify) = &self.inotify {
            let mut buffer = [0; 4096];
            while rustix::io::read(inotify, &mut buffer).is_ok_and(|read| read > 0) {
                has_changed = true;
            }
        }
        if !self.folder.still_holds() {
            // The folder itself may be another one now, of which inotify would say nothing.
            self.inotify = inotify_of(&self.path).ok();
            self.folder = witness(&self.path);
            has_changed = true;
        }
        has_changed
    }
}

fn inotify_of(path: &Path) -> io::Result<OwnedFd> {
    let inotify = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    let flags = inotify::WatchFlags::CREATE
        | inotify::WatchFlags::DELETE
        | inotify::WatchFlags::MOVE
        | inotify::WatchFlags::ONLYDIR;
    inotify::add_watch(&inotify, path, flags)?;
    Ok(inotify)
}

/// A path of the configuration has no NUL in it.
fn witness(path: &Path) -> Witness {
    Witness::of(CString::new(path.as_os_str().as_bytes()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn folders_are_hosts_and_files_are_not() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "b.example",
            "*.wild.example",
            "_default",
            ".git",
            "not a host",
            "B.Example",
        ] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("file.example"), "").unwrap();
        let scan = scan(folder.path()).unwrap();
        let hosts: Vec<String> = scan
            .hosts
            .iter()
            .map(|(host, _)| host.to_string())
            .collect();
        assert_eq!(hosts, ["*.wild.example", "b.example", "_default"]);
        // Of two spellings the first of the sorted names is taken.
        assert!(scan.hosts[1].1.ends_with("B.Example"));
        assert_eq!(scan.skipped.len(), 2);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_uncertain() {
        let folder = tempfile::tempdir().unwrap();
        let (sites, target) = (folder.path().join("sites"), folder.path().join("target"));
        fs::create_dir(&sites).unwrap();
        std::os::unix::fs::symlink(&target, sites.join("a.example")).unwrap();
        let found = scan(&sites).unwrap();
        assert!(found.is_uncertain && found.hosts.is_empty());
        fs::create_dir(&target).unwrap();
        let found = scan(&sites).unwrap();
        assert!(!found.is_uncertain && found.hosts.len() == 1);
    }

    #[test]
    fn a_folder_that_comes_or_goes_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let mut watch = Watch::new(folder.path());
        assert!(!watch.has_changed());
        fs::create_dir(folder.path().join("a.example")).unwrap();
        assert!(watch.has_changed());
        assert!(!watch.has_changed());
        fs::remove_dir(folder.path().join("a.example")).unwrap();
        assert!(watch.has_changed());
    }

    /// Its time may be the same: those who deploy copy times, too.
    #[test]
    fn another_folder_in_its_place_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (sites, next) = (folder.path().join("sites"), folder.path().join("next"));
        for path in [&sites, &next] {
            fs::create_dir(path).unwrap();
            let file = fs::File::open(path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }
        let mut watch = Watch::new(&sites);
        fs::rename(&sites, folder.path().join("before")).unwrap();
        fs::rename(&next, &sites).unwrap();
        assert!(watch.has_changed());
        assert!(!watch.has_changed());
        fs::create_dir(sites.join("a.example")).unwrap();
        assert!(watch.has_changed());
    }
}
