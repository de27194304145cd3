//! Head and body leave in the least number of segments (the table of `FACTS.md`).

use std::fs;
use std::os::fd::RawFd;

use rustix::net::{RecvFlags, recv};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::Socket;
use uncork::TcpInfo;

use crate::support::{Client, Served, Setup, get, pattern, until};

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

/// The server's side of a connection, which is in this process.
fn server_side(client: &Client) -> Socket {
    let own = client.stream.local_addr().unwrap().into();
    let process = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let of_peer = |number: RawFd| {
        let copy = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()).ok()?;
        let socket = Socket::from(copy);
        let is_it = socket.peer_addr().is_ok_and(|address| address == own);
        is_it.then_some(socket)
    };
    // It may not be accepted yet.
    until(|| {
        let names = fs::read_dir("/proc/self/fd").unwrap();
        let numbers = names.filter_map(|name| name.ok()?.file_name().to_str()?.parse().ok());
        numbers
            .collect::<Vec<RawFd>>()
            .into_iter()
            .find_map(of_peer)
    })
}

/// Segments with data that left so far. Those sent again do not count: where the scheduler takes the
/// reader off the CPU its ACK is late, and the kernel's loss probe (RFC 8985) sends the last of the
/// queue once more. The client would count these, too.
fn segments_out(server: &Socket) -> u32 {
    let info = TcpInfo::of(server).unwrap();
    info.data_segments_out.unwrap() - info.retransmitted_segments
}

/// The segments of one response, and its bytes. A fast reader: bytes are counted and not copied
/// (`MSG_TRUNC`, tcp(7)), as with a slower one the receive window cuts segments, too.
fn fetch(client: &mut Client, server: &Socket, request: &str, response_bytes: usize) -> u32 {
    let before = segments_out(server);
    client.send(request);
    let mut buffer = vec![0; 256 * 1024];
    let mut left = response_bytes;
    while left > 0 {
        let (_, read) = recv(&client.stream, &mut buffer, RecvFlags::TRUNC).unwrap();
        assert!(read > 0 && read <= left, "{read} of {left}");
        left -= read;
    }
    segments_out(server) - before
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
    let server = server_side(&client);
    // The first response opens the windows.
    fetch(&mut client, &server, request, bytes);
    let mut counted: Vec<u32> = (0..ROUNDS)
        .map(|_| fetch(&mut client, &server, request, bytes))
        .collect();
    counted.sort_unstable();
    (counted, least)
}

/// Up to 300,000 bytes in each of the rounds; beyond, a reader that falls behind lets its window cut
/// segments, so there it is the median. As the other tests may take this one's reader off the CPU, it
/// has a few attempts.
#[test]
fn responses_leave_in_the_least_segments() {
    const ATTEMPTS: usize = 5;
    let served = site();
    for body in BODIES {
        let request = get(&format!("/{body}"), "");
        let is_exact = |(counted, least): &(Vec<u32>, u32)| match body {
            0..=300_000 => *counted == [*least; ROUNDS],
            _ => counted[ROUNDS / 2] == *least,
        };
        let mut seen = Vec::new();
        while seen.len() < ATTEMPTS && !seen.last().is_some_and(is_exact) {
            seen.push(rounds(&served, &request));
        }
        assert!(seen.last().is_some_and(is_exact), "{body}: {seen:?}");
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
        assert_eq!(counted[ROUNDS / 2], least, "{target} {lines}: {counted:?}");
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
            let server = server_side(&client);
            let segments = fetch(&mut client, &server, &request, bytes);
            assert_eq!(segments, 1, "{body}");
        }
    }
}
