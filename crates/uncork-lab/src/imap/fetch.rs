//! FETCH and STORE.

use std::io::{self, Read as _};
use std::sync::Arc;

use super::command::{Change, Echo, Numbers};
use super::date;
use super::fetch_item::{Body, Item, Look};
use super::flags::{Flags, SystemFlags};
use super::folder::Folder;
use super::index::Entry;
use super::permitted::Unpermitted;
use super::section::header_end;
use super::selected::Placed;
use super::session::{Session, Step};
use super::set::Set;

/// What is read of a file at first where only its header is wanted.
const HEADER_BYTES: usize = 16 * 1024;

/// A larger file is not read. Other programs may have put it there.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How much of a message's file is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Extent {
    Header,
    Whole,
}

impl Session {
    pub(crate) fn fetch(&mut self, tag: &str, numbers: Numbers, set: &Set, items: &[Item]) -> Step {
        let Some(selected) = &self.selected else {
            return Ok(());
        };
        let (folder, writable, recent_from) = (
            Arc::clone(&selected.folder),
            selected.writable,
            selected.recent_from,
        );
        let sets_seen = writable
            && items
                .iter()
                .any(|item| matches!(item, Item::Body(body) if body.look == Look::SetSeen));
        let mut chosen = selected.chosen(numbers, set);
        let code = self.keep_last(&mut chosen);
        let mut asked = items.to_vec();
        if numbers == Numbers::Uid && !asked.contains(&Item::Uid) {
            asked.insert(0, Item::Uid);
        }
        let mut with_flags = asked.clone();
        if !asked.contains(&Item::Flags) {
            with_flags.push(Item::Flags);
        }
        let extent = extent(items);
        let mut unreadable = 0;
        for (place, mut entry) in chosen {
            let mut content = Vec::new();
            if let Some(extent) = extent {
                match read_current(&folder, &mut entry, extent) {
                    Ok(read) => content = read,
                    Err(_) => {
                        unreadable += 1;
                        continue;
                    }
                }
            }
            let newly_seen = sets_seen && !entry.flags.system.contains(SystemFlags::SEEN);
            if newly_seen
                && let Ok(seen) = folder.change_flags(entry.uid, |flags| {
                    flags.system = flags.system.with(SystemFlags::SEEN);
                })
            {
                entry = seen;
            }
            let items = if newly_seen { &with_flags } else { &asked };
            self.say_message((place, entry), items, &content, recent_from)?;
        }
        let reply = if unreadable == 0 {
            format!("OK {code}FETCH completed")
        } else {
            format!("NO {unreadable} messages can't be read")
        };
        self.tagged(tag, &reply)
    }

    /// Where MESSAGELIMIT asks for it, keeps the last messages of a set only, and tells the
    /// response code that says from which UID on (RFC 9738, 3.1).
    fn keep_last(&self, chosen: &mut Vec<Placed>) -> String {
        let Some(limit) = self.capabilities().message_limit else {
            return String::new();
        };
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        if chosen.len() <= most {
            return String::new();
        }
        chosen.drain(..chosen.len() - most);
        let lowest = chosen.first().map_or(0, |(_, entry)| entry.uid);
        format!("[MESSAGELIMIT {limit} {lowest}] ")
    }

