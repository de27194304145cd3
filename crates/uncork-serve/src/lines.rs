//! Header lines that a page has in every response: made once, when it is found.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use crate::accept_encoding::Coding;
use crate::rules::Rules;

/// The value of `Server`.
pub(crate) const SERVER: &str = "uncork";

/// Of what a page in several codings varies.
const ACCEPT_ENCODING: &str = "Accept-Encoding";

/// What of a path can't stand in a URL as it is (RFC 3986, section 3.3).
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// What of a path can't stand in a query as it is: there these part one value from the next.
const IN_QUERY: &AsciiSet = &PATH.add(b'&').add(b'=').add(b'+');

/// What of a query that was sent can't stand in a header.
const QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>');

/// A path as it stands in a URL.
#[must_use]
pub(crate) fn encode_path(path: &[u8]) -> String {
    percent_encode(path, PATH).to_string()
}

/// A path as it stands in a query, as a part of a value.
#[must_use]
pub(crate) fn encode_in_query(path: &[u8]) -> String {
    percent_encode(path, IN_QUERY).to_string()
}

/// A query as it was sent, fit for a header: what is no plain ASCII is encoded.
#[must_use]
pub(crate) fn encode_query(query: &[u8]) -> String {
    percent_encode(query, QUERY).to_string()
}

/// Of what the lines are made.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    /// The site's rules.
    pub rules: &'a Rules,
    /// The path of the request, decoded.
    pub path: &'a [u8],
    /// The path of the file from the site's root, without a slash before it; none of a page that was
    /// made.
    pub file: Option<&'a [u8]>,
    /// The media type.
    pub content_type: &'a str,
    /// The coding of this representation.
    pub coding: Coding,
    /// Whether there are other representations.
    pub varies: bool,
    /// With its quotes.
    pub etag: Option<&'a str>,
    /// Seconds since the epoch.
    pub last_modified: Option<u64>,
}

/// The lines, and what of the page they say.
#[derive(Debug)]
pub(crate) struct Lines {
    /// Each with its line end.
    pub text: String,
    /// How many bytes of them a 304 has too (RFC 9110, section 15.4.5). They come first.
    pub shared_bytes: usize,
    /// The media type, where they say one.
    pub content_type: Option<String>,
    /// Whether they have the ETag that was given.
    pub has_etag: bool,
    /// Whether they have the time of change that was given.
    pub has_last_modified: bool,
}

/// Renders the lines: the server's, and in their place what the rules say.
#[must_use]
pub(crate) fn render(facts: &Facts<'_>) -> Lines {
    let mut shared: Vec<(String, String)> = vec![("Server".to_owned(), SERVER.to_owned())];
    if let Some(etag) = facts.etag {
        shared.push(("ETag".to_owned(), etag.to_owned()));
    }
    if let Some(seconds) = facts.last_modified {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        shared.push(("Last-Modified".to_owned(), httpdate::fmt_http_date(time)));
    }
    if facts.varies {
        shared.push(("Vary".to_owned(), ACCEPT_ENCODING.to_owned()));
    }
    if let Some(value) = &facts.rules.cache_control {
        shared.push(("Cache-Control".to_owned(), value.clone()));
    }
    let mut of_body = vec![
        ("Content-Type".to_owned(), facts.content_type.to_owned()),
        ("Accept-Ranges".to_owned(), "bytes".to_owned()),
    ];
    if facts.coding != Coding::Identity {
        let coding = facts.coding.name().to_owned();
        of_body.push(("Content-Encoding".to_owned(), coding));
    }
    let (mut has_etag, mut has_last_modified) =
        (facts.etag.is_some(), facts.last_modified.is_some());
    for (name, value) in set_by_rules(facts) {
        let replaced = |(earlier, _): &(String, String)| !earlier.eq_ignore_ascii_case(name);
        shared.retain(replaced);
        of_body.retain(replaced);
        has_etag &= !name.eq_ignore_ascii_case("etag");
        has_last_modified &= !name.eq_ignore_ascii_case("last-modified");
        let value = if facts.varies && name.eq_ignore_ascii_case("vary") {
            with_accept_encoding(value)
        } else {
            value.to_owned()
        };
        if !value.is_empty() {
            shared.push((name.to_owned(), value));
        }
    }
    let mut all = shared.iter().chain(&of_body);
    let content_type = all.find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let content_type = content_type.map(|(_, value)| value.clone());
    let mut text = String::new();
    for (name, value) in &shared {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    let shared_bytes = text.len();
    for (name, value) in &of_body {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    Lines {
        text,
        shared_bytes,
        content_type,
        has_etag,
        has_last_modified,
    }
}

/// What a rule says for `Vary` of a page in several codings: a cache that is not told of them would
/// give one to clients that can't read it.
fn with_accept_encoding(value: &str) -> String {
    let mut names = value.split(',').map(str::trim);
    if value.is_empty() {
        ACCEPT_ENCODING.to_owned()
    } else if names.any(|name| name == "*" || name.eq_ignore_ascii_case(ACCEPT_ENCODING)) {
        value.to_owned()
    } else {
        format!("{value}, {ACCEPT_ENCODING}")
    }
}

/// The headers that a site's rules set for a page, in the order of the rules: of those that fit the path
/// of the request or that of the file.
fn set_by_rules<'r>(facts: &Facts<'r>) -> impl Iterator<Item = (&'r str, &'r str)> {
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: false,
    };
    let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    let path = text(facts.path);
    let file = facts.file.map(|file| text(&[b"/", file].concat()));
    let fitting = facts.rules.headers.iter().filter(move |rule| {
        let fits = |path: &String| rule.path.matches_with(path, options);
        fits(&path) || file.as_ref().is_some_and(fits)
    });
    fitting.flat_map(|rule| {
        let set = rule.set.iter();
        set.map(|(name, value)| (name.as_str(), value.as_str()))
    })
}
