//! Random sequences of calls, compared with the plainest journal there could be.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::journal::read_back::Missing;

/// Few mails, so that most are there several times.
const MAILS: u8 = 5;

#[derive(Debug, Clone)]
enum Step {
    Claim { folder: usize, mail: u8 },
    Begin { folder: usize, mails: Vec<u8> },
    Stored(Index),
    Refused(Index),
    Split(Index, Index),
    Absent(Index),
    Forget { folder: usize },
    RunAgain { retry_refused: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let folder = 0_usize..2;
    let batch = any::<Index>;
    let mails = prop::collection::vec(0..MAILS, 1..6);
    let step = prop_oneof![
        8 => (folder.clone(), 0..MAILS).prop_map(|(folder, mail)| Step::Claim { folder, mail }),
        6 => (folder.clone(), mails).prop_map(|(folder, mails)| Step::Begin { folder, mails }),
        4 => batch().prop_map(Step::Stored),
        3 => batch().prop_map(Step::Refused),
        3 => (batch(), any::<Index>()).prop_map(|(batch, at)| Step::Split(batch, at)),
        2 => batch().prop_map(Step::Absent),
        1 => folder.prop_map(|folder| Step::Forget { folder }),
        3 => any::<bool>().prop_map(|retry_refused| Step::RunAgain { retry_refused }),
    ];
    prop::collection::vec(step, 0..60)
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    InFlight,
    Stored,
    Refused,
}

#[derive(Debug)]
struct ModelBatch {
    id: BatchId,
    folder: usize,
    /// With whether this run has claimed them.
    mails: Vec<(u8, bool)>,
    state: State,
    earlier: bool,
}

/// All batches, in the order in which they were begun.
#[derive(Debug, Default)]
struct Model(Vec<ModelBatch>);

impl Model {
    /// What a claim may say.
    fn claim(&mut self, folder: usize, mail: u8) -> Vec<(Claim, usize, usize)> {
        let mut possible = Vec::new();
        for (at, batch) in self.0.iter().enumerate() {
            if batch.folder != folder || !batch.earlier {
                continue;
            }
            for (nth, &(known, claimed)) in batch.mails.iter().enumerate() {
                if known != mail || claimed {
                    continue;
                }
                let claim = match batch.state {
                    State::InFlight => Claim::InFlight(batch.id),
                    State::Stored => Claim::Stored,
                    State::Refused => refused("no"),
                };
                possible.push((claim, at, nth));
            }
        }
        // The server is asked only where nothing else is known.
        if possible
            .iter()
            .any(|(claim, ..)| !matches!(claim, Claim::InFlight(_)))
        {
            possible.retain(|(claim, ..)| !matches!(claim, Claim::InFlight(_)));
        }
        possible
    }

    fn in_flight(&self, which: Index) -> Option<usize> {
        let in_flight = self.0.iter().enumerate();
        let in_flight = in_flight.filter(|(_, batch)| batch.state == State::InFlight);
        let in_flight: Vec<usize> = in_flight.map(|(at, _)| at).collect();
        (!in_flight.is_empty()).then(|| *which.get(&in_flight))
    }

    fn count(&self, folder: usize, state: State) -> u64 {
        let batches = self.0.iter();
        let batches = batches.filter(|batch| batch.folder == folder && batch.state == state);
        batches.map(|batch| batch.mails.len() as u64).sum()
    }
}

struct Pair {
    home: Home,
    journal: Journal,
    folders: [FolderId; 2],
    model: Model,
}

fn open(home: &Home, retry_refused: bool) -> (Journal, [FolderId; 2]) {
    let mut journal = home.open();
    if retry_refused {
        journal.retry_refused().unwrap();
    }
    let folders = ["INBOX", "Old"].map(|name| journal.folder(name).unwrap());
    (journal, folders)
}

impl Pair {
    fn new() -> Self {
        let home = Home::new();
        let (journal, folders) = open(&home, false);
        Self {
            home,
            journal,
            folders,
            model: Model::default(),
        }
    }

