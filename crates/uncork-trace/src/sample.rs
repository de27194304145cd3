//! The engine without privileges: TCP_INFO of each socket, some hundred times a second.
//!
//! The sockets of one's own processes are found through `/proc` and duplicated by `pidfd_getfd`. What
//! happens between two samples isn't seen; a hold is as long as the samples that saw it say.

mod facts;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use uncork::TcpInfo;
use uncork_sockets::{Process, Socket};

use crate::engine::{Losses, Target};
use crate::event::{Event, Facts, Identity, Kind, SocketId};
use crate::session::now_ns;
use facts::Offset;

/// Samples that wait to be read; more are lost, and counted.
const QUEUE: usize = 65_536;

/// Sockets that are sampled.
const SOCKETS: usize = 1024;

/// Samples a second of all sockets together: each takes the lock of a socket, and its cache lines from the
/// processor that works on it.
const SAMPLES_A_SECOND: u32 = 10_000;

/// How often `/proc` is searched for new sockets, and for new processes.
const SEARCH: Duration = Duration::from_millis(20);
const SEARCH_ALL: Duration = Duration::from_millis(500);

/// After how many refusals a process isn't asked any more.
const REFUSALS: u32 = 5;

/// Why sockets can't be sampled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// A process can't be looked into.
    #[error(transparent)]
    Process(uncork_sockets::Error),
    /// No thread.
    #[error("clone: {0}")]
    Thread(#[source] io::Error),
}

/// The sampling thread; it ends with this.
#[derive(Debug)]
pub(crate) struct SampleEngine {
    events: Receiver<Event>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    is_stopped: AtomicBool,
    lost: AtomicU64,
    left_out: AtomicU64,
    refused: AtomicU64,
    /// Nanoseconds between two samples of one socket, as it came out.
    interval_ns: AtomicU64,
}

impl SampleEngine {
    /// Begins to sample.
    ///
    /// # Errors
    /// Where a process that was named is gone, or not ours.
    pub(crate) fn start(target: &Target, rate_hz: u32) -> Result<Self, SampleError> {
        let mut sampler = Sampler::new(target, rate_hz)?;
        let (sender, events) = sync_channel(QUEUE);
        let shared = Arc::clone(&sampler.shared);
        let thread = std::thread::Builder::new()
            .name("sampler".to_owned())
            .spawn(move || sampler.run(&sender))
            .map_err(SampleError::Thread)?;
        Ok(Self {
            events,
            shared,
            thread: Some(thread),
        })
    }

    /// Hands out the samples since the last call. Doesn't wait.
    pub(crate) fn drain(&mut self, take: &mut dyn FnMut(Event)) {
        for event in self.events.try_iter().take(QUEUE) {
            take(event);
        }
    }

    /// What was left out so far.
    #[must_use]
    pub(crate) fn losses(&self) -> Losses {
        Losses {
            events: self.shared.lost.load(Ordering::Relaxed),
            sockets: self.shared.left_out.load(Ordering::Relaxed),
        }
    }

    /// What the reader of a report has to know.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let interval_us = self.shared.interval_ns.load(Ordering::Relaxed) / 1000;
        if interval_us > 0 {
            #[expect(clippy::cast_precision_loss, reason = "for people")]
            let interval_ms = interval_us as f64 / 1000.0;
            notes.push(format!("each socket was sampled every {interval_ms:.1} ms"));
        }
        let refused = self.shared.refused.load(Ordering::Relaxed);
        if refused > 0 {
            notes.push(format!(
                "{refused} processes may not be looked into by this user"
            ));
        }
        notes
    }
}

impl Drop for SampleEngine {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It panics nowhere, and if it did there would be nothing to do.
            let _ = thread.join();
        }
    }
}

/// What the thread knows.
struct Sampler {
    target: Target,
    interval: Duration,
    processes: HashMap<u32, Process>,
    /// How often a process has refused to be looked into.
    refusals: HashMap<u32, u32>,
    sockets: HashMap<u64, Watched>,
    next_id: u64,
    shared: Arc<Shared>,
}

struct Watched {
    id: SocketId,
    socket: Socket,
    offset: Offset,
    previous_ns: u64,
    /// Not seen at the last search: closed by its owner.
    is_missing: bool,
}

impl Watched {
    fn facts(&mut self, info: &TcpInfo) -> Facts {
        Facts {
            nodelay: self.socket.nodelay().unwrap_or(false),
            corked: self.socket.corked().unwrap_or(false),
            ..self.offset.facts(info)
        }
    }
}

impl Sampler {
    fn new(target: &Target, rate_hz: u32) -> Result<Self, SampleError> {
        let mut processes = HashMap::new();
        if let Target::Pids(pids) = target {
            for pid in pids {
                let process = Process::open(*pid).map_err(SampleError::Process)?;
                process.check_permission().map_err(SampleError::Process)?;
                processes.insert(*pid, process);
            }
        }
        Ok(Self {
            target: target.clone(),
            interval: Duration::from_secs(1) / rate_hz.max(1),
            processes,
            refusals: HashMap::new(),
            sockets: HashMap::new(),
            next_id: 0,
            shared: Arc::default(),
        })
    }

