//! What is learned of a folder when it is looked at, and what follows from it.

use std::collections::HashMap;

use super::chunk::MailState;
use super::folder::{Doubtful, Folder, FolderState, Opened, SETTLED_MAX};
use super::reconcile::{Fate, Question};
use super::{Ready, Run};
use crate::ImportError;
use crate::imap::look::Selected;
use crate::imap::uid_set::UidSet;
use crate::journal::{FolderId, InFlight};
use crate::mail::{Digest, Item, OnServer};

/// What the journal has of a folder that is being opened.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) id: FolderId,
    /// All UIDs below are accounted for.
    pub(crate) watermark: u64,
    /// What an earlier run left without an answer.
    pub(crate) pending: Vec<InFlight>,
    /// Ours, from the watermark on.
    pub(crate) uids: UidSet,
    /// Ours, by UIDs that nobody knows.
    pub(crate) settled: Vec<Item>,
}

impl Run<'_> {
    /// Holds what the journal knows against the folder that is there.
    pub(crate) fn recorded(
        &self,
        place: usize,
        selected: &Selected,
    ) -> Result<Recorded, ImportError> {
        let mut journal = self.journal.borrow_mut();
        let folders = self.folders.borrow();
        let name = &folders[place].name;
        let id = journal.folder(name)?;
        let record = journal.record(id);
        if record
            .uid_validity
            .is_some_and(|known| known != selected.uid_validity)
        {
            if record.stored > 0 {
                self.report.borrow_mut().note(format!(
                    "{name} is another folder than at the last run (UIDVALIDITY changed): of the \
                     {} mails that the journal has in it, those that are missing go in again",
                    record.stored
                ));
            }
            journal.forget(id, selected.uid_validity)?;
        } else if record.stored > selected.messages {
            self.report.borrow_mut().note(format!(
                "{name} has {} mails, and earlier runs put {} into it: what was deleted since is \
                 not put in again (for that, name another --journal)",
                selected.messages, record.stored
            ));
        }
        let since = journal.since_watermark(id)?;
        Ok(Recorded {
            id,
            watermark: journal.record(id).watermark,
            pending: journal.in_flight(id)?,
            uids: since.uids,
            settled: since.settled,
        })
    }

    /// Takes what was found in the folder from the watermark on: what of an earlier run's mails
    /// it has, and what was there before.
    pub(crate) fn looked_through(
        &self,
        place: usize,
        recorded: &Recorded,
        question: &Question,
        texts: &HashMap<u32, Digest>,
        selected: &Selected,
    ) -> Result<(), ImportError> {
        self.claim_again(place)?;
        let mut journal = self.journal.borrow_mut();
        let mut folders = self.folders.borrow_mut();
        let folder = &mut folders[place];
        let answer = question.answer(texts);
        let mut fates = &answer.fates[..];
        for batch in &recorded.pending {
            let (own, rest) = fates.split_at(batch.items.len());
            fates = rest;
            let runs: Vec<&[Fate]> = own.chunk_by(Fate::is_like).collect();
            let parts = journal.parts(batch.batch, runs.iter().map(|run| run.len()))?;
            for (part, run) in parts.into_iter().zip(runs) {
                match run[0] {
                    Fate::Absent => journal.absent(part)?,
                    Fate::Stored { .. } | Fate::Altered { .. } => {
                        journal.stored(part, None, None)?;
                    }
                }
            }
            for fate in own {
                if let Fate::Altered { uid } = fate {
                    let mut report = self.report.borrow_mut();
                    report.altered(&folder.name, "an earlier run", *uid);
                }
            }
        }
        let existing: Vec<OnServer> = answer.others;
        if !existing.is_empty() {
            journal.add_existing(recorded.id, &existing)?;
        }
        // What this run has on its way since before is not accounted for.
        let floor = folder.lowest_floor().unwrap_or(selected.uid_next);
        let watermark = floor.min(selected.uid_next);
        journal.set_watermark(recorded.id, selected.uid_validity, watermark)?;
        folder.state = FolderState::Open(Opened::new(recorded.id, selected));
        self.changed.notify_waiters();
        Ok(())
    }

    /// Before a folder is looked at again: what waits to be sent is claimed once more, as the
    /// folder may be another one by now, or have it.
    pub(crate) fn claim_again(&self, place: usize) -> Result<(), ImportError> {
        let mut folders = self.folders.borrow_mut();
        let folder = &mut folders[place];
        self.give_up_tickets(folder)?;
        while let Some(Ready { chunk, .. }) = folder.ready.pop_back() {
            folder.queue.push_front(chunk.mails().to_vec());
        }
        Ok(())
    }

    /// What waits with a ticket that is partly sent gets another one.
    fn give_up_tickets(&self, folder: &mut Folder) -> Result<(), ImportError> {
        for Ready { chunk, ticket } in std::mem::take(&mut folder.ready) {
            if let Some(ticket) = ticket {
                self.close(folder, &ticket, &chunk, &MailState::Absent)?;
            }
            let ticket = None;
            folder.ready.push_back(Ready { chunk, ticket });
        }
        Ok(())
    }

    /// In a dry run: the folder is not there, and would be made.
    pub(crate) fn open_missing(&self, place: usize) -> Result<(), ImportError> {
        let mut folders = self.folders.borrow_mut();
        let folder = &mut folders[place];
        let id = self.journal.borrow_mut().folder(&folder.name)?;
        self.report
            .borrow_mut()
            .note(format!("{} would be made", folder.name));
        folder.state = FolderState::Open(Opened::missing(id));
        self.changed.notify_waiters();
        Ok(())
    }

    /// The folder has gone, or become another one: it is looked at again before more goes in.
    pub(crate) fn vanished(&self, place: usize) {
        let mut folders = self.folders.borrow_mut();
        let folder = &mut folders[place];
        if matches!(folder.state, FolderState::Open(_)) {
            self.report.borrow_mut().note(format!(
                "{} was deleted or replaced while the import ran: mails that were in it by then \
                 have gone with it, and go in again with the next run",
                folder.name
            ));
        }
        folder.state = FolderState::Unopened;
        self.changed.notify_waiters();
    }

    /// The folders of a connection with mails acknowledged since the server was asked: where
    /// nothing is on its way, or it is high time.
    pub(crate) fn folders_to_sync(&self, me: usize) -> Vec<(usize, String)> {
        let mut folders = self.folders.borrow_mut();
        let folders = folders.iter_mut().enumerate();
        let folders = folders.filter(|(_, folder)| folder.owner.is_none_or(|owner| owner == me));
        folders
            .filter(|(_, folder)| match &folder.state {
                FolderState::Open(opened) if folder.on_its_way.is_empty() => opened.is_unplaced(),
                FolderState::Open(opened) => opened.settled.len() >= SETTLED_MAX,
                _ => false,
            })
            .map(|(place, folder)| (place, folder.wire.clone()))
            .collect()
    }

    /// The server says where a folder stands, with nothing on its way.
    pub(crate) fn sync(&self, place: usize, selected: &Selected) -> Result<(), ImportError> {
        let mut folders = self.folders.borrow_mut();
        let folder = &mut folders[place];
        self.give_up_tickets(folder)?;
        let is_idle = folder.on_its_way.is_empty();
        let Some(opened) = folder.opened() else {
            return Ok(());
        };
        if opened.uid_validity != selected.uid_validity {
            drop(folders);
            self.vanished(place);
            return Ok(());
        }
        if is_idle {
            opened.sync(selected.uid_next);
            let mut journal = self.journal.borrow_mut();
            journal.set_watermark(opened.id, selected.uid_validity, selected.uid_next)?;
        }
        Ok(())
    }

    /// The UIDs whose texts are needed before it is known which mails are there already.
    pub(crate) fn doubtful_uids(&self, place: usize) -> (String, Vec<u32>) {
        let folders = self.folders.borrow();
        let folder = &folders[place];
        let mails = folder.doubtful.iter().flat_map(|doubtful| &doubtful.mails);
        let mut uids: Vec<u32> = mails.flat_map(|(_, uids)| uids).copied().collect();
        uids.sort_unstable();
        uids.dedup();
        (folder.wire.clone(), uids)
    }

    /// The connection that was to look at the folder, or to read texts of it, has failed:
    /// another one has to.
    pub(crate) fn not_looked_at(&self, place: usize) {
        let mut folders = self.folders.borrow_mut();
        let folder = &mut folders[place];
        if matches!(folder.state, FolderState::Opening) {
            folder.state = FolderState::Unopened;
        }
        if let Some(doubtful) = &mut folder.doubtful {
            doubtful.is_compared = false;
        }
        self.changed.notify_waiters();
    }

    /// Takes those texts: what is not there becomes ready.
    pub(crate) fn compared(
        &self,
        place: usize,
        texts: &HashMap<u32, Digest>,
    ) -> Result<(), ImportError> {
        let mut folders = self.folders.borrow_mut();
        let folder = &mut folders[place];
        // Where it has gone meanwhile, they are compared when somebody has looked again.
        let Some(id) = folder.opened().map(|opened| opened.id) else {
            return Ok(());
        };
        let Some(Doubtful { mails, .. }) = folder.doubtful.take() else {
            return Ok(());
        };
        let mut fresh = Vec::with_capacity(mails.len());
        for (mail, candidates) in mails {
            let mut is_there = false;
            for uid in candidates {
                if texts.get(&uid) == Some(&mail.digest) {
                    let mut journal = self.journal.borrow_mut();
                    is_there = journal.claim_existing(id, mail.identity, mail.len, uid)?;
                    if is_there {
                        break;
                    }
                }
            }
            if is_there {
                self.was_there(folder);
            } else {
                fresh.push(mail);
            }
        }
        self.make_ready(place, folder, fresh);
        Ok(())
    }
}
