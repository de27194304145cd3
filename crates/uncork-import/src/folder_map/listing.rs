//! What a server says of its folders: LIST (RFC 9051, section 7.3.1, with the extensions of
//! RFC 5258 and RFC 6154), XLIST, which Gmail had before, and NAMESPACE (RFC 2342).

use std::borrow::Cow;
use std::slice;

use super::special_use::SpecialUse;
use crate::imap::response::{number, strip_word};

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// As the server spells it: still encoded, no longer quoted.
    pub(crate) name: String,
    /// What stands between levels; `None` where there are none.
    pub(crate) delimiter: Option<char>,
    pub(crate) presence: Presence,
    pub(crate) special: Option<SpecialUse>,
    /// Whether this is INBOX under another name, which XLIST translates.
    pub(crate) is_inbox: bool,
}

/// Whether a folder is there for mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Exists,
    /// `\Noselect`: a name with folders beneath, which takes no mail itself. Dovecot makes a
    /// folder of it at a CREATE, Gmail (`[Gmail]`) never does.
    Noselect,
    Missing,
}

/// Where names of folders begin (RFC 2342).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Namespaces {
    /// The user's own.
    pub(crate) personal: Vec<Namespace>,
    /// Other users' and shared ones.
    pub(crate) foreign: Vec<Namespace>,
}

/// One beginning of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Namespace {
    /// As the server spells it, with the delimiter at its end.
    pub(crate) prefix: String,
    pub(crate) delimiter: Option<char>,
}

/// Reads an untagged `LIST` or `XLIST`; `None` for anything else, and for names that can't be
/// repeated to the server. `literals` stand where `text` has `{n}`.
pub(crate) fn parse_list(text: &str, literals: &[Vec<u8>]) -> Option<Listed> {
    let rest = strip_word(text, "LIST").or_else(|| strip_word(text, "XLIST"))?;
    let mut words = Words::new(rest, literals);
    let attributes = words.attributes()?;
    let mut listed = Listed {
        delimiter: words.delimiter()?,
        // Whatever else follows (RFC 5258's CHILDINFO, OLDNAME) is of no use here.
        name: words.string()?.into_owned(),
        presence: Presence::Exists,
        special: None,
        is_inbox: false,
    };
    for attribute in attributes.split_ascii_whitespace() {
        if attribute.eq_ignore_ascii_case("\\NonExistent") {
            listed.presence = Presence::Missing;
        } else if attribute.eq_ignore_ascii_case("\\Noselect") {
            // RFC 5258, section 3: \NonExistent says more.
            if listed.presence == Presence::Exists {
                listed.presence = Presence::Noselect;
            }
        } else if attribute.eq_ignore_ascii_case("\\Inbox") {
            listed.is_inbox = true;
        } else if listed.special.is_none() {
            listed.special = SpecialUse::of_attribute(attribute);
        }
    }
    Some(listed)
}

/// Reads an untagged `NAMESPACE`; `None` for anything else.
pub(crate) fn parse_namespaces(text: &str, literals: &[Vec<u8>]) -> Option<Namespaces> {
    let mut words = Words::new(strip_word(text, "NAMESPACE")?, literals);
    let personal = words.namespaces()?;
    let mut foreign = words.namespaces()?;
    foreign.extend(words.namespaces()?);
    Some(Namespaces { personal, foreign })
}

/// Reads a response from its left to its right.
struct Words<'r> {
    rest: &'r str,
    literals: slice::Iter<'r, Vec<u8>>,
}

impl<'r> Words<'r> {
    fn new(rest: &'r str, literals: &'r [Vec<u8>]) -> Self {
        Self {
            rest,
            literals: literals.iter(),
        }
    }

    /// Whether this character comes next, which is then taken.
    fn eat(&mut self, char: char) -> bool {
        self.rest = self.rest.trim_start_matches(' ');
        match self.rest.strip_prefix(char) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// What stands between parentheses.
    fn attributes(&mut self) -> Option<&'r str> {
        if !self.eat('(') {
            return None;
        }
        let (attributes, rest) = self.rest.split_once(')')?;
        self.rest = rest;
        Some(attributes)
    }

