//! A load for web servers: one thread, many connections, each waits for its answers before it
//! asks again.
//!
//! The load should take less CPU time than the server that it measures. So the first answer to
//! each different request is read and kept, and those that follow are only counted, by its
//! length; they never get into this process.

mod connection;
mod engine;
mod response;
mod script;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::io::Errno;

pub use self::engine::Load;
pub use self::response::{Response, ResponseError};

/// How long a server may say nothing on any connection while answers are missing.
pub const SILENCE: Duration = Duration::from_secs(10);

/// What a load is.
#[derive(Debug, Clone)]
pub struct LoadConfig {
    /// The server.
    pub addr: SocketAddr,
    /// How many connections ask at the same time.
    pub connections: usize,
    /// How many requests a connection sends at once, with one `send`, before it waits for the
    /// answers to all of them.
    pub depth: usize,
    /// The requests, whole. Each connection goes through all of them over and over, and starts
    /// at another one.
    pub requests: Vec<Vec<u8>>,
    /// What happens when a connection ends or an answer is not what was expected.
    pub on_loss: OnLoss,
    /// How closely the answers are looked at.
    pub reading: Reading,
    /// Whether the time of each batch is kept.
    pub latencies: Latencies,
    /// `TCP_MAXSEG` of the connections: without it loopback has segments of 64 KiB.
    pub segment_bytes_max: Option<u32>,
}

/// What happens when a connection ends while answers are missing, or with other answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLoss {
    /// The run ends with an error.
    Fail,
    /// What was not answered is counted, and the connection made again.
    CountAndReconnect,
}

/// How closely answers are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// The first answer to each request is read; the others must be as long. An answer of
    /// another length shows as a surplus or a silence.
    First,
    /// Every answer is read, and may have another status and length than the one before. An
    /// announced end of the connection (`Connection: close`) is no loss: what it leaves
    /// unanswered is asked again.
    Every,
}

/// Whether latencies are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latencies {
    /// They are.
    Keep,
    /// They are not.
    Drop,
}

/// How long a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// No batch begins after so long.
    Elapsed(Duration),
    /// So many requests are sent.
    Requests(u64),
}

/// What came of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Answered requests.
    pub requests: u64,
    /// Bytes of these answers, heads included.
    pub bytes: u64,
    /// Requests that were sent and not answered, or not as expected.
    pub lost: u64,
    /// Connections that were made again.
    pub reconnects: u64,
    /// Connections that were refused on the way to those.
    pub refused: u64,
    /// Answered requests by status.
    pub statuses: BTreeMap<u16, u64>,
    /// From the first to the last of it.
    pub elapsed: Duration,
    /// For each batch the time from its sending to its last answer, if they are kept.
    pub latencies: Vec<Duration>,
}

impl Outcome {
    /// The latency that this part of the batches stays within, e.g. 0.99 of them; `None` where
    /// none is kept.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among the latencies, bounded by their number"
    )]
    pub fn latency(&self, part: f64) -> Option<Duration> {
        let mut latencies = self.latencies.clone();
        let last = latencies.len().checked_sub(1)?;
        let rank = (latencies.len() as f64 * part.clamp(0.0, 1.0)).ceil() as usize;
        let (_, latency, _) = latencies.select_nth_unstable(rank.saturating_sub(1).min(last));
        Some(*latency)
    }
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is nothing to do: no connection, no request, or a depth of none.
    #[error("a load needs a connection, a request and a depth of one at least")]
    Empty,
    /// A connection could not be made.
    #[error("can't connect to {addr}")]
    Connect {
        /// The server.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// `epoll` failed.
    #[error("epoll: {0}")]
    Epoll(Errno),
    /// A connection was lost, and [`OnLoss::Fail`] asked for.
    #[error("a connection ended with {unanswered} requests unanswered: {loss}")]
    Lost {
        /// How many it had open.
        unanswered: usize,
        /// How.
        loss: Loss,
    },
}

/// How a connection was lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Loss {
    /// The server closed it.
    #[error("the server closed it")]
    Closed,
    /// It failed.
    #[error("{0}")]
    Failed(Errno),
    /// More bytes came than the answers have.
    #[error("the answers are longer than the first ones")]
    Surplus,
    /// Another length than the first answer to the same request.
    #[error("an answer of {bytes} bytes where the first had {first_bytes}")]
    Length {
        /// Its bytes.
        bytes: u64,
        /// Those of the first.
        first_bytes: u64,
    },
    /// No HTTP.
    #[error(transparent)]
    Response(#[from] ResponseError),
    /// Nothing more came, on any connection.
    #[error("nothing came for {} s", SILENCE.as_secs())]
    Silence,
}

impl LoadConfig {
    /// One connection, one request at a time, and every surprise an error.
    #[must_use]
    pub fn new(addr: SocketAddr, requests: Vec<Vec<u8>>) -> Self {
        Self {
            addr,
            connections: 1,
            depth: 1,
            requests,
            on_loss: OnLoss::Fail,
            reading: Reading::First,
            latencies: Latencies::Drop,
            segment_bytes_max: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_that_of_a_batch() {
        let check = |latencies: std::ops::Range<u64>, part: f64, expected: Option<u64>| {
            let outcome = Outcome {
                latencies: latencies.rev().map(Duration::from_millis).collect(),
                ..Outcome::default()
            };
            assert_eq!(outcome.latency(part), expected.map(Duration::from_millis));
        };
        check(0..0, 0.5, None);
        check(7..8, 0.99, Some(7));
        check(1..101, 0.5, Some(50));
        check(1..101, 0.99, Some(99));
        check(1..101, 0.0, Some(1));
        check(1..101, 1.0, Some(100));
    }
}
