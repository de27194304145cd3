//! One connection through an import: what it does between stretches of pipelined commands, and
//! what it does when they end badly.

use std::time::{Duration, Instant};

use super::chunk::Chunk;
use super::reconcile::{Fate, Question};
use super::upload::{Pause, Stretch, stretch};
use super::window::Command;
use super::{Ready, Run, Unresolved};
use crate::ImportError;
use crate::imap::look::{Access, Selected};
use crate::imap::response::{Status, StatusKind};
use crate::imap::session::Session;
use crate::imap::throttle::Setback;

/// How often a server may hang up on one mail that is alone on its way before the mail is
/// refused.
const CUTS_MAX: u32 = 3;

/// How often it is waited for a folder to stay as it is.
const SETTLE_ROUNDS: u32 = 60;

/// Waits are cut into pieces of this length, so that a stop is heard.
const WAIT_STEP: Duration = Duration::from_millis(200);

/// One connection after the other, under one number.
pub(crate) struct Worker<'p, 'r> {
    run: &'p Run<'r>,
    me: usize,
    session: Option<Session>,
    /// Connections that broke in a row without a mail settled in between.
    troubles: u32,
    settled_at_trouble: u64,
}

/// What to do after a step.
enum Step {
    Again,
    Done,
}

impl<'p, 'r> Worker<'p, 'r> {
    pub(crate) fn new(run: &'p Run<'r>, me: usize, session: Option<Session>) -> Self {
        Self {
            run,
            me,
            session,
            troubles: 0,
            settled_at_trouble: 0,
        }
    }

    /// Works until there is nothing more to do for it; its connection, where that is still good.
    /// An error that ends the import is the run's.
    pub(crate) async fn work(mut self) -> Option<Session> {
        if let Err(error) = self.work_on().await {
            self.run.fail(error);
        }
        let run = self.run;
        let own = |unresolved: &Unresolved| unresolved.by == self.me;
        let all = run.unresolved.take().into_iter();
        let (lost, others): (Vec<_>, Vec<_>) = all.partition(own);
        run.unresolved.replace(others);
        for unresolved in &lost {
            run.lose(&unresolved.command, NO_ANSWER);
        }
        if !lost.is_empty() {
            self.session = None;
        }
        // One that could not connect again may still have some.
        self.run.leave(self.me);
        self.session
    }

    async fn work_on(&mut self) -> Result<(), ImportError> {
        loop {
            if self.session.is_none() && !self.connect().await? {
                return Ok(());
            }
            let Some(mut session) = self.session.take() else {
                return Ok(());
            };
            match self.step(&mut session).await {
                Ok(Step::Again) => self.session = Some(session),
                Ok(Step::Done) => {
                    self.account(&mut session);
                    self.session = Some(session);
                    return Ok(());
                }
                Err(error) => {
                    self.account(&mut session);
                    self.endure(error).await?;
                }
            }
        }
    }

    /// Connects; `false` where this connection is one too many, or nobody needs it any more.
    async fn connect(&mut self) -> Result<bool, ImportError> {
        loop {
            if self.run.is_over() {
                return Ok(false);
            }
            match Session::open(self.run.target, self.run.options).await {
                Ok(session) => {
                    self.session = Some(session);
                    return Ok(true);
                }
                Err(_) if self.me > 0 && !self.run.has_unresolved(self.me) => {
                    self.run.too_many_connections();
                    return Ok(false);
                }
                // It was an IMAP server before: one that is starting, or has too much to do,
                // hangs up without a greeting.
                Err(error @ ImportError::NotImap { .. }) => self.try_again(error).await?,
                Err(error) => self.endure(error).await?,
            }
        }
    }

    /// As [`try_again`](Self::try_again), but gives up on an error that will not pass.
    async fn endure(&mut self, error: ImportError) -> Result<(), ImportError> {
        if error.is_temporary() {
            self.try_again(error).await
        } else {
            Err(error)
        }
    }