    fn say_message(
        &mut self,
        (place, entry): Placed,
        items: &[Item],
        content: &[u8],
        recent_from: u32,
    ) -> Step {
        let mut line = format!("* {} FETCH (", place + 1);
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                line.push(' ');
            }
            match item {
                Item::Flags => push_flags(&mut line, &entry, recent_from),
                Item::InternalDate => {
                    line.push_str("INTERNALDATE \"");
                    date::push(&mut line, entry.date);
                    line.push('"');
                }
                Item::Size => line.push_str(&format!("RFC822.SIZE {}", entry.bytes)),
                Item::Uid => line.push_str(&format!("UID {}", entry.uid)),
                Item::Body(body) => {
                    let section = body.section.cut(content);
                    let part = part(body, &section);
                    line.push_str(&format!("{} {{{}}}\r\n", body.label, part.len()));
                    self.wire.say(line.as_bytes())?;
                    line.clear();
                    self.wire.say(part)?;
                }
            }
        }
        line.push_str(")\r\n");
        Ok(self.wire.say(line.as_bytes())?)
    }

    pub(crate) fn store(
        &mut self,
        tag: &str,
        (numbers, set): (Numbers, &Set),
        (change, echo): (Change, Echo),
        flags: &Flags,
    ) -> Step {
        let Some(selected) = &self.selected else {
            return Ok(());
        };
        if !selected.writable {
            return self.tagged(tag, "NO [READ-ONLY] The folder was opened with EXAMINE");
        }
        let personality = &self.house.personality;
        let mut flags = flags.clone();
        let drops = personality.permanent_flags.drop_others(&mut flags);
        if drops && personality.unpermitted_flags == Unpermitted::Refused {
            return self.tagged(tag, "NO [CANNOT] A flag is not permitted here");
        }
        let (folder, recent_from) = (Arc::clone(&selected.folder), selected.recent_from);
        let mut failed = 0;
        for (place, entry) in selected.chosen(numbers, set) {
            let changed = folder.change_flags(entry.uid, |old| match change {
                Change::Replace => *old = flags.clone(),
                Change::Add => old.add(&flags),
                Change::Remove => old.remove(&flags),
            });
            let Ok(entry) = changed else {
                failed += 1;
                continue;
            };
            if echo == Echo::Flags {
                let items: &[Item] = if numbers == Numbers::Uid {
                    &[Item::Uid, Item::Flags]
                } else {
                    &[Item::Flags]
                };
                self.say_message((place, entry), items, &[], recent_from)?;
            }
        }
        let reply = if failed == 0 {
            "OK STORE completed".to_owned()
        } else {
            format!("NO {failed} messages can't be changed")
        };
        self.tagged(tag, &reply)
    }
}

/// Reads as much of a message's file as is needed, the header maybe with more after it.
pub(crate) fn read_message(folder: &Folder, entry: &Entry, extent: Extent) -> io::Result<Vec<u8>> {
    let mut file = std::fs::File::from(folder.read(entry)?);
    let mut content = Vec::new();
    if extent == Extent::Header {
        content.resize(HEADER_BYTES, 0);
        let count = file.read(&mut content)?;
        content.truncate(count);
        if header_end(&content).is_some() {
            return Ok(content);
        }
    } else {
        content.reserve_exact(usize::try_from(entry.bytes.min(FILE_BYTES_MAX)).unwrap_or(0) + 1);
    }
    file.take(FILE_BYTES_MAX).read_to_end(&mut content)?;
    Ok(content)
}

/// Reads a message although its flags, and with them its file's name, may have been changed by
/// another connection since it was looked up.
fn read_current(folder: &Folder, entry: &mut Arc<Entry>, extent: Extent) -> io::Result<Vec<u8>> {
    read_message(folder, entry, extent).or_else(|error| {
        *entry = folder.find(entry.uid).ok_or(error)?;
        read_message(folder, entry, extent)
    })
}

fn extent(items: &[Item]) -> Option<Extent> {
    items
        .iter()
        .filter_map(|item| match item {
            Item::Body(body) => Some(if body.section.is_in_header() {
                Extent::Header
            } else {
                Extent::Whole
            }),
            _ => None,
        })
        .max()
}

/// The part of a section that `<first.count>` asks for.
fn part<'a>(body: &Body, section: &'a [u8]) -> &'a [u8] {
    let Some((first, count)) = body.partial else {
        return section;
    };
    let length = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let rest = &section[length(first).min(section.len())..];
    &rest[..length(count).min(rest.len())]
}

fn push_flags(line: &mut String, entry: &Entry, recent_from: u32) {
    line.push_str("FLAGS (");
    entry.flags.push_names(line);
    if entry.uid >= recent_from {
        line.push_str(if line.ends_with('(') {
            "\\Recent"
        } else {
            " \\Recent"
        });
    }
    line.push(')');
}
