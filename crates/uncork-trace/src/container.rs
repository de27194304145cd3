//! In which container or service a process is, told from its control group.
//!
//! Control groups are named by whoever made them, so that this is a guess from names; one whose name
//! nobody is known to give is told by its path.

use std::fs::File;
use std::io::Read;

/// Bytes that are read of `/proc/PID/cgroup`. A line a hierarchy, of which cgroup v1 has a dozen.
const CGROUP_BYTES_MAX: u64 = 16 * 1024;

/// Letters of an id that are shown, as `docker ps` and `crictl ps` do.
const ID_LETTERS: usize = 12;

/// Least letters of a container's id. Shorter hexadecimal words are names that people give.
const ID_LETTERS_MIN: usize = 32;

/// Letters of a pod's UID that are shown: enough to find it among those of one machine.
const POD_LETTERS: usize = 8;

/// Letters of a name that are kept. File names may be much longer, and come from anybody.
const NAME_LETTERS_MAX: usize = 64;

/// How the scopes of systemd that hold a container are named, and what made it. The longer names
/// stand before those that they begin with.
const SCOPES: &[(&str, &str)] = &[
    ("docker-", "docker"),
    ("libpod-payload-", "podman"),
    ("libpod-conmon-", "podman"),
    ("libpod-", "podman"),
    ("cri-containerd-", "containerd"),
    ("nerdctl-", "containerd"),
    ("crio-", "cri-o"),
];

/// How the folders above a container's are named where there is no systemd, and what made it.
const FOLDERS: &[(&str, &str)] = &[
    ("docker", "docker"),
    ("libpod_parent", "podman"),
    ("default", "containerd"),
    ("k8s.io", "containerd"),
];

/// Container, service or other control group of a process that runs. `None` where it is in the one of
/// all, or is gone.
#[must_use]
pub fn of_process(pid: u32) -> Option<String> {
    let mut bytes = Vec::new();
    let file = File::open(format!("/proc/{pid}/cgroup")).ok()?;
    file.take(CGROUP_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    parse(&String::from_utf8_lossy(&bytes))
}

/// Container, service or other control group in the text of `/proc/PID/cgroup` (see cgroups(7)):
/// `docker 0123456789ab`, `kubernetes pod 01234567, 0123456789ab`, `lxc web`, `nginx.service`,
/// `cgroup /imports/nightly`.
#[must_use]
pub fn parse(cgroup: &str) -> Option<String> {
    // `hierarchy:controllers:path`, and the path may hold colons.
    let paths = || cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let container = paths().find_map(container);
    let named = container.or_else(|| paths().find_map(service));
    named.or_else(|| paths().find_map(other))
}

/// The innermost container on a path.
fn container(path: &str) -> Option<String> {
    let names: Vec<&str> = path.split('/').collect();
    (0..names.len())
        .rev()
        .find_map(|at| one(names[at], at.checked_sub(1).map(|above| names[above]), path))
}

/// What the name of one control group says, under the one above it.
fn one(name: &str, above: Option<&str>, path: &str) -> Option<String> {
    if let Some(payload) = name.strip_prefix("lxc.payload.") {
        return Some(format!("lxc {}", shortened(payload)));
    }
    if above.is_some_and(|above| above == "lxc" || above == "lxc.payload") && !name.is_empty() {
        return Some(format!("lxc {}", shortened(name)));
    }
    let scope = name.strip_suffix(".scope").unwrap_or(name);
    let scoped = SCOPES
        .iter()
        .find_map(|(prefix, maker)| Some((id(scope.strip_prefix(prefix)?)?, *maker)));
    let (id, maker) = match scoped {
        Some(found) => found,
        None => (id(name)?, maker_of_folder(above, path)?),
    };
    Some(match pod(path) {
        Some(pod) => format!("kubernetes pod {pod}, {id}"),
        None => format!("{maker} {id}"),
    })
}

/// What made a container whose control group is called by its bare id.
fn maker_of_folder(above: Option<&str>, path: &str) -> Option<&'static str> {
    let above = above?;
    let known = FOLDERS.iter().find(|(folder, _)| *folder == above);
    known
        .map(|(_, maker)| *maker)
        .or_else(|| pod(path).map(|_| "kubernetes"))
}

/// The first letters of a container's id.
fn id(text: &str) -> Option<&str> {
    let is_id = text.len() >= ID_LETTERS_MIN && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| &text[..ID_LETTERS])
}

/// The first letters of the UID of a pod on the path: `pod01234567-…` or, by systemd,
/// `kubepods-burstable-pod01234567_….slice`.
fn pod(path: &str) -> Option<&str> {
    if !path.contains("kubepods") {
        return None;
    }
    path.split('/').find_map(|name| {
        let name = name.strip_suffix(".slice").unwrap_or(name);
        let (before, uid) = name.rsplit_once("pod")?;
        let is_uid = uid.len() > POD_LETTERS
            && uid
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'-' | b'_'));
        (is_uid && (before.is_empty() || before.ends_with('-'))).then(|| &uid[..POD_LETTERS])
    })
}

