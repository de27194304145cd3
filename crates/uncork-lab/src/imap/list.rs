//! LIST and LSUB.

use super::folder_name::FolderName;
use super::list_request::ListRequest;
use super::pattern;
use super::session::{Session, Step};

impl Session {
    pub(crate) fn list(&mut self, tag: &str, request: &ListRequest<'_>) -> Step {
        if request.is_extended && !self.capabilities().list_extended {
            return self.bad(tag, "LIST-EXTENDED is not offered");
        }
        let word = request.word;
        let separator = self.house.personality.namespace.separator;
        if request.patterns.iter().all(|pattern| pattern.is_empty()) {
            // The question for the separator (RFC 3501, 6.3.8).
            let line = format!("* {word} (\\Noselect) \"{separator}\" \"\"\r\n");
            self.wire.say(line.as_bytes())?;
            return self.tagged(tag, &format!("OK {word} completed"));
        }
        let wanted: Vec<Vec<u8>> = request
            .patterns
            .iter()
            .map(|pattern| [&request.reference[..], pattern].concat())
            .collect();
        let existing = self.house.store.names();
        let names = if request.only_subscribed {
            self.house.store.subscribed()
        } else {
            existing.clone()
        };
        for name in names {
            let wire = self.house.personality.namespace.spell(&name, self.spelling);
            let is_inbox = name == FolderName::inbox();
            let fits = wanted.iter().any(|wanted| {
                pattern::matches(wanted, &wire, separator)
                    || (is_inbox
                        && pattern::matches(&wanted.to_ascii_uppercase(), &wire, separator))
            });
            let attributes = self.attributes(&name, request, &existing);
            let is_special = self.special_use(&name).is_some();
            if fits && (is_special || !request.only_special) {
                let line = format!("* {word} ({attributes}) \"{separator}\" \"{wire}\"\r\n");
                self.wire.say(line.as_bytes())?;
            }
        }
        self.tagged(tag, &format!("OK {word} completed"))
    }

    fn attributes(
        &self,
        name: &FolderName,
        request: &ListRequest<'_>,
        existing: &[FolderName],
    ) -> String {
        let mut attributes = Vec::new();
        if request.word == "LIST" && !existing.contains(name) {
            attributes.push("\\NonExistent");
        }
        if request.says_subscribed && self.house.store.is_subscribed(name) {
            attributes.push("\\Subscribed");
        }
        if request.says_children {
            let has_children = existing.iter().any(|other| other.is_below(name));
            attributes.push(if has_children {
                "\\HasChildren"
            } else {
                "\\HasNoChildren"
            });
        }
        attributes.extend(self.special_use(name));
        attributes.join(" ")
    }

    /// What the folder is for (RFC 6154).
    fn special_use(&self, name: &FolderName) -> Option<&str> {
        if !self.capabilities().special_use {
            return None;
        }
        let folders = &self.house.personality.special_folders;
        let found = folders.iter().find(|(known, _)| known == name.as_wire());
        found.map(|(_, r#use)| r#use.as_str())
    }
}
