//! What to do about what was lost.
//!
//! Advice is for programs, not for connections: one for each process and cause. The pattern of the
//! writes comes first, because NODELAY alone turns held messages into many small packets.

use std::collections::BTreeMap;

use crate::ends::Ends;
use crate::report::{Advice, Cause, Language, Limit, SocketReport, Stall};
use figures::{counted, time};
use side::Side;

mod figures;
mod line;
mod side;

/// Advice that is given. Whoever watches a whole machine reads no more.
const ADVICE_MAX: usize = 100;

/// Least time lost that is worth a change.
const LOST_MS_MIN: f64 = 1.0;

/// Which part of the greatest loss a loss has to be: beside that one, less is not worth a line.
const PART_MIN: f64 = 0.02;

/// Least time that pipelining has to save, and which part of the time watched it has to be: a program
/// that asks a question now and then has nothing to send ahead.
const SAVED_MS_MIN: f64 = 10.0;
const SAVED_SHARE_MIN: f64 = 0.05;

/// Segments beyond the least, and which part of all of them.
const WASTED_MIN: u64 = 16;
const WASTED_SHARE_MIN: f64 = 0.1;

/// Where windows and queues take so many times as long as the holds, they are the limit, and an option
/// against the holds is no help to the program.
const OTHER_LIMITS_TIMES: f64 = 10.0;

/// What to do about the sockets, the most worthwhile first. A command that was started for the trace is
/// repaired at its next start.
#[must_use]
pub fn advise(sockets: &[SocketReport], command: Option<&[String]>) -> Vec<Advice> {
    let command = command.map(|words| {
        let words = words.iter().map(|word| uncork_sockets::shell_word(word));
        words.collect::<Vec<_>>().join(" ")
    });
    let command = command.as_deref();
    let ends = Ends::of(sockets);
    let mut cases: BTreeMap<(u32, Cause), Case<'_>> = BTreeMap::new();
    for socket in sockets {
        for stall in &socket.stalls {
            let case = cases.entry((socket.pid, stall.cause)).or_default();
            case.add(socket, stall);
            case.is_own |= !ends.is_of_peer(socket, stall);
        }
    }
    let mut cases: Vec<_> = cases.into_iter().collect();
    cases.retain(|((_, cause), case)| case.is_worthwhile(*cause));
    let most_ms = cases
        .iter()
        .map(|(_, case)| case.held_ms)
        .fold(0.0, f64::max);
    cases.retain(|((_, cause), case)| !cause.is_time() || case.held_ms >= most_ms * PART_MIN);
    cases.sort_by(|(_, a), (_, b)| {
        let by_time = b.held_ms.total_cmp(&a.held_ms);
        by_time.then(b.segments_wasted.cmp(&a.segments_wasted))
    });
    cases.truncate(ADVICE_MAX);
    cases
        .into_iter()
        .map(|((pid, cause), case)| case.advice(pid, cause, command))
        .collect()
}

/// Who has ended can't be repaired as it runs, and its number may be another's soon.
pub(crate) fn repair_at_next_start(advice: &mut [Advice], is_running: impl Fn(u32) -> bool) {
    for one in advice {
        let is_while_running = one.repair.as_deref() == Some(&*fix(one.pid));
        if is_while_running && !is_running(one.pid) {
            one.repair = Some(run("COMMAND"));
        }
    }
}

fn fix(pid: u32) -> String {
    format!("uncork fix -p {pid}")
}

fn run(command: &str) -> String {
    format!("uncork run -- {command}")
}

/// All that one process lost by one cause.
#[derive(Default)]
struct Case<'a> {
    sockets: Vec<&'a SocketReport>,
    /// The stalls that took the most, and where.
    worst: Option<(&'a SocketReport, &'a Stall)>,
    count: u64,
    held_ms: f64,
    segments_wasted: u64,
    /// Of the sockets that wasted any, all that were seen in detail.
    segments_seen: f64,
    /// Whether any of it is told here, and not at the other ends of the connections: where those are
    /// watched too, and are the ones that hold, the change belongs there.
    is_own: bool,
}

impl<'a> Case<'a> {
    fn add(&mut self, socket: &'a SocketReport, stall: &'a Stall) {
        // Stalls of one socket with other patterns come one after the other.
        if !self
            .sockets
            .last()
            .is_some_and(|last| std::ptr::eq(*last, socket))
        {
            self.sockets.push(socket);
            self.segments_seen += segments_seen(stall);
        }
        let weight = |stall: &Stall| (stall.held_ms_total, stall.segments_wasted);
        if self
            .worst
            .is_none_or(|(_, worst)| weight(stall) > weight(worst))
        {
            self.worst = Some((socket, stall));
        }
        self.count = self.count.saturating_add(stall.count);
        self.held_ms += stall.held_ms_total;
        self.segments_wasted = self.segments_wasted.saturating_add(stall.segments_wasted);
    }

    fn is_worthwhile(&self, cause: Cause) -> bool {
        match cause {
            Cause::Nagle => self.is_lost() && !self.has_another_limit(),
            Cause::Cork => self.is_lost(),
            Cause::LocalDelayedAck => self.is_lost() && self.is_own,
            Cause::StopAndWait => {
                let part = self.held_ms / 1000.0 / self.seconds_seen();
                let saved_ms = part * self.seconds() * 1000.0;
                saved_ms >= SAVED_MS_MIN && part >= SAVED_SHARE_MIN
            }
            Cause::PacketWaste => {
                self.segments_wasted >= WASTED_MIN
                    && figure(self.segments_wasted) >= WASTED_SHARE_MIN * self.segments_seen
            }
        }
    }

    fn is_lost(&self) -> bool {
        self.held_ms >= LOST_MS_MIN
    }

