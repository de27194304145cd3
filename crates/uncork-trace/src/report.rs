//! What a trace found: the value of which terminal, JSON and page are made.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// What a trace found. Its JSON is the contract of `uncork trace --json`: fields are added, never
/// renamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Which engine saw it.
    pub engine: Engine,
    /// How long it was watched.
    pub seconds: f64,
    /// Sockets, those that lost the most time first.
    pub sockets: Vec<SocketReport>,
    /// Time lost in all sockets, in milliseconds: `nagle`, `cork` and `local_delayed_ack`. What both
    /// ends of a connection saw counts once.
    pub held_ms_total: f64,
    /// How far `held_ms_total` may be off, because holds were sampled; 0 where they were seen.
    pub held_ms_error: f64,
    /// What to do, the most worthwhile first.
    pub advice: Vec<Advice>,
    /// What the reader has to know: events lost, causes that this engine can't see, sockets left out.
    pub notes: Vec<String>,
    /// Events that were looked at.
    pub events: u64,
    /// Events that were left out of what was looked at, to cost the traced programs less.
    pub events_skipped: u64,
    /// Events for which there was no room.
    pub events_lost: u64,
}

/// How a trace sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// Each event, by BPF programs in the kernel.
    Ebpf,
    /// TCP_INFO, some hundred times a second.
    Sample,
}

/// One socket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SocketReport {
    /// Process that used it first.
    pub pid: u32,
    /// Its name in the kernel.
    pub command: String,
    /// Its command line, shortened; empty where it is gone.
    pub command_line: String,
    /// The language that it is written in, where that could be told.
    pub language: Option<Language>,
    /// Threads that wrote to it, at most four.
    pub threads: Vec<u32>,
    /// Container or control group, where it is in one.
    pub container: Option<String>,
    /// Our address.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// TCP_NODELAY at the end.
    pub nodelay: bool,
    /// For how long it was watched.
    pub seconds: f64,
    /// Calls that sent.
    pub writes: u64,
    /// Calls that received.
    pub reads: u64,
    /// Payload bytes sent while it was watched.
    pub bytes_sent: u64,
    /// Segments with payload.
    pub segments_sent: u64,
    /// Segments sent again.
    pub segments_resent: u64,
    /// Least round trip of the last minutes, in milliseconds: ACKs that the peer delays are not in it.
    pub round_trip_ms: f64,
    /// What was lost, the most first.
    pub stalls: Vec<Stall>,
    /// Where its time went.
    pub shares: Shares,
    /// What took most of its time.
    pub limit: Limit,
    /// What happened when, for the page: the first so many marks.
    #[serde(skip)]
    pub timeline: Vec<Mark>,
    /// Lengths of the latest holds in milliseconds, for the live view and the histogram.
    #[serde(skip)]
    pub holds_ms: Vec<f64>,
}

impl SocketReport {
    /// Time lost: what counts in [`Report::held_ms_total`].
    #[must_use]
    pub fn held_ms(&self) -> f64 {
        let lost = self.stalls.iter().filter(|stall| stall.cause.is_time());
        lost.map(|stall| stall.held_ms_total).sum()
    }
}

/// Stalls of one socket with one cause and one pattern.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stall {
    /// Why.
    pub cause: Cause,
    /// How many. Of `packet_waste`: messages; of `stop_and_wait`: round trips.
    pub count: u64,
    /// Time in milliseconds. Of `packet_waste` 0; of `stop_and_wait` the round trips that pipelining
    /// would save.
    pub held_ms_total: f64,
    /// Median.
    pub held_ms_p50: f64,
    /// Longest.
    pub held_ms_max: f64,
    /// How far `held_ms_total` may be off; 0 where each hold was seen.
    pub held_ms_error: f64,
    /// Median of the bytes that were held; 0 where it isn't known.
    pub held_bytes: u64,
    /// The calls that make it: `write 351, write 2, read waits 43 ms`.
    pub pattern: String,
    /// What ended the holds, in words, the most frequent first.
    pub ended_by: Vec<Ending>,
    /// `packet_waste` only: segments sent beyond the least.
    pub segments_wasted: u64,
    /// Of what was seen in detail: of `packet_waste` the part of the packets that was too much, of
    /// `stop_and_wait` the part of the time that went by in its round trips; else 0.
    pub share: f64,
    /// Where the held write was made, innermost first, where it could be had.
    pub stack: Vec<String>,
}

/// What ended holds, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// What ended them.
    pub by: EndedBy,
    /// How often.
    pub count: u64,
}

/// What ended a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// The peer's ACK, which the peer had delayed.
    DelayedAck,
    /// The peer's ACK, as fast as the way there and back.
    RoundTrip,
    /// The program took the cork off, or set NODELAY.
    Option,
    /// The kernel, after the 200 ms that a cork holds at most.
    Ceiling,
    /// The kernel's own probe, after the peer's ACK took too long (tail loss probe, 200 ms and more).
    Probe,
    /// The socket was closed.
    Close,
    /// It wasn't seen.
    Unknown,
}

