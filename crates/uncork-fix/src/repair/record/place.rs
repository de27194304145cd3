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
    /// The first of the user's places that will do. They don't hang on how a shell was started as far
    /// as that can be had: a repair under sudo and its undoing in a root shell must meet.
    pub(super) fn of_user() -> Result<Self, RecordError> {
        let uid = geteuid();
        let temporary = PathBuf::from(format!("/tmp/uncork-{}", uid.as_raw()));
        let mut candidates = vec![temporary];
        if uid.is_root() {
            candidates.insert(0, "/run/uncork".into());
        } else {
            candidates.insert(0, format!("/run/user/{}/uncork", uid.as_raw()).into());
            let stated = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
            let stated = stated.filter(|folder| folder.is_absolute());
            candidates.splice(0..0, stated.map(|folder| folder.join("uncork")));
        }
        let mut reasons = Vec::new();
        for candidate in candidates {
            match Self::at(&candidate) {
                Ok(place) => return Ok(place),
                Err(reason) => reasons.push(reason),
            }
        }
        Err(RecordError::Place(reasons.join("; ")))
    }

    pub(super) fn at(path: &Path) -> Result<Self, String> {
        let said = |call: &str, errno: Errno| {
            format!("{}: {call}: {}", path.display(), io::Error::from(errno))
        };
        match mkdir(path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(said("mkdir", errno)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = open(path, flags, Mode::empty()).map_err(|errno| said("open", errno))?;
        let facts = fstat(&folder).map_err(|errno| said("fstat", errno))?;
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

    pub(super) fn open(&self) -> Result<File, (&'static str, io::Error)> {
        // What is no file, a pipe for one, must not make the open wait.
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.folder, FILE, flags, Mode::RUSR | Mode::WUSR);
        let file = file.map_err(|errno| ("open", errno.into()))?;
        Ok(File::from(file))
    }
}
