//! Looking again and again, for sockets to come.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use uncork_sockets::{Error, Process, children};

use super::repairer::Repairer;
use super::report::Refusal;
use super::target::Target;

/// Between two looks at the descriptors. A connection that lives shorter may be missed; one that stalls
/// lives longer.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How many times longer than a look the pause after it is: where thousands of descriptors are to be
/// looked at, a tenth of a processor is enough.
const PAUSE_PER_LOOK: u32 = 9;

/// Between two looks for new descendants: each reads a file for each thread of each process.
const CHILDREN_INTERVAL: Duration = Duration::from_millis(100);

/// After so many refusals one after the other a process isn't asked any more: for the moment of its exec
/// it is closed to everybody.
const REFUSALS: u32 = 5;

/// A process under watch.
#[derive(Debug)]
struct Member {
    process: Process,
    /// How often it has refused. That it does so for good is said once; it is kept so that it isn't taken
    /// for a new one.
    refusals: u32,
}

impl Member {
    fn is_refused(&self) -> bool {
        self.refusals >= REFUSALS
    }
}

impl Repairer<'_> {
    /// Gives NODELAY to all TCP sockets that the processes have, and to those that they get, until
    /// `stop` is set or the last of them has ended. Descendants stay under watch when their parents end.
    ///
    /// A socket is dealt with when it is seen first: a program that takes NODELAY away again later has
    /// its way.
    pub fn watch(&mut self, target: &Target, stop: &AtomicBool) {
        let mut members = BTreeMap::new();
        let mut waiting = target.processes();
        let mut children_at = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let began = Instant::now();
            let known = members.len();
            waiting.retain(|pid| !self.join(&mut members, *pid, target.names(*pid)));
            self.report.processes += (members.len() - known) as u64;
            if target.is_with_descendants() && Instant::now() >= children_at {
                children_at = Instant::now() + CHILDREN_INTERVAL;
                let known = members.len();
                self.adopt(&mut members);
                self.report.processes += (members.len() - known) as u64;
            }
            self.look_at_all(&mut members);
            if waiting.is_empty() && members.values().all(Member::is_refused) {
                break;
            }
            sleep(LOOK_INTERVAL.max(began.elapsed() * PAUSE_PER_LOOK));
        }
    }

    /// Returns false where it has to be tried again.
    fn join(&mut self, members: &mut BTreeMap<u32, Member>, pid: u32, is_named: bool) -> bool {
        match Process::open(pid) {
            Ok(process) => {
                let member = Member {
                    process,
                    refusals: 0,
                };
                members.insert(pid, member);
            }
            Err(error) if error.is_gone() && !is_named => {}
            Err(error) if error.is_out_of_descriptors() => return false,
            Err(error) => self.refuse(Refusal::new(pid, None, &error)),
        }
        true
    }

    /// New descendants of those under watch.
    fn adopt(&mut self, members: &mut BTreeMap<u32, Member>) {
        let parents: Vec<u32> = members.keys().copied().collect();
        for pid in parents.into_iter().flat_map(children) {
            // An id whose process has ended may be of another one now; the next look finds out.
            if !members.contains_key(&pid) {
                self.join(members, pid, false);
            }
        }
    }

    fn look_at_all(&mut self, members: &mut BTreeMap<u32, Member>) {
        let mut ended = Vec::new();
        for (pid, member) in members.iter_mut() {
            let looked = match member.is_refused() {
                false => self.look(&member.process),
                true => Ok(()),
            };
            let is_gone = looked.as_ref().is_err_and(Error::is_gone);
            if is_gone || !member.process.is_running() {
                ended.push(*pid);
                continue;
            }
            match looked {
                Err(error) if !error.is_out_of_descriptors() => {
                    member.refusals += 1;
                    if member.is_refused() {
                        self.report.processes -= 1;
                        self.refuse(Refusal::new(*pid, None, &error));
                    }
                }
                Ok(()) if !member.is_refused() => member.refusals = 0,
                _ => {}
            }
        }
        for pid in ended {
            members.remove(&pid);
            self.forget(pid);
        }
    }
}