    /// Whether windows and queues, not the holds, decide how fast the data goes.
    fn has_another_limit(&self) -> bool {
        let limits = [
            Limit::Device,
            Limit::CongestionWindow,
            Limit::ReceiveWindow,
            Limit::SendBuffer,
        ];
        let parts = self.sockets.iter().flat_map(|one| one.shares.parts());
        let others = parts.filter(|(limit, _)| limits.contains(limit));
        others.map(|(_, ms)| ms).sum::<f64>() > OTHER_LIMITS_TIMES * self.held_ms
    }

    /// For how long the sockets were watched, all together.
    fn seconds(&self) -> f64 {
        self.sockets.iter().map(|one| one.seconds).sum()
    }

    /// For how long of it they were seen in detail.
    fn seconds_seen(&self) -> f64 {
        let unseen_ms: f64 = self.sockets.iter().map(|one| one.shares.unseen_ms).sum();
        self.seconds() - unseen_ms / 1000.0
    }

    fn language(&self) -> Option<Language> {
        self.sockets.iter().find_map(|one| one.language)
    }

    /// Whether NODELAY is on by now at all of them.
    fn has_nodelay(&self) -> bool {
        self.sockets.iter().all(|one| one.nodelay)
    }

    fn advice(&self, pid: u32, cause: Cause, started: Option<&str>) -> Advice {
        let command = self.sockets.first().map(|one| one.command.clone());
        let side = self
            .worst
            .map_or(Side::Unknown, |(socket, _)| Side::of(socket));
        let language = self.language();
        // The option is there: neither a line nor a command would change anything.
        let is_set = cause == Cause::Nagle && self.has_nodelay();
        let line = language.filter(|_| !is_set);
        let line = line.and_then(|language| line::line(language, cause, side));
        let repair = match (cause, started) {
            (Cause::Nagle, _) if is_set => None,
            (Cause::Nagle, Some(started)) => Some(run(started)),
            (Cause::Nagle, None) => Some(fix(pid)),
            (Cause::LocalDelayedAck, _) => {
                let started = started.unwrap_or("COMMAND");
                Some(format!("uncork run --quickack -- {started}"))
            }
            _ => None,
        };
        Advice {
            pid,
            command: command.unwrap_or_default(),
            cause,
            change: self.change(cause, language),
            line: line.map(str::to_owned),
            repair,
        }
    }

    fn change(&self, cause: Cause, language: Option<Language>) -> String {
        match cause {
            Cause::Nagle => self.against_nagle(language),
            Cause::Cork => self.against_cork(),
            Cause::LocalDelayedAck => self.against_delayed_acks(),
            Cause::PacketWaste => self.against_waste(),
            Cause::StopAndWait => self.against_waiting(),
        }
    }

    /// `100 times, 4.31 s in all`.
    fn sum(&self) -> String {
        let times = match self.count {
            1 => "once".to_owned(),
            count => counted(count, "time"),
        };
        format!("{times}, {} in all", time(self.held_ms))
    }

    fn median_ms(&self) -> f64 {
        self.worst.map_or(0.0, |(_, stall)| stall.held_ms_p50)
    }

    fn against_nagle(&self, language: Option<Language>) -> String {
        let sum = self.sum();
        if self.has_nodelay() {
            return format!(
                "TCP_NODELAY is on by now, and came too late: before that, small writes were held \
                 ({sum}). Set it before the first write, and hand each message to the kernel in one \
                 write."
            );
        }
        let reset = match language {
            Some(Language::Go) => " again (Go sets it by itself; something has turned it off)",
            _ => "",
        };
        format!(
            "Hand each message to the kernel in one write (a buffer that is flushed once a message, \
             or writev): its last piece was held until the peer had acknowledged the piece before \
             it ({sum}). Or set TCP_NODELAY{reset}: then no piece waits."
        )
    }

    fn against_cork(&self) -> String {
        format!(
            "Take the cork off after the last write of each message, and leave MSG_MORE away in its \
             last call: the end of a message was held though nothing more came ({}). From outside \
             nothing can be set against this: whatever takes the cork off, the program puts it on \
             again.",
            self.sum()
        )
    }

    fn against_delayed_acks(&self) -> String {
        format!(
            "Best changed at the other end, which held its data until this machine acknowledged \
             what it had sent before ({}): there, one write a message, or TCP_NODELAY. If it can't \
             be changed, set TCP_QUICKACK here before each read, so that this machine does not \
             delay its ACKs by {}; the kernel takes the option back, so once is not enough.",
            self.sum(),
            time(self.median_ms())
        )
    }

    fn against_waste(&self) -> String {
        let nodelay = match self.has_nodelay() {
            true => " TCP_NODELAY can stay on.",
            false => "",
        };
        format!(
            "Collect the pieces of a message and hand them to the kernel together (a buffer that is \
             flushed once a message, writev, or a cork that comes off at its end): {} left in {} \
             more than their bytes need.{nodelay}",
            counted(self.count, "message"),
            counted(self.segments_wasted, "packet"),
        )
    }

    fn against_waiting(&self) -> String {
        format!(
            "Send the next message before the answer to this one has come (pipelining), if the \
             protocol allows that, or use several connections: {} of {} went by one after the \
             other, and up to {} of {} could be saved. No socket option helps against this.",
            counted(self.count, "round trip"),
            time(self.median_ms()),
            time(self.held_ms),
            time(self.seconds() * 1000.0),
        )
    }
}

/// All packets of the socket that were seen in detail, of which a stall tells its part.
fn segments_seen(stall: &Stall) -> f64 {
    if stall.share > 0.0 {
        figure(stall.segments_wasted) / stall.share
    } else {
        0.0
    }
}

#[expect(clippy::cast_precision_loss, reason = "a part of it is asked for")]
fn figure(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