/// Why time or packets are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A small segment was held until the peer acknowledged the one before it.
    Nagle,
    /// TCP_CORK or MSG_MORE held a tail while the program had nothing more to say.
    Cork,
    /// The peer held its data until this host's delayed ACK.
    LocalDelayedAck,
    /// A message left in more segments than its bytes need.
    PacketWaste,
    /// One small message per round trip.
    StopAndWait,
}

impl Cause {
    /// Whether it is time that this machine's rules have taken, so that it counts as lost.
    #[must_use]
    pub fn is_time(self) -> bool {
        matches!(self, Cause::Nagle | Cause::Cork | Cause::LocalDelayedAck)
    }

    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Cause::Nagle => "nagle",
            Cause::Cork => "cork",
            Cause::LocalDelayedAck => "local_delayed_ack",
            Cause::PacketWaste => "packet_waste",
            Cause::StopAndWait => "stop_and_wait",
        }
    }
}

/// Where a socket's time went, in milliseconds; the sum is the time for which it was watched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    /// Held by Nagle's rule.
    pub nagle_ms: f64,
    /// Held by a cork.
    pub cork_ms: f64,
    /// Waiting for this machine's own queues: autocorking, pacing, a slow device.
    pub device_ms: f64,
    /// The congestion window was full.
    pub congestion_window_ms: f64,
    /// The peer's receive window was full.
    pub receive_window_ms: f64,
    /// The send buffer was too small to keep the connection busy.
    pub send_buffer_ms: f64,
    /// All was sent: the network and the peer had their turn.
    pub peer_ms: f64,
    /// The program's own time: the peer had said all, and the program had given nothing to send.
    pub program_ms: f64,
    /// Not looked at in detail.
    pub unseen_ms: f64,
}

impl Shares {
    /// Each share with its limit, in the order of the fields.
    #[must_use]
    pub fn parts(&self) -> [(Limit, f64); 9] {
        [
            (Limit::Nagle, self.nagle_ms),
            (Limit::Cork, self.cork_ms),
            (Limit::Device, self.device_ms),
            (Limit::CongestionWindow, self.congestion_window_ms),
            (Limit::ReceiveWindow, self.receive_window_ms),
            (Limit::SendBuffer, self.send_buffer_ms),
            (Limit::Peer, self.peer_ms),
            (Limit::Program, self.program_ms),
            (Limit::Unseen, self.unseen_ms),
        ]
    }

    /// What took the most of the time that was seen.
    #[must_use]
    pub fn limit(&self) -> Limit {
        let parts = self.parts();
        let seen = parts.iter().filter(|(limit, _)| *limit != Limit::Unseen);
        let most = seen.max_by(|a, b| a.1.total_cmp(&b.1));
        most.filter(|(_, ms)| *ms > 0.0)
            .map_or(Limit::Unseen, |(limit, _)| *limit)
    }
}

/// What a socket waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Nagle's rule.
    Nagle,
    /// A cork.
    Cork,
    /// This machine's own queues.
    Device,
    /// The congestion window.
    CongestionWindow,
    /// The peer's receive window.
    ReceiveWindow,
    /// The send buffer.
    SendBuffer,
    /// The network and the peer.
    Peer,
    /// The program.
    Program,
    /// Not known.
    Unseen,
}

/// What happened at one moment of a timeline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark {
    /// Milliseconds since the start of the trace.
    pub at_ms: f64,
    /// What.
    pub kind: MarkKind,
}

/// A kind of mark.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MarkKind {
    /// The program wrote so many bytes.
    Write(u32),
    /// The program read so many bytes.
    Read(u32),
    /// So many payload bytes came in.
    Data(u32),
    /// A bare ACK came in.
    Ack,
    /// Bytes were held from here, for so many milliseconds.
    Hold {
        /// Why.
        cause: Cause,
        /// How long.
        held_ms: f64,
        /// How many bytes.
        bytes: u32,
    },
}

/// What to do about one cause in one program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// Which process.
    pub pid: u32,
    /// Its name.
    pub command: String,
    /// Against what.
    pub cause: Cause,
    /// What to change in the program, in a sentence.
    pub change: String,
    /// The line to write, in the program's language, where it is known.
    pub line: Option<String>,
    /// The command that repairs it as it is, where there is one.
    pub repair: Option<String>,
}

/// A programming language or its runtime, told from the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "names of languages")]
pub enum Language {
    Python,
    Node,
    Java,
    #[serde(rename = "dotnet")]
    DotNet,
    Go,
    Rust,
    Php,
    Perl,
    Ruby,
}
