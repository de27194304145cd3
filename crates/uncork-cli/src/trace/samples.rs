//! Reports as traces make them, for the tests of what people see.

use uncork_trace::Report;
use uncork_trace::advice::advise;
use uncork_trace::report::{
    Cause, EndedBy, Ending, Engine, Language, Limit, Mark, MarkKind, Shares, SocketReport, Stall,
};

/// The report of these sockets.
pub(super) fn report(seconds: f64, sockets: Vec<SocketReport>) -> Report {
    Report {
        engine: Engine::Ebpf,
        seconds,
        held_ms_total: sockets.iter().map(SocketReport::held_ms).sum(),
        held_ms_error: 0.0,
        advice: advise(&sockets, None),
        notes: Vec::new(),
        events: 1203,
        events_skipped: 0,
        events_lost: 0,
        sockets,
    }
}

/// A socket that did nothing yet.
pub(super) fn socket(pid: u32, command: &str, local: &str, remote: &str) -> SocketReport {
    SocketReport {
        pid,
        command: command.to_owned(),
        command_line: String::new(),
        language: None,
        threads: vec![pid],
        container: None,
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
        nodelay: false,
        seconds: 10.0,
        writes: 0,
        reads: 0,
        bytes_sent: 0,
        segments_sent: 0,
        segments_resent: 0,
        round_trip_ms: 0.2,
        stalls: Vec::new(),
        shares: Shares::default(),
        limit: Limit::Unseen,
        timeline: Vec::new(),
        holds_ms: Vec::new(),
    }
}

fn mark(timeline: &mut Vec<Mark>, at_ms: f64, kind: MarkKind) {
    timeline.push(Mark { at_ms, kind });
}

/// Stalls of one cause that all took about as long.
pub(super) fn stall(cause: Cause, count: u64, each_ms: f64, by: EndedBy) -> Stall {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let total = count as f64 * each_ms;
    Stall {
        cause,
        count,
        held_ms_total: total,
        held_ms_p50: each_ms,
        held_ms_max: each_ms * 1.02,
        held_ms_error: 0.0,
        held_bytes: 0,
        pattern: String::new(),
        ended_by: vec![Ending { by, count }],
        segments_wasted: 0,
        share: 0.0,
        stack: Vec::new(),
    }
}

/// 100 mails put in by CPython's imaplib: 43 ms for each.
pub(super) fn imaplib() -> Report {
    let mut socket = socket(4711, "python3", "127.0.0.1:51000", "127.0.0.1:143");
    socket.command_line = "python3 import.py --folder Old mails/".to_owned();
    socket.language = Some(Language::Python);
    socket.seconds = 4.42;
    socket.writes = 300;
    socket.reads = 200;
    socket.bytes_sent = 40_600;
    socket.segments_sent = 300;
    let mut nagle = stall(Cause::Nagle, 100, 43.1, EndedBy::DelayedAck);
    nagle.held_bytes = 2;
    nagle.pattern = "write 53, read, write 351, write 2, read waits 43 ms".to_owned();
    nagle.ended_by = vec![
        Ending {
            by: EndedBy::DelayedAck,
            count: 98,
        },
        Ending {
            by: EndedBy::RoundTrip,
            count: 2,
        },
    ];
    nagle.stack = ["send", "sock_sendall", "_PyEval_EvalFrameDefault"]
        .map(str::to_owned)
        .to_vec();
    socket.stalls = vec![nagle];
    socket.shares = Shares {
        nagle_ms: 4310.0,
        peer_ms: 66.0,
        program_ms: 44.0,
        ..Shares::default()
    };
    socket.limit = Limit::Nagle;
    for mail in 0..100_u32 {
        let start = f64::from(mail) * 44.2;
        let held_ms = 43.1 + f64::from(mail % 7) * 0.15;
        let mut add = |after: f64, kind| mark(&mut socket.timeline, start + after, kind);
        add(0.0, MarkKind::Write(53));
        add(0.2, MarkKind::Data(16));
        add(0.25, MarkKind::Read(16));
        add(0.4, MarkKind::Write(351));
        add(0.45, MarkKind::Write(2));
        add(
            0.45,
            MarkKind::Hold {
                cause: Cause::Nagle,
                held_ms,
                bytes: 2,
            },
        );
        add(0.45 + held_ms, MarkKind::Ack);
        add(0.6 + held_ms, MarkKind::Data(42));
        add(0.65 + held_ms, MarkKind::Read(42));
        socket.holds_ms.push(held_ms);
    }
    report(4.42, vec![socket])
}