    /// Waits before another attempt; gives up after too many of them.
    async fn try_again(&mut self, error: ImportError) -> Result<(), ImportError> {
        if self.run.is_over() || !self.has_patience() {
            return Err(error);
        }
        let mut wait = self.wait();
        if let Setback::Wait {
            at_least,
            fewer_connections,
        } = error.setback()
        {
            wait = wait.max(at_least.unwrap_or_default());
            if fewer_connections {
                self.run.fewer_connections();
            }
        }
        self.run.report.borrow_mut().reconnects += 1;
        let text = format!("{error}; trying again in {} s", wait.as_secs_f32().ceil());
        self.run.progress.say(&text);
        self.wait_until(Instant::now() + wait).await;
        Ok(())
    }

    /// Counts one trouble more; whether that is not yet too many without a mail settled in
    /// between.
    fn has_patience(&mut self) -> bool {
        let settled = self.settled();
        if settled > self.settled_at_trouble {
            self.troubles = 0;
        }
        self.settled_at_trouble = settled;
        self.troubles += 1;
        self.troubles <= self.run.options.patience.attempts
    }

    /// How long to wait after the trouble counted last, where nobody says.
    fn wait(&self) -> Duration {
        let patience = &self.run.options.patience;
        let times = 2_u32.saturating_pow(self.troubles.saturating_sub(1));
        patience.wait.saturating_mul(times).min(patience.wait_max)
    }

    async fn wait_until(&self, until: Instant) {
        let started = Instant::now();
        while Instant::now() < until && !self.run.is_over() {
            let left = until.saturating_duration_since(Instant::now());
            tokio::time::sleep(left.min(WAIT_STEP)).await;
        }
        self.run.report.borrow_mut().waited_seconds += started.elapsed().as_secs_f64();
    }

    /// One stretch of commands, and what has to be done after it.
    async fn step(&mut self, session: &mut Session) -> Result<Step, ImportError> {
        self.resolve(session).await?;
        // A server that hangs up again and again is sent less and less at a time, until the mail
        // stands alone that it does not bear.
        let (messages_max, commands_max) = match self.narrowness() {
            0 | 1 => (usize::MAX, usize::MAX),
            2 => (25, 1),
            3 => (5, 1),
            _ => (1, 1),
        };
        let Stretch {
            end,
            refused,
            unanswered,
        } = stretch(self.run, session, self.me, messages_max, commands_max).await;
        for command in &unanswered {
            // It would have taken longer yet.
            self.run.answered_after(command.since.elapsed());
        }
        let was_alone = unanswered.len() == 1 && unanswered[0].chunk.len() == 1;
        let refused = refused.into_iter().map(|(command, status)| Unresolved {
            command,
            refusal: Some(status),
            was_alone: false,
            by: self.me,
        });
        let unanswered = unanswered.into_iter().map(|command| Unresolved {
            command,
            refusal: None,
            was_alone,
            by: self.me,
        });
        self.run.add_unresolved(refused.chain(unanswered));
        let pause = end?;
        match pause {
            Pause::Done if !self.run.has_unresolved(self.me) => return Ok(Step::Done),
            Pause::Open(folder) => self.open(session, folder).await?,
            Pause::Compare(folder) => self.compare(session, folder).await?,
            Pause::Until(until) => {
                self.run.progress.say("waiting, as the server asked");
                self.wait_until(until).await;
            }
            Pause::Compress => {
                if session.compress().await? {
                    self.run.use_capability("COMPRESS=DEFLATE");
                }
            }
            Pause::Ask | Pause::Done => {}
        }
        Ok(Step::Again)
    }

    /// Mails of which it is known what became of them. One that was given up on is a step
    /// forward, too: there may be another like it.
    fn settled(&self) -> u64 {
        let report = self.run.report.borrow();
        report.imported + report.refused_messages
    }

    fn narrowness(&self) -> u32 {
        if self.settled() > self.settled_at_trouble {
            0
        } else {
            self.troubles
        }
    }

