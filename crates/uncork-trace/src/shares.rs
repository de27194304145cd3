//! Where a socket's time goes: each interval between two events is somebody's.

use crate::event::{Event, Facts, Kind};
use crate::report::{Limit, Shares};
use crate::tally::millis;

/// Whose turn it is to say something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The peer has said something since the program last wrote.
    Program,
    /// The program wrote last, or nobody has said anything yet.
    Peer,
}

/// Adds up intervals.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    ns: [u64; 9],
    turn: Turn,
    /// Time since the program's last write in which nothing was left to send. It was the peer's if the
    /// peer speaks next, and the program's if the program does: then it waited for nobody.
    pending_ns: u64,
    /// The peer has spoken after the program did, ever.
    has_been_answered: bool,
    rwnd_limited_us: u64,
    sndbuf_limited_us: u64,
}

/// The part of an interval that no hold has taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interval<'a> {
    pub(crate) ns: u64,
    /// What the event's facts hold was not held in it yet.
    pub(crate) is_free: bool,
    /// The facts at its beginning.
    pub(crate) before: &'a Facts,
    /// The event that ends it.
    pub(crate) event: &'a Event,
}

impl Ledger {
    pub(crate) fn new(facts: &Facts) -> Self {
        Self {
            ns: [0; 9],
            turn: Turn::Peer,
            pending_ns: 0,
            has_been_answered: false,
            rwnd_limited_us: facts.rwnd_limited_us.unwrap_or(0),
            sndbuf_limited_us: facts.sndbuf_limited_us.unwrap_or(0),
        }
    }

    /// Time whose owner is known: a hold's.
    pub(crate) fn add(&mut self, limit: Limit, ns: u64) {
        let sum = &mut self.ns[limit as usize];
        *sum = sum.saturating_add(ns);
    }

    /// Time that has this owner by now.
    pub(crate) fn of(&self, limit: Limit) -> u64 {
        self.ns[limit as usize]
    }

    /// An interval, and the event that ends it.
    pub(crate) fn pass(&mut self, interval: Interval<'_>) {
        let Interval {
            ns,
            is_free,
            before,
            event,
        } = interval;
        let limit = if is_free {
            None
        } else {
            limit_of(before, event, ns)
        };
        if event.skipped > 0 {
            self.add(Limit::Unseen, ns.saturating_add(self.pending_ns));
            self.pending_ns = 0;
        } else if let Some(limit) = limit {
            self.add(limit, ns);
        } else {
            match self.turn {
                Turn::Program => self.add(Limit::Program, ns),
                Turn::Peer => self.pending_ns = self.pending_ns.saturating_add(ns),
            }
        }
        self.turn_over(before, event);
    }

    fn turn_over(&mut self, before: &Facts, event: &Event) {
        match event.kind {
            Kind::Segment { bytes, .. } if bytes > 0 => self.peer_spoke(),
            Kind::Read { result, .. } if result >= 0 => self.peer_spoke(),
            Kind::Write { result, .. } if result > 0 => self.program_spoke(),
            Kind::Sample { .. } => {
                self.take_kernels_word(&event.facts);
                // What came first of two things between two samples isn't known: what is in flight
                // came last.
                let peer_spoke = event.facts.rcv_nxt != before.rcv_nxt;
                let program_spoke = event.facts.write_seq != before.write_seq;
                if peer_spoke {
                    self.peer_spoke();
                }
                if program_spoke && (!peer_spoke || event.facts.unacked_bytes() > 0) {
                    self.program_spoke();
                }
            }
            _ => {}
        }
    }

    /// How long the windows were limits, by the kernel's own count: samples see too little of it.
    fn take_kernels_word(&mut self, facts: &Facts) {
        let rwnd_us = facts.rwnd_limited_us.unwrap_or(self.rwnd_limited_us);
        let sndbuf_us = facts.sndbuf_limited_us.unwrap_or(self.sndbuf_limited_us);
        self.take_from_peer(
            Limit::ReceiveWindow,
            rwnd_us.saturating_sub(self.rwnd_limited_us),
        );
        self.take_from_peer(
            Limit::SendBuffer,
            sndbuf_us.saturating_sub(self.sndbuf_limited_us),
        );
        self.rwnd_limited_us = rwnd_us;
        self.sndbuf_limited_us = sndbuf_us;
    }

    fn take_from_peer(&mut self, limit: Limit, us: u64) {
        let whole_ns = us.saturating_mul(1000);
        let mut ns = whole_ns;
        let pending_ns = ns.min(self.pending_ns);
        self.pending_ns -= pending_ns;
        ns -= pending_ns;
        for from in [Limit::CongestionWindow, Limit::Device, Limit::Peer] {
            let part_ns = ns.min(self.ns[from as usize]);
            self.ns[from as usize] -= part_ns;
            ns -= part_ns;
        }
        self.add(limit, whole_ns - ns);
    }

    fn peer_spoke(&mut self) {
        if self.turn == Turn::Peer {
            self.add(Limit::Peer, self.pending_ns);
            self.pending_ns = 0;
            self.has_been_answered = true;
            self.turn = Turn::Program;
        }
    }

    fn program_spoke(&mut self) {
        self.add(Limit::Program, self.pending_ns);
        self.pending_ns = 0;
        self.turn = Turn::Peer;
    }

