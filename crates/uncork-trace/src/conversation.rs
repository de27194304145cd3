//! One socket while it is watched: events in, stalls out. Pure.

use std::collections::BTreeMap;

use crate::event::{Event, Facts, Identity, Kind, is_after};
use crate::hold::{DELAYED_ACK_NS, Ended, HeldBy, Hold, Loss, held_by};
use crate::message::{Message, first_transmissions};
use crate::report::{Cause, EndedBy, Limit, Mark, MarkKind, SocketReport, Stall};
use crate::shares::{Interval, Ledger};
use crate::tally::{PATTERN_WRITES, PatternKey, Tally, millis, share};

/// Patterns of one socket that are told apart; others go to one of them.
const PATTERNS: usize = 16;

/// Marks of a timeline.
const MARKS: usize = 500;

/// Holds whose lengths are kept for the live view and the histogram.
const HOLDS: usize = 256;

/// Threads that are named.
const THREADS: usize = 4;

/// After a longer gap between two samples, when the last segment departed tells more than the gap does.
const SHORT_GAP_NS: u64 = 20_000_000;

/// Data that comes later than a round trip and this after our delayed ACK wasn't held by it.
const AFTER_ACK_NS: u64 = 1_000_000;

/// Less is no loss worth a word: a hold for the time of a loopback's ACK.
const WORTH_NS: u128 = 1_000_000;

/// A program that is taken off the processor between its last write and the uncork comes back some
/// milliseconds late. One that takes its corks off late does so more often than in one of so many segments.
const LATE_ONE_OF: u64 = 20;

/// From how many round trips on one message each is a pattern.
const CYCLES: u64 = 20;

/// From how many messages on segments beyond the least are a pattern, and how many of all segments they
/// must be (one of so many): large files take a few more than the least, too.
const WASTED: u64 = 10;
const WASTED_ONE_OF: u64 = 5;

/// One socket.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) identity: Identity,
    /// What the counters were when it was first seen.
    first: Facts,
    first_ns: u64,
    last: Facts,
    last_ns: u64,
    pub(crate) is_closed: bool,
    /// What follows the last byte, once the program has shut it down.
    fin_seq: Option<u32>,
    threads: Vec<u32>,
    hold: Option<Hold>,
    message: Option<Message>,
    /// First transmissions when nothing was left to send; `None` after a gap.
    settled: Option<u32>,
    data: Option<Data>,
    ledger: Ledger,
    tallies: BTreeMap<PatternKey, Tally>,
    /// The stall that the next call tells more of.
    latest: Option<PatternKey>,
    marks: Vec<Mark>,
    holds_ms: Vec<f64>,
    /// Of the messages that were seen whole: the least that they need, and what was sent beyond.
    segments_least: u64,
    segments_wasted: u64,
    /// Time of the cycles in [`Cause::StopAndWait`], the program's own left out.
    waited_ns: u64,
}

/// How much of it a report has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// All.
    Whole,
    /// Without timelines: for what is shown some times a second.
    Brief,
}

/// The last data that came in.
#[derive(Debug, Clone, Copy)]
struct Data {
    at_ns: u64,
    /// Segments that we had sent before, and those with data among them.
    segs_out: u32,
    data_segs_out: u32,
}

impl Conversation {
    pub(crate) fn begin(at_ns: u64, identity: Identity, facts: &Facts) -> Self {
        Self {
            identity,
            first: *facts,
            first_ns: at_ns,
            last: *facts,
            last_ns: at_ns,
            is_closed: false,
            fin_seq: None,
            threads: Vec::new(),
            hold: None,
            message: None,
            settled: None,
            data: None,
            ledger: Ledger::new(facts),
            tallies: BTreeMap::new(),
            latest: None,
            marks: Vec::new(),
            holds_ms: Vec::new(),
            segments_least: 0,
            segments_wasted: 0,
            waited_ns: 0,
        }
    }

