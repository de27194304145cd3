//! What other threads have for a worker.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

use crate::resource::Resource;
use crate::site::{SiteId, Sites};
use crate::token::Token;

/// A message to a worker.
#[derive(Debug)]
pub(crate) enum Letter {
    /// What a path is.
    Found {
        /// The site.
        site: SiteId,
        /// The path, as the cache knows it.
        key: Box<[u8]>,
        /// What it is.
        resource: Box<Resource>,
    },
    /// A range of a file is in the kernel's memory.
    Warmed {
        /// The connection that waited for it.
        token: Token,
    },
    /// The sites have changed.
    Sites(Arc<Sites>),
    /// Accept no more, finish what is under way, end.
    Drain,
}

/// A queue that wakes its worker's epoll. At most one letter a connection, and a few more, are in it.
#[derive(Debug)]
pub(crate) struct Mailbox {
    letters: Mutex<Vec<Letter>>,
    bell: OwnedFd,
}

impl Mailbox {
    /// An empty one.
    ///
    /// # Errors
    /// Where there is no descriptor left.
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            letters: Mutex::new(Vec::new()),
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })
    }

    /// Puts a letter in, and wakes the worker.
    pub(crate) fn post(&self, letter: Letter) {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        letters.push(letter);
        drop(letters);
        // It can only fail where 2^64 - 2 rings were not heard, and then it is ringing.
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }

    /// Takes all letters out.
    #[must_use]
    pub(crate) fn take(&self) -> Vec<Letter> {
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        std::mem::take(&mut *self.letters.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is readable when there are letters.
    #[must_use]
    pub(crate) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
