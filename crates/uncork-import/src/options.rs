//! How to import.

use std::num::NonZeroU32;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What an import does beyond putting mail into folders, and how.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Options {
    /// How the user proves who they are.
    pub credentials: Credentials,
    /// Whether password and mail may cross a network without TLS.
    pub allow_plaintext: bool,
    /// How a server's certificate is checked.
    pub tls: TlsOptions,
    /// Whether what is sent is compressed (COMPRESS=DEFLATE).
    pub compress: Compress,
    /// `FROM=TO`: folders of the source by the names that they get on the server. `FROM` is the
    /// source's name with `/` between levels, `TO` likewise; what lies beneath moves with it.
    pub map: Vec<(String, String)>,
    /// Most connections at once; `None`: as many as help, up to
    /// [`CONNECTIONS_MAX`](Self::CONNECTIONS_MAX).
    pub connections: Option<NonZeroU32>,
    /// Whether the mails of a folder keep their order.
    pub order: Order,
    /// Where it is written down what has been stored.
    pub journal: JournalPlace,
    /// What happens to mails that the folder has already.
    pub existing: Existing,
    /// Whether mails that an earlier run could not put in, by the journal's word, are tried again.
    pub retry_refused: bool,
    /// What happens to mails that IMAP can't carry as they are.
    pub strictness: Strictness,
    /// Where INTERNALDATE is taken from.
    pub date: DateFrom,
    /// Into how many folders a mail with several labels goes.
    pub labels: Labels,
    /// A folder that gets a copy of each mail that was repaired or refused, as it was.
    pub rejects: Option<PathBuf>,
    /// Most mails a second.
    pub messages_per_second_max: Option<NonZeroU32>,
    /// Most bytes a day (UTC), counted in the journal.
    pub bytes_per_day_max: Option<u64>,
    /// Whether everything is read back at the end and compared.
    pub verify: bool,
    /// Whether nothing is changed on the server: only said what would be.
    pub dry_run: bool,
    /// How often and how long to try where the server or the way to it fails.
    pub patience: Patience,
    /// Ends the import early, from another thread.
    pub stop: Stop,
    /// Bounds the segments of each connection (`TCP_MAXSEG`), for measurements on loopback.
    pub segment_bytes_max: Option<u32>,
    /// Called with the socket of each connection before it says anything, for whoever wants to
    /// measure it.
    pub on_connect: Option<OnConnect>,
}

/// See [`Options::on_connect`].
pub type OnConnect = Arc<dyn Fn(BorrowedFd<'_>) + Send + Sync>;

impl Options {
    /// Most connections where nothing else is said: what the strictest servers let one user and
    /// address have (Courier: 4).
    pub const CONNECTIONS_MAX: u32 = 4;

    /// Everything else as it is best for most.
    #[must_use]
    pub fn with_password(password: impl Into<String>) -> Self {
        Self {
            credentials: Credentials::Password(password.into()),
            ..Self::default()
        }
    }
}

/// Without the credentials, which must not get into a log.
impl std::fmt::Debug for Options {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Options").finish_non_exhaustive()
    }
}

/// How a user proves who they are.
#[derive(Clone)]
#[non_exhaustive]
pub enum Credentials {
    /// By the strongest way that the server offers: SCRAM-SHA-256, SCRAM-SHA-1, PLAIN, LOGIN.
    Password(String),
    /// By OAUTHBEARER or XOAUTH2. The source is asked again when the server says that the token
    /// has expired.
    Token(Arc<dyn TokenSource>),
}

/// Gives an OAuth 2.0 access token.
pub trait TokenSource: Send + Sync {
    /// A token that is valid now.
    ///
    /// # Errors
    /// What a person should know, without the token.
    fn token(&self) -> std::io::Result<String>;
}

impl Default for Credentials {
    fn default() -> Self {
        Self::Password(String::new())
    }
}

/// How a server's certificate is checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsOptions {
    /// A PEM file with authorities to trust beside the platform's.
    pub ca_file: Option<PathBuf>,
    /// Whether any certificate is taken: then anybody on the way can read and alter everything.
    pub insecure: bool,
}

/// Whether what is sent is compressed (RFC 4978).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compress {
    /// Where the link, not the CPU, is the limit.
    #[default]
    Auto,
    /// Wherever the server offers it.
    Always,
    /// Not at all.
    Never,
}

/// Whether the mails of a folder keep their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// They do: where several connections share a folder, they take turns.
    #[default]
    Kept,
    /// They need not: several connections on one folder, where that is faster.
    Any,
}

/// Where it is written down what has been stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum JournalPlace {
    /// Nowhere: a later run asks the server what it has.
    #[default]
    Memory,
    /// In this SQLite file, made where it is missing.
    File(PathBuf),
}

/// What happens to mails that the folder has already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Existing {
    /// They are not sent. Those that no journal knows are recognised by Message-ID, dates,
    /// Received and size, by their text only where there is no Message-ID.
    #[default]
    Skip,
    /// As [`Skip`](Self::Skip), but mails that no journal knows are recognised by their text
    /// only: two that differ in nothing else are two mails.
    Compare,
    /// They are sent all the same, unless the journal says that an earlier run of this import
    /// sent them.
    Append,
}

/// What happens to mails that IMAP can't carry as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strictness {
    /// They are repaired as far as needed; what was done is counted and said.
    #[default]
    Repair,
    /// They are refused. (Line ends are always made CRLF.)
    Refuse,
}

/// Where INTERNALDATE is taken from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DateFrom {
    /// The first of the others that there is, in their order here.
    #[default]
    Auto,
    /// The source's own word: a Maildir file's time, the envelope of an mbox.
    Source,
    /// The first Received field, which the last server wrote.
    Received,
    /// The Date field, which the sender wrote.
    Header,
    /// The time of the file.
    File,
    /// Nowhere: the server takes the time of the import.
    Now,
}

/// Into how many folders a mail with several labels goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Labels {
    /// Into each.
    #[default]
    Each,
    /// Into the first only.
    Once,
}

/// How often and how long to try where the server or the way to it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Patience {
    /// How often a broken connection is made anew without a mail stored in between.
    pub attempts: u32,
    /// The wait before the first of them; it doubles each time, up to `wait_max`.
    pub wait: std::time::Duration,
    /// The longest wait that nobody asked for.
    pub wait_max: std::time::Duration,
    /// How long an answer may take.
    pub answer: std::time::Duration,
    /// For how long a folder must have stayed as it is before a mail whose connection broke
    /// counts as absent: the server may still be busy with what it had received by then.
    pub settle: std::time::Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 8,
            wait: std::time::Duration::from_secs(1),
            wait_max: std::time::Duration::from_secs(60),
            // A slow disk under a large transaction needs minutes.
            answer: std::time::Duration::from_secs(300),
            settle: std::time::Duration::from_secs(10),
        }
    }
}

/// Ends an import early, from another thread: nothing more is sent, and what is on its way is
/// waited for.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// From now on nothing more is sent.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked for the end.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
