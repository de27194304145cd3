//! Resources that a worker keeps, bounded in entries and bytes.

use std::hash::BuildHasher;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;
use smallvec::SmallVec;

use crate::resource::Resource;
use crate::site::SiteId;

/// A resource is compared with the file system where its last comparison is longer ago: so long may
/// a change stay unseen.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A resource is found anew where it was found longer ago. What a comparison does not show is seen then:
/// a compressed file that has appeared beside it, a folder on the way that has become a link.
pub(crate) const AGE_MAX: Duration = Duration::from_secs(10);

/// How many ticks it takes to look at all entries for files that nobody asks for any more.
const SWEEP_TICKS: usize = 60;

/// Longest key that is kept. What is behind a longer one is found anew each time.
const KEY_BYTES_MAX: usize = 1024;

/// A cache of resources by site and path. What was used since the hand passed it is spared once
/// (the clock algorithm), so that a hit writes one flag.
#[derive(Debug)]
pub(crate) struct Cache {
    table: HashTable<usize>,
    entries: Slab<Entry>,
    hasher: DefaultHashBuilder,
    hand: usize,
    sweep_at: usize,
    doubted: Option<Instant>,
    bytes: usize,
    files: usize,
    bounds: Bounds,
}

/// What a cache has of a path.
#[derive(Debug)]
pub(crate) enum Kept<'c> {
    /// What it is.
    Valid(&'c Rc<Resource>),
    /// What it was.
    Old(Rc<Resource>),
    /// Nothing.
    Nothing,
}

/// What a cache may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Resources.
    pub entries: usize,
    /// Their memory.
    pub bytes: usize,
    /// Files that they keep open.
    pub files: usize,
}

#[derive(Debug)]
struct Entry {
    site: SiteId,
    /// Most keys stand here and not somewhere else.
    key: SmallVec<[u8; 32]>,
    hash: u64,
    resource: Rc<Resource>,
    found_at: Instant,
    checked_at: Instant,
    bytes: usize,
    files: usize,
    was_used: bool,
}

