//! FETCH and STORE.

use std::io::{self, Read as _};
use std::sync::Arc;

use super::command::{Change, Echo, Numbers};
use super::date;
use super::fetch_item::{Body, Item, Look};
use super::flags::{Flags, SystemFlags};
use super::folder::Folder;
use super::index::Entry;
use super::section::header_end;
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

/// A message with its place in the folder, counted from 0.
pub(crate) type Placed = (usize, Arc<Entry>);

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
        let mut unreadable = 0;
        for (place, entry) in self.chosen(numbers, set) {
            let mut entry = entry;
            let content = match extent(items) {
                Some(extent) => match read_message(&folder, &entry, extent) {
                    Ok(content) => content,
                    Err(_) => {
                        unreadable += 1;
                        continue;
                    }
                },
                None => Vec::new(),
            };
            let newly_seen = sets_seen && !entry.flags.system.contains(SystemFlags::SEEN);
            if newly_seen {
                if let Ok(seen) = folder.change_flags(place, |flags| {
                    flags.system = flags.system.with(SystemFlags::SEEN);
                }) {
                    entry = seen;
                }
            }
            let mut items = items.to_vec();
            if numbers == Numbers::Uid && !items.contains(&Item::Uid) {
                items.insert(0, Item::Uid);
            }
            if newly_seen && !items.contains(&Item::Flags) {
                items.push(Item::Flags);
            }
            self.say_message((place, entry), &items, &content, recent_from)?;
        }
        let reply = if unreadable == 0 {
            "OK FETCH completed".to_owned()
        } else {
            format!("NO {unreadable} messages can't be read")
        };
        self.tagged(tag, &reply)
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
                    let cut = cut(body, content);
                    line.push_str(&format!("{} {{{}}}\r\n", body.label, cut.len()));
                    self.wire.say(line.as_bytes())?;
                    line.clear();
                    self.wire.say(&cut)?;
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
        let (folder, recent_from) = (Arc::clone(&selected.folder), selected.recent_from);
        let mut failed = 0;
        for (place, _) in self.chosen(numbers, set) {
            let changed = folder.change_flags(place, |old| match change {
                Change::Replace => *old = flags.clone(),
                Change::Add => old.add(flags),
                Change::Remove => old.remove(flags),
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

    /// The messages of a set, of those that the client has been told of.
    pub(crate) fn chosen(&self, numbers: Numbers, set: &Set) -> Vec<Placed> {
        let Some(selected) = &self.selected else {
            return Vec::new();
        };
        let state = selected.folder.state();
        let known = &state.messages[..selected.announced.min(state.messages.len())];
        let largest = largest(numbers, known);
        let ranges = set.resolve(largest);
        let number = |place: usize, entry: &Entry| match numbers {
            Numbers::Sequence => u32::try_from(place + 1).unwrap_or(u32::MAX),
            Numbers::Uid => entry.uid,
        };
        known
            .iter()
            .enumerate()
            .filter(|(place, entry)| ranges.contains(number(*place, entry)))
            .map(|(place, entry)| (place, Arc::clone(entry)))
            .collect()
    }
}

/// The largest number in use, 0 in an empty folder.
pub(crate) fn largest(numbers: Numbers, known: &[Arc<Entry>]) -> u32 {
    match numbers {
        Numbers::Sequence => u32::try_from(known.len()).unwrap_or(u32::MAX),
        Numbers::Uid => known.last().map_or(0, |entry| entry.uid),
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

fn cut(body: &Body, content: &[u8]) -> Vec<u8> {
    let mut cut = body.section.cut(content);
    if let Some((first, count)) = body.partial {
        let first = usize::try_from(first).unwrap_or(usize::MAX).min(cut.len());
        cut.drain(..first);
        cut.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    }
    cut
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
