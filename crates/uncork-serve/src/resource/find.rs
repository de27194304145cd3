//! How a path is looked up: redirects, index, suffix, codings, in this order.

use std::cell::Cell;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::{FileType, fstat};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use smallvec::SmallVec;

use super::{
    Body, Digest, Kind, MEMORY_BODY_BYTES, OpenFile, Page, Representation, Resource, listing,
};
use crate::accept_encoding::{Coding, CodingSet};
use crate::beneath::{OpenError, Opener, Patience};
use crate::lines;
use crate::media_type;
use crate::rules::{Etag, Redirect, Rules};
use crate::site::Site;
use crate::witness::{Facts, Witness};

/// Times of change before this day mean nothing: packers of images and stores set them.
const MEANINGLESS_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// From the year 10000 on there is no date of HTTP.
const TIME_END: Duration = Duration::from_secs(253_402_300_800);

/// How long after a file's change its time is a strong validator: nothing changed it a second time
/// within the second that is sent (RFC 9110, section 8.8.2.2, with room for clocks that differ).
const STRONG_AFTER: Duration = Duration::from_secs(60);

/// Longest file whose content makes an ETag; of longer ones it is time and size.
const DIGEST_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How often a file that changes while it is read is read again.
const READS_MAX: usize = 4;

/// The codings that stand in files of their own.
const CODINGS: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

/// Finds what `path` is in `site`: a validated path that begins with `/`; where folders are listed,
/// perhaps with a NUL and the [code](listing::Order::code) of an order behind it. `None` where that is
/// not known without the disk and `patience` is [`Patience::CachedOnly`]. `digests` are
/// what was known of the path before.
#[must_use]
pub(crate) fn find(
    site: &Site,
    key: &[u8],
    opener: Opener,
    patience: Patience,
    digests: &[Digest],
) -> Option<Resource> {
    let rules = site.rules();
    let (path, order) = match key {
        [path @ .., 0, code] => (path, listing::Order::of_code(*code)),
        path => (path, listing::Order::of_query(b"")),
    };
    if let Some((status, location)) = redirect(&rules.redirects, path) {
        return Some(Resource::fixed(Kind::Elsewhere(status, location)));
    }
    if !rules.hidden && is_hidden(path) {
        return Some(Resource::fixed(Kind::NotFound));
    }
    let mut search = Search {
        site,
        path,
        order,
        opener,
        patience,
        digests,
        root: None,
        witnesses: Vec::new(),
        is_listing: false,
    };
    // Before the search: what changes during it is as uncertain as what changed right before.
    let now = SystemTime::now();
    let kind = match search.find() {
        Ok(kind) => kind,
        Err(OpenError::NeedsDisk) => return None,
        Err(OpenError::NotFound) => Kind::NotFound,
        Err(OpenError::Refused) => Kind::Forbidden,
        Err(OpenError::Failed(_)) => Kind::Failed,
    };
    let mut seen = search.witnesses.iter().filter_map(Witness::seen);
    let is_uncertain = matches!(kind, Kind::Failed)
        || search.is_listing
        || seen.any(|facts| facts.may_hide_a_change(now));
    Some(Resource {
        kind,
        witnesses: search.witnesses,
        is_uncertain,
        stands_in_since: Cell::new(None),
    })
}

/// Where a rule sends this path.
fn redirect(redirects: &[Redirect], path: &[u8]) -> Option<(u16, String)> {
    redirects.iter().find_map(|rule| {
        let location = match rule.from.strip_suffix('*') {
            None if rule.from.as_bytes() == path => rule.to.clone(),
            None => return None,
            Some(above) => {
                let rest = path.strip_prefix(above.as_bytes())?;
                match rule.to.strip_suffix('*') {
                    None => rule.to.clone(),
                    Some(to) if to.contains('?') => format!("{to}{}", lines::encode_in_query(rest)),
                    Some(to) => format!("{to}{}", lines::encode_path(rest)),
                }
            }
        };
        Some((rule.status, location))
    })
}

/// Whether a segment begins with a dot; `/.well-known` is there to be seen (RFC 8615).
#[must_use]
pub(crate) fn is_hidden(path: &[u8]) -> bool {
    if path == b"/.well-known" {
        return false;
    }
    let path = path.strip_prefix(b"/.well-known/").unwrap_or(path);
    path.starts_with(b".") || memchr::memmem::find(path, b"/.").is_some()
}

