//! `uncork import`.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressState, ProgressStyle};
use uncork_import::{Options, Outcome, Progress, Refused, Report, Source, SourceError, Target};

use crate::exit::{Exit, Failure};
use crate::output;

/// The environment variable that may hold the password.
const PASSWORD_VARIABLE: &str = "UNCORK_PASSWORD";

/// How often the progress bar is drawn.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// Mails that did not go in and are named on the terminal; all are in the JSON.
const LISTED_MAX: usize = 20;

/// Put mail into an IMAP server, as fast as the server takes it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  UNCORK_PASSWORD=… uncork import ~/Maildir imap://ada@localhost/Old
  uncork import export/ imap://ada%40example.org@localhost:1143 --password-command 'pass mail'

The folder is made where it is missing; INBOX is the default. A Maildir's flags and the time of
delivery of each mail are kept. A second run imports everything again.")]
pub(crate) struct ImportArgs {
    /// A Maildir (a folder with `cur` and `new` in it) or a folder of .eml files
    source: PathBuf,
    /// imap://user@host[:port][/folder]
    url: String,
    /// Read the password from the first line of this file (else: from UNCORK_PASSWORD)
    #[arg(long, value_name = "FILE", conflicts_with = "password_command")]
    password_file: Option<PathBuf>,
    /// Run this command in a shell; the first line that it prints is the password
    #[arg(long, value_name = "COMMAND")]
    password_command: Option<String>,
    /// Let the password and the mail cross a network without TLS
    #[arg(long)]
    allow_plaintext: bool,
    /// Print one JSON document on stdout, and nothing else there
    #[arg(long)]
    json: bool,
    /// No progress and no summary
    #[arg(long)]
    quiet: bool,
}

/// Imports, prints, and says how it went.
pub(crate) fn run(arguments: &ImportArgs) -> Result<Exit, Failure> {
    let target = Target::parse(&arguments.url).map_err(|error| Failure::new(Exit::Usage, error))?;
    let source = Source::open(&arguments.source).map_err(source_failure)?;
    let mut options = Options::with_password(password(arguments)?);
    options.allow_plaintext = arguments.allow_plaintext;

    let outcome = import_with_progress(&source, &target, &options, arguments);
    let report = &outcome.report;
    let printed = if arguments.json {
        output::json(report)
    } else if !arguments.quiet && report.connections > 0 {
        print_summary(&source, &target, report).map_err(output::failure)
    } else {
        Ok(())
    };
    if arguments.json || arguments.quiet {
        print_losses(report);
    }
    let is_whole = report.refused_messages == 0 && report.unknown_messages == 0;
    match outcome.error {
        // What happened to the mail matters more than an output that could not be written.
        Some(error) => Err(import_failure(error, report)),
        None => printed.map(|()| if is_whole { Exit::Done } else { Exit::Losses }),
    }
}

/// What a person should know even where nothing is printed for people.
fn print_losses(report: &Report) {
    if report.refused_messages + report.unknown_messages > 0 {
        output::note(&format!(
            "uncork: {} mails did not go in, {} may be in or not: --json lists them",
            report.refused_messages, report.unknown_messages
        ));
    }
}

fn source_failure(error: SourceError) -> Failure {
    let kind = match &error {
        SourceError::Unreadable { source, .. } => source.kind(),
        _ => std::io::ErrorKind::InvalidInput,
    };
    Failure::io(Exit::Usage, kind, error)
}

/// The error with what was done by then: who reads it must know what is in and what is not.
fn import_failure(error: uncork_import::ImportError, report: &Report) -> Failure {
    let exit = match &error {
        uncork_import::ImportError::Plaintext { .. }
         => Exit::Usage,
        uncork_import::ImportError::Runtime { .. } => Exit::NotPermitted,
        _ => Exit::FarSide,
    };
    let error = anyhow::Error::new(error);
    let error = if report.connections > 0 {
        error.context(stopped_after(report))
    } else {
        error.context("nothing was imported")
    };
    Failure::new(exit, error)
}

fn stopped_after(report: &Report) -> String {
    let mut text = format!("stopped after {} mails were stored", report.imported);
    let others = [
        (report.refused_messages, "did not go in"),
        (
            report.unknown_messages,
            "may be stored (sent, and no answer came)",
        ),
        (report.not_sent_messages, "were not sent"),
    ];
    for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
        text.push_str(&format!(", {count} {what}"));
    }
    text
}

