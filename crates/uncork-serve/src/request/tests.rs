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
    assert_eq!(request.host.unwrap().as_str(), "example.org");
    assert_eq!(request.target, b"/a%20b/?q=%2F");
    assert_eq!(request.path, Some(Path::Owned(b"/a b/".to_vec())));
    assert_eq!(request.query, Some(&b"q=%2F"[..]));
    assert!(request.keep_alive && !request.expects_continue);
    assert_eq!(request.body_bytes, 0);
    assert_eq!(request.user_agent, Field::Once("Mözilla".as_bytes()));
    assert_eq!(request.accept_encoding, Field::Once(b"gzip, br"));
    assert_eq!(request.range, Field::Several);
    assert_eq!(request.referer, Field::Once(b"x"));
    assert_eq!(request.if_none_match, Field::Once(b"\"a\""));
    assert_eq!(request.if_match, Field::Once(b"*"));
    assert_eq!(request.if_range, Field::Once(b"\"b\""));
    assert_eq!(request.if_modified_since, Field::Once(b"c"));
    assert_eq!(request.if_unmodified_since, Field::Once(b"d"));
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
        "Host: a|!#$%&'*+-.^_`|x: y",
        "Host: a|Content-Length: 0",
        "Host: a|Content-Length: 00065536",
        "Host: a|Expect: 100-Continue",
    ] {
        // A bar in a name would end the line; the rest of it still is a header line.
        check_lines("HTTP/1.1", &good.replace("`|x", "`x"), 0);
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

/// Host, path and query of a target, of which the first is the Host line's `h` if it says none.
#[track_caller]
fn check_target(line: &str, expected: Option<(&str, Option<&str>, Option<&str>)>) {
    let head = format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n");
    let parsed = parse(head.as_bytes(), &Limits::default());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let found = parsed.as_ref().ok().map(|request| {
        let host = request.host.as_ref().unwrap().to_string();
        (
            host,
            request.path.as_ref().map(|path| text(path.as_bytes())),
            request.query.map(text),
        )
    });
    let expected = expected.map(|(host, path, query)| {
        (
            host.to_owned(),
            path.map(str::to_owned),
            query.map(str::to_owned),
        )
    });
    assert_eq!(found, expected, "{line:?}");
    if let Err(reject) = parsed {
        assert_eq!(reject.status, 400, "{line:?}");
    }
}

#[test]
fn targets() {
    let good = |line: &str, host, path, query| check_target(line, Some((host, path, query)));
    good("GET /", "h", Some("/"), None);
    good("GET /?", "h", Some("/"), Some(""));
    good("GET /a?b?c=../%zz\\", "h", Some("/a"), Some("b?c=../%zz\\"));
    good("GET //a///b//", "h", Some("/a/b/"), None);
    good("GET /%41%c3%A4/ä", "h", Some("/Aä/ä"), None);
    good("GET /%252e%252e%3f%23", "h", Some("/%2e%2e?#"), None);
    good(
        "GET /.well-known/..a/a../.../a.",
        "h",
        Some("/.well-known/..a/a../.../a."),
        None,
    );
    good("GET /:*@\"<>[]^`{|}", "h", Some("/:*@\"<>[]^`{|}"), None);
    good(
        "GET http://Example.org:80/a?b",
        "example.org",
        Some("/a"),
        Some("b"),
    );
    good("GET HTTPS://x", "x", Some("/"), None);
    good("GET http://x?b", "x", Some("/"), Some("b"));
    good("GET http://x//a", "x", Some("/a"), None);
    good("GET http://[::1]:80/", "[::1]", Some("/"), None);
    good("GET /http://x/", "h", Some("/http:/x/"), None);
    good("OPTIONS *", "h", None, None);
    good("OPTIONS /a", "h", Some("/a"), None);
    good("CONNECT x:443", "h", None, None);
    for bad in [
        "GET *",
        "PUT *",
        "GET a",
        "GET ?",
        "GET .",
        "GET x:80",
        "OPTIONS **",
        "CONNECT /",
        "CONNECT http://x/",
        "GET ftp://x/",
        "GET http:/x/",
        "GET http:x",
        "GET ://x/",
        "GET http:///a",
        "GET http://",
        "GET http://:80/",
        "GET http://u@x/",
        "GET http://u:p@x/",
        "GET http://x:y/",
        "GET http://x#/",
        "GET http://x\\y/",
        "GET /#a",
        "GET /a?b#c",
        "GET /\x01",
        "GET /\x7f",
        "GET /\0",
        "GET /?\x01",
        "GET /.",
        "GET /..",
        "GET /../a",
        "GET /a/../b",
        "GET /a/./b",
        "GET /a/..",
        "GET /%2e%2E/a",
        "GET /a/.%2e",
        "GET /%2e",
        "GET //../a",
        "GET /a//..",
        "GET http://x/../a",
        "GET /a\\b",
        "GET /a%5cb",
        "GET /..\\a",
        "GET /a%2fb",
        "GET /a%2F..%2fb",
        "GET /%00",
        "GET /a%0ab",
        "GET /%1F",
        "GET /%7f",
        "GET /%",
        "GET /%4",
        "GET /%4x",
        "GET /%x4",
        "GET /%%41",
        "GET /%+1",
        "GET /a%?41",
    ] {
        check_target(bad, None);
    }
    let head = b"GET /\xff%FE HTTP/1.0\r\n\r\n";
    let request = parse(head, &Limits::default()).unwrap();
    assert_eq!(request.path, Some(Path::Owned(b"/\xff\xfe".to_vec())));
    let head = b"GET /plain HTTP/1.0\r\n\r\n";
    let request = parse(head, &Limits::default()).unwrap();
    assert_eq!(request.path, Some(Path::Borrowed(b"/plain")));
    assert_eq!(request.host, None);
}

#[test]
fn ends_of_heads() {
    let check = |bytes: &str, expected: Option<usize>| {
        let bytes = bytes.as_bytes();
        for from in 0..=expected.map_or(bytes.len(), |end| end - 1) {
            assert_eq!(head_end(bytes, from), expected, "{bytes:?} from {from}");
        }
    };
    check("", None);
    check("GET / HTTP/1.1\r\nA: b\r\n", None);
    check("GET / HTTP/1.1\r\n\r\nGET", Some(18));
    check("GET / HTTP/1.1\n\n", Some(16));
    check("GET / HTTP/1.1\n\r\n", Some(17));
    check("GET / HTTP/1.1\r\n\n", Some(17));
    check("a\r\n\r", None);
    check("a\r\r\n", None);
    check("\r\n\r\n\r\n\r\n", None);
    check("\r\n\r\n\r\n\r\n\r", None);
    check("\r\n\r\na\r\n\r\n", Some(9));
    check("\r\n\n", Some(3));
    assert_eq!(head_end(b"\r\n\r\n\r\n\r\n\r\n", 9), Some(10));
    assert_eq!(head_end(b"abc", 1000), None);
}

#[test]
fn beginnings_that_are_refused() {
    let limits = Limits {
        head_bytes: 100,
        target_bytes: 10,
        ..Limits::default()
    };
    let check = |bytes: &str, expected: Option<u16>| {
        let status = early_reject(bytes.as_bytes(), &limits).map(|reject| reject.status);
        assert_eq!(status, expected, "{bytes:?}");
    };
    for good in [
        "",
        "\r",
        "\r\n\r",
        "G",
        "GET",
        "GET ",
        "GET /",
        "GET /234567890",
        "GET /234567890 HTTP/1.1\r\nA",
        "\r\nGET /",
        "GET /\r\nsomething",
    ] {
        check(good, None);
    }
    for bad in [
        "\x16\x03\x01",
        "\0",
        " ",
        "\n",
        "\rG",
        "GET\t",
        "GET\r\n",
        "(",
        "\r\n\r\n\r\n\r\n\r\n",
        "GE\u{e4}",
    ] {
        check(bad, Some(400));
    }
    check("GET /2345678901", Some(414));
    check(&"A".repeat(32), None);
    check(&"A".repeat(33), Some(400));
    check(&format!("GET / HTTP/1.1\r\n{}", "a".repeat(83)), None);
    check(&format!("GET / HTTP/1.1\r\n{}", "a".repeat(84)), Some(431));
    let reject = early_reject(b"\x16\x03\x01\x02", &limits).unwrap();
    assert!(reject.reason.contains("TLS"));
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
    fn any_target_holds(target in "/([a-z.]|/|%[2-6][0-9a-f]|\\.{1,2}/){0,12}") {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        crate::fuzzing::request_head(head.as_bytes());
    }

    #[test]
    fn any_bytes_hold(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        crate::fuzzing::request_head(&bytes);
    }
}
