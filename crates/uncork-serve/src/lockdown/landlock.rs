//! Landlock: the files that this process can reach at all, whatever it is told.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus,
};

use super::Statement;

/// The rights that are looked after. Later ones are left out with a reason: V9 also looks after the
/// sockets of `connect`, and systemd's, to which readiness is told, is one. Older kernels take what
/// they know.
const RIGHTS: ABI = ABI::V5;

/// Restricts the calling thread, and those that it makes later.
pub(super) fn restrict(readable: &[PathBuf], writable: &[PathBuf]) -> Statement {
    let mut absent = Vec::new();
    let status = match ruleset(readable, writable, &mut absent) {
        Ok(status) => status,
        Err(error) => return Statement::Missing(format!("Landlock: {}", sentence(&error))),
    };
    let mut text = format!("files are readable only beneath {}", list(readable));
    if !writable.is_empty() {
        text = format!("{text}, and writable only beneath {}", list(writable));
    }
    if !absent.is_empty() {
        text = format!("{text} (can't be opened now, nor later: {})", list(&absent));
    }
    match status.ruleset {
        RulesetStatus::FullyEnforced => Statement::Holds(format!("Landlock: {text}")),
        RulesetStatus::PartiallyEnforced => Statement::Holds(format!(
            "Landlock: {text}, as far as this kernel knows the rights (an older Landlock)"
        )),
        RulesetStatus::NotEnforced => {
            Statement::Missing("Landlock: this kernel has none".to_owned())
        }
    }
}

fn ruleset(
    readable: &[PathBuf],
    writable: &[PathBuf],
    absent: &mut Vec<PathBuf>,
) -> Result<RestrictionStatus, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    // New files, and appending to old ones. Nothing is executed, removed or linked.
    let write = AccessFs::WriteFile | AccessFs::MakeReg;
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(RIGHTS))?
        .create()?;
    for (paths, rights) in [(readable, read), (writable, write)] {
        for path in paths {
            // One folder that is gone takes no right away from the others.
            let Ok(open) = PathFd::new(path) else {
                absent.push(path.clone());
                continue;
            };
            rules = rules.add_rule(PathBeneath::new(open, rights_of(path, rights)))?;
        }
    }
    rules.restrict_self()
}

/// The kernel refuses rights of folders for a file.
fn rights_of(path: &Path, rights: BitFlags<AccessFs>) -> BitFlags<AccessFs> {
    if path.is_dir() {
        rights
    } else {
        rights & AccessFs::from_file(RIGHTS)
    }
}

fn list(paths: &[PathBuf]) -> String {
    match paths {
        [] => "nothing".to_owned(),
        // Ten thousand hosts have one folder; many single sites need not all be named.
        [first, second, third, _, _, ..] => format!(
            "{}, {}, {} and {} more",
            first.display(),
            second.display(),
            third.display(),
            paths.len() - 3
        ),
        _ => {
            let paths: Vec<String> = paths
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            paths.join(", ")
        }
    }
}

fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let check = |count: usize, expected: &str| {
            let paths: Vec<PathBuf> = (0..count).map(|n| format!("/{n}").into()).collect();
            assert_eq!(list(&paths), expected);
        };
        check(0, "nothing");
        check(1, "/0");
        check(4, "/0, /1, /2, /3");
        check(5, "/0, /1, /2 and 2 more");
    }
}
