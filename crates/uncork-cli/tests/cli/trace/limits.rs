//! What slows a connection down that nothing holds back: windows, the way there and back, a program that
//! thinks; and what isn't lost time.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use uncork_lab::requirement;
use uncork_trace::report::{Cause, EndedBy, Limit, SocketReport};

use super::peers::{script, server};
use super::{EBPF, Program, SAMPLE, Sum, Traced, Tracing, near, trace};
use crate::support::uncork;

const SINK: &str = include_str!("sink.py");
const BULK: &str = include_str!("bulk.py");
const ANSWERS: &str = include_str!("answers.py");
const QUESTIONS: &str = include_str!("questions.py");

/// A delayed ACK of ours is told only where the peer's data came right after it. On a machine with many
/// more programs than processors that may be one time in three.
const TOLD_AT_LEAST: u64 = 3;

/// The far end of a [`Link`].
const THERE: Ipv4Addr = Ipv4Addr::new(10, 231, 7, 2);

/// A link between two network namespaces; gone when dropped.
struct Link {
    names: [String; 2],
    _carrier: Program,
}

impl Link {
    /// One with a delay each way, so many bytes a second, and a queue for so many; or `None` after saying
    /// that the test is skipped.
    fn new(delay_s: f64, rate: u32, queue_bytes: u32) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if requirement::program("ip").is_none() || !requirement::root() {
            return None;
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = |side| format!("unt{}{side}{number}", std::process::id());
        let names = [name('a'), name('b')];
        let numbers = [
            delay_s.to_string(),
            rate.to_string(),
            queue_bytes.to_string(),
        ];
        let [delay, rate, queue] = numbers.each_ref();
        let arguments = [&names[0], &names[1], delay, rate, queue].map(String::as_str);
        let mut carrier = Program::start(&mut script(include_str!("slow_link.py"), &arguments)?);
        assert_eq!(carrier.line(), "ready");
        Some(Self {
            names,
            _carrier: carrier,
        })
    }

    /// The same command in one of the namespaces.
    fn inside(&self, side: usize, command: &Command) -> Command {
        let mut inside = Command::new(requirement::program("ip").unwrap());
        inside.args(["netns", "exec", &self.names[side]]);
        inside.arg(command.get_program()).args(command.get_args());
        inside
    }

    /// A server at the far end.
    fn server(&self, text: &str, arguments: &[&str]) -> (Program, SocketAddr) {
        let command = script(text, arguments).unwrap();
        let mut server = Program::start(&mut self.inside(1, &command));
        let port = server.line().parse().unwrap();
        (server, (THERE, port).into())
    }

    /// A trace of a client at the near end.
    fn trace(&self, engine: &str, text: &str, arguments: &[&str]) -> Traced {
        let client = script(text, arguments).unwrap();
        let mut command = uncork();
        command.args(["trace", "--json", "--engine", engine, "--"]);
        command.arg(client.get_program()).args(client.get_args());
        Traced::run(&mut self.inside(0, &command))
    }

    /// A trace of a client that sends so many pieces, with a send buffer of so many bytes (0: the
    /// kernel's own).
    fn bulk(&self, engine: &str, pieces: u32, buffer_bytes: u32) -> Traced {
        let (_server, addr) = self.server(SINK, &["10.231.7.2", "0", "0"]);
        let numbers =
            [u32::from(addr.port()), pieces, buffer_bytes].map(|number| number.to_string());
        let [port, pieces, buffer] = numbers.each_ref().map(String::as_str);
        self.trace(engine, BULK, &["10.231.7.2", port, pieces, buffer])
    }
}

/// The only socket.
#[track_caller]
fn socket(traced: &Traced) -> &SocketReport {
    let [socket] = &traced.report.sockets[..] else {
        panic!("{traced:#?}");
    };
    socket
}

#[track_caller]
fn check_limit(traced: &Traced, limit: Limit) {
    traced.is_clean();
    let socket = socket(traced);
    assert_eq!(socket.limit, limit, "{socket:#?}");
    // Every moment is somebody's.
    let shares: f64 = socket.shares.parts().iter().map(|(_, ms)| ms).sum();
    near(shares, socket.seconds * 1000.0, 0.01);
}

#[test]
fn a_slow_link() {
    let Some(link) = Link::new(0.001, 1_000_000, 60_000) else {
        return;
    };
    for engine in [EBPF, SAMPLE] {
        let traced = link.bulk(engine, 20, 0).with(0);
        check_limit(&traced, Limit::CongestionWindow);
        if engine == EBPF {
            assert_eq!(socket(&traced).bytes_sent, 20 * 100_001);
        }
    }
}

#[test]
fn a_long_link() {
    let Some(link) = Link::new(0.025, 100_000_000, 1_000_000) else {
        return;
    };
    for engine in [EBPF, SAMPLE] {
        check_limit(&link.bulk(engine, 60, 0).with(0), Limit::CongestionWindow);
    }
}

