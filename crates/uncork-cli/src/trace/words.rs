//! Causes, limits and times as people read them. The kernel's word stands behind, in brackets, for
//! those who want to look further.

use uncork_trace::report::{Cause, EndedBy, Engine, Limit, Stall};

use crate::words::{count, counted};

/// Longest time that is written: a century. What is longer was computed from what can't be.
const MS_MAX: f64 = 100.0 * 365.0 * 86_400_000.0;

/// A time: `0.4 ms`, `43 ms`, `4.31 s`, `12.3 min`.
pub(super) fn time(ms: f64) -> String {
    match ms {
        ms if !ms.is_finite() || ms > MS_MAX => "–".to_owned(),
        ms if ms >= 600_000.0 => format!("{:.1} min", ms / 60_000.0),
        ms if ms >= 999.5 => format!("{:.2} s", ms / 1000.0),
        ms if ms >= 9.95 => format!("{ms:.0} ms"),
        ms if ms >= 0.05 => format!("{ms:.1} ms"),
        ms if ms > 0.0 => "<0.1 ms".to_owned(),
        _ => "0 ms".to_owned(),
    }
}

/// A part of a whole in per cent. What is there is never shown as nothing, and what isn't all never as
/// all.
pub(super) fn share(part: f64, whole: f64) -> String {
    let per_cent = part / whole * 100.0;
    match per_cent {
        share if !share.is_finite() || share <= 0.0 => "0 %".to_owned(),
        share if share < 1.0 => "<1 %".to_owned(),
        share if share > 99.0 && share < 100.0 => ">99 %".to_owned(),
        share => format!("{:.0} %", share.min(100.0)),
    }
}

/// A cause in a word or two, for tables.
pub(super) fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Nagle => "Nagle's algorithm",
        Cause::Cork => "a cork",
        Cause::LocalDelayedAck => "own delayed ACKs",
        Cause::PacketWaste => "wasted packets",
        Cause::StopAndWait => "one message a round trip",
    }
}

/// What a cause is, for those who have never heard of it.
pub(super) fn meaning(cause: Cause) -> &'static str {
    match cause {
        Cause::Nagle => {
            "Nagle's algorithm: while one small packet is on its way, the kernel holds the next until \
             the peer has acknowledged the first. The peer waits with that, 40 ms or more, in case it \
             has an answer to send along. So a message that is written in pieces is late each time."
        }
        Cause::Cork => {
            "A cork (the option TCP_CORK, or MSG_MORE on a call) tells the kernel to send full packets \
             only. What doesn't fill one waits until the cork comes off, or 200 ms."
        }
        Cause::LocalDelayedAck => {
            "Delayed ACK: this machine waits with acknowledging, 40 ms or more, and the peer's kernel \
             holds the rest of its message until then."
        }
        Cause::PacketWaste => {
            "Wasted packets: with TCP_NODELAY on, each write leaves at once. Pieces that would fit one \
             packet take several."
        }
        Cause::StopAndWait => {
            "One message a round trip: the program waits for each answer before it sends on. The time \
             on the way passes for every message."
        }
    }
}

/// What took a part of the time.
pub(super) fn limit(limit: Limit) -> &'static str {
    match limit {
        Limit::Nagle => "held by Nagle's algorithm",
        Limit::Cork => "held by a cork",
        Limit::Device => "this machine's own queues",
        Limit::CongestionWindow => "the network took no more (congestion window full)",
        Limit::ReceiveWindow => "the peer took no more (receive window full)",
        Limit::SendBuffer => "the send buffer was too small",
        Limit::Peer => "the network and the peer",
        Limit::Program => "the program itself",
        Limit::Unseen => "not seen in detail",
    }
}

/// The same in a word, for narrow tables.
pub(super) fn limit_short(limit: Limit) -> &'static str {
    match limit {
        Limit::Nagle => "Nagle",
        Limit::Cork => "cork",
        Limit::Device => "own queues",
        Limit::CongestionWindow => "network",
        Limit::ReceiveWindow => "peer's window",
        Limit::SendBuffer => "send buffer",
        Limit::Peer => "peer",
        Limit::Program => "program",
        Limit::Unseen => "not seen",
    }
}