    /// Something has happened. `started_ns` is when the trace began, for the timeline.
    pub(crate) fn take(&mut self, event: &Event, started_ns: u64) {
        if event.skipped > 0 {
            self.forget_the_message();
            self.follow_hold_over_gap(event);
        }
        let was_held = self.hold.is_some();
        let free_ns = self.follow_hold(event, started_ns);
        let since_ns = self.begin_hold(event, free_ns);
        // What lies between the end of one hold and the beginning of another.
        let until_ns = since_ns.unwrap_or(event.at_ns);
        self.ledger.pass(Interval {
            ns: free_ns.map_or(0, |free_ns| until_ns.saturating_sub(free_ns)),
            is_free: since_ns.is_some(),
            before: &self.last,
            event,
        });
        match &event.kind {
            Kind::Write { result, thread, .. } => self.write(event, *result, *thread, was_held),
            Kind::Read { result, .. } => self.read(*result),
            Kind::Segment { bytes, .. } => self.segment(event, *bytes),
            Kind::Close => self.is_closed = true,
            Kind::Shut => self.fin_seq = Some(event.facts.write_seq),
            Kind::Open(_) | Kind::Sample { .. } => {}
        }
        self.mark(event, started_ns);
        if event.facts.unsent_bytes() == 0 {
            self.settled = Some(first_transmissions(&event.facts));
        }
        self.last = event.facts;
        self.last_ns = event.at_ns.max(self.last_ns);
    }

    /// Events are missing: nothing that spans the gap is known.
    fn forget_the_message(&mut self) {
        self.message = None;
        self.data = None;
        self.settled = None;
        self.latest = None;
    }

    /// Goes on with a hold, or ends it. Tells since when nothing is held, in the interval that this
    /// event ends; `None` where the hold goes on.
    fn follow_hold(&mut self, event: &Event, started_ns: u64) -> Option<u64> {
        let Some(hold) = &mut self.hold else {
            return Some(self.last_ns);
        };
        if hold.goes_on(&event.facts) {
            hold.see(event.at_ns, &event.kind, &event.facts);
            return None;
        }
        let ended = if event.skipped > 0 && hold.is_end_missed(&event.facts) {
            Ended::unseen(event.at_ns)
        } else {
            hold.end(event.at_ns, self.last_ns, &event.kind, &event.facts)
        };
        if let Some(hold) = self.hold.take() {
            self.count_hold(&hold, ended, started_ns);
        }
        Some(ended.at_ns)
    }

    fn count_hold(&mut self, hold: &Hold, ended: Ended, started_ns: u64) {
        charge(&mut self.ledger, hold, ended);
        if let Some(message) = &mut self.message {
            message.was_held = true;
            message.done_ns = message.done_ns.max(ended.at_ns);
        }
        if let Some(loss) = ended.loss {
            self.count_loss(hold, loss, ended, started_ns);
        }
    }

    fn count_loss(&mut self, hold: &Hold, loss: Loss, ended: Ended, started_ns: u64) {
        let (writes, sizes) = match &self.message {
            Some(message) => (message.writes as usize, message.sizes.clone()),
            None => (0, Vec::new()),
        };
        let writes = writes.min(PATTERN_WRITES + 1);
        let key = PatternKey {
            cause: loss.cause,
            writes,
        };
        let tally = tally_of(&mut self.tallies, key);
        tally.add(loss.ns, ended.error_ns, Some(loss.ended_by));
        tally.add_held(hold.bytes);
        if sizes.is_empty() {
            tally.hold_behind(hold.bytes, hold.bytes_before);
        } else {
            tally.add_sizes(&sizes);
        }
        if tally.stack.is_empty() {
            tally.stack.clone_from(&hold.stack);
        }
        self.latest = Some(key);
        let held_ms = millis(loss.ns);
        if self.holds_ms.len() == HOLDS {
            self.holds_ms.remove(0);
        }
        self.holds_ms.push(held_ms);
        let kind = MarkKind::Hold {
            cause: loss.cause,
            held_ms,
            bytes: hold.bytes,
        };
        self.push_mark(hold.since_ns, started_ns, kind);
    }

