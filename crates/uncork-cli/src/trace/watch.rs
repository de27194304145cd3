//! A trace from its start to its end: what is watched, for how long, and what is shown meanwhile.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use uncork_sockets::Process;
use uncork_trace::engine::Target as Watched;
use uncork_trace::{Choice, Report, SampleError, Session, StartError};

use super::arguments::{EngineChoice, Target, TraceArgs};
use super::live;
use super::progress::{Progress, Watching};
use crate::exit::{Exit, Failure};
use crate::output;

/// Samples a second unless told otherwise.
const RATE_HZ: u32 = 500;

/// The verb of [`super::serve_symbols`].
const SYMBOLIZER: &str = "trace-symbols";

/// How often it is looked whether the trace is over.
const LOOK: Duration = Duration::from_millis(20);

/// How often what is shown is renewed.
const SHOW: Duration = Duration::from_millis(500);

/// How long a command has to end after Ctrl-C.
const LAST: Duration = Duration::from_secs(1);

/// What a shell shows for a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// What a trace came to.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) report: Report,
    /// How the command ended that was watched, if one was and it has.
    pub(super) command: Option<ExitStatus>,
    /// The file of the events is not complete; the report says why.
    pub(super) is_unrecorded: bool,
}

/// Watches until it is over.
pub(super) fn watch(arguments: &TraceArgs) -> Result<Watch, Failure> {
    if arguments.are_too_many() {
        let error = anyhow::anyhow!("too many processes are named; `--all` watches all of them");
        return Err(Failure::new(Exit::Usage, error));
    }
    let events = arguments.events().map(open).transpose()?;
    let watching = Watching::fitting(arguments);
    let is_stopped = signals(watching).map_err(|error| Failure::new(Exit::NotPermitted, error))?;
    let mut subject = Subject::of(arguments.target())?;
    let runner = Runner::start(arguments, &subject, events)?;
    let begun = Instant::now();
    if let Target::Command(words) = arguments.target() {
        let child = spawn(words, arguments.is_json())?;
        subject = Subject::Command(child);
    }
    let is_due = || {
        arguments
            .duration()
            .is_some_and(|duration| begun.elapsed() >= duration)
    };
    let subject = Mutex::new(subject);
    let is_over = || {
        let has_ended = lock(&subject).has_ended();
        is_stopped.load(Ordering::Relaxed) || is_due() || has_ended || runner.has_failed()
    };
    if watching == Watching::Live {
        live::watch(|| runner.report(), is_over).map_err(|error| {
            Failure::new(Exit::NotPermitted, error).context("the terminal can't be drawn on")
        })?;
    } else {
        let mut progress = Progress::new(watching);
        let mut shown = begun;
        while !is_over() {
            thread::sleep(LOOK);
            if watching != Watching::Nothing && shown.elapsed() >= SHOW {
                progress.show(&runner.report(), begun.elapsed());
                shown = Instant::now();
            }
        }
        progress.finish();
    }
    if is_stopped.load(Ordering::Relaxed) {
        lock(&subject).await_end();
    }
    let command = lock(&subject).finish(arguments.is_quiet());
    let (report, is_unrecorded) = runner.finish();
    Ok(Watch {
        report,
        command,
        is_unrecorded,
    })
}

/// Makes the report of a recording.
pub(super) fn replay(path: &Path) -> Result<Report, Failure> {
    let file = File::open(path).map_err(|error| {
        let kind = error.kind();
        let error = anyhow::Error::new(error).context(format!("{} can't be read", path.display()));
        Failure::io(Exit::Usage, kind, error)
    })?;
    uncork_trace::replay(file).map_err(|error| {
        let error = anyhow::Error::new(error).context(path.display().to_string());
        Failure::new(Exit::Usage, error)
    })
}

/// Whose end is the end of the trace.
#[derive(Debug)]
enum Subject {
    Pids(Vec<Process>),
    All,
    Command(Child),
}

impl Subject {
    /// What is there already; a command is started later, once it is watched.
    fn of(target: Target<'_>) -> Result<Self, Failure> {
        let Target::Pids(pids) = target else {
            return Ok(Self::All);
        };
        let processes = pids
            .iter()
            .map(|pid| Process::open(*pid).map_err(|error| refused(&error)));
        processes.collect::<Result<_, _>>().map(Self::Pids)
    }

    fn has_ended(&mut self) -> bool {
        match self {
            Self::Pids(processes) => !processes.iter().any(Process::is_running),
            Self::All => false,
            Self::Command(child) => !matches!(child.try_wait(), Ok(None)),
        }
    }

    /// Ctrl-C goes to a command, too, and what it does last is watched.
    fn await_end(&mut self) {
        let begun = Instant::now();
        while matches!(self, Self::Command(_)) && !self.has_ended() && begun.elapsed() < LAST {
            thread::sleep(LOOK);
        }
    }

    /// How the command ended; one that goes on is left to itself.
    fn finish(&mut self, is_quiet: bool) -> Option<ExitStatus> {
        let Self::Command(child) = self else {
            return None;
        };
        let status = child.try_wait().ok().flatten();
        if status.is_none() && !is_quiet {
            output::note(&format!(
                "uncork: the command goes on, as process {}",
                child.id()
            ));
        }
        status
    }
}

/// Says how a command failed; `None` where it didn't.
pub(super) fn failed(status: ExitStatus) -> Option<String> {
    match (status.success(), status.code(), status.signal()) {
        (true, ..) => None,
        (_, Some(code), _) => Some(format!("uncork: the command failed, with exit code {code}")),
        (_, _, Some(signal)) => Some(format!("uncork: the command was ended by signal {signal}")),
        _ => Some("uncork: the command failed".to_owned()),
    }
}

