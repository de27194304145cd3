//! NO to some mails: each is named with the server's reason, and all others go in once.

use tempfile::TempDir;
use uncork_import::Source;
use uncork_lab::imap::Fault;

use crate::support::{
    Lab, Offers, assert_honest, assert_whole, eml_folder, names, numbered, numbered_mail, numbers,
};

fn refuse(message: u64) -> Fault {
    Fault::RefuseMessage {
        message,
        reason: "no room".to_owned(),
        code: Some("OVERQUOTA".to_owned()),
    }
}

#[test]
fn one_command_a_mail() {
    let (root, source) = numbered(10);
    for offers in [Offers::Nothing, Offers::LiteralMinus, Offers::LiteralPlus] {
        let lab = Lab::offering(offers, vec![refuse(5), refuse(8)]);
        let outcome = lab.import(&source);
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        assert_honest(&outcome, 10, lab.stored());
        let report = &outcome.report;
        assert_eq!(names(&report.refused), ["004.eml", "007.eml"], "{offers:?}");
        let first = &report.refused[0];
        assert_eq!(first.source, root.path().join("004.eml").to_str().unwrap());
        assert_eq!(first.folder, "INBOX");
        assert_eq!(first.reason, "[OVERQUOTA] no room");
        assert_eq!(numbers(&lab.read("INBOX")), [0, 1, 2, 3, 5, 6, 8, 9]);
    }
}

#[test]
fn refused_before_it_is_sent() {
    let (_root, source) = numbered(10);
    for offers in Offers::ALL {
        let fault = Fault::RefuseDuringUpload {
            message: 5,
            reason: "not that one".to_owned(),
        };
        let lab = Lab::offering(offers, vec![fault]);
        let outcome = lab.import(&source);
        assert_honest(&outcome, 10, lab.stored());
        if offers == Offers::MultiAppend {
            // The whole batch was refused, and its halves were not.
            assert_whole(&outcome, 10);
            assert_eq!(lab.appends(), 3);
        } else {
            assert_eq!(names(&outcome.report.refused), ["004.eml"], "{offers:?}");
            assert_eq!(outcome.report.refused[0].reason, "not that one");
            assert_eq!(lab.stored(), 9);
        }
    }
}

/// The server counts attempts: 4 mails are attempts 1 to 4, their halves 5 to 8, and the two
/// mails of the first half 9 and 10.
#[test]
fn a_batch_is_halved_until_the_refused_mail_stands_alone() {
    let (_root, source) = numbered(4);
    let lab = Lab::offering(Offers::MultiAppend, vec![refuse(2), refuse(6), refuse(10)]);
    let outcome = lab.import(&source);
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!(names(&outcome.report.refused), ["001.eml"]);
    assert_eq!(outcome.report.refused[0].reason, "[OVERQUOTA] no room");
    assert_eq!(outcome.report.imported, 3);
    assert_eq!((outcome.report.commands, lab.appends()), (5, 5));
    assert_eq!(lab.numbers_on_disk(), [0, 2, 3]);
}

/// A batch that is refused for a reason that has passed goes in after all.
#[test]
fn what_was_refused_in_passing_goes_in() {
    let (_root, source) = numbered(250);
    let lab = Lab::offering(Offers::MultiAppend, vec![refuse(120)]);
    let outcome = lab.import(&source);
    assert_whole(&outcome, 250);
    assert_eq!(lab.numbers_on_disk(), (0..250).collect::<Vec<_>>());
    let bytes: u64 = (0..250).map(|n| numbered_mail(n).len() as u64).sum();
    assert_eq!(outcome.report.bytes, bytes);
}

/// Most bytes that the servers of these tests take.
const APPEND_LIMIT: u64 = 100;

/// `count` mails, of which those in `large` are larger than [`APPEND_LIMIT`].
fn some_large(count: usize, large: &[usize]) -> (TempDir, Source) {
    eml_folder((0..count).map(|n| {
        let mut mail = numbered_mail(n);
        if large.contains(&n) {
            mail.push_str(&"x".repeat(100));
        }
        (format!("{n:03}.eml"), mail)
    }))
}

