//! The state machine of a whole trace: events in, a report out. Pure, and bounded.

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::conversation::{Conversation, Detail};
use crate::ends::Ends;
use crate::engine::Losses;
use crate::event::{Event, Kind, SocketId};
use crate::process::{Process, Processes};
use crate::report::{Engine, Report, SocketReport, Stall};

/// Sockets of which everything is known at the same time.
const SOCKETS: usize = 4096;

/// Sockets that a report tells one by one; the others are in its sums.
const SOCKETS_TOLD: usize = 1000;

/// All sockets of a trace.
#[derive(Debug)]
pub struct Machine {
    engine: Engine,
    /// When the trace began, in nanoseconds of `CLOCK_MONOTONIC`.
    started_ns: u64,
    /// The words of the command that is watched, where uncork has started it.
    command: Option<Vec<String>>,
    conversations: HashMap<SocketId, Conversation>,
    /// Sockets that were closed without a loss, and dropped to make room.
    clean: u64,
    /// Sockets with losses that were dropped to make room, and for which there was none.
    dropped: u64,
    dropped_lost_ns: u64,
    events: u64,
    skipped: u64,
}

impl Machine {
    /// A trace that begins now.
    #[must_use]
    pub fn new(engine: Engine, started_ns: u64) -> Self {
        Self {
            engine,
            started_ns,
            command: None,
            conversations: HashMap::new(),
            clean: 0,
            dropped: 0,
            dropped_lost_ns: 0,
            events: 0,
            skipped: 0,
        }
    }

    /// What is watched is a command that was started for the trace: it is repaired at its next start, as
    /// it has ended by then.
    pub fn set_command(&mut self, command: Vec<String>) {
        self.command = Some(command);
    }

    /// What was told by [`Machine::set_command`].
    #[must_use]
    pub fn command(&self) -> Option<&[String]> {
        self.command.as_deref()
    }

    /// Something has happened.
    pub fn take(&mut self, event: &Event) {
        self.events += 1;
        self.skipped += u64::from(event.skipped);
        if let Some(conversation) = self.conversations.get_mut(&event.socket) {
            conversation.take(event, self.started_ns);
            return;
        }
        // An event of a socket whose introduction was lost, or for which there was no room.
        let Kind::Open(identity) = &event.kind else {
            return;
        };
        if self.conversations.len() >= SOCKETS {
            self.make_room();
        }
        if self.conversations.len() >= SOCKETS {
            self.dropped += 1;
            return;
        }
        let conversation = Conversation::begin(event.at_ns, (**identity).clone(), &event.facts);
        self.conversations.insert(event.socket, conversation);
    }

    /// Drops closed sockets: those without losses, or the half that lost the least.
    fn make_room(&mut self) {
        let before = self.conversations.len();
        self.conversations
            .retain(|_, conversation| !conversation.is_closed || conversation.has_stalls());
        let dropped = before - self.conversations.len();
        self.clean += dropped as u64;
        if dropped > 0 {
            return;
        }
        let mut closed: Vec<(u64, SocketId)> = self
            .conversations
            .iter()
            .filter(|(_, conversation)| conversation.is_closed)
            .map(|(id, conversation)| (conversation.lost_ns(), *id))
            .collect();
        if closed.is_empty() {
            return self.drop_silent();
        }
        closed.sort_unstable_by_key(|(lost_ns, _)| *lost_ns);
        for (lost_ns, id) in &closed[..closed.len().div_ceil(2)] {
            self.conversations.remove(id);
            self.dropped += 1;
            self.dropped_lost_ns = self.dropped_lost_ns.saturating_add(*lost_ns);
        }
    }

    /// Drops the half that has been silent for longest, those without losses first: their ends may have been
    /// lost.
    fn drop_silent(&mut self) {
        let mut silent: Vec<(bool, u64, SocketId)> = self
            .conversations
            .iter()
            .map(|(id, one)| (one.has_stalls(), one.last_ns(), *id))
            .collect();
        silent.sort_unstable_by_key(|(has_stalls, last_ns, _)| (*has_stalls, *last_ns));
        for (_, _, id) in &silent[..silent.len() / 2] {
            if let Some(conversation) = self.conversations.remove(id) {
                self.dropped += 1;
                self.dropped_lost_ns = self.dropped_lost_ns.saturating_add(conversation.lost_ns());
            }
        }
    }

