//! The journal: what has been stored, and what may have been. It is what makes "nothing lost,
//! nothing twice" survive the death of an import.
//!
//! For each target account and folder it knows each mail by the digest of its text. Before mails
//! are sent they are written down as a batch in flight ("may have been sent"); the server's
//! answer makes the batch stored, refused, or absent, which is as if it had never been. What a
//! dead run left in flight is what the server has to be asked about, and nothing else.
//!
//! The same text n times in a source is n mails: each claims one of the mails that the journal
//! has of that text and that no other mail of this run has claimed. Claims are not written down.
//!
//! # Costs
//! SQLite in WAL mode, one transaction for each call that changes something: about 10 µs a call
//! and half a microsecond a mail. Mails that are sent one by one are better begun by the dozen.
//! Mails are appended, so that a batch of a hundred writes a handful of pages however many there
//! are. They are found by an index in memory, 12 bytes a mail, that is read when a folder is
//! opened and holds only what earlier runs left: what this run stores, it never has to find
//! again.
//!
//! # A shared one
//! The methods here are all that an import needs to know of its journal. One in PostgreSQL, for
//! many workers on many machines, can have the same: what is claimed in memory here is a
//! worker's share of the source there, and an account's lock is a lease.

use std::collections::{BTreeMap, HashMap};

use jiff::civil::Date;
use rusqlite::{OptionalExtension, params};

use crate::mail::Item;
use crate::options::JournalPlace;

mod batch;
mod error;
mod existing;
mod folder;
mod lock;
mod message;
mod place;
mod read_back;
mod since;
mod sqlite;
#[cfg(test)]
mod tests;
mod unclaimed;

pub use error::JournalError;
pub use place::default_path;

pub(crate) use batch::{BatchId, InFlight};
pub(crate) use existing::ExistingMatch;
pub(crate) use folder::{Claim, FolderId};

use batch::Batch;
use folder::Folder;
use lock::AccountLock;
use message::REFUSED;
use sqlite::{Store, natural, number};

/// Most bytes that were sent and are not written down as such.
const UNWRITTEN_BYTES_MAX: u64 = 4 << 20;

/// The journal of one account, for one import.
#[derive(Debug)]
pub(crate) struct Journal {
    store: Store,
    account: i64,
    folders: Vec<Folder>,
    names: HashMap<String, FolderId>,
    /// All batches in flight of the folders above.
    in_flight: BTreeMap<BatchId, Batch>,
    /// Bytes that were sent on a day and are not written down yet.
    unwritten_bytes: Option<(Date, u64)>,
    /// Fields are dropped in order: the file is closed before another import may open it.
    _lock: Option<AccountLock>,
}

impl Journal {
    /// Opens the journal, makes it where it is missing, and holds the account
    /// (`user@host:port`) until it is dropped.
    ///
    /// # Errors
    /// [`JournalError::InUse`] where another import holds the account.
    pub(crate) fn open(place: &JournalPlace, account: &str) -> Result<Self, JournalError> {
        let (mut store, lock) = match place {
            JournalPlace::Memory => (Store::in_memory()?, None),
            JournalPlace::File(path) => {
                let store = Store::open(path)?;
                let lock = AccountLock::take(store.path(), account)?;
                (store, Some(lock))
            }
        };
        let account = store.write(|db| {
            let known = "SELECT id FROM account WHERE name = ?";
            let id = db
                .query_row(known, [account], |row| row.get(0))
                .optional()?;
            id.map_or_else(
                || {
                    db.execute("INSERT INTO account (name) VALUES (?)", [account])?;
                    Ok(db.last_insert_rowid())
                },
                Ok,
            )
        })?;
        Ok(Self {
            store,
            account,
            folders: Vec::new(),
            names: HashMap::new(),
            in_flight: BTreeMap::new(),
            unwritten_bytes: None,
            _lock: lock,
        })
    }

    /// Makes what was refused in this account new again, in all its folders, and says how many
    /// mails that were. Only before the first folder is opened.
    pub(crate) fn retry_refused(&mut self) -> Result<u64, JournalError> {
        if !self.folders.is_empty() {
            return Err(JournalError::Misused(
                "refused mails can't be tried again within a run",
            ));
        }
        let account = self.account;
        self.store.write(|db| {
            let mut folders = db.prepare_cached("SELECT id FROM folder WHERE account = ?")?;
            let folders = folders.query_map([account], |row| row.get(0))?;
            let mut count = 0;
            for folder in folders {
                let folder = folder?;
                for rows in message::batches(db, folder, Some(REFUSED))? {
                    message::delete_batch(db, folder, &rows)?;
                    count += rows.len() as u64;
                }
            }
            Ok(count)
        })
    }

    /// The bytes that all runs have sent into this account on a day.
    pub(crate) fn bytes_on(&self, day: Date) -> Result<u64, JournalError> {
        let written = self.store.read(|db| {
            db.prepare_cached("SELECT bytes FROM sent WHERE account = ? AND day = ?")?
                .query_row(params![self.account, day.to_string()], |row| {
                    natural(row, 0)
                })
                .optional()
        })?;
        let unwritten = self.unwritten_bytes.filter(|(of, _)| *of == day);
        let unwritten = unwritten.map_or(0, |(_, bytes)| bytes);
        Ok(written.unwrap_or(0).saturating_add(unwritten))
    }

    /// Adds to them. They are written down now and then and at the end: the last few MiB may be
    /// missing after a crash.
    pub(crate) fn add_bytes(&mut self, day: Date, bytes: u64) -> Result<(), JournalError> {
        if self.unwritten_bytes.is_some_and(|(of, _)| of != day) {
            self.write_bytes()?;
        }
        let (_, unwritten) = self.unwritten_bytes.get_or_insert((day, 0));
        *unwritten = unwritten.saturating_add(bytes);
        if *unwritten >= UNWRITTEN_BYTES_MAX {
            self.write_bytes()?;
        }
        Ok(())
    }

    fn write_bytes(&mut self) -> Result<(), JournalError> {
        let Some((day, bytes)) = self.unwritten_bytes else {
            return Ok(());
        };
        let account = self.account;
        self.store.write(|db| {
            db.prepare_cached(
                "INSERT INTO sent VALUES (?, ?, ?)
                 ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes",
            )?
            .execute(params![account, day.to_string(), number(bytes)])
        })?;
        self.unwritten_bytes = None;
        Ok(())
    }

    fn folder_mut(&mut self, folder: FolderId) -> &mut Folder {
        &mut self.folders[folder.0]
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Nobody is left to tell, and a day's count is not worth more.
        let _ = self.write_bytes();
    }
}
