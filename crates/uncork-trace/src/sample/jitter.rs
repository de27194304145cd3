//! Times that are in step with nothing.

use std::time::Duration;

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
