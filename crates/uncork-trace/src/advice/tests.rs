use std::fmt::Write;

use crate::report::Shares;

use super::*;

/// A socket of `import.py`, to an IMAP server, that was watched for five seconds.
fn socket() -> SocketReport {
    SocketReport {
        pid: 4711,
        command: "python3".to_owned(),
        command_line: "python3 import.py".to_owned(),
        language: Some(Language::Python),
        threads: vec![4711],
        container: None,
        local: "127.0.0.1:51000".parse().unwrap(),
        remote: "127.0.0.1:143".parse().unwrap(),
        nodelay: false,
        seconds: 5.0,
        writes: 200,
        reads: 200,
        bytes_sent: 35_300,
        segments_sent: 200,
        segments_resent: 0,
        round_trip_ms: 0.1,
        stalls: Vec::new(),
        shares: Shares::default(),
        limit: Limit::Program,
        timeline: Vec::new(),
        holds_ms: Vec::new(),
    }
}

fn stall(cause: Cause, count: u64, held_ms: f64) -> Stall {
    Stall {
        cause,
        count,
        held_ms_total: held_ms,
        #[expect(clippy::cast_precision_loss, reason = "small")]
        held_ms_p50: held_ms / count as f64,
        held_ms_max: held_ms,
        held_ms_error: 0.0,
        held_bytes: 2,
        pattern: "write 351, write 2, read waits 43 ms".to_owned(),
        ended_by: Vec::new(),
        segments_wasted: 0,
        share: 0.0,
        stack: Vec::new(),
    }
}

fn with(stalls: Vec<Stall>) -> SocketReport {
    SocketReport { stalls, ..socket() }
}

fn told(sockets: &[SocketReport]) -> String {
    let mut text = String::new();
    for advice in advise(sockets, None) {
        let Advice {
            pid,
            command,
            cause,
            change,
            line,
            repair,
        } = advice;
        let line = line.as_deref().unwrap_or("-");
        let repair = repair.as_deref().unwrap_or("-");
        writeln!(
            text,
            "{command} {pid} {}\n{change}\n{line}\n{repair}\n",
            cause.name()
        )
        .unwrap();
    }
    text
}

#[test]
fn each_cause() {
    let waste = Stall {
        segments_wasted: 400,
        share: 0.4,
        ..stall(Cause::PacketWaste, 200, 0.0)
    };
    let own = with(vec![
        stall(Cause::Nagle, 100, 4310.0),
        stall(Cause::Cork, 1, 200.0),
        stall(Cause::LocalDelayedAck, 3, 120.0),
        stall(Cause::StopAndWait, 2000, 1800.0),
        waste,
    ]);
    insta::assert_snapshot!(told(&[own]));
}

#[test]
fn a_command_is_repaired_at_its_next_start() {
    let slow = with(vec![
        stall(Cause::Nagle, 100, 4310.0),
        stall(Cause::LocalDelayedAck, 100, 4000.0),
    ]);
    let advice = advise(&[slow], Some(&["python3", "it's; rm"].map(str::to_owned)));
    let repairs: Vec<_> = advice
        .iter()
        .filter_map(|one| one.repair.as_deref())
        .collect();
    let expected = [
        r"uncork run -- python3 'it'\''s; rm'",
        r"uncork run --quickack -- python3 'it'\''s; rm'",
    ];
    assert_eq!(repairs, expected);
}

#[test]
fn who_has_ended_is_repaired_at_its_next_start() {
    let mut advice = advise(&[with(vec![stall(Cause::Nagle, 100, 4310.0)])], None);
    repair_at_next_start(&mut advice, |pid| pid == 4711);
    assert_eq!(advice[0].repair.as_deref(), Some("uncork fix -p 4711"));
    repair_at_next_start(&mut advice, |_| false);
    assert_eq!(advice[0].repair.as_deref(), Some("uncork run -- COMMAND"));
}

#[test]
fn sockets_of_one_process_are_one_case() {
    let first = with(vec![stall(Cause::Nagle, 2, 80.0)]);
    let second = with(vec![
        stall(Cause::Nagle, 1, 40.0),
        stall(Cause::Nagle, 1, 44.0),
    ]);
    let other = SocketReport {
        pid: 9,
        command: "node".to_owned(),
        language: Some(Language::Node),
        ..with(vec![stall(Cause::Nagle, 5, 200.0)])
    };
    let advice = advise(&[first, second, other], None);
    let pids: Vec<u32> = advice.iter().map(|one| one.pid).collect();
    assert_eq!(pids, [9, 4711]);
    assert!(
        advice[1].change.contains("4 times, 164 ms in all"),
        "{}",
        advice[1].change
    );
}

#[test]
fn what_is_set_is_not_told() {
    let set = SocketReport {
        nodelay: true,
        ..with(vec![stall(Cause::Nagle, 3, 120.0)])
    };
    let advice = advise(&[set], None);
    assert_eq!(advice.len(), 1);
    assert!(advice[0].change.contains("came too late"));
    assert_eq!((&advice[0].line, &advice[0].repair), (&None, &None));

    let set = SocketReport {
        nodelay: true,
        ..with(vec![Stall {
            segments_wasted: 400,
            share: 0.4,
            ..stall(Cause::PacketWaste, 200, 0.0)
        }])
    };
    let advice = advise(&[set], None);
    assert!(advice[0].change.contains("TCP_NODELAY can stay on"));
    assert_eq!(advice[0].repair, None);
}

