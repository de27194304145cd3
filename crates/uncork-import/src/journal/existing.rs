//! Mails that were on the server and that no import put there.

use rusqlite::{Connection, params};

use super::folder::{Folder, FolderId};
use super::sqlite::{hash, hash_bits, natural, number};
use super::unclaimed::Unclaimed;
use super::{Journal, JournalError};
use crate::mail::{Identity, OnServer};

/// The mail that the server has in place of one of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExistingMatch {
    /// Of the same length.
    Exact { uid: u32 },
    /// Of another length: a server on its way here has altered it.
    Altered { uid: u32 },
}

/// Those of them that no mail of this run has claimed.
#[derive(Debug, Default)]
pub(super) struct Existing {
    /// As [`entry`] makes them: those of one key stand together, and of those the ones of one
    /// length.
    unclaimed: Unclaimed<u128>,
    /// What is not among them yet.
    added: Vec<u128>,
}

impl Existing {
    fn sorted(&mut self) -> &mut Unclaimed<u128> {
        if !self.added.is_empty() {
            // Claimed ones need not be kept: no UID is added twice.
            self.added.extend(self.unclaimed.iter());
            self.unclaimed = Unclaimed::new(std::mem::take(&mut self.added));
        }
        &mut self.unclaimed
    }
}

/// Identity, length and UID in one number that sorts by them in this order.
fn entry(identity: Identity, len: u64, uid: u32) -> u128 {
    // One bit of the hash gives way to whether there is a Message-ID.
    let key = identity.key & !1 | u64::from(identity.has_message_id);
    // Lengths of 4 GiB and more are one.
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    u128::from(key) << 64 | u128::from(len) << 32 | u128::from(uid)
}

fn uid_of(entry: u128) -> u32 {
    let [.., a, b, c, d] = entry.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

impl Journal {
    /// Mails were found on the server that are not ours. They are remembered, so that a later
    /// run has to look at newer UIDs only. UIDs that are known already are left as they are.
    pub(crate) fn add_existing(
        &mut self,
        folder: FolderId,
        found: &[OnServer],
    ) -> Result<(), JournalError> {
        self.existing(folder)?;
        let id = self.folders[folder.0].id;
        let new = self.store.write(|db| {
            let mut insert =
                db.prepare_cached("INSERT OR IGNORE INTO existing VALUES (?, ?, ?, ?, ?)")?;
            let mut new = Vec::with_capacity(found.len());
            for mail in found {
                let OnServer { uid, identity, len } = *mail;
                let inserted = insert.execute(params![
                    id,
                    uid,
                    hash(identity.key),
                    identity.has_message_id,
                    number(len),
                ])?;
                if inserted == 1 {
                    new.push(entry(identity, len, uid));
                }
            }
            Ok(new)
        })?;
        self.existing(folder)?.added.extend(new);
        Ok(())
    }

    /// Looks for a mail on the server that is the same by its Message-ID and that no other mail
    /// of this run has claimed, and claims it: one of the same length, else any. Mails without a
    /// Message-ID have to be compared, see [`existing_candidates`](Self::existing_candidates).
    pub(crate) fn take_existing(
        &mut self,
        folder: FolderId,
        identity: Identity,
        len: u64,
    ) -> Result<Option<ExistingMatch>, JournalError> {
        if !identity.has_message_id {
            return Ok(None);
        }
        let unclaimed = self.existing(folder)?.sorted();
        let any = |_| Ok::<_, JournalError>(true);
        let exact = entry(identity, len, 0)..=entry(identity, len, u32::MAX);
        if let Some(found) = unclaimed.claim_first(exact, any)? {
            let uid = uid_of(found);
            return Ok(Some(ExistingMatch::Exact { uid }));
        }
        let altered = entry(identity, 0, 0)..=entry(identity, u64::MAX, u32::MAX);
        let found = unclaimed.claim_first(altered, any)?;
        Ok(found.map(uid_of).map(|uid| ExistingMatch::Altered { uid }))
    }

    /// The UIDs of mails on the server that may be the same and that no other mail of this run
    /// has claimed: their text has to be compared.
    pub(crate) fn existing_candidates(
        &mut self,
        folder: FolderId,
        identity: Identity,
        len: u64,
    ) -> Result<impl Iterator<Item = u32> + '_, JournalError> {
        let unclaimed = self.existing(folder)?.sorted();
        let same = entry(identity, len, 0)..=entry(identity, len, u32::MAX);
        Ok(unclaimed.range(same).map(uid_of))
    }

    /// Claims one of these candidates: it is the mail. False where it is none of them.
    pub(crate) fn claim_existing(
        &mut self,
        folder: FolderId,
        identity: Identity,
        len: u64,
        uid: u32,
    ) -> Result<bool, JournalError> {
        let unclaimed = self.existing(folder)?.sorted();
        Ok(unclaimed.claim(entry(identity, len, uid)))
    }

    fn existing(&mut self, folder: FolderId) -> Result<&mut Existing, JournalError> {
        let Folder { id, existing, .. } = &mut self.folders[folder.0];
        if existing.is_none() {
            let unclaimed = self.store.read(|db| read(db, *id))?;
            *existing = Some(Existing {
                unclaimed: Unclaimed::new(unclaimed),
                added: Vec::new(),
            });
        }
        Ok(existing.get_or_insert_default())
    }
}

fn read(db: &Connection, folder: i64) -> rusqlite::Result<Vec<u128>> {
    let mut mails =
        db.prepare_cached("SELECT key, has_message_id, len, uid FROM existing WHERE folder = ?")?;
    let mails = mails.query_map([folder], |row| {
        let identity = Identity {
            key: hash_bits(row.get(0)?),
            has_message_id: row.get(1)?,
        };
        Ok(entry(identity, natural(row, 2)?, row.get(3)?))
    })?;
    mails.collect()
}
