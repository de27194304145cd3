//! From an answer to the bytes and files that depart.

use std::rc::Rc;

use crate::desk::Answer;
use crate::head::Head;
use crate::lines;
use crate::outgoing::Outgoing;
use crate::request::{Method, Request};
use crate::resource::{Kind, Page, Representation, Resource};
use crate::respond::Decision;

/// Appends a response. Returns its status, and how many bytes its body has.
pub(crate) fn render(
    outgoing: &mut Outgoing,
    request: &Request<'_>,
    answer: &Answer,
    head: Head<'_>,
) -> (u16, u64) {
    let with_body = request.method != Method::Head;
    match answer {
        Answer::Options => {
            outgoing.text(|text| head.options(text));
            (204, 0)
        }
        Answer::Plain(status, sentence) => plain(outgoing, head, *status, sentence, with_body),
        Answer::Elsewhere(resource) => match &resource.kind {
            Kind::Elsewhere(status, location) => {
                let location = with_query(location, request.query);
                outgoing.text(|text| head.elsewhere(text, *status, &location));
                (*status, 0)
            }
            _ => nothing_such(outgoing, head, with_body),
        },
        Answer::Page(resource, decision) => match &resource.kind {
            Kind::Page(page) => of_page(outgoing, resource, page, decision, head, with_body),
            _ => nothing_such(outgoing, head, with_body),
        },
    }
}

/// Appends a status and a sentence.
pub(crate) fn plain(
    outgoing: &mut Outgoing,
    head: Head<'_>,
    status: u16,
    sentence: &str,
    with_body: bool,
) -> (u16, u64) {
    let body_bytes = outgoing.text(|text| head.plain(text, status, sentence, with_body));
    (status, body_bytes as u64)
}

/// An answer that names what its resource is not: made by nobody.
fn nothing_such(outgoing: &mut Outgoing, head: Head<'_>, with_body: bool) -> (u16, u64) {
    plain(
        outgoing,
        head,
        500,
        "The answer does not fit the page",
        with_body,
    )
}

fn of_page(
    outgoing: &mut Outgoing,
    resource: &Rc<Resource>,
    page: &Page,
    decision: &Decision,
    head: Head<'_>,
    with_body: bool,
) -> (u16, u64) {
    let one = decision.coding().and_then(|coding| page.of(coding));
    match (decision, one) {
        (Decision::Plain(status, sentence), _) => {
            plain(outgoing, head, *status, sentence, with_body)
        }
        (_, None) => nothing_such(outgoing, head, with_body),
        (Decision::Whole(status, _), Some(one)) => {
            outgoing.text(|text| head.whole(text, *status, one));
            if with_body {
                outgoing.body(resource, one, 0..one.len);
            }
            (*status, if with_body { one.len } else { 0 })
        }
        (Decision::NotModified(_), Some(one)) => {
            outgoing.text(|text| head.not_modified(text, one));
            (304, 0)
        }
        (Decision::Unsatisfiable(_), Some(one)) => {
            outgoing.text(|text| head.unsatisfiable(text, one));
            (416, 0)
        }
        (Decision::Partial(_, range), Some(one)) => {
            outgoing.text(|text| head.partial(text, one, range));
            outgoing.body(resource, one, range.clone());
            (206, range.end - range.start)
        }
        (Decision::Multipart(_, ranges), Some(one)) => {
            (206, multipart(outgoing, resource, one, ranges, head))
        }
    }
}

fn multipart(
    outgoing: &mut Outgoing,
    resource: &Rc<Resource>,
    one: &Representation,
    ranges: &[std::ops::Range<u64>],
    head: Head<'_>,
) -> u64 {
    let between = outgoing.text(|text| head.multipart(text, one, ranges));
    let before = outgoing.len();
    let mut between = between.iter();
    for range in ranges {
        if let Some(framing) = between.next() {
            outgoing.text(|text| text.extend_from_slice(framing));
        }
        outgoing.body(resource, one, range.clone());
    }
    if let Some(end) = between.next() {
        outgoing.text(|text| text.extend_from_slice(end));
    }
    outgoing.len() - before
}

/// A redirect keeps the query, unless it brings its own.
fn with_query(location: &str, query: Option<&[u8]>) -> String {
    match query {
        Some(query) if !location.contains('?') => {
            let (location, fragment) = match location.find('#') {
                Some(at) => location.split_at(at),
                None => (location, ""),
            };
            format!("{location}?{}{fragment}", lines::encode_query(query))
        }
        _ => location.to_owned(),
    }
}
