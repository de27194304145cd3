//! Connections, messages and checks that the tests share.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::SockRef;
use uncork::{Message, SendError, TcpInfo, TcpSocket};
use uncork_lab::place::Place;

/// How long a test waits for what must come. Far beyond what a loaded machine needs: it turns
/// a hang into a failure and asserts nothing about time.
pub(crate) const LIVENESS: Duration = Duration::from_secs(30);

/// The smallest buffers that Linux grants (`SOCK_MIN_SNDBUF`, `SOCK_MIN_RCVBUF`).
pub(crate) const BUFFER_BYTES_LEAST: usize = 1;

/// A sender's side with every option at its default (Nagle's algorithm on), and the reader's.
pub(crate) fn pair() -> (TcpStream, TcpStream) {
    let (reader, stream) = Place::Loopback.connect().unwrap();
    reader.set_read_timeout(Some(LIVENESS)).unwrap();
    // BBR paces: bytes stay for a moment with nothing in flight and both windows open, though nobody holds
    // them. Reno is in every kernel, and doesn't.
    #[cfg(target_os = "linux")]
    SockRef::from(&stream).set_tcp_congestion(b"reno").unwrap();
    (stream, reader)
}

/// A pair that takes few bytes while nobody reads.
pub(crate) fn tight_pair() -> (TcpStream, TcpStream) {
    let (stream, reader) = pair();
    let least = BUFFER_BYTES_LEAST;
    SockRef::from(&stream).set_send_buffer_size(least).unwrap();
    SockRef::from(&reader).set_recv_buffer_size(least).unwrap();
    (stream, reader)
}

/// How a reader reads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    Fast,
    /// Small reads with a pause after each, so that the window closes again and again.
    Slow,
}

/// Reads to the end of the stream in a thread of its own.
pub(crate) fn read_all(mut stream: TcpStream, pace: Pace) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        match pace {
            Pace::Fast => {
                stream.read_to_end(&mut all).unwrap();
            }
            Pace::Slow => {
                let mut piece = [0; 8192];
                loop {
                    let read = stream.read(&mut piece).unwrap();
                    if read == 0 {
                        break;
                    }
                    all.extend_from_slice(&piece[..read]);
                    thread::sleep(Duration::from_micros(20));
                }
            }
        }
        all
    })
}

/// Bytes of which no two neighbouring kilobytes are the same.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0u8..=250).cycle().take(len).collect()
}

/// An open file with these bytes.
pub(crate) fn file_with(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// A file of zeros that takes no room.
pub(crate) fn sparse_file(len: u64) -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(len).unwrap();
    file
}

/// Files of every kind, for [`Files::kinds`].
pub(crate) struct Files {
    small: File,
    large: File,
    /// A file of procfs that `sendfile` refuses (it has no `splice_read`).
    refused: File,
    small_bytes: Vec<u8>,
    large_bytes: Vec<u8>,
    refused_bytes: Vec<u8>,
}

const SMALL_BYTES: usize = 1000;
const LARGE_BYTES: usize = 3_000_000;

/// A file that `sendfile` refuses, and what stands in it.
pub(crate) const REFUSED_PATH: &str = "/proc/self/cmdline";

/// One kind of message, and the bytes that must arrive.
pub(crate) struct Kind<'a> {
    pub(crate) name: &'static str,
    pub(crate) message: Message<'a>,
    pub(crate) expected: Vec<u8>,
}

impl Files {
    pub(crate) fn new() -> Self {
        let small_bytes = pattern(SMALL_BYTES);
        let large_bytes = pattern(LARGE_BYTES);
        Self {
            small: file_with(&small_bytes),
            large: file_with(&large_bytes),
            refused: File::open(REFUSED_PATH).unwrap(),
            small_bytes,
            large_bytes,
            refused_bytes: std::fs::read(REFUSED_PATH).unwrap(),
        }
    }

