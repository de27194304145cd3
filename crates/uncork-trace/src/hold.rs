//! A hold: bytes that the program has written, that fit into the windows, and that stay.
//!
//! The kernel's own decision (`tcp_nagle_check` in `net/ipv4/tcp_output.c`) is inlined and can't be
//! watched; [`held_by`] makes it again of the facts. What ended a hold is told by when the bytes
//! departed: right after an ACK, by a changed option, at the close, at the cork's ceiling.

#[cfg(test)]
mod tests;

use crate::event::{Facts, Kind, is_after};
use crate::report::{Cause, EndedBy, Limit};

/// An ACK that took this much longer than the least round trip was delayed by the peer: 40 ms on
/// Linux, 25 ms to 200 ms elsewhere.
pub(crate) const DELAYED_ACK_NS: u64 = 20_000_000;

/// From when on a cork is taken to be forgotten. A program that corks a header and sends a file needs
/// some microseconds between its last write and the uncork.
const CORK_STALL_NS: u64 = 1_000_000;

/// What departs within this time of an ACK was freed by it.
const FREED_BY_ACK_NS: u64 = 1_000_000;

/// How long the kernel keeps a cork at most, and how much later its timer may run: 200 ms and a few
/// ticks (`tcp_probe0_base`).
const CEILING_NS: std::ops::Range<u64> = 180_000_000..300_000_000;

/// When the kernel's loss probe has sent what Nagle's rule held, beyond two round trips: it allows the peer
/// 200 ms for a delayed ACK (`tcp_schedule_loss_probe`), and its timer may run late.
const PROBE_NS: u64 = 300_000_000;

/// A device that is behind by more has stopped.
const DEVICE_NS: u64 = 100_000_000;

/// Why bytes stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeldBy {
    /// Nagle's rule: a small segment is in flight.
    Nagle,
    /// TCP_CORK or MSG_MORE.
    Cork,
    /// Neither: autocorking, pacing, a full device.
    Device,
}

impl HeldBy {
    /// Whose the time is.
    pub(crate) fn limit(self) -> Limit {
        match self {
            Self::Nagle => Limit::Nagle,
            Self::Cork => Limit::Cork,
            Self::Device => Limit::Device,
        }
    }
}

/// Why less than a segment stays though both windows have room; `None` where it doesn't.
pub(crate) fn held_by(facts: &Facts) -> Option<HeldBy> {
    if facts.unsent_bytes() == 0 || fills_a_segment(facts) {
        return None;
    }
    if has_full_congestion_window(facts) || has_full_receive_window(facts) {
        return None;
    }
    if facts.corked {
        return Some(HeldBy::Cork);
    }
    // MSG_MORE is an option of one call only; it shows by what has not been pushed.
    if facts
        .pushed_seq
        .is_some_and(|pushed_seq| is_after(facts.write_seq, pushed_seq))
    {
        return Some(HeldBy::Cork);
    }
    if facts.nodelay {
        let may_be_more = facts.pushed_seq.is_none() && facts.unacked_bytes() == 0;
        return Some(if may_be_more {
            HeldBy::Cork
        } else {
            HeldBy::Device
        });
    }
    let has_small_segment_in_flight = match facts.snd_sml {
        Some(snd_sml) => is_after(snd_sml, facts.snd_una) && !is_after(snd_sml, facts.snd_nxt),
        None => has_part_of_a_segment_in_flight(facts),
    };
    Some(if has_small_segment_in_flight {
        HeldBy::Nagle
    } else {
        HeldBy::Device
    })
}

/// Whether less is in flight than so many full segments. What samples take for acknowledged may be one byte
/// too much, the SYN.
fn has_part_of_a_segment_in_flight(facts: &Facts) -> bool {
    let unacked_bytes = u64::from(facts.unacked_bytes());
    let full_bytes = u64::from(facts.in_flight_segments) * u64::from(facts.mss);
    unacked_bytes > 0 && unacked_bytes + 1 < full_bytes
}

/// Whether what waits is enough for a segment of full length, which no rule of this side keeps back.
fn fills_a_segment(facts: &Facts) -> bool {
    facts.unsent_bytes() >= facts.mss
}

/// Whether an ACK is for the small segment that keeps others back. Where it isn't known which was
/// small, any that is for something new.
fn acknowledges_small_segment(ack_seq: u32, facts: &Facts) -> bool {
    let is_new = is_after(ack_seq, facts.snd_una);
    is_new
        && facts
            .snd_sml
            .is_none_or(|snd_sml| !is_after(snd_sml, ack_seq))
}

