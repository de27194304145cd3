//! Bodies that nobody asked for.

use std::thread;
use std::time::Duration;

use uncork_serve::limits::Limits;

use crate::support::{Served, Setup, test_limits};

const LIMIT: usize = 64 * 1024;

fn site() -> Served {
    Setup::new().file("index.html", "index").start()
}

fn request(method: &str, length: usize, lines: &str) -> String {
    format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{lines}\r\n")
}

#[test]
fn a_body_is_thrown_away_and_the_next_request_is_answered() {
    let served = site();
    let mut client = served.client();
    // The body looks like a request, and is none.
    let inside = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for method in ["GET", "OPTIONS", "POST"] {
        let status = match method {
            "GET" => 200,
            "OPTIONS" => 204,
            _ => 405,
        };
        for length in [0, 1, inside.len(), 5000, LIMIT] {
            let body = inside.repeat(length / inside.len() + 1);
            let one = format!("{}{}", request(method, length, ""), &body[..length]);
            // In one write with the next one behind it.
            client.send(format!("{one}{}", request("GET", 0, "")));
            client.response().is(status);
            client.response().is(200).says("index");
        }
        client.is_kept();
    }
}

#[test]
fn a_body_in_pieces() {
    let served = site();
    let mut client = served.client();
    client.send(request("GET", 30_000, ""));
    client.response().is(200).says("index");
    for _ in 0..30 {
        client.send("b".repeat(1000));
    }
    client.get("/").is(200).says("index");
    // Byte by byte, and with the next request's first bytes behind the last one.
    client.send(request("GET", 5, ""));
    for byte in ["b", "b", "b", "b"] {
        client.send(byte);
    }
    client.send("bGET / HT");
    client.response().is(200).says("index");
    client.send("TP/1.1\r\nHost: a\r\n\r\n");
    client.response().is(200).says("index");
    client.is_kept();
}

#[test]
fn a_body_that_is_too_long_is_413() {
    let served = site();
    for length in [LIMIT + 1, 10_000_000] {
        let mut client = served.client();
        client.send(request("GET", length, ""));
        client.response().is(413).has("connection", "close");
        // It is answered though the client goes on sending.
        let _ = std::io::Write::write_all(&mut client.stream, &vec![b'b'; 100_000]);
        client.is_closed();
    }
    let limits = Limits {
        body_bytes: 0,
        ..test_limits()
    };
    let served = Setup::new()
        .limits(limits)
        .file("index.html", "index")
        .start();
    served.ask(format!("{}b", request("GET", 1, ""))).is(413);
    served.ask(request("GET", 0, "")).is(200);
}

/// Who waits for 100 gets the answer at once, and must not send the body behind it.
#[test]
fn expect_continue() {
    let served = site();
    let expect = "Expect: 100-continue\r\n";
    for (method, status) in [("GET", 200), ("POST", 405)] {
        let mut client = served.client();
        client.send(request(method, 1000, expect));
        client.response().is(status).has("connection", "close");
        client.send_end();
        client.is_closed();
        // Who sends it all the same loses nothing of the answer.
        let mut client = served.client();
        client.send(format!(
            "{}{}",
            request(method, 1000, expect),
            "b".repeat(1000)
        ));
        client.response().is(status).has("connection", "close");
        client.is_closed();
    }
    let mut client = served.client();
    client.send(request("GET", LIMIT + 1, expect));
    client.response().is(413);
    client.is_closed();
    // Without a body there is nothing to wait for, and HTTP/1.0 knows nothing of it.
    let mut client = served.client();
    client.send(request("GET", 0, expect));
    client.response().is(200).has_no("connection");
    client.is_kept();
    let old = "GET / HTTP/1.0\r\nContent-Length: 3\r\nConnection: keep-alive\r\n";
    let mut client = served.client();
    client.send(format!("{old}{expect}\r\nabc"));
    client.response().is(200).has("connection", "keep-alive");
    client.is_kept();
    let mut client = served.client();
    client.send(request("GET", 5, "Expect: a-miracle\r\n"));
    client.response().is(417).has("connection", "close");
    client.is_closed();
}

/// The end of the connection in the middle of a body is the end, and nothing else.
#[test]
fn a_body_that_never_ends() {
    let served = site();
    let mut client = served.client();
    client.send(format!("{}only this", request("GET", 1000, "")));
    client.response().is(200).says("index");
    client.send_end();
    client.is_closed();
    served.get("/").is(200);
}

/// Some peers send an empty line behind a body. It is no request that takes too long to arrive.
#[test]
fn an_empty_line_behind_a_body() {
    let limits = Limits {
        head_time: Duration::from_secs(1),
        ..test_limits()
    };
    let setup = Setup::new().file("index.html", "index");
    let served = setup.limits(limits).start();
    let mut client = served.client();
    client.send(format!("{}body\r\n", request("GET", 4, "")));
    client.response().is(200).says("index");
    let mut pieces = served.client();
    pieces.send(request("GET", 4, ""));
    pieces.response().is(200).says("index");
    pieces.send("body");
    pieces.send("\r\n");
    thread::sleep(Duration::from_secs(4));
    for client in [&mut client, &mut pieces] {
        client.is_kept();
        client.get("/").is(200).says("index");
    }
}
