//! The mails that the journal knows: rows of a table, in batches, and their entries in memory.

use std::ops::{Range, RangeInclusive};

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::Item;
use super::sqlite::{hash, hash_bits, natural, number};
use crate::mail::{Digest, Identity};

/// States of a batch.
pub(super) const IN_FLIGHT: i64 = 0;
pub(super) const STORED: i64 = 1;
pub(super) const REFUSED: i64 = 2;

/// What stands for a mail in memory: 32 bits of its digest, then its row. That the rest of the
/// digest is the same is looked up; of a million mails one in 4000 others is looked up in vain.
pub(super) fn entry(digest: &Digest, row: u32) -> u64 {
    *entries(digest).start() | u64::from(row)
}

/// All that may stand for a mail with this digest.
pub(super) fn entries(digest: &Digest) -> RangeInclusive<u64> {
    let tag = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    let first = u64::from(tag) << 32;
    first..=first | u64::from(u32::MAX)
}

pub(super) fn row_of(entry: u64) -> u32 {
    let [.., a, b, c, d] = entry.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// The entries of a folder's mails, of batches in one state or in any.
pub(super) fn entries_of(
    db: &Connection,
    folder: i64,
    state: Option<i64>,
) -> rusqlite::Result<Vec<u64>> {
    // CROSS JOIN is SQLite's word for this order of the loops.
    let mut messages = db.prepare_cached(
        "SELECT row, digest FROM batch CROSS JOIN message
         ON row >= first_row AND row < first_row + rows
         WHERE folder = ?1 AND (?2 IS NULL OR state = ?2)",
    )?;
    let mut messages = messages.query(params![folder, state])?;
    let mut entries = Vec::new();
    while let Some(message) = messages.next()? {
        entries.push(entry(&message.get(1)?, message.get(0)?));
    }
    Ok(entries)
}

/// Whether there is a mail of this digest in a row; if so, why it was refused, if it was.
#[expect(
    clippy::option_option,
    reason = "the outer one is whether there is a row"
)]
pub(super) fn look_up(
    db: &Connection,
    row: u32,
    digest: &Digest,
) -> rusqlite::Result<Option<Option<String>>> {
    db.prepare_cached(
        "SELECT reason FROM message LEFT JOIN refusal USING (row) WHERE row = ? AND digest = ?",
    )?
    .query_row(params![row, digest], |row| row.get(0))
    .optional()
}

/// Appends mails and says in which rows they are.
pub(super) fn append(
    db: &Connection,
    items: impl Iterator<Item = Item>,
) -> rusqlite::Result<Range<u32>> {
    let first_row: u32 = db
        .prepare_cached("SELECT coalesce(max(row), 0) + 1 FROM message")?
        .query_row([], |row| row.get(0))?;
    let mut insert = db.prepare_cached("INSERT INTO message VALUES (?, ?, ?, ?, ?)")?;
    let mut rows = first_row..first_row;
    for item in items {
        insert_one(&mut insert, rows.end, &item)?;
        // Four thousand million mails in one journal: as full as a disk.
        let full = rusqlite::Error::IntegralValueOutOfRange(0, i64::from(rows.end));
        rows.end = rows.end.checked_add(1).ok_or(full)?;
    }
    Ok(rows)
}

fn insert_one(insert: &mut CachedStatement<'_>, row: u32, item: &Item) -> rusqlite::Result<()> {
    insert.execute(params![
        row,
        item.digest,
        hash(item.identity.key),
        item.identity.has_message_id,
        number(item.len),
    ])?;
    Ok(())
}

/// The mails of some rows, in their order.
pub(super) fn items(db: &Connection, rows: &Range<u32>) -> rusqlite::Result<Vec<Item>> {
    let mut messages = db.prepare_cached(
        "SELECT digest, key, has_message_id, len FROM message
         WHERE row >= ? AND row < ? ORDER BY row",
    )?;
    let messages = messages.query_map([rows.start, rows.end], |row| {
        Ok(Item {
            digest: row.get(0)?,
            identity: Identity {
                key: hash_bits(row.get(1)?),
                has_message_id: row.get(2)?,
            },
            len: natural(row, 3)?,
        })
    })?;
    messages.collect()
}

/// The rows of a folder's batches, of those in one state or of all.
pub(super) fn batches(
    db: &Connection,
    folder: i64,
    state: Option<i64>,
) -> rusqlite::Result<Vec<Range<u32>>> {
    let mut batches = db.prepare_cached(
        "SELECT first_row, first_row + rows FROM batch
         WHERE folder = ?1 AND (?2 IS NULL OR state = ?2)",
    )?;
    let batches = batches.query_map(params![folder, state], |row| Ok(row.get(0)?..row.get(1)?))?;
    batches.collect()
}

/// Deletes a batch with its mails.
pub(super) fn delete_batch(
    db: &Connection,
    folder: i64,
    rows: &Range<u32>,
) -> rusqlite::Result<()> {
    let ends = [rows.start, rows.end];
    db.prepare_cached("DELETE FROM refusal WHERE row >= ? AND row < ?")?
        .execute(ends)?;
    db.prepare_cached("DELETE FROM message WHERE row >= ? AND row < ?")?
        .execute(ends)?;
    db.prepare_cached("DELETE FROM batch WHERE folder = ? AND first_row = ?")?
        .execute(params![folder, rows.start])?;
    Ok(())
}
