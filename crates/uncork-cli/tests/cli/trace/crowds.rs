//! Many sockets, many processes, more events than are read, and ends that nobody expects: what is told
//! stays true, and what is left out is said.

use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::Duration;

use uncork_lab::http::get;
use uncork_lab::http::load::{Load, LoadConfig, Until};
use uncork_lab::imap::{ImapServer, Personality, ServerConfig};
use uncork_lab::imaplib::Importer;
use uncork_lab::requirement;
use uncork_trace::report::Cause;

use super::peers::{script, succeed};
use super::{EBPF, SAMPLE, Traced, Tracing, trace};
use crate::running::Running;
use crate::signals::{kill, wait_for};
use crate::support::uncork;

/// What uncork may need however many sockets there are.
const MEMORY_BYTES: u64 = 200 * 1024 * 1024;

/// A trace of a command, which is bounded.
#[track_caller]
fn bounded(engine: &str, program: &Command) -> Traced {
    let mut command = trace(&["--engine", engine, "--"]);
    command.arg(program.get_program()).args(program.get_args());
    let traced = Traced::run(&mut command);
    assert!(
        traced.peak_bytes > 0 && traced.peak_bytes < MEMORY_BYTES,
        "{} bytes",
        traced.peak_bytes
    );
    assert!(traced.report.sockets.len() <= 1000);
    traced
}

/// The number at the beginning of the note that holds these words; 0 where there is none.
fn noted(traced: &Traced, words: &str) -> u64 {
    let mut notes = traced.report.notes.iter();
    let note = notes.find(|note| note.contains(words));
    let numbers = note.map(|note| note.split(' ').filter_map(|word| word.parse().ok()));
    numbers.and_then(|mut numbers| numbers.next()).unwrap_or(0)
}

/// Sockets that the report knows of: told, summed up, or counted.
fn known(traced: &Traced) -> u64 {
    let others = [
        "sockets more, that lost less",
        "closed sockets without a loss",
        "there was no room for",
    ];
    let others: u64 = others.iter().map(|words| noted(traced, words)).sum();
    traced.report.sockets.len() as u64 + others
}

#[test]
fn ten_thousand_connections_one_by_one() {
    let Some(program) = script(include_str!("crowd.py"), &["one_by_one", "10000", "0"]) else {
        return;
    };
    if requirement::root() {
        let traced = bounded(EBPF, &program).with(0);
        traced.is_clean();
        // Where events were lost, so may be introductions.
        let known = known(&traced);
        let is_all = known == 20_000 || traced.report.events_lost > 0;
        assert!(
            is_all || (19_990..=20_010).contains(&known),
            "{known}: {:?}",
            traced.report.notes
        );
    }
    bounded(SAMPLE, &program).with(0);
}

#[test]
fn ten_thousand_sockets_at_once() {
    let crowd = |pause| script(include_str!("crowd.py"), &["at_once", "5000", pause]);
    let (Some(short), Some(long)) = (crowd("0"), crowd("3")) else {
        return;
    };
    let is_too_few = |traced: &Traced| traced.stderr.contains("few");
    if requirement::root() {
        let traced = bounded(EBPF, &short);
        if is_too_few(&traced) {
            return requirement::skip("no 10,000 descriptors");
        }
        let traced = traced.with(0);
        traced.is_clean();
        assert_eq!(known(&traced), 10_000, "{:?}", traced.report.notes);
        assert!(
            noted(&traced, "there was no room for") > 0,
            "{:?}",
            traced.report.notes
        );
    }
    let traced = bounded(SAMPLE, &long);
    if is_too_few(&traced) {
        return requirement::skip("no 10,000 descriptors");
    }
    // How many depends on what else the machine has to do.
    let left_out = noted(&traced.with(0), "not sampled all the time");
    assert!((1..10_000).contains(&left_out), "{left_out}");
}

#[test]
fn a_thousand_forks() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    let Some(program) = script(include_str!("forks.py"), &[&port]) else {
        return;
    };
    thread::spawn(move || server.incoming().for_each(drop));
    if requirement::root() {
        let traced = bounded(EBPF, &program).with(0);
        assert_eq!(known(&traced), 1000, "{:?}", traced.report.notes);
        let sockets = &traced.report.sockets;
        assert!(
            sockets
                .iter()
                .all(|socket| socket.remote.port().to_string() == port)
        );
        let mut pids: Vec<_> = sockets.iter().map(|socket| socket.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        assert_eq!(pids.len(), sockets.len(), "each has one");
    }
    bounded(SAMPLE, &program).with(0);
}

/// The program is killed in the middle of its work: the trace ends, and tells what was until then.
#[test]
fn a_program_that_is_killed() {
    if !requirement::root() {
        return;
    }
    for engine in [EBPF, SAMPLE] {
        let folder = tempfile::tempdir().unwrap();
        let server = ImapServer::start(ServerConfig {
            personality: Personality::naive(),
            ..ServerConfig::new(folder.path())
        });
        let server = server.unwrap();
        let Some(mut importer) = Importer::start(server.addr()).unwrap() else {
            return;
        };
        let pid = importer.pid();
        let tracing = Tracing::of(pid, engine);
        let work = thread::spawn(move || importer.append(10_000).unwrap_err());
        wait_for(|| server.stored() >= 60);
        succeed(Command::new("kill").args(["-KILL", &pid.to_string()]));
        let traced = tracing.wait().with(1);
        work.join().unwrap();
        let sum = traced.sum(Cause::Nagle);
        assert_eq!((sum.pid, sum.remote), (pid, server.addr()));
        assert!((30..=server.stored() + 1).contains(&sum.count), "{sum:?}");
    }
}

/// Who can't read for a while loses events, says so, and makes nothing up of those that are left.
#[test]
fn more_events_than_there_is_room_for() {
    if !requirement::root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("page"), [b'x'; 1000]).unwrap();
    let mut command = uncork();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--json", "--root"])
        .arg(folder.path());
    let running = Running::start(command.stderr(std::process::Stdio::null()));
    let mut load = LoadConfig::new(running.address(), vec![get("localhost", "/page")]);
    load.connections = 512;
    let mut load = Load::connect(load).unwrap();
    let tracing = Tracing::of(running.child.id(), EBPF);
    load.run(Until::Requests(5000)).unwrap();
    kill(&tracing.child, "-STOP");
    // Some events of each socket are passed on each second: more of both than there is room for, even
    // where that many requests take no two seconds.
    load.run(Until::Requests(150_000)).unwrap();
    load.run(Until::Elapsed(Duration::from_secs(5))).unwrap();
    kill(&tracing.child, "-CONT");
    load.run(Until::Requests(5000)).unwrap();
    let traced = tracing.stop().with(0);
    traced.is_clean();
    let lost = traced.report.events_lost;
    assert!(lost > 0, "{:?}", traced.report.notes);
    assert_eq!(noted(&traced, "events were lost"), lost);
    assert!(traced.peak_bytes < MEMORY_BYTES);
}
