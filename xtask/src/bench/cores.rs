//! Who runs where: a server on one core, the load on another.

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::result::Report;

/// The cores of a bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cores {
    server: usize,
    load: usize,
}

impl Cores {
    /// The first two that this process may use; the same one twice where there is no other.
    ///
    /// # Errors
    /// Where the kernel does not say.
    pub(super) fn choose() -> Result<Self> {
        let allowed = sched_getaffinity(None).context("sched_getaffinity")?;
        Ok(Self::first_two(&allowed))
    }

    fn first_two(allowed: &CpuSet) -> Self {
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let server = cores.next().unwrap_or(0);
        Self {
            server,
            load: cores.next().unwrap_or(server),
        }
    }

    /// Says where server and load ran.
    pub(super) fn note(self, report: &mut Report) {
        let Self { server, load } = self;
        if server == load {
            report.note("Server and load shared the only core: they disturbed each other.");
        } else {
            report.note(format!(
                "The servers ran on core {server}, the load on core {load}."
            ));
        }
    }

    /// Moves this thread to the load's core.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub(super) fn load(self) -> Result<()> {
        pin(self.load)
    }

    /// Starts something that is to run on the server's core: children inherit where the thread
    /// is that starts them.
    ///
    /// # Errors
    /// Where the kernel refuses, or what `start` says.
    pub(super) fn start_server<T>(self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        pin(self.server)?;
        let started = start();
        self.load()?;
        started
    }
}

fn pin(core: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).with_context(|| format!("can't move to core {core}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_two_cores_are_taken() {
        let check = |allowed: &[usize], server: usize, load: usize| {
            let mut set = CpuSet::new();
            allowed.iter().for_each(|&core| set.set(core));
            assert_eq!(Cores::first_two(&set), Cores { server, load });
        };
        check(&[0, 1, 2], 0, 1);
        check(&[3, 9], 3, 9);
        check(&[5], 5, 5);
        check(&[], 0, 0);
    }
}
