//! Requests that come several at once, and in pieces.

use std::io::Write as _;
use std::thread;
use std::time::Duration;

use uncork::TcpInfo;

use crate::support::{Client, Served, Setup, assert_same, pattern, until};

fn site() -> Served {
    let mut setup = Setup::new();
    for number in 0..16 {
        setup = setup.file(&format!("{number}.txt"), format!("body {number}"));
    }
    setup
        .file("kib", pattern(1024))
        .file("long", pattern(300_000))
        .start()
}

fn segments_in(client: &Client) -> u32 {
    TcpInfo::of(&client.stream)
        .unwrap()
        .data_segments_in
        .unwrap()
}

fn request(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
}

#[test]
fn sixteen_requests_are_answered_in_order() {
    let served = site();
    let mut client = served.client();
    for _ in 0..3 {
        let all: String = (0..16)
            .map(|number| request(&format!("/{number}.txt")))
            .collect();
        client.send(all);
        for number in 0..16 {
            client.response().is(200).says(&format!("body {number}"));
        }
    }
    client.is_kept();
}

/// What they fill is one segment on loopback (of 65,483 bytes): one departure is one segment.
#[test]
fn sixteen_answers_are_one_departure() {
    let served = site();
    let mut client = served.client();
    // What is not known yet may have to wait for the disk, and what is there departs before.
    client.get("/kib").is(200);
    let all = request("/kib").repeat(16);
    for _ in 0..10 {
        let before = segments_in(&client);
        client.send(&all);
        for _ in 0..16 {
            assert_same(&client.response().is(200).body, &pattern(1024));
        }
        assert_eq!(segments_in(&client) - before, 1);
    }
}

/// A peer that asks for thousands of small answers and reads none of them costs what one departure
/// holds, and gets them all when it reads.
#[test]
fn thousands_at_once_and_a_late_reader() {
    let served = site();
    let mut client = served.client();
    client.get("/kib").is(200);
    let mut writer = client.stream.try_clone().unwrap();
    let writing = thread::spawn(move || {
        writer
            .write_all(request("/kib").repeat(20_000).as_bytes())
            .unwrap();
    });
    thread::sleep(Duration::from_millis(500));
    served.get("/0.txt").is(200).says("body 0");
    for _ in 0..20_000 {
        assert_same(&client.response().is(200).body, &pattern(1024));
    }
    writing.join().unwrap();
    client.is_kept();
}

/// Each kind of answer in one departure, of which some have no body.
#[test]
fn answers_of_each_kind_keep_their_order() {
    let served = site();
    let mut client = served.client();
    let etag = client.get("/kib").etag();
    let head = "HEAD /long HTTP/1.1\r\nHost: a\r\n\r\n";
    let all = [
        request("/0.txt"),
        head.to_owned(),
        request("/missing"),
        format!("GET /kib HTTP/1.1\r\nHost: a\r\nIf-None-Match: {etag}\r\n\r\n"),
        request("/long"),
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody".to_owned(),
        "GET /long HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1,5-6\r\n\r\n".to_owned(),
        request("/1.txt"),
        "GET /2.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(),
    ]
    .concat();
    client.send(all);
    client.response().is(200).says("body 0");
    assert_eq!(client.response_to_head().is(200).length(), 300_000);
    client.response().is(404);
    client.response().is(304);
    assert_same(&client.response().is(200).body, &pattern(300_000));
    client.response().is(204);
    client.response().is(405);
    client.response().is(206);
    client.response().is(200).says("body 1");
    client
        .response()
        .is(200)
        .says("body 2")
        .has("connection", "close");
    client.is_closed();
}

/// More than one read of the server takes, and more than the sockets hold: nothing is lost, nothing
/// comes twice, and the client reads only when it has sent everything.
#[test]
fn thousands_of_requests_at_once() {
    const COUNT: usize = 5000;
    let served = site();
    let mut client = served.client();
    let mut writer = Client::new(client.stream.try_clone().unwrap());
    let sending = std::thread::spawn(move || {
        for number in 0..COUNT {
            writer.send(request(&format!("/{}.txt", number % 16)));
        }
    });
    for number in 0..COUNT {
        client
            .response()
            .is(200)
            .says(&format!("body {}", number % 16));
    }
    sending.join().unwrap();
    client.is_kept();
}

#[test]
fn long_bodies_one_behind_the_other() {
    let served = site();
    let mut client = served.client();
    client.send(request("/long").repeat(30));
    for _ in 0..30 {
        assert_same(&client.response().is(200).body, &pattern(300_000));
    }
    client.is_kept();
}

/// Cut in two at each place: the server sees the first part alone.
#[test]
fn a_request_cut_at_every_place() {
    let served = site();
    let mut client = served.client();
    let whole = "\r\nGET /1.txt?q HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\nabc\
                 GET /2.txt HTTP/1.1\r\nHost: a\r\n\r\n";
    for at in 1..whole.len() {
        let (first, second) = whole.split_at(at);
        client.send(first);
        until_taken(&client);
        client.send(second);
        client.response().is(200).says("body 1");
        client.response().is(200).says("body 2");
    }
    client.is_kept();
}

#[test]
fn a_request_byte_by_byte() {
    let served = site();
    let mut client = served.client();
    for number in 0..3 {
        for byte in request(&format!("/{number}.txt")).bytes() {
            client.send([byte]);
            until_taken(&client);
        }
        client.response().is(200).says(&format!("body {number}"));
    }
    client.is_kept();
}

/// What is wrong in the middle of pieces is found as it is in one.
#[test]
fn a_malformed_request_cut_at_every_place() {
    let served = site();
    let whole = "GET /1.txt HTTP/1.1\r\nHost: a\nX: y\r\n\r\n";
    for at in 1..whole.len() {
        let (first, second) = whole.split_at(at);
        let mut client = served.client();
        client.send(first);
        until_taken(&client);
        // It may be refused already.
        let _ = std::io::Write::write_all(&mut client.stream, second.as_bytes());
        client.response().is(400);
        client.is_closed();
    }
}

/// The kernel has acknowledged what was sent, and most likely the server has read it.
fn until_taken(client: &Client) {
    until(|| {
        let info = TcpInfo::of(&client.stream).unwrap();
        let is_taken = info.unacked_segments == 0 && info.unsent_bytes == Some(0);
        is_taken.then_some(())
    });
    std::thread::yield_now();
}
