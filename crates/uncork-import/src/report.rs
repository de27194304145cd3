//! What an import did.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

/// Most mails that each list of a report names one by one; beyond it they are only counted.
pub const REFUSED_LISTED_MAX: usize = 10_000;

/// Most notes in a report.
const NOTES_MAX: usize = 1000;

/// The outcome of one import, as `uncork import --json` prints it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Mails that the server said it stored.
    pub imported: u64,
    /// Mails that were not sent because the folder has them, by its own word or the journal's.
    pub already_there: u64,
    /// Mails that did not go in, with the reason; at most [`REFUSED_LISTED_MAX`].
    pub refused: Vec<Refused>,
    /// How many mails did not go in.
    pub refused_messages: u64,
    /// Mails that may be in the folder or not, because their answer never came and the server
    /// could not be asked any more. The next run asks, and sends them only if they are missing.
    pub unknown: Vec<Refused>,
    /// How many mails may be in the folder or not.
    pub unknown_messages: u64,
    /// Mails that are in the folder, and not as they were sent: the server changed them.
    pub altered: Vec<Refused>,
    /// How many mails the server changed.
    pub altered_messages: u64,
    /// Mails that were read and not sent when an error or the user ended the import.
    pub not_sent_messages: u64,
    /// With `dry_run`: mails that would have been sent.
    pub would_import: u64,
    /// Whether nothing was to be changed on the server.
    pub dry_run: bool,
    /// Whether all mails of the sources were read: else there are more than the counts here say.
    pub sources_read: bool,
    /// What was repaired, and how often.
    pub repaired: BTreeMap<&'static str, u64>,
    /// Mails that were repaired beyond their line ends, with what was done to them.
    pub repaired_list: Vec<Refused>,
    /// Flags that the server does not take.
    pub flags_dropped: u64,
    /// By folder, in the order in which they first got mail.
    pub folders: Vec<FolderReport>,
    /// With `verify`: mails that were read back and are what was sent.
    pub verified: Option<u64>,
    /// With `verify`: mails that are missing on the server, or not what was sent.
    pub not_verified: Vec<Refused>,
    /// How many of them.
    pub not_verified_messages: u64,
    /// What else a person should know, a sentence each.
    pub notes: Vec<String>,
    /// Bytes of the mails imported, as they were sent.
    pub bytes: u64,
    /// Wall time from the first connection to the last answer.
    pub seconds: f64,
    /// `imported` by `seconds`.
    pub messages_per_second: f64,
    /// Most connections at one time.
    pub connections: u32,
    /// Connections made anew after one broke.
    pub reconnects: u64,
    /// Seconds spent waiting because the server asked for it, or a limit of the user's did.
    pub waited_seconds: f64,
    /// Capabilities of the server that were made use of.
    pub capabilities_used: Vec<String>,
    /// Commands sent.
    pub commands: u64,
    /// System calls made for sending.
    pub send_calls: u64,
    /// Data segments sent, retransmissions included; `None` where the system does not tell.
    pub segments_sent: Option<u64>,
    /// The journal's file.
    pub journal: Option<PathBuf>,
}

/// What one folder got.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FolderReport {
    /// Its name, with `/` between levels.
    pub folder: String,
    /// As in [`Report`].
    pub imported: u64,
    /// As in [`Report`].
    pub already_there: u64,
    /// As in [`Report`].
    pub refused_messages: u64,
    /// As in [`Report`].
    pub would_import: u64,
    /// As in [`Report`].
    pub bytes: u64,
}

/// A mail that did not go in, or not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Its file, and where in it.
    pub source: String,
    /// The folder that it was for.
    pub folder: String,
    /// What the server said, or why it could not be read.
    pub reason: String,
}

/// Which list of a report a mail goes into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    Refused,
    Unknown,
    Altered,
    NotVerified,
}

impl Report {
    /// Counts a mail, and names it if there is room.
    pub(crate) fn list(&mut self, list: List, source: &str, folder: &str, reason: &str) {
        let (mails, count) = match list {
            List::Refused => {
                self.folder(folder).refused_messages += 1;
                (&mut self.refused, &mut self.refused_messages)
            }
            List::Unknown => (&mut self.unknown, &mut self.unknown_messages),
            List::Altered => (&mut self.altered, &mut self.altered_messages),
            List::NotVerified => (&mut self.not_verified, &mut self.not_verified_messages),
        };
        *count += 1;
        push_bounded(mails, source, folder, reason);
    }

    /// A mail that the server has by its Message-ID, and not by its text.
    pub(crate) fn altered(&mut self, folder: &str, source: &str, uid: u32) {
        let reason = format!("the server has it as UID {uid}, not as it was sent");
        self.list(List::Altered, source, folder, &reason);
    }

    pub(crate) fn repair(&mut self, source: &str, folder: &str, what: &str) {
        push_bounded(&mut self.repaired_list, source, folder, what);
    }

    pub(crate) fn folder(&mut self, name: &str) -> &mut FolderReport {
        // The folder asked for last is nearly always the one asked for now.
        let at = self.folders.iter().rposition(|known| known.folder == name);
        let at = at.unwrap_or_else(|| {
            self.folders.push(FolderReport {
                folder: name.to_owned(),
                ..FolderReport::default()
            });
            self.folders.len() - 1
        });
        &mut self.folders[at]
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if self.notes.len() < NOTES_MAX && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(crate) fn finish(&mut self, elapsed: Duration) {
        self.seconds = elapsed.as_secs_f64();
        if self.seconds > 0.0 {
            self.messages_per_second = self.imported as f64 / self.seconds;
        }
    }
}

fn push_bounded(mails: &mut Vec<Refused>, source: &str, folder: &str, reason: &str) {
    if mails.len() < REFUSED_LISTED_MAX {
        mails.push(Refused {
            source: source.to_owned(),
            folder: folder.to_owned(),
            reason: reason.to_owned(),
        });
    }
}

/// How far an import has come, for whoever watches from another thread.
#[derive(Debug, Default)]
pub struct Progress {
    stored: AtomicU64,
    already_there: AtomicU64,
    refused: AtomicU64,
    bytes: AtomicU64,
    pub(crate) source_bytes_read: AtomicU64,
    pub(crate) messages_read: AtomicU64,
    now: Mutex<String>,
}

impl Progress {
    /// Mails that the server has stored.
    pub fn stored(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }

    /// Mails that were there before (or would be sent, in a dry run).
    pub fn already_there(&self) -> u64 {
        self.already_there.load(Ordering::Relaxed)
    }

    /// Mails that did not go in.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Bytes of the mails stored.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes of the sources that have been read, as they lie on the disk.
    pub fn source_bytes_read(&self) -> u64 {
        self.source_bytes_read.load(Ordering::Relaxed)
    }

    /// Mails that have been read.
    pub fn messages_read(&self) -> u64 {
        self.messages_read.load(Ordering::Relaxed)
    }

    /// What is going on: a folder's name, or what is waited for.
    pub fn now(&self) -> String {
        self.now.lock().map(|now| now.clone()).unwrap_or_default()
    }

    pub(crate) fn show(&self, report: &Report) {
        self.stored.store(report.imported, Ordering::Relaxed);
        self.already_there.store(
            report.already_there + report.would_import,
            Ordering::Relaxed,
        );
        self.refused
            .store(report.refused_messages, Ordering::Relaxed);
        self.bytes.store(report.bytes, Ordering::Relaxed);
    }

    pub(crate) fn say(&self, what: &str) {
        if let Ok(mut now) = self.now.lock()
            && *now != what
        {
            what.clone_into(&mut now);
        }
    }
}
