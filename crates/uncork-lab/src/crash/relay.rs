//! A link that counts what it carries and is cut where it is told.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;

/// What one read takes at most.
const READ_BYTES: usize = 16 * 1024;

/// How long a peer may leave its side unread before its connection is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From the importer to the server.
    Up,
    Down,
}

/// How a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Both sides see the end of the stream.
    Close,
    /// Both sides get a reset, which may overtake what was sent before.
    Reset,
    /// Nothing gets through any more, and nobody is told.
    Silence,
}

/// A cut: once, on the connection that brings the last of so many bytes of one way. They are
/// counted over all connections of the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) way: Way,
    pub(super) bytes: u64,
    pub(super) manner: Manner,
}

/// A running relay. Dropping it closes its connections and ends its threads.
#[derive(Debug)]
pub(super) struct Relay {
    addr: SocketAddr,
    state: Arc<State>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    target: SocketAddr,
    listener: TcpListener,
    stopped: AtomicBool,
    meter: Mutex<Meter>,
    pairs: Mutex<Vec<Weak<Pair>>>,
}

/// What was carried so far, and what is still to be cut.
#[derive(Debug, Default)]
struct Meter {
    up: u64,
    down: u64,
    cuts: Vec<Cut>,
    cuts_done: u64,
}

/// One connection through the relay. Its sockets are closed when the threads of both ways have
/// ended: only then can a reset be sent.
#[derive(Debug)]
struct Pair {
    near: TcpStream,
    far: TcpStream,
    silent: AtomicBool,
}

