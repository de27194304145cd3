//! A raw IMAP client for tests: says exactly the bytes it is told to.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use uncork_lab::imap::ImapServer;

/// A test that waits longer than this has found a bug.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Who says nothing for so long is silent.
const MOMENT: Duration = Duration::from_millis(100);

pub(crate) struct Client {
    reader: BufReader<TcpStream>,
    tags: u32,
}

/// All lines of a reply, the tagged one last; literals stand inline.
pub(crate) struct Reply(pub(crate) Vec<String>);

impl Reply {
    pub(crate) fn last(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    pub(crate) fn text(&self) -> String {
        self.0.join("\n")
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert!(self.last().contains(" OK "), "{:?}", self.0);
        self
    }

    #[track_caller]
    pub(crate) fn no(self, why: &str) -> Self {
        assert!(self.last().contains(&format!(" NO {why}")), "{:?}", self.0);
        self
    }

    #[track_caller]
    pub(crate) fn bad(self) -> Self {
        assert!(self.last().contains(" BAD "), "{:?}", self.0);
        self
    }
}

impl Client {
    /// Connects and reads nothing.
    pub(crate) fn connect(server: &ImapServer) -> Self {
        let stream = TcpStream::connect(server.addr()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            reader: BufReader::new(stream),
            tags: 0,
        }
    }

    /// Connects and reads the greeting.
    pub(crate) fn greeted(server: &ImapServer) -> Self {
        let mut client = Self::connect(server);
        assert!(client.line().starts_with("* OK "));
        client
    }

    pub(crate) fn logged_in(server: &ImapServer) -> Self {
        let mut client = Self::greeted(server);
        client.run("LOGIN lab lab").ok();
        client
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    /// Sends what the server may not want to read to its end.
    pub(crate) fn send_anyway(&mut self, bytes: &[u8]) {
        let _ = self.reader.get_mut().write_all(bytes);
    }

    /// The next line without CRLF; empty at the end of the connection.
    pub(crate) fn line(&mut self) -> String {
        let mut line = Vec::new();
        // A reset after the last reply is an end like any other.
        let _ = self.reader.read_until(b'\n', &mut line);
        String::from_utf8_lossy(&line)
            .trim_end_matches(['\r', '\n'])
            .to_owned()
    }

    /// Reads up to the tagged line.
    pub(crate) fn reply(&mut self, tag: &str) -> Reply {
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            let over = line.is_empty() || line.starts_with(&format!("{tag} "));
            if let Some(length) = line
                .strip_suffix('}')
                .and_then(|line| line.rsplit_once('{'))
            {
                let mut literal = vec![0; length.1.parse().unwrap()];
                self.reader.read_exact(&mut literal).unwrap();
                lines.push(format!("{line}{}", String::from_utf8_lossy(&literal)));
                continue;
            }
            lines.push(line);
            if over {
                return Reply(lines);
            }
        }
    }

    /// Sends a command with the next tag and reads its reply.
    pub(crate) fn run(&mut self, command: impl AsRef<[u8]>) -> Reply {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        self.send(&[tag.as_bytes(), b" ", command.as_ref(), b"\r\n"].concat());
        self.reply(&tag)
    }

    /// APPEND of messages with literals that don't wait.
    pub(crate) fn append(&mut self, folder: &str, messages: &[&str]) -> Reply {
        self.run(append(folder, messages))
    }

    /// All that comes until the end of the connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset after the last byte is an end like any other.
        let _ = self.reader.read_to_end(&mut rest);
        rest
    }

    /// Whether nothing comes for a moment, and the connection is not closed either.
    pub(crate) fn is_silent(&mut self) -> bool {
        let stream = self.reader.get_ref();
        stream.set_read_timeout(Some(MOMENT)).unwrap();
        let read = self.reader.read(&mut [0]);
        self.reader
            .get_ref()
            .set_read_timeout(Some(PATIENCE))
            .unwrap();
        read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// The socket, from which nothing is left to be read.
    pub(crate) fn into_stream(self) -> TcpStream {
        assert!(self.reader.buffer().is_empty());
        self.reader.into_inner()
    }

    /// Whether the server has closed the connection, once all it said is read.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.reader.read_to_end(&mut rest) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

/// The bytes of an APPEND without tag and final CRLF.
pub(crate) fn append(folder: &str, messages: &[&str]) -> String {
    let mut command = format!("APPEND {folder}");
    for message in messages {
        command.push_str(&format!(" {{{}+}}\r\n{message}", message.len()));
    }
    command
}
