//! From a request's head to the bytes of its response.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use smallvec::SmallVec;

use crate::accept_encoding::{Coding, CodingSet};
use crate::clock::Clock;
use crate::desk::Answer;
use crate::head::{Head, Persistence};
use crate::limits::Limits;
use crate::outgoing::Outgoing;
use crate::render;
use crate::request::{self, Method};
use crate::resource::{Body, Kind, Page, Representation, Resource};
use crate::respond::decide;

/// The body in each coding; what it says does not matter, only that no two are alike.
const BODIES: [(Coding, &[u8]); 3] = [
    (Coding::Identity, b"abcdefghijklmnopqrstuvwxyz"),
    (Coding::Gzip, b"0123456789"),
    (Coding::Brotli, b"ABCDE"),
];

/// Whatever is asked of a page, the response's head says how long its body is, and the body is a part
/// of the page.
pub fn decision(data: &[u8]) {
    let limits = Limits::default();
    let Some(end) = request::head_end(data, 0) else {
        return;
    };
    let Ok(request) = request::parse(&data[..end], &limits) else {
        return;
    };
    if !matches!(request.method, Method::Get | Method::Head) {
        return;
    }
    for (status, page) in [
        (200, page(&BODIES)),
        (404, page(&BODIES)),
        (200, page(&BODIES[1..])),
    ] {
        let decision = decide(&request, &page, status, limits.ranges);
        let resource = Rc::new(Resource::fixed(Kind::Page(page)));
        let clock = Clock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let head = Head {
            clock: &clock,
            version: request.version,
            persistence: Persistence::Keep,
        };
        let mut outgoing = Outgoing::default();
        let answer = Answer::Page(resource, decision);
        let (sent_status, body_bytes) = render::render(&mut outgoing, &request, &answer, head);
        let bytes = outgoing.to_bytes();
        assert_eq!(bytes.len() as u64, outgoing.len());
        check(
            &bytes,
            sent_status,
            body_bytes,
            request.method == Method::Head,
        );
    }
}

fn check(bytes: &[u8], status: u16, body_bytes: u64, is_head: bool) {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response
        .parse(bytes)
        .expect("a response that can be parsed");
    let httparse::Status::Complete(head_bytes) = parsed else {
        panic!("the response's head has no end");
    };
    assert_eq!(response.code, Some(status));
    let body = &bytes[head_bytes..];
    let field = |name: &str| {
        let mut named = response
            .headers
            .iter()
            .filter(|one| one.name.eq_ignore_ascii_case(name));
        let value = named
            .next()
            .map(|one| String::from_utf8_lossy(one.value).into_owned());
        assert!(named.next().is_none(), "{name} twice");
        value
    };
    let length: Option<u64> = field("content-length").map(|value| value.parse().expect("a number"));
    assert_eq!(body.len() as u64, body_bytes);
    match (status, is_head) {
        (304, _) => assert!(length.is_none() && body.is_empty()),
        (_, true) => assert!(length.is_some() && body.is_empty()),
        (_, false) => assert_eq!(length, Some(body.len() as u64)),
    }
    if is_head {
        return;
    }
    let coding = match field("content-encoding").as_deref() {
        None => Coding::Identity,
        Some("gzip") => Coding::Gzip,
        Some("br") => Coding::Brotli,
        Some(other) => panic!("coding {other}"),
    };
    let whole = BODIES
        .iter()
        .find(|(of, _)| *of == coding)
        .map_or(&[][..], |(_, body)| body);
    match (status, field("content-range")) {
        (200, _) => assert_eq!(body, whole),
        (206, Some(range)) => {
            let (first, rest) = range
                .strip_prefix("bytes ")
                .and_then(|range| range.split_once('-'))
                .expect("a range");
            let (last, len) = rest.split_once('/').expect("a length");
            let number = |text: &str| text.parse::<usize>().expect("a number");
            assert_eq!(number(len), whole.len());
            assert_eq!(body, &whole[number(first)..=number(last)]);
        }
        _ => {}
    }
}

fn page(bodies: &[(Coding, &[u8])]) -> Page {
    let representations: SmallVec<[Representation; 1]> = bodies
        .iter()
        .map(|(coding, body)| {
            let mut lines = "ETag: \"a\"\r\nVary: Accept-Encoding\r\n".to_owned();
            let shared_bytes = lines.len();
            lines.push_str("Content-Type: text/plain\r\n");
            if *coding != Coding::Identity {
                lines.push_str(&format!("Content-Encoding: {}\r\n", coding.name()));
            }
            Representation {
                coding: *coding,
                len: body.len() as u64,
                body: Body::Memory(body.to_vec()),
                etag: Some("\"a\"".to_owned()),
                digest: None,
                last_modified: Some(1_600_000_000),
                is_date_strong: true,
                content_type: Some("text/plain".to_owned()),
                lines,
                shared_bytes,
            }
        })
        .collect();
    Page {
        codings: bodies
            .iter()
            .fold(CodingSet::EMPTY, |set, (coding, _)| set.with(*coding)),
        representations,
    }
}
