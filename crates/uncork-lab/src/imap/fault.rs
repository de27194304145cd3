//! What goes wrong, and when.
//!
//! Messages are counted from 1 over the server's life, in the order in which the headers of
//! their literals are read. An attempt counts even if it is refused, so a message that is
//! sent again has a new number: a fault bound to a number happens once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every connection ends as soon as the server would need one byte more than so many.
    /// What the bytes before say in full is still done.
    HangUpAfterBytes(u64),
    /// As [`Fault::HangUpAfterBytes`], but only the first connection that gets there.
    HangUpOnceAfterBytes(u64),
    /// The APPEND with this message is stored, and the connection ends without a reply.
    HangUpBeforeTagged {
        /// The number of the message.
        message: u64,
    },
    /// The APPEND with this message is answered, and the connection ends.
    HangUpAfterTagged {
        /// The number of the message.
        message: u64,
    },
    /// NO, once the message has been read whole.
    RefuseMessage {
        /// The number of the message.
        message: u64,
        /// The text of the NO.
        reason: String,
        /// The response code, without brackets.
        code: Option<String>,
    },
    /// NO as soon as the literal's header has been read: in the place of `+` for `{n}`;
    /// with `{n+}` the literal is then read and thrown away.
    RefuseDuringUpload {
        /// The number of the message.
        message: u64,
        /// The text of the NO.
        reason: String,
    },
    /// BYE, once, after the command with which so many messages have been stored. With 0
    /// the first connection is greeted with it.
    Bye {
        /// Stored messages over the server's life.
        after_messages: u64,
        /// The text of the BYE.
        text: String,
    },
    /// Storing one message takes so long.
    SlowDisk(Duration),
    /// From this message on, so many APPEND commands are refused with this text, for
    /// example `Request is throttled. Suggested Backoff Time: 200 milliseconds`.
    Throttle {
        /// The number of the first message refused.
        message: u64,
        /// The text of the NO.
        text: String,
        /// How many commands are refused.
        times: u64,
    },
    /// A MULTIAPPEND refused at its k-th message leaves k−1 stored, as Stalwart does.
    NotAtomic,
}

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
            let left = if let Fault::Throttle { times, .. } = &fault {
                *times
            } else {
                1
            };
            Armed {
                fault,
                left: AtomicU64::new(left),
            }
        };
        Self {
            faults: faults.into_iter().map(arm).collect(),
            messages: AtomicU64::new(0),
        }
    }

    /// The number of the message whose literal's header has just been read.
    pub(crate) fn next_message(&self) -> u64 {
        self.messages.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How many bytes any connection may send.
    pub(crate) fn receive_limit(&self) -> Option<u64> {
        self.each()
            .filter_map(|fault| {
                if let Fault::HangUpAfterBytes(bytes) = fault {
                    Some(*bytes)
                } else {
                    None
                }
            })
            .min()
    }

    /// Whether a connection that has sent so many bytes is the one to hang up on. Tells the
    /// limit that is next, too, so that no read goes past it.
    pub(crate) fn once_limit(&self, received: u64) -> OnceLimit {
        for armed in &self.faults {
            let Fault::HangUpOnceAfterBytes(bytes) = armed.fault else {
                continue;
            };
            if armed.left.load(Ordering::Relaxed) == 0 {
                continue;
            }
            if received < bytes {
                return OnceLimit::At(bytes);
            }
            if armed.spend() {
                return OnceLimit::Reached;
            }
        }
        OnceLimit::None
    }

    pub(crate) fn hangs_up_before_tagged(&self, number: u64) -> bool {
        self.each().any(
            |fault| matches!(fault, Fault::HangUpBeforeTagged { message } if *message == number),
        )
    }

    pub(crate) fn hangs_up_after_tagged(&self, number: u64) -> bool {
        self.each().any(
            |fault| matches!(fault, Fault::HangUpAfterTagged { message } if *message == number),
        )
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

/// Where a [`Fault::HangUpOnceAfterBytes`] stands for one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnceLimit {
    None,
    At(u64),
    Reached,
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
        assert_eq!(plan.once_limit(9), OnceLimit::At(10));
        assert_eq!(plan.once_limit(10), OnceLimit::Reached);
        assert_eq!(plan.once_limit(10), OnceLimit::None);
        assert_eq!(plan.receive_limit(), None);
    }
}
