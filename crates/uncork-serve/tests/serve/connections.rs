//! How connections are kept, and how they end.

use std::io::Read;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use socket2::SockRef;
use uncork_serve::config::Config;

use crate::support::{Served, Setup, assert_same, get, pattern};

const LONG: usize = 20 * 1024 * 1024;

fn site() -> Served {
    Setup::new()
        .file("a", "small")
        .file("middle", pattern(300_000))
        .file("long", pattern(LONG))
        .start()
}

#[test]
fn kept_or_closed_as_the_request_says() {
    let served = site();
    // Of HTTP/1.1: nothing is said where the connection is kept. Of HTTP/1.0: it has to be.
    for (version, lines, said) in [
        ("1.1", "", None),
        ("1.1", "Connection: keep-alive\r\n", None),
        ("1.1", "Connection: upgrade, te\r\n", None),
        ("1.1", "Connection: close\r\n", Some("close")),
        ("1.1", "Connection: CLOSE\r\n", Some("close")),
        ("1.1", "Connection: keep-alive, close\r\n", Some("close")),
        (
            "1.1",
            "Connection: x\r\nConnection: close\r\n",
            Some("close"),
        ),
        ("1.0", "", Some("close")),
        ("1.0", "Connection: close\r\n", Some("close")),
        ("1.0", "Connection: keep-alive\r\n", Some("keep-alive")),
        ("1.0", "Connection: Keep-Alive, x\r\n", Some("keep-alive")),
        ("1.0", "Connection: keep-alive, close\r\n", Some("close")),
    ] {
        for target in ["/a", "/middle", "/missing"] {
            let mut client = served.client();
            client.send(format!(
                "GET {target} HTTP/{version}\r\nHost: a\r\n{lines}\r\n"
            ));
            let response = client.response();
            assert_eq!(response.header("connection"), said, "{version} {lines:?}");
            if said == Some("close") {
                client.is_closed();
            } else {
                client.is_kept();
            }
        }
    }
}

/// What comes behind the last request of a connection is not answered, and does not destroy the answer
/// by a reset.
#[test]
fn nothing_is_answered_behind_close() {
    let served = site();
    for target in ["/a", "/middle"] {
        let mut client = served.client();
        let close = get(target, "Connection: close\r\n");
        client.send(format!("{close}{}", get("/a", "").repeat(2000)));
        client.response().is(200).has("connection", "close");
        client.is_closed();
    }
}

/// What comes while the last response is on its way is not read; closing with it unread would be a
/// reset, which destroys what has not arrived yet (RFC 9112, section 9.6).
#[test]
fn what_comes_behind_close_does_not_destroy_the_answer() {
    let served = site();
    for behind in ["\r\n", "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let mut client = served.client();
        client.send(get("/long", "Connection: close\r\n"));
        let head = client.response_to_head().is(200);
        assert_eq!(head.length(), LONG);
        client.send(behind);
        // The rest of it is in the server's send buffer when the server closes.
        thread::sleep(Duration::from_millis(300));
        let mut arrived = 0;
        while arrived < 10_000_000 {
            arrived += client.take();
        }
        thread::sleep(Duration::from_millis(300));
        let arrived = arrived + client.rest().len();
        assert_eq!(arrived, LONG);
    }
}

#[test]
fn a_thousand_requests_on_one_connection() {
    let served = site();
    let mut client = served.client();
    for _ in 0..1000 {
        client.get("/a").is(200).says("small");
    }
}

/// Who says that nothing more comes is answered nevertheless.
#[test]
fn a_half_closed_client_gets_its_answers() {
    let served = site();
    for (target, len) in [
        ("/a", 5),
        ("/middle", 300_000),
        ("/long", LONG),
        ("/missing", 0),
    ] {
        let mut client = served.client();
        client.send(get(target, "").repeat(3));
        client.send_end();
        for _ in 0..3 {
            let response = client.response();
            if len > 0 {
                assert_eq!(response.is(200).body.len(), len);
            }
        }
        client.is_closed();
    }
    // Half a request is none.
    for half in ["G", "GET /a HTTP/1.1\r\n", "\r\n"] {
        let mut client = served.client();
        client.send(half);
        client.send_end();
        client.is_closed();
    }
    let mut client = served.client();
    client.send_end();
    client.is_closed();
}