#[test]
fn no_option_where_something_else_is_the_limit() {
    let shares = Shares {
        congestion_window_ms: 4900.0,
        nagle_ms: 40.0,
        ..Shares::default()
    };
    let bulk = SocketReport {
        shares,
        ..with(vec![stall(Cause::Nagle, 1, 40.0)])
    };
    assert_eq!(advise(&[bulk], None), []);
    // That the program itself has nothing to say most of the time does not make a hold harmless.
    let shares = Shares {
        program_ms: 4900.0,
        nagle_ms: 40.0,
        ..Shares::default()
    };
    let seldom = SocketReport {
        shares,
        ..with(vec![stall(Cause::Nagle, 1, 40.0)])
    };
    assert_eq!(advise(&[seldom], None).len(), 1);
}

/// Of a busy socket little is seen in detail; what is true of that is true of the rest.
#[test]
fn what_little_was_seen_counts() {
    let of = |seconds, unseen_ms| SocketReport {
        seconds,
        shares: Shares {
            unseen_ms,
            ..Shares::default()
        },
        ..with(vec![stall(Cause::StopAndWait, 120, 9.0)])
    };
    assert_eq!(advise(&[of(10.0, 9985.0)], None).len(), 1);
    assert_eq!(advise(&[of(10.0, 0.0)], None), []);
}

/// Patterns of one socket are parts of the same packets; of two sockets, the larger one decides.
#[test]
fn waste_is_a_part_of_all_packets() {
    let waste = |segments_wasted: u64, share: f64| Stall {
        segments_wasted,
        share,
        ..stall(Cause::PacketWaste, segments_wasted, 0.0)
    };
    let is_told = |sockets: &[SocketReport]| !advise(sockets, None).is_empty();
    let part = || waste(60, 0.06);
    assert!(!is_told(&[with(vec![part()])]));
    assert!(is_told(&[with(vec![part(), part()])]));
    let (large, small) = (with(vec![waste(100, 0.08)]), with(vec![waste(20, 0.5)]));
    assert!(is_told(std::slice::from_ref(&small)));
    assert!(!is_told(&[large, small]));
}

#[test]
fn what_is_not_worth_a_change() {
    let little = Stall {
        segments_wasted: 15,
        share: 0.9,
        ..stall(Cause::PacketWaste, 15, 0.0)
    };
    let stalls = vec![
        stall(Cause::Nagle, 3, 0.9),
        stall(Cause::StopAndWait, 30, 200.0),
        little,
    ];
    assert_eq!(advise(&[with(stalls)], None), []);
    assert_eq!(advise(&[socket()], None), []);
}

#[test]
fn the_end_that_holds_is_the_one_to_change() {
    let client = with(vec![stall(Cause::Nagle, 3, 120.0)]);
    let server = SocketReport {
        pid: 80,
        local: client.remote,
        remote: client.local,
        ..with(vec![stall(Cause::LocalDelayedAck, 3, 120.0)])
    };
    let pids: Vec<u32> = advise(&[client, server.clone()], None)
        .iter()
        .map(|one| one.pid)
        .collect();
    assert_eq!(pids, [4711]);
    assert_eq!(advise(&[server], None).len(), 1);
}

#[test]
fn hostile_figures() {
    let huge = Stall {
        segments_wasted: u64::MAX,
        share: f64::NAN,
        ..stall(Cause::PacketWaste, u64::MAX, f64::NAN)
    };
    let never = SocketReport {
        seconds: 0.0,
        segments_sent: 0,
        ..with(vec![huge.clone(), huge])
    };
    let _ = told(&[never]);
    let wait = SocketReport {
        seconds: 0.0,
        ..with(vec![stall(Cause::StopAndWait, 1, f64::INFINITY)])
    };
    let _ = told(&[wait]);
}

#[test]
fn the_lines_of_all_languages() {
    let languages = [
        Language::Python,
        Language::Node,
        Language::Java,
        Language::DotNet,
        Language::Go,
        Language::Rust,
        Language::Php,
        Language::Perl,
        Language::Ruby,
    ];
    let causes = [
        Cause::Nagle,
        Cause::Cork,
        Cause::LocalDelayedAck,
        Cause::PacketWaste,
    ];
    let mut text = String::new();
    for cause in causes {
        for language in languages {
            let line = line::line(language, cause, Side::Unknown).unwrap_or("-");
            writeln!(text, "{} {language:?}: {line}", cause.name()).unwrap();
        }
    }
    for (language, side) in [
        (Language::Python, Side::Client(993)),
        (Language::Python, Side::Client(587)),
        (Language::Python, Side::Client(21)),
        (Language::Python, Side::Server),
        (Language::Java, Side::Server),
    ] {
        let line = line::line(language, Cause::Nagle, side).unwrap_or("-");
        writeln!(text, "{language:?} {side:?}: {line}").unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn ports_tell_the_side() {
    assert_eq!(Side::of(&socket()), Side::Client(143));
    let swapped = SocketReport {
        local: socket().remote,
        remote: socket().local,
        ..socket()
    };
    assert_eq!(Side::of(&swapped), Side::Server);
}
