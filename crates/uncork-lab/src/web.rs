//! The web server's problem: a header in memory and a body in a file.
//!
//! One connection, kept alive. The client asks with one byte, the server sends header and
//! file in one of several [manners](WebManner), the client reads all of it.

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, sendmsg};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use socket2::SockRef;
use uncork::plan::SENDFILE_CAP_BYTES;
use uncork::{Sender, TcpInfo};

use crate::place::Place;

/// Length of the header: what a static server sends with validators.
pub const HEAD_BYTES: usize = 300;

/// Most bytes one `sendfile` of the manners that are not uncork's asks for: as many as
/// uncork's, so that the calls compare.
pub const SENDFILE_BYTES_MAX: u64 = SENDFILE_CAP_BYTES as u64;

/// Body sizes of the table of segments that the library promises.
pub const BODIES: [u64; 5] = [1000, 65_536, 300_000, 1_000_000, 8_000_000];

/// Bytes the client takes with one call.
const READ_BYTES: usize = 256 * 1024;

/// How a header and a file are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WebManner {
    /// `write` then `sendfile`, every option at its default.
    TwoWrites,
    /// The same with NODELAY.
    TwoWritesNoDelay,
    /// NODELAY; cork, `write`, `sendfile`, uncork.
    Cork,
    /// NODELAY; `send` with `MSG_MORE`, `sendfile`.
    MsgMore,
    /// [`uncork::Sender`].
    Uncork,
}

impl WebManner {
    /// All of them, worst first.
    pub const ALL: [Self; 5] = [
        Self::TwoWrites,
        Self::TwoWritesNoDelay,
        Self::Cork,
        Self::MsgMore,
        Self::Uncork,
    ];

    /// A short name for tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TwoWrites => "two writes",
            Self::TwoWritesNoDelay => "two writes + NODELAY",
            Self::Cork => "cork",
            Self::MsgMore => "MSG_MORE",
            Self::Uncork => "uncork",
        }
    }
}

/// What one response cost.
#[derive(Debug, Clone, Copy)]
pub struct Response {
    /// Data segments that left (`tcpi_data_segs_out`), those sent again left out.
    pub segments: u64,
    /// System calls of the server for sending.
    pub system_calls: u64,
    /// CPU time of the server's thread while it sent. On loopback and veth this includes what
    /// the kernel does for the receiver in the sender's context.
    pub cpu: Duration,
    /// From the client's request to its last byte.
    pub latency: Duration,
}

/// Sends one body size in one manner `rounds` times over one connection, after one round that
/// is not counted.
///
/// # Errors
/// What the sockets or the file say.
pub fn measure(
    place: &Place,
    manner: WebManner,
    file: &File,
    body_bytes: u64,
    rounds: usize,
) -> io::Result<Measured> {
    measure_capped(place, manner, file, body_bytes, rounds, SENDFILE_BYTES_MAX)
}

/// [`measure`] with another bound on one `sendfile` call; [`WebManner::Uncork`] keeps its own.
///
/// # Errors
/// What the sockets or the file say.
pub fn measure_capped(
    place: &Place,
    manner: WebManner,
    file: &File,
    body_bytes: u64,
    rounds: usize,
    sendfile_bytes_max: u64,
) -> io::Result<Measured> {
    let (server, mut client) = place.connect()?;
    let total_bytes = HEAD_BYTES as u64 + body_bytes;
    std::thread::scope(|scope| {
        let serving = scope.spawn(move || {
            let server = Server::new(server, manner, sendfile_bytes_max)?;
            serve(server, file, body_bytes, rounds + 1)
        });
        let mut buffer = vec![0; READ_BYTES];
        // A fast reader: bytes are counted but not copied (`MSG_TRUNC`, tcp(7)). With a slower
        // one the receive window cuts segments too. Its buffer is left to the kernel's tuning,
        // which goes far beyond what SO_RCVBUF may ask for.
        let mut latencies = Vec::with_capacity(rounds + 1);
        for _ in 0..=rounds {
            let start = Instant::now();
            client.write_all(b"?")?;
            let mut left = total_bytes;
            while left > 0 {
                match recv(&client, &mut buffer, RecvFlags::TRUNC)?.0 {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    read => left -= (read as u64).min(left),
                }
            }
            latencies.push(start.elapsed());
        }
        drop(client);
        let served = serving.join();
        let served = served.map_err(|_| io::Error::other("the serving thread panicked"))??;
        let responses = served.responses.iter().zip(&latencies).skip(1);
        Ok(Measured {
            least_segments: total_bytes.div_ceil(u64::from(served.segment_bytes.max(1))),
            segment_bytes: served.segment_bytes,
            first_segments: served.responses.first().map_or(0, |first| first.segments),
            responses: responses
                .map(|(response, latency)| Response {
                    latency: *latency,
                    ..*response
                })
                .collect(),
        })
    })
}

/// The responses of one [`measure`].
#[derive(Debug, Clone)]
pub struct Measured {
    /// Segments that header and body need at least.
    pub least_segments: u64,
    /// Payload bytes of a full segment.
    pub segment_bytes: u32,
    /// Segments of the first response of the connection, which is not among `responses`.
    pub first_segments: u64,
    /// One entry a round.
    pub responses: Vec<Response>,
}