    /// Begins a hold where this event sees one and none goes on, and tells since when it is.
    fn begin_hold(&mut self, event: &Event, free_ns: Option<u64>) -> Option<u64> {
        let free_ns = free_ns?;
        let by = held_by(&event.facts)?;
        let (since_ns, error_ns, stack) = match &event.kind {
            Kind::Write { stack, .. } => (event.at_ns, 0, stack.as_slice()),
            Kind::Sample { previous_ns } if *previous_ns > 0 => {
                let (since_ns, error_ns) = sampled_since(*previous_ns, event, by);
                (since_ns, error_ns, [].as_slice())
            }
            Kind::Open(_) | Kind::Sample { .. } => (event.at_ns, 0, [].as_slice()),
            Kind::Shut | Kind::Close => return None,
            // It began with what the kernel handled last; this event may free it already.
            Kind::Read { .. } | Kind::Segment { .. } => {
                let handled_ns = event.facts.handled_ns.unwrap_or(0).min(event.at_ns);
                (handled_ns, 0, [].as_slice())
            }
        };
        let since_ns = since_ns.max(free_ns);
        let mut hold = Hold::begin(by, since_ns, error_ns, &event.facts);
        hold.stack = stack.to_vec();
        if let Kind::Segment { .. } = event.kind {
            hold.see(event.at_ns, &event.kind, &event.facts);
        }
        self.hold = Some(hold);
        Some(since_ns)
    }

    /// A gap before this event. A cork may have come off in it and gone on again, so that only a hold by
    /// the same write is the same hold; and the gap may hide the write that began one.
    fn follow_hold_over_gap(&mut self, event: &Event) {
        let facts = &event.facts;
        if let Some(hold) = &self.hold {
            if hold.by == HeldBy::Nagle || hold.is_since_write(facts.left_ns) {
                return;
            }
            self.ledger
                .add(Limit::Unseen, self.last_ns.saturating_sub(hold.since_ns));
            self.hold = None;
        }
        if facts.left_ns <= self.last_ns || facts.left_ns >= event.at_ns {
            return;
        }
        let hold = Hold::begin(HeldBy::Cork, facts.left_ns, 0, facts);
        // What has departed since may have waited for a window; but nothing else takes this long.
        let hold = match facts.departed_ns {
            _ if held_by(facts) == Some(HeldBy::Cork) => hold,
            Some(departed_ns) if hold.reaches_ceiling(departed_ns) => hold.departed(facts),
            _ => return,
        };
        self.ledger.add(Limit::Unseen, facts.left_ns - self.last_ns);
        self.last_ns = facts.left_ns;
        self.hold = Some(hold);
    }

    fn write(&mut self, event: &Event, result: i32, thread: u32, was_held: bool) {
        if self.threads.len() < THREADS && !self.threads.contains(&thread) {
            self.threads.push(thread);
        }
        let Some(bytes) = u32::try_from(result).ok().filter(|bytes| *bytes > 0) else {
            return;
        };
        if event.facts.writes == 1 {
            self.count_from_before(&event.facts, bytes);
        }
        // What the peer did until now says whose turn it was.
        self.latest = None;
        self.data = None;
        if let Some(message) = &mut self.message {
            // What waits for an ACK belongs to what that ACK is for, however long ago it was written.
            let is_held = was_held || self.hold.is_some();
            if message.takes(event.at_ns, is_held) {
                message.write(event.at_ns, bytes);
                return;
            }
        }
        if let Some(message) = self.message.take() {
            self.finish(&message, event);
        }
        self.message = Some(Message::begin(event.at_ns, bytes, self.settled));
    }

    /// A socket is first seen as a call returns. What that call has sent already counts as well.
    fn count_from_before(&mut self, facts: &Facts, bytes: u32) {
        let before_seq = facts.write_seq.wrapping_sub(bytes);
        if !is_after(self.first.snd_nxt, before_seq) {
            return;
        }
        let sent_bytes = self.first.snd_nxt.wrapping_sub(before_seq);
        self.first.snd_nxt = before_seq;
        let is_new = self.identity.connects.is_some();
        let segments = match is_new {
            true => self.first.data_segs_out,
            false => sent_bytes.div_ceil(self.first.mss.max(1)),
        };
        self.first.data_segs_out = self.first.data_segs_out.saturating_sub(segments);
    }

    /// A message has ended, as another begins.
    fn finish(&mut self, message: &Message, event: &Event) {
        self.count_waste(message);
        let Some(cycle) = message.cycle(event.at_ns, event.facts.min_rtt_us) else {
            return;
        };
        if !self.is_client() {
            return;
        }
        self.waited_ns = self.waited_ns.saturating_add(cycle.waited_ns);
        let key = PatternKey {
            cause: Cause::StopAndWait,
            writes: 1,
        };
        let tally = tally_of(&mut self.tallies, key);
        tally.add(cycle.round_trip_ns, 0, None);
        tally.add_sizes(&message.sizes);
    }

