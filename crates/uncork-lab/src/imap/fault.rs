//! What goes wrong, and when.
//!
//! Messages are counted from 1 over the server's life, in the order in which the headers of
//! their literals are read. An attempt counts even if it is refused, so a message that is
//! sent again has a new number: a fault bound to a number happens once.

use std::time::Duration;

/// One thing that goes wrong.
///
/// The texts are said as they are, so a response code stands at their beginning, as in
/// `[THROTTLED] Slow down` or `[UNAVAILABLE] Back in a minute`. After a crash the server listens
/// on at the same address: it knows no more than what is on disk, as one that was restarted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every connection ends as soon as the server would need one byte more than so many.
    /// What the bytes before say in full is still done.
    HangUpAfterBytes(u64),
    /// As [`Fault::HangUpAfterBytes`], but only the first connection that gets there.
    HangUpOnceAfterBytes(u64),
    /// Every connection ends where the server would say one byte more than so many; those
    /// before reach the peer.
    HangUpAfterSaidBytes(u64),
    /// As [`Fault::HangUpAfterSaidBytes`], but only the first connection that gets there.
    HangUpOnceAfterSaidBytes(u64),
    /// As [`Fault::HangUpOnceAfterBytes`], but instead of hanging up the server says nothing
    /// more and leaves the connection open.
    SilenceOnceAfterBytes(u64),
    /// The APPEND with this message is stored, and then nothing more is said on its
    /// connection, which stays open.
    SilenceBeforeTagged {
        /// The number of the message.
        message: u64,
    },
    /// The server dies once this message has been read, before the command with it is stored.
    /// Of a MULTIAPPEND that is not atomic the messages before it are stored.
    CrashInUpload {
        /// The number of the message.
        message: u64,
    },
    /// The server dies in the middle of storing the APPEND with this message: it is decided
    /// that all of it is stored, and not yet done.
    CrashInCommit {
        /// The number of the message.
        message: u64,
    },
    /// The server dies once the APPEND with this message has been stored, without a reply.
    CrashBeforeTagged {
        /// The number of the message.
        message: u64,
    },
    /// The server dies once the APPEND with this message has been answered.
    CrashAfterTagged {
        /// The number of the message.
        message: u64,
    },
    /// So many logins are refused with this text, whatever the password: for example
    /// `[UNAVAILABLE] Temporary authentication failure`.
    RefuseLogin {
        /// The text of the NO.
        text: String,
        /// How many logins are refused.
        times: u64,
    },
    /// SELECT and EXAMINE are refused with this text, though the folder is there: for example
    /// `[INUSE] Mailbox is locked`.
    RefuseSelect {
        /// The first one that is refused, counted from 1.
        first: u64,
        /// How many are refused.
        times: u64,
        /// The text of the NO.
        text: String,
    },
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
