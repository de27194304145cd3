//! The journal's SQLite file: opened and checked, read and written in short transactions.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, Transaction, TransactionBehavior};

use super::JournalError;
use super::place::make_file;

/// How long a write waits for imports into other accounts to end theirs, which take well under
/// a millisecond.
const BUSY_MAX: Duration = Duration::from_secs(20);

/// Pages that the write-ahead log collects before they go into the file, which waits for the
/// disk twice: 16 MiB, or about 80,000 mails in batches of a hundred.
const CHECKPOINT_PAGES: u32 = 4000;

/// Most bytes of the log that are kept when it begins anew.
const LOG_BYTES_KEPT: u32 = 32 << 20;

/// Statements that are kept ready: more than there are.
const STATEMENTS: usize = 40;

/// "unck": what makes an SQLite file a journal.
const APPLICATION_ID: i64 = 0x756e_636b;

/// The version of the schema below.
const VERSION: i64 = 1;

/// The comments are for people who look into the file; SQLite keeps those within a statement.
const SCHEMA: &str = "
CREATE TABLE account (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE -- user@host:port
) STRICT;
CREATE TABLE folder (
    id INTEGER PRIMARY KEY,
    account INTEGER NOT NULL,
    name TEXT NOT NULL,
    uid_validity INTEGER,
    watermark INTEGER NOT NULL DEFAULT 0, -- all UIDs below are accounted for, by this or a batch
    last_run INTEGER NOT NULL, -- seconds since 1970
    UNIQUE (account, name)
) STRICT;
CREATE TABLE batch (
    folder INTEGER NOT NULL,
    first_row INTEGER NOT NULL, -- its mails are message.row first_row .. first_row + rows - 1
    rows INTEGER NOT NULL,
    state INTEGER NOT NULL, -- 0: may have been sent, 1: the server has it, 2: refused
    uid_floor INTEGER NOT NULL, -- if the server has it, then with UIDs from here on
    uids TEXT, -- an IMAP set, in the order of the rows, if the server said it
    watermark INTEGER, -- here, so that an answer changes one page
    PRIMARY KEY (folder, first_row)
) STRICT, WITHOUT ROWID;
CREATE TABLE message (
    row INTEGER PRIMARY KEY,
    digest BLOB NOT NULL, -- BLAKE3 of the mail as it is sent
    key INTEGER NOT NULL, -- of Message-ID, Date and Received
    has_message_id INTEGER NOT NULL,
    len INTEGER NOT NULL
) STRICT;
CREATE TABLE refusal (
    row INTEGER PRIMARY KEY, -- of message
    reason TEXT NOT NULL,
    position TEXT NOT NULL -- in the source
) STRICT;
CREATE TABLE existing (
    folder INTEGER NOT NULL,
    uid INTEGER NOT NULL, -- of a mail that was on the server and that no import put there
    key INTEGER NOT NULL,
    has_message_id INTEGER NOT NULL,
    len INTEGER NOT NULL,
    PRIMARY KEY (folder, uid)
) STRICT, WITHOUT ROWID;
CREATE TABLE sent (
    account INTEGER NOT NULL,
    day TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (account, day)
) STRICT, WITHOUT ROWID;
";

/// The open file.
#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
    path: PathBuf,
}

impl Store {
    /// Opens the file, and makes it where it is missing.
    pub(super) fn open(path: &Path) -> Result<Self, JournalError> {
        let path = make_file(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags);
        Self::prepare(connection, path)
    }

    /// One that is gone when it is closed.
    pub(super) fn in_memory() -> Result<Self, JournalError> {
        Self::prepare(Connection::open_in_memory(), PathBuf::from("in memory"))
    }

    fn prepare(
        connection: rusqlite::Result<Connection>,
        path: PathBuf,
    ) -> Result<Self, JournalError> {
        let failed = |error| JournalError::sqlite(&path, error);
        let connection = connection.map_err(failed)?;
        harden(&connection).map_err(failed)?;
        // One moment of a file that another import may be making.
        let moment = connection.unchecked_transaction().map_err(failed)?;
        let found = Contents::of(&moment).map_err(failed)?;
        drop(moment);
        let mut store = Self { connection, path };
        match found {
            Contents::Nothing => store.make()?,
            Contents::Journal(VERSION) => {}
            Contents::Journal(version) if version > VERSION => {
                let path = store.path;
                return Err(JournalError::Newer { path, version });
            }
            Contents::Journal(_) | Contents::SomethingElse => {
                let path = store.path;
                return Err(JournalError::NotAJournal { path });
            }
        }
        Ok(store)
    }

