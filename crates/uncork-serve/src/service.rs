//! systemd: sockets that it holds, and what it is told.
//!
//! Each call is nothing where systemd is not there.

use std::io;
use std::net::TcpListener;

use listenfd::ListenFd;
use sd_notify::NotifyState;

/// The listening sockets that systemd hands over (`LISTEN_FDS`), in the order of its unit. Called once
/// and early: it takes the variables away, which no other thread may read at that moment.
///
/// # Errors
/// One of them is no TCP socket.
pub fn inherited_listeners() -> io::Result<Vec<TcpListener>> {
    let mut inherited = ListenFd::from_env();
    let mut listeners = Vec::with_capacity(inherited.len());
    for index in 0..inherited.len() {
        listeners.extend(inherited.take_tcp_listener(index)?);
    }
    Ok(listeners)
}

/// The server answers: at start, and after each [`reloading`].
pub fn ready(status: &str) {
    // A status is one line of the protocol; a line feed in it would begin another assignment.
    let status = status.replace(['\n', '\r'], " ");
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// The configuration is being read anew. [`ready`] follows, also where the old one stays.
pub fn reloading() {
    // systemd from 253 on wants to know when, to tell this reload from an earlier one.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The server drains and ends.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// What can't be told to systemd can't be told to anyone; systemd's own time-out speaks then.
fn tell(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(false, states);
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;
    use std::process::Command;
    use std::time::Duration;

    use super::*;

    const CHILD: &str = "UNCORK_TEST_SERVICE_CHILD";

    /// Runs in a process of its own: the variables are the process's.
    #[test]
    fn child() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        assert!(inherited_listeners().unwrap().is_empty());
        ready("2 sites\nSTOPPING=1");
        reloading();
        stopping();
    }

    #[test]
    fn what_systemd_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let run = |notify: Option<&std::path::Path>| {
            let mut child = Command::new(std::env::current_exe().unwrap());
            child
                .args(["--exact", "service::tests::child"])
                .env(CHILD, "1");
            match notify {
                Some(path) => child.env("NOTIFY_SOCKET", path),
                None => child.env_remove("NOTIFY_SOCKET"),
            };
            let output = child.output().unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stdout)
            );
        };
        run(None);
        run(Some(&path));
        let mut buffer = [0; 1024];
        let mut next = || {
            let bytes = socket.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..bytes]).into_owned()
        };
        assert_eq!(next(), "READY=1\nSTATUS=2 sites STOPPING=1\n");
        assert!(next().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        assert_eq!(next(), "STOPPING=1\n");
    }

    /// Says which sockets it was given.
    #[test]
    fn listening_child() {
        if std::env::var_os(CHILD).is_some() {
            match inherited_listeners() {
                Ok(all) => all
                    .iter()
                    .for_each(|one| println!("= {}", one.local_addr().unwrap())),
                Err(error) => println!("= error: {error}"),
            }
        }
    }

    #[test]
    fn sockets_are_taken_over() {
        // Standard input is the one descriptor that safe code can hand over, and listenfd can be told
        // to begin there.
        let run = |stdin: OwnedFd, pid: &str| {
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "service::tests::listening_child"])
                .args(["--nocapture"])
                .envs([
                    (CHILD, "1"),
                    ("LISTEN_FDS", "1"),
                    ("LISTEN_FDS_FIRST_FD", "0"),
                ])
                .env("LISTEN_PID", pid)
                .stdin(stdin)
                .output()
                .unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let copy = || listener.try_clone().unwrap().into();
        assert!(run(copy(), "").contains(&format!("= {addr}\n")));
        // Meant for another process.
        assert!(!run(copy(), "1").contains("= "));
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(run(file.into(), "").contains("= error: fd 0 is not a socket"));
    }
}
