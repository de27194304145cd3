use proptest::prelude::*;

use super::*;

/// The status of a request that is refused, and 0 of one that is not.
fn status(head: &[u8], limits: &Limits) -> u16 {
    parse(head, limits).map_or_else(|reject| reject.status, |_| 0)
}

#[track_caller]
fn check(head: &str, expected: u16) {
    let limits = Limits::default();
    assert_eq!(status(head.as_bytes(), &limits), expected, "{head:?}");
}

/// Lines, separated by `|`, after a request line.
#[track_caller]
fn check_lines(version: &str, lines: &str, expected: u16) {
    let lines = lines
        .split_terminator('|')
        .map(|line| format!("{line}\r\n"));
    let lines = lines.collect::<String>();
    check(&format!("GET / {version}\r\n{lines}\r\n"), expected);
}

#[test]
fn a_request_of_a_browser() {
    let head = b"\r\nGET /a%20b/?q=%2F HTTP/1.1\r\nHOST: Example.org:8080\r\n\
        user-agent: \t M\xc3\xb6zilla \t\r\nAccept-Encoding: gzip, br\r\nRange: bytes=0-\r\n\
        Referer: x\r\nif-none-match: \"a\"\r\nIf-Match: *\r\nIf-Range: \"b\"\r\n\
        If-Modified-Since: c\r\nIf-Unmodified-Since: d\r\nRange: bytes=1-\r\nX-Other:\r\n\r\n";
    assert_eq!(head_end(head, 0), Some(head.len()));
    let request = parse(head, &Limits::default()).unwrap();
    assert_eq!(request.method, Method::Get);
    assert_eq!(request.version, Version::Http11);
    assert_eq!(request.host.as_ref().unwrap().as_str(), "example.org");
    assert_eq!(request.target, b"/a%20b/?q=%2F");
    assert_eq!(request.path, Some(Cow::Owned(b"/a b/".to_vec())));
    assert_eq!(request.query, Some(&b"q=%2F"[..]));
    assert!(request.keep_alive && !request.expects_continue);
    assert_eq!(request.body_bytes, 0);
    assert_eq!(
        request.field(Name::UserAgent),
        Field::Once("Mözilla".as_bytes())
    );
    assert_eq!(
        request.field(Name::AcceptEncoding),
        Field::Once(b"gzip, br")
    );
    assert_eq!(request.field(Name::Range), Field::Several);
    assert_eq!(request.field(Name::Referer), Field::Once(b"x"));
    assert_eq!(request.field(Name::IfNoneMatch), Field::Once(b"\"a\""));
    assert_eq!(request.field(Name::IfMatch), Field::Once(b"*"));
    assert_eq!(request.field(Name::IfRange), Field::Once(b"\"b\""));
    assert_eq!(request.field(Name::IfModifiedSince), Field::Once(b"c"));
    assert_eq!(request.field(Name::IfUnmodifiedSince), Field::Once(b"d"));
}

#[test]
fn request_lines() {
    check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0);
    check("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 0);
    check("\r\n\r\n\r\n\r\nGET / HTTP/1.0\r\n\r\n", 0);
    check("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.0\r\n\r\n", 400);
    check("\nGET / HTTP/1.0\r\n\r\n", 400);
    check("PRI * HTTP/2.0\r\n\r\n", 505);
    check("GET / HTTP/1.2\r\n\r\n", 505);
    check("GET / HTTP/0.9\r\n\r\n", 505);
    for bad in [
        "GET /\r\n\r\n",
        "GET\r\n\r\n",
        " GET / HTTP/1.0\r\n\r\n",
        "GET  / HTTP/1.0\r\n\r\n",
        "GET /  HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0 \r\n\r\n",
        "GET\t/ HTTP/1.0\r\n\r\n",
        "GET / http/1.0\r\n\r\n",
        "GET / HTTP/1.00\r\n\r\n",
        "GET / HTTP/1\r\n\r\n",
        "GET / HTTP/ 1.0\r\n\r\n",
        "G(T / HTTP/1.0\r\n\r\n",
        "GÉT / HTTP/1.0\r\n\r\n",
        "GET /\tx HTTP/1.0\r\n\r\n",
        "GET / x HTTP/1.0\r\n\r\n",
        "/ HTTP/1.0\r\n\r\n",
        "",
        "\r\n",
        "GET",
        "GET / HTTP/1.0\r\n",
        "GET / HTTP/1.0\n\n",
        "GET / HTTP/1.0\r\n\n",
        "GET / HTTP/1.0\n\r\n",
        "GET / HTTP/1.0\r\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\nx",
        "GET / HTTP/1.0\r\n\r\n\r\n",
        "GET /\r HTTP/1.0\r\n\r\n",
    ] {
        check(bad, 400);
    }
    check(&format!("{} / HTTP/1.0\r\n\r\n", "A".repeat(32)), 0);
    check(&format!("{} / HTTP/1.0\r\n\r\n", "A".repeat(33)), 400);
}

