//! What the server offers, and with which manners it writes.

use super::capabilities::Capabilities;
use super::content::{Alteration, Strictness};
use super::namespace::Namespace;
use super::permitted::{PermanentFlags, Unpermitted};

/// How many connections are served at once unless the personality says otherwise.
const CONNECTION_LIMIT: usize = 64;

/// The character of one lab server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Personality {
    /// What CAPABILITY lists, and what is therefore accepted.
    pub capabilities: Capabilities,
    /// How replies leave.
    pub manners: Manners,
    /// What a commit waits for.
    pub durability: Durability,
    /// Connections served at once; one more is greeted with BYE.
    pub connection_limit: usize,
    /// Connections of the user; a login on one more is refused with `[LIMIT]`.
    pub login_limit: Option<usize>,
    /// Where TLS is to be had.
    pub tls: Tls,
    /// How folders' names are spelled.
    pub namespace: Namespace,
    /// Folders that are there from the start, with what they are for: `("Sent", "\\Sent")`.
    pub special_folders: Vec<(String, String)>,
    /// Folders that are somebody else's: CREATE, SELECT and APPEND are refused with `[NOPERM]`,
    /// for those below as well.
    pub forbidden_folders: Vec<String>,
    /// Which flags are kept.
    pub permanent_flags: PermanentFlags,
    /// What becomes of the others.
    pub unpermitted_flags: Unpermitted,
    /// Which messages are refused for what is in them.
    pub strictness: Strictness,
    /// What is changed in a message before it is stored.
    pub alterations: Vec<Alteration>,
    /// What an APPEND that can't be taken comes to once its `{n+}` has been sent.
    pub oversize: Oversize,
    /// The largest command with its literals, in bytes.
    pub command_bytes_max: Option<u64>,
    /// What is stored of a MULTIAPPEND that fails.
    pub atomicity: Atomicity,
    /// In which order pipelined APPENDs are answered.
    pub reply_order: ReplyOrder,
    /// What EXPUNGE and CLOSE do.
    pub expunging: Expunging,
}

/// Where TLS is to be had. Its certificate is signed by an authority of the server's own, see
/// [`ImapServer::ca_pem`](super::ImapServer::ca_pem).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Nowhere.
    None,
    /// At an address of its own, as imaps.
    Implicit,
    /// There, and by STARTTLS.
    Offered,
    /// As [`Tls::Offered`], and no login without it.
    Required,
}

/// What a literal comes to that was sent without waiting and is larger than the server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oversize {
    /// It is read and thrown away.
    Skipped,
    /// NO, and the connection ends, as with Cyrus.
    HangsUp,
}

/// What is stored of a MULTIAPPEND that is refused, or whose connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Atomicity {
    /// Nothing (RFC 3502).
    AllOrNothing,
    /// The messages before, as with Stalwart: each is stored when it has been read.
    Prefix,
}

/// In which order pipelined APPENDs are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyOrder {
    /// As they came.
    AsTheyCame,
    /// Those that came together in reverse, as Stalwart may.
    Reversed,
}

/// What EXPUNGE and CLOSE do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expunging {
    /// EXPUNGE is refused and CLOSE removes nothing, so that what a test did can be counted.
    Refused,
    /// What they should (RFC 3501).
    Done,
}

/// How the replies of a server leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manners {
    /// Every socket option at its default and one write for each piece of reply: the peer
    /// on which a client that sends literal and CRLF apart stalls 40 ms a message.
    Naive,
    /// TCP_NODELAY, and the replies to everything that one read brought leave in one write.
    Careful,
}

/// What a commit waits for before its OK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The page cache: survives the process, not a power cut.
    PageCache,
    /// fsync of every message, of the folder and of the index.
    Fsync,
}

impl Personality {
    /// As [`Personality::careful`], with TCP manners that cost a client dearly.
    #[must_use]
    pub fn naive() -> Self {
        Self {
            manners: Manners::Naive,
            ..Self::careful()
        }
    }

    /// All that most servers offer, and replies that never wait.
    #[must_use]
    pub fn careful() -> Self {
        Self {
            capabilities: Capabilities::default(),
            manners: Manners::Careful,
            durability: Durability::PageCache,
            connection_limit: CONNECTION_LIMIT,
            login_limit: None,
            tls: Tls::None,
            namespace: Namespace::default(),
            special_folders: Vec::new(),
            forbidden_folders: Vec::new(),
            permanent_flags: PermanentFlags::All,
            unpermitted_flags: Unpermitted::Dropped,
            strictness: Strictness::default(),
            alterations: Vec::new(),
            oversize: Oversize::Skipped,
            command_bytes_max: None,
            atomicity: Atomicity::AllOrNothing,
            reply_order: ReplyOrder::AsTheyCame,
            expunging: Expunging::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_listed_as_they_are_kept() {
        let careful = Personality::careful();
        assert_eq!(
            careful.capabilities.line(false),
            "IMAP4rev1 AUTH=PLAIN SASL-IR LITERAL+ MULTIAPPEND UIDPLUS NAMESPACE UNSELECT"
        );
        let gmail = Personality::careful()
            .literal_minus(true)
            .multi_append(false)
            .append_limit(Some(35_651_584));
        assert_eq!(
            gmail.capabilities.line(true),
            "IMAP4rev1 LITERAL- UIDPLUS NAMESPACE UNSELECT APPENDLIMIT=35651584"
        );
    }

    #[test]
    fn unwaited_literals_follow_the_capability() {
        let check = |personality: Personality, bytes: u64, expected: bool| {
            assert_eq!(personality.capabilities.allows_unwaited(bytes), expected);
        };
        check(Personality::careful(), 1 << 30, true);
        check(Personality::careful().literal_plus(false), 1, false);
        check(Personality::careful().literal_minus(true), 4096, true);
        check(Personality::careful().literal_minus(true), 4097, false);
    }
}
