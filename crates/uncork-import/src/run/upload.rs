//! The upload over one connection: mails in, APPEND commands out, answers in between.
//!
//! One rule says when bytes leave: before anything is waited for, and when [`FLUSH_BYTES`] have
//! gathered. Answers are read all the while, so that a server that stops reading until its
//! answers are taken can't lock both sides up.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::chunk::{Chunk, Ticket};
use super::encoder::{Announced, Encoder, Place};
use super::folder::SETTLED_MAX;
use super::outgoing::{FLUSH_BYTES, Outgoing};
use super::window::{Command, Window};
use super::{Next, Ready, Run};
use crate::imap::capability::AppendSupport;
use crate::imap::response::{Response, ResponseError, Status, StatusKind};
use crate::imap::session::Session;
use crate::imap::throttle::Setback;
use crate::imap::uid_set::UidSet;
use crate::imap::wire::link::LinkWatch;
use crate::imap::wire::{NotSent, Writer};
use crate::{Compress, ImportError};

/// Answers that have been read and not yet looked at.
const ANSWERS_MAX: usize = 1024;

/// How long the last answers of a connection that is given up may take.
const LAST_ANSWERS_TIMEOUT: Duration = Duration::from_secs(2);

/// A server may say that it is still busy (`* OK Hang in there`); how many times the patience
/// for an answer it may do so.
const BUSY_FACTOR: u32 = 6;

/// What the reading side found.
type Read = Result<Response, ResponseError>;

/// Why a stretch of pipelined commands has ended, with all answers in.
#[derive(Debug)]
pub(crate) enum Pause {
    /// Nothing more to send.
    Done,
    Open(usize),
    Compare(usize),
    Until(std::time::Instant),
    /// The link is the limit: what is sent from here on is to be compressed.
    Compress,
    /// A server without UIDPLUS has to be asked where it stands, or some commands were not
    /// acknowledged: see [`Stretch::refused`].
    Ask,
}

/// How a stretch of pipelined commands ended.
#[derive(Debug)]
pub(crate) struct Stretch {
    pub(crate) end: Result<Pause, ImportError>,
    /// Commands that were refused.
    pub(crate) refused: Vec<(Command, Status)>,
    /// Commands that have left, at least in part, and have no answer; after an error only.
    pub(crate) unanswered: Vec<Command>,
}

/// Sends mails over one connection until something else has to be done on it. `messages_max` and
/// `commands_max` are less than what the server takes where it hangs up for no known reason.
pub(crate) async fn stretch(
    run: &Run<'_>,
    session: &mut Session,
    me: usize,
    messages_max: usize,
    commands_max: usize,
) -> Stretch {
    let (answers_in, answers) = mpsc::channel(ANSWERS_MAX);
    let messages_max = match session.capabilities.append() {
        AppendSupport::Multi => messages_max,
        AppendSupport::Single => 1,
    };
    let at_once = run.pace.borrow().messages_at_once();
    let at_once = at_once.map_or(usize::MAX, |messages| messages.get() as usize);
    let messages_max = messages_max.min(at_once);
    let link = match run.options.compress {
        Compress::Auto => session.watch_link(),
        Compress::Always | Compress::Never => None,
    };
    let mut pipeline = Pipeline {
        run,
        me,
        messages_max,
        encoder: Encoder::new(session.capabilities.literal()),
        address: &session.address,
        writer: &mut session.writer,
        next_tag: &mut session.next_tag,
        answers,
        outgoing: Outgoing::default(),
        window: Window::new(commands_max),
        refused: Vec::new(),
        literal_due: None,
        bye: None,
        needs_sync: false,
        link,
        looks_at: None,
    };
    let end = tokio::select! {
        biased;
        end = pipeline.run() => end,
        never = read_answers(&mut session.responses, answers_in) => match never {},
    };
    let (unanswered, gathered) = pipeline.window.into_unanswered();
    for command in unanswered.iter().chain(&gathered) {
        run.end_turn(&command.chunk);
    }
    let unsent = gathered.into_iter().map(|command| Ready {
        chunk: command.chunk,
        ticket: Some(command.ticket),
    });
    run.give_back(unsent.collect());
    // Answers that are still to be dealt with come first.
    if let (Some(place), false) = (
        pipeline.looks_at,
        matches!(end, Ok(Pause::Open(_) | Pause::Compare(_))),
    ) {
        run.not_looked_at(place);
    }
    Stretch {
        end,
        refused: pipeline.refused,
        unanswered,
    }
}

