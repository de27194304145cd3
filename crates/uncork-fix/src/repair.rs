//! Repairs programs while they run: their TCP sockets are found, given NODELAY through duplicates of
//! their descriptors, and what was changed is written down so that it can be undone.
//!
//! ```no_run
//! use uncork_fix::repair::{Repairer, Target};
//!
//! let mut repairer = Repairer::new(|event| eprintln!("{event}"));
//! repairer.fix(&Target::new([1234]));
//! let report = repairer.finish();
//! println!("{} sockets changed", report.changed_count);
//! ```
//!
//! What is to come is repaired either by looking again ([`Repairer::watch`]), or for a cgroup by a
//! socket program in the kernel ([`cgroup`]).

pub mod cgroup;
mod memory;
mod program;
mod record;
mod repairer;
mod report;
mod target;
mod undo;
mod watch;

/// Lets this process have as many descriptors as it may: a watched process takes two, and the usual
/// limit of 1,024 is there for programs that call select(2). Where it can't, all is as before.
pub fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

pub use record::{Record, RecordError};
pub use repairer::Repairer;
pub use report::{Already, Change, Event, Nodelay, Refusal, RefusalKind, Report};
pub use target::Target;