impl Relay {
    pub(super) fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.local_addr()?;
        let state = Arc::new(State {
            target,
            listener,
            stopped: AtomicBool::new(false),
            meter: Mutex::default(),
            pairs: Mutex::default(),
        });
        let accepting = Arc::clone(&state);
        let acceptor = thread::Builder::new()
            .name("relay accept".to_owned())
            .spawn(move || accepting.accept())?;
        Ok(Self {
            addr,
            state,
            acceptor: Some(acceptor),
        })
    }

    /// Ends the connections that there are, counts anew, and cuts there.
    pub(super) fn begin(&self, cuts: Vec<Cut>) {
        self.state.end_all();
        let mut meter = lock(&self.state.meter);
        *meter = Meter {
            cuts,
            cuts_done: meter.cuts_done,
            ..Meter::default()
        };
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Bytes that went to the server since it [began](Self::begin).
    pub(super) fn bytes_up(&self) -> u64 {
        lock(&self.state.meter).up
    }

    /// Cuts that were made in all.
    pub(super) fn cuts_done(&self) -> u64 {
        lock(&self.state.meter).cuts_done
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        // On Linux this ends a blocked accept.
        let _ = SockRef::from(&self.state.listener).shutdown(Shutdown::Both);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl State {
    /// Carries connections until the stop, and then ends them.
    fn accept(self: Arc<Self>) {
        let mut threads = Vec::new();
        while !self.stopped.load(Ordering::SeqCst) {
            let Ok((near, _)) = self.listener.accept() else {
                continue;
            };
            // A server that does not listen is a connection that ends at once.
            let Ok(pair) = self.connect(near) else {
                continue;
            };
            for way in [Way::Up, Way::Down] {
                let (state, pair) = (Arc::clone(&self), Arc::clone(&pair));
                threads.push(thread::spawn(move || state.carry(way, &pair)));
            }
        }
        self.end_all();
        for thread in threads {
            let _ = thread.join();
        }
    }

    fn end_all(&self) {
        for pair in lock(&self.pairs)
            .drain(..)
            .filter_map(|pair| pair.upgrade())
        {
            pair.end(Shutdown::Both);
        }
    }

    fn connect(&self, near: TcpStream) -> io::Result<Arc<Pair>> {
        let far = TcpStream::connect(self.target)?;
        for socket in [&near, &far] {
            socket.set_nodelay(true)?;
            socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
        }
        let pair = Arc::new(Pair {
            near,
            far,
            silent: AtomicBool::new(false),
        });
        lock(&self.pairs).push(Arc::downgrade(&pair));
        Ok(pair)
    }

    fn carry(&self, way: Way, pair: &Pair) {
        let (mut from, mut to) = match way {
            Way::Up => (&pair.near, &pair.far),
            Way::Down => (&pair.far, &pair.near),
        };
        let mut bytes = vec![0; READ_BYTES];
        loop {
            let read = match from.read(&mut bytes) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return pair.end(Shutdown::Both),
            };
            if pair.silent.load(Ordering::SeqCst) {
                continue;
            }
            let (carried, cut) = lock(&self.meter).carry(way, read as u64);
            let carried = usize::try_from(carried).unwrap_or(read);
            if to.write_all(&bytes[..carried]).is_err() {
                return pair.end(Shutdown::Both);
            }
            match cut {
                None => {}
                Some(Manner::Close) => return pair.end(Shutdown::Both),
                Some(Manner::Reset) => {
                    for socket in [&pair.near, &pair.far] {
                        let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
                    }
                    // Says nothing to the peers, and wakes the other way's thread.
                    return pair.end(Shutdown::Read);
                }
                Some(Manner::Silence) => pair.silent.store(true, Ordering::SeqCst),
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }
}

impl Meter {
    /// How many of the next bytes still get through, and how their connection is cut then.
    fn carry(&mut self, way: Way, bytes: u64) -> (u64, Option<Manner>) {
        let before = match way {
            Way::Up => self.up,
            Way::Down => self.down,
        };
        let reached = |cut: &&Cut| cut.way == way && cut.bytes < before + bytes;
        let next = self.cuts.iter().filter(reached).min_by_key(|cut| cut.bytes);
        let next = next.copied();
        let carried = next.map_or(bytes, |cut| cut.bytes.saturating_sub(before));
        if let Some(cut) = next {
            self.cuts.retain(|other| *other != cut);
            self.cuts_done += 1;
        }
        match way {
            Way::Up => self.up += carried,
            Way::Down => self.down += carried,
        }
        (carried, next.map(|cut| cut.manner))
    }
}

impl Pair {
    fn end(&self, how: Shutdown) {
        for socket in [&self.near, &self.far] {
            let _ = socket.shutdown(how);
        }
    }
}

/// A thread that panicked has left nothing half done under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(way: Way, bytes: u64) -> Cut {
        Cut {
            way,
            bytes,
            manner: Manner::Close,
        }
    }

    #[test]
    fn a_cut_falls_at_its_byte() {
        let mut meter = Meter {
            up: 0,
            down: 0,
            cuts: vec![cut(Way::Up, 10), cut(Way::Up, 12), cut(Way::Down, 0)],
            cuts_done: 0,
        };
        let mut check = |way, bytes, expected| assert_eq!(meter.carry(way, bytes), expected);
        check(Way::Up, 10, (10, None));
        check(Way::Up, 5, (0, Some(Manner::Close)));
        check(Way::Up, 5, (2, Some(Manner::Close)));
        check(Way::Up, 5, (5, None));
        check(Way::Down, 1, (0, Some(Manner::Close)));
        check(Way::Down, 1, (1, None));
        assert_eq!((meter.up, meter.down, meter.cuts_done), (17, 1, 3));
    }

    #[test]
    fn what_comes_before_a_cut_gets_through() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let relay = Relay::start(server.local_addr().unwrap()).unwrap();
        relay.begin(vec![cut(Way::Up, 3)]);
        let mut client = TcpStream::connect(relay.addr()).unwrap();
        let (mut far, _) = server.accept().unwrap();
        client.write_all(b"hello").unwrap();
        let mut heard = Vec::new();
        far.read_to_end(&mut heard).unwrap();
        assert_eq!(heard, b"hel");
        assert_eq!((relay.bytes_up(), relay.cuts_done()), (3, 1));
    }
}
