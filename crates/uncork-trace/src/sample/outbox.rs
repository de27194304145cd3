//! What the sampling thread hands to the rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};

use crate::event::{Event, Facts, Kind, SocketId};

/// What both threads see.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) is_stopped: AtomicBool,
    /// Samples for which there was no room.
    pub(super) lost: AtomicU64,
    /// Sockets for which there was no room.
    pub(super) left_out: AtomicU64,
    /// Processes for which there was no room.
    pub(super) crowded: AtomicU64,
    /// Processes that may not be looked into.
    pub(super) refused: AtomicU64,
    /// How often there was no descriptor for a look.
    pub(super) no_descriptor: AtomicU64,
    /// Of sockets that are looked at in each round, and of those that rest.
    pub(super) gaps_when_alert: SharedGaps,
    pub(super) gaps_when_calm: SharedGaps,
}

/// Time between two samples of one socket, as it came out: the sum, and of how many.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    ns: u64,
    count: u64,
}

impl Gaps {
    /// A sample now, and when the one before it was: 0 where there was none.
    pub(super) fn add(&mut self, previous_ns: u64, now_ns: u64) {
        if previous_ns > 0 {
            self.ns += now_ns.saturating_sub(previous_ns);
            self.count += 1;
        }
    }
}

/// [`Gaps`] of all rounds.
#[derive(Debug, Default)]
pub(super) struct SharedGaps {
    ns: AtomicU64,
    count: AtomicU64,
}

impl SharedGaps {
    pub(super) fn add(&self, gaps: &Gaps) {
        self.ns.fetch_add(gaps.ns, Ordering::Relaxed);
        self.count.fetch_add(gaps.count, Ordering::Relaxed);
    }

    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn mean_ms(&self) -> Option<f64> {
        let mean_ns = self
            .ns
            .load(Ordering::Relaxed)
            .checked_div(self.count.load(Ordering::Relaxed))?;
        Some(mean_ns as f64 / 1e6)
    }
}

/// How often a socket was looked at, where that is known.
fn pace(alert_ms: Option<f64>, calm_ms: Option<f64>) -> Option<String> {
    let sampled = |ms: f64| format!("each socket was sampled every {ms:.1} ms");
    match (alert_ms, calm_ms) {
        (Some(alert_ms), Some(calm_ms)) if calm_ms > alert_ms * 1.5 => Some(format!(
            "{}, and every {alert_ms:.1} ms where bytes were held, and at its beginning",
            sampled(calm_ms)
        )),
        (alert_ms, calm_ms) => alert_ms.or(calm_ms).map(sampled),
    }
}

impl Shared {
    /// What the reader of a report has to know. `sockets` is how many are sampled at most.
    pub(super) fn notes(&self, sockets: usize) -> Vec<String> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut notes = Vec::new();
        notes.extend(pace(
            self.gaps_when_alert.mean_ms(),
            self.gaps_when_calm.mean_ms(),
        ));
        let mut tell = |number: u64, words: String| {
            if number > 0 {
                notes.push(words);
            }
        };
        let left_out = count(&self.left_out);
        tell(
            left_out,
            format!(
                "{left_out} sockets were not sampled all the time, as {sockets} at once are the most"
            ),
        );
        let crowded = count(&self.crowded);
        tell(
            crowded,
            format!(
                "{crowded} processes were not watched all the time, for want of descriptors (ulimit -n)"
            ),
        );
        let no_descriptor = count(&self.no_descriptor);
        tell(
            no_descriptor,
            format!("{no_descriptor} times there was no descriptor left for a look (ulimit -n)"),
        );
        let refused = count(&self.refused);
        tell(
            refused,
            format!("{refused} processes may not be looked into by this user"),
        );
        notes
    }
}

/// Where the samples go.
#[derive(Debug)]
pub(super) struct Outbox {
    pub(super) events: SyncSender<Event>,
    pub(super) shared: Arc<Shared>,
}

impl Outbox {
    pub(super) fn send(&self, at_ns: u64, socket: SocketId, kind: Kind, facts: Facts) {
        let event = Event {
            at_ns,
            socket,
            kind,
            facts,
            skipped: 0,
        };
        if let Err(TrySendError::Full(_)) = self.events.try_send(event) {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_tell_what_was() {
        let shared = Shared::default();
        assert!(shared.notes(1024).is_empty());
        let mut gaps = Gaps::default();
        gaps.add(0, 5);
        gaps.add(1_000_000, 3_200_000);
        shared.gaps_when_alert.add(&gaps);
        shared.left_out.store(7, Ordering::Relaxed);
        shared.no_descriptor.store(3, Ordering::Relaxed);
        assert_eq!(
            shared.notes(1024),
            [
                "each socket was sampled every 2.2 ms",
                "7 sockets were not sampled all the time, as 1024 at once are the most",
                "3 times there was no descriptor left for a look (ulimit -n)",
            ]
        );
    }

    #[test]
    fn who_rests_is_told() {
        assert_eq!(pace(None, None), None);
        let alike = Some("each socket was sampled every 2.0 ms".to_owned());
        assert_eq!(pace(Some(2.0), Some(2.9)), alike);
        assert_eq!(pace(None, Some(2.0)), alike);
        let told = "each socket was sampled every 32.0 ms, and every 2.0 ms where bytes were held, and \
                    at its beginning";
        assert_eq!(pace(Some(2.0), Some(32.0)).as_deref(), Some(told));
    }
}
