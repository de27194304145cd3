//! Commands that are on their way: sent, not yet answered. Pure; bounded in mails and bytes.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use super::chunk::{Chunk, Ticket};

/// Most mails that wait for their answer on one connection.
pub(crate) const WINDOW_MESSAGES: usize = 4000;

/// Most bytes of them. One mail longer than this travels alone.
pub(crate) const WINDOW_BYTES: u64 = 16 * 1024 * 1024;

/// An APPEND.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) tag: u32,
    pub(crate) chunk: Chunk,
    pub(crate) ticket: Rc<Ticket>,
    /// When it was encoded.
    pub(crate) since: Instant,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JournalPlace;
    use crate::journal::{BatchId, Journal};
    use crate::mail::Mail;

    fn an_entry(chunk: &Chunk) -> BatchId {
        let mut journal = Journal::open(&JournalPlace::Memory, "ada@localhost:143").unwrap();
        let folder = journal.folder("INBOX").unwrap();
        let items = chunk.mails().iter().map(Mail::item);
        journal.begin(folder, items, 1).unwrap()
    }

    /// Commands with the mails of one ticket.
    struct Commands {
        ticket: Rc<Ticket>,
        next_tag: u32,
    }

    impl Commands {
        fn new(mails: usize) -> Self {
            let mails = (0..mails).map(|_| Mail::sample("12345678\r\n")).collect();
            let chunk = Chunk::all(0, mails);
            let entry = an_entry(&chunk);
            Self {
                ticket: Rc::new(Ticket::new(entry, chunk, 1)),
                next_tag: 1,
            }
        }

        fn next(&mut self, mails: std::ops::Range<usize>) -> Command {
            let tag = self.next_tag;
            self.next_tag += 1;
            Command {
                tag,
                chunk: self.ticket.chunk.part(mails),
                ticket: Rc::clone(&self.ticket),
                since: Instant::now(),
            }
        }
    }

    #[test]
    fn answers_in_any_order() {
        let mut commands = Commands::new(10);
        let mut window = Window::new(usize::MAX);
        window.push(commands.next(0..5));
        window.push(commands.next(5..6));
        window.flush_begins();
        window.push(commands.next(6..10));
        assert!(window.answered(3).is_none(), "it has not left");
        window.flush_begins();
        assert_eq!((window.messages, window.bytes), (10, 100));
        assert_eq!(window.answered(2).unwrap().chunk.range, 5..6);
        assert_eq!(window.answered(1).unwrap().chunk.range, 0..5);
        assert!(window.answered(1).is_none());
        assert_eq!(window.answered(3).unwrap().chunk.range, 6..10);
        assert!(window.is_empty());
        assert_eq!((window.messages, window.bytes), (0, 0));
    }

    #[test]
    fn what_has_not_left_is_told_apart() {
        let mut commands = Commands::new(3);
        let mut window = Window::new(usize::MAX);
        for mail in 0..3 {
            window.push(commands.next(mail..mail + 1));
            if mail == 1 {
                window.flush_begins();
            }
        }
        let (sent, gathered) = window.into_unanswered();
        let mails = |commands: Vec<Command>| -> Vec<_> {
            commands
                .into_iter()
                .map(|command| command.chunk.range)
                .collect()
        };
        assert_eq!(mails(sent), [0..1, 1..2]);
        assert_eq!(mails(gathered), vec![2..3; 1]);
    }

    #[test]
    fn a_full_window_takes_no_more() {
        let mut commands = Commands::new(100);
        let mut window = Window::new(usize::MAX);
        let mut sent = 0;
        while window.has_room(&commands.next(0..100).chunk) {
            sent += 1;
            window.push(commands.next(0..100));
        }
        assert_eq!(sent * 100, WINDOW_MESSAGES);
        let mut window = Window::new(1);
        window.push(commands.next(0..1));
        assert!(!window.has_room(&commands.next(1..2).chunk));
    }
}
