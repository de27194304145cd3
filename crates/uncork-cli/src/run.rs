//! `uncork run`.

use std::ffi::OsString;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use uncork_fix::run::{self, KeeperArguments, Listing, Ran, Report, RunError, Settings, Work};

use crate::exit::{Exit, Failure};
use crate::output;

/// Run a command with TCP_NODELAY on every TCP socket of it, and of all that it starts
///
/// For programs that can't be changed, static ones included; needs no privileges. The command has the
/// terminal, the signals and the exit code as if it was run without uncork.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct RunArgs {
    /// Don't let the command's small writes wait (TCP_NODELAY); done also where neither is named
    #[arg(long)]
    nodelay: bool,
    /// Acknowledge in some 5 ms, not 40, what the command receives (TCP_QUICKACK), for peers that hold
    /// their writes until then; without --nodelay, only this is done
    #[arg(long)]
    quickack: bool,
    /// Only sockets that connect to this port, or listen on it; may be said more than once
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    only: Vec<u16>,
    /// Write what was changed into a file, as JSON, when the command has ended
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Don't say at the end what could not be changed
    #[arg(long)]
    quiet: bool,
    /// The command and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

const EXAMPLES: &str = "\
Examples:
  uncork run ./import.py mail/
      Every connection of import.py and of its children
  uncork run --only 143 --report changed.json -- ./import.py mail/
      Connections to port 143 only; changed.json names them
  uncork run --quickack ./report.py
      The server is the one that holds its writes, and can't be changed
  uncork run java -jar service.jar
      Servers, too: what they accept has the option of what they listen on

Exit code: the command's. 126 where it can't be executed, 127 where it is not found, 4 where the kernel
or a container doesn't allow what it takes. docs/run.md says what can't be seen.";

/// Starts the keeper; see [`KeeperArgs`].
const KEEPER: KeeperArguments = KeeperArguments { verb: "run-keeper" };

/// Answers in the place of an `uncork run` that is stopped or has ended; only that one starts it.
#[derive(Debug, Args)]
pub(crate) struct KeeperArgs {
    listener: i32,
    control: i32,
    in_hand: i32,
    ports: Vec<u16>,
}

/// Runs the command and ends as it did.
pub(crate) fn run(arguments: &RunArgs) -> Result<Exit, Failure> {
    let report = arguments
        .report
        .as_deref()
        .map(ReportFile::open)
        .transpose()?;
    let settings = Settings {
        work: match (arguments.nodelay, arguments.quickack) {
            (_, false) => Work::Nodelay,
            (false, true) => Work::Quickack,
            (true, true) => Work::NodelayAndQuickack,
        },
        ports: arguments.only.clone(),
        listing: match report {
            Some(_) => Listing::First,
            None => Listing::Count,
        },
        keeper: KEEPER,
    };
    let ran = run::run(&arguments.command, &settings).map_err(failure)?;
    if !arguments.quiet {
        tell(&ran);
    }
    if let Some(report) = report
        && let Err(failure) = report.write(&ran.report)
    {
        // The command's end is worth more than a code of ours.
        output::note(&format!("uncork run: {:#}", failure.error));
    }
    run::end_like(ran.end)
}

/// Is the keeper.
pub(crate) fn keep(arguments: KeeperArgs) -> Result<Exit, Failure> {
    let KeeperArgs {
        listener,
        control,
        in_hand,
        ports,
    } = arguments;
    match run::keep([listener, control, in_hand], ports) {
        Ok(()) => Ok(Exit::Done),
        Err(error) => Err(Failure::new(Exit::Usage, error)
            .advised(Some("only `uncork run` starts this".to_owned()))),
    }
}

fn failure(error: RunError) -> Failure {
    let exit = match &error {
        RunError::Command { source, .. } => match source.kind() {
            ErrorKind::NotFound => Exit::NotFound,
            _ => Exit::NotExecutable,
        },
        _ => Exit::NotPermitted,
    };
    let advice = error.advice().map(str::to_owned);
    Failure::new(exit, error).advised(advice)
}

/// Says what went wrong, and nothing where nothing did.
fn tell(ran: &Ran) {
    for refused in &ran.report.refused {
        let sockets = match refused.count {
            1 => "1 socket was".to_owned(),
            count => format!("{count} sockets were"),
        };
        output::note(&format!(
            "uncork run: {sockets} not changed: {}",
            refused.reason
        ));
        if refused
            .reason
            .starts_with("pidfd_getfd: Operation not permitted")
        {
            output::note(
                "The process belongs to another user, or does not let itself be looked into; \
                 or Yama (kernel.yama.ptrace_scope) is above 1. As root it works.",
            );
        }
    }
    tell_quickack(ran);
    if let Some(error) = &ran.no_keeper {
        output::note(&format!(
            "uncork run: no keeper could be started ({error}): what the command left running can't \
             connect any more"
        ));
    }
}

/// What `--quickack` did not reach.
fn tell_quickack(ran: &Ran) {
    if let Some(error) = &ran.no_quickack {
        output::note(&format!("uncork run: --quickack was not done: {error}"));
    }
    let Some(quickack) = ran.report.quickack else {
        return;
    };
    for (count, what) in [
        (quickack.sockets_left_out, "connections"),
        (quickack.processes_left_out, "processes"),
    ] {
        if count > 0 {
            output::note(&format!(
                "uncork run: --quickack was not done for all {what}; left out: {count}"
            ));
        }
    }
}

/// Where the report goes: opened before the command runs, written after it.
struct ReportFile {
    path: PathBuf,
    file: File,
}

impl ReportFile {
    fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        let file = file.map_err(|error| output::cannot_write(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    fn write(mut self, report: &Report) -> Result<(), Failure> {
        let failed = |error: std::io::Error| output::cannot_write(&self.path, error);
        let mut text = serde_json::to_vec_pretty(report).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        output::replace(&mut self.file, &text).map_err(failed)
    }
}
