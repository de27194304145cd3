//! What the fuzz targets in `fuzz/` run: one function for each parser, which takes any bytes and
//! panics where something does not hold that must. No part of the interface.

#![expect(
    clippy::panic,
    reason = "a target panics where something does not hold"
)]

mod decision;

use crate::accept_encoding::{self, Coding, CodingSet};
use crate::config::{Config, ConfigError};
use crate::host::{HOST_BYTES_MAX, HostName, HostPattern, LABEL_BYTES_MAX};
use crate::limits::Limits;
use crate::range::{self, Ranges};
use crate::request::{self, Field, Method, Name, Request, Version};

/// A fuzz target.
pub type Target = fn(&[u8]);

/// All targets by their names, which are also those of the folders with their seeds.
pub const TARGETS: [(&str, Target); 6] = [
    ("serve_accept_encoding", accept_encoding),
    ("serve_config", config),
    ("serve_decision", decision),
    ("serve_host", host),
    ("serve_range", range),
    ("serve_request_head", request_head),
];

pub use decision::decision;

/// No text panics, and what is wrong with it has its place in it.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Config::parse(text, "/fuzz/serve.toml") {
        Ok(config) => {
            assert!(config.hosts.is_some() || !config.sites.is_empty());
            let mut hosts: Vec<_> = config.sites.iter().flat_map(|site| &site.hosts).collect();
            let all = hosts.len();
            hosts.sort_by_key(ToString::to_string);
            hosts.dedup();
            assert_eq!(hosts.len(), all, "a host twice");
        }
        Err(ConfigError::At { place, .. }) => {
            assert!(
                (1..=text.split('\n').count()).contains(&place.line),
                "{place}"
            );
            assert!(place.column >= 1);
        }
        Err(error) => panic!("{error}"),
    }
}

/// A head ends where it does in whatever pieces it comes, a request that is taken is not refused
/// before its end, and its path is one that may be looked for.
pub fn request_head(data: &[u8]) {
    let limits = Limits::default();
    let _ = request::parse(data, &limits);
    let end = request::head_end(data, 0);
    assert_eq!(end, head_end_plainly(data));
    let mut from = 0;
    for seen in prefixes(data) {
        let piecewise = request::head_end(seen, from);
        assert_eq!(piecewise, end.filter(|&end| end <= seen.len()), "{from}");
        if piecewise.is_some() {
            break;
        }
        from = seen.len();
    }
    let Some(end) = end else {
        return;
    };
    let head = &data[..end];
    let parsed = request::parse(head, &limits);
    for seen in prefixes(&head[..end - 1]) {
        let early = request::early_reject(seen, &limits);
        assert!(early.is_none() || parsed.is_err(), "{early:?}");
    }
    match parsed {
        Ok(request) => check_request(head, &request, &limits),
        Err(reject) => {
            assert!((400..=599).contains(&reject.status));
            assert!(!reject.reason.ends_with('.') && !reject.reason.is_empty());
        }
    }
}

/// The beginnings of some bytes: all where there are few.
fn prefixes(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let step = 1 + data.len() / 300;
    let lens = (0..data.len()).step_by(step).chain([data.len()]);
    lens.map(|len| &data[..len])
}

/// [`request::head_end`] as its documentation says it.
fn head_end_plainly(data: &[u8]) -> Option<usize> {
    let mut start = 0;
    while start < 8 && data[start..].starts_with(b"\r\n") {
        start += 2;
    }
    let mut line = start;
    while let Some(bytes) = data[line..].iter().position(|&byte| byte == b'\n') {
        let next = line + bytes + 1;
        if matches!(&data[line..next], b"\n" | b"\r\n") {
            return Some(next);
        }
        line = next;
    }
    None
}

