//! Undoing: what the record says of a socket is made so again.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;

use uncork_sockets::{Error, Process, processes};

use super::record::{Entry, RecordError};
use super::repairer::Repairer;
use super::report::{Already, Refusal, RefusalKind};
use super::target::Target;

/// How many processes are looked through for a socket that has left its own.
const PROCESSES_MAX: usize = 65_536;

/// What was met so far.
#[derive(Debug, Default)]
struct Done {
    /// Sockets that are as before.
    cookies: HashSet<u64>,
    /// Ports of listening sockets that were taken back, and connections that have NODELAY and are in no
    /// record, by the cookie, with their port.
    listeners: HashSet<u16>,
    others: HashMap<u64, u16>,
}

impl Done {
    /// What has it from the time when its listening socket had it, or by the program's own will.
    fn inherited(&self) -> Option<String> {
        let ports = self.others.values();
        let count = ports.filter(|port| self.listeners.contains(port)).count();
        let whose = "accepted meanwhile, or given it by the program itself";
        match count {
            0 => None,
            1 => Some(format!("1 connection keeps NODELAY until it ends: {whose}")),
            count => Some(format!(
                "{count} connections keep NODELAY until they end: {whose}"
            )),
        }
    }
}

impl Repairer<'_> {
    /// Takes back what the record says of the sockets of these processes. What was taken back leaves
    /// the record.
    ///
    /// A socket that its process does not have any more may be a child's, or of whom it was sent to:
    /// all processes are looked through for it. It leaves the record where none has it. It stays where
    /// one of them can't be looked into and the machine has a connection of the same ports, which is
    /// then a refusal.
    ///
    /// # Errors
    /// Where the record can't be read or written.
    pub fn undo(&mut self, target: &Target) -> Result<(), RecordError> {
        self.undo_of(|_| target.clone())
    }

    /// Takes back all that the record says.
    ///
    /// # Errors
    /// Where the record can't be read or written.
    pub fn undo_all(&mut self) -> Result<(), RecordError> {
        self.undo_of(|entries| {
            let pids: BTreeSet<u32> = entries.iter().map(|entry| entry.pid).collect();
            Target::default().with_members(pids.into_iter().collect())
        })
    }

    fn undo_of(&mut self, target: impl FnOnce(&[Entry]) -> Target) -> Result<(), RecordError> {
        let Some(mut record) = self.record.take() else {
            return Ok(());
        };
        let entries = record.entries()?;
        let target = target(&entries);
        // Several entries of one socket: the eldest says how it was before all of them.
        let mut before: HashMap<u64, bool> = HashMap::new();
        for entry in &entries {
            before.entry(entry.cookie).or_insert(entry.nodelay);
        }
        let mut done = Done::default();
        // What a process does not have any more, it has closed, or has ended.
        let mut looked_at = HashSet::new();
        for pid in target.processes() {
            match self.undo_process(pid, &before, &mut done) {
                Ok(()) => self.report.processes += 1,
                // Whatever it says: its id may be a thread's by now, or somebody else's. Its sockets are
                // looked for everywhere, which decides.
                Err(_) if !target.names(pid) => {}
                Err(error) => {
                    self.refuse(Refusal::new(pid, None, &error));
                    if !error.is_gone() {
                        continue;
                    }
                }
            }
            looked_at.insert(pid);
        }
        let mut lost: HashSet<u64> = entries
            .iter()
            .filter(|entry| looked_at.contains(&entry.pid) && !self.is_refused(entry))
            .map(|entry| entry.cookie)
            .filter(|cookie| !done.cookies.contains(cookie))
            .collect();
        let kept = self.undo_lost(&entries, &mut lost, &before, &mut done);
        if let Some(note) = done.inherited() {
            self.note(note);
        }
        // A change that another uncork has written down meanwhile is not ours to drop, nor is one that
        // was refused.
        record.remove(|entry| {
            done.cookies.contains(&entry.cookie)
                || (lost.contains(&entry.cookie) && !kept.contains(&entry.cookie))
        })?;
        self.record = Some(record);
        Ok(())
    }

    /// Looks through all processes for sockets that are not where the record has them. What is found
    /// is not lost any more. Returns what has to stay in the record, which is said.
    fn undo_lost(
        &mut self,
        entries: &[Entry],
        lost: &mut HashSet<u64>,
        before: &HashMap<u64, bool>,
        done: &mut Done,
    ) -> HashSet<u64> {
        let mut hidden = None;
        let wanted: HashMap<u64, bool> = lost
            .iter()
            .filter_map(|cookie| Some((*cookie, *before.get(cookie)?)))
            .collect();
        // Of those that refuse, one that the record names says the most.
        let recorded: HashSet<u32> = entries
            .iter()
            .filter(|entry| lost.contains(&entry.cookie))
            .map(|entry| entry.pid)
            .collect();
        let own_pid = std::process::id();
        let others = processes().into_iter().filter(|pid| *pid != own_pid);
        for pid in others.take(PROCESSES_MAX) {
            if lost.iter().all(|cookie| done.cookies.contains(cookie)) {
                return HashSet::new();
            }
            let (refused_before, done_before) = (self.report.refused_count, done.cookies.len());
            match self.undo_process(pid, &wanted, done) {
                // What was found, and refused, has been said, and stays in the record.
                Ok(()) if self.report.refused_count > refused_before => lost.clear(),
                Ok(()) => self.report.processes += u64::from(done.cookies.len() > done_before),
                Err(error) if error.is_gone() => {}
                Err(error) if hidden.is_none() || recorded.contains(&pid) => {
                    hidden = Some((pid, error));
                }
                Err(_) => {}
            }
        }
        let Some((hider, error)) = hidden else {
            return HashSet::new();
        };
        let connections = connections();
        let kept: HashSet<u64> = entries
            .iter()
            .filter(|entry| lost.contains(&entry.cookie) && !done.cookies.contains(&entry.cookie))
            .filter(|entry| connections.contains(&entry.ports()))
            .map(|entry| entry.cookie)
            .collect();
        if !kept.is_empty() {
            self.note(match kept.len() {
                1 => "1 socket is not where it was, and stays in the record".to_owned(),
                count => format!("{count} sockets are not where they were, and stay in the record"),
            });
            // That all of them can't be looked into is usual: something remains, and no more is said by it.
            self.refuse(Refusal {
                kind: RefusalKind::Failed,
                ..Refusal::new(hider, None, &error)
            });
        }
        kept
    }

    fn is_refused(&self, entry: &Entry) -> bool {
        let refused = &self.report.refused;
        refused
            .iter()
            .any(|refusal| refusal.fd == Some(entry.fd) && refusal.pid == entry.pid)
    }

    fn undo_process(
        &mut self,
        pid: u32,
        before: &HashMap<u64, bool>,
        done: &mut Done,
    ) -> Result<(), Error> {
        let process = Process::open(pid)?;
        for descriptor in process.descriptors()? {
            let Some(socket) = process.socket(descriptor.number)? else {
                continue;
            };
            let cookie = socket.cookie();
            let Some(before) = before.get(&cookie) else {
                if socket.remote().is_some() && socket.nodelay().unwrap_or(false) {
                    done.others.insert(cookie, socket.local().port());
                }
                continue;
            };
            if done.cookies.contains(&cookie) {
                continue;
            }
            let is_done = match socket.nodelay() {
                Ok(now) if now == *before => {
                    self.report.push_already(Already::new(pid, &socket));
                    true
                }
                Ok(_) => {
                    let port = (socket.is_listening() && !before).then(|| socket.local().port());
                    let is_changed = self.change(pid, socket, *before);
                    done.listeners.extend(port.filter(|_| is_changed));
                    is_changed
                }
                Err(error) => {
                    self.refuse_option(pid, socket, "getsockopt(TCP_NODELAY)", &error);
                    false
                }
            };
            if is_done {
                done.cookies.insert(cookie);
            }
        }
        Ok(())
    }
}

/// The ports of all TCP sockets of this network namespace that some descriptor leads to: the own one,
/// and the peer's, 0 where there is none.
fn connections() -> HashSet<(u16, u16)> {
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
    let text: String = tables
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .collect();
    text.lines().filter_map(ports).collect()
}

/// Of one line of `/proc/net/tcp`. See `Documentation/networking/proc_net_tcp.rst`.
fn ports(line: &str) -> Option<(u16, u16)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let port = |at: usize| {
        let (_, port) = fields.get(at)?.rsplit_once(':')?;
        u16::from_str_radix(port, 16).ok()
    };
    // Sockets that were closed have inode 0.
    let has_descriptor = fields.get(9)?.parse::<u64>().ok()? != 0;
    has_descriptor.then_some((port(1)?, port(2)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_sockets_that_are_open() {
        let line = "   0: 0100007F:1F90 0100007F:0019 01 00000000:00000000 00:00000000 00000000     0 \
                    0 4242 1 0000000000000000 20 4 30 10 -1";
        assert_eq!(ports(line), Some((8080, 25)));
        assert_eq!(ports(&line.replace("4242", "0")), None);
        assert_eq!(ports("  sl  local_address rem_address   st tx_queue"), None);
        assert_eq!(ports(""), None);
    }
}
