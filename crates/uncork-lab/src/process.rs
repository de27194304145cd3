//! Processes as `/proc` shows them: who descends from whom, the CPU time and the memory they
//! took; and how a process ends with all its descendants.
//!
//! See proc_pid_stat(5) and `Documentation/scheduler/sched-stats.rst` of the kernel.

use std::collections::HashMap;
use std::fs;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Nanoseconds in a second.
const SECOND_NS: u64 = 1_000_000_000;

/// How long a process may take to end by itself before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause between two looks at a process.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

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

/// The memory that `pid` and all its descendants have now: the resident sets (VmRSS of
/// `/proc/PID/status`), in which pages that they share are counted for each of them. What the
/// kernel holds for their sockets is not in it.
#[must_use]
pub fn tree_memory_bytes(pid: u32) -> u64 {
    let memories = tree(pid).into_iter().filter_map(|process| {
        let status = fs::read_to_string(format!("/proc/{}/status", process.pid)).ok()?;
        resident_bytes(&status)
    });
    memories.sum()
}

/// `None` for a process that has ended and was not waited for.
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// Asks a process to end (SIGTERM), so that it can end its descendants, and kills who of them is
/// left, and itself if it takes more than five seconds.
pub fn stop(child: &mut Child) {
    let mut processes = tree(child.id());
    if matches!(child.try_wait(), Ok(None)) {
        signal(child.id(), Signal::TERM);
    }
    let deadline = Instant::now() + STOP_TIMEOUT;
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
        // A child that was made meanwhile has to be found before its parent is gone.
        let known = processes.len();
        for process in tree(child.id()) {
            if !processes[..known].contains(&process) {
                processes.push(process);
            }
        }
        sleep(POLL_INTERVAL);
    }
    for process in processes.iter().filter(|process| process.is_alive()) {
        signal(process.pid, Signal::KILL);
    }
    // Only fails if somebody else waited for it, and then it is gone too.
    let _ = child.wait();
    let deadline = Instant::now() + STOP_TIMEOUT;
    while processes.iter().any(Process::is_alive) && Instant::now() < deadline {
        sleep(POLL_INTERVAL);
    }
}

/// Sends a signal to a process that is known to be there.
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // Fails if the process is gone meanwhile, which is what is wanted.
        let _ = kill_process(pid, signal);
    }
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
    fn the_resident_set_is_read_from_a_status() {
        let status = "Name:\tVmRSS: 1 kB\nVmHWM:\t   99 kB\nVmRSS:\t    5376 kB\n";
        assert_eq!(resident_bytes(status), Some(5376 * 1024));
        assert_eq!(resident_bytes("Name:\tzombie\nState:\tZ\n"), None);
        assert!(tree_memory_bytes(std::process::id()) > 0);
    }

    #[test]
    fn children_that_their_parent_leaves_behind_are_killed() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & echo; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh(1)");
        let mut line = [0];
        let mut stdout = shell.stdout.take().expect("a pipe");
        std::io::Read::read_exact(&mut stdout, &mut line).expect("a line");
        let tree = tree(shell.id());
        assert_eq!(tree.len(), 2, "{tree:?}");
        stop(&mut shell);
        assert!(!tree.iter().any(Process::is_alive));
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
