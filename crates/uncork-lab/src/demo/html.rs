//! The demo's report as one page that needs nothing but itself.
//!
//! One colour means one thing throughout: time or segments that were lost.

mod mail;
mod notes;
mod plot;
mod program;
mod scale;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod web;

use super::{DemoReport, Machine};
use crate::html::{Document, escape};
use text::{count, figure};

const STYLE: &str = include_str!("html/page.css");

const TITLE: &str = "What TCP’s small writes cost on this machine";

/// The report as a self-contained HTML page.
///
/// Every text of the report is escaped, and figures that are not finite show as a dash.
#[must_use]
pub fn page(report: &DemoReport) -> String {
    let opening = opening(report);
    let mail = mail::section(&report.mail);
    let web = web::section(&report.web);
    let program = program::section(&report.program);
    let notes = notes::section(report);
    let seconds = figure(report.seconds);
    let document = Document {
        title: TITLE,
        style: STYLE,
        main: &format!("{opening}{mail}{web}{program}{notes}"),
        footer: &format!("Made by <code>uncork demo --html</code> in {seconds} seconds."),
    };
    document.html()
}

fn opening(report: &DemoReport) -> String {
    let machine = machine(&report.machine);
    let sentences: String = report
        .sentences
        .iter()
        .map(|sentence| format!("<p>{}</p>\n", escape(sentence)))
        .collect();
    format!(
        "<header>\n<h1>{TITLE}</h1>\n<p class=\"machine\">{machine}</p>\n</header>\n\
         <div class=\"lead\">\n{sentences}</div>\n"
    )
}

/// Kernel, processor, cores and date, as far as the system told them.
fn machine(machine: &Machine) -> String {
    let cores = match machine.cores {
        1 => "1 core".to_owned(),
        cores => format!("{} cores", count(cores as u64)),
    };
    let parts: String = [&machine.kernel, &machine.cpu, &cores]
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(|part| format!("<span>{}</span> ", escape(part)))
        .collect();
    format!("{parts}<span>{}</span>", escape(&date(&machine.date)))
}

/// A UTC date of RFC 3339 as people write it; any other text as it is.
fn date(rfc3339: &str) -> String {
    match rfc3339
        .strip_suffix('Z')
        .and_then(|utc| utc.split_once('T'))
    {
        Some((day, time)) => format!("{day}, {time} UTC"),
        None => rfc3339.to_owned(),
    }
}
