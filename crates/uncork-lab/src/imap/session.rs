//! One connection from greeting to end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::append;
use super::capabilities::Capabilities;
use super::command::{Command, Head};
use super::house::{House, Pulse};
use super::message_head::AppendLine;
use super::namespace::Spelling;
use super::personality::ReplyOrder;
use super::pipe::Pipe;
use super::selected::{Expunges, Selected};
use super::token::{Literal, Waits, trailing_literal};
use super::wire::{LINE_BYTES_MAX, Wire, WireError};

/// Invalid commands after which a connection is closed; Dovecot's number.
const BAD_COMMANDS_MAX: u32 = 20;

/// A literal in any command but APPEND, and such a command as a whole.
const COMMAND_LITERAL_BYTES_MAX: u64 = 16 * 1024;
const COMMAND_BYTES_MAX: usize = 2 * LINE_BYTES_MAX;

/// Why a session ends.
#[derive(Debug)]
pub(crate) enum End {
    /// All has been said; the peer gets to read it.
    Gently,
    /// The connection goes away in the middle.
    Abruptly,
    /// Nothing more is said, and the connection stays open.
    Silently,
    /// Nothing more comes.
    Wire(WireError),
}

impl From<WireError> for End {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

/// What one step of a session comes to.
pub(crate) type Step = Result<(), End>;

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) wire: Wire,
    pub(crate) house: Arc<House>,
    pub(crate) selected: Option<Selected>,
    /// Whether the reply to the present command may tell of them.
    expunges: Expunges,
    /// How names of folders are spelled.
    pub(crate) spelling: Spelling,
    pub(crate) logged_in: bool,
    bad_commands: u32,
    pub(crate) failed_logins: u32,
}

/// What gathering a command came to.
enum Gathered {
    Command,
    /// The line ends with the head of an APPEND's first message.
    Append,
    /// It was refused and is done with.
    Refused,
}

/// Serves a connection to its end.
pub(crate) fn run(pipe: Pipe, house: &Arc<House>, pulse: Arc<Pulse>) {
    let mut session = Session {
        wire: Wire::new(pipe, Arc::clone(house), pulse),
        house: Arc::clone(house),
        selected: None,
        expunges: Expunges::Told,
        spelling: Spelling::ModifiedUtf7,
        logged_in: false,
        bad_commands: 0,
        failed_logins: 0,
    };
    let end = session.serve();
    session.close(end);
}

impl Session {
    fn close(mut self, end: End) {
        if self.logged_in {
            self.house.logged_in.fetch_sub(1, Ordering::AcqRel);
        }
        match end {
            End::Gently | End::Wire(WireError::Cut) => self.wire.close_gently(),
            End::Wire(error @ (WireError::LineTooLong | WireError::BareLineFeed)) => {
                // Where it can't be said any more, closing is all that is left to do.
                let _ = self.wire.say(format!("* BYE {error}\r\n").as_bytes());
                self.wire.close_gently();
            }
            End::Silently | End::Wire(WireError::Silence) => self.wire.stay_silent(),
            End::Abruptly | End::Wire(_) => self.wire.close_abruptly(),
        }
    }

    fn serve(&mut self) -> End {
        match self.converse() {
            Err(end) => end,
            Ok(never) => match never {},
        }
    }

    fn converse(&mut self) -> Result<std::convert::Infallible, End> {
        self.bye_if_due()?;
        let greeting = format!(
            "* OK [CAPABILITY {}] uncork lab ready\r\n",
            self.capability_line()
        );
        self.wire.say(greeting.as_bytes())?;
        let mut text = Vec::new();
        loop {
            match self.gather(&mut text)? {
                Gathered::Command => self.command(&text)?,
                Gathered::Append => self.append(&text)?,
                Gathered::Refused => {}
            }
            self.bye_if_due()?;
        }
    }

    /// The words of the CAPABILITY reply as they are now.
    pub(crate) fn capability_line(&mut self) -> String {
        let mut line = self.capabilities().line(self.logged_in);
        if !self.logged_in && self.offers_tls() {
            line.push_str(" STARTTLS");
            if self.needs_tls() && !self.capabilities().login_disabled {
                line.push_str(" LOGINDISABLED");
            }
        }
        line
    }

