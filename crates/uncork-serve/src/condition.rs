//! Whether a peer needs a body at all: conditional requests (RFC 9110, section 13).

use std::time::UNIX_EPOCH;

use crate::request::{Field, Method, Name, Request};

/// What a representation is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Validators<'a> {
    /// Its ETag, a strong one, with its quotes.
    pub etag: Option<&'a str>,
    /// When it was changed, in whole seconds since 1970.
    pub last_modified: Option<u64>,
    /// Whether it was changed so long ago that no other content bears the same second.
    pub is_date_strong: bool,
}

/// What the conditions of a request come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Answer as if there were none.
    Proceed,
    /// 304
    NotModified,
    /// 412
    PreconditionFailed,
}

/// Evaluates the conditions in the order of RFC 9110, section 13.2.2, of a request whose answer would
/// be 200 without them; of methods other than GET and HEAD it has none (section 13.2.1).
///
/// Of a header that came several times nothing is compared: `If-Match` counts as met, as any of its
/// lines may name what is here and a GET changes nothing, `If-None-Match` as not, and dates are ignored
/// as invalid ones are. Each of it costs a body at worst.
#[must_use]
pub fn evaluate(request: &Request<'_>, validators: &Validators<'_>) -> Outcome {
    if !matches!(request.method, Method::Get | Method::Head) {
        return Outcome::Proceed;
    }
    let unmodified_since = |field| Some(validators.last_modified? <= date_of(field)?);
    let if_match = match request.field(Name::IfMatch) {
        Field::Absent => unmodified_since(request.field(Name::IfUnmodifiedSince)).unwrap_or(true),
        Field::Several => true,
        field => matches(field, validators.etag, Comparison::Strong),
    };
    if !if_match {
        return Outcome::PreconditionFailed;
    }
    let unchanged = match request.field(Name::IfNoneMatch) {
        Field::Absent => unmodified_since(request.field(Name::IfModifiedSince)).unwrap_or(false),
        field => matches(field, validators.etag, Comparison::Weak),
    };
    if unchanged {
        Outcome::NotModified
    } else {
        Outcome::Proceed
    }
}

/// Whether the `Range` of a request counts: it has no `If-Range`, or one that names this very
/// representation (RFC 9110, section 13.1.5).
///
/// A date has to be the same as `last_modified`, and that a strong validator (section 8.8.2.2): a file
/// can be changed twice in a second. Whether it is one is for the caller to know, who has a clock.
#[must_use]
pub fn range_applies(request: &Request<'_>, validators: &Validators<'_>) -> bool {
    match request.field(Name::IfRange) {
        Field::Absent => true,
        Field::Several => false,
        Field::Once(value) if value.starts_with(b"\"") => {
            // A list, or garbage at the end, is not equal to any ETag.
            validators.etag.is_some_and(|etag| etag.as_bytes() == value)
        }
        field => {
            let date = date_of(field);
            date.is_some() && date == validators.last_modified && validators.is_date_strong
        }
    }
}

/// How ETags are compared (RFC 9110, section 8.8.3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// A weak one is equal to none.
    Strong,
    /// `W/` does not matter.
    Weak,
}

/// Whether a list of ETags has this one. What follows something that is no ETag is not looked at.
fn matches(field: Field<'_>, etag: Option<&str>, comparison: Comparison) -> bool {
    let Field::Once(value) = field else {
        return false;
    };
    // RFC 9110, sections 13.1.1 and 13.1.2: there is a representation, whatever it is known by.
    if value == b"*" {
        return true;
    }
    let Some(etag) = etag else {
        return false;
    };
    Tags(value)
        .any(|(weak, tag)| tag == etag.as_bytes() && (!weak || comparison == Comparison::Weak))
}

/// A list of ETags: whether each is weak, and the rest of it with its quotes.
struct Tags<'v>(&'v [u8]);

