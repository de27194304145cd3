//! Sets of message numbers: `1:3,7,10:*`.

use super::token::{Cursor, SyntaxError};

/// Ranges in one set.
const RANGES_MAX: usize = 8192;

/// A set as the client wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Set(Vec<(Bound, Bound)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Number(u32),
    /// The largest number in use.
    Star,
}

/// A set whose stars are known: sorted ranges that don't touch. A range counts for nothing
/// more than its two ends, so `1:4294967295` is as cheap as `1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ranges(Vec<(u32, u32)>);

impl Set {
    pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, SyntaxError> {
        let mut ranges = Vec::new();
        loop {
            if ranges.len() >= RANGES_MAX {
                return Err(SyntaxError::TooMany("ranges"));
            }
            let first = bound(cursor)?;
            let last = if cursor.take(b':') {
                bound(cursor)?
            } else {
                first
            };
            ranges.push((first, last));
            if !cursor.take(b',') {
                return Ok(Self(ranges));
            }
        }
    }

    /// Resolves the stars; `largest` is 0 in an empty folder.
    pub(crate) fn resolve(&self, largest: u32) -> Ranges {
        let number = |bound: Bound| match bound {
            Bound::Number(number) => number,
            Bound::Star => largest.max(1),
        };
        let mut ranges: Vec<(u32, u32)> = self
            .0
            .iter()
            .map(|(first, last)| (number(*first), number(*last)))
            .map(|(first, last)| (first.min(last), first.max(last)))
            .collect();
        ranges.sort_unstable();
        ranges.dedup_by(|next, kept| {
            let joins = next.0 <= kept.1.saturating_add(1);
            if joins {
                kept.1 = kept.1.max(next.1);
            }
            joins
        });
        Ranges(ranges)
    }
}

impl Ranges {
    /// First and last of each range, in order.
    pub(crate) fn each(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.0.iter().copied()
    }

    pub(crate) fn contains(&self, number: u32) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= number);
        after > 0 && self.0[after - 1].1 >= number
    }
}

fn bound(cursor: &mut Cursor<'_>) -> Result<Bound, SyntaxError> {
    if cursor.take(b'*') {
        return Ok(Bound::Star);
    }
    match u32::try_from(cursor.number()?) {
        Ok(number) if number > 0 => Ok(Bound::Number(number)),
        _ => Err(SyntaxError::Expected("a message number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sets() {
        let check = |input: &str, largest: u32, expected: Option<&[(u32, u32)]>| {
            let set = Set::parse(&mut Cursor::new(input.as_bytes())).ok();
            let ranges = set.map(|set| set.resolve(largest).0);
            assert_eq!(ranges.as_deref(), expected, "{input}");
        };
        check("1", 9, Some(&[(1, 1)]));
        check("3:1,5,4", 9, Some(&[(1, 5)]));
        check("1:*", 9, Some(&[(1, 9)]));
        check("12:*", 9, Some(&[(9, 12)]));
        check("*", 0, Some(&[(1, 1)]));
        check("1:4294967295,2", 9, Some(&[(1, u32::MAX)]));
        check("4294967296", 9, None);
        check("0", 9, None);
        check("1,", 9, None);
        check("", 9, None);
        check(&"1,".repeat(RANGES_MAX + 1), 9, None);
    }

    #[test]
    fn membership() {
        let ranges = Set::parse(&mut Cursor::new(b"2:3,7")).unwrap().resolve(9);
        let found: Vec<u32> = (0..10).filter(|number| ranges.contains(*number)).collect();
        assert_eq!(found, [2, 3, 7]);
    }

    proptest! {
        #[test]
        fn ranges_hold_what_the_set_says(bounds in prop::collection::vec((1u32..30, 1u32..30), 1..6)) {
            let spelled: Vec<String> = bounds.iter().map(|(a, b)| format!("{a}:{b}")).collect();
            let set = Set::parse(&mut Cursor::new(spelled.join(",").as_bytes())).unwrap();
            let ranges = set.resolve(30);
            let each: Vec<u32> = ranges.each().flat_map(|(first, last)| first..=last).collect();
            let expected: Vec<u32> = (1..30)
                .filter(|number| {
                    let within = |(a, b): &(u32, u32)| (a.min(b)..=a.max(b)).contains(&number);
                    bounds.iter().any(within)
                })
                .collect();
            prop_assert_eq!(&each, &expected);
            prop_assert!((1..30).all(|n| ranges.contains(n) == expected.contains(&n)));
        }
    }
}
