//! Prometheus's text format 0.0.4:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

use std::fmt::{self, Write};

use super::counter::Counter;
use super::{CODES, LATENCY_BOUNDS_US, Metrics, SiteCounters, WorkerMetrics};

pub(super) fn render(
    metrics: &Metrics,
    sites: &[(&str, &SiteCounters)],
    log_dropped: u64,
) -> String {
    let mut out = String::with_capacity(4096 + sites.len() * 256);
    // Writing to a string can't fail.
    let _ = write_all(&mut out, metrics, sites, log_dropped);
    out
}

fn write_all(
    out: &mut String,
    metrics: &Metrics,
    sites: &[(&str, &SiteCounters)],
    log_dropped: u64,
) -> fmt::Result {
    requests(out, sites)?;
    bytes(out, sites)?;
    let sum = |which: fn(&WorkerMetrics) -> &Counter| {
        let values = metrics.workers.iter().map(|worker| which(worker).value());
        values.fold(0, u64::wrapping_add)
    };
    let (opened, closed) = (sum(|all| &all.opened), sum(|all| &all.closed));
    // The two were not read at one moment.
    let open = opened.saturating_sub(closed);
    single(
        out,
        "connections",
        "gauge",
        "Connections that are open.",
        open,
    )?;
    latency(out, metrics)?;
    for (name, kind, help, value) in [
        (
            "connections_total",
            "counter",
            "Connections that were taken.",
            opened,
        ),
        (
            "connections_refused_total",
            "counter",
            "Connections that were closed at once, beyond a limit.",
            sum(|all| &all.refused),
        ),
        (
            "segments_sent_total",
            "counter",
            "Data segments that left (TCP_INFO).",
            sum(|all| &all.segments_sent),
        ),
        (
            "segments_wasted_total",
            "counter",
            "Data segments beyond the fewest that the responses could have had.",
            sum(|all| &all.segments_wasted),
        ),
        (
            "held_milliseconds_total",
            "counter",
            "Time that the kernel held bytes that were ready (TCP_INFO samples).",
            sum(|all| &all.held_us) / 1000,
        ),
        (
            "held_samples_total",
            "counter",
            "Times that TCP_INFO was looked at for held bytes.",
            sum(|all| &all.held_samples),
        ),
        (
            "cache_entries",
            "gauge",
            "Resources in the cache.",
            sum(|all| &all.cache_entries),
        ),
        (
            "cache_bytes",
            "gauge",
            "Bodies in the cache.",
            sum(|all| &all.cache_bytes),
        ),
        (
            "cache_misses_total",
            "counter",
            "Resources that were not in the cache.",
            sum(|all| &all.cache_misses),
        ),
        (
            "cache_disk_waits_total",
            "counter",
            "Responses that waited for a disk.",
            sum(|all| &all.disk_waits),
        ),
        (
            "log_lines_dropped_total",
            "counter",
            "Lines of the access log that were not written.",
            log_dropped,
        ),
    ] {
        single(out, name, kind, help, value)?;
    }
    Ok(())
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(out, "# HELP uncork_{name} {help}")?;
    writeln!(out, "# TYPE uncork_{name} {kind}")
}

fn single(out: &mut String, name: &str, kind: &str, help: &str, value: u64) -> fmt::Result {
    head(out, name, kind, help)?;
    writeln!(out, "uncork_{name} {value}")
}

/// A site and code without a response has no line: ten thousand hosts stay readable.
fn requests(out: &mut String, sites: &[(&str, &SiteCounters)]) -> fmt::Result {
    head(
        out,
        "requests_total",
        "counter",
        "Responses by site and status.",
    )?;
    for (site, counters) in sites {
        for (slot, count) in counters.codes().into_iter().enumerate() {
            if count == 0 {
                continue;
            }
            write!(
                out,
                "uncork_requests_total{{site=\"{}\",code=\"",
                Label(site)
            )?;
            match CODES.get(slot) {
                Some(code) => write!(out, "{code}")?,
                None => out.push_str("other"),
            }
            writeln!(out, "\"}} {count}")?;
        }
    }
    Ok(())
}

fn bytes(out: &mut String, sites: &[(&str, &SiteCounters)]) -> fmt::Result {
    let help = "Bytes of response bodies by site.";
    head(out, "response_bytes_total", "counter", help)?;
    for (site, counters) in sites {
        if counters.codes().iter().any(|&count| count > 0) {
            let (site, bytes) = (Label(site), counters.bytes());
            writeln!(
                out,
                "uncork_response_bytes_total{{site=\"{site}\"}} {bytes}"
            )?;
        }
    }
    Ok(())
}

fn latency(out: &mut String, metrics: &Metrics) -> fmt::Result {
    let name = "request_duration_seconds";
    let help = "From a request's first byte to its response's last.";
    head(out, name, "histogram", help)?;
    let mut count = 0;
    for slot in 0..=LATENCY_BOUNDS_US.len() {
        let of_slot = metrics.workers.iter().map(|all| all.latency[slot].value());
        count += of_slot.sum::<u64>();
        match LATENCY_BOUNDS_US.get(slot) {
            Some(&bound) => {
                let bound = Seconds(bound);
                writeln!(out, "uncork_{name}_bucket{{le=\"{bound}\"}} {count}")?;
            }
            None => writeln!(out, "uncork_{name}_bucket{{le=\"+Inf\"}} {count}")?,
        }
    }
    let sum_us = metrics.workers.iter().map(|all| all.latency_sum_us.value());
    let sum = Seconds(sum_us.fold(0, u64::wrapping_add));
    writeln!(out, "uncork_{name}_sum {sum}")?;
    writeln!(out, "uncork_{name}_count {count}")
}

/// Microseconds as seconds, exactly.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if part == 0 {
            return write!(f, "{whole}");
        }
        let part = format!("{part:06}");
        write!(f, "{whole}.{}", part.trim_end_matches('0'))
    }
}

/// A label's value: backslash, quote and line feed are escaped.
struct Label<'s>(&'s str);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(['\\', '"', '\n']) {
            match part.char_indices().next_back() {
                Some((at, '\n')) => write!(f, "{}\\n", &part[..at])?,
                Some((at, escaped @ ('\\' | '"'))) => write!(f, "{}\\{escaped}", &part[..at])?,
                _ => f.write_str(part)?,
            }
        }
        Ok(())
    }
}
