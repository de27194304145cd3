//! imaplib against a server that sets no socket option: each mail stalls once. What is told of it is
//! held against a packet capture of the same run.

use std::net::SocketAddr;

use tempfile::TempDir;
use uncork_lab::imap::{ImapServer, Personality, ServerConfig};
use uncork_lab::imaplib::Importer;
use uncork_lab::requirement;
use uncork_trace::report::{Cause, EndedBy, Engine, Language};

use super::capture::{Capture, Segment};
use super::{EBPF, SAMPLE, Sum, Traced, Tracing, near, trace};
use crate::run::python;
use crate::support::Ordinary;

const MAILS: u32 = 100;

/// A new connection's data is acknowledged at once for a while (`TCP_MAX_QUICKACKS`).
const WARMING_MAILS: u32 = 20;

/// A server that sets no option, for the lab's usual user.
struct Naive {
    server: ImapServer,
    _folder: TempDir,
}

impl Naive {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = ImapServer::start(ServerConfig {
            personality: Personality::naive(),
            ..ServerConfig::new(folder.path())
        });
        Self {
            server: server.unwrap(),
            _folder: folder,
        }
    }

    fn addr(&self) -> SocketAddr {
        self.server.addr()
    }
}

/// How often a mail's last line came later than its text did, and how much later in all, in
/// milliseconds.
fn held(segments: &[Segment], server: SocketAddr) -> (u64, f64) {
    let sent: Vec<_> = segments
        .iter()
        .filter(|segment| segment.to_port == server.port())
        .collect();
    let mut held = (0, 0.0);
    for pair in sent.windows(2) {
        let [text, line] = pair else { continue };
        if line.bytes == b"\r\n".len() {
            #[expect(clippy::cast_precision_loss, reason = "seconds in nanoseconds")]
            let held_ns = (line.at_ns - text.at_ns) as f64;
            held = (held.0 + 1, held.1 + held_ns / 1e6);
        }
    }
    held
}

/// Traces an importer of [`MAILS`] mails, and captures its packets.
fn import(watch: impl Fn(&Importer) -> Tracing) -> Option<(Traced, Sum, f64)> {
    let naive = Naive::start();
    let mut importer = Importer::start(naive.addr()).unwrap()?;
    importer.append(WARMING_MAILS).unwrap();
    let capture = Capture::of(naive.addr())?;
    let tracing = watch(&importer);
    importer.append(MAILS).unwrap();
    let traced = tracing.stop().with(1);
    let (mails, held_ms) = held(&capture.finish(), naive.addr());
    assert_eq!(mails, u64::from(MAILS));
    let sum = traced.sum(Cause::Nagle);
    assert_eq!((sum.pid, sum.remote), (importer.pid(), naive.addr()));
    assert!(sum.local.ip().is_loopback() && sum.local.port() != 0);
    Some((traced, sum, held_ms))
}

#[test]
fn each_stall_is_seen() {
    if !requirement::root() {
        return;
    }
    let Some((traced, sum, held_ms)) = import(|importer| Tracing::of(importer.pid(), EBPF)) else {
        return;
    };
    let traced = traced.by(Engine::Ebpf);
    assert!((98..=102).contains(&sum.count), "{sum:?}");
    assert!(sum.ended(EndedBy::DelayedAck) >= 98, "{sum:?}");
    assert!(
        sum.patterns[0].starts_with("write 353, write 2, read waits 4"),
        "{sum:?}"
    );
    near(sum.held_ms, held_ms, 0.01);
    near(traced.report.held_ms_total, held_ms, 0.01);
    assert_eq!(traced.report.held_ms_error, 0.0);
    assert_eq!(traced.report.events_lost, 0);
    let [socket] = &traced.report.sockets[..] else {
        panic!("{traced:#?}");
    };
    assert_eq!(socket.language, Some(Language::Python));
    assert!(socket.command_line.contains("python3"), "{socket:#?}");
    assert!(!socket.nodelay);
    let advice = &traced.report.advice[0];
    assert_eq!((advice.pid, advice.cause), (socket.pid, Cause::Nagle));
    assert!(advice.line.as_ref().unwrap().contains("TCP_NODELAY"));
    assert!(advice.repair.as_ref().unwrap().contains("uncork"));
}

#[test]
fn samples_come_near() {
    let watch = |importer: &Importer| {
        let pid = importer.pid().to_string();
        Tracing::start(&mut trace(&[
            "--engine", SAMPLE, "--rate", "500", "-p", &pid,
        ]))
    };
    // tcpdump needs root; the engine does not.
    if !requirement::root() {
        return;
    }
    let Some((traced, sum, held_ms)) = import(watch) else {
        return;
    };
    let traced = traced.by(Engine::Sample);
    assert!((95..=105).contains(&sum.count), "{sum:?}");
    near(sum.held_ms, held_ms, 0.05);
    near(traced.report.held_ms_total, held_ms, 0.05);
    assert!(traced.report.held_ms_error > 0.0);
    assert!(traced.notes("sampled: "), "{traced:#?}");
}

/// imaplib once more, by its own: nobody else tells it when to begin.
const IMPORT: &str = "
import imaplib, sys
server = imaplib.IMAP4('127.0.0.1', int(sys.argv[1]))
server.login(sys.argv[2], sys.argv[3])
for _ in range(int(sys.argv[4])):
    server.append('INBOX', None, None, b'Subject: hello\\r\\n\\r\\n' + b'x' * 333 + b'\\r\\n')
";

#[test]
fn without_root() {
    let Some(python) = python() else { return };
    let naive = Naive::start();
    let capture = if requirement::root() {
        Capture::of(naive.addr())
    } else {
        None
    };
    let user = Ordinary::new();
    let lab = ServerConfig::new("");
    let mut command = user.uncork();
    command.args(["trace", "--json", "--rate", "500", "--"]);
    command.arg(python).args(["-c", IMPORT]);
    command.arg(naive.addr().port().to_string());
    command.args([&lab.user, &lab.password]);
    command.arg((WARMING_MAILS + MAILS).to_string());
    let traced = Traced::run(&mut command).with(1).by(Engine::Sample);
    assert!(
        traced.notes("sampled, as the ebpf engine can't run here: "),
        "{traced:#?}"
    );
    let sum = traced.sum(Cause::Nagle);
    assert_eq!(sum.remote, naive.addr());
    let Some(capture) = capture else { return };
    let segments = capture.finish();
    let (_, held_ms) = held(&segments, naive.addr());
    // Those that the peer acknowledged at once are too short to be seen.
    assert!(sum.count >= u64::from(MAILS) * 95 / 100, "{sum:?}");
    near(sum.held_ms, held_ms, 0.05);
}