fn limited(offers: Offers, faults: Vec<Fault>) -> Lab {
    Lab::start(
        offers.personality().append_limit(Some(APPEND_LIMIT)),
        faults,
    )
}

#[test]
fn what_the_server_finds_too_large_is_refused_and_nothing_else() {
    let all: Vec<usize> = (0..30).collect();
    for (count, large) in [
        (100, &[3][..]),
        (100, &[0, 49, 50, 51, 99]),
        (250, &[149]),
        (250, &[0, 99, 100, 249]),
        (30, &all),
    ] {
        let (_root, source) = some_large(count, large);
        for offers in Offers::ALL {
            let lab = limited(offers, Vec::new());
            let outcome = lab.import(&source);
            assert!(outcome.error.is_none(), "{:?}", outcome.error);
            assert_honest(&outcome, count as u64, lab.stored());
            let report = &outcome.report;
            let refused: Vec<String> = large.iter().map(|n| format!("{n:03}.eml")).collect();
            assert_eq!(names(&report.refused), refused, "{offers:?}");
            for mail in &report.refused {
                assert_eq!(mail.reason, "[TOOBIG] A message may have 100 bytes");
            }
            let expected: Vec<usize> = (0..count).filter(|n| !large.contains(n)).collect();
            assert_eq!(lab.numbers_on_disk(), expected, "{offers:?}");
        }
    }
}

#[test]
fn a_server_that_keeps_a_part_gets_nothing_twice() {
    let (_root, source) = some_large(350, &[50, 150]);
    let lab = limited(Offers::MultiAppend, vec![Fault::NotAtomic]);
    let outcome = lab.import(&source);
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    let report = &outcome.report;
    // Of the first two batches 50 mails each are in, and nobody has said which.
    assert_eq!((report.imported, report.unknown_messages), (150, 200));
    assert_eq!(report.refused_messages, 0);
    let reason = "the folder holds more than was acknowledged";
    assert!(
        report
            .unknown
            .iter()
            .all(|mail| mail.reason.contains(reason))
    );
    let unknown: Vec<String> = (0..200).map(|n| format!("{n:03}.eml")).collect();
    assert_eq!(names(&report.unknown), unknown);
    let expected: Vec<usize> = (0..50).chain(100..150).chain(200..350).collect();
    assert_eq!(lab.numbers_on_disk(), expected);
}

/// Where the first mail of a batch is refused there was nothing to keep.
#[test]
fn a_server_that_could_have_kept_a_part_and_has_not() {
    let (_root, source) = numbered(250);
    let lab = Lab::offering(Offers::MultiAppend, vec![Fault::NotAtomic, refuse(101)]);
    assert_whole(&lab.import(&source), 250);
    assert_eq!(lab.numbers_on_disk(), (0..250).collect::<Vec<_>>());
}

/// This version does not wait until the server wants mail again: it reports the server's words.
#[test]
fn a_server_that_throttles() {
    let text = "Request is throttled. Suggested Backoff Time: 200 milliseconds";
    let throttle = Fault::Throttle {
        message: 4,
        text: text.to_owned(),
        times: 3,
    };
    let (_root, source) = numbered(10);
    for offers in [Offers::Nothing, Offers::LiteralMinus, Offers::LiteralPlus] {
        let lab = Lab::offering(offers, vec![throttle.clone()]);
        let outcome = lab.import(&source);
        assert_honest(&outcome, 10, lab.stored());
        let refused = &outcome.report.refused;
        assert_eq!(names(refused), ["003.eml", "004.eml", "005.eml"]);
        assert!(refused.iter().all(|mail| mail.reason == text));
    }
    // The batch and its halves are refused, the quarters are not.
    let lab = Lab::offering(Offers::MultiAppend, vec![throttle]);
    assert_whole(&lab.import(&source), 10);
    assert_eq!(lab.appends(), 7);
}
