//! What the server gives up once its sockets are bound, and before its logs are opened.
//!
//! Users, `no_new_privs` and Landlock belong to a thread, and a new thread takes them over from the one
//! that makes it. So all of this comes before the first other thread: before the log's writer, the
//! admin's thread and the workers.

mod landlock;
mod user;

use std::fmt;
use std::io;
use std::path::PathBuf;

use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};

use self::user::User;

/// What is to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockdownPlan {
    /// Whom to become.
    pub user: Option<String>,
    /// What can still be read: the sites, and the configuration for a reload. A site that a later
    /// reload brings is read only if it lies beneath one of these.
    pub readable: Vec<PathBuf>,
    /// Where files can still be made and written: the logs.
    pub writable: Vec<PathBuf>,
}

/// One sentence for the operator, without the dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// This holds.
    Holds(String),
    /// This does not, and why.
    Missing(String),
}

/// What can't be left undone in silence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockdownError {
    /// Only root can become someone.
    #[error("can't become {name}: only root can (started as uid {uid})")]
    NotRoot {
        /// Whom.
        name: String,
        /// Who we are.
        uid: u32,
    },
    /// No such user.
    #[error("there is no user {name} in /etc/passwd")]
    NoUser {
        /// Whom.
        name: String,
    },
    /// The user database can't be read.
    #[error("{path}: {source}")]
    Database {
        /// Which file.
        path: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The kernel refused.
    #[error("{call}: {source}")]
    Call {
        /// The system call.
        call: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// The calls succeeded and changed nothing.
    #[error("root could not be given up")]
    StillRoot,
}

/// The calls that carry out a [`LockdownPlan`].
#[derive(Debug)]
pub enum Lockdown {}

impl Lockdown {
    /// Gives up what the server does not need, for good: becomes the user, then `no_new_privs`, no core
    /// files, and Landlock. Called by the one thread that there is.
    ///
    /// # Errors
    /// The user can't be taken on. Everything else is best effort, and stated.
    pub fn apply(plan: &LockdownPlan) -> Result<Vec<Statement>, LockdownError> {
        Ok(vec![
            become_user(plan.user.as_deref())?,
            no_new_privs(),
            no_core(),
            landlock::restrict(&plan.readable, &plan.writable),
        ])
    }
}

/// Raises the number of files that may be open to its hard limit. Called first, before sockets are
/// bound: a connection and a cached file are a descriptor each.
#[must_use]
pub fn raise_open_files() -> Statement {
    let limit = getrlimit(Resource::Nofile);
    let named =
        |count: Option<u64>| count.map_or("any number of".to_owned(), |count| count.to_string());
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => Statement::Holds(format!("open files: {} at once", named(limit.maximum))),
        Err(error) => Statement::Missing(format!(
            "open files: only {} at once ({error})",
            named(limit.current)
        )),
    }
}

fn become_user(name: Option<&str>) -> Result<Statement, LockdownError> {
    let uid = geteuid();
    match name {
        Some(name) if !uid.is_root() => Err(LockdownError::NotRoot {
            name: name.to_owned(),
            uid: uid.as_raw(),
        }),
        Some(name) => {
            let user = User::find(name)?;
            user.become_it()?;
            let text = format!("user: runs as {name} (uid {})", user.uid);
            Ok(if user.uid == 0 {
                Statement::Missing(format!("{text}, which is root"))
            } else {
                Statement::Holds(text)
            })
        }
        None if uid.is_root() => Ok(Statement::Missing(
            "user: runs as root; `user` names whom to become after the sockets are bound"
                .to_owned(),
        )),
        None => Ok(Statement::Holds(format!(
            "user: runs as uid {}",
            uid.as_raw()
        ))),
    }
}

fn no_new_privs() -> Statement {
    match rustix::thread::set_no_new_privs(true) {
        Ok(()) => Statement::Holds("no_new_privs: no program can give privileges back".to_owned()),
        Err(error) => Statement::Missing(format!("no_new_privs: {error}")),
    }
}

/// A core file would hold what peers asked.
fn no_core() -> Statement {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    match setrlimit(Resource::Core, none) {
        Ok(()) => Statement::Holds("core files: none are written".to_owned()),
        Err(error) => Statement::Missing(format!("core files: {error}")),
    }
}

impl Statement {
    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Statement::Holds(text) | Statement::Missing(text) => text,
        }
    }

    /// Whether it holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        matches!(self, Statement::Holds(_))
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Statement::Holds(text) => f.write_str(text),
            Statement::Missing(text) => write!(f, "NOT HELD: {text}"),
        }
    }
}

#[cfg(test)]
mod tests;
