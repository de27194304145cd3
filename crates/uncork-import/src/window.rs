//! Commands that are on their way: sent, not yet answered. Pure; bounded in mails and bytes.

use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

use crate::batch::Batch;
use crate::response::{Status, StatusKind};

/// Most mails that wait for their answer at one time.
pub(crate) const WINDOW_MESSAGES: usize = 1000;

/// Most bytes of them. One mail longer than this travels alone.
pub(crate) const WINDOW_BYTES: u64 = 16 * 1024 * 1024;

/// Consecutive mails of one batch: what one APPEND carries.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    pub(crate) batch: Rc<Batch>,
    pub(crate) mails: Range<usize>,
}

impl Chunk {
    pub(crate) fn bytes(&self) -> u64 {
        let mails = &self.batch.mails[self.mails.clone()];
        mails.iter().map(|mail| mail.len).sum()
    }

    /// The two halves of a chunk of several mails.
    fn halves(self) -> [Self; 2] {
        let middle = self.mails.start + self.mails.len() / 2;
        let second = Chunk {
            batch: Rc::clone(&self.batch),
            mails: middle..self.mails.end,
        };
        let first = Chunk {
            batch: self.batch,
            mails: self.mails.start..middle,
        };
        [first, second]
    }
}

/// What an answer means for the mails of its command.
#[derive(Debug)]
pub(crate) enum Answer {
    /// All of them are stored.
    Stored(Chunk),
    /// This one mail was refused.
    Refused(Chunk, Status),
    /// One of several was refused, and so all of them; nobody knows which. To be sent again in
    /// halves once the server has been asked that it kept none.
    Split([Chunk; 2]),
    /// Nothing that has left and waits has this tag. It means nothing.
    Unasked,
}

/// The commands that wait for their answer, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Window {
    commands: VecDeque<(u32, Chunk)>,
    /// How many of the last commands are encoded, and nothing of them has left.
    gathered: usize,
    messages: usize,
    bytes: u64,
}

impl Window {
    /// Whether a chunk may be sent now.
    pub(crate) fn has_room(&self, chunk: &Chunk) -> bool {
        self.commands.is_empty()
            || (self.messages + chunk.mails.len() <= WINDOW_MESSAGES
                && self.bytes + chunk.bytes() <= WINDOW_BYTES)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// From here on any command may have reached the server.
    pub(crate) fn flush_begins(&mut self) {
        self.gathered = 0;
    }

    /// What has left, at least in part, and has no answer.
    pub(crate) fn into_unanswered(self) -> VecDeque<Chunk> {
        let left = self.commands.len() - self.gathered;
        let commands = self.commands.into_iter().take(left);
        commands.map(|(_, chunk)| chunk).collect()
    }

    /// Takes a command that is being encoded.
    pub(crate) fn push(&mut self, tag: u32, chunk: Chunk) {
        self.gathered += 1;
        self.messages += chunk.mails.len();
        self.bytes += chunk.bytes();
        self.commands.push_back((tag, chunk));
    }

    /// Takes the answer to a command. Servers may answer out of order.
    pub(crate) fn answered(&mut self, tag: u32, status: Status) -> Answer {
        let left = self.commands.len() - self.gathered;
        let mut sent = self.commands.iter().take(left);
        let position = sent.position(|(sent, _)| *sent == tag);
        let Some((_, chunk)) = position.and_then(|at| self.commands.remove(at)) else {
            return Answer::Unasked;
        };
        self.messages -= chunk.mails.len();
        self.bytes -= chunk.bytes();
        match status.kind {
            StatusKind::Ok => Answer::Stored(chunk),
            _ if chunk.mails.len() == 1 => Answer::Refused(chunk, status),
            _ => Answer::Split(chunk.halves()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(mails: usize) -> Rc<Batch> {
        let root = tempfile::tempdir().unwrap();
        for n in 0..mails {
            std::fs::write(root.path().join(format!("{n:04}.eml")), "12345678\r\n").unwrap();
        }
        let source = crate::Source::open(root.path()).unwrap();
        let mut first = None;
        crate::batch::fill_batches(&source, |batch| {
            first.get_or_insert(batch);
            true
        });
        Rc::new(first.unwrap())
    }

    fn status(kind: StatusKind) -> Status {
        Status {
            kind,
            code: None,
            text: "text".into(),
        }
    }

    #[test]
    fn answers_in_any_order() {
        let batch = batch(10);
        let chunk = |mails: Range<usize>| Chunk {
            batch: Rc::clone(&batch),
            mails,
        };
        let mut window = Window::default();
        window.push(1, chunk(0..5));
        window.push(2, chunk(5..6));
        window.flush_begins();
        window.push(3, chunk(6..10));
        let early = window.answered(3, status(StatusKind::Ok));
        assert!(matches!(early, Answer::Unasked), "it has not left");
        window.flush_begins();
        assert_eq!((window.messages, window.bytes), (10, 100));
        let refused = window.answered(2, status(StatusKind::No));
        assert!(matches!(refused, Answer::Refused(chunk, _) if chunk.mails == (5..6)));
        let Answer::Split([first, second]) = window.answered(1, status(StatusKind::Bad)) else {
            panic!("a batch is split");
        };
        assert_eq!((first.mails, second.mails), (0..2, 2..5));
        assert!(matches!(
            window.answered(1, status(StatusKind::Ok)),
            Answer::Unasked
        ));
        let stored = window.answered(3, status(StatusKind::Ok));
        assert!(matches!(stored, Answer::Stored(chunk) if chunk.mails == (6..10)));
        assert!(window.is_empty());
        assert_eq!((window.messages, window.bytes), (0, 0));
    }

    #[test]
    fn what_has_not_left_is_not_unanswered() {
        let batch = batch(3);
        let mut window = Window::default();
        for mail in 0..3 {
            let batch = Rc::clone(&batch);
            let mails = mail..mail + 1;
            window.push(u32::try_from(mail).unwrap(), Chunk { batch, mails });
            if mail == 1 {
                window.flush_begins();
            }
        }
        let unanswered = window.into_unanswered();
        let mails: Vec<_> = unanswered.into_iter().map(|chunk| chunk.mails).collect();
        assert_eq!(mails, [0..1, 1..2]);
    }

    #[test]
    fn a_full_window_takes_no_more() {
        let batch = batch(100);
        let chunk = Chunk {
            batch,
            mails: 0..100,
        };
        let mut window = Window::default();
        let mut sent = 0;
        while window.has_room(&chunk) {
            sent += 1;
            window.push(sent, chunk.clone());
        }
        assert_eq!(sent as usize * 100, WINDOW_MESSAGES);
    }
}
