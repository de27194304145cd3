//! The servers that imports crash into, a mailbox of its own for each run.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use super::folders::Folders;
use super::plan::Plan;
use crate::dovecot::Dovecot;
use crate::imap::{ImapServer, ServerConfig};

/// How long Dovecot may take to give out a mail.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest line that the reader takes, its literals not counted.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// How long nothing more may have been stored before a mailbox counts as at rest.
const REST: Duration = Duration::from_millis(20);

/// Where the mailboxes are.
#[derive(Debug)]
pub enum Host<'a> {
    /// A new lab server for each run, with its faults.
    Lab,
    /// A new user of this Dovecot for each run.
    Dovecot(&'a Dovecot),
}

/// An empty mailbox.
#[derive(Debug)]
pub(super) enum Mailbox<'a> {
    Lab(Box<ImapServer>),
    Dovecot { server: &'a Dovecot, user: String },
}

impl Host<'_> {
    pub(super) fn has_faults(&self) -> bool {
        matches!(self, Host::Lab)
    }

    pub(super) fn open(&self, plan: &Plan, root: &Path) -> io::Result<Mailbox<'_>> {
        match self {
            Host::Lab => {
                let server = ImapServer::start(ServerConfig {
                    personality: plan.personality.clone(),
                    faults: plan.faults.clone(),
                    ..ServerConfig::new(root)
                });
                let server = server.map_err(io::Error::other)?;
                Ok(Mailbox::Lab(Box::new(server)))
            }
            Host::Dovecot(server) => Ok(Mailbox::Dovecot {
                server,
                user: server.fresh_user(),
            }),
        }
    }
}

impl Mailbox<'_> {
    pub(super) fn addr(&self) -> SocketAddr {
        match self {
            Mailbox::Lab(server) => server.addr(),
            Mailbox::Dovecot { server, .. } => server.addr(),
        }
    }

    pub(super) fn login(&self) -> (&str, &str) {
        match self {
            Mailbox::Lab(_) => ("lab", "lab"),
            Mailbox::Dovecot { server, user } => (user, server.password()),
        }
    }

    /// How many mails have been stored, where the server tells.
    pub(super) fn stored(&self) -> Option<u64> {
        match self {
            Mailbox::Lab(server) => Some(server.stored()),
            Mailbox::Dovecot { .. } => None,
        }
    }

    /// All mails of all folders, once nothing more comes of connections that were cut.
    pub(super) fn contents(&self) -> io::Result<Folders> {
        let mut folders = Folders::default();
        match self {
            Mailbox::Lab(server) => {
                let mut stored = server.stored();
                loop {
                    std::thread::sleep(REST);
                    let now = server.stored();
                    if now == stored {
                        break;
                    }
                    stored = now;
                }
                for name in server.folder_names() {
                    for mail in server.folder_contents(&name)? {
                        folders.add(&name, mail.bytes);
                    }
                }
            }
            Mailbox::Dovecot { .. } => {
                std::thread::sleep(REST);
                let (user, password) = self.login();
                let mut reader = Reader::connect(self.addr())?;
                reader.command(&format!("LOGIN {user} {password}"), |_, _| {})?;
                let mut names = Vec::new();
                reader.command("LIST \"\" *", |line, _| {
                    if let Some((_, name)) = line.rsplit_once("\"/\" ") {
                        names.push(name.trim_matches('"').to_owned());
                    }
                })?;
                for name in names {
                    reader.read_folder(&name, &mut folders)?;
                }
            }
        }
        Ok(folders)
    }
}

/// Reads mails over plain IMAP, with no code of the importer's in between.
struct Reader(BufReader<TcpStream>);

impl Reader {
    fn connect(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        stream.set_nodelay(true)?;
        let mut reader = Self(BufReader::new(stream));
        reader.line()?;
        Ok(reader)
    }

    fn read_folder(&mut self, name: &str, folders: &mut Folders) -> io::Result<()> {
        let mut is_empty = true;
        self.command(&format!("EXAMINE \"{name}\""), |line, _| {
            is_empty &= line
                .strip_suffix(" EXISTS")
                .is_none_or(|line| line == "* 0");
        })?;
        if is_empty {
            return Ok(());
        }
        self.command("UID FETCH 1:* (BODY.PEEK[])", |line, literal| {
            if line.contains("BODY[]") {
                folders.add(name, literal);
            }
        })
    }

    /// Runs a command that must end with OK. `each` gets every other line, and the literal that
    /// it ends with.
    fn command(&mut self, command: &str, mut each: impl FnMut(&str, Vec<u8>)) -> io::Result<()> {
        let text = format!("r {command}\r\n");
        self.0.get_mut().write_all(text.as_bytes())?;
        loop {
            let line = self.line()?;
            if let Some(status) = line.strip_prefix("r ") {
                return if status.starts_with("OK") {
                    Ok(())
                } else {
                    Err(io::Error::other(format!("{command}: {status}")))
                };
            }
            let announced = line
                .strip_suffix('}')
                .and_then(|line| line.rsplit_once('{'));
            let length = announced.and_then(|(_, length)| length.parse().ok());
            let mut literal = Vec::new();
            if let Some(length) = length {
                (&mut self.0).take(length).read_to_end(&mut literal)?;
            }
            each(&line, literal);
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        (&mut self.0)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\r\n") {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.len() - 2);
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}
