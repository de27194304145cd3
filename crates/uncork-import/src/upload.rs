//! The upload: batches in, APPEND commands out, answers in between.
//!
//! One rule says when bytes leave: before anything is waited for, and when [`FLUSH_BYTES`] have
//! gathered. Answers are read all the while, so that a server that stops reading until its
//! answers are taken can't lock both sides up.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{self, error::TryRecvError};
use tokio::time::timeout;

use crate::ImportError;
use crate::batch::Batch;
use crate::capability::AppendSupport;
use crate::encoder::{Announced, Encoder, Place};
use crate::mailbox::quoted_mailbox;
use crate::outgoing::{FLUSH_BYTES, Outgoing};
use crate::report::{Progress, Report};
use crate::response::{Response, ResponseError, Responses, Status, StatusKind};
use crate::session::{FolderState, Session};
use crate::window::{Answer, Chunk, Window};
use crate::wire::{NotSent, Reader, Writer};

/// Answers that have been read and not yet looked at.
const ANSWERS_MAX: usize = 1024;

/// How long the last answers of a connection that is given up may take.
const LAST_ANSWERS_TIMEOUT: Duration = Duration::from_secs(2);

/// What the reading side found.
type Read = Result<Response, ResponseError>;

/// Uploads batches into one folder over one session until there are no more.
pub(crate) struct Upload<'a> {
    pub(crate) folder: &'a str,
    pub(crate) report: &'a mut Report,
    pub(crate) progress: &'a Progress,
    /// The state of the folder when nothing had been sent.
    pub(crate) before: FolderState,
}

impl Upload<'_> {
    /// Runs to the last answer. On an error the mails that have no answer are counted as
    /// unknown; the session is gone then.
    pub(crate) async fn run(
        &mut self,
        mut session: Session,
        batches: &mut mpsc::Receiver<Batch>,
    ) -> Result<(), ImportError> {
        let started = Instant::now();
        let calls_before = session.sender.system_calls();
        let segments_before = session.segments_sent();
        let mut split = VecDeque::new();
        let result = loop {
            match self.pipeline(&mut session, batches, &mut split).await {
                Err(error) => break Err(error),
                Ok(Stretch::SourceDone) if split.is_empty() => break Ok(()),
                Ok(_) => {}
            }
            // Where a batch was refused, the server is asked whether it kept some of it before
            // any of its mails goes again: not all servers roll a refused batch back.
            if !split.is_empty() {
                match self.kept_nothing(&mut session).await {
                    Ok(true) => {}
                    Ok(false) => self.lose_all(&mut split, KEPT_A_PART),
                    Err(error) => break Err(error),
                }
            }
        };
        self.lose_all(&mut split, NOT_ASKED);
        self.report.finish(started.elapsed());
        self.report.send_calls += session.sender.system_calls() - calls_before;
        self.report.segments_sent = session
            .segments_sent()
            .zip(segments_before)
            .map(|(after, before)| after.saturating_sub(before));
        if result.is_ok() {
            session.log_out().await;
        }
        result
    }

    /// One stretch of pipelined commands: from `split` if there is something in it, else from
    /// the source. Ends when all answers are there and `split` or the source is done.
    async fn pipeline(
        &mut self,
        session: &mut Session,
        batches: &mut mpsc::Receiver<Batch>,
        split: &mut VecDeque<Chunk>,
    ) -> Result<Stretch, ImportError> {
        let (answers_in, answers) = mpsc::channel(ANSWERS_MAX);
        let literal = session.capabilities.literal();
        let mut pipeline = Pipeline {
            encoder: Encoder::new(quoted_mailbox(self.folder), literal),
            append: session.capabilities.append(),
            address: &session.address,
            answer_timeout: session.answer_timeout,
            sender: &mut session.sender,
            next_tag: &mut session.next_tag,
            answers,
            outgoing: Outgoing::default(),
            window: Window::default(),
            split: VecDeque::new(),
            literal_due: None,
            said: None,
            upload: self,
        };
        let again = std::mem::take(split);
        let result = tokio::select! {
            biased;
            result = pipeline.run(again, batches) => result,
            never = read_answers(&mut session.responses, answers_in) => match never {},
        };
        *split = std::mem::take(&mut pipeline.split);
        let mut unanswered = pipeline.window.into_unanswered();
        self.lose_all(&mut unanswered, NO_ANSWER);
        result
    }

    /// Whether the server has given out no more UIDs than it has acknowledged mails: then it kept
    /// nothing of what it refused. (The number of mails proves less: others may expunge.)
    ///
    /// Where others deliver into the folder meanwhile, or the server takes UIDs for mails that
    /// it refuses, this says no though nothing was kept: the safe side.
    async fn kept_nothing(&mut self, session: &mut Session) -> Result<bool, ImportError> {
        let state = session.folder_state(self.folder).await?;
        let now = state.map_err(|status| ImportError::folder(self.folder, &status))?;
        let stored = self.report.imported;
        let kept_nothing = now.uid_validity == self.before.uid_validity
            && now.uid_next == self.before.uid_next.saturating_add(stored);
        if !kept_nothing {
            // From here on, what is in the folder unacknowledged counts as having been there.
            self.before = FolderState {
                uid_next: now.uid_next.saturating_sub(stored),
                ..now
            };
        }
        Ok(kept_nothing)
    }

    /// Mails of which nobody knows whether they are in. They are not sent again, so that none
    /// goes in twice.
    fn lose_all(&mut self, chunks: &mut VecDeque<Chunk>, reason: &str) {
        for chunk in chunks.drain(..) {
            for mail in &chunk.batch.mails[chunk.mails] {
                self.report.lose(&mail.path, self.folder, reason);
            }
        }
    }
}

