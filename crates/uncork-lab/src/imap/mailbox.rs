//! The commands about folders: CREATE, SELECT, STATUS, EXPUNGE and their like.

use std::fmt::Write as _;
use std::sync::Arc;

use super::command::{Access, Numbers, StatusItem};
use super::flags::SystemFlags;
use super::folder::{Folder, State};
use super::folder_name::FolderName;
use super::namespace::{Namespace, Spelling};
use super::permitted::SYSTEM_FLAGS;
use super::personality::Expunging;
use super::selected::Selected;
use super::session::{Session, Step};
use super::set::Set;
use super::store::StoreError;

impl Session {
    pub(crate) fn create(&mut self, tag: &str, name: &[u8]) -> Step {
        // A separator at the end announces that folders are to come below (RFC 3501, 6.3.3).
        let separator = self.house.personality.namespace.separator;
        let name = match name.split_last() {
            Some((last, rest)) if char::from(*last) == separator => rest,
            _ => name,
        };
        let made = self
            .name(name)
            .map(|name| (self.house.store.create(&name), "CREATE completed"));
        self.say_outcome(tag, made)
    }

    pub(crate) fn delete(&mut self, tag: &str, name: &[u8]) -> Step {
        let name = match self.name(name) {
            Ok(name) if name == FolderName::inbox() => {
                return self.tagged(tag, "NO [CANNOT] INBOX can't be deleted");
            }
            other => other,
        };
        let deleted = name.map(|name| (self.house.store.delete(&name), "DELETE completed"));
        self.say_outcome(tag, deleted)
    }

    pub(crate) fn subscribe(&mut self, tag: &str, name: &[u8]) -> Step {
        let name = match self.find(name, "NONEXISTENT") {
            Ok(_) => self.name(name),
            Err(reply) => Err(reply),
        };
        let subscribed = name.map(|name| {
            let result = self.house.store.subscribe(name).map_err(StoreError::Io);
            (result, "SUBSCRIBE completed")
        });
        self.say_outcome(tag, subscribed)
    }

    /// Also for a folder that is gone (RFC 3501, 6.3.6).
    pub(crate) fn unsubscribe(&mut self, tag: &str, name: &[u8]) -> Step {
        let unsubscribed = self.name(name).map(|name| {
            let result = self.house.store.unsubscribe(&name).map_err(StoreError::Io);
            (result, "UNSUBSCRIBE completed")
        });
        self.say_outcome(tag, unsubscribed)
    }

    fn say_outcome(
        &mut self,
        tag: &str,
        outcome: Result<(Result<(), StoreError>, &str), String>,
    ) -> Step {
        let reply = match outcome {
            Err(reply) => reply,
            Ok((Ok(()), done)) => format!("OK {done}"),
            Ok((Err(StoreError::Exists), _)) => {
                "NO [ALREADYEXISTS] The folder exists already".to_owned()
            }
            Ok((Err(error @ StoreError::TooMany), _)) => format!("NO [LIMIT] {error}"),
            Ok((Err(error), _)) => spell(&error, "NONEXISTENT"),
        };
        self.tagged(tag, &reply)
    }

    pub(crate) fn namespace(&mut self, tag: &str) -> Step {
        let Namespace { prefix, separator } = &self.house.personality.namespace;
        let line = format!("* NAMESPACE ((\"{prefix}\" \"{separator}\")) NIL NIL\r\n");
        self.wire.say(line.as_bytes())?;
        self.tagged(tag, "OK NAMESPACE completed")
    }

    pub(crate) fn enable(&mut self, tag: &str, words: &[&str]) -> Step {
        if !self.capabilities().utf8_accept {
            return self.bad(tag, "ENABLE is not offered");
        }
        let utf8 = words
            .iter()
            .any(|word| word.eq_ignore_ascii_case("UTF8=ACCEPT"));
        if utf8 && self.selected.is_some() {
            return self.bad(tag, "UTF8=ACCEPT has to be enabled before a SELECT");
        }
        let mut enabled = "* ENABLED";
        if utf8 && self.spelling == Spelling::ModifiedUtf7 {
            self.spelling = Spelling::Utf8;
            enabled = "* ENABLED UTF8=ACCEPT";
        }
        self.wire.say(format!("{enabled}\r\n").as_bytes())?;
        self.tagged(tag, "OK ENABLE completed")
    }

