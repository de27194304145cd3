//! The engine without privileges: TCP_INFO of each socket, some hundred times a second.
//!
//! The sockets of one's own processes are found through `/proc`, and duplicated by `pidfd_getfd` for the
//! moment of each sample. What happens between two samples isn't seen; a hold is as long as the samples
//! that saw it say.

mod facts;
mod jitter;
mod limit;
mod outbox;
mod search;
mod turn;
mod watched;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::engine::{Losses, Target};
use crate::event::Event;
use crate::session::now_ns;
use jitter::Jitter;
use outbox::{Outbox, Shared};
use search::Search;

/// Samples that wait to be read; more are lost, and counted.
const QUEUE: usize = 65_536;

/// Sockets that are sampled.
const SOCKETS: usize = 1024;

/// Samples a second of all sockets together: each takes the lock of a socket, and its cache lines from the
/// processor that works on it.
const SAMPLES_A_SECOND: u32 = 10_000;

/// Of these, what all sockets together get on which nothing is held.
const CALM_SAMPLES_A_SECOND: u32 = 2_000;

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

impl SampleEngine {
    /// Begins to sample.
    ///
    /// # Errors
    /// Where a process that was named is gone, or not ours.
    pub(crate) fn start(target: &Target, rate_hz: u32) -> Result<Self, SampleError> {
        let shared = Arc::<Shared>::default();
        let (sender, events) = sync_channel(QUEUE);
        let outbox = Outbox {
            events: sender,
            shared: Arc::clone(&shared),
        };
        let search = Search::new(target, outbox)?;
        let interval = Duration::from_secs(1) / rate_hz.max(1);
        let is_stopped = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("sampler".to_owned())
            .spawn(move || run(search, interval, &is_stopped))
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

    /// What was left out so far. The kernel has room for all sockets; that there is none here for more
    /// than so many is a [note](Self::notes).
    #[must_use]
    pub(crate) fn losses(&self) -> Losses {
        Losses {
            events: self.shared.lost.load(Ordering::Relaxed),
            sockets: 0,
        }
    }

    /// What the reader of a report has to know.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.shared.notes(SOCKETS)
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

fn run(mut search: Search, interval: Duration, shared: &Shared) {
    let mut due = Instant::now();
    let mut jitter = Jitter(now_ns() | 1);
    while !shared.is_stopped.load(Ordering::Relaxed) {
        search.search();
        let looks = search.sample(&mut jitter);
        let least = Duration::from_secs(1) * looks / SAMPLES_A_SECOND;
        // Programs that stall do so in step with the kernel's ticks; samples in step with them would be
        // off by the same time always, so that errors would add up.
        due += jitter.spread(interval.max(least));
        let now = Instant::now();
        // Late samples are not caught up with: they would tell nothing.
        due = due.max(now);
        std::thread::sleep(due - now);
    }
}
