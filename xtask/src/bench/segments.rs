//! `cargo xtask bench segments`: a header and a file, sent in five manners; segments, system
//! calls and CPU of each. Also where the library's thresholds come from.

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use uncork_lab::place::{Place, VethPair};
use uncork_lab::requirement;
use uncork_lab::web::{
    BODIES, HEAD_BYTES, Measured, SENDFILE_BYTES_MAX, WebManner, measure, measure_capped,
};

use super::result::{Measure, Report, Table};

/// Body sizes around the limit of `MSG_MORE`.
const LIMIT_BODIES: [u64; 9] = [
    10_000, 30_000, 60_000, 65_536, 65_537, 70_000, 80_000, 140_000, 300_000,
];

/// Bounds on one `sendfile` call.
const CAPS: [u64; 6] = [64 << 10, 256 << 10, 1 << 20, 2 << 20, 4 << 20, 8 << 20];

/// Responses of one connection; what is compared takes turns after each.
const ROUNDS: usize = 5;

const MEASURES: [Measure; 5] = [
    Measure::new("segments", "segments", 0),
    Measure::new("least_segments", "least", 0),
    Measure::new("system_calls", "calls", 0),
    Measure::new("cpu_us", "CPU, µs", 1),
    Measure::new("latency_us", "latency, µs", 1),
];

/// What can be chosen about the bench.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Responses of each row.
    #[arg(long, default_value_t = 20)]
    runs: usize,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut file = tempfile::tempfile().context("no temporary file")?;
    let longest = usize::try_from(BODIES[BODIES.len() - 1])?;
    file.write_all(&vec![b'b'; longest])?;
    let mut report = Report::new("segments");
    let mut places = vec![("loopback", Place::Loopback)];
    match VethPair::new() {
        Ok(pair) => places.push(("a veth pair with MTU 1500", Place::Veth(pair))),
        Err(error) => requirement::skip(&format!("no veth pair: {error}")),
    }
    for (name, place) in &places {
        report.push(compare(name, place, &file, arguments.runs)?);
    }
    report.push(limit(&file, arguments.runs)?);
    report.push(caps(&file, arguments.runs)?);
    report.note(
        "segments: data segments less retransmissions, by TCP_INFO; CPU: of the sending thread, \
         what the kernel does for the receiver in its context included; latency: from the \
         request to the last byte read.",
    );
    report.note("The first response of each connection is not counted.");
    let path = report.write()?;
    println!("{}\nwritten to {}", report.markdown(), path.display());
    Ok(())
}

/// The five manners at each size.
fn compare(name: &str, place: &Place, file: &File, runs: usize) -> Result<Table> {
    let mut rows = Vec::new();
    let mut segment_bytes = 0;
    for body_bytes in BODIES {
        let mut samples = WebManner::ALL.map(|manner| (manner, Samples::default()));
        for _ in 0..runs.div_ceil(ROUNDS) {
            for (manner, samples) in &mut samples {
                let measured = measure(place, *manner, file, body_bytes, ROUNDS)?;
                segment_bytes = measured.segment_bytes;
                samples.add(&measured);
            }
        }
        for (manner, samples) in samples {
            rows.push((format!("{body_bytes}, {}", manner.name()), samples));
        }
    }
    let title = format!(
        "A head of {HEAD_BYTES} bytes and a file over {name}, segments of {segment_bytes} bytes"
    );
    Ok(table(title, rows))
}

/// Where `MSG_MORE` stops being exact, and what it saves below: `MORE_FILE_BYTES`.
fn limit(file: &File, runs: usize) -> Result<Table> {
    let mut rows = Vec::new();
    for body_bytes in LIMIT_BODIES {
        let mut samples = [WebManner::MsgMore, WebManner::Cork].map(|m| (m, Samples::default()));
        for _ in 0..runs.div_ceil(ROUNDS) {
            for (manner, samples) in &mut samples {
                samples.add(&measure(
                    &Place::Loopback,
                    *manner,
                    file,
                    body_bytes,
                    ROUNDS,
                )?);
            }
        }
        for (manner, samples) in samples {
            rows.push((format!("{body_bytes}, {}", manner.name()), samples));
        }
    }
    Ok(table("Where MSG_MORE ends, over loopback", rows))
}

/// What a bound on one `sendfile` call costs: `SENDFILE_CAP_BYTES`.
fn caps(file: &File, runs: usize) -> Result<Table> {
    let body_bytes = BODIES[BODIES.len() - 1];
    let mut samples = CAPS.map(|cap| (cap, Samples::default()));
    for _ in 0..runs.div_ceil(ROUNDS) {
        for (cap, samples) in &mut samples {
            let place = Place::Loopback;
            let measured = measure_capped(&place, WebManner::Cork, file, body_bytes, ROUNDS, *cap)?;
            samples.add(&measured);
        }
    }
    let rows = samples.into_iter().map(|(cap, samples)| {
        let mark = if cap == SENDFILE_BYTES_MAX {
            ", the library's"
        } else {
            ""
        };
        (format!("{} KiB a call{mark}", cap >> 10), samples)
    });
    let title = format!("{body_bytes} bytes, corked, by the bound on one sendfile, over loopback");
    Ok(table(title, rows.collect()))
}

/// The values of one row, a list for each of [`MEASURES`].
#[derive(Debug, Default)]
struct Samples([Vec<f64>; MEASURES.len()]);

impl Samples {
    fn add(&mut self, measured: &Measured) {
        let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
        for response in &measured.responses {
            let values = [
                response.segments as f64,
                measured.least_segments as f64,
                response.system_calls as f64,
                micros(response.cpu),
                micros(response.latency),
            ];
            for (list, value) in self.0.iter_mut().zip(values) {
                list.push(value);
            }
        }
    }
}

fn table(title: impl Into<String>, rows: Vec<(String, Samples)>) -> Table {
    let mut table = Table::new(title, &MEASURES);
    for (name, samples) in rows {
        table.push(name, &samples.0);
    }
    table
}
