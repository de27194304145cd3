//! What happened in runs, counted.

use std::ops::AddAssign;

use super::folders::Difference;
use super::plan::Plan;
use super::source::CrashSource;

/// The counts of one run, or of many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs.
    pub runs: u64,
    /// Mails of the sources.
    pub mails: u64,
    /// Processes that imported.
    pub starts: u64,
    /// How many of them were killed.
    pub kills: u64,
    /// Connections cut between importer and server.
    pub cuts: u64,
    /// Faults that the servers had set; not each is met.
    pub faults: u64,
    /// Journals deleted.
    pub journals_lost: u64,
    /// Mails that are there less often than they should.
    pub lost: u64,
    /// Mails that are there more often than they should.
    pub doubled: u64,
    /// Mails that are there in another form.
    pub altered: u64,
    /// Runs that did not end as they should, each with its seed and what happened.
    pub failures: Vec<String>,
}

impl Tally {
    pub(super) fn of_run(plan: &Plan, source: &CrashSource) -> Self {
        Self {
            runs: 1,
            mails: u64::from(source.mails),
            faults: plan.faults.len() as u64,
            ..Self::default()
        }
    }

    /// Starts after the first of each run.
    #[must_use]
    pub fn resumes(&self) -> u64 {
        self.starts.saturating_sub(self.runs)
    }

    pub(super) fn failed(mut self, seed: u64, plan: &Plan, complaint: &str) -> Self {
        self.failures
            .push(format!("seed {seed}: {complaint}\n{plan}"));
        self
    }

    pub(super) fn compared(mut self, seed: u64, plan: &Plan, difference: &Difference) -> Self {
        if difference.is_none() {
            return self;
        }
        self.lost += difference.lost;
        self.doubled += difference.doubled;
        self.altered += difference.altered;
        let complaint = format!(
            "{} lost, {} doubled, {} altered: {}",
            difference.lost,
            difference.doubled,
            difference.altered,
            difference.examples.join("; ")
        );
        self.failed(seed, plan, &complaint)
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.runs += other.runs;
        self.mails += other.mails;
        self.starts += other.starts;
        self.kills += other.kills;
        self.cuts += other.cuts;
        self.faults += other.faults;
        self.journals_lost += other.journals_lost;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.altered += other.altered;
        self.failures.extend(other.failures);
    }
}
