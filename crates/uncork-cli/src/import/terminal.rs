//! The report on the terminal.

use std::io::{self, Write};

use super::summary::{List, Summary};
use crate::output;
use crate::words::{count, printable};

/// Mails of each list that are named on the terminal; all are in the JSON.
const LISTED_MAX: usize = 20;

/// Folders that are named on the terminal.
const FOLDERS_MAX: usize = 100;

/// Prints the report; `redo` says how refused mails are tried again.
pub(super) fn print(
    out: &mut impl Write,
    summary: &Summary<'_>,
    redo: Option<&str>,
) -> io::Result<()> {
    let report = summary.report;
    writeln!(out, "{}", printable(&summary.headline()))?;
    for sentence in summary.sentences() {
        writeln!(out, "{sentence}")?;
    }
    if let Some(means) = summary.means() {
        writeln!(out, "used: {}", printable(&means))?;
    }
    print_folders(out, summary)?;
    let repairs = summary.repairs();
    if !repairs.is_empty() {
        writeln!(out, "\nrepaired, in so many mails:")?;
        let repairs = repairs
            .into_iter()
            .map(|(mails, what)| (count(mails), what));
        for (mails, what) in repairs {
            writeln!(out, "{mails:>11}  {what}")?;
        }
    }
    for list in summary.lists() {
        let redo = redo.filter(|_| list.is_refused);
        print_list(out, &list, report.folders.len() > 1, redo.or(list.advice))?;
    }
    if !report.notes.is_empty() {
        writeln!(out, "\nnotes:")?;
    }
    for note in &report.notes {
        writeln!(out, "  {}", printable(note))?;
    }
    Ok(())
}

fn print_folders(out: &mut impl Write, summary: &Summary<'_>) -> io::Result<()> {
    let folders = &summary.report.folders;
    if folders.len() < 2 {
        return Ok(());
    }
    let columns = summary.folder_columns();
    let names = columns.iter().map(|column| column.name);
    let header: Vec<&str> = ["folder"].into_iter().chain(names).collect();
    let mut table = output::table(&header);
    for folder in folders.iter().take(FOLDERS_MAX) {
        let figures = columns.iter().map(|column| column.text(folder));
        table.add_row([printable(&folder.folder)].into_iter().chain(figures));
    }
    writeln!(out, "\n{}", table.trim_fmt())?;
    print_rest(out, folders.len() as u64, FOLDERS_MAX)
}

fn print_list(
    out: &mut impl Write,
    list: &List<'_>,
    shows_folder: bool,
    advice: Option<&str>,
) -> io::Result<()> {
    writeln!(out, "\n{}:", list.title)?;
    for mail in list.mails.iter().take(LISTED_MAX) {
        let folder = match shows_folder {
            true => format!(" → {}", mail.folder),
            false => String::new(),
        };
        let line = format!("{}{folder}: {}", mail.source, mail.reason);
        writeln!(out, "  {}", printable(&line))?;
    }
    print_rest(out, list.count, LISTED_MAX)?;
    match advice {
        Some(advice) => writeln!(out, "{advice}"),
        None => Ok(()),
    }
}

fn print_rest(out: &mut impl Write, of: u64, shown: usize) -> io::Result<()> {
    match of.saturating_sub(shown as u64) {
        0 => Ok(()),
        rest => writeln!(out, "  … and {} more (--json lists them)", count(rest)),
    }
}

#[cfg(test)]
mod tests {
    use uncork_import::{FolderReport, Refused, Report, Target};

    use super::*;

