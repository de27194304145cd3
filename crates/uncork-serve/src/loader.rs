//! Threads that wait for the disk, so that workers need not.

use std::fs::File;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::beneath::{Opener, Patience};
use crate::mailbox::{Letter, Mailbox};
use crate::resource::{self, Digest};
use crate::site::Site;
use crate::token::Token;

/// How many files can be waited for at a time.
pub(crate) const LOADER_THREADS: usize = 4;

/// Bytes that are read at a time to get a file into the kernel's memory.
const WARM_BUFFER_BYTES: usize = 256 * 1024;

/// Something that a worker can't do without waiting.
#[derive(Debug)]
pub(crate) enum Errand {
    /// Find what a path is.
    Find {
        /// The site.
        site: Arc<Site>,
        /// The path, as the cache knows it.
        key: Box<[u8]>,
        /// What is known of the path.
        digests: Vec<Digest>,
    },
    /// Get a range of a file into the kernel's memory.
    Warm {
        /// The file.
        file: Arc<File>,
        /// Its range.
        range: Range<u64>,
        /// The connection that waits for it.
        token: Token,
    },
}

/// Errands that wait for a thread. Who finds it full is told that the server is busy.
const ERRANDS_MAX: usize = 4096;

type Inbox = Mutex<Receiver<(Errand, Arc<Mailbox>)>>;

/// Where errands are handed in. The threads end after the last [`Counter`] is gone; nobody waits for
/// them, as the disk may never answer.
#[derive(Debug)]
pub(crate) struct Loader {
    errands: SyncSender<(Errand, Arc<Mailbox>)>,
}

impl Loader {
    /// Starts the threads.
    ///
    /// # Errors
    /// Where a thread can't be started.
    pub(crate) fn start(opener: Opener) -> std::io::Result<Self> {
        let (errands, inbox) = sync_channel(ERRANDS_MAX);
        let inbox = Arc::new(Mutex::new(inbox));
        for _ in 0..LOADER_THREADS {
            let inbox = Arc::clone(&inbox);
            thread::Builder::new()
                .name("uncork-disk".to_owned())
                .spawn(move || work(&inbox, opener))?;
        }
        Ok(Self { errands })
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

/// Where one worker hands in its errands.
#[derive(Debug)]
pub(crate) struct Counter {
    errands: SyncSender<(Errand, Arc<Mailbox>)>,
    mailbox: Arc<Mailbox>,
}

impl Counter {
    /// Hands in an errand. Whether there was room for it.
    #[must_use]
    pub(crate) fn hand_in(&self, errand: Errand) -> bool {
        let errand = (errand, Arc::clone(&self.mailbox));
        self.errands.try_send(errand).is_ok()
    }
}

fn work(inbox: &Inbox, opener: Opener) {
    let mut buffer = vec![0; WARM_BUFFER_BYTES];
    loop {
        let next = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((errand, mailbox)) = next else { return };
        mailbox.post(match errand {
            Errand::Find { site, key, digests } => {
                let find = || resource::find(&site, &key, opener, Patience::Wait, &digests);
                // Whoever waits for this has to hear of it, whatever happens.
                let found = catch_unwind(AssertUnwindSafe(find)).ok().flatten();
                let failed = || resource::Resource::fixed(resource::Kind::Failed);
                let resource = Box::new(found.unwrap_or_else(failed));
                Letter::Found {
                    site: site.id,
                    key,
                    resource,
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