    /// Every kind of message.
    pub(crate) fn kinds(&self) -> Vec<Kind<'_>> {
        let mut kinds = Vec::new();
        let mut add = |name, pieces: &[Piece]| {
            let mut message = Message::new();
            let mut expected = Vec::new();
            for piece in pieces {
                let (from, bytes) = match *piece {
                    Piece::Memory(from, to) => (None, &self.large_bytes[from..to]),
                    Piece::Small => (Some((&self.small, 0)), &self.small_bytes[..]),
                    Piece::Large(from, to) => {
                        (Some((&self.large, from)), &self.large_bytes[from..to])
                    }
                    Piece::Refused => (Some((&self.refused, 0)), &self.refused_bytes[..]),
                };
                message = match from {
                    None => message.bytes(bytes),
                    Some((file, from)) => {
                        let from = from as u64;
                        message.file(file, from..from + bytes.len() as u64)
                    }
                };
                expected.extend_from_slice(bytes);
            }
            kinds.push(Kind {
                name,
                message,
                expected,
            });
        };
        let head = Piece::Memory(7, 307);
        let tail = Piece::Memory(1000, 1002);
        let empty = Piece::Memory(5, 5);
        let no_file = Piece::Large(9, 9);
        let many: Vec<Piece> = (0..2500).map(|at| Piece::Memory(at, at + 3)).collect();
        add("no parts", &[]);
        add("no bytes", &[empty, no_file]);
        add("memory", &[head, Piece::Memory(50, 5000), tail]);
        add("much memory", &[head, Piece::Memory(0, 1_000_000)]);
        add("more parts than one call takes", &many);
        add("empty parts", &[empty, head, empty, no_file, tail, empty]);
        add("head and small file", &[head, Piece::Small]);
        add("head and large file", &[head, Piece::Large(0, LARGE_BYTES)]);
        add("small file in the middle", &[head, Piece::Small, tail]);
        add(
            "large file in the middle",
            &[head, Piece::Large(0, 400_000), tail, tail],
        );
        add(
            "files in a row",
            &[Piece::Small, head, Piece::Small, Piece::Small],
        );
        add("small file alone", &[Piece::Small]);
        add("large file alone", &[Piece::Large(0, 200_000)]);
        add("small range", &[head, Piece::Large(4097, 4099)]);
        add("large range", &[head, Piece::Large(4095, 150_001)]);
        add("refused file", &[head, Piece::Refused]);
        add("refused file in the middle", &[head, Piece::Refused, tail]);
        kinds
    }
}

/// A part, as a range of the bytes that are in memory or in a file.
#[derive(Clone, Copy)]
enum Piece {
    Memory(usize, usize),
    Small,
    Large(usize, usize),
    Refused,
}

/// Compares without printing megabytes.
#[track_caller]
pub(crate) fn assert_same(arrived: &[u8], expected: &[u8]) {
    assert_eq!(arrived.len(), expected.len(), "lengths differ");
    let differs = arrived.iter().zip(expected).position(|(a, b)| a != b);
    assert_eq!(differs, None, "first byte that differs");
}

/// The socket is as it must be between two messages: no cork, no Nagle.
#[track_caller]
pub(crate) fn assert_let_go<S: TcpSocket>(stream: &S) {
    let socket = SockRef::from(stream);
    assert!(!socket.tcp_cork().unwrap(), "TCP_CORK is still on");
    assert!(socket.tcp_nodelay().unwrap(), "TCP_NODELAY is off");
}

/// No byte is held by this side. The peer's window has to be open, or to open some time.
///
/// A hold is told from a wait by state and not by time: where nothing is in flight and both
/// windows are open, only a cork or `MSG_MORE` keeps bytes back.
#[track_caller]
pub(crate) fn assert_nothing_held<S: TcpSocket>(stream: &S) {
    assert_let_go(stream);
    wait_until(|| {
        let info = TcpInfo::of(stream).unwrap();
        let is_held = info.unacked_segments == 0 && info.holds_small_segment() == Some(true);
        assert!(!is_held, "bytes are held: {info:?}");
        info.unsent_bytes == Some(0)
    });
}

/// Waits for what must come, at most [`LIVENESS`].
#[track_caller]
pub(crate) fn wait_until(mut has_come: impl FnMut() -> bool) {
    let start = Instant::now();
    while !has_come() {
        assert!(start.elapsed() < LIVENESS, "it never came");
        thread::sleep(Duration::from_micros(100));
    }
}

/// The error of a message that follows one left in the middle, with the bytes it names.
#[track_caller]
pub(crate) fn incomplete(result: Result<(), SendError>) -> (u64, u64) {
    match result {
        Err(SendError::Incomplete {
            sent_bytes,
            total_bytes,
        }) => (sent_bytes, total_bytes),
        other => panic!("expected Incomplete, not {other:?}"),
    }
}
