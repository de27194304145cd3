//! Batches: mails that are sent, and answered, together.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::{Range, RangeInclusive};

use rusqlite::params;

use super::folder::FolderId;
use super::message::{self, IN_FLIGHT, REFUSED, STORED, entry};
use super::sqlite::number;
use super::{Item, Journal, JournalError};

/// Most bytes of a refusal's reason, and of the position of what was refused.
const TEXT_BYTES_MAX: usize = 4096;

/// A batch in flight, by the row of its first mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BatchId(pub(super) u32);

/// What an earlier run left without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InFlight {
    pub(crate) batch: BatchId,
    /// If the server has any of them, then with UIDs from here on.
    pub(crate) uid_floor: u64,
    /// In the order in which they were sent.
    pub(crate) items: Vec<Item>,
}

/// Which run put a batch in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    This,
    Earlier,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Batch {
    pub(super) folder: FolderId,
    pub(super) rows: u32,
    pub(super) uid_floor: u64,
    pub(super) run: Run,
}

impl Batch {
    fn rows_from(self, BatchId(first_row): BatchId) -> Range<u32> {
        first_row..first_row.saturating_add(self.rows)
    }
}

/// The batch in flight that a row is in.
pub(super) fn batch_with(in_flight: &BTreeMap<BatchId, Batch>, row: u32) -> Option<BatchId> {
    let (&id, batch) = in_flight.range(..=BatchId(row)).next_back()?;
    batch.rows_from(id).contains(&row).then_some(id)
}

impl Journal {
    /// What earlier runs left in flight: the server has to be asked which of it is there. Then
    /// each batch, split where needed, is [`stored`](Self::stored) or [`absent`](Self::absent).
    pub(crate) fn in_flight(&self, folder: FolderId) -> Result<Vec<InFlight>, JournalError> {
        let left = self.in_flight.iter();
        let left = left.filter(|(_, left)| left.folder == folder && left.run == Run::Earlier);
        left.map(|(&batch, left)| {
            let rows = left.rows_from(batch);
            Ok(InFlight {
                batch,
                uid_floor: left.uid_floor,
                items: self.store.read(|db| message::items(db, &rows))?,
            })
        })
        .collect()
    }

    /// Writes down that these mails may be sent from now on. They are claimed.
    ///
    /// `uid_floor`: if the server gets them, then with UIDs from here on.
    pub(crate) fn begin(
        &mut self,
        folder: FolderId,
        items: impl Iterator<Item = Item>,
        uid_floor: u64,
    ) -> Result<BatchId, JournalError> {
        let id = self.folders[folder.0].id;
        let mut items = items.peekable();
        if items.peek().is_none() {
            return Err(JournalError::Misused("a batch has no mail in it"));
        }
        let rows = self.store.write(|db| {
            let rows = message::append(db, items)?;
            let len = rows.end - rows.start;
            db.prepare_cached("INSERT INTO batch VALUES (?, ?, ?, ?, ?, NULL, NULL)")?
                .execute(params![id, rows.start, len, IN_FLIGHT, number(uid_floor)])?;
            Ok(rows)
        })?;
        let batch = Batch {
            folder,
            rows: rows.end - rows.start,
            uid_floor,
            run: Run::This,
        };
        self.in_flight.insert(BatchId(rows.start), batch);
        Ok(BatchId(rows.start))
    }

    /// The server has the batch, with these UIDs if it said so, in the order of the mails. All
    /// UIDs below the watermark are accounted for with it; it never falls.
    pub(crate) fn stored(
        &mut self,
        batch: BatchId,
        uids: Option<&[RangeInclusive<u32>]>,
        watermark: Option<u64>,
    ) -> Result<(), JournalError> {
        let answered = self.batch(batch)?;
        let uids = uids.and_then(|uids| uid_set(uids, answered.rows));
        let folder = self.folders[answered.folder.0].id;
        self.store.write(|db| {
            db.prepare_cached(
                "UPDATE batch SET state = ?, uids = ?, watermark = ?
                 WHERE folder = ? AND first_row = ?",
            )?
            .execute(params![
                STORED,
                uids,
                watermark.map(number),
                folder,
                batch.0
            ])
        })?;
        self.in_flight.remove(&batch);
        let record = &mut self.folder_mut(answered.folder).record;
        record.stored += u64::from(answered.rows);
        record.watermark = record.watermark.max(watermark.unwrap_or(0));
        Ok(())
    }

    /// The server does not take the one mail of the batch.
    pub(crate) fn refused(
        &mut self,
        batch: BatchId,
        reason: &str,
        position: &str,
    ) -> Result<(), JournalError> {
        let answered = self.batch(batch)?;
        if answered.rows != 1 {
            return Err(JournalError::Misused("a refused batch has several mails"));
        }
        let folder = self.folders[answered.folder.0].id;
        self.store.write(|db| {
            db.prepare_cached("UPDATE batch SET state = ? WHERE folder = ? AND first_row = ?")?
                .execute(params![REFUSED, folder, batch.0])?;
            db.prepare_cached("INSERT INTO refusal VALUES (?, ?, ?)")?
                .execute(params![batch.0, bounded(reason), bounded(position)])
        })?;
        self.in_flight.remove(&batch);
        self.folder_mut(answered.folder).record.refused += 1;
        Ok(())
    }

