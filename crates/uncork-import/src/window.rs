//! Commands that are on their way: sent, not yet answered. Pure; bounded in mails and bytes.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::chunk::{Chunk, Ticket};

/// Most mails that wait for their answer on one connection.
pub(crate) const WINDOW_MESSAGES: usize = 1000;

/// Most bytes of them. One mail longer than this travels alone.
pub(crate) const WINDOW_BYTES: u64 = 16 * 1024 * 1024;

/// An APPEND.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) tag: u32,
    pub(crate) chunk: Chunk,
    pub(crate) ticket: Rc<Ticket>,
}

/// The commands that wait for their answer, oldest first.
#[derive(Debug)]
pub(crate) struct Window {
    commands: VecDeque<Command>,
    /// How many of the last commands are encoded, and nothing of them has left.
    gathered: usize,
    messages: usize,
    bytes: u64,
    /// Most commands: fewer where a server hangs up and it is to be found out on which mail.
    commands_max: usize,
}

impl Window {
    pub(crate) fn new(commands_max: usize) -> Self {
        Self {
            commands: VecDeque::new(),
            gathered: 0,
            messages: 0,
            bytes: 0,
            commands_max,
        }
    }

    /// Whether a chunk may be sent now.
    pub(crate) fn has_room(&self, chunk: &Chunk) -> bool {
        self.commands.is_empty()
            || (self.commands.len() < self.commands_max
                && self.messages + chunk.len() <= WINDOW_MESSAGES
                && self.bytes + chunk.bytes() <= WINDOW_BYTES)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// From here on any command may have reached the server.
    pub(crate) fn flush_begins(&mut self) {
        self.gathered = 0;
    }

    /// What has no answer, oldest first: first what has left, at least in part, then what has
    /// not.
    pub(crate) fn into_unanswered(self) -> (Vec<Command>, Vec<Command>) {
        let left = self.commands.len() - self.gathered;
        let mut sent: Vec<_> = self.commands.into();
        let gathered = sent.split_off(left);
        (sent, gathered)
    }

    /// Takes a command that is being encoded.
    pub(crate) fn push(&mut self, command: Command) {
        self.gathered += 1;
        self.messages += command.chunk.len();
        self.bytes += command.chunk.bytes();
        self.commands.push_back(command);
    }

    /// Takes the answer to a command; `None` where nothing that has left and waits has this tag.
    /// Servers may answer out of order.
    pub(crate) fn answered(&mut self, tag: u32) -> Option<Command> {
        let left = self.commands.len() - self.gathered;
        let mut sent = self.commands.iter().take(left);
        let at = sent.position(|command| command.tag == tag)?;
        let command = self.commands.remove(at)?;
        self.messages -= command.chunk.len();
        self.bytes -= command.chunk.bytes();
        Some(command)
    }
}
