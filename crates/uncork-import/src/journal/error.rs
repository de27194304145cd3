//! Why the journal can't be used.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::ErrorCode;

/// Why the journal can't be used. Nothing was changed by what failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// There is no state directory to put it into.
    #[error(
        "no place for the journal: neither XDG_STATE_HOME nor HOME is an absolute path; say \
         --journal FILE"
    )]
    NoPlace,
    /// The file, its folder or its locks can't be made or written.
    #[error(
        "the journal needs to make and write {}: make that possible, or say another --journal FILE",
        path.display()
    )]
    Place {
        /// What could not be made or written.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Something else is in the file.
    #[error("{} is no journal of uncork: say another --journal FILE", path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
    /// A later uncork has made it.
    #[error(
        "the journal {} has format {version}, which a newer uncork made: use that one, or say \
         another --journal FILE",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of its format.
        version: i64,
    },
    /// Another import puts mail into the same account.
    #[error(
        "another import into {account} is running{}{}: wait for its end, or stop it; it can be \
         resumed",
        pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(),
        since.map(|since| format!(" since {since:.0}")).unwrap_or_default()
    )]
    InUse {
        /// `user@host:port`.
        account: String,
        /// The other import's process.
        pid: Option<u32>,
        /// When the other import began.
        since: Option<Timestamp>,
    },
    /// Imports into other accounts have kept the file for too long.
    #[error(
        "other imports have kept the journal {} busy for too long: run fewer at once, or give \
         them a --journal FILE each",
        path.display()
    )]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("no room for the journal {}: make room on its disk and run again", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// What is in the file contradicts itself.
    #[error(
        "the journal {} is damaged ({reason}): move it away with its -wal and -shm files and run \
         again; the server will be asked what it has",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The file could not be read or written.
    #[error("the journal {} can't be read or written", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The import asked for something that makes no sense.
    #[error("{0}: this is a mistake in uncork; please report it")]
    Misused(&'static str),
}

impl JournalError {
    pub(super) fn place(path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Place {
            path: path.to_owned(),
            source: source.into(),
        }
    }

    pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    pub(super) fn sqlite(path: &Path, error: rusqlite::Error) -> Self {
        use rusqlite::Error as Sql;
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path },
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::NotADatabase) => Self::NotAJournal { path },
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                // SQLite makes its -wal and -shm files beside the journal.
                Self::Place {
                    path,
                    source: io::Error::other(error),
                }
            }
            Some(ErrorCode::DatabaseCorrupt) => Self::damaged(&path, error.to_string()),
            Some(_) => Self::Sqlite {
                path,
                source: error.into(),
            },
            None => match error {
                // A value of another type or range than this program ever writes.
                Sql::FromSqlConversionFailure(..)
                | Sql::IntegralValueOutOfRange(..)
                | Sql::InvalidColumnType(..)
                | Sql::QueryReturnedNoRows
                | Sql::Utf8Error(..) => Self::damaged(&path, error.to_string()),
                error => Self::Sqlite {
                    path,
                    source: error.into(),
                },
            },
        }
    }
}
