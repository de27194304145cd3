//! Commands whose answers are looked at one by one, and what a connection has cost.

use tokio::time::{Instant, timeout};

use super::{Session, Turn};
use crate::ImportError;
use crate::imap::response::{Response, Status, StatusKind};

impl Session {
    /// Sends one command line and waits for its end; `each` sees what comes in between as it
    /// comes. A server that goes on telling has all the time it needs.
    pub(crate) async fn exchange(
        &mut self,
        line: &str,
        mut each: impl FnMut(Response),
    ) -> Result<Status, ImportError> {
        let answer_timeout = self.answer_timeout;
        let mut pending = self.begin(line).await?;
        loop {
            let turn = self.turn(&mut pending, |pending, response| {
                if matches!(response, Response::Data(_)) {
                    pending.deadline = Instant::now() + answer_timeout;
                }
                each(response);
            });
            if let Turn::Done(status) = turn.await? {
                return Ok(status);
            }
        }
    }

    /// An [`exchange`](Self::exchange) of a few lines: a server that says one now and then gets
    /// no longer for all of them.
    pub(crate) async fn command(
        &mut self,
        line: &str,
        each: impl FnMut(Response),
    ) -> Result<Status, ImportError> {
        match timeout(self.answer_timeout, self.exchange(line, each)).await {
            Ok(ended) => ended,
            Err(_) => Err(self.silent()),
        }
    }

    /// Has folder names spelled in UTF-8 from here on, where the server can (RFC 6855).
    pub(crate) async fn enable_utf8(&mut self) -> Result<(), ImportError> {
        let offers = |word| self.capabilities.has(word);
        if offers("UTF8=ACCEPT") || offers("UTF8=ONLY") {
            let status = self.exchange("ENABLE UTF8=ACCEPT", |_| {}).await?;
            self.has_utf8 = status.kind == StatusKind::Ok;
        }
        Ok(())
    }

    /// System calls and data segments since the last time that this was asked; the segments
    /// where the system tells.
    pub(crate) fn take_counts(&mut self) -> (u64, Option<u64>) {
        let calls = self.writer.system_calls();
        let segments = self.segments_sent();
        let new_calls = calls - std::mem::replace(&mut self.counted.0, calls);
        let before = std::mem::replace(&mut self.counted.1, segments);
        let new_segments = segments.map(|now| now.saturating_sub(before.unwrap_or(0)));
        (new_calls, new_segments)
    }
}
