//! The two sockets of one connection through the link, and the threads between them: for each
//! direction one that reads into the delay line and one that writes out of it.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::delay_line::{DelayLine, Departure, End, Shape};
use super::reset;

/// What one read takes at most.
const READ_BYTES: usize = 64 * 1024;

/// How many parcels leave in one vectored write at most.
const WRITE_PARCELS: usize = 64;

/// Sleeps are as exact as the kernel can: its default slack for timers, 50 µs, would be added
/// to each delay.
const TIMER_SLACK_NS: Option<NonZeroU64> = NonZeroU64::new(1);

/// A pair with its threads.
#[derive(Debug)]
pub(super) struct RunningPair {
    /// Weak, so that the last thread closes the sockets: a reset is sent by the close.
    pair: Weak<Pair>,
    threads: Vec<JoinHandle<()>>,
}

impl RunningPair {
    /// Starts carrying between the socket of who connected, `near`, and the one to the target.
    pub(super) fn start(near: TcpStream, far: TcpStream, shape: Shape) -> io::Result<Self> {
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        let pair = Arc::new(Pair {
            ends: [near, far],
            lanes: [Lane::new(shape), Lane::new(shape)],
            stopped: AtomicBool::new(false),
            stop_event: eventfd(0, EventfdFlags::CLOEXEC)?,
        });
        let mut running = Self {
            pair: Arc::downgrade(&pair),
            threads: Vec::with_capacity(4),
        };
        for from in [0, 1] {
            let started = running
                .spawn("link read", &pair, move |pair| pair.read_from(from))
                .and_then(|()| {
                    running.spawn("link write", &pair, move |pair| pair.write_from(from))
                });
            if let Err(error) = started {
                running.stop();
                return Err(error);
            }
        }
        Ok(running)
    }

    /// Whether all of its threads have ended.
    pub(super) fn is_over(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Closes both sockets, whatever is still on its way, and waits for the threads.
    pub(super) fn stop(self) {
        if let Some(pair) = self.pair.upgrade() {
            pair.stop(Shutdown::Both);
        }
        for thread in self.threads {
            let _ = thread.join();
        }
    }

    fn spawn(
        &mut self,
        name: &str,
        pair: &Arc<Pair>,
        work: impl FnOnce(&Pair) + Send + 'static,
    ) -> io::Result<()> {
        let pair = Arc::clone(pair);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(&pair))?;
        self.threads.push(thread);
        Ok(())
    }
}

#[derive(Debug)]
struct Pair {
    ends: [TcpStream; 2],
    /// `lanes[n]` carries what `ends[n]` sends to `ends[1 - n]`.
    lanes: [Lane; 2],
    stopped: AtomicBool,
    /// An eventfd that turns readable at the stop, for who waits in poll(2).
    stop_event: OwnedFd,
}

#[derive(Debug)]
struct Lane {
    line: Mutex<DelayLine>,
    /// Told whenever the line was empty or full and no longer is, and at the stop.
    changed: Condvar,
    /// Whether the FIN of this lane was passed on. Set before the socket is shut down, and only
    /// by a writer that has seen no error on it.
    fin_passed_on: AtomicBool,
}

