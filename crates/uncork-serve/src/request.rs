//! A request's head: found, parsed, validated. Pure: bytes in, a [`Request`] or a [`Reject`] out.
//!
//! What two readers of one request could take for two things is refused, and not mended: it is how
//! requests are smuggled past whatever stands in front of the server (RFC 9112, section 11.2).

mod fields;
mod head;
mod line;
mod target;

use crate::host::HostName;
use crate::limits::Limits;

pub use head::{early_reject, head_end};

/// Most header lines of a request, whatever [`Limits::headers`] says.
pub const HEADERS_MAX: usize = 128;

/// A validated request that borrows its head from the read buffer.
#[derive(Debug, Clone)]
pub struct Request<'b> {
    /// GET, HEAD and OPTIONS are served; anything else that is a token is `Other`.
    pub method: Method<'b>,
    /// The minor version: HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// The site's name: of an absolute-form target, else of `Host`. `None` only in HTTP/1.0, and in
    /// HTTP/1.1 with an empty `Host`.
    pub host: Option<HostName>,
    /// The target as it was sent, for the log.
    pub target: &'b [u8],
    /// The decoded path; `None` for `OPTIONS *` and for `CONNECT`.
    pub path: Option<Path<'b>>,
    /// What follows `?` in the target, without it.
    pub query: Option<&'b [u8]>,
    /// Whether the peer wants the connection kept: HTTP/1.1 without `close`, HTTP/1.0 with `keep-alive`.
    pub keep_alive: bool,
    /// Bytes of body that follow the head and have to be read and thrown away.
    pub body_bytes: u64,
    /// Whether it says `Expect: 100-continue` (and a body follows): answered, then closed.
    pub expects_continue: bool,
    /// The raw value of each, trimmed; several lines of a list header are not joined: a second one
    /// makes the field [`Field::Several`], and is treated as said at each parser.
    pub accept_encoding: Field<'b>,
    /// `If-None-Match`.
    pub if_none_match: Field<'b>,
    /// `If-Match`.
    pub if_match: Field<'b>,
    /// `If-Modified-Since`.
    pub if_modified_since: Field<'b>,
    /// `If-Unmodified-Since`.
    pub if_unmodified_since: Field<'b>,
    /// `If-Range`.
    pub if_range: Field<'b>,
    /// `Range`.
    pub range: Field<'b>,
    /// `Referer`, for the log.
    pub referer: Field<'b>,
    /// `User-Agent`, for the log.
    pub user_agent: Field<'b>,
}

/// A header field that may have come not at all, once, or several times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Field<'b> {
    /// Not there.
    #[default]
    Absent,
    /// Its value.
    Once(&'b [u8]),
    /// There more than once.
    Several,
}

/// A request's method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method<'b> {
    /// GET
    Get,
    /// HEAD
    Head,
    /// OPTIONS
    Options,
    /// A token that is none of them: 405.
    Other(&'b [u8]),
}

/// HTTP's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// A path, decoded once and validated: begins with `/`, no empty segment (`//` is `/`), no `.` or
/// `..` segment, no NUL, control byte or backslash, no `/` that was encoded. It may end with `/`.
/// Bytes above 0x7f are the file system's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Path<'b> {
    /// As it was sent.
    Borrowed(&'b [u8]),
    /// It had to be decoded or its slashes joined.
    Owned(Vec<u8>),
}

impl Path<'_> {
    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Path::Borrowed(bytes) => bytes,
            Path::Owned(bytes) => bytes,
        }
    }
}

/// Why a request is refused. The connection is closed after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject {
    /// 400, 411, 413, 414, 417, 431, 501 or 505.
    pub status: u16,
    /// What was wrong, for the response's body and the log: a whole sentence without the dot.
    pub reason: &'static str,
}

impl Reject {
    const fn new(status: u16, reason: &'static str) -> Self {
        Self { status, reason }
    }

    /// 400
    const fn bad(reason: &'static str) -> Self {
        Self::new(400, reason)
    }
}

/// Parses a head that is complete: through the empty line that [`head_end`] found.
///
/// Allocates only where the path has to be decoded, and for the hosts for which [`HostName::parse`]
/// says so.
///
/// # Errors
/// Where it is malformed, says different things at once, or takes more than it may.
pub fn parse<'b>(head: &'b [u8], limits: &Limits) -> Result<Request<'b>, Reject> {
    let head = &head[head::blank_bytes(head)..];
    let (line, lines) = line::split(head, limits)?;
    if head.len() > limits.head_bytes {
        return Err(head::TOO_LONG);
    }
    let fields = fields::parse(lines, line.version, limits)?;
    if fields.body_bytes > limits.body_bytes {
        return Err(Reject::new(413, "The request's body is too long"));
    }
    let target = target::parse(&line)?;
    Ok(Request {
        method: line.method,
        version: line.version,
        host: target.host.or(fields.host),
        target: line.target,
        path: target.path,
        query: target.query,
        keep_alive: fields.keep_alive,
        body_bytes: fields.body_bytes,
        expects_continue: fields.expects_continue,
        accept_encoding: fields.accept_encoding,
        if_none_match: fields.if_none_match,
        if_match: fields.if_match,
        if_modified_since: fields.if_modified_since,
        if_unmodified_since: fields.if_unmodified_since,
        if_range: fields.if_range,
        range: fields.range,
        referer: fields.referer,
        user_agent: fields.user_agent,
    })
}

#[cfg(test)]
mod tests;
