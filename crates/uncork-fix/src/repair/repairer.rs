//! One repair: process by process, socket by socket.

use std::fmt;

use uncork_sockets::{Error, Process, Socket};

use super::memory::{Memory, Met};
use super::record::{Entry, Record};
use super::report::{Already, Change, Event, Nodelay, Refusal, Report};
use super::target::Target;

/// Gives NODELAY to sockets of other processes, or takes it away again, and tells what it did.
pub struct Repairer<'a> {
    pub(super) record: Option<Record>,
    pub(super) report: Report,
    memory: Memory,
    say: Box<dyn FnMut(Event<'_>) + 'a>,
}

impl<'a> Repairer<'a> {
    /// One that keeps no record, and says each thing that it does.
    #[must_use]
    pub fn new(say: impl FnMut(Event<'_>) + 'a) -> Self {
        Self {
            record: None,
            report: Report::default(),
            memory: Memory::default(),
            say: Box::new(say),
        }
    }

    /// The same with a record, so that its changes can be undone.
    #[must_use]
    pub fn with_record(mut self, record: Record) -> Self {
        self.report.is_recorded = true;
        self.record = Some(record);
        self
    }

    /// Adds a sentence to the report.
    pub fn note(&mut self, note: impl Into<String>) {
        self.report.notes.push(note.into());
    }

    /// Gives NODELAY to all TCP sockets that the processes have now.
    pub fn fix(&mut self, target: &Target) {
        for pid in target.processes() {
            self.fix_process(pid, target.names(pid));
        }
    }

    /// What was done so far.
    #[must_use]
    pub fn finish(self) -> Report {
        self.report
    }

    fn fix_process(&mut self, pid: u32, is_named: bool) {
        let done = Process::open(pid).and_then(|process| self.look(&process));
        match done {
            Ok(()) => self.report.processes += 1,
            // A descendant that ended between two looks is no loss.
            Err(error) if error.is_gone() && !is_named => {}
            Err(error) => self.refuse(Refusal::new(pid, None, &error)),
        }
    }

    /// Looks at the sockets of a process that were not there at the last look.
    pub(super) fn look(&mut self, process: &Process) -> Result<(), Error> {
        let pid = process.pid();
        let descriptors = process.descriptors()?;
        for descriptor in self.memory.new_ones(pid, &descriptors) {
            let socket = match process.socket(descriptor.number) {
                Ok(socket) => socket,
                // Nothing about the descriptor: the next look asks again.
                Err(error) if error.is_out_of_descriptors() => return Err(error),
                // Of one descriptor only: another system call than the one that asks for permission.
                Err(error @ Error::System { .. }) => {
                    self.memory.keep(pid, descriptor, None);
                    self.refuse(Refusal::new(pid, Some(descriptor.number), &error));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let cookie = socket.as_ref().map(Socket::cookie);
            let met = self.memory.keep(pid, descriptor, cookie);
            match socket {
                None => self.report.not_tcp_count += 1,
                Some(socket) if met == Met::New => self.fix_socket(process, socket)?,
                Some(_) => {}
            }
        }
        Ok(())
    }

    pub(super) fn forget(&mut self, pid: u32) {
        self.memory.forget(pid);
    }

    /// While a duplicate is open, its owner's `close` ends no connection. So none is held while the
    /// record is waited for: it is taken once more then.
    fn fix_socket(&mut self, process: &Process, socket: Socket) -> Result<(), Error> {
        let pid = process.pid();
        match socket.nodelay() {
            Ok(true) => self.report.push_already(Already::new(pid, &socket)),
            Ok(false) => {
                let (number, cookie) = (socket.number(), socket.cookie());
                let record = self.record.as_ref();
                let socket = match record.map(|record| record.entry(pid, &socket, false)) {
                    None => Some(socket),
                    Some(entry) => {
                        drop(socket);
                        self.write_down(&entry);
                        process.socket(number)?
                    }
                };
                // Closed meanwhile, or even another one: the next look finds that.
                if let Some(socket) = socket.filter(|socket| socket.cookie() == cookie) {
                    self.change(pid, socket, true);
                }
            }
            Err(error) => self.refuse_option(pid, socket, "getsockopt(TCP_NODELAY)", &error),
        }
        Ok(())
    }

    /// Repairing without a record is better than not repairing; that it can't be undone is said once.
    fn write_down(&mut self, entry: &Entry) {
        let Some(record) = &mut self.record else {
            return;
        };
        if let Err(error) = record.add(entry) {
            self.report.is_recorded = false;
            self.record = None;
            self.note(format!(
                "{error}: what was changed since can't be undone by --undo"
            ));
        }
    }

    /// Sets the option of a socket that has it the other way.
    pub(super) fn change(&mut self, pid: u32, socket: Socket, nodelay: bool) -> bool {
        if let Err(error) = socket.set_nodelay(nodelay) {
            self.refuse_option(pid, socket, "setsockopt(TCP_NODELAY)", &error);
            return false;
        }
        let change = Change {
            pid,
            command: uncork_sockets::command(pid).unwrap_or_default(),
            fd: socket.number(),
            local: socket.local(),
            remote: socket.remote(),
            is_listening: socket.is_listening(),
            is_corked: socket.corked().unwrap_or(false),
            before: Nodelay { nodelay: !nodelay },
            after: Nodelay { nodelay },
        };
        // Who reads what is said may take any time.
        drop(socket);
        (self.say)(Event::Changed(&change));
        self.report.push_change(change);
        true
    }

    /// What the kernel said of a socket's option; the duplicate is closed before it is passed on.
    pub(super) fn refuse_option(
        &mut self,
        pid: u32,
        socket: Socket,
        call: &str,
        error: &std::io::Error,
    ) {
        let number = socket.number();
        drop(socket);
        self.refuse(Refusal::of_option(pid, number, call, error));
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) {
        (self.say)(Event::Refused(&refusal));
        self.report.push_refusal(refusal);
    }
}

impl fmt::Debug for Repairer<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = formatter.debug_struct("Repairer");
        fields
            .field("record", &self.record)
            .field("report", &self.report);
        fields.finish_non_exhaustive()
    }
}
