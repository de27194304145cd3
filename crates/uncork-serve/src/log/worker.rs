//! A worker's side of the log.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use super::line::{self, Site};
use super::writer::{Lines, Message};
use super::{LogFormat, Record};
use crate::clock::Clock;

/// Bytes at which a buffer is full.
pub(super) const BUFFER_BYTES: usize = 64 * 1024;
/// Room behind a full buffer for the line that fills it. Longer lines make the buffer grow once.
const SLACK_BYTES: usize = 8 * 1024;
/// A buffer that a hostile line made larger than this is not kept.
const KEPT_BYTES: usize = 4 * BUFFER_BYTES;
/// Buffers of one worker, the one it fills included: a disk that stands still for a moment costs no
/// lines. They are made when they are needed first.
pub(super) const BUFFERS: usize = 16;

/// Whether the writer is told each line's site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    /// In front of each line: the site's length in one byte, the line's in four (little-endian), the
    /// site.
    PerSite,
}

/// Bytes of a frame in front of the site's name.
pub(super) const FRAME_BYTES: usize = 5;

/// The access log of one worker. Lines wait in it until a buffer is full, [`WorkerLog::flush`] is
/// called, or it is dropped.
pub struct WorkerLog {
    format: LogFormat,
    framing: Framing,
    buffer: Vec<u8>,
    lines: u64,
    /// Buffers that were made, of [`BUFFERS`].
    made: usize,
    messages: SyncSender<Message>,
    /// Where the writer puts buffers back.
    back: SyncSender<Vec<u8>>,
    empties: Receiver<Vec<u8>>,
    dropped: Arc<AtomicU64>,
}

impl WorkerLog {
    pub(super) fn new(
        format: LogFormat,
        framing: Framing,
        messages: SyncSender<Message>,
        dropped: Arc<AtomicU64>,
    ) -> Self {
        let (back, empties) = sync_channel(BUFFERS);
        Self {
            format,
            framing,
            buffer: empty(),
            lines: 0,
            made: 1,
            messages,
            back,
            empties,
            dropped,
        }
    }

    /// Records a request: formats its line into the worker's buffer. No system call, but one or two
    /// where a buffer is full and the writer sleeps; no allocation once all buffers are made.
    pub fn record(&mut self, record: &Record<'_>, clock: &Clock) {
        match self.framing {
            Framing::None => {
                line::append(&mut self.buffer, self.format, Site::Named, record, clock);
            }
            Framing::PerSite => self.framed(record, clock),
        }
        self.lines += 1;
        if self.buffer.len() >= BUFFER_BYTES {
            self.hand_over(Full::Yes);
        }
    }

    /// Hands over what waits. Called about once a second.
    pub fn flush(&mut self) {
        if self.lines > 0 {
            self.hand_over(Full::No);
        }
    }

    fn framed(&mut self, record: &Record<'_>, clock: &Clock) {
        let start = self.buffer.len();
        // Names of sites are at most 253 bytes; a longer one would be cut, not misread.
        let site = record.site.as_bytes();
        let site = &site[..site.len().min(u8::MAX.into())];
        self.buffer.extend_from_slice(&[0; FRAME_BYTES]);
        self.buffer.extend_from_slice(site);
        let line_start = self.buffer.len();
        let out = &mut self.buffer;
        line::append(out, self.format, Site::InFileName, record, clock);
        let line_bytes = u32::try_from(out.len() - line_start);
        match (u8::try_from(site.len()), line_bytes) {
            (Ok(site_bytes), Ok(line_bytes)) => {
                out[start] = site_bytes;
                out[start + 1..start + FRAME_BYTES].copy_from_slice(&line_bytes.to_le_bytes());
            }
            // No head has 4 GiB.
            _ => out.truncate(start),
        }
    }

    fn hand_over(&mut self, full: Full) {
        match self.next_buffer() {
            Some(next) => self.send(next),
            // The writer has all other buffers. What waits may wait on until this one is full.
            None if full == Full::Yes => self.drop_lines(),
            None => {}
        }
    }

    /// Gives the buffer to the writer, and takes another one.
    fn send(&mut self, next: Vec<u8>) {
        let message = Message::Lines(Lines {
            bytes: std::mem::replace(&mut self.buffer, next),
            back: self.back.clone(),
        });
        match self.messages.try_send(message) {
            Ok(()) => self.lines = 0,
            // The inbox has room for all buffers, so that this is a writer that has ended, or more
            // workers than it was told.
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => {
                if let Message::Lines(lines) = message {
                    self.buffer = lines.bytes;
                    self.made -= 1;
                }
                self.drop_lines();
            }
        }
    }

    fn next_buffer(&mut self) -> Option<Vec<u8>> {
        if let Ok(buffer) = self.empties.try_recv() {
            return Some(if buffer.capacity() > KEPT_BYTES {
                empty()
            } else {
                buffer
            });
        }
        if self.made == BUFFERS {
            return None;
        }
        self.made += 1;
        Some(empty())
    }

    fn drop_lines(&mut self) {
        self.dropped.fetch_add(self.lines, Ordering::Relaxed);
        self.lines = 0;
        self.buffer.clear();
    }
}

impl Drop for WorkerLog {
    fn drop(&mut self) {
        if self.lines > 0 {
            self.send(Vec::new());
        }
    }
}

impl fmt::Debug for WorkerLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerLog")
            .field("format", &self.format)
            .field("lines", &self.lines)
            .finish_non_exhaustive()
    }
}

/// Whether a buffer has to be handed over or may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    Yes,
    No,
}

fn empty() -> Vec<u8> {
    Vec::with_capacity(BUFFER_BYTES + SLACK_BYTES)
}
