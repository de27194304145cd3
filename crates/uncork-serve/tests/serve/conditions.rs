//! Conditional requests (RFC 9110, section 13).

use uncork_serve::rules::{Etag, Rules};

use crate::support::{Response, Served, Setup};

const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const CHANGED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
const CHANGED_SECONDS: u64 = 784_111_777;

fn site() -> Served {
    let rules = Rules {
        cache_control: Some("max-age=60".to_owned()),
        ..Rules::default()
    };
    Setup::new()
        .rules(rules)
        .file_of("a.txt", "hello", CHANGED_SECONDS)
        .file_of("b.txt", "other", CHANGED_SECONDS)
        .file_of("c.css", "0123456789", CHANGED_SECONDS)
        .file_of("c.css.gz", "zipped", CHANGED_SECONDS)
        .start()
}

#[track_caller]
fn check(served: &Served, target: &str, lines: &str, status: u16) -> Response {
    let response = served.get_with(target, lines);
    assert_eq!(response.status, status, "{lines:?}: {response:?}");
    // HEAD is told the same.
    let mut client = served.client();
    client.send(format!("HEAD {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
    assert_eq!(client.response_to_head().status, status, "HEAD, {lines:?}");
    client.is_kept();
    response
}

#[test]
fn if_none_match() {
    let served = site();
    let full = served.get("/a.txt").is(200).has("last-modified", CHANGED);
    let (etag, other) = (full.etag(), served.get("/c.css").etag());
    assert_ne!(etag, other);
    for (value, status) in [
        (etag.clone(), 304),
        (format!("W/{etag}"), 304),
        (format!("\"x\", {etag}"), 304),
        (format!("\"x\",W/\"a,b\" ,\t{etag} , \"y\""), 304),
        ("*".to_owned(), 304),
        ("\"x\"".to_owned(), 200),
        (etag.replace('"', ""), 200),
        (format!("\"{etag}\""), 200),
        (String::new(), 200),
        (other, 200),
    ] {
        check(
            &served,
            "/a.txt",
            &format!("If-None-Match: {value}\r\n"),
            status,
        );
    }
    // It goes before a date (section 13.2.2).
    let both = format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {AFTER}\r\n");
    check(&served, "/a.txt", &both, 200);
    let both = format!("If-None-Match: {etag}\r\nIf-Modified-Since: {BEFORE}\r\n");
    check(&served, "/a.txt", &both, 304);
}

/// Section 15.4.5: what a 304 has to have, and nothing that belongs to a body.
#[test]
fn a_304_has_what_a_cache_needs() {
    let served = site();
    let mut client = served.client();
    for target in ["/a.txt", "/c.css"] {
        let full = client.get(target).is(200);
        let lines = format!("If-None-Match: {}\r\n", full.etag());
        let response = client.get_with(target, &lines).is(304);
        for name in ["etag", "cache-control", "vary", "last-modified"] {
            assert_eq!(response.header(name), full.header(name), "{target}: {name}");
        }
        assert!(response.body.is_empty());
        let response = response.has_no("content-type").has_no("accept-ranges");
        response.has_no("content-encoding").has_no("content-range");
        client.is_kept();
    }
    assert_eq!(client.get("/c.css").header("vary"), Some("Accept-Encoding"));
}

#[test]
fn if_modified_since() {
    let served = site();
    for (value, status) in [
        (BEFORE, 200),
        (CHANGED, 304),
        (AFTER, 304),
        // The obsolete forms.
        ("Sunday, 06-Nov-94 08:49:37 GMT", 304),
        ("Sun Nov  6 08:49:37 1994", 304),
        ("Sun Nov  6 08:49:36 1994", 200),
        ("yesterday", 200),
        ("", 200),
        ("784111778", 200),
    ] {
        check(
            &served,
            "/a.txt",
            &format!("If-Modified-Since: {value}\r\n"),
            status,
        );
    }
    let twice = format!("If-Modified-Since: {AFTER}\r\nIf-Modified-Since: {AFTER}\r\n");
    check(&served, "/a.txt", &twice, 200);
}

#[test]
fn if_match_and_if_unmodified_since() {
    let served = site();
    let etag = served.get("/a.txt").etag();
    for (lines, status) in [
        (format!("If-Match: {etag}\r\n"), 200),
        (format!("If-Match: \"x\", {etag}\r\n"), 200),
        ("If-Match: *\r\n".to_owned(), 200),
        ("If-Match: \"x\"\r\n".to_owned(), 412),
        // Compared strongly: a weak one matches nothing.
        (format!("If-Match: W/{etag}\r\n"), 412),
        (format!("If-Unmodified-Since: {BEFORE}\r\n"), 412),
        (format!("If-Unmodified-Since: {CHANGED}\r\n"), 200),
        (format!("If-Unmodified-Since: {AFTER}\r\n"), 200),
        ("If-Unmodified-Since: never\r\n".to_owned(), 200),
        (
            format!("If-Match: {etag}\r\nIf-Unmodified-Since: {BEFORE}\r\n"),
            200,
        ),
        // One of several lines may match.
        (format!("If-Match: \"x\"\r\nIf-Match: {etag}\r\n"), 200),
        (format!("If-Match: \"x\"\r\nIf-None-Match: {etag}\r\n"), 412),
        (
            format!("If-Match: {etag}\r\nIf-None-Match: {etag}\r\n"),
            304,
        ),
    ] {
        let response = check(&served, "/a.txt", &lines, status);
        if status == 412 {
            assert_ne!(response.text(), "hello");
        }
    }
    // Where nothing is, that is said first.
    check(&served, "/missing", "If-Match: *\r\n", 404);
}

#[test]
fn if_range() {
    let served = site();
    let etag = served.get("/a.txt").etag();
    for (value, status) in [
        (etag.clone(), 206),
        (CHANGED.to_owned(), 206),
        (format!("W/{etag}"), 200),
        ("\"x\"".to_owned(), 200),
        (format!("{etag}, \"x\""), 200),
        (BEFORE.to_owned(), 200),
        (AFTER.to_owned(), 200),
        ("nonsense".to_owned(), 200),
    ] {
        let lines = format!("Range: bytes=1-3\r\nIf-Range: {value}\r\n");
        let response = served.get_with("/a.txt", &lines);
        assert_eq!(response.status, status, "{value}");
        assert_eq!(response.text(), if status == 206 { "ell" } else { "hello" });
        // Without a range it says nothing.
        served
            .get_with("/a.txt", &format!("If-Range: {value}\r\n"))
            .is(200);
    }
    // A range that can't be had does not matter where the page is another one.
    let lines = "Range: bytes=99-\r\nIf-Range: \"x\"\r\n";
    served.get_with("/a.txt", lines).is(200).says("hello");
    let lines = format!("Range: bytes=1-3\r\nIf-None-Match: {etag}\r\n");
    served.get_with("/a.txt", &lines).is(304);
}

/// Another content of the same second would bear the same date: a part of it must not be put behind a
/// part of this one.
#[test]
fn the_date_of_a_new_file_is_no_condition_for_a_range() {
    let served = Setup::new().file("a.txt", "hello").start();
    let full = served.get("/a.txt").is(200);
    let changed = full.header("last-modified").unwrap();
    let lines = format!("Range: bytes=1-3\r\nIf-Range: {changed}\r\n");
    served.get_with("/a.txt", &lines).is(200).says("hello");
    let lines = format!("Range: bytes=1-3\r\nIf-Range: {}\r\n", full.etag());
    served.get_with("/a.txt", &lines).is(206).says("ell");
    let lines = format!("If-Modified-Since: {changed}\r\n");
    served.get_with("/a.txt", &lines).is(304);
}

/// RFC 9110, section 8.8.2.1: no response says that it was changed after it was sent.
#[test]
fn a_time_that_is_still_to_come_is_not_said() {
    let year_2200 = 7_258_118_400;
    let setup = Setup::new().file_of("a.txt", "hello", year_2200);
    let served = setup.start();
    let etag = served.get("/a.txt").is(200).has_no("last-modified").etag();
    let later = "Fri, 01 Jan 2300 00:00:00 GMT";
    let since = format!("If-Modified-Since: {later}\r\n");
    served.get_with("/a.txt", &since).is(200);
    let since = format!("If-Unmodified-Since: {BEFORE}\r\n");
    served.get_with("/a.txt", &since).is(200);
    let lines = format!("If-None-Match: {etag}\r\n");
    served.get_with("/a.txt", &lines).is(304);
}

/// Two codings are two representations.
#[test]
fn each_coding_has_its_etag() {
    let served = site();
    let gzip = "Accept-Encoding: gzip\r\n";
    let plain = served.get("/c.css").etag();
    let zipped = served
        .get_with("/c.css", gzip)
        .is(200)
        .says("zipped")
        .etag();
    assert_ne!(plain, zipped);
    let lines = format!("{gzip}If-None-Match: {plain}\r\n");
    served.get_with("/c.css", &lines).is(200).says("zipped");
    let lines = format!("{gzip}If-None-Match: {zipped}\r\n");
    let response = served.get_with("/c.css", &lines).is(304);
    response.has("vary", "Accept-Encoding").has("etag", &zipped);
    let lines = format!("{gzip}Range: bytes=0-1\r\nIf-Range: {plain}\r\n");
    served.get_with("/c.css", &lines).is(200).says("zipped");
    let lines = format!("{gzip}Range: bytes=0-1\r\nIf-Range: {zipped}\r\n");
    served.get_with("/c.css", &lines).is(206).says("zi");
}

/// Packers of images and stores put each file at the epoch: its time says nothing.
#[test]
fn files_without_a_time_are_known_by_their_content() {
    let long = vec![7; 100_000];
    let mut other = long.clone();
    other[99_999] = 8;
    let served = Setup::new()
        .file_of("a", "same", 0)
        .file_of("b", "same", 1)
        .file_of("c", "else", 0)
        .file_of("long", &long, 0)
        .file_of("other", &other, 0)
        .file_of("dated", "same", CHANGED_SECONDS)
        .start();
    let of = |target| served.get(target).is(200).has_no("last-modified").etag();
    assert_eq!(of("/a"), of("/b"));
    assert_ne!(of("/a"), of("/c"));
    assert_ne!(of("/long"), of("/other"));
    let lines = format!("If-None-Match: {}\r\n", of("/long"));
    served.get_with("/long", &lines).is(304);
    // A date can't be true of it.
    let lines = format!("If-Modified-Since: {AFTER}\r\n");
    served.get_with("/a", &lines).is(200);
    assert_ne!(served.get("/dated").etag(), of("/a"));
}

#[test]
fn etags_of_content_where_the_rules_say_so() {
    let rules = Rules {
        etag: Etag::Content,
        ..Rules::default()
    };
    let setup = Setup::new().rules(rules);
    let served = setup
        .file_of("a", "same", CHANGED_SECONDS)
        .file_of("b", "same", CHANGED_SECONDS + 5)
        .file_of("c", "else", CHANGED_SECONDS)
        .start();
    let of = |target: &str| served.get(target).etag();
    assert_eq!(of("/a"), of("/b"));
    assert_ne!(of("/a"), of("/c"));
    served.get("/a").has("last-modified", CHANGED);
}

/// One ETag for both would let a client put a range of one behind a part of the other.
#[test]
fn equal_bytes_in_two_codings_have_two_etags() {
    let rules = Rules {
        etag: Etag::Content,
        ..Rules::default()
    };
    let long = vec![7; 100_000];
    let served = Setup::new()
        .rules(rules)
        .file_of("a", "same", CHANGED_SECONDS)
        .file_of("a.gz", "same", CHANGED_SECONDS)
        .file_of("long", &long, CHANGED_SECONDS);
    // One file under two names: what is known of one must not be taken for the other.
    std::fs::hard_link(served.root().join("long"), served.root().join("long.gz")).unwrap();
    let served = served.start();
    let gzip = "Accept-Encoding: gzip\r\n";
    for target in ["/a", "/long"] {
        let plain = served.get(target).is(200).etag();
        let coded = served.get_with(target, gzip).is(200);
        let coded = coded.has("content-encoding", "gzip").etag();
        assert_ne!(plain, coded, "{target}");
        assert!(coded.contains(&plain[..33]), "{target}: {coded}");
        let lines = format!("{gzip}If-None-Match: {plain}\r\n");
        served.get_with(target, &lines).is(200);
        let lines = format!("{gzip}If-None-Match: {coded}\r\n");
        served.get_with(target, &lines).is(304);
    }
}
