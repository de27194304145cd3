//! Stalls of one socket with one cause and one pattern, counted.

use std::collections::BTreeMap;

use crate::report::{Cause, EndedBy, Ending, Stall};

/// How many lengths are kept for the median; beyond that, of every second, fourth, … one.
const LENGTHS: usize = 256;

/// Calls of a pattern that are told one by one.
pub(crate) const PATTERN_WRITES: usize = 4;

/// The writes of a message up to the one that was held: what makes two stalls the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PatternKey {
    pub(crate) cause: Cause,
    /// How many writes it has, at most one more than are told.
    pub(crate) writes: usize,
}

/// Counted stalls.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    pub(crate) total_ns: u64,
    max_ns: u64,
    error_ns: u64,
    lengths: Lengths,
    endings: BTreeMap<EndedBy, u64>,
    /// Least and most bytes of each write.
    sizes: Vec<(u32, u32)>,
    /// How often the program then waited for the peer.
    pub(crate) then_reads: u64,
    pub(crate) segments_wasted: u64,
    pub(crate) stack: Vec<u64>,
    /// Samples don't see writes: what was held behind what.
    held_behind: Option<(u32, u32)>,
    /// Bytes of the holds.
    held_bytes: Lengths,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            count: 0,
            total_ns: 0,
            max_ns: 0,
            error_ns: 0,
            lengths: Lengths::default(),
            endings: BTreeMap::new(),
            sizes: Vec::new(),
            then_reads: 0,
            segments_wasted: 0,
            stack: Vec::new(),
            held_behind: None,
            held_bytes: Lengths::default(),
        }
    }

    /// One stall more.
    pub(crate) fn add(&mut self, ns: u64, error_ns: u64, ended_by: Option<EndedBy>) {
        self.count += 1;
        self.total_ns = self.total_ns.saturating_add(ns);
        self.max_ns = self.max_ns.max(ns);
        // Errors of samples are independent of each other: their squares add up.
        self.error_ns = self.error_ns.saturating_add(error_ns);
        self.lengths.push(ns);
        if let Some(ended_by) = ended_by {
            *self.endings.entry(ended_by).or_default() += 1;
        }
    }

    /// Whether the program itself has ended each of them, as far as that was seen: samples miss a cork that
    /// has come off and gone on again.
    pub(crate) fn ended_by_program(&self) -> bool {
        let by_program = [EndedBy::Option, EndedBy::Unknown];
        self.endings.keys().all(|by| by_program.contains(by))
    }

    /// The writes of the message to which a stall belongs.
    pub(crate) fn add_sizes(&mut self, sizes: &[u32]) {
        for (at, size) in sizes.iter().take(PATTERN_WRITES).enumerate() {
            if let Some((least, most)) = self.sizes.get_mut(at) {
                *least = (*least).min(*size);
                *most = (*most).max(*size);
            } else {
                self.sizes.push((*size, *size));
            }
        }
    }

    /// How many bytes were held.
    pub(crate) fn add_held(&mut self, bytes: u32) {
        self.held_bytes.push(u64::from(bytes));
    }

    pub(crate) fn hold_behind(&mut self, held_bytes: u32, bytes_before: u32) {
        self.held_behind.get_or_insert((held_bytes, bytes_before));
    }

    /// What the report says of it. `frames` are those of [`Tally::stack`] in words.
    pub(crate) fn stall(&self, key: &PatternKey, share: f64, frames: Vec<String>) -> Stall {
        let p50_ns = self.lengths.median();
        let mut ended_by: Vec<Ending> = self
            .endings
            .iter()
            .map(|(by, count)| Ending {
                by: *by,
                count: *count,
            })
            .collect();
        ended_by.sort_by_key(|ending| std::cmp::Reverse(ending.count));
        Stall {
            cause: key.cause,
            count: self.count,
            held_ms_total: millis(self.total_ns),
            held_ms_p50: millis(p50_ns),
            held_ms_max: millis(self.max_ns),
            held_ms_error: millis(self.error_of_total_ns()),
            pattern: self.pattern(key, p50_ns),
            ended_by,
            segments_wasted: self.segments_wasted,
            share,
            held_bytes: self.held_bytes.median(),
            stack: frames,
        }
    }

    /// How far the total may be off. Each hold may be off by half a gap between samples at either
    /// end; the errors of many are as often too long as too short, so that they grow with the root of
    /// their number (twice the standard deviation of even ones is told).
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive time, to a few digits"
    )]
    fn error_of_total_ns(&self) -> u64 {
        if self.count == 0 {
            return 0;
        }
        let count = self.count as f64;
        let of_one_ns = self.error_ns as f64 / count;
        (of_one_ns * count.sqrt() * 2.0 / 3.0_f64.sqrt()) as u64
    }

    fn pattern(&self, key: &PatternKey, p50_ns: u64) -> String {
        let wait = length(p50_ns);
        if let Some((held_bytes, bytes_before)) = self.held_behind {
            return format!("{held_bytes} bytes wait {wait} behind {bytes_before} in flight");
        }
        let mut calls: Vec<String> = self.sizes.iter().map(|sizes| write(*sizes)).collect();
        if key.writes > PATTERN_WRITES {
            calls.push("…".to_owned());
        }
        match key.cause {
            Cause::LocalDelayedAck => return format!("data, then data {wait} later with our ACK"),
            Cause::PacketWaste => {}
            Cause::StopAndWait => calls.push(format!("read waits {wait}")),
            Cause::Nagle | Cause::Cork if self.then_reads * 2 > self.count => {
                calls.push(format!("read waits {wait}"));
            }
            Cause::Nagle | Cause::Cork => calls.push(format!("held {wait}")),
        }
        calls.join(", ")
    }
}

