//! What others feel when some connections are slow, or some files are not in memory.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::thread::{self, sleep};
use std::time::Duration;

use anyhow::{Context, Error, Result, ensure};
use rustix::fs::{Advice, fadvise};
use socket2::{Domain, Protocol, Socket, Type};
use uncork_lab::http::get;
use uncork_lab::http::load::{Latencies, Load, LoadConfig, Outcome, Until};

use super::idle::{SPARE_FILES, allow_open_files};
use super::peer::{Peer, PeerName};
use crate::bench::result::{Measure, Table};
use crate::bench::server::Server;

/// Connections that ask for the small page meanwhile.
const HOT_CONNECTIONS: usize = 8;

/// How long they ask.
const HOT_TIME: Duration = Duration::from_secs(3);

/// How long a server may take to fill the buffers of those who don't read.
const SETTLE: Duration = Duration::from_secs(2);

/// Receive buffer of a client that does not read: the least there is.
const SLOW_BUFFER_BYTES: usize = 2048;

/// The files that are not in memory, and how long each is.
const COLD_FILES: usize = 100;
const COLD_FILE_BYTES: usize = 4 << 20;

/// Connections that ask for these.
const COLD_CONNECTIONS: usize = 4;

const MEASURES: [Measure; 6] = [
    Measure::new("requests_per_second_alone", "requests/s, alone", 0),
    Measure::new("latency_p99_ms_alone", "99 % within, ms, alone", 2),
    Measure::new("requests_per_second", "requests/s", 0),
    Measure::new("latency_p99_ms", "99 % within, ms", 2),
    Measure::new("latency_max_ms", "slowest, ms", 1),
    Measure::new("disturbers_served", "of the others served", 0),
];

/// Servers that were left out, and why.
type Failed = Vec<(PeerName, Error)>;

/// Half of so many connections sends half a head and the other half asks for a long file and reads
/// nothing, while a few others ask for a small page.
///
/// # Errors
/// Where so many files may not be open.
pub(super) fn slow(
    peers: &[Peer],
    start: impl Fn(&Peer) -> Result<Server>,
    hot: &LoadConfig,
    long_path: &str,
    connections: usize,
    runs: u32,
) -> Result<(Table, Failed)> {
    allow_open_files(connections as u64 + SPARE_FILES)?;
    let title = format!("1 KiB beside {connections} slow connections");
    let once = |server: &Server| {
        let alone = ask(server, hot)?;
        let request = get("localhost", long_path);
        let slow: Vec<TcpStream> = (0..connections)
            .map(|nth| match nth % 2 {
                0 => slow_client(server, b"GET / HTTP/1.1\r\nHost: lo"),
                _ => slow_client(server, &request),
            })
            .collect::<Result<_>>()?;
        sleep(SETTLE);
        let beside = ask(server, hot)?;
        drop(slow);
        Ok((alone, beside, 0))
    };
    Ok(table(&title, peers, start, once, runs))
}

/// Files that were put out of the kernel's memory are asked for, while others ask for a small page.
///
/// # Errors
/// Where the files can't be written.
pub(super) fn cold(
    peers: &[Peer],
    start: impl Fn(&Peer) -> Result<Server>,
    hot: &LoadConfig,
    root: &Path,
    runs: u32,
) -> Result<(Table, Failed)> {
    let names: Vec<String> = (0..COLD_FILES)
        .map(|nth| format!("cold{nth:03}.bin"))
        .collect();
    let text: Vec<u8> = (0..=250).cycle().take(COLD_FILE_BYTES).collect();
    for name in &names {
        let path = root.join(name);
        fs::write(&path, &text).with_context(|| format!("can't write {}", path.display()))?;
    }
    let title = format!("1 KiB beside downloads of {COLD_FILES} files of 4 MiB from the disk");
    let once = |server: &Server| {
        let alone = ask(server, hot)?;
        for name in &names {
            let file = File::open(root.join(name))?;
            file.sync_all()?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
        let requests = names
            .iter()
            .map(|name| get("localhost", &format!("/{name}")));
        let cold = LoadConfig {
            connections: COLD_CONNECTIONS,
            latencies: Latencies::Drop,
            ..LoadConfig::new(server.addr(), requests.collect())
        };
        let others = thread::spawn(move || Load::connect(cold)?.run(Until::Elapsed(HOT_TIME)));
        let beside = ask(server, hot)?;
        let others = others
            .join()
            .map_err(|_| anyhow::anyhow!("the load panicked"))??;
        Ok((alone, beside, others.requests))
    };
    let table = table(&title, peers, start, once, runs);
    for name in &names {
        let _ = fs::remove_file(root.join(name));
    }
    Ok(table)
}

/// One row a server: each run in a new process.
fn table(
    title: &str,
    peers: &[Peer],
    start: impl Fn(&Peer) -> Result<Server>,
    once: impl Fn(&Server) -> Result<(Outcome, Outcome, u64)>,
    runs: u32,
) -> (Table, Failed) {
    let mut table = Table::new(title, &MEASURES);
    let mut failed = Vec::new();
    let those = peers
        .iter()
        .filter(|peer| !peer.name.has_log() && peer.name != PeerName::Bare);
    for peer in those {
        let run = |nth: u32| {
            let (alone, beside, served) = once(&start(peer)?)?;
            let values = values(&alone, &beside, served);
            let name = peer.name.name();
            eprintln!(
                "{title}: run {nth} of {runs}: {name}: slowest {:.1} ms",
                values[4]
            );
            anyhow::Ok(values)
        };
        match (1..=runs).map(run).collect::<Result<Vec<_>>>() {
            Ok(rows) => table.push_runs(peer.name.name(), &rows),
            Err(error) => failed.push((peer.name, error)),
        }
    }
    (table, failed)
}

/// In the order of [`MEASURES`].
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn values(alone: &Outcome, beside: &Outcome, served: u64) -> [f64; MEASURES.len()] {
    let rate = |outcome: &Outcome| outcome.requests as f64 / outcome.elapsed.as_secs_f64();
    let ms =
        |outcome: &Outcome, part| outcome.latency(part).unwrap_or_default().as_secs_f64() * 1e3;
    [
        rate(alone),
        ms(alone, 0.99),
        rate(beside),
        ms(beside, 0.99),
        ms(beside, 1.0),
        served as f64,
    ]
}

/// The small page, by a few connections that are made for it.
fn ask(server: &Server, hot: &LoadConfig) -> Result<Outcome> {
    let load = LoadConfig {
        addr: server.addr(),
        connections: HOT_CONNECTIONS,
        latencies: Latencies::Keep,
        ..hot.clone()
    };
    let outcome = Load::connect(load)?.run(Until::Elapsed(HOT_TIME))?;
    let answered = outcome.statuses.get(&200).copied().unwrap_or(0);
    ensure!(
        answered == outcome.requests,
        "it answers with {:?}",
        outcome.statuses
    );
    Ok(outcome)
}

/// A connection that sends this, and then does nothing.
fn slow_client(server: &Server, bytes: &[u8]) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_recv_buffer_size(SLOW_BUFFER_BYTES)?;
    socket
        .connect(&server.addr().into())
        .context("a slow client can't connect")?;
    let mut stream = TcpStream::from(socket);
    stream.write_all(bytes)?;
    Ok(stream)
}
