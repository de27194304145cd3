//! What a person sees while it is watched.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use uncork_trace::Report;

use super::arguments::{Target, TraceArgs};
use super::summary::{is_lost, lost};
use super::words::time;
use crate::output;
use crate::words::counted;

/// How often a new line is printed where one can't be drawn over.
const LINES_INTERVAL: Duration = Duration::from_secs(10);

/// What is shown meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watching {
    /// The live view, on the whole terminal.
    Live,
    /// One line that is drawn again and again.
    Line,
    /// A line now and then: the terminal belongs to the command that is watched, and what it prints
    /// must not be drawn over.
    Lines,
    /// Nothing.
    Nothing,
}

impl Watching {
    /// What fits the arguments and the terminal. The live view is drawn on stderr, so that stdout can
    /// go elsewhere, and needs the keys.
    pub(crate) fn fitting(arguments: &TraceArgs) -> Self {
        let stdin = std::io::stdin().is_terminal();
        let stderr = std::io::stderr().is_terminal();
        Self::decide(arguments.target(), arguments.is_quiet(), stdin, stderr)
    }

    fn decide(target: Target<'_>, is_quiet: bool, has_keys: bool, is_terminal: bool) -> Self {
        match target {
            _ if is_quiet || !is_terminal => Self::Nothing,
            // Read at once.
            Target::Replay(_) => Self::Nothing,
            // It inherits this very stderr.
            Target::Command(_) => Self::Lines,
            Target::Pids(_) | Target::All if has_keys => Self::Live,
            Target::Pids(_) | Target::All => Self::Line,
        }
    }
}

/// The line, or the lines.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    /// When the next line is due, where lines are printed.
    next_line: Option<Duration>,
}

impl Progress {
    pub(crate) fn new(watching: Watching) -> Self {
        let bar = match watching {
            Watching::Line => ProgressBar::no_length(),
            _ => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        let next_line = (watching == Watching::Lines).then_some(LINES_INTERVAL);
        Self { bar, next_line }
    }

    /// Shows what is known so far; to be called some times a second.
    pub(crate) fn show(&mut self, report: &Report, elapsed: Duration) {
        if !self.bar.is_hidden() {
            self.bar.set_message(line(report, elapsed));
            self.bar.tick();
        } else if let Some(next) = &mut self.next_line
            && *next <= elapsed
        {
            *next = elapsed + LINES_INTERVAL;
            output::note(&format!("uncork: {}", line(report, elapsed)));
        }
    }

    /// Takes the line away, before the report is printed.
    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

fn line(report: &Report, elapsed: Duration) -> String {
    let lost = match is_lost(report) {
        true => format!("{} lost so far", lost(report)),
        false => "nothing lost so far".to_owned(),
    };
    let watched = time(elapsed.as_secs_f64().round() * 1000.0);
    let sockets = counted(report.sockets.len() as u64, "connection");
    format!("watched {watched} · {sockets} · {lost}")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;

    use super::super::samples;
    use super::*;

    #[test]
    fn what_fits() {
        let command = [OsString::from("curl")];
        let decide = |target, stdin, stderr| Watching::decide(target, false, stdin, stderr);
        assert_eq!(decide(Target::All, true, true), Watching::Live);
        assert_eq!(decide(Target::Pids(&[1]), true, true), Watching::Live);
        assert_eq!(decide(Target::All, false, true), Watching::Line);
        assert_eq!(decide(Target::All, true, false), Watching::Nothing);
        let command = Target::Command(&command);
        assert_eq!(decide(command, true, true), Watching::Lines);
        assert_eq!(decide(command, true, false), Watching::Nothing);
        let replay = Target::Replay(Path::new("f"));
        assert_eq!(decide(replay, true, true), Watching::Nothing);
        let quiet = Watching::decide(Target::All, true, true, true);
        assert_eq!(quiet, Watching::Nothing);
    }

    #[test]
    fn what_the_line_says() {
        let elapsed = Duration::from_millis(12_345);
        assert_eq!(
            line(&samples::imaplib(), elapsed),
            "watched 12.00 s · 1 connection · 4.31 s lost so far"
        );
        assert_eq!(
            line(&samples::clean(), elapsed),
            "watched 12.00 s · 2 connections · nothing lost so far"
        );
    }
}
