//! A request's head: found, parsed, validated. Pure: bytes in, a [`Request`] or a [`Reject`] out.

use crate::host::HostName;

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
    /// The decoded path; `None` for `OPTIONS *`.
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
    /// 400, 411, 413, 414, 431, 501 or 505.
    pub status: u16,
    /// What was wrong, for the response's body and the log: a whole sentence without the dot.
    pub reason: &'static str,
}
