//! A folder of the account: what earlier runs left in it, and what of that this run has met.

use std::num::NonZeroU32;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::batch::{Batch, BatchId, Run, batch_with};
use super::existing::Existing;
use super::message::{self, IN_FLIGHT, REFUSED, STORED, entries, row_of};
use super::read_back::Expected;
use super::sqlite::{Store, natural, number};
use super::unclaimed::Unclaimed;
use super::{Journal, JournalError};
use crate::mail::Digest;

/// A folder that is open in this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FolderId(pub(super) usize);

/// What is known of a folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FolderRecord {
    /// Of the folder that everything here is about; `None` until it is set.
    pub(crate) uid_validity: Option<u64>,
    /// All mails with UIDs below are accounted for: ours, or known as not ours.
    pub(crate) watermark: u64,
    /// Mails that are in the folder by the server's word.
    pub(crate) stored: u64,
    /// Mails that the server has refused.
    pub(crate) refused: u64,
    /// When the run before this one began.
    pub(crate) last_run: Option<Timestamp>,
}

/// What the journal says to a mail of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It was never sent. Nothing is claimed.
    New,
    /// It is in the folder.
    Stored,
    /// The server refused it.
    Refused { reason: String },
    /// An earlier run may have sent it: the server has to be asked first, see
    /// [`Journal::in_flight`]. Nothing is claimed.
    InFlight(BatchId),
}

#[derive(Debug)]
pub(super) struct Folder {
    pub(super) id: i64,
    pub(super) record: FolderRecord,
    /// The mails of earlier runs that no mail of this one has claimed, as [`message::entry`]
    /// makes them.
    pub(super) unclaimed: Unclaimed<u64>,
    /// Read when it is needed.
    pub(super) existing: Option<Existing>,
    /// Made when the first mail has been read back.
    pub(super) expected: Option<Expected>,
}

impl Journal {
    /// Opens a folder: reads, once, what earlier runs left in it.
    pub(crate) fn folder(&mut self, name: &str) -> Result<FolderId, JournalError> {
        if let Some(&known) = self.names.get(name) {
            return Ok(known);
        }
        let account = self.account;
        let now = Timestamp::now().as_second();
        let known = self.store.read(|db| {
            db.prepare_cached("SELECT id FROM folder WHERE account = ? AND name = ?")?
                .query_row(params![account, name], |row| row.get::<_, i64>(0))
                .optional()
        })?;
        let folder_id = FolderId(self.folders.len());
        let folder = if let Some(id) = known {
            let (folder, in_flight) = Folder::load(&self.store, id, folder_id)?;
            self.store.write(|db| {
                db.prepare_cached("UPDATE folder SET last_run = ? WHERE id = ?")?
                    .execute([now, id])
            })?;
            self.in_flight.extend(in_flight);
            folder
        } else {
            Folder::new(self.store.write(|db| {
                db.prepare_cached("INSERT INTO folder (account, name, last_run) VALUES (?, ?, ?)")?
                    .execute(params![account, name, now])?;
                Ok(db.last_insert_rowid())
            })?)
        };
        self.folders.push(folder);
        self.names.insert(name.to_owned(), folder_id);
        Ok(folder_id)
    }

    /// What is known of it now.
    pub(crate) fn record(&self, folder: FolderId) -> FolderRecord {
        self.folders[folder.0].record
    }

    /// The folder is another one now, of the same name: nothing that was stored is in it, and
    /// nothing that was claimed, so that the source has to be gone through anew for it. What this
    /// run has in flight stays in flight.
    pub(crate) fn forget(
        &mut self,
        folder: FolderId,
        uid_validity: u64,
    ) -> Result<(), JournalError> {
        let id = self.folders[folder.0].id;
        let mut batches = self.store.read(|db| message::batches(db, id, None))?;
        let in_flight = &self.in_flight;
        batches.retain(|rows| {
            let batch = in_flight.get(&BatchId(rows.start));
            batch.is_none_or(|batch| batch.run == Run::Earlier)
        });
        self.store.write(|db| {
            for rows in &batches {
                message::delete_batch(db, id, rows)?;
            }
            db.prepare_cached("DELETE FROM existing WHERE folder = ?")?
                .execute([id])?;
            db.prepare_cached("UPDATE folder SET uid_validity = ?, watermark = 0 WHERE id = ?")?
                .execute([number(uid_validity), id])
        })?;
        self.in_flight
            .retain(|_, batch| batch.folder != folder || batch.run == Run::This);
        let forgotten = self.folder_mut(folder);
        *forgotten = Folder {
            record: FolderRecord {
                uid_validity: Some(uid_validity),
                last_run: forgotten.record.last_run,
                ..FolderRecord::default()
            },
            ..Folder::new(id)
        };
        Ok(())
    }