impl Lane {
    fn new(shape: Shape) -> Self {
        Self {
            line: Mutex::new(DelayLine::new(shape)),
            changed: Condvar::new(),
            fin_passed_on: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, DelayLine> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, end: End) {
        self.lock().end(Instant::now(), end);
        self.changed.notify_all();
    }
}

impl Pair {
    /// Ends all four threads. `how` the sockets are shut down decides what their peers see:
    /// after [`Shutdown::Read`] nothing until the close.
    fn stop(&self, how: Shutdown) {
        self.stopped.store(true, Ordering::SeqCst);
        // The counter of a fresh eventfd has room for four threads' ones.
        let _ = rustix::io::write(&self.stop_event, &1_u64.to_ne_bytes());
        for (end, lane) in self.ends.iter().zip(&self.lanes) {
            // Not connected any more is as good as shut down.
            let _ = end.shutdown(how);
            // Taking the lock orders the store before the next look at it, so that no thread
            // goes to sleep just after.
            drop(lane.lock());
            lane.changed.notify_all();
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    fn read_from(&self, from: usize) {
        let lane = &self.lanes[from];
        let mut buffer = vec![0; READ_BYTES];
        while let Some(room_bytes) = self.wait_for_room(lane) {
            let most = room_bytes.min(READ_BYTES);
            match (&self.ends[from]).read(&mut buffer[..most]) {
                Ok(0) => return self.finish_reading(from),
                Ok(read) => {
                    let mut line = lane.lock();
                    let was_empty = line.is_empty();
                    line.enter(Instant::now(), &buffer[..read]);
                    drop(line);
                    if was_empty {
                        lane.changed.notify_all();
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return lane.end(End::Reset),
            }
        }
    }

    /// How much may be read, or `None` at the stop.
    fn wait_for_room(&self, lane: &Lane) -> Option<usize> {
        let mut line = lane.lock();
        loop {
            if self.is_stopped() {
                return None;
            }
            let room_bytes = line.room_bytes();
            if room_bytes > 0 {
                return Some(room_bytes);
            }
            line = lane
                .changed
                .wait(line)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Tells the FIN that ended the reading from a reset, and a reset that comes after it.
    ///
    /// The kernel reports a reset once. Where the writer to this socket got the report, the
    /// reader sees an end of file; but only a reset hangs up a socket whose own FIN was not
    /// sent yet.
    fn finish_reading(&self, from: usize) {
        let fin_sent = &self.lanes[1 - from].fin_passed_on;
        let hung_up = self
            .wait_for_hang_up(from, Patience::None)
            .intersects(PollFlags::ERR | PollFlags::HUP);
        if hung_up && !fin_sent.load(Ordering::SeqCst) {
            return self.lanes[from].end(End::Reset);
        }
        self.lanes[from].end(End::Fin);
        let events = self.wait_for_hang_up(from, Patience::Endless);
        if events.contains(PollFlags::ERR) {
            self.lanes[from].end(End::Reset);
        }
    }

    /// Waits until both directions of the socket are closed or it is reset, which poll(2)
    /// reports unasked, or until the stop.
    fn wait_for_hang_up(&self, end: usize, patience: Patience) -> PollFlags {
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let timeout = match patience {
            Patience::None => Some(&now),
            Patience::Endless => None,
        };
        let mut fds = [
            PollFd::new(&self.ends[end], PollFlags::empty()),
            PollFd::new(&self.stop_event, PollFlags::IN),
        ];
        loop {
            match poll(&mut fds, timeout) {
                Ok(_) => return fds[0].revents(),
                Err(rustix::io::Errno::INTR) => {}
                // Out of memory: as good as a connection that broke.
                Err(_) => return PollFlags::ERR,
            }
        }
    }

    fn write_from(&self, from: usize) {
        // Without it the delays are some 50 µs longer, no more.
        let _ = rustix::thread::set_current_timer_slack(TIMER_SLACK_NS);
        let lane = &self.lanes[from];
        let to = 1 - from;
        let mut socket_works = true;
        let mut parcels = Vec::with_capacity(WRITE_PARCELS);
        while let Some(end) = self.wait_for_departures(lane, &mut parcels) {
            if socket_works && write_parcels(&self.ends[to], &parcels).is_err() {
                // The peer is gone. That news travels back over the other lane, while what is
                // already on its way to it is lost, as on any link.
                socket_works = false;
                self.lanes[to].end(End::Reset);
            }
            parcels.clear();
            match end {
                None => {}
                Some(End::Fin) => self.pass_on_fin(from),
                Some(End::Reset) => {
                    reset(&self.ends[to]);
                    return self.stop(Shutdown::Read);
                }
            }
        }
    }

    fn pass_on_fin(&self, from: usize) {
        self.lanes[from].fin_passed_on.store(true, Ordering::SeqCst);
        let _ = self.ends[1 - from].shutdown(Shutdown::Write);
        let other = &self.lanes[1 - from].fin_passed_on;
        if other.load(Ordering::SeqCst) {
            self.stop(Shutdown::Both);
        }
    }

    /// Waits until something is due and takes out all that is, up to [`WRITE_PARCELS`] and up
    /// to an end. `None` at the stop.
    fn wait_for_departures(&self, lane: &Lane, parcels: &mut Vec<Vec<u8>>) -> Option<Option<End>> {
        let mut line = lane.lock();
        loop {
            if self.is_stopped() {
                return None;
            }
            let now = Instant::now();
            let was_full = line.room_bytes() == 0;
            let mut end = None;
            while parcels.len() < WRITE_PARCELS && end.is_none() {
                match line.leave(now) {
                    Some(Departure::Bytes(bytes)) => parcels.push(bytes),
                    Some(Departure::End(ended)) => end = Some(ended),
                    None => break,
                }
            }
            if end.is_some() || !parcels.is_empty() {
                drop(line);
                if was_full {
                    lane.changed.notify_all();
                }
                return Some(end);
            }
            line = match line.next_due() {
                None => lane
                    .changed
                    .wait(line)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(due) => {
                    lane.changed
                        .wait_timeout(line, due.saturating_duration_since(now))
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
    }
}

/// How long to wait for a hang-up.
#[derive(Debug, Clone, Copy)]
enum Patience {
    None,
    Endless,
}

fn write_parcels(mut socket: &TcpStream, parcels: &[Vec<u8>]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = parcels.iter().map(|bytes| IoSlice::new(bytes)).collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        match socket.write_vectored(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
