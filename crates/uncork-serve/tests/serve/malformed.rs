//! What two readers could take for two things is refused, answered, and the connection closed: no
//! byte behind it is read as a request.

use crate::support::{Served, Setup};

fn site() -> Served {
    Setup::new()
        .file("index.html", "index")
        .file("smuggled", "smuggled")
        .start()
}

/// What an attacker would like to be read as a second request.
const SECOND: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// Sends it with a second request behind it: one answer, and the end.
#[track_caller]
fn check(served: &Served, request: impl AsRef<[u8]>, status: u16) {
    let request = request.as_ref();
    let shown = String::from_utf8_lossy(&request[..request.len().min(300)]).into_owned();
    let mut client = served.client();
    client.send([request, SECOND.as_bytes()].concat());
    let response = client.response();
    assert_eq!(response.status, status, "{shown:?}: {}", response.text());
    assert_ne!(response.text(), "smuggled", "{shown:?}");
    response.has("connection", "close");
    client.is_closed();
    // A valid request before it is still answered, in the same departure.
    let mut client = served.client();
    client.send(["GET / HTTP/1.1\r\nHost: a\r\n\r\n".as_bytes(), request].concat());
    client.response().is(200).says("index");
    assert_eq!(
        client.response().status,
        status,
        "behind another: {shown:?}"
    );
    client.is_closed();
}

#[track_caller]
fn check_lines(served: &Served, lines: &str, status: u16) {
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    check(served, request, status);
}

#[test]
fn lengths_and_codings_that_disagree() {
    let served = site();
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: identity\r\nContent-Length: 0\r\n",
        "Transfer-Encoding:\r\nContent-Length: 0\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\ncontent-LENGTH: 0\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5;\r\n",
        "Content-Length: \"5\"\r\n",
        "Content-Length: \r\n",
        "Content-Length:\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 1e1\r\n",
    ] {
        check_lines(&served, lines, 400);
    }
    check_lines(&served, "Content-Length: 18446744073709551615\r\n", 413);
}

#[test]
fn transfer_codings() {
    let served = site();
    check_lines(&served, "Transfer-Encoding: chunked\r\n", 411);
    check_lines(&served, "Transfer-Encoding: CHUNKED\r\n", 411);
    check_lines(&served, "transfer-encoding:chunked\r\n", 411);
    for coding in [
        "gzip",
        "identity",
        "gzip, chunked",
        "chunked, chunked",
        "xchunked",
        "chunked;x",
    ] {
        check_lines(&served, &format!("Transfer-Encoding: {coding}\r\n"), 501);
    }
    let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n";
    check_lines(&served, twice, 501);
    let old = "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    check(&served, old, 400);
}

#[test]
fn ends_of_lines() {
    let served = site();
    for request in [
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\rZ: w\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \r\r\n\r\n",
        "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
        "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\rHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\u{0}b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\u{1}b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\u{7f}b\r\n\r\n",
    ] {
        check(&served, request, 400);
    }
}

#[test]
fn folded_lines_and_odd_names() {
    let served = site();
    for lines in [
        "X: y\r\n z\r\n",
        "X: y\r\n\tz\r\n",
        "X:\r\n y\r\n",
        " X: y\r\n",
        "X : y\r\n",
        "X\t: y\r\n",
        "Content-Length : 5\r\n",
        "Transfer-Encoding : chunked\r\n",
        ": y\r\n",
        "no colon\r\n",
        "X Y: z\r\n",
        "X(: z\r\n",
        "X\u{e9}: z\r\n",
        "\u{0}X: z\r\n",
        "\u{b}Content-Length: 5\r\n",
    ] {
        check_lines(&served, lines, 400);
    }
    // Before the first line of all.
    check(
        &served,
        "GET / HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n",
        400,
    );
}

#[test]
fn first_lines() {
    let served = site();
    let rest = "\r\nHost: a\r\n\r\n";
    for line in [
        "GET /",
        "GET / ",
        "GET",
        " GET / HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.1 x",
        "GET /a b HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1",
        "GET / HTTP/1.",
        "GET / HTTP/1.10",
        "GET / HTTP/+1.1",
        "GET / HTTP /1.1",
        "GET / HTTPS/1.1",
        "GET / HTP/1.1",
        "GET a HTTP/1.1",
        "GET * HTTP/1.1",
        "GET ?a HTTP/1.1",
        "GET http:/a HTTP/1.1",
        "GET  HTTP/1.1",
        "/ HTTP/1.1",
        "{\"json\": 1}",
    ] {
        check(&served, format!("{line}{rest}"), 400);
    }
    for line in [
        "GET / HTTP/2.0",
        "GET / HTTP/1.2",
        "GET / HTTP/0.9",
        "PRI * HTTP/2.0",
    ] {
        let mut client = served.client();
        client.send(format!("{line}{rest}"));
        let response = client.response();
        assert!(matches!(response.status, 505), "{line}: {response:?}");
        client.is_closed();
    }
}

#[test]
fn a_tls_client_is_told() {
    let served = site();
    // The beginning of a ClientHello: a record of type handshake.
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0x5a, 0xa5];
    for end in [1, 5, hello.len()] {
        let mut client = served.client();
        client.send(&hello[..end]);
        let response = client.response().is(400);
        assert!(response.text().contains("TLS"), "{}", response.text());
        client.is_closed();
    }
}

#[test]
fn garbage_is_answered_and_not_waited_for() {
    let served = site();
    for bytes in [
        &b"\0\0\0\0"[..],
        b"\xff\xfe\xfd",
        b"\r\r",
        b"<xml>",
        b"SSH-2.0-x\r\n",
        b"\x05\x01\x00",
    ] {
        let mut client = served.client();
        client.send(bytes);
        client.response().is(400);
        client.is_closed();
    }
}

/// RFC 9112, section 2.2: a server should bear with an empty line in front.
#[test]
fn empty_lines_before_a_request() {
    let served = site();
    let mut client = served.client();
    for blanks in 0..=4 {
        client.send(format!(
            "{}GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "\r\n".repeat(blanks)
        ));
        client.response().is(200).says("index");
    }
    check(
        &served,
        format!("{}GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n".repeat(5)),
        400,
    );
}

#[test]
fn heads_that_are_too_long() {
    let served = site();
    let long = |len: usize| "x".repeat(len);
    check(
        &served,
        format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", long(8192)),
        414,
    );
    let mut client = served.client();
    client.send(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", long(8191)));
    client.response().is(404);
    check_lines(&served, &format!("X: {}\r\n", long(16 * 1024)), 431);
    check_lines(&served, &"X: y\r\n".repeat(100), 431);
    let mut client = served.client();
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "X: y\r\n".repeat(99)
    ));
    client.response().is(200);
    // Without an end: refused as soon as it is too long, and not kept.
    for start in ["GET /", "GET / HTTP/1.1\r\nX: "] {
        let mut client = served.client();
        client.send(format!("{start}{}", long(16 * 1024)));
        let status = client.response().has("connection", "close").status;
        assert_eq!(status, if start == "GET /" { 414 } else { 431 });
        client.is_closed();
    }
    let mut client = served.client();
    client.send(long(100));
    client.response().is(400);
}

/// To the byte: a head of just the length that is allowed.
#[test]
fn a_head_of_the_longest_length() {
    let served = site();
    let head = |len: usize| {
        let start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        format!("{start}{}\r\n\r\n", "x".repeat(len - start.len() - 4))
    };
    let mut client = served.client();
    client.send(head(16 * 1024));
    client.response().is(200);
    check(&served, head(16 * 1024 + 1), 431);
}