impl<'v> Iterator for Tags<'v> {
    type Item = (bool, &'v [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let is_between = |byte: &u8| matches!(byte, b',' | b' ' | b'\t');
        let at = self.0.iter().position(|byte| !is_between(byte))?;
        let rest = &self.0[at..];
        let (weak, tag) = match rest.strip_prefix(b"W/") {
            Some(tag) => (true, tag),
            None => (false, rest),
        };
        // A comma within the quotes is part of the tag.
        let opaque = tag.strip_prefix(b"\"")?;
        let bytes = memchr::memchr(b'"', opaque)? + 2;
        let (tag, rest) = tag.split_at(bytes);
        self.0 = rest;
        match rest.first() {
            Some(byte) if !is_between(byte) => None,
            _ => Some((weak, tag)),
        }
    }
}

/// An HTTP date in seconds since 1970; `None` where it is none, or there is not one of it.
fn date_of(field: Field<'_>) -> Option<u64> {
    let Field::Once(value) = field else {
        return None;
    };
    let date = httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()?;
    Some(date.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::Limits;

    /// When the representation of these tests was changed, and a second before and after.
    const CHANGED: u64 = 784_111_777;
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    const KNOWN: Validators<'static> = Validators {
        etag: Some("\"abc\""),
        last_modified: Some(CHANGED),
        is_date_strong: true,
    };

    fn with_request<T>(method: &str, headers: &str, look: impl Fn(&Request<'_>) -> T) -> T {
        let lines = headers
            .split_terminator('|')
            .map(|line| format!("{line}\r\n"));
        let lines = lines.collect::<String>();
        let head = format!("{method} / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        look(&crate::request::parse(head.as_bytes(), &Limits::default()).unwrap())
    }

    #[track_caller]
    fn check(headers: &str, expected: Outcome) {
        let outcome = with_request("GET", headers, |request| evaluate(request, &KNOWN));
        assert_eq!(outcome, expected, "{headers:?}");
    }

    #[test]
    fn conditions_alone() {
        use Outcome::{NotModified, PreconditionFailed, Proceed};
        check("", Proceed);
        check("If-None-Match: \"abc\"", NotModified);
        check("If-None-Match: W/\"abc\"", NotModified);
        check("If-None-Match: *", NotModified);
        check("If-None-Match: \"x\" ,,\t W/\"y\",\"abc\"", NotModified);
        check("If-None-Match: \"a,\", \"abc\"", NotModified);
        check("If-None-Match: \"abc\",", NotModified);
        check("If-None-Match: ", Proceed);
        check("If-None-Match: \"abcd\"", Proceed);
        check("If-None-Match: \"x, \"abc\"", Proceed);
        check("If-None-Match: abc", Proceed);
        check("If-None-Match: w/\"abc\"", Proceed);
        check("If-None-Match: \"x\"\"abc\"", Proceed);
        check("If-None-Match: \"abc", Proceed);
        check("If-None-Match: \"*\"", Proceed);
        check("If-None-Match: \"x\", *", Proceed);
        check("If-None-Match: \"abc\"|If-None-Match: \"abc\"", Proceed);
        check("If-Match: \"abc\"", Proceed);
        check("If-Match: \"x\", \"abc\"", Proceed);
        check("If-Match: *", Proceed);
        check("If-Match: W/\"abc\"", PreconditionFailed);
        check("If-Match: \"x\"", PreconditionFailed);
        check("If-Match: nonsense", PreconditionFailed);
        check("If-Match: \"x\"|If-Match: \"abc\"", Proceed);
        for (date, modified, unmodified) in [
            (BEFORE, Proceed, PreconditionFailed),
            (THEN, NotModified, Proceed),
            (AFTER, NotModified, Proceed),
            ("Sunday, 06-Nov-94 08:49:37 GMT", NotModified, Proceed),
            ("Sun Nov  6 08:49:37 1994", NotModified, Proceed),
            ("yesterday", Proceed, Proceed),
            ("784111777", Proceed, Proceed),
            ("", Proceed, Proceed),
        ] {
            check(&format!("If-Modified-Since: {date}"), modified);
            check(&format!("If-Unmodified-Since: {date}"), unmodified);
        }
        check(
            &format!("If-Modified-Since: {THEN}|If-Modified-Since: {THEN}"),
            Proceed,
        );
    }

    #[test]
    fn conditions_in_their_order() {
        use Outcome::{NotModified, PreconditionFailed, Proceed};
        check(
            &format!("If-Modified-Since: {THEN}|If-None-Match: \"x\""),
            Proceed,
        );
        check(
            &format!("If-Modified-Since: {BEFORE}|If-None-Match: \"abc\""),
            NotModified,
        );
        check(
            &format!("If-Unmodified-Since: {BEFORE}|If-Match: \"abc\""),
            Proceed,
        );
        check("If-None-Match: \"abc\"|If-Match: \"x\"", PreconditionFailed);
        check("If-None-Match: \"abc\"|If-Match: \"abc\"", NotModified);
        check(
            &format!("If-Unmodified-Since: {THEN}|If-None-Match: \"abc\""),
            NotModified,
        );
    }

    #[test]
    fn conditions_of_other_methods_and_of_the_unknown() {
        let headers = "If-Match: \"x\"|If-None-Match: *";
        for (method, expected) in [
            ("HEAD", Outcome::PreconditionFailed),
            ("OPTIONS", Outcome::Proceed),
            ("PUT", Outcome::Proceed),
        ] {
            let outcome = with_request(method, headers, |request| evaluate(request, &KNOWN));
            assert_eq!(outcome, expected, "{method}");
        }
        let unknown = Validators::default();
        for (headers, expected) in [
            ("If-None-Match: \"abc\"", Outcome::Proceed),
            ("If-None-Match: *", Outcome::NotModified),
            ("If-Match: *", Outcome::Proceed),
            ("If-Match: \"abc\"", Outcome::PreconditionFailed),
            (&format!("If-Modified-Since: {AFTER}"), Outcome::Proceed),
            (&format!("If-Unmodified-Since: {BEFORE}"), Outcome::Proceed),
        ] {
            let outcome = with_request("GET", headers, |request| evaluate(request, &unknown));
            assert_eq!(outcome, expected, "{headers:?}");
        }
    }

    #[test]
    fn ranges_apply() {
        for (value, expected) in [
            ("\"abc\"", true),
            ("W/\"abc\"", false),
            ("\"x\"", false),
            ("\"abc\", \"x\"", false),
            ("*", false),
            ("", false),
            (THEN, true),
            (BEFORE, false),
            (AFTER, false),
            ("nonsense", false),
            ("\"abc\"|If-Range: \"abc\"", false),
        ] {
            let headers = format!("If-Range: {value}");
            let applies = with_request("GET", &headers, |request| range_applies(request, &KNOWN));
            assert_eq!(applies, expected, "{value:?}");
            let applies = with_request("GET", &headers, |request| {
                range_applies(request, &Validators::default())
            });
            assert!(!applies, "{value:?}");
        }
        assert!(with_request("GET", "", |request| range_applies(
            request, &KNOWN
        )));
        let changed_just_now = Validators {
            is_date_strong: false,
            ..KNOWN
        };
        for (value, expected) in [("\"abc\"", true), (THEN, false)] {
            let headers = format!("If-Range: {value}");
            let applies = with_request("GET", &headers, |request| {
                range_applies(request, &changed_just_now)
            });
            assert_eq!(applies, expected, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn an_etag_is_found_among_others(others in "((W/)?\"[!#-~]{0,2}\"[ ,]{1,3}){0,4}", weak: bool) {
            let mark = if weak { "W/" } else { "" };
            let value = format!("{others}{mark}\"abc\"");
            let field = Field::Once(value.as_bytes());
            prop_assert!(matches(field, KNOWN.etag, Comparison::Weak));
            prop_assert_eq!(matches(field, KNOWN.etag, Comparison::Strong), !weak);
        }

        #[test]
        fn any_list_of_etags_ends(value in prop::collection::vec(any::<u8>(), 0..80)) {
            let tags = Tags(&value).map(|(_, tag)| tag.len()).sum::<usize>();
            prop_assert!(tags <= value.len());
        }
    }
}