#[test]
fn header_lines() {
    for good in [
        "Host: a",
        "host:a",
        "Host:\ta \t",
        "Host:",
        "Host: a|X:",
        "Host: a|X: \u{e4}\t!",
        "Host: a|!#$%&'*+-.^_`~x: y",
        "Host: a|Content-Length: 0",
        "Host: a|Content-Length: 00065536",
        "Host: a|Expect: 100-Continue",
    ] {
        check_lines("HTTP/1.1", good, 0);
    }
    for bad in [
        "",
        "X: y",
        "Host: a|Host: a",
        "Host: a|host: b",
        "Host: |Host: ",
        "Host: a b",
        "Host: a/",
        "Host: u@a",
        "Host: a, b",
        "Host : a",
        " Host: a",
        "Host: a| b",
        "Host: a|\tb",
        "Host: a|X : y",
        "Host: a|: y",
        "Host: a|X",
        "Host: a|X\0: y",
        "Host: a|X: \0",
        "Host: a|X: \x01",
        "Host: a|X: \x7f",
        "Host: a|X: a\rb",
        "Host: a|X: a\nY: b",
        "Host: a|X: y\r",
        "Host: a|\u{e4}: y",
        "Host: a|X(: y",
        "Host: a|Content-Length: 1|Content-Length: 1",
        "Host: a|Content-Length: 1|Content-Length: 2",
        "Host: a|Content-Length:",
        "Host: a|Content-Length: +5",
        "Host: a|Content-Length: -5",
        "Host: a|Content-Length: 5, 5",
        "Host: a|Content-Length: 5 5",
        "Host: a|Content-Length: 0x5",
        "Host: a|Content-Length: 18446744073709551616",
        "Host: a|Content-Length: 5;",
        "Host: a|Content-Length: 5|Transfer-Encoding: chunked",
        "Host: a|Transfer-Encoding: x|Content-Length: 0",
    ] {
        check_lines("HTTP/1.1", bad, 400);
    }
    check_lines("HTTP/1.1", "Host: a|Content-Length: 65537", 413);
    check_lines(
        "HTTP/1.1",
        "Host: a|Content-Length: 18446744073709551615",
        413,
    );
    check_lines("HTTP/1.1", "Host: a|Transfer-Encoding: Chunked", 411);
    check_lines("HTTP/1.1", "Host: a|Transfer-Encoding: gzip, chunked", 501);
    check_lines(
        "HTTP/1.1",
        "Host: a|Transfer-Encoding: chunked|Transfer-Encoding: chunked",
        501,
    );
    check_lines("HTTP/1.1", "Host: a|Transfer-Encoding: xchunked", 501);
    check_lines("HTTP/1.1", "Host: a|Transfer-Encoding:", 501);
    check_lines("HTTP/1.1", "Host: a|Expect: 200-ok", 417);
    check_lines(
        "HTTP/1.1",
        "Host: a|Expect: 100-continue|Expect: 100-continue",
        417,
    );
    check_lines("HTTP/1.0", "", 0);
    check_lines("HTTP/1.0", "Host: a", 0);
    check_lines("HTTP/1.0", "Host: a|Host: a", 400);
    check_lines("HTTP/1.0", "Host: a b", 400);
    check_lines("HTTP/1.0", "Transfer-Encoding: chunked", 400);
}