    pub(crate) fn capabilities(&self) -> &Capabilities {
        &self.house.personality.capabilities
    }

    fn bye_if_due(&mut self) -> Step {
        let house = Arc::clone(&self.house);
        match house.faults.bye(house.stored.load(Ordering::Acquire)) {
            Some(text) => self.bye(text),
            None => Ok(()),
        }
    }

    /// Says BYE and ends the session.
    pub(crate) fn bye(&mut self, text: &str) -> Step {
        self.wire.say(format!("* BYE {text}\r\n").as_bytes())?;
        Err(End::Gently)
    }

    /// Says the tagged reply, and before it what has happened to the selected folder.
    pub(crate) fn tagged(&mut self, tag: &str, reply: &str) -> Step {
        if let Some(selected) = &mut self.selected {
            let lines = selected.catch_up(self.expunges);
            if !lines.is_empty() {
                self.wire.say(lines.as_bytes())?;
            }
        }
        Ok(self.wire.say(format!("{tag} {reply}\r\n").as_bytes())?)
    }

    /// Says the tagged reply of an APPEND: at once, or after those that follow it.
    pub(crate) fn tagged_append(&mut self, tag: &str, reply: &str) -> Step {
        if self.house.personality.reply_order == ReplyOrder::AsTheyCame {
            return self.tagged(tag, reply);
        }
        Ok(self.wire.say_in_reverse(format!("{tag} {reply}\r\n"))?)
    }

    /// Says BAD, and BYE where it is one too many.
    pub(crate) fn bad(&mut self, tag: &str, why: &str) -> Step {
        self.bad_commands += 1;
        self.wire.say(format!("{tag} BAD {why}\r\n").as_bytes())?;
        if self.bad_commands >= BAD_COMMANDS_MAX {
            return self.bye("Too many invalid IMAP commands.");
        }
        Ok(())
    }

    /// Reads a command with its literals into `text`, up to the first message of an APPEND.
    fn gather(&mut self, text: &mut Vec<u8>) -> Result<Gathered, End> {
        text.clear();
        let mut line_start = 0;
        loop {
            text.extend_from_slice(self.wire.line()?);
            let Some(literal) = trailing_literal(&text[line_start..]) else {
                return Ok(Gathered::Command);
            };
            let tag = match Head::parse(text) {
                Ok(head)
                    if head.is("APPEND")
                        && AppendLine::parse(head.arguments) != Ok(AppendLine::FolderFollows) =>
                {
                    return Ok(Gathered::Append);
                }
                Ok(head) => head.tag.to_owned(),
                // The literal of what is no command can't be told from the next command.
                Err(_) => return Ok(Gathered::Command),
            };
            if !self.takes_literal(&tag, literal, text.len())? {
                return Ok(Gathered::Refused);
            }
            let length = usize::try_from(literal.bytes).unwrap_or(usize::MAX);
            text.extend_from_slice(b"\r\n");
            text.extend_from_slice(self.wire.contiguous(length)?);
            line_start = text.len();
        }
    }

    /// Decides on a literal that is no message, and asks for it where the client waits.
    fn takes_literal(&mut self, tag: &str, literal: Literal, before: usize) -> Result<bool, End> {
        let too_large = literal.bytes > COMMAND_LITERAL_BYTES_MAX || before > COMMAND_BYTES_MAX;
        let unwaited = literal.waits == Waits::No;
        if too_large || (unwaited && !self.capabilities().allows_unwaited(literal.bytes)) {
            self.bad(
                tag,
                if too_large {
                    "Literal too large"
                } else {
                    "This literal has to wait for +"
                },
            )?;
            if unwaited {
                // What follows is the literal; taken for commands it could do anything.
                self.bye("Can't go on after that literal")?;
            }
            return Ok(false);
        }
        if !unwaited {
            self.wire.say(b"+ go ahead\r\n")?;
        }
        Ok(true)
    }

