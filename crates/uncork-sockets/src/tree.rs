//! Who descends from whom.

use std::collections::{HashMap, HashSet};
use std::fs;

/// All that descend from `pid` now, parents before their children; without `pid` itself.
///
/// The kernel hands out neither list in one piece: a process that is started meanwhile may be
/// missing, and one whose parent has ended belongs to another tree. Who needs all of them looks again.
#[must_use]
pub fn children(pid: u32) -> Vec<u32> {
    // No process, but what the kernel calls the parent of the first one: all descend from that.
    if pid == 0 {
        return Vec::new();
    }
    // Only a kernel with CONFIG_PROC_CHILDREN has the file; without it every process is asked for its
    // parent, which costs a read a process of the machine.
    if fs::exists(format!("/proc/{pid}/task/{pid}/children")).unwrap_or(false) {
        descend(pid, children_of)
    } else {
        let mut table = children_by_parent();
        descend(pid, |parent| table.remove(&parent).unwrap_or_default())
    }
}

/// All processes that can be seen, those that have entered a container from outside as well. Without the
/// kernel's own threads.
#[must_use]
pub fn processes() -> Vec<u32> {
    let table = children_by_parent();
    let eldest = table.get(&0).into_iter().flatten();
    let kernel = eldest
        .copied()
        .find(|pid| crate::command(*pid).as_deref() == Some("kthreadd"));
    let families = table.into_iter();
    let families = families.filter(|(parent, _)| Some(*parent) != kernel);
    let pids = families.flat_map(|(_, pids)| pids);
    pids.filter(|pid| Some(*pid) != kernel).collect()
}

/// Walks the tree. A process is met once, even if ids were given again meanwhile.
fn descend(pid: u32, mut children_of: impl FnMut(u32) -> Vec<u32>) -> Vec<u32> {
    let mut seen = HashSet::from([pid]);
    let mut found = children_of(pid);
    found.retain(|child| seen.insert(*child));
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let children = children_of(parent);
        found.extend(children.into_iter().filter(|child| seen.insert(*child)));
        next += 1;
    }
    found
}

/// The children of each thread: one that was started by a thread is in that thread's list.
fn children_of(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    let threads = threads.into_iter().flatten().flatten();
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let parse = |list: String| {
        let pids = list
            .split_ascii_whitespace()
            .filter_map(|pid| pid.parse().ok());
        pids.collect::<Vec<u32>>()
    };
    lists.flat_map(parse).collect()
}

fn children_by_parent() -> HashMap<u32, Vec<u32>> {
    let mut table: HashMap<u32, Vec<u32>> = HashMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        // A name may be of any bytes.
        let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
        if let Some(parent) = parent(&stat) {
            table.entry(parent).or_default().push(pid);
        }
    }
    table
}

/// Field 4 of a `/proc/PID/stat`. The name before it may hold spaces and parentheses.
fn parent(stat: &[u8]) -> Option<u32> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_name_with_parentheses_is_no_field() {
        assert_eq!(parent(b"42 (a) R (b c) S 7 42 42 0 -1\n"), Some(7));
        assert_eq!(parent(b"42 (\xff) S) S 8 42\n"), Some(8));
        assert_eq!(parent(b"42 (cut off"), None);
        assert_eq!(parent(b"42 (cut off) S"), None);
        assert_eq!(parent(b""), None);
    }

    #[test]
    fn a_circle_has_an_end() {
        let circle = |pid: u32| vec![pid % 3 + 1];
        assert_eq!(descend(1, circle), [2, 3]);
    }

    #[test]
    fn all_are_there_once() {
        let found = processes();
        let own = found.iter().filter(|pid| **pid == std::process::id());
        assert_eq!(own.count(), 1, "{found:?}");
        let of_kernel = |pid: &u32| crate::command(*pid).as_deref() == Some("kthreadd");
        assert!(!found.iter().any(of_kernel), "{found:?}");
        let different: HashSet<&u32> = found.iter().collect();
        assert_eq!(different.len(), found.len());
    }

    #[test]
    fn nobody_has_all_for_children() {
        assert_eq!(children(0), []);
    }

    #[test]
    fn both_ways_find_a_child() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep(1)");
        let pid = std::process::id();
        let mut table = children_by_parent();
        let walked = descend(pid, |parent| table.remove(&parent).unwrap_or_default());
        let found = children(pid);
        child.kill().expect("kill");
        child.wait().expect("wait");
        assert!(walked.contains(&child.id()), "{walked:?}");
        assert!(found.contains(&child.id()), "{found:?}");
        assert!(!children(pid).contains(&child.id()));
    }
}
