//! The thread that writes the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};

use super::files::Files;

/// What the writer is told.
#[derive(Debug)]
pub(super) enum Message {
    Lines(Lines),
    /// There is something to look at: the flag.
    Look,
    /// Nothing comes after this.
    Finish,
}

/// A buffer of whole lines, and where it goes back to.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) bytes: Vec<u8>,
    pub(super) back: SyncSender<Vec<u8>>,
}

pub(super) struct Writer {
    pub(super) inbox: Receiver<Message>,
    pub(super) files: Files,
    pub(super) reopen: Arc<AtomicBool>,
}

impl Writer {
    /// Writes until it is told to finish, or nobody is left who could tell it anything.
    pub(super) fn run(mut self) {
        while let Ok(message) = self.inbox.recv() {
            if self.reopen.swap(false, Ordering::Acquire) {
                self.files.reopen();
            }
            match message {
                Message::Lines(Lines { mut bytes, back }) => {
                    self.files.write(&bytes);
                    bytes.clear();
                    // The worker may be gone; it never has more buffers than there is room for.
                    let _ = back.try_send(bytes);
                }
                Message::Look => {}
                Message::Finish => break,
            }
        }
        // What came behind the end, of workers that did not end before.
        while let Ok(message) = self.inbox.try_recv() {
            if let Message::Lines(lines) = message {
                self.files.write(&lines.bytes);
            }
        }
    }
}
