//! The import in its child process: what it is to do, and what came of it.

use std::fs;
use std::io::{self, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use uncork_import::{Existing, JournalPlace, Options, Order, Progress, Source, Target, import};

/// The environment variable with the folder of the job.
const JOB_FOLDER: &str = "UNCORK_CRASH_JOB";

/// Where an import that reconnects begins to wait, and where it stops to wait longer.
const WAIT: Duration = Duration::from_millis(2);
const WAIT_MAX: Duration = Duration::from_millis(50);

/// How long a server is given to do what it had received: more than any of these needs.
pub(super) const SETTLE: Duration = Duration::from_millis(800);

/// What one child process is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: String,
    /// The folder of the target.
    pub(super) base: Option<String>,
    pub(super) source: PathBuf,
    pub(super) journal: PathBuf,
    pub(super) connections: NonZeroU32,
    pub(super) order: Order,
    pub(super) retry_refused: bool,
    /// Whether what no journal knows is compared by its text.
    pub(super) compares: bool,
    /// How long an answer may take.
    pub(super) answer: Duration,
}

/// How an import ended by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ended {
    /// The error that ended it early.
    pub(super) error: Option<String>,
    /// Mails that did not go in, by its own report.
    pub(super) refused: u64,
    /// Mails of which it does not know.
    pub(super) unknown: u64,
    /// Mails that the server has in another form, by its own report.
    pub(super) altered: u64,
}

/// Does the job that the environment names, and writes down how it ended. `false` where there
/// is none.
///
/// # Errors
/// Where the job can't be read or its outcome can't be written.
pub fn child() -> io::Result<bool> {
    let Some(folder) = std::env::var_os(JOB_FOLDER) else {
        return Ok(false);
    };
    let folder = PathBuf::from(folder);
    let job = Job::parse(&fs::read_to_string(folder.join("job"))?)
        .ok_or_else(|| io::Error::other("the job of this child can't be read"))?;
    let ended = job.run();
    fs::write(folder.join("ended.part"), ended.text())?;
    fs::rename(folder.join("ended.part"), folder.join("ended"))?;
    Ok(true)
}

impl Job {
    /// Starts a process that does this job, in a folder for it and all later ones.
    pub(super) fn start(&self, folder: &Path, mut command: Command) -> io::Result<Child> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("job"), self.text())?;
        match fs::remove_file(folder.join("ended")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        command
            .env(JOB_FOLDER, folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("stderr"))?)
            .spawn()
    }

    fn run(&self) -> Ended {
        match self.try_run() {
            Ok(ended) => ended,
            Err(error) => Ended {
                error: Some(error),
                ..Ended::default()
            },
        }
    }

    fn try_run(&self) -> Result<Ended, String> {
        let source = Source::open(&self.source).map_err(|error| error.to_string())?;
        let url = format!("imap://{}@127.0.0.1:{}", self.user, self.port);
        let mut target = Target::parse(&url).map_err(|error| error.to_string())?;
        target.folder.clone_from(&self.base);
        let mut options = Options::with_password(self.password.as_str());
        options.journal = JournalPlace::File(self.journal.clone());
        options.connections = Some(self.connections);
        options.order = self.order;
        options.retry_refused = self.retry_refused;
        if self.compares {
            options.existing = Existing::Compare;
        }
        options.patience.wait = WAIT;
        options.patience.wait_max = WAIT_MAX;
        options.patience.answer = self.answer;
        options.patience.settle = SETTLE;
        let progress = Arc::new(Progress::default());
        tell(Arc::clone(&progress));
        let outcome = import(&[source], &target, &options, &progress);
        Ok(Ended {
            error: outcome.error.map(|error| error.to_string()),
            refused: outcome.report.refused_messages,
            unknown: outcome.report.unknown_messages,
            altered: outcome.report.altered_messages,
        })
    }

    /// A line each; none of its parts has line ends.
    fn text(&self) -> String {
        let order = match self.order {
            Order::Kept => "kept",
            Order::Any => "any",
        };
        format!(
            "{}\n{}\n{}\n{}\n{}\n{}\n{}\n{order}\n{}\n{}\n{}\n",
            self.port,
            self.user,
            self.password,
            self.base.as_deref().unwrap_or_default(),
            self.source.display(),
            self.journal.display(),
            self.connections,
            self.retry_refused,
            self.compares,
            self.answer.as_millis(),
        )
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        Some(Self {
            port: lines.next()?.parse().ok()?,
            user: lines.next()?.to_owned(),
            password: lines.next()?.to_owned(),
            base: Some(lines.next()?.to_owned()).filter(|base| !base.is_empty()),
            source: lines.next()?.into(),
            journal: lines.next()?.into(),
            connections: lines.next()?.parse().ok()?,
            order: match lines.next()? {
                "any" => Order::Any,
                _ => Order::Kept,
            },
            retry_refused: lines.next()? == "true",
            compares: lines.next()? == "true",
            answer: Duration::from_millis(lines.next()?.parse().ok()?),
        })
    }
}

/// Writes down each second what goes on, for whoever wants to know where an import hangs. Ends
/// with the process.
fn tell(progress: Arc<Progress>) {
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_secs(1));
            let _ = writeln!(
                io::stderr(),
                "{} stored, {} there, {} refused: {}",
                progress.stored(),
                progress.already_there(),
                progress.refused(),
                progress.now()
            );
        }
    });
}

impl Ended {
    /// How the last child of this folder ended, or `None` where it had no time to say so.
    pub(super) fn read(folder: &Path) -> io::Result<Option<Self>> {
        match fs::read_to_string(folder.join("ended")) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn text(&self) -> String {
        let error = self.error.as_deref().unwrap_or_default().replace('\n', " ");
        format!(
            "{}\n{}\n{}\n{error}\n",
            self.refused, self.unknown, self.altered
        )
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        Some(Self {
            refused: lines.next()?.parse().ok()?,
            unknown: lines.next()?.parse().ok()?,
            altered: lines.next()?.parse().ok()?,
            error: Some(lines.next()?.to_owned()).filter(|error| !error.is_empty()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_comes_back_as_it_was() {
        for base in [None, Some("INBOX".to_owned())] {
            let job = Job {
                port: 143,
                user: "lab".to_owned(),
                password: "p w".to_owned(),
                base,
                source: "a/source of mail".into(),
                journal: "a/journal".into(),
                connections: NonZeroU32::MIN,
                order: Order::Any,
                retry_refused: true,
                compares: true,
                answer: Duration::from_millis(700),
            };
            assert_eq!(Job::parse(&job.text()), Some(job));
        }
        assert_eq!(Job::parse("143\nlab\n"), None);
    }

    #[test]
    fn an_end_comes_back_as_it_was() {
        for error in [None, Some("hung up".to_owned())] {
            let ended = Ended {
                error,
                refused: 1,
                unknown: 2,
                altered: 3,
            };
            assert_eq!(Ended::parse(&ended.text()), Some(ended));
        }
    }
}
