//! The names in a folder, in order, in bounded memory.
//!
//! A million names of a Maildir would be 60 MB. So only as many are kept as fit, the first in
//! the order; when they are used up, the folder is listed again for those that follow. That
//! costs one listing (a third of a second for a million names) each 100,000 mails or so.

use std::cmp::Ordering;

use super::maildir;

/// Most bytes of names that are kept at once; with the entries at most 12 MiB.
const ARENA_BYTES_MAX: usize = 8 << 20;

/// Most names that are kept at once, at 16 bytes beside the name itself.
const ENTRIES_MAX: usize = 256 << 10;

/// In which order a folder's files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// A Maildir's: by the seconds with which the names begin, then by the name as far as it
    /// stays when flags change. Seconds of different length do not sort as text.
    Delivery,
    /// As a person counts: `2.eml` before `10.eml`.
    Natural,
}

/// A file of the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name<'n> {
    /// In which of the folder's directories it is.
    pub(super) directory: u8,
    pub(super) bytes: &'n [u8],
}

/// From which name on names are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Start {
    First,
    /// This name and what follows it.
    At(Vec<u8>),
    /// What follows this name.
    After(Vec<u8>),
}

/// The next names of a folder, sorted.
#[derive(Debug)]
pub(super) struct Names {
    order: Order,
    from: Start,
    /// Nothing beyond this name is kept: it did not fit.
    ceiling: Option<Vec<u8>>,
    /// For each name the number of its directory, then the name.
    arena: Vec<u8>,
    entries: Vec<Entry>,
    arena_bytes_max: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    seconds: u64,
    offset: u32,
    /// Length of the name, and of the part of it that sorts.
    len: u16,
    base_len: u16,
}

impl Names {
    pub(super) fn new(order: Order) -> Self {
        Self::bounded(order, ARENA_BYTES_MAX)
    }

    fn bounded(order: Order, arena_bytes_max: usize) -> Self {
        Self {
            order,
            from: Start::First,
            ceiling: None,
            arena: Vec::new(),
            entries: Vec::new(),
            arena_bytes_max,
        }
    }

    /// Forgets all names, and waits for those from `from` on to be offered.
    pub(super) fn restart(&mut self, from: Start) {
        self.from = from;
        self.ceiling = None;
        self.arena.clear();
        self.entries.clear();
    }

    /// Takes a name if it is one of the next, in no order.
    pub(super) fn offer(&mut self, directory: u8, name: &[u8]) {
        // No file system has names this long.
        let Ok(len) = u16::try_from(name.len()) else {
            return;
        };
        let base = self.order.base(name);
        let is_wanted = match &self.from {
            Start::First => true,
            Start::At(first) => self.order.compare(base, first).is_ge(),
            Start::After(last) => self.order.compare(base, last).is_gt(),
        };
        if !is_wanted || self.is_above(base) {
            return;
        }
        let is_full = self.entries.len() >= ENTRIES_MAX
            || self.arena.len() + 1 + name.len() > self.arena_bytes_max;
        if is_full {
            self.cut();
            if self.is_above(base) {
                return;
            }
        }
        let (seconds, base_len) = (self.order.seconds(base), base.len());
        // An arena is far smaller, and a base no longer than its name.
        let (Ok(offset), Ok(base_len)) = (u32::try_from(self.arena.len()), u16::try_from(base_len))
        else {
            return;
        };
        self.arena.push(directory);
        self.arena.extend_from_slice(name);
        self.entries.push(Entry {
            seconds,
            offset,
            len,
            base_len,
        });
    }

    fn is_above(&self, base: &[u8]) -> bool {
        let ceiling = self.ceiling.as_ref();
        ceiling.is_some_and(|top| self.order.compare(base, top).is_gt())
    }

