//! What stands before each literal of an APPEND: flags, date, and the literal's size.

use std::borrow::Cow;

use super::date::{self, Seconds};
use super::flags::Flags;
use super::token::{Cursor, Literal, SyntaxError};

/// One message as announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MessageHead {
    pub(crate) flags: Flags,
    pub(crate) date: Option<Seconds>,
    pub(crate) literal: Literal,
    pub(crate) octets: Octets,
}

/// What may be in a message's literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Octets {
    /// Anything but NUL.
    Text,
    /// NUL too: a literal8, `~{n}` (RFC 3516).
    Any,
}

impl MessageHead {
    /// Parses ` [(flags) ]["date" ][~]{n}`, which is all that is left of a line.
    pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, SyntaxError> {
        cursor.space()?;
        let mut flags = Flags::default();
        if cursor.peek() == Some(b'(') {
            flags = Flags::parse_list(cursor)?;
            cursor.space()?;
        }
        let mut date = None;
        if cursor.peek() == Some(b'"') {
            date = Some(date::parse(&cursor.quoted()?)?);
            cursor.space()?;
        }
        let octets = if cursor.take(b'~') {
            Octets::Any
        } else {
            Octets::Text
        };
        let literal = cursor.literal_head()?;
        cursor.end()?;
        Ok(Self {
            flags,
            date,
            literal,
            octets,
        })
    }
}

/// The first line of an APPEND, or as much as has come of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AppendLine<'a> {
    /// The line ends with the head of the folder's name, which itself is a literal.
    FolderFollows,
    /// The line ends with the head of the first message. Either part may be wrong while the
    /// other is not, and the literal has to be dealt with in any case.
    Message {
        folder: Cow<'a, [u8]>,
        head: Result<MessageHead, SyntaxError>,
    },
}

impl<'a> AppendLine<'a> {
    /// Parses what follows `APPEND`.
    pub(crate) fn parse(arguments: &'a [u8]) -> Result<Self, SyntaxError> {
        let mut cursor = Cursor::new(arguments);
        cursor.space()?;
        let mut ahead = cursor.clone();
        if ahead.literal_head().is_ok() && ahead.is_at_end() {
            return Ok(Self::FolderFollows);
        }
        let folder = cursor.astring()?;
        Ok(Self::Message {
            folder,
            head: MessageHead::parse(&mut cursor),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::token::Waits;

    #[test]
    fn heads() {
        let check = |input: &str, expected: Option<(usize, Option<Seconds>, u64, Waits)>| {
            let head = MessageHead::parse(&mut Cursor::new(input.as_bytes())).ok();
            let found = head.map(|head| {
                (
                    head.flags.keywords.len(),
                    head.date,
                    head.literal.bytes,
                    head.literal.waits,
                )
            });
            assert_eq!(found, expected, "{input}");
        };
        check(" {5}", Some((0, None, 5, Waits::ForContinuation)));
        check(" (a b) {5+}", Some((2, None, 5, Waits::No)));
        check(
            " \"01-Jan-1970 00:00:09 +0000\" {5+}",
            Some((0, Some(9), 5, Waits::No)),
        );
        check(
            " () \"01-Jan-1970 00:00:09 +0000\" {5+}",
            Some((0, Some(9), 5, Waits::No)),
        );
        check("{5}", None);
        check(" \"yesterday\" {5}", None);
        check(" (\\Recent) {5}", None);
        check(" ~{5}", Some((0, None, 5, Waits::ForContinuation)));
        check(" ~ {5}", None);
        check(" {5} ", None);
    }

    #[test]
    fn first_lines() {
        assert_eq!(AppendLine::parse(b" {5}"), Ok(AppendLine::FolderFollows));
        let message = |input: &'static [u8]| match AppendLine::parse(input) {
            Ok(AppendLine::Message { folder, head }) => (folder.into_owned(), head.is_ok()),
            other => panic!("{other:?}"),
        };
        assert_eq!(message(b" INBOX {5}"), (b"INBOX".to_vec(), true));
        assert_eq!(message(b" {3}\r\na/b () {5}"), (b"a/b".to_vec(), true));
        assert_eq!(
            message(b" INBOX (\\Recent) {5}"),
            (b"INBOX".to_vec(), false)
        );
        assert_eq!(message(b" INBOX"), (b"INBOX".to_vec(), false));
        assert!(AppendLine::parse(b"").is_err());
        assert!(AppendLine::parse(b" (").is_err());
    }
}
