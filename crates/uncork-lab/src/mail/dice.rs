//! All chance in the generated mail: a ChaCha stream, drawn from in ways that no version of a
//! crate and no platform changes.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// The median of the sizes.
pub(super) const MEDIAN_BYTES: f64 = 3_000.0;

/// The standard deviation of the sizes' logarithm to base 2. It puts the mean at 7/3 of the
/// median: for a log-normal distribution, mean / median = exp(σ² / 2), with σ for base e.
const SIGMA_LOG2: f64 = 1.878;

/// The dice. Their distributions are made here rather than by the rand crate, whose algorithms
/// may change between versions, and without the platform's libm, whose last digits differ.
#[derive(Debug, Clone)]
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self(ChaCha8Rng::from_seed(bytes))
    }

    /// A number from 0 up to `end`, exclusive; 0 for an `end` of 0.
    pub(super) fn below(&mut self, end: u32) -> u32 {
        let scaled = u64::from(self.0.next_u32()) * u64::from(end);
        // The product of two 32-bit numbers, shifted right by 32 bits, has 32.
        u32::try_from(scaled >> 32).unwrap_or(0)
    }

    /// A number from `first` to `last`, both inclusive.
    pub(super) fn between(&mut self, first: u32, last: u32) -> u32 {
        first + self.below(last.saturating_sub(first).saturating_add(1))
    }

    /// True once in `n` times.
    pub(super) fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    /// One of the items, of which there must be some.
    pub(super) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
        items[self.below(count) as usize]
    }

    pub(super) fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// The size of a mail, log-normal around [`MEDIAN_BYTES`], at most `longest`.
    pub(super) fn mail_bytes(&mut self, longest: usize) -> usize {
        let bytes = MEDIAN_BYTES * exp2(SIGMA_LOG2 * self.normal());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "2^11.3 times the median is the most that comes out, and the least is above 0"
        )]
        let bytes = bytes as usize;
        bytes.min(longest)
    }

    /// Nearly normal, mean 0 and standard deviation 1, never beyond ±6: the sum of twelve
    /// uniform numbers.
    fn normal(&mut self) -> f64 {
        let sum: f64 = (0..12).map(|_| f64::from(self.0.next_u32())).sum();
        sum / 4_294_967_296.0 - 6.0
    }
}

/// 2 to the power of `x`, by multiplications and additions only, which IEEE 754 rounds alike
/// everywhere.
fn exp2(x: f64) -> f64 {
    let whole = x.floor();
    let exponent = (x - whole) * std::f64::consts::LN_2;
    // The series of e^x: below ln 2, twelve terms leave an error under 1e-11.
    let mut term = 1.0;
    let mut sum = 1.0;
    for n in 1..12 {
        term *= exponent / f64::from(n);
        sum += term;
    }
    let base = if whole < 0.0 { 0.5 } else { 2.0 };
    let mut left = whole.abs();
    while left > 0.0 {
        sum *= base;
        left -= 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp2_agrees_with_libm() {
        for tenth in -120..=120 {
            let x = f64::from(tenth) / 10.0;
            let relative_error = exp2(x) / x.exp2() - 1.0;
            assert!(relative_error.abs() < 1e-10, "2^{x}: {relative_error}");
        }
    }

    #[test]
    fn numbers_stay_in_their_range() {
        let mut dice = Dice::new(7);
        for end in [0, 1, 2, 3, 1000, u32::MAX] {
            for _ in 0..100 {
                assert!(dice.below(end) < end.max(1));
            }
        }
        let mut seen = [false; 4];
        for _ in 0..100 {
            seen[dice.between(0, 3) as usize] = true;
        }
        assert_eq!(seen, [true; 4]);
    }
}
