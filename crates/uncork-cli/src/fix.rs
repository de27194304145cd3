//! `uncork fix`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{ArgGroup, Args};
use serde::Serialize;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use uncork_fix::repair::cgroup::{AttachError, Cgroup, Program};
use uncork_fix::repair::{
    Event, Record, RefusalKind, Repairer, Report, Target, raise_descriptor_limit,
};

use crate::exit::{Exit, Failure};
use crate::output;
use crate::pid::PID_MAX;
use crate::words::counted;

/// Turn Nagle's algorithm off in programs that are running, without touching them
///
/// Finds the TCP sockets of a process and sets TCP_NODELAY on them, which also sends what is held. All
/// that is changed is said, and can be undone.
#[derive(Debug, Args)]
#[command(
    after_long_help = EXAMPLES,
    group = ArgGroup::new("what").args(["pids", "cgroup", "undo"]).required(true).multiple(true)
)]
pub(crate) struct FixArgs {
    /// The processes whose TCP sockets are to be repaired
    #[arg(short, long = "pid", value_name = "PID", num_args = 1..,
          value_parser = clap::value_parser!(u32).range(1..=PID_MAX))]
    pids: Vec<u32>,
    /// Their children, and the children of those, too
    #[arg(long)]
    tree: bool,
    /// Go on with the sockets to come, until Ctrl-C or the end of the last process
    #[arg(long, requires = "pids", conflicts_with_all = ["undo", "cgroup"])]
    watch: bool,
    /// Repair the processes of a cgroup, and have the kernel repair its connections to come
    ///
    /// A small program for sockets (BPF) is attached to the cgroup; it stays until --undo, or until the
    /// cgroup is removed. Needs root and Linux 6.1.
    #[arg(long, value_name = "PATH")]
    cgroup: Option<PathBuf>,
    /// Take back what was changed: of these processes, of this cgroup, or else all of it
    #[arg(long)]
    undo: bool,
    /// Print one JSON document at the end
    #[arg(long)]
    json: bool,
    /// Print nothing but errors
    #[arg(long)]
    quiet: bool,
}

const EXAMPLES: &str = "\
Examples:
  uncork fix -p 1234
      All TCP sockets that process 1234 has now; those that it accepts on them later have it, too
  uncork fix -p 1234 --tree --watch
      Those of its children, and those to come, until Ctrl-C
  sudo uncork fix --cgroup /sys/fs/cgroup/system.slice/importer.service
      All connections of a service, until it is stopped: systemd removes the cgroup with it
  uncork fix --undo -p 1234
      As it was before

One's own processes need no root where kernel.yama.ptrace_scope is 0. More: docs/fix.md";

/// Repairs, or undoes it.
pub(crate) fn run(arguments: &FixArgs) -> Result<Exit, Failure> {
    raise_descriptor_limit();
    let voice = Voice::of(arguments);
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        if arguments.watch {
            let registered = flag::register(signal, Arc::clone(&stop));
            registered.map_err(|error| Failure::new(Exit::NotPermitted, error))?;
        }
    }
    let mut repairer = Repairer::new(|event| voice.say(event));
    let record = Record::open();
    repairer = match record {
        Ok(record) => repairer.with_record(record),
        Err(error) if arguments.undo => return Err(Failure::new(Exit::NotPermitted, error)),
        Err(error) => {
            repairer.note(format!("{error}: --undo won't know of these changes"));
            repairer
        }
    };
    let cgroup = arguments.cgroup()?;
    let members = cgroup.as_ref().map(Attached::pids).transpose()?;
    let target = Target::new(arguments.pids.iter().copied())
        .with_members(members.unwrap_or_default())
        .with_descendants(arguments.tree);
    if arguments.undo {
        let is_all = arguments.pids.is_empty() && cgroup.is_none();
        let undone = match is_all {
            true => repairer.undo_all(),
            false => repairer.undo(&target),
        };
        undone.map_err(|error| Failure::new(Exit::NotPermitted, error))?;
    } else if arguments.watch {
        voice.note("watching for sockets to come; Ctrl-C ends it");
        repairer.watch(&target, &stop);
    } else {
        repairer.fix(&target);
    }
    let report = repairer.finish();
    let exit = exit(&report);
    if let Some(error) = voice.error.take() {
        return Err(output::failure(error));
    }
    if arguments.json {
        output::json(&Document {
            report: &report,
            cgroup: cgroup.as_ref(),
        })?;
    }
    voice.sum_up(arguments, &report, cgroup.as_ref());
    Ok(exit)
}

