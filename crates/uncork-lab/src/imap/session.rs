//! One connection from greeting to end.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::append;
use super::command::{Command, Head};
use super::folder::Folder;
use super::house::{House, Pulse};
use super::message_head::AppendLine;
use super::personality::Capabilities;
use super::token::{Literal, Waits, trailing_literal};
use super::wire::{LINE_BYTES_MAX, Wire, WireError};

/// Invalid commands and failed logins after which a connection is closed; Dovecot's numbers.
const BAD_COMMANDS_MAX: u32 = 20;
const FAILED_LOGINS_MAX: u32 = 3;

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
    logged_in: bool,
    bad_commands: u32,
    failed_logins: u32,
}

/// The folder that SELECT or EXAMINE opened.
#[derive(Debug)]
pub(crate) struct Selected {
    pub(crate) folder: Arc<Folder>,
    pub(crate) writable: bool,
    /// How many messages the client has been told of. It numbers no others.
    pub(crate) announced: usize,
    /// Messages from this UID on are recent to this session.
    pub(crate) recent_from: u32,
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
pub(crate) fn run(stream: Arc<TcpStream>, house: &Arc<House>, pulse: Arc<Pulse>) {
    let mut session = Session {
        wire: Wire::new(stream, Arc::clone(house), pulse),
        house: Arc::clone(house),
        selected: None,
        logged_in: false,
        bad_commands: 0,
        failed_logins: 0,
    };
    let end = session.serve();
    let mut wire = session.wire;
    match end {
        End::Gently => wire.close_gently(),
        End::Wire(error @ (WireError::LineTooLong | WireError::BareLineFeed)) => {
            // Where it can't be said any more, closing is all that is left to do.
            let _ = wire.say(format!("* BYE {error}\r\n").as_bytes());
            wire.close_gently();
        }
        End::Abruptly | End::Wire(_) => wire.close_abruptly(),
    }
}

impl Session {
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
            self.capabilities().line(false)
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
            let state = selected.folder.state();
            let (exists, first_recent) = (state.messages.len(), selected.recent_from);
            let recent = exists
                - state
                    .messages
                    .partition_point(|entry| entry.uid < first_recent);
            drop(state);
            if exists > selected.announced {
                selected.announced = exists;
                self.wire.say(format!("* {exists} EXISTS\r\n").as_bytes())?;
                self.wire.say(format!("* {recent} RECENT\r\n").as_bytes())?;
            }
        }
        Ok(self.wire.say(format!("{tag} {reply}\r\n").as_bytes())?)
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
        match command {
            Command::Capability => {
                let line = format!(
                    "* CAPABILITY {}\r\n",
                    self.capabilities().line(self.logged_in)
                );
                self.wire.say(line.as_bytes())?;
                self.tagged(head.tag, "OK CAPABILITY completed")
            }
            Command::Noop => self.tagged(head.tag, "OK NOOP completed"),
            Command::Logout => {
                self.wire.say(b"* BYE Logging out\r\n")?;
                self.wire
                    .say(format!("{} OK LOGOUT completed\r\n", head.tag).as_bytes())?;
                Err(End::Gently)
            }
            Command::Login { .. } | Command::Authenticate { .. } if self.logged_in => {
                self.bad(head.tag, "Already logged in")
            }
            Command::Login { .. } if self.capabilities().login_disabled => {
                self.tagged(head.tag, "NO [PRIVACYREQUIRED] LOGIN is disabled")
            }
            Command::Login { user, password } => self.log_in(head.tag, &user, &password),
            Command::Authenticate { mechanism, initial } => {
                self.authenticate(head.tag, mechanism, initial)
            }
            _ if !self.logged_in => self.bad(head.tag, &format!("{name}: log in first")),
            other => self.mail_command(head.tag, &name, other),
        }
    }

    /// The commands of those who are logged in.
    fn mail_command(&mut self, tag: &str, name: &str, command: Command<'_>) -> Step {
        match command {
            Command::List {
                word,
                reference,
                pattern,
            } => self.list(tag, word, &reference, &pattern),
            Command::Create(folder) => self.create(tag, &folder),
            Command::Subscribe(folder) => self.subscribe(tag, name, &folder),
            Command::Namespace => self.namespace(tag),
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
            Command::Close => {
                self.selected = None;
                self.tagged(tag, &format!("OK {name} completed"))
            }
            _ => self.tagged(tag, "NO [CANNOT] The lab keeps every message"),
        }
    }

    fn authenticate(&mut self, tag: &str, mechanism: &str, initial: Option<&[u8]>) -> Step {
        if !mechanism.eq_ignore_ascii_case("PLAIN") {
            return self.tagged(tag, "NO [CANNOT] Only PLAIN is offered");
        }
        if initial.is_some() && !self.capabilities().sasl_ir {
            return self.bad(tag, "SASL-IR is not offered");
        }
        let response = match initial {
            Some(b"=") => Vec::new(),
            Some(initial) => initial.to_vec(),
            None => {
                self.wire.say(b"+ \r\n")?;
                self.wire.line()?.to_vec()
            }
        };
        if response == b"*" {
            return self.bad(tag, "AUTHENTICATE cancelled");
        }
        let Ok(decoded) = STANDARD.decode(&response) else {
            return self.bad(tag, "Invalid base64");
        };
        let mut parts = decoded.split(|byte| *byte == 0);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(_), Some(user), Some(password), None) => self.log_in(tag, user, password),
            _ => self.bad(tag, "Expected identity, user and password (RFC 4616)"),
        }
    }

    fn log_in(&mut self, tag: &str, user: &[u8], password: &[u8]) -> Step {
        if user == self.house.user.as_bytes() && password == self.house.password.as_bytes() {
            self.logged_in = true;
            let line = format!(
                "OK [CAPABILITY {}] Logged in",
                self.capabilities().line(true)
            );
            return self.tagged(tag, &line);
        }
        self.failed_logins += 1;
        self.tagged(tag, "NO [AUTHENTICATIONFAILED] Authentication failed.")?;
        if self.failed_logins >= FAILED_LOGINS_MAX {
            return self.bye("Too many failed logins");
        }
        Ok(())
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