fn check_request(head: &[u8], request: &Request<'_>, limits: &Limits) {
    assert!(head.len() <= limits.head_bytes + 8);
    assert!(request.target.len() <= limits.target_bytes);
    assert!(request.body_bytes <= limits.body_bytes);
    assert!(!request.expects_continue || request.body_bytes > 0);
    // Without their CR LF, no line has either of them in it.
    let joined = String::from_utf8_lossy(head).replace("\r\n", "");
    assert!(!joined.contains(['\r', '\n', '\0']));
    let lower = head.to_ascii_lowercase();
    let hosts = lower.windows(6).filter(|bytes| bytes == b"\nhost:").count();
    assert!(hosts == 1 || hosts == 0 && request.version == Version::Http10);
    if let Some(host) = &request.host {
        self::host(host.as_str().as_bytes());
    }
    match &request.path {
        Some(path) => check_path(path, request.target),
        None => assert!(matches!(
            request.method,
            Method::Options | Method::Other(b"CONNECT")
        )),
    }
    check_lines(head, request);
    let conditions = crate::condition::Validators {
        etag: Some("\"a\""),
        last_modified: Some(0),
        is_date_strong: true,
    };
    let _ = crate::condition::evaluate(request, &conditions);
    let _ = crate::condition::range_applies(request, &conditions);
}

/// Another parser finds the same in the header lines.
fn check_lines(head: &[u8], request: &Request<'_>) {
    const KNOWN: [(&str, Name); 9] = [
        ("accept-encoding", Name::AcceptEncoding),
        ("host", Name::Host),
        ("if-match", Name::IfMatch),
        ("if-modified-since", Name::IfModifiedSince),
        ("if-none-match", Name::IfNoneMatch),
        ("if-range", Name::IfRange),
        ("if-unmodified-since", Name::IfUnmodifiedSince),
        ("range", Name::Range),
        ("user-agent", Name::UserAgent),
    ];
    let blank = head.iter().take_while(|byte| byte.is_ascii_whitespace());
    let head = &head[blank.count()..];
    let end = head.iter().position(|&byte| byte == b'\n');
    let lines = end.map_or(head, |end| &head[end + 1..]);
    let mut room = [httparse::EMPTY_HEADER; request::HEADERS_MAX];
    let parsed = httparse::parse_headers(lines, &mut room);
    let Ok(httparse::Status::Complete((bytes, headers))) = parsed else {
        panic!("lines that are none: {parsed:?}");
    };
    assert_eq!(bytes, lines.len());
    for (name, known) in KNOWN {
        let named = |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case(name);
        let mut values = headers.iter().filter(named).map(|header| header.value);
        let field = match (values.next(), values.next()) {
            (None, _) => Field::Absent,
            (Some(value), None) => Field::Once(value.trim_ascii()),
            (Some(_), Some(_)) => Field::Several,
        };
        assert_eq!(request.field(known), field, "{name}");
    }
}

/// What [`Request::path`] says of itself, and that it is the target's path as a careless reader sees it.
fn check_path(bytes: &[u8], target: &[u8]) {
    assert!(bytes.starts_with(b"/"));
    assert!(!bytes.windows(2).any(|pair| pair == b"//"));
    assert!(
        !bytes
            .iter()
            .any(|byte| byte.is_ascii_control() || *byte == b'\\')
    );
    let mut segments = bytes.split(|&byte| byte == b'/');
    assert!(!segments.any(|segment| segment == b"." || segment == b".."));

    let raw = target
        .split(|&byte| byte == b'?')
        .next()
        .unwrap_or_default();
    let raw = if raw.starts_with(b"/") {
        raw
    } else {
        let host = raw
            .windows(3)
            .position(|bytes| bytes == b"://")
            .map_or(0, |at| at + 3);
        let slash = raw[host..].iter().position(|&byte| byte == b'/');
        slash.map_or(&b"/"[..], |at| &raw[host + at..])
    };
    let mut plain: Vec<u8> = percent_encoding::percent_decode(raw).collect();
    plain.dedup_by(|next, before| *next == b'/' && *before == b'/');
    assert_eq!(bytes, plain);
}

