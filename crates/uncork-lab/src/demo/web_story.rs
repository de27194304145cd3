//! The web server's story: a header and a file of 1 KB to 8 MB, by one way after the other.

use std::fs::File;
use std::io::{self, Write};
use std::time::Duration;

use super::report::{WebRow, WebStory};
use crate::place::Place;
use crate::web::{BODIES, HEAD_BYTES, Measured, WebManner, measure};

/// Responses of each row.
const ROUNDS: usize = 20;

/// Steps of this story: one a body size.
pub(super) const STEPS: usize = BODIES.len();

pub(super) fn run(step: &mut impl FnMut(String)) -> io::Result<WebStory> {
    let mut file = tempfile::tempfile()?;
    fill(&mut file)?;
    let mut rows = Vec::with_capacity(BODIES.len() * WebManner::ALL.len());
    let mut segment_bytes = 0;
    for body_bytes in BODIES {
        step(format!(
            "a header and a file of {body_bytes} bytes, five ways"
        ));
        for manner in WebManner::ALL {
            let measured = measure(&Place::Loopback, manner, &file, body_bytes, ROUNDS)?;
            segment_bytes = measured.segment_bytes;
            rows.push(row(manner, body_bytes, &measured));
        }
    }
    Ok(WebStory {
        head_bytes: HEAD_BYTES as u64,
        segment_bytes,
        rounds: ROUNDS,
        rows,
    })
}

fn fill(file: &mut File) -> io::Result<()> {
    let chunk = [b'b'; 64 * 1024];
    let mut left = BODIES.into_iter().max().unwrap_or(0);
    while left > 0 {
        let most = usize::try_from(left).map_or(chunk.len(), |left| left.min(chunk.len()));
        file.write_all(&chunk[..most])?;
        left -= most as u64;
    }
    Ok(())
}

fn row(manner: WebManner, body_bytes: u64, measured: &Measured) -> WebRow {
    let responses = &measured.responses;
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    WebRow {
        manner,
        body_bytes,
        segments: median(responses.iter().map(|response| response.segments)),
        segments_max: responses
            .iter()
            .map(|response| response.segments)
            .max()
            .unwrap_or(0),
        least_segments: measured.least_segments,
        system_calls: median(responses.iter().map(|response| response.system_calls)),
        cpu_us: micros(median(responses.iter().map(|response| response.cpu))),
        latency_us: micros(median(responses.iter().map(|response| response.latency))),
    }
}

/// The middle one; of an even number, the lower of the two.
pub(crate) fn median<T: Ord + Default + Copy>(values: impl Iterator<Item = T>) -> T {
    let mut sorted: Vec<T> = values.collect();
    sorted.sort_unstable();
    let middle = sorted.len().saturating_sub(1) / 2;
    sorted.get(middle).copied().unwrap_or_default()
}
