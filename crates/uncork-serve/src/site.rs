//! The sites of a server, by host.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::host::{HostName, HostPattern};
use crate::metrics::SiteCounters;
use crate::rules::Rules;

/// One site: a folder and how it is served. Clones are the same site.
///
/// What every request needs of it stands in it and not behind a pointer: with thousands of sites, each
/// pointer that is followed leads to memory that the processor does not have at hand.
#[derive(Debug, Clone)]
pub struct Site {
    /// Tells it from all others, earlier ones of the same name included.
    pub id: SiteId,
    /// What it has served.
    pub counters: SiteCounters,
    about: Arc<About>,
}

#[derive(Debug)]
struct About {
    name: String,
    root: PathBuf,
    rules: Arc<Rules>,
}

/// Tells a site from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteId(u64);

impl Site {
    /// A new site.
    #[must_use]
    pub fn new(name: String, root: PathBuf, rules: Arc<Rules>, workers: usize) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: SiteId(NEXT.fetch_add(1, Ordering::Relaxed)),
            counters: SiteCounters::new(workers),
            about: Arc::new(About { name, root, rules }),
        }
    }

    /// Its first name, for logs and metrics.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.about.name
    }

    /// Its folder, absolute.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.about.root
    }

    /// How it is served.
    #[must_use]
    pub fn rules(&self) -> &Arc<Rules> {
        &self.about.rules
    }
}

/// A host's name. Most stand in the map itself.
type Key = SmallVec<[u8; 32]>;

/// All sites at one moment. A change makes a new one; what stays the same is shared.
#[derive(Debug, Default)]
pub struct Sites {
    exact: HashMap<Key, Site>,
    /// By what stands behind `*.`.
    beneath: HashMap<Key, Site>,
    default: Option<Site>,
}

impl Sites {
    /// Adds a site under one of its names. An earlier one of that name stays.
    pub fn add(&mut self, pattern: &HostPattern, site: &Site) {
        let site = site.clone();
        match pattern {
            HostPattern::Exact(name) => {
                self.exact.entry(name.as_bytes().into()).or_insert(site);
            }
            HostPattern::Beneath(name) => {
                self.beneath.entry(name.as_bytes().into()).or_insert(site);
            }
            HostPattern::Default => {
                self.default.get_or_insert(site);
            }
        }
    }

    /// The site of a request: by its name, else by the longest wildcard above it, else the default.
    #[must_use]
    pub fn find(&self, host: Option<&HostName<'_>>) -> Option<&Site> {
        let Some(host) = host else {
            return self.default.as_ref();
        };
        if let Some(site) = self.exact.get(host.as_bytes()) {
            return Some(site);
        }
        if !self.beneath.is_empty() {
            let found = host
                .parents()
                .find_map(|parent| self.beneath.get(parent.as_bytes()));
            if found.is_some() {
                return found;
            }
        }
        self.default.as_ref()
    }

    /// The site that has exactly this pattern.
    #[must_use]
    pub fn of(&self, pattern: &HostPattern) -> Option<&Site> {
        match pattern {
            HostPattern::Exact(name) => self.exact.get(name.as_bytes()),
            HostPattern::Beneath(name) => self.beneath.get(name.as_bytes()),
            HostPattern::Default => self.default.as_ref(),
        }
    }

    /// Every site, once a name.
    pub fn iter(&self) -> impl Iterator<Item = &Site> {
        let named = self.exact.values().chain(self.beneath.values());
        named.chain(self.default.as_ref())
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.exact.len() + self.beneath.len() + usize::from(self.default.is_some())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether requests for any other name are served too.
    #[must_use]
    pub fn has_default(&self) -> bool {
        self.default.is_some()
    }
}
