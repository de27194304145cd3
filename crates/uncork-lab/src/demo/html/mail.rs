//! The importer's story.

use super::plot::{Bar, Labels, Panel};
use super::scale::{LinearScale, LogScale, Tick};
use super::table::{Cell, Group, Row, Table};
use super::text::{count, counted, figure, fixed, rough_size, round, times};
use crate::demo::{MailManner, MailRow, MailStory, Network};

/// Most round trips that are marked on an axis, each with a label.
const ROUND_TRIPS_MAX: f64 = 3.0;

const COLUMNS: &[&str] = &[
    "Sent by",
    "Messages a second",
    "ms per message",
    "Segments per message",
    "Messages held",
    "ms held in all",
    "Times as fast",
];

/// The whole section.
pub(super) fn section(story: &MailStory) -> String {
    let opening = format!(
        "<section aria-labelledby=\"mail\">\n<h2 id=\"mail\">Mail into an IMAP server</h2>\n\
         <p>{} ({}), one after the other over one connection into the embedded server, by \
         several ways of sending.</p>\n",
        counted(story.messages as u64, "generated mail"),
        rough_size(story.bytes),
    );
    if story.rows.is_empty() {
        return opening + "<p>Nothing was measured.</p>\n</section>\n";
    }
    let key = "<p class=\"key\"><span><i class=\"lost\"></i>held by the sender’s own kernel</span> \
               <span><i class=\"ours\"></i>uncork</span> \
               <span><i></i>other ways</span></p>\n";
    let table = table(story).html();
    opening + key + &plots(story) + &table + "</section>\n"
}

fn plots(story: &MailStory) -> String {
    let (link, loopback): (Vec<&MailRow>, Vec<&MailRow>) = story
        .rows
        .iter()
        .partition(|row| row.network == Network::Link);
    let round_trip = story.link_round_trip_ms;
    let link_heading = format!("Over a link with a round trip of {} ms", round(round_trip));
    pair("loopback", "Over loopback", &loopback, None)
        + &pair("link", &link_heading, &link, Some(round_trip))
}

/// Rate and time of the same rows, side by side where there is room.
fn pair(id: &str, heading: &str, rows: &[&MailRow], round_trip_ms: Option<f64>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let rates = rates(id, heading, rows).html();
    let times = time(id, heading, rows, round_trip_ms).html();
    format!("<h3>{heading}</h3>\n<div class=\"panels\">\n{rates}{times}</div>\n")
}

fn rates(id: &str, topic: &str, rows: &[&MailRow]) -> Panel {
    let scale = LogScale::over(rows.iter().map(|row| row.messages_per_second));
    let bars = rows.iter().map(|row| {
        let length = scale.fraction(row.messages_per_second);
        let mostly_held = row.messages_held > 0 && row.messages_held >= row.messages / 2;
        Bar {
            label: label(row),
            ours: ours(row.manner),
            length,
            lost: if mostly_held { length } else { 0.0 },
            value: figure(row.messages_per_second),
            // A long bar leaves no room, and its table row says it too.
            remark: if row.messages_held > 0 && length < 0.5 {
                format!(
                    "{} of {} held",
                    count(row.messages_held),
                    count(row.messages)
                )
            } else {
                String::new()
            },
            ..Bar::default()
        }
    });
    Panel {
        id: format!("{id}-rate"),
        topic: topic.to_owned(),
        title: "Messages a second".to_owned(),
        note: "Logarithmic: each line is ten times the one before.".to_owned(),
        labels: Labels::Above,
        ticks: scale.ticks(),
        bars: bars.collect(),
    }
}

