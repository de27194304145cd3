//! What the server counts, and how Prometheus reads it.
//!
//! Every counter has one writer, the worker that it belongs to: counting is a load and a store, without
//! a lock prefix and without a cache line that another core writes.

mod counter;
mod render;

use std::sync::Arc;
use std::time::Duration;

use self::counter::Counter;

/// Upper bounds of the latency histogram.
const LATENCY_BOUNDS_US: [u64; 14] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 250_000, 1_000_000, 2_500_000,
    10_000_000,
];

/// The statuses that a static server sends; any other is counted together.
const CODES: [u16; 28] = [
    200, 204, 206, 301, 302, 303, 304, 307, 308, 400, 403, 404, 405, 406, 408, 411, 412, 413, 414,
    416, 417, 421, 429, 431, 500, 501, 503, 505,
];

/// Where a status is counted, for each status below 600.
const SLOT_OF: [u8; 600] = slots();

#[expect(clippy::cast_possible_truncation, reason = "less than a byte of codes")]
const fn slots() -> [u8; 600] {
    let mut slots = [CODES.len() as u8; 600];
    let mut slot = 0;
    while slot < CODES.len() {
        slots[CODES[slot] as usize] = slot as u8;
        slot += 1;
    }
    slots
}

/// The counters of all workers.
#[derive(Debug)]
pub struct Metrics {
    workers: Vec<Arc<WorkerMetrics>>,
}

/// The counters of one worker, which alone calls its methods.
///
/// Aligned to two cache lines, which the prefetcher of x86-64 takes together.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct WorkerMetrics {
    opened: Counter,
    closed: Counter,
    refused: Counter,
    /// By [`LATENCY_BOUNDS_US`]; the last one holds what is beyond.
    latency: [Counter; LATENCY_BOUNDS_US.len() + 1],
    latency_sum_us: Counter,
    segments_sent: Counter,
    segments_wasted: Counter,
    held_us: Counter,
    held_samples: Counter,
    cache_entries: Counter,
    cache_bytes: Counter,
    cache_misses: Counter,
    disk_waits: Counter,
}

/// The counters of one site. Clones are the same counters.
#[derive(Debug, Clone)]
pub struct SiteCounters {
    workers: Arc<[SiteOfWorker]>,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct SiteOfWorker {
    bytes: Counter,
    /// By [`CODES`]; the last one is any other.
    codes: [Counter; CODES.len() + 1],
}

impl Metrics {
    /// Counters for so many workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers).map(|_| Arc::default()).collect(),
        }
    }

    /// The counters of a worker.
    ///
    /// # Panics
    /// Where there are not so many workers.
    #[must_use]
    pub fn worker(&self, index: usize) -> Arc<WorkerMetrics> {
        Arc::clone(&self.workers[index])
    }

    /// Everything in Prometheus's text format 0.0.4.
    #[must_use]
    pub fn render<'s>(
        &self,
        sites: impl Iterator<Item = (&'s str, &'s SiteCounters)>,
        log_dropped: u64,
    ) -> String {
        render::render(self, &sites.collect::<Vec<_>>(), log_dropped)
    }
}

impl WorkerMetrics {
    /// A connection was taken.
    pub fn connection_opened(&self) {
        self.opened.add(1);
    }

    /// A connection that was [opened](Self::connection_opened) has ended.
    pub fn connection_closed(&self) {
        self.closed.add(1);
    }

    /// A connection was closed at once, beyond a limit. It is neither opened nor closed.
    pub fn connection_refused(&self) {
        self.refused.add(1);
    }

    /// So many requests were answered, each this long after its first byte.
    pub fn latency(&self, requests: u64, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // Nearly every request is in one of the first buckets.
        let bucket = LATENCY_BOUNDS_US.iter().position(|&bound| took_us <= bound);
        self.latency[bucket.unwrap_or(LATENCY_BOUNDS_US.len())].add(requests);
        self.latency_sum_us.add(took_us.saturating_mul(requests));
    }

    /// A connection's segments, and the least that its responses could have had.
    pub fn segments(&self, sent: u64, least: u64) {
        self.segments_sent.add(sent);
        self.segments_wasted.add(sent.saturating_sub(least));
    }

    /// Bytes that were ready were held by the kernel this long (TCP_INFO).
    pub fn held(&self, time: Duration) {
        self.held_us
            .add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// TCP_INFO was looked at.
    pub fn held_sample(&self) {
        self.held_samples.add(1);
    }

    /// How large the worker's cache is now.
    pub fn cache(&self, entries: u64, bytes: u64) {
        self.cache_entries.set(entries);
        self.cache_bytes.set(bytes);
    }

    /// A resource was not in the cache.
    pub fn cache_miss(&self) {
        self.cache_misses.add(1);
    }

    /// A response waited for a disk.
    pub fn waited_for_disk(&self) {
        self.disk_waits.add(1);
    }
}

impl SiteCounters {
    /// Counters of a site that so many workers serve.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers).map(|_| SiteOfWorker::default()).collect(),
        }
    }

    /// Counts a response with so many bytes of body. A worker counts under its own index alone.
    pub fn count(&self, worker: usize, status: u16, bytes: u64) {
        // A site that was made before a worker more was would lose counts, not the worker.
        let Some(counters) = self.workers.get(worker) else {
            return;
        };
        let slot = SLOT_OF.get(usize::from(status)).copied();
        counters.codes[slot.map_or(CODES.len(), usize::from)].add(1);
        counters.bytes.add(bytes);
    }

    /// Body bytes of all workers.
    fn bytes(&self) -> u64 {
        self.sum(|worker| &worker.bytes)
    }

    /// Responses of all workers, for each slot of [`CODES`] and any other.
    fn codes(&self) -> [u64; CODES.len() + 1] {
        std::array::from_fn(|slot| self.sum(|worker| &worker.codes[slot]))
    }

    fn sum(&self, which: impl Fn(&SiteOfWorker) -> &Counter) -> u64 {
        let values = self.workers.iter().map(|worker| which(worker).value());
        values.fold(0, u64::wrapping_add)
    }
}

#[cfg(test)]
mod tests;
