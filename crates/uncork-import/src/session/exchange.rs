//! Commands whose answers are looked at one by one, and what a connection has cost.

use tokio::time::Instant;

use super::Session;
use crate::ImportError;
use crate::response::{Response, Status, StatusKind};

impl Session {
    /// Sends one command line and waits for its end; `each` sees what comes in between as it
    /// comes. A server that goes on telling has all the time it needs.
    pub(crate) async fn exchange(
        &mut self,
        line: &str,
        mut each: impl FnMut(Response),
    ) -> Result<Status, ImportError> {
        let mut pending = self.begin(line).await?;
        loop {
            match self
                .response(pending.deadline, pending.said.clone())
                .await?
            {
                Response::Tagged(answered, status) if answered == pending.tag => {
                    return Ok(status);
                }
                Response::Untagged(status) if status.kind == StatusKind::Bye => {
                    pending.said = Some(status.reason());
                }
                Response::Continue(_) => {}
                response => {
                    if matches!(response, Response::Data(_)) {
                        pending.deadline = Instant::now() + self.answer_timeout;
                    }
                    each(response);
                }
            }
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
