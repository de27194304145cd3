//! The commands about folders: LIST, CREATE, SELECT, STATUS and their like.

use std::fmt::Write as _;
use std::sync::Arc;

use super::command::{Access, StatusItem};
use super::flags::SystemFlags;
use super::folder::{Folder, State};
use super::folder_name::FolderName;
use super::pattern;
use super::session::{Selected, Session, Step};
use super::store::StoreError;

const FLAGS: &str = "\\Answered \\Flagged \\Deleted \\Seen \\Draft";

impl Session {
    pub(crate) fn list(&mut self, tag: &str, word: &str, reference: &[u8], wanted: &[u8]) -> Step {
        if wanted.is_empty() {
            // The question for the separator (RFC 3501, 6.3.8).
            self.wire
                .say(format!("* {word} (\\Noselect) \"/\" \"\"\r\n").as_bytes())?;
        }
        let wanted = [reference, wanted].concat();
        let any_case = wanted.to_ascii_uppercase();
        for name in self.house.store.names() {
            let is_inbox =
                name == FolderName::inbox() && pattern::matches(&any_case, name.as_wire());
            if is_inbox || pattern::matches(&wanted, name.as_wire()) {
                self.wire
                    .say(format!("* {word} () \"/\" \"{}\"\r\n", name.as_wire()).as_bytes())?;
            }
        }
        self.tagged(tag, &format!("OK {word} completed"))
    }

    pub(crate) fn create(&mut self, tag: &str, name: &[u8]) -> Step {
        // A separator at the end announces that folders are to come below (RFC 3501, 6.3.3).
        let name = name.strip_suffix(b"/").unwrap_or(name);
        let name = match FolderName::from_wire(name) {
            Ok(name) => name,
            Err(error) => return self.tagged(tag, &format!("NO [CANNOT] {error}")),
        };
        let reply = match self.house.store.create(&name) {
            Ok(()) => "OK CREATE completed".to_owned(),
            Err(StoreError::Exists) => "NO [ALREADYEXISTS] The folder exists already".to_owned(),
            Err(error @ StoreError::TooMany) => format!("NO [LIMIT] {error}"),
            Err(error) => format!("NO [SERVERBUG] {error}"),
        };
        self.tagged(tag, &reply)
    }

    pub(crate) fn subscribe(&mut self, tag: &str, command: &str, name: &[u8]) -> Step {
        match self.find(name) {
            Ok(_) => self.tagged(tag, &format!("OK {command} completed")),
            Err(reply) => self.tagged(tag, &reply),
        }
    }

    pub(crate) fn namespace(&mut self, tag: &str) -> Step {
        self.wire.say(b"* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n")?;
        self.tagged(tag, "OK NAMESPACE completed")
    }

    pub(crate) fn select(&mut self, tag: &str, access: Access, name: &[u8]) -> Step {
        // Also a SELECT that fails leaves the folder selected before (RFC 3501, 6.3.1).
        self.selected = None;
        let folder = match self.find(name) {
            Ok(folder) => folder,
            Err(reply) => return self.tagged(tag, &reply),
        };
        let writable = access == Access::Select;
        let mut lines = Vec::new();
        let mut state = folder.state();
        let exists = state.messages.len();
        let recent_from = state.recent_from;
        lines.push(format!("* FLAGS ({FLAGS})"));
        lines.push(format!(
            "* OK [PERMANENTFLAGS ({})] Flags permitted",
            if writable {
                format!("{FLAGS} \\*")
            } else {
                String::new()
            }
        ));
        lines.push(format!("* {exists} EXISTS"));
        lines.push(format!("* {} RECENT", recent(&state)));
        if let Some(place) = state
            .messages
            .iter()
            .position(|entry| !entry.flags.system.contains(SystemFlags::SEEN))
        {
            lines.push(format!("* OK [UNSEEN {}] First unseen", place + 1));
        }
        lines.push(format!(
            "* OK [UIDVALIDITY {}] UIDs valid",
            state.uid_validity()
        ));
        lines.push(format!(
            "* OK [UIDNEXT {}] Predicted next UID",
            state.uid_next()
        ));
        if writable {
            state.recent_from = state.uid_next();
        }
        drop(state);
        for line in lines {
            self.wire.say(format!("{line}\r\n").as_bytes())?;
        }
        self.selected = Some(Selected {
            folder,
            writable,
            announced: exists,
            recent_from,
        });
        self.tagged(
            tag,
            if writable {
                "OK [READ-WRITE] SELECT completed"
            } else {
                "OK [READ-ONLY] EXAMINE completed"
            },
        )
    }

    pub(crate) fn status(&mut self, tag: &str, name: &[u8], items: &[StatusItem]) -> Step {
        let folder = match self.find(name) {
            Ok(folder) => folder,
            Err(reply) => return self.tagged(tag, &reply),
        };
        let mut line = format!("* STATUS \"{}\" (", String::from_utf8_lossy(name));
        let state = folder.state();
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                line.push(' ');
            }
            let _ = match item {
                StatusItem::Messages => write!(line, "MESSAGES {}", state.messages.len()),
                StatusItem::UidNext => write!(line, "UIDNEXT {}", state.uid_next()),
                StatusItem::UidValidity => write!(line, "UIDVALIDITY {}", state.uid_validity()),
                StatusItem::Unseen => write!(line, "UNSEEN {}", unseen(&state)),
                StatusItem::Recent => write!(line, "RECENT {}", recent(&state)),
            };
        }
        drop(state);
        line.push_str(")\r\n");
        self.wire.say(line.as_bytes())?;
        self.tagged(tag, "OK STATUS completed")
    }

    /// The folder of this name, or the tagged reply that says why there is none.
    fn find(&self, name: &[u8]) -> Result<Arc<Folder>, String> {
        let name = FolderName::from_wire(name).map_err(|error| format!("NO [CANNOT] {error}"))?;
        self.house.store.folder(&name).map_err(|error| match error {
            StoreError::NoFolder => "NO [NONEXISTENT] No such folder".to_owned(),
            other => format!("NO [SERVERBUG] {other}"),
        })
    }
}

fn recent(state: &State) -> usize {
    state.messages.len()
        - state
            .messages
            .partition_point(|entry| entry.uid < state.recent_from)
}

fn unseen(state: &State) -> usize {
    state
        .messages
        .iter()
        .filter(|entry| !entry.flags.system.contains(SystemFlags::SEEN))
        .count()
}
