//! One import at a time into an account.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

use super::JournalError;
use super::place::make_private;

/// Most bytes of a lock file that are looked at.
const HOLDER_BYTES_MAX: u64 = 128;

/// For how long a lock may be held by somebody who is about to end.
const PASSING: Duration = Duration::from_millis(200);

/// Holds an account for this import.
///
/// The kernel releases it when the process dies, however it does. Its file stays: who deletes a
/// lock file may take it from under a process that has it open and is about to lock it.
#[derive(Debug)]
pub(super) struct AccountLock {
    _file: File,
}

impl AccountLock {
    /// Takes it, in a folder beside the journal.
    ///
    /// # Errors
    /// [`JournalError::InUse`] where another import holds it.
    pub(super) fn take(journal: &Path, account: &str) -> Result<Self, JournalError> {
        let path = path(journal, account);
        if let Some(folder) = path.parent() {
            make_private(folder)?;
        }
        let failed = |error: io::Error| JournalError::place(&path, error);
        // Where the folder is somebody else's, a link there must not have us empty a file.
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR);
        let mut file = File::from(opened.map_err(|error| failed(error.into()))?);
        match lock(&file) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let (pid, since) = holder(&file);
                return Err(JournalError::InUse {
                    account: account.to_owned(),
                    pid,
                    since,
                });
            }
            Err(error) => return Err(failed(error.into())),
        }
        let holder = format!("{} {:.0}\n", std::process::id(), Timestamp::now());
        file.set_len(0).map_err(failed)?;
        file.write_all(holder.as_bytes()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// Locks the file, if need be at the second attempt: a process that was killed just now may still
/// be ending, and a child has its parent's locks between its fork and its exec.
fn lock(file: &File) -> Result<(), Errno> {
    let begun = Instant::now();
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if begun.elapsed() < PASSING => {
                std::thread::sleep(Duration::from_millis(5));
            }
            locked => return locked,
        }
    }
}

/// Account names hold what no file name may; a hash of them does not.
fn path(journal: &Path, account: &str) -> PathBuf {
    let mut folder = OsString::from(journal);
    folder.push(".locks");
    let digest = blake3::hash(account.as_bytes()).to_hex();
    PathBuf::from(folder).join(&digest[..32])
}

/// Who wrote into the lock file that they hold it: process and time.
fn holder(file: &File) -> (Option<u32>, Option<Timestamp>) {
    let mut text = String::new();
    // Not read is not known: the lock is held all the same.
    let _ = file.take(HOLDER_BYTES_MAX).read_to_string(&mut text);
    let mut words = text.split_ascii_whitespace();
    let pid = words.next().and_then(|word| word.parse().ok());
    let since = words.next().and_then(|word| word.parse().ok());
    (pid, since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_it() {
        #[track_caller]
        fn check(text: &str, pid: Option<u32>, since: Option<&str>) {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            io::Seek::rewind(&mut file).unwrap();
            let since = since.map(|since| since.parse().unwrap());
            assert_eq!(holder(&file), (pid, since), "{text:?}");
        }
        let time = Some("2026-01-02T03:04:05Z");
        check("12 2026-01-02T03:04:05Z\n", Some(12), time);
        check("12 2026-01-02T03:04:05Z", Some(12), time);
        check("", None, None);
        check("12", Some(12), None);
        check("-1 now", None, None);
        check(&"1".repeat(1 << 20), None, None);
    }

    #[test]
    fn accounts_have_locks_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal");
        let held = AccountLock::take(&journal, "a@x:143").unwrap();
        AccountLock::take(&journal, "a@x:993").unwrap();
        let error = AccountLock::take(&journal, "a@x:143").unwrap_err();
        assert!(matches!(error, JournalError::InUse { .. }), "{error:?}");
        drop(held);
        AccountLock::take(&journal, "a@x:143").unwrap();
    }

    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal");
        let precious = folder.path().join("precious");
        std::fs::write(&precious, "precious").unwrap();
        let lock = path(&journal, "a@x:143");
        make_private(lock.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&precious, &lock).unwrap();
        let error = AccountLock::take(&journal, "a@x:143").unwrap_err();
        assert!(matches!(error, JournalError::Place { .. }), "{error:?}");
        assert_eq!(std::fs::read(&precious).unwrap(), b"precious");
    }
}