    /// The shares now, after `rest_ns` in which nothing more has happened.
    pub(crate) fn shares(&self, rest_ns: u64, facts: &Facts) -> Shares {
        let mut ns = self.ns;
        let is_peers = facts.unacked_bytes() > 0 || self.has_been_answered;
        let pending = match self.turn {
            Turn::Peer if is_peers => Limit::Peer,
            Turn::Peer | Turn::Program => Limit::Program,
        };
        let rest_ns = self.pending_ns.saturating_add(rest_ns);
        ns[pending as usize] = ns[pending as usize].saturating_add(rest_ns);
        let ms = ns.map(millis);
        let of = |limit: Limit| ms[limit as usize];
        Shares {
            nagle_ms: of(Limit::Nagle),
            cork_ms: of(Limit::Cork),
            device_ms: of(Limit::Device),
            congestion_window_ms: of(Limit::CongestionWindow),
            receive_window_ms: of(Limit::ReceiveWindow),
            send_buffer_ms: of(Limit::SendBuffer),
            peer_ms: of(Limit::Peer),
            program_ms: of(Limit::Program),
            unseen_ms: of(Limit::Unseen),
        }
    }
}

/// What kept bytes from leaving in the interval of so many nanoseconds that `event` ends; `None` where
/// none waited.
fn limit_of(before: &Facts, event: &Event, ns: u64) -> Option<Limit> {
    let facts = &event.facts;
    let at_ns = event.at_ns;
    match event.kind {
        // The facts of a write are those after it. What had been written before it has left in the
        // meantime, or waits still.
        Kind::Write { result, .. } => {
            let written_bytes = u32::try_from(result).unwrap_or(0);
            let waited_bytes = facts.unsent_bytes().checked_sub(written_bytes)?;
            (waited_bytes > 0 && before.unsent_bytes() > 0).then(|| limit_of_unsent(facts, at_ns))
        }
        // A socket that this side has shut tells nothing more until it is gone.
        Kind::Close if before.unsent_bytes() > 0 => {
            Some(limit_of_unsent(before, at_ns.saturating_sub(ns)))
        }
        // Those of all others are from before: they held for the interval.
        _ if facts.unsent_bytes() > 0 => Some(limit_of_unsent(facts, at_ns)),
        _ if facts.no_space == Some(true) && facts.unacked_bytes() > 0 => Some(Limit::SendBuffer),
        _ => None,
    }
}

/// The window that is short of room for what waited at a time. A kernel that could send a little waits until it can
/// send a lot (`tcp_tso_should_defer`: up to a third of the window), so that a window is a limit before
/// it is quite full.
fn limit_of_unsent(facts: &Facts, at_ns: u64) -> Limit {
    let segments_free = facts.cwnd.saturating_sub(facts.in_flight_segments);
    let unsent_bytes = u64::from(facts.unsent_bytes());
    let congestion = Room {
        free_bytes: u64::from(segments_free) * u64::from(facts.mss),
        window_bytes: u64::from(facts.cwnd) * u64::from(facts.mss),
    };
    let receive = Room {
        free_bytes: u64::from(facts.snd_wnd.saturating_sub(facts.unacked_bytes())),
        window_bytes: u64::from(facts.snd_wnd),
    };
    let (smaller, limit) = if receive.free_bytes < congestion.free_bytes {
        (receive, Limit::ReceiveWindow)
    } else {
        (congestion, Limit::CongestionWindow)
    };
    let next_bytes = unsent_bytes.min(u64::from(facts.mss));
    if smaller.free_bytes < next_bytes || (smaller.is_low() && smaller.free_bytes < unsent_bytes) {
        limit
    } else if is_paced(facts, at_ns) {
        Limit::CongestionWindow
    } else {
        Limit::Device
    }
}

/// Whether congestion control has set when the next segment may leave (BBR does), which mostly shows by a
/// time of departure that lies ahead. It may be just over; then nothing else is left that could keep a
/// full segment, if the device isn't behind.
fn is_paced(facts: &Facts, at_ns: u64) -> bool {
    let is_ahead = facts.departed_ns.is_some_and(|ns| ns > at_ns);
    is_ahead || (facts.device_limited == Some(false) && facts.unsent_bytes() >= facts.mss)
}

/// What a window has left.
#[derive(Debug, Clone, Copy)]
struct Room {
    free_bytes: u64,
    window_bytes: u64,
}

impl Room {
    fn is_low(self) -> bool {
        self.free_bytes * 3 <= self.window_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::SocketId;

    /// What is paced waits for congestion control, as long as its time of departure lies ahead of the
    /// moment that the facts are of: at a close, of the event before.
    #[test]
    fn what_is_paced_is_not_the_devices() {
        let facts = |departed_ns| Facts {
            write_seq: 50_000,
            snd_nxt: 20_000,
            snd_una: 10_000,
            mss: 1000,
            cwnd: 20,
            in_flight_segments: 10,
            snd_wnd: 60_000,
            departed_ns: Some(departed_ns),
            device_limited: Some(true),
            ..Facts::default()
        };
        let event = |kind, facts| Event {
            at_ns: 9_000,
            socket: SocketId(1),
            kind,
            skipped: 0,
            facts,
        };
        let ack = || Kind::Segment {
            bytes: 0,
            ack_seq: 0,
        };
        let before = facts(3_000);
        for (departed_ns, expected) in [(9_001, Limit::CongestionWindow), (9_000, Limit::Device)] {
            let event = event(ack(), facts(departed_ns));
            assert_eq!(limit_of(&before, &event, 8_000), Some(expected));
        }
        let idle_device = Facts {
            device_limited: Some(false),
            ..facts(9_000)
        };
        let event_of_idle = event(ack(), idle_device);
        assert_eq!(
            limit_of(&before, &event_of_idle, 8_000),
            Some(Limit::CongestionWindow)
        );
        // It was shut at 1,000 or at 4,000 ns; all has left since.
        let close = event(Kind::Close, Facts::default());
        assert_eq!(
            limit_of(&before, &close, 8_000),
            Some(Limit::CongestionWindow)
        );
        assert_eq!(limit_of(&before, &close, 5_000), Some(Limit::Device));
    }
}
