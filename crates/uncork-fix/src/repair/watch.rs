//! Looking again and again, for sockets to come.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use uncork_sockets::{Pace, Process, Refusals, Work, children};

use super::repairer::Repairer;
use super::report::Refusal;
use super::target::Target;

/// Between two looks at the descriptors. A connection that lives shorter may be missed; one that stalls
/// lives longer.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Where thousands of descriptors are to be looked at, a tenth of a processor is enough.
const ONE_PART_IN: u32 = 10;

/// Between two looks for new descendants: each reads a file for each thread of each process.
const CHILDREN_INTERVAL: Duration = Duration::from_millis(100);

/// The processes under watch. One that refuses for good, which is said once, is kept, so that it isn't
/// taken for a new one.
#[derive(Debug, Default)]
struct Members {
    processes: BTreeMap<u32, Process>,
    refusals: Refusals,
}

impl Repairer<'_> {
    /// Gives NODELAY to all TCP sockets that the processes have, and to those that they get, until
    /// `stop` is set or the last of them has ended. Descendants stay under watch when their parents end.
    ///
    /// A socket is dealt with when it is seen first: a program that takes NODELAY away again later has
    /// its way.
    pub fn watch(&mut self, target: &Target, stop: &AtomicBool) {
        let mut members = Members::default();
        let mut waiting = target.processes();
        let mut look = Pace::new(LOOK_INTERVAL, ONE_PART_IN);
        let mut descent = Pace::new(CHILDREN_INTERVAL, ONE_PART_IN);
        while !stop.load(Ordering::Relaxed) {
            let work = Work::begin();
            let known = members.processes.len();
            waiting.retain(|pid| !self.join(&mut members, *pid, target.names(*pid)));
            if target.is_with_descendants() && descent.is_due() {
                let work = Work::begin();
                self.adopt(&mut members);
                descent.done(&work);
            }
            self.report.processes += (members.processes.len() - known) as u64;
            self.look_at_all(&mut members);
            if waiting.is_empty() && members.are_over() {
                break;
            }
            look.done(&work);
            sleep(look.due().saturating_duration_since(Instant::now()));
        }
    }

    /// Returns false where it has to be tried again.
    fn join(&mut self, members: &mut Members, pid: u32, is_named: bool) -> bool {
        match Process::open(pid) {
            Ok(process) => drop(members.processes.insert(pid, process)),
            Err(error) if error.is_gone() && !is_named => {}
            Err(error) if error.is_out_of_descriptors() => return false,
            Err(error) => self.refuse(Refusal::new(pid, None, &error)),
        }
        true
    }

    /// New descendants of those under watch.
    fn adopt(&mut self, members: &mut Members) {
        let parents: Vec<u32> = members.processes.keys().copied().collect();
        for parent in parents {
            let found = children(parent);
            // The id of one that has ended may be of another one now, and these its children. Who has not
            // ended by now had it to itself.
            if !members.processes[&parent].is_running() {
                continue;
            }
            for pid in found {
                if !members.processes.contains_key(&pid) {
                    self.join(members, pid, false);
                }
            }
        }
    }

    fn look_at_all(&mut self, members: &mut Members) {
        let Members {
            processes,
            refusals,
        } = members;
        processes.retain(|pid, process| {
            let looked = match refusals.is_final(*pid) {
                false => Some(self.look(process)),
                true => None,
            };
            let is_gone = matches!(&looked, Some(Err(error)) if error.is_gone());
            if is_gone || !process.is_running() {
                refusals.forget(*pid);
                self.forget(*pid);
                return false;
            }
            match looked {
                Some(Ok(())) => refusals.forget(*pid),
                Some(Err(error)) if !error.is_out_of_descriptors() && refusals.add(*pid) => {
                    self.report.processes -= 1;
                    self.refuse(Refusal::new(*pid, None, &error));
                }
                _ => {}
            }
            true
        });
    }
}

impl Members {
    /// Whether there is nobody left to look at.
    fn are_over(&self) -> bool {
        let mut pids = self.processes.keys();
        pids.all(|pid| self.refusals.is_final(*pid))
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn children_of_a_stranger_are_not_adopted() {
        let start = || {
            let mut command = Command::new("cat");
            command.stdin(Stdio::piped()).spawn().unwrap()
        };
        let (mut ended, mut child) = (start(), start());
        let process = Process::open(ended.id()).unwrap();
        drop(ended.stdin.take());
        ended.wait().unwrap();
        // As if its id had been given to this very process.
        let mut members = Members::default();
        members.processes.insert(std::process::id(), process);
        Repairer::new(|_| {}).adopt(&mut members);
        let adopted = members.processes.len() - 1;
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(adopted, 0);
    }
}
