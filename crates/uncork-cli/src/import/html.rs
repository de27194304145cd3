//! The report as one page that needs nothing but itself.

use std::fmt::Write;

use uncork_import::Refused;
use uncork_lab::html::{self, Document};

use super::summary::Summary;
use crate::words::{count, printable, size};

const STYLE: &str = include_str!("html/page.css");

/// Mails that each list of the page names; a browser takes long for more.
const LISTED_MAX: usize = 1000;

/// The report as a self-contained page, with the date on it. Every text in it is escaped.
pub(super) fn page(summary: &Summary<'_>, error: Option<&str>, date: &str) -> String {
    let target = summary.target;
    let title = format!("Mail of {} on {}", target.user, target.host);
    let title = printable(&title);
    let opening = opening(summary, &title, error, date);
    let folders = folders(summary);
    let lists = lists(summary);
    let repairs = repairs(summary);
    let notes = notes(summary);
    let document = Document {
        title: &title,
        style: STYLE,
        main: &format!("{opening}{folders}{lists}{repairs}{notes}"),
        footer: concat!(
            "Made by <code>uncork import --html</code>, version ",
            env!("CARGO_PKG_VERSION"),
            "."
        ),
    };
    document.html()
}

fn opening(summary: &Summary<'_>, title: &str, error: Option<&str>, date: &str) -> String {
    let mut text = format!(
        "<h1>{}</h1>\n<p class=\"account\">{}</p>\n<p class=\"lead\">{}.</p>\n",
        escape(title),
        escape(date),
        escape(&capitalised(&summary.headline()))
    );
    if let Some(error) = error {
        push(
            &mut text,
            format_args!("<p class=\"error\">It ended early: {}</p>\n", escape(error)),
        );
    }
    text.push_str(&totals(summary));
    for sentence in summary.sentences() {
        push(
            &mut text,
            format_args!("<p>{}.</p>\n", escape(&capitalised(&sentence))),
        );
    }
    text
}

/// The figures that people look for first; those of losses only where there are any.
fn totals(summary: &Summary<'_>) -> String {
    let report = summary.report;
    let went = match report.dry_run {
        true => ("would go in", report.would_import),
        false => ("imported", report.imported),
    };
    let mut text = String::from("<dl class=\"totals\">\n");
    let mut add = |class: &str, name: &str, figure: &str| {
        push(
            &mut text,
            format_args!("<div><dt>{name}</dt><dd{class}>{figure}</dd></div>\n"),
        );
    };
    add("", went.0, &count(went.1));
    add("", "there already", &count(report.already_there));
    let losses = [
        ("did not go in", report.refused_messages),
        ("in or not", report.unknown_messages),
        ("not read back as sent", report.not_verified_messages),
    ];
    for (name, mails) in losses.into_iter().filter(|(_, mails)| *mails > 0) {
        add(" class=\"lost\"", name, &count(mails));
    }
    if !report.dry_run {
        add("", "size", &size(report.bytes));
    }
    text.push_str("</dl>\n");
    text
}

