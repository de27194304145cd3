//! Files that are damaged, full, or no journals at all.

use std::fs;

use rusqlite::Connection;

use super::*;

#[test]
fn files_that_are_no_journals() {
    #[track_caller]
    fn check(make: impl FnOnce(&Home)) {
        let home = Home::new();
        make(&home);
        let before = fs::read(home.path()).unwrap();
        let error = home.try_open(ACCOUNT).unwrap_err();
        assert!(
            matches!(error, JournalError::NotAJournal { .. }),
            "{error:?}"
        );
        assert_eq!(fs::read(home.path()).unwrap(), before);
    }
    let sql = |home: &Home, sql: &str| {
        let other = Connection::open(home.path()).unwrap();
        other.execute_batch(sql).unwrap();
    };
    check(|home| fs::write(home.path(), "x").unwrap());
    check(|home| fs::write(home.path(), "From ada\n".repeat(1000)).unwrap());
    check(|home| fs::write(home.path(), b"SQLite format 3\0").unwrap());
    check(|home| sql(home, "CREATE TABLE theirs (x)"));
    check(|home| sql(home, "PRAGMA user_version = 7"));
    check(|home| sql(home, "PRAGMA application_id = 7"));
    check(|home| sql(home, "PRAGMA application_id = 0x756e636b"));
}

#[test]
fn a_journal_of_the_future() {
    let home = Home::new();
    drop(home.open());
    let later = Connection::open(home.path()).unwrap();
    later.execute_batch("PRAGMA user_version = 2").unwrap();
    let error = home.try_open(ACCOUNT).unwrap_err();
    assert!(
        matches!(error, JournalError::Newer { version: 2, .. }),
        "{error:?}"
    );
}

#[test]
fn damaged_files() {
    #[track_caller]
    fn check(sql: &str) {
        let home = Home::new();
        let mut journal = home.open();
        let inbox = journal.folder("INBOX").unwrap();
        let batch = journal.begin(inbox, items(&[1, 2]), 1).unwrap();
        journal.stored(batch, None, None).unwrap();
        drop(journal);
        let other = Connection::open(home.path()).unwrap();
        other.execute_batch(sql).unwrap();
        drop(other);
        let opened = home.try_open(ACCOUNT);
        let error = opened.and_then(|mut journal| journal.folder("INBOX"));
        let error = error.unwrap_err();
        assert!(
            matches!(error, JournalError::Damaged { .. }),
            "{sql}: {error:?}"
        );
    }
    check("UPDATE batch SET rows = 3");
    check("UPDATE batch SET rows = 1 << 40");
    check("UPDATE batch SET rows = -1");
    check("INSERT INTO batch VALUES (1, 9, 0, 0, 1, NULL, NULL)");
    check("UPDATE batch SET state = 3");
    check("UPDATE batch SET first_row = 0");
    check("INSERT INTO batch VALUES (1, 2, 1, 1, 1, NULL, NULL)");
    check("UPDATE message SET digest = x'00'");
    check(
        "UPDATE message SET row = row + (1 << 40); UPDATE batch SET first_row = first_row + (1 << 40)",
    );
    check("DELETE FROM message WHERE row = 1");
    check("UPDATE batch SET watermark = -1");
    check("UPDATE folder SET watermark = -1");
    check("UPDATE folder SET uid_validity = -1");
    check("UPDATE batch SET uid_floor = -1, state = 0");
}

#[test]
fn a_file_with_a_hole_is_an_error_and_no_panic() {
    let home = Home::new();
    let mut journal = home.open();
    let inbox = journal.folder("INBOX").unwrap();
    for _ in 0..20 {
        let all: Vec<u8> = (0..=255).collect();
        let batch = journal.begin(inbox, items(&all), 1).unwrap();
        journal.stored(batch, None, None).unwrap();
    }
    drop(journal);
    let other = Connection::open(home.path()).unwrap();
    let emptied = other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
    assert_eq!(emptied, Ok(0));
    drop(other);
    let whole = fs::read(home.path()).unwrap();
    let mut errors = 0;
    for page in 1..whole.len() / 4096 {
        let mut holed = whole.clone();
        holed[page * 4096..][..4096].fill(0xa5);
        fs::write(home.path(), &holed).unwrap();
        let opened = home.try_open(ACCOUNT);
        let opened = opened.and_then(|mut journal| journal.folder("INBOX"));
        match opened {
            Ok(_) => {}
            Err(JournalError::Damaged { .. } | JournalError::NotAJournal { .. }) => errors += 1,
            Err(error) => panic!("{error:?}"),
        }
        for log in ["-wal", "-shm"] {
            let mut path = home.path().into_os_string();
            path.push(log);
            let _ = fs::remove_file(path);
        }
    }
    assert!(errors > 20, "{errors}");
}

#[test]
fn a_full_disk() {
    let home = Home::new();
    let mut journal = home.open();
    let inbox = journal.folder("INBOX").unwrap();
    let pages = |db: &Connection| db.pragma_update(None, "max_page_count", 20);
    journal.store.read(pages).unwrap();
    let all: Vec<u8> = (0..=255).collect();
    let mut stored = 0;
    let error = loop {
        match journal.begin(inbox, items(&all), 1) {
            Ok(batch) => journal.stored(batch, None, None).unwrap(),
            Err(error) => break error,
        }
        stored += 256;
    };
    assert!(matches!(error, JournalError::Full { .. }), "{error:?}");
    // What was written before is as it was.
    assert_eq!(journal.record(inbox).stored, stored);
    drop(journal);
    let mut journal = home.open();
    let inbox = journal.folder("INBOX").unwrap();
    assert_eq!(journal.record(inbox).stored, stored);
    assert_eq!(journal.in_flight(inbox).unwrap(), []);
}
