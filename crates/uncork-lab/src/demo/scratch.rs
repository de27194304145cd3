//! Room for the demo's files.

use std::io;
use std::path::Path;

use tempfile::TempDir;

/// A file system in memory that Linux systems have.
const MEMORY: &str = "/dev/shm";

/// Free bytes that it must have: a demo of a million mails belongs on a disk.
const MEMORY_FREE_BYTES: u64 = 1024 * 1024 * 1024;

/// A folder that is gone when it is dropped: in memory where there is room, for the stories
/// are about sockets, and disks have stories of their own (ext4 is slow to create files for a
/// minute after thousands were deleted).
pub(super) fn folder() -> io::Result<TempDir> {
    if has_room(Path::new(MEMORY)) {
        if let Ok(folder) = tempfile::tempdir_in(MEMORY) {
            return Ok(folder);
        }
    }
    tempfile::tempdir()
}

fn has_room(folder: &Path) -> bool {
    rustix::fs::statvfs(folder)
        .is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) >= MEMORY_FREE_BYTES)
}
