//! Which processes and sockets there are.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use uncork_sockets::{Descriptor, Error, Pace, Process, Refusals, Work};

use super::jitter::Jitter;
use super::limit::Limit;
use super::outbox::{Gaps, Outbox};
use super::watched::{Look, Watched};
use super::{CALM_SAMPLES_A_SECOND, SOCKETS, SampleError};
use crate::engine::Target;
use crate::event::{Identity, Kind, SocketId};
use crate::session::now_ns;

/// How often `/proc` is searched for new sockets, and for new processes, where that costs little.
const SEARCH: Duration = Duration::from_millis(20);
const SEARCH_ALL: Duration = Duration::from_millis(500);

/// A search takes one part in so many of a processor at most: it costs more the more there is.
const ONE_PART_IN: u32 = 50;

/// A descriptor of a process.
type Place = (u32, Descriptor);

/// What there is to sample.
#[derive(Debug)]
pub(super) struct Search {
    target: Target,
    processes: HashMap<u32, Process>,
    refusals: Refusals,
    /// Processes for which there was no room.
    crowded: HashSet<u32>,
    /// By inode.
    sockets: HashMap<u64, Watched>,
    /// Descriptors that are no connection and will be none: they are not duplicated again.
    dull: HashSet<Place>,
    /// Inodes of connections for which there was no room.
    left_out: HashSet<u64>,
    next_id: u64,
    limit: Limit,
    process_pace: Pace,
    socket_pace: Pace,
    /// When the last search for processes began, by [`now_ns`].
    searched_ns: u64,
    outbox: Outbox,
}

impl Search {
    pub(super) fn new(target: &Target, outbox: Outbox) -> Result<Self, SampleError> {
        let mut processes = HashMap::new();
        if let Target::Pids(pids) = target {
            for pid in pids {
                let process = Process::open(*pid).map_err(SampleError::Process)?;
                process.check_permission().map_err(SampleError::Process)?;
                processes.insert(*pid, process);
            }
        }
        let process_search = match target {
            Target::All => SEARCH_ALL,
            Target::Children | Target::Pids(_) => SEARCH,
        };
        Ok(Self {
            target: target.clone(),
            processes,
            refusals: Refusals::default(),
            crowded: HashSet::new(),
            sockets: HashMap::new(),
            dull: HashSet::new(),
            left_out: HashSet::new(),
            next_id: 0,
            limit: Limit::new(),
            process_pace: Pace::new(process_search, ONE_PART_IN),
            socket_pace: Pace::new(SEARCH, ONE_PART_IN),
            searched_ns: 0,
            outbox,
        })
    }

    /// Searches, where it is time to. A socket that has gone may have been handed to a child process, or
    /// have made room for the next one at its number, so that is a reason to hurry.
    pub(super) fn search(&mut self) {
        let is_urgent = self.sockets.values().any(|one| one.gone_ns.is_some());
        let is_time = |pace: &Pace| {
            if is_urgent {
                pace.may_hurry()
            } else {
                pace.is_due()
            }
        };
        if is_time(&self.process_pace) {
            let work = Work::begin();
            self.searched_ns = now_ns();
            self.find_processes();
            self.process_pace.done(&work);
        }
        if is_time(&self.socket_pace) {
            let work = Work::begin();
            self.find_sockets();
            self.socket_pace.done(&work);
        }
    }