    fn count_waste(&mut self, message: &Message) {
        let Some(settled) = self.settled else {
            return;
        };
        let Some(segments) = message.segments(settled, self.last.mss) else {
            return;
        };
        self.segments_least += u64::from(segments.least);
        self.segments_wasted += u64::from(segments.sent.saturating_sub(segments.least));
        if message.was_held || message.writes < 2 || segments.sent <= segments.least {
            return;
        }
        let key = PatternKey {
            cause: Cause::PacketWaste,
            writes: (message.writes as usize).min(PATTERN_WRITES + 1),
        };
        let tally = tally_of(&mut self.tallies, key);
        tally.add(0, 0, None);
        tally.add_sizes(&message.sizes);
        tally.segments_wasted += u64::from(segments.sent - segments.least);
    }

    /// Only who asks can ask for more at once. Where the connect wasn't seen, the port tells: clients
    /// have one that the kernel gave them.
    fn is_client(&self) -> bool {
        let by_port = self.identity.local.port() > self.identity.remote.port();
        self.identity.connects.unwrap_or(by_port)
    }

    fn read(&mut self, result: i32) {
        if result < 0 {
            return;
        }
        if let Some(key) = self.latest.take()
            && let Some(tally) = self.tallies.get_mut(&key)
        {
            tally.then_reads += 1;
        }
    }

    fn segment(&mut self, event: &Event, bytes: u32) {
        if let Some(message) = &mut self.message {
            message.answer(event.at_ns, &event.kind);
        }
        if bytes == 0 {
            return;
        }
        if let Some(held_ns) = self.data.and_then(|data| held_by_our_ack(data, event)) {
            let key = PatternKey {
                cause: Cause::LocalDelayedAck,
                writes: 0,
            };
            tally_of(&mut self.tallies, key).add(held_ns, 0, Some(EndedBy::DelayedAck));
        }
        self.data = Some(Data {
            at_ns: event.at_ns,
            segs_out: event.facts.segs_out,
            data_segs_out: event.facts.data_segs_out,
        });
    }

    fn mark(&mut self, event: &Event, started_ns: u64) {
        let kind = match event.kind {
            Kind::Write { result, .. } if result > 0 => MarkKind::Write(result.cast_unsigned()),
            Kind::Read { result, .. } if result > 0 => MarkKind::Read(result.cast_unsigned()),
            Kind::Segment { bytes: 0, .. } => MarkKind::Ack,
            Kind::Segment { bytes, .. } => MarkKind::Data(bytes),
            _ => return,
        };
        self.push_mark(event.at_ns, started_ns, kind);
    }

    fn push_mark(&mut self, at_ns: u64, started_ns: u64, kind: MarkKind) {
        if self.marks.len() < MARKS {
            let at_ms = millis(at_ns.saturating_sub(started_ns));
            self.marks.push(Mark { at_ms, kind });
        }
    }

    /// Whether anything was found that a report would tell.
    pub(crate) fn has_stalls(&self) -> bool {
        self.hold.is_some()
            || self
                .tallies
                .keys()
                .any(|key| self.is_worth(key.cause, &self.tallies))
    }

    /// Time lost so far that a report tells, to decide what is kept. What the other end may tell as well is
    /// left out.
    pub(crate) fn lost_ns(&self) -> u64 {
        let is_lost = |cause| matches!(cause, Cause::Nagle | Cause::Cork);
        let lost = self.tallies.iter().filter(|(key, _)| is_lost(key.cause));
        lost.filter(|(key, _)| self.is_worth(key.cause, &self.tallies))
            .fold(0, |sum, (_, tally)| sum.saturating_add(tally.total_ns))
    }

