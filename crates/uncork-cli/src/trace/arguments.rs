//! The arguments of `uncork trace`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};

use super::duration::duration;
use super::examples::EXAMPLES;
use crate::exit::Failure;
use crate::output::Page;
use crate::pid::PID_MAX;

/// Processes that can be named: beyond some thousand, `--all` is meant.
const PIDS_MAX: usize = 1024;

/// Show which process, socket and write pattern loses how much time to TCP, and why
///
/// Watches processes, and says for each connection how long small writes were held by Nagle's
/// algorithm, by a cork or by delayed ACKs, which calls make it, and what to do. What is watched is
/// not changed.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "`uncork trace --help` says more, with examples.",
    after_long_help = EXAMPLES,
    override_usage = "uncork trace [OPTIONS] <-p PID... | --all | --replay FILE | -- COMMAND...>",
    group = ArgGroup::new("what").required(true)
)]
pub(crate) struct TraceArgs {
    /// Watch these processes, and those that they start; also `-p 1,2`
    #[arg(short, long = "pid", value_name = "PID", group = "what", num_args = 1..,
          value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=PID_MAX))]
    pids: Vec<u32>,
    /// Watch every process of this machine
    #[arg(long, group = "what")]
    all: bool,
    /// Start this command, and watch it to its end
    #[arg(last = true, value_name = "COMMAND", group = "what")]
    command: Vec<OsString>,
    #[command(flatten)]
    seeing: SeeingArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "How it is watched")]
struct SeeingArgs {
    /// How to see what the kernel does
    #[arg(
        long,
        value_name = "NAME",
        default_value = "auto",
        conflicts_with = "replay"
    )]
    engine: EngineChoice,
    /// End after this time: 10s, 500ms, 2m (else: at Ctrl-C, or when what is watched has ended)
    #[arg(long, value_name = "D", value_parser = duration, conflicts_with = "replay")]
    duration: Option<Duration>,
    /// How often the engine `sample` looks, in times a second
    ///
    /// More sees shorter holds, and takes more of a processor.
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(10..=10_000),
          conflicts_with = "replay")]
    rate: Option<u32>,
    /// Write all that was seen to this file, to be looked at again with --replay
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    events: Option<PathBuf>,
    /// Look at what --events has written, instead of watching
    #[arg(long, value_name = "FILE", group = "what")]
    replay: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
struct OutputArgs {
    /// Sockets that are shown, those that lost the most first
    #[arg(long, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    top: u32,
    /// Exit with 1 if this much time or more was lost
    #[arg(long, value_name = "D", default_value = "1ms", value_parser = duration)]
    fail_over: Duration,
    /// Print one JSON document on stdout, and nothing else there
    ///
    /// What the command prints on stdout goes to stderr then.
    #[arg(long)]
    json: bool,
    /// Write the report, with a timeline of each socket, as a page to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// No live view, no progress and no report
    #[arg(long)]
    quiet: bool,
}

