//! Which folder on the server a folder of the source goes to.

mod composed;
mod level;
pub(crate) mod listing;
pub(crate) mod mailbox;
pub(crate) mod namespace;
mod special_use;

use std::borrow::Cow;
use std::cmp::Reverse;

use self::composed::composed;
use self::level::{Notes, replacement, safe_level};
use self::listing::Presence;
use self::namespace::{INBOX, ServerFolders};
use self::special_use::SpecialUse;
use crate::mail::FolderPath;

/// Longest name on the wire: Dovecot takes no longer one, and the lines of commands have limits
/// not far above (RFC 7162, section 4: 8192 bytes).
const NAME_BYTES_MAX: usize = 4096;

/// A folder on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerFolder {
    /// For people: `/` between levels.
    pub(crate) name: String,
    /// As it stands in a command, quoted; the same for all that go to this folder.
    pub(crate) wire: String,
    /// Unless it exists it has to be made; where it is `\Noselect` the server may refuse that,
    /// and then it takes no mail.
    pub(crate) presence: Presence,
    /// Why its name is not the one of the source.
    pub(crate) note: Option<String>,
}

/// Why a map makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    #[error("the folder {0:?} has control characters in its name, which no server takes")]
    ControlCharacter(String),
    #[error("--map sends {0:?} to two folders: give it once")]
    Twice(String),
}

/// The decision for all folders of an import.
#[derive(Debug)]
pub(crate) struct FolderMap {
    server: ServerFolders,
    /// The folder of the URL, by its name on the server.
    base: Option<String>,
    /// The longest `from` first.
    moves: Vec<Move>,
}

/// A folder of the source that goes elsewhere, with what lies beneath.
#[derive(Debug)]
struct Move {
    /// `/` between levels; empty for the root.
    from: String,
    /// By its name on the server; `None` for the top level.
    to: Option<String>,
}

impl FolderMap {
    /// `target_folder` is the URL's; `map` is `FROM` and `TO` (see
    /// [`Options::map`](crate::Options::map)).
    pub(crate) fn new(
        target_folder: Option<&str>,
        map: &[(String, String)],
        server: ServerFolders,
    ) -> Result<Self, MapError> {
        let mut moves: Vec<Move> = Vec::with_capacity(map.len());
        for (from, to) in map {
            let from = source_name(from);
            let to = server_name(to, &server)?;
            match moves.iter().find(|other| other.from == from) {
                Some(other) if other.to != to => return Err(MapError::Twice(from)),
                Some(_) => {}
                None => moves.push(Move { from, to }),
            }
        }
        // Of the beginnings of one name the longer one has more levels.
        moves.sort_by_key(|moved| Reverse(moved.from.len()));
        let base = match target_folder {
            Some(folder) => server_name(folder, &server)?,
            None => None,
        };
        Ok(Self {
            server,
            base,
            moves,
        })
    }

    /// Where a folder of the source goes, or why nowhere. Different folders may go to one.
    ///
    /// Only INBOX is found in any case: `Old` and `old` are two folders to most servers, and
    /// those to which they are one say so when the second is made.
    pub(crate) fn resolve(&self, path: &FolderPath) -> Result<ServerFolder, String> {
        let levels: Vec<_> = path.0.iter().map(|level| composed(level)).collect();
        let moved = self
            .moves
            .iter()
            .find_map(|moved| Some((moved.to.as_deref(), beneath(&levels, &moved.from)?)));
        let (base, levels) = moved.unwrap_or((self.base.as_deref(), &levels));
        let mut notes = Notes::default();
        let levels: Vec<_> = levels
            .iter()
            .map(|level| safe_level(level, self.server.delimiter(), &mut notes))
            .collect();
        let name = match base {
            Some(base) => self.join(base, &levels, &mut notes),
            None => self.top_level(&levels, &mut notes),
        };
        self.folder(&name, &notes)
    }

