//! Responses out of the bytes of a connection.

use super::script::Body;

/// More headers than any server of a bench sends.
const HEADERS_MAX: usize = 64;

/// A head that is longer is none.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// A whole response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Status line and headers, the empty line at their end included.
    pub head: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the server said that it closes the connection behind it.
    pub closes: bool,
}

/// Why bytes are no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// It is no HTTP.
    #[error("the response is malformed: {0}")]
    Malformed(httparse::Error),
    /// The head does not end.
    #[error("the head of the response has more than {HEAD_BYTES_MAX} bytes")]
    LongHead,
    /// Its end can't be found: only Content-Length is known here.
    #[error("a response without a length (status {status})")]
    NoLength {
        /// Its status.
        status: u16,
    },
}

impl Response {
    /// Head and body together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.head.len() as u64 + self.body.len() as u64
    }

    /// The value of a header, the first of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let head = std::str::from_utf8(&self.head).ok()?;
        let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut values = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.trim())
    }
}

/// What has come of a connection and is not yet a whole response.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
}

impl Inbox {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next whole response, if it is there.
    pub(super) fn take(&mut self, body: Body) -> Result<Option<Response>, ResponseError> {
        let Some(head) = Head::parse(&self.bytes, body)? else {
            return Ok(None);
        };
        let total_bytes = head.bytes + head.body_bytes;
        if self.bytes.len() < total_bytes {
            // Room for all of it at once: long bodies would be moved many times else.
            self.bytes.reserve(total_bytes - self.bytes.len());
            return Ok(None);
        }
        let rest = self.bytes.split_off(total_bytes);
        let mut bytes = std::mem::replace(&mut self.bytes, rest);
        let body = bytes.split_off(head.bytes);
        Ok(Some(Response {
            status: head.status,
            head: bytes,
            body,
            closes: head.closes,
        }))
    }
}

struct Head {
    bytes: usize,
    body_bytes: usize,
    status: u16,
    closes: bool,
}

impl Head {
    /// `None` where the head is not all there.
    fn parse(bytes: &[u8], body: Body) -> Result<Option<Self>, ResponseError> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(bytes).map_err(ResponseError::Malformed)?;
        let httparse::Status::Complete(head_bytes) = parsed else {
            return match bytes.len() {
                0..=HEAD_BYTES_MAX => Ok(None),
                _ => Err(ResponseError::LongHead),
            };
        };
        let status = response.code.unwrap_or(0);
        let value = |name: &str| {
            let mut headers = response.headers.iter();
            let header = headers.find(|header| header.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(header.value).ok()
        };
        let has_body = body == Body::Follows && !matches!(status, 204 | 304);
        let body_bytes = match value("content-length").and_then(|length| length.parse().ok()) {
            _ if !has_body => 0,
            Some(length) => length,
            None => return Err(ResponseError::NoLength { status }),
        };
        let closes = value("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        Ok(Some(Self {
            bytes: head_bytes,
            body_bytes,
            status,
            closes,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc\
        HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n\
        HTTP/1.1 404 Not Found\r\ncontent-length:0\r\nConnection: Close\r\n\r\n";

    #[test]
    fn responses_are_found_wherever_they_are_cut() {
        for cut in 0..=TEXT.len() {
            let mut inbox = Inbox::default();
            let mut found = Vec::new();
            for part in [&TEXT[..cut], &TEXT[cut..]] {
                inbox.push(part);
                while let Some(response) = inbox.take(Body::Follows).unwrap() {
                    found.push((response.status, response.body, response.closes));
                }
            }
            let expected = [
                (200, b"abc".to_vec(), false),
                (304, Vec::new(), false),
                (404, Vec::new(), true),
            ];
            assert_eq!(found, expected, "cut at {cut}");
            assert!(inbox.is_empty());
        }
    }

    #[test]
    fn a_response_to_head_has_no_body() {
        let mut inbox = Inbox::default();
        inbox.push(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
        let response = inbox.take(Body::Never).unwrap().unwrap();
        assert_eq!(response.header("content-LENGTH"), Some("99"));
        assert_eq!((response.bytes(), response.body.len()), (39, 0));
    }

    #[test]
    fn what_has_no_end_is_refused() {
        let check = |text: &[u8], expected: ResponseError| {
            let mut inbox = Inbox::default();
            inbox.push(text);
            assert_eq!(inbox.take(Body::Follows), Err(expected));
        };
        check(
            b"HTTP/1.1 200 OK\r\n\r\n",
            ResponseError::NoLength { status: 200 },
        );
        check(
            b"SSH-2.0-x\r\n",
            ResponseError::Malformed(httparse::Error::Version),
        );
        let long = [
            b"HTTP/1.1 200 OK\r\nA: ".to_vec(),
            vec![b'a'; HEAD_BYTES_MAX],
        ];
        check(&long.concat(), ResponseError::LongHead);
    }
}
