//! Processes as `/proc` shows them: who descends from whom, and the CPU time they took.
//!
//! See proc_pid_stat(5) and `Documentation/scheduler/sched-stats.rst` of the kernel.

use std::collections::HashMap;
use std::fs;

/// Nanoseconds in a second.
const SECOND_NS: u64 = 1_000_000_000;

/// A process that can't be mistaken for a later one that got the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// When it started, in clock ticks since boot: field 22 of `/proc/PID/stat`.
    started_ticks: u64,
}

impl Process {
    /// Whether it is still there; one that ended but was not waited for is not.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        Stat::read(self.pid)
            .is_some_and(|stat| stat.process == *self && !matches!(stat.state, 'Z' | 'X'))
    }
}

/// The process `pid`, unless it is gone, and all that descend from it, the eldest first.
#[must_use]
pub fn tree(pid: u32) -> Vec<Process> {
    let mut children: HashMap<u32, Vec<Process>> = HashMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for stat in pids.filter_map(Stat::read) {
        children.entry(stat.parent).or_default().push(stat.process);
    }
    let mut tree: Vec<Process> = Stat::read(pid)
        .map(|stat| stat.process)
        .into_iter()
        .collect();
    let mut next = 0;
    while let Some(parent) = tree.get(next).copied() {
        tree.extend(children.remove(&parent.pid).unwrap_or_default());
        next += 1;
    }
    tree
}

/// The CPU time that `pid` and all its descendants, those that ended included, have taken.
///
/// Living processes are counted by the nanosecond (`schedstat`). Those that ended and were
/// waited for are known by the clock tick only, 10 ms on most machines, so two readings can
/// differ by that much too little.
#[must_use]
pub fn tree_cpu_ns(pid: u32) -> u64 {
    tree(pid)
        .iter()
        .map(|process| running_cpu_ns(process.pid) + reaped_children_cpu_ns(process.pid))
        .sum()
}

/// The CPU time of all children of `pid` that ended and were waited for, and of theirs;
/// counted in clock ticks.
#[must_use]
pub fn reaped_children_cpu_ns(pid: u32) -> u64 {
    let tick_ns = SECOND_NS / rustix::param::clock_ticks_per_second().max(1);
    Stat::read(pid).map_or(0, |stat| stat.reaped_ticks * tick_ns)
}

/// The CPU time that the threads of `pid` have taken. Threads that ended are not in it, which
/// does not matter for Dovecot: each of its processes has one thread.
fn running_cpu_ns(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    let schedstats = threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok());
    schedstats
        .filter_map(|text| text.split_ascii_whitespace().next()?.parse::<u64>().ok())
        .sum()
}

/// What is needed of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    process: Process,
    state: char,
    parent: u32,
    reaped_ticks: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The second field is the program's name in parentheses, and may itself hold spaces and
    /// parentheses: the fields are counted from behind the last one.
    fn parse(pid: u32, text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        // The first of these is field 3 of the manual page.
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            reaped_ticks: number(16)? + number(17)?,
            process: Process {
                pid,
                started_ticks: number(22)?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    #[test]
    fn a_name_with_parentheses_is_no_field() {
        let text = "42 (a) R (b c) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 70 8 20 0 1 0 1234 9 10\n";
        let expected = Stat {
            process: Process {
                pid: 42,
                started_ticks: 1234,
            },
            state: 'S',
            parent: 7,
            reaped_ticks: 78,
        };
        assert_eq!(Stat::parse(42, text), Some(expected));
        assert_eq!(Stat::parse(42, "42 (cut off"), None);
        assert_eq!(Stat::parse(42, "42 (cut off) S 7"), None);
    }

    #[test]
    fn the_tree_holds_this_process_and_its_child() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep(1)");
        let tree = tree(std::process::id());
        let of_child: Vec<_> = tree.iter().filter(|p| p.pid == child.id()).collect();
        assert_eq!(tree.first().map(|p| p.pid), Some(std::process::id()));
        assert_eq!(of_child.len(), 1);
        assert!(of_child[0].is_alive());
        child.kill().expect("kill");
        child.wait().expect("wait");
        assert!(!of_child[0].is_alive());
    }

    #[test]
    fn cpu_time_is_counted_while_running_and_afterwards() {
        let busy = "i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done";
        let mut shell = Command::new("sh")
            .args(["-c", &format!("sh -c '{busy}'; read line")])
            .stdin(Stdio::piped())
            .spawn()
            .expect("sh(1)");
        let deadline = Instant::now() + Duration::from_secs(30);
        while reaped_children_cpu_ns(shell.id()) == 0 && Instant::now() < deadline {
            assert!(tree_cpu_ns(shell.id()) > 0, "both shells run");
            sleep(Duration::from_millis(10));
        }
        assert_eq!(tree(shell.id()).len(), 1, "the inner shell ended");
        assert!(tree_cpu_ns(shell.id()) > reaped_children_cpu_ns(shell.id()));
        drop(shell.stdin.take());
        shell.wait().expect("wait");
        assert_eq!(tree_cpu_ns(shell.id()), 0, "nobody is left");
    }
}
