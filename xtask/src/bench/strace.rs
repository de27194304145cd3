//! How many system calls a process makes, as `strace -c` counts them.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use tempfile::TempDir;
use uncork_lab::process;

/// How long strace may take to attach to all processes.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause between two looks at a process.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// strace while it counts. Killed when dropped; what it counted is then lost.
#[derive(Debug)]
pub(super) struct Strace {
    child: Child,
    folder: TempDir,
}

impl Strace {
    /// Attaches to `pid` and all its descendants.
    ///
    /// # Errors
    /// Where strace can't be run or may not attach.
    pub(super) fn attach(program: &Path, pid: u32) -> Result<Self> {
        let folder = TempDir::with_prefix("uncork-strace").context("no temporary folder")?;
        let mut command = Command::new(program);
        command
            .args(["-c", "-f", "-o"])
            .arg(folder.path().join("counts"));
        let tree = process::tree(pid);
        for process in &tree {
            command.args(["-p", &process.pid.to_string()]);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("can't run strace")?;
        let mut strace = Self { child, folder };
        let deadline = Instant::now() + ATTACH_TIMEOUT;
        while !tree.iter().all(|process| is_traced(process.pid)) {
            ensure!(Instant::now() < deadline, "strace does not attach");
            if let Some(status) = strace.child.try_wait()? {
                bail!("strace ended with {status}; may it attach to other processes?");
            }
            sleep(POLL_INTERVAL);
        }
        Ok(strace)
    }

    /// Detaches; the number of calls that were made meanwhile.
    ///
    /// # Errors
    /// Where strace does not say.
    pub(super) fn calls(mut self) -> Result<u64> {
        process::signal(self.child.id(), Signal::INT);
        self.child.wait().context("strace")?;
        let counts = fs::read_to_string(self.folder.path().join("counts"));
        sum(&counts.context("strace wrote nothing")?)
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        // Both fail only where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether all threads of a process have a tracer (`TracerPid` in proc(5)).
fn is_traced(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    let threads: Vec<_> = threads.into_iter().flatten().flatten().collect();
    threads.iter().all(|thread| {
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        let tracer = status
            .lines()
            .find_map(|line| line.strip_prefix("TracerPid:"));
        tracer.is_some_and(|tracer| tracer.trim() != "0")
    })
}

/// The sum of the column `calls`, the fourth: the line of the total does not have all columns
/// in every version of strace.
fn sum(counts: &str) -> Result<u64> {
    let mut sum = 0;
    for line in counts.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [percent, _, _, calls, .., name] = words[..] else {
            continue;
        };
        if percent.parse::<f64>().is_ok() && name != "total" {
            let calls: u64 = calls.parse().with_context(|| format!("in {line:?}"))?;
            sum += calls;
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_are_summed() {
        let counts = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 59.39    0.000174           2        64           recvfrom
 40.61    0.000119           1        70         6 sendto
  0.00    0.000000           0         3           epoll_wait
------ ----------- ----------- --------- --------- ----------------
100.00    0.000293                   137         6 total
";
        assert_eq!(sum(counts).unwrap(), 137);
        assert_eq!(sum("").unwrap(), 0);
    }
}