/// The innermost service of systemd on a path.
fn service(path: &str) -> Option<String> {
    let mut names = path.rsplit('/');
    let name = names.find(|name| name.len() > ".service".len() && name.ends_with(".service"))?;
    Some(shortened(name))
}

/// A control group that isn't that of all; of a long path the end.
fn other(path: &str) -> Option<String> {
    let path = path.trim_end_matches('/');
    if path.is_empty() || path == "/init.scope" {
        return None;
    }
    let letters = path.chars().count();
    let end: String = match letters.checked_sub(NAME_LETTERS_MAX) {
        None | Some(0) => path.to_owned(),
        Some(over) => ['…']
            .into_iter()
            .chain(path.chars().skip(over + 1))
            .collect(),
    };
    Some(format!("cgroup {end}"))
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_LETTERS_MAX {
        return name.to_owned();
    }
    let kept = name.chars().take(NAME_LETTERS_MAX - 1);
    kept.chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const UID: &str = "89abcdef_0123_4567_89ab_cdef01234567";

    #[track_caller]
    fn check(path: &str, expected: Option<&str>) {
        let path = path.replace("UID", UID).replace("ID", ID);
        assert_eq!(parse(&format!("0::{path}\n")).as_deref(), expected);
    }

    #[test]
    fn containers() {
        check("/system.slice/docker-ID.scope", Some("docker 0123456789ab"));
        check("/docker/ID", Some("docker 0123456789ab"));
        check("/../../docker/ID", Some("docker 0123456789ab"));
        check(
            "/docker/ID/system.slice/nginx.service",
            Some("docker 0123456789ab"),
        );
        check(
            "/machine.slice/libpod-ID.scope/container",
            Some("podman 0123456789ab"),
        );
        check(
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope",
            Some("podman 0123456789ab"),
        );
        check("/libpod_parent/libpod-ID", Some("podman 0123456789ab"));
        check("/default/ID", Some("containerd 0123456789ab"));
        check(
            "/system.slice/nerdctl-ID.scope",
            Some("containerd 0123456789ab"),
        );
        check("/lxc/web", Some("lxc web"));
        check("/lxc.payload.web/system.slice/a.service", Some("lxc web"));
        check("/lxc.payload/web", Some("lxc web"));
    }

    #[test]
    fn pods() {
        let expected = Some("kubernetes pod 89abcdef, 0123456789ab");
        check("/kubepods/besteffort/podUID/ID", expected);
        check(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID.slice/cri-containerd-ID.scope",
            expected,
        );
        check(
            "/system.slice/containerd.service/kubepods-podUID.slice:cri-containerd:x/crio-ID.scope",
            Some("cri-o 0123456789ab"),
        );
    }

    #[test]
    fn services() {
        check("/system.slice/nginx.service", Some("nginx.service"));
        check(
            "/user.slice/user-1000.slice/user@1000.service/app.slice/mail.service",
            Some("mail.service"),
        );
        for path in [
            "/user.slice/user-1000.slice/session-3.scope",
            "/.service",
            "/mine/0123456789abcdef",
            "/docker-short.scope",
            "/lxc",
        ] {
            check(path, Some(&format!("cgroup {path}")));
        }
        for path in ["/", "", "/init.scope"] {
            check(path, None);
        }
        let long = parse(&format!("0::/{}/end", "x".repeat(200))).unwrap_or_default();
        assert!(
            long.starts_with("cgroup …x") && long.ends_with("/end"),
            "{long}"
        );
        assert_eq!(long.chars().count(), "cgroup ".len() + NAME_LETTERS_MAX);
        let long = format!("/{}.service", "x".repeat(200));
        let found = parse(&format!("0::{long}")).unwrap_or_default();
        assert_eq!(found.chars().count(), NAME_LETTERS_MAX);
    }

    #[test]
    fn several_hierarchies() {
        let text = format!(
            "12:pids:/system.slice/ssh.service\n1:name=systemd:/docker/{ID}\n0::/system.slice\n"
        );
        assert_eq!(parse(&text).as_deref(), Some("docker 0123456789ab"));
        for broken in ["", ":", "::", "0::", "no colon", "\n\n"] {
            assert_eq!(parse(broken), None);
        }
    }

    proptest::proptest! {
        /// Whoever may make control groups names them.
        #[test]
        fn any_text(text in "(.*:.*:/)?(.|kubepods|pod|/|docker|libpod-|[0-9a-f]{32}|\\.scope|é)*") {
            let found = parse(&text).unwrap_or_default();
            proptest::prop_assert!(found.chars().count() <= NAME_LETTERS_MAX + "cgroup ".len());
        }
    }

    #[test]
    fn this_process() {
        // Where the tests run decides what it is; that it can be asked is what counts.
        let _ = of_process(std::process::id());
        assert_eq!(of_process(u32::MAX), None);
    }
}
