//! The only way to a file: opened beneath a site's root, and nowhere else.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use crate::rules::Symlinks;

/// Whether a call may wait for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Only what the kernel has in memory: a worker asks so, with other connections behind it.
    CachedOnly,
    /// As long as it takes: on a loader's thread.
    Wait,
}

/// Why there is no file.
#[derive(Debug)]
pub enum OpenError {
    /// It is not known without the disk ([`Patience::CachedOnly`]).
    NeedsDisk,
    /// No such file.
    NotFound,
    /// It leads out of the root, by a link that is not followed, or may not be read.
    Refused,
    /// Anything else, such as no more descriptors.
    Failed(io::Error),
}

/// How often a lookup that collided with a renaming is tried again (openat2(2), `EAGAIN`).
const RACES_MAX: usize = 16;

/// Files are opened for reading, without waiting for the other side of a FIFO.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

/// What this kernel offers for opening beneath a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opener {
    /// openat2 (Linux 5.6), which the kernel itself keeps beneath the root.
    Openat2,
    /// A walk from folder to folder that follows no link at all.
    Walk,
}

impl Opener {
    /// Asks the kernel which of them there is.
    #[must_use]
    pub fn probe() -> Self {
        match openat2(
            CWD,
            ".",
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::BENEATH,
        ) {
            Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => Opener::Walk,
            _ => Opener::Openat2,
        }
    }

    /// Opens a site's root.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn root(self, path: &Path, patience: Patience) -> Result<OwnedFd, OpenError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match self {
            Opener::Walk if patience == Patience::CachedOnly => Err(OpenError::NeedsDisk),
            Opener::Walk => Ok(openat(CWD, path, flags, Mode::empty())?),
            Opener::Openat2 => open2(CWD, path, flags, ResolveFlags::empty(), patience),
        }
    }

    /// Opens `path` beneath `root` for reading. It has no leading slash; empty is the root itself.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(
        self,
        root: BorrowedFd<'_>,
        path: &[u8],
        symlinks: Symlinks,
        patience: Patience,
    ) -> Result<OwnedFd, OpenError> {
        let path = if path.is_empty() { b"." } else { path };
        match self {
            Opener::Walk if patience == Patience::CachedOnly => Err(OpenError::NeedsDisk),
            Opener::Walk => walk(root, path),
            Opener::Openat2 => {
                let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
                let resolve = match symlinks {
                    Symlinks::Inside => resolve,
                    Symlinks::Deny => resolve | ResolveFlags::NO_SYMLINKS,
                };
                open2(root, path, READ, resolve, patience)
            }
        }
    }
}

fn open2<P: rustix::path::Arg + Copy>(
    folder: BorrowedFd<'_>,
    path: P,
    flags: OFlags,
    resolve: ResolveFlags,
    patience: Patience,
) -> Result<OwnedFd, OpenError> {
    let resolve = match patience {
        Patience::CachedOnly => resolve | ResolveFlags::CACHED,
        Patience::Wait => resolve,
    };
    for _ in 0..RACES_MAX {
        match openat2(folder, path, flags, Mode::empty(), resolve) {
            // EINVAL: before Linux 5.12 there is no RESOLVE_CACHED.
            Err(Errno::AGAIN | Errno::INVAL) if patience == Patience::CachedOnly => {
                return Err(OpenError::NeedsDisk);
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            opened => return Ok(opened?),
        }
    }
    Err(OpenError::Failed(Errno::AGAIN.into()))
}

/// Folder by folder, none of them through a link. The path has been validated: no `..` in it.
fn walk(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, OpenError> {
    let mut folder: Option<OwnedFd> = None;
    let mut rest = path;
    loop {
        let at = folder.as_ref().map_or(root, |folder| folder.as_fd());
        let (name, next) = match memchr::memchr(b'/', rest) {
            Some(slash) => (&rest[..slash], Some(&rest[slash + 1..])),
            None => (rest, None),
        };
        if name == b".." {
            return Err(OpenError::Refused);
        }
        let name = if name.is_empty() { b"." } else { name };
        match next {
            Some(next) => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                folder = Some(openat(at, name, flags, Mode::empty())?);
                rest = next;
            }
            None => return Ok(openat(at, name, READ | OFlags::NOFOLLOW, Mode::empty())?),
        }
    }
}

impl From<Errno> for OpenError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => OpenError::NotFound,
            // EXDEV: out of the root. ELOOP: a link that is not followed, or too many of them.
            // ENXIO, ENODEV: a socket, a device without a driver.
            Errno::XDEV
            | Errno::LOOP
            | Errno::ACCESS
            | Errno::PERM
            | Errno::NXIO
            | Errno::NODEV => OpenError::Refused,
            _ => OpenError::Failed(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn check(opener: Opener, root: &Path, path: &str, symlinks: Symlinks) -> &'static str {
        let root = opener.root(root, Patience::Wait).unwrap();
        match opener.open(root.as_fd(), path.as_bytes(), symlinks, Patience::Wait) {
            Ok(_) => "opened",
            Err(OpenError::NotFound) => "not found",
            Err(OpenError::Refused) => "refused",
            Err(error) => panic!("{path}: {error:?}"),
        }
    }

    #[test]
    fn nothing_outside_of_the_root_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("sub/deep")).unwrap();
        fs::write(folder.path().join("secret"), "secret").unwrap();
        fs::write(root.join("sub/file"), "file").unwrap();
        symlink("sub/file", root.join("inside")).unwrap();
        symlink("../secret", root.join("outside")).unwrap();
        symlink(folder.path().join("secret"), root.join("absolute")).unwrap();
        symlink("/proc/self/root", root.join("magic")).unwrap();
        symlink("..", root.join("sub/up")).unwrap();
        let table = [
            ("", "opened", "opened", "opened"),
            ("sub/file", "opened", "opened", "opened"),
            ("sub/deep", "opened", "opened", "opened"),
            ("inside", "opened", "refused", "refused"),
            ("sub/up/sub/file", "opened", "refused", "not found"),
            ("sub/up/up/secret", "not found", "refused", "not found"),
            ("outside", "refused", "refused", "refused"),
            ("absolute", "refused", "refused", "refused"),
            ("magic/etc/passwd", "refused", "refused", "not found"),
            ("../secret", "refused", "refused", "refused"),
            ("sub/../../secret", "refused", "refused", "refused"),
            ("missing", "not found", "not found", "not found"),
            ("sub/file/x", "not found", "not found", "not found"),
        ];
        for (path, inside, deny, walked) in table {
            let by = |opener, symlinks| check(opener, &root, path, symlinks);
            assert_eq!(by(Opener::Openat2, Symlinks::Inside), inside, "{path}");
            assert_eq!(by(Opener::Openat2, Symlinks::Deny), deny, "{path}");
            assert_eq!(by(Opener::Walk, Symlinks::Inside), walked, "{path}, walked");
        }
    }
}
