//! The connections of a command, and which of them are in use.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::net::sockopt::{set_tcp_quickack, tcp_quickack};
use uncork_sockets::Socket;

use super::super::service::Selection;
use super::Shared;
use super::processes::Processes;

/// How many connections are visited. More are left as they are, and counted.
const CONNECTIONS_MAX: usize = 1024;

/// A connection rests when it was visited so often and had the option still: its program does not
/// answer anything. 100 ms, where nothing costs too much.
const RESTS_AFTER: u32 = 20;

/// What a new connection begins with: the kernel acknowledges the first segments of each at once.
const NEW_IDLE_VISITS: u32 = RESTS_AFTER - 2;

/// How many of those that rest are visited at a time. What begins to answer again waits for its turn,
/// which comes each time where there are no more than these.
const RESTING_VISITS: usize = 8;

/// The sockets that were found, by what is to be done about them.
pub(super) struct Sockets {
    selection: Selection,
    connections_max: usize,
    /// Visited each time.
    awake: Vec<Connection>,
    /// Visited in turns.
    resting: VecDeque<Connection>,
    /// Inodes of sockets that are no TCP, or listen, or are not meant.
    others: HashSet<u64>,
    /// Inodes of those that there was no room for.
    left_out: HashSet<u64>,
    shared: Arc<Shared>,
}

/// A connection, and a place where it is found. The number may be another descriptor's by the time of
/// a visit, for as long as no search has noticed: on what is no TCP the option can't be set, and on
/// another connection it does what it does here.
struct Connection {
    inode: u64,
    pid: u32,
    number: i32,
    /// How often one visit after the other found that the option was still there.
    idle_visits: u32,
}

impl Sockets {
    pub(super) fn new(selection: Selection, shared: Arc<Shared>) -> Self {
        Self {
            selection,
            connections_max: CONNECTIONS_MAX,
            awake: Vec::new(),
            resting: VecDeque::new(),
            others: HashSet::new(),
            left_out: HashSet::new(),
            shared,
        }
    }

    /// Finds new sockets, forgets those that are gone.
    pub(super) fn search(&mut self, processes: &mut Processes) {
        let mut places = HashMap::new();
        for (pid, descriptor) in processes.descriptors() {
            // Several descriptors, and several processes, may have the same one.
            places
                .entry(descriptor.inode)
                .or_insert((pid, descriptor.number));
        }
        let mut find = |connection: &mut Connection| {
            let place = places.remove(&connection.inode);
            if let Some(place) = place {
                (connection.pid, connection.number) = place;
            }
            place.is_some()
        };
        self.awake.retain_mut(&mut find);
        self.resting.retain_mut(&mut find);
        self.others.retain(|inode| places.remove(inode).is_some());
        let is_full = self.is_full();
        self.left_out.retain(|inode| match is_full {
            true => places.remove(inode).is_some(),
            false => places.contains_key(inode),
        });
        for (inode, (pid, number)) in places {
            if let Some(process) = processes.get(pid) {
                // Where it can't be had now, the next search may have it.
                match process.socket(number) {
                    Ok(Some(socket)) => self.introduce(pid, &socket),
                    Ok(None) => drop(self.others.insert(inode)),
                    Err(_) => {}
                }
            }
        }
    }

    fn introduce(&mut self, pid: u32, socket: &Socket) {
        let inode = socket.inode();
        if socket.is_listening() {
            self.others.insert(inode);
            return;
        }
        // Not connected, or not yet: the next search will ask again.
        let Some(remote) = socket.remote() else {
            return;
        };
        let ports = [socket.local().port(), remote.port()];
        if !ports.into_iter().any(|port| self.selection.has(port)) {
            self.others.insert(inode);
        } else if self.is_full() {
            if self.left_out.insert(inode) {
                self.shared.sockets_left_out.fetch_add(1, Ordering::Relaxed);
            }
        } else {
            self.left_out.remove(&inode);
            self.shared.sockets.fetch_add(1, Ordering::Relaxed);
            self.awake.push(Connection {
                inode,
                pid,
                number: socket.number(),
                idle_visits: NEW_IDLE_VISITS,
            });
        }
    }