    /// The name where neither URL nor map say one: at the top level, where INBOX and the names
    /// of special folders have a meaning.
    fn top_level(&self, levels: &[Cow<'_, str>], notes: &mut Notes) -> String {
        let Some((first, rest)) = levels.split_first() else {
            return INBOX.to_owned();
        };
        if first.eq_ignore_ascii_case(INBOX) {
            return self.join(INBOX, rest, notes);
        }
        match self.special(levels) {
            Some((special, rest)) => self.join(special, rest, notes),
            None => self.join(&self.server.own(first), rest, notes),
        }
    }

    /// The server's folder for the use that the first level has, and the levels beneath it;
    /// `None` where the server has one of the very same name.
    fn special<'l, 'c>(&self, levels: &'l [Cow<'c, str>]) -> Option<(&str, &'l [Cow<'c, str>])> {
        let is_gmail = levels.len() > 1 && GMAIL.contains(&levels[0].as_ref());
        let (own, rest) = levels.split_at_checked(if is_gmail { 2 } else { 1 })?;
        let special = SpecialUse::of_name(own.last()?)?;
        let same = self.join(&self.server.own(&own[0]), &own[1..], &mut Notes::default());
        let same = self.server.known(&same);
        if same.is_some_and(|known| known.presence == Presence::Exists) {
            return None;
        }
        Some((self.server.special(special)?, rest))
    }

    fn join(&self, base: &str, levels: &[Cow<'_, str>], notes: &mut Notes) -> String {
        let mut name = base.to_owned();
        for level in levels {
            match self.server.delimiter() {
                Some(delimiter) => name.push(delimiter),
                None => {
                    notes.add("the server has no folders within folders");
                    name.push_str(replacement(None));
                }
            }
            name.push_str(level);
        }
        name
    }

    fn folder(&self, name: &str, notes: &Notes) -> Result<ServerFolder, String> {
        let (wire, presence) = match self.server.known(name) {
            Some(known) => (known.wire.clone(), known.presence),
            None => {
                let wire = self.server.encoding().quote(name);
                let wire = wire.ok_or("its name on the server would have a line end in it")?;
                // RFC 9051, section 5.1: INBOX is always there.
                match name {
                    INBOX => (wire, Presence::Exists),
                    _ => (wire, Presence::Missing),
                }
            }
        };
        if wire.len() > NAME_BYTES_MAX {
            return Err(format!(
                "its name on the server would have {} bytes, and servers take {NAME_BYTES_MAX} \
                 at most: give it another folder with --map",
                wire.len()
            ));
        }
        Ok(ServerFolder {
            name: match self.server.delimiter() {
                Some(delimiter) => name.replace(delimiter, "/"),
                None => name.to_owned(),
            },
            wire,
            presence,
            note: notes.text(),
        })
    }
}

/// How Gmail calls the folder that its own ones lie beneath, which holds no mail.
const GMAIL: [&str; 2] = ["[Gmail]", "[Google Mail]"];

/// `FROM` of a map: `/` between levels, empty for the root.
fn source_name(from: &str) -> String {
    match from.trim_matches('/') {
        "." => String::new(),
        from => composed(from).into_owned(),
    }
}

/// The levels beneath `from`; `None` where it is no beginning of them. A level may have a `/`
/// in its name.
fn beneath<'l, 'n>(levels: &'l [Cow<'n, str>], from: &str) -> Option<&'l [Cow<'n, str>]> {
    let mut rest = from;
    let mut levels = levels;
    while !rest.is_empty() {
        let (level, deeper) = levels.split_first()?;
        let (start, after) = rest.split_at_checked(level.len())?;
        let is_inbox = rest.len() == from.len()
            && level.eq_ignore_ascii_case(INBOX)
            && start.eq_ignore_ascii_case(INBOX);
        if start != level && !is_inbox {
            return None;
        }
        rest = match after {
            "" => "",
            after => after.strip_prefix('/').filter(|rest| !rest.is_empty())?,
        };
        levels = deeper;
    }
    Some(levels)
}

