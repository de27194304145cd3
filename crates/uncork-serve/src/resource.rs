//! What a path of a site is: found, opened, and ready to be sent.

mod find;
mod listing;

use std::cell::Cell;
use std::fs::File;
use std::io::IoSliceMut;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::{Errno, ReadWriteFlags, preadv2};
use smallvec::SmallVec;
use uncork::plan::SENDFILE_CAP_BYTES;

use crate::accept_encoding::{Coding, CodingSet};
use crate::witness::{Facts, Witness};

pub(crate) use find::{find, is_hidden};
pub(crate) use listing::Order;

/// Longest body that is kept in memory. A longer one is sent from its file.
///
/// One vectored write of 64 KiB costs the kernel a copy and saves the second call.
pub(crate) const MEMORY_BODY_BYTES: u64 = 64 * 1024;

/// What a path of a site is, and by what a change of it is noticed.
#[derive(Debug)]
pub(crate) struct Resource {
    /// What it is.
    pub kind: Kind,
    /// What was seen of the file system on the way.
    pub witnesses: Vec<Witness>,
    /// Something was changed so shortly before that a later change might not show: found anew at the
    /// next check.
    pub is_uncertain: bool,
    /// Since when it has stood for what could not be found out.
    pub stands_in_since: Cell<Option<Instant>>,
}

/// What a path is.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "most resources are pages, and all are behind an Rc"
)]
pub(crate) enum Kind {
    /// Something to be served.
    Page(Page),
    /// Somewhere else: status and `Location`.
    Elsewhere(u16, String),
    /// Nothing.
    NotFound,
    /// Something that is not served: no file, or out of the root.
    Forbidden,
    /// It could not be found out: no descriptors, a broken disk.
    Failed,
}

/// Something to be served, in one or several codings.
#[derive(Debug)]
pub(crate) struct Page {
    /// At least one.
    pub representations: SmallVec<[Representation; 1]>,
    /// The codings of these.
    pub codings: CodingSet,
}

/// A page in one coding.
#[derive(Debug)]
pub(crate) struct Representation {
    /// Its coding.
    pub coding: Coding,
    /// Length in bytes.
    pub len: u64,
    /// Its bytes.
    pub body: Body,
    /// With its quotes.
    pub etag: Option<String>,
    /// What the ETag was made of, where that is a long file's content.
    pub digest: Option<Digest>,
    /// Seconds since the epoch.
    pub last_modified: Option<u64>,
    /// Whether that was long enough before it was found to tell this content from any other.
    pub is_date_strong: bool,
    /// The media type, where its lines say one.
    pub content_type: Option<String>,
    /// Header lines of a response that carries it, each with its line end: those that a 304 has too,
    /// with `Server` among them, then those of the body.
    pub lines: String,
    /// How many bytes of `lines` a 304 has too.
    pub shared_bytes: usize,
}

/// A digest of a file's content, and the state of the file in which it was made.
#[derive(Debug, Clone)]
pub(crate) struct Digest {
    facts: Facts,
    content: blake3::Hash,
}

/// Where the bytes of a representation are.
#[derive(Debug)]
pub(crate) enum Body {
    /// In memory.
    Memory(Vec<u8>),
    /// In the file that was opened.
    File(OpenFile),
}

/// A file that is sent from where it is.
#[derive(Debug)]
pub(crate) struct OpenFile {
    /// The file.
    pub file: Arc<File>,
    /// Its length when it was opened.
    len: u64,
    /// When all of it was last seen in the kernel's memory, where one look shows that.
    resident_at: Cell<Option<Instant>>,
}

/// How long a file that was seen in memory is taken to be there still.
const RESIDENT_TIME: Duration = Duration::from_secs(1);

/// How long what was known of a path is served where it can't be found out what it is now.
const STAND_IN_TIME: Duration = Duration::from_secs(60);

impl OpenFile {
    /// A file of which nothing is known yet.
    #[must_use]
    pub(crate) fn new(file: File, len: u64) -> Self {
        Self {
            file: Arc::new(file),
            len,
            resident_at: Cell::new(None),
        }
    }

    /// Whether the end of a range is in the kernel's memory, and with it, as files are read ahead in
    /// order, most likely all of it. One system call, for at most 2 MiB; of a file that is no longer
    /// than that it is remembered for a second.
    #[must_use]
    pub(crate) fn is_resident(&self, range: &Range<u64>, now: Instant) -> bool {
        let seen_at = self.resident_at.get();
        if seen_at.is_some_and(|seen_at| now.duration_since(seen_at) < RESIDENT_TIME) {
            return true;
        }
        let mut byte = [0];
        let mut slices = [IoSliceMut::new(&mut byte)];
        let last = range.end.saturating_sub(1);
        let read = preadv2(&self.file, &mut slices, last, ReadWriteFlags::NOWAIT);
        // EOPNOTSUPP: this file system can't tell.
        let is_resident = read != Err(Errno::AGAIN);
        if is_resident && *range == (0..self.len) && self.len < SENDFILE_CAP_BYTES as u64 {
            self.resident_at.set(Some(now));
        }
        is_resident
    }
}

