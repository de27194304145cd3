//! INTERNALDATE: when a mail was received.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::tz::TimeZone;

/// Most bytes of a header in which a date is looked for.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// A date as `APPEND` takes it, `"01-Feb-2003 04:05:06 +0000"` with its quotes.
pub(crate) fn internal_date(timestamp: Timestamp) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let utc = timestamp.to_zoned(TimeZone::UTC);
    let month = usize::try_from(utc.month() - 1).unwrap_or(0);
    format!(
        "\"{:02}-{}-{:04} {:02}:{:02}:{:02} +0000\"",
        utc.day(),
        MONTHS[month % MONTHS.len()],
        utc.year(),
        utc.hour(),
        utc.minute(),
        utc.second(),
    )
}

/// A file's time, where IMAP can say it: not before 1970, not after 9999.
pub(crate) fn from_file_time(time: SystemTime) -> Option<Timestamp> {
    Timestamp::try_from(time).ok().filter(is_sayable)
}

/// The date of a mail by its header: the first Received, which the last server to take it in
/// wrote, else Date, which its sender wrote.
pub(crate) fn from_header(mail: &[u8]) -> Option<Timestamp> {
    let received = header_field(mail, b"received:")
        // The date stands after the last semicolon (RFC 5322, section 3.6.7).
        .and_then(|value| value.rsplit_once(';').and_then(|(_, date)| parse(date)));
    received.or_else(|| header_field(mail, b"date:").and_then(|value| parse(&value)))
}

fn parse(text: &str) -> Option<Timestamp> {
    let parser = DateTimeParser::new().relaxed_weekday(true);
    let parsed = parser.parse_timestamp(text.trim()).ok();
    parsed.filter(is_sayable)
}

fn is_sayable(timestamp: &Timestamp) -> bool {
    (Timestamp::UNIX_EPOCH..Timestamp::MAX).contains(timestamp)
}

/// The value of a header's first field of this name (lower case, with its colon), unfolded.
fn header_field(mail: &[u8], name: &[u8]) -> Option<String> {
    let head = &mail[..mail.len().min(HEADER_BYTES_MAX)];
    let mut lines = head.split(|&byte| byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return None;
        }
        let is_field = line
            .get(..name.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(name));
        if !is_field {
            continue;
        }
        let mut value = String::from_utf8_lossy(&line[name.len()..]).into_owned();
        while let Some(folded) =
            lines.next_if(|next| next.starts_with(b" ") || next.starts_with(b"\t"))
        {
            value.push_str(&String::from_utf8_lossy(folded).replace('\r', ""));
        }
        return Some(value);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(mail: &str, expected: Option<&str>) {
        let found = from_header(mail.as_bytes()).map(internal_date);
        let expected = expected.map(|date| format!("\"{date}\""));
        assert_eq!(found, expected, "{mail:?}");
    }

    #[test]
    fn dates_of_headers() {
        check(
            "Date: Tue, 1 Feb 2005 10:00:00 +0200\n\n",
            Some("01-Feb-2005 08:00:00 +0000"),
        );
        check(
            "date: 1 Feb 05 10:00 GMT\r\n\r\n",
            Some("01-Feb-2005 10:00:00 +0000"),
        );
        check(
            "Received: from a by b;\r\n\tWed, 02 Feb 2005 00:00:01 -0100\r\nReceived: x; 1 Jan 1999 00:00:00 +0000\r\nDate: Tue, 1 Feb 2005 10:00:00 +0200\r\n\r\n",
            Some("02-Feb-2005 01:00:01 +0000"),
        );
        // A Received without a date does not hide the Date.
        check(
            "Received: nonsense\nDate: 1 Feb 2005 10:00:00 +0000\n\n",
            Some("01-Feb-2005 10:00:00 +0000"),
        );
        // A wrong weekday is not worth losing the date for.
        check(
            "Date: Mon, 1 Feb 2005 10:00:00 +0000\n\n",
            Some("01-Feb-2005 10:00:00 +0000"),
        );
        check("Subject: x\n\nDate: 1 Feb 2005 10:00:00 +0000\n", None);
        check("Date: yesterday\n\n", None);
        check("Date: Thu, 1 Jan 1925 00:00:00 +0000\n\n", None);
        check("", None);
    }
}
