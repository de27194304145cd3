//! `uncork import`.

use std::io::Write;

use serde::Serialize;
use uncork_import::{
    ImportError, JournalPlace, Options, Outcome, Progress, Report, Source, Target,
};

use crate::exit::{Exit, Failure};
use crate::output::{self, Page};
use crate::words;
use arguments::OutputArgs;
use summary::Summary;

mod again;
mod arguments;
mod choice;
mod credentials;
mod examples;
mod failure;
mod html;
mod progress;
mod signals;
mod size;
mod summary;
mod terminal;

pub(crate) use arguments::ImportArgs;

/// Imports, prints, and says how it went.
pub(crate) fn run(arguments: &ImportArgs) -> Result<Exit, Failure> {
    let is_quiet = arguments.output.quiet;
    let target = arguments.target()?;
    let mut options = arguments.options()?;
    let sources = arguments.open_sources()?;
    let page = arguments.output.html.as_deref().map(Page::open);
    let page = page.transpose()?;
    if arguments.login.insecure {
        output::note(
            "WARNING: --insecure: the server's certificate is not checked; whoever is on the way \
             can read and alter the password and all mail",
        );
    }
    if !is_quiet && !arguments.output.json {
        sources.iter().for_each(announce);
    }
    options.credentials = arguments.login.credentials(&target)?;

    let outcome = import(&sources, &target, &options, is_quiet)?;
    let told = tell(arguments, &options, &target, &outcome, page);
    let report = &outcome.report;
    // What happened to the mail matters more than an output that could not be written.
    if let Some(error) = outcome.error {
        let advice = failure::advice(&error, &options, report);
        return Err(failure::failure(error, report).advised(advice));
    }
    told?;
    Ok(if is_whole(report) {
        Exit::Done
    } else {
        Exit::Losses
    })
}

/// Writes and prints what was done, in all the ways that were asked for.
fn tell(
    arguments: &ImportArgs,
    options: &Options,
    target: &Target,
    outcome: &Outcome,
    page: Option<Page>,
) -> Result<(), Failure> {
    let OutputArgs { json, quiet, .. } = arguments.output;
    let report = &outcome.report;
    let summary = Summary { report, target };
    let written = page.map_or(Ok(()), |page| {
        let error = outcome.error.as_ref().map(chain);
        let date = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M %Z").to_string();
        page.write(&html::page(&summary, error.as_deref(), &date), quiet)
    });
    let printed = if json {
        output::json(&Document::new(outcome))
    } else if !quiet && report.connections > 0 {
        let redo = redo(arguments, options);
        let mut out = std::io::stdout().lock();
        let printed = terminal::print(&mut out, &summary, redo.as_deref());
        printed.and_then(|()| out.flush()).map_err(output::failure)
    } else {
        Ok(())
    };
    if json || quiet {
        note_losses(report, json);
    }
    written.and(printed)
}

/// Whether all mail of the sources is where it should be.
fn is_whole(report: &Report) -> bool {
    let losses = report.refused_messages + report.unknown_messages + report.not_verified_messages;
    losses == 0 && report.sources_read
}

/// Says what a source was taken for, so that a wrong guess is seen before anything is sent.
fn announce(source: &Source) {
    let mut line = format!("{}: {}", source.path().display(), source.description());
    if let Some(mails) = source.messages() {
        line.push_str(&format!(", {}", words::counted(mails, "mail")));
    }
    if let Some(bytes) = source.bytes() {
        line.push_str(&format!(", {}", words::size(bytes)));
    }
    output::note(&words::printable(&line));
}

fn import(
    sources: &[Source],
    target: &Target,
    options: &Options,
    is_quiet: bool,
) -> Result<Outcome, Failure> {
    let bar = progress::bar(is_quiet);
    signals::watch(options.stop.clone(), bar.clone())
        .map_err(|error| Failure::new(Exit::NotPermitted, error))?;
    let progress = Progress::default();
    Ok(progress::watched(&bar, sources, &progress, || {
        uncork_import::import(sources, target, options, &progress)
    }))
}

/// What a person should know even where nothing is printed for people.
fn note_losses(report: &Report, is_json: bool) {
    let Report {
        refused_messages: refused,
        unknown_messages: unknown,
        not_verified_messages: not_verified,
        ..
    } = report;
    let losses = [
        (refused, "did not go in"),
        (unknown, "may be in or not"),
        (not_verified, "could not be read back as sent"),
    ];
    let losses = losses.into_iter().filter(|(count, _)| **count > 0);
    let losses: Vec<String> = losses
        .map(|(count, what)| format!("{} {what}", words::counted(*count, "mail")))
        .collect();
    if losses.is_empty() {
        return;
    }
    let hint = if is_json { "" } else { ": --json lists them" };
    output::note(&format!("uncork: {}{hint}", losses.join(", ")));
}

/// How to try the refused mails again.
fn redo(arguments: &ImportArgs, options: &Options) -> Option<String> {
    if options.dry_run {
        return None;
    }
    if options.journal == JournalPlace::Memory {
        return Some("to try again, run the same command again".to_owned());
    }
    // A careless command (`echo secret`) must not get into somebody's log.
    if arguments.login.has_command() {
        return Some(
            "to try again, when the reason is gone: the same command with --retry-refused"
                .to_owned(),
        );
    }
    let command = again::retry_command(std::env::args_os());
    Some(format!(
        "to try again, when the reason is gone:\n  {}",
        words::printable(&command)
    ))
}

/// An error with its causes, on one line.
fn chain(error: &ImportError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Document<'a> {
    /// Why it ended before the last mail.
    error: Option<String>,
    #[serde(flatten)]
    report: &'a Report,
}

impl<'a> Document<'a> {
    fn new(outcome: &'a Outcome) -> Self {
        Self {
            error: outcome.error.as_ref().map(chain),
            report: &outcome.report,
        }
    }
}
