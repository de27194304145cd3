//! An IMAP client that sends as CPython 3.11's imaplib does, and the same client with one
//! thing done differently.
//!
//! imaplib sends an APPEND in three pieces: the command line up to `{n}`; then, after the
//! server's `+`, the literal; then, at once, the CRLF that ends the command. With Nagle on, the
//! CRLF waits for the acknowledgement of the literal's last, small segment, which the server
//! delays. [`Manner`] says what is done about it.
//!
//! ```no_run
//! use uncork_lab::naive_client::{Manner, NaiveClient};
//!
//! let mut client = NaiveClient::connect(([127, 0, 0, 1], 1143).into(), Manner::Naive, None)?;
//! client.login("user", "password")?;
//! client.append("INBOX", r"(\Seen)", None, b"Subject: hello\r\n\r\nHello.\r\n")?;
//! client.logout()?;
//! # Ok::<(), uncork_lab::naive_client::ClientError>(())
//! ```
//!
//! No socket option is set but those that [`Manner`] names, TCP_MAXSEG where asked for, and the
//! timeouts, which send nothing.

mod reply;

use std::io::{self, IoSlice, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use self::reply::{Reply, ReplyReader};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the server may be silent, or not take bytes, before the client gives up.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);

/// What the tags begin with. imaplib draws four letters of A to P; these four make the bytes
/// the same in each run.
const TAG_PREFIX: &str = "KLAB";

/// How a client sends the literal of an APPEND and the CRLF behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As imaplib: Nagle on, one send for each.
    Naive,
    /// One send for each, with Nagle off: nothing waits, but the CRLF travels alone.
    #[doc(alias = "TCP_NODELAY")]
    NoDelay,
    /// Nagle on, one send for each, corked before the literal and uncorked after its CRLF.
    #[doc(alias = "TCP_CORK")]
    Corked,
    /// Nagle off, both in one vectored write.
    WholeMessage,
}

