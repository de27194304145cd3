//! A folder that mail goes into: what waits for it, and what is known of it.

use std::collections::VecDeque;

use super::Ready;
use super::reconcile::Fate;
use crate::imap::look::Selected;
use crate::imap::uid_set::UidSet;
use crate::journal::{BatchId, FolderId, JournalError};
use crate::mail::{Flag, Item, Mail};

/// Batches that wait in one folder's queue before its source is made to wait.
pub(crate) const QUEUE_BATCHES: usize = 4;

/// Acknowledged mails without a UID that are remembered before the server is asked where it
/// stands. (With UIDPLUS every acknowledgement has its UIDs.)
pub(crate) const SETTLED_MAX: usize = 5000;

/// One folder of the target.
#[derive(Debug)]
pub(crate) struct Folder {
    /// For people.
    pub(crate) name: String,
    /// As an astring.
    pub(crate) wire: String,
    /// From the sources; nobody has looked yet whether they are there.
    pub(crate) queue: VecDeque<Vec<Mail>>,
    /// To be sent, in this order, before anything of the queue.
    pub(crate) ready: VecDeque<Ready>,
    /// Mails of which some may be there already: their texts have to be compared first.
    pub(crate) doubtful: Option<Doubtful>,
    pub(crate) state: FolderState,
    /// The connection that it belongs to for now, where its mails keep their order.
    pub(crate) owner: Option<usize>,
    /// Tickets that are not closed, oldest first, with their floors.
    pub(crate) on_its_way: Vec<(BatchId, u64)>,
    pub(crate) turns: Turns,
    /// The connection that wants to ask what became of mails: nothing more is sent until it has,
    /// so that no others come in meanwhile and are taken for them.
    pub(crate) asked_by: Option<usize>,
}

/// In which order the commands of several connections end, so that the folder keeps its order.
///
/// A server gives UIDs when a MULTIAPPEND ends. So two connections may send mails of one folder
/// at a time, and the server may take them in at a time, as long as each command's last CRLF
/// waits until all commands before it are answered.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    last: u64,
    /// Commands without an answer and the connections that they are on, in their order.
    open: VecDeque<(u64, usize)>,
}

impl Turns {
    /// The number of the next command, which connection `me` sends.
    pub(crate) fn begin(&mut self, me: usize) -> u64 {
        self.last += 1;
        self.open.push_back((self.last, me));
        self.last
    }

    /// Whether a command may end. A server does the commands of one connection in their order.
    pub(crate) fn may_end(&self, turn: u64, me: usize) -> bool {
        let mut before = self.open.iter().take_while(|(other, _)| *other < turn);
        before.all(|(_, owner)| *owner == me)
    }

    /// The command is answered, or its connection has broken.
    pub(crate) fn end(&mut self, turn: u64) {
        self.open.retain(|(other, _)| *other != turn);
    }

    /// Whether other connections have commands on their way.
    pub(crate) fn has_others(&self, me: usize) -> bool {
        self.open.iter().any(|(_, owner)| *owner != me)
    }
}

/// Mails of one batch, held until the server's texts are there.
#[derive(Debug)]
pub(crate) struct Doubtful {
    /// Each with the UIDs of those that it may be; none where it is none of them.
    pub(crate) mails: Vec<(Mail, Vec<u32>)>,
    /// Somebody is reading those texts.
    pub(crate) is_compared: bool,
}

#[derive(Debug)]
pub(crate) enum FolderState {
    /// Nobody has looked at it, or it has vanished since.
    Unopened,
    /// Somebody is looking at it.
    Opening,
    Open(Opened),
    /// The server does not let mail into it. Said once; what is for it is only counted.
    Blocked,
}

