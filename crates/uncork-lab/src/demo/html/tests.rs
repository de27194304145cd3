use super::page;
use crate::demo::{
    DemoReport, Machine, MailManner, MailRow, MailStory, Network, ProgramManner, ProgramRow,
    ProgramStory, Seen, WebRow, WebStory,
};
use crate::web::WebManner;

#[test]
fn every_row_is_named() {
    let page = page(&sample());
    for manner in [
        "naive client",
        "naive client, real segments",
        "naive + NODELAY",
        "naive + CORK around the message",
        "one vectored write per message",
        "uncork, no extension",
        "uncork, LITERAL+ pipelined",
        "uncork, MULTIAPPEND",
    ] {
        assert!(page.contains(&format!(">{manner}<")), "{manner}");
    }
    for manner in WebManner::ALL {
        let name = format!("<th scope=\"row\">{}</th>", manner.name());
        assert_eq!(page.matches(&name).count(), 5, "{name}");
    }
    for words in [
        "Linux 6.18.5",
        "Example CPU @ 3.00 GHz",
        "2 cores",
        "2026-03-01, 12:00:00 UTC",
        "100 of 5,000 mails",
        "4,390",
        "100 of 100 held",
        "1 KB: 1 segment at the least",
        "8 MB: 5,572 segments at the least",
        "<td class=\"lost\">13 too many <small>at worst 111</small></td>",
        "1,410× the quickest",
        "<td>exact</td>",
        "running, after uncork fix",
        "<td class=\"lost\">49</td>",
        "write 351, write 2, read waits 43 ms",
        "&lt;no reason&gt;",
    ] {
        assert!(page.contains(words), "{words}");
    }
}

