//! How many connections to use: as many as the server gains by, which only measuring tells.
//!
//! Storage that takes one mail at a time per user gains nothing by a second connection; a server
//! far away gains by each. So one more is tried, kept where the rate rises, and given back where
//! it does not.

use std::time::{Duration, Instant};

/// The least time that a rate is measured over: a transaction of a hundred mails takes a good
/// part of it on a slow disk.
const SPAN: Duration = Duration::from_secs(2);

/// The most time: a server this slow is known by the mails that it took.
const SPAN_MAX: Duration = Duration::from_secs(30);

/// So many mails make a span of [`SPAN`] long enough: two large batches.
const SPAN_MAILS: u64 = 200;

/// What is not measured after a change: TLS, login and the first batches of a new connection.
const SETTLING: Duration = Duration::from_secs(1);

/// How long a number stays that another was worse than, or that the server asked for.
const REST: Duration = Duration::from_secs(5 * 60);

/// One more connection has to raise the rate by a tenth: less is within what rates vary by.
const GAIN_MIN: f64 = 1.10;

/// What a mail costs a server beside its bytes, in bytes, about. With it a run of small mails
/// and one of large mails measure the same.
const MAIL_COST_BYTES: u64 = 8 * 1024;

/// Decides how many connections there are.
#[derive(Debug)]
pub(crate) struct Tuner {
    max: u32,
    connections: u32,
    /// The rate that one connection less had, while one more is on trial.
    rate_before: Option<f64>,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Starts at the next sample.
    Changed,
    Settling {
        until: Instant,
    },
    Measuring {
        since: Instant,
        stored: u64,
        work: u64,
    },
    /// The same, for a good while.
    Resting {
        until: Option<Instant>,
    },
}

impl Tuner {
    /// Begins with one connection; `max` is at least one.
    pub(crate) fn new(max: u32) -> Self {
        Self {
            max: max.max(1),
            connections: 1,
            rate_before: None,
            phase: Phase::Changed,
        }
    }

    /// As many from the beginning as the user says; fewer only where the server wants it.
    pub(crate) fn fixed(connections: u32) -> Self {
        let mut tuner = Self::new(connections);
        tuner.rest_with(tuner.max);
        tuner
    }

    /// How many connections there should be.
    pub(crate) fn connections(&self) -> u32 {
        self.connections
    }

    /// Takes what has been stored since the beginning, by all connections; best several times a
    /// second. The new number where it changes.
    pub(crate) fn sample(&mut self, now: Instant, stored: u64, bytes: u64) -> Option<u32> {
        let work = stored.saturating_mul(MAIL_COST_BYTES).saturating_add(bytes);
        match self.phase {
            Phase::Changed => {
                self.phase = Phase::Settling {
                    until: now + SETTLING,
                };
            }
            Phase::Resting { until: None } => {
                self.phase = Phase::Resting {
                    until: Some(now + REST),
                };
            }
            Phase::Settling { until } | Phase::Resting { until: Some(until) } => {
                if now >= until {
                    self.phase = Phase::Measuring {
                        since: now,
                        stored,
                        work,
                    };
                }
            }
            Phase::Measuring {
                since,
                stored: stored_before,
                work: work_before,
            } => {
                let span = now.saturating_duration_since(since);
                let mails = stored.saturating_sub(stored_before);
                if mails == 0 && self.rate_before.is_none() {
                    // Nothing comes yet: the folder is still being compared, or a limit of the
                    // user's own holds the mail back. That says nothing about the server.
                    self.phase = Phase::Measuring {
                        since: now,
                        stored,
                        work,
                    };
                } else if span >= SPAN_MAX || (span >= SPAN && mails >= SPAN_MAILS) {
                    let work = work.saturating_sub(work_before);
                    return self.measured(rate(work, span));
                }
            }
        }
        None
    }

