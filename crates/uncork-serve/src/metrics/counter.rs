//! A number that one thread writes and others read.

use std::sync::atomic::{AtomicU64, Ordering};

/// Written by one thread alone. Two writers would lose counts, no more.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Adds without a lock prefix, which one writer does not need.
    pub(super) fn add(&self, more: u64) {
        self.set(self.value().wrapping_add(more));
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
