//! What an import's error means for the exit code, and what the person can do next.

use std::io::ErrorKind;

use uncork_import::{Existing, ImportError, JournalError, Options, Report};

use super::summary::stopped_after;
use crate::exit::{Exit, Failure};

/// The error with what was done by then: who reads it must know what is in and what is not.
pub(super) fn failure(error: ImportError, report: &Report) -> Failure {
    let exit = exit(&error);
    let done = if report.connections > 0 {
        stopped_after(report)
    } else {
        "nothing was imported".to_owned()
    };
    let error = match error {
        ImportError::Stopped => anyhow::Error::msg(done),
        error => anyhow::Error::new(error).context(done),
    };
    Failure::new(exit, error)
}

fn exit(error: &ImportError) -> Exit {
    match error {
        ImportError::Stopped => Exit::Losses,
        ImportError::Plaintext { .. } | ImportError::Map(_) | ImportError::Token { .. } => {
            Exit::Usage
        }
        ImportError::Journal(error) => journal_exit(error),
        ImportError::Runtime { .. } | ImportError::Spool { .. } | ImportError::Rejects(_) => {
            Exit::NotPermitted
        }
        _ => Exit::FarSide,
    }
}

/// Where another `--journal` is the way out, it was the wrong one.
fn journal_exit(error: &JournalError) -> Exit {
    match error {
        JournalError::Place { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
            Exit::NotPermitted
        }
        JournalError::NoPlace
        | JournalError::Place { .. }
        | JournalError::NotAJournal { .. }
        | JournalError::Newer { .. } => Exit::Usage,
        _ => Exit::NotPermitted,
    }
}

/// How an import that was cut short goes on.
pub(super) fn resume_advice(options: &Options, report: &Report) -> String {
    let known = match (&report.journal, options.existing) {
        (Some(path), _) => format!(
            "what is in is written down in the journal, {}",
            path.display()
        ),
        (None, Existing::Skip) => {
            "the server is asked what it has, and nothing is sent twice".to_owned()
        }
        (None, Existing::Append) => {
            return "to go on, run the same command with --existing skip instead of append: without \
                    a journal, append would send again what is in"
                .to_owned();
        }
    };
    format!("to go on, run the same command again; {known}")
}
