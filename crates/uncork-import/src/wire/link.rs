//! Whether the link is what keeps an upload from being faster: then COMPRESS helps, and else it
//! only costs time.

use std::time::{Duration, Instant};

use uncork::TcpInfo;

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