/// One lookup.
struct Search<'a> {
    site: &'a Site,
    path: &'a [u8],
    order: listing::Order,
    opener: Opener,
    patience: Patience,
    digests: &'a [Digest],
    root: Option<OwnedFd>,
    witnesses: Vec<Witness>,
    /// A listing shows sizes, which change without the folder.
    is_listing: bool,
}

/// What was opened.
enum Opened {
    File(OwnedFd, Facts),
    Folder(OwnedFd, Facts),
}

impl Search<'_> {
    fn find(&mut self) -> Result<Kind, OpenError> {
        let relative = &self.path[1..];
        let is_folder = relative.is_empty() || relative.ends_with(b"/");
        if is_folder {
            return self.find_in_folder(relative);
        }
        match self.open(relative) {
            Ok(Opened::File(file, facts)) => self.page(relative, Some((file, facts))),
            Ok(Opened::Folder(..)) => Ok(Kind::Elsewhere(
                301,
                format!("{}/", lines::encode_path(self.path)),
            )),
            Err(OpenError::NotFound) => self.find_beside(relative),
            Err(error) => Err(error),
        }
    }

    /// A path that ends with a slash: its index, or a listing.
    fn find_in_folder(&mut self, relative: &[u8]) -> Result<Kind, OpenError> {
        let rules: Arc<Rules> = Arc::clone(self.site.rules());
        for index in &rules.index {
            let name = [relative, index.as_bytes()].concat();
            match self.open(&name) {
                Ok(Opened::File(file, facts)) => return self.page(&name, Some((file, facts))),
                Ok(Opened::Folder(..)) => {}
                Err(OpenError::NotFound) => {
                    if let kind @ Kind::Page(_) = self.page(&name, None)? {
                        return Ok(kind);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        if !rules.listing {
            return Ok(Kind::NotFound);
        }
        if self.patience == Patience::CachedOnly {
            return Err(OpenError::NeedsDisk);
        }
        let Opened::Folder(folder, _) = self.open(relative)? else {
            return Ok(Kind::NotFound);
        };
        let page =
            listing::page(&folder, self.path, self.order, &rules).map_err(OpenError::Failed)?;
        self.is_listing = true;
        Ok(self.memory_page(page))
    }

    /// Where the path itself is nothing: with `.html` behind it, or only compressed.
    fn find_beside(&mut self, relative: &[u8]) -> Result<Kind, OpenError> {
        if let kind @ Kind::Page(_) = self.page(relative, None)? {
            return Ok(kind);
        }
        if !self.site.rules().html_suffix {
            return Ok(Kind::NotFound);
        }
        let name = [relative, b".html"].concat();
        match self.open(&name) {
            Ok(Opened::File(file, facts)) => self.page(&name, Some((file, facts))),
            Ok(Opened::Folder(..)) => Ok(Kind::NotFound),
            Err(OpenError::NotFound) => self.page(&name, None),
            Err(error) => Err(error),
        }
    }

    /// The page of a file and of what stands compressed beside it.
    fn page(&mut self, name: &[u8], identity: Option<(OwnedFd, Facts)>) -> Result<Kind, OpenError> {
        let mut found: SmallVec<[(Coding, OwnedFd, CString); 1]> = SmallVec::new();
        let changed = identity.as_ref().map(|(_, facts)| facts.modified);
        if let Some((file, _)) = identity {
            found.push((Coding::Identity, file, self.absolute(name)));
        }
        if self.site.rules().precompressed {
            for coding in CODINGS {
                let name = [name, coding.suffix().as_bytes()].concat();
                match self.open_sibling(&name) {
                    // One that is older than the file is of an earlier content.
                    Ok(Opened::File(_, facts))
                        if changed.is_some_and(|changed| is_older(facts.modified, changed)) =>
                    {
                        let path = self.absolute(&name);
                        self.witnesses.push(Witness::opened(path, facts));
                    }
                    Ok(Opened::File(file, _)) => {
                        found.push((coding, file, self.absolute(&name)));
                    }
                    Ok(Opened::Folder(..)) | Err(OpenError::NotFound) => {}
                    Err(OpenError::Refused) => {
                        let path = self.absolute(&name);
                        self.witnesses.push(Witness::of(path));
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        if found.is_empty() {
            return Ok(Kind::NotFound);
        }
        let codings = found
            .iter()
            .fold(CodingSet::EMPTY, |set, (coding, ..)| set.with(*coding));
        let varies = found.len() > 1 || !codings.contains(Coding::Identity);
        let mut representations = SmallVec::new();
        for (coding, file, path) in found {
            let (facts, representation) = self.representation(name, coding, file, varies)?;
            self.witnesses.push(Witness::opened(path, facts));
            representations.push(representation);
        }
        Ok(Kind::Page(Page {
            representations,
            codings,
        }))
    }

    fn representation(
        &self,
        name: &[u8],
        coding: Coding,
        file: OwnedFd,
        varies: bool,
    ) -> Result<(Facts, Representation), OpenError> {
        let rules = self.site.rules();
        let (facts, body) = self.read(file)?;
        let has_time = (MEANINGLESS_TIME..TIME_END).contains(&facts.modified);
        let by_content = match rules.etag {
            Etag::Auto => !has_time,
            Etag::Content => true,
            Etag::Off => false,
        };
        let mut digest = None;
        let etag = match (&body, rules.etag) {
            (_, Etag::Off) => None,
            (Body::Memory(bytes), _) if by_content => {
                Some(content_tag(&blake3::hash(bytes), coding))
            }
            (Body::File(file), _) if by_content && facts.len <= DIGEST_BYTES_MAX => {
                let made = self.digest(&file.file, facts)?;
                Some(content_tag(&digest.insert(made).content, coding))
            }
            _ => Some(time_tag(&facts, coding)),
        };
        // A time that is still to come is none yet (RFC 9110, section 8.8.2.1).
        let age = since_epoch(SystemTime::now()).checked_sub(facts.modified);
        let last_modified = (has_time && age.is_some()).then_some(facts.modified.as_secs());
        let is_date_strong = age.is_some_and(|age| age >= STRONG_AFTER);
        let content_type = media_type::of(name, &rules.types).into_owned();
        let lines = lines::render(&lines::Facts {
            rules,
            path: self.path,
            file: Some(name),
            content_type: &content_type,
            coding,
            varies,
            etag: etag.as_deref(),
            last_modified,
        });
        let representation = Representation {
            coding,
            len: facts.len,
            body,
            // What is not sent is no condition, either.
            etag: etag.filter(|_| lines.has_etag),
            digest,
            last_modified: last_modified.filter(|_| lines.has_last_modified),
            is_date_strong,
            content_type: lines.content_type,
            shared_bytes: lines.shared_bytes,
            lines: lines.text,
        };
        Ok((facts, representation))
    }

    /// A page that was made, of HTML.
    fn memory_page(&self, html: String) -> Kind {
        let rules = self.site.rules();
        let bytes = html.into_bytes();
        let etag =
            (rules.etag != Etag::Off).then(|| content_tag(&blake3::hash(&bytes), Coding::Identity));
        let content_type = media_type::of(b"index.html", &rules.types).into_owned();
        let lines = lines::render(&lines::Facts {
            rules,
            path: self.path,
            file: None,
            content_type: &content_type,
            coding: Coding::Identity,
            varies: false,
            etag: etag.as_deref(),
            last_modified: None,
        });
        Kind::Page(Page {
            codings: CodingSet::EMPTY.with(Coding::Identity),
            representations: SmallVec::from_iter([Representation {
                coding: Coding::Identity,
                len: bytes.len() as u64,
                body: Body::Memory(bytes),
                etag: etag.filter(|_| lines.has_etag),
                digest: None,
                last_modified: None,
                is_date_strong: false,
                content_type: lines.content_type,
                shared_bytes: lines.shared_bytes,
                lines: lines.text,
            }]),
        })
    }

    /// Opens what a path may be, and keeps in mind what came of it where that is no file.
    fn open(&mut self, relative: &[u8]) -> Result<Opened, OpenError> {
        let opened = self.open_sibling(relative);
        let path = self.absolute(relative);
        match &opened {
            Ok(Opened::Folder(_, facts)) => self.witnesses.push(Witness::opened(path, *facts)),
            Err(OpenError::NotFound) => self.witnesses.push(Witness::absent(path)),
            // What it leads to may be allowed later without a change of its own folder.
            Err(OpenError::Refused) => self.witnesses.push(Witness::of(path)),
            Ok(Opened::File(..)) | Err(OpenError::NeedsDisk | OpenError::Failed(_)) => {}
        }
        opened
    }

    /// Opens a path beneath the root: a file or a folder; anything else is refused.
    fn open_sibling(&mut self, relative: &[u8]) -> Result<Opened, OpenError> {
        let root = match &self.root {
            Some(root) => root,
            None => {
                let root = self.opener.root(self.site.root(), self.patience)?;
                self.root.insert(root)
            }
        };
        let symlinks = self.site.rules().symlinks;
        let file = self
            .opener
            .open(root.as_fd(), relative, symlinks, self.patience)?;
        let stat = fstat(&file).map_err(|errno| OpenError::Failed(errno.into()))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(Opened::File(file, Facts::of(&stat))),
            FileType::Directory => Ok(Opened::Folder(file, Facts::of(&stat))),
            _ => Err(OpenError::Refused),
        }
    }

    /// A body, and the facts of the file at the moment to which the body belongs.
    fn read(&self, file: OwnedFd) -> Result<(Facts, Body), OpenError> {
        let file = File::from(file);
        let look = || match fstat(&file) {
            Ok(stat) => Ok(Facts::of(&stat)),
            Err(errno) => Err(OpenError::Failed(errno.into())),
        };
        let mut facts = look()?;
        for _ in 0..READS_MAX {
            if facts.len > MEMORY_BODY_BYTES {
                break;
            }
            let bytes = self.read_whole(&file, facts.len)?;
            let after = look()?;
            if after == facts && bytes.len() as u64 == facts.len {
                return Ok((facts, Body::Memory(bytes)));
            }
            facts = after;
        }
        Ok((facts, Body::File(OpenFile::new(file, facts.len))))
    }

    fn read_whole(&self, file: &File, len: u64) -> Result<Vec<u8>, OpenError> {
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read_at(file, filled as u64, &mut bytes[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn read_at(&self, file: &File, offset: u64, buffer: &mut [u8]) -> Result<usize, OpenError> {
        loop {
            let read = match self.patience {
                Patience::Wait => rustix::io::pread(file, &mut *buffer, offset),
                Patience::CachedOnly => {
                    let mut slices = [io::IoSliceMut::new(buffer)];
                    preadv2(file, &mut slices, offset, ReadWriteFlags::NOWAIT)
                }
            };
            match read {
                Ok(read) => return Ok(read),
                Err(Errno::INTR) => {}
                // EOPNOTSUPP: this file system can't tell.
                Err(Errno::AGAIN | Errno::OPNOTSUPP) if self.patience == Patience::CachedOnly => {
                    return Err(OpenError::NeedsDisk);
                }
                Err(errno) => return Err(OpenError::Failed(errno.into())),
            }
        }
    }

    /// A long file's content: a digest that is known already, or made by reading all of it.
    fn digest(&self, file: &File, facts: Facts) -> Result<Digest, OpenError> {
        if let Some(known) = self.digests.iter().find(|known| known.facts == facts) {
            return Ok(known.clone());
        }
        if self.patience == Patience::CachedOnly {
            return Err(OpenError::NeedsDisk);
        }
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 64 * 1024];
        let mut offset = 0;
        loop {
            let read = self.read_at(file, offset, &mut buffer)?;
            if read == 0 {
                let content = hasher.finalize();
                return Ok(Digest { facts, content });
            }
            hasher.update(&buffer[..read]);
            offset += read as u64;
        }
    }

    /// The path from the file system's root. A validated path has no NUL in it.
    fn absolute(&self, relative: &[u8]) -> CString {
        let root = self.site.root().as_os_str().as_bytes();
        CString::new([root, b"/", relative].concat()).unwrap_or_default()
    }
}

fn since_epoch(time: SystemTime) -> Duration {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default()
}

/// Whether a coded file's time of change is before that of the plain one. Some tools that copy a time
/// cut it to the second: a whole second is compared by seconds.
fn is_older(coded: Duration, plain: Duration) -> bool {
    if coded.subsec_nanos() == 0 {
        return coded.as_secs() < plain.as_secs();
    }
    coded < plain
}

/// A strong ETag of time and size; of one coding, as two files of one page may share both.
fn time_tag(facts: &Facts, coding: Coding) -> String {
    let nanos = facts.modified.as_nanos();
    format!("\"{nanos:x}-{:x}{}\"", facts.len, coding.suffix())
}

/// A strong ETag of 128 bits of the content's digest; of one coding, as the same bytes in another
/// one are another page.
fn content_tag(digest: &blake3::Hash, coding: Coding) -> String {
    format!("\"{}{}\"", &digest.to_hex()[..32], coding.suffix())
}
