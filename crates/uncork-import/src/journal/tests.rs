//! The journal as an import sees it.

use std::path::PathBuf;

use jiff::civil::date;
use tempfile::TempDir;

use super::folder::FolderRecord;
use super::read_back::Missing;
use super::*;
use crate::mail::{Digest, Identity, OnServer};

mod crash;
mod files;
mod model;

const ACCOUNT: &str = "ada@mail.example:993";

/// A journal's file in a folder of its own, and what opens it.
struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("journal.sqlite")
    }

    fn open(&self) -> Journal {
        self.try_open(ACCOUNT).unwrap()
    }

    fn try_open(&self, account: &str) -> Result<Journal, JournalError> {
        Journal::open(&JournalPlace::File(self.path()), account)
    }
}

/// Mails with even and with odd numbers share the part of their digest that is kept in memory.
fn digest(number: u8) -> Digest {
    let mut digest = [number % 2; 32];
    digest[31] = number;
    digest
}

fn item(number: u8) -> Item {
    Item {
        digest: digest(number),
        identity: identity(u64::MAX - u64::from(number)),
        len: 1000 + u64::from(number),
    }
}

fn identity(key: u64) -> Identity {
    Identity {
        key,
        has_message_id: true,
    }
}

fn items(numbers: &[u8]) -> impl Iterator<Item = Item> {
    numbers.iter().copied().map(item)
}

fn claims(journal: &mut Journal, folder: FolderId, numbers: &[u8]) -> Vec<Claim> {
    let claims = numbers.iter();
    let claims = claims.map(|&number| journal.claim(folder, &digest(number)));
    claims.collect::<Result<_, _>>().unwrap()
}

fn refused(reason: &str) -> Claim {
    let reason = reason.to_owned();
    Claim::Refused { reason }
}

#[test]
fn a_second_run_finds_what_the_first_has_stored() {
    let home = Home::new();
    let mut journal = home.open();
    let inbox = journal.folder("INBOX").unwrap();
    assert_eq!(journal.folder("INBOX").unwrap(), inbox);
    assert_eq!(journal.record(inbox), FolderRecord::default());
    assert_eq!(
        claims(&mut journal, inbox, &[1, 2]),
        [Claim::New, Claim::New]
    );
    journal.set_watermark(inbox, 77, 5).unwrap();
    let batch = journal.begin(inbox, items(&[1, 2, 2]), 5).unwrap();
    // What this run has in flight belongs to the mails that it was begun for.
    assert_eq!(claims(&mut journal, inbox, &[1]), [Claim::New]);
    journal.stored(batch, Some(&[5..=7]), Some(8)).unwrap();
    assert_eq!(claims(&mut journal, inbox, &[1]), [Claim::New]);
    let record = journal.record(inbox);
    drop(journal);

    let mut journal = home.open();
    let inbox = journal.folder("INBOX").unwrap();
    let found = journal.record(inbox);
    assert!(found.last_run.is_some());
    assert_eq!(found.uid_validity, Some(77));
    assert_eq!((found.watermark, found.stored), (8, 3));
    assert_eq!(
        FolderRecord {
            last_run: None,
            ..found
        },
        record
    );
    assert_eq!(journal.in_flight(inbox).unwrap(), []);
    // Each mail of the source claims one; 3 was never there, but looks the same in memory.
    assert_eq!(
        claims(&mut journal, inbox, &[2, 3, 1, 2, 2, 1]),
        [
            Claim::Stored,
            Claim::New,
            Claim::Stored,
            Claim::Stored,
            Claim::New,
            Claim::New
        ]
    );
}

#[test]
fn folders_and_accounts_are_apart() {
    let home = Home::new();
    let mut journal = home.open();
    let inbox = journal.folder("INBOX").unwrap();
    let batch = journal.begin(inbox, items(&[1]), 1).unwrap();
    journal.stored(batch, None, None).unwrap();
    drop(journal);
    let mut ours = home.open();
    let mut theirs = home.try_open("bob@mail.example:993").unwrap();
    let check = |journal: &mut Journal, folder, expected| {
        let folder = journal.folder(folder).unwrap();
        assert_eq!(claims(journal, folder, &[1]), [expected]);
    };
    check(&mut ours, "INBOX", Claim::Stored);
    check(&mut ours, "Old", Claim::New);
    check(&mut theirs, "INBOX", Claim::New);
}

