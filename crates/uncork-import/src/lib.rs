#![forbid(unsafe_code)]
//! Bulk mail into any IMAP server.
//!
//! An importer that sends APPEND, waits for `+`, sends the mail, and waits for the answer pays
//! two round trips a mail; one that also writes in pieces pays 40 ms more to Nagle's algorithm.
//! This one asks the server for nothing it does not need: with LITERAL+ it never waits, with
//! MULTIAPPEND a hundred mails are one command, and without either the end of one mail and the
//! command for the next leave together, so that one round trip a mail is left.
//!
//! ```no_run
//! use uncork_import::{import, Options, Progress, Source, Target};
//!
//! let source = Source::open("Maildir")?;
//! let target = Target::parse("imap://ada@localhost/Old")?;
//! let outcome = import(&[source], &target, &Options::with_password("secret"), &Progress::default());
//! println!("{} mails are in", outcome.report.imported);
//! if let Some(error) = outcome.error {
//!     println!("then: {error}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What counts
//! A mail is imported when the server has said so. A batch that is refused is sent again in
//! halves until the refused mail stands alone. Before anything goes again, the server is asked
//! what it has of it; a journal remembers across crashes what may have been sent and what is
//! stored. Mails whose answer never came, and about which nobody could be asked any more, are
//! counted as unknown: the next run asks.
//!
//! # Limits
//! Mails that were in the folder before, and that no journal knows, are recognised by Message-ID,
//! dates and size, not by their text ([`Existing::Compare`] has them compared). A server that stores what it had received long after the
//! connection broke can have such mails twice.

mod error;
mod folder_map;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod imap;
mod import;
mod journal;
mod mail;
mod options;
mod prepare;
mod report;
mod run;
mod source;
mod target;

pub use error::ImportError;
pub use import::import;
pub use journal::{JournalError, default_path as default_journal};
pub use options::{
    Compress, Credentials, DateFrom, Existing, JournalPlace, Labels, OnConnect, Options, Order,
    Patience, Stop, Strictness, TlsOptions, TokenSource,
};
pub use prepare::repair::Repair;
pub use report::{FolderReport, Progress, REFUSED_LISTED_MAX, Refused, Report};
pub use source::{Format, Source, SourceError, UnknownFormat};
pub use target::{Security, Target, TargetError};

/// How an import ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// What was done, up to the error if there was one.
    pub report: Report,
    /// Why it ended before the last mail.
    pub error: Option<ImportError>,
}