/// Whether no segment more may be in flight.
fn has_full_congestion_window(facts: &Facts) -> bool {
    facts.in_flight_segments >= facts.cwnd
}

/// Whether the peer's window has no room for what waits next: a segment, or all of it.
fn has_full_receive_window(facts: &Facts) -> bool {
    let next_bytes = facts.unsent_bytes().min(facts.mss);
    facts.unacked_bytes().saturating_add(next_bytes) > facts.snd_wnd
}

/// A hold that goes on.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    pub(crate) by: HeldBy,
    /// Since when.
    pub(crate) since_ns: u64,
    /// Since when Nagle's rule has held it: later than `since_ns` where a cork had gathered it before.
    nagle_since_ns: u64,
    /// When the program last wrote to the socket, and when that was by the kernel's own note.
    last_write_ns: u64,
    left_ns: u64,
    /// The first byte that is held.
    first_seq: u32,
    /// How many bytes were held at the beginning, and were in flight before them.
    pub(crate) bytes: u32,
    pub(crate) bytes_before: u32,
    /// When what is in flight departed.
    before_departed_ns: u64,
    /// The ACK that ends Nagle's rule: for the small segment that is in flight.
    freeing_ack_ns: Option<u64>,
    /// Segments sent again until then.
    total_retrans: u32,
    /// The options at the beginning.
    nodelay: bool,
    corked: bool,
    /// How far off the beginning may be: a sample's.
    pub(crate) error_ns: u64,
    /// How many samples have seen it, where it was sampled.
    samples: u32,
    /// Where it was written.
    pub(crate) stack: Vec<u64>,
}

/// How a hold ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// When the bytes departed.
    pub(crate) at_ns: u64,
    /// Why it cost time; `None` where it cost none.
    pub(crate) loss: Option<Loss>,
    /// Whose the time is that was not lost: the program's, which gathered a message, or nobody's that is
    /// known.
    pub(crate) rest: Limit,
    /// How far off the whole may be.
    pub(crate) error_ns: u64,
}

impl Ended {
    /// Without a loss: the program had more to say.
    fn gathered(at_ns: u64) -> Self {
        Self {
            at_ns,
            loss: None,
            rest: Limit::Program,
            error_ns: 0,
        }
    }

    /// What has ended it was not seen, or was no rule of this side: a segment was lost.
    pub(crate) fn unseen(at_ns: u64) -> Self {
        Self {
            rest: Limit::Unseen,
            ..Self::gathered(at_ns)
        }
    }
}

/// Time that a hold has cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) cause: Cause,
    pub(crate) ns: u64,
    pub(crate) ended_by: EndedBy,
}

impl Hold {
    /// A hold that begins now, or somewhere before where it was sampled.
    pub(crate) fn begin(by: HeldBy, since_ns: u64, error_ns: u64, facts: &Facts) -> Self {
        Self {
            by,
            since_ns,
            nagle_since_ns: since_ns,
            last_write_ns: since_ns,
            left_ns: facts.left_ns,
            first_seq: facts.snd_nxt,
            bytes: facts.unsent_bytes(),
            bytes_before: facts.unacked_bytes(),
            before_departed_ns: facts.departed_ns.unwrap_or(since_ns).min(since_ns),
            freeing_ack_ns: None,
            total_retrans: facts.total_retrans,
            nodelay: facts.nodelay,
            corked: facts.corked,
            error_ns,
            samples: 0,
            stack: Vec::new(),
        }
    }

    /// The same, where what it held has departed before its first byte could be noted: it was the last
    /// one that was sent.
    pub(crate) fn departed(self, facts: &Facts) -> Self {
        Self {
            first_seq: facts.snd_nxt.wrapping_sub(1),
            bytes: 0,
            ..self
        }
    }

    /// Whether its last write is the one that the kernel's note is of, by [`Facts::left_ns`].
    pub(crate) fn is_since_write(&self, left_ns: u64) -> bool {
        self.left_ns == left_ns
    }

    /// Whether it would be as long as the kernel holds a cork.
    pub(crate) fn reaches_ceiling(&self, ended_ns: u64) -> bool {
        CEILING_NS.contains(&ended_ns.saturating_sub(self.last_write_ns))
    }

    /// Whether the first held byte is still here, and still held: what fills a segment waits for a
    /// window, or for the device, and not for a rule of this side.
    pub(crate) fn goes_on(&self, facts: &Facts) -> bool {
        self.is_here(facts) && !fills_a_segment(facts)
    }

    fn is_here(&self, facts: &Facts) -> bool {
        !is_after(facts.snd_nxt, self.first_seq) && facts.unsent_bytes() > 0
    }

