//! How many descriptors this process may have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For what else this process has open, and what one sample takes.
const RESERVE: u64 = 64;

/// However many descriptors there may be.
const PROCESSES: u64 = 8192;

/// What a process takes that is watched: a pidfd, and its folder in `/proc`.
const EACH: u64 = 2;

/// The limit of descriptors, which is raised only when it is near: a program that is started for a trace
/// is to get the limit that it would have had without.
#[derive(Debug)]
pub(super) struct Limit {
    soft: u64,
    is_raised: bool,
}

impl Limit {
    pub(super) fn new() -> Self {
        Self {
            soft: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
            is_raised: false,
        }
    }

    /// Whether one more process may be held.
    pub(super) fn has_room_for_process(&mut self, held: usize) -> bool {
        let held = u64::try_from(held).unwrap_or(u64::MAX);
        if held >= processes(self.soft) {
            self.raise();
        }
        held < processes(self.soft)
    }

    /// Once there is no descriptor left, or nearly so.
    pub(super) fn raise(&mut self) {
        if self.is_raised {
            return;
        }
        self.is_raised = true;
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        // Where it may not be raised, there is less room.
        if setrlimit(Resource::Nofile, raised).is_ok() {
            self.soft = limit.maximum.unwrap_or(u64::MAX);
        }
    }
}

fn processes(soft: u64) -> u64 {
    let reserve = RESERVE.min(soft / 2);
    ((soft - reserve) / EACH).min(PROCESSES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_descriptors_are_for_few_processes() {
        assert_eq!(processes(20), 5);
        assert_eq!(processes(1024), 480);
        assert_eq!(processes(u64::MAX), PROCESSES);
        assert_eq!(processes(0), 0);
    }
}
