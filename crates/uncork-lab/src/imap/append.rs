//! APPEND and MULTIAPPEND: from the first literal's head to the tagged reply.

use std::borrow::Cow;

use super::batch::Batch;
use super::content::Verdict;
use super::fault_plan::{Ending, Interruption, Moment, Refusal};
use super::folder::Reach;
use super::message_head::{MessageHead, Octets};
use super::permitted::Unpermitted;
use super::personality::{Atomicity, Oversize, Personality};
use super::session::{End, Session, Step};
use super::token::{Cursor, Literal, SyntaxError, Waits, trailing_literal};

/// The largest literal that is read at all. A larger `{n+}` ends the connection.
const LITERAL_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// One APPEND command under way.
struct Upload<'a> {
    tag: &'a str,
    /// `None` where there is no such folder; then there is a refusal.
    batch: Option<Batch>,
    /// The first thing that was wrong, as the tagged reply will say it.
    refusal: Option<String>,
    /// The tagged reply has been said before the end of the command.
    answered: bool,
    interruption: Option<Interruption>,
    /// What has been announced, in literals.
    messages: u32,
    bytes: u64,
    /// A literal was announced that is too large.
    is_oversize: bool,
}

/// What became of one literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// It has been read; the command goes on.
    Read,
    /// The client waits for `+` and gets none: the command is over.
    Declined,
}

/// Serves an APPEND whose first line has been read. A folder that is none, or an error in
/// that line, still has a literal coming that must not be taken for commands.
pub(crate) fn run(
    session: &mut Session,
    tag: &str,
    folder: Result<Cow<'_, [u8]>, &'static str>,
    first: Result<MessageHead, SyntaxError>,
) -> Step {
    let mut upload = Upload {
        tag,
        batch: None,
        refusal: None,
        answered: false,
        interruption: None,
        messages: 0,
        bytes: 0,
        is_oversize: false,
    };
    if let Err(error) = &first {
        upload.refuse(format!("BAD APPEND: {error}"));
    }
    match folder.map(|name| session.find(&name, "TRYCREATE")) {
        Ok(Ok(folder)) => upload.batch = Some(Batch::new(folder)),
        Ok(Err(reply)) => upload.refuse(reply),
        Err(why) => upload.refuse(format!("BAD APPEND: {why}")),
    }
    let mut next = first.ok();
    loop {
        let Some(head) = next.take() else {
            return upload.end(session);
        };
        if upload.take(session, head)? == Taken::Declined {
            return upload.end(session);
        }
        let line = session.wire.line()?;
        if line.is_empty() {
            return upload.end(session);
        }
        let announced = trailing_literal(line);
        match (MessageHead::parse(&mut Cursor::new(line)), announced) {
            (Ok(head), _) => next = Some(head),
            (Err(error), announced) => {
                upload.refuse(format!("BAD APPEND: {error}"));
                next = announced.map(bare);
            }
        }
        if !session.capabilities().multi_append {
            upload.refuse("BAD MULTIAPPEND is not offered".to_owned());
        }
    }
}

/// A head for a literal whose flags and date could not be read; it will not be stored.
fn bare(literal: Literal) -> MessageHead {
    MessageHead {
        flags: super::flags::Flags::default(),
        date: None,
        literal,
        octets: Octets::Any,
    }
}

