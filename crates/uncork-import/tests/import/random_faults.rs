//! Any server, any faults: the counts are right, and no mail is there twice.

use proptest::prelude::*;
use uncork_lab::imap::Fault;

use crate::support::{Lab, Offers, assert_honest, numbered};

const MAILS_MAX: usize = 220;

fn offers() -> impl Strategy<Value = Offers> {
    prop::sample::select(&Offers::ALL[..])
}

fn fault() -> impl Strategy<Value = Fault> {
    let message = || 1..=MAILS_MAX as u64;
    prop_oneof![
        4 => message().prop_map(|message| Fault::RefuseMessage {
            message,
            reason: "no".to_owned(),
            code: None,
        }),
        2 => message().prop_map(|message| Fault::RefuseDuringUpload {
            message,
            reason: "no".to_owned(),
        }),
        1 => message().prop_map(|message| Fault::HangUpBeforeTagged { message }),
        1 => message().prop_map(|message| Fault::HangUpAfterTagged { message }),
        1 => (0..30_000u64).prop_map(Fault::HangUpOnceAfterBytes),
        1 => (0..=MAILS_MAX as u64).prop_map(|after_messages| Fault::Bye {
            after_messages,
            text: "bye".to_owned(),
        }),
        1 => (message(), 1..20u64).prop_map(|(message, times)| Fault::Throttle {
            message,
            text: "slow down".to_owned(),
            times,
        }),
        2 => Just(Fault::NotAtomic),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counts_are_right_whatever_happens(
        offers in offers(),
        faults in prop::collection::vec(fault(), 0..5),
        messages in 1..=MAILS_MAX,
    ) {
        let (_root, source) = numbered(messages);
        let lab = Lab::offering(offers, faults);
        let outcome = lab.import(&source);
        let stored = lab.numbers_on_disk();
        assert_honest(&outcome, messages as u64, stored.len() as u64);
        prop_assert_eq!(stored.len() as u64, lab.stored());
        prop_assert!(stored.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", stored);
    }
}