    fn is_full(&self) -> bool {
        self.awake.len() + self.resting.len() >= self.connections_max
    }

    /// Sets the option on all that are in use, and on some that rest.
    pub(super) fn visit(&mut self, processes: &Processes) {
        for _ in 0..RESTING_VISITS.min(self.resting.len()) {
            let Some(mut connection) = self.resting.pop_front() else {
                break;
            };
            connection.visit(processes);
            match connection.is_resting() {
                true => self.resting.push_back(connection),
                false => self.awake.push(connection),
            }
        }
        for connection in &mut self.awake {
            connection.visit(processes);
        }
        self.resting.extend(
            self.awake
                .extract_if(.., |connection| connection.is_resting()),
        );
    }
}

impl Connection {
    fn is_resting(&self) -> bool {
        self.idle_visits >= RESTS_AFTER
    }

    /// What has been closed since the last search is left to the next one.
    fn visit(&mut self, processes: &Processes) {
        let process = processes.get(self.pid);
        let duplicate = process.map(|process| process.duplicate(self.number));
        let Some(Ok(Some(duplicate))) = duplicate else {
            return;
        };
        // The option is there as long as the kernel does not expect an answer of the program, and it
        // then acknowledges what the program reads. Setting it again also sends what is late already.
        let had_it = tcp_quickack(&duplicate).unwrap_or(true);
        let _ = set_tcp_quickack(&duplicate, true);
        drop(duplicate);
        self.idle_visits = match had_it {
            true => self.idle_visits.saturating_add(1),
            false => 0,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Connections of this process to a listener of its own; other tests have theirs.
    struct Lab {
        listener: TcpListener,
        processes: Processes,
        sockets: Sockets,
        shared: Arc<Shared>,
    }

    impl Lab {
        fn new(connections_max: usize) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let ports = vec![listener.local_addr().unwrap().port()];
            let shared = Arc::new(Shared::default());
            let mut sockets = Sockets::new(Selection { ports }, Arc::clone(&shared));
            sockets.connections_max = connections_max;
            let processes = Processes::of_this_process(Arc::clone(&shared));
            Self {
                listener,
                processes,
                sockets,
                shared,
            }
        }

        fn connect(&self) -> TcpStream {
            TcpStream::connect(self.listener.local_addr().unwrap()).unwrap()
        }

        /// How many are awake and resting after a search, and how many were left out by then.
        fn search(&mut self) -> (usize, usize, u64) {
            self.sockets.search(&mut self.processes);
            self.numbers()
        }

        fn visit(&mut self) -> (usize, usize, u64) {
            self.sockets.visit(&self.processes);
            self.numbers()
        }

        fn numbers(&self) -> (usize, usize, u64) {
            let left_out = self.shared.sockets_left_out.load(Ordering::Relaxed);
            (
                self.sockets.awake.len(),
                self.sockets.resting.len(),
                left_out,
            )
        }
    }

    #[test]
    fn what_there_is_no_room_for_gets_it_later() {
        let mut lab = Lab::new(2);
        assert_eq!(lab.search(), (0, 0, 0));
        let first = [lab.connect(), lab.connect()];
        assert_eq!(lab.search(), (2, 0, 0));
        let _third = lab.connect();
        assert_eq!(lab.search(), (2, 0, 1));
        assert_eq!(lab.search(), (2, 0, 1));
        drop(first);
        assert_eq!(lab.search(), (1, 0, 1));
    }

    #[test]
    fn who_answers_nothing_rests() {
        let mut lab = Lab::new(16);
        let connections: Vec<TcpStream> = (0..10).map(|_| lab.connect()).collect();
        assert_eq!(lab.search(), (10, 0, 0));
        for _ in NEW_IDLE_VISITS..RESTS_AFTER {
            lab.visit();
        }
        assert_eq!(lab.numbers(), (0, 10, 0));
        // What the kernel does when a program answers.
        set_tcp_quickack(&connections[0], false).unwrap();
        // Of ten, eight are visited at a time.
        lab.visit();
        assert_eq!(lab.visit(), (1, 9, 0));
        assert!(tcp_quickack(&connections[0]).unwrap());
        drop(connections);
        assert_eq!(lab.search(), (0, 0, 0));
    }
}
