//! `uncork demo`.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use comfy_table::{CellAlignment, Table};
use indicatif::{ProgressBar, ProgressStyle};
use uncork_lab::demo::{
    self, DemoError, DemoReport, MESSAGES_DEFAULT, MailRow, Network, ProgramStory, Programs, WebRow,
};

use crate::exit::{Exit, Failure};
use crate::output::{self, Page};

/// Show what small writes cost on this machine, and what whole messages do about it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  uncork demo
  uncork demo --html demo.html
  uncork demo --messages 500 --json | jq .sentences

Takes half a minute. Everything happens on loopback, with embedded servers and in temporary
folders; no privileges are needed.")]
pub(crate) struct DemoArgs {
    /// Mails for the fast rows (slow rows take fewer and say so)
    #[arg(long, value_name = "N", default_value_t = MESSAGES_DEFAULT,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    messages: u32,
    /// Print one JSON document on stdout, and nothing else there
    #[arg(long)]
    json: bool,
    /// Write a page with tables and plots to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// No progress and no tables
    #[arg(long)]
    quiet: bool,
}

/// The importer of the demo's last story, which runs as a program of its own; only the demo starts it.
#[derive(Debug, Args)]
pub(crate) struct ImporterArgs {
    addr: SocketAddr,
    mails: usize,
    took: PathBuf,
}

/// The verb of [`ImporterArgs`].
const IMPORTER: &str = "demo-importer";

/// Is the importer.
pub(crate) fn import(arguments: &ImporterArgs) -> Result<Exit, Failure> {
    let ImporterArgs { addr, mails, took } = arguments;
    let imported = demo::import_naively(*addr, *mails, took);
    imported.map(|()| Exit::Done).map_err(demo_failure)
}

/// Runs the demo and prints what was seen.
pub(crate) fn run(arguments: &DemoArgs) -> Result<Exit, Failure> {
    let page = arguments.html.as_deref().map(Page::open).transpose()?;
    let report = run_with_progress(arguments).map_err(demo_failure)?;
    if let Some(page) = page {
        page.write(&demo::page(&report), arguments.quiet)?;
    }
    if arguments.json {
        output::json(&report)?;
    } else if !arguments.quiet {
        print_tables(&report).map_err(output::failure)?;
    }
    Ok(Exit::Done)
}

fn demo_failure(error: DemoError) -> Failure {
    let kind = match &error {
        DemoError::System { source, .. } => source.kind(),
        _ => std::io::ErrorKind::Other,
    };
    Failure::io(Exit::FarSide, kind, error)
}

fn run_with_progress(arguments: &DemoArgs) -> Result<DemoReport, DemoError> {
    let is_shown = !arguments.quiet && std::io::stderr().is_terminal();
    let bar = if is_shown {
        ProgressBar::new(1)
    } else {
        ProgressBar::hidden()
    };
    if let Ok(style) = ProgressStyle::with_template("{bar:20} {pos}/{len}  {msg}  {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    let uncork = std::env::current_exe().map_err(|source| DemoError::System {
        what: "the place of its own program",
        source,
    })?;
    let programs = Programs {
        uncork,
        importer: IMPORTER,
    };
    let report = demo::run(arguments.messages, &programs, |step| {
        bar.set_length(step.of as u64);
        bar.set_position(step.number as u64);
        bar.set_message(step.what.clone());
    });
    bar.finish_and_clear();
    report
}

fn print_tables(report: &DemoReport) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let machine = &report.machine;
    writeln!(
        out,
        "{}, {} ({} cores), {}\n",
        machine.kernel, machine.cpu, machine.cores, machine.date
    )?;
    let mail = &report.mail;
    writeln!(
        out,
        "{} mails into the embedded IMAP server, over loopback",
        mail.messages
    )?;
    let is_link = |row: &&MailRow| row.network == Network::Link;
    writeln!(out, "{}\n", mail_table(report, |row| !is_link(&row)))?;
    writeln!(
        out,
        "the best of them over a link with a round trip of {} ms",
        mail.link_round_trip_ms
    )?;
    writeln!(out, "{}\n", mail_table(report, |row| is_link(&row)))?;
    writeln!(
        out,
        "a header of {} bytes and a file, over loopback with segments of {} bytes (medians of {})",
        report.web.head_bytes, report.web.segment_bytes, report.web.rounds
    )?;
    writeln!(out, "{}\n", web_table(&report.web.rows))?;
    writeln!(out, "the naive client as a program of its own, unchanged")?;
    writeln!(out, "{}\n", program_table(&report.program))?;
    for refused in &report.program.refused {
        writeln!(out, "{refused}\n")?;
    }
    for sentence in &report.sentences {
        writeln!(out, "* {sentence}")?;
    }
    writeln!(out, "\n({:.0} s)", report.seconds)?;
    Ok(())
}

fn mail_table(report: &DemoReport, is_shown: impl Fn(&MailRow) -> bool) -> Table {
    let mut table = output::table(&[
        "",
        "mails",
        "mails/s",
        "ms/mail",
        "segs/mail",
        "held",
        "ms held",
        "× as fast",
    ]);
    for row in report.mail.rows.iter().filter(|row| is_shown(row)) {
        let network = match row.network {
            Network::LoopbackRealSegments => ", real segments",
            Network::Loopback | Network::Link => "",
        };
        table.add_row([
            format!("{}{network}", row.manner.name()),
            row.messages.to_string(),
            format!("{:.0}", row.messages_per_second),
            format!("{:.3}", row.ms_per_message),
            format!("{:.2}", row.segments_per_message),
            row.messages_held.to_string(),
            format!("{:.0}", row.held_ms_total),
            format!("{:.1}", row.times_as_fast),
        ]);
    }
    table
}

fn program_table(story: &ProgramStory) -> Table {
    let mut table = output::table(&["", "mails", "ms/mail", "stalls seen", "ms held", "by"]);
    for row in &story.rows {
        let seen = row.seen.as_ref();
        table.add_row([
            row.manner.name().to_owned(),
            row.messages.to_string(),
            format!("{:.3}", row.ms_per_message),
            seen.map_or_else(String::new, |seen| seen.stalls.to_string()),
            seen.map_or_else(String::new, |seen| format!("{:.0}", seen.held_ms_total)),
            seen.map_or_else(String::new, |seen| seen.engine.clone()),
        ]);
    }
    table
}

fn web_table(rows: &[WebRow]) -> Table {
    let mut table = output::table(&[
        "file, bytes",
        "sent as",
        "segments",
        "least",
        "calls",
        "CPU µs",
        "latency µs",
    ]);
    if let Some(manner) = table.column_mut(1) {
        manner.set_cell_alignment(CellAlignment::Left);
    }
    let mut body_before = None;
    for row in rows {
        let is_first = body_before.replace(row.body_bytes) != Some(row.body_bytes);
        let segments = if row.segments_max > row.segments {
            format!("{} (at most {})", row.segments, row.segments_max)
        } else {
            row.segments.to_string()
        };
        table.add_row([
            if is_first {
                row.body_bytes.to_string()
            } else {
                String::new()
            },
            row.manner.name().to_owned(),
            segments,
            row.least_segments.to_string(),
            row.system_calls.to_string(),
            format!("{:.0}", row.cpu_us),
            format!("{:.0}", row.latency_us),
        ]);
    }
    table
}
