//! How fast the user lets mail go: mails a second, bytes a day.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::options::Options;

/// Decides when the next mails may go, by the limits of [`Options`].
#[derive(Debug)]
pub(crate) struct Pace {
    rate: Option<Rate>,
    day: Option<Day>,
}

impl Pace {
    /// `bytes_today` have gone since midnight (UTC), and the next one comes at `midnight` (see
    /// [`until_midnight`]).
    pub(crate) fn new(
        options: &Options,
        now: Instant,
        bytes_today: u64,
        midnight: Instant,
    ) -> Self {
        let rate = options.messages_per_second_max.map(|per_second| Rate {
            per_second,
            paid_until: now,
        });
        let day = options.bytes_per_day_max.map(|bytes_max| Day {
            bytes_max,
            bytes: bytes_today,
            ends: midnight,
        });
        Self { rate, day }
    }

    /// The most mails that should be asked for at once: a second's worth.
    pub(crate) fn messages_at_once(&self) -> Option<NonZeroU32> {
        self.rate.as_ref().map(|rate| rate.per_second)
    }

    /// Counts mails that go now, or says how long to wait and ask again; then nothing is
    /// counted.
    pub(crate) fn may_send(
        &mut self,
        now: Instant,
        messages: u32,
        bytes: u64,
    ) -> Result<(), Duration> {
        let rate_wait = self.rate.as_ref().map(|rate| rate.wait(now, messages));
        let day_wait = self.day.as_mut().map(|day| day.wait(now, bytes));
        let wait = rate_wait.max(day_wait).unwrap_or_default();
        if wait > Duration::ZERO {
            return Err(wait);
        }
        if let Some(rate) = &mut self.rate {
            rate.paid_until = rate.paid_until.max(now) + rate.cost(messages);
        }
        if let Some(day) = &mut self.day {
            day.bytes = day.bytes.saturating_add(bytes);
        }
        Ok(())
    }
}

/// A bucket of tokens that holds one second's worth, kept as the moment at which it is full
/// again: so there is nothing to refill, and nothing is lost to rounding.
#[derive(Debug)]
struct Rate {
    per_second: NonZeroU32,
    paid_until: Instant,
}

/// What may be owed: the burst.
const OWED_MAX: Duration = Duration::from_secs(1);

impl Rate {
    /// Rounded up, so that the rate is never exceeded.
    fn cost(&self, messages: u32) -> Duration {
        let nanos = u64::from(messages) * 1_000_000_000;
        Duration::from_nanos(nanos.div_ceil(u64::from(self.per_second.get())))
    }

    /// More than a second's worth waits until nothing is owed, as it would else wait for ever.
    fn wait(&self, now: Instant, messages: u32) -> Duration {
        let owed = self.paid_until.saturating_duration_since(now);
        (owed + self.cost(messages).min(OWED_MAX)).saturating_sub(OWED_MAX)
    }
}