    /// Draws the conclusion from a rate.
    fn measured(&mut self, rate: f64) -> Option<u32> {
        let gains = self
            .rate_before
            .is_none_or(|before| rate >= before * GAIN_MIN);
        if !gains {
            self.rest_with(self.connections - 1)
        } else if self.connections < self.max {
            self.rate_before = Some(rate);
            self.phase = Phase::Changed;
            self.connections += 1;
            Some(self.connections)
        } else {
            self.rest_with(self.connections)
        }
    }

    /// The server refused a connection: from now on there are fewer. The new number.
    pub(crate) fn too_many(&mut self) -> u32 {
        self.max = (self.connections - 1).max(1);
        self.rest_with(self.max);
        self.connections
    }

    /// The server asked for less: half as many, for a good while. The new number.
    pub(crate) fn wait(&mut self) -> u32 {
        self.rest_with((self.connections / 2).max(1));
        self.connections
    }

    /// Stays with a number; says it where it is new.
    fn rest_with(&mut self, connections: u32) -> Option<u32> {
        let changes = connections != self.connections;
        self.connections = connections;
        self.rate_before = None;
        self.phase = Phase::Resting { until: None };
        changes.then_some(connections)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "rates are compared by tenths, and no import has 2^53 bytes"
)]
fn rate(work: u64, span: Duration) -> f64 {
    work as f64 / span.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An import to a server that takes `rate(connections)` mails a second, in batches.
    struct Import<F> {
        tuner: Tuner,
        rate: F,
        now: Instant,
        taken: f64,
        batch: f64,
        /// How many connections there were, one entry a change.
        history: Vec<u32>,
    }

    impl<F: Fn(u32) -> f64> Import<F> {
        fn new(max: u32, batch: f64, rate: F) -> Self {
            Self {
                tuner: Tuner::new(max),
                rate,
                now: Instant::now(),
                taken: 0.0,
                batch,
                history: vec![1],
            }
        }

        /// Goes on for so long; which share of it had `connections`.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a model of a server counts in fractions"
        )]
        fn run(&mut self, seconds: u32, connections: u32) -> f64 {
            let mut samples_with = 0;
            for _ in 0..seconds * 4 {
                self.now += Duration::from_millis(250);
                self.taken += (self.rate)(self.tuner.connections()) / 4.0;
                let stored = ((self.taken / self.batch).floor() * self.batch) as u64;
                if let Some(changed) = self.tuner.sample(self.now, stored, stored * 7000) {
                    assert_eq!(changed, self.tuner.connections());
                    self.history.push(changed);
                }
                samples_with += u32::from(self.tuner.connections() == connections);
            }
            f64::from(samples_with) / f64::from(seconds * 4)
        }
    }

    #[track_caller]
    fn check(max: u32, batch: f64, rate: impl Fn(u32) -> f64, history: &[u32]) {
        let mut import = Import::new(max, batch, rate);
        let best = *history.last().unwrap();
        // 150 seconds are enough for four spans of the longest kind and what is between.
        import.run(150, best);
        assert_eq!(import.history, history);
        let share = import.run(3600, best);
        assert!(share > 0.85, "{share} of the time with {best} connections");
    }

    #[test]
    fn as_many_as_the_server_gains_by() {
        let up_to = |most: u32, rate: f64| move |n: u32| f64::from(n.min(most)) * rate;
        // Gains by three.
        check(8, 100.0, up_to(3, 3000.0), &[1, 2, 3, 4, 3]);
        // Gains by none.
        check(8, 100.0, up_to(1, 28_000.0), &[1, 2, 1]);
        // Gets worse.
        check(8, 1.0, |n| 400.0 / f64::from(n), &[1, 2, 1]);
        // A round trip a mail and connection: each gains.
        check(4, 1.0, up_to(99, 20.0), &[1, 2, 3, 4]);
        // A mail a second.
        check(3, 1.0, up_to(99, 1.0), &[1, 2, 3]);
        // The user wants one.
        check(1, 1.0, up_to(99, 20.0), &[1]);
        check(0, 1.0, up_to(99, 20.0), &[1]);
        // What Dovecot did: 28,000 and then 37,500 with four, less with each.
        let dovecot = |n: u32| [28_000.0, 32_500.0, 36_000.0, 37_500.0][n as usize - 1];
        check(4, 100.0, dovecot, &[1, 2, 3, 4, 3]);
    }

    #[test]
    fn a_server_that_changes_is_tried_again() {
        let gains = std::cell::Cell::new(false);
        let rate = |n: u32| {
            if gains.get() {
                f64::from(n) * 500.0
            } else {
                500.0
            }
        };
        let mut import = Import::new(4, 1.0, rate);
        import.run(60, 1);
        assert_eq!(import.history, [1, 2, 1]);
        gains.set(true);
        import.run(240, 1);
        assert_eq!(import.history, [1, 2, 1], "it rests");
        import.run(60, 4);
        assert_eq!(import.history, [1, 2, 1, 2, 3, 4]);
    }

    #[test]
    fn before_the_first_mail_nothing_is_tried() {
        let stored = std::cell::Cell::new(0.0);
        let mut import = Import::new(4, 1.0, |n| stored.get() * f64::from(n));
        import.run(600, 1);
        assert_eq!(import.history, [1]);
        stored.set(1000.0);
        import.run(10, 4);
        assert_eq!(import.history, [1, 2, 3, 4]);
    }

    #[test]
    fn a_refused_connection_is_not_tried_again() {
        let mut import = Import::new(8, 1.0, |n| f64::from(n) * 500.0);
        import.run(8, 3);
        assert_eq!(import.history, [1, 2, 3]);
        assert_eq!(import.tuner.too_many(), 2);
        assert!(import.run(3600, 2) > 0.999);
        assert_eq!(import.tuner.too_many(), 1);
        assert_eq!(import.tuner.too_many(), 1, "one is needed");
    }

    #[test]
    fn a_throttle_halves_for_a_while() {
        let mut import = Import::new(4, 1.0, |n| f64::from(n) * 500.0);
        import.run(20, 4);
        assert_eq!(import.tuner.wait(), 2);
        assert!(import.run(299, 2) > 0.999);
        import.run(20, 4);
        assert_eq!(import.history, [1, 2, 3, 4, 3, 4]);
        let halves = [
            import.tuner.wait(),
            import.tuner.wait(),
            import.tuner.wait(),
        ];
        assert_eq!(halves, [2, 1, 1]);
    }

    #[test]
    fn small_and_large_mails_measure_the_same() {
        // A server that takes 80 MB a second and needs 0.1 ms for a mail: 500 bytes each, and
        // then 20 KiB each with the second connection, which gains nothing.
        let mut tuner = Tuner::new(2);
        let start = Instant::now();
        let (mut stored, mut bytes) = (0, 0);
        let mut changes = Vec::new();
        for tick in 0..60_u32 {
            let (mails, len) = match tuner.connections() {
                1 => (2410, 500),
                _ => (730, 20 * 1024),
            };
            stored += mails;
            bytes += mails * len;
            changes.extend(tuner.sample(start + tick * SPAN / 8, stored, bytes));
        }
        assert_eq!(changes, [2, 1]);
    }

    proptest! {
        /// Whatever is measured and refused, there are between one and the most, and never two
        /// more at once.
        #[test]
        fn always_within_bounds(
            max in 0_u32..20,
            events in prop::collection::vec((0_u8..20, 0_u64..40_000, any::<u64>()), 0..200),
        ) {
            let mut tuner = Tuner::new(max);
            let mut now = Instant::now();
            for (event, ms, stored) in events {
                let before = tuner.connections();
                now += Duration::from_millis(ms);
                match event {
                    0 => prop_assert!(tuner.too_many() <= before),
                    1 => prop_assert!(tuner.wait() <= before),
                    _ => {
                        let changed = tuner.sample(now, stored, stored);
                        prop_assert_eq!(changed.is_some(), tuner.connections() != before);
                    }
                }
                prop_assert!(tuner.connections() <= before + 1);
                prop_assert!((1..=max.max(1)).contains(&tuner.connections()));
            }
        }
    }
}
