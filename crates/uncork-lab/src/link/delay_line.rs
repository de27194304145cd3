//! One direction of a link as a state machine: bytes in with the instant they came, bytes
//! out when they are due. It owns no socket and reads no clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How finely bytes are cut where the bandwidth is limited: the payload of one Ethernet
/// frame, since that is what a real link hands over at a time. Without the cut, the first
/// byte of a large read would wait for the last one to be serialised.
pub(super) const FRAME_BYTES: usize = 1448;

/// What a direction of a link is like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) one_way_delay: Duration,
    /// `None` is a link that serialises in no time.
    pub(super) bytes_per_second: Option<u64>,
    pub(super) queue_bytes: usize,
}

/// How a direction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The sender has sent its FIN and may still receive.
    Fin,
    /// The connection is gone in both directions.
    Reset,
}

/// What leaves the line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Departure {
    Bytes(Vec<u8>),
    End(End),
}

/// The line itself.
#[derive(Debug)]
pub(super) struct DelayLine {
    shape: Shape,
    /// Dues never decrease from front to back, so only the front needs looking at.
    parcels: VecDeque<(Instant, Departure)>,
    /// The sum of the bytes in `parcels`.
    queued_bytes: usize,
    /// When the wire has sent all that was entered before; never goes back.
    wire_free_at: Option<Instant>,
    ended: Option<End>,
}