fn folders(summary: &Summary<'_>) -> String {
    let columns = summary.folder_columns();
    let folders = &summary.report.folders;
    if folders.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "<h2>Folders</h2>\n<div class=\"scroll\" tabindex=\"0\">\n<table>\n\
         <thead><tr><th scope=\"col\">folder</th>",
    );
    for column in &columns {
        push(
            &mut text,
            format_args!("<th scope=\"col\">{}</th>", column.name),
        );
    }
    text.push_str("</tr></thead>\n<tbody>\n");
    for folder in folders {
        let name = escape(&folder.folder);
        push(&mut text, format_args!("<tr><th scope=\"row\">{name}</th>"));
        for column in &columns {
            push(&mut text, format_args!("<td>{}</td>", column.text(folder)));
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</tbody>\n</table>\n</div>\n");
    text
}

fn lists(summary: &Summary<'_>) -> String {
    let mut text = String::new();
    for list in summary.lists() {
        push(
            &mut text,
            format_args!("<h2>{}</h2>\n", escape(&list.title)),
        );
        let redo = redo(summary);
        let advice = redo.filter(|_| list.is_refused).or(list.advice);
        let advice = advice.map(|advice| format!("{}.", capitalised(advice)));
        if let Some(advice) = advice {
            push(
                &mut text,
                format_args!("<p class=\"advice\">{}</p>\n", escape(&advice)),
            );
        }
        text.push_str(&mails(list.mails, list.count));
    }
    text
}

/// How refused mails are tried again. Not the command itself, which may hold what is nobody else's
/// business.
fn redo(summary: &Summary<'_>) -> Option<&'static str> {
    match summary.report {
        report if report.dry_run => None,
        report if report.journal.is_none() => Some("to try again, run the same command again"),
        _ => Some("to try again, run the same command with --retry-refused"),
    }
}

fn mails(mails: &[Refused], of: u64) -> String {
    let mut text = String::from("<ul class=\"mails\">\n");
    for mail in mails.iter().take(LISTED_MAX) {
        let reason = escape(&capitalised(&mail.reason));
        let place = escape(&format!("{} → {}", mail.source, mail.folder));
        push(
            &mut text,
            format_args!("<li>{reason}<code>{place}</code></li>\n"),
        );
    }
    text.push_str("</ul>\n");
    let rest = of.saturating_sub(LISTED_MAX as u64);
    if rest > 0 {
        push(
            &mut text,
            format_args!("<p class=\"advice\">… and {} more.</p>\n", count(rest)),
        );
    }
    text
}

fn repairs(summary: &Summary<'_>) -> String {
    let repairs = summary.repairs();
    if repairs.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "<h2>Repaired</h2>\n<div class=\"scroll\" tabindex=\"0\">\n<table>\n\
         <thead><tr><th scope=\"col\">what was done</th><th scope=\"col\">mails</th></tr></thead>\n\
         <tbody>\n",
    );
    for (mails, what) in repairs {
        let (what, mails) = (escape(what), count(mails));
        push(
            &mut text,
            format_args!("<tr><th scope=\"row\">{what}</th><td>{mails}</td></tr>\n"),
        );
    }
    text.push_str("</tbody>\n</table>\n</div>\n");
    let repaired = &summary.report.repaired_list;
    if !repaired.is_empty() {
        text.push_str(&mails(repaired, repaired.len() as u64));
    }
    text
}

fn notes(summary: &Summary<'_>) -> String {
    let report = summary.report;
    let means = summary.means().map(|means| format!("Used: {means}"));
    let journal = report.journal.as_ref();
    let journal = journal.map(|path| format!("Journal: {}", path.display()));
    let notes: Vec<String> = report
        .notes
        .iter()
        .cloned()
        .chain(means)
        .chain(journal)
        .collect();
    if notes.is_empty() {
        return String::new();
    }
    let mut text = String::from("<h2>Notes</h2>\n<ul>\n");
    for note in &notes {
        push(
            &mut text,
            format_args!("<li>{}</li>\n", escape(&capitalised(note))),
        );
    }
    text.push_str("</ul>\n");
    text
}

fn push(text: &mut String, piece: std::fmt::Arguments<'_>) {
    // Writing to a String can't fail.
    let _ = text.write_fmt(piece);
}

/// A sentence of the terminal begins small.
fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).collect()
}

/// Text of a server for element content and for quoted attributes.
fn escape(text: &str) -> String {
    html::escape(&printable(text))
}

#[cfg(test)]
mod tests {
    use uncork_import::{Report, Target};

    use super::*;

    #[test]
    fn nothing_of_a_server_becomes_markup() {
        let evil = "<script>alert(\"1\")</script>\u{1b}&'";
        let mut report = Report::default();
        report.refused = vec![Refused {
            source: evil.to_owned(),
            folder: evil.to_owned(),
            reason: evil.to_owned(),
        }];
        report.refused_messages = 1;
        report.notes = vec![evil.to_owned()];
        let target = Target::parse("imap://a%3Cscript%3E@localhost/%3Cscript%3E").unwrap();
        let summary = Summary {
            report: &report,
            target: &target,
        };
        let page = page(&summary, Some(evil), "today");
        assert!(
            !page.contains("<script") && !page.contains('\u{1b}'),
            "{page}"
        );
        assert_eq!(
            page.matches("&lt;script&gt;alert(&quot;1&quot;)").count(),
            5
        );
    }
}
