//! NO to some mails: each is named with the server's reason, and all others go in once. NO to
//! all: waited for, or the end.

use tempfile::TempDir;
use uncork_import::{ImportError, Source};
use uncork_lab::imap::Fault;

use crate::support::{
    Lab, Offers, assert_honest, assert_whole, eml_folder, names, numbered, numbered_mail, numbers,
};

fn refuse(message: u64) -> Fault {
    Fault::RefuseMessage {
        message,
        reason: "not that one".to_owned(),
        code: Some("CANNOT".to_owned()),
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
        assert_eq!(first.reason, "[CANNOT] not that one");
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
    assert_eq!(outcome.report.refused[0].reason, "[CANNOT] not that one");
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
            let why = "and the server takes no more than 100";
            assert!(report.refused.iter().all(|mail| mail.reason.ends_with(why)));
            let expected: Vec<usize> = (0..count).filter(|n| !large.contains(n)).collect();
            assert_eq!(lab.numbers_on_disk(), expected, "{offers:?}");
            if offers != Offers::MultiAppend {
                // None of the large ones was sent in vain.
                assert_eq!(lab.appends(), expected.len() as u64, "{offers:?}");
            }
        }
    }
}

/// A server that is not atomic keeps what came before the refused mail: it is found there, and
/// not sent again.
#[test]
fn a_server_that_keeps_a_part_gets_nothing_twice() {
    for has_uids in [true, false] {
        for refused in [&[51, 151][..], &[1], &[100], &[350]] {
            let (_root, source) = numbered(350);
            let mut faults = vec![Fault::NotAtomic];
            faults.extend(refused.iter().map(|message| refuse(*message)));
            let lab = Lab::start(Offers::MultiAppend.personality().uid_plus(has_uids), faults);
            let outcome = lab.import(&source);
            assert_whole(&outcome, 350);
            assert_eq!(lab.numbers_on_disk(), (0..350).collect::<Vec<_>>());
            assert_eq!(lab.stored(), 350);
            // The kept part is counted as it was sent, once.
            let bytes: u64 = (0..350).map(|n| numbered_mail(n).len() as u64).sum();
            assert_eq!(outcome.report.bytes, bytes);
        }
    }
}

/// Where the first mail of a batch is refused there was nothing to keep.
#[test]
fn a_server_that_could_have_kept_a_part_and_has_not() {
    let (_root, source) = numbered(250);
    let lab = Lab::offering(Offers::MultiAppend, vec![Fault::NotAtomic, refuse(101)]);
    assert_whole(&lab.import(&source), 250);
    assert_eq!(lab.numbers_on_disk(), (0..250).collect::<Vec<_>>());
}

#[test]
fn a_server_that_throttles_is_waited_for() {
    let throttle = Fault::Throttle {
        message: 4,
        text: "Request is throttled. Suggested Backoff Time: 20 milliseconds".to_owned(),
        times: 3,
    };
    let (_root, source) = numbered(10);
    for offers in Offers::ALL {
        let lab = Lab::offering(offers, vec![throttle.clone()]);
        let outcome = lab.import(&source);
        assert_whole(&outcome, 10);
        assert!(outcome.report.waited_seconds > 0.0, "{offers:?}");
        assert_eq!(lab.numbers_on_disk(), (0..10).collect::<Vec<_>>());
    }
}

/// A full mailbox ends the import. What is in is counted, and the rest as not sent; when there
/// is room again the same run puts in just the rest.
#[test]
fn a_full_mailbox_ends_the_import() {
    let full = Fault::RefuseMessage {
        message: 130,
        reason: "Quota exceeded".to_owned(),
        code: Some("OVERQUOTA".to_owned()),
    };
    let (_root, source) = numbered(400);
    for offers in Offers::ALL {
        for is_atomic in [true, false] {
            let mut faults = vec![full.clone()];
            if !is_atomic {
                faults.push(Fault::NotAtomic);
            }
            let lab = Lab::offering(offers, faults);
            let outcome = lab.import(&source);
            match outcome.error {
                Some(ImportError::Full { reason }) => {
                    assert_eq!(reason, "[OVERQUOTA] Quota exceeded");
                }
                other => panic!("{offers:?}: {other:?}"),
            }
            let report = &outcome.report;
            assert_eq!(report.imported, lab.stored(), "{offers:?}");
            assert_eq!((report.refused_messages, report.unknown_messages), (0, 0));
            if report.sources_read {
                assert_eq!(report.not_sent_messages, 400 - report.imported);
            } else {
                assert!(report.not_sent_messages <= 400 - report.imported);
            }
            let first = report.imported;
            let outcome = lab.import(&source);
            assert_whole(&outcome, 400 - first);
            assert_eq!(outcome.report.already_there, first, "{offers:?}");
            assert_eq!(lab.numbers_on_disk(), (0..400).collect::<Vec<_>>());
        }
    }
}
