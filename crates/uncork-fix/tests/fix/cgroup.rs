//! A cgroup of the test's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use uncork_fix::repair::Target;
use uncork_fix::repair::cgroup::{AttachError, Cgroup, CgroupError, Program};
use uncork_lab::python::Python;
use uncork_lab::requirement;

use crate::support::{Notebook, counts, nodelay};

/// A new cgroup beneath the root of the hierarchy; removed with the test.
struct Group {
    path: PathBuf,
}

/// The mount point of a file system of this kind.
fn mount(kind: &str) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let mut mounts = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    mounts.find_map(|words| (words[2] == kind).then(|| words[1].into()))
}

impl Group {
    fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !requirement::root() {
            return None;
        }
        let Some(mount) = mount("cgroup2") else {
            requirement::skip("no cgroups of version 2 are mounted");
            return None;
        };
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = mount.join(format!("uncork-test-{}-{number}", std::process::id()));
        if let Err(error) = fs::create_dir(&path) {
            requirement::skip(&format!("no cgroup can be made: {error}"));
            return None;
        }
        Some(Self { path })
    }

    fn open(&self) -> Cgroup {
        Cgroup::open(&self.path).unwrap()
    }

    /// Attaches the program, or says why not.
    fn attached(&self) -> Option<Cgroup> {
        let cgroup = self.open();
        match cgroup.attach() {
            Err(error) if error.is_not_permitted() => {
                requirement::skip(&error.to_string());
                return None;
            }
            attached => assert_eq!(attached.unwrap(), Program::Attached),
        }
        Some(cgroup)
    }

    fn take_in(&self, pid: u32) {
        fs::write(self.path.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that was killed is still in it for a moment.
        for _ in 0..1000 {
            if fs::remove_dir(&self.path).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Connects to itself by IPv4 and IPv6 when it is told to, and says what NODELAY is on both sides. It has
/// to be in its cgroup before it makes a socket: the socket stays where it was made.
const CONNECTING: &str = "
import socket, sys
sys.stdin.readline()
servers = [socket.create_server((host, 0), family=family)
           for host, family in (('127.0.0.1', socket.AF_INET), ('::1', socket.AF_INET6))]
kept = []
print('ready', flush=True)
for line in sys.stdin:
    for server in servers:
        made = socket.create_connection(server.getsockname()[:2])
        kept += [made, server.accept()[0]]
    nodelay = [one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for one in kept[-4:]]
    print(*nodelay, flush=True)
";

#[test]
fn connections_to_come() {
    let Some(group) = Group::new() else { return };
    let Some(mut python) = Python::start(CONNECTING, &[]) else {
        return;
    };
    group.take_in(python.pid());
    python.ask("").unwrap();
    assert_eq!(python.ask("").unwrap(), "0 0 0 0");
    let Some(cgroup) = group.attached() else {
        return;
    };
    assert_eq!(python.ask("").unwrap(), "1 1 1 1", "asked for and accepted");
    // The program is the cgroup's, whoever has attached it.
    drop(cgroup);
    let cgroup = group.open();
    assert_eq!(cgroup.attach().unwrap(), Program::WasAttached);
    assert_eq!(python.ask("").unwrap(), "1 1 1 1");
    assert_eq!(cgroup.detach().unwrap(), Program::Detached);
    assert_eq!(cgroup.detach().unwrap(), Program::WasNotAttached);
    assert_eq!(python.ask("").unwrap(), "0 0 0 0");
    // Those made before the program are repaired as any others: eight sides, and two that listen.
    assert_eq!(nodelay(python.pid()), (8, 18));
    let notebook = Notebook::new();
    let members = Target::default().with_members(cgroup.pids().unwrap());
    assert_eq!(counts(&notebook.fix(&members)), (10, 8, 0));
    assert_eq!(counts(&notebook.undo(&members)), (10, 0, 0));
    drop(python);
}

#[test]
fn groups_beneath_are_meant_too() {
    let Some(group) = Group::new() else { return };
    let beneath = Group {
        path: group.path.join("beneath"),
    };
    fs::create_dir(&beneath.path).unwrap();
    let Some(mut python) = Python::start(CONNECTING, &[]) else {
        return;
    };
    beneath.take_in(python.pid());
    python.ask("").unwrap();
    let Some(cgroup) = group.attached() else {
        return;
    };
    assert_eq!(cgroup.pids().unwrap(), [python.pid()]);
    assert_eq!(python.ask("").unwrap(), "1 1 1 1");
    // It is found where it is attached, and there alone.
    assert_eq!(beneath.open().detach().unwrap(), Program::WasNotAttached);
    assert_eq!(python.ask("").unwrap(), "1 1 1 1");
    drop(python);
}

#[test]
fn a_socket_stays_in_the_cgroup_where_it_was_made() {
    let Some(group) = Group::new() else { return };
    let Some(mut python) = Python::start(CONNECTING, &[]) else {
        return;
    };
    python.ask("").unwrap();
    group.take_in(python.pid());
    let Some(cgroup) = group.attached() else {
        return;
    };
    assert_eq!(
        python.ask("").unwrap(),
        "1 0 1 0",
        "its servers are elsewhere"
    );
    // They are repaired as sockets that are there, and what they accept inherits.
    let members = Target::default().with_members(cgroup.pids().unwrap());
    assert_eq!(counts(&Notebook::new().fix(&members)), (4, 2, 0));
    assert_eq!(python.ask("").unwrap(), "1 1 1 1");
    drop(python);
}

#[test]
fn what_is_no_cgroup() {
    let refused = |path: &Path| Cgroup::open(path).unwrap_err();
    let folder = tempfile::tempdir().unwrap();
    let error = refused(folder.path());
    assert!(
        matches!(error, AttachError::Cgroup(CgroupError::None(_))),
        "{error}"
    );
    if let Some(mount) = mount("cgroup") {
        let error = refused(&mount);
        assert!(
            matches!(error, AttachError::Cgroup(CgroupError::Version1(_))),
            "{error}"
        );
    }
    let Some(mount) = mount("cgroup2") else {
        return;
    };
    let error = refused(&mount.join("cgroup.procs"));
    assert!(
        matches!(error, AttachError::Cgroup(CgroupError::None(_))),
        "{error}"
    );
    let error = refused(&mount.join("no-such-group"));
    assert!(
        matches!(error, AttachError::Cgroup(CgroupError::Read { .. })),
        "{error}"
    );
    assert!(!error.is_not_permitted());
}