/// The buffer takes less than the link: all that fits is on its way, and the program waits for room.
#[test]
fn a_small_send_buffer() {
    let Some(link) = Link::new(0.1, 100_000_000, 1_000_000) else {
        return;
    };
    check_limit(&link.bulk(EBPF, 4, 4096).with(0), Limit::SendBuffer);
}

#[test]
fn a_slow_reader() {
    if !requirement::root() {
        return;
    }
    let Some((_sink, addr)) = server(SINK, &["127.0.0.1", "4096", "0.002"]) else {
        return;
    };
    let port = addr.port().to_string();
    let client = script(BULK, &["127.0.0.1", &port, "20", "0"]).unwrap();
    for engine in [EBPF, SAMPLE] {
        let mut command = trace(&["--engine", engine, "--"]);
        command.arg(client.get_program()).args(client.get_args());
        check_limit(&Traced::run(&mut command).with(0), Limit::ReceiveWindow);
    }
}

/// A client of [`ANSWERS`] on loopback, and the address that it asks.
fn ask(calls_of_answer: &str, words: &[&str]) -> Option<(Traced, SocketAddr)> {
    if !requirement::root() {
        return None;
    }
    let (_server, addr) = server(ANSWERS, &["127.0.0.1", calls_of_answer])?;
    let port = addr.port().to_string();
    let words: Vec<_> = ["127.0.0.1", &port]
        .into_iter()
        .chain(words.iter().copied())
        .collect();
    let client = script(QUESTIONS, &words).unwrap();
    let mut command = trace(&["--engine", EBPF, "--"]);
    command.arg(client.get_program()).args(client.get_args());
    Some((Traced::run(&mut command), addr))
}

#[test]
fn a_program_that_thinks() {
    let Some((traced, _)) = ask("1", &["20", "1", "0.05"]) else {
        return;
    };
    check_limit(&traced, Limit::Program);
    assert_eq!(traced.code, 0);
    assert_eq!(traced.stalls(Cause::StopAndWait).count(), 0);
}

/// Each call counts, the first one as well; what ends the connection is no byte.
#[test]
fn what_is_counted() {
    for requests in [1, 3_u64] {
        let Some((traced, _)) = ask("1", &[&requests.to_string(), "1", "0"]) else {
            return;
        };
        let socket = socket(&traced);
        let counts = (socket.writes, socket.reads, socket.bytes_sent);
        assert_eq!(counts, (requests, requests, 100 * requests), "{socket:#?}");
    }
}

#[test]
fn one_request_a_round_trip() {
    const REQUESTS: u32 = 40;
    let Some(link) = Link::new(0.025, 100_000_000, 1_000_000) else {
        return;
    };
    let (_server, addr) = link.server(ANSWERS, &["10.231.7.2", "1"]);
    let port = addr.port().to_string();
    let arguments = ["10.231.7.2", &port, &REQUESTS.to_string(), "1", "0"];
    let traced = link.trace(EBPF, QUESTIONS, &arguments).with(0);
    check_limit(&traced, Limit::Peer);
    let sum = traced.sum(Cause::StopAndWait);
    assert!(
        (REQUESTS - 2..=REQUESTS).contains(&u32::try_from(sum.count).unwrap()),
        "{sum:?}"
    );
    // What pipelining would save: the way there and back, as often.
    let round_trip_ms = socket(&traced).round_trip_ms;
    assert!(round_trip_ms >= 50.0, "{traced:#?}");
    near(sum.held_ms, round_trip_ms * f64::from(REQUESTS), 0.2);
    // It isn't lost by a rule of this machine.
    assert_eq!(traced.report.held_ms_total, 0.0);
    assert!(
        traced
            .report
            .advice
            .iter()
            .any(|advice| advice.cause == Cause::StopAndWait)
    );
}

/// Of some hundred round trips a second a dozen are seen in detail: these tell.
#[test]
fn many_round_trips() {
    let Some(link) = Link::new(0.001, 100_000_000, 1_000_000) else {
        return;
    };
    let (_server, addr) = link.server(ANSWERS, &["10.231.7.2", "1"]);
    let port = addr.port().to_string();
    let traced = link.trace(EBPF, QUESTIONS, &["10.231.7.2", &port, "1000", "1", "0"]);
    let traced = traced.with(0);
    let (socket, stall) = traced.stalls(Cause::StopAndWait).next().unwrap();
    assert!(
        socket.shares.unseen_ms > socket.seconds * 500.0,
        "{socket:#?}"
    );
    assert!(stall.share > 0.5 && stall.count < 500, "{stall:#?}");
    let advice = &traced.report.advice;
    let causes: Vec<_> = advice.iter().map(|advice| advice.cause).collect();
    assert_eq!(causes, [Cause::StopAndWait]);
}