impl Page {
    /// The representation in `coding`.
    #[must_use]
    pub(crate) fn of(&self, coding: Coding) -> Option<&Representation> {
        self.representations.iter().find(|one| one.coding == coding)
    }
}

impl Resource {
    /// A resource that depends on no file.
    #[must_use]
    pub(crate) fn fixed(kind: Kind) -> Self {
        Self {
            kind,
            witnesses: Vec::new(),
            is_uncertain: false,
            stands_in_since: Cell::new(None),
        }
    }

    /// Whether it may stand for what its path is now, which can't be found out: for a time, as the file
    /// may be another one or none by then.
    #[must_use]
    pub(crate) fn may_stand_in(&self, now: Instant) -> bool {
        let since = self.stands_in_since.get().unwrap_or(now);
        self.stands_in_since.set(Some(since));
        now.duration_since(since) < STAND_IN_TIME
    }

    /// Whether everything is still as it was found. A system call a witness.
    #[must_use]
    pub(crate) fn still_holds(&self) -> bool {
        let holds = !self.is_uncertain && self.witnesses.iter().all(Witness::still_holds);
        if holds {
            self.stands_in_since.set(None);
        }
        holds
    }

    /// The digests that were made for it: they need not be made again for the same files. None where
    /// the same facts may be those of another content.
    #[must_use]
    pub(crate) fn digests(&self) -> Vec<Digest> {
        match &self.kind {
            Kind::Page(page) if !self.is_uncertain => {
                let all = page.representations.iter();
                all.filter_map(|one| one.digest.clone()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// How many files it keeps open.
    #[must_use]
    pub(crate) fn files(&self) -> usize {
        match &self.kind {
            Kind::Page(page) => {
                let bodies = page.representations.iter().map(|one| &one.body);
                bodies.filter(|body| matches!(body, Body::File(_))).count()
            }
            _ => 0,
        }
    }

    /// Memory that it takes.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        let witnesses: usize = self.witnesses.iter().map(Witness::bytes).sum();
        let pages: usize = match &self.kind {
            Kind::Page(page) => page.representations.iter().map(Representation::bytes).sum(),
            Kind::Elsewhere(_, location) => location.len(),
            _ => 0,
        };
        size_of::<Self>() + witnesses + pages
    }
}

impl Representation {
    fn bytes(&self) -> usize {
        let body = match &self.body {
            Body::Memory(bytes) => bytes.len(),
            // What the kernel keeps for an open file.
            Body::File(_) => 1024,
        };
        let content_type = self.content_type.as_ref().map_or(0, String::len);
        size_of::<Self>() + body + self.lines.len() + content_type + 64
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::beneath::{Opener, Patience};
    use crate::rules::{Etag, Rules};
    use crate::site::Site;

    #[test]
    fn what_was_known_stands_in_for_a_time() {
        let known = Resource::fixed(Kind::NotFound);
        let now = Instant::now();
        assert!(known.may_stand_in(now));
        assert!(known.may_stand_in(now + STAND_IN_TIME / 2));
        assert!(!known.may_stand_in(now + STAND_IN_TIME));
        // What is seen to be as it was begins anew.
        assert!(known.still_holds());
        assert!(known.may_stand_in(now + STAND_IN_TIME));
    }

    /// A look at a part of a file says nothing of the rest of it.
    #[test]
    fn only_a_whole_file_is_remembered_to_be_in_memory() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(100_000).unwrap();
        let (open, now) = (OpenFile::new(file, 100_000), Instant::now());
        for (range, remembered) in [(0..2, false), (1..100_000, false), (0..100_000, true)] {
            let is_resident = open.is_resident(&range, now);
            assert_eq!(open.resident_at.get().is_some(), remembered && is_resident);
        }
    }

    fn find_by_content(root: &Path, digests: &[Digest]) -> Resource {
        let rules = Rules {
            etag: Etag::Content,
            ..Rules::default()
        };
        let site = Site::new("a".to_owned(), root.to_owned(), Arc::new(rules), 1);
        find(&site, b"/long", Opener::probe(), Patience::Wait, digests).unwrap()
    }

    /// A second change within the same tick leaves the facts as they are, and not the content.
    #[test]
    fn a_digest_of_a_file_that_just_changed_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        let len = usize::try_from(MEMORY_BODY_BYTES).unwrap() + 1;
        std::fs::write(&path, vec![b'x'; len]).unwrap();
        let uncertain = find_by_content(folder.path(), &[]);
        assert!(uncertain.is_uncertain);
        assert_eq!(uncertain.digests().len(), 0);
        // Beyond the grain of any file system's times.
        std::thread::sleep(Duration::from_millis(2500));
        let certain = find_by_content(folder.path(), &[]);
        assert!(!certain.is_uncertain);
        assert_eq!(certain.digests().len(), 1);
    }
}