fn time(id: &str, topic: &str, rows: &[&MailRow], round_trip_ms: Option<f64>) -> Panel {
    let scale = LinearScale::over(rows.iter().map(|row| row.ms_per_message));
    let bars = rows.iter().map(|row| {
        let length = scale.fraction(row.ms_per_message);
        let held_ms = held_ms_per_message(row);
        Bar {
            label: label(row),
            ours: ours(row.manner),
            length,
            lost: scale.fraction(held_ms).min(length),
            inside: if held_ms > 0.0 {
                format!("{} held", figure(held_ms))
            } else {
                String::new()
            },
            value: format!("{} ms", figure(row.ms_per_message)),
            ..Bar::default()
        }
    });
    let round_trips = round_trip_ms.and_then(|each| round_trips(scale, rows, each));
    let note = if round_trips.is_some() {
        "Proportional, in round trips that the sender waits for."
    } else {
        "Proportional, in ms: held and all the rest."
    };
    Panel {
        id: format!("{id}-time"),
        topic: topic.to_owned(),
        title: "Time of one message".to_owned(),
        note: note.to_owned(),
        labels: Labels::Above,
        ticks: round_trips.unwrap_or_else(|| scale.ticks()),
        bars: bars.collect(),
    }
}

/// Ticks at whole round trips, where the slowest row takes one to a few of them.
fn round_trips(scale: LinearScale, rows: &[&MailRow], each_ms: f64) -> Option<Vec<Tick>> {
    let slowest = rows
        .iter()
        .map(|row| row.ms_per_message)
        .filter(|time| time.is_finite())
        .fold(0.0, f64::max);
    let most = (slowest / each_ms).floor();
    if !(1.0..=ROUND_TRIPS_MAX).contains(&most) {
        return None;
    }
    let ticks = ["0", "1 round trip", "2 round trips", "3 round trips"]
        .into_iter()
        .zip(0_u8..)
        .map(|(label, number)| (label, f64::from(number)))
        .take_while(|(_, number)| *number <= most);
    let ticks = ticks.map(|(label, number)| Tick {
        at: scale.fraction(number * each_ms),
        label: label.to_owned(),
    });
    Some(ticks.collect())
}

fn table(story: &MailStory) -> Table {
    let networks = [
        (Network::Loopback, "Loopback".to_owned()),
        (
            Network::LoopbackRealSegments,
            "Loopback with the segments of a real link".to_owned(),
        ),
        (
            Network::Link,
            format!("Link, round trip {} ms", round(story.link_round_trip_ms)),
        ),
    ];
    let groups = networks
        .into_iter()
        .map(|(network, heading)| Group {
            heading,
            rows: story
                .rows
                .iter()
                .filter(|row| row.network == network)
                .map(|row| table_row(row, story.messages as u64))
                .collect(),
        })
        .filter(|group| !group.rows.is_empty())
        .collect();
    Table {
        id: "mail-table",
        caption: "Every way of sending mail. Times as fast: against the naive client over the \
                  same network; over the link, against the slowest row there."
            .to_owned(),
        columns: COLUMNS,
        groups,
    }
}

fn table_row(row: &MailRow, all: u64) -> Row {
    let (held, held_ms) = if row.messages_held == 0 {
        (Cell::plain("none"), Cell::plain(figure(row.held_ms_total)))
    } else {
        let held = format!("{} of {}", count(row.messages_held), count(row.messages));
        (Cell::lost(held), Cell::lost(figure(row.held_ms_total)))
    };
    Row {
        name: row.manner.name().to_owned(),
        remark: (row.messages < all)
            .then(|| format!("{} of {} mails", count(row.messages), count(all))),
        ours: ours(row.manner),
        cells: vec![
            Cell::plain(figure(row.messages_per_second)),
            // So many decimals in each row: points stand beneath each other.
            Cell::plain(fixed(row.ms_per_message, 3)),
            Cell::plain(fixed(row.segments_per_message, 2)),
            held,
            held_ms,
            Cell::plain(times(row.times_as_fast)),
        ],
    }
}

fn label(row: &MailRow) -> String {
    let name = row.manner.name();
    match row.network {
        Network::LoopbackRealSegments => format!("{name}, real segments"),
        Network::Loopback | Network::Link => name.to_owned(),
    }
}

fn ours(manner: MailManner) -> bool {
    matches!(
        manner,
        MailManner::Uncork | MailManner::UncorkLiteralPlus | MailManner::UncorkMultiAppend
    )
}

/// Held time of one message; zero where nothing was sent or seen.
#[expect(clippy::cast_precision_loss, reason = "nobody waits for 2^53 mails")]
fn held_ms_per_message(row: &MailRow) -> f64 {
    let held = row.held_ms_total / row.messages as f64;
    if held.is_finite() { held.max(0.0) } else { 0.0 }
}