/// Why the client stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No connection, or a socket option was refused on the way to it.
    #[error("can't connect to {addr}: {source}")]
    Connect {
        /// Where to.
        addr: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel took no more bytes.
    #[error("can't send {what}: {source}")]
    Send {
        /// The piece that was to be sent.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// No bytes came, for an error or for [60 seconds](Manner) of silence.
    #[error("no answer: recv: {0}")]
    Receive(#[source] io::Error),
    /// The server closed the connection while an answer was awaited.
    #[error("the server closed the connection{}", said(.last_line))]
    Closed {
        /// The last line it had sent, or an empty one.
        last_line: String,
    },
    /// The server said NO, BAD or BYE.
    #[error("the server refused {command}: {line}")]
    Refused {
        /// The name of the command, without what might be secret.
        command: &'static str,
        /// What the server said.
        line: String,
    },
    /// The server said what has no place at this point.
    #[error("the server said what was not expected here: {line}")]
    Unexpected {
        /// What it said.
        line: String,
    },
    /// The server said more than the client stores: a line or a literal too long, or too many
    /// lines before the answer.
    #[error("the server said too much: more than {most} {unit}, beginning with {line}")]
    TooMuch {
        /// The bound.
        most: usize,
        /// Of what.
        unit: &'static str,
        /// How it began.
        line: String,
    },
    /// An argument that would end the command line early.
    #[error("CR, LF or NUL in the {0}")]
    Argument(&'static str),
}

fn said(last_line: &str) -> String {
    if last_line.is_empty() {
        String::new()
    } else {
        format!(" after it said: {last_line}")
    }
}

/// One connection. See the [module](self).
#[derive(Debug)]
pub struct NaiveClient {
    replies: ReplyReader<TcpStream>,
    manner: Manner,
    next_tag: u64,
}

impl NaiveClient {
    /// Connects, reads the greeting and asks for the capabilities, as imaplib does before
    /// anything else.
    ///
    /// `max_segment_bytes` is set before the connection is made, so that loopback, whose
    /// segments are 64 KB, sends as an Ethernet would.
    ///
    /// # Errors
    /// Where there is no connection, or the greeting or the capabilities are not those of an
    /// IMAP4rev1 server.
    #[doc(alias = "TCP_MAXSEG")]
    pub fn connect(
        addr: SocketAddr,
        manner: Manner,
        max_segment_bytes: Option<u32>,
    ) -> Result<Self, ClientError> {
        let stream = open(addr, manner, max_segment_bytes)
            .map_err(|source| ClientError::Connect { addr, source })?;
        let mut client = Self {
            replies: ReplyReader::new(stream),
            manner,
            next_tag: 0,
        };
        client.greet()?;
        Ok(client)
    }

    /// Logs in. The user name goes out as it is and the password quoted, as by imaplib.
    ///
    /// # Errors
    /// Where the server refuses, or does not answer.
    pub fn login(&mut self, user: &str, password: &str) -> Result<(), ClientError> {
        check_argument("user name", user)?;
        check_argument("password", password)?;
        let quoted = quote(password);
        self.command("LOGIN", &format!("LOGIN {user} {quoted}"))
    }

    /// Appends one message, in three pieces or as the [`Manner`] has it, and waits for the
    /// server's word.
    ///
    /// As by imaplib, `folder` goes out as it is: who needs quotes gives them. `flags` may come
    /// without its parentheses, or be empty. `internal_date` is the IMAP date-time without its
    /// quotes. `literal` goes out as it is: imaplib would have turned each line end into CRLF.
    ///
    /// # Errors
    /// Where the server refuses, or does not answer.
    pub fn append(
        &mut self,
        folder: &str,
        flags: &str,
        internal_date: Option<&str>,
        literal: &[u8],
    ) -> Result<(), ClientError> {
        check_argument("folder", folder)?;
        check_argument("flags", flags)?;
        check_argument("internal date", internal_date.unwrap_or(""))?;
        let folder = if folder.is_empty() { "INBOX" } else { folder };
        let mut command = format!("APPEND {folder}");
        if flags.starts_with('(') && flags.ends_with(')') {
            command.push_str(&format!(" {flags}"));
        } else if !flags.is_empty() {
            command.push_str(&format!(" ({flags})"));
        }
        if let Some(date) = internal_date {
            command.push_str(&format!(" \"{date}\""));
        }
        command.push_str(&format!(" {{{}}}", literal.len()));
        let tag = self.send_command("an APPEND command", &command)?;
        match self.replies.next_answer(&tag)? {
            Reply::Continuation => {}
            Reply::Done { line, .. } => {
                // An OK before the literal would be no less of a refusal to take it.
                let command = "APPEND";
                return Err(ClientError::Refused { command, line });
            }
        }
        self.send_literal(literal)?;
        self.expect_ok("APPEND", &tag)
    }

    /// Takes leave and closes the connection.
    ///
    /// # Errors
    /// Where the server does not answer. It may close the connection after its BYE.
    pub fn logout(mut self) -> Result<(), ClientError> {
        let tag = self.send_command("a LOGOUT command", "LOGOUT")?;
        match self.replies.next_answer(&tag) {
            Err(ClientError::Closed { last_line }) if last_line.starts_with("* BYE") => {}
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        // The server may already have closed it, which is as well.
        let _ = self.stream().shutdown(Shutdown::Both);
        Ok(())
    }

    /// The connection, for who wants to read its options or counters.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        self.replies.stream()
    }

    fn greet(&mut self) -> Result<(), ClientError> {
        let greeting = self.replies.line()?;
        if !greeting.starts_with("* OK") && !greeting.starts_with("* PREAUTH") {
            let command = "the connection";
            let line = greeting;
            return Err(ClientError::Refused { command, line });
        }
        self.command("CAPABILITY", "CAPABILITY")
    }

    fn command(&mut self, name: &'static str, command: &str) -> Result<(), ClientError> {
        let tag = self.send_command("a command", command)?;
        self.expect_ok(name, &tag)
    }

    fn send_command(&mut self, what: &'static str, command: &str) -> Result<String, ClientError> {
        let tag = format!("{TAG_PREFIX}{}", self.next_tag);
        self.next_tag += 1;
        self.send(what, format!("{tag} {command}\r\n").as_bytes())?;
        Ok(tag)
    }

    fn expect_ok(&mut self, command: &'static str, tag: &str) -> Result<(), ClientError> {
        match self.replies.next_answer(tag)? {
            Reply::Done { ok: true, .. } => Ok(()),
            Reply::Done { line, .. } => Err(ClientError::Refused { command, line }),
            Reply::Continuation => Err(ClientError::Unexpected {
                line: "+".to_owned(),
            }),
        }
    }

    fn send_literal(&self, literal: &[u8]) -> Result<(), ClientError> {
        match self.manner {
            Manner::Naive | Manner::NoDelay => {
                self.send("a literal", literal)?;
                self.send("the CRLF behind a literal", b"\r\n")
            }
            Manner::Corked => {
                self.set_cork(true)?;
                let sent = self
                    .send("a literal", literal)
                    .and_then(|()| self.send("the CRLF behind a literal", b"\r\n"));
                // The cork comes out whether or not the sends went well.
                let uncorked = self.set_cork(false);
                sent.and(uncorked)
            }
            Manner::WholeMessage => {
                let what = "a literal with its CRLF";
                send_together(self.stream(), &[literal, b"\r\n"])
                    .map_err(|source| ClientError::Send { what, source })
            }
        }
    }

    /// One send(2), unless the kernel takes only a part, as Python's sendall.
    fn send(&self, what: &'static str, bytes: &[u8]) -> Result<(), ClientError> {
        self.stream()
            .write_all(bytes)
            .map_err(|source| ClientError::Send { what, source })
    }

    fn set_cork(&self, cork: bool) -> Result<(), ClientError> {
        let what = "corked: setsockopt TCP_CORK";
        SockRef::from(self.stream())
            .set_tcp_cork(cork)
            .map_err(|source| ClientError::Send { what, source })
    }
}

fn open(addr: SocketAddr, manner: Manner, max_segment_bytes: Option<u32>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if let Some(bytes) = max_segment_bytes {
        socket.set_tcp_mss(bytes)?;
    }
    match manner {
        Manner::Naive | Manner::Corked => {}
        Manner::NoDelay | Manner::WholeMessage => socket.set_tcp_nodelay(true)?,
    }
    socket.connect_timeout(&addr.into(), CONNECT_TIMEOUT)?;
    socket.set_read_timeout(Some(SILENCE_TIMEOUT))?;
    socket.set_write_timeout(Some(SILENCE_TIMEOUT))?;
    Ok(socket.into())
}

fn send_together(mut stream: &TcpStream, parts: &[&[u8]]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut rest = slices.as_mut_slice();
    // Advancing by nothing drops the parts that are empty.
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match stream.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// As imaplib's `_quote`.
fn quote(argument: &str) -> String {
    let escaped = argument.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

fn check_argument(name: &'static str, argument: &str) -> Result<(), ClientError> {
    if argument.contains(['\r', '\n', '\0']) {
        return Err(ClientError::Argument(name));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_quoted_as_by_imaplib() {
        for (password, quoted) in [
            ("", r#""""#),
            ("plain", r#""plain""#),
            ("two words", r#""two words""#),
            (r#"a"b\c"#, r#""a\"b\\c""#),
            ("grün", "\"grün\""),
        ] {
            assert_eq!(quote(password), quoted);
        }
    }

    #[test]
    fn arguments_stay_on_their_line() {
        for (argument, fine) in [
            ("", true),
            ("Archive/2024", true),
            ("a\r", false),
            ("a\nLOGOUT", false),
            ("\0", false),
        ] {
            assert_eq!(check_argument("folder", argument).is_ok(), fine);
        }
    }
}
