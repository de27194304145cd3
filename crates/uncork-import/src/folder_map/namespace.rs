//! What folders a server has, and under what beginning the user's own are.

use std::collections::HashMap;

use super::composed::composed;
use super::listing::{Listed, Namespace, Presence, parse_list, parse_namespaces};
use super::mailbox::{MailboxEncoding, quoted};
use super::special_use::SpecialUse;

/// Most bytes that names are remembered with. A folder that is left out is asked for again when
/// it is made, so that a server gains nothing by more.
const NAMES_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a remembered name costs beside its bytes, about.
const NAME_COST_BYTES: usize = 128;

/// The commands that ask for everything [`ServerFolders`] is made of, to be sent at once, with
/// what `has` says of the server's capabilities.
pub(crate) fn listing_commands(has: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let mut commands = Vec::new();
    if has("NAMESPACE") || has("IMAP4REV2") {
        commands.push("NAMESPACE");
    }
    // The delimiter, where there is no folder yet (RFC 9051, section 6.3.9).
    commands.push(r#"LIST "" """#);
    let extended = has("SPECIAL-USE") && has("LIST-EXTENDED");
    commands.push(if extended || has("IMAP4REV2") {
        r#"LIST "" "*" RETURN (SPECIAL-USE)"#
    } else if has("XLIST") && !has("SPECIAL-USE") {
        r#"XLIST "" "*""#
    } else {
        r#"LIST "" "*""#
    });
    commands
}

/// The folders of a server.
#[derive(Debug, Default)]
pub(crate) struct ServerFolders {
    encoding: MailboxEncoding,
    delimiter: Option<char>,
    /// What the user's own folders begin with: empty, or `INBOX.`, decoded.
    prefix: String,
    /// What those of others begin with, decoded.
    foreign: Vec<String>,
    special: HashMap<SpecialUse, String>,
    /// By their decoded names; INBOX in capitals.
    names: HashMap<String, Known>,
    names_bytes: usize,
}

/// A folder that the server has told of.
#[derive(Debug)]
pub(crate) struct Known {
    /// As the server spells it, quoted.
    pub(crate) wire: String,
    pub(crate) presence: Presence,
}

impl ServerFolders {
    pub(crate) fn new(encoding: MailboxEncoding) -> Self {
        Self {
            encoding,
            ..Self::default()
        }
    }

    /// Takes what an untagged response says of folders; any other is left alone. `literals`
    /// stand where `text` has `{n}`.
    pub(crate) fn absorb(&mut self, text: &str, literals: &[Vec<u8>]) {
        if let Some(listed) = parse_list(text, literals) {
            self.absorb_listed(&listed);
        } else if let Some(namespaces) = parse_namespaces(text, literals) {
            if let Some(own) = namespaces.personal.into_iter().next() {
                self.prefix = self.decode(&own.prefix);
                self.delimiter = own.delimiter.or(self.delimiter);
            }
            let prefix_of = |space: Namespace| self.decode(&space.prefix);
            let foreign = namespaces.foreign.into_iter().map(prefix_of);
            self.foreign = foreign.filter(|prefix| !prefix.is_empty()).collect();
        }
    }

    fn absorb_listed(&mut self, listed: &Listed) {
        if self.delimiter.is_none() {
            self.delimiter = listed.delimiter;
        }
        // Without a name it tells the delimiter only. U+FFFD stands for bytes that were no text,
        // so that the folder can't be named.
        if listed.name.is_empty() || listed.name.contains('\u{fffd}') {
            return;
        }
        let name = if listed.is_inbox || listed.name.eq_ignore_ascii_case(INBOX) {
            INBOX.to_owned()
        } else {
            self.decode(&listed.name)
        };
        let cost = name.len() + listed.name.len() + NAME_COST_BYTES;
        if listed.presence == Presence::Missing || self.names_bytes + cost > NAMES_BYTES_MAX {
            return;
        }
        self.names_bytes += cost;
        if let (Some(special), Presence::Exists) = (listed.special, listed.presence) {
            self.special.entry(special).or_insert_with(|| name.clone());
        }
        let known = Known {
            wire: quoted(&listed.name),
            presence: listed.presence,
        };
        self.names.insert(name, known);
    }

    /// A name as a person reads it, composed. What is misspelled, or would put control characters onto a
    /// terminal, stays as the server has it.
    fn decode(&self, spelled: &str) -> String {
        match self.encoding.decode(spelled) {
            Some(name) if !name.contains(char::is_control) => composed(&name).into_owned(),
            _ => spelled.to_owned(),
        }
    }

    pub(crate) fn encoding(&self) -> MailboxEncoding {
        self.encoding
    }

    pub(crate) fn delimiter(&self) -> Option<char> {
        self.delimiter
    }

    pub(crate) fn known(&self, name: &str) -> Option<&Known> {
        self.names.get(name)
    }

    /// The server's folder for a use.
    pub(crate) fn special(&self, special: SpecialUse) -> Option<&str> {
        self.special.get(&special).map(String::as_str)
    }

    /// The name of a folder of the user's own at the top level.
    pub(crate) fn own(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Whether a name begins where the user's own folders do, or others'.
    pub(crate) fn has_prefix(&self, name: &str) -> bool {
        name.starts_with(&self.prefix) || self.foreign.iter().any(|prefix| name.starts_with(prefix))
    }
}

/// The one name that every server has, in any case (RFC 9051, section 5.1).
pub(crate) const INBOX: &str = "INBOX";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands() {
        for (capabilities, expected) in [
            ("IMAP4REV1", &[r#"LIST "" """#, r#"LIST "" "*""#][..]),
            (
                "NAMESPACE LIST-EXTENDED SPECIAL-USE",
                &[
                    "NAMESPACE",
                    r#"LIST "" """#,
                    r#"LIST "" "*" RETURN (SPECIAL-USE)"#,
                ],
            ),
            // Without LIST-EXTENDED there is no RETURN; the attributes come all the same.
            ("SPECIAL-USE XLIST", &[r#"LIST "" """#, r#"LIST "" "*""#]),
            ("XLIST", &[r#"LIST "" """#, r#"XLIST "" "*""#]),
            (
                "IMAP4REV2",
                &[
                    "NAMESPACE",
                    r#"LIST "" """#,
                    r#"LIST "" "*" RETURN (SPECIAL-USE)"#,
                ],
            ),
        ] {
            let has = |word: &str| capabilities.split(' ').any(|known| known == word);
            assert_eq!(listing_commands(has), expected, "{capabilities}");
        }
    }

    fn folders(lines: &[&str]) -> ServerFolders {
        let mut folders = ServerFolders::default();
        for line in lines {
            folders.absorb(line, &[]);
        }
        folders
    }

    #[test]
    fn a_server_says_what_it_has() {
        let courier = folders(&[
            r##"NAMESPACE (("INBOX." ".")) NIL (("#shared." ".")("shared." "."))"##,
            r#"LIST (\Noselect) "." """#,
            r#"LIST (\HasNoChildren) "." "INBOX.Entw&APw-rfe""#,
            r#"LIST (\Noselect \HasChildren) "." "INBOX.a""#,
            r#"LIST (\NonExistent) "." "INBOX.b""#,
            r#"LIST (\HasNoChildren \Sent) "." "INBOX.Sent""#,
            r#"LIST (\Sent) "." "INBOX.Sent2""#,
            r#"LIST (\Drafts \Noselect) "." "INBOX.Drafts""#,
            "LIST () \".\" \"INBOX.\u{fffd}\"",
            r#"LIST () "." "inbox""#,
            "3 EXISTS",
        ]);
        assert_eq!(courier.delimiter(), Some('.'));
        assert_eq!(courier.own("A"), "INBOX.A");
        for (name, expected) in [
            ("INBOX.A", true),
            ("shared.A", true),
            ("#shared.A", true),
            ("A", false),
        ] {
            assert_eq!(courier.has_prefix(name), expected, "{name}");
        }
        assert_eq!(courier.special(SpecialUse::Sent), Some("INBOX.Sent"));
        assert_eq!(courier.special(SpecialUse::Drafts), None);
        let known = |name| {
            let known = courier.known(name)?;
            Some((known.wire.as_str(), known.presence))
        };
        let exists = |wire| Some((wire, Presence::Exists));
        assert_eq!(known("INBOX.Entwürfe"), exists(r#""INBOX.Entw&APw-rfe""#));
        assert_eq!(known("INBOX"), exists(r#""inbox""#));
        assert_eq!(known("INBOX.a"), Some((r#""INBOX.a""#, Presence::Noselect)));
        assert_eq!(known("INBOX.b"), None);
        assert_eq!(known(""), None);
        assert_eq!(courier.names.len(), 6);
    }

    #[test]
    fn names_that_do_not_decode_stay_as_they_are() {
        let server = folders(&[
            r#"LIST () "/" "A&B""#,
            "LIST () \"/\" \"ü\"",
            // ESC, which would reach a terminal.
            r#"LIST () "/" "&ABs-""#,
        ]);
        for name in ["A&B", "ü", "&ABs-"] {
            assert_eq!(server.known(name).unwrap().wire, quoted(name));
        }
    }

    #[test]
    fn the_delimiter() {
        for (lines, expected) in [
            (&[][..], None),
            (&["NAMESPACE NIL NIL NIL"], None),
            (&[r#"LIST (\Noselect) "/" """#], Some('/')),
            (&["LIST () NIL INBOX", r#"LIST () "." a"#], Some('.')),
            (
                &[r#"LIST () "/" a"#, r#"NAMESPACE (("" ".")) NIL NIL"#],
                Some('.'),
            ),
            (
                &[r#"NAMESPACE (("" NIL)) NIL NIL"#, r#"LIST () "/" """#],
                Some('/'),
            ),
        ] {
            assert_eq!(folders(lines).delimiter(), expected, "{lines:?}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut server = ServerFolders::default();
        let long = "x".repeat(60 * 1024);
        for number in 0..300 {
            server.absorb(&format!(r#"LIST () "/" "{number}{long}""#), &[]);
        }
        assert!(server.names.len() > 100);
        assert!(server.names_bytes <= NAMES_BYTES_MAX);
    }
}
