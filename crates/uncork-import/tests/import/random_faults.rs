//! Nothing lost, nothing twice: any mails, any server, any faults, and runs until all is done.
//! Then each mail is in its folder exactly as often as the source has it, byte for byte.

use std::num::NonZeroU32;

use proptest::prelude::*;
use uncork_import::{
    Existing, ImportError, JournalPlace, Options, Order, Outcome, Progress, Target, import,
};
use uncork_lab::imap::Fault;

use crate::imap_reader::append_all;
use crate::link::Link;
use crate::random_mails::{Form, Tree, difference, mails, number_of};
use crate::support::{Lab, Offers, cases, options};

const MAILS_MAX: usize = 150;

/// Runs that an import may need. Each gets further unless a fault is endless.
const RUNS_MAX: usize = 30;

/// What one case is about.
#[derive(Debug, Clone)]
struct Case {
    mails: Vec<Form>,
    folders: usize,
    offers: Offers,
    has_uids: bool,
    faults: Vec<Fault>,
    /// Where the link ends the first connections, in bytes of the server's.
    cuts: Vec<u64>,
    connections: u32,
    order: Order,
    /// How many runs end with their first connection, as if they had been killed: what they had
    /// on their way is known to their journal only.
    short_runs: usize,
    has_journal: bool,
    /// INBOX has the first so many mails before.
    there: usize,
}

fn case() -> impl Strategy<Value = Case> {
    let server = (
        prop::sample::select(&Offers::ALL[..]),
        any::<bool>(),
        prop::collection::vec(fault(), 0..6),
        prop::collection::vec(0..6000_u64, 0..3),
    );
    let import = (
        prop::sample::select(&[1, 3][..]),
        prop::sample::select(&[Order::Kept, Order::Any][..]),
        0..4_usize,
        any::<bool>(),
    );
    let there = prop_oneof![2 => Just(0), 1 => 0..20_usize];
    (mails(MAILS_MAX), 1..=3_usize, server, import, there).prop_map(
        |(mails, folders, server, import, there)| {
            let (offers, has_uids, faults, cuts) = server;
            let (connections, order, short_runs, has_journal) = import;
            Case {
                mails,
                folders,
                offers,
                has_uids,
                faults,
                cuts,
                connections,
                order,
                short_runs,
                has_journal,
                there,
            }
        },
    )
}

fn fault() -> impl Strategy<Value = Fault> {
    let message = || 1..=MAILS_MAX as u64;
    let text = |text: &str| text.to_owned();
    prop_oneof![
        4 => message().prop_map(move |message| Fault::RefuseMessage {
            message,
            reason: text("no"),
            code: None,
        }),
        2 => message().prop_map(move |message| Fault::RefuseDuringUpload {
            message,
            reason: text("no"),
        }),
        3 => message().prop_map(|message| Fault::HangUpBeforeTagged { message }),
        1 => message().prop_map(|message| Fault::HangUpAfterTagged { message }),
        3 => (0..40_000_u64).prop_map(Fault::HangUpOnceAfterBytes),
        1 => (8_000..60_000_u64).prop_map(Fault::HangUpAfterBytes),
        1 => (0..=MAILS_MAX as u64).prop_map(move |after_messages| Fault::Bye {
            after_messages,
            text: text("bye"),
        }),
        1 => (message(), 1..10_u64).prop_map(move |(message, times)| Fault::Throttle {
            message,
            text: text("Request is throttled. Suggested Backoff Time: 3 milliseconds"),
            times,
        }),
        3 => Just(Fault::NotAtomic),
    ]
}

impl Case {
    fn options(&self, journal: &std::path::Path) -> Options {
        let mut options = options();
        options.connections = NonZeroU32::new(self.connections);
        options.order = self.order;
        if self.has_journal {
            options.journal = JournalPlace::File(journal.to_owned());
        } else {
            // Some mails differ in nothing but their text.
            options.existing = Existing::Compare;
        }
        options
    }

