//! A response to be written down when it has left.

use std::net::IpAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::desk::Desk;
use crate::log::Record;
use crate::request::{Field, Method, Name, Request, Version};
use crate::site::Site;

/// What is written down, borrowed from the request.
#[derive(Debug)]
pub(super) struct Answered<'s, 'b> {
    site: &'s Site,
    method: &'b [u8],
    target: &'b [u8],
    version: Version,
    referer: Option<&'b [u8]>,
    user_agent: Option<&'b [u8]>,
    status: u16,
    /// Where in the outgoing bytes its body is.
    body: Range<u64>,
}

/// The same for a response that is still on its way when its request is overwritten.
#[derive(Debug)]
pub(super) struct OwnedRecord {
    site: Site,
    method: Vec<u8>,
    target: Vec<u8>,
    version: Version,
    referer: Option<Vec<u8>>,
    user_agent: Option<Vec<u8>>,
    status: u16,
    body: Range<u64>,
    started_at: Instant,
}

impl<'s, 'b> Answered<'s, 'b> {
    pub(super) fn new(
        site: &'s Site,
        request: &Request<'b>,
        status: u16,
        body: Range<u64>,
    ) -> Self {
        Self {
            site,
            method: match request.method {
                Method::Get => b"GET",
                Method::Head => b"HEAD",
                Method::Options => b"OPTIONS",
                Method::Other(method) => method,
            },
            target: request.target,
            version: request.version,
            referer: once(request.field(Name::Referer)),
            user_agent: once(request.field(Name::UserAgent)),
            status,
            body,
        }
    }

    /// A request that could not be read.
    pub(super) fn refused(nowhere: &'s Site, status: u16, body: Range<u64>) -> Self {
        Self {
            site: nowhere,
            method: b"-",
            target: b"-",
            version: Version::Http11,
            referer: None,
            user_agent: None,
            status,
            body,
        }
    }

    /// Keeps it beyond its request.
    pub(super) fn keep(&self, started_at: Instant) -> OwnedRecord {
        OwnedRecord {
            site: self.site.clone(),
            method: self.method.to_vec(),
            target: self.target.to_vec(),
            version: self.version,
            referer: self.referer.map(<[u8]>::to_vec),
            user_agent: self.user_agent.map(<[u8]>::to_vec),
            status: self.status,
            body: self.body.clone(),
            started_at,
        }
    }

    /// Writes it down: `sent_bytes` of the departure have left. Without `took` it has come and left in
    /// this round.
    pub(super) fn write(
        &self,
        peer: IpAddr,
        sent_bytes: u64,
        took: Option<Duration>,
        desk: &mut Desk,
    ) {
        let bytes = sent_of(&self.body, sent_bytes);
        self.site.counters.count(desk.worker, self.status, bytes);
        match took {
            Some(took) => desk.metrics.latency(1, took),
            None => desk.answered += 1,
        }
        let Some(log) = &mut desk.log else {
            return;
        };
        let took = took.unwrap_or_else(|| desk.now.elapsed());
        let record = Record {
            peer,
            site: self.site.name(),
            method: self.method,
            target: self.target,
            version: name(self.version),
            status: self.status,
            bytes,
            referer: self.referer,
            user_agent: self.user_agent,
            duration_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        };
        log.record(&record, &desk.clock);
    }
}

impl OwnedRecord {
    /// Writes it down: `sent_bytes` of the departure have left.
    pub(super) fn write(&self, peer: IpAddr, sent_bytes: u64, desk: &mut Desk) {
        let borrowed = Answered {
            site: &self.site,
            method: &self.method,
            target: &self.target,
            version: self.version,
            referer: self.referer.as_deref(),
            user_agent: self.user_agent.as_deref(),
            status: self.status,
            body: self.body.clone(),
        };
        borrowed.write(peer, sent_bytes, Some(self.started_at.elapsed()), desk);
    }
}

/// How much of a body has left.
fn sent_of(body: &Range<u64>, sent_bytes: u64) -> u64 {
    sent_bytes.min(body.end).saturating_sub(body.start)
}

fn once(field: Field<'_>) -> Option<&[u8]> {
    match field {
        Field::Once(value) => Some(value),
        Field::Absent | Field::Several => None,
    }
}

fn name(version: Version) -> &'static str {
    match version {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
    }
}
