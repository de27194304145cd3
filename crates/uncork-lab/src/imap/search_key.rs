//! What a SEARCH looks for.

use super::date::{self, Seconds};
use super::flags::SystemFlags;
use super::set::Set;
use super::token::{Cursor, SyntaxError};

/// Keys in one SEARCH, and how deep they nest.
const KEYS_MAX: usize = 128;
const DEPTH_MAX: usize = 8;

const DAY: Seconds = 86_400;

/// A condition on a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    All,
    Sequence(Set),
    Uid(Set),
    Flag(SystemFlags),
    Keyword(String),
    Recent,
    /// The date of arrival, from the first to before the second.
    Arrived(Seconds, Seconds),
    Larger(u64),
    Smaller(u64),
    /// A field of this name with this text, in lower case, somewhere in it.
    Header(String, Vec<u8>),
    /// This text, in lower case, after the header.
    Body(Vec<u8>),
    /// This text, in lower case, anywhere.
    Text(Vec<u8>),
    Not(Box<Key>),
    Or(Box<Key>, Box<Key>),
    And(Vec<Key>),
}

impl Key {
    /// Parses what follows SEARCH. CHARSET is accepted for the charsets in which bytes can
    /// be compared as they are.
    pub(crate) fn parse_program(cursor: &mut Cursor<'_>) -> Result<Self, SyntaxError> {
        cursor.space()?;
        if cursor.word("CHARSET ") {
            let charset = cursor.astring()?;
            if !charset.eq_ignore_ascii_case(b"UTF-8") && !charset.eq_ignore_ascii_case(b"US-ASCII")
            {
                return Err(SyntaxError::Unsupported("charsets but UTF-8 are"));
            }
            cursor.space()?;
        }
        let mut left = KEYS_MAX;
        keys(cursor, DEPTH_MAX, &mut left)
    }
}

fn keys(cursor: &mut Cursor<'_>, depth: usize, left: &mut usize) -> Result<Key, SyntaxError> {
    let mut keys = vec![key(cursor, depth, left)?];
    while cursor.take(b' ') {
        keys.push(key(cursor, depth, left)?);
    }
    Ok(Key::And(keys))
}

fn key(cursor: &mut Cursor<'_>, depth: usize, left: &mut usize) -> Result<Key, SyntaxError> {
    let too_many = SyntaxError::TooMany("search keys");
    let depth = depth.checked_sub(1).ok_or(too_many)?;
    *left = left.checked_sub(1).ok_or(too_many)?;
    match cursor.peek() {
        Some(b'(') => {
            cursor.take(b'(');
            let inner = keys(cursor, depth, left)?;
            cursor.byte(b')', "the end of the search keys")?;
            return Ok(inner);
        }
        Some(b'0'..=b'9' | b'*') => return Ok(Key::Sequence(Set::parse(cursor)?)),
        _ => {}
    }
    let name = cursor.atom()?.to_ascii_uppercase();
    if let Some(key) = flag(&name) {
        return Ok(key);
    }
    let not = |key: Key| Key::Not(Box::new(key));
    let mut spaced = |cursor: &mut Cursor<'_>| {
        cursor.space()?;
        key(cursor, depth, left).map(Box::new)
    };
    match name.as_str() {
        "NOT" => Ok(Key::Not(spaced(cursor)?)),
        "OR" => Ok(Key::Or(spaced(cursor)?, spaced(cursor)?)),
        "UID" => {
            cursor.space()?;
            Ok(Key::Uid(Set::parse(cursor)?))
        }
        "KEYWORD" => Ok(Key::Keyword(keyword(cursor)?)),
        "UNKEYWORD" => Ok(not(Key::Keyword(keyword(cursor)?))),
        "LARGER" => Ok(Key::Larger(number(cursor)?)),
        "SMALLER" => Ok(Key::Smaller(number(cursor)?)),
        "BEFORE" => Ok(Key::Arrived(Seconds::MIN, day(cursor)?)),
        "SINCE" => Ok(Key::Arrived(day(cursor)?, Seconds::MAX)),
        "ON" => day(cursor).map(|day| Key::Arrived(day, day + DAY)),
        "HEADER" => {
            let field = text(cursor)?;
            let field =
                String::from_utf8(field).map_err(|_| SyntaxError::Expected("a field name"))?;
            Ok(Key::Header(field, text(cursor)?))
        }
        "SUBJECT" | "FROM" | "TO" | "CC" | "BCC" => Ok(Key::Header(name, text(cursor)?)),
        "BODY" => Ok(Key::Body(text(cursor)?)),
        "TEXT" => Ok(Key::Text(text(cursor)?)),
        _ => Err(SyntaxError::Expected("a search key known here")),
    }
}

