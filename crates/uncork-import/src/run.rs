//! One import while it runs: what its connections share, on their one thread.

mod chunk;
mod encoder;
pub(crate) mod folder;
mod opening;
mod outgoing;
pub(crate) mod pace;
pub(crate) mod reader;
mod reconcile;
pub(crate) mod tuner;
mod upload;
pub(crate) mod verify;
mod window;
pub(crate) mod worker;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::Notify;

use self::chunk::{Chunk, MailState, Ticket};
use self::folder::{Doubtful, Folder, FolderState, QUEUE_BATCHES};
use self::pace::Pace;
use self::reconcile::Fate;
use self::tuner::Tuner;
use self::window::Command;
use crate::folder_map::ServerFolder;
use crate::imap::response::{Status, number, strip_word};
use crate::imap::uid_set::UidSet;
use crate::journal::{Claim, ExistingMatch, FolderId, Journal, JournalError};
use crate::mail::Mail;
use crate::prepare::rejects::Rejects;
use crate::report::{List, Progress, Report};
use crate::{Existing, ImportError, Options, Target};

/// A command has at most this part of a day's bytes, so that nearly all of them can be used.
const DAY_PARTS: u64 = 32;

/// The longest answer that is reckoned with.
const SETTLE_SLOWEST_MAX: Duration = Duration::from_secs(60);

/// What the connections of an import share.
pub(crate) struct Run<'a> {
    pub(crate) target: &'a Target,
    pub(crate) options: &'a Options,
    pub(crate) progress: &'a Progress,
    pub(crate) journal: RefCell<Journal>,
    pub(crate) report: RefCell<Report>,
    pub(crate) folders: RefCell<Vec<Folder>>,
    places: RefCell<HashMap<String, usize>>,
    /// Something has come into a queue or left it, or the end has come.
    pub(crate) changed: Notify,
    /// Sources that may still bring mail.
    sources_open: Cell<usize>,
    error: RefCell<Option<ImportError>>,
    pub(crate) pace: RefCell<Pace>,
    pause_until: Cell<Option<Instant>>,
    pub(crate) limits: Cell<Limits>,
    pub(crate) tuner: RefCell<Tuner>,
    /// The number of connections that is best by now.
    pub(crate) wish: Cell<u32>,
    pub(crate) sharing: Sharing,
    /// The longest time that a command waited for its answer.
    slowest_answer: Cell<Duration>,
    /// Of all connections: they are asked about together, as mails that are alike may be among
    /// those of two.
    pub(crate) unresolved: RefCell<Vec<Unresolved>>,
    rejects: Option<Arc<Rejects>>,
}

/// What one command, or one mail, may be on this server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Mails in one command.
    pub(crate) messages: usize,
    /// Bytes of the mails of one command.
    pub(crate) bytes: u64,
    /// Bytes of one mail (APPENDLIMIT).
    pub(crate) mail_bytes: u64,
}

/// Whether several connections put mail into one folder at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    Never,
    /// Their commands end in turn, so that the order is kept.
    InTurn,
    /// In any order.
    Free,
}

/// What a connection does next.
#[derive(Debug)]
pub(crate) enum Next {
    Send(Chunk, Rc<Ticket>),
    /// The folder has to be looked at before anything goes into it.
    Open(usize),
    /// Texts have to be compared before more goes into the folder.
    Compare(usize),
    Pause(Instant),
    /// Nothing now; more may come.
    Wait,
    Done,
}

/// Mails that are ready to be sent, with their ticket where they have one already.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) chunk: Chunk,
    pub(crate) ticket: Option<Rc<Ticket>>,
}

/// A command of which nobody knows whether it was done. The server is asked before anything of
/// it is sent again.
#[derive(Debug)]
pub(crate) struct Unresolved {
    pub(crate) command: Command,
    /// What the server said; `None` where the connection broke before it said anything.
    pub(crate) refusal: Option<Status>,
    /// Whether no other command was on its way when the connection broke.
    pub(crate) was_alone: bool,
    /// The connection that it was on.
    pub(crate) by: usize,
}

