//! What happens to one import: decided by its seed, before anything runs.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use uncork_import::Order;

use super::Scale;
use super::relay::{Cut, Manner, Way};
use super::source::CrashSource;
use crate::imap::{Atomicity, Fault, Personality, ReplyOrder};

/// Makes the plan's dice others than those of the source.
const PLAN_STREAM: u64 = 1;

/// A kill by the clock comes before this time, in milliseconds.
const KILL_MS_MAX: u64 = 300;

/// Where the server says about so much for each mail.
const SAID_BYTES_PER_MAIL: u64 = 50;

/// One run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) personality: Personality,
    /// What is told of the personality to people.
    pub(super) manners: String,
    pub(super) faults: Vec<Fault>,
    pub(super) connections: NonZeroU32,
    pub(super) order: Order,
    /// What happens before the import is left alone.
    pub(super) acts: Vec<Act>,
    /// Whether the journal is lost before the last, undisturbed import.
    pub(super) loses_journal: bool,
}

/// One start of the importer, and what happens to it.
#[derive(Clone, Debug)]
pub(super) struct Act {
    /// Whether the journal is lost before it.
    pub(super) loses_journal: bool,
    pub(super) retry_refused: bool,
    pub(super) cuts: Vec<Cut>,
    pub(super) kill: Option<Kill>,
}

/// When the importer gets its SIGKILL.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kill {
    After(Duration),
    /// When so many mails more are stored.
    AfterStored(u64),
    /// When it has sent so many bytes.
    AfterBytes(u64),
}

impl Plan {
    /// The plan of a seed. A server of other people's making has no faults to be set.
    pub(super) fn new(seed: u64, scale: &Scale, source: &CrashSource, has_faults: bool) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        dice.set_stream(PLAN_STREAM);
        let mails = u64::from(source.mails);
        let (personality, manners) = personality(&mut dice);
        let faults = if has_faults {
            let count = dice.random_range(0..=4);
            (0..count)
                .map(|_| fault(&mut dice, mails, source.bytes))
                .collect()
        } else {
            Vec::new()
        };
        let connections = NonZeroU32::MIN.saturating_add(dice.random_range(0..3));
        let order = if dice.random_ratio(1, 3) {
            Order::Any
        } else {
            Order::Kept
        };
        let count = dice.random_range(1..=scale.acts_max);
        let acts = (0..count).map(|nth| Act {
            loses_journal: nth > 0 && dice.random_ratio(1, 16),
            retry_refused: dice.random_ratio(1, 2),
            cuts: cuts(&mut dice, mails, source.bytes),
            kill: dice
                .random_ratio(4, 5)
                .then(|| kill(&mut dice, mails, source.bytes)),
        });
        Self {
            personality,
            manners,
            faults,
            connections,
            order,
            acts: acts.collect(),
            loses_journal: dice.random_ratio(1, 10),
        }
    }

    /// Whether an importer may meet a server that says nothing.
    pub(super) fn has_silence(&self) -> bool {
        let silent = |fault: &Fault| {
            matches!(
                fault,
                Fault::SilenceOnceAfterBytes(_) | Fault::SilenceBeforeTagged { .. }
            )
        };
        self.faults.iter().any(silent) || self.acts.iter().any(Act::has_silence)
    }
}

impl Act {
    fn has_silence(&self) -> bool {
        self.cuts.iter().any(|cut| cut.manner == Manner::Silence)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "  server: {}; {} connections, order {:?}; faults: {:?}",
            self.manners, self.connections, self.order, self.faults
        )?;
        for act in &self.acts {
            writeln!(formatter, "  {act:?}")?;
        }
        write!(formatter, "  journal lost at last: {}", self.loses_journal)
    }
}

fn personality(dice: &mut ChaCha8Rng) -> (Personality, String) {
    let mut personality = Personality::careful();
    let mut manners = Vec::new();
    let mut chance = |n, name: &'static str| {
        let is_drawn = dice.random_ratio(1, n);
        if is_drawn {
            manners.push(name);
        }
        is_drawn
    };
    if chance(3, "not atomic") {
        personality = personality.atomicity(Atomicity::Prefix);
    }
    if chance(4, "no MULTIAPPEND") {
        personality = personality.multi_append(false);
    }
    if chance(5, "no LITERAL+") {
        personality = personality.literal_plus(false);
    }
    if chance(4, "no UIDPLUS") {
        personality = personality.uid_plus(false);
    }
    if chance(3, "replies reversed") {
        personality = personality.reply_order(ReplyOrder::Reversed);
    }
    let manners = if manners.is_empty() {
        "as it should be".to_owned()
    } else {
        manners.join(", ")
    };
    (personality, manners)
}

fn fault(dice: &mut ChaCha8Rng, mails: u64, bytes: u64) -> Fault {
    let message = dice.random_range(1..=mails);
    let received = near(dice, bytes);
    let said = near(dice, mails * SAID_BYTES_PER_MAIL);
    let times = dice.random_range(1..=3);
    match dice.random_range(0..17) {
        0 => Fault::HangUpOnceAfterBytes(received),
        1 => Fault::HangUpOnceAfterSaidBytes(said),
        2 => Fault::SilenceOnceAfterBytes(received),
        3 => Fault::SilenceBeforeTagged { message },
        4 => Fault::CrashInUpload { message },
        5 | 6 => Fault::CrashInCommit { message },
        7 | 8 => Fault::CrashBeforeTagged { message },
        9 => Fault::CrashAfterTagged { message },
        10 => Fault::HangUpBeforeTagged { message },
        11 => Fault::HangUpAfterTagged { message },
        12 => Fault::RefuseMessage {
            message,
            reason: "not this one".to_owned(),
            code: None,
        },
        13 => Fault::RefuseDuringUpload {
            message,
            reason: "not this one".to_owned(),
        },
        14 => Fault::Bye {
            after_messages: message,
            text: "[UNAVAILABLE] Back in a moment".to_owned(),
        },
        15 => Fault::Throttle {
            message,
            text: "Request is throttled. Suggested Backoff Time: 20 milliseconds".to_owned(),
            times,
        },
        _ => Fault::RefuseLogin {
            text: "[UNAVAILABLE] Temporary authentication failure".to_owned(),
            times,
        },
    }
}

fn cuts(dice: &mut ChaCha8Rng, mails: u64, bytes: u64) -> Vec<Cut> {
    let count = [0, 0, 1, 1, 2, 3][dice.random_range(0..6)];
    let cuts = (0..count).map(|_| {
        let (way, bytes) = if dice.random_ratio(1, 2) {
            (Way::Up, near(dice, bytes))
        } else {
            (Way::Down, near(dice, mails * SAID_BYTES_PER_MAIL))
        };
        let manner = match dice.random_range(0..10) {
            0 => Manner::Silence,
            1..=4 => Manner::Reset,
            _ => Manner::Close,
        };
        Cut { way, bytes, manner }
    });
    cuts.collect()
}

fn kill(dice: &mut ChaCha8Rng, mails: u64, bytes: u64) -> Kill {
    match dice.random_range(0..3) {
        0 => Kill::After(Duration::from_millis(dice.random_range(5..KILL_MS_MAX))),
        1 => Kill::AfterStored(near(dice, mails)),
        _ => Kill::AfterBytes(near(dice, bytes)),
    }
}

/// Up to `most`; small numbers more often, since a resumed import has little left.
fn near(dice: &mut ChaCha8Rng, most: u64) -> u64 {
    let most = most >> dice.random_range(0..4);
    dice.random_range(0..=most)
}
