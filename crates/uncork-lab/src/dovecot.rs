//! A private instance of the real Dovecot, for what an imitation can't show.
//!
//! It listens on a free port of the loopback device, takes any user name with one password,
//! and keeps everything in a temporary folder, so that a machine's own Dovecot is not touched.
//! It works for root and for ordinary users. Made for Dovecot 2.3, the version of Debian 12.

mod certificate;
mod conf;

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::place;
use crate::process;
use crate::scratch;

/// How long a start may take until the port greets.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// The pause between two looks at a port.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How often a start is tried with another port, should somebody take the free one first.
const START_ATTEMPTS: usize = 3;

/// The end of the log that an error message shows.
const LOG_TAIL_LINES: usize = 30;

/// The one password, good for every user.
const PASSWORD: &str = "uncork";

/// The user of those who need no mailbox of their own.
const USER: &str = "user";

/// How Dovecot stores mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Dovecot's own format, many messages a file: its fastest.
    Mdbox,
    /// One file a message.
    Maildir,
}

/// When Dovecot waits for the disk: its setting `mail_fsync`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Never. Benches of clients use it, so that they don't measure the disk.
    Never,
    /// Where a message could otherwise be lost; Dovecot's default.
    Optimized,
}

/// Whether it speaks TLS, by STARTTLS and on a port of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// It does not.
    #[default]
    Off,
    /// Who wants it gets it.
    Offered,
    /// Nobody logs in without it. (It listens at 127.0.0.2 then.)
    Required,
}

impl Tls {
    /// The address to listen at. Dovecot asks nobody for TLS who comes from the address that
    /// they go to, which on this device is 127.0.0.1.
    fn ip(self) -> Ipv4Addr {
        match self {
            Tls::Off | Tls::Offered => Ipv4Addr::LOCALHOST,
            Tls::Required => Ipv4Addr::new(127, 0, 0, 2),
        }
    }
}

/// How users may prove who they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Logins {
    /// LOGIN and AUTHENTICATE PLAIN.
    #[default]
    Plain,
    /// These, and SCRAM-SHA-256 and SCRAM-SHA-1.
    Scram,
    /// Of SASL, SCRAM-SHA-1 only.
    ScramSha1,
}

/// What can be chosen about an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DovecotConfig {
    /// The mailbox format.
    pub storage: Storage,
    /// Whether appended mail is flushed to the disk before it is acknowledged.
    pub fsync: Fsync,
    /// The largest message that an APPEND may bring; a larger one is refused with `NO`.
    pub max_mail_bytes: Option<u64>,
    /// How much a user may store; what does not fit is refused with `NO [OVERQUOTA]`.
    pub quota_bytes: Option<u64>,
    /// Whether it speaks TLS.
    pub tls: Tls,
    /// How users may prove who they are.
    pub logins: Logins,
    /// Whether it offers COMPRESS=DEFLATE.
    pub compress: bool,
    /// Whether its mail is kept in memory where there is room, so that no disk slows it down.
    pub is_in_memory: bool,
}

impl DovecotConfig {
    /// Without any limit on the size of mail, TLS, SCRAM or COMPRESS.
    #[must_use]
    pub fn new(storage: Storage, fsync: Fsync) -> Self {
        Self {
            storage,
            fsync,
            max_mail_bytes: None,
            quota_bytes: None,
            tls: Tls::Off,
            logins: Logins::Plain,
            compress: false,
            is_in_memory: false,
        }
    }
}