/// What is known of a folder that takes mail.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) id: FolderId,
    pub(crate) uid_validity: u64,
    pub(crate) permitted: PermittedFlags,
    /// UIDNEXT when the server was asked last.
    pub(crate) uid_next: u64,
    /// Ours since then, where their UIDs are known.
    pub(crate) uids: UidSet,
    /// Those that were acknowledged without one.
    pub(crate) settled: Vec<Item>,
    /// Whether the journal has mails as stored whose UIDs it does not know.
    pub(crate) is_unplaced: bool,
}

impl Folder {
    pub(crate) fn new(name: String, wire: String) -> Self {
        Self {
            name,
            wire,
            queue: VecDeque::new(),
            ready: VecDeque::new(),
            doubtful: None,
            state: FolderState::Unopened,
            owner: None,
            on_its_way: Vec::new(),
            turns: Turns::default(),
            asked_by: None,
        }
    }

    pub(crate) fn opened(&mut self) -> Option<&mut Opened> {
        match &mut self.state {
            FolderState::Open(opened) => Some(opened),
            _ => None,
        }
    }

    /// As [`opened`](Self::opened), where mails are handed out: only open folders do that.
    pub(crate) fn expect_open(&mut self) -> Result<&mut Opened, JournalError> {
        let misused = JournalError::Misused("a folder hands out mails before it is open");
        self.opened().ok_or(misused)
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.ready.is_empty() || !self.queue.is_empty() || self.doubtful.is_some()
    }

    /// Whether some connection has to find something out before any other can go on here.
    pub(crate) fn is_looked_at(&self) -> bool {
        let is_compared = self
            .doubtful
            .as_ref()
            .is_some_and(|doubtful| doubtful.is_compared);
        matches!(self.state, FolderState::Opening) || is_compared || self.asked_by.is_some()
    }

    /// No mail that is on its way has a lower UID than this, and every other is accounted for.
    pub(crate) fn watermark(&self) -> Option<u64> {
        let FolderState::Open(opened) = &self.state else {
            return None;
        };
        if opened.is_unplaced() {
            return None;
        }
        Some(self.lowest_floor().unwrap_or_else(|| opened.uid_floor()))
    }

    /// The lowest UID that a mail on its way may have; `None` where none is.
    pub(crate) fn lowest_floor(&self) -> Option<u64> {
        self.on_its_way.iter().map(|(_, floor)| *floor).min()
    }
}

impl Opened {
    pub(crate) fn new(id: FolderId, selected: &Selected) -> Self {
        Self {
            id,
            uid_validity: selected.uid_validity,
            permitted: selected.permitted.clone(),
            uid_next: selected.uid_next,
            uids: UidSet::default(),
            settled: Vec::new(),
            is_unplaced: false,
        }
    }

    /// A folder that a dry run would have made.
    pub(crate) fn missing(id: FolderId) -> Self {
        let nothing = Selected {
            uid_validity: 0,
            uid_next: 1,
            messages: 0,
            permitted: PermittedFlags::All,
        };
        Self::new(id, &nothing)
    }

    /// Whether there are mails of which only the server knows where they are.
    pub(crate) fn is_unplaced(&self) -> bool {
        self.is_unplaced || !self.settled.is_empty()
    }

    /// A mail that is sent now can't get a lower UID: UIDs ascend (RFC 9051, section 2.3.1.1).
    pub(crate) fn uid_floor(&self) -> u64 {
        let highest = self.uids.highest().map_or(0, u64::from);
        self.uid_next.max(highest + 1)
    }

    /// Takes what was acknowledged.
    pub(crate) fn acknowledge(&mut self, mails: &[Mail], uids: Option<&UidSet>) {
        match uids {
            Some(uids) => self.uids.extend(uids),
            None => self.settled.extend(mails.iter().map(Mail::item)),
        }
    }

    /// Takes what was not acknowledged, and is there nevertheless.
    pub(crate) fn found(&mut self, fates: &[Fate]) {
        let uids = fates.iter().filter_map(Fate::uid);
        self.uids.extend(&uids.collect());
    }