struct Served {
    segment_bytes: u32,
    responses: Vec<Response>,
}

/// The server's side: waits for each request, sends, and counts.
fn serve(mut server: Server, file: &File, body_bytes: u64, rounds: usize) -> io::Result<Served> {
    let head = [b'h'; HEAD_BYTES];
    let segment_bytes = TcpInfo::of(server.stream())?.send_segment_bytes;
    let mut responses = Vec::with_capacity(rounds);
    let mut request = [0];
    for _ in 0..rounds {
        server.stream().read_exact(&mut request)?;
        let before_segments = data_segments(server.stream())?;
        let before_cpu = thread_cpu();
        let system_calls = server.send(&head, file, body_bytes)?;
        let cpu = thread_cpu().saturating_sub(before_cpu);
        // A held tail leaves only with the ACK: what has left is known when all is sent.
        wait_sent(server.stream())?;
        responses.push(Response {
            segments: data_segments(server.stream())? - before_segments,
            system_calls,
            cpu,
            latency: Duration::ZERO,
        });
    }
    Ok(Served {
        segment_bytes,
        responses,
    })
}

/// A connection and the manner in which it is served.
enum Server {
    Plain {
        stream: TcpStream,
        manner: WebManner,
        sendfile_bytes_max: u64,
    },
    Uncork(Sender<TcpStream>),
}

impl Server {
    fn new(stream: TcpStream, manner: WebManner, sendfile_bytes_max: u64) -> io::Result<Self> {
        // Accepted sockets inherit NODELAY from the lab's listener.
        stream.set_nodelay(manner != WebManner::TwoWrites)?;
        Ok(match manner {
            WebManner::Uncork => Server::Uncork(Sender::new(stream)?),
            _ => Server::Plain {
                stream,
                manner,
                sendfile_bytes_max,
            },
        })
    }

    fn stream(&self) -> &TcpStream {
        match self {
            Server::Plain { stream, .. } => stream,
            Server::Uncork(sender) => sender.get_ref(),
        }
    }

    /// Sends one response; returns the number of system calls it took.
    fn send(&mut self, head: &[u8], file: &File, body_bytes: u64) -> io::Result<u64> {
        let (mut stream, manner, sendfile_bytes_max) = match self {
            Server::Uncork(sender) => {
                let before = sender.counts().system_calls;
                let message = sender.message().bytes(head).file(file, 0..body_bytes);
                message.send()?;
                return Ok(sender.counts().system_calls - before);
            }
            Server::Plain {
                stream,
                manner,
                sendfile_bytes_max,
            } => (&*stream, *manner, *sendfile_bytes_max),
        };
        let socket = SockRef::from(stream);
        match manner {
            WebManner::Cork => {
                socket.set_tcp_cork(true)?;
                stream.write_all(head)?;
                let calls = send_file(stream, file, body_bytes, sendfile_bytes_max)?;
                socket.set_tcp_cork(false)?;
                Ok(calls + 3)
            }
            WebManner::MsgMore => {
                let flags = SendFlags::NOSIGNAL | SendFlags::MORE;
                let head = [IoSlice::new(head)];
                sendmsg(stream, &head, &mut SendAncillaryBuffer::default(), flags)?;
                Ok(1 + send_file(stream, file, body_bytes, sendfile_bytes_max)?)
            }
            WebManner::TwoWrites | WebManner::TwoWritesNoDelay | WebManner::Uncork => {
                stream.write_all(head)?;
                Ok(1 + send_file(stream, file, body_bytes, sendfile_bytes_max)?)
            }
        }
    }
}

/// `sendfile` until all has left; returns the number of calls.
fn send_file(
    stream: &TcpStream,
    file: &File,
    body_bytes: u64,
    sendfile_bytes_max: u64,
) -> io::Result<u64> {
    let mut offset = 0;
    let mut calls = 0;
    while offset < body_bytes {
        let rest = (body_bytes - offset).min(sendfile_bytes_max);
        let count = usize::try_from(rest).map_err(io::Error::other)?;
        calls += 1;
        if rustix::fs::sendfile(stream, file, Some(&mut offset), count)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(calls)
}

/// Waits until the kernel has sent all that was written.
fn wait_sent(stream: &TcpStream) -> io::Result<()> {
    while TcpInfo::of(stream)?.unsent_bytes.unwrap_or(0) > 0 {
        std::thread::sleep(Duration::from_micros(100));
    }
    Ok(())
}

/// Data segments sent for the first time on this connection so far; 0 on kernels that do not
/// count them.
///
/// Those sent again do not count: where the scheduler takes the reader off the CPU its ACK is
/// late, and the kernel's loss probe (RFC 8985) sends the last of the queue once more, which is
/// up to 64 KiB at once.
fn data_segments(stream: &TcpStream) -> io::Result<u64> {
    let info = TcpInfo::of(stream)?;
    let sent = info.data_segments_out.unwrap_or(0);
    Ok(sent.saturating_sub(info.retransmitted_segments).into())
}

/// CPU time that this thread has used.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
