//! APPEND and MULTIAPPEND: from the first literal's head to the tagged reply.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::date::Seconds;
use super::fault::Refusal;
use super::folder::{Committed, Folder, Staged};
use super::folder_name::FolderName;
use super::house::House;
use super::message_head::MessageHead;
use super::session::{End, Session, Step};
use super::store::StoreError;
use super::token::{Cursor, Literal, SyntaxError, Waits, trailing_literal};
use super::wire::CONTIGUOUS_BYTES_MAX;

/// The largest literal that is read at all. A larger `{n+}` ends the connection.
const LITERAL_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Messages and bytes in one command.
const BATCH_MESSAGES_MAX: usize = 10_000;
const BATCH_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Messages in `tmp` for one command. Dropped before its commit it removes them.
struct Batch {
    folder: Arc<Folder>,
    staged: Vec<Staged>,
    bytes: u64,
}

impl Drop for Batch {
    fn drop(&mut self) {
        for message in &self.staged {
            self.folder.forget(&message.base);
        }
    }
}

/// One APPEND command under way.
struct Upload<'a> {
    tag: &'a str,
    /// `None` where there is no such folder; then there is a refusal.
    batch: Option<Batch>,
    /// The first thing that was wrong, as the tagged reply will say it.
    refusal: Option<String>,
    /// The tagged reply has been said before the end of the command.
    answered: bool,
    hangs_up: HangUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HangUp {
    Never,
    BeforeTagged,
    AfterTagged,
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
        hangs_up: HangUp::Never,
    };
    if let Err(error) = &first {
        upload.refuse(format!("BAD APPEND: {error}"));
    }
    match folder {
        Ok(name) => upload.open(&session.house, &name),
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
    }
}