impl FixArgs {
    /// The program comes before the sockets that are there: so there is no moment in between.
    fn cgroup(&self) -> Result<Option<Attached>, Failure> {
        let Some(path) = &self.cgroup else {
            return Ok(None);
        };
        let attach = || {
            let cgroup = Cgroup::open(path)?;
            let program = if self.undo {
                cgroup.detach()
            } else {
                cgroup.attach()
            }?;
            Ok(Attached { program, cgroup })
        };
        attach().map(Some).map_err(not_attached)
    }
}

/// A cgroup, and what became of its program.
#[derive(Debug)]
struct Attached {
    program: Program,
    cgroup: Cgroup,
}

impl Attached {
    /// The processes in it. Where they can't be had, what has become of the program is said all the same.
    fn pids(&self) -> Result<Vec<u32>, Failure> {
        self.cgroup.pids().map_err(|error| {
            let words = error.advice().into_iter().chain([self.to_string()]);
            let words = words.collect::<Vec<_>>().join("\n");
            not_attached(error).advised(Some(words))
        })
    }
}

impl fmt::Display for Attached {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self.program {
            Program::Attached => "connections to come get NODELAY, from now on until --undo",
            Program::WasAttached => "connections to come get NODELAY, as before",
            Program::Detached => {
                "connections to come are left as they are; those made meanwhile keep NODELAY"
            }
            Program::WasNotAttached => "no program of uncork is attached",
        };
        write!(formatter, "{}: {words}", self.cgroup.path().display())
    }
}

/// What `--json` prints.
struct Document<'a> {
    report: &'a Report,
    cgroup: Option<&'a Attached>,
}

impl Serialize for Document<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Group<'a> {
            path: std::borrow::Cow<'a, str>,
            program: Program,
        }
        #[derive(Serialize)]
        struct Whole<'a> {
            #[serde(flatten)]
            report: &'a Report,
            cgroup: Option<Group<'a>>,
        }
        let cgroup = self.cgroup.map(|attached| Group {
            path: attached.cgroup.path().to_string_lossy(),
            program: attached.program,
        });
        let report = self.report;
        Whole { report, cgroup }.serialize(serializer)
    }
}

/// Only another path would do: that is wrong usage. All else is this machine's.
fn not_attached(error: AttachError) -> Failure {
    let exit = match &error {
        AttachError::Cgroup(_) if !error.is_not_permitted() => Exit::Usage,
        _ => Exit::NotPermitted,
    };
    let advice = error.advice();
    Failure::new(exit, error).advised(advice)
}

/// Where nothing could be looked at, the kind of refusal is what a script wants to know.
fn exit(report: &Report) -> Exit {
    let has = |kind| report.refused.iter().any(|refusal| refusal.kind == kind);
    match report {
        report if report.refused_count == 0 => Exit::Done,
        report if report.processes > 0 => Exit::Losses,
        _ if has(RefusalKind::NotPermitted) => Exit::NotPermitted,
        _ if has(RefusalKind::NoProcess) => Exit::Usage,
        _ => Exit::Losses,
    }
}

/// What is said to people: changes are the output, and go to stdout unless that is for the document.
struct Voice {
    is_json: bool,
    is_quiet: bool,
    advice: RefCell<BTreeSet<String>>,
    error: RefCell<Option<std::io::Error>>,
}

impl Voice {
    fn of(arguments: &FixArgs) -> Self {
        Self {
            is_json: arguments.json,
            is_quiet: arguments.quiet,
            advice: RefCell::default(),
            error: RefCell::default(),
        }
    }

    fn note(&self, text: &str) {
        if !self.is_quiet {
            output::note(text);
        }
    }

    fn say(&self, event: Event<'_>) {
        match event {
            Event::Changed(_) if self.is_quiet => {}
            Event::Changed(change) if self.is_json => output::note(&change.to_string()),
            Event::Changed(change) => {
                let mut stdout = std::io::stdout().lock();
                let written = writeln!(stdout, "{change}").and_then(|()| stdout.flush());
                if let Err(error) = written {
                    self.error.borrow_mut().get_or_insert(error);
                }
            }
            Event::Refused(refusal) => {
                output::note(&format!("uncork: {refusal}"));
                // The same words for each process of a tree are said once.
                if let Some(advice) = &refusal.advice
                    && self.advice.borrow_mut().insert(advice.clone())
                {
                    output::note(advice);
                }
            }
            _ => {}
        }
    }

