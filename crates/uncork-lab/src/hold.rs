//! Holds, seen from outside: how often and how long a small segment waited in the kernel.
//!
//! A thread samples TCP_INFO of a socket; a [`HoldCounter`] makes holds of the samples.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use uncork::TcpInfo;

/// Time between two samples. A hold of 40 ms is timed to within 2 %.
const SAMPLE_INTERVAL: Duration = Duration::from_micros(300);

/// Holds of one socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holds {
    /// How many.
    pub count: u64,
    /// How long in all.
    pub total: Duration,
}

/// What one sample says.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    is_held: bool,
    /// Data segments sent so far: while a segment is held, nothing leaves.
    segments_out: u32,
}

/// Makes holds of samples. Pure.
#[derive(Debug, Default)]
struct HoldCounter {
    holds: Holds,
    /// The hold that the last sample saw.
    current: Option<Current>,
}

/// A hold that may go on.
#[derive(Debug, Clone, Copy)]
struct Current {
    since: Instant,
    segments_out: u32,
    /// Seen by one sample only, it may have been a write on its way through the kernel.
    is_seen_twice: bool,
}

impl HoldCounter {
    fn sample(&mut self, sample: Sample) {
        if let Some(current) = &mut self.current {
            if sample.is_held && sample.segments_out == current.segments_out {
                current.is_seen_twice = true;
                return;
            }
            self.end(sample.at);
        }
        if sample.is_held {
            self.current = Some(Current {
                since: sample.at,
                segments_out: sample.segments_out,
                is_seen_twice: false,
            });
        }
    }

    fn end(&mut self, at: Instant) {
        if let Some(current) = self.current.take().filter(|current| current.is_seen_twice) {
            self.holds.count += 1;
            self.holds.total += at.duration_since(current.since);
        }
    }

    fn finish(mut self, at: Instant) -> Holds {
        self.end(at);
        self.holds
    }
}

/// Watches one socket until it is told to stop.
#[derive(Debug)]
pub struct HoldWatch {
    stop: Arc<AtomicBool>,
    watcher: JoinHandle<Holds>,
}

impl HoldWatch {
    /// Starts to watch a socket; the descriptor is a duplicate of its owner's.
    #[must_use]
    pub fn start(socket: OwnedFd) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let is_stopped = Arc::clone(&stop);
        let watcher = std::thread::spawn(move || {
            let mut counter = HoldCounter::default();
            while !is_stopped.load(Ordering::Relaxed) {
                let Ok(info) = TcpInfo::of(&socket) else {
                    break;
                };
                counter.sample(Sample {
                    at: Instant::now(),
                    is_held: info.holds_small_segment().unwrap_or(false),
                    segments_out: info.data_segments_out.unwrap_or(0),
                });
                std::thread::sleep(SAMPLE_INTERVAL);
            }
            counter.finish(Instant::now())
        });
        Self { stop, watcher }
    }

    /// Stops, and tells what was seen.
    #[must_use]
    pub fn finish(self) -> Holds {
        self.stop.store(true, Ordering::Relaxed);
        self.watcher.join().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(samples: &[(u64, bool, u32)], count: u64, total_ms: u64) {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut counter = HoldCounter::default();
        for &(ms, is_held, segments_out) in samples {
            counter.sample(Sample {
                at: at(ms),
                is_held,
                segments_out,
            });
        }
        let last = samples.last().map_or(0, |(ms, ..)| *ms);
        let total = Duration::from_millis(total_ms);
        assert_eq!(counter.finish(at(last)), Holds { count, total });
    }

    #[test]
    fn samples_become_holds() {
        check(&[], 0, 0);
        check(&[(0, false, 1), (9, false, 2)], 0, 0);
        check(
            &[(0, false, 1), (1, true, 2), (41, true, 2), (42, false, 3)],
            1,
            41,
        );
        // A segment that left between two samples ends one hold and begins another.
        check(
            &[
                (0, true, 2),
                (40, true, 2),
                (41, true, 5),
                (42, true, 5),
                (81, false, 6),
            ],
            2,
            81,
        );
        // Seen once: a write on its way through the kernel.
        check(&[(0, false, 1), (1, true, 2), (2, false, 3)], 0, 0);
        // Still held at the end.
        check(&[(0, true, 2), (40, true, 2)], 1, 40);
    }
}