/// Why Dovecot did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DovecotError {
    /// Its folder or a file in it could not be made.
    #[error("can't make Dovecot's folder {path}")]
    Folder {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its certificate could not be made.
    #[error("can't make a certificate for Dovecot")]
    Certificate(#[source] rcgen::Error),
    /// No port is free on the loopback device.
    #[error("no free port on the loopback device")]
    Port(#[source] io::Error),
    /// The program could not be run.
    #[error("can't run {program}")]
    Spawn {
        /// The program's path.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It ended instead of serving.
    #[error("Dovecot ended at its start with {status}:\n{log}")]
    Ended {
        /// How.
        status: ExitStatus,
        /// The end of what it wrote.
        log: String,
    },
    /// It runs, but its port sends no greeting.
    #[error("Dovecot did not greet within {} s:\n{log}", START_TIMEOUT.as_secs())]
    NoGreeting {
        /// The end of what it wrote.
        log: String,
    },
}

/// A running Dovecot. It ends, and its files go, when this is dropped.
#[derive(Debug)]
pub struct Dovecot {
    addr: SocketAddr,
    tls_addr: SocketAddr,
    child: Child,
    folder: Folder,
    fresh_users: AtomicU32,
}

impl Dovecot {
    /// Starts `program` (`/usr/sbin/dovecot`) and waits until it greets.
    ///
    /// # Errors
    /// Where its folder can't be made, the program can't be run, or it does not come to serve
    /// IMAP within 20 seconds; what it logged is then part of the message.
    pub fn start(program: &Path, config: &DovecotConfig) -> Result<Self, DovecotError> {
        let mut attempt = 1;
        loop {
            match Self::start_once(program, config) {
                Err(DovecotError::Ended { log, .. })
                    if attempt < START_ATTEMPTS && log.contains("Address already in use") =>
                {
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    fn start_once(program: &Path, config: &DovecotConfig) -> Result<Self, DovecotError> {
        let folder = Folder::create(config)?;
        let [addr, tls_addr] = place::free_addrs(config.tls.ip()).map_err(DovecotError::Port)?;
        if config.tls != Tls::Off {
            let certificate = certificate::make().map_err(DovecotError::Certificate)?;
            folder.write(certificate::CA_FILE, &certificate.ca_pem)?;
            folder.write(certificate::CERTIFICATE_FILE, &certificate.pem)?;
            folder.write(certificate::KEY_FILE, &certificate.key_pem)?;
        }
        let conf = conf::text(config, folder.path(), addr, tls_addr);
        folder.write("dovecot.conf", &conf)?;
        let stderr = folder.write("stderr", "")?;
        let child = Command::new(program)
            .args(["-F", "-c"])
            .arg(folder.conf_path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .map_err(|source| DovecotError::Spawn {
                program: program.to_owned(),
                source,
            })?;
        let mut dovecot = Self {
            addr,
            tls_addr,
            child,
            folder,
            fresh_users: AtomicU32::new(0),
        };
        dovecot.wait_for_greeting()?;
        Ok(dovecot)
    }

    fn wait_for_greeting(&mut self) -> Result<(), DovecotError> {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                let log = self.log();
                return Err(DovecotError::Ended { status, log });
            }
            if greets(self.addr) {
                return Ok(());
            }
            sleep(POLL_INTERVAL);
        }
        Err(DovecotError::NoGreeting { log: self.log() })
    }

    /// Where it serves IMAP, without TLS.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it serves IMAP within TLS, if it does.
    #[must_use]
    pub fn tls_addr(&self) -> SocketAddr {
        self.tls_addr
    }

    /// The certificate of the authority that vouches for its own, which is for `localhost`,
    /// 127.0.0.1 and 127.0.0.2, if it speaks TLS.
    #[must_use]
    pub fn ca_pem_path(&self) -> PathBuf {
        self.folder.path().join(certificate::CA_FILE)
    }

    /// A user. Any other name without a slash in it is a user as well, with a mailbox of
    /// its own.
    #[must_use]
    pub fn user(&self) -> &'static str {
        USER
    }

    /// A user that nobody was given before, so its mailbox is empty.
    #[must_use]
    pub fn fresh_user(&self) -> String {
        let number = self.fresh_users.fetch_add(1, Ordering::Relaxed);
        format!("{USER}{number}")
    }

    /// Every user's password.
    #[must_use]
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// The configuration, for `doveadm -c`.
    #[must_use]
    pub fn conf_path(&self) -> PathBuf {
        self.folder.conf_path()
    }

    /// The folder that holds the mail of `user`, once there is some. Dovecot keeps files of
    /// its own there.
    #[must_use]
    pub fn mail_folder(&self, user: &str) -> PathBuf {
        self.folder.path().join("mail").join(user)
    }

    /// The id of the master process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The CPU time that the instance has taken so far, all its processes together; see
    /// [`process::tree_cpu_ns`] for how exact that is.
    #[must_use]
    pub fn cpu_ns(&self) -> u64 {
        process::tree_cpu_ns(self.pid())
    }

    /// The end of what it wrote to its log and to stderr.
    #[must_use]
    pub fn log(&self) -> String {
        let read = |name| fs::read(self.folder.path().join(name)).unwrap_or_default();
        let bytes = [read("stderr"), read("log")].concat();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        process::stop(&mut self.child);
    }
}

/// Room that mail in memory needs.
const MEMORY_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// The temporary folder of one instance.
#[derive(Debug)]
struct Folder(TempDir);

impl Folder {
    fn create(config: &DovecotConfig) -> Result<Self, DovecotError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            |source| DovecotError::Folder { path, source }
        };
        let parent = match config.is_in_memory {
            true => scratch::parent(MEMORY_BYTES),
            false => std::env::temp_dir(),
        };
        // The paths of sockets have at most 108 bytes (unix(7)), hence the short names.
        let dir = TempDir::with_prefix_in("dovecot", &parent).map_err(failed(&parent))?;
        // As root, Dovecot's processes run as several users that have to get in.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))
            .map_err(failed(dir.path()))?;
        for name in ["run", "state", "mail"] {
            let path = dir.path().join(name);
            fs::create_dir(&path).map_err(failed(&path))?;
        }
        let mail = dir.path().join("mail");
        if rustix::process::geteuid().is_root() {
            chown(&mail, Some(conf::NOBODY), Some(conf::NOBODY)).map_err(failed(&mail))?;
        }
        Ok(Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn conf_path(&self) -> PathBuf {
        self.path().join("dovecot.conf")
    }

    /// Writes a file and leaves it open.
    fn write(&self, name: &str, text: &str) -> Result<File, DovecotError> {
        let path = self.path().join(name);
        fs::write(&path, text)
            .and_then(|()| File::options().append(true).open(&path))
            .map_err(|source| DovecotError::Folder { path, source })
    }
}

/// Whether the port sends the first line of an IMAP server. The master takes connections
/// before its login processes are there, so being connected says nothing yet.
fn greets(addr: SocketAddr) -> bool {
    let greeting = || -> io::Result<String> {
        let stream = TcpStream::connect_timeout(&addr, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line)
    };
    greeting().is_ok_and(|line| line.starts_with("* OK"))
}

#[cfg(test)]
mod tests;
