//! What one worker decides with: the sites, what it keeps of them, the time, and where it writes down
//! what it did.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::beneath::{Opener, Patience};
use crate::cache::{Cache, Kept};
use crate::clock::Clock;
use crate::limits::Limits;
use crate::loader::{Counter, Errand};
use crate::log::WorkerLog;
use crate::metrics::WorkerMetrics;
use crate::outgoing::Outgoing;
use crate::request::{Method, Request};
use crate::resource::{self, Kind, Order, Resource};
use crate::respond::{Decision, decide};
use crate::site::{Site, SiteId, Sites};
use crate::token::Token;

/// Everything of a worker but its connections.
#[derive(Debug)]
#[expect(
    clippy::redundant_allocation,
    reason = "the count of an Arc is touched by all workers, that of an Rc by one"
)]
pub(crate) struct Desk {
    /// Which worker this is.
    pub worker: usize,
    /// The sites. Behind an `Rc`, so that no worker touches a count that others touch.
    pub sites: Rc<Arc<Sites>>,
    /// What was found.
    pub cache: Cache,
    /// What was found just now, for those who waited: there may be no room for it in the cache.
    pub fresh: Option<(SiteId, Box<[u8]>, Rc<Resource>)>,
    /// Who waits for what.
    pub waiting: HashMap<(SiteId, Box<[u8]>), Waiting>,
    /// Where errands for the disk are handed in.
    pub loader: Counter,
    /// How files are opened.
    pub opener: Opener,
    /// The wall clock.
    pub clock: Clock,
    /// When epoll last returned.
    pub now: Instant,
    /// Seconds since the worker's start, for deadlines.
    pub seconds: u32,
    /// The bounds.
    pub limits: Rc<Limits>,
    /// The access log.
    pub log: Option<WorkerLog>,
    /// What is counted.
    pub metrics: Arc<WorkerMetrics>,
    /// What a path is where that can't be found out now.
    pub busy: Rc<Resource>,
    /// Responses of this round, from one wait for events to the next, of which it is not counted yet
    /// how long they took.
    pub answered: u64,
    /// For requests that are of no site.
    pub nowhere: Rc<Site>,
    /// Whether connections end with their next response.
    pub is_draining: bool,
    /// An empty one, whose memory is used again.
    pub outgoing: Option<Box<Outgoing>>,
}

/// Those who wait for what a path is.
#[derive(Debug)]
pub(crate) struct Waiting {
    tokens: Vec<Token>,
    /// What it was.
    earlier: Option<Rc<Resource>>,
}

/// What a request gets.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A page, in a way.
    Page(Rc<Resource>, Decision),
    /// A redirect.
    Elsewhere(Rc<Resource>),
    /// No page at all.
    Plain(u16, &'static str),
    /// The methods.
    Options,
}

impl Desk {
    /// A moment from now in the worker's seconds, not earlier than asked for.
    #[must_use]
    pub(crate) fn deadline(&self, after: Duration) -> u32 {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        self.seconds.saturating_add(seconds).saturating_add(1)
    }

    /// Counts what was answered in the round that ends now. Its length stands for each of them: a look
    /// at the clock for each would cost a fiftieth of a request.
    pub(crate) fn end_round(&mut self) {
        let answered = std::mem::take(&mut self.answered);
        if answered > 0 {
            self.metrics.latency(answered, self.now.elapsed());
        }
    }

    /// Answers a valid request to a site. `None`: connection `token` has to wait for the disk, and is
    /// woken when that is done.
    pub(crate) fn answer(
        &mut self,
        site: &Site,
        request: &Request<'_>,
        token: Token,
    ) -> Option<Answer> {
        match request.method {
            Method::Get | Method::Head => {}
            Method::Options => return Some(Answer::Options),
            Method::Other(_) => return self.answer_with_page(site, request, b"", 405, token),
        }
        let Some(path) = request.path.as_deref() else {
            return Some(Answer::Plain(400, "The target is no path"));
        };
        let key = key(site, path, request.query);
        let resource = self.resource(site, &key, token)?;
        match &resource.kind {
            Kind::Page(page) => {
                let decision = decide(request, page, 200, self.limits.ranges);
                Some(Answer::Page(resource, decision))
            }
            Kind::Elsewhere(..) => Some(Answer::Elsewhere(resource)),
            Kind::NotFound => self.answer_with_page(site, request, path, 404, token),
            Kind::Forbidden => self.answer_with_page(site, request, path, 403, token),
            Kind::Failed => self.answer_with_page(site, request, path, 503, token),
        }
    }