#[derive(Debug)]
struct Day {
    bytes_max: u64,
    bytes: u64,
    ends: Instant,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Day {
    /// What is more than a day's worth goes first on a day, as it would else never go.
    fn wait(&mut self, now: Instant, bytes: u64) -> Duration {
        while now >= self.ends {
            self.ends += DAY;
            self.bytes = 0;
        }
        let fits = self.bytes.saturating_add(bytes) <= self.bytes_max;
        if fits || self.bytes == 0 {
            Duration::ZERO
        } else {
            self.ends - now
        }
    }
}

/// How long it is until midnight (UTC), when the next day's bytes may go.
pub(crate) fn until_midnight(now: Timestamp) -> Duration {
    let today = now.as_second().rem_euclid(86_400).unsigned_abs();
    DAY - Duration::from_secs(today)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn midnight() {
        for (now, expected) in [
            ("2026-11-22T00:00:00Z", 86_400),
            ("2026-11-22T23:59:59.9Z", 1),
            ("2026-11-22T12:00:00Z", 43_200),
            ("1960-01-01T01:00:00Z", 82_800),
        ] {
            let left = until_midnight(now.parse().unwrap());
            assert_eq!(left, Duration::from_secs(expected), "{now}");
        }
    }

    fn pace(now: Instant, per_second: u32, per_day: Option<u64>, bytes_today: u64) -> Pace {
        let options = Options {
            messages_per_second_max: NonZeroU32::new(per_second),
            bytes_per_day_max: per_day,
            ..Options::default()
        };
        Pace::new(&options, now, bytes_today, now + DAY / 2)
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn messages_a_second() {
        let start = Instant::now();
        let mut pace = pace(start, 10, None, 0);
        assert_eq!(pace.messages_at_once(), NonZeroU32::new(10));
        for (at_ms, messages, expected) in [
            (0, 8, Ok(())),
            (0, 3, Err(100 * MS)),
            (99, 3, Err(MS)),
            (100, 3, Ok(())),
            (100, 1, Err(100 * MS)),
            (200, 0, Ok(())),
            // A long rest saves up no more than a second's worth.
            (60_000, 10, Ok(())),
            (60_000, 1, Err(100 * MS)),
            // More than a second's worth goes when nothing is owed, and then costs what it is.
            (60_000, 50, Err(1000 * MS)),
            (61_000, 50, Ok(())),
            (61_000, 1, Err(4100 * MS)),
            (65_100, 1, Ok(())),
        ] {
            let now = start + at_ms * MS;
            assert_eq!(pace.may_send(now, messages, 1), expected, "{at_ms} ms");
        }
    }

    #[test]
    fn bytes_a_day() {
        let start = Instant::now();
        let half = DAY / 2;
        let mut pace = pace(start, 0, Some(1000), 400);
        assert_eq!(pace.messages_at_once(), None);
        for (at, bytes, expected) in [
            (Duration::ZERO, 600, Ok(())),
            (Duration::ZERO, 1, Err(half)),
            (half - MS, 1, Err(MS)),
            (half, 1, Ok(())),
            (half, 1000, Err(DAY)),
            // More than a day's worth has a day of its own.
            (half + DAY, 5000, Ok(())),
            (half + DAY, 1, Err(DAY)),
            (half + 10 * DAY, u64::MAX, Ok(())),
            (half + 10 * DAY, u64::MAX, Err(DAY)),
        ] {
            assert_eq!(pace.may_send(start + at, 1, bytes), expected, "{at:?}");
        }
    }

    #[test]
    fn what_one_limit_holds_back_costs_nothing_of_the_other() {
        let start = Instant::now();
        let mut pace = pace(start, 1, Some(100), 0);
        assert_eq!(pace.may_send(start, 1, 60), Ok(()));
        // Both: the longer wait.
        assert_eq!(pace.may_send(start, 1, 60), Err(DAY / 2));
        assert_eq!(pace.may_send(start, 1, 40), Err(1000 * MS));
        assert_eq!(
            pace.may_send(start + 1000 * MS, 1, 60),
            Err(DAY / 2 - 1000 * MS)
        );
        assert_eq!(pace.may_send(start + 1000 * MS, 1, 40), Ok(()));
    }

    #[test]
    fn without_limits() {
        let start = Instant::now();
        let mut pace = pace(start, 0, None, u64::MAX);
        for _ in 0..3 {
            assert_eq!(pace.may_send(start, u32::MAX, u64::MAX), Ok(()));
        }
    }

    proptest! {
        /// Whoever waits as told may go on, and between any two moments there is no more than
        /// the rate and one second's worth.
        #[test]
        fn the_rate_holds(
            per_second in 1_u32..2000,
            steps in prop::collection::vec((0_u32..2000, 0_u64..300), 1..60),
        ) {
            let start = Instant::now();
            let mut pace = pace(start, per_second, None, 0);
            let mut now = start;
            let mut sent: Vec<(Instant, u32)> = Vec::new();
            for (messages, pause_ms) in steps {
                let messages = messages.min(per_second);
                now += Duration::from_millis(pause_ms);
                if let Err(wait) = pace.may_send(now, messages, 0) {
                    prop_assert!(wait <= OWED_MAX);
                    prop_assert!(pace.may_send(now + wait - Duration::from_nanos(1), messages, 0).is_err());
                    now += wait;
                    prop_assert_eq!(pace.may_send(now, messages, 0), Ok(()));
                }
                sent.push((now, messages));
            }
            for (first, (from, _)) in sent.iter().enumerate() {
                let mut total = 0;
                for (at, messages) in &sent[first..] {
                    total += u64::from(*messages);
                    let span = *at - *from + OWED_MAX;
                    let most = u128::from(per_second) * span.as_nanos();
                    prop_assert!(u128::from(total) * 1_000_000_000 <= most);
                }
            }
        }
    }
}
