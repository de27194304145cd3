//! The report in words: what terminal, page and live view all say.

use std::collections::BTreeMap;

use uncork_trace::report::{Limit, SocketReport, Stall};
use uncork_trace::{Ends, Report};

use super::words::{engine, limit, limit_sentence, share, time};
use crate::words::{count, counted, printable, size};

/// Least time that counts as lost in a headline. What is less may be the resolution of a clock.
const LOST_MS_MIN: f64 = 0.05;

/// Least part of a socket's time that is named.
const SHARE_MIN: f64 = 0.01;

/// Letters of a command line that are shown.
const COMMAND_LINE_LETTERS: usize = 120;

/// Who lost how much, in one sentence without its end.
pub(super) fn headline(report: &Report) -> String {
    let watched = time(report.seconds * 1000.0);
    if report.sockets.is_empty() {
        return format!("no TCP connection of what was watched did anything in {watched}");
    }
    let losers = losers(report);
    if is_lost(report) && losers.is_empty() {
        return format!(
            "{} lost, on connections that were too many to be told",
            lost(report)
        );
    }
    let Some(most) = losers.first().filter(|_| is_lost(report)) else {
        let writes = report.sockets.iter().map(|socket| socket.writes);
        let writes = writes.fold(0, u64::saturating_add);
        return format!(
            "no time was lost to Nagle's algorithm, corks or delayed ACKs ({}, {}, {watched})",
            counted(report.sockets.len() as u64, "connection"),
            counted(writes, "write"),
        );
    };
    let lost = lost(report);
    let sockets: usize = losers.iter().map(|loser| loser.sockets).sum();
    let stalls = counted(all_stalls(report), "stall");
    match (losers.len(), sockets) {
        (1, 1) => format!(
            "{} lost {lost} of {} in {stalls}",
            most.name,
            time(most.seconds * 1000.0)
        ),
        (1, _) => format!(
            "{} lost {lost} in {stalls}, on {} within {watched}",
            most.name,
            counted(sockets as u64, "connection"),
        ),
        (processes, _) => format!(
            "{} lost {lost} in {stalls}, on {} within {watched}; the most of it {}, {}",
            counted_processes(processes),
            counted(sockets as u64, "connection"),
            most.name,
            time(most.held_ms)
        ),
    }
}

/// The time lost in all, and how far that may be off.
pub(super) fn lost(report: &Report) -> String {
    let lost = time(report.held_ms_total);
    match report.held_ms_error {
        error if error >= LOST_MS_MIN => format!("about {lost} (± {})", time(error)),
        _ => lost,
    }
}

/// Whether there is any loss to speak of.
pub(super) fn is_lost(report: &Report) -> bool {
    report.held_ms_total >= LOST_MS_MIN
}

/// One process that lost time.
struct Loser {
    name: String,
    held_ms: f64,
    stalls: u64,
    sockets: usize,
    /// The longest of its sockets.
    seconds: f64,
}

/// Processes that lost time, those that lost the most first.
fn losers(report: &Report) -> Vec<Loser> {
    let ends = Ends::of(&report.sockets);
    let mut losers: BTreeMap<u32, Loser> = BTreeMap::new();
    for socket in &report.sockets {
        // What both ends saw is the loss of the end that held.
        let counts = |stall: &&Stall| stall.cause.is_time() && !ends.is_of_peer(socket, stall);
        let counted = || socket.stalls.iter().filter(counts);
        let held_ms = counted().map(|stall| stall.held_ms_total).sum::<f64>();
        if held_ms < LOST_MS_MIN {
            continue;
        }
        let loser = losers.entry(socket.pid).or_insert_with(|| Loser {
            name: process(socket),
            held_ms: 0.0,
            stalls: 0,
            sockets: 0,
            seconds: 0.0,
        });
        loser.held_ms += held_ms;
        loser.stalls = counted().fold(loser.stalls, |sum, stall| sum.saturating_add(stall.count));
        loser.sockets += 1;
        loser.seconds = loser.seconds.max(socket.seconds);
    }
    let mut losers: Vec<Loser> = losers.into_values().collect();
    losers.sort_by(|a, b| b.held_ms.total_cmp(&a.held_ms));
    losers
}

