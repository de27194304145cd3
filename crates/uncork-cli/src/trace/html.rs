//! The report as one page that needs nothing but itself.
//!
//! One colour means one thing throughout: time that was lost.

use std::collections::BTreeSet;

use uncork_lab::html::{self, Document};
use uncork_trace::report::{Advice, Cause, SocketReport, Stall};
use uncork_trace::{Ends, Report};

use super::summary::{
    all_stalls, connection, excerpt, headline, is_lost, notes, origin, process, shown, traffic,
    true_limit,
};
use super::words;
use crate::words::{count, printable};

mod histogram;
mod shares;
mod timeline;

const STYLE: &str = include_str!("html/page.css");

/// Advice that is on the page.
const ADVICE_MAX: usize = 30;

/// Stalls of one socket that are on the page; all are in the JSON.
const STALLS_MAX: usize = 20;

/// Letters of a pattern, a frame or a note.
const TEXT_LETTERS: usize = 400;

/// Frames of a stack.
const FRAMES_MAX: usize = 16;

/// The report as a self-contained page with its first `top` sockets, and the date on it. Every text in
/// it is escaped.
pub(super) fn page(report: &Report, top: usize, date: &str) -> String {
    let opening = opening(report, date);
    let advice = advice(&report.advice);
    let sockets = sockets(report, top);
    let notes = notes_section(report);
    let document = Document {
        title: "Time lost to TCP",
        style: STYLE,
        main: &format!("{opening}{advice}{sockets}{notes}"),
        footer: concat!(
            "Made by <code>uncork trace --html</code>, version ",
            env!("CARGO_PKG_VERSION"),
            "."
        ),
    };
    document.html()
}

fn opening(report: &Report, date: &str) -> String {
    format!(
        "<h1>Time lost to TCP</h1>\n<p class=\"account\">{}</p>\n<p class=\"lead\">{}.</p>\n{}",
        escape(date),
        escape(&capitalised(&headline(report))),
        totals(report)
    )
}

/// The figures that people look for first.
fn totals(report: &Report) -> String {
    let mut text = String::from("<dl class=\"totals\">\n");
    let mut add = |class: &str, name: &str, figure: &str| {
        text.push_str(&format!(
            "<div><dt>{name}</dt><dd{class}>{figure}</dd></div>\n"
        ));
    };
    let class = if is_lost(report) {
        " class=\"lost\""
    } else {
        ""
    };
    add(
        class,
        "lost",
        &with_error(report.held_ms_total, report.held_ms_error),
    );
    add("", "stalls", &count(all_stalls(report)));
    add("", "connections", &count(report.sockets.len() as u64));
    add(
        "",
        "watched",
        &escape(&words::time(report.seconds * 1000.0)),
    );
    text.push_str("</dl>\n");
    text
}

fn advice(advice: &[Advice]) -> String {
    if advice.is_empty() {
        return String::new();
    }
    let mut text = String::from("<h2>What to do</h2>\n<ol class=\"advice\">\n");
    let mut told: Vec<(Cause, String)> = Vec::new();
    for one in advice.iter().take(ADVICE_MAX) {
        let who = escape(&format!("{} (pid {})", one.command, one.pid));
        let cause = escape(words::cause(one.cause));
        // The texts against one cause differ in their figures only, which stand below.
        let change = match told.iter().find(|(cause, _)| *cause == one.cause) {
            Some((_, first)) => format!("As for {first}."),
            None => escape(&one.change),
        };
        told.push((one.cause, who.clone()));
        text.push_str(&format!(
            "<li>\n<h3>{who} <small>against {cause}</small></h3>\n<p>{change}</p>\n"
        ));
        let copies = [
            ("In the program", &one.line),
            ("Without changing it", &one.repair),
        ];
        for (name, copy) in copies {
            if let Some(copy) = copy {
                let copy = escape(copy);
                text.push_str(&format!(
                    "<p class=\"copy\"><span>{name}</span><code>{copy}</code></p>\n"
                ));
            }
        }
        text.push_str("</li>\n");
    }
    text.push_str("</ol>\n");
    let rest = advice.len().saturating_sub(ADVICE_MAX);
    if rest > 0 {
        text.push_str(&format!(
            "<p class=\"rest\">… and {rest} more (--json lists them).</p>\n"
        ));
    }
    text
}

fn sockets(report: &Report, top: usize) -> String {
    let shown = shown(report, top);
    if shown.sockets.is_empty() {
        return String::new();
    }
    let title = match is_lost(report) {
        true => "Where it was lost",
        false => "What the limit is instead",
    };
    let mut text = format!("<h2>{title}</h2>\n");
    text.push_str(&meanings(&shown.sockets));
    let ends = Ends::of(&report.sockets);
    for (number, socket) in shown.sockets.iter().enumerate() {
        text.push_str(&section(number, socket, &ends));
    }
    if let Some(rest) = shown.rest {
        text.push_str(&format!(
            "<p class=\"rest\">{}.</p>\n",
            escape(&capitalised(&rest))
        ));
    }
    text
}