fn write((least, most): (u32, u32)) -> String {
    if least == most {
        format!("write {least}")
    } else {
        format!("write {least}–{most}")
    }
}

/// A length of time for people: three digits are enough.
fn length(ns: u64) -> String {
    let ms = millis(ns);
    if ms >= 10.0 {
        format!("{ms:.0} ms")
    } else if ms >= 0.1 {
        format!("{ms:.1} ms")
    } else {
        format!("{ms:.2} ms")
    }
}

/// Milliseconds, for the report.
#[expect(
    clippy::cast_precision_loss,
    reason = "52 bits of nanoseconds are 52 days"
)]
pub(crate) fn millis(ns: u64) -> f64 {
    ns as f64 / 1e6
}

/// A part of a whole, of which nothing is nothing.
#[expect(clippy::cast_precision_loss, reason = "a share, roughly")]
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        whole => (part as f64 / whole as f64).min(1.0),
    }
}

/// Lengths of which a median can be told, in bounded room.
#[derive(Debug, Clone)]
struct Lengths {
    kept: Vec<u64>,
    /// Of how many one is kept.
    stride: u64,
    seen: u64,
}

impl Default for Lengths {
    fn default() -> Self {
        Self {
            kept: Vec::new(),
            stride: 1,
            seen: 0,
        }
    }
}

impl Lengths {
    fn push(&mut self, ns: u64) {
        if self.seen.is_multiple_of(self.stride) {
            if self.kept.len() == LENGTHS {
                let mut at = 0_usize;
                self.kept.retain(|_| {
                    at += 1;
                    at % 2 == 1
                });
                self.stride *= 2;
            }
            self.kept.push(ns);
        }
        self.seen += 1;
    }

    fn median(&self) -> u64 {
        let mut sorted = self.kept.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_in_bounded_room() {
        let mut lengths = Lengths::default();
        assert_eq!(lengths.median(), 0);
        for ns in 0..100_000 {
            lengths.push(ns);
        }
        assert!(lengths.kept.len() <= LENGTHS);
        assert!((48_000..52_000).contains(&lengths.median()));
    }

    #[test]
    fn a_pattern_in_words() {
        let mut tally = Tally::new();
        for size in [351, 180, 2345] {
            tally.add(43_000_000, 0, Some(EndedBy::DelayedAck));
            tally.add_sizes(&[size, 2]);
            tally.then_reads += 1;
        }
        let key = PatternKey {
            cause: Cause::Nagle,
            writes: 2,
        };
        let stall = tally.stall(&key, 0.0, Vec::new());
        assert_eq!(stall.pattern, "write 180–2345, write 2, read waits 43 ms");
        assert_eq!((stall.count, stall.held_ms_total), (3, 129.0));
        assert_eq!(stall.ended_by[0].count, 3);
    }
}
