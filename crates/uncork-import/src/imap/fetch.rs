//! FETCH responses (RFC 9051, section 7.5.2), as far as mails are recognised by them.
//!
//! Written for this because a mail's text must be compared without being kept: its literal has
//! become a digest by the time the response is looked at. Items that nobody asked for are passed
//! over, so that no server's extension can confuse it.

use super::response::{Data, Literal, number, strip_word};
use crate::mail::Digest;

/// What a FETCH response tells of one mail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fetched {
    pub(crate) uid: u32,
    /// RFC822.SIZE, in bytes.
    pub(crate) size: Option<u64>,
    /// `BODY[HEADER.FIELDS (…)]`.
    pub(crate) header: Option<Vec<u8>>,
    /// `BODY[]`.
    pub(crate) text: Option<FetchedText>,
}

/// The whole text of a mail, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FetchedText {
    pub(crate) len: u64,
    pub(crate) digest: Digest,
    /// Its first bytes.
    pub(crate) head: Vec<u8>,
}

impl Fetched {
    /// Reads `7 FETCH (UID 5 RFC822.SIZE 123 BODY[] {123})`; `None` where it is something else, or
    /// has no UID.
    pub(crate) fn parse(data: Data) -> Option<Self> {
        let (sequence, rest) = data.text.split_once(' ')?;
        let _: u32 = number(sequence)?;
        let rest = strip_word(rest, "FETCH")?.trim_start();
        let mut items = Items {
            text: rest.strip_prefix('(')?,
            literals: data.literals.into_iter(),
        };
        let mut fetched = Fetched::default();
        while let Some(name) = items.name() {
            let value = items.value()?;
            let name = name.to_ascii_uppercase();
            match (name.as_str(), value) {
                ("UID", Value::Atom(uid)) => fetched.uid = number(&uid)?,
                ("RFC822.SIZE", Value::Atom(size)) => fetched.size = number(&size),
                ("BODY[]", value) => fetched.text = Some(value.into_text()),
                (name, value) if name.starts_with("BODY[HEADER") => {
                    fetched.header = Some(value.into_text().head);
                }
                _ => {}
            }
        }
        (fetched.uid != 0).then_some(fetched)
    }
}

enum Value {
    Atom(String),
    /// Bytes that are no UTF-8, and control characters, have been replaced. A header has line
    /// ends, which can't be quoted: it comes as a literal, byte by byte.
    Quoted(Vec<u8>),
    Literal(Literal),
    Nil,
    List,
}

impl Value {
    fn into_text(self) -> FetchedText {
        let bytes = match self {
            Value::Literal(literal) => {
                return FetchedText {
                    len: literal.len,
                    digest: literal.digest,
                    head: literal.head,
                };
            }
            Value::Quoted(bytes) => bytes,
            Value::Atom(text) => text.into_bytes(),
            Value::Nil | Value::List => Vec::new(),
        };
        FetchedText {
            len: bytes.len() as u64,
            digest: *blake3::hash(&bytes).as_bytes(),
            head: bytes,
        }
    }
}

/// The pairs of name and value between the parentheses.
struct Items<'t> {
    text: &'t str,
    literals: std::vec::IntoIter<Literal>,
}