    fn step(mut self, step: Step) -> Self {
        match step {
            Step::Claim { folder, mail } => self.claim(folder, mail),
            Step::Begin { folder, mails } => {
                let begun = self.journal.begin(self.folders[folder], items(&mails), 1);
                self.model.0.push(ModelBatch {
                    id: begun.unwrap(),
                    folder,
                    mails: mails.into_iter().map(|mail| (mail, true)).collect(),
                    state: State::InFlight,
                    earlier: false,
                });
            }
            Step::Stored(which) => {
                if let Some(at) = self.model.in_flight(which) {
                    let batch = &mut self.model.0[at];
                    self.journal.stored(batch.id, None, None).unwrap();
                    batch.state = State::Stored;
                }
            }
            Step::Refused(which) => {
                if let Some(at) = self.model.in_flight(which) {
                    let batch = &mut self.model.0[at];
                    let answer = self.journal.refused(batch.id, "no", "here");
                    assert_eq!(answer.is_ok(), batch.mails.len() == 1);
                    if answer.is_ok() {
                        batch.state = State::Refused;
                    }
                }
            }
            Step::Split(which, cut) => {
                if let Some(at) = self.model.in_flight(which) {
                    self.split(at, cut);
                }
            }
            Step::Absent(which) => {
                if let Some(at) = self.model.in_flight(which) {
                    let batch = self.model.0.remove(at);
                    self.journal.absent(batch.id).unwrap();
                }
            }
            Step::Forget { folder } => {
                self.journal.forget(self.folders[folder], 1).unwrap();
                self.model.0.retain(|batch| {
                    batch.folder != folder || batch.state == State::InFlight && !batch.earlier
                });
            }
            Step::RunAgain { retry_refused } => return self.run_again(retry_refused),
        }
        self
    }

    fn claim(&mut self, folder: usize, mail: u8) {
        let claim = self.journal.claim(self.folders[folder], &digest(mail));
        let claim = claim.unwrap();
        let possible = self.model.claim(folder, mail);
        if possible.is_empty() {
            assert_eq!(claim, Claim::New);
            return;
        }
        let found = possible
            .into_iter()
            .find(|(possible, ..)| *possible == claim);
        let (_, at, nth) = found.unwrap();
        self.model.0[at].mails[nth].1 = !matches!(claim, Claim::InFlight(_));
    }

    fn split(&mut self, at: usize, cut: Index) {
        let batch = &mut self.model.0[at];
        if batch.mails.len() == 1 {
            assert!(self.journal.split(batch.id, 1).is_err());
            return;
        }
        let cut = 1 + cut.index(batch.mails.len() - 1);
        let [first, second] = self.journal.split(batch.id, cut).unwrap();
        batch.id = first;
        let half = ModelBatch {
            id: second,
            mails: batch.mails.split_off(cut),
            ..*batch
        };
        self.model.0.insert(at + 1, half);
    }

    fn run_again(self, retry_refused: bool) -> Self {
        let Self {
            home,
            journal,
            mut model,
            ..
        } = self;
        drop(journal);
        let (journal, folders) = open(&home, retry_refused);
        if retry_refused {
            model.0.retain(|batch| batch.state != State::Refused);
        }
        for batch in &mut model.0 {
            batch.earlier = true;
            for mail in &mut batch.mails {
                mail.1 = false;
            }
        }
        Self {
            home,
            journal,
            folders,
            model,
        }
    }

    fn compare(&self) {
        for (at, &folder) in self.folders.iter().enumerate() {
            let record = self.journal.record(folder);
            assert_eq!(record.stored, self.model.count(at, State::Stored));
            assert_eq!(record.refused, self.model.count(at, State::Refused));
            let left = self.journal.in_flight(folder).unwrap();
            let mut left: Vec<_> = left
                .into_iter()
                .map(|left| (left.batch, left.items))
                .collect();
            left.sort_by_key(|(batch, _)| *batch);
            let expected = self.model.0.iter();
            let expected = expected.filter(|batch| {
                batch.folder == at && batch.earlier && batch.state == State::InFlight
            });
            let mut expected: Vec<_> = expected
                .map(|batch| {
                    let mails = batch.mails.iter().map(|(mail, _)| item(*mail));
                    (batch.id, mails.collect::<Vec<_>>())
                })
                .collect();
            expected.sort_by_key(|(batch, _)| *batch);
            assert_eq!(left, expected);
        }
    }

    /// What must be read back: what was stored, without what only earlier runs knew of.
    fn read_back(mut self) {
        for (at, &folder) in self.folders.iter().enumerate() {
            for mail in 0..MAILS {
                let batches = self.model.0.iter();
                let stored =
                    batches.filter(|batch| batch.folder == at && batch.state == State::Stored);
                let mails = stored.flat_map(|batch| &batch.mails);
                let expected = mails.filter(|known| **known == (mail, true)).count();
                let missing = self.journal.not_seen_back(folder).unwrap();
                let missing = missing.first.iter();
                let missing = missing.filter(|missing| **missing == item(mail));
                assert_eq!(missing.count(), expected);
                for nth in 0..=expected {
                    let seen = self.journal.see_back(folder, &digest(mail)).unwrap();
                    assert_eq!(seen, nth < expected);
                }
            }
            assert_eq!(
                self.journal.not_seen_back(folder).unwrap(),
                Missing::default()
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn like_the_plainest_journal(steps in steps()) {
        let mut pair = Pair::new();
        for step in steps {
            pair = pair.step(step);
            pair.compare();
        }
        pair.read_back();
    }
}
