//! What a journal knows from one run to the next, and what it says of a folder that is no
//! longer what it was.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use uncork_import::{
    Existing, ImportError, JournalError, JournalPlace, Options, Outcome, Source, Target,
};
use uncork_lab::imap::Fault;

use crate::imap_reader::append_all;
use crate::link::Link;
use crate::support::{
    Lab, Offers, assert_whole, import_with, names, numbered, numbered_mail, options,
};

/// A server behind an address that stays, and a journal.
struct Account {
    lab: Lab,
    link: Link,
    journal: TempDir,
    options: Options,
}

impl Account {
    fn new(offers: Offers, faults: Vec<Fault>) -> Self {
        let lab = Lab::offering(offers, faults);
        let link = Link::start(lab.server.addr(), &[]);
        let journal = tempfile::tempdir().unwrap();
        let mut options = options();
        options.journal = JournalPlace::File(journal.path().join("journal"));
        Self {
            lab,
            link,
            journal,
            options,
        }
    }

    fn import(&self, source: &Source) -> Outcome {
        let mut target =
            Target::parse(&format!("imap://lab@127.0.0.1:{}", self.link.port)).unwrap();
        target.folder = Some("Old".to_owned());
        import_with(source, &target, &self.options)
    }

    /// Does something to the folders on disk while no server runs.
    fn between(self, offers: Offers, change: impl FnOnce(&Path)) -> Self {
        let lab = self
            .lab
            .again_after(offers.personality(), Vec::new(), |root| change(root));
        self.link.lead_to(lab.server.addr());
        Self { lab, ..self }
    }

    fn numbers(&self) -> Vec<usize> {
        let mut numbers = crate::support::numbers(&self.lab.read("Old"));
        numbers.sort_unstable();
        numbers
    }
}

fn all(count: usize) -> Vec<usize> {
    (0..count).collect()
}

/// Without a look at the folder's mails: the journal knows them.
#[test]
fn a_second_run_adds_nothing() {
    let (_root, source) = numbered(230);
    for offers in Offers::ALL {
        for existing in [Existing::Skip, Existing::Append] {
            let mut account = Account::new(offers, Vec::new());
            account.options.existing = existing;
            assert_whole(&account.import(&source), 230);
            let outcome = account.import(&source);
            assert_whole(&outcome, 0);
            assert_eq!(outcome.report.already_there, 230);
            assert_eq!(outcome.report.notes, [""; 0]);
            assert_eq!(account.numbers(), all(230), "{offers:?}");
        }
    }
}

#[test]
fn copies_are_made_for_who_wants_them() {
    let (_root, source) = numbered(20);
    let mut account = Account::new(Offers::MultiAppend, Vec::new());
    account.options.existing = Existing::Append;
    account.options.journal = JournalPlace::Memory;
    for _ in 0..2 {
        assert_whole(&account.import(&source), 20);
    }
    assert_eq!(account.numbers().len(), 40);
}

/// Two mails that only their text tells apart, and the journal is lost between them.
#[test]
fn texts_tell_alike_mails_apart_where_they_are_compared() {
    let mail = |body: &str| {
        format!("Message-ID: <1@lab>\r\nDate: Mon, 2 Mar 2026 10:00:00 +0000\r\n\r\n{body}\r\n")
    };
    let root = tempfile::tempdir().unwrap();
    for existing in [Existing::Skip, Existing::Compare] {
        let mut account = Account::new(Offers::MultiAppend, Vec::new());
        account.options.existing = existing;
        account.options.journal = JournalPlace::Memory;
        let second = root.path().join("second.eml");
        std::fs::write(&second, mail("second")).unwrap();
        assert_whole(&account.import(&Source::open(&second).unwrap()), 1);
        let both = root.path().join("both");
        std::fs::create_dir_all(&both).unwrap();
        std::fs::write(both.join("1.eml"), mail("first.")).unwrap();
        std::fs::write(both.join("2.eml"), mail("second")).unwrap();
        let outcome = account.import(&Source::open(&both).unwrap());
        assert_whole(&outcome, 1);
        assert_eq!(outcome.report.already_there, 1);
        let stored = account.lab.read("Old").into_iter();
        let mut texts: Vec<_> = stored.map(|mail| mail.bytes).collect();
        texts.sort();
        let kept = match existing {
            Existing::Compare => "first.",
            _ => "second",
        };
        assert_eq!(
            texts,
            [mail(kept), mail("second")].map(String::into_bytes),
            "{existing:?}"
        );
    }
}

/// A mail that was refused is not sent again, and named again.
#[test]
fn what_was_refused_stays_refused() {
    let (_root, source) = numbered(10);
    let refuse = Fault::RefuseMessage {
        message: 5,
        reason: "not that one".to_owned(),
        code: None,
    };
    let account = Account::new(Offers::LiteralPlus, vec![refuse]);
    assert_eq!(account.import(&source).report.refused_messages, 1);
    let appends = account.lab.appends();
    let outcome = account.import(&source);
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    let report = &outcome.report;
    assert_eq!((report.imported, report.already_there), (0, 9));
    assert_eq!(names(&report.refused), ["004.eml"]);
    assert!(report.refused[0].reason.contains("not that one"));
    assert_eq!(account.lab.appends(), appends);
}

