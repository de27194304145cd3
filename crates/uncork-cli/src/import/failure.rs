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
        ImportError::Rejects(error) => match io_kind(error) {
            Some(ErrorKind::PermissionDenied) => Exit::NotPermitted,
            _ => Exit::Usage,
        },
        ImportError::Runtime { .. } | ImportError::Spool { .. } => Exit::NotPermitted,
        _ => Exit::FarSide,
    }
}

/// What the kernel said, where an error comes from it.
fn io_kind(error: &dyn std::error::Error) -> Option<ErrorKind> {
    let source = error.source()?.downcast_ref::<std::io::Error>();
    source.map(std::io::Error::kind)
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

/// What to do next, where the error itself does not say it.
pub(super) fn advice(error: &ImportError, options: &Options, report: &Report) -> Option<String> {
    if report.connections == 0 {
        let is_login = matches!(error, ImportError::Login { .. });
        return is_login.then(|| LOGIN_ADVICE.to_owned());
    }
    let is_lasting = exit(error) == Exit::Usage || options.dry_run;
    (!is_lasting).then(|| resume_advice(options, report))
}

const LOGIN_ADVICE: &str = "check the user name (with %40 for its `@`) and the password; many \
     providers want an app password from their settings, others a token (--token-command)";

/// How an import that was cut short goes on.
fn resume_advice(options: &Options, report: &Report) -> String {
    let known = match (&report.journal, options.existing) {
        (Some(path), _) => format!(
            "what is in is written down in the journal, {}",
            path.display()
        ),
        (None, Existing::Skip | Existing::Compare) => {
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn exit_codes() {
        #[track_caller]
        fn check(error: ImportError, expected: Exit) {
            assert_eq!(failure(error, &Report::default()).exit, expected);
        }
        let address = || "localhost:143".to_owned();
        let place = |kind: ErrorKind| JournalError::Place {
            path: PathBuf::from("/j"),
            source: kind.into(),
        };
        check(ImportError::Stopped, Exit::Losses);
        check(ImportError::Plaintext { address: address() }, Exit::Usage);
        check(JournalError::NoPlace.into(), Exit::Usage);
        check(place(ErrorKind::NotADirectory).into(), Exit::Usage);
        check(
            place(ErrorKind::PermissionDenied).into(),
            Exit::NotPermitted,
        );
        check(
            JournalError::Full {
                path: PathBuf::new(),
            }
            .into(),
            Exit::NotPermitted,
        );
        let reason = String::new();
        check(ImportError::Full { reason }, Exit::FarSide);
        let reason = String::new();
        check(
            ImportError::Tls {
                address: address(),
                reason,
            },
            Exit::FarSide,
        );
    }

    #[test]
    fn what_to_do_next() {
        #[track_caller]
        fn check(existing: Existing, journal: Option<&str>, expected: &str) {
            let mut options = Options::default();
            options.existing = existing;
            let mut report = Report::default();
            report.connections = 1;
            report.journal = journal.map(PathBuf::from);
            let advice = advice(&ImportError::Stopped, &options, &report);
            let advice = advice.unwrap_or_default();
            assert!(advice.contains(expected), "{advice}");
        }
        check(Existing::Skip, Some("/j"), "the journal, /j");
        check(Existing::Append, Some("/j"), "the journal, /j");
        check(Existing::Skip, None, "the server is asked");
        check(Existing::Append, None, "--existing skip");
        // Where nothing has begun, there is nothing to resume.
        let advice = advice(
            &ImportError::Stopped,
            &Options::default(),
            &Report::default(),
        );
        assert_eq!(advice, None);
    }
}
