//! A process that uses the journal is killed: what it was told is written is there.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

/// Makes this test the child, which writes into this file.
const PATH_VARIABLE: &str = "UNCORK_TEST_JOURNAL";

/// Mails of a batch of the child.
const BATCH: u64 = 10;

fn numbered(number: u64) -> Item {
    Item {
        digest: *blake3::hash(&number.to_le_bytes()).as_bytes(),
        identity: identity(number),
        len: number,
    }
}

/// The child: says what it has done, and goes on until it is killed.
fn write_on(path: PathBuf) {
    let mut journal = Journal::open(&JournalPlace::File(path), ACCOUNT).unwrap();
    let inbox = journal.folder("INBOX").unwrap();
    let mut out = std::io::stdout().lock();
    for batch in 0_u64.. {
        let mails = (batch * BATCH..(batch + 1) * BATCH).map(numbered);
        let id = journal.begin(inbox, mails, 1).unwrap();
        writeln!(out, "begun {batch}").unwrap();
        journal.stored(id, None, Some(batch)).unwrap();
        writeln!(out, "stored {batch}").unwrap();
    }
}

/// Kills a child after some lines and gives the numbers of batches that it said were begun and
/// stored.
fn kill_after(path: &Path, lines: usize) -> (u64, u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("journal::tests::crash::killed_at_any_moment")
        .env(PATH_VARIABLE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let (mut begun, mut stored) = (0, 0);
    let mut said = out.lines().map(Result::unwrap).filter(|line| {
        let counts = [(&mut begun, "begun "), (&mut stored, "stored ")];
        counts.into_iter().any(|(count, word)| {
            let is_it = line.contains(word);
            *count += u64::from(is_it);
            is_it
        })
    });
    let read = said.by_ref().take(lines).count();
    assert_eq!(read, lines, "the child has ended by itself");
    // SIGKILL.
    child.kill().unwrap();
    said.for_each(drop);
    child.wait().unwrap();
    (begun, stored)
}

#[test]
fn killed_at_any_moment() {
    if let Some(path) = std::env::var_os(PATH_VARIABLE) {
        write_on(path.into());
        return;
    }
    for lines in [1, 2, 3, 50, 501, 3000] {
        let home = Home::new();
        let (begun, stored) = kill_after(&home.path(), lines);
        assert!(begun > 0);
        // The kernel has given the lock back.
        let mut journal = home.open();
        let sound: String = journal
            .store
            .read(|db| db.query_row("PRAGMA integrity_check", [], |row| row.get(0)))
            .unwrap();
        assert_eq!(sound, "ok");
        let inbox = journal.folder("INBOX").unwrap();
        let left = journal.in_flight(inbox).unwrap();
        let known = journal.record(inbox).stored / BATCH;
        // It may have died between doing and saying.
        assert!((stored..=stored + 1).contains(&known), "{stored} {known}");
        assert!(left.len() <= 1);
        let all = known + left.len() as u64;
        assert!((begun..=begun + 1).contains(&all), "{begun} {all}");
        for left in left {
            let expected = (known * BATCH..(known + 1) * BATCH).map(numbered);
            assert_eq!(left.items, expected.collect::<Vec<_>>());
            journal.absent(left.batch).unwrap();
        }
        for number in 0..all * BATCH {
            let expected = match number < known * BATCH {
                true => Claim::Stored,
                false => Claim::New,
            };
            let claim = journal.claim(inbox, &numbered(number).digest).unwrap();
            assert_eq!(claim, expected);
        }
    }
}