/// Reads answers for as long as it is polled. After an error it has nothing more to say.
async fn read_answers<R>(
    responses: &mut crate::imap::response::Responses<R>,
    answers: mpsc::Sender<Read>,
) -> std::convert::Infallible
where
    R: tokio::io::AsyncBufRead + Unpin,
{
    loop {
        let read = responses.next().await;
        let is_end = read.is_err();
        // Untagged data is not for an upload. (BYE is a status.)
        if !matches!(read, Ok(Response::Data(_))) {
            let _ = answers.send(read).await;
        }
        if is_end {
            return std::future::pending().await;
        }
    }
}

/// The writing side while commands are pipelined.
struct Pipeline<'p, 'r> {
    run: &'p Run<'r>,
    me: usize,
    messages_max: usize,
    encoder: Encoder,
    address: &'p str,
    writer: &'p mut Writer,
    next_tag: &'p mut u32,
    answers: mpsc::Receiver<Read>,
    outgoing: Outgoing,
    window: Window,
    refused: Vec<(Command, Status)>,
    /// The command whose literal waits for the server's `+`.
    literal_due: Option<u32>,
    /// The server's last words, if it said BYE.
    bye: Option<Status>,
    /// A folder has too many acknowledged mails without a UID.
    needs_sync: bool,
    link: Option<LinkWatch>,
    /// The folder that this connection is to look at as soon as all answers are in.
    looks_at: Option<usize>,
}

impl Pipeline<'_, '_> {
    /// Sends what there is. Ends with all answers in, or with an error.
    async fn run(&mut self) -> Result<Pause, ImportError> {
        loop {
            self.take_answers()?;
            if !self.refused.is_empty() || self.needs_sync {
                return self.drained(Pause::Ask).await;
            }
            let writer = &*self.writer;
            let is_the_limit = |link: &mut LinkWatch| link.is_the_limit(writer);
            if self.link.as_mut().is_some_and(is_the_limit) {
                return self.drained(Pause::Compress).await;
            }
            // What comes into a queue from here on is not missed.
            let changed = self.run.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.run.next(self.me, self.messages_max)? {
                Next::Send(chunk, ticket) => self.command(chunk, ticket).await?,
                Next::Open(folder) => {
                    self.looks_at = Some(folder);
                    return self.drained(Pause::Open(folder)).await;
                }
                Next::Compare(folder) => {
                    self.looks_at = Some(folder);
                    return self.drained(Pause::Compare(folder)).await;
                }
                Next::Pause(until) => return self.drained(Pause::Until(until)).await,
                Next::Done => return self.drained(Pause::Done).await,
                Next::Wait => {
                    self.flush().await?;
                    self.writer.acknowledge_at_once();
                    let patience = self.run.options.patience.answer;
                    tokio::select! {
                        biased;
                        read = self.answers.recv() => {
                            self.answer(read.unwrap_or(Err(ResponseError::Closed)))?;
                        }
                        () = changed => {}
                        () = tokio::time::sleep(patience), if !self.window.is_empty() => {
                            return Err(self.silent());
                        }
                    }
                }
            }
        }
    }

    /// Waits for all answers.
    async fn drained(&mut self, pause: Pause) -> Result<Pause, ImportError> {
        self.flush().await?;
        while !self.window.is_empty() {
            self.wait_for_answer().await?;
        }
        Ok(if self.refused.is_empty() && !self.needs_sync {
            pause
        } else {
            Pause::Ask
        })
    }

