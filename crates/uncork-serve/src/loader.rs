//! Threads that wait for the disk, so that workers need not.

use std::fs::File;
use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::beneath::{Opener, Patience};
use crate::mailbox::{Letter, Mailbox};
use crate::resource;
use crate::site::Site;

/// How many files can be waited for at a time.
pub(crate) const LOADER_THREADS: usize = 4;

/// Bytes that are read at a time to get a file into the kernel's memory.
const WARM_BUFFER_BYTES: usize = 256 * 1024;

/// Something that a worker can't do without waiting. At most one a connection is under way.
#[derive(Debug)]
pub(crate) enum Errand {
    /// Find what a path is.
    Find {
        /// The site.
        site: Arc<Site>,
        /// The path, as the cache knows it.
        key: Box<[u8]>,
    },
    /// Get a range of a file into the kernel's memory.
    Warm {
        /// The file.
        file: Arc<File>,
        /// Its range.
        range: Range<u64>,
        /// The connection that waits for it.
        token: usize,
    },
}

/// The threads, and where errands are handed in.
#[derive(Debug)]
pub(crate) struct Loader {
    errands: Option<Sender<(Errand, Arc<Mailbox>)>>,
    threads: Vec<JoinHandle<()>>,
}

impl Loader {
    /// Starts the threads.
    ///
    /// # Errors
    /// Where a thread can't be started.
    pub(crate) fn start(opener: Opener) -> std::io::Result<Self> {
        let (errands, inbox) = channel();
        let inbox = Arc::new(Mutex::new(inbox));
        let threads = (0..LOADER_THREADS)
            .map(|_| {
                let inbox = Arc::clone(&inbox);
                thread::Builder::new()
                    .name("uncork-disk".to_owned())
                    .spawn(move || work(&inbox, opener))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            errands: Some(errands),
            threads,
        })
    }

    /// A place at which a worker hands in errands; answers go to its mailbox.
    #[must_use]
    pub(crate) fn counter(&self, mailbox: Arc<Mailbox>) -> Counter {
        Counter {
            errands: self.errands.clone(),
            mailbox,
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.errands = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Where one worker hands in its errands.
#[derive(Debug)]
pub(crate) struct Counter {
    errands: Option<Sender<(Errand, Arc<Mailbox>)>>,
    mailbox: Arc<Mailbox>,
}

impl Counter {
    /// Hands in an errand.
    pub(crate) fn hand_in(&self, errand: Errand) {
        if let Some(errands) = &self.errands {
            // The threads end after all workers have.
            let _ = errands.send((errand, Arc::clone(&self.mailbox)));
        }
    }
}

fn work(inbox: &Mutex<Receiver<(Errand, Arc<Mailbox>)>>, opener: Opener) {
    let mut buffer = vec![0; WARM_BUFFER_BYTES];
    loop {
        let next = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((errand, mailbox)) = next else { return };
        mailbox.post(match errand {
            Errand::Find { site, key } => {
                let found = resource::find(&site, &key, opener, Patience::Wait);
                let failed = || resource::Resource::fixed(resource::Kind::Failed);
                Letter::Found {
                    site: site.id,
                    key,
                    resource: Box::new(found.unwrap_or_else(failed)),
                }
            }
            Errand::Warm { file, range, token } => {
                warm(&file, range, &mut buffer);
                Letter::Warmed { token }
            }
        });
    }
}

/// Reads a range and throws it away. A failure shows again where it is sent.
fn warm(file: &File, range: Range<u64>, buffer: &mut [u8]) {
    let mut offset = range.start;
    while offset < range.end {
        let most = buffer
            .len()
            .min(usize::try_from(range.end - offset).unwrap_or(usize::MAX));
        match rustix::io::pread(file, &mut buffer[..most], offset) {
            Ok(0) => return,
            Ok(read) => offset += read as u64,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