#[test]
fn more_packets_than_needed() {
    const REQUESTS: u64 = 50;
    // Of a busier socket not each event is looked at.
    let Some((traced, _)) = ask("1", &[&REQUESTS.to_string(), "2", "0.02"]) else {
        return;
    };
    assert_eq!(traced.code, 0, "packets are no time: {traced:#?}");
    traced.is_clean();
    let (socket, stall) = traced.stalls(Cause::PacketWaste).next().unwrap();
    assert!(socket.nodelay);
    // Where the client is taken off the processor between its writes, they are messages of their own.
    assert!(
        (REQUESTS / 2..=REQUESTS).contains(&stall.count),
        "{stall:#?}"
    );
    assert_eq!(stall.segments_wasted, stall.count);
    assert_eq!(
        (stall.held_ms_total, &*stall.pattern),
        (0.0, "write 60, write 40")
    );
    let (busy, _) = ask("1", &["30000", "2", "0"]).unwrap();
    let (_, stall) = busy.stalls(Cause::PacketWaste).next().unwrap();
    assert!(
        stall.segments_wasted < 15_000 && stall.share > 0.2,
        "{stall:#?}"
    );
    let mut advice = busy.report.advice.iter();
    assert!(advice.any(|advice| advice.cause == Cause::PacketWaste));
}

/// The peer holds its data until this side's delayed ACK, and isn't watched.
#[test]
fn a_peer_that_waits_for_our_ack() {
    const REQUESTS: u32 = 30;
    let Some((traced, addr)) = ask("2", &[&REQUESTS.to_string(), "1", "0"]) else {
        return;
    };
    assert_eq!(traced.code, 1);
    traced.is_clean();
    let sum = traced.sum(Cause::LocalDelayedAck);
    assert_eq!(sum.remote, addr);
    assert!(
        (TOLD_AT_LEAST..=u64::from(REQUESTS)).contains(&sum.count),
        "{sum:?}"
    );
    near(traced.report.held_ms_total, sum.held_ms, 1e-6);
}

/// Where both ends are watched, each tells what it knows, and the time counts once.
#[test]
fn both_ends() {
    if !requirement::root() {
        return;
    }
    let Some((peer, addr)) = server(ANSWERS, &["127.0.0.1", "2"]) else {
        return;
    };
    let (port, pid) = (addr.port().to_string(), peer.pid().to_string());
    // The client is not there yet, so that a shell is watched that will start it.
    let client = script(QUESTIONS, &["127.0.0.1", &port, "30", "1", "0"]).unwrap();
    let mut waiting = Command::new("sh");
    waiting.args(["-c", "read line; exec \"$0\" \"$@\""]);
    let mut shell = Program::start(waiting.arg(client.get_program()).args(client.get_args()));
    let pids = [pid, shell.pid().to_string()].join(",");
    let both = Tracing::start(&mut trace(&["--engine", EBPF, "-p", &pids]));
    let everything = Tracing::start(&mut trace(&["--engine", EBPF, "--all"]));
    drop(shell.child.stdin.take());
    assert!(shell.child.wait().unwrap().success());
    let (both, everything) = (both.stop(), everything.stop());

    let nagle = both.sum(Cause::Nagle);
    assert_eq!((nagle.pid, nagle.local), (peer.pid(), addr));
    assert_eq!(nagle.ended(EndedBy::DelayedAck), nagle.count, "{nagle:?}");
    let ours = both.sum(Cause::LocalDelayedAck);
    assert_eq!((ours.pid, ours.remote), (shell.pid(), addr));
    assert!(
        (TOLD_AT_LEAST..=nagle.count).contains(&ours.count),
        "{ours:?} {nagle:?}"
    );
    near(both.report.held_ms_total, nagle.held_ms, 1e-6);

    // Others' sockets are there, too. What comes right after an ACK is told by the time that each trace reads
    // for itself, so that on a busy machine one of them may miss what the other has just seen.
    let told = |cause: Cause, sum: &Sum| {
        let mut stalls = everything.stalls(cause);
        let found =
            stalls.find(|(socket, _)| (socket.local, socket.remote) == (sum.local, sum.remote));
        found.map_or(0, |(_, stall)| stall.count)
    };
    assert_eq!(told(Cause::Nagle, &nagle), nagle.count);
    let ours = told(Cause::LocalDelayedAck, &ours);
    assert!(
        (TOLD_AT_LEAST..=nagle.count).contains(&ours),
        "{ours} of {nagle:?}"
    );
}

/// Nothing is asked of a program that has no sockets.
#[test]
fn a_program_without_sockets() {
    let traced = Traced::run(&mut trace(&["--", "true"])).with(0);
    assert!(traced.report.sockets.is_empty() && traced.report.advice.is_empty());
}
