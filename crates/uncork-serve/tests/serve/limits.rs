//! What one peer, and all of them together, may take. Limits are short here, and nothing is said of
//! how soon after them something happens.

use std::io::Read;
use std::thread;
use std::time::Duration;

use socket2::SockRef;
use uncork_serve::limits::Limits;

use crate::support::{Served, Setup, get, pattern, test_limits, until};

fn with(limits: Limits) -> Served {
    Setup::new()
        .limits(limits)
        .file("a", "small")
        .file("long", pattern(20_000_000))
        .start()
}

#[test]
fn a_head_that_takes_too_long_is_408() {
    let served = with(Limits {
        head_time: Duration::from_secs(1),
        ..test_limits()
    });
    for start in ["G", "GET /a HTTP/1.1\r\nHost: a\r\n", "\r\nGET"] {
        let mut client = served.client();
        client.send(start);
        client.response().is(408).has("connection", "close");
        client.is_closed();
    }
    // The second one of a connection, too, behind the answer to the first.
    let mut client = served.client();
    client.send(format!("{}GET /a", get("/a", "")));
    client.response().is(200);
    client.response().is(408);
    client.is_closed();
}

/// A byte now and then does not put it off.
#[test]
fn a_head_that_trickles_is_408() {
    let served = with(Limits {
        head_time: Duration::from_secs(1),
        ..test_limits()
    });
    let mut client = served.client();
    let mut writer = client.stream.try_clone().unwrap();
    let sending = thread::spawn(move || {
        for byte in get("/a", &"X: y\r\n".repeat(200)).bytes() {
            if std::io::Write::write_all(&mut writer, &[byte]).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
    });
    client.response().is(408);
    drop(client);
    sending.join().unwrap();
    served.get("/a").is(200);
}

#[test]
fn an_idle_connection_is_closed() {
    let served = with(Limits {
        idle_time: Duration::from_secs(1),
        ..test_limits()
    });
    let mut fresh = served.client();
    let mut used = served.client();
    used.get("/a").is(200);
    fresh.is_closed();
    used.is_closed();
    // One that goes on asking is not idle.
    let mut busy = served.client();
    for _ in 0..30 {
        busy.get("/a").is(200);
        thread::sleep(Duration::from_millis(100));
    }
}

/// A peer that takes less than the least rate is let go of; one that takes more is not.
#[test]
fn a_reader_below_the_least_rate_is_let_go_of() {
    let served = with(Limits {
        send_bytes_per_second: 1_000_000,
        send_window: Duration::from_secs(1),
        ..test_limits()
    });
    let mut slow = served.client();
    let socket = SockRef::from(&slow.stream);
    socket.set_recv_buffer_size(256 * 1024).unwrap();
    slow.send(get("/long", ""));
    let mut fast = served.client();
    fast.send(get("/long", ""));
    assert_eq!(fast.response().is(200).body.len(), 20_000_000);
    // What the kernel's buffers took is still there; the rest never comes.
    thread::sleep(Duration::from_secs(5));
    let arrived = slow.rest();
    assert!(arrived.len() < 20_000_000, "{}", arrived.len());
    served.get("/a").is(200);
}

#[test]
fn no_least_rate_at_all() {
    let served = with(Limits {
        send_bytes_per_second: 0,
        send_window: Duration::from_secs(1),
        ..test_limits()
    });
    let mut still = served.client();
    still.send(get("/long", ""));
    thread::sleep(Duration::from_secs(4));
    assert_eq!(still.response().is(200).body.len(), 20_000_000);
}

#[test]
fn the_last_request_of_a_connection() {
    let served = with(Limits {
        requests_per_connection: 3,
        ..test_limits()
    });
    let mut client = served.client();
    client.get("/a").is(200).has_no("connection");
    client.get("/missing").is(404).has_no("connection");
    client.get("/a").is(200).has("connection", "close");
    client.is_closed();
    // In one write: what is behind the last one is not answered.
    let mut client = served.client();
    client.send(get("/a", "").repeat(10));
    for said in [None, None, Some("close")] {
        assert_eq!(client.response().is(200).header("connection"), said);
    }
    client.is_closed();
}

#[test]
fn more_connections_than_allowed_are_503() {
    let served = with(Limits {
        connections: 3,
        ..test_limits()
    });
    let mut kept: Vec<_> = (0..3).map(|_| served.client()).collect();
    for client in &mut kept {
        client.get("/a").is(200);
    }
    for _ in 0..5 {
        let mut crowded = served.client();
        let response = crowded.response().is(503).has("connection", "close");
        response.has("retry-after", "1");
        crowded.is_closed();
    }
    for client in &mut kept {
        client.get("/a").is(200);
    }
    // One goes, another one comes.
    kept.pop();
    let mut client = until(|| {
        let mut client = served.client();
        let _ = std::io::Write::write_all(&mut client.stream, get("/a", "").as_bytes());
        let response = client.response();
        (response.status == 200).then_some(client)
    });
    client.is_kept();
}

/// Loopback is not counted by address: a terminator of TLS stands there.
#[test]
fn this_machine_is_not_limited_by_its_address() {
    let served = with(Limits {
        connections_per_address: 1,
        ..test_limits()
    });
    let mut clients: Vec<_> = (0..5).map(|_| served.client()).collect();
    for client in &mut clients {
        client.get("/a").is(200);
    }
}

#[test]
fn a_cache_with_hardly_any_room() {
    for (cache_entries, cache_bytes) in [(1, 1 << 20), (1000, 0), (0, 0), (1000, 3000)] {
        let served = with(Limits {
            cache_entries,
            cache_bytes,
            ..test_limits()
        });
        let mut client = served.client();
        for _ in 0..3 {
            client.get("/a").is(200).says("small");
            client.get("/missing").is(404);
            client.get_with("/long", "Range: bytes=5-9\r\n").is(206);
        }
    }
}

/// Hundreds of slow heads and slow readers: the others are served.
#[test]
fn slow_peers_and_the_others() {
    let served = with(Limits {
        head_time: Duration::from_secs(60),
        ..test_limits()
    });
    let mut slow: Vec<_> = (0..200).map(|_| served.client()).collect();
    for (number, client) in slow.iter_mut().enumerate() {
        let whole = get("/long", "");
        let sent = if number % 2 == 0 { 20 } else { whole.len() };
        client.send(&whole[..sent]);
    }
    for _ in 0..200 {
        served.get("/a").is(200);
    }
    // And those that were slow may go on.
    let mut piece = [0; 1000];
    slow[0].send(&get("/long", "")[20..]);
    slow[0].stream.read_exact(&mut piece).unwrap();
    slow[1].stream.read_exact(&mut piece).unwrap();
}