impl DelayLine {
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            shape,
            parcels: VecDeque::new(),
            queued_bytes: 0,
            wire_free_at: None,
            ended: None,
        }
    }

    /// How many bytes may be entered now. The caller reads no more than that from its socket,
    /// and so leaves the back-pressure to TCP.
    pub(super) fn room_bytes(&self) -> usize {
        self.shape.queue_bytes.saturating_sub(self.queued_bytes)
    }

    /// Whether the line holds nothing that is still to leave.
    pub(super) fn is_empty(&self) -> bool {
        self.parcels.is_empty()
    }

    /// Takes in bytes that came at `now`. Bytes behind an end are dropped: no socket can
    /// have sent them.
    pub(super) fn enter(&mut self, now: Instant, bytes: &[u8]) {
        if self.ended.is_some() {
            return;
        }
        debug_assert!(
            bytes.len() <= self.room_bytes(),
            "the caller read past the room"
        );
        let piece = match self.shape.bytes_per_second {
            Some(_) => FRAME_BYTES,
            None => usize::MAX,
        };
        for frame in bytes.chunks(piece) {
            let due = self.due(now, frame.len());
            self.queued_bytes += frame.len();
            self.parcels
                .push_back((due, Departure::Bytes(frame.to_vec())));
        }
    }

    /// Takes in the end of the direction, which leaves behind all bytes. A reset may follow a
    /// FIN; nothing follows a reset.
    pub(super) fn end(&mut self, now: Instant, end: End) {
        if self.ended == Some(End::Reset) || self.ended == Some(end) {
            return;
        }
        self.ended = Some(end);
        let due = self.due(now, 0);
        self.parcels.push_back((due, Departure::End(end)));
    }

    /// When the next parcel leaves.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.parcels.front().map(|(due, _)| *due)
    }

    /// Takes out the next parcel if it is due at `now`.
    pub(super) fn leave(&mut self, now: Instant) -> Option<Departure> {
        if self.next_due()? > now {
            return None;
        }
        let (_, departure) = self.parcels.pop_front()?;
        if let Departure::Bytes(bytes) = &departure {
            self.queued_bytes -= bytes.len();
        }
        Some(departure)
    }

    /// Serialisation first, then the way: the wire sends one frame after the other at the
    /// bandwidth, and each arrives a delay after its last byte was sent.
    fn due(&mut self, now: Instant, bytes: usize) -> Instant {
        let starts = self.wire_free_at.map_or(now, |free| free.max(now));
        let sent = starts + self.serialisation(bytes);
        self.wire_free_at = Some(sent);
        sent + self.shape.one_way_delay
    }

    fn serialisation(&self, bytes: usize) -> Duration {
        let Some(bytes_per_second) = self.shape.bytes_per_second else {
            return Duration::ZERO;
        };
        let ns = bytes as u128 * 1_000_000_000 / u128::from(bytes_per_second.max(1));
        Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn line(bytes_per_second: Option<u64>) -> DelayLine {
        DelayLine::new(Shape {
            one_way_delay: 10 * MS,
            bytes_per_second,
            queue_bytes: 10_000,
        })
    }

    /// Enters `(ms, bytes)` and gives back `(ms in µs, bytes)` of all that leaves.
    fn check(bytes_per_second: Option<u64>, entries: &[(u32, usize)], expected: &[(u128, usize)]) {
        let start = Instant::now();
        let mut line = line(bytes_per_second);
        for (ms, bytes) in entries {
            line.enter(start + *ms * MS, &vec![b'x'; *bytes]);
        }
        let mut left = Vec::new();
        while let Some(due) = line.next_due() {
            assert_eq!(
                line.leave(due - Duration::from_nanos(1)),
                None,
                "nothing is early"
            );
            let Some(Departure::Bytes(bytes)) = line.leave(due) else {
                panic!("bytes are due at {due:?}");
            };
            left.push(((due - start).as_micros(), bytes.len()));
        }
        assert_eq!(left, expected);
        assert_eq!(line.room_bytes(), 10_000);
        assert!(line.is_empty());
    }

    #[test]
    fn bytes_leave_one_delay_later() {
        check(None, &[], &[]);
        check(None, &[(0, 5)], &[(10_000, 5)]);
        check(
            None,
            &[(0, 4000), (0, 2), (3, 1)],
            &[(10_000, 4000), (10_000, 2), (13_000, 1)],
        );
    }

    #[test]
    fn bandwidth_adds_serialisation_frame_by_frame() {
        // A million bytes a second is a microsecond a byte.
        let rate = Some(1_000_000);
        check(rate, &[(0, 1000)], &[(11_000, 1000)]);
        check(
            rate,
            &[(0, 3000)],
            &[(11_448, 1448), (12_896, 1448), (13_000, 104)],
        );
        // The second waits for the wire; the third finds it idle.
        check(
            rate,
            &[(0, 1400), (1, 600), (9, 100)],
            &[(11_400, 1400), (12_000, 600), (19_100, 100)],
        );
    }

    #[test]
    fn room_counts_down_and_comes_back() {
        let start = Instant::now();
        let mut line = line(None);
        line.enter(start, &[0; 9_000]);
        assert_eq!(line.room_bytes(), 1_000);
        line.enter(start + MS, &[0; 1_000]);
        assert_eq!(line.room_bytes(), 0);
        assert!(line.leave(start + 10 * MS).is_some());
        assert_eq!(line.room_bytes(), 9_000);
        assert_eq!(line.leave(start + 10 * MS), None);
    }

    #[test]
    fn ends_leave_in_order_behind_the_bytes() {
        let start = Instant::now();
        for (ends, expected) in [
            (&[End::Fin][..], &[End::Fin][..]),
            (&[End::Fin, End::Fin], &[End::Fin]),
            (&[End::Fin, End::Reset], &[End::Fin, End::Reset]),
            (&[End::Reset, End::Fin], &[End::Reset]),
        ] {
            let mut line = line(Some(1_000_000));
            line.enter(start, b"last words");
            for end in ends {
                line.end(start, *end);
            }
            line.enter(start, b"from the grave");
            let late = start + 20 * MS;
            assert_eq!(
                line.leave(late),
                Some(Departure::Bytes(b"last words".to_vec()))
            );
            for end in expected {
                assert_eq!(line.leave(late), Some(Departure::End(*end)));
            }
            assert_eq!(line.leave(late), None);
        }
    }

    #[test]
    fn an_end_waits_for_the_wire_too() {
        let start = Instant::now();
        let mut line = line(Some(1_000_000));
        line.enter(start, &[0; 1000]);
        line.end(start, End::Fin);
        assert!(line.leave(start + 11 * MS).is_some());
        assert_eq!(
            line.leave(start + 11 * MS),
            Some(Departure::End(End::Fin)),
            "no later than the last byte"
        );
    }
}
