//! Whether the link is what keeps an upload from being faster: then COMPRESS helps, and else it
//! only costs time.

use std::time::{Duration, Instant};

use uncork::TcpInfo;

use super::Writer;

/// What the kernel knew of a connection, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkSample {
    pub(crate) at: Instant,
    pub(crate) info: TcpInfo,
}

/// A shorter time says nothing: slow start is not over.
const TIME_MIN: Duration = Duration::from_millis(500);

/// Fewer bytes say nothing: they fit into buffers on the way.
const ACKED_BYTES_MIN: u64 = 512 * 1024;

/// A faster link is faster than DEFLATE beside TLS on one core.
const RATE_MAX_BYTES_PER_SECOND: f64 = 32e6;

/// The part of the time for which the link has to be busy.
const BUSY_SHARE_MIN: f64 = 0.75;

/// The part of what the congestion window allows that has to be used.
const WINDOW_SHARE_MIN: f64 = 0.5;

/// Whether between the two samples the link was the limit. All of this has to hold:
///
/// - There is enough to tell by: half a second, half a megabyte acknowledged.
/// - It went at less than 32 MB/s. On loopback and in a rack it goes faster, until the server is
///   the limit, which the next shows.
/// - Bytes were in flight for three quarters of the time, without the time for which the peer's
///   receive window was full (it does not read faster) or this side's send buffer was. Where
///   the window of commands waits for answers, nothing is in flight.
/// - At least half as much went as the congestion window lets go in a round trip. One that
///   waits a round trip for each mail has bytes in flight all the time, but few of them.
///
/// Where the kernel does not tell, it is not the limit.
pub(crate) fn is_link_the_limit(before: &LinkSample, after: &LinkSample) -> bool {
    measure(before, after).is_some_and(|link| {
        link.time >= TIME_MIN
            && link.acked_bytes >= ACKED_BYTES_MIN
            && link.rate() <= RATE_MAX_BYTES_PER_SECOND
            && link.busy.as_secs_f64() >= BUSY_SHARE_MIN * link.time.as_secs_f64()
            && link.rate() >= WINDOW_SHARE_MIN * link.window_rate
    })
}

/// Looks at the link of one connection now and then, while much is sent over it.
#[derive(Debug)]
pub(crate) struct LinkWatch {
    since: LinkSample,
}

impl LinkWatch {
    /// `None` where the kernel does not tell.
    pub(crate) fn start(writer: &Writer) -> Option<Self> {
        LinkSample::take(writer).map(|since| Self { since })
    }

    /// Whether the link was the limit since it was looked at last, if that is long enough ago.
    pub(crate) fn is_the_limit(&mut self, writer: &Writer) -> bool {
        if self.since.at.elapsed() < TIME_MIN {
            return false;
        }
        let Some(now) = LinkSample::take(writer) else {
            return false;
        };
        let before = std::mem::replace(&mut self.since, now);
        is_link_the_limit(&before, &self.since)
    }
}

impl LinkSample {
    fn take(writer: &Writer) -> Option<Self> {
        Some(Self {
            at: Instant::now(),
            info: writer.tcp_info()?,
        })
    }
}

/// What went over the link between two samples.
struct Link {
    time: Duration,
    acked_bytes: u64,
    /// For how long nothing but the link could be the limit.
    busy: Duration,
    /// Bytes a second that the congestion window allows.
    window_rate: f64,
}

impl Link {
    fn rate(&self) -> f64 {
        // Exact up to 2^53 bytes.
        #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
        let bytes = self.acked_bytes as f64;
        bytes / self.time.as_secs_f64()
    }
}

fn measure(before: &LinkSample, after: &LinkSample) -> Option<Link> {
    let (first, last) = (&before.info, &after.info);
    let time_of = |part: fn(&TcpInfo) -> Option<Duration>| {
        part(last)
            .zip(part(first))
            .map(|(last, first)| last.saturating_sub(first))
    };
    let busy = time_of(|info| info.busy)?;
    let waiting =
        time_of(|info| info.receive_window_limited)? + time_of(|info| info.send_buffer_limited)?;
    let window_bytes =
        f64::from(last.congestion_window_segments) * f64::from(last.send_segment_bytes);
    Some(Link {
        time: after.at.checked_duration_since(before.at)?,
        acked_bytes: last.acked_bytes?.checked_sub(first.acked_bytes?)?,
        busy: busy.saturating_sub(waiting),
        window_rate: window_bytes / last.rtt.max(Duration::from_micros(1)).as_secs_f64(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second on a link of 1 MB/s and 50 ms, as it looks when the link is the limit.
    struct Second {
        acked_bytes: u64,
        busy_ms: u64,
        receive_window_limited_ms: u64,
        send_buffer_limited_ms: u64,
        congestion_window_segments: u32,
        time_ms: u64,
    }

    const LINK_LIMITED: Second = Second {
        acked_bytes: 1_000_000,
        busy_ms: 990,
        receive_window_limited_ms: 0,
        send_buffer_limited_ms: 0,
        congestion_window_segments: 36,
        time_ms: 1000,
    };

    #[track_caller]
    fn check(second: &Second, expected: bool) {
        let ms = Duration::from_millis;
        let mut before = LinkSample {
            at: Instant::now(),
            info: sample_of_this_machine(),
        };
        before.info.acked_bytes = Some(500);
        before.info.busy = Some(ms(70));
        before.info.receive_window_limited = Some(ms(20));
        before.info.send_buffer_limited = Some(ms(30));
        let mut after = before;
        after.at += ms(second.time_ms);
        let info = &mut after.info;
        info.acked_bytes = Some(500 + second.acked_bytes);
        info.busy = Some(ms(70 + second.busy_ms));
        info.receive_window_limited = Some(ms(20 + second.receive_window_limited_ms));
        info.send_buffer_limited = Some(ms(30 + second.send_buffer_limited_ms));
        info.congestion_window_segments = second.congestion_window_segments;
        info.send_segment_bytes = 1448;
        info.rtt = ms(50);
        assert_eq!(is_link_the_limit(&before, &after), expected);
        assert!(!is_link_the_limit(&after, &before), "back in time");
        after.info.busy = None;
        assert!(!is_link_the_limit(&before, &after), "an old kernel");
    }

    /// There is no other way to have one: its fields may become more.
    fn sample_of_this_machine() -> TcpInfo {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        TcpInfo::of(&stream).unwrap()
    }

    #[test]
    fn what_limits_a_connection() {
        let link = LINK_LIMITED;
        check(&link, true);
        // The server reads no faster.
        check(
            &Second {
                receive_window_limited_ms: 600,
                ..link
            },
            false,
        );
        check(
            &Second {
                send_buffer_limited_ms: 600,
                ..LINK_LIMITED
            },
            false,
        );
        // Its answers are waited for.
        check(
            &Second {
                busy_ms: 500,
                ..LINK_LIMITED
            },
            false,
        );
        // One mail each round trip: in flight all the time, far below the window.
        check(
            &Second {
                congestion_window_segments: 100,
                ..LINK_LIMITED
            },
            false,
        );
        // So fast that compressing would be slower.
        check(
            &Second {
                acked_bytes: 100_000_000,
                ..LINK_LIMITED
            },
            false,
        );
        // Too little to tell.
        check(
            &Second {
                acked_bytes: 100_000,
                congestion_window_segments: 3,
                ..LINK_LIMITED
            },
            false,
        );
        check(
            &Second {
                time_ms: 400,
                busy_ms: 400,
                ..LINK_LIMITED
            },
            false,
        );
    }
}
