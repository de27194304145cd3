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
    /// Time between two samples of one socket, as it came out: the sum, and of how many.
    pub(super) gaps_ns: AtomicU64,
    pub(super) gaps: AtomicU64,
}

impl Shared {
    /// What the reader of a report has to know. `sockets` is how many are sampled at most.
    pub(super) fn notes(&self, sockets: usize) -> Vec<String> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut notes = Vec::new();
        if let Some(mean_ns) = count(&self.gaps_ns).checked_div(count(&self.gaps)) {
            #[expect(clippy::cast_precision_loss, reason = "for people")]
            let mean_ms = mean_ns as f64 / 1e6;
            notes.push(format!("each socket was sampled every {mean_ms:.1} ms"));
        }
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
        shared.gaps_ns.store(9_000_000, Ordering::Relaxed);
        shared.gaps.store(4, Ordering::Relaxed);
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
}