/// The session, in a thread that takes events in while others draw.
#[derive(Debug)]
struct Runner {
    session: Arc<Mutex<Session>>,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Runner {
    fn start(
        arguments: &TraceArgs,
        subject: &Subject,
        events: Option<File>,
    ) -> Result<Self, Failure> {
        let target = match (arguments.target(), subject) {
            (Target::Command(_), _) => Watched::Children,
            (_, Subject::Pids(processes)) => {
                Watched::Pids(processes.iter().map(Process::pid).collect())
            }
            _ => Watched::All,
        };
        let choice = match arguments.engine() {
            EngineChoice::Auto => Choice::Auto,
            EngineChoice::Ebpf => Choice::Ebpf,
            EngineChoice::Sample => Choice::Sample,
        };
        let rate_hz = arguments.rate().unwrap_or(RATE_HZ);
        let mut session = Session::start(&target, choice, rate_hz).map_err(not_started)?;
        let mut symbolizer = Command::new("/proc/self/exe");
        symbolizer.arg0("uncork").arg(SYMBOLIZER);
        session.set_symbolizer(symbolizer);
        if let Target::Command(words) = arguments.target() {
            let words = words.iter().map(|word| word.to_string_lossy().into_owned());
            session.set_command(words.collect());
        }
        if let Some(mut file) = events {
            output::replace(&mut file, &[]).map_err(not_written)?;
            session.record(file).map_err(not_written)?;
        }
        let session = Arc::new(Mutex::new(session));
        let is_over = Arc::new(AtomicBool::new(false));
        let (taken, is_told) = (Arc::clone(&session), Arc::clone(&is_over));
        let thread = thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || {
                while !is_told.load(Ordering::Relaxed) {
                    lock(&taken).turn();
                    thread::sleep(Session::TURN);
                }
            })
            .map_err(|error| Failure::new(Exit::NotPermitted, error))?;
        Ok(Self {
            session,
            is_over,
            thread,
        })
    }

    fn report(&self) -> Report {
        lock(&self.session).report()
    }

    fn has_failed(&self) -> bool {
        self.thread.is_finished()
    }

    /// The report, and whether the file of the events is not complete.
    fn finish(self) -> (Report, bool) {
        self.is_over.store(true, Ordering::Relaxed);
        // It panics nowhere; if it did, what came in before is still worth a report.
        let _ = self.thread.join();
        let mut session = lock(&self.session);
        let report = session.finish();
        (report, session.unrecorded().is_some())
    }
}

/// A poisoned lock is one whose thread has panicked; what it holds is still worth a report.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first Ctrl-C ends the trace, the second uncork; not where the terminal would be left as the live
/// view has it. What is ignored (by nohup, or in the background of a script) stays so, for the command, too.
fn signals(watching: Watching) -> io::Result<Arc<AtomicBool>> {
    let is_stopped = Arc::new(AtomicBool::new(false));
    let ignored = ignored_signals();
    let is_heard = |signal: &i32| ignored & (1 << (signal - 1)) == 0;
    for signal in [SIGINT, SIGTERM, SIGHUP].into_iter().filter(is_heard) {
        if watching != Watching::Live {
            signal_hook::flag::register_conditional_shutdown(
                signal,
                INTERRUPTED,
                Arc::clone(&is_stopped),
            )?;
        }
        signal_hook::flag::register(signal, Arc::clone(&is_stopped))?;
    }
    Ok(is_stopped)
}

/// A bit for each, the lowest for signal 1; none where `/proc` doesn't tell.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let mask = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

fn spawn(words: &[OsString], is_json: bool) -> Result<Child, Failure> {
    let (program, arguments) = words
        .split_first()
        .ok_or_else(|| Failure::new(Exit::Usage, anyhow::anyhow!("there is no command")))?;
    let mut command = Command::new(program);
    command.args(arguments);
    if is_json {
        // stdout is for the document.
        command.stdout(Stdio::from(io::stderr()));
    }
    command.spawn().map_err(|error| {
        let kind = error.kind();
        let error = anyhow::Error::new(error)
            .context(format!("{} can't be started", program.to_string_lossy()));
        Failure::io(Exit::Usage, kind, error)
    })
}

/// What is there stays until there is something to put in its place.
fn open(path: &Path) -> Result<File, Failure> {
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(false);
    options
        .open(path)
        .map_err(|error| output::cannot_write(path, error))
}

fn not_started(error: StartError) -> Failure {
    match &error {
        StartError::Sample(SampleError::Process(process)) => refused(process),
        StartError::Ebpf(_) => Failure::new(Exit::NotPermitted, error).advised(Some(
            "`--engine sample` needs no such permission for one's own processes".to_owned(),
        )),
        _ => Failure::new(Exit::NotPermitted, error),
    }
}

fn refused(error: &uncork_sockets::Error) -> Failure {
    let exit = match error {
        uncork_sockets::Error::Gone { .. } | uncork_sockets::Error::Thread { .. } => Exit::Usage,
        _ => Exit::NotPermitted,
    };
    Failure::new(exit, anyhow::anyhow!("{error}")).advised(error.advice())
}

fn not_written(error: io::Error) -> Failure {
    let kind = error.kind();
    let error = anyhow::Error::new(error).context("the events can't be written");
    Failure::io(Exit::Losses, kind, error)
}