    /// Asks the server what became of all commands that it did not acknowledge.
    async fn resolve(&mut self, session: &mut Session) -> Result<(), ImportError> {
        while let Some(place) = self.run.unresolved_place() {
            let run = self.run;
            let quiet = run.quiet(place, self.me).await;
            // Another connection may have asked by now.
            let commands = run.unresolved_commands(place);
            if commands.is_empty() {
                continue;
            }
            let fates = self.fates(session, place, &commands).await?;
            // From here on nothing waits, so that nothing can be left half done.
            let mut rest = fates.as_slice();
            let mut again = Vec::new();
            for command in &commands {
                let (own, others) = rest.split_at(command.chunk.len());
                rest = others;
                // Whoever sent it may have given up meanwhile; and others may have come, about
                // which nobody has asked.
                let Some(unresolved) = run.take_unresolved(place, command.chunk.turn) else {
                    continue;
                };
                let absent = run.asked(&unresolved.command, own)?;
                self.again(&unresolved, absent, &mut again);
            }
            let ready = again.into_iter().map(|chunk| Ready {
                chunk,
                ticket: None,
            });
            self.run.give_back(ready.collect());
            drop(quiet);
        }
        self.sync(session).await
    }

    /// How mails that the server does not have are sent again.
    fn again(&mut self, unresolved: &Unresolved, absent: Vec<Chunk>, again: &mut Vec<Chunk>) {
        let Some(refusal) = &unresolved.refusal else {
            for mut chunk in absent {
                chunk.cuts += u32::from(unresolved.was_alone);
                if chunk.cuts < CUTS_MAX {
                    again.push(chunk);
                } else {
                    self.run.refuse_unsent(&chunk, HUNG_UP);
                }
            }
            return;
        };
        let sent = unresolved.command.chunk.len();
        let place = unresolved.command.chunk.folder;
        match Setback::of(refusal) {
            Setback::Nothing | Setback::TooLarge => {
                self.run.learn_limit(refusal);
                return bisect(absent, sent, again);
            }
            Setback::Wait {
                at_least,
                fewer_connections,
            } => {
                if self.has_patience() {
                    self.run
                        .pause(self.wait().max(at_least.unwrap_or_default()));
                } else if fewer_connections {
                    self.run.fail(self.unavailable(refusal));
                } else {
                    // It does not pass, so that it may be the mail.
                    return self.refuse_or_bisect(absent, sent, &refusal.reason(), again);
                }
                if fewer_connections {
                    self.run.fewer_connections();
                }
            }
            Setback::TooManyConnections if self.has_patience() => {
                self.run.pause(self.wait());
                self.run.fewer_connections();
            }
            Setback::TooManyConnections => self.run.fail(self.unavailable(refusal)),
            Setback::Full { reason } => self.run.fail(ImportError::Full { reason }),
            Setback::TryCreate if self.has_patience() => self.run.vanished(place),
            Setback::NotPermitted | Setback::TryCreate => {
                self.run.block(place, &refusal.reason());
            }
        }
        again.extend(absent);
    }

    fn refuse_or_bisect(
        &mut self,
        absent: Vec<Chunk>,
        sent: usize,
        reason: &str,
        again: &mut Vec<Chunk>,
    ) {
        self.troubles = 0;
        match &absent[..] {
            [chunk] if chunk.len() == 1 => self.run.refuse_unsent(chunk, reason),
            _ => bisect(absent, sent, again),
        }
    }

    /// What became of the mails of some commands for one folder, in their order.
    ///
    /// A server does what it has received, though the connection is gone. So mails of a
    /// connection that broke are absent only when none of them has come in for a while.
    async fn fates(
        &mut self,
        session: &mut Session,
        place: usize,
        commands: &[Command],
    ) -> Result<Vec<Fate>, ImportError> {
        let mails: usize = commands.iter().map(|command| command.chunk.len()).sum();
        let all_absent = vec![Fate::Absent; mails];
        let wire = self.run.folders.borrow()[place].wire.clone();
        let may_come_yet = self.run.is_broken_off(place);
        let mut before = None;
        loop {
            let Some(now) = self.look(session, place, &wire, Access::Read).await? else {
                return Ok(all_absent);
            };
            let fates = self.fates_in(session, place, commands, &now).await?;
            session.deselect(&wire).await?;
            let fates = fates.unwrap_or_else(|| all_absent.clone());
            let is_settled = before.as_ref() == Some(&fates);
            if !may_come_yet || is_settled || !fates.contains(&Fate::Absent) {
                return Ok(fates);
            }
            before = Some(fates);
            self.settle().await;
        }
    }

