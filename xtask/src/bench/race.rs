//! Web servers under the same load, in turns.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use uncork_lab::http::load::{Latencies, Load, LoadConfig, Until};
use uncork_lab::requirement;

use super::result::{Measure, Report, Table};
use super::server::Server;
use super::strace::Strace;

/// The part of a run's time that goes before it and is not counted.
const WARM_UP: f64 = 0.1;

/// Bytes of all answers while system calls are counted, and the bounds of their number: each
/// call takes long under strace.
const TRACED_BYTES: u64 = 100 << 20;
const TRACED_REQUESTS: (u64, u64) = (16, 4096);

/// Enough for all connections to be accepted before calls are counted.
const TRACED_WARM_UP: Duration = Duration::from_millis(100);

/// The columns of every race; the ratios come behind them.
const MEASURES: [Measure; 4] = [
    Measure::new("server_cpu_us_per_request", "CPU, µs/request", 2),
    Measure::new("requests_per_second", "requests/s", 0),
    Measure::new("latency_p99_ms", "99 % answered within, ms", 2),
    Measure::new("system_calls_per_request", "system calls/request", 2),
];

/// How long a race is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Length {
    /// How often each server runs.
    pub(super) runs: u32,
    /// How long one run is.
    pub(super) seconds: f64,
}

/// A server, and what it is asked for.
#[derive(Debug)]
pub(super) struct Lane {
    name: String,
    server: Server,
    load: LoadConfig,
    body_bytes: usize,
    samples: Vec<Sample>,
    calls_per_request: Option<f64>,
    failure: Option<String>,
}

/// A column with the CPU time of each lane in terms of that of one of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Baseline {
    pub(super) lane: &'static str,
    pub(super) measure: Measure,
}

/// What one run took.
#[derive(Clone, Copy, Debug)]
struct Sample {
    cpu_us_per_request: f64,
    requests_per_second: f64,
    latency_p99_ms: f64,
}

impl Lane {
    /// Every answer must be a 200 with a body of so many bytes.
    pub(super) fn new(
        name: impl Into<String>,
        server: Server,
        mut load: LoadConfig,
        body_bytes: usize,
    ) -> Self {
        load.latencies = Latencies::Keep;
        Self {
            name: name.into(),
            server,
            load,
            body_bytes,
            samples: Vec::new(),
            calls_per_request: None,
            failure: None,
        }
    }

    /// A connected load that has asked for everything, and the answers were right.
    fn warm_load(&self, time: Duration) -> Result<Load> {
        let mut load = Load::connect(self.load.clone())?;
        let mut requests = load.run(Until::Requests(2 * self.load.requests.len() as u64))?;
        let rest = load.run(Until::Elapsed(time))?;
        requests.statuses.extend(rest.statuses);
        ensure!(
            requests.statuses.keys().eq([&200]),
            "it answers with {:?}",
            requests.statuses
        );
        let first = load.first_response(0).context("no answer")?;
        ensure!(
            first.body.len() == self.body_bytes,
            "it answers with {} bytes, not {}",
            first.body.len(),
            self.body_bytes
        );
        Ok(load)
    }

    /// Connections are new for each run: servers close those that are idle too long.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn run(&self, seconds: f64) -> Result<Sample> {
        let mut load = self.warm_load(Duration::from_secs_f64(seconds * WARM_UP))?;
        let cpu_before = self.server.cpu_ns();
        let outcome = load.run(Until::Elapsed(Duration::from_secs_f64(seconds)))?;
        let cpu_ns = self.server.cpu_ns().saturating_sub(cpu_before);
        let latency = outcome.latency(0.99).context("no answer")?;
        let requests = outcome.requests as f64;
        Ok(Sample {
            cpu_us_per_request: cpu_ns as f64 / 1e3 / requests,
            requests_per_second: requests / outcome.elapsed.as_secs_f64(),
            latency_p99_ms: latency.as_secs_f64() * 1e3,
        })
    }

    /// System calls a request, counted in a run of its own: under strace everything is slow.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn trace(&self, strace: &Path) -> Result<f64> {
        let mut load = self.warm_load(TRACED_WARM_UP)?;
        let (least, most) = TRACED_REQUESTS;
        let enough = TRACED_BYTES / (self.body_bytes as u64).max(1);
        // Whole rounds of whole batches, so that waits are shared as they are in the runs.
        let round = (self.load.connections * self.load.depth) as u64;
        let requests = enough.clamp(least, most).next_multiple_of(round);
        let tracer = Strace::attach(strace, self.server.pid())?;
        let outcome = load.run(Until::Requests(requests))?;
        Ok(tracer.calls()? as f64 / outcome.requests as f64)
    }
}