/// Which engine is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineChoice {
    /// The best that this kernel and this user allow
    Auto,
    /// Programs in the kernel that see each event; needs root
    Ebpf,
    /// A look at TCP_INFO, some hundred times a second; needs no root for one's own processes
    Sample,
}

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// These processes.
    Pids(&'a [u32]),
    /// Every process.
    All,
    /// A command that is to be started; never empty.
    Command(&'a [OsString]),
    /// Nothing: a file holds what was seen.
    Replay(&'a Path),
}

impl TraceArgs {
    /// What to watch.
    pub(crate) fn target(&self) -> Target<'_> {
        // clap has seen to it that there is exactly one of them.
        if let Some(file) = &self.seeing.replay {
            Target::Replay(file)
        } else if !self.command.is_empty() {
            Target::Command(&self.command)
        } else if self.all {
            Target::All
        } else {
            Target::Pids(&self.pids)
        }
    }

    pub(crate) fn engine(&self) -> EngineChoice {
        self.seeing.engine
    }

    /// Whether more processes are named than can be watched one by one.
    pub(crate) fn are_too_many(&self) -> bool {
        self.pids.len() > PIDS_MAX
    }

    /// For how long, if it doesn't end earlier.
    pub(crate) fn duration(&self) -> Option<Duration> {
        self.seeing.duration
    }

    /// Samples a second, where they were asked for.
    pub(crate) fn rate(&self) -> Option<u32> {
        self.seeing.rate
    }

    /// Where events are to be written.
    pub(crate) fn events(&self) -> Option<&Path> {
        self.seeing.events.as_deref()
    }

    /// Sockets that are shown.
    pub(crate) fn top(&self) -> usize {
        self.output.top as usize
    }

    /// What may be lost before it counts.
    pub(super) fn fail_over(&self) -> Duration {
        self.output.fail_over
    }

    pub(crate) fn is_json(&self) -> bool {
        self.output.json
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.output.quiet
    }

    /// The file for the page, if there is to be one. To be opened before the trace.
    pub(crate) fn page(&self) -> Result<Option<Page>, Failure> {
        self.output.html.as_deref().map(Page::open).transpose()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    #[command(name = "uncork")]
    struct Cli {
        #[command(flatten)]
        trace: TraceArgs,
    }

    fn parse(arguments: &[&str]) -> Result<TraceArgs, clap::Error> {
        let words = ["uncork"].into_iter().chain(arguments.iter().copied());
        Cli::try_parse_from(words).map(|cli| cli.trace)
    }

    /// Arguments as `uncork trace` takes them.
    pub(in crate::trace) fn parsed(arguments: &[&str]) -> TraceArgs {
        parse(arguments).unwrap()
    }

    #[test]
    fn the_help() {
        use clap::CommandFactory;
        let mut cli = Cli::command().term_width(100);
        insta::assert_snapshot!(cli.render_long_help());
    }

    #[test]
    fn what_is_watched() {
        #[track_caller]
        fn pids(arguments: &[&str], expected: &[u32]) {
            assert_eq!(parsed(arguments).target(), Target::Pids(expected));
        }
        pids(&["-p", "1"], &[1]);
        pids(&["-p", "1", "2", "--json"], &[1, 2]);
        pids(&["-p", "1,2", "-p", "3"], &[1, 2, 3]);
        pids(&["--pid", "1"], &[1]);
        assert_eq!(parsed(&["--all"]).target(), Target::All);
        let replay = Path::new("events.jsonl");
        let replayed = parsed(&["--replay", "events.jsonl", "--json"]);
        assert_eq!(replayed.target(), Target::Replay(replay));
        let words = ["curl", "--all", "-p"].map(OsString::from);
        let started = parsed(&["--quiet", "--", "curl", "--all", "-p"]);
        assert_eq!(started.target(), Target::Command(&words));
    }

    #[test]
    fn what_is_refused() {
        for wrong in [
            &[][..],
            &["--"],
            &["-p"],
            &["-p", "0"],
            &["-p", "-1"],
            &["-p", "4194305"],
            &["-p", "1", "--all"],
            &["--all", "--", "curl"],
            &["-p", "1", "--", "curl"],
            &["curl"],
            &["--all", "--duration", "10"],
            &["--all", "--engine", "dtrace"],
            &["--all", "--rate", "0"],
            &["--all", "--top", "0"],
            &["--all", "--fail-over", "0s"],
            &["--replay", "f", "--all"],
            &["--replay", "f", "--duration", "1s"],
            &["--replay", "f", "--engine", "ebpf"],
            &["--replay", "f", "--events", "g"],
            &["--replay", "f", "--", "curl"],
        ] {
            let error = parse(wrong).map(|_| wrong).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{wrong:?}");
        }
    }

    #[test]
    fn options() {
        let arguments = parsed(&["--all"]);
        assert_eq!(arguments.engine(), EngineChoice::Auto);
        assert_eq!((arguments.duration(), arguments.rate()), (None, None));
        assert_eq!((arguments.top(), arguments.events()), (10, None));
        assert_eq!(arguments.fail_over(), Duration::from_millis(1));
        let arguments = parsed(&[
            "--all",
            "--engine",
            "sample",
            "--rate",
            "500",
            "--duration",
            "2m",
            "--top",
            "3",
            "--events",
            "e",
            "--fail-over",
            "1s",
            "--json",
            "--quiet",
        ]);
        assert_eq!(arguments.engine(), EngineChoice::Sample);
        assert_eq!(arguments.duration(), Some(Duration::from_secs(120)));
        assert_eq!((arguments.rate(), arguments.top()), (Some(500), 3));
        assert_eq!(arguments.events(), Some(Path::new("e")));
        assert_eq!(arguments.fail_over(), Duration::from_secs(1));
        assert!(arguments.is_json() && arguments.is_quiet());
    }
}
