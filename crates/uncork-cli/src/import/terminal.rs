//! The report on the terminal.

use std::io::{self, Write};

use super::summary::{List, Summary};
use super::words::{count, printable};
use crate::output;

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
    writeln!(out, "\n{table}")?;
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