/// Runs all lanes in turns, each time in another order, and adds a table to the report, with a
/// note for each that failed. A lane that failed is not tried again.
///
/// Latencies are of whole batches, and of closed loops: with a server that is busy all the time
/// they are its connections over its rate. What they show is who is held up.
pub(super) fn race(
    report: &mut Report,
    title: &str,
    mut lanes: Vec<Lane>,
    length: Length,
    baselines: &[Baseline],
) {
    if lanes.is_empty() {
        return;
    }
    for run in 0..length.runs as usize {
        for place in 0..lanes.len() {
            let index = (place + run) % lanes.len();
            let lane = &mut lanes[index];
            if lane.failure.is_some() {
                continue;
            }
            let name = &lane.name;
            let word = format!("{title}: run {} of {}: {name}", run + 1, length.runs);
            match lane.run(length.seconds) {
                Ok(sample) => {
                    eprintln!("{word}: {:.2} µs/request", sample.cpu_us_per_request);
                    lane.samples.push(sample);
                }
                Err(error) => {
                    eprintln!("{word} left out: {error:#}");
                    lane.failure = Some(format!("{error:#}"));
                }
            }
        }
    }
    if let Some(strace) = requirement::program("strace") {
        for lane in lanes.iter_mut().filter(|lane| lane.failure.is_none()) {
            match lane.trace(&strace) {
                Ok(calls) => lane.calls_per_request = Some(calls),
                Err(error) => eprintln!("{}: no system calls: {error:#}", lane.name),
            }
        }
    }
    report.push(table(title, &lanes, baselines));
    for lane in &lanes {
        if let Some(failure) = &lane.failure {
            let first = failure.lines().next().unwrap_or_default();
            report.note(format!("{} failed: {first} ({title}).", lane.name));
        }
    }
}

fn table(title: &str, lanes: &[Lane], baselines: &[Baseline]) -> Table {
    let compared = baselines.iter().map(|baseline| baseline.measure);
    let measures: Vec<Measure> = MEASURES.into_iter().chain(compared).collect();
    let mut table = Table::new(title, &measures);
    for lane in lanes {
        let column = |value: fn(&Sample) -> f64| lane.samples.iter().map(value).collect();
        let mut cells: Vec<Vec<f64>> = vec![
            column(|sample| sample.cpu_us_per_request),
            column(|sample| sample.requests_per_second),
            column(|sample| sample.latency_p99_ms),
            lane.calls_per_request.into_iter().collect(),
        ];
        for baseline in baselines {
            let other = lanes.iter().find(|other| other.name == baseline.lane);
            cells.push(other.map_or_else(Vec::new, |other| ratios(lane, other)));
        }
        table.push(lane.name.clone(), &cells);
    }
    table
}

/// The CPU time of one lane in terms of another's, of each round: what disturbs the machine for seconds
/// disturbs both of them.
fn ratios(lane: &Lane, other: &Lane) -> Vec<f64> {
    let rounds = lane.samples.iter().zip(&other.samples);
    rounds
        .map(|(one, other)| one.cpu_us_per_request / other.cpu_us_per_request)
        .collect()
}

/// A time that can be waited for, as an argument.
pub(super) fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.01..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number from 0.01 to 3600".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_real_time_is_a_length() {
        assert_eq!(seconds("2.5"), Ok(2.5));
        for wrong in ["0", "-1", "NaN", "inf", "1e9", "two"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