#[test]
fn clients_that_disappear() {
    let served = site();
    for round in 0..30 {
        let mut client = served.client();
        let target = if round % 2 == 0 { "/long" } else { "/missing" };
        client.send(get(target, "").repeat(1 + round));
        if round % 3 == 0 {
            let mut piece = [0; 10_000];
            client.stream.read_exact(&mut piece[..200]).unwrap();
        }
        match round % 4 {
            0 | 1 => client.reset(),
            _ => drop(client),
        }
    }
    for _ in 0..5 {
        drop(served.client());
        served.client().reset();
    }
    served.get("/a").is(200).says("small");
    assert_same(&served.get("/long").body, &pattern(LONG));
    assert!(!served.server().has_failed());
}

/// One who reads slowly gets every byte, and the others don't wait for it: all on one thread.
#[test]
fn a_slow_reader_and_the_others() {
    let served = site();
    let mut slow = served.client();
    let least = SockRef::from(&slow.stream);
    least.set_recv_buffer_size(16 * 1024).unwrap();
    slow.send(get("/long", ""));
    let reading = thread::spawn(move || {
        let mut arrived = Vec::new();
        let mut piece = vec![0; 256 * 1024];
        while arrived.len() < LONG {
            match slow.stream.read(&mut piece).unwrap() {
                0 => break,
                read => arrived.extend_from_slice(&piece[..read]),
            }
            thread::sleep(Duration::from_micros(500));
        }
        arrived
    });
    let mut client = served.client();
    let mut answered = 0;
    while !reading.is_finished() {
        client.get("/a").is(200).says("small");
        answered += 1;
    }
    assert!(answered > 0);
    let arrived = reading.join().unwrap();
    let head = memchr::memmem::find(&arrived, b"\r\n\r\n").unwrap() + 4;
    assert_same(&arrived[head..], &pattern(LONG)[..arrived.len() - head]);
    assert!(arrived.len() >= LONG);
}

/// Those who read nothing at all stop nobody.
#[test]
fn readers_that_stand_still() {
    let served = site();
    let still: Vec<_> = (0..50)
        .map(|_| {
            let mut client = served.client();
            client.send(get("/long", ""));
            client
        })
        .collect();
    for _ in 0..100 {
        served.get("/a").is(200);
    }
    let mut still = still;
    for client in &mut still[..3] {
        assert_same(&client.response().is(200).body, &pattern(LONG));
        client.is_kept();
    }
}

#[test]
fn several_threads_serve_one_address() {
    let served = Setup::new().file("a", "small").threads(2).start();
    let mut clients: Vec<_> = (0..40).map(|_| served.client()).collect();
    for _ in 0..3 {
        for client in &mut clients {
            client.get("/a").is(200).says("small");
        }
    }
}

/// Sockets of systemd: taken as they are, whatever the configuration says.
#[test]
fn sockets_that_are_handed_over() {
    let handed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = handed.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    crate::support::write(&folder.path().join("a"), "small");
    let config = Config {
        threads: Some(2),
        ..Config::of_root(folder.path().to_owned())
    };
    let bound = uncork_serve::Bound::new(config, vec![handed]).unwrap();
    assert_eq!(bound.addresses(), [address]);
    let server = bound.start(|| ()).unwrap();
    for _ in 0..20 {
        let stream = std::net::TcpStream::connect(address).unwrap();
        let mut client = crate::support::Client::new(stream);
        client
            .get_with("/a", "Connection: close\r\n")
            .is(200)
            .says("small");
        client.is_closed();
    }
    server.drain().unwrap();
}

#[test]
fn an_address_in_use_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    for threads in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            listen: vec![taken.local_addr().unwrap()],
            threads: Some(threads),
            ..Config::of_root(folder.path().to_owned())
        };
        let error = uncork_serve::Bound::new(config, Vec::new()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse, "{error}");
    }
}
