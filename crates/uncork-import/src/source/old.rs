//! What the engine that knows one folder only needs of a source. Goes away with it.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::Source;
use super::maildir::{Keywords, delivery_seconds, split_name};
use super::unit::Content;
use crate::mail::Flag;

/// A mail that has not been read yet.
#[derive(Debug, Clone)]
pub(crate) struct SourceMail {
    pub(crate) path: PathBuf,
    pub(crate) flags: Vec<&'static str>,
}

impl Source {
    pub(crate) fn is_maildir(&self) -> bool {
        self.units.first().map(|unit| &unit.content) == Some(&Content::Maildir)
    }

    pub(crate) fn subfolders(&self) -> usize {
        self.units.len().saturating_sub(1)
    }

    /// The mails of the first folder, as they were when it was opened.
    pub(crate) fn mails(&self) -> Vec<SourceMail> {
        self.mails.clone()
    }

    pub(super) fn list(mut self) -> Self {
        let directories: &[&str] = match self.is_maildir() {
            true => &["cur", "new"],
            false => &[""],
        };
        let mut names: Vec<(u64, OsString, PathBuf)> = Vec::new();
        for directory in directories {
            let listed = fs::read_dir(self.path.join(directory)).into_iter();
            for found in listed.flatten().flatten() {
                let name = found.file_name();
                let bytes = name.as_bytes();
                let is_mail = self.is_maildir() || super::files::eml_shape(bytes).is_some();
                if !bytes.starts_with(b".") && is_mail {
                    let seconds = match self.is_maildir() {
                        true => delivery_seconds(bytes),
                        false => 0,
                    };
                    names.push((seconds, name, found.path()));
                }
            }
        }
        names.sort();
        let mail = |(_, name, path): (u64, OsString, PathBuf)| SourceMail {
            path,
            flags: known(Keywords::default().flags(split_name(name.as_bytes()).1)),
        };
        self.mails = names.into_iter().map(mail).collect();
        self
    }
}

fn known(flags: Vec<Flag>) -> Vec<&'static str> {
    let known = flags.into_iter().filter_map(|flag| match flag {
        Cow::Borrowed(flag) => Some(flag),
        Cow::Owned(_) => None,
    });
    known.collect()
}