    /// Sends one APPEND, or gathers it.
    async fn command(&mut self, chunk: Chunk, ticket: Rc<Ticket>) -> Result<(), ImportError> {
        if let Err(error) = self.make_room(&chunk).await {
            let ticket = Some(ticket);
            self.run.end_turn(&chunk);
            self.run.give_back(vec![Ready { chunk, ticket }]);
            return Err(error);
        }
        let tag = *self.next_tag;
        *self.next_tag = tag.wrapping_add(1);
        self.run.report.borrow_mut().commands += 1;
        let mailbox = self.run.folders.borrow()[chunk.folder].wire.clone();
        self.window.push(Command {
            tag,
            chunk: chunk.clone(),
            ticket,
            since: std::time::Instant::now(),
        });
        for (at, mail) in chunk.mails().iter().enumerate() {
            let place = match at {
                0 => Place::First {
                    tag,
                    mailbox: &mailbox,
                },
                _ => Place::Next,
            };
            if mail.has_nul {
                self.run.use_capability("BINARY");
            }
            let announced = self.encoder.announce(&mut self.outgoing, place, mail);
            if announced == Announced::WaitsForContinuation {
                self.flush().await?;
                if !self.wait_for_continuation(tag).await? {
                    return Ok(());
                }
            }
            self.outgoing.literal(mail);
        }
        self.wait_for_turn(&chunk).await?;
        self.outgoing.text("\r\n");
        let is_waited_for = self.run.is_waited_for(&chunk, self.me);
        if is_waited_for || self.outgoing.bytes() >= FLUSH_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    /// Waits until the command may end, while the server takes in what is there of it.
    ///
    /// A server that answers a command only when it has the next one whole would have two
    /// connections wait for each other for ever; hence the patience.
    async fn wait_for_turn(&mut self, chunk: &Chunk) -> Result<(), ImportError> {
        loop {
            let changed = self.run.changed.notified();
            tokio::pin!(changed);
            // What changes from here on is not missed.
            changed.as_mut().enable();
            if self.run.may_end(chunk, self.me) {
                return Ok(());
            }
            self.flush().await?;
            tokio::select! {
                biased;
                read = self.answers.recv() => {
                    self.answer(read.unwrap_or(Err(ResponseError::Closed)))?;
                }
                () = changed => {}
                () = tokio::time::sleep(self.run.options.patience.answer) => {
                    return Err(self.silent());
                }
            }
        }
    }

    /// Waits until the mails may be sent.
    async fn make_room(&mut self, chunk: &Chunk) -> Result<(), ImportError> {
        self.keep_pace(chunk).await?;
        while !self.window.has_room(chunk) {
            self.flush().await?;
            self.wait_for_answer().await?;
        }
        Ok(())
    }

    /// Waits until the user's own limits let the mails go; answers are taken meanwhile.
    async fn keep_pace(&mut self, chunk: &Chunk) -> Result<(), ImportError> {
        let messages = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
        loop {
            let now = std::time::Instant::now();
            let paced = self
                .run
                .pace
                .borrow_mut()
                .may_send(now, messages, chunk.bytes());
            let Err(wait) = paced else {
                return Ok(());
            };
            self.flush().await?;
            let started = Instant::now();
            // A stop that is asked for meanwhile is heard within the second.
            let wait = wait.min(Duration::from_secs(1));
            match timeout(wait, self.answers.recv()).await {
                Ok(read) => drop(self.answer(read.unwrap_or(Err(ResponseError::Closed)))?),
                Err(_) if self.run.is_over() => return Ok(()),
                Err(_) => {}
            }
            self.run.report.borrow_mut().waited_seconds += started.elapsed().as_secs_f64();
        }
    }

    /// Lets everything that has gathered leave, as one message.
    async fn flush(&mut self) -> Result<(), ImportError> {
        if self.outgoing.bytes() == 0 {
            return Ok(());
        }
        self.window.flush_begins();
        let sent = self.writer.send(&self.outgoing.pieces()).await;
        self.outgoing.clear();
        match sent {
            Ok(()) => Ok(()),
            Err(NotSent::Source(source)) => Err(ImportError::Spool { source }),
            Err(NotSent::Socket(source)) => Err(self.broken(source).await),
        }
    }

    /// A send has failed. What the server said before it hung up is still to be read: answers
    /// that count, and perhaps the reason, which is the better story.
    async fn broken(&mut self, source: io::Error) -> ImportError {
        if let Ok(error) = timeout(LAST_ANSWERS_TIMEOUT, self.last_answers()).await {
            return error;
        }
        ImportError::HungUp {
            address: self.address.to_owned(),
            said: self.said(),
            source,
        }
    }

    /// Takes answers until the connection ends.
    async fn last_answers(&mut self) -> ImportError {
        loop {
            if let Err(error) = self.wait_for_answer().await {
                return error;
            }
        }
    }

    /// Takes the answers that are there, without waiting.
    fn take_answers(&mut self) -> Result<(), ImportError> {
        while let Ok(read) = self.answers.try_recv() {
            self.answer(read)?;
        }
        Ok(())
    }

    /// Waits for the next answer that counts, and acknowledges those before at once.
    ///
    /// A server with Nagle on holds an answer, or the `+` that a literal needs, until its answer
    /// before is acknowledged; left to itself, this side's kernel would do that 40 ms later.
    async fn wait_for_answer(&mut self) -> Result<Response, ImportError> {
        let patience = self.run.options.patience.answer;
        let deadline = Instant::now() + patience * BUSY_FACTOR;
        loop {
            let read = match self.answers.try_recv() {
                Ok(read) => read,
                Err(_) => {
                    // Where there is no such option, the answer comes when it comes.
                    self.writer.acknowledge_at_once();
                    let until = deadline.min(Instant::now() + patience);
                    match timeout_at(until, self.answers.recv()).await {
                        Ok(read) => read.unwrap_or(Err(ResponseError::Closed)),
                        Err(_) => return Err(self.silent()),
                    }
                }
            };
            let response = self.answer(read)?;
            if !matches!(response, Response::Untagged(_)) {
                return Ok(response);
            }
        }
    }

    fn said(&self) -> Option<String> {
        self.bye.as_ref().map(Status::reason)
    }

    fn silent(&self) -> ImportError {
        ImportError::Silent {
            address: self.address.to_owned(),
            after: self.run.options.patience.answer,
        }
    }

    /// Waits for the `+` that a literal needs; `false` where the command was refused instead.
    async fn wait_for_continuation(&mut self, tag: u32) -> Result<bool, ImportError> {
        self.literal_due = Some(tag);
        let may_follow = loop {
            match self.wait_for_answer().await? {
                Response::Continue(_) => break true,
                Response::Tagged(answered, _) if answered == tag => break false,
                _ => {}
            }
        };
        self.literal_due = None;
        Ok(may_follow)
    }

    /// Accounts for one answer.
    fn answer(&mut self, read: Read) -> Result<Response, ImportError> {
        let response =
            read.map_err(|error| ImportError::from_response(self.address, error, self.said()))?;
        match &response {
            Response::Tagged(tag, status)
                if self.literal_due == Some(*tag) && status.kind == StatusKind::Ok =>
            {
                return Err(ImportError::NotImap {
                    address: self.address.to_owned(),
                    reason: "it says that it stored a mail which it has not been sent".to_owned(),
                });
            }
            Response::Tagged(tag, status) => {
                if let Some(command) = self.window.answered(*tag) {
                    self.run.end_turn(&command.chunk);
                    self.run.answered_after(command.since.elapsed());
                    self.account(command, status)?;
                }
            }
            Response::Untagged(status) if status.kind == StatusKind::Bye => {
                self.bye = Some(status.clone());
            }
            _ => {}
        }
        Ok(response)
    }

    fn account(&mut self, command: Command, status: &Status) -> Result<(), ImportError> {
        if status.kind != StatusKind::Ok {
            let setback = Setback::of(status);
            if command.chunk.len() == 1 && matches!(setback, Setback::Nothing | Setback::TooLarge) {
                return self.run.refused(&command, &refusal(status));
            }
            self.refused.push((command, status.clone()));
            return Ok(());
        }
        let uids = self.appended_uids(&command, status);
        self.run.stored(&command, uids.as_ref())?;
        if let Some(opened) = self.run.folders.borrow_mut()[command.chunk.folder].opened() {
            self.needs_sync |= opened.settled.len() >= SETTLED_MAX;
        }
        Ok(())
    }

    /// The UIDs that the mails of a command got, if the server tells them all.
    fn appended_uids(&self, command: &Command, status: &Status) -> Option<UidSet> {
        let (uid_validity, uids) = UidSet::of_append(status.code.as_deref()?)?;
        let mut folders = self.run.folders.borrow_mut();
        let opened = folders[command.chunk.folder].opened()?;
        let is_whole = uids.count() == command.chunk.len() as u64;
        (is_whole && uid_validity == opened.uid_validity).then_some(uids)
    }
}

/// The reason for a person.
pub(crate) fn refusal(status: &Status) -> String {
    match status.kind {
        StatusKind::Bad => format!("BAD: {}", status.reason()),
        _ => status.reason(),
    }
}
