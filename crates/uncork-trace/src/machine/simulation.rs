//! A sender's TCP and its peer with a clock of their own: what the kernel would do, as events, and how
//! long it really held what. So the machine is compared with the truth, without a socket.

use std::collections::VecDeque;

use crate::event::{Event, Facts, Identity, Kind, SocketId};

pub(super) const MSS: u32 = 1000;

/// The way there and back, and how long the peer delays an ACK that it has nothing to send with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) round_trip_ns: u64,
    pub(super) ack_delay_ns: u64,
}

/// What a program does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Call {
    Write(u32),
    /// Waits until the peer has everything and has answered.
    Read,
    /// Thinks for so many nanoseconds.
    Think(u64),
    SetNodelay(bool),
    SetCork(bool),
}

/// What was really held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Truth {
    pub(super) nagle_count: u64,
    pub(super) nagle_ns: u64,
    pub(super) cork_count: u64,
    pub(super) cork_ns: u64,
}

#[derive(Debug)]
pub(super) struct Simulation {
    peer: Peer,
    pub(super) now_ns: u64,
    facts: Facts,
    pub(super) events: Vec<Event>,
    /// ACKs and answers on their way: when, up to where, with how many bytes.
    arrivals: VecDeque<(u64, u32, u32)>,
    held: Option<Held>,
    is_writing: bool,
    pub(super) truth: Truth,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    since_ns: u64,
    last_write_ns: u64,
    is_corked: bool,
}

/// A call takes this long.
const CALL_NS: u64 = 5_000;

/// The ceiling of a cork.
const CEILING_NS: u64 = 205_000_000;

impl Simulation {
    pub(super) fn new(peer: Peer) -> Self {
        // Close to the end of the sequence numbers: they wrap in nearly every test.
        let seq = u32::MAX - 500;
        let min_rtt_us = u32::try_from(peer.round_trip_ns / 1000).unwrap();
        let mut simulation = Self {
            peer,
            now_ns: 1_000_000_000,
            facts: Facts {
                write_seq: seq,
                snd_nxt: seq,
                snd_una: seq,
                snd_sml: Some(seq),
                pushed_seq: Some(seq),
                copied_seq: Some(0),
                rcv_wup: Some(0),
                device_limited: Some(false),
                no_space: Some(false),
                mss: MSS,
                cwnd: 10_000,
                snd_wnd: u32::MAX / 4,
                min_rtt_us,
                srtt_us: min_rtt_us,
                departed_ns: Some(0),
                handled_ns: Some(0),
                ..Facts::default()
            },
            events: Vec::new(),
            arrivals: VecDeque::new(),
            held: None,
            is_writing: false,
            truth: Truth::default(),
        };
        simulation.push(Kind::Open(Box::new(identity())));
        simulation
    }

    pub(super) fn run(&mut self, calls: &[Call]) {
        for call in calls {
            self.now_ns += CALL_NS;
            self.arrive(self.now_ns);
            match *call {
                Call::Write(bytes) => self.write(bytes),
                Call::Read => self.read(),
                Call::Think(ns) => {
                    let until_ns = self.now_ns + ns;
                    self.arrive(until_ns);
                    self.now_ns = until_ns;
                }
                Call::SetNodelay(is_on) => {
                    self.facts.nodelay = is_on;
                    if is_on {
                        self.send(true);
                    }
                }
                Call::SetCork(is_on) => {
                    self.facts.corked = is_on;
                    if !is_on {
                        self.send(true);
                    }
                }
            }
        }
        // Everything arrives, and the socket is closed.
        self.arrive(self.now_ns + 2 * CEILING_NS);
        self.now_ns += 2 * CEILING_NS;
        self.facts.corked = false;
        self.send(true);
        self.arrive(self.now_ns + 2 * CEILING_NS);
        self.now_ns += 2 * CEILING_NS;
        self.push(Kind::Close);
    }

    fn push(&mut self, kind: Kind) {
        self.events.push(Event {
            at_ns: self.now_ns,
            socket: SocketId(1),
            kind,
            facts: self.facts,
            skipped: 0,
        });
    }

    fn write(&mut self, bytes: u32) {
        self.facts.write_seq = self.facts.write_seq.wrapping_add(bytes);
        self.facts.pushed_seq = Some(self.facts.write_seq);
        self.facts.writes += 1;
        if let Some(held) = &mut self.held {
            held.last_write_ns = self.now_ns;
        }
        self.facts.handled_ns = Some(self.now_ns);
        self.is_writing = true;
        self.send(false);
        self.is_writing = false;
        self.push(Kind::Write {
            result: bytes.cast_signed(),
            thread: 1,
            stack: Vec::new(),
        });
    }

