//! SEARCH: which messages fit a key.

use std::sync::Arc;

use super::command::Numbers;
use super::fetch::{Extent, read_message};
use super::folder::Folder;
use super::index::Entry;
use super::search_key::Key;
use super::section::{contains, fields, header_end};
use super::selected::Selected;
use super::session::{Session, Step};
use super::set::{Ranges, Set};

/// A key with its sets resolved against the folder as it is now.
enum Test<'a> {
    Sequence(Ranges),
    Uid(Ranges),
    Not(Box<Test<'a>>),
    Or(Box<Test<'a>>, Box<Test<'a>>),
    And(Vec<Test<'a>>),
    Plain(&'a Key),
}

/// One message under test. Its file is read at most once, and only if a key asks for it.
struct Candidate<'a> {
    folder: &'a Folder,
    place: usize,
    entry: &'a Entry,
    is_recent: bool,
    content: Option<(Extent, Vec<u8>)>,
}

impl Session {
    pub(crate) fn search(&mut self, tag: &str, numbers: Numbers, key: &Key) -> Step {
        let Some(selected) = &self.selected else {
            return Ok(());
        };
        let folder = Arc::clone(&selected.folder);
        let recent_from = selected.recent_from;
        let test = resolve(key, selected);
        // Files are read below, so the folder's lock is not held meanwhile.
        let known = selected.all();
        let mut line = String::from("* SEARCH");
        for (place, entry) in &known {
            let is_recent = entry.uid >= recent_from;
            let mut candidate = Candidate {
                folder: &folder,
                place: *place,
                entry,
                is_recent,
                content: None,
            };
            if candidate.fits(&test) {
                let number = if numbers == Numbers::Uid {
                    entry.uid.to_string()
                } else {
                    (place + 1).to_string()
                };
                line.push(' ');
                line.push_str(&number);
            }
        }
        line.push_str("\r\n");
        self.wire.say(line.as_bytes())?;
        self.tagged(tag, "OK SEARCH completed")
    }
}

fn resolve<'a>(key: &'a Key, known: &Selected) -> Test<'a> {
    let ranges = |set: &Set, numbers: Numbers| set.resolve(known.largest(numbers));
    let boxed = |key: &'a Key| Box::new(resolve(key, known));
    match key {
        Key::Sequence(set) => Test::Sequence(ranges(set, Numbers::Sequence)),
        Key::Uid(set) => Test::Uid(ranges(set, Numbers::Uid)),
        Key::Not(inner) => Test::Not(boxed(inner)),
        Key::Or(one, other) => Test::Or(boxed(one), boxed(other)),
        Key::And(all) => Test::And(all.iter().map(|key| resolve(key, known)).collect()),
        plain => Test::Plain(plain),
    }
}

impl Candidate<'_> {
    fn fits(&mut self, test: &Test<'_>) -> bool {
        match test {
            Test::Sequence(ranges) => {
                u32::try_from(self.place + 1).is_ok_and(|number| ranges.contains(number))
            }
            Test::Uid(ranges) => ranges.contains(self.entry.uid),
            Test::Not(inner) => !self.fits(inner),
            Test::Or(one, other) => self.fits(one) || self.fits(other),
            Test::And(all) => all.iter().all(|test| self.fits(test)),
            Test::Plain(key) => self.fits_plain(key),
        }
    }

    fn fits_plain(&mut self, key: &Key) -> bool {
        let entry = self.entry;
        match key {
            Key::Flag(flag) => entry.flags.system.contains(*flag),
            Key::Keyword(keyword) => entry.flags.has_keyword(keyword),
            Key::Recent => self.is_recent,
            Key::Arrived(from, before) => (*from..*before).contains(&entry.date),
            Key::Larger(bytes) => entry.bytes > *bytes,
            Key::Smaller(bytes) => entry.bytes < *bytes,
            Key::Header(name, text) => {
                let content = self.content(Extent::Header);
                fields(content).any(|field| field.is(name) && contains(field.value(), text))
            }
            Key::Body(text) => {
                let content = self.content(Extent::Whole);
                contains(
                    &content[header_end(content).unwrap_or(content.len())..],
                    text,
                )
            }
            Key::Text(text) => contains(self.content(Extent::Whole), text),
            // Those with sets or keys inside were taken apart by `resolve`.
            Key::All | Key::Sequence(_) | Key::Uid(_) | Key::Not(_) | Key::Or(..) | Key::And(_) => {
                true
            }
        }
    }

    /// The message's file; empty where it can't be read, so that it fits no text.
    fn content(&mut self, extent: Extent) -> &[u8] {
        let has_enough = self.content.as_ref().is_some_and(|(had, _)| *had >= extent);
        if !has_enough {
            self.content = Some((
                extent,
                read_message(self.folder, self.entry, extent).unwrap_or_default(),
            ));
        }
        self.content.as_ref().map_or(&[], |(_, content)| content)
    }
}