    /// Whether the patterns of a cause are worth a word, all together.
    fn is_worth(&self, cause: Cause, tallies: &BTreeMap<PatternKey, Tally>) -> bool {
        let same = || {
            let same = tallies.iter().filter(|(key, _)| key.cause == cause);
            same.map(|(_, tally)| tally)
        };
        let count: u64 = same().map(|tally| tally.count).sum();
        match cause {
            Cause::Nagle | Cause::Cork | Cause::LocalDelayedAck => {
                let total_ns: u128 = same().map(|tally| u128::from(tally.total_ns)).sum();
                let is_late_seldom = cause == Cause::Cork
                    && same().all(Tally::ended_by_program)
                    && count * LATE_ONE_OF < self.segments_sent();
                total_ns >= WORTH_NS && !is_late_seldom
            }
            Cause::PacketWaste => {
                let wasted: u64 = same().map(|tally| tally.segments_wasted).sum();
                let all = self.segments_least + self.segments_wasted;
                count >= WASTED && wasted * WASTED_ONE_OF >= all
            }
            Cause::StopAndWait => count >= CYCLES && self.waited_share() > 0.5,
        }
    }

    /// Of the time that was seen in detail, what went by in the cycles of [`Cause::StopAndWait`].
    fn waited_share(&self) -> f64 {
        let watched_ns = self.last_ns.saturating_sub(self.first_ns);
        share(
            self.waited_ns,
            watched_ns.saturating_sub(self.ledger.of(Limit::Unseen)),
        )
    }

    /// What part of a socket's time or packets a kind of stall was, of those seen in detail.
    fn share_of(&self, cause: Cause, tally: &Tally) -> f64 {
        let wasted = tally.segments_wasted;
        match cause {
            Cause::PacketWaste => share(wasted, self.segments_least + self.segments_wasted),
            Cause::StopAndWait => self.waited_share(),
            Cause::Nagle | Cause::Cork | Cause::LocalDelayedAck => 0.0,
        }
    }

    /// Segments with payload that have left for the first time.
    fn segments_sent(&self) -> u64 {
        let sent = first_transmissions(&self.last).wrapping_sub(first_transmissions(&self.first));
        u64::from(sent)
    }

    /// What there is to say of the socket at a moment. The process's part is filled in by the caller,
    /// `frames` gives the words of a stack.
    pub(crate) fn report(
        &self,
        at_ns: u64,
        detail: Detail,
        frames: &dyn Fn(u32, &[u64]) -> Vec<String>,
    ) -> SocketReport {
        let end_ns = if self.is_closed {
            self.last_ns
        } else {
            at_ns.max(self.last_ns)
        };
        let mut ledger = self.ledger.clone();
        let mut tallies = self.tallies.clone();
        let mut rest_ns = end_ns - self.last_ns;
        if let Some(hold) = &self.hold {
            let known_ns = end_ns.min(hold.may_last_until(&self.last).max(self.last_ns));
            count_cut(hold, hold.cut(known_ns), &mut ledger, &mut tallies);
            ledger.add(Limit::Unseen, end_ns - known_ns);
            rest_ns = 0;
        }
        let shares = ledger.shares(rest_ns, &self.last);
        let mut stalls: Vec<Stall> = tallies
            .iter()
            .filter(|(key, _)| self.is_worth(key.cause, &tallies))
            .map(|(key, tally)| {
                let stack = frames(self.identity.pid, &tally.stack);
                tally.stall(key, self.share_of(key.cause, tally), stack)
            })
            .collect();
        stalls.sort_by(|a, b| {
            let time = b.cause.is_time().cmp(&a.cause.is_time());
            time.then(b.held_ms_total.total_cmp(&a.held_ms_total))
        });
        let counted = |now: u32, then: u32| u64::from(now.wrapping_sub(then));
        // The FIN has a number as a byte has, and isn't one.
        let has_sent_fin = |fin_seq: &u32| is_after(self.last.snd_nxt, *fin_seq);
        let sent_seq = self
            .fin_seq
            .filter(has_sent_fin)
            .unwrap_or(self.last.snd_nxt);
        SocketReport {
            pid: self.identity.pid,
            command: self.identity.command.clone(),
            command_line: String::new(),
            language: None,
            threads: self.threads.clone(),
            container: None,
            local: self.identity.local,
            remote: self.identity.remote,
            nodelay: self.last.nodelay,
            seconds: millis(end_ns.saturating_sub(self.first_ns)) / 1000.0,
            writes: counted(self.last.writes, self.first.writes),
            reads: counted(self.last.reads, self.first.reads),
            bytes_sent: counted(sent_seq, self.first.snd_nxt),
            segments_sent: self.segments_sent(),
            segments_resent: counted(self.last.total_retrans, self.first.total_retrans),
            round_trip_ms: f64::from(self.last.min_rtt_us) / 1000.0,
            stalls,
            limit: shares.limit(),
            shares,
            timeline: match detail {
                Detail::Whole => self.marks.clone(),
                Detail::Brief => Vec::new(),
            },
            holds_ms: self.holds_ms.clone(),
        }
    }

