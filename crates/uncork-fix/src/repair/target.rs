//! Which processes are meant.

use std::collections::HashSet;

use uncork_sockets::children;

/// Processes, perhaps with all that descend from them.
#[derive(Debug, Clone, Default)]
pub struct Target {
    named: Vec<u32>,
    members: Vec<u32>,
    with_descendants: bool,
}

impl Target {
    /// These processes. One of them that is not there is a refusal.
    #[must_use]
    pub fn new(named: impl IntoIterator<Item = u32>) -> Self {
        Self {
            named: named.into_iter().collect(),
            ..Self::default()
        }
    }

    /// The same with processes that were found, in a cgroup for one: it is no loss if some of them have
    /// ended since.
    #[must_use]
    pub fn with_members(self, members: Vec<u32>) -> Self {
        Self { members, ..self }
    }

    /// The same, with or without what descends from all of them.
    #[must_use]
    pub fn with_descendants(self, with_descendants: bool) -> Self {
        Self {
            with_descendants,
            ..self
        }
    }

    pub(crate) fn names(&self, pid: u32) -> bool {
        self.named.contains(&pid)
    }

    pub(crate) fn is_with_descendants(&self) -> bool {
        self.with_descendants
    }

    /// The processes that are meant now, each once, those that were named first.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let mut seen = HashSet::new();
        let mut pids = Vec::new();
        let given = self.named.iter().chain(&self.members).copied();
        pids.extend(given.filter(|pid| seen.insert(*pid)));
        if self.with_descendants {
            let descendants: Vec<u32> = pids.iter().copied().flat_map(children).collect();
            pids.extend(descendants.into_iter().filter(|pid| seen.insert(*pid)));
        }
        pids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_is_meant_once() {
        let target = Target::new([7, 7, 8]).with_members(vec![8, 9]);
        assert_eq!(target.processes(), [7, 8, 9]);
        assert!(target.names(8) && !target.names(9));
    }
}
