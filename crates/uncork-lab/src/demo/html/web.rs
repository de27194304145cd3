//! The web server's story.

use super::plot::{Bar, Labels, Panel};
use super::scale::{CountScale, LinearScale};
use super::table::{Cell, Group, Row, Table};
use super::text::{count, counted, duration_us, fixed, size, times};
use crate::demo::{WebRow, WebStory};
use crate::web::WebManner;

/// A response this many times slower than the quickest of its size stands out.
const SLOW_FACTOR: f64 = 10.0;

const COLUMNS: &[&str] = &[
    "Sent by",
    "Segments",
    "Against the least",
    "System calls",
    "CPU µs",
    "Latency µs",
];

/// The whole section.
pub(super) fn section(story: &WebStory) -> String {
    let opening = format!(
        "<section aria-labelledby=\"web\">\n<h2 id=\"web\">A header and a file over HTTP</h2>\n\
         <p>A header of {} and a file, over one connection that is kept alive. A full segment \
         carries {}. Figures are medians of {}.</p>\n",
        counted(story.head_bytes, "byte"),
        counted(story.segment_bytes.into(), "byte"),
        counted(story.rounds as u64, "response"),
    );
    if story.rows.is_empty() {
        return opening + "<p>Nothing was measured.</p>\n</section>\n";
    }
    let sizes = by_size(&story.rows);
    let segments = segments(&sizes);
    let latencies = latencies(&sizes);
    let table = table(&sizes).html();
    opening
        + "<h3>Segments beyond the least</h3>\n\
           <p class=\"key\"><span><i class=\"lost\"></i>too many</span> \
           <span><i class=\"line\"></i>to the worst response</span> \
           <span><i class=\"ring\"></i>exact</span></p>\n\
           <p class=\"scale\">Lengths grow with the logarithm, zero is zero; one scale for all sizes.</p>\n\
           <div class=\"panels\">\n"
        + &segments
        + "</div>\n<h3>Latency</h3>\n\
           <p class=\"key\"><span><i class=\"lost\"></i>ten times the quickest or more</span> \
           <span><i class=\"ours\"></i>uncork</span> <span><i></i>other ways</span></p>\n\
           <p class=\"scale\">From the request to the last byte. Proportional, each size with a \
           scale of its own.</p>\n<div class=\"panels\">\n"
        + &latencies
        + "</div>\n"
        + &table
        + "</section>\n"
}

/// The rows of one body size.
struct Size<'a> {
    body_bytes: u64,
    rows: Vec<&'a WebRow>,
}

impl Size<'_> {
    /// What header and body need; the same in every row.
    fn least(&self) -> u64 {
        self.rows.first().map_or(0, |row| row.least_segments)
    }
}

/// Rows by body size, in the order in which sizes first come.
fn by_size(rows: &[WebRow]) -> Vec<Size<'_>> {
    let mut sizes: Vec<Size<'_>> = Vec::new();
    for row in rows {
        match sizes.iter_mut().find(|s| s.body_bytes == row.body_bytes) {
            Some(known) => known.rows.push(row),
            None => sizes.push(Size {
                body_bytes: row.body_bytes,
                rows: vec![row],
            }),
        }
    }
    sizes
}

