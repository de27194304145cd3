//! The way between an import and its server: an address that stays when the server starts
//! again, and cuts where a test wants them.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// Passes connections on. Ends when it is dropped.
pub(crate) struct Link {
    pub(crate) port: u16,
    route: Arc<Mutex<Route>>,
    listener: Option<JoinHandle<()>>,
}

struct Route {
    /// `None` at the end.
    to: Option<SocketAddr>,
    cuts: VecDeque<u64>,
}

impl Link {
    /// Leads to a server. The first connections end after as many bytes of the server's as
    /// `cuts` says, one after the other.
    pub(crate) fn start(to: SocketAddr, cuts: &[u64]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let route = Arc::new(Mutex::new(Route {
            to: Some(to),
            cuts: cuts.iter().copied().collect(),
        }));
        let shared = Arc::clone(&route);
        let listener = thread::spawn(move || {
            for client in listener.incoming() {
                let (to, cut) = {
                    let mut route = shared.lock().unwrap();
                    let Some(to) = route.to else { return };
                    (to, route.cuts.pop_front())
                };
                let client = client.unwrap();
                // The server may have gone between two runs.
                if let Ok(server) = TcpStream::connect(to) {
                    join(client, server, cut);
                }
            }
        });
        Self {
            port,
            route,
            listener: Some(listener),
        }
    }

    /// From now on leads to another server.
    pub(crate) fn lead_to(&self, to: SocketAddr) {
        self.route.lock().unwrap().to = Some(to);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.route.lock().unwrap().to = None;
        // It looks where to only when somebody comes.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

/// Passes bytes on in both directions until one side ends, or the server has said `cut` bytes.
///
/// At a cut the server hears of the end first, and the client when the server has done what it
/// had been sent: else the server might store mails after it was asked for them, which nobody
/// can guard against.
fn join(client: TcpStream, server: TcpStream, cut: Option<u64>) {
    let (from_client, to_client) = (client.try_clone().unwrap(), client);
    let (to_server, from_server) = (server.try_clone().unwrap(), server);
    thread::spawn(move || pass(from_client, to_server, u64::MAX));
    thread::spawn(move || pass(from_server, to_client, cut.unwrap_or(u64::MAX)));
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut left: u64) {
    let _ = to.set_nodelay(true);
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let passed = read.min(usize::try_from(left).unwrap_or(usize::MAX));
        left -= passed as u64;
        if to.write_all(&buffer[..passed]).is_err() {
            break;
        }
        if left == 0 {
            let _ = from.shutdown(Shutdown::Write);
            while let Ok(1..) = from.read(&mut buffer) {}
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
