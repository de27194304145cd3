//! Segments of a header and a file: the figures that the library's plan stands on.
//!
//! Counts of segments are gated, times are not. Nothing but the sender cuts segments while the
//! reader keeps up; a reader that the scheduler takes off the CPU lets the receive window cut
//! one now and then. A body of up to 300,000 bytes fits the windows whole, so every run has to
//! be exact. Of a larger one every run has at least the least, and the median is the least.

use std::io;

use uncork_lab::place::{Place, VethPair};
use uncork_lab::requirement;
use uncork_lab::web::{HEAD_BYTES, Measured, WebManner, measure};

const ROUNDS: usize = 20;

/// Bodies that fit the windows, and their segments at an MSS of 1436 with the header.
const EXACT: [(u64, u64); 3] = [(1000, 1), (65_536, 46), (300_000, 210)];

/// Bodies that do not, and theirs.
const MEDIAN: [(u64, u64); 2] = [(1_000_000, 697), (8_000_000, 5572)];

/// The segments of every round, sorted.
fn segments(measured: &Measured) -> Vec<u64> {
    let responses = measured.responses.iter();
    let mut segments: Vec<u64> = responses.map(|response| response.segments).collect();
    segments.sort_unstable();
    segments
}

fn measured(place: &Place, manner: WebManner, body_bytes: u64) -> io::Result<Measured> {
    let file = tempfile::tempfile()?;
    file.set_len(body_bytes)?;
    measure(place, manner, &file, body_bytes, ROUNDS)
}

fn check_exact(measured: &Measured, expected: u64) {
    let segments = segments(measured);
    assert_eq!(segments, [expected; ROUNDS], "of {measured:?}");
}

fn check_median(measured: &Measured, least: u64) {
    let segments = segments(measured);
    assert!(segments[0] >= least, "fewer than the least: {segments:?}");
    assert_eq!(segments[ROUNDS / 2], least, "median of {segments:?}");
}

#[test]
fn uncork_sends_the_least_segments_over_loopback() {
    for (body_bytes, least) in EXACT {
        let measured = measured(&Place::Loopback, WebManner::Uncork, body_bytes).unwrap();
        assert_eq!(measured.segment_bytes, 1436);
        assert_eq!(measured.least_segments, least);
        check_exact(&measured, least);
    }
}

#[test]
fn uncork_sends_large_files_in_the_least_segments_over_loopback() {
    for (body_bytes, least) in MEDIAN {
        let measured = measured(&Place::Loopback, WebManner::Uncork, body_bytes).unwrap();
        assert_eq!(measured.segment_bytes, 1436);
        assert_eq!(measured.least_segments, least);
        check_median(&measured, least);
    }
}

#[test]
fn a_header_written_alone_takes_a_segment_of_its_own() {
    for (body_bytes, least) in EXACT.into_iter().take(2) {
        let measured = measured(&Place::Loopback, WebManner::TwoWritesNoDelay, body_bytes).unwrap();
        check_exact(&measured, least + 1);
    }
}

#[test]
fn uncork_sends_the_least_segments_over_a_link_of_the_kernel() {
    if !requirement::root() || requirement::program("ip").is_none() {
        return;
    }
    let place = match VethPair::new() {
        Ok(pair) => Place::Veth(pair),
        Err(error) => return requirement::skip(&format!("no veth pair: {error}")),
    };
    for (body_bytes, _) in EXACT {
        let measured = measured(&place, WebManner::Uncork, body_bytes).unwrap();
        let total_bytes = HEAD_BYTES as u64 + body_bytes;
        let least = total_bytes.div_ceil(u64::from(measured.segment_bytes));
        check_exact(&measured, least);
    }
    for (body_bytes, _) in MEDIAN {
        let measured = measured(&place, WebManner::Uncork, body_bytes).unwrap();
        check_median(&measured, measured.least_segments);
    }
}