    /// Makes a journal of an empty file. Nothing waits for the disk meanwhile, which would take
    /// as long as a thousand mails: what a power cut may leave is an empty file once more.
    fn make(&mut self) -> Result<(), JournalError> {
        self.synchronous("off")?;
        self.write_ahead()?;
        self.write_schema()?;
        self.synchronous("normal")
    }

    fn synchronous(&self, how: &str) -> Result<(), JournalError> {
        self.read(|db| db.pragma_update(None, "synchronous", how))
    }

    fn write_schema(&mut self) -> Result<(), JournalError> {
        self.write(|db| match Contents::of(db)? {
            Contents::Nothing => {
                db.execute_batch(SCHEMA)?;
                db.pragma_update(None, "application_id", APPLICATION_ID)?;
                db.pragma_update(None, "user_version", VERSION)
            }
            // Another import has made it meanwhile.
            _ => Ok(()),
        })
    }

    /// Turns the write-ahead log on, for good. Where the file system can't have one, the file
    /// stays as safe and becomes slower.
    fn write_ahead(&self) -> Result<(), JournalError> {
        let begun = Instant::now();
        loop {
            let turned_on =
                self.connection
                    .pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()));
            match turned_on {
                // This is the one step that SQLite's own waiting leaves out.
                Err(error)
                    if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                        && begun.elapsed() < BUSY_MAX =>
                {
                    std::thread::sleep(Duration::from_millis(1));
                }
                done => return done.map_err(|error| JournalError::sqlite(&self.path, error)),
            }
        }
    }

    /// Everything that `work` writes, or nothing of it.
    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, JournalError> {
        let all = || {
            // A transaction that begins with reading could fail to become a writing one.
            let behavior = TransactionBehavior::Immediate;
            let transaction = Transaction::new(&mut self.connection, behavior)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        all().map_err(|error| JournalError::sqlite(&self.path, error))
    }

    /// What `work` finds.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, JournalError> {
        work(&self.connection).map_err(|error| JournalError::sqlite(&self.path, error))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn damaged(&self, reason: impl Into<String>) -> JournalError {
        JournalError::damaged(&self.path, reason)
    }
}

fn harden(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_MAX)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // There are no triggers and no views; those of a file from elsewhere are not run.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    // What is committed survives the death of the process. After a power cut the newest commits
    // may be missing, but none in the middle; the server is asked for what they said.
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    // Emptying the log at the end waits for the disk as well. It stays beside the file, as it
    // does after a crash, and the next import goes on with it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(())
}

/// A count or a length as SQLite holds it. It has no numbers beyond an i64, and nothing that is
/// counted here comes near; the cap leaves room to add to one.
pub(super) fn number(value: u64) -> i64 {
    const CAP: i64 = i64::MAX >> 1;
    i64::try_from(value).map_or(CAP, |value| value.min(CAP))
}

/// What `number` made; whatever else is there is no work of this program.
pub(super) fn natural(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value = row.get::<_, i64>(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// 64 bits of a hash, of which SQLite takes the first for a sign.
pub(super) fn hash(bits: u64) -> i64 {
    i64::from_ne_bytes(bits.to_ne_bytes())
}

/// What `hash` made.
pub(super) fn hash_bits(value: i64) -> u64 {
    u64::from_ne_bytes(value.to_ne_bytes())
}

/// What an SQLite file holds.
enum Contents {
    Nothing,
    /// With the version of its schema.
    Journal(i64),
    SomethingElse,
}

impl Contents {
    fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        Ok(match number("application_id")? {
            APPLICATION_ID => Self::Journal(number("user_version")?),
            0 if number("schema_version")? == 0 && number("user_version")? == 0 => Self::Nothing,
            _ => Self::SomethingElse,
        })
    }
}