    /// Selects a folder that was there before; `None` where it has gone. A refusal for any other
    /// reason says nothing about the mails in it.
    async fn look(
        &self,
        session: &mut Session,
        place: usize,
        wire: &str,
        access: Access,
    ) -> Result<Option<Selected>, ImportError> {
        match session.select(wire, access).await? {
            Ok(selected) => Ok(Some(selected)),
            Err(refusal) if Setback::of(&refusal) == Setback::TryCreate => {
                self.run.vanished(place);
                Ok(None)
            }
            Err(refusal) => Err(self.unavailable(&refusal)),
        }
    }

    fn unavailable(&self, refusal: &Status) -> ImportError {
        ImportError::Unavailable {
            address: self.run.target.address(),
            reason: refusal.reason(),
        }
    }

    async fn settle(&self) {
        let wait = self.run.settle_time();
        self.run.progress.say(&format!(
            "waiting {} s: the server may still be storing what it had received",
            wait.as_secs_f32().ceil()
        ));
        tokio::time::sleep(wait).await;
    }

    /// As [`fates`](Self::fates), in the selected folder; `None` where it has none of them.
    async fn fates_in(
        &mut self,
        session: &mut Session,
        place: usize,
        commands: &[Command],
        now: &Selected,
    ) -> Result<Option<Vec<Fate>>, ImportError> {
        let (mut question, uids, settled_from) = {
            let mut folders = self.run.folders.borrow_mut();
            let Some(opened) = folders[place].opened() else {
                return Ok(None);
            };
            if now.uid_validity != opened.uid_validity {
                drop(folders);
                self.run.vanished(place);
                return Ok(None);
            }
            if opened.is_all_known(now.uid_next) {
                return Ok(None);
            }
            let question = Question {
                settled: opened.settled.clone(),
                ..Question::default()
            };
            // The settled are among what has come since the server was asked last.
            let settled_from = (!opened.settled.is_empty()).then_some(opened.uid_next);
            (question, opened.uids.clone(), settled_from)
        };
        let mails = commands.iter().flat_map(|command| command.chunk.mails());
        question.pending = mails.map(crate::mail::Mail::item).collect();
        let floor = commands
            .iter()
            .map(|command| command.ticket.uid_floor)
            .chain(settled_from)
            .min();
        session
            .mails_from(floor.unwrap_or(1), |mail| {
                if !uids.contains(mail.uid) {
                    question.found.push(mail);
                }
            })
            .await?;
        let texts = session.texts(&question.texts_needed()).await?;
        Ok(Some(question.answer(&texts).fates))
    }

    /// Learns where each of this connection's folders stands, with nothing on its way.
    async fn sync(&mut self, session: &mut Session) -> Result<(), ImportError> {
        let places = self.run.folders_to_sync(self.me);
        for (place, wire) in places {
            // What others send meanwhile would have UIDs that are not known afterwards.
            let _quiet = self.run.quiet(place, self.me).await;
            let Some(now) = self.look(session, place, &wire, Access::Read).await? else {
                continue;
            };
            session.deselect(&wire).await?;
            self.run.sync(place, &now)?;
        }
        Ok(())
    }

    /// Looks at a folder before the first mail goes into it; makes it where it is missing.
    async fn open(&mut self, session: &mut Session, place: usize) -> Result<(), ImportError> {
        // One that has to be looked at again may have mails on their way by other connections.
        let _quiet = self.run.quiet(place, self.me).await;
        let result = self.look_at(session, place).await;
        if result.is_err() {
            self.run.vanished(place);
        }
        result
    }

