//! Which mails a server has of those that it never acknowledged: pure.
//!
//! After a cut link or a refused batch nobody knows what was kept. The server is asked what came
//! into the folder since; here its answer is held against what had been sent. Size and identity
//! tell most mails; where they do not tell enough, the texts' digests do.

use std::collections::HashMap;

use crate::mail::{Digest, Item, OnServer};

/// What became of a mail that was sent and not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Stored {
        uid: u32,
    },
    /// It is there by its Message-ID and dates, and not as it was sent.
    Altered {
        uid: u32,
    },
    Absent,
}

impl Fate {
    /// Whether both are there, or both are not.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        (*self == Self::Absent) == (*other == Self::Absent)
    }

    /// The UID that the mail has.
    pub(crate) fn uid(&self) -> Option<u32> {
        match *self {
            Fate::Stored { uid } | Fate::Altered { uid } => Some(uid),
            Fate::Absent => None,
        }
    }
}

/// What a [`Question`] comes to.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Of `pending`, in their order.
    pub(crate) fates: Vec<Fate>,
    /// What is in the folder and not ours.
    pub(crate) others: Vec<OnServer>,
}

/// Mails that were sent, and what has come into the folder since.
#[derive(Debug, Default)]
pub(crate) struct Question {
    /// Acknowledged without a UID: each is one of `found`, and no fate of another.
    pub(crate) settled: Vec<Item>,
    /// In the order in which they were sent.
    pub(crate) pending: Vec<Item>,
    /// Without those that are known by their UIDs.
    pub(crate) found: Vec<OnServer>,
}

impl Question {
    /// The UIDs of those whose text has to be compared, because size and identity fit and do not
    /// tell enough.
    pub(crate) fn texts_needed(&self) -> Vec<u32> {
        let mut digests: HashMap<(u64, u64), Option<Digest>> = HashMap::new();
        for item in self.settled.iter().chain(&self.pending) {
            let group = digests
                .entry((item.identity.key, item.len))
                .or_insert(Some(item.digest));
            if !item.identity.has_message_id || *group != Some(item.digest) {
                *group = None;
            }
        }
        let is_needed = |mail: &&OnServer| {
            let group = digests.get(&(mail.identity.key, mail.len));
            group.is_some_and(Option::is_none)
        };
        self.found
            .iter()
            .filter(is_needed)
            .map(|mail| mail.uid)
            .collect()
    }

    /// What became of them, given the digests of [`texts_needed`](Self::texts_needed).
    ///
    /// The settled claim theirs first. What fits exactly is claimed before what was altered, and
    /// a mail without a Message-ID is never taken for another one's alteration.
    pub(crate) fn answer(&self, texts: &HashMap<u32, Digest>) -> Answer {
        let mut claims = Claims {
            found: &self.found,
            is_claimed: vec![false; self.found.len()],
            by_key: HashMap::new(),
        };
        for (at, mail) in self.found.iter().enumerate() {
            claims.by_key.entry(mail.identity.key).or_default().push(at);
        }
        let mut fates = vec![Fate::Absent; self.pending.len()];
        let mut unclaimed: Vec<&Item> = self.settled.iter().collect();
        for rank in [Rank::Text, Rank::Size, Rank::Identity] {
            unclaimed.retain(|item| claims.claim(item, rank, texts).is_none());
            let absent = fates.iter_mut().zip(&self.pending);
            for (fate, item) in absent.filter(|(fate, _)| **fate == Fate::Absent) {
                match claims.claim(item, rank, texts) {
                    Some(uid) if rank == Rank::Text => *fate = Fate::Stored { uid },
                    Some(uid) => *fate = Fate::Altered { uid },
                    None => {}
                }
            }
        }
        let others = self.found.iter().zip(claims.is_claimed);
        let others = others.filter_map(|(mail, is_claimed)| (!is_claimed).then_some(*mail));
        Answer {
            fates,
            others: others.collect(),
        }
    }
}

/// How well a mail on the server has to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    /// The text is the same, or size and identity are and nobody else has the same.
    Text,
    /// Size and identity are the same, the text is not: altered.
    Size,
    /// Only the identity is the same: altered.
    Identity,
}

struct Claims<'f> {
    found: &'f [OnServer],
    is_claimed: Vec<bool>,
    by_key: HashMap<u64, Vec<usize>>,
}

