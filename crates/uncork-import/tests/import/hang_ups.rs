//! Connections that end in the middle: the import connects again, asks, and each mail is in
//! once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use uncork_import::{ImportError, Report};
use uncork_lab::imap::Fault;

use crate::imap_reader::append_all;
use crate::link::Link;
use crate::support::{
    Lab, Offers, assert_whole, eml_folder, import_with, names, numbered, numbered_mail, numbers,
    options, run, target,
};

const MAILS: usize = 250;

/// An import of [`MAILS`] numbered mails that breaks in between.
#[track_caller]
fn check(offers: Offers, fault: &Fault) {
    let what = format!("{offers:?}, {fault:?}");
    let (_root, source) = numbered(MAILS);
    for has_uids in [true, false] {
        let personality = offers.personality().uid_plus(has_uids);
        let lab = Lab::start(personality, vec![fault.clone()]);
        let outcome = lab.import(&source);
        assert_whole(&outcome, MAILS as u64);
        assert_eq!(outcome.report.reconnects, 1, "{what}");
        assert_eq!(outcome.report.connections, 1, "{what}");
        assert_eq!(lab.server.connections(), 2, "{what}");
        let stored = numbers(&lab.read("INBOX"));
        assert_eq!(stored, (0..MAILS).collect::<Vec<_>>(), "{what}");
    }
}

#[test]
fn after_any_number_of_bytes() {
    for offers in Offers::ALL {
        // From behind the login on: who can't get in at all is told so at once.
        for bytes in [150, 200, 400, 700, 3000, 10_001, 12_000] {
            check(offers, &Fault::HangUpOnceAfterBytes(bytes));
        }
    }
}

#[test]
fn between_storing_and_saying_so() {
    for offers in Offers::ALL {
        for message in [1, 7, 100, 101, 250] {
            check(offers, &Fault::HangUpBeforeTagged { message });
        }
    }
}

/// A server that can't look into the folder just now has not said that nothing is in it.
#[test]
fn while_the_folder_is_locked() {
    for offers in Offers::ALL {
        for times in [1, 3] {
            let locked = Fault::RefuseSelect {
                first: 2,
                times,
                text: "[INUSE] Mailbox is locked".to_owned(),
            };
            let hang_up = Fault::HangUpBeforeTagged { message: 101 };
            let lab = Lab::offering(offers, vec![hang_up, locked]);
            let (_root, source) = numbered(MAILS);
            let outcome = lab.import(&source);
            assert_whole(&outcome, MAILS as u64);
            let stored = numbers(&lab.read("INBOX"));
            assert_eq!(stored, (0..MAILS).collect::<Vec<_>>(), "{offers:?}");
        }
    }
}

/// It is waited for, and then given up.
#[test]
fn a_folder_that_is_locked_for_ever() {
    let locked = Fault::RefuseSelect {
        first: 1,
        times: u64::MAX,
        text: "[INUSE] Mailbox is locked".to_owned(),
    };
    let lab = Lab::offering(Offers::MultiAppend, vec![locked]);
    let (_root, source) = numbered(MAILS);
    let outcome = lab.import(&source);
    assert_eq!(outcome.report.refused_messages, MAILS as u64);
    assert!(
        outcome.report.notes[0].contains("locked"),
        "{:?}",
        outcome.report.notes
    );
}

#[test]
fn after_saying_so() {
    for offers in Offers::ALL {
        for message in [1, 7, 101, 200] {
            check(offers, &Fault::HangUpAfterTagged { message });
        }
    }
}

#[test]
fn with_last_words() {
    for offers in Offers::ALL {
        let bye = Fault::Bye {
            after_messages: 20,
            text: "Shutting down for maintenance".to_owned(),
        };
        check(offers, &bye);
    }
}

/// A server that nobody gets anything into: the import gives up, and says why.
#[test]
fn each_time() {
    let (_root, source) = numbered(3);
    for offers in Offers::ALL {
        let lab = Lab::offering(offers, vec![Fault::HangUpAfterBytes(60)]);
        let mut options = options();
        options.patience.attempts = 2;
        let outcome = import_with(&source, &lab.target("INBOX"), &options);
        let error = outcome.error.unwrap();
        assert!(matches!(error, ImportError::HungUp { .. }), "{error:?}");
        assert_eq!(outcome.report.imported, 0);
        assert_eq!(lab.stored(), 0);
    }
}

/// Mails on which the server hangs up whenever they come are refused; all others go in.
#[test]
fn on_some_mails_each_time() {
    let mails = (0..30).map(|n| {
        let line = "a line of a long mail, which is longer than all others\r\n";
        let lines = if [7, 16, 17, 29].contains(&n) {
            5000
        } else {
            1
        };
        let text = format!("Message-ID: <{n}@x>\r\n\r\n{}", line.repeat(lines));
        (format!("{n:03}.eml"), text)
    });
    let (_root, source) = eml_folder(mails);
    for offers in Offers::ALL {
        let lab = Lab::offering(offers, vec![Fault::HangUpAfterBytes(100_000)]);
        let outcome = lab.import(&source);
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        let report = &outcome.report;
        let refused = ["007.eml", "016.eml", "017.eml", "029.eml"];
        assert_eq!(names(&report.refused), refused, "{offers:?}");
        let mut reasons = report.refused.iter().map(|mail| &mail.reason);
        assert!(reasons.all(|reason| reason.contains("hung up")));
        assert_eq!((report.imported, lab.stored()), (26, 26), "{offers:?}");
    }
}

#[test]
fn with_the_greeting() {
    let (_root, source) = numbered(3);
    let bye = Fault::Bye {
        after_messages: 0,
        text: "Not today".to_owned(),
    };
    let lab = Lab::offering(Offers::MultiAppend, vec![bye]);
    let outcome = lab.import(&source);
    match outcome.error.unwrap() {
        ImportError::HungUp { said, .. } => assert_eq!(said.as_deref(), Some("Not today")),
        error => panic!("{error:?}"),
    }
    assert_eq!(outcome.report, Report::default());
    assert_eq!(lab.stored(), 0);
}

/// What came in meanwhile is told from what was sent and never acknowledged.
#[test]
fn while_another_client_delivers() {
    let (_root, source) = numbered(MAILS);
    for offers in Offers::ALL {
        for has_uids in [true, false] {
            let personality = offers.personality().uid_plus(has_uids);
            let lab = Lab::start(personality, Vec::new());
            let link = Link::start(lab.server.addr(), &[1200, 2000, 900, 4000]);
            let is_done = AtomicBool::new(false);
            let others = thread::scope(|scope| {
                let other = scope.spawn(|| {
                    let mut delivered = 0;
                    while !is_done.load(Ordering::Relaxed) {
                        let mail = numbered_mail(MAILS + delivered);
                        append_all(lab.server.addr(), "INBOX", &[mail.as_bytes()]);
                        delivered += 1;
                    }
                    delivered
                });
                let outcome = run(&source, &target(link.port, "INBOX"));
                is_done.store(true, Ordering::Relaxed);
                assert_whole(&outcome, MAILS as u64);
                other.join().unwrap()
            });
            let mails: Vec<_> = (0..MAILS + others).collect();
            assert_eq!(lab.numbers_on_disk(), mails, "{offers:?}");
        }
    }
}
