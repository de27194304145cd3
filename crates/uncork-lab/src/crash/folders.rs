//! What lies in folders, counted, and how that differs from what should.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// Mails by folder, each with the number of times it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Folders(BTreeMap<String, BTreeMap<Vec<u8>, u64>>);

/// How the folders of a server differ from their source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// Mails that are there less often than they should, unless they were altered.
    pub(super) lost: u64,
    /// Mails that are there more often than they should.
    pub(super) doubled: u64,
    /// Mails that the source has not, each in the place of one that is missing.
    pub(super) altered: u64,
    /// The first of them, for people.
    pub(super) examples: Vec<String>,
}

/// How many examples are shown.
const EXAMPLES_MAX: usize = 6;

impl Folders {
    pub(super) fn add(&mut self, folder: &str, mail: Vec<u8>) {
        let folder = self.0.entry(folder.to_owned()).or_default();
        *folder.entry(mail).or_default() += 1;
    }

    pub(super) fn bytes(&self) -> u64 {
        let mails = self.0.values().flatten();
        mails.map(|(mail, times)| mail.len() as u64 * times).sum()
    }
}

/// Holds what a server has against what it should have.
pub(super) fn compare(expected: &Folders, found: &Folders) -> Difference {
    let mut difference = Difference::default();
    let none = BTreeMap::new();
    let names: BTreeSet<&String> = expected.0.keys().chain(found.0.keys()).collect();
    for name in names {
        let expected = expected.0.get(name).unwrap_or(&none);
        let found = found.0.get(name).unwrap_or(&none);
        let mails: BTreeSet<&Vec<u8>> = expected.keys().chain(found.keys()).collect();
        let (mut missing, mut strange) = (0, 0);
        for mail in mails {
            let should = expected.get(mail).copied().unwrap_or(0);
            let has = found.get(mail).copied().unwrap_or(0);
            if should == has {
                continue;
            }
            difference.example(name, mail, should, has);
            missing += should.saturating_sub(has);
            if should == 0 {
                strange += has;
            } else {
                difference.doubled += has.saturating_sub(should);
            }
        }
        let altered = missing.min(strange);
        difference.altered += altered;
        difference.lost += missing - altered;
        difference.doubled += strange - altered;
    }
    difference
}

impl Difference {
    pub(super) fn is_none(&self) -> bool {
        self.lost + self.doubled + self.altered == 0
    }

    fn example(&mut self, folder: &str, mail: &[u8], should: u64, has: u64) {
        if self.examples.len() == EXAMPLES_MAX {
            return;
        }
        let lines = mail.split(|&byte| byte == b'\n');
        let telling = |line: &&[u8]| line.starts_with(b"Message-ID") || line.starts_with(b"Subj");
        let header: Vec<String> = lines
            .take_while(|line| !line.trim_ascii().is_empty())
            .filter(telling)
            .map(|line| String::from_utf8_lossy(line).trim_end().to_owned())
            .collect();
        self.examples.push(format!(
            "{folder} has {has} in the place of {should}: {} bytes, {}",
            mail.len(),
            header.join(", ")
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_is_counted_once() {
        let folders = |mails: &[(&str, &str)]| {
            let mut folders = Folders::default();
            for (folder, mail) in mails {
                folders.add(folder, mail.as_bytes().to_vec());
            }
            folders
        };
        let expected = folders(&[("A", "1"), ("A", "1"), ("A", "2"), ("B", "3")]);
        let check = |found: &[(&str, &str)], lost, doubled, altered| {
            let difference = compare(&expected, &folders(found));
            let counts = (difference.lost, difference.doubled, difference.altered);
            assert_eq!(counts, (lost, doubled, altered), "{found:?}");
        };
        check(&[("A", "1"), ("A", "1"), ("A", "2"), ("B", "3")], 0, 0, 0);
        check(&[("A", "1"), ("A", "2"), ("B", "3")], 1, 0, 0);
        check(
            &[("A", "1"), ("A", "1"), ("A", "2"), ("B", "3"), ("B", "3")],
            0,
            1,
            0,
        );
        check(&[("A", "1"), ("A", "1"), ("A", "x"), ("B", "3")], 0, 0, 1);
        check(&[("A", "1"), ("A", "1"), ("A", "2"), ("C", "3")], 1, 1, 0);
        check(&[], 4, 0, 0);
    }
}
