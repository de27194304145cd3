//! The story of a program that nobody may change.

use super::table::{Cell, Group, Row, Table};
use super::text::{count, fixed};
use crate::demo::{ProgramManner, ProgramRow, ProgramStory};
use crate::html::escape;

const COLUMNS: &[&str] = &[
    "The naive client",
    "Mails",
    "ms a mail",
    "Stalls seen",
    "Held ms",
];

/// The whole section.
pub(super) fn section(story: &ProgramStory) -> String {
    let opening = "<section aria-labelledby=\"program\">\n\
         <h2 id=\"program\">A program that nobody may change</h2>\n\
         <p>The naive client once more, as a program of its own: <code>uncork trace</code> watches it \
         from outside, <code>uncork run</code> starts it, <code>uncork fix</code> finds it running. Not \
         one of its bytes is changed. Times are medians.</p>\n";
    let refused: String = story
        .refused
        .iter()
        .map(|refused| format!("<p>{}</p>\n", escape(refused)))
        .collect();
    if story.rows.is_empty() {
        return format!("{opening}{refused}</section>\n");
    }
    let table = table(story).html();
    format!("{opening}{table}{refused}</section>\n")
}

fn table(story: &ProgramStory) -> Table {
    let pattern = story
        .rows
        .iter()
        .find_map(|row| row.seen.as_ref()?.pattern.as_deref());
    Table {
        id: "program-table",
        caption: "The same program, unchanged, seen and mended.".to_owned(),
        columns: COLUMNS,
        groups: vec![Group {
            heading: pattern.unwrap_or("no write was held").to_owned(),
            rows: story.rows.iter().map(row).collect(),
        }],
    }
}

fn row(row: &ProgramRow) -> Row {
    let seen = row.seen.as_ref();
    let is_held = seen.is_some_and(|seen| seen.stalls > 0);
    let cell = |text: String| match is_held {
        true => Cell::lost(text),
        false => Cell::plain(text),
    };
    Row {
        name: row.manner.name().to_owned(),
        remark: seen.map(|seen| format!("watched by {}", seen.engine)),
        ours: row.manner != ProgramManner::AsItIs,
        cells: vec![
            Cell::plain(count(row.messages)),
            Cell::plain(fixed(row.ms_per_message, 2)),
            seen.map_or_else(
                || Cell::plain("not watched"),
                |seen| cell(count(seen.stalls)),
            ),
            seen.map_or_else(
                || Cell::plain(""),
                |seen| cell(fixed(seen.held_ms_total, 0)),
            ),
        ],
    }
}
