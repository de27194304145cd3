//! `/metrics` and `/health`, on a socket of their own.
//!
//! One thread, one connection at a time: whoever may ask here is trusted not to keep others waiting,
//! and is cut off after [`TIME_MAX`] anyway.

use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use uncork::Message;
use uncork::nonblocking::{Progress, Sender, Turn};

use crate::join::join_until;

/// For a request to come, and for its answer to be taken.
const TIME_MAX: Duration = Duration::from_secs(2);
/// Most bytes of a request.
const HEAD_MAX: usize = 4096;
/// Most header lines of a request.
const HEADERS_MAX: usize = 64;

/// What `/health` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// 200 `ok`
    Ok,
    /// 503 `draining`: SIGTERM came, a load balancer sends its requests elsewhere.
    Draining,
}

/// A thread that answers until this is dropped.
#[derive(Debug)]
pub struct Admin {
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

/// What a connection asks of.
struct Answers {
    metrics: Box<dyn Fn() -> String + Send>,
    health: Box<dyn Fn() -> Health + Send>,
}

/// One answer.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: &'static str,
    /// Whole header lines.
    more: &'static str,
    body: String,
}

impl Admin {
    /// Answers at this socket. The thread has the privileges of the one that calls this.
    ///
    /// # Errors
    /// No thread, or no descriptor for it.
    pub fn start(
        listener: TcpListener,
        metrics: Box<dyn Fn() -> String + Send>,
        health: Box<dyn Fn() -> Health + Send>,
    ) -> io::Result<Self> {
        // A connection that is gone between poll and accept must not hold the thread in accept.
        listener.set_nonblocking(true)?;
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let stopped = Arc::clone(&stop);
        let answers = Answers { metrics, health };
        let thread = std::thread::Builder::new()
            .name("uncork-admin".to_owned())
            .spawn(move || serve(&listener, &stopped, &answers))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        // An eventfd takes eight bytes; it can't be full.
        let _ = rustix::io::write(&self.stop, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = join_until(thread, Instant::now() + TIME_MAX * 2);
        }
    }
}

fn serve(listener: &TcpListener, stop: &OwnedFd, answers: &Answers) {
    loop {
        let mut ready = [
            PollFd::new(listener, PollFlags::IN),
            PollFd::new(stop, PollFlags::IN),
        ];
        let polled = poll(&mut ready, None);
        if !ready[1].revents().is_empty() {
            return;
        }
        let taken = match polled {
            Ok(_) => listener.accept(),
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => Err(error.into()),
        };
        match taken {
            // Whatever goes wrong on a connection is that peer's affair.
            Ok((stream, _)) => drop(converse(&stream, answers)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Out of descriptors, such as it is: not so often that it takes a core.
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// All of it up to one deadline, however small the pieces are in which a peer sends and takes.
fn converse(stream: &TcpStream, answers: &Answers) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let deadline = Instant::now() + TIME_MAX;
    let mut buffer = [0; HEAD_MAX];
    let mut filled = 0;
    let answer = loop {
        if let Some(answer) = answers.to(&buffer[..filled]) {
            break answer;
        }
        if filled == buffer.len() {
            break Answer::plain("431 Request Header Fields Too Large", "too long");
        }
        match read_until(stream, &mut buffer[filled..], deadline)? {
            0 => return Ok(()),
            bytes => filled += bytes,
        }
    };
    let mut sender = Sender::new(stream)?;
    let head = answer.head();
    let message = Message::new().bytes(head.as_bytes());
    let message = message.bytes(answer.body.as_bytes());
    let mut progress = Progress::default();
    loop {
        let sent = sender.send(&message, &mut progress, u64::MAX);
        match sent.map_err(io::Error::other)? {
            Turn::Finished => return linger(stream, deadline, &mut buffer),
            Turn::Blocked | Turn::Yielded => wait(stream, PollFlags::OUT, deadline)?,
        }
    }
}

/// Reads what a peer still sends until it closes as well: to close with bytes unread would reset the
/// connection, and the answer could be lost with it.
fn linger(stream: &TcpStream, deadline: Instant, buffer: &mut [u8]) -> io::Result<()> {
    stream.shutdown(std::net::Shutdown::Write)?;
    while read_until(stream, buffer, deadline)? > 0 {}
    Ok(())
}

fn read_until(mut stream: &TcpStream, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait(stream, PollFlags::IN, deadline)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => {
                // A peer that always has one byte more ends, too.
                left(deadline)?;
                return read;
            }
        }
    }
}

/// Waits until the stream is ready, or fails at the deadline.
fn wait(stream: &TcpStream, flags: PollFlags, deadline: Instant) -> io::Result<()> {
    let time = left(deadline)?;
    let time = Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    };
    match poll(&mut [PollFd::new(stream, flags)], Some(&time)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}

impl Answers {
    /// The answer to a request, or `None` as long as it is not whole.
    fn to(&self, bytes: &[u8]) -> Option<Answer> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(httparse::Status::Partial) => return None,
            Ok(httparse::Status::Complete(_)) => {}
            Err(_) => return Some(Answer::plain("400 Bad Request", "no request")),
        }
        let target = request.path.unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        if !matches!(path, "/metrics" | "/health") {
            let body = "only /metrics and /health are here";
            return Some(Answer::plain("404 Not Found", body));
        }
        if request.method != Some("GET") {
            let mut answer = Answer::plain("405 Method Not Allowed", "GET alone");
            answer.more = "Allow: GET\r\nContent-Type: text/plain; charset=utf-8\r\n";
            return Some(answer);
        }
        if path == "/metrics" {
            return Some(Answer {
                status: "200 OK",
                more: "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n",
                body: (self.metrics)(),
            });
        }
        Some(match (self.health)() {
            Health::Ok => Answer::plain("200 OK", "ok"),
            Health::Draining => Answer::plain("503 Service Unavailable", "draining"),
        })
    }
}