/// The same, and the server on the same machine, which delays its ACKs.
pub(super) fn both_ends() -> Report {
    let client = imaplib().sockets.remove(0);
    let mut server = socket(143, "imapd", "127.0.0.1:143", "127.0.0.1:51000");
    server.stalls = vec![stall(
        Cause::LocalDelayedAck,
        100,
        43.1,
        EndedBy::DelayedAck,
    )];
    server.limit = Limit::Peer;
    let mut report = report(4.42, vec![client, server]);
    report.held_ms_total /= 2.0;
    report
}

/// A web server that does all right.
pub(super) fn clean() -> Report {
    let mut first = socket(812, "nginx", "10.0.0.1:80", "10.0.0.9:50123");
    first.command_line = "nginx: worker process".to_owned();
    first.container = Some("nginx.service".to_owned());
    first.nodelay = true;
    first.writes = 1200;
    first.reads = 1200;
    first.bytes_sent = 12_000_000;
    first.segments_sent = 8800;
    first.shares = Shares {
        program_ms: 9600.0,
        peer_ms: 380.0,
        nagle_ms: 0.0,
        device_ms: 20.0,
        ..Shares::default()
    };
    first.limit = Limit::Program;
    let mut second = socket(812, "nginx", "10.0.0.1:80", "10.0.0.7:41044");
    second.writes = 3;
    second.bytes_sent = 900;
    second.segments_sent = 3;
    second.shares = Shares {
        program_ms: 9990.0,
        peer_ms: 10.0,
        ..Shares::default()
    };
    second.limit = Limit::Program;
    report(10.0, vec![first, second])
}

/// A backup over a slow link: no option makes it faster.
pub(super) fn bulk() -> Report {
    let mut socket = socket(99, "restic", "192.0.2.4:39120", "198.51.100.7:443");
    socket.language = Some(Language::Go);
    socket.nodelay = true;
    socket.seconds = 60.0;
    socket.writes = 4400;
    socket.bytes_sent = 72_000_000;
    socket.segments_sent = 51_000;
    socket.segments_resent = 312;
    socket.round_trip_ms = 38.4;
    socket.shares = Shares {
        congestion_window_ms: 56_900.0,
        receive_window_ms: 400.0,
        peer_ms: 1900.0,
        program_ms: 800.0,
        ..Shares::default()
    };
    socket.limit = Limit::CongestionWindow;
    report(60.0, vec![socket])
}

/// A server that leaves its cork in, and reads from one that holds.
pub(super) fn corked() -> Report {
    let mut socket = socket(300, "shop", "10.0.0.1:8080", "10.0.0.9:50123");
    socket.command_line = "/usr/bin/shop --listen :8080".to_owned();
    socket.container = Some("docker 0123456789ab".to_owned());
    socket.threads = vec![300, 304];
    socket.writes = 60;
    socket.reads = 20;
    socket.bytes_sent = 61_000;
    socket.segments_sent = 60;
    let mut cork = stall(Cause::Cork, 20, 200.4, EndedBy::Ceiling);
    cork.pattern = "write 180, sendfile 2,800, read waits 200 ms".to_owned();
    let mut waits = stall(Cause::StopAndWait, 40, 20.0, EndedBy::Unknown);
    waits.pattern = "write 70, read waits 20 ms".to_owned();
    waits.share = 0.66;
    let mut own = stall(Cause::LocalDelayedAck, 5, 40.0, EndedBy::DelayedAck);
    own.held_ms_error = 12.0;
    let mut waste = stall(Cause::PacketWaste, 20, 0.0, EndedBy::Unknown);
    waste.segments_wasted = 40;
    waste.share = 0.666;
    socket.stalls = vec![cork, own, waits, waste];
    socket.shares = Shares {
        cork_ms: 4008.0,
        peer_ms: 1000.0,
        program_ms: 4992.0,
        ..Shares::default()
    };
    socket.limit = Limit::Program;
    for number in 0..20_u32 {
        let start = f64::from(number) * 450.0;
        let mut add = |after: f64, kind| mark(&mut socket.timeline, start + after, kind);
        add(0.0, MarkKind::Data(120));
        add(1.0, MarkKind::Read(120));
        add(3.0, MarkKind::Write(180));
        add(5.0, MarkKind::Write(2800));
        add(
            5.0,
            MarkKind::Hold {
                cause: Cause::Cork,
                held_ms: 200.4,
                bytes: 60,
            },
        );
        add(206.0, MarkKind::Ack);
        socket.holds_ms.push(200.4);
    }
    let mut report = report(10.0, vec![socket]);
    report.engine = Engine::Sample;
    report.held_ms_error = 52.0;
    report.notes = vec!["each socket was sampled every 2.0 ms".to_owned()];
    report
}