    /// All mails with UIDs below the watermark are accounted for. It never falls: a folder that
    /// gives out lower UIDs than before is another one, see [`forget`](Self::forget).
    pub(crate) fn set_watermark(
        &mut self,
        folder: FolderId,
        uid_validity: u64,
        watermark: u64,
    ) -> Result<(), JournalError> {
        let Folder { id, record, .. } = self.folders[folder.0];
        if record
            .uid_validity
            .is_some_and(|known| known != uid_validity)
        {
            return Err(JournalError::Misused("another folder was not told apart"));
        }
        let watermark = watermark.max(record.watermark);
        self.store.write(|db| {
            db.prepare_cached("UPDATE folder SET uid_validity = ?, watermark = ? WHERE id = ?")?
                .execute(params![number(uid_validity), number(watermark), id])
        })?;
        let record = &mut self.folder_mut(folder).record;
        record.uid_validity = Some(uid_validity);
        record.watermark = watermark;
        Ok(())
    }

    /// Looks for a mail with this text that no other mail of this run has claimed, and claims
    /// it.
    pub(crate) fn claim(
        &mut self,
        folder: FolderId,
        digest: &Digest,
    ) -> Result<Claim, JournalError> {
        let Self {
            store,
            folders,
            in_flight,
            ..
        } = self;
        let mut claim = Claim::New;
        let unclaimed = &mut folders[folder.0].unclaimed;
        unclaimed.claim_first(entries(digest), |found| {
            let row = row_of(found);
            let Some(refusal) = store.read(|db| message::look_up(db, row, digest))? else {
                return Ok(false);
            };
            if let Some(batch) = batch_with(in_flight, row) {
                claim = Claim::InFlight(batch);
                return Ok(false);
            }
            claim = refusal.map_or(Claim::Stored, |reason| Claim::Refused { reason });
            Ok::<_, JournalError>(true)
        })?;
        Ok(claim)
    }
}

impl Folder {
    fn new(id: i64) -> Self {
        Self {
            id,
            record: FolderRecord::default(),
            unclaimed: Unclaimed::default(),
            existing: None,
            expected: None,
        }
    }

    fn load(
        store: &Store,
        id: i64,
        folder: FolderId,
    ) -> Result<(Self, Vec<(BatchId, Batch)>), JournalError> {
        let (record, in_flight, entries) = store.read(|db| {
            let mut record = FolderRecord::read(db, id)?;
            let in_flight = record.count_batches(db, id, folder)?;
            Ok((record, in_flight, message::entries_of(db, id, None)?))
        })?;
        let unclaimed = Unclaimed::new(entries);
        let in_flight_rows = in_flight.iter().map(|(_, batch)| u64::from(batch.rows));
        let rows = in_flight_rows.sum::<u64>() + record.stored + record.refused;
        if unclaimed.len() as u64 != rows {
            let found = unclaimed.len();
            let reason = format!("{rows} mails of a folder were written down, {found} are there");
            return Err(store.damaged(reason));
        }
        let loaded = Self {
            record,
            unclaimed,
            ..Self::new(id)
        };
        Ok((loaded, in_flight))
    }
}

impl FolderRecord {
    /// Without what its batches say.
    fn read(db: &Connection, id: i64) -> rusqlite::Result<Self> {
        db.prepare_cached("SELECT uid_validity, watermark, last_run FROM folder WHERE id = ?")?
            .query_row([id], |row| {
                let uid_validity: Option<i64> = row.get(0)?;
                Ok(Self {
                    uid_validity: uid_validity.map(|_| natural(row, 0)).transpose()?,
                    watermark: natural(row, 1)?,
                    last_run: Timestamp::from_second(row.get(2)?).ok(),
                    ..Self::default()
                })
            })
    }

    /// Adds what its batches say, and gives those in flight.
    fn count_batches(
        &mut self,
        db: &Connection,
        id: i64,
        folder: FolderId,
    ) -> rusqlite::Result<Vec<(BatchId, Batch)>> {
        let mut batches = db.prepare_cached(
            "SELECT first_row, rows, state, uid_floor, coalesce(watermark, 0)
             FROM batch WHERE folder = ?",
        )?;
        let mut batches = batches.query([id])?;
        let mut in_flight = Vec::new();
        while let Some(row) = batches.next()? {
            let rows = row.get::<_, NonZeroU32>(1)?.get();
            self.watermark = self.watermark.max(natural(row, 4)?);
            match row.get::<_, i64>(2)? {
                IN_FLIGHT => {
                    let left = Batch {
                        folder,
                        rows,
                        uid_floor: natural(row, 3)?,
                        run: Run::Earlier,
                    };
                    in_flight.push((BatchId(row.get(0)?), left));
                }
                STORED => self.stored += u64::from(rows),
                REFUSED => self.refused += u64::from(rows),
                state => return Err(rusqlite::Error::IntegralValueOutOfRange(2, state)),
            }
        }
        Ok(in_flight)
    }
}
