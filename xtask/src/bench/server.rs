//! A web server while a bench runs.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use uncork_lab::{place, process};

use super::cores::Cores;
use crate::peer::Runtime;

/// How long a start may take until the port is open.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// The pause between two looks at the port.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// How often a start is tried with another port, should somebody take the free one first.
const START_ATTEMPTS: usize = 3;

/// The end of the output that an error message shows.
const OUTPUT_TAIL_BYTES: usize = 2000;

/// A process that listens on the loopback device. It ends, and its files go, when this is
/// dropped.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    addr: SocketAddr,
    folder: TempDir,
}

impl Server {
    /// Starts what `command` makes of an address and an empty folder, on the server's core, and
    /// waits until it takes connections.
    ///
    /// # Errors
    /// Where it can't be run, or ends; with what it wrote.
    pub(super) fn start(
        cores: Cores,
        command: impl Fn(SocketAddr, &Path) -> Result<Command>,
    ) -> Result<Self> {
        let mut attempt = 1;
        loop {
            match Self::start_once(cores, &command) {
                Err(error)
                    if attempt < START_ATTEMPTS
                        && format!("{error:#}").contains("Address already in use") =>
                {
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// The limit, with a body of so many bytes.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub(super) fn start_bare(cores: Cores, runtime: Runtime, body_bytes: usize) -> Result<Self> {
        Self::start(cores, |addr, _| {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["peer", "bare", "--runtime", runtime.name()]);
            command.args(["--listen", &addr.to_string()]);
            command.args(["--body-bytes", &body_bytes.to_string()]);
            Ok(command)
        })
    }

    fn start_once(
        cores: Cores,
        command: impl Fn(SocketAddr, &Path) -> Result<Command>,
    ) -> Result<Self> {
        let folder = TempDir::with_prefix("uncork-serve").context("no temporary folder")?;
        let [addr] = place::free_addrs(Ipv4Addr::LOCALHOST).context("no free port")?;
        let mut command = command(addr, folder.path())?;
        let output = File::create(output_path(folder.path()))?;
        command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let program = PathBuf::from(command.get_program());
        let child = cores.start_server(|| {
            let spawned = command.spawn();
            spawned.with_context(|| format!("can't run {}", program.display()))
        })?;
        let mut server = Self {
            child,
            addr,
            folder,
        };
        server.wait_for_port()?;
        Ok(server)
    }

    fn wait_for_port(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended at its start with {status}: {}", self.output());
            }
            if TcpStream::connect(self.addr).is_ok() {
                return Ok(());
            }
            sleep(POLL_INTERVAL);
        }
        bail!("it took no connection: {}", self.output())
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The CPU time of all its processes so far.
    pub(super) fn cpu_ns(&self) -> u64 {
        process::tree_cpu_ns(self.pid())
    }

    /// The resident memory of all its processes.
    pub(super) fn memory_bytes(&self) -> u64 {
        process::tree_memory_bytes(self.pid())
    }

    /// The end of what it wrote to stdout and stderr, and to a log of its errors.
    fn output(&self) -> String {
        let paths = [
            output_path(self.folder.path()),
            self.folder.path().join("error.log"),
        ];
        let bytes = paths
            .map(|path| fs::read(path).unwrap_or_default())
            .concat();
        let tail = &bytes[bytes.len().saturating_sub(OUTPUT_TAIL_BYTES)..];
        String::from_utf8_lossy(tail).trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        process::stop(&mut self.child);
    }
}

fn output_path(folder: &Path) -> PathBuf {
    folder.join("output")
}
