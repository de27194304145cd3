//! The listener's thread: who is connected.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Timespec;

use super::house::{House, Pulse};
use super::personality::Manners;
use super::pipe::Pipe;
use super::session;

/// How often silent connections are looked for.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);

/// One connection, as the listener knows it.
#[derive(Debug)]
pub(super) struct Guest {
    /// Weak, so that the session's own end closes the socket.
    stream: Weak<TcpStream>,
    pulse: Arc<Pulse>,
    thread: JoinHandle<()>,
}

/// The listener's thread: accepts, watches for silence, and ends everyone at the end.
///
/// Silence is watched from here and not by SO_RCVTIMEO, because a naive server's accepted
/// sockets keep every option at its default.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) house: Arc<House>,
    pub(super) listener: TcpListener,
    /// Where TLS is spoken from the first byte on.
    pub(super) tls_listener: Option<TcpListener>,
    /// What rings here wakes this thread. It does not block.
    pub(super) ear: UnixStream,
    pub(super) guests: Vec<Guest>,
    pub(super) idle_limit: Duration,
}

/// What a listener's connections begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beginning {
    Plain,
    Tls,
}

impl Desk {
    pub(super) fn run(mut self) {
        while !self.house.is_stopping() {
            self.wait();
            self.restart_if_crashed();
            self.guests.retain(|guest| !guest.thread.is_finished());
            self.show_out(|guest, desk| guest.pulse.silence(&desk.house) > desk.idle_limit);
            while let Ok((stream, _)) = self.listener.accept() {
                self.restart_if_crashed();
                self.admit(stream, Beginning::Plain);
            }
            while let Some(Ok((stream, _))) = self.tls_listener.as_ref().map(TcpListener::accept) {
                self.restart_if_crashed();
                self.admit(stream, Beginning::Tls);
            }
        }
        self.show_out_all();
    }

    /// Also asked for each new connection: whoever saw the crash must not meet it again.
    fn restart_if_crashed(&mut self) {
        if self.house.has_crashed() {
            self.show_out_all();
            self.house.restart();
        }
    }

    /// Ends all connections and waits for their sessions.
    fn show_out_all(&mut self) {
        self.show_out(|_, _| true);
        for guest in self.guests.drain(..) {
            // A session that panicked has been said so by the panic itself.
            let _ = guest.thread.join();
        }
    }

    fn wait(&mut self) {
        let mut watched = vec![
            PollFd::new(&self.listener, PollFlags::IN),
            PollFd::new(&self.ear, PollFlags::IN),
        ];
        if let Some(listener) = &self.tls_listener {
            watched.push(PollFd::new(listener, PollFlags::IN));
        }
        let Ok(timeout) = Timespec::try_from(WATCH_INTERVAL) else {
            return;
        };
        // Whatever poll says, the loop looks at everything.
        let _ = poll(&mut watched, Some(&timeout));
        let mut rung = [0; 64];
        while matches!(self.ear.read(&mut rung), Ok(count) if count > 0) {}
    }

    fn show_out(&self, due: impl Fn(&Guest, &Self) -> bool) {
        for guest in self.guests.iter().filter(|guest| due(guest, self)) {
            if let Some(stream) = guest.stream.upgrade() {
                // It may have ended by itself in between.
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, beginning: Beginning) {
        self.house.connections.fetch_add(1, Ordering::AcqRel);
        let manners = self.house.personality.manners;
        if manners == Manners::Careful && stream.set_nodelay(true).is_err() {
            return;
        }
        self.guests.retain(|guest| !guest.thread.is_finished());
        if self.guests.len() >= self.house.personality.connection_limit {
            if beginning == Beginning::Plain {
                // The peer may be gone already; then nobody misses the reason.
                let _ = (&stream).write_all(b"* BYE Too many connections\r\n");
            }
            return;
        }
        let stream = Arc::new(stream);
        let pulse = Arc::new(Pulse::new(&self.house));
        let guest_stream = Arc::downgrade(&stream);
        let mut pipe = Pipe::new(stream);
        if beginning == Beginning::Tls {
            let certificate = self.house.certificate.as_ref();
            match certificate.map(|certificate| pipe.start_tls(&certificate.config)) {
                Some(Ok(())) => {}
                _ => return,
            }
        }
        let (house, guest_pulse) = (Arc::clone(&self.house), Arc::clone(&pulse));
        let thread = std::thread::Builder::new()
            .name("lab-imap-session".to_owned())
            .spawn(move || session::run(pipe, &house, guest_pulse));
        // Without a thread the stream was dropped with the closure, and the peer sees it.
        if let Ok(thread) = thread {
            self.guests.push(Guest {
                stream: guest_stream,
                pulse,
                thread,
            });
        }
    }
}
