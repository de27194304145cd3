//! Head and body leave in the least number of segments (the table of `FACTS.md`).

use rustix::net::{RecvFlags, recv};
use uncork::TcpInfo;

use crate::support::{Client, Served, Setup, get, pattern};

/// What a segment carries on a way with an MTU of 1500, less the timestamps.
const SEGMENT_BYTES: u32 = 1436;

const BODIES: [usize; 5] = [1000, 65_536, 300_000, 1_000_000, 8_000_000];

const ROUNDS: usize = 20;

fn site() -> Served {
    let mut setup = Setup::new();
    for body in BODIES {
        setup = setup.file(&format!("{body}"), pattern(body));
    }
    setup.start()
}

fn segments_in(client: &Client) -> u32 {
    TcpInfo::of(&client.stream)
        .unwrap()
        .data_segments_in
        .unwrap()
}

/// The segments of one response, and its bytes. A fast reader: bytes are counted and not copied
/// (`MSG_TRUNC`, tcp(7)), as with a slower one the receive window cuts segments, too.
fn fetch(client: &mut Client, request: &str, response_bytes: usize) -> u32 {
    let before = segments_in(client);
    client.send(request);
    let mut buffer = vec![0; 256 * 1024];
    let mut left = response_bytes;
    while left > 0 {
        let (_, read) = recv(&client.stream, &mut buffer, RecvFlags::TRUNC).unwrap();
        assert!(read > 0 && read <= left, "{read} of {left}");
        left -= read;
    }
    segments_in(client) - before
}

/// How long a response is, head and body.
fn response_bytes(served: &Served, request: &str) -> usize {
    let mut client = served.client();
    client.send(request);
    client.send_end();
    client.rest().len()
}

fn rounds(served: &Served, request: &str) -> (Vec<u32>, u32) {
    let bytes = response_bytes(served, request);
    let mut client = served.client_with_mss(SEGMENT_BYTES);
    let segment_bytes = socket2::SockRef::from(&client.stream).tcp_mss().unwrap();
    let least = u32::try_from(bytes).unwrap().div_ceil(segment_bytes);
    // The first response opens the windows.
    fetch(&mut client, request, bytes);
    let mut counted: Vec<u32> = (0..ROUNDS)
        .map(|_| fetch(&mut client, request, bytes))
        .collect();
    counted.sort_unstable();
    (counted, least)
}

/// Up to 300,000 bytes in each run; beyond, a reader that falls behind lets its window cut segments,
/// so there it is the median.
#[test]
fn responses_leave_in_the_least_segments() {
    let served = site();
    for body in BODIES {
        let (counted, least) = rounds(&served, &get(&format!("/{body}"), ""));
        assert_eq!(counted[ROUNDS / 2], least, "{body}: {counted:?}");
        if body <= 300_000 {
            assert_eq!(counted, vec![least; ROUNDS], "{body}");
        }
    }
}

/// With and without a body, from memory and from a file, whole and in ranges.
#[test]
fn other_responses_leave_in_the_least_segments() {
    let served = site();
    let etag = served.get("/65536").etag();
    for (target, lines) in [
        ("/missing", String::new()),
        ("/65536", format!("If-None-Match: {etag}\r\n")),
        ("/65536", "Range: bytes=7-60000\r\n".to_owned()),
        ("/300000", "Range: bytes=-250000\r\n".to_owned()),
        ("/300000", "Range: bytes=0-9,1000-200000\r\n".to_owned()),
        ("/65536", "Range: bytes=0-9,1000-30000\r\n".to_owned()),
    ] {
        let (counted, least) = rounds(&served, &get(target, &lines));
        assert_eq!(counted, vec![least; ROUNDS], "{target} {lines}");
    }
}

/// The first response of a connection, within what the congestion window lets out at once.
#[test]
fn the_first_response_leaves_in_the_least_segments() {
    let served = site();
    for (target, body) in [("/1000", 1000), ("/missing", 0)] {
        let request = get(target, "");
        let bytes = response_bytes(&served, &request);
        for _ in 0..ROUNDS {
            let mut client = served.client_with_mss(SEGMENT_BYTES);
            let segments = fetch(&mut client, &request, bytes);
            assert_eq!(segments, 1, "{body}");
        }
    }
}
