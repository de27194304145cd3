//! TCP_INFO in the words of `struct tcp_sock`. It counts bytes where the kernel has sequence numbers;
//! differences are the same.

use std::time::Duration;

use uncork::TcpInfo;

use crate::event::{Facts, is_after};
use crate::session::now_ns;

/// What `tcpi_bytes_acked` counts and `tcpi_bytes_sent` doesn't: the SYN of the side that connects, later
/// the FIN.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Offset(u32);

impl Offset {
    /// The facts without the options, which TCP_INFO doesn't tell. Whenever all is acknowledged, learns
    /// the offset anew.
    pub(super) fn facts(&mut self, info: &TcpInfo) -> Facts {
        #[expect(clippy::cast_possible_truncation, reason = "sequence numbers wrap")]
        let seq = |bytes: Option<u64>| bytes.unwrap_or(0) as u32;
        // What was sent again is counted twice in `sent_bytes`.
        let snd_nxt = seq(info.sent_bytes).wrapping_sub(seq(info.resent_bytes));
        let acked = seq(info.acked_bytes);
        let snd_una = self.snd_una(acked, snd_nxt, info.unacked_segments == 0);
        let micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let long_micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Facts {
            write_seq: snd_nxt.wrapping_add(info.unsent_bytes.unwrap_or(0)),
            snd_nxt,
            snd_una,
            rcv_nxt: seq(info.received_bytes),
            mss: info.send_segment_bytes,
            cwnd: info.congestion_window_segments,
            in_flight_segments: info.unacked_segments,
            snd_wnd: info.send_window_bytes.unwrap_or(u32::MAX / 2),
            departed_ns: Some(now_ns().saturating_sub(nanos(info.since_data_sent))),
            data_segs_out: info.data_segments_out.unwrap_or(0),
            segs_out: info.segments_out.unwrap_or(0),
            total_retrans: info.retransmitted_segments,
            srtt_us: micros(info.rtt),
            min_rtt_us: info.min_rtt.map_or(0, micros),
            rwnd_limited_us: info.receive_window_limited.map(long_micros),
            sndbuf_limited_us: info.send_buffer_limited.map(long_micros),
            ..Facts::default()
        }
    }

    fn snd_una(&mut self, acked: u32, snd_nxt: u32, is_all_acked: bool) -> u32 {
        if is_all_acked {
            self.0 = acked.wrapping_sub(snd_nxt);
            return snd_nxt;
        }
        let snd_una = acked.wrapping_sub(self.0);
        // Where the offset isn't known yet: nothing is acknowledged that has not been sent.
        if is_after(snd_una, snd_nxt) {
            snd_nxt
        } else {
            snd_una
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_syn_and_a_fin_are_no_bytes() {
        let mut offset = Offset::default();
        assert_eq!(offset.snd_una(101, 100, false), 100, "not learnt, cut");
        assert_eq!(offset.snd_una(51, 100, false), 51, "not learnt");
        assert_eq!(offset.snd_una(101, 100, true), 100);
        assert_eq!(offset.snd_una(101, 150, false), 100);
        assert_eq!(offset.snd_una(152, 150, true), 150, "the FIN");
        assert_eq!(offset.snd_una(152, 160, false), 150);
        let mut accepted = Offset::default();
        assert_eq!(accepted.snd_una(100, 100, true), 100);
        assert_eq!(accepted.snd_una(100, 150, false), 100);
        let mut wrapped = Offset::default();
        assert_eq!(wrapped.snd_una(0, u32::MAX, true), u32::MAX);
        assert_eq!(wrapped.snd_una(2, 3, false), 1);
    }

    #[test]
    fn both_ends_have_nothing_in_flight() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let mut room = [0; 5];
        client.write_all(b"hello").unwrap();
        server.read_exact(&mut room).unwrap();
        server.write_all(b"hello").unwrap();
        client.read_exact(&mut room).unwrap();
        // The client's answer acknowledges late, maybe; what the client has sent is acknowledged.
        let facts = Offset::default().facts(&TcpInfo::of(&client).unwrap());
        assert_eq!((facts.snd_nxt, facts.unacked_bytes()), (5, 0), "{facts:?}");
        let facts = Offset::default().facts(&TcpInfo::of(&server).unwrap());
        assert!(facts.unacked_bytes() <= 5, "{facts:?}");
    }

    #[test]
    fn times_longer_than_an_hour() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut info = TcpInfo::of(&client).unwrap();
        info.receive_window_limited = Some(Duration::from_secs(7200));
        let facts = Offset::default().facts(&info);
        assert_eq!(facts.rwnd_limited_us, Some(7_200_000_000));
    }
}
