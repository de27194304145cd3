//! Mails that one APPEND carries, and the ticket by which the journal knows them.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;

use crate::imap::uid_set::UidSet;
use crate::journal::BatchId;
use crate::mail::Mail;

/// Consecutive mails of one batch, for one folder.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    /// The folder's place in [`Run::folders`](crate::run::Run).
    pub(crate) folder: usize,
    pub(crate) mails: Rc<Vec<Mail>>,
    pub(crate) range: Range<usize>,
    /// How often the connection broke while these mails alone were on their way.
    pub(crate) cuts: u32,
    /// Its number among all that were handed out for the folder; 0 before it is.
    pub(crate) turn: u64,
}

impl Chunk {
    pub(crate) fn all(folder: usize, mails: Vec<Mail>) -> Self {
        let range = 0..mails.len();
        Self {
            folder,
            mails: Rc::new(mails),
            range,
            cuts: 0,
            turn: 0,
        }
    }

    pub(crate) fn mails(&self) -> &[Mail] {
        &self.mails[self.range.clone()]
    }

    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.mails().iter().map(|mail| mail.len).sum()
    }

    /// A part of it, by places within it.
    pub(crate) fn part(&self, part: Range<usize>) -> Self {
        debug_assert!(part.start < part.end && part.end <= self.len());
        Self {
            range: self.range.start + part.start..self.range.start + part.end,
            ..self.clone()
        }
    }

    /// As many mails from its start as fit, at least one; and the rest, if any.
    pub(crate) fn split_off(self, messages_max: usize, bytes_max: u64) -> (Self, Option<Self>) {
        let mut bytes = 0;
        let fitting = self
            .mails()
            .iter()
            .take(messages_max)
            .take_while(|mail| {
                bytes += mail.len;
                bytes <= bytes_max
            })
            .count()
            .max(1);
        if fitting == self.len() {
            return (self, None);
        }
        let rest = self.part(fitting..self.len());
        (self.part(0..fitting), Some(rest))
    }
}

/// What has become of a mail that the journal has as on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MailState {
    /// Sent, or about to be.
    OnItsWay,
    Stored,
    Refused(String),
    /// The server does not have it: it will be sent again, with another ticket.
    Absent,
}

/// The mails of one entry of the journal. Several commands may share it, so that the journal
/// commits once a batch even where each mail is a command of its own.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) entry: BatchId,
    /// The mails, all of one batch.
    pub(crate) chunk: Chunk,
    /// No mail of it has a lower UID.
    pub(crate) uid_floor: u64,
    states: RefCell<Vec<MailState>>,
    open: Cell<usize>,
    /// The UIDs of those stored, in their order, where the server tells them all.
    uids: RefCell<Option<UidSet>>,
}

impl Ticket {
    pub(crate) fn new(entry: BatchId, chunk: Chunk, uid_floor: u64) -> Self {
        let mails = chunk.len();
        Self {
            entry,
            chunk,
            uid_floor,
            states: RefCell::new(vec![MailState::OnItsWay; mails]),
            open: Cell::new(mails),
            uids: RefCell::new(Some(UidSet::default())),
        }
    }

    /// Takes what became of the mails of `chunk`, a part of this ticket's.
    pub(crate) fn close(&self, chunk: &Chunk, state: &MailState) {
        debug_assert!(Rc::ptr_eq(&self.chunk.mails, &chunk.mails));
        let start = chunk.range.start - self.chunk.range.start;
        let mut states = self.states.borrow_mut();
        for known in &mut states[start..start + chunk.len()] {
            debug_assert_eq!(*known, MailState::OnItsWay);
            *known = state.clone();
        }
        self.open.set(self.open.get() - chunk.len());
    }

    /// Takes the UIDs of the mails just closed as stored; `None` where they are not known.
    pub(crate) fn add_uids(&self, uids: Option<&UidSet>) {
        let mut known = self.uids.borrow_mut();
        match (known.as_mut(), uids) {
            (Some(known), Some(uids)) => known.extend(uids),
            _ => *known = None,
        }
    }

    /// Whether it is known of each mail what became of it.
    pub(crate) fn is_closed(&self) -> bool {
        self.open.get() == 0
    }

    /// The UIDs of the stored mails, where the server told them all.
    pub(crate) fn uids(&self) -> Option<UidSet> {
        let stored = self.states.borrow();
        let stored = stored.iter().filter(|state| **state == MailState::Stored);
        let uids = self.uids.borrow().clone()?;
        (uids.count() == stored.count() as u64).then_some(uids)
    }

    /// Consecutive mails of the same state, by their places in the ticket; each refused mail
    /// alone.
    pub(crate) fn runs(&self) -> Vec<(Range<usize>, MailState)> {
        let mut runs: Vec<(Range<usize>, MailState)> = Vec::new();
        for (at, state) in self.states.borrow().iter().enumerate() {
            match runs.last_mut() {
                Some((range, known))
                    if known == state && !matches!(state, MailState::Refused(_)) =>
                {
                    range.end = at + 1;
                }
                _ => runs.push((at..at + 1, state.clone())),
            }
        }
        runs
    }
}
