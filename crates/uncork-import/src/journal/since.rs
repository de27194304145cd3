//! What the folder must have beyond the watermark by the journal's own word.

use rusqlite::params;

use super::message::{self, STORED};
use super::sqlite::number;
use super::{FolderId, Item, Journal, JournalError};
use crate::imap::uid_set::UidSet;

/// Batches that are looked at from the newest back: more than can be on their way at once.
const BATCHES_MAX: u32 = 4096;

/// Mails that the server acknowledged and that may have UIDs from the watermark on.
#[derive(Debug, Default)]
pub(crate) struct SinceWatermark {
    /// Their UIDs, where the server told them.
    pub(crate) uids: UidSet,
    /// Those whose UIDs nobody knows.
    pub(crate) settled: Vec<Item>,
}

impl Journal {
    /// The mails that a look at the server from the watermark on will find, and that are ours.
    pub(crate) fn since_watermark(&self, folder: FolderId) -> Result<SinceWatermark, JournalError> {
        let known = &self.folders[folder.0];
        let (id, watermark) = (known.id, known.record.watermark);
        self.store.read(|db| {
            let mut batches = db.prepare_cached(
                "SELECT first_row, first_row + rows, uid_floor, uids FROM batch
                 WHERE folder = ? AND state = ? ORDER BY first_row DESC LIMIT ?",
            )?;
            let mut since = SinceWatermark::default();
            let mut rows = batches.query(params![id, STORED, BATCHES_MAX])?;
            while let Some(row) = rows.next()? {
                let (first, end, floor): (u32, u32, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let uids: Option<String> = row.get(3)?;
                match uids.as_deref().and_then(UidSet::parse) {
                    Some(uids) if uids.highest().map(u64::from) >= Some(watermark) => {
                        since.uids.extend(&uids);
                    }
                    None if floor >= number(watermark) => {
                        since.settled.extend(message::items(db, &(first..end))?);
                    }
                    Some(_) | None => {}
                }
            }
            Ok(since)
        })
    }
}
