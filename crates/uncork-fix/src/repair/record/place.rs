//! Where the record is. Others may write into `/tmp`, so nothing there is trusted by its name alone:
//! a folder is opened without following a link, and looked at through its descriptor.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fstat, mkdir, open, openat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::RecordError;

const FILE: &str = "fix.jsonl";

/// A folder that belongs to the user, and that nobody else may enter.
#[derive(Debug)]
pub(super) struct Place {
    folder: OwnedFd,
    path: PathBuf,
}

impl Place {
    /// The user's places, the best first. They don't hang on how a shell was started as far as that can
    /// be had: a repair under sudo and its undoing in a root shell must meet. And a repair must be undone
    /// in a later session, too: what is in `/run/user` ends with the last one.
    pub(super) fn candidates() -> Vec<PathBuf> {
        let uid = geteuid();
        let temporary = PathBuf::from(format!("/tmp/uncork-{}", uid.as_raw()));
        if uid.is_root() {
            return vec!["/run/uncork".into(), temporary];
        }
        let of_sessions = PathBuf::from(format!("/run/user/{}/uncork", uid.as_raw()));
        let stated = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let stated = stated.filter(|folder| folder.is_absolute());
        let stated = stated.map(|folder| folder.join("uncork"));
        let stated = stated.filter(|folder| *folder != of_sessions);
        let all = [Some(temporary), Some(of_sessions), stated];
        all.into_iter().flatten().collect()
    }

    /// The first of these that will do, and those behind it that are there: records of older versions, or
    /// of a time when the first one would not do.
    pub(super) fn among(candidates: &[PathBuf]) -> Result<(Self, Vec<Self>), RecordError> {
        let mut reasons = Vec::new();
        let mut candidates = candidates.iter();
        while let Some(candidate) = candidates.next() {
            match Self::at(candidate) {
                Ok(place) => {
                    let others = candidates.filter_map(|other| Self::existing(other).ok());
                    return Ok((place, others.collect()));
                }
                Err(reason) => reasons.push(reason),
            }
        }
        Err(RecordError::Place(reasons.join("; ")))
    }

    /// The folder, which is made where it is missing.
    pub(super) fn at(path: &Path) -> Result<Self, String> {
        match mkdir(path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => Self::existing(path),
            Err(errno) => Err(said(path, "mkdir", errno)),
        }
    }

    fn existing(path: &Path) -> Result<Self, String> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = open(path, flags, Mode::empty()).map_err(|errno| said(path, "open", errno))?;
        let facts = fstat(&folder).map_err(|errno| said(path, "fstat", errno))?;
        if facts.st_uid != geteuid().as_raw() {
            return Err(format!(
                "{} belongs to uid {}",
                path.display(),
                facts.st_uid
            ));
        }
        let others = Mode::from_raw_mode(facts.st_mode) & (Mode::RWXG | Mode::RWXO);
        if !others.is_empty() {
            return Err(format!("{} is open to others", path.display()));
        }
        let path = path.to_owned();
        Ok(Self { folder, path })
    }

    pub(super) fn file(&self) -> PathBuf {
        self.path.join(FILE)
    }

    /// Opens the file, which is made where it is missing.
    pub(super) fn open(&self) -> Result<File, (&'static str, io::Error)> {
        self.open_with(OFlags::CREATE)
    }

    pub(super) fn open_existing(&self) -> Result<File, (&'static str, io::Error)> {
        self.open_with(OFlags::empty())
    }

    fn open_with(&self, more: OFlags) -> Result<File, (&'static str, io::Error)> {
        // What is no file, a pipe for one, must not make the open wait.
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.folder, FILE, flags | more, Mode::RUSR | Mode::WUSR);
        let file = file.map_err(|errno| ("open", errno.into()))?;
        Ok(File::from(file))
    }
}

fn said(path: &Path, call: &str, errno: Errno) -> String {
    format!("{}: {call}: {}", path.display(), io::Error::from(errno))
}
