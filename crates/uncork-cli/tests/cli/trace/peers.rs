//! The programs that are traced, and those at the other end.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use uncork_lab::place::free_addrs;
use uncork_lab::process;

use super::Program;
use crate::run::python;
use crate::signals::wait_for;

/// A Python program with arguments, or `None` after saying that the test is skipped.
pub(super) fn script(text: &str, arguments: &[&str]) -> Option<Command> {
    let mut command = Command::new(python()?);
    command.args(["-c", text]).args(arguments);
    Some(command)
}

/// A Python server that says its port.
pub(super) fn server(text: &str, arguments: &[&str]) -> Option<(Program, SocketAddr)> {
    let mut server = Program::start(&mut script(text, arguments)?);
    let port = server.line().parse().unwrap();
    Some((server, SocketAddr::from(([127, 0, 0, 1], port))))
}

/// A client that asks for paths in turns, over and over.
pub(super) fn client(addr: SocketAddr, paths: &str, count: u32) -> Option<Command> {
    let (host, port) = (addr.ip().to_string(), addr.port().to_string());
    let arguments = [&host, &port, paths, &count.to_string()];
    script(include_str!("keepalive.py"), &arguments)
}

#[track_caller]
pub(super) fn succeed(command: &mut Command) {
    let status = command.stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{status}");
}

/// A server that is told where to listen, and says nothing; ended with its test.
pub(super) struct Daemon {
    child: std::process::Child,
    pub(super) addr: SocketAddr,
}

impl Daemon {
    /// Starts it on an address that is free, and waits until it takes connections.
    #[track_caller]
    pub(super) fn start(
        program: PathBuf,
        arguments: impl FnOnce(SocketAddr) -> Vec<String>,
    ) -> Self {
        let [addr] = free_addrs(Ipv4Addr::LOCALHOST).unwrap();
        let mut command = Command::new(program);
        command.args(arguments(addr));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut daemon = Self { child, addr };
        wait_for(|| {
            assert_eq!(daemon.child.try_wait().unwrap(), None, "it has ended");
            TcpStream::connect(addr).is_ok()
        });
        daemon
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        process::stop(&mut self.child);
    }
}
