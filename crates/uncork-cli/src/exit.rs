//! Exit codes, the same for all verbs.

use std::process::ExitCode;

use crate::output;

/// How a verb ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All well.
    Done,
    /// Done, with losses that are listed.
    Losses,
    /// The call is wrong: an argument, a source that is none.
    Usage,
    /// The far side can't be reached, or refuses.
    FarSide,
    /// Not permitted, or not possible, on this machine.
    NotPermitted,
    /// `run` has found the command, and can't start it: as with env(1) and nohup(1).
    NotExecutable,
    /// `run` has not found the command.
    NotFound,
}

impl Exit {
    fn number(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Losses => 1,
            Exit::Usage => 2,
            Exit::FarSide => 3,
            Exit::NotPermitted => 4,
            Exit::NotExecutable => 126,
            Exit::NotFound => 127,
        }
    }
}

/// A failure, and the code that tells scripts of which kind it is.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) error: anyhow::Error,
    /// What to do next, where the error itself can't say it.
    advice: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit,
            error: error.into(),
            advice: None,
        }
    }

    /// The same, perhaps with a line that says what to do next.
    pub(crate) fn advised(self, advice: Option<String>) -> Self {
        Self { advice, ..self }
    }

    /// The same, with what was being done.
    pub(crate) fn context(self, doing: &'static str) -> Self {
        Self {
            error: self.error.context(doing),
            ..self
        }
    }

    /// An I/O failure: a refused permission has a code of its own.
    pub(crate) fn io(
        otherwise: Exit,
        kind: std::io::ErrorKind,
        error: impl Into<anyhow::Error>,
    ) -> Self {
        let exit = match kind {
            std::io::ErrorKind::PermissionDenied => Exit::NotPermitted,
            _ => otherwise,
        };
        Self::new(exit, error)
    }
}

/// Prints a failure with all its causes on one line, its advice on the next, and gives the code.
pub(crate) fn code(done: Result<Exit, Failure>) -> ExitCode {
    let exit = done.unwrap_or_else(|failure| {
        output::note(&format!("uncork: {:#}", failure.error));
        if let Some(advice) = failure.advice {
            output::note(&advice);
        }
        failure.exit
    });
    ExitCode::from(exit.number())
}