#[test]
fn connections_and_bodies() {
    let check = |version: &str, lines: &str, expected: (bool, u64, bool)| {
        let head = format!("PUT / {version}\r\nHost: a\r\n{lines}\r\n");
        let request = parse(head.as_bytes(), &Limits::default()).unwrap();
        let found = (
            request.keep_alive,
            request.body_bytes,
            request.expects_continue,
        );
        assert_eq!(found, expected, "{head:?}");
        assert_eq!(request.method, Method::Other(b"PUT"));
    };
    check("HTTP/1.1", "", (true, 0, false));
    check("HTTP/1.1", "Connection: x, Close ,y\r\n", (false, 0, false));
    check(
        "HTTP/1.1",
        "Connection: x\r\nconnection: close\r\n",
        (false, 0, false),
    );
    check(
        "HTTP/1.1",
        "Connection: keep-alive, close\r\n",
        (false, 0, false),
    );
    check(
        "HTTP/1.1",
        "Connection: closed, enclose\r\n",
        (true, 0, false),
    );
    check("HTTP/1.0", "", (false, 0, false));
    check("HTTP/1.0", "Connection: Keep-Alive\r\n", (true, 0, false));
    check(
        "HTTP/1.0",
        "Connection: close, keep-alive\r\n",
        (false, 0, false),
    );
    let expect = "Expect: 100-continue\r\nContent-Length: 5\r\n";
    check("HTTP/1.1", expect, (true, 5, true));
    check("HTTP/1.0", expect, (false, 5, false));
    check(
        "HTTP/1.1",
        "Expect: 100-continue\r\nContent-Length: 0\r\n",
        (true, 0, false),
    );
}

#[test]
fn limits_hold() {
    let limits = Limits {
        head_bytes: 200,
        target_bytes: 10,
        headers: 2,
        body_bytes: 5,
        ..Limits::default()
    };
    let check = |line: &str, lines: &str, expected: u16| {
        let head = format!("{line} HTTP/1.0\r\n{lines}\r\n");
        assert_eq!(status(head.as_bytes(), &limits), expected, "{head:?}");
    };
    check("GET /234567890", "", 0);
    check("GET /2345678901", "", 414);
    check("GET /", "A: b\r\nC: d\r\n", 0);
    check("GET /", "A: b\r\nC: d\r\nE: f\r\n", 431);
    check("GET /", "Content-Length: 5\r\n", 0);
    check("GET /", "Content-Length: 6\r\n", 413);
    check(
        "GET /",
        &format!("A: {}\r\n", "x".repeat(200 - 16 - 5 - 2)),
        0,
    );
    check(
        "GET /",
        &format!("A: {}\r\n", "x".repeat(200 - 16 - 5 - 1)),
        431,
    );
    for (headers, lines, expected) in [
        (100, 100, 0),
        (100, 101, 431),
        (1000, 128, 0),
        (1000, 129, 431),
        (32, 33, 431),
        (0, 1, 431),
        (0, 0, 0),
    ] {
        let limits = Limits {
            headers,
            ..Limits::default()
        };
        let head = format!("GET / HTTP/1.0\r\n{}\r\n", "A: b\r\n".repeat(lines));
        assert_eq!(
            status(head.as_bytes(), &limits),
            expected,
            "{headers} {lines}"
        );
    }
}

proptest! {
    #[test]
    fn any_request_holds(
        blank in "(\r\n){0,5}",
        method in "(GET|HEAD|OPTIONS|CONNECT|[A-Z ]{0,5})",
        target in "((http://[a-zA-Z.:@]{0,5})?/([a-z./%?#\\\\]|%[0-9a-fA-F]{2}|%2[eEfF]|\\PC){0,12}|\\*)",
        version in "HTTP/(1\\.[0-2]|2\\.0)",
        lines in "((Host: [aB.:]{1,4}|Connection: close|Content-Length: [0-9]{1,3}|[A-Z]{0,2} ?: ?[ -~]{0,5})\r?\n){0,4}",
        tail in "(\r\n|\n|\r)?",
    ) {
        let head = format!("{blank}{method} {target} {version}\r\n{lines}{tail}");
        crate::fuzzing::request_head(head.as_bytes());
    }

    #[test]
    fn any_bytes_hold(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        crate::fuzzing::request_head(&bytes);
    }
}
