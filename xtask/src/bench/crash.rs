//! `cargo xtask bench crash`: imports that are killed, cut off and resumed, and what is lost.

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, anyhow, ensure};
use clap::ValueEnum;
use uncork_lab::crash::{self, Host, Scale, Tally};
use uncork_lab::dovecot::{Dovecot, DovecotConfig, Fsync, Storage};
use uncork_lab::requirement;

use super::result::{Measure, Report, Table};

/// How many runs pass between two words about how it goes.
const RUNS_A_WORD: u64 = 50;

/// What can be chosen about the crashes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many imports, on all servers together.
    #[arg(long, default_value_t = 1000)]
    runs: u64,
    /// The seed of the first run; each run after it has the next one.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Into which servers; with both, each seed goes to one of them.
    #[arg(long, value_enum, default_value_t = Server::Both)]
    server: Server,
    /// How many imports at a time: they mostly wait.
    #[arg(long, default_value_t = 3)]
    jobs: u64,
    /// Be the process that imports and is killed.
    #[arg(long, hide = true)]
    child: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Server {
    Lab,
    Dovecot,
    Both,
}

/// One server, and what happened on it.
struct Place<'a> {
    name: &'static str,
    host: Host<'a>,
    tally: Mutex<Tally>,
}

/// Runs, and writes the results.
///
/// # Errors
/// Where the lab fails, or an import lost, doubled or altered a mail or did not end.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.child {
        ensure!(
            crash::child()?,
            "there is no job: --child is for the bench itself"
        );
        return Ok(());
    }
    let dovecots = dovecots(arguments.server)?;
    let mut places: Vec<Place<'_>> = Vec::new();
    if arguments.server != Server::Dovecot {
        places.push(Place::new("lab server", Host::Lab));
    }
    for (name, dovecot) in &dovecots {
        places.push(Place::new(name, Host::Dovecot(dovecot)));
    }
    ensure!(!places.is_empty(), "there is no server to import into");
    let next = AtomicU64::new(0);
    let work = || -> Result<()> {
        loop {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            if nth >= arguments.runs {
                return Ok(());
            }
            let seed = arguments.seed.wrapping_add(nth);
            let place = &places[place_of(seed, arguments.server, dovecots.len())];
            let tally = crash::run(seed, &Scale::FULL, &place.host, &command)
                .with_context(|| format!("seed {seed} on {}", place.name))?;
            for failure in &tally.failures {
                eprintln!("{}: {failure}", place.name);
            }
            *place.tally() += tally;
            if (nth + 1).is_multiple_of(RUNS_A_WORD) {
                let failures = failures(&places);
                eprintln!("{} of {} runs, {failures} failed", nth + 1, arguments.runs);
            }
        }
    };
    std::thread::scope(|scope| {
        let jobs: Vec<_> = (0..arguments.jobs.max(1))
            .map(|_| scope.spawn(work))
            .collect();
        jobs.into_iter().try_for_each(|job| {
            let ended = job.join();
            ended.map_err(|_| anyhow!("a run panicked"))?
        })
    })?;
    report(&places)
}

fn failures(places: &[Place<'_>]) -> usize {
    let failures = places.iter().map(|place| place.tally().failures.len());
    failures.sum()
}

/// A run that is repeated by its seed goes to the same server again: half of the seeds to the
/// lab server, which can do more harm, the others to the Dovecots in turn.
fn place_of(seed: u64, server: Server, dovecots: usize) -> usize {
    let dovecots = dovecots as u64;
    let place = match server {
        Server::Lab => 0,
        Server::Dovecot => seed % dovecots.max(1),
        Server::Both if dovecots == 0 || seed.is_multiple_of(2) => 0,
        Server::Both => 1 + seed / 2 % dovecots,
    };
    usize::try_from(place).unwrap_or(0)
}

/// The Dovecots that are asked for, unless there is none on this machine.
fn dovecots(server: Server) -> Result<Vec<(&'static str, Dovecot)>> {
    if server == Server::Lab {
        return Ok(Vec::new());
    }
    let Some(program) = requirement::program("dovecot") else {
        return Ok(Vec::new());
    };
    let storages = [
        ("Dovecot, mdbox", Storage::Mdbox),
        ("Dovecot, maildir", Storage::Maildir),
    ];
    let start = |(name, storage)| {
        let mut config = DovecotConfig::new(storage, Fsync::Never);
        config.is_in_memory = true;
        anyhow::Ok((name, Dovecot::start(&program, &config)?))
    };
    storages.into_iter().map(start).collect()
}

/// This program again, as the process that imports.
fn command() -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", "crash", "--child"]);
    Ok(command)
}

fn report(places: &[Place<'_>]) -> Result<()> {
    let measures = MEASURES.map(|(measure, _)| measure);
    let mut table = Table::new("Sums over all runs", &measures);
    for place in places.iter().filter(|place| place.tally().runs > 0) {
        #[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
        let cells = MEASURES.map(|(_, count)| vec![count(&place.tally()) as f64]);
        table.push(place.name, &cells);
    }
    let mut report = Report::new("crash");
    report.push(table);
    report.note(
        "Each run: a source of 150 to 600 mails into an empty mailbox; the importer is killed, \
         cut off and refused, and started again with the same journal unless that was deleted; \
         at last it is left alone until it says that it is done. Then each folder is held \
         against the source, byte for byte.",
    );
    report.note("Faults are those that the server had set; not each of them is met.");
    for place in places {
        for failure in &place.tally().failures {
            let first = failure.lines().next().unwrap_or_default();
            report.note(format!("{}: {first}", place.name));
        }
    }
    let path = report.write()?;
    println!("{}", report.markdown());
    println!("written to {}", path.display());
    let failures = failures(places);
    ensure!(
        failures == 0,
        "{failures} runs failed; repeat one with --seed N --runs 1 and the same --server"
    );
    Ok(())
}

impl<'a> Place<'a> {
    fn new(name: &'static str, host: Host<'a>) -> Self {
        Self {
            name,
            host,
            tally: Mutex::default(),
        }
    }

    /// What has been counted so far.
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn count(field: &'static str, heading: &'static str) -> Measure {
    Measure::new(field, heading, 0)
}

/// A column, and where its numbers come from.
type Column = (Measure, fn(&Tally) -> u64);

const MEASURES: [Column; 11] = [
    (count("imports", "imports"), |tally| tally.runs),
    (count("mails", "mails"), |tally| tally.mails),
    (count("kills", "kills"), |tally| tally.kills),
    (count("cuts", "cuts"), |tally| tally.cuts),
    (count("faults", "faults"), |tally| tally.faults),
    (count("resumes", "resumes"), Tally::resumes),
    (count("journals_lost", "journals lost"), |tally| {
        tally.journals_lost
    }),
    (count("lost", "mails lost"), |tally| tally.lost),
    (count("doubled", "mails doubled"), |tally| tally.doubled),
    (count("altered", "mails altered"), |tally| tally.altered),
    (count("failures", "failed runs"), |tally| {
        tally.failures.len() as u64
    }),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_keeps_its_server() {
        let check = |server, dovecots, expected: [usize; 4]| {
            let places = [0, 1, 2, 3].map(|seed| place_of(seed, server, dovecots));
            assert_eq!(places, expected, "{server:?}");
        };
        check(Server::Lab, 0, [0, 0, 0, 0]);
        check(Server::Dovecot, 2, [0, 1, 0, 1]);
        check(Server::Both, 2, [0, 1, 0, 2]);
        check(Server::Both, 0, [0, 0, 0, 0]);
    }
}