#[test]
fn nothing_is_loaded() {
    let page = page(&sample());
    for word in ["http://", "https://", "<script", "src=", "@import", "url("] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn identifiers_are_unique() {
    let page = page(&sample());
    let mut seen = std::collections::HashSet::new();
    for rest in page.split(" id=\"").skip(1) {
        let id = rest.split('"').next().unwrap_or_default();
        assert!(seen.insert(id.to_owned()), "{id} twice");
    }
    for rest in page.split("aria-labelledby=\"").skip(1) {
        let ids = rest.split('"').next().unwrap_or_default();
        for id in ids.split(' ') {
            assert!(seen.contains(id), "{id} is nowhere");
        }
    }
}

#[test]
fn elements_are_closed() {
    for page in [page(&sample()), page(&empty())] {
        for element in [
            "svg", "g", "figure", "table", "tbody", "tr", "th", "td", "div", "section", "dl", "p",
            "text", "tspan", "title", "desc", "span", "small", "h2", "h3", "h4", "i",
        ] {
            let open = page.matches(&format!("<{element}>")).count()
                + page.matches(&format!("<{element} ")).count();
            let closed = page.matches(&format!("</{element}>")).count();
            assert_eq!(open, closed, "{element}");
        }
    }
}

#[test]
fn texts_of_the_report_are_escaped() {
    let mut report = sample();
    let hostile = "<script>alert('x')</script> & \"more\"";
    report.machine.kernel = hostile.to_owned();
    report.machine.cpu = hostile.to_owned();
    report.machine.date = hostile.to_owned();
    report.sentences = vec![hostile.to_owned()];
    let page = page(&report);
    assert!(!page.contains("<script"));
    let escaped = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;more&quot;";
    assert_eq!(page.matches(escaped).count(), 4);
}

#[test]
fn a_report_without_rows_is_a_page() {
    let page = page(&empty());
    assert_eq!(page.matches("Nothing was measured.").count(), 2);
    assert!(!page.contains("<svg"));
}

#[test]
fn figures_that_are_none_are_no_lengths() {
    let values = [
        0.0,
        -1.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MIN_POSITIVE,
        f64::MAX,
    ];
    for value in values {
        for number in [0, 1, u64::MAX] {
            let page = page(&degenerate(value, number));
            for word in ["NaN%", "inf%", "NaN\"", "inf\"", ">NaN", ">inf"] {
                assert!(!page.contains(word), "{value} {number}: {word}");
            }
        }
    }
}

/// A kernel that counts no segments is no sender that needs none.
#[test]
fn uncounted_segments_are_not_exact() {
    let mut report = sample();
    for row in &mut report.web.rows {
        row.segments = 0;
        row.segments_max = 0;
    }
    let page = page(&report);
    assert!(page.contains("<td>not counted</td>"));
    assert!(!page.contains("<td>exact</td>"));
    assert!(!page.contains("<circle"));
}

fn empty() -> DemoReport {
    let mut report = sample();
    report.mail.rows.clear();
    report.web.rows.clear();
    report.program.rows.clear();
    report.sentences.clear();
    report
}

/// Every figure of every row is the same, odd one.
fn degenerate(value: f64, number: u64) -> DemoReport {
    let mut report = sample();
    report.seconds = value;
    report.mail.link_round_trip_ms = value;
    report.mail.bytes = number;
    for row in &mut report.mail.rows {
        row.messages = number;
        row.messages_held = number;
        row.seconds = value;
        row.messages_per_second = value;
        row.ms_per_message = value;
        row.segments_per_message = value;
        row.held_ms_total = value;
        row.times_as_fast = value;
    }
    for row in &mut report.web.rows {
        row.body_bytes = number;
        row.segments = number;
        row.segments_max = number;
        row.least_segments = number / 2;
        row.system_calls = number;
        row.cpu_us = value;
        row.latency_us = value;
    }
    report
}

/// What a run on a small machine sees.
fn program() -> ProgramStory {
    let seen = |stalls: u64, pattern: Option<&str>| Seen {
        engine: "sample".to_owned(),
        stalls,
        held_ms_total: stalls as f64 * 43.5,
        pattern: pattern.map(str::to_owned),
    };
    let row = |manner, ms_per_message, seen| ProgramRow {
        manner,
        messages: 50,
        ms_per_message,
        seen,
    };
    let pattern = Some("write 351, write 2, read waits 43 ms");
    ProgramStory {
        rows: vec![
            row(ProgramManner::AsItIs, 43.91, Some(seen(49, pattern))),
            row(ProgramManner::Run, 0.151, Some(seen(0, None))),
            row(ProgramManner::Fixed, 0.149, None),
        ],
        refused: vec!["`uncork fix` can't be shown here: <no reason>".to_owned()],
    }
}

fn sample() -> DemoReport {
    DemoReport {
        machine: Machine {
            kernel: "Linux 6.18.5".to_owned(),
            cpu: "Example CPU @ 3.00 GHz".to_owned(),
            cores: 2,
            date: "2026-03-01T12:00:00Z".to_owned(),
        },
        seconds: 14.2,
        mail: mail(),
        web: web(),
        program: program(),
        sentences: [
            "A naive client stores 22.7 mails a second on this machine: each waits 43.9 ms for an \
             ACK before its last two bytes leave.",
            "uncork stores the same mails at 30,000 a second, 1,322 times as fast, in the order \
             and with the flags they came with.",
            "Header and file in two writes cost up to 111 segments more than needed; uncork sends \
             each response in the fewest.",
        ]
        .map(str::to_owned)
        .to_vec(),
    }
}

fn mail() -> MailStory {
    use MailManner::{
        Corked, Naive, NoDelay, Uncork, UncorkLiteralPlus, UncorkMultiAppend, WholeMessage,
    };
    use Network::{Link, Loopback, LoopbackRealSegments};
    // Manner, network, mails, mails a second, held, ms held, segments a mail, times as fast.
    let rows = [
        (Naive, Loopback, 100, 22.7, 100, 4390.0, 3.0, 1.0),
        (NoDelay, Loopback, 5_000, 9_013.0, 0, 0.0, 3.0, 397.0),
        (Corked, Loopback, 5_000, 9_488.0, 0, 0.0, 2.0, 418.0),
        (WholeMessage, Loopback, 5_000, 10_120.0, 0, 0.0, 2.0, 446.0),
        (Uncork, Loopback, 5_000, 15_230.0, 0, 0.0, 1.0, 671.0),
        (
            UncorkLiteralPlus,
            Loopback,
            5_000,
            25_400.0,
            0,
            0.0,
            0.41,
            1_119.0,
        ),
        (
            UncorkMultiAppend,
            Loopback,
            5_000,
            30_010.0,
            0,
            0.0,
            0.12,
            1_322.0,
        ),
        (Naive, LoopbackRealSegments, 100, 66.0, 33, 1449.0, 7.2, 1.0),
        (NoDelay, Link, 100, 24.1, 0, 0.0, 7.2, 1.0),
        (WholeMessage, Link, 100, 24.2, 0, 0.0, 6.3, 1.0),
        (Uncork, Link, 200, 49.1, 0, 0.0, 5.4, 2.0),
        (UncorkLiteralPlus, Link, 5_000, 4_012.0, 0, 0.0, 4.98, 166.0),
        (
            UncorkMultiAppend,
            Link,
            5_000,
            20_030.0,
            0,
            0.0,
            4.93,
            831.0,
        ),
    ];
    MailStory {
        messages: 5_000,
        bytes: 35_112_000,
        link_round_trip_ms: 20.0,
        rows: rows.map(mail_row).to_vec(),
    }
}

fn mail_row(
    (manner, network, messages, rate, messages_held, held_ms_total, segments, times): (
        MailManner,
        Network,
        u32,
        f64,
        u64,
        f64,
        f64,
        f64,
    ),
) -> MailRow {
    MailRow {
        manner,
        network,
        messages: messages.into(),
        seconds: f64::from(messages) / rate,
        messages_per_second: rate,
        ms_per_message: 1e3 / rate,
        segments_per_message: segments,
        messages_held,
        held_ms_total,
        times_as_fast: times,
    }
}

fn web() -> WebStory {
    use WebManner::{Cork, MsgMore, TwoWrites, TwoWritesNoDelay, Uncork};
    // Body and least; then manner, segments, most segments, calls, CPU µs, latency µs.
    let sizes = [
        (
            (1_000, 1),
            [
                (TwoWrites, 2, 2, 2, 14.1, 43_980.0),
                (TwoWritesNoDelay, 2, 2, 2, 15.3, 41.2),
                (Cork, 1, 1, 4, 11.2, 33.9),
                (MsgMore, 1, 1, 2, 9.8, 31.6),
                (Uncork, 1, 1, 2, 9.9, 31.2),
            ],
        ),
        (
            (65_536, 46),
            [
                (TwoWrites, 47, 47, 2, 39.0, 118.0),
                (TwoWritesNoDelay, 47, 47, 2, 38.2, 112.0),
                (Cork, 46, 46, 4, 36.1, 108.0),
                (MsgMore, 46, 46, 2, 34.8, 104.0),
                (Uncork, 46, 46, 2, 34.4, 103.0),
            ],
        ),
        (
            (300_000, 210),
            [
                (TwoWrites, 212, 212, 2, 141.0, 288.0),
                (TwoWritesNoDelay, 212, 213, 2, 139.0, 281.0),
                (Cork, 210, 210, 4, 131.0, 262.0),
                (MsgMore, 211, 211, 2, 133.0, 266.0),
                (Uncork, 210, 210, 4, 130.0, 260.0),
            ],
        ),
        (
            (1_000_000, 697),
            [
                (TwoWrites, 703, 705, 2, 455.0, 702.0),
                (TwoWritesNoDelay, 703, 703, 2, 451.0, 698.0),
                (Cork, 697, 697, 4, 430.0, 655.0),
                (MsgMore, 702, 702, 2, 444.0, 684.0),
                (Uncork, 697, 697, 4, 428.0, 651.0),
            ],
        ),
        (
            (8_000_000, 5_572),
            [
                (TwoWrites, 5_588, 5_640, 5, 3_560.0, 4_720.0),
                (TwoWritesNoDelay, 5_585, 5_683, 5, 3_540.0, 4_690.0),
                (Cork, 5_572, 5_572, 7, 3_410.0, 4_480.0),
                (MsgMore, 5_584, 5_638, 5, 3_500.0, 4_620.0),
                (Uncork, 5_572, 5_572, 7, 3_400.0, 4_460.0),
            ],
        ),
    ];
    let rows = sizes.into_iter().flat_map(|((body_bytes, least), rows)| {
        rows.map(
            |(manner, segments, most, calls, cpu_us, latency_us)| WebRow {
                manner,
                body_bytes,
                segments,
                segments_max: most,
                least_segments: least,
                system_calls: calls,
                cpu_us,
                latency_us,
            },
        )
    });
    WebStory {
        head_bytes: 300,
        segment_bytes: 1_436,
        rounds: 30,
        rows: rows.collect(),
    }
}
