//! What stands in a folder, as a page that needs no script.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime};

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rustix::fs::{AtFlags, Dir, FileType, statat};

use crate::rules::Rules;

/// Most entries of one page; of a longer folder the first of these are shown, in no order of the
/// folder's.
pub(super) const ENTRIES_MAX: usize = 10_000;

/// By what a listing is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    by: Column,
    is_reversed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Name,
    Size,
    Time,
}

impl Order {
    /// What a query asks for: `sort=name`, `sort=size` or `sort=time`, with a `-` before it for the
    /// other direction. Anything else is by name.
    #[must_use]
    pub(crate) fn of_query(query: &[u8]) -> Self {
        let (by, is_reversed) = match query {
            b"sort=-name" => (Column::Name, true),
            b"sort=size" => (Column::Size, false),
            b"sort=-size" => (Column::Size, true),
            b"sort=time" => (Column::Time, false),
            b"sort=-time" => (Column::Time, true),
            _ => (Column::Name, false),
        };
        Self { by, is_reversed }
    }

    /// As a byte that tells it from the others.
    #[must_use]
    pub(crate) fn code(self) -> u8 {
        let column = match self.by {
            Column::Name => b'n',
            Column::Size => b's',
            Column::Time => b't',
        };
        if self.is_reversed {
            column.to_ascii_uppercase()
        } else {
            column
        }
    }

    /// The order of a [code](Order::code).
    #[must_use]
    pub(crate) fn of_code(code: u8) -> Self {
        let by = match code.to_ascii_lowercase() {
            b's' => Column::Size,
            b't' => Column::Time,
            _ => Column::Name,
        };
        Self {
            by,
            is_reversed: code.is_ascii_uppercase(),
        }
    }

    /// The query of a column's heading: the same column again turns the order around.
    fn heading(self, column: Column) -> String {
        let turn = if self.by == column && !self.is_reversed {
            "-"
        } else {
            ""
        };
        let word = match column {
            Column::Name => "name",
            Column::Size => "size",
            Column::Time => "time",
        };
        format!("?sort={turn}{word}")
    }
}

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    name: Vec<u8>,
    is_folder: bool,
    len: u64,
    modified: u64,
}

/// The page of a folder at `path`, which ends with a slash.
///
/// # Errors
/// What the kernel says while the folder is read.
pub(super) fn page(
    folder: &OwnedFd,
    path: &[u8],
    order: Order,
    rules: &Rules,
) -> io::Result<String> {
    let mut entries = Vec::new();
    let mut is_cut = false;
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name == b"." || name == b".." || (!rules.hidden && name.starts_with(b".")) {
            continue;
        }
        if entries.len() == ENTRIES_MAX {
            is_cut = true;
            break;
        }
        // A link is shown as itself: what it points to may not be served.
        let Ok(stat) = statat(folder, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if matches!(
            kind,
            FileType::RegularFile | FileType::Directory | FileType::Symlink
        ) {
            entries.push(Entry {
                name,
                is_folder: kind == FileType::Directory,
                len: u64::try_from(stat.st_size).unwrap_or(0),
                modified: u64::try_from(stat.st_mtime).unwrap_or(0),
            });
        }
    }
    sort(&mut entries, order);
    Ok(render(path, &entries, order, is_cut))
}

/// Folders first, whatever the order.
fn sort(entries: &mut [Entry], order: Order) {
    entries.sort_by(|a, b| {
        let within = match order.by {
            Column::Name => Ordering::Equal,
            Column::Size => a.len.cmp(&b.len),
            Column::Time => a.modified.cmp(&b.modified),
        };
        let within = within.then_with(|| a.name.cmp(&b.name));
        let within = if order.is_reversed {
            within.reverse()
        } else {
            within
        };
        b.is_folder.cmp(&a.is_folder).then(within)
    });
}