    /// Makes two batches in flight of one: its first `at` mails, and the others.
    pub(super) fn split(
        &mut self,
        batch: BatchId,
        at: usize,
    ) -> Result<[BatchId; 2], JournalError> {
        let whole = self.batch(batch)?;
        let at = u32::try_from(at).unwrap_or(u32::MAX);
        if at == 0 || at >= whole.rows {
            return Err(JournalError::Misused("a half of a batch has no mail in it"));
        }
        let second = BatchId(batch.0.saturating_add(at));
        let second_rows = whole.rows - at;
        let folder = self.folders[whole.folder.0].id;
        self.store.write(|db| {
            db.prepare_cached("UPDATE batch SET rows = ? WHERE folder = ? AND first_row = ?")?
                .execute(params![at, folder, batch.0])?;
            db.prepare_cached("INSERT INTO batch VALUES (?, ?, ?, ?, ?, NULL, NULL)")?
                .execute(params![
                    folder,
                    second.0,
                    second_rows,
                    IN_FLIGHT,
                    number(whole.uid_floor)
                ])
        })?;
        let halves = [(batch, at), (second, second_rows)];
        let halves = halves.map(|(id, rows)| (id, Batch { rows, ..whole }));
        self.in_flight.extend(halves);
        Ok([batch, second])
    }

    /// Makes batches in flight of one: consecutive parts of so many mails, which are all that it
    /// has.
    pub(crate) fn parts(
        &mut self,
        batch: BatchId,
        lens: impl IntoIterator<Item = usize>,
    ) -> Result<Vec<BatchId>, JournalError> {
        let mut parts = Vec::new();
        let mut rest = batch;
        let mut lens = lens.into_iter().peekable();
        while let Some(len) = lens.next() {
            let mut part = rest;
            if lens.peek().is_some() {
                [part, rest] = self.split(rest, len)?;
            }
            parts.push(part);
        }
        Ok(parts)
    }

    /// The server has nothing of the batch: its mails are new again.
    pub(crate) fn absent(&mut self, batch: BatchId) -> Result<(), JournalError> {
        let answered = self.batch(batch)?;
        let rows = answered.rows_from(batch);
        let folder = self.folders[answered.folder.0].id;
        let items = self.store.write(|db| {
            // This run's own mails have no entries in memory.
            let items = match answered.run {
                Run::This => Vec::new(),
                Run::Earlier => message::items(db, &rows)?,
            };
            message::delete_batch(db, folder, &rows)?;
            Ok(items)
        })?;
        self.in_flight.remove(&batch);
        let unclaimed = &mut self.folder_mut(answered.folder).unclaimed;
        for (item, row) in items.iter().zip(rows) {
            unclaimed.claim(entry(&item.digest, row));
        }
        Ok(())
    }

    fn batch(&self, batch: BatchId) -> Result<Batch, JournalError> {
        let known = self.in_flight.get(&batch).copied();
        known.ok_or(JournalError::Misused("a batch is answered twice"))
    }
}

/// The UIDs of a batch as an IMAP set; `None` where they are not one for each mail, so that
/// nobody can say which is whose.
fn uid_set(uids: &[RangeInclusive<u32>], rows: u32) -> Option<String> {
    let len = |range: &RangeInclusive<u32>| match range.end().checked_sub(*range.start()) {
        Some(more) => u64::from(more) + 1,
        None => 0,
    };
    if uids.iter().map(len).sum::<u64>() != u64::from(rows) {
        return None;
    }
    let mut set = String::new();
    for range in uids.iter().filter(|range| !range.is_empty()) {
        if !set.is_empty() {
            set.push(',');
        }
        let (first, last) = (range.start(), range.end());
        // Writing into a String can't fail.
        let _ = match first == last {
            true => write!(set, "{first}"),
            false => write!(set, "{first}:{last}"),
        };
    }
    Some(set)
}

/// The beginning of a text that a server or a source may make as long as it likes.
fn bounded(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_as_a_set() {
        #[track_caller]
        fn check(uids: &[RangeInclusive<u32>], rows: u32, expected: Option<&str>) {
            assert_eq!(uid_set(uids, rows).as_deref(), expected);
        }
        check(&[5..=9], 5, Some("5:9"));
        check(&[5..=5], 1, Some("5"));
        check(&[7..=7, 3..=4], 3, Some("7,3:4"));
        check(&[5..=9], 4, None);
        check(&[], 1, None);
        let none = RangeInclusive::new(9, 5);
        check(std::slice::from_ref(&none), 1, None);
        check(&[none, 1..=1], 1, Some("1"));
        check(&[0..=u32::MAX], 0, None);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        #[track_caller]
        fn check(text: &str, expected_len: usize) {
            assert_eq!(bounded(text).len(), expected_len);
        }
        check("", 0);
        check("no", 2);
        check(&"x".repeat(5000), 4096);
        check(&format!("x{}", "ü".repeat(3000)), 4095);
    }
}