fn flag(name: &str) -> Option<Key> {
    let flags = [
        ("ANSWERED", SystemFlags::ANSWERED),
        ("DELETED", SystemFlags::DELETED),
        ("DRAFT", SystemFlags::DRAFT),
        ("FLAGGED", SystemFlags::FLAGGED),
        ("SEEN", SystemFlags::SEEN),
    ];
    let find = |name: &str| {
        flags
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, flag)| Key::Flag(*flag))
    };
    let not = |key: Key| Key::Not(Box::new(key));
    match name {
        "ALL" => Some(Key::All),
        "RECENT" => Some(Key::Recent),
        "OLD" => Some(not(Key::Recent)),
        "NEW" => Some(Key::And(vec![
            Key::Recent,
            not(Key::Flag(SystemFlags::SEEN)),
        ])),
        _ => find(name).or_else(|| name.strip_prefix("UN").and_then(find).map(not)),
    }
}

fn text(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, SyntaxError> {
    cursor.space()?;
    Ok(cursor.astring()?.to_ascii_lowercase())
}

fn keyword(cursor: &mut Cursor<'_>) -> Result<String, SyntaxError> {
    cursor.space()?;
    Ok(cursor.atom()?.to_owned())
}

fn number(cursor: &mut Cursor<'_>) -> Result<u64, SyntaxError> {
    cursor.space()?;
    cursor.number()
}

fn day(cursor: &mut Cursor<'_>) -> Result<Seconds, SyntaxError> {
    cursor.space()?;
    date::parse_day(&cursor.astring()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(input: &str) -> Result<Key, SyntaxError> {
        let mut cursor = Cursor::new(input.as_bytes());
        Key::parse_program(&mut cursor).and_then(|key| cursor.end().map(|()| key))
    }

    #[test]
    fn keys() {
        let check = |input: &str, expected: Key| {
            assert_eq!(parse(input), Ok(Key::And(vec![expected])), "{input}");
        };
        let not = |key: Key| Key::Not(Box::new(key));
        check(" ALL", Key::All);
        check(" unseen", not(Key::Flag(SystemFlags::SEEN)));
        check(" NOT DELETED", not(Key::Flag(SystemFlags::DELETED)));
        check(
            " HEADER Message-ID \"<A@b>\"",
            Key::Header("message-id".into(), b"<a@b>".to_vec()),
        );
        check(
            " CHARSET utf-8 SUBJECT {2}\r\nHi",
            Key::Header("SUBJECT".into(), b"hi".to_vec()),
        );
        check(
            " OR SEEN (LARGER 5)",
            Key::Or(
                Box::new(Key::Flag(SystemFlags::SEEN)),
                Box::new(Key::And(vec![Key::Larger(5)])),
            ),
        );
        check(" ON 2-Jan-1970", Key::Arrived(DAY, 2 * DAY));
        check(" UNKEYWORD $a", not(Key::Keyword("$a".into())));
    }

    #[test]
    fn what_is_refused() {
        let deep = format!(" {}ALL{}", "(".repeat(DEPTH_MAX), ")".repeat(DEPTH_MAX));
        let nots = format!(" {}ALL", "NOT ".repeat(DEPTH_MAX));
        let many = " ALL".repeat(KEYS_MAX + 1);
        for input in [
            "",
            " ",
            " FOO",
            " HEADER x",
            " (ALL",
            " CHARSET latin1 ALL",
            " UID 0",
            &deep,
            &nots,
            &many,
        ] {
            assert!(parse(input).is_err(), "{input}");
        }
    }
}