/// What the causes are, for those who have never heard of them.
fn meanings(sockets: &[&SocketReport]) -> String {
    let stalls = sockets.iter().flat_map(|socket| &socket.stalls);
    let causes: BTreeSet<Cause> = stalls.map(|stall| stall.cause).collect();
    let meanings = causes.into_iter().map(words::meaning);
    meanings
        .map(|meaning| format!("<p>{}</p>\n", escape(meaning)))
        .collect()
}

fn section(number: usize, socket: &SocketReport, ends: &Ends) -> String {
    let mut text = format!(
        "<section>\n<h3>{} <small>{}</small></h3>\n",
        escape(&process(socket)),
        escape(&connection(socket))
    );
    let origin = origin(socket);
    if !origin.is_empty() {
        text.push_str(&format!(
            "<p class=\"origin\"><code>{}</code></p>\n",
            escape(&origin)
        ));
    }
    let traffic = capitalised(&traffic(socket));
    text.push_str(&format!("<p class=\"origin\">{}.</p>\n", escape(&traffic)));
    if socket.stalls.is_empty() {
        let limit = capitalised(&true_limit(socket));
        text.push_str(&format!("<p>{}.</p>\n", escape(&limit)));
    } else {
        text.push_str(&stalls_table(socket, ends));
    }
    text.push_str(&shares::figure(number, socket));
    text.push_str(&timeline::figure(number, &socket.timeline));
    text.push_str(&histogram::figure(number, &socket.holds_ms));
    text.push_str("</section>\n");
    text
}

fn stalls_table(socket: &SocketReport, ends: &Ends) -> String {
    let mut text = String::from(
        "<table>\n<thead><tr><th scope=\"col\">what happened</th><th scope=\"col\">lost</th></tr>\
         </thead>\n<tbody>\n",
    );
    for stall in socket.stalls.iter().take(STALLS_MAX) {
        text.push_str(&stall_row(stall, ends.is_of_peer(socket, stall)));
    }
    text.push_str("</tbody>\n</table>\n");
    let rest = socket.stalls.len().saturating_sub(STALLS_MAX);
    if rest > 0 {
        text.push_str(&format!(
            "<p class=\"rest\">… and {rest} more patterns (--json lists them).</p>\n"
        ));
    }
    text
}

fn stall_row(stall: &Stall, is_of_peer: bool) -> String {
    let mut what = escape(&capitalised(&words::stall(stall)));
    if !stall.pattern.is_empty() {
        let pattern = escape(&excerpt(&stall.pattern, TEXT_LETTERS));
        what.push_str(&format!("<code>{pattern}</code>"));
    }
    if let Some(endings) = words::endings(stall) {
        what.push_str(&format!("<small>{}</small>", escape(&endings)));
    }
    if !stall.stack.is_empty() {
        let frames = stall.stack.iter().take(FRAMES_MAX);
        let frames = frames.map(|frame| escape(&excerpt(frame, TEXT_LETTERS)));
        let frames: Vec<String> = frames.collect();
        what.push_str(&format!("<small>called by {}</small>", frames.join(" ← ")));
    }
    let lost = if is_of_peer {
        "<small>counted at the other end</small>".to_owned()
    } else if stall.cause.is_time() {
        with_error(stall.held_ms_total, stall.held_ms_error)
    } else {
        "–".to_owned()
    };
    format!("<tr><th scope=\"row\">{what}</th><td class=\"lost\">{lost}</td></tr>\n")
}

/// A time, and beneath it how far it may be off.
fn with_error(ms: f64, error_ms: f64) -> String {
    let mut text = escape(&words::time(ms));
    if error_ms > 0.0 {
        text.push_str(&format!(
            "<small>± {}</small>",
            escape(&words::time(error_ms))
        ));
    }
    text
}

fn notes_section(report: &Report) -> String {
    let notes = notes(report);
    let notes = notes.iter().map(|note| excerpt(note, TEXT_LETTERS));
    let notes: String = notes
        .map(|note| format!("<li>{}</li>\n", escape(&capitalised(&note))))
        .collect();
    format!("<h2>Notes</h2>\n<ul>\n{notes}</ul>\n")
}

/// A sentence of the terminal begins small.
fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    // A name keeps its letters: `python3` is not `Python3`.
    let is_name = text.split(' ').nth(1).is_some_and(|word| word == "(pid");
    let first = letters.next();
    let first = match first {
        Some(letter) if !is_name => letter.to_uppercase().collect::<String>(),
        letter => letter.into_iter().collect(),
    };
    first + letters.as_str()
}

/// Text for element content and for quoted attributes.
fn escape(text: &str) -> String {
    html::escape(&printable(text))
}

/// A length on an axis from 0 to 1, as SVG takes it; whatever was computed.
fn percent(fraction: f64) -> String {
    let fraction = if fraction.is_nan() {
        0.0
    } else {
        fraction.clamp(0.0, 1.0)
    };
    format!("{:.2}%", fraction * 100.0)
}

#[cfg(test)]
mod tests;
