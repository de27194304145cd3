//! Which permission is missing. The kernel says EPERM and nothing else; what stands in `/proc` tells
//! which of its checks (`__ptrace_may_access`, Yama's, a seccomp filter) it most likely was.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::process::geteuid;

/// Bit of CAP_SYS_PTRACE, in `include/uapi/linux/capability.h`.
const CAP_SYS_PTRACE: u64 = 1 << 19;

/// `Seccomp:` of a process with a filter.
const SECCOMP_MODE_FILTER: u64 = 2;

/// What the kernel's decision hangs on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    own_uid: u32,
    may_ptrace: bool,
    has_filter: bool,
    /// `kernel.yama.ptrace_scope`, where this kernel has Yama.
    yama_scope: Option<u8>,
    /// Real uid of the other process.
    uid: Option<u32>,
    /// Whether the other process is not dumpable: its `/proc` entries then belong to root.
    is_not_dumpable: bool,
}

impl Facts {
    pub(crate) fn about(pid: u32) -> Self {
        let status = |who: &str| fs::read_to_string(format!("/proc/{who}/status"));
        let own = status("self").unwrap_or_default();
        let other = status(&pid.to_string()).unwrap_or_default();
        let capabilities = field(&own, "CapEff:").and_then(|hex| u64::from_str_radix(hex, 16).ok());
        let filter = field(&own, "Seccomp:").and_then(|mode| mode.parse::<u64>().ok());
        let yama = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
        let uid = field(&other, "Uid:").and_then(|uid| uid.parse().ok());
        let owner = fs::metadata(format!("/proc/{pid}/fd")).map(|folder| folder.uid());
        Self {
            own_uid: geteuid().as_raw(),
            may_ptrace: capabilities.unwrap_or(0) & CAP_SYS_PTRACE != 0,
            has_filter: filter == Some(SECCOMP_MODE_FILTER),
            yama_scope: yama.ok().and_then(|scope| scope.trim().parse().ok()),
            uid,
            is_not_dumpable: owner.is_ok_and(|owner| uid.is_some_and(|uid| owner != uid)),
        }
    }

    /// The most likely reason first: each line is one check of the kernel, in its order.
    pub(crate) fn advice(&self) -> String {
        if self.yama_scope == Some(3) {
            return "kernel.yama.ptrace_scope is 3: nobody may, until the next start of the machine. \
                    `uncork run` starts a program so that it needs no such permission."
                .to_owned();
        }
        if self.may_ptrace {
            return if self.has_filter {
                "This process has CAP_SYS_PTRACE, but runs under a seccomp filter, as in a container, \
                 that forbids it: start the container with `--security-opt seccomp=unconfined`, or \
                 run uncork on the host."
            } else {
                "This process has CAP_SYS_PTRACE, but not over that one: it belongs to another user \
                 namespace, or a security module (AppArmor, SELinux) forbids it. Run uncork as root \
                 on the host."
            }
            .to_owned();
        }
        let Some(uid) = self.uid else {
            return "That process is hidden from this user (/proc is mounted with hidepid). Run \
                    uncork as root."
                .to_owned();
        };
        if uid != self.own_uid {
            return format!(
                "It runs as uid {uid}, and this is uid {}. Run uncork as that user or as root \
                 (`sudo uncork …`), or give it CAP_SYS_PTRACE.",
                self.own_uid
            );
        }
        match self.yama_scope {
            Some(1) => {
                return "kernel.yama.ptrace_scope is 1: a user may look into descendants of the own \
                        process only. Run uncork as root (`sudo uncork …`), or allow it until the \
                        next start of the machine: `sudo sysctl kernel.yama.ptrace_scope=0`. `uncork \
                        run` starts a program so that it needs no such permission."
                    .to_owned();
            }
            Some(2) => {
                return "kernel.yama.ptrace_scope is 2: only CAP_SYS_PTRACE may. Run uncork as root \
                        (`sudo uncork …`)."
                    .to_owned();
            }
            _ => {}
        }
        if self.is_not_dumpable {
            return "The program is not dumpable (set-user-ID, more capabilities than this user, or \
                    prctl(PR_SET_DUMPABLE)): only CAP_SYS_PTRACE may. Run uncork as root (`sudo \
                    uncork …`)."
                .to_owned();
        }
        if self.has_filter {
            return "This process runs under a seccomp filter, as in a container, that forbids it: \
                    start the container with `--cap-add SYS_PTRACE`, or run uncork on the host."
                .to_owned();
        }
        "It has more rights than this user: other groups, capabilities, or another user namespace. \
         Run uncork as root (`sudo uncork …`)."
            .to_owned()
    }
}

/// The first word behind `name` in a `/proc/PID/status`.
pub(crate) fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_obstacle_has_its_sentence() {
        let same_user = Facts {
            own_uid: 7,
            uid: Some(7),
            ..Facts::default()
        };
        let yama = |scope| Facts {
            yama_scope: Some(scope),
            ..same_user.clone()
        };
        for (facts, expected) in [
            (yama(1), "ptrace_scope is 1"),
            (yama(2), "ptrace_scope is 2"),
            (yama(3), "ptrace_scope is 3"),
            (yama(0), "more rights than this user"),
            (
                Facts {
                    uid: Some(0),
                    ..yama(1)
                },
                "It runs as uid 0, and this is uid 7.",
            ),
            (
                Facts {
                    uid: None,
                    ..yama(1)
                },
                "hidepid",
            ),
            (
                Facts {
                    is_not_dumpable: true,
                    ..yama(0)
                },
                "not dumpable",
            ),
            (
                Facts {
                    has_filter: true,
                    ..yama(0)
                },
                "--cap-add SYS_PTRACE",
            ),
            (
                Facts {
                    may_ptrace: true,
                    has_filter: true,
                    ..yama(1)
                },
                "seccomp=unconfined",
            ),
            (
                Facts {
                    may_ptrace: true,
                    ..yama(1)
                },
                "another user namespace",
            ),
        ] {
            let advice = facts.advice();
            assert!(advice.contains(expected), "{facts:?}: {advice}");
        }
    }

    #[test]
    fn fields_of_a_status() {
        let status = "Name:\tUid: 3\nUid:\t1000\t1001\t0\t0\nCapEff:\t000001ffffffffff\n";
        assert_eq!(field(status, "Uid:"), Some("1000"));
        assert_eq!(field(status, "CapEff:"), Some("000001ffffffffff"));
        assert_eq!(field(status, "Seccomp:"), None);
        assert_eq!(field("Seccomp:\n", "Seccomp:"), None);
    }
}
