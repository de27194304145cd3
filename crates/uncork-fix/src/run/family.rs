//! Who started whom, by `/proc/PID/stat`: whether a signal comes from the command itself, and whether
//! a shell watches over this process.

use std::fs;

use crate::sys::group;

/// How many ancestors are looked at: a chain that is longer is nobody's shell.
const ANCESTORS_MAX: usize = 256;

/// What `/proc/PID/stat` says of a process's place. See proc_pid_stat(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    parent: u32,
    group: u32,
    session: u32,
}

impl Place {
    fn of(process: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        // The name may hold anything, `) 1 2` included, but its end is the last parenthesis.
        let (_, behind_name) = stat.rsplit_once(')')?;
        let mut fields = behind_name.split_ascii_whitespace().skip(1);
        let mut number = || fields.next()?.parse().ok();
        Some(Self {
            parent: number()?,
            group: number()?,
            session: number()?,
        })
    }
}

/// Whether `process` is `ancestor`, or descends from it by parents that live.
pub(crate) fn descends(process: u32, ancestor: u32) -> bool {
    let mut process = process;
    for _ in 0..ANCESTORS_MAX {
        if process == ancestor {
            return true;
        }
        match Place::of(process) {
            Some(place) if place.parent != 0 => process = place.parent,
            _ => return false,
        }
    }
    false
}

/// Whether a process stands still, by a signal or under a debugger. One that can't be looked at does
/// not.
pub(crate) fn is_stopped(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"));
    stat.is_ok_and(|stat| stat_is_stopped(&stat))
}

fn stat_is_stopped(stat: &str) -> bool {
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    state.is_some_and(|state| state.starts_with(['T', 't']))
}

/// Whether somebody of this session started the group that this process is in, and so can make it go on
/// when it has stopped: a shell with job control. POSIX calls a group without one orphaned.
pub(crate) fn is_job() -> bool {
    let (group, session) = (group::own_group(), group::own_session());
    let mut place = Place::of(std::process::id());
    for _ in 0..ANCESTORS_MAX {
        let Some(parent) = place.and_then(|place| Place::of(place.parent)) else {
            return false;
        };
        if parent.session != session {
            return false;
        }
        if parent.group != group {
            return true;
        }
        place = Some(parent);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_anything() {
        let check = |stat: &str, expected: Option<(u32, u32, u32)>| {
            let place = Place::parse(stat).map(|place| (place.parent, place.group, place.session));
            assert_eq!(place, expected, "{stat}");
        };
        check("7 (sh) S 1 7 5 34816 7 0", Some((1, 7, 5)));
        check("7 (a) R 9) S 2 3 4 0", Some((2, 3, 4)));
        check("7 (sh) S 1 7", None);
        check("7", None);
        check("", None);
    }

    #[test]
    fn states() {
        assert!(stat_is_stopped("7 (a) R) T 1 7 5 0"));
        assert!(stat_is_stopped("7 (sh) t 1 7 5 0"));
        assert!(!stat_is_stopped("7 (sh) S 1 7 5 0"));
        assert!(!stat_is_stopped("7 (T) Z 1 7 5 0") && !stat_is_stopped(""));
    }

    #[test]
    fn this_process_descends_from_its_parent() {
        let (own, parent) = (std::process::id(), std::os::unix::process::parent_id());
        assert!(descends(own, own) && descends(own, parent));
        assert!(!descends(parent, own));
    }
}