    pub(crate) fn select(&mut self, tag: &str, access: Access, name: &[u8]) -> Step {
        // Also a SELECT that fails leaves the folder selected before (RFC 3501, 6.3.1).
        self.selected = None;
        let house = Arc::clone(&self.house);
        if let Some(text) = house.faults.refuses_select() {
            return self.tagged(tag, &format!("NO {text}"));
        }
        let folder = match self.find(name, "NONEXISTENT") {
            Ok(folder) => folder,
            Err(reply) => return self.tagged(tag, &reply),
        };
        let permanent = self.house.personality.permanent_flags.line();
        let writable = access == Access::Select;
        let mut lines = Vec::new();
        let mut state = folder.state();
        let selected = Selected::new(Arc::clone(&folder), writable, &state);
        let exists = state.messages.len();
        lines.push(format!("* FLAGS ({SYSTEM_FLAGS})"));
        lines.push(format!(
            "* OK [PERMANENTFLAGS ({})] Flags permitted",
            if writable { permanent.as_str() } else { "" }
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
        self.selected = Some(selected);
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
        let folder = match self.find(name, "NONEXISTENT") {
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

    pub(crate) fn close_folder(&mut self, tag: &str) -> Step {
        let expunging = self.house.personality.expunging;
        if let Some(selected) = self.selected.take()
            && selected.writable
            && expunging == Expunging::Done
        {
            // What could not be removed is still there, which the reply does not tell.
            let _ = selected.folder.expunge(None);
        }
        self.tagged(tag, "OK CLOSE completed")
    }

    pub(crate) fn expunge(&mut self, tag: &str, name: &str, among: Option<&Set>) -> Step {
        let Some(selected) = &self.selected else {
            return Ok(());
        };
        if self.house.personality.expunging == Expunging::Refused {
            return self.tagged(tag, "NO [CANNOT] The lab keeps every message");
        }
        if !selected.writable {
            return self.tagged(tag, "NO [READ-ONLY] The folder was opened with EXAMINE");
        }
        let among = among.map(|set| set.resolve(selected.largest(Numbers::Uid)));
        match selected.folder.expunge(among.as_ref()) {
            Ok(()) => self.tagged(tag, &format!("OK {name} completed")),
            Err(error) => self.tagged(tag, &format!("NO [SERVERBUG] {error}")),
        }
    }

    /// The folder of this name, or the tagged reply that says why there is none, with this code
    /// where it could be made.
    pub(crate) fn find(&self, name: &[u8], missing: &str) -> Result<Arc<Folder>, String> {
        let name = self.name(name)?;
        let found = self.house.store.folder(&name);
        found.map_err(|error| spell(&error, missing))
    }

    /// The folder that the client means, or the tagged reply that says why it can't be.
    fn name(&self, wire: &[u8]) -> Result<FolderName, String> {
        let personality = &self.house.personality;
        let name = personality.namespace.parse(wire, self.spelling);
        let name = name.map_err(|error| format!("NO [CANNOT] {error}"))?;
        let forbids = |forbidden: &String| name.is_or_is_below(forbidden);
        if personality.forbidden_folders.iter().any(forbids) {
            return Err("NO [NOPERM] Permission denied".to_owned());
        }
        Ok(name)
    }
}

/// The tagged reply that says why a folder can't be used.
fn spell(error: &StoreError, missing: &str) -> String {
    match error {
        StoreError::NoFolder => format!("NO [{missing}] No such folder"),
        other => format!("NO [SERVERBUG] {other}"),
    }
}

fn recent(state: &State) -> usize {
    state.messages.len() - state.place(state.recent_from)
}

fn unseen(state: &State) -> usize {
    state
        .messages
        .iter()
        .filter(|entry| !entry.flags.system.contains(SystemFlags::SEEN))
        .count()
}
