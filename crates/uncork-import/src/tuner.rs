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
const SETTLING: Duration = Duration::from_secs(2);

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
                if span >= SPAN_MAX || (span >= SPAN && mails >= SPAN_MAILS) {
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
        } else if self.connections < self.max && rate > 0.0 {
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
