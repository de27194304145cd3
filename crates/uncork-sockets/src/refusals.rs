//! Processes that don't let themselves be looked into.

use std::collections::{HashMap, HashSet};

/// After how many refusals one after the other a process isn't asked any more.
const ENOUGH: u32 = 5;

/// Who has refused, and how often: for the moment of its exec a process is closed to everybody, so that one
/// refusal says nothing.
///
/// ```
/// let mut refusals = uncork_sockets::Refusals::default();
/// for _ in 0..4 {
///     assert!(!refusals.add(7));
/// }
/// assert!(refusals.add(7), "for good");
/// assert!(refusals.is_final(7) && !refusals.is_final(8));
/// ```
#[derive(Debug, Default)]
pub struct Refusals(HashMap<u32, u32>);

impl Refusals {
    /// Whether a process is not to be asked any more.
    #[must_use]
    pub fn is_final(&self, pid: u32) -> bool {
        self.0.get(&pid).is_some_and(|count| *count >= ENOUGH)
    }

    /// It has refused. Returns true when that has become final: once.
    pub fn add(&mut self, pid: u32) -> bool {
        let count = self.0.entry(pid).or_default();
        *count = count.saturating_add(1);
        *count == ENOUGH
    }

    /// It does not refuse (any more), or has ended.
    pub fn forget(&mut self, pid: u32) {
        self.0.remove(&pid);
    }

    /// Forgets all but those that are there: the number of one that has ended may be given to another.
    pub fn keep(&mut self, there: &HashSet<u32>) {
        self.0.retain(|pid, _| there.contains(pid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lets_look_again_begins_anew() {
        let mut refusals = Refusals::default();
        let asked = |refusals: &mut Refusals| (0..).take_while(|_| !refusals.add(1)).count();
        assert_eq!(asked(&mut refusals), 4);
        assert!(!refusals.add(1), "told once");
        refusals.keep(&HashSet::from([1, 2]));
        assert!(refusals.is_final(1));
        refusals.forget(1);
        assert!(!refusals.is_final(1));
        assert_eq!(asked(&mut refusals), 4);
        refusals.keep(&HashSet::from([2]));
        assert!(!refusals.is_final(1));
    }
}