fn segments(sizes: &[Size<'_>]) -> String {
    let rows = sizes.iter().flat_map(|size| &size.rows);
    let scale = CountScale::over(rows.map(|row| worst_excess(row)));
    sizes
        .iter()
        .map(|size| {
            let panel = Panel {
                id: format!("segments-{}", size.body_bytes),
                topic: "Segments beyond the least".to_owned(),
                title: self::size(size.body_bytes),
                note: format!("needs {}", counted(size.least(), "segment")),
                labels: Labels::Beside,
                ticks: scale.ticks(),
                bars: size.rows.iter().map(|row| excess_bar(row, scale)).collect(),
            };
            panel.html()
        })
        .collect()
}

fn excess_bar(row: &WebRow, scale: CountScale) -> Bar {
    let bar = Bar {
        label: row.manner.name().to_owned(),
        ours: row.manner == WebManner::Uncork,
        ..Bar::default()
    };
    let Some(excess) = excess(row) else {
        return Bar {
            value: "not counted".to_owned(),
            ..bar
        };
    };
    let worst = worst_excess(row);
    let length = scale.fraction(excess);
    Bar {
        length,
        lost: length,
        worst: scale.fraction(worst),
        value: if worst > excess {
            format!("{}–{}", count(excess), count(worst))
        } else {
            count(excess)
        },
        zero: excess == 0,
        ..bar
    }
}

fn latencies(sizes: &[Size<'_>]) -> String {
    sizes
        .iter()
        .map(|size| {
            let scale = LinearScale::over(size.rows.iter().map(|row| row.latency_us));
            let quickest = quickest(size);
            let panel = Panel {
                id: format!("latency-{}", size.body_bytes),
                topic: "Latency".to_owned(),
                title: self::size(size.body_bytes),
                note: String::new(),
                labels: Labels::Beside,
                ticks: Vec::new(),
                bars: size
                    .rows
                    .iter()
                    .map(|row| latency_bar(row, scale, quickest))
                    .collect(),
            };
            panel.html()
        })
        .collect()
}

fn latency_bar(row: &WebRow, scale: LinearScale, quickest_us: f64) -> Bar {
    let length = scale.fraction(row.latency_us);
    let slow = is_slow(row, quickest_us);
    Bar {
        label: row.manner.name().to_owned(),
        ours: row.manner == WebManner::Uncork,
        length,
        lost: if slow { length } else { 0.0 },
        value: duration_us(row.latency_us),
        ..Bar::default()
    }
}

/// Latency of the quickest manner that was timed at all.
fn quickest(size: &Size<'_>) -> f64 {
    let latencies = size.rows.iter().map(|row| row.latency_us);
    latencies.filter(|l| *l > 0.0).fold(f64::INFINITY, f64::min)
}

fn is_slow(row: &WebRow, quickest_us: f64) -> bool {
    row.latency_us.is_finite() && row.latency_us >= SLOW_FACTOR * quickest_us
}

fn table(sizes: &[Size<'_>]) -> Table {
    let groups = sizes.iter().map(|size| {
        let quickest = quickest(size);
        let rows = size.rows.iter().map(|row| table_row(row, quickest));
        Group {
            heading: format!(
                "{}: {} at the least",
                self::size(size.body_bytes),
                counted(size.least(), "segment")
            ),
            rows: rows.collect(),
        }
    });
    Table {
        id: "web-table",
        caption: "Every way of sending a header and a file, by the size of the file.".to_owned(),
        columns: COLUMNS,
        groups: groups.collect(),
    }
}

fn table_row(row: &WebRow, quickest_us: f64) -> Row {
    let latency = micros(row.latency_us);
    Row {
        name: row.manner.name().to_owned(),
        remark: None,
        ours: row.manner == WebManner::Uncork,
        cells: vec![
            Cell::plain(count(row.segments)),
            against_least(row),
            Cell::plain(count(row.system_calls)),
            Cell::plain(micros(row.cpu_us)),
            if is_slow(row, quickest_us) {
                let factor = times(row.latency_us / quickest_us);
                Cell::lost(latency).remark(format!("{factor} the quickest"))
            } else {
                Cell::plain(latency)
            },
        ],
    }
}

/// Microseconds as their column shows them: parts of one matter only where they are few.
fn micros(value: f64) -> String {
    fixed(value, usize::from(value.abs() < 99.95))
}

/// The excess in words.
fn against_least(row: &WebRow) -> Cell {
    let worst = worst_excess(row);
    let at_worst = format!("at worst {}", count(worst));
    match excess(row) {
        None => Cell::plain("not counted"),
        Some(0) if worst == 0 => Cell::plain("exact"),
        Some(0) => Cell::lost("exact").remark(format!("{at_worst} too many")),
        Some(excess) if worst > excess => {
            Cell::lost(format!("{} too many", count(excess))).remark(at_worst)
        }
        Some(excess) => Cell::lost(format!("{} too many", count(excess))),
    }
}

/// Segments beyond the least; nothing where the kernel counts none.
fn excess(row: &WebRow) -> Option<u64> {
    row.segments.checked_sub(row.least_segments)
}

/// The same for the response that took most.
fn worst_excess(row: &WebRow) -> u64 {
    row.segments_max.saturating_sub(row.least_segments)
}
