//! Imports that are killed, cut off and lied to, then resumed: does each mail arrive exactly once?
//!
//! One [run] has a seed that decides everything but the moments at which processes and threads
//! come to run: the mails, the server's personality and faults, where the link is cut, when the
//! importer is killed, and when its journal is lost. The import runs in a child process, so that
//! `kill -9` is the real one; who calls gives the command that comes back here, to [`child()`].
//! After some such acts the import runs undisturbed until it says that it is done, and the
//! server's folders are held against the source, byte for byte.
//!
//! # Limits
//! What the crash of a whole machine leaves behind is not shown: files that were written are
//! there after a kill, whether or not they were synced.
//!
//! A server may still store what it had received when the importer was killed, and nobody can
//! tell for how long. The importer waits until a folder stays as it is; here it waits for less
//! than a second, and the files are in memory, so that no disk makes the server slower than that.

mod act;
mod child;
mod folders;
mod host;
mod plan;
mod relay;
mod source;
mod tally;

use std::io;
use std::ops::RangeInclusive;
use std::process::Command;

pub use self::child::child;
pub use self::host::Host;
pub use self::tally::Tally;

use self::act::Stage;
use self::plan::Plan;
use self::relay::Relay;
use self::source::CrashSource;
use crate::scratch;

/// How often an undisturbed import may end early. Faults of the server that nobody has met yet
/// may still end one.
const LAST_ATTEMPTS_MAX: usize = 12;

/// How large the runs are.
#[derive(Clone, Debug)]
pub struct Scale {
    /// How many mails a source has.
    pub mails: RangeInclusive<u32>,
    /// How often an import is disturbed before it is left alone, at most.
    pub acts_max: u32,
}

impl Scale {
    /// Runs of about a second.
    pub const FULL: Self = Self {
        mails: 150..=600,
        acts_max: 6,
    };

    /// Runs for each day.
    pub const SMALL: Self = Self {
        mails: 40..=150,
        acts_max: 3,
    };
}

/// One import with all that happens to it. `command` makes the command of a process that calls
/// [`child()`].
///
/// # Errors
/// Where the lab itself fails: its files, its sockets, its processes. What the import does wrong
/// is in the tally.
pub fn run(
    seed: u64,
    scale: &Scale,
    host: &Host<'_>,
    command: &dyn Fn() -> io::Result<Command>,
) -> io::Result<Tally> {
    let mails_max = usize::try_from(*scale.mails.end()).unwrap_or(usize::MAX);
    let folder = scratch::folder(mails_max)?;
    let source = CrashSource::write(seed, scale, &folder.path().join("source"))?;
    let plan = Plan::new(seed, scale, &source, host.has_faults());
    let mailbox = host.open(&plan, &folder.path().join("server"))?;
    let relay = Relay::start(mailbox.addr())?;
    let mut stage = Stage {
        folder: folder.path(),
        source: &source,
        plan: &plan,
        mailbox: &mailbox,
        relay: &relay,
        command,
        tally: Tally::of_run(&plan, &source),
    };
    let played = stage.play_all(LAST_ATTEMPTS_MAX)?;
    stage.tally.cuts = relay.cuts_done();
    if let Err(complaint) = played {
        return Ok(stage.tally.failed(seed, &plan, &complaint));
    }
    let difference = folders::compare(&source.folders, &mailbox.contents()?);
    Ok(stage.tally.compared(seed, &plan, &difference))
}
