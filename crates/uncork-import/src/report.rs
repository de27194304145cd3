//! What an import did.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

/// Most refused mails that a report names one by one; beyond it they are only counted.
pub const REFUSED_LISTED_MAX: usize = 10_000;

/// The outcome of one import, as `uncork import --json` prints it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Mails that the server said it stored.
    pub imported: u64,
    /// Mails that were in the folder before. Always 0 in this version: it does not look.
    pub already_there: u64,
    /// Mails that did not go in, with the reason; at most [`REFUSED_LISTED_MAX`].
    pub refused: Vec<Refused>,
    /// How many mails did not go in.
    pub refused_messages: u64,
    /// Mails that may be in the folder or not, because their answer never came, or because a
    /// server kept a part of a batch that it refused; at most [`REFUSED_LISTED_MAX`]. They are
    /// not sent again.
    pub unknown: Vec<Refused>,
    /// How many mails may be in the folder or not.
    pub unknown_messages: u64,
    /// Mails that had not been sent when an error ended the import.
    pub not_sent_messages: u64,
    /// Subfolders of a Maildir, which this version does not import.
    pub subfolders_left_out: u64,
    /// Bytes of the mails imported, as they were sent.
    pub bytes: u64,
    /// Wall time from the first mail to the last answer.
    pub seconds: f64,
    /// `imported` by `seconds`.
    pub messages_per_second: f64,
    /// Connections used.
    pub connections: u32,
    /// Capabilities of the server that were made use of.
    pub capabilities_used: Vec<String>,
    /// Commands sent.
    pub commands: u64,
    /// System calls made for sending.
    pub send_calls: u64,
    /// Data segments sent, retransmissions included; `None` where the system does not tell.
    pub segments_sent: Option<u64>,
}

/// A mail that did not go in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Its file.
    pub source: String,
    /// The folder that it was for.
    pub folder: String,
    /// What the server said, or why it could not be read.
    pub reason: String,
}

impl Report {
    pub(crate) fn refuse(&mut self, source: &Path, folder: &str, reason: &str) {
        self.refused_messages += 1;
        list(&mut self.refused, source, folder, reason);
    }

    pub(crate) fn lose(&mut self, source: &Path, folder: &str, reason: &str) {
        self.unknown_messages += 1;
        list(&mut self.unknown, source, folder, reason);
    }

    pub(crate) fn finish(&mut self, elapsed: Duration) {
        self.seconds = elapsed.as_secs_f64();
        if self.seconds > 0.0 {
            self.messages_per_second = self.imported as f64 / self.seconds;
        }
    }
}

fn list(mails: &mut Vec<Refused>, source: &Path, folder: &str, reason: &str) {
    if mails.len() < REFUSED_LISTED_MAX {
        mails.push(Refused {
            source: source.display().to_string(),
            folder: folder.to_owned(),
            reason: reason.to_owned(),
        });
    }
}

/// How far an import has come, for whoever watches from another thread.
#[derive(Debug, Default)]
pub struct Progress {
    stored: AtomicU64,
    refused: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// Mails that the server has stored.
    pub fn stored(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }

    /// Mails that did not go in.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Bytes of the mails stored.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn show(&self, report: &Report) {
        self.stored.store(report.imported, Ordering::Relaxed);
        self.refused
            .store(report.refused_messages, Ordering::Relaxed);
        self.bytes.store(report.bytes, Ordering::Relaxed);
    }
}