/// Somebody else's mails between two runs, some of them the source's.
#[test]
fn mails_of_another_client_between_two_runs() {
    for offers in Offers::ALL {
        let account = Account::new(offers, Vec::new());
        let (_root, source) = numbered(100);
        assert_whole(&account.import(&source), 100);
        let others = [numbered_mail(110), numbered_mail(7), numbered_mail(300)];
        let others: Vec<&[u8]> = others.iter().map(String::as_bytes).collect();
        append_all(account.lab.server.addr(), "Old", &others);
        let (_root, source) = numbered(120);
        let outcome = account.import(&source);
        assert_whole(&outcome, 19);
        assert_eq!(outcome.report.already_there, 101, "{offers:?}");
        let mut expected = all(120);
        expected.extend([7, 300]);
        expected.sort_unstable();
        assert_eq!(account.numbers(), expected, "{offers:?}");
    }
}

/// What the user has deleted since does not come back, and that is said.
#[test]
fn mails_deleted_between_two_runs() {
    let (_root, source) = numbered(30);
    let account = Account::new(Offers::MultiAppend, Vec::new());
    assert_whole(&account.import(&source), 30);
    let account = account.between(Offers::MultiAppend, |root| {
        for file in fs::read_dir(root.join(".Old/cur")).unwrap() {
            let path = file.unwrap().path();
            if fs::read(&path).unwrap() == numbered_mail(3).as_bytes() {
                fs::remove_file(path).unwrap();
            }
        }
    });
    let outcome = account.import(&source);
    assert_whole(&outcome, 0);
    assert_eq!(outcome.report.already_there, 30);
    let notes = &outcome.report.notes;
    assert!(
        notes.len() == 1 && notes[0].contains("deleted"),
        "{notes:?}"
    );
    assert_eq!(account.numbers().len(), 29);
}

/// A folder that is gone, or another one of the same name: all that is missing goes in again.
#[test]
fn a_folder_deleted_or_replaced_between_two_runs() {
    let (_root, source) = numbered(230);
    for (there, notes) in [(0, 1), (40, 1)] {
        let account = Account::new(Offers::MultiAppend, Vec::new());
        assert_whole(&account.import(&source), 230);
        let account = account.between(Offers::MultiAppend, |root| {
            fs::remove_dir_all(root.join(".Old")).unwrap();
            // UIDVALIDITY is the second of a folder's making.
            let second = || {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                now.unwrap().as_secs()
            };
            let made = second();
            while second() == made {
                thread::sleep(Duration::from_millis(10));
            }
            if there > 0 {
                fs::create_dir_all(root.join(".Old/new")).unwrap();
            }
            for n in 0..there {
                let path = root.join(format!(".Old/new/{n}.M0.host"));
                fs::write(path, numbered_mail(n)).unwrap();
            }
        });
        let outcome = account.import(&source);
        assert_whole(&outcome, 230 - there as u64);
        assert_eq!(outcome.report.already_there, there as u64);
        assert_eq!(
            outcome.report.notes.len(),
            notes,
            "{:?}",
            outcome.report.notes
        );
        assert_eq!(account.numbers(), all(230));
    }
}

#[test]
fn two_runs_at_once_on_one_journal() {
    let (_root, source) = numbered(30);
    let slow = Fault::SlowDisk(Duration::from_millis(20));
    let account = Account::new(Offers::LiteralPlus, vec![slow]);
    thread::scope(|scope| {
        let first = scope.spawn(|| account.import(&source));
        while account.lab.stored() == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        let error = account.import(&source).error.unwrap();
        let is_in_use = matches!(error, ImportError::Journal(JournalError::InUse { .. }));
        assert!(is_in_use, "{error:?}");
        assert_whole(&first.join().unwrap(), 30);
    });
    assert_eq!(account.numbers(), all(30));
    assert!(account.journal.path().join("journal").is_file());
}

/// Ends in the middle, and goes on from there.
#[test]
fn a_run_that_is_stopped() {
    let (_root, source) = numbered(300);
    for offers in Offers::ALL {
        let slow = Fault::SlowDisk(Duration::from_millis(1));
        let mut account = Account::new(offers, vec![slow]);
        let stop = account.options.stop.clone();
        let outcome = thread::scope(|scope| {
            let first = scope.spawn(|| account.import(&source));
            while account.lab.stored() == 0 {
                thread::sleep(Duration::from_millis(1));
            }
            stop.stop();
            first.join().unwrap()
        });
        let error = outcome.error.unwrap();
        assert!(matches!(error, ImportError::Stopped), "{error:?}");
        let imported = outcome.report.imported;
        assert_eq!(
            (imported, outcome.report.unknown_messages),
            (account.lab.stored(), 0)
        );
        account.options.stop = uncork_import::Stop::default();
        let outcome = account.import(&source);
        assert_whole(&outcome, 300 - imported);
        assert_eq!(account.numbers(), all(300), "{offers:?}");
    }
}
