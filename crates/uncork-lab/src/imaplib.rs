//! CPython's imaplib itself, as a process that appends mails when it is told to. Its sockets are as the
//! library leaves them: it sets no option.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::imap::ServerConfig;
use crate::python::Python;

const PROGRAM: &str = r#"
import imaplib, sys, time
host, port, user, password = sys.argv[1:]
server = imaplib.IMAP4(host, int(port))
server.login(user, password)
mail = b"Subject: hello\r\n\r\n" + b"x" * 333 + b"\r\n"
print(server.sock.fileno(), flush=True)
for line in sys.stdin:
    began = time.monotonic_ns()
    for _ in range(int(line)):
        status, answer = server.append("INBOX", None, None, mail)
        if status != "OK":
            sys.exit(str(answer))
    print(time.monotonic_ns() - began, flush=True)
"#;

/// An importer that is logged in, and waits.
#[derive(Debug)]
pub struct Importer {
    python: Python,
    fd: i32,
}

impl Importer {
    /// Connects to a lab server with its usual user, or says that the test is skipped because there is
    /// no Python.
    ///
    /// # Errors
    /// Where it ends before it is logged in.
    pub fn start(server: SocketAddr) -> io::Result<Option<Self>> {
        let lab = ServerConfig::new("");
        let (host, port) = (server.ip().to_string(), server.port().to_string());
        let arguments = [&host, &port, &*lab.user, &*lab.password];
        let Some(mut python) = Python::start(PROGRAM, &arguments) else {
            return Ok(None);
        };
        let fd = python.line()?.parse().map_err(io::Error::other)?;
        Ok(Some(Self { python, fd }))
    }

    /// The id of its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.python.pid()
    }

    /// Its descriptor of the connection.
    #[must_use]
    pub fn fd(&self) -> i32 {
        self.fd
    }

    /// Appends so many mails, one after the other, and tells how long that took.
    ///
    /// # Errors
    /// Where the server refuses one, or the process ends.
    pub fn append(&mut self, mails: u32) -> io::Result<Duration> {
        let answer = self.python.ask(&mails.to_string())?;
        answer
            .parse()
            .map(Duration::from_nanos)
            .map_err(io::Error::other)
    }
}
