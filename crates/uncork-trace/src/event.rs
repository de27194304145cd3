//! What an engine saw: one thing that happened to one socket, and what the kernel knew of it then.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A socket, from the moment in which an engine first saw it until it is closed. An id is never
/// used twice in one trace, though the kernel uses the addresses of its sockets again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SocketId(pub u64);

/// One thing that happened to one socket.
///
/// Events of one socket come in the order of `at_ns`, except where the kernel made them on two
/// processors within a microsecond.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, by `CLOCK_MONOTONIC`, in nanoseconds.
    pub at_ns: u64,
    /// On which socket.
    pub socket: SocketId,
    /// What.
    pub kind: Kind,
    /// What the kernel knew of the connection at that moment.
    pub facts: Facts,
    /// Events of this socket that the engine left out since the one before, to cost less, or because
    /// there was no room for them. Nothing is inferred across such a gap, but that what is held by the same
    /// write or the same segment in flight has been held all the time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped: u32,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The engine sees the socket for the first time. It may be older than the trace.
    Open(Box<Identity>),
    /// A call that sends has returned.
    Write {
        /// Bytes taken; a negative number is the error (`-11`: the send buffer is full).
        result: i32,
        /// Which thread called.
        thread: u32,
        /// User addresses of the call, innermost first, where the engine could have them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        stack: Vec<u64>,
    },
    /// A call that receives has returned.
    Read {
        /// Bytes given; 0 is the peer's end; a negative number is the error (`-11`: nothing there).
        result: i32,
        /// Which thread called.
        thread: u32,
    },
    /// A segment has come in and is not processed yet: the facts are those of before.
    Segment {
        /// Payload bytes in it.
        bytes: u32,
        /// Up to which sequence number it acknowledges.
        ack_seq: u32,
    },
    /// The sampling engine had a look; what happened since the look before is not known.
    Sample {
        /// When it looked before; 0 at its first look.
        previous_ns: u64,
    },
    /// This side has ended its direction (close, shutdown); what was held departs now.
    Shut,
    /// The socket is gone. The facts are the last ones.
    Close,
}

/// Whose socket it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Process that used it first while it was traced.
    pub pid: u32,
    /// That process's name in the kernel (`comm`), at most 15 bytes.
    pub command: String,
    /// This side has connected (`Some(true)`), or accepted; `None` where it isn't known.
    #[serde(default)]
    pub connects: Option<bool>,
    /// Our address.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// Inode of the network namespace; 0 where it isn't known.
    #[serde(default)]
    pub namespace: u32,
    /// Id of the control group (its inode in cgroup2); 0 where it isn't known.
    #[serde(default)]
    pub cgroup: u64,
}

/// What the kernel knows of a connection: fields of `struct tcp_sock` (`include/linux/tcp.h`), under
/// their names. Sequence numbers wrap. What an engine can't see is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// After the last byte that the program has written.
    pub write_seq: u32,
    /// After the last byte that has been sent.
    pub snd_nxt: u32,
    /// After the last byte that is acknowledged.
    pub snd_una: u32,
    /// After the last *small* segment that has been sent: what Nagle's rule looks at.
    pub snd_sml: Option<u32>,
    /// After the last byte that the program wanted to depart: less than `write_seq` after MSG_MORE.
    pub pushed_seq: Option<u32>,
    /// After the last byte that came in.
    pub rcv_nxt: u32,
    /// After the last byte that the program has read.
    pub copied_seq: Option<u32>,
    /// After the last byte for which we have sent an ACK.
    pub rcv_wup: Option<u32>,
    /// TCP_NODELAY is on.
    pub nodelay: bool,
    /// TCP_CORK is on.
    pub corked: bool,
    /// Sent segments still stand in this machine's queues, and new ones wait for that
    /// (TSQ_THROTTLED: autocorking, or too much in the device).
    pub device_limited: Option<bool>,
    /// `mss_cache`: payload bytes of a full segment.
    pub mss: u32,
    /// `snd_cwnd`: the congestion window, in segments.
    pub cwnd: u32,
    /// `packets_out`, less those acknowledged by SACK or lost, plus those sent again.
    pub in_flight_segments: u32,
    /// `snd_wnd`: the peer's window in bytes, from `snd_una` on.
    pub snd_wnd: u32,
    /// `tcp_wstamp_ns`: when the last data segment departed (`CLOCK_MONOTONIC`). Of samples, by
    /// `tcpi_last_data_sent`, to a tick of the kernel.
    pub departed_ns: Option<u64>,
    /// `tcp_mstamp`, in ns: when the kernel last handled this socket (a segment in, data or a delayed
    /// ACK out) before this event.
    pub handled_ns: Option<u64>,
    /// When the last write was, if it has left bytes unsent; 0 where it has not, or where that isn't
    /// known.
    pub left_ns: u64,
    /// Segments sent that carry data, those sent again included.
    pub data_segs_out: u32,
    /// All segments sent, bare ACKs included.
    pub segs_out: u32,
    /// Segments sent again.
    pub total_retrans: u32,
    /// Smoothed round trip in microseconds.
    pub srtt_us: u32,
    /// Least round trip in microseconds, in the last minutes; 0 where there was none yet.
    pub min_rtt_us: u32,
    /// Calls that sent, so far, since the engine first saw the socket.
    pub writes: u32,
    /// Calls that received.
    pub reads: u32,
    /// The program waits for room in the send buffer (SOCK_NOSPACE).
    pub no_space: Option<bool>,
    /// `tcpi_rwnd_limited`: microseconds for which the peer's window was the limit.
    pub rwnd_limited_us: Option<u64>,
    /// `tcpi_sndbuf_limited`: microseconds for which the send buffer was the limit.
    pub sndbuf_limited_us: Option<u64>,
}

impl Facts {
    /// Bytes that the program has written and that have not been sent.
    #[must_use]
    pub fn unsent_bytes(&self) -> u32 {
        self.write_seq.wrapping_sub(self.snd_nxt)
    }

    /// Bytes that have been sent and are not acknowledged.
    #[must_use]
    pub fn unacked_bytes(&self) -> u32 {
        self.snd_nxt.wrapping_sub(self.snd_una)
    }
}

/// Whether sequence number `a` comes after `b` (`after` of the kernel's `tcp.h`).
#[must_use]
pub fn is_after(a: u32, b: u32) -> bool {
    #[expect(
        clippy::cast_possible_wrap,
        reason = "the sign of the difference is the order"
    )]
    let difference = a.wrapping_sub(b) as i32;
    difference > 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out references"
)]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_wrap() {
        assert!(is_after(2, u32::MAX));
        assert!(!is_after(u32::MAX, 2));
        assert!(!is_after(7, 7));
        let facts = Facts {
            write_seq: 3,
            snd_nxt: 1,
            snd_una: u32::MAX,
            ..Facts::default()
        };
        assert_eq!((facts.unsent_bytes(), facts.unacked_bytes()), (2, 2));
    }
}