    /// Something has happened while the hold goes on.
    pub(crate) fn see(&mut self, at_ns: u64, kind: &Kind, facts: &Facts) {
        match kind {
            Kind::Write { result, .. } if *result > 0 => {
                self.last_write_ns = at_ns;
                self.left_ns = facts.left_ns;
            }
            // It is processed after this event, and frees what is held.
            Kind::Segment { ack_seq, .. } if acknowledges_small_segment(*ack_seq, facts) => {
                self.freeing_ack_ns.get_or_insert(at_ns);
            }
            Kind::Sample { .. } => self.samples += 1,
            _ => {}
        }
        // A cork may come to what Nagle's rule holds; who frees it decides.
        match (self.by, held_by(facts)) {
            (HeldBy::Device, Some(by)) => self.by = by,
            // The cork has come off, most likely right after the last write, and a small segment in flight
            // keeps back what it had gathered.
            (HeldBy::Cork, Some(HeldBy::Nagle)) if self.corked => {
                self.by = HeldBy::Nagle;
                self.nagle_since_ns = self.last_write_ns;
                self.corked = false;
                self.bytes = facts.unsent_bytes();
            }
            _ => {}
        }
    }

    /// The hold has ended before or with this event; `previous_ns` is when the one before it was.
    pub(crate) fn end(&self, at_ns: u64, previous_ns: u64, kind: &Kind, facts: &Facts) -> Ended {
        if let Kind::Sample { .. } = kind {
            return self.end_by_sample(at_ns, previous_ns, kind, facts);
        }
        // The program had more to say, and now something else keeps it.
        if self.is_here(facts) && fills_a_segment(facts) {
            return Ended::gathered(at_ns);
        }
        let departed_ns = facts
            .departed_ns
            .filter(|ns| (self.since_ns..=at_ns).contains(ns));
        // What was lost on its way was waited for, and `departed_ns` may be that of a segment sent again.
        if facts.total_retrans != self.total_retrans {
            return Ended::unseen(departed_ns.unwrap_or(at_ns));
        }
        let freeing_ack_ns = self.freeing_ack_ns.filter(|_| self.by == HeldBy::Nagle);
        if let Some(ack_ns) = freeing_ack_ns {
            // Where something else has departed since, the ACK's time is the nearest that is known.
            let freed = ack_ns..ack_ns.saturating_add(FREED_BY_ACK_NS);
            let ended_ns = departed_ns.filter(|ns| freed.contains(ns));
            let ended_ns = ended_ns.unwrap_or(ack_ns);
            return self.ended(ended_ns, self.ended_by_ack(ack_ns, facts));
        }
        let Some(departed_ns) = departed_ns else {
            return self.ended(at_ns, self.ended_otherwise(at_ns, kind, facts));
        };
        let by_write = matches!(kind, Kind::Write { .. }) && departed_ns > previous_ns;
        match (by_write, self.by) {
            // It departed together with what was written next, unless an ACK came that was not seen.
            (true, HeldBy::Nagle) if self.was_acknowledged(facts) => Ended::unseen(departed_ns),
            (true, _) => Ended::gathered(departed_ns),
            (false, HeldBy::Nagle) => self.ended_without_ack(departed_ns, kind, facts),
            (false, _) => self.ended(departed_ns, self.ended_otherwise(departed_ns, kind, facts)),
        }
    }

    fn ended(&self, at_ns: u64, ended_by: EndedBy) -> Ended {
        Ended {
            at_ns,
            loss: self.loss(at_ns, ended_by),
            rest: Limit::Program,
            error_ns: 0,
        }
    }

    /// Nagle's rule has ended, and no ACK is known that ended it: an option, the close, or the kernel's
    /// probe (TLP), which is sent in spite of the rule when an ACK takes too long. If nothing was lost, the
    /// first thing that comes after the probe acknowledges what was before it.
    fn ended_without_ack(&self, departed_ns: u64, kind: &Kind, facts: &Facts) -> Ended {
        let ended_by = self.ended_otherwise(departed_ns, kind, facts);
        if ended_by != EndedBy::Unknown {
            return self.ended(departed_ns, ended_by);
        }
        match kind {
            Kind::Segment { ack_seq, .. } if !is_after(self.first_seq, *ack_seq) => {
                self.ended(departed_ns, EndedBy::Probe)
            }
            _ => Ended::unseen(departed_ns),
        }
    }