    /// When something last happened.
    pub(crate) fn last_ns(&self) -> u64 {
        self.last_ns
    }
}

/// Since when what a sample found held is held, and how far off that may be. What Nagle's rule holds was
/// written right after the segment in flight, as a rule.
fn sampled_since(previous_ns: u64, event: &Event, by: HeldBy) -> (u64, u64) {
    let gap_ns = event.at_ns.saturating_sub(previous_ns);
    let middle_ns = event.at_ns - gap_ns / 2;
    let departed_ns = event.facts.departed_ns.filter(|_| gap_ns > SHORT_GAP_NS);
    let since_ns = match departed_ns {
        None => middle_ns,
        Some(departed_ns) if by == HeldBy::Nagle => departed_ns.max(previous_ns),
        Some(departed_ns) => departed_ns.max(middle_ns),
    };
    let since_ns = since_ns.min(event.at_ns);
    (since_ns, (event.at_ns - since_ns).min(gap_ns / 2))
}

/// Adds the time of a hold to the shares.
fn charge(ledger: &mut Ledger, hold: &Hold, ended: Ended) {
    let lasted_ns = ended.at_ns.saturating_sub(hold.since_ns);
    if hold.by == HeldBy::Device {
        ledger.add(hold.by.limit(), lasted_ns);
        return;
    }
    // What was held while the program went on writing was gathered, not lost.
    let lost_ns = ended.loss.map_or(0, |loss| loss.ns.min(lasted_ns));
    ledger.add(hold.by.limit(), lost_ns);
    ledger.add(ended.rest, lasted_ns - lost_ns);
}

/// Adds a hold that goes on at the end of the trace.
fn count_cut(
    hold: &Hold,
    ended: Ended,
    ledger: &mut Ledger,
    tallies: &mut BTreeMap<PatternKey, Tally>,
) {
    charge(ledger, hold, ended);
    let Some(loss) = ended.loss else {
        return;
    };
    let key = PatternKey {
        cause: loss.cause,
        writes: 0,
    };
    let tally = tally_of(tallies, key);
    tally.add(loss.ns, ended.error_ns, Some(loss.ended_by));
    tally.add_held(hold.bytes);
    tally.hold_behind(hold.bytes, hold.bytes_before);
}

/// The tally of a pattern. Where there are too many patterns, that of one with the same cause.
fn tally_of(tallies: &mut BTreeMap<PatternKey, Tally>, key: PatternKey) -> &mut Tally {
    let other = (tallies.len() >= PATTERNS && !tallies.contains_key(&key))
        .then(|| tallies.keys().find(|other| other.cause == key.cause))
        .flatten();
    let key = other.copied().unwrap_or(key);
    tallies.entry(key).or_insert_with(Tally::new)
}

/// How long the peer waited for our delayed ACK, where this data came right after it: one bare ACK
/// has left since the data before, late, and nothing else.
fn held_by_our_ack(data: Data, event: &Event) -> Option<u64> {
    let facts = &event.facts;
    let acked_ns = facts.handled_ns?;
    let is_acked = facts.rcv_wup == Some(facts.rcv_nxt);
    let sent_one = facts.segs_out.wrapping_sub(data.segs_out) == 1;
    let sent_data = facts.data_segs_out != data.data_segs_out;
    if !is_acked || !sent_one || sent_data {
        return None;
    }
    let held_ns = acked_ns.checked_sub(data.at_ns)?;
    let after_ns = event.at_ns.checked_sub(acked_ns)?;
    let round_trip_ns = u64::from(facts.min_rtt_us) * 1000;
    // Its effect can't be back before a round trip, and isn't much later.
    let effect_ns = round_trip_ns * 4 / 5..=round_trip_ns * 5 / 4 + AFTER_ACK_NS;
    (held_ns >= DELAYED_ACK_NS && effect_ns.contains(&after_ns)).then_some(held_ns)
}