impl<'t> Items<'t> {
    /// The next name, with its section in brackets and without its `<origin>`.
    fn name(&mut self) -> Option<&'t str> {
        self.text = self.text.trim_start();
        let mut depth = 0_u32;
        let mut in_quotes = false;
        let end = self.text.find(|char| {
            match char {
                '"' => in_quotes = !in_quotes,
                '[' if !in_quotes => depth += 1,
                ']' if !in_quotes => depth = depth.saturating_sub(1),
                ' ' | ')' if !in_quotes && depth == 0 => return true,
                _ => {}
            }
            false
        })?;
        let (name, rest) = self.text.split_at(end);
        self.text = rest;
        let name = name.split('<').next().unwrap_or(name);
        (!name.is_empty()).then_some(name)
    }

    fn value(&mut self) -> Option<Value> {
        self.text = self.text.trim_start();
        match self.text.chars().next()? {
            '"' => self.quoted().map(Value::Quoted),
            '(' => self.list().then_some(Value::List),
            '{' | '~' => {
                let end = self.text.find('}')?;
                self.text = &self.text[end + 1..];
                self.literals.next().map(Value::Literal)
            }
            _ => {
                let end = self.text.find([' ', ')']).unwrap_or(self.text.len());
                let (atom, rest) = self.text.split_at(end);
                self.text = rest;
                Some(if atom.eq_ignore_ascii_case("NIL") {
                    Value::Nil
                } else {
                    Value::Atom(atom.to_owned())
                })
            }
        }
    }

    fn quoted(&mut self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut chars = self.text.char_indices().skip(1);
        while let Some((at, char)) = chars.next() {
            let char = match char {
                '"' => {
                    self.text = &self.text[at + 1..];
                    return Some(bytes);
                }
                '\\' => chars.next()?.1,
                other => other,
            };
            bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        }
        None
    }

    /// Passes over a list; whether it has an end. Literals in it are passed over, too.
    fn list(&mut self) -> bool {
        let mut depth = 0_u32;
        while let Some(char) = self.text.chars().next() {
            match char {
                '"' => {
                    if self.quoted().is_none() {
                        return false;
                    }
                    continue;
                }
                '{' => drop(self.literals.next()),
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.text = &self.text[char.len_utf8()..];
            if depth == 0 {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn literal(bytes: &[u8]) -> Literal {
        Literal {
            len: bytes.len() as u64,
            digest: *blake3::hash(bytes).as_bytes(),
            head: bytes.to_vec(),
        }
    }

    fn parse(text: &str, literals: &[&[u8]]) -> Option<Fetched> {
        Fetched::parse(Data {
            text: text.to_owned(),
            literals: literals.iter().map(|bytes| literal(bytes)).collect(),
        })
    }

    #[test]
    fn what_servers_say() {
        let fetched = parse(
            "7 FETCH (FLAGS (\\Seen $X) UID 5 RFC822.SIZE 123 BODY[HEADER.FIELDS (MESSAGE-ID \"DATE\")] {3})",
            &[b"A:b"],
        );
        let expected = Fetched {
            uid: 5,
            size: Some(123),
            header: Some(b"A:b".to_vec()),
            text: None,
        };
        assert_eq!(fetched, Some(expected));
        let fetched = parse(
            "7 fetch (BODY[]<0> {5} X-GM-LABELS (\"a)b\" {2} (x)) uid 6 ENVELOPE NIL)",
            &[b"hello", b"zz"],
        )
        .unwrap();
        assert_eq!((fetched.uid, fetched.size), (6, None));
        assert_eq!(
            fetched.text.unwrap().digest,
            *blake3::hash(b"hello").as_bytes()
        );
        let fetched = parse(
            "1 FETCH (UID 9 BODY[HEADER.FIELDS (X)] \"a\\\"b\" BODY[] NIL)",
            &[],
        );
        let fetched = fetched.unwrap();
        assert_eq!(fetched.header.as_deref(), Some(&b"a\"b"[..]));
        assert_eq!(fetched.text.unwrap().len, 0);
    }

    #[test]
    fn what_is_no_fetch() {
        for text in [
            "7 EXISTS",
            "FETCH (UID 5)",
            "7 FETCH (FLAGS ())",
            "7 FETCH (UID 0)",
            "7 FETCH (UID +5)",
            "7 FETCH (UID 99999999999)",
            "7 FETCH (UID 5 BODY[] {5})",
            "7 FETCH (UID 5 X \"open)",
        ] {
            assert_eq!(parse(text, &[]), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn hostile_text(text in "7 FETCH \\(([A-Z0-9 \\[\\](){}~\"\\\\<>.ü]|UID 5|BODY\\[\\]){0,40}") {
            let _ = parse(&text, &[b"x"]);
        }
    }
}