    async fn look_at(&mut self, session: &mut Session, place: usize) -> Result<(), ImportError> {
        let run = self.run;
        let (name, wire) = {
            let folders = run.folders.borrow();
            (folders[place].name.clone(), folders[place].wire.clone())
        };
        run.progress.say(&format!("looking at {name}"));
        let access = if run.options.dry_run {
            Access::Read
        } else {
            Access::Write
        };
        let mut selected = session.select(&wire, access).await?;
        if selected.is_err() && run.options.dry_run {
            run.open_missing(place)?;
            return Ok(());
        }
        if let Err(refusal) = &selected {
            if let Setback::Wait { at_least, .. } = Setback::of(refusal) {
                if self.has_patience() {
                    run.pause(self.wait().max(at_least.unwrap_or_default()));
                    run.vanished(place);
                } else {
                    run.block(place, &refusal.reason());
                }
                return Ok(());
            }
            let created = session.exchange(&format!("CREATE {wire}"), |_| {}).await?;
            if created.kind == StatusKind::Ok {
                // Where this fails the folder is there all the same, only not subscribed.
                session
                    .exchange(&format!("SUBSCRIBE {wire}"), |_| {})
                    .await?;
            }
            selected = session.select(&wire, access).await?;
            if let Err(refusal) = &selected {
                // The answer to CREATE says why, that to SELECT only that it is not there.
                let reason = match created.kind {
                    StatusKind::Ok => refusal.reason(),
                    _ => created.reason(),
                };
                run.block(place, &reason);
                return Ok(());
            }
        }
        let Ok(mut selected) = selected else {
            return Ok(());
        };
        run.claim_again(place)?;
        let mut recorded = run.recorded(place, &selected)?;
        // An earlier run may have ended just now, and the server not yet with what it sent.
        // Where others deliver all the time, that is no reason to wait for ever.
        for _ in 0..SETTLE_ROUNDS {
            if recorded.pending.is_empty() {
                break;
            }
            self.settle().await;
            let Some(now) = self.look(session, place, &wire, access).await? else {
                return Ok(());
            };
            let is_settled = now.uid_next == selected.uid_next;
            selected = now;
            recorded = run.recorded(place, &selected)?;
            if is_settled {
                break;
            }
        }
        let items = recorded.pending.iter().flat_map(|batch| &batch.items);
        let mut question = Question {
            settled: recorded.settled.clone(),
            pending: items.copied().collect(),
            found: Vec::new(),
        };
        if recorded.watermark < selected.uid_next && selected.messages > 0 {
            session
                .mails_from(recorded.watermark, |mail| {
                    if !recorded.uids.contains(mail.uid) {
                        question.found.push(mail);
                    }
                })
                .await?;
        }
        let texts = session.texts(&question.texts_needed()).await?;
        session.deselect(&wire).await?;
        run.looked_through(place, &recorded, &question, &texts, &selected)
    }

    /// Compares the texts of mails that may be there already.
    async fn compare(&mut self, session: &mut Session, place: usize) -> Result<(), ImportError> {
        let result = self.compare_texts(session, place).await;
        self.run.not_looked_at(place);
        result
    }

    async fn compare_texts(
        &mut self,
        session: &mut Session,
        place: usize,
    ) -> Result<(), ImportError> {
        let (wire, uids) = self.run.doubtful_uids(place);
        let looked = self.look(session, place, &wire, Access::Read).await?;
        if looked.is_none() {
            return Ok(());
        }
        let texts = session.texts(&uids).await?;
        session.deselect(&wire).await?;
        self.run.compared(place, &texts)
    }

    /// Adds to the report what the connection has sent.
    fn account(&self, session: &mut Session) {
        let mut report = self.run.report.borrow_mut();
        let (calls, segments) = session.take_counts();
        report.send_calls += calls;
        if let Some(segments) = segments {
            *report.segments_sent.get_or_insert(0) += segments;
        }
    }
}

/// One of several mails was refused, and nobody knows which: they go again in halves, until it
/// stands alone.
fn bisect(absent: Vec<Chunk>, sent: usize, again: &mut Vec<Chunk>) {
    let is_whole = absent.iter().map(Chunk::len).sum::<usize>() == sent;
    for chunk in absent {
        match chunk.len() {
            1 => again.push(chunk),
            // A server that is not atomic kept what stood before it.
            len if !is_whole => again.extend([chunk.part(0..1), chunk.part(1..len)]),
            len => again.extend([chunk.part(0..len / 2), chunk.part(len / 2..len)]),
        }
    }
}

const NO_ANSWER: &str = "the connection ended before the server's answer, and the server could not \
                         be asked any more: the next run asks it";
const HUNG_UP: &str = "the server hung up each time that it was sent this mail";