/// Ranges are within the body and apart from each other, and together are the bytes that were asked
/// for. The first byte is the bound of their count, the next four the body's length.
pub fn range(data: &[u8]) {
    let Some((&[ranges_max, len @ ..], value)) = data.split_first_chunk::<5>() else {
        return;
    };
    let len = u64::from(u32::from_le_bytes(len));
    let ranges = match range::parse(value, len, usize::from(ranges_max)) {
        Ranges::Whole | Ranges::Unsatisfiable => return,
        Ranges::One(range) => vec![range],
        Ranges::Several(ranges) => {
            assert!(ranges.len() > 1);
            ranges.into_vec()
        }
    };
    assert!(ranges.len() <= usize::from(ranges_max));
    assert!(
        ranges
            .iter()
            .all(|range| range.start < range.end && range.end <= len)
    );
    assert!(
        ranges
            .iter()
            .map(|range| range.end - range.start)
            .sum::<u64>()
            <= len
    );
    let mut sorted = ranges.clone();
    sorted.sort_by_key(|range| range.start);
    assert!(sorted.windows(2).all(|pair| pair[0].end < pair[1].start));
    // Each on its own comes to bytes that are part of the whole answer.
    let asked = std::str::from_utf8(&value[6..]).unwrap_or_default();
    for spec in asked
        .split(',')
        .map(str::trim_ascii)
        .filter(|spec| !spec.is_empty())
    {
        if let Ranges::One(one) = range::parse(format!("bytes={spec}").as_bytes(), len, 1) {
            let has =
                |range: &std::ops::Range<u64>| range.start <= one.start && one.end <= range.end;
            assert!(ranges.iter().any(has));
        }
    }
}

/// Qualities are in their bounds, and the choice is the best of what there is.
pub fn accept_encoding(data: &[u8]) {
    let accepted = accept_encoding::parse(Field::Once(data));
    for number in 0..16_u8 {
        let mut available = CodingSet::EMPTY;
        for (bit, coding) in Coding::ALL.into_iter().enumerate() {
            if number >> bit & 1 == 1 {
                available = available.with(coding);
            }
        }
        let of = |coding| {
            let quality = accepted.quality(coding);
            assert!(quality <= 1000);
            if available.contains(coding) {
                quality
            } else {
                0
            }
        };
        let best = Coding::ALL.map(of).into_iter().max().unwrap_or_default();
        match accept_encoding::choose(&accepted, available) {
            Some(chosen) => assert!(best > 0 && of(chosen) == best),
            None => assert_eq!(best, 0),
        }
    }
}

/// A name that is normalised stays what it is, in any case and with a port or a dot.
pub fn host(data: &[u8]) {
    let Some(name) = HostName::parse(data) else {
        return;
    };
    let text = name.as_str();
    assert!(!text.is_empty() && text.is_ascii() && !text.contains(char::is_uppercase));
    let spellings = [
        text.to_owned(),
        format!("{text}:80"),
        text.to_ascii_uppercase(),
    ];
    for spelling in spellings {
        assert_eq!(HostName::parse(spelling.as_bytes()).as_ref(), Some(&name));
    }
    assert!(HostPattern::parse(text).is_some());
    if text.starts_with('[') {
        assert_eq!(name.parents().count(), 0);
        return;
    }
    assert!(text.len() <= HOST_BYTES_MAX);
    assert!(
        text.split('.')
            .all(|label| (1..=LABEL_BYTES_MAX).contains(&label.len()))
    );
    assert_eq!(
        HostName::parse(format!("{text}.").as_bytes()).as_ref(),
        Some(&name)
    );
    assert_eq!(name.parents().count(), text.matches('.').count());
    // What its A-labels stand for is the same name. One that stands for what looks like another one,
    // and has other letters in it, stands for nothing that can be mapped.
    let (unicode, valid) = idna::domain_to_unicode(text);
    let nested = |label: &str| label.starts_with("xn--") && !label.is_ascii();
    if valid.is_ok() && !unicode.split('.').any(nested) {
        assert_eq!(HostName::parse(unicode.as_bytes()), Some(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seeds, and with them each input that once broke a target.
    #[test]
    fn all_targets_hold_for_their_seeds() {
        uncork_lab::seeds::try_all(&TARGETS);
    }
}
