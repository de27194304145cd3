//! A response's bytes before and around its body.

use std::hash::{BuildHasher, RandomState};
use std::io::Write as _;
use std::ops::Range;

use smallvec::SmallVec;

use crate::clock::Clock;
use crate::digits;
use crate::lines::SERVER;
use crate::request::Version;
use crate::resource::Representation;

/// What becomes of the connection after a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// It is kept.
    Keep,
    /// It is closed.
    Close,
}

/// Renders heads of responses to one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    /// For `Date`.
    pub clock: &'a Clock,
    /// Of the request.
    pub version: Version,
    /// What is said about the connection.
    pub persistence: Persistence,
}

/// The media type of our own sentences.
const PLAIN: &str = "text/plain; charset=utf-8";

/// What is allowed, for 405 and OPTIONS.
const ALLOW: &str = "Allow: GET, HEAD, OPTIONS\r\n";

impl Head<'_> {
    /// A representation, whole.
    pub(crate) fn whole(self, out: &mut Vec<u8>, status: u16, representation: &Representation) {
        self.begin_page(out, status);
        self.length(out, representation.len);
        if status == 200 {
            out.extend_from_slice(representation.lines.as_bytes());
        } else {
            // The page of an error is not what is at this path: nobody may keep it as that.
            without(out, &representation.lines, &OF_THE_FILE);
            if status == 405 {
                out.extend_from_slice(ALLOW.as_bytes());
            }
        }
        out.extend_from_slice(b"\r\n");
    }

    /// One range of it.
    pub(crate) fn partial(
        self,
        out: &mut Vec<u8>,
        representation: &Representation,
        range: &Range<u64>,
    ) {
        self.begin_page(out, 206);
        self.length(out, range.end - range.start);
        content_range(out, range, representation.len);
        out.extend_from_slice(representation.lines.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// Several ranges of it. Returns what stands before each range and after the last one.
    #[must_use]
    pub(crate) fn multipart(
        self,
        out: &mut Vec<u8>,
        representation: &Representation,
        ranges: &[Range<u64>],
    ) -> SmallVec<[Vec<u8>; 4]> {
        // A fresh random state: what a peer saw before does not tell the next boundary.
        let boundary = format!("uncork-{:016x}", RandomState::new().hash_one(ranges.len()));
        let mut between: SmallVec<[Vec<u8>; 4]> = ranges
            .iter()
            .map(|range| {
                let mut part = Vec::new();
                let _ = write!(part, "\r\n--{boundary}\r\n");
                if let Some(content_type) = &representation.content_type {
                    let _ = write!(part, "Content-Type: {content_type}\r\n");
                }
                content_range(&mut part, range, representation.len);
                part.extend_from_slice(b"\r\n");
                part
            })
            .collect();
        between.push(format!("\r\n--{boundary}--\r\n").into_bytes());
        let framing: usize = between.iter().map(Vec::len).sum();
        let bodies: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        self.begin_page(out, 206);
        self.length(out, framing as u64 + bodies);
        let _ = write!(
            out,
            "Content-Type: multipart/byteranges; boundary={boundary}\r\n"
        );
        without(out, &representation.lines, &["content-type"]);
        out.extend_from_slice(b"\r\n");
        between
    }

    /// 304.
    pub(crate) fn not_modified(self, out: &mut Vec<u8>, representation: &Representation) {
        self.begin_page(out, 304);
        out.extend_from_slice(&representation.lines.as_bytes()[..representation.shared_bytes]);
        out.extend_from_slice(b"\r\n");
    }

    /// 416.
    pub(crate) fn unsatisfiable(self, out: &mut Vec<u8>, representation: &Representation) {
        self.begin(out, 416);
        let _ = write!(out, "Content-Range: bytes */{}\r\n", representation.len);
        self.length(out, 0);
        out.extend_from_slice(b"\r\n");
    }

    /// A redirect.
    pub(crate) fn elsewhere(self, out: &mut Vec<u8>, status: u16, location: &str) {
        self.begin(out, status);
        let _ = write!(out, "Location: {location}\r\n");
        self.length(out, 0);
        out.extend_from_slice(b"\r\n");
    }

    /// 204 to OPTIONS.
    pub(crate) fn options(self, out: &mut Vec<u8>) {
        self.begin(out, 204);
        out.extend_from_slice(ALLOW.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// A status and a sentence; returns how many bytes at the end are its body.
    pub(crate) fn plain(
        self,
        out: &mut Vec<u8>,
        status: u16,
        sentence: &str,
        with_body: bool,
    ) -> usize {
        let text = format!("{status} {}\n{sentence}.\n", reason(status));
        self.begin(out, status);
        self.length(out, text.len() as u64);
        let _ = write!(out, "Content-Type: {PLAIN}\r\n");
        if status == 405 {
            out.extend_from_slice(ALLOW.as_bytes());
        }
        if status == 503 || status == 429 {
            out.extend_from_slice(b"Retry-After: 1\r\n");
        }
        out.extend_from_slice(b"\r\n");
        if with_body {
            out.extend_from_slice(text.as_bytes());
            return text.len();
        }
        0
    }

    /// Status line, and the lines that every response has.
    fn begin(self, out: &mut Vec<u8>, status: u16) {
        self.begin_page(out, status);
        let _ = write!(out, "Server: {SERVER}\r\n");
    }

    /// The same without `Server`, which is among the lines of a page: a rule may set it.
    fn begin_page(self, out: &mut Vec<u8>, status: u16) {
        match status {
            200 => out.extend_from_slice(b"HTTP/1.1 200 OK\r\nDate: "),
            _ => {
                let _ = write!(out, "HTTP/1.1 {status} {}\r\nDate: ", reason(status));
            }
        }
        out.extend_from_slice(self.clock.http_date());
        match (self.version, self.persistence) {
            (_, Persistence::Close) => out.extend_from_slice(b"\r\nConnection: close\r\n"),
            (Version::Http10, Persistence::Keep) => {
                out.extend_from_slice(b"\r\nConnection: keep-alive\r\n");
            }
            (Version::Http11, Persistence::Keep) => out.extend_from_slice(b"\r\n"),
        }
    }

    fn length(self, out: &mut Vec<u8>, bytes: u64) {
        out.extend_from_slice(b"Content-Length: ");
        digits::number(out, bytes);
        out.extend_from_slice(b"\r\n");
    }
}

/// The lines of a file that don't hold for a response with an error's status.
const OF_THE_FILE: [&str; 4] = ["etag", "last-modified", "cache-control", "accept-ranges"];

/// Header lines but those of these names, in lower case.
fn without(out: &mut Vec<u8>, lines: &str, names: &[&str]) {
    for line in lines.split_inclusive("\r\n") {
        let name = line.split(':').next().unwrap_or_default();
        if !names.iter().any(|other| name.eq_ignore_ascii_case(other)) {
            out.extend_from_slice(line.as_bytes());
        }
    }
}

fn content_range(out: &mut Vec<u8>, range: &Range<u64>, len: u64) {
    let last = range.end.saturating_sub(1);
    let _ = write!(out, "Content-Range: bytes {}-{last}/{len}\r\n", range.start);
}

/// The words of a status (RFC 9110, section 15).
#[must_use]
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}