impl Cache {
    /// An empty cache with these bounds.
    #[must_use]
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            table: HashTable::new(),
            entries: Slab::new(),
            hasher: DefaultHashBuilder::default(),
            hand: 0,
            sweep_at: 0,
            doubted: None,
            bytes: 0,
            files: 0,
            bounds,
        }
    }

    /// The resource of a path, if it is kept and still holds.
    pub(crate) fn get(&mut self, site: SiteId, key: &[u8], now: Instant) -> Kept<'_> {
        let hash = self.hash(site, key);
        let entries = &self.entries;
        let found = self
            .table
            .find(hash, |index| is(entries, *index, site, key));
        let Some(index) = found.copied() else {
            return Kept::Nothing;
        };
        let entry = &mut self.entries[index];
        if now.duration_since(entry.checked_at) >= CHECK_INTERVAL
            || self
                .doubted
                .is_some_and(|doubted| entry.checked_at <= doubted)
        {
            let is_old = now.duration_since(entry.found_at) >= AGE_MAX;
            if is_old || !entry.resource.still_holds() {
                return Kept::Old(self.remove(index));
            }
            entry.checked_at = now;
        }
        let entry = &mut self.entries[index];
        entry.was_used = true;
        Kept::Valid(&entry.resource)
    }

    /// A file was not what it had been found to be: everything is compared before it is used again.
    pub(crate) fn doubt(&mut self, now: Instant) {
        self.doubted = Some(now);
    }

    /// Keeps a resource, and lets go of others where there is no room.
    pub(crate) fn insert(
        &mut self,
        site: SiteId,
        key: &[u8],
        resource: &Rc<Resource>,
        now: Instant,
    ) {
        let hash = self.hash(site, key);
        let entries = &self.entries;
        let earlier = self
            .table
            .find(hash, |index| is(entries, *index, site, key));
        if let Some(index) = earlier.copied() {
            self.remove(index);
        }
        let bytes = resource.bytes() + key.len() + size_of::<Entry>();
        let files = resource.files();
        let Bounds {
            entries: entries_max,
            bytes: bytes_max,
            files: files_max,
        } = self.bounds;
        if key.len() > KEY_BYTES_MAX || entries_max == 0 || bytes > bytes_max || files > files_max {
            return;
        }
        while self.entries.len() >= entries_max || self.bytes + bytes > bytes_max {
            self.evict(|_| true);
        }
        while self.files + files > files_max {
            self.evict(|entry| entry.files > 0);
        }
        let index = self.entries.insert(Entry {
            site,
            key: key.into(),
            hash,
            resource: Rc::clone(resource),
            found_at: now,
            checked_at: now,
            bytes,
            files,
            was_used: false,
        });
        self.bytes += bytes;
        self.files += files;
        let entries = &self.entries;
        self.table
            .insert_unique(hash, index, |index| entries[*index].hash);
    }

    /// Lets go of what belongs to sites that are gone.
    pub(crate) fn retain_sites(&mut self, is_there: impl Fn(SiteId) -> bool) {
        let gone: Vec<usize> = self
            .entries
            .iter()
            .filter(|(_, entry)| !is_there(entry.site))
            .map(|(index, _)| index)
            .collect();
        for index in gone {
            self.remove(index);
        }
    }

    /// Lets go of half of the files that are kept open: descriptors have run out.
    pub(crate) fn release_files(&mut self) {
        let most = self.files / 2;
        while self.files > most {
            self.evict(|entry| entry.files > 0);
        }
    }

    /// Once a second: lets go of files that nobody has asked for in the last minute or two. A deleted
    /// file keeps its room on the disk, and its file system, for as long as it is open.
    pub(crate) fn sweep(&mut self) {
        let ends = self.entries.capacity();
        for _ in 0..ends.div_ceil(SWEEP_TICKS) {
            self.sweep_at = if self.sweep_at >= ends {
                0
            } else {
                self.sweep_at
            };
            match self.entries.get_mut(self.sweep_at) {
                Some(entry) if entry.files == 0 => {}
                Some(entry) if entry.was_used => entry.was_used = false,
                Some(_) => drop(self.remove(self.sweep_at)),
                None => {}
            }
            self.sweep_at += 1;
        }
    }

    /// How many resources are kept.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Memory that they take.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn hash(&self, site: SiteId, key: &[u8]) -> u64 {
        self.hasher.hash_one((site, key))
    }

    /// Moves the hand on to the first of those meant that was not used since it passed, and lets go
    /// of it. There has to be one.
    fn evict(&mut self, is_meant: impl Fn(&Entry) -> bool) {
        loop {
            if self.hand >= self.entries.capacity() {
                self.hand = 0;
            }
            let index = self.hand;
            self.hand += 1;
            match self.entries.get_mut(index) {
                Some(entry) if !is_meant(entry) => {}
                Some(entry) if entry.was_used => entry.was_used = false,
                Some(_) => {
                    self.remove(index);
                    return;
                }
                None => {}
            }
        }
    }

    fn remove(&mut self, index: usize) -> Rc<Resource> {
        let entry = self.entries.remove(index);
        self.bytes -= entry.bytes;
        self.files -= entry.files;
        if let Ok(found) = self.table.find_entry(entry.hash, |other| *other == index) {
            found.remove();
        }
        entry.resource
    }
}

