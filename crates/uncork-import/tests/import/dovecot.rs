//! Into the real Dovecot; skipped aloud where there is none.

use uncork_import::{Options, Outcome, Source, Target};
use uncork_lab::dovecot::{Dovecot, DovecotConfig, Fsync, Storage};
use uncork_lab::requirement;

use crate::imap_reader::{StoredMail, read_folder};
use crate::messy_mails::{Corpus, Messy};
use crate::support::{assert_whole, import_with, maildir};

fn start(storage: Storage, change: impl FnOnce(&mut DovecotConfig)) -> Option<Dovecot> {
    let program = requirement::program("dovecot")?;
    let mut config = DovecotConfig::new(storage, Fsync::Never);
    change(&mut config);
    let dovecot = Dovecot::start(&program, &config);
    Some(dovecot.unwrap_or_else(|error| panic!("{error}")))
}

fn import_into(dovecot: &Dovecot, user: &str, source: &Source, folder: &str) -> Outcome {
    let url = format!("imap://{user}@{}", dovecot.addr());
    let mut target = Target::parse(&url).unwrap();
    target.folder = Some(folder.to_owned());
    let options = Options::with_password(dovecot.password());
    import_with(source, &target, &options)
}

fn read(dovecot: &Dovecot, user: &str, wire: &str) -> Vec<StoredMail> {
    read_folder(dovecot.addr(), user, dovecot.password(), wire)
}

/// Generated mails into a folder that is not there yet, and back.
fn check(storage: Storage, mails: usize) {
    let Some(dovecot) = start(storage, |_| ()) else {
        return;
    };
    let (_root, source, expected) = maildir(12, mails);
    let user = dovecot.fresh_user();
    let outcome = import_into(&dovecot, &user, &source, "Alt/Entwürfe");
    assert_whole(&outcome, mails as u64);
    let report = &outcome.report;
    assert_eq!(report.capabilities_used, ["LITERAL+", "MULTIAPPEND"]);
    assert_eq!(report.commands, mails.div_ceil(100) as u64);
    let stored = read(&dovecot, &user, "Alt/Entw&APw-rfe");
    assert_eq!(stored.len(), mails);
    for (n, (stored, expected)) in stored.iter().zip(&expected).enumerate() {
        assert!(stored.bytes == expected.bytes, "bytes of mail {n}");
        assert_eq!(stored, expected, "mail {n}");
    }
    assert!(!dovecot.log().contains("Error"), "{}", dovecot.log());
}

#[test]
fn thousands_of_mails_into_mdbox() {
    check(Storage::Mdbox, 5000);
}

#[test]
fn hundreds_of_mails_into_maildir() {
    check(Storage::Maildir, 500);
}

/// Dovecot rolls a refused batch back, so that its halves can go again.
#[test]
fn what_is_too_large_is_refused_and_nothing_else() {
    let limit = |config: &mut DovecotConfig| config.max_mail_bytes = Some(20_000);
    for storage in [Storage::Mdbox, Storage::Maildir] {
        let Some(dovecot) = start(storage, limit) else {
            return;
        };
        let (_root, source, expected) = maildir(12, 250);
        let user = dovecot.fresh_user();
        let outcome = import_into(&dovecot, &user, &source, "INBOX");
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        let (small, large): (Vec<_>, Vec<_>) = expected
            .into_iter()
            .partition(|mail| mail.bytes.len() <= 20_000);
        assert!(large.len() > 3, "the seed has some");
        assert_eq!(
            outcome.report.refused_messages,
            large.len() as u64,
            "{storage:?}"
        );
        assert_eq!(outcome.report.unknown_messages, 0, "{storage:?}");
        let mut stored = read(&dovecot, &user, "INBOX");
        stored.sort_by_key(|mail| mail.internal_date);
        assert!(stored == small, "{storage:?}");
    }
}

/// A second run over the same source adds nothing, by the word of the server alone.
#[test]
fn a_second_run_adds_nothing() {
    for storage in [Storage::Mdbox, Storage::Maildir] {
        let Some(dovecot) = start(storage, |_| ()) else {
            return;
        };
        let (_root, source, _) = maildir(12, 300);
        let user = dovecot.fresh_user();
        assert_whole(&import_into(&dovecot, &user, &source, "INBOX"), 300);
        let outcome = import_into(&dovecot, &user, &source, "INBOX");
        assert_whole(&outcome, 0);
        assert_eq!(outcome.report.already_there, 300, "{storage:?}");
        assert_eq!(read(&dovecot, &user, "INBOX").len(), 300, "{storage:?}");
    }
}

/// Mails as they are found in the wild, in and back, after the named repairs.
#[test]
fn messy_mails_arrive_repaired() {
    for storage in [Storage::Mdbox, Storage::Maildir] {
        let Some(dovecot) = start(storage, |_| ()) else {
            return;
        };
        for corpus in Corpus::ALL {
            let Some(messy) = Messy::of(corpus) else {
                continue;
            };
            let user = dovecot.fresh_user();
            let outcome = import_into(&dovecot, &user, &messy.source, "INBOX");
            messy.check(&outcome, &read(&dovecot, &user, "INBOX"), true);
        }
    }
}