    fn find_processes(&mut self) {
        let own_pid = std::process::id();
        // Whose parent has ended descends from nobody that is known any more, but its own children do.
        let pids: HashSet<u32> = match &self.target {
            Target::All => uncork_sockets::processes().into_iter().collect(),
            Target::Children => self.families(&[own_pid]),
            Target::Pids(roots) => self.families(roots),
        };
        // Its number may be given to another process once one has ended.
        self.refusals.keep(&pids);
        self.crowded.retain(|pid| pids.contains(pid));
        for pid in pids {
            if pid == own_pid || self.processes.contains_key(&pid) || self.refusals.is_final(pid) {
                continue;
            }
            if !self.limit.has_room_for_process(self.processes.len()) {
                if self.crowded.insert(pid) {
                    self.outbox.shared.crowded.fetch_add(1, Ordering::Relaxed);
                }
                continue;
            }
            match Process::open(pid)
                .and_then(|process| process.check_permission().map(|()| process))
            {
                Ok(process) => {
                    self.processes.insert(pid, process);
                }
                Err(Error::NotPermitted { .. }) => {
                    if self.refusals.add(pid) {
                        self.outbox.shared.refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Err(error) => failed(&error, &mut self.limit, &self.outbox),
            }
        }
    }

    /// All that are watched, and descend from these. From the roots first: who descends from them needs no walk
    /// of its own.
    fn families(&self, roots: &[u32]) -> HashSet<u32> {
        let own_pid = std::process::id();
        let is_there = |pid: u32| {
            let process = self.processes.get(&pid);
            pid == own_pid || process.is_some_and(Process::is_running)
        };
        let mut found = HashSet::new();
        for pid in roots.iter().chain(self.processes.keys()) {
            if is_there(*pid) && found.insert(*pid) {
                found.extend(uncork_sockets::children(*pid));
            }
        }
        found
    }

    fn find_sockets(&mut self) {
        let mut found: Vec<Place> = Vec::new();
        let mut is_whole = true;
        let (limit, outbox) = (&mut self.limit, &self.outbox);
        self.processes.retain(|pid, process| {
            let descriptors = process.descriptors();
            // One that has ended and was not waited for has a folder without descriptors.
            if descriptors.as_ref().map_or(true, Vec::is_empty) && !process.is_running() {
                return false;
            }
            match descriptors {
                Ok(descriptors) => found.extend(descriptors.into_iter().map(|one| (*pid, one))),
                // The sockets of that process are as they were.
                Err(error) => {
                    is_whole &= !error.is_out_of_descriptors();
                    failed(&error, limit, outbox);
                }
            }
            true
        });
        let mut dull = HashSet::with_capacity(self.dull.len());
        let mut left_out = HashSet::with_capacity(self.left_out.len());
        for place in found {
            let inode = place.1.inode;
            if self.dull.contains(&place) {
                dull.insert(place);
            } else if self.is_known(place) {
                continue;
            } else if self.sockets.len() >= SOCKETS && self.left_out.contains(&inode) {
                left_out.insert(inode);
            } else {
                match self.meet(place) {
                    Met::Dull => drop(dull.insert(place)),
                    Met::NoRoom => drop(left_out.insert(inode)),
                    Met::Done => {}
                }
            }
        }
        let new = left_out.difference(&self.left_out).count() as u64;
        self.outbox
            .shared
            .left_out
            .fetch_add(new, Ordering::Relaxed);
        self.dull = dull;
        self.left_out = left_out;
        if is_whole {
            self.close_the_gone();
        }
    }

    /// Whether it is a socket that is sampled already; one that has gone from another descriptor goes on
    /// at this one.
    fn is_known(&mut self, (pid, descriptor): Place) -> bool {
        let Some(watched) = self.sockets.get_mut(&descriptor.inode) else {
            return false;
        };
        if watched.gone_ns.is_none() {
            return true;
        }
        let Some(process) = self.processes.get(&pid) else {
            return true;
        };
        match watched.goes_on_at(process, descriptor.number) {
            Ok(true) => true,
            // The kernel has given its inode to another socket.
            Ok(false) => {
                if let Some(watched) = self.sockets.remove(&descriptor.inode) {
                    close(&watched, &self.outbox);
                }
                false
            }
            Err(error) => {
                failed(&error, &mut self.limit, &self.outbox);
                true
            }
        }
    }

    /// A descriptor that wasn't there at the search before.
    fn meet(&mut self, (pid, descriptor): Place) -> Met {
        let Some(process) = self.processes.get(&pid) else {
            return Met::Done;
        };
        let socket = match process.socket(descriptor.number) {
            Ok(Some(socket)) if socket.inode() == descriptor.inode => socket,
            // Something else has the number now: the next search finds it.
            Ok(Some(_)) => return Met::Done,
            Ok(None) => return Met::Dull,
            Err(error) => {
                failed(&error, &mut self.limit, &self.outbox);
                return Met::Done;
            }
        };
        // What listens sends nothing; what is not connected yet will be found again.
        if socket.is_listening() {
            return Met::Dull;
        }
        let Some(remote) = socket.remote() else {
            return Met::Done;
        };
        if self.sockets.len() >= SOCKETS {
            return Met::NoRoom;
        }
        let id = SocketId(self.next_id + 1);
        let Some((watched, facts)) = Watched::begin(id, pid, &socket) else {
            return Met::Done;
        };
        self.next_id += 1;
        let (inode, local) = (socket.inode(), socket.local());
        drop(socket);
        let identity = Identity {
            pid,
            command: uncork_sockets::command(pid).unwrap_or_default(),
            connects: None,
            local,
            remote,
            namespace: 0,
            cgroup: 0,
        };
        let kind = Kind::Open(Box::new(identity));
        self.outbox.send(now_ns(), id, kind, facts);
        self.sockets.insert(inode, watched);
        Met::Done
    }

    /// What has gone, and was not found elsewhere though all processes were searched since, is closed.
    fn close_the_gone(&mut self) {
        let searched_ns = self.searched_ns;
        let outbox = &self.outbox;
        self.sockets.retain(|_, watched| {
            let is_closed = watched.gone_ns.is_some_and(|gone_ns| gone_ns < searched_ns);
            if is_closed {
                close(watched, outbox);
            }
            !is_closed
        });
    }

    /// Takes a sample of each socket whose turn it is. Returns of how many.
    pub(super) fn sample(&mut self, jitter: &mut Jitter) -> u32 {
        let round_ns = now_ns();
        let calm = self.sockets.values();
        let calm = calm.filter(|one| !one.turn.is_alert(round_ns)).count();
        let calm = u32::try_from(calm).unwrap_or(u32::MAX);
        let rest = Duration::from_secs(1) * calm / CALM_SAMPLES_A_SECOND;
        let (mut gaps_when_alert, mut gaps_when_calm) = (Gaps::default(), Gaps::default());
        let mut looks = 0;
        for watched in self
            .sockets
            .values_mut()
            .filter(|one| one.gone_ns.is_none() && one.turn.is_due(round_ns))
        {
            looks += 1;
            let is_alert = watched.turn.is_alert(round_ns);
            let look = watched.look(self.processes.get(&watched.pid), jitter.spread(rest));
            let at_ns = now_ns();
            match look {
                Look::Seen(facts) => {
                    let previous_ns = std::mem::replace(&mut watched.previous_ns, at_ns);
                    let gaps = if is_alert {
                        &mut gaps_when_alert
                    } else {
                        &mut gaps_when_calm
                    };
                    gaps.add(previous_ns, at_ns);
                    let kind = Kind::Sample { previous_ns };
                    self.outbox.send(at_ns, watched.id, kind, facts);
                }
                Look::Gone => watched.gone_ns = Some(at_ns),
                Look::Failed(error) => failed(&error, &mut self.limit, &self.outbox),
            }
        }
        let shared = &self.outbox.shared;
        shared.gaps_when_alert.add(&gaps_when_alert);
        shared.gaps_when_calm.add(&gaps_when_calm);
        looks
    }
}

/// What a new descriptor came to.
enum Met {
    /// No connection, and never will be.
    Dull,
    /// A connection too many.
    NoRoom,
    /// Sampled from now on, or to be asked again.
    Done,
}

/// The look that didn't find it is a sample too: it went at some time since the one before, and a hold
/// ended then.
fn close(watched: &Watched, outbox: &Outbox) {
    let at_ns = watched.gone_ns.unwrap_or_else(now_ns);
    let facts = watched.last_facts();
    let sample = Kind::Sample {
        previous_ns: watched.previous_ns,
    };
    outbox.send(at_ns, watched.id, sample, facts);
    outbox.send(at_ns, watched.id, Kind::Close, facts);
}

/// A look has failed. Where it was for want of a descriptor, more of them are asked for.
fn failed(error: &Error, limit: &mut Limit, outbox: &Outbox) {
    if error.is_out_of_descriptors() {
        limit.raise();
        outbox.shared.no_descriptor.fetch_add(1, Ordering::Relaxed);
    }
}
