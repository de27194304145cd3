//! Reading back: what must be in a folder by this run, and what of it was seen there.

use super::folder::FolderId;
use super::message::{self, STORED, entries, row_of};
use super::unclaimed::Unclaimed;
use super::{Item, Journal, JournalError};
use crate::mail::Digest;

/// Most mails that are named where mails are missing.
const MISSING_LISTED_MAX: usize = 1000;

/// Mails that must be in the folder and were not seen there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) count: u64,
    /// The first of them, in the order in which they were sent.
    pub(crate) first: Vec<Item>,
}

/// The mails that this run has stored or claimed and that were not seen yet.
#[derive(Debug)]
pub(super) struct Expected(Unclaimed<u64>);

impl Journal {
    /// A mail with this text was read back from the folder. False where none is left that must
    /// be there: it is not ours, or there once too often.
    ///
    /// What this run has stored or claimed by the first call is what must be there. What earlier
    /// runs stored and this run's source does not have may be gone.
    pub(crate) fn see_back(
        &mut self,
        folder: FolderId,
        digest: &Digest,
    ) -> Result<bool, JournalError> {
        self.expect(folder)?;
        let Some(Expected(expected)) = &mut self.folders[folder.0].expected else {
            return Ok(false);
        };
        let store = &self.store;
        let seen = expected.claim_first(entries(digest), |found| {
            let same = store.read(|db| message::look_up(db, row_of(found), digest));
            same.map(|same| same.is_some())
        })?;
        Ok(seen.is_some())
    }

    /// What must be in the folder and was not seen.
    pub(crate) fn not_seen_back(&mut self, folder: FolderId) -> Result<Missing, JournalError> {
        self.expect(folder)?;
        let Some(Expected(expected)) = &self.folders[folder.0].expected else {
            return Ok(Missing::default());
        };
        let mut rows: Vec<u32> = expected.iter().map(row_of).collect();
        rows.sort_unstable();
        let mut missing = Missing {
            count: rows.len() as u64,
            first: Vec::new(),
        };
        rows.truncate(MISSING_LISTED_MAX);
        for row in rows {
            let one = row..row.saturating_add(1);
            let items = self.store.read(|db| message::items(db, &one))?;
            missing.first.extend(items);
        }
        Ok(missing)
    }

    fn expect(&mut self, folder: FolderId) -> Result<(), JournalError> {
        let folder = &mut self.folders[folder.0];
        if folder.expected.is_none() {
            let stored = |db: &_| message::entries_of(db, folder.id, Some(STORED));
            let mut expected = self.store.read(stored)?;
            expected.retain(|&entry| !folder.unclaimed.contains(entry));
            folder.expected = Some(Expected(Unclaimed::new(expected)));
        }
        Ok(())
    }
}
