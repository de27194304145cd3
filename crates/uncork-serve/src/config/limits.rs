//! Numbers of the configuration, each within bounds that make sense.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;

use super::error::{ConfigError, Fault};
use super::file::{self, Seconds};
use super::reading::Reading;
use crate::limits::Limits;
use crate::request::HEADERS_MAX;

/// Less would be cut to nothing by epoll_wait.
const SECONDS_MIN: f64 = 0.001;

/// A year: more could overflow the clock, and nobody means it.
const SECONDS_MAX: u64 = 366 * 24 * 3600;

impl Reading<'_> {
    pub(super) fn count(
        &self,
        key: &'static str,
        given: Option<&Spanned<u64>>,
        bounds: RangeInclusive<u64>,
    ) -> Result<Option<u64>, ConfigError> {
        let Some(given) = given else { return Ok(None) };
        let number = *given.get_ref();
        if bounds.contains(&number) {
            return Ok(Some(number));
        }
        let fault = Fault::OutOfBounds {
            key,
            value: number.to_string(),
            bounds: format!("between {} and {}", bounds.start(), bounds.end()),
        };
        Err(self.at(given.span().start, fault))
    }

    fn seconds(
        &self,
        key: &'static str,
        given: Option<&Spanned<Seconds>>,
        zero: Zero,
        into: &mut Duration,
    ) -> Result<(), ConfigError> {
        let Some(given) = given else { return Ok(()) };
        let Seconds(seconds) = *given.get_ref();
        // NaN lies in no range.
        let whole = (SECONDS_MIN..=SECONDS_MAX as f64).contains(&seconds);
        if whole || (zero == Zero::Means && seconds == 0.0) {
            *into = Duration::from_secs_f64(seconds);
            return Ok(());
        }
        let or_zero = match zero {
            Zero::Means => "0, or ",
            Zero::Nonsense => "",
        };
        let fault = Fault::OutOfBounds {
            key,
            value: seconds.to_string(),
            bounds: format!("{or_zero}between {SECONDS_MIN} and {SECONDS_MAX}"),
        };
        Err(self.at(given.span().start, fault))
    }

    pub(super) fn limits(&self, file: &file::Limits) -> Result<Limits, ConfigError> {
        const ANY: u64 = i64::MAX as u64;
        let mut limits = Limits::default();
        let counts: [(&'static str, Option<&Spanned<u64>>, _, &mut usize); 7] = [
            (
                "head_bytes",
                file.head_bytes.as_ref(),
                256..=1 << 20,
                &mut limits.head_bytes,
            ),
            (
                "target_bytes",
                file.target_bytes.as_ref(),
                1..=1 << 20,
                &mut limits.target_bytes,
            ),
            (
                "headers",
                file.headers.as_ref(),
                1..=HEADERS_MAX as u64,
                &mut limits.headers,
            ),
            (
                "connections",
                file.connections.as_ref(),
                1..=10_000_000,
                &mut limits.connections,
            ),
            (
                "connections_per_address",
                file.connections_per_address.as_ref(),
                0..=10_000_000,
                &mut limits.connections_per_address,
            ),
            ("ranges", file.ranges.as_ref(), 0..=1000, &mut limits.ranges),
            (
                "cache_entries",
                file.cache_entries.as_ref(),
                1..=100_000_000,
                &mut limits.cache_entries,
            ),
        ];
        for (key, given, bounds, into) in counts {
            let given = self.count(key, given, bounds)?;
            if let Some(number) = given.and_then(|number| usize::try_from(number).ok()) {
                *into = number;
            }
        }
        let counts: [(&'static str, Option<&Spanned<u64>>, _, &mut u64); 4] = [
            (
                "body_bytes",
                file.body_bytes.as_ref(),
                0..=ANY,
                &mut limits.body_bytes,
            ),
            (
                "send_bytes_per_second",
                file.send_bytes_per_second.as_ref(),
                0..=ANY,
                &mut limits.send_bytes_per_second,
            ),
            (
                "requests_per_connection",
                file.requests_per_connection.as_ref(),
                1..=ANY,
                &mut limits.requests_per_connection,
            ),
            (
                "cache_bytes",
                file.cache_bytes.as_ref(),
                0..=ANY,
                &mut limits.cache_bytes,
            ),
        ];
        for (key, given, bounds, into) in counts {
            if let Some(number) = self.count(key, given, bounds)? {
                *into = number;
            }
        }
        let times = [
            (
                "head_seconds",
                &file.head_seconds,
                Zero::Nonsense,
                &mut limits.head_time,
            ),
            (
                "idle_seconds",
                &file.idle_seconds,
                Zero::Nonsense,
                &mut limits.idle_time,
            ),
            (
                "send_window_seconds",
                &file.send_window_seconds,
                Zero::Nonsense,
                &mut limits.send_window,
            ),
            (
                "drain_seconds",
                &file.drain_seconds,
                Zero::Means,
                &mut limits.drain_time,
            ),
        ];
        for (key, given, zero, into) in times {
            self.seconds(key, given.as_ref(), zero, into)?;
        }
        if limits.target_bytes > limits.head_bytes {
            // A head that is bounded more narrowly than the default target bounds the target as well.
            if let Some(given) = &file.target_bytes {
                let head_bytes = limits.head_bytes as u64;
                return Err(self.at(given.span().start, Fault::TargetBeyondHead { head_bytes }));
            }
            limits.target_bytes = limits.head_bytes;
        }
        Ok(limits)
    }
}

/// Whether a time may be zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zero {
    Means,
    Nonsense,
}
