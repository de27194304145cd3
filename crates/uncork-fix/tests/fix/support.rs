//! What the tests have in common.

use tempfile::TempDir;
use uncork_fix::repair::{Record, Repairer, Report, Target};
use uncork_sockets::{Process, Socket};

/// A record of the test's own.
pub(crate) struct Notebook(TempDir);

impl Notebook {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn record(&self) -> Record {
        Record::open_in(&self.0.path().join("record")).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        std::fs::read_to_string(self.record().path()).unwrap()
    }

    pub(crate) fn repairer(&self) -> Repairer<'static> {
        Repairer::new(|_| {}).with_record(self.record())
    }

    pub(crate) fn fix(&self, target: &Target) -> Report {
        let mut repairer = self.repairer();
        repairer.fix(target);
        repairer.finish()
    }

    pub(crate) fn undo(&self, target: &Target) -> Report {
        let mut repairer = self.repairer();
        repairer.undo(target).unwrap();
        repairer.finish()
    }

    pub(crate) fn undo_all(&self) -> Report {
        let mut repairer = self.repairer();
        repairer.undo_all().unwrap();
        repairer.finish()
    }
}

/// The TCP sockets of a process.
pub(crate) fn sockets(pid: u32) -> Vec<Socket> {
    let process = Process::open(pid).unwrap();
    let descriptors = process.descriptors().unwrap();
    let sockets = descriptors
        .iter()
        .map(|one| process.socket(one.number).unwrap());
    sockets.flatten().collect()
}

/// Of its TCP sockets those with NODELAY, and all.
pub(crate) fn nodelay(pid: u32) -> (usize, usize) {
    let sockets = sockets(pid);
    let on = sockets.iter().filter(|socket| socket.nodelay().unwrap());
    (on.count(), sockets.len())
}

/// Changed, already so, refused.
pub(crate) fn counts(report: &Report) -> (u64, u64, u64) {
    (
        report.changed_count,
        report.already_count,
        report.refused_count,
    )
}
