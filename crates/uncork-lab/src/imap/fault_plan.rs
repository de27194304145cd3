//! The faults of a server, with what has happened so far: what goes wrong now.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::fault::Fault;

/// A NO that a fault asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Option<String>,
    pub(crate) text: String,
}

/// The faults of a server with what has happened so far.
#[derive(Debug)]
pub(crate) struct FaultPlan {
    faults: Vec<Armed>,
    messages: AtomicU64,
    selects: AtomicU64,
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    /// How often it may still happen; counts only for the faults that are used up.
    left: AtomicU64,
}

impl Armed {
    /// Takes one use, if there is one left.
    fn spend(&self) -> bool {
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .is_ok()
    }
}

impl FaultPlan {
    pub(crate) fn new(faults: Vec<Fault>) -> Self {
        let arm = |fault: Fault| {
            let left = match &fault {
                Fault::Throttle { times, .. }
                | Fault::RefuseLogin { times, .. }
                | Fault::RefuseSelect { times, .. } => *times,
                _ => 1,
            };
            Armed {
                fault,
                left: AtomicU64::new(left),
            }
        };
        Self {
            faults: faults.into_iter().map(arm).collect(),
            messages: AtomicU64::new(0),
            selects: AtomicU64::new(0),
        }
    }

    /// The number of the message whose literal's header has just been read.
    pub(crate) fn next_message(&self) -> u64 {
        self.messages.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What happens to a connection at the next byte that it receives, and at which.
    pub(crate) fn receiving(&self, received: u64) -> Limit {
        self.limit(received, |fault| match fault {
            Fault::HangUpAfterBytes(bytes) => Some((*bytes, Repeat::Always, Ending::HangUp)),
            Fault::HangUpOnceAfterBytes(bytes) => Some((*bytes, Repeat::Once, Ending::HangUp)),
            Fault::SilenceOnceAfterBytes(bytes) => Some((*bytes, Repeat::Once, Ending::Silence)),
            _ => None,
        })
    }

    /// What happens to a connection at the next byte that it is told, and at which.
    pub(crate) fn saying(&self, said: u64) -> Limit {
        self.limit(said, |fault| match fault {
            Fault::HangUpAfterSaidBytes(bytes) => Some((*bytes, Repeat::Always, Ending::HangUp)),
            Fault::HangUpOnceAfterSaidBytes(bytes) => Some((*bytes, Repeat::Once, Ending::HangUp)),
            _ => None,
        })
    }

    fn limit(&self, passed: u64, bound: impl Fn(&Fault) -> Option<(u64, Repeat, Ending)>) -> Limit {
        let mut next = None;
        for armed in &self.faults {
            let Some((bytes, repeat, ending)) = bound(&armed.fault) else {
                continue;
            };
            if repeat == Repeat::Once && armed.left.load(Ordering::Relaxed) == 0 {
                continue;
            }
            if passed < bytes {
                next = Some(next.map_or(bytes, |other: u64| other.min(bytes)));
            } else if repeat == Repeat::Always || armed.spend() {
                return Limit::Reached(ending);
            }
        }
        next.map_or(Limit::None, Limit::At)
    }

    /// What happens to the connection, or to the server, around the end of the APPEND with this
    /// message.
    pub(crate) fn interruption(&self, number: u64) -> Option<Interruption> {
        let interruptions = self.each().filter_map(|fault| {
            let (message, moment, ending) = match fault {
                Fault::CrashInUpload { message } => (message, Moment::InUpload, Ending::Crash),
                Fault::CrashInCommit { message } => (message, Moment::InCommit, Ending::Crash),
                Fault::HangUpBeforeTagged { message } => {
                    (message, Moment::BeforeTagged, Ending::HangUp)
                }
                Fault::SilenceBeforeTagged { message } => {
                    (message, Moment::BeforeTagged, Ending::Silence)
                }
                Fault::CrashBeforeTagged { message } => {
                    (message, Moment::BeforeTagged, Ending::Crash)
                }
                Fault::HangUpAfterTagged { message } => {
                    (message, Moment::AfterTagged, Ending::HangUp)
                }
                Fault::CrashAfterTagged { message } => {
                    (message, Moment::AfterTagged, Ending::Crash)
                }
                _ => return None,
            };
            (*message == number).then_some(Interruption { moment, ending })
        });
        interruptions.min()
    }

    /// The NO that a login gets.
    pub(crate) fn refuses_login(&self) -> Option<&str> {
        self.faults.iter().find_map(|armed| match &armed.fault {
            Fault::RefuseLogin { text, .. } if armed.spend() => Some(text.as_str()),
            _ => None,
        })
    }

    /// The text of the NO that a SELECT or EXAMINE gets.
    pub(crate) fn refuses_select(&self) -> Option<&str> {
        let number = self.selects.fetch_add(1, Ordering::Relaxed) + 1;
        self.faults.iter().find_map(|armed| match &armed.fault {
            Fault::RefuseSelect { first, text, .. } if *first <= number && armed.spend() => {
                Some(text.as_str())
            }
            _ => None,
        })
    }

    /// The NO that this message gets before its literal has been read.
    pub(crate) fn refuses_upload(&self, number: u64) -> Option<Refusal> {
        self.each().find_map(|fault| match fault {
            Fault::RefuseDuringUpload { message, reason } if *message == number => Some(Refusal {
                code: None,
                text: reason.clone(),
            }),
            _ => None,
        })
    }

    /// The NO that this message gets once it has been read. A throttle is spent by it, so
    /// it must be asked once a command from its first refusal on.
    pub(crate) fn refuses_message(&self, number: u64) -> Option<Refusal> {
        self.faults.iter().find_map(|armed| match &armed.fault {
            Fault::RefuseMessage {
                message,
                reason,
                code,
            } if *message == number => Some(Refusal {
                code: code.clone(),
                text: reason.clone(),
            }),
            Fault::Throttle { message, text, .. } if *message <= number && armed.spend() => {
                Some(Refusal {
                    code: None,
                    text: text.clone(),
                })
            }
            _ => None,
        })
    }

    /// The text of the BYE that is due after so many stored messages.
    pub(crate) fn bye(&self, stored: u64) -> Option<&str> {
        self.faults.iter().find_map(|armed| match &armed.fault {
            Fault::Bye {
                after_messages,
                text,
            } if *after_messages <= stored && armed.spend() => Some(text.as_str()),
            _ => None,
        })
    }

    /// What storing one message takes on top.
    pub(crate) fn disk_delay(&self) -> Duration {
        self.each().fold(Duration::ZERO, |sum, fault| {
            if let Fault::SlowDisk(delay) = fault {
                sum.saturating_add(*delay)
            } else {
                sum
            }
        })
    }

    pub(crate) fn is_atomic(&self) -> bool {
        !self.each().any(|fault| *fault == Fault::NotAtomic)
    }

    fn each(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter().map(|armed| &armed.fault)
    }
}

/// How often a bound on bytes holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    Always,
    Once,
}

