//! How often to look: as often as is wanted, where that doesn't cost too much.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The longest pause, however long the work took.
const LONGEST: Duration = Duration::from_secs(2);

/// What isn't seen within this isn't worth the hurry.
const SHORTEST: Duration = Duration::from_millis(2);

/// When a kind of work is due, which costs more the more there is to look at.
///
/// What counts is the time that the thread spends on a processor: a machine that is busy with other things
/// makes the work longer, but not dearer.
///
/// ```
/// use std::time::{Duration, Instant};
/// use uncork_sockets::{Pace, Work};
///
/// let mut pace = Pace::new(Duration::from_millis(20), 10);
/// assert!(pace.is_due(), "never done yet");
/// let work = Work::begin();
/// let children = uncork_sockets::children(1);
/// pace.done(&work);
/// assert!(pace.due() > Instant::now());
/// # drop(children);
/// ```
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    /// Pause after work that took one unit.
    rest: u32,
    /// When it was done, and how much it cost.
    last: Option<(Instant, Duration)>,
}

/// Work that has begun.
#[derive(Debug)]
#[must_use]
pub struct Work(Duration);

impl Work {
    /// Begins, on this thread.
    pub fn begin() -> Self {
        Self(processor_time())
    }
}

impl Pace {
    /// Due at once, then every `interval`; or less often, so that it takes one part in `one_part_in` of a
    /// processor at most, but every 2 s at least.
    #[must_use]
    pub fn new(interval: Duration, one_part_in: u32) -> Self {
        Self {
            interval,
            rest: one_part_in.saturating_sub(1),
            last: None,
        }
    }

    /// When it is due: now, where it was never done.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.after(self.interval)
    }

    /// Whether it is due.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.due() <= Instant::now()
    }

    /// Whether it may be done before it is due, as there is a reason to hurry: where that would not cost too
    /// much.
    #[must_use]
    pub fn may_hurry(&self) -> bool {
        self.after(SHORTEST) <= Instant::now()
    }

    /// It was done, by the thread that has begun it.
    pub fn done(&mut self, work: &Work) {
        let cost = processor_time().saturating_sub(work.0);
        self.last = Some((Instant::now(), cost));
    }

    fn after(&self, interval: Duration) -> Instant {
        match self.last {
            Some((at, cost)) => at + pause(interval, self.rest, cost),
            None => Instant::now(),
        }
    }
}

fn pause(interval: Duration, rest: u32, cost: Duration) -> Duration {
    cost.saturating_mul(rest).min(LONGEST).max(interval)
}

/// Of this thread.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_costs_more_is_done_less_often() {
        let ms = Duration::from_millis;
        for (interval, rest, cost, expected) in [
            (ms(5), 39, ms(0), ms(5)),
            (ms(5), 39, Duration::from_micros(100), ms(5)),
            (ms(5), 39, ms(1), ms(39)),
            (ms(20), 19, ms(1), ms(20)),
            (ms(20), 19, ms(9), ms(171)),
            (ms(20), 19, ms(500), LONGEST),
            (ms(20), 19, Duration::MAX, LONGEST),
            (ms(5_000), 19, ms(1), ms(5_000)),
        ] {
            assert_eq!(
                pause(interval, rest, cost),
                expected,
                "{interval:?} {cost:?}"
            );
        }
    }

    #[test]
    fn what_was_done_waits() {
        let mut pace = Pace::new(Duration::from_secs(3600), 10);
        assert!(pace.is_due() && pace.may_hurry());
        pace.done(&Work::begin());
        assert!(!pace.is_due());
        pace.last = pace.last.map(|(at, _)| (at - SHORTEST, Duration::ZERO));
        assert!(!pace.is_due() && pace.may_hurry());
        pace.last = pace.last.map(|(at, _)| (at, LONGEST));
        assert!(!pace.may_hurry(), "too dear");
    }
}
