//! What arrives when nothing goes wrong: every byte, flag and date, in order and in few calls.

use uncork_import::Source;
use uncork_lab::imap::Manners;
use uncork_lab::mail::{MailGenerator, write_eml_folder};

use crate::imap_reader::StoredMail;
use crate::support::{FILE_DATE, Lab, Offers, assert_whole, maildir, numbered, numbers};

const SEED: u64 = 3;
const MAILS: usize = 300;

/// The batches of 300 generated mails: 100 mails each, none of them near 4 MiB.
const BATCHES: u64 = 3;

/// What is asked before the first mail leaves, and said after the last: about folders and what
/// is in them.
const QUESTIONS: u64 = 6;

/// So many bytes leave without anything to wait for.
const FLUSH_BYTES: u64 = 256 * 1024;

#[track_caller]
fn check(offers: Offers, manners: Manners, source: &Source, expected: &[StoredMail]) {
    let what = format!("{offers:?}, {manners:?}");
    let lab = Lab::with_manners(offers, manners);
    let outcome = lab.import(source);
    assert_whole(&outcome, expected.len() as u64);
    let stored = lab.read("INBOX");
    assert_eq!(stored.len(), expected.len(), "{what}");
    for (n, (stored, expected)) in stored.iter().zip(expected).enumerate() {
        assert!(stored.bytes == expected.bytes, "{what}: bytes of mail {n}");
        assert_eq!(stored, expected, "{what}: mail {n}");
    }

    let report = &outcome.report;
    let bytes: u64 = expected.iter().map(|mail| mail.bytes.len() as u64).sum();
    assert_eq!(report.bytes, bytes, "{what}");
    assert_eq!(report.already_there, 0);
    assert_eq!(report.connections, 1);
    assert_eq!(
        lab.server.connections(),
        2,
        "{what}: the importer's and the reader's"
    );
    assert_eq!(report.capabilities_used, offers.used());
    let commands = match offers {
        Offers::MultiAppend => BATCHES,
        _ => expected.len() as u64,
    };
    assert_eq!(
        (report.commands, lab.appends()),
        (commands, commands),
        "{what}"
    );
    assert!(report.seconds > 0.0 && report.messages_per_second > 0.0);

    let waits = expected.iter().filter(|mail| match offers {
        Offers::Nothing => true,
        Offers::LiteralMinus => mail.bytes.len() > 4096,
        Offers::LiteralPlus | Offers::MultiAppend => false,
    });
    let departures = match offers {
        Offers::MultiAppend => BATCHES,
        _ => waits.count() as u64 + 1 + bytes / FLUSH_BYTES,
    };
    // What is there leaves when the next batch is not, and a full buffer cuts a departure.
    let most = departures + BATCHES + 2 + QUESTIONS;
    assert!(
        report.send_calls <= most,
        "{what}: {} calls, at most {most}",
        report.send_calls
    );
    if offers == Offers::Nothing {
        // The end of one mail and the command for the next leave together.
        assert!(
            report.send_calls > MAILS as u64,
            "{what}: {} calls",
            report.send_calls
        );
    }
}

#[test]
fn a_maildir_arrives_as_it_is() {
    let (_root, source, expected) = maildir(SEED, MAILS);
    for offers in Offers::ALL {
        for manners in [Manners::Naive, Manners::Careful] {
            check(offers, manners, &source, &expected);
        }
    }
}

#[test]
fn an_eml_folder_arrives_with_the_dates_of_its_headers() {
    let root = tempfile::tempdir().unwrap();
    write_eml_folder(root.path(), SEED, MAILS).unwrap();
    for entry in std::fs::read_dir(root.path()).unwrap() {
        let path = entry.unwrap().path();
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(FILE_DATE.into()).unwrap();
    }
    let source = Source::open(root.path()).unwrap();
    // By name, which is the order of their making; an export has no flags.
    let expected: Vec<StoredMail> = MailGenerator::new(SEED)
        .take(MAILS)
        .map(|mail| StoredMail {
            flags: Vec::new(),
            internal_date: mail.internal_date,
            bytes: mail.bytes_crlf(),
        })
        .collect();
    for offers in Offers::ALL {
        for manners in [Manners::Naive, Manners::Careful] {
            check(offers, manners, &source, &expected);
        }
    }
}

/// The folder has all of them: nothing is sent, whatever the source says of their flags now.
#[test]
fn a_second_run_adds_nothing() {
    let (root, _, expected) = maildir(SEED, 200);
    for offers in Offers::ALL {
        let lab = Lab::offering(offers, Vec::new());
        assert_whole(&lab.import(&Source::open(root.path()).unwrap()), 200);
        let appends = lab.appends();
        flag_all(root.path());
        let outcome = lab.import(&Source::open(root.path()).unwrap());
        assert_whole(&outcome, 0);
        assert_eq!(outcome.report.already_there, 200, "{offers:?}");
        assert_eq!(lab.appends(), appends);
        let stored = lab.read("INBOX");
        let bytes = |mails: &[StoredMail]| -> Vec<Vec<u8>> {
            mails.iter().map(|mail| mail.bytes.clone()).collect()
        };
        assert!(bytes(&stored) == bytes(&expected), "{offers:?}");
    }
}

/// Gives all mails of a Maildir the flags `F` and `S`.
fn flag_all(root: &std::path::Path) {
    for folder in ["cur", "new"] {
        for file in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let base = name.split(':').next().unwrap();
            std::fs::rename(&path, root.join(format!("cur/{base}:2,FS"))).unwrap();
        }
    }
}

/// Without UIDPLUS the server is asked now and then where it stands, so that not all mails of an
/// import have to be remembered.
#[test]
fn many_mails_without_uids() {
    const MANY: usize = 9_900;
    let (_root, source) = numbered(MANY);
    let personality = Offers::LiteralPlus.personality().uid_plus(false);
    let lab = Lab::start(personality, Vec::new());
    assert_whole(&lab.import(&source), MANY as u64);
    let commands = lab.server.commands();
    let asked = commands
        .iter()
        .rposition(|command| command.starts_with("EXAMINE"));
    let sent = commands
        .iter()
        .rposition(|command| command.starts_with("APPEND"));
    assert!(asked.is_some() && asked < sent, "{asked:?} {sent:?}");
    let asked = commands
        .iter()
        .filter(|command| command.starts_with("EXAMINE"));
    assert!(asked.count() < 4);
    assert_eq!(numbers(&lab.read("INBOX")), (0..MANY).collect::<Vec<_>>());
}