    pub(crate) fn engine(&self) -> Engine {
        self.engine
    }

    pub(crate) fn started_ns(&self) -> u64 {
        self.started_ns
    }

    pub(crate) fn pid_of(&self, socket: SocketId) -> Option<u32> {
        self.conversations
            .get(&socket)
            .map(|conversation| conversation.identity.pid)
    }

    /// What was found until now.
    #[must_use]
    pub fn report(
        &self,
        at_ns: u64,
        detail: Detail,
        processes: &Processes,
        losses: Losses,
    ) -> Report {
        let frames = |pid: u32, stack: &[u64]| processes.stacks.frames(pid, stack);
        let mut sockets: Vec<SocketReport> = self
            .conversations
            .values()
            .map(|conversation| {
                let mut socket = conversation.report(at_ns, detail, &frames);
                let Process {
                    command_line,
                    language,
                    container,
                    ..
                } = processes.of(socket.pid);
                socket.command_line = command_line;
                socket.language = language;
                socket.container = container;
                socket
            })
            .collect();
        sockets.sort_by(|a, b| {
            let lost = b.held_ms().total_cmp(&a.held_ms());
            lost.then(b.bytes_sent.cmp(&a.bytes_sent))
                .then(a.local.cmp(&b.local))
        });
        let dropped_ms = crate::tally::millis(self.dropped_lost_ns);
        let (held_ms_total, held_ms_error) = held(&sockets);
        let advice = crate::advice::advise(&sockets, self.command());
        let mut notes = self.notes(losses);
        if sockets.len() > SOCKETS_TOLD {
            let more = sockets.len() - SOCKETS_TOLD;
            notes.push(format!(
                "{more} sockets more, that lost less, are in the sums only"
            ));
            sockets.truncate(SOCKETS_TOLD);
        }
        Report {
            engine: self.engine,
            seconds: crate::tally::millis(at_ns.saturating_sub(self.started_ns)) / 1000.0,
            sockets,
            held_ms_total: held_ms_total + dropped_ms,
            held_ms_error,
            advice,
            notes,
            events: self.events,
            events_skipped: self.skipped,
            events_lost: losses.events,
        }
    }

    fn notes(&self, losses: Losses) -> Vec<String> {
        let mut notes = Vec::new();
        if losses.events > 0 {
            let lost = losses.events;
            notes.push(format!(
                "{lost} events were lost, as they came faster than they could be read: there may be \
                 more stalls than are told"
            ));
        }
        if losses.sockets > 0 {
            let sockets = losses.sockets;
            notes.push(format!(
                "{sockets} calls were on sockets for which the kernel had no room"
            ));
        }
        if self.clean > 0 {
            let clean = self.clean;
            notes.push(format!(
                "{clean} closed sockets without a loss are not told one by one"
            ));
        }
        if self.dropped > 0 {
            let dropped = self.dropped;
            notes.push(format!(
                "there was no room for {dropped} sockets more than {SOCKETS}"
            ));
        }
        if self.engine == Engine::Sample {
            notes.push(
                "sampled: holds shorter than two samples, packet_waste, stop_and_wait and \
                 local_delayed_ack are not seen; the ebpf engine (root) sees them"
                    .to_owned(),
            );
        }
        notes
    }
}

/// Time lost in all sockets and its error.
fn held(sockets: &[SocketReport]) -> (f64, f64) {
    let ends = Ends::of(sockets);
    let mut total = 0.0;
    let mut variance: f64 = 0.0;
    for socket in sockets {
        let is_counted = |stall: &&Stall| stall.cause.is_time() && !ends.is_of_peer(socket, stall);
        for stall in socket.stalls.iter().filter(is_counted) {
            total += stall.held_ms_total;
            variance += stall.held_ms_error * stall.held_ms_error;
        }
    }
    (total, variance.sqrt())
}
