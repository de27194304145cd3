//! The folder that SELECT or EXAMINE opened, as its client knows it.
//!
//! A client numbers the messages it has been told of, and numbers move only when it is told of
//! an expunge. So a session keeps the UIDs that it has told, which are four bytes a message, and
//! looks a message up in the folder by its UID.

use std::fmt::Write as _;
use std::sync::Arc;

use super::command::Numbers;
use super::folder::{Folder, State};
use super::index::Entry;
use super::set::Set;

/// A folder with what its client has been told of it.
#[derive(Debug)]
pub(crate) struct Selected {
    pub(crate) folder: Arc<Folder>,
    pub(crate) writable: bool,
    /// Messages from this UID on are recent to this session.
    pub(crate) recent_from: u32,
    /// The UIDs that the client has been told of, in order; a message's place here plus one is
    /// its sequence number.
    known: Vec<u32>,
    /// The folder's count of expunges when `known` was last compared with it.
    expunges: u64,
}

/// A message with its place in the client's view, counted from 0.
pub(crate) type Placed = (usize, Arc<Entry>);

/// Whether a reply may tell of expunges: not while a client's sequence numbers are in use, that
/// is in the replies to FETCH, STORE and SEARCH (RFC 3501, 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expunges {
    Told,
    Held,
}

impl Selected {
    pub(crate) fn new(folder: Arc<Folder>, writable: bool, state: &State) -> Self {
        Self {
            folder,
            writable,
            recent_from: state.recent_from,
            known: state.messages.iter().map(|entry| entry.uid).collect(),
            expunges: state.expunges,
        }
    }

    /// Brings the view up to date, and tells the lines that say so to the client.
    pub(crate) fn catch_up(&mut self, expunges: Expunges) -> String {
        let mut lines = String::new();
        let state = self.folder.state();
        if expunges == Expunges::Told && state.expunges != self.expunges {
            self.expunges = state.expunges;
            let mut here = state.messages.iter().map(|entry| entry.uid).peekable();
            let mut number = 0;
            self.known.retain(|uid| {
                while here.next_if(|other| other < uid).is_some() {}
                let is_here = here.peek() == Some(uid);
                if is_here {
                    number += 1;
                } else {
                    // Each one told moves those after it down by one.
                    let _ = write!(lines, "* {} EXPUNGE\r\n", number + 1);
                }
                is_here
            });
        }
        let told = self.known.last().map_or(0, |uid| uid.saturating_add(1));
        let new = &state.messages[state.place(told)..];
        if !new.is_empty() {
            self.known.extend(new.iter().map(|entry| entry.uid));
            let known = self.known.len();
            let recent = known - self.known.partition_point(|uid| *uid < self.recent_from);
            let _ = write!(lines, "* {known} EXISTS\r\n* {recent} RECENT\r\n");
        }
        lines
    }

    /// Whether the folder was deleted or replaced by another.
    pub(crate) fn is_gone(&self) -> bool {
        self.folder.state().is_gone
    }

    /// The largest number in use, 0 in an empty folder.
    pub(crate) fn largest(&self, numbers: Numbers) -> u32 {
        match numbers {
            Numbers::Sequence => u32::try_from(self.known.len()).unwrap_or(u32::MAX),
            Numbers::Uid => self.known.last().copied().unwrap_or(0),
        }
    }

    /// The messages of a set, of those that the client has been told of and that are still
    /// there. Costs what the set holds, not what the folder holds.
    pub(crate) fn chosen(&self, numbers: Numbers, set: &Set) -> Vec<Placed> {
        let mut chosen = Vec::new();
        let state = self.folder.state();
        for (first, last) in set.resolve(self.largest(numbers)).each() {
            let (from, to) = match numbers {
                Numbers::Sequence => (place(first - 1), place(last)),
                Numbers::Uid => (
                    self.known.partition_point(|uid| *uid < first),
                    self.known.partition_point(|uid| *uid <= last),
                ),
            };
            self.push_known(&state, from, to, &mut chosen);
        }
        chosen
    }

    /// All messages.
    pub(crate) fn all(&self) -> Vec<Placed> {
        let mut all = Vec::new();
        self.push_known(&self.folder.state(), 0, self.known.len(), &mut all);
        all
    }

    fn push_known(&self, state: &State, from: usize, to: usize, into: &mut Vec<Placed>) {
        let from = from.min(self.known.len());
        let uids = &self.known[from..to.clamp(from, self.known.len())];
        let Some(first) = uids.first() else {
            return;
        };
        let mut here = state.messages[state.place(*first)..].iter().peekable();
        into.reserve(uids.len());
        for (place, uid) in (from..).zip(uids) {
            while here.next_if(|entry| entry.uid < *uid).is_some() {}
            if let Some(entry) = here.next_if(|entry| entry.uid == *uid) {
                into.push((place, Arc::clone(entry)));
            }
        }
    }
}

fn place(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
