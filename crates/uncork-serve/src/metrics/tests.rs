use super::*;

fn value(text: &str, name: &str) -> u64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}"))
        .parse()
        .unwrap()
}

#[test]
fn counted_by_site_and_code() {
    let (first, second) = (SiteCounters::new(2), SiteCounters::new(2));
    first.count(0, 200, 10);
    first.count(1, 200, 20);
    first.count(1, 404, 5);
    first.count(1, 299, 1);
    first.count(1, 999, 1);
    first.count(2, 200, 1_000);
    second.count(0, 304, 0);
    let idle = SiteCounters::new(2);
    let sites = [
        ("example.org", &first),
        ("a\"b\\c\nd", &second),
        ("idle", &idle),
    ];
    let text = Metrics::new(2).render(sites.into_iter(), 3);
    let lines: Vec<&str> = text
        .lines()
        .take_while(|line| !line.contains("connections"))
        .collect();
    assert_eq!(
        lines,
        [
            "# HELP uncork_requests_total Responses by site and status.",
            "# TYPE uncork_requests_total counter",
            r#"uncork_requests_total{site="example.org",code="200"} 2"#,
            r#"uncork_requests_total{site="example.org",code="404"} 1"#,
            r#"uncork_requests_total{site="example.org",code="other"} 2"#,
            r#"uncork_requests_total{site="a\"b\\c\nd",code="304"} 1"#,
            "# HELP uncork_response_bytes_total Bytes of response bodies by site.",
            "# TYPE uncork_response_bytes_total counter",
            r#"uncork_response_bytes_total{site="example.org"} 37"#,
            r#"uncork_response_bytes_total{site="a\"b\\c\nd"} 0"#,
        ]
    );
    assert_eq!(value(&text, "uncork_log_lines_dropped_total"), 3);
    assert!(text.ends_with('\n'));
}

#[test]
fn counted_by_worker() {
    let metrics = Metrics::new(2);
    for index in 0..2 {
        let worker = metrics.worker(index);
        worker.connection_opened();
        worker.connection_opened();
        worker.connection_closed();
        worker.connection_refused();
        worker.segments(7, 5);
        worker.segments(1, 2);
        worker.held(Duration::from_micros(1_500));
        worker.held_sample();
        worker.cache(index as u64, 100);
        worker.cache(10, 100);
        worker.cache_miss();
        worker.waited_for_disk();
    }
    let text = metrics.render(std::iter::empty(), 0);
    for (name, expected) in [
        ("uncork_connections", 2),
        ("uncork_connections_total", 4),
        ("uncork_connections_refused_total", 2),
        ("uncork_segments_sent_total", 16),
        ("uncork_segments_wasted_total", 4),
        ("uncork_held_milliseconds_total", 3),
        ("uncork_held_samples_total", 2),
        ("uncork_cache_entries", 20),
        ("uncork_cache_bytes", 200),
        ("uncork_cache_misses_total", 2),
        ("uncork_cache_disk_waits_total", 2),
    ] {
        assert_eq!(value(&text, name), expected, "{name}");
    }
}

#[test]
fn latencies_in_buckets() {
    let metrics = Metrics::new(1);
    let worker = metrics.worker(0);
    for took_us in [0, 50, 51, 1_000, 10_000_000, 10_000_001] {
        worker.latency(1, Duration::from_micros(took_us));
    }
    let text = metrics.render(std::iter::empty(), 0);
    let bucket = |le: &str| {
        value(
            &text,
            &format!("uncork_request_duration_seconds_bucket{{le=\"{le}\"}}"),
        )
    };
    for (le, expected) in [
        ("0.00005", 2),
        ("0.0001", 3),
        ("0.0005", 3),
        ("0.001", 4),
        ("10", 5),
        ("+Inf", 6),
    ] {
        assert_eq!(bucket(le), expected, "{le}");
    }
    assert_eq!(value(&text, "uncork_request_duration_seconds_count"), 6);
    assert!(text.contains("\nuncork_request_duration_seconds_sum 20.001102\n"));
}

/// Each family has its head once, before its samples, and nothing of another in between.
#[test]
fn families_are_whole() {
    let site = SiteCounters::new(1);
    site.count(0, 200, 1);
    let text = Metrics::new(1).render([("a", &site)].into_iter(), 0);
    let mut seen = Vec::new();
    let mut family = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            family = rest.split(' ').next().unwrap();
            assert!(!seen.contains(&family), "{family} twice");
            seen.push(family);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert_eq!(rest.split(' ').next(), Some(family));
        } else {
            assert!(line.starts_with(family), "{line} in {family}");
        }
    }
    assert_eq!(seen.len(), 15);
}
