//! What earlier runs left and this one has not met yet: a sorted multimap that only shrinks.

use std::ops::RangeInclusive;

/// Entries in ascending order, of which some have been claimed. A claim is forever.
///
/// Sorted rather than hashed: nothing is added once a folder is open, a range of entries is a
/// key with all its values, and no hash table degrades under a thousand copies of one mail.
/// Costs 4 bytes an entry beside the entry itself.
#[derive(Debug, Default)]
pub(super) struct Unclaimed<T> {
    entries: Vec<T>,
    /// For each entry a later one (or the end) with only claimed ones from here to there; itself
    /// where it is unclaimed. Chains are halved as they are walked, so that long runs of claimed
    /// entries are jumped over.
    next: Vec<u32>,
}

impl<T: Ord + Copy> Unclaimed<T> {
    /// Of equal entries one is kept, and no more than `u32::MAX` of all.
    pub(super) fn new(mut entries: Vec<T>) -> Self {
        entries.sort_unstable();
        entries.dedup();
        entries.truncate(u32::MAX as usize);
        entries.shrink_to_fit();
        let next = (0..=u32::MAX).take(entries.len()).collect();
        Self { entries, next }
    }

    /// Of all entries, the claimed ones too.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The unclaimed entries of a range, in ascending order.
    pub(super) fn range(&mut self, range: RangeInclusive<T>) -> impl Iterator<Item = T> + '_ {
        let mut from = self.entries.partition_point(|entry| entry < range.start());
        std::iter::from_fn(move || {
            let at = self.unclaimed_from(from);
            from = at + 1;
            let entry = self.entries.get(at).copied();
            entry.filter(|entry| entry <= range.end())
        })
    }

    /// Claims the first unclaimed entry of a range that `is_it`, if there is one.
    pub(super) fn claim_first<E>(
        &mut self,
        range: RangeInclusive<T>,
        mut is_it: impl FnMut(T) -> Result<bool, E>,
    ) -> Result<Option<T>, E> {
        let mut found = None;
        for entry in self.range(range) {
            if is_it(entry)? {
                found = Some(entry);
                break;
            }
        }
        if let Some(entry) = found {
            self.claim(entry);
        }
        Ok(found)
    }

    /// Whether it was there to claim.
    pub(super) fn claim(&mut self, entry: T) -> bool {
        match self.entries.binary_search(&entry) {
            Ok(at) if self.next[at] as usize == at => {
                self.next[at] += 1;
                true
            }
            _ => false,
        }
    }

    pub(super) fn contains(&self, entry: T) -> bool {
        let found = self.entries.binary_search(&entry);
        found.is_ok_and(|at| self.next[at] as usize == at)
    }

    /// All that is unclaimed, in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        let entries = self.entries.iter().zip(&self.next).zip(0_u32..);
        entries.filter_map(|((&entry, &next), at)| (next == at).then_some(entry))
    }

    fn unclaimed_from(&mut self, mut at: usize) -> usize {
        while let Some(&next) = self.next.get(at) {
            let next = next as usize;
            if next == at {
                break;
            }
            if let Some(&after) = self.next.get(next) {
                self.next[at] = after;
            }
            at = next;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_run_of_claims_is_jumped_over() {
        let mut unclaimed = Unclaimed::new((0..100_000_u64).collect());
        for expected in 0..100_000 {
            let any = |_| Ok::<_, Infallible>(true);
            assert_eq!(unclaimed.claim_first(0..=u64::MAX, any), Ok(Some(expected)));
        }
        assert_eq!(unclaimed.range(0..=u64::MAX).next(), None);
        assert_eq!(unclaimed.iter().next(), None);
    }

    #[test]
    fn the_first_that_is_it() {
        let mut unclaimed = Unclaimed::new(vec![u64::MAX, 3, 2, 1, 3]);
        assert_eq!(unclaimed.len(), 4);
        let odd = |entry| Ok::<_, Infallible>(entry % 2 == 1);
        assert_eq!(unclaimed.claim_first(2..=u64::MAX, odd), Ok(Some(3)));
        assert_eq!(unclaimed.claim_first(2..=9, odd), Ok(None));
        assert_eq!(unclaimed.claim_first(2..=u64::MAX, odd), Ok(Some(u64::MAX)));
        assert_eq!(unclaimed.claim_first(2..=9, Err), Err(2));
        assert!(unclaimed.iter().eq([1, 2]));
    }

    proptest! {
        #[test]
        fn like_a_set(
            start in prop::collection::btree_set(0_u64..64, 0..40),
            steps in prop::collection::vec((0_u64..64, 0_u64..64), 0..100),
        ) {
            let mut model: BTreeSet<u64> = start.clone();
            let mut unclaimed = Unclaimed::new(start.into_iter().rev().collect());
            for (low, high) in steps {
                let high = low.max(high);
                prop_assert!(unclaimed.range(low..=high).eq(model.range(low..=high).copied()));
                prop_assert_eq!(unclaimed.contains(high), model.contains(&high));
                prop_assert_eq!(unclaimed.claim(high), model.remove(&high));
                prop_assert!(unclaimed.iter().eq(model.iter().copied()));
            }
        }
    }
}