    fn sum_up(&self, arguments: &FixArgs, report: &Report, cgroup: Option<&Attached>) {
        report
            .notes
            .iter()
            .for_each(|note| output::note(&format!("note: {note}")));
        if let Some(attached) = cgroup {
            self.note(&attached.to_string());
        }
        let Report {
            changed_count,
            already_count,
            not_tcp_count,
            refused_count,
            ..
        } = report;
        if arguments.undo {
            if changed_count + already_count + refused_count == 0 {
                self.note(match cgroup.map(|cgroup| cgroup.program) {
                    Some(Program::Detached) => "no sockets to undo",
                    _ => "nothing to undo",
                });
            } else {
                let already = match already_count {
                    0 => String::new(),
                    count => format!("; {count} had been before"),
                };
                self.note(&format!(
                    "{} as before{already}",
                    counted(*changed_count, "socket")
                ));
            }
            return;
        }
        if report.processes == 0 && *refused_count > 0 {
            return;
        }
        let mut parts = vec![format!("{} changed", counted(*changed_count, "socket"))];
        if *already_count > 0 {
            parts.push(format!("{already_count} had NODELAY already"));
        }
        if *not_tcp_count > 0 {
            parts.push(format!("{not_tcp_count} left that are not TCP"));
        }
        if *refused_count > 0 {
            parts.push(format!("{refused_count} refused"));
        }
        self.note(&parts.join(", "));
        if *changed_count > 0 && report.is_recorded {
            self.note(&format!("undo: {}", undo_words(arguments)));
        }
    }
}

/// The command that takes it back.
fn undo_words(arguments: &FixArgs) -> String {
    let mut words = "uncork fix --undo".to_owned();
    if !arguments.pids.is_empty() {
        words += " -p";
    }
    for pid in &arguments.pids {
        words += &format!(" {pid}");
    }
    if arguments.tree {
        words += " --tree";
    }
    if let Some(path) = &arguments.cgroup {
        words += &format!(
            " --cgroup {}",
            uncork_sockets::shell_word(&path.to_string_lossy())
        );
    }
    words
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use uncork_fix::repair::cgroup::CgroupError;
    use uncork_lab::requirement;

    use super::*;

    #[test]
    fn what_a_refused_cgroup_exits_with() {
        let path = || PathBuf::from("/sys/fs/cgroup/a");
        let read = |kind: ErrorKind| CgroupError::Read {
            path: path(),
            call: "statfs",
            reason: kind.into(),
        };
        let displaced = AttachError::WouldDisplace {
            path: path(),
            ancestor: "/sys/fs/cgroup".into(),
        };
        let failed = AttachError::System {
            path: path(),
            call: "BPF_PROG_ATTACH",
            error: Error::from_raw_os_error(7),
        };
        for (error, expected) in [
            (CgroupError::None(path()).into(), Exit::Usage),
            (read(ErrorKind::NotFound).into(), Exit::Usage),
            (read(ErrorKind::PermissionDenied).into(), Exit::NotPermitted),
            (displaced, Exit::NotPermitted),
            (failed, Exit::NotPermitted),
        ] {
            let failure = not_attached(error);
            assert_eq!(failure.exit, expected, "{failure:?}");
        }
    }

    /// The processes of a cgroup that is gone can't be had.
    #[test]
    fn what_is_attached_is_said_where_it_goes_wrong() {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let mut mounts = mounts
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>());
        let Some(mount) = mounts.find(|words| words[2] == "cgroup2") else {
            return requirement::skip("no cgroups of version 2 are mounted");
        };
        let path = PathBuf::from(mount[1]).join(format!("uncork-fix-{}", std::process::id()));
        if let Err(error) = std::fs::create_dir(&path) {
            return requirement::skip(&format!("no cgroup can be made: {error}"));
        }
        let cgroup = Cgroup::open(&path);
        std::fs::remove_dir(&path).unwrap();
        let attached = Attached {
            program: Program::Attached,
            cgroup: cgroup.unwrap(),
        };
        let failure = format!("{:?}", attached.pids().unwrap_err());
        assert!(failure.contains("from now on until --undo"), "{failure}");
    }
}
