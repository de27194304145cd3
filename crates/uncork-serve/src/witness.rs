//! How a change of files is noticed: what was seen of a path, to be compared with what is there.

use std::ffi::CString;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Stat, statat};

/// Facts of a file or folder by which it is told from another one and from a later state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    device: u64,
    inode: u64,
    /// Length in bytes.
    pub len: u64,
    /// Last change of the content, since the epoch; earlier ones are the epoch.
    pub modified: Duration,
    /// Last change of content or inode, since the epoch.
    changed: Duration,
}

/// What was seen of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Witness {
    path: CString,
    /// `None`: nothing was there.
    seen: Option<Facts>,
}

/// File systems note times by the kernel's tick, and some by two seconds (FAT): of a file that was
/// changed so shortly before, a later change may bear the same time.
const TIME_GRAIN: Duration = Duration::from_millis(2100);

impl Facts {
    /// Of an answer of `fstat` or `stat`.
    #[must_use]
    pub(crate) fn of(stat: &Stat) -> Self {
        let time = |seconds: i64, nanos: u64| {
            let nanos = u32::try_from(nanos).unwrap_or(0);
            Duration::new(u64::try_from(seconds).unwrap_or(0), nanos)
        };
        #[allow(
            clippy::useless_conversion,
            clippy::unnecessary_fallible_conversions,
            reason = "the types differ from platform to platform"
        )]
        Self {
            device: stat.st_dev.into(),
            inode: stat.st_ino.into(),
            len: u64::try_from(stat.st_size).unwrap_or(0),
            modified: time(
                i64::try_from(stat.st_mtime).unwrap_or(0),
                u64::try_from(stat.st_mtime_nsec).unwrap_or(0),
            ),
            changed: time(
                i64::try_from(stat.st_ctime).unwrap_or(0),
                u64::try_from(stat.st_ctime_nsec).unwrap_or(0),
            ),
        }
    }

    /// Whether a change right after `now` could leave these facts as they are.
    #[must_use]
    pub(crate) fn may_hide_a_change(&self, now: SystemTime) -> bool {
        let now = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        self.changed + TIME_GRAIN > now
    }
}

impl Witness {
    /// Looks at a path. What can't be looked at counts as not there.
    #[must_use]
    pub(crate) fn of(path: CString) -> Self {
        let seen = look(&path);
        Self { path, seen }
    }

    /// A path at which a file with these facts was opened.
    #[must_use]
    pub(crate) fn opened(path: CString, facts: Facts) -> Self {
        let seen = Some(facts);
        Self { path, seen }
    }

    /// A path at which nothing was.
    #[must_use]
    pub(crate) fn absent(path: CString) -> Self {
        Self { path, seen: None }
    }

    /// Whether the path is still what it was. One system call.
    ///
    /// The path is resolved anew from the file system's root, and nothing is opened or served by
    /// it: where it names the same inode in the same state as before, what was opened beneath the
    /// site's root then is what would be opened now.
    #[must_use]
    pub(crate) fn still_holds(&self) -> bool {
        look(&self.path) == self.seen
    }

    /// What was seen.
    #[must_use]
    pub(crate) fn seen(&self) -> Option<Facts> {
        self.seen
    }

    /// Memory that it takes.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.path.as_bytes().len() + 1
    }
}

fn look(path: &CString) -> Option<Facts> {
    let stat = statat(CWD, path.as_c_str(), AtFlags::empty()).ok()?;
    Some(Facts::of(&stat))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_change_an_exchange_and_an_arrival_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let witness = || Witness::of(CString::new(path.as_os_str().as_bytes()).unwrap());
        let absent = witness();
        assert!(absent.still_holds());
        fs::write(&path, "one").unwrap();
        assert!(!absent.still_holds());
        let one = witness();
        assert!(one.still_holds());
        fs::write(&path, "longer").unwrap();
        assert!(!one.still_holds());
        let two = witness();
        fs::write(folder.path().join("other"), "longer").unwrap();
        fs::rename(folder.path().join("other"), &path).unwrap();
        assert!(!two.still_holds());
        let facts = witness().seen().unwrap();
        assert!(facts.may_hide_a_change(SystemTime::now()));
        assert!(!facts.may_hide_a_change(SystemTime::now() + Duration::from_secs(5)));
    }
}
