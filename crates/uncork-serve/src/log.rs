//! The access log.
//!
//! A worker formats its lines into a buffer of its own and hands full buffers to one thread that
//! writes them. No worker waits for a disk: where the writer falls behind, lines are dropped and
//! counted.

mod escape;
mod files;
mod line;
#[cfg(test)]
mod tests;
mod worker;
mod writer;

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::geteuid;

use self::files::Files;
pub(crate) use self::files::OPEN_MAX;
pub use self::worker::WorkerLog;
use self::worker::{BUFFERS, Framing};
use self::writer::{Message, Writer};
use crate::join::join_until;

/// How long the last lines may take.
pub const FINISH_TIME: Duration = Duration::from_secs(5);

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// `format`.
    pub format: LogFormat,
    /// `file`, or `per_host`.
    pub to: LogTarget,
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Apache's combined format, with the host in front of it where all hosts share a file.
    Combined,
    /// One JSON object a line.
    Json,
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// `file = "…"`: all in one.
    File(PathBuf),
    /// `per_host = "…"`: a folder that gets `HOST.log` for each site.
    PerHost(PathBuf),
    /// `file = "-"`: standard output.
    Stdout,
}

/// What is recorded of a request.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The peer's address.
    pub peer: IpAddr,
    /// The site's name; empty where there was none.
    pub site: &'a str,
    /// The method as it was sent; empty where the head could not be read.
    pub method: &'a [u8],
    /// The target as it was sent.
    pub target: &'a [u8],
    /// `HTTP/1.1`
    pub version: &'a str,
    /// The status of the response.
    pub status: u16,
    /// Bytes of the response's body that were sent.
    pub bytes: u64,
    /// `Referer`
    pub referer: Option<&'a [u8]>,
    /// `User-Agent`
    pub user_agent: Option<&'a [u8]>,
    /// From the request's first byte to the response's last.
    pub duration_us: u64,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The file or folder can't be written.
    #[error(
        "can't open the log {} as uid {} (its folder has to be there, and this user has to be allowed \
         to write in it)",
        path.display(),
        geteuid().as_raw()
    )]
    Open {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No thread for the writer.
    #[error("no thread for the log")]
    Thread(#[source] io::Error),
}

/// An access log that is being written.
#[derive(Debug)]
pub struct AccessLog {
    format: LogFormat,
    framing: Framing,
    messages: SyncSender<Message>,
    reopen: Arc<AtomicBool>,
    dropped: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl AccessLog {
    /// Opens the log's file (mode 0640, appended to), or looks whether its folder can be written, and
    /// gives it a thread.
    ///
    /// Called after a server has given up its privileges: the user whom it becomes may own the folder,
    /// and put a link there that leads elsewhere. And a thread keeps the privileges that it began with.
    ///
    /// # Errors
    /// [`LogError`]
    pub fn start(settings: &LogSettings, workers: usize) -> Result<Self, LogError> {
        let dropped = Arc::new(AtomicU64::new(0));
        let files = Files::open(&settings.to, Arc::clone(&dropped))?;
        // Room for all buffers of all workers and some word beside them: a hand-over that fails for
        // want of room here would be a lost buffer, so that a worker's own bound comes first.
        let (messages, inbox) = sync_channel(workers.max(1) * BUFFERS + 4);
        let reopen = Arc::new(AtomicBool::new(false));
        let writer = Writer {
            inbox,
            files,
            reopen: Arc::clone(&reopen),
        };
        let thread = std::thread::Builder::new()
            .name("uncork-log".to_owned())
            .spawn(move || writer.run())
            .map_err(LogError::Thread)?;
        let framing = match settings.to {
            LogTarget::PerHost(_) => Framing::PerSite,
            LogTarget::File(_) | LogTarget::Stdout => Framing::None,
        };
        Ok(Self {
            format: settings.format,
            framing,
            messages,
            reopen,
            dropped,
            thread,
        })
    }

    /// The log of one worker.
    #[must_use]
    pub fn worker(&self) -> WorkerLog {
        WorkerLog::new(
            self.format,
            self.framing,
            self.messages.clone(),
            Arc::clone(&self.dropped),
        )
    }

    /// Opens the files anew, after logrotate moved them (SIGUSR1). Returns at once; what was handed
    /// over before may go to the new file.
    pub fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
        // A full inbox wakes the writer as well, which looks at the flag before each message.
        let _ = self.messages.try_send(Message::Look);
    }

    /// Lines that were not written: the writer fell behind, the disk is full, a file can't be opened.
    #[must_use]
    pub fn dropped_lines(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// A counter to ask for [`AccessLog::dropped_lines`] from elsewhere.
    #[must_use]
    pub fn dropped_counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.dropped)
    }

    /// Writes everything that was handed over, and ends the writer. Workers flush or drop theirs
    /// before; what one hands over later is counted as dropped. Whether all was written: a pipe that
    /// nobody reads is waited for no longer than [`FINISH_TIME`].
    #[must_use]
    pub fn finish(self) -> bool {
        let until = Instant::now() + FINISH_TIME;
        // The inbox may be full, and then it has room again as the writer goes on.
        while let Err(TrySendError::Full(_)) = self.messages.try_send(Message::Finish) {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // A writer that panicked has said so.
        join_until(self.thread, until).is_some()
    }
}
