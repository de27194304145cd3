//! When a socket is looked at next.

use crate::event::Facts;
use crate::hold::held_by;

/// How long a socket stays alert: since it was met, and since the same bytes were found held twice.
const NEW_NS: u64 = 100_000_000;
const ALERT_NS: u64 = 500_000_000;

/// An alert socket is looked at in each round. A calm one, on which nothing is held, loses no time, and must
/// not lose any by being looked at: it rests. What a look finds held makes the next round look again.
#[derive(Debug)]
pub(super) struct Turn {
    alert_until_ns: u64,
    due_ns: u64,
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    NothingHeld,
    /// A good server holds the beginning of an answer for microseconds.
    Held,
    /// The same bytes as the look before.
    StillHeld,
}

impl Found {
    pub(super) fn of(before: &Facts, now: &Facts) -> Self {
        if held_by(now).is_none() {
            Self::NothingHeld
        } else if held_by(before).is_some() && before.snd_nxt == now.snd_nxt {
            Self::StillHeld
        } else {
            Self::Held
        }
    }
}

impl Turn {
    pub(super) fn new(now_ns: u64) -> Self {
        Self {
            alert_until_ns: now_ns + NEW_NS,
            due_ns: 0,
        }
    }

    pub(super) fn is_alert(&self, now_ns: u64) -> bool {
        now_ns < self.alert_until_ns
    }

    pub(super) fn is_due(&self, now_ns: u64) -> bool {
        self.is_alert(now_ns) || now_ns >= self.due_ns
    }

    /// It was looked at. `rest_ns` is for how long it rests if it is calm.
    pub(super) fn took(&mut self, now_ns: u64, found: Found, rest_ns: u64) {
        self.due_ns = match found {
            Found::NothingHeld => now_ns + rest_ns,
            Found::Held | Found::StillHeld => now_ns,
        };
        if found == Found::StillHeld {
            self.alert_until_ns = now_ns + ALERT_NS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST_NS: u64 = 32_000_000;

    #[test]
    fn who_holds_nothing_rests() {
        let mut turn = Turn::new(7);
        turn.took(7, Found::NothingHeld, REST_NS);
        assert!(turn.is_due(8), "it is new");
        let calm_ns = 7 + NEW_NS;
        turn.took(calm_ns, Found::NothingHeld, REST_NS);
        assert!(!turn.is_due(calm_ns + REST_NS - 1) && turn.is_due(calm_ns + REST_NS));
    }

    #[test]
    fn what_is_held_is_looked_at_again() {
        let mut turn = Turn::new(0);
        let calm_ns = NEW_NS;
        turn.took(calm_ns, Found::Held, REST_NS);
        assert!(turn.is_due(calm_ns) && !turn.is_alert(calm_ns));
        // It was a server's that was about to send more.
        turn.took(calm_ns + 1, Found::NothingHeld, REST_NS);
        assert!(!turn.is_due(calm_ns + 2));
        turn.took(calm_ns + 2, Found::StillHeld, REST_NS);
        turn.took(calm_ns + 3, Found::NothingHeld, REST_NS);
        assert!(turn.is_due(calm_ns + 4), "the next hold is near");
    }

    #[test]
    fn the_same_bytes_are_known_by_where_they_begin() {
        let nothing = Facts {
            mss: 1000,
            cwnd: 10,
            snd_wnd: 100_000,
            ..Facts::default()
        };
        let held = |snd_nxt| Facts {
            corked: true,
            snd_nxt,
            write_seq: snd_nxt + 5,
            snd_una: snd_nxt,
            ..nothing
        };
        assert_eq!(Found::of(&held(1), &nothing), Found::NothingHeld);
        assert_eq!(Found::of(&nothing, &held(1)), Found::Held);
        assert_eq!(Found::of(&held(1), &held(6)), Found::Held);
        assert_eq!(Found::of(&held(6), &held(6)), Found::StillHeld);
    }
}