    /// The mails that may be refused in the end.
    fn refusals_max(&self) -> usize {
        let mut refusals = 0;
        let mut hang_ups = self.cuts.len();
        for fault in &self.faults {
            match fault {
                Fault::RefuseMessage { .. } | Fault::RefuseDuringUpload { .. } => refusals += 1,
                // No long mail gets through such a server.
                Fault::HangUpAfterBytes(_) => return self.mails.len(),
                _ => hang_ups += 1,
            }
        }
        // The third time that a mail is cut off while it is alone is its last.
        refusals + hang_ups / 3
    }

    /// A server as the case wants it, with the mails that are there before.
    fn server(&self, tree: &Tree) -> Lab {
        let personality = self.offers.personality().uid_plus(self.has_uids);
        let lab = Lab::start(personality.clone(), Vec::new());
        let there = tree.first_texts("", self.there);
        append_all(lab.server.addr(), "INBOX", &there);
        lab.again(personality, self.faults.clone())
    }

    #[track_caller]
    fn check(&self) {
        let tree = Tree::new(&self.mails, self.folders);
        let lab = self.server(&tree);
        let link = Link::start(lab.server.addr(), &self.cuts);
        let journal = tempfile::tempdir().unwrap();
        let mut options = self.options(&journal.path().join("journal"));
        let target = Target::parse(&format!("imap://lab@127.0.0.1:{}", link.port)).unwrap();
        let attempts = options.patience.attempts;
        for run in 0..RUNS_MAX {
            options.patience.attempts = if run < self.short_runs { 0 } else { attempts };
            let before = stored(&lab, &tree);
            let source = [tree.source()];
            let outcome = import(&source, &target, &options, &Progress::default());
            let after = stored(&lab, &tree);
            assert_counts(&outcome, tree.len() as u64, after - before);
            if let Some(error) = &outcome.error {
                // Who is cut off before the greeting takes it for no IMAP server.
                let is_cut = matches!(error, ImportError::NotImap { .. });
                assert!(error.is_temporary() || is_cut, "{error:?}");
                continue;
            }
            let refused = outcome.report.refused.iter();
            let refused: Vec<usize> = refused.map(|mail| number_of(&mail.source)).collect();
            assert!(
                refused.len() <= self.refusals_max(),
                "{:?}",
                outcome.report.refused
            );
            for folder in tree.folders() {
                let differ = difference(&lab.texts(folder), &tree.texts(folder, &refused));
                assert!(differ.is_empty(), "in folder {folder:?}: {differ:#?}");
            }
            assert_eq!(outcome.report.altered, []);
            return;
        }
        panic!("not done after {RUNS_MAX} runs");
    }
}

fn stored(lab: &Lab, tree: &Tree) -> u64 {
    let folders = tree.folders().iter();
    folders.map(|folder| lab.texts(folder).len() as u64).sum()
}

/// What must hold however a run ended: a mail is counted once, and what is counted as imported
/// is in.
#[track_caller]
fn assert_counts(outcome: &Outcome, mails: u64, stored: u64) {
    let report = &outcome.report;
    let (imported, unknown) = (report.imported, report.unknown_messages);
    let counted = imported
        + report.already_there
        + report.refused_messages
        + unknown
        + report.not_sent_messages;
    let counts = format!(
        "{stored} stored now, {imported} imported, {} already there, {} refused, {unknown} unknown, \
         {} not sent, of {mails}; {:?}",
        report.already_there, report.refused_messages, report.not_sent_messages, outcome.error,
    );
    assert!(
        imported <= stored && stored <= imported + unknown,
        "{counts}"
    );
    assert!(counted <= mails, "{counts}");
    if outcome.error.is_none() {
        assert_eq!((counted, unknown), (mails, 0), "{counts}");
        assert!(report.sources_read);
    } else if report.sources_read {
        assert_eq!(counted, mails, "{counts}");
    }
    let folders = report.folders.iter().map(|folder| folder.imported);
    assert_eq!(folders.sum::<u64>(), imported);
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn each_mail_is_there_once_whatever_happens(case in case()) {
        case.check();
    }
}
