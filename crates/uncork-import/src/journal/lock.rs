//! One import at a time into an account.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::JournalError;
use super::place::make_private;

/// Most bytes of a lock file that are looked at.
const HOLDER_BYTES_MAX: u64 = 128;

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
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
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
