//! The importer on stage: started, disturbed, killed, started again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::child::{Ended, Job, SETTLE};
use super::host::Mailbox;
use super::plan::{Act, Kill, Plan};
use super::relay::Relay;
use super::source::CrashSource;
use super::tally::Tally;

/// How often it is looked whether the importer has ended or is to be killed.
const LOOK: Duration = Duration::from_millis(1);

/// An importer that runs longer hangs.
const HANG: Duration = Duration::from_secs(120);

/// How long an answer may take where the server or the link may fall silent, and where nothing
/// of that kind is to come.
const SHORT_PATIENCE: Duration = Duration::from_millis(500);
const LONG_PATIENCE: Duration = Duration::from_secs(20);

/// All that one run consists of.
pub(super) struct Stage<'a> {
    pub(super) folder: &'a Path,
    pub(super) source: &'a CrashSource,
    pub(super) plan: &'a Plan,
    pub(super) mailbox: &'a Mailbox<'a>,
    /// The way to it, the same for all starts: a journal knows an account by its address.
    pub(super) relay: &'a Relay,
    pub(super) command: &'a dyn Fn() -> io::Result<Command>,
    pub(super) tally: Tally,
}

/// What a stage does, or what the importer did that it must not.
type Played<T> = io::Result<Result<T, String>>;

/// How an importer went.
enum Exit {
    Killed,
    Ended(Ended),
}

impl Stage<'_> {
    /// All acts of the plan, and the end.
    pub(super) fn play_all(&mut self, last_attempts_max: usize) -> Played<()> {
        for act in &self.plan.acts {
            if let Err(complaint) = self.play(act)? {
                return Ok(Err(complaint));
            }
        }
        self.finish(last_attempts_max)
    }

    /// One start of the importer with what is to happen to it.
    fn play(&mut self, act: &Act) -> Played<()> {
        if act.loses_journal {
            self.lose_journal()?;
        }
        self.relay.begin(act.cuts.clone());
        let relay = self.relay;
        let exit = self.import(act.retry_refused, |elapsed, stored| {
            act.kill.is_some_and(|kill| match kill {
                Kill::After(time) => elapsed >= time,
                Kill::AfterStored(mails) => stored.is_some_and(|stored| stored >= mails),
                Kill::AfterBytes(bytes) => relay.bytes_up() >= bytes,
            })
        })?;
        Ok(exit.map(|_| ()))
    }

    /// Imports undisturbed until all mails are in.
    fn finish(&mut self, attempts_max: usize) -> Played<()> {
        if self.plan.loses_journal {
            self.lose_journal()?;
        }
        let mut last = Ended::default();
        self.relay.begin(Vec::new());
        for _ in 0..attempts_max {
            match self.import(true, |_, _| false)? {
                Err(complaint) => return Ok(Err(complaint)),
                Ok(Exit::Ended(ended)) => last = ended,
                Ok(Exit::Killed) => continue,
            }
            if last.error.is_none() && last.refused + last.unknown == 0 {
                return Ok(Ok(()));
            }
        }
        Ok(Err(format!(
            "undisturbed it does not come to its end: {last:?}"
        )))
    }

    /// Runs the importer until it ends or `is_due` says that it is to
    /// be killed, by the time since its start and the mails stored since then.
    fn import(
        &mut self,
        retry_refused: bool,
        is_due: impl Fn(Duration, Option<u64>) -> bool,
    ) -> Played<Exit> {
        let folder = self.folder.join("child");
        fs::create_dir_all(self.journal_folder())?;
        let before = self.mailbox.stored();
        let mut child = self.job(retry_refused).start(&folder, (self.command)()?)?;
        self.tally.starts += 1;
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if started.elapsed() > HANG {
                kill(&mut child)?;
                let said = fs::read_to_string(folder.join("stderr"))?;
                let seconds = HANG.as_secs();
                return Ok(Err(format!("it hangs, for {seconds} s:\n{said}")));
            }
            let stored = self.mailbox.stored().zip(before);
            if is_due(started.elapsed(), stored.map(|(now, before)| now - before)) {
                kill(&mut child)?;
                self.tally.kills += 1;
                return Ok(Ok(Exit::Killed));
            }
            sleep(LOOK);
        };
        let Some(ended) = Ended::read(&folder)? else {
            let said = fs::read_to_string(folder.join("stderr"))?;
            return Ok(Err(format!(
                "it ended by itself, with {status}: {}",
                said.trim()
            )));
        };
        if ended.altered > 0 {
            return Ok(Err(format!(
                "it says that the server altered mails: {ended:?}"
            )));
        }
        Ok(Ok(Exit::Ended(ended)))
    }

    fn job(&self, retry_refused: bool) -> Job {
        let (user, password) = self.mailbox.login();
        Job {
            port: self.relay.addr().port(),
            user: user.to_owned(),
            password: password.to_owned(),
            base: self.source.base.map(str::to_owned),
            source: self.source.path.clone(),
            journal: self.journal_folder().join("import"),
            connections: self.plan.connections,
            order: self.plan.order,
            retry_refused,
            // Among the mails are some that only their text tells apart.
            compares: self.tally.journals_lost > 0,
            answer: if self.plan.has_silence() {
                SHORT_PATIENCE
            } else {
                LONG_PATIENCE
            },
        }
    }

    /// Deletes the journal, with all that is kept beside it.
    fn lose_journal(&mut self) -> io::Result<()> {
        // Who has no journal does not know that anything may still be coming, and so does not
        // wait for it. People are slower than that anyway.
        sleep(SETTLE);
        match fs::remove_dir_all(self.journal_folder()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => self.tally.journals_lost += 1,
        }
        Ok(())
    }

    fn journal_folder(&self) -> PathBuf {
        self.folder.join("journal")
    }
}

fn kill(child: &mut Child) -> io::Result<()> {
    child.kill()?;
    child.wait()?;
    Ok(())
}