/// What server and user let an import do.
pub(crate) struct Terms {
    pub(crate) pace: Pace,
    pub(crate) limits: Limits,
    pub(crate) tuner: Tuner,
    pub(crate) sharing: Sharing,
    pub(crate) rejects: Option<Arc<Rejects>>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        target: &'a Target,
        options: &'a Options,
        progress: &'a Progress,
        journal: Journal,
        terms: Terms,
        sources: usize,
    ) -> Self {
        let Terms {
            pace,
            limits,
            tuner,
            sharing,
            rejects,
        } = terms;
        Self {
            target,
            options,
            progress,
            journal: RefCell::new(journal),
            report: RefCell::default(),
            folders: RefCell::default(),
            places: RefCell::default(),
            changed: Notify::new(),
            sources_open: Cell::new(sources),
            error: RefCell::default(),
            pace: RefCell::new(pace),
            pause_until: Cell::new(None),
            limits: Cell::new(limits),
            wish: Cell::new(tuner.connections()),
            tuner: RefCell::new(tuner),
            sharing,
            slowest_answer: Cell::default(),
            unresolved: RefCell::default(),
            rejects,
        }
    }

    /// The place of a folder, which is new here where it has none.
    pub(crate) fn folder(&self, folder: &ServerFolder) -> usize {
        if let Some(&place) = self.places.borrow().get(&folder.wire) {
            return place;
        }
        let mut folders = self.folders.borrow_mut();
        folders.push(Folder::new(folder.name.clone(), folder.wire.clone()));
        let place = folders.len() - 1;
        self.places.borrow_mut().insert(folder.wire.clone(), place);
        place
    }

    /// Queues mails of a source; waits while the folder's queue is full.
    pub(crate) async fn queue(&self, folder: usize, mut mails: Vec<Mail>) {
        loop {
            // What changes from here on is not missed.
            let changed = self.changed.notified();
            if self.is_over() {
                self.report.borrow_mut().not_sent_messages += mails.len() as u64;
                return;
            }
            match self.try_queue(folder, mails) {
                Ok(()) => return,
                Err(back) => mails = back,
            }
            changed.await;
        }
    }

    fn try_queue(&self, folder: usize, mails: Vec<Mail>) -> Result<(), Vec<Mail>> {
        let mut folders = self.folders.borrow_mut();
        if folders[folder].queue.len() >= QUEUE_BATCHES {
            return Err(mails);
        }
        folders[folder].queue.push_back(mails);
        self.changed.notify_waiters();
        Ok(())
    }

    pub(crate) fn source_ended(&self) {
        self.sources_open.set(self.sources_open.get() - 1);
        self.changed.notify_waiters();
    }

    /// Ends the import, with the first error that asks for it.
    pub(crate) fn fail(&self, error: ImportError) {
        self.error.borrow_mut().get_or_insert(error);
        self.changed.notify_waiters();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.options.stop.is_asked() || self.error.borrow().is_some()
    }

    /// Nothing is sent before this time, on any connection.
    pub(crate) fn pause(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let known = self.pause_until.get();
        self.pause_until
            .set(Some(known.map_or(until, |known| known.max(until))));
    }

    /// The report and the error, with what was not sent counted.
    pub(crate) fn finish(self) -> (Report, Option<ImportError>) {
        let mut report = self.report.into_inner();
        if let Some(trouble) = self.rejects.and_then(|rejects| rejects.trouble()) {
            report.note(trouble);
        }
        for folder in self.folders.into_inner() {
            let queued = folder.queue.iter().map(Vec::len).sum::<usize>();
            let ready = folder
                .ready
                .iter()
                .map(|ready| ready.chunk.len())
                .sum::<usize>();
            let doubtful = folder.doubtful.map_or(0, |doubtful| doubtful.mails.len());
            report.not_sent_messages += (queued + ready + doubtful) as u64;
        }
        (report, self.error.into_inner())
    }

    /// What connection `me` does next. `messages_max` bounds a command beyond the server's
    /// limits.
    pub(crate) fn next(&self, me: usize, messages_max: usize) -> Result<Next, ImportError> {
        if self.is_over() {
            return Ok(Next::Done);
        }
        if me > 0 && me >= self.wish.get() as usize && self.may_retire(me) {
            return Ok(Next::Done);
        }
        if let Some(until) = self.pause_until.get() {
            if until > Instant::now() {
                return Ok(Next::Pause(until));
            }
            self.pause_until.set(None);
        }
        while let Some(place) = self.pick(me) {
            let mut folders = self.folders.borrow_mut();
            let folder = &mut folders[place];
            if self.sharing == Sharing::Never {
                folder.owner = Some(me);
            }
            match folder.state {
                FolderState::Unopened => {
                    folder.state = FolderState::Opening;
                    return Ok(Next::Open(place));
                }
                FolderState::Blocked => {
                    self.refuse_all(folder);
                    continue;
                }
                FolderState::Opening => return Ok(Next::Wait),
                FolderState::Open(_) => {}
            }
            if let Some(doubtful) = &mut folder.doubtful {
                doubtful.is_compared = true;
                return Ok(Next::Compare(place));
            }
            if folder.ready.is_empty()
                && let Some(mails) = folder.queue.pop_front()
            {
                self.changed.notify_waiters();
                self.claim(place, folder, mails)?;
                self.release(folder);
                continue;
            }
            if let Some(ready) = folder.ready.pop_front() {
                return self.take(folder, ready, me, messages_max);
            }
        }
        // Of a folder that several may work on there may be more to do when somebody has looked.
        let is_shared = self.sharing != Sharing::Never && self.has_work();
        Ok(if self.sources_open.get() > 0 || is_shared {
            Next::Wait
        } else {
            Next::Done
        })
    }

    /// The number of folders that have work and belong to nobody: what more connections could
    /// take.
    pub(crate) fn folders_waiting(&self) -> usize {
        let folders = self.folders.borrow();
        let waits = |folder: &&Folder| folder.has_work() && folder.owner.is_none();
        folders.iter().filter(waits).count()
    }

    /// Frees the folders of a connection that ends, where nothing of them is on its way.
    fn may_retire(&self, me: usize) -> bool {
        let folders = self.folders.borrow_mut();
        let own = || folders.iter().filter(|folder| folder.owner == Some(me));
        if !own().all(|folder| folder.on_its_way.is_empty()) {
            return false;
        }
        drop(folders);
        self.leave(me);
        true
    }

    /// Frees the folders of a connection that ends: what is left of them is for the others.
    pub(crate) fn leave(&self, me: usize) {
        let mut folders = self.folders.borrow_mut();
        let own = folders.iter_mut().filter(|folder| folder.owner == Some(me));
        own.for_each(|folder| folder.owner = None);
        self.changed.notify_waiters();
    }

    /// A folder with work for connection `me`; one that is its own first.
    fn pick(&self, me: usize) -> Option<usize> {
        let folders = self.folders.borrow();
        let is_free = |folder: &Folder| {
            folder.has_work()
                && !folder.is_looked_at()
                && folder.owner.is_none_or(|owner| owner == me)
        };
        let own = folders
            .iter()
            .position(|folder| folder.owner == Some(me) && is_free(folder));
        let undisturbed = |folder: &Folder| is_free(folder) && !folder.turns.has_others(me);
        own.or_else(|| folders.iter().position(undisturbed))
            .or_else(|| folders.iter().position(is_free))
    }

    /// Writes into the journal that mails are about to be sent, and hands out as many as one
    /// command may have.
    fn take(
        &self,
        folder: &mut Folder,
        ready: Ready,
        me: usize,
        messages_max: usize,
    ) -> Result<Next, ImportError> {
        let ticket = match ready.ticket {
            Some(ticket) => ticket,
            None => self.begin(folder, ready.chunk.clone())?,
        };
        let limits = self.limits.get();
        let messages_max = limits.messages.min(messages_max);
        let day_bytes = self.options.bytes_per_day_max.unwrap_or(u64::MAX);
        let bytes_max = limits.bytes.min(day_bytes / DAY_PARTS);
        let (mut chunk, rest) = ready.chunk.split_off(messages_max, bytes_max);
        chunk.turn = folder.turns.begin(me);
        self.progress.say(&folder.name);
        if let Some(rest) = rest {
            folder.ready.push_front(Ready {
                chunk: rest,
                ticket: Some(Rc::clone(&ticket)),
            });
        }
        Ok(Next::Send(chunk, ticket))
    }

    fn begin(&self, folder: &mut Folder, chunk: Chunk) -> Result<Rc<Ticket>, ImportError> {
        let opened = folder.expect_open()?;
        let uid_floor = opened.uid_floor();
        let items = chunk.mails().iter().map(Mail::item);
        let entry = self
            .journal
            .borrow_mut()
            .begin(opened.id, items, uid_floor)?;
        folder.on_its_way.push((entry, uid_floor));
        Ok(Rc::new(Ticket::new(entry, chunk, uid_floor)))
    }

    /// Finds out which mails are new to the folder; those become ready.
    fn claim(
        &self,
        place: usize,
        folder: &mut Folder,
        mails: Vec<Mail>,
    ) -> Result<(), ImportError> {
        let mut journal = self.journal.borrow_mut();
        let mut report = self.report.borrow_mut();
        let id = folder.expect_open()?.id;
        let mut kept: Vec<(Mail, Vec<u32>)> = Vec::with_capacity(mails.len());
        let mut there = 0;
        for mail in mails {
            match journal.claim(id, &mail.digest)? {
                Claim::New => {}
                Claim::InFlight(_) => {
                    let misused = "a mail is claimed before the server was asked about it";
                    return Err(JournalError::Misused(misused).into());
                }
                Claim::Stored => {
                    there += 1;
                    continue;
                }
                Claim::Refused { reason } => {
                    let reason = format!("an earlier run was told: {reason}");
                    let source = mail.position.to_string();
                    report.list(List::Refused, &source, &folder.name, &reason);
                    continue;
                }
            }
            let mut candidates = Vec::new();
            match self.options.existing {
                Existing::Append => {}
                Existing::Skip if mail.identity.has_message_id => {
                    match journal.take_existing(id, mail.identity, mail.len)? {
                        None => {}
                        Some(ExistingMatch::Exact { .. }) => {
                            there += 1;
                            continue;
                        }
                        Some(ExistingMatch::Altered { uid }) => {
                            there += 1;
                            report.altered(&folder.name, &mail.position.to_string(), uid);
                            continue;
                        }
                    }
                }
                Existing::Skip | Existing::Compare => {
                    let same = journal.existing_candidates(id, mail.identity, mail.len)?;
                    candidates = same.collect();
                }
            }
            let mail_bytes = self.limits.get().mail_bytes;
            if mail.len > mail_bytes {
                let reason = format!(
                    "it has {} bytes, and the server takes no more than {mail_bytes}",
                    mail.len
                );
                self.list_refused(&mut report, &folder.name, &mail, &reason);
                continue;
            }
            kept.push((mail, candidates));
        }
        report.already_there += there;
        report.folder(&folder.name).already_there += there;
        self.progress.show(&report);
        drop(report);
        drop(journal);
        if kept.iter().any(|(_, candidates)| !candidates.is_empty()) {
            folder.doubtful = Some(Doubtful {
                mails: kept,
                is_compared: false,
            });
        } else {
            let mails = kept.into_iter().map(|(mail, _)| mail).collect();
            self.make_ready(place, folder, mails);
        }
        Ok(())
    }

    /// Queues mails that are not in the folder, behind those that are ready already.
    pub(crate) fn make_ready(&self, place: usize, folder: &mut Folder, mut mails: Vec<Mail>) {
        if mails.is_empty() {
            return;
        }
        let mut report = self.report.borrow_mut();
        if self.options.dry_run {
            report.would_import += mails.len() as u64;
            report.folder(&folder.name).would_import += mails.len() as u64;
            self.progress.show(&report);
            return;
        }
        if let Some(opened) = folder.opened() {
            for mail in &mut mails {
                report.flags_dropped += opened.permitted.filter(&mut mail.flags);
            }
        }
        folder.ready.push_back(Ready {
            chunk: Chunk::all(place, mails),
            ticket: None,
        });
    }

    /// A mail that was there before, by the comparison of its text.
    pub(crate) fn was_there(&self, folder: &Folder) {
        let mut report = self.report.borrow_mut();
        report.already_there += 1;
        report.folder(&folder.name).already_there += 1;
        self.progress.show(&report);
    }

    /// The server has acknowledged a command.
    pub(crate) fn stored(
        &self,
        command: &Command,
        uids: Option<&UidSet>,
    ) -> Result<(), ImportError> {
        let chunk = &command.chunk;
        let mut folders = self.folders.borrow_mut();
        let folder = &mut folders[chunk.folder];
        if let Some(opened) = folder.opened() {
            opened.acknowledge(chunk.mails(), uids);
        }
        command.ticket.add_uids(uids);
        self.count_stored(folder, chunk);
        self.close(folder, &command.ticket, chunk, &MailState::Stored)
    }

    fn count_stored(&self, folder: &Folder, chunk: &Chunk) {
        let (mails, bytes) = (chunk.len() as u64, chunk.bytes());
        if self.options.bytes_per_day_max.is_some() {
            let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
            if let Err(error) = self.journal.borrow_mut().add_bytes(today, bytes) {
                self.fail(error.into());
            }
        }
        let mut report = self.report.borrow_mut();
        report.imported += mails;
        report.bytes += bytes;
        let by_folder = report.folder(&folder.name);
        by_folder.imported += mails;
        by_folder.bytes += bytes;
        self.progress.show(&report);
    }

    /// The server does not want this one mail.
    pub(crate) fn refused(&self, command: &Command, reason: &str) -> Result<(), ImportError> {
        let mut folders = self.folders.borrow_mut();
        let folder = &mut folders[command.chunk.folder];
        for mail in command.chunk.mails() {
            self.list_refused(&mut self.report.borrow_mut(), &folder.name, mail, reason);
        }
        let state = MailState::Refused(reason.to_owned());
        self.close(folder, &command.ticket, &command.chunk, &state)
    }

    /// The server has been asked what became of a command that it did not acknowledge. What it
    /// does not have is returned, to be sent again.
    pub(crate) fn asked(
        &self,
        command: &Command,
        fates: &[Fate],
    ) -> Result<Vec<Chunk>, ImportError> {
        let chunk = &command.chunk;
        let mut folders = self.folders.borrow_mut();
        let folder = &mut folders[chunk.folder];
        let mut absent = Vec::new();
        let mut start = 0;
        for fates in fates.chunk_by(Fate::is_like) {
            let part = chunk.part(start..start + fates.len());
            start += fates.len();
            let state = if fates[0] == Fate::Absent {
                absent.push(part.clone());
                MailState::Absent
            } else {
                self.count_stored(folder, &part);
                for (mail, fate) in part.mails().iter().zip(fates) {
                    if let Fate::Altered { uid } = fate {
                        let source = mail.position.to_string();
                        self.report
                            .borrow_mut()
                            .altered(&folder.name, &source, *uid);
                    }
                }
                if let Some(opened) = folder.opened() {
                    opened.found(fates);
                }
                // Which of them has which UID is known, but not in the order of the set.
                command.ticket.add_uids(None);
                MailState::Stored
            };
            self.close(folder, &command.ticket, &part, &state)?;
        }
        Ok(absent)
    }

    /// Whether the command with these mails may end, on connection `me`: see
    /// [`Turns`](crate::run::folder::Turns).
    pub(crate) fn may_end(&self, chunk: &Chunk, me: usize) -> bool {
        let turns = || {
            self.folders.borrow()[chunk.folder]
                .turns
                .may_end(chunk.turn, me)
        };
        self.sharing != Sharing::InTurn || turns()
    }

    /// Whether another connection waits for the command to end.
    pub(crate) fn is_waited_for(&self, chunk: &Chunk, me: usize) -> bool {
        self.sharing == Sharing::InTurn && self.folders.borrow()[chunk.folder].turns.has_others(me)
    }

    /// The command with these mails is answered, or has gone with its connection.
    pub(crate) fn end_turn(&self, chunk: &Chunk) {
        self.folders.borrow_mut()[chunk.folder]
            .turns
            .end(chunk.turn);
        self.changed.notify_waiters();
    }

    /// Holds a folder back, and waits until nothing of it is on its way on other connections and
    /// nobody else holds it.
    pub(crate) async fn quiet(&self, place: usize, me: usize) -> Quiet<'_, 'a> {
        loop {
            let changed = self.changed.notified();
            if self.is_quiet(place, me) {
                return Quiet { run: self, place };
            }
            changed.await;
        }
    }

    fn is_quiet(&self, place: usize, me: usize) -> bool {
        let folder = &mut self.folders.borrow_mut()[place];
        if folder.asked_by.is_some_and(|other| other != me) {
            return false;
        }
        folder.asked_by = Some(me);
        !folder.turns.has_others(me)
    }

    pub(crate) fn answered_after(&self, time: Duration) {
        self.slowest_answer.set(self.slowest_answer.get().max(time));
    }

    /// For how long a folder must have stayed as it is before what broke off counts as absent. A
    /// server does what it has received though the connection is gone, and that may take as long
    /// as it took before.
    pub(crate) fn settle_time(&self) -> Duration {
        let settle = self.options.patience.settle;
        settle.max(2 * self.slowest_answer.get().min(SETTLE_SLOWEST_MAX))
    }

    pub(crate) fn add_unresolved(&self, commands: impl Iterator<Item = Unresolved>) {
        let mut unresolved = self.unresolved.borrow_mut();
        unresolved.extend(commands);
        unresolved.sort_by_key(|unresolved| unresolved.command.chunk.turn);
    }

    /// Whether there are unresolved commands of connection `me`.
    pub(crate) fn has_unresolved(&self, me: usize) -> bool {
        let unresolved = self.unresolved.borrow();
        unresolved.iter().any(|unresolved| unresolved.by == me)
    }

    /// A folder with unresolved commands.
    pub(crate) fn unresolved_place(&self) -> Option<usize> {
        let unresolved = self.unresolved.borrow();
        Some(unresolved.first()?.command.chunk.folder)
    }

    /// The unresolved commands of a folder, in the order in which they were sent.
    pub(crate) fn unresolved_commands(&self, place: usize) -> Vec<Command> {
        let unresolved = self.unresolved.borrow();
        let commands = unresolved.iter().map(|unresolved| &unresolved.command);
        let here = commands.filter(|command| command.chunk.folder == place);
        here.cloned().collect()
    }

    /// Whether a connection broke on some of them: the others were refused, and are done with.
    pub(crate) fn is_broken_off(&self, place: usize) -> bool {
        let unresolved = self.unresolved.borrow();
        let mut here = unresolved
            .iter()
            .filter(|unresolved| unresolved.command.chunk.folder == place);
        here.any(|unresolved| unresolved.refusal.is_none())
    }

    /// Takes one of them, by its turn in the folder.
    pub(crate) fn take_unresolved(&self, place: usize, turn: u64) -> Option<Unresolved> {
        let mut unresolved = self.unresolved.borrow_mut();
        let at = unresolved.iter().position(|unresolved| {
            let chunk = &unresolved.command.chunk;
            (chunk.folder, chunk.turn) == (place, turn)
        })?;
        Some(unresolved.remove(at))
    }

    /// Chunks to be sent before anything else of their folders, in this order.
    pub(crate) fn give_back(&self, chunks: Vec<Ready>) {
        let mut folders = self.folders.borrow_mut();
        for ready in chunks.into_iter().rev() {
            folders[ready.chunk.folder].ready.push_front(ready);
        }
        self.changed.notify_waiters();
    }

    /// The connection is given up, and with it the mails that it had on their way.
    pub(crate) fn lose(&self, command: &Command, reason: &str) {
        let folders = self.folders.borrow();
        let mut report = self.report.borrow_mut();
        for mail in command.chunk.mails() {
            let source = mail.position.to_string();
            let name = &folders[command.chunk.folder].name;
            report.list(List::Unknown, &source, name, reason);
        }
        self.progress.show(&report);
    }

    /// The server lets no mail into this folder: said once.
    pub(crate) fn block(&self, place: usize, reason: &str) {
        let mut folders = self.folders.borrow_mut();
        let folder = &mut folders[place];
        folder.state = FolderState::Blocked;
        folder.owner = None;
        let note = format!("the server lets no mail into {}: {reason}", folder.name);
        self.report.borrow_mut().note(note);
        self.changed.notify_waiters();
    }

    fn refuse_all(&self, folder: &mut Folder) {
        let reason = "the server lets no mail into this folder";
        let mut report = self.report.borrow_mut();
        let queued = folder.queue.drain(..).flatten();
        let doubtful = folder.doubtful.take().into_iter();
        let doubtful =
            doubtful.flat_map(|doubtful| doubtful.mails.into_iter().map(|(mail, _)| mail));
        for mail in queued.chain(doubtful) {
            self.list_refused(&mut report, &folder.name, &mail, reason);
        }
        for ready in folder.ready.drain(..) {
            for mail in ready.chunk.mails() {
                self.list_refused(&mut report, &folder.name, mail, reason);
            }
        }
        self.changed.notify_waiters();
    }

    fn list_refused(&self, report: &mut Report, folder: &str, mail: &Mail, reason: &str) {
        report.list(List::Refused, &mail.position.to_string(), folder, reason);
        self.progress.show(report);
        if let Some(rejects) = &self.rejects {
            rejects.keep_refused(mail, reason);
        }
    }

    /// Takes what became of some mails of a ticket; when it is known of all, the journal does.
    fn close(
        &self,
        folder: &mut Folder,
        ticket: &Ticket,
        chunk: &Chunk,
        state: &MailState,
    ) -> Result<(), ImportError> {
        ticket.close(chunk, state);
        if !ticket.is_closed() {
            return Ok(());
        }
        folder
            .on_its_way
            .retain(|(entry, _)| *entry != ticket.entry);
        let mut journal = self.journal.borrow_mut();
        let runs = ticket.runs();
        let uids = ticket.uids();
        if let Some(opened) = folder.opened() {
            let has_stored = runs.iter().any(|(_, state)| *state == MailState::Stored);
            opened.is_unplaced |= has_stored && (runs.len() > 1 || uids.is_none());
        }
        let watermark = folder.watermark();
        if let [(_, MailState::Stored)] = &runs[..] {
            let ranges = uids.as_ref().map(UidSet::ranges);
            journal.stored(ticket.entry, ranges, watermark)?;
        } else {
            let lens = runs.iter().map(|(range, _)| range.len());
            let parts = journal.parts(ticket.entry, lens)?;
            for (entry, (range, state)) in parts.into_iter().zip(&runs) {
                match state {
                    MailState::Stored => journal.stored(entry, None, watermark)?,
                    MailState::Refused(reason) => {
                        let mail = &ticket.chunk.mails()[range.start];
                        journal.refused(entry, reason, &mail.position.to_string())?;
                    }
                    MailState::Absent | MailState::OnItsWay => journal.absent(entry)?,
                }
            }
        }
        drop(journal);
        self.release(folder);
        Ok(())
    }

    /// A mail that nobody is sent any more, after all that was tried.
    pub(crate) fn refuse_unsent(&self, chunk: &Chunk, reason: &str) {
        let folders = self.folders.borrow();
        for mail in chunk.mails() {
            let name = &folders[chunk.folder].name;
            self.list_refused(&mut self.report.borrow_mut(), name, mail, reason);
        }
    }

    pub(crate) fn use_capability(&self, name: &str) {
        let used = &mut self.report.borrow_mut().capabilities_used;
        if !used.iter().any(|known| known == name) {
            used.push(name.to_owned());
        }
    }

    /// The server has refused one connection more.
    pub(crate) fn too_many_connections(&self) {
        self.wish.set(self.tuner.borrow_mut().too_many());
    }

    /// The server asks for less of everything.
    pub(crate) fn fewer_connections(&self) {
        self.wish.set(self.tuner.borrow_mut().wait());
    }

    /// Looks at how fast it goes, and whether another number of connections would be faster.
    pub(crate) fn tune(&self, now: Instant) {
        let (stored, bytes) = {
            let report = self.report.borrow();
            (report.imported, report.bytes)
        };
        if let Some(connections) = self.tuner.borrow_mut().sample(now, stored, bytes) {
            self.wish.set(connections);
        }
    }

    /// Takes a limit on the mails of a command that a refusal tells (RFC 9738).
    pub(crate) fn learn_limit(&self, refusal: &Status) {
        let code = refusal.code.as_deref().unwrap_or_default();
        let told = strip_word(code, "MESSAGELIMIT").or_else(|| strip_word(code, "SAVELIMIT"));
        let told = told.and_then(|rest| number(rest.split_whitespace().next()?));
        if let Some(messages) = told.filter(|&messages: &usize| messages > 0) {
            let mut limits = self.limits.get();
            limits.messages = limits.messages.min(messages);
            self.limits.set(limits);
        }
    }

    pub(crate) fn has_work(&self) -> bool {
        self.folders.borrow().iter().any(Folder::has_work)
    }

    /// The folders that were looked at: by the journal, for people, and as an astring.
    pub(crate) fn open_folders(&self) -> Vec<(FolderId, String, String)> {
        let mut folders = self.folders.borrow_mut();
        let open = folders.iter_mut().filter_map(|folder| {
            let id = folder.opened()?.id;
            Some((id, folder.name.clone(), folder.wire.clone()))
        });
        open.collect()
    }

    /// Lets another connection have a folder of which nothing waits and nothing is on its way.
    fn release(&self, folder: &mut Folder) {
        let is_open = !matches!(folder.state, FolderState::Opening);
        if is_open && folder.on_its_way.is_empty() && !folder.has_work() {
            folder.owner = None;
        }
    }
}

/// A folder of which nothing is sent for as long as this lives.
pub(crate) struct Quiet<'q, 'a> {
    run: &'q Run<'a>,
    place: usize,
}

impl Drop for Quiet<'_, '_> {
    fn drop(&mut self) {
        self.run.folders.borrow_mut()[self.place].asked_by = None;
        self.run.changed.notify_waiters();
    }
}