    /// Sends what the rules allow: full segments, and a small one if it is forced, or not held.
    fn send(&mut self, is_forced: bool) {
        let mut sent_end = self.facts.snd_nxt;
        loop {
            let unsent_bytes = self.facts.write_seq.wrapping_sub(sent_end);
            if unsent_bytes == 0 {
                break;
            }
            let is_small = unsent_bytes < MSS;
            if is_small && !is_forced && self.is_holding() {
                break;
            }
            if let Some(held) = self.held.take() {
                self.count(held);
            }
            let bytes = unsent_bytes.min(MSS);
            sent_end = sent_end.wrapping_add(bytes);
            self.facts.snd_nxt = sent_end;
            self.facts.data_segs_out += 1;
            self.facts.segs_out += 1;
            self.facts.departed_ns = Some(self.now_ns);
            if is_small {
                self.facts.snd_sml = Some(sent_end);
            }
            self.facts.in_flight_segments += 1;
        }
        if sent_end != self.facts.snd_una
            && self.arrivals.back().is_none_or(|last| last.1 != sent_end)
        {
            let delay_ns = self.peer.round_trip_ns + self.peer.ack_delay_ns;
            self.arrivals
                .push_back((self.now_ns + delay_ns, sent_end, 0));
        }
        if self.facts.unsent_bytes() > 0 && self.held.is_none() {
            self.held = Some(Held {
                since_ns: self.now_ns,
                last_write_ns: self.now_ns,
                is_corked: self.facts.corked,
            });
        }
    }

    fn is_holding(&self) -> bool {
        let has_small_in_flight = self.facts.snd_sml != Some(self.facts.snd_una)
            && crate::event::is_after(self.facts.snd_sml.unwrap(), self.facts.snd_una);
        self.facts.corked || (!self.facts.nodelay && has_small_in_flight)
    }

    fn count(&mut self, held: Held) {
        // What a write has filled up to a segment waited for that write only.
        if self.is_writing {
            return;
        }
        if held.is_corked {
            let ns = self.now_ns - held.last_write_ns;
            if ns >= 1_000_000 {
                self.truth.cork_count += 1;
                self.truth.cork_ns += ns;
            }
        } else if self.now_ns > held.since_ns {
            self.truth.nagle_count += 1;
            self.truth.nagle_ns += self.now_ns - held.since_ns;
        }
    }

    fn read(&mut self) {
        // The peer answers once it has everything.
        let mut patience = 0;
        while self.facts.unsent_bytes() > 0 || !self.arrivals.is_empty() {
            let until_ns = self
                .arrivals
                .front()
                .map_or(self.now_ns + 1_000_000, |next| next.0);
            self.arrive(until_ns.max(self.now_ns + 1));
            self.now_ns = until_ns.max(self.now_ns + 1);
            patience += 1;
            assert!(patience < 100_000, "the simulation stands still");
        }
        self.now_ns += self.peer.round_trip_ns + 10_000;
        let ack_seq = self.facts.snd_una;
        self.push(Kind::Segment { bytes: 20, ack_seq });
        self.facts.rcv_nxt += 20;
        self.facts.handled_ns = Some(self.now_ns);
        self.now_ns += CALL_NS;
        self.facts.reads += 1;
        self.push(Kind::Read {
            result: 20,
            thread: 1,
        });
    }

    /// What comes in until then; the ceiling of a cork, too.
    fn arrive(&mut self, until_ns: u64) {
        loop {
            let next_ns = self.arrivals.front().map(|next| next.0);
            let ceiling_ns = self
                .held
                .filter(|held| held.is_corked && self.arrivals.is_empty())
                .map(|held| held.last_write_ns + CEILING_NS);
            let Some(at_ns) = next_ns.or(ceiling_ns).filter(|at_ns| *at_ns <= until_ns) else {
                return;
            };
            self.now_ns = self.now_ns.max(at_ns);
            if next_ns.is_some() {
                let Some((_, ack_seq, bytes)) = self.arrivals.pop_front() else {
                    return;
                };
                self.push(Kind::Segment { bytes, ack_seq });
                self.facts.snd_una = ack_seq;
                self.facts.in_flight_segments = 0;
                self.facts.handled_ns = Some(self.now_ns);
                self.now_ns += 2_000;
                self.send(false);
            } else {
                self.send(true);
            }
        }
    }
}

pub(super) fn identity() -> Identity {
    Identity {
        pid: 7,
        command: "simulation".to_owned(),
        connects: Some(true),
        local: ([127, 0, 0, 1], 40_000).into(),
        remote: ([127, 0, 0, 1], 143).into(),
        namespace: 1,
        cgroup: 1,
    }
}
