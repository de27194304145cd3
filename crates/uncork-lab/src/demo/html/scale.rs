//! Where a value lies between the two ends of an axis, as a fraction of its length.
//!
//! Values that are no numbers lie at the beginning: nothing is drawn for them.

use super::text::{count, round};

/// A mark on an axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: String,
}

/// Each decade takes the same length. For rates that lie powers of ten apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LogScale {
    /// Decimal logarithms of both ends; `low < high`.
    low: f64,
    high: f64,
}

impl LogScale {
    /// From the decade below the least value to the greatest. Values that have no logarithm
    /// don't count.
    pub(super) fn over(values: impl IntoIterator<Item = f64>) -> Self {
        let logarithms = values.into_iter().map(f64::log10).filter(|l| l.is_finite());
        let (least, greatest) = logarithms.fold((f64::INFINITY, f64::NEG_INFINITY), |ends, l| {
            (ends.0.min(l), ends.1.max(l))
        });
        if least > greatest {
            return Self {
                low: 0.0,
                high: 1.0,
            };
        }
        // A value on a decade would have a bar without length, so a little below it counts.
        let low = (least - 0.05).floor();
        Self {
            low,
            high: greatest.max(low + 1.0),
        }
    }

    /// 0 at the low end, 1 at the high one.
    pub(super) fn fraction(self, value: f64) -> f64 {
        let logarithm = value.log10();
        if !logarithm.is_finite() {
            return 0.0;
        }
        ((logarithm - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// One tick a decade, or fewer where there are many.
    pub(super) fn ticks(self) -> Vec<Tick> {
        let step = ((self.high - self.low) / 6.0).ceil().max(1.0);
        (0..=6)
            .map(|index| self.low + step * f64::from(index))
            .take_while(|exponent| *exponent <= self.high)
            .map(|exponent| 10_f64.powf(exponent))
            .map(|value| Tick {
                at: self.fraction(value),
                label: round(value),
            })
            .collect()
    }
}

/// Proportional, from zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LinearScale {
    /// Finite and greater than zero.
    high: f64,
}

impl LinearScale {
    /// From zero to the greatest value.
    pub(super) fn over(values: impl IntoIterator<Item = f64>) -> Self {
        let greatest = values
            .into_iter()
            .filter(|value| value.is_finite())
            .fold(0.0, f64::max);
        Self {
            high: if greatest > 0.0 { greatest } else { 1.0 },
        }
    }

    /// 0 at zero, 1 at the high end.
    pub(super) fn fraction(self, value: f64) -> f64 {
        if !value.is_finite() {
            return 0.0;
        }
        (value / self.high).clamp(0.0, 1.0)
    }

    /// Three to six ticks at round values.
    pub(super) fn ticks(self) -> Vec<Tick> {
        let decade = 10_f64.powf(self.high.log10().floor());
        let step = [0.2, 0.5, 1.0, 2.0]
            .into_iter()
            .map(|part| part * decade)
            .find(|step| self.high / step <= 5.0)
            .unwrap_or(self.high);
        (0..=5)
            .map(|index| step * f64::from(index))
            .take_while(|value| *value <= self.high)
            .map(|value| Tick {
                at: self.fraction(value),
                label: round(value),
            })
            .collect()
    }
}

/// Logarithmic for counts that may be zero: `log(1 + n)`, so zero lies at zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CountScale {
    high: u64,
}

impl CountScale {
    /// From zero to the greatest count.
    pub(super) fn over(counts: impl IntoIterator<Item = u64>) -> Self {
        Self {
            high: counts.into_iter().max().unwrap_or(0).max(1),
        }
    }

    /// 0 for zero, 1 at the high end.
    pub(super) fn fraction(self, count: u64) -> f64 {
        (log_one_more(count) / log_one_more(self.high)).clamp(0.0, 1.0)
    }

    /// Zero and the powers of ten.
    pub(super) fn ticks(self) -> Vec<Tick> {
        let powers = std::iter::successors(Some(1_u64), |power| power.checked_mul(10));
        std::iter::once(0)
            .chain(powers.take_while(|power| *power <= self.high))
            .map(|power| Tick {
                at: self.fraction(power),
                label: count(power),
            })
            .collect()
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a pixel is coarser than what is lost"
)]
fn log_one_more(count: u64) -> f64 {
    (count as f64).ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn log_fractions() {
        let scale = LogScale::over([20.0, 100_000.0, 0.0, f64::NAN, f64::INFINITY, -3.0]);
        for (value, expected) in [
            (10.0, 0.0),
            (100.0, 0.25),
            (1_000.0, 0.5),
            (31_622.776_601_683_792, 0.875),
            (100_000.0, 1.0),
            // Beyond the ends, and no numbers at all.
            (1e9, 1.0),
            (1.0, 0.0),
            (0.0, 0.0),
            (-1.0, 0.0),
            (f64::NAN, 0.0),
            (f64::INFINITY, 0.0),
        ] {
            let fraction = scale.fraction(value);
            assert!((fraction - expected).abs() < 1e-9, "{value}: {fraction}");
        }
        let ticks = scale.ticks();
        assert_eq!(labels(&ticks), ["10", "100", "1,000", "10,000", "100,000"]);
    }

    #[test]
    fn log_ends() {
        for (values, expected) in [
            (&[][..], &["1", "10"][..]),
            (&[0.0, f64::NAN][..], &["1", "10"][..]),
            // On a decade, the bar still has a length.
            (&[10.0][..], &["1", "10"][..]),
            (&[0.02, 3.0][..], &["0.01", "0.1", "1"][..]),
            (&[22.7, 30_000.0][..], &["10", "100", "1,000", "10,000"][..]),
        ] {
            let ticks = LogScale::over(values.iter().copied()).ticks();
            assert_eq!(labels(&ticks), expected, "{values:?}");
        }
        let extreme = LogScale::over([f64::MIN_POSITIVE, f64::MAX]);
        assert!(extreme.ticks().len() <= 7);
    }

    #[test]
    fn linear() {
        let scale = LinearScale::over([44.0, 0.1, f64::NAN]);
        assert_eq!(labels(&scale.ticks()), ["0", "10", "20", "30", "40"]);
        assert!((scale.fraction(11.0) - 0.25).abs() < 1e-9);
        assert!(scale.fraction(f64::INFINITY).abs() < 1e-9);
        assert_eq!(labels(&LinearScale::over([]).ticks()).len(), 6);
        let tiny = LinearScale::over([f64::MIN_POSITIVE / 8.0]);
        assert!(tiny.ticks().len() <= 6);
        assert!(LinearScale::over([f64::MAX]).ticks().len() <= 6);
    }

    #[test]
    fn counts_have_a_zero() {
        let scale = CountScale::over([0, 111]);
        assert!(scale.fraction(0).abs() < 1e-9);
        assert!(scale.fraction(1) > 0.1);
        assert!((scale.fraction(111) - 1.0).abs() < 1e-9);
        assert_eq!(labels(&scale.ticks()), ["0", "1", "10", "100"]);
        assert_eq!(labels(&CountScale::over([]).ticks()), ["0", "1"]);
        assert_eq!(CountScale::over([u64::MAX]).ticks().len(), 21);
    }
}