impl Upload<'_> {
    /// The first refusal is the one that is said.
    fn refuse(&mut self, reply: String) {
        self.refusal.get_or_insert(reply);
    }

    /// Reads, throws away or declines one message.
    fn take(&mut self, session: &mut Session, mut head: MessageHead) -> Result<Taken, End> {
        let literal = head.literal;
        let unwaited = literal.waits == Waits::No;
        let number = session.house.faults.next_message();
        if let Some(new) = session.house.faults.interruption(number) {
            self.interruption = Some(self.interruption.map_or(new, |old| old.min(new)));
        }
        if let Some(refusal) = session.house.faults.refuses_upload(number) {
            self.refuse(spell(&refusal));
            if unwaited && !self.answered {
                self.answer(session)?;
                session.wire.flush()?;
            }
        }
        self.check(&session.house.personality, &mut head);
        if self.refusal.is_some() && !unwaited {
            return Ok(Taken::Declined);
        }
        if unwaited && self.is_oversize {
            self.hang_up_if_oversize(session, literal)?;
        }
        if !unwaited {
            session.wire.say(b"+ go ahead\r\n")?;
        }
        match &mut self.batch {
            Some(batch) if self.refusal.is_none() => {
                let staged = batch.stage(session, head)?;
                self.judge(session, number, staged);
            }
            _ => session.wire.discard(literal.bytes)?,
        }
        self.crash_if_due(session)?;
        if self.refusal.is_none() && !is_atomic(session) {
            self.commit(session, Reach::Whole);
        }
        Ok(Taken::Read)
    }

    /// Refuses what can be refused by its head alone.
    fn check(&mut self, personality: &Personality, head: &mut MessageHead) {
        let capabilities = &personality.capabilities;
        let literal = head.literal;
        self.messages = self.messages.saturating_add(1);
        self.bytes = self.bytes.saturating_add(literal.bytes);
        if literal.waits == Waits::No && !capabilities.allows_unwaited(literal.bytes) {
            self.refuse("BAD This literal has to wait for +".to_owned());
        }
        if head.octets == Octets::Any && !capabilities.binary {
            self.refuse("BAD BINARY is not offered".to_owned());
        }
        if literal.bytes == 0 {
            self.refuse("NO Can't save a zero byte message.".to_owned());
        }
        let drops = personality.permanent_flags.drop_others(&mut head.flags);
        if drops && personality.unpermitted_flags == Unpermitted::Refused {
            self.refuse("NO [CANNOT] A flag is not permitted here".to_owned());
        }
        let limit = capabilities
            .append_limit
            .unwrap_or(LITERAL_BYTES_MAX)
            .min(LITERAL_BYTES_MAX);
        if literal.bytes > limit {
            self.is_oversize = true;
            self.refuse(format!("NO [TOOBIG] A message may have {limit} bytes"));
        }
        if let Some(most) = personality.command_bytes_max
            && self.bytes > most
        {
            self.is_oversize = true;
            self.refuse(format!("NO [LIMIT] A command may have {most} bytes"));
        }
        if let Some((most, code)) = capabilities.batch_limit()
            && self.messages > most
        {
            self.refuse(format!(
                "NO [{code} {most}] Too many messages in one APPEND"
            ));
        }
        let full = |batch: &Batch| batch.is_full(literal.bytes);
        if self.batch.as_ref().is_some_and(full) {
            self.refuse("NO [LIMIT] Too much in one APPEND".to_owned());
        }
    }

    /// Ends the connection over a literal that is too large to be thrown away, or where the
    /// personality has no patience for any.
    fn hang_up_if_oversize(&mut self, session: &mut Session, literal: Literal) -> Step {
        if session.house.personality.oversize == Oversize::HangsUp {
            if !self.answered {
                self.answer(session)?;
            }
            return Err(End::Gently);
        }
        if literal.bytes > LITERAL_BYTES_MAX {
            session.bye("Literal too large")?;
        }
        Ok(())
    }

    /// Looks at a message that has been read.
    fn judge(
        &mut self,
        session: &Session,
        number: u64,
        staged: std::io::Result<(Verdict, &'static str)>,
    ) {
        let refusal = match staged {
            Err(error) => Some(format!("NO [SERVERBUG] Storing failed: {error}")),
            Ok((Verdict::No, why)) => Some(format!("NO {why}")),
            Ok((Verdict::Bad, why)) => Some(format!("BAD {why}")),
            Ok((Verdict::Taken, _)) => {
                let refusal = session.house.faults.refuses_message(number);
                refusal.as_ref().map(spell)
            }
        };
        if let Some(refusal) = refusal {
            if let Some(batch) = &mut self.batch {
                batch.unstage();
            }
            self.refuse(refusal);
        }
    }

    /// Dies in the middle where that is asked for.
    fn crash_if_due(&mut self, session: &mut Session) -> Step {
        if self.is_due(Moment::InUpload) {
            session.house.crash();
            if let Some(batch) = &mut self.batch {
                batch.abandon();
            }
            return Err(End::Abruptly);
        }
        // What is not atomic is committed message by message, so this is the moment; otherwise
        // the end of the command is.
        if self.is_due(Moment::InCommit) && !is_atomic(session) {
            // First, so that nobody is told of the folder that is closed by it.
            session.house.crash();
            self.commit(session, Reach::Index);
            return Err(End::Abruptly);
        }
        Ok(())
    }

    fn is_due(&self, moment: Moment) -> bool {
        self.interruption
            .is_some_and(|interruption| interruption.moment == moment)
    }

    fn commit(&mut self, session: &Session, reach: Reach) {
        let Some(batch) = &mut self.batch else {
            return;
        };
        if let Err(error) = batch.commit(session, reach) {
            let code = if error.kind() == std::io::ErrorKind::NotFound {
                "TRYCREATE"
            } else {
                "SERVERBUG"
            };
            self.refuse(format!("NO [{code}] Storing failed: {error}"));
        }
    }

    /// Commits or refuses, and says which.
    fn end(mut self, session: &mut Session) -> Step {
        if self.refusal.is_none() {
            if self.is_due(Moment::InCommit) {
                session.house.crash();
                self.commit(session, Reach::Index);
                return Err(End::Abruptly);
            }
            self.commit(session, Reach::Whole);
        }
        let ending = self.interruption.map(|interruption| interruption.ending);
        if self.is_due(Moment::BeforeTagged) {
            // The commands before this one are answered.
            session.wire.flush()?;
            return interrupt(session, ending.unwrap_or(Ending::HangUp));
        }
        if self.refusal.is_some() {
            if !self.answered {
                self.answer(session)?;
            }
        } else {
            let code = match &self.batch {
                Some(batch) if session.capabilities().uid_plus => batch.appenduid(),
                _ => String::new(),
            };
            session.tagged_append(self.tag, &format!("OK {code}APPEND completed"))?;
        }
        match ending {
            Some(Ending::HangUp) if self.is_due(Moment::AfterTagged) => Err(End::Gently),
            Some(ending) if self.is_due(Moment::AfterTagged) => {
                session.wire.flush()?;
                interrupt(session, ending)
            }
            _ => Ok(()),
        }
    }

    fn answer(&mut self, session: &mut Session) -> Step {
        self.answered = true;
        let reply = self.refusal.clone().unwrap_or_default();
        match reply.strip_prefix("BAD ") {
            Some(why) => session.bad(self.tag, why),
            None => session.tagged_append(self.tag, &reply),
        }
    }
}

fn is_atomic(session: &Session) -> bool {
    session.house.personality.atomicity == Atomicity::AllOrNothing
        && session.house.faults.is_atomic()
}

/// Ends the session as a fault asked for.
fn interrupt(session: &Session, ending: Ending) -> Step {
    if ending == Ending::Crash {
        session.house.crash();
    }
    Err(match ending {
        Ending::Silence => End::Silently,
        Ending::Crash | Ending::HangUp => End::Abruptly,
    })
}

fn spell(refusal: &Refusal) -> String {
    match &refusal.code {
        Some(code) => format!("NO [{code}] {}", refusal.text),
        None => format!("NO {}", refusal.text),
    }
}
