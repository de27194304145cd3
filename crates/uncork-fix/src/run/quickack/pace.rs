//! How often something is done: as often as it should be, where that doesn't cost too much.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// A kind of work takes one part in so many of a core at most. There are three kinds, of which the
/// search for processes costs next to nothing: so that all together take 5 %.
const ONE_PART_IN: u32 = 40;

/// When a kind of work was done, and when it is due again.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    due: Instant,
}

impl Pace {
    /// Due at once.
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            due: now(),
        }
    }

    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Does the work where it is due. Its CPU time decides when it is due again, not the time that has
    /// gone by: on a busy machine the thread waits for its turn, which costs nobody anything.
    pub(super) fn keep(&mut self, work: impl FnOnce()) {
        if now() < self.due {
            return;
        }
        let before = cpu_time();
        work();
        let cost = cpu_time().saturating_sub(before);
        self.due = now() + pause(self.interval, cost);
    }
}

pub(super) fn now() -> Instant {
    Instant::now()
}

fn pause(interval: Duration, cost: Duration) -> Duration {
    interval.max(cost.saturating_mul(ONE_PART_IN - 1))
}

/// Of this thread.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_costs_more_is_done_less_often() {
        let ms = Duration::from_millis;
        for (interval, cost, expected) in [
            (ms(5), ms(0), ms(5)),
            (ms(5), Duration::from_micros(100), ms(5)),
            (ms(5), ms(1), ms(39)),
            (ms(20), ms(1), ms(39)),
            (ms(20), Duration::MAX, Duration::MAX),
        ] {
            assert_eq!(pause(interval, cost), expected, "{interval:?} {cost:?}");
        }
    }
}
