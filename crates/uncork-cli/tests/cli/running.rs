//! `uncork serve` as a process that answers, and is ended with its test.

use std::io::BufReader;
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::signals::kill;

/// A server that has said, with `--json`, that it is ready.
pub(crate) struct Running {
    pub(crate) child: Child,
    /// Behind the first document.
    pub(crate) stdout: BufReader<ChildStdout>,
    pub(crate) ready: Value,
}

impl Running {
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        // Takes no more of the pipe than the document.
        let mut documents = serde_json::Deserializer::from_reader(&mut stdout).into_iter();
        let ready = documents.next();
        let ready = ready.unwrap_or_else(|| panic!("it ended")).unwrap();
        Self {
            child,
            stdout,
            ready,
        }
    }

    /// The first one.
    pub(crate) fn address(&self) -> SocketAddr {
        let address = self.ready["listening"][0].as_str().unwrap();
        address.parse().unwrap()
    }

    /// Ends it by SIGTERM, gently.
    #[track_caller]
    pub(crate) fn end(&mut self) {
        kill(&self.child, "-TERM");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, unless the test fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