fn counted_processes(number: usize) -> String {
    let plural = if number == 1 { "" } else { "es" };
    format!("{} process{plural}", count(number as u64))
}

/// How often time was lost, in all sockets.
pub(super) fn all_stalls(report: &Report) -> u64 {
    let losers = losers(report);
    losers
        .iter()
        .fold(0, |sum, loser| sum.saturating_add(loser.stalls))
}

/// How often time was lost.
pub(super) fn stalls(socket: &SocketReport) -> u64 {
    let lost = socket.stalls.iter().filter(|stall| stall.cause.is_time());
    lost.fold(0, |sum, stall| sum.saturating_add(stall.count))
}

/// `python3 (pid 4711)`.
pub(super) fn process(socket: &SocketReport) -> String {
    format!("{} (pid {})", printable(&socket.command), socket.pid)
}

/// `10.0.0.1:51000 → 10.0.0.2:143`.
pub(super) fn connection(socket: &SocketReport) -> String {
    format!("{} → {}", socket.local, socket.remote)
}

/// What the process was called with, which of its threads wrote, and where it runs; empty where nothing is
/// known.
pub(super) fn origin(socket: &SocketReport) -> String {
    let line = excerpt(&socket.command_line, COMMAND_LINE_LETTERS);
    let container = socket
        .container
        .as_deref()
        .map(|name| format!("in {}", printable(name)));
    let parts = [Some(line), threads(socket), container]
        .into_iter()
        .flatten();
    let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}

/// The threads that wrote, unless it was the first one alone.
fn threads(socket: &SocketReport) -> Option<String> {
    let numbers: Vec<String> = socket.threads.iter().map(u32::to_string).collect();
    match &numbers[..] {
        [] => None,
        [_] if socket.threads == [socket.pid] => None,
        [one] => Some(format!("thread {one}")),
        more => Some(format!("threads {}", more.join(", "))),
    }
}

/// The beginning of a text that may be long, and may be anything.
pub(super) fn excerpt(text: &str, letters: usize) -> String {
    match text.char_indices().nth(letters) {
        Some((end, _)) => format!("{}…", printable(&text[..end])),
        None => printable(text),
    }
}

/// What it sent in how many calls and packets. Samples don't see calls.
pub(super) fn traffic(socket: &SocketReport) -> String {
    let mut text = format!(
        "{} in {}",
        size(socket.bytes_sent),
        counted(socket.segments_sent, "packet"),
    );
    if socket.writes > 0 {
        text = format!("{}, {text}", counted(socket.writes, "write"));
    }
    if socket.segments_resent > 0 {
        text.push_str(&format!(
            ", {} of them sent again",
            count(socket.segments_resent)
        ));
    }
    if socket.round_trip_ms > 0.0 {
        text.push_str(&format!(", round trip {}", time(socket.round_trip_ms)));
    }
    text
}

/// Parts of a socket's time that are worth a word, the longest first, and their sum.
pub(super) fn parts(socket: &SocketReport) -> (Vec<(Limit, f64)>, f64) {
    let parts = socket.shares.parts().map(|(limit, ms)| {
        let is_time = ms.is_finite() && ms > 0.0;
        (limit, if is_time { ms } else { 0.0 })
    });
    let whole: f64 = parts.iter().map(|(_, ms)| ms).sum();
    let mut parts = parts.to_vec();
    parts.retain(|(_, ms)| *ms > 0.0 && ms / whole >= SHARE_MIN);
    parts.sort_by(|a, b| b.1.total_cmp(&a.1));
    (parts, whole)
}

/// Where its time went, in one line.
pub(super) fn times(socket: &SocketReport) -> Option<String> {
    let (parts, whole) = parts(socket);
    let parts = parts.into_iter();
    let parts = parts.map(|(what, ms)| format!("{} {}", share(ms, whole), limit(what)));
    let parts: Vec<String> = parts.collect();
    (!parts.is_empty()).then(|| parts.join(" · "))
}

/// What decides how fast a socket is that lost nothing, in one sentence without its end.
pub(super) fn true_limit(socket: &SocketReport) -> String {
    let (parts, whole) = parts(socket);
    let ms = parts.iter().find(|(limit, _)| *limit == socket.limit);
    limit_sentence(socket.limit, &share(ms.map_or(0.0, |(_, ms)| *ms), whole))
}

