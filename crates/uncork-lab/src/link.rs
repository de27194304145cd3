//! A link with delay and bandwidth, between two sockets of this machine.
//!
//! A lab can't count on the kernel's netem, so the link is a TCP relay with memory: each byte
//! that one side sends reaches the other side one delay later, in order, and so do a FIN and
//! a reset. What is due when is decided by a pure [delay line](delay_line); the threads around
//! it only read, wait and write.
//!
//! # Limits
//! The relay's kernel answers for the far side: it acknowledges at once (or with its own
//! delayed ACK, 40 ms on Linux), not after a round trip, and a connection is accepted without
//! the round trip of a handshake. Whoever waits for *replies* sees the link's round trips;
//! whoever waits for *acknowledgements* sees this machine's. Besides [`LinkConfig::queue_bytes`]
//! a direction stores what the kernel's socket buffers take.

mod delay_line;
mod pair;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;

use self::delay_line::Shape;
use self::pair::RunningPair;

/// What a direction stores unless told otherwise: enough for 100 ms at 40 MB a second.
pub const DEFAULT_QUEUE_BYTES: usize = 4 * 1024 * 1024;

/// How many connections a link carries at a time, at four threads each. One more is reset.
pub const MAX_CONNECTIONS: usize = 64;

/// How long the target may take to accept.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the link rests after the kernel refused an accept, for want of descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// What a link is like and where it leads.
#[derive(Debug, Clone)]
pub struct LinkConfig {
    /// Where each connection to the link is connected on to.
    pub target: SocketAddr,
    /// How long a byte takes from one end to the other, in either direction.
    pub one_way_delay: Duration,
    /// The bandwidth of each direction, or `None` for one that never limits.
    pub bytes_per_second: Option<u64>,
    /// How many bytes a direction of a connection stores before it stops reading. It holds the
    /// bytes on their way too, so less than bandwidth × delay slows the link down.
    pub queue_bytes: usize,
}

impl LinkConfig {
    /// A link of unlimited bandwidth and [`DEFAULT_QUEUE_BYTES`].
    #[must_use]
    pub fn new(target: SocketAddr, one_way_delay: Duration) -> Self {
        Self {
            target,
            one_way_delay,
            bytes_per_second: None,
            queue_bytes: DEFAULT_QUEUE_BYTES,
        }
    }
}

/// A running link. Dropping it closes its connections and ends its threads.
#[derive(Debug)]
pub struct Link {
    addr: SocketAddr,
    carrier: Arc<Carrier>,
    acceptor: Option<JoinHandle<()>>,
}

impl Link {
    /// Starts a link on a free port of the loopback address.
    ///
    /// # Errors
    /// Where the port can't be bound or the thread can't be started, or where
    /// [`LinkConfig::queue_bytes`] is zero, which would carry nothing.
    pub fn start(config: LinkConfig) -> io::Result<Self> {
        if config.queue_bytes == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a link with a queue of 0 bytes carries nothing",
            ));
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.local_addr()?;
        let carrier = Arc::new(Carrier {
            config,
            listener,
            stopped: AtomicBool::new(false),
            pairs: Mutex::new(Vec::new()),
        });
        let acceptor = thread::Builder::new()
            .name("link accept".to_owned())
            .spawn({
                let carrier = Arc::clone(&carrier);
                move || carrier.accept_until_stopped()
            })?;
        Ok(Self {
            addr,
            carrier,
            acceptor: Some(acceptor),
        })
    }

    /// Where to connect to, in place of the target.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.carrier.stopped.store(true, Ordering::SeqCst);
        // On Linux this makes a blocked accept return EINVAL. There is nothing to be done
        // about a failure here.
        let _ = SockRef::from(&self.carrier.listener).shutdown(std::net::Shutdown::Both);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for pair in self.carrier.lock_pairs().drain(..) {
            pair.stop();
        }
    }
}

/// What the accepting thread and the link's owner share.
#[derive(Debug)]
struct Carrier {
    config: LinkConfig,
    listener: TcpListener,
    stopped: AtomicBool,
    /// At most [`MAX_CONNECTIONS`].
    pairs: Mutex<Vec<RunningPair>>,
}

impl Carrier {
    fn accept_until_stopped(&self) {
        while !self.stopped.load(Ordering::SeqCst) {
            match self.listener.accept() {
                Ok((near, _)) => self.carry(&near),
                Err(_) => thread::sleep(ACCEPT_PAUSE),
            }
        }
    }

    /// Connects `near` to the target, or resets it where that can't be done: a link has no
    /// words of its own to say why.
    fn carry(&self, near: &TcpStream) {
        let mut pairs = self.lock_pairs();
        pairs.retain(|pair| !pair.is_over());
        if pairs.len() >= MAX_CONNECTIONS {
            reset(near);
            return;
        }
        let shape = Shape {
            one_way_delay: self.config.one_way_delay,
            bytes_per_second: self.config.bytes_per_second,
            queue_bytes: self.config.queue_bytes,
        };
        let started = TcpStream::connect_timeout(&self.config.target, CONNECT_TIMEOUT)
            .and_then(|far| RunningPair::start(near.try_clone()?, far, shape));
        match started {
            Ok(pair) => pairs.push(pair),
            Err(_) => reset(near),
        }
    }

    fn lock_pairs(&self) -> std::sync::MutexGuard<'_, Vec<RunningPair>> {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the last close of `stream` send a RST in place of a FIN. A failure leaves a FIN, which
/// is the next best end.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
