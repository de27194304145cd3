//! The report on the terminal.

use std::collections::BTreeSet;
use std::io::{self, Write};

use uncork_trace::report::{Advice, Cause, SocketReport, Stall};
use uncork_trace::{Ends, Report};

use super::summary::{
    connection, excerpt, headline, is_lost, notes, origin, process, shown, times, traffic,
    true_limit,
};
use super::words;
use crate::words::printable;
use lines::{Copies, Lines};

mod lines;

/// Columns of a line, where words allow it.
const WIDTH: usize = 100;

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
    let out = &mut Lines::new(out, WIDTH, Copies::Whole);
    let (shown, ends) = (shown(report, top), Ends::of(&report.sockets));
    out.wrapped(0, &format!("uncork lost-time report: {}", headline(report)))?;
    if !is_lost(report) && !shown.sockets.is_empty() {
        out.line("what the limit is instead:")?;
    }
    for (number, socket) in (1..).zip(&shown.sockets) {
        out.line("")?;
        let (process, connection) = (process(socket), connection(socket));
        out.line(&format!("{number}. {process}  {connection}"))?;
        print_socket(out, &ends, socket)?;
    }
    if let Some(rest) = shown.rest {
        out.line(&format!("\n{rest}"))?;
    }
    print_meanings(out, &shown.sockets)?;
    print_advice(out, &report.advice)?;
    out.line("\nnotes")?;
    for note in notes(report) {
        out.item("  - ", &note)?;
    }
    Ok(())
}

/// All that is known of one socket, in lines of `width` columns.
pub(super) fn details(report: &Report, socket: &SocketReport, width: usize) -> String {
    let mut text = Vec::new();
    let out = &mut Lines::new(&mut text, width, Copies::Wrapped);
    let ends = Ends::of(&report.sockets);
    let mut print = || {
        print_socket(out, &ends, socket)?;
        print_meanings(out, &[socket])?;
        let advice = report.advice.iter().filter(|one| one.pid == socket.pid);
        let advice: Vec<Advice> = advice.cloned().collect();
        print_advice(out, &advice)
    };
    // Memory takes all that is written.
    let _ = print();
    String::from_utf8_lossy(&text).into_owned()
}

fn print_socket(
    out: &mut Lines<'_, impl Write>,
    ends: &Ends,
    socket: &SocketReport,
) -> io::Result<()> {
    let origin = origin(socket);
    if !origin.is_empty() {
        out.named("is", &origin)?;
    }
    for stall in socket.stalls.iter().take(STALLS_MAX) {
        let is_of_peer = ends.is_of_peer(socket, stall);
        print_stall(out, socket, stall, is_of_peer)?;
    }
    let rest = socket.stalls.len().saturating_sub(STALLS_MAX);
    if rest > 0 {
        out.named(
            "",
            &format!("… and {rest} more patterns (--json lists them)"),
        )?;
    }
    out.named("sent", &traffic(socket))?;
    if let Some(times) = times(socket) {
        out.named("its time", &times)?;
    }
    if socket.stalls.is_empty() {
        out.named("limit", &true_limit(socket))?;
    }
    Ok(())
}

fn print_stall(
    out: &mut Lines<'_, impl Write>,
    socket: &SocketReport,
    stall: &Stall,
    is_of_peer: bool,
) -> io::Result<()> {
    if is_of_peer {
        let text = format!("{} (counted at the other end)", words::stall(stall));
        out.named("also", &text)?;
    } else if stall.cause.is_time() {
        let of = words::time(socket.seconds * 1000.0);
        let mut lost = format!("{} of {of}", words::time(stall.held_ms_total));
        if stall.held_ms_error > 0.0 {
            lost = format!("about {lost} (± {})", words::time(stall.held_ms_error));
        }
        out.named("lost", &format!("{lost}: {}", words::stall(stall)))?;
    } else {
        out.named("also", &words::stall(stall))?;
    }
    if let Some(endings) = words::endings(stall) {
        out.named("ended", &endings)?;
    }
    if !stall.pattern.is_empty() {
        out.named("pattern", &excerpt(&stall.pattern, TEXT_LETTERS))?;
    }
    if !stall.stack.is_empty() {
        let frames = stall.stack.iter().map(String::as_str).take(FRAMES_MAX);
        let frames: Vec<&str> = frames.collect();
        out.named("called by", &excerpt(&frames.join(" ← "), TEXT_LETTERS))?;
    }
    Ok(())
}

/// What the causes are, for those who have never heard of them.
fn print_meanings(out: &mut Lines<'_, impl Write>, sockets: &[&SocketReport]) -> io::Result<()> {
    let stalls = sockets.iter().flat_map(|socket| &socket.stalls);
    let causes: BTreeSet<Cause> = stalls.map(|stall| stall.cause).collect();
    if causes.is_empty() {
        return Ok(());
    }
    out.line("\nwhat that means")?;
    for cause in causes {
        out.item("  - ", words::meaning(cause))?;
    }
    Ok(())
}

fn print_advice(out: &mut Lines<'_, impl Write>, advice: &[Advice]) -> io::Result<()> {
    if advice.is_empty() {
        return Ok(());
    }
    out.line("\nwhat to do")?;
    let mut told: Vec<(Cause, usize)> = Vec::new();
    for (number, one) in (1..).zip(advice.iter().take(ADVICE_MAX)) {
        let who = format!("{} (pid {})", printable(&one.command), one.pid);
        let cause = words::cause(one.cause);
        out.line(&format!("{number}. {who}, against {cause}"))?;
        // The texts against one cause differ in their figures only, which stand above.
        match told.iter().find(|(cause, _)| *cause == one.cause) {
            Some((_, first)) => out.line(&format!("   As in {first}."))?,
            None => out.item("   ", &printable(&one.change))?,
        }
        told.push((one.cause, number));
        if let Some(line) = &one.line {
            out.copy("   in the program  ", &printable(line))?;
        }
        if let Some(repair) = &one.repair {
            out.copy("   without change  ", &printable(repair))?;
        }
    }
    match advice.len().saturating_sub(ADVICE_MAX) {
        0 => Ok(()),
        rest => out.line(&format!("… and {rest} more (--json lists them)")),
    }
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
    fn both_ends_were_watched() {
        insta::assert_snapshot!(printed(&samples::both_ends(), 10));
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
}
