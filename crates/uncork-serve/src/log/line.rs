//! A record as a line.

use super::{LogFormat, Record, escape};
use crate::clock::Clock;
use crate::digits;

/// Whether a line names its site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Site {
    Named,
    /// The file's name says it.
    InFileName,
}

/// Appends a record's line, with its line feed.
pub(super) fn append(
    out: &mut Vec<u8>,
    format: LogFormat,
    site: Site,
    record: &Record<'_>,
    clock: &Clock,
) {
    match format {
        LogFormat::Combined => combined(out, site, record, clock),
        LogFormat::Json => json(out, record, clock),
    }
}

/// `%v %h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"` of Apache's mod_log_config.
fn combined(out: &mut Vec<u8>, site: Site, record: &Record<'_>, clock: &Clock) {
    if site == Site::Named {
        escape::word(out, or_dash(record.site.as_bytes()));
        out.push(b' ');
    }
    digits::address(out, record.peer);
    out.extend_from_slice(b" - - [");
    out.extend_from_slice(clock.log_date());
    out.extend_from_slice(b"] \"");
    escape::word(out, or_dash(record.method));
    out.push(b' ');
    escape::word(out, or_dash(record.target));
    out.push(b' ');
    escape::word(out, or_dash(record.version.as_bytes()));
    out.extend_from_slice(b"\" ");
    digits::number(out, record.status.into());
    out.push(b' ');
    match record.bytes {
        0 => out.push(b'-'),
        bytes => digits::number(out, bytes),
    }
    out.extend_from_slice(b" \"");
    escape::quoted(out, or_dash(record.referer.unwrap_or_default()));
    out.extend_from_slice(b"\" \"");
    escape::quoted(out, or_dash(record.user_agent.unwrap_or_default()));
    out.extend_from_slice(b"\"\n");
}

/// The empty field would be no field for those who split at spaces.
fn or_dash(field: &[u8]) -> &[u8] {
    if field.is_empty() { b"-" } else { field }
}

fn json(out: &mut Vec<u8>, record: &Record<'_>, clock: &Clock) {
    let text = |out: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>| {
        out.extend_from_slice(key);
        match value {
            Some(value) => {
                out.push(b'"');
                escape::json(out, value);
                out.push(b'"');
            }
            None => out.extend_from_slice(b"null"),
        }
    };
    out.extend_from_slice(b"{\"time\":\"");
    out.extend_from_slice(clock.iso());
    text(out, b"\",\"host\":", Some(record.site.as_bytes()));
    out.extend_from_slice(b",\"peer\":\"");
    digits::address(out, record.peer);
    text(out, b"\",\"method\":", Some(record.method));
    text(out, b",\"target\":", Some(record.target));
    text(out, b",\"version\":", Some(record.version.as_bytes()));
    out.extend_from_slice(b",\"status\":");
    digits::number(out, record.status.into());
    out.extend_from_slice(b",\"bytes\":");
    digits::number(out, record.bytes);
    text(out, b",\"referer\":", record.referer);
    text(out, b",\"user_agent\":", record.user_agent);
    out.extend_from_slice(b",\"duration_us\":");
    digits::number(out, record.duration_us);
    out.extend_from_slice(b"}\n");
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn clock() -> Clock {
        Clock::at(UNIX_EPOCH + Duration::from_secs(784_111_777))
    }

    fn record<'a>() -> Record<'a> {
        Record {
            peer: "192.0.2.7".parse().unwrap(),
            site: "example.org",
            method: b"GET",
            target: b"/a?b",
            version: "HTTP/1.1",
            status: 200,
            bytes: 1024,
            referer: None,
            user_agent: Some(b"curl/8 \"x\""),
            duration_us: 42,
        }
    }

    fn line(format: LogFormat, site: Site, record: &Record<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        append(&mut out, format, site, record, &clock());
        out
    }

    #[test]
    fn known_lines() {
        let check = |format, site, record: &Record<'_>, expected: &str| {
            let line = String::from_utf8(line(format, site, record)).unwrap();
            assert_eq!(line, format!("{expected}\n"));
        };
        check(
            LogFormat::Combined,
            Site::Named,
            &record(),
            r#"example.org 192.0.2.7 - - [06/Nov/1994:08:49:37 +0000] "GET /a?b HTTP/1.1" 200 1024 "-" "curl/8 \x22x\x22""#,
        );
        let refused = Record {
            method: b"",
            target: b"",
            status: 400,
            bytes: 0,
            referer: Some(b"http://a/"),
            user_agent: None,
            ..record()
        };
        check(
            LogFormat::Combined,
            Site::InFileName,
            &refused,
            r#"192.0.2.7 - - [06/Nov/1994:08:49:37 +0000] "- - HTTP/1.1" 400 - "http://a/" "-""#,
        );
        check(
            LogFormat::Json,
            Site::Named,
            &record(),
            r#"{"time":"1994-11-06T08:49:37Z","host":"example.org","peer":"192.0.2.7","method":"GET","target":"/a?b","version":"HTTP/1.1","status":200,"bytes":1024,"referer":null,"user_agent":"curl/8 \"x\"","duration_us":42}"#,
        );
    }

    proptest! {
        #[test]
        fn no_peer_forges_a_line(
            method in vec(any::<u8>(), 0..20),
            target in vec(any::<u8>(), 0..100),
            referer in proptest::option::of(vec(any::<u8>(), 0..100)),
            user_agent in proptest::option::of(vec(any::<u8>(), 0..100)),
        ) {
            let record = Record {
                method: &method,
                target: &target,
                referer: referer.as_deref(),
                user_agent: user_agent.as_deref(),
                ..record()
            };
            let combined = String::from_utf8(line(LogFormat::Combined, Site::Named, &record)).unwrap();
            prop_assert_eq!(combined.matches('\n').count(), 1);
            prop_assert!(combined.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n')));
            let parts: Vec<&str> = combined.split('"').collect();
            prop_assert_eq!(parts.len(), 7);
            prop_assert_eq!(parts[1].split(' ').count(), 3);
            prop_assert_eq!(parts[2], " 200 1024 ");

            let line = String::from_utf8(line(LogFormat::Json, Site::Named, &record)).unwrap();
            prop_assert_eq!(line.matches('\n').count(), 1);
            let object: serde_json::Value = serde_json::from_str(&line).unwrap();
            let text = |bytes: &[u8]| serde_json::Value::from(String::from_utf8_lossy(bytes));
            prop_assert_eq!(&object["target"], &text(&target));
            prop_assert_eq!(&object["method"], &text(&method));
            prop_assert_eq!(&object["referer"], &referer.as_deref().map_or(serde_json::Value::Null, text));
            prop_assert_eq!(object.as_object().unwrap().len(), 11);
        }
    }
}
