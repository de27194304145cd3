//! What one peer, and all of them together, may take.

use std::time::Duration;

/// Bounds of the server, each with a name in the configuration (`[limits]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `head_bytes`: a request's head, request line included. Beyond: 431.
    pub head_bytes: usize,
    /// `target_bytes`: a request's target. Beyond: 414.
    pub target_bytes: usize,
    /// `headers`: header lines of a request, at most 128. Beyond: 431.
    pub headers: usize,
    /// `body_bytes`: a request's body that is read and thrown away. Beyond: 413.
    pub body_bytes: u64,
    /// `head_seconds`: from a connection's or request's first byte to the end of its head. Beyond: 408.
    pub head_time: Duration,
    /// `idle_seconds`: between a response and the next request. Beyond: closed.
    pub idle_time: Duration,
    /// `send_bytes_per_second`: least rate of a response, over [`Limits::send_window`]. Below: closed.
    pub send_bytes_per_second: u64,
    /// `send_window_seconds`: over which the rate is looked at.
    pub send_window: Duration,
    /// `requests_per_connection`. The last one's response says `Connection: close`.
    pub requests_per_connection: u64,
    /// `connections`: of the whole server. Beyond: 503 and closed.
    pub connections: usize,
    /// `connections_per_address`: of one peer address (IPv6: one /64), loopback not counted. Beyond:
    /// 429 and closed. 0 is no limit.
    pub connections_per_address: usize,
    /// `ranges`: of one request. Beyond: the whole file.
    pub ranges: usize,
    /// `cache_entries`: resources that are kept, of all workers together.
    pub cache_entries: usize,
    /// `cache_bytes`: bodies that are kept in memory, of all workers together.
    pub cache_bytes: u64,
    /// `drain_seconds`: from SIGTERM to the end, at most.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 16 * 1024,
            target_bytes: 8 * 1024,
            headers: 100,
            body_bytes: 64 * 1024,
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(75),
            send_bytes_per_second: 512,
            send_window: Duration::from_secs(30),
            requests_per_connection: 1_000_000,
            connections: 65_536,
            connections_per_address: 1024,
            ranges: 16,
            cache_entries: 65_536,
            cache_bytes: 256 * 1024 * 1024,
            drain_time: Duration::from_secs(30),
        }
    }
}