    fn printed(report: &Report, redo: Option<&str>) -> String {
        let target = Target::parse("imaps://ada@mail.example.org/Old").unwrap();
        let summary = Summary {
            report,
            target: &target,
        };
        let mut out = Vec::new();
        print(&mut out, &summary, redo).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn refused(number: usize, reason: &str) -> Refused {
        Refused {
            source: format!("all.mbox at byte {number}"),
            folder: "Old".to_owned(),
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn one_folder_and_all_well() {
        let mut report = Report::default();
        report.imported = 1;
        report.sources_read = true;
        report.bytes = 1_500_000;
        report.seconds = 0.5;
        report.messages_per_second = 2.0;
        report.connections = 1;
        report.capabilities_used = vec!["LITERAL+".to_owned()];
        insta::assert_snapshot!(printed(&report, Some("unused")), @r#"
        1 mail was imported into Old on mail.example.org (1.50 MB in 500 ms, 2 mails a second)
        used: LITERAL+, 1 connection
        "#);
    }

    #[test]
    fn nothing_new() {
        let mut report = Report::default();
        report.already_there = 12_345;
        report.sources_read = true;
        report.verified = Some(12_345);
        insta::assert_snapshot!(printed(&report, None), @r#"
        nothing new for Old on mail.example.org
        12,345 mails were there already, and not sent again
        12,345 mails were read back, and are what was sent
        "#);
    }

    #[test]
    fn every_kind_of_trouble() {
        let mut report = Report::default();
        report.imported = 5000;
        report.already_there = 1;
        report.not_sent_messages = 7;
        report.flags_dropped = 1;
        report.waited_seconds = 29.6;
        report.reconnects = 2;
        report.connections = 4;
        report.repaired.insert("nul", 12);
        report.repaired.insert("bare_lf", 5000);
        report.refused = (0..22)
            .map(|n| refused(n, "[TOOBIG] too\u{1b}[2J big"))
            .collect();
        report.refused_messages = 22;
        report.unknown = vec![refused(1, "no answer came")];
        report.unknown_messages = 1;
        report.not_verified = vec![refused(2, "is missing")];
        report.not_verified_messages = 1;
        report.altered = vec![refused(3, "has another text")];
        report.altered_messages = 1;
        report.notes = vec!["Drafts is no folder that takes mail".to_owned()];
        for name in ["Old", "Old/Entwürfe"] {
            let mut folder = FolderReport::default();
            folder.folder = name.to_owned();
            folder.imported = 2500;
            folder.bytes = 2_000_000_000;
            report.folders.push(folder);
        }
        insta::assert_snapshot!(printed(&report, Some("to try them again: …")), @r#"
        5,000 mails were imported into 2 folders on mail.example.org (0 B in 0 ms, 0 mails a second)
        1 mail was there already, and not sent again
        1 flag that the server does not take was left out; the mails are in
        7 mails were read and not sent
        there is more mail in the sources, which was not read
        30 s went by in waiting, as the server or a limit asked, all connections together
        a connection was made anew 2 times
        used: 4 connections

        ───────────────────────────────────
         folder         imported      size
        ═══════════════════════════════════
         Old               2,500   2.00 GB
         Old/Entwürfe      2,500   2.00 GB
        ───────────────────────────────────

        repaired, in so many mails:
              5,000  line ends LF made CRLF
                 12  NUL bytes replaced by 0x80

        22 mails did not go in:
          all.mbox at byte 0 → Old: [TOOBIG] too�[2J big
          all.mbox at byte 1 → Old: [TOOBIG] too�[2J big
          all.mbox at byte 2 → Old: [TOOBIG] too�[2J big
          all.mbox at byte 3 → Old: [TOOBIG] too�[2J big
          all.mbox at byte 4 → Old: [TOOBIG] too�[2J big
          all.mbox at byte 5 → Old: [TOOBIG] too�[2J big
          all.mbox at byte 6 → Old: [TOOBIG] too�[2J big
          all.mbox at byte 7 → Old: [TOOBIG] too�[2J big
          all.mbox at byte 8 → Old: [TOOBIG] too�[2J big
          all.mbox at byte 9 → Old: [TOOBIG] too�[2J big
          all.mbox at byte 10 → Old: [TOOBIG] too�[2J big
          all.mbox at byte 11 → Old: [TOOBIG] too�[2J big
          all.mbox at byte 12 → Old: [TOOBIG] too�[2J big
          all.mbox at byte 13 → Old: [TOOBIG] too�[2J big
          all.mbox at byte 14 → Old: [TOOBIG] too�[2J big
          all.mbox at byte 15 → Old: [TOOBIG] too�[2J big
          all.mbox at byte 16 → Old: [TOOBIG] too�[2J big
          all.mbox at byte 17 → Old: [TOOBIG] too�[2J big
          all.mbox at byte 18 → Old: [TOOBIG] too�[2J big
          all.mbox at byte 19 → Old: [TOOBIG] too�[2J big
          … and 2 more (--json lists them)
        to try them again: …

        1 mail may be in or not, because no answer came:
          all.mbox at byte 1 → Old: no answer came
        run the same again: the server is asked, and only what is missing is sent

        1 mail could not be read back as sent:
          all.mbox at byte 2 → Old: is missing

        1 mail is in, but the server changed what was sent:
          all.mbox at byte 3 → Old: has another text

        notes:
          Drafts is no folder that takes mail
        "#);
    }

    #[test]
    fn a_dry_run() {
        let mut report = Report::default();
        report.dry_run = true;
        report.would_import = 3;
        report.already_there = 1;
        insta::assert_snapshot!(printed(&report, None), @r#"
        dry run, nothing was changed: 3 mails would go into Old on mail.example.org
        1 mail is there already
        "#);
    }
}
