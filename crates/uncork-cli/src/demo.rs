//! `uncork demo`.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;
use comfy_table::{CellAlignment, Table, TableComponent, presets};
use indicatif::{ProgressBar, ProgressStyle};
use uncork_lab::demo::{self, DemoError, DemoReport, MESSAGES_DEFAULT, MailRow, Network, WebRow};

use crate::exit::{Exit, Failure};
use crate::output;

/// Show what small writes cost on this machine, and what whole messages do about it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  uncork demo
  uncork demo --html demo.html
  uncork demo --messages 500 --json | jq .sentences

Takes a quarter of a minute. Everything happens on loopback, with embedded servers and in temporary
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

/// Runs the demo and prints what was seen.
pub(crate) fn run(arguments: &DemoArgs) -> Result<Exit, Failure> {
    // A page that can't be written is better known now than at the end. What is there stays
    // until there is something to put in its place.
    let page = arguments.html.as_ref().map(|path| {
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        file.map(|file| (path, file))
            .map_err(|error| cannot_write(path, error))
    });
    let page = page.transpose()?;
    let report = run_with_progress(arguments).map_err(demo_failure)?;
    if let Some((path, mut file)) = page {
        let page = demo::page(&report);
        replace(&mut file, page.as_bytes()).map_err(|error| cannot_write(path, error))?;
        if !arguments.quiet {
            output::note(&format!("the page is in {}", path.display()));
        }
    }
    if arguments.json {
        output::json(&report)?;
    } else if !arguments.quiet {
        print_tables(&report).map_err(output::failure)?;
    }
    Ok(Exit::Done)
}

/// Puts `bytes` in the place of what a file holds; a pipe or a device has nothing to empty.
fn replace(file: &mut File, bytes: &[u8]) -> std::io::Result<()> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    file.write_all(bytes)
}

fn cannot_write(path: &std::path::Path, error: std::io::Error) -> Failure {
    let kind = error.kind();
    let error = anyhow::Error::new(error).context(format!("{} can't be written", path.display()));
    Failure::io(Exit::Usage, kind, error)
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
    let report = demo::run(arguments.messages, |step| {
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
    for sentence in &report.sentences {
        writeln!(out, "* {sentence}")?;
    }
    writeln!(out, "\n({:.0} s)", report.seconds)?;
    Ok(())
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    for line in [
        TableComponent::HorizontalLines,
        TableComponent::MiddleIntersections,
        TableComponent::LeftBorderIntersections,
        TableComponent::RightBorderIntersections,
    ] {
        table.remove_style(line);
    }
    table.set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn mail_table(report: &DemoReport, is_shown: impl Fn(&MailRow) -> bool) -> Table {
    let mut table = table(&[
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

fn web_table(rows: &[WebRow]) -> Table {
    let mut table = table(&[
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_replaces() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "an older and longer page").unwrap();
        let open = |path: &std::path::Path| File::options().write(true).open(path).unwrap();
        replace(&mut open(file.path()), b"new").unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), b"new");
        // A device can't be emptied, and needs not be.
        replace(&mut open("/dev/null".as_ref()), b"new").unwrap();
    }
}
