//! When to sample, and when to search.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::session::now_ns;

/// What is done now and then, and costs more the more there is: it gets one twentieth of the time.
#[derive(Debug)]
pub(super) struct Pace {
    /// Between two times, where it costs little.
    least: Duration,
    /// When it was done, and how long it took.
    last: Option<(Instant, Duration)>,
    /// When it was begun last, by [`now_ns`].
    begun_ns: u64,
}

/// Rest after work that took one unit.
const REST: u32 = 19;

/// The longest rest, however long the work took.
const LONGEST: Duration = Duration::from_secs(2);

/// What isn't seen within this isn't worth the hurry.
const SHORTEST: Duration = Duration::from_millis(2);

impl Pace {
    pub(super) fn every(least: Duration) -> Self {
        Self {
            least,
            last: None,
            begun_ns: 0,
        }
    }

    /// Whether it is time; where there is a reason to hurry, whether it would not cost too much.
    pub(super) fn is_due(&self, is_urgent: bool) -> bool {
        self.last.is_none_or(|(at, took)| {
            let least = if is_urgent { SHORTEST } else { self.least };
            at.elapsed() >= rest(least, took)
        })
    }

    /// It begins. What counts is the time on the processor: a machine that is busy with other things makes
    /// a search longer, but not dearer.
    pub(super) fn begin(&mut self) -> Begun {
        self.begun_ns = now_ns();
        Begun(processor_time())
    }

    pub(super) fn done(&mut self, begun: &Begun) {
        let took = processor_time().saturating_sub(begun.0);
        self.last = Some((Instant::now(), took));
    }

    pub(super) fn begun_ns(&self) -> u64 {
        self.begun_ns
    }
}

/// How much this thread had worked when something was begun.
#[must_use]
pub(super) struct Begun(Duration);

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

fn rest(least: Duration, took: Duration) -> Duration {
    (took * REST).min(LONGEST).max(least)
}

/// A cheap source of numbers that are in step with nothing (xorshift; Marsaglia 2003).
#[derive(Debug)]
pub(super) struct Jitter(pub(super) u64);

impl Jitter {
    /// A time between half and one and a half of `mean`.
    pub(super) fn spread(&mut self, mean: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let parts = u32::try_from(self.0 % 1024).unwrap_or(0);
        mean / 2 + mean * parts / 1024
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_search_is_seldom() {
        let least = Duration::from_millis(20);
        let of_ms = |took: u64| rest(least, Duration::from_millis(took)).as_millis();
        assert_eq!(
            (of_ms(0), of_ms(1), of_ms(9), of_ms(500)),
            (20, 20, 171, 2000)
        );
        let pace = Pace::every(least);
        assert!(pace.is_due(false), "never done yet");
    }
}