    fn run(&mut self, events: &SyncSender<Event>) {
        let mut searched: Option<Instant> = None;
        let mut searched_all: Option<Instant> = None;
        let mut due = Instant::now();
        let mut jitter = Jitter(now_ns() | 1);
        while !self.shared.is_stopped.load(Ordering::Relaxed) {
            let every = if self.target == Target::All {
                SEARCH_ALL
            } else {
                SEARCH
            };
            if searched_all.is_none_or(|at| at.elapsed() >= every) {
                self.find_processes();
                searched_all = Some(Instant::now());
            }
            if searched.is_none_or(|at| at.elapsed() >= SEARCH) {
                self.find_sockets(events);
                searched = Some(Instant::now());
            }
            self.sample(events);
            let sockets = u32::try_from(self.sockets.len()).unwrap_or(u32::MAX);
            let least = Duration::from_secs(1) * sockets / SAMPLES_A_SECOND;
            let interval = self.interval.max(least);
            let interval_ns = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
            self.shared
                .interval_ns
                .store(interval_ns, Ordering::Relaxed);
            // Programs that stall do so in step with the kernel's ticks; samples in step with them would
            // be off by the same time always, so that errors would add up.
            due += jitter.spread(interval);
            let now = Instant::now();
            // Late samples are not caught up with: they would tell nothing.
            due = due.max(now);
            std::thread::sleep(due - now);
        }
    }

    fn find_processes(&mut self) {
        let own_pid = std::process::id();
        let pids: Vec<u32> = match &self.target {
            Target::All => uncork_sockets::children(1).into_iter().chain([1]).collect(),
            Target::Children => uncork_sockets::children(own_pid),
            Target::Pids(roots) => roots
                .iter()
                .flat_map(|pid| uncork_sockets::children(*pid))
                .collect(),
        };
        for pid in pids {
            let is_refused = self
                .refusals
                .get(&pid)
                .is_some_and(|times| *times >= REFUSALS);
            if pid == own_pid || self.processes.contains_key(&pid) || is_refused {
                continue;
            }
            match Process::open(pid)
                .and_then(|process| process.check_permission().map(|()| process))
            {
                Ok(process) => {
                    self.processes.insert(pid, process);
                }
                Err(uncork_sockets::Error::NotPermitted { .. }) => {
                    // A process is closed to everybody for the moment of its exec.
                    let times = self.refusals.entry(pid).or_default();
                    *times += 1;
                    if *times == REFUSALS {
                        self.shared.refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Err(_) => {}
            }
        }
    }

    fn find_sockets(&mut self, events: &SyncSender<Event>) {
        for watched in self.sockets.values_mut() {
            watched.is_missing = true;
        }
        let mut found = Vec::new();
        self.processes.retain(|pid, process| {
            let Ok(descriptors) = process.descriptors() else {
                return process.is_running();
            };
            for descriptor in descriptors {
                found.push((*pid, descriptor));
            }
            true
        });
        for (pid, descriptor) in found {
            if let Some(watched) = self.sockets.get_mut(&descriptor.inode) {
                watched.is_missing = false;
                continue;
            }
            if self.sockets.len() >= SOCKETS {
                self.shared.left_out.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let socket = self
                .processes
                .get(&pid)
                .map(|process| process.socket(descriptor.number));
            if let Some(Ok(Some(socket))) = socket {
                self.introduce(pid, socket, events);
            }
        }
        let missing: Vec<u64> = self
            .sockets
            .iter()
            .filter(|(_, watched)| watched.is_missing)
            .map(|(inode, _)| *inode)
            .collect();
        for inode in missing {
            if let Some(mut watched) = self.sockets.remove(&inode) {
                let info = TcpInfo::of(&watched.socket).ok();
                let facts = info.map(|info| watched.facts(&info)).unwrap_or_default();
                self.send(events, watched.id, Kind::Close, facts);
            }
        }
    }

    fn introduce(&mut self, pid: u32, socket: Socket, events: &SyncSender<Event>) {
        // What listens sends nothing; what is not connected yet will be found again.
        let Some(remote) = socket.remote().filter(|_| !socket.is_listening()) else {
            return;
        };
        let Ok(info) = TcpInfo::of(&socket) else {
            return;
        };
        self.next_id += 1;
        let id = SocketId(self.next_id);
        let identity = Identity {
            pid,
            command: uncork_sockets::command(pid).unwrap_or_default(),
            connects: None,
            local: socket.local(),
            remote,
            namespace: 0,
            cgroup: 0,
        };
        let inode = socket.inode();
        let mut watched = Watched {
            id,
            socket,
            offset: Offset::default(),
            previous_ns: 0,
            is_missing: false,
        };
        let facts = watched.facts(&info);
        self.send(events, id, Kind::Open(Box::new(identity)), facts);
        self.sockets.insert(inode, watched);
    }

    fn sample(&mut self, events: &SyncSender<Event>) {
        let mut samples = Vec::with_capacity(self.sockets.len());
        for watched in self.sockets.values_mut() {
            let Ok(info) = TcpInfo::of(&watched.socket) else {
                continue;
            };
            let kind = Kind::Sample {
                previous_ns: watched.previous_ns,
            };
            let at_ns = now_ns();
            watched.previous_ns = at_ns;
            samples.push((at_ns, watched.id, kind, watched.facts(&info)));
        }
        for (at_ns, id, kind, facts) in samples {
            self.send_at(events, at_ns, id, kind, facts);
        }
    }

    fn send(&self, events: &SyncSender<Event>, socket: SocketId, kind: Kind, facts: Facts) {
        self.send_at(events, now_ns(), socket, kind, facts);
    }

    fn send_at(
        &self,
        events: &SyncSender<Event>,
        at_ns: u64,
        socket: SocketId,
        kind: Kind,
        facts: Facts,
    ) {
        let event = Event {
            at_ns,
            socket,
            kind,
            facts,
            skipped: 0,
        };
        if let Err(TrySendError::Full(_)) = events.try_send(event) {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A cheap source of numbers that are in step with nothing (xorshift; Marsaglia 2003).
struct Jitter(u64);

impl Jitter {
    /// A time between half and one and a half of `mean`.
    fn spread(&mut self, mean: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let parts = u32::try_from(self.0 % 1024).unwrap_or(0);
        mean / 2 + mean * parts / 1024
    }
}
