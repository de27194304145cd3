//! Undoing: what the record says of a socket is made so again.

use std::collections::{BTreeSet, HashMap, HashSet};

use uncork_sockets::{Error, Process};

use super::record::{Entry, RecordError};
use super::repairer::Repairer;
use super::report::{Already, Refusal};
use super::target::Target;

impl Repairer<'_> {
    /// Takes back what the record says of the sockets of these processes. What was taken back leaves
    /// the record, as do sockets that they don't have any more.
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
        let mut done = HashSet::new();
        // What a process does not have any more, it has closed, or has ended.
        let mut looked_at = HashSet::new();
        for pid in target.processes() {
            match self.undo_process(pid, &before, &mut done) {
                Ok(()) => self.report.processes += 1,
                Err(error) if error.is_gone() && !target.names(pid) => {}
                Err(error) => {
                    self.refuse(Refusal::new(pid, None, &error));
                    if !error.is_gone() {
                        continue;
                    }
                }
            }
            looked_at.insert(pid);
        }
        // A change that another uncork has written down meanwhile is not ours to drop, nor is one that
        // was refused.
        record.remove(|entry| {
            let is_over = looked_at.contains(&entry.pid) && before.contains_key(&entry.cookie);
            done.contains(&entry.cookie) || (is_over && !self.is_refused(entry))
        })?;
        self.record = Some(record);
        Ok(())
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
        done: &mut HashSet<u64>,
    ) -> Result<(), Error> {
        let process = Process::open(pid)?;
        for descriptor in process.descriptors()? {
            let Some(socket) = process.socket(descriptor.number)? else {
                continue;
            };
            let Some(before) = before.get(&socket.cookie()) else {
                continue;
            };
            if done.contains(&socket.cookie()) {
                continue;
            }
            let is_done = match socket.nodelay() {
                Ok(now) if now == *before => {
                    self.report.push_already(Already::new(pid, &socket));
                    true
                }
                Ok(_) => self.change(pid, &socket, *before),
                Err(error) => {
                    let number = socket.number();
                    let call = "getsockopt(TCP_NODELAY)";
                    self.refuse(Refusal::of_option(pid, number, call, &error));
                    false
                }
            };
            if is_done {
                done.insert(socket.cookie());
            }
        }
        Ok(())
    }
}
