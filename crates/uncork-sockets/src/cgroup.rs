//! Processes of a control group.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::statfs;
use rustix::io::Errno;

/// `CGROUP2_SUPER_MAGIC` and `CGROUP_SUPER_MAGIC` of `include/uapi/linux/magic.h`.
const CGROUP2_MAGIC: u64 = 0x6367_7270;
const CGROUP1_MAGIC: u64 = 0x0027_e0eb;

/// Why a path is no cgroup whose processes can be listed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CgroupError {
    /// Nothing there, or nothing that may be read.
    #[error("{} can't be read ({call}: {reason})", path.display())]
    Read {
        /// What was asked for, or a group beneath it.
        path: PathBuf,
        /// Which system call failed.
        call: &'static str,
        /// What the kernel said.
        reason: io::Error,
    },
    /// Another file system, or a file in the right one.
    #[error("{} is no cgroup", .0.display())]
    None(PathBuf),
    /// A hierarchy of version 1, to which no socket programs can be attached.
    #[error("{} is a cgroup of version 1", .0.display())]
    Version1(PathBuf),
    /// A threaded cgroup holds threads, not processes.
    #[error("{} is a threaded cgroup", .0.display())]
    Threaded(PathBuf),
}

/// The processes in a cgroup (version 2), with `recursive` also in those beneath it.
///
/// Processes of another pid namespace have no id here, and are left out.
///
/// # Errors
/// Where `path` is no cgroup of version 2, or can't be read.
pub fn cgroup_pids(path: &Path, recursive: bool) -> Result<Vec<u32>, CgroupError> {
    check(path)?;
    let mut pids = Vec::new();
    let mut groups = vec![path.to_owned()];
    while let Some(group) = groups.pop() {
        match fs::read_to_string(group.join("cgroup.procs")) {
            Ok(list) => pids.extend(parse(&list)),
            Err(error) => match Errno::from_io_error(&error) {
                // Beneath: the processes of a threaded group are listed by the one that it belongs to;
                // and a group may have been removed meanwhile.
                Some(Errno::OPNOTSUPP | Errno::NODEV | Errno::NOENT) if group != path => {}
                Some(Errno::OPNOTSUPP) => return Err(CgroupError::Threaded(group)),
                _ => return Err(failed(&group, "read", error)),
            },
        }
        if recursive {
            groups.extend(beneath(&group));
        }
    }
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

fn check(path: &Path) -> Result<(), CgroupError> {
    let facts = statfs(path).map_err(|errno| failed(path, "statfs", errno.into()))?;
    // The field is signed, and of another width, on some machines; the magic is 32 bits on all.
    #[expect(clippy::cast_sign_loss, reason = "a bit pattern")]
    let magic = facts.f_type as u64 & 0xffff_ffff;
    match magic {
        CGROUP2_MAGIC if path.is_dir() => Ok(()),
        CGROUP1_MAGIC => Err(CgroupError::Version1(path.to_owned())),
        _ => Err(CgroupError::None(path.to_owned())),
    }
}

/// A `cgroup.procs`: 0 stands for a process of another pid namespace.
fn parse(list: &str) -> impl Iterator<Item = u32> {
    let pids = list.lines().filter_map(|pid| pid.parse().ok());
    pids.filter(|pid| *pid != 0)
}

fn beneath(group: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|folder| folder.path()).collect()
}

fn failed(path: &Path, call: &'static str, reason: io::Error) -> CgroupError {
    let path = path.to_owned();
    CgroupError::Read { path, call, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_processes() {
        let pids: Vec<u32> = parse("1\n0\n4194304\n\nx\n").collect();
        assert_eq!(pids, [1, 4_194_304]);
    }

    #[test]
    fn what_is_no_cgroup() {
        let said = |path: &str| cgroup_pids(path.as_ref(), true).unwrap_err().to_string();
        assert_eq!(said("/proc"), "/proc is no cgroup");
        assert!(said("/no/such/place").contains("statfs"));
    }
}
