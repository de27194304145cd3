//! A message: what a program writes without waiting for the peer in between, and what it costs.

use crate::event::{Facts, Kind};
use crate::tally::PATTERN_WRITES;

/// Writes that are further apart than this are messages of their own: nobody could have gathered them
/// without making the first wait.
const GAP_NS: u64 = 1_000_000;

/// Above this a message isn't small: its time is its bytes', not the round trip's.
const SMALL_BYTES: u64 = 16 * 1024;

/// A message that may go on.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// Sizes of the first writes.
    pub(crate) sizes: Vec<u32>,
    /// How many writes it has.
    pub(crate) writes: u32,
    pub(crate) bytes: u64,
    /// When its last byte was written, or departed, if that was later.
    pub(crate) done_ns: u64,
    last_write_ns: u64,
    /// First transmissions before it.
    segments_before: u32,
    /// A part of it was held: the segments beyond the least have that cause.
    pub(crate) was_held: bool,
    /// When the answer came.
    answered_ns: Option<u64>,
}

/// Segments that a message has taken, and the least that would have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segments {
    pub(crate) sent: u32,
    pub(crate) least: u32,
}

/// A message that waited for its answer before the next one was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cycle {
    pub(crate) waited_ns: u64,
    /// The way there and back, which is what pipelining would save.
    pub(crate) round_trip_ns: u64,
}

/// Data segments that have left for the first time.
pub(crate) fn first_transmissions(facts: &Facts) -> u32 {
    facts.data_segs_out.wrapping_sub(facts.total_retrans)
}

impl Message {
    /// A message that begins with a write; `segments_before` have left before it.
    pub(crate) fn begin(at_ns: u64, bytes: u32, segments_before: u32) -> Self {
        let mut message = Self {
            sizes: Vec::new(),
            writes: 0,
            bytes: 0,
            done_ns: at_ns,
            last_write_ns: at_ns,
            segments_before,
            was_held: false,
            answered_ns: None,
        };
        message.write(at_ns, bytes);
        message
    }

    /// Whether a write at this time belongs to it.
    pub(crate) fn takes(&self, at_ns: u64, is_held: bool) -> bool {
        let is_near = at_ns.saturating_sub(self.last_write_ns) < GAP_NS;
        self.answered_ns.is_none() && (is_near || is_held)
    }

    pub(crate) fn write(&mut self, at_ns: u64, bytes: u32) {
        if self.sizes.len() < PATTERN_WRITES {
            self.sizes.push(bytes);
        }
        self.writes = self.writes.saturating_add(1);
        self.bytes += u64::from(bytes);
        self.last_write_ns = at_ns;
        self.done_ns = self.done_ns.max(at_ns);
    }

    /// Data came in after it.
    pub(crate) fn answer(&mut self, at_ns: u64, kind: &Kind) {
        if matches!(kind, Kind::Segment { bytes, .. } if *bytes > 0) {
            self.answered_ns.get_or_insert(at_ns);
        }
    }

    /// What it has cost in segments, where all of it had left by then.
    pub(crate) fn segments(&self, settled: u32, mss: u32) -> Option<Segments> {
        if mss == 0 {
            return None;
        }
        let sent = settled.wrapping_sub(self.segments_before);
        let least = u32::try_from(self.bytes.div_ceil(u64::from(mss))).ok()?;
        // More than a few million is a count that began elsewhere.
        (sent < u32::MAX / 2).then_some(Segments { sent, least })
    }

    /// The round trip that it was, where it was small and answered, and the program went on soon.
    pub(crate) fn cycle(&self, next_write_ns: u64, min_rtt_us: u32) -> Option<Cycle> {
        let answered_ns = self.answered_ns?;
        let waited_ns = answered_ns.saturating_sub(self.done_ns);
        let own_ns = next_write_ns.saturating_sub(answered_ns);
        if self.bytes > SMALL_BYTES || own_ns > waited_ns.max(GAP_NS) {
            return None;
        }
        let round_trip_ns = (u64::from(min_rtt_us) * 1000).min(waited_ns);
        Some(Cycle {
            waited_ns,
            round_trip_ns,
        })
    }
}