impl Claims<'_> {
    /// Claims the first mail that fits; its UID.
    fn claim(&mut self, item: &Item, rank: Rank, texts: &HashMap<u32, Digest>) -> Option<u32> {
        let candidates = self.by_key.get(&item.identity.key)?;
        let fits = |mail: &OnServer| match (rank, texts.get(&mail.uid)) {
            (Rank::Text, Some(digest)) => mail.len == item.len && *digest == item.digest,
            (Rank::Text | Rank::Size, _) => mail.len == item.len && item.identity.has_message_id,
            (Rank::Identity, _) => item.identity.has_message_id,
        };
        let at = candidates
            .iter()
            .copied()
            .find(|&at| !self.is_claimed[at] && fits(&self.found[at]))?;
        self.is_claimed[at] = true;
        Some(self.found[at].uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Identity;

    fn item(text: u8, key: u64, len: u64) -> Item {
        Item {
            digest: [text; 32],
            identity: identity(key),
            len,
        }
    }

    /// Keys from 100 on have no Message-ID.
    fn identity(key: u64) -> Identity {
        Identity {
            key,
            has_message_id: key < 100,
        }
    }

    fn mail(uid: u32, key: u64, len: u64) -> OnServer {
        OnServer {
            uid,
            identity: identity(key),
            len,
        }
    }

    #[track_caller]
    fn check(
        settled: &[Item],
        pending: &[Item],
        found: &[OnServer],
        texts: &[(u32, u8)],
        expected: &[Fate],
    ) {
        let question = Question {
            settled: settled.to_vec(),
            pending: pending.to_vec(),
            found: found.to_vec(),
        };
        let asked: Vec<_> = texts.iter().map(|(uid, _)| *uid).collect();
        assert_eq!(question.texts_needed(), asked, "texts");
        let texts = texts
            .iter()
            .map(|(uid, text)| (*uid, [*text; 32]))
            .collect();
        assert_eq!(question.answer(&texts).fates, expected);
    }

    #[test]
    fn size_and_message_id_tell() {
        let stored = |uid| Fate::Stored { uid };
        check(
            &[],
            &[item(1, 1, 10), item(2, 2, 10), item(3, 3, 10)],
            &[mail(7, 2, 10), mail(8, 9, 10), mail(9, 3, 10)],
            &[],
            &[Fate::Absent, stored(7), stored(9)],
        );
        check(&[], &[item(1, 1, 10)], &[], &[], &[Fate::Absent]);
    }

    #[test]
    fn the_same_mail_twice_is_two_mails() {
        check(
            &[item(1, 1, 10)],
            &[item(1, 1, 10), item(1, 1, 10)],
            &[mail(7, 1, 10), mail(8, 1, 10)],
            &[],
            &[Fate::Stored { uid: 8 }, Fate::Absent],
        );
    }

    #[test]
    fn alike_mails_are_told_apart_by_their_text() {
        check(
            &[item(1, 1, 10)],
            &[item(2, 1, 10), item(3, 1, 10)],
            &[mail(7, 1, 10), mail(8, 1, 10)],
            &[(7, 3), (8, 1)],
            &[Fate::Absent, Fate::Stored { uid: 7 }],
        );
    }

    #[test]
    fn without_a_message_id_only_the_text_tells() {
        check(
            &[],
            &[item(1, 100, 10), item(2, 101, 10)],
            &[mail(7, 100, 10), mail(8, 101, 10)],
            &[(7, 1), (8, 9)],
            &[Fate::Stored { uid: 7 }, Fate::Absent],
        );
    }

    #[test]
    fn altered_mails() {
        check(
            &[item(4, 4, 10)],
            &[item(1, 1, 10), item(2, 1, 20), item(3, 3, 30)],
            &[mail(6, 4, 11), mail(7, 1, 12), mail(8, 1, 20)],
            &[],
            &[
                Fate::Altered { uid: 7 },
                Fate::Stored { uid: 8 },
                Fate::Absent,
            ],
        );
        // Of the same size, as where a NUL became another byte.
        check(
            &[],
            &[item(1, 1, 10), item(2, 1, 10)],
            &[mail(7, 1, 10), mail(8, 1, 10)],
            &[(7, 9), (8, 2)],
            &[Fate::Altered { uid: 7 }, Fate::Stored { uid: 8 }],
        );
    }
}