    /// Whether all that was in flight at the beginning is acknowledged.
    fn was_acknowledged(&self, facts: &Facts) -> bool {
        self.bytes_before > 0 && !is_after(self.first_seq, facts.snd_una)
    }

    /// Until when it may have gone on, where nothing was seen since: the kernel's own timers send what is held,
    /// and no event tells that.
    pub(crate) fn may_last_until(&self, facts: &Facts) -> u64 {
        let round_trips_ns = 2000 * u64::from(facts.srtt_us);
        match self.by {
            HeldBy::Nagle => self
                .nagle_since_ns
                .saturating_add(round_trips_ns)
                .saturating_add(PROBE_NS),
            HeldBy::Cork => self.last_write_ns.saturating_add(CEILING_NS.end),
            HeldBy::Device => self.since_ns.saturating_add(DEVICE_NS),
        }
    }

    /// Whether events that are missing hid what ended it: what departed since is no evidence then.
    pub(crate) fn is_end_missed(&self, facts: &Facts) -> bool {
        let is_by_option = facts.nodelay != self.nodelay || facts.corked != self.corked;
        self.by == HeldBy::Nagle && self.freeing_ack_ns.is_none() && !is_by_option
    }

    /// The trace ends while the hold goes on; after the ACK that frees it, something else keeps it.
    pub(crate) fn cut(&self, at_ns: u64) -> Ended {
        let freeing_ack_ns = self.freeing_ack_ns.filter(|_| self.by == HeldBy::Nagle);
        let loss = self.loss(freeing_ack_ns.unwrap_or(at_ns), EndedBy::Unknown);
        Ended {
            at_ns,
            loss,
            rest: loss.map_or(self.by.limit(), |_| Limit::Unseen),
            error_ns: self.error_ns,
        }
    }

    fn end_by_sample(&self, at_ns: u64, previous_ns: u64, kind: &Kind, facts: &Facts) -> Ended {
        let half_ns = at_ns.saturating_sub(previous_ns) / 2;
        let ended_ns = at_ns - half_ns;
        let option = facts.nodelay != self.nodelay || facts.corked != self.corked;
        let ended_by = if option {
            EndedBy::Option
        } else if self.by == HeldBy::Nagle {
            self.ended_by_ack(ended_ns, facts)
        } else {
            self.ended_otherwise(ended_ns, kind, facts)
        };
        // Seen by one sample only it may have been a write on its way through the kernel.
        let loss = self.loss(ended_ns, ended_by).filter(|_| self.samples > 0);
        let was_resent = facts.total_retrans != self.total_retrans;
        Ended {
            at_ns: ended_ns,
            loss: loss.filter(|_| !was_resent),
            rest: if was_resent {
                Limit::Unseen
            } else {
                Limit::Program
            },
            error_ns: self.error_ns.saturating_add(half_ns),
        }
    }

    fn ended_by_ack(&self, ack_ns: u64, facts: &Facts) -> EndedBy {
        let took_ns = ack_ns.saturating_sub(self.before_departed_ns);
        let least_ns = u64::from(facts.min_rtt_us) * 1000;
        let is_delayed = took_ns >= least_ns + DELAYED_ACK_NS && took_ns > least_ns + least_ns / 2;
        if is_delayed {
            EndedBy::DelayedAck
        } else {
            EndedBy::RoundTrip
        }
    }

    fn ended_otherwise(&self, ended_ns: u64, kind: &Kind, facts: &Facts) -> EndedBy {
        let lasted_ns = ended_ns.saturating_sub(self.last_write_ns);
        if (facts.nodelay && !self.nodelay) || (self.corked && !facts.corked) {
            EndedBy::Option
        } else if matches!(kind, Kind::Shut) {
            EndedBy::Close
        } else if self.by == HeldBy::Cork && CEILING_NS.contains(&lasted_ns) {
            EndedBy::Ceiling
        } else if matches!(kind, Kind::Close) {
            EndedBy::Close
        } else {
            EndedBy::Unknown
        }
    }

    fn loss(&self, ended_ns: u64, ended_by: EndedBy) -> Option<Loss> {
        let (cause, ns) = match self.by {
            HeldBy::Nagle => (Cause::Nagle, ended_ns.saturating_sub(self.nagle_since_ns)),
            // A corked message is complete with its last write; before that nothing is lost.
            HeldBy::Cork => {
                let ns = ended_ns.saturating_sub(self.last_write_ns);
                (Cause::Cork, Some(ns).filter(|ns| *ns >= CORK_STALL_NS)?)
            }
            HeldBy::Device => return None,
        };
        Some(Loss {
            cause,
            ns,
            ended_by,
        })
    }
}
