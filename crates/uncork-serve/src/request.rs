//! A request's head: found, parsed, validated. Pure: bytes in, a [`Request`] or a [`Reject`] out.
//!
//! What two readers of one request could take for two things is refused, and not mended: it is how
//! requests are smuggled past whatever stands in front of the server (RFC 9112, section 11.2).

mod fields;
mod head;
mod line;
mod scan;
mod target;

use std::borrow::Cow;

use crate::host::HostName;
use crate::limits::Limits;

use self::fields::Fields;
pub use self::fields::{Field, Name};
pub use self::head::{early_reject, head_end, is_blank};

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
    pub host: Option<HostName<'b>>,
    /// The target as it was sent, for the log.
    pub target: &'b [u8],
    /// The path, decoded once and validated: begins with `/`, no empty segment (`//` is `/`), no `.` or
    /// `..` segment, no NUL, control byte or backslash, no `/` that was encoded. It may end with `/`.
    /// Bytes above 0x7f are the file system's business. `None` for `OPTIONS *` and for `CONNECT`.
    pub path: Option<Cow<'b, [u8]>>,
    /// What follows `?` in the target, without it.
    pub query: Option<&'b [u8]>,
    /// Whether the peer wants the connection kept: HTTP/1.1 without `close`, HTTP/1.0 with `keep-alive`.
    pub keep_alive: bool,
    /// Bytes of body that follow the head and have to be read and thrown away.
    pub body_bytes: u64,
    /// Whether it says `Expect: 100-continue` (and a body follows): answered, then closed.
    pub expects_continue: bool,
    /// The raw values of the lines that are known.
    fields: Fields<'b>,
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

impl<'b> Request<'b> {
    /// The raw value of a header line, trimmed. Several lines of a list are not joined: a second one
    /// makes it [`Field::Several`], which is treated as each parser says.
    #[must_use]
    #[inline]
    pub fn field(&self, name: Name) -> Field<'b> {
        self.fields.get(name)
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
    let (line, lines) = line::parse(head, limits)?;
    if head.len() > limits.head_bytes {
        return Err(head::TOO_LONG);
    }
    let version = line.version;
    let fields = fields::parse(lines, limits)?;
    let host = fields.host(version)?;
    let body_bytes = fields.body_bytes(version)?;
    if body_bytes > limits.body_bytes {
        return Err(Reject::new(413, "The request's body is too long"));
    }
    Ok(Request {
        method: line.method,
        version,
        host: line.target.host.or(host),
        target: line.target.raw,
        path: line.target.path,
        query: line.target.query,
        keep_alive: fields.keep_alive(version),
        body_bytes,
        expects_continue: fields.expects_continue(version, body_bytes)?,
        fields,
    })
}

#[cfg(test)]
mod tests;