    /// A character in quotes, or NIL.
    fn delimiter(&mut self) -> Option<Option<char>> {
        let word = self.string()?;
        if word.eq_ignore_ascii_case("NIL") {
            return Some(None);
        }
        let mut chars = word.chars();
        let delimiter = chars.next()?;
        chars.next().is_none().then_some(Some(delimiter))
    }

    /// An atom, a quoted string or a literal, without control characters.
    fn string(&mut self) -> Option<Cow<'r, str>> {
        if self.eat('"') {
            return self.quoted();
        }
        let end = self.rest.find([' ', '(', ')', '"']);
        let (atom, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        let len = atom
            .strip_prefix('{')
            .and_then(|atom| atom.strip_suffix('}'));
        let Some(len) = len else {
            return (!atom.is_empty()).then_some(Cow::Borrowed(atom));
        };
        let literal = self.literals.next()?;
        if number(len) != Some(literal.len()) {
            return None;
        }
        let text = std::str::from_utf8(literal).ok()?;
        (!text.contains(char::is_control)).then_some(Cow::Borrowed(text))
    }

    /// The rest of a quoted string.
    fn quoted(&mut self) -> Option<Cow<'r, str>> {
        let end = self.rest.find(['"', '\\'])?;
        if self.rest[end..].starts_with('"') {
            let text = &self.rest[..end];
            self.rest = &self.rest[end + 1..];
            return Some(Cow::Borrowed(text));
        }
        let mut text = String::new();
        let mut chars = self.rest.chars();
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => text.push(chars.next()?),
                char => text.push(char),
            }
        }
        self.rest = chars.as_str();
        Some(Cow::Owned(text))
    }

    /// One of the three parts of NAMESPACE: NIL, or a list of pairs.
    fn namespaces(&mut self) -> Option<Vec<Namespace>> {
        let mut namespaces = Vec::new();
        if !self.eat('(') {
            let nil = self.string()?.eq_ignore_ascii_case("NIL");
            return nil.then_some(namespaces);
        }
        while !self.eat(')') {
            if !self.eat('(') {
                return None;
            }
            namespaces.push(Namespace {
                prefix: self.string()?.into_owned(),
                delimiter: self.delimiter()?,
            });
            self.skip_to_close()?;
        }
        Some(namespaces)
    }

    /// Leaves out the extensions of a namespace, and its closing parenthesis.
    fn skip_to_close(&mut self) -> Option<()> {
        let mut open = 1_usize;
        while open > 0 {
            if self.eat('(') {
                open += 1;
            } else if self.eat(')') {
                open -= 1;
            } else {
                self.string()?;
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn listed(name: &str, delimiter: Option<char>) -> Listed {
        Listed {
            name: name.to_owned(),
            delimiter,
            presence: Presence::Exists,
            special: None,
            is_inbox: false,
        }
    }

    #[track_caller]
    fn check(text: &str, expected: Option<&Listed>) {
        assert_eq!(parse_list(text, &[]).as_ref(), expected, "{text}");
    }

    #[test]
    fn listings() {
        let sent = Listed {
            special: Some(SpecialUse::Sent),
            ..listed("Sent Items", Some('/'))
        };
        check(
            r#"LIST (\HasNoChildren \Sent) "/" "Sent Items""#,
            Some(&sent),
        );
        check("LIST () \".\" INBOX", Some(&listed("INBOX", Some('.'))));
        check("list () NIL INBOX", Some(&listed("INBOX", None)));
        check(
            r#"LIST () "\\" "a\"b\\c""#,
            Some(&listed(r#"a"b\c"#, Some('\\'))),
        );
        check(
            r#"LIST () "/" "a (b) {3}""#,
            Some(&listed("a (b) {3}", Some('/'))),
        );
        check(
            r#"LIST () "/" foo ("CHILDINFO" ("SUBSCRIBED"))"#,
            Some(&listed("foo", Some('/'))),
        );
        check(r#"LIST () "/" """#, Some(&listed("", Some('/'))));
        let with = |presence| Listed {
            presence,
            ..listed("a", Some('/'))
        };
        check(r#"LIST (\NOSELECT) "/" a"#, Some(&with(Presence::Noselect)));
        check(
            r#"LIST (\NonExistent \Noselect) "/" a"#,
            Some(&with(Presence::Missing)),
        );
        let inbox = Listed {
            is_inbox: true,
            ..listed("Posteingang", Some('/'))
        };
        check(
            r#"XLIST (\HasNoChildren \Inbox) "/" "Posteingang""#,
            Some(&inbox),
        );
    }

    #[test]
    fn no_listings() {
        for text in [
            "",
            "LIST",
            "LIST ",
            "LIST (",
            "LIST ()",
            r#"LIST () "/""#,
            r#"LIST () "//" a"#,
            r#"LIST () "" a"#,
            r#"LIST () "/" "a"#,
            r#"LIST () "/" "a\"#,
            r#"LIST () "/" (a)"#,
            r#"LIST () "/" {1}"#,
            "LSUB () \"/\" a",
            "3 EXISTS",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn literals() {
        let list = |text: &str, literal: &[u8]| parse_list(text, &[literal.to_vec()]);
        assert_eq!(
            list(r#"LIST () "/" {4}"#, b"a\"b "),
            Some(listed("a\"b ", Some('/')))
        );
        assert_eq!(
            list(r#"LIST () "/" {1} ("OLDNAME" ("b"))"#, b"a"),
            Some(listed("a", Some('/')))
        );
        assert_eq!(list(r#"LIST () "/" {2}"#, b"a"), None, "cut");
        assert_eq!(list(r#"LIST () "/" {x}"#, b"a"), None, "no length");
        assert_eq!(list(r#"LIST () "/" {3}"#, b"a\r\n"), None, "a line end");
        assert_eq!(list(r#"LIST () "/" {1}"#, b"\xff"), None, "no text");
    }

    #[test]
    fn namespaces() {
        let one = |prefix: &str, delimiter| {
            vec![Namespace {
                prefix: prefix.to_owned(),
                delimiter,
            }]
        };
        for (text, expected) in [
            (
                r#"NAMESPACE (("INBOX." ".")) NIL NIL"#,
                Some((one("INBOX.", Some('.')), vec![])),
            ),
            (
                r#"namespace (("" "/")) (("~" "/")) nil"#,
                Some((one("", Some('/')), one("~", Some('/')))),
            ),
            (
                r#"NAMESPACE (("" "/" "X-PARAM" ("FLAG1" (")"))))NIL(("Public/" NIL))"#,
                Some((one("", Some('/')), one("Public/", None))),
            ),
            ("NAMESPACE NIL NIL NIL", Some((vec![], vec![]))),
            ("NAMESPACE NIL NIL", None),
            ("NAMESPACE NO NIL NIL", None),
            (r#"NAMESPACE ((("" "/")) NIL NIL"#, None),
            (r#"NAMESPACE (("" "/" NIL NIL"#, None),
            ("NAMESPACE (", None),
        ] {
            let expected = expected.map(|(personal, foreign)| Namespaces { personal, foreign });
            assert_eq!(parse_namespaces(text, &[]), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_name_comes_back(name in "[ -~ü]{1,30}", in_literal: bool) {
            let (spelled, literals) = if in_literal {
                (format!("{{{}}}", name.len()), vec![name.clone().into_bytes()])
            } else {
                (crate::folder_map::mailbox::quoted(&name), Vec::new())
            };
            let text = format!(r#"LIST (\HasNoChildren) "/" {spelled}"#);
            prop_assert_eq!(parse_list(&text, &literals), Some(listed(&name, Some('/'))));
        }

        /// Whatever a server says comes to an end, and a name holds nothing that can't be quoted.
        #[test]
        fn hostile_text(
            text in r#"(X?LIST|NAMESPACE) [()"\\{}NIL0-9a. ü]{0,40}"#,
            literals in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 0..3),
        ) {
            if let Some(listed) = parse_list(&text, &literals) {
                prop_assert!(!listed.name.contains(char::is_control));
            }
            if let Some(namespaces) = parse_namespaces(&text, &literals) {
                prop_assert!(namespaces.personal.len() + namespaces.foreign.len() <= text.len());
            }
        }
    }
}
