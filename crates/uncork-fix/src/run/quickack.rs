//! TCP_QUICKACK on the connections of a command, again and again.
//!
//! The option doesn't stay: as soon as a program answers what it has received, the kernel expects it to
//! answer what follows, too, and keeps its ACKs back for 40 ms and more, to send them along
//! (`inet_csk_inc_pingpong_cnt`). Nor is it inherited, and set before a connection is made it does
//! nothing. But setting it also sends an ACK that is being kept back (`tcp_sock_set_quickack`). So a
//! thread sets it every [`VISIT_INTERVAL`]: an ACK is then late by that time, instead of 40 ms.
//!
//! A duplicate is closed as soon as the option is set on it: one that is held would keep the connection
//! open when its program closes it.

mod processes;
mod sockets;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use uncork_sockets::{Pace, Work};

use self::processes::Processes;
use self::sockets::Sockets;
use super::service::Selection;
use super::tally::QuickackReport;

/// Between two visits of the sockets that are in use, and so how late an ACK can be.
const VISIT_INTERVAL: Duration = Duration::from_millis(5);

/// Between two looks for new sockets. A connection that lives shorter is missed; one that waits for a
/// late ACK lives longer.
const SEARCH_INTERVAL: Duration = Duration::from_millis(50);

/// Between two looks for new processes: each reads a file for each thread of each process.
const DESCENT_INTERVAL: Duration = Duration::from_millis(100);

/// A kind of work takes one part in so many of a processor at most. There are three kinds, of which the
/// search for processes costs next to nothing: so that all together take 5 %.
const ONE_PART_IN: u32 = 40;

/// The thread that does it, as the supervisor sees it.
#[derive(Debug)]
pub(crate) struct Quickack {
    shared: Arc<Shared>,
    thread: Thread,
}

/// What the thread and the supervisor both see.
#[derive(Debug, Default)]
struct Shared {
    is_over: AtomicBool,
    /// Taken for each round of the thread, so that who takes it knows that no duplicate is held.
    round: Mutex<()>,
    sockets: AtomicU64,
    sockets_left_out: AtomicU64,
    processes_left_out: AtomicU64,
}

impl Quickack {
    /// Begins, with all that descends from this process but the keeper.
    ///
    /// # Errors
    /// Where no thread can be had.
    pub(crate) fn start(selection: &Selection, keeper: Option<Pid>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let rounds = Rounds {
            processes: Processes::new(keeper, Arc::clone(&shared)),
            sockets: Sockets::new(selection.clone(), Arc::clone(&shared)),
            shared: Arc::clone(&shared),
        };
        let thread = thread::Builder::new()
            .name("uncork-quickack".to_owned())
            .spawn(move || rounds.go())?;
        let thread = thread.thread().clone();
        Ok(Self { shared, thread })
    }

    /// As long as the guard lives, the thread does nothing and holds no duplicate.
    pub(crate) fn pause(&self) -> MutexGuard<'_, ()> {
        self.shared.pause()
    }

    /// Ends the thread, and says what it did. It is not waited for: where it closes a duplicate that
    /// has become the last of a socket with SO_LINGER, it waits for a peer, which is not the command's
    /// business any more.
    pub(crate) fn finish(self) -> QuickackReport {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.thread.unpark();
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        QuickackReport {
            sockets: count(&self.shared.sockets),
            sockets_left_out: count(&self.shared.sockets_left_out),
            processes_left_out: count(&self.shared.processes_left_out),
        }
    }
}

impl Shared {
    fn pause(&self) -> MutexGuard<'_, ()> {
        // There is nothing behind it that a panic could have left half done.
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn leave_process_out(&self) {
        self.processes_left_out.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the thread does.
struct Rounds {
    processes: Processes,
    sockets: Sockets,
    shared: Arc<Shared>,
}

impl Rounds {
    fn go(mut self) {
        let mut descent = Pace::new(DESCENT_INTERVAL, ONE_PART_IN);
        let mut search = Pace::new(SEARCH_INTERVAL, ONE_PART_IN);
        let mut visit = Pace::new(VISIT_INTERVAL, ONE_PART_IN);
        while !self.shared.is_over() {
            let round = self.shared.pause();
            keep(&mut descent, || self.processes.descend());
            keep(&mut search, || self.sockets.search(&mut self.processes));
            keep(&mut visit, || self.sockets.visit(&self.processes));
            drop(round);
            let due = descent.due().min(search.due()).min(visit.due());
            thread::park_timeout(due.saturating_duration_since(Instant::now()));
        }
    }
}

/// Does the work where it is due.
fn keep(pace: &mut Pace, work: impl FnOnce()) {
    if pace.is_due() {
        let begun = Work::begin();
        work();
        pace.done(&begun);
    }
}