    /// The server says where it stands while nothing is on its way.
    pub(crate) fn sync(&mut self, uid_next: u64) {
        self.uid_next = uid_next;
        self.uids = UidSet::default();
        self.settled.clear();
        self.is_unplaced = false;
    }

    /// Whether the server has given out just the UIDs that are known to be ours: then it has
    /// kept nothing else. (The number of mails proves less: others may expunge.)
    pub(crate) fn is_all_known(&self, uid_next: u64) -> bool {
        let known = self.uids.count_from(self.uid_next) + self.settled.len() as u64;
        uid_next == self.uid_next.saturating_add(known)
    }
}

/// The flags that a folder takes (RFC 9051, section 7.1, PERMANENTFLAGS).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PermittedFlags {
    /// A server that says nothing takes all.
    All,
    Listed {
        flags: Vec<String>,
        /// `\*`: keywords that are not listed are made.
        takes_new: bool,
    },
}

impl PermittedFlags {
    /// Reads `PERMANENTFLAGS (\Seen \*)`.
    pub(crate) fn parse(code: &str) -> Option<Self> {
        let list = crate::imap::response::strip_word(code, "PERMANENTFLAGS")?.trim();
        let list = list.strip_prefix('(')?.strip_suffix(')')?;
        let mut flags: Vec<String> = list
            .split_whitespace()
            .map(str::to_ascii_lowercase)
            .collect();
        let listed = flags.len();
        flags.retain(|flag| flag != "\\*");
        Some(Self::Listed {
            takes_new: flags.len() < listed,
            flags,
        })
    }

    /// Takes away what is not permitted; how many flags that were.
    pub(crate) fn filter(&self, wanted: &mut Vec<Flag>) -> u64 {
        let Self::Listed { flags, takes_new } = self else {
            return 0;
        };
        let before = wanted.len();
        wanted.retain(|flag| {
            (*takes_new && !flag.starts_with('\\'))
                || flags.iter().any(|known| known.eq_ignore_ascii_case(flag))
        });
        (before - wanted.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: &str, wanted: &[&'static str], expected: &[&str]) {
        let permitted = PermittedFlags::parse(code).unwrap();
        let mut flags: Vec<Flag> = wanted.iter().map(|flag| Flag::from(*flag)).collect();
        let dropped = permitted.filter(&mut flags);
        assert_eq!(flags, expected, "{code}");
        assert_eq!(dropped, (wanted.len() - expected.len()) as u64);
    }

    #[test]
    fn commands_of_two_connections_end_in_turn() {
        let mut turns = Turns::default();
        let (a, b) = (0, 1);
        let [first, second, third] = [a, b, a].map(|me| turns.begin(me));
        assert!(turns.may_end(first, a) && !turns.may_end(second, b));
        assert!(!turns.may_end(third, a));
        turns.end(first);
        assert!(turns.may_end(second, b) && !turns.may_end(third, a));
        assert!(turns.has_others(a) && turns.has_others(b));
        turns.end(second);
        assert!(turns.may_end(third, a));
        let fourth = turns.begin(a);
        assert!(
            turns.may_end(fourth, a),
            "one connection keeps its order by itself"
        );
        assert!(!turns.has_others(a));
    }

    #[test]
    fn permitted_flags() {
        let wanted = ["\\Seen", "\\Flagged", "$Forwarded", "Work"];
        check(
            "PERMANENTFLAGS (\\seen \\*)",
            &wanted,
            &["\\Seen", "$Forwarded", "Work"],
        );
        check(
            "permanentflags (\\Seen $forwarded)",
            &wanted,
            &["\\Seen", "$Forwarded"],
        );
        check("PERMANENTFLAGS ()", &wanted, &[]);
        assert_eq!(PermittedFlags::parse("UIDNEXT 5"), None);
        let mut flags = vec![Flag::from("Work")];
        assert_eq!(PermittedFlags::All.filter(&mut flags), 0);
    }
}
