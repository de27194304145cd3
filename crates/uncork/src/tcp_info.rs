//! `TCP_INFO`: what the kernel knows of a connection.

use std::io;
use std::time::Duration;

use crate::sys::{self, TcpSocket};

/// Size of the largest `struct tcp_info` known here (Linux 6.13); a longer one is cut.
const TCP_INFO_BYTES: usize = 248;

/// A snapshot of one connection, from `getsockopt(TCP_INFO)`.
///
/// Fields that came with later kernels are `None` where the kernel's answer was too short to
/// hold them. Source of names and layout: `include/uapi/linux/tcp.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpInfo {
    /// `tcpi_state`: 1 is `ESTABLISHED`; the others are in `include/net/tcp_states.h`.
    pub state: u8,
    /// `tcpi_rto`: the retransmission timeout.
    pub retransmit_timeout: Duration,
    /// `tcpi_ato`: the delay of ACKs that this side is predicted to use.
    pub ack_timeout: Duration,
    /// `tcpi_snd_mss`: payload bytes of a full segment sent.
    pub send_segment_bytes: u32,
    /// `tcpi_unacked`: segments sent and not yet acknowledged.
    pub unacked_segments: u32,
    /// `tcpi_lost`: segments thought to be lost.
    pub lost_segments: u32,
    /// `tcpi_last_data_sent`: since the last segment with data was sent, in ticks of the kernel (1 ms to
    /// 10 ms).
    pub since_data_sent: Duration,
    /// `tcpi_rtt`: the smoothed round trip.
    pub rtt: Duration,
    /// `tcpi_snd_cwnd`: the congestion window, in segments.
    pub congestion_window_segments: u32,
    /// `tcpi_total_retrans`: segments sent again since the start.
    pub retransmitted_segments: u32,
    /// `tcpi_bytes_acked` (Linux 4.1).
    pub acked_bytes: Option<u64>,
    /// `tcpi_segs_out` (Linux 4.2): all segments sent, bare ACKs included.
    pub segments_out: Option<u32>,
    /// `tcpi_bytes_received` (Linux 4.1).
    pub received_bytes: Option<u64>,
    /// `tcpi_notsent_bytes` (Linux 4.6): written by the program, not yet sent.
    pub unsent_bytes: Option<u32>,
    /// `tcpi_min_rtt` (Linux 4.6): the least round trip of the last minutes, where there was one.
    pub min_rtt: Option<Duration>,
    /// `tcpi_data_segs_in` (Linux 4.6).
    pub data_segments_in: Option<u32>,
    /// `tcpi_data_segs_out` (Linux 4.6): segments sent that carry data.
    pub data_segments_out: Option<u32>,
    /// `tcpi_busy_time` (Linux 4.9): time for which there was something to send or in flight,
    /// the next two included.
    pub busy: Option<Duration>,
    /// `tcpi_rwnd_limited` (Linux 4.9): time for which the peer's window was the limit.
    pub receive_window_limited: Option<Duration>,
    /// `tcpi_sndbuf_limited` (Linux 4.9): time for which the send buffer was the limit.
    pub send_buffer_limited: Option<Duration>,
    /// `tcpi_bytes_sent` (Linux 4.19): payload bytes, those sent again included.
    pub sent_bytes: Option<u64>,
    /// `tcpi_bytes_retrans` (Linux 4.19): payload bytes sent again.
    pub resent_bytes: Option<u64>,
    /// `tcpi_snd_wnd` (Linux 5.4): the peer's window in bytes.
    pub send_window_bytes: Option<u32>,
}

impl TcpInfo {
    /// Asks the kernel. One system call.
    ///
    /// # Errors
    /// `Unsupported` outside Linux; what the kernel says where this is no TCP socket;
    /// `InvalidData` where its answer is shorter than that of Linux 2.6.
    #[doc(alias = "TCP_INFO")]
    pub fn of<S: TcpSocket>(socket: &S) -> io::Result<Self> {
        let mut buffer = [0; TCP_INFO_BYTES];
        let filled_bytes = sys::tcp_info(socket, &mut buffer)?;
        Self::parse(&buffer[..filled_bytes]).ok_or_else(|| {
            let text = format!("the kernel's TCP_INFO has {filled_bytes} bytes only");
            io::Error::new(io::ErrorKind::InvalidData, text)
        })
    }