fn render(path: &[u8], entries: &[Entry], order: Order, is_cut: bool) -> String {
    let title = escape(path);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n<h1>{}</h1>\n",
        include_str!("listing.css"),
        trail(path),
    );
    page.push_str("<table>\n<thead><tr>");
    for (column, heading) in [
        (Column::Name, "Name"),
        (Column::Size, "Size"),
        (Column::Time, "Changed (UTC)"),
    ] {
        let sorted = match (order.by == column, order.is_reversed) {
            (false, _) => "",
            (true, false) => " aria-sort=\"ascending\"",
            (true, true) => " aria-sort=\"descending\"",
        };
        let query = order.heading(column);
        let _ = write!(page, "<th{sorted}><a href=\"{query}\">{heading}</a></th>");
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    if path != b"/" {
        page.push_str("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
    }
    for entry in entries {
        let slash = if entry.is_folder { "/" } else { "" };
        let link = percent_encode(&entry.name, NON_ALPHANUMERIC);
        let name = escape(&entry.name);
        let size = if entry.is_folder {
            String::new()
        } else {
            size(entry.len)
        };
        let _ = writeln!(
            page,
            "<tr><td><a href=\"./{link}{slash}\">{name}{slash}</a></td><td>{size}</td><td>{}</td></tr>",
            time(entry.modified)
        );
    }
    page.push_str("</tbody>\n</table>\n");
    if entries.is_empty() {
        page.push_str("<p>This folder is empty.</p>\n");
    }
    if is_cut {
        let _ = writeln!(page, "<p>Only {ENTRIES_MAX} entries are shown.</p>");
    }
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

/// The path with a link to each folder above.
fn trail(path: &[u8]) -> String {
    let segments: Vec<&[u8]> = path
        .split(|byte| *byte == b'/')
        .filter(|segment| !segment.is_empty())
        .collect();
    let up = |levels: usize| "../".repeat(levels);
    let mut trail = match segments.len() {
        0 => "<span>/</span>".to_owned(),
        levels => format!("<a href=\"{}\">/</a>", up(levels)),
    };
    for (index, segment) in segments.iter().enumerate() {
        let name = escape(segment);
        let levels = segments.len() - 1 - index;
        let _ = if levels == 0 {
            write!(trail, "<span>{name}/</span>")
        } else {
            write!(trail, "<a href=\"{}\">{name}/</a>", up(levels))
        };
    }
    trail
}

/// A name as text of HTML; bytes that are no UTF-8 as U+FFFD.
fn escape(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for character in String::from_utf8_lossy(name).chars() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&#39;"),
            other => text.push(other),
        }
    }
    text
}

/// Bytes in the unit that people read.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(value < 99.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// Seconds since the epoch as `2026-11-22 06:49`.
fn time(seconds: u64) -> String {
    let Some(time) = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)) else {
        return String::new();
    };
    let date = crate::clock::Clock::at(time);
    let iso = String::from_utf8_lossy(date.iso()).into_owned();
    iso.get(..16).unwrap_or_default().replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_its_query_and_its_code() {
        for query in ["name", "-name", "size", "-size", "time", "-time"] {
            let order = Order::of_query(format!("sort={query}").as_bytes());
            assert_eq!(Order::of_code(order.code()), order, "{query}");
        }
        let by_name = Order::of_query(b"sort=name");
        for other in ["", "sort=", "sort=--size", "sort=size&x", "x"] {
            assert_eq!(Order::of_query(other.as_bytes()), by_name, "{other}");
        }
        assert_eq!(by_name.heading(Column::Name), "?sort=-name");
        assert_eq!(by_name.heading(Column::Size), "?sort=size");
        assert_eq!(
            Order::of_query(b"sort=-size").heading(Column::Size),
            "?sort=size"
        );
    }

    #[test]
    fn folders_come_first_in_any_order() {
        let entry = |name: &str, is_folder, len| Entry {
            name: name.into(),
            is_folder,
            len,
            modified: 0,
        };
        let mut entries = vec![
            entry("b", false, 1),
            entry("a", false, 2),
            entry("z", true, 0),
        ];
        let mut names = |query: &str| {
            sort(&mut entries, Order::of_query(query.as_bytes()));
            let names = entries.iter().map(|entry| entry.name.clone());
            String::from_utf8(names.collect::<Vec<_>>().concat()).unwrap()
        };
        assert_eq!(names("sort=name"), "zab");
        assert_eq!(names("sort=-name"), "zba");
        assert_eq!(names("sort=size"), "zba");
    }

    #[test]
    fn names_are_text_and_links() {
        let entries = [Entry {
            name: b"<b> & \"?#%.html".to_vec(),
            is_folder: false,
            len: 1_234_567,
            modified: 0,
        }];
        let page = render(b"/x<y/", &entries, Order::of_query(b""), false);
        assert!(page.contains("<title>/x&lt;y/</title>"), "{page}");
        assert!(page.contains("href=\"./%3Cb%3E%20%26%20%22%3F%23%25%2Ehtml\""));
        assert!(page.contains(">&lt;b&gt; &amp; &quot;?#%.html</a></td><td>1.2 MB</td>"));
        assert!(page.contains("<td>1970-01-01 00:00</td>"));
    }

    #[test]
    fn sizes_read_well() {
        for (bytes, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (99_949, "99.9 kB"),
            (99_950, "100 kB"),
            (999_999, "1.0 MB"),
            (u64::MAX, "18447 PB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }
}