impl Upload<'_> {
    /// The first refusal is the one that is said.
    fn refuse(&mut self, reply: String) {
        self.refusal.get_or_insert(reply);
    }

    fn open(&mut self, house: &House, name: &[u8]) {
        let folder = match FolderName::from_wire(name) {
            Ok(name) => house.store.folder(&name),
            Err(error) => return self.refuse(format!("NO [CANNOT] {error}")),
        };
        match folder {
            Ok(folder) => {
                self.batch = Some(Batch {
                    folder,
                    staged: Vec::new(),
                    bytes: 0,
                });
            }
            Err(StoreError::NoFolder) => self.refuse("NO [TRYCREATE] No such folder".to_owned()),
            Err(error) => self.refuse(format!("NO [SERVERBUG] {error}")),
        }
    }

    /// Reads, throws away or declines one message.
    fn take(&mut self, session: &mut Session, head: MessageHead) -> Result<Taken, End> {
        let literal = head.literal;
        let unwaited = literal.waits == Waits::No;
        let number = session.house.faults.next_message();
        self.note_hang_up(&session.house, number);
        if let Some(refusal) = session.house.faults.refuses_upload(number) {
            self.refuse(spell(&refusal));
            if unwaited && !self.answered {
                self.answer(session)?;
                session.wire.flush()?;
            }
        }
        self.check(session, literal);
        if self.refusal.is_some() && !unwaited {
            return Ok(Taken::Declined);
        }
        if unwaited && literal.bytes > LITERAL_BYTES_MAX {
            session.bye("Literal too large")?;
        }
        if !unwaited {
            session.wire.say(b"+ go ahead\r\n")?;
        }
        if self.refusal.is_some() {
            session.wire.discard(literal.bytes)?;
            return Ok(Taken::Read);
        }
        if let Err(error) = self.stage(session, head)? {
            self.unstage();
            self.refuse(format!("NO [SERVERBUG] Storing failed: {error}"));
        }
        if self.refusal.is_none() {
            if let Some(refusal) = session.house.faults.refuses_message(number) {
                self.unstage();
                self.refuse(spell(&refusal));
            }
        }
        Ok(Taken::Read)
    }

    fn note_hang_up(&mut self, house: &House, number: u64) {
        if house.faults.hangs_up_before_tagged(number) {
            self.hangs_up = HangUp::BeforeTagged;
        } else if house.faults.hangs_up_after_tagged(number) && self.hangs_up == HangUp::Never {
            self.hangs_up = HangUp::AfterTagged;
        }
    }

    /// Refuses what can be refused by its head alone.
    fn check(&mut self, session: &Session, literal: Literal) {
        let capabilities = session.capabilities();
        if literal.waits == Waits::No && !capabilities.allows_unwaited(literal.bytes) {
            self.refuse("BAD This literal has to wait for +".to_owned());
        }
        if literal.bytes == 0 {
            self.refuse("NO Can't save a zero byte message.".to_owned());
        }
        let limit = capabilities
            .append_limit
            .unwrap_or(LITERAL_BYTES_MAX)
            .min(LITERAL_BYTES_MAX);
        if literal.bytes > limit {
            self.refuse(format!("NO [TOOBIG] A message may have {limit} bytes"));
        }
        let full = self.batch.as_ref().is_some_and(|batch| {
            batch.staged.len() >= BATCH_MESSAGES_MAX
                || batch.bytes + literal.bytes > BATCH_BYTES_MAX
        });
        if full {
            self.refuse("NO [LIMIT] Too much in one APPEND".to_owned());
        }
    }

    /// Reads a literal into a file in `tmp`. The outer result is the connection's, the inner
    /// one the disk's: where that fails the literal has been read nevertheless.
    fn stage(&mut self, session: &mut Session, head: MessageHead) -> Result<io::Result<()>, End> {
        let Some(batch) = &mut self.batch else {
            return Ok(Ok(()));
        };
        let bytes = head.literal.bytes;
        let base = session.house.store.file_name(bytes);
        let folder = Arc::clone(&batch.folder);
        // Noted before there is a file, so that it is removed whatever happens on the way.
        batch.staged.push(Staged {
            base: base.clone(),
            bytes,
            flags: head.flags,
            date: head.date,
        });
        batch.bytes += bytes;
        let small = usize::try_from(bytes)
            .ok()
            .filter(|length| *length <= CONTIGUOUS_BYTES_MAX);
        let written = if let Some(length) = small {
            let content = session.wire.contiguous(length)?;
            folder.create(&base).and_then(|file| {
                write_all(&file, content)?;
                folder.finish(&file, head.date)
            })
        } else {
            spool(session, (&folder, &base), bytes, head.date)?
        };
        let delay = session.house.faults.disk_delay();
        if !delay.is_zero() {
            session.house.pause(delay);
        }
        Ok(written)
    }

    fn unstage(&mut self) {
        if let Some(batch) = &mut self.batch {
            if let Some(message) = batch.staged.pop() {
                batch.folder.forget(&message.base);
            }
        }
    }

    /// Commits or refuses, and says which.
    fn end(mut self, session: &mut Session) -> Step {
        let partial = self.refusal.is_some() && !session.house.faults.is_atomic();
        let mut done = None;
        if self.refusal.is_none() || partial {
            match self.commit(session) {
                Ok(committed) => done = committed,
                Err(error) => self.refuse(format!("NO [SERVERBUG] Storing failed: {error}")),
            }
        }
        if self.hangs_up == HangUp::BeforeTagged {
            // The commands before this one are answered.
            session.wire.flush()?;
            return Err(End::Abruptly);
        }
        if self.refusal.is_some() {
            if !self.answered {
                self.answer(session)?;
            }
        } else {
            let code = match done {
                Some(committed) if session.capabilities().uid_plus => appenduid(&committed),
                _ => String::new(),
            };
            session.tagged(self.tag, &format!("OK {code}APPEND completed"))?;
        }
        if self.hangs_up == HangUp::AfterTagged {
            Err(End::Gently)
        } else {
            Ok(())
        }
    }

    fn commit(&mut self, session: &Session) -> io::Result<Option<Committed>> {
        let Some(batch) = &mut self.batch else {
            return Ok(None);
        };
        let count = batch.staged.len() as u64;
        if count == 0 {
            return Ok(None);
        }
        let committed = batch.folder.commit(&mut batch.staged)?;
        session.house.stored.fetch_add(count, Ordering::AcqRel);
        Ok(Some(committed))
    }

    fn answer(&mut self, session: &mut Session) -> Step {
        self.answered = true;
        let reply = self.refusal.clone().unwrap_or_default();
        match reply.strip_prefix("BAD ") {
            Some(why) => session.bad(self.tag, why),
            None => session.tagged(self.tag, &reply),
        }
    }
}

/// Writes a literal to its file as it comes.
fn spool(
    session: &mut Session,
    (folder, base): (&Folder, &str),
    bytes: u64,
    date: Option<Seconds>,
) -> Result<io::Result<()>, End> {
    let mut file = folder.create(base);
    let mut left = bytes;
    while left > 0 {
        let chunk = session.wire.chunk(left)?;
        left -= chunk.len() as u64;
        file = file.and_then(|file| write_all(&file, chunk).map(|()| file));
    }
    Ok(file.and_then(|file| folder.finish(&file, date)))
}

fn write_all(file: &rustix::fd::OwnedFd, content: &[u8]) -> io::Result<()> {
    let mut rest = content;
    while !rest.is_empty() {
        match rustix::io::write(file, rest) {
            Ok(count) => rest = &rest[count..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn spell(refusal: &Refusal) -> String {
    match &refusal.code {
        Some(code) => format!("NO [{code}] {}", refusal.text),
        None => format!("NO {}", refusal.text),
    }
}

/// The APPENDUID code with the space after it (RFC 4315).
fn appenduid(committed: &Committed) -> String {
    let (first, last) = (committed.uids.start(), committed.uids.end());
    let set = if first == last {
        first.to_string()
    } else {
        format!("{first}:{last}")
    };
    format!("[APPENDUID {} {set}] ", committed.uid_validity)
}
