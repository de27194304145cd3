//! Room for the demo's files.

use std::io;
use std::path::Path;

use tempfile::TempDir;

/// A file system in memory that Linux systems have.
const MEMORY: &str = "/dev/shm";

/// Room that a mail takes, in the source and at the server, with what a file costs beside.
const MAIL_BYTES: u64 = 32 * 1024;

/// Free bytes beyond that: what the demo uses belongs to others too.
const SPARE_BYTES: u64 = 512 * 1024 * 1024;

/// A folder that is gone when it is dropped: in memory where there is room, for the stories
/// are about sockets, and disks have stories of their own (ext4 is slow to create files for a
/// minute after thousands were deleted).
pub(super) fn folder(mails: usize) -> io::Result<TempDir> {
    let needed_bytes = (mails as u64).saturating_mul(MAIL_BYTES) + SPARE_BYTES;
    if has_room(Path::new(MEMORY), needed_bytes) {
        if let Ok(folder) = tempfile::tempdir_in(MEMORY) {
            return Ok(folder);
        }
    }
    tempfile::tempdir()
}

fn has_room(folder: &Path, needed_bytes: u64) -> bool {
    rustix::fs::statvfs(folder)
        .is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) >= needed_bytes)
}
