//! The report on the terminal.

use std::collections::BTreeSet;
use std::io::{self, Write};

use uncork_trace::Report;
use uncork_trace::report::{Advice, Cause, SocketReport, Stall};

use super::summary::{
    connection, excerpt, headline, is_lost, notes, origin, process, shown, times, traffic,
    true_limit,
};
use super::words;
use crate::words::printable;

/// Columns of a line. Lines to copy are never broken.
const WIDTH: usize = 100;

/// Columns before the text of a named line.
const INDENT: usize = 13;

/// Stalls of one socket that are printed; all are in the JSON.
const STALLS_MAX: usize = 6;

/// Frames of a stack that are printed.
const FRAMES_MAX: usize = 8;

/// Letters that are printed of a pattern or a stack.
const TEXT_LETTERS: usize = 400;

/// Advice that is printed.
const ADVICE_MAX: usize = 10;

/// Prints the report, with the first `top` sockets.
pub(super) fn print(out: &mut impl Write, report: &Report, top: usize) -> io::Result<()> {
    let headline = format!("uncork lost-time report: {}", headline(report));
    writeln!(out, "{}", wrapped(&headline, 0))?;
    let shown = shown(report, top);
    if !is_lost(report) && !shown.sockets.is_empty() {
        writeln!(out, "what the limit is instead:")?;
    }
    for (index, socket) in shown.sockets.iter().enumerate() {
        writeln!(out)?;
        print_socket(out, index + 1, socket)?;
    }
    if let Some(rest) = shown.rest {
        writeln!(out, "\n{rest}")?;
    }
    print_meanings(out, &shown.sockets)?;
    print_advice(out, &report.advice)?;
    writeln!(out, "\nnotes")?;
    for note in notes(report) {
        writeln!(out, "  - {}", wrapped(&note, 4))?;
    }
    Ok(())
}

fn print_socket(out: &mut impl Write, number: usize, socket: &SocketReport) -> io::Result<()> {
    writeln!(out, "{number}. {}  {}", process(socket), connection(socket))?;
    let origin = origin(socket);
    if !origin.is_empty() {
        named(out, "is", &origin)?;
    }
    for stall in socket.stalls.iter().take(STALLS_MAX) {
        print_stall(out, socket, stall)?;
    }
    let rest = socket.stalls.len().saturating_sub(STALLS_MAX);
    if rest > 0 {
        named(
            out,
            "",
            &format!("… and {rest} more patterns (--json lists them)"),
        )?;
    }
    named(out, "sent", &traffic(socket))?;
    if let Some(times) = times(socket) {
        named(out, "its time", &times)?;
    }
    if socket.stalls.is_empty() {
        named(out, "limit", &true_limit(socket))?;
    }
    Ok(())
}

fn print_stall(out: &mut impl Write, socket: &SocketReport, stall: &Stall) -> io::Result<()> {
    let (name, text) = if stall.cause.is_time() {
        let mut lost = format!(
            "{} of {}",
            words::time(stall.held_ms_total),
            words::time(socket.seconds * 1000.0)
        );
        if stall.held_ms_error > 0.0 {
            lost = format!("about {lost} (± {})", words::time(stall.held_ms_error));
        }
        ("lost", format!("{lost}: {}", words::stall(stall)))
    } else {
        ("also", words::stall(stall))
    };
    named(out, name, &text)?;
    if let Some(endings) = words::endings(stall) {
        named(out, "ended", &endings)?;
    }
    if !stall.pattern.is_empty() {
        named(out, "pattern", &excerpt(&stall.pattern, TEXT_LETTERS))?;
    }
    if !stall.stack.is_empty() {
        let frames: Vec<&str> = stall
            .stack
            .iter()
            .map(String::as_str)
            .take(FRAMES_MAX)
            .collect();
        named(
            out,
            "called by",
            &excerpt(&frames.join(" ← "), TEXT_LETTERS),
        )?;
    }
    Ok(())
}

/// What the causes are, for those who have never heard of them.
fn print_meanings(out: &mut impl Write, sockets: &[&SocketReport]) -> io::Result<()> {
    let stalls = sockets.iter().flat_map(|socket| &socket.stalls);
    let causes: BTreeSet<Cause> = stalls.map(|stall| stall.cause).collect();
    if causes.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nwhat that means")?;
    for cause in causes {
        writeln!(out, "  - {}", wrapped(words::meaning(cause), 4))?;
    }
    Ok(())
}

