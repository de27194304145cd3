//! Reads a folder back over plain IMAP, or puts mails into it, with no code of the importer's in
//! between.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use jiff::Timestamp;
use jiff::fmt::strtime;

use crate::support::LIVENESS;

/// A mail as a server gives it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredMail {
    /// Sorted, without `\Recent`.
    pub(crate) flags: Vec<String>,
    pub(crate) internal_date: Timestamp,
    pub(crate) bytes: Vec<u8>,
}

/// All mails of a folder in the order of their UIDs. `folder` is a name as the wire has it.
pub(crate) fn read_folder(
    addr: SocketAddr,
    user: &str,
    password: &str,
    folder: &str,
) -> Vec<StoredMail> {
    let mut reader = ImapReader::connect(addr);
    reader.run(&format!("LOGIN {user} {password}"), |_, _| {});
    let mut exists = 0;
    reader.run(&format!("EXAMINE \"{folder}\""), |line, _| {
        if let Some(count) = line
            .strip_prefix("* ")
            .and_then(|line| line.strip_suffix(" EXISTS"))
        {
            exists = count.parse().unwrap();
        }
    });
    let mut mails = Vec::new();
    if exists > 0 {
        let command = "UID FETCH 1:* (FLAGS INTERNALDATE BODY.PEEK[])";
        reader.run(command, |line, literal| mails.push(stored(line, literal)));
    }
    assert_eq!(mails.len(), exists);
    mails
}

/// Puts mails into a folder one by one, as another client does.
pub(crate) fn append_all(addr: SocketAddr, folder: &str, texts: &[&[u8]]) {
    let mut reader = ImapReader::connect(addr);
    reader.run("LOGIN lab lab", |_, _| {});
    for text in texts {
        reader.append(folder, text);
    }
}

fn stored(line: &str, literal: Vec<u8>) -> StoredMail {
    let between = |from: &str, to: &str| {
        let (_, rest) = line
            .split_once(from)
            .unwrap_or_else(|| panic!("no {from} in {line}"));
        rest.split_once(to).unwrap().0
    };
    let mut flags: Vec<String> = between("FLAGS (", ")")
        .split_whitespace()
        .filter(|flag| *flag != "\\Recent")
        .map(str::to_owned)
        .collect();
    flags.sort();
    let date = between("INTERNALDATE \"", "\"").trim();
    let date = strtime::parse("%d-%b-%Y %H:%M:%S %z", date).unwrap();
    StoredMail {
        flags,
        internal_date: date.to_timestamp().unwrap(),
        bytes: literal,
    }
}

struct ImapReader(BufReader<TcpStream>);

impl ImapReader {
    fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(LIVENESS)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut reader = Self(BufReader::with_capacity(256 * 1024, stream));
        assert!(reader.line().starts_with("* OK"));
        reader
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).unwrap();
        assert!(line.ends_with(b"\r\n"), "the connection ended");
        line.truncate(line.len() - 2);
        String::from_utf8_lossy(&line).into_owned()
    }

    #[track_caller]
    fn append(&mut self, folder: &str, text: &[u8]) {
        let bytes = text.len();
        let stream = self.0.get_mut();
        write!(stream, "a APPEND \"{folder}\" {{{bytes}}}\r\n").unwrap();
        assert!(self.line().starts_with('+'));
        let stream = self.0.get_mut();
        stream.write_all(&[text, b"\r\n"].concat()).unwrap();
        let status = self.line();
        assert!(status.starts_with("a OK"), "{status}");
    }

    /// Runs a command that must end with OK. `each` gets every other line with the literal
    /// that it announces; what follows a literal must be the end of its list.
    #[track_caller]
    fn run(&mut self, command: &str, mut each: impl FnMut(&str, Vec<u8>)) {
        let stream = self.0.get_mut();
        stream
            .write_all(format!("r {command}\r\n").as_bytes())
            .unwrap();
        loop {
            let line = self.line();
            if let Some(status) = line.strip_prefix("r ") {
                assert!(status.starts_with("OK"), "{command}: {status}");
                return;
            }
            let announced = line
                .strip_suffix('}')
                .and_then(|line| line.rsplit_once('{'));
            let literal = announced.map_or_else(Vec::new, |(_, length)| {
                let mut literal = vec![0; length.parse().unwrap()];
                self.0.read_exact(&mut literal).unwrap();
                assert_eq!(self.line(), ")");
                literal
            });
            each(&line, literal);
        }
    }
}
