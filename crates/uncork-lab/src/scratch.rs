//! Room for files that nobody keeps.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A file system in memory that Linux systems have.
const MEMORY: &str = "/dev/shm";

/// How the names of the folders begin.
const NAME: &str = "uncork-scratch-";

/// Room that a mail takes, in the source and at the server, with what a file costs beside.
const MAIL_BYTES: u64 = 32 * 1024;

/// Free bytes beyond that: what is used here belongs to others too.
const SPARE_BYTES: u64 = 512 * 1024 * 1024;

/// A folder that is gone when it is dropped: in memory where there is room, for what is shown
/// here is about sockets, and disks have stories of their own (ext4 is slow to create files for
/// a minute after thousands were deleted).
pub fn folder(mails: usize) -> io::Result<TempDir> {
    let parent = parent((mails as u64).saturating_mul(MAIL_BYTES));
    remove_left_behind(&parent);
    tempfile::Builder::new()
        .prefix(&prefix(std::process::id()))
        .tempdir_in(parent)
}

/// Where such folders are: in memory where there is room for so many bytes.
pub(crate) fn parent(bytes: u64) -> PathBuf {
    let memory = Path::new(MEMORY);
    if has_room(memory, bytes.saturating_add(SPARE_BYTES)) {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}

/// Names tell whose folder it is.
fn prefix(pid: u32) -> String {
    format!("{NAME}{pid}-")
}

/// Removes what a process left that was ended by Ctrl-C: memory does not come back by itself.
/// What can't be removed is somebody else's.
fn remove_left_behind(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| {
            name.strip_prefix(NAME)?
                .split('-')
                .next()?
                .parse::<u32>()
                .ok()
        });
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn has_room(folder: &Path, needed_bytes: u64) -> bool {
    rustix::fs::statvfs(folder)
        .is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) >= needed_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_the_dead_are_removed_and_no_others() {
        let parent = tempfile::tempdir().unwrap();
        // No process has this number: it is beyond what Linux gives out (PID_MAX_LIMIT).
        let dead = format!("{}x", prefix(4_194_305));
        let alive = format!("{}x", prefix(std::process::id()));
        for name in [&dead, &alive, "uncork-scratch-", "other"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        fs::write(parent.path().join(&dead).join("mail"), "x").unwrap();
        remove_left_behind(parent.path());
        assert!(!parent.path().join(&dead).exists());
        for name in [&alive, "uncork-scratch-", "other"] {
            assert!(parent.path().join(name).exists(), "{name}");
        }
    }
}
