//! The commands of IMAP, parsed from one slice with their literals in place.
//!
//! APPEND is not among them: its literals are messages and never stand in one slice, see
//! `message_head`.

use std::borrow::Cow;

use super::fetch_item::{self, Item};
use super::flags::Flags;
use super::list_request::ListRequest;
use super::search_key::Key;
use super::selected::Expunges;
use super::set::Set;
use super::token::{Cursor, SyntaxError};

/// STATUS items in one command; there are five different ones.
const STATUS_ITEMS_MAX: usize = 16;

/// Words in one ENABLE.
const ENABLE_WORDS_MAX: usize = 16;

/// The beginning of any command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    pub(crate) tag: &'a str,
    pub(crate) name: &'a str,
    /// What follows the name, the space included.
    pub(crate) arguments: &'a [u8],
}

/// How messages are numbered in a command and its replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    Sequence,
    Uid,
}

/// Which of two commands that differ in nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Select,
    Examine,
}

/// What STORE does with its flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Replace,
    Add,
    Remove,
}

/// Whether STORE says the new flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Echo {
    Flags,
    Silent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatusItem {
    Messages,
    UidNext,
    UidValidity,
    Unseen,
    Recent,
}

/// A parsed command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    Capability,
    Noop,
    Logout,
    Login {
        user: Cow<'a, [u8]>,
        password: Cow<'a, [u8]>,
    },
    Authenticate {
        mechanism: &'a str,
        initial: Option<&'a [u8]>,
    },
    StartTls,
    /// The name of an algorithm.
    Compress(&'a str),
    /// LIST and LSUB.
    List(ListRequest<'a>),
    Create(Cow<'a, [u8]>),
    Delete(Cow<'a, [u8]>),
    Subscribe(Cow<'a, [u8]>),
    Unsubscribe(Cow<'a, [u8]>),
    Namespace,
    Enable(Vec<&'a str>),
    Select(Access, Cow<'a, [u8]>),
    Status(Cow<'a, [u8]>, Vec<StatusItem>),
    Fetch(Numbers, Set, Vec<Item>),
    Store(Numbers, Set, Change, Echo, Flags),
    Search(Numbers, Key),
    Close,
    Unselect,
    /// EXPUNGE, or UID EXPUNGE of some (RFC 4315).
    Expunge(Option<Set>),
}

impl<'a> Head<'a> {
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, SyntaxError> {
        let mut cursor = Cursor::new(text);
        let tag = cursor.tag()?;
        cursor.space()?;
        let name = cursor.atom()?;
        let arguments = &text[tag.len() + 1 + name.len()..];
        Ok(Self {
            tag,
            name,
            arguments,
        })
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

impl<'a> Command<'a> {
    /// Parses the arguments of the command that the head names.
    pub(crate) fn parse(head: Head<'a>) -> Result<Self, SyntaxError> {
        let mut cursor = Cursor::new(head.arguments);
        let mut name = head.name.to_ascii_uppercase();
        let mut numbers = Numbers::Sequence;
        if name == "UID" {
            cursor.space()?;
            name = cursor.atom()?.to_ascii_uppercase();
            numbers = Numbers::Uid;
            if !matches!(name.as_str(), "FETCH" | "STORE" | "SEARCH" | "EXPUNGE") {
                return Err(SyntaxError::Expected("FETCH, STORE or SEARCH after UID"));
            }
        }
        let command = Self::arguments(&name, numbers, &mut cursor)?;
        cursor.end()?;
        Ok(command)
    }

    fn arguments(
        name: &str,
        numbers: Numbers,
        cursor: &mut Cursor<'a>,
    ) -> Result<Self, SyntaxError> {
        Ok(match name {
            "CAPABILITY" => Self::Capability,
            "NOOP" | "CHECK" => Self::Noop,
            "LOGOUT" => Self::Logout,
            "NAMESPACE" => Self::Namespace,
            "STARTTLS" => Self::StartTls,
            "CLOSE" => Self::Close,
            "UNSELECT" => Self::Unselect,
            "EXPUNGE" if numbers == Numbers::Uid => Self::Expunge(Some(spaced_set(cursor)?)),
            "EXPUNGE" => Self::Expunge(None),
            "COMPRESS" => {
                cursor.space()?;
                Self::Compress(cursor.atom()?)
            }
            "ENABLE" => enable(cursor)?,
            "LOGIN" => Self::Login {
                user: spaced(cursor)?,
                password: spaced(cursor)?,
            },
            "AUTHENTICATE" => authenticate(cursor)?,
            "LIST" => Self::List(ListRequest::parse_list(cursor)?),
            "LSUB" => Self::List(ListRequest::parse_lsub(cursor)?),
            "CREATE" => Self::Create(spaced(cursor)?),
            "DELETE" => Self::Delete(spaced(cursor)?),
            "SUBSCRIBE" => Self::Subscribe(spaced(cursor)?),
            "UNSUBSCRIBE" => Self::Unsubscribe(spaced(cursor)?),
            "SELECT" => Self::Select(Access::Select, spaced(cursor)?),
            "EXAMINE" => Self::Select(Access::Examine, spaced(cursor)?),
            "STATUS" => Self::Status(spaced(cursor)?, status_items(cursor)?),
            "FETCH" => {
                let set = spaced_set(cursor)?;
                cursor.space()?;
                Self::Fetch(numbers, set, fetch_item::parse_items(cursor)?)
            }
            "STORE" => store(numbers, cursor)?,
            "SEARCH" => Self::Search(numbers, Key::parse_program(cursor)?),
            _ => return Err(SyntaxError::Expected("a command known here")),
        })
    }

    /// Whether its reply may tell of expunges.
    pub(crate) fn expunges(&self) -> Expunges {
        match self {
            Self::Fetch(Numbers::Sequence, ..)
            | Self::Store(Numbers::Sequence, ..)
            | Self::Search(Numbers::Sequence, ..) => Expunges::Held,
            _ => Expunges::Told,
        }
    }

    /// What the transcript says of the command besides its name.
    pub(crate) fn subject(&self) -> Cow<'_, str> {
        match self {
            Self::Create(name)
            | Self::Delete(name)
            | Self::Subscribe(name)
            | Self::Unsubscribe(name)
            | Self::Select(_, name)
            | Self::Status(name, _) => String::from_utf8_lossy(name),
            _ => Cow::Borrowed(""),
        }
    }
}

pub(crate) fn spaced<'a>(cursor: &mut Cursor<'a>) -> Result<Cow<'a, [u8]>, SyntaxError> {
    cursor.space()?;
    cursor.astring()
}

fn spaced_set(cursor: &mut Cursor<'_>) -> Result<Set, SyntaxError> {
    cursor.space()?;
    Set::parse(cursor)
}

fn authenticate<'a>(cursor: &mut Cursor<'a>) -> Result<Command<'a>, SyntaxError> {
    cursor.space()?;
    let mechanism = cursor.atom()?;
    let mut initial = None;
    if cursor.take(b' ') {
        initial = Some(cursor.run(|byte| byte.is_ascii_graphic()));
    }
    Ok(Command::Authenticate { mechanism, initial })
}

fn enable<'a>(cursor: &mut Cursor<'a>) -> Result<Command<'a>, SyntaxError> {
    let mut words = Vec::new();
    while cursor.take(b' ') {
        if words.len() >= ENABLE_WORDS_MAX {
            return Err(SyntaxError::TooMany("capabilities"));
        }
        words.push(cursor.atom()?);
    }
    Ok(Command::Enable(words))
}

fn status_items(cursor: &mut Cursor<'_>) -> Result<Vec<StatusItem>, SyntaxError> {
    cursor.space()?;
    cursor.byte(b'(', "a list of items")?;
    let mut items = Vec::new();
    loop {
        items.push(match cursor.atom()?.to_ascii_uppercase().as_str() {
            "MESSAGES" => StatusItem::Messages,
            "UIDNEXT" => StatusItem::UidNext,
            "UIDVALIDITY" => StatusItem::UidValidity,
            "UNSEEN" => StatusItem::Unseen,
            "RECENT" => StatusItem::Recent,
            _ => return Err(SyntaxError::Expected("a STATUS item")),
        });
        if cursor.take(b')') {
            return Ok(items);
        }
        if items.len() >= STATUS_ITEMS_MAX {
            return Err(SyntaxError::TooMany("items"));
        }
        cursor.space()?;
    }
}

fn store<'a>(numbers: Numbers, cursor: &mut Cursor<'a>) -> Result<Command<'a>, SyntaxError> {
    let set = spaced_set(cursor)?;
    cursor.space()?;
    let change = if cursor.take(b'+') {
        Change::Add
    } else if cursor.take(b'-') {
        Change::Remove
    } else {
        Change::Replace
    };
    if !cursor.word("FLAGS") {
        return Err(SyntaxError::Expected("FLAGS"));
    }
    let echo = if cursor.word(".SILENT") {
        Echo::Silent
    } else {
        Echo::Flags
    };
    cursor.space()?;
    let mut flags = Flags::default();
    if cursor.peek() == Some(b'(') {
        flags = Flags::parse_list(cursor)?;
    } else {
        flags.parse_one(cursor)?;
        while cursor.take(b' ') {
            flags.parse_one(cursor)?;
        }
    }
    Ok(Command::Store(numbers, set, change, echo, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Command<'_>, SyntaxError> {
        Command::parse(Head::parse(text.as_bytes())?)
    }

    #[test]
    fn heads() {
        let head = Head::parse(b"a1 login x y").unwrap();
        assert!(head.is("LOGIN"));
        assert_eq!((head.tag, head.arguments), ("a1", &b" x y"[..]));
        for garbage in [&b""[..], b" ", b"a", b"a ", b"* OK", b"+ x", b"\xff\xfe x"] {
            assert!(Head::parse(garbage).is_err(), "{garbage:?}");
        }
    }

    #[test]
    fn commands() {
        let check =
            |text: &str, expected: Command<'_>| assert_eq!(parse(text), Ok(expected), "{text}");
        let bytes = |text: &'static str| Cow::Borrowed(text.as_bytes());
        check("a noop", Command::Noop);
        check(
            "a LOGIN \"u\" {1}\r\np",
            Command::Login {
                user: bytes("u"),
                password: bytes("p"),
            },
        );
        check(
            "a AUTHENTICATE PLAIN",
            Command::Authenticate {
                mechanism: "PLAIN",
                initial: None,
            },
        );
        check(
            "a AUTHENTICATE PLAIN =",
            Command::Authenticate {
                mechanism: "PLAIN",
                initial: Some(b"="),
            },
        );
        check(
            "a ENABLE UTF8=ACCEPT x",
            Command::Enable(vec!["UTF8=ACCEPT", "x"]),
        );
        check("a EXAMINE x", Command::Select(Access::Examine, bytes("x")));
        check(
            "a STATUS x (MESSAGES unseen)",
            Command::Status(bytes("x"), vec![StatusItem::Messages, StatusItem::Unseen]),
        );
        let all = Set::parse(&mut Cursor::new(b"1:*")).ok();
        check("a UID EXPUNGE 1:*", Command::Expunge(all));
        check("a EXPUNGE", Command::Expunge(None));
    }

    #[test]
    fn what_is_no_command() {
        for text in [
            "a FROBNICATE",
            "a NOOP x",
            "a LOGIN u",
            "a LOGIN u p x",
            "a UID LOGIN u p",
            "a UID",
            "a UID EXPUNGE",
            "a EXPUNGE 1",
            "a STATUS x ()",
            "a STATUS x (SIZE)",
            "a FETCH 0 FLAGS",
            "a STORE 1 FLAGS",
            "a STORE 1 KEYWORDS (x)",
            "a APPEND INBOX {3}\r\nabc",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
