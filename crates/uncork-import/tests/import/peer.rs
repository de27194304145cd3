//! A peer that says what a test tells it to, where the lab's server is too well behaved.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::thread::JoinHandle;

use uncork_import::{Options, Outcome};

use crate::support::{LIVENESS, import_with, numbered, target};

/// Listens for one connection.
pub(crate) struct Peer {
    pub(crate) port: u16,
    ip: IpAddr,
    thread: JoinHandle<()>,
}

impl Peer {
    /// Runs `play` with the first connection.
    pub(crate) fn start(play: impl FnOnce(&mut Stage) + Send + 'static) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), play)
    }

    /// At another address of this machine.
    pub(crate) fn start_at(ip: IpAddr, play: impl FnOnce(&mut Stage) + Send + 'static) -> Self {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(LIVENESS)).unwrap();
            stream.set_nodelay(true).unwrap();
            play(&mut Stage(BufReader::new(stream)));
        });
        Self { port, ip, thread }
    }

    /// Imports one mail into INBOX, and [ends](Self::end).
    pub(crate) fn import(self, options: &Options) -> Outcome {
        let (_root, source) = numbered(1);
        let mut target = target(self.port, "INBOX");
        target.host = self.ip.to_string();
        let outcome = import_with(&source, &target, options);
        self.end();
        outcome
    }

    /// Waits for the end of the play, and fails if it failed.
    pub(crate) fn end(self) {
        self.thread.join().unwrap();
    }
}

/// The peer's end of a connection.
pub(crate) struct Stage(BufReader<TcpStream>);

impl Stage {
    /// Says something; a client that has gone hears nothing.
    pub(crate) fn say(&mut self, text: impl AsRef<[u8]>) -> bool {
        self.0.get_mut().write_all(text.as_ref()).is_ok()
    }

    /// The next line without its end; empty where the client has gone.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let _ = self.0.read_line(&mut line);
        line.trim_end().to_owned()
    }

    /// The connection itself, for a peer that goes on within TLS.
    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        self.0.get_mut()
    }

    /// Reads so many bytes.
    pub(crate) fn read(&mut self, bytes: usize) -> Vec<u8> {
        let mut read = vec![0; bytes];
        self.0.read_exact(&mut read).unwrap();
        read
    }

    /// Greets, takes any password and has an empty INBOX, up to the first APPEND, whose line
    /// is returned.
    pub(crate) fn until_append(&mut self, capabilities: &str) -> String {
        let greeting =
            format!("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR {capabilities}] hi\r\n");
        self.say(greeting);
        loop {
            let line = self.line();
            if line.is_empty() || line.contains(" APPEND ") {
                return line;
            }
            self.serve(&line, capabilities);
        }
    }

    /// Answers a command that is no APPEND.
    pub(crate) fn serve(&mut self, line: &str, capabilities: &str) {
        let tag = tag(line);
        let code = if line.contains(" AUTHENTICATE ") || line.contains(" LOGIN ") {
            format!("[CAPABILITY IMAP4rev1 {capabilities}] ")
        } else {
            String::new()
        };
        if line.contains(" SELECT ") || line.contains(" EXAMINE ") {
            self.say("* 0 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT 1] x\r\n");
        }
        self.say(format!("{tag} OK {code}done\r\n"));
    }
}

pub(crate) fn tag(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

/// The length of the literal that a line announces.
pub(crate) fn literal_bytes(line: &str) -> usize {
    let (_, length) = line.rsplit_once('{').unwrap();
    length.trim_end_matches(['}', '+']).parse().unwrap()
}