    /// Where a path is nothing: the application's page, or the error's.
    fn answer_with_page(
        &mut self,
        site: &Site,
        request: &Request<'_>,
        path: &[u8],
        status: u16,
        token: Token,
    ) -> Option<Answer> {
        let rules = site.rules();
        let is_route = is_route(path) && (rules.hidden || !resource::is_hidden(path));
        if let (404, Some(spa), true) = (status, &rules.spa, is_route) {
            let resource = self.resource(site, spa.as_bytes(), token)?;
            if let Kind::Page(page) = &resource.kind {
                let decision = decide(request, page, 200, self.limits.ranges);
                return Some(Answer::Page(resource, decision));
            }
        }
        let own = rules.error_pages.iter().find(|(of, _)| *of == status);
        let page = own.map(|(_, page)| page.as_str());
        let page = page.or((status == 404).then_some("/404.html"));
        if let Some(page) = page {
            let resource = self.resource(site, page.as_bytes(), token)?;
            if let Kind::Page(page) = &resource.kind {
                let decision = decide(request, page, status, self.limits.ranges);
                return Some(Answer::Page(resource, decision));
            }
        }
        Some(match status {
            403 => Answer::Plain(403, "This may not be served"),
            405 => Answer::Plain(405, "Only GET, HEAD and OPTIONS are served here"),
            503 => Answer::Plain(503, "The file can't be opened just now"),
            _ => Answer::Plain(404, "There is nothing at this path"),
        })
    }

    /// What a path is: kept, or found without the disk, or `None` after the connection was put down
    /// as waiting.
    fn resource(&mut self, site: &Site, key: &[u8], token: Token) -> Option<Rc<Resource>> {
        let earlier = match self.cache.get(site.id, key, self.now) {
            Kept::Valid(resource) => return Some(Rc::clone(resource)),
            Kept::Old(earlier) => Some(earlier),
            Kept::Nothing => None,
        };
        if let Some((of, fresh_key, resource)) = &self.fresh
            && *of == site.id
            && **fresh_key == *key
        {
            return Some(Rc::clone(resource));
        }
        self.metrics.cache_miss();
        let digests = earlier
            .as_ref()
            .map_or_else(Vec::new, |earlier| earlier.digests());
        let patience = Patience::CachedOnly;
        if let Some(found) = resource::find(site, key, self.opener, patience, &digests) {
            return Some(self.keep(site.id, key, found, earlier));
        }
        let name = (site.id, Box::from(key));
        match self.waiting.get_mut(&name) {
            Some(waiting) if waiting.tokens.len() < self.limits.connections => {
                waiting.tokens.push(token);
            }
            Some(_) => return Some(self.busy_or(site.id, key, earlier)),
            None => {
                let errand = Errand::Find {
                    site: site.clone(),
                    key: name.1.clone(),
                    digests,
                };
                if !self.loader.hand_in(errand) {
                    return Some(self.busy_or(site.id, key, earlier));
                }
                self.metrics.waited_for_disk();
                let tokens = vec![token];
                self.waiting.insert(name, Waiting { tokens, earlier });
            }
        }
        None
    }

    /// Takes what a loader found, and says who waited for it.
    pub(crate) fn found(&mut self, site: SiteId, key: Box<[u8]>, found: Resource) -> Vec<Token> {
        let name = (site, key);
        let (tokens, earlier) = match self.waiting.remove(&name) {
            Some(waiting) => (waiting.tokens, waiting.earlier),
            None => (Vec::new(), None),
        };
        let resource = self.keep(site, &name.1, found, earlier);
        self.fresh = Some((name.0, name.1, resource));
        tokens
    }

    /// Keeps what was found. Where that is a failure, of descriptors or of the disk, and something was
    /// known before, that stands in for a minute: it says more than that it can't be opened just now.
    fn keep(
        &mut self,
        site: SiteId,
        key: &[u8],
        found: Resource,
        earlier: Option<Rc<Resource>>,
    ) -> Rc<Resource> {
        let has_failed = matches!(found.kind, Kind::Failed);
        let resource = earlier
            .filter(|earlier| has_failed && earlier.may_stand_in(self.now))
            .unwrap_or_else(|| Rc::new(found));
        self.cache.insert(site, key, &resource, self.now);
        resource
    }

    /// Where there is no room to wait: what was known before, or that it can't be opened just now.
    fn busy_or(&mut self, site: SiteId, key: &[u8], earlier: Option<Rc<Resource>>) -> Rc<Resource> {
        let Some(earlier) = earlier.filter(|earlier| earlier.may_stand_in(self.now)) else {
            return Rc::clone(&self.busy);
        };
        self.cache.insert(site, key, &earlier, self.now);
        earlier
    }
}

/// Under what a path is kept: where folders are listed, an order belongs to it.
fn key<'p>(site: &Site, path: &'p [u8], query: Option<&[u8]>) -> Cow<'p, [u8]> {
    match query {
        Some(query) if site.rules().listing && path.ends_with(b"/") => {
            let code = Order::of_query(query).code();
            Cow::Owned([path, &[0, code]].concat())
        }
        _ => Cow::Borrowed(path),
    }
}

/// Whether a path looks like one of an application and not like a file: its last segment has no dot.
fn is_route(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    !name.contains(&b'.')
}