#[test]
fn what_was_in_flight_is_asked_for_first() {
    let home = Home::new();
    let mut journal = home.open();
    let inbox = journal.folder("INBOX").unwrap();
    journal.begin(inbox, items(&[1, 2, 3]), 9).unwrap();
    assert_eq!(journal.in_flight(inbox).unwrap(), []);
    drop(journal);

    let mut journal = home.open();
    let inbox = journal.folder("INBOX").unwrap();
    let left = journal.in_flight(inbox).unwrap();
    let [left] = left.as_slice() else {
        panic!("{left:?}");
    };
    assert_eq!(left.uid_floor, 9);
    assert_eq!(left.items, items(&[1, 2, 3]).collect::<Vec<_>>());
    assert_eq!(
        claims(&mut journal, inbox, &[3, 4]),
        [Claim::InFlight(left.batch), Claim::New]
    );
    // The server has the first two.
    let [there, missing] = journal.split(left.batch, 2).unwrap();
    journal.stored(there, Some(&[9..=10]), Some(11)).unwrap();
    journal.absent(missing).unwrap();
    assert_eq!(journal.in_flight(inbox).unwrap(), []);
    assert_eq!(
        claims(&mut journal, inbox, &[3, 2, 1]),
        [Claim::New, Claim::Stored, Claim::Stored]
    );
    assert_eq!(journal.record(inbox).stored, 2);
}

#[test]
fn what_was_absent_and_is_sent_again_is_claimed_by_whom_it_is_sent_for() {
    let home = Home::new();
    let mut journal = home.open();
    let inbox = journal.folder("INBOX").unwrap();
    journal.begin(inbox, items(&[1]), 1).unwrap();
    drop(journal);
    let mut journal = home.open();
    let inbox = journal.folder("INBOX").unwrap();
    for left in journal.in_flight(inbox).unwrap() {
        journal.absent(left.batch).unwrap();
    }
    // In the same row as before.
    let batch = journal.begin(inbox, items(&[1]), 1).unwrap();
    journal.stored(batch, None, None).unwrap();
    assert_eq!(claims(&mut journal, inbox, &[1]), [Claim::New]);
}

#[test]
fn a_refused_batch_in_halves() {
    let home = Home::new();
    let mut journal = home.open();
    let inbox = journal.folder("INBOX").unwrap();
    let batch = journal.begin(inbox, items(&[1, 2, 3]), 1).unwrap();
    let [first, rest] = journal.split(batch, 1).unwrap();
    let [second, third] = journal.split(rest, 1).unwrap();
    journal.stored(third, Some(&[1..=1]), None).unwrap();
    journal
        .refused(second, "too large", "old.mbox at byte 5")
        .unwrap();
    journal.stored(first, Some(&[2..=2]), None).unwrap();
    let record = journal.record(inbox);
    assert_eq!((record.stored, record.refused), (2, 1));
    drop(journal);

    let mut journal = home.open();
    let inbox = journal.folder("INBOX").unwrap();
    assert_eq!(
        claims(&mut journal, inbox, &[1, 2, 3, 2]),
        [
            Claim::Stored,
            refused("too large"),
            Claim::Stored,
            Claim::New
        ]
    );
    assert!(matches!(
        journal.retry_refused(),
        Err(JournalError::Misused(_))
    ));
    drop(journal);

    let mut journal = home.open();
    assert_eq!(journal.retry_refused().unwrap(), 1);
    assert_eq!(journal.retry_refused().unwrap(), 0);
    let inbox = journal.folder("INBOX").unwrap();
    assert_eq!(
        claims(&mut journal, inbox, &[1, 2, 3]),
        [Claim::Stored, Claim::New, Claim::Stored]
    );
}

