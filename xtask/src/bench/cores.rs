//! Who runs where: a server on one core, the load on another, and uncork on either where it looks on.

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::result::Report;

/// The cores of a bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cores {
    server: usize,
    load: usize,
    uncork: usize,
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
        let load = cores.next().unwrap_or(server);
        Self {
            server,
            load,
            uncork: load,
        }
    }

    /// Server and load on one core, so that uncork, on the other, takes time from neither.
    pub(super) fn uncork_apart(self) -> Self {
        Self {
            load: self.server,
            ..self
        }
    }

    /// Says where server and load ran.
    pub(super) fn note(self, report: &mut Report) {
        let Self {
            server,
            load,
            uncork,
        } = self;
        if server == load && load != uncork {
            report.note(format!(
                "Server and load shared core {server}, uncork had core {uncork} to itself."
            ));
        } else if server == load {
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
        self.start_on(self.server, start)
    }

    /// Starts uncork where it is to run.
    ///
    /// # Errors
    /// Where the kernel refuses, or what `start` says.
    pub(super) fn start_uncork<T>(self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        self.start_on(self.uncork, start)
    }

    fn start_on<T>(self, core: usize, start: impl FnOnce() -> Result<T>) -> Result<T> {
        pin(core)?;
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
            let cores = Cores::first_two(&set);
            assert_eq!(
                (cores.server, cores.load, cores.uncork),
                (server, load, load)
            );
            let apart = cores.uncork_apart();
            assert_eq!(
                (apart.server, apart.load, apart.uncork),
                (server, server, load)
            );
        };
        check(&[0, 1, 2], 0, 1);
        check(&[3, 9], 3, 9);
        check(&[5], 5, 5);
        check(&[], 0, 0);
    }
}