/// A name that the user gave, as the server has it: with its delimiter (where they did not write
/// that themselves) and beneath the prefix of their folders (likewise). `None` for the top level.
fn server_name(given: &str, server: &ServerFolders) -> Result<Option<String>, MapError> {
    if given.contains(char::is_control) {
        return Err(MapError::ControlCharacter(given.to_owned()));
    }
    let given = composed(given.trim_matches('/'));
    if given.is_empty() || given == "." {
        return Ok(None);
    }
    if server.known(&given).is_some() {
        return Ok(Some(given.into_owned()));
    }
    let mut name = match server.delimiter() {
        Some(delimiter) => {
            let levels: Vec<_> = given.split('/').filter(|level| !level.is_empty()).collect();
            levels.join(delimiter.encode_utf8(&mut [0; 4]))
        }
        None => given.into_owned(),
    };
    let first = name.split(|char| Some(char) == server.delimiter()).next();
    if first.is_some_and(|first| first.eq_ignore_ascii_case(INBOX)) {
        name.replace_range(..INBOX.len(), INBOX);
    } else if !server.has_prefix(&name) {
        name = server.own(&name);
    }
    Ok(Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DOVECOT: &[&str] = &[
        r#"NAMESPACE (("" "/")) NIL NIL"#,
        r#"LIST (\HasNoChildren) "/" INBOX"#,
        r#"LIST (\HasNoChildren \Sent) "/" "Sent Items""#,
        r#"LIST (\HasNoChildren \Drafts) "/" Entw&APw-rfe"#,
        r#"LIST (\HasNoChildren \Trash) "/" Trash"#,
        r#"LIST () "/" Papierkorb"#,
        r#"LIST (\Noselect) "/" Old"#,
    ];
    const COURIER: &[&str] = &[
        r##"NAMESPACE (("INBOX." ".")) NIL (("#shared." ".")("shared." "."))"##,
        r#"LIST () "." INBOX"#,
        r#"LIST () "." INBOX.Sent"#,
    ];
    const GMAIL_SERVER: &[&str] = &[
        r#"NAMESPACE (("" "/")) NIL NIL"#,
        r#"LIST (\Noselect) "/" "[Gmail]""#,
        r#"LIST (\Sent) "/" "[Gmail]/Gesendet""#,
        r#"LIST (\Trash) "/" "[Gmail]/Trash""#,
        r#"LIST (\Noselect \Drafts) "/" "Drafts""#,
    ];
    const FLAT: &[&str] = &["LIST () NIL INBOX"];

    fn server(lines: &[&str]) -> ServerFolders {
        let mut server = ServerFolders::default();
        for line in lines {
            server.absorb(line, &[]);
        }
        server
    }

    fn map(lines: &[&str], target: Option<&str>, moves: &[(&str, &str)]) -> FolderMap {
        let moves: Vec<_> = moves
            .iter()
            .map(|(from, to)| ((*from).to_owned(), (*to).to_owned()))
            .collect();
        FolderMap::new(target, &moves, server(lines)).unwrap()
    }

    fn path(levels: &[&str]) -> FolderPath {
        FolderPath(levels.iter().map(|level| (*level).to_owned()).collect())
    }

    /// By the quoted name, which says most.
    #[track_caller]
    fn check(map: &FolderMap, levels: &[&str], expected: &str) {
        let folder = map.resolve(&path(levels)).unwrap();
        assert_eq!(folder.wire, format!("\"{expected}\""), "{levels:?}");
    }

    #[test]
    fn without_a_folder_in_the_url() {
        let dovecot = map(DOVECOT, None, &[]);
        for (levels, expected) in [
            (&[][..], "INBOX"),
            (&["Inbox"], "INBOX"),
            (&["inbox", "Sent"], "INBOX/Sent"),
            (&["A", "B"], "A/B"),
            (&["A.B", "ü"], "A.B/&APw-"),
            (&["u\u{308}"], "&APw-"),
            (&["Entwu\u{308}rfe"], "Entw&APw-rfe"),
            // By its use, with what is beneath.
            (&["Sent"], "Sent Items"),
            (&["Gesendete Objekte", "2004"], "Sent Items/2004"),
            (&["[Gmail]", "Sent Mail"], "Sent Items"),
            (&["Drafts"], "Entw&APw-rfe"),
            // It is there by its own name.
            (&["Papierkorb"], "Papierkorb"),
            (&["Papierkorb", "2004"], "Papierkorb/2004"),
            (&["[Gmail]", "Bin", "x"], "Trash/x"),
            (&["[Gmail]"], "[Gmail]"),
            (&["Corbeille"], "Trash"),
            // The server has no folder for it.
            (&["Spam"], "Spam"),
            // Not at the top level.
            (&["A", "Sent"], "A/Sent"),
            (&["Inbox", "Inbox"], "INBOX/Inbox"),
        ] {
            check(&dovecot, levels, expected);
        }
        let courier = map(COURIER, None, &[]);
        for (levels, expected) in [
            (&[][..], "INBOX"),
            (&["INBOX"], "INBOX"),
            (&["INBOX", "A"], "INBOX.A"),
            (&["A", "B"], "INBOX.A.B"),
            (&["A.B", "C/D"], "INBOX.A_B.C/D"),
        ] {
            check(&courier, levels, expected);
        }
        let gmail = map(GMAIL_SERVER, None, &[]);
        check(&gmail, &["Sent"], "[Gmail]/Gesendet");
        check(&gmail, &["[Gmail]", "Sent Mail"], "[Gmail]/Gesendet");
        check(&gmail, &["[Google Mail]", "Bin"], "[Gmail]/Trash");
        check(&gmail, &["[Gmail]", "Drafts"], "[Gmail]/Drafts");
        check(&map(FLAT, None, &[]), &["A", "B/C"], "A_B/C");
        check(&map(&[], None, &[]), &["A"], "A");
    }

    #[test]
    fn with_a_folder_in_the_url() {
        let dovecot = map(DOVECOT, Some("Old/2004/"), &[]);
        check(&dovecot, &[], "Old/2004");
        check(&dovecot, &["INBOX"], "Old/2004/INBOX");
        check(&dovecot, &["Sent"], "Old/2004/Sent");
        check(&map(DOVECOT, Some("inbox"), &[]), &[], "INBOX");
        check(&map(DOVECOT, Some("Entwürfe"), &[]), &[], "Entw&APw-rfe");
        for (folder, expected) in [
            ("Old/2004", "INBOX.Old.2004.A"),
            ("Old.2004", "INBOX.Old.2004.A"),
            ("INBOX.Old", "INBOX.Old.A"),
            ("inbox/Old", "INBOX.Old.A"),
            ("INBOX", "INBOX.A"),
            ("INBOXES", "INBOX.INBOXES.A"),
            ("shared.team", "shared.team.A"),
            ("#shared/team", "#shared.team.A"),
            ("a//b", "INBOX.a.b.A"),
            ("", "INBOX.A"),
        ] {
            check(&map(COURIER, Some(folder), &[]), &["A"], expected);
        }
        check(&map(FLAT, Some("a/b"), &[]), &["A"], "a/b_A");
    }

    #[test]
    fn maps() {
        let moves = [
            ("A", "X/Y"),
            ("A/B/", "Sent"),
            ("a/b", "slash"),
            ("INBOX/Lists", "Lists"),
            ("Up", ""),
            ("AA", "/"),
        ];
        let dovecot = map(DOVECOT, Some("Base"), &moves);
        for (levels, expected) in [
            (&[][..], "Base"),
            (&["A"], "X/Y"),
            (&["A", "C"], "X/Y/C"),
            (&["AB"], "Base/AB"),
            // The longest wins, is taken as it is, and is not mapped again.
            (&["A", "B", "A"], "Sent/A"),
            (&["a/b", "c"], "slash/c"),
            (&["Inbox", "Lists", "x"], "Lists/x"),
            (&["Inbox"], "Base/Inbox"),
            // To the top level, with what names mean there.
            (&["Up"], "INBOX"),
            (&["Up", "Sent"], "Sent Items"),
            (&["AA", "A"], "A"),
        ] {
            check(&dovecot, levels, expected);
        }
        for root in ["", ".", "/"] {
            let all = map(COURIER, None, &[(root, "All"), ("Sent", "Sent")]);
            check(&all, &[], "INBOX.All");
            check(&all, &["INBOX"], "INBOX.All.INBOX");
            check(&all, &["Sent", "x"], "INBOX.Sent.x");
        }
    }

    #[test]
    fn maps_that_make_no_sense() {
        let error = |target: Option<&str>, moves: &[(&str, &str)]| {
            let moves: Vec<_> = moves
                .iter()
                .map(|(from, to)| ((*from).to_owned(), (*to).to_owned()))
                .collect();
            FolderMap::new(target, &moves, server(DOVECOT))
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        for (target, moves, expected) in [
            (None, &[("A", "B"), ("A/", "C")][..], "\"A\" to two folders"),
            (None, &[("A", "B\r\n")], r#""B\r\n" has control"#),
            (Some("\u{1b}[m"), &[], r#""\u{1b}[m" has control"#),
        ] {
            let text = error(target, moves).unwrap_err();
            assert!(text.contains(expected), "{text}");
        }
        assert_eq!(error(None, &[("A", "B"), ("A/", "B/")]), Ok(()));
    }

    #[test]
    fn what_is_said_of_a_folder() {
        let courier = map(COURIER, None, &[]);
        let folder = courier.resolve(&path(&["A.B", "C"])).unwrap();
        assert_eq!(folder.name, "INBOX/A_B/C");
        assert_eq!(folder.presence, Presence::Missing);
        assert!(folder.note.unwrap().contains("separates levels"));
        let folder = courier.resolve(&path(&["Sent"])).unwrap();
        assert_eq!((folder.presence, folder.note), (Presence::Exists, None));
        let flat = map(&[], None, &[]);
        let folder = flat.resolve(&path(&["A", "B"])).unwrap();
        assert!(folder.note.unwrap().contains("folders within folders"));
        let inbox = flat.resolve(&path(&[])).unwrap();
        assert_eq!(inbox.presence, Presence::Exists);
        let old = map(DOVECOT, Some("Old"), &[]).resolve(&path(&[])).unwrap();
        assert_eq!(old.presence, Presence::Noselect);
        // In quotes, `_` between the levels.
        let deep = flat.resolve(&path(&["x"; NAME_BYTES_MAX / 2])).unwrap_err();
        assert!(deep.contains("would have 4097 bytes"), "{deep}");
        let fits = ["x"; NAME_BYTES_MAX / 2 - 1];
        assert!(flat.resolve(&path(&fits)).is_ok());
    }

    proptest! {
        /// Any names lead to a folder that can be named in a command, alone on its line.
        #[test]
        fn any_path(
            levels in prop::collection::vec(any::<String>(), 0..5),
            target in prop::option::of("[ -~ü]{0,12}"),
            moves in prop::collection::vec(("[./AaBINOXinbox]{0,6}", "[./AB]{0,4}"), 0..3),
            which in 0_usize..4,
        ) {
            let server = server([DOVECOT, COURIER, GMAIL_SERVER, FLAT][which]);
            if let Ok(map) = FolderMap::new(target.as_deref(), &moves, server) {
                let folder = map.resolve(&FolderPath(levels)).unwrap();
                prop_assert!(folder.wire.bytes().all(|byte| matches!(byte, b' '..=b'~')));
                prop_assert!(!folder.name.is_empty());
                prop_assert!(!folder.name.contains(char::is_control));
            }
        }

        /// A map is looked up by whole levels.
        #[test]
        fn beneath_is_the_rest(
            levels in prop::collection::vec("[a/I]{0,3}|inbox", 0..5),
            count in 0_usize..5,
        ) {
            let count = count.min(levels.len());
            let levels: Vec<_> = levels.iter().map(|level| composed(level)).collect();
            let from = source_name(&levels[..count].join("/"));
            // Empty levels and slashes at the ends are lost in writing.
            if from == levels[..count].join("/") && !from.contains("//") {
                prop_assert!(beneath(&levels, &from).is_some());
            }
        }
    }
}