    /// Drops the last quarter, to make room.
    fn cut(&mut self) {
        self.sort();
        let mut kept = self.entries.len() * 3 / 4;
        // Names that differ in their flags only stay together, or the later one would never be
        // asked for.
        while kept > 0
            && kept < self.entries.len()
            && self
                .compare(&self.entries[kept - 1], &self.entries[kept])
                .is_eq()
        {
            kept += 1;
        }
        self.entries.truncate(kept);
        self.ceiling = self.entries.last().map(|last| self.base(last).to_owned());
        // What is kept moves to the front, without a second arena beside the first.
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_unstable_by_key(|entry| entry.offset);
        let mut end = 0;
        for entry in &mut entries {
            let start = entry.offset as usize;
            let len = 1 + usize::from(entry.len);
            self.arena.copy_within(start..start + len, end);
            // No further back than it was.
            entry.offset = u32::try_from(end).unwrap_or(entry.offset);
            end += len;
        }
        self.arena.truncate(end);
        self.entries = entries;
    }

    /// Sorts what was offered. Now the names can be read.
    pub(super) fn sort(&mut self) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_unstable_by(|a, b| {
            let by_base = self.compare(a, b);
            by_base.then_with(|| self.name(a).bytes.cmp(self.name(b).bytes))
        });
        self.entries = entries;
    }

    /// Whether nothing follows these names.
    #[cfg(test)]
    pub(super) fn is_rest(&self) -> bool {
        self.ceiling.is_none()
    }

    pub(super) fn get(&self, index: usize) -> Option<Name<'_>> {
        self.entries.get(index).map(|entry| self.name(entry))
    }

    /// Whether a name and the one before are one mail's by all that stays when flags change.
    pub(super) fn is_twin(&self, index: usize) -> bool {
        let before = index
            .checked_sub(1)
            .and_then(|before| self.entries.get(before));
        let pair = before.zip(self.entries.get(index));
        pair.is_some_and(|(before, entry)| self.compare(before, entry).is_eq())
    }

    /// The part of a name that stays when flags change.
    pub(super) fn base_of(&self, index: usize) -> Option<&[u8]> {
        self.entries.get(index).map(|entry| self.base(entry))
    }

    /// From where the names go on that did not fit.
    pub(super) fn next(&self) -> Option<Start> {
        self.ceiling.clone().map(Start::After)
    }

    fn name(&self, entry: &Entry) -> Name<'_> {
        let start = entry.offset as usize;
        Name {
            directory: self.arena[start],
            bytes: &self.arena[start + 1..][..usize::from(entry.len)],
        }
    }

    fn base(&self, entry: &Entry) -> &[u8] {
        &self.name(entry).bytes[..usize::from(entry.base_len)]
    }

    fn compare(&self, a: &Entry, b: &Entry) -> Ordering {
        let by_seconds = a.seconds.cmp(&b.seconds);
        by_seconds.then_with(|| self.order.compare_bases(self.base(a), self.base(b)))
    }
}

impl Order {
    /// The part of a name that sorts.
    pub(super) fn base(self, name: &[u8]) -> &[u8] {
        match self {
            Self::Delivery => maildir::split_name(name).0,
            Self::Natural => name,
        }
    }

    fn seconds(self, base: &[u8]) -> u64 {
        match self {
            Self::Delivery => maildir::delivery_seconds(base),
            Self::Natural => 0,
        }
    }

    fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
        let by_seconds = self.seconds(a).cmp(&self.seconds(b));
        by_seconds.then_with(|| self.compare_bases(a, b))
    }

    fn compare_bases(self, a: &[u8], b: &[u8]) -> Ordering {
        match self {
            Self::Delivery => a.cmp(b),
            Self::Natural => natural(a, b).then_with(|| a.cmp(b)),
        }
    }
}

/// Compares byte by byte, but runs of digits as numbers.
fn natural(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        let (number_a, number_b) = (leading_number(a), leading_number(b));
        if number_a.is_empty() || number_b.is_empty() {
            match (a.split_first(), b.split_first()) {
                (Some((x, rest_a)), Some((y, rest_b))) if x == y => (a, b) = (rest_a, rest_b),
                (x, y) => return x.map(|(x, _)| x).cmp(&y.map(|(y, _)| y)),
            }
            continue;
        }
        let ordering = significant(number_a).cmp(&significant(number_b));
        if ordering.is_ne() {
            return ordering;
        }
        (a, b) = (&a[number_a.len()..], &b[number_b.len()..]);
    }
}

