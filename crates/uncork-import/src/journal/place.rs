//! Where the journal's file is.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::JournalError;

/// No SQLite file is shorter, but an empty one.
const SQLITE_HEADER_BYTES: u64 = 100;

/// Where the journal is if nobody says otherwise: `uncork/import.sqlite` in the user's state
/// directory, by the XDG base directory specification.
///
/// # Errors
/// [`JournalError::NoPlace`] where the user has no such directory.
pub fn default_path() -> Result<PathBuf, JournalError> {
    let variable = |name| std::env::var_os(name);
    path_from(variable("XDG_STATE_HOME"), variable("HOME")).ok_or(JournalError::NoPlace)
}

fn path_from(state: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    // The specification has relative paths ignored.
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let in_home = || Some(home.and_then(absolute)?.join(".local/state"));
    let state = state.and_then(absolute).or_else(in_home)?;
    Some(state.join("uncork/import.sqlite"))
}

/// Makes the file, with its folders, where it is missing, and gives the one name by which all
/// its users find the same locks.
pub(super) fn make_file(path: &Path) -> Result<PathBuf, JournalError> {
    let failed = |error: io::Error| JournalError::place(path, error);
    // An absolute path is never one of SQLite's own names, like ":memory:".
    let path = std::path::absolute(path).map_err(failed)?;
    if let Some(folder) = path.parent() {
        make_private(folder)?;
    }
    // A file that is there is not opened: closing it would take SQLite's own locks on it from
    // another journal of this process (POSIX locks belong to the process).
    let mut new = OpenOptions::new();
    match new.write(true).create_new(true).mode(0o600).open(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let found = fs::metadata(&path).map_err(failed)?;
    // SQLite takes a file of one byte for an empty one.
    let is_too_short = (1..SQLITE_HEADER_BYTES).contains(&found.len());
    if !found.is_file() || is_too_short {
        return Err(JournalError::NotAJournal { path });
    }
    fs::canonicalize(&path).map_err(failed)
}

/// Makes a folder that only its owner may enter, with those above it, where it is missing.
pub(super) fn make_private(folder: &Path) -> Result<(), JournalError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| JournalError::place(folder, error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_state_directory() {
        #[track_caller]
        fn check(state: Option<&str>, home: Option<&str>, expected: Option<&str>) {
            let found = path_from(state.map(OsString::from), home.map(OsString::from));
            assert_eq!(found.as_deref(), expected.map(Path::new));
        }
        let own = Some("/s/uncork/import.sqlite");
        let of_home = Some("/h/.local/state/uncork/import.sqlite");
        check(Some("/s"), Some("/h"), own);
        check(Some("/s"), None, own);
        check(None, Some("/h"), of_home);
        check(Some(""), Some("/h"), of_home);
        check(Some("s"), Some("/h"), of_home);
        check(None, Some("h"), None);
        check(None, None, None);
    }

    #[test]
    fn only_the_owner_gets_at_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/journal");
        make_file(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&folder.path().join("a/b")), 0o700);
        assert_eq!(mode(&folder.path().join("a")), 0o700);
    }

    #[test]
    fn one_name_for_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let expected = make_file(&path).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(make_file(&link).unwrap(), expected);
    }

    #[test]
    fn places_that_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let error = make_file(folder.path()).unwrap_err();
        assert!(
            matches!(error, JournalError::NotAJournal { .. }),
            "{error:?}"
        );
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = make_file(&file.join("journal")).unwrap_err();
        assert!(matches!(error, JournalError::Place { .. }), "{error:?}");
        for nowhere in ["", "/proc/journal", "/proc/a/journal"] {
            let error = make_file(Path::new(nowhere)).unwrap_err();
            assert!(matches!(error, JournalError::Place { .. }), "{error:?}");
        }
    }
}