#[test]
fn another_folder_of_the_same_name() {
    let home = Home::new();
    let mut journal = home.open();
    let inbox = journal.folder("INBOX").unwrap();
    let old = journal.folder("Old").unwrap();
    for folder in [inbox, old] {
        journal.set_watermark(folder, 1, 10).unwrap();
        let batch = journal.begin(folder, items(&[1]), 10).unwrap();
        journal.stored(batch, None, Some(11)).unwrap();
        let batch = journal.begin(folder, items(&[2]), 11).unwrap();
        journal.refused(batch, "no", "").unwrap();
        journal.begin(folder, items(&[3]), 11).unwrap();
        let found = OnServer {
            uid: 3,
            identity: identity(3),
            len: 3,
        };
        journal.add_existing(folder, &[found]).unwrap();
    }
    drop(journal);

    let mut journal = home.open();
    let inbox = journal.folder("INBOX").unwrap();
    let sent = journal.begin(inbox, items(&[4]), 11).unwrap();
    journal.forget(inbox, 2).unwrap();
    let record = journal.record(inbox);
    assert_eq!((record.uid_validity, record.watermark), (Some(2), 0));
    assert_eq!((record.stored, record.refused), (0, 0));
    assert_eq!(journal.in_flight(inbox).unwrap(), []);
    assert_eq!(
        claims(&mut journal, inbox, &[1, 2, 3]),
        [const { Claim::New }; 3]
    );
    let gone = journal.take_existing(inbox, identity(3), 3).unwrap();
    assert_eq!(gone, None);
    // What this run has sent may well have come into the new one.
    journal.stored(sent, None, None).unwrap();
    drop(journal);

    let mut journal = home.open();
    let inbox = journal.folder("INBOX").unwrap();
    assert_eq!(journal.record(inbox).uid_validity, Some(2));
    assert_eq!(
        claims(&mut journal, inbox, &[1, 2, 3, 4]),
        [Claim::New, Claim::New, Claim::New, Claim::Stored]
    );
    let old = journal.folder("Old").unwrap();
    assert_eq!(journal.record(old).watermark, 11);
    assert_eq!(
        claims(&mut journal, old, &[1, 2]),
        [Claim::Stored, refused("no")]
    );
    assert_eq!(journal.in_flight(old).unwrap().len(), 1);
}

#[test]
fn mails_that_were_on_the_server() {
    let home = Home::new();
    let mut journal = home.open();
    let inbox = journal.folder("INBOX").unwrap();
    let nameless = Identity {
        key: 0,
        has_message_id: false,
    };
    let found = |uid, identity, len| OnServer { uid, identity, len };
    let first = [
        found(3, identity(8), 100),
        found(7, identity(8), 90),
        found(5, nameless, 10),
        found(9, nameless, 10),
        found(6, nameless, 11),
    ];
    journal.add_existing(inbox, &first).unwrap();
    for run in 0..2 {
        let mut take = |identity, len| journal.take_existing(inbox, identity, len).unwrap();
        assert_eq!(take(identity(1), 1), None, "in run {run}");
        assert_eq!(
            take(identity(8), 90),
            Some(ExistingMatch::Exact { uid: 7 }),
            "in run {run}"
        );
        assert_eq!(
            take(identity(8), 90),
            Some(ExistingMatch::Altered { uid: 3 })
        );
        assert_eq!(take(identity(8), 90), None);
        // Without a Message-ID its text says whether it is the same mail.
        assert_eq!(take(nameless, 10), None);
        let candidates = |journal: &mut Journal| {
            let candidates = journal.existing_candidates(inbox, nameless, 10).unwrap();
            candidates.collect::<Vec<_>>()
        };
        assert_eq!(candidates(&mut journal), [5, 9]);
        assert!(journal.claim_existing(inbox, nameless, 10, 9).unwrap());
        assert!(!journal.claim_existing(inbox, nameless, 10, 9).unwrap());
        assert_eq!(candidates(&mut journal), [5]);
        // What is known and claimed is not there a second time.
        journal.add_existing(inbox, &first).unwrap();
        assert_eq!(candidates(&mut journal), [5]);
        let new = [found(20 + run, nameless, 12)];
        journal.add_existing(inbox, &new).unwrap();
        let new = journal.existing_candidates(inbox, nameless, 12).unwrap();
        assert_eq!(new.count(), 1 + run as usize);
        drop(journal);
        journal = home.open();
        assert_eq!(journal.folder("INBOX").unwrap(), inbox);
    }
}

#[test]
fn what_must_be_read_back() {
    let home = Home::new();
    let mut journal = home.open();
    let inbox = journal.folder("INBOX").unwrap();
    let batch = journal.begin(inbox, items(&[1, 1, 2]), 1).unwrap();
    journal.stored(batch, None, None).unwrap();
    drop(journal);

    let mut journal = home.open();
    let inbox = journal.folder("INBOX").unwrap();
    // This run's source has one of the 1s and no 2; it brings 3 and 5, and 4 is refused.
    assert_eq!(claims(&mut journal, inbox, &[1]), [Claim::Stored]);
    let batch = journal.begin(inbox, items(&[3, 5]), 1).unwrap();
    journal.stored(batch, None, None).unwrap();
    let batch = journal.begin(inbox, items(&[4]), 1).unwrap();
    journal.refused(batch, "no", "").unwrap();
    let seen = [1, 1, 2, 3, 4].map(|number| journal.see_back(inbox, &digest(number)).unwrap());
    assert_eq!(seen, [true, false, false, true, false]);
    let missing = Missing {
        count: 1,
        first: vec![item(5)],
    };
    assert_eq!(journal.not_seen_back(inbox).unwrap(), missing);
}

