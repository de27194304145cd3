//! Connections that end in the middle: what is in, what may be, and why.

use uncork_import::{ImportError, Report};
use uncork_lab::imap::Fault;

use crate::support::{Lab, Offers, assert_honest, numbered};

const MAILS: usize = 250;

/// An import of [`MAILS`] numbered mails that must end early, with no mail stored twice.
/// Returns the error, and how many mails were imported and stored.
#[track_caller]
fn check(offers: Offers, fault: Fault) -> (ImportError, u64, u64) {
    let (_root, source) = numbered(MAILS);
    let lab = Lab::offering(offers, vec![fault]);
    let outcome = lab.import(&source);
    assert_honest(&outcome, MAILS as u64, lab.stored());
    let mut numbers = lab.numbers_on_disk();
    assert_eq!(numbers.len() as u64, lab.stored());
    numbers.dedup();
    assert_eq!(
        numbers.len() as u64,
        lab.stored(),
        "{offers:?}: a mail is there twice"
    );
    assert_eq!(
        lab.server.connections(),
        1,
        "this version does not connect again"
    );
    let error = outcome.error.expect("the server hung up");
    (error, outcome.report.imported, lab.stored())
}

#[track_caller]
fn assert_hung_up(error: &ImportError, last_words: Option<&str>) {
    match error {
        ImportError::HungUp { said, .. } => assert_eq!(said.as_deref(), last_words),
        other => panic!("{other:?}"),
    }
}

#[test]
fn after_any_number_of_bytes() {
    for offers in Offers::ALL {
        for bytes in [20, 60, 130, 200, 700, 3000, 10_001, 12_000] {
            let (error, _, _) = check(offers, Fault::HangUpOnceAfterBytes(bytes));
            assert_hung_up(&error, None);
            let text = error.to_string();
            assert!(
                text.contains("127.0.0.1:") && text.contains("hung up"),
                "{text}"
            );
        }
    }
}

#[test]
fn between_storing_and_saying_so() {
    for offers in Offers::ALL {
        for message in [1, 7, 100, 101, 250] {
            let (error, imported, stored) = check(offers, Fault::HangUpBeforeTagged { message });
            assert_hung_up(&error, None);
            // The commands before it were answered; its own mails are stored, and unknown.
            let (before, with_it) = match offers {
                Offers::MultiAppend => ((message - 1) / 100 * 100, message.div_ceil(100) * 100),
                _ => (message - 1, message),
            };
            assert_eq!(stored, with_it.min(250), "{offers:?}, {message}");
            assert_eq!(imported, before, "{offers:?}, {message}");
        }
    }
}

#[test]
fn after_saying_so() {
    for offers in Offers::ALL {
        for message in [1, 7, 101, 200] {
            let (error, imported, stored) = check(offers, Fault::HangUpAfterTagged { message });
            assert_hung_up(&error, None);
            let answered = match offers {
                Offers::MultiAppend => message.div_ceil(100) * 100,
                _ => message,
            };
            assert_eq!(
                (imported, stored),
                (answered, answered),
                "{offers:?}, {message}"
            );
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
        let (error, imported, stored) = check(offers, bye);
        assert_hung_up(&error, Some("Shutting down for maintenance"));
        assert!(
            error
                .to_string()
                .contains("saying: Shutting down for maintenance")
        );
        let answered = if offers == Offers::MultiAppend {
            100
        } else {
            20
        };
        assert_eq!((imported, stored), (answered, answered), "{offers:?}");
    }
}

#[test]
fn with_the_greeting() {
    let (_root, source) = numbered(3);
    let bye = Fault::Bye {
        after_messages: 0,
        text: "Not today".to_owned(),
    };
    let unwilling = Lab::offering(Offers::MultiAppend, vec![bye]);
    let full = Lab::start(
        Offers::MultiAppend.personality().connection_limit(0),
        Vec::new(),
    );
    for (lab, words) in [(unwilling, "Not today"), (full, "Too many connections")] {
        let outcome = lab.import(&source);
        assert_hung_up(&outcome.error.unwrap(), Some(words));
        assert_eq!(outcome.report, Report::default());
        assert_eq!(lab.stored(), 0);
    }
}