const NO_ANSWER: &str = "the connection ended before the server's answer";
const NOT_ASKED: &str = "the server refused its batch, and the connection ended before it could be \
                         asked whether it kept a part";
const KEPT_A_PART: &str = "the server refused its batch, but the folder holds more than was \
                           acknowledged: it may be in";

/// How far one stretch of pipelined commands came.
enum Stretch {
    /// A batch was refused, or chunks were sent again: there may be more in the source.
    Interrupted,
    SourceDone,
}

/// Reads answers for as long as it is polled. After an error it has nothing more to say.
async fn read_answers(
    responses: &mut Responses<Reader>,
    answers: mpsc::Sender<Read>,
) -> std::convert::Infallible {
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
struct Pipeline<'p, 'u> {
    encoder: Encoder,
    append: AppendSupport,
    address: &'p str,
    answer_timeout: Duration,
    sender: &'p mut Writer,
    next_tag: &'p mut u32,
    answers: mpsc::Receiver<Read>,
    outgoing: Outgoing,
    window: Window,
    /// What has to go again in smaller pieces.
    split: VecDeque<Chunk>,
    /// The command whose literal waits for the server's `+`.
    literal_due: Option<u32>,
    /// The server's last words.
    said: Option<String>,
    upload: &'p mut Upload<'u>,
}

impl Pipeline<'_, '_> {
    async fn run(
        &mut self,
        again: VecDeque<Chunk>,
        batches: &mut mpsc::Receiver<Batch>,
    ) -> Result<Stretch, ImportError> {
        let mut stretch = Stretch::Interrupted;
        if again.is_empty() {
            // A refused batch ends the stretch: what was refused goes first.
            while self.split.is_empty() {
                let Some(batch) = self.next_batch(batches).await? else {
                    stretch = Stretch::SourceDone;
                    break;
                };
                self.batch(Rc::new(batch)).await?;
            }
        }
        for chunk in again {
            self.command(chunk).await?;
        }
        self.flush().await?;
        while !self.window.is_empty() {
            self.wait_for_answer().await?;
        }
        Ok(stretch)
    }

    /// The next batch; what is gathered leaves before anything is waited for.
    async fn next_batch(
        &mut self,
        batches: &mut mpsc::Receiver<Batch>,
    ) -> Result<Option<Batch>, ImportError> {
        match batches.try_recv() {
            Ok(batch) => Ok(Some(batch)),
            Err(TryRecvError::Disconnected) => Ok(None),
            Err(TryRecvError::Empty) => {
                self.flush().await?;
                Ok(batches.recv().await)
            }
        }
    }

    async fn batch(&mut self, batch: Rc<Batch>) -> Result<(), ImportError> {
        for (path, reason) in &batch.unreadable {
            let report = &mut self.upload.report;
            report.refuse(path, self.upload.folder, reason);
            self.upload.progress.show(report);
        }
        let all = 0..batch.mails.len();
        let chunk = |mails| Chunk {
            batch: Rc::clone(&batch),
            mails,
        };
        match self.append {
            AppendSupport::Multi if !all.is_empty() => self.command(chunk(all)).await,
            _ => {
                for mail in all {
                    self.command(chunk(mail..mail + 1)).await?;
                }
                Ok(())
            }
        }
    }

    /// Sends one APPEND, or gathers it.
    async fn command(&mut self, chunk: Chunk) -> Result<(), ImportError> {
        self.take_answers()?;
        while !self.window.has_room(&chunk) {
            self.flush().await?;
            self.wait_for_answer().await?;
        }
        let tag = *self.next_tag;
        *self.next_tag = tag.wrapping_add(1);
        self.upload.report.commands += 1;
        self.window.push(tag, chunk.clone());
        for at in chunk.mails.clone() {
            let place = if at == chunk.mails.start {
                Place::First { tag }
            } else {
                Place::Next
            };
            let mail = &chunk.batch.mails[at];
            let announced = self.encoder.announce(&mut self.outgoing, place, mail);
            if announced == Announced::WaitsForContinuation {
                self.flush().await?;
                if !self.wait_for_continuation(tag).await? {
                    return Ok(());
                }
            }
            self.outgoing.literal(&chunk.batch, at);
        }
        self.outgoing.text("\r\n");
        if self.outgoing.bytes() >= FLUSH_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    /// Lets everything that has gathered leave, as one message.
    async fn flush(&mut self) -> Result<(), ImportError> {
        if self.outgoing.bytes() == 0 {
            return Ok(());
        }
        self.window.flush_begins();
        let sent = self.outgoing.send(self.sender).await;
        self.outgoing.clear();
        match sent {
            Ok(()) => Ok(()),
            Err(NotSent::Source(source)) => {
                // The mails before it left whole: their answers are on their way.
                let _ = timeout(LAST_ANSWERS_TIMEOUT, self.last_answers()).await;
                Err(ImportError::SourceChanged { source })
            }
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
            said: self.said.take(),
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

    /// Waits for the next answer, and acknowledges those before at once.
    async fn wait_for_answer(&mut self) -> Result<Response, ImportError> {
        if let Ok(read) = self.answers.try_recv() {
            return self.answer(read);
        }
        self.sender.acknowledge_at_once();
        let read = timeout(self.answer_timeout, self.answers.recv()).await;
        let read = read.map_err(|_| ImportError::Silent {
            address: self.address.to_owned(),
            after: self.answer_timeout,
        })?;
        self.answer(read.unwrap_or(Err(ResponseError::Closed)))
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
        let response = read
            .map_err(|error| ImportError::from_response(self.address, error, self.said.take()))?;
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
                let answer = self.window.answered(*tag, status.clone());
                self.account(answer);
            }
            Response::Untagged(status) if status.kind == StatusKind::Bye => {
                self.said = Some(status.reason());
            }
            _ => {}
        }
        Ok(response)
    }

    fn account(&mut self, answer: Answer) {
        let report = &mut self.upload.report;
        match answer {
            Answer::Stored(chunk) => {
                report.imported += chunk.mails.len() as u64;
                report.bytes += chunk.bytes();
            }
            Answer::Refused(chunk, status) => {
                let mail = &chunk.batch.mails[chunk.mails.start];
                report.refuse(&mail.path, self.upload.folder, &refusal(&status));
            }
            Answer::Split(halves) => self.split.extend(halves),
            Answer::Unasked => {}
        }
        self.upload.progress.show(report);
    }
}

fn refusal(status: &Status) -> String {
    match status.kind {
        StatusKind::Bad => format!("BAD: {}", status.reason()),
        _ => status.reason(),
    }
}