#[test]
fn bytes_of_a_day() {
    let home = Home::new();
    let [first, second] = [date(2026, 1, 1), date(2026, 1, 2)];
    let mut journal = home.open();
    journal.add_bytes(first, 5).unwrap();
    journal.add_bytes(first, 6).unwrap();
    assert_eq!(journal.bytes_on(first).unwrap(), 11);
    journal.add_bytes(first, 1).unwrap();
    journal.add_bytes(second, u64::MAX).unwrap();
    drop(journal);
    let mut journal = home.open();
    assert_eq!(journal.bytes_on(first).unwrap(), 12);
    assert!(journal.bytes_on(second).unwrap() > u64::MAX / 8);
    journal.add_bytes(second, u64::MAX).unwrap();
    drop(journal);
    let journal = home.open();
    assert!(journal.bytes_on(second).unwrap() > u64::MAX / 8);
    let other = home.try_open("bob@mail.example:993").unwrap();
    assert_eq!(other.bytes_on(first).unwrap(), 0);
}

#[test]
fn in_memory_nothing_is_left() {
    for _ in 0..2 {
        let mut journal = Journal::open(&JournalPlace::Memory, ACCOUNT).unwrap();
        let inbox = journal.folder("INBOX").unwrap();
        assert_eq!(journal.record(inbox).stored, 0);
        let batch = journal.begin(inbox, items(&[1]), 1).unwrap();
        journal.stored(batch, None, None).unwrap();
        assert_eq!(journal.record(inbox).stored, 1);
    }
}

#[test]
fn one_import_at_a_time_into_an_account() {
    let home = Home::new();
    let first = home.open();
    let error = home.try_open(ACCOUNT).unwrap_err();
    let said = error.to_string();
    let JournalError::InUse {
        account,
        pid,
        since,
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(account, ACCOUNT);
    assert_eq!(pid, Some(std::process::id()));
    assert!(since.is_some());
    assert!(said.contains("wait for its end"), "{said}");
    home.try_open("bob@mail.example:993").unwrap();
    drop(first);
    home.open();
}

#[test]
fn imports_into_several_accounts_at_once() {
    const BATCHES: u64 = 40;
    let home = Home::new();
    let import = |account: &str| {
        let mut journal = home.try_open(account).unwrap();
        let inbox = journal.folder("INBOX").unwrap();
        for _ in 0..BATCHES {
            let batch = journal.begin(inbox, items(&[1, 2]), 1).unwrap();
            journal.stored(batch, None, None).unwrap();
        }
    };
    let accounts = ["a@x:143", "b@x:143", "c@x:143", "d@x:143"];
    // The first of them makes the file, whichever that is.
    std::thread::scope(|scope| {
        for account in accounts {
            scope.spawn(|| import(account));
        }
    });
    for account in accounts {
        let mut journal = home.try_open(account).unwrap();
        let inbox = journal.folder("INBOX").unwrap();
        assert_eq!(journal.record(inbox).stored, 2 * BATCHES);
        for nth in 0..=BATCHES {
            let expected = if nth < BATCHES {
                Claim::Stored
            } else {
                Claim::New
            };
            assert_eq!(claims(&mut journal, inbox, &[1]), [expected]);
        }
    }
}

#[test]
fn an_answer_that_makes_no_sense_changes_nothing() {
    let home = Home::new();
    let mut journal = home.open();
    let inbox = journal.folder("INBOX").unwrap();
    let misused = |result: Result<(), JournalError>| {
        assert!(
            matches!(result, Err(JournalError::Misused(_))),
            "{result:?}"
        );
    };
    misused(journal.begin(inbox, items(&[]), 1).map(drop));
    journal.set_watermark(inbox, 1, 5).unwrap();
    misused(journal.set_watermark(inbox, 2, 9));
    journal.set_watermark(inbox, 1, 3).unwrap();
    assert_eq!(journal.record(inbox).watermark, 5);
    let batch = journal.begin(inbox, items(&[1, 2]), 1).unwrap();
    misused(journal.split(batch, 0).map(drop));
    misused(journal.split(batch, 2).map(drop));
    misused(journal.refused(batch, "no", ""));
    journal.stored(batch, None, None).unwrap();
    misused(journal.stored(batch, None, None));
    misused(journal.absent(batch));
    assert_eq!(journal.record(inbox).stored, 2);
}
