//! What a response is: decided of a request and a page, without a file, a socket or a clock.

use std::ops::Range;

use smallvec::SmallVec;

use crate::accept_encoding::{self, Coding};
use crate::condition::{self, Outcome, Validators};
use crate::range::{self, Ranges};
use crate::request::{Field, Method, Name, Request};
use crate::resource::{Page, Representation};

/// A decided response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// A representation whole: 200, or the page of an error.
    Whole(u16, Coding),
    /// 206 with one range of it.
    Partial(Coding, Range<u64>),
    /// 206 with several ranges of it, each a part.
    Multipart(Coding, SmallVec<[Range<u64>; 4]>),
    /// 304.
    NotModified(Coding),
    /// 416.
    Unsatisfiable(Coding),
    /// A status and a sentence.
    Plain(u16, &'static str),
}

impl Decision {
    /// The coding of the page that it is about, where it is about one.
    #[must_use]
    pub(crate) fn coding(&self) -> Option<Coding> {
        match self {
            Decision::Whole(_, coding)
            | Decision::Partial(coding, _)
            | Decision::Multipart(coding, _)
            | Decision::NotModified(coding)
            | Decision::Unsatisfiable(coding) => Some(*coding),
            Decision::Plain(..) => None,
        }
    }
}

/// Decides how a page answers a GET or HEAD. With a status other than 200 the page is that of an
/// error: neither conditions nor ranges apply.
#[must_use]
pub(crate) fn decide(
    request: &Request<'_>,
    page: &Page,
    status: u16,
    ranges_max: usize,
) -> Decision {
    let Some(coding) = choose(request, page) else {
        return match status {
            200 => Decision::Plain(
                406,
                "This is here only in codings that the request does not accept",
            ),
            _ => Decision::Plain(
                status,
                "There is a page for this, in no coding that the request accepts",
            ),
        };
    };
    let Some(representation) = page.of(coding) else {
        return Decision::Plain(500, "There is no such coding of this page");
    };
    if status != 200 {
        return Decision::Whole(status, coding);
    }
    let validators = Validators {
        etag: representation.etag.as_deref(),
        last_modified: representation.last_modified,
        is_date_strong: representation.is_date_strong,
    };
    match condition::evaluate(request, &validators) {
        Outcome::Proceed => {}
        Outcome::NotModified => return Decision::NotModified(coding),
        Outcome::PreconditionFailed => {
            return Decision::Plain(
                412,
                "What is here is not what the request's condition names",
            );
        }
    }
    // Ranges are defined for GET only (RFC 9110, section 14.2).
    match request.field(Name::Range) {
        Field::Once(value)
            if request.method == Method::Get && condition::range_applies(request, &validators) =>
        {
            ranges(value, representation, ranges_max)
        }
        _ => Decision::Whole(200, coding),
    }
}

fn ranges(value: &[u8], representation: &Representation, ranges_max: usize) -> Decision {
    let coding = representation.coding;
    match range::parse(value, representation.len, ranges_max) {
        Ranges::Whole => Decision::Whole(200, coding),
        Ranges::Unsatisfiable => Decision::Unsatisfiable(coding),
        Ranges::One(range) => Decision::Partial(coding, range),
        Ranges::Several(ranges) => Decision::Multipart(coding, ranges),
    }
}

/// The coding to send. A page in one coding only needs no look at the request, where that is
/// the identity, which is always acceptable enough: a browser shows it, a 406 it does not. Without an
/// Accept-Encoding any coding is acceptable (RFC 9110, section 12.5.3): where there is no identity, it
/// is the one that most clients know. One on several lines, of which none is looked at, may accept it as
/// well.
fn choose(request: &Request<'_>, page: &Page) -> Option<Coding> {
    if let [only] = page.representations.as_slice()
        && only.coding == Coding::Identity
    {
        return Some(Coding::Identity);
    }
    let accepted = accept_encoding::parse(request.field(Name::AcceptEncoding));
    let chosen = accept_encoding::choose(&accepted, page.codings);
    let or_else: &[Coding] = match request.field(Name::AcceptEncoding) {
        Field::Absent | Field::Several => {
            &[Coding::Identity, Coding::Gzip, Coding::Brotli, Coding::Zstd]
        }
        _ => &[Coding::Identity],
    };
    let there = |coding: &&Coding| page.codings.contains(**coding);
    chosen.or_else(|| or_else.iter().find(there).copied())
}