    fn append(&mut self, text: &[u8]) -> Step {
        let Ok(head) = Head::parse(text) else {
            return Ok(());
        };
        let tag = head.tag;
        match AppendLine::parse(head.arguments) {
            Ok(AppendLine::Message {
                folder,
                head: message,
            }) => {
                self.house.note("APPEND", &String::from_utf8_lossy(&folder));
                let folder = if self.logged_in {
                    Ok(folder)
                } else {
                    Err("Log in first")
                };
                append::run(self, tag, folder, message)
            }
            Ok(AppendLine::FolderFollows) => Ok(()),
            Err(error) => append::run(self, tag, Err(""), Err(error)),
        }
    }

    fn command(&mut self, text: &[u8]) -> Step {
        let Ok(head) = Head::parse(text) else {
            return self.bad("*", "Expected a tag and a command");
        };
        let command = match Command::parse(head) {
            Ok(command) => command,
            Err(error) => {
                self.house.note(&head.name.to_ascii_uppercase(), "(BAD)");
                return self.bad(head.tag, &format!("{}: {error}", head.name));
            }
        };
        let name = spelled(head);
        self.house.note(&name, &command.subject());
        self.expunges = command.expunges();
        if self.selected.as_ref().is_some_and(Selected::is_gone) {
            return self.bye("[UNAVAILABLE] The folder was deleted or replaced meanwhile");
        }
        match command {
            Command::Capability => {
                let line = format!("* CAPABILITY {}\r\n", self.capability_line());
                self.wire.say(line.as_bytes())?;
                self.tagged(head.tag, "OK CAPABILITY completed")
            }
            Command::Noop => self.tagged(head.tag, "OK NOOP completed"),
            Command::Logout => {
                self.wire.flush()?;
                self.wire.say(b"* BYE Logging out\r\n")?;
                self.wire
                    .say(format!("{} OK LOGOUT completed\r\n", head.tag).as_bytes())?;
                Err(End::Gently)
            }
            Command::StartTls => self.start_tls(head.tag),
            Command::Compress(algorithm) => self.compress(head.tag, algorithm),
            Command::Login { .. } | Command::Authenticate { .. } => self.prove(head.tag, command),
            _ if !self.logged_in => self.bad(head.tag, &format!("{name}: log in first")),
            other => self.mail_command(head.tag, &name, other),
        }
    }

    /// The commands of those who are logged in.
    fn mail_command(&mut self, tag: &str, name: &str, command: Command<'_>) -> Step {
        match command {
            Command::List(request) => self.list(tag, &request),
            Command::Create(folder) => self.create(tag, &folder),
            Command::Delete(folder) => self.delete(tag, &folder),
            Command::Subscribe(folder) => self.subscribe(tag, &folder),
            Command::Unsubscribe(folder) => self.unsubscribe(tag, &folder),
            Command::Namespace => self.namespace(tag),
            Command::Enable(words) => self.enable(tag, &words),
            Command::Select(access, folder) => self.select(tag, access, &folder),
            Command::Status(folder, items) => self.status(tag, &folder, &items),
            _ if self.selected.is_none() => {
                self.bad(tag, &format!("{name}: select a folder first"))
            }
            Command::Fetch(numbers, set, items) => self.fetch(tag, numbers, &set, &items),
            Command::Store(numbers, set, change, echo, flags) => {
                self.store(tag, (numbers, &set), (change, echo), &flags)
            }
            Command::Search(numbers, key) => self.search(tag, numbers, &key),
            Command::Unselect => {
                self.selected = None;
                self.tagged(tag, "OK UNSELECT completed")
            }
            Command::Close => self.close_folder(tag),
            Command::Expunge(among) => self.expunge(tag, name, among.as_ref()),
            _ => self.bad(tag, "This can't be asked for here"),
        }
    }
}

/// The command's name for replies and the transcript: `UID FETCH`.
fn spelled(head: Head<'_>) -> String {
    let name = head.name.to_ascii_uppercase();
    if name != "UID" {
        return name;
    }
    let verb = head
        .arguments
        .split(|byte| *byte == b' ')
        .nth(1)
        .unwrap_or_default();
    format!("UID {}", String::from_utf8_lossy(verb).to_ascii_uppercase())
}