/// A machine with many processes, some of which lose time.
pub(super) fn many() -> Report {
    let commands = ["java", "node", "postgres", "perl", "smtpd"];
    let mut sockets = Vec::new();
    for number in 0..40_u32 {
        let command = commands[number as usize % commands.len()];
        let local = format!("10.0.0.1:{}", 40_000 + number);
        let mut one = socket(1000 + number % 10, command, &local, "10.0.0.2:25");
        one.writes = 100;
        one.bytes_sent = 4000;
        one.segments_sent = 100;
        one.shares = Shares {
            program_ms: 9000.0,
            peer_ms: 1000.0,
            ..Shares::default()
        };
        one.limit = Limit::Program;
        if number < 15 {
            let mut nagle = stall(
                Cause::Nagle,
                u64::from(30 - number),
                41.0,
                EndedBy::DelayedAck,
            );
            nagle.held_bytes = 12;
            nagle.pattern = "write 4, write 12, read waits 41 ms".to_owned();
            one.shares.nagle_ms = nagle.held_ms_total;
            one.shares.program_ms -= nagle.held_ms_total;
            one.stalls = vec![nagle];
            one.holds_ms = (0..30).map(|n| 40.0 + f64::from(n % 3)).collect();
        }
        sockets.push(one);
    }
    let mut report = report(10.0, sockets);
    report.events = 1_234_567;
    report.events_skipped = 200_000;
    report.events_lost = 12;
    report.notes = vec!["12 events were lost: there may be more stalls than are told".to_owned()];
    report
}

/// Nothing was there to be watched.
pub(super) fn empty() -> Report {
    report(2.0, Vec::new())
}

/// Everything that comes from others, as bad as it can be.
pub(super) fn hostile() -> Report {
    let evil = "<script>alert(\"1\")</script>\u{1b}[2J\u{202e}&'\n";
    let mut socket = socket(u32::MAX, evil, "[::1]:1", "[::ffff:1.2.3.4]:65535");
    socket.command_line = evil.repeat(500);
    socket.container = Some(evil.to_owned());
    socket.seconds = f64::NAN;
    socket.writes = u64::MAX;
    socket.bytes_sent = u64::MAX;
    socket.round_trip_ms = f64::INFINITY;
    let mut stall = stall(Cause::Nagle, u64::MAX, 1e300, EndedBy::Unknown);
    stall.pattern = evil.to_owned();
    stall.stack = vec![evil.to_owned(); 300];
    stall.held_bytes = u64::MAX;
    socket.stalls = vec![stall; 200];
    socket.shares = Shares {
        nagle_ms: f64::INFINITY,
        peer_ms: f64::NAN,
        program_ms: -5.0,
        cork_ms: 1e308,
        ..Shares::default()
    };
    socket.limit = Limit::Nagle;
    let holds = [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300, 43.0];
    socket.holds_ms = holds.to_vec();
    for at_ms in holds {
        for kind in [
            MarkKind::Write(u32::MAX),
            MarkKind::Read(0),
            MarkKind::Data(1),
            MarkKind::Ack,
            MarkKind::Hold {
                cause: Cause::Cork,
                held_ms: at_ms,
                bytes: u32::MAX,
            },
        ] {
            socket.timeline.push(Mark { at_ms, kind });
        }
    }
    let mut report = report(f64::INFINITY, vec![socket]);
    report.notes = vec![evil.to_owned()];
    report
}
