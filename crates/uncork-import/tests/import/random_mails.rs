//! Random mails that are hard to tell apart: of the same size, with the same Message-ID, the
//! same twice.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;
use uncork_import::Source;

use crate::support::{FILE_DATE, write_dated};

/// One mail, as little as tells it from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    /// Of its Message-ID, where it has one.
    id: Option<usize>,
    number: usize,
    length: Length,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Short,
    Middle,
    /// More than is held in memory.
    Long,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Plain,
    NoMessageId,
    /// The same as the one before.
    Twin,
    /// Another text under the Message-ID of the one before.
    Alike,
    Middle,
    Long,
}

/// 1 to `most` mails.
pub(crate) fn mails(most: usize) -> impl Strategy<Value = Vec<Form>> {
    let kind = prop_oneof![
        12 => Just(Kind::Plain),
        4 => Just(Kind::NoMessageId),
        3 => Just(Kind::Twin),
        3 => Just(Kind::Alike),
        2 => Just(Kind::Middle),
    ];
    let long = prop_oneof![3 => Just(None), 1 => any::<prop::sample::Index>().prop_map(Some)];
    (prop::collection::vec(kind, 1..=most), long).prop_map(|(mut kinds, long)| {
        if let Some(long) = long {
            let at = long.index(kinds.len());
            kinds[at] = Kind::Long;
        }
        forms(&kinds)
    })
}

fn forms(kinds: &[Kind]) -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::with_capacity(kinds.len());
    for (number, kind) in kinds.iter().enumerate() {
        let plain = Form {
            id: Some(number),
            number,
            length: Length::Short,
        };
        let before = forms.last().copied().unwrap_or(plain);
        forms.push(match kind {
            Kind::Plain => plain,
            Kind::NoMessageId => Form { id: None, ..plain },
            Kind::Twin => before,
            Kind::Alike => Form { number, ..before },
            Kind::Middle => Form {
                length: Length::Middle,
                ..plain
            },
            Kind::Long => Form {
                length: Length::Long,
                ..plain
            },
        });
    }
    forms
}

impl Form {
    pub(crate) fn text(self) -> Vec<u8> {
        let id = self
            .id
            .map(|id| format!("Message-ID: <{id:06}@lab.example>\r\n"));
        let number = self.number;
        let mut text = format!(
            "{}Date: Thu, 1 Jan 2004 00:00:00 +0000\r\n\r\nMail {number:06}.\r\n",
            id.unwrap_or_default()
        );
        let lines = match self.length {
            Length::Short => 0,
            Length::Middle => 200,
            Length::Long => 14_000,
        };
        for line in 0..lines {
            text.push_str(&format!(
                "{line:08} of a text with lines to count, {number:06} \
                                    and all of the same length\r\n"
            ));
        }
        text.into_bytes()
    }
}

/// The names of the folders that the mails are spread over, as a source and a server have
/// them; the first is the source's root, and INBOX.
pub(crate) const FOLDERS: [&str; 3] = ["", "a", "b"];

/// Mails in .eml files, spread over some of [`FOLDERS`].
pub(crate) struct Tree {
    root: TempDir,
    folders: usize,
    texts: Vec<Vec<u8>>,
}

impl Tree {
    pub(crate) fn new(forms: &[Form], folders: usize) -> Self {
        let root = tempfile::tempdir().unwrap();
        let texts: Vec<_> = forms.iter().map(|form| form.text()).collect();
        for folder in &FOLDERS[..folders] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let tree = Self {
            root,
            folders,
            texts,
        };
        for (n, text) in tree.texts.iter().enumerate() {
            let path = tree.root.path().join(tree.folder(n));
            write_dated(&path.join(format!("{n:03}.eml")), text, FILE_DATE);
        }
        tree
    }

    pub(crate) fn source(&self) -> Source {
        Source::open(self.root.path()).unwrap()
    }

    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    /// The texts of the mails for one folder that are not among those `without`, sorted.
    pub(crate) fn texts(&self, folder: &str, without: &[usize]) -> Vec<&[u8]> {
        let texts = self.texts.iter().enumerate();
        let texts = texts.filter(|(n, _)| self.folder(*n) == folder && !without.contains(n));
        let mut texts: Vec<&[u8]> = texts.map(|(_, text)| &text[..]).collect();
        texts.sort_unstable();
        texts
    }

    /// The first texts for one folder, in the order of the source.
    pub(crate) fn first_texts(&self, folder: &str, count: usize) -> Vec<&[u8]> {
        let texts = self.texts.iter().enumerate();
        let texts = texts.filter(|(n, _)| self.folder(*n) == folder);
        texts.map(|(_, text)| &text[..]).take(count).collect()
    }

    pub(crate) fn folders(&self) -> &'static [&'static str] {
        &FOLDERS[..self.folders]
    }

    fn folder(&self, n: usize) -> &'static str {
        FOLDERS[n % self.folders]
    }
}

/// The number that a mail's file has by its name.
pub(crate) fn number_of(path: &str) -> usize {
    let name = Path::new(path).file_stem().unwrap();
    name.to_str().unwrap().parse().unwrap()
}

/// What is different between two sorted lists of texts, in words short enough to read: the
/// lines that name a mail, with how often it is too many (or too few).
pub(crate) fn difference(stored: &[Vec<u8>], expected: &[&[u8]]) -> Vec<(String, i64)> {
    let mut counts: BTreeMap<&[u8], i64> = BTreeMap::new();
    for text in stored {
        *counts.entry(text).or_default() += 1;
    }
    for text in expected {
        *counts.entry(text).or_default() -= 1;
    }
    let differ = counts.into_iter().filter(|(_, count)| *count != 0);
    let differ = differ.map(|(text, count)| {
        let start = &text[..text.len().min(110)];
        (String::from_utf8_lossy(start).into_owned(), count)
    });
    differ.collect()
}