fn leading_number(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_digit());
    &text[..end.unwrap_or(text.len())]
}

/// A number of any length as it compares: by its digits' count, then by the digits.
fn significant(number: &[u8]) -> (usize, &[u8]) {
    let start = number.iter().position(|&digit| digit != b'0');
    let digits = &number[start.unwrap_or(number.len())..];
    (digits.len(), digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_in_names_count() {
        for (a, b, expected) in [
            ("2.eml", "10.eml", Ordering::Less),
            ("a2b3", "a2b12", Ordering::Less),
            ("a", "a1", Ordering::Less),
            ("1.eml", "01.eml", Ordering::Equal),
            ("1", "a", Ordering::Less),
            (
                "99999999999999999999999",
                "100000000000000000000000",
                Ordering::Less,
            ),
        ] {
            assert_eq!(natural(a.as_bytes(), b.as_bytes()), expected, "{a} {b}");
            assert_eq!(natural(b.as_bytes(), a.as_bytes()), expected.reverse());
        }
    }

    #[test]
    fn delivery_comes_before_names() {
        let mut names = Names::new(Order::Delivery);
        for name in [
            "1000000000.b:2,S",
            "999999999.a",
            "1000000000.a",
            "x",
            "1000000000.b:2,",
        ] {
            names.offer(0, name.as_bytes());
        }
        names.sort();
        let sorted: Vec<_> = (0..5)
            .filter_map(|n| names.get(n))
            .map(|n| n.bytes)
            .collect();
        let expected: [&[u8]; 5] = [
            b"x",
            b"999999999.a",
            b"1000000000.a",
            b"1000000000.b:2,",
            b"1000000000.b:2,S",
        ];
        assert_eq!(sorted, expected);
        assert!(names.is_twin(4) && !names.is_twin(3) && names.is_rest());
    }

    /// Reads all names through a window, as a reader does.
    fn through_window(order: Order, arena_bytes_max: usize, folder: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut names = Names::bounded(order, arena_bytes_max);
        let (mut all, mut from) = (Vec::new(), Start::First);
        loop {
            names.restart(from);
            for name in folder {
                names.offer(0, name);
            }
            names.sort();
            assert!(names.arena.len() <= arena_bytes_max);
            all.extend(
                (0..)
                    .map_while(|n| names.get(n))
                    .map(|name| name.bytes.to_owned()),
            );
            match names.next() {
                Some(next) => from = next,
                None => return all,
            }
        }
    }

    proptest! {
        #[test]
        fn a_window_shows_each_name_once_and_in_order(
            folder in proptest::collection::btree_set("[0-9a.:,2S]{1,12}", 0..200),
            natural in any::<bool>(),
        ) {
            let order = if natural { Order::Natural } else { Order::Delivery };
            let folder: Vec<_> = folder.into_iter().map(String::into_bytes).collect();
            // Room for all the names that differ in their flags only.
            let seen = through_window(order, 1000, &folder);
            prop_assert_eq!(&seen, &through_window(order, ARENA_BYTES_MAX, &folder));
            let mut sorted = seen;
            sorted.sort();
            prop_assert_eq!(sorted, folder);
        }

        #[test]
        fn natural_order_is_an_order(mut names in proptest::collection::vec("[0-9ab.]{0,6}", 3)) {
            names.sort_by(|a, b| Order::Natural.compare(a.as_bytes(), b.as_bytes()));
            let compare = |a: usize, b: usize| {
                Order::Natural.compare(names[a].as_bytes(), names[b].as_bytes())
            };
            prop_assert!(compare(0, 1).is_le() && compare(1, 2).is_le() && compare(0, 2).is_le());
            prop_assert_eq!(compare(0, 2).is_eq(), names[0] == names[2]);
        }
    }
}