/// Where a connection stands to the faults that are bound to bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    None,
    /// Up to here all is well.
    At(u64),
    Reached(Ending),
}

/// How a connection, or all of them, end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    Crash,
    HangUp,
    Silence,
}

/// When during an APPEND, the earliest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Moment {
    InUpload,
    InCommit,
    BeforeTagged,
    AfterTagged,
}

/// What cuts an APPEND short. The earliest is the least, so that it wins over others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Interruption {
    pub(crate) moment: Moment,
    pub(crate) ending: Ending,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_bound_to_its_number() {
        let plan = FaultPlan::new(vec![Fault::RefuseMessage {
            message: 2,
            reason: "no room".into(),
            code: Some("OVERQUOTA".into()),
        }]);
        assert_eq!(plan.refuses_message(1), None);
        let refusal = plan.refuses_message(2).unwrap();
        assert_eq!(refusal.code.as_deref(), Some("OVERQUOTA"));
        assert_eq!(plan.refuses_message(3), None);
    }

    #[test]
    fn a_throttle_is_used_up() {
        let plan = FaultPlan::new(vec![Fault::Throttle {
            message: 2,
            text: "slow".into(),
            times: 2,
        }]);
        let refused: Vec<bool> = (1..=5).map(|n| plan.refuses_message(n).is_some()).collect();
        assert_eq!(refused, [false, true, true, false, false]);
    }

    #[test]
    fn a_bye_comes_once() {
        let plan = FaultPlan::new(vec![Fault::Bye {
            after_messages: 3,
            text: "later".into(),
        }]);
        assert_eq!(plan.bye(2), None);
        assert_eq!(plan.bye(4), Some("later"));
        assert_eq!(plan.bye(5), None);
    }

    #[test]
    fn the_once_limit_takes_one_connection() {
        let plan = FaultPlan::new(vec![Fault::HangUpOnceAfterBytes(10)]);
        assert_eq!(plan.receiving(9), Limit::At(10));
        assert_eq!(plan.receiving(10), Limit::Reached(Ending::HangUp));
        assert_eq!(plan.receiving(10), Limit::None);
        assert_eq!(plan.saying(10), Limit::None);
    }

    #[test]
    fn the_nearest_limit_comes_first() {
        let plan = FaultPlan::new(vec![
            Fault::HangUpAfterSaidBytes(10),
            Fault::HangUpOnceAfterSaidBytes(5),
        ]);
        assert_eq!(plan.saying(0), Limit::At(5));
        assert_eq!(plan.saying(5), Limit::Reached(Ending::HangUp));
        assert_eq!(plan.saying(5), Limit::At(10));
        assert_eq!(plan.saying(10), Limit::Reached(Ending::HangUp));
        assert_eq!(plan.saying(10), Limit::Reached(Ending::HangUp));
    }

    #[test]
    fn the_earliest_interruption_wins() {
        let message = 3;
        let plan = FaultPlan::new(vec![
            Fault::HangUpAfterTagged { message },
            Fault::SilenceBeforeTagged { message },
            Fault::CrashInUpload { message: 4 },
        ]);
        let found: Vec<_> = (2..5)
            .map(|number| {
                let found = plan.interruption(number);
                found.map(|found| (found.moment, found.ending))
            })
            .collect();
        assert_eq!(
            found,
            [
                None,
                Some((Moment::BeforeTagged, Ending::Silence)),
                Some((Moment::InUpload, Ending::Crash)),
            ]
        );
    }
}