impl Answer {
    fn plain(status: &'static str, body: &str) -> Self {
        Self {
            status,
            more: "Content-Type: text/plain; charset=utf-8\r\n",
            body: format!("{body}\n"),
        }
    }

    fn head(&self) -> String {
        format!(
            "HTTP/1.1 {}\r\n{}Content-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
            self.status,
            self.more,
            self.body.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn start() -> (Admin, SocketAddr, Arc<AtomicBool>) {
        start_with(100_000)
    }

    /// With so many lines of metrics.
    fn start_with(lines: usize) -> (Admin, SocketAddr, Arc<AtomicBool>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let draining = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&draining);
        let health = move || {
            if asked.load(Ordering::Relaxed) {
                Health::Draining
            } else {
                Health::Ok
            }
        };
        let metrics = move || "a 1\n".repeat(lines);
        let admin = Admin::start(listener, Box::new(metrics), Box::new(health)).unwrap();
        (admin, addr, draining)
    }

    fn ask(addr: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn what_it_answers() {
        let (admin, addr, draining) = start();
        let check = |request: &str, head: &str, body: &str| {
            let answer = ask(addr, request);
            let (found, rest) = answer.split_once("\r\n\r\n").unwrap();
            assert!(found.starts_with(head), "{request:?}: {found}");
            assert!(found.contains("\r\nConnection: close"));
            assert!(found.contains(&format!("\r\nContent-Length: {}", rest.len())));
            assert!(rest.starts_with(body), "{request:?}: {rest}");
        };
        check(
            "GET /health HTTP/1.1\r\nHost: a\r\n\r\n",
            "HTTP/1.1 200 OK\r\n",
            "ok\n",
        );
        check(
            "GET /metrics?a HTTP/1.0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n",
            "a 1\n",
        );
        check("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 ", "only");
        let refused = "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\n";
        check("POST /health HTTP/1.1\r\n\r\n", refused, "GET alone");
        check("\0\r\n\r\n", "HTTP/1.1 400 ", "no request");
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(HEAD_MAX * 4));
        check(&long, "HTTP/1.1 431 ", "too long");
        draining.store(true, Ordering::Relaxed);
        check("GET /health HTTP/1.1\r\n\r\n", "HTTP/1.1 503 ", "draining");
        assert_eq!(
            ask(addr, "GET /metrics HTTP/1.1\r\n\r\n").lines().last(),
            Some("a 1")
        );
        drop(admin);
        assert!(TcpStream::connect(addr).is_err());
    }

    #[test]
    fn a_silent_peer_is_cut_off() {
        let (_admin, addr, _) = start();
        let mut silent = TcpStream::connect(addr).unwrap();
        silent.write_all(b"GET /hea").unwrap();
        let began = Instant::now();
        assert!(ask(addr, "GET /health HTTP/1.1\r\n\r\n").ends_with("ok\n"));
        assert!(began.elapsed() < TIME_MAX * 2);
    }

    /// It takes some bytes within any time, and never all of them.
    #[test]
    fn a_slow_reader_is_cut_off() {
        // More than the kernel takes at once.
        let (_admin, addr, _) = start_with(10_000_000);
        let mut slow = TcpStream::connect(addr).unwrap();
        slow.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
        let reading = std::thread::spawn(move || {
            let began = Instant::now();
            let mut piece = [0; 1024];
            while began.elapsed() < TIME_MAX * 10 && matches!(slow.read(&mut piece), Ok(1..)) {
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let began = Instant::now();
        assert!(ask(addr, "GET /health HTTP/1.1\r\n\r\n").ends_with("ok\n"));
        assert!(began.elapsed() < TIME_MAX * 5);
        drop(reading);
    }

    /// So is one that sends without end, in pieces.
    #[test]
    fn a_request_that_trickles_is_cut_off() {
        let (_admin, addr, _) = start();
        let mut slow = TcpStream::connect(addr).unwrap();
        let sending = std::thread::spawn(move || {
            let began = Instant::now();
            while began.elapsed() < TIME_MAX * 10 && slow.write_all(b"G").is_ok() {
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let began = Instant::now();
        assert!(ask(addr, "GET /health HTTP/1.1\r\n\r\n").ends_with("ok\n"));
        assert!(began.elapsed() < TIME_MAX * 5);
        drop(sending);
    }
}