fn is(entries: &Slab<Entry>, index: usize, site: SiteId, key: &[u8]) -> bool {
    let entry = &entries[index];
    entry.site == site && *entry.key == *key
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::beneath::{Opener, Patience};
    use crate::resource::{Kind, find};
    use crate::rules::Rules;
    use crate::site::Site;

    fn site() -> SiteId {
        let rules = Arc::new(Rules::default());
        Site::new("test".to_owned(), "/".into(), rules, 1).id
    }

    fn bounds(entries: usize) -> Bounds {
        Bounds {
            entries,
            bytes: 1_000_000,
            files: 10,
        }
    }

    fn is_valid(cache: &mut Cache, site: SiteId, key: &[u8], now: Instant) -> bool {
        matches!(cache.get(site, key, now), Kept::Valid(_))
    }

    fn resource(bytes: usize) -> Rc<Resource> {
        let location = "x".repeat(bytes);
        Rc::new(Resource::fixed(Kind::Elsewhere(301, location)))
    }

    #[test]
    fn entries_and_bytes_are_bounded_and_what_is_used_stays() {
        let (a, b) = (site(), site());
        let now = Instant::now();
        let mut cache = Cache::new(bounds(100));
        let one = resource(10);
        cache.insert(a, b"/kept", &one, now);
        for number in 0..1000 {
            assert!(is_valid(&mut cache, a, b"/kept", now), "{number}");
            assert!(!is_valid(&mut cache, b, b"/kept", now));
            cache.insert(a, format!("/{number}").as_bytes(), &one, now);
            assert!(cache.len() <= 100);
        }
        assert_eq!(cache.len(), 100);
        for number in 0..1000 {
            cache.insert(b, format!("/{number}").as_bytes(), &resource(50_000), now);
            assert!(cache.bytes() <= 1_000_000);
        }
        assert!(cache.len() < 20);
        cache.insert(b, b"/huge", &resource(2_000_000), now);
        assert!(!is_valid(&mut cache, b, b"/huge", now));
        cache.retain_sites(|id| id == a);
        assert!(!is_valid(&mut cache, b, b"/999", now));
        cache.retain_sites(|_| false);
        assert_eq!((cache.len(), cache.bytes()), (0, 0));
    }

    #[test]
    fn open_files_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let large = vec![0; 70_000];
        let site = Site::new("test".to_owned(), folder.path().into(), Arc::default(), 1);
        let now = Instant::now();
        let mut cache = Cache::new(Bounds {
            files: 3,
            ..bounds(100)
        });
        cache.insert(site.id, b"/kept", &resource(10), now);
        for number in 0..10 {
            std::fs::write(folder.path().join(number.to_string()), &large).unwrap();
            let key = format!("/{number}");
            let found = find(&site, key.as_bytes(), Opener::probe(), Patience::Wait, &[]);
            cache.insert(site.id, key.as_bytes(), &Rc::new(found.unwrap()), now);
            assert!(is_valid(&mut cache, site.id, b"/kept", now));
            assert!(cache.files <= 3);
        }
        assert_eq!((cache.files, cache.len()), (3, 4));
        // One in four codings is more than there is room for.
        for suffix in ["", ".br", ".zst", ".gz"] {
            std::fs::write(folder.path().join(format!("a{suffix}")), &large).unwrap();
        }
        let found = find(&site, b"/a", Opener::probe(), Patience::Wait, &[]).unwrap();
        cache.insert(site.id, b"/a", &Rc::new(found), now);
        assert_eq!((cache.files, cache.len()), (3, 4));
        cache.retain_sites(|_| false);
        assert_eq!(cache.files, 0);
    }

    #[test]
    fn a_second_one_of_a_name_replaces_the_first() {
        let site = site();
        let now = Instant::now();
        let mut cache = Cache::new(bounds(10));
        cache.insert(site, b"/", &resource(10), now);
        let second = resource(20);
        cache.insert(site, b"/", &second, now);
        assert_eq!(cache.len(), 1);
        match cache.get(site, b"/", now) {
            Kept::Valid(kept) => assert!(Rc::ptr_eq(kept, &second)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_does_not_hold_any_more_is_gone_at_the_next_check() {
        let site = site();
        let now = Instant::now();
        let mut cache = Cache::new(bounds(10));
        let uncertain = Rc::new(Resource {
            is_uncertain: true,
            ..Resource::fixed(Kind::NotFound)
        });
        cache.insert(site, b"/", &uncertain, now);
        assert!(is_valid(&mut cache, site, b"/", now));
        assert!(!is_valid(&mut cache, site, b"/", now + CHECK_INTERVAL));
        assert_eq!(cache.len(), 0);
    }
}