    /// Whether bytes that the program has written wait for an ACK though nothing but a rule of
    /// this side (Nagle's, or a cork) keeps them: unsent bytes of less than a segment, while
    /// neither the congestion window nor the peer's window is full.
    ///
    /// `None` where the kernel does not tell.
    #[must_use]
    pub fn holds_small_segment(&self) -> Option<bool> {
        let unsent_bytes = self.unsent_bytes?;
        let has_congestion_window = self.unacked_segments < self.congestion_window_segments;
        let has_peer_window = self
            .send_window_bytes
            .is_none_or(|window| window > unsent_bytes);
        Some(
            unsent_bytes > 0
                && unsent_bytes < self.send_segment_bytes
                && has_congestion_window
                && has_peer_window,
        )
    }

    /// Reads the fields of `struct tcp_info` at their offsets, as far as `bytes` goes.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let u32_at = |at: usize| {
            let field = bytes.get(at..at + 4)?;
            field.try_into().ok().map(u32::from_ne_bytes)
        };
        let u64_at = |at: usize| {
            let field = bytes.get(at..at + 8)?;
            field.try_into().ok().map(u64::from_ne_bytes)
        };
        let micros_at = |at: usize| u32_at(at).map(|us| Duration::from_micros(u64::from(us)));
        Some(Self {
            state: *bytes.first()?,
            retransmit_timeout: micros_at(8)?,
            ack_timeout: micros_at(12)?,
            send_segment_bytes: u32_at(16)?,
            unacked_segments: u32_at(24)?,
            lost_segments: u32_at(32)?,
            since_data_sent: Duration::from_millis(u32_at(44)?.into()),
            rtt: micros_at(68)?,
            congestion_window_segments: u32_at(80)?,
            retransmitted_segments: u32_at(100)?,
            acked_bytes: u64_at(120),
            received_bytes: u64_at(128),
            segments_out: u32_at(136),
            unsent_bytes: u32_at(144),
            // The kernel says ~0 before the first round trip.
            min_rtt: u32_at(148)
                .filter(|us| *us < u32::MAX)
                .map(|us| Duration::from_micros(u64::from(us))),
            data_segments_in: u32_at(152),
            data_segments_out: u32_at(156),
            busy: u64_at(168).map(Duration::from_micros),
            receive_window_limited: u64_at(176).map(Duration::from_micros),
            send_buffer_limited: u64_at(184).map(Duration::from_micros),
            sent_bytes: u64_at(200),
            resent_bytes: u64_at(208),
            send_window_bytes: u32_at(228),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_answer_leaves_the_later_fields_out() {
        let mut bytes = [0; TCP_INFO_BYTES];
        bytes[0] = 1;
        bytes[16..20].copy_from_slice(&1436u32.to_ne_bytes());
        bytes[44..48].copy_from_slice(&40u32.to_ne_bytes());
        bytes[144..148].copy_from_slice(&2u32.to_ne_bytes());
        bytes[156..160].copy_from_slice(&7u32.to_ne_bytes());
        bytes[168..176].copy_from_slice(&9u64.to_ne_bytes());
        let whole = TcpInfo::parse(&bytes).unwrap();
        assert_eq!(whole.send_segment_bytes, 1436);
        assert_eq!(whole.since_data_sent, Duration::from_millis(40));
        assert_eq!(whole.unsent_bytes, Some(2));
        assert_eq!(whole.data_segments_out, Some(7));
        assert_eq!(whole.busy, Some(Duration::from_micros(9)));
        // Linux 4.1: up to tcpi_bytes_received.
        let short = TcpInfo::parse(&bytes[..136]).unwrap();
        assert_eq!(short.acked_bytes, Some(0));
        assert_eq!((short.unsent_bytes, short.segments_out), (None, None));
        assert_eq!(short.holds_small_segment(), None);
        // Cut within a field, as a kernel in between would.
        assert_eq!(TcpInfo::parse(&bytes[..147]).unwrap().unsent_bytes, None);
        assert_eq!(TcpInfo::parse(&bytes[..103]), None);
        assert_eq!(TcpInfo::parse(&[]), None);
    }

    #[test]
    fn a_full_window_is_not_a_hold() {
        let mut bytes = [0; TCP_INFO_BYTES];
        let mut set = |at: usize, value: u32| {
            bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
            TcpInfo::parse(&bytes).unwrap().holds_small_segment()
        };
        set(16, 1436);
        set(80, 10);
        set(228, 65_535);
        assert_eq!(set(24, 1), Some(false), "nothing unsent");
        assert_eq!(
            set(144, 2),
            Some(true),
            "two bytes behind a segment in flight"
        );
        assert_eq!(set(144, 1436), Some(false), "a full segment is not Nagle's");
        assert_eq!(set(144, 2), Some(true));
        assert_eq!(set(24, 10), Some(false), "the congestion window is full");
        set(24, 1);
        assert_eq!(set(228, 1), Some(false), "the peer's window is full");
    }
}
