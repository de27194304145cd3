//! `cargo xtask bench runtime`: what an asynchronous runtime adds to a request. A server that
//! parses nothing, on plain epoll and on tokio.

use anyhow::Result;
use uncork_lab::http::get;
use uncork_lab::http::load::LoadConfig;

use super::cores::Cores;
use super::race::{Baseline, Lane, Length, race, seconds};
use super::result::{Measure, Report};
use super::server::Server;
use crate::peer::Runtime;

const BODY_BYTES: usize = 1024;

const EPOLL: &str = "bare, epoll";

const LANES: [(&str, Runtime); 2] = [
    (EPOLL, Runtime::Epoll),
    ("bare, tokio current-thread", Runtime::Tokio),
];

/// Titles, connections, and requests at once.
const LOADS: [(&str, usize, usize); 3] = [
    ("1 KiB, 64 connections", 64, 1),
    ("1 KiB, 1 connection", 1, 1),
    ("1 KiB, 64 connections, 16 requests at once", 64, 16),
];

const BASELINES: [Baseline; 1] = [Baseline {
    lane: EPOLL,
    measure: Measure::new("cpu_to_epoll", "CPU to epoll's", 2),
}];

/// What can be chosen about the bench.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How often each server runs.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// How long one run is.
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,
}

/// Measures and writes the results.
///
/// # Errors
/// Where a server can't be started or the results not be written.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut report = Report::new("runtime");
    let length = Length {
        runs: arguments.runs,
        seconds: arguments.seconds,
    };
    let cores = Cores::choose()?;
    cores.load()?;
    for (title, connections, depth) in LOADS {
        let mut lanes = Vec::new();
        for (name, runtime) in LANES {
            let server = Server::start_bare(cores, runtime, BODY_BYTES)?;
            let mut load = LoadConfig::new(server.addr(), vec![get("localhost", "/")]);
            load.connections = connections;
            load.depth = depth;
            lanes.push(Lane::new(name, server, load, BODY_BYTES));
        }
        race(&mut report, title, lanes, length, &BASELINES);
    }
    cores.note(&mut report);
    report.note(
        "CPU: of the server's process, by the scheduler; on loopback it includes what the kernel \
         does for the receiver. Requests at once are answered when the last of them is. System \
         calls: of a short run of its own under strace.",
    );
    let path = report.write()?;
    println!("{}\nwritten to {}", report.markdown(), path.display());
    Ok(())
}