fn import_with_progress(
    source: &Source,
    target: &Target,
    options: &Options,
    arguments: &ImportArgs,
) -> Outcome {
    let progress = Progress::default();
    if arguments.quiet || !std::io::stderr().is_terminal() {
        return uncork_import::import(std::slice::from_ref(source), target, options, &progress);
    }
    let bar = ProgressBar::new(source.messages().unwrap_or(0));
    if let Ok(style) = ProgressStyle::with_template(
        "{bar:20} {human_pos}/{human_len} mails  {rate}  {msg}  {eta} left",
    ) {
        bar.set_style(style.with_key("rate", show_rate));
    }
    std::thread::scope(|scope| {
        let (done, is_done) = mpsc::channel::<()>();
        let (progress, bar) = (&progress, &bar);
        scope.spawn(move || {
            while let Err(mpsc::RecvTimeoutError::Timeout) = is_done.recv_timeout(PROGRESS_INTERVAL)
            {
                bar.set_message(HumanBytes(progress.bytes()).to_string());
                bar.set_position(progress.stored() + progress.refused());
            }
            bar.finish_and_clear();
        });
        let outcome = uncork_import::import(std::slice::from_ref(source), target, options, progress);
        drop(done);
        outcome
    })
}

/// Mails a second in whole ones: indicatif's own rate has four digits behind the point.
fn show_rate(state: &ProgressState, out: &mut dyn std::fmt::Write) {
    // A progress bar that can't be written is no reason to stop.
    let _ = write!(out, "{}/s", HumanCount(rounded(state.per_sec())));
}

/// The password, by the first way that is given: file, command, environment.
fn password(arguments: &ImportArgs) -> Result<String, Failure> {
    let usage = |error: anyhow::Error| Failure::new(Exit::Usage, error);
    if let Some(path) = &arguments.password_file {
        return password_from_file(path).map_err(|error| {
            let cause = error.downcast_ref::<std::io::Error>();
            let kind = cause.map_or(std::io::ErrorKind::Other, std::io::Error::kind);
            Failure::io(Exit::Usage, kind, error)
        });
    }
    if let Some(command) = &arguments.password_command {
        return password_from_command(command).map_err(usage);
    }
    std::env::var(PASSWORD_VARIABLE).map_err(|error| {
        if error != std::env::VarError::NotPresent {
            return usage(anyhow::anyhow!("{PASSWORD_VARIABLE} is no UTF-8 text"));
        }
        usage(anyhow::anyhow!(
            "no password: put it into the environment variable {PASSWORD_VARIABLE}, or name a \
             --password-file or a --password-command"
        ))
    })
}

fn password_from_file(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the password file {} can't be read", path.display()))?;
    first_line(&text).with_context(|| format!("the password file {} is empty", path.display()))
}

fn password_from_command(command: &str) -> anyhow::Result<String> {
    let output = Command::new("sh")
        .args(["-c", command])
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("the password command could not be started")?;
    anyhow::ensure!(
        output.status.success(),
        "the password command ended with {}",
        output.status
    );
    let text = String::from_utf8(output.stdout).context("the password command printed no text")?;
    first_line(&text).context("the password command printed nothing")
}

fn first_line(text: &str) -> Option<String> {
    let line = text.lines().next()?;
    (!line.is_empty()).then(|| line.to_owned())
}

fn print_summary(source: &Source, target: &Target, report: &Report) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} of {} mails are in {} on {} ({}, {:.1} s, {} mails a second)",
        HumanCount(report.imported),
        HumanCount(source.messages().unwrap_or(0)),
        target.folder.as_deref().unwrap_or("INBOX"),
        target.host,
        HumanBytes(report.bytes),
        report.seconds,
        HumanCount(rounded(report.messages_per_second)),
    )?;
    if !report.capabilities_used.is_empty() {
        writeln!(out, "used: {}", report.capabilities_used.join(", "))?;
    }
    list(
        &mut out,
        "did not go in",
        report.refused_messages,
        &report.refused,
    )?;
    list(
        &mut out,
        "may be in or not (look before you import them again)",
        report.unknown_messages,
        &report.unknown,
    )?;
    Ok(())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people; the cast saturates"
)]
fn rounded(rate: f64) -> u64 {
    rate.round() as u64
}

/// A file's name may hold what a terminal would obey.
fn printable(name: &str) -> String {
    name.replace(char::is_control, "\u{fffd}")
}

fn list(out: &mut impl Write, what: &str, count: u64, mails: &[Refused]) -> anyhow::Result<()> {
    if count == 0 {
        return Ok(());
    }
    writeln!(out, "{} {what}:", HumanCount(count))?;
    for mail in mails.iter().take(LISTED_MAX) {
        writeln!(out, "  {}: {}", printable(&mail.source), mail.reason)?;
    }
    let rest = count.saturating_sub(LISTED_MAX as u64);
    if rest > 0 {
        writeln!(out, "  … and {} more (--json lists them)", HumanCount(rest))?;
    }
    Ok(())
}
