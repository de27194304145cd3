//! The reading side: threads that turn sources into batches of mails, each for one folder.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use crate::folder_map::{FolderMap, ServerFolder};
use crate::mail::{FolderPath, Mail, Position};
use crate::prepare::repair::{Repair, Repairs};
use crate::prepare::{PrepareOptions, Prepared, Preparer};
use crate::source::Unit;
use crate::{Labels, Progress};

/// Most mails in one batch: one command spread over many, and few enough that halving a refused
/// batch down to one mail takes seven rounds.
pub(crate) const BATCH_MESSAGES: usize = 100;

/// A batch that has come to this size is closed: what the server stores as one transaction,
/// and what is sent again if it is refused, stays small. (Some take 50 MiB a command at most.)
pub(crate) const BATCH_BYTES: u64 = 4 * 1024 * 1024;

/// Batches that are being filled at one time, where the mails of a source are for many folders
/// in turn.
const OPEN_BATCHES_MAX: usize = 64;

/// Bytes in them.
const OPEN_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What has been read and not yet taken by the connections.
pub(crate) const ARRIVALS_AHEAD: usize = 2;

/// What comes of reading.
#[derive(Debug)]
pub(crate) enum Arrival {
    Mails(ReadBatch),
    /// A mail that can't be sent, or what should have been one.
    Refused {
        source: String,
        folder: String,
        reason: String,
    },
    /// Something a person should know.
    Note(String),
}

/// Mails for one folder.
#[derive(Debug)]
pub(crate) struct ReadBatch {
    pub(crate) folder: Arc<ServerFolder>,
    pub(crate) mails: Vec<Mail>,
    /// What was repaired in them, and how often.
    pub(crate) repairs: Vec<(Repair, u64)>,
    /// Those that were repaired beyond their line ends.
    pub(crate) repaired: Vec<(Position, Repairs)>,
    bytes: u64,
}

/// What the reading threads share.
pub(crate) struct Reading<'s> {
    /// Units of one source folder are read one after the other, so that its mails keep their
    /// order.
    pub(crate) jobs: Mutex<VecDeque<Vec<&'s Unit>>>,
    pub(crate) map: FolderMap,
    pub(crate) prepare: PrepareOptions,
    pub(crate) labels: Labels,
    pub(crate) progress: &'s Progress,
}

impl Reading<'_> {
    /// Reads jobs until there are none, or nobody takes what is read any more.
    pub(crate) fn read(&self, arrivals: mpsc::Sender<Arrival>) {
        let mut batcher = Batcher {
            map: &self.map,
            arrivals,
            resolved: HashMap::new(),
            open: Vec::new(),
        };
        while let Some(job) = self.next_job() {
            for unit in job {
                if self.read_unit(unit, &mut batcher).is_break() {
                    return;
                }
            }
        }
    }

    fn next_job(&self) -> Option<Vec<&Unit>> {
        self.jobs.lock().ok()?.pop_front()
    }

    fn read_unit(&self, unit: &Unit, batcher: &mut Batcher<'_>) -> ControlFlow<()> {
        let progress = self.progress;
        let mut preparer = Preparer::new(&self.prepare, |prepared| {
            progress.messages_read.fetch_add(1, Ordering::Relaxed);
            batcher.take(prepared)
        });
        unit.read(self.labels, &progress.source_bytes_read, &mut preparer)?;
        batcher.flush()
    }
}

/// Sorts mails into batches.
struct Batcher<'m> {
    map: &'m FolderMap,
    arrivals: mpsc::Sender<Arrival>,
    resolved: HashMap<FolderPath, Result<Arc<ServerFolder>, String>>,
    open: Vec<ReadBatch>,
}

impl Batcher<'_> {
    fn take(&mut self, prepared: Prepared) -> ControlFlow<()> {
        match prepared {
            Prepared::Mail {
                folders,
                mail,
                repairs,
            } => {
                // The last one takes the mail itself; all have the same text anyway.
                let (last, others) = match folders.split_last() {
                    Some(split) => split,
                    None => (&FolderPath::default(), &[][..]),
                };
                for folder in others {
                    self.push(folder, mail.clone(), Repairs::default())?;
                }
                self.push(last, mail, repairs)
            }
            Prepared::Refused {
                position,
                folders,
                reason,
            } => {
                let path = folders.first().cloned().unwrap_or_default();
                let folder = match self.resolve(&path)? {
                    Ok(folder) => folder.name.clone(),
                    Err(_) => path.0.join("/"),
                };
                self.send(Arrival::Refused {
                    source: position.to_string(),
                    folder,
                    reason,
                })
            }
        }
    }

    fn push(&mut self, path: &FolderPath, mail: Mail, repairs: Repairs) -> ControlFlow<()> {
        let folder = match self.resolve(path)? {
            Ok(folder) => folder,
            Err(reason) => {
                return self.send(Arrival::Refused {
                    source: mail.position.to_string(),
                    folder: path.0.join("/"),
                    reason,
                });
            }
        };
        let known = self
            .open
            .iter()
            .position(|open| open.folder.wire == folder.wire);
        let at = known.unwrap_or_else(|| {
            self.open.push(ReadBatch {
                folder,
                mails: Vec::with_capacity(BATCH_MESSAGES),
                repairs: Vec::new(),
                repaired: Vec::new(),
                bytes: 0,
            });
            self.open.len() - 1
        });
        let batch = &mut self.open[at];
        batch.push(mail, repairs);
        if batch.mails.len() >= BATCH_MESSAGES || batch.bytes >= BATCH_BYTES {
            let batch = self.open.remove(at);
            return self.send(Arrival::Mails(batch));
        }
        let bytes: u64 = self.open.iter().map(|open| open.bytes).sum();
        if self.open.len() > OPEN_BATCHES_MAX || bytes > OPEN_BYTES_MAX {
            let oldest = self.open.remove(0);
            return self.send(Arrival::Mails(oldest));
        }
        ControlFlow::Continue(())
    }

    fn flush(&mut self) -> ControlFlow<()> {
        for batch in std::mem::take(&mut self.open) {
            self.send(Arrival::Mails(batch))?;
        }
        ControlFlow::Continue(())
    }

    fn resolve(&mut self, path: &FolderPath) -> ControlFlow<(), Result<Arc<ServerFolder>, String>> {
        if let Some(known) = self.resolved.get(path) {
            return ControlFlow::Continue(known.clone());
        }
        let resolved = self.map.resolve(path).map(Arc::new);
        if let Ok(folder) = &resolved
            && let Some(note) = &folder.note
        {
            self.send(Arrival::Note(format!("{}: {note}", folder.name)))?;
        }
        self.resolved.insert(path.clone(), resolved.clone());
        ControlFlow::Continue(resolved)
    }

    fn send(&self, arrival: Arrival) -> ControlFlow<()> {
        match self.arrivals.blocking_send(arrival) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

impl ReadBatch {
    fn push(&mut self, mail: Mail, repairs: Repairs) {
        for repair in repairs.iter() {
            match self.repairs.iter_mut().find(|(known, _)| *known == repair) {
                Some((_, count)) => *count += 1,
                None => self.repairs.push((repair, 1)),
            }
        }
        let notable = repairs.notable();
        if !notable.is_empty() {
            self.repaired.push((mail.position.clone(), notable));
        }
        self.bytes += mail.len;
        self.mails.push(mail);
    }
}