fn print_advice(out: &mut impl Write, advice: &[Advice]) -> io::Result<()> {
    if advice.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nwhat to do")?;
    let mut told: Vec<(Cause, usize)> = Vec::new();
    for (number, one) in (1..).zip(advice.iter().take(ADVICE_MAX)) {
        let who = format!("{} (pid {})", printable(&one.command), one.pid);
        let cause = words::cause(one.cause);
        writeln!(out, "{number}. {who}, against {cause}")?;
        // The texts against one cause differ in their figures only, which stand above.
        match told.iter().find(|(cause, _)| *cause == one.cause) {
            Some((_, first)) => writeln!(out, "   As in {first}.")?,
            None => writeln!(out, "   {}", wrapped(&printable(&one.change), 3))?,
        }
        told.push((one.cause, number));
        // To be copied: never broken.
        if let Some(line) = &one.line {
            writeln!(out, "   in the program  {}", printable(line))?;
        }
        if let Some(repair) = &one.repair {
            writeln!(out, "   without change  {}", printable(repair))?;
        }
    }
    let rest = advice.len().saturating_sub(ADVICE_MAX);
    if rest > 0 {
        writeln!(out, "… and {rest} more (--json lists them)")?;
    }
    Ok(())
}

/// A line with its name before it.
fn named(out: &mut impl Write, name: &str, text: &str) -> io::Result<()> {
    let indent = INDENT - 3;
    writeln!(out, "   {name:<indent$}{}", wrapped(text, INDENT))
}

/// Units, which stay on the line of their figure.
const UNITS: &[&str] = &["ms", "s", "min", "%", "B", "kB", "MB", "GB"];

/// The text in lines of [`WIDTH`], of which all but the first are indented. Words are not broken.
fn wrapped(text: &str, indent: usize) -> String {
    let mut lines = String::with_capacity(text.len() + text.len() / 8);
    let mut column = indent;
    let mut words = text.split(' ').peekable();
    let is_unit = |word: &&str| {
        let letters = word.trim_end_matches(|c: char| c.is_ascii_punctuation() && c != '%');
        UNITS.contains(&letters)
    };
    while let Some(word) = words.next() {
        let mut word = word.to_owned();
        while let Some(unit) = words.next_if(is_unit) {
            word.push(' ');
            word.push_str(unit);
        }
        let letters = word.chars().count();
        let is_first = column == indent;
        if !is_first && column + 1 + letters > WIDTH {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            column = indent;
        } else if !is_first {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(&word);
        column += letters;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn printed(report: &Report, top: usize) -> String {
        let mut out = Vec::new();
        print(&mut out, report, top).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_client_that_writes_in_pieces() {
        insta::assert_snapshot!(printed(&samples::imaplib(), 10));
    }

    #[test]
    fn nothing_was_lost() {
        insta::assert_snapshot!(printed(&samples::clean(), 10));
    }

    #[test]
    fn the_network_is_the_limit() {
        insta::assert_snapshot!(printed(&samples::bulk(), 10));
    }

    #[test]
    fn a_cork_that_was_left_in() {
        insta::assert_snapshot!(printed(&samples::corked(), 10));
    }

    #[test]
    fn many_sockets() {
        insta::assert_snapshot!(printed(&samples::many(), 3));
    }

    #[test]
    fn nothing_was_there() {
        insta::assert_snapshot!(printed(&samples::empty(), 10));
    }

    #[test]
    fn what_processes_are_called_is_not_obeyed() {
        let text = printed(&samples::hostile(), 10);
        let is_obeyed =
            |letter: char| letter.is_control() && letter != '\n' || letter == '\u{202e}';
        assert!(!text.contains(is_obeyed), "{text:?}");
        assert!(text.contains("�[2J"), "{text}");
        assert!(text.lines().count() < 80, "{text}");
    }

    #[test]
    fn lines_end_between_words() {
        let long = "x".repeat(120);
        assert_eq!(
            wrapped(&format!("a {long} b"), 2),
            format!("a\n  {long}\n  b")
        );
        assert_eq!(wrapped("", 4), "");
        let figure = format!("{} 43 ms, (± 5 %).", "x".repeat(95));
        assert_eq!(
            wrapped(&figure, 0),
            format!("{}\n43 ms, (± 5 %).", "x".repeat(95))
        );
    }
}