/// What a socket waited for most, as a sentence without its end.
pub(super) fn limit_sentence(limit: Limit, share: &str) -> String {
    match limit {
        Limit::Nagle => format!("small writes were held by Nagle's algorithm {share} of the time"),
        Limit::Cork => format!("data was held by a cork {share} of the time"),
        Limit::Device => {
            format!("this machine's own queues were the limit {share} of the time")
        }
        Limit::CongestionWindow => format!(
            "the network is the limit: it took no more {share} of the time (congestion window full)"
        ),
        Limit::ReceiveWindow => format!(
            "the peer is the limit: it took no more {share} of the time (its receive window was full)"
        ),
        Limit::SendBuffer => {
            format!("the send buffer is the limit: it was too small {share} of the time")
        }
        Limit::Peer => format!(
            "the network and the peer are the limit: all was sent, and they had their turn {share} \
             of the time"
        ),
        Limit::Program => {
            format!("the program is the limit: {share} of the time it gave nothing to send")
        }
        Limit::Unseen => "what the limit is was not seen".to_owned(),
    }
}

/// How a trace sees.
pub(super) fn engine(engine: Engine) -> &'static str {
    match engine {
        Engine::Ebpf => "seen by programs in the kernel (eBPF)",
        Engine::Sample => "sampled (TCP_INFO)",
    }
}

/// Until when a hold lasted.
fn until(by: EndedBy) -> &'static str {
    match by {
        EndedBy::DelayedAck => "until the peer's delayed ACK",
        EndedBy::RoundTrip => "until the peer's ACK, a round trip later",
        EndedBy::Option => "until the program set an option that lets it go",
        EndedBy::Ceiling => "until the kernel let it go, after the longest time that a cork holds",
        EndedBy::Close => "until the socket was closed",
        EndedBy::Probe => "until the kernel's probe, as the peer's ACK took too long",
        EndedBy::Unknown => "to the end of the trace, or until something that was not seen",
    }
}

/// What happened, in a sentence without its end.
pub(super) fn stall(stall: &Stall) -> String {
    let times = match stall.count {
        1 => "once".to_owned(),
        count => counted(count, "time"),
    };
    let long = length(stall);
    let by = stall
        .ended_by
        .first()
        .map_or(EndedBy::Unknown, |ending| ending.by);
    match stall.cause {
        Cause::Nagle => {
            let size = match stall.held_bytes {
                0 => String::new(),
                bytes => format!(" of {}", counted(bytes, "byte")),
            };
            let until = until(by);
            format!("{times} a small write{size} was held {long} {until} (Nagle's algorithm)")
        }
        Cause::Cork => {
            let until = match by {
                EndedBy::Unknown => "with nothing more to come",
                by => until(by),
            };
            format!("{times} the end of a message was held {long} {until} (TCP_CORK or MSG_MORE)")
        }
        Cause::LocalDelayedAck => {
            format!("{times} the peer held its data {long} until this machine's delayed ACK")
        }
        Cause::PacketWaste => {
            let messages = match stall.count {
                1 => "1 message".to_owned(),
                count => counted(count, "message"),
            };
            format!(
                "{messages} left in {} more than the bytes need, {} of all: no time lost, but \
                 packets and processor time",
                counted(stall.segments_wasted, "packet"),
                share(stall.share, 1.0)
            )
        }
        Cause::StopAndWait => format!(
            "{} of {}, each for one small message, took {} of the time: sending ahead would save up \
             to {} (not counted as lost)",
            counted(stall.count, "round trip"),
            time(stall.held_ms_p50),
            share(stall.share, 1.0),
            time(stall.held_ms_total)
        ),
    }
}

/// `43 ms`, or `43 ms as a rule and 44 ms at most,`.
fn length(stall: &Stall) -> String {
    let (median, most) = (time(stall.held_ms_p50), time(stall.held_ms_max));
    if stall.count < 2 || median == most {
        return most;
    }
    format!("{median} as a rule and {most} at most,")
}

/// What ended the holds, where it wasn't always the same.
pub(super) fn endings(stall: &Stall) -> Option<String> {
    let endings = &stall.ended_by;
    (endings.len() > 1).then(|| {
        let parts = endings
            .iter()
            .map(|ending| format!("{} {}", count(ending.count), until(ending.by)));
        parts.collect::<Vec<_>>().join("; ")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_shares() {
        assert_eq!(time(0.0), "0 ms");
        assert_eq!(time(0.01), "<0.1 ms");
        assert_eq!(time(0.44), "0.4 ms");
        assert_eq!(time(43.2), "43 ms");
        assert_eq!(time(4310.0), "4.31 s");
        assert_eq!(time(720_000.0), "12.0 min");
        assert_eq!(time(f64::NAN), "–");
        assert_eq!(share(0.0, 100.0), "0 %");
        assert_eq!(share(0.2, 100.0), "<1 %");
        assert_eq!(share(99.7, 100.0), ">99 %");
        assert_eq!(share(100.0, 100.0), "100 %");
        assert_eq!(share(1.0, 0.0), "0 %");
    }
}
