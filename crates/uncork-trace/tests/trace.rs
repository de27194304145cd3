//! Recordings of real programs, and what is told of them: the state machine without root.
//!
//! Each was made with `uncork trace --events` on loopback, with nothing else to do; command lines are
//! shortened.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a panic is how they fail"
)]

use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;

use uncork_trace::Report;
use uncork_trace::report::{EndedBy, SocketReport};

#[track_caller]
fn replay(name: &str) -> Report {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let file = File::open(folder.join(name).with_extension("jsonl")).unwrap();
    let report = uncork_trace::replay(file).unwrap();
    for socket in &report.sockets {
        let shares: f64 = socket.shares.parts().iter().map(|(_, ms)| ms).sum();
        let watched_ms = socket.seconds * 1000.0;
        // Every moment is somebody's, and nobody's twice.
        assert!(
            (shares - watched_ms).abs() < 0.01 + watched_ms * 1e-6,
            "{socket:#?}"
        );
    }
    report
}

/// What matters of a report, a line a fact.
fn essentials(report: &Report) -> String {
    let mut text = format!("{:?}, {:.0} ms held\n", report.engine, report.held_ms_total);
    for socket in &report.sockets {
        tell(socket, &mut text);
    }
    for advice in &report.advice {
        let line = advice.line.as_deref().unwrap_or("-");
        let _ = writeln!(text, "{}: {}", advice.cause.name(), line);
    }
    for note in &report.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

fn tell(socket: &SocketReport, text: &mut String) {
    let language = socket
        .language
        .map_or("-".to_owned(), |it| format!("{it:?}"));
    let _ = writeln!(
        text,
        "{} ({}), {language}, limit {:?}, {} writes, {} reads, {} bytes in {} segments",
        socket.command,
        socket.command_line,
        socket.limit,
        socket.writes,
        socket.reads,
        socket.bytes_sent,
        socket.segments_sent,
    );
    for stall in &socket.stalls {
        let _ = writeln!(
            text,
            "  {}: {} times, {:.0} ms, {} bytes: {}",
            stall.cause.name(),
            stall.count,
            stall.held_ms_total,
            stall.held_bytes,
            stall.pattern,
        );
        for ending in &stall.ended_by {
            let _ = writeln!(text, "    {:?}: {}", ending.by, ending.count);
        }
        for frame in stall.stack.iter().take(1) {
            let _ = writeln!(text, "    at {frame}");
        }
    }
}

/// Each mail's last line waits for the ACK of its text.
#[test]
fn imaplib() {
    insta::assert_snapshot!(essentials(&replay("imaplib")));
}

/// Each answer's body waits for the ACK of its head, once the client no longer acknowledges at once.
#[test]
fn http_server() {
    insta::assert_snapshot!(essentials(&replay("http_server")));
}

/// The same, of samples: each hold has an error.
#[test]
fn http_server_in_samples() {
    let report = replay("sampled_http_server");
    let stall = &report.sockets[0].stalls[0];
    assert!(stall.held_ms_error > 0.0 && stall.held_ms_error < stall.held_ms_total / 20.0);
    insta::assert_snapshot!(essentials(&report));
}

/// Both ends are in one process: the time counts once.
#[test]
fn node() {
    let report = replay("node");
    let own: f64 = report.sockets.iter().map(SocketReport::held_ms).sum();
    assert!(own > 1.5 * report.held_ms_total);
    insta::assert_snapshot!(essentials(&report));
}

#[test]
fn a_cork_that_is_forgotten() {
    insta::assert_snapshot!(essentials(&replay("cork")));
}

#[test]
fn a_cork_that_is_forgotten_in_samples() {
    insta::assert_snapshot!(essentials(&replay("sampled_cork")));
}

#[test]
fn msg_more_with_nothing_more() {
    let report = replay("more");
    let endings = &report.sockets[0].stalls[0].ended_by;
    assert!(endings.iter().all(|ending| ending.by == EndedBy::Ceiling));
    insta::assert_snapshot!(essentials(&report));
}

/// tcp_nopush, small files and large ones: corks all the time, and none too long.
#[test]
fn nginx() {
    let report = replay("nginx");
    assert_eq!(report.held_ms_total, 0.0);
    insta::assert_snapshot!(essentials(&report));
}

/// Sixteen requests at once to a client that reads all of the answers at once: nginx takes its cork off,
/// and Nagle's rule keeps the second half.
#[test]
fn nginx_with_requests_in_a_batch() {
    insta::assert_snapshot!(essentials(&replay("nginx_pipelined")));
}

#[test]
fn a_slow_link() {
    let report = replay("slow_link");
    assert_eq!(report.held_ms_total, 0.0);
    insta::assert_snapshot!(essentials(&report));
}
