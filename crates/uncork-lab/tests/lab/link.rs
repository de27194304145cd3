//! A link carries everything, in order and not early, and passes on how connections end.
#![expect(
    clippy::unwrap_used,
    reason = "a failed unwrap is a failed test, in helpers too"
)]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;
use uncork_lab::link::{Link, LinkConfig, MAX_CONNECTIONS};

const DELAY: Duration = Duration::from_millis(5);
const PATIENCE: Option<Duration> = Some(Duration::from_secs(30));

/// A connected pair of sockets with a link between them.
fn pair(change: impl FnOnce(&mut LinkConfig)) -> (Link, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = LinkConfig::new(listener.local_addr().unwrap(), DELAY);
    change(&mut config);
    let link = Link::start(config).unwrap();
    let near = connect(link.addr());
    let (far, _) = listener.accept().unwrap();
    far.set_read_timeout(PATIENCE).unwrap();
    (link, near, far)
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(PATIENCE).unwrap();
    stream
}

/// Bytes in which no two places look alike for long.
fn pattern(salt: u32, count: u32) -> Vec<u8> {
    (0..count)
        .map(|n| ((n ^ salt).wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

#[test]
fn ten_megabytes_arrive_intact_both_ways() {
    for (bytes_per_second, queue_bytes) in [(None, 300_000), (Some(50_000_000), 4_000_000)] {
        let (_link, near, far) = pair(|config| {
            config.bytes_per_second = bytes_per_second;
            config.queue_bytes = queue_bytes;
        });
        thread::scope(|scope| {
            for (salt, mut out, mut into) in [(1, &near, &far), (2, &far, &near)] {
                scope.spawn(move || {
                    for part in pattern(salt, 10_000_000).chunks(77_777) {
                        out.write_all(part).unwrap();
                    }
                    out.shutdown(Shutdown::Write).unwrap();
                });
                scope.spawn(move || {
                    let mut came = Vec::new();
                    into.read_to_end(&mut came).unwrap();
                    assert!(
                        came == pattern(salt, 10_000_000),
                        "bytes changed on the way"
                    );
                });
            }
        });
    }
}

#[test]
fn nothing_is_early() {
    let (_link, mut near, mut far) = pair(|_| ());
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    let mut byte = [0];
    for n in 0..20 {
        let start = Instant::now();
        near.write_all(&[n]).unwrap();
        far.read_exact(&mut byte).unwrap();
        assert!(start.elapsed() >= DELAY);
        far.write_all(&byte).unwrap();
        near.read_exact(&mut byte).unwrap();
        assert!(start.elapsed() >= 2 * DELAY);
        assert_eq!(byte, [n]);
    }
}

#[test]
fn bandwidth_takes_its_time() {
    let (_link, mut near, mut far) = pair(|config| config.bytes_per_second = Some(1_000_000));
    let start = Instant::now();
    near.write_all(&pattern(3, 50_000)).unwrap();
    let mut came = vec![0; 50_000];
    far.read_exact(&mut came).unwrap();
    assert!(start.elapsed() >= DELAY + Duration::from_millis(50));
    assert_eq!(came, pattern(3, 50_000));
}

#[test]
fn a_half_closed_connection_still_carries_the_other_way() {
    let (_link, mut near, mut far) = pair(|_| ());
    near.write_all(b"question").unwrap();
    near.shutdown(Shutdown::Write).unwrap();
    let mut came = String::new();
    far.read_to_string(&mut came).unwrap();
    assert_eq!(came, "question");
    far.write_all(b"answer").unwrap();
    drop(far);
    came.clear();
    near.read_to_string(&mut came).unwrap();
    assert_eq!(came, "answer");
}

#[test]
fn a_reset_arrives_as_a_reset_behind_the_bytes() {
    for half_closed in [false, true] {
        let (_link, mut near, mut far) = pair(|_| ());
        if half_closed {
            far.shutdown(Shutdown::Write).unwrap();
            assert_eq!(near.read(&mut [0]).unwrap(), 0);
        }
        near.write_all(b"last words").unwrap();
        // The bytes must be over at the link before the reset throws them away.
        thread::sleep(4 * DELAY);
        SockRef::from(&near)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(near);
        let mut came = [0; 10];
        far.read_exact(&mut came).unwrap();
        assert_eq!(&came, b"last words");
        if half_closed {
            // Only who waits for more hears of it here: the far side's FIN was sent before.
            assert!(far.read(&mut came).map_or(true, |read| read == 0));
        } else {
            let error = far.read(&mut came).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
    }
}

#[test]
fn writing_to_who_is_gone_ends_in_an_error() {
    let (_link, mut near, far) = pair(|_| ());
    drop(far);
    assert_eq!(near.read(&mut [0]).unwrap(), 0);
    let gone = (0..1000).any(|_| {
        thread::sleep(Duration::from_millis(1));
        near.write_all(b"anybody there?").is_err()
    });
    assert!(gone, "a second of writes and no reset came back");
}

#[test]
fn a_full_queue_stops_the_sender() {
    let (_link, near, mut far) = pair(|config| {
        // A small queue with a delay would take seconds to fill the buffers behind it.
        config.one_way_delay = Duration::ZERO;
        config.queue_bytes = 10_000;
    });
    near.set_write_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let part = vec![b'x'; 65_536];
    let mut sent = 0;
    // More than all socket buffers on the way may grow to.
    while sent < 1_000_000_000 {
        match (&near).write(&part) {
            Ok(written) => sent += written,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                break;
            }
        }
    }
    assert!(sent < 1_000_000_000, "nothing stopped the sender");
    near.shutdown(Shutdown::Write).unwrap();
    let mut came = Vec::new();
    far.read_to_end(&mut came).unwrap();
    assert_eq!(came.len(), sent);
}

#[test]
fn a_dropped_link_closes_its_connections() {
    let (link, mut near, mut far) = pair(|_| ());
    drop(link);
    for end in [&mut near, &mut far] {
        assert!(end.read(&mut [0]).map_or(true, |read| read == 0));
    }
}

#[test]
fn connections_that_can_not_be_carried_are_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap();
    let link = Link::start(LinkConfig::new(target, DELAY)).unwrap();
    let carried: Vec<TcpStream> = (0..MAX_CONNECTIONS)
        .map(|_| {
            let near = connect(link.addr());
            listener.accept().unwrap();
            near
        })
        .collect();
    let error = connect(link.addr()).read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    drop(carried);

    drop(listener);
    let link_to_nobody = Link::start(LinkConfig::new(target, DELAY)).unwrap();
    let error = connect(link_to_nobody.addr()).read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn connections_that_are_over_make_room() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = LinkConfig::new(listener.local_addr().unwrap(), Duration::ZERO);
    let link = Link::start(config).unwrap();
    for _ in 0..3 * MAX_CONNECTIONS {
        let mut near = connect(link.addr());
        let (far, _) = listener.accept().unwrap();
        near.shutdown(Shutdown::Write).unwrap();
        drop(far);
        assert_eq!(near.read(&mut [0]).unwrap(), 0);
    }
}
