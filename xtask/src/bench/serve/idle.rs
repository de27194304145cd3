//! What a connection costs that is kept open and not used.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Error, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use uncork_lab::http::load::{Load, LoadConfig, Until};

use super::peer::{Peer, PeerName};
use crate::bench::result::{Measure, Table};
use crate::bench::server::Server;

/// Files that a process has open beside its connections.
pub(super) const SPARE_FILES: u64 = 256;

/// How long a server may take to put away what a request needed.
const SETTLE: Duration = Duration::from_millis(300);

const MEASURES: [Measure; 3] = [
    Measure::new("memory_start_kib", "after one request, KiB", 0),
    Measure::new("memory_idle_kib", "with all connections, KiB", 0),
    Measure::new("memory_bytes_per_connection", "bytes/connection", 0),
];

/// Servers that were left out, and why.
type Failed = Vec<(PeerName, Error)>;

/// Each server gets so many connections, with one request on each, `runs` times, each time in a
/// new process: memory that was freed once is not asked for again.
///
/// # Errors
/// Where so many files may not be open.
pub(super) fn measure(
    peers: &[Peer],
    start: impl Fn(&Peer) -> Result<Server>,
    load: &LoadConfig,
    connections: usize,
    runs: u32,
) -> Result<(Table, Failed)> {
    allow_open_files(connections as u64 + SPARE_FILES)?;
    let mut table = Table::new(format!("{connections} idle connections"), &MEASURES);
    let mut failed = Vec::new();
    for peer in peers.iter().filter(|peer| !peer.name.has_log()) {
        let run = |nth: u32| {
            let values = once(&start(peer)?, load, connections)?;
            let name = peer.name.name();
            eprintln!("idle: run {nth} of {runs}: {name}: {:.0} bytes", values[2]);
            anyhow::Ok(values)
        };
        match (1..=runs).map(run).collect::<Result<Vec<_>>>() {
            Ok(rows) => table.push_runs(peer.name.name(), &rows),
            Err(error) => failed.push((peer.name, error)),
        }
    }
    Ok((table, failed))
}

/// In the order of [`MEASURES`].
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn once(server: &Server, load: &LoadConfig, connections: usize) -> Result<[f64; MEASURES.len()]> {
    let ask = |connections: usize| {
        let mut load = LoadConfig {
            addr: server.addr(),
            connections,
            ..load.clone()
        };
        load.depth = 1;
        let mut load = Load::connect(load)?;
        let outcome = load.run(Until::Requests(connections as u64))?;
        let answered = outcome.statuses.get(&200).copied().unwrap_or(0);
        ensure!(
            answered == connections as u64,
            "it answers with {:?}",
            outcome.statuses
        );
        sleep(SETTLE);
        // As long as the load lives, its connections do.
        Ok((server.memory_bytes() as f64, load))
    };
    let (before, _) = ask(1)?;
    let (idle, _connected) = ask(connections)?;
    Ok([
        before / 1024.0,
        idle / 1024.0,
        (idle - before) / connections as f64,
    ])
}

/// Raises the limit of this process, which its children inherit.
pub(super) fn allow_open_files(files: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= files) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(files),
        // Only root may go beyond it.
        maximum: limit.maximum.map(|maximum| maximum.max(files)),
    };
    setrlimit(Resource::Nofile, raised)
        .with_context(|| format!("{files} open files are not allowed (RLIMIT_NOFILE)"))
}
