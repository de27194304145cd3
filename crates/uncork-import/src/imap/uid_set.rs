//! Sets of UIDs, as APPENDUID tells them (RFC 4315): `5,7:9`.

use std::ops::RangeInclusive;

use super::response::{number, strip_word};

/// Most ranges in one set: more than any server needs for a batch.
const RANGES_MAX: usize = 4096;

/// UIDs in the order in which they were told; not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct UidSet(Vec<RangeInclusive<u32>>);

impl UidSet {
    /// Reads `5,7:9`; a range may be told backwards. `None` for anything else (`*`, 0).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let uid = |text| number(text).filter(|&uid: &u32| uid != 0);
        let mut ranges = Vec::new();
        for part in text.split(',') {
            if ranges.len() == RANGES_MAX {
                return None;
            }
            let (first, last) = part.split_once(':').unwrap_or((part, part));
            let (first, last) = (uid(first)?, uid(last)?);
            ranges.push(first.min(last)..=first.max(last));
        }
        Some(Self(ranges))
    }

    /// The UIDs that `APPENDUID 38505 3955:3957` tells, with their UIDVALIDITY.
    pub(crate) fn of_append(code: &str) -> Option<(u64, Self)> {
        let rest = strip_word(code, "APPENDUID")?;
        let (validity, uids) = rest.trim().split_once(' ')?;
        Some((number(validity)?, Self::parse(uids.trim())?))
    }

    pub(crate) fn ranges(&self) -> &[RangeInclusive<u32>] {
        &self.0
    }

    pub(crate) fn count(&self) -> u64 {
        let len = |range: &RangeInclusive<u32>| u64::from(range.end() - range.start()) + 1;
        self.0.iter().map(len).sum()
    }

    /// How many there are from one on, those that were told twice counted once.
    pub(crate) fn count_from(&self, first: u64) -> u64 {
        let mut ranges: Vec<(u64, u64)> = self
            .0
            .iter()
            .map(|range| (u64::from(*range.start()), u64::from(*range.end()) + 1))
            .collect();
        ranges.sort_unstable();
        let mut counted_to = first;
        let mut count = 0;
        for (start, end) in ranges {
            count += end.saturating_sub(start.max(counted_to));
            counted_to = counted_to.max(end);
        }
        count
    }

    pub(crate) fn highest(&self) -> Option<u32> {
        self.0.iter().map(|range| *range.end()).max()
    }

    /// Adds UIDs that are not in it. Those that follow the last ones make it no longer.
    pub(crate) fn extend(&mut self, more: &UidSet) {
        for range in &more.0 {
            match self.0.last_mut() {
                Some(last) if last.end().checked_add(1) == Some(*range.start()) => {
                    *last = *last.start()..=*range.end();
                }
                _ => self.0.push(range.clone()),
            }
        }
    }

    pub(crate) fn contains(&self, uid: u32) -> bool {
        self.0.iter().any(|range| range.contains(&uid))
    }
}

impl std::fmt::Display for UidSet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (n, range) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(formatter, "{comma}{first}")?,
                (first, last) => write!(formatter, "{comma}{first}:{last}")?,
            }
        }
        Ok(())
    }
}

impl FromIterator<u32> for UidSet {
    fn from_iter<I: IntoIterator<Item = u32>>(uids: I) -> Self {
        let mut set = Self::default();
        for uid in uids {
            set.extend(&UidSet(vec![uid..=uid]));
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sets() {
        for (text, expected) in [
            ("5", Some((1, 5))),
            ("5:7", Some((3, 7))),
            ("7:5,9", Some((4, 9))),
            ("4294967295", Some((1, u32::MAX))),
            ("", None),
            ("0", None),
            ("1,", None),
            ("1:*", None),
            ("4294967296", None),
            ("-1", None),
            ("+1", None),
            ("1:+2", None),
        ] {
            let set = UidSet::parse(text);
            let found = set.map(|set| (set.count(), set.highest().unwrap()));
            assert_eq!(found, expected, "{text}");
        }
        let (validity, uids) = UidSet::of_append("appenduid 38505 3955:3957").unwrap();
        assert_eq!((validity, uids.to_string().as_str()), (38505, "3955:3957"));
        assert_eq!(UidSet::of_append("APPENDUID 38505"), None);
        assert_eq!(UidSet::of_append("APPENDUID +38505 3955"), None);
    }

    proptest! {
        #[test]
        fn any_text(text in "[0-9:,* ]{0,40}") {
            if let Some(set) = UidSet::parse(&text) {
                prop_assert_eq!(UidSet::parse(&set.to_string()), Some(set));
            }
        }

        #[test]
        fn uids_one_by_one(uids in prop::collection::vec(1u32..50, 1..40)) {
            let set: UidSet = uids.iter().copied().collect();
            prop_assert_eq!(set.count(), uids.len() as u64);
            let different: std::collections::HashSet<u32> =
                uids.iter().copied().filter(|&uid| uid >= 20).collect();
            prop_assert_eq!(set.count_from(20), different.len() as u64);
            for uid in 0..60 {
                prop_assert_eq!(set.contains(uid), uids.contains(&uid));
            }
        }
    }
}