/// Which sockets are shown, and what is said of the others.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    /// Those with something to say about, or the busiest where nothing was lost.
    pub(super) sockets: Vec<&'a SocketReport>,
    /// The others in a sentence, where there are any.
    pub(super) rest: Option<String>,
}

/// The first `top` sockets that lost anything; where none did, the busiest.
pub(super) fn shown(report: &Report, top: usize) -> Shown<'_> {
    let has_stalls = |socket: &&SocketReport| !socket.stalls.is_empty();
    let mut sockets: Vec<&SocketReport> = report.sockets.iter().filter(has_stalls).collect();
    let others = report.sockets.len() - sockets.len();
    if sockets.is_empty() {
        sockets = report.sockets.iter().collect();
        sockets.sort_by_key(|socket| std::cmp::Reverse((socket.bytes_sent, socket.writes)));
        let hidden = sockets.len().saturating_sub(top) as u64;
        sockets.truncate(top);
        let rest = (hidden > 0).then(|| {
            format!(
                "{} that did less (--top shows more)",
                counted(hidden, "other connection")
            )
        });
        return Shown { sockets, rest };
    }
    let hidden = sockets.split_off(sockets.len().min(top));
    let mut rest = Vec::new();
    if !hidden.is_empty() {
        let held: f64 = hidden.iter().map(|socket| socket.held_ms()).sum();
        let hidden = counted(hidden.len() as u64, "other connection");
        rest.push(format!(
            "{hidden} lost {} together (--top shows more)",
            time(held)
        ));
    }
    if others > 0 {
        rest.push(format!(
            "{} lost nothing",
            counted(others as u64, "other connection")
        ));
    }
    let rest = (!rest.is_empty()).then(|| rest.join("; "));
    Shown { sockets, rest }
}

/// What the reader has to know to believe the figures, a sentence each.
pub(super) fn notes(report: &Report) -> Vec<String> {
    let mut seen = format!(
        "{}: {}",
        engine(report.engine),
        counted(report.events, "event")
    );
    if report.events_skipped > 0 {
        let skipped = count(report.events_skipped);
        seen.push_str(&format!(
            ", {skipped} left out so that the programs are not slowed"
        ));
    }
    let mut notes = vec![seen];
    if has_both_ends(report) {
        notes.push(
            "both ends of a connection were watched: what one held and the other caused by its \
             delayed ACKs stands at both, and counts once"
                .to_owned(),
        );
    }
    notes.extend(report.notes.iter().map(|note| printable(note)));
    notes
}

/// Whether there is time that two sockets tell of.
fn has_both_ends(report: &Report) -> bool {
    let ends = Ends::of(&report.sockets);
    let mut sockets = report.sockets.iter();
    sockets.any(|socket| {
        socket
            .stalls
            .iter()
            .any(|stall| ends.is_of_peer(socket, stall))
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn what_both_ends_saw_counts_once() {
        let report = samples::both_ends();
        assert_eq!(
            headline(&report),
            "python3 (pid 4711) lost 4.31 s of 4.42 s in 100 stalls"
        );
        assert!(notes(&report)[1].contains("counts once"));
        assert_eq!(report.advice.len(), 1);
    }

    #[test]
    fn headlines() {
        assert_eq!(
            headline(&samples::empty()),
            "no TCP connection of what was watched did anything in 2.00 s"
        );
        let mut report = samples::many();
        report.sockets.retain(|socket| socket.pid == 1000);
        report.held_ms_total = 2050.0;
        assert_eq!(
            headline(&report),
            "java (pid 1000) lost 2.05 s in 50 stalls, on 2 connections within 10.00 s"
        );
    }

    #[test]
    fn which_sockets_are_shown() {
        let report = samples::many();
        let all = shown(&report, 100);
        assert_eq!(all.sockets.len(), 15);
        assert_eq!(
            all.rest.as_deref(),
            Some("25 other connections lost nothing")
        );
        let clean = samples::clean();
        let busiest = shown(&clean, 1);
        assert_eq!(busiest.sockets[0].writes, 1200);
        assert!(
            busiest
                .rest
                .is_some_and(|rest| rest.starts_with("1 other connection "))
        );
    }
}
