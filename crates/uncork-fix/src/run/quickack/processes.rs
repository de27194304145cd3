//! The processes of a command: it, and all that it has started.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use rustix::process::{Pid, Resource, getrlimit};
use uncork_sockets::{Descriptor, Error, Process, Refusals, children};

use super::Shared;

/// How many are looked into. Each takes two descriptors.
const PROCESSES_MAX: u64 = 256;

/// The part of the descriptors that this process may have: the rest is for the command's calls.
const DESCRIPTORS_PART: u64 = 4;

/// Those that are there now, or were at the last look. Who loses its parent stays.
pub(super) struct Processes {
    keeper: Option<Pid>,
    members: BTreeMap<u32, Process>,
    refusals: Refusals,
    /// Those that there was no room for.
    crowded: HashSet<u32>,
    members_max: usize,
    shared: Arc<Shared>,
}

impl Processes {
    pub(super) fn new(keeper: Option<Pid>, shared: Arc<Shared>) -> Self {
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let members_max = PROCESSES_MAX.min(descriptors / DESCRIPTORS_PART);
        Self {
            keeper,
            members: BTreeMap::new(),
            refusals: Refusals::default(),
            crowded: HashSet::new(),
            members_max: usize::try_from(members_max).unwrap_or(usize::MAX),
            shared,
        }
    }

    /// This one alone.
    #[cfg(test)]
    pub(super) fn of_this_process(shared: Arc<Shared>) -> Self {
        let mut processes = Self::new(None, shared);
        let pid = std::process::id();
        let own = Process::open(pid).unwrap();
        processes.members.insert(pid, own);
        processes
    }

    pub(super) fn get(&self, pid: u32) -> Option<&Process> {
        self.members.get(&pid)
    }

    /// Looks for new ones, and lets go of those that have ended.
    pub(super) fn descend(&mut self) {
        self.members.retain(|_, process| process.is_running());
        let present = self.present();
        self.refusals.keep(&present);
        self.crowded.retain(|pid| present.contains(pid));
        for pid in present {
            if self.members.contains_key(&pid) || self.refusals.is_final(pid) {
                continue;
            }
            if self.members.len() >= self.members_max {
                if self.crowded.insert(pid) {
                    self.shared.leave_process_out();
                }
                continue;
            }
            let opened = Process::open(pid);
            match opened.and_then(|process| process.check_permission().map(|()| process)) {
                Ok(process) => {
                    self.members.insert(pid, process);
                }
                Err(error) if error.is_gone() => {}
                Err(_) if self.refusals.add(pid) => self.shared.leave_process_out(),
                Err(_) => {}
            }
        }
    }

    /// Their descriptors that are sockets, of whatever kind.
    pub(super) fn descriptors(&mut self) -> Vec<(u32, Descriptor)> {
        let mut found = Vec::new();
        self.members.retain(|pid, process| {
            match process.descriptors() {
                Ok(descriptors) => {
                    found.extend(descriptors.into_iter().map(|descriptor| (*pid, descriptor)));
                    true
                }
                // It may have become somebody else by an exec: the next look finds out.
                Err(Error::Gone { .. } | Error::NotPermitted { .. }) => false,
                Err(_) => true,
            }
        });
        found
    }

    /// All that descend from this process now but the keeper, and from those that did before.
    fn present(&self) -> HashSet<u32> {
        let keeper = self
            .keeper
            .map(|pid| pid.as_raw_nonzero().get().cast_unsigned());
        let mut present: HashSet<u32> = children(std::process::id()).into_iter().collect();
        for pid in self.members.keys() {
            if present.insert(*pid) {
                present.extend(children(*pid));
            }
        }
        present.retain(|pid| Some(*pid) != keeper);
        present
    }
}
