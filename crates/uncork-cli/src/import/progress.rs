//! What a person at the terminal sees while mail goes in.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use uncork_import::{Progress, Source};

use crate::words::{count, counted, printable, rounded, size};

/// How often the bar is drawn.
const DRAW_INTERVAL: Duration = Duration::from_millis(100);

/// Over how long rates are taken.
const RATE_WINDOW: Duration = Duration::from_secs(5);

/// What is known of an import's length before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Mails(u64),
    /// Bytes of the sources.
    Bytes(u64),
    Unknown,
}

/// The bar, hidden where it is not wanted or nobody looks.
pub(super) fn bar(is_quiet: bool) -> ProgressBar {
    if is_quiet || !std::io::stderr().is_terminal() {
        ProgressBar::hidden()
    } else {
        ProgressBar::no_length()
    }
}

/// Does `work` and shows how far it has come.
pub(super) fn watched<T>(
    bar: &ProgressBar,
    sources: &[Source],
    progress: &Progress,
    work: impl FnOnce() -> T,
) -> T {
    if bar.is_hidden() {
        return work();
    }
    let length = length(sources);
    thread::scope(|scope| {
        let (done, is_done) = mpsc::channel::<()>();
        scope.spawn(move || {
            prepare(bar, length);
            let mut rates = Rates::default();
            while let Err(mpsc::RecvTimeoutError::Timeout) = is_done.recv_timeout(DRAW_INTERVAL) {
                show(bar, length, progress, &mut rates);
            }
            bar.finish_and_clear();
        });
        let result = work();
        drop(done);
        result
    })
}

fn length(sources: &[Source]) -> Length {
    let mails: Option<u64> = sources.iter().map(Source::messages).sum();
    let bytes: Option<u64> = sources.iter().map(Source::bytes).sum();
    match (mails, bytes) {
        (Some(mails), _) => Length::Mails(mails),
        (None, Some(bytes)) => Length::Bytes(bytes),
        (None, None) => Length::Unknown,
    }
}

fn prepare(bar: &ProgressBar, length: Length) {
    let template = match length {
        Length::Mails(_) | Length::Bytes(_) => "{bar:20} {wide_msg}",
        Length::Unknown => "{spinner} {wide_msg}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    if let Length::Mails(length) | Length::Bytes(length) = length {
        bar.set_length(length);
    }
}

fn show(bar: &ProgressBar, length: Length, progress: &Progress, rates: &mut Rates) {
    let done = progress.stored() + progress.already_there() + progress.refused();
    let position = match length {
        Length::Mails(_) => done,
        Length::Bytes(_) => share(progress.source_bytes_read(), done, progress.messages_read()),
        Length::Unknown => 0,
    };
    bar.set_position(position);
    let (mails_per_second, bytes_per_second) = rates.take(Instant::now(), done, progress.bytes());
    let mut parts = vec![match length {
        Length::Mails(of) => format!("{} of {}", count(done), counted(of, "mail")),
        Length::Bytes(_) | Length::Unknown => counted(done, "mail"),
    }];
    if mails_per_second > 0.0 {
        parts.push(format!("{}/s", count(rounded(mails_per_second))));
    }
    if bytes_per_second > 0.0 {
        parts.push(format!("{}/s", size(rounded(bytes_per_second))));
    }
    let left = bar.eta();
    if mails_per_second > 0.0 && left >= Duration::from_secs(1) {
        parts.push(format!("{} left", HumanDuration(left)));
    }
    parts.push(printable(&progress.now()));
    bar.set_message(parts.join(" · "));
    bar.tick();
}

/// The bytes that `done` of `mails` took to read: reading is ahead of sending.
fn share(bytes: u64, done: u64, mails: u64) -> u64 {
    // A mail with several labels is read once and done several times.
    let done = done.min(mails);
    let share = u128::from(bytes) * u128::from(done) / u128::from(mails.max(1));
    u64::try_from(share).unwrap_or(bytes)
}

/// Mails and bytes a second, of late.
#[derive(Debug, Default)]
struct Rates(VecDeque<(Instant, u64, u64)>);

impl Rates {
    fn take(&mut self, now: Instant, mails: u64, bytes: u64) -> (f64, f64) {
        self.0.push_back((now, mails, bytes));
        let is_old = |&(then, ..): &(Instant, u64, u64)| now - then > RATE_WINDOW;
        // The last one that is too old is kept, so that the window is never cut short.
        while self.0.get(1).is_some_and(is_old) {
            self.0.pop_front();
        }
        let Some(&(then, mails_then, bytes_then)) = self.0.front() else {
            return (0.0, 0.0);
        };
        let seconds = (now - then).as_secs_f64();
        if seconds <= 0.0 {
            return (0.0, 0.0);
        }
        let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        (rate(mails, mails_then), rate(bytes, bytes_then))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_done() {
        #[track_caller]
        fn check(bytes: u64, done: u64, mails: u64, expected: u64) {
            assert_eq!(share(bytes, done, mails), expected);
        }
        check(1000, 0, 0, 0);
        check(1000, 5, 10, 500);
        check(1000, 20, 10, 1000);
        check(u64::MAX, u64::MAX, u64::MAX, u64::MAX);
    }

    #[test]
    fn rates_are_those_of_the_last_seconds() {
        let start = Instant::now();
        let mut rates = Rates::default();
        let mut at =
            |seconds, mails, bytes| rates.take(start + Duration::from_secs(seconds), mails, bytes);
        assert_eq!(at(0, 0, 0), (0.0, 0.0));
        assert_eq!(at(2, 20, 2000), (10.0, 1000.0));
        assert_eq!(at(4, 20, 2000), (5.0, 500.0));
        // What came in the first two seconds is forgotten.
        assert_eq!(at(8, 20, 2000), (0.0, 0.0));
        assert_eq!(at(1000, 20, 2000), (0.0, 0.0));
    }
}
